/* CREATE, ALTER, RUN, DROP and COMMENT ON SCHEDULE: what the statements say, and what is wrong with
 * it. */
#include "query/schedule.h"
#include "query/session_internal.h"
#include "storage/base/datetime.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_DEFAULT_MS 10000
#define MS_PER_DAY INT64_C(86400000)

/* ---- options ---- */

static const struct ast_option *option(const struct ast_stmt *stmt, const char *name)
{
    for (int i = 0; i < stmt->options.n; i++)
        if (!strcmp(stmt->options.v[i].name, name)) return &stmt->options.v[i];
    return NULL;
}

static const char *option_text(const struct ast_stmt *stmt, const char *name)
{
    const struct ast_option *o = option(stmt, name);
    return o ? o->value : NULL;
}

static enum status refuse_repeats(struct ctx *c, const struct ast_stmt *stmt)
{
    for (int i = 0; i < stmt->options.n; i++)
        if (option(stmt, stmt->options.v[i].name) != &stmt->options.v[i])
            return fail_at(c, ERR_SYNTAX, stmt->options.v[i].pos,
                           "conflicting or redundant options");
    return OK;
}

/* A whole number within limits; it stays as it is when the option is not there. */
static enum status option_number(struct ctx *c, const struct ast_stmt *stmt, const char *name,
                                 const char *word, int64_t least, int64_t most, int64_t *out)
{
    const struct ast_option *o = option(stmt, name);
    if (!o) return OK;
    errno = 0;
    int64_t n = strtoll(o->value, NULL, 10);
    if (errno || n < least || n > most)
        return fail_at(c, ERR_INVALID_PARAMETER, o->pos, "%s must be from %lld to %lld", word,
                       (long long)least, (long long)most);
    *out = n;
    return OK;
}

/* A length of time. */
static enum status option_ms(struct ctx *c, const struct ast_stmt *stmt, const char *name,
                             const char *word, int64_t most_days, int64_t *out)
{
    const struct ast_option *o = option(stmt, name);
    struct interval iv;
    if (!o) return OK;
    struct text t = {o->value, (int64_t)strlen(o->value)};
    TRY(at(c, interval_parse(c, t, &iv), o->pos));
    int64_t ms = interval_us(&iv) / 1000;
    if (ms < 1 || ms > most_days * MS_PER_DAY)
        return fail_at(c, ERR_INVALID_PARAMETER, o->pos, "%s must be from 1 ms to %lld day%s", word,
                       (long long)most_days, most_days > 1 ? "s" : "");
    *out = ms;
    return OK;
}

static enum status option_time(struct ctx *c, struct run *r, const char *name, int64_t *out)
{
    const struct ast_option *o = option(r->stmt, name);
    struct bind_env env = session_bind_env(r);
    struct value v;
    if (!o) return OK;
    TRY(at(c, bind_const(c, &env, o->e, T_TIMESTAMP, &v), o->pos));
    if (v.null) return fail_at(c, ERR_NULL_VALUE, o->pos, "it must not be NULL");
    *out = v.i;
    return OK;
}

/* The rule's parts one after the other, so that an error is at its own. */
static enum status check_rule(struct ctx *c, const struct ast_stmt *stmt, const struct schedule *s)
{
    struct slot_rule rule;
    struct schedule part = {
        .cron = s->cron, .every = s->every, .start_us = s->start_us, .end_us = s->end_us};
    TRY(at(c, schedule_rule(c, &part, &rule), stmt->options.v[0].pos));
    part.zone = s->zone;
    if (part.zone) TRY(at(c, schedule_rule(c, &part, &rule), option(stmt, "time_zone")->pos));
    part.offset = s->offset;
    if (part.offset) TRY(at(c, schedule_rule(c, &part, &rule), option(stmt, "offset")->pos));
    return OK;
}

