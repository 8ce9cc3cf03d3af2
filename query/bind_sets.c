/* Which grouping sets does GROUP BY ask for, and what do several of them give together?
 *
 * Every set is an aggregate of its own, over an input of its own; their rows follow one another,
 * with NULL for the keys that a set lacks. After keys and aggregates stand the keys' absence bits,
 * 1 where the set lacks the key, of which GROUPING() is made. */
#include "query/bind_internal.h"
#include "query/func.h"
#include <stdlib.h>

#define SETS_MAX 4096
#define GROUPING_MAX 31

/* ---- keys ---- */

/* What of the targets cannot be a key. */
struct no_key {
    bool aggregates, windows, grouping;
};

static bool note_no_key(const struct expr *e, void *self)
{
    struct no_key *found = self;
    if (e->kind == E_COL && e->index == GROUPING_REF)
        found->grouping = true;
    else if (e->kind == E_COL && e->index >= AGG_BASE)
        found->aggregates = true;
    else if (e->kind == E_COL && e->index >= WIN_BASE)
        found->windows = true;
    return true;
}

static enum status key_of_target(struct binder *b, const struct target *t, int pos,
                                 struct bound_key *k)
{
    struct no_key found = {false, false, false};
    expr_walk(t->e, note_no_key, &found);
    if (found.windows)
        return fail_at(b->c, ERR_WINDOWING, place(b, pos),
                       "window functions are not allowed in GROUP BY");
    if (found.grouping)
        return fail_at(b->c, ERR_GROUPING, place(b, pos),
                       "grouping operations are not allowed in GROUP BY");
    if (found.aggregates)
        return fail_at(b->c, ERR_GROUPING, place(b, pos),
                       "aggregate functions are not allowed in GROUP BY");
    *k = (struct bound_key){.key = {.e = t->e, .dim = -1}, .name = t->name};
    return OK;
}

static bool has_column(const struct scope *s, const char *name)
{
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].name && s->cols[i].unqualified && !strcmp(s->cols[i].name, name))
            return true;
    return false;
}

/* GROUP BY 2, GROUP BY alias, or an expression; a column of FROM goes before an alias. */
static enum status group_expr(struct binder *b, const struct scope *scope, const struct ast_expr *e,
                              const struct target *ts, int n, struct bound_key *k)
{
    if (e->kind == X_INT) {
        long i = strtol(e->text, NULL, 10);
        if (i < 1 || i > n)
            return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                           "GROUP BY position %s is not in select list", e->text);
        return key_of_target(b, &ts[i - 1], e->pos, k);
    }
    if (e->kind == X_STRING || e->kind == X_FLOAT || e->kind == X_NULL || e->kind == X_BOOL)
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos), "non-integer constant in GROUP BY");
    if (plain_name(e) && !has_column(scope, e->name.part[0]))
        for (int i = 0; i < n; i++)
            if (ts[i].name && !strcmp(ts[i].name, e->name.part[0]))
                return key_of_target(b, &ts[i], e->pos, k);
    struct expr_place in = {.scope = scope, .clause = "GROUP BY"};
    struct expr *x;
    TRY(bind_expr(b, &in, e, &x));
    TRY(expr_resolve_unknown(b->c, &x));
    *k = (struct bound_key){.key = {.e = x, .dim = -1}, .name = output_name(e)};
    return OK;
}

/* ---- sets ---- */

static bool same_key(const struct bound_key *x, const struct bound_key *y)
{
    if (x->key.e && y->key.e) return expr_equal(x->key.e, y->key.e);
    return !x->key.e && !y->key.e && x->key.dim == y->key.dim;
}

static bool same_size(const struct blocks *x, const struct blocks *y)
{
    return x->cells == y->cells && x->every.months == y->every.months &&
           x->every.days == y->every.days && x->every.us == y->every.us;
}

/* A BLOCK is what its dimension is called in the result: nothing else may be. */
static bool clash(const struct bound_key *x, const struct bound_key *y)
{
    if (!x->key.e && !y->key.e)
        return x->key.dim == y->key.dim && !same_size(x->key.blocks, y->key.blocks);
    const struct bound_key *block = x->key.e ? y : x, *other = x->key.e ? x : y;
    return !block->key.e && other->key.e->kind == E_DIM && other->key.e->index == block->key.dim;
}

