/* What does an expression of the tree mean: literals, names, operators, conditions? Calls are
 * bind_call.c's. */
#include "query/bind_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

/* ---- literals and parameters ---- */

static struct text text_of(const struct ast_expr *e)
{
    return (struct text){e->text, e->text_len};
}

/* The narrowest of INTEGER, BIGINT, UBIGINT and DOUBLE that holds the digits. */
static enum status bind_number(struct binder *b, const struct ast_expr *e, bool negative,
                               struct expr **out)
{
    struct ctx *c = b->c;
    struct ctx quiet = *c;
    struct text s = text_of(e);
    struct value v;
    if (negative) {
        s.s = arena_printf(c->arena, "-%.*s", e->text_len, e->text);
        s.len++;
    }
    ctx_clear(&quiet);
    bool whole = strspn(e->text, "0123456789") == (size_t)e->text_len;
    if (whole && value_parse(&quiet, T_INT64, s, &v) == OK) {
        if (v.i >= INT32_MIN && v.i <= INT32_MAX) v.type = T_INT32;
        *out = expr_make_const(c, &v, place(b, e->pos));
        return OK;
    }
    ctx_clear(&quiet);
    if (!whole || value_parse(&quiet, T_UINT64, s, &v) < 0)
        TRY(at(c, value_parse(c, T_FLOAT64, s, &v), place(b, e->pos)));
    *out = expr_make_const(c, &v, place(b, e->pos));
    return OK;
}

/* INTERVAL '3' DAY: the unit belongs to the number. */
static struct text interval_text(struct binder *b, const struct ast_expr *e)
{
    struct text s = text_of(e);
    if (e->name.n == 0) return s;
    for (int i = 0; i < e->text_len; i++)
        if (!isdigit((unsigned char)e->text[i]) && !strchr("+-. ", e->text[i])) return s;
    const char *unit = strrchr(e->name.part[0], ' ');
    s.s = arena_printf(b->c->arena, "%.*s %s", e->text_len, e->text,
                       unit ? unit + 1 : e->name.part[0]);
    s.len = (int64_t)strlen(s.s);
    return s;
}

static enum status bind_typed(struct binder *b, const struct ast_expr *e, struct expr **out)
{
    enum type t;
    struct value v;
    TRY(at(b->c, bind_type(b->c, e->type, &t), place(b, e->pos)));
    struct text s = t == T_INTERVAL ? interval_text(b, e) : text_of(e);
    TRY(at(b->c, value_parse(b->c, t, s, &v), place(b, e->pos)));
    *out = expr_make_const(b->c, &v, place(b, e->pos));
    (*out)->weak = false;
    return OK;
}

static void grow_params(struct binder *b, int n)
{
    struct bind_shared *s = b->shared;
    if (n <= s->n_params) return;
    if (n < b->env->n_params) n = b->env->n_params;
    struct expr **nodes = arena_array(b->c->arena, struct expr *, n);
    enum type *types = arena_array(b->c->arena, enum type, n);
    for (int i = 0; i < n; i++) {
        nodes[i] = i < s->n_params ? s->params[i] : NULL;
        types[i] = b->env->param_types && i < b->env->n_params ? b->env->param_types[i] : T_UNKNOWN;
    }
    s->params = nodes;
    s->n_params = n;
    b->env->param_types = types;
    if (b->env->n_params < n) b->env->n_params = n;
}

/* With its value known a parameter is that constant; so slices and regions can use it. */
static enum status bind_param(struct binder *b, const struct ast_expr *e, struct expr **out)
{
    struct bind_env *env = b->env;
    int i = e->number - 1, pos = place(b, e->pos);
    if (i < 0 || i >= 65535 || (env->params && i >= b->shared->n_given))
        return fail_at(b->c, ERR_UNDEFINED_PARAM, pos, "there is no parameter $%d", e->number);
    if (env->params) {
        struct value v = env->params[i];
        enum type t = env->param_types ? env->param_types[i] : T_UNKNOWN;
        if (t != T_UNKNOWN && t != v.type) {
            if (v.null)
                v = value_null(t);
            else
                TRY(at(b->c, value_cast(b->c, &v, t, &v), pos));
        }
        *out = expr_make_const(b->c, &v, pos);
        return OK;
    }
    grow_params(b, i + 1);
    struct expr **node = &b->shared->params[i];
    if (!*node) *node = expr_make_ref(b->c, E_PARAM, i, env->param_types[i], pos);
    *out = *node;
    return OK;
}

