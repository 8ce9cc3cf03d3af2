/* Which aggregates are there, which one does a call mean, and what does the executor need to know
 * of it? */
#include "query/agg_internal.h"
#include <math.h>
#include <pthread.h>

static const struct agg aggs[] = {
    /* name           id            columns constants types */
    {"count", AGG_COUNT, 0, 0, ARGS_ANY, false},
    {"count", AGG_COUNT, 1, 0, ARGS_ANY, false},
    {"sum", AGG_SUM, 1, 0, ARGS_NUMERIC, false},
    {"avg", AGG_AVG, 1, 0, ARGS_NUMERIC, false},
    {"avg", AGG_WEIGHTED_AVG, 2, 0, ARGS_DOUBLE, false},
    {"min", AGG_MIN, 1, 0, ARGS_ANY, false},
    {"max", AGG_MAX, 1, 0, ARGS_ANY, false},
    {"prod", AGG_PROD, 1, 0, ARGS_NUMERIC, false},
    {"nansum", AGG_SUM, 1, 0, ARGS_NUMERIC, true},
    {"nanmean", AGG_AVG, 1, 0, ARGS_NUMERIC, true},
    {"nanmin", AGG_MIN, 1, 0, ARGS_ANY, true},
    {"nanmax", AGG_MAX, 1, 0, ARGS_ANY, true},
    {"stddev", AGG_STDDEV_SAMP, 1, 0, ARGS_DOUBLE, false},
    {"stddev_samp", AGG_STDDEV_SAMP, 1, 0, ARGS_DOUBLE, false},
    {"stddev_pop", AGG_STDDEV_POP, 1, 0, ARGS_DOUBLE, false},
    {"variance", AGG_VAR_SAMP, 1, 0, ARGS_DOUBLE, false},
    {"var_samp", AGG_VAR_SAMP, 1, 0, ARGS_DOUBLE, false},
    {"var_pop", AGG_VAR_POP, 1, 0, ARGS_DOUBLE, false},
    {"median", AGG_QUANTILE, 1, 0, ARGS_DOUBLE, false},
    {"quantile", AGG_QUANTILE, 1, 1, ARGS_DOUBLE, false},
    {"percentile_cont", AGG_QUANTILE, 1, 1, ARGS_DOUBLE, false},
    {"mode", AGG_MODE, 1, 0, ARGS_ANY, false},
    {"argmin", AGG_ARGMIN, 2, 0, ARGS_ANY, false},
    {"argmax", AGG_ARGMAX, 2, 0, ARGS_ANY, false},
    {"first", AGG_FIRST, 2, 0, ARGS_ANY, false},
    {"last", AGG_LAST, 2, 0, ARGS_ANY, false},
    {"only", AGG_ONLY, 1, 0, ARGS_ANY, false},
    {"corr", AGG_CORR, 2, 0, ARGS_DOUBLE, false},
    {"covar_pop", AGG_COVAR_POP, 2, 0, ARGS_DOUBLE, false},
    {"covar_samp", AGG_COVAR_SAMP, 2, 0, ARGS_DOUBLE, false},
    {"regr_slope", AGG_REGR_SLOPE, 2, 0, ARGS_DOUBLE, false},
    {"regr_intercept", AGG_REGR_INTERCEPT, 2, 0, ARGS_DOUBLE, false},
    {"regr_r2", AGG_REGR_R2, 2, 0, ARGS_DOUBLE, false},
    {"bool_and", AGG_MIN, 1, 0, ARGS_BOOL, false},
    {"bool_or", AGG_MAX, 1, 0, ARGS_BOOL, false},
    {"every", AGG_MIN, 1, 0, ARGS_BOOL, false},
    {"histogram", AGG_HISTOGRAM, 1, 3, ARGS_DOUBLE, false},
    {"approx_count_distinct", AGG_MISSING, 1, 0, ARGS_ANY, false},
    {"approx_quantile", AGG_MISSING, 1, 1, ARGS_ANY, false},
    {"string_agg", AGG_MISSING, 2, 0, ARGS_ANY, false},
    {"array_agg", AGG_MISSING, 1, 0, ARGS_ANY, false},
};
enum { N_AGGS = sizeof aggs / sizeof *aggs };

bool agg_exists(const char *name)
{
    for (int i = 0; i < N_AGGS; i++)
        if (!strcmp(aggs[i].name, name)) return true;
    return false;
}

static const char *names[N_AGGS];
static int n_names;

static void list_names(void)
{
    for (int i = 0; i < N_AGGS; i++)
        if (!n_names || strcmp(names[n_names - 1], aggs[i].name)) names[n_names++] = aggs[i].name;
}