struct sets { /* the alternatives of a part of GROUP BY */
    int n;
    struct key_set *v;
};

struct expanding {
    struct binder *b;
    const struct scope *scope;
    const struct target *targets;
    int n_targets, cap;
    struct groups *out;
};

static void set_put(struct binder *b, struct key_set *s, int key)
{
    for (int i = 0; i < s->n; i++)
        if (s->keys[i] == key) return;
    int *keys = arena_array(b->c->arena, int, s->n + 1);
    if (s->n) memcpy(keys, s->keys, sizeof *keys * (size_t)s->n);
    keys[s->n++] = key;
    s->keys = keys;
}

static enum status add_key(struct expanding *x, const struct bound_key *k, int pos,
                           struct key_set *set)
{
    struct groups *g = x->out;
    int i = 0;
    while (i < g->n_keys && !same_key(&g->keys[i], k))
        i++;
    for (int j = 0; j < g->n_keys; j++)
        if (clash(&g->keys[j], k))
            return fail_at(x->b->c, ERR_GROUPING, place(x->b, pos),
                           "\"%s\" is grouped twice, once as BLOCK", k->name);
    if (i == g->n_keys) {
        if (i == x->cap) {
            x->cap = i ? 2 * i : 8;
            struct bound_key *keys = arena_array(x->b->c->arena, struct bound_key, x->cap);
            if (i) memcpy(keys, g->keys, sizeof *keys * (size_t)i);
            g->keys = keys;
        }
        g->keys[g->n_keys++] = *k;
    }
    set_put(x->b, set, i);
    return OK;
}

/* One expression, or the several of (a, b), into a set. */
static enum status add_expr(struct expanding *x, const struct ast_expr *e, struct key_set *set)
{
    struct bound_key k;
    if (e->kind == X_ROW) {
        for (int i = 0; i < e->args.n; i++)
            TRY(add_expr(x, e->args.v[i], set));
        return OK;
    }
    TRY(group_expr(x->b, x->scope, e, x->targets, x->n_targets, &k));
    return add_key(x, &k, e->pos, set);
}

static enum status too_many(struct expanding *x, int pos)
{
    return fail_at(x->b->c, ERR_TOO_COMPLEX, place(x->b, pos),
                   "too many grouping sets present (maximum %d)", SETS_MAX);
}

static struct sets sets_new(struct expanding *x, int n)
{
    return (struct sets){n, arena_array(x->b->c->arena, struct key_set, n + 1)};
}

static struct key_set both(struct binder *b, const struct key_set *p, const struct key_set *q)
{
    struct key_set s = *p;
    for (int i = 0; i < q->n; i++)
        set_put(b, &s, q->keys[i]);
    return s;
}

/* (a, b, c), (a, b), (a), (). */
static enum status expand_rollup(struct expanding *x, const struct ast_group *g, struct sets *out)
{
    int n = g->list.n;
    if (n >= SETS_MAX) return too_many(x, g->pos);
    *out = sets_new(x, n + 1);
    for (int i = 0; i < n; i++) {
        struct key_set *longer = &out->v[n - 1 - i];
        *longer = out->v[n - i];
        TRY(add_expr(x, g->list.v[i], longer));
    }
    return OK;
}

/* All subsets, those with the first elements first. */
static enum status expand_cube(struct expanding *x, const struct ast_group *g, struct sets *out)
{
    int n = g->list.n;
    if (n > 12) {
        fail_at(x->b->c, ERR_TOO_MANY_COLUMNS, place(x->b, g->pos),
                "CUBE is limited to 12 elements");
        return ERR_TOO_MANY_COLUMNS;
    }
    struct key_set *parts = arena_array(x->b->c->arena, struct key_set, n + 1);
    *out = sets_new(x, 1 << n);
    for (int i = 0; i < n; i++)
        TRY(add_expr(x, g->list.v[i], &parts[i]));
    for (int s = 0; s < out->n; s++)
        for (int i = 0; i < n; i++)
            if (!(s >> (n - 1 - i) & 1)) out->v[s] = both(x->b, &out->v[s], &parts[i]);
    return OK;
}

