/* Which loops do sums and extremes of windows run? */
#include "query/op_window_kernels.h"
#include "storage/base/isa.h"
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define LANES 8
#define LOW_MASK ((INT64_C(1) << LOW_BITS) - 1)
#define ABS_MASK INT64_C(0x7fffffffffffffff)

typedef int64_t lanes __attribute__((vector_size(8 * LANES)));

INLINE int64_t bits_of(double x)
{
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE double double_of(int64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE int64_t largest_inline(const double *x, int64_t n, int64_t most)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t bits = bits_of(x[i]) & ABS_MASK;
        most = bits > most ? bits : most;
    }
    return most;
}

INLINE bool enter_inline(const double *restrict x, int64_t n, double scale, int64_t *restrict hi,
                         int64_t *restrict lo)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = x[i] * scale;
        int64_t p = (int64_t)y;
        double z = (y - (double)p) * 0x1p43;
        int64_t q = (int64_t)z;
        hi[i] += p;
        lo[i] += q;
        bad |= bits_of(z - (double)q);
    }
    return (bad & ABS_MASK) == 0;
}

INLINE bool move_inline(const double *restrict x, const double *restrict out, int64_t n,
                        double scale, int64_t *restrict hi, int64_t *restrict lo)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        double y = x[i] * scale, y2 = out[i] * scale;
        int64_t p = (int64_t)y, p2 = (int64_t)y2;
        double z = (y - (double)p) * 0x1p43, z2 = (y2 - (double)p2) * 0x1p43;
        int64_t q = (int64_t)z, q2 = (int64_t)z2;
        hi[i] += p - p2;
        lo[i] += q - q2;
        bad |= bits_of(z - (double)q) | bits_of(z2 - (double)q2);
    }
    return (bad & ABS_MASK) == 0;
}

INLINE void add_inline(int64_t *restrict to, const int64_t *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += x[i];
}

INLINE void subtract_inline(int64_t *restrict to, const int64_t *restrict x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] -= x[i];
}

/* to may be x, and y may lie some words behind it. */
INLINE void larger_inline(int64_t *to, const int64_t *x, const int64_t *y, int64_t n)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++)
        to[i] = x[i] > y[i] ? x[i] : y[i];
}

/* Eight at a time: each word takes those one, two, four places before it. */
INLINE void sums_inline(const int64_t *restrict x, int64_t n, int64_t *restrict sums)
{
    const lanes zero = {0};
    lanes before = zero, v;
    int64_t i = 0;
    *sums++ = 0;
    for (; i + LANES <= n; i += LANES) {
        memcpy(&v, x + i, sizeof v);
        v += __builtin_shufflevector(zero, v, 7, 8, 9, 10, 11, 12, 13, 14);
        v += __builtin_shufflevector(zero, v, 6, 7, 8, 9, 10, 11, 12, 13);
        v += __builtin_shufflevector(zero, v, 4, 5, 6, 7, 8, 9, 10, 11);
        lanes out = v + before;
        memcpy(sums + i, &out, sizeof out);
        before += __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7);
    }
    for (; i < n; i++)
        sums[i] = sums[i - 1] + x[i];
}

INLINE void differences_inline(const int64_t *sums, const struct window_run *r,
                               int64_t *restrict out)
{
    const int64_t *lo = sums + r->lo, *hi = sums + r->hi;
    if (r->lo_step == 1 && r->hi_step == 1)
        for (int64_t i = 0; i < r->n; i++)
            out[i] = hi[i] - lo[i];
    else if (r->lo_step == 0 && r->hi_step == 1)
        for (int64_t i = 0; i < r->n; i++)
            out[i] = hi[i] - lo[0];
    else
        for (int64_t i = 0; i < r->n; i++)
            out[i] = hi[i * r->hi_step] - lo[i * r->lo_step];
}

/* What hi's conversion rounds away goes to lo, which then converts exactly: one rounding is left.
 */
INLINE void numbers_inline(const int64_t *restrict hi, const int64_t *restrict lo, int64_t n,
                           double unit, double *restrict out)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t h = hi[i] + (lo[i] >> LOW_BITS);
        double high = (double)h;
        int64_t rest = h - (int64_t)high;
        double low = (double)((int64_t)((uint64_t)rest << LOW_BITS) + (lo[i] & LOW_MASK));
        out[i] = __builtin_fma(high, 0x1p43, low) * unit;
    }
}

INLINE void divide_inline(double *restrict x, const double *restrict by, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        x[i] /= by[i];
}

/* out may be x. */
INLINE void keys_inline(const double *x, int64_t n, int64_t flip, int64_t *out)
{
#pragma GCC ivdep
    for (int64_t i = 0; i < n; i++) {
        int64_t bits = bits_of(x[i]);
        int64_t key = (bits ^ (bits >> 63 & ABS_MASK)) ^ flip;
        out[i] = (bits & ABS_MASK) > INT64_C(0x7ff0000000000000) ? INT64_MAX : key;
    }
}

