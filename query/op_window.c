/* Aggregates over windows of cells as an operator: a column more for each window.
 *
 * A box asks its input for the cells around it once, for all windows that stay near; where windows
 * reach past the array's edges, or farther than boxes do, the cells are asked for window by window.
 */
#include "query/op_window.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"
#include <string.h>

#define LARGE_STATE 4096       /* bytes: of such there is one, not one a cell */
#define LEAST_WORK (256 << 10) /* bytes of states at once */
#define MOST_WORK (8 << 20)
#define GOOD_BOX (64 * 1024) /* cells */
#define WORDS_BYTES 32       /* of a cell that windows without states touch */

struct window_state {
    struct windows w;
    int64_t work_bytes;
    double slot_bytes; /* of a cell's arguments */
};

/* ---- opening ---- */

static enum status bind_program(struct ctx *c, struct window_state *st)
{
    struct windows *w = &st->w;
    const struct plan *p = w->op->plan;
    const struct env *env = exec_env(w->op->exec);
    int most = 1;
    for (int i = 0; i < w->n; i++)
        most += p->cell_windows[i].call.n_args + 1;
    struct expr **es = arena_array(c->arena, struct expr *, most);
    struct program *program = NULL;
    for (int i = 0; i < w->n; i++) {
        struct window_call *k = &w->calls[i];
        k->plan = &p->cell_windows[i];
        TRY(agg_bind(c, &k->plan->call, env, es, &w->n_slots, &k->bound));
        k->set = (struct agg_set){.n = 1, .calls = &k->bound, .ranks = k->bound.ranks};
        k->each = k->bound.holistic || k->bound.state_bytes > LARGE_STATE;
    }
    for (int i = 0; i < w->n_slots; i++)
        st->slot_bytes += (double)type_bytes(es[i]->type) + 0.125;
    if (w->n_slots) TRY(program_compile(c, es, w->n_slots, &p->in[0]->rel, env, &program));
    w->program = program;
    return OK;
}

static enum status open_axes(struct ctx *c, struct windows *w, struct window_call *k)
{
    const struct cell_window *p = k->plan;
    k->n_axes = p->n_dims;
    k->axes = arena_array(c->arena, struct window_axis, p->n_dims + 1);
    k->far = arena_array(c->arena, struct far *, p->n_dims + 1);
    const struct window_place at = {w->op->plan, exec_env(w->op->exec), w->op->in[0]->box,
                                    w->op->box};
    for (int i = 0; i < p->n_dims; i++)
        TRY(window_axis_open(c, &at, &p->dims[i], p->edge, &k->axes[i]));
    /* Long windows first: what is summed up for them is then the input itself. */
    for (int i = 1; i < k->n_axes; i++) {
        struct window_axis a = k->axes[i];
        int j = i;
        for (; j > 0 && k->axes[j - 1].longest < a.longest; j--)
            k->axes[j] = k->axes[j - 1];
        k->axes[j] = a;
    }
    for (int i = 0; i < k->n_axes && !k->each; i++)
        TRY(far_open(c, w, k, i));
    return OK;
}

/* Boxes at least as long as the blocks of long windows, and as half the short ones. Long windows
 * that memory allows no blocks of have boxes as long as they are, however large: each box reads
 * what it covers, and the driver cuts it along the other dimensions. */
static void window_grid(struct op *op, const struct windows *w)
{
    for (int i = 0; i < w->n; i++)
        for (int n = 0; n < w->calls[i].n_axes; n++) {
            const struct window_axis *a = &w->calls[i].axes[n];
            const struct far *f = w->calls[i].far[n];
            bool whole = !f && far_is_worth_it(w, a);
            int64_t good = f ? far_block(f) : whole ? a->longest : a->longest / 2;
            while (op->grid[a->dim] < good && (whole || grid_cells(op) <= GOOD_BOX / 2))
                op->grid[a->dim] *= 2;
        }
}