const char *const *agg_names(int *n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, list_names);
    *n = n_names;
    return names;
}

const char *agg_name(const struct agg *a)
{
    return a->name;
}

/* ---- resolving ---- */

static enum status no_such(struct ctx *c, const char *name, struct expr **args, int n, int pos)
{
    struct strbuf types = STRBUF_INIT;
    for (int i = 0; i < n; i++)
        strbuf_addf(&types, "%s%s", i ? ", " : "", type_name(args[i]->type));
    fail_at(c, ERR_UNDEFINED_FUNCTION, pos, "function %s(%s) does not exist", name,
            types.s ? types.s
            : n     ? ""
                    : "");
    strbuf_release(&types);
    return hint(c, "No aggregate of this name takes these arguments. You might need to add "
                   "explicit type casts.");
}

static enum status cast_column(struct ctx *c, enum agg_args want, struct expr **e, bool *fits)
{
    enum type t = (*e)->type;
    *fits = true;
    switch (want) {
    case ARGS_ANY:
        return expr_resolve_unknown(c, e);
    case ARGS_NUMERIC:
        if (t == T_UNKNOWN) return expr_make_cast(c, *e, T_FLOAT64, false, (*e)->pos, e);
        *fits = type_is_numeric(t);
        return OK;
    case ARGS_DOUBLE:
        *fits = type_is_numeric(t) || t == T_UNKNOWN;
        if (!*fits || t == T_FLOAT64) return OK;
        return expr_make_cast(c, *e, T_FLOAT64, false, (*e)->pos, e);
    case ARGS_BOOL:
        *fits = t == T_BOOL || t == T_UNKNOWN;
        if (t == T_UNKNOWN) return expr_make_cast(c, *e, T_BOOL, false, (*e)->pos, e);
        return OK;
    }
    return OK;
}

static enum status cast_constant(struct ctx *c, const char *name, struct expr **e, enum type to)
{
    if (!expr_is_const(*e))
        return fail_at(c, ERR_INVALID_PARAMETER, (*e)->pos,
                       "this argument of %s must be a constant", name);
    if ((*e)->type == to) return OK;
    return expr_make_cast(c, *e, to, false, (*e)->pos, e);
}

static enum type result_type(const struct agg *a, struct expr **args)
{
    enum type t = a->n_cols ? args[0]->type : T_NONE;
    switch (a->id) {
    case AGG_COUNT:
        return T_INT64;
    case AGG_SUM:
    case AGG_PROD:
        return type_is_float(t) ? T_FLOAT64 : type_is_unsigned(t) ? T_UINT64 : T_INT64;
    case AGG_MIN:
    case AGG_MAX:
    case AGG_MODE:
    case AGG_ONLY:
    case AGG_FIRST:
    case AGG_LAST:
        return t;
    case AGG_ARGMIN:
    case AGG_ARGMAX:
        return args[1]->type;
    case AGG_HISTOGRAM:
        return T_INT64S;
    default:
        return T_FLOAT64;
    }
}

/* Lists have no order. */
static bool comparable(const struct agg *a, struct expr **args)
{
    if (a->args != ARGS_ANY || a->id == AGG_COUNT || a->id == AGG_ONLY) return true;
    for (int i = 0; i < a->n_cols; i++)
        if (args[i]->type == T_INT64S) return false;
    return true;
}

enum status agg_resolve(struct ctx *c, const char *name, struct expr **args, int n, bool distinct,
                        int pos, const struct agg **out, enum type *result)
{
    const struct agg *a = NULL;
    for (int i = 0; i < N_AGGS && !a; i++) {
        if (strcmp(aggs[i].name, name)) continue;
        if (aggs[i].id == AGG_MISSING)
            return fail_at(c, ERR_UNSUPPORTED, pos, "aggregate %s is not available yet", name);
        if (aggs[i].n_cols + aggs[i].n_consts == n) a = &aggs[i];
    }
    if (!a) return no_such(c, name, args, n, pos);
    if (distinct && !a->n_cols)
        return fail_at(c, ERR_SYNTAX, pos, "DISTINCT specified, but %s has no argument", name);
    for (int i = 0; i < a->n_cols; i++) {
        bool fits;
        TRY(cast_column(c, a->args, &args[i], &fits));
        if (!fits) return no_such(c, name, args, n, pos);
    }
    if (!comparable(a, args)) return no_such(c, name, args, n, pos);
    for (int i = a->n_cols; i < n; i++)
        TRY(cast_constant(c, name, &args[i],
                          a->id == AGG_HISTOGRAM && i == n - 1 ? T_INT64 : T_FLOAT64));
    *out = a;
    *result = result_type(a, args);
    return OK;
}

