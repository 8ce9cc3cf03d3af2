/* Prepared statements, portals and cursors: statements that wait, and results that are fetched in
 * parts. */
#include "query/session_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the two lists ---- */

struct prepared *find_prepared(struct session *s, const char *name)
{
    for (struct prepared *p = s->prepared; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

struct portal *find_portal(struct session *s, const char *name)
{
    for (struct portal *p = s->portals; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
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
        arena_free(p->arena);
        free(p->name);
        free(p);
    }
}

static void free_portal(struct portal *p)
{
    rowset_free(p->rows);
    arena_free(p->arena);
    free(p->name);
    free(p);
}

void drop_portal(struct session *s, const char *name)
{
    for (struct portal **at = &s->portals; *at;) {
        struct portal *p = *at;
        if (name && strcmp(p->name, name) != 0) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free_portal(p);
    }
}

void drop_cursors(struct session *s)
{
    for (struct portal **at = &s->portals; *at;) {
        struct portal *p = *at;
        if (p->hold && p->rows) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free_portal(p);
    }
}

static struct portal *add_portal(struct session *s, const char *name)
{
    struct portal *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->name = strdup(name);
    p->arena = arena_new();
    p->next = s->portals;
    s->portals = p;
    return p;
}

/* ---- describing ---- */

static void query_columns(struct ctx *c, const struct query *q, struct column_desc **cols, int *n)
{
    *cols = arena_array(c->arena, struct column_desc, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++)
        (*cols)[k] = (struct column_desc){arena_strdup(c->arena, q->outs[k].name), q->outs[k].type};
    *n = q->n_outs;
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
        return bind_insert(c, env, stmt, array_schema(a), &b);
    }
    if (stmt->kind == S_UPDATE || stmt->kind == S_DELETE) {
        struct bound_change b;
        return bind_change(c, env, stmt, &b);
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
        if (s->failed)
            return fail(
                c, ERR_FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block");
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
                                struct arena *arena, enum type *types, int n_params)
{
    struct prepared *p = calloc(1, sizeof *p);
    if (!p) abort();
    *p = (struct prepared){.name = strdup(name),
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
        p->param_oids[i] = type_oid(p->param_types[i]);
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
    if (st == OK) st = parse_script(c, copy, n, &script);
    if (st == OK && script.n > 1)
        st = fail(c, ERR_SYNTAX, "cannot insert multiple commands into a prepared statement");
    if (st == OK)
        st = add_prepared(c, s, name, copy, n, script.n ? script.v[0] : NULL, arena, types,
                          n_params);
    session_leave(c, s);
    if (st < 0) arena_free(arena);
    return st;
}

enum status session_describe(struct ctx *c, struct session *s, const char *name,
                             const uint32_t **param_oids, int *n_params,
                             const struct column_desc **cols, int *n_cols)
{
    struct prepared *p = find_prepared(s, name);
    if (!p)
        return fail(c, ERR_UNDEFINED_PREPARED, "prepared statement \"%s\" does not exist", name);
    *param_oids = p->param_oids;
    *n_params = p->n_params;
    *cols = p->cols;
    *n_cols = p->n_cols;
    return OK;
}

static enum status param_value(struct ctx *c, const struct prepared *p, int i, const char *bytes,
                               int len, int format, struct value *out)
{
    enum type t = p->param_types[i];
    struct value v;
    if (len < 0) return *out = value_null(t), OK;
    if (format == 0)
        TRY(value_parse(c, t, (struct text){bytes, len}, &v));
    else if (format == 1) {
        struct value wire;
        TRY(wire_get(c, p->param_oids[i], bytes, (size_t)len, &wire));
        TRY(value_cast(c, &wire, t, &v));
    } else
        return fail(c, ERR_PROTOCOL, "unsupported format code: %d", format);
    *out = value_dup(c->arena, &v);
    return OK;
}

enum status session_bind(struct ctx *c, struct session *s, const char *portal,
                         const char *statement, const char *const *values, const int *lens,
                         const int16_t *formats, int n)
{
    struct prepared *p = find_prepared(s, statement);
    if (!p)
        return fail(c, ERR_UNDEFINED_PREPARED, "prepared statement \"%s\" does not exist",
                    statement);
    if (n != p->n_params)
        return fail(
            c, ERR_PROTOCOL,
            "bind message supplies %d parameters, but prepared statement \"%s\" requires %d", n,
            statement, p->n_params);
    if (!*portal)
        drop_portal(s, "");
    else if (find_portal(s, portal))
        return fail(c, ERR_UNDEFINED_CURSOR, "cursor \"%s\" already exists", portal);
    struct portal *po = add_portal(s, portal);
    c->arena = po->arena;
    po->stmt = p->stmt;
    po->text = p->text;
    po->cols = p->cols;
    po->n_cols = p->n_cols;
    po->n_params = n;
    po->params = arena_array(po->arena, struct value, n + 1);
    enum status st = OK;
    for (int i = 0; i < n && st == OK; i++)
        st = param_value(c, p, i, values[i], lens[i], formats[i], &po->params[i]);
    if (st < 0) drop_portal(s, portal);
    c->arena = NULL;
    return st;
}

enum status session_describe_portal(struct ctx *c, struct session *s, const char *portal,
                                    const struct column_desc **cols, int *n_cols)
{
    struct portal *p = find_portal(s, portal);
    if (!p) return fail(c, ERR_UNDEFINED_CURSOR, "portal \"%s\" does not exist", portal);
    *cols = p->cols;
    *n_cols = p->n_cols;
    return OK;
}

void session_close_statement(struct session *s, const char *name)
{
    drop_prepared(s, name);
}
void session_close_portal(struct session *s, const char *name)
{
    drop_portal(s, name);
}

/* ---- Execute ---- */

/* An Execute's client: all but the column description goes through. */
struct relay {
    struct client client;
    struct client *to;
};

static enum status relay_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                                 int n)
{
    (void)c, (void)cl, (void)cols, (void)n;
    return OK;
}
static enum status relay_rows(struct ctx *c, struct client *cl, const struct column *cols,
                              int n_cols, const uint64_t *present, int64_t n)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->rows(c, to, cols, n_cols, present, n);
}
static void relay_notice(void *self, const char *severity, const char *sqlstate,
                         const char *message)
{
    struct client *to = ((struct relay *)self)->to;
    if (to->notice) to->notice(to, severity, sqlstate, message);
}
static enum status relay_in_begin(struct ctx *c, struct client *cl, int n_cols, bool binary)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->copy_in_begin(c, to, n_cols, binary);
}
static enum status relay_in_read(struct ctx *c, struct client *cl, const char **bytes, size_t *n)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->copy_in_read(c, to, bytes, n);
}
static enum status relay_out_begin(struct ctx *c, struct client *cl, int n_cols, bool binary)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->copy_out_begin(c, to, n_cols, binary);
}
static enum status relay_out_write(struct ctx *c, struct client *cl, const void *bytes, size_t n)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->copy_out_write(c, to, bytes, n);
}
static enum status relay_out_end(struct ctx *c, struct client *cl)
{
    struct client *to = ((struct relay *)cl)->to;
    return to->copy_out_end(c, to);
}
static void relay_parameter(struct client *cl, const char *name, const char *value)
{
    struct client *to = ((struct relay *)cl)->to;
    if (to->parameter) to->parameter(to, name, value);
}

