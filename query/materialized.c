/* What is a materialized array's definition, who may not change it by hand, and which are refreshed
 * when a transaction commits? */
#include "query/materialized.h"
#include "query/schedule.h"
#include <stdlib.h>
#include <string.h>

/* ---- definitions ---- */

static const struct ast_option *option(const struct ast_stmt *def, const char *name)
{
    for (int i = 0; i < def->options.n; i++)
        if (!strcmp(def->options.v[i].name, name)) return &def->options.v[i];
    return NULL;
}

static void read_options(struct materialized *m)
{
    const char *when = option(m->def, "refresh")->value;
    const struct ast_option *every = option(m->def, "every");
    m->when = !strcmp(when, "commit")  ? REFRESH_ON_COMMIT
              : !strcmp(when, "every") ? REFRESH_EVERY
                                       : REFRESH_MANUAL;
    m->every = every ? every->value : NULL;
    m->incremental = option(m->def, "incremental") != NULL;
}

static enum status parse_definition(struct ctx *c, const char *kept, struct materialized *m)
{
    struct ast_script script;
    m->text = arena_printf(c->arena, "CREATE MATERIALIZED ARRAY this %s", kept);
    TRY(parse_script(c, m->text, strlen(m->text), &script));
    m->def = script.v[0];
    read_options(m);
    return OK;
}

enum status materialized_get(struct ctx *c, struct session *s, const char *name, int pos,
                             struct materialized *out, bool *found)
{
    struct array_ref ref = {.name = name, .position = pos};
    const char *kept;
    *out = (struct materialized){0};
    TRY(need_txn(c, s));
    TRY(array_open(c, s->txn, &ref, &out->array));
    TRY(array_object(c, s->txn, OBJECT_MATERIALIZED, array_schema(out->array), &kept));
    *found = kept != NULL;
    return kept ? parse_definition(c, kept, out) : OK;
}

struct each {
    struct txn *txn;
    materialized_fn *fn;
    void *self;
};

static enum status give_array(struct ctx *c, void *self, const char *id, const char *text)
{
    const struct each *e = self;
    struct array *a;
    TRY(array_find(c, e->txn, (uint32_t)strtoul(id, NULL, 10), &a));
    return a ? e->fn(c, e->self, a, text) : OK;
}

enum status materialized_each(struct ctx *c, struct txn *t, materialized_fn *fn, void *self)
{
    struct each e = {t, fn, self};
    return object_each(c, t, OBJECT_MATERIALIZED, give_array, &e);
}

/* As it is kept: what the statement says after the array's name. */
static const char *definition_text(struct ctx *c, const struct run *r)
{
    struct materialized m = {.def = r->stmt};
    struct strbuf out = STRBUF_INIT;
    read_options(&m);
    strbuf_adds(&out, "REFRESH ");
    if (m.when == REFRESH_EVERY) {
        struct value every = value_text(m.every);
        strbuf_adds(&out, "EVERY ");
        value_literal(&every, &out);
    } else {
        strbuf_adds(&out, m.when == REFRESH_ON_COMMIT ? "ON COMMIT" : "MANUAL");
    }
    strbuf_addf(&out, "%s AS %.*s", m.incremental ? " INCREMENTAL" : "",
                r->stmt->body_end - r->stmt->body_pos, r->text + r->stmt->body_pos);
    const char *text = arena_strdup(c->arena, out.s);
    strbuf_release(&out);
    return text;
}

/* ---- CREATE ---- */

static enum status reads_itself(struct ctx *c, struct run *r, const struct sources *of, int depth)
{
    const char *name = last_part(&r->stmt->name);
    for (int i = 0; i < of->n; i++) {
        struct materialized m;
        struct query q;
        struct sources below;
        bool found;
        const char *source = array_schema(of->list[i].array)->name;
        if (!strcmp(source, name))
            return fail_at(c, ERR_INVALID_DEFINITION, r->stmt->name.pos,
                           "materialized array \"%s\" would depend on itself", name);
        TRY(materialized_get(c, r->s, source, -1, &m, &found));
        if (!found || depth == 0) continue;
        struct run inner = {.s = r->s, .stmt = m.def, .text = m.text};
        struct bind_env env = session_bind_env(&inner);
        env.stored = true;
        TRY(bind_select(c, &env, m.def->select, &q));
        TRY(query_sources(c, &q, &below));
        TRY(reads_itself(c, r, &below, depth - 1));
    }
    return OK;
}

