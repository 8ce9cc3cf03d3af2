/* How is a plan node made, and what relation does it give? */
#include "query/bind_internal.h"

struct plan *plan_new(struct ctx *c, enum plan_kind kind, int pos, int n_in)
{
    struct plan *p = arena_new_of(c->arena, struct plan);
    p->kind = kind;
    p->pos = pos;
    p->n_in = n_in;
    p->in = arena_array(c->arena, struct plan *, n_in + 1);
    p->rel.dims = arena_array(c->arena, struct rel_dim, 1); /* none yet, but not NULL */
    p->rel.cols = arena_array(c->arena, struct rel_col, 1);
    return p;
}

struct plan *plan_over(struct ctx *c, enum plan_kind kind, int pos, struct plan *in)
{
    struct plan *p = plan_new(c, kind, pos, 1);
    p->in[0] = in;
    p->rel = in->rel;
    p->rel.dims = arena_dup(c->arena, in->rel.dims, sizeof *in->rel.dims * (size_t)in->rel.n_dims);
    return p;
}

void follow_columns(struct plan *p)
{
    p->rel.n_cols = p->in[0]->rel.n_cols;
    p->rel.cols = p->in[0]->rel.cols;
}

struct plan *plan_filter(struct ctx *c, struct plan *in, struct expr *e)
{
    struct plan *p = plan_over(c, P_FILTER, e->pos, in);
    p->exprs = arena_array(c->arena, struct expr *, 1);
    p->exprs[0] = e;
    p->n_exprs = 1;
    return p;
}

struct plan *plan_map(struct ctx *c, struct plan *in, struct expr **es, const char *const *names,
                      int n)
{
    struct plan *p = plan_over(c, P_MAP, in->pos, in);
    p->exprs = arena_array(c->arena, struct expr *, n + 1);
    p->n_exprs = n;
    p->rel.n_cols = n;
    p->rel.cols = arena_array(c->arena, struct rel_col, n + 1);
    for (int i = 0; i < n; i++) {
        p->exprs[i] = es[i];
        p->rel.cols[i] = (struct rel_col){.name = names[i], .type = es[i]->type};
        if (es[i]->kind == E_COL) {
            p->rel.cols[i] = in->rel.cols[es[i]->index];
            p->rel.cols[i].name = names[i];
        }
    }
    return p;
}

void rel_list(struct ctx *c, struct rel *r, int64_t n, int n_cols)
{
    r->n_dims = 1;
    r->dims = arena_array(c->arena, struct rel_dim, 1);
    r->dims[0] = (struct rel_dim){.lo = 0, .hi = n < 0 ? ROWS_UNKNOWN : n, .stride = 1};
    r->n_cols = n_cols;
    r->cols = arena_array(c->arena, struct rel_col, n_cols + 1);
}

enum type dim_type(const struct rel_dim *d)
{
    return d->axis ? d->axis->type : T_INT64;
}

struct expr *dim_ref(struct ctx *c, const struct rel *r, int d)
{
    return expr_make_ref(c, E_DIM, d, dim_type(&r->dims[d]), -1);
}

struct expr *col_ref(struct ctx *c, const struct rel *r, int i)
{
    return expr_make_ref(c, E_COL, i, r->cols[i].type, -1);
}

bool dim_known(const struct rel_dim *d)
{
    return d->hi != ROWS_UNKNOWN;
}

/* The first position at or after `lo` that a strided dimension has cells at. */
static int64_t on_stride(const struct rel_dim *d, int64_t lo)
{
    if (d->stride <= 1) return lo;
    int64_t off = (lo - d->lo) % d->stride;
    return off ? lo + d->stride - off : lo;
}

/* FULL: positions that either side has. */
static void union_region(struct plan *p)
{
    for (int i = 0; i < p->n_join_dims; i++) {
        struct rel_dim *d = &p->rel.dims[p->join_dims[i].left];
        d->lo = d->axis->hi;
        d->hi = d->axis->lo;
        for (int side = 0; side < 2; side++) {
            const struct join_dim *j = side ? &p->join_dims[i] : &p->left_join_dims[i];
            const struct rel_dim *in = &p->in[side]->rel.dims[j->right];
            int64_t lo = j->map ? d->axis->lo : in->lo - j->shift;
            int64_t hi = j->map ? d->axis->hi : in->hi - j->shift;
            if (in->hi <= in->lo) continue;
            if (lo < d->lo) d->lo = lo;
            if (hi > d->hi) d->hi = hi;
        }
        if (d->hi < d->lo) d->hi = d->lo;
    }
}

void join_region(struct plan *p)
{
    if (p->join == JOIN_FULL) {
        union_region(p);
        return;
    }
    const struct rel *left = &p->in[0]->rel, *right = &p->in[1]->rel;
    for (int d = 0; d < left->n_dims; d++) {
        p->rel.dims[d].lo = left->dims[d].lo;
        p->rel.dims[d].hi = left->dims[d].hi;
    }
    for (int d = left->n_dims; d < p->rel.n_dims; d++) {
        const struct rel_dim *r = &right->dims[p->right_dims[d - left->n_dims]];
        p->rel.dims[d].lo = r->lo;
        p->rel.dims[d].hi = r->hi;
    }
    for (int i = 0; i < p->n_join_dims; i++) {
        const struct join_dim *j = &p->join_dims[i];
        const struct rel_dim *r = &right->dims[j->right];
        struct rel_dim *d = &p->rel.dims[j->left];
        if (p->join == JOIN_LEFT || j->map) continue;
        int64_t lo = r->lo - j->shift, hi = r->hi - j->shift;
        if (lo > d->lo) d->lo = on_stride(&left->dims[j->left], lo);
        if (hi < d->hi) d->hi = hi;
        if (d->hi < d->lo) d->hi = d->lo;
    }
}