static struct relay relay_to(struct client *to)
{
    return (struct relay){.to = to,
                          .client = {.columns = relay_columns,
                                     .rows = relay_rows,
                                     .notice = relay_notice,
                                     .copy_in_begin = relay_in_begin,
                                     .copy_in_read = relay_in_read,
                                     .copy_out_begin = relay_out_begin,
                                     .copy_out_write = relay_out_write,
                                     .copy_out_end = relay_out_end,
                                     .parameter = relay_parameter}};
}

/* Runs the portal's statement and keeps its rows. */
static enum status materialise(struct ctx *c, struct session *s, struct portal *p,
                               struct client *cl)
{
    struct keeper k;
    keeper_init(&k, cl, db_tmp(s->engine->db));
    struct run r = {.s = s,
                    .cl = &k.client,
                    .stmt = p->stmt,
                    .text = p->text,
                    .params = p->params,
                    .n_params = p->n_params};
    enum status st = run_statement(c, &r);
    if (st < 0) {
        rowset_free(k.rows);
        return st;
    }
    p->rows = k.rows;
    snprintf(p->tag, sizeof p->tag, "%s", r.tag);
    return OK;
}

static enum status execute_part(struct ctx *c, struct session *s, struct portal *p,
                                int64_t max_rows, struct client *cl, bool *suspended)
{
    if (!p->started) TRY(materialise(c, s, p, cl));
    p->started = true;
    int64_t left = p->rows ? rowset_rows(p->rows) - p->at : 0;
    int64_t n = max_rows > 0 && max_rows < left ? max_rows : left;
    if (p->rows) TRY(send_rowset(c, cl, p->rows, p->at, p->at + n));
    p->at += n;
    *suspended = max_rows > 0 && n == max_rows;
    if (*suspended) return OK;
    return cl->complete(c, cl, p->tag);
}

