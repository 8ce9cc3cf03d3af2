/* How are the largest singular values of a matrix found by looking at it a few times? */
#include "query/rsvd.h"
#include "query/tsqr.h"
#include "storage/base/budget.h"
#include "storage/base/mix.h"
#include "storage/base/pool.h"
#include <cblas.h>
#include <math.h>
#include <string.h>

#define MORE 10 /* directions than are asked for */
#define MOST_ITERATIONS 6
#define CONVERGED 1e-11 /* of the largest value */
#define SEED 20110601
#define BLOCK_CELLS (1 << 20)
#define LEAST_ROWS 16
#define MOST_ROWS 65536
#define CHUNK 64 /* of a's columns, multiplied by one task */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t rsvd_rows(int64_t cols)
{
    int64_t rows = LEAST_ROWS;
    while (rows < MOST_ROWS && rows * 2 * cols <= BLOCK_CELLS)
        rows *= 2;
    return rows;
}

/* Everything in blocks of rows; those of y, q and u are a's, or some of them. */
struct rsvd {
    const struct blocked *a;
    int64_t l;           /* directions */
    struct blocked x, z; /* cols × l: what a is multiplied by; aᵀ q */
    struct blocked y, q; /* rows × l: a x, and its orthogonal columns */
    struct tsqr of_y, of_z;
    /* of the product at hand: */
    int64_t first, n_blocks, group; /* a's blocks */
    double *memory;                 /* copies of those, and of q's rows */
};

/* Rows [row, row + n) of m, which are in one block: where they are, or a copy. */
static enum status rows_of(struct ctx *c, const struct blocked *m, int64_t row, int64_t n,
                           double *copy, const double **v, int64_t *step)
{
    struct part p = {row, 0, n, m->cols, 1, n};
    *v = m->v ? blocked_at(m, row, 0) : copy;
    *step = m->v ? m->block_rows : n;
    return m->v ? OK : blocked_read(c, m, &p, copy);
}

static enum status doubles(struct ctx *c, int64_t n, double **out)
{
    void *memory;
    TRY(scratch_alloc(c, (size_t)n * sizeof(double), &memory));
    *out = memory;
    return OK;
}

static int workers_for(struct ctx *c, int64_t cells)
{
    int64_t bytes = cells * (int64_t)sizeof(double) + (1 << 20);
    int64_t n = c->budget ? budget_left(c->budget) / 8 * 7 / bytes : INT32_MAX;
    return (int)(n < 1 ? 1 : least(n, pool_width(c)));
}

static int64_t block_count(const struct blocked *m)
{
    return (m->rows + m->block_rows - 1) / m->block_rows;
}

/* to += left × right, whose rows are in blocks. */
static void times_blocks(int64_t rows, const double *left, int64_t left_step,
                         const struct blocked *right, double *to, int64_t to_step)
{
    for (int64_t at = 0; at < right->rows; at += right->block_rows) {
        int64_t n = least(right->block_rows, right->rows - at);
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)right->cols, (int)n,
                    1, left + at * left_step, (int)left_step, blocked_at(right, at, 0),
                    (int)right->block_rows, 1, to, (int)to_step);
    }
}

/* Block by block out = left × right; right is in memory. */
struct product {
    const struct blocked *left, *right, *out;
};

static enum status product_task(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct product *p = self;
    int64_t rows = p->left->block_rows, step;
    struct part part = {task * rows, 0, rows, p->out->cols, 1, rows};
    const double *left;
    double *copy = NULL, *to;
    (void)worker;
    TRY(check_cancel(c));
    if (!p->left->v) TRY(doubles(c, rows * p->left->cols, &copy));
    TRY(rows_of(c, p->left, task * rows, rows, copy, &left, &step));
    TRY(doubles(c, rows * p->out->cols, &to));
    memset(to, 0, (size_t)(rows * p->out->cols) * sizeof(double));
    times_blocks(rows, left, step, p->right, to, rows);
    if (c->progress) atomic_fetch_add_explicit(&c->progress->done, 1, memory_order_relaxed);
    return blocked_write(c, p->out, &part, to);
}

static enum status multiply(struct ctx *c, const struct blocked *left, const struct blocked *right,
                            const struct blocked *out)
{
    struct product p = {left, right, out};
    int64_t n = block_count(left);
    int64_t cells = left->block_rows * (out->cols + (left->v ? 0 : left->cols));
    if (c->progress) atomic_fetch_add_explicit(&c->progress->total, n, memory_order_relaxed);
    return pool_run(c, n, workers_for(c, cells), product_task, &p);
}

