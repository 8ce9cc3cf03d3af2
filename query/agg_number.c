/* Sums, averages, products, extremes of numbers (booleans, dates and timestamps for extremes), and
 * counts: states and kernels.
 *
 * All are independent of the order of cells: integer sums are 128 bits wide, float sums are fsum's,
 * an integer product remembers overflow apart from a zero that would undo it. A float product is
 * kept at 113 bits, far more than its result has. */
#include "query/agg_internal.h"
#include "query/kernels.h"
#include "storage/base/fsum.h"
#include <math.h>

#define KERNEL_ARGS                                                                                \
    struct ctx *c, const struct agg_bound *k, struct text_heap *heap, void *state,                 \
        const struct agg_block *b
#define SCATTER_ARGS                                                                               \
    struct ctx *c, const struct agg_bound *k, struct text_heap *heap, void *states,                \
        const int32_t *g, const struct agg_block *b
#define SPREAD_ARGS struct ctx *c, void *states, const struct agg_spread *s
#define MERGE_ARGS                                                                                 \
    struct ctx *c, const struct agg_bound *k, struct text_heap *heap, void *state, const void *other
#define FINISH_ARGS                                                                                \
    struct ctx *c, const struct agg_bound *k, const void *state, struct column *out, int64_t i

/* ---- counts ---- */

static enum status count_run(KERNEL_ARGS)
{
    (void)c, (void)k, (void)heap;
    *(int64_t *)state += b->n;
    return OK;
}

static enum status count_scatter(SCATTER_ARGS)
{
    (void)c, (void)k, (void)heap;
    for (int64_t i = 0; i < b->n; i++)
        ((int64_t *)states)[g[i]]++;
    return OK;
}

static void count_rows(void *state, const struct agg_rows *r)
{
    *(int64_t *)state += r->n_rows * r->n;
}

static void count_columns(void *states, const int32_t *g, const struct agg_rows *r)
{
    for (int64_t i = 0; i < r->n; i++)
        if (g[i] >= 0) ((int64_t *)states)[g[i]] += r->n_rows;
}

static enum status count_spread(SPREAD_ARGS)
{
    (void)c;
    for (int64_t i = 0; i < s->n_states; i++)
        ((int64_t *)states)[i] += s->counts[i];
    return OK;
}

static enum status count_merge(MERGE_ARGS)
{
    (void)c, (void)k, (void)heap;
    *(int64_t *)state += *(const int64_t *)other;
    return OK;
}

static void count_summary(const struct agg_bound *k, void *state, const struct summary *s)
{
    *(int64_t *)state += k->n_args ? s->n_cells - s->n_nulls : s->n_cells;
}

static enum status count_finish(FINISH_ARGS)
{
    (void)c, (void)k;
    ((int64_t *)out->values)[i] = *(const int64_t *)state;
    return OK;
}

const struct agg_ops *agg_count_ops(void)
{
    static const struct agg_ops ops = {.state_bytes = sizeof(int64_t),
                                       .empty_is_zero = true,
                                       .run = count_run,
                                       .scatter = count_scatter,
                                       .rows = count_rows,
                                       .columns = count_columns,
                                       .spread = count_spread,
                                       .merge = count_merge,
                                       .summary = count_summary,
                                       .finish = count_finish};
    return &ops;
}

/* ---- states ---- */

struct int_sum {
    i128 sum;
    int64_t n;
};
struct float_sum {
    struct fsum sum;
    int64_t n;
};
struct int_prod {
    uint64_t magnitude; /* of what is not 0; 0: nothing yet */
    int64_t n;
    bool negative, zero, overflow;
};
struct float_prod { /* mantissa in [0.5, 1) × 2^exponent of what is finite and not 0 */
    f128 mantissa;
    int64_t exponent, n;
    bool negative, zero, inf, nan;
};
union number {
    int64_t i;
    uint64_t u;
    double d;
};
struct extreme {
    union number v;
    bool has, nan; /* v is of what is not NaN: ±infinity when all are */
};

