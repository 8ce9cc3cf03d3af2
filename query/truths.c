/* What can a condition still be over a region of which only summaries are known? Values become
 * ranges, conditions sets of truth values; whatever is not understood can be anything. */
#include "query/subquery.h"
#include "storage/summary.h"
#include <math.h>

#define ANY (TRUTH_FALSE | TRUTH_TRUE | TRUTH_NULL)

struct region {
    const struct env *env;
    summary_of_fn *of;
    void *self;
    const struct value *dim_lo, *dim_hi;
};

/* The values that an expression takes: numbers between lo and hi (whole numbers exactly as struct
 * value has them), NaN, NULL. */
struct range {
    bool known; /* otherwise anything */
    bool any;   /* some value is a number: lo and hi hold */
    bool nulls, nans;
    struct value lo, hi;
};

static struct range constant(const struct expr *e, const struct env *env)
{
    struct range r = {0};
    const struct value *v = &e->value;
    if (e->kind == E_PARAM) {
        if (!env || !env->params || e->index >= env->n_params) return r;
        v = &env->params[e->index];
    } else if (e->kind == E_SUBQUERY) {
        if (e->n_args || !env || e->subquery->slot >= env->n_subqueries) return r;
        v = subquery_known(env->subqueries[e->subquery->slot], e->index);
        if (!v) return r;
    } else if (e->kind == E_OUTER) {
        if (!env || e->index >= env->n_outer) return r;
        v = &env->outer[e->index];
    }
    if (v->null) return (struct range){.known = true, .nulls = true};
    if (v->type != e->type || type_is_varlen(v->type) || v->type == T_INTERVAL) return r;
    r.known = true;
    r.nans = type_is_float(v->type) && isnan(v->d);
    r.any = !r.nans;
    r.lo = r.hi = *v;
    return r;
}

static struct range of_summary(const struct summary *s, enum type t)
{
    struct range r = {.known = true, .nulls = s->n_nulls > 0, .nans = s->n_nans > 0};
    r.any = s->has_range;
    /* Values that have no range (texts) are not understood. */
    if (!s->has_range && s->n_nulls + s->n_nans < s->n_cells) return (struct range){0};
    r.lo.type = r.hi.type = t;
    r.lo.u = s->min.u;
    r.hi.u = s->max.u;
    return r;
}

static struct range of_column(const struct expr *e, const struct region *g)
{
    const struct axis *axis = NULL;
    const struct summary *s = g->of ? g->of(g->self, e->index, &axis) : NULL;
    if (!s || type_is_varlen(e->type) || e->type == T_INTERVAL) return (struct range){0};
    return of_summary(s, e->type);
}

static struct range of_dim(const struct expr *e, const struct region *g)
{
    if (!g->dim_lo || !g->dim_hi) return (struct range){0};
    struct value lo = g->dim_lo[e->index], hi = g->dim_hi[e->index];
    if (lo.null || hi.null || lo.type != e->type || hi.type != e->type || type_is_varlen(e->type))
        return (struct range){0};
    bool ascending = value_compare(&lo, &hi) <= 0;
    return (struct range){
        .known = true, .any = true, .lo = ascending ? lo : hi, .hi = ascending ? hi : lo};
}

static struct range range_of(const struct expr *e, const struct region *g);

/* Casts between numbers keep the order. One that does not fit is an error in the cells that have
 * it, so the region must be looked at. */
static struct range of_cast(const struct expr *e, const struct region *g)
{
    struct range r = range_of(e->args[0], g);
    bool ordered = (type_is_numeric(e->type) && type_is_numeric(e->args[0]->type)) ||
                   (type_is_time(e->type) && type_is_time(e->args[0]->type));
    if (!r.known || !ordered || (r.nans && !type_is_float(e->type))) return (struct range){0};
    if (!r.any) return r;
    struct ctx quiet = {0};
    if (value_cast(&quiet, &r.lo, e->type, &r.lo) < 0 ||
        value_cast(&quiet, &r.hi, e->type, &r.hi) < 0)
        return (struct range){0};
    return r;
}

static struct range range_of(const struct expr *e, const struct region *g)
{
    switch (e->kind) {
    case E_CONST:
    case E_PARAM:
    case E_OUTER:
    case E_SUBQUERY:
        return constant(e, g->env);
    case E_COL:
        return of_column(e, g);
    case E_DIM:
        return of_dim(e, g);
    case E_CAST:
        return of_cast(e, g);
    default:
        return (struct range){0};
    }
}

/* a against b where both are numbers of a range. BIGINT against UBIGINT: a negative one is less. */
static int order(const struct value *a, const struct value *b)
{
    if (a->type == b->type) return value_compare(a, b);
    if (type_is_signed(a->type)) return a->i < 0 ? -1 : (a->u > b->u) - (a->u < b->u);
    return b->i < 0 ? 1 : (a->u > b->u) - (a->u < b->u);
}

static int numbers_compared(int kernel, const struct range *a, const struct range *b)
{
    int lo_hi = order(&a->lo, &b->hi), hi_lo = order(&a->hi, &b->lo);
    bool apart = lo_hi > 0 || hi_lo < 0;
    bool single = order(&a->lo, &a->hi) == 0 && order(&b->lo, &b->hi) == 0;
    switch (kernel) {
    case B_EQ:
        return apart ? TRUTH_FALSE : single ? TRUTH_TRUE : TRUTH_FALSE | TRUTH_TRUE;
    case B_NE:
        return apart ? TRUTH_TRUE : single ? TRUTH_FALSE : TRUTH_FALSE | TRUTH_TRUE;
    case B_LT:
        return (hi_lo < 0 ? 0 : TRUTH_FALSE) | (lo_hi < 0 ? TRUTH_TRUE : 0);
    case B_LE:
        return (hi_lo <= 0 ? 0 : TRUTH_FALSE) | (lo_hi <= 0 ? TRUTH_TRUE : 0);
    case B_GT:
        return (lo_hi > 0 ? 0 : TRUTH_FALSE) | (hi_lo > 0 ? TRUTH_TRUE : 0);
    default:
        return (lo_hi >= 0 ? 0 : TRUTH_FALSE) | (hi_lo >= 0 ? TRUTH_TRUE : 0);
    }
}

