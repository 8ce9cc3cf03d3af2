/* Variances, standard deviations, covariances, correlation, regression lines, weighted averages:
 * from reproducible sums of x, y and their products, taken apart at 113 bits at the end. Arguments
 * are DOUBLE PRECISION. Of two, the first is Y and the second X, as in SQL. */
#include "query/agg_internal.h"
#include "storage/base/fsum.h"
#include <math.h>

struct range { /* of what is no NaN; equal ends: one value again and again, which has no spread */
    double lo, hi;
};
struct moments1 {
    struct fsum x, xx;
    struct range range;
    int64_t n;
};
struct moments2 {
    struct fsum x, y, xx, yy, xy;
    struct range x_range, y_range;
    int64_t n;
};
struct weighted {
    struct fsum wx, w;
    int64_t n;
};

static enum status put(struct column *out, int64_t i, double d)
{
    ((double *)out->values)[i] = d;
    return OK;
}

static enum status put_null(struct column *out, int64_t i)
{
    column_put_null(out, i);
    return OK;
}

static const struct range no_range = {(double)INFINITY, -(double)INFINITY};

static inline void range_add(struct range *r, double x)
{
    r->lo = x < r->lo ? x : r->lo;
    r->hi = x > r->hi ? x : r->hi;
}

static void range_add_block(struct range *r, const double *x, int64_t n)
{
    double lo = r->lo, hi = r->hi;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    *r = (struct range){lo, hi};
}

static void range_merge(struct range *r, const struct range *o)
{
    range_add(r, o->lo);
    range_add(r, o->hi);
}

static bool is_finite(const struct fsum *s)
{
    return !s->has_nan && !s->has_pinf && !s->has_ninf;
}

/* Σab - Σa Σb / n */
static f128 centred(const struct fsum *ab, const struct fsum *a, const struct fsum *b, int64_t n)
{
    return fsum_wide(ab) - fsum_wide(a) * fsum_wide(b) / (f128)n;
}

static f128 spread(const struct fsum *aa, const struct fsum *a, const struct range *r, int64_t n)
{
    if (r->lo == r->hi) return 0;
    f128 s = centred(aa, a, a, n);
    return s < 0 ? 0 : s;
}

/* ---- one variable ---- */

static void moments1_init(const struct agg_bound *k, void *state)
{
    (void)k;
    struct moments1 *s = state;
    memset(s, 0, sizeof *s);
    fsum_init(&s->x);
    fsum_init(&s->xx);
    s->range = no_range;
}

static enum status moments1_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                void *state, const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    struct moments1 *s = state;
    fsum_add_block(&s->x, b->arg[0], b->n);
    fsum_add_product_block(&s->xx, b->arg[0], b->arg[0], b->n);
    range_add_block(&s->range, b->arg[0], b->n);
    s->n += b->n;
    return OK;
}

static enum status moments1_scatter(struct ctx *c, const struct agg_bound *k,
                                    struct text_heap *heap, void *states, const int32_t *g,
                                    const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    const double *x = b->arg[0];
    for (int64_t i = 0; i < b->n; i++) {
        struct moments1 *s = (struct moments1 *)states + g[i];
        fsum_add(&s->x, x[i]);
        fsum_add_product(&s->xx, x[i], x[i]);
        range_add(&s->range, x[i]);
        s->n++;
    }
    return OK;
}

static enum status moments1_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                  void *state, const void *other)
{
    (void)c, (void)k, (void)heap;
    struct moments1 *s = state;
    const struct moments1 *o = other;
    if (!o->n) return OK;
    fsum_merge(&s->x, &o->x);
    fsum_merge(&s->xx, &o->xx);
    range_merge(&s->range, &o->range);
    s->n += o->n;
    return OK;
}

/* Only of a REAL or DOUBLE column: of others squares are not kept. */
static void moments1_summary(const struct agg_bound *k, void *state, const struct summary *s)
{
    (void)k;
    struct moments1 *to = state;
    if (s->n_cells == s->n_nulls) return;
    fsum_merge(&to->x, &s->sum);
    fsum_merge(&to->xx, &s->sum2);
    if (s->has_range) range_merge(&to->range, &(struct range){s->min.d, s->max.d});
    to->n += s->n_cells - s->n_nulls;
}

