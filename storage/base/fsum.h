/* Reproducible sums: the same bits in any order of additions, grouping, tile shape, thread count or
 * memory limit.
 *
 * A sum is held in bins of 30 bits on one absolute grid of exponents. A double is split exactly
 * into the digits that fall into four neighbouring bins (truncated toward zero, so the digits
 * depend on the number alone); each bin is a 128-bit integer count of its digits, and no carry ever
 * passes between bins, so additions commute. When a larger number arrives the window moves up and
 * the lowest bins are dropped whole; which digits survive depends only on the largest number of
 * all. The window spans 120 bits, of which at least 91 lie below the largest number's leading bit.
 * After Demmel & Nguyen, "Parallel Reproducible Summation", IEEE Trans. Comput. 64 (2015), with
 * integer bins in place of floating ones. */
#ifndef TESSERA_FSUM_H
#define TESSERA_FSUM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 i128;
__extension__ typedef __float128 f128;

#define FSUM_BINS 4
#define FSUM_EMPTY INT32_MIN

struct fsum {
    i128 bin[FSUM_BINS]; /* bin[k] counts units of 2^(30 × (top - k)) */
    int32_t top;         /* exponent bin of bin[0]; FSUM_EMPTY: nothing but zeros was added */
    uint8_t has_nan, has_pinf, has_ninf;
};

void fsum_init(struct fsum *s);
void fsum_add(struct fsum *s, double x);
/* n values, all of them. */
void fsum_add_block(struct fsum *s, const double *x, int64_t n);
/* n_rows rows of n values each, `stride` values apart. */
void fsum_add_rows(struct fsum *s, const double *x, int64_t n_rows, int64_t stride, int64_t n);
/* The same, but column i is added to the sum that starts the state number g[i] of those at states,
 * state_bytes apart; negative: left out. */
void fsum_add_columns(void *states, size_t state_bytes, const int32_t *g, const double *x,
                      int64_t n_rows, int64_t stride, int64_t n);
/* Number i is added to the sum that starts the state number g[i] of n_states; negative: left out.
 * For several numbers a state. room: fsum_spread_bytes(). */
void fsum_spread(void *states, size_t state_bytes, int64_t n_states, const int32_t *g,
                 const double *x, int64_t n, void *room);
size_t fsum_spread_bytes(int64_t n_states);
void fsum_add_block_f32(struct fsum *s, const float *x, int64_t n);
/* x² (and x × y) exactly: the rounded product and its error are both added. */
void fsum_add_product(struct fsum *s, double x, double y);
void fsum_add_product_block(struct fsum *s, const double *x, const double *y, int64_t n);
void fsum_merge(struct fsum *s, const struct fsum *other);
double fsum_value(const struct fsum *s);
/* 113 bits, for differences of sums (variance, covariance). Call only when no has_… is set. */
f128 fsum_wide(const struct fsum *s);

#endif
