/* What does a call of an aggregate mean: its overload, arguments, order and FILTER? */
#include "query/bind_internal.h"

static const char *agg_name_of(const struct ast_expr *e)
{
    return e->name.part[e->name.n - 1];
}

static bool same_call(const struct agg_call *x, const struct agg_call *y)
{
    if (x->agg != y->agg || x->n_args != y->n_args || x->distinct != y->distinct ||
        x->n_order != y->n_order)
        return false;
    for (int i = 0; i < x->n_order; i++)
        if (x->order[i].desc != y->order[i].desc ||
            x->order[i].nulls_first != y->order[i].nulls_first)
            return false;
    if (!x->filter != !y->filter || (x->filter && !expr_equal(x->filter, y->filter))) return false;
    for (int i = 0; i < x->n_args; i++)
        if (!expr_equal(x->args[i], y->args[i])) return false;
    return true;
}

static struct expr *agg_ref(struct binder *b, struct agg_list *list, const struct agg_call *call,
                            enum type t, int pos)
{
    int i = 0;
    while (i < list->n && !same_call(&list->calls[i], call))
        i++;
    if (i == list->n) {
        if ((list->n & (list->n - 1)) == 0) {
            int cap = list->n ? 2 * list->n : 1;
            struct agg_call *calls = arena_array(b->c->arena, struct agg_call, cap);
            enum type *types = arena_array(b->c->arena, enum type, cap);
            if (list->n) {
                memcpy(calls, list->calls, sizeof *calls * (size_t)list->n);
                memcpy(types, list->types, sizeof *types * (size_t)list->n);
            }
            list->calls = calls;
            list->types = types;
        }
        list->calls[i] = *call;
        list->types[i] = t;
        list->n++;
    }
    return expr_make_ref(b->c, E_COL, AGG_BASE + i, t, pos);
}

static enum status may_aggregate(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e)
{
    int pos = place(b, e->pos);
    if (in->in_agg)
        return fail_at(b->c, ERR_GROUPING, pos, "aggregate function calls cannot be nested");
    if (!in->aggs)
        return fail_at(b->c, ERR_GROUPING, pos, "aggregate functions are not allowed in %s",
                       in->clause ? in->clause : "this place");
    if (e->arg_names || e->variadic)
        return fail_at(b->c, ERR_SYNTAX, pos, "an aggregate's arguments have no names");
    return OK;
}

/* May ORDER BY, DISTINCT and WITHIN GROUP stand in this call? */
static enum status check_order(struct binder *b, const struct expr_place *in,
                               const struct ast_expr *e)
{
    int pos = place(b, e->pos);
    if (in->in_win && e->within_group)
        return fail_at(b->c, ERR_UNSUPPORTED, pos,
                       "OVER is not supported for ordered-set aggregate %s", agg_name_of(e));
    if (in->in_win && e->order.n)
        return fail_at(b->c, ERR_UNSUPPORTED, pos,
                       "aggregate ORDER BY is not implemented for window functions");
    if (e->within_group && e->distinct)
        return fail_at(b->c, ERR_SYNTAX, pos, "cannot use DISTINCT with WITHIN GROUP");
    if (e->within_group && e->order.n != 1)
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos,
                       "WITHIN GROUP of %s takes one expression to sort by", agg_name_of(e));
    return OK;
}

/* ORDER BY's expressions, to the end of the arguments. */
static enum status bind_agg_order(struct binder *b, struct expr_place *inside,
                                  const struct ast_sorts *order, struct agg_call *call)
{
    struct agg_order *o = arena_array(b->c->arena, struct agg_order, order->n + 1);
    call->order = o;
    for (int i = 0; i < order->n; i++) {
        const struct ast_sort *s = &order->v[i];
        struct expr **e = &call->args[call->n_args + i];
        o[i] =
            (struct agg_order){.desc = s->desc, .nulls_first = s->nulls ? s->nulls == 1 : s->desc};
        TRY(bind_expr(b, inside, s->e, e));
        TRY(expr_resolve_unknown(b->c, e));
        if ((*e)->type == T_INT64S)
            return fail_at(b->c, ERR_UNDEFINED_FUNCTION, (*e)->pos,
                           "could not identify an ordering operator for type %s",
                           type_name((*e)->type));
    }
    call->n_order = order->n;
    return OK;
}

