/* CREATE, ALTER, DROP and COMMENT. */
#include "query/dependents.h"
#include "query/materialized.h"
#include "query/schedule.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- CREATE ---- */

static bool exists(struct ctx *c, struct run *r, const char *name)
{
    struct ctx quiet = *c;
    struct array_ref ref = {.name = name};
    struct array *there;
    ctx_clear(&quiet);
    return array_open(&quiet, r->s->txn, &ref, &there) == OK;
}

/* ---- CHECK ---- */

/* A name for a constraint without one, as PostgreSQL makes it, that no other has. */
static const char *constraint_name(struct ctx *c, const char *array, const char *column,
                                   const char *const *taken, int n)
{
    const char *base = column ? arena_printf(c->arena, "%s_%s_check", array, column)
                              : arena_printf(c->arena, "%s_check", array);
    const char *name = base;
    for (int k = 1, i = 0; i < n; i++)
        if (!strcmp(taken[i], name)) {
            name = arena_printf(c->arena, "%s%d", base, k++);
            i = -1;
        }
    return name;
}

struct texts { /* of constraints: a SELECT each, that gives one a name */
    struct strbuf sql;
    const char **names;
    int n;
};

static enum status add_checks(struct ctx *c, const struct run *r, const struct ast_checks *list,
                              const char *column, struct texts *out)
{
    const char *array = last_part(&r->stmt->name);
    for (int i = 0; i < list->n; i++) {
        const struct ast_check *k = &list->v[i];
        const char *name =
            k->name ? k->name : constraint_name(c, array, column, out->names, out->n);
        for (int t = 0; t < out->n; t++)
            if (!strcmp(out->names[t], name))
                return fail_at(c, ERR_DUPLICATE_OBJECT, k->pos,
                               "check constraint \"%s\" already exists", name);
        out->names[out->n++] = name;
        strbuf_addf(&out->sql, "SELECT (%.*s) AS \"%s\";", k->end - k->pos, r->text + k->pos, name);
    }
    return OK;
}

/* Keeps the constraints of the array just made, if they can be computed. */
static enum status keep_checks(struct ctx *c, struct run *r, const struct schema *schema)
{
    const struct ast_stmt *stmt = r->stmt;
    struct texts texts = {.sql = STRBUF_INIT};
    struct held_row row;
    struct bind_env env = session_bind_env(r);
    int n = stmt->checks.n;
    for (int i = 0; i < stmt->defs.n; i++)
        n += stmt->defs.v[i].checks.n;
    if (n == 0) return OK;
    texts.names = arena_array(c->arena, const char *, n);
    enum status st = OK;
    for (int i = 0; i < stmt->defs.n && st == OK; i++)
        st = add_checks(c, r, &stmt->defs.v[i].checks, stmt->defs.v[i].name, &texts);
    if (st == OK) st = add_checks(c, r, &stmt->checks, NULL, &texts);
    if (st == OK) st = array_set_object(c, r->s->txn, OBJECT_CHECKS, schema, texts.sql.s);
    if (st == OK) st = bind_checks(c, &env, schema, &row);
    if (st < 0 && c->err.position <= 0) c->err.position = stmt->name.pos;
    strbuf_release(&texts.sql);
    return st;
}

/* A column went or has another name: constraints that name it go with it, or forbid that. */
static enum status settle_checks(struct ctx *c, struct run *r, const char *name, const char *column,
                                 bool drop)
{
    struct array_ref ref = {.name = name, .position = r->stmt->name.pos};
    struct array *a;
    struct held_row row;
    struct bind_env env = session_bind_env(r);
    const char *text;
    if (r->stmt->drop == DROP_VIEW || (!drop && r->stmt->alter == ALTER_RENAME)) return OK;
    TRY(array_open(c, r->s->txn, &ref, &a));
    TRY(array_object(c, r->s->txn, OBJECT_CHECKS, array_schema(a), &text));
    struct ast_script script = {0};
    if (text) TRY(parse_script(c, text, strlen(text), &script));
    struct strbuf kept = STRBUF_INIT;
    enum status st = OK;
    for (int i = 0; i < script.n && st == OK; i++) {
        const struct ast_stmt *one = script.v[i];
        const char *sql = arena_printf(c->arena, "%.*s;", one->end - one->pos, text + one->pos);
        struct ctx quiet = *c;
        ctx_clear(&quiet);
        st = array_set_object(c, r->s->txn, OBJECT_CHECKS, array_schema(a), sql);
        if (st == OK && bind_checks(&quiet, &env, array_schema(a), &row) == OK) {
            strbuf_adds(&kept, sql);
        } else if (st == OK && !drop) {
            fail(c, ERR_DEPENDENT_OBJECTS, "cannot rename column \"%s\" of array \"%s\"", column,
                 name);
            st = hint(c, "A CHECK constraint names it, and is kept as its text.");
        }
    }
    if (st == OK && text)
        st = array_set_object(c, r->s->txn, OBJECT_CHECKS, array_schema(a), kept.s);
    strbuf_release(&kept);
    return st;
}

