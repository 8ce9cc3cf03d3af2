/* What do sys.schedules and sys.schedule_runs show? */
#include "query/schedule.h"
#include "query/session_internal.h"
#include "query/sysview.h"
#include "storage/base/datetime.h"

const struct sys_column schedule_columns[N_SCHEDULE_COLUMNS] = {{"name", T_TEXT},
                                                                {"rule", T_TEXT},
                                                                {"next_slot", T_TIMESTAMP},
                                                                {"state", T_TEXT},
                                                                {"last_slot", T_TIMESTAMP},
                                                                {"last_status", T_TEXT},
                                                                {"last_finished_at", T_TIMESTAMP},
                                                                {"last_message", T_TEXT},
                                                                {"owner", T_TEXT},
                                                                {"statement", T_TEXT},
                                                                {"options", T_TEXT},
                                                                {"comment", T_TEXT}};
const struct sys_column schedule_run_columns[N_SCHEDULE_RUN_COLUMNS] = {
    {"schedule", T_TEXT},
    {"slot", T_TIMESTAMP},
    {"attempt", T_INT64},
    {"status", T_TEXT},
    {"scheduled_at", T_TIMESTAMP},
    {"queued_at", T_TIMESTAMP},
    {"started_at", T_TIMESTAMP},
    {"finished_at", T_TIMESTAMP},
    {"rows", T_INT64},
    {"cells", T_INT64},
    {"bytes", T_INT64},
    {"sqlstate", T_TEXT},
    {"message", T_TEXT}};

static struct value text_or_null(const char *s)
{
    return s && *s ? value_text(s) : value_null(T_TEXT);
}

static struct value time_or_null(int64_t us)
{
    return us ? value_int(T_TIMESTAMP, us) : value_null(T_TIMESTAMP);
}

/* ---- sys.schedules ---- */

static void add_ms(struct strbuf *out, const char *word, int64_t ms)
{
    struct interval iv = {.us = ms * 1000};
    strbuf_addf(out, " %s '", word);
    interval_format(&iv, out);
    strbuf_addc(out, '\'');
}

static void options_text(const struct schedule *s, struct strbuf *out)
{
    static const char *const overlaps[] = {"SKIP", "QUEUE", "CANCEL"};
    static const char *const misses[] = {"ONCE", "SKIP", "ALL"};
    if (s->start_us != TIMESTAMP_MINUS_INFINITY) {
        strbuf_adds(out, "START '");
        timestamp_format(s->start_us, out);
        strbuf_adds(out, "' ");
    }
    if (s->end_us != TIMESTAMP_INFINITY) {
        strbuf_adds(out, "END '");
        timestamp_format(s->end_us, out);
        strbuf_adds(out, "' ");
    }
    strbuf_addf(out, "ON OVERLAP %s ON MISSED %s", overlaps[s->overlap], misses[s->missed]);
    if (s->missed == MISSED_ALL) strbuf_addf(out, " MAX %lld", (long long)s->missed_max);
    if (s->retry) {
        strbuf_addf(out, " RETRY %lld", (long long)s->retry);
        add_ms(out, "BACKOFF", s->backoff_ms);
    }
    if (s->timeout_ms) add_ms(out, "TIMEOUT", s->timeout_ms);
    if (s->suspend_after)
        strbuf_addf(out, " SUSPEND AFTER %lld FAILURES", (long long)s->suspend_after);
}

/* NULL: none comes by itself. */
static struct value next_slot(struct ctx *c, const struct schedule *s)
{
    struct slot_rule rule;
    struct ctx quiet = *c;
    int64_t now = schedule_clock_us(), slot;
    ctx_clear(&quiet);
    bool some = !s->after && !s->suspended && schedule_rule(&quiet, s, &rule) == OK &&
                slot_next(&rule, now > s->since_us ? now : s->since_us, &slot);
    return some ? value_int(T_TIMESTAMP, slot) : value_null(T_TIMESTAMP);
}

static const char *state_of(const struct schedule *s, const struct run_row *last, bool comes)
{
    if (last && last->status == RUN_RUNNING) return "running";
    if (s->suspended) return "suspended";
    if (last && last->status == RUN_QUEUED) return "queued";
    return comes || s->after ? "waiting" : "ended";
}

static enum status one_schedule(struct ctx *c, const struct schedule *s, const struct run_row *last,
                                sys_row_fn *fn, void *self)
{
    struct strbuf rule = STRBUF_INIT, options = STRBUF_INIT;
    struct value next = next_slot(c, s);
    const char *message = s->suspended ? s->suspended : last ? last->message : NULL;
    schedule_rule_text(s, &rule);
    options_text(s, &options);
    struct value row[N_SCHEDULE_COLUMNS] = {
        value_text(s->name),
        value_text(rule.s),
        next,
        value_text(state_of(s, last, !next.null)),
        time_or_null(last ? last->slot_us : 0),
        text_or_null(last ? run_status_name(last->status) : NULL),
        time_or_null(last ? last->finished_us : 0),
        text_or_null(message),
        text_or_null(s->owner),
        text_or_null(s->body),
        value_text(options.s),
        text_or_null(s->comment),
    };
    enum status st = fn(c, self, row, N_SCHEDULE_COLUMNS);
    strbuf_release(&rule);
    strbuf_release(&options);
    return st;
}

enum status schedule_rows(struct ctx *c, struct txn *t, sys_row_fn *fn, void *self)
{
    struct arena *arena = arena_new();
    struct schedule *list;
    struct run_row *last;
    int n, n_last;
    enum status s = schedules_list(c, t, arena, &list, &n);
    for (int i = 0; s == OK && i < n; i++) {
        s = runs_list(c, txn_db(t), RUNS_LAST, list[i].id, 0, arena, &last, &n_last);
        if (s == OK) s = one_schedule(c, &list[i], n_last ? last : NULL, fn, self);
    }
    arena_free(arena);
    return s;
}

/* ---- sys.schedule_runs ---- */

static enum status one_run(struct ctx *c, const struct run_row *r, sys_row_fn *fn, void *self)
{
    struct value row[N_SCHEDULE_RUN_COLUMNS] = {
        value_text(r->name),
        value_int(T_TIMESTAMP, r->slot_us),
        value_int(T_INT64, r->attempt),
        value_text(run_status_name(r->status)),
        time_or_null(r->scheduled_us),
        time_or_null(r->queued_us),
        time_or_null(r->started_us),
        time_or_null(r->finished_us),
        value_int(T_INT64, r->rows),
        value_int(T_INT64, r->cells),
        value_int(T_INT64, r->bytes),
        text_or_null(r->sqlstate),
        text_or_null(r->message),
    };
    return fn(c, self, row, N_SCHEDULE_RUN_COLUMNS);
}

/* A page at a time: years of seconds are many. */
enum status schedule_run_rows(struct ctx *c, struct txn *t, sys_row_fn *fn, void *self)
{
    struct arena *arena = arena_new();
    struct run_row *rows;
    int64_t above = INT64_MIN;
    int n = 1;
    enum status s = OK;
    while (s == OK && n > 0) {
        arena_reset(arena);
        s = runs_list(c, txn_db(t), RUNS_PAGE, above, 0, arena, &rows, &n);
        for (int i = 0; s == OK && i < n; i++) {
            s = one_run(c, &rows[i], fn, self);
            above = rows[i].run;
        }
    }
    arena_free(arena);
    return s;
}