/* ---- names ---- */

static enum status bind_name(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out)
{
    const struct scope_col *col;
    const struct scope *s;
    if (e->star)
        return fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
                       "row expansion via \"*\" is not supported here");
    if (!in->scope && e->name.n == 1) {
        fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, e->pos), "column \"%s\" does not exist",
                e->name.part[0]);
        return in->clause ? hint(b->c, "Only constants can stand in %s.", in->clause)
                          : ERR_UNDEFINED_COLUMN;
    }
    TRY(scope_find(b, in->scope, &e->name, &s, &col));
    *out = scope_ref(b, col, e->pos);
    if (s != in->scope) *out = outer_ref(b, s, *out);
    return OK;
}

static enum status bind_position(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e, struct expr **out)
{
    const struct scope_col *col;
    const struct scope *s;
    TRY(scope_find(b, in->scope, &e->name, &s, &col));
    if (col->position) {
        *out = expr_make_ref(b->c, E_COL, col->position - 1, T_INT64, place(b, e->pos));
        if (s != in->scope) *out = outer_ref(b, s, *out);
        return OK;
    }
    if (!col->is_dim) {
        fail_at(b->c, ERR_WRONG_OBJECT, place(b, e->pos), "\"%s\" is not a dimension", col->name);
        return hint(b->c, "# gives the position along a dimension.");
    }
    *out = expr_make_ref(b->c, E_POS, col->index, T_INT64, place(b, e->pos));
    if (s != in->scope) *out = outer_ref(b, s, *out);
    return OK;
}

/* ---- operators ---- */

static enum status bind_args(struct binder *b, const struct expr_place *in,
                             const struct ast_exprs *list, struct expr ***out)
{
    struct expr **args = arena_array(b->c->arena, struct expr *, list->n + 1);
    for (int i = 0; i < list->n; i++)
        TRY(bind_expr(b, in, list->v[i], &args[i]));
    *out = args;
    return OK;
}

static enum status call2(struct binder *b, const char *name, struct expr *x, struct expr *y,
                         int pos, struct expr **out)
{
    struct expr *args[2] = {x, y};
    return expr_make_call(b->c, name, args, 2, place(b, pos), out);
}

static enum status bind_op(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    struct expr **args;
    if (!strcmp(e->op, "@")) {
        fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, e->pos),
                "a matrix product is an array, not a value");
        return hint(b->c, "It stands in FROM: SELECT * FROM a @ b.");
    }
    if (e->args.n == 2 && (e->args.v[0]->kind == X_ROW || e->args.v[1]->kind == X_ROW))
        return bind_row_comparison(b, in, e, out);
    if (e->args.n == 1 && !strcmp(e->op, "-") &&
        (e->args.v[0]->kind == X_INT || e->args.v[0]->kind == X_FLOAT))
        return bind_number(b, e->args.v[0], true, out);
    TRY(bind_args(b, in, &e->args, &args));
    return expr_make_call(b->c, e->op, args, e->args.n, place(b, e->pos), out);
}

static enum status bind_not(struct binder *b, bool negate, int pos, struct expr **e)
{
    if (!negate) return OK;
    return expr_make_call(b->c, "not", e, 1, place(b, pos), e);
}

static enum status between(struct binder *b, struct expr *x, struct expr *lo, struct expr *hi,
                           int pos, struct expr **out)
{
    struct expr *parts[2];
    TRY(call2(b, ">=", x, lo, pos, &parts[0]));
    TRY(call2(b, "<=", x, hi, pos, &parts[1]));
    return expr_make_call(b->c, "and", parts, 2, place(b, pos), out);
}

static enum status bind_between(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out)
{
    struct expr **args, *other;
    TRY(bind_args(b, in, &e->args, &args));
    TRY(between(b, args[0], args[1], args[2], e->pos, out));
    if (e->flag2) {
        TRY(between(b, args[0], args[2], args[1], e->pos, &other));
        TRY(call2(b, "or", *out, other, e->pos, out));
    }
    return bind_not(b, e->flag, e->pos, out);
}

static enum status bind_in(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    struct expr **args;
    if (e->select) return bind_in_subquery(b, in, e, out);
    if (e->args.v[0]->kind == X_ROW) return bind_row_in(b, in, e, out);
    TRY(bind_args(b, in, &e->args, &args));
    return expr_make_in(b->c, args[0], args + 1, e->args.n - 1, e->flag, place(b, e->pos), out);
}

