/* How far down can a condition go? Through whatever neither changes its meaning nor keeps cells
 * from it that it would fail on. */
#include "query/func.h"
#include "query/rewrite_internal.h"

static enum status sink_into(struct ctx *c, struct plan **slot, struct expr *e);

/* ---- what a condition refers to ---- */

struct refs {
    bool dims, positions;
};

static bool note_ref(const struct expr *e, void *self)
{
    struct refs *r = self;
    r->dims |= e->kind == E_DIM;
    r->positions |= e->kind == E_POS;
    return true;
}

static struct refs refs_of(const struct expr *e)
{
    struct refs r = {false, false};
    expr_walk(e, note_ref, &r);
    return r;
}

/* ---- renumbering ---- */

struct renumber {
    const int *dim_of;
};

static struct expr *renumber_dim(struct ctx *c, const struct expr *e, void *self)
{
    const struct renumber *r = self;
    if (e->kind == E_COL) return NULL;
    return expr_make_ref(c, e->kind, r->dim_of[e->index], e->type, e->pos);
}

static struct expr *with_dims(struct ctx *c, const struct expr *e, const int *dim_of)
{
    struct renumber r = {dim_of};
    return expr_map(c, e, renumber_dim, &r);
}

/* ---- equal values ---- */

static bool note_alike(const struct expr *e, void *self)
{
    bool *alike = self, compares = e->kind == E_IN || e->kind == E_IS_NULL ||
                                   e->kind == E_IS_DISTINCT ||
                                   (e->kind == E_CALL && e->func->flags & FN_COMPARE);
    if (e->kind == E_COL && (type_is_float(e->type) || e->type == T_INTERVAL)) *alike = false;
    for (int i = 0; compares && i < e->n_args; i++)
        if (e->args[i]->kind != E_COL) expr_walk(e->args[i], note_alike, self);
    return !compares;
}

/* Does the condition say the same of all rows whose columns are equal? Floats and intervals that
 * are equal may still differ (-0.0, '1 month' and '30 days'): but no comparison tells them apart.
 */
static bool alike_where_equal(const struct expr *e)
{
    bool alike = true;
    expr_walk(e, note_alike, &alike);
    return alike;
}

/* ---- joins ---- */

struct side {
    const struct plan *join;
    bool right, fits;
};

static int right_dim(const struct plan *p, int out)
{
    int n = p->in[0]->rel.n_dims;
    if (out >= n) return p->right_dims[out - n];
    for (int i = 0; i < p->n_join_dims; i++)
        if (p->join_dims[i].left == out) return p->join_dims[i].right;
    return -1;
}

static bool note_fit(const struct expr *e, void *self)
{
    struct side *s = self;
    const struct rel *l = &s->join->in[0]->rel, *r = &s->join->in[1]->rel;
    if (e->kind == E_COL) s->fits &= (e->index >= l->n_cols) == s->right;
    if (e->kind != E_DIM && e->kind != E_POS) return true;
    if (!s->right) {
        s->fits &= e->index < l->n_dims;
        return true;
    }
    int d = right_dim(s->join, e->index);
    bool own = e->index >= l->n_dims;
    s->fits &= d >= 0 && (own || (e->kind == E_DIM && dim_type(&r->dims[d]) == e->type));
    return true;
}

static bool note_column(const struct expr *e, void *self)
{
    if (e->kind == E_COL) ((bool *)self)[e->index] = true;
    return true;
}

static struct expr *to_right(struct ctx *c, const struct expr *e, void *self)
{
    const struct plan *p = self;
    int index = e->kind == E_COL ? e->index - p->in[0]->rel.n_cols : right_dim(p, e->index);
    return expr_make_ref(c, e->kind, index, e->type, e->pos);
}

static bool fits_side(const struct plan *p, const struct expr *e, bool right)
{
    struct side s = {p, right, true};
    expr_walk(e, note_fit, &s);
    return s.fits;
}

static enum status below_join(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    bool left = p->join != JOIN_FULL && fits_side(p, e, false);
    bool right = p->join == JOIN_INNER && fits_side(p, e, true);
    if (left) TRY(sink_into(c, &p->in[0], e));
    if (right) TRY(sink_into(c, &p->in[1], expr_map(c, e, to_right, p)));
    *done = left || right;
    return OK;
}

/* ---- joins by value ---- */

/* A condition on one side's columns goes to that side unless the side's cells come with NULLs in
 * place of the other's. SEMI, ANTI and ASOF keep the left's dimensions. */
