/* In which order do the rules apply, and the small ones: merging columns, dropping what does
 * nothing, sorts under limits, conditions for scans. */
#include "query/contract.h"
#include "query/func.h"
#include "query/rewrite_internal.h"

enum { MERGED_MAX = 2000 }; /* nodes of a merged expression */

/* ---- expressions ---- */

int conjuncts(struct expr *e, struct expr ***parts)
{
    if (e->kind == E_AND) {
        *parts = e->args;
        return e->n_args;
    }
    return 1;
}

struct expr *and_of(struct ctx *c, struct expr **parts, int n)
{
    if (n == 1) return parts[0];
    struct expr *e = arena_new_of(c->arena, struct expr);
    e->kind = E_AND;
    e->type = T_BOOL;
    e->pos = parts[0]->pos;
    e->args = arena_array(c->arena, struct expr *, n);
    memcpy(e->args, parts, sizeof *parts * (size_t)n);
    e->n_args = n;
    return e;
}

int expr_size(const struct expr *e, int limit)
{
    int size = 1;
    for (int i = 0; i < e->n_args && size < limit; i++)
        size += expr_size(e->args[i], limit - size);
    return size;
}

static struct expr *take_column(struct ctx *c, const struct expr *e, void *self)
{
    struct expr *const *cols = self;
    (void)c;
    return e->kind == E_COL ? cols[e->index] : NULL;
}

struct expr *expr_inline(struct ctx *c, const struct expr *e, struct expr *const *cols)
{
    void *self;
    memcpy(&self, &cols, sizeof self);
    return expr_map(c, e, take_column, self);
}

/* ---- merging columns ---- */

struct weight {
    const struct plan *map;
    int size;
};

static bool weigh(const struct expr *e, void *self)
{
    struct weight *w = self;
    w->size += e->kind == E_COL ? expr_size(w->map->exprs[e->index], MERGED_MAX) : 1;
    return w->size < MERGED_MAX;
}

/* Would the expression stay short with the map's in place of its columns? */
static bool stays_short(const struct expr *e, const struct plan *map)
{
    struct weight w = {map, 0};
    if (e) expr_walk(e, weigh, &w);
    return w.size < MERGED_MAX;
}

static bool any_volatile(const struct plan *map)
{
    for (int i = 0; i < map->n_exprs; i++)
        if (expr_is_volatile(map->exprs[i])) return true;
    return false;
}

static void merge_into_map(struct ctx *c, struct plan *p, struct plan *in)
{
    for (int i = 0; i < p->n_exprs; i++)
        if (!stays_short(p->exprs[i], in)) return;
    for (int i = 0; i < p->n_exprs; i++)
        p->exprs[i] = expr_inline(c, p->exprs[i], in->exprs);
    p->in[0] = in->in[0];
}

static bool aggregate_stays_short(const struct plan *p, const struct plan *in)
{
    for (int i = 0; i < p->n_keys; i++)
        if (!stays_short(p->keys[i].e, in)) return false;
    for (int i = 0; i < p->n_aggs; i++) {
        if (!stays_short(p->aggs[i].filter, in)) return false;
        for (int k = 0; k < p->aggs[i].n_args; k++)
            if (!stays_short(p->aggs[i].args[k], in)) return false;
    }
    return true;
}

static void merge_into_aggregate(struct ctx *c, struct plan *p, struct plan *in)
{
    if (!aggregate_stays_short(p, in)) return;
    for (int i = 0; i < p->n_keys; i++)
        if (p->keys[i].e) p->keys[i].e = expr_inline(c, p->keys[i].e, in->exprs);
    for (int i = 0; i < p->n_aggs; i++) {
        struct agg_call *a = &p->aggs[i];
        struct expr **args = arena_array(c->arena, struct expr *, a->n_args + 1);
        for (int k = 0; k < a->n_args; k++)
            args[k] = expr_inline(c, a->args[k], in->exprs);
        a->args = args;
        if (a->filter) a->filter = expr_inline(c, a->filter, in->exprs);
    }
    p->in[0] = in->in[0];
}

