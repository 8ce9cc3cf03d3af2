/* How does a schedule run for a slot, and what is recorded of it?
 *
 * 1. All statements are one transaction. The record that the slot succeeded, and the queued runs of
 *    schedules AFTER it, are part of that transaction, so that they are there exactly when its
 *    result is.
 * 2. A failure is recorded after the transaction is gone, with what follows from it: another
 *    attempt, the skipped runs of those AFTER it, the suspension. A crash in between leaves the
 *    record "running", which the next start finds. */
#include "query/schedule.h"
#include "query/session_internal.h"
#include "storage/base/datetime.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_MOST_MS INT64_C(3600000)
enum { CONFLICT_TRIES = 5 };

/* ---- nobody takes the rows ---- */

static enum status no_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                              int n)
{
    (void)c, (void)cl, (void)cols, (void)n;
    return OK;
}

static enum status no_rows(struct ctx *c, struct client *cl, const struct column *cols, int n_cols,
                           const uint64_t *present, int64_t n)
{
    (void)c, (void)cl, (void)cols, (void)n_cols, (void)present, (void)n;
    return OK;
}

static enum status no_tag(struct ctx *c, struct client *cl, const char *tag)
{
    (void)c, (void)cl, (void)tag;
    return OK;
}

/* ---- the statements ---- */

/* What a statement did, as its tag says: "INSERT 0 12". */
static void count(struct run_row *row, const struct run *r)
{
    const char *space = strrchr(r->tag, ' ');
    int64_t n = space ? strtoll(space + 1, NULL, 10) : 0;
    if (r->stmt->kind == S_SELECT || (r->stmt->kind == S_COPY && !r->stmt->copy_from))
        row->rows += n;
    else
        row->cells += n;
}

static enum status run_body(struct ctx *c, struct session *s, struct schedule_job *j)
{
    struct client nobody = {.columns = no_columns, .rows = no_rows, .complete = no_tag};
    struct ast_script script;
    const char *body = j->schedule->body;
    j->row.rows = j->row.cells = 0;
    TRY(parse_script(c, body, strlen(body), &script));
    for (int i = 0; i < script.n; i++) {
        struct run r = {.s = s, .cl = &nobody, .stmt = script.v[i], .text = body};
        session_next_statement(s);
        TRY(run_statement(c, &r));
        count(&j->row, &r);
    }
    j->row.bytes = atomic_load(&s->counters.bytes_written);
    return OK;
}

/* ---- those AFTER it ---- */

static struct run_row row_after(struct db *db, const struct schedule *s, const struct run_row *of,
                                int64_t now)
{
    return (struct run_row){.run = run_number(db),
                            .schedule = s->id,
                            .name = s->name,
                            .slot_us = of->slot_us,
                            .attempt = 1,
                            .tries = 1,
                            .kind = of->kind,
                            .scheduled_us = now,
                            .queued_us = now};
}

static bool follows(const struct schedule_job *j, const struct schedule *s, const char *name)
{
    return s->after && !strcmp(s->after, name) && !s->suspended && j->row.slot_us >= s->start_us &&
           j->row.slot_us <= s->end_us;
}

static enum status queue_followers(struct ctx *c, struct txn *t, struct schedule_job *j)
{
    for (int i = 0; i < j->n; i++) {
        const struct schedule *s = &j->list[i];
        if (!follows(j, s, j->schedule->name)) continue;
        struct run_row row = row_after(txn_db(t), s, &j->row, j->row.finished_us);
        TRY(txn_record_run(c, t, &row));
    }
    return OK;
}

static enum status skip_followers(struct ctx *c, struct txn *t, struct schedule_job *j,
                                  const char *name)
{
    for (int i = 0; i < j->n; i++) {
        const struct schedule *s = &j->list[i];
        if (!follows(j, s, name)) continue;
        struct run_row row = row_after(txn_db(t), s, &j->row, j->row.finished_us);
        row.status = RUN_SKIPPED;
        row.finished_us = row.queued_us;
        char message[200];
        snprintf(message, sizeof message, "schedule \"%s\", which it runs after, %s this slot",
                 j->schedule->name,
                 j->row.status == RUN_CANCELLED ? "was cancelled at" : "failed at");
        row.message = message;
        TRY(txn_record_run(c, t, &row));
        TRY(skip_followers(c, t, j, s->name));
    }
    return OK;
}

/* ---- what came of it ---- */

/* The wait before attempt n + 1: doubled each time, up to an hour (or what was asked for). */
static int64_t backoff_us(const struct schedule *s, int64_t tries)
{
    int64_t ms = s->backoff_ms, most = ms > BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
    for (int64_t i = 1; i < tries && ms < most; i++)
        ms *= 2;
    return (ms < most ? ms : most) * 1000;
}

static enum status suspend(struct ctx *c, struct txn *t, const struct schedule *s, int64_t n)
{
    const char *text;
    struct schedule now;
    TRY(object_get(c, t, OBJECT_SCHEDULE, s->name, &text));
    if (!text) return OK;
    schedule_read(c->arena, s->name, text, &now);
    if (now.id != s->id || now.suspended) return OK;
    now.suspended =
        arena_printf(c->arena, "after %lld failure%s in a row", (long long)n, n == 1 ? "" : "s");
    struct strbuf out = STRBUF_INIT;
    schedule_text(&now, &out);
    enum status st = object_put(c, t, OBJECT_SCHEDULE, s->name, out.s, true);
    strbuf_release(&out);
    return st;
}

