/* How a box of cells is put together from tiles. */
#include "storage/base/settings.h"
#include "storage/db_internal.h"

/* ---- tiles ---- */

void tile_box(const struct array *a, const int64_t *coords, struct box *out)
{
    out->n_dims = a->def->s.n_dims;
    for (int d = 0; d < out->n_dims; d++) {
        out->lo[d] = coords[d] * a->extents[d];
        out->hi[d] = out->lo[d] + a->extents[d];
    }
}

struct load {
    const struct array *array;
    enum type type;
};

/* Fetches and opens the record of exactly this key; its bytes are in c->scratch. */
static enum status open_record(struct ctx *c, const struct load *l, const struct tile_key *key,
                               struct tile_record *out)
{
    struct store_record record;
    TRY(store_get(c, l->array->db->store, key, NULL, &record));
    return tile_open(c, record.bytes, record.n_bytes, key, l->type, l->array->tile_cells, out);
}

static enum status load_tile(struct ctx *c, void *self, const struct tile_key *key,
                             struct cache_slot *slot, struct tile *out)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct tile_record record;
    void *memory = NULL;
    enum status s = open_record(c, self, key, &record);
    if (s == OK) s = cache_alloc(c, slot, tile_decoded_bytes(&record), &memory);
    if (s == OK) s = tile_decode(c, &record, memory, out);
    scratch_release(c->scratch, mark);
    return s;
}

/* What it takes to decode goes where the next tile's will, so that all stays in the processor's
 * cache. */
static enum status load_own(struct ctx *c, const struct load *l, const struct tile_key *key,
                            struct tile *out)
{
    struct tile_record record;
    void *memory;
    TRY(scratch_alloc(c, tile_most_bytes(l->type, l->array->tile_cells), &memory));
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = open_record(c, l, key, &record);
    if (s == OK) s = tile_decode(c, &record, memory, out);
    scratch_release(c->scratch, mark);
    return s;
}

/* The tile as it is stored, without its patches. */
static enum status fetch_stored(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                                const int64_t *coords, enum fetch how, struct tile_ref *out)
{
    struct tile_key key = {.array = a->slot->id, .attr = attr, .n_dims = a->def->s.n_dims};
    struct load load = {a, type};
    *out = (struct tile_ref){0};
    memcpy(key.coords, coords, sizeof(*coords) * (size_t)key.n_dims);
    TRY(store_find(c, a->db->store, &key, &a->view, &key.version));
    if (!key.version) return OK;
    if (how == FETCH_CACHED) TRY(cache_get(c, a->db->cache, &key, load_tile, &load, &out->tile));
    if (how == FETCH_ONCE)
        TRY(cache_get_again(c, a->db->cache, &key, load_tile, &load, &out->tile));
    out->pinned = out->tile != NULL;
    if (!out->pinned) {
        TRY(load_own(c, &load, &key, &out->own));
        out->tile = &out->own;
    }
    if (attr == ATTR_PRESENCE && out->tile->n_present == 0) tile_done(a, out); /* a tombstone */
    return OK;
}

enum status tile_fetch(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                       const int64_t *coords, enum fetch how, struct tile_ref *out)
{
    struct patch_list patches;
    TRY(fetch_stored(c, a, attr, type, coords, how, out));
    if (!a->patched || !out->tile) return OK;
    enum status s = patches_over(c, a, coords, &patches);
    if (s == OK && patches.n) s = patches_apply(c, a, attr, type, &patches, out);
    patches_done(&patches);
    if (s < 0) tile_done(a, out);
    return s;
}

void tile_done(const struct array *a, struct tile_ref *r)
{
    if (r->pinned) cache_release(a->db->cache, r->tile);
    *r = (struct tile_ref){0};
}

static void let_tile_go(void *cache, const void *tile)
{
    cache_release(cache, tile);
}

enum status tile_hold(struct ctx *c, const struct array *a, struct tile_ref *r)
{
    if (r->pinned) TRY(scratch_hold(c, let_tile_go, a->db->cache, r->tile));
    r->pinned = false;
    return OK;
}

/* ---- logical and stored order ---- */

/* The end of the run of logical positions from `at` whose labels are stored one after another. */
static int64_t run_end(const struct axis *x, int64_t at, int64_t end)
{
    if (!x->labels || !x->labels->stored) return end;
    const int64_t *stored = x->labels->stored;
    int64_t k = at + 1;
    while (k < end && stored[k] == stored[k - 1] + 1)
        k++;
    return k;
}

