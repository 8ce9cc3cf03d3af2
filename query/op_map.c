/* New columns over the same cells, and fewer cells by a condition. */
#include "query/op_classes.h"
#include "query/reach.h"

static void same_shape(struct op *op)
{
    op->box = op->in[0]->box;
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = op->in[0]->grid[d];
    box_in_region(op);
}

static enum status map_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct program *program;
    same_shape(op);
    TRY(program_compile(c, p->exprs, p->n_exprs, &p->in[0]->rel, exec_env(op->exec), &program));
    op->state = program;
    return OK;
}

static enum status map_produce(struct ctx *c, struct op *op, const struct box *want,
                               struct chunk *out)
{
    const struct plan *p = op->plan;
    struct chunk in;
    TRY(op_produce(c, op->in[0], want, &in));
    if (in.n_present == 0) {
        chunk_empty(&p->rel, want, out);
        return OK;
    }
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(p->n_exprs + 1), &cols));
    if (p->n_exprs) TRY(program_run(c, op->state, &in, cols));
    in.cols = cols;
    in.n_cols = p->n_exprs;
    in.rel = &p->rel;
    *out = in;
    return OK;
}

const struct op_class op_map_class = {"map", map_open, map_produce, NULL};

static enum status filter_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct program *program;
    same_shape(op);
    TRY(program_compile(c, p->exprs, 1, &p->in[0]->rel, exec_env(op->exec), &program));
    op->state = program;
    return OK;
}

static enum status filter_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    struct chunk ch;
    TRY(op_produce(c, op->in[0], want, &ch));
    if (ch.n_present) TRY(program_filter(c, op->state, &ch));
    if (ch.n_present == 0) {
        chunk_empty(&op->plan->rel, want, out);
        return OK;
    }
    ch.rel = &op->plan->rel;
    *out = ch;
    return OK;
}

const struct op_class op_filter_class = {"filter", filter_open, filter_produce, NULL};
