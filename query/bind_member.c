/* Is a value, or a row of values, among those of a sub-query: IN, = ANY, < ALL?
 *
 * x IN (SELECT s) is EXISTS of the rows with s = x, and NULL where there is none but a NULL stands
 * in the way. Comparisons by order ask the least or greatest value only. */
#include "query/bind_internal.h"

enum { REBIND_COST = 100, EXPANDED_MAX = 100000 };

/* ---- what is looked for ---- */

struct member {
    struct binder *b;
    const struct expr_place *in;
    const struct ast_expr *e;
    struct ast_exprs left; /* the row; one for a single value */
    struct expr **x;       /* bound, over the place */
    bool *x_null;          /* may it be NULL? */
    bool s_null;           /* may a column of the sub-query be? */
    int pos;
};

static bool note_place(const struct expr *e, void *found)
{
    if (e->kind == E_COL || e->kind == E_DIM || e->kind == E_POS || e->kind == E_OUTER ||
        e->kind == E_SUBQUERY)
        *(bool *)found = true;
    return true;
}

/* An expression of the place as the sub-query sees it; constants keep their adaptable type. */
static struct expr *as_seen(struct member *m, struct correlation *k, struct expr *x)
{
    bool found = false;
    struct binder inner = *m->b;
    expr_walk(x, note_place, &found);
    if (!found) return x;
    inner.corr = k;
    return outer_ref(&inner, m->in->scope, x);
}

/* May the column of the plan, or the expression over it, be NULL? */
static bool may_be_null(const struct expr *e, const struct plan *p)
{
    if (e->kind == E_DIM || e->kind == E_POS) return false;
    if (e->kind == E_CONST) return e->value.null;
    if (e->kind == E_CAST) return may_be_null(e->args[0], p);
    if (e->kind != E_COL || !p || e->index >= p->rel.n_cols) return true;
    while (p->kind == P_FILTER)
        p = p->in[0];
    if (p->kind == P_MAP) return may_be_null(p->exprs[e->index], p->in[0]);
    return p->kind != P_SCAN || !p->rel.cols[e->index].not_null;
}

static enum status begin(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                         struct member *m)
{
    const struct ast_expr *x = e->args.v[0];
    *m = (struct member){.b = b, .in = in, .e = e, .pos = place(b, e->pos)};
    m->left = (struct ast_exprs){.n = 1, .v = e->args.v};
    if (x->kind == X_ROW) m->left = x->args;
    struct expr_place value = *in;
    value.truth = false;
    m->x = arena_array(b->c->arena, struct expr *, m->left.n + 1);
    m->x_null = arena_array(b->c->arena, bool, m->left.n + 1);
    for (int i = 0; i < m->left.n; i++) {
        TRY(bind_expr(b, &value, m->left.v[i], &m->x[i]));
        m->x_null[i] = may_be_null(m->x[i], in->scope ? in->scope->plan : NULL);
    }
    return OK;
}

/* The sub-query, bound once more, with its columns as expressions. */
static enum status bind_side(struct member *m, struct correlation *k, struct query *q,
                             struct expr ***columns)
{
    struct binder *b = m->b;
    b->shared->n_expanded += REBIND_COST;
    if (b->shared->n_expanded > EXPANDED_MAX)
        return fail_at(b->c, ERR_TOO_COMPLEX, m->pos, "sub-queries are nested too deep");
    TRY(bind_inner(b, m->in, m->e->select, WANT_CELLS, k, q));
    if (q->n_outs != m->left.n)
        return fail_at(b->c, ERR_SYNTAX, m->pos,
                       q->n_outs > m->left.n ? "subquery has too many columns"
                                             : "subquery has too few columns");
    *columns = arena_array(b->c->arena, struct expr *, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++) {
        const struct out_col *o = &q->outs[i];
        (*columns)[i] = o->is_dim ? dim_ref(b->c, &q->root->rel, o->index)
                                  : col_ref(b->c, &q->root->rel, o->index);
    }
    return OK;
}

static enum status call(struct member *m, const char *name, struct expr *x, struct expr *y,
                        struct expr **out)
{
    struct expr *args[2] = {x, y};
    return expr_make_call(m->b->c, name, args, y ? 2 : 1, m->pos, out);
}

static struct expr *truth(struct member *m, bool v)
{
    struct value value = value_int(T_BOOL, v);
    return expr_make_const(m->b->c, &value, m->pos);
}

static struct expr *unknown(struct member *m)
{
    struct value value = value_null(T_BOOL);
    return expr_make_const(m->b->c, &value, m->pos);
}

enum match {
    MATCH_TRUE,  /* the comparison holds */
    MATCH_MAYBE, /* it holds or is NULL */
};

