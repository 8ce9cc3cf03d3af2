/* Which cells lie at the positions that a window touches, when some are past the array's edges?
 *
 * A virtual box is put together from pieces of the input: along each dimension from runs of
 * positions whose sources lie together. */
#include "query/gather.h"
#include "query/op_window.h"
#include <assert.h>
#include <string.h>

enum status window_input(struct ctx *c, const struct windows *w, const struct box *box,
                         struct chunk *in, struct chunk *cols)
{
    void *mem;
    TRY(op_produce(c, w->op->in[0], box, in));
    struct chunk out = *in;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(w->n_slots + 1), &mem));
    out.cols = mem;
    out.n_cols = w->n_slots;
    out.rel = NULL;
    if (in->n_present && w->program) TRY(program_run(c, w->program, in, out.cols));
    *cols = out;
    return OK;
}

/* Positions along a dimension: virtual ones [lo, hi) come from [from, to). */
struct run {
    int64_t lo, hi, from, to;
};

struct padding {
    const struct windows *w;
    const struct window_axis *axes[MAX_DIMS]; /* NULL: positions are the input's */
    int64_t n_runs[MAX_DIMS];
    struct run *runs[MAX_DIMS];
    struct chunk *out;
};

static bool near_to(int64_t a, int64_t b)
{
    return a - b <= 1 && b - a <= 1;
}

static enum status runs_of(struct ctx *c, struct padding *p, int d)
{
    const struct box *box = &p->out->box, *in = &p->w->op->in[0]->box;
    const struct window_axis *a = p->axes[d];
    int64_t n = 0, cap = 1, lo = box->lo[d], hi = box->hi[d];
    if (a) cap = 3 + (hi - lo) / (a->edge_hi - a->edge_lo);
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct run) * (size_t)cap, &mem));
    struct run *runs = mem;
    if (!a) {
        if (lo < in->lo[d]) lo = in->lo[d];
        if (hi > in->hi[d]) hi = in->hi[d];
        if (lo < hi) runs[n++] = (struct run){lo, hi, lo, hi};
    }
    for (int64_t v = lo, last = 0; a && v < hi; v++) {
        int64_t s = window_source(a, v);
        if (n == 0 || !near_to(s, last)) {
            assert(n < cap);
            runs[n++] = (struct run){v, v, s, s};
        }
        struct run *r = &runs[n - 1];
        r->hi = v + 1;
        if (s < r->from) r->from = s;
        if (s >= r->to) r->to = s + 1;
        last = s;
    }
    p->runs[d] = runs;
    p->n_runs[d] = n;
    return OK;
}

/* Offsets of the run's cells in what was read, -1 for those that were not. */
static enum status index_of(struct ctx *c, const struct window_axis *a, const struct run *r,
                            const struct box *read, int d, int64_t stride, const int64_t **out)
{
    void *mem;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(r->hi - r->lo), &mem));
    int64_t *index = mem;
    for (int64_t v = r->lo; v < r->hi; v++) {
        int64_t s = window_source(a, v);
        bool there = s >= read->lo[d] && s < read->hi[d];
        index[v - r->lo] = there ? (s - read->lo[d]) * stride : -1;
    }
    *out = index;
    return OK;
}

static enum status place(struct ctx *c, struct padding *p, const struct run *const *at,
                         const struct chunk *from)
{
    struct gather g;
    struct chunk *out = p->out;
    struct box part = {.n_dims = out->box.n_dims};
    int64_t strides[MAX_DIMS];
    for (int d = 0; d < part.n_dims; d++) {
        part.lo[d] = at[d]->lo;
        part.hi[d] = at[d]->hi;
    }
    box_strides(&from->box, strides);
    gather_into(&g, &out->box, &part);
    for (int d = 0; d < part.n_dims; d++) {
        g.src_stride[d] = strides[d];
        if (p->axes[d]) TRY(index_of(c, p->axes[d], at[d], &from->box, d, strides[d], &g.index[d]));
    }
    gather_simplify(&g);
    gather_bits(&g, out->present, from->present);
    for (int i = 0; i < out->n_cols; i++) {
        gather_values(&g, out->cols[i].values, from->cols[i].values,
                      type_bytes(from->cols[i].type));
        if (!from->cols[i].valid) continue;
        TRY(column_need_valid(c, &out->cols[i], out->n));
        gather_bits(&g, out->cols[i].valid, from->cols[i].valid);
    }
    return OK;
}

static enum status new_columns(struct ctx *c, struct padding *p, const struct chunk *like)
{
    struct chunk *out = p->out;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(like->n_cols + 1), &mem));
    out->cols = mem;
    for (int i = 0; i < like->n_cols; i++) {
        TRY(column_alloc(c, like->cols[i].type, out->n, &out->cols[i]));
        memset(out->cols[i].values, 0, (size_t)out->n * type_bytes(like->cols[i].type));
    }
    TRY(scratch_zeroed(c, (size_t)bits_words(out->n) * 8, &mem));
    out->present = mem;
    out->n_cols = like->n_cols;
    return OK;
}

static enum status fill(struct ctx *c, struct padding *p, int d, const struct run **at)
{
    struct box box = {.n_dims = p->out->box.n_dims};
    struct chunk in, cols;
    if (d < box.n_dims) {
        for (int64_t i = 0; i < p->n_runs[d]; i++) {
            at[d] = &p->runs[d][i];
            TRY(fill(c, p, d + 1, at));
        }
        return OK;
    }
    for (int i = 0; i < d; i++) {
        box.lo[i] = at[i]->from;
        box.hi[i] = at[i]->to;
    }
    if (!box_intersect(&box, &p->w->op->in[0]->box, &box)) return OK;
    TRY(window_input(c, p->w, &box, &in, &cols));
    if (cols.n_present == 0) return OK;
    if (!p->out->cols) TRY(new_columns(c, p, &cols));
    return place(c, p, at, &cols);
}

static bool is_outside(const struct window_axis *a, const struct box *box)
{
    return a->edge >= EDGE_NEAREST && a->edge_hi > a->edge_lo &&
           (box->lo[a->dim] < a->edge_lo || box->hi[a->dim] > a->edge_hi);
}

enum status window_pad(struct ctx *c, const struct windows *w, const struct window_call *k,
                       const struct box *box, struct chunk *out)
{
    struct padding p = {.w = w, .out = out};
    const struct run *at[MAX_DIMS];
    struct chunk in;
    bool outside = false;
    for (int i = 0; i < k->n_axes; i++) {
        if (!is_outside(&k->axes[i], box)) continue;
        p.axes[k->axes[i].dim] = &k->axes[i];
        outside = true;
    }
    if (!outside && box_contains(&w->op->in[0]->box, box) && !box_empty(box))
        return window_input(c, w, box, &in, out);
    chunk_empty(NULL, box, out);
    for (int d = 0; d < box->n_dims; d++)
        TRY(runs_of(c, &p, d));
    TRY(fill(c, &p, 0, at));
    out->n_present = out->present ? bits_count(out->present, 0, out->n) : 0;
    return OK;
}
