/* Which part of each array does the query look at? Conditions on a single dimension are evaluated
 * over its coordinates; where they hold bounds the region. */
#include "query/reach.h"
#include "query/rewrite_internal.h"

#define EVAL_MAX (INT64_C(1) << 22) /* positions that a condition is evaluated at */
#define EVAL_FEW 64 /* … rather than where a comparison begins to hold is searched */
#define EVAL_CELLS 16384

/* ---- narrowing a relation ---- */

/* To [lo, hi), keeping to the positions that a stride has cells at. */
static void narrow_dim(struct rel_dim *d, int64_t lo, int64_t hi)
{
    if (lo > d->lo) {
        int64_t steps = (lo - d->lo + d->stride - 1) / d->stride;
        d->lo += steps * d->stride;
    }
    if (hi < d->hi) d->hi = hi;
    if (d->hi < d->lo) d->hi = d->lo;
}

static void narrow(struct narrowing *n, struct plan *p, const struct box *want);

static void follow_dims(struct plan *p)
{
    for (int d = 0; d < p->rel.n_dims; d++) {
        p->rel.dims[d].lo = p->in[0]->rel.dims[d].lo;
        p->rel.dims[d].hi = p->in[0]->rel.dims[d].hi;
    }
}

/* A join by value that keeps the left's dimensions. */
static bool keeps_left(const struct plan *p)
{
    return p->kind == P_ASOF_JOIN || p->hash_join >= HASH_SEMI;
}

static void follow_slice(struct plan *p)
{
    const struct rel *in = &p->in[0]->rel;
    for (int d = 0; d < p->rel.n_dims; d++)
        narrow_dim(&p->rel.dims[d], in->dims[p->dim_of[d]].lo, in->dims[p->dim_of[d]].hi);
    for (int d = 0; d < p->rel.n_dims; d++) {
        p->region.lo[p->dim_of[d]] = p->rel.dims[d].lo;
        p->region.hi[p->dim_of[d]] = p->rel.dims[d].hi;
    }
}

static void follow_transpose(struct plan *p)
{
    for (int d = 0; d < p->rel.n_dims; d++) {
        const struct rel_dim *in = &p->in[0]->rel.dims[p->dim_of[d]];
        p->rel.dims[d].lo = in->lo;
        p->rel.dims[d].hi = in->hi;
    }
    rel_box(&p->rel, &p->region);
}

/* Output position rel.lo + k is input position region.lo + k × stride, before and after. */
static void follow_rebase(struct plan *p)
{
    for (int d = 0; d < p->rel.n_dims; d++) {
        const struct rel_dim *in = &p->in[0]->rel.dims[d];
        struct rel_dim *out = &p->rel.dims[d];
        if (!dim_known(in)) continue;
        int64_t n = in->hi > in->lo ? (in->hi - in->lo + in->stride - 1) / in->stride : 0;
        out->lo += (in->lo - p->region.lo[d]) / in->stride;
        out->hi = out->lo + n;
        p->region.lo[d] = in->lo;
        p->region.hi[d] = in->hi;
    }
}

/* old_lo: of the input's dimensions when the maps of groups were made. */
static void follow_groups(struct plan *p, const int64_t *old_lo)
{
    for (int k = 0; k < p->n_keys && p->by_dims; k++) {
        struct group_key *g = &p->keys[k];
        const struct rel_dim *in = &p->in[0]->rel.dims[g->dim];
        if (g->group_of && !g->period) g->group_of += in->lo - old_lo[g->dim];
        if (!g->plain) continue;
        p->rel.dims[k].lo = in->lo;
        p->rel.dims[k].hi = in->hi;
        g->n_groups = in->hi - in->lo;
    }
}

static void note_lows(const struct plan *p, int64_t *lo)
{
    if (p->kind != P_AGGREGATE) return;
    for (int d = 0; d < p->in[0]->rel.n_dims; d++)
        lo[d] = p->in[0]->rel.dims[d].lo;
}

/* No cell that the input lacks, and fewer where nobody asks for the others: windows and fetches
 * look at more than they give. */
static void follow_within(struct plan *p)
{
    for (int d = 0; d < p->rel.n_dims; d++) {
        const struct rel_dim *in = &p->in[0]->rel.dims[d];
        if (dim_known(in)) narrow_dim(&p->rel.dims[d], in->lo, in->hi);
    }
}

