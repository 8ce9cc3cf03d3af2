/* How are sums of floats kept for many groups at once? In planes (fsum_planes.h) beside the states
 * of an accumulator, which those groups then may do without. */
#include "query/agg_internal.h"
#include "query/rowset_internal.h"
#include "storage/base/fsum_planes.h"
#include <stdlib.h>

int64_t acc_plane_bytes(const struct agg_set *set)
{
    int64_t bytes = 0;
    for (int i = 0; i < set->n; i++)
        if (set->calls[i].ops->planes) bytes += (int64_t)fsum_planes_bytes(1);
    return bytes ? bytes + (int64_t)sizeof(int64_t) : 0;
}

static bool new_planes(struct ctx *c, struct acc *a, int64_t n)
{
    a->planes = calloc((size_t)a->set->n, sizeof *a->planes);
    a->dense = buf_try(c->budget, (size_t)n * sizeof *a->dense);
    if (!a->planes || !a->dense) return false;
    memset(a->dense, 0, (size_t)n * sizeof *a->dense);
    for (int i = 0; i < a->set->n; i++) {
        if (!a->set->calls[i].ops->planes) continue;
        void *memory = buf_try(c->budget, fsum_planes_bytes(n));
        if (!memory) return false;
        fsum_planes_init(&a->planes[i], memory, n);
    }
    return true;
}

void acc_grow_planes(struct ctx *c, struct acc *a, int64_t n)
{
    if (acc_plane_bytes(a->set) && new_planes(c, a, n)) {
        memset(a->cells, 0, (size_t)n * sizeof *a->cells);
        a->n = n; /* whose states are made when one is needed */
        return;
    }
    for (int i = 0; a->planes && i < a->set->n; i++)
        buf_free(a->planes[i].memory);
    free(a->planes);
    buf_free(a->dense);
    a->planes = NULL;
    a->dense = NULL;
    acc_grow(a, n);
}

void acc_fit_planes(struct acc *a, const struct acc *b)
{
    for (int i = 0; i < a->set->n; i++)
        if (acc_in_planes(a, i) && b->planes)
            a->refused |= !fsum_planes_fit(&a->planes[i], &b->planes[i]);
    a->refused |= b->refused;
}

void acc_merge_planes(struct acc *a, const struct acc *b, int64_t lo, int64_t hi)
{
    if (!a->planes || !b->planes) return;
    for (int64_t g = lo; g < hi; g++)
        a->dense[g] += b->dense[g];
    for (int i = 0; i < a->set->n; i++)
        if (acc_in_planes(a, i)) fsum_planes_merge(&a->planes[i], &b->planes[i], lo, hi);
}

/* May the planes' sums and the states' be added up, in whatever order their numbers came? */
static bool states_fit(const struct acc *a, int call)
{
    struct fsum sum;
    int64_t n;
    for (int64_t g = 0; g < a->n_made; g++) {
        agg_float_sum_of(acc_state(a, call, g), &sum, &n);
        if (!fsum_planes_take(&a->planes[call], &sum)) return false;
    }
    return true;
}

void acc_settle_planes(struct acc *a)
{
    for (int64_t g = 0; a->planes && g < a->n; g++)
        a->cells[g] += a->dense[g];
    for (int i = 0; i < a->set->n; i++)
        if (!acc_in_planes(a, i)) acc_make_states(a);
    for (int i = 0; i < a->set->n && !a->refused; i++)
        if (acc_in_planes(a, i)) a->refused = !states_fit(a, i);
}

/* ---- adding ---- */

static struct fsum_block block_of(const struct agg_bound *k, const struct agg_rows *r)
{
    return (struct fsum_block){r->x, k->types[0] == T_FLOAT32, r->n_rows, r->stride, r->n};
}

void acc_planes_columns(struct acc *a, int call, const int32_t *g, const struct agg_rows *r)
{
    struct fsum_block b = block_of(&a->set->calls[call], r);
    a->refused = a->refused || !fsum_planes_columns(&a->planes[call], &b, g);
}

void acc_planes_rows(struct acc *a, int call, const int32_t *g, const struct agg_rows *r)
{
    struct fsum_block b = block_of(&a->set->calls[call], r);
    a->refused = a->refused || !fsum_planes_rows(&a->planes[call], &b, g);
}

/* ---- results ---- */

enum status acc_finish_planes(struct ctx *c, const struct acc *a, int call, int64_t lo, int64_t hi,
                              struct column *out)
{
    const struct agg_bound *k = &a->set->calls[call];
    void *state;
    struct fsum sum;
    TRY(scratch_alloc(c, k->state_bytes, &state));
    for (int64_t g = lo; g < hi; g++) {
        fsum_planes_get(&a->planes[call], g, &sum);
        agg_float_sum_state(state, &sum, a->dense[g]);
        if (a->n_made) TRY(k->ops->merge(c, k, NULL, state, acc_state(a, call, g)));
        TRY(k->ops->finish(c, k, state, out, g - lo));
    }
    return OK;
}
