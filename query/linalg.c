/* What does each function of matrix algebra make of its factorisation? */
#include "query/dense.h"
#include "query/factor.h"
#include "query/linalg_run.h"
#include "query/rsvd.h"
#include "query/tsqr.h"
#include "storage/base/budget.h"
#include <float.h>
#include <string.h>

static const struct {
    const char *name;
    int takes, gives;
} functions[] = {
#define X(id, name, takes, gives) {name, takes, gives},
    LINALG_LIST(X)
#undef X
};

const char *linalg_name(enum linalg_fn fn)
{
    return functions[fn].name;
}

int linalg_takes(enum linalg_fn fn)
{
    return functions[fn].takes;
}

int linalg_gives(enum linalg_fn fn)
{
    return functions[fn].gives;
}

void result_free(struct result *r)
{
    if (!r->shared) blocked_free(&r->m);
    buf_free(r->column);
    *r = (struct result){.shared = true};
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool wants(const struct matrix_call *l, int i)
{
    return l->wanted >> i & 1;
}

/* ---- what goes wrong with the matrix itself ---- */

/* "cholesky: the matrix of "a" is not …: its leading part up to i = 3, j = 3 is not". */
static enum status trouble(struct ctx *c, const struct matrix_call *l, const char *what, int64_t at,
                           const char *end)
{
    const struct argument *a = &l->in[0];
    struct strbuf name = STRBUF_INIT, place = STRBUF_INIT;
    argument_name(a, &name);
    if (at >= 0) argument_place(a, at, at, &place);
    fail_at(c, ERR_MATRIX, a->pos, "%s: the matrix%s %s%s%s", a->function, name.s ? name.s : "",
            what, place.s ? place.s : "", end);
    strbuf_release(&name);
    strbuf_release(&place);
    return ERR_MATRIX;
}

static enum status singular(struct ctx *c, const struct matrix_call *l, int64_t at)
{
    trouble(c, l, "is singular: elimination finds no pivot for ", at, "");
    return hint(c, "lstsq gives the solution of least squares.");
}

static enum status check_converged(struct ctx *c, const struct matrix_call *l, bool converged)
{
    return converged ? OK
                     : trouble(c, l, "is one for which the iteration does not converge", -1, "");
}

/* Adds what would need less memory to the error of there being too little. */
static enum status needs_memory(struct ctx *c, const struct matrix_call *l, enum status st)
{
    if (st != ERR_MEMORY) return st;
    int64_t rows = argument_rows(&l->in[0]), cols = argument_cols(&l->in[0]);
    const char *limit = memory_limit_name(c);
    ctx_clear(c);
    fail_at(c, ERR_MEMORY, l->in[0].pos,
            "%s of a matrix of %lld × %lld needs more memory than %s leaves", l->in[0].function,
            (long long)rows, (long long)cols, limit);
    if (l->fn == LA_SVD)
        return hint(c,
                    "svd(m, 20) gives the 20 largest values and their vectors, of matrices of any "
                    "size; or raise %s.",
                    limit);
    if (l->fn == LA_EIGH)
        return hint(c,
                    "Of a matrix without negative eigenvalues, svd(m, 20) gives the 20 largest and "
                    "their vectors; or raise %s.",
                    limit);
    return hint(c, "Raise %s.", limit);
}

/* ---- layouts ---- */

static enum status in_columns(struct ctx *c, const struct matrix_call *l, int64_t rows,
                              int64_t cols, struct blocked *out)
{
    return blocked_new(c, l->overflow, rows, cols, rows, least(factor_width(rows), cols), PLACE_ANY,
                       out);
}

static enum status load_columns(struct ctx *c, const struct matrix_call *l, int i,
                                struct blocked *out)
{
    const struct argument *a = &l->in[i];
    int64_t rows = argument_rows(a);
    TRY(in_columns(c, l, rows, argument_cols(a), out));
    return argument_load(c, a, 0, rows, false, out, 0, 0);
}

static enum status set_diagonal(struct ctx *c, const struct blocked *m)
{
    const double one = 1;
    for (int64_t i = 0; i < least(m->rows, m->cols); i++) {
        struct part p = {i, i, 1, 1, 1, 1};
        TRY(blocked_write(c, m, &p, &one));
    }
    return OK;
}

/* ---- by LU ---- */

static enum status solve(struct ctx *c, const struct matrix_call *l, struct blocked *a,
                         struct factor *f, struct blocked *b)
{
    TRY(load_columns(c, l, 0, a));
    TRY(factor_make(c, l->overflow, FACTOR_LU, a, f));
    if (f->bad >= 0) return singular(c, l, f->bad);
    if (l->fn == LA_SOLVE) {
        TRY(load_columns(c, l, 1, b));
    } else {
        TRY(in_columns(c, l, a->rows, a->rows, b));
        TRY(set_diagonal(c, b));
    }
    TRY(factor_sweep(c, f, SWEEP_L, b));
    return factor_sweep(c, f, SWEEP_U, b);
}

static enum status run_solve(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct blocked a = {0};
    struct factor f = {0};
    enum status st = solve(c, l, &a, &f, &out->m);
    factor_free(&f);
    blocked_free(&a);
    return st;
}

static enum status product_of_diagonal(struct ctx *c, const struct factor *f, double *out)
{
    *out = 1;
    for (int64_t i = 0; i < f->steps; i++) {
        double v;
        struct part p = {i, i, 1, 1, 1, 1};
        TRY(blocked_read(c, f->a, &p, &v));
        *out *= f->pivot[i] == i + 1 ? v : -v;
    }
    return OK;
}

static enum status run_det(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct blocked a = {0};
    struct factor f = {0};
    enum status st = blocked_new(c, l->overflow, 1, 1, 1, 1, PLACE_MEMORY, &out->m);
    if (st == OK) st = load_columns(c, l, 0, &a);
    if (st == OK) st = factor_make(c, l->overflow, FACTOR_LU, &a, &f);
    if (st == OK) st = product_of_diagonal(c, &f, out->m.v);
    factor_free(&f);
    blocked_free(&a);
    return st;
}

/* Row i of the factors was row column[…] of the matrix: a 1 there. */
static enum status permutation(struct ctx *c, const struct factor *f, struct result *out)
{
    void *memory;
    int64_t n = f->a->rows;
    TRY(buf_alloc(c, sizeof(int64_t) * (size_t)(2 * n + 1), &memory));
    int64_t *row = memory;
    out->column = memory;
    out->shown = PERMUTED;
    row += n;
    for (int64_t i = 0; i < n; i++)
        row[i] = i;
    for (int64_t i = 0; i < f->steps; i++) {
        int64_t other = f->pivot[i] - 1, was = row[i];
        row[i] = row[other];
        row[other] = was;
    }
    for (int64_t i = 0; i < n; i++)
        out->column[row[i]] = i;
    return OK;
}

static enum status run_lu(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct factor f = {0};
    enum status st = load_columns(c, l, 0, &out[1].m);
    if (st == OK) st = factor_make(c, l->overflow, FACTOR_LU, &out[1].m, &f);
    if (st == OK && wants(l, 1)) st = factor_settle(c, &f);
    if (st == OK) st = permutation(c, &f, &out[0]);
    factor_free(&f);
    out[1].shown = UNIT_LOWER;
    out[2] = (struct result){.m = out[1].m, .shared = true, .shown = UPPER};
    return st;
}

static enum status run_cholesky(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct factor f;
    out->shown = LOWER;
    TRY(load_columns(c, l, 0, &out->m));
    TRY(factor_make(c, l->overflow, FACTOR_CHOLESKY, &out->m, &f));
    if (f.bad < 0) return OK;
    return trouble(c, l, "is not positive definite: its leading part up to ", f.bad, " is not");
}

/* ---- by QR ---- */

/* A matrix and its reflectors, in either form. */
struct reflected {
    bool tall;
    struct blocked a;
    struct tsqr tree;
    struct factor columns;
};

static void reflected_free(struct reflected *q)
{
    tsqr_free(&q->tree);
    factor_free(&q->columns);
    blocked_free(&q->a);
}

/* Room for the matrix, rows × cols, that is loaded then. */
static enum status reflected_new(struct ctx *c, const struct matrix_call *l, int64_t rows,
                                 int64_t cols, struct reflected *q)
{
    *q = (struct reflected){.tall = tsqr_suits(rows, cols)};
    return q->tall
               ? blocked_new(c, l->overflow, rows, cols, tsqr_rows(cols), cols, PLACE_ANY, &q->a)
               : in_columns(c, l, rows, cols, &q->a);
}

static enum status reflect(struct ctx *c, const struct matrix_call *l, struct reflected *q)
{
    return q->tall ? tsqr_make(c, l->overflow, &q->a, &q->tree)
                   : factor_make(c, l->overflow, FACTOR_QR, &q->a, &q->columns);
}

/* The triangle of a matrix that has as many rows as columns. */
static enum status triangle_of(struct ctx *c, const struct reflected *q, struct dense *r)
{
    struct part p = {0, 0, q->a.cols, q->a.cols, 1, q->a.cols};
    if (q->tall) return tsqr_r(c, &q->tree, r);
    TRY(dense_new(c, p.rows, p.cols, r));
    TRY(blocked_read(c, &q->a, &p, r->v));
    for (int64_t k = 0; k < r->cols; k++)
        memset(r->v + k * r->rows + k + 1, 0, (size_t)(r->rows - k - 1) * sizeof(double));
    return OK;
}

/* out = Q top, of min(rows, cols) rows and k columns; NULL: Q itself. */
static enum status times_q(struct ctx *c, const struct matrix_call *l, const struct reflected *q,
                           const struct dense *top, struct blocked *out)
{
    int64_t k = top ? top->cols : least(q->a.rows, q->a.cols);
    if (q->tall) {
        TRY(blocked_new(c, l->overflow, q->a.rows, k, q->a.block_rows, k, PLACE_ANY, out));
        return tsqr_apply(c, &q->tree, top, out);
    }
    TRY(in_columns(c, l, q->a.rows, k, out));
    struct part p = {0, 0, top ? top->rows : 0, k, 1, top ? top->rows : 1};
    TRY(top ? blocked_write(c, out, &p, top->v) : set_diagonal(c, out));
    return factor_sweep(c, &q->columns, top ? SWEEP_Q : SWEEP_Q_UNIT, out);
}

static enum status run_qr(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct reflected q;
    int64_t rows = argument_rows(&l->in[0]);
    enum status st = reflected_new(c, l, rows, argument_cols(&l->in[0]), &q);
    if (st == OK) st = argument_load(c, &l->in[0], 0, rows, false, &q.a, 0, 0);
    if (st == OK) st = reflect(c, l, &q);
    if (st == OK && wants(l, 0)) st = times_q(c, l, &q, NULL, &out[0].m);
    out[1] = (struct result){.m = q.a, .shown = UPPER};
    q.a = (struct blocked){0};
    reflected_free(&q);
    return st;
}

/* ---- svd, eigh ---- */

static struct result all_of(const struct dense *m)
{
    return (struct result){.m = dense_blocks(m)};
}

/* a becomes U diag(s) Vt; a is freed. */
static enum status svd_in_memory(struct ctx *c, const struct matrix_call *l, struct dense *a,
                                 struct dense *u, struct dense *s, struct dense *vt)
{
    int64_t k = least(a->rows, a->cols), at = -1;
    enum status st = dense_new(c, a->rows, k, u);
    if (st == OK) st = dense_new(c, k, 1, s);
    if (st == OK) st = dense_new(c, k, a->cols, vt);
    if (st == OK) st = dense_svd(c, a, u, s->v, vt, &at);
    dense_free(a);
    return st == OK ? check_converged(c, l, at < 0) : st;
}

/* A = Q R, R = U S Vt: the left vectors are Q U. Wide matrices are turned. */
static enum status tall_svd(struct ctx *c, const struct matrix_call *l, bool turned,
                            struct result *out)
{
    struct reflected q;
    struct dense r = {0}, u = {0}, s = {0}, vt = {0};
    const struct argument *a = &l->in[0];
    int64_t rows = argument_rows(a), cols = argument_cols(a);
    enum status st = reflected_new(c, l, turned ? cols : rows, turned ? rows : cols, &q);
    if (st == OK) st = argument_load(c, a, 0, rows, turned, &q.a, 0, 0);
    if (st == OK) st = reflect(c, l, &q);
    if (st == OK) st = triangle_of(c, &q, &r);
    if (st == OK) st = svd_in_memory(c, l, &r, &u, &s, &vt);
    struct result *left = &out[turned ? 2 : 0], *right = &out[turned ? 0 : 2];
    *right = all_of(&vt);
    out[1] = all_of(&s);
    left->turned = right->turned = turned;
    if (st == OK && wants(l, turned ? 2 : 0)) st = times_q(c, l, &q, &u, &left->m);
    dense_free(&u);
    dense_free(&r);
    reflected_free(&q);
    return st;
}

static enum status plain_svd(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct dense a = {0}, u = {0}, s = {0}, vt = {0};
    enum status st = argument_dense(c, &l->in[0], &a);
    if (st == OK) st = svd_in_memory(c, l, &a, &u, &s, &vt);
    dense_free(&a);
    out[0] = all_of(&u);
    out[1] = all_of(&s);
    out[2] = all_of(&vt);
    return st;
}

static enum status check_rank(struct ctx *c, const struct matrix_call *l, const struct dense *s,
                              int64_t larger)
{
    int64_t rank = 0;
    while (rank < s->rows && s->v[rank] > DBL_EPSILON * (double)larger * s->v[0])
        rank++;
    if (rank == s->rows) return OK;
    struct strbuf name = STRBUF_INIT;
    argument_name(&l->in[0], &name);
    fail_at(c, ERR_MATRIX, l->in[0].pos,
            "svd: the matrix%s has rank %lld, and %lld singular values are asked for",
            name.s ? name.s : "", (long long)rank, (long long)s->rows);
    strbuf_release(&name);
    return rank ? hint(c, "svd(m, %lld) gives all that are not zero.", (long long)rank)
                : ERR_MATRIX;
}

static enum status first_svd(struct ctx *c, const struct matrix_call *l, bool turned,
                             struct result *out)
{
    struct blocked m = {0}, u = {0}, v = {0};
    struct dense s = {0};
    const struct argument *a = &l->in[0];
    int64_t rows = argument_rows(a), cols = argument_cols(a), at = -1;
    int64_t large = most(rows, cols), small = least(rows, cols);
    enum status st =
        blocked_new(c, l->overflow, large, small, rsvd_rows(small), small, PLACE_ANY, &m);
    if (st == OK) st = argument_load(c, a, 0, rows, turned, &m, 0, 0);
    if (st == OK) st = rsvd_make(c, l->overflow, &m, l->first, &u, &s, &v, &at);
    blocked_free(&m);
    out[0] = (struct result){.m = turned ? v : u};
    out[1] = all_of(&s);
    out[2] = (struct result){.m = turned ? u : v, .turned = true};
    if (st == OK) st = check_converged(c, l, at < 0);
    return st == OK ? check_rank(c, l, &s, large) : st;
}

static enum status run_svd(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    int64_t rows = argument_rows(&l->in[0]), cols = argument_cols(&l->in[0]);
    if (l->first) return first_svd(c, l, rows < cols, out);
    if (rows >= 2 * cols || cols >= 2 * rows) return tall_svd(c, l, rows < cols, out);
    return plain_svd(c, l, out);
}

static enum status run_eigh(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    struct dense v = {0}, w = {0};
    int64_t at = -1;
    enum status st = argument_dense(c, &l->in[0], &v);
    if (st == OK) st = dense_new(c, v.rows, 1, &w);
    if (st == OK) st = dense_eigh(c, &v, w.v, &at);
    out[0] = all_of(&w);
    out[1] = all_of(&v);
    return st == OK ? check_converged(c, l, at < 0) : st;
}

/* ---- lstsq ---- */

/* Both sides, next to each other. */
static enum status load_sides(struct ctx *c, const struct matrix_call *l, int64_t lo, int64_t hi,
                              const struct blocked *m)
{
    TRY(argument_load(c, &l->in[0], lo, hi, false, m, 0, 0));
    return argument_load(c, &l->in[1], lo, hi, false, m, 0, argument_cols(&l->in[0]));
}

/* As many leaves at once as fit, a power of two of them. */
static int64_t leaves_at_once(struct ctx *c, int64_t n_leaves, int64_t leaf_cells)
{
    int64_t room = c->budget ? budget_left(c->budget) / 3 / (int64_t)sizeof(double) : INT64_MAX;
    int64_t n = 1;
    while (n < n_leaves && leaf_cells <= room / 2 / n)
        n *= 2;
    return n;
}

static enum status add_leaves(struct ctx *c, const struct matrix_call *l, int64_t lo, int64_t hi,
                              int level, struct blocked *m, struct tsqr_sum *sum)
{
    struct tsqr q = {0};
    struct dense r = {0};
    m->rows = hi - lo;
    memset(m->v, 0, buf_bytes(m->v));
    enum status st = load_sides(c, l, lo, hi, m);
    if (st == OK) st = tsqr_make(c, l->overflow, m, &q);
    if (st == OK) st = tsqr_r(c, &q, &r);
    if (st == OK) st = tsqr_sum_add(c, sum, &r, level);
    dense_free(&r);
    tsqr_free(&q);
    return st;
}

/* The triangle of both sides, of which a few leaves at a time are in memory. */
static enum status triangle_by_leaves(struct ctx *c, const struct matrix_call *l, int64_t rows,
                                      int64_t cols, struct dense *r)
{
    struct tsqr_sum sum = {.cols = cols};
    struct blocked m;
    int64_t leaf = tsqr_rows(cols), n = leaves_at_once(c, (rows + leaf - 1) / leaf, leaf * cols);
    int level = 63 - __builtin_clzll((unsigned long long)n);
    TRY(blocked_new(c, l->overflow, n * leaf, cols, leaf, cols, PLACE_MEMORY, &m));
    enum status st = OK;
    for (int64_t lo = 0; lo < rows && st == OK; lo += n * leaf)
        st = add_leaves(c, l, lo, least(lo + n * leaf, rows), level, &m, &sum);
    if (st == OK) st = tsqr_sum_end(c, &sum, r);
    tsqr_sum_free(&sum);
    blocked_free(&m);
    return st;
}

static enum status triangle_of_sides(struct ctx *c, const struct matrix_call *l, int64_t rows,
                                     int64_t cols, struct dense *r)
{
    struct reflected q;
    if (tsqr_suits(rows, cols)) return triangle_by_leaves(c, l, rows, cols, r);
    enum status st = reflected_new(c, l, rows, cols, &q);
    if (st == OK) st = load_sides(c, l, 0, rows, &q.a);
    if (st == OK) st = reflect(c, l, &q);
    if (st == OK) st = triangle_of(c, &q, r);
    reflected_free(&q);
    return st;
}

/* Tall: |A x - b| = |R x - c| with [R c] the triangle of [A b]. The rest is LAPACK's. */
static enum status run_lstsq(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    int64_t rows = argument_rows(&l->in[0]), cols = argument_cols(&l->in[0]), at = -1;
    int64_t n = argument_cols(&l->in[1]);
    struct dense a = {0}, b = {0}, x = {0}, r = {0};
    bool tall = rows >= 2 * (cols + n);
    enum status st = OK;
    if (tall) {
        struct part left = {0, 0, cols, cols, 1, cols}, right = {0, cols, cols, n, 1, cols};
        st = triangle_of_sides(c, l, rows, cols + n, &r);
        if (st == OK) st = dense_new(c, cols, cols, &a);
        if (st == OK) st = dense_new(c, cols, n, &b);
        struct blocked m = dense_blocks(&r);
        if (st == OK) st = blocked_read(c, &m, &left, a.v);
        if (st == OK) st = blocked_read(c, &m, &right, b.v);
        dense_free(&r);
    } else {
        st = argument_dense(c, &l->in[0], &a);
        if (st == OK) st = dense_new(c, most(rows, cols), n, &b);
        struct blocked m = dense_blocks(&b);
        if (st == OK) st = argument_load(c, &l->in[1], 0, rows, false, &m, 0, 0);
    }
    if (st == OK) st = dense_lstsq(c, &a, rows, &b, &at);
    struct part top = {0, 0, cols, n, 1, cols};
    struct blocked all = dense_blocks(&b);
    if (st == OK) st = dense_new(c, cols, n, &x);
    if (st == OK) st = blocked_read(c, &all, &top, x.v);
    out[0] = all_of(&x);
    dense_free(&a);
    dense_free(&b);
    return st == OK ? check_converged(c, l, at < 0) : st;
}

enum status linalg_run(struct ctx *c, const struct matrix_call *l, struct result *out)
{
    static enum status (*const run[])(struct ctx *, const struct matrix_call *, struct result *) = {
        [LA_INVERSE] = run_solve,     [LA_SOLVE] = run_solve, [LA_LSTSQ] = run_lstsq,
        [LA_CHOLESKY] = run_cholesky, [LA_LU] = run_lu,       [LA_QR] = run_qr,
        [LA_SVD] = run_svd,           [LA_EIGH] = run_eigh,   [LA_DET] = run_det};
    return needs_memory(c, l, run[l->fn](c, l, out));
}