/* The inputs' regions have changed. */
static void follow(struct plan *p, const int64_t *old_lo)
{
    switch (p->kind) {
    case P_FILTER:
    case P_MAP:
    case P_WINDOW_ROWS:
        follow_dims(p);
        break;
    case P_HASH_JOIN:
    case P_ASOF_JOIN:
        if (keeps_left(p)) follow_dims(p);
        break;
    case P_SLICE:
        follow_slice(p);
        break;
    case P_TRANSPOSE:
        follow_transpose(p);
        break;
    case P_REBASE:
        follow_rebase(p);
        break;
    case P_JOIN:
        join_region(p);
        break;
    case P_MATMUL:
        join_region(p->pairs);
        for (int i = p->split > 0; i < p->rel.n_dims; i++) {
            const struct rel_dim *of = &p->pairs->rel.dims[p->dim_of[i]];
            narrow_dim(&p->rel.dims[i], of->lo, of->hi);
        }
        break;
    case P_AGGREGATE:
        follow_groups(p, old_lo);
        break;
    case P_WINDOW_CELLS:
    case P_FETCH:
        follow_within(p);
        break;
    default:
        break;
    }
}

static void narrow_inputs_of_join(struct narrowing *n, struct plan *p, const struct box *want)
{
    for (int side = 0; side < 2; side++) {
        struct box in;
        join_side_box(p, side, want, &in);
        for (int d = 0; d < in.n_dims; d++)
            if (in.lo[d] >= in.hi[d]) in.lo[d] = in.hi[d] = p->in[side]->rel.dims[d].lo;
        narrow(n, p->in[side], &in);
    }
}

/* The summed dimensions stay whole. */
static void narrow_inputs_of_product(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box all;
    rel_box(&p->pairs->rel, &all);
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        all.lo[p->dim_of[i]] = want->lo[i];
        all.hi[p->dim_of[i]] = want->hi[i];
    }
    narrow_inputs_of_join(n, p->pairs, &all);
}

static void narrow_input_of_groups(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box in;
    reach_of_groups(p, want, &in);
    narrow(n, p->in[0], &in);
}

static void narrow_input_of_windows(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box in;
    reach_of_windows(n, p, want, &in);
    narrow(n, p->in[0], &in);
}

/* The source is the last input, which may be the only one. */
static void narrow_inputs_of_fetch(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box source, own;
    bool any = reach_of_points(n, p, want, &source);
    if (p->n_in == 2) {
        narrow(n, p->in[0], want);
        if (any) narrow(n, p->in[1], &source);
        return;
    }
    own = *want;
    if (any) box_hull(&own, &source, &own);
    narrow(n, p->in[0], &own);
}

static void narrow_moved(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box in;
    rel_box(&p->in[0]->rel, &in);
    if (p->kind == P_SLICE) in = p->region;
    for (int d = 0; d < p->rel.n_dims; d++) {
        if (p->kind == P_REBASE) {
            const struct rel_dim *from = &p->in[0]->rel.dims[d];
            if (!dim_known(from)) continue;
            in.lo[d] = p->region.lo[d] + (want->lo[d] - p->rel.dims[d].lo) * from->stride;
            in.hi[d] = p->region.lo[d] + (want->hi[d] - 1 - p->rel.dims[d].lo) * from->stride + 1;
        } else {
            in.lo[p->dim_of[d]] = want->lo[d];
            in.hi[p->dim_of[d]] = want->hi[d];
        }
    }
    narrow(n, p->in[0], &in);
}

/* Regrid and fft: the input is asked for less along the dimensions that they leave as they are. */
static void narrow_made(struct narrowing *n, struct plan *p, const struct box *box)
{
    struct box in = *box;
    rel_box(&p->in[0]->rel, &in);
    for (int d = 0; d < box->n_dims; d++) {
        bool made = p->kind == P_FFT ? d == p->fft_dim : p->regridded[d];
        narrow_dim(&p->rel.dims[d], box->lo[d], box->hi[d]);
        if (made) continue;
        in.lo[d] = box->lo[d];
        in.hi[d] = box->hi[d];
    }
    narrow(n, p->in[0], &in);
}

static void narrow_own(struct plan *p, const struct box *box)
{
    for (int d = 0; d < box->n_dims; d++)
        narrow_dim(&p->rel.dims[d], box->lo[d], box->hi[d]);
}

