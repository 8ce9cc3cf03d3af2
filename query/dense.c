/* How are matrices in memory factorised by all workers? */
#include "query/dense.h"
#include "query/blas.h"
#include "storage/base/budget.h"
#include "storage/base/pool.h"
#include <cblas.h>
#include <float.h>
#include <lapacke.h>
#include <string.h>

#define BLOCK 256 /* columns */

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

static double *cell(const struct dense *m, int64_t i, int64_t k)
{
    return m->v + i + k * m->rows;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Columns of the matrix from `from` on, a block a task. */
struct columns {
    const struct dense *a; /* the factors */
    struct dense *b;       /* what is brought up to date; a itself, but for solve and q */
    int64_t k, n;          /* the block just factorised: its first column, how many */
    int64_t from;
    const int32_t *pivot;
    const double *t; /* n × n: the block's reflectors as one, I - V T Vᵀ */
    bool transposed;
};

static bool block_of(const struct columns *w, int64_t task, int64_t *first, int64_t *n)
{
    *first = w->from + task * BLOCK;
    *n = least(BLOCK, w->b->cols - *first);
    return *n > 0;
}

static enum status each_block(struct ctx *c, struct columns *w, task_fn *fn)
{
    int64_t n = (w->b->cols - w->from + BLOCK - 1) / BLOCK;
    TRY(check_cancel(c));
    return n > 0 ? pool_run(c, n, pool_width(c), fn, w) : OK;
}

/* ---- Cholesky ---- */

static enum status cholesky_update(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct columns *w = self;
    const struct dense *a = w->a;
    int64_t first, n;
    (void)c, (void)worker;
    if (!block_of(w, task, &first, &n)) return OK;
    const double *left = cell(a, first, w->k);
    cblas_dsyrk(CblasColMajor, CblasLower, CblasNoTrans, (int)n, (int)w->n, -1, left, (int)a->rows,
                1, cell(a, first, first), (int)a->rows);
    int64_t below = a->rows - first - n;
    if (below)
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasTrans, (int)below, (int)n, (int)w->n, -1,
                    cell(a, first + n, w->k), (int)a->rows, left, (int)a->rows, 1,
                    cell(a, first + n, first), (int)a->rows);
    return OK;
}

/* Rows below the block, one piece a task: X L⁻ᵀ. */
static enum status cholesky_panel(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct columns *w = self;
    int64_t first = w->k + w->n + task * BLOCK, n = least(BLOCK, w->a->rows - first);
    (void)c, (void)worker;
    if (n > 0)
        cblas_dtrsm(CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)n,
                    (int)w->n, 1, cell(w->a, w->k, w->k), (int)w->a->rows, cell(w->a, first, w->k),
                    (int)w->a->rows);
    return OK;
}

enum status dense_cholesky(struct ctx *c, struct dense *a, int64_t *at)
{
    *at = -1;
    for (int64_t k = 0; k < a->cols; k += BLOCK) {
        struct columns w = {.a = a, .b = a, .k = k, .n = least(BLOCK, a->cols - k)};
        w.from = k + w.n;
        int info =
            LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (int)w.n, cell(a, k, k), (int)a->rows);
        if (info > 0) {
            *at = k + info - 1;
            return OK;
        }
        int64_t pieces = (a->rows - w.from + BLOCK - 1) / BLOCK;
        if (pieces > 0) TRY(pool_run(c, pieces, pool_width(c), cholesky_panel, &w));
        TRY(each_block(c, &w, cholesky_update));
    }
    for (int64_t k = 1; k < a->cols; k++)
        memset(cell(a, 0, k), 0, (size_t)k * sizeof(double));
    return OK;
}

/* ---- LU ---- */

/* Swaps the rows as the block was, then U = L⁻¹ A above and A - L U below. */
static enum status lu_update(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct columns *w = self;
    const struct dense *a = w->a, *b = w->b;
    int64_t first, n, below = a->rows - w->k - w->n;
    (void)c, (void)worker;
    if (!block_of(w, task, &first, &n)) return OK;
    LAPACKE_dlaswp_work(LAPACK_COL_MAJOR, (int)n, cell(b, 0, first), (int)b->rows, (int)w->k + 1,
                        (int)(w->k + w->n), w->pivot, 1);
    cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, (int)w->n, (int)n, 1,
                cell(a, w->k, w->k), (int)a->rows, cell(b, w->k, first), (int)b->rows);
    if (below > 0)
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, (int)below, (int)n, (int)w->n, -1,
                    cell(a, w->k + w->n, w->k), (int)a->rows, cell(b, w->k, first), (int)b->rows, 1,
                    cell(b, w->k + w->n, first), (int)b->rows);
    return OK;
}

