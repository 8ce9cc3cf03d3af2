/* How is a block of columns factorised, and others brought up to date with it? panel.c, tsqr.c and
 * dense.c are the only files that know LAPACK. */
#include "query/panel.h"
#include "storage/base/budget.h"
#include <cblas.h>
#include <lapacke.h>
#include <string.h>

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

size_t panel_side(int64_t panel_cols, int64_t target_cols)
{
    return (size_t)(panel_cols * target_cols) * sizeof(double);
}

int sweep_passes(enum sweep sweep)
{
    return sweep == SWEEP_L || sweep == SWEEP_U || sweep == SWEEP_CHOLESKY ? 1 : 2;
}

bool sweep_is_upward(enum sweep s)
{
    return s == SWEEP_U || s == SWEEP_Q || s == SWEEP_Q_UNIT;
}

/* Unit vectors of columns before the panel's have nothing where it works. */
bool sweep_reaches(const struct panel *p, enum sweep s, int64_t first, int64_t n)
{
    return s != SWEEP_Q_UNIT || first + n > p->first;
}

void sweep_rows(const struct panel *p, enum sweep s, int64_t *lo, int64_t *hi)
{
    *lo = s == SWEEP_U ? 0 : p->first;
    *hi = s == SWEEP_U ? p->first + p->n : p->f->a->rows;
}

/* ---- bringing up to date ---- */

/* target[rows lo … hi) -= panel[those rows] × right, a piece at a time. */
static void subtract(const struct panel *p, const struct target *t, int64_t lo, int64_t hi,
                     CBLAS_TRANSPOSE trans, const double *right, int64_t right_step)
{
    for (int64_t at = lo, end; at < hi; at = end) {
        end = least((at / PIECE_ROWS + 1) * PIECE_ROWS, hi);
        cblas_dgemm(CblasColMajor, CblasNoTrans, trans, (int)(end - at), (int)t->n, (int)p->n, -1,
                    p->v + at - p->lo, (int)p->step, right, (int)right_step, 1, t->v + at,
                    (int)t->step);
    }
}

/* The rows are swapped as the panel's were, then U = L⁻¹ A at its diagonal, A - L U below. */
static void apply_l(const struct panel *p, const struct target *t)
{
    double *top = t->v + p->first;
    if (p->lo <= p->first) {
        LAPACKE_dlaswp_work(LAPACK_COL_MAJOR, (int)t->n, t->v, (int)t->step, (int)p->first + 1,
                            (int)(p->first + p->n), p->f->pivot, 1);
        cblas_dtrsm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, (int)p->n,
                    (int)t->n, 1, p->v + p->first - p->lo, (int)p->step, top, (int)t->step);
    }
    subtract(p, t, most(p->lo, p->first + p->n), p->hi, CblasNoTrans, top, t->step);
}

/* X = U⁻¹ B at the diagonal, B - U X above. */
static void apply_u(const struct panel *p, const struct target *t)
{
    double *at = t->v + p->first;
    if (p->hi > p->first)
        cblas_dtrsm(CblasColMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, (int)p->n,
                    (int)t->n, 1, p->v + p->first - p->lo, (int)p->step, at, (int)t->step);
    subtract(p, t, p->lo, least(p->hi, p->first), CblasNoTrans, at, t->step);
}

/* A - L Lᵀ, from the target's diagonal down. */
static void apply_cholesky(const struct panel *p, const struct target *t)
{
    if (p->lo <= t->first && t->first < p->hi)
        LAPACKE_dlacpy_work(LAPACK_COL_MAJOR, 'A', (int)t->n, (int)p->n, p->v + t->first - p->lo,
                            (int)p->step, t->side, (int)t->n);
    subtract(p, t, most(p->lo, t->first), p->hi, CblasTrans, t->side, t->n);
}

/* side = Vᵀ B; the top of V is a unit triangle. */
static void reflectors_times(const struct panel *p, const struct target *t)
{
    if (p->lo <= p->first) {
        LAPACKE_dlacpy_work(LAPACK_COL_MAJOR, 'A', (int)p->n, (int)t->n, t->v + p->first,
                            (int)t->step, t->side, (int)p->n);
        cblas_dtrmm(CblasColMajor, CblasLeft, CblasLower, CblasTrans, CblasUnit, (int)p->n,
                    (int)t->n, 1, p->v + p->first - p->lo, (int)p->step, t->side, (int)p->n);
    }
    for (int64_t at = most(p->lo, p->first + p->n), end; at < p->hi; at = end) {
        end = least((at / PIECE_ROWS + 1) * PIECE_ROWS, p->hi);
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)p->n, (int)t->n, (int)(end - at),
                    1, p->v + at - p->lo, (int)p->step, t->v + at, (int)t->step, 1, t->side,
                    (int)p->n);
    }
}

