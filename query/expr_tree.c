/* What can be asked of a tree of expressions: constant, equal, fallible, its text; walks and
 * copies. */
#include "query/func.h"
#include <string.h>

static bool acts(const struct expr *e)
{
    return e->kind == E_CALL && e->func->flags & FN_ACTS;
}

/* random() has a value of its own in every cell. */
static bool of_cell(const struct expr *e)
{
    return e->kind == E_COL || e->kind == E_DIM || e->kind == E_POS || acts(e) ||
           (e->kind == E_CALL && e->func->how == HOW_RANDOM);
}

bool expr_is_random(const struct expr *e)
{
    if (e->kind == E_CALL && e->func->how == HOW_RANDOM) return true;
    for (int i = 0; i < e->n_args; i++)
        if (expr_is_random(e->args[i])) return true;
    return false;
}

bool expr_is_const(const struct expr *e)
{
    if (of_cell(e)) return false;
    for (int i = 0; i < e->n_args; i++)
        if (!expr_is_const(e->args[i])) return false;
    return true;
}

bool expr_is_volatile(const struct expr *e)
{
    /* now() is the statement's, random() the cell's: the same however often computed. */
    if (acts(e)) return true;
    for (int i = 0; i < e->n_args; i++)
        if (expr_is_volatile(e->args[i])) return true;
    return false;
}

static bool value_same(const struct value *a, const struct value *b)
{
    if (a->type != b->type || a->null != b->null) return false;
    if (a->null) return true;
    if (type_is_varlen(a->type))
        return a->t.len == b->t.len &&
               (a->t.len == 0 || memcmp(a->t.s, b->t.s, (size_t)a->t.len) == 0);
    if (a->type == T_INTERVAL)
        return a->iv.us == b->iv.us && a->iv.days == b->iv.days && a->iv.months == b->iv.months;
    return a->u == b->u; /* to the bit: 0.0 is not -0.0 here, and a NaN is itself */
}

bool expr_equal(const struct expr *a, const struct expr *b)
{
    if (a == b) return true;
    if (a->kind != b->kind || a->type != b->type || a->n_args != b->n_args ||
        a->negated != b->negated || a->index != b->index || a->func != b->func ||
        a->subquery != b->subquery)
        return false;
    if (a->kind == E_CONST && !value_same(&a->value, &b->value)) return false;
    for (int i = 0; i < a->n_args; i++)
        if (!expr_equal(a->args[i], b->args[i])) return false;
    return true;
}

void expr_walk(const struct expr *e, bool (*fn)(const struct expr *e, void *self), void *self)
{
    if (!fn(e, self)) return;
    for (int i = 0; i < e->n_args; i++)
        expr_walk(e->args[i], fn, self);
}

struct expr *expr_map(struct ctx *c, const struct expr *e,
                      struct expr *(*fn)(struct ctx *c, const struct expr *e, void *self),
                      void *self)
{
    if (e->kind == E_COL || e->kind == E_DIM || e->kind == E_POS) {
        struct expr *other = fn(c, e, self);
        if (other) return other;
    }
    struct expr *copy = arena_dup(c->arena, e, sizeof *e);
    if (e->n_args > 0) copy->args = arena_array(c->arena, struct expr *, e->n_args);
    for (int i = 0; i < e->n_args; i++)
        copy->args[i] = expr_map(c, e->args[i], fn, self);
    return copy;
}

/* ---- errors ---- */

/* Integer arithmetic fails on overflow; a division by a constant that is neither 0 nor -1 does
 * not. */
static bool kernel_may_fail(const struct expr *e)
{
    if (!type_is_integer(e->type)) return false;
    const struct func *f = e->func;
    if (f->how == HOW_UNARY)
        return f->kernel == U_NEG || f->kernel == U_ABS || f->kernel == U_SQUARE;
    switch (f->kernel) {
    case B_ADD:
    case B_SUB:
    case B_MUL:
        return true;
    case B_FLOORDIV:
    case B_MOD:
    case B_FMOD: {
        const struct expr *by = e->args[1];
        return by->kind != E_CONST || by->value.null || by->value.i == 0 || by->value.i == -1;
    }
    default:
        return false;
    }
}