/* What it runs after is there, and does not run after it. */
static enum status check_after(struct ctx *c, struct run *r, const struct schedule *s)
{
    const struct ast_option *after = option(r->stmt, "after"), *zone = option(r->stmt, "time_zone");
    struct schedule *list;
    int n;
    if (zone)
        return fail_at(c, ERR_INVALID_DEFINITION, zone->pos,
                       "a schedule AFTER another has that one's slots, and no time zone");
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    const struct schedule *other = schedule_named(list, n, s->after);
    if (!strcmp(s->after, s->name))
        return fail_at(c, ERR_INVALID_DEFINITION, after->pos,
                       "schedule \"%s\" would run after itself", s->name);
    if (!other) {
        const char **names = arena_array(c->arena, const char *, n + 1);
        for (int i = 0; i < n; i++)
            names[i] = list[i].name;
        fail_at(c, ERR_UNDEFINED_OBJECT, after->pos, "schedule \"%s\" does not exist", s->after);
        const char *near = nearest_name(s->after, names, n);
        return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_OBJECT;
    }
    for (int depth = 0; other && other->after && depth <= n; depth++) {
        if (!strcmp(other->after, s->name)) {
            fail_at(c, ERR_INVALID_DEFINITION, after->pos, "schedule \"%s\" would run after itself",
                    s->name);
            return hint(c, "\"%s\" runs after it.", other->name);
        }
        other = schedule_named(list, n, other->after);
    }
    return OK;
}

static enum status read_options(struct ctx *c, struct run *r, struct schedule *s)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *overlap = option_text(stmt, "on_overlap"), *missed = option_text(stmt, "on_missed");
    TRY(refuse_repeats(c, stmt));
    s->every = option_text(stmt, "every");
    s->offset = option_text(stmt, "offset");
    s->cron = option_text(stmt, "cron");
    s->after = option_text(stmt, "after");
    s->zone = option_text(stmt, "time_zone");
    s->overlap = !overlap || overlap[0] == 's' ? OVERLAP_SKIP
                 : overlap[0] == 'q'           ? OVERLAP_QUEUE
                                               : OVERLAP_CANCEL;
    s->missed = !missed || missed[0] == 'o' ? MISSED_ONCE
                : missed[0] == 's'          ? MISSED_SKIP
                                            : MISSED_ALL;
    TRY(option_time(c, r, "start", &s->start_us));
    TRY(option_time(c, r, "end", &s->end_us));
    if (s->end_us < s->start_us)
        return fail_at(c, ERR_INVALID_DEFINITION, option(stmt, "end")->pos,
                       "END is before START: the schedule would never run");
    TRY(option_number(c, stmt, "missed_max", "MAX", 1, SCHEDULE_MISSED_MAX, &s->missed_max));
    TRY(option_number(c, stmt, "retry", "RETRY", 0, 100, &s->retry));
    TRY(option_number(c, stmt, "suspend_after", "SUSPEND AFTER", 1, 1000000, &s->suspend_after));
    TRY(option_ms(c, stmt, "backoff", "BACKOFF", 1, &s->backoff_ms));
    TRY(option_ms(c, stmt, "timeout", "TIMEOUT", 366, &s->timeout_ms));
    return s->after ? check_after(c, r, s) : check_rule(c, stmt, s);
}

/* ---- CREATE ---- */

static enum status find(struct ctx *c, struct run *r, const char *name, struct schedule *out,
                        bool *found)
{
    const char *text;
    TRY(object_get(c, r->s->txn, OBJECT_SCHEDULE, name, &text));
    *found = text != NULL;
    if (text) schedule_read(c->arena, name, text, out);
    return OK;
}

static enum status must_find(struct ctx *c, struct run *r, const char *name, struct schedule *out)
{
    bool found;
    TRY(find(c, r, name, out, &found));
    if (found) return OK;
    return fail(c, ERR_UNDEFINED_OBJECT, "schedule \"%s\" does not exist", name);
}

static enum status put(struct ctx *c, struct run *r, const struct schedule *s, bool replace)
{
    struct strbuf text = STRBUF_INIT;
    schedule_text(s, &text);
    enum status st = object_put(c, r->s->txn, OBJECT_SCHEDULE, s->name, text.s, replace);
    strbuf_release(&text);
    return st;
}