static void set_run(struct stored_runs *r, int d, int64_t at)
{
    const struct axis *x = &r->array->def->s.dims[d].axis;
    r->part.lo[d] = at;
    r->part.hi[d] = run_end(x, at, r->want.hi[d]);
    r->shift[d] = x->labels && x->labels->stored ? at - x->labels->stored[at] : 0;
}

void stored_runs_init(struct stored_runs *r, const struct array *a, const struct box *want)
{
    r->array = a;
    r->want = *want;
    r->part.n_dims = want->n_dims;
    r->started = false;
}

bool stored_runs_next(struct stored_runs *r)
{
    int n_dims = r->want.n_dims;
    if (!r->started) {
        r->started = true;
        if (box_empty(&r->want)) return false;
        for (int d = 0; d < n_dims; d++)
            set_run(r, d, r->want.lo[d]);
        return true;
    }
    for (int d = n_dims - 1; d >= 0; d--) {
        if (r->part.hi[d] < r->want.hi[d]) {
            set_run(r, d, r->part.hi[d]);
            return true;
        }
        set_run(r, d, r->want.lo[d]);
    }
    return false;
}

static void box_shift(const struct box *b, const int64_t *shift, int sign, struct box *out)
{
    out->n_dims = b->n_dims;
    for (int d = 0; d < b->n_dims; d++) {
        out->lo[d] = b->lo[d] + sign * shift[d];
        out->hi[d] = b->hi[d] + sign * shift[d];
    }
}

/* ---- rows of a part of a box ---- */

/* Runs of a part along the last dimension; first is a run's first index in the box. */
struct rows {
    const struct box *box, *part;
    int64_t pos[MAX_DIMS];
    int64_t length, left;
};

static void rows_init(struct rows *r, const struct box *box, const struct box *part)
{
    int last = part->n_dims - 1;
    r->box = box;
    r->part = part;
    r->length = box_extent(part, last);
    r->left = box_cells(part) / r->length;
    memcpy(r->pos, part->lo, sizeof(r->pos));
}

static bool rows_next(struct rows *r, int64_t *first)
{
    if (r->left-- == 0) return false;
    *first = box_index(r->box, r->pos);
    for (int d = r->part->n_dims - 2; d >= 0; d--) {
        if (++r->pos[d] < r->part->hi[d]) break;
        r->pos[d] = r->part->lo[d];
    }
    return true;
}

/* ---- reading ---- */

struct read {
    struct array *array;
    struct box all; /* the array's */
    const struct box *want;
    int64_t n_cells;
    const int *attrs;
    int n;
    struct column *cols;
    uint64_t **valid; /* room for each column's validity bitmap, used when need be */
    uint64_t *present;
    bool cached; /* the setting tile_cache */
};

/* One tile's share of the box, in logical positions. */
struct share {
    int64_t coords[MAX_DIMS];
    struct box part, tile;
    bool whole;           /* no other cell of the tile is in the array */
    const uint64_t *bits; /* the tile's presence, over tile; NULL: all */
};

/* What is read in part is likely to be read again, by the statement itself: what is read whole is
 * not. */
static enum fetch fetch_how(const struct read *r, const struct share *sh)
{
    if (!r->cached) return FETCH_OWN;
    return sh->whole ? FETCH_ONCE : FETCH_CACHED;
}

static enum fetch presence_how(const struct read *r)
{
    return r->cached ? FETCH_CACHED : FETCH_OWN;
}

/* Of the tile's cells, those of the array. */
static bool is_whole(const struct read *r, const struct share *sh)
{
    for (int d = 0; d < sh->part.n_dims; d++)
        if ((sh->part.lo[d] > sh->tile.lo[d] && sh->part.lo[d] > r->all.lo[d]) ||
            (sh->part.hi[d] < sh->tile.hi[d] && sh->part.hi[d] < r->all.hi[d]))
            return false;
    return true;
}

static void need_valid(struct read *r, int k)
{
    if (r->cols[k].valid) return;
    r->cols[k].valid = r->valid[k];
    memset(r->valid[k], 0xff, (size_t)bits_words(r->n_cells) * 8);
}

static void fill_zero(struct read *r, int k, const struct box *part)
{
    size_t width = type_bytes(r->cols[k].type);
    struct rows rows;
    int64_t first;
    rows_init(&rows, r->want, part);
    while (rows_next(&rows, &first))
        memset((char *)r->cols[k].values + (size_t)first * width, 0, (size_t)rows.length * width);
}