static enum status execute_whole(struct ctx *c, struct session *s, struct portal *p,
                                 struct client *cl)
{
    if (!p->stmt) return cl->complete(c, cl, "");
    struct relay relay = relay_to(cl);
    struct run r = {.s = s,
                    .cl = &relay.client,
                    .stmt = p->stmt,
                    .text = p->text,
                    .params = p->params,
                    .n_params = p->n_params};
    /* What ends a transaction drops its portals, this one too: nothing of p is used after
     * run_statement. */
    bool reads = p->n_cols >= 0;
    TRY(run_statement(c, &r));
    /* A change outside BEGIN is published before the client hears that it is done. */
    if (!s->in_block && !reads) TRY(end_txn(c, s, true));
    return cl->complete(c, cl, r.tag);
}

enum status session_execute(struct ctx *c, struct session *s, const char *portal, int64_t max_rows,
                            struct client *cl, bool *suspended)
{
    struct portal *p = find_portal(s, portal);
    *suspended = false;
    if (!p) return fail(c, ERR_UNDEFINED_CURSOR, "portal \"%s\" does not exist", portal);
    struct arena *arena = arena_new();
    session_enter(c, s, arena, cl);
    enum status st;
    if ((max_rows > 0 || p->started) && p->n_cols >= 0)
        st = execute_part(c, s, p, max_rows, cl, suspended);
    else
        st = execute_whole(c, s, p, cl);
    session_leave(c, s);
    arena_free(arena);
    return st;
}

enum status session_sync(struct ctx *c, struct session *s)
{
    if (s->in_block) return OK;
    struct arena *arena = arena_new();
    session_enter(c, s, arena, NULL);
    enum status st = end_txn(c, s, true);
    session_leave(c, s);
    arena_free(arena);
    return st;
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
    c->arena = arena;
    if (st == OK) st = parse_script(c, text, n, &script);
    if (st == OK)
        st = add_prepared(c, r->s, name, text, n, script.v[0], arena, types, stmt->n_types);
    c->arena = outer;
    if (st < 0) {
        if (c->err.position >= 0) c->err.position += stmt->inner->pos;
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
    if (!p)
        return fail_at(c, ERR_UNDEFINED_PREPARED, stmt->name.pos,
                       "prepared statement \"%s\" does not exist", name);
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
                        .n_params = p->n_params};
    TRY(run_statement(c, &inner));
    return tag(r, "%s", inner.tag);
}

static enum status deallocate(struct ctx *c, struct run *r)
{
    if (r->stmt->all) {
        drop_prepared(r->s, NULL);
        return tag(r, "DEALLOCATE ALL");
    }
    const char *name = last_part(&r->stmt->name);
    if (!find_prepared(r->s, name))
        return fail_at(c, ERR_UNDEFINED_PREPARED, r->stmt->name.pos,
                       "prepared statement \"%s\" does not exist", name);
    drop_prepared(r->s, name);
    return tag(r, "DEALLOCATE");
}

