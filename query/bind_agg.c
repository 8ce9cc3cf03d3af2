/* What does a call of an aggregate mean: its overload, arguments, order and FILTER? */
#include "query/bind_internal.h"

static bool same_call(const struct agg_call *x, const struct agg_call *y)
{
    if (x->agg != y->agg || x->n_args != y->n_args || x->distinct != y->distinct) return false;
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
    if (e->within_group) {
        not_yet(b, e->pos, "WITHIN GROUP is");
        return hint(b->c, "quantile(x, q), median(x) and mode(x) take their argument directly.");
    }
    if (e->order.n) return not_yet(b, e->pos, "ORDER BY in an aggregate is");
    if (e->arg_names || e->variadic)
        return fail_at(b->c, ERR_SYNTAX, pos, "an aggregate's arguments have no names");
    return OK;
}

enum status bind_agg_call(struct binder *b, struct expr_place *inside, const struct ast_expr *e,
                          struct agg_call *call, enum type *t)
{
    const char *name = e->name.part[e->name.n - 1];
    int pos = place(b, e->pos);
    bool star = e->args.n == 1 && e->args.v[0]->kind == X_STAR;
    if (e->args.n == 0 && !strcmp(name, "count"))
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "count(*) must be used to call a parameterless aggregate function");
    if (star && strcmp(name, "count"))
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos, "function %s() does not exist", name);
    *call = (struct agg_call){.n_args = star ? 0 : e->args.n, .distinct = e->distinct, .pos = pos};
    call->args = arena_array(b->c->arena, struct expr *, call->n_args + 1);
    for (int i = 0; i < call->n_args; i++)
        TRY(bind_expr(b, inside, e->args.v[i], &call->args[i]));
    TRY(agg_resolve(b->c, name, call->args, call->n_args, e->distinct, pos, &call->agg, t));
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
    TRY(may_aggregate(b, in, e));
    TRY(bind_agg_call(b, &inside, e, &call, &t));
    *out = agg_ref(b, in->aggs, &call, t, call.pos);
    return OK;
}
