/* When is a sub-query that depends on the query around it a question for rows with certain values,
 * so that one table of its rows by key answers it for all cells? When what it depends on stands in
 * equations alone: WHERE b.k = a.k AND … . (Seshadri, Pirahesh and Leung, "Complex query
 * decorrelation", ICDE 1996, for those that one grouping by the key answers.)
 *
 * EXISTS becomes the keys of the rows; a query of one aggregate row the aggregates by key; any
 * other the rows' values by key, of which nobody may ask for two. */
#include "query/rewrite_internal.h"

/* ---- outer values in expressions ---- */

static bool note_outer(const struct expr *e, void *found)
{
    if (e->kind == E_OUTER) *(bool *)found = true;
    return true;
}

bool expr_has_outer(const struct expr *e)
{
    bool found = false;
    if (e) expr_walk(e, note_outer, &found);
    return found;
}

static bool note_cell(const struct expr *e, void *found)
{
    if (e->kind == E_COL || e->kind == E_DIM || e->kind == E_POS) *(bool *)found = true;
    return true;
}

static bool has_cell(const struct expr *e)
{
    bool found = false;
    expr_walk(e, note_cell, &found);
    return found || !expr_is_const(e);
}

static bool any_outer(struct expr *const *es, int n)
{
    for (int i = 0; i < n; i++)
        if (expr_has_outer(es[i])) return true;
    return false;
}

static bool call_has_outer(const struct agg_call *a)
{
    return expr_has_outer(a->filter) || any_outer(a->args, a->n_args);
}

static bool plan_has_outer(const struct plan *p)
{
    bool found = false;
    plan_walk(p, note_outer, &found);
    return found;
}

struct expr *expr_outward(struct ctx *c, const struct expr *e, struct expr *const *args,
                          struct expr *const *cols)
{
    if (e->kind == E_OUTER) return args[e->index];
    if (e->kind == E_COL && cols) return cols[e->index];
    struct expr *copy = arena_dup(c->arena, e, sizeof *e);
    if (e->n_args > 0) copy->args = arena_array(c->arena, struct expr *, e->n_args);
    for (int i = 0; i < e->n_args; i++)
        copy->args[i] = expr_outward(c, e->args[i], args, cols);
    return copy;
}

/* ---- equations ---- */

struct keys {
    int n;
    struct expr **outer; /* what is looked up, over E_OUTERs */
};

static void add_key(struct ctx *c, struct keys *k, struct expr *outer)
{
    struct expr **all = arena_array(c->arena, struct expr *, k->n + 1);
    if (k->n) memcpy(all, k->outer, sizeof *all * (size_t)k->n);
    all[k->n++] = outer;
    k->outer = all;
}

/* inner = outer, of one type. */
static bool equation(const struct expr *e, struct expr **inner, struct expr **outer)
{
    if (e->kind != E_CALL || e->n_args != 2 || strcmp(func_name(e->func), "=") != 0) return false;
    bool second = expr_has_outer(e->args[1]);
    *inner = e->args[!second];
    *outer = e->args[second];
    return (*inner)->type == (*outer)->type && expr_has_outer(*outer) && !has_cell(*outer) &&
           !expr_has_outer(*inner);
}

/* The columns of p, then one for each name in es. */
static struct plan *with_columns(struct ctx *c, struct plan *p, struct expr **es, int n)
{
    int n_old = p->rel.n_cols;
    struct expr **all = arena_array(c->arena, struct expr *, n_old + n + 1);
    const char **names = arena_array(c->arena, const char *, n_old + n + 1);
    for (int i = 0; i < n_old; i++) {
        all[i] = col_ref(c, &p->rel, i);
        names[i] = p->rel.cols[i].name;
    }
    for (int i = 0; i < n; i++) {
        all[n_old + i] = es[i];
        names[n_old + i] = "key";
    }
    return plan_map(c, p, all, names, n_old + n);
}

static bool pull(struct ctx *c, struct plan *p, struct plan **out, struct keys *k);

static bool pull_filter(struct ctx *c, struct plan *p, struct plan **out, struct keys *k)
{
    struct expr **parts = &p->exprs[0];
    struct plan *in;
    int n = conjuncts(p->exprs[0], &parts), n_kept = 0, n_inner = 0;
    struct expr **kept = arena_array(c->arena, struct expr *, n);
    struct expr **inner = arena_array(c->arena, struct expr *, n);
    if (!pull(c, p->in[0], &in, k)) return false;
    for (int i = 0; i < n; i++) {
        struct expr *outer;
        if (!expr_has_outer(parts[i]))
            kept[n_kept++] = parts[i];
        else if (equation(parts[i], &inner[n_inner], &outer)) {
            add_key(c, k, outer);
            n_inner++;
        } else
            return false;
    }
    if (n_kept) in = plan_filter(c, in, and_of(c, kept, n_kept));
    *out = n_inner ? with_columns(c, in, inner, n_inner) : in;
    return true;
}

