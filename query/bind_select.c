/* What does a query give: targets, conditions, groups, order, limits, set operations? */
#include "query/bind_internal.h"
#include <stdlib.h>

/* One SELECT while it is bound. */
struct selecting {
    struct binder *b;
    const struct ast_select *s;
    struct scope scope;
    struct fetches fetches;
    struct plan *filter; /* WHERE's; NULL: none */
    struct agg_list aggs;
    struct win_list wins;
    struct target *ts;
    const struct scope *outer;
    bool keep_unknown;   /* literals of unknown type stay so */
    struct expr *having; /* NULL: none */
    int *sort_keys;      /* of ORDER BY: numbers of targets */
    int *on_keys;        /* of DISTINCT ON */
    int n_visible, n;    /* targets; those after the visible ones are only to sort by */
    struct plan *plan;
};

/* ---- targets ---- */

static struct target *new_target(struct selecting *q)
{
    if ((q->n & (q->n - 1)) == 0) {
        struct target *ts = arena_array(q->b->c->arena, struct target, q->n ? 2 * q->n : 1);
        if (q->n) memcpy(ts, q->ts, sizeof *ts * (size_t)q->n);
        q->ts = ts;
    }
    return &q->ts[q->n++];
}

static bool bracket_has(const struct selecting *q, const char *name)
{
    for (int i = 0; i < q->n; i++)
        if (q->ts[i].bracket && !strcmp(q->ts[i].name, name)) return true;
    return false;
}

/* A dimension that is listed already (a.*, b.* of a join on it) is a plain column; another one of
 * the same name gets a number. */
static void star_column(struct selecting *q, const struct scope_col *col, bool bracket, int pos)
{
    struct expr *e = scope_ref(q->b, col, pos);
    const char *name = col->name;
    bool twice = bracket && bracket_has(q, name);
    for (int i = 0; i < q->n; i++)
        if (twice && q->ts[i].bracket && expr_equal(q->ts[i].e, e)) bracket = false;
    for (int k = 2; bracket && bracket_has(q, name); k++)
        name = arena_printf(q->b->c->arena, "%s_%d", col->name, k);
    struct target *t = new_target(q);
    *t = (struct target){.e = e, .name = name, .bracket = bracket, .pos = place(q->b, pos)};
}

/* What `[*]` means beside dimensions: those that a join by value made columns of. */
static bool was_dim(const struct scope_col *col)
{
    return col->position && !col->paired;
}

/* `*`: every dimension once, then the attributes; `a.*`: those of one item; `[*]`: dimensions. */
static enum status expand_star(struct selecting *q, int item, bool dims_only, int pos)
{
    const struct scope *s = &q->scope;
    if (s->n_items == 0)
        return fail_at(q->b->c, ERR_SYNTAX, place(q->b, pos),
                       "SELECT * with no tables specified is not valid");
    for (int pass = 0; pass < (dims_only ? 1 : 2); pass++) {
        for (int i = 0; i < s->n_cols; i++) {
            const struct scope_col *col = &s->cols[i];
            bool listed =
                item < 0 ? col->in_star : col->item == item && (col->in_star || col->paired);
            bool dim = col->is_dim || was_dim(col) || (col->merged && !dims_only);
            bool bracket = col->is_dim || dims_only;
            if (listed && col->name && dim == (pass == 0)) star_column(q, col, bracket, pos);
        }
    }
    return OK;
}

static enum status bind_target(struct selecting *q, const struct ast_target *ast)
{
    struct binder *b = q->b;
    if (!ast->e) return expand_star(q, -1, ast->bracket, ast->pos);
    if (ast->e->kind == X_NAME && ast->e->star) {
        const char *name = ast->e->name.part[ast->e->name.n - 1];
        int item = scope_item(&q->scope, name);
        if (item < 0)
            return fail_at(b->c, ERR_UNDEFINED_TABLE, place(b, ast->e->pos),
                           "missing FROM-clause entry for table \"%s\"", name);
        return expand_star(q, item, ast->bracket, ast->pos);
    }
    struct expr_place in = {
        .scope = &q->scope, .clause = "SELECT", .aggs = &q->aggs, .wins = &q->wins};
    struct expr *e;
    TRY(bind_expr(b, &in, ast->e, &e));
    struct target *t = new_target(q);
    *t = (struct target){.ast = ast->e,
                         .e = e,
                         .name = ast->alias ? ast->alias : output_name(ast->e),
                         .bracket = ast->bracket,
                         .pos = place(b, ast->e->pos)};
    return OK;
}

