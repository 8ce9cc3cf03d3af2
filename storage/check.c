/* Is everything that an array shows really there, and as it should be? */
#include "storage/base/pool.h"
#include "storage/db_internal.h"
#include <pthread.h>

#define BATCH 128

struct check {
    struct array *array;
    struct tile_key keys[BATCH]; /* of presence records */
    pthread_mutex_t mu;
    struct totals seen;
};

static enum status bad_tile(struct ctx *c, const struct check *ck, const struct tile_key *key,
                            const char *attr, const char *what)
{
    struct strbuf at = STRBUF_INIT;
    for (int d = 0; d < key->n_dims; d++)
        strbuf_addf(&at, "%s%lld", d ? ", " : "", (long long)key->coords[d]);
    enum status s = fail(c, ERR_CORRUPT, "tile (%s) of %s of array \"%s\" %s", at.s, attr,
                         ck->array->def->s.name, what);
    strbuf_release(&at);
    return s;
}

static void tally(struct check *ck, const struct tile_key *key, int64_t cells)
{
    pthread_mutex_lock(&ck->mu);
    ck->seen.tiles++;
    ck->seen.cells += cells;
    ck->seen.digest += tile_digest(key);
    pthread_mutex_unlock(&ck->mu);
}

static bool same_summary(const struct summary *a, const struct summary *b)
{
    return a->n_cells == b->n_cells && a->n_nulls == b->n_nulls && a->n_nans == b->n_nans &&
           a->has_range == b->has_range &&
           (!a->has_range || (a->min.u == b->min.u && a->max.u == b->max.u)) &&
           a->has_sum == b->has_sum && (!a->has_sum || a->isum == b->isum);
}

static enum status check_attr(struct ctx *c, struct check *ck, const struct tile_key *presence,
                              int k, const uint64_t *bits)
{
    struct array *a = ck->array;
    const struct attr *attr = &a->def->s.attrs[k];
    struct tile_key key = *presence;
    struct tile_ref ref;
    struct summary is, stored;
    bool found;
    key.attr = attr->id;
    TRY(store_find(c, a->db->store, &key, &a->view, &key.version));
    if (!key.version && attr->added_later) return OK;
    if (!key.version) return bad_tile(c, ck, &key, attr->name, "is missing");
    TRY(tile_fetch(c, a, attr->id, attr->type, key.coords, FETCH_OWN, &ref));
    struct column col = {attr->type, ref.tile->values, ref.tile->bits};
    summary_init(&is);
    summary_add(&is, &col, bits, a->tile_cells);
    TRY(summary_fetch(c, a, k, key.coords, &stored, &found));
    if (!found || !same_summary(&is, &stored))
        return bad_tile(c, ck, &key, attr->name, "does not match its summary");
    tally(ck, &key, 0);
    return OK;
}

static enum status check_tile(struct ctx *c, void *self, int worker, int64_t task)
{
    struct check *ck = self;
    struct array *a = ck->array;
    const struct tile_key *key = &ck->keys[task];
    struct tile_ref presence;
    struct summary stored;
    void *bits;
    bool found;
    (void)worker;
    TRY(check_cancel(c));
    TRY(tile_fetch(c, a, ATTR_PRESENCE, T_NONE, key->coords, FETCH_OWN, &presence));
    TRY(summary_fetch(c, a, -1, key->coords, &stored, &found));
    if (!presence.tile) {
        if (found) return bad_tile(c, ck, key, "presence", "does not match its summary");
        return OK;
    }
    if (!found || stored.n_cells != presence.tile->n_present)
        return bad_tile(c, ck, key, "presence", "does not match its summary");
    tally(ck, key, presence.tile->n_present);
    TRY(scratch_alloc(c, (size_t)bits_words(a->tile_cells) * 8, &bits));
    tile_presence_bits(presence.tile, a->extents, bits);
    for (int k = 0; k < a->def->s.n_attrs; k++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(check_attr(c, ck, key, k, bits));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status check_all(struct ctx *c, struct check *ck)
{
    struct box all = {.n_dims = ck->array->def->s.n_dims};
    struct store_scan scan;
    int64_t n;
    for (int d = 0; d < all.n_dims; d++) {
        all.lo[d] = INT64_MIN;
        all.hi[d] = INT64_MAX;
    }
    store_scan_init(&scan, ck->array->db->store, ck->array->slot->id, ATTR_PRESENCE, &all,
                    &ck->array->view);
    do {
        TRY(store_scan_next(c, &scan, ck->keys, BATCH, &n));
        TRY(pool_run(c, n, 0, check_tile, ck));
    } while (n > 0);
    const struct totals *is = &ck->seen, *should = &ck->array->totals;
    if (is->tiles != should->tiles || is->digest != should->digest || is->cells != should->cells)
        return fail(c, ERR_CORRUPT,
                    "array \"%s\" has %lld tiles of %lld cells, the catalog counts %lld of %lld",
                    ck->array->def->s.name, (long long)is->tiles, (long long)is->cells,
                    (long long)should->tiles, (long long)should->cells);
    return OK;
}

enum status array_check(struct ctx *c, struct txn *t, const char *name, int64_t *n_tiles)
{
    struct array_ref ref = {.name = name, .position = -1};
    struct check *ck;
    void *p;
    struct array *a;
    TRY(array_open(c, t, &ref, &a));
    TRY(buf_alloc(c, sizeof(*ck), &p));
    ck = p;
    memset(ck, 0, sizeof(*ck));
    ck->array = a;
    pthread_mutex_init(&ck->mu, NULL);
    enum status s = check_all(c, ck);
    if (s == OK) *n_tiles = ck->seen.tiles;
    pthread_mutex_destroy(&ck->mu);
    buf_free(ck);
    return s;
}
