/* Where do coordinates lie, and which labels and texts have joined? */
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

/* ---- labels ---- */

static uint64_t label_hash(const struct value *v)
{
    if (v->type == T_TEXT) return XXH3_64bits(v->t.s, (size_t)v->t.len);
    return XXH3_64bits(&v->u, sizeof(v->u));
}

/* The place of a value in the table: of its entry, or where it would go. */
static int64_t label_place(const struct wlabels *l, const struct value *v)
{
    uint64_t mask = (uint64_t)l->table_size - 1, h = label_hash(v) & mask;
    for (;; h = (h + 1) & mask) {
        if (!l->table[h]) return (int64_t)h;
        struct value o = value_get(v->type, l->values, l->table[h] - 1);
        if (value_compare(&o, v) == 0) return (int64_t)h;
    }
}

static void labels_rehash(struct wlabels *l, enum type type)
{
    int64_t size = 64;
    while (size < 4 * l->n)
        size *= 2;
    free(l->table);
    l->table = calloc((size_t)size, sizeof(*l->table));
    if (!l->table) abort();
    l->table_size = size;
    for (int64_t i = 0; i < l->n; i++) {
        struct value v = value_get(type, l->values, i);
        l->table[label_place(l, &v)] = (uint32_t)(i + 1);
    }
}

/* The index of a label among those that joined; it joins when it is new. Under mu. */
static int64_t join_label(struct writer *w, int d, struct value v)
{
    struct wlabels *l = &w->labels[d];
    if (!l->table || 2 * l->n >= l->table_size) labels_rehash(l, v.type);
    int64_t at = label_place(l, &v);
    if (l->table[at]) return l->table[at] - 1;
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->values = realloc(l->values, type_bytes(v.type) * (size_t)l->cap);
        if (!l->values) abort();
    }
    if (v.type == T_TEXT) v = value_dup(w->arena, &v);
    value_put(&v, l->values, l->n++);
    l->table[at] = (uint32_t)l->n;
    w->growth++;
    return l->n - 1;
}

static enum status not_on_axis(struct ctx *c, const struct writer *w, int d, const struct value *v)
{
    struct strbuf text = STRBUF_INIT, axis = STRBUF_INIT;
    value_literal(v, &text);
    axis_format(&w->s->dims[d].axis, &axis);
    fail(c, ERR_OUT_OF_BOUNDS, "coordinate %s is not on dimension \"%s\" of array \"%s\"", text.s,
         w->s->dims[d].name, w->s->name);
    enum status s = detail(c, "The dimension is %s.", axis.s);
    strbuf_release(&text);
    strbuf_release(&axis);
    return s;
}

/* Logical positions of the known labels to stored ones; the rest joins, if it may. */
static enum status place_labels(struct ctx *c, struct writer *w, int d, const void *values,
                                int64_t n, int64_t *pos, const uint8_t *found)
{
    const struct axis *x = &w->s->dims[d].axis;
    const struct labels *l = x->labels;
    int64_t n_old = l ? l->n : 0;
    bool may_join = x->grows && writer_inserts(w);
    enum status s = OK;
    pthread_mutex_lock(&w->mu);
    for (int64_t i = 0; s == OK && i < n; i++) {
        if (found[i]) {
            if (l->stored) pos[i] = l->stored[pos[i]];
            continue;
        }
        struct value v = value_get(x->type, values, i);
        bool number = !type_is_float(x->type) || v.d == v.d;
        if (number && type_is_float(x->type) && v.d == 0) v.d = 0; /* -0.0 is the same label */
        if (may_join && number)
            pos[i] = n_old + join_label(w, d, v);
        else
            s = not_on_axis(c, w, d, &v);
    }
    pthread_mutex_unlock(&w->mu);
    return s;
}

