/* Which views and materialized arrays does a change break? */
#include "query/dependents.h"
#include "query/materialized.h"
#include <string.h>

struct view {
    const char *name, *text;
    bool materialized, candidate, broken;
};

struct dependents {
    struct view *views;
    int n;
};

enum status columns_of(struct ctx *c, struct run *r, const char *name, struct query *out)
{
    struct ast_script script;
    const char *text = arena_printf(c->arena, "SELECT * FROM \"%s\"", name);
    struct bind_env env = session_bind_env(r);
    TRY(parse_script(c, text, strlen(text), &script));
    return bind_select(c, &env, script.v[0]->select, out);
}

/* Does its query still give what the materialized array has? */
static enum status refreshes(struct ctx *c, struct run *r, const char *name)
{
    struct materialized m;
    struct refresh rf;
    bool found;
    TRY(materialized_get(c, r->s, name, -1, &m, &found));
    return refresh_check(c, r->s, &m, &rf);
}

static bool holds(struct ctx *c, struct run *r, const struct view *v)
{
    struct ctx quiet = *c;
    struct query q;
    ctx_clear(&quiet);
    quiet.notice = NULL;
    return (v->materialized ? refreshes(&quiet, r, v->name) : columns_of(&quiet, r, v->name, &q)) ==
           OK;
}

static void note(struct ctx *c, struct dependents *d, const char *name, const char *text,
                 bool materialized)
{
    d->views = arena_room(c->arena, d->views, d->n, sizeof *d->views);
    d->views[d->n++] = (struct view){.name = arena_strdup(c->arena, name),
                                     .text = arena_strdup(c->arena, text),
                                     .materialized = materialized};
}

static enum status note_view(struct ctx *c, void *self, const char *name, const char *text)
{
    note(c, self, name, text, false);
    return OK;
}

static enum status note_array(struct ctx *c, void *self, struct array *a, const char *text)
{
    note(c, self, array_schema(a)->name, text, true);
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
    TRY(object_each(c, r->s->txn, OBJECT_VIEW, note_view, d));
    TRY(materialized_each(c, r->s->txn, note_array, d));
    for (int i = 0; i < n; i++)
        mark_candidates(d, names[i]);
    for (int i = 0; i < d->n; i++)
        d->views[i].candidate = d->views[i].candidate && holds(c, r, &d->views[i]);
    *out = d;
    return OK;
}

static enum status is_there(struct ctx *c, struct run *r, const struct view *v, bool *out)
{
    const char *text = NULL;
    struct ctx quiet = *c;
    struct array_ref ref = {.name = v->name};
    struct array *a;
    ctx_clear(&quiet);
    if (!v->materialized)
        TRY(object_get(c, r->s->txn, OBJECT_VIEW, v->name, &text));
    else if (array_open(&quiet, r->s->txn, &ref, &a) == OK)
        TRY(array_object(c, r->s->txn, OBJECT_MATERIALIZED, array_schema(a), &text));
    *out = text != NULL;
    return OK;
}

/* The candidates that are still there and hold no longer. */
static enum status find_broken(struct ctx *c, struct run *r, struct dependents *d, int *n)
{
    *n = 0;
    for (int i = 0; i < d->n; i++) {
        struct view *v = &d->views[i];
        bool there;
        if (!v->candidate) continue;
        TRY(is_there(c, r, v, &there));
        v->broken = there && !holds(c, r, v);
        *n += v->broken;
    }
    return OK;
}

static const char *kind_of(const struct view *v)
{
    return v->materialized ? "materialized array" : "view";
}

static enum status drop_broken(struct ctx *c, struct run *r, const struct dependents *d)
{
    for (int i = 0; i < d->n; i++) {
        const struct view *v = &d->views[i];
        if (!v->broken) continue;
        notice(c, "00000", "drop cascades to %s %s", kind_of(v), v->name);
        TRY(v->materialized ? drop_array(c, r, v->name)
                            : object_drop(c, r->s->txn, OBJECT_VIEW, v->name));
    }
    return OK;
}

static enum status refuse_broken(struct ctx *c, const struct dependents *d, const char *what,
                                 const char *of, const char *advice)
{
    struct strbuf list = STRBUF_INIT;
    for (int i = 0; i < d->n; i++)
        if (d->views[i].broken)
            strbuf_addf(&list, "%s%s %s depends on %s", list.len ? "\n" : "", kind_of(&d->views[i]),
                        d->views[i].name, of);
    fail(c, ERR_DEPENDENT_OBJECTS, "cannot %s because other objects depend on it", what);
    detail(c, "%s", list.s);
    strbuf_release(&list);
    return hint(c, "%s", advice);
}

enum status dependents_settle(struct ctx *c, struct run *r, struct dependents *d, bool cascade,
                              const char *what, const char *of, const char *advice)
{
    int n;
    for (;;) { /* what is dropped may break more */
        TRY(find_broken(c, r, d, &n));
        if (n == 0) return OK;
        if (!cascade) return refuse_broken(c, d, what, of, advice);
        TRY(drop_broken(c, r, d));
    }
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
