/* An array over other axes: nearest cells, interpolated ones, or means (regrid.h).
 *
 * A box is made from the box of the input under it. That one is gone through in slabs along the
 * first dimension, one at a time, so that a mean over a whole array needs the memory of a slab;
 * within a slab the inner dimensions are done first, one after the other, then the first: every
 * cell's sum has the same order however boxes and slabs are cut. */
#include "query/gather.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include "query/regrid.h"
#include <string.h>

enum { SLAB_CELLS = 128 * 1024 };

struct regrid {
    bool changed[MAX_DIMS];
    struct spans spans[MAX_DIMS];
};

bool regrid_reach(const struct op *op, const struct box *want, struct box *out)
{
    const struct regrid *r = op->state;
    *out = *want;
    for (int d = 0; d < want->n_dims; d++)
        if (r->changed[d] &&
            !spans_reach(&r->spans[d], want->lo[d], want->hi[d], &out->lo[d], &out->hi[d]))
            return false;
    return true;
}

int64_t regrid_slab(const struct box *reach)
{
    int64_t row = 1, rows = box_extent(reach, 0);
    for (int d = 1; d < reach->n_dims; d++)
        row *= box_extent(reach, d);
    int64_t most = row >= SLAB_CELLS ? 1 : SLAB_CELLS / (row > 0 ? row : 1);
    return rows < most ? rows : most;
}

static enum status regrid_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct regrid *r = arena_new_of(c->arena, struct regrid);
    op->state = r;
    for (int d = 0; d < p->rel.n_dims; d++) {
        struct rel_dim from = p->in[0]->rel.dims[d];
        r->changed[d] = p->regridded[d];
        op->grid[d] = op->in[0]->grid[d];
        if (!r->changed[d]) {
            op->box.lo[d] = op->in[0]->box.lo[d];
            op->box.hi[d] = op->in[0]->box.hi[d];
            continue;
        }
        op->box.lo[d] = p->rel.dims[d].lo;
        op->box.hi[d] = p->rel.dims[d].hi;
        from.lo = p->region.lo[d];
        from.hi = p->region.hi[d];
        TRY(at(c, regrid_spans(c, p->regrid, &from, &p->rel.dims[d], &r->spans[d]), p->pos));
        op->grid[d] = p->rel.dims[d].tile;
    }
    box_in_region(op);
    while (grid_cells(op) > 2 * SLAB_CELLS) {
        int longest = 0;
        for (int d = 1; d < op->box.n_dims; d++)
            if (op->grid[d] > op->grid[longest]) longest = d;
        op->grid[longest] = grid_halve(op->grid[longest]);
    }
    return OK;
}

static void regrid_close(struct op *op)
{
    struct regrid *r = op->state;
    for (int d = 0; r && d < MAX_DIMS; d++)
        spans_free(&r->spans[d]);
}

/* ---- nearest: cells of any type are copied ---- */

/* Offsets into the input's chunk for each position of the part, -1 outside. */
static enum status nearest_index(struct ctx *c, const struct spans *s, const struct box *part,
                                 int d, const struct box *in, int64_t stride, const int64_t **out)
{
    int64_t n = box_extent(part, d);
    void *memory;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)n, &memory));
    int64_t *index = memory;
    for (int64_t i = 0; i < n; i++) {
        const struct span *x = &s->of[part->lo[d] + i - s->lo];
        bool there = x->n && x->from >= in->lo[d] && x->from < in->hi[d];
        index[i] = there ? (x->from - in->lo[d]) * stride : -1;
    }
    *out = index;
    return OK;
}

static enum status copy_nearest(struct ctx *c, struct op *op, const struct chunk *in,
                                const struct box *part, struct chunk *out)
{
    const struct regrid *r = op->state;
    struct gather g;
    int64_t strides[MAX_DIMS];
    box_strides(&in->box, strides);
    gather_into(&g, &out->box, part);
    for (int d = 0; d < part->n_dims; d++) {
        g.src_stride[d] = strides[d];
        if (!r->changed[d])
            g.src_start += (part->lo[d] - in->box.lo[d]) * strides[d];
        else
            TRY(nearest_index(c, &r->spans[d], part, d, &in->box, strides[d], &g.index[d]));
    }
    gather_simplify(&g);
    gather_bits(&g, out->present, in->present);
    for (int i = 0; i < out->n_cols; i++) {
        gather_values(&g, out->cols[i].values, in->cols[i].values, type_bytes(in->cols[i].type));
        if (in->cols[i].valid) gather_bits(&g, out->cols[i].valid, in->cols[i].valid);
    }
    return OK;
}

