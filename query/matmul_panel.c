/* How does a chunk become a matrix, where some cells are missing and some are NULL? */
#include "query/gather.h"
#include "query/matmul.h"
#include "query/reach.h"
#include <math.h>
#include <string.h>

bool part_is_masked(const struct plan *pairs, const struct matmul_side *s, const struct chunk *ch,
                    const struct box *part)
{
    struct box box;
    int64_t at[MAX_DIMS];
    for (int i = 0; i < s->n; i++)
        if (s->pair[i] && s->pair[i]->map) return true;
    join_side_box(pairs, s->input, part, &box);
    if (!box_contains(&ch->box, &box)) return true;
    if (!ch->present && !ch->cols[0].valid) return false;
    int last = box.n_dims - 1;
    int64_t cells = box_cells(&box), row = box.n_dims ? box_extent(&box, last) : 1;
    for (int64_t i = 0; i < cells; i += row) {
        box_position(&box, i, at);
        int64_t from = box_index(&ch->box, at);
        if (ch->present && !bits_all(ch->present, from, row)) return true;
        if (ch->cols[0].valid && !bits_all(ch->cols[0].valid, from, row)) return true;
    }
    return false;
}

/* Loops over the part in the side's packed order. */
struct loops {
    struct gather g;
    int64_t cells[3]; /* of batch, rows, columns */
    int first[4];     /* a part's first loop */
};

static enum status index_of(struct ctx *c, const struct plan *pairs, const struct join_dim *pair,
                            const struct box *in, int r, int64_t lo, int64_t n, int64_t stride,
                            const int64_t **out)
{
    void *memory;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(n + 1), &memory));
    int64_t *index = memory;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = join_position(pairs, pair, lo + i);
        index[i] = at >= in->lo[r] && at < in->hi[r] ? (at - in->lo[r]) * stride : -1;
    }
    *out = index;
    return OK;
}

static enum status make_loops(struct ctx *c, const struct plan *pairs, const struct matmul_side *s,
                              const struct box *in, const struct box *part, struct loops *l)
{
    int64_t strides[MAX_DIMS], dst = 1;
    box_strides(in, strides);
    *l = (struct loops){.g.n = s->n, .cells = {1, 1, 1}};
    for (int k = 0, i = 0; k < 3; k++) {
        for (int j = 0; j < s->n_part[k]; j++, i++) {
            int r = s->dim[i], d = s->from[r];
            const struct join_dim *pair = s->pair[r];
            l->g.extent[i] = box_extent(part, d);
            l->g.src_stride[i] = strides[r];
            l->cells[k] *= l->g.extent[i];
            if (pair && pair->map) {
                TRY(index_of(c, pairs, pair, in, r, part->lo[d], l->g.extent[i], strides[r],
                             &l->g.index[i]));
            } else {
                int64_t at = part->lo[d] + (pair ? pair->shift : 0);
                l->g.src_start += (at - in->lo[r]) * strides[r];
            }
        }
        l->first[k + 1] = i;
    }
    for (int i = s->n - 1; i >= 0; i--) {
        l->g.dst_stride[i] = dst;
        dst *= l->g.extent[i];
    }
    return OK;
}

/* Do the loops of a part go through the source in equal steps? */
static bool one_step(const struct loops *l, int part, int64_t *step)
{
    int64_t cells = 1;
    *step = 1;
    for (int i = l->first[part + 1] - 1; i >= l->first[part]; i--) {
        if (l->g.index[i]) return false;
        if (l->g.extent[i] == 1) continue;
        if (cells == 1)
            *step = l->g.src_stride[i];
        else if (l->g.src_stride[i] != *step * cells)
            return false;
        cells *= l->g.extent[i];
    }
    return true;
}

/* The chunk's own memory as the operand, if it can be. */
static bool stands_as_is(const struct loops *l, const struct column *col, struct operand *out)
{
    int64_t batch, rows, cols;
    if (!one_step(l, 0, &batch) || !one_step(l, 1, &rows) || !one_step(l, 2, &cols)) return false;
    if (rows != 1 && cols != 1) return false;
    const char *values = col->values;
    *out = (struct operand){.m = {values + l->g.src_start * (int64_t)type_bytes(col->type),
                                  l->cells[1], l->cells[2], rows, cols},
                            .batch_step = batch};
    return true;
}