static inline void int_prod_times(struct int_prod *s, uint64_t magnitude)
{
    if (!s->magnitude)
        s->magnitude = magnitude;
    else if (__builtin_mul_overflow(s->magnitude, magnitude, &s->magnitude)) {
        s->overflow = true;
        s->magnitude = 1;
    }
}

static inline void int_prod_add(struct int_prod *s, i128 x)
{
    s->n++;
    s->negative ^= x < 0;
    s->zero |= x == 0;
    if (x != 0) int_prod_times(s, (uint64_t)(x < 0 ? -x : x));
}

static void float_prod_times(struct float_prod *s, f128 mantissa, int64_t exponent)
{
    if (s->mantissa == 0) {
        s->mantissa = mantissa;
        s->exponent = exponent;
        return;
    }
    s->mantissa *= mantissa;
    s->exponent += exponent;
    if (s->mantissa < 0.5) {
        s->mantissa *= 2;
        s->exponent--;
    }
}

static void float_prod_add(struct float_prod *s, double x)
{
    s->n++;
    s->nan |= x != x;
    s->inf |= isinf(x) != 0;
    s->zero |= x == 0;
    s->negative ^= signbit(x) != 0;
    if (x == 0 || !isfinite(x)) return;
    int exponent;
    double mantissa = frexp(fabs(x), &exponent);
    float_prod_times(s, mantissa, exponent);
}

/* ---- kernels by type ---- */

#define INLINE static inline __attribute__((always_inline))
#define COLUMNS 64 /* that kernels take at once */

#define T int8_t
#define WIDE int64_t
#define SLOT i
#define FLOAT 0
#define LOWEST INT8_MIN
#define HIGHEST INT8_MAX
#define NAME(x) i8_##x
#include "query/agg_number.inc"

#define T int16_t
#define WIDE int64_t
#define SLOT i
#define FLOAT 0
#define LOWEST INT16_MIN
#define HIGHEST INT16_MAX
#define NAME(x) i16_##x
#include "query/agg_number.inc"

#define T int32_t
#define WIDE int64_t
#define SLOT i
#define FLOAT 0
#define LOWEST INT32_MIN
#define HIGHEST INT32_MAX
#define NAME(x) i32_##x
#include "query/agg_number.inc"

#define T int64_t
#define WIDE i128
#define SLOT i
#define FLOAT 0
#define LOWEST INT64_MIN
#define HIGHEST INT64_MAX
#define NAME(x) i64_##x
#include "query/agg_number.inc"

#define T uint8_t
#define WIDE uint64_t
#define SLOT u
#define FLOAT 0
#define LOWEST 0
#define HIGHEST UINT8_MAX
#define NAME(x) u8_##x
#include "query/agg_number.inc"

#define T uint16_t
#define WIDE uint64_t
#define SLOT u
#define FLOAT 0
#define LOWEST 0
#define HIGHEST UINT16_MAX
#define NAME(x) u16_##x
#include "query/agg_number.inc"

#define T uint32_t
#define WIDE uint64_t
#define SLOT u
#define FLOAT 0
#define LOWEST 0
#define HIGHEST UINT32_MAX
#define NAME(x) u32_##x
#include "query/agg_number.inc"

#define T uint64_t
#define WIDE i128
#define SLOT u
#define FLOAT 0
#define LOWEST 0
#define HIGHEST UINT64_MAX
#define NAME(x) u64_##x
#include "query/agg_number.inc"

#define T float
#define SLOT d
#define FLOAT 1
#define LOWEST (-(double)INFINITY)
#define HIGHEST ((double)INFINITY)
#define NAME(x) f32_##x
#include "query/agg_number.inc"

#define T double
#define SLOT d
#define FLOAT 1
#define LOWEST (-(double)INFINITY)
#define HIGHEST ((double)INFINITY)
#define NAME(x) f64_##x
#include "query/agg_number.inc"

static enum status f32_sum_run(KERNEL_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct float_sum *s = state;
    fsum_add_block_f32(&s->sum, b->arg[0], b->n);
    s->n += b->n;
    return OK;
}

static enum status f64_sum_run(KERNEL_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct float_sum *s = state;
    fsum_add_block(&s->sum, b->arg[0], b->n);
    s->n += b->n;
    return OK;
}

