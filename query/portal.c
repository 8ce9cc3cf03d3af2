/* Portals: statements with their parameters, run whole or in parts, and cursors. */
#include "query/session_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---- */

struct portal *find_portal(struct session *s, const char *name)
{
    for (struct portal *p = s->portals; p; p = p->next)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

static void let_portal_go(struct portal *p)
{
    if (--p->refs > 0) return;
    let_prepared_go(p->source);
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
        let_portal_go(p);
    }
}

void drop_cursors(struct session *s, bool commit)
{
    for (struct portal **at = &s->portals; *at;) {
        struct portal *p = *at;
        if (commit && p->hold) p->held = true;
        if (p->held) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        let_portal_go(p);
    }
}

static struct portal *add_portal(struct session *s, const char *name)
{
    struct portal *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->refs = 1;
    p->name = strdup(name);
    p->arena = arena_new();
    p->next = s->portals;
    s->portals = p;
    return p;
}

/* ---- Bind, Describe, Close ---- */

static enum status param_value(struct ctx *c, const struct prepared *p, int i, const char *bytes,
                               int len, int format, struct value *out)
{
    enum type t = p->param_types[i];
    struct value v;
    if (len < 0) return *out = value_null(t), OK;
    bool array = format == 1 && wire_is_array(p->param_oids[i]); /* checked as it is decoded */
    if (format == 0 || (t == T_TEXT && !array)) TRY(check_utf8(c, bytes, (size_t)len));
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

/* Only what ends a failed transaction can still be run in it. */
static enum status bindable(struct ctx *c, struct session *s, const struct prepared *p,
                            const char *portal, int n)
{
    if (p->stmt) TRY(refuse_failed(c, s, p->stmt->kind));
    if (n != p->n_params)
        return fail(
            c, ERR_PROTOCOL,
            "bind message supplies %d parameters, but prepared statement \"%s\" requires %d", n,
            p->name, p->n_params);
    if (!*portal)
        drop_portal(s, "");
    else if (find_portal(s, portal))
        return fail(c, ERR_DUPLICATE_CURSOR, "cursor \"%s\" already exists", portal);
    return OK;
}

enum status session_bind(struct ctx *c, struct session *s, const char *portal,
                         const char *statement, const char *const *values, const int *lens,
                         const int16_t *formats, int n)
{
    struct prepared *p = find_prepared(s, statement);
    if (!p) return no_prepared(c, statement, -1);
    TRY(bindable(c, s, p, portal, n));
    struct portal *po = add_portal(s, portal);
    session_enter(c, s, po->arena, NULL);
    p->refs++;
    po->source = p;
    po->stmt = p->stmt;
    po->text = p->text;
    po->cols = p->cols;
    po->n_cols = p->n_cols;
    po->n_params = n;
    po->params = arena_array(po->arena, struct value, n + 1);
    enum status st = OK;
    for (int i = 0; i < n && st == OK; i++)
        st = param_value(c, p, i, values[i], lens[i], formats[i], &po->params[i]);
    session_leave(c, s);
    if (st < 0) drop_portal(s, portal);
    return st;
}

enum status session_describe_portal(struct ctx *c, struct session *s, const char *portal,
                                    const struct column_desc **cols, int *n_cols)
{
    struct portal *p = find_portal(s, portal);
    if (!p) return fail(c, ERR_UNDEFINED_CURSOR, "portal \"%s\" does not exist", portal);
    if (s->failed && p->n_cols >= 0) return refuse_failed(c, s, S_SELECT);
    *cols = p->cols;
    *n_cols = p->n_cols;
    return OK;
}

const char *session_portal_text(struct session *s, const char *portal)
{
    struct portal *p = find_portal(s, portal);
    return p ? p->text : NULL;
}

void session_close_portal(struct session *s, const char *name)
{
    drop_portal(s, name);
}

/* ---- Execute ---- */

/* The client was told what rows look like; the array may have changed since. */
static enum status same_columns(struct ctx *c, const struct portal *p,
                                const struct column_desc *cols, int n)
{
    bool same = n == p->n_cols;
    for (int i = 0; i < n && same; i++)
        same = cols[i].type == p->cols[i].type;
    return same ? OK : fail(c, ERR_UNSUPPORTED, "cached plan must not change result type");
}

/* An Execute's client: all but the column description goes through. */
struct relay {
    struct client client;
    struct client *to;
    const struct portal *portal;
};

static enum status relay_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                                 int n)
{
    const struct portal *p = ((struct relay *)cl)->portal;
    return same_columns(c, p, cols, n);
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
static struct relay relay_to(struct client *to, const struct portal *p)
{
    return (struct relay){.to = to,
                          .portal = p,
                          .client = {.columns = relay_columns,
                                     .rows = relay_rows,
                                     .notice = relay_notice,
                                     .copy_in_begin = relay_in_begin,
                                     .copy_in_read = relay_in_read,
                                     .copy_out_begin = relay_out_begin,
                                     .copy_out_write = relay_out_write,
                                     .copy_out_end = relay_out_end}};
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
                    .n_params = p->n_params,
                    .source = p->source};
    enum status st = run_statement(c, &r);
    if (st == OK && p->source) st = same_columns(c, p, k.cols, k.n_cols);
    if (st < 0) {
        rowset_free(k.rows);
        return st;
    }
    p->rows = k.rows;
    snprintf(p->tag, sizeof p->tag, "%s", r.tag);
    return OK;
}

