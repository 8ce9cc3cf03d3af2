/* Which calls are other expressions in disguise? They are replaced when they are bound, so that
 * nothing behind the binder knows them. */
#include "query/func_cells.h"
#include <string.h>

/* AND and OR of AND and OR: one flat node. */
static enum status logical(struct ctx *c, enum expr_kind kind, const char *what, struct expr **args,
                           int n, int pos, struct expr **out)
{
    int flat = 0;
    bool weak = true;
    for (int i = 0; i < n; i++) {
        TRY(expr_want_bool(c, &args[i], what));
        flat += args[i]->kind == kind ? args[i]->n_args : 1;
        weak &= args[i]->weak;
    }
    struct expr *e = expr_new(c, kind, T_BOOL, pos, flat);
    e->weak = weak;
    flat = 0;
    for (int i = 0; i < n; i++) {
        if (args[i]->kind == kind) {
            memcpy(e->args + flat, args[i]->args, sizeof *args * (size_t)args[i]->n_args);
            flat += args[i]->n_args;
        } else {
            e->args[flat++] = args[i];
        }
    }
    *out = flat == 1 ? e->args[0] : expr_fold(c, e);
    return OK;
}

enum status rewrite_and(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    return logical(c, E_AND, "AND", args, n, pos, out);
}

enum status rewrite_or(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    return logical(c, E_OR, "OR", args, n, pos, out);
}

enum status rewrite_not(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    TRY(expr_want_bool(c, &args[0], "NOT"));
    struct expr *e = expr_new(c, E_NOT, T_BOOL, pos, 1);
    e->args[0] = args[0];
    e->weak = args[0]->weak;
    *out = expr_fold(c, e);
    return OK;
}

enum status rewrite_xor(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    for (int i = 0; i < n; i++)
        TRY(expr_want_bool(c, &args[i], "LOGICAL_XOR"));
    return expr_make_call(c, "<>", args, n, pos, out);
}

enum status rewrite_coalesce(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    enum type common;
    TRY(expr_common_type(c, args, n, "COALESCE", &common));
    struct expr *e = expr_new(c, E_COALESCE, common, pos, n);
    e->weak = true;
    for (int i = 0; i < n; i++) {
        e->args[i] = args[i];
        e->weak &= args[i]->weak;
    }
    *out = expr_fold(c, e);
    return OK;
}

enum status rewrite_nullif(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    struct expr *same;
    TRY(expr_make_call(c, "=", args, n, pos, &same));
    if (args[0]->type == T_UNKNOWN) TRY(coerce(c, &args[0], T_TEXT, pos));
    struct value null = value_null(args[0]->type);
    struct expr *branches[2] = {same, expr_typed_const(c, &null, pos)};
    return expr_make_case(c, branches, 2, args[0], pos, out);
}

enum status rewrite_same(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)c;
    (void)n;
    (void)pos;
    *out = args[0];
    return OK;
}

enum status rewrite_clip(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    struct expr *low[2] = {args[0], args[1]}, *high[2] = {NULL, args[2]};
    TRY(expr_make_call(c, "maximum", low, 2, pos, &high[0]));
    return expr_make_call(c, "minimum", high, 2, pos, out);
}

enum status rewrite_log_base(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    const struct expr *base = args[0];
    if (base->kind == E_CONST && !base->value.null && (base->value.d == 2 || base->value.d == 10))
        return expr_make_call(c, base->value.d == 2 ? "log2" : "log", &args[1], 1, pos, out);
    struct expr *logs[2];
    TRY(expr_make_call(c, "ln", &args[1], 1, pos, &logs[0]));
    TRY(expr_make_call(c, "ln", &args[0], 1, pos, &logs[1]));
    return expr_make_call(c, "/", logs, 2, pos, out);
}

enum status rewrite_pi(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)args;
    (void)n;
    struct value pi = value_double(3.141592653589793238462643383279502884);
    *out = expr_make_const(c, &pi, pos);
    return OK;
}

enum status rewrite_age(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    struct expr *both[2] = {NULL, args[0]};
    TRY(expr_make_call(c, "current_date", NULL, 0, pos, &both[0]));
    return expr_make_call(c, "age", both, 2, pos, out);
}

static enum status infinite(struct ctx *c, struct expr *x, const char *order, int pos,
                            struct expr **out)
{
    struct value zero = value_int(T_INT32, 0);
    struct expr *both[2] = {NULL, NULL}, *sides[2] = {x, expr_make_const(c, &zero, pos)};
    TRY(expr_make_call(c, "isinf", &x, 1, pos, &both[0]));
    TRY(expr_make_call(c, order, sides, 2, pos, &both[1]));
    return expr_make_call(c, "and", both, 2, pos, out);
}

enum status rewrite_isposinf(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    return infinite(c, args[0], ">", pos, out);
}

enum status rewrite_isneginf(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    return infinite(c, args[0], "<", pos, out);
}

enum status rewrite_bit_length(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    struct value eight = value_int(T_INT32, 8);
    struct expr *product[2] = {NULL, expr_make_const(c, &eight, pos)};
    TRY(expr_make_call(c, "octet_length", args, n, pos, &product[0]));
    return expr_make_call(c, "*", product, 2, pos, out);
}

enum status rewrite_typeof(struct ctx *c, struct expr **args, int n, int pos, struct expr **out)
{
    (void)n;
    enum type t = args[0]->type;
    struct value name = value_text(t == T_TIMESTAMP ? "timestamp without time zone" : type_name(t));
    *out = expr_typed_const(c, &name, pos);
    return OK;
}
