/* A file, or several, as an array. */
#include "query/op_classes.h"
#include "query/reach.h"

/* The binder opened the files too, and the plan stands on what it saw. */
static bool is_as_planned(const struct plan *p, const struct schema *s)
{
    if (s->n_dims != p->rel.n_dims) return false;
    for (int d = 0; d < s->n_dims; d++)
        if (s->dims[d].axis.type != p->rel.dims[d].axis->type) return false;
    for (int i = 0; i < p->rel.n_cols; i++) {
        int k = p->source_attrs[i];
        if (k >= s->n_attrs || s->attrs[k].type != p->rel.cols[i].type) return false;
    }
    return true;
}

static enum status file_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct source *source = p->opened;
    notice_fn *say = c->notice;
    c->notice = NULL; /* the binder passed on what there is to say */
    enum status st = source ? OK : source_open(c, p->label, p->source_options, &source);
    c->notice = say;
    TRY(at(c, st, p->pos));
    op->state = source;
    if (!is_as_planned(p, source_schema(source)))
        return fail_at(c, ERR_BAD_COPY_FORMAT, p->pos, "\"%s\" changed while it was being opened",
                       p->label);
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
    if (!op->plan->opened) source_close(op->state);
    op->state = NULL;
}

const struct op_class op_file_class = {"file scan", file_open, file_produce, file_close};
