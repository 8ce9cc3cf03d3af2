/* How cells are written: a writer's life from its lock and pending version to its totals. What
 * waits in memory is in writer_tile.c, what is stored in writer_store.c, axes and texts in
 * writer_axis.c.
 */
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

#define LEAST_WAITING_BYTES (INT64_C(4) << 20)
#define MOST_WAITING_BYTES (INT64_C(512) << 20)

/* ---- open ---- */

static void set_limits(struct writer *w)
{
    w->limits.n_dims = w->grown.n_dims = w->s->n_dims;
    for (int d = 0; d < w->s->n_dims; d++) {
        const struct axis *x = &w->s->dims[d].axis;
        w->grown.lo[d] = x->lo;
        w->grown.hi[d] = x->hi;
        if (x->kind == AXIS_LABELLED) {
            w->limits.lo[d] = 0;
            w->limits.hi[d] = x->grows ? INT64_MAX : x->hi;
        } else {
            w->limits.lo[d] = x->grows ? x->limit_lo : x->lo;
            w->limits.hi[d] = x->grows ? x->limit_hi : x->hi;
        }
        if (!writer_inserts(w)) { /* existing cells only */
            w->limits.lo[d] = x->lo;
            w->limits.hi[d] = x->hi;
        }
    }
}

static void set_columns(struct writer *w, const int *attrs, int n)
{
    struct arena *a = w->arena;
    int n_attrs = w->s->n_attrs;
    w->n_given = n;
    w->given = arena_array(a, int, n + 1);
    w->column_of = arena_array(a, int, n_attrs + 1);
    w->rewritten = arena_array(a, bool, n_attrs + 1);
    w->deflt = arena_array(a, struct cells, n_attrs + 1);
    w->strings = arena_array(a, struct strings *, n_attrs + 1);
    for (int k = 0; k < n_attrs; k++) {
        w->column_of[k] = -1;
        w->rewritten[k] = writer_inserts(w);
        if (w->s->attrs[k].type == T_TEXT) {
            const struct dict *dict = w->s->attrs[k].dict;
            w->strings[k] = strings_writable(w->def->strings[k], dict ? dict->n : 0);
        }
    }
    for (int i = 0; i < n; i++) {
        w->given[i] = attrs[i];
        w->column_of[attrs[i]] = i;
        w->rewritten[attrs[i]] = true;
    }
}

static void set_memory(struct ctx *c, struct writer *w)
{
    int64_t left = budget_left(c->budget) / 4;
    if (left < LEAST_WAITING_BYTES) left = LEAST_WAITING_BYTES;
    if (left > MOST_WAITING_BYTES) left = MOST_WAITING_BYTES;
    w->limit_bytes = left;
    w->max_sums = (int)(left / 4 / (int64_t)(SUMMARY_BLOCK_TILES * sizeof(struct summary)));
    if (w->max_sums < 8) w->max_sums = 8;
}

int64_t writer_room_bytes(const struct writer *w)
{
    return w->limit_bytes;
}

enum status writer_open_change(struct ctx *c, struct txn *t, struct change *ch, enum conflict mode,
                               const int *attrs, int n, struct writer **out)
{
    struct array *base;
    TRY(change_open(c, t, ch, &base));
    struct writer *w = calloc(1, sizeof(*w));
    if (!w) return fail(c, ERR_MEMORY, "out of memory");
    w->txn = t;
    w->db = t->db;
    w->change = ch;
    w->mode = mode;
    w->def = def_ref(ch->def);
    w->s = &w->def->s;
    w->base = base;
    w->arena = arena_new();
    for (int i = 0; i < N_STRIPES; i++)
        pthread_mutex_init(&w->stripes[i], NULL);
    pthread_mutex_init(&w->mu, NULL);
    pthread_mutex_init(&w->sums_mu, NULL);
    set_columns(w, attrs, n);
    set_limits(w);
    set_memory(c, w);
    w->totals = base->totals;
    if (base->patched) (void)own_patches_of(t, ch); /* many may look at it later */
    enum status s = writer_defaults(c, w);
    if (s == OK) s = store_batch_new(c, w->db->store, &w->batch);
    if (s < 0) {
        writer_free(w);
        return s;
    }
    w->version = change_new_version(t, ch);
    w->self = *base;
    w->self.version = w->self.view.own = w->version;
    *out = w;
    return OK;
}

