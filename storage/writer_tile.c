/* What waits in a pending tile: how cells join it, how conflicts are decided, and how it turns into
 * what is stored. */
#include "storage/base/pool.h"
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

#define DENSE_PART 8 /* a list longer than this part of the tile's cells becomes dense */

static uint64_t hash_of(const struct writer *w, const int64_t *coords)
{
    return XXH3_64bits(coords, sizeof(*coords) * (size_t)w->s->n_dims);
}

static size_t width_of(const struct writer *w, int k)
{
    return tile_width(w->s->attrs[k].type);
}

static size_t bit_bytes(const struct writer *w)
{
    return (size_t)bits_words(w->base->tile_cells) * 8;
}

static pthread_mutex_t *stripe_of(struct writer *w, const int64_t *coords)
{
    return &w->stripes[(hash_of(w, coords) >> 32) % N_STRIPES];
}

/* Memory that waits: accounted to the statement, so that a refusal stores tiles instead. */
static enum status take(struct ctx *c, struct writer *w, struct wtile *t, size_t bytes, void **out)
{
    void *p = buf_try(c->budget, bytes);
    if (!p)
        return fail(c, ERR_MEMORY, "the memory limit is reached while cells wait to be written");
    memset(p, 0, bytes);
    t->bytes += (int64_t)bytes;
    atomic_fetch_add(&w->used_bytes, (int64_t)bytes);
    *out = p;
    return OK;
}

static void give(struct writer *w, struct wtile *t, void *p)
{
    if (!p) return;
    int64_t bytes = (int64_t)buf_bytes(p);
    t->bytes -= bytes;
    atomic_fetch_sub(&w->used_bytes, bytes);
    buf_free(p);
}

/* ---- the table ---- */

static struct wtile *table_find(struct writer *w, const int64_t *coords)
{
    size_t bytes = sizeof(*coords) * (size_t)w->s->n_dims;
    pthread_mutex_lock(&w->mu);
    struct wtile *t = w->tiles[hash_of(w, coords) % N_BUCKETS];
    while (t && memcmp(t->coords, coords, bytes) != 0)
        t = t->next;
    if (t) t->stamp = ++w->clock;
    pthread_mutex_unlock(&w->mu);
    return t;
}

static void table_remove(struct writer *w, const struct wtile *t)
{
    pthread_mutex_lock(&w->mu);
    struct wtile **at = &w->tiles[hash_of(w, t->coords) % N_BUCKETS];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    pthread_mutex_unlock(&w->mu);
}

static void drop_list(struct writer *w, struct wtile *t)
{
    give(w, t, t->listed);
    for (int i = 0; t->list && i < w->n_given; i++) {
        give(w, t, t->list[i].values);
        give(w, t, t->list[i].valid);
    }
    free(t->list);
    t->listed = NULL;
    t->list = NULL;
    t->n_listed = t->cap_listed = 0;
}

static void wtile_free(struct writer *w, struct wtile *t)
{
    drop_list(w, t);
    for (int k = 0; t->dense && k < w->s->n_attrs; k++) {
        give(w, t, t->dense[k].values);
        give(w, t, t->dense[k].valid);
    }
    give(w, t, t->present);
    free(t->dense);
    free(t->has_null);
    free(t);
}

/* The presence of what is there before anything waits. */
static enum status load_presence(struct ctx *c, struct writer *w, struct wtile *t)
{
    struct tile_ref ref;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = writer_fetch(c, w, ATTR_PRESENCE, T_NONE, t->coords, &ref);
    if (s == OK && ref.tile) {
        tile_presence_bits(ref.tile, w->base->extents, t->present);
        t->n_present = ref.tile->n_present;
        t->n_before = t->n_present;
        tile_done(w->base, &ref);
    }
    scratch_release(c->scratch, mark);
    return s;
}

