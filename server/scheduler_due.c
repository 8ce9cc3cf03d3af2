/* Which slots are due, and what is done about them: run, wait, skip, take the place of another? */
#include "server/scheduler_internal.h"
#include "storage/base/datetime.h"
#include "storage/base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CRASHES = 20, MOST_COUNTED = 100000 };

/* ---- definitions ---- */

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct planned *)a)->s->id, y = ((const struct planned *)b)->s->id;
    return (x > y) - (x < y);
}

struct planned *scheduler_plan(const struct scheduler *s, int64_t id)
{
    int lo = 0, hi = s->n_plans;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (s->plans[mid].s->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n_plans && s->plans[lo].s->id == id ? &s->plans[lo] : NULL;
}

static void find_next(struct planned *p)
{
    if (!p->has_rule || p->s->after || p->s->suspended ||
        !slot_next(&p->rule, p->mark_us, &p->next_us))
        p->next_us = NEVER;
}

/* A schedule as it is now; how far its slots were looked at is known from before, or recorded. */
static enum status plan_one(struct ctx *c, const struct scheduler *s, const struct definitions *d,
                            const struct schedule *def, struct planned *p)
{
    const struct planned *before = scheduler_plan(s, def->id);
    const struct schedule *root;
    *p = (struct planned){.s = def};
    if (before) {
        p->mark_us = before->mark_us;
        p->seen_us = before->seen_us;
    } else {
        TRY(runs_mark(c, s->db, def->id, &p->mark_us));
    }
    bool anew = !before || before->s->since_us != def->since_us;
    if (anew && p->mark_us < def->since_us) p->mark_us = def->since_us;
    p->has_rule =
        schedule_root(d->list, d->n, def, &root) && schedule_rule(c, root, &p->rule) == OK;
    if (!p->has_rule) log_line(LOG_WARNING, "schedule \"%s\": %s", def->name, c->err.message);
    ctx_clear(c);
    find_next(p);
    return OK;
}

static enum status load_definitions(struct ctx *c, struct scheduler *s)
{
    struct definitions *d = calloc(1, sizeof *d);
    if (!d) return fail(c, ERR_MEMORY, "out of memory");
    d->refs = 1;
    d->arena = arena_new();
    enum status st = engine_schedules(c, s->e, d->arena, &d->list, &d->n);
    struct planned *plans = calloc((size_t)d->n + 1, sizeof *plans);
    if (!plans && st == OK) st = fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; st == OK && i < d->n; i++)
        st = plan_one(c, s, d, &d->list[i], &plans[i]);
    if (st < 0) {
        free(plans);
        definitions_release(s, d);
        return st;
    }
    if (d->n) qsort(plans, (size_t)d->n, sizeof *plans, by_id);
    free(s->plans);
    definitions_release(s, s->defs);
    s->plans = plans;
    s->n_plans = d->n;
    s->defs = d;
    return OK;
}

/* ---- the queue ---- */

static bool make_room(struct scheduler *s, int n)
{
    if (s->n_queue + n <= s->cap_queue) return true;
    int cap = 2 * (s->n_queue + n);
    struct run_row *more = realloc(s->queue, sizeof *more * (size_t)cap);
    if (!more) return false;
    s->queue = more;
    s->cap_queue = cap;
    return true;
}

/* Room was made. */
static void join_queue(struct scheduler *s, const struct run_row *r)
{
    struct run_row *own = &s->queue[s->n_queue++];
    *own = *r;
    own->name = "";
    own->sqlstate = own->message = NULL;
}

static enum status load_queue(struct ctx *c, struct scheduler *s)
{
    struct run_row *rows;
    int n;
    TRY(runs_list(c, s->db, RUNS_QUEUED, 0, 0, c->arena, &rows, &n));
    if (!make_room(s, n)) return fail(c, ERR_MEMORY, "out of memory");
    s->n_queue = 0;
    for (int i = 0; i < n; i++)
        join_queue(s, &rows[i]);
    return OK;
}

/* Records what was decided, and tells who listens of the slots that will not run. */
static enum status record(struct ctx *c, struct scheduler *s, const struct run_row *rows, int n)
{
    TRY(runs_record(c, s->db, rows, n));
    for (int i = 0; i < n; i++)
        if (rows[i].status != RUN_QUEUED && *rows[i].name) schedule_told(s->e, &rows[i]);
    return OK;
}

