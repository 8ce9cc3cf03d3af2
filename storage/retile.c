/* How does an array get tiles of another shape? Its cells are read in boxes that are whole tiles of
 * the new grid, and written as a new version; versions before keep their grid and their tiles.
 *
 * Records of both grids lie under the same keys, told apart by their version. So the new version
 * has a record wherever the old grid has one: a tile, or one that says that nothing is there. The
 * same goes for blocks of summaries.
 *
 * A box covers as much of the old tiles as memory allows, so that few of them are decoded twice.
 * Everything is in stored positions: the order of labels plays no part. */
#include "storage/base/pool.h"
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

enum { BATCH = 64 };

struct retile {
    struct array old; /* as it was, its labels in stored order */
    struct def *old_def;
    struct writer *writer;
    int *attrs;
    int n_attrs;
    int64_t extents[MAX_DIMS]; /* of a box: multiples of the new tile's */
    /* boxes taken so far, by their coordinates: open addressing */
    int64_t *seen;
    int64_t n_seen, cap_seen;
    /* those to be done next */
    int64_t todo[BATCH][MAX_DIMS];
    int n_todo;
};

/* ---- which boxes ---- */

static int64_t *seen_at(const struct retile *r, int64_t i)
{
    return r->seen + i * (r->old.def->s.n_dims + 1);
}

/* The place of a box in the table; its first word says whether it is there. */
static int64_t *seen_place(const struct retile *r, const int64_t *coords)
{
    size_t bytes = sizeof *coords * (size_t)r->old.def->s.n_dims;
    uint64_t mask = (uint64_t)r->cap_seen - 1, h = XXH3_64bits(coords, bytes) & mask;
    for (;; h = (h + 1) & mask) {
        int64_t *at = seen_at(r, (int64_t)h);
        if (!*at || memcmp(at + 1, coords, bytes) == 0) return at;
    }
}

static void grow_seen(struct retile *r)
{
    struct retile old = *r;
    int width = r->old.def->s.n_dims + 1;
    r->cap_seen = r->cap_seen ? 2 * r->cap_seen : 256;
    r->seen = calloc((size_t)(r->cap_seen * width), sizeof *r->seen);
    if (!r->seen) abort();
    for (int64_t i = 0; i < old.cap_seen; i++) {
        const int64_t *from = seen_at(&old, i);
        if (*from) memcpy(seen_place(r, from + 1), from, sizeof *from * (size_t)width);
    }
    free(old.seen);
}

/* False: the box was taken before. */
static bool take_box(struct retile *r, const int64_t *coords)
{
    if (2 * r->n_seen >= r->cap_seen) grow_seen(r);
    int64_t *at = seen_place(r, coords);
    if (*at) return false;
    *at = 1;
    memcpy(at + 1, coords, sizeof *coords * (size_t)r->old.def->s.n_dims);
    r->n_seen++;
    return true;
}

/* Whole new tiles, as many as memory holds: first towards an old tile, dimension by dimension. */
static void choose_extents(struct ctx *c, struct retile *r)
{
    const struct schema *s = r->writer->s;
    int64_t cell_bytes = 1, most = budget_left(c->budget) / 16;
    for (int k = 0; k < s->n_attrs; k++)
        cell_bytes += (int64_t)type_bytes(s->attrs[k].type) + 1;
    int64_t cells = 1;
    for (int d = 0; d < s->n_dims; d++) {
        r->extents[d] = r->writer->base->extents[d];
        cells *= r->extents[d];
    }
    for (int d = s->n_dims - 1; d >= 0; d--) {
        int64_t tile = r->writer->base->extents[d], n = (r->old.extents[d] + tile - 1) / tile;
        while (n > 1 && cells * n > most / cell_bytes)
            n = (n + 1) / 2 < n ? (n + 1) / 2 : 1;
        if (cells * n > most / cell_bytes) n = 1;
        r->extents[d] = tile * n;
        cells *= n;
    }
}

/* ---- one box ---- */

static enum status copy_box(struct ctx *c, void *self, int worker, int64_t task)
{
    struct retile *r = self;
    const struct schema *s = &r->old.def->s;
    struct box box, all;
    uint64_t *present;
    int64_t n_present, written = 0;
    void *cols;
    (void)worker;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(check_cancel(c));
    schema_box(s, &all);
    box.n_dims = s->n_dims;
    for (int d = 0; d < s->n_dims; d++) {
        box.lo[d] = r->todo[task][d] * r->extents[d];
        box.hi[d] = box.lo[d] + r->extents[d];
    }
    if (!box_intersect(&box, &all, &box)) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(r->n_attrs + 1), &cols));
    enum status st = array_read(c, &r->old, &box, r->attrs, r->n_attrs, cols, &present, &n_present);
    if (st == OK && n_present) st = writer_put_box(c, r->writer, &box, cols, present, &written);
    scratch_release(c->scratch, mark);
    return st;
}

