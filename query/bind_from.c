/* Which relation does a FROM item mean: an array, a view, a WITH query, a sub-query, a join? */
#include "query/bind_matrix.h"
#include "query/parse.h"

enum { VIEW_DEPTH_MAX = 32, VIEW_COST = 100, EXPANDED_MAX = 100000 };

static const char *last_part(const struct ast_name *n)
{
    return n->part[n->n - 1];
}

/* ---- arrays ---- */

enum status scope_of_array(struct binder *b, struct array *a, const char *item, int pos,
                           struct scope *out)
{
    const struct schema *s = array_schema(a);
    struct plan *p = plan_scan(b->c, a, pos);
    scope_init(b, out, p, item, s->n_dims + s->n_attrs);
    for (int d = 0; d < s->n_dims; d++) {
        struct scope_col *col = scope_add(out, s->dims[d].name, true, d, s->dims[d].axis.type);
        if (s->is_table) col->in_star = false;
    }
    for (int i = 0; i < s->n_attrs; i++)
        scope_add(out, s->attrs[i].name, false, i, s->attrs[i].type);
    if (s->is_table) p->rel.dims[0].name = NULL;
    return OK;
}

static enum status history(struct binder *b, const struct ast_from *f, struct array_ref *ref)
{
    struct value v;
    bool known;
    if (f->version) {
        TRY(bind_value(b, f->version, "VERSION", T_INT64, &v, &known));
        if (!known) return OK;
        if (v.null || !type_is_integer(v.type) || v.i < 1)
            return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, f->version->pos),
                           "a version is a number from 1");
        ref->version = v.i;
    }
    if (f->as_of) {
        TRY(bind_value(b, f->as_of, "AS OF", T_TIMESTAMP, &v, &known));
        if (!known) return OK;
        TRY(at(b->c, value_cast(b->c, &v, T_TIMESTAMP, &v), place(b, f->as_of->pos)));
        if (v.null)
            return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, f->as_of->pos),
                           "the time of AS OF cannot be NULL");
        ref->as_of_us = v.i;
    }
    return OK;
}

/* ---- sub-queries ---- */

static bool starts_afresh(const struct rel *r)
{
    for (int d = 0; d < r->n_dims; d++) {
        const struct rel_dim *dim = &r->dims[d];
        if (!dim_known(dim) || !dim->axis) continue;
        if (dim->stride != 1 || dim->lo != 0 || dim->axis->lo != 0 || dim->hi != dim->axis->hi)
            return false;
    }
    return true;
}

enum status start_afresh(struct binder *b, struct plan *in, struct plan **out)
{
    *out = in;
    if (starts_afresh(&in->rel)) return OK;
    struct plan *p = plan_over(b->c, P_REBASE, in->pos, in);
    p->region.n_dims = in->rel.n_dims;
    for (int d = 0; d < in->rel.n_dims; d++) {
        struct rel_dim *dim = &p->rel.dims[d];
        p->region.lo[d] = dim->lo;
        p->region.hi[d] = dim->hi;
        if (!dim_known(dim)) continue;
        int64_t n = dim->hi > dim->lo ? (dim->hi - dim->lo + dim->stride - 1) / dim->stride : 0;
        if (dim->axis) {
            struct axis *a = arena_new_of(b->c->arena, struct axis);
            TRY(axis_rebase(b->c, dim->axis, dim->lo, n, dim->stride, a));
            dim->axis = a;
        }
        dim->tile = dim->tile > dim->stride ? dim->tile / dim->stride : 1;
        dim->lo = 0;
        dim->hi = n;
        dim->stride = 1;
    }
    *out = p;
    return OK;
}

static enum status rename_columns(struct binder *b, int pos, const char *item,
                                  const struct ast_names *names, struct scope *s)
{
    if (names->n > s->n_cols)
        return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, pos),
                       "table \"%s\" has %d columns available but %d columns specified",
                       item ? item : "?", s->n_cols, names->n);
    for (int i = 0; i < names->n; i++)
        s->cols[i].name = names->v[i];
    return OK;
}

static enum status scope_of_query(struct binder *b, struct query *q, const char *item,
                                  struct scope *out)
{
    struct plan *p;
    TRY(start_afresh(b, q->root, &p));
    scope_init(b, out, p, item, q->n_outs);
    for (int i = 0; i < q->n_outs; i++)
        scope_add(out, q->outs[i].name, q->outs[i].is_dim, q->outs[i].index, q->outs[i].type);
    return OK;
}

