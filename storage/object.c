/* What happens to views, functions and constraints: texts under a name, within a transaction. */
#include "storage/db_internal.h"
#include <stdlib.h>

/* Views share the names of arrays. */
static const char lock_kinds[] = {
    [OBJECT_VIEW] = 'n', [OBJECT_FUNCTION] = 'f', [OBJECT_SCHEDULE] = 's'};
static const char *const words[] = {
    [OBJECT_VIEW] = "view", [OBJECT_FUNCTION] = "function", [OBJECT_SCHEDULE] = "schedule"};

static const struct object_change *own_object(const struct txn *t, enum object_kind k,
                                              const char *name)
{
    for (int i = t->n_objects - 1; i >= 0; i--)
        if (t->objects[i].kind == k && strcmp(t->objects[i].name, name) == 0) return &t->objects[i];
    return NULL;
}

enum status object_get(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                       const char **text)
{
    TRY(txn_snapshot(c, t));
    const struct object_change *own = own_object(t, k, name);
    const struct object *o = own ? NULL : state_object(t->snapshot, k, name);
    const char *found = own ? own->text : o ? o->text : NULL;
    *text = found ? arena_strdup(t->arena, found) : NULL;
    return OK;
}

static void add_object(struct txn *t, enum object_kind k, const char *name, const char *text)
{
    if (t->n_objects == t->cap_objects) {
        t->cap_objects = t->cap_objects ? 2 * t->cap_objects : 4;
        t->objects = realloc(t->objects, sizeof(*t->objects) * (size_t)t->cap_objects);
        if (!t->objects) abort();
    }
    t->objects[t->n_objects++] =
        (struct object_change){.kind = k, .name = strdup(name), .text = text ? strdup(text) : NULL};
}

/* The transaction's own last word on a name counts, and else what its snapshot has. */
enum status object_each(struct ctx *c, struct txn *t, enum object_kind k, object_fn *fn, void *self)
{
    TRY(txn_snapshot(c, t));
    for (int i = 0; i < t->snapshot->n_objects; i++) {
        const struct object *o = t->snapshot->objects[i];
        if (o->kind == k && !own_object(t, k, o->name)) TRY(fn(c, self, o->name, o->text));
    }
    for (int i = 0; i < t->n_objects; i++) {
        const struct object_change *o = &t->objects[i];
        if (o->kind == k && o->text && own_object(t, k, o->name) == o)
            TRY(fn(c, self, o->name, o->text));
    }
    return OK;
}

enum status object_put(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                       const char *text, bool replace)
{
    const char *old;
    TRY(txn_may_write(c, t));
    TRY(object_get(c, t, k, name, &old));
    if (k == OBJECT_VIEW && !(old && replace)) {
        TRY(name_claim(c, t, name));
    } else {
        TRY(name_check(c, name));
        TRY(txn_lock_name(c, t, lock_kinds[k], name));
        struct state *now = state_acquire(t->db);
        bool appeared = state_object(now, k, name) && !old && !own_object(t, k, name);
        state_release(t->db, now);
        if ((old || appeared) && !replace)
            return fail(c, ERR_DUPLICATE_OBJECT, "%s \"%s\" already exists", words[k], name);
    }
    add_object(t, k, name, text);
    return OK;
}

static const char *name_of_id(struct txn *t, const struct schema *s)
{
    return arena_printf(t->arena, "%u", s->id);
}

enum status array_object(struct ctx *c, struct txn *t, enum object_kind k, const struct schema *s,
                         const char **text)
{
    return object_get(c, t, k, name_of_id(t, s), text);
}

enum status array_set_object(struct ctx *c, struct txn *t, enum object_kind k,
                             const struct schema *s, const char *text)
{
    TRY(txn_may_write(c, t));
    add_object(t, k, name_of_id(t, s), text);
    return OK;
}

enum status objects_appeared(struct ctx *c, struct txn *t, enum object_kind k, object_fn *fn,
                             void *self)
{
    TRY(txn_snapshot(c, t));
    struct state *now = state_acquire(t->db);
    enum status s = OK;
    for (int i = 0; s == OK && now != t->snapshot && i < now->n_objects; i++) {
        const struct object *o = now->objects[i];
        if (o->kind == k && !state_object(t->snapshot, k, o->name))
            s = fn(c, self, o->name, o->text);
    }
    state_release(t->db, now);
    return s;
}

enum status object_drop(struct ctx *c, struct txn *t, enum object_kind k, const char *name)
{
    const char *old;
    TRY(txn_may_write(c, t));
    TRY(object_get(c, t, k, name, &old));
    if (!old && k != OBJECT_VIEW)
        return fail(c, k == OBJECT_FUNCTION ? ERR_UNDEFINED_FUNCTION : ERR_UNDEFINED_OBJECT,
                    "%s \"%s\" does not exist", words[k], name);
    if (!old) {
        struct change *ch;
        struct rev *r;
        txn_find(t, name, &ch, &r);
        if (ch || r) return fail(c, ERR_WRONG_OBJECT, "\"%s\" is not a view", name);
        return fail(c, ERR_UNDEFINED_TABLE, "view \"%s\" does not exist", name);
    }
    TRY(txn_lock_name(c, t, lock_kinds[k], name));
    add_object(t, k, name, NULL);
    return OK;
}

enum status object_rename(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                          const char *to)
{
    const char *text;
    TRY(object_get(c, t, k, name, &text));
    TRY(object_drop(c, t, k, name)); /* which finds what is wrong with the name */
    return object_put(c, t, k, to, text, false);
}
