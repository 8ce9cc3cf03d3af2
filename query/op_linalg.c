/* The functions of matrix algebra: each batch's matrices are loaded and factorised, and the results
 * served box by box, from memory or from the file where those are that do not fit.
 *
 * The results of one call (WITH (u, s, vt) AS svd(m)) are nodes of their own that share what the
 * first of them to open computes. */
#include "query/linalg_run.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include "storage/base/budget.h"
#include <string.h>

#define GOOD_BOX (64 * 1024)
#define GOOD_SIDE 256 /* of a box: columns lie apart */

struct solution {
    struct overflow overflow;
    int64_t n_batch;
    int n_results;
    struct result *results; /* n_batch × n_results */
};

/* ---- computing ---- */

static enum status solve_batch(struct ctx *c, const struct op *op, const struct box *batch,
                               struct overflow *overflow, struct result *results)
{
    const struct plan *p = op->plan;
    struct matrix_call call = {.fn = p->linalg,
                               .wanted = p->wanted ? *p->wanted : ~0u,
                               .first = p->first,
                               .overflow = overflow};
    for (int i = 0; i < op->n_in; i++)
        call.in[i] =
            argument_at(op->in[i], linalg_name(p->linalg), p->labels[i], p->n_batch, p->pos, batch);
    return linalg_run(c, &call, results);
}

static void solution_free(void *self)
{
    struct solution *s = self;
    for (int64_t i = 0; i < s->n_batch * s->n_results; i++)
        result_free(&s->results[i]);
    buf_free(s->results);
    s->results = NULL;
    overflow_close(&s->overflow);
}

static enum status compute(struct ctx *c, struct op *op, struct solution *s)
{
    struct box batch = op->in[0]->box, at;
    void *memory;
    batch.n_dims = op->plan->n_batch;
    s->n_results = linalg_gives(op->plan->linalg);
    int64_t n = box_cells(&batch);
    TRY(buf_alloc(c, sizeof(struct result) * (size_t)(n * s->n_results + 1), &memory));
    s->results = memory;
    s->overflow.tmp_dir = exec_tmp_dir(op->exec);
    memset(s->results, 0, sizeof(struct result) * (size_t)(n * s->n_results));
    s->n_batch = n;
    for (int64_t i = 0; i < n; i++) {
        at.n_dims = batch.n_dims;
        box_position(&batch, i, at.lo);
        TRY(solve_batch(c, op, &at, &s->overflow, s->results + i * s->n_results));
    }
    return OK;
}

/* Boxes as wide as high where the matrix is, of all its columns where they are few; many at once of
 * small ones. */
static void choose_grid(struct op *op)
{
    int64_t cells = GOOD_BOX;
    for (int d = op->box.n_dims - 1; d >= 0; d--) {
        bool column = d > op->plan->n_batch;
        int64_t extent = box_extent(&op->box, d);
        int64_t most = column && cells > GOOD_SIDE ? GOOD_SIDE : cells;
        op->grid[d] = extent <= 2 * most ? grid_whole(&op->box, d) : most;
        cells /= extent <= 2 * most ? (extent > 1 ? extent : 1) : most;
        if (cells < 1) cells = 1;
    }
}

static enum status linalg_open(struct ctx *c, struct op *op)
{
    void *shared;
    box_in_region(op);
    choose_grid(op);
    TRY(exec_share(c, op->exec, op->plan->shared, sizeof(struct solution), solution_free, &shared));
    op->state = shared;
    struct solution *s = shared;
    return s->results ? OK : compute(c, op, s);
}

static void linalg_close(struct op *op)
{
    if (op->state) exec_unshare(op->exec, op->state);
    op->state = NULL;
}

/* ---- serving ---- */

/* A part of one result, rows × cols doubles in C order; dims of the part that the matrix has not
 * are one position. */
static enum status read_result(struct ctx *c, const struct result *r, int64_t row, int64_t col,
                               int64_t rows, int64_t cols, double *to)
{
    struct part p = {row, col, rows, cols, cols, 1};
    if (r->turned) p = (struct part){col, row, cols, rows, 1, cols};
    if (r->shown == PERMUTED)
        memset(to, 0, (size_t)(rows * cols) * sizeof(double));
    else
        TRY(blocked_read(c, &r->m, &p, to));
    for (int64_t i = 0; i < rows && r->shown != ALL; i++)
        for (int64_t k = 0; k < cols; k++) {
            double *v = &to[i * cols + k];
            int64_t down = row + i, across = col + k;
            if (r->shown == PERMUTED)
                *v = r->column[down] == across;
            else if (r->shown == UPPER ? down > across : down < across)
                *v = 0;
            else if (r->shown == UNIT_LOWER && down == across)
                *v = 1;
        }
    return OK;
}

/* One batch's part of the box, at cell `at` of the chunk. */
static enum status serve_batch(struct ctx *c, const struct op *op, const struct result *r,
                               const struct box *want, struct column *out, int64_t at)
{
    const struct plan *p = op->plan;
    int64_t lo[2] = {0, 0}, n[2] = {1, 1};
    for (int d = p->n_batch, i = 0; d < p->rel.n_dims; d++, i++) {
        lo[i] = want->lo[d] - (p->rel.dims[d].axis ? p->rel.dims[d].axis->lo : 0);
        n[i] = box_extent(want, d);
    }
    if (out->type == T_FLOAT64)
        return read_result(c, r, lo[0], lo[1], n[0], n[1], (double *)out->values + at);
    void *memory;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, (size_t)(n[0] * n[1]) * sizeof(double), &memory));
    TRY(read_result(c, r, lo[0], lo[1], n[0], n[1], memory));
    const double *v = memory;
    for (int64_t i = 0; i < n[0] * n[1]; i++)
        ((float *)out->values)[at + i] = (float)v[i];
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status linalg_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    const struct solution *s = op->state;
    const struct plan *p = op->plan;
    struct box all = op->in[0]->box, part = *want;
    struct chunk ch;
    TRY(chunk_alloc(c, &p->rel, want, &ch));
    all.n_dims = part.n_dims = p->n_batch;
    int64_t n = box_cells(&part), each = ch.n / (n ? n : 1), at[MAX_DIMS];
    for (int64_t i = 0; i < n && ch.n_cols; i++) {
        box_position(&part, i, at);
        const struct result *r = &s->results[box_index(&all, at) * s->n_results + p->result];
        TRY(serve_batch(c, op, r, want, &ch.cols[0], i * each));
    }
    *out = ch;
    return OK;
}

const struct op_class op_linalg_class = {"linalg", linalg_open, linalg_produce, linalg_close};
