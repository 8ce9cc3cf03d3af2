/* How are windows taken that are longer than boxes, cumulative ones above all?
 *
 * In two passes: open() cuts the axis into blocks and merges the states of each, for every place in
 * the other dimensions. A window is then the end of a block, whole blocks, and the start of a
 * block; only the ends are read again. Where all windows start at the first cell (or end at the
 * last), the blocks are merged from there on once and for all. */
#include "query/op_window.h"
#include "query/reach.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"
#include <stdlib.h>
#include <string.h>

#define NEAR_CELLS (64 * 1024) /* lines that a box of this size holds whole have no blocks */
#define LONGER 3               /* than the grid's boxes: windows that blocks are worth it for */
#define MOST_BLOCKS 4096

struct far {
    int dim;
    struct box region; /* virtual positions whose states are merged */
    int64_t block, n_blocks;
    bool from_first, to_last;
    struct box blocks; /* as region, but along dim: block numbers */
    struct acc sums;   /* over blocks. from_first: of all blocks before; to_last: of it and all
                          after */
};

int64_t far_block(const struct far *f)
{
    return f->block;
}

void far_free(struct far *f)
{
    if (!f) return;
    if (f->sums.set) acc_free(&f->sums);
    free(f);
}

/* ---- the first pass ---- */

struct pass {
    const struct windows *w;
    struct window_call *k;
    struct far *f;
    int axis;
    struct box outer;
    int64_t n_pieces[MAX_DIMS], extent[MAX_DIMS]; /* of the dimensions but f->dim */
};

/* Cells of the box, the chunk's, column by column. */
static void add_columns(const struct pass *p, const struct agg_input *in, int64_t j,
                        const struct box *box)
{
    struct far *f = p->f;
    int last = box->n_dims - 1;
    struct box places = *box;
    int64_t strides[MAX_DIMS], row = box_extent(box, last);
    box_strides(box, strides);
    places.hi[f->dim] = places.lo[f->dim] + 1;
    for (int64_t at = 0, n = box_cells(&places); at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(&places, at, pos);
        int64_t from = box_index(box, pos);
        pos[f->dim] = j;
        int64_t group = box_index(&f->blocks, pos);
        for (int64_t k = 0, n_columns; k < row; k += n_columns) {
            int32_t g[AGG_BLOCK];
            n_columns = row - k < AGG_BLOCK ? row - k : AGG_BLOCK;
            for (int64_t i = 0; i < n_columns; i++)
                g[i] = (int32_t)(group + k + i);
            acc_add_columns(&f->sums, g, in, from + k, box_extent(box, f->dim), strides[f->dim],
                            n_columns);
        }
    }
}

/* Cells of the box, read as they are, into the sums of block j. */
static enum status add_read(struct ctx *c, const struct pass *p, const struct window_source *s,
                            int64_t j, const struct box *box)
{
    struct chunk ch;
    struct agg_input in;
    struct far *f = p->f;
    int32_t g[AGG_BLOCK];
    int last = box->n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(box, last);
    TRY(window_pad(c, p->w, p->k, box, &ch));
    if (ch.n_present == 0) return OK;
    TRY(agg_input_make(c, &p->k->set, &ch, ch.cols, &s->outer, &in));
    if (f->dim != last && acc_takes_columns(&f->sums, &in)) {
        add_columns(p, &in, j, box);
        return OK;
    }
    for (int64_t at = 0; at < ch.n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(box, at, pos);
        pos[f->dim] = j;
        int64_t group = box_index(&f->blocks, pos);
        if (f->dim == last) {
            TRY(acc_add_run(c, &f->sums, group, &in, at, row));
            continue;
        }
        for (int64_t k = 0; k < row; k += AGG_BLOCK) {
            int64_t n = row - k < AGG_BLOCK ? row - k : AGG_BLOCK;
            for (int64_t i = 0; i < n; i++)
                g[i] = (int32_t)(group + k + i);
            TRY(acc_add_scatter(c, &f->sums, g, &in, at + k, n));
        }
    }
    return OK;
}

/* The same of what comes out of the axes before. */
static enum status add_states(struct ctx *c, const struct pass *p, const struct window_source *s,
                              int64_t j, const struct box *box)
{
    struct acc states;
    struct far *f = p->f;
    const struct agg_bound *k = &p->k->bound;
    TRY(window_states(c, s, p->axis, box, &states));
    enum status st = OK;
    int64_t n = box_cells(box);
    for (int64_t i = 0; i < n && st == OK; i++) {
        int64_t pos[MAX_DIMS];
        box_position(box, i, pos);
        pos[f->dim] = j;
        st = k->ops->merge(c, k, &f->sums.heap, acc_state(&f->sums, 0, box_index(&f->blocks, pos)),
                           acc_state(&states, 0, i));
    }
    acc_free(&states);
    return st;
}