static bool pull_map(struct ctx *c, struct plan *p, struct plan **out, struct keys *k)
{
    struct plan *in;
    if (any_outer(p->exprs, p->n_exprs) || !pull(c, p->in[0], &in, k)) return false;
    int n_below = in->rel.n_cols - k->n, n = p->n_exprs;
    struct expr **es = arena_array(c->arena, struct expr *, n + k->n + 1);
    const char **names = arena_array(c->arena, const char *, n + k->n + 1);
    for (int i = 0; i < n + k->n; i++) {
        es[i] = i < n ? p->exprs[i] : col_ref(c, &in->rel, n_below + i - n);
        names[i] = i < n ? p->rel.cols[i].name : "key";
    }
    *out = plan_map(c, in, es, names, n + k->n);
    return true;
}

/* The plan without its equations: its columns, then a key for each of them. False: something else
 * in it depends on the query around. */
static bool pull(struct ctx *c, struct plan *p, struct plan **out, struct keys *k)
{
    *out = p;
    if (!plan_has_outer(p)) return true;
    if (p->kind == P_FILTER) return pull_filter(c, p, out, k);
    return p->kind == P_MAP && pull_map(c, p, out, k);
}

/* ---- kinds of sub-queries ---- */

static void use_keys(struct ctx *c, struct subquery *sq, struct plan *p, int first, int n)
{
    sq->plan = p;
    sq->n_keys = n;
    sq->n_args = 0;
    sq->keys = arena_array(c->arena, int, n);
    for (int i = 0; i < n; i++)
        sq->keys[i] = first + i;
}

/* Nodes that change nothing about whether there are rows. */
static struct plan *bare_rows(struct plan *p)
{
    for (;;) {
        bool some = p->kind == P_LIMIT && !p->offset && p->limit && p->limit->kind == E_CONST &&
                    !p->limit->value.null && p->limit->value.i > 0;
        if (p->kind != P_MAP && p->kind != P_DISTINCT && p->kind != P_ROWS &&
            !(p->kind == P_SORT && !p->limit) && !some)
            return p;
        p = p->in[0];
    }
}

static bool keys_alone(struct ctx *c, struct subquery *sq, struct keys *k)
{
    struct plan *p;
    if (!pull(c, bare_rows(sq->plan), &p, k) || !k->n) return false;
    use_keys(c, sq, p, p->rel.n_cols - k->n, k->n);
    return true;
}

static bool rows_by_key(struct ctx *c, struct subquery *sq, struct keys *k)
{
    struct plan *p;
    for (int i = 0; i < sq->n_cols; i++)
        if (sq->is_dim[i]) return false;
    if (!pull(c, sq->plan, &p, k) || !k->n) return false;
    use_keys(c, sq, p, p->rel.n_cols - k->n, k->n);
    return true;
}

/* ---- aggregates ---- */

static struct expr *no_cell(struct ctx *c, const struct expr *e, void *self)
{
    (void)self;
    struct value null = value_null(e->type);
    return expr_make_const(c, &null, e->pos);
}

/* The aggregates of nothing. */
static struct plan *of_nothing(struct ctx *c, const struct plan *agg, const struct subquery *sq)
{
    struct plan *p = arena_dup(c->arena, agg, sizeof *agg);
    struct value no = value_int(T_BOOL, false);
    p->in = arena_array(c->arena, struct plan *, 1);
    p->in[0] = plan_filter(c, plan_new(c, P_ONE, agg->pos, 0), expr_make_const(c, &no, agg->pos));
    p->aggs = arena_dup(c->arena, agg->aggs, sizeof *agg->aggs * (size_t)agg->n_aggs);
    for (int i = 0; i < p->n_aggs; i++) {
        struct agg_call *a = &p->aggs[i];
        struct expr **args = arena_array(c->arena, struct expr *, a->n_args + 1);
        for (int j = 0; j < a->n_args; j++)
            args[j] = expr_map(c, a->args[j], no_cell, NULL);
        a->args = args;
        if (a->filter) a->filter = expr_map(c, a->filter, no_cell, NULL);
    }
    struct expr **es = arena_array(c->arena, struct expr *, sq->n_cols + 1);
    const char **names = arena_array(c->arena, const char *, sq->n_cols + 1);
    for (int i = 0; i < sq->n_cols; i++) {
        es[i] = col_ref(c, &p->rel, sq->columns[i]);
        names[i] = p->rel.cols[sq->columns[i]].name;
    }
    return plan_map(c, p, es, names, sq->n_cols);
}

/* Are all keys dimensions, no two the same? dims[i]: key i's. */
static bool keys_are_dims(const struct plan *in, int first, int n, int *dims)
{
    if (in->kind != P_MAP || n > MAX_DIMS) return false;
    for (int i = 0; i < n; i++) {
        const struct expr *e = in->exprs[first + i];
        if (e->kind != E_DIM) return false;
        const struct rel_dim *d = &in->rel.dims[e->index];
        if (!dim_known(d) || !d->axis || d->stride != 1) return false;
        for (int k = 0; k < i; k++)
            if (dims[k] == e->index) return false;
        dims[i] = e->index;
    }
    return true;
}

