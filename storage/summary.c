/* What is known of a set of cells: counts, range and reproducible sums; and how two such sets join.
 */
#include "storage/summary.h"
#include <assert.h>
#include <string.h>

#define BLOCK 1024

#define T int8_t
#define NAME(x) x##_i8
#define KEY int64_t
#define FIELD i
#include "storage/summary_kernel.inc"
#define T int16_t
#define NAME(x) x##_i16
#define KEY int64_t
#define FIELD i
#include "storage/summary_kernel.inc"
#define T int32_t
#define NAME(x) x##_i32
#define KEY int64_t
#define FIELD i
#include "storage/summary_kernel.inc"
#define T int64_t
#define NAME(x) x##_i64
#define KEY int64_t
#define FIELD i
#include "storage/summary_kernel.inc"
#define T uint8_t
#define NAME(x) x##_u8
#define KEY uint64_t
#define FIELD u
#include "storage/summary_kernel.inc"
#define T uint16_t
#define NAME(x) x##_u16
#define KEY uint64_t
#define FIELD u
#include "storage/summary_kernel.inc"
#define T uint32_t
#define NAME(x) x##_u32
#define KEY uint64_t
#define FIELD u
#include "storage/summary_kernel.inc"
#define T uint64_t
#define NAME(x) x##_u64
#define KEY uint64_t
#define FIELD u
#include "storage/summary_kernel.inc"

/* NaNs fail every comparison and so leave the range alone. Four lanes keep the comparisons of one
 * value from waiting for the last one's. -0.0 counts as 0.0. */
static void float_range(struct summary *s, const double *v, int n)
{
    double lo[4], hi[4];
    int n_nans = 0;
    for (int k = 0; k < 4; k++) {
        lo[k] = __builtin_inf();
        hi[k] = -__builtin_inf();
    }
    for (int i = 0; i < n; i++) {
        double x = v[i];
        int k = i & 3;
        lo[k] = x < lo[k] ? x : lo[k];
        hi[k] = x > hi[k] ? x : hi[k];
        n_nans += x != x;
    }
    s->n_nans += n_nans;
    if (n_nans == n) return;
    for (int k = 1; k < 4; k++) {
        lo[0] = lo[k] < lo[0] ? lo[k] : lo[0];
        hi[0] = hi[k] > hi[0] ? hi[k] : hi[0];
    }
    if (!s->has_range || lo[0] < s->min.d) s->min.d = lo[0] + 0.0;
    if (!s->has_range || hi[0] > s->max.d) s->max.d = hi[0] + 0.0;
    s->has_range = true;
}

static void block_f64(struct summary *s, const double *v, int n)
{
    float_range(s, v, n);
    fsum_add_block(&s->sum, v, n);
    fsum_add_product_block(&s->sum2, v, v, n);
}

static void block_f32(struct summary *s, const float *v, int n)
{
    double wide[BLOCK];
    for (int i = 0; i < n; i++)
        wide[i] = (double)v[i];
    float_range(s, wide, n);
    fsum_add_block_f32(&s->sum, v, n);
    fsum_add_product_block(&s->sum2, wide, wide, n);
}

static bool has_values(enum type t)
{
    return t == T_BOOL || type_is_numeric(t) || type_is_time(t);
}

static bool sums(enum type t)
{
    return t == T_BOOL || type_is_numeric(t);
}

/* n ≥ 1 values, none of them NULL. */
static void add_block(struct summary *s, enum type t, const void *v, int n)
{
    switch (t) {
    case T_INT8:
        block_i8(s, v, n, true);
        break;
    case T_INT16:
        block_i16(s, v, n, true);
        break;
    case T_INT32:
        block_i32(s, v, n, true);
        break;
    case T_DATE:
        block_i32(s, v, n, false);
        break;
    case T_INT64:
        block_i64(s, v, n, true);
        break;
    case T_TIMESTAMP:
        block_i64(s, v, n, false);
        break;
    case T_BOOL: /* a byte, 0 or 1: i and u agree */
    case T_UINT8:
        block_u8(s, v, n, true);
        break;
    case T_UINT16:
        block_u16(s, v, n, true);
        break;
    case T_UINT32:
        block_u32(s, v, n, true);
        break;
    case T_UINT64:
        block_u64(s, v, n, true);
        break;
    case T_FLOAT32:
        block_f32(s, v, n);
        break;
    case T_FLOAT64:
        block_f64(s, v, n);
        break;
    default:
        assert(!"no values to summarise");
    }
}