/* An attribute that was added after the tile was written. */
static void fill_default(struct read *r, int k, const struct attr *attr, const struct share *sh)
{
    struct rows rows;
    int64_t first;
    if (attr->deflt.null) {
        fill_zero(r, k, &sh->part);
        need_valid(r, k);
        rows_init(&rows, r->want, &sh->part);
        while (rows_next(&rows, &first))
            bits_fill(r->cols[k].valid, first, rows.length, false);
        return;
    }
    size_t width = type_bytes(attr->type);
    rows_init(&rows, r->want, &sh->part);
    while (rows_next(&rows, &first))
        for (int64_t i = first; i < first + rows.length; i++) {
            if (i == first)
                value_put(&attr->deflt, r->cols[k].values, i);
            else
                memcpy((char *)r->cols[k].values + (size_t)i * width,
                       (char *)r->cols[k].values + (size_t)first * width, width);
        }
}

/* Codes to texts, where a cell exists and is not NULL. */
static enum status fill_texts(struct ctx *c, struct read *r, int k, const struct attr *attr,
                              const struct share *sh, const struct tile *t)
{
    struct text *texts = r->cols[k].values;
    const uint32_t *codes = t->values;
    int64_t n = attr->dict ? attr->dict->n : 0;
    struct rows rows, from;
    int64_t to, src;
    rows_init(&rows, r->want, &sh->part);
    rows_init(&from, &sh->tile, &sh->part);
    while (rows_next(&rows, &to) && rows_next(&from, &src))
        for (int64_t i = 0; i < rows.length; i++) {
            texts[to + i] = (struct text){0};
            if (sh->bits && !bit_get(sh->bits, src + i)) continue;
            if (t->bits && !bit_get(t->bits, src + i)) continue;
            if (codes[src + i] >= n)
                return fail(c, ERR_CORRUPT, "a tile of attribute \"%s\" refers to text %u of %lld",
                            attr->name, codes[src + i], (long long)n);
            texts[to + i] = attr->dict->strings[codes[src + i]];
        }
    return OK;
}

static enum status missing_tile(struct ctx *c, const struct array *a, const struct attr *attr,
                                const int64_t *coords)
{
    struct strbuf at = STRBUF_INIT;
    for (int d = 0; d < a->def->s.n_dims; d++)
        strbuf_addf(&at, "%s%lld", d ? ", " : "", (long long)coords[d]);
    enum status s = fail(c, ERR_CORRUPT, "tile (%s) of attribute \"%s\" of array \"%s\" is missing",
                         at.s, attr->name, a->def->s.name);
    strbuf_release(&at);
    return s;
}

static enum status read_attr(struct ctx *c, struct read *r, int k, const struct share *sh)
{
    const struct attr *attr = &r->array->def->s.attrs[r->attrs[k]];
    struct tile_ref ref;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(tile_fetch(c, r->array, attr->id, attr->type, sh->coords, fetch_how(r, sh), &ref));
    enum status s = OK;
    const struct tile *t = ref.tile;
    if (!t && !attr->added_later) {
        s = missing_tile(c, r->array, attr, sh->coords);
    } else if (!t) {
        fill_default(r, k, attr, sh);
    } else {
        if (attr->type == T_TEXT)
            s = fill_texts(c, r, k, attr, sh, t);
        else
            box_copy(r->cols[k].values, r->want, t->values, &sh->tile, &sh->part,
                     type_bytes(attr->type));
        if (t->bits) {
            need_valid(r, k);
            box_copy_bits(r->cols[k].valid, r->want, t->bits, &sh->tile, &sh->part);
        }
    }
    tile_done(r->array, &ref);
    scratch_release(c->scratch, mark);
    return s;
}

/* The presence of a tile over its box as bits (NULL: all cells exist), from c->scratch when it must
 * be unpacked. */
static enum status presence_bits(struct ctx *c, const struct array *a, const struct tile *t,
                                 const uint64_t **bits)
{
    *bits = t->bits;
    if (t->bits || tile_is_full(t)) return OK;
    void *unpacked;
    TRY(scratch_alloc(c, (size_t)bits_words(a->tile_cells) * 8, &unpacked));
    tile_presence_bits(t, a->extents, unpacked);
    *bits = unpacked;
    return OK;
}

static enum status read_share(struct ctx *c, struct read *r, struct share *sh)
{
    struct tile_ref presence;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(tile_fetch(c, r->array, ATTR_PRESENCE, T_NONE, sh->coords, presence_how(r), &presence));
    enum status s = OK;
    if (presence.tile) {
        s = presence_bits(c, r->array, presence.tile, &sh->bits);
        if (s == OK) box_copy_bits(r->present, r->want, sh->bits, &sh->tile, &sh->part);
        for (int k = 0; s == OK && k < r->n; k++)
            s = read_attr(c, r, k, sh);
    } else {
        for (int k = 0; k < r->n; k++)
            fill_zero(r, k, &sh->part);
    }
    tile_done(r->array, &presence);
    scratch_release(c->scratch, mark);
    return s;
}

