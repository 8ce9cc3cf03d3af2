/* When may a prepared statement's plan serve again, and how does it with other parameters?
 *
 * The statement is bound once with its parameters left open, and rewritten. An execution copies the
 * tree, puts the values into the conditions, and narrows regions by them, as a run of a sub-query
 * does (rewrite_outer.c). A plan is only kept if nothing of its shape hangs on a value or on the
 * time; it is made again when anything was committed since, or a setting changed. */
#include "query/func.h"
#include "query/rewrite_internal.h"
#include "query/session_internal.h"

struct cached_plan {
    struct arena *arena;
    struct query q;
    int64_t catalog_seq, settings_seq;
};

void cached_plan_free(struct cached_plan *p)
{
    if (!p) return;
    struct arena *a = p->arena; /* it lies there itself */
    arena_free(a);
}

/* ---- what may be kept ---- */

struct look {
    int n_params; /* places of parameters */
    bool bad;
};

/* Would a parameter be made to fit a narrower type? With its value known the other side would be
 * widened instead. */
static bool narrows_param(const struct expr *e)
{
    if (e->kind != E_CAST || e->args[0]->kind != E_PARAM) return false;
    enum type from = e->args[0]->type, to = e->type;
    if (!type_is_numeric(from) || !type_is_numeric(to)) return false;
    return type_promote(from, to) != to;
}

static bool look_at(const struct expr *e, void *self)
{
    struct look *l = self;
    if (e->kind == E_PARAM) l->n_params++;
    if (e->kind == E_SUBQUERY || e->kind == E_OUTER || narrows_param(e)) l->bad = true;
    if (e->kind == E_CALL && e->func && e->func->how == HOW_NOW) l->bad = true;
    return true;
}

/* Parameters where an execution can put them in: conditions and computed columns. */
static void look_at_own(const struct plan *p, struct look *l)
{
    for (int i = 0; i < p->n_exprs && (p->kind == P_FILTER || p->kind == P_MAP); i++)
        expr_walk(p->exprs[i], look_at, l);
    for (int i = 0; i < p->n_in; i++)
        look_at_own(p->in[i], l);
}

static bool shape_is_fixed(struct ctx *c, struct txn *t, const struct plan *p)
{
    for (int i = 0; i < p->n_in; i++)
        if (!shape_is_fixed(c, t, p->in[i])) return false;
    struct array_ref ref = {.name = p->label, .position = -1};
    struct array *a;
    switch (p->kind) {
    case P_SCAN: /* of the newest version */
        return array_open(c, t, &ref, &a) == OK && a == p->array;
    case P_FILTER:
    case P_MAP:
    case P_SLICE:
    case P_TRANSPOSE:
    case P_SORT:
    case P_LIMIT:
        return true;
    case P_AGGREGATE:
        return p->n_keys == 0;
    default:
        return false;
    }
}

static bool may_keep(struct ctx *c, struct txn *t, const struct query *q)
{
    struct look all = {0}, own = {0};
    if (q->n_subqueries) return false;
    plan_walk(q->root, look_at, &all);
    look_at_own(q->root, &own);
    return !all.bad && all.n_params == own.n_params && shape_is_fixed(c, t, q->root);
}

/* ---- making ---- */

/* NULL: there can be none, or the statement is wrong: whoever binds it with values says how. */
static struct cached_plan *make(struct ctx *c, struct run *r, const struct prepared *from)
{
    struct ctx quiet = *c;
    struct arena *arena = arena_new();
    struct cached_plan *p = arena_new_of(arena, struct cached_plan);
    quiet.arena = p->arena = arena;
    quiet.notice = NULL; /* it has been said when the statement was described */
    ctx_clear(&quiet);
    struct bind_env env = session_bind_env(r);
    env.params = NULL;
    env.param_types = arena_dup(arena, from->param_types, sizeof(enum type) * (size_t)r->n_params);
    enum status s = bind_select(&quiet, &env, from->stmt->select, &p->q);
    if (s == OK && (env.asked_values || !may_keep(&quiet, r->s->txn, &p->q))) s = ERR_INTERNAL;
    if (s == OK) s = plan_rewrite(&quiet, &p->q, false);
    if (s == OK) return p;
    arena_free(arena);
    return NULL;
}

/* ---- using ---- */

static struct expr *with_values(struct ctx *c, struct expr *e, struct expr *const *values)
{
    if (e->kind == E_PARAM) return values[e->index];
    if (e->n_args == 0) return e;
    struct expr *copy = arena_dup(c->arena, e, sizeof *e);
    copy->args = arena_array(c->arena, struct expr *, e->n_args);
    for (int i = 0; i < e->n_args; i++)
        copy->args[i] = with_values(c, e->args[i], values);
    if (copy->kind != E_CAST || copy->args[0]->kind != E_CONST) return copy;
    struct ctx quiet = *c;
    struct value v;
    ctx_clear(&quiet); /* what cannot be cast says so when it is run */
    if (value_cast(&quiet, &copy->args[0]->value, copy->type, &v) < 0) return copy;
    struct expr *known = expr_make_const(c, &v, copy->pos);
    known->weak = copy->weak;
    return known;
}

static enum status fill_in(struct ctx *c, struct txn *t, struct plan *p, struct expr *const *values)
{
    for (int i = 0; i < p->n_in; i++)
        TRY(fill_in(c, t, p->in[i], values));
    if (p->kind == P_FILTER) p->exprs[0] = with_values(c, p->exprs[0], values);
    if (p->kind != P_SCAN) return OK;
    struct array_ref ref = {.name = p->label, .position = -1};
    p->prune = NULL;
    return array_open(c, t, &ref, &p->array);
}

static enum status use(struct ctx *c, struct run *r, const struct cached_plan *p, struct query *q)
{
    struct expr **values = arena_array(c->arena, struct expr *, r->n_params + 1);
    for (int i = 0; i < r->n_params; i++)
        values[i] = expr_make_const(c, &r->params[i], -1);
    *q = p->q;
    q->statement_us = txn_time_us(r->s->txn);
    q->root = plan_copy(c, p->q.root, NULL);
    struct env env = {
        .params = r->params, .n_params = r->n_params, .statement_us = q->statement_us};
    TRY(fill_in(c, r->s->txn, q->root, values));
    TRY(narrow_regions(c, &q->root, &env));
    tell_scans(q->root);
    return OK;
}

enum status cached_query(struct ctx *c, struct run *r, struct query *q, bool *done)
{
    struct prepared *from = r->source;
    struct session *s = r->s;
    int64_t seq;
    *done = false;
    if (!from || from->never_cached || !s->settings.optimizer.n) return OK;
    if (from->stmt->kind != S_SELECT || from->n_params != r->n_params) return OK;
    TRY(txn_catalog_seq(c, s->txn, &seq));
    if (!seq) return OK;
    struct cached_plan *p = from->plan;
    if (!p || p->catalog_seq != seq || p->settings_seq != s->settings_seq) {
        cached_plan_free(p);
        p = from->plan = make(c, r, from);
        from->never_cached = !p;
        if (!p) return OK;
        p->catalog_seq = seq;
        p->settings_seq = s->settings_seq;
    }
    *done = true;
    return use(c, r, p, q);
}