/* Who writes them commits before they are read, or refreshes what is made of them. */
static enum status lock_sources(struct ctx *c, struct run *r, const struct sources *of)
{
    for (int i = 0; i < of->n; i++)
        TRY(array_lock(c, r->s->txn, array_schema(of->list[i].array)->name));
    return OK;
}

#define DEEPEST 100 /* materialized arrays over one another */

enum status materialized_check(struct ctx *c, struct run *r)
{
    struct materialized m = {.def = r->stmt};
    struct query q;
    struct sources of;
    TRY(need_txn(c, r->s));
    struct bind_env env = session_bind_env(r);
    env.stored = true;
    read_options(&m);
    TRY(bind_select(c, &env, r->stmt->select, &q));
    if (env.n_params > 0)
        return fail_at(c, ERR_UNDEFINED_PARAM, r->stmt->name.pos, "there is no parameter $1");
    if (m.incremental) TRY(refresh_in_part(c, &env, &q));
    TRY(query_sources(c, &q, &of));
    TRY(reads_itself(c, r, &of, DEEPEST));
    return m.when == REFRESH_ON_COMMIT ? lock_sources(c, r, &of) : OK;
}

enum status materialized_keep(struct ctx *c, struct run *r)
{
    const char *name = last_part(&r->stmt->name), *text = definition_text(c, r);
    struct materialized m;
    struct array_ref ref = {.name = name};
    struct query q;
    struct sources of;
    TRY(array_open(c, r->s->txn, &ref, &m.array));
    TRY(parse_definition(c, text, &m));
    struct run inner = {.s = r->s, .stmt = m.def, .text = m.text};
    struct bind_env env = session_bind_env(&inner);
    env.stored = true;
    TRY(bind_select(c, &env, m.def->select, &q));
    TRY(query_sources(c, &q, &of));
    TRY(array_set_object(c, r->s->txn, OBJECT_MATERIALIZED, array_schema(m.array), text));
    TRY(sources_remember(c, r->s, &m, &of, &text));
    TRY(array_set_object(c, r->s->txn, OBJECT_SEEN, array_schema(m.array), text));
    if (m.when != REFRESH_EVERY) return OK;
    return schedule_refresh(c, r, name, m.every, option(r->stmt, "every")->pos);
}

enum status drop_array(struct ctx *c, struct run *r, const char *name)
{
    TRY(schedule_refresh_drop(c, r, name));
    return array_drop(c, r->s->txn, name);
}

enum status rename_materialized(struct ctx *c, struct run *r, const char *name, const char *to)
{
    TRY(array_rename(c, r->s->txn, name, to));
    return schedule_refresh_rename(c, r, name, to);
}

/* ---- who may not ---- */

static enum status is_materialized(struct ctx *c, struct run *r, const char *name, bool *out)
{
    struct ctx quiet = *c;
    struct array_ref ref = {.name = name};
    struct array *a;
    const char *text = NULL;
    ctx_clear(&quiet);
    *out = false;
    if (array_open(&quiet, r->s->txn, &ref, &a) < 0) return OK; /* whoever needs it says more */
    TRY(array_object(c, r->s->txn, OBJECT_MATERIALIZED, array_schema(a), &text));
    *out = text != NULL;
    return OK;
}

enum status refuse_materialized(struct ctx *c, struct run *r, const struct ast_name *name,
                                const char *doing)
{
    bool is;
    TRY(is_materialized(c, r, last_part(name), &is));
    if (!is) return OK;
    fail_at(c, ERR_WRONG_OBJECT, name->pos, "cannot %s materialized array \"%s\"", doing,
            last_part(name));
    return hint(c, "It holds what its query gives: change what that reads, and REFRESH "
                   "MATERIALIZED ARRAY.");
}

enum status check_dropped(struct ctx *c, struct run *r, const struct ast_name *name,
                          bool materialized)
{
    bool is;
    struct array_ref ref = {.name = last_part(name), .position = name->pos};
    struct array *a;
    if (materialized) TRY(array_open(c, r->s->txn, &ref, &a));
    TRY(is_materialized(c, r, ref.name, &is));
    if (is == materialized) return OK;
    fail_at(c, ERR_WRONG_OBJECT, name->pos, "\"%s\" is %s materialized array", ref.name,
            is ? "a" : "no");
    return hint(c, "Use DROP %sARRAY.", is ? "MATERIALIZED " : "");
}

