/* What do UPDATE and DELETE change, and what do RETURNING, CHECK and ON CONFLICT DO UPDATE compute
 * of the cells that were written? */
#include "query/bind_internal.h"
#include "query/parse.h"

/* ---- RETURNING ---- */

static void add_returned(struct binder *b, struct returning *out, struct expr *e, const char *name)
{
    if ((out->n & (out->n - 1)) == 0) {
        int cap = out->n ? 2 * out->n : 1;
        struct expr **es = arena_array(b->c->arena, struct expr *, cap);
        const char **names = arena_array(b->c->arena, const char *, cap);
        if (out->n) memcpy(es, out->es, sizeof *es * (size_t)out->n);
        if (out->n) memcpy(names, out->names, sizeof *names * (size_t)out->n);
        out->es = es;
        out->names = names;
    }
    out->es[out->n] = e;
    out->names[out->n++] = name;
}

static enum status return_star(struct binder *b, const struct ast_target *t,
                               const struct scope *scope, struct returning *out)
{
    int item = -1, pos = t->e ? t->e->pos : t->pos;
    if (t->e) {
        const char *name = t->e->name.part[t->e->name.n - 1];
        item = scope_item(scope, name);
        if (item < 0)
            return fail_at(b->c, ERR_UNDEFINED_TABLE, place(b, pos),
                           "missing FROM-clause entry for table \"%s\"", name);
    }
    for (int i = 0; i < scope->n_cols; i++) {
        const struct scope_col *col = &scope->cols[i];
        bool listed = (item < 0 || col->item == item) && (col->in_star || col->paired);
        if (listed && col->name) add_returned(b, out, scope_ref(b, col, pos), col->name);
    }
    return OK;
}

static enum status bind_returning(struct binder *b, const struct ast_targets *list,
                                  const struct scope *scope, struct returning *out)
{
    struct expr_place in = {.scope = scope, .clause = "RETURNING"};
    *out = (struct returning){0};
    for (int i = 0; i < list->n; i++) {
        const struct ast_target *t = &list->v[i];
        struct expr *e;
        if (t->bracket) {
            fail_at(b->c, ERR_SYNTAX, place(b, t->pos), "RETURNING gives rows, not an array");
            return hint(b->c, "Leave the bracket out.");
        }
        if (!t->e || (t->e->kind == X_NAME && t->e->star)) {
            TRY(return_star(b, t, scope, out));
            continue;
        }
        TRY(bind_expr(b, &in, t->e, &e));
        TRY(expr_resolve_unknown(b->c, &e));
        add_returned(b, out, e, t->alias ? t->alias : output_name(t->e));
    }
    return OK;
}

/* ---- CHECK ---- */

/* They are kept as texts of queries: SELECT (v > 0) AS "name"; … */
static enum status bind_constraints(struct binder *b, const struct schema *t,
                                    const struct scope *scope, struct checks *out)
{
    struct ctx *c = b->c;
    struct ast_script script;
    struct binder inner = *b;
    const char *text;
    *out = (struct checks){0};
    TRY(array_object(c, b->env->txn, OBJECT_CHECKS, t, &text));
    if (!text) return OK;
    inner.fixed_pos = 0; /* its errors are none of the statement's text */
    TRY(parse_script(c, text, strlen(text), &script));
    struct expr_place in = {.scope = scope, .clause = "CHECK"};
    out->es = arena_array(c->arena, struct expr *, script.n + 1);
    out->names = arena_array(c->arena, const char *, script.n + 1);
    for (int i = 0; i < script.n; i++) {
        const struct ast_target *check = &script.v[i]->select->targets.v[0];
        int n_before = b->shared->n_subqueries;
        TRY(bind_condition(&inner, &in, check->e, &out->es[i]));
        if (b->shared->n_subqueries != n_before)
            return fail_at(c, ERR_UNSUPPORTED, 0, "cannot use subquery in check constraint");
        out->names[out->n++] = check->alias;
    }
    return OK;
}

/* ---- INSERT's rows ---- */

