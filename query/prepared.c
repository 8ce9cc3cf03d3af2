/* Prepared statements: what Parse and PREPARE leave to be run. */
#include "query/session_internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

struct prepared *find_prepared(struct session *s, const char *name)
{
    for (struct prepared *p = s->prepared; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

void let_prepared_go(struct prepared *p)
{
    if (!p || --p->refs > 0) return;
    cached_plan_free(p->plan);
    arena_free(p->arena);
    free(p->name);
    free(p);
}

enum status no_prepared(struct ctx *c, const char *name, int pos)
{
    if (!*name)
        return fail_at(c, ERR_UNDEFINED_PREPARED, pos, "unnamed prepared statement does not exist");
    return fail_at(c, ERR_UNDEFINED_PREPARED, pos, "prepared statement \"%s\" does not exist",
                   name);
}

void drop_prepared(struct session *s, const char *name)
{
    for (struct prepared **at = &s->prepared; *at;) {
        struct prepared *p = *at;
        if (name && strcmp(p->name, name) != 0) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        let_prepared_go(p);
    }
}

/* ---- describing ---- */

static void query_columns(struct ctx *c, const struct query *q, struct column_desc **cols, int *n)
{
    *cols = arena_array(c->arena, struct column_desc, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++)
        (*cols)[k] = (struct column_desc){arena_strdup(c->arena, q->outs[k].name), q->outs[k].type};
    *n = q->n_outs;
}

static void returned_columns(struct ctx *c, const struct returning *what, struct column_desc **cols,
                             int *n)
{
    if (what->n == 0) return;
    *cols = arena_array(c->arena, struct column_desc, what->n);
    for (int i = 0; i < what->n; i++)
        (*cols)[i] =
            (struct column_desc){arena_strdup(c->arena, what->names[i]), what->es[i]->type};
    *n = what->n;
}

static void one_column(struct ctx *c, const char *name, enum type type, struct column_desc **cols,
                       int *n)
{
    *cols = arena_array(c->arena, struct column_desc, 1);
    (*cols)[0] = (struct column_desc){arena_strdup(c->arena, name), type};
    *n = 1;
}

static void cursor_columns(struct session *s, const char *name, struct column_desc **cols, int *n)
{
    struct portal *p = find_portal(s, name);
    if (!p) return;
    *cols = p->cols;
    *n = p->n_cols;
}

static enum status describe_bound(struct ctx *c, struct bind_env *env, const struct ast_stmt *stmt,
                                  struct column_desc **cols, int *n_cols)
{
    struct query q;
    if (stmt->kind == S_INSERT) {
        struct array_ref ref = {.name = last_part(&stmt->name), .position = stmt->name.pos};
        struct array *a;
        struct bound_insert b;
        TRY(array_open(c, env->txn, &ref, &a));
        TRY(bind_insert(c, env, stmt, array_schema(a), &b));
        returned_columns(c, &b.row.returning, cols, n_cols);
        return OK;
    }
    if (stmt->kind == S_UPDATE || stmt->kind == S_DELETE) {
        struct bound_change b;
        TRY(bind_change(c, env, stmt, &b));
        returned_columns(c, &b.returning, cols, n_cols);
        return OK;
    }
    TRY(bind_select(c, env, stmt->select, &q));
    if (stmt->kind == S_SELECT) query_columns(c, &q, cols, n_cols);
    return OK;
}

enum status describe_statement(struct ctx *c, struct session *s, const struct ast_stmt *stmt,
                               const char *text, enum type **types, int *n_params,
                               struct column_desc **cols, int *n_cols)
{
    *n_cols = -1;
    if (!stmt) return OK;
    struct run r = {.s = s, .stmt = stmt, .text = text};
    switch (stmt->kind) {
    case S_SELECT:
    case S_INSERT:
    case S_UPDATE:
    case S_DELETE:
    case S_CREATE_ARRAY_AS: {
        TRY(refuse_failed(c, s, stmt->kind));
        TRY(need_txn(c, s));
        struct bind_env env = session_bind_env(&r);
        env.param_types = *types;
        env.n_params = *n_params;
        TRY(describe_bound(c, &env, stmt, cols, n_cols));
        *types = env.param_types;
        *n_params = env.n_params;
        return OK;
    }
    case S_EXPLAIN:
        one_column(c, "QUERY PLAN", T_TEXT, cols, n_cols);
        return OK;
    case S_SHOW:
        if (stmt->all) {
            *cols = arena_array(c->arena, struct column_desc, 3);
            (*cols)[0] = (struct column_desc){"name", T_TEXT};
            (*cols)[1] = (struct column_desc){"setting", T_TEXT};
            (*cols)[2] = (struct column_desc){"description", T_TEXT};
            *n_cols = 3;
        } else {
            one_column(c, last_part(&stmt->name), T_TEXT, cols, n_cols);
        }
        return OK;
    case S_CHECK:
        one_column(c, "tiles", T_INT64, cols, n_cols);
        return OK;
    case S_FETCH:
        cursor_columns(s, last_part(&stmt->name), cols, n_cols);
        return OK;
    case S_EXECUTE: {
        struct prepared *p = find_prepared(s, last_part(&stmt->name));
        if (p) *cols = p->cols, *n_cols = p->n_cols;
        return OK;
    }
    default:
        return OK;
    }
}

/* ---- Parse, Describe, Bind ---- */

static enum status add_prepared(struct ctx *c, struct session *s, const char *name,
                                const char *text, size_t n, struct ast_stmt *stmt,
                                struct arena *arena, enum type *types, const uint32_t *oids,
                                int n_params)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (!p) abort();
    *p = (struct prepared){.refs = 1,
                           .name = strdup(name),
                           .arena = arena,
                           .text = text,
                           .text_len = n,
                           .stmt = stmt,
                           .param_types = types,
                           .n_params = n_params};
    enum type *declared = arena_dup(arena, types, sizeof *types * (size_t)n_params);
    enum status st =
        describe_statement(c, s, stmt, text, &p->param_types, &p->n_params, &p->cols, &p->n_cols);
    /* What the client declared is what it will send, whatever the binder would like better. */
    for (int i = 0; i < p->n_params && st == OK; i++) {
        if (i < n_params && declared[i] != T_UNKNOWN) p->param_types[i] = declared[i];
        if (p->param_types[i] == T_UNKNOWN) p->param_types[i] = T_TEXT;
    }
    if (st < 0) {
        free(p->name);
        free(p);
        return st;
    }
    p->param_oids = arena_array(arena, uint32_t, p->n_params + 1);
    for (int i = 0; i < p->n_params; i++)
        p->param_oids[i] = oids && i < n_params && oids[i] ? oids[i] : type_oid(p->param_types[i]);
    p->next = s->prepared;
    s->prepared = p;
    return OK;
}

enum status session_parse(struct ctx *c, struct session *s, const char *name, const char *text,
                          size_t n, const uint32_t *param_oids, int n_params)
{
    struct arena *arena = arena_new();
    session_enter(c, s, arena, NULL);
    struct ast_script script = {0};
    char *copy = arena_strndup(arena, text, n);
    enum type *types = arena_array(arena, enum type, n_params + 1);
    enum status st = OK;
    if (!*name)
        drop_prepared(s, "");
    else if (find_prepared(s, name))
        st = fail(c, ERR_DUPLICATE_PREPARED, "prepared statement \"%s\" already exists", name);
    for (int i = 0; i < n_params && st == OK; i++) {
        types[i] = type_by_oid(param_oids[i]);
        if (types[i] == T_NONE)
            st = fail(c, ERR_UNDEFINED_OBJECT, "type with OID %u is not known for parameter $%d",
                      param_oids[i], i + 1);
    }
    if (st == OK) st = check_utf8(c, copy, n);
    if (st == OK) st = parse_script(c, copy, n, &script);
    if (st == OK && script.n > 1)
        st = fail(c, ERR_SYNTAX, "cannot insert multiple commands into a prepared statement");
    if (st == OK && script.n) st = refuse_failed(c, s, script.v[0]->kind);
    if (st == OK)
        st = add_prepared(c, s, name, copy, n, script.n ? script.v[0] : NULL, arena, types,
                          param_oids, n_params);
    session_leave(c, s);
    if (st < 0) arena_free(arena);
    return st;
}

enum status session_describe(struct ctx *c, struct session *s, const char *name,
                             const uint32_t **param_oids, int *n_params,
                             const struct column_desc **cols, int *n_cols)
{
    struct prepared *p = find_prepared(s, name);
    if (!p) return no_prepared(c, name, -1);
    if (s->failed && p->n_cols >= 0) return refuse_failed(c, s, S_SELECT);
    *param_oids = p->param_oids;
    *n_params = p->n_params;
    *cols = p->cols;
    *n_cols = p->n_cols;
    return OK;
}

void session_close_statement(struct session *s, const char *name)
{
    drop_prepared(s, name);
}
/* ---- PREPARE, EXECUTE, DEALLOCATE ---- */

/* The tree must outlive the statement: the inner text is parsed again into an arena of its own. */
static enum status prepare(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    if (find_prepared(r->s, name))
        return fail_at(c, ERR_DUPLICATE_PREPARED, stmt->name.pos,
                       "prepared statement \"%s\" already exists", name);
    struct arena *outer = c->arena, *arena = arena_new();
    struct ast_script script;
    size_t n = (size_t)(stmt->inner->end - stmt->inner->pos);
    char *text = arena_strndup(arena, r->text + stmt->inner->pos, n);
    enum type *types = arena_array(arena, enum type, stmt->n_types + 1);
    enum status st = OK;
    for (int i = 0; i < stmt->n_types && st == OK; i++)
        st = bind_type(c, stmt->types[i], &types[i]);
    bool types_read = st == OK;
    c->arena = arena;
    if (st == OK) st = parse_script(c, text, n, &script);
    if (st == OK)
        st = add_prepared(c, r->s, name, text, n, script.v[0], arena, types, NULL, stmt->n_types);
    c->arena = outer;
    if (st < 0) {
        if (types_read && c->err.position >= 0) c->err.position += stmt->inner->pos;
        arena_free(arena);
        return st;
    }
    return tag(r, "PREPARE");
}

static enum status execute(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    struct prepared *p = find_prepared(r->s, name);
    if (!p) return no_prepared(c, name, stmt->name.pos);
    if (stmt->exprs.n != p->n_params) {
        fail_at(c, ERR_SYNTAX, stmt->pos,
                "wrong number of parameters for prepared statement \"%s\"", name);
        return detail(c, "Expected %d parameters but got %d.", p->n_params, stmt->exprs.n);
    }
    struct value *params = arena_array(c->arena, struct value, p->n_params + 1);
    TRY(need_txn(c, r->s));
    struct bind_env env = session_bind_env(r);
    for (int i = 0; i < p->n_params; i++)
        TRY(bind_const(c, &env, stmt->exprs.v[i], p->param_types[i], &params[i]));
    struct run inner = {.s = r->s,
                        .cl = r->cl,
                        .stmt = p->stmt,
                        .text = p->text,
                        .params = params,
                        .n_params = p->n_params,
                        .source = p};
    p->refs++; /* what it runs may drop it */
    enum status st = run_statement(c, &inner);
    let_prepared_go(p);
    if (st < 0) c->err.position = -1; /* it is one in the text of PREPARE */
    TRY(st);
    return tag(r, "%s", inner.tag);
}

static enum status deallocate(struct ctx *c, struct run *r)
{
    if (r->stmt->all) {
        drop_prepared(r->s, NULL);
        return tag(r, "DEALLOCATE ALL");
    }
    const char *name = last_part(&r->stmt->name);
    if (!find_prepared(r->s, name)) return no_prepared(c, name, r->stmt->name.pos);
    drop_prepared(r->s, name);
    return tag(r, "DEALLOCATE");
}

enum status run_prepared(struct ctx *c, struct run *r)
{
    switch (r->stmt->kind) {
    case S_PREPARE:
        return prepare(c, r);
    case S_EXECUTE:
        return execute(c, r);
    case S_DEALLOCATE:
        return deallocate(c, r);
    case S_DECLARE:
        return declare_cursor(c, r);
    case S_CLOSE:
        return close_cursor(c, r);
    default:
        return fetch_cursor(c, r);
    }
}