static enum status nearest_produce(struct ctx *c, struct op *op, const struct box *want,
                                   struct chunk *out)
{
    struct box part = *want, reach;
    bool keep = false; /* texts may lie in the input's chunks: those stay */
    for (int i = 0; i < out->n_cols; i++)
        keep |= type_is_varlen(out->cols[i].type);
    for (int64_t hi; part.lo[0] < want->hi[0]; part.lo[0] = hi) {
        struct chunk in;
        hi = want->hi[0];
        part.hi[0] = hi;
        if (!op_reach(op, 0, &part, &reach)) return OK;
        int64_t rows = regrid_slab(&reach);
        while (hi > part.lo[0] + 1 && box_extent(&reach, 0) > rows) {
            hi = part.lo[0] + (hi - part.lo[0] + 1) / 2;
            part.hi[0] = hi;
            if (!op_reach(op, 0, &part, &reach)) break;
        }
        if (!op_reach(op, 0, &part, &reach)) continue;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(op_produce(c, op->in[0], &reach, &in));
        if (in.n_present) TRY(copy_nearest(c, op, &in, &part, out));
        if (!keep) scratch_release(c->scratch, mark);
    }
    return OK;
}

/* ---- sums with weights ---- */

/* What is summed up for one column, or for the presence (column NULL). */
struct channel {
    double *sum; /* over the output's cells */
    bool unit;   /* each cell with a weight counts 1 */
};

/* One number for each span of a line: numbers beside one another. */
static void sum_lines(const struct spans *s, int64_t lo, int64_t hi, int64_t at, int64_t extent,
                      bool unit, const double *restrict src, double *restrict dst)
{
    for (int64_t p = lo; p < hi; p++) {
        const struct span *x = &s->of[p - s->lo];
        int64_t k = x->from < at ? at - x->from : 0;
        int64_t end = x->from + x->n > at + extent ? at + extent - x->from : x->n;
        const double *row = src + (x->from - at);
        double sum = 0;
        for (; k < end; k++) {
            double w = span_weight(s, x, k);
            if (w != 0) sum += unit ? row[k] : w * row[k];
        }
        dst[p - lo] = sum;
    }
}

/* src: n_outer × extent of the spans' old axis × inner, from old position `at`; to dst. What spans
 * have beyond that does not exist. */
static void sum_along(const struct spans *s, int64_t lo, int64_t hi, int64_t at, int64_t extent,
                      int64_t n_outer, int64_t inner, bool unit, const double *restrict src,
                      double *restrict dst)
{
    for (int64_t o = 0; o < n_outer; o++) {
        if (inner == 1) {
            sum_lines(s, lo, hi, at, extent, unit, src + o * extent, dst + o * (hi - lo));
            continue;
        }
        for (int64_t p = lo; p < hi; p++, dst += inner) {
            const struct span *x = &s->of[p - s->lo];
            for (int64_t i = 0; i < inner; i++)
                dst[i] = 0;
            int64_t k = x->from < at ? at - x->from : 0;
            int64_t end = x->from + x->n > at + extent ? at + extent - x->from : x->n;
            for (; k < end; k++) {
                double w = span_weight(s, x, k);
                const double *row = src + (x->from + k - at) * inner;
                if (w == 0) continue;
                if (unit) w = 1;
                for (int64_t i = 0; i < inner; i++)
                    dst[i] += w * row[i];
            }
        }
        src += extent * inner;
    }
}

/* Inner dimensions of a slab; the result is rows of the output's row size, in one of the two. */
static double *sum_inner(const struct regrid *r, const struct box *slab, const struct box *want,
                         bool unit, double *a, double *b)
{
    int64_t n_outer = box_extent(slab, 0), before[MAX_DIMS], inner = 1;
    for (int d = 1; d < slab->n_dims; d++) {
        before[d] = n_outer;
        n_outer *= box_extent(slab, d);
    }
    for (int d = slab->n_dims - 1; d > 0; d--) {
        if (r->changed[d]) {
            sum_along(&r->spans[d], want->lo[d], want->hi[d], slab->lo[d], box_extent(slab, d),
                      before[d], inner, unit, a, b);
            double *t = a;
            a = b;
            b = t;
        }
        inner *= box_extent(want, d);
    }
    return a;
}

/* Adds a slab's rows to the output's rows that they are part of, in the order of the old axis.
 * alike: there is one row, and all are as that one. */
