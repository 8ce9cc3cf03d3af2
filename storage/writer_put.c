/* How boxes and cells join a tile: which of them are to be written, by the conflict mode, and when
 * the tile need not wait at all. */
#include "storage/writer_internal.h"

#define FEW_PART 64 /* a piece of at most this part of the tile's cells waits as a list */

/* Nothing more is expected of it: every cell that may exist was put. */
static bool is_complete(const struct writer *w, const struct wtile *t)
{
    if (!t->dense) return false;
    struct box box;
    tile_box(w->base, t->coords, &box);
    box_intersect(&box, &w->limits, &box);
    return t->n_put >= box_cells(&box);
}

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
        if (both && w->mode <= CONFLICT_RENEW) {
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
    size_t width = writer_width(w, k);
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
        wtile_put_dense(w, t, k, &at, 1, &w->deflt[k], NULL, true);
    }
}

/* Cells of one tile, as wtile_put_cells() is handed them. */
struct group {
    const int64_t *coords;
    int64_t n;
    const uint32_t *cells, *from;
    const struct cells *src;
};

static enum status put_group(struct ctx *c, struct writer *w, struct wtile *t,
                             const struct group *g, int64_t *written, bool *again);

/* A piece of few cells: they wait as a list. mask: which, over the tile. */
static enum status put_few(struct ctx *c, struct writer *w, struct wtile *t, const struct piece *p,
                           const uint64_t *mask, int64_t n, int64_t *written, bool *again)
{
    void *cells, *from;
    int64_t at = 0, all = w->base->tile_cells, pos[MAX_DIMS];
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)n, &cells));
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)n, &from));
    struct group g = {p->coords, n, cells, from, p->src};
    for (int64_t i = bits_next(mask, 0, all); i < all; i = bits_next(mask, i + 1, all)) {
        box_position(&p->tile, i, pos);
        ((uint32_t *)cells)[at] = (uint32_t)i;
        ((uint32_t *)from)[at++] = (uint32_t)box_index(p->box, pos);
    }
    return put_group(c, w, t, &g, written, again);
}

static enum status put_part(struct ctx *c, struct writer *w, struct wtile *t, const struct piece *p,
                            int64_t *written, bool *again)
{
    void *bits;
    int64_t n;
    TRY(scratch_alloc(c, writer_bit_bytes(w), &bits));
    uint64_t *mask = memset(bits, 0, writer_bit_bytes(w));
    box_copy_bits(mask, &p->tile, p->present, p->box, &p->part);
    n = bits_count(mask, 0, w->base->tile_cells);
    if (n == 0) return OK;
    if (!t->dense && n <= w->base->tile_cells / FEW_PART && box_cells(p->box) <= UINT32_MAX)
        return put_few(c, w, t, p, mask, n, written, again);
    TRY(wtile_reserve(c, w, t, 0, true, again));
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
                     writer_width(w, k));
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
    size_t width = writer_width(w, k);
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
        TRY(scratch_alloc(c, writer_bit_bytes(w), &v));
        out->valid = memset(v, 0, writer_bit_bytes(w));
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
        TRY(scratch_alloc(c, writer_bit_bytes(w), &v));
        uint64_t *bits = memset(v, 0, writer_bit_bytes(w));
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
    if (!writer_inserts(w) || !covers_tile(w, p) || wtable_find(w, p->coords)) return OK;
    struct tile_ref ref;
    TRY(writer_fetch(c, w, ATTR_PRESENCE, T_NONE, p->coords, &ref));
    if (ref.tile) *n_before = ref.tile->n_present;
    *whole = !*n_before || (w->mode == CONFLICT_REPLACE && !p->present) ||
             writer_renews(w, p->coords);
    tile_done(w->base, &ref);
    return OK;
}

static enum status try_box(struct ctx *c, struct writer *w, const struct piece *p, int64_t *written,
                           bool *again)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    pthread_mutex_t *stripe = wtile_stripe(w, p->coords);
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
        if (there && w->mode <= CONFLICT_RENEW) {
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

static enum status put_group(struct ctx *c, struct writer *w, struct wtile *t,
                             const struct group *g, int64_t *written, bool *again)
{
    void *kept_cells, *kept_from;
    int64_t n = 0;
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)g->n, &kept_cells));
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)g->n, &kept_from));
    TRY(wtile_reserve(c, w, t, g->n, false, again));
    TRY(decide_cells(c, w, t, g->n, g->cells, g->from, kept_cells, kept_from, &n));
    if (n == 0) return OK;
    wtile_put_values(w, t, kept_cells, n, g->src, kept_from);
    *written += n;
    return OK;
}

static enum status try_cells(struct ctx *c, struct writer *w, const struct group *g,
                             int64_t *written, bool *again)
{
    pthread_mutex_t *stripe = wtile_stripe(w, g->coords);
    struct wtile *t;
    *again = false;
    pthread_mutex_lock(stripe);
    enum status s = wtile_get(c, w, g->coords, &t);
    if (s == OK) s = put_group(c, w, t, g, written, again);
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
    pthread_mutex_t *stripe = wtile_stripe(w, coords);
    struct box tile, part;
    struct wtile *t;
    void *bits = NULL;
    int64_t n;
    tile_box(w->base, coords, &tile);
    pthread_mutex_lock(stripe);
    enum status s = wtile_get(c, w, coords, &t);
    if (s == OK) s = scratch_alloc(c, writer_bit_bytes(w), &bits);
    if (s == OK) {
        uint64_t *mask = bits;
        memset(mask, 0, writer_bit_bytes(w));
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
