/* How are numbers added to many sums at once, each to the one that it is told?
 *
 * Eight numbers are taken apart at a time into the digits of fsum.c, each on the scale of its own
 * sum. Digits are added up in 64 bits beside the sums and go into them at the end, or before a
 * sum's window moves up. */
#include "storage/base/fsum.h"
#include "storage/base/fsum_internal.h"
#include "storage/base/isa.h"
#include <assert.h>

#define LANES 8
#define BLOCK 64
#define MOST (INT64_C(1) << 33) /* numbers: the sums of their digits stay below 2^63 */
#define INLINE static inline __attribute__((always_inline))

typedef double lanes __attribute__((vector_size(8 * LANES)));
typedef int64_t lanes_int __attribute__((vector_size(8 * LANES)));
typedef int32_t lanes_half __attribute__((vector_size(4 * LANES)));
typedef void digits_fn(const lanes *y, lanes_int *digits);
typedef int64_t quad __attribute__((vector_size(8 * FSUM_BINS), aligned(8)));

/* Of one sum: numbers whose magnitude has bits below `limit` have their digits in its window. */
struct side {
    int64_t digits[FSUM_BINS], limit;
    double scale;
};
struct spread {
    char *states;
    size_t state_bytes;
    struct side *sides; /* one a sum, then one for numbers that go nowhere */
    int64_t n;
};

size_t fsum_spread_bytes(int64_t n_states)
{
    return ((size_t)n_states + 1) * sizeof(struct side);
}

static struct fsum *sum_of(const struct spread *s, int64_t i)
{
    return (struct fsum *)(void *)(s->states + (size_t)i * s->state_bytes);
}

static int64_t bits_of_power(int exponent)
{
    return exponent > 1023 ? INF_BITS : (int64_t)(exponent + 1023) << 52;
}

static void side_set(struct side *side, const struct fsum *sum)
{
    bool none = sum->top == FSUM_EMPTY;
    int64_t scale = none ? 0 : bits_of_power(-DIGIT_BITS * sum->top);
    side->limit = none ? 1 : bits_of_power(DIGIT_BITS * (sum->top + 1)); /* 1: for zeros alone */
    memcpy(&side->scale, &scale, 8);
}

static void side_flush(struct side *side, struct fsum *sum)
{
    for (int k = 0; k < FSUM_BINS; k++)
        sum->bin[k] += side->digits[k];
    memset(side->digits, 0, sizeof side->digits);
}

/* Numbers of which some moves a window, or is not finite. */
static __attribute__((noinline)) void add_slowly(const struct spread *s, const int32_t *g,
                                                 const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (g[i] < 0) continue;
        struct fsum *sum = sum_of(s, g[i]);
        side_flush(&s->sides[g[i]], sum);
        fsum_add(sum, x[i]);
        side_set(&s->sides[g[i]], sum);
    }
}

/* digits[k]: of each lane's number, that is below 1 in magnitude when scaled by 2^-30. */
INLINE void digits_by_halves(const lanes *scaled, lanes_int *digits)
{
    lanes y = *scaled;
    for (int k = 0; k < FSUM_BINS; k++) {
        lanes_half d = __builtin_convertvector(y, lanes_half);
        y = (y - __builtin_convertvector(d, lanes)) * 0x1p30;
        digits[k] = __builtin_convertvector(d, lanes_int);
    }
}

/* The same where doubles convert to 64-bit integers at once: two digits at a time. */
INLINE void digits_by_pairs(const lanes *scaled, lanes_int *digits)
{
    lanes y = *scaled * 0x1p30;
    for (int k = 0; k < FSUM_BINS; k += 2) {
        lanes_int p = __builtin_convertvector(y, lanes_int);
        y = (y - __builtin_convertvector(p, lanes)) * 0x1p60;
        digits[k] = (p + (p >> 63 & DIGIT_MASK)) >> DIGIT_BITS;
        digits[k + 1] = p - (digits[k] << DIGIT_BITS);
    }
}

/* Lane by lane: its four digits to the side's. */
INLINE void add_digits(struct side *const *to, const lanes_int *d)
{
    lanes_int even = __builtin_shufflevector(d[0], d[1], 0, 8, 2, 10, 4, 12, 6, 14);
    lanes_int odd = __builtin_shufflevector(d[0], d[1], 1, 9, 3, 11, 5, 13, 7, 15);
    lanes_int even2 = __builtin_shufflevector(d[2], d[3], 0, 8, 2, 10, 4, 12, 6, 14);
    lanes_int odd2 = __builtin_shufflevector(d[2], d[3], 1, 9, 3, 11, 5, 13, 7, 15);
    quad of[LANES];
#define QUADS(lo, hi, a, b)                                                                        \
    do {                                                                                           \
        of[lo] = __builtin_shufflevector(a, b, 0, 1, 8, 9);                                        \
        of[lo + 2] = __builtin_shufflevector(a, b, 2, 3, 10, 11);                                  \
        of[hi] = __builtin_shufflevector(a, b, 4, 5, 12, 13);                                      \
        of[hi + 2] = __builtin_shufflevector(a, b, 6, 7, 14, 15);                                  \
    } while (0)
    QUADS(0, 4, even, even2);
    QUADS(1, 5, odd, odd2);
#undef QUADS
    for (int i = 0; i < LANES; i++) {
        quad sum;
        memcpy(&sum, to[i]->digits, sizeof sum);
        sum += of[i];
        memcpy(to[i]->digits, &sum, sizeof sum);
    }
}

