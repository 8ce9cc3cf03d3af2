/* How definitions are copied, grown and loaded. */
#include "storage/def.h"
#include <stdlib.h>
#include <xxhash.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static char *dup_or_null(struct arena *a, const char *s)
{
    return s ? arena_strdup(a, s) : NULL;
}

/* ---- strings ---- */

static struct strings *strings_new(void)
{
    struct strings *s = must(calloc(1, sizeof(*s)));
    atomic_init(&s->refs, 1);
    s->arena = arena_new();
    return s;
}

void strings_unref(struct strings *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1) return;
    arena_free(s->arena);
    free(s->table);
    free(s);
}

static void strings_append(struct strings *s, struct text t)
{
    if (s->n == s->cap) { /* readers keep the list they know */
        int64_t cap = s->cap ? 2 * s->cap : 16;
        struct text *list = arena_array(s->arena, struct text, cap);
        if (s->n) memcpy(list, s->list, sizeof(*list) * (size_t)s->n);
        s->list = list;
        s->cap = cap;
    }
    s->list[s->n++] = (struct text){arena_strndup(s->arena, t.s ? t.s : "", (size_t)t.len), t.len};
}

static int64_t slot_of(const struct strings *s, struct text t)
{
    uint64_t mask = (uint64_t)s->table_size - 1;
    uint64_t h = XXH3_64bits(t.s, (size_t)t.len) & mask;
    for (;; h = (h + 1) & mask) {
        uint32_t code = s->table[h];
        if (!code) return (int64_t)h;
        const struct text *o = &s->list[code - 1];
        if (o->len == t.len && memcmp(o->s, t.s, (size_t)t.len) == 0) return (int64_t)h;
    }
}

static void rehash(struct strings *s)
{
    int64_t size = 64;
    while (size < 4 * s->n)
        size *= 2;
    free(s->table);
    s->table = must(calloc((size_t)size, sizeof(*s->table)));
    s->table_size = size;
    for (int64_t i = 0; i < s->n; i++)
        s->table[slot_of(s, s->list[i])] = (uint32_t)(i + 1);
}

int64_t strings_code(struct strings *s, struct text t)
{
    if (!t.s) t = (struct text){"", 0};
    if (!s->table || 2 * s->n >= s->table_size) rehash(s);
    int64_t slot = slot_of(s, t);
    if (s->table[slot]) return s->table[slot] - 1;
    if (s->n == UINT32_MAX - 1) return -1;
    strings_append(s, t);
    s->table[slot] = (uint32_t)s->n;
    return s->n - 1;
}

struct strings *strings_writable(struct strings *s, int64_t n)
{
    if (s && s->n == n) {
        atomic_fetch_add(&s->refs, 1);
        return s;
    }
    struct strings *copy = strings_new();
    for (int64_t i = 0; i < n; i++)
        strings_append(copy, s->list[i]);
    return copy;
}

/* ---- labels ---- */

static struct label_set *label_set_new(void)
{
    struct label_set *l = must(calloc(1, sizeof(*l)));
    atomic_init(&l->refs, 1);
    l->arena = arena_new();
    return l;
}

static void label_set_unref(struct label_set *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1) return;
    arena_free(l->arena);
    free(l);
}

struct by_value {
    enum type type;
    const char *values;
};

static int compare_labels(enum type t, const void *a, int64_t i, const void *b, int64_t k)
{
    struct value x = value_get(t, a, i), y = value_get(t, b, k);
    return value_compare(&x, &y);
}

static int order_of_labels(const void *a, const void *b, void *self)
{
    const struct by_value *v = self;
    int64_t i = *(const int64_t *)a, k = *(const int64_t *)b;
    int cmp = compare_labels(v->type, v->values, i, v->values, k);
    return cmp ? cmp : (i > k) - (i < k);
}

/* Indexes 0 … n - 1 in order of value. */
static int64_t *sorted_order(struct arena *a, enum type type, const void *values, int64_t n)
{
    int64_t *order = arena_array(a, int64_t, n ? n : 1);
    bool sorted = true;
    for (int64_t i = 0; i < n; i++) {
        order[i] = i;
        if (i && compare_labels(type, values, i - 1, values, i) > 0) sorted = false;
    }
    struct by_value by = {type, values};
    if (!sorted) qsort_r(order, (size_t)n, sizeof(*order), order_of_labels, &by);
    return order;
}