static enum status add_block(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)worker;
    const struct pass *p = self;
    const struct far *f = p->f;
    struct box box = f->region;
    for (int d = box.n_dims - 1; d >= 0; d--) {
        int64_t at = task % p->n_pieces[d];
        task /= p->n_pieces[d];
        box.lo[d] += at * p->extent[d];
        if (box.hi[d] - box.lo[d] > p->extent[d]) box.hi[d] = box.lo[d] + p->extent[d];
    }
    struct window_source s = {.w = p->w, .k = p->k, .outer = p->outer};
    int64_t first = f->region.lo[f->dim], lo = box.lo[f->dim], hi = box.hi[f->dim];
    int64_t j = (lo - first) / f->block, rest = 1;
    for (int d = 0; d < box.n_dims; d++)
        if (d != f->dim) rest *= box_extent(&box, d);
    int64_t bytes = memory_share(c, 16) / (pool_width(c) * (2 * window_state_bytes(p->k) + 64));
    int64_t step = bytes / rest > 1 ? bytes / rest : 1;
    if (step > NEAR_CELLS / rest + 1) step = NEAR_CELLS / rest + 1;
    for (; lo < hi; lo += step) {
        box.lo[f->dim] = lo;
        box.hi[f->dim] = hi - lo < step ? hi : lo + step;
        struct scratch_mark m = scratch_mark(c->scratch);
        TRY(check_cancel(c));
        TRY((p->axis ? add_states : add_read)(c, p, &s, j, &box));
        scratch_release(c->scratch, m);
    }
    return OK;
}

static enum status add_blocks(struct ctx *c, struct pass *p)
{
    const struct far *f = p->f;
    const struct op *in = p->w->op->in[0];
    int64_t total = 1;
    for (int d = 0; d < f->region.n_dims; d++) {
        int64_t extent = box_extent(&f->region, d);
        p->extent[d] = d == f->dim ? f->block : in->grid[d] < extent ? in->grid[d] : extent;
        if (d != f->dim && p->extent[d] > 1024) p->extent[d] = 1024;
        p->n_pieces[d] = (extent + p->extent[d] - 1) / p->extent[d];
        if (__builtin_mul_overflow(total, p->n_pieces[d], &total))
            return fail(c, ERR_LIMIT_EXCEEDED, "the array has too many tiles to go through");
    }
    return pool_run(c, total, p->k->bound.ops->n_texts ? 1 : 0, add_block, p);
}

/* Merges each block's sum into the next one's: from block `at` on, in steps of `step`. */
static enum status run_on(struct ctx *c, const struct pass *p, int64_t at, int64_t step)
{
    struct far *f = p->f;
    const struct agg_bound *k = &p->k->bound;
    int64_t inner = 1, outer = 1, n = box_extent(&f->blocks, f->dim);
    for (int d = 0; d < f->dim; d++)
        outer *= box_extent(&f->blocks, d);
    for (int d = f->dim + 1; d < f->blocks.n_dims; d++)
        inner *= box_extent(&f->blocks, d);
    for (; at >= 0 && at < n; at += step)
        for (int64_t o = 0; o < outer; o++)
            for (int64_t q = 0; q < inner; q++) {
                int64_t to = (o * n + at) * inner + q;
                TRY(k->ops->merge(c, k, &f->sums.heap, acc_state(&f->sums, 0, to),
                                  acc_state(&f->sums, 0, to - step * inner)));
            }
    return OK;
}

/* How long blocks are: at least as the grid's boxes, longer where memory asks for it. 0: none fit.
 */
static int64_t block_length(struct ctx *c, const struct windows *w, const struct window_call *k,
                            int i, const struct box *region)
{
    const struct window_axis *a = &k->axes[i];
    int64_t length = box_extent(region, a->dim), block = w->op->in[0]->grid[a->dim], rest = 1;
    struct box others = *region;
    others.hi[a->dim] = others.lo[a->dim] + 1;
    rest = box_cells(&others);
    int64_t most = memory_share(c, 8) / (w->n * window_state_bytes(k));
    bool listed = !a->from_first && !a->to_last; /* a window then goes through its blocks */
    while (block < length && (rest > most / (length / block + 2) || length / block > MOST_BLOCKS ||
                              (listed && length / block > 16 * block)))
        block *= 2;
    return block < length && rest < INT32_MAX / (length / block + 2) ? block : 0;
}