static enum status moments1_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                                   struct column *out, int64_t i)
{
    (void)c;
    const struct moments1 *s = state;
    enum agg_id id = k->agg->id;
    bool sample = id == AGG_STDDEV_SAMP || id == AGG_VAR_SAMP;
    int64_t divisor = sample ? s->n - 1 : s->n;
    if (divisor <= 0) return put_null(out, i);
    if (!is_finite(&s->x)) return put(out, i, (double)NAN);
    double variance = (double)(spread(&s->xx, &s->x, &s->range, s->n) / (f128)divisor);
    bool root = id == AGG_STDDEV_SAMP || id == AGG_STDDEV_POP;
    return put(out, i, root ? sqrt(variance) : variance);
}

/* ---- two variables ---- */

static void moments2_init(const struct agg_bound *k, void *state)
{
    (void)k;
    struct moments2 *s = state;
    memset(s, 0, sizeof *s);
    fsum_init(&s->x);
    fsum_init(&s->y);
    fsum_init(&s->xx);
    fsum_init(&s->yy);
    fsum_init(&s->xy);
    s->x_range = s->y_range = no_range;
}

static enum status moments2_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                void *state, const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    struct moments2 *s = state;
    const double *y = b->arg[0], *x = b->arg[1];
    fsum_add_block(&s->x, x, b->n);
    fsum_add_block(&s->y, y, b->n);
    fsum_add_product_block(&s->xx, x, x, b->n);
    fsum_add_product_block(&s->yy, y, y, b->n);
    fsum_add_product_block(&s->xy, x, y, b->n);
    range_add_block(&s->x_range, x, b->n);
    range_add_block(&s->y_range, y, b->n);
    s->n += b->n;
    return OK;
}

static enum status moments2_scatter(struct ctx *c, const struct agg_bound *k,
                                    struct text_heap *heap, void *states, const int32_t *g,
                                    const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    const double *y = b->arg[0], *x = b->arg[1];
    for (int64_t i = 0; i < b->n; i++) {
        struct moments2 *s = (struct moments2 *)states + g[i];
        fsum_add(&s->x, x[i]);
        fsum_add(&s->y, y[i]);
        fsum_add_product(&s->xx, x[i], x[i]);
        fsum_add_product(&s->yy, y[i], y[i]);
        fsum_add_product(&s->xy, x[i], y[i]);
        range_add(&s->x_range, x[i]);
        range_add(&s->y_range, y[i]);
        s->n++;
    }
    return OK;
}

static enum status moments2_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                  void *state, const void *other)
{
    (void)c, (void)k, (void)heap;
    struct moments2 *s = state;
    const struct moments2 *o = other;
    if (!o->n) return OK;
    fsum_merge(&s->x, &o->x);
    fsum_merge(&s->y, &o->y);
    fsum_merge(&s->xx, &o->xx);
    fsum_merge(&s->yy, &o->yy);
    fsum_merge(&s->xy, &o->xy);
    range_merge(&s->x_range, &o->x_range);
    range_merge(&s->y_range, &o->y_range);
    s->n += o->n;
    return OK;
}