/* The pending tile; under its stripe. */
static enum status wtile_get(struct ctx *c, struct writer *w, const int64_t *coords,
                             struct wtile **out)
{
    struct wtile *t = table_find(w, coords);
    if (!t) {
        void *bits;
        t = calloc(1, sizeof(*t));
        if (!t) return fail(c, ERR_MEMORY, "out of memory");
        memcpy(t->coords, coords, sizeof(*coords) * (size_t)w->s->n_dims);
        enum status s = take(c, w, t, bit_bytes(w), &bits);
        if (s == OK) {
            t->present = bits;
            s = load_presence(c, w, t);
        }
        if (s < 0) {
            wtile_free(w, t);
            return s;
        }
        pthread_mutex_lock(&w->mu);
        struct wtile **bucket = &w->tiles[hash_of(w, coords) % N_BUCKETS];
        t->next = *bucket;
        t->stamp = ++w->clock;
        *bucket = t;
        pthread_mutex_unlock(&w->mu);
    }
    *out = t;
    return OK;
}

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
static void put_dense(struct writer *w, struct wtile *t, int k, const uint32_t *cells, int64_t n,
                      const struct cells *src, const uint32_t *from, bool one)
{
    struct cells *d = &t->dense[k];
    scatter(d->values, cells, 0, src->values, from, one, n, width_of(w, k));
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
            put_dense(w, t, k, cells, n, &src[col], from, false);
        else
            put_dense(w, t, k, cells, n, &w->deflt[k], NULL, true);
    }
}

static void fill_with_default(struct writer *w, struct wtile *t, int k)
{
    int64_t n = w->base->tile_cells;
    bool valid = !w->deflt[k].valid;
    struct cells *d = &t->dense[k];
    for (int64_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)i;
        scatter(d->values, &at, 0, w->deflt[k].values, NULL, true, 1, width_of(w, k));
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
        memcpy(t->dense[k].values, ref.tile->values, (size_t)w->base->tile_cells * width_of(w, k));
        if (ref.tile->bits) {
            memcpy(t->dense[k].valid, ref.tile->bits, bit_bytes(w));
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
static enum status densify(struct ctx *c, struct writer *w, struct wtile *t)
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
        s = take(c, w, t, (size_t)w->base->tile_cells * width_of(w, k), &dense[k].values);
        if (s == OK) s = take(c, w, t, bit_bytes(w), &p);
        if (s < 0) break;
        dense[k].valid = p;
        bits_fill(dense[k].valid, 0, w->base->tile_cells, true);
        if (t->n_before) s = load_values(c, w, t, k);
    }
    if (s < 0) { /* the list is still whole */
        for (int k = 0; k < w->s->n_attrs; k++) {
            give(w, t, dense[k].values);
            give(w, t, dense[k].valid);
        }
        free(dense);
        free(has_null);
        t->dense = NULL;
        t->has_null = NULL;
        return s;
    }
    if (t->n_listed) put_dense_cells(w, t, t->listed, t->n_listed, t->list, NULL);
    drop_list(w, t);
    return OK;
}

static enum status grow_one(struct ctx *c, struct writer *w, struct wtile *t, void **p,
                            size_t used_bytes, size_t bytes)
{
    void *more;
    TRY(take(c, w, t, bytes, &more));
    if (used_bytes) memcpy(more, *p, used_bytes);
    give(w, t, *p);
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
        size_t width = width_of(w, w->given[i]);
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
static enum status reserve(struct ctx *c, struct writer *w, struct wtile *t, int64_t n, bool box,
                           bool *again)
{
    *again = true;
    if (w->mode == CONFLICT_DELETE || t->dense) {
        /* needs none */
    } else if (box || t->n_listed + n > w->base->tile_cells / DENSE_PART + 16) {
        TRY(densify(c, w, t));
    } else {
        TRY(grow_list(c, w, t, n));
    }
    *again = false;
    return OK;
}

/* Values of n accepted cells join the tile. */
static void put_values(struct writer *w, struct wtile *t, const uint32_t *cells, int64_t n,
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
                width_of(w, w->given[i]));
        for (int64_t j = 0; j < n; j++)
            bit_put(t->list[i].valid, t->n_listed + j,
                    !src[i].valid || bit_get(src[i].valid, from ? from[j] : j));
    }
    t->n_listed += n;
}

/* ---- storing ---- */

