/* Which positions does the window of a cell cover along an axis? */
#include "query/bind_internal.h"
#include "query/op_window.h"
#include "storage/base/datetime.h"
#include <math.h>

#define FARTHEST (INT64_C(1) << 60) /* positions beyond are as good as there */
#define PIECE 16384

/* ---- coordinates to positions ---- */

static double number_of(const struct value *v)
{
    if (type_is_float(v->type)) return v->d;
    return type_is_unsigned(v->type) ? (double)v->u : (double)v->i;
}

/* 0.3 - 0.1 is not quite 0.2: a bound that misses a coordinate by rounding alone means it. */
static void snap(const struct axis *a, const struct value *v, bool *found, int64_t *pos)
{
    if (*found || !type_is_float(a->type)) return;
    double x = number_of(v);
    double unit = a->type == T_FLOAT32 || v->type == T_FLOAT32 ? 0x1p-23 : 0x1p-52;
    for (int64_t p = *pos; p <= *pos + 1; p++) {
        if (a->kind == AXIS_LABELLED && (p < a->lo || p >= a->hi)) continue;
        struct value at = axis_coord(a, p);
        struct value end = axis_coord(a, a->hi > a->lo ? a->hi - 1 : a->lo);
        struct value first = axis_coord(a, a->lo);
        double size = fmax(fmax(fabs(x), fabs(at.d)), fmax(fabs(first.d), fabs(end.d)));
        if (fabs(at.d - x) > 4 * unit * size) continue;
        *pos = p;
        *found = true;
        return;
    }
}

static enum status no_label(struct ctx *c, const struct window_axis *a, const struct value *v)
{
    struct strbuf text = STRBUF_INIT;
    value_literal(v, &text);
    fail_at(c, ERR_OUT_OF_BOUNDS, (int)a->pos, "dimension \"%s\" has no label %s", a->name,
            text.s ? text.s : "");
    strbuf_release(&text);
    return ERR_OUT_OF_BOUNDS;
}

/* Twice the position of a coordinate's cell, or one more where it falls behind it. */
static enum status cut_of(struct ctx *c, const struct window_axis *a, const struct value *v,
                          int64_t *cut)
{
    const struct axis *axis = a->rel->dims[a->dim].axis;
    bool found;
    int64_t p;
    TRY(axis_find(c, axis, v, &found, &p));
    snap(axis, v, &found, &p);
    bool listed = axis->kind == AXIS_LABELLED && axis->labels->by_value;
    if (!found && (axis->type == T_TEXT || (listed && p < 0 && !axis_descending(axis))))
        return no_label(c, a, v);
    if (!found && axis->kind == AXIS_REGULAR) { /* past declared limits a cell may still be meant */
        struct axis open = *axis;
        open.limit_lo = INT64_MIN;
        open.limit_hi = INT64_MAX;
        TRY(axis_find(c, &open, v, &found, &p));
        snap(axis, v, &found, &p);
    }
    if (p > FARTHEST) p = FARTHEST;
    if (p < -FARTHEST) p = -FARTHEST;
    *cut = 2 * p + !found;
    return OK;
}

static enum status bad_bound(struct ctx *c, const struct window_axis *a, const char *what)
{
    return fail_at(c, ERR_INVALID_PARAMETER, (int)a->pos, "a window's bound along \"%s\" is %s",
                   a->name, what);
}

static enum status eval_bound(struct ctx *c, const struct window_axis *a,
                              const struct window_bound *b, int64_t at, int64_t n, int64_t *cuts)
{
    struct column col;
    const struct rel_dim *d = &a->rel->dims[a->dim];
    TRY(eval_on_dim(c, b->program, a->rel, a->dim, at, n, &col));
    for (int64_t i = 0; i < n; i++) {
        if (column_is_null(&col, i)) return bad_bound(c, a, "NULL");
        struct value v = value_get(col.type, col.values, i);
        if (type_is_float(v.type) && isnan(v.d)) return bad_bound(c, a, "not a number");
        if (!a->by_position) {
            TRY(cut_of(c, a, &v, &cuts[i]));
            continue;
        }
        int64_t p = v.i > FARTHEST ? FARTHEST : v.i < -FARTHEST ? -FARTHEST : v.i;
        cuts[i] = 2 * (p + (d->axis ? d->axis->lo : 0));
    }
    return OK;
}

