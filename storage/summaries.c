/* What is known of tiles without reading them: one tile's summary, and whether a box has cells. */
#include "storage/db_internal.h"

#define MAY_HAVE_TILES 100000 /* a larger box is not looked into */
#define MAY_HAVE_EXACT 16     /* so few tiles are looked at by their bounding boxes */

struct load_self {
    const struct array *array;
};

static enum status load_block(struct ctx *c, void *self, const struct tile_key *key,
                              struct cache_slot *slot, struct tile *out)
{
    const struct array *a = ((const struct load_self *)self)->array;
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct store_record record;
    enum type type = T_NONE;
    uint16_t attr = (uint16_t)(key->attr & ~ATTR_SUMMARY);
    for (int k = 0; k < a->def->s.n_attrs; k++)
        if (a->def->s.attrs[k].id == attr) type = a->def->s.attrs[k].type;
    size_t head = (sizeof(struct summary_block) + 63) / 64 * 64;
    void *memory = NULL;
    enum status s = store_get(c, a->db->store, key, NULL, &record);
    if (s == OK)
        s = cache_alloc(c, slot, head + SUMMARY_BLOCK_TILES * sizeof(struct summary), &memory);
    if (s == OK) {
        struct summary_block *b = memory;
        b->slots = (struct summary *)(void *)((char *)memory + head);
        s = summary_block_decode(c, record.bytes, record.n_bytes, key, type, b);
        *out = (struct tile){.key = *key, .type = T_NONE, .values = memory};
    }
    scratch_release(c->scratch, mark);
    return s;
}

/* The block that the array's view sees; NULL: none. */
static enum status fetch_block(struct ctx *c, const struct array *a, uint16_t attr,
                               const int64_t *block, struct tile_ref *out)
{
    struct tile_key key = {
        .array = a->slot->id, .attr = attr | ATTR_SUMMARY, .n_dims = a->def->s.n_dims};
    struct load_self self = {a};
    *out = (struct tile_ref){0};
    memcpy(key.coords, block, sizeof(*block) * (size_t)key.n_dims);
    TRY(store_find(c, a->db->store, &key, &a->view, &key.version));
    if (!key.version) return OK;
    TRY(cache_get(c, a->db->cache, &key, load_block, &self, &out->tile));
    out->pinned = true;
    return OK;
}

static enum status fetch_slot(struct ctx *c, const struct array *a, uint16_t attr,
                              const int64_t *tile, struct summary *out, bool *found)
{
    int64_t block[MAX_DIMS];
    int slot;
    struct tile_ref ref;
    summary_block_of(a->def->s.n_dims, tile, block, &slot);
    TRY(fetch_block(c, a, attr, block, &ref));
    *found = false;
    if (ref.tile) {
        const struct summary_block *b = ref.tile->values;
        *found = bit_get(b->set, slot);
        if (*found) *out = b->slots[slot];
    }
    tile_done(a, &ref);
    return OK;
}

/* Of n cells that all have the attribute's default. */
static enum status summary_of_default(struct ctx *c, const struct attr *attr, int64_t n,
                                      struct summary *out)
{
    enum { STEP = 1024 };
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct column col;
    uint64_t none[STEP / 64] = {0};
    TRY(column_alloc(c, attr->type, STEP, &col));
    if (attr->deflt.null) {
        memset(col.values, 0, STEP * type_bytes(attr->type));
        col.valid = none;
    } else {
        for (int64_t i = 0; i < STEP; i++)
            value_put(&attr->deflt, col.values, i);
    }
    summary_init(out);
    for (int64_t done = 0; done < n; done += STEP) {
        struct summary part;
        summary_init(&part);
        summary_add(&part, &col, NULL, n - done < STEP ? n - done : STEP);
        summary_merge(out, attr->type, &part);
    }
    scratch_release(c->scratch, mark);
    return OK;
}

