/* What is the sum of doubles, whatever their order?
 *
 * Invariants:
 * 1. The digit of a number in a bin depends on the number alone: trunc(|x| / 2^(30 b)) mod 2^30,
 *    with the number's sign. No digit reaches 2^30 in magnitude.
 * 2. A window holds the sum of the digits of all numbers in its four bins, without carries.
 * 3. top is the bin of the largest number so far, but never below LOWEST_TOP, so that the window
 *    still reaches the smallest denormal and scaling by 2^(-30 top) never overflows. */
#include "storage/base/fsum.h"
#include <math.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

#define DIGIT_BITS 30
#define LOWEST_TOP (-33)
#define DIGIT_MASK ((1 << DIGIT_BITS) - 1)
#define ABS_MASK INT64_C(0x7fffffffffffffff)
#define INF_BITS INT64_C(0x7ff0000000000000)
#define BLOCK                                                                                      \
    512 /* numbers whose digits are added up before they go into the bins: few enough not to       \
           overflow */
#define LANES 8 /* kernels run over multiples of this */

static int64_t abs_bits(double x)
{
    int64_t bits;
    memcpy(&bits, &x, 8);
    return bits & ABS_MASK;
}

/* The bin of a finite number that is not 0. */
static int32_t bin_of(int64_t bits)
{
    int exponent = (int)(bits >> 52) - 1023; /* denormals: too low by some, below the clamp */
    int bin = exponent >= 0 ? exponent / DIGIT_BITS : -((DIGIT_BITS - 1 - exponent) / DIGIT_BITS);
    return bin < LOWEST_TOP ? LOWEST_TOP : bin;
}

static double power_of_two(int exponent)
{
    int64_t bits = (int64_t)(exponent + 1023) << 52;
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

void fsum_init(struct fsum *s)
{
    memset(s, 0, sizeof *s);
    s->top = FSUM_EMPTY;
}

/* Moves the window up; what leaves it at the low end is dropped whole. */
static void raise_top(struct fsum *s, int32_t top)
{
    if (s->top == FSUM_EMPTY) s->top = top;
    if (top <= s->top) return;
    int32_t up = top - s->top;
    for (int k = FSUM_BINS - 1; k >= 0; k--)
        s->bin[k] = k >= up ? s->bin[k - up] : 0;
    s->top = top;
}

static void flag(struct fsum *s, double x)
{
    if (isnan(x))
        s->has_nan = 1;
    else if (x > 0)
        s->has_pinf = 1;
    else
        s->has_ninf = 1;
}

void fsum_add(struct fsum *s, double x)
{
    int64_t bits = abs_bits(x);
    if (bits == 0) return;
    if (bits >= INF_BITS) {
        flag(s, x);
        return;
    }
    raise_top(s, bin_of(bits));
    double y = x * power_of_two(-DIGIT_BITS * s->top);
    for (int k = 0; k < FSUM_BINS; k++) {
        int32_t digit = (int32_t)y;
        s->bin[k] += digit;
        y = (y - digit) * 0x1p30;
    }
}

/* ---- blocks: the same over up to BLOCK numbers at once, a multiple of LANES, stamped per
 * instruction set ---- */

#define INLINE static inline __attribute__((always_inline))

INLINE int64_t largest_inline(const double *restrict x, int n)
{
    int64_t most = 0;
    for (int i = 0; i < (n & -LANES); i++) {
        int64_t bits;
        memcpy(&bits, x + i, 8);
        bits &= ABS_MASK;
        most = bits > most ? bits : most;
    }
    return most;
}

INLINE void digits_inline(const double *restrict x, int n, double scale, int64_t *restrict out)
{
    int64_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int i = 0; i < (n & -LANES); i++) {
        double y = x[i] * scale;
        int32_t d0 = (int32_t)y;
        y = (y - d0) * 0x1p30;
        int32_t d1 = (int32_t)y;
        y = (y - d1) * 0x1p30;
        int32_t d2 = (int32_t)y;
        y = (y - d2) * 0x1p30;
        s0 += d0;
        s1 += d1;
        s2 += d2;
        s3 += (int32_t)y;
    }
    out[0] = s0;
    out[1] = s1;
    out[2] = s2;
    out[3] = s3;
}