static enum status gathered_bits(struct ctx *c, const struct loops *l, int64_t row_words,
                                 const uint64_t *bits, uint64_t **out)
{
    struct gather g = l->g;
    void *memory;
    int64_t rows = l->cells[0] * l->cells[1], stride = row_words * 64;
    TRY(scratch_zeroed(c, (size_t)(rows * row_words) * 8 + 8, &memory));
    for (int i = l->first[2] - 1; i >= 0; i--) {
        g.dst_stride[i] = stride;
        stride *= g.extent[i];
    }
    gather_simplify(&g);
    gather_bits(&g, memory, bits);
    *out = memory;
    return OK;
}

/* ---- values under masks ---- */

static void clear_missing(const struct operand *o, int64_t n_rows, size_t bytes, char *values)
{
    for (int64_t i = 0; i < n_rows; i++) {
        const uint64_t *good = o->good + i * o->row_words;
        char *row = values + i * o->m.cols * (int64_t)bytes;
        if (bits_all(good, 0, o->m.cols)) continue;
        for (int64_t k = 0; k < o->m.cols; k++)
            if (!bit_get(good, k)) memset(row + k * (int64_t)bytes, 0, bytes);
    }
}

static double double_at(enum type t, const void *values, int64_t i)
{
    return t == T_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

static void zero_at(enum type t, void *values, int64_t i)
{
    if (t == T_FLOAT32)
        ((float *)values)[i] = 0;
    else
        ((double *)values)[i] = 0;
}

/* Infinities and NaN times the 0 of a missing cell would be NaN: they go one by one. */
static enum status take_odd(struct ctx *c, enum type t, int64_t n_batch, void *values,
                            struct operand *o)
{
    int64_t n = n_batch * o->m.rows * o->m.cols;
    void *memory;
    for (int64_t i = 0; i < n; i++)
        o->n_odd += !isfinite(double_at(t, values, i));
    if (o->n_odd == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct odd) * (size_t)o->n_odd, &memory));
    o->odd = memory;
    for (int64_t i = 0, k = 0; i < n; i++) {
        double v = double_at(t, values, i);
        if (isfinite(v)) continue;
        int64_t row = i / o->m.cols;
        o->odd[k++] = (struct odd){row / o->m.rows, row % o->m.rows, i % o->m.cols, v};
        zero_at(t, values, i);
    }
    return OK;
}

enum status operand_of(struct ctx *c, const struct plan *pairs, const struct matmul_side *s,
                       const struct chunk *ch, const struct box *part, bool copy,
                       struct operand *out)
{
    const struct column *col = &ch->cols[0];
    size_t bytes = type_bytes(col->type);
    struct loops l;
    void *memory;
    TRY(make_loops(c, pairs, s, &ch->box, part, &l));
    if (!copy && stands_as_is(&l, col, out)) return OK;
    int64_t rows = l.cells[0] * l.cells[1];
    struct gather g = l.g;
    TRY(scratch_alloc(c, bytes * (size_t)(rows * l.cells[2]) + bytes, &memory));
    gather_simplify(&g);
    gather_values(&g, memory, col->values, bytes);
    *out = (struct operand){.m = {memory, l.cells[1], l.cells[2], l.cells[2], 1},
                            .batch_step = l.cells[1] * l.cells[2]};
    if (!copy) return OK;
    out->row_words = bits_words(l.cells[2]);
    TRY(gathered_bits(c, &l, out->row_words, ch->present, &out->exists));
    out->good = out->exists;
    if (col->valid) {
        TRY(gathered_bits(c, &l, out->row_words, col->valid, &out->good));
        bits_and(out->good, out->exists, rows * out->row_words * 64);
    }
    clear_missing(out, rows, bytes, memory);
    return type_is_float(col->type) ? take_odd(c, col->type, l.cells[0], memory, out) : OK;
}
