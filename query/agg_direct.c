/* Which group has a key that is a few small integers, booleans or dates? Its place in a box of
 * values tells, without hashing. The box grows as keys are met; keys that lie too far apart for one
 * turn it off. */
#include "query/agg_hash_internal.h"
#include "query/sortkey.h"

#define MAX_PLACES (INT64_C(1) << 18) /* of 4 bytes: some are in the second-level cache */

void direct_init(struct direct_map *d, const struct key_layout *l)
{
    *d = (struct direct_map){.off = l->n_keys < 1 || l->n_keys > DIRECT_KEYS || l->n_texts};
}

void direct_free(struct direct_map *d)
{
    buf_free(d->groups);
    *d = (struct direct_map){.off = true};
}

void direct_clear(struct direct_map *d)
{
    if (d->groups) memset(d->groups, 0, (size_t)d->n * sizeof *d->groups);
}

/* The words of a block's keys; under a NULL one of the others', or 0. *lo, *hi: of all. */
static void block_words(const struct column *col, int64_t at, const int32_t *sel, int64_t n,
                        uint64_t *words, uint64_t *lo, uint64_t *hi)
{
    const char *values = (const char *)col->values + (size_t)at * type_bytes(col->type);
    sortkey_encode_sel(col->type, values, sel, n, words);
    if (col->valid) {
        uint64_t some = 0;
        for (int64_t i = 0; i < n; i++)
            if (bit_get(col->valid, at + sel[i])) some = words[i];
        for (int64_t i = 0; i < n; i++)
            if (!bit_get(col->valid, at + sel[i])) words[i] = some;
    }
    uint64_t least = words[0], most = words[0];
    for (int64_t i = 1; i < n; i++) {
        least = words[i] < least ? words[i] : least;
        most = words[i] > most ? words[i] : most;
    }
    *lo = least;
    *hi = most;
}

/* Makes the box hold [lo, hi] too, with as much again on each side that grew. What it knew of
 * groups is forgotten. */
static void widen(struct ctx *c, struct direct_map *d, int n_keys, const uint64_t *lo,
                  const uint64_t *hi)
{
    int64_t places = 1;
    bool fits = true;
    for (int k = 0; k < n_keys && fits; k++) {
        bool old = d->groups != NULL;
        uint64_t first = old && d->lo[k] < lo[k] ? d->lo[k] : lo[k];
        uint64_t last = old && d->hi[k] > hi[k] ? d->hi[k] : hi[k], width = last - first;
        fits = width < (uint64_t)MAX_PLACES;
        if (!fits) break;
        if (old && first < d->lo[k]) first = first > width ? first - width : 0;
        if (old && last > d->hi[k]) last = last < UINT64_MAX - width ? last + width : UINT64_MAX;
        d->lo[k] = first;
        d->hi[k] = last;
        places *= (int64_t)(last - first) + 2; /* the first is NULL's */
        fits = places <= MAX_PLACES;
    }
    buf_free(d->groups);
    d->groups = fits ? buf_try(c->budget, (size_t)places * sizeof *d->groups) : NULL;
    d->off = !d->groups;
    d->n = places;
    direct_clear(d);
}

int64_t direct_find(struct ctx *c, struct direct_map *d, const struct key_layout *l,
                    const struct column *cols, int64_t at, const int32_t *sel, int64_t n,
                    int32_t *g, int32_t *misses, int32_t *places)
{
    uint64_t words[DIRECT_KEYS][AGG_BLOCK], lo[DIRECT_KEYS], hi[DIRECT_KEYS];
    bool inside = d->groups != NULL;
    for (int k = 0; k < l->n_keys; k++) {
        block_words(&cols[k], at, sel, n, words[k], &lo[k], &hi[k]);
        inside = inside && lo[k] >= d->lo[k] && hi[k] <= d->hi[k];
    }
    if (!inside) widen(c, d, l->n_keys, lo, hi);
    if (d->off) return -1;
    int32_t place[AGG_BLOCK] = {0};
    for (int k = 0; k < l->n_keys; k++) {
        int32_t extent = (int32_t)(d->hi[k] - d->lo[k]) + 2;
        for (int64_t i = 0; i < n; i++)
            place[i] = place[i] * extent + (int32_t)(words[k][i] - d->lo[k]) + 1;
        for (int64_t i = 0; cols[k].valid && i < n; i++)
            if (!bit_get(cols[k].valid, at + sel[i]))
                place[i] -= (int32_t)(words[k][i] - d->lo[k]) + 1;
    }
    int64_t missed = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t group = d->groups[place[i]] - 1;
        g[sel[i]] = group;
        misses[missed] = sel[i];
        places[missed] = place[i];
        missed += group < 0;
    }
    return missed;
}

void direct_put(struct direct_map *d, const int32_t *places, const int32_t *sel, int64_t n,
                const int32_t *g)
{
    for (int64_t i = 0; i < n; i++)
        d->groups[places[i]] = g[sel[i]] + 1;
}