static enum status cuts_of(struct ctx *c, const struct window_axis *a, const struct window_bound *b,
                           bool upper, int64_t at, int64_t n, int64_t *cuts)
{
    int64_t end = 2 * (upper ? a->edge_hi - 1 : a->edge_lo);
    if (b->kind == BOUND_EXPR) return eval_bound(c, a, b, at, n, cuts);
    for (int64_t i = 0; i < n; i++)
        cuts[i] = b->kind == BOUND_OPEN ? end : b->kind == BOUND_FIXED ? b->k : 2 * (at + i) + b->k;
    return OK;
}

/* ---- ranges ---- */

/* One window, from its cuts: twice positions, odd ones between two cells. */
static void one_range(const struct window_axis *a, int64_t lo, int64_t hi, int64_t i,
                      struct ranges *r)
{
    const struct axis *axis = a->rel->dims[a->dim].axis;
    if (a->descends && lo > hi && a->lo.kind != BOUND_OPEN && a->hi.kind != BOUND_OPEN) {
        int64_t cut = lo;
        lo = hi;
        hi = cut;
    }
    int64_t from = tile_of(lo + 1, 2), to = tile_of(hi, 2) + 1;
    /* A list has nothing beyond its ends, so there a bound past them is all that tells. */
    bool listed = axis && axis->kind == AXIS_LABELLED && !a->by_position;
    bool before = from < a->edge_lo || (listed && lo < 2 * a->edge_lo);
    bool after = to > a->edge_hi || (listed && hi > 2 * (a->edge_hi - 1));
    r->leaves[i] = (from < to || listed) && (before || after);
    if (a->edge == EDGE_SHRINK || a->edge == EDGE_NULL) {
        from = from < a->lo_cell ? a->lo_cell : from > a->hi_cell ? a->hi_cell : from;
        to = to < a->lo_cell ? a->lo_cell : to > a->hi_cell ? a->hi_cell : to;
    }
    r->lo[i] = from;
    r->hi[i] = to < from ? from : to;
}

enum status window_ranges(struct ctx *c, const struct window_axis *a, int64_t at, int64_t n,
                          struct ranges *out)
{
    void *mem[5];
    for (int i = 0; i < 5; i++)
        TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &mem[i]));
    *out = (struct ranges){.n = n, .lo = mem[0], .hi = mem[1], .leaves = mem[2]};
    int64_t *lo = mem[3], *hi = mem[4];
    TRY(cuts_of(c, a, &a->lo, false, at, n, lo));
    TRY(cuts_of(c, a, &a->hi, true, at, n, hi));
    for (int64_t i = 0; i < n; i++)
        one_range(a, lo[i], hi[i], i, out);
    return OK;
}

bool ranges_hull(const struct ranges *r, int64_t *lo, int64_t *hi)
{
    bool any = false;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->lo[i] == r->hi[i]) continue;
        if (!any || r->lo[i] < *lo) *lo = r->lo[i];
        if (!any || r->hi[i] > *hi) *hi = r->hi[i];
        any = true;
    }
    return any;
}

bool ranges_monotone(const struct ranges *r)
{
    int64_t lo = INT64_MIN, hi = INT64_MIN;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->lo[i] == r->hi[i]) continue;
        if (r->lo[i] < lo || r->hi[i] < hi) return false;
        lo = r->lo[i];
        hi = r->hi[i];
    }
    return true;
}

int64_t window_source(const struct window_axis *a, int64_t v)
{
    int64_t n = a->edge_hi - a->edge_lo, k = v - a->edge_lo;
    if (k >= 0 && k < n) return v;
    switch (a->edge) {
    case EDGE_NEAREST:
        return k < 0 ? a->edge_lo : a->edge_hi - 1;
    case EDGE_WRAP:
        return a->edge_lo + k - n * tile_of(k, n);
    case EDGE_REFLECT:
        if (n == 1) return a->edge_lo;
        k -= 2 * (n - 1) * tile_of(k, 2 * (n - 1));
        return a->edge_lo + (k < n ? k : 2 * (n - 1) - k);
    default:
        return a->edge_lo - 1;
    }
}

/* ---- opening ---- */