static void sum_rows(const struct regrid *r, const struct box *slab, const struct box *want,
                     bool unit, bool alike, const double *rows, double *sum)
{
    int64_t n = 1;
    for (int d = 1; d < want->n_dims; d++)
        n *= box_extent(want, d);
    for (int64_t p = want->lo[0]; p < want->hi[0]; p++, sum += n) {
        int64_t from = p, to = p + 1;
        const struct span *x = r->changed[0] ? &r->spans[0].of[p - r->spans[0].lo] : NULL;
        if (x) {
            from = x->from;
            to = x->from + x->n;
        }
        for (int64_t k = from < slab->lo[0] ? slab->lo[0] : from; k < to && k < slab->hi[0]; k++) {
            double w = x ? span_weight(&r->spans[0], x, k - from) : 1;
            const double *row = rows + (alike ? 0 : (k - slab->lo[0]) * n);
            if (w == 0) continue;
            if (unit) w = 1;
            for (int64_t i = 0; i < n; i++)
                sum[i] += w * row[i];
        }
    }
}

/* The numbers of a column, 0 where the cell is EMPTY or the value NULL. */
static void as_doubles(const struct chunk *in, const struct column *col, double *out)
{
    for (int64_t i = 0; i < in->n; i++)
        out[i] = 0;
    switch (col->type) {
#define X(t, C)                                                                                    \
    case t:                                                                                        \
        for (int64_t i = 0; i < in->n; i++)                                                        \
            out[i] = (double)((const C *)col->values)[i];                                          \
        break;
        X(T_INT8, int8_t)
        X(T_INT16, int16_t)
        X(T_INT32, int32_t)
        X(T_INT64, int64_t)
        X(T_UINT8, uint8_t)
        X(T_UINT16, uint16_t)
        X(T_UINT32, uint32_t)
        X(T_UINT64, uint64_t)
        X(T_FLOAT32, float)
        X(T_FLOAT64, double)
#undef X
    default:
        break;
    }
    for (int64_t i = 0; (in->present || col->valid) && i < in->n; i++)
        if ((in->present && !bit_get(in->present, i)) || column_is_null(col, i)) out[i] = 0;
}

/* 1 where a cell is there (and not NULL, when a column is given). True: that is everywhere, and
 * only the first row is filled. */
static bool as_marks(const struct chunk *in, const struct column *col, double *out)
{
    bool all = !in->present && !(col && col->valid);
    int64_t n = all ? in->n / box_extent(&in->box, 0) : in->n;
    for (int64_t i = 0; i < n; i++)
        out[i] = (!in->present || bit_get(in->present, i)) && !(col && column_is_null(col, i));
    return all;
}

struct slab {
    struct op *op;
    const struct box *want;
    const struct chunk *in;
    double *a, *b;
};

static void add_channel(const struct slab *s, bool unit, bool alike, double *sum)
{
    const struct regrid *r = s->op->state;
    struct box filled = s->in->box;
    if (alike) filled.hi[0] = filled.lo[0] + 1;
    const double *rows = sum_inner(r, &filled, s->want, unit, s->a, s->b);
    sum_rows(r, &s->in->box, s->want, unit, alike, rows, sum);
}

/* Doubles that the passes over a slab need at most. */
static int64_t most_doubles(const struct regrid *r, const struct box *slab, const struct box *want)
{
    int64_t n = box_cells(slab), most = n;
    for (int d = slab->n_dims - 1; d > 0; d--) {
        if (!r->changed[d] || box_extent(slab, d) == 0) continue;
        n = n / box_extent(slab, d) * box_extent(want, d);
        if (n > most) most = n;
    }
    return most;
}

static enum status doubles(struct ctx *c, int64_t n, double **out)
{
    void *memory;
    TRY(scratch_alloc(c, sizeof(double) * (size_t)(n + 1), &memory));
    *out = memory;
    return OK;
}

/* Sums over the output's cells: [0] of presence, then of each column its values and its weights. */
static enum status add_slab(struct ctx *c, struct op *op, const struct box *want,
                            const struct chunk *in, double **sums)
{
    bool mean = op->plan->regrid == REGRID_MEAN;
    struct slab s = {.op = op, .want = want, .in = in};
    int64_t n = most_doubles(op->state, &in->box, want);
    TRY(doubles(c, n, &s.a));
    TRY(doubles(c, n, &s.b));
    bool alike = as_marks(in, NULL, s.a);
    add_channel(&s, true, alike, sums[0]);
    for (int i = 0; i < in->n_cols; i++) {
        as_doubles(in, &in->cols[i], s.a);
        add_channel(&s, false, false, sums[1 + 2 * i]);
        alike = as_marks(in, &in->cols[i], s.a);
        add_channel(&s, !mean, alike, sums[2 + 2 * i]);
    }
    return OK;
}

