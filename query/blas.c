/* Which routine of OpenBLAS multiplies two matrices?
 *
 * Workers of the pool each multiply panels of their own, so OpenBLAS itself runs on one thread. */
#include "query/blas.h"
#include <cblas.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void single_thread(void)
{
    openblas_set_num_threads(1);
}

/* The matrix as BLAS is told of it: row-major with `stride`, or the transpose of such. */
struct told {
    CBLAS_TRANSPOSE trans;
    blasint stride;
};

static struct told tell(const struct matrix *m)
{
    bool by_rows = m->col_stride == 1;
    int64_t stride = by_rows ? m->row_stride : m->col_stride, least = by_rows ? m->cols : m->rows;
    if (stride < least) stride = least; /* of a single row */
    return (struct told){by_rows ? CblasNoTrans : CblasTrans, (blasint)stride};
}

/* y += m x; x and y with strides. */
static void add_by_vector(enum type t, const struct matrix *m, bool transposed, const void *x,
                          int64_t x_stride, void *y, int64_t y_stride)
{
    struct told a = tell(m);
    bool by_rows = a.trans == CblasNoTrans;
    blasint rows = (blasint)(by_rows ? m->rows : m->cols);
    blasint cols = (blasint)(by_rows ? m->cols : m->rows);
    CBLAS_TRANSPOSE trans = by_rows != transposed ? CblasNoTrans : CblasTrans;
    if (t == T_FLOAT32)
        cblas_sgemv(CblasRowMajor, trans, rows, cols, 1, m->values, a.stride, x, (blasint)x_stride,
                    1, y, (blasint)y_stride);
    else
        cblas_dgemv(CblasRowMajor, trans, rows, cols, 1, m->values, a.stride, x, (blasint)x_stride,
                    1, y, (blasint)y_stride);
}

void blas_on_one_thread(void)
{
    pthread_once(&once, single_thread);
}

const char *blas_kernel(void)
{
    return openblas_get_corename();
}

bool blas_kernel_is_slow(void)
{
    return __builtin_cpu_supports("avx512f") && !strcmp(blas_kernel(), "Haswell");
}

void blas_add_product(enum type t, const struct matrix *a, const struct matrix *b, bool vector,
                      void *c, int64_t c_stride)
{
    blas_on_one_thread();
    if (a->rows == 0 || b->cols == 0 || a->cols == 0) return;
    if (vector && b->cols == 1) {
        add_by_vector(t, a, false, b->values, b->row_stride, c, c_stride);
        return;
    }
    if (vector && a->rows == 1) {
        add_by_vector(t, b, true, a->values, a->col_stride, c, 1);
        return;
    }
    struct told x = tell(a), y = tell(b);
    blasint m = (blasint)a->rows, n = (blasint)b->cols, k = (blasint)a->cols;
    if (t == T_FLOAT32)
        cblas_sgemm(CblasRowMajor, x.trans, y.trans, m, n, k, 1, a->values, x.stride, b->values,
                    y.stride, 1, c, (blasint)c_stride);
    else
        cblas_dgemm(CblasRowMajor, x.trans, y.trans, m, n, k, 1, a->values, x.stride, b->values,
                    y.stride, 1, c, (blasint)c_stride);
}

void blas_add_gram(enum type t, const struct matrix *b, void *c, int64_t c_stride)
{
    blas_on_one_thread();
    if (b->rows == 0 || b->cols == 0) return;
    struct told a = tell(b);
    CBLAS_TRANSPOSE trans = a.trans == CblasNoTrans ? CblasTrans : CblasNoTrans;
    blasint n = (blasint)b->cols, k = (blasint)b->rows;
    if (t == T_FLOAT32)
        cblas_ssyrk(CblasRowMajor, CblasUpper, trans, n, k, 1, b->values, a.stride, 1, c,
                    (blasint)c_stride);
    else
        cblas_dsyrk(CblasRowMajor, CblasUpper, trans, n, k, 1, b->values, a.stride, 1, c,
                    (blasint)c_stride);
}
