/* How does a tall matrix become orthogonal columns and a triangle, a few rows at a time? */
#include "query/tsqr.h"
#include "storage/base/budget.h"
#include "storage/base/pool.h"
#include <lapacke.h>
#include <string.h>

#define LEAF_CELLS (256 * 1024) /* 2 MiB: a processor's own cache */
#define LEAST_LEAF 64
#define MOST_LEAF 65536
#define LEAST_LEAVES 8
#define MOST_COLS 1024
#define BLOCK 32 /* reflectors that are applied together */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t tsqr_rows(int64_t cols)
{
    int64_t rows = LEAST_LEAF;
    while (rows < MOST_LEAF && rows * 2 * cols <= LEAF_CELLS)
        rows *= 2;
    while (rows < 2 * cols)
        rows *= 2;
    return rows;
}

bool tsqr_suits(int64_t rows, int64_t cols)
{
    return cols > 0 && cols <= MOST_COLS && rows >= LEAST_LEAVES * tsqr_rows(cols);
}

/* ---- one level of the tree, or the leaves ---- */

struct level {
    const struct tsqr *q;
    int64_t span;        /* leaf i with leaf i + span; 0: each leaf by itself */
    struct blocked *out; /* what Q is applied to; NULL: factorise */
    int64_t n;           /* columns of a */
    int64_t block;       /* of reflectors */
    int64_t n_leaves;
};

/* Rows [0, rows) of a leaf of m: where it is, or a copy in scratch. */
static enum status open_leaf(struct ctx *c, const struct blocked *m, int64_t leaf, int64_t rows,
                             double **v, int64_t *step)
{
    void *memory;
    struct part p = {leaf * m->block_rows, 0, rows, m->cols, 1, rows};
    *step = m->v ? m->block_rows : rows;
    if (m->v) {
        *v = blocked_at(m, p.row, 0);
        return OK;
    }
    TRY(scratch_alloc(c, (size_t)(rows * m->cols) * sizeof(double), &memory));
    *v = memory;
    return blocked_read(c, m, &p, memory);
}

static enum status close_leaf(struct ctx *c, const struct blocked *m, int64_t leaf, int64_t rows,
                              const double *v)
{
    struct part p = {leaf * m->block_rows, 0, rows, m->cols, 1, rows};
    return m->v ? OK : blocked_write(c, m, &p, v);
}

/* Leaf and node have a triangle each, `block` rows high. */
static struct part triangle_of(const struct level *l, int64_t leaf, bool node)
{
    return (struct part){(2 * leaf + node) * l->block, 0, l->block, l->n, 1, l->block};
}

static enum status factor_leaf(struct ctx *c, const struct level *l, int64_t leaf, double *t,
                               double *work)
{
    double *v;
    int64_t step;
    const struct blocked *a = l->q->a;
    struct part p = triangle_of(l, leaf, false);
    TRY(open_leaf(c, a, leaf, a->block_rows, &v, &step));
    LAPACKE_dgeqrt_work(LAPACK_COL_MAJOR, (int)a->block_rows, (int)l->n, (int)l->block, v,
                        (int)step, t, (int)l->block, work);
    TRY(blocked_write(c, &l->q->t, &p, t));
    return close_leaf(c, a, leaf, a->block_rows, v);
}

/* The triangles of two leaves become one, the second's reflectors. */
static enum status factor_node(struct ctx *c, const struct level *l, int64_t leaf, double *t,
                               double *work)
{
    double *v, *w;
    int64_t v_step, w_step, n = l->n;
    const struct blocked *a = l->q->a;
    struct part p = triangle_of(l, leaf + l->span, true);
    TRY(open_leaf(c, a, leaf, n, &v, &v_step));
    TRY(open_leaf(c, a, leaf + l->span, n, &w, &w_step));
    LAPACKE_dtpqrt_work(LAPACK_COL_MAJOR, (int)n, (int)n, (int)n, (int)l->block, v, (int)v_step, w,
                        (int)w_step, t, (int)l->block, work);
    TRY(blocked_write(c, &l->q->t, &p, t));
    TRY(close_leaf(c, a, leaf, n, v));
    return close_leaf(c, a, leaf + l->span, n, w);
}