INLINE void products_inline(const double *restrict x, const double *restrict y,
                            double *restrict product, double *restrict error)
{
    for (int i = 0; i < BLOCK; i++) {
        double p = x[i] * y[i];
        product[i] = p;
        error[i] = __builtin_fma(x[i], y[i], -p);
    }
}

struct kernels {
    int64_t (*largest)(const double *x, int n);
    void (*digits)(const double *x, int n, double scale, int64_t *out);
    void (*products)(const double *x, const double *y, double *product, double *error);
};

#define STAMP(isa, TARGET)                                                                         \
    TARGET static int64_t largest_##isa(const double *x, int n)                                    \
    {                                                                                              \
        return largest_inline(x, n);                                                               \
    }                                                                                              \
    TARGET static void digits_##isa(const double *x, int n, double scale, int64_t *out)            \
    {                                                                                              \
        digits_inline(x, n, scale, out);                                                           \
    }                                                                                              \
    TARGET static void products_##isa(const double *x, const double *y, double *product,           \
                                      double *error)                                               \
    {                                                                                              \
        products_inline(x, y, product, error);                                                     \
    }                                                                                              \
    static const struct kernels isa##_kernels = {largest_##isa, digits_##isa, products_##isa};

STAMP(base, )
#if defined(__x86_64__)
STAMP(avx2, __attribute__((target("avx2,fma"))))
STAMP(avx512,
      __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512"))))
#endif

static const struct kernels *kernels(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw"))
        return &avx512_kernels;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2_kernels;
#endif
    return &base_kernels;
}

static void add_whole_block(struct fsum *s, const struct kernels *k, const double *x, int n)
{
    int64_t most = k->largest(x, n), digits[FSUM_BINS];
    if (most == 0) return;
    if (most >= INF_BITS) {
        for (int i = 0; i < n; i++)
            fsum_add(s, x[i]);
        return;
    }
    raise_top(s, bin_of(most));
    k->digits(x, n, power_of_two(-DIGIT_BITS * s->top), digits);
    for (int b = 0; b < FSUM_BINS; b++)
        s->bin[b] += digits[b];
}

/* Fewer than BLOCK numbers; what is past the last whole LANES is filled up with zeros. */
static void add_part_block(struct fsum *s, const struct kernels *k, const double *x, int n)
{
    int whole = n & -LANES;
    if (whole) add_whole_block(s, k, x, whole);
    if (whole == n) return;
    double padded[LANES] = {0};
    memcpy(padded, x + whole, (size_t)(n - whole) * sizeof *x);
    add_whole_block(s, k, padded, LANES);
}

void fsum_add_block(struct fsum *s, const double *x, int64_t n)
{
    const struct kernels *k = kernels();
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK)
        add_whole_block(s, k, x + i, BLOCK);
    if (i < n) add_part_block(s, k, x + i, (int)(n - i));
}

void fsum_add_block_f32(struct fsum *s, const float *x, int64_t n)
{
    double wide[BLOCK];
    for (int64_t done = 0; done < n; done += BLOCK) {
        int64_t m = n - done < BLOCK ? n - done : BLOCK;
        for (int64_t i = 0; i < m; i++)
            wide[i] = (double)x[done + i];
        fsum_add_block(s, wide, m);
    }
}

void fsum_add_product(struct fsum *s, double x, double y)
{
    double product = x * y;
    fsum_add(s, product);
    if (isfinite(product)) fsum_add(s, fma(x, y, -product));
}

void fsum_add_product_block(struct fsum *s, const double *x, const double *y, int64_t n)
{
    const struct kernels *k = kernels();
    double product[BLOCK], error[BLOCK];
    int64_t done = 0;
    for (; done + BLOCK <= n; done += BLOCK) {
        k->products(x + done, y + done, product, error);
        if (k->largest(product, BLOCK) < INF_BITS) {
            add_whole_block(s, k, product, BLOCK);
            add_whole_block(s, k, error, BLOCK);
            continue;
        }
        for (int64_t i = done; i < done + BLOCK; i++)
            fsum_add_product(s, x[i], y[i]);
    }
    for (; done < n; done++)
        fsum_add_product(s, x[done], y[done]);
}

