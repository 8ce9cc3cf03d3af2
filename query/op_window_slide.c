/* How do the states of cells become states of windows along an axis?
 *
 * Two stacks make a queue whose sum is known at any time (folklore; "two-stack" algorithm in
 * Tangwongsan, Hirzel, Schneider, "In-Order Sliding-Window Aggregation in Worst-Case Constant
 * Time", VLDB Journal 30 (2021)): what has entered since the last turn is one merged state; of what
 * entered before, the merged states up to the turn are known from every place on. So a window of
 * any length costs three merges, and nothing is ever subtracted. */
#include "query/op_window.h"
#include <stdlib.h>
#include <string.h>

int64_t window_state_bytes(const struct window_call *k)
{
    return (int64_t)k->bound.state_bytes + (int64_t)sizeof(int64_t);
}

enum status window_acc(struct ctx *c, const struct window_call *k, int64_t n, struct acc *out)
{
    bool ok;
    TRY(acc_init(c, &k->set, out));
    enum status st = acc_reserve(c, out, n, &ok);
    if (st == OK && !ok) {
        fail(c, ERR_MEMORY, "out of memory: %s leaves no room for the windows",
             memory_limit_name(c));
        st = hint(c, "Raise %s, or take shorter windows.", memory_limit_name(c));
    }
    if (st == OK)
        acc_grow(out, n);
    else
        acc_free(out);
    return st;
}

bool window_hull(struct ctx *c, const struct window_call *k, int n_axes, const struct box *box,
                 struct box *out)
{
    struct box hull = *box;
    for (int i = 0; i < n_axes; i++) {
        const struct window_axis *a = &k->axes[i];
        struct scratch_mark m = scratch_mark(c->scratch);
        struct ranges r;
        bool some = window_ranges(c, a, box->lo[a->dim], box_extent(box, a->dim), &r) == OK &&
                    ranges_hull(&r, &hull.lo[a->dim], &hull.hi[a->dim]);
        scratch_release(c->scratch, m);
        if (!some) return false;
    }
    *out = hull;
    return true;
}

/* ---- a state a cell ---- */

/* The box lies inside the chunk's. */
static enum status add_cells(struct ctx *c, const struct window_source *s, const struct chunk *ch,
                             const struct box *box, struct acc *acc)
{
    struct agg_input in;
    int32_t g[AGG_BLOCK];
    int last = box->n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(box, last), n = box_cells(box);
    TRY(agg_input_make(c, &s->k->set, ch, ch->cols, &s->outer, &in));
    if (in.calls[0].none) return OK;
    for (int64_t at = 0; at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(box, at, pos);
        int64_t from = box_index(&ch->box, pos);
        for (int64_t k = 0; k < row; k += AGG_BLOCK) {
            int64_t len = row - k < AGG_BLOCK ? row - k : AGG_BLOCK;
            for (int64_t i = 0; i < len; i++)
                g[i] = (int32_t)(at + k + i);
            TRY(acc_add_scatter(c, acc, g, &in, from + k, len));
        }
    }
    return OK;
}

static enum status cell_states(struct ctx *c, const struct window_source *s, const struct box *box,
                               struct acc *out)
{
    struct acc acc;
    TRY(window_acc(c, s->k, box_cells(box), &acc));
    struct scratch_mark m = scratch_mark(c->scratch);
    struct chunk ch;
    enum status st = OK;
    if (s->have && box_contains(&s->have->box, box))
        ch = *s->have;
    else
        st = window_pad(c, s->w, s->k, box, &ch);
    if (st == OK && ch.n_present) st = add_cells(c, s, &ch, box, &acc);
    scratch_release(c->scratch, m);
    if (st == OK)
        *out = acc;
    else
        acc_free(&acc);
    return st;
}

/* ---- along an axis ---- */

/* Lines of states along an axis: the i-th of a line is state start + i × step. */
struct line {
    const struct agg_bound *k;
    const struct agg_ops *ops;
    size_t bytes;
    const struct acc *from;
    int64_t from_start, from_lo; /* from_lo: the position of its first state */
    struct acc *to;
    int64_t to_start, step;
    char *behind, *entered; /* behind[p]: of [p, turn); entered: of [turn, end) */
};

static void clear(const struct line *l, void *state)
{
    memset(state, 0, l->bytes);
    if (!l->ops->empty_is_zero) l->ops->init(l->k, state);
}

static const void *state_at(const struct line *l, int64_t pos)
{
    return acc_state(l->from, 0, l->from_start + (pos - l->from_lo) * l->step);
}

static enum status join(struct ctx *c, const struct line *l, void *state, const void *other)
{
    return l->ops->merge(c, l->k, &l->to->heap, state, other);
}

/* A state of its own: texts that it refers to are not shared. */
static enum status copy(struct ctx *c, const struct line *l, void *state, const void *other)
{
    if (l->ops->n_texts == 0) {
        memcpy(state, other, l->bytes);
        return OK;
    }
    clear(l, state);
    return join(c, l, state, other);
}