static bool cast_may_fail(enum type from, enum type to)
{
    if (to == T_TEXT || from == T_BOOL || type_is_float(to)) return type_is_varlen(from);
    if (type_is_integer(from) && type_is_integer(to)) return type_promote(from, to) != to;
    if (type_is_numeric(from) && to == T_BOOL) return false;
    return !(type_is_time(from) && type_is_time(to));
}

bool expr_may_fail(const struct expr *e)
{
    if (e->kind == E_CALL && (e->func->how == HOW_BINARY || e->func->how == HOW_UNARY) &&
        kernel_may_fail(e))
        return true;
    if (e->kind == E_CALL && (e->func->flags & FN_FAILS)) return true;
    if (e->kind == E_CALL && (e->func->flags & FN_FIELD) && e->args[0]->kind != E_CONST)
        return true;
    if (e->kind == E_CAST && cast_may_fail(e->args[0]->type, e->type)) return true;
    if (e->kind == E_SUBQUERY && e->n_args && !e->subquery->exists) return true;
    for (int i = 0; i < e->n_args; i++)
        if (expr_may_fail(e->args[i])) return true;
    return false;
}

/* ---- folding ---- */

/* Negative literals are so many that they go without a program. */
static bool fold_negative(struct expr *e)
{
    const struct expr *arg = e->args[0];
    if (e->func->kernel != U_NEG || !arg->weak || arg->value.null) return false;
    struct value v = arg->value;
    if (type_is_float(v.type))
        v.d = -v.d;
    else if ((v.type == T_INT32 && v.i > INT32_MIN) || (v.type == T_INT64 && v.i > INT64_MIN))
        v.i = -v.i;
    else if (v.type == T_UINT64 && v.u == UINT64_C(1) << 63)
        v = value_int(T_INT64, INT64_MIN);
    else
        return false;
    e->kind = E_CONST;
    e->type = v.type;
    e->value = v;
    e->func = NULL;
    e->n_args = 0;
    return true;
}

struct expr *expr_fold(struct ctx *c, struct expr *e)
{
    if (e->kind == E_CALL && (e->func->how == HOW_RANDOM || e->func->how == HOW_NOW)) return e;
    if (acts(e)) return e;
    for (int i = 0; i < e->n_args; i++)
        if (e->args[i]->kind != E_CONST) return e;
    if (e->kind == E_CALL && e->func->how == HOW_UNARY && fold_negative(e)) return e;
    struct env env = {0};
    struct value v;
    struct ctx quiet = *c; /* an error is left for the cell that reaches it */
    memset(&quiet.err, 0, sizeof quiet.err);
    if (expr_eval_const(&quiet, e, &env, &v) < 0) return e;
    struct expr *folded = expr_typed_const(c, &v, e->pos);
    folded->weak = e->weak;
    return folded;
}

/* ---- text ---- */

static void format_infix(const struct expr *e, const char *op, const struct rel *in,
                         struct strbuf *out)
{
    strbuf_addc(out, '(');
    for (int i = 0; i < e->n_args; i++) {
        if (i > 0) strbuf_addf(out, " %s ", op);
        expr_format(e->args[i], in, out);
    }
    strbuf_addc(out, ')');
}

static void format_list(const struct expr *e, int from, const char *name, const struct rel *in,
                        struct strbuf *out)
{
    strbuf_addf(out, "%s(", name);
    for (int i = from; i < e->n_args; i++) {
        if (i > from) strbuf_adds(out, ", ");
        expr_format(e->args[i], in, out);
    }
    strbuf_addc(out, ')');
}