/* Rows of the queue that end without having run, at a time: recorded, and gone from it. */
static enum status end_queued(struct ctx *c, struct scheduler *s, const bool *ends,
                              enum run_status status, const char *message, int64_t now)
{
    struct run_row *rows = arena_array(c->arena, struct run_row, s->n_queue + 1);
    int n = 0, kept = 0;
    for (int i = 0; i < s->n_queue; i++) {
        if (!ends[i]) continue;
        rows[n] = s->queue[i];
        rows[n].status = status;
        rows[n].finished_us = now;
        rows[n++].message = message;
    }
    TRY(record(c, s, rows, n));
    for (int i = 0; i < s->n_queue; i++)
        if (!ends[i]) s->queue[kept++] = s->queue[i];
    s->n_queue = kept;
    return OK;
}

static enum status end_dropped(struct ctx *c, struct scheduler *s)
{
    static const char why[] = "the schedule was dropped";
    bool *ends = arena_array(c->arena, bool, s->n_queue + 1), any = false;
    for (int i = 0; i < s->n_queue; i++)
        any |= ends[i] = !scheduler_plan(s, s->queue[i].schedule);
    for (const struct running *r = s->runs; r; r = r->next)
        if (!scheduler_plan(s, r->job.row.schedule))
            scheduler_cancel(s, r->job.row.schedule, true, why);
    return any ? end_queued(c, s, ends, RUN_CANCELLED, why, schedule_clock_us()) : OK;
}

/* The queue first: whatever is in it, its schedule is among definitions that are read later, unless
 * it was dropped. */
enum status scheduler_load(struct ctx *c, struct scheduler *s)
{
    struct schedules_seq before = schedules_seq(s->db), now;
    if (s->loaded && before.definitions == s->seen.definitions && before.queued == s->seen.queued)
        return OK;
    TRY(load_queue(c, s));
    now = schedules_seq(s->db);
    if (!s->loaded || now.definitions != s->seen.definitions) TRY(load_definitions(c, s));
    s->seen.definitions = now.definitions;
    s->loaded = true;
    TRY(end_dropped(c, s));
    s->seen.queued = before.queued;
    return OK;
}

/* ---- after a crash ---- */

static struct run_row next_attempt(struct db *db, const struct run_row *r, int64_t now)
{
    struct run_row again = *r;
    again.run = run_number(db);
    again.attempt++;
    again.status = RUN_QUEUED;
    again.scheduled_us = again.queued_us = now;
    again.started_us = again.finished_us = 0;
    again.sqlstate = again.message = NULL;
    return again;
}

static enum status crashes_of(struct ctx *c, struct scheduler *s, const struct run_row *r, int *n)
{
    struct run_row *rows;
    int n_rows;
    TRY(runs_list(c, s->db, RUNS_OF_SLOT, r->schedule, r->slot_us, c->arena, &rows, &n_rows));
    *n = 0;
    for (int i = 0; i < n_rows; i++)
        *n += rows[i].status == RUN_CRASHED;
    return OK;
}

/* It runs again, unless it was a slot that is to be left out when it is missed, and has no attempt
 * left; or unless it seems to be what the server dies of. */
enum status scheduler_after_crash(struct ctx *c, struct scheduler *s, int64_t now)
{
    struct run_row *crashed, *rows;
    int n, n_rows = 0, n_crashes;
    TRY(runs_list(c, s->db, RUNS_CRASHED, 0, 0, c->arena, &crashed, &n));
    rows = arena_array(c->arena, struct run_row, n + 1);
    for (int i = 0; i < n; i++) {
        const struct planned *p = scheduler_plan(s, crashed[i].schedule);
        if (!p) continue;
        struct run_row *again = &rows[n_rows++];
        *again = next_attempt(s->db, &crashed[i], now);
        TRY(crashes_of(c, s, &crashed[i], &n_crashes));
        if (n_crashes >= MOST_CRASHES) {
            again->status = RUN_FAILED;
            again->finished_us = now;
            again->message = "the server died each time that it ran";
        } else if (p->s->missed == MISSED_SKIP && crashed[i].kind == RUN_DUE &&
                   crashed[i].tries > p->s->retry) {
            again->status = RUN_SKIPPED;
            again->finished_us = now;
            again->message = "the server died while it ran (ON MISSED SKIP)";
        }
    }
    if (!make_room(s, n_rows)) return fail(c, ERR_MEMORY, "out of memory");
    TRY(record(c, s, rows, n_rows));
    for (int i = 0; i < n_rows; i++)
        if (rows[i].status == RUN_QUEUED) join_queue(s, &rows[i]);
    return OK;
}