static void start_new(struct run *r, const char *name, struct schedule *s)
{
    *s = (struct schedule){.name = name,
                           .owner = "tessera",
                           .since_us = schedule_clock_us(),
                           .start_us = TIMESTAMP_MINUS_INFINITY,
                           .end_us = TIMESTAMP_INFINITY,
                           .missed_max = SCHEDULE_MISSED_MAX,
                           .backoff_ms = BACKOFF_DEFAULT_MS,
                           .id = run_number(r->s->engine->db)};
}

/* The statements' text, and where it stands in the statement's. */
static void body_of(struct ctx *c, const struct run *r, const char **body, int *pos)
{
    const struct ast_option *o = option(r->stmt, "body");
    const char *text = r->text;
    if (!o) {
        *pos = r->stmt->body_pos;
        *body = arena_strndup(c->arena, text + *pos, (size_t)(r->stmt->body_end - *pos));
        return;
    }
    size_t skip = 1; /* the opening quote: ', $$ or $tag$ */
    if (text[o->pos] == '$') skip = (size_t)(strchr(text + o->pos + 1, '$') - text - o->pos) + 1;
    *body = o->value;
    *pos = o->pos;
    if (!strncmp(text + o->pos + skip, o->value, strlen(o->value))) *pos += (int)skip;
}

static enum status create_schedule(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    struct schedule s, old;
    bool found;
    int body_pos;
    TRY(find(c, r, last_part(&stmt->name), &old, &found));
    if (found && stmt->if_not_exists) {
        notice(c, "42710", "schedule \"%s\" already exists, skipping", old.name);
        return tag(r, "CREATE SCHEDULE");
    }
    if (found && !stmt->or_replace)
        return fail_at(c, ERR_DUPLICATE_OBJECT, stmt->name.pos, "schedule \"%s\" already exists",
                       old.name);
    if (found && old.array)
        return fail_at(c, ERR_WRONG_OBJECT, stmt->name.pos,
                       "schedule \"%s\" belongs to materialized array \"%s\"", old.name, old.array);
    start_new(r, last_part(&stmt->name), &s);
    if (found) s.id = old.id; /* its slots that ran have run */
    TRY(read_options(c, r, &s));
    body_of(c, r, &s.body, &body_pos);
    TRY(schedule_check_body(c, r, s.body, body_pos));
    TRY(at(c, put(c, r, &s, stmt->or_replace), stmt->name.pos));
    return tag(r, "CREATE SCHEDULE");
}

/* ---- ALTER, COMMENT, DROP ---- */

static enum status alter_schedule(struct ctx *c, struct run *r)
{
    struct schedule s;
    TRY(at(c, must_find(c, r, last_part(&r->stmt->name), &s), r->stmt->name.pos));
    bool suspend = !strcmp(r->stmt->direction, "suspend");
    if (suspend == !s.suspended) {
        s.suspended = suspend ? "by ALTER SCHEDULE" : NULL;
        s.since_us = schedule_clock_us();
        TRY(put(c, r, &s, true));
    }
    return tag(r, "ALTER SCHEDULE");
}

enum status schedule_comment(struct ctx *c, struct run *r, const char *name)
{
    struct schedule s;
    TRY(must_find(c, r, name, &s));
    s.comment = r->stmt->to_name;
    return put(c, r, &s, true);
}

static bool goes_too(const struct run *r, const char *name)
{
    for (int i = 0; r->stmt->kind == S_DROP && i < r->stmt->n_names; i++)
        if (!strcmp(last_part(&r->stmt->names[i]), name)) return true;
    return false;
}

static enum status drop_with_followers(struct ctx *c, struct run *r, const char *name, bool cascade)
{
    struct schedule *list;
    int n;
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    TRY(object_drop(c, r->s->txn, OBJECT_SCHEDULE, name));
    for (int i = 0; i < n; i++) {
        if (!list[i].after || strcmp(list[i].after, name) != 0 || goes_too(r, list[i].name))
            continue;
        if (!cascade) {
            fail(c, ERR_DEPENDENT_OBJECTS,
                 "cannot drop schedule %s because other objects depend on it", name);
            detail(c, "schedule %s runs after schedule %s", list[i].name, name);
            return hint(c, "Use DROP ... CASCADE to drop the dependent objects too.");
        }
        TRY(drop_with_followers(c, r, list[i].name, true));
    }
    return OK;
}