/* B - V (T side), with Tᵀ for Qᵀ. */
static enum status subtract_reflections(struct ctx *c, const struct panel *p, enum sweep s,
                                        const struct target *t)
{
    if (p->lo <= p->first) {
        void *memory;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(scratch_alloc(c, panel_side(p->n, t->n), &memory));
        double *top = memory;
        cblas_dtrmm(CblasColMajor, CblasLeft, CblasUpper, s == SWEEP_QT ? CblasTrans : CblasNoTrans,
                    CblasNonUnit, (int)p->n, (int)t->n, 1, p->t, (int)p->t_step, t->side,
                    (int)p->n);
        memcpy(top, t->side, panel_side(p->n, t->n));
        cblas_dtrmm(CblasColMajor, CblasLeft, CblasLower, CblasNoTrans, CblasUnit, (int)p->n,
                    (int)t->n, 1, p->v + p->first - p->lo, (int)p->step, top, (int)p->n);
        for (int64_t k = 0; k < t->n; k++)
            for (int64_t i = 0; i < p->n; i++)
                t->v[p->first + i + k * t->step] -= top[i + k * p->n];
        scratch_release(c->scratch, mark);
    }
    subtract(p, t, most(p->lo, p->first + p->n), p->hi, CblasNoTrans, t->side, p->n);
    return OK;
}

enum status panel_apply(struct ctx *c, const struct panel *p, enum sweep s, int pass,
                        struct target *t)
{
    TRY(check_cancel(c));
    if (s == SWEEP_CHOLESKY)
        apply_cholesky(p, t);
    else if (s == SWEEP_L)
        apply_l(p, t);
    else if (s == SWEEP_U)
        apply_u(p, t);
    else if (pass == 0)
        reflectors_times(p, t);
    else
        return subtract_reflections(c, p, s, t);
    return OK;
}

/* ---- factorising ---- */

static void factor_cholesky(struct factor *f, int64_t first, int64_t n, double *v, int64_t step)
{
    double *top = v + first;
    int info = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (int)n, top, (int)step);
    if (info > 0) {
        f->bad = first + info - 1;
        return;
    }
    for (int64_t at = first + n, end; at < f->a->rows; at = end) {
        end = least((at / PIECE_ROWS + 1) * PIECE_ROWS, f->a->rows);
        cblas_dtrsm(CblasColMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit,
                    (int)(end - at), (int)n, 1, top, (int)step, v + at, (int)step);
    }
}

static void factor_lu(struct factor *f, int64_t first, int64_t n, double *v, int64_t step)
{
    int info = LAPACKE_dgetrf_work(LAPACK_COL_MAJOR, (int)(f->a->rows - first), (int)n, v + first,
                                   (int)step, f->pivot + first);
    if (info > 0 && f->bad < 0) f->bad = first + info - 1;
    for (int64_t i = first; i < first + n; i++)
        f->pivot[i] += (int32_t)first;
}

enum status panel_factor(struct ctx *c, struct factor *f, int64_t first, int64_t n, double *v,
                         int64_t step, double *t, int64_t t_step)
{
    static const enum sweep own[] = {SWEEP_CHOLESKY, SWEEP_L, SWEEP_QT};
    int64_t panel = least(n, f->steps - first);
    if (panel <= 0) return OK;
    TRY(check_cancel(c));
    if (f->kind == FACTOR_CHOLESKY)
        factor_cholesky(f, first, panel, v, step);
    else if (f->kind == FACTOR_LU)
        factor_lu(f, first, panel, v, step);
    else
        LAPACKE_dgeqrt3_work(LAPACK_COL_MAJOR, (int)(f->a->rows - first), (int)panel, v + first,
                             (int)step, t, (int)t_step);
    if (panel == n) return OK;
    void *side;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, panel_side(panel, n - panel), &side));
    struct panel p = {.f = f,
                      .first = first,
                      .n = panel,
                      .v = v,
                      .lo = 0,
                      .hi = f->a->rows,
                      .step = step,
                      .t = t,
                      .t_step = t_step};
    struct target rest = {v + panel * step, step, first + panel, n - panel, side};
    for (int pass = 0; pass < sweep_passes(own[f->kind]); pass++)
        TRY(panel_apply(c, &p, own[f->kind], pass, &rest));
    scratch_release(c->scratch, mark);
    return OK;
}
