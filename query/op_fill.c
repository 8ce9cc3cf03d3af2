/* An array without EMPTY cells: those of the input get a constant for each column. */
#include "query/op_classes.h"
#include "query/reach.h"

static enum status fill_open(struct ctx *c, struct op *op)
{
    (void)c;
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = op->in[0]->grid[d];
    return OK;
}

/* Which cells of `want` the input has: its bits in the output's order. */
static enum status present_bits(struct ctx *c, const struct chunk *in, const struct box *want,
                                uint64_t **out)
{
    void *bits;
    TRY(scratch_zeroed(c, (size_t)bits_words(box_cells(want)) * 8, &bits));
    if (in && in->n_present) box_copy_bits(bits, want, in->present, &in->box, &in->box);
    *out = bits;
    return OK;
}

/* The bits of `present` that are clear. */
static void put_where_clear(const uint64_t *present, int64_t n, void *values, const void *value,
                            size_t bytes)
{
    for (int64_t i = 0; i < n; i++)
        if (!bit_get(present, i)) memcpy((char *)values + i * (int64_t)bytes, value, bytes);
}

static enum status fill_column(struct ctx *c, const struct chunk *in, int k, const struct value *v,
                               const uint64_t *present, const struct box *want, struct column *out)
{
    int64_t n = box_cells(want);
    const struct column *from = in && in->n_present ? &in->cols[k] : NULL;
    size_t bytes = type_bytes(v->type);
    char one[16] = {0};
    TRY(column_alloc(c, v->type, n, out));
    if (from) box_copy(out->values, want, from->values, &in->box, &in->box, bytes);
    if (!v->null) value_put(v, one, 0);
    put_where_clear(present, n, out->values, one, bytes);
    if (!v->null && !(from && from->valid)) return OK;
    TRY(column_need_valid(c, out, n));
    if (from && from->valid) box_copy_bits(out->valid, want, from->valid, &in->box, &in->box);
    for (int64_t i = 0; i < n; i++)
        if (!bit_get(present, i)) bit_put(out->valid, i, !v->null);
    return OK;
}

static enum status fill_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    const struct plan *p = op->plan;
    struct box part;
    struct chunk in, ch;
    uint64_t *present;
    bool some = op_reach(op, 0, want, &part);
    if (some) TRY(op_produce(c, op->in[0], &part, &in));
    if (some && in.n_present == box_cells(want)) {
        *out = in;
        out->rel = &p->rel;
        return OK;
    }
    TRY(present_bits(c, some ? &in : NULL, want, &present));
    TRY(chunk_alloc(c, &p->rel, want, &ch));
    for (int k = 0; k < p->n_exprs; k++)
        TRY(fill_column(c, some ? &in : NULL, k, &p->exprs[k]->value, present, want, &ch.cols[k]));
    *out = ch;
    return OK;
}

const struct op_class op_fill_class = {"fill", fill_open, fill_produce, NULL};