/* Columns of the target, its attributes from column `first` on. */
static void add_columns(struct scope *s, const struct schema *t, int item, int first)
{
    for (int d = 0; d < t->n_dims; d++) {
        struct scope_col *col = scope_add(s, t->dims[d].name, false, d, t->dims[d].axis.type);
        col->item = item;
        col->in_star = !t->is_table;
    }
    for (int k = 0; k < t->n_attrs; k++)
        scope_add(s, t->attrs[k].name, false, first + k, t->attrs[k].type)->item = item;
}

static void row_rel(struct ctx *c, const struct schema *t, struct rel *out)
{
    rel_list(c, out, -1, t->n_dims + 2 * t->n_attrs);
    for (int d = 0; d < t->n_dims; d++)
        out->cols[d] = (struct rel_col){.name = t->dims[d].name, .type = t->dims[d].axis.type};
    for (int k = 0; k < 2 * t->n_attrs; k++) {
        const struct attr *a = &t->attrs[k % t->n_attrs];
        out->cols[t->n_dims + k] = (struct rel_col){.name = a->name, .type = a->type};
    }
}

/* The scope of one row: the cell as it is written, as `item`. */
static void row_scope(struct binder *b, const struct schema *t, struct plan *p, const char *item,
                      struct scope *out)
{
    scope_init(b, out, p, item, 2 * (t->n_dims + t->n_attrs));
    add_columns(out, t, 0, t->n_dims);
}

static enum status conflict_target(struct binder *b, const struct ast_stmt *s,
                                   const struct schema *t)
{
    const struct ast_names *names = &s->conflict_columns;
    int n_dims = t->is_table ? 0 : t->n_dims;
    bool fits = names->n == n_dims;
    for (int i = 0; i < names->n; i++) {
        int d = t->is_table ? -1 : schema_dim(t, names->v[i]);
        if (d < 0 && schema_attr(t, names->v[i]) < 0)
            return unknown_target(b, t, names->v[i], s->name.pos);
        fits = fits && d >= 0;
        for (int k = 0; k < i; k++)
            fits = fits && strcmp(names->v[i], names->v[k]) != 0;
    }
    if (names->n == 0 || fits) return OK;
    fail_at(b->c, ERR_INVALID_REFERENCE, place(b, s->name.pos),
            "there is no unique or exclusion constraint matching the ON CONFLICT specification");
    return hint(b->c, "An array's key is all of its dimensions together.");
}

static enum status bind_upsert(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                               struct plan *p, const char *item, struct held_row *out)
{
    struct ctx *c = b->c;
    struct scope scope;
    scope_init(b, &scope, p, item, 2 * (t->n_dims + t->n_attrs));
    scope.n_items = 2;
    scope.items = arena_array(c->arena, const char *, 2);
    scope.items[0] = item;
    scope.items[1] = "excluded";
    add_columns(&scope, t, 0, t->n_dims + t->n_attrs);
    add_columns(&scope, t, 1, t->n_dims);
    struct bound_change set = {.attrs = arena_array(c->arena, int, t->n_attrs + 1)};
    struct expr **es = arena_array(c->arena, struct expr *, t->n_attrs + 1);
    out->sets = arena_array(c->arena, struct expr *, t->n_attrs + 1);
    TRY(bind_sets(b, &s->conflict_sets, &scope, t, &set, es));
    for (int k = 0; k < t->n_attrs; k++)
        out->sets[k] = col_ref(c, &out->rel, t->n_dims + t->n_attrs + k);
    for (int i = 0; i < set.n_attrs; i++)
        out->sets[set.attrs[i]] = es[i];
    if (!s->conflict_where) return OK;
    struct expr_place in = {.scope = &scope, .clause = "WHERE"};
    return bind_condition(b, &in, s->conflict_where, &out->where);
}