static void f64_sum_rows(void *state, const struct agg_rows *r)
{
    struct float_sum *s = state;
    fsum_add_rows(&s->sum, r->x, r->n_rows, r->stride, r->n);
    s->n += r->n_rows * r->n;
}

static void f64_sum_columns(void *states, const int32_t *g, const struct agg_rows *r)
{
    struct float_sum *s = states;
    fsum_add_columns(s, sizeof *s, g, r->x, r->n_rows, r->stride, r->n);
    for (int64_t i = 0; i < r->n; i++)
        if (g[i] >= 0) s[g[i]].n += r->n_rows;
}

/* By way of doubles, so many of so many rows at once. */
#define WIDE_ROWS 32
#define WIDE_COLS 64

static void f32_sum_columns(void *states, const int32_t *g, const struct agg_rows *r)
{
    double wide[WIDE_ROWS * WIDE_COLS];
    for (int64_t i = 0; i < r->n; i += WIDE_COLS)
        for (int64_t j = 0; j < r->n_rows; j += WIDE_ROWS) {
            struct agg_rows part = {wide, r->n_rows - j, WIDE_COLS, r->n - i};
            const float *x = (const float *)r->x + j * r->stride + i;
            if (part.n > WIDE_COLS) part.n = WIDE_COLS;
            if (part.n_rows > WIDE_ROWS) part.n_rows = WIDE_ROWS;
            for (int64_t row = 0; row < part.n_rows; row++)
                for (int64_t k = 0; k < part.n; k++)
                    wide[row * WIDE_COLS + k] = (double)x[row * r->stride + k];
            f64_sum_columns(states, g + i, &part);
        }
}

static void f32_sum_rows(void *state, const struct agg_rows *r)
{
    struct float_sum *s = state;
    for (int64_t row = 0; row < r->n_rows; row++)
        fsum_add_block_f32(&s->sum, (const float *)r->x + row * r->stride, r->n);
    s->n += r->n_rows * r->n;
}

static enum status f64_sum_spread(SPREAD_ARGS)
{
    struct float_sum *to = states;
    void *room;
    TRY(scratch_alloc(c, fsum_spread_bytes(s->n_states), &room));
    fsum_spread(to, sizeof *to, s->n_states, s->g, s->x, s->n, room);
    for (int64_t i = 0; i < s->n_states; i++)
        to[i].n += s->counts[i];
    return OK;
}

static enum status f32_sum_spread(SPREAD_ARGS)
{
    struct agg_spread wide = *s;
    void *mem;
    TRY(scratch_alloc(c, (size_t)s->n * sizeof(double) + 8, &mem));
    double *x = mem;
    for (int64_t i = 0; i < s->n; i++)
        x[i] = (double)((const float *)s->x)[i];
    wide.x = x;
    return f64_sum_spread(c, states, &wide);
}

/* ---- made elsewhere ---- */

void agg_int_sum_state(void *state, int64_t sum, int64_t n)
{
    *(struct int_sum *)state = (struct int_sum){.sum = sum, .n = n};
}

void agg_float_sum_state(void *state, const struct fsum *sum, int64_t n)
{
    *(struct float_sum *)state = (struct float_sum){.sum = *sum, .n = n};
}

void agg_extreme_state(void *state, uint64_t word, bool any, bool nan)
{
    struct extreme s = {.has = any, .nan = nan};
    memcpy(&s.v, &word, sizeof s.v);
    *(struct extreme *)state = s;
}

void agg_int_sum_of(const void *state, i128 *sum, int64_t *n)
{
    *sum = ((const struct int_sum *)state)->sum;
    *n = ((const struct int_sum *)state)->n;
}

void agg_float_sum_of(const void *state, struct fsum *sum, int64_t *n)
{
    *sum = ((const struct float_sum *)state)->sum;
    *n = ((const struct float_sum *)state)->n;
}

bool agg_extreme_of(const void *state, int64_t *word, bool *nan)
{
    const struct extreme *s = state;
    *word = s->v.i;
    *nan = s->nan;
    return s->has;
}

/* ---- merging ---- */

static void float_sum_init(const struct agg_bound *k, void *state)
{
    (void)k;
    struct float_sum *s = state;
    memset(s, 0, sizeof *s);
    fsum_init(&s->sum);
}