static enum status no_null_coords(struct ctx *c, const struct writer *w, int d,
                                  const struct column *coords, int64_t n)
{
    if (!coords->valid || bits_all(coords->valid, 0, n)) return OK;
    return fail(c, ERR_NOT_NULL,
                "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                w->s->dims[d].name, w->s->name);
}

enum status writer_positions(struct ctx *c, struct writer *w, int d, const struct column *coords,
                             int64_t n, int64_t *pos)
{
    const struct axis *x = &w->s->dims[d].axis;
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *found_bytes;
    TRY(no_null_coords(c, w, d, coords, n));
    TRY(scratch_alloc(c, (size_t)(n ? n : 1), &found_bytes));
    uint8_t *found = found_bytes;
    enum status s = OK;
    if (x->kind == AXIS_LABELLED && (!x->labels || x->labels->n == 0))
        memset(found, 0, (size_t)n);
    else
        axis_find_many(x, coords->values, n, pos, found);
    if (x->kind == AXIS_LABELLED) {
        s = place_labels(c, w, d, coords->values, n, pos, found);
    } else {
        for (int64_t i = 0; s == OK && i < n; i++) {
            if (found[i] && pos[i] >= w->limits.lo[d] && pos[i] < w->limits.hi[d]) continue;
            struct value v = value_get(x->type, coords->values, i);
            s = not_on_axis(c, w, d, &v);
        }
    }
    scratch_release(c->scratch, mark);
    return s;
}

/* ---- growth ---- */

void writer_grow(struct writer *w, const struct box *box)
{
    pthread_mutex_lock(&w->mu);
    for (int d = 0; d < w->s->n_dims; d++) {
        if (w->s->dims[d].axis.kind != AXIS_REGULAR) continue;
        bool none = w->grown.lo[d] >= w->grown.hi[d];
        bool open_below = w->s->dims[d].axis.limit_lo == INT64_MIN;
        if (box->lo[d] < w->grown.lo[d] || (none && open_below)) {
            w->grown.lo[d] = box->lo[d];
            w->growth++;
        }
        if (box->hi[d] > w->grown.hi[d] || none) {
            w->grown.hi[d] = box->hi[d];
            w->growth++;
        }
    }
    pthread_mutex_unlock(&w->mu);
}

struct def *writer_grown_def(struct writer *w)
{
    struct def *d = def_copy(w->def, 0);
    pthread_mutex_lock(&w->mu);
    for (int i = 0; i < d->s.n_dims; i++) {
        struct axis *x = &d->s.dims[i].axis;
        const struct wlabels *l = &w->labels[i];
        if (x->kind == AXIS_REGULAR) {
            x->lo = w->grown.lo[i];
            x->hi = w->grown.hi[i];
        } else if (l->n) {
            def_set_labels(d, i, labels_grow(x->type, x->grows, x->labels, l->values, l->n));
        }
    }
    for (int k = 0; k < d->s.n_attrs; k++) {
        struct strings *list = w->strings[k];
        if (!list) continue;
        if (d->strings[k] != list) atomic_fetch_add(&list->refs, 1);
        def_set_strings(d, k, list, list->n);
    }
    pthread_mutex_unlock(&w->mu);
    return d;
}

/* ---- columns as they are stored ---- */

static enum status encode_texts(struct ctx *c, struct writer *w, int k, const struct column *col,
                                const uint64_t *present, int64_t n, void **out)
{
    void *p;
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)(n ? n : 1), &p));
    uint32_t *codes = p;
    const struct text *texts = col->values;
    struct text last = {0};
    int64_t last_code = -1;
    enum status s = OK;
    pthread_mutex_lock(&w->mu);
    for (int64_t i = 0; s == OK && i < n; i++) {
        codes[i] = 0;
        if (present && !bit_get(present, i)) continue;
        if (column_is_null(col, i)) continue;
        bool same = last_code >= 0 && texts[i].len == last.len &&
                    (last.len == 0 || memcmp(texts[i].s, last.s, (size_t)last.len) == 0);
        if (!same) {
            last = texts[i];
            last_code = strings_code(w->strings[k], last);
            if (last_code < 0)
                s = fail(c, ERR_LIMIT_EXCEEDED, "attribute \"%s\" has too many different texts",
                         w->s->attrs[k].name);
        }
        codes[i] = (uint32_t)last_code;
    }
    pthread_mutex_unlock(&w->mu);
    *out = codes;
    return s;
}

