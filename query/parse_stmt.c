/* How do the grammar's actions build statements? */
#include "query/parse_gen.h"
#include "query/parse_tree.h"
#include <stdlib.h>
#include <strings.h>

struct ast_stmt *tree_stmt(struct parser *p, enum stmt_kind kind, int pos)
{
    struct ast_stmt *s = arena_new_of(p->c->arena, struct ast_stmt);
    s->kind = kind;
    s->pos = pos;
    return s;
}

struct ast_stmt *tree_stmt_end(struct parser *p, struct ast_stmt *s)
{
    s->end = p->last.end;
    return s;
}

struct ast_stmt *tree_query(struct parser *p, struct ast_select *select)
{
    struct ast_stmt *s = tree_stmt(p, S_SELECT, select->pos);
    s->select = select;
    return tree_stmt_end(p, s);
}

static void mark_empty(struct ast_expr *e)
{
    if (e->kind == X_ROW)
        for (int i = 0; i < e->args.n; i++)
            mark_empty(e->args.v[i]);
    if (e->kind == X_NAME && e->name.n == 1 && !e->star && strcmp(e->name.part[0], "empty") == 0)
        e->kind = X_EMPTY;
}

struct ast_select *tree_mark_empty(struct parser *p, struct ast_select *s)
{
    (void)p;
    for (int i = 0; i < s->n_rows; i++)
        for (int k = 0; k < s->rows[i].n; k++)
            mark_empty(s->rows[i].v[k]);
    return s;
}

struct ast_option *tree_option(struct parser *p, const char *name, int pos, const char *value)
{
    struct ast_option *o = arena_new_of(p->c->arena, struct ast_option);
    o->name = name;
    o->value = value;
    o->pos = pos;
    return o;
}

struct ast_stmt *tree_fetch(struct parser *p, const char *direction, int64_t count)
{
    struct ast_stmt *s = tree_stmt(p, S_FETCH, 0);
    s->direction = direction;
    s->count = count;
    s->has_count = true;
    return s;
}

struct ast_stmt *tree_fetch_all(struct parser *p, const char *direction)
{
    struct ast_stmt *s = tree_stmt(p, S_FETCH, 0);
    s->direction = direction;
    s->all = true;
    return s;
}

int64_t tree_int(struct parser *p, const struct token *t)
{
    unsigned long long v = strtoull(t->text, NULL, 10);
    if (v <= INT64_MAX) return (int64_t)v;
    parse_mistake(p, ERR_OVERFLOW, t->pos, "value \"%s\" is out of range for type bigint", t->text);
    return 0;
}

/* ---- definitions ---- */
struct ast_column *tree_columndef(struct parser *p, const struct token *name, struct ast_type *t)
{
    struct ast_column *d = arena_new_of(p->c->arena, struct ast_column);
    d->name = name->text;
    d->type = t;
    d->pos = name->pos;
    return d;
}

struct ast_column *tree_dimension(struct parser *p, struct ast_column *d, enum dim_kind kind,
                                  int pos)
{
    if (d->dim != DIM_NONE)
        parse_mistake(p, ERR_SYNTAX, pos, "multiple DIMENSION clauses for column \"%s\"", d->name);
    d->dim = kind;
    return d;
}

void tree_check_null(struct parser *p, const struct ast_column *d, int pos)
{
    if (d->null && d->not_null)
        parse_mistake(p, ERR_SYNTAX, pos,
                      "conflicting NULL/NOT NULL declarations for column \"%s\"", d->name);
}

void tree_no_references(struct parser *p, int pos)
{
    parse_mistake(p, ERR_UNSUPPORTED, pos, "foreign keys are not available");
    hint(p->c, "Leave REFERENCES out; a LEFT JOIN finds cells without a partner.");
}

void tree_add_constraint(struct parser *p, struct ast_stmt *s, const struct constraint *k)
{
    if (k->check.e) {
        ADD(p, &s->checks, k->check);
    } else if (!k->primary_key) {
        s->uniques = tree_room(p, s->uniques, s->n_uniques, sizeof *s->uniques);
        s->uniques[s->n_uniques++] = k->columns;
    } else if (s->primary_key.n) {
        parse_mistake(p, ERR_INVALID_DEFINITION, p->last.pos,
                      "multiple primary keys for table are not allowed");
    } else {
        s->primary_key = k->columns;
    }
}

void tree_set_body(struct parser *p, struct ast_stmt *s, struct ast_select *select)
{
    s->select = select;
    s->body_pos = select->pos;
    s->body_end = p->last.end;
}

void tree_set_index(struct parser *p, struct ast_stmt *s, bool unique, struct ast_name array,
                    struct ast_exprs columns)
{
    struct names_list names = {0};
    ADD(p, &names, array);
    s->n_names = 1;
    s->names = names.v;
    s->exprs = columns;
    if (unique) ADD(p, &s->options, *tree_option(p, "unique", s->pos, NULL));
}

/* ---- sessions ---- */
void tree_set_mode(struct ast_stmt *s, const char *mode)
{
    if (!mode) return;
    if (strcmp(mode, "read only") == 0)
        s->read_only = true, s->read_write = false;
    else if (strcmp(mode, "read write") == 0)
        s->read_write = true, s->read_only = false;
    else
        s->isolation = mode;
}

static bool option_on(const struct ast_option *o)
{
    return !o->value || strcasecmp(o->value, "true") == 0 || strcasecmp(o->value, "on") == 0 ||
           strcmp(o->value, "1") == 0;
}

void tree_explain_options(struct ast_stmt *s)
{
    for (int i = 0; i < s->options.n; i++) {
        const struct ast_option *o = &s->options.v[i];
        if (strcmp(o->name, "analyze") == 0) s->analyze = option_on(o);
        if (strcmp(o->name, "verbose") == 0) s->verbose = option_on(o);
        if (strcmp(o->name, "format") == 0) s->format = o->value;
    }
}

struct ast_stmt *tree_grant_on(struct parser *p, const char *what, struct names_list names)
{
    struct ast_stmt *s = tree_stmt(p, S_GRANT, 0);
    s->direction = what;
    s->n_names = names.n;
    s->names = names.v;
    return s;
}

struct ast_stmt *tree_grant(struct parser *p, enum stmt_kind kind, int pos, struct ast_options what,
                            const struct ast_stmt *on, struct ast_names to)
{
    struct ast_stmt *s = tree_stmt(p, kind, pos);
    s->options = what;
    s->all = what.n == 0;
    if (on) {
        s->direction = on->direction;
        s->n_names = on->n_names;
        s->names = on->names;
    }
    s->params = to;
    return s;
}

void tree_set_schedule_body(struct parser *p, struct ast_stmt *s, struct ast_stmt *body, int pos)
{
    s->body_pos = pos;
    s->body_end = p->last.end;
    if (body->kind == S_EMPTY) {
        ADD(p, &s->options, *tree_option(p, "body", body->pos, body->file));
        return;
    }
    s->inner = tree_stmt_end(p, body);
}
