/* What do the brackets of SELECT make of a relation? Nothing bracketed: a list. Every dimension
 * bracketed as it is: the same array, its dimensions in the order written. Else each cell goes to
 * the coordinates that it computes, and two cells at one place are an error. */
#include "query/bind_internal.h"

#define KNOWN_CELLS 1e11 /* of an array that keeps its axes however few cells it has */

static void outputs(struct ctx *c, const struct target *ts, int n, struct query *q)
{
    q->outs = arena_array(c->arena, struct out_col, n + 1);
    q->n_outs = n;
    for (int i = 0; i < n; i++)
        q->outs[i] = (struct out_col){.name = ts[i].name, .type = ts[i].e->type};
}

static struct plan *map_targets(struct ctx *c, struct plan *in, const struct target *ts, int n,
                                bool brackets_too, struct query *q)
{
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    int k = 0;
    for (int i = 0; i < n; i++) {
        if (ts[i].bracket && !brackets_too) continue;
        q->outs[i].is_dim = false;
        q->outs[i].index = k;
        es[k] = ts[i].e;
        names[k++] = ts[i].name;
    }
    return plan_map(c, in, es, names, k);
}

/* ---- lists ---- */

void query_to_list(struct ctx *c, struct query *q)
{
    bool all = q->n_outs == q->root->rel.n_cols;
    for (int i = 0; i < q->n_outs; i++)
        all = all && !q->outs[i].is_dim && q->outs[i].index == i;
    q->is_array = false;
    if (all) return;
    struct expr **es = arena_array(c->arena, struct expr *, q->n_outs + 1);
    const char **names = arena_array(c->arena, const char *, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++) {
        struct out_col *o = &q->outs[i];
        es[i] =
            o->is_dim ? dim_ref(c, &q->root->rel, o->index) : col_ref(c, &q->root->rel, o->index);
        names[i] = o->name;
        o->is_dim = false;
        o->index = i;
    }
    q->root = plan_map(c, q->root, es, names, q->n_outs);
}

/* ---- the same array ---- */

/* The dimension that each bracket names, if brackets name dimensions and no two the same. */
static bool plain_brackets(const struct rel *r, const struct target *ts, int n, int *order,
                           int *n_order)
{
    bool used[MAX_DIMS] = {false};
    *n_order = 0;
    for (int i = 0; i < n; i++) {
        if (!ts[i].bracket) continue;
        int d = ts[i].e->index;
        if (ts[i].e->kind != E_DIM) return false;
        if (!used[d]) order[(*n_order)++] = d;
        used[d] = true;
    }
    for (int d = 0; d < r->n_dims; d++) {
        /* A dimension of one position can go: what it leaves is unambiguous. */
        bool one = dim_known(&r->dims[d]) && r->dims[d].hi - r->dims[d].lo == 1;
        if (!used[d] && !one) return false;
    }
    return true;
}

bool shape_stays(const struct rel *r, const struct target *ts, int n)
{
    int order[MAX_DIMS], n_order;
    return plain_brackets(r, ts, n, order, &n_order);
}

static struct plan *drop_dims(struct ctx *c, struct plan *in, const int *order, int n)
{
    if (n == in->rel.n_dims) return in;
    bool keep[MAX_DIMS] = {false};
    for (int i = 0; i < n; i++)
        keep[order[i]] = true;
    struct plan *p = plan_over(c, P_SLICE, in->pos, in);
    p->dim_of = arena_array(c->arena, int, n + 1);
    rel_box(&in->rel, &p->region);
    p->rel.n_dims = 0;
    for (int d = 0; d < in->rel.n_dims; d++) {
        if (!keep[d]) continue;
        p->dim_of[p->rel.n_dims] = d;
        p->rel.dims[p->rel.n_dims++] = in->rel.dims[d];
    }
    return p;
}

static struct plan *order_dims(struct ctx *c, struct plan *in, const int *order, int n)
{
    bool same = true;
    for (int i = 0; i < n; i++)
        same = same && order[i] == i;
    if (same) return in;
    struct plan *p = plan_over(c, P_TRANSPOSE, in->pos, in);
    p->dim_of = arena_array(c->arena, int, n + 1);
    for (int i = 0; i < n; i++) {
        p->dim_of[i] = order[i];
        p->rel.dims[i] = in->rel.dims[order[i]];
    }
    rel_box(&p->rel, &p->region);
    return p;
}