/* Stores the tile and takes it out of the table; under its stripe. Kept on an error. */
static enum status wtile_store(struct ctx *c, struct writer *w, struct wtile *t)
{
    struct cells none[1] = {{0}};
    if (t->changed) {
        if (w->mode != CONFLICT_DELETE) TRY(densify(c, w, t));
        struct cells *cols = t->dense;
        if (!cols) {
            cols = w->s->n_attrs ? calloc((size_t)w->s->n_attrs, sizeof(*cols)) : none;
            if (!cols) abort();
        }
        for (int k = 0; t->dense && k < w->s->n_attrs; k++)
            if (!t->has_null[k]) {
                give(w, t, cols[k].valid);
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
    table_remove(w, t);
    wtile_free(w, t);
    return OK;
}

/* Nothing more is expected of it: every cell that may exist was put. */
static bool is_complete(const struct writer *w, const struct wtile *t)
{
    if (!t->dense) return false;
    struct box box;
    tile_box(w->base, t->coords, &box);
    box_intersect(&box, &w->limits, &box);
    return t->n_put >= box_cells(&box);
}

/* ---- putting ---- */

/* Which of the cells that are set in `want` are to be written? Decides conflicts, updates the
 * presence, counts. */
static enum status decide(struct ctx *c, struct writer *w, struct wtile *t, uint64_t *want,
                          int64_t *n)
{
    int64_t n_words = bits_words(w->base->tile_cells);
    bool inserts = writer_inserts(w);
    *n = 0;
    for (int64_t i = 0; i < n_words; i++) {
        uint64_t both = want[i] & t->present[i];
        if (both && w->mode == CONFLICT_ERROR) {
            int64_t pos[MAX_DIMS];
            struct box tile;
            tile_box(w->base, t->coords, &tile);
            box_position(&tile, i * 64 + __builtin_ctzll(both), pos);
            return writer_duplicate(c, w, pos);
        }
        if (w->mode == CONFLICT_IGNORE) want[i] &= ~t->present[i];
        if (!inserts) want[i] = both;
        *n += __builtin_popcountll(want[i]);
    }
    for (int64_t i = 0; i < n_words && *n; i++) {
        if (inserts) t->present[i] |= want[i];
        if (w->mode == CONFLICT_DELETE) t->present[i] &= ~want[i];
    }
    if (*n) t->n_present = bits_count(t->present, 0, w->base->tile_cells);
    return OK;
}

/* Copies the runs of cells that are set in `mask` (over the tile) from the piece. */
static void copy_masked(struct writer *w, struct wtile *t, int k, const struct piece *p,
                        const struct cells *src, const uint64_t *mask)
{
    size_t width = width_of(w, k);
    int last = p->part.n_dims - 1;
    int64_t pos[MAX_DIMS], length = box_extent(&p->part, last);
    struct cells *d = &t->dense[k];
    memcpy(pos, p->part.lo, sizeof(pos));
    for (int64_t left = box_cells(&p->part) / length; left > 0; left--) {
        int64_t to = box_index(&p->tile, pos), from = box_index(p->box, pos), end = to + length;
        int64_t at = bits_next(mask, to, end);
        while (at < end) {
            int64_t stop = at;
            while (stop < end && bit_get(mask, stop))
                stop++;
            memcpy((char *)d->values + (size_t)at * width,
                   (const char *)src->values + (size_t)(from + at - to) * width,
                   (size_t)(stop - at) * width);
            if (src->valid)
                bits_copy(d->valid, at, src->valid, from + at - to, stop - at);
            else
                bits_fill(d->valid, at, stop - at, true);
            at = bits_next(mask, stop, end);
        }
        for (int dim = last - 1; dim >= 0; dim--) {
            if (++pos[dim] < p->part.hi[dim]) break;
            pos[dim] = p->part.lo[dim];
        }
    }
    if (src->valid) t->has_null[k] = true;
}

static void set_default_masked(struct writer *w, struct wtile *t, int k, const uint64_t *mask)
{
    int64_t n = w->base->tile_cells;
    for (int64_t i = bits_next(mask, 0, n); i < n; i = bits_next(mask, i + 1, n)) {
        uint32_t at = (uint32_t)i;
        put_dense(w, t, k, &at, 1, &w->deflt[k], NULL, true);
    }
}

static enum status put_part(struct ctx *c, struct writer *w, struct wtile *t, const struct piece *p,
                            int64_t *written, bool *again)
{
    void *bits;
    int64_t n;
    TRY(scratch_alloc(c, bit_bytes(w), &bits));
    uint64_t *mask = memset(bits, 0, bit_bytes(w));
    box_copy_bits(mask, &p->tile, p->present, p->box, &p->part);
    if (bits_none(mask, 0, w->base->tile_cells)) return OK;
    TRY(reserve(c, w, t, 0, true, again));
    TRY(decide(c, w, t, mask, &n));
    if (n == 0) return OK;
    t->changed = true;
    t->n_put += n;
    *written += n;
    if (w->mode == CONFLICT_DELETE) return OK;
    bool all = n == box_cells(&p->part);
    for (int k = 0; k < w->s->n_attrs; k++) {
        int col = w->column_of[k];
        if (!w->rewritten[k]) continue;
        if (col < 0) {
            set_default_masked(w, t, k, mask);
        } else if (all) {
            box_copy(t->dense[k].values, &p->tile, p->src[col].values, p->box, &p->part,
                     width_of(w, k));
            box_copy_bits(t->dense[k].valid, &p->tile, p->src[col].valid, p->box, &p->part);
            if (p->src[col].valid) t->has_null[k] = true;
        } else {
            copy_masked(w, t, k, p, &p->src[col], mask);
        }
    }
    return OK;
}

/* The tile's column of a piece that covers it: in place when it is laid out so already. */
static enum status whole_column(struct ctx *c, struct writer *w, const struct piece *p, int k,
                                struct cells *out)
{
    int col = w->column_of[k];
    int64_t n = w->base->tile_cells;
    size_t width = width_of(w, k);
    void *v;
    if (col >= 0 && box_equal(p->box, &p->tile)) {
        *out = p->src[col];
        return OK;
    }
    TRY(scratch_alloc(c, (size_t)n * width, &v));
    out->values = v;
    out->valid = NULL;
    if (col >= 0) {
        if (!box_equal(&p->part, &p->tile)) memset(v, 0, (size_t)n * width);
        box_copy(v, &p->tile, p->src[col].values, p->box, &p->part, width);
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy((char *)v + (size_t)i * width, w->deflt[k].values, width);
    }
    if (col >= 0 ? p->src[col].valid != NULL : w->deflt[k].valid != NULL) {
        TRY(scratch_alloc(c, bit_bytes(w), &v));
        out->valid = memset(v, 0, bit_bytes(w));
        if (col >= 0) box_copy_bits(v, &p->tile, p->src[col].valid, p->box, &p->part);
    }
    return OK;
}

/* A tile that the piece covers and that nothing else has touched: straight to the store. */
static enum status put_whole(struct ctx *c, struct writer *w, const struct piece *p,
                             int64_t n_before, int64_t *written)
{
    void *v;
    struct image im = {.coords = p->coords, .n_before = n_before};
    im.n_present = box_cells(&p->part);
    if (p->present || !box_equal(&p->part, &p->tile)) {
        TRY(scratch_alloc(c, bit_bytes(w), &v));
        uint64_t *bits = memset(v, 0, bit_bytes(w));
        box_copy_bits(bits, &p->tile, p->present, p->box, &p->part);
        im.n_present = bits_count(bits, 0, w->base->tile_cells);
        im.present = bits;
    }
    if (im.n_present == 0) return OK;
    if (im.n_present == w->base->tile_cells) im.present = NULL;
    TRY(scratch_alloc(c, sizeof(struct cells) * (size_t)(w->s->n_attrs + 1), &v));
    im.cols = v;
    for (int k = 0; k < w->s->n_attrs; k++)
        TRY(whole_column(c, w, p, k, &im.cols[k]));
    TRY(writer_store_image(c, w, &im));
    *written += im.n_present;
    return OK;
}

static bool covers_tile(const struct writer *w, const struct piece *p)
{
    struct box possible;
    box_intersect(&p->tile, &w->limits, &possible);
    return box_equal(&p->part, &possible);
}

/* May the piece replace all that the tile has? *n_before: the cells it has. */
static enum status is_whole(struct ctx *c, struct writer *w, const struct piece *p, bool *whole,
                            int64_t *n_before)
{
    *whole = false;
    *n_before = 0;
    if (!writer_inserts(w) || !covers_tile(w, p) || table_find(w, p->coords)) return OK;
    struct tile_ref ref;
    TRY(writer_fetch(c, w, ATTR_PRESENCE, T_NONE, p->coords, &ref));
    if (ref.tile) *n_before = ref.tile->n_present;
    *whole = !*n_before || (w->mode == CONFLICT_REPLACE && !p->present);
    tile_done(w->base, &ref);
    return OK;
}

static enum status try_box(struct ctx *c, struct writer *w, const struct piece *p, int64_t *written,
                           bool *again)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    pthread_mutex_t *stripe = stripe_of(w, p->coords);
    struct wtile *t;
    bool whole;
    int64_t n_before;
    *again = false;
    pthread_mutex_lock(stripe);
    enum status s = is_whole(c, w, p, &whole, &n_before);
    if (s == OK && whole) {
        s = put_whole(c, w, p, n_before, written);
    } else if (s == OK) {
        s = wtile_get(c, w, p->coords, &t);
        if (s == OK) s = put_part(c, w, t, p, written, again);
        if (s == OK && is_complete(w, t)) s = wtile_store(c, w, t);
    }
    pthread_mutex_unlock(stripe);
    scratch_release(c->scratch, mark);
    return s;
}

enum status wtile_put_box(struct ctx *c, struct writer *w, const struct piece *p, int64_t *written)
{
    bool again;
    enum status s = try_box(c, w, p, written, &again);
    if (s == ERR_MEMORY && again) {
        ctx_clear(c);
        TRY(wtiles_store(c, w, 0));
        s = try_box(c, w, p, written, &again);
    }
    return s;
}

/* Decides cell by cell, so that a cell that stands twice is seen; *n_kept of them are left, in
 * kept_cells and kept_from. */
static enum status decide_cells(struct ctx *c, struct writer *w, struct wtile *t, int64_t n,
                                const uint32_t *cells, const uint32_t *from, uint32_t *kept_cells,
                                uint32_t *kept_from, int64_t *n_kept)
{
    bool inserts = writer_inserts(w);
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        bool there = bit_get(t->present, cells[i]);
        if (there && w->mode == CONFLICT_ERROR) {
            int64_t pos[MAX_DIMS];
            struct box tile;
            tile_box(w->base, t->coords, &tile);
            box_position(&tile, cells[i], pos);
            return writer_duplicate(c, w, pos);
        }
        if (inserts ? there && w->mode == CONFLICT_IGNORE : !there) continue;
        if (inserts && !there) {
            bit_set(t->present, cells[i]);
            t->n_present++;
        } else if (w->mode == CONFLICT_DELETE) {
            bit_clear(t->present, cells[i]);
            t->n_present--;
        }
        kept_cells[kept] = cells[i];
        kept_from[kept++] = from[i];
    }
    *n_kept = kept;
    return OK;
}

