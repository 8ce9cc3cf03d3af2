/* The loops of fsum.c: over rows of LANES numbers, lane by lane, stamped per instruction set with
 * the same digits from each. */
#ifndef TESSERA_FSUM_KERNELS_H
#define TESSERA_FSUM_KERNELS_H
#include <stdbool.h>
#include <stdint.h>

#define FSUM_LANES 8 /* numbers that kernels take at once */

/* n_rows rows, `stride` apart, of n_vecs × FSUM_LANES numbers. */
struct fsum_rows {
    const double *x;
    int64_t n_rows, stride, n_vecs;
};

/* Sums of numbers in two parts, both exact: x is hi + lo units, hi a whole number below
 * 2^FSUM_HIGH in magnitude, lo below 1 and a multiple of 2^-FSUM_LOW; of at most FSUM_MOST numbers.
 * That holds if `most` is small enough, and not `bad`. A sum of which some number is NaN is NaN. */
#define FSUM_HIGH 41
#define FSUM_LOW 43
#define FSUM_MOST 1024
struct fsum_parts {
    double scale; /* units in 1: a power of two */
    bool f32;     /* numbers are floats */
    double *hi, *lo;
    double most; /* the largest |x|; NaNs are passed over */
    bool bad;    /* some number is no multiple of the last bit's unit */
};

struct fsum_kernels {
    /* Each lane's largest |x|, and the number just below its smallest |x| but 0 (infinity: there is
     * none). NaNs are passed over. */
    void (*range)(const struct fsum_rows *b, double *most, double *least);
    /* Each lane's sums of digits, bin by bin of n_bins (2 … 4). scale: each lane's 1 / the first
     * bin's unit, where its numbers are below 2^30. With less than 4 bins, no number may reach
     * below the last one; with 4, what does is cut off. The second of the sums of a lane with NaN
     * or infinity is NaN. */
    void (*digits)(const struct fsum_rows *b, const double *scale, int n_bins, double *out);
    /* Products and their errors; where a product is not finite, its error is 0. */
    void (*products)(const double *x, const double *y, int64_t n, double *product, double *error);
    void (*widen)(const float *x, int64_t n, double *out);
    /* Each column's sums in two parts; n_vecs doesn't matter, and n may be any. */
    void (*columns)(const struct fsum_rows *b, int64_t n, struct fsum_parts *out);
    /* The same of each row; n is at least FSUM_LANES. */
    void (*lines)(const struct fsum_rows *b, int64_t n, struct fsum_parts *out);
    /* Adds n such sums to integers: the first bin's unit is 1 / scale of hi's, and those of the
     * others are 2^30 of one another. NULL: nothing reaches that bin. */
    void (*fold)(const struct fsum_parts *parts, int64_t at, int64_t n, double scale,
                 int64_t *const bins[4]);
};

const struct fsum_kernels *fsum_kernels_get(void);

#endif
