/* What does a call mean: a function, an aggregate, a macro, a sub-query as a value? And what is a
 * target without AS called? */
#include "query/bind_internal.h"
#include "query/func.h"
#include "query/parse.h"
#include <ctype.h>

enum { MACRO_DEPTH_MAX = 32, EXPANDED_MAX = 100000 };

static const char *last_part(const struct ast_name *n)
{
    return n->part[n->n - 1];
}

/* ---- macros ---- */

/* The body of a macro with arguments in the places of its parameters. */
struct macro {
    struct binder *b;
    const char *name;
    int n;
    const char **params;
    struct ast_expr **args;
    int pos;
};

static enum status macro_expr(struct macro *m, struct ast_expr *e, struct ast_expr **out);

static enum status macro_exprs(struct macro *m, struct ast_exprs *list)
{
    struct ast_expr **v = arena_array(m->b->c->arena, struct ast_expr *, list->n + 1);
    for (int i = 0; i < list->n; i++)
        TRY(macro_expr(m, list->v[i], &v[i]));
    list->v = v;
    return OK;
}

/* A parameter that stands for a dimension: #d, or d => …. */
static const char *macro_dim(const struct macro *m, const char *name)
{
    for (int i = 0; i < m->n; i++)
        if (!strcmp(m->params[i], name))
            return plain_name(m->args[i]) ? m->args[i]->name.part[0] : NULL;
    return NULL;
}

static enum status no_dim(struct macro *m, const char *name)
{
    fail_at(m->b->c, ERR_UNDEFINED_COLUMN, place(m->b, m->pos), "dimension \"%s\" does not exist",
            name);
    return hint(m->b->c, "In function \"%s\" a dimension must be a parameter that is given a name.",
                m->name);
}

static enum status macro_position(struct macro *m, const struct ast_expr *e, struct ast_expr **out)
{
    const char *dim = e->name.n == 1 ? macro_dim(m, e->name.part[0]) : NULL;
    if (!dim) return no_dim(m, last_part(&e->name));
    struct ast_expr *copy = arena_dup(m->b->c->arena, e, sizeof *e);
    copy->pos = copy->name.pos = m->pos;
    copy->name.part = arena_array(m->b->c->arena, const char *, 1);
    copy->name.part[0] = dim;
    *out = copy;
    return OK;
}

static enum status macro_axes(struct macro *m, struct ast_axes *axes)
{
    struct ast_axis *v = arena_array(m->b->c->arena, struct ast_axis, axes->n + 1);
    for (int i = 0; i < axes->n; i++) {
        v[i] = axes->v[i];
        v[i].pos = m->pos;
        if (v[i].dim && !(v[i].dim = macro_dim(m, v[i].dim))) return no_dim(m, axes->v[i].dim);
        TRY(macro_expr(m, v[i].lo, &v[i].lo));
        TRY(macro_expr(m, v[i].hi, &v[i].hi));
        TRY(macro_expr(m, v[i].step, &v[i].step));
    }
    axes->v = v;
    return OK;
}

static enum status macro_param(struct macro *m, const struct ast_expr *e, struct ast_expr **out)
{
    for (int i = 0; i < m->n && plain_name(e); i++) {
        if (strcmp(m->params[i], e->name.part[0])) continue;
        *out = m->args[i];
        return OK;
    }
    fail_at(m->b->c, ERR_UNDEFINED_COLUMN, place(m->b, m->pos), "column \"%s\" does not exist",
            last_part(&e->name));
    return hint(m->b->c, "Function \"%s\" refers to it, and it is none of its parameters.",
                m->name);
}

static enum status macro_sorts(struct macro *m, struct ast_sorts *list)
{
    struct ast_sort *v = arena_array(m->b->c->arena, struct ast_sort, list->n + 1);
    for (int i = 0; i < list->n; i++) {
        v[i] = list->v[i];
        TRY(macro_expr(m, list->v[i].e, &v[i].e));
    }
    list->v = v;
    return OK;
}

static enum status macro_window(struct macro *m, struct ast_window **over)
{
    if (!*over) return OK;
    struct ast_window *w = *over = arena_dup(m->b->c->arena, *over, sizeof **over);
    w->pos = m->pos;
    TRY(macro_exprs(m, &w->partition));
    TRY(macro_sorts(m, &w->order));
    TRY(macro_axes(m, &w->axes));
    TRY(macro_expr(m, w->from_expr, &w->from_expr));
    return macro_expr(m, w->to_expr, &w->to_expr);
}

