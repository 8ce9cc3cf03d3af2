/* The same cells elsewhere: fewer of them (slice), renumbered (rebase), with the dimensions in
 * another order (transpose).
 *
 * All three send an output position to one input position. Where the memory of the input's chunk
 * already is the output's, it is passed on; else cells are gathered, and where steps skip whole
 * tiles of the input, only the tiles between them are asked for. */
#include "query/gather.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include <string.h>

struct shape_state {
    struct shape s;
    bool as_is; /* chunks of the input are passed on */
    /* input positions of output dimension d that count: first + k × every; every 0: all */
    int64_t first[MAX_DIMS], every[MAX_DIMS];
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* The output's box: where the input's lies. */
static void shape_box(struct op *op, const struct shape *s)
{
    const struct rel *rel = &op->plan->rel;
    const struct op *in = op->in[0];
    for (int d = 0; d < rel->n_dims; d++) {
        int64_t in_lo = in->box.lo[s->from[d]], in_hi = in->box.hi[s->from[d]];
        int64_t lo = floor_div(in_lo - s->origin[d] + s->step[d] - 1, s->step[d]);
        int64_t hi = floor_div(in_hi - 1 - s->origin[d], s->step[d]) + 1;
        op->box.lo[d] = lo;
        op->box.hi[d] = hi > lo && in_hi > in_lo ? hi : lo;
    }
    box_in_region(op);
}

static void shape_grid(struct op *op, const struct shape *s)
{
    const struct op *in = op->in[0];
    for (int d = 0; d < op->box.n_dims; d++) {
        int64_t grid = in->grid[s->from[d]];
        if (grid >= box_extent(&in->box, s->from[d]))
            op->grid[d] = grid_whole(&op->box, d);
        else
            op->grid[d] = grid > s->step[d] ? grid / s->step[d] : 1;
    }
}

static enum status shape_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct shape_state *st = arena_new_of(c->arena, struct shape_state);
    op->state = st;
    shape_of(p, &st->s);
    shape_box(op, &st->s);
    shape_grid(op, &st->s);
    st->as_is = true;
    for (int d = 0; d < p->rel.n_dims; d++) {
        int64_t stride = p->kind == P_REBASE ? st->s.step[d] : p->rel.dims[d].stride;
        if (stride > 1 && stride >= op->in[0]->grid[st->s.from[d]]) {
            st->every[d] = stride;
            st->first[d] = p->kind == P_REBASE ? st->s.origin[d] : p->rel.dims[d].lo;
            st->as_is = false;
        }
        if (st->s.step[d] > 1 || (d && st->s.from[d] < st->s.from[d - 1])) st->as_is = false;
    }
    return OK;
}

/* Copies what the input gave for the reach of `part` (output positions) to its place. */
static enum status place(struct ctx *c, const struct shape *s, const struct chunk *in,
                         const struct box *part, struct chunk *out)
{
    struct gather g;
    int64_t strides[MAX_DIMS];
    box_strides(&in->box, strides);
    gather_into(&g, &out->box, part);
    for (int d = 0; d < part->n_dims; d++)
        g.src_stride[d] = strides[s->from[d]] * s->step[d];
    gather_simplify(&g);
    gather_bits(&g, out->present, in->present);
    for (int i = 0; i < out->n_cols; i++) {
        gather_values(&g, out->cols[i].values, in->cols[i].values, type_bytes(in->cols[i].type));
        if (!in->cols[i].valid) continue;
        TRY(column_need_valid(c, &out->cols[i], out->n));
        gather_bits(&g, out->cols[i].valid, in->cols[i].valid);
    }
    return OK;
}

/* Fills `part` of out: position by position along the dimensions from d on whose steps skip tiles,
 * and each piece in one go. */
static enum status fill(struct ctx *c, struct op *op, int d, struct box *part, struct chunk *out)
{
    const struct shape_state *st = op->state;
    while (d < part->n_dims && !st->every[d])
        d++;
    if (d < part->n_dims) {
        int64_t lo = part->lo[d], hi = part->hi[d];
        int64_t step = op->plan->kind == P_REBASE ? 1 : st->every[d];
        int64_t from = step == 1 ? lo : lo + (step - (lo - st->first[d]) % step) % step;
        for (int64_t p = from; p < hi; p += step) {
            part->lo[d] = p;
            part->hi[d] = p + 1;
            TRY(fill(c, op, d + 1, part, out));
        }
        part->lo[d] = lo;
        part->hi[d] = hi;
        return OK;
    }
    struct box in_box;
    struct chunk in;
    if (!op_reach(op, 0, part, &in_box)) return OK;
    TRY(op_produce(c, op->in[0], &in_box, &in));
    return in.n_present ? place(c, &st->s, &in, part, out) : OK;
}

static enum status gather_chunk(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    struct chunk ch;
    void *present;
    struct box part = *want;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(scratch_alloc(c, (size_t)bits_words(ch.n) * 8, &present));
    memset(present, 0, (size_t)bits_words(ch.n) * 8);
    ch.present = present;
    TRY(fill(c, op, 0, &part, &ch));
    ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == ch.n) ch.present = NULL;
    *out = ch;
    return OK;
}

static enum status shape_produce(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    const struct shape_state *st = op->state;
    struct chunk ch;
    if (st->as_is) {
        struct box in_box;
        if (!op_reach(op, 0, want, &in_box)) {
            chunk_empty(&op->plan->rel, want, out);
            return OK;
        }
        TRY(op_produce(c, op->in[0], &in_box, &ch));
        ch.box = *want;
        ch.rel = &op->plan->rel;
    } else {
        TRY(gather_chunk(c, op, want, &ch));
    }
    if (op->plan->kind != P_REBASE) TRY(chunk_mask_strides(c, ch.rel, &ch));
    if (ch.n_present == 0) chunk_empty(&op->plan->rel, want, &ch);
    *out = ch;
    return OK;
}

const struct op_class op_slice_class = {"slice", shape_open, shape_produce, NULL};
const struct op_class op_rebase_class = {"rebase", shape_open, shape_produce, NULL};
const struct op_class op_transpose_class = {"transpose", shape_open, shape_produce, NULL};