/* The constant in d + constant or d - constant, d the dimension's coordinate or position. */
static bool shift_by(struct ctx *c, const struct expr *e, const struct env *env, struct value *by,
                     bool *negative)
{
    if (e->kind == E_DIM || e->kind == E_POS) {
        *by = value_int(T_INT64, 0);
        *negative = false;
        return true;
    }
    if (e->kind != E_CALL || e->n_args != 2) return false;
    bool minus = !strcmp(func_name(e->func), "-"), plus = !strcmp(func_name(e->func), "+");
    const struct expr *x = e->args[0], *y = e->args[1];
    if (plus && expr_is_const(x)) {
        const struct expr *swap = x;
        x = y;
        y = swap;
    }
    if ((!minus && !plus) || (x->kind != E_DIM && x->kind != E_POS) || !expr_is_const(y))
        return false;
    struct ctx quiet = *c;
    ctx_clear(&quiet);
    *negative = minus;
    return expr_eval_const(&quiet, y, env, by) == OK && !by->null;
}

/* Twice the positions that a distance in coordinates is long, one more where it ends between two
 * cells. */
static bool shift_cut(const struct axis *a, const struct value *by, bool negative, int64_t *cut)
{
    i128 num, step = a->step;
    int64_t n;
    if (a->kind != AXIS_REGULAR || a->step_months) return false;
    if (type_is_float(a->type)) {
        struct decimal d, none = {0, 0};
        if (!type_is_numeric(by->type) || !decimal_from_double(number_of(by), &d)) return false;
        if (negative) d.mant = -d.mant;
        bool whole = decimal_steps(none, a->dstep, d, &n);
        if (n > FARTHEST || n < -FARTHEST) return false;
        *cut = 2 * n + !whole;
        return true;
    }
    if (by->type == T_INTERVAL) {
        if (by->iv.months || !type_is_time(a->type)) return false;
        num = (i128)by->iv.days * US_PER_DAY + by->iv.us;
        if (a->type == T_DATE) step *= US_PER_DAY;
    } else if (type_is_integer(by->type) && (type_is_integer(a->type) || a->type == T_DATE)) {
        num = type_is_unsigned(by->type) ? (i128)by->u : by->i;
    } else {
        return false;
    }
    if (negative) num = -num;
    if (step < 0) {
        num = -num;
        step = -step;
    }
    i128 q = num / step, rest = num % step;
    if (rest < 0) {
        q--;
        rest += step;
    }
    if (q > FARTHEST || q < -FARTHEST) return false;
    *cut = 2 * (int64_t)q + (rest != 0);
    return true;
}

static enum status bound_open(struct ctx *c, const struct env *env, const struct window_axis *a,
                              struct expr *e, struct window_bound *out)
{
    const struct axis *axis = a->rel->dims[a->dim].axis;
    struct value by;
    bool negative;
    struct program *program;
    *out = (struct window_bound){.kind = BOUND_OPEN};
    if (!e) return OK;
    if (shift_by(c, e, env, &by, &negative)) {
        out->kind = BOUND_SHIFT;
        bool zero = e->kind == E_DIM || e->kind == E_POS;
        if (zero) return OK;
        if (a->by_position && type_is_integer(by.type) && by.i < FARTHEST && by.i > -FARTHEST) {
            out->k = 2 * (negative ? -by.i : by.i);
            return OK;
        }
        if (!a->by_position && axis && shift_cut(axis, &by, negative, &out->k)) return OK;
    }
    TRY(program_compile(c, &e, 1, a->rel, env, &program));
    out->kind = BOUND_EXPR;
    out->program = program;
    if (!expr_is_const(e) || a->edge_hi <= a->edge_lo) return OK;
    struct scratch_mark m = scratch_mark(c->scratch);
    enum status st = eval_bound(c, a, out, a->edge_lo, 1, &out->k);
    scratch_release(c->scratch, m);
    if (st == OK) out->kind = BOUND_FIXED;
    return st;
}

