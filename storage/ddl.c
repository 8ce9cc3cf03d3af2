/* What happens to an array or view when its definition changes: create, drop, rename, resize and so
 * on, all within a transaction. */
#include "storage/base/names.h"
#include "storage/base/settings.h"
#include "storage/db_internal.h"
#include <stdlib.h>

/* ---- names ---- */

enum status undefined_array(struct ctx *c, struct txn *t, const char *name, int position)
{
    const char *view = NULL;
    TRY(object_get(c, t, OBJECT_VIEW, name, &view));
    if (view) return fail_at(c, ERR_WRONG_OBJECT, position, "\"%s\" is a view", name);
    int n = t->snapshot->n_revs;
    const char **names = arena_array(t->arena, const char *, n + 1);
    for (int i = 0; i < n; i++)
        names[i] = t->snapshot->revs[i]->name;
    const char *nearest = nearest_name(name, names, n);
    enum status s =
        fail_at(c, ERR_UNDEFINED_TABLE, position, "relation \"%s\" does not exist", name);
    if (nearest) hint(c, "Perhaps you meant \"%s\".", nearest);
    return s;
}

enum status name_check(struct ctx *c, const char *name)
{
    if (!*name) return fail(c, ERR_INVALID_NAME, "a name must not be empty");
    if (strlen(name) >= NAME_BYTES)
        return fail(c, ERR_NAME_TOO_LONG, "the name \"%s\" is longer than 63 bytes", name);
    return OK;
}

enum status name_claim(struct ctx *c, struct txn *t, const char *name)
{
    TRY(name_check(c, name));
    TRY(txn_lock_name(c, t, 'n', name));
    struct change *ch;
    struct rev *r;
    txn_find(t, name, &ch, &r);
    const char *view = NULL;
    TRY(object_get(c, t, OBJECT_VIEW, name, &view));
    bool taken = ch || r || view;
    struct state *now = state_acquire(t->db);
    struct rev *latest = state_find(now, name);
    if (latest && !taken) {
        taken = true; /* unless it was dropped or renamed here */
        for (struct change *k = t->changes; k; k = k->next)
            if (k->slot == latest->slot) taken = false;
    }
    const struct object *o = state_object(now, OBJECT_VIEW, name);
    if (o && !state_object(t->snapshot, OBJECT_VIEW, name)) taken = true;
    state_release(t->db, now);
    if (taken) return fail(c, ERR_DUPLICATE_TABLE, "relation \"%s\" already exists", name);
    return OK;
}

/* ---- create and drop ---- */

static enum status check_columns(struct ctx *c, const struct schema *s)
{
    if (s->n_dims < 1 || s->n_dims > MAX_DIMS)
        return fail(c, ERR_TOO_MANY_COLUMNS, "an array has 1 to %d dimensions", MAX_DIMS);
    if (s->n_attrs > MAX_ATTRS)
        return fail(c, ERR_TOO_MANY_COLUMNS, "an array has at most %d attributes", MAX_ATTRS);
    for (int i = 0; i < s->n_dims + s->n_attrs; i++) {
        const char *name = i < s->n_dims ? s->dims[i].name : s->attrs[i - s->n_dims].name;
        TRY(name_check(c, name));
        int d = schema_dim(s, name), k = schema_attr(s, name);
        if ((d >= 0 && d != i) || (k >= 0 && k + s->n_dims != i))
            return fail(c, ERR_DUPLICATE_COLUMN, "column \"%s\" specified more than once", name);
    }
    return OK;
}

enum status check_tiles(struct ctx *c, const struct schema *s)
{
    int64_t cells = 1, width = 1;
    for (int k = 0; k < s->n_attrs; k++)
        if ((int64_t)tile_width(s->attrs[k].type) > width)
            width = (int64_t)tile_width(s->attrs[k].type);
    for (int d = 0; d < s->n_dims; d++) {
        if (s->dims[d].tile < 1)
            return fail(c, ERR_INVALID_DEFINITION, "the tile of dimension \"%s\" must be positive",
                        s->dims[d].name);
        if (__builtin_mul_overflow(cells, s->dims[d].tile, &cells) || cells > TILE_MAX_BYTES ||
            cells * width > TILE_MAX_BYTES)
            return fail(c, ERR_INVALID_DEFINITION, "a tile of array \"%s\" would exceed %d MB",
                        s->name, (int)(TILE_MAX_BYTES >> 20));
    }
    return OK;
}

