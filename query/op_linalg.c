/* The functions of matrix algebra: each batch's matrices are gathered, factorised in memory, and
 * the results served box by box.
 *
 * The results of one call (WITH (u, s, vt) AS svd(m)) are nodes of their own that share what the
 * first of them to open computes. */
#include "query/linalg.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include "storage/base/value.h"
#include <math.h>
#include <string.h>

#define GOOD_BOX (64 * 1024)

struct solution {
    int64_t n_batch;
    int n_results;
    struct dense *results; /* n_batch × n_results */
};

/* ---- the inputs as matrices ---- */

/* An input's dimensions after the batch's: rows and columns; a vector is one column. */
struct loader {
    struct sink sink;
    const struct op *in;
    const char *function;
    struct dense *to;
    int n_batch;
    struct box box; /* of the batch */
    int pos;
};

/* "i = 0, j = 3". */
static void add_place(const struct op *in, const int64_t *at, struct strbuf *text)
{
    for (int d = 0; d < in->box.n_dims; d++) {
        const struct rel_dim *dim = &in->plan->rel.dims[d];
        strbuf_addf(text, "%s%s = ", d ? ", " : "", dim->name ? dim->name : "?");
        struct value v = dim->axis ? axis_coord(dim->axis, at[d]) : value_int(T_INT64, at[d]);
        value_format(&v, text);
    }
}

static enum status refuse(struct ctx *c, const struct loader *l, const int64_t *at,
                          const char *what)
{
    struct strbuf text = STRBUF_INIT;
    add_place(l->in, at, &text);
    fail_at(c, ERR_MATRIX, l->pos, "%s: the cell at %s is %s", l->function, text.s, what);
    strbuf_release(&text);
    return hint(c, "A sub-query can give it a value: coalesce(v, 0), nan_to_num(v).");
}

static enum status load_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                            const struct chunk *ch)
{
    struct loader *l = (struct loader *)sink;
    const struct column *col = &ch->cols[0];
    int64_t at[MAX_DIMS];
    (void)worker, (void)seq;
    for (int64_t i = 0; i < ch->n; i++) {
        if (ch->present && !bit_get(ch->present, i)) continue;
        box_position(&ch->box, i, at);
        if (column_is_null(col, i)) return refuse(c, l, at, "NULL");
        double v = ((const double *)col->values)[i];
        if (!isfinite(v)) return refuse(c, l, at, isnan(v) ? "NaN" : "infinite");
        int rows = l->n_batch, cols = rows + 1;
        int64_t row = at[rows] - l->box.lo[rows];
        int64_t column = cols < ch->box.n_dims ? at[cols] - l->box.lo[cols] : 0;
        l->to->v[row + column * l->to->rows] = v;
    }
    return check_cancel(c);
}

static enum status load(struct ctx *c, const struct op *op, int side, const struct box *batch,
                        struct dense *out)
{
    struct op *in = op->in[side];
    int k = op->plan->n_batch;
    struct loader l = {.sink.consume = load_box,
                       .in = in,
                       .function = linalg_name(op->plan->linalg),
                       .to = out,
                       .n_batch = k,
                       .box = in->box,
                       .pos = op->plan->pos};
    for (int d = 0; d < k; d++) {
        l.box.lo[d] = batch->lo[d];
        l.box.hi[d] = batch->lo[d] + 1;
    }
    int64_t cols = in->box.n_dims > k + 1 ? box_extent(&in->box, k + 1) : 1;
    TRY(dense_new(c, box_extent(&in->box, k), cols, out));
    return exec_run(c, in, &l.box, &l.sink);
}

/* ---- computing ---- */