static enum status expand(struct expanding *x, const struct ast_group *g, struct sets *out);

/* The alternatives of every member, one after the other. */
static enum status expand_list(struct expanding *x, const struct ast_group *g, struct sets *out)
{
    struct sets all = {0};
    for (int i = 0; i < g->n_sets; i++) {
        struct sets more, longer;
        TRY(expand(x, &g->sets[i], &more));
        if (all.n + more.n > SETS_MAX) return too_many(x, g->pos);
        longer = sets_new(x, all.n + more.n);
        if (all.n) memcpy(longer.v, all.v, sizeof *all.v * (size_t)all.n);
        memcpy(longer.v + all.n, more.v, sizeof *all.v * (size_t)more.n);
        all = longer;
    }
    *out = all;
    return OK;
}

static enum status expand(struct expanding *x, const struct ast_group *g, struct sets *out)
{
    struct bound_key k;
    switch (g->kind) {
    case GROUP_ROLLUP:
        return expand_rollup(x, g, out);
    case GROUP_CUBE:
        return expand_cube(x, g, out);
    case GROUP_SETS:
        return expand_list(x, g, out);
    default:
        break;
    }
    *out = sets_new(x, 1);
    if (g->kind == GROUP_EXPR) return add_expr(x, g->e, &out->v[0]);
    for (int i = 0; g->kind == GROUP_BLOCK && i < g->axes.n; i++) {
        TRY(block_key(x->b, x->scope, &g->axes.v[i], &k));
        TRY(add_key(x, &k, g->axes.v[i].pos, &out->v[0]));
    }
    return OK;
}

static bool same_set(const struct key_set *p, const struct key_set *q)
{
    if (p->n != q->n) return false;
    for (int i = 0; i < p->n; i++) {
        bool found = false;
        for (int k = 0; k < q->n; k++)
            found |= p->keys[i] == q->keys[k];
        if (!found) return false;
    }
    return true;
}

static void drop_repeated(struct sets *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        bool twice = false;
        for (int k = 0; k < n; k++)
            twice |= same_set(&s->v[i], &s->v[k]);
        if (!twice) s->v[n++] = s->v[i];
    }
    s->n = n;
}

enum status bind_groups(struct binder *b, const struct ast_select *s, const struct scope *scope,
                        const struct target *targets, int n_targets, struct groups *out)
{
    *out = (struct groups){0};
    struct expanding x = {b, scope, targets, n_targets, 0, out};
    struct sets all = sets_new(&x, 1);
    for (int i = 0; i < s->groups.n; i++) {
        struct sets part, product;
        TRY(expand(&x, &s->groups.v[i], &part));
        if (all.n * part.n > SETS_MAX) return too_many(&x, s->groups.v[i].pos);
        product = sets_new(&x, all.n * part.n);
        for (int k = 0; k < product.n; k++)
            product.v[k] = both(b, &all.v[k / part.n], &part.v[k % part.n]);
        all = product;
    }
    if (s->group_distinct) drop_repeated(&all);
    out->sets = all.v;
    out->n_sets = all.n;
    return OK;
}

/* ---- the rows of a set ---- */

static struct expr *absence(struct ctx *c, bool absent)
{
    struct value v = value_int(T_INT32, absent);
    return expr_typed_const(c, &v, -1);
}