/* Makes the node give no more than the box, where it can; its relation then says so. */
static void narrow(struct narrowing *n, struct plan *p, const struct box *want)
{
    struct box box;
    int64_t old_lo[MAX_DIMS];
    bool smaller = false;
    rel_box(&p->rel, &box);
    for (int d = 0; d < box.n_dims; d++) {
        smaller |= want->lo[d] > box.lo[d] || want->hi[d] < box.hi[d];
        if (want->lo[d] > box.lo[d]) box.lo[d] = want->lo[d];
        if (want->hi[d] < box.hi[d]) box.hi[d] = want->hi[d];
        if (box.hi[d] < box.lo[d]) box.hi[d] = box.lo[d];
    }
    if (!smaller) return;
    note_lows(p, old_lo);
    switch (p->kind) {
    case P_SCAN:
    case P_FILE:
    case P_GRID:
    case P_RESHAPE:
    case P_STACK:
        narrow_own(p, &box);
        return;
    case P_FETCH:
        narrow_own(p, &box);
        narrow_inputs_of_fetch(n, p, &box);
        break;
    case P_FILL: /* cells that the input lacks are there too */
        narrow_own(p, &box);
        narrow(n, p->in[0], &box);
        return;
    case P_FILTER:
    case P_MAP:
        narrow(n, p->in[0], &box);
        break;
    case P_SLICE:
        narrow_own(p, &box);
        follow_slice(p);
        narrow_moved(n, p, &box);
        break;
    case P_REGRID:
    case P_FFT:
        narrow_made(n, p, &box);
        return;
    case P_TRANSPOSE:
    case P_REBASE:
        narrow_moved(n, p, &box);
        break;
    case P_HASH_JOIN:
    case P_ASOF_JOIN:
        if (!keeps_left(p)) return;
        narrow(n, p->in[0], &box);
        break;
    case P_JOIN:
        narrow_inputs_of_join(n, p, &box);
        break;
    case P_MATMUL:
        narrow_inputs_of_product(n, p, &box);
        break;
    case P_WINDOW_CELLS:
        narrow_own(p, &box);
        narrow_input_of_windows(n, p, &box);
        break;
    case P_AGGREGATE:
        if (!p->by_dims) return;
        narrow_own(p, &box); /* what a dimension's groups of another size get is not all */
        narrow_input_of_groups(n, p, &box);
        break;
    default:
        return;
    }
    follow(p, old_lo);
}

/* ---- where a condition holds ---- */

struct extent {
    int64_t lo, hi; /* the condition holds nowhere outside */
    bool exact;     /* and everywhere inside */
};

static bool is_true_at(const struct column *col, int64_t i)
{
    return !column_is_null(col, i) && ((const uint8_t *)col->values)[i];
}

static enum status hold_everywhere(struct ctx *c, const struct program *p, const struct rel *r,
                                   int d, struct extent *out)
{
    const struct rel_dim *dim = &r->dims[d];
    int64_t first = dim->hi, last = dim->lo - 1, n_true = 0;
    for (int64_t lo = dim->lo; lo < dim->hi; lo += EVAL_CELLS) {
        int64_t n = dim->hi - lo < EVAL_CELLS ? dim->hi - lo : EVAL_CELLS;
        struct scratch_mark m = scratch_mark(c->scratch);
        struct column col;
        enum status st = eval_on_dim(c, p, r, d, lo, n, &col);
        for (int64_t i = 0; st == OK && i < n; i++) {
            if ((lo + i - dim->lo) % dim->stride || !is_true_at(&col, i)) continue;
            if (first == dim->hi) first = lo + i;
            last = lo + i;
            n_true++;
        }
        scratch_release(c->scratch, m);
        TRY(st);
        TRY(check_cancel(c));
    }
    out->lo = n_true ? first : dim->lo;
    out->hi = n_true ? last + 1 : dim->lo;
    out->exact = n_true == 0 || n_true == (last - first) / dim->stride + 1;
    return OK;
}

static enum status holds_at(struct ctx *c, const struct program *p, const struct rel *r, int d,
                            int64_t pos, bool *out)
{
    struct scratch_mark m = scratch_mark(c->scratch);
    struct column col;
    enum status st = eval_on_dim(c, p, r, d, pos, 1, &col);
    if (st == OK) *out = is_true_at(&col, 0);
    scratch_release(c->scratch, m);
    return st;
}