static void same_array(struct binder *b, struct plan *in, const struct target *ts, int n,
                       const int *order, int n_order, struct query *q)
{
    struct ctx *c = b->c;
    int rank[MAX_DIMS], place_of[MAX_DIMS]; /* among the dimensions kept; in the result */
    struct plan *p = drop_dims(c, map_targets(c, in, ts, n, false, q), order, n_order);
    for (int i = 0; i < n_order; i++) {
        rank[i] = 0;
        for (int k = 0; k < n_order; k++)
            rank[i] += order[k] < order[i];
        place_of[order[i]] = i;
    }
    q->root = order_dims(c, p, rank, n_order);
    q->root->rel.dims =
        arena_dup(c->arena, q->root->rel.dims, sizeof(struct rel_dim) * (size_t)n_order);
    for (int i = 0; i < n; i++) {
        if (!ts[i].bracket) continue;
        q->outs[i].is_dim = true;
        q->outs[i].index = place_of[ts[i].e->index];
        q->root->rel.dims[q->outs[i].index].name = ts[i].name;
    }
}

/* ---- cells sent elsewhere ---- */

static enum status only_call(struct binder *b, const struct target *t, struct agg_list *list)
{
    struct agg_call *call = &list->calls[list->n];
    call->args = arena_array(b->c->arena, struct expr *, 1);
    call->args[0] = t->e;
    call->n_args = 1;
    call->pos = t->pos;
    return agg_resolve(b->c, "only", call->args, 1, false, false, t->pos, &call->agg,
                       &list->types[list->n++]);
}

/* The axis of a dimension whose coordinates the column still has, cells from 0. */
static enum status axis_of_column(struct ctx *c, const struct rel_col *col, struct axis *axis,
                                  struct rel_dim *dim)
{
    const struct rel_dim *d = col->coord;
    int64_t n = d->hi > d->lo ? (d->hi - d->lo + d->stride - 1) / d->stride : 0;
    TRY(axis_rebase(c, d->axis, d->lo, n, d->stride, axis));
    dim->hi = n;
    dim->tile = d->tile;
    dim->unit = d->unit;
    dim->comment = d->comment;
    return OK;
}

/* Are all keys coordinates of dimensions, of an array that isn't vast? */
static bool axes_known(const struct rel *r, int n_keys)
{
    double cells = 1;
    for (int i = 0; i < n_keys; i++) {
        const struct rel_dim *d = r->cols[i].coord;
        if (!d || r->cols[i].type != d->axis->type) return false;
        cells *= (double)(d->hi - d->lo);
    }
    return cells < KNOWN_CELLS;
}

/* Rows of keys and values to an array over the keys. */
static enum status pivot(struct ctx *c, struct plan *in, const struct bound_key *keys, int n_keys,
                         struct plan **out)
{
    struct plan *p = plan_new(c, P_PIVOT, in->pos, 1);
    bool known = axes_known(&in->rel, n_keys);
    p->in[0] = in;
    p->axes = arena_array(c->arena, struct axis, n_keys + 1);
    p->rel.n_dims = n_keys;
    p->rel.dims = arena_array(c->arena, struct rel_dim, n_keys + 1);
    for (int i = 0; i < n_keys; i++) {
        p->axes[i].type = in->rel.cols[i].type;
        p->rel.dims[i] = (struct rel_dim){
            .name = keys[i].name, .axis = &p->axes[i], .hi = ROWS_UNKNOWN, .stride = 1};
        if (known) TRY(axis_of_column(c, &in->rel.cols[i], &p->axes[i], &p->rel.dims[i]));
    }
    p->rel.n_cols = in->rel.n_cols - n_keys;
    p->rel.cols = in->rel.cols + n_keys;
    *out = p;
    return OK;
}

static enum status check_key(struct binder *b, const struct target *t)
{
    enum type k = t->e->type;
    if (type_is_numeric(k) || type_is_time(k) || k == T_TEXT) return OK;
    return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, t->pos),
                   "a dimension cannot be of type %s", type_name(k));
}

