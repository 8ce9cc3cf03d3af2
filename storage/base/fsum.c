/* What is the sum of doubles, whatever their order?
 *
 * Invariants:
 * 1. The digit of a number in a bin depends on the number alone: trunc(|x| / 2^(30 b)) mod 2^30,
 *    with the number's sign. No digit reaches 2^30 in magnitude.
 * 2. A window holds the sum of the digits of all numbers in its four bins, without carries.
 * 3. top is the bin of the largest number so far, but never below LOWEST_TOP, so that the window
 *    still reaches the smallest denormal and scaling by 2^(-30 top) never overflows. */
#include "storage/base/fsum.h"
#include "storage/base/fsum_internal.h"
#include "storage/base/fsum_kernels.h"
#include <float.h>
#include <math.h>

__extension__ typedef unsigned __int128 u128;

#define LANES FSUM_LANES
#define BLOCK_ROWS 256 /* of LANES: they and their digits' sums stay in L1 */
#define BLOCK (BLOCK_ROWS * LANES)
#define PIECE 512 /* numbers that are made before they are added */

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

/* ---- blocks: the same over rows of LANES numbers, lane by lane ---- */

/* Bins from `top` down that numbers reach of which none but 0 is smaller: 2 at least, as they have
 * 53 bits. */
static int bins_below(int32_t top, double least)
{
    int n = top - bin_of_exponent(exponent_of_bits(abs_bits(least)) - 52) + 1;
    return n < 2 ? 2 : n > FSUM_BINS ? FSUM_BINS : n;
}

/* One lane of the rows, number by number. */
static void add_lane(struct fsum *s, const struct fsum_rows *b, int lane)
{
    for (int64_t r = 0; r < b->n_rows; r++)
        for (int64_t v = 0; v < b->n_vecs; v++)
            fsum_add(s, b->x[r * b->stride + v * LANES + lane]);
}

/* All lanes into one sum; at most BLOCK numbers. */
static void add_lanes(struct fsum *s, const struct fsum_kernels *k, const struct fsum_rows *b)
{
    double most[LANES], least[LANES], largest = 0, smallest = (double)INFINITY;
    double scale[LANES], digits[FSUM_BINS * LANES], sums[FSUM_BINS] = {0};
    k->range(b, most, least);
    for (int i = 0; i < LANES; i++) {
        largest = most[i] > largest ? most[i] : largest;
        smallest = least[i] < smallest ? least[i] : smallest;
    }
    bool finite = largest <= DBL_MAX;
    int32_t top = finite && largest > 0 ? bin_of(abs_bits(largest)) : 0;
    int n = finite ? bins_below(top, smallest) : 0;
    for (int i = 0; i < LANES; i++)
        scale[i] = power_of_two(-DIGIT_BITS * top);
    if (finite) k->digits(b, scale, n, digits);
    for (int d = 0; d < n; d++)
        for (int i = 0; i < LANES; i++)
            sums[d] += digits[d * LANES + i]; /* less than 2^12 digits: exact */
    if (!finite || sums[1] != sums[1]) {
        for (int i = 0; i < LANES; i++)
            add_lane(s, b, i);
    } else if (largest > 0) {
        raise_top(s, top);
        int down = s->top - top;
        for (int d = 0; d < n && d + down < FSUM_BINS; d++)
            s->bin[d + down] += (int64_t)sums[d];
    }
}

/* Columns [0, n) of rows of LANES numbers, at most BLOCK_ROWS rows, each into its own sum. */
static void add_lane_sums(struct fsum *const *sums, int n, const struct fsum_kernels *k,
                          const struct fsum_rows *b)
{
    double most[LANES], least[LANES], scale[LANES] = {0}, digits[FSUM_BINS * LANES];
    bool taken[LANES] = {false};
    int n_bins = 2;
    k->range(b, most, least);
    for (int i = 0; i < n; i++) {
        taken[i] = sums[i] && most[i] <= DBL_MAX;
        if (taken[i] && most[i] > 0)
            raise_top(sums[i], bin_of(abs_bits(most[i])));
        else if (sums[i] && !taken[i])
            add_lane(sums[i], b, i);
    }
    for (int i = 0; i < n; i++) { /* when all are raised: some may be the same sum */
        if (!taken[i]) continue;
        int32_t top = sums[i]->top == FSUM_EMPTY ? 0 : sums[i]->top;
        int bins = bins_below(top, least[i]);
        if (bins > n_bins) n_bins = bins;
        scale[i] = power_of_two(-DIGIT_BITS * top);
    }
    k->digits(b, scale, n_bins, digits);
    for (int i = 0; i < n; i++) {
        if (!taken[i]) continue;
        bool nan = digits[LANES + i] != digits[LANES + i];
        if (nan) add_lane(sums[i], b, i);
        for (int d = 0; d < n_bins && !nan && most[i] > 0; d++)
            sums[i]->bin[d] += (int64_t)digits[d * LANES + i];
    }
}

