/* The cells of an array as a list of rows, in row-major order. */
#include "query/op_classes.h"
#include "query/op_rowset.h"

static enum status rows_open(struct ctx *c, struct op *op)
{
    struct rowset *rows;
    TRY(rowset_gather(c, op->in[0], 0, -1, exec_tmp_dir(op->exec), &rows));
    op->state = rows;
    op_set_rows(op, rows);
    return OK;
}

static enum status rows_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    return rowset_chunk(c, op->state, &op->plan->rel, &op->box, want, NULL, -1, out);
}

static void rows_close(struct op *op)
{
    rowset_free(op->state);
    op->state = NULL;
}

const struct op_class op_rows_class = {"rows", rows_open, rows_produce, rows_close};
