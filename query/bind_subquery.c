/* What do sub-queries mean in expressions, and what do they take from the queries around them? IN,
 * ANY and ALL are bind_member.c's. */
#include "query/bind_internal.h"

/* ---- what a sub-query takes from around it ---- */

static struct expr *add_arg(struct binder *b, struct correlation *k, struct expr *e)
{
    int i = 0;
    while (i < k->n_args && !expr_equal(k->args[i], e))
        i++;
    if (i == k->n_args) {
        if ((i & (i - 1)) == 0) {
            struct expr **all = arena_array(b->c->arena, struct expr *, i ? 2 * i : 1);
            if (i) memcpy(all, k->args, sizeof *all * (size_t)i);
            k->args = all;
        }
        k->args[k->n_args++] = e;
    }
    return expr_make_ref(b->c, E_OUTER, i, e->type, e->pos);
}

/* Through every sub-query between here and the one that stands in the scope. */
static struct expr *carry(struct binder *b, struct correlation *k, const struct scope *s,
                          struct expr *e)
{
    if (k->up && k->place->scope != s) e = carry(b, k->up, s, e);
    return add_arg(b, k, e);
}

struct expr *outer_ref(struct binder *b, const struct scope *s, struct expr *e)
{
    return carry(b, b->corr, s, e);
}

enum status bind_inner(struct binder *b, const struct expr_place *in, const struct ast_select *s,
                       enum want want, struct correlation *k, struct query *q)
{
    struct binder inner = *b;
    if (b->shared->no_subqueries)
        return fail_at(b->c, ERR_UNSUPPORTED, place(b, s->pos), "cannot use subquery in %s",
                       in->clause ? in->clause : "this place");
    *k = (struct correlation){.up = b->corr, .place = in};
    inner.corr = k;
    *q = (struct query){0};
    return bind_query(&inner, s, in->scope, want, q);
}

/* ---- aggregates of the query around ---- */

struct names_in {
    struct binder *b;
    const struct scope *s;
    bool here, around;
};

static void look_at(struct names_in *f, const struct ast_expr *e)
{
    if (!e || f->here) return;
    if (e->select) f->here = true; /* its names are its own matter */
    if (e->kind == X_NAME || e->kind == X_POSITION) {
        struct ctx quiet = *f->b->c;
        struct binder other = *f->b;
        const struct scope_col *col = NULL;
        other.c = &quiet;
        ctx_clear(&quiet);
        f->here |= scope_find_here(&other, f->s, &e->name, &col) < 0 || col;
        f->around = true;
    }
    for (int i = 0; i < e->args.n; i++)
        look_at(f, e->args.v[i]);
    look_at(f, e->operand);
    look_at(f, e->otherwise);
    look_at(f, e->filter);
}

enum status bind_outer_aggregate(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e, struct expr **out, bool *done)
{
    struct names_in f = {.b = b, .s = in->scope};
    *done = false;
    if (!b->corr || !b->corr->place->scope) return OK;
    for (int i = 0; i < e->args.n; i++)
        look_at(&f, e->args.v[i]);
    look_at(&f, e->filter);
    if (f.here || !f.around) return OK;
    struct binder around = *b;
    around.corr = b->corr->up;
    struct expr *x;
    TRY(bind_expr(&around, b->corr->place, e, &x));
    *out = add_arg(b, b->corr, x);
    *done = true;
    return OK;
}

/* ---- handing over ---- */

static void list_subquery(struct binder *b, struct subquery *sq)
{
    struct bind_shared *s = b->shared;
    if ((s->n_subqueries & (s->n_subqueries - 1)) == 0) {
        int cap = s->n_subqueries ? 2 * s->n_subqueries : 1;
        struct subquery **v = arena_array(b->c->arena, struct subquery *, cap);
        if (s->n_subqueries) memcpy(v, s->subqueries, sizeof *v * (size_t)s->n_subqueries);
        s->subqueries = v;
    }
    sq->slot = s->n_subqueries;
    s->subqueries[s->n_subqueries++] = sq;
}