static enum status macro_expr(struct macro *m, struct ast_expr *e, struct ast_expr **out)
{
    if (!e) {
        *out = NULL;
        return OK;
    }
    if (++m->b->shared->n_expanded > EXPANDED_MAX)
        return fail_at(m->b->c, ERR_TOO_COMPLEX, place(m->b, m->pos),
                       "function \"%s\" becomes too long when it is written out", m->name);
    if (e->kind == X_POSITION) return macro_position(m, e, out);
    if (e->kind == X_NAME) return macro_param(m, e, out);
    if (e->select) return not_yet(m->b, m->pos, "sub-queries in functions are");
    struct ast_expr *copy = arena_dup(m->b->c->arena, e, sizeof *e);
    copy->pos = m->pos;
    if (e->type) {
        copy->type = arena_dup(m->b->c->arena, e->type, sizeof *e->type);
        copy->type->pos = m->pos;
    }
    copy->name.pos = m->pos;
    TRY(macro_exprs(m, &copy->args));
    TRY(macro_axes(m, &copy->axes));
    TRY(macro_expr(m, e->operand, &copy->operand));
    TRY(macro_expr(m, e->otherwise, &copy->otherwise));
    TRY(macro_expr(m, e->filter, &copy->filter));
    TRY(macro_sorts(m, &copy->order));
    TRY(macro_window(m, &copy->over));
    *out = copy;
    return OK;
}

/* "(\"k\", \"x\") body": the names, and where the body starts. */
static const char *macro_params(struct ctx *c, const char *text, const char ***names, int *n)
{
    int cap = 1;
    for (const char *p = text; *p && *p != ')'; p++)
        cap += *p == ',';
    *names = arena_array(c->arena, const char *, cap);
    *n = 0;
    const char *p = text + 1;
    while (*p && *p != ')') {
        if (*p++ != '"') continue;
        const char *end = strchr(p, '"');
        if (!end) break;
        if (*n < cap) (*names)[(*n)++] = arena_strndup(c->arena, p, (size_t)(end - p));
        p = end + 1;
    }
    return *p ? p + 1 : p;
}

static enum status macro_args(struct macro *m, const struct ast_expr *call)
{
    struct ctx *c = m->b->c;
    if (call->args.n != m->n) {
        fail_at(c, ERR_UNDEFINED_FUNCTION, place(m->b, call->pos),
                "function %s takes %d argument%s, not %d", m->name, m->n, m->n == 1 ? "" : "s",
                call->args.n);
        return ERR_UNDEFINED_FUNCTION;
    }
    m->args = arena_array(c->arena, struct ast_expr *, m->n + 1);
    for (int i = 0; i < m->n; i++) {
        const char *name = call->arg_names ? call->arg_names[i] : NULL;
        int to = i;
        for (int k = 0; name && k < m->n; k++)
            if (!strcmp(m->params[k], name)) to = k;
        if (name && (strcmp(m->params[to], name) || m->args[to]))
            return fail_at(c, ERR_UNDEFINED_FUNCTION, place(m->b, call->pos),
                           "function %s has no argument \"%s\" left", m->name, name);
        m->args[to] = call->args.v[i];
    }
    return OK;
}

static enum status expand_macro(struct binder *b, const struct ast_expr *e, const char *text,
                                struct ast_expr **out)
{
    struct ctx *c = b->c;
    struct macro m = {.b = b, .name = last_part(&e->name), .pos = e->pos};
    struct ast_expr *body;
    if (e->over || e->distinct || e->filter || e->order.n)
        return fail_at(c, ERR_WRONG_OBJECT, place(b, e->pos),
                       "function %s is not an aggregate function", m.name);
    const char *start = macro_params(c, text, &m.params, &m.n);
    TRY(macro_args(&m, e));
    enum status st = parse_expr(c, start, strlen(start), &body);
    if (st < 0) {
        c->err.position = place(b, e->pos);
        return st;
    }
    return macro_expr(&m, body, out);
}

/* ---- functions ---- */