/* Whether all values are one, as far as range and counts tell. */
static bool is_constant(const struct summary *s, enum type t)
{
    if (!has_values(t)) return s->n_cells == s->n_nulls;
    if (!s->has_range) return true;
    if (s->n_nans) return false;
    if (type_is_float(t)) return s->min.d == s->max.d;
    return s->min.u == s->max.u;
}

void summary_init(struct summary *s)
{
    memset(s, 0, sizeof *s);
    s->constant = true;
    fsum_init(&s->sum);
    fsum_init(&s->sum2);
}

/* Gathers the values of a block whose mask bit is set; returns their number. */
static int gather(void *dst, const uint8_t *src, const uint64_t *mask, int n, size_t width)
{
    uint8_t *d = dst;
    for (int w = 0; w * 64 < n; w++)
        for (uint64_t m = mask[w]; m; m &= m - 1, d += width) {
            const uint8_t *from = src + (size_t)(w * 64 + __builtin_ctzll(m)) * width;
            switch (width) {
            case 8:
                memcpy(d, from, 8);
                break;
            case 4:
                memcpy(d, from, 4);
                break;
            default:
                memcpy(d, from, width);
            }
        }
    return (int)((size_t)(d - (uint8_t *)dst) / width);
}

void summary_add(struct summary *s, const struct column *col, const uint64_t *present, int64_t n)
{
    bool valued = has_values(col->type);
    size_t width = valued ? type_bytes(col->type) : 0;
    if (n > 0 && (!s->n_cells || s->has_sum)) s->has_sum = sums(col->type);
    for (int64_t at = 0; at < n; at += BLOCK) {
        int len = n - at < BLOCK ? (int)(n - at) : BLOCK;
        uint64_t mask[BLOCK / 64], gathered[BLOCK];
        int n_cells = 0, n_values = 0;
        for (int w = 0; w * 64 < len; w++) {
            uint64_t m = len - w * 64 >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << (len - w * 64)) - 1;
            if (present) m &= present[at / 64 + w];
            n_cells += __builtin_popcountll(m);
            if (col->valid) m &= col->valid[at / 64 + w];
            n_values += __builtin_popcountll(m);
            mask[w] = m;
        }
        s->n_cells += n_cells;
        s->n_nulls += n_cells - n_values;
        if (!valued || !n_values) continue;
        const uint8_t *v = (const uint8_t *)col->values + (size_t)at * width;
        if (n_values == len)
            add_block(s, col->type, v, len);
        else
            add_block(s, col->type, gathered, gather(gathered, v, mask, len, width));
    }
    s->constant = is_constant(s, col->type);
}

static void merge_range(struct summary *s, enum type t, const struct summary *o)
{
    if (!o->has_range) return;
    if (!s->has_range) {
        s->min = o->min;
        s->max = o->max;
    } else if (type_is_float(t)) {
        if (o->min.d < s->min.d) s->min = o->min;
        if (o->max.d > s->max.d) s->max = o->max;
    } else if (type_is_unsigned(t)) {
        if (o->min.u < s->min.u) s->min = o->min;
        if (o->max.u > s->max.u) s->max = o->max;
    } else {
        if (o->min.i < s->min.i) s->min = o->min;
        if (o->max.i > s->max.i) s->max = o->max;
    }
    s->has_range = true;
}

void summary_merge(struct summary *s, enum type t, const struct summary *o)
{
    if (!o->n_cells) return;
    s->has_sum = o->has_sum && (!s->n_cells || s->has_sum);
    s->n_cells += o->n_cells;
    s->n_nulls += o->n_nulls;
    s->n_nans += o->n_nans;
    merge_range(s, t, o);
    if (s->has_sum) {
        s->isum += o->isum;
        fsum_merge(&s->sum, &o->sum);
        fsum_merge(&s->sum2, &o->sum2);
    }
    s->constant = s->constant && o->constant && is_constant(s, t);
}
