/* What does LAPACK make of a matrix in memory? */
#include "query/dense.h"
#include "query/blas.h"
#include "storage/base/budget.h"
#include <float.h>
#include <lapacke.h>
#include <string.h>

enum status dense_new(struct ctx *c, int64_t rows, int64_t cols, struct dense *out)
{
    void *v;
    *out = (struct dense){0};
    if (rows > INT32_MAX || cols > INT32_MAX)
        return fail(c, ERR_LIMIT_EXCEEDED, "a matrix of %lld × %lld is too large", (long long)rows,
                    (long long)cols);
    TRY(buf_alloc(c, (size_t)(rows * cols) * sizeof(double) + sizeof(double), &v));
    memset(v, 0, (size_t)(rows * cols) * sizeof(double));
    *out = (struct dense){rows, cols, v};
    blas_on_one_thread();
    return OK;
}

void dense_free(struct dense *m)
{
    buf_free(m->v);
    m->v = NULL;
}

enum status dense_copy(struct ctx *c, const struct dense *m, struct dense *out)
{
    TRY(dense_new(c, m->rows, m->cols, out));
    memcpy(out->v, m->v, (size_t)(m->rows * m->cols) * sizeof(double));
    return OK;
}

struct blocked dense_blocks(const struct dense *m)
{
    return (struct blocked){.rows = m->rows,
                            .cols = m->cols,
                            .block_rows = m->rows ? m->rows : 1,
                            .block_cols = m->cols ? m->cols : 1,
                            .v = m->v};
}

/* ---- by LAPACK alone ---- */

/* Room for LAPACK's own work, as it asks for it. */
static enum status work_of(struct ctx *c, double asked, void **out)
{
    return buf_alloc(c, (size_t)(asked + 1) * sizeof(double), out);
}

enum status dense_svd(struct ctx *c, struct dense *a, struct dense *u, double *s, struct dense *vt,
                      int64_t *at)
{
    int m = (int)a->rows, n = (int)a->cols, k = m < n ? m : n, info;
    double asked;
    void *work, *iwork;
    *at = -1;
    if (k == 0) return OK;
    TRY(buf_alloc(c, sizeof(int) * 8 * (size_t)k, &iwork));
    LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, a->v, m, s, u->v, m, vt->v, k, &asked, -1,
                        iwork);
    enum status st = work_of(c, asked, &work);
    if (st == OK) {
        info = LAPACKE_dgesdd_work(LAPACK_COL_MAJOR, 'S', m, n, a->v, m, s, u->v, m, vt->v, k, work,
                                   (int)asked, iwork);
        if (info > 0) *at = 0;
        buf_free(work);
    }
    buf_free(iwork);
    return st;
}

enum status dense_eigh(struct ctx *c, struct dense *a, double *w, int64_t *at)
{
    int n = (int)a->rows, info, iasked;
    double asked;
    void *work, *iwork;
    *at = -1;
    if (n == 0) return OK;
    LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a->v, n, w, &asked, -1, &iasked, -1);
    TRY(work_of(c, asked, &work));
    enum status st = buf_alloc(c, sizeof(int) * (size_t)iasked, &iwork);
    if (st == OK) {
        info = LAPACKE_dsyevd_work(LAPACK_COL_MAJOR, 'V', 'L', n, a->v, n, w, work, (int)asked,
                                   iwork, iasked);
        if (info > 0) *at = 0;
        buf_free(iwork);
    }
    buf_free(work);
    return st;
}

enum status dense_lstsq(struct ctx *c, struct dense *a, int64_t of, struct dense *b, int64_t *at)
{
    int m = (int)a->rows, n = (int)a->cols, k = (int)b->cols, ld = (int)b->rows, rank, info, iasked;
    double asked, tiny = DBL_EPSILON * (double)(of > n ? of : n); /* as NumPy's */
    void *work, *iwork, *s;
    *at = -1;
    if (m == 0 || n == 0 || k == 0) return OK;
    TRY(buf_alloc(c, sizeof(double) * (size_t)(m < n ? m : n), &s));
    LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, m, n, k, a->v, m, b->v, ld, s, tiny, &rank, &asked, -1,
                        &iasked);
    enum status st = work_of(c, asked + iasked, &work);
    if (st == OK) {
        iwork = (double *)work + (int64_t)asked;
        info = LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, m, n, k, a->v, m, b->v, ld, s, tiny, &rank,
                                   work, (int)asked, iwork);
        if (info > 0) *at = 0;
        buf_free(work);
    }
    buf_free(s);
    return st;
}