enum status writer_open_afresh(struct ctx *c, struct txn *t, struct change *ch, const int *attrs,
                               int n, struct writer **out)
{
    struct writer *w;
    TRY(writer_open_change(c, t, ch, CONFLICT_ERROR, attrs, n, &w));
    w->none = *w->base;
    w->none.version = w->none.view.version = 0;
    w->none.totals = (struct totals){0};
    w->base = &w->none;
    w->totals = w->none.totals;
    *out = w;
    return OK;
}

enum status writer_open(struct ctx *c, struct txn *t, const char *name, enum conflict mode,
                        const int *attrs, int n, struct writer **out)
{
    struct change *ch;
    TRY(txn_change(c, t, name, &ch));
    return writer_open_change(c, t, ch, mode, attrs, n, out);
}

const struct schema *writer_schema(const struct writer *cw)
{
    struct writer *w = (struct writer *)(uintptr_t)cw; /* what it looks like stays as it is */
    pthread_mutex_lock(&w->mu);
    int64_t growth = w->growth;
    pthread_mutex_unlock(&w->mu);
    if (growth == 0) return w->s;
    if (growth == w->shown_growth) return &w->shown[w->n_shown - 1]->s;
    struct def **shown = realloc(w->shown, sizeof(struct def *) * (size_t)(w->n_shown + 1));
    if (!shown) abort();
    w->shown = shown;
    w->shown[w->n_shown++] = writer_grown_def(w);
    w->shown_growth = growth;
    return &w->shown[w->n_shown - 1]->s;
}

void writer_free(struct writer *w)
{
    if (!w) return;
    if (!w->finished && (w->pending || w->patched))
        change_kill_version(w->txn, w->change, w->version);
    if (!w->pending && !w->patched && w->version)
        change_return_version(w->txn, w->change, w->version);
    store_batch_free(w->batch);
    wtiles_free(w);
    writer_free_sums(w);
    for (int d = 0; d < w->s->n_dims; d++) {
        free(w->labels[d].values);
        free(w->labels[d].table);
    }
    for (int k = 0; k < w->s->n_attrs; k++)
        strings_unref(w->strings[k]);
    for (int i = 0; i < w->n_shown; i++)
        def_unref(w->shown[i]);
    free(w->shown);
    for (int i = 0; i < N_STRIPES; i++)
        pthread_mutex_destroy(&w->stripes[i]);
    pthread_mutex_destroy(&w->mu);
    pthread_mutex_destroy(&w->sums_mu);
    arena_free(w->arena);
    def_unref(w->def);
    free(w);
}

/* ---- boxes ---- */

static enum status out_of_limits(struct ctx *c, const struct writer *w, const struct box *box)
{
    for (int d = 0; d < box->n_dims; d++) {
        if (box->lo[d] >= w->limits.lo[d] && box->hi[d] <= w->limits.hi[d]) continue;
        int64_t past = box->lo[d] < w->limits.lo[d] ? box->lo[d] : box->hi[d] - 1;
        return fail(c, ERR_OUT_OF_BOUNDS,
                    "position %lld is not on dimension \"%s\" of array \"%s\"", (long long)past,
                    w->s->dims[d].name, w->s->name);
    }
    return OK;
}

/* The least box around the cells that exist. */
static void bound_present(const struct box *box, const uint64_t *present, struct box *out)
{
    int last = box->n_dims - 1;
    int64_t length = box_extent(box, last), rows = box_cells(box) / length, pos[MAX_DIMS];
    bool any = false;
    memcpy(pos, box->lo, sizeof(pos));
    out->n_dims = box->n_dims;
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r * length, end = at + length, first = bits_next(present, at, end);
        if (first < end) {
            int64_t final = end - 1;
            while (!bit_get(present, final))
                final--;
            for (int d = 0; d < last; d++) {
                if (!any || pos[d] < out->lo[d]) out->lo[d] = pos[d];
                if (!any || pos[d] >= out->hi[d]) out->hi[d] = pos[d] + 1;
            }
            int64_t lo = box->lo[last] + first - at, hi = box->lo[last] + final - at + 1;
            if (!any || lo < out->lo[last]) out->lo[last] = lo;
            if (!any || hi > out->hi[last]) out->hi[last] = hi;
            any = true;
        }
        for (int d = last - 1; d >= 0; d--) {
            if (++pos[d] < box->hi[d]) break;
            pos[d] = box->lo[d];
        }
    }
    if (!any) *out = (struct box){.n_dims = box->n_dims};
}

