/* Which part of its arrays does one run of a sub-query look at? Conditions on dimensions that
 * depend on the query around it are conditions on constants once the run's values are known. */
#include "query/rewrite_internal.h"

static bool note_dim(const struct expr *e, void *found)
{
    if (e->kind == E_DIM || e->kind == E_POS) *(bool *)found = true;
    return true;
}

static bool asks_dims(struct expr *condition)
{
    struct expr **parts = &condition;
    int n = conjuncts(condition, &parts);
    for (int i = 0; i < n; i++) {
        bool found = false;
        expr_walk(parts[i], note_dim, &found);
        if (found && expr_has_outer(parts[i])) return true;
    }
    return false;
}

bool narrows_by_args(const struct plan *p)
{
    bool found = p->kind == P_FILTER && asks_dims(p->exprs[0]);
    if (p->kind == P_PIVOT) return false; /* its axes are written to as it opens */
    for (int i = 0; i < p->n_in; i++) {
        if (p->in[i]->kind == P_PIVOT) return false;
        found |= narrows_by_args(p->in[i]);
    }
    return found;
}

static void *copied(struct ctx *c, const void *v, size_t size, int n)
{
    return n ? arena_dup(c->arena, v, size * (size_t)n) : NULL;
}

static void copy_sides(struct ctx *c, struct plan *p, int n_dims)
{
    p->left_keys = copied(c, p->left_keys, sizeof *p->left_keys, p->n_join_keys);
    p->right_keys = copied(c, p->right_keys, sizeof *p->right_keys, p->n_join_keys);
    p->points = copied(c, p->points, sizeof *p->points, p->n_points);
    for (int i = 0; i < p->n_points; i++)
        p->points[i].dims = copied(c, p->points[i].dims, sizeof *p->points[i].dims, n_dims);
}

struct plan *plan_copy(struct ctx *c, const struct plan *from, struct expr *const *args)
{
    struct plan *p = arena_dup(c->arena, from, sizeof *from);
    p->in = arena_array(c->arena, struct plan *, from->n_in + 1);
    for (int i = 0; i < from->n_in; i++)
        p->in[i] = plan_copy(c, from->in[i], args);
    p->rel.dims = copied(c, from->rel.dims, sizeof *from->rel.dims, from->rel.n_dims);
    p->exprs = copied(c, p->exprs, sizeof *p->exprs, p->n_exprs);
    p->keys = copied(c, p->keys, sizeof *p->keys, p->n_keys);
    p->aggs = copied(c, p->aggs, sizeof *p->aggs, p->n_aggs);
    p->sort = copied(c, p->sort, sizeof *p->sort, p->n_sort);
    p->windows = copied(c, p->windows, sizeof *p->windows, p->n_windows);
    p->calls = copied(c, p->calls, sizeof *p->calls, p->n_calls);
    copy_sides(c, p, p->n_in ? p->in[p->n_in - 1]->rel.n_dims : 0);
    p->shared = NULL;
    if (p->pairs) {
        p->pairs = arena_dup(c->arena, p->pairs, sizeof *p->pairs);
        p->pairs->in = p->in;
        p->pairs->rel.dims =
            copied(c, p->pairs->rel.dims, sizeof *p->pairs->rel.dims, p->pairs->rel.n_dims);
    }
    if (args && p->kind == P_FILTER) p->exprs[0] = expr_outward(c, p->exprs[0], args, NULL);
    return p;
}

enum status plan_with_args(struct ctx *c, const struct plan *p, const struct value *args, int n,
                           const struct env *env, struct plan **out)
{
    struct expr **consts = arena_array(c->arena, struct expr *, n + 1);
    for (int i = 0; i < n; i++)
        consts[i] = expr_make_const(c, &args[i], p->pos);
    *out = plan_copy(c, p, consts);
    return narrow_regions(c, out, env);
}