static enum status create_array(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name), *kind = stmt->is_table ? "TABLE" : "ARRAY";
    struct bind_env env = session_bind_env(r);
    struct schema schema;
    TRY(bind_schema(c, &env, stmt, &schema));
    if (stmt->if_not_exists && exists(c, r, name)) {
        notice(c, "42P07", "array \"%s\" already exists, skipping", name);
        return tag(r, "CREATE %s", kind);
    }
    struct dependents *d;
    TRY(dependents_find(c, r, &name, stmt->or_replace, &d));
    if (stmt->or_replace && exists(c, r, name)) TRY(drop_array(c, r, name));
    TRY(at(c, array_create(c, r->s->txn, &schema), stmt->name.pos));
    TRY(keep_checks(c, r, &schema));
    TRY(dependents_replaced(c, r, d, name));
    return tag(r, "CREATE %s", kind);
}

static const char *body_text(struct ctx *c, const struct run *r)
{
    return arena_strndup(c->arena, r->text + r->stmt->body_pos,
                         (size_t)(r->stmt->body_end - r->stmt->body_pos));
}

/* What uses the view goes on as before: its columns stay, more may follow them. */
static enum status same_view(struct ctx *c, const struct query *was, const struct query *is,
                             int pos)
{
    if (is->n_outs < was->n_outs)
        return fail_at(c, ERR_INVALID_DEFINITION, pos, "cannot drop columns from view");
    for (int i = 0; i < was->n_outs; i++) {
        const struct out_col *a = &was->outs[i], *b = &is->outs[i];
        if (strcmp(a->name, b->name) != 0) {
            fail_at(c, ERR_INVALID_DEFINITION, pos,
                    "cannot change name of view column \"%s\" to \"%s\"", a->name, b->name);
            return hint(c, "Drop the view and create it anew.");
        }
        if (a->type != b->type)
            return fail_at(c, ERR_INVALID_DEFINITION, pos,
                           "cannot change data type of view column \"%s\" from %s to %s", a->name,
                           type_name(a->type), type_name(b->type));
    }
    return OK;
}

/* Keeps the view's text; one that replaces another must fit its place, and not refer to itself. */
static enum status put_view(struct ctx *c, struct run *r, const char *name, const char *text)
{
    struct ctx quiet = *c;
    struct query was, is;
    int pos = r->stmt->name.pos;
    ctx_clear(&quiet);
    quiet.notice = NULL;
    const char *there;
    TRY(object_get(c, r->s->txn, OBJECT_VIEW, name, &there));
    bool holds = there && columns_of(&quiet, r, name, &was) == OK;
    TRY(at(c, object_put(c, r->s->txn, OBJECT_VIEW, name, text, r->stmt->or_replace), pos));
    if (!there) return OK;
    enum status st = columns_of(c, r, name, &is);
    if (st < 0) c->err.position = pos;
    TRY(st);
    return holds ? same_view(c, &was, &is, pos) : OK;
}

/* A view is kept as its text, preceded by its column names when they were given: "(a, b) SELECT …".
 */