static void grow_to(struct writer *w, const struct box *box, const uint64_t *present)
{
    struct box bound = *box, extents;
    if (!writer_inserts(w)) return;
    pthread_mutex_lock(&w->mu);
    extents = w->grown;
    pthread_mutex_unlock(&w->mu);
    bool outside = false;
    for (int d = 0; d < box->n_dims; d++)
        if (w->s->dims[d].axis.kind == AXIS_REGULAR &&
            (box->lo[d] < extents.lo[d] || box->hi[d] > extents.hi[d]))
            outside = true;
    if (!outside) return;
    if (present) bound_present(box, present, &bound);
    if (!box_empty(&bound)) writer_grow(w, &bound);
}

static enum status keep_within_memory(struct ctx *c, struct writer *w)
{
    if (atomic_load(&w->used_bytes) <= w->limit_bytes) return OK;
    return wtiles_store(c, w, w->limit_bytes / 2);
}

static bool next_coords(const struct box *tiles, int64_t *coords)
{
    for (int d = tiles->n_dims - 1; d >= 0; d--) {
        if (++coords[d] < tiles->hi[d]) return true;
        coords[d] = tiles->lo[d];
    }
    return false;
}

static enum status put_box(struct ctx *c, struct writer *w, const struct box *box,
                           const struct column *cols, const uint64_t *present, int64_t *written)
{
    void *p;
    struct box tiles;
    int64_t n = box_cells(box);
    TRY(out_of_limits(c, w, box));
    TRY(scratch_alloc(c, sizeof(struct cells) * (size_t)(w->n_given + 1), &p));
    TRY(writer_encode_columns(c, w, cols, present, n, p));
    grow_to(w, box, present);
    struct piece piece = {.box = box, .src = p, .present = present};
    box_tiles(box, w->base->extents, &tiles);
    memcpy(piece.coords, tiles.lo, sizeof(piece.coords));
    do {
        TRY(check_cancel(c));
        tile_box(w->base, piece.coords, &piece.tile);
        box_intersect(&piece.tile, box, &piece.part);
        TRY(wtile_put_box(c, w, &piece, written));
        TRY(keep_within_memory(c, w));
    } while (next_coords(&tiles, piece.coords));
    return OK;
}

enum status writer_put_box(struct ctx *c, struct writer *w, const struct box *box,
                           const struct column *cols, const uint64_t *present, int64_t *written)
{
    if (box_empty(box)) return OK;
    if (present && bits_none(present, 0, box_cells(box))) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = put_box(c, w, box, cols, present, written);
    scratch_release(c->scratch, mark);
    return s;
}

/* ---- cells ---- */

/* Cells in order of their tiles. */
struct place {
    int64_t tile; /* index in the box of tiles that they lie in */
    uint32_t cell, from;
};

static int order_of_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->tile != y->tile) return x->tile < y->tile ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static void bound_cells(const struct writer *w, int64_t n, int64_t *const *pos, struct box *out)
{
    out->n_dims = w->s->n_dims;
    for (int d = 0; d < out->n_dims; d++) {
        int64_t lo = pos[d][0], hi = pos[d][0];
        for (int64_t i = 1; i < n; i++) {
            if (pos[d][i] < lo) lo = pos[d][i];
            if (pos[d][i] > hi) hi = pos[d][i];
        }
        out->lo[d] = lo;
        out->hi[d] = hi + 1;
    }
}