static enum status explain_trouble(struct ctx *c, const struct op *op, enum linalg_trouble trouble,
                                   int64_t at)
{
    const char *name = linalg_name(op->plan->linalg);
    const struct op *in = op->in[0];
    struct strbuf text = STRBUF_INIT;
    int64_t cell[MAX_DIMS];
    for (int d = 0; d < in->box.n_dims; d++)
        cell[d] = in->box.lo[d] + (d >= op->plan->n_batch ? at : 0);
    add_place(in, cell, &text);
    int pos = op->plan->pos;
    if (trouble == LA_NO_CONVERGENCE)
        fail_at(c, ERR_MATRIX, pos, "%s did not converge", name);
    else if (trouble == LA_NOT_POSITIVE)
        fail_at(c, ERR_MATRIX, pos,
                "%s: the matrix is not positive definite: its leading part up to %s is not", name,
                text.s);
    else
        fail_at(c, ERR_MATRIX, pos, "%s: the matrix is singular: elimination finds no pivot for %s",
                name, text.s);
    strbuf_release(&text);
    return trouble == LA_SINGULAR ? hint(c, "lstsq gives the solution of least squares.")
                                  : ERR_MATRIX;
}

static enum status solve_batch(struct ctx *c, const struct op *op, const struct box *batch,
                               struct dense *results)
{
    struct dense in[2] = {0};
    enum linalg_trouble trouble = LA_FINE;
    int64_t at = -1;
    enum status st = OK;
    for (int i = 0; i < op->n_in && st == OK; i++)
        st = load(c, op, i, batch, &in[i]);
    if (st == OK) st = linalg_run(c, op->plan->linalg, in, results, &trouble, &at);
    dense_free(&in[0]);
    dense_free(&in[1]);
    if (st == OK && trouble != LA_FINE) st = explain_trouble(c, op, trouble, at);
    return st;
}

static void solution_free(void *self)
{
    struct solution *s = self;
    for (int64_t i = 0; i < s->n_batch * s->n_results; i++)
        dense_free(&s->results[i]);
    buf_free(s->results);
    s->results = NULL;
}

static enum status compute(struct ctx *c, struct op *op, struct solution *s)
{
    struct box batch = op->in[0]->box, at;
    void *memory;
    batch.n_dims = op->plan->n_batch;
    s->n_results = linalg_gives(op->plan->linalg);
    int64_t n = box_cells(&batch);
    TRY(buf_alloc(c, sizeof(struct dense) * (size_t)(n * s->n_results + 1), &memory));
    s->results = memory;
    s->n_batch = n;
    memset(s->results, 0, sizeof(struct dense) * (size_t)(n * s->n_results));
    for (int64_t i = 0; i < n; i++) {
        at.n_dims = batch.n_dims;
        box_position(&batch, i, at.lo);
        TRY(solve_batch(c, op, &at, s->results + i * s->n_results));
    }
    return OK;
}

static enum status linalg_open(struct ctx *c, struct op *op)
{
    void *shared;
    box_in_region(op);
    grid_long(&op->box, GOOD_BOX, op->grid);
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

static void put(struct column *col, int64_t i, double v)
{
    if (col->type == T_FLOAT32)
        ((float *)col->values)[i] = (float)v;
    else
        ((double *)col->values)[i] = v;
}

static enum status linalg_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    const struct solution *s = op->state;
    const struct plan *p = op->plan;
    int k = p->n_batch;
    struct chunk ch;
    TRY(chunk_alloc(c, &p->rel, want, &ch));
    int64_t at[MAX_DIMS], lo[MAX_DIMS];
    struct box batch = op->in[0]->box;
    batch.n_dims = k;
    for (int d = 0; d < p->rel.n_dims; d++)
        lo[d] = p->rel.dims[d].axis ? p->rel.dims[d].axis->lo : 0;
    for (int64_t i = 0; i < ch.n && ch.n_cols; i++) {
        box_position(want, i, at);
        const struct dense *m = &s->results[box_index(&batch, at) * s->n_results + p->result];
        int64_t row = k < p->rel.n_dims ? at[k] - lo[k] : 0;
        int64_t col = k + 1 < p->rel.n_dims ? at[k + 1] - lo[k + 1] : 0;
        put(&ch.cols[0], i, m->v[row + col * m->rows]);
    }
    *out = ch;
    return OK;
}

const struct op_class op_linalg_class = {"linalg", linalg_open, linalg_produce, linalg_close};