/* ---- z = aᵀ q ---- */

static int64_t copied_cells(const struct rsvd *r)
{
    return (r->a->v ? 0 : r->a->block_rows * r->a->cols) + (r->q.v ? 0 : r->a->block_rows * r->l);
}

/* One block and q's rows there: where they are, or their place in memory. */
static enum status block_and_rows(struct ctx *c, const struct rsvd *r, int64_t i, bool read,
                                  const double **a, int64_t *a_step, const double **q,
                                  int64_t *q_step)
{
    int64_t rows = r->a->block_rows, at = (r->first + i) * rows;
    double *copy = r->memory + i * copied_cells(r);
    double *second = copy + (r->a->v ? 0 : rows * r->a->cols);
    *a = r->a->v ? blocked_at(r->a, at, 0) : copy;
    *q = r->q.v ? blocked_at(&r->q, at, 0) : second;
    *a_step = r->a->v ? r->a->block_rows : rows;
    *q_step = r->q.v ? r->q.block_rows : rows;
    if (!read) return OK;
    TRY(rows_of(c, r->a, at, rows, copy, a, a_step));
    return rows_of(c, &r->q, at, rows, second, q, q_step);
}

static enum status read_task(struct ctx *c, void *self, int worker, int64_t task)
{
    const double *a, *q;
    int64_t a_step, q_step;
    (void)worker;
    TRY(check_cancel(c));
    return block_and_rows(c, self, task, true, &a, &a_step, &q, &q_step);
}

/* Some columns of a with all blocks that are in memory, in order. */
static enum status transposed_task(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct rsvd *r = self;
    int64_t col = task * CHUNK, n = least(CHUNK, r->a->cols - col);
    (void)worker;
    for (int64_t i = 0; i < r->n_blocks; i++) {
        const double *a, *q;
        int64_t a_step, q_step;
        TRY(check_cancel(c));
        TRY(block_and_rows(c, r, i, false, &a, &a_step, &q, &q_step));
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)n, (int)r->l,
                    (int)r->a->block_rows, 1, a + col * a_step, (int)a_step, q, (int)q_step, 1,
                    blocked_at(&r->z, col, 0), (int)r->z.block_rows);
    }
    return OK;
}

static enum status multiply_transposed(struct ctx *c, struct rsvd *r)
{
    int64_t n = block_count(r->a), cells = copied_cells(r),
            chunks = (r->a->cols + CHUNK - 1) / CHUNK;
    int64_t room = c->budget ? budget_left(c->budget) / 4 * 3 / (int64_t)sizeof(double) : INT64_MAX;
    void *memory;
    r->group = cells && room / cells < n ? room / cells : n;
    if (r->group < 1) r->group = 1;
    memset(r->z.v, 0, (size_t)(block_count(&r->z) * r->z.block_rows * r->l) * sizeof(double));
    TRY(buf_alloc(c, (size_t)(r->group * cells) * sizeof(double), &memory));
    r->memory = memory;
    enum status st = OK;
    if (c->progress) atomic_fetch_add_explicit(&c->progress->total, n, memory_order_relaxed);
    for (r->first = 0; r->first < n && st == OK; r->first += r->group) {
        r->n_blocks = least(r->group, n - r->first);
        if (cells) st = pool_run(c, r->n_blocks, pool_width(c), read_task, r);
        if (st == OK) st = pool_run(c, chunks, pool_width(c), transposed_task, r);
        if (c->progress)
            atomic_fetch_add_explicit(&c->progress->done, r->n_blocks, memory_order_relaxed);
    }
    buf_free(memory);
    return st;
}

/* ---- iterating ---- */

/* Normal ones, by Box and Muller, of each element's place. */
static void random_columns(const struct blocked *x)
{
    for (int64_t k = 0; k < x->cols; k++)
        for (int64_t i = 0; i < x->rows; i++) {
            uint64_t h = mix_in(mix_in(hash_seed(SEED), i), k);
            double angle = unit(mix(h + 1)) * 6.283185307179586476925286766559;
            *blocked_at(x, i, k) = sqrt(-2 * log(1 - unit(h))) * cos(angle);
        }
}

/* The singular values of z, and vectors of its triangle. */
static enum status small_svd(struct ctx *c, const struct rsvd *r, struct dense *u, struct dense *s,
                             struct dense *vt, int64_t *at)
{
    struct dense triangle;
    dense_free(u);
    dense_free(s);
    dense_free(vt);
    TRY(dense_new(c, r->l, r->l, u));
    TRY(dense_new(c, r->l, 1, s));
    TRY(dense_new(c, r->l, r->l, vt));
    enum status st = tsqr_r(c, &r->of_z, &triangle);
    if (st == OK) st = dense_svd(c, &triangle, u, s->v, vt, at);
    dense_free(&triangle);
    return st;
}