/* What clients ask a PostgreSQL server about itself. */
static bool server_fact(const char *name, struct value *out)
{
    static const char *const facts[][2] = {{"version", "PostgreSQL 15.0 (Tessera)"},
                                           {"current_schema", "public"},
                                           {"current_database", "tessera"},
                                           {"current_catalog", "tessera"},
                                           {"current_user", "tessera"},
                                           {"session_user", "tessera"},
                                           {"current_role", "tessera"},
                                           {"user", "tessera"}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        if (strcmp(facts[i][0], name)) continue;
        *out = value_text(facts[i][1]);
        return true;
    }
    return false;
}

/* The slot's times: constants of a run, NULL elsewhere, so that what is scheduled can be tried. */
static bool slot_fact(struct bind_env *env, const char *name, struct value *out)
{
    const struct slot_times *slot = env->slot;
    static const char *const names[] = {"scheduled_time", "window_start", "window_end"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(names[i], name)) continue;
        *out = value_null(T_TIMESTAMP);
        env->reads_clock = true;
        if (slot)
            *out = value_int(T_TIMESTAMP, i == 0   ? slot->scheduled_us
                                          : i == 1 ? slot->start_us
                                                   : slot->end_us);
        return true;
    }
    return false;
}

/* make_interval(days => 10): the only function with names; what is left out is 0. */
static enum status bind_make_interval(struct binder *b, const struct expr_place *in,
                                      const struct ast_expr *e, struct expr **out)
{
    static const char *const names[] = {"years", "months", "weeks", "days",
                                        "hours", "mins",   "secs"};
    enum { N = sizeof names / sizeof *names };
    int pos = place(b, e->pos);
    struct expr *args[N] = {NULL};
    struct value zero = value_int(T_INT64, 0);
    for (int i = 0; i < e->args.n; i++) {
        const char *name = e->arg_names ? e->arg_names[i] : NULL;
        int at = name ? 0 : i;
        while (name && at < N && strcmp(names[at], name))
            at++;
        if (at >= N || args[at])
            return fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos,
                           "function make_interval has no such argument: %s",
                           name ? name : "the eighth");
        TRY(bind_expr(b, in, e->args.v[i], &args[at]));
    }
    for (int i = 0; i < N; i++)
        if (!args[i]) args[i] = expr_make_const(b->c, &zero, pos);
    return expr_make_call(b->c, "make_interval", args, N, pos, out);
}

/* random() is a function of the cell's position in the whole array, also where a slice has dropped
 * dimensions: then the positions are arguments, the dropped ones constant. */
static enum status random_of_whole(struct binder *b, const struct scope *s, struct expr *call)
{
    struct ctx *c = b->c;
    struct expr **args = arena_array(c->arena, struct expr *, s->n_whole + 1);
    args[0] = call->args[0];
    for (int d = 0; d < s->n_whole; d++) {
        const struct whole_dim *w = &s->whole[d];
        struct value at = value_int(T_INT64, w->at);
        if (w->dim < 0) {
            args[d + 1] = expr_make_const(c, &at, call->pos);
            continue;
        }
        const struct axis *a = s->plan->rel.dims[w->dim].axis;
        args[d + 1] = expr_make_ref(c, E_POS, w->dim, T_INT64, call->pos);
        if (!a || a->lo == 0) continue;
        at.i = a->lo;
        struct expr *sum[] = {args[d + 1], expr_make_const(c, &at, call->pos)};
        TRY(expr_make_call(c, "+", sum, 2, call->pos, &args[d + 1]));
    }
    call->args = args;
    call->n_args = s->n_whole + 1;
    return OK;
}