static bool is_identity(const int64_t *order, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (order[i] != i) return false;
    return true;
}

static void copy_label(struct label_set *l, enum type type, const void *from, int64_t i, int64_t to)
{
    struct value v = value_get(type, from, i);
    if (type == T_TEXT) v = value_dup(l->arena, &v);
    value_put(&v, l->labels.values, to);
}

/* Merges the sorted old labels and the sorted new ones: order[i] is the stored position of the i-th
 * label by value, from[i] its index among old values (logical) or, past old->n, new ones. */
static void merge_labels(enum type type, const struct labels *old, const void *values,
                         const int64_t *added, int64_t n, int64_t *order, int64_t *from)
{
    int64_t n_old = old ? old->n : 0, i = 0, k = 0;
    for (int64_t at = 0; at < n_old + n; at++) {
        int64_t o = i < n_old && old->by_value ? old->by_value[i] : i;
        bool take_old =
            k == n || (i < n_old && compare_labels(type, old->values, o, values, added[k]) <= 0);
        if (take_old) {
            order[at] = old->stored ? old->stored[o] : o;
            from[at] = o;
            i++;
        } else {
            order[at] = from[at] = n_old + added[k];
            k++;
        }
    }
}

struct label_set *labels_grow(enum type type, bool grows, const struct labels *old,
                              const void *values, int64_t n)
{
    struct label_set *l = label_set_new();
    struct arena *tmp = arena_new();
    int64_t n_old = old ? old->n : 0, all = n_old + n;
    int64_t *added = sorted_order(tmp, type, values, n);
    int64_t *order = arena_array(l->arena, int64_t, all ? all : 1);
    int64_t *from = arena_array(tmp, int64_t, all ? all : 1);
    merge_labels(type, old, values, added, n, order, from);
    l->labels.n = all;
    l->labels.values = arena_alloc(l->arena, type_bytes(type) * (size_t)(all ? all : 1));
    bool by_value = grows && type != T_TEXT;
    for (int64_t at = 0; at < all; at++) {
        int64_t src = by_value ? from[at] : at;
        if (src < n_old)
            copy_label(l, type, old->values, src, at);
        else
            copy_label(l, type, values, src - n_old, at);
    }
    if (!is_identity(order, all)) {
        if (by_value)
            l->labels.stored = order;
        else
            l->labels.by_value = order;
    }
    arena_free(tmp);
    return l;
}

/* The labels of a foreign axis, kept as they are stored there. */
static struct label_set *labels_import(const struct axis *x)
{
    const struct labels *l = x->labels;
    struct arena *tmp = arena_new();
    void *stored = arena_alloc(tmp, type_bytes(x->type) * (size_t)(l && l->n ? l->n : 1));
    for (int64_t i = 0; l && i < l->n; i++) {
        struct value v = value_get(x->type, l->values, i);
        value_put(&v, stored, l->stored ? l->stored[i] : i);
    }
    struct label_set *set = labels_grow(x->type, x->grows, NULL, stored, l ? l->n : 0);
    arena_free(tmp);
    return set;
}

/* ---- definitions ---- */

static struct def *def_alloc(int n_dims, int n_attrs)
{
    struct def *d = must(calloc(1, sizeof(*d)));
    atomic_init(&d->refs, 1);
    d->arena = arena_new();
    d->s.dims = arena_array(d->arena, struct dim, n_dims ? n_dims : 1);
    d->s.attrs = arena_array(d->arena, struct attr, n_attrs ? n_attrs : 1);
    d->strings = arena_array(d->arena, struct strings *, n_attrs ? n_attrs : 1);
    d->dicts = arena_array(d->arena, struct dict, n_attrs ? n_attrs : 1);
    return d;
}

struct def *def_ref(struct def *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void def_unref(struct def *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) != 1) return;
    for (int i = 0; i < d->s.n_dims; i++)
        label_set_unref(d->labels[i]);
    for (int i = 0; i < d->s.n_attrs; i++)
        strings_unref(d->strings[i]);
    arena_free(d->arena);
    free(d);
}