static bool settled(const double *before, const double *now, int64_t k)
{
    for (int64_t i = 0; i < k; i++)
        if (fabs(before[i] - now[i]) > CONVERGED * now[0]) return false;
    return true;
}

/* y = a x, q of y, z = aᵀ q, and its triangle. */
static enum status iterate(struct ctx *c, struct overflow *o, struct rsvd *r)
{
    tsqr_free(&r->of_y);
    tsqr_free(&r->of_z);
    TRY(multiply(c, r->a, &r->x, &r->y));
    TRY(tsqr_make(c, o, &r->y, &r->of_y));
    TRY(tsqr_apply(c, &r->of_y, NULL, &r->q));
    TRY(multiply_transposed(c, r));
    return tsqr_make(c, o, &r->z, &r->of_z);
}

static enum status make_room(struct ctx *c, struct overflow *o, struct rsvd *r)
{
    int64_t rows = tsqr_rows(r->l), few = (r->a->cols + 63) / 64 * 64;
    int64_t n = least(rows, few); /* x and z are often less than a leaf */
    if (rows < r->a->block_rows) rows = r->a->block_rows;
    TRY(blocked_new(c, o, r->a->cols, r->l, n, r->l, PLACE_MEMORY, &r->x));
    TRY(blocked_new(c, o, r->a->cols, r->l, n, r->l, PLACE_MEMORY, &r->z));
    TRY(blocked_new(c, o, r->a->rows, r->l, rows, r->l, PLACE_ANY, &r->y));
    return blocked_new(c, o, r->a->rows, r->l, rows, r->l, PLACE_ANY, &r->q);
}

/* u = q × right, whose first k columns are those of vtᵀ. */
static enum status left_vectors(struct ctx *c, struct rsvd *r, const struct dense *vt,
                                const struct blocked *u)
{
    struct dense right;
    TRY(dense_new(c, r->l, u->cols, &right));
    for (int64_t k = 0; k < u->cols; k++)
        for (int64_t i = 0; i < r->l; i++)
            right.v[i + k * r->l] = vt->v[k + i * r->l];
    struct blocked m = dense_blocks(&right);
    enum status st = multiply(c, &r->q, &m, u);
    dense_free(&right);
    return st;
}

static enum status find(struct ctx *c, struct overflow *o, struct rsvd *r, int64_t k,
                        struct blocked *u, struct dense *values, struct blocked *v, int64_t *at)
{
    struct dense left = {0}, now = {0}, vt = {0}, before = {0};
    enum status st = make_room(c, o, r);
    *at = -1;
    if (st == OK) random_columns(&r->x);
    for (int i = 0; i <= MOST_ITERATIONS && st == OK && *at < 0; i++) {
        if (i) st = tsqr_apply(c, &r->of_z, NULL, &r->x);
        if (st == OK) st = iterate(c, o, r);
        dense_free(&before);
        before = now;
        now = (struct dense){0};
        if (st == OK) st = small_svd(c, r, &left, &now, &vt, at);
        if (st == OK && i && settled(before.v, now.v, k)) break;
    }
    if (st == OK) st = dense_new(c, k, 1, values);
    if (st == OK) memcpy(values->v, now.v, (size_t)k * sizeof(double));
    left.cols = k;
    if (st == OK) st = blocked_new(c, o, r->a->cols, k, r->z.block_rows, k, PLACE_ANY, v);
    if (st == OK) st = tsqr_apply(c, &r->of_z, &left, v);
    if (st == OK) st = blocked_new(c, o, r->a->rows, k, r->q.block_rows, k, PLACE_ANY, u);
    if (st == OK) st = left_vectors(c, r, &vt, u);
    dense_free(&left);
    dense_free(&before);
    dense_free(&now);
    dense_free(&vt);
    return st;
}

enum status rsvd_make(struct ctx *c, struct overflow *o, const struct blocked *a, int64_t k,
                      struct blocked *u, struct dense *values, struct blocked *v, int64_t *at)
{
    struct rsvd r = {.a = a, .l = least(k + MORE, a->cols)};
    enum status st = find(c, o, &r, k, u, values, v, at);
    tsqr_free(&r.of_y);
    tsqr_free(&r.of_z);
    blocked_free(&r.x);
    blocked_free(&r.y);
    blocked_free(&r.z);
    blocked_free(&r.q);
    return st;
}