void fsum_merge(struct fsum *s, const struct fsum *other)
{
    s->has_nan |= other->has_nan;
    s->has_pinf |= other->has_pinf;
    s->has_ninf |= other->has_ninf;
    if (other->top == FSUM_EMPTY) return;
    raise_top(s, other->top);
    int32_t down = s->top - other->top;
    for (int k = 0; k + down < FSUM_BINS; k++)
        s->bin[k + down] += other->bin[k];
}

/* ---- results ---- */

/* The window as one integer: (-1)^negative × (hi × 2^128 + lo) × 2^exponent. */
struct total {
    bool negative;
    u128 hi, lo;
    int exponent;
};

static struct total total_of(const struct fsum *s)
{
    i128 bin[FSUM_BINS];
    memcpy(bin, s->bin, sizeof bin);
    struct total t = {.exponent = DIGIT_BITS * (s->top - (FSUM_BINS - 1))};
    for (int pass = 0; pass < 2; pass++) {
        for (int k = FSUM_BINS - 1; k > 0; k--) {
            i128 digit = bin[k] & DIGIT_MASK;
            bin[k - 1] += (bin[k] - digit) / (DIGIT_MASK + 1);
            bin[k] = digit;
        }
        if (bin[0] >= 0) break;
        t.negative = true; /* the digits below bin[0] cannot make up for it: negate, once more */
        for (int k = 0; k < FSUM_BINS; k++)
            bin[k] = -bin[k];
    }
    u128 low = (u128)bin[1] << 60 | (u128)bin[2] << 30 | (u128)bin[3];
    t.hi = (u128)bin[0] >> 38;
    t.lo = (u128)bin[0] << 90 | low;
    return t;
}

static int leading_bit(u128 x)
{
    uint64_t high = (uint64_t)(x >> 64);
    return high ? 127 - __builtin_clzll(high) : 63 - __builtin_clzll((uint64_t)x);
}

/* floor(total / 2^drop) for a result below 2^64; *rest: 0 nothing was cut, 1 less than half a unit,
 * 2 half, 3 more. drop is from 1 to 191. */
static uint64_t shift_down(const struct total *t, int drop, int *rest)
{
    int at = drop - 1;
    u128 half = at < 128 ? t->lo >> at & 1 : t->hi >> (at - 128) & 1;
    bool below = at < 128 ? (t->lo & (((u128)1 << at) - 1)) != 0
                          : t->lo != 0 || (t->hi & (((u128)1 << (at - 128)) - 1)) != 0;
    *rest = (half ? 2 : 0) + (below ? 1 : 0);
    if (drop >= 128) return (uint64_t)(t->hi >> (drop - 128));
    return (uint64_t)(t->lo >> drop | t->hi << (128 - drop));
}

double fsum_value(const struct fsum *s)
{
    if (s->has_nan || (s->has_pinf && s->has_ninf)) return NAN;
    if (s->has_pinf || s->has_ninf) return s->has_pinf ? INFINITY : -INFINITY;
    if (s->top == FSUM_EMPTY) return 0;
    struct total t = total_of(s);
    if (t.hi == 0 && t.lo == 0) return 0;
    int leading = t.hi ? 128 + leading_bit(t.hi) : leading_bit(t.lo);
    int unit = leading + t.exponent - 52; /* exponent of the result's last bit */
    if (unit < -1074) unit = -1074;
    int drop = unit - t.exponent, rest = 0;
    uint64_t mant;
    if (drop > 0) {
        mant = shift_down(&t, drop, &rest);
        if (rest == 3 || (rest == 2 && (mant & 1))) mant++;
    } else {
        mant = (uint64_t)t.lo;
        unit = t.exponent;
    }
    double magnitude = ldexp((double)mant, unit);
    return t.negative ? -magnitude : magnitude;
}

f128 fsum_wide(const struct fsum *s)
{
    if (s->top == FSUM_EMPTY) return 0;
    struct total t = total_of(s);
    f128 x = (f128)t.hi * 0x1p64 * 0x1p64 + (f128)t.lo;
    /* A double holds neither 2^-1080 nor its inverse: scale in two steps. */
    int half = t.exponent / 2;
    x = x * (f128)power_of_two(half) * (f128)power_of_two(t.exponent - half);
    return t.negative ? -x : x;
}