/* ---- binding ---- */

#define MAX_BINS (INT64_C(1) << 24)

static enum status bind_constants(struct ctx *c, const struct agg_call *call, const struct env *env,
                                  struct agg_bound *k)
{
    const struct agg *a = call->agg;
    struct value v[3];
    for (int i = 0; i < a->n_consts; i++) {
        const struct expr *e = call->args[a->n_cols + i];
        TRY(expr_eval_const(c, e, env, &v[i]));
        if (v[i].null)
            return fail_at(c, ERR_INVALID_PARAMETER, e->pos, "this argument of %s must not be NULL",
                           a->name);
    }
    if (a->id == AGG_QUANTILE) {
        k->q = a->n_consts ? v[0].d : 0.5;
        if (!(k->q >= 0 && k->q <= 1))
            return fail_at(c, ERR_INVALID_PARAMETER, call->args[1]->pos,
                           "quantile %g is not between 0 and 1", k->q);
    }
    if (a->id == AGG_HISTOGRAM) {
        k->lo = v[0].d;
        k->hi = v[1].d;
        k->bins = v[2].i;
        if (!isfinite(k->lo) || !isfinite(k->hi) || !(k->lo < k->hi))
            return fail_at(c, ERR_INVALID_PARAMETER, call->args[1]->pos,
                           "histogram's lower bound must be below its upper bound, both finite");
        if (k->bins < 1 || k->bins > MAX_BINS)
            return fail_at(c, ERR_INVALID_PARAMETER, call->args[3]->pos,
                           "histogram's number of bins must be between 1 and %lld",
                           (long long)MAX_BINS);
    }
    return OK;
}

static bool picks(const struct agg_bound *k)
{
    switch (k->agg->id) {
    case AGG_ARGMIN:
    case AGG_ARGMAX:
    case AGG_FIRST:
    case AGG_LAST:
    case AGG_ONLY:
        return true;
    case AGG_MIN:
    case AGG_MAX:
        return k->types[0] == T_INTERVAL || type_is_varlen(k->types[0]);
    default:
        return false;
    }
}

static const struct agg_ops *ops_of(const struct agg_bound *k)
{
    if (k->holistic) return agg_count_ops();
    if (picks(k)) return agg_pick_ops();
    switch (k->agg->id) {
    case AGG_COUNT:
        return agg_count_ops();
    case AGG_SUM:
    case AGG_AVG:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_PROD:
        return agg_number_ops(k->agg->id, k->types[0]);
    case AGG_HISTOGRAM:
        return agg_histogram_ops();
    default:
        return agg_moment_ops(k->agg->id);
    }
}

static void bind_ops(struct agg_bound *k)
{
    k->ops = ops_of(k);
    k->ranks = picks(k) && !k->holistic;
    k->state_bytes = k->ops->state_bytes;
    if (k->agg->id == AGG_HISTOGRAM && !k->holistic)
        k->state_bytes = (size_t)k->bins * sizeof(int64_t);
}

struct agg_bound agg_bound_of_values(const struct agg_bound *k)
{
    struct agg_bound plain = *k;
    plain.distinct = plain.holistic = false;
    plain.filter = -1;
    bind_ops(&plain);
    return plain;
}

static void bind_slots(const struct agg_call *call, struct expr **es, int *n_slots,
                       struct agg_bound *k)
{
    for (int i = 0; i < k->n_args; i++) {
        k->types[i] = call->args[i]->type;
        k->slots[i] = *n_slots;
        es[(*n_slots)++] = call->args[i];
    }
    k->filter = -1;
    if (call->filter) {
        k->filter = *n_slots;
        es[(*n_slots)++] = call->filter;
    }
}

enum status agg_bind(struct ctx *c, const struct agg_call *call, const struct env *env,
                     struct expr **es, int *n_slots, struct agg_bound *out)
{
    const struct agg *a = call->agg;
    struct agg_bound k = {.agg = a, .n_args = a->n_cols};
    bind_slots(call, es, n_slots, &k);
    k.result = result_type(a, call->args);
    k.value_arg = a->id == AGG_ARGMIN || a->id == AGG_ARGMAX ? 1 : -1;
    TRY(bind_constants(c, call, env, &k));
    k.distinct = call->distinct && a->id != AGG_MIN && a->id != AGG_MAX;
    k.holistic = k.distinct || a->id == AGG_QUANTILE || a->id == AGG_MODE;
    bind_ops(&k);
    *out = k;
    return OK;
}