static enum status below_value_join(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    bool asof = p->kind == P_ASOF_JOIN, marks = !asof && p->hash_join >= HASH_SEMI;
    bool left = true, right = true;
    int n_left = p->in[0]->rel.n_cols;
    bool *cols = arena_array(c->arena, bool, p->rel.n_cols + 1);
    expr_walk(e, note_column, cols);
    for (int i = 0; i < p->rel.n_cols; i++) {
        left &= !cols[i] || i < n_left;
        right &= !cols[i] || i >= n_left;
    }
    struct refs refs = refs_of(e);
    bool dims = refs.dims || refs.positions;
    left &= asof || marks || (!dims && (p->hash_join == HASH_INNER || p->hash_join == HASH_LEFT));
    right &= !left && !asof && !dims && (p->hash_join == HASH_INNER || p->hash_join == HASH_RIGHT);
    if (left) TRY(sink_into(c, &p->in[0], e));
    if (right) TRY(sink_into(c, &p->in[1], expr_map(c, e, to_right, p)));
    *done = left || right;
    return OK;
}

/* ---- aggregates ---- */

static bool note_plain(const struct expr *e, void *self)
{
    struct side *s = self;
    const struct plan *p = s->join;
    if (e->kind == E_COL) s->fits &= !p->by_dims && e->index < p->n_keys && p->keys[e->index].e;
    if (e->kind == E_DIM || e->kind == E_POS) s->fits &= p->by_dims && p->keys[e->index].plain;
    return true;
}

static struct expr *to_keys(struct ctx *c, const struct expr *e, void *self)
{
    const struct plan *p = self;
    if (e->kind == E_COL) return p->keys[e->index].e;
    return expr_make_ref(c, e->kind, p->keys[e->index].dim, e->type, e->pos);
}

/* A condition on keys that doesn't tell equal ones apart holds for all cells of a group or none. */
static enum status below_aggregate(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    struct side s = {p, false, p->n_keys > 0 && (p->by_dims || !p->unique)};
    expr_walk(e, note_plain, &s);
    s.fits = s.fits && alike_where_equal(e);
    *done = s.fits;
    return s.fits ? sink_into(c, &p->in[0], expr_map(c, e, to_keys, p)) : OK;
}

/* ---- windows of cells ---- */

static bool note_still(const struct expr *e, void *self)
{
    struct side *s = self;
    if (e->kind == E_COL) s->fits = false;
    if (e->kind != E_DIM && e->kind != E_POS) return true;
    for (int i = 0; i < s->join->n_cell_windows; i++)
        for (int k = 0; k < s->join->cell_windows[i].n_dims; k++)
            s->fits &= s->join->cell_windows[i].dims[k].dim != e->index;
    return true;
}

/* A condition on dimensions along which no window reaches holds for all cells of a window or none.
 */
static enum status below_cell_windows(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    struct side s = {p, false, true};
    expr_walk(e, note_still, &s);
    *done = s.fits;
    return s.fits ? sink_into(c, &p->in[0], e) : OK;
}

/* ---- pivots ---- */

static struct expr *to_rows(struct ctx *c, const struct expr *e, void *self)
{
    const struct plan *p = self;
    int index = e->kind == E_COL ? p->rel.n_dims + e->index : e->index;
    return expr_make_ref(c, E_COL, index, e->type, e->pos);
}

/* ---- windows ---- */

/* Are the rows of a partition equal in what the reference stands for, in every window? */
static bool note_partition(const struct expr *e, void *self)
{
    struct side *s = self;
    const struct plan *p = s->join;
    if (e->kind != E_COL && e->kind != E_DIM && e->kind != E_POS) return true;
    for (int i = 0; i < p->n_windows; i++) {
        bool found = false;
        for (int k = 0; k < p->windows[i].n_partition; k++)
            found |= expr_equal(p->windows[i].partition[k], e);
        s->fits &= found;
    }
    return true;
}

/* A condition on what all windows are partitioned by holds for whole partitions. */
static enum status below_windows(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    struct side s = {p, false, alike_where_equal(e)};
    expr_walk(e, note_partition, &s);
    *done = s.fits;
    return s.fits ? sink_into(c, &p->in[0], e) : OK;
}

/* ---- fetches ---- */

static bool note_own(const struct expr *e, void *self)
{
    struct side *s = self;
    if (e->kind == E_COL) s->fits &= e->index < s->join->in[0]->rel.n_cols;
    return true;
}

/* Values at other cells are those before the condition: it stays above the source. */
static enum status below_fetch(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    struct side s = {p, false, p->n_in == 2};
    expr_walk(e, note_own, &s);
    *done = s.fits;
    return s.fits ? sink_into(c, &p->in[0], e) : OK;
}

/* ---- going down ---- */