void merge_maps(struct ctx *c, struct plan **slot)
{
    struct plan *p = *slot;
    for (int i = 0; i < p->n_in; i++)
        merge_maps(c, &p->in[i]);
    if (p->n_in != 1 || p->in[0]->kind != P_MAP || any_volatile(p->in[0])) return;
    if (p->kind == P_MAP) merge_into_map(c, p, p->in[0]);
    if (p->kind == P_AGGREGATE) merge_into_aggregate(c, p, p->in[0]);
}

/* ---- nodes that do nothing ---- */

static bool keeps_columns(const struct plan *p)
{
    if (p->n_exprs != p->in[0]->rel.n_cols) return false;
    for (int i = 0; i < p->n_exprs; i++)
        if (p->exprs[i]->kind != E_COL || p->exprs[i]->index != i) return false;
    return true;
}

static bool keeps_region(const struct plan *p)
{
    const struct rel *in = &p->in[0]->rel;
    if (p->rel.n_dims != in->n_dims) return false;
    for (int d = 0; d < in->n_dims; d++) {
        const struct rel_dim *x = &p->rel.dims[d], *y = &in->dims[d];
        if (p->dim_of[d] != d || x->lo != y->lo || x->hi != y->hi || x->stride != y->stride)
            return false;
    }
    return true;
}

static bool keeps_region_of_input(const struct plan *p)
{
    for (int d = 0; d < p->rel.n_dims; d++) {
        const struct rel_dim *x = &p->rel.dims[d], *y = &p->in[0]->rel.dims[d];
        if (x->lo != y->lo || x->hi != y->hi) return false;
    }
    return true;
}

static bool always_true(const struct expr *e)
{
    return e->kind == E_CONST && !e->value.null && e->value.i;
}

void drop_identities(struct plan **slot)
{
    struct plan *p = *slot;
    for (int i = 0; i < p->n_in; i++)
        drop_identities(&p->in[i]);
    bool idle = (p->kind == P_MAP && keeps_columns(p)) || (p->kind == P_SLICE && keeps_region(p)) ||
                (p->kind == P_FILTER && always_true(p->exprs[0])) ||
                (p->kind == P_WINDOW_CELLS && p->n_cell_windows == 0 && keeps_region_of_input(p)) ||
                (p->kind == P_WINDOW_ROWS && p->n_calls == 0) ||
                (p->kind == P_FETCH && p->n_fetched == 0 && keeps_region_of_input(p));
    if (!idle) return;
    /* The input takes over the names: they are what the tree above prints. */
    struct plan *in = p->in[0];
    if (in->rel.n_dims == p->rel.n_dims && in->kind != P_PIVOT)
        for (int d = 0; d < p->rel.n_dims; d++)
            in->rel.dims[d].name = p->rel.dims[d].name;
    *slot = in;
}

/* ---- sorts ---- */

/* Do cells in row-major order already come in the order of the keys? */
static bool in_order(const struct plan *sort)
{
    const struct plan *in = sort->in[0];
    const struct rel *r = &in->rel;
    int d = 0;
    if (in->kind != P_MAP || r->n_dims == 0) return false;
    for (int i = 0; i < sort->n_sort && d < r->n_dims; i++) {
        const struct expr *e = sort->sort[i].e;
        if (e->kind == E_COL) e = in->exprs[e->index];
        while (d < r->n_dims && dim_known(&r->dims[d]) && r->dims[d].hi - r->dims[d].lo <= 1 &&
               !(e->kind == E_DIM && e->index == d))
            d++;
        if (d == r->n_dims) break;
        const struct axis *a = r->dims[d].axis;
        if (e->kind != E_DIM || e->index != d || !a || !dim_known(&r->dims[d])) return false;
        bool labels_sorted = a->kind == AXIS_REGULAR || a->type != T_TEXT;
        bool desc = a->kind == AXIS_REGULAR && axis_descending(a);
        if (!labels_sorted || desc != sort->sort[i].desc) return false;
        d++;
    }
    return true;
}

