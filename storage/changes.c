/* Which tiles of an array have changed since a version? Those that have a record of a later one, or
 * a patch.
 *
 * Every write of a tile's record stores the summaries of its block again, so blocks without a later
 * version are passed by. What was emptied has a tombstone; folded patches are in a later record. */
#include "storage/db_internal.h"
#include <stdlib.h>

#define MOST_CHANGES (1 << 16)

struct tile_changes {
    struct array *array;
    int64_t n, cap;  /* n > MOST_CHANGES: too many to be told apart */
    int64_t *coords; /* of each in turn, in row-major order */
};

static void add(struct arena *arena, void *self, const int64_t *coords)
{
    struct tile_changes *t = self;
    size_t tile = sizeof(*coords) * (size_t)t->array->def->s.n_dims;
    if (t->n > MOST_CHANGES) return;
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        int64_t *more = arena_alloc(arena, tile * (size_t)t->cap);
        if (t->n) memcpy(more, t->coords, tile * (size_t)t->n);
        t->coords = more;
    }
    memcpy((char *)t->coords + tile * (size_t)t->n++, coords, tile);
}

struct search {
    struct tile_changes *out;
    int64_t since;
};

typedef enum status key_fn(struct ctx *c, struct search *s, const struct tile_key *key);

/* The records of (array, attr) in a box of coordinates that are later. */
static enum status each_later(struct ctx *c, struct search *s, uint16_t attr, const struct box *box,
                              key_fn *fn)
{
    const struct array *a = s->out->array;
    struct store_scan scan;
    struct tile_key keys[64];
    int64_t n;
    store_scan_init(&scan, a->db->store, a->slot->id, attr, box, &a->view);
    do {
        TRY(check_cancel(c));
        TRY(store_scan_next(c, &scan, keys, 64, &n));
        for (int64_t i = 0; i < n && s->out->n <= MOST_CHANGES; i++)
            if (keys[i].version > s->since) TRY(fn(c, s, &keys[i]));
    } while (n > 0 && s->out->n <= MOST_CHANGES);
    return OK;
}

static enum status take_tile(struct ctx *c, struct search *s, const struct tile_key *key)
{
    add(c->arena, s->out, key->coords);
    return OK;
}

static enum status look_into_block(struct ctx *c, struct search *s, const struct tile_key *key)
{
    struct box tiles = {.n_dims = key->n_dims};
    int64_t extents[MAX_DIMS];
    summary_block_extents(key->n_dims, extents);
    for (int d = 0; d < key->n_dims; d++) {
        tiles.lo[d] = key->coords[d] * extents[d];
        tiles.hi[d] = tiles.lo[d] + extents[d];
    }
    return each_later(c, s, (uint16_t)(key->attr & ~ATTR_SUMMARY), &tiles, take_tile);
}

/* ---- in one order, each once ---- */

static int order_of_tiles(const void *x, const void *y, void *n_dims)
{
    const int64_t *a = x, *b = y;
    for (int d = 0; d < *(int *)n_dims; d++)
        if (a[d] != b[d]) return a[d] < b[d] ? -1 : 1;
    return 0;
}

static void sort_once(struct tile_changes *t)
{
    int n_dims = t->array->def->s.n_dims;
    int64_t n = 0, *rows = t->coords;
    size_t bytes = sizeof(*rows) * (size_t)n_dims;
    if (t->n) qsort_r(rows, (size_t)t->n, bytes, order_of_tiles, &n_dims);
    for (int64_t i = 0; i < t->n; i++)
        if (i == 0 || memcmp(rows + (n - 1) * n_dims, rows + i * n_dims, bytes) != 0)
            memmove(rows + n++ * n_dims, rows + i * n_dims, bytes);
    t->n = n;
}

enum status array_changes(struct ctx *c, struct array *a, int64_t since, struct tile_changes **out)
{
    struct tile_changes *t = arena_new_of(c->arena, struct tile_changes);
    struct search s = {t, since};
    const struct schema *schema = &a->def->s;
    struct box all = {.n_dims = schema->n_dims};
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    t->array = a;
    for (int k = -1; k < schema->n_attrs; k++) {
        uint16_t attr = k < 0 ? ATTR_PRESENCE : schema->attrs[k].id;
        TRY(each_later(c, &s, attr | ATTR_SUMMARY, &all, look_into_block));
    }
    patches_later(c->arena, a, since, t, add);
    if (t->n <= MOST_CHANGES) sort_once(t);
    *out = t;
    return OK;
}

int64_t changes_count(const struct tile_changes *t)
{
    return t->n > MOST_CHANGES ? -1 : t->n;
}

/* ---- which boxes they meet ---- */

/* A box in stored positions. */
static bool meets(const struct tile_changes *t, const struct box *stored)
{
    int n_dims = stored->n_dims;
    struct box tiles;
    box_tiles(stored, t->array->extents, &tiles);
    int64_t lo = 0, hi = t->n; /* the first that is not before the box along dimension 0 */
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (t->coords[mid * n_dims] < tiles.lo[0])
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < t->n && t->coords[lo * n_dims] < tiles.hi[0]; lo++) {
        const int64_t *at = t->coords + lo * n_dims;
        int d = 1;
        while (d < n_dims && at[d] >= tiles.lo[d] && at[d] < tiles.hi[d])
            d++;
        if (d == n_dims) return true;
    }
    return false;
}

bool changes_meet(const struct tile_changes *t, const struct box *box)
{
    struct box all, inside;
    struct stored_runs runs;
    schema_box(&t->array->def->s, &all);
    if (!box_intersect(&all, box, &inside) || t->n == 0) return false;
    if (t->n > MOST_CHANGES) return true;
    stored_runs_init(&runs, t->array, &inside);
    while (stored_runs_next(&runs)) {
        struct box stored = runs.part;
        for (int d = 0; d < stored.n_dims; d++) {
            stored.lo[d] -= runs.shift[d];
            stored.hi[d] -= runs.shift[d];
        }
        if (meets(t, &stored)) return true;
    }
    return false;
}