/* Of DISTINCT values there is nothing to sort by but themselves: for each ORDER BY the argument
 * that it is; -1: none. */
static enum status match_order(struct binder *b, const struct agg_call *call, int *arg)
{
    for (int i = 0; i < call->n_order; i++) {
        const struct expr *e = call->args[call->n_args + i];
        arg[i] = -1;
        for (int k = 0; k < call->n_args && arg[i] < 0; k++)
            if (expr_equal(e, call->args[k])) arg[i] = k;
        if (arg[i] < 0 && call->distinct)
            return fail_at(b->c, ERR_INVALID_REFERENCE, e->pos,
                           "in an aggregate with DISTINCT, ORDER BY expressions must appear in "
                           "argument list");
    }
    return OK;
}

/* WITHIN GROUP's expression, then the direct arguments; or the arguments. */
static enum status bind_agg_args(struct binder *b, struct expr_place *inside,
                                 const struct ast_expr *e, struct agg_call *call)
{
    if (e->within_group) TRY(bind_expr(b, inside, e->order.v[0].e, &call->args[call->n_args++]));
    bool star = e->args.n == 1 && e->args.v[0]->kind == X_STAR;
    for (int i = 0; i < e->args.n && !star; i++)
        TRY(bind_expr(b, inside, e->args.v[i], &call->args[call->n_args++]));
    return OK;
}

enum status bind_agg_call(struct binder *b, struct expr_place *inside, const struct ast_expr *e,
                          struct agg_call *call, enum type *t)
{
    const char *name = agg_name_of(e);
    int pos = place(b, e->pos);
    bool star = e->args.n == 1 && e->args.v[0]->kind == X_STAR;
    if (e->args.n == 0 && !strcmp(name, "count"))
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "count(*) must be used to call a parameterless aggregate function");
    if (star && strcmp(name, "count"))
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos, "function %s() does not exist", name);
    TRY(check_order(b, inside, e));
    *call = (struct agg_call){.distinct = e->distinct, .pos = pos};
    call->args = arena_array(b->c->arena, struct expr *, e->args.n + e->order.n + 2);
    int *order_arg = arena_array(b->c->arena, int, e->order.n + 1);
    TRY(bind_agg_args(b, inside, e, call));
    TRY(bind_agg_order(b, inside, &e->order, call));
    TRY(match_order(b, call, order_arg));
    TRY(agg_resolve(b->c, name, call->args, call->n_args, e->distinct, e->within_group, pos,
                    &call->agg, t));
    for (int i = 0; i < call->n_order; i++)
        if (order_arg[i] >= 0 && (call->distinct || e->within_group))
            call->args[call->n_args + i] = call->args[order_arg[i]];
    if (!agg_is_ordered(call->agg)) call->n_order = 0;
    call->n_args += call->n_order;
    if (!e->filter) return OK;
    inside->clause = "FILTER";
    return bind_condition(b, inside, e->filter, &call->filter);
}

enum status bind_aggregate(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    struct expr_place inside = {.scope = in->scope, .clause = in->clause, .in_agg = true};
    struct agg_call call;
    enum type t;
    bool outer;
    TRY(bind_outer_aggregate(b, in, e, out, &outer));
    if (outer) return OK;
    TRY(may_aggregate(b, in, e));
    TRY(bind_agg_call(b, &inside, e, &call, &t));
    *out = agg_ref(b, in->aggs, &call, t, call.pos);
    return OK;
}