/* A comparison holds from one end of the dimension up to some position, or nowhere. */
static enum status hold_from_an_end(struct ctx *c, const struct program *p, const struct rel *r,
                                    int d, struct extent *out)
{
    const struct rel_dim *dim = &r->dims[d];
    bool at_lo, at_hi, mid;
    TRY(holds_at(c, p, r, d, dim->lo, &at_lo));
    TRY(holds_at(c, p, r, d, dim->hi - 1, &at_hi));
    *out = (struct extent){dim->lo, at_lo ? dim->hi : dim->lo, true};
    if (at_lo == at_hi) return OK;
    int64_t lo = dim->lo, hi = dim->hi - 1; /* they differ */
    while (hi - lo > 1) {
        int64_t m = lo + (hi - lo) / 2;
        TRY(holds_at(c, p, r, d, m, &mid));
        if (mid == at_lo)
            lo = m;
        else
            hi = m;
    }
    out->lo = at_lo ? dim->lo : hi;
    out->hi = at_lo ? hi : dim->hi;
    return OK;
}

static const struct expr *bare(const struct expr *e)
{
    while (e->kind == E_CAST)
        e = e->args[0];
    return e;
}

/* Is it <, <=, >, >= or = between the dimension itself and a constant? */
static const char *comparison(const struct expr *e)
{
    static const char *const names[] = {"<", "<=", ">", ">=", "="};
    if (e->kind != E_CALL || e->n_args != 2) return NULL;
    const struct expr *x = bare(e->args[0]), *y = bare(e->args[1]);
    bool left = x->kind == E_DIM || x->kind == E_POS, right = y->kind == E_DIM || y->kind == E_POS;
    if (left == right || (left ? y : x)->kind != E_CONST) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(func_name(e->func), names[i])) return names[i];
    return NULL;
}

static enum status compare_long(struct ctx *c, const struct expr *e, const char *op,
                                const struct rel *r, int d, const struct env *env,
                                struct extent *out)
{
    struct expr *call;
    struct program *p;
    struct expr **args = arena_dup(c->arena, e->args, sizeof *e->args * 2);
    TRY(expr_make_call(c, op, args, 2, e->pos, &call));
    TRY(program_compile(c, &call, 1, r, env, &p));
    return hold_from_an_end(c, p, r, d, out);
}

/* Do coordinates only grow, or only shrink? (NaN among labels is beside every comparison.) */
static bool is_monotone(const struct axis *x)
{
    if (x->kind == AXIS_REGULAR) return true;
    return x->type != T_TEXT && !type_is_float(x->type) && x->labels && !x->labels->by_value;
}

/* A coordinate that is compared with a constant of its own type lies at one place or at none.
 * *known false: it isn't that (floats are rounded from decimals). */
static enum status extent_of_coordinate(struct ctx *c, const struct expr *e,
                                        const struct rel_dim *dim, struct extent *out, bool *known)
{
    const struct expr *x = e->args[0], *y = e->args[1];
    if (x->kind == E_CONST) x = e->args[1], y = e->args[0];
    const struct expr *of = x->kind == E_CAST && type_is_integer(x->type) ? x->args[0] : x;
    *known = of->kind == E_DIM && y->kind == E_CONST && x->type == y->type && !y->value.null &&
             of->type == dim->axis->type && !type_is_float(x->type) &&
             (of == x || (type_is_integer(of->type) && type_promote(of->type, x->type) == x->type));
    if (!*known) return OK;
    bool found;
    int64_t at;
    struct value v = y->value;
    struct ctx quiet = *c;
    ctx_clear(&quiet);
    if (of != x && value_cast(&quiet, &v, of->type, &v) < 0) {
        *out = (struct extent){dim->lo, dim->lo, true}; /* no coordinate is so large */
        return OK;
    }
    TRY(axis_find(c, dim->axis, &v, &found, &at));
    found = found && at >= dim->lo && at < dim->hi && (at - dim->lo) % dim->stride == 0;
    *out = (struct extent){found ? at : dim->lo, found ? at + 1 : dim->lo, true};
    return OK;
}

