/* How patches lie in the catalog: one row each, by tile and version. */
#include "storage/catalog_internal.h"
#include "storage/fault.h"
#include "storage/record.h"

/* A tile's coordinates as a row has them. */
struct coords {
    uint8_t bytes[8 * MAX_DIMS];
    struct text text;
};

static const struct text *coords_text(struct coords *to, const struct tile_key *key)
{
    for (int d = 0; d < key->n_dims; d++)
        put64(to->bytes + 8 * d, (uint64_t)key->coords[d]);
    to->text = (struct text){(const char *)to->bytes, 8 * key->n_dims};
    return &to->text;
}

enum status catalog_put_patch(struct ctx *c, struct catalog *cat, const struct tile_key *key,
                              const void *bytes, size_t n_bytes)
{
    struct coords coords;
    struct text body = {bytes, (int64_t)n_bytes};
    TRY(fault_point(c, FAULT_PATCH));
    return catalog_run(c, cat, Q_PUT_PATCH, "ibib", (int64_t)key->array, coords_text(&coords, key),
                       key->version, &body);
}

enum status catalog_patches(struct ctx *c, struct catalog *cat, const struct tile_key *tile,
                            int64_t above, int64_t upto, catalog_patch_fn *fn, void *self)
{
    struct coords coords;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_PATCHES, "ibii", (int64_t)tile->array,
                                  coords_text(&coords, tile), above, upto);
    while (catalog_next(c, cat, Q_PATCHES, &s)) {
        const void *body = sqlite3_column_blob(cat->stmts[Q_PATCHES], 1);
        s = fn(c, self, catalog_int(cat, Q_PATCHES, 0), body,
               (size_t)sqlite3_column_bytes(cat->stmts[Q_PATCHES], 1));
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_patched_array(struct ctx *c, struct catalog *cat, int64_t *array, bool *found)
{
    *found = false;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_PATCHED_ARRAY, "i", *array);
    while (catalog_next(c, cat, Q_PATCHED_ARRAY, &s)) {
        *array = catalog_int(cat, Q_PATCHED_ARRAY, 0);
        *found = true;
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_patched_tile(struct ctx *c, struct catalog *cat, struct tile_key *tile,
                                 bool *started, bool *found)
{
    struct coords coords;
    const struct text none = {"", 0};
    *found = false;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_PATCHED_TILE, "ib", (int64_t)tile->array,
                                  *started ? coords_text(&coords, tile) : &none);
    while (catalog_next(c, cat, Q_PATCHED_TILE, &s)) {
        const uint8_t *at = sqlite3_column_blob(cat->stmts[Q_PATCHED_TILE], 0);
        if (sqlite3_column_bytes(cat->stmts[Q_PATCHED_TILE], 0) != 8 * tile->n_dims) {
            s = fail(c, ERR_CORRUPT, "array %u has a patch of other dimensions", tile->array);
            continue;
        }
        for (int d = 0; d < tile->n_dims; d++)
            tile->coords[d] = (int64_t)get64(at + 8 * d);
        *found = *started = true;
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_drop_patches(struct ctx *c, struct catalog *cat, const struct patch_range *r,
                                 int n)
{
    struct coords coords;
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = catalog_run(c, cat, Q_DROP_PATCHES, "ibii", (int64_t)r[i].tile.array,
                        coords_text(&coords, &r[i].tile), r[i].above, r[i].upto);
    return catalog_finish(c, cat, s);
}