/* The tag of the whole with the number of rows of this part. */
static void part_tag(const struct portal *p, int64_t n, char *out, size_t cap)
{
    size_t len = strlen(p->tag), end = len;
    while (end > 0 && isdigit((unsigned char)p->tag[end - 1]))
        end--;
    if (end == len)
        snprintf(out, cap, "%s", p->tag);
    else
        snprintf(out, cap, "%.*s%lld", (int)end, p->tag, (long long)n);
}

static enum status execute_part(struct ctx *c, struct session *s, struct portal *p,
                                int64_t max_rows, struct client *cl, bool *suspended)
{
    char tag[sizeof p->tag];
    if (!p->started) TRY(materialise(c, s, p, cl));
    p->started = true;
    int64_t left = p->rows ? rowset_rows(p->rows) - p->at : 0;
    int64_t n = max_rows > 0 && max_rows < left ? max_rows : left;
    if (p->rows) TRY(send_rowset(c, cl, p->rows, rowset_columns(p->rows), p->at, p->at + n));
    p->at += n;
    *suspended = max_rows > 0 && n == max_rows;
    if (*suspended) return OK;
    part_tag(p, n, tag, sizeof tag);
    return cl->complete(c, cl, tag);
}

static enum status execute_whole(struct ctx *c, struct session *s, struct portal *p,
                                 struct client *cl)
{
    if (!p->stmt) return cl->complete(c, cl, "");
    if (p->started) return fail(c, ERR_NOT_IN_STATE, "portal \"%s\" cannot be run", p->name);
    struct relay relay = relay_to(cl, p);
    struct run r = {.s = s,
                    .cl = &relay.client,
                    .stmt = p->stmt,
                    .text = p->text,
                    .params = p->params,
                    .n_params = p->n_params,
                    .source = p->source};
    p->started = true;
    TRY(run_statement(c, &r));
    snprintf(p->tag, sizeof p->tag, "%s", r.tag);
    return cl->complete(c, cl, p->tag);
}

enum status session_execute(struct ctx *c, struct session *s, const char *portal, int64_t max_rows,
                            struct client *cl, bool *suspended)
{
    struct portal *p = find_portal(s, portal);
    *suspended = false;
    if (!p) return fail(c, ERR_UNDEFINED_CURSOR, "portal \"%s\" does not exist", portal);
    struct arena *arena = arena_new();
    session_enter(c, s, arena, cl);
    p->refs++; /* what it runs may close it */
    enum status st;
    if ((max_rows > 0 || p->started) && p->n_cols >= 0)
        st = execute_part(c, s, p, max_rows, cl, suspended);
    else
        st = execute_whole(c, s, p, cl);
    let_portal_go(p);
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

/* ---- cursors ---- */

enum status declare_cursor(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    if (!r->s->in_block && !stmt->hold)
        return fail_at(c, ERR_NO_TRANSACTION, stmt->pos,
                       "DECLARE CURSOR can only be used in transaction blocks");
    if (find_portal(r->s, name))
        return fail_at(c, ERR_DUPLICATE_CURSOR, stmt->name.pos, "cursor \"%s\" already exists",
                       name);
    struct portal *p = add_portal(r->s, name);
    struct arena *outer = c->arena;
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
    p->stmt = NULL; /* tree and text go with this statement */
    p->text = NULL;
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
    else if (!strcmp(dir, "absolute") && count < 0)
        *lo = n + count < 0 ? 0 : n + count, *hi = n + count < 0 ? 0 : *lo + 1;
    else if (!strcmp(dir, "last"))
        *lo = n > 0 ? n - 1 : 0, *hi = n;
    else if (!strcmp(dir, "relative") && count > 0)
        *lo = p->at + count - 1, *hi = p->at + count;
    else if ((!strcmp(dir, "next") || !strcmp(dir, "forward")) && count >= 0)
        *hi = count > n - p->at ? n : p->at + count;
    else {
        fail_at(c, ERR_UNSUPPORTED, stmt->pos, "cursors can only scan forward");
        return hint(c, "FETCH n, FETCH ALL, FETCH FIRST and FETCH ABSOLUTE n are there.");
    }
    if (*lo > n) *lo = n;
    if (*hi > n) *hi = n;
    if (*hi < *lo) *hi = *lo;
    return OK;
}

enum status fetch_cursor(struct ctx *c, struct run *r)
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
        TRY(send_rowset(c, r->cl, p->rows, rowset_columns(p->rows), lo, hi));
    }
    p->at = hi;
    return tag(r, "%s %lld", move ? "MOVE" : "FETCH", (long long)(hi - lo));
}

enum status close_cursor(struct ctx *c, struct run *r)
{
    const char *name = r->stmt->all ? NULL : last_part(&r->stmt->name);
    if (name && !find_portal(r->s, name))
        return fail_at(c, ERR_UNDEFINED_CURSOR, r->stmt->name.pos, "cursor \"%s\" does not exist",
                       name);
    drop_portal(r->s, name);
    return tag(r, name ? "CLOSE CURSOR" : "CLOSE CURSOR ALL");
}