/* ---- cursors ---- */

static enum status declare(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    if (!r->s->in_block && !stmt->hold)
        return fail_at(c, ERR_NO_TRANSACTION, stmt->pos,
                       "DECLARE CURSOR can only be used in transaction blocks");
    if (find_portal(r->s, name))
        return fail_at(c, ERR_UNDEFINED_CURSOR, stmt->name.pos, "cursor \"%s\" already exists",
                       name);
    struct portal *p = add_portal(r->s, name);
    struct arena *outer = c->arena;
    p->cursor = true;
    p->hold = stmt->hold;
    p->stmt = stmt->inner;
    p->text = r->text;
    c->arena = p->arena;
    enum type *types = NULL;
    int n_params = 0;
    enum status st =
        describe_statement(c, r->s, stmt->inner, r->text, &types, &n_params, &p->cols, &p->n_cols);
    c->arena = outer;
    if (st == OK) st = materialise(c, r->s, p, r->cl);
    p->started = true;
    p->stmt = NULL; /* the tree goes with this statement */
    if (st < 0) {
        drop_portal(r->s, name);
        return st;
    }
    return tag(r, "DECLARE CURSOR");
}

/* The rows [lo, hi) that a FETCH takes and where it leaves the cursor. Backward is not offered. */
static enum status fetch_range(struct ctx *c, const struct ast_stmt *stmt, const struct portal *p,
                               int64_t *lo, int64_t *hi)
{
    int64_t n = rowset_rows(p->rows), count = stmt->has_count ? stmt->count : 1;
    const char *dir = stmt->direction ? stmt->direction : "next";
    *lo = p->at;
    if (!strcmp(dir, "all") || (!strcmp(dir, "forward") && stmt->all))
        *hi = n;
    else if (!strcmp(dir, "first"))
        *lo = 0, *hi = 1;
    else if (!strcmp(dir, "absolute") && count > 0)
        *lo = count - 1, *hi = count;
    else if (!strcmp(dir, "last"))
        *lo = n > 0 ? n - 1 : 0, *hi = n;
    else if ((!strcmp(dir, "next") || !strcmp(dir, "forward") || !strcmp(dir, "relative")) &&
             count >= 0)
        *hi = p->at + count;
    else {
        fail_at(c, ERR_UNSUPPORTED, stmt->pos, "cursors can only scan forward");
        return hint(c, "FETCH n, FETCH ALL, FETCH FIRST and FETCH ABSOLUTE n are there.");
    }
    if (*lo > n) *lo = n;
    if (*hi > n) *hi = n;
    if (*hi < *lo) *hi = *lo;
    return OK;
}

static enum status fetch(struct ctx *c, struct run *r)
{
    const char *name = last_part(&r->stmt->name);
    struct portal *p = find_portal(r->s, name);
    bool move = r->stmt->kind == S_MOVE;
    int64_t lo, hi;
    if (!p || !p->rows)
        return fail_at(c, ERR_UNDEFINED_CURSOR, r->stmt->name.pos, "cursor \"%s\" does not exist",
                       name);
    TRY(fetch_range(c, r->stmt, p, &lo, &hi));
    if (!move) {
        TRY(r->cl->columns(c, r->cl, p->cols, p->n_cols));
        TRY(send_rowset(c, r->cl, p->rows, lo, hi));
    }
    p->at = hi;
    return tag(r, "%s %lld", move ? "MOVE" : "FETCH", (long long)(hi - lo));
}

static enum status close_cursor(struct ctx *c, struct run *r)
{
    const char *name = r->stmt->all ? NULL : last_part(&r->stmt->name);
    if (name && !find_portal(r->s, name))
        return fail_at(c, ERR_UNDEFINED_CURSOR, r->stmt->name.pos, "cursor \"%s\" does not exist",
                       name);
    drop_portal(r->s, name);
    return tag(r, name ? "CLOSE CURSOR" : "CLOSE CURSOR ALL");
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
        return declare(c, r);
    case S_CLOSE:
        return close_cursor(c, r);
    default:
        return fetch(c, r);
    }
}