static enum status flush_todo(struct ctx *c, struct retile *r)
{
    enum status st = pool_run(c, r->n_todo, 0, copy_box, r);
    r->n_todo = 0;
    return st;
}

/* The boxes that an old tile has a share in. */
static enum status add_boxes(struct ctx *c, struct retile *r, const int64_t *tile)
{
    struct box box, boxes;
    int64_t at[MAX_DIMS];
    tile_box(&r->old, tile, &box);
    box_tiles(&box, r->extents, &boxes);
    memcpy(at, boxes.lo, sizeof at);
    for (int64_t left = box_cells(&boxes); left > 0; left--) {
        if (take_box(r, at)) {
            memcpy(r->todo[r->n_todo++], at, sizeof at);
            if (r->n_todo == BATCH) TRY(flush_todo(c, r));
        }
        for (int d = boxes.n_dims - 1; d >= 0; d--) {
            if (++at[d] < boxes.hi[d]) break;
            at[d] = boxes.lo[d];
        }
    }
    return OK;
}

/* ---- the whole ---- */

typedef enum status tile_fn(struct ctx *c, struct retile *r, const int64_t *tile);

static enum status shadow(struct ctx *c, struct retile *r, const int64_t *tile)
{
    return writer_shadow(c, r->writer, tile);
}

static enum status each_old_tile(struct ctx *c, struct retile *r, tile_fn *fn)
{
    struct box all = {.n_dims = r->old.def->s.n_dims};
    struct store_scan scan;
    struct tile_key keys[BATCH];
    int64_t n;
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    store_scan_init(&scan, r->old.db->store, r->old.slot->id, ATTR_PRESENCE, &all, &r->old.view);
    do {
        TRY(check_cancel(c));
        TRY(store_scan_next(c, &scan, keys, BATCH, &n));
        for (int64_t i = 0; i < n; i++)
            TRY(fn(c, r, keys[i].coords));
    } while (n > 0);
    return OK;
}

static enum status copy_all(struct ctx *c, struct retile *r)
{
    choose_extents(c, r);
    TRY(each_old_tile(c, r, add_boxes));
    TRY(flush_todo(c, r));
    TRY(wtiles_store(c, r->writer, 0));
    TRY(each_old_tile(c, r, shadow));
    return writer_finish(c, r->writer);
}

/* The array as it was, its labels where they are stored. */
static void open_stored(struct retile *r, const struct array *a)
{
    r->old = *a;
    r->old_def = def_copy(a->def, 0);
    for (int d = 0; d < r->old_def->s.n_dims; d++) {
        struct axis *x = &r->old_def->s.dims[d].axis;
        if (x->kind != AXIS_LABELLED || !x->labels) continue;
        struct labels *l = arena_new_of(r->old_def->arena, struct labels);
        *l = *x->labels;
        l->stored = NULL;
        x->labels = l;
    }
    r->old.def = r->old_def;
    r->old.permuted = false;
}

enum status array_retile(struct ctx *c, struct txn *t, const char *name, const int64_t *tiles)
{
    struct change *ch;
    struct array *a;
    bool same = true;
    TRY(txn_change(c, t, name, &ch));
    TRY(change_open(c, t, ch, &a));
    for (int d = 0; d < a->def->s.n_dims; d++)
        same = same && tiles[d] == a->def->s.dims[d].tile;
    if (same) return OK;
    struct retile r = {.n_attrs = a->def->s.n_attrs};
    open_stored(&r, a);
    struct def *d = change_edit(ch, 0);
    for (int i = 0; i < d->s.n_dims; i++)
        d->s.dims[i].tile = tiles[i];
    r.attrs = arena_array(c->arena, int, r.n_attrs + 1);
    for (int k = 0; k < r.n_attrs; k++)
        r.attrs[k] = k;
    enum status st = check_tiles(c, &d->s);
    if (st == OK) st = writer_open_afresh(c, t, ch, r.attrs, r.n_attrs, &r.writer);
    if (st == OK) st = copy_all(c, &r);
    writer_free(r.writer);
    def_unref(r.old_def);
    free(r.seen);
    return st;
}