static enum status window_open(struct ctx *c, struct op *op)
{
    struct window_state *st = arena_new_of(c->arena, struct window_state);
    op->state = st;
    op->box = op->in[0]->box;
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = op->in[0]->grid[d];
    box_in_region(op);
    st->work_bytes = memory_share(c, 8) / pool_width(c);
    if (st->work_bytes < LEAST_WORK) st->work_bytes = LEAST_WORK;
    if (st->work_bytes > MOST_WORK) st->work_bytes = MOST_WORK;
    struct windows *w = &st->w;
    w->op = op;
    w->n = op->plan->n_cell_windows;
    w->calls = arena_array(c->arena, struct window_call, w->n + 1);
    TRY(bind_program(c, st));
    for (int i = 0; i < w->n; i++)
        TRY(open_axes(c, w, &w->calls[i]));
    window_grid(op, w);
    return OK;
}

static void window_close(struct op *op)
{
    struct window_state *st = op->state;
    for (int i = 0; st && i < st->w.n; i++)
        for (int n = 0; n < st->w.calls[i].n_axes; n++) {
            far_free(st->w.calls[i].far[n]);
            st->w.calls[i].far[n] = NULL;
        }
}

/* ---- what a box is made from ---- */

static bool all_near(const struct window_call *k)
{
    for (int i = 0; i < k->n_axes; i++)
        if (k->far[i]) return false;
    return true;
}

/* Of an axis, as near as can be told without evaluating bounds. */
static void axis_reach(const struct window_axis *a, const struct far *f, struct box *b)
{
    int64_t lo = b->lo[a->dim], hi = b->hi[a->dim];
    if (f) {
        lo -= far_block(f);
    } else {
        if (a->lo.kind == BOUND_SHIFT)
            lo += tile_of(a->lo.k + 1, 2) < 0 ? tile_of(a->lo.k + 1, 2) : 0;
        else
            lo = a->lo.kind != BOUND_EXPR && a->first < lo ? a->first : lo - a->longest;
        if (a->hi.kind == BOUND_SHIFT)
            hi += a->hi.k > 0 ? a->hi.k / 2 : 0;
        else
            hi = a->hi.kind != BOUND_EXPR && a->last > hi ? a->last : hi + a->longest;
    }
    if (lo < a->edge_lo) lo = a->edge_lo;
    if (hi > a->edge_hi) hi = a->edge_hi;
    if (lo < b->lo[a->dim]) b->lo[a->dim] = lo;
    if (hi > b->hi[a->dim]) b->hi[a->dim] = hi;
}

bool window_reach(const struct op *op, const struct box *want, struct box *out)
{
    const struct window_state *st = op->state;
    *out = *want;
    for (int i = 0; i < st->w.n; i++) {
        const struct window_call *k = &st->w.calls[i];
        struct box b = *want;
        for (int n = 0; n < k->n_axes; n++)
            axis_reach(&k->axes[n], k->far[n], &b);
        box_hull(out, &b, out);
    }
    return box_intersect(out, &op->in[0]->box, out);
}

/* Of boxes as large as this one, the most that any reads at once: the first one's windows end
 * early. Where there are blocks, pieces read their ends. */
void window_most(const struct op *op, const struct box *want, struct box *out)
{
    const struct window_state *st = op->state;
    const struct box *in = &op->in[0]->box;
    *out = *want;
    for (int i = 0; i < st->w.n; i++) {
        const struct window_call *k = &st->w.calls[i];
        for (int n = 0; n < k->n_axes && all_near(k); n++) {
            int d = k->axes[n].dim;
            int64_t most = box_extent(in, d), extent = box_extent(want, d);
            extent = k->axes[n].longest < most - extent ? extent + k->axes[n].longest : most;
            if (extent <= box_extent(out, d)) continue;
            if (out->lo[d] > in->hi[d] - extent) out->lo[d] = in->hi[d] - extent;
            out->hi[d] = out->lo[d] + extent;
        }
    }
}

double window_bytes(const struct op *op, const struct box *box)
{
    const struct window_state *st = op->state;
    struct box in;
    window_most(op, box, &in);
    /* States or words, and cells that pieces read; arguments. */
    return 2 * (double)st->work_bytes + (double)box_cells(&in) * (st->slot_bytes + 0.25);
}