/* Cells of one tile, as wtile_put_cells() is handed them. */
struct group {
    const int64_t *coords;
    int64_t n;
    const uint32_t *cells, *from;
    const struct cells *src;
};

static enum status try_cells(struct ctx *c, struct writer *w, const struct group *g,
                             int64_t *written, bool *again)
{
    pthread_mutex_t *stripe = stripe_of(w, g->coords);
    struct wtile *t;
    void *kept_cells, *kept_from;
    int64_t n = 0;
    *again = false;
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)g->n, &kept_cells));
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)g->n, &kept_from));
    pthread_mutex_lock(stripe);
    enum status s = wtile_get(c, w, g->coords, &t);
    if (s == OK) s = reserve(c, w, t, g->n, false, again);
    if (s == OK) s = decide_cells(c, w, t, g->n, g->cells, g->from, kept_cells, kept_from, &n);
    if (s == OK && n) {
        put_values(w, t, kept_cells, n, g->src, kept_from);
        *written += n;
    }
    if (s == OK && is_complete(w, t)) s = wtile_store(c, w, t);
    pthread_mutex_unlock(stripe);
    return s;
}

enum status wtile_put_cells(struct ctx *c, struct writer *w, const int64_t *coords, int64_t n,
                            const uint32_t *cells, const uint32_t *from, const struct cells *src,
                            int64_t *written)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct group g = {coords, n, cells, from, src};
    bool again;
    enum status s = try_cells(c, w, &g, written, &again);
    if (s == ERR_MEMORY && again) {
        ctx_clear(c);
        s = wtiles_store(c, w, 0);
        if (s == OK) s = try_cells(c, w, &g, written, &again);
    }
    scratch_release(c->scratch, mark);
    return s;
}

