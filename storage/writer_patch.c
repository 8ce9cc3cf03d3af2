/* How the few cells of a small write become patches, one a tile, instead of new tiles. */
#include "storage/writer_internal.h"
#include <stdlib.h>

#define FOLD_PART 16   /* patches hold at most this part of a tile's cells, then they are folded */
#define MEMORY_PART 16 /* … and of the server's memory */
#define LEAST_MEMORY (INT64_C(1) << 20)
#define ABOUT_BYTES 128 /* of a patch, beside the values */

/* An attribute that came after the tile has nothing there that a patch could lie over. */
static enum status lies_over_all(struct ctx *c, struct writer *w, const struct wtile *t, bool *may)
{
    for (int k = 0; k < w->s->n_attrs && *may; k++) {
        if (!w->rewritten[k] || !w->s->attrs[k].added_later) continue;
        struct tile_key key = {
            .array = w->s->id, .attr = w->s->attrs[k].id, .n_dims = w->s->n_dims};
        memcpy(key.coords, t->coords, sizeof(key.coords));
        TRY(store_find(c, w->db->store, &key, &w->base->view, &key.version));
        *may = key.version != 0;
    }
    return OK;
}

static int64_t cells_changed(const struct wtile *t)
{
    return t->n_listed ? t->n_listed : llabs(t->n_before - t->n_present);
}

static enum status may_be_patch(struct ctx *c, struct writer *w, const struct wtile *t, bool *may)
{
    int64_t there = patches_cells(w->change->slot, w->change->own, w->s->n_dims, t->coords);
    *may = !t->dense && t->n_before && t->n_present &&
           there + cells_changed(t) <= w->base->tile_cells / FOLD_PART;
    return lies_over_all(c, w, t, may);
}

static bool has_memory(const struct writer *w, int64_t bytes)
{
    int64_t most = w->db->budget->limit_bytes / MEMORY_PART;
    if (most < LEAST_MEMORY) most = LEAST_MEMORY;
    if (w->change->own) bytes += w->change->own->n_bytes;
    return atomic_load(&w->db->patch_bytes) + bytes <= most;
}

static enum status all_may(struct ctx *c, struct writer *w, bool *may)
{
    int64_t bytes = 0;
    bool any = false;
    *may = !w->pending && w->base != &w->none && w->mode != CONFLICT_RENEW;
    for (int64_t i = 0; i < w->n_buckets && *may; i++)
        for (const struct wtile *t = w->tiles[i]; t && *may; t = t->next) {
            if (!t->changed) continue;
            TRY(may_be_patch(c, w, t, may));
            bytes += ABOUT_BYTES + cells_changed(t) * 8 * (w->s->n_attrs + 1);
            any = true;
        }
    *may = *may && any && has_memory(w, bytes);
    return OK;
}

/* ---- one tile ---- */

struct listed {
    uint32_t cell, at;
};

static int order_of_listed(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->cell != y->cell) return x->cell < y->cell ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The listed cells in order, each once, as it was put last. */
static enum status order_list(struct ctx *c, const struct wtile *t, struct listed **out, int64_t *n)
{
    void *p;
    int64_t kept = 0;
    TRY(scratch_alloc(c, sizeof(struct listed) * (size_t)(t->n_listed + 1), &p));
    struct listed *l = p;
    for (int64_t i = 0; i < t->n_listed; i++)
        l[i] = (struct listed){t->listed[i], (uint32_t)i};
    qsort(l, (size_t)t->n_listed, sizeof(*l), order_of_listed);
    for (int64_t i = 0; i < t->n_listed; i++)
        if (i + 1 == t->n_listed || l[i + 1].cell != l[i].cell) l[kept++] = l[i];
    *out = l;
    *n = kept;
    return OK;
}