static enum status create_view(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name), *there;
    struct query q;
    struct bind_env env = session_bind_env(r);
    TRY(bind_select(c, &env, stmt->select, &q)); /* its errors belong to whoever creates it */
    if (stmt->columns.n > q.n_outs)
        return fail_at(c, ERR_INVALID_DEFINITION, stmt->name.pos,
                       "CREATE VIEW specifies more column names than columns");
    if (env.n_params > 0)
        return fail_at(c, ERR_UNDEFINED_PARAM, stmt->name.pos, "there is no parameter $1");
    if (stmt->if_not_exists) {
        TRY(object_get(c, r->s->txn, OBJECT_VIEW, name, &there));
        if (there) {
            notice(c, "42P07", "view \"%s\" already exists, skipping", name);
            return tag(r, "CREATE VIEW");
        }
    }
    struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < stmt->columns.n; i++)
        strbuf_addf(&text, "%s\"%s\"", i ? ", " : "(", stmt->columns.v[i]);
    if (stmt->columns.n) strbuf_adds(&text, ") ");
    strbuf_adds(&text, body_text(c, r));
    enum status st = put_view(c, r, name, text.s);
    strbuf_release(&text);
    return st < 0 ? st : tag(r, "CREATE VIEW");
}

/* A macro is kept as "(k, x) expression". */
static enum status create_function(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    if (func_exists(name)) {
        fail_at(c, ERR_DUPLICATE_OBJECT, stmt->name.pos, "function \"%s\" is built in", name);
        return hint(c, "Choose another name.");
    }
    struct strbuf text = STRBUF_INIT;
    strbuf_addc(&text, '(');
    for (int i = 0; i < stmt->params.n; i++)
        strbuf_addf(&text, "%s\"%s\"", i ? ", " : "", stmt->params.v[i]);
    strbuf_addf(&text, ") %s", body_text(c, r));
    enum status st =
        at(c, object_put(c, r->s->txn, OBJECT_FUNCTION, name, text.s, stmt->or_replace),
           stmt->name.pos);
    strbuf_release(&text);
    return st < 0 ? st : tag(r, "CREATE FUNCTION");
}

/* ---- ALTER ---- */

static enum status resize(struct ctx *c, struct run *r, const char *name)
{
    const struct ast_axis *range = &r->stmt->axes.v[0];
    const char *dim = r->stmt->from_name;
    struct array_ref ref = {.name = name, .position = r->stmt->name.pos};
    struct array *a;
    TRY(array_open(c, r->s->txn, &ref, &a));
    int i = schema_dim(array_schema(a), dim);
    if (i < 0)
        return fail_at(c, ERR_UNDEFINED_COLUMN, r->stmt->pos,
                       "dimension \"%s\" of array \"%s\" does not exist", dim, name);
    if (range->kind != AXIS_RANGE || range->step)
        return fail_at(c, ERR_SYNTAX, range->pos, "RESIZE wants [lower : upper]");
    struct bind_env env = session_bind_env(r);
    struct value lo, hi;
    enum type t = array_schema(a)->dims[i].axis.type;
    if (range->lo) TRY(bind_const(c, &env, range->lo, t, &lo));
    if (range->hi) TRY(bind_const(c, &env, range->hi, t, &hi));
    return array_resize(c, r->s->txn, name, dim, range->lo ? &lo : NULL, range->hi ? &hi : NULL);
}

/* SET TILE (d = n, …): dimensions not named keep theirs. */
static enum status retile(struct ctx *c, struct run *r, const char *name)
{
    struct array_ref ref = {.name = name, .position = r->stmt->name.pos};
    struct array *a;
    int64_t tiles[MAX_DIMS];
    TRY(array_open(c, r->s->txn, &ref, &a));
    const struct schema *s = array_schema(a);
    for (int d = 0; d < s->n_dims; d++)
        tiles[d] = s->dims[d].tile;
    for (int i = 0; i < r->stmt->options.n; i++) {
        const struct ast_option *o = &r->stmt->options.v[i];
        int d = schema_dim(s, o->name);
        char *end = NULL;
        if (d < 0)
            return fail_at(c, ERR_UNDEFINED_COLUMN, o->pos,
                           "dimension \"%s\" of array \"%s\" does not exist", o->name, name);
        errno = 0;
        tiles[d] = o->value && !o->value_is_string ? strtoll(o->value, &end, 10) : 0;
        if (!end || *end || errno || tiles[d] < 1) {
            fail_at(c, ERR_INVALID_DEFINITION, o->pos,
                    "a tile has at least one cell along a dimension");
            return hint(c, "%s = 90, say.", o->name);
        }
    }
    return array_retile(c, r->s->txn, name, tiles);
}

