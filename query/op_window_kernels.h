/* Loops over rows of words that windows of cells are made of, built for each instruction set.
 *
 * Fixed point: a double is hi × 2^LOW_BITS + lo units, both integers with the number's sign, if it
 * is a multiple of the unit and not too large. Sums of such words are exact, so they can be taken
 * back, and are rounded once, at the end. */
#ifndef TESSERA_OP_WINDOW_KERNELS_H
#define TESSERA_OP_WINDOW_KERNELS_H
#include <stdbool.h>
#include <stdint.h>

#define LOW_BITS 43

/* Windows beside one another: the i-th of n is [lo + i × lo_step, hi + i × hi_step). */
struct window_run {
    int64_t at, n, lo, hi, lo_step, hi_step;
};

struct window_kernels {
    /* The largest of most and the numbers' bits without their signs. */
    int64_t (*largest)(const double *x, int64_t n, int64_t most);
    /* Adds numbers as words; scale: units of hi in 1. False: some is no multiple of the unit. */
    bool (*enter)(const double *x, int64_t n, double scale, int64_t *hi, int64_t *lo);
    /* Adds x and takes y away. */
    bool (*move)(const double *x, const double *y, int64_t n, double scale, int64_t *hi,
                 int64_t *lo);
    void (*add)(int64_t *to, const int64_t *x, int64_t n);
    void (*subtract)(int64_t *to, const int64_t *x, int64_t n);
    void (*larger)(int64_t *to, const int64_t *x, const int64_t *y, int64_t n);
    /* sums[i] = x[0] + … + x[i - 1], for i from 0 to n. */
    void (*sums)(const int64_t *x, int64_t n, int64_t *sums);
    void (*differences)(const int64_t *sums, const struct window_run *r, int64_t *out);
    /* Fixed point to numbers; unit: of lo. */
    void (*numbers)(const int64_t *hi, const int64_t *lo, int64_t n, double unit, double *out);
    void (*divide)(double *x, const double *by, int64_t n);
    /* Words in the order of numbers, by which NaN is the largest (flip -1: the order reversed, NaN
     * the largest still), and back. */
    void (*keys)(const double *x, int64_t n, int64_t flip, int64_t *out);
    void (*values)(const int64_t *keys, int64_t n, int64_t flip, double *out);
    /* Of each pair of rows, `stride` words apart, the smaller of n words to the first, the larger
     * to the second. */
    void (*exchange)(int64_t *rows, int64_t stride, int64_t n, const uint8_t (*pairs)[2],
                     int n_pairs);
};
const struct window_kernels *window_kernels(void);

#endif