enum status wtile_clear(struct ctx *c, struct writer *w, const int64_t *coords,
                        const struct box *keep)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    pthread_mutex_t *stripe = stripe_of(w, coords);
    struct box tile, part;
    struct wtile *t;
    void *bits = NULL;
    int64_t n;
    tile_box(w->base, coords, &tile);
    pthread_mutex_lock(stripe);
    enum status s = wtile_get(c, w, coords, &t);
    if (s == OK) s = scratch_alloc(c, bit_bytes(w), &bits);
    if (s == OK) {
        uint64_t *mask = bits;
        memset(mask, 0, bit_bytes(w));
        if (keep && box_intersect(&tile, keep, &part)) /* mask: what stays */
            box_copy_bits(mask, &tile, NULL, &tile, &part);
        for (int64_t i = 0; i < bits_words(w->base->tile_cells); i++)
            mask[i] = ~mask[i] & t->present[i];
        s = decide(c, w, t, mask, &n);
        if (s == OK && n) t->changed = true;
        if (s == OK) s = wtile_store(c, w, t);
    }
    pthread_mutex_unlock(stripe);
    scratch_release(c->scratch, mark);
    return s;
}

/* ---- when memory runs short ---- */

struct victim {
    int64_t coords[MAX_DIMS];
    int64_t stamp;
};