enum status bind_held(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                      struct held_row *out)
{
    struct scope scope;
    const char *item = s->alias ? s->alias : t->name;
    row_rel(b->c, t, &out->rel);
    struct plan *p = plan_new(b->c, P_VALUES, s->name.pos, 0);
    p->rel = out->rel;
    TRY(conflict_target(b, s, t));
    if (s->on_conflict == ON_CONFLICT_UPDATE) TRY(bind_upsert(b, s, t, p, item, out));
    row_scope(b, t, p, item, &scope);
    TRY(bind_returning(b, &s->returning, &scope, &out->returning));
    return bind_constraints(b, t, &scope, &out->checks);
}

enum status bind_checks(struct ctx *c, struct bind_env *env, const struct schema *t,
                        struct held_row *out)
{
    struct binder b;
    struct scope scope;
    binder_init(&b, c, env);
    *out = (struct held_row){0};
    row_rel(c, t, &out->rel);
    struct plan *p = plan_new(c, P_VALUES, -1, 0);
    p->rel = out->rel;
    row_scope(&b, t, p, t->name, &scope);
    return bind_constraints(&b, t, &scope, &out->checks);
}

/* ---- SET ---- */

/* given: the value bound already; NULL: e says it. */
static enum status set_column(struct binder *b, const struct scope *scope, const struct schema *t,
                              const char *name, const struct ast_expr *e, struct expr *given,
                              int pos, struct bound_change *out, struct expr **es)
{
    int a = schema_attr(t, name);
    if (a < 0 && !t->is_table && schema_dim(t, name) >= 0) {
        fail_at(b->c, ERR_UNSUPPORTED, place(b, pos), "dimension \"%s\" cannot be updated", name);
        return hint(b->c, "A cell's coordinates are its place: delete it and insert another.");
    }
    if (a < 0) return unknown_target(b, t, name, pos);
    for (int i = 0; i < out->n_attrs; i++)
        if (out->attrs[i] == a)
            return fail_at(b->c, ERR_SYNTAX, place(b, pos),
                           "multiple assignments to same column \"%s\"", name);
    struct expr_place in = {.scope = scope, .clause = "UPDATE"};
    struct expr **value = &es[out->n_attrs];
    *value = given;
    TRY(given ? cast_to_column(b, name, t->attrs[a].type, value)
              : bind_assign(b, &in, e, &t->attrs[a], value));
    out->attrs[out->n_attrs++] = a;
    return OK;
}

static enum status set_from_subquery(struct binder *b, const struct scope *scope,
                                     const struct schema *t, const struct ast_set *set,
                                     struct bound_change *out, struct expr **es)
{
    int n = set->columns.n;
    struct expr_place in = {.scope = scope, .clause = "UPDATE"};
    struct expr **values = arena_array(b->c->arena, struct expr *, n);
    TRY(bind_subquery_row(b, &in, set->e, n, values));
    for (int k = 0; k < n; k++)
        TRY(set_column(b, scope, t, set->columns.v[k], NULL, values[k], set->pos, out, es));
    return OK;
}

enum status bind_sets(struct binder *b, const struct ast_sets *sets, const struct scope *scope,
                      const struct schema *t, struct bound_change *out, struct expr **es)
{
    for (int i = 0; i < sets->n; i++) {
        const struct ast_set *set = &sets->v[i];
        const struct ast_exprs *values = &set->e->args;
        if (set->columns.n == 1 && set->e->kind != X_ROW) {
            TRY(set_column(b, scope, t, set->columns.v[0], set->e, NULL, set->pos, out, es));
            continue;
        }
        if (set->e->kind == X_SUBQUERY) {
            TRY(set_from_subquery(b, scope, t, set, out, es));
            continue;
        }
        if (set->e->kind != X_ROW || values->n != set->columns.n)
            return fail_at(b->c, ERR_SYNTAX, place(b, set->pos),
                           "number of columns does not match number of values");
        for (int k = 0; k < set->columns.n; k++)
            TRY(set_column(b, scope, t, set->columns.v[k], values->v[k], NULL, set->pos, out, es));
    }
    return OK;
}

/* ---- UPDATE, DELETE ---- */