enum status array_create(struct ctx *c, struct txn *t, struct schema *s)
{
    TRY(txn_may_write(c, t));
    TRY(txn_snapshot(c, t));
    TRY(check_columns(c, s));
    schema_choose_tiles(s, c->settings ? c->settings->tile_size.n : TILE_TARGET_BYTES);
    TRY(check_tiles(c, s));
    TRY(name_claim(c, t, s->name));
    for (int k = 0; k < s->n_attrs; k++) {
        s->attrs[k].id = (uint16_t)(k + 1);
        s->attrs[k].added_later = false;
        s->attrs[k].dict = NULL;
    }
    pthread_mutex_lock(&t->db->mu);
    s->id = t->db->next_array++;
    struct slot *slot = slot_add(t->db, s->id, 1);
    pthread_mutex_unlock(&t->db->mu);
    struct def *d = def_new(s);
    struct change *ch = change_new(t, slot, NULL, d);
    ch->touched = true;
    def_unref(d);
    return OK;
}

enum status array_drop(struct ctx *c, struct txn *t, const char *name)
{
    struct change *ch;
    const char *text;
    TRY(txn_change(c, t, name, &ch));
    static const enum object_kind own[] = {OBJECT_CHECKS, OBJECT_MATERIALIZED, OBJECT_SEEN};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        TRY(array_object(c, t, own[i], &ch->def->s, &text));
        if (text) TRY(array_set_object(c, t, own[i], &ch->def->s, NULL));
    }
    ch->dropped = ch->touched = true;
    return OK;
}

/* ---- columns ---- */

enum status array_rename(struct ctx *c, struct txn *t, const char *name, const char *to)
{
    struct change *ch;
    TRY(txn_change(c, t, name, &ch));
    TRY(name_claim(c, t, to));
    struct def *d = change_edit(ch, 0);
    d->s.name = arena_strdup(d->arena, to);
    return OK;
}

static enum status find_column(struct ctx *c, const struct schema *s, const char *name, int *dim,
                               int *attr)
{
    *dim = schema_dim(s, name);
    *attr = schema_attr(s, name);
    if (*dim < 0 && *attr < 0)
        return fail(c, ERR_UNDEFINED_COLUMN, "column \"%s\" of relation \"%s\" does not exist",
                    name, s->name);
    return OK;
}

static enum status no_such_column_yet(struct ctx *c, const struct schema *s, const char *name)
{
    TRY(name_check(c, name));
    if (schema_dim(s, name) >= 0 || schema_attr(s, name) >= 0)
        return fail(c, ERR_DUPLICATE_COLUMN, "column \"%s\" of relation \"%s\" already exists",
                    name, s->name);
    return OK;
}

enum status array_rename_column(struct ctx *c, struct txn *t, const char *name, const char *column,
                                const char *to)
{
    struct change *ch;
    int dim, attr;
    TRY(txn_change(c, t, name, &ch));
    TRY(find_column(c, &ch->def->s, column, &dim, &attr));
    TRY(no_such_column_yet(c, &ch->def->s, to));
    struct def *d = change_edit(ch, 0);
    const char **where = dim >= 0 ? &d->s.dims[dim].name : &d->s.attrs[attr].name;
    *where = arena_strdup(d->arena, to);
    return OK;
}

enum status array_add_attr(struct ctx *c, struct txn *t, const char *name, const struct attr *attr)
{
    struct change *ch;
    uint16_t id = 0;
    TRY(txn_change(c, t, name, &ch));
    TRY(no_such_column_yet(c, &ch->def->s, attr->name));
    if (ch->def->s.n_attrs == MAX_ATTRS)
        return fail(c, ERR_TOO_MANY_COLUMNS, "an array has at most %d attributes", MAX_ATTRS);
    if (attr->not_null && (!attr->has_default || attr->deflt.null) && ch->totals.cells > 0)
        return fail(c, ERR_NOT_NULL, "column \"%s\" of relation \"%s\" contains null values",
                    attr->name, name);
    TRY(catalog_max_attr(c, t->db->catalog, ch->slot->id, &id));
    for (int k = 0; k < ch->def->s.n_attrs; k++)
        if (ch->def->s.attrs[k].id > id) id = ch->def->s.attrs[k].id;
    if (id + 1 >= ATTR_SUMMARY)
        return fail(c, ERR_LIMIT_EXCEEDED, "array \"%s\" has had too many attributes", name);
    struct def *d = change_edit(ch, 1);
    struct attr *a = &d->s.attrs[d->s.n_attrs++];
    *a = *attr;
    a->id = (uint16_t)(id + 1);
    a->added_later = true;
    a->name = arena_strdup(d->arena, attr->name);
    a->unit = attr->unit ? arena_strdup(d->arena, attr->unit) : NULL;
    a->comment = attr->comment ? arena_strdup(d->arena, attr->comment) : NULL;
    a->dict = NULL;
    a->deflt = attr->has_default ? value_dup(d->arena, &attr->deflt) : value_null(attr->type);
    return OK;
}