/* The last n < LANES columns of at most BLOCK_ROWS rows, with zeros beside them. */
static void pad_rows(const double *x, int64_t n_rows, int64_t stride, int64_t n, double *out)
{
    memset(out, 0, (size_t)n_rows * LANES * sizeof *out);
    for (int64_t r = 0; r < n_rows; r++)
        memcpy(out + r * LANES, x + r * stride, (size_t)n * sizeof *x);
}

void fsum_add_rows(struct fsum *s, const double *x, int64_t n_rows, int64_t stride, int64_t n)
{
    const struct fsum_kernels *k = fsum_kernels_get();
    int64_t vecs = n / LANES, rest = n % LANES;
    if (vecs > BLOCK_ROWS) { /* rows that are blocks themselves */
        for (int64_t r = 0; r < n_rows; r++)
            fsum_add_block(s, x + r * stride, n);
        return;
    }
    int64_t most = vecs ? BLOCK_ROWS / vecs : BLOCK_ROWS;
    for (int64_t r = 0; r < n_rows; r += most) {
        const double *from = x + r * stride;
        int64_t m = n_rows - r < most ? n_rows - r : most;
        if (vecs) add_lanes(s, k, &(struct fsum_rows){from, m, stride, vecs});
        if (!rest) continue;
        double padded[BLOCK];
        pad_rows(from + vecs * LANES, m, stride, rest, padded);
        add_lanes(s, k, &(struct fsum_rows){padded, m, LANES, 1});
    }
}

void fsum_add_block(struct fsum *s, const double *x, int64_t n)
{
    int64_t i = 0;
    for (; n - i > BLOCK; i += BLOCK)
        fsum_add_rows(s, x + i, 1, 0, BLOCK);
    fsum_add_rows(s, x + i, 1, 0, n - i);
}

void fsum_add_columns(void *states, size_t state_bytes, const int32_t *g, const double *x,
                      int64_t n_rows, int64_t stride, int64_t n)
{
    const struct fsum_kernels *k = fsum_kernels_get();
    for (int64_t i = 0; i < n; i += LANES) {
        struct fsum *sums[LANES];
        int m = n - i < LANES ? (int)(n - i) : LANES;
        for (int j = 0; j < m; j++)
            sums[j] = g[i + j] < 0 ? NULL : (void *)((char *)states + g[i + j] * state_bytes);
        for (int64_t r = 0; r < n_rows; r += BLOCK_ROWS) {
            struct fsum_rows b = {x + r * stride + i, n_rows - r, stride, 1};
            double padded[BLOCK];
            if (b.n_rows > BLOCK_ROWS) b.n_rows = BLOCK_ROWS;
            if (m < LANES) {
                pad_rows(b.x, b.n_rows, stride, m, padded);
                b = (struct fsum_rows){padded, b.n_rows, LANES, 1};
            }
            add_lane_sums(sums, m, k, &b);
        }
    }
}

void fsum_add_block_f32(struct fsum *s, const float *x, int64_t n)
{
    const struct fsum_kernels *k = fsum_kernels_get();
    double wide[PIECE];
    for (int64_t done = 0; done < n; done += PIECE) {
        int64_t m = n - done < PIECE ? n - done : PIECE;
        k->widen(x + done, m, wide);
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
    const struct fsum_kernels *k = fsum_kernels_get();
    double product[PIECE], error[PIECE];
    for (int64_t done = 0; done < n; done += PIECE) {
        int m = n - done < PIECE ? (int)(n - done) : PIECE;
        k->products(x + done, y + done, m, product, error);
        fsum_add_block(s, product, m);
        fsum_add_block(s, error, m);
    }
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

/* Sums of few enough digits, far from the smallest numbers, are one integer that converts with
 * correct rounding. */
static bool quick_value(const struct fsum *s, double *out)
{
    const i128 small = (i128)1 << 60;
    if (s->top < -30 || s->bin[0] >= (i128)1 << 34 || s->bin[0] <= -((i128)1 << 34)) return false;
    i128 sum = s->bin[0];
    for (int k = 1; k < FSUM_BINS; k++) {
        if (s->bin[k] >= small || s->bin[k] <= -small) return false;
        sum = sum * (DIGIT_MASK + 1) + s->bin[k];
    }
    *out = (double)sum * power_of_two(DIGIT_BITS * (s->top - (FSUM_BINS - 1)));
    return true;
}

double fsum_value(const struct fsum *s)
{
    double quick;
    if (s->has_nan || (s->has_pinf && s->has_ninf)) return NAN;
    if (s->has_pinf || s->has_ninf) return s->has_pinf ? INFINITY : -INFINITY;
    if (s->top == FSUM_EMPTY) return 0;
    if (quick_value(s, &quick)) return quick;
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