static enum status bind_function(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e, struct expr **out)
{
    const char *name = last_part(&e->name);
    int pos = place(b, e->pos);
    struct value fact;
    if (e->distinct)
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "DISTINCT specified, but %s is not an aggregate function", name);
    if (e->filter)
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "FILTER specified, but %s is not an aggregate function", name);
    if (e->order.n)
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "ORDER BY specified, but %s is not an aggregate function", name);
    if (e->args.n == 0 && !func_exists(name) &&
        (server_fact(name, &fact) || slot_fact(b->env, name, &fact))) {
        *out = expr_make_const(b->c, &fact, pos);
        return OK;
    }
    if (!strcmp(name, "make_interval")) return bind_make_interval(b, in, e, out);
    if (e->arg_names)
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos, "the arguments of %s have no names",
                       name);
    struct expr **args = arena_array(b->c->arena, struct expr *, e->args.n + 1);
    for (int i = 0; i < e->args.n; i++)
        TRY(bind_expr(b, in, e->args.v[i], &args[i]));
    if (e->args.n == 1 && !func_exists(name)) { /* float8(x) is a cast */
        enum type t = type_by_name(name);
        if (t != T_NONE && t != T_UNKNOWN) return expr_make_cast(b->c, args[0], t, true, pos, out);
    }
    enum status s = expr_make_call(b->c, name, args, e->args.n, pos, out);
    if (s == ERR_UNDEFINED_FUNCTION && stands_in_from(name))
        return hint(b->c, "It stands in FROM: SELECT … FROM %s(…).", name);
    if (s == OK && (*out)->kind == E_CALL && (*out)->func->how == HOW_NOW)
        b->env->reads_clock = true;
    if (s == OK && in->scope && in->scope->whole && (*out)->kind == E_CALL &&
        (*out)->func->how == HOW_RANDOM)
        return random_of_whole(b, in->scope, *out);
    return s;
}

enum status bind_call(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                      struct expr **out)
{
    const char *name = last_part(&e->name), *text = NULL;
    bool agg = agg_exists(name) && strcmp(name, "only");
    if (!agg && !func_exists(name) && b->env->txn)
        TRY(object_get(b->c, b->env->txn, OBJECT_FUNCTION, name, &text));
    if (text) {
        struct ast_expr *body;
        struct binder deeper = *b;
        if (++deeper.depth > MACRO_DEPTH_MAX)
            return fail_at(b->c, ERR_TOO_COMPLEX, place(b, e->pos),
                           "function \"%s\" refers to itself, or functions nest too deep", name);
        TRY(expand_macro(&deeper, e, text, &body));
        return bind_expr(&deeper, in, body, out);
    }
    if (e->over || is_window_function(name)) return bind_window_call(b, in, e, out);
    if (!strcmp(name, "grouping")) return bind_grouping(b, in, e, out);
    return agg ? bind_aggregate(b, in, e, out) : bind_function(b, in, e, out);
}

/* ---- names of outputs ---- */

static const char *cast_name(const struct ast_type *t)
{
    static const struct {
        enum type type;
        const char *name;
    } names[] = {{T_BOOL, "bool"},  {T_INT16, "int2"},     {T_INT32, "int4"},
                 {T_INT64, "int8"}, {T_FLOAT32, "float4"}, {T_FLOAT64, "float8"}};
    enum type found = type_by_name(t->name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].type == found) return names[i].name;
    return t->name;
}

/* *strong: the name is more than that of an operation. NULL: none. */
static const char *figure_name(const struct ast_expr *e, bool *strong)
{
    const char *name;
    *strong = true;
    switch (e->kind) {
    case X_NAME:
    case X_POSITION:
    case X_CALL:
    case X_FIELD:
        return e->name.n ? last_part(&e->name) : NULL;
    case X_CELL:
    case X_COLLATE:
        return e->args.n ? figure_name(e->args.v[0], strong) : NULL;
    case X_CAST:
        name = figure_name(e->args.v[0], strong);
        if (name && *strong) return name;
        *strong = false;
        return cast_name(e->type);
    case X_TYPED:
        *strong = false;
        return cast_name(e->type);
    case X_CASE:
        name = e->otherwise ? figure_name(e->otherwise, strong) : NULL;
        if (name && *strong) return name;
        *strong = false;
        return "case";
    case X_SUBQUERY:
        if (e->select->targets.n != 1) return NULL;
        if (e->select->targets.v[0].alias) return e->select->targets.v[0].alias;
        return e->select->targets.v[0].e ? figure_name(e->select->targets.v[0].e, strong) : NULL;
    case X_EXISTS:
        return "exists";
    case X_ARRAY:
    case X_ARRAY_SELECT:
        return "array";
    case X_ROW:
        return "row";
    case X_AT_TIME_ZONE:
        return "timezone";
    default:
        return NULL;
    }
}

const char *output_name(const struct ast_expr *e)
{
    bool strong;
    const char *name = figure_name(e, &strong);
    return name ? name : "?column?";
}
