/* Which routine does a product run as? Told from the plan alone, so that EXPLAIN can say it. */
#include "query/matmul_routine.h"
#include "query/reach.h"
#include "query/rewrite_internal.h"
#include <string.h>

/* ---- are two plans the same array? ---- */

static bool same_axis(const struct axis *a, const struct axis *b, int64_t at)
{
    if (a == b) return true;
    if (!a || !b || a->type != b->type || a->kind != AXIS_REGULAR || b->kind != AXIS_REGULAR)
        return false;
    struct value x[2] = {axis_coord(a, at), axis_coord(a, at + 1)};
    struct value y[2] = {axis_coord(b, at), axis_coord(b, at + 1)};
    return value_compare(&x[0], &y[0]) == 0 && value_compare(&x[1], &y[1]) == 0;
}

/* perm[d]: b's dimension that is a's dimension d. */
static bool same_dims(const struct rel *a, const struct rel *b, const int *perm)
{
    if (a->n_dims != b->n_dims || a->n_cols != b->n_cols) return false;
    for (int d = 0; d < a->n_dims; d++) {
        const struct rel_dim *x = &a->dims[d], *y = &b->dims[perm[d]];
        if (!dim_known(x) || x->lo != y->lo || x->hi != y->hi || x->stride != y->stride)
            return false;
        if (!same_axis(x->axis, y->axis, x->lo)) return false;
    }
    return true;
}

static bool same_scan(const struct plan *a, const struct plan *b)
{
    bool same = a->array == b->array || (array_schema(a->array) == array_schema(b->array) &&
                                         array_version(a->array) == array_version(b->array));
    for (int i = 0; i < a->rel.n_cols && same; i++)
        same = a->attrs[i] == b->attrs[i];
    return same;
}

static bool note_place(const struct expr *e, void *self)
{
    if (e->kind == E_DIM || e->kind == E_POS) *(bool *)self = true;
    return true;
}

/* in_order: dimensions have the same numbers on both sides. */
static bool same_expr(const struct expr *a, const struct expr *b, bool in_order)
{
    bool places = false;
    if (!a || !b) return a == b;
    expr_walk(a, note_place, &places);
    return expr_equal(a, b) && !expr_is_volatile(a) && !expr_is_random(a) && (in_order || !places);
}

static bool same_exprs(const struct plan *a, const struct plan *b, bool in_order)
{
    bool same = a->n_exprs == b->n_exprs;
    for (int i = 0; i < a->n_exprs && same; i++)
        same = same_expr(a->exprs[i], b->exprs[i], in_order);
    return same;
}

static bool same_join(const struct plan *a, const struct plan *b)
{
    bool same = a->join == b->join && a->n_join_dims == b->n_join_dims && a->join != JOIN_FULL &&
                same_expr(a->residual, b->residual, true);
    for (int i = 0; i < a->n_join_dims && same; i++) {
        const struct join_dim *x = &a->join_dims[i], *y = &b->join_dims[i];
        same = x->left == y->left && x->right == y->right && x->shift == y->shift && !x->map &&
               !y->map;
    }
    int n_own = a->rel.n_dims - a->in[0]->rel.n_dims;
    for (int i = 0; i < n_own && same; i++)
        same = a->right_dims[i] == b->right_dims[i];
    return same;
}

static bool same_groups(const struct plan *a, const struct plan *b)
{
    bool same = a->by_dims && b->by_dims && a->n_keys == b->n_keys && a->n_aggs == b->n_aggs &&
                a->unique == b->unique;
    for (int i = 0; i < a->n_keys && same; i++)
        same = a->keys[i].plain && b->keys[i].plain && a->keys[i].dim == b->keys[i].dim;
    for (int i = 0; i < a->n_aggs && same; i++) {
        const struct agg_call *x = &a->aggs[i], *y = &b->aggs[i];
        same = x->agg == y->agg && x->n_args == y->n_args && !x->n_order && !y->n_order &&
               x->distinct == y->distinct && same_expr(x->filter, y->filter, true);
        for (int k = 0; k < x->n_args && same; k++)
            same = same_expr(x->args[k], y->args[k], true);
    }
    return same;
}

