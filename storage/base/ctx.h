/* The context: what every function that can fail is handed first. It carries where an error is
 * recorded, the statement's arena, the worker's scratch, the query's budget, and whether the work
 * should stop.
 *
 * One context belongs to one thread. A parallel region gives each worker a context of its own
 * (pool.h) and brings the first error, in task order, back to the caller's. */
#ifndef TESSERA_CTX_H
#define TESSERA_CTX_H
#include "storage/base/arena.h"
#include "storage/base/budget.h"
#include "storage/base/status.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pool;
struct settings;
struct usage;
struct token;

struct error {
    enum status code;
    char message[512];
    char detail[256];
    char hint[256];
    int position; /* byte offset into the statement's text; -1: none */
};

/* What may stop a statement. Shared by its workers. */
struct cancel {
    atomic_int reason;   /* enum cancel_reason */
    int64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
};
enum cancel_reason { CANCEL_NONE, CANCEL_USER, CANCEL_TIMEOUT, CANCEL_SHUTDOWN };

/* How far a long statement is; read by the session's progress reports. */
struct progress {
    atomic_int_least64_t done, total; /* boxes, or bytes of a load; total 0: not known */
};

/* What a statement did; EXPLAIN ANALYZE prints it. */
#define COUNTER_LIST(X)                                                                            \
    X(tiles_read, "tiles read")                                                                    \
    X(tiles_cached, "tiles from cache")                                                            \
    X(tiles_pruned, "tiles pruned")                                                                \
    X(tiles_summary, "tiles answered from summaries")                                              \
    X(bytes_read, "compressed bytes read")                                                         \
    X(bytes_decoded, "bytes decoded")                                                              \
    X(tiles_written, "tiles written")                                                              \
    X(bytes_written, "compressed bytes written")                                                   \
    X(bytes_spilled, "bytes spilled")
struct counters {
#define X(field, label) atomic_int_least64_t field;
    COUNTER_LIST(X)
#undef X
};

typedef void notice_fn(void *self, const char *severity, const char *sqlstate, const char *message);

struct ctx;
struct text;
typedef enum status notify_fn(struct ctx *c, void *self, const struct text *channel,
                              const struct text *payload);

struct ctx {
    struct arena *arena;
    struct scratch *scratch;
    struct budget *budget;
    struct cancel *cancel;           /* may be NULL */
    struct progress *progress;       /* may be NULL */
    struct counters *counters;       /* may be NULL */
    struct pool *pool;               /* NULL: run tasks in the caller */
    struct usage *usage;             /* what the statement has had (tokens.h); may be NULL */
    struct token *token;             /* the thread's, in a task of the pool; else NULL */
    const struct settings *settings; /* the session's (settings.h); NULL in unit tests */
    notice_fn *notice;               /* may be NULL */
    void *notice_self;
    notify_fn *notify; /* takes what pg_notify() is given; NULL: no session is there */
    void *notify_self;
    struct error err;
};

/* Records the error and returns its code. Message: one sentence, lower case first, no full stop,
 * names in double quotes, as PostgreSQL words them. A second fail() before ctx_clear() keeps the
 * first. */
enum status fail(struct ctx *c, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the byte offset of the place in the statement. */
enum status fail_at(struct ctx *c, enum status code, int position, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Adds a hint or a detail to the error just recorded; returns its code, so that `return hint(c, …)`
 * works. */
enum status hint(struct ctx *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
enum status detail(struct ctx *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Gives the recorded error a position if it has none. */
enum status at(struct ctx *c, enum status s, int position);
void ctx_clear(struct ctx *c);
void notice(struct ctx *c, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void warning(struct ctx *c, const char *sqlstate, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_CANCELLED (or ERR_SHUTDOWN) when the statement should stop, else OK. Cheap: call it at every
 * box. */
enum status check_cancel(struct ctx *c);
/* The same without an error. */
bool must_stop(const struct ctx *c);
int64_t now_ns(void);  /* CLOCK_MONOTONIC */
int64_t wall_us(void); /* microseconds since 1970-01-01 UTC */

#define COUNT(c, field, n)                                                                         \
    do {                                                                                           \
        if ((c)->counters)                                                                         \
            atomic_fetch_add_explicit(&(c)->counters->field, (n), memory_order_relaxed);           \
    } while (0)

#endif