INLINE void values_inline(const int64_t *restrict keys, int64_t n, int64_t flip,
                          double *restrict out)
{
    const int64_t nan = bits_of((double)NAN);
    for (int64_t i = 0; i < n; i++) {
        int64_t key = keys[i] ^ flip, bits = key ^ (key >> 63 & ABS_MASK);
        out[i] = double_of(keys[i] == INT64_MAX ? nan : bits);
    }
}

INLINE void exchange_inline(int64_t *rows, int64_t stride, int64_t n, const uint8_t (*pairs)[2],
                            int n_pairs)
{
    for (int p = 0; p < n_pairs; p++) {
        int64_t *restrict x = rows + pairs[p][0] * stride, *restrict y =
                                                               rows + pairs[p][1] * stride;
        for (int64_t i = 0; i < n; i++) {
            int64_t a = x[i], b = y[i];
            x[i] = a < b ? a : b;
            y[i] = a < b ? b : a;
        }
    }
}

#define STAMP(isa, TARGET)                                                                         \
    TARGET static int64_t largest_##isa(const double *x, int64_t n, int64_t most)                  \
    {                                                                                              \
        return largest_inline(x, n, most);                                                         \
    }                                                                                              \
    TARGET static bool enter_##isa(const double *x, int64_t n, double scale, int64_t *hi,          \
                                   int64_t *lo)                                                    \
    {                                                                                              \
        return enter_inline(x, n, scale, hi, lo);                                                  \
    }                                                                                              \
    TARGET static bool move_##isa(const double *x, const double *y, int64_t n, double scale,       \
                                  int64_t *hi, int64_t *lo)                                        \
    {                                                                                              \
        return move_inline(x, y, n, scale, hi, lo);                                                \
    }                                                                                              \
    TARGET static void add_##isa(int64_t *to, const int64_t *x, int64_t n)                         \
    {                                                                                              \
        add_inline(to, x, n);                                                                      \
    }                                                                                              \
    TARGET static void subtract_##isa(int64_t *to, const int64_t *x, int64_t n)                    \
    {                                                                                              \
        subtract_inline(to, x, n);                                                                 \
    }                                                                                              \
    TARGET static void larger_##isa(int64_t *to, const int64_t *x, const int64_t *y, int64_t n)    \
    {                                                                                              \
        larger_inline(to, x, y, n);                                                                \
    }                                                                                              \
    TARGET static void sums_##isa(const int64_t *x, int64_t n, int64_t *sums)                      \
    {                                                                                              \
        sums_inline(x, n, sums);                                                                   \
    }                                                                                              \
    TARGET static void differences_##isa(const int64_t *sums, const struct window_run *r,          \
                                         int64_t *out)                                             \
    {                                                                                              \
        differences_inline(sums, r, out);                                                          \
    }                                                                                              \
    TARGET static void numbers_##isa(const int64_t *hi, const int64_t *lo, int64_t n, double unit, \
                                     double *out)                                                  \
    {                                                                                              \
        numbers_inline(hi, lo, n, unit, out);                                                      \
    }                                                                                              \
    TARGET static void divide_##isa(double *x, const double *by, int64_t n)                        \
    {                                                                                              \
        divide_inline(x, by, n);                                                                   \
    }                                                                                              \
    TARGET static void keys_##isa(const double *x, int64_t n, int64_t flip, int64_t *out)          \
    {                                                                                              \
        keys_inline(x, n, flip, out);                                                              \
    }                                                                                              \
    TARGET static void values_##isa(const int64_t *keys, int64_t n, int64_t flip, double *out)     \
    {                                                                                              \
        values_inline(keys, n, flip, out);                                                         \
    }                                                                                              \
    TARGET static void exchange_##isa(int64_t *rows, int64_t stride, int64_t n,                    \
                                      const uint8_t(*pairs)[2], int n_pairs)                       \
    {                                                                                              \
        exchange_inline(rows, stride, n, pairs, n_pairs);                                          \
    }                                                                                              \
    static const struct window_kernels isa##_kernels = {                                           \
        largest_##isa, enter_##isa,  move_##isa,        add_##isa,     subtract_##isa,             \
        larger_##isa,  sums_##isa,   differences_##isa, numbers_##isa, divide_##isa,               \
        keys_##isa,    values_##isa, exchange_##isa};

STAMP(base, )
#if defined(__x86_64__)
STAMP(avx2, TARGET_AVX2)
STAMP(avx512, TARGET_AVX512)
#endif

const struct window_kernels *window_kernels(void)
{
#if defined(__x86_64__)
    if (isa_get() == ISA_AVX512) return &avx512_kernels;
    if (isa_get() == ISA_AVX2) return &avx2_kernels;
#endif
    return &base_kernels;
}