/* Aggregates that don't see their input's order do without it. */
void drop_sorts(struct plan *p)
{
    bool sees = p->kind != P_AGGREGATE;
    for (int i = 0; i < p->n_in; i++)
        drop_sorts(p->in[i]);
    for (int i = 0; i < p->n_aggs && !sees; i++)
        sees = agg_sees_order(p->aggs[i].agg);
    if (sees) return;
    struct plan **slot = &p->in[0];
    while ((*slot)->kind == P_MAP || (*slot)->kind == P_FILTER)
        slot = &(*slot)->in[0];
    bool drops = (*slot)->kind == P_SORT && !(*slot)->limit;
    for (int i = 0; drops && i < (*slot)->n_sort; i++)
        drops = !expr_may_fail((*slot)->sort[i].e);
    if (drops) *slot = (*slot)->in[0];
}

static enum status total_of(struct ctx *c, const struct plan *limit, struct expr **out)
{
    *out = limit->limit;
    if (!limit->limit || !limit->offset) return OK;
    struct expr *both[2] = {limit->limit, limit->offset};
    return expr_make_call(c, "+", both, 2, limit->pos, out);
}

enum status limit_sorts(struct ctx *c, struct plan **slot)
{
    struct plan *p = *slot;
    for (int i = 0; i < p->n_in; i++)
        TRY(limit_sorts(c, &p->in[i]));
    if (p->kind == P_SORT && in_order(p)) {
        *slot = p->in[0];
        return OK;
    }
    if (p->kind == P_LIMIT && p->in[0]->kind == P_SORT) TRY(total_of(c, p, &p->in[0]->limit));
    return OK;
}

void tell_scans(struct plan *p)
{
    for (int i = 0; i < p->n_in; i++)
        tell_scans(p->in[i]);
    if (p->kind == P_FILTER && p->in[0]->kind == P_SCAN) p->in[0]->prune = p->exprs[0];
}

/* ---- all rules ---- */

/* need: columns of the tree's result that are looked at; map as prune_columns gives it. */
static enum status rewrite_tree(struct ctx *c, struct plan **root, const bool *need, int *map,
                                const struct env *env)
{
    TRY(push_filters(c, root));
    merge_maps(c, root);
    drop_sorts(*root);
    TRY(narrow_regions(c, root, env));
    TRY(find_contractions(c, root));
    drop_identities(root);
    prune_columns(c, *root, need, map);
    drop_identities(root);
    return limit_sorts(c, root);
}

static enum status rewrite_subquery(struct ctx *c, struct subquery *sq, const struct env *env)
{
    int n = sq->plan->rel.n_cols;
    bool *need = arena_array(c->arena, bool, n + 1);
    int *map = arena_array(c->arena, int, n + 1);
    for (int i = 0; i < sq->n_cols; i++)
        if (!sq->is_dim[i]) need[sq->columns[i]] = true;
    for (int i = 0; i < sq->n_keys; i++)
        need[sq->keys[i]] = true;
    TRY(rewrite_tree(c, &sq->plan, need, map, env));
    for (int i = 0; i < sq->n_cols; i++)
        if (!sq->is_dim[i]) sq->columns[i] = map[sq->columns[i]];
    for (int i = 0; i < sq->n_keys; i++)
        sq->keys[i] = map[sq->keys[i]];
    sq->narrows = sq->n_args > 0 && narrows_by_args(sq->plan);
    return sq->each ? rewrite_subquery(c, sq->each, env) : OK;
}

enum status plan_rewrite(struct ctx *c, struct query *q, bool off)
{
    if (off) return OK;
    struct env env = {.statement_us = q->statement_us};
    for (int i = 0; i < q->n_subqueries; i++)
        TRY(rewrite_subquery(c, q->subqueries[i], &env));
    int n = q->root->rel.n_cols;
    bool *need = arena_array(c->arena, bool, n + 1);
    int *map = arena_array(c->arena, int, n + 1);
    for (int i = 0; i < q->n_outs; i++)
        if (!q->outs[i].is_dim) need[q->outs[i].index] = true;
    TRY(rewrite_tree(c, &q->root, need, map, &env));
    for (int i = 0; i < q->n_outs; i++)
        if (!q->outs[i].is_dim) q->outs[i].index = map[q->outs[i].index];
    join_all_members(c, q);
    for (int i = 0; i < q->n_subqueries; i++)
        tell_scans(q->subqueries[i]->plan);
    tell_scans(q->root);
    return OK;
}