/* ---- at a commit ---- */

/* An array that is refreshed ON COMMIT, and what its last refresh saw. */
struct follower {
    uint32_t id;
    const char *name, *seen;
    bool waits; /* some source is newer than that */
};
struct followers {
    struct session *s;
    struct follower *list;
    int n;
};

static enum status note_follower(struct ctx *c, void *self, struct array *a, const char *text)
{
    struct followers *f = self;
    const char *on_commit = "REFRESH ON COMMIT", *seen;
    if (strncmp(text, on_commit, strlen(on_commit)) != 0) return OK;
    TRY(array_object(c, f->s->txn, OBJECT_SEEN, array_schema(a), &seen));
    f->list = arena_room(c->arena, f->list, f->n, sizeof *f->list);
    f->list[f->n++] =
        (struct follower){.id = array_schema(a)->id, .name = array_schema(a)->name, .seen = seen};
    return OK;
}

struct asking { /* about one follower's sources */
    const struct followers *all;
    struct ctx *c;
    enum status status;
    uint32_t array; /* does it read this one? */
    bool reads, newer, waits;
};

static void ask_source(void *self, uint32_t id, int64_t version)
{
    struct asking *q = self;
    struct array *a;
    if (q->status < 0) return;
    q->reads = q->reads || id == q->array;
    for (int i = 0; i < q->all->n; i++)
        q->waits = q->waits || (q->all->list[i].id == id && q->all->list[i].waits);
    q->status = array_find(q->c, q->all->s->txn, id, &a);
    if (q->status < 0 || !a) return;
    q->newer = q->newer || array_version(a) != version || txn_changes(q->all->s->txn, id);
}

static enum status ask(struct ctx *c, const struct followers *f, const struct follower *of,
                       uint32_t array, struct asking *out)
{
    *out = (struct asking){.all = f, .c = c, .array = array};
    if (of->seen) seen_walk(of->seen, ask_source, out);
    return out->status;
}

static int order_of_ids(const void *a, const void *b)
{
    const struct follower *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Those that wait for a source, or for one that does. */
static enum status mark_waiting(struct ctx *c, struct followers *f)
{
    struct asking q;
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < f->n; i++) {
            if (f->list[i].waits) continue;
            TRY(ask(c, f, &f->list[i], 0, &q));
            f->list[i].waits = q.newer || q.waits;
            more = more || f->list[i].waits;
        }
    }
    return OK;
}

enum status lock_refreshed(struct ctx *c, struct session *s, const char *name)
{
    struct followers f = {.s = s};
    struct array_ref ref = {.name = name};
    struct array *a;
    struct asking q;
    TRY(materialized_each(c, s->txn, note_follower, &f));
    if (!f.n) return OK;
    TRY(array_open(c, s->txn, &ref, &a));
    for (int i = 0; i < f.n; i++) {
        TRY(ask(c, &f, &f.list[i], array_schema(a)->id, &q));
        f.list[i].waits = q.reads;
    }
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < f.n; i++) {
            if (f.list[i].waits) continue;
            TRY(ask(c, &f, &f.list[i], 0, &q));
            f.list[i].waits = q.waits;
            more = more || q.waits;
        }
    }
    qsort(f.list, (size_t)f.n, sizeof *f.list, order_of_ids);
    for (int i = 0; i < f.n; i++)
        if (f.list[i].waits) TRY(array_lock(c, s->txn, f.list[i].name));
    return OK;
}

static enum status refresh_array(struct ctx *c, struct session *s, const char *name, int64_t *n)
{
    struct materialized m;
    struct refresh rf;
    bool found;
    TRY(array_lock(c, s->txn, name));
    TRY(materialized_get(c, s, name, -1, &m, &found));
    if (!found) return fail(c, ERR_WRONG_OBJECT, "\"%s\" is no materialized array", name);
    TRY(refresh_plan(c, s, &m, &rf));
    if (rf.why && m.incremental)
        notice(c, "00000", "materialized array \"%s\" is refreshed as a whole: %s", name, rf.why);
    return refresh_run(c, &rf, n);
}