static enum status int_sum_merge(MERGE_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct int_sum *s = state;
    const struct int_sum *o = other;
    s->sum += o->sum;
    s->n += o->n;
    return OK;
}

static enum status float_sum_merge(MERGE_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct float_sum *s = state;
    const struct float_sum *o = other;
    if (o->n) fsum_merge(&s->sum, &o->sum);
    s->n += o->n;
    return OK;
}

static enum status int_prod_merge(MERGE_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct int_prod *s = state;
    const struct int_prod *o = other;
    s->n += o->n;
    s->negative ^= o->negative;
    s->zero |= o->zero;
    s->overflow |= o->overflow;
    if (o->magnitude) int_prod_times(s, o->magnitude);
    return OK;
}

static enum status float_prod_merge(MERGE_ARGS)
{
    (void)c, (void)k, (void)heap;
    struct float_prod *s = state;
    const struct float_prod *o = other;
    s->n += o->n;
    s->negative ^= o->negative;
    s->zero |= o->zero;
    s->inf |= o->inf;
    s->nan |= o->nan;
    if (o->mantissa != 0) float_prod_times(s, o->mantissa, o->exponent);
    return OK;
}

/* Which comes first of two extremes of the argument's type? */
static bool number_less(enum type t, union number a, union number b)
{
    if (type_is_float(t)) return a.d < b.d;
    return type_is_unsigned(t) || t == T_BOOL ? a.u < b.u : a.i < b.i;
}

static enum status extreme_merge(MERGE_ARGS)
{
    (void)c, (void)heap;
    struct extreme *s = state;
    const struct extreme *o = other;
    if (!o->has) return OK;
    enum type t = k->types[0];
    bool nan = s->nan | o->nan;
    bool better = k->agg->id == AGG_MIN ? number_less(t, o->v, s->v) : number_less(t, s->v, o->v);
    if (!s->has || better) *s = *o;
    s->nan = nan;
    return OK;
}

/* ---- whole tiles ---- */

static void int_sum_summary(const struct agg_bound *k, void *state, const struct summary *s)
{
    (void)k;
    struct int_sum *to = state;
    to->sum += s->isum;
    to->n += s->n_cells - s->n_nulls;
}

static void float_sum_summary(const struct agg_bound *k, void *state, const struct summary *s)
{
    (void)k;
    struct float_sum *to = state;
    if (s->n_cells == s->n_nulls) return;
    fsum_merge(&to->sum, &s->sum);
    to->n += s->n_cells - s->n_nulls;
}

static void extreme_summary(const struct agg_bound *k, void *state, const struct summary *s)
{
    bool min = k->agg->id == AGG_MIN;
    struct extreme tile = {.has = s->n_cells > s->n_nulls, .nan = s->n_nans > 0};
    memcpy(&tile.v, min ? (const void *)&s->min : (const void *)&s->max, sizeof tile.v);
    if (!s->has_range) tile.v.d = min ? (double)INFINITY : -(double)INFINITY;
    extreme_merge(NULL, k, NULL, state, &tile);
}

/* ---- results ---- */

static enum status out_of_range(struct ctx *c, const struct agg_bound *k)
{
    fail_at(c, ERR_OVERFLOW, k->pos, "%s out of range", type_name(k->result));
    return hint(c,
                "%s of integers is exact; cast its argument to double precision for an "
                "approximate result.",
                k->agg->name);
}

static enum status int_sum_finish(FINISH_ARGS)
{
    const struct int_sum *s = state;
    if (!s->n) {
        column_put_null(out, i);
    } else if (k->result == T_UINT64) {
        if (s->sum > (i128)UINT64_MAX) return out_of_range(c, k);
        ((uint64_t *)out->values)[i] = (uint64_t)s->sum;
    } else {
        if (s->sum > INT64_MAX || s->sum < INT64_MIN) return out_of_range(c, k);
        ((int64_t *)out->values)[i] = (int64_t)s->sum;
    }
    return OK;
}