/* Memory for what read_attr() fills. */
static enum status alloc_column(struct ctx *c, struct read *r, int k)
{
    void *bits;
    TRY(column_alloc(c, r->array->def->s.attrs[r->attrs[k]].type, r->n_cells, &r->cols[k]));
    TRY(scratch_alloc(c, (size_t)bits_words(r->n_cells) * 8, &bits));
    r->valid[k] = bits;
    return OK;
}

static enum status alloc_present(struct ctx *c, struct read *r)
{
    void *bits;
    TRY(scratch_zeroed(c, (size_t)bits_words(r->n_cells) * 8, &bits));
    r->present = bits;
    return OK;
}

static bool next_coords(const struct box *tiles, int64_t *coords)
{
    for (int d = tiles->n_dims - 1; d >= 0; d--) {
        if (++coords[d] < tiles->hi[d]) return true;
        coords[d] = tiles->lo[d];
    }
    return false;
}

static enum status read_run(struct ctx *c, struct read *r, const struct stored_runs *run)
{
    struct box stored, tiles;
    struct share sh;
    box_shift(&run->part, run->shift, -1, &stored);
    box_tiles(&stored, r->array->extents, &tiles);
    memcpy(sh.coords, tiles.lo, sizeof(sh.coords));
    do {
        struct box tile;
        TRY(check_cancel(c));
        tile_box(r->array, sh.coords, &tile);
        box_shift(&tile, run->shift, 1, &sh.tile);
        sh.bits = NULL;
        if (!box_intersect(&sh.tile, &run->part, &sh.part)) continue;
        sh.whole = is_whole(r, &sh);
        TRY(read_share(c, r, &sh));
    } while (next_coords(&tiles, sh.coords));
    return OK;
}

/* ---- a box in one tile ---- */

/* The tile's first cell that lies in part, when the cells of part lie together in it; else -1. */
static int64_t first_of_run(const struct share *sh)
{
    bool whole = true; /* the dimensions behind */
    for (int d = sh->part.n_dims - 1; d >= 0; d--) {
        if (!whole && box_extent(&sh->part, d) > 1) return -1;
        whole = whole && box_extent(&sh->part, d) == box_extent(&sh->tile, d);
    }
    return box_index(&sh->tile, sh->part.lo);
}

/* The column's values are the tile's own, which stays where it is as long as the scratch's memory.
 * Its bits are few and copied: others may write to theirs. */
static enum status lend_attr(struct ctx *c, struct read *r, int k, const struct share *sh,
                             int64_t first)
{
    const struct attr *attr = &r->array->def->s.attrs[r->attrs[k]];
    struct tile_ref ref;
    TRY(tile_fetch(c, r->array, attr->id, attr->type, sh->coords, fetch_how(r, sh), &ref));
    const struct tile *t = ref.tile;
    if (!t) return missing_tile(c, r->array, attr, sh->coords);
    TRY(tile_hold(c, r->array, &ref));
    r->cols[k] = (struct column){
        .type = attr->type, .values = (char *)t->values + (size_t)first * type_bytes(attr->type)};
    if (!t->bits) return OK;
    TRY(column_need_valid(c, &r->cols[k], r->n_cells));
    bits_copy(r->cols[k].valid, 0, t->bits, first, r->n_cells);
    return OK;
}

static enum status read_one_tile(struct ctx *c, struct read *r, struct share *sh, bool *some)
{
    struct tile_ref presence;
    TRY(tile_fetch(c, r->array, ATTR_PRESENCE, T_NONE, sh->coords, presence_how(r), &presence));
    *some = presence.tile != NULL;
    if (!presence.tile) return OK;
    enum status s = presence_bits(c, r->array, presence.tile, &sh->bits);
    if (s == OK && sh->bits) s = alloc_present(c, r);
    if (s == OK && sh->bits) box_copy_bits(r->present, r->want, sh->bits, &sh->tile, &sh->part);
    int64_t first = first_of_run(sh);
    for (int k = 0; s == OK && k < r->n; k++) {
        const struct attr *attr = &r->array->def->s.attrs[r->attrs[k]];
        if (first >= 0 && attr->type != T_TEXT && !attr->added_later) {
            s = lend_attr(c, r, k, sh, first);
        } else {
            s = alloc_column(c, r, k);
            if (s == OK) s = read_attr(c, r, k, sh);
        }
    }
    tile_done(r->array, &presence);
    return s;
}