static enum status turn(struct ctx *c, const struct line *l, int64_t lo, int64_t end)
{
    for (int64_t p = end - 1; p >= lo; p--) {
        char *at = l->behind + (size_t)(p - l->from_lo) * l->bytes;
        TRY(copy(c, l, at, state_at(l, p)));
        if (p + 1 < end) TRY(join(c, l, at, at + l->bytes));
    }
    clear(l, l->entered);
    return OK;
}

static enum status slide(struct ctx *c, const struct line *l, const struct ranges *r)
{
    int64_t turned = INT64_MIN, end = INT64_MIN;
    clear(l, l->entered);
    for (int64_t i = 0; i < r->n; i++) {
        int64_t lo = r->lo[i], hi = r->hi[i];
        void *out = acc_state(l->to, 0, l->to_start + i * l->step);
        if (lo == hi) continue;
        if (end == INT64_MIN || lo >= end) { /* nothing of what has entered is left */
            clear(l, l->entered);
            turned = end = lo;
        }
        if (lo > turned) {
            TRY(turn(c, l, lo, end));
            turned = end;
        }
        for (; end < hi; end++)
            TRY(join(c, l, l->entered, state_at(l, end)));
        TRY(copy(c, l, out, l->entered));
        if (lo < turned) TRY(join(c, l, out, l->behind + (size_t)(lo - l->from_lo) * l->bytes));
    }
    return OK;
}

/* Windows in no order: each by itself. */
static enum status add_each(struct ctx *c, const struct line *l, const struct ranges *r)
{
    for (int64_t i = 0; i < r->n; i++) {
        void *out = acc_state(l->to, 0, l->to_start + i * l->step);
        for (int64_t p = r->lo[i]; p < r->hi[i]; p++)
            TRY(join(c, l, out, state_at(l, p)));
    }
    return OK;
}

static enum status along(struct ctx *c, const struct window_call *k, int d, const struct ranges *r,
                         const struct acc *from, const struct box *in, const struct box *box,
                         struct acc *to)
{
    int64_t inner = 1, outer = 1, n_in = box_extent(in, d), n_out = box_extent(box, d);
    for (int i = 0; i < d; i++)
        outer *= box_extent(box, i);
    for (int i = d + 1; i < box->n_dims; i++)
        inner *= box_extent(box, i);
    void *behind, *entered;
    bool monotone = ranges_monotone(r);
    TRY(scratch_alloc(c, (size_t)(n_in + 1) * k->bound.state_bytes, &behind));
    TRY(scratch_alloc(c, k->bound.state_bytes, &entered));
    struct line l = {.k = &k->bound,
                     .ops = k->bound.ops,
                     .bytes = k->bound.state_bytes,
                     .from = from,
                     .from_lo = in->lo[d],
                     .to = to,
                     .step = inner,
                     .behind = behind,
                     .entered = entered};
    for (int64_t o = 0; o < outer; o++) {
        TRY(check_cancel(c));
        for (int64_t q = 0; q < inner; q++) {
            l.from_start = o * n_in * inner + q;
            l.to_start = o * n_out * inner + q;
            TRY((monotone ? slide : add_each)(c, &l, r));
        }
    }
    return OK;
}

enum status window_states_of(struct ctx *c, const struct window_source *s, int n_axes,
                             const struct box *box, const struct ranges *r, struct acc *out)
{
    int d = s->k->axes[n_axes - 1].dim;
    struct box in = *box;
    struct acc to, from;
    const struct window_planes *planes;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(window_planes(c, s, n_axes, box, r, &planes));
    TRY(window_acc(c, s->k, box_cells(box), &to));
    if (planes) {
        for (int64_t i = 0; i < to.n; i++)
            window_planes_state(planes, i, acc_state(&to, 0, i));
        scratch_release(c->scratch, mark);
        *out = to;
        return OK;
    }
    scratch_release(c->scratch, mark);
    enum status st = OK;
    if (ranges_hull(r, &in.lo[d], &in.hi[d])) {
        st = window_states(c, s, n_axes - 1, &in, &from);
        if (st == OK) {
            struct scratch_mark m = scratch_mark(c->scratch);
            st = along(c, s->k, d, r, &from, &in, box, &to);
            scratch_release(c->scratch, m);
            /* Texts stay where they are: states made by merging have their own. */
            acc_free(&from);
        }
    }
    if (st == OK)
        *out = to;
    else
        acc_free(&to);
    return st;
}

enum status window_states(struct ctx *c, const struct window_source *s, int n_axes,
                          const struct box *box, struct acc *out)
{
    if (n_axes == 0) return cell_states(c, s, box, out);
    if (s->k->far[n_axes - 1]) return far_states(c, s, n_axes, box, out);
    const struct window_axis *a = &s->k->axes[n_axes - 1];
    struct scratch_mark m = scratch_mark(c->scratch);
    struct ranges r;
    TRY(window_ranges(c, a, box->lo[a->dim], box_extent(box, a->dim), &r));
    enum status st = window_states_of(c, s, n_axes, box, &r, out);
    scratch_release(c->scratch, m);
    return st;
}
