/* Products of matrices in memory. blas.c is the only file that knows OpenBLAS. */
#ifndef TESSERA_BLAS_H
#define TESSERA_BLAS_H
#include "storage/base/types.h"
#include <stdbool.h>

/* Element (i, k) is values[i × row_stride + k × col_stride]; one of the strides is 1. */
struct matrix {
    const void *values;
    int64_t rows, cols, row_stride, col_stride;
};

/* OpenBLAS itself runs on one thread: the pool's workers are as many as the processors. */
void blas_on_one_thread(void);
/* The kernels in use, "SkylakeX"; and whether the processor has faster ones. */
const char *blas_kernel(void);
bool blas_kernel_is_slow(void);
/* c += a b, c being row-major with rows c_stride apart. t: T_FLOAT32 or T_FLOAT64, of all three.
 * vector: a has one row or b one column in the whole product, of which this is a part, and that
 * goes faster by GEMV. The same c for the same rows of a and columns of b, whatever their number.
 */
void blas_add_product(enum type t, const struct matrix *a, const struct matrix *b, bool vector,
                      void *c, int64_t c_stride);
/* The diagonal and what is above it of c += bᵀ b. */
void blas_add_gram(enum type t, const struct matrix *b, void *c, int64_t c_stride);

#endif