static int order_of_victims(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    return (x->stamp > y->stamp) - (x->stamp < y->stamp);
}

/* All that wait, by age; malloc'ed. */
static struct victim *list_victims(struct writer *w, int64_t *n)
{
    int64_t count = 0;
    pthread_mutex_lock(&w->mu);
    for (int i = 0; i < N_BUCKETS; i++)
        for (struct wtile *t = w->tiles[i]; t; t = t->next)
            count++;
    struct victim *v = malloc(sizeof(*v) * (size_t)(count + 1));
    if (!v) abort();
    *n = 0;
    for (int i = 0; i < N_BUCKETS; i++)
        for (struct wtile *t = w->tiles[i]; t; t = t->next) {
            memcpy(v[*n].coords, t->coords, sizeof(t->coords));
            v[(*n)++].stamp = t->stamp;
        }
    pthread_mutex_unlock(&w->mu);
    qsort(v, (size_t)*n, sizeof(*v), order_of_victims);
    return v;
}

struct storing {
    struct writer *w;
    const struct victim *victims;
    int64_t bytes;
};

static enum status store_one(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct storing *st = self;
    struct writer *w = st->w;
    enum status s = OK;
    (void)worker;
    if (st->bytes && atomic_load(&w->used_bytes) <= st->bytes) return OK;
    pthread_mutex_t *stripe = stripe_of(w, st->victims[task].coords);
    pthread_mutex_lock(stripe);
    struct wtile *t = table_find(w, st->victims[task].coords);
    if (t) s = wtile_store(c, w, t);
    pthread_mutex_unlock(stripe);
    return s;
}

enum status wtiles_store(struct ctx *c, struct writer *w, int64_t bytes)
{
    int64_t n;
    struct victim *v = list_victims(w, &n);
    struct storing st = {w, v, bytes};
    enum status s = pool_run(c, n, 0, store_one, &st);
    free(v);
    return s;
}

void wtiles_free(struct writer *w)
{
    struct wtile *next;
    for (int i = 0; i < N_BUCKETS; i++)
        for (struct wtile *t = w->tiles[i]; t; t = next) {
            next = t->next;
            wtile_free(w, t);
        }
}
