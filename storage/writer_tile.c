/* What waits in a pending tile: values as a list or as full columns, and how they turn into what is
 * stored. */
#include "storage/writer_internal.h"
#include <stdlib.h>

#define DENSE_PART 8 /* a list longer than this part of the tile's cells becomes dense */

/* ---- values ---- */

/* n values of `width` bytes: to[to_at[i]] = from[from_at[i]]; an index list of NULL counts up, a
 * from_at of `same` reads value 0. */
#define SCATTER(type)                                                                              \
    do {                                                                                           \
        type *d = to;                                                                              \
        const type *s = from;                                                                      \
        for (int64_t i = 0; i < n; i++)                                                            \
            d[to_at ? to_at[i] : base + i] = s[one ? 0 : from_at ? from_at[i] : i];                \
    } while (0)

struct value128 {
    uint64_t part[2];
};

static void scatter(void *to, const uint32_t *to_at, int64_t base, const void *from,
                    const uint32_t *from_at, bool one, int64_t n, size_t width)
{
    switch (width) {
    case 1:
        SCATTER(uint8_t);
        break;
    case 2:
        SCATTER(uint16_t);
        break;
    case 4:
        SCATTER(uint32_t);
        break;
    case 8:
        SCATTER(uint64_t);
        break;
    default:
        SCATTER(struct value128);
    }
}

/* Puts n cells of attribute k into the dense tile. */
void wtile_put_dense(struct writer *w, struct wtile *t, int k, const uint32_t *cells, int64_t n,
                     const struct cells *src, const uint32_t *from, bool one)
{
    struct cells *d = &t->dense[k];
    scatter(d->values, cells, 0, src->values, from, one, n, writer_width(w, k));
    for (int64_t i = 0; i < n; i++) {
        bool valid = !src->valid || bit_get(src->valid, one ? 0 : from ? from[i] : i);
        bit_put(d->valid, cells[i], valid);
        if (!valid) t->has_null[k] = true;
    }
}

static void put_dense_cells(struct writer *w, struct wtile *t, const uint32_t *cells, int64_t n,
                            const struct cells *src, const uint32_t *from)
{
    for (int k = 0; k < w->s->n_attrs; k++) {
        if (!w->rewritten[k]) continue;
        int col = w->column_of[k];
        if (col >= 0)
            wtile_put_dense(w, t, k, cells, n, &src[col], from, false);
        else
            wtile_put_dense(w, t, k, cells, n, &w->deflt[k], NULL, true);
    }
}

static void fill_with_default(struct writer *w, struct wtile *t, int k)
{
    int64_t n = w->base->tile_cells;
    bool valid = !w->deflt[k].valid;
    struct cells *d = &t->dense[k];
    for (int64_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)i;
        scatter(d->values, &at, 0, w->deflt[k].values, NULL, true, 1, writer_width(w, k));
    }
    bits_fill(d->valid, 0, n, valid);
    if (!valid) t->has_null[k] = true;
}

/* The values that were there before. */
static enum status load_values(struct ctx *c, struct writer *w, struct wtile *t, int k)
{
    const struct attr *attr = &w->s->attrs[k];
    struct tile_ref ref;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = writer_fetch(c, w, attr->id, attr->type, t->coords, &ref);
    if (s == OK && ref.tile) {
        memcpy(t->dense[k].values, ref.tile->values,
               (size_t)w->base->tile_cells * writer_width(w, k));
        if (ref.tile->bits) {
            memcpy(t->dense[k].valid, ref.tile->bits, writer_bit_bytes(w));
            t->has_null[k] = true;
        }
        tile_done(w->base, &ref);
    } else if (s == OK && attr->added_later) {
        fill_with_default(w, t, k);
    } else if (s == OK) {
        s = fail(c, ERR_CORRUPT, "a tile of attribute \"%s\" of array \"%s\" is missing",
                 attr->name, w->s->name);
    }
    scratch_release(c->scratch, mark);
    return s;
}

/* Turns the list into full columns. */
enum status wtile_densify(struct ctx *c, struct writer *w, struct wtile *t)
{
    if (t->dense) return OK;
    struct cells *dense = calloc((size_t)w->s->n_attrs + 1, sizeof(*dense));
    bool *has_null = calloc((size_t)w->s->n_attrs + 1, sizeof(*has_null));
    if (!dense || !has_null) abort();
    t->dense = dense;
    t->has_null = has_null;
    enum status s = OK;
    for (int k = 0; s == OK && k < w->s->n_attrs; k++) {
        void *p;
        if (!w->rewritten[k]) continue;
        s = wtile_take(c, w, t, (size_t)w->base->tile_cells * writer_width(w, k), &dense[k].values);
        if (s == OK) s = wtile_take(c, w, t, writer_bit_bytes(w), &p);
        if (s < 0) break;
        dense[k].valid = p;
        bits_fill(dense[k].valid, 0, w->base->tile_cells, true);
        if (t->n_before && !t->renewed) s = load_values(c, w, t, k);
    }
    if (s < 0) { /* the list is still whole */
        for (int k = 0; k < w->s->n_attrs; k++) {
            wtile_give(w, t, dense[k].values);
            wtile_give(w, t, dense[k].valid);
        }
        free(dense);
        free(has_null);
        t->dense = NULL;
        t->has_null = NULL;
        return s;
    }
    if (t->n_listed) put_dense_cells(w, t, t->listed, t->n_listed, t->list, NULL);
    wtile_drop_list(w, t);
    return OK;
}