static enum status bind_sub_select(struct binder *b, const struct ast_select *s,
                                   const struct scope *outer, const char *item, struct scope *out)
{
    struct query q = {0};
    TRY(bind_query(b, s, outer, WANT_ARRAY, &q));
    return scope_of_query(b, &q, item, out);
}

/* ---- views ---- */

/* The names in ("a", "b") before a view's text; returns where the text starts. */
static const char *view_columns(struct ctx *c, const char *text, struct ast_names *out)
{
    int cap = 1;
    *out = (struct ast_names){0};
    if (strncmp(text, "(\"", 2) != 0) return text;
    for (const char *p = text; *p && *p != ')'; p++)
        cap += *p == ',';
    out->v = arena_array(c->arena, const char *, cap);
    const char *p = text + 1;
    while (*p && *p != ')') {
        if (*p++ != '"') continue;
        const char *end = strchr(p, '"');
        if (!end) break;
        if (out->n < cap) out->v[out->n++] = arena_strndup(c->arena, p, (size_t)(end - p));
        p = end + 1;
    }
    return *p ? p + 1 : p;
}

/* A view or WITH query is bound each time that it is named. */
static enum status go_deeper(struct binder *b, const char *what, const char *name, int pos)
{
    b->shared->n_expanded += VIEW_COST;
    if (++b->depth <= VIEW_DEPTH_MAX && b->shared->n_expanded <= EXPANDED_MAX) return OK;
    return fail_at(b->c, ERR_TOO_COMPLEX, pos, "%s \"%s\" refers to itself, or is nested too deep",
                   what, name);
}

static enum status bind_view_text(struct binder *b, const char *text, const char *item,
                                  struct scope *out)
{
    struct ast_names columns;
    struct ast_script script;
    const char *start = view_columns(b->c, text, &columns);
    TRY(parse_script(b->c, start, strlen(start), &script));
    if (script.n != 1 || script.v[0]->kind != S_SELECT)
        return fail(b->c, ERR_CORRUPT, "the stored text of view \"%s\" is no query", item);
    TRY(bind_sub_select(b, script.v[0]->select, NULL, item, out));
    return rename_columns(b, b->fixed_pos, item, &columns, out);
}

/* Whatever is wrong in a view is wrong where the view is named. */
static enum status bind_view(struct binder *b, const struct ast_from *f, const char *text,
                             struct scope *out)
{
    const char *name = last_part(&f->name);
    struct binder inner = *b;
    inner.ctes = NULL;
    inner.fixed_pos = place(b, f->pos);
    if (f->version || f->as_of)
        return fail_at(b->c, ERR_WRONG_OBJECT, inner.fixed_pos,
                       "\"%s\" is a view: only arrays have versions", name);
    TRY(go_deeper(&inner, "view", name, inner.fixed_pos));
    enum status st = bind_view_text(&inner, text, f->alias ? f->alias : name, out);
    if (st < 0) b->c->err.position = inner.fixed_pos;
    return st;
}

/* ---- WITH ---- */

static bool names_cte(const struct ast_from *f, const struct cte *cte)
{
    if (f->name.n != 1) return false;
    if (cte->ast->name) return !strcmp(cte->ast->name, f->name.part[0]);
    for (int i = 0; i < cte->ast->targets.n; i++)
        if (!strcmp(cte->ast->targets.v[i], f->name.part[0])) return true;
    return false;
}

static enum status bind_cte(struct binder *b, const struct ast_from *f, struct cte *cte,
                            struct scope *out)
{
    const struct ast_cte *ast = cte->ast;
    struct binder inner = *b;
    inner.ctes = cte->next;
    cte->used = true;
    if (ast->call) {
        int i = 0;
        while (strcmp(ast->targets.v[i], f->name.part[0]) != 0)
            i++;
        struct ast_from named = *f;
        if (!named.alias) named.alias = ast->targets.v[i];
        return bind_linalg_result(&inner, &named, cte, i, out);
    }
    if (ast->stmt->kind != S_SELECT)
        return not_yet(b, ast->pos, "statements in WITH that change data are");
    if (f->version || f->as_of)
        return fail_at(b->c, ERR_WRONG_OBJECT, place(b, f->pos),
                       "\"%s\" is a WITH query: only arrays have versions", ast->name);
    TRY(go_deeper(&inner, "WITH query", ast->name, place(b, f->pos)));
    const char *item = f->alias ? f->alias : ast->name;
    TRY(bind_sub_select(&inner, ast->stmt->select, cte->outer, item, out));
    return rename_columns(b, ast->pos, item, &ast->columns, out);
}