enum status plan_of_set(struct binder *b, struct plan *in, const struct groups *g, int set,
                        const struct agg_list *aggs, int pos, struct plan **out)
{
    struct ctx *c = b->c;
    const struct key_set *s = &g->sets[set];
    struct bound_key *keys = arena_array(c->arena, struct bound_key, s->n + 1);
    int n = 2 * g->n_keys + aggs->n;
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    struct plan *agg;
    for (int i = 0; i < s->n; i++)
        keys[i] = g->keys[s->keys[i]];
    TRY(make_aggregate(b, in, keys, s->n, aggs, pos, &agg));
    for (int k = 0; k < g->n_keys; k++) {
        struct value none = {.type = key_type(&g->keys[k]), .null = true};
        int at = 0;
        while (at < s->n && s->keys[at] != k)
            at++;
        es[k] = at == s->n     ? expr_typed_const(c, &none, pos)
                : agg->by_dims ? dim_ref(c, &agg->rel, at)
                               : col_ref(c, &agg->rel, at);
        names[k] = g->keys[k].name;
        es[g->n_keys + aggs->n + k] = absence(c, at == s->n);
        names[g->n_keys + aggs->n + k] = "grouping";
    }
    for (int i = 0; i < aggs->n; i++) {
        es[g->n_keys + i] = col_ref(c, &agg->rel, (agg->by_dims ? 0 : s->n) + i);
        names[g->n_keys + i] = agg_name(aggs->calls[i].agg);
    }
    *out = plan_map(c, agg, es, names, n);
    return OK;
}

struct plan *plan_of_sets(struct binder *b, struct plan **parts, const struct groups *g, int n_aggs,
                          int pos)
{
    struct ctx *c = b->c;
    struct plan *p = plan_new(c, P_CONCAT, pos, g->n_sets);
    for (int i = 0; i < g->n_sets; i++)
        p->in[i] = parts[i];
    rel_list(c, &p->rel, -1, parts[0]->rel.n_cols);
    for (int i = 0; i < p->rel.n_cols; i++)
        p->rel.cols[i] = (struct rel_col){.name = parts[0]->rel.cols[i].name,
                                          .type = parts[0]->rel.cols[i].type};
    p->keys = arena_array(c->arena, struct group_key, g->n_keys + 1);
    p->n_keys = g->n_keys;
    p->n_aggs = n_aggs;
    for (int k = 0; k < g->n_keys; k++)
        p->keys[k] = g->keys[k].key;
    return p;
}

/* ---- GROUPING ---- */

enum status bind_grouping(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                          struct expr **out)
{
    struct expr_place inside = {.scope = in->scope, .clause = "GROUPING", .in_agg = true};
    if (!in->aggs)
        return fail_at(b->c, ERR_GROUPING, place(b, e->pos),
                       "grouping operations are not allowed in %s",
                       in->clause ? in->clause : "this place");
    if (e->args.n > GROUPING_MAX)
        return fail_at(b->c, ERR_TOO_MANY_COLUMNS, place(b, e->pos),
                       "GROUPING must have fewer than 32 arguments");
    in->aggs->grouping = true;
    struct expr *x = expr_make_ref(b->c, E_COL, GROUPING_REF, T_INT32, place(b, e->pos));
    x->n_args = e->args.n;
    x->args = arena_array(b->c->arena, struct expr *, x->n_args + 1);
    for (int i = 0; i < x->n_args; i++)
        TRY(bind_expr(b, &inside, e->args.v[i], &x->args[i]));
    *out = x;
    return OK;
}

enum status grouping_over(struct binder *b, const struct plan *agg, const struct expr *e,
                          struct expr **out)
{
    struct ctx *c = b->c;
    struct value zero = value_int(T_INT32, 0);
    struct expr *sum = expr_typed_const(c, &zero, e->pos);
    for (int i = 0; i < e->n_args; i++) {
        int k = 0;
        while (k < agg->n_keys && !group_key_is(agg, &agg->keys[k], e->args[i]))
            k++;
        if (k == agg->n_keys)
            return fail_at(c, ERR_GROUPING, e->args[i]->pos,
                           "arguments to GROUPING must be grouping expressions of the associated "
                           "query level");
        if (agg->kind != P_CONCAT) continue;
        struct value weight = value_int(T_INT32, INT64_C(1) << (e->n_args - 1 - i));
        struct expr *two[2] = {col_ref(c, &agg->rel, agg->n_keys + agg->n_aggs + k),
                               expr_typed_const(c, &weight, e->pos)};
        TRY(expr_make_call(c, "*", two, 2, e->pos, &two[1]));
        two[0] = sum;
        TRY(expr_make_call(c, "+", two, 2, e->pos, &sum));
    }
    *out = sum;
    return OK;
}