static enum status apply_leaf(struct ctx *c, const struct level *l, int64_t leaf, double *t,
                              double *work)
{
    double *v, *to;
    int64_t v_step, to_step;
    const struct blocked *a = l->q->a, *out = l->out;
    struct part p = triangle_of(l, leaf, false);
    TRY(open_leaf(c, a, leaf, a->block_rows, &v, &v_step));
    TRY(open_leaf(c, out, leaf, out->block_rows, &to, &to_step));
    TRY(blocked_read(c, &l->q->t, &p, t));
    for (int64_t k = 0; k < out->cols; k++)
        memset(to + l->n + k * to_step, 0, (size_t)(out->block_rows - l->n) * sizeof(double));
    LAPACKE_dgemqrt_work(LAPACK_COL_MAJOR, 'L', 'N', (int)a->block_rows, (int)out->cols, (int)l->n,
                         (int)l->block, v, (int)v_step, t, (int)l->block, to, (int)to_step, work);
    return close_leaf(c, out, leaf, out->block_rows, to);
}

static enum status apply_node(struct ctx *c, const struct level *l, int64_t leaf, double *t,
                              double *work)
{
    double *v, *top, *low;
    int64_t v_step, top_step, low_step, n = l->n;
    struct part p = triangle_of(l, leaf + l->span, true);
    TRY(open_leaf(c, l->q->a, leaf + l->span, n, &v, &v_step));
    TRY(open_leaf(c, l->out, leaf, n, &top, &top_step));
    TRY(open_leaf(c, l->out, leaf + l->span, n, &low, &low_step));
    TRY(blocked_read(c, &l->q->t, &p, t));
    for (int64_t k = 0; k < l->out->cols; k++)
        memset(low + k * low_step, 0, (size_t)n * sizeof(double));
    LAPACKE_dtpmqrt_work(LAPACK_COL_MAJOR, 'L', 'N', (int)n, (int)l->out->cols, (int)n, (int)n,
                         (int)l->block, v, (int)v_step, t, (int)l->block, top, (int)top_step, low,
                         (int)low_step, work);
    TRY(close_leaf(c, l->out, leaf, n, top));
    return close_leaf(c, l->out, leaf + l->span, n, low);
}

static enum status level_task(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct level *l = self;
    int64_t leaf = l->span ? task * 2 * l->span : task, cols = l->out ? l->out->cols : l->n;
    void *t, *work;
    (void)worker;
    TRY(check_cancel(c));
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, (size_t)(l->block * l->n) * sizeof(double), &t));
    TRY(scratch_alloc(c, (size_t)(l->block * cols) * sizeof(double), &work));
    if (l->out)
        TRY(l->span ? apply_node(c, l, leaf, t, work) : apply_leaf(c, l, leaf, t, work));
    else
        TRY(l->span ? factor_node(c, l, leaf, t, work) : factor_leaf(c, l, leaf, t, work));
    scratch_release(c->scratch, mark);
    if (c->progress) atomic_fetch_add_explicit(&c->progress->done, 1, memory_order_relaxed);
    return OK;
}

/* Workers whose copies of leaves fit. */
static int workers_for(struct ctx *c, const struct level *l)
{
    const struct blocked *a = l->q->a;
    int64_t cells = 2 * l->block * l->n;
    if (!a->v) cells += a->block_rows * a->cols;
    if (l->out && !l->out->v) cells += a->block_rows * l->out->cols;
    int64_t bytes = cells * (int64_t)sizeof(double) + (1 << 20);
    int64_t n = c->budget ? budget_left(c->budget) / 8 * 7 / bytes : INT32_MAX;
    return (int)(n < 1 ? 1 : least(n, pool_width(c)));
}

static enum status run_level(struct ctx *c, struct level *l)
{
    int64_t n = l->span ? (l->n_leaves - l->span + 2 * l->span - 1) / (2 * l->span) : l->n_leaves;
    if (c->progress) atomic_fetch_add_explicit(&c->progress->total, n, memory_order_relaxed);
    return pool_run(c, n, workers_for(c, l), level_task, l);
}

