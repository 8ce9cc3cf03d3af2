/* How are typed expressions built? Calls are func.c's, casts and common types coerce.c's. */
#include "query/func.h"
#include <string.h>

struct expr *expr_make_const(struct ctx *c, const struct value *v, int pos)
{
    struct expr *e = expr_typed_const(c, v, pos);
    e->weak = true;
    return e;
}

struct expr *expr_make_ref(struct ctx *c, enum expr_kind kind, int index, enum type type, int pos)
{
    struct expr *e = expr_new(c, kind, type, pos, 0);
    e->index = index;
    e->weak = kind == E_PARAM;
    return e;
}

enum status expr_make_case(struct ctx *c, struct expr **args, int n, struct expr *otherwise,
                           int pos, struct expr **out)
{
    int n_branches = n / 2;
    struct expr **values = arena_array(c->arena, struct expr *, n_branches + 1);
    struct expr *e = expr_new(c, E_CASE, T_NONE, pos, n + 1);
    if (!otherwise) {
        struct value null = value_null(T_UNKNOWN);
        otherwise = expr_make_const(c, &null, pos);
    }
    values[n_branches] = otherwise;
    for (int i = 0; i < n_branches; i++) {
        e->args[2 * i] = args[2 * i];
        TRY(expr_want_bool(c, &e->args[2 * i], "CASE/WHEN"));
        values[i] = args[2 * i + 1];
    }
    TRY(expr_common_type(c, values, n_branches + 1, "CASE", &e->type));
    e->weak = true;
    for (int i = 0; i < n_branches; i++) {
        e->args[2 * i + 1] = values[i];
        e->weak &= e->args[2 * i]->weak && values[i]->weak;
    }
    e->args[n] = values[n_branches];
    e->weak &= values[n_branches]->weak;
    *out = expr_fold(c, e);
    return OK;
}

/* An integer literal outside the type of an integer column equals no cell of it. */
static bool never_equal(const struct expr *e, const struct expr *item)
{
    if (e->weak || !type_is_integer(e->type) || item->kind != E_CONST || !item->weak ||
        !type_is_integer(item->type) || item->value.null)
        return false;
    struct ctx quiet = {0};
    struct value v;
    return value_cast(&quiet, &item->value, e->type, &v) < 0;
}

enum status expr_make_in(struct ctx *c, struct expr *e, struct expr **list, int n, bool negated,
                         int pos, struct expr **out)
{
    struct expr **all = arena_array(c->arena, struct expr *, n + 1);
    struct expr **equal = arena_array(c->arena, struct expr *, n + 1);
    int n_all = 1, n_equal = 0, n_const = 0;
    all[0] = e;
    for (int i = 0; i < n; i++) {
        if (!expr_is_const(list[i])) continue;
        n_const++;
        if (!never_equal(e, list[i])) all[n_all++] = list[i];
    }
    enum type common;
    TRY(expr_common_type(c, all, n_all, "IN", &common));
    if (n_const > 0 || n == 0) {
        struct expr *in = expr_new(c, E_IN, T_BOOL, pos, n_all);
        memcpy(in->args, all, sizeof *all * (size_t)n_all);
        in->weak = true;
        for (int i = 0; i < n_all; i++)
            in->weak &= all[i]->weak;
        equal[n_equal++] = expr_fold(c, in);
    }
    for (int i = 0; i < n; i++) {
        if (expr_is_const(list[i])) continue;
        struct expr *both[2] = {e, list[i]};
        TRY(expr_make_call(c, "=", both, 2, list[i]->pos, &equal[n_equal++]));
    }
    TRY(expr_make_call(c, "or", equal, n_equal, pos, out));
    return negated ? expr_make_call(c, "not", out, 1, pos, out) : OK;
}

enum status expr_make_is_null(struct ctx *c, struct expr *e, bool negated, int pos,
                              struct expr **out)
{
    TRY(expr_resolve_unknown(c, &e));
    struct expr *is = expr_new(c, E_IS_NULL, T_BOOL, pos, 1);
    is->args[0] = e;
    is->negated = negated;
    is->weak = e->weak;
    *out = expr_fold(c, is);
    return OK;
}

enum status expr_make_distinct(struct ctx *c, struct expr *a, struct expr *b, bool negated, int pos,
                               struct expr **out)
{
    struct expr *both[2] = {a, b};
    const struct func *differ;
    TRY(func_resolve(c, "<>", both, 2, pos, &differ));
    struct expr *e = expr_new(c, E_IS_DISTINCT, T_BOOL, pos, 2);
    e->args[0] = both[0];
    e->args[1] = both[1];
    e->func = differ;
    e->negated = negated;
    e->weak = a->weak && b->weak;
    *out = expr_fold(c, e);
    return OK;
}
