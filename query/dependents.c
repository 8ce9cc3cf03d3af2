/* Which views does a change break? */
#include "query/dependents.h"
#include <string.h>

struct view {
    const char *name, *text;
    bool candidate, gone;
};

struct dependents {
    struct view *views;
    int n, cap;
};

enum status columns_of(struct ctx *c, struct run *r, const char *name, struct query *out)
{
    struct ast_script script;
    const char *text = arena_printf(c->arena, "SELECT * FROM \"%s\"", name);
    struct bind_env env = session_bind_env(r);
    TRY(parse_script(c, text, strlen(text), &script));
    return bind_select(c, &env, script.v[0]->select, out);
}

static bool holds(struct ctx *c, struct run *r, const char *view)
{
    struct ctx quiet = *c;
    struct query q;
    ctx_clear(&quiet);
    quiet.notice = NULL;
    return columns_of(&quiet, r, view, &q) == OK;
}

static enum status note_view(struct ctx *c, void *self, const struct value *row, int n)
{
    struct dependents *d = self;
    (void)n;
    if (row[0].t.len != 4 || memcmp(row[0].t.s, "view", 4) != 0) return OK;
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 16;
        struct view *more = arena_array(c->arena, struct view, d->cap);
        if (d->n) memcpy(more, d->views, sizeof *more * (size_t)d->n);
        d->views = more;
    }
    d->views[d->n++] =
        (struct view){.name = arena_strndup(c->arena, row[1].t.s, (size_t)row[1].t.len),
                      .text = arena_strndup(c->arena, row[2].t.s, (size_t)row[2].t.len)};
    return OK;
}

/* Views whose text has the name somewhere, and views of those. */
static void mark_candidates(struct dependents *d, const char *name)
{
    for (int i = 0; i < d->n; i++) {
        struct view *v = &d->views[i];
        if (v->candidate || !strcasestr(v->text, name)) continue;
        v->candidate = true;
        mark_candidates(d, v->name);
    }
}

enum status dependents_find(struct ctx *c, struct run *r, const char *const *names, int n,
                            struct dependents **out)
{
    struct dependents *d = arena_new_of(c->arena, struct dependents);
    TRY(sys_scan(c, r->s->txn, SYS_OBJECTS, note_view, d));
    for (int i = 0; i < n; i++)
        mark_candidates(d, names[i]);
    for (int i = 0; i < d->n; i++)
        d->views[i].candidate = d->views[i].candidate && holds(c, r, d->views[i].name);
    *out = d;
    return OK;
}

/* The candidates that are still there and hold no longer. */
static enum status find_broken(struct ctx *c, struct run *r, struct dependents *d, int *n)
{
    *n = 0;
    for (int i = 0; i < d->n; i++) {
        struct view *v = &d->views[i];
        const char *text = NULL;
        if (!v->candidate) continue;
        TRY(object_get(c, r->s->txn, OBJECT_VIEW, v->name, &text));
        v->candidate = text && !holds(c, r, v->name);
        *n += v->candidate;
    }
    return OK;
}

enum status dependents_settle(struct ctx *c, struct run *r, struct dependents *d, bool cascade,
                              const char *what, const char *of, const char *advice)
{
    int n;
    TRY(find_broken(c, r, d, &n));
    if (n == 0) return OK;
    struct strbuf list = STRBUF_INIT;
    enum status st = OK;
    for (int i = 0; i < d->n && st == OK; i++) {
        if (!d->views[i].candidate) continue;
        strbuf_addf(&list, "%sview %s depends on %s", list.len ? "\n" : "", d->views[i].name, of);
        if (!cascade) continue;
        notice(c, "00000", "drop cascades to view %s", d->views[i].name);
        st = object_drop(c, r->s->txn, OBJECT_VIEW, d->views[i].name);
    }
    if (!cascade) {
        fail(c, ERR_DEPENDENT_OBJECTS, "cannot %s because other objects depend on it", what);
        detail(c, "%s", list.s);
        st = hint(c, "%s", advice);
    }
    strbuf_release(&list);
    return st;
}

enum status dependents_replaced(struct ctx *c, struct run *r, struct dependents *d,
                                const char *array)
{
    const char *of = arena_printf(c->arena, "array %s", array);
    TRY(at(c,
           dependents_settle(c, r, d, false, arena_printf(c->arena, "replace %s", of), of,
                             "The new array lacks what they name: drop them first."),
           r->stmt->name.pos));
    return OK;
}