static enum status annotate(struct ctx *c, struct run *r, const char *name, const char *column)
{
    for (int i = 0; i < r->stmt->options.n; i++) {
        const struct ast_option *o = &r->stmt->options.v[i];
        if (strcmp(o->name, "unit") != 0 && strcmp(o->name, "comment") != 0) {
            fail_at(c, ERR_INVALID_PARAMETER, o->pos, "unrecognized parameter \"%s\"", o->name);
            return hint(c, "There are \"unit\" and \"comment\".");
        }
        TRY(at(c, array_annotate(c, r->s->txn, name, column, o->name, o->value), o->pos));
    }
    return OK;
}

static enum status has_column(struct ctx *c, struct run *r, const char *name, const char *column,
                              bool *out)
{
    struct array_ref ref = {.name = name, .position = r->stmt->name.pos};
    struct array *a;
    TRY(array_open(c, r->s->txn, &ref, &a));
    *out = schema_attr(array_schema(a), column) >= 0 || schema_dim(array_schema(a), column) >= 0;
    return OK;
}

static enum status drop_column(struct ctx *c, struct run *r, const char *name)
{
    const char *column = r->stmt->from_name;
    bool there;
    TRY(has_column(c, r, name, column, &there));
    if (!there && r->stmt->part_if_exists) {
        notice(c, "00000", "column \"%s\" of array \"%s\" does not exist, skipping", column, name);
        return OK;
    }
    return array_drop_attr(c, r->s->txn, name, column);
}

static enum status add_column(struct ctx *c, struct run *r, const char *name)
{
    const struct ast_column *col = &r->stmt->defs.v[0];
    struct bind_env env = session_bind_env(r);
    struct attr attr;
    bool there = false;
    if (!r->stmt->defs.n) {
        fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "constraints are given when the array is made");
        return hint(c, "CREATE ARRAY … (…, CHECK (v > 0)); its dimensions are its key already.");
    }
    if (col->dim != DIM_NONE)
        return fail_at(c, ERR_UNSUPPORTED, col->pos,
                       "an array's dimensions are fixed when it is made");
    if (r->stmt->part_if_not_exists) TRY(has_column(c, r, name, col->name, &there));
    if (there) {
        notice(c, "42701", "column \"%s\" of array \"%s\" already exists, skipping", col->name,
               name);
        return OK;
    }
    if (col->checks.n)
        return fail_at(c, ERR_UNSUPPORTED, col->checks.v[0].pos,
                       "a CHECK is given when the array is made");
    TRY(bind_attr(c, &env, col, &attr));
    return array_add_attr(c, r->s->txn, name, &attr);
}

static enum status alter_part(struct ctx *c, struct run *r, const char *name)
{
    const struct ast_stmt *stmt = r->stmt;
    struct txn *t = r->s->txn;
    switch (stmt->alter) {
    case ALTER_RENAME:
        return stmt->drop == DROP_VIEW ? object_rename(c, t, OBJECT_VIEW, name, stmt->to_name)
                                       : rename_materialized(c, r, name, stmt->to_name);
    case ALTER_RENAME_COLUMN:
        return array_rename_column(c, t, name, stmt->from_name, stmt->to_name);
    case ALTER_ADD:
        return add_column(c, r, name);
    case ALTER_DROP_COLUMN:
        return drop_column(c, r, name);
    case ALTER_RESIZE:
        return resize(c, r, name);
    case ALTER_TILE:
        return retile(c, r, name);
    case ALTER_SET:
        return annotate(c, r, name, NULL);
    case ALTER_COLUMN_SET:
        return annotate(c, r, name, stmt->from_name);
    case ALTER_OWNER:
        break;
    }
    return fail_at(c, ERR_UNSUPPORTED, stmt->pos, "roles are not available yet");
}

