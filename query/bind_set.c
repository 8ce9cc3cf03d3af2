/* What do UNION, INTERSECT and EXCEPT give? The rows of one side after those of the other; for
 * INTERSECT and EXCEPT they are then counted by side, as groups of all columns. */
#include "query/bind_internal.h"

static const char *const set_names[] = {
    [SET_UNION] = "UNION", [SET_INTERSECT] = "INTERSECT", [SET_EXCEPT] = "EXCEPT"};

/* ---- columns ---- */

/* The list's columns as expressions that may still be cast. */
static struct plan *castable(struct ctx *c, struct query *q)
{
    query_to_list(c, q);
    if (q->root->kind == P_MAP) return q->root;
    struct expr **es = arena_array(c->arena, struct expr *, q->n_outs + 1);
    const char **names = arena_array(c->arena, const char *, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++) {
        es[i] = col_ref(c, &q->root->rel, q->outs[i].index);
        names[i] = q->outs[i].name;
    }
    return plan_map(c, q->root, es, names, q->n_outs);
}

static enum status match_columns(struct binder *b, const char *what, struct plan **sides,
                                 struct query *out)
{
    for (int i = 0; i < out->n_outs; i++) {
        struct expr *both[2] = {sides[0]->exprs[i], sides[1]->exprs[i]};
        enum type t;
        TRY(at(b->c, expr_common_type(b->c, both, 2, what, &t), place(b, sides[1]->pos)));
        for (int k = 0; k < 2; k++) {
            sides[k]->exprs[i] = both[k];
            sides[k]->rel.cols[i].type = t;
        }
        out->outs[i] = (struct out_col){out->outs[i].name, t, false, i};
    }
    return OK;
}

static struct plan *append(struct binder *b, const struct ast_select *s, struct plan **sides)
{
    const struct rel *r = &sides[0]->rel;
    struct plan *p = plan_new(b->c, P_CONCAT, place(b, s->pos), 2);
    p->in[0] = sides[0];
    p->in[1] = sides[1];
    rel_list(b->c, &p->rel, -1, r->n_cols);
    for (int i = 0; i < r->n_cols; i++)
        p->rel.cols[i] = (struct rel_col){.name = r->cols[i].name, .type = r->cols[i].type};
    return p;
}

/* ---- rows of a side counted ---- */

static struct expr *bool_const(struct ctx *c, bool v, int pos)
{
    struct value value = value_int(T_BOOL, v);
    return expr_make_const(c, &value, pos);
}

/* One more column: is the row the left side's? */
static void tell_side(struct ctx *c, struct plan *side, bool left)
{
    int n = side->n_exprs;
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    struct rel_col *cols = arena_array(c->arena, struct rel_col, n + 2);
    memcpy(es, side->exprs, sizeof *es * (size_t)n);
    memcpy(cols, side->rel.cols, sizeof *cols * (size_t)n);
    es[n] = bool_const(c, left, side->pos);
    cols[n] = (struct rel_col){.name = "left", .type = T_BOOL};
    side->exprs = es;
    side->n_exprs = n + 1;
    side->rel.cols = cols;
    side->rel.n_cols = n + 1;
}

/* Groups of all columns but the last, that says whose the row is: the columns, then how many of
 * the left there are, and of the right. */
static enum status count_sides(struct binder *b, struct plan *rows, int n, int pos,
                               struct plan **out)
{
    struct ctx *c = b->c;
    struct bound_key *keys = arena_array(c->arena, struct bound_key, n + 1);
    struct agg_list list = {.calls = arena_array(c->arena, struct agg_call, 2),
                            .types = arena_array(c->arena, enum type, 2)};
    for (int i = 0; i < n; i++)
        keys[i] = (struct bound_key){.key = {.e = col_ref(c, &rows->rel, i), .dim = -1},
                                     .name = rows->rel.cols[i].name};
    for (int side = 0; side < 2; side++) {
        struct agg_call *a = &list.calls[list.n];
        struct expr *is_left = col_ref(c, &rows->rel, n);
        *a = (struct agg_call){.args = arena_array(c->arena, struct expr *, 1), .pos = pos};
        a->filter = is_left;
        if (side) TRY(expr_make_call(c, "not", &is_left, 1, pos, &a->filter));
        TRY(agg_resolve(c, "count", a->args, 0, false, false, pos, &a->agg, &list.types[list.n++]));
    }
    return make_aggregate(b, rows, keys, n, &list, pos, out);
}