/* The records of an attribute no longer count. */
static enum status uncount_attr(struct ctx *c, struct txn *t, struct change *ch, uint16_t attr)
{
    struct array *a;
    TRY(change_open(c, t, ch, &a));
    struct box all = {.n_dims = a->def->s.n_dims};
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    struct store_scan scan;
    struct tile_key keys[64];
    int64_t n;
    store_scan_init(&scan, t->db->store, ch->slot->id, attr, &all, &a->view);
    int64_t before = ch->totals.tiles, gone = 0;
    do {
        TRY(check_cancel(c));
        TRY(store_scan_next(c, &scan, keys, 64, &n));
        for (int64_t i = 0; i < n; i++) {
            struct tile_ref presence;
            TRY(tile_fetch(c, a, ATTR_PRESENCE, T_NONE, keys[i].coords, FETCH_CACHED, &presence));
            if (presence.tile) {
                gone++;
                ch->totals.digest -= tile_digest(&keys[i]);
            }
            tile_done(a, &presence);
        }
    } while (n > 0);
    ch->totals.tiles -= gone;
    if (before)
        ch->totals.bytes -= (int64_t)((double)ch->totals.bytes * (double)gone / (double)before);
    return OK;
}

enum status array_drop_attr(struct ctx *c, struct txn *t, const char *name, const char *attr)
{
    struct change *ch;
    int dim, k;
    TRY(txn_change(c, t, name, &ch));
    TRY(find_column(c, &ch->def->s, attr, &dim, &k));
    if (dim >= 0)
        return fail(c, ERR_WRONG_OBJECT, "\"%s\" is a dimension and cannot be dropped", attr);
    TRY(uncount_attr(c, t, ch, ch->def->s.attrs[k].id));
    def_remove_attr(change_edit(ch, 0), k);
    return OK;
}

enum status array_annotate(struct ctx *c, struct txn *t, const char *name, const char *column,
                           const char *key, const char *text)
{
    struct change *ch;
    int dim = -1, attr = -1;
    bool unit = strcmp(key, "unit") == 0;
    if ((!unit && strcmp(key, "comment") != 0) || (unit && !column))
        return fail(c, ERR_INVALID_PARAMETER, "unrecognized parameter \"%s\"", key);
    TRY(txn_change(c, t, name, &ch));
    if (column) TRY(find_column(c, &ch->def->s, column, &dim, &attr));
    struct def *d = change_edit(ch, 0);
    const char **where = &d->s.comment;
    if (dim >= 0) where = unit ? &d->s.dims[dim].unit : &d->s.dims[dim].comment;
    if (attr >= 0) where = unit ? &d->s.attrs[attr].unit : &d->s.attrs[attr].comment;
    *where = text ? arena_strdup(d->arena, text) : NULL;
    return OK;
}

/* ---- bounds ---- */

static enum status bound(struct ctx *c, const struct dim *d, const struct value *v, int64_t *pos)
{
    struct axis x = d->axis;
    bool found;
    x.limit_lo = INT64_MIN;
    x.limit_hi = INT64_MAX;
    x.grows = true;
    TRY(axis_find(c, &x, v, &found, pos));
    if (found) return OK;
    struct strbuf text = STRBUF_INIT, near = STRBUF_INIT;
    value_format(v, &text);
    struct value nearest = axis_coord(&x, *pos);
    value_format(&nearest, &near);
    fail(c, ERR_INVALID_DEFINITION, "%s is not a whole number of steps on dimension \"%s\"", text.s,
         d->name);
    enum status s = hint(c, "The nearest coordinate is %s.", near.s);
    strbuf_release(&text);
    strbuf_release(&near);
    return s;
}

