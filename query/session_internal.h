/* What the files of the session share: its state, and one function per family of statements.
 *
 * session.c keeps transactions and the simple protocol, prepared.c statements that wait, portal.c
 * those that are run in parts, run_<family>.c run statements. */
#ifndef TESSERA_SESSION_INTERNAL_H
#define TESSERA_SESSION_INTERNAL_H
#include "query/bind.h"
#include "query/op.h"
#include "query/parse.h"
#include "query/rowset.h"
#include "query/session.h"
#include "storage/base/tokens.h"
#include <pthread.h>

struct engine {
    struct db *db;
    struct pool *pool;
    struct budget budget;
    struct settings settings;
    pthread_mutex_t lock; /* the list below, and each session's `activity` */
    struct session *sessions;
    int next_pid;
};

/* A parsed statement that waits to be run: PREPARE, or Parse of the protocol. */
struct prepared {
    struct prepared *next;
    int refs; /* the list's and its portals' */
    char *name;
    struct arena *arena; /* holds text and tree */
    const char *text;
    size_t text_len;
    struct ast_stmt *stmt; /* NULL: an empty query */
    enum type *param_types;
    uint32_t *param_oids;
    int n_params;
    struct column_desc *cols;
    int n_cols; /* -1: gives no rows */
    struct cached_plan *plan;
    bool never_cached; /* its plan hangs on values */
};

/* A statement with its parameters, being run; or a cursor. Rows that the client has not taken yet
 * are in `rows`. */
struct portal {
    struct portal *next;
    int refs; /* the list's and the Execute's that runs it */
    char *name;
    struct arena *arena;
    struct prepared *source;     /* holds stmt, text and cols; NULL: a cursor */
    const struct ast_stmt *stmt; /* NULL: an empty query, or a cursor that was filled */
    const char *text;
    struct value *params;
    int n_params;
    struct column_desc *cols;
    int n_cols;
    bool hold; /* WITH HOLD: outlives the transaction if that commits */
    bool held; /* and has */
    bool started;
    struct rowset *rows; /* the whole result, when it is fetched in parts */
    int64_t at;          /* rows taken */
    char tag[64];
};

struct local_setting { /* SET LOCAL: what to go back to */
    struct local_setting *next;
    char *name, *value;
};

/* LISTEN and NOTIFY (notify.c). */
struct notify {
    struct notify_step *steps, **steps_end; /* of the open transaction */
    size_t steps_bytes;
    /* The rest under the engine's lock; the session's own thread may read its channels without. */
    struct channel *channels;
    struct notification *queue, **queue_end;
    size_t queue_bytes;
    int64_t n_lost;
    atomic_bool waiting; /* something is in the queue; any thread may look */
    void (*wake)(void *self);
    void *wake_self;
};

struct session {
    struct engine *engine;
    struct session *next;
    int pid, secret;
    struct settings settings;
    struct settings at_start; /* RESET goes back to these */
    struct settings at_begin; /* before the transaction's first SET; when has_at_begin */
    bool has_at_begin;
    struct local_setting *locals;
    struct budget budget;
    struct cancel cancel;
    struct progress progress;
    struct counters counters;
    struct usage usage;
    struct scratch *scratch;
    atomic_bool running;
    atomic_int_least64_t progress_every_ms; /* the setting, as other threads may read it */
    atomic_int state_seen;                  /* session_state(), as other threads may read it */
    /* under the engine's lock: what sys.sessions shows */
    char activity[256], application[NAME_BYTES];
    int64_t started_us;
    struct txn *txn;       /* NULL: none is open */
    bool in_block, failed; /* BEGIN was said; a statement of the block failed */
    bool read_only;
    struct schedule_job *job; /* of a schedule, which it runs (schedule.h); NULL: none */
    int64_t run_deadline_ns;  /* of that run; 0: none */
    int64_t settings_seq;     /* how often they may have changed */
    struct prepared *prepared;
    struct portal *portals;
    struct notify notify;
};

/* One statement being run. */
struct run {
    struct session *s;
    struct client *cl;
    const struct ast_stmt *stmt;
    const char *text; /* the statement's source, for stored texts */
    const struct value *params;
    int n_params;
    struct prepared *source; /* NULL: it was not prepared */
    char
        tag[64]; /* of CommandComplete, once it has run; sent after the commit that it is part of */
};

/* ---- session.c ---- */
/* Points c at the session: arena, scratch, budget, cancellation, settings, notices; clears what the
 * last statement left. */
