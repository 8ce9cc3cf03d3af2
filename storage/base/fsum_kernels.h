/* The loops of fsum.c: over rows of LANES numbers, lane by lane, stamped per instruction set with
 * the same digits from each. */
#ifndef TESSERA_FSUM_KERNELS_H
#define TESSERA_FSUM_KERNELS_H
#include <stdint.h>

#define FSUM_LANES 8 /* numbers that kernels take at once */

/* n_rows rows, `stride` apart, of n_vecs × FSUM_LANES numbers. */
struct fsum_rows {
    const double *x;
    int64_t n_rows, stride, n_vecs;
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
};

const struct fsum_kernels *fsum_kernels_get(void);

#endif