/* Of a tile and what lies over it, by looking at every cell. */
static enum status summary_of_cells(struct ctx *c, const struct array *a, int attr,
                                    const int64_t *tile, struct summary *out)
{
    struct tile_ref presence, ref = {0};
    void *bits;
    summary_init(out);
    TRY(tile_fetch(c, a, ATTR_PRESENCE, T_NONE, tile, FETCH_CACHED, &presence));
    if (!presence.tile) return OK;
    int64_t n = presence.tile->n_present;
    enum status s = scratch_alloc(c, (size_t)bits_words(a->tile_cells) * 8, &bits);
    if (s == OK) tile_presence_bits(presence.tile, a->extents, bits);
    tile_done(a, &presence);
    if (s < 0) return s;
    out->n_cells = n;
    if (attr < 0) return OK;
    const struct attr *at = &a->def->s.attrs[attr];
    TRY(tile_fetch(c, a, at->id, at->type, tile, FETCH_CACHED, &ref));
    if (!ref.tile) return summary_of_default(c, at, n, out);
    struct column col = {at->type, ref.tile->values, ref.tile->bits};
    summary_init(out);
    summary_add(out, &col, bits, a->tile_cells);
    tile_done(a, &ref);
    return OK;
}

/* Patches that only fill EMPTY cells add up with what is known of the tile; *added false: these
 * don't. */
static enum status add_patches(struct ctx *c, const struct array *a, int attr, const int64_t *tile,
                               const struct patch_list *l, struct summary *out, bool *added)
{
    const struct attr *at = &a->def->s.attrs[attr < 0 ? 0 : attr];
    uint16_t id = attr < 0 ? ATTR_PRESENCE : at->id;
    TRY(fetch_slot(c, a, id, tile, out, added));
    for (int64_t i = 0; i < l->n && *added; i++) {
        const struct patch_part *part = patch_part_of(l->list[i], id);
        if (!part || !l->list[i]->fills) *added = false;
        if (attr < 0 && *added) out->n_cells += part->n;
        if (attr < 0 || !*added) continue;
        struct summary more;
        struct column col = {at->type, (void *)(uintptr_t)part->values,
                             (uint64_t *)(uintptr_t)part->valid};
        summary_init(&more);
        summary_add(&more, &col, NULL, part->n);
        summary_merge(out, at->type, &more);
    }
    return OK;
}

/* *patched false: the tile has no patches. */
static enum status patched_summary(struct ctx *c, const struct array *a, int attr,
                                   const int64_t *tile, struct summary *out, bool *patched)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct patch_list patches;
    bool added = true;
    enum status s = patches_over(c, a, tile, &patches);
    *patched = patches.n > 0;
    if (s == OK && *patched) s = add_patches(c, a, attr, tile, &patches, out, &added);
    patches_done(&patches);
    if (s == OK && !added) s = summary_of_cells(c, a, attr, tile, out);
    scratch_release(c->scratch, mark);
    return s;
}

/* ---- many tiles ---- */

#define KEPT 8 /* blocks: one an attribute, for a few */

struct summaries {
    struct array *array;
    int next; /* whose place the next block takes */
    struct kept {
        bool used;
        uint16_t attr;
        int64_t at[MAX_DIMS];
        const struct summary_block *block; /* NULL: there is none */
    } kept[KEPT];
};

enum status summaries_open(struct ctx *c, struct array *a, struct summaries **out)
{
    void *memory;
    TRY(scratch_zeroed(c, sizeof(struct summaries), &memory));
    *out = memory;
    (*out)->array = a;
    return OK;
}

static enum status kept_block(struct ctx *c, struct summaries *w, uint16_t attr, const int64_t *at,
                              const struct summary_block **out)
{
    const struct array *a = w->array;
    size_t bytes = sizeof(*at) * (size_t)a->def->s.n_dims;
    for (int i = 0; i < KEPT; i++) {
        const struct kept *k = &w->kept[i];
        if (!k->used || k->attr != attr || memcmp(k->at, at, bytes)) continue;
        *out = k->block;
        return OK;
    }
    struct tile_ref ref;
    struct kept *k = &w->kept[w->next];
    TRY(fetch_block(c, a, attr, at, &ref));
    TRY(tile_hold(c, a, &ref));
    w->next = (w->next + 1) % KEPT;
    *k = (struct kept){.used = true, .attr = attr, .block = ref.tile ? ref.tile->values : NULL};
    memcpy(k->at, at, bytes);
    *out = k->block;
    return OK;
}