/* What all windows together are like. */
static enum status survey(struct ctx *c, const struct box *own, struct window_axis *a)
{
    int64_t lo = own->lo[a->dim], hi = own->hi[a->dim], at = lo, last_lo = 0, last_hi = 0;
    bool any = false;
    a->first = a->last = a->edge_lo;
    a->monotone = a->from_first = a->to_last = true;
    bool simple = a->lo.kind != BOUND_EXPR && a->hi.kind != BOUND_EXPR;
    int64_t least_lo = INT64_MAX, most_lo = INT64_MIN, least_hi = INT64_MAX, most_hi = INT64_MIN;
    for (bool first = true; at < hi; at += PIECE, first = false) {
        struct scratch_mark m = scratch_mark(c->scratch);
        struct ranges r;
        int64_t n = hi - at < PIECE ? hi - at : PIECE;
        TRY(check_cancel(c));
        TRY(window_ranges(c, a, at, n, &r));
        for (int64_t i = 0; i < n; i++) {
            if (!first || i) a->monotone &= r.lo[i] >= last_lo && r.hi[i] >= last_hi;
            last_lo = r.lo[i];
            last_hi = r.hi[i];
            if (r.lo[i] == r.hi[i]) continue;
            if (!any || r.lo[i] < a->first) a->first = r.lo[i];
            if (!any || r.hi[i] > a->last) a->last = r.hi[i];
            any = true;
            if (r.hi[i] - r.lo[i] > a->longest) a->longest = r.hi[i] - r.lo[i];
            least_lo = r.lo[i] < least_lo ? r.lo[i] : least_lo;
            most_lo = r.lo[i] > most_lo ? r.lo[i] : most_lo;
            least_hi = r.hi[i] < least_hi ? r.hi[i] : least_hi;
            most_hi = r.hi[i] > most_hi ? r.hi[i] : most_hi;
        }
        scratch_release(c->scratch, m);
        /* Fixed and shifted bounds are monotone: the middle is between both ends. */
        if (simple && first && hi - at > 2 * PIECE) at = hi - 2 * PIECE;
    }
    if (a->lo.kind == BOUND_SHIFT && a->hi.kind == BOUND_SHIFT) { /* longest in the middle */
        int64_t whole = (a->hi.k - a->lo.k) / 2 + 1, touched = a->last - a->first;
        if (whole > touched) whole = touched;
        if (whole > a->longest) a->longest = whole;
    }
    a->from_first = least_lo == most_lo;
    a->to_last = least_hi == most_hi;
    return OK;
}

enum status window_axis_open(struct ctx *c, const struct window_place *at,
                             const struct window_dim *w, enum ast_edge edge,
                             struct window_axis *out)
{
    const struct plan *p = at->plan;
    const struct rel *rel = &p->in[0]->rel;
    const struct rel_dim *d = &rel->dims[w->dim];
    const struct expr *e = w->lo ? w->lo : w->hi;
    struct window_axis a = {.dim = w->dim,
                            .rel = rel,
                            .name = d->name ? d->name : "row",
                            .by_position = w->by_position,
                            .pos = e ? e->pos : p->pos,
                            .edge = edge};
    bool known = p->region.hi[w->dim] != ROWS_UNKNOWN;
    a.edge_lo = known ? p->region.lo[w->dim] : at->in.lo[w->dim];
    a.edge_hi = known ? p->region.hi[w->dim] : at->in.hi[w->dim];
    const struct box *in = &at->in;
    a.lo_cell = in->lo[w->dim] > a.edge_lo ? in->lo[w->dim] : a.edge_lo;
    a.hi_cell = in->hi[w->dim] < a.edge_hi ? in->hi[w->dim] : a.edge_hi;
    if (a.hi_cell < a.lo_cell) a.hi_cell = a.lo_cell;
    a.descends = !w->by_position && d->axis && axis_descending(d->axis);
    bool listed = d->axis && d->axis->kind == AXIS_LABELLED && !w->by_position && (w->lo || w->hi);
    if (listed && edge >= EDGE_NEAREST) {
        fail_at(c, ERR_UNSUPPORTED, (int)a.pos,
                "a window by coordinate of the labels of \"%s\" has no cells past the edge",
                a.name);
        return hint(c, "Count cells instead: [#%s - 1 : #%s + 1].", a.name, a.name);
    }
    TRY(bound_open(c, at->env, &a, w->lo, &a.lo));
    TRY(bound_open(c, at->env, &a, w->hi, &a.hi));
    TRY(survey(c, &at->own, &a));
    *out = a;
    return OK;
}
