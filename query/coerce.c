/* Which type do arguments of different types take, and how do they get it? Promotion is NumPy's;
 * what is weak (a literal, a constant expression, a parameter) follows what it meets. */
#include "query/func.h"
#include <math.h>
#include <string.h>

struct expr *expr_new(struct ctx *c, enum expr_kind kind, enum type type, int pos, int n_args)
{
    struct expr *e = arena_new_of(c->arena, struct expr);
    e->kind = kind;
    e->type = type;
    e->pos = pos;
    e->n_args = n_args;
    if (n_args > 0) e->args = arena_array(c->arena, struct expr *, n_args);
    return e;
}

struct expr *expr_typed_const(struct ctx *c, const struct value *v, int pos)
{
    struct expr *e = expr_new(c, E_CONST, v->type, pos, 0);
    e->value = *v;
    return e;
}

/* Does a weak constant keep its value in the type? */
static bool fits(const struct expr *e, enum type t)
{
    if (e->kind != E_CONST || e->value.null) return true;
    const struct value *v = &e->value;
    if (type_is_float(t))
        return t == T_FLOAT64 || !type_is_float(v->type) || !isfinite(v->d) ||
               isfinite((float)v->d);
    if (!type_is_integer(v->type)) return false;
    bool negative = !type_is_unsigned(v->type) && v->i < 0;
    int bits = 8 * (int)type_bytes(t);
    if (negative) return !type_is_unsigned(t) && v->i >= -(INT64_MAX >> (64 - bits)) - 1;
    uint64_t most = type_is_unsigned(t) ? UINT64_MAX >> (64 - bits) : UINT64_MAX >> (65 - bits);
    return v->u <= most;
}

enum type coerce_common_number(struct expr *const *es, int n, bool integers_to_double)
{
    enum type strong = T_NONE, weak = T_NONE;
    for (int i = 0; i < n; i++) {
        enum type t = es[i]->type;
        if (!type_is_numeric(t)) continue;
        enum type *into = es[i]->weak ? &weak : &strong;
        *into = *into == T_NONE ? t : type_promote(*into, t);
    }
    enum type common = strong != T_NONE ? strong : weak;
    if (common == T_NONE) return T_FLOAT64; /* nothing but quoted literals and NULLs */
    if (strong != T_NONE && weak != T_NONE) {
        for (int i = 0; i < n; i++) {
            const struct expr *e = es[i];
            if (!e->weak || !type_is_numeric(e->type)) continue;
            if (type_is_float(e->type) && !type_is_float(common)) common = T_FLOAT64;
            if (!fits(e, common)) common = type_promote(common, e->type);
        }
    }
    return integers_to_double && !type_is_float(common) ? T_FLOAT64 : common;
}

enum status coerce(struct ctx *c, struct expr **pe, enum type to, int pos)
{
    struct expr *e = *pe;
    if (e->type == to) return OK;
    if (e->type == T_UNKNOWN && e->kind == E_PARAM) {
        e->type = to;
        return OK;
    }
    if (e->kind == E_CONST && e->value.null) {
        struct value null = value_null(to);
        *pe = expr_typed_const(c, &null, e->pos);
        (*pe)->weak = e->weak;
        return OK;
    }
    if (e->kind == E_CONST) {
        struct value v;
        TRY(at(c, value_cast(c, &e->value, to, &v), e->pos >= 0 ? e->pos : pos));
        *pe = expr_typed_const(c, &v, e->pos);
        (*pe)->weak = e->weak;
        return OK;
    }
    struct expr *cast = expr_new(c, E_CAST, to, e->pos, 1);
    cast->args[0] = e;
    cast->weak = e->weak;
    *pe = cast;
    return OK;
}

/* May a value of type `from` become one of type `to`? by: 0 where types meet, 1 in assignments, 2
 * when asked for with CAST. */
static bool castable(enum type from, enum type to, int by)
{
    if (from == to || from == T_UNKNOWN) return true;
    if (to == T_UNKNOWN) return false;
    if (type_is_numeric(from) && type_is_numeric(to)) return true;
    if (from == T_DATE && to == T_TIMESTAMP) return true;
    if (by >= 1 && ((from == T_TIMESTAMP && to == T_DATE) || to == T_TEXT)) return true;
    if (by < 2) return false;
    if ((from == T_BOOL && type_is_numeric(to)) || (to == T_BOOL && type_is_numeric(from)))
        return true;
    return from == T_TEXT;
}

enum status expr_make_cast(struct ctx *c, struct expr *e, enum type to, bool is_explicit, int pos,
                           struct expr **out)
{
    if (!castable(e->type, to, is_explicit ? 2 : 1)) {
        if (is_explicit)
            return fail_at(c, ERR_CANNOT_COERCE, pos, "cannot cast type %s to %s",
                           type_name(e->type), type_name(to));
        fail_at(c, ERR_DATATYPE_MISMATCH, pos,
                "a value of type %s is wanted, but the expression is of type %s", type_name(to),
                type_name(e->type));
        return hint(c, "You will need to rewrite or cast the expression.");
    }
    if (e->kind == E_PARAM && e->type != T_UNKNOWN && e->type != to) {
        /* The parameter keeps its own type, which the client chose. */
        struct expr *cast = expr_new(c, E_CAST, to, pos, 1);
        cast->args[0] = e;
        *out = cast;
        return OK;
    }
    TRY(coerce(c, &e, to, pos));
    if (is_explicit && e->weak && e->kind != E_PARAM) {
        struct expr *strong = arena_dup(c->arena, e, sizeof *e);
        strong->weak = false;
        e = strong;
    }
    *out = e;
    return OK;
}

enum status expr_common_type(struct ctx *c, struct expr **es, int n, const char *what,
                             enum type *out)
{
    enum type common = T_UNKNOWN;
    bool numbers = true;
    for (int i = 0; i < n; i++) {
        enum type t = es[i]->type;
        if (t == T_UNKNOWN) continue;
        numbers &= type_is_numeric(t);
        if (common == T_UNKNOWN || common == t)
            common = t;
        else if (type_is_numeric(common) && type_is_numeric(t))
            continue;
        else if (type_is_time(common) && type_is_time(t))
            common = T_TIMESTAMP;
        else
            return fail_at(c, ERR_DATATYPE_MISMATCH, es[i]->pos,
                           "%s types %s and %s cannot be matched", what, type_name(common),
                           type_name(t));
    }
    if (common == T_UNKNOWN)
        common = T_TEXT;
    else if (numbers)
        common = coerce_common_number(es, n, false);
    for (int i = 0; i < n; i++)
        TRY(coerce(c, &es[i], common, es[i]->pos));
    *out = common;
    return OK;
}

enum status expr_resolve_unknown(struct ctx *c, struct expr **e)
{
    return (*e)->type == T_UNKNOWN ? coerce(c, e, T_TEXT, (*e)->pos) : OK;
}

enum status expr_want_bool(struct ctx *c, struct expr **e, const char *what)
{
    if ((*e)->type == T_UNKNOWN) return coerce(c, e, T_BOOL, (*e)->pos);
    if ((*e)->type == T_BOOL) return OK;
    return fail_at(c, ERR_DATATYPE_MISMATCH, (*e)->pos,
                   "argument of %s must be type boolean, not type %s", what, type_name((*e)->type));
}
