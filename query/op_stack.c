/* Arrays, or pieces of one, side by side along a dimension: concat and roll. */
#include "query/op_classes.h"
#include "query/reach.h"

static enum status stack_open(struct ctx *c, struct op *op)
{
    (void)c;
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = op->in[0]->grid[d];
    return OK;
}

/* The part of `want` that the piece gives, and where the input has it. */
static bool piece_box(const struct op *op, const struct stack_piece *s, const struct box *want,
                      struct box *part, struct box *in)
{
    const struct box *has = &op->in[s->input]->box;
    int d = op->plan->stack_dim;
    struct box range = *want;
    range.lo[d] = s->lo;
    range.hi[d] = s->hi;
    if (!box_intersect(want, &range, part)) return false;
    *in = *part;
    in->lo[d] += s->shift;
    in->hi[d] += s->shift;
    if (!box_intersect(in, has, in)) return false;
    *part = *in;
    part->lo[d] -= s->shift;
    part->hi[d] -= s->shift;
    return true;
}

int stack_reaches(const struct op *op, const struct box *want, struct reach *out)
{
    int n = 0;
    for (int i = 0; i < op->plan->n_pieces; i++) {
        struct box part;
        out[n].input = op->plan->pieces[i].input;
        if (piece_box(op, &op->plan->pieces[i], want, &part, &out[n].box)) n++;
    }
    return n;
}

static enum status place_piece(struct ctx *c, const struct chunk *in, const struct box *part,
                               struct chunk *out)
{
    struct box at = *part; /* the chunk's cells, by positions of the output */
    if (in->n_present == 0) return OK;
    box_copy_bits(out->present, &out->box, in->present, &at, part);
    for (int i = 0; i < out->n_cols; i++) {
        const struct column *from = &in->cols[i];
        struct column *to = &out->cols[i];
        box_copy(to->values, &out->box, from->values, &at, part, type_bytes(from->type));
        if (!from->valid) continue;
        TRY(column_need_valid(c, to, out->n));
        box_copy_bits(to->valid, &out->box, from->valid, &at, part);
    }
    return OK;
}

static enum status stack_produce(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    const struct plan *p = op->plan;
    struct chunk ch = {.n = 0}, in;
    void *bits;
    for (int i = 0; i < p->n_pieces; i++) {
        struct box part, from;
        if (!piece_box(op, &p->pieces[i], want, &part, &from)) continue;
        TRY(op_produce(c, op->in[p->pieces[i].input], &from, &in));
        if (box_equal(&part, want)) {
            *out = in;
            out->box = *want;
            out->rel = &p->rel;
            return OK;
        }
        if (!ch.cols) {
            TRY(chunk_alloc(c, &p->rel, want, &ch));
            TRY(scratch_zeroed(c, (size_t)bits_words(ch.n) * 8, &bits));
            ch.present = bits;
        }
        TRY(place_piece(c, &in, &part, &ch));
    }
    if (ch.cols) ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == 0)
        chunk_empty(&p->rel, want, out);
    else
        *out = ch;
    return OK;
}

const struct op_class op_stack_class = {"stack", stack_open, stack_produce, NULL};