/* What follows from a failure: another attempt, or the end of the matter. */
static enum status record_failure(struct ctx *c, struct txn *t, struct schedule_job *j)
{
    const struct schedule *s = j->schedule;
    int64_t n;
    TRY(txn_record_run(c, t, &j->row));
    if (j->row.status == RUN_FAILED && j->row.tries <= s->retry) {
        struct run_row again = row_after(txn_db(t), s, &j->row, j->row.finished_us);
        again.attempt = j->row.attempt + 1;
        again.tries = j->row.tries + 1;
        again.scheduled_us = j->row.finished_us + backoff_us(s, j->row.tries);
        return txn_record_run(c, t, &again);
    }
    TRY(skip_followers(c, t, j, s->name));
    if (j->row.status != RUN_FAILED || !s->suspend_after) return OK;
    TRY(runs_failures(c, txn_db(t), s->id, s->since_us, &n));
    return n + 1 >= s->suspend_after ? suspend(c, t, s, n + 1) : OK;
}

enum status schedule_outcome(struct ctx *c, struct engine *e, struct schedule_job *j)
{
    struct txn *t;
    TRY(txn_begin(c, e->db, false, &t));
    enum status st = j->row.status == RUN_FAILED || j->row.status == RUN_CANCELLED
                         ? record_failure(c, t, j)
                         : txn_record_run(c, t, &j->row);
    if (st == OK)
        st = txn_commit(c, t);
    else
        txn_rollback(t);
    if (st == OK && j->row.status != RUN_QUEUED) schedule_told(e, &j->row);
    return st;
}

/* The error as the run's row says it. */
static void judge(struct ctx *c, struct session *s, struct schedule_job *j, enum status st,
                  bool committing)
{
    struct run_row *row = &j->row;
    const char *cancelled = atomic_load(&j->cancelled);
    row->finished_us = schedule_clock_us();
    row->rows = row->cells = row->bytes = 0;
    row->status = RUN_FAILED;
    snprintf(j->sqlstate, sizeof j->sqlstate, "%s", status_sqlstate(st));
    snprintf(j->message, sizeof j->message, "%s", c->err.message);
    if (committing && st == ERR_DUPLICATE_OBJECT) {
        row->status = RUN_SKIPPED;
        snprintf(j->message, sizeof j->message, "the slot has succeeded already");
    } else if (st == ERR_SHUTDOWN && !cancelled) { /* it runs again after the next start */
        row->status = RUN_QUEUED;
        row->started_us = row->finished_us = 0;
        snprintf(j->message, sizeof j->message, "the server stopped while it ran");
    } else if (st == ERR_CANCELLED || st == ERR_SHUTDOWN) {
        bool late = s->run_deadline_ns && now_ns() >= s->run_deadline_ns;
        if (cancelled || !late) row->status = RUN_CANCELLED;
        if (cancelled) snprintf(j->message, sizeof j->message, "%s", cancelled);
        if (!cancelled && late)
            snprintf(j->message, sizeof j->message, "canceled after its TIMEOUT of %lld ms",
                     (long long)j->schedule->timeout_ms);
    }
    row->sqlstate = row->status == RUN_QUEUED ? NULL : j->sqlstate;
    row->message = j->message;
}

enum status schedule_note(struct ctx *c, struct run *r, const char *sqlstate, const char *message)
{
    struct schedule_job *j = r->s->job;
    if (!j) return OK;
    struct run_row note = j->row;
    note.run = run_number(r->s->engine->db);
    note.kind = RUN_NOTE;
    note.status = RUN_SKIPPED;
    note.finished_us = schedule_clock_us();
    note.rows = note.cells = note.bytes = 0;
    note.sqlstate = sqlstate;
    note.message = message;
    return txn_record_run(c, r->s->txn, &note);
}

/* ---- one attempt ---- */

static enum status run_and_commit(struct ctx *c, struct session *s, struct schedule_job *j,
                                  bool *committing)
{
    *committing = false;
    TRY(need_txn(c, s));
    TRY(run_body(c, s, j));
    TRY(need_txn(c, s)); /* VACUUM is none of a transaction's */
    j->row.status = RUN_SUCCEEDED;
    j->row.finished_us = schedule_clock_us();
    j->row.sqlstate = j->row.message = NULL;
    TRY(txn_record_run(c, s->txn, &j->row));
    TRY(queue_followers(c, s->txn, j));
    TRY(schedule_tell(c, s, &j->row));
    *committing = true;
    return end_txn(c, s, true);
}

enum status schedule_run(struct ctx *c, struct session *s, struct schedule_job *j)
{
    struct arena *arena = arena_new();
    bool committing = false;
    s->job = j;
    s->read_only = false;
    s->run_deadline_ns = j->schedule->timeout_ms ? now_ns() + j->schedule->timeout_ms * 1000000 : 0;
    session_enter(c, s, arena, NULL);
    enum status st = OK;
    for (int i = 0; i < CONFLICT_TRIES; i++) { /* others may have changed what it read */
        if (atomic_load(&j->cancelled)) st = fail(c, ERR_CANCELLED, "canceled");
        if (st == OK) st = run_and_commit(c, s, j, &committing);
        if (st < 0) session_failed(s);
        if (st != ERR_SERIALIZATION && st != ERR_DEADLOCK) break;
        if (i + 1 == CONFLICT_TRIES) break;
        ctx_clear(c);
        st = OK;
    }
    if (st < 0) {
        judge(c, s, j, st, committing);
        ctx_clear(c);
        c->cancel = NULL; /* the outcome is recorded come what may */
        st = schedule_outcome(c, s->engine, j);
    }
    s->job = NULL;
    session_leave(c, s);
    arena_free(arena);
    return st;
}