/* The target as a FROM item, for values at its other cells. */
static struct ast_from *target_item(struct ctx *c, const struct ast_stmt *s, const char *name)
{
    struct ast_from *f = arena_new_of(c->arena, struct ast_from);
    const char **parts = arena_array(c->arena, const char *, 2);
    parts[0] = "public"; /* no WITH query of that name */
    parts[1] = name;
    *f = (struct ast_from){.kind = FROM_NAME,
                           .pos = s->name.pos,
                           .name = {2, parts, s->name.pos},
                           .axes = s->axes,
                           .has_axes = s->has_axes,
                           .keep_dims = true,
                           .alias = s->alias};
    return f;
}

static enum status change_target(struct binder *b, const struct ast_stmt *s, struct scope *scope,
                                 const struct schema **schema)
{
    struct ctx *c = b->c;
    const char *name = s->name.part[s->name.n - 1], *view;
    struct array_ref ref = {.name = name, .position = s->name.pos};
    struct array *a;
    if (s->name.n > 1 && !strcmp(s->name.part[s->name.n - 2], "sys"))
        return fail_at(c, ERR_WRONG_OBJECT, s->name.pos,
                       "\"sys.%s\" is a system view: it cannot be changed", name);
    TRY(object_get(c, b->env->txn, OBJECT_VIEW, name, &view));
    if (view)
        return fail_at(c, ERR_WRONG_OBJECT, s->name.pos, "\"%s\" is a view: it cannot be changed",
                       name);
    TRY(at(c, array_open(c, b->env->txn, &ref, &a), s->name.pos));
    *schema = array_schema(a);
    TRY(scope_of_array(b, a, s->alias ? s->alias : name, s->name.pos, scope));
    scope->froms[0] = target_item(c, s, name);
    return s->has_axes ? bind_slice(b, &s->axes, true, scope) : OK;
}

/* The target joined with FROM or USING on WHERE. */
static enum status join_sources(struct binder *b, const struct ast_stmt *s, struct scope *scope)
{
    struct scope left = *scope, right;
    TRY(bind_from_list(b, &s->from, NULL, &right));
    for (int i = 0; i < right.n_items; i++)
        if (right.items[i] && !strcmp(right.items[i], left.items[0]))
            return fail_at(b->c, ERR_DUPLICATE_ALIAS, place(b, s->from.v[0]->pos),
                           "table name \"%s\" specified more than once", left.items[0]);
    if (!s->where) return bind_cross(b, s->from.v[0]->pos, &left, &right, scope);
    struct ast_from join = {
        .kind = FROM_JOIN, .pos = s->from.v[0]->pos, .join = JOIN_INNER, .on = s->where};
    return bind_join(b, &join, &left, &right, scope);
}

static enum status bind_sources(struct binder *b, const struct ast_stmt *s, struct scope *scope)
{
    if (s->from.n) return join_sources(b, s, scope);
    if (!s->where) return OK;
    struct expr_place in = {.scope = scope, .clause = "WHERE"};
    struct expr *where;
    TRY(bind_condition(b, &in, s->where, &where));
    if (scope->fetches) scope->fetches->guard = where;
    scope->plan = plan_filter(b->c, scope->plan, where);
    return OK;
}

/* Values at other cells are what was there before, and come before WHERE. */
static enum status fetch_cells(struct binder *b, const struct ast_stmt *s, struct scope *scope)
{
    struct plan *where = s->where && !s->from.n ? scope->plan : NULL;
    TRY(add_fetches(b, scope, where ? &where->in[0] : &scope->plan));
    if (where) follow_columns(where);
    return OK;
}