static enum status grow_one(struct ctx *c, struct writer *w, struct wtile *t, void **p,
                            size_t used_bytes, size_t bytes)
{
    void *more;
    TRY(wtile_take(c, w, t, bytes, &more));
    if (used_bytes) memcpy(more, *p, used_bytes);
    wtile_give(w, t, *p);
    *p = more;
    return OK;
}

static enum status grow_list(struct ctx *c, struct writer *w, struct wtile *t, int64_t n)
{
    int64_t cap = t->cap_listed ? t->cap_listed : 16;
    if (t->n_listed + n <= t->cap_listed) return OK;
    while (cap < t->n_listed + n)
        cap *= 2;
    if (!t->list) t->list = calloc((size_t)w->n_given + 1, sizeof(*t->list));
    if (!t->list) abort();
    void *p = t->listed;
    TRY(grow_one(c, w, t, &p, sizeof(*t->listed) * (size_t)t->n_listed,
                 sizeof(*t->listed) * (size_t)cap));
    t->listed = p;
    for (int i = 0; i < w->n_given; i++) {
        size_t width = writer_width(w, w->given[i]);
        TRY(grow_one(c, w, t, &t->list[i].values, width * (size_t)t->n_listed,
                     width * (size_t)cap));
        p = t->list[i].valid;
        TRY(grow_one(c, w, t, &p, (size_t)bits_words(t->n_listed) * 8,
                     (size_t)bits_words(cap) * 8));
        t->list[i].valid = p;
    }
    t->cap_listed = cap;
    return OK;
}

/* Room for n more cells; before anything is decided, so that it can be tried again. */
enum status wtile_reserve(struct ctx *c, struct writer *w, struct wtile *t, int64_t n, bool box,
                          bool *again)
{
    *again = true;
    if (w->mode == CONFLICT_DELETE || t->dense) {
        /* needs none */
    } else if (box || t->n_listed + n > w->base->tile_cells / DENSE_PART + 16) {
        TRY(wtile_densify(c, w, t));
    } else {
        TRY(grow_list(c, w, t, n));
    }
    *again = false;
    return OK;
}

/* Values of n accepted cells join the tile. */
void wtile_put_values(struct writer *w, struct wtile *t, const uint32_t *cells, int64_t n,
                      const struct cells *src, const uint32_t *from)
{
    t->changed = true;
    t->n_put += n;
    if (w->mode == CONFLICT_DELETE) return;
    if (t->dense) {
        put_dense_cells(w, t, cells, n, src, from);
        return;
    }
    memcpy(t->listed + t->n_listed, cells, sizeof(*cells) * (size_t)n);
    for (int i = 0; i < w->n_given; i++) {
        scatter(t->list[i].values, NULL, t->n_listed, src[i].values, from, false, n,
                writer_width(w, w->given[i]));
        for (int64_t j = 0; j < n; j++)
            bit_put(t->list[i].valid, t->n_listed + j,
                    !src[i].valid || bit_get(src[i].valid, from ? from[j] : j));
    }
    t->n_listed += n;
}

/* ---- storing ---- */

/* Stores the tile and takes it out of the table; under its stripe. Kept on an error. */
enum status wtile_store(struct ctx *c, struct writer *w, struct wtile *t)
{
    struct cells none[1] = {{0}};
    if (t->changed) {
        if (w->mode != CONFLICT_DELETE) TRY(wtile_densify(c, w, t));
        struct cells *cols = t->dense;
        if (!cols) {
            cols = w->s->n_attrs ? calloc((size_t)w->s->n_attrs, sizeof(*cols)) : none;
            if (!cols) abort();
        }
        for (int k = 0; t->dense && k < w->s->n_attrs; k++)
            if (!t->has_null[k]) {
                wtile_give(w, t, cols[k].valid);
                cols[k].valid = NULL;
            }
        bool full = bits_all(t->present, 0, w->base->tile_cells);
        struct image im = {.coords = t->coords,
                           .present = full ? NULL : t->present,
                           .n_present = t->n_present,
                           .n_before = t->n_before,
                           .cols = cols};
        enum status s = writer_store_image(c, w, &im);
        if (cols != t->dense && cols != none) free(cols);
        if (s < 0) return s;
    }
    wtable_remove(w, t);
    wtile_free(w, t);
    return OK;
}