/* Everything but labels and dictionaries. */
static struct def *copy_shape(const struct schema *s, int extra_attrs)
{
    struct def *d = def_alloc(s->n_dims, s->n_attrs + extra_attrs);
    struct arena *a = d->arena;
    d->s.id = s->id;
    d->s.name = dup_or_null(a, s->name);
    d->s.comment = dup_or_null(a, s->comment);
    d->s.is_table = s->is_table;
    d->s.n_dims = s->n_dims;
    d->s.n_attrs = s->n_attrs;
    for (int i = 0; i < s->n_dims; i++) {
        d->s.dims[i] = s->dims[i];
        d->s.dims[i].name = arena_strdup(a, s->dims[i].name);
        d->s.dims[i].unit = dup_or_null(a, s->dims[i].unit);
        d->s.dims[i].comment = dup_or_null(a, s->dims[i].comment);
        d->s.dims[i].axis.labels = NULL;
    }
    for (int i = 0; i < s->n_attrs; i++) {
        d->s.attrs[i] = s->attrs[i];
        d->s.attrs[i].name = arena_strdup(a, s->attrs[i].name);
        d->s.attrs[i].unit = dup_or_null(a, s->attrs[i].unit);
        d->s.attrs[i].comment = dup_or_null(a, s->attrs[i].comment);
        d->s.attrs[i].dict = NULL;
        if (s->attrs[i].has_default)
            d->s.attrs[i].deflt = value_dup(a, &s->attrs[i].deflt);
        else
            d->s.attrs[i].deflt = value_null(s->attrs[i].type);
    }
    return d;
}

void def_set_labels(struct def *d, int dim, struct label_set *l)
{
    label_set_unref(d->labels[dim]);
    d->labels[dim] = l;
    struct axis *x = &d->s.dims[dim].axis;
    x->labels = l ? &l->labels : NULL;
    if (!l) return;
    x->lo = 0;
    x->hi = l->labels.n;
}

void def_set_strings(struct def *d, int attr, struct strings *s, int64_t n)
{
    if (d->strings[attr] != s) {
        strings_unref(d->strings[attr]);
        d->strings[attr] = s;
    }
    d->dicts[attr] = (struct dict){n, s->list};
    d->s.attrs[attr].dict = n ? &d->dicts[attr] : NULL;
}

struct def *def_new(const struct schema *s)
{
    struct def *d = copy_shape(s, 0);
    for (int i = 0; i < s->n_dims; i++)
        if (s->dims[i].axis.kind == AXIS_LABELLED)
            def_set_labels(d, i, labels_import(&s->dims[i].axis));
    return d;
}

struct def *def_copy(const struct def *d, int extra_attrs)
{
    struct def *n = copy_shape(&d->s, extra_attrs);
    for (int i = 0; i < d->s.n_dims; i++) {
        if (!d->labels[i]) continue;
        atomic_fetch_add(&d->labels[i]->refs, 1);
        def_set_labels(n, i, d->labels[i]);
    }
    for (int i = 0; i < d->s.n_attrs; i++) {
        if (!d->strings[i]) continue;
        atomic_fetch_add(&d->strings[i]->refs, 1);
        n->strings[i] = d->strings[i];
        n->dicts[i] = d->dicts[i];
        n->s.attrs[i].dict = n->dicts[i].n ? &n->dicts[i] : NULL;
    }
    return n;
}

void def_remove_attr(struct def *d, int k)
{
    strings_unref(d->strings[k]);
    for (int i = k; i + 1 < d->s.n_attrs; i++) {
        d->s.attrs[i] = d->s.attrs[i + 1];
        d->strings[i] = d->strings[i + 1];
        d->dicts[i] = d->dicts[i + 1];
        if (d->s.attrs[i].dict) d->s.attrs[i].dict = &d->dicts[i];
    }
    d->s.n_attrs--;
}

enum status def_load(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                     struct def **out)
{
    struct arena *a = arena_new();
    struct schema_rows rows;
    enum status s = catalog_schema(c, cat, array, version, a, &rows);
    if (s == OK) {
        struct def *d = copy_shape(rows.schema, 0);
        for (int i = 0; i < d->s.n_dims; i++) {
            const struct axis *x = &rows.schema->dims[i].axis;
            if (x->kind == AXIS_LABELLED)
                def_set_labels(d, i,
                               labels_grow(x->type, x->grows, NULL, rows.label_values[i], x->hi));
        }
        for (int k = 0; k < d->s.n_attrs; k++) {
            if (!rows.dict_n[k]) continue;
            struct strings *list = strings_new();
            for (int64_t i = 0; i < rows.dict_n[k]; i++)
                strings_append(list, rows.dict_strings[k][i]);
            def_set_strings(d, k, list, list->n);
        }
        *out = d;
    }
    arena_free(a);
    return s;
}
