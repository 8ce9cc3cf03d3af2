/* How does the scheduler live: when does it look, how do runs start and end, how does it stop?
 *
 * A look that fails (a full disk, no memory) is logged and made again a second later: whatever it
 * did not record it did not do. */
#include "server/scheduler_internal.h"
#include "storage/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_US INT64_C(1000000)      /* at least so often: the clock may be set */
#define TEST_LOOK_US INT64_C(20000)   /* … which is what tests do all the time */
#define FORGET_US INT64_C(3600000000) /* between looks at old records */

void definitions_release(struct scheduler *s, struct definitions *d)
{
    if (!d) return;
    pthread_mutex_lock(&s->lock);
    bool last = --d->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last) return;
    arena_free(d->arena);
    free(d);
}

/* ---- one run ---- */

/* It could not even begin. */
static void record_as_failed(const struct ctx *c, struct schedule_job *j)
{
    j->row.status = RUN_FAILED;
    j->row.finished_us = schedule_clock_us();
    snprintf(j->sqlstate, sizeof j->sqlstate, "%s", status_sqlstate(c->err.code));
    snprintf(j->message, sizeof j->message, "%s", c->err.message);
    j->row.sqlstate = j->sqlstate;
    j->row.message = j->message;
}

static enum status run_in_session(struct ctx *c, struct running *r)
{
    struct scheduler *s = r->scheduler;
    struct session *session;
    char name[NAME_BYTES + 16];
    enum status st = session_new(c, s->e, &session);
    if (st < 0) {
        record_as_failed(c, &r->job);
        return st;
    }
    snprintf(name, sizeof name, "schedule %.*s", NAME_BYTES, r->job.schedule->name);
    st = session_set(c, session, "application_name", name);
    (void)st; /* the name is a text like any */
    ctx_clear(c);
    pthread_mutex_lock(&s->lock);
    r->session = session;
    if (atomic_load(&s->stop)) session_cancel(session, CANCEL_SHUTDOWN);
    pthread_mutex_unlock(&s->lock);
    st = schedule_run(c, session, &r->job);
    pthread_mutex_lock(&s->lock);
    r->session = NULL;
    pthread_mutex_unlock(&s->lock);
    session_free(session);
    return st;
}

static void *run_main(void *arg)
{
    struct running *r = arg;
    struct scheduler *s = r->scheduler;
    struct ctx c = {0};
    ctx_clear(&c);
    bool recorded = run_in_session(&c, r) == OK;
    if (!recorded) log_line(LOG_ERROR, "schedule \"%s\": %s", r->job.schedule->name, c.err.message);
    pthread_mutex_lock(&s->lock);
    r->recorded = recorded;
    r->ended = true;
    pthread_mutex_unlock(&s->lock);
    schedules_wake(s->db);
    return NULL;
}

static void free_run(struct scheduler *s, struct running *r)
{
    definitions_release(s, r->defs);
    free(r);
}

/* A run of the queue's i-th row, marked as running; its thread is not there yet. */
static struct running *new_run(struct scheduler *s, int i, int64_t now)
{
    const struct planned *p = scheduler_plan(s, s->queue[i].schedule);
    struct running *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->scheduler = s;
    r->defs = s->defs;
    r->job.schedule = p->s;
    r->job.list = s->defs->list;
    r->job.n = s->defs->n;
    r->job.row = s->queue[i];
    r->job.row.name = p->s->name;
    r->job.row.status = RUN_RUNNING;
    r->job.row.started_us = now;
    r->job.times.scheduled_us = r->job.times.end_us = r->job.row.slot_us;
    r->job.times.start_us = slot_window_start(&p->rule, r->job.row.slot_us);
    pthread_mutex_lock(&s->lock);
    s->defs->refs++;
    pthread_mutex_unlock(&s->lock);
    s->queue[i] = s->queue[--s->n_queue];
    r->next = s->runs;
    s->runs = r;
    s->n_runs++;
    return r;
}

/* It goes back into the queue, where there is room for what came from it. */
static void take_back(struct scheduler *s, struct running *r)
{
    struct run_row *q = &s->queue[s->n_queue++];
    *q = r->job.row;
    q->name = "";
    q->status = RUN_QUEUED;
    q->started_us = 0;
    for (struct running **at = &s->runs; *at; at = &(*at)->next)
        if (*at == r) {
            *at = r->next;
            break;
        }
    s->n_runs--;
    free_run(s, r);
}

/* Starts what may start: recorded first, all at once. */
static enum status start_runs(struct ctx *c, struct scheduler *s, int64_t now)
{
    struct running *started[64];
    struct run_row rows[64];
    int n = 0, i;
    while (s->n_runs < s->max_running && (i = scheduler_choose(s, now)) >= 0) {
        started[n] = new_run(s, i, now);
        if (!started[n]) break;
        rows[n] = started[n]->job.row;
        n++;
    }
    enum status st = runs_record(c, s->db, rows, n);
    for (i = 0; i < n; i++) {
        bool runs =
            st == OK && pthread_create(&started[i]->thread, NULL, run_main, started[i]) == 0;
        if (runs) continue;
        rows[i].status = RUN_QUEUED;
        rows[i].started_us = 0;
        if (st == OK) st = runs_record(c, s->db, &rows[i], 1); /* no thread: later */
        take_back(s, started[i]);
    }
    return st;
}