static int comparable(const struct range *a, const struct range *b)
{
    if (!a->any || !b->any || a->lo.type == b->lo.type) return 1;
    return type_is_integer(a->lo.type) && type_is_integer(b->lo.type);
}

static int compared(int kernel, const struct range *a, const struct range *b)
{
    if (!a->known || !b->known || !comparable(a, b)) return ANY;
    int t = a->nulls || b->nulls ? TRUTH_NULL : 0;
    bool a_some = a->any || a->nans, b_some = b->any || b->nans;
    if ((a->nans && b_some) || (b->nans && a_some)) t |= kernel == B_NE ? TRUTH_TRUE : TRUTH_FALSE;
    if (a->any && b->any) t |= numbers_compared(kernel, a, b);
    return t ? t : ANY;
}

static int truths(const struct expr *e, const struct region *g);

/* Every pair of what the operands can be. */
static int combined(int a, int b, bool is_and)
{
    int decided = is_and ? TRUTH_FALSE : TRUTH_TRUE, other = is_and ? TRUTH_TRUE : TRUTH_FALSE,
        t = 0;
    if ((a | b) & decided) t |= decided;
    if (a & b & other) t |= other;
    if (((a & TRUTH_NULL) && (b & ~decided)) || ((b & TRUTH_NULL) && (a & ~decided)))
        t |= TRUTH_NULL;
    return t;
}

static int of_in(const struct expr *e, const struct region *g)
{
    struct range a = range_of(e->args[0], g);
    int t = TRUTH_FALSE;
    if (!a.known) return ANY;
    if (e->n_args == 1) return (a.nulls ? TRUTH_NULL : 0) | TRUTH_FALSE;
    for (int i = 1; i < e->n_args; i++) {
        struct range b = range_of(e->args[i], g);
        t = combined(t, compared(B_EQ, &a, &b), false);
    }
    return t;
}

static int of_is_null(const struct expr *e, const struct region *g)
{
    struct range a = range_of(e->args[0], g);
    int t = ANY & ~TRUTH_NULL;
    if (a.known) t = (a.nulls ? TRUTH_TRUE : 0) | (a.any || a.nans ? TRUTH_FALSE : 0);
    if (e->negated) t = (t & TRUTH_TRUE ? TRUTH_FALSE : 0) | (t & TRUTH_FALSE ? TRUTH_TRUE : 0);
    return t ? t : ANY;
}

/* EXISTS of rows with a key: none where the key is beyond all of theirs. */
static int of_lookup(const struct expr *e, const struct region *g)
{
    const struct env *env = g->env;
    struct range a, b = {.known = true};
    if (!env || e->subquery->n_keys != 1 || !e->subquery->exists ||
        e->subquery->slot >= env->n_subqueries ||
        !subquery_range(env->subqueries[e->subquery->slot], &b.lo, &b.hi, &b.any))
        return ANY;
    if (!b.any) return TRUTH_FALSE;
    a = range_of(e->args[0], g);
    bool may = !a.known || (compared(B_EQ, &a, &b) & TRUTH_TRUE);
    return may ? TRUTH_FALSE | TRUTH_TRUE : TRUTH_FALSE;
}

/* A BOOLEAN column or constant that stands as a condition. */
static int of_boolean(const struct expr *e, const struct region *g)
{
    struct range a = range_of(e, g);
    if (!a.known) return ANY;
    int t = a.nulls ? TRUTH_NULL : 0;
    if (a.any) t |= (a.lo.i == 0 ? TRUTH_FALSE : 0) | (a.hi.i != 0 ? TRUTH_TRUE : 0);
    return t ? t : ANY;
}

static int truths(const struct expr *e, const struct region *g)
{
    switch (e->kind) {
    case E_AND:
    case E_OR: {
        int t = truths(e->args[0], g);
        for (int i = 1; i < e->n_args; i++)
            t = combined(t, truths(e->args[i], g), e->kind == E_AND);
        return t;
    }
    case E_NOT: {
        int t = truths(e->args[0], g);
        return (t & TRUTH_NULL) | (t & TRUTH_TRUE ? TRUTH_FALSE : 0) |
               (t & TRUTH_FALSE ? TRUTH_TRUE : 0);
    }
    case E_IS_NULL:
        return of_is_null(e, g);
    case E_IN:
        return of_in(e, g);
    case E_CALL:
        if (e->func->how == HOW_BINARY && e->func->kernel >= B_EQ && e->func->kernel <= B_GE) {
            struct range a = range_of(e->args[0], g), b = range_of(e->args[1], g);
            return compared(e->func->kernel, &a, &b);
        }
        return ANY;
    case E_SUBQUERY:
        return e->n_args ? of_lookup(e, g) : of_boolean(e, g);
    default:
        return e->type == T_BOOL ? of_boolean(e, g) : ANY;
    }
}

int expr_truths(const struct expr *e, const struct env *env, summary_of_fn *of, void *self,
                const struct value *dim_lo, const struct value *dim_hi)
{
    struct region g = {.env = env, .of = of, .self = self, .dim_lo = dim_lo, .dim_hi = dim_hi};
    return truths(e, &g);
}