/* Which cells came, and which went. */
static enum status presence_part(struct ctx *c, struct writer *w, const struct wtile *t,
                                 struct patch_part *out)
{
    struct tile_ref ref;
    void *bits, *cells;
    int64_t n_words = bits_words(w->base->tile_cells), n = 0;
    TRY(scratch_alloc(c, writer_bit_bytes(w), &bits));
    TRY(writer_fetch(c, w, ATTR_PRESENCE, T_NONE, t->coords, &ref));
    tile_presence_bits(ref.tile, w->base->extents, bits);
    tile_done(w->base, &ref);
    uint64_t *changed = bits;
    for (int64_t i = 0; i < n_words; i++) {
        changed[i] ^= t->present[i];
        if (changed[i]) n += __builtin_popcountll(changed[i]);
    }
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)(n + 1), &cells));
    uint32_t *to = cells;
    for (int64_t i = 0; i < n_words; i++)
        for (uint64_t left = changed[i]; left; left &= left - 1) {
            int64_t at = i * 64 + __builtin_ctzll(left);
            *to++ = (uint32_t)at | (bit_get(t->present, at) ? 0 : PATCH_GONE);
        }
    *out = (struct patch_part){.attr = ATTR_PRESENCE, .n = (uint32_t)n, .cells = cells};
    return OK;
}

/* The values of attribute k of the listed cells. */
static enum status value_part(struct ctx *c, struct writer *w, const struct wtile *t, int k,
                              const struct listed *l, int64_t n, const uint32_t *cells,
                              struct patch_part *out)
{
    int col = w->column_of[k];
    const struct cells *src = col >= 0 ? &t->list[col] : &w->deflt[k];
    size_t width = writer_width(w, k);
    void *values, *bits;
    bool nulls = false;
    TRY(scratch_alloc(c, width * (size_t)n, &values));
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &bits));
    memset(bits, 0, (size_t)bits_words(n) * 8);
    for (int64_t i = 0; i < n; i++) {
        size_t at = col >= 0 ? l[i].at : 0;
        bool valid = !src->valid || bit_get(src->valid, (int64_t)at);
        memcpy((char *)values + (size_t)i * width, (const char *)src->values + at * width, width);
        bit_put(bits, i, valid);
        nulls = nulls || !valid;
    }
    *out = (struct patch_part){.attr = w->s->attrs[k].id,
                               .width = (uint8_t)width,
                               .n = (uint32_t)n,
                               .cells = cells,
                               .values = values,
                               .valid = nulls ? bits : NULL};
    return OK;
}

static enum status patch_tile(struct ctx *c, struct writer *w, const struct wtile *t)
{
    struct tile_key key = {.array = w->s->id, .n_dims = w->s->n_dims, .version = w->version};
    struct listed *l;
    void *parts, *cells;
    int64_t n;
    int n_parts = 0;
    bool fills = writer_inserts(w);
    memcpy(key.coords, t->coords, sizeof(key.coords));
    TRY(order_list(c, t, &l, &n));
    TRY(scratch_alloc(c, sizeof(struct patch_part) * (size_t)(w->s->n_attrs + 1), &parts));
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)(n + 1), &cells));
    for (int64_t i = 0; i < n; i++)
        ((uint32_t *)cells)[i] = l[i].cell;
    struct patch_part *part = parts;
    if (w->mode != CONFLICT_UPDATE) {
        TRY(presence_part(c, w, t, &part[n_parts]));
        fills = fills && part[n_parts].n == n;
        if (part[n_parts].n) n_parts++;
    }
    for (int k = 0; k < w->s->n_attrs && n; k++)
        if (w->rewritten[k]) TRY(value_part(c, w, t, k, l, n, cells, &part[n_parts++]));
    own_patches_add(w->change->own, patch_new(&key, fills, parts, n_parts),
                    change_kept_version(w->txn, w->change));
    w->totals.cells += t->n_present - t->n_before;
    return OK;
}

enum status writer_patch(struct ctx *c, struct writer *w, bool *done)
{
    TRY(all_may(c, w, done));
    if (!*done) return OK;
    (void)own_patches_of(w->txn, w->change);
    enum status s = OK;
    for (int64_t i = 0; i < w->n_buckets; i++)
        for (const struct wtile *t = w->tiles[i]; s == OK && t; t = t->next) {
            struct scratch_mark mark = scratch_mark(c->scratch);
            if (t->changed) s = patch_tile(c, w, t);
            scratch_release(c->scratch, mark);
        }
    change_patched(w->change, w->version);
    return s;
}