static enum status bind_targets(struct selecting *q)
{
    for (int i = 0; i < q->s->targets.n; i++)
        TRY(bind_target(q, &q->s->targets.v[i]));
    q->n_visible = q->n;
    return OK;
}

/* ---- ORDER BY ---- */

static enum status ambiguous_output(struct binder *b, const struct ast_expr *e, const char *clause)
{
    return fail_at(b->c, ERR_AMBIGUOUS_COLUMN, place(b, e->pos), "%s \"%s\" is ambiguous", clause,
                   e->name.part[0]);
}

/* ORDER BY 2, or an output's name; -1: neither. */
static enum status order_output(struct binder *b, const struct ast_expr *e, const char *clause,
                                const struct target *ts, int n, int *out)
{
    *out = -1;
    if (e->kind == X_INT) {
        long i = strtol(e->text, NULL, 10);
        if (i < 1 || i > n)
            return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                           "%s position %s is not in select list", clause, e->text);
        *out = (int)i - 1;
        return OK;
    }
    if (e->kind == X_STRING || e->kind == X_FLOAT || e->kind == X_NULL || e->kind == X_BOOL)
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos), "non-integer constant in %s", clause);
    for (int i = 0; i < n && plain_name(e); i++) {
        if (!ts[i].name || strcmp(ts[i].name, e->name.part[0])) continue;
        if (*out >= 0 && !expr_equal(ts[*out].e, ts[i].e)) return ambiguous_output(b, e, clause);
        if (*out < 0) *out = i;
    }
    return OK;
}

/* A key as the number of a target, made if need be. */
static enum status bind_sort_key(struct selecting *q, const struct ast_expr *e, const char *clause,
                                 int *out)
{
    struct binder *b = q->b;
    TRY(order_output(b, e, clause, q->ts, q->n_visible, out));
    if (*out >= 0) return OK;
    struct expr_place in = {
        .scope = &q->scope, .clause = clause, .aggs = &q->aggs, .wins = &q->wins};
    struct expr *x;
    TRY(bind_expr(b, &in, e, &x));
    TRY(expr_resolve_unknown(b->c, &x));
    for (int k = 0; k < q->n && *out < 0; k++)
        if (expr_equal(q->ts[k].e, x)) *out = k;
    if (*out >= 0) return OK;
    if (q->s->distinct && !q->s->distinct_on.n)
        return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                       "for SELECT DISTINCT, ORDER BY expressions must appear in select list");
    *out = q->n;
    struct target *t = new_target(q);
    *t = (struct target){.ast = e, .e = x, .name = "?column?", .pos = place(b, e->pos)};
    return OK;
}

static enum status bind_order(struct selecting *q)
{
    const struct ast_sorts *order = &q->s->order;
    const struct ast_exprs *on = &q->s->distinct_on;
    q->sort_keys = arena_array(q->b->c->arena, int, order->n + 1);
    q->on_keys = arena_array(q->b->c->arena, int, on->n + 1);
    for (int i = 0; i < order->n; i++)
        TRY(bind_sort_key(q, order->v[i].e, "ORDER BY", &q->sort_keys[i]));
    for (int i = 0; i < on->n; i++)
        TRY(bind_sort_key(q, on->v[i], "DISTINCT ON", &q->on_keys[i]));
    return on->n ? check_distinct_on(q->b, q->s, q->on_keys, q->sort_keys) : OK;
}

static enum status add_sort(struct binder *b, const struct ast_sorts *order, const int *keys,
                            struct query *q)
{
    struct ctx *c = b->c;
    struct plan *p = plan_new(c, P_SORT, q->root->pos, 1);
    p->in[0] = q->root;
    rel_list(c, &p->rel, -1, 0);
    p->rel.n_cols = q->root->rel.n_cols;
    p->rel.cols = q->root->rel.cols;
    p->sort = arena_array(c->arena, struct sort_key, order->n + 1);
    p->n_sort = order->n;
    for (int i = 0; i < order->n; i++) {
        const struct ast_sort *a = &order->v[i];
        enum type t = p->rel.cols[keys[i]].type;
        if (t == T_INT64S)
            return fail_at(c, ERR_UNDEFINED_FUNCTION, place(b, a->e->pos),
                           "could not identify an ordering operator for type %s", type_name(t));
        p->sort[i] = (struct sort_key){.e = col_ref(c, &q->root->rel, keys[i]),
                                       .desc = a->desc,
                                       .nulls_first = a->nulls ? a->nulls == 1 : a->desc};
    }
    q->root = p;
    return OK;
}