/* EXISTS (… WHERE x op s), each column with its own. */
static enum status any_row(struct member *m, const char *op, enum match match, struct expr **out)
{
    struct correlation k;
    struct query q;
    struct expr **s, **parts, *all;
    TRY(bind_side(m, &k, &q, &s));
    parts = arena_array(m->b->c->arena, struct expr *, m->left.n);
    for (int i = 0; i < m->left.n; i++) {
        m->s_null |= may_be_null(s[i], q.root);
        TRY(call(m, op, as_seen(m, &k, m->x[i]), s[i], &parts[i]));
        if (match == MATCH_TRUE) continue;
        struct expr *no = truth(m, false);
        TRY(expr_make_distinct(m->b->c, parts[i], no, false, m->pos, &parts[i]));
    }
    all = parts[0];
    if (m->left.n > 1) TRY(expr_make_call(m->b->c, "and", parts, m->left.n, m->pos, &all));
    TRY(expr_want_bool(m->b->c, &all, "WHERE"));
    q.root = plan_filter(m->b->c, q.root, all);
    return add_subquery(m->b, &k, &q, true, 1, out);
}

/* ---- aggregates of the values ---- */

struct over {
    struct expr *n, *n_values; /* rows, and those without a NULL */
    struct expr *least, *most; /* NULL: not asked for */
};

static enum status add_call(struct member *m, const char *name, struct expr *arg,
                            struct agg_list *list)
{
    struct agg_call *a = &list->calls[list->n];
    *a = (struct agg_call){.n_args = arg != NULL, .pos = m->pos};
    a->args = arena_array(m->b->c->arena, struct expr *, 1);
    a->args[0] = arg;
    return agg_resolve(m->b->c, name, a->args, a->n_args, false, false, m->pos, &a->agg,
                       &list->types[list->n++]);
}

/* The rows' number, that of rows without a NULL, and the values' bounds by these aggregates. */
static enum status aggregate(struct member *m, const char *least, const char *most,
                             struct over *out)
{
    struct ctx *c = m->b->c;
    struct correlation k;
    struct query q;
    struct expr **s, **parts, *outs[4];
    struct agg_list list = {.calls = arena_array(c->arena, struct agg_call, 4),
                            .types = arena_array(c->arena, enum type, 4)};
    TRY(bind_side(m, &k, &q, &s));
    TRY(add_call(m, "count", NULL, &list));
    parts = arena_array(c->arena, struct expr *, m->left.n);
    for (int i = 0; i < m->left.n; i++)
        TRY(expr_make_is_null(c, s[i], true, m->pos, &parts[i]));
    TRY(add_call(m, "count", NULL, &list));
    list.calls[1].filter = parts[0];
    if (m->left.n > 1)
        TRY(expr_make_call(c, "and", parts, m->left.n, m->pos, &list.calls[1].filter));
    if (least) TRY(add_call(m, least, s[0], &list));
    if (most) TRY(add_call(m, most, s[0], &list));
    struct query of = {.n_outs = list.n, .outs = arena_array(c->arena, struct out_col, 4)};
    TRY(make_aggregate(m->b, q.root, NULL, 0, &list, m->pos, &of.root));
    for (int i = 0; i < list.n; i++)
        of.outs[i] = (struct out_col){"value", list.types[i], false, i};
    TRY(add_subquery(m->b, &k, &of, false, list.n, outs));
    *out = (struct over){.n = outs[0], .n_values = outs[1]};
    if (least) out->least = outs[2];
    if (most) out->most = outs[2 + (least != NULL)];
    return OK;
}

/* CASE of pairs of conditions and values. */
static enum status choose(struct member *m, struct expr **args, int n, struct expr *otherwise,
                          struct expr **out)
{
    return expr_make_case(m->b->c, args, n, otherwise, m->pos, out);
}

/* Is some x NULL? NULL pointer: none can be. */
static enum status some_null(struct member *m, struct expr **out)
{
    *out = NULL;
    for (int i = 0; i < m->left.n; i++) {
        struct expr *is;
        if (!m->x_null[i]) continue;
        TRY(expr_make_is_null(m->b->c, m->x[i], false, m->pos, &is));
        if (*out) TRY(call(m, "or", *out, is, &is));
        *out = is;
    }
    return OK;
}

/* ---- IN ---- */

/* No row is equal; the answer is NULL if one would be but for NULLs. */
static enum status null_or_false(struct member *m, struct expr *null_x, struct expr **out)
{
    struct over o;
    struct expr *zero, *none, *holes, *args[4], *maybe;
    struct value v = value_int(T_INT64, 0);
    zero = expr_make_const(m->b->c, &v, m->pos);
    TRY(aggregate(m, NULL, NULL, &o));
    TRY(call(m, "=", o.n, zero, &none));
    TRY(call(m, "<", o.n_values, o.n, &holes));
    if (null_x) TRY(call(m, "or", holes, null_x, &holes));
    args[0] = none;
    args[1] = truth(m, false);
    args[2] = holes;
    args[3] = unknown(m);
    if (m->left.n > 1) {
        struct expr *two[2];
        TRY(any_row(m, "=", MATCH_MAYBE, &maybe));
        two[0] = maybe;
        two[1] = unknown(m);
        TRY(choose(m, two, 2, truth(m, false), &args[3]));
    }
    return choose(m, args, 4, truth(m, false), out);
}

/* NOT IN where NULL is as good as false: no row is equal, and either there are none or no NULL is
 * in the way. A condition of such parts is two. */