/* Views are kept as texts: what they name must stay. */
static enum status alter_names(struct ctx *c, struct run *r, const char *name)
{
    const struct ast_stmt *stmt = r->stmt;
    bool drops = stmt->alter == ALTER_DROP_COLUMN,
         column = drops || stmt->alter == ALTER_RENAME_COLUMN;
    const char *kind = stmt->drop == DROP_VIEW ? "view" : stmt->is_table ? "table" : "array";
    struct dependents *d;
    TRY(dependents_find(c, r, &name, 1, &d));
    TRY(alter_part(c, r, name));
    TRY(settle_checks(c, r, name, stmt->from_name, drops));
    const char *of = column
                         ? arena_printf(c->arena, "column %s of %s %s", stmt->from_name, kind, name)
                         : arena_printf(c->arena, "%s %s", kind, name);
    const char *what = arena_printf(c->arena, "%s %s", drops ? "drop" : "rename", of);
    const char *advice =
        drops ? "Use DROP ... CASCADE to drop the dependent objects too."
              : "A view is kept as its text: drop it first, and create it anew with the new name.";
    return at(c, dependents_settle(c, r, d, stmt->cascade, what, of, advice), stmt->name.pos);
}

static enum status alter(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const char *name = last_part(&stmt->name);
    bool names = stmt->alter == ALTER_RENAME || stmt->alter == ALTER_RENAME_COLUMN ||
                 stmt->alter == ALTER_DROP_COLUMN;
    const char *word = stmt->drop == DROP_VIEW ? "VIEW" : stmt->is_table ? "TABLE" : "ARRAY";
    if (stmt->if_exists && stmt->drop != DROP_VIEW && !exists(c, r, name)) {
        notice(c, "00000", "array \"%s\" does not exist, skipping", name);
        return tag(r, "ALTER %s", word);
    }
    bool keeps_cells = stmt->alter == ALTER_RENAME || stmt->alter == ALTER_SET ||
                       stmt->alter == ALTER_COLUMN_SET || stmt->alter == ALTER_TILE;
    if (!keeps_cells) TRY(refuse_materialized(c, r, &stmt->name, "alter"));
    TRY(at(c, names ? alter_names(c, r, name) : alter_part(c, r, name), stmt->name.pos));
    return tag(r, "ALTER %s", word);
}

/* ---- DROP, COMMENT ---- */

static enum status drop_one(struct ctx *c, struct run *r, const struct ast_name *name)
{
    const char *s = last_part(name);
    switch (r->stmt->drop) {
    case DROP_ARRAY:
    case DROP_TABLE:
    case DROP_MATERIALIZED:
        TRY(check_dropped(c, r, name, r->stmt->drop == DROP_MATERIALIZED));
        return drop_array(c, r, s);
    case DROP_VIEW:
        return object_drop(c, r->s->txn, OBJECT_VIEW, s);
    case DROP_FUNCTION:
        return object_drop(c, r->s->txn, OBJECT_FUNCTION, s);
    case DROP_SCHEDULE:
        return schedule_drop(c, r, s);
    case DROP_ROLE:
        return fail(c, ERR_UNSUPPORTED, "roles are not available yet");
    case DROP_INDEX:
        return fail(c, ERR_UNDEFINED_OBJECT, "index \"%s\" does not exist", s);
    case DROP_SCHEMA:
        return fail(c, ERR_UNSUPPORTED, "there is one schema, and it cannot be dropped");
    }
    return OK;
}

static enum status drop_all(struct ctx *c, struct run *r)
{
    for (int i = 0; i < r->stmt->n_names; i++) {
        const struct ast_name *name = &r->stmt->names[i];
        enum status st = drop_one(c, r, name);
        bool missing =
            st == ERR_UNDEFINED_TABLE || st == ERR_UNDEFINED_FUNCTION || st == ERR_UNDEFINED_OBJECT;
        if (missing && r->stmt->if_exists) {
            notice(c, "00000", "\"%s\" does not exist, skipping", last_part(name));
            ctx_clear(c);
            continue;
        }
        TRY(at(c, st, name->pos));
    }
    return OK;
}