static enum status below_concat(struct ctx *c, struct plan *p, struct expr *e)
{
    for (int i = 0; i < p->n_in; i++)
        TRY(sink_into(c, &p->in[i], e));
    return OK;
}

static void add_part(struct ctx *c, struct plan *filter, struct expr *e)
{
    struct expr **parts = &filter->exprs[0];
    int n = conjuncts(filter->exprs[0], &parts);
    struct expr **all = arena_array(c->arena, struct expr *, n + 1);
    memcpy(all, parts, sizeof *all * (size_t)n);
    all[n] = e;
    filter->exprs[0] = and_of(c, all, n + 1);
}

/* Cells between those of the slice come to see what is below it. */
static bool has_steps(const struct plan *slice)
{
    for (int d = 0; d < slice->rel.n_dims; d++)
        if (slice->rel.dims[d].stride != 1) return true;
    return false;
}

/* *done: the condition is now below p, or part of it. */
static enum status go_below(struct ctx *c, struct plan *p, struct expr *e, bool *done)
{
    struct refs r = refs_of(e);
    bool safe = !expr_may_fail(e); /* more cells than before may come to see it */
    *done = false;
    if (expr_is_random(e) && p->kind != P_MAP && p->kind != P_FILTER) return OK;
    *done = true;
    switch (p->kind) {
    case P_MAP:
        if (expr_size(e, 500) >= 500) break;
        for (int i = 0; i < p->n_exprs; i++)
            if (expr_is_volatile(p->exprs[i])) goto stay;
        return sink_into(c, &p->in[0], expr_inline(c, e, p->exprs));
    case P_FILTER:
        if (!safe) break;
        TRY(go_below(c, p->in[0], e, done));
        if (!*done) add_part(c, p, e);
        *done = true;
        return OK;
    case P_SLICE:
        if (!safe && has_steps(p)) break;
        return sink_into(c, &p->in[0], with_dims(c, e, p->dim_of));
    case P_TRANSPOSE:
        return sink_into(c, &p->in[0], with_dims(c, e, p->dim_of));
    case P_REBASE:
        if (r.positions) break;
        return sink_into(c, &p->in[0], e);
    case P_JOIN:
        if (!safe) break;
        return below_join(c, p, e, done);
    case P_HASH_JOIN:
    case P_ASOF_JOIN:
        if (!safe) break;
        return below_value_join(c, p, e, done);
    case P_WINDOW_ROWS:
        if (!safe) break;
        return below_windows(c, p, e, done);
    case P_AGGREGATE:
        if (!safe) break;
        return below_aggregate(c, p, e, done);
    case P_FETCH:
        if (!safe) break;
        return below_fetch(c, p, e, done);
    case P_WINDOW_CELLS:
        if (!safe) break;
        return below_cell_windows(c, p, e, done);
    case P_DISTINCT:
        if (r.dims || r.positions || !alike_where_equal(e)) break;
        return sink_into(c, &p->in[0], e);
    case P_REPEAT:
        if (r.dims || r.positions || !safe) break; /* it leaves rows out */
        return sink_into(c, &p->in[0], e);
    case P_SORT:
        if (r.dims || r.positions || p->limit) break;
        return sink_into(c, &p->in[0], e);
    case P_STACK:
    case P_RESHAPE:
    case P_CONCAT:
        if (r.dims || r.positions || (!safe && p->kind != P_CONCAT)) break;
        return below_concat(c, p, e);
    case P_PIVOT:
        if (r.positions || !safe) break;
        return sink_into(c, &p->in[0], expr_map(c, e, to_rows, p));
    default:
        break;
    }
stay:
    *done = false;
    return OK;
}

static enum status sink_into(struct ctx *c, struct plan **slot, struct expr *e)
{
    bool done;
    TRY(go_below(c, *slot, e, &done));
    if (done) return OK;
    *slot = plan_filter(c, *slot, e);
    return OK;
}

enum status push_filters(struct ctx *c, struct plan **slot)
{
    struct plan *p = *slot;
    for (int i = 0; i < p->n_in; i++)
        TRY(push_filters(c, &p->in[i]));
    if (p->kind != P_FILTER || expr_is_volatile(p->exprs[0])) return OK;
    struct expr *whole = p->exprs[0], **parts = &whole;
    int n = conjuncts(whole, &parts), n_left = 0;
    struct expr **left = arena_array(c->arena, struct expr *, n);
    for (int i = 0; i < n; i++) {
        bool done;
        TRY(go_below(c, p->in[0], parts[i], &done));
        if (!done) left[n_left++] = parts[i];
    }
    if (n_left == 0)
        *slot = p->in[0];
    else
        p->exprs[0] = and_of(c, left, n_left);
    return OK;
}