static enum status surely_absent(struct member *m, struct expr **out)
{
    struct expr *found, *null_x, *in_doubt;
    TRY(any_row(m, "=", MATCH_TRUE, &found));
    TRY(call(m, "not", found, NULL, out));
    TRY(some_null(m, &null_x));
    if (!null_x && !m->s_null) return OK;
    TRY(null_or_false(m, null_x, &in_doubt));
    TRY(expr_make_is_null(m->b->c, in_doubt, true, m->pos, &in_doubt));
    return call(m, "and", *out, in_doubt, out);
}

static enum status member_of(struct member *m, bool negated, struct expr **out)
{
    struct expr *found, *null_x, *args[2];
    if (negated && m->in->truth) return surely_absent(m, out);
    TRY(any_row(m, "=", MATCH_TRUE, &found));
    *out = found;
    if (!m->in->truth) {
        TRY(some_null(m, &null_x));
        if (null_x || m->s_null) {
            struct expr *otherwise;
            args[0] = found;
            args[1] = truth(m, true);
            TRY(null_or_false(m, null_x, &otherwise));
            TRY(choose(m, args, 2, otherwise, out));
        }
    }
    return negated ? call(m, "not", *out, NULL, out) : OK;
}

enum status bind_in_subquery(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out)
{
    struct member m;
    TRY(begin(b, in, e, &m));
    return member_of(&m, e->flag, out);
}

/* ---- ANY and ALL ---- */

/* The comparison with the values that decide it: any holds if it holds with the least or greatest;
 * all hold if they do so too, a NaN among them included, which is then both. */
static enum status with_bounds(struct member *m, bool any, struct expr **cmp, struct over *o)
{
    const char *op = m->e->op;
    bool greater = op[0] == '>', both = !strcmp(op, "=") || !strcmp(op, "<>");
    bool least = both || greater == any, most = both || greater != any;
    bool skip_nan = any && !both;
    TRY(aggregate(m, least ? skip_nan ? "nanmin" : "min" : NULL,
                  most ? skip_nan ? "nanmax" : "max" : NULL, o));
    struct expr *x = m->x[0], *parts[2];
    int n = 0;
    if (least) TRY(call(m, op, x, o->least, &parts[n++]));
    if (most) TRY(call(m, op, x, o->most, &parts[n++]));
    *cmp = parts[0];
    return n == 2 ? call(m, any ? "or" : "and", parts[0], parts[1], cmp) : OK;
}

static enum status ordered_any(struct member *m, bool any, struct expr **out)
{
    struct over o;
    struct expr *cmp, *null_x, *args[6];
    struct value v = value_int(T_INT64, 0);
    struct expr *zero = expr_make_const(m->b->c, &v, m->pos);
    TRY(with_bounds(m, any, &cmp, &o));
    TRY(call(m, "=", o.n, zero, &args[0]));
    args[1] = truth(m, !any);
    args[2] = cmp;
    args[3] = truth(m, any);
    if (!any) TRY(call(m, "not", cmp, NULL, &args[2]));
    TRY(call(m, "<", o.n_values, o.n, &args[4]));
    TRY(some_null(m, &null_x));
    if (null_x) TRY(call(m, "or", args[4], null_x, &args[4]));
    args[5] = unknown(m);
    return choose(m, args, 6, truth(m, !any), out);
}

/* Any other operator (LIKE): a row for which it holds; or, for ALL, for which its negation does. */
static enum status tried_any(struct member *m, bool any, const char *op, struct expr **out)
{
    struct expr *holds, *maybe, *args[4];
    TRY(any_row(m, op, MATCH_TRUE, &holds));
    TRY(any_row(m, op, MATCH_MAYBE, &maybe));
    args[0] = holds;
    args[1] = truth(m, true);
    args[2] = maybe;
    args[3] = unknown(m);
    TRY(choose(m, args, 4, truth(m, false), out));
    return any ? OK : call(m, "not", *out, NULL, out);
}

static const char *negation(const char *op)
{
    static const char *const pairs[][2] = {{"like", "not like"},
                                           {"ilike", "not ilike"},
                                           {"~", "!~"},
                                           {"~*", "!~*"},
                                           {"similar", "not similar"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int k = 0; k < 2; k++)
            if (!strcmp(op, pairs[i][k])) return pairs[i][!k];
    return NULL;
}

enum status bind_any_subquery(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e, struct expr **out)
{
    static const char *const ordered[] = {"=", "<>", "<", "<=", ">", ">="};
    struct member m;
    bool any = e->kind == X_OP_ANY;
    TRY(begin(b, in, e, &m));
    if (!strcmp(e->op, "=") && any) return member_of(&m, false, out);
    if (!strcmp(e->op, "<>") && !any) return member_of(&m, true, out);
    if (m.left.n > 1) return not_yet(b, e->pos, "rows in %s ANY and ALL are", e->op);
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++)
        if (!strcmp(e->op, ordered[i])) return ordered_any(&m, any, out);
    if (any) return tried_any(&m, true, e->op, out);
    if (negation(e->op)) return tried_any(&m, false, negation(e->op), out);
    return not_yet(b, e->pos, "%s ALL over a sub-query is", e->op);
}