enum status dense_lu(struct ctx *c, struct dense *a, int32_t *pivot, int64_t *at)
{
    int64_t steps = least(a->rows, a->cols);
    *at = -1;
    for (int64_t k = 0; k < steps; k += BLOCK) {
        struct columns w = {.a = a, .b = a, .k = k, .n = least(BLOCK, steps - k), .pivot = pivot};
        w.from = k + w.n;
        int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, (int)(a->rows - k), (int)w.n,
                                       cell(a, k, k), (int)a->rows, pivot + k);
        if (info > 0 && *at < 0) *at = k + info - 1;
        for (int64_t i = k; i < k + w.n; i++)
            pivot[i] += (int32_t)k; /* from 1, as LAPACK counts */
        if (k)
            LAPACKE_dlaswp_work(LAPACK_COL_MAJOR, (int)k, a->v, (int)a->rows, (int)k + 1,
                                (int)(k + w.n), pivot, 1);
        TRY(each_block(c, &w, lu_update));
    }
    return OK;
}

static enum status lu_solve_block(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct columns *w = self;
    int64_t first, n;
    (void)worker;
    if (!block_of(w, task, &first, &n)) return OK;
    TRY(check_cancel(c));
    LAPACKE_dgetrs_work(LAPACK_COL_MAJOR, 'N', (int)w->a->rows, (int)n, w->a->v, (int)w->a->rows,
                        w->pivot, cell(w->b, 0, first), (int)w->b->rows);
    return OK;
}

enum status dense_lu_solve(struct ctx *c, const struct dense *lu, const int32_t *pivot,
                           struct dense *b)
{
    struct columns w = {.a = lu, .b = b, .pivot = pivot};
    return lu->rows ? each_block(c, &w, lu_solve_block) : OK;
}

/* ---- QR ---- */

static enum status apply_block(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct columns *w = self;
    const struct dense *a = w->a, *b = w->b;
    int64_t first, n;
    void *work;
    (void)worker;
    if (!block_of(w, task, &first, &n)) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, (size_t)(n * w->n) * sizeof(double), &work));
    LAPACKE_dlarfb_work(LAPACK_COL_MAJOR, 'L', w->transposed ? 'T' : 'N', 'F', 'C',
                        (int)(a->rows - w->k), (int)n, (int)w->n, cell(a, w->k, w->k), (int)a->rows,
                        w->t, (int)w->n, cell(b, w->k, first), (int)b->rows, work, (int)n);
    scratch_release(c->scratch, mark);
    return OK;
}

/* The block's T, and then the block to all columns of b from `from` on. */
static enum status apply_reflectors(struct ctx *c, const struct dense *a, const double *tau,
                                    struct columns *w)
{
    void *memory;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_zeroed(c, (size_t)(w->n * w->n) * sizeof(double), &memory));
    LAPACKE_dlarft_work(LAPACK_COL_MAJOR, 'F', 'C', (int)(a->rows - w->k), (int)w->n,
                        cell(a, w->k, w->k), (int)a->rows, tau + w->k, memory, (int)w->n);
    w->t = memory;
    enum status st = each_block(c, w, apply_block);
    scratch_release(c->scratch, mark);
    return st;
}

enum status dense_qr(struct ctx *c, struct dense *a, double *tau)
{
    int64_t steps = least(a->rows, a->cols);
    void *work;
    TRY(scratch_alloc(c, BLOCK * BLOCK * sizeof(double), &work));
    for (int64_t k = 0; k < steps; k += BLOCK) {
        struct columns w = {
            .a = a, .b = a, .k = k, .n = least(BLOCK, steps - k), .transposed = true};
        w.from = k + w.n;
        LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, (int)(a->rows - k), (int)w.n, cell(a, k, k),
                            (int)a->rows, tau + k, work, BLOCK * BLOCK);
        if (w.from < a->cols) TRY(apply_reflectors(c, a, tau, &w));
    }
    return OK;
}

enum status dense_qr_q(struct ctx *c, const struct dense *qr, const double *tau, struct dense *q)
{
    int64_t steps = least(qr->rows, qr->cols);
    for (int64_t k = 0; k < q->cols; k++)
        *cell(q, k, k) = 1;
    for (int64_t k = (steps - 1) / BLOCK * BLOCK; k >= 0 && steps; k -= BLOCK) {
        struct columns w = {.a = qr, .b = q, .k = k, .n = least(BLOCK, steps - k)};
        TRY(apply_reflectors(c, qr, tau, &w));
    }
    return OK;
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

enum status dense_lstsq(struct ctx *c, struct dense *a, struct dense *b, int64_t *at)
{
    int m = (int)a->rows, n = (int)a->cols, k = (int)b->cols, ld = (int)b->rows, rank, info, iasked;
    double asked, tiny = DBL_EPSILON * (m > n ? m : n); /* as NumPy's */
    void *work, *iwork, *s;
    *at = -1;
    if (m == 0 || n == 0 || k == 0) return OK;
    TRY(buf_alloc(c, sizeof(double) * (size_t)(m < n ? m : n), &s));
    LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, m, n, k, a->v, m, b->v, ld, s, tiny, &rank, &asked, -1,
                        &iasked);
    enum status st = work_of(c, asked + iasked, &work);
    if (st == OK) {
        iwork = (double *)work + (int64_t)asked;
        info = LAPACKE_dgelsd_work(LAPACK_COL_MAJOR, m, n, k, a->v, m, b->v, ld, s, tiny, &rank, work,
                                   (int)asked, iwork);
        if (info > 0) *at = 0;
        buf_free(work);
    }
    buf_free(s);
    return st;
}