static struct box region_of(const struct windows *w, const struct window_call *k, int i)
{
    struct box region = w->op->box;
    for (int n = i; n < k->n_axes; n++) {
        region.lo[k->axes[n].dim] = k->axes[n].first;
        region.hi[k->axes[n].dim] = k->axes[n].last;
    }
    return region;
}

bool far_is_worth_it(const struct windows *w, const struct window_axis *a)
{
    return a->longest / LONGER >= w->op->in[0]->grid[a->dim];
}

enum status far_open(struct ctx *c, const struct windows *w, struct window_call *k, int i)
{
    const struct window_axis *a = &k->axes[i];
    struct box region = region_of(w, k, i);
    if (!far_is_worth_it(w, a) || box_empty(&region) || !a->monotone) return OK;
    int64_t block = block_length(c, w, k, i, &region);
    if (!block || a->longest < 2 * block) return OK;
    struct far *f = calloc(1, sizeof *f);
    if (!f) return fail(c, ERR_MEMORY, "out of memory");
    k->far[i] = f;
    *f = (struct far){.dim = a->dim,
                      .region = region,
                      .block = block,
                      .from_first = a->from_first,
                      .to_last = a->to_last && !a->from_first,
                      .blocks = region};
    f->n_blocks = (box_extent(&region, a->dim) + block - 1) / block;
    f->blocks.lo[a->dim] = f->from_first ? -1 : 0; /* before the first: nothing */
    f->blocks.hi[a->dim] = f->n_blocks;
    struct pass p = {.w = w, .k = k, .f = f, .axis = i, .outer = region_of(w, k, 0)};
    TRY(window_acc(c, k, box_cells(&f->blocks), &f->sums));
    TRY(add_blocks(c, &p));
    if (f->from_first) TRY(run_on(c, &p, 1, 1));
    if (f->to_last) TRY(run_on(c, &p, f->n_blocks - 2, -1));
    return OK;
}

/* ---- the second pass ---- */

static enum status new_ranges(struct ctx *c, int64_t n, struct ranges *out)
{
    void *lo, *hi;
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &lo));
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &hi));
    *out = (struct ranges){.n = n, .lo = lo, .hi = hi};
    return OK;
}

enum status far_cut(struct ctx *c, const struct far *f, const struct ranges *r,
                    struct far_parts *out)
{
    struct ranges blocks;
    int64_t first = f->region.lo[f->dim], last = f->region.hi[f->dim];
    TRY(new_ranges(c, r->n, &out->head));
    TRY(new_ranges(c, r->n, &out->tail));
    TRY(new_ranges(c, r->n, &blocks));
    out->from = blocks.lo;
    out->to = blocks.hi;
    for (int64_t i = 0; i < r->n; i++) {
        int64_t lo = r->lo[i], hi = r->hi[i];
        if (lo == hi) lo = hi = first;
        int64_t from = (lo - first + f->block - 1) / f->block;
        int64_t to = hi == last ? f->n_blocks : (hi - first) / f->block;
        bool inside = from > to; /* one block, of which both ends are missing */
        int64_t from_at = first + from * f->block, to_at = first + to * f->block;
        out->from[i] = inside ? to : from;
        out->to[i] = to;
        out->head.lo[i] = lo;
        out->head.hi[i] = inside ? hi : from_at > last ? hi : from_at;
        out->tail.lo[i] = inside || to == f->n_blocks ? hi : to_at;
        out->tail.hi[i] = hi;
    }
    return OK;
}

/* Windows beside one another that hold the same whole blocks: what those come to is merged once,
 * and then into each of the windows. */
struct bundle {
    int64_t from, to;     /* blocks */
    int64_t group, step;  /* of the first block's sum, and to the next one's */
    int64_t at, n, inner; /* states of the windows: at, at + inner, … */
};

static enum status bundle_sum(struct ctx *c, const struct agg_bound *b, const struct far *f,
                              const struct bundle *u, struct text_heap *heap, void *sum)
{
    memset(sum, 0, b->state_bytes);
    if (!b->ops->empty_is_zero) b->ops->init(b, sum);
    for (int64_t k = 0; k < u->to - u->from; k++)
        TRY(b->ops->merge(c, b, heap, sum, acc_state(&f->sums, 0, u->group + k * u->step)));
    return OK;
}