/* From how many cells with a weight a position of dimension d is made. */
static double cells_along(const struct regrid *r, int d, int64_t pos)
{
    if (!r->changed[d]) return 1;
    const struct span *x = &r->spans[d].of[pos - r->spans[d].lo];
    int64_t count = 0;
    for (int64_t k = 0; k < x->n; k++)
        count += span_weight(&r->spans[d], x, k) != 0;
    return (double)count;
}

/* A mean is there where a cell is, and of those that are not NULL; an interpolated value where all
 * its cells are: `all`. */
static void finish_cell(double *const *sums, bool mean, double all, struct chunk *out, int64_t i)
{
    if (all == 0 || sums[0][i] < all) return;
    bit_set(out->present, i);
    for (int k = 0; k < out->n_cols; k++) {
        double x = sums[1 + 2 * k][i], weight = sums[2 + 2 * k][i];
        if (mean ? weight == 0 : weight < all) {
            bit_clear(out->cols[k].valid, i);
            continue;
        }
        if (mean) x /= weight;
        if (out->cols[k].type == T_FLOAT32)
            ((float *)out->cols[k].values)[i] = (float)x;
        else
            ((double *)out->cols[k].values)[i] = x;
    }
}

static enum status finish(struct ctx *c, const struct op *op, double *const *sums,
                          struct chunk *out)
{
    const struct regrid *r = op->state;
    bool mean = op->plan->regrid == REGRID_MEAN;
    int last = out->box.n_dims - 1;
    int64_t row = box_extent(&out->box, last);
    double *inner;
    TRY(doubles(c, row, &inner));
    for (int64_t i = 0; i < row; i++)
        inner[i] = mean ? 1 : cells_along(r, last, out->box.lo[last] + i);
    for (int64_t at = 0; at < out->n; at += row) {
        int64_t pos[MAX_DIMS];
        double outer = 1;
        box_position(&out->box, at, pos);
        for (int d = 0; d < last && !mean; d++)
            outer *= cells_along(r, d, pos[d]);
        for (int64_t i = 0; i < row; i++)
            finish_cell(sums, mean, outer * inner[i], out, at + i);
    }
    return OK;
}

static enum status weighted_produce(struct ctx *c, struct op *op, const struct box *want,
                                    struct chunk *out)
{
    int n = 1 + 2 * out->n_cols;
    struct box reach, slab;
    void *memory;
    if (!op_reach(op, 0, want, &reach)) return OK;
    TRY(scratch_alloc(c, sizeof(double *) * (size_t)n, &memory));
    double **sums = memory;
    for (int i = 0; i < n; i++) {
        TRY(doubles(c, out->n, &sums[i]));
        memset(sums[i], 0, sizeof(double) * (size_t)out->n);
    }
    int64_t rows = regrid_slab(&reach);
    slab = reach;
    for (int64_t at = reach.lo[0]; at < reach.hi[0]; at += rows) {
        struct chunk in;
        slab.lo[0] = at;
        slab.hi[0] = at + rows < reach.hi[0] ? at + rows : reach.hi[0];
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(op_produce(c, op->in[0], &slab, &in));
        if (in.n_present) TRY(add_slab(c, op, want, &in, sums));
        scratch_release(c->scratch, mark);
    }
    return finish(c, op, sums, out);
}

static enum status regrid_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    struct chunk ch;
    void *present;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(scratch_zeroed(c, (size_t)bits_words(ch.n) * 8, &present));
    ch.present = present;
    for (int i = 0; i < ch.n_cols; i++)
        TRY(column_need_valid(c, &ch.cols[i], ch.n));
    if (op->plan->regrid == REGRID_NEAREST)
        TRY(nearest_produce(c, op, want, &ch));
    else
        TRY(weighted_produce(c, op, want, &ch));
    ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == ch.n) ch.present = NULL;
    if (ch.n_present)
        *out = ch;
    else
        chunk_empty(&op->plan->rel, want, out);
    return OK;
}

const struct op_class op_regrid_class = {"regrid", regrid_open, regrid_produce, regrid_close};