enum status schedule_drop(struct ctx *c, struct run *r, const char *name)
{
    struct schedule s;
    TRY(must_find(c, r, name, &s));
    if (s.array) {
        fail(c, ERR_DEPENDENT_OBJECTS, "schedule \"%s\" belongs to materialized array \"%s\"", name,
             s.array);
        return hint(c, "Drop the array, or suspend the schedule: ALTER SCHEDULE \"%s\" SUSPEND.",
                    name);
    }
    return drop_with_followers(c, r, name, r->stmt->cascade);
}

/* ---- materialized arrays ---- */

/* A name that no schedule has: "refresh prices", or with a number behind it. */
static const char *refresh_name(struct ctx *c, const struct schedule *list, int n,
                                const char *array)
{
    size_t len = strlen(array);
    if (len > NAME_BYTES - 20) len = NAME_BYTES - 20;
    while (len > 0 && (array[len] & 0xc0) == 0x80) /* not within a character */
        len--;
    const char *name = arena_printf(c->arena, "refresh %.*s", (int)len, array), *base = name;
    for (int k = 2; schedule_named(list, n, name); k++)
        name = arena_printf(c->arena, "%s %d", base, k);
    return name;
}

static const char *refresh_body(struct ctx *c, const char *array)
{
    return arena_printf(c->arena, "REFRESH MATERIALIZED ARRAY %s", quoted_name(c->arena, array));
}

enum status schedule_refresh(struct ctx *c, struct run *r, const char *array, const char *every,
                             int pos)
{
    struct schedule s, *list;
    struct slot_rule rule;
    int n;
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    start_new(r, refresh_name(c, list, n, array), &s);
    s.every = every;
    s.array = array;
    s.body = refresh_body(c, array);
    TRY(at(c, schedule_rule(c, &s, &rule), pos));
    return put(c, r, &s, false);
}

/* The schedule that belongs to the array; NULL: none does. */
static struct schedule *schedule_of(struct schedule *list, int n, const char *array)
{
    for (int i = 0; i < n; i++)
        if (list[i].array && !strcmp(list[i].array, array)) return &list[i];
    return NULL;
}

/* It stays the same schedule, to its runs and to those AFTER it. */
enum status schedule_refresh_rename(struct ctx *c, struct run *r, const char *array, const char *to)
{
    struct schedule *list, *s;
    int n;
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    s = schedule_of(list, n, array);
    if (!s) return OK;
    const char *was = s->name, *is = refresh_name(c, list, n, to);
    TRY(object_drop(c, r->s->txn, OBJECT_SCHEDULE, was));
    s->name = is;
    s->array = to;
    s->body = refresh_body(c, to);
    TRY(put(c, r, s, false));
    for (int i = 0; i < n; i++) {
        if (!list[i].after || strcmp(list[i].after, was) != 0) continue;
        list[i].after = is;
        TRY(put(c, r, &list[i], true));
    }
    return OK;
}

enum status schedule_refresh_drop(struct ctx *c, struct run *r, const char *array)
{
    struct schedule *list, *s;
    int n;
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    s = schedule_of(list, n, array);
    return s ? drop_with_followers(c, r, s->name, r->stmt->cascade) : OK;
}

/* ---- RUN ---- */

/* A slot joins the queue, unless it has succeeded or is on its way. */
static enum status queue_slot(struct ctx *c, struct run *r, const struct schedule *s, int64_t slot,
                              int64_t now, bool *queued)
{
    struct db *db = r->s->engine->db;
    struct run_row *rows;
    int n;
    int64_t attempt = 1;
    TRY(runs_list(c, db, RUNS_OF_SLOT, s->id, slot, c->arena, &rows, &n));
    *queued = false;
    for (int i = 0; i < n; i++) {
        enum run_status st = rows[i].status;
        if (st == RUN_SUCCEEDED || st == RUN_QUEUED || st == RUN_RUNNING) return OK;
        if (rows[i].attempt >= attempt) attempt = rows[i].attempt + 1;
    }
    struct run_row row = {.run = run_number(db),
                          .schedule = s->id,
                          .name = s->name,
                          .slot_us = slot,
                          .attempt = attempt,
                          .tries = 1,
                          .kind = r->stmt->all ? RUN_PARALLEL : RUN_BACKFILL,
                          .scheduled_us = now,
                          .queued_us = now};
    *queued = true;
    return txn_record_run(c, r->s->txn, &row);
}