static bool has_null(const struct column *col, const uint64_t *present, int64_t n)
{
    if (!col->valid) return false;
    if (!present) return !bits_all(col->valid, 0, n);
    for (int64_t i = 0; i < n / 64; i++)
        if (present[i] & ~col->valid[i]) return true;
    for (int64_t i = n / 64 * 64; i < n; i++)
        if (bit_get(present, i) && !bit_get(col->valid, i)) return true;
    return false;
}

static enum status null_value(struct ctx *c, const struct writer *w, int k)
{
    return fail(c, ERR_NOT_NULL,
                "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                w->s->attrs[k].name, w->s->name);
}

enum status writer_encode_columns(struct ctx *c, struct writer *w, const struct column *cols,
                                  const uint64_t *present, int64_t n, struct cells *out)
{
    for (int k = 0; k < w->s->n_attrs && writer_inserts(w); k++)
        if (w->column_of[k] < 0 && w->s->attrs[k].not_null && w->deflt[k].valid)
            return null_value(c, w, k);
    for (int i = 0; i < w->n_given; i++) {
        int k = w->given[i];
        const struct attr *attr = &w->s->attrs[k];
        if (attr->not_null && has_null(&cols[i], present, n)) return null_value(c, w, k);
        out[i] = (struct cells){cols[i].values, cols[i].valid};
        if (attr->type == T_TEXT) TRY(encode_texts(c, w, k, &cols[i], present, n, &out[i].values));
    }
    return OK;
}

/* One value of each attribute's default, as it is stored; valid is set when it is NULL. */
enum status writer_defaults(struct ctx *c, struct writer *w)
{
    static const uint64_t null_bit = 0;
    for (int k = 0; k < w->s->n_attrs; k++) {
        const struct attr *attr = &w->s->attrs[k];
        void *value = arena_alloc(w->arena, 16);
        w->deflt[k].values = value;
        if (attr->deflt.null) {
            w->deflt[k].valid = arena_dup(w->arena, &null_bit, sizeof(null_bit));
        } else if (attr->type != T_TEXT) {
            value_put(&attr->deflt, value, 0);
        } else {
            int64_t code = strings_code(w->strings[k], attr->deflt.t);
            if (code < 0)
                return fail(c, ERR_LIMIT_EXCEEDED, "attribute \"%s\" has too many different texts",
                            attr->name);
            *(uint32_t *)value = (uint32_t)code;
        }
    }
    return OK;
}

/* ---- errors ---- */

static struct value coordinate(const struct writer *w, int d, int64_t pos)
{
    const struct axis *x = &w->s->dims[d].axis;
    if (x->kind == AXIS_REGULAR) return axis_coord(x, pos);
    const struct labels *l = x->labels;
    int64_t n = l ? l->n : 0;
    if (pos >= n) return value_get(x->type, w->labels[d].values, pos - n);
    int64_t logical = pos;
    for (int64_t i = 0; l->stored && i < n; i++)
        if (l->stored[i] == pos) logical = i;
    return value_get(x->type, l->values, logical);
}

enum status writer_duplicate(struct ctx *c, struct writer *w, const int64_t *pos)
{
    struct strbuf text = STRBUF_INIT;
    pthread_mutex_lock(&w->mu);
    for (int d = 0; d < w->s->n_dims; d++) {
        struct value v = coordinate(w, d, pos[d]);
        strbuf_addf(&text, "%s%s = ", d ? ", " : "", w->s->dims[d].name);
        value_format(&v, &text);
    }
    pthread_mutex_unlock(&w->mu);
    enum status s = fail(c, ERR_DUPLICATE_CELL, "a cell exists already at (%s)", text.s);
    strbuf_release(&text);
    return s;
}