void session_enter(struct ctx *c, struct session *s, struct arena *arena, struct client *cl);
void session_leave(struct ctx *c, struct session *s);
enum status need_txn(struct ctx *c, struct session *s);
/* Limits of time and memory, and progress, begin anew. */
void session_next_statement(struct session *s);
/* Ends the open transaction, committing or not; no transaction is fine. */
enum status end_txn(struct ctx *c, struct session *s, bool commit);
/* Before a setting changes: a transaction that fails puts it back. */
void remember_settings(struct session *s);
/* Sets r->tag; OK. */
enum status tag(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Runs one statement inside the transaction; rows go to r->cl, the tag stays in r. */
enum status run_statement(struct ctx *c, struct run *r);
struct bind_env session_bind_env(struct run *r);
/* ERR_FAILED_TRANSACTION when a statement of the block failed and this one does not end it. */
enum status refuse_failed(struct ctx *c, const struct session *s, enum stmt_kind k);
enum status want_write(struct ctx *c, struct session *s, const char *what);
const char *last_part(const struct ast_name *n); /* a name without its schema */
/* As at(), if what was written is wrong or names a wrong file (SQLSTATE 2…, 42…, 58…). */
enum status at_target(struct ctx *c, enum status s, const struct ast_name *target);

/* ---- one family each ---- */
enum status run_select(struct ctx *c, struct run *r, const struct ast_select *sel);
/* Binds, rewrites and opens; *x is to be closed by the caller, also on an error. stored: the result
 * becomes an array or a file of one. */
enum status open_query(struct ctx *c, struct run *r, const struct ast_select *sel, bool stored,
                       struct query *q, struct exec **x);
/* Columns of a bound query's outputs over a chunk, in order: coordinates from c->scratch, of which
 * output_cell_bytes() for a cell; the others are the chunk's, and all that output_attributes()
 * sets. */
enum status output_columns(struct ctx *c, const struct query *q, const struct chunk *ch,
                           struct column *cols);
int64_t output_cell_bytes(const struct query *q);
void output_attributes(const struct query *q, const struct chunk *ch, struct column *cols);
/* A result of text lines under one column: SHOW, EXPLAIN. */
enum status send_lines(struct ctx *c, struct client *cl, const char *column, const char *text);
enum status run_dml(struct ctx *c, struct run *r);
/* The array that INSERT, UPDATE or DELETE changes, before anything is read of it. */
enum status lock_target(struct ctx *c, struct run *r, const struct ast_stmt *stmt);
/* An array that a statement changes, and what is refreshed from it at the commit. */
enum status lock_changed(struct ctx *c, struct run *r, const char *name);
/* What INSERT, UPDATE or DELETE is to write (query/write.h), and RETURNING. */
struct write_job;
enum status bind_write_job(struct ctx *c, struct run *r, const struct ast_stmt *stmt,
                           struct write_job *j, const struct returning **what);
enum status run_create_as(struct ctx *c, struct run *r);
enum status run_ddl(struct ctx *c, struct run *r);
enum status run_copy(struct ctx *c, struct run *r);
enum status run_explain(struct ctx *c, struct run *r);
enum status run_transaction(struct ctx *c, struct run *r);
enum status run_setting(struct ctx *c, struct run *r);
enum status run_prepared(struct ctx *c, struct run *r); /* PREPARE, EXECUTE, DEALLOCATE, cursors */
enum status run_upkeep(struct ctx *c, struct run *r);   /* VACUUM, CHECK, CANCEL, LOCK */

/* ---- notify.c ---- */
enum status run_notify(struct ctx *c, struct run *r); /* LISTEN, UNLISTEN, NOTIFY */
/* When the transaction commits. ERR_INVALID_PARAMETER, ERR_LIMIT_EXCEEDED. */
enum status notify_send(struct ctx *c, struct session *s, const char *channel, const char *payload);
/* The same of a query's workers (ctx.h). */
notify_fn notify_from_query;
enum status unlisten_all(struct ctx *c, struct session *s);
/* SAVEPOINT, ROLLBACK TO, RELEASE. */
enum status notify_savepoint(struct ctx *c, struct session *s, enum stmt_kind kind,
                             const char *name);
void notify_end(struct session *s, bool commit); /* of a transaction */
void notify_release(struct session *s);          /* of a session that others see no more */

/* ---- plan_cache.c ---- */
/* A prepared statement's plan with the run's parameters in it, bound and rewritten; *done false:
 * there is none, it is to be bound as any other. */
enum status cached_query(struct ctx *c, struct run *r, struct query *q, bool *done);
void cached_plan_free(struct cached_plan *p); /* NULL is allowed */

/* ---- wire.c ---- */
/* ERR_INVALID_ENCODING unless the bytes are UTF-8 without NUL. */
enum status check_utf8(struct ctx *c, const char *s, size_t n);

/* ---- prepared.c ---- */
struct prepared *find_prepared(struct session *s, const char *name);
void drop_prepared(struct session *s, const char *name); /* NULL: all */
void let_prepared_go(struct prepared *p);                /* one reference less; NULL is allowed */
enum status no_prepared(struct ctx *c, const char *name, int pos); /* the error */
/* What a statement will give: parameter types and columns (in c->arena). */
enum status describe_statement(struct ctx *c, struct session *s, const struct ast_stmt *stmt,
                               const char *text, enum type **types, int *n_params,
                               struct column_desc **cols, int *n_cols);

/* ---- portal.c ---- */
struct portal *find_portal(struct session *s, const char *name);
void drop_portal(struct session *s, const char *name); /* NULL: all */
/* At the transaction's end: all but those that HOLD and were there when one committed. */
void drop_cursors(struct session *s, bool commit);
enum status declare_cursor(struct ctx *c, struct run *r);
enum status fetch_cursor(struct ctx *c, struct run *r); /* and MOVE */
enum status close_cursor(struct ctx *c, struct run *r);

/* ---- run_select.c: sinks that several use ---- */
/* A client that keeps rows in a rowset and says nothing to anybody. */
struct keeper {
    struct client client;
    struct rowset *rows;
    const struct column_desc *cols; /* in the statement's arena */
    int n_cols;                     /* -1: none were announced */
    const char *tmp_dir;
    struct client *outer; /* notices go there */
};
void keeper_init(struct keeper *k, struct client *outer, const char *tmp_dir);
/* Sends rows [lo, hi) of a rowset, its first n_cols columns. */
enum status send_rowset(struct ctx *c, struct client *cl, const struct rowset *rows, int n_cols,
                        int64_t lo, int64_t hi);

#endif