/* ---- slots that have come ---- */

struct batch { /* what a look decides, recorded at once */
    struct run_row *rows;
    int n, cap;
};

static struct run_row *add_row(struct ctx *c, struct scheduler *s, struct batch *b,
                               const struct schedule *def, int64_t slot, int64_t now)
{
    if (b->n == b->cap) {
        int cap = b->cap ? 2 * b->cap : 64;
        struct run_row *more = arena_array(c->arena, struct run_row, cap);
        if (b->n) memcpy(more, b->rows, sizeof *more * (size_t)b->n);
        b->rows = more;
        b->cap = cap;
    }
    struct run_row *r = &b->rows[b->n++];
    *r = (struct run_row){.run = run_number(s->db),
                          .schedule = def->id,
                          .name = def->name,
                          .slot_us = slot,
                          .attempt = 1,
                          .tries = 1,
                          .kind = RUN_DUE,
                          .scheduled_us = slot,
                          .queued_us = now};
    return r;
}

static void skip(struct run_row *r, const char *message, int64_t now)
{
    r->status = RUN_SKIPPED;
    r->finished_us = now;
    r->message = message;
}

static void skip_missed(struct ctx *c, struct scheduler *s, struct batch *b, struct planned *p,
                        int64_t newest, int64_t now)
{
    static const char *const rules[] = {"ONCE", "SKIP", "ALL"};
    struct strbuf first = STRBUF_INIT;
    int64_t n = slot_count(&p->rule, p->mark_us, newest, MOST_COUNTED) + 1, oldest = newest;
    (void)slot_next(&p->rule, p->mark_us, &oldest);
    timestamp_format(oldest, &first);
    skip(add_row(c, s, b, p->s, newest, now),
         n == 1
             ? arena_printf(c->arena, "missed (ON MISSED %s)", rules[p->s->missed])
             : arena_printf(c->arena, "missed, as were all%s %lld slots from %s on (ON MISSED %s)",
                            n > MOST_COUNTED ? " of more than" : "", (long long)n, first.s,
                            rules[p->s->missed]),
         now);
    strbuf_release(&first);
}

/* A slot that was noticed in time, or an attempt after it; not a backfill, nor one that was missed:
 * those take nobody's place. */
static bool in_time(const struct run_row *r)
{
    return r->kind == RUN_DUE && (r->tries > 1 || r->queued_us - r->slot_us <= GRACE_US);
}

/* The run of such a slot that has not ended; NULL: there is none. */
static const struct run_row *busy_with(const struct scheduler *s, const struct batch *b, int64_t id)
{
    for (const struct running *r = s->runs; r; r = r->next)
        if (r->job.row.schedule == id && in_time(&r->job.row)) return &r->job.row;
    for (int i = 0; i < s->n_queue; i++)
        if (s->queue[i].schedule == id && s->queue[i].status == RUN_QUEUED && in_time(&s->queue[i]))
            return &s->queue[i];
    for (int i = b->n - 1; i >= 0 && b->rows[i].schedule == id; i--)
        if (b->rows[i].status == RUN_QUEUED && in_time(&b->rows[i])) return &b->rows[i];
    return NULL;
}

static const char *busy_text(struct ctx *c, const struct run_row *r)
{
    struct strbuf slot = STRBUF_INIT;
    timestamp_format(r->slot_us, &slot);
    const char *text =
        arena_printf(c->arena, "the run for slot %s had not ended (ON OVERLAP SKIP)", slot.s);
    strbuf_release(&slot);
    return text;
}

static const char superseded[] = "the next slot has come (ON OVERLAP CANCEL)";

/* What runs is cancelled, what waits will be by the batch. */
static void take_place(struct ctx *c, struct scheduler *s, struct batch *b,
                       const struct schedule *def, int64_t now)
{
    scheduler_cancel(s, def->id, false, superseded);
    for (int i = 0; i < s->n_queue; i++) {
        struct run_row *r = &s->queue[i];
        if (r->schedule != def->id || r->status != RUN_QUEUED || !in_time(r)) continue;
        r->status = RUN_CANCELLED;
        struct run_row *ended = add_row(c, s, b, def, r->slot_us, now);
        *ended = *r;
        ended->name = def->name;
        ended->finished_us = now;
        ended->message = superseded;
    }
}