/* The nodes themselves; in_order: the inputs' dimensions have the same numbers on both sides. */
static bool same_node(const struct plan *a, const struct plan *b, bool in_order)
{
    switch (a->kind) {
    case P_SCAN:
        return same_scan(a, b);
    case P_MAP:
    case P_FILTER:
        return same_exprs(a, b, in_order);
    case P_SLICE:
        return in_order && box_equal(&a->region, &b->region) &&
               !memcmp(a->dim_of, b->dim_of, sizeof(int) * (size_t)a->rel.n_dims);
    case P_REBASE:
        return in_order && box_equal(&a->region, &b->region);
    case P_JOIN:
        return in_order && same_join(a, b);
    case P_AGGREGATE:
        return in_order && same_groups(a, b);
    default:
        return false;
    }
}

static bool same_array(const struct plan *a, const struct plan *b, int *perm)
{
    int inner[MAX_DIMS];
    if (a->kind == P_TRANSPOSE) {
        if (!same_array(a->in[0], b, inner)) return false;
        for (int d = 0; d < a->rel.n_dims; d++)
            perm[d] = inner[a->dim_of[d]];
        return true;
    }
    if (b->kind == P_TRANSPOSE) {
        if (!same_array(a, b->in[0], inner)) return false;
        for (int d = 0; d < a->rel.n_dims; d++)
            for (int e = 0; e < b->rel.n_dims; e++)
                if (b->dim_of[e] == inner[d]) perm[d] = e;
        return true;
    }
    if (a->kind != b->kind || a->n_in != b->n_in || a->rel.n_dims != b->rel.n_dims) return false;
    bool in_order = true;
    for (int d = 0; d < a->rel.n_dims; d++)
        perm[d] = d;
    for (int i = 0; i < a->n_in; i++) {
        if (!same_array(a->in[i], b->in[i], inner)) return false;
        for (int d = 0; d < a->in[i]->rel.n_dims; d++)
            in_order = in_order && inner[d] == d;
    }
    if (!in_order) memcpy(perm, inner, sizeof inner);
    return same_dims(&a->rel, &b->rel, perm) && same_node(a, b, in_order);
}

/* ---- the routine ---- */

/* Is the product an array's with its own transpose: what the left's dimensions alone are on one
 * side, the right's are on the other, in the same order, and all else is paired with itself? */
static bool is_gram(const struct plan *p)
{
    int perm[MAX_DIMS], from[2][MAX_DIMS], mate[MAX_DIMS], left[MAX_DIMS], n_left = 0, n_right = 0;
    const struct join_dim *pair[2][MAX_DIMS];
    if (!same_array(p->in[0], p->in[1], perm)) return false;
    for (int side = 0; side < 2; side++)
        join_sources(p->pairs, side, from[side], pair[side]);
    for (int d = 0; d < p->pairs->rel.n_dims; d++)
        mate[d] = -1;
    for (int r = 0; r < p->in[0]->rel.n_dims; r++) {
        const struct join_dim *met = pair[1][perm[r]];
        int l = from[0][r], k = from[1][perm[r]];
        if (met && (l != k || met->shift || met->map)) return false;
        if (!met) mate[l] = k;
    }
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        int d = p->dim_of[i];
        if (mate[d] >= 0)
            left[n_left++] = d;
        else if (d >= p->in[0]->rel.n_dims && mate[left[n_right++]] != d)
            return false;
    }
    return n_left > 0;
}

/* Positions of the dimensions that one side alone has; 2 when only running tells. */
static void own_extents(const struct plan *p, int64_t extent[2])
{
    const struct plan *pairs = p->pairs;
    extent[0] = extent[1] = 1;
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        int d = p->dim_of[i];
        bool left = d < p->in[0]->rel.n_dims, both = false;
        for (int k = 0; k < pairs->n_join_dims; k++)
            both = both || pairs->join_dims[k].left == d;
        const struct rel_dim *dim = &p->rel.dims[i];
        if (!both && !(dim_known(dim) && dim->hi - dim->lo == 1)) extent[!left] = 2;
    }
}

enum matmul_routine matmul_routine(const struct plan *p)
{
    int64_t extent[2];
    if (p->rel.cols[0].type == T_INT64) return RUNS_INTEGERS;
    own_extents(p, extent);
    if (extent[0] == 1 && extent[1] == 1) return RUNS_DOT;
    if (extent[0] == 1 || extent[1] == 1) return RUNS_GEMV;
    return is_gram(p) ? RUNS_SYRK : RUNS_GEMM;
}

const char *matmul_routine_name(enum matmul_routine r)
{
    static const char *const names[] = {"GEMM", "SYRK", "GEMV", "DOT", "exact integers"};
    return names[r];
}