/* Groups by value that are bracketed by their keys: no two are alike. */
static bool brackets_are_keys(const struct plan *in, const struct target *ts, int n)
{
    const struct plan *agg = in->kind == P_FILTER ? in->in[0] : in;
    bool used[MAX_DIMS] = {false};
    int n_used = 0;
    if (agg->kind != P_AGGREGATE || agg->by_dims || agg->n_keys > MAX_DIMS) return false;
    for (int i = 0; i < n; i++) {
        int k = ts[i].e->index;
        if (!ts[i].bracket) continue;
        if (ts[i].e->kind != E_COL || k >= agg->n_keys || used[k]) return false;
        used[k] = true;
        n_used++;
    }
    return n_used == agg->n_keys;
}

/* The keys first, as a pivot wants them. */
static enum status pivot_groups(struct binder *b, struct plan *in, const struct target *ts, int n,
                                struct query *q)
{
    struct ctx *c = b->c;
    struct bound_key *keys = arena_array(c->arena, struct bound_key, n + 1);
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    int n_keys = 0, n_all = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            if (ts[i].bracket != (pass == 0)) continue;
            if (ts[i].bracket) keys[n_keys++].name = ts[i].name;
            q->outs[i].is_dim = ts[i].bracket;
            q->outs[i].index = ts[i].bracket ? n_all : n_all - n_keys;
            es[n_all] = ts[i].e;
            names[n_all++] = ts[i].name;
        }
    }
    return pivot(c, plan_map(c, in, es, names, n_all), keys, n_keys, &q->root);
}

static enum status send_cells(struct binder *b, struct plan *in, const struct target *ts, int n,
                              struct query *q)
{
    struct ctx *c = b->c;
    struct bound_key *keys = arena_array(c->arena, struct bound_key, n + 1);
    struct agg_list calls = {.calls = arena_array(c->arena, struct agg_call, n + 1),
                             .types = arena_array(c->arena, enum type, n + 1)};
    int n_keys = 0, pos = -1;
    for (int i = 0; i < n; i++)
        if (ts[i].bracket) TRY(check_key(b, &ts[i]));
    if (brackets_are_keys(in, ts, n)) return pivot_groups(b, in, ts, n, q);
    for (int i = 0; i < n; i++) {
        if (!ts[i].bracket) {
            q->outs[i].index = calls.n;
            TRY(only_call(b, &ts[i], &calls));
            continue;
        }
        if (pos < 0) pos = place(b, ts[i].pos);
        q->outs[i].is_dim = true;
        q->outs[i].index = n_keys;
        keys[n_keys++] = (struct bound_key){.key = {.e = ts[i].e, .dim = -1}, .name = ts[i].name};
    }
    if (n_keys > MAX_DIMS)
        return fail_at(c, ERR_TOO_MANY_COLUMNS, pos, "an array has at most %d dimensions",
                       MAX_DIMS);
    struct plan *p;
    TRY(make_aggregate(b, in, keys, n_keys, &calls, pos, &p));
    p->unique = true;
    q->root = p;
    return p->by_dims ? OK : pivot(c, p, keys, n_keys, &q->root);
}

static enum status bracket_names(struct binder *b, const struct target *ts, int n)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < i && ts[i].bracket; k++)
            if (ts[k].bracket && !strcmp(ts[i].name, ts[k].name)) {
                fail_at(b->c, ERR_DUPLICATE_COLUMN, place(b, ts[i].pos),
                        "dimension \"%s\" stands twice in the brackets of SELECT", ts[i].name);
                return hint(b->c, "AS gives one another name: [%s AS other].", ts[i].name);
            }
    return OK;
}

enum status shape_output(struct binder *b, struct plan *in, const struct target *ts, int n,
                         struct query *out)
{
    int order[MAX_DIMS], n_order;
    bool brackets = false;
    outputs(b->c, ts, n, out);
    for (int i = 0; i < n; i++)
        brackets |= ts[i].bracket;
    out->is_array = brackets;
    TRY(bracket_names(b, ts, n));
    if (!brackets)
        out->root = map_targets(b->c, in, ts, n, true, out);
    else if (plain_brackets(&in->rel, ts, n, order, &n_order))
        same_array(b, in, ts, n, order, n_order, out);
    else
        return send_cells(b, in, ts, n, out);
    return OK;
}