static enum status bind_is(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    struct expr *x;
    if (e->args.v[0]->kind == X_ROW && !strcmp(e->op, "null")) return bind_row_null(b, in, e, out);
    TRY(bind_expr(b, in, e->args.v[0], &x));
    if (!strcmp(e->op, "null")) return expr_make_is_null(b->c, x, e->flag, place(b, e->pos), out);
    char what[32];
    snprintf(what, sizeof what, "IS %s", e->op);
    for (char *p = what; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    TRY(expr_want_bool(b->c, &x, what));
    if (!strcmp(e->op, "unknown"))
        return expr_make_is_null(b->c, x, e->flag, place(b, e->pos), out);
    struct value v = value_int(T_BOOL, !strcmp(e->op, "true"));
    struct expr *truth = expr_make_const(b->c, &v, place(b, e->pos));
    return expr_make_distinct(b->c, x, truth, !e->flag, place(b, e->pos), out);
}

static enum status bind_case(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out)
{
    struct expr **args, *operand = NULL, *otherwise = NULL;
    struct fetches *f = branch_fetches(in, e);
    struct expr *around = f ? f->guard : NULL;
    if (e->operand) TRY(bind_expr(b, in, e->operand, &operand));
    args = arena_array(b->c->arena, struct expr *, e->args.n + 1);
    for (int i = 0; i + 1 < e->args.n; i += 2) {
        TRY(bind_expr(b, in, e->args.v[i], &args[i]));
        if (operand) TRY(call2(b, "=", operand, args[i], e->args.v[i]->pos, &args[i]));
        struct expr *before = f ? f->guard : NULL;
        TRY(guard_fetches(b, f, args[i], true));
        TRY(bind_expr(b, in, e->args.v[i + 1], &args[i + 1]));
        if (f) f->guard = before;
        TRY(guard_fetches(b, f, args[i], false));
    }
    if (e->otherwise) TRY(bind_expr(b, in, e->otherwise, &otherwise));
    if (f) f->guard = around;
    return expr_make_case(b->c, args, e->args.n, otherwise, place(b, e->pos), out);
}

/* x::varchar(3) keeps three characters. */
static enum status cut_text(struct binder *b, const struct ast_expr *length, const char *type,
                            struct expr **x)
{
    struct value n;
    bool known;
    TRY(bind_value(b, length, "a type's length", T_INT32, &n, &known));
    if (!known || n.type != T_INT32 || n.null || n.i < 1)
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, length->pos),
                       "length for type %s must be at least 1", type);
    struct expr *args[] = {*x, expr_make_const(b->c, &n, place(b, length->pos))};
    return expr_make_call(b->c, "left", args, 2, place(b, length->pos), x);
}

static enum status bind_cast(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out)
{
    enum type t;
    struct expr *x;
    TRY(at(b->c, bind_type(b->c, e->type, &t), place(b, e->pos)));
    TRY(bind_expr(b, in, e->args.v[0], &x));
    TRY(expr_make_cast(b->c, x, t, true, place(b, e->pos), out));
    const struct ast_exprs *mods = &e->type->mods;
    return t == T_TEXT && mods->n == 1 ? cut_text(b, mods->v[0], e->type->name, out) : OK;
}

static enum status bind_time_zone(struct binder *b, const struct expr_place *in,
                                  const struct ast_expr *e, struct expr **out)
{
    const struct ast_expr *zone = e->args.v[1];
    static const char *const utc[] = {"utc", "gmt", "z", "etc/utc", "zulu"};
    for (size_t i = 0; zone->kind == X_STRING && i < sizeof utc / sizeof *utc; i++) {
        if (strcasecmp(zone->text, utc[i])) continue;
        struct expr *x;
        TRY(bind_expr(b, in, e->args.v[0], &x));
        return expr_make_cast(b->c, x, T_TIMESTAMP, false, place(b, e->pos), out);
    }
    return not_yet(b, e->pos, "time zones other than UTC are");
}

static enum status bind_collate(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out)
{
    static const char *const known[] = {"C", "POSIX", "default", "c", "posix", "ucs_basic"};
    const char *name = e->name.part[e->name.n - 1];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i])) return bind_expr(b, in, e->args.v[0], out);
    fail_at(b->c, ERR_UNDEFINED_OBJECT, place(b, e->pos), "collation \"%s\" does not exist", name);
    return hint(b->c, "Text is compared bytewise: COLLATE \"C\".");
}