/* LANES numbers; scale NULL: each its side's own. */
INLINE void spread_lanes(const struct spread *s, const int32_t *g, const double *x,
                         const double *scale, digits_fn *digits_of)
{
    struct side *to[LANES];
    double own[LANES];
    lanes v, by;
    lanes_int d[FSUM_BINS];
    for (int i = 0; i < LANES; i++) {
        to[i] = &s->sides[g[i] < 0 ? s->n : g[i]];
        if (!scale) own[i] = to[i]->scale;
    }
    memcpy(&v, x, sizeof v);
    memcpy(&by, scale ? scale : own, sizeof by);
    v *= by;
    digits_of(&v, d);
    add_digits(to, d);
}

/* Are all of the numbers in their sides' windows? */
INLINE bool all_inside(const struct spread *s, const int32_t *g, const double *x, int n)
{
    int64_t below = -1;
    for (int i = 0; i < n; i++) {
        int64_t bits;
        memcpy(&bits, x + i, 8);
        below &= (bits & ABS_MASK) - s->sides[g[i] < 0 ? s->n : g[i]].limit;
    }
    return below < 0;
}

INLINE bool all_below(const double *x, int n, int64_t limit)
{
    int64_t below = -1;
    for (int i = 0; i < n; i++) {
        int64_t bits;
        memcpy(&bits, x + i, 8);
        below &= (bits & ABS_MASK) - limit;
    }
    return below < 0;
}

/* The limit of all sums, if they have one window, and its scale; else 0. */
static int64_t common_limit(const struct spread *s, double *scale)
{
    for (int64_t i = 1; i < s->n; i++)
        if (s->sides[i].limit != s->sides[0].limit) return 0;
    for (int i = 0; i < LANES; i++)
        scale[i] = s->sides[0].scale;
    return s->sides[0].limit;
}

INLINE void spread_inline(const struct spread *s, const int32_t *g, const double *x, int64_t n,
                          digits_fn *digits_of)
{
    double scale[LANES];
    int64_t i = 0, limit = common_limit(s, scale);
    for (; i + BLOCK <= n; i += BLOCK) {
        if (limit && all_below(x + i, BLOCK, limit)) {
            for (int k = 0; k < BLOCK; k += LANES)
                spread_lanes(s, g + i + k, x + i + k, scale, digits_of);
            continue;
        }
        for (int k = 0; k < BLOCK; k += LANES)
            if (all_inside(s, g + i + k, x + i + k, LANES))
                spread_lanes(s, g + i + k, x + i + k, NULL, digits_of);
            else
                add_slowly(s, g + i + k, x + i + k, LANES);
        if (limit) limit = common_limit(s, scale);
    }
    add_slowly(s, g + i, x + i, n - i);
}

#define STAMP(isa, TARGET, DIGITS)                                                                 \
    TARGET static void spread_##isa(const struct spread *s, const int32_t *g, const double *x,     \
                                    int64_t n)                                                     \
    {                                                                                              \
        spread_inline(s, g, x, n, DIGITS);                                                         \
    }

STAMP(base, , digits_by_halves)
#if defined(__x86_64__)
STAMP(avx2, TARGET_AVX2, digits_by_halves)
STAMP(avx512, TARGET_AVX512, digits_by_pairs)
#endif

static void spread_all(const struct spread *s, const int32_t *g, const double *x, int64_t n)
{
#if defined(__x86_64__)
    if (isa_get() != ISA_BASELINE) {
        (isa_get() == ISA_AVX512 ? spread_avx512 : spread_avx2)(s, g, x, n);
        return;
    }
#endif
    spread_base(s, g, x, n);
}

void fsum_spread(void *states, size_t state_bytes, int64_t n_states, const int32_t *g,
                 const double *x, int64_t n, void *room)
{
    struct spread s = {states, state_bytes, room, n_states};
    memset(s.sides, 0, fsum_spread_bytes(n_states));
    for (int64_t i = 0; i < n_states; i++)
        side_set(&s.sides[i], sum_of(&s, i));
    assert(n < MOST);
    spread_all(&s, g, x, n);
    for (int64_t i = 0; i < n_states; i++)
        side_flush(&s.sides[i], sum_of(&s, i));
}