/* A slot that is noticed in time. */
static void slot_came(struct ctx *c, struct scheduler *s, struct batch *b, const struct planned *p,
                      int64_t slot, int64_t now)
{
    const struct run_row *busy = busy_with(s, b, p->s->id);
    if (busy && p->s->overlap == OVERLAP_SKIP) {
        const char *text = busy_text(c, busy);
        skip(add_row(c, s, b, p->s, slot, now), text, now);
        return;
    }
    if (busy && p->s->overlap == OVERLAP_CANCEL) {
        for (int i = b->n - 1; i >= 0 && b->rows[i].schedule == p->s->id; i--)
            if (b->rows[i].status == RUN_QUEUED && in_time(&b->rows[i]))
                skip(&b->rows[i], superseded, now);
        take_place(c, s, b, p->s, now);
    }
    add_row(c, s, b, p->s, slot, now);
}

/* The clock was set back: slots that come again have been decided about, if there is a record. */
static enum status is_recorded(struct ctx *c, const struct scheduler *s, const struct planned *p,
                               int64_t slot, bool *recorded)
{
    struct run_row *rows;
    int n = 0;
    if (slot <= p->seen_us)
        TRY(runs_list(c, s->db, RUNS_OF_SLOT, p->s->id, slot, c->arena, &rows, &n));
    *recorded = n > 0;
    return OK;
}

/* All slots of one schedule that have come: those in time, and those that were missed. */
static enum status plan_due(struct ctx *c, struct scheduler *s, struct batch *b, struct planned *p,
                            int64_t now)
{
    int64_t *late = NULL, *timely = NULL, slot = now + 1, most_late = 0;
    int n_late = 0, n_timely = 0;
    bool recorded;
    timely = arena_array(c->arena, int64_t, GRACE_US / 100000 + 2);
    bool more = slot_prev(&p->rule, slot, &slot) && slot > p->mark_us;
    int64_t newest = slot;
    while (more && now - slot <= GRACE_US && n_timely <= GRACE_US / 100000) {
        timely[n_timely++] = slot;
        more = slot_prev(&p->rule, slot, &slot) && slot > p->mark_us;
    }
    if (p->s->missed == MISSED_ALL) most_late = p->s->missed_max;
    if (p->s->missed == MISSED_ONCE && n_timely == 0) most_late = 1;
    late = arena_array(c->arena, int64_t, most_late + 1);
    while (more && n_late < most_late) {
        late[n_late++] = slot;
        more = slot_prev(&p->rule, slot, &slot) && slot > p->mark_us;
    }
    if (more) skip_missed(c, s, b, p, slot, now);
    while (n_late > 0) {
        TRY(is_recorded(c, s, p, late[--n_late], &recorded));
        if (!recorded) add_row(c, s, b, p->s, late[n_late], now);
    }
    while (n_timely > 0) {
        TRY(is_recorded(c, s, p, timely[--n_timely], &recorded));
        if (!recorded) slot_came(c, s, b, p, timely[n_timely], now);
    }
    if (newest > p->mark_us) p->mark_us = newest;
    find_next(p);
    return OK;
}

/* Those AFTER another come with its record; they may find themselves running. */
static void followers_overlap(struct ctx *c, struct scheduler *s, struct batch *b, int64_t now)
{
    for (const struct running *r = s->runs; r; r = r->next) {
        const struct planned *p = scheduler_plan(s, r->job.row.schedule);
        if (!p || !p->s->after || p->s->overlap == OVERLAP_QUEUE || r->job.row.kind != RUN_DUE)
            continue;
        for (int i = 0; i < s->n_queue; i++) {
            struct run_row *q = &s->queue[i];
            if (q->schedule != p->s->id || q->kind != RUN_DUE || q->tries > 1 || q->attempt > 1 ||
                q->status != RUN_QUEUED)
                continue;
            if (p->s->overlap == OVERLAP_CANCEL) {
                scheduler_cancel(s, p->s->id, false, superseded);
                continue;
            }
            struct run_row *ended = add_row(c, s, b, p->s, q->slot_us, now);
            *ended = *q;
            ended->name = p->s->name;
            skip(ended, busy_text(c, &r->job.row), now);
            q->status = RUN_SKIPPED;
        }
    }
}

/* A clock that is set back must not stop a schedule until it is there again. */
static void follow_clock(struct scheduler *s, int64_t now)
{
    for (int i = 0; i < s->n_plans; i++) {
        struct planned *p = &s->plans[i];
        if (p->mark_us <= now) continue;
        if (p->mark_us > p->seen_us) p->seen_us = p->mark_us;
        p->mark_us = now;
        find_next(p);
    }
}