static enum status add_bundle(struct ctx *c, const struct agg_bound *b, const struct far *f,
                              const struct bundle *u, void *sum, struct acc *out)
{
    TRY(bundle_sum(c, b, f, u, &out->heap, sum));
    for (int64_t i = 0; i < u->n; i++)
        TRY(b->ops->merge(c, b, &out->heap, acc_state(out, 0, u->at + i * u->inner), sum));
    return OK;
}

int64_t far_start(const struct far *f, int64_t block)
{
    int64_t at = f->region.lo[f->dim] + block * f->block, end = f->region.hi[f->dim];
    return at < end ? at : end;
}

enum status far_between(struct ctx *c, const struct window_call *k, const struct far *f,
                        int64_t from, int64_t to, const struct box *box, char **states)
{
    int64_t n = box_cells(box), pos[MAX_DIMS];
    struct text_heap none = {.last = NULL};
    struct bundle u = {.from = from, .to = to, .step = 1};
    void *mem;
    TRY(scratch_alloc(c, (size_t)n * k->bound.state_bytes, &mem));
    *states = mem;
    for (int d = f->dim + 1; d < box->n_dims; d++)
        u.step *= box_extent(&f->blocks, d);
    if (f->from_first || f->to_last) u.to = from + 1;
    for (int64_t i = 0; i < n; i++) {
        box_position(box, i, pos);
        pos[f->dim] = f->from_first ? to - 1 : from;
        u.group = box_index(&f->blocks, pos);
        TRY(bundle_sum(c, &k->bound, f, &u, &none, *states + (size_t)i * k->bound.state_bytes));
    }
    return OK;
}

static enum status add_whole(struct ctx *c, const struct window_call *k, const struct far *f,
                             const struct far_parts *parts, const struct box *box, struct acc *out)
{
    int64_t n = box_cells(box), inner = 1, step = 1, extent = box_extent(box, f->dim);
    void *sum;
    TRY(scratch_alloc(c, k->bound.state_bytes, &sum));
    for (int d = f->dim + 1; d < box->n_dims; d++) {
        inner *= box_extent(box, d);
        step *= box_extent(&f->blocks, d);
    }
    for (int64_t line = 0; line < n / extent; line++) {
        int64_t start = line / inner * extent * inner + line % inner, pos[MAX_DIMS];
        box_position(box, start, pos);
        for (int64_t i = 0, end; i < extent; i = end) {
            int64_t from = parts->from[i], to = parts->to[i];
            for (end = i + 1; end < extent; end++)
                if (parts->from[end] != from || parts->to[end] != to) break;
            if (from >= to) continue;
            pos[f->dim] = f->from_first ? to - 1 : from;
            if (f->from_first || f->to_last) to = from + 1;
            struct bundle u = {from,    to,   box_index(&f->blocks, pos), step, start + i * inner,
                               end - i, inner};
            TRY(add_bundle(c, &k->bound, f, &u, sum, out));
        }
    }
    return OK;
}

static enum status add_all(struct ctx *c, const struct window_call *k, struct acc *to,
                           const struct acc *from)
{
    const struct agg_bound *b = &k->bound;
    for (int64_t i = 0; i < to->n; i++)
        TRY(b->ops->merge(c, b, &to->heap, acc_state(to, 0, i), acc_state(from, 0, i)));
    return OK;
}

enum status far_states(struct ctx *c, const struct window_source *s, int n_axes,
                       const struct box *box, struct acc *out)
{
    const struct window_axis *a = &s->k->axes[n_axes - 1];
    const struct far *f = s->k->far[n_axes - 1];
    struct scratch_mark m = scratch_mark(c->scratch);
    struct ranges r;
    struct far_parts parts;
    struct acc acc, tail;
    int64_t lo, hi;
    TRY(window_ranges(c, a, box->lo[a->dim], box_extent(box, a->dim), &r));
    TRY(far_cut(c, f, &r, &parts));
    TRY(window_states_of(c, s, n_axes, box, &parts.head, &acc));
    enum status st = add_whole(c, s->k, f, &parts, box, &acc);
    if (st == OK && ranges_hull(&parts.tail, &lo, &hi)) {
        st = window_states_of(c, s, n_axes, box, &parts.tail, &tail);
        if (st == OK) {
            st = add_all(c, s->k, &acc, &tail);
            acc_free(&tail);
        }
    }
    scratch_release(c->scratch, m);
    if (st == OK)
        *out = acc;
    else
        acc_free(&acc);
    return st;
}
