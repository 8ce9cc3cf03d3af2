/* Where does binding start and end: entry points, parameters, constants and written types. */
#include "query/bind_internal.h"
#include "query/op.h"
#include <stdio.h>
#include <stdlib.h>

void binder_init(struct binder *b, struct ctx *c, struct bind_env *env)
{
    struct bind_shared *shared = arena_new_of(c->arena, struct bind_shared);
    shared->n_given = env->params ? env->n_params : 0;
    *b = (struct binder){.c = c, .env = env, .shared = shared, .fixed_pos = -1};
}

enum status binder_finish(struct binder *b, struct query *q)
{
    q->subqueries = b->shared->subqueries;
    q->n_subqueries = b->shared->n_subqueries;
    q->statement_us = b->env->statement_us;
    for (int i = 0; i < b->shared->n_params; i++) {
        const struct expr *e = b->shared->params[i];
        if (!e) continue;
        if (e->type == T_UNKNOWN)
            return fail_at(b->c, ERR_INDETERMINATE_TYPE, e->pos,
                           "could not determine data type of parameter $%d", i + 1);
        b->env->param_types[i] = e->type;
    }
    return OK;
}

enum status not_yet(const struct binder *b, int pos, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fail_at(b->c, ERR_UNSUPPORTED, place(b, pos), "%s not available yet", what);
}

struct env binder_env(const struct binder *b)
{
    return (struct env){.params = b->env->params,
                        .n_params = b->shared->n_given,
                        .statement_us = b->env->statement_us};
}

/* ---- constants ---- */

enum status bind_constant(struct binder *b, const struct ast_expr *e, const char *clause,
                          struct expr **out)
{
    struct expr_place at = {.clause = clause};
    return bind_expr(b, &at, e, out);
}

/* Runs the sub-queries from the n_before-th: what they give is wanted now. */
static enum status eval_with_subqueries(struct binder *b, const struct expr *e, int n_before,
                                        struct value *out)
{
    struct bind_shared *s = b->shared;
    struct exec *x = NULL;
    struct query q = {.root = plan_new(b->c, P_ONE, e->pos, 0),
                      .n_subqueries = s->n_subqueries - n_before,
                      .subqueries = s->subqueries + n_before,
                      .statement_us = b->env->statement_us};
    TRY(plan_rewrite(b->c, &q, b->env->as_written));
    TRY(exec_open(b->c, &q, b->env->params, s->n_given, b->env->txn, &x));
    enum status st = expr_eval_const(b->c, e, exec_env(x), out);
    exec_close(x);
    s->n_subqueries = n_before;
    return st;
}

static bool is_param(const struct expr *e, void *found)
{
    if (e->kind == E_PARAM) *(bool *)found = true;
    return true;
}

enum status bind_value(struct binder *b, const struct ast_expr *e, const char *clause,
                       enum type want, struct value *out, bool *known)
{
    struct expr *x;
    bool params = false;
    int n_subqueries = b->shared->n_subqueries;
    TRY(bind_constant(b, e, clause, &x));
    if (x->kind == E_PARAM && x->type == T_UNKNOWN) x->type = want;
    expr_walk(x, is_param, &params);
    bool ask = b->shared->n_subqueries > n_subqueries;
    if (ask) params |= !b->env->params && b->shared->n_params;
    *known = !params;
    if (params) b->env->asked_values = true;
    *out = value_null(x->type);
    if (params) return OK;
    if (ask) return at(b->c, eval_with_subqueries(b, x, n_subqueries, out), place(b, e->pos));
    struct env env = binder_env(b);
    return at(b->c, expr_eval_const(b->c, x, &env, out), place(b, e->pos));
}

enum status bind_const(struct ctx *c, struct bind_env *env, const struct ast_expr *e,
                       enum type want, struct value *out)
{
    struct binder b;
    struct value v;
    bool known;
    binder_init(&b, c, env);
    b.shared->no_subqueries = true;
    TRY(bind_value(&b, e, "a constant", want, &v, &known));
    if (!known)
        return fail_at(c, ERR_UNDEFINED_PARAM, e->pos, "a parameter's value is not known here");
    if (v.null) {
        *out = value_null(want == T_UNKNOWN ? v.type : want);
        return OK;
    }
    if (want == T_UNKNOWN || want == T_NONE || want == v.type) {
        *out = v;
        return OK;
    }
    struct expr *x = expr_make_const(c, &v, e->pos);
    TRY(expr_make_cast(c, x, want, false, e->pos, &x));
    struct env values = binder_env(&b);
    return at(c, expr_eval_const(c, x, &values, out), e->pos);
}

/* ---- types as written ---- */

static enum status unknown_type(struct ctx *c, const struct ast_type *t)
{
    const char *names[N_TYPES];
    int n = 0;
    for (int i = 0; i < T_INTERVAL; i++)
        names[n++] = type_name((enum type)i);
    const char *near = nearest_name(t->name, names, n);
    fail_at(c, ERR_UNDEFINED_OBJECT, t->pos, "type \"%s\" does not exist", t->name);
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_OBJECT;
}

enum status bind_type(struct ctx *c, const struct ast_type *t, enum type *out)
{
    static const char *const later[] = {"time",  "timetz", "json", "jsonb", "uuid",     "money",
                                        "bytea", "bit",    "xml",  "inet",  "regclass", "oid"};
    if (t->array_dims || t->setof)
        return fail_at(c, ERR_UNSUPPORTED, t->pos, "type %s[] is not available yet", t->name);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (!strcmp(t->name, later[i]))
            return fail_at(c, ERR_UNSUPPORTED, t->pos, "type %s is not available yet", t->name);
    enum type found = type_by_name(t->name);
    if (found == T_NONE || found == T_UNKNOWN) return unknown_type(c, t);
    if (!strcmp(t->name, "numeric") || !strcmp(t->name, "decimal") || !strcmp(t->name, "dec"))
        notice(c, "00000", "%s becomes DOUBLE PRECISION", t->name);
    if (t->with_time_zone || !strcmp(t->name, "timestamptz"))
        notice(c, "00000", "TIMESTAMP WITH TIME ZONE becomes TIMESTAMP, in UTC");
    const struct ast_expr *mod = t->mods.n == 1 ? t->mods.v[0] : NULL;
    long digits = mod && mod->kind == X_INT ? strtol(mod->text, NULL, 10) : 6;
    if (found == T_FLOAT64 && mod && !strcmp(t->name, "float") && digits <= 24) found = T_FLOAT32;
    if ((found == T_TIMESTAMP || found == T_INTERVAL) && digits < 6)
        notice(c, "00000", "%s(%ld) keeps microseconds", t->name, digits);
    *out = found;
    return OK;
}

/* ---- SELECT ---- */

enum status bind_select(struct ctx *c, struct bind_env *env, const struct ast_select *s,
                        struct query *out)
{
    struct binder b;
    binder_init(&b, c, env);
    *out = (struct query){0};
    TRY(bind_query(&b, s, NULL, env->stored ? WANT_STORED : WANT_ROWS, out));
    return binder_finish(&b, out);
}