static enum status int_avg_finish(FINISH_ARGS)
{
    (void)c, (void)k;
    const struct int_sum *s = state;
    if (s->n)
        ((double *)out->values)[i] = (double)((f128)s->sum / (f128)s->n);
    else
        column_put_null(out, i);
    return OK;
}

static enum status float_sum_finish(FINISH_ARGS)
{
    (void)c, (void)k;
    const struct float_sum *s = state;
    if (s->n)
        ((double *)out->values)[i] = fsum_value(&s->sum);
    else
        column_put_null(out, i);
    return OK;
}

static enum status float_avg_finish(FINISH_ARGS)
{
    (void)c, (void)k;
    const struct float_sum *s = state;
    if (s->n)
        ((double *)out->values)[i] = fsum_value(&s->sum) / (double)s->n;
    else
        column_put_null(out, i);
    return OK;
}

static enum status int_prod_finish(FINISH_ARGS)
{
    const struct int_prod *s = state;
    const uint64_t top = UINT64_C(1) << 63;
    if (!s->n) {
        column_put_null(out, i);
    } else if (s->zero) {
        ((int64_t *)out->values)[i] = 0;
    } else if (k->result == T_UINT64) {
        if (s->overflow) return out_of_range(c, k);
        ((uint64_t *)out->values)[i] = s->magnitude;
    } else {
        if (s->overflow || s->magnitude > (s->negative ? top : top - 1)) return out_of_range(c, k);
        ((uint64_t *)out->values)[i] = s->negative ? 0 - s->magnitude : s->magnitude;
    }
    return OK;
}

static enum status float_prod_finish(FINISH_ARGS)
{
    (void)c, (void)k;
    const struct float_prod *s = state;
    double d = s->mantissa != 0 ? (double)s->mantissa : 1;
    int64_t e = s->exponent > 9999 ? 9999 : s->exponent < -9999 ? -9999 : s->exponent;
    if (!s->n) {
        column_put_null(out, i);
        return OK;
    }
    if (s->nan || (s->inf && s->zero))
        d = NAN;
    else if (s->inf)
        d = INFINITY;
    else
        d = s->zero ? 0 : ldexp(d, (int)e);
    ((double *)out->values)[i] = s->negative && d == d ? -d : d;
    return OK;
}

static void put_number(enum type t, union number v, void *values, int64_t i)
{
    switch (t) {
    case T_FLOAT32:
        ((float *)values)[i] = (float)(v.d + 0.0);
        break;
    case T_FLOAT64:
        ((double *)values)[i] = v.d + 0.0;
        break;
    default:
        switch (type_bytes(t)) { /* little-endian: the low bytes */
        case 1:
            ((uint8_t *)values)[i] = (uint8_t)v.u;
            break;
        case 2:
            ((uint16_t *)values)[i] = (uint16_t)v.u;
            break;
        case 4:
            ((uint32_t *)values)[i] = (uint32_t)v.u;
            break;
        default:
            ((uint64_t *)values)[i] = v.u;
            break;
        }
        break;
    }
}

/* -0.0 comes out as 0.0: which of the two was met first must not show. */
static enum status extreme_finish(FINISH_ARGS)
{
    (void)c;
    const struct extreme *s = state;
    if (!s->has)
        column_put_null(out, i);
    else
        put_number(k->types[0], s->nan ? (union number){.d = (double)NAN} : s->v, out->values, i);
    return OK;
}

/* ---- tables ---- */

#define INT_OPS(type, name)                                                                        \
    [type] = {.sum = {.state_bytes = sizeof(struct int_sum),                                       \
                      .empty_is_zero = true,                                                       \
                      .run = name##_sum_run,                                                       \
                      .scatter = name##_sum_scatter,                                               \
                      .columns = name##_sum_columns,                                               \
                      .spread = name##_sum_spread,                                                 \
                      .merge = int_sum_merge,                                                      \
                      .summary = int_sum_summary,                                                  \
                      .finish = int_sum_finish},                                                   \
              .avg = {.state_bytes = sizeof(struct int_sum),                                       \
                      .empty_is_zero = true,                                                       \
                      .run = name##_sum_run,                                                       \
                      .scatter = name##_sum_scatter,                                               \
                      .columns = name##_sum_columns,                                               \
                      .spread = name##_sum_spread,                                                 \
                      .merge = int_sum_merge,                                                      \
                      .summary = int_sum_summary,                                                  \
                      .finish = int_avg_finish},                                                   \
              .prod = {.state_bytes = sizeof(struct int_prod),                                     \
                       .empty_is_zero = true,                                                      \
                       .run = name##_prod_run,                                                     \
                       .scatter = name##_prod_scatter,                                             \
                       .merge = int_prod_merge,                                                    \
                       .finish = int_prod_finish},                                                 \
              EXTREME_OPS(name)}
