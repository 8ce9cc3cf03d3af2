/* Runs of schedules, as the catalog keeps them: what was due, what became of it, and that a slot
 * succeeds once. What a schedule is, and what is due when, is not known here: a schedule is a text
 * under a name (OBJECT_SCHEDULE), and a number that its runs carry.
 *
 * A run that succeeds is recorded by the very transaction of the catalog that publishes its result
 * (txn_record_run, txn_commit); all other records are transactions of their own.
 *
 * Threads: any. */
#ifndef TESSERA_RUNS_H
#define TESSERA_RUNS_H
#include "storage/db.h"

#define RUN_STATUS_LIST(X)                                                                         \
    X(RUN_QUEUED, "queued")       /* is to run, at scheduled_us or later */                        \
    X(RUN_RUNNING, "running")     /* its statements run; crashed when the server dies */           \
    X(RUN_SUCCEEDED, "succeeded") /* its result is there */                                        \
    X(RUN_FAILED, "failed")       /* with an error */                                              \
    X(RUN_SKIPPED, "skipped")     /* never ran; the message says why */                            \
    X(RUN_CANCELLED, "cancelled") /* by somebody, or by the next slot */                           \
    X(RUN_CRASHED, "crashed")     /* the server died */
enum run_status {
#define X(id, name) id,
    RUN_STATUS_LIST(X)
#undef X
        N_RUN_STATUSES
};
const char *run_status_name(enum run_status s);

/* Why there is a run. Stored as numbers, in statements of SQL too. */
enum run_kind {
    RUN_DUE,      /* its slot came */
    RUN_BACKFILL, /* RUN SCHEDULE: one slot after the other */
    RUN_PARALLEL, /* RUN SCHEDULE … IN PARALLEL */
    RUN_NOTE      /* not a run: what another run has to say besides its outcome */
};

struct run_row {
    int64_t run;      /* its number, from run_number() */
    int64_t schedule; /* the schedule's number */
    const char *name; /* the schedule's */
    int64_t slot_us;
    int64_t attempt; /* of the slot, from 1 */
    int64_t tries;   /* attempts since the slot was queued, those that crashed aside */
    enum run_status status;
    enum run_kind kind;
    int64_t scheduled_us, queued_us, started_us, finished_us; /* 0: not yet */
    int64_t rows, cells, bytes;
    const char *sqlstate, *message; /* NULL: none */
};

/* A number that no run and no schedule has. */
int64_t run_number(struct db *db);
/* Joins the transaction: it is committed, undone and gone back with it. Copied. */
enum status txn_record_run(struct ctx *c, struct txn *t, const struct run_row *r);
/* All or none, durable on return. ERR_DUPLICATE_OBJECT: a slot that succeeded already. */
enum status runs_record(struct ctx *c, struct db *db, const struct run_row *rows, int n);

enum runs_which {
    RUNS_PAGE,   /* the first thousand with a number above `id`; notes too, as the others are not */
    RUNS_QUEUED, /* in order */
    RUNS_CRASHED, /* of slots that nothing came of since */
    RUNS_LAST,    /* of schedule `id`: the newest */
    RUNS_OF_SLOT  /* of schedule `id`: all attempts */
};
/* Rows are in the arena. What a run that succeeded has changed is seen by transactions that begin
 * afterwards. */
enum status runs_list(struct ctx *c, struct db *db, enum runs_which which, int64_t id,
                      int64_t slot_us, struct arena *a, struct run_row **rows, int *n);
/* The newest slot that was due and is recorded; INT64_MIN: none. */
enum status runs_mark(struct ctx *c, struct db *db, int64_t id, int64_t *mark_us);
/* Slots that failed, finished since a time, after the last that succeeded. */
enum status runs_failures(struct ctx *c, struct db *db, int64_t id, int64_t since_us, int64_t *n);
/* Records of what finished before go; what tells which slots were recorded stays. */
enum status runs_forget(struct ctx *c, struct db *db, int64_t before_us);

/* ---- who waits for changes ---- */
/* Numbers that are others whenever a commit has changed schedules, or queued runs. */
struct schedules_seq {
    int64_t definitions, queued;
};
struct schedules_seq schedules_seq(struct db *db);
/* Waits until they are not as `seen` any more, somebody wakes the waiter, or the time is over. */
void schedules_wait(struct db *db, const struct schedules_seq *seen, int64_t timeout_ms);
void schedules_wake(struct db *db);

#endif