/* ---- LIMIT ---- */

static enum status bind_count(struct binder *b, const struct ast_expr *e, const char *clause,
                              struct expr **out)
{
    struct expr_place in = {.clause = clause};
    struct expr *x;
    *out = NULL;
    if (!e) return OK;
    enum status st = bind_expr(b, &in, e, &x);
    if (st == ERR_UNDEFINED_COLUMN) {
        ctx_clear(b->c);
        return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                       "argument of %s must not contain variables", clause);
    }
    TRY(st);
    if (x->type != T_UNKNOWN && !type_is_numeric(x->type))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos),
                       "argument of %s must be type bigint, not type %s", clause,
                       type_name(x->type));
    TRY(expr_make_cast(b->c, x, T_INT64, false, place(b, e->pos), &x));
    enum status negative = strcmp(clause, "LIMIT") ? ERR_INVALID_OFFSET : ERR_INVALID_LIMIT;
    if (x->kind == E_CONST && !x->value.null && x->value.i < 0)
        return fail_at(b->c, negative, place(b, e->pos), "%s must not be negative", clause);
    *out = x;
    return OK;
}

static enum status add_limit(struct binder *b, const struct ast_select *s, struct query *q)
{
    struct plan *p = plan_new(b->c, P_LIMIT, q->root->pos, 1);
    TRY(bind_count(b, s->limit, "LIMIT", &p->limit));
    TRY(bind_count(b, s->offset, "OFFSET", &p->offset));
    p->in[0] = q->root;
    rel_list(b->c, &p->rel, -1, 0);
    p->rel.n_cols = q->root->rel.n_cols;
    p->rel.cols = q->root->rel.cols;
    q->root = p;
    return OK;
}

void add_distinct(struct ctx *c, struct query *q)
{
    struct plan *p = plan_new(c, P_DISTINCT, q->root->pos, 1);
    p->in[0] = q->root;
    rel_list(c, &p->rel, -1, 0);
    p->rel.n_cols = q->root->rel.n_cols;
    p->rel.cols = q->root->rel.cols;
    q->root = p;
}

/* ---- after the targets ---- */

/* Rows back to the array that the brackets ask for. */
static enum status rows_to_array(struct binder *b, const bool *bracket, struct query *q)
{
    struct ctx *c = b->c;
    struct target *ts = arena_array(c->arena, struct target, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++)
        ts[i] = (struct target){.e = col_ref(c, &q->root->rel, q->outs[i].index),
                                .name = q->outs[i].name,
                                .bracket = bracket[i],
                                .pos = q->root->pos};
    struct plan *rows = q->root;
    return shape_output(b, rows, ts, q->n_outs, q);
}

/* Does ORDER BY say something, where no LIMIT makes use of it? */
static bool wants_order(const struct ast_select *s, enum want want, bool is_array)
{
    return s->order.n > 0 && (want == WANT_ROWS || (want == WANT_STORED && !is_array));
}

/* DISTINCT, ORDER BY and LIMIT over a query whose first n_visible outputs stay. */
static enum status finish_rows(struct binder *b, const struct ast_select *s, enum want want,
                               const int *on_keys, const int *keys, int n_visible, struct query *q)
{
    bool limited = s->limit || s->offset, was_array = q->is_array;
    bool sorted = wants_order(s, want, was_array) || (s->order.n > 0 && limited);
    if (!limited && !sorted && !s->distinct) return OK;
    bool *bracket = arena_array(b->c->arena, bool, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++)
        bracket[i] = q->outs[i].is_dim;
    query_to_list(b->c, q);
    if (s->distinct_on.n)
        TRY(add_distinct_on(b, s, on_keys, keys, q));
    else if (s->distinct)
        add_distinct(b->c, q);
    if (sorted) TRY(add_sort(b, &s->order, keys, q));
    if (limited) TRY(add_limit(b, s, q));
    q->n_outs = n_visible;
    bool shaped = want == WANT_ARRAY || want == WANT_STORED;
    return was_array && shaped ? rows_to_array(b, bracket, q) : OK;
}