/* ---- expressions ---- */

typedef bool visit_fn(const struct expr *e, void *self);

static void walk_all(struct expr *const *es, int64_t n, visit_fn *fn, void *self)
{
    for (int64_t i = 0; i < n; i++)
        if (es[i]) expr_walk(es[i], fn, self);
}

static void walk_call(const struct agg_call *a, visit_fn *fn, void *self)
{
    walk_all(a->args, a->n_args, fn, self);
    walk_all(&a->filter, 1, fn, self);
}

static void walk_windows(const struct plan *p, visit_fn *fn, void *self)
{
    for (int i = 0; i < p->n_windows; i++) {
        const struct row_window *w = &p->windows[i];
        walk_all(w->partition, w->n_partition, fn, self);
        walk_all(&w->from_offset, 1, fn, self);
        walk_all(&w->to_offset, 1, fn, self);
        for (int k = 0; k < w->n_order; k++)
            walk_all(&w->order[k].e, 1, fn, self);
    }
    for (int i = 0; i < p->n_calls; i++)
        walk_call(&p->calls[i].call, fn, self);
    for (int i = 0; i < p->n_cell_windows; i++) {
        const struct cell_window *w = &p->cell_windows[i];
        walk_call(&w->call, fn, self);
        for (int d = 0; d < w->n_dims; d++) {
            walk_all(&w->dims[d].lo, 1, fn, self);
            walk_all(&w->dims[d].hi, 1, fn, self);
        }
    }
}

void plan_walk(const struct plan *p, visit_fn *fn, void *self)
{
    walk_all(p->exprs, p->n_exprs, fn, self);
    walk_all(&p->residual, 1, fn, self);
    walk_all(&p->limit, 1, fn, self);
    walk_all(&p->offset, 1, fn, self);
    walk_all(p->left_keys, p->n_join_keys, fn, self);
    walk_all(p->right_keys, p->n_join_keys, fn, self);
    if (p->rows) walk_all(p->rows, p->n_rows * p->rel.n_cols, fn, self);
    for (int i = 0; i < p->n_keys; i++)
        walk_all(&p->keys[i].e, 1, fn, self);
    for (int i = 0; i < p->n_aggs; i++)
        walk_call(&p->aggs[i], fn, self);
    for (int i = 0; i < p->n_sort; i++)
        walk_all(&p->sort[i].e, 1, fn, self);
    for (int i = 0; i < p->n_points; i++)
        for (int d = 0; d < p->in[p->n_in - 1]->rel.n_dims; d++)
            walk_all(&p->points[i].dims[d].e, 1, fn, self);
    walk_windows(p, fn, self);
    for (int i = 0; i < p->n_in; i++)
        plan_walk(p->in[i], fn, self);
}

/* ---- sizes ---- */

double plan_cells(const struct plan *p)
{
    double n = p->n_in ? 0 : 1, k;
    bool known = true;
    for (int d = 0; d < p->rel.n_dims; d++)
        known &= dim_known(&p->rel.dims[d]);
    for (int i = 0; i < p->n_in && !known; i++) {
        k = plan_cells(p->in[i]);
        n = p->kind == P_STACK ? n + k : p->kind == P_JOIN ? (i ? n * k : k) : n > k ? n : k;
    }
    for (int d = 0; d < p->rel.n_dims && known; d++) {
        k = (double)(p->rel.dims[d].hi - p->rel.dims[d].lo);
        n = (d ? n : 1) * (k < 0 ? 0 : k);
    }
    if (known && p->rel.n_dims == 0) n = 1;
    return n;
}

static double row_bytes(const struct rel *r)
{
    double bytes = 24; /* a row's hash, number and links */
    for (int i = 0; i < r->n_cols; i++)
        bytes += (double)type_bytes(r->cols[i].type);
    return bytes;
}

int hash_join_build(const struct plan *p, int64_t left_cells, int64_t right_cells)
{
    double left = (double)left_cells * row_bytes(&p->in[0]->rel);
    double right = (double)right_cells * row_bytes(&p->in[1]->rel);
    return right <= left;
}

struct plan *plan_scan(struct ctx *c, struct array *a, int pos)
{
    const struct schema *s = array_schema(a);
    struct plan *p = plan_new(c, P_SCAN, pos, 0);
    p->array = a;
    p->label = s->name;
    p->rel.n_dims = s->n_dims;
    p->rel.dims = arena_array(c->arena, struct rel_dim, s->n_dims + 1);
    for (int d = 0; d < s->n_dims; d++) {
        const struct dim *dim = &s->dims[d];
        p->rel.dims[d] = (struct rel_dim){dim->name, &dim->axis, dim->axis.lo, dim->axis.hi,
                                          1,         dim->tile,  dim->unit,    dim->comment};
    }
    p->rel.n_cols = s->n_attrs;
    p->rel.cols = arena_array(c->arena, struct rel_col, s->n_attrs + 1);
    p->attrs = arena_array(c->arena, int, s->n_attrs + 1);
    for (int i = 0; i < s->n_attrs; i++) {
        const struct attr *at = &s->attrs[i];
        p->rel.cols[i] =
            (struct rel_col){at->name, at->type, at->not_null, at->unit, at->comment, NULL};
        p->attrs[i] = i;
    }
    return p;
}