/* ---- producing ---- */

static bool past_edges(const struct window_call *k, const struct box *hull)
{
    for (int i = 0; i < k->n_axes; i++) {
        const struct window_axis *a = &k->axes[i];
        if (a->edge >= EDGE_NEAREST &&
            (hull->lo[a->dim] < a->edge_lo || hull->hi[a->dim] > a->edge_hi))
            return true;
    }
    return false;
}

/* Grows the box by what the call reads of the input as it lies there. */
static void add_hull(struct ctx *c, const struct windows *w, const struct window_call *k,
                     const struct box *want, struct box *out)
{
    struct box hull;
    if (!all_near(k) || !window_hull(c, k, k->n_axes, want, &hull) || past_edges(k, &hull)) return;
    if (!box_intersect(&hull, &w->op->in[0]->box, &hull)) return;
    box_hull(out, &hull, out);
}

/* Cells whose window leaves the array are NULL, if EDGE says so, and not computed. */
static enum status mark_leaving(struct ctx *c, const struct window_call *k, const struct box *box,
                                uint64_t *todo, struct column *out)
{
    int64_t n = box_cells(box), inner = 1;
    for (int i = 0; i < k->n_axes && k->plan->edge == EDGE_NULL; i++) {
        const struct window_axis *a = &k->axes[i];
        struct ranges r;
        int64_t extent = box_extent(box, a->dim);
        inner = 1;
        for (int d = a->dim + 1; d < box->n_dims; d++)
            inner *= box_extent(box, d);
        TRY(window_ranges(c, a, box->lo[a->dim], extent, &r));
        for (int64_t at = 0; at < n; at += inner) {
            if (!r.leaves[at / inner % extent]) continue;
            bits_fill(todo, at, inner, false);
            bits_fill(out->valid, at, inner, false);
        }
    }
    return OK;
}

enum status window_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                          struct column *out, int64_t i)
{
    TRY(k->ops->finish(c, k, state, out, i));
    return column_keep_text(c, out, i);
}

struct task {
    const struct window_state *st;
    struct window_source source;
    const struct box *want;
    const uint64_t *todo; /* over want */
    struct column *out;
};

/* Results of a piece's cells, from its states. */
static enum status finish_piece(struct ctx *c, const struct task *t, const struct box *box,
                                const struct acc *acc)
{
    const struct agg_bound *k = &t->source.k->bound;
    int last = box->n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(box, last), n = box_cells(box);
    for (int64_t at = 0; at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(box, at, pos);
        int64_t first = box_index(t->want, pos);
        for (int64_t i = bits_next(t->todo, first, first + row); i < first + row;
             i = bits_next(t->todo, i + 1, first + row)) {
            TRY(window_finish(c, k, acc_state(acc, 0, at + i - first), t->out, i));
        }
    }
    return OK;
}

/* Bytes of states, or words, that the piece takes. */
static double piece_bytes(const struct task *t, const struct box *box, bool words)
{
    const struct window_call *k = t->source.k;
    struct box hull = *box;
    for (int i = 0; i < k->n_axes; i++) {
        const struct window_axis *a = &k->axes[i];
        const struct far *f = k->far[i];
        int64_t extent = box_extent(box, a->dim);
        axis_reach(a, f, &hull);
        if (f) /* ends of windows, wherever they lie */
            hull.hi[a->dim] =
                hull.lo[a->dim] + extent + far_block(f) * (a->from_first || a->to_last ? 1 : 2);
        else if (a->edge >= EDGE_NEAREST)
            hull.hi[a->dim] = hull.lo[a->dim] + extent + a->longest;
    }
    if (words) return (double)box_cells(&hull) * (k->n_axes > 2 ? 2 : 1) * WORDS_BYTES;
    return ((double)box_cells(&hull) + 3.0 * (double)box_cells(box)) *
           (double)window_state_bytes(k);
}