/* ---- v[…] ---- */

/* Once all is bound that may have values at other cells: they come before WHERE. */
static enum status fetch_cells(struct selecting *q)
{
    struct plan *where = q->filter;
    TRY(add_fetches(q->b, &q->scope, where ? &where->in[0] : &q->plan));
    if (where) follow_columns(where);
    q->scope.plan = q->plan;
    return OK;
}

/* ---- GROUP BY, HAVING ---- */

static enum status bind_input(struct selecting *q);

/* Each set over an input of its own: the query is bound anew for it. */
static enum status group_by_sets(struct selecting *q, const struct groups *g, struct plan **out)
{
    struct plan **parts = arena_array(q->b->c->arena, struct plan *, g->n_sets);
    int pos = place(q->b, q->s->pos);
    TRY(plan_of_set(q->b, q->plan, g, 0, &q->aggs, pos, &parts[0]));
    for (int i = 1; i < g->n_sets; i++) {
        struct selecting again = {.b = q->b,
                                  .s = q->s,
                                  .outer = q->outer,
                                  .keep_unknown = q->keep_unknown,
                                  .wins = q->wins};
        struct groups own;
        again.wins.n = 0;
        TRY(bind_input(&again));
        TRY(bind_groups(q->b, q->s, &again.scope, again.ts, again.n_visible, &own));
        TRY(fetch_cells(&again));
        TRY(plan_of_set(q->b, again.plan, &own, i, &again.aggs, pos, &parts[i]));
    }
    *out = plan_of_sets(q->b, parts, g, q->aggs.n, pos);
    return OK;
}

static enum status group(struct selecting *q)
{
    struct binder *b = q->b;
    struct groups g;
    struct plan *agg;
    TRY(bind_groups(b, q->s, &q->scope, q->ts, q->n_visible, &g));
    TRY(fetch_cells(q));
    if (g.n_sets == 1)
        TRY(make_aggregate(b, q->plan, g.keys, g.n_keys, &q->aggs, place(b, q->s->pos), &agg));
    else
        TRY(group_by_sets(q, &g, &agg));
    struct fetches at_keys = {.first = agg->rel.n_cols};
    q->scope.group_fetches = &at_keys;
    for (int i = 0; i < q->n; i++)
        TRY(over_groups(b, &q->scope, agg, q->ts[i].e, &q->ts[i].e));
    TRY(windows_over_groups(b, &q->scope, agg, &q->wins));
    if (q->having) TRY(over_groups(b, &q->scope, agg, q->having, &q->having));
    TRY(add_group_fetches(b, &q->scope, &agg));
    q->plan = q->having ? plan_filter(b->c, agg, q->having) : agg;
    scope_of_dims(b, q->plan, &q->scope);
    return OK;
}

/* What OVER says, over what WHERE and GROUP BY left. */
static enum status window(struct selecting *q)
{
    TRY(add_windows(q->b, &q->scope, &q->wins, &q->plan));
    for (int i = 0; i < q->n; i++)
        q->ts[i].e = over_windows(q->b, &q->wins, q->plan, q->ts[i].e);
    return OK;
}

static enum status refuse(struct binder *b, const struct ast_select *s)
{
    if (s->locking) return not_yet(b, s->pos, "FOR %s is", s->locking);
    return OK;
}

/* FROM and WHERE, and all that stands over them. */
static enum status bind_input(struct selecting *q)
{
    struct binder *b = q->b;
    const struct ast_select *s = q->s;
    const struct ast_expr *condition;
    TRY(bind_from_where(b, &s->from, s->where, q->outer, &q->scope, &condition));
    q->plan = q->scope.plan;
    allow_fetches(&q->scope, &q->fetches);
    if (condition) {
        struct expr_place in = {.scope = &q->scope, .clause = "WHERE"};
        struct expr *where;
        TRY(bind_condition(b, &in, condition, &where));
        q->fetches.guard = where;
        q->plan = q->filter = plan_filter(b->c, q->plan, where);
        q->scope.plan = q->plan;
    }
    TRY(bind_targets(q));
    if (s->having) {
        struct expr_place in = {.scope = &q->scope, .clause = "HAVING", .aggs = &q->aggs};
        TRY(bind_condition(b, &in, s->having, &q->having));
    }
    TRY(bind_order(q));
    TRY(check_windows(b, &q->wins));
    for (int i = 0; i < q->n && !q->keep_unknown; i++)
        TRY(expr_resolve_unknown(b->c, &q->ts[i].e));
    return OK;
}