static enum status range_end(struct ctx *c, struct run *r, int i, int64_t *out)
{
    struct bind_env env = session_bind_env(r);
    const struct ast_expr *e = r->stmt->exprs.v[i];
    struct value v;
    TRY(at(c, bind_const(c, &env, e, T_TIMESTAMP, &v), e->pos));
    if (v.null) return fail_at(c, ERR_NULL_VALUE, e->pos, "a slot's time must not be NULL");
    *out = v.i;
    return OK;
}

static enum status run_range(struct ctx *c, struct run *r, const struct schedule *s,
                             const struct slot_rule *rule, int64_t now, int *n_queued)
{
    int64_t from, to;
    int n_left = 0;
    bool queued;
    TRY(range_end(c, r, 0, &from));
    TRY(range_end(c, r, 1, &to));
    if (to < from)
        return fail_at(c, ERR_INVALID_PARAMETER, r->stmt->exprs.v[1]->pos,
                       "the last slot is before the first");
    if (to > now) to = now; /* later ones come by themselves */
    int64_t slot = from == INT64_MIN ? from : from - 1;
    while (slot_next(rule, slot, &slot) && slot <= to) {
        if (slot < s->start_us || slot > s->end_us) continue;
        if (*n_queued == SCHEDULE_MISSED_MAX) {
            fail_at(c, ERR_LIMIT_EXCEEDED, r->stmt->exprs.v[0]->pos,
                    "more than %d slots lie between these times", SCHEDULE_MISSED_MAX);
            return hint(c, "Run them in parts.");
        }
        TRY(queue_slot(c, r, s, slot, now, &queued));
        *n_queued += queued;
        n_left += !queued;
    }
    if (n_left)
        notice(c, "00000", "%d slot%s that succeeded before or %s queued already %s left out",
               n_left, n_left > 1 ? "s" : "", n_left > 1 ? "are" : "is", n_left > 1 ? "are" : "is");
    return OK;
}

static enum status run_now(struct ctx *c, struct run *r)
{
    struct schedule s, *list;
    const struct schedule *root;
    struct slot_rule rule;
    bool queued = true;
    int n, n_queued = 1;
    int64_t now = schedule_clock_us();
    TRY(at(c, must_find(c, r, last_part(&r->stmt->name), &s), r->stmt->name.pos));
    TRY(schedules_list(c, r->s->txn, c->arena, &list, &n));
    if (!schedule_root(list, n, &s, &root))
        return fail_at(c, ERR_UNDEFINED_OBJECT, r->stmt->name.pos,
                       "schedule \"%s\" runs after one that does not exist", s.name);
    TRY(schedule_rule(c, root, &rule));
    if (r->stmt->exprs.n == 0) {
        TRY(queue_slot(c, r, &s, now, now, &queued));
    } else {
        n_queued = 0;
        TRY(run_range(c, r, &s, &rule, now, &n_queued));
    }
    return tag(r, "RUN SCHEDULE %d", n_queued);
}

enum status run_schedule_stmt(struct ctx *c, struct run *r)
{
    static const char *const words[] = {[S_CREATE_SCHEDULE] = "CREATE SCHEDULE",
                                        [S_ALTER_SCHEDULE] = "ALTER SCHEDULE",
                                        [S_RUN_SCHEDULE] = "RUN SCHEDULE"};
    TRY(want_write(c, r->s, words[r->stmt->kind]));
    TRY(need_txn(c, r->s));
    switch (r->stmt->kind) {
    case S_CREATE_SCHEDULE:
        return create_schedule(c, r);
    case S_ALTER_SCHEDULE:
        return alter_schedule(c, r);
    default:
        return run_now(c, r);
    }
}