/* The aggregates over an array of the keys, which goes without a table of groups; as columns after
 * the keys. */
static struct plan *over_dims(struct ctx *c, const struct plan *agg, struct plan *in,
                              const int *dims, int n)
{
    struct plan *p = plan_new(c, P_AGGREGATE, agg->pos, 1);
    p->in[0] = in;
    p->by_dims = true;
    p->keys = arena_array(c->arena, struct group_key, n);
    p->n_keys = n;
    p->aggs = agg->aggs;
    p->n_aggs = agg->n_aggs;
    p->rel = (struct rel){.n_dims = n, .n_cols = agg->n_aggs, .cols = agg->rel.cols};
    p->rel.dims = arena_array(c->arena, struct rel_dim, n);
    int n_cols = n + agg->n_aggs;
    struct expr **es = arena_array(c->arena, struct expr *, n_cols);
    const char **names = arena_array(c->arena, const char *, n_cols);
    for (int i = 0; i < n; i++) {
        const struct rel_dim *d = &in->rel.dims[dims[i]];
        p->rel.dims[i] = *d;
        p->keys[i] = (struct group_key){.e = dim_ref(c, &in->rel, dims[i]),
                                        .dim = dims[i],
                                        .plain = true,
                                        .n_groups = d->hi - d->lo};
        es[i] = dim_ref(c, &p->rel, i);
        names[i] = "key";
    }
    for (int i = n; i < n_cols; i++) {
        es[i] = col_ref(c, &p->rel, i - n);
        names[i] = p->rel.cols[i - n].name;
    }
    return plan_map(c, p, es, names, n_cols);
}

/* The keys, then the aggregates. */
static struct plan *over_values(struct ctx *c, const struct plan *agg, struct plan *in, int first,
                                int n)
{
    struct plan *p = plan_new(c, P_AGGREGATE, agg->pos, 1);
    p->in[0] = in;
    p->keys = arena_array(c->arena, struct group_key, n);
    p->n_keys = n;
    p->aggs = agg->aggs;
    p->n_aggs = agg->n_aggs;
    rel_list(c, &p->rel, -1, n + agg->n_aggs);
    for (int i = 0; i < n; i++) {
        p->keys[i] = (struct group_key){.e = col_ref(c, &in->rel, first + i), .dim = -1};
        p->rel.cols[i] = in->rel.cols[first + i];
    }
    for (int i = 0; i < agg->n_aggs; i++)
        p->rel.cols[n + i] = agg->rel.cols[i];
    return p;
}

static bool aggregates_by_key(struct ctx *c, struct subquery *sq, struct keys *k)
{
    struct plan *agg = sq->plan, *in;
    for (int i = 0; i < agg->n_aggs; i++)
        if (call_has_outer(&agg->aggs[i])) return false;
    if (!pull(c, agg->in[0], &in, k) || !k->n) return false;
    int first = in->rel.n_cols - k->n, dims[MAX_DIMS];
    struct plan *p = keys_are_dims(in, first, k->n, dims) ? over_dims(c, agg, in, dims, k->n)
                                                          : over_values(c, agg, in, first, k->n);
    sq->empty = of_nothing(c, agg, sq);
    for (int i = 0; i < sq->n_cols; i++)
        sq->columns[i] += k->n;
    use_keys(c, sq, p, 0, k->n);
    return true;
}

static bool keys_are_args(const struct keys *k, int n_args)
{
    bool same = k->n == n_args;
    for (int i = 0; i < k->n; i++)
        same &= k->outer[i]->kind == E_OUTER && k->outer[i]->index == i;
    return same;
}

bool decorrelate(struct ctx *c, struct subquery *sq, struct expr *const *args,
                 struct expr ***probes, int *n_probes)
{
    struct keys k = {0};
    struct subquery each = *sq;
    each.columns = arena_dup(c->arena, sq->columns, sizeof *sq->columns * (size_t)(sq->n_cols + 1));
    bool one_row = sq->plan->kind == P_AGGREGATE && sq->plan->n_keys == 0;
    bool done = sq->exists ? keys_alone(c, sq, &k)
                : one_row  ? aggregates_by_key(c, sq, &k)
                           : rows_by_key(c, sq, &k);
    if (!done) return false;
    each.plan = plan_copy(c, each.plan, NULL);
    sq->each = arena_dup(c->arena, &each, sizeof each);
    sq->each_arg = keys_are_args(&k, each.n_args) ? 0 : k.n;
    *n_probes = sq->each_arg ? k.n + each.n_args : k.n;
    *probes = arena_array(c->arena, struct expr *, k.n + each.n_args);
    for (int i = 0; i < *n_probes; i++)
        (*probes)[i] = i < k.n ? expr_outward(c, k.outer[i], args, NULL) : args[i - k.n];
    return true;
}