/* The batch is recorded, or not: the queue and the marks are as the catalog says. */
static enum status settle(struct ctx *c, struct scheduler *s, const struct batch *b,
                          const int64_t *marks, enum status st)
{
    if (st == OK && !make_room(s, b->n)) st = fail(c, ERR_MEMORY, "out of memory");
    if (st == OK) st = record(c, s, b->rows, b->n);
    int kept = 0;
    for (int i = 0; i < s->n_queue; i++) {
        if (st < 0) s->queue[i].status = RUN_QUEUED;
        if (s->queue[i].status == RUN_QUEUED) s->queue[kept++] = s->queue[i];
    }
    s->n_queue = kept;
    for (int i = 0; st == OK && i < b->n; i++)
        if (b->rows[i].status == RUN_QUEUED) join_queue(s, &b->rows[i]);
    for (int i = 0; st < 0 && i < s->n_plans; i++) {
        s->plans[i].mark_us = marks[i];
        find_next(&s->plans[i]);
    }
    return st;
}

enum status scheduler_due(struct ctx *c, struct scheduler *s, int64_t now)
{
    struct batch b = {0};
    follow_clock(s, now);
    int64_t *marks = arena_array(c->arena, int64_t, s->n_plans + 1);
    for (int i = 0; i < s->n_plans; i++)
        marks[i] = s->plans[i].mark_us;
    enum status st = OK;
    for (int i = 0; st == OK && i < s->n_plans; i++)
        if (s->plans[i].next_us <= now) st = plan_due(c, s, &b, &s->plans[i], now);
    followers_overlap(c, s, &b, now);
    return b.n || st < 0 ? settle(c, s, &b, marks, st) : OK;
}

/* ---- what starts next ---- */

static bool goes_before(const struct run_row *a, const struct run_row *b)
{
    bool a_fills = a->kind != RUN_DUE, b_fills = b->kind != RUN_DUE;
    if (a_fills != b_fills) return b_fills;
    if (a->scheduled_us != b->scheduled_us) return a->scheduled_us < b->scheduled_us;
    if (a->slot_us != b->slot_us) return a->slot_us < b->slot_us;
    return a->run < b->run;
}

/* Runs of one schedule follow each other, slot by slot, but for those IN PARALLEL. */
static bool may_start(const struct planned *p, const struct run_row *r, int64_t now)
{
    if (!p || !p->has_rule || r->scheduled_us > now) return false;
    if (r->kind == RUN_PARALLEL) return p->n_running == p->n_parallel;
    if (p->s->suspended && r->kind == RUN_DUE) return false;
    return p->n_running == 0 && p->first_us[r->kind] == r->slot_us;
}

int scheduler_choose(struct scheduler *s, int64_t now)
{
    int best = -1;
    for (int i = 0; i < s->n_plans; i++) {
        struct planned *p = &s->plans[i];
        p->first_us[RUN_DUE] = p->first_us[RUN_BACKFILL] = NEVER;
        p->n_running = p->n_parallel = 0;
    }
    for (const struct running *r = s->runs; r; r = r->next) {
        struct planned *p = scheduler_plan(s, r->job.row.schedule);
        if (!p) continue;
        p->n_running++;
        p->n_parallel += r->job.row.kind == RUN_PARALLEL;
    }
    for (int i = 0; i < s->n_queue; i++) {
        const struct run_row *r = &s->queue[i];
        struct planned *p = r->kind < RUN_PARALLEL ? scheduler_plan(s, r->schedule) : NULL;
        if (p && r->slot_us < p->first_us[r->kind]) p->first_us[r->kind] = r->slot_us;
    }
    for (int i = 0; i < s->n_queue; i++) {
        const struct run_row *r = &s->queue[i];
        if (best >= 0 && !goes_before(r, &s->queue[best])) continue;
        if (may_start(scheduler_plan(s, r->schedule), r, now)) best = i;
    }
    return best;
}

int64_t scheduler_wait_us(const struct scheduler *s, int64_t now, int64_t most_us)
{
    int64_t wait = most_us;
    for (int i = 0; i < s->n_plans; i++)
        if (s->plans[i].next_us != NEVER && s->plans[i].next_us - now < wait)
            wait = s->plans[i].next_us - now;
    for (int i = 0; i < s->n_queue; i++)
        if (s->queue[i].scheduled_us > now && s->queue[i].scheduled_us - now < wait)
            wait = s->queue[i].scheduled_us - now;
    return wait > 0 ? wait : 0;
}