static enum status call2(struct ctx *c, const char *name, struct expr *x, struct expr *y, int pos,
                         struct expr **out)
{
    struct expr *args[2] = {x, y};
    return expr_make_call(c, name, args, 2, pos, out);
}

/* How often a row is in the result: with ALL; or whether it is. */
static enum status times(struct ctx *c, const struct ast_select *s, const struct plan *counted,
                         int n, int pos, struct expr **out)
{
    struct expr *l = col_ref(c, &counted->rel, n), *r = col_ref(c, &counted->rel, n + 1);
    struct value v = value_int(T_INT64, 0);
    struct expr *zero = expr_make_const(c, &v, pos), *in_left, *in_right;
    if (s->set_all && s->set == SET_INTERSECT) return call2(c, "least", l, r, pos, out);
    if (s->set_all) return call2(c, "-", l, r, pos, out);
    TRY(call2(c, ">", l, zero, pos, &in_left));
    TRY(call2(c, s->set == SET_INTERSECT ? ">" : "=", r, zero, pos, &in_right));
    return call2(c, "and", in_left, in_right, pos, out);
}

static enum status compare_sides(struct binder *b, const struct ast_select *s, struct plan **sides,
                                 struct query *q)
{
    struct ctx *c = b->c;
    int n = q->n_outs, pos = place(b, s->pos);
    struct plan *counted, *p;
    struct expr *wanted, **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    for (int k = 0; k < 2; k++)
        tell_side(c, sides[k], k == 0);
    TRY(count_sides(b, append(b, s, sides), n, pos, &counted));
    if (counted->by_dims && n)
        return fail(c, ERR_INTERNAL, "the columns of a list became dimensions");
    TRY(times(c, s, counted, n, pos, &wanted));
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, &counted->rel, i);
        names[i] = counted->rel.cols[i].name;
    }
    if (!s->set_all) {
        q->root = plan_map(c, plan_filter(c, counted, wanted), es, names, n);
        return OK;
    }
    es[n] = wanted;
    names[n] = "times";
    p = plan_new(c, P_REPEAT, pos, 1);
    p->in[0] = plan_map(c, counted, es, names, n + 1);
    rel_list(c, &p->rel, -1, n);
    for (int i = 0; i < n; i++)
        p->rel.cols[i] = p->in[0]->rel.cols[i];
    q->root = p;
    return OK;
}

enum status bind_set(struct binder *b, const struct ast_select *s, const struct scope *outer,
                     struct query *out)
{
    struct ctx *c = b->c;
    struct query left = {0}, right = {0};
    const char *name = set_names[s->set];
    TRY(bind_source(b, s->left, outer, WANT_CELLS, &left));
    TRY(bind_source(b, s->right, outer, WANT_CELLS, &right));
    if (left.n_outs != right.n_outs)
        return fail_at(c, ERR_SYNTAX, place(b, s->right->pos),
                       "each %s query must have the same number of columns", name);
    struct plan *sides[2] = {castable(c, &left), castable(c, &right)};
    sides[1]->pos = place(b, s->right->pos);
    *out = left;
    out->is_array = false;
    TRY(match_columns(b, name, sides, out));
    if (s->set != SET_UNION) return compare_sides(b, s, sides, out);
    out->root = append(b, s, sides);
    if (!s->set_all) add_distinct(c, out);
    return OK;
}