/* What RETURNING and CHECK see: the target's attributes are their new values. */
static void see_new_values(struct binder *b, const struct schema *t, struct scope *scope,
                           const struct bound_change *ch, struct expr **es)
{
    struct ctx *c = b->c;
    const struct rel *r = &scope->plan->rel;
    int n = r->n_cols;
    struct expr **all = arena_array(c->arena, struct expr *, n + ch->n_attrs + 1);
    const char **names = arena_array(c->arena, const char *, n + ch->n_attrs + 1);
    for (int i = 0; i < n; i++) {
        all[i] = col_ref(c, r, i);
        names[i] = r->cols[i].name;
    }
    for (int i = 0; i < ch->n_attrs; i++) {
        all[n + i] = es[i];
        names[n + i] = t->attrs[ch->attrs[i]].name;
    }
    scope->plan = plan_map(c, scope->plan, all, names, n + ch->n_attrs);
    for (int i = 0; i < ch->n_attrs; i++) {
        struct scope_col *col = &scope->cols[t->n_dims + ch->attrs[i]];
        col->is_dim = false;
        col->index = n + i;
        es[i] = col_ref(c, &scope->plan->rel, n + i);
    }
}

static void add_output(struct query *q, struct expr **es, const char **names, int *n,
                       struct expr *e, const char *name)
{
    es[*n] = e;
    names[*n] = name;
    q->outs[q->n_outs++] = (struct out_col){name, e->type, false, (*n)++};
}

/* Outputs over the scope: coordinates, values, RETURNING, CHECK. */
static void change_outputs(struct binder *b, const struct schema *t, const struct scope *scope,
                           struct expr **values, struct bound_change *out)
{
    struct ctx *c = b->c;
    struct query *q = &out->query;
    int n = 0, most = t->n_dims + out->n_attrs + out->returning.n + out->checks.n + 1;
    struct expr **es = arena_array(c->arena, struct expr *, most);
    const char **names = arena_array(c->arena, const char *, most);
    q->outs = arena_array(c->arena, struct out_col, most);
    out->repeats = scope->plan->rel.n_dims != t->n_dims;
    for (int d = 0; d < t->n_dims; d++)
        out->repeats |= !scope->cols[d].is_dim || scope->cols[d].index != d;
    for (int d = 0; d < t->n_dims; d++) {
        const struct scope_col *col = &scope->cols[d];
        if (col->is_dim)
            q->outs[q->n_outs++] = (struct out_col){t->dims[d].name, col->type, true, col->index};
        else
            add_output(q, es, names, &n, scope_ref(b, col, -1), t->dims[d].name);
    }
    for (int i = 0; i < out->n_attrs; i++)
        add_output(q, es, names, &n, values[i], t->attrs[out->attrs[i]].name);
    for (int i = 0; i < out->returning.n; i++)
        add_output(q, es, names, &n, out->returning.es[i], out->returning.names[i]);
    for (int i = 0; i < out->checks.n; i++)
        add_output(q, es, names, &n, out->checks.es[i], out->checks.names[i]);
    q->root = plan_map(c, scope->plan, es, names, n);
    q->is_array = true;
}

enum status bind_change(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct bound_change *out)
{
    struct binder b;
    struct scope scope;
    struct fetches fetches;
    const struct schema *t;
    const char *checks = NULL;
    binder_init(&b, c, env);
    *out = (struct bound_change){0};
    push_ctes(&b, s);
    TRY(change_target(&b, s, &scope, &t));
    if (!s->from.n) allow_fetches(&scope, &fetches);
    TRY(bind_sources(&b, s, &scope));
    if (s->from.n) allow_fetches(&scope, &fetches);
    struct expr **es = arena_array(c->arena, struct expr *, t->n_attrs + 1);
    out->attrs = arena_array(c->arena, int, t->n_attrs + 1);
    if (s->kind == S_UPDATE) TRY(bind_sets(&b, &s->sets, &scope, t, out, es));
    TRY(fetch_cells(&b, s, &scope));
    if (s->kind == S_UPDATE) {
        TRY(array_object(c, env->txn, OBJECT_CHECKS, t, &checks));
        if (s->returning.n || checks) see_new_values(&b, t, &scope, out, es);
    }
    TRY(bind_returning(&b, &s->returning, &scope, &out->returning));
    if (checks) {
        scope.n_cols = t->n_dims + t->n_attrs; /* of FROM's columns they know nothing */
        TRY(bind_constraints(&b, t, &scope, &out->checks));
    }
    change_outputs(&b, t, &scope, es, out);
    return binder_finish(&b, &out->query);
}