/* The targets as a list of rows, without brackets; which had one. */
static enum status list_output(struct selecting *q, bool **bracket, bool *any, struct query *out)
{
    *bracket = arena_array(q->b->c->arena, bool, q->n + 1);
    *any = false;
    for (int i = 0; i < q->n; i++) {
        (*bracket)[i] = q->ts[i].bracket;
        *any |= q->ts[i].bracket;
        q->ts[i].bracket = false;
    }
    return shape_output(q->b, q->plan, q->ts, q->n, out);
}

/* DISTINCT where brackets would send cells elsewhere: of the same rows one goes. */
static enum status distinct_cells(struct selecting *q)
{
    struct query rows = {0};
    bool *bracket, any;
    TRY(list_output(q, &bracket, &any, &rows));
    query_to_list(q->b->c, &rows);
    add_distinct(q->b->c, &rows);
    q->plan = rows.root;
    for (int i = 0; i < q->n; i++) {
        q->ts[i].e = col_ref(q->b->c, &q->plan->rel, rows.outs[i].index);
        q->ts[i].bracket = bracket[i];
    }
    return OK;
}

/* Brackets are what is made of the rows that are left. */
static enum status distinct_on(struct selecting *q, enum want want, struct query *out)
{
    bool *bracket, any;
    TRY(list_output(q, &bracket, &any, out));
    TRY(finish_rows(q->b, q->s, want, q->on_keys, q->sort_keys, q->n_visible, out));
    bool shaped = want == WANT_ARRAY || want == WANT_STORED;
    return any && shaped ? rows_to_array(q->b, bracket, out) : OK;
}

static enum status bind_plain(struct binder *b, const struct ast_select *s,
                              const struct scope *outer, enum want want, bool keep_unknown,
                              struct query *out)
{
    struct selecting q = {.b = b,
                          .s = s,
                          .outer = outer,
                          .keep_unknown = keep_unknown,
                          .wins = {.n_defs = s->n_windows, .defs = s->windows}};
    TRY(refuse(b, s));
    TRY(bind_input(&q));
    if (s->groups.n || q.having || q.aggs.n || q.aggs.grouping) TRY(group(&q));
    TRY(fetch_cells(&q));
    if (q.wins.n) TRY(window(&q));
    bool any = false;
    for (int i = 0; i < q.n; i++)
        any |= q.ts[i].bracket;
    bool sorted = wants_order(s, want, any) || (s->order.n > 0 && (s->limit || s->offset));
    if (s->distinct_on.n) return distinct_on(&q, want, out);
    struct ast_select rest = *s;
    if (s->distinct && any && !shape_stays(&q.plan->rel, q.ts, q.n)) {
        TRY(distinct_cells(&q));
        rest.distinct = false;
    }
    TRY(shape_output(b, q.plan, q.ts, sorted ? q.n : q.n_visible, out));
    return finish_rows(b, &rest, want, NULL, q.sort_keys, q.n_visible, out);
}

/* ---- set operations, VALUES, WITH ---- */

/* A key of VALUES' ORDER BY that is no output: one more column. */
static enum status order_computed(struct binder *b, const struct scope *outer,
                                  const struct ast_expr *e, struct query *q, int *key)
{
    struct ctx *c = b->c;
    int n = q->n_outs;
    struct scope s;
    struct expr *x, **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    scope_init(b, &s, q->root, NULL, n);
    s.outer = outer;
    for (int i = 0; i < n; i++)
        scope_add(&s, q->outs[i].name, false, i, q->outs[i].type);
    struct expr_place in = {.scope = &s, .clause = "ORDER BY"};
    TRY(bind_expr(b, &in, e, &x));
    TRY(expr_resolve_unknown(c, &x));
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, &q->root->rel, i);
        names[i] = q->outs[i].name;
    }
    es[n] = x;
    names[n] = "?column?";
    q->root = plan_map(c, q->root, es, names, n + 1);
    struct out_col *outs = arena_array(c->arena, struct out_col, n + 1);
    memcpy(outs, q->outs, sizeof *outs * (size_t)n);
    outs[n] = (struct out_col){"?column?", x->type, false, n};
    q->outs = outs;
    q->n_outs = n + 1;
    *key = n;
    return OK;
}

