/* Which cells of its input does a box of windows, groups or values at other cells look at? */
#include "query/fetch_place.h"
#include "query/op_window.h"
#include "query/pick.h"
#include "query/rewrite_internal.h"

#define EVAL_MAX (INT64_C(1) << 20) /* positions that a bound or place is evaluated at */

/* ---- windows ---- */

/* Virtual positions past an edge are those that EDGE puts there. */
static void map_past(const struct window_axis *a, int64_t lo, int64_t hi, struct box *in)
{
    int d = a->dim;
    int64_t n = a->edge_hi - a->edge_lo;
    if (hi - lo > n) hi = lo + n;
    for (int64_t v = lo; v < hi; v++) {
        int64_t at = window_source(a, v);
        if (at < a->edge_lo) continue;
        if (at < in->lo[d]) in->lo[d] = at;
        if (at >= in->hi[d]) in->hi[d] = at + 1;
    }
}

/* The windows of n cells from `at` join the box along the axis. */
static enum status cover_windows(struct ctx *c, const struct window_axis *a, int64_t at, int64_t n,
                                 struct box *in)
{
    struct ranges r;
    int64_t lo, hi;
    TRY(window_ranges(c, a, at, n, &r));
    if (!ranges_hull(&r, &lo, &hi)) return OK;
    map_past(a, lo, hi < a->edge_lo ? hi : a->edge_lo, in);
    map_past(a, lo > a->edge_hi ? lo : a->edge_hi, hi, in);
    if (lo < a->edge_lo) lo = a->edge_lo;
    if (hi > a->edge_hi) hi = a->edge_hi;
    if (lo >= hi) return OK;
    if (lo < in->lo[a->dim]) in->lo[a->dim] = lo;
    if (hi > in->hi[a->dim]) in->hi[a->dim] = hi;
    return OK;
}

static enum status widen(const struct narrowing *n, const struct plan *p, const struct box *want,
                         const struct cell_window *w, const struct window_dim *dim, struct box *in)
{
    struct ctx *c = n->c;
    struct window_place at = {p, n->env, .own = *want};
    struct window_axis a;
    int64_t first = want->lo[dim->dim], cells = box_extent(want, dim->dim);
    rel_box(&p->in[0]->rel, &at.in);
    TRY(window_axis_open(c, &at, dim, w->edge, &a));
    bool simple = a.lo.kind != BOUND_EXPR && a.hi.kind != BOUND_EXPR;
    if (!simple) return cover_windows(c, &a, first, cells, in);
    TRY(cover_windows(c, &a, first, 1, in)); /* what lies between moves with them */
    return cover_windows(c, &a, first + cells - 1, 1, in);
}

void reach_of_windows(const struct narrowing *n, const struct plan *p, const struct box *want,
                      struct box *out)
{
    struct ctx quiet = *n->c;
    struct narrowing within = {&quiet, n->env};
    struct scratch_mark mark = scratch_mark(quiet.scratch);
    ctx_clear(&quiet);
    *out = *want;
    for (int i = 0; i < p->n_cell_windows; i++)
        for (int k = 0; k < p->cell_windows[i].n_dims; k++) {
            const struct window_dim *w = &p->cell_windows[i].dims[k];
            const struct rel_dim *in = &p->in[0]->rel.dims[w->dim];
            bool few = dim_known(in) && box_extent(want, w->dim) <= EVAL_MAX && !box_empty(want);
            if (few && widen(&within, p, want, &p->cell_windows[i], w, out) == OK) continue;
            out->lo[w->dim] = in->lo;
            out->hi[w->dim] = in->hi;
        }
    scratch_release(quiet.scratch, mark);
}

/* ---- groups ---- */

/* The positions of a key's dimension whose groups are in [lo, hi). */
static void positions_of_groups(const struct group_key *key, const struct rel_dim *in, int64_t lo,
                                int64_t hi, int64_t *from, int64_t *to)
{
    *from = lo;
    *to = hi;
    if (key->plain) return;
    *to = in->hi;
    if (key->blocks) {
        *from = lo < key->blocks->n ? block_first(key->blocks, lo) : in->hi;
        if (hi < key->blocks->n) *to = block_first(key->blocks, hi);
        return;
    }
    *from = in->lo;
    if (key->period) return;
    *from = in->hi;
    *to = in->lo;
    for (int64_t pos = in->lo; pos < in->hi; pos++) {
        int64_t group = key_group(key, in, pos);
        if (group < lo || group >= hi) continue;
        if (pos < *from) *from = pos;
        *to = pos + 1;
    }
}