/* Does the box lie in one tile? */
static bool in_one_tile(const struct read *r, const struct box *inside, struct share *sh)
{
    if (r->array->permuted || !box_equal(inside, r->want)) return false;
    for (int d = 0; d < inside->n_dims; d++)
        sh->coords[d] = tile_of(inside->lo[d], r->array->extents[d]);
    tile_box(r->array, sh->coords, &sh->tile);
    sh->part = *r->want;
    sh->bits = NULL;
    sh->whole = is_whole(r, sh);
    return box_contains(&sh->tile, r->want);
}

/* A box of several tiles, or past the array. */
static enum status read_tiles(struct ctx *c, struct read *r, const struct box *inside)
{
    struct stored_runs runs;
    TRY(alloc_present(c, r));
    for (int k = 0; k < r->n; k++) {
        TRY(alloc_column(c, r, k));
        if (!box_equal(inside, r->want))
            memset(r->cols[k].values, 0, (size_t)r->n_cells * type_bytes(r->cols[k].type));
    }
    stored_runs_init(&runs, r->array, inside);
    while (stored_runs_next(&runs))
        TRY(read_run(c, r, &runs));
    return OK;
}

/* The setting tile_cache. */
static bool use_cache(const struct ctx *c)
{
    return !c->settings || c->settings->tile_cache.n;
}

enum status array_read(struct ctx *c, struct array *a, const struct box *want, const int *attrs,
                       int n, struct column *cols, uint64_t **present, int64_t *n_present)
{
    struct read r = {.array = a,
                     .want = want,
                     .n_cells = box_cells(want),
                     .attrs = attrs,
                     .n = n,
                     .cols = cols,
                     .cached = use_cache(c)};
    struct box inside;
    struct share sh;
    void *valid;
    atomic_store_explicit(&a->txn->has_read, true, memory_order_relaxed);
    schema_box(&a->def->s, &r.all);
    bool some = box_intersect(&r.all, want, &inside);
    TRY(scratch_alloc(c, sizeof(*r.valid) * (size_t)(n + 1), &valid));
    r.valid = valid;
    if (some && in_one_tile(&r, &inside, &sh))
        TRY(read_one_tile(c, &r, &sh, &some));
    else if (some)
        TRY(read_tiles(c, &r, &inside));
    *n_present = !some ? 0 : r.present ? bits_count(r.present, 0, r.n_cells) : r.n_cells;
    *present = *n_present == r.n_cells ? NULL : r.present;
    return OK;
}

/* ---- read-ahead ---- */

#define AHEAD_KEYS 64

struct ahead {
    struct array *array;
    struct tile_key keys[AHEAD_KEYS];
    int64_t n;
};

static void ahead_flush(struct ahead *h)
{
    if (h->n) store_read_ahead(h->array->db->store, h->keys, h->n);
    h->n = 0;
}

static enum status ahead_add(struct ctx *c, struct ahead *h, uint16_t attr, const int64_t *coords)
{
    const struct array *a = h->array;
    struct tile_key *key = &h->keys[h->n];
    *key = (struct tile_key){.array = a->slot->id, .attr = attr, .n_dims = a->def->s.n_dims};
    memcpy(key->coords, coords, sizeof(*coords) * (size_t)key->n_dims);
    TRY(store_find(c, a->db->store, key, &a->view, &key->version));
    if (key->version && !cache_has(a->db->cache, key)) h->n++;
    if (h->n == AHEAD_KEYS) ahead_flush(h);
    return OK;
}

static enum status ahead_run(struct ctx *c, struct ahead *h, const struct stored_runs *run,
                             const int *attrs, int n)
{
    struct box stored, tiles;
    int64_t coords[MAX_DIMS];
    box_shift(&run->part, run->shift, -1, &stored);
    box_tiles(&stored, h->array->extents, &tiles);
    memcpy(coords, tiles.lo, sizeof(coords));
    do {
        for (int k = 0; k < n; k++)
            TRY(ahead_add(c, h, h->array->def->s.attrs[attrs[k]].id, coords));
    } while (next_coords(&tiles, coords));
    return OK;
}

void array_read_ahead(struct ctx *c, struct array *a, const struct box *box, const int *attrs,
                      int n)
{
    struct box all, inside;
    struct stored_runs runs;
    struct ahead h = {.array = a};
    struct ctx quiet = *c; /* what goes wrong here will go wrong again where it matters */
    enum status s = OK;
    schema_box(&a->def->s, &all);
    if (!box_intersect(&all, box, &inside)) return;
    stored_runs_init(&runs, a, &inside);
    while (s == OK && stored_runs_next(&runs))
        s = ahead_run(&quiet, &h, &runs, attrs, n);
    ahead_flush(&h);
}