static void format_call(const struct expr *e, const struct rel *in, struct strbuf *out)
{
    const char *name = func_name(e->func);
    if (func_is_operator(e->func) && e->n_args == 2)
        format_infix(e, name, in, out);
    else if (func_is_operator(e->func) && e->n_args == 1) {
        strbuf_addf(out, "(%s", name);
        expr_format(e->args[0], in, out);
        strbuf_addc(out, ')');
    } else
        format_list(e, 0, name, in, out);
}

static void format_case(const struct expr *e, const struct rel *in, struct strbuf *out)
{
    strbuf_adds(out, "CASE");
    for (int i = 0; i + 1 < e->n_args; i += 2) {
        strbuf_adds(out, " WHEN ");
        expr_format(e->args[i], in, out);
        strbuf_adds(out, " THEN ");
        expr_format(e->args[i + 1], in, out);
    }
    const struct expr *otherwise = e->args[e->n_args - 1];
    if (!(otherwise->kind == E_CONST && otherwise->value.null)) {
        strbuf_adds(out, " ELSE ");
        expr_format(otherwise, in, out);
    }
    strbuf_adds(out, " END");
}

static void format_subquery(const struct expr *e, const struct rel *in, struct strbuf *out)
{
    strbuf_addf(out, "(subquery %d", e->subquery->slot + 1);
    if (e->subquery->n_cols > 1) strbuf_addf(out, ".%d", e->index + 1);
    struct expr shown = *e; /* not what a run for each cell would take */
    if (e->subquery->n_keys) shown.n_args = e->subquery->n_keys;
    if (shown.n_args) format_list(&shown, 0, " of ", in, out);
    strbuf_addc(out, ')');
}

static void format_name(const struct expr *e, const struct rel *in, struct strbuf *out)
{
    bool col = e->kind == E_COL;
    const char *name = NULL;
    if (in && e->index < (col ? in->n_cols : in->n_dims))
        name = col ? in->cols[e->index].name : in->dims[e->index].name;
    if (e->kind == E_POS) strbuf_addc(out, '#');
    if (name)
        strbuf_adds(out, name);
    else
        strbuf_addf(out, "%s%d", col ? "c" : "d", e->index);
}

void expr_format(const struct expr *e, const struct rel *in, struct strbuf *out)
{
    switch (e->kind) {
    case E_CONST:
        value_literal(&e->value, out);
        break;
    case E_PARAM:
        strbuf_addf(out, "$%d", e->index + 1);
        break;
    case E_COL:
    case E_DIM:
    case E_POS:
        format_name(e, in, out);
        break;
    case E_CALL:
        format_call(e, in, out);
        break;
    case E_CAST:
        strbuf_addc(out, '(');
        expr_format(e->args[0], in, out);
        strbuf_addf(out, ")::%s", type_name(e->type));
        break;
    case E_AND:
    case E_OR:
        format_infix(e, e->kind == E_AND ? "AND" : "OR", in, out);
        break;
    case E_NOT:
        strbuf_adds(out, "(NOT ");
        expr_format(e->args[0], in, out);
        strbuf_addc(out, ')');
        break;
    case E_IS_NULL:
        strbuf_addc(out, '(');
        expr_format(e->args[0], in, out);
        strbuf_adds(out, e->negated ? " IS NOT NULL)" : " IS NULL)");
        break;
    case E_IS_DISTINCT:
        format_infix(e, e->negated ? "IS NOT DISTINCT FROM" : "IS DISTINCT FROM", in, out);
        break;
    case E_CASE:
        format_case(e, in, out);
        break;
    case E_COALESCE:
        format_list(e, 0, "COALESCE", in, out);
        break;
    case E_IN:
        strbuf_addc(out, '(');
        expr_format(e->args[0], in, out);
        format_list(e, 1, " IN ", in, out);
        strbuf_addc(out, ')');
        break;
    case E_OUTER:
        strbuf_addf(out, "outer %d", e->index + 1);
        break;
    case E_SUBQUERY:
        format_subquery(e, in, out);
        break;
    }
}
