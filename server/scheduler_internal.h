/* What the scheduler's files share: the definitions as read last, the queue, and what runs. */
#ifndef TESSERA_SCHEDULER_INTERNAL_H
#define TESSERA_SCHEDULER_INTERNAL_H
#include "query/schedule.h"
#include "server/scheduler.h"
#include <pthread.h>

/* A slot that is noticed later than this was missed. */
#define GRACE_US INT64_C(10000000)
#define NEVER INT64_MAX

/* All schedules as they were at some time; what runs refers to them. */
struct definitions {
    int refs; /* under the scheduler's lock */
    struct arena *arena;
    struct schedule *list; /* by name */
    int n;
};

/* One schedule, and how far its slots have been looked at. */
struct planned {
    const struct schedule *s;
    bool has_rule; /* false: what it runs after is gone, or its zone is */
    struct slot_rule rule;
    int64_t mark_us;     /* slots up to here are recorded, or none of its */
    int64_t seen_us;     /* … and those up to here may be: the clock was set back */
    int64_t next_us;     /* NEVER: none comes by itself */
    int64_t first_us[2]; /* scratch of choose_next(): the oldest slot in the queue, due or not */
    int n_running, n_parallel;
};

struct running {
    struct running *next;
    struct scheduler *scheduler;
    struct definitions *defs;
    struct schedule_job job;
    pthread_t thread;
    struct session *session; /* under the lock; NULL: none yet, or no more */
    bool ended;              /* under the lock */
    bool recorded;           /* what came of it; after the end */
};

struct scheduler {
    struct engine *e;
    struct db *db;
    pthread_t thread;
    atomic_bool stop;
    int max_running;
    int64_t history_us, forgot_us, next_forget_ns;
    pthread_mutex_t lock; /* what run threads share with this one */

    /* the scheduler thread's own */
    struct schedules_seq seen;
    bool loaded, crashes_handled;
    struct definitions *defs;
    struct planned *plans; /* by schedule number */
    int n_plans;
    struct run_row *queue; /* as the catalog has it; texts NULL */
    int n_queue, cap_queue;
    struct running *runs;
    int n_runs;
};

/* ---- scheduler_due.c: decisions; all ERR_… leave everything as it was, to be tried again ---- */
/* Reads definitions and queue anew when they have changed. */
enum status scheduler_load(struct ctx *c, struct scheduler *s);
/* After a start: what becomes of slots that were running when the server died. */
enum status scheduler_after_crash(struct ctx *c, struct scheduler *s, int64_t now);
/* Slots that have come are queued, skipped, or take the place of what runs. */
enum status scheduler_due(struct ctx *c, struct scheduler *s, int64_t now);
/* The place in the queue of what is to start next; -1: nothing may. */
int scheduler_choose(struct scheduler *s, int64_t now);
/* When something may be due next, at most `most_us` from now. */
int64_t scheduler_wait_us(const struct scheduler *s, int64_t now, int64_t most_us);
struct planned *scheduler_plan(const struct scheduler *s, int64_t id); /* NULL: dropped */

/* ---- scheduler.c ---- */
void definitions_release(struct scheduler *s, struct definitions *d);
/* Stops what runs of a schedule, but not its backfills unless `all`. why: static. */
void scheduler_cancel(struct scheduler *s, int64_t id, bool all, const char *why);

#endif