enum status add_subquery(struct binder *b, const struct correlation *k, const struct query *q,
                         bool exists, int n, struct expr **out)
{
    struct arena *a = b->c->arena;
    struct subquery *sq = arena_new_of(a, struct subquery);
    struct expr **args = k->args;
    int n_args = k->n_args;
    sq->plan = q->root;
    sq->exists = exists;
    sq->n_cols = exists ? 0 : n;
    sq->columns = arena_array(a, int, n + 1);
    sq->is_dim = arena_array(a, bool, n + 1);
    sq->n_args = n_args;
    for (int i = 0; i < sq->n_cols; i++) {
        sq->columns[i] = q->outs[i].index;
        sq->is_dim[i] = q->outs[i].is_dim;
    }
    if (n_args && !b->env->as_written) decorrelate(b->c, sq, k->args, &args, &n_args);
    list_subquery(b, sq);
    for (int i = 0; i < n; i++) {
        struct expr *x =
            expr_make_ref(b->c, E_SUBQUERY, i, exists ? T_BOOL : q->outs[i].type, q->root->pos);
        x->subquery = sq;
        x->args = args;
        x->n_args = n_args;
        out[i] = x;
    }
    return OK;
}

/* ---- values ---- */

/* A query of exactly one row whatever it depends on: aggregates without groups, or no FROM. */
static bool is_one_row(const struct plan *p)
{
    return p->kind == P_ONE || (p->kind == P_AGGREGATE && p->n_keys == 0);
}

/* What is computed from that row may as well be computed outside: then aggregates alone are left,
 * that can be had for all cells at once. */
static enum status add_computed(struct binder *b, const struct correlation *k,
                                const struct query *q, int n, struct expr **out)
{
    struct plan *row = q->root->in[0];
    int n_cols = row->rel.n_cols;
    struct query of_row = {.root = row, .n_outs = n_cols};
    struct expr **cols = arena_array(b->c->arena, struct expr *, n_cols + 1);
    of_row.outs = arena_array(b->c->arena, struct out_col, n_cols + 1);
    for (int i = 0; i < n_cols; i++)
        of_row.outs[i] = (struct out_col){row->rel.cols[i].name, row->rel.cols[i].type, false, i};
    if (n_cols) TRY(add_subquery(b, k, &of_row, false, n_cols, cols));
    for (int i = 0; i < n; i++)
        out[i] = expr_outward(b->c, q->root->exprs[q->outs[i].index], k->args, cols);
    return OK;
}

enum status bind_subquery_row(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e, int n, struct expr **out)
{
    struct correlation k;
    struct query q;
    TRY(bind_inner(b, in, e->select, WANT_CELLS, &k, &q));
    if (q.n_outs != n)
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos),
                       n == 1         ? "subquery must return only one column"
                       : q.n_outs > n ? "subquery has too many columns"
                                      : "subquery has too few columns");
    bool computed = k.n_args && q.root->kind == P_MAP && is_one_row(q.root->in[0]);
    if (computed) return add_computed(b, &k, &q, n, out);
    TRY(add_subquery(b, &k, &q, false, n, out));
    for (int i = 0; i < n; i++)
        out[i]->pos = place(b, e->pos);
    return OK;
}

enum status bind_subquery_expr(struct binder *b, const struct expr_place *in,
                               const struct ast_expr *e, struct expr **out)
{
    struct correlation k;
    struct query q;
    if (e->kind != X_EXISTS) return bind_subquery_row(b, in, e, 1, out);
    TRY(bind_inner(b, in, e->select, WANT_CELLS, &k, &q));
    TRY(add_subquery(b, &k, &q, true, 1, out));
    (*out)->pos = place(b, e->pos);
    return OK;
}

/* array_agg over its rows, in their order; nothing gives the empty list. */
enum status bind_array_subquery(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out)
{
    struct ctx *c = b->c;
    struct correlation k;
    struct query q;
    struct agg_call call = {.n_args = 1, .pos = place(b, e->pos)};
    struct agg_list list = {.n = 1, .calls = &call, .types = arena_array(c->arena, enum type, 1)};
    TRY(bind_inner(b, in, e->select, WANT_ROWS, &k, &q));
    if (q.n_outs != 1)
        return fail_at(c, ERR_SYNTAX, call.pos, "subquery must return only one column");
    query_to_list(c, &q);
    call.args = arena_array(c->arena, struct expr *, 1);
    call.args[0] = col_ref(c, &q.root->rel, 0);
    TRY(agg_resolve(c, "array_agg", call.args, 1, false, false, call.pos, &call.agg, list.types));
    TRY(make_aggregate(b, q.root, NULL, 0, &list, call.pos, &q.root));
    q.outs[0] = (struct out_col){"array", T_INT64S, false, 0};
    struct expr *parts[2];
    struct value none = {.type = T_INT64S, .t = {"", 0}};
    TRY(add_subquery(b, &k, &q, false, 1, &parts[0]));
    parts[1] = expr_make_const(c, &none, call.pos);
    return expr_make_call(c, "coalesce", parts, 2, call.pos, out);
}