static enum status kept_summary(struct ctx *c, struct summaries *w, uint16_t attr,
                                const int64_t *tile, const struct summary **out)
{
    int64_t at[MAX_DIMS];
    int slot;
    const struct summary_block *b;
    summary_block_of(w->array->def->s.n_dims, tile, at, &slot);
    TRY(kept_block(c, w, attr, at, &b));
    *out = b && bit_get(b->set, slot) ? &b->slots[slot] : NULL;
    return OK;
}

/* The summary of a tile that has cells, when it is not as stored; else *out stays. */
static enum status made_summary(struct ctx *c, const struct array *a, int attr, const int64_t *tile,
                                const struct summary *presence, const struct summary **out)
{
    void *memory;
    bool patched = false;
    const struct attr *at = attr < 0 ? NULL : &a->def->s.attrs[attr];
    if (a->patched) {
        TRY(scratch_alloc(c, sizeof(struct summary), &memory));
        TRY(patched_summary(c, a, attr, tile, memory, &patched));
        if (patched) *out = memory;
    }
    if (patched || *out || attr < 0) return OK;
    if (!at->added_later)
        return fail(c, ERR_CORRUPT, "a summary of attribute \"%s\" of array \"%s\" is missing",
                    at->name, a->def->s.name);
    TRY(scratch_alloc(c, sizeof(struct summary), &memory));
    *out = memory;
    return summary_of_default(c, at, presence->n_cells, memory);
}

/* As stored, of an array that is. */
static enum status stored_summary(struct ctx *c, struct summaries *w, int attr, const int64_t *tile,
                                  const struct summary **out)
{
    const struct array *a = w->array;
    const struct summary *presence;
    *out = NULL;
    TRY(kept_summary(c, w, ATTR_PRESENCE, tile, &presence));
    if (!presence || presence->n_cells == 0) return OK;
    if (attr < 0)
        *out = presence;
    else
        TRY(kept_summary(c, w, a->def->s.attrs[attr].id, tile, out));
    return *out && !a->patched ? OK : made_summary(c, a, attr, tile, presence, out);
}

enum status summary_fetch(struct ctx *c, struct array *a, int attr, const int64_t *tile,
                          struct summary *out, bool *found)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct summaries w = {.array = a};
    const struct summary *s = NULL;
    enum status st = stored_summary(c, &w, attr, tile, &s);
    *found = s != NULL;
    if (s) *out = *s;
    scratch_release(c->scratch, mark);
    return st;
}

/* A logical tile of an axis stored in another order is no stored tile: its cells are read. */
static enum status summary_by_reading(struct ctx *c, struct array *a, int attr, const int64_t *tile,
                                      struct summary *out, bool *found)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct box box;
    struct column col;
    uint64_t *present;
    int64_t n_present;
    tile_box(a, tile, &box);
    TRY(array_read(c, a, &box, &attr, attr >= 0 ? 1 : 0, &col, &present, &n_present));
    *found = n_present > 0;
    summary_init(out);
    if (attr >= 0 && *found) summary_add(out, &col, present, box_cells(&box));
    out->n_cells = n_present;
    scratch_release(c->scratch, mark);
    return OK;
}

enum status array_summary(struct ctx *c, struct array *a, int attr, const int64_t *tile,
                          struct summary *out, bool *found)
{
    atomic_store_explicit(&a->txn->has_read, true, memory_order_relaxed);
    if (a->permuted) return summary_by_reading(c, a, attr, tile, out, found);
    return summary_fetch(c, a, attr, tile, out, found);
}