static enum status moments2_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                                   struct column *out, int64_t i)
{
    (void)c;
    const struct moments2 *s = state;
    int64_t n = s->n;
    if (k->agg->id == AGG_REGR_COUNT) {
        ((int64_t *)out->values)[i] = n;
        return OK;
    }
    if (n == 0 || (n == 1 && k->agg->id == AGG_COVAR_SAMP)) return put_null(out, i);
    if (!is_finite(&s->x) || !is_finite(&s->y)) return put(out, i, (double)NAN);
    f128 sxx = spread(&s->xx, &s->x, &s->x_range, n), syy = spread(&s->yy, &s->y, &s->y_range, n);
    f128 sxy = sxx == 0 || syy == 0 ? 0 : centred(&s->xy, &s->x, &s->y, n);
    switch (k->agg->id) {
    case AGG_REGR_AVGX:
        return put(out, i, fsum_value(&s->x) / (double)n);
    case AGG_REGR_AVGY:
        return put(out, i, fsum_value(&s->y) / (double)n);
    case AGG_REGR_SXX:
        return put(out, i, (double)sxx);
    case AGG_REGR_SYY:
        return put(out, i, (double)syy);
    case AGG_REGR_SXY:
        return put(out, i, (double)sxy);
    case AGG_COVAR_POP:
        return put(out, i, (double)(sxy / (f128)n));
    case AGG_COVAR_SAMP:
        return put(out, i, (double)(sxy / (f128)(n - 1)));
    case AGG_CORR: {
        if (sxx == 0 || syy == 0) return put_null(out, i);
        double r = (double)sxy / (sqrt((double)sxx) * sqrt((double)syy));
        return put(out, i, r > 1 ? 1 : r < -1 ? -1 : r);
    }
    case AGG_REGR_R2:
        if (sxx == 0) return put_null(out, i);
        return put(out, i, syy == 0 ? 1 : (double)(sxy / sxx * (sxy / syy)));
    default:
        break;
    }
    if (sxx == 0) return put_null(out, i);
    f128 slope = sxy / sxx;
    if (k->agg->id == AGG_REGR_SLOPE) return put(out, i, (double)slope);
    return put(out, i, (double)((fsum_wide(&s->y) - slope * fsum_wide(&s->x)) / (f128)n));
}

/* ---- weights ---- */

static void weighted_init(const struct agg_bound *k, void *state)
{
    (void)k;
    struct weighted *s = state;
    memset(s, 0, sizeof *s);
    fsum_init(&s->wx);
    fsum_init(&s->w);
}

static enum status weighted_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                void *state, const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    struct weighted *s = state;
    fsum_add_product_block(&s->wx, b->arg[0], b->arg[1], b->n);
    fsum_add_block(&s->w, b->arg[1], b->n);
    s->n += b->n;
    return OK;
}

static enum status weighted_scatter(struct ctx *c, const struct agg_bound *k,
                                    struct text_heap *heap, void *states, const int32_t *g,
                                    const struct agg_block *b)
{
    (void)c, (void)k, (void)heap;
    const double *x = b->arg[0], *w = b->arg[1];
    for (int64_t i = 0; i < b->n; i++) {
        struct weighted *s = (struct weighted *)states + g[i];
        fsum_add_product(&s->wx, x[i], w[i]);
        fsum_add(&s->w, w[i]);
        s->n++;
    }
    return OK;
}

static enum status weighted_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                  void *state, const void *other)
{
    (void)c, (void)k, (void)heap;
    struct weighted *s = state;
    const struct weighted *o = other;
    if (!o->n) return OK;
    fsum_merge(&s->wx, &o->wx);
    fsum_merge(&s->w, &o->w);
    s->n += o->n;
    return OK;
}

static enum status weighted_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                                   struct column *out, int64_t i)
{
    (void)c, (void)k;
    const struct weighted *s = state;
    if (!s->n) return put_null(out, i);
    return put(out, i, fsum_value(&s->wx) / fsum_value(&s->w));
}

const struct agg_ops *agg_moment_ops(enum agg_id id)
{
    static const struct agg_ops one = {.state_bytes = sizeof(struct moments1),
                                       .init = moments1_init,
                                       .run = moments1_run,
                                       .scatter = moments1_scatter,
                                       .merge = moments1_merge,
                                       .summary = moments1_summary,
                                       .finish = moments1_finish};
    static const struct agg_ops two = {.state_bytes = sizeof(struct moments2),
                                       .init = moments2_init,
                                       .run = moments2_run,
                                       .scatter = moments2_scatter,
                                       .merge = moments2_merge,
                                       .finish = moments2_finish};
    static const struct agg_ops weighted = {.state_bytes = sizeof(struct weighted),
                                            .init = weighted_init,
                                            .run = weighted_run,
                                            .scatter = weighted_scatter,
                                            .merge = weighted_merge,
                                            .finish = weighted_finish};
    switch (id) {
    case AGG_STDDEV_SAMP:
    case AGG_STDDEV_POP:
    case AGG_VAR_SAMP:
    case AGG_VAR_POP:
        return &one;
    case AGG_WEIGHTED_AVG:
        return &weighted;
    default:
        return &two;
    }
}