static enum status appeared(struct ctx *c, void *self, const char *name, const char *text)
{
    struct session *s = self;
    struct followers none = {.s = s};
    struct asking q = {.all = &none, .c = c};
    (void)name;
    seen_walk(text, ask_source, &q);
    TRY(q.status);
    if (!q.newer) return OK;
    return fail(c, ERR_SERIALIZATION,
                "could not serialize access: a materialized array was made of what has changed");
}

enum status refresh_on_commit(struct ctx *c, struct session *s)
{
    struct followers f = {.s = s};
    struct asking q;
    int64_t n;
    if (!s->txn || !txn_has_writes(s->txn)) return OK;
    TRY(objects_appeared(c, s->txn, OBJECT_SEEN, appeared, s));
    TRY(materialized_each(c, s->txn, note_follower, &f));
    TRY(mark_waiting(c, &f));
    for (bool more = true; more;) {
        more = false;
        for (int i = 0; i < f.n; i++) {
            if (!f.list[i].waits) continue;
            TRY(ask(c, &f, &f.list[i], 0, &q));
            if (q.waits) continue; /* its sources first */
            enum status st = refresh_array(c, s, f.list[i].name, &n);
            if (st < 0) {
                c->err.position = -1;
                return detail(c, "While materialized array \"%s\" was refreshed.", f.list[i].name);
            }
            f.list[i].waits = false;
            more = true;
        }
    }
    return OK;
}

/* ---- REFRESH ---- */

enum status run_refresh(struct ctx *c, struct run *r)
{
    int64_t n;
    const char *name = last_part(&r->stmt->name);
    TRY(want_write(c, r->s, "REFRESH MATERIALIZED ARRAY"));
    TRY(need_txn(c, r->s));
    enum status st = refresh_array(c, r->s, name, &n);
    if (st < 0) {
        c->err.position = r->stmt->name.pos;
        return st;
    }
    return tag(r, "REFRESH %lld", (long long)n);
}

static void format_sources(const struct refresh *rf, struct strbuf *out)
{
    for (int i = 0; i < rf->sources.n; i++) {
        const struct source *s = &rf->sources.list[i];
        strbuf_addf(out, "source %s: version %lld", array_schema(s->array)->name,
                    (long long)array_version(s->array));
        if (s->since) strbuf_addf(out, ", seen %lld", (long long)s->since);
        if (s->tiles && changes_count(s->tiles) >= 0)
            strbuf_addf(out, ", tiles changed %lld", (long long)changes_count(s->tiles));
        strbuf_adds(out, s->grown ? ", grown\n" : "\n");
    }
}

enum status explain_refresh(struct ctx *c, struct run *r, struct strbuf *out)
{
    const struct ast_stmt *stmt = r->stmt->inner;
    const char *name = last_part(&stmt->name);
    struct materialized m;
    struct refresh rf;
    bool found;
    int64_t n, start = now_ns();
    TRY(need_txn(c, r->s));
    if (r->stmt->analyze) {
        TRY(want_write(c, r->s, "EXPLAIN ANALYZE of a change"));
        TRY(at(c, array_lock(c, r->s->txn, name), stmt->name.pos));
    }
    TRY(materialized_get(c, r->s, name, stmt->name.pos, &m, &found));
    if (!found)
        return fail_at(c, ERR_WRONG_OBJECT, stmt->name.pos, "\"%s\" is no materialized array",
                       name);
    TRY(refresh_plan(c, r->s, &m, &rf));
    strbuf_addf(out, "refresh %s: %s%s\n", name, rf.why ? "as a whole, " : "incrementally",
                rf.why ? rf.why : "");
    format_sources(&rf, out);
    if (!rf.why)
        strbuf_addf(out, "tiles of the result: %lld of %lld, in %lld boxes\n",
                    (long long)rf.n_touched, (long long)rf.n_tiles, (long long)rf.n_boxes);
    plan_format(&rf.q, out);
    if (!r->stmt->analyze) return OK;
    TRY(refresh_run(c, &rf, &n));
    strbuf_addf(out, "cells: %lld\ntime: %.3f ms\n", (long long)n,
                (double)(now_ns() - start) / 1e6);
    return OK;
}