#define FLOAT_OPS(type, name)                                                                      \
    [type] = {.sum = {.state_bytes = sizeof(struct float_sum),                                     \
                      .init = float_sum_init,                                                      \
                      .run = name##_sum_run,                                                       \
                      .scatter = name##_sum_scatter,                                               \
                      .rows = name##_sum_rows,                                                     \
                      .columns = name##_sum_columns,                                               \
                      .planes = true,                                                              \
                      .spread = name##_sum_spread,                                                 \
                      .merge = float_sum_merge,                                                    \
                      .summary = float_sum_summary,                                                \
                      .finish = float_sum_finish},                                                 \
              .avg = {.state_bytes = sizeof(struct float_sum),                                     \
                      .init = float_sum_init,                                                      \
                      .run = name##_sum_run,                                                       \
                      .scatter = name##_sum_scatter,                                               \
                      .rows = name##_sum_rows,                                                     \
                      .columns = name##_sum_columns,                                               \
                      .planes = true,                                                              \
                      .spread = name##_sum_spread,                                                 \
                      .merge = float_sum_merge,                                                    \
                      .summary = float_sum_summary,                                                \
                      .finish = float_avg_finish},                                                 \
              .prod = {.state_bytes = sizeof(struct float_prod),                                   \
                       .empty_is_zero = true,                                                      \
                       .run = name##_prod_run,                                                     \
                       .scatter = name##_prod_scatter,                                             \
                       .merge = float_prod_merge,                                                  \
                       .finish = float_prod_finish},                                               \
              EXTREME_OPS(name)}
#define EXTREME_OPS(name)                                                                          \
    .min = {.state_bytes = sizeof(struct extreme),                                                 \
            .empty_is_zero = true,                                                                 \
            .run = name##_min_run,                                                                 \
            .scatter = name##_min_scatter,                                                         \
            .columns = name##_min_columns,                                                         \
            .merge = extreme_merge,                                                                \
            .summary = extreme_summary,                                                            \
            .finish = extreme_finish},                                                             \
    .max = {.state_bytes = sizeof(struct extreme),                                                 \
            .empty_is_zero = true,                                                                 \
            .run = name##_max_run,                                                                 \
            .scatter = name##_max_scatter,                                                         \
            .columns = name##_max_columns,                                                         \
            .merge = extreme_merge,                                                                \
            .summary = extreme_summary,                                                            \
            .finish = extreme_finish}

static const struct number_ops {
    struct agg_ops sum, avg, prod, min, max;
} number_ops[N_TYPES] = {
    INT_OPS(T_BOOL, u8),       INT_OPS(T_INT8, i8),       INT_OPS(T_INT16, i16),
    INT_OPS(T_INT32, i32),     INT_OPS(T_INT64, i64),     INT_OPS(T_UINT8, u8),
    INT_OPS(T_UINT16, u16),    INT_OPS(T_UINT32, u32),    INT_OPS(T_UINT64, u64),
    INT_OPS(T_DATE, i32),      INT_OPS(T_TIMESTAMP, i64), FLOAT_OPS(T_FLOAT32, f32),
    FLOAT_OPS(T_FLOAT64, f64),
};

const struct agg_ops *agg_number_ops(enum agg_id id, enum type t)
{
    const struct number_ops *o = &number_ops[t];
    switch (id) {
    case AGG_SUM:
        return &o->sum;
    case AGG_AVG:
        return &o->avg;
    case AGG_PROD:
        return &o->prod;
    case AGG_MIN:
        return &o->min;
    default:
        return &o->max;
    }
}