static enum status bind_distinct(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e, struct expr **out)
{
    struct expr **args;
    if (e->args.v[0]->kind == X_ROW) return bind_row_comparison(b, in, e, out);
    TRY(bind_args(b, in, &e->args, &args));
    return expr_make_distinct(b->c, args[0], args[1], e->flag, place(b, e->pos), out);
}

static enum status bind_literal(struct binder *b, const struct ast_expr *e, struct expr **out)
{
    struct value v = value_null(T_UNKNOWN);
    switch (e->kind) {
    case X_INT:
    case X_FLOAT:
        return bind_number(b, e, false, out);
    case X_TYPED:
        return bind_typed(b, e, out);
    case X_PARAM:
        return bind_param(b, e, out);
    case X_BOOL:
        v = value_int(T_BOOL, e->flag);
        break;
    case X_STRING:
        v.null = false;
        v.t = text_of(e);
        break;
    default: /* NULL */
        break;
    }
    *out = expr_make_const(b->c, &v, place(b, e->pos));
    return OK;
}

/* Does the truth of the whole follow from that of the parts, NULL being false? */
static bool keeps_truth(const struct ast_expr *e)
{
    if (e->kind == X_OP) return !strcmp(e->op, "and") || !strcmp(e->op, "or");
    return e->kind == X_IN || e->kind == X_OP_ANY || e->kind == X_OP_ALL;
}

enum status bind_expr(struct binder *b, const struct expr_place *given, const struct ast_expr *e,
                      struct expr **out)
{
    struct expr_place value = *given;
    const struct expr_place *in = given;
    if (given->truth && !keeps_truth(e)) {
        value.truth = false;
        in = &value;
    }
    switch (e->kind) {
    case X_INT:
    case X_FLOAT:
    case X_STRING:
    case X_NULL:
    case X_BOOL:
    case X_TYPED:
    case X_PARAM:
        return bind_literal(b, e, out);
    case X_NAME:
        return bind_name(b, in, e, out);
    case X_POSITION:
        return bind_position(b, in, e, out);
    case X_OP:
        return bind_op(b, in, e, out);
    case X_OP_ANY:
    case X_OP_ALL:
        return e->select ? bind_any_subquery(b, in, e, out) : bind_any_array(b, in, e, out);
    case X_CAST:
        return bind_cast(b, in, e, out);
    case X_IS:
        return bind_is(b, in, e, out);
    case X_DISTINCT:
        return bind_distinct(b, in, e, out);
    case X_BETWEEN:
        return bind_between(b, in, e, out);
    case X_IN:
        return bind_in(b, in, e, out);
    case X_CASE:
        return bind_case(b, in, e, out);
    case X_CALL:
        return bind_call(b, in, e, out);
    case X_SUBQUERY:
    case X_EXISTS:
        return bind_subquery_expr(b, in, e, out);
    case X_COLLATE:
        return bind_collate(b, in, e, out);
    case X_AT_TIME_ZONE:
        return bind_time_zone(b, in, e, out);
    case X_STAR:
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos), "\"*\" is not allowed here");
    case X_DEFAULT:
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos),
                       "DEFAULT is not allowed in this context");
    case X_EMPTY:
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos),
                       "EMPTY is allowed only in INSERT … [bracket] VALUES");
    case X_CELL:
        return bind_cell(b, in, e, out);
    case X_ROW:
        return not_yet(b, e->pos, "row values are");
    case X_FIELD:
        return not_yet(b, e->pos, "fields of row values are");
    case X_ARRAY_SELECT:
        return bind_array_subquery(b, in, e, out);
    case X_ARRAY:
        return not_yet(b, e->pos, "array values (ARRAY[…]) are");
    }
    return fail(b->c, ERR_INTERNAL, "an expression of unknown kind %d", (int)e->kind);
}

enum status bind_condition(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    struct expr *x;
    struct expr_place condition = *in;
    condition.truth = true;
    TRY(bind_expr(b, &condition, e, &x));
    TRY(at(b->c, expr_want_bool(b->c, &x, in->clause), place(b, e->pos)));
    *out = x;
    return OK;
}

bool plain_name(const struct ast_expr *e)
{
    return e && e->kind == X_NAME && e->name.n == 1 && !e->star;
}
