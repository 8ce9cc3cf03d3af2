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

/* What the rules change is the copy's own. */
static struct plan *copy_plan(struct ctx *c, const struct plan *p, struct expr *const *args)
{
    struct plan *copy = arena_dup(c->arena, p, sizeof *p);
    copy->in = arena_array(c->arena, struct plan *, p->n_in + 1);
    for (int i = 0; i < p->n_in; i++)
        copy->in[i] = copy_plan(c, p->in[i], args);
    size_t dims = sizeof *p->rel.dims * (size_t)p->rel.n_dims;
    copy->rel.dims = arena_dup(c->arena, p->rel.dims, dims + !dims);
    if (p->n_keys) copy->keys = arena_dup(c->arena, p->keys, sizeof *p->keys * (size_t)p->n_keys);
    if (p->kind != P_FILTER) return copy;
    copy->exprs = arena_array(c->arena, struct expr *, 1);
    copy->exprs[0] = expr_outward(c, p->exprs[0], args, NULL);
    return copy;
}

enum status plan_with_args(struct ctx *c, const struct plan *p, const struct value *args, int n,
                           const struct env *env, struct plan **out)
{
    struct expr **consts = arena_array(c->arena, struct expr *, n + 1);
    for (int i = 0; i < n; i++)
        consts[i] = expr_make_const(c, &args[i], p->pos);
    *out = copy_plan(c, p, consts);
    return narrow_regions(c, out, env);
}