static enum status drop(struct ctx *c, struct run *r)
{
    static const char *const words[] = {
        [DROP_ARRAY] = "ARRAY",       [DROP_TABLE] = "TABLE",
        [DROP_VIEW] = "VIEW",         [DROP_FUNCTION] = "FUNCTION",
        [DROP_INDEX] = "INDEX",       [DROP_MATERIALIZED] = "MATERIALIZED ARRAY",
        [DROP_SCHEDULE] = "SCHEDULE", [DROP_ROLE] = "ROLE",
        [DROP_SCHEMA] = "SCHEMA",
    };
    static const char *const kinds[] = {[DROP_ARRAY] = "array",
                                        [DROP_TABLE] = "table",
                                        [DROP_VIEW] = "view",
                                        [DROP_FUNCTION] = "function",
                                        [DROP_MATERIALIZED] = "materialized array"};
    const struct ast_stmt *stmt = r->stmt;
    int n = stmt->n_names;
    const char **names = arena_array(c->arena, const char *, n + 1);
    struct dependents *d;
    for (int i = 0; i < n; i++)
        names[i] = last_part(&stmt->names[i]);
    if (stmt->drop > DROP_FUNCTION && stmt->drop != DROP_MATERIALIZED) n = 0;
    TRY(dependents_find(c, r, names, n, &d));
    TRY(drop_all(c, r));
    const char *of =
        n == 1 ? arena_printf(c->arena, "%s %s", kinds[stmt->drop], names[0]) : "what is dropped";
    TRY(at(c,
           dependents_settle(c, r, d, stmt->cascade, arena_printf(c->arena, "drop %s", of), of,
                             "Use DROP ... CASCADE to drop the dependent objects too."),
           stmt->names[0].pos));
    return tag(r, "DROP %s", words[stmt->drop]);
}

static enum status comment(struct ctx *c, struct run *r)
{
    const struct ast_stmt *stmt = r->stmt;
    const struct ast_name *n = &stmt->name;
    bool column = stmt->comment == COMMENT_COLUMN || stmt->comment == COMMENT_DIMENSION;
    if (stmt->comment == COMMENT_SCHEDULE) {
        TRY(at(c, schedule_comment(c, r, last_part(n)), n->pos));
        return tag(r, "COMMENT");
    }
    if (stmt->comment != COMMENT_ARRAY && stmt->comment != COMMENT_TABLE && !column)
        return fail_at(c, ERR_UNSUPPORTED, stmt->pos,
                       "comments are kept on arrays, their columns, and schedules only");
    if (column && n->n < 2) return fail_at(c, ERR_SYNTAX, n->pos, "column name must be qualified");
    const char *array = column ? n->part[n->n - 2] : last_part(n);
    TRY(at(
        c,
        array_annotate(c, r->s->txn, array, column ? last_part(n) : NULL, "comment", stmt->to_name),
        n->pos));
    return tag(r, "COMMENT");
}

/* An index changes no answer; one that is UNIQUE would. */
static enum status index_holds(struct ctx *c, struct run *r)
{
    const struct ast_name *name = &r->stmt->names[0];
    struct array_ref ref = {.name = last_part(name), .position = name->pos};
    struct array *a;
    TRY(array_open(c, r->s->txn, &ref, &a));
    const struct schema *s = array_schema(a);
    if (!r->stmt->options.n) return OK;
    int n_dims = 0;
    for (int i = 0; i < r->stmt->exprs.n; i++) {
        const struct ast_expr *e = r->stmt->exprs.v[i];
        n_dims += e->kind == X_NAME && e->name.n == 1 && schema_dim(s, e->name.part[0]) >= 0;
    }
    if (n_dims == s->n_dims && !s->is_table) return OK;
    fail_at(c, ERR_UNSUPPORTED, name->pos, "a UNIQUE index on attributes is not available");
    return hint(c, "An array's key is all of its dimensions together.");
}

enum status run_ddl(struct ctx *c, struct run *r)
{
    TRY(want_write(c, r->s,
                   r->stmt->kind == S_DROP    ? "DROP"
                   : r->stmt->kind == S_ALTER ? "ALTER ARRAY"
                                              : "CREATE"));
    TRY(need_txn(c, r->s));
    switch (r->stmt->kind) {
    case S_CREATE_ARRAY:
        return create_array(c, r);
    case S_CREATE_VIEW:
        return create_view(c, r);
    case S_CREATE_FUNCTION:
        return create_function(c, r);
    case S_CREATE_INDEX:
        TRY(index_holds(c, r));
        notice(c, "00000",
               "arrays are ordered by their dimensions; the index means nothing and is not kept");
        return tag(r, "CREATE INDEX");
    case S_CREATE_SCHEMA:
        if (r->stmt->if_not_exists && !strcmp(last_part(&r->stmt->name), "public"))
            return tag(r, "CREATE SCHEMA");
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "there is one schema, \"public\"");
    case S_ALTER:
        return alter(c, r);
    case S_DROP:
        return drop(c, r);
    default:
        return comment(c, r);
    }
}