void reach_of_groups(const struct plan *p, const struct box *want, struct box *out)
{
    rel_box(&p->in[0]->rel, out);
    for (int k = 0; k < p->n_keys; k++) {
        int d = p->keys[k].dim;
        int64_t lo, hi;
        positions_of_groups(&p->keys[k], &p->in[0]->rel.dims[d], want->lo[k], want->hi[k], &lo,
                            &hi);
        if (lo > out->lo[d]) out->lo[d] = lo;
        if (hi < out->hi[d]) out->hi[d] = hi;
        if (out->hi[d] < out->lo[d]) out->hi[d] = out->lo[d];
    }
}

/* ---- values at other cells ---- */

/* The positions along the source's dimension that a place's expression of one dimension leads to
 * from positions [lo, hi) of it. */
static enum status image_of(const struct narrowing *n, const struct plan *p,
                            const struct fetch_dim *x, const struct axis *axis, int dim, int64_t lo,
                            int64_t hi, int64_t *from, int64_t *to)
{
    struct ctx *c = n->c;
    struct program *program;
    struct expr *e = x->e;
    struct column col;
    void *places;
    TRY(program_compile(c, &e, 1, &p->in[0]->rel, n->env, &program));
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(hi - lo), &places));
    TRY(eval_on_dim(c, program, &p->in[0]->rel, dim, lo, hi - lo, &col));
    TRY(fetch_place(c, axis, x->by_position, x->shift, &col, hi - lo, places));
    for (int64_t i = 0; i < hi - lo; i++) {
        int64_t at = ((const int64_t *)places)[i];
        if (at == PICK_NONE) continue;
        if (at < *from) *from = at;
        if (at >= *to) *to = at + 1;
    }
    return OK;
}

/* A place along dimension d of the source; where it isn't known, [*from, *to) is all of it. */
static void image(const struct narrowing *n, const struct plan *p, const struct fetch_dim *x,
                  const struct rel_dim *source, const struct box *want, int64_t *from, int64_t *to)
{
    int dim = x->dim;
    if (!x->e) {
        *from = want->lo[dim] + x->shift;
        *to = want->hi[dim] + x->shift;
        return;
    }
    *from = INT64_MAX;
    *to = INT64_MIN;
    bool known = fetch_depends_on(x->e, &dim) && want->n_dims > 0 && source->axis;
    int64_t lo = known && dim >= 0 ? want->lo[dim] : 0, hi = lo + 1;
    if (known && dim < 0) lo = want->lo[0], hi = lo + 1;
    if (known && dim >= 0) hi = want->hi[dim];
    if (known && hi - lo <= EVAL_MAX &&
        image_of(n, p, x, source->axis, dim < 0 ? 0 : dim, lo, hi, from, to) == OK)
        return;
    *from = source->lo;
    *to = source->hi;
}

bool reach_of_points(const struct narrowing *n, const struct plan *p, const struct box *want,
                     struct box *out)
{
    const struct rel *source = &p->in[p->n_in - 1]->rel;
    struct ctx quiet = *n->c;
    struct narrowing within = {&quiet, n->env};
    struct scratch_mark mark = scratch_mark(quiet.scratch);
    bool any = false;
    ctx_clear(&quiet);
    for (int i = 0; i < p->n_points && !box_empty(want); i++) {
        struct box b = {.n_dims = source->n_dims};
        bool some = true;
        for (int d = 0; d < b.n_dims; d++) {
            image(&within, p, &p->points[i].dims[d], &source->dims[d], want, &b.lo[d], &b.hi[d]);
            some = some && b.hi[d] > b.lo[d];
        }
        if (!some) continue;
        if (any)
            box_hull(out, &b, out);
        else
            *out = b;
        any = true;
    }
    scratch_release(quiet.scratch, mark);
    return any;
}