static struct level level_over(const struct tsqr *q, struct blocked *out)
{
    const struct blocked *a = q->a;
    return (struct level){.q = q,
                          .out = out,
                          .n = a->cols,
                          .block = least(BLOCK, a->cols),
                          .n_leaves = (a->rows + a->block_rows - 1) / a->block_rows};
}

enum status tsqr_make(struct ctx *c, struct overflow *o, struct blocked *a, struct tsqr *q)
{
    *q = (struct tsqr){.a = a};
    struct level l = level_over(q, NULL);
    if (!l.n || !l.n_leaves) return OK;
    TRY(blocked_new(c, o, 2 * l.block * l.n_leaves, l.n, 2 * l.block, l.n, PLACE_ANY, &q->t));
    TRY(run_level(c, &l));
    for (l.span = 1; l.span < l.n_leaves; l.span *= 2)
        TRY(run_level(c, &l));
    return OK;
}

void tsqr_free(struct tsqr *q)
{
    blocked_free(&q->t);
}

enum status tsqr_r(struct ctx *c, const struct tsqr *q, struct dense *r)
{
    int64_t n = q->a->cols;
    struct part p = {0, 0, n, n, 1, n}; /* a leaf has as many rows, be they past the edge */
    TRY(dense_new(c, n, n, r));
    TRY(blocked_read(c, q->a, &p, r->v));
    for (int64_t k = 0; k < n; k++)
        memset(r->v + k * n + k + 1, 0, (size_t)(n - k - 1) * sizeof(double));
    return OK;
}

enum status tsqr_apply(struct ctx *c, const struct tsqr *q, const struct dense *top,
                       struct blocked *out)
{
    struct level l = level_over(q, out);
    struct part p = {0, 0, l.n, out->cols, 1, l.n};
    struct dense unit = {0};
    if (!l.n || !l.n_leaves || !out->cols) return OK;
    if (!top) {
        TRY(dense_new(c, l.n, l.n, &unit));
        for (int64_t i = 0; i < l.n; i++)
            unit.v[i + i * l.n] = 1;
    }
    enum status st = blocked_write(c, out, &p, top ? top->v : unit.v);
    dense_free(&unit);
    for (l.span = 1; l.span < l.n_leaves; l.span *= 2) {
    }
    for (l.span /= 2; st == OK && l.span >= 0; l.span /= 2) {
        st = run_level(c, &l);
        if (l.span == 0) break;
    }
    return st;
}

/* ---- R alone ---- */

static enum status merge_last(struct ctx *c, struct tsqr_sum *t)
{
    int64_t n = t->cols, block = least(BLOCK, n);
    void *memory;
    struct dense *a = &t->r[t->n - 2], *b = &t->r[t->n - 1];
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, (size_t)(2 * block * n) * sizeof(double), &memory));
    double *triangle = memory, *work = triangle + block * n;
    LAPACKE_dtpqrt_work(LAPACK_COL_MAJOR, (int)n, (int)n, (int)n, (int)block, a->v, (int)n, b->v,
                        (int)n, triangle, (int)block, work);
    scratch_release(c->scratch, mark);
    dense_free(b);
    t->level[t->n - 2]++;
    t->n--;
    return check_cancel(c);
}

enum status tsqr_sum_add(struct ctx *c, struct tsqr_sum *t, const struct dense *r, int level)
{
    TRY(dense_copy(c, r, &t->r[t->n]));
    t->level[t->n++] = level;
    while (t->n > 1 && t->level[t->n - 2] == t->level[t->n - 1])
        TRY(merge_last(c, t));
    return OK;
}

enum status tsqr_sum_end(struct ctx *c, struct tsqr_sum *t, struct dense *r)
{
    while (t->n > 1)
        TRY(merge_last(c, t));
    *r = t->r[0];
    t->n = 0;
    return OK;
}

void tsqr_sum_free(struct tsqr_sum *t)
{
    while (t->n > 0)
        dense_free(&t->r[--t->n]);
}
