/* Which aggregates are there, which one does a call mean, and what does the executor need to know
 * of it? */
#include "query/agg_internal.h"
#include <math.h>
#include <pthread.h>

static const struct agg aggs[] = {
    /* name           id            columns constants types NaN WITHIN GROUP */
    {"count", AGG_COUNT, 0, 0, ARGS_ANY, NAN_COUNTS, false},
    {"count", AGG_COUNT, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"sum", AGG_SUM, 1, 0, ARGS_NUMERIC, NAN_COUNTS, false},
    {"avg", AGG_AVG, 1, 0, ARGS_NUMERIC, NAN_COUNTS, false},
    {"avg", AGG_WEIGHTED_AVG, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"min", AGG_MIN, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"max", AGG_MAX, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"prod", AGG_PROD, 1, 0, ARGS_NUMERIC, NAN_COUNTS, false},
    {"nansum", AGG_SUM, 1, 0, ARGS_NUMERIC, NAN_AS_ZERO, false},
    {"nanmean", AGG_AVG, 1, 0, ARGS_NUMERIC, NAN_SKIPPED, false},
    {"nanmin", AGG_MIN, 1, 0, ARGS_ANY, NAN_SKIPPED, false},
    {"nanmax", AGG_MAX, 1, 0, ARGS_ANY, NAN_SKIPPED, false},
    {"nanstd", AGG_STDDEV_POP, 1, 0, ARGS_DOUBLE, NAN_SKIPPED, false},
    {"nanvar", AGG_VAR_POP, 1, 0, ARGS_DOUBLE, NAN_SKIPPED, false},
    {"nanmedian", AGG_QUANTILE, 1, 0, ARGS_DOUBLE, NAN_SKIPPED, false},
    {"nanquantile", AGG_QUANTILE, 1, 1, ARGS_DOUBLE, NAN_SKIPPED, false},
    {"stddev", AGG_STDDEV_SAMP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"stddev_samp", AGG_STDDEV_SAMP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"stddev_pop", AGG_STDDEV_POP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"variance", AGG_VAR_SAMP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"variance_samp", AGG_VAR_SAMP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"variance_pop", AGG_VAR_POP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"var_samp", AGG_VAR_SAMP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"var_pop", AGG_VAR_POP, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"median", AGG_QUANTILE, 1, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"quantile", AGG_QUANTILE, 1, 1, ARGS_DOUBLE, NAN_COUNTS, false},
    {"percentile_cont", AGG_QUANTILE, 1, 1, ARGS_DOUBLE, NAN_COUNTS, true},
    {"percentile_disc", AGG_PERCENTILE_DISC, 1, 1, ARGS_ANY, NAN_COUNTS, true},
    {"mode", AGG_MODE, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"mode", AGG_MODE, 1, 0, ARGS_ANY, NAN_COUNTS, true},
    {"argmin", AGG_ARGMIN, 2, 0, ARGS_ANY, NAN_COUNTS, false},
    {"argmax", AGG_ARGMAX, 2, 0, ARGS_ANY, NAN_COUNTS, false},
    {"first", AGG_FIRST, 2, 0, ARGS_ANY, NAN_COUNTS, false},
    {"last", AGG_LAST, 2, 0, ARGS_ANY, NAN_COUNTS, false},
    {"only", AGG_ONLY, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"corr", AGG_CORR, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"covar_pop", AGG_COVAR_POP, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"covar_samp", AGG_COVAR_SAMP, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_slope", AGG_REGR_SLOPE, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_intercept", AGG_REGR_INTERCEPT, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_r2", AGG_REGR_R2, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_count", AGG_REGR_COUNT, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_avgx", AGG_REGR_AVGX, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_avgy", AGG_REGR_AVGY, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_sxx", AGG_REGR_SXX, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_syy", AGG_REGR_SYY, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"regr_sxy", AGG_REGR_SXY, 2, 0, ARGS_DOUBLE, NAN_COUNTS, false},
    {"bool_and", AGG_MIN, 1, 0, ARGS_BOOL, NAN_COUNTS, false},
    {"bool_or", AGG_MAX, 1, 0, ARGS_BOOL, NAN_COUNTS, false},
    {"every", AGG_MIN, 1, 0, ARGS_BOOL, NAN_COUNTS, false},
    {"bit_and", AGG_BIT_AND, 1, 0, ARGS_INTEGER, NAN_COUNTS, false},
    {"bit_or", AGG_BIT_OR, 1, 0, ARGS_INTEGER, NAN_COUNTS, false},
    {"bit_xor", AGG_BIT_XOR, 1, 0, ARGS_INTEGER, NAN_COUNTS, false},
    {"histogram", AGG_HISTOGRAM, 1, 3, ARGS_DOUBLE, NAN_COUNTS, false},
    {"approx_count_distinct", AGG_APPROX_COUNT, 1, 0, ARGS_ANY, NAN_COUNTS, false},
    {"approx_quantile", AGG_APPROX_QUANTILE, 1, 1, ARGS_DOUBLE, NAN_COUNTS, false},
    {"string_agg", AGG_STRING_AGG, 2, 0, ARGS_TEXT, NAN_COUNTS, false},
    {"array_agg", AGG_ARRAY_AGG, 1, 0, ARGS_BIGINT, NAN_COUNTS, false},
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

bool agg_is_ordered(const struct agg *a)
{
    return a->within || a->id == AGG_STRING_AGG || a->id == AGG_ARRAY_AGG;
}

bool agg_sees_order(const struct agg *a)
{
    switch (a->id) {
    case AGG_ARGMIN:
    case AGG_ARGMAX:
    case AGG_FIRST:
    case AGG_LAST:
    case AGG_ONLY:
    case AGG_MODE:
    case AGG_APPROX_QUANTILE:
    case AGG_STRING_AGG:
    case AGG_ARRAY_AGG:
        return true;
    default:
        return false;
    }
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
    case ARGS_INTEGER:
        *fits = type_is_integer(t);
        return OK;
    case ARGS_BIGINT:
        *fits = type_is_integer(t);
        if (!*fits || t == T_INT64) return OK;
        return expr_make_cast(c, *e, T_INT64, false, (*e)->pos, e);
    case ARGS_TEXT:
        *fits = t == T_TEXT || t == T_UNKNOWN;
        return expr_resolve_unknown(c, e);
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
    case AGG_REGR_COUNT:
    case AGG_APPROX_COUNT:
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
    case AGG_BIT_AND:
    case AGG_BIT_OR:
    case AGG_BIT_XOR:
    case AGG_PERCENTILE_DISC:
        return t;
    case AGG_STRING_AGG:
        return T_TEXT;
    case AGG_ARGMIN:
    case AGG_ARGMAX:
        return args[1]->type;
    case AGG_HISTOGRAM:
    case AGG_ARRAY_AGG:
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

/* The row of so many arguments, with WITHIN GROUP or without. */
static enum status find_agg(struct ctx *c, const char *name, struct expr **args, int n, bool within,
                            int pos, const struct agg **out)
{
    bool plain = false, ordered_set = false;
    *out = NULL;
    for (int i = 0; i < N_AGGS && !*out; i++) {
        if (strcmp(aggs[i].name, name)) continue;
        plain |= !aggs[i].within;
        ordered_set |= aggs[i].within;
        if (aggs[i].n_cols + aggs[i].n_consts == n && aggs[i].within == within) *out = &aggs[i];
    }
    if (*out) return OK;
    no_such(c, name, args, n, pos);
    if (within && !ordered_set)
        return hint(c, "%s is not an ordered-set aggregate, so it cannot have WITHIN GROUP.", name);
    if (!within && !plain) return hint(c, "Write %s(…) WITHIN GROUP (ORDER BY x).", name);
    return ERR_UNDEFINED_FUNCTION;
}

enum status agg_resolve(struct ctx *c, const char *name, struct expr **args, int n, bool distinct,
                        bool within, int pos, const struct agg **out, enum type *result)
{
    const struct agg *a;
    TRY(find_agg(c, name, args, n, within, pos, &a));
    if (distinct && !a->n_cols)
        return fail_at(c, ERR_SYNTAX, pos, "DISTINCT specified, but %s has no argument", name);
    for (int i = 0; i < a->n_cols; i++) {
        bool fits;
        TRY(cast_column(c, a->args, &args[i], &fits));
        if (fits) continue;
        no_such(c, name, args, n, pos);
        if (a->id == AGG_ARRAY_AGG)
            return hint(c, "Lists are of BIGINT: array_agg takes integers.");
        return ERR_UNDEFINED_FUNCTION;
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

static bool has_quantile(enum agg_id id)
{
    return id == AGG_QUANTILE || id == AGG_PERCENTILE_DISC || id == AGG_APPROX_QUANTILE;
}

static enum status bind_quantile(struct ctx *c, const struct agg_call *call, double q,
                                 struct agg_bound *k)
{
    bool within = call->agg->within;
    if (!(q >= 0 && q <= 1))
        return fail_at(c, within ? ERR_OVERFLOW : ERR_INVALID_PARAMETER, call->args[1]->pos,
                       "%s %g is not between 0 and 1", within ? "percentile value" : "quantile", q);
    k->q = k->agg->id == AGG_QUANTILE && within && call->order[0].desc ? 1 - q : q;
    return OK;
}

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
    if (has_quantile(a->id)) TRY(bind_quantile(c, call, a->n_consts ? v[0].d : 0.5, k));
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
    case AGG_BIT_AND:
    case AGG_BIT_OR:
    case AGG_BIT_XOR:
        return agg_bits_ops();
    case AGG_STRING_AGG:
    case AGG_ARRAY_AGG:
        return agg_list_ops(k->agg->id);
    case AGG_APPROX_COUNT:
        return agg_approx_count_ops();
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

struct agg_bound agg_bound_of_counts(const struct agg_bound *k)
{
    struct agg_bound pick = {.n_args = 2,
                             .types = {T_INT64, k->types[0]},
                             .result = k->result,
                             .filter = -1,
                             .value_arg = 1};
    for (int i = 0; i < N_AGGS && !pick.agg; i++)
        if (aggs[i].id == AGG_ARGMAX) pick.agg = &aggs[i];
    bind_ops(&pick);
    return pick;
}

static void bind_slots(struct ctx *c, const struct agg_call *call, struct expr **es, int *n_slots,
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
    int *slots = arena_array(c->arena, int, k->n_order + 1);
    enum type *types = arena_array(c->arena, enum type, k->n_order + 1);
    for (int i = 0; i < k->n_order; i++) {
        struct expr *e = call->args[call->n_args - call->n_order + i];
        types[i] = e->type;
        slots[i] = -1;
        for (int j = 0; j < k->n_args; j++)
            if (expr_equal(e, call->args[j])) slots[i] = k->slots[j];
        if (slots[i] >= 0) continue;
        slots[i] = *n_slots;
        es[(*n_slots)++] = e;
    }
    k->order_slots = slots;
    k->order_types = types;
}

/* Which argument alone may be NULL. */
static int value_arg_of(enum agg_id id)
{
    switch (id) {
    case AGG_ARGMIN:
    case AGG_ARGMAX:
    case AGG_STRING_AGG:
        return 1;
    case AGG_ARRAY_AGG:
        return 0;
    default:
        return -1;
    }
}

enum status agg_bind(struct ctx *c, const struct agg_call *call, const struct env *env,
                     struct expr **es, int *n_slots, struct agg_bound *out)
{
    const struct agg *a = call->agg;
    struct agg_bound k = {.agg = a,
                          .n_args = a->n_cols,
                          .n_order = call->n_order,
                          .order = call->order,
                          .pos = call->pos};
    if (a->id == AGG_QUANTILE || a->id == AGG_MODE) k.n_order = 0; /* the direction is all */
    bind_slots(c, call, es, n_slots, &k);
    k.result = result_type(a, call->args);
    k.value_arg = value_arg_of(a->id);
    TRY(bind_constants(c, call, env, &k));
    k.distinct =
        call->distinct && a->id != AGG_MIN && a->id != AGG_MAX && a->id != AGG_APPROX_COUNT;
    k.ordered = a->id == AGG_STRING_AGG || a->id == AGG_ARRAY_AGG;
    k.holistic = k.distinct || k.ordered || has_quantile(a->id) || a->id == AGG_MODE;
    bind_ops(&k);
    *out = k;
    return OK;
}