enum status summaries_at(struct ctx *c, struct summaries *w, int attr, const int64_t *tile,
                         const struct summary **out)
{
    void *memory;
    bool found;
    atomic_store_explicit(&w->array->txn->has_read, true, memory_order_relaxed);
    if (!w->array->permuted) return stored_summary(c, w, attr, tile, out);
    TRY(scratch_alloc(c, sizeof(struct summary), &memory));
    TRY(summary_by_reading(c, w->array, attr, tile, memory, &found));
    *out = found ? memory : NULL;
    return OK;
}

static enum status tile_may_have(struct ctx *c, const struct array *a, const int64_t *coords,
                                 const struct box *box, bool *out)
{
    struct tile_ref presence;
    struct box tile, cells;
    TRY(tile_fetch(c, a, ATTR_PRESENCE, T_NONE, coords, FETCH_CACHED, &presence));
    if (presence.tile) {
        tile_box(a, coords, &tile);
        cells.n_dims = tile.n_dims;
        for (int d = 0; d < tile.n_dims; d++) {
            cells.lo[d] = tile.lo[d] + presence.tile->lo[d];
            cells.hi[d] = tile.lo[d] + presence.tile->hi[d];
        }
        *out = box_intersect(&cells, box, &cells);
    }
    tile_done(a, &presence);
    return OK;
}

/* Does any tile of the box (of tile coordinates) have a cell, by the summaries? */
static enum status summaries_may_have(struct ctx *c, const struct array *a, const struct box *tiles,
                                      bool *out)
{
    int64_t coords[MAX_DIMS], block[MAX_DIMS], last[MAX_DIMS];
    int slot, n_dims = tiles->n_dims;
    struct tile_ref ref = {0};
    bool any = false;
    enum status s = OK;
    memcpy(coords, tiles->lo, sizeof(coords));
    for (int64_t left = box_cells(tiles); s == OK && left > 0 && !*out; left--) {
        summary_block_of(n_dims, coords, block, &slot);
        if (!any || memcmp(block, last, sizeof(*block) * (size_t)n_dims) != 0) {
            tile_done(a, &ref);
            s = fetch_block(c, a, ATTR_PRESENCE, block, &ref);
            memcpy(last, block, sizeof(last));
            any = true;
        }
        if (s == OK && ref.tile) {
            const struct summary_block *b = ref.tile->values;
            if (bit_get(b->set, slot) && b->slots[slot].n_cells > 0) *out = true;
        }
        for (int d = n_dims - 1; d >= 0; d--) {
            if (++coords[d] < tiles->hi[d]) break;
            coords[d] = tiles->lo[d];
        }
    }
    tile_done(a, &ref);
    return s;
}

enum status array_may_have(struct ctx *c, struct array *a, const struct box *box, bool *out)
{
    struct box all, inside, tiles;
    int64_t coords[MAX_DIMS];
    bool may = false;
    atomic_store_explicit(&a->txn->has_read, true, memory_order_relaxed);
    schema_box(&a->def->s, &all);
    if (!box_intersect(&all, box, &inside)) {
        *out = false;
        return OK;
    }
    for (int d = 0; a->permuted && d < all.n_dims; d++) {
        const struct labels *l = a->def->s.dims[d].axis.labels;
        if (!l || !l->stored) continue;
        inside.lo[d] = 0;
        inside.hi[d] = l->n;
    }
    box_tiles(&inside, a->extents, &tiles);
    int64_t n = box_cells(&tiles);
    if (n > MAY_HAVE_TILES) {
        may = true;
    } else if (n > MAY_HAVE_EXACT) {
        TRY(summaries_may_have(c, a, &tiles, &may));
    } else {
        memcpy(coords, tiles.lo, sizeof(coords));
        for (int64_t i = 0; i < n && !may; i++) {
            TRY(tile_may_have(c, a, coords, &inside, &may));
            for (int d = tiles.n_dims - 1; d >= 0; d--) {
                if (++coords[d] < tiles.hi[d]) break;
                coords[d] = tiles.lo[d];
            }
        }
    }
    *out = may;
    return OK;
}