/* Halves the piece along the dimension that saves most until its states, or words, fit. */
static enum status run_piece(struct ctx *c, const struct task *t, const struct box *box, bool words)
{
    /* Where most is what is read around the piece, smaller ones would read it again and again. */
    double bytes = piece_bytes(t, box, words), least = 0.8 * bytes;
    int best = -1;
    for (int d = 0; d < box->n_dims && bytes > (double)t->st->work_bytes; d++) {
        struct box half = *box;
        if (box_extent(box, d) < 2) continue;
        half.hi[d] = half.lo[d] + (box_extent(box, d) + 1) / 2;
        double b = piece_bytes(t, &half, words);
        if (b >= least) continue;
        least = b;
        best = d;
    }
    if (best >= 0) {
        struct box half = *box;
        half.hi[best] = half.lo[best] + (box_extent(box, best) + 1) / 2;
        TRY(run_piece(c, t, &half, words));
        half.lo[best] = half.hi[best];
        half.hi[best] = box->hi[best];
        return run_piece(c, t, &half, words);
    }
    struct acc acc;
    if (words) {
        bool done;
        struct scratch_mark m = scratch_mark(c->scratch);
        TRY(window_words(c, &t->source, box, t->out, t->want, &done));
        scratch_release(c->scratch, m);
        return done ? OK : run_piece(c, t, box, false);
    }
    TRY(window_states(c, &t->source, t->source.k->n_axes, box, &acc));
    enum status st = finish_piece(c, t, box, &acc);
    acc_free(&acc);
    return st;
}

static enum status run_call(struct ctx *c, const struct window_state *st,
                            const struct window_call *k, const struct chunk *own,
                            const struct chunk *near, struct column *out)
{
    void *mem;
    int64_t n = own->n;
    struct box outer = own->box, hull;
    struct chunk padded;
    TRY(column_alloc(c, k->bound.result, n, out));
    TRY(column_need_valid(c, out, n));
    if (type_is_varlen(out->type)) memset(out->values, 0, (size_t)n * type_bytes(out->type));
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &mem));
    bits_fill(mem, 0, n, true);
    if (own->present) bits_and(mem, own->present, n);
    struct task t = {st, {.w = &st->w, .k = k}, &own->box, mem, out};
    TRY(mark_leaving(c, k, &own->box, mem, out));
    for (int i = 0; i < k->n_axes; i++) {
        outer.lo[k->axes[i].dim] = k->axes[i].first;
        outer.hi[k->axes[i].dim] = k->axes[i].last;
    }
    t.source.outer = outer;
    t.source.have = near;
    if (all_near(k)) {
        if (window_hull(c, k, k->n_axes, &own->box, &hull) && past_edges(k, &hull)) {
            TRY(window_pad(c, &st->w, k, &hull, &padded));
            t.source.have = &padded;
        }
    }
    if (k->each) return window_each(c, &t.source, &own->box, t.todo, out);
    return run_piece(c, &t, &own->box, window_has_words(k));
}

static enum status window_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    const struct window_state *st = op->state;
    const struct rel *rel = &op->plan->rel;
    struct box near = *want;
    struct chunk in, cols, own;
    void *mem;
    int n_in = op->plan->in[0]->rel.n_cols;
    for (int i = 0; i < st->w.n; i++)
        add_hull(c, &st->w, &st->w.calls[i], want, &near);
    chunk_empty(rel, want, out);
    TRY(window_input(c, &st->w, &near, &in, &cols));
    if (in.n_present == 0) return OK;
    TRY(chunk_cut(c, &in, want, &own));
    if (own.n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(rel->n_cols + 1), &mem));
    struct column *all = mem;
    memcpy(all, own.cols, sizeof *all * (size_t)n_in);
    for (int i = 0; i < st->w.n; i++)
        TRY(run_call(c, st, &st->w.calls[i], &own, &cols, &all[n_in + i]));
    own.cols = all;
    own.n_cols = rel->n_cols;
    own.rel = rel;
    *out = own;
    return OK;
}

const struct op_class op_window_cells_class = {"window", window_open, window_produce, window_close};