static void coords_of(const struct writer *w, int64_t *const *pos, int64_t i, int64_t *coords)
{
    for (int d = 0; d < w->s->n_dims; d++)
        coords[d] = tile_of(pos[d][i], w->base->extents[d]);
}

/* In order of the tiles, each tile's cells as they came: by counting, where tiles are fewer. */
static enum status sort_places(struct ctx *c, int64_t n, int64_t n_tiles, struct place **places)
{
    struct place *from = *places;
    void *starts, *to;
    if (n_tiles > n) {
        qsort(from, (size_t)n, sizeof(*from), order_of_places);
        return OK;
    }
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(n_tiles + 1), &starts));
    TRY(scratch_alloc(c, sizeof(*from) * (size_t)n, &to));
    int64_t *at = starts;
    memset(at, 0, sizeof(*at) * (size_t)(n_tiles + 1));
    for (int64_t i = 0; i < n; i++)
        at[from[i].tile + 1]++;
    for (int64_t t = 0; t < n_tiles; t++)
        at[t + 1] += at[t];
    for (int64_t i = 0; i < n; i++)
        ((struct place *)to)[at[from[i].tile]++] = from[i];
    *places = to;
    return OK;
}

/* Each cell's tile and place in it; sorted by tile. Tiles too far apart to be numbered in one box
 * go by a hash. */
static enum status place_cells(struct ctx *c, const struct writer *w, int64_t n,
                               int64_t *const *pos, const struct box *tiles, struct place **out)
{
    bool sorted = true, far = box_cells(tiles) == INT64_MAX;
    int64_t coords[MAX_DIMS];
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct place) * (size_t)n, &mem));
    struct place *places = mem;
    for (int64_t i = 0; i < n; i++) {
        int64_t tile = 0, cell = 0;
        coords_of(w, pos, i, coords);
        for (int d = 0; d < tiles->n_dims; d++)
            cell = cell * w->base->extents[d] + (pos[d][i] - coords[d] * w->base->extents[d]);
        if (far)
            tile = (int64_t)(XXH3_64bits(coords, sizeof(*coords) * (size_t)tiles->n_dims) >> 1);
        else
            tile = box_index(tiles, coords);
        places[i] = (struct place){tile, (uint32_t)cell, (uint32_t)i};
        if (i && tile < places[i - 1].tile) sorted = false;
    }
    *out = places;
    return sorted ? OK : sort_places(c, n, box_cells(tiles), out);
}

/* hashed: cells of several tiles may have the same number. */
static enum status put_groups(struct ctx *c, struct writer *w, const struct place *places,
                              int64_t n, bool hashed, int64_t *const *pos, const struct cells *src,
                              int64_t *written)
{
    void *cells, *from;
    int64_t coords[MAX_DIMS], next[MAX_DIMS];
    size_t bytes = sizeof(*coords) * (size_t)w->s->n_dims;
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)n, &cells));
    TRY(scratch_alloc(c, sizeof(uint32_t) * (size_t)n, &from));
    for (int64_t i = 0; i < n;) {
        int64_t k = i;
        coords_of(w, pos, places[i].from, coords);
        for (; k < n && places[k].tile == places[i].tile; k++) {
            if (hashed) {
                coords_of(w, pos, places[k].from, next);
                if (memcmp(next, coords, bytes) != 0) break;
            }
            ((uint32_t *)cells)[k - i] = places[k].cell;
            ((uint32_t *)from)[k - i] = places[k].from;
        }
        TRY(check_cancel(c));
        TRY(wtile_put_cells(c, w, coords, k - i, cells, from, src, written));
        TRY(keep_within_memory(c, w));
        i = k;
    }
    return OK;
}

static enum status put_cells(struct ctx *c, struct writer *w, int64_t n, int64_t *const *pos,
                             const struct column *cols, int64_t *written)
{
    void *p;
    struct place *places;
    struct box bound, tiles;
    bound_cells(w, n, pos, &bound);
    TRY(out_of_limits(c, w, &bound));
    box_tiles(&bound, w->base->extents, &tiles);
    TRY(scratch_alloc(c, sizeof(struct cells) * (size_t)(w->n_given + 1), &p));
    TRY(writer_encode_columns(c, w, cols, NULL, n, p));
    TRY(place_cells(c, w, n, pos, &tiles, &places));
    TRY(put_groups(c, w, places, n, box_cells(&tiles) == INT64_MAX, pos, p, written));
    if (writer_inserts(w)) writer_grow(w, &bound);
    return OK;
}