/* ORDER BY over a set operation, by outputs alone, or VALUES. */
static enum status order_outputs(struct binder *b, const struct ast_select *s,
                                 const struct scope *outer, struct query *q, int **out)
{
    int n_visible = q->n_outs;
    struct target *ts = arena_array(b->c->arena, struct target, q->n_outs + 1);
    int *keys = arena_array(b->c->arena, int, s->order.n + 1);
    for (int i = 0; i < q->n_outs; i++) {
        ts[i].name = q->outs[i].name;
        ts[i].e = expr_make_ref(b->c, E_COL, i, q->outs[i].type, -1);
    }
    for (int i = 0; i < s->order.n; i++) {
        const struct ast_expr *e = s->order.v[i].e;
        TRY(order_output(b, e, "ORDER BY", ts, n_visible, &keys[i]));
        if (keys[i] >= 0) continue;
        if (s->n_rows) {
            TRY(order_computed(b, outer, e, q, &keys[i]));
            continue;
        }
        fail_at(b->c, plain_name(e) ? ERR_UNDEFINED_COLUMN : ERR_UNSUPPORTED, place(b, e->pos),
                "invalid UNION/INTERSECT/EXCEPT ORDER BY clause");
        return hint(b->c, "Only result column names can be used, not expressions or functions.");
    }
    *out = keys;
    return OK;
}

/* The query below its WITH. */
static enum status bind_rows(struct binder *b, const struct ast_select *s,
                             const struct scope *outer, enum want want, bool keep_unknown,
                             struct query *out)
{
    *out = (struct query){0};
    if (s->set == SET_NONE && s->n_rows == 0) {
        bool tail = s->order.n || s->limit || s->offset || s->distinct;
        return bind_plain(b, s, outer, want, keep_unknown && !tail, out);
    }
    int *keys;
    if (s->n_rows)
        TRY(bind_values(b, s, outer, out));
    else
        TRY(bind_set(b, s, outer, out));
    int n_visible = out->n_outs;
    TRY(order_outputs(b, s, outer, out, &keys));
    return finish_rows(b, s, want, NULL, keys, n_visible, out);
}

static enum status push_cte(struct binder *b, const struct ast_select *s, int i,
                            const struct scope *outer, struct cte *cte)
{
    const struct ast_cte *ast = &s->ctes[i];
    *cte = (struct cte){.next = b->ctes, .ast = ast, .outer = outer};
    for (int k = 0; k < i; k++)
        if (ast->name && s->ctes[k].name && !strcmp(ast->name, s->ctes[k].name))
            return fail_at(b->c, ERR_DUPLICATE_ALIAS, place(b, ast->pos),
                           "WITH query name \"%s\" specified more than once", ast->name);
    b->ctes = cte;
    return OK;
}

static enum status bind_body(struct binder *b, const struct ast_select *s,
                             const struct scope *outer, enum want want, bool keep_unknown,
                             struct query *out)
{
    struct binder inner = *b;
    if (s->recursive) return not_yet(b, s->pos, "WITH RECURSIVE is");
    struct cte *ctes = arena_array(b->c->arena, struct cte, s->n_ctes + 1);
    for (int i = 0; i < s->n_ctes; i++)
        TRY(push_cte(&inner, s, i, outer, &ctes[i]));
    TRY(bind_rows(&inner, s, outer, want, keep_unknown, out));
    for (int i = s->n_ctes - 1; i >= 0; i--)
        if (!ctes[i].used) TRY(check_cte(b, &ctes[i]));
    return OK;
}

enum status bind_query(struct binder *b, const struct ast_select *s, const struct scope *outer,
                       enum want want, struct query *out)
{
    return bind_body(b, s, outer, want, false, out);
}

enum status bind_source(struct binder *b, const struct ast_select *s, const struct scope *outer,
                        enum want want, struct query *out)
{
    return bind_body(b, s, outer, want, true, out);
}