/* *known false: there are too many positions to look at. */
static enum status extent_of(struct ctx *c, struct expr *e, const struct rel *r, int d,
                             const struct env *env, struct extent *out, bool *known)
{
    const struct rel_dim *dim = &r->dims[d];
    struct program *p;
    const char *op = comparison(e);
    bool equal = op && strcmp(op, "=") == 0;
    if (equal) {
        TRY(extent_of_coordinate(c, e, dim, out, known));
        if (*known) return OK;
    }
    bool search = op && dim->stride == 1 && is_monotone(dim->axis);
    int64_t n = dim->hi - dim->lo;
    *known = search || n <= EVAL_MAX;
    if (!*known) return OK;
    if (!search || n <= EVAL_FEW) {
        TRY(program_compile(c, &e, 1, r, env, &p));
        return hold_everywhere(c, p, r, d, out);
    }
    if (!equal) return compare_long(c, e, op, r, d, env, out);
    struct extent other;
    TRY(compare_long(c, e, "<=", r, d, env, out));
    TRY(compare_long(c, e, ">=", r, d, env, &other));
    if (other.lo > out->lo) out->lo = other.lo;
    if (other.hi < out->hi) out->hi = other.hi;
    if (out->hi < out->lo) out->hi = out->lo;
    return OK;
}

/* ---- filters ---- */

/* The part's extent, if it depends on one dimension alone. A part that raises an error is left to
 * raise it when it is run. */
static bool part_extent(struct ctx *c, struct expr *e, const struct rel *r, const struct env *env,
                        int *dim, struct extent *out)
{
    struct ctx quiet = *c;
    bool known;
    *dim = only_dim(e);
    if (*dim < 0 || !dim_known(&r->dims[*dim]) || !r->dims[*dim].axis) return false;
    if (r->dims[*dim].hi <= r->dims[*dim].lo) return false;
    ctx_clear(&quiet);
    return extent_of(&quiet, e, r, *dim, env, out, &known) == OK && known;
}

static bool region_is(const struct rel *r, const struct box *want)
{
    for (int d = 0; d < r->n_dims; d++) {
        const struct rel_dim *is = &r->dims[d];
        bool nothing = want->hi[d] <= want->lo[d];
        if (nothing ? is->hi > is->lo : is->lo < want->lo[d] || is->hi > want->hi[d]) return false;
    }
    return true;
}

static void narrow_filter(struct ctx *c, struct plan **slot, const struct env *env)
{
    struct plan *p = *slot;
    struct narrowing within = {c, env};
    struct expr **parts = &p->exprs[0];
    int n = conjuncts(p->exprs[0], &parts), n_left = 0;
    struct expr **left = arena_array(c->arena, struct expr *, n + 1);
    bool *exact = arena_array(c->arena, bool, n + 1), narrower = false;
    struct box want;
    rel_box(&p->rel, &want);
    for (int i = 0; i < n; i++) {
        int d;
        struct extent x;
        if (!part_extent(c, parts[i], &p->rel, env, &d, &x)) continue;
        exact[i] = x.exact;
        narrower = true;
        if (x.lo > want.lo[d]) want.lo[d] = x.lo;
        if (x.hi < want.hi[d]) want.hi[d] = x.hi;
        if (want.hi[d] < want.lo[d]) want.hi[d] = want.lo[d];
    }
    if (!narrower) return;
    narrow(&within, p->in[0], &want);
    follow_dims(p);
    bool done = region_is(&p->in[0]->rel, &want);
    for (int i = 0; i < n; i++)
        if (!exact[i] || !done) left[n_left++] = parts[i];
    if (n_left == 0)
        *slot = p->in[0];
    else
        p->exprs[0] = and_of(c, left, n_left);
}

enum status narrow_regions(struct ctx *c, struct plan **slot, const struct env *env)
{
    struct plan *p = *slot;
    struct narrowing within = {c, env};
    int64_t old_lo[MAX_DIMS];
    note_lows(p, old_lo);
    for (int i = 0; i < p->n_in; i++)
        TRY(narrow_regions(c, &p->in[i], env));
    follow(p, old_lo);
    struct box box;
    if (p->kind == P_FILTER) {
        narrow_filter(c, slot, env);
    } else if (p->kind == P_SLICE) {
        narrow(&within, p->in[0], &p->region);
        follow(p, old_lo);
    } else if (p->kind == P_JOIN) {
        rel_box(&p->rel, &box);
        narrow_inputs_of_join(&within, p, &box);
        follow(p, old_lo);
    }
    return OK;
}

void narrow_to(struct ctx *c, struct plan *p, const struct box *want, const struct env *env)
{
    struct narrowing within = {c, env};
    narrow(&within, p, want);
}