static enum status clear_outside(struct ctx *c, struct txn *t, struct change *ch,
                                 const struct box *keep)
{
    struct writer *w;
    TRY(writer_open_change(c, t, ch, CONFLICT_DELETE, NULL, 0, &w));
    enum status s = writer_clear(c, w, keep);
    if (s == OK) s = writer_finish(c, w);
    writer_free(w);
    return s;
}

enum status array_resize(struct ctx *c, struct txn *t, const char *name, const char *dim,
                         const struct value *lo, const struct value *hi)
{
    struct change *ch;
    TRY(txn_change(c, t, name, &ch));
    int i = schema_dim(&ch->def->s, dim);
    if (i < 0)
        return fail(c, ERR_UNDEFINED_COLUMN, "dimension \"%s\" of relation \"%s\" does not exist",
                    dim, name);
    const struct dim *m = &ch->def->s.dims[i];
    if (m->axis.kind != AXIS_REGULAR)
        return fail(c, ERR_WRONG_OBJECT, "dimension \"%s\" has labels and cannot be resized", dim);
    int64_t first = INT64_MIN, last = INT64_MAX - 1;
    if (lo) TRY(bound(c, m, lo, &first));
    if (hi) TRY(bound(c, m, hi, &last));
    if (lo && hi && first > last) {
        if (!axis_descending(&m->axis))
            return fail(c, ERR_INVALID_DEFINITION, "the bounds of dimension \"%s\" are reversed",
                        dim);
        int64_t swap = first;
        first = last;
        last = swap;
    }
    struct axis x = m->axis;
    x.limit_lo = first;
    x.limit_hi = hi ? last + 1 : INT64_MAX;
    x.grows = !lo || !hi;
    x.lo = lo ? first : m->axis.lo;
    x.hi = hi ? last + 1 : (m->axis.hi > x.lo ? m->axis.hi : x.lo);
    if (x.lo > x.hi) x.lo = x.hi;
    if (x.lo > m->axis.lo || x.hi < m->axis.hi) {
        struct box keep;
        schema_box(&ch->def->s, &keep);
        keep.lo[i] = x.lo;
        keep.hi[i] = x.hi;
        TRY(clear_outside(c, t, ch, &keep));
    }
    change_edit(ch, 0)->s.dims[i].axis = x;
    return OK;
}

enum status array_set_axes(struct ctx *c, struct txn *t, const char *name,
                           const struct schema *like)
{
    struct change *ch;
    TRY(txn_change(c, t, name, &ch));
    struct def *d = change_edit(ch, 0);
    for (int i = 0; i < d->s.n_dims; i++) {
        const struct axis *x = &like->dims[i].axis;
        struct axis was = d->s.dims[i].axis;
        struct label_set *all = NULL;
        if (x->kind == AXIS_LABELLED) {
            bool more = axis_extends(&was, x) && !(was.labels && was.labels->stored);
            int64_t from = more && was.labels ? was.labels->n : 0, n = x->labels ? x->labels->n : 0;
            const char *values = n ? x->labels->values : "";
            all = labels_grow(x->type, x->grows, more ? was.labels : NULL,
                              values + (size_t)from * type_bytes(x->type), n - from);
            ch->relabel[i] = ch->relabel[i] || !more;
        } else if (was.kind == AXIS_LABELLED) {
            ch->relabel[i] = true;
        }
        d->s.dims[i].axis = *x;
        def_set_labels(d, i, all);
    }
    return OK;
}

enum status array_truncate(struct ctx *c, struct txn *t, const char *name)
{
    struct change *ch;
    TRY(txn_change(c, t, name, &ch));
    TRY(clear_outside(c, t, ch, NULL));
    files_forget(t, ch->slot);
    struct def *d = change_edit(ch, 0);
    for (int i = 0; i < d->s.n_dims; i++) {
        struct axis *x = &d->s.dims[i].axis;
        if (!x->grows) continue;
        if (x->kind == AXIS_LABELLED) {
            def_set_labels(d, i, labels_grow(x->type, true, NULL, NULL, 0));
            ch->relabel[i] = true;
        } else {
            x->lo = x->hi = x->limit_lo != INT64_MIN ? x->limit_lo : 0;
        }
    }
    return OK;
}