/* Runs that have ended go; what came of one and could not be recorded is tried again. */
static enum status end_runs(struct ctx *c, struct scheduler *s)
{
    enum status st = OK;
    for (struct running **at = &s->runs; *at;) {
        struct running *r = *at;
        pthread_mutex_lock(&s->lock);
        bool ended = r->ended;
        pthread_mutex_unlock(&s->lock);
        if (ended && !r->recorded) {
            ctx_clear(c);
            enum status again = schedule_outcome(c, s->e, &r->job);
            r->recorded = again == OK;
            if (again < 0) st = again;
        }
        if (!ended || !r->recorded) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        s->n_runs--;
        pthread_join(r->thread, NULL);
        free_run(s, r);
    }
    return st;
}

void scheduler_cancel(struct scheduler *s, int64_t id, bool all, const char *why)
{
    for (struct running *r = s->runs; r; r = r->next) {
        if (r->job.row.schedule != id || (!all && r->job.row.kind != RUN_DUE)) continue;
        const char *none = NULL;
        (void)atomic_compare_exchange_strong(&r->job.cancelled, &none, why);
        pthread_mutex_lock(&s->lock);
        if (r->session) session_cancel(r->session, CANCEL_USER);
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- the thread ---- */

/* Once an hour, by a time that goes on by two at most: a clock that leaps for a moment costs no
 * records. */
static enum status forget_old(struct ctx *c, struct scheduler *s, int64_t now)
{
    int64_t ns = now_ns();
    if (!s->history_us || ns < s->next_forget_ns) return OK;
    if (s->next_forget_ns && now > s->forgot_us + 2 * FORGET_US) now = s->forgot_us + 2 * FORGET_US;
    TRY(runs_forget(c, s->db, now - s->history_us));
    s->forgot_us = now;
    s->next_forget_ns = ns + FORGET_US * 1000;
    return OK;
}

static enum status look(struct ctx *c, struct scheduler *s)
{
    int64_t now = schedule_clock_us();
    TRY(end_runs(c, s));
    TRY(scheduler_load(c, s));
    if (!s->crashes_handled) TRY(scheduler_after_crash(c, s, now));
    s->crashes_handled = true;
    TRY(scheduler_due(c, s, now));
    TRY(start_runs(c, s, now));
    return forget_old(c, s, now);
}

static void stop_runs(struct scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct running *r = s->runs; r; r = r->next)
        if (r->session) session_cancel(r->session, CANCEL_SHUTDOWN);
    pthread_mutex_unlock(&s->lock);
    while (s->runs) {
        struct running *r = s->runs;
        s->runs = r->next;
        pthread_join(r->thread, NULL);
        free_run(s, r);
    }
}

static void *scheduler_main(void *arg)
{
    struct scheduler *s = arg;
    struct arena *arena = arena_new();
    char said[sizeof(((struct error *)NULL)->message)] = "";
    int64_t look_us = schedule_clock_is_set() ? TEST_LOOK_US : LOOK_US;
    while (!atomic_load(&s->stop)) {
        struct ctx c = {.arena = arena};
        ctx_clear(&c);
        enum status st = look(&c, s);
        if (st < 0 && strcmp(said, c.err.message) != 0) /* not every second */
            log_line(LOG_ERROR, "scheduler: %s", c.err.message);
        snprintf(said, sizeof said, "%s", c.err.message);
        arena_reset(arena);
        int64_t wait_us = st < 0 ? LOOK_US : scheduler_wait_us(s, schedule_clock_us(), look_us);
        schedules_wait(s->db, &s->seen, wait_us / 1000 + 1);
    }
    stop_runs(s);
    arena_free(arena);
    return NULL;
}

enum status scheduler_start(struct ctx *c, struct engine *e, struct scheduler **out)
{
    const struct settings *o = engine_settings(e);
    *out = NULL;
    if (o->max_scheduled_runs.n == 0) return OK;
    struct scheduler *s = calloc(1, sizeof *s);
    if (!s) return fail(c, ERR_MEMORY, "out of memory");
    s->e = e;
    s->db = engine_db(e);
    s->max_running = (int)o->max_scheduled_runs.n;
    s->history_us = o->schedule_history.n * 1000;
    pthread_mutex_init(&s->lock, NULL);
    if (pthread_create(&s->thread, NULL, scheduler_main, s) != 0) {
        pthread_mutex_destroy(&s->lock);
        free(s);
        return fail(c, ERR_MEMORY, "could not start the scheduler's thread");
    }
    *out = s;
    return OK;
}

void scheduler_stop(struct scheduler *s)
{
    if (!s) return;
    atomic_store(&s->stop, true);
    schedules_wake(s->db);
    pthread_join(s->thread, NULL);
    definitions_release(s, s->defs);
    pthread_mutex_destroy(&s->lock);
    free(s->plans);
    free(s->queue);
    free(s);
}
