/* A file, or several, as an array. */
#include "query/op_classes.h"
#include "query/reach.h"

static enum status file_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct source *source;
    TRY(at(c, source_open(c, p->label, p->source_options, &source), p->pos));
    op->state = source;
    int64_t extents[MAX_DIMS];
    source_grid(source, extents);
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = extents[d] > 0 ? extents[d] : 1;
    return OK;
}

static enum status file_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    const struct plan *p = op->plan;
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(p->rel.n_cols + 1), &cols));
    struct chunk ch = {
        .box = *want, .n = box_cells(want), .n_cols = p->rel.n_cols, .cols = cols, .rel = &p->rel};
    TRY(source_read(c, op->state, want, p->source_attrs, p->rel.n_cols, cols, &ch.present,
                    &ch.n_present));
    TRY(chunk_mask_strides(c, &p->rel, &ch));
    if (ch.n_present == 0) chunk_empty(&p->rel, want, &ch);
    *out = ch;
    return OK;
}

static void file_close(struct op *op)
{
    source_close(op->state);
    op->state = NULL;
}

const struct op_class op_file_class = {"file scan", file_open, file_produce, file_close};