enum status writer_put_cells(struct ctx *c, struct writer *w, int64_t n, int64_t *const *pos,
                             const struct column *cols, int64_t *written)
{
    if (n == 0) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = put_cells(c, w, n, pos, cols, written);
    scratch_release(c->scratch, mark);
    return s;
}

/* ---- the end ---- */

enum status writer_clear(struct ctx *c, struct writer *w, const struct box *keep)
{
    struct box all = {.n_dims = w->s->n_dims}, stays, tile;
    struct store_scan scan;
    struct tile_key keys[64];
    int64_t n;
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    store_scan_init(&scan, w->db->store, w->s->id, ATTR_PRESENCE, &all, &w->base->view);
    do {
        TRY(store_scan_next(c, &scan, keys, 64, &n));
        for (int64_t i = 0; i < n; i++) {
            TRY(check_cancel(c));
            tile_box(w->base, keys[i].coords, &tile);
            if (keep && box_intersect(&tile, keep, &stays) && box_equal(&tile, &stays)) continue;
            TRY(wtile_clear(c, w, keys[i].coords, keep));
        }
    } while (n > 0);
    return OK;
}

/* Nothing was put into the tile. */
static enum status clear_tile(struct ctx *c, struct writer *w, const int64_t *coords)
{
    struct tile_ref presence;
    struct cells none[1] = {{0}};
    if (writer_has_written(w, coords)) return OK;
    TRY(writer_fetch(c, w, ATTR_PRESENCE, T_NONE, coords, &presence));
    if (!presence.tile) return OK;
    struct image im = {.coords = coords, .n_before = presence.tile->n_present, .cols = none};
    tile_done(w->base, &presence);
    void *bits;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = scratch_zeroed(c, writer_bit_bytes(w), &bits);
    im.present = bits;
    if (s == OK) s = writer_store_image(c, w, &im);
    scratch_release(c->scratch, mark);
    return s;
}

enum status writer_clear_rest(struct ctx *c, struct writer *w, const struct box *box)
{
    struct box tiles = {.n_dims = w->s->n_dims};
    struct store_scan scan;
    struct tile_key keys[64];
    int64_t n;
    TRY(wtiles_store(c, w, 0));
    for (int d = 0; d < tiles.n_dims; d++) {
        tiles.lo[d] = INT64_MIN;
        tiles.hi[d] = INT64_MAX;
    }
    if (box) box_tiles(box, w->base->extents, &tiles);
    store_scan_init(&scan, w->db->store, w->s->id, ATTR_PRESENCE, &tiles, &w->base->view);
    do {
        TRY(check_cancel(c));
        TRY(store_scan_next(c, &scan, keys, 64, &n));
        for (int64_t i = 0; i < n; i++)
            TRY(clear_tile(c, w, keys[i].coords));
    } while (n > 0);
    return OK;
}

/* How large replaced records were is not looked up: about as large as the average. */
static void estimate_bytes(struct writer *w)
{
    const struct totals *was = &w->base->totals;
    double kept = was->tiles ? 1 - (double)w->n_replaced / (double)was->tiles : 1;
    w->totals.bytes = (int64_t)((double)was->bytes * kept) + w->record_bytes;
}

enum status writer_finish(struct ctx *c, struct writer *w)
{
    TRY(writer_patch(c, w, &w->patched));
    if (!w->patched) {
        TRY(wtiles_store(c, w, 0));
        TRY(writer_store_sums(c, w));
        TRY(store_batch_flush(c, w->batch));
    }
    if (!w->pending && !w->patched) return OK; /* nothing was written: no version */
    if (!w->patched) estimate_bytes(w);
    struct change *ch = w->change;
    def_unref(ch->def);
    ch->def = writer_grown_def(w);
    ch->totals = w->totals;
    ch->touched = true;
    w->finished = true;
    return OK;
}
