/* Schedules: what is to run, when, and what is done about slots that overlap, fail or are missed.
 *
 * A schedule is kept as an object of the catalog (OBJECT_SCHEDULE): a name and a text of lines
 * "key value". Its slots come from its rule (storage/base/slots.h), or, AFTER another schedule,
 * from that one's. What became of a slot is a row of the catalog (storage/runs.h).
 *
 * The server's scheduler decides which slots run when (server/scheduler.c); schedule_run() runs
 * one. Threads: functions of a session are its thread's; the others any. */
#ifndef TESSERA_SCHEDULE_H
#define TESSERA_SCHEDULE_H
#include "query/bind.h"
#include "query/session.h"
#include "storage/base/slots.h"
#include "storage/runs.h"

enum schedule_overlap { OVERLAP_SKIP, OVERLAP_QUEUE, OVERLAP_CANCEL };
enum schedule_missed { MISSED_ONCE, MISSED_SKIP, MISSED_ALL };

/*    field and key   what it says */
#define SCHEDULE_NUMBERS(X)                                                                        \
    X(id)            /* the number that its runs carry */                                          \
    X(since_us)      /* slots up to here are none of its: made, replaced or resumed then */        \
    X(start_us)      /* of slots; TIMESTAMP_MINUS_INFINITY: none */                                \
    X(end_us)        /* TIMESTAMP_INFINITY: none */                                                \
    X(overlap)       /* enum schedule_overlap */                                                   \
    X(missed)        /* enum schedule_missed */                                                    \
    X(missed_max)    /* of ON MISSED ALL */                                                        \
    X(retry)         /* attempts after the first */                                                \
    X(backoff_ms)    /* before the second attempt */                                               \
    X(timeout_ms)    /* of an attempt; 0: none */                                                  \
    X(suspend_after) /* slots in a row that fail; 0: never */
#define SCHEDULE_TEXTS(X)                                                                          \
    X(owner)                                                                                       \
    X(every) /* one of every, cron and after */                                                    \
    X(offset)                                                                                      \
    X(cron)                                                                                        \
    X(after)                                                                                       \
    X(zone)                                                                                        \
    X(suspended) /* why; NULL: it is not */                                                        \
    X(array)     /* what it refreshes, and goes with; NULL: nothing */                             \
    X(comment)                                                                                     \
    X(body)

struct schedule {
    const char *name;
#define X(field) int64_t field;
    SCHEDULE_NUMBERS(X)
#undef X
#define X(field) const char *field;
    SCHEDULE_TEXTS(X)
#undef X
};

#define SCHEDULE_MISSED_MAX 10000 /* slots that ON MISSED ALL runs at most */

/* The text of a schedule, and back (in the arena; of the same program's text: never fails). */
void schedule_text(const struct schedule *s, struct strbuf *out);
void schedule_read(struct arena *a, const char *name, const char *text, struct schedule *out);
/* Its own rule; AFTER: all instants that the other's rule gives are, so that has none. */
enum status schedule_rule(struct ctx *c, const struct schedule *s, struct slot_rule *out);
/* "EVERY '1 hour' OFFSET '5 min'", as it is written. */
void schedule_rule_text(const struct schedule *s, struct strbuf *out);

/* All schedules that the transaction sees, by name, in the arena. */
enum status schedules_list(struct ctx *c, struct txn *t, struct arena *a, struct schedule **list,
                           int *n);
/* NULL: there is none. */
const struct schedule *schedule_named(const struct schedule *list, int n, const char *name);
/* The rule that its slots come from, whosoever it is. false: what it runs after is gone. */
bool schedule_root(const struct schedule *list, int n, const struct schedule *s,
                   const struct schedule **root);

/* The time that schedules go by: the system's, or what TESSERA_CLOCK says (tests): the name of a
 * file with microseconds since 1970 in it. */
int64_t schedule_clock_us(void);
bool schedule_clock_is_set(void);

/* ---- for the server's scheduler ---- */
struct db *engine_db(struct engine *e);
const struct settings *engine_settings(const struct engine *e);
/* All schedules as of now. */
enum status engine_schedules(struct ctx *c, struct engine *e, struct arena *a,
                             struct schedule **list, int *n);

/* One attempt: runs the schedule's statements as one transaction and records what came of it; row
 * says which (running, and recorded so) and is changed to say how it went. Retries after a failure
 * and schedules that run AFTER it are queued by the same record. window: [lo, hi). Fails when the
 * outcome could not be recorded: then try schedule_outcome() again. */
struct schedule_job {
    const struct schedule *schedule;
    const struct schedule *list; /* all, for those AFTER it */
    int n;
    struct run_row row;
    struct slot_times times;
    const char *_Atomic cancelled;  /* set, before session_cancel(), by who cancels: why (static) */
    char sqlstate[8], message[512]; /* of row, when it failed */
};
enum status schedule_run(struct ctx *c, struct session *s, struct schedule_job *j);
enum status schedule_outcome(struct ctx *c, struct engine *e, struct schedule_job *j);

/* Who listens hears what became of a run (schedule_notify.c): when the session's transaction
 * commits, or at once of a record that is there. */
enum status schedule_tell(struct ctx *c, struct session *s, const struct run_row *r);
void schedule_told(struct engine *e, const struct run_row *r);

/* ---- for statements that a schedule runs ---- */
struct run;
/* Something that the run's record should tell beside its outcome (a file that was left out): a row
 * of its own in sys.schedule_runs, "skipped", committed with the run's result. Outside of a run:
 * nothing happens. */
enum status schedule_note(struct ctx *c, struct run *r, const char *sqlstate, const char *message);

/* ---- for materialized arrays ---- */
/* A schedule that refreshes the array, made and gone with it in the same transaction. pos: of the
 * EVERY text, for its errors. */
enum status schedule_refresh(struct ctx *c, struct run *r, const char *array, const char *every,
                             int pos);
enum status schedule_refresh_rename(struct ctx *c, struct run *r, const char *array,
                                    const char *to);
enum status schedule_refresh_drop(struct ctx *c, struct run *r, const char *array);

/* ---- statements ---- */
enum status run_schedule_stmt(struct ctx *c, struct run *r); /* CREATE, ALTER, RUN */
enum status schedule_drop(struct ctx *c, struct run *r, const char *name);
enum status schedule_comment(struct ctx *c, struct run *r, const char *name);
/* The statements of a schedule are such as it can run, and can be bound. at: where the text stands
 * in that of the statement, for positions. */
enum status schedule_check_body(struct ctx *c, struct run *r, const char *body, int at);

#endif