enum status check_cte(struct binder *b, struct cte *cte)
{
    struct ast_from f = {.kind = FROM_NAME, .pos = cte->ast->pos};
    struct scope unused;
    int n_subqueries = b->shared->n_subqueries;
    if (cte->ast->call) f.name = (struct ast_name){.n = 1, .part = cte->ast->targets.v};
    TRY(bind_cte(b, &f, cte, &unused));
    b->shared->n_subqueries = n_subqueries;
    return OK;
}

/* ---- names ---- */

static enum status no_catalog(struct binder *b, const struct ast_from *f, const char *schema)
{
    return not_yet(b, f->pos, "the catalog %s is", schema);
}

static enum status bind_named(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    const char *name = last_part(&f->name);
    const char *schema = f->name.n > 1 ? f->name.part[f->name.n - 2] : NULL;
    if (schema && !strcmp(schema, "sys")) return bind_sys(b, f, name, out);
    if (schema && (!strcmp(schema, "pg_catalog") || !strcmp(schema, "information_schema")))
        return no_catalog(b, f, schema);
    if (schema && strcmp(schema, "public") != 0)
        return fail_at(c, ERR_UNDEFINED_TABLE, place(b, f->pos),
                       "relation \"%s.%s\" does not exist", schema, name);
    for (struct cte *cte = b->ctes; cte && !schema; cte = cte->next)
        if (names_cte(f, cte)) return bind_cte(b, f, cte, out);
    const char *text;
    TRY(object_get(c, b->env->txn, OBJECT_VIEW, name, &text));
    if (text) return bind_view(b, f, text, out);
    struct array_ref ref = {.name = name, .position = place(b, f->pos)};
    struct array *a;
    TRY(history(b, f, &ref));
    enum status st = array_open(c, b->env->txn, &ref, &a);
    if (st == ERR_UNDEFINED_TABLE && !strncmp(name, "pg_", 3)) {
        ctx_clear(c);
        return no_catalog(b, f, "pg_catalog");
    }
    TRY(at(c, st, ref.position));
    return scope_of_array(b, a, f->alias ? f->alias : name, f->pos, out);
}

/* ---- any item ---- */

/* (a JOIN b) AS x: one item of all columns. */
static void as_one_item(struct ctx *c, struct scope *s, const char *name)
{
    s->n_items = 1;
    s->items = arena_array(c->arena, const char *, 1);
    s->items[0] = name;
    s->froms = arena_array(c->arena, const struct ast_from *, 1);
    for (int i = 0; i < s->n_cols; i++)
        s->cols[i].item = 0;
}

static enum status bind_joined(struct binder *b, const struct ast_from *f,
                               const struct scope *outer, struct scope *out)
{
    struct scope left, right;
    TRY(bind_from(b, f->left, outer, &left));
    TRY(bind_from(b, f->right, outer, &right));
    TRY(bind_join(b, f, &left, &right, out));
    if (f->alias) as_one_item(b->c, out, f->alias);
    return OK;
}

static enum status bind_item(struct binder *b, const struct ast_from *f, const struct scope *outer,
                             struct scope *out)
{
    if (f->lateral) return not_yet(b, f->pos, "LATERAL is");
    switch (f->kind) {
    case FROM_NAME:
        return bind_named(b, f, out);
    case FROM_SELECT:
        return bind_sub_select(b, f->select, outer, f->alias, out);
    case FROM_FUNCTION:
        return bind_from_function(b, f, out);
    case FROM_GRID:
        return bind_grid(b, f, out);
    case FROM_JOIN:
        return bind_joined(b, f, outer, out);
    case FROM_MATMUL:
        return bind_matmul(b, f, out);
    case FROM_ROWS_FROM:
        return not_yet(b, f->pos, "ROWS FROM is");
    }
    return fail(b->c, ERR_INTERNAL, "a FROM item of unknown kind %d", (int)f->kind);
}

enum status bind_from(struct binder *b, const struct ast_from *f, const struct scope *outer,
                      struct scope *out)
{
    TRY(bind_item(b, f, outer, out));
    if (f->column_types) return not_yet(b, f->pos, "column definitions of a FROM item are");
    TRY(rename_columns(b, f->pos, f->alias, &f->columns, out));
    if (f->has_axes && f->kind != FROM_GRID) TRY(bind_slice(b, &f->axes, f->keep_dims, out));
    out->outer = outer;
    if (out->n_items == 1) out->froms[0] = f;
    return OK;
}
