/* A statement's tree as one line of text in parentheses, for tests to compare: what the tree says,
 * less positions. Parts that are absent print nothing. */
#ifndef TESSERA_AST_DUMP_H
#define TESSERA_AST_DUMP_H
#include "query/ast.h"
#include "storage/base/strbuf.h"

static void dump_expr(struct strbuf *b, const struct ast_expr *e);
static void dump_select(struct strbuf *b, const struct ast_select *s);
static void dump_stmt(struct strbuf *b, const struct ast_stmt *s);

static void dump_name(struct strbuf *b, struct ast_name name)
{
    for (int i = 0; i < name.n; i++)
        strbuf_addf(b, "%s%s", i ? "." : "", name.part[i]);
}

static void dump_names(struct strbuf *b, const char *label, struct ast_names list)
{
    if (!list.n) return;
    strbuf_addf(b, " (%s", label);
    for (int i = 0; i < list.n; i++)
        strbuf_addf(b, " %s", list.v[i]);
    strbuf_addc(b, ')');
}

static void dump_text(struct strbuf *b, const char *label, const char *text)
{
    if (text) strbuf_addf(b, " (%s %s)", label, text);
}

static void dump_flag(struct strbuf *b, const char *label, bool on)
{
    if (on) strbuf_addf(b, " %s", label);
}

static void dump_part(struct strbuf *b, const char *label, const struct ast_expr *e)
{
    if (!e) return;
    strbuf_addf(b, " (%s ", label);
    dump_expr(b, e);
    strbuf_addc(b, ')');
}

static void dump_exprs(struct strbuf *b, const char *label, struct ast_exprs list)
{
    if (!list.n) return;
    strbuf_addf(b, " (%s", label);
    for (int i = 0; i < list.n; i++) {
        strbuf_addc(b, ' ');
        dump_expr(b, list.v[i]);
    }
    strbuf_addc(b, ')');
}

static void dump_type(struct strbuf *b, const struct ast_type *t)
{
    if (t->schema) strbuf_addf(b, "%s.", t->schema);
    strbuf_adds(b, t->name);
    for (int i = 0; i < t->mods.n; i++) {
        strbuf_adds(b, i ? "," : "(");
        dump_expr(b, t->mods.v[i]);
        if (i + 1 == t->mods.n) strbuf_addc(b, ')');
    }
    for (int i = 0; i < t->array_dims; i++)
        strbuf_adds(b, "[]");
    if (t->with_time_zone) strbuf_adds(b, "+tz");
    if (t->setof) strbuf_adds(b, "+setof");
}

static void dump_axis(struct strbuf *b, const struct ast_axis *a)
{
    if (a->dim) strbuf_addf(b, "%s%s=>", a->by_position ? "#" : "", a->dim);
    if (a->kind == AXIS_NEAREST) strbuf_adds(b, "nearest ");
    if (a->lo)
        dump_expr(b, a->lo);
    else
        strbuf_adds(b, a->all ? "all" : "*");
    if (a->kind == AXIS_RANGE) {
        strbuf_addc(b, ':');
        if (a->hi)
            dump_expr(b, a->hi);
        else
            strbuf_addc(b, '*');
    }
    if (a->step) strbuf_addc(b, ':'), dump_expr(b, a->step);
    if (a->tolerance) strbuf_adds(b, " tolerance "), dump_expr(b, a->tolerance);
}

static void dump_axes(struct strbuf *b, struct ast_axes axes)
{
    strbuf_addc(b, '[');
    for (int i = 0; i < axes.n; i++) {
        if (i) strbuf_adds(b, ", ");
        dump_axis(b, &axes.v[i]);
    }
    strbuf_addc(b, ']');
}

static void dump_sorts(struct strbuf *b, const char *label, struct ast_sorts list)
{
    static const char *const nulls[] = {"", " nulls-first", " nulls-last"};
    if (!list.n) return;
    strbuf_addf(b, " (%s", label);
    for (int i = 0; i < list.n; i++) {
        strbuf_addc(b, ' ');
        dump_expr(b, list.v[i].e);
        strbuf_addf(b, "%s%s", list.v[i].desc ? " desc" : "", nulls[list.v[i].nulls]);
    }
    strbuf_addc(b, ')');
}

static void dump_bound(struct strbuf *b, enum frame_bound bound, const struct ast_expr *e)
{
    static const char *const words[] = {"unbounded-preceding", "preceding", "current", "following",
                                        "unbounded-following"};
    strbuf_addc(b, ' ');
    if (e) dump_expr(b, e), strbuf_addc(b, ' ');
    strbuf_adds(b, words[bound]);
}

static void dump_window(struct strbuf *b, const struct ast_window *w)
{
    static const char *const edges[] = {"shrink", "null", "nearest", "reflect", "wrap"};
    static const char *const units[] = {"", "rows", "range", "groups"};
    static const char *const excluded[] = {"", " exclude-current", " exclude-group",
                                           " exclude-ties"};
    if (w->by_cells) {
        dump_axes(b, w->axes);
        if (w->edge) strbuf_addf(b, " edge-%s", edges[w->edge]);
        return;
    }
    strbuf_addf(b, "window%s%s", w->name ? " " : "", w->name ? w->name : "");
    dump_exprs(b, "partition", w->partition);
    dump_sorts(b, "order", w->order);
    if (!w->unit) return;
    strbuf_addf(b, " (%s", units[w->unit]);
    dump_bound(b, w->from, w->from_expr);
    dump_bound(b, w->to, w->to_expr);
    strbuf_addf(b, "%s)", excluded[w->exclude]);
}

static void dump_call(struct strbuf *b, const struct ast_expr *e)
{
    dump_name(b, e->name);
    dump_flag(b, "distinct", e->distinct);
    dump_flag(b, "variadic", e->variadic);
    for (int i = 0; i < e->args.n; i++) {
        strbuf_addc(b, ' ');
        if (e->arg_names && e->arg_names[i]) strbuf_addf(b, "%s=>", e->arg_names[i]);
        dump_expr(b, e->args.v[i]);
    }
    dump_sorts(b, e->within_group ? "within" : "order", e->order);
    dump_part(b, "filter", e->filter);
    if (e->over) {
        strbuf_adds(b, " (over ");
        dump_window(b, e->over);
        strbuf_addc(b, ')');
    }
}

/* The head of an expression in parentheses, before its arguments. */
static const char *dump_head(const struct ast_expr *e)
{
    switch (e->kind) {
    case X_OP:
        return e->op;
    case X_OP_ANY:
        return "any";
    case X_OP_ALL:
        return "all";
    case X_CAST:
        return "cast";
    case X_IS:
        return e->flag ? "is-not" : "is";
    case X_DISTINCT:
        return e->flag ? "not-distinct" : "distinct";
    case X_BETWEEN:
        return e->flag ? (e->flag2 ? "not-between-symmetric" : "not-between")
                       : (e->flag2 ? "between-symmetric" : "between");
    case X_IN:
        return e->flag ? "not-in" : "in";
    case X_CASE:
        return "case";
    case X_SUBQUERY:
        return "subquery";
    case X_EXISTS:
        return "exists";
    case X_ARRAY_SELECT:
        return "array-select";
    case X_ARRAY:
        return "array";
    case X_ROW:
        return "row";
    case X_CELL:
        return "cell";
    case X_FIELD:
        return "field";
    case X_COLLATE:
        return "collate";
    case X_AT_TIME_ZONE:
        return "at-time-zone";
    default:
        return NULL;
    }
}

static void dump_leaf(struct strbuf *b, const struct ast_expr *e)
{
    switch (e->kind) {
    case X_INT:
    case X_FLOAT:
        strbuf_addf(b, "%s%s", e->text, e->kind == X_FLOAT ? "f" : "");
        break;
    case X_STRING:
        strbuf_addf(b, "'%.*s'", e->text_len, e->text);
        break;
    case X_BOOL:
        strbuf_adds(b, e->flag ? "true" : "false");
        break;
    case X_TYPED:
        dump_type(b, e->type);
        strbuf_addf(b, "'%s'", e->text);
        if (e->name.n) strbuf_addc(b, '.'), dump_name(b, e->name);
        break;
    case X_PARAM:
        strbuf_addf(b, "$%d", e->number);
        break;
    case X_NAME:
    case X_POSITION:
        if (e->kind == X_POSITION) strbuf_addc(b, '#');
        dump_name(b, e->name);
        if (e->star) strbuf_adds(b, ".*");
        break;
    default:
        strbuf_adds(b, e->kind == X_NULL      ? "null"
                       : e->kind == X_STAR    ? "*"
                       : e->kind == X_DEFAULT ? "default"
                       : e->kind == X_EMPTY   ? "empty"
                                              : "?");
    }
}

static void dump_expr(struct strbuf *b, const struct ast_expr *e)
{
    const char *head = dump_head(e);
    if (!head && e->kind != X_CALL) {
        dump_leaf(b, e);
        return;
    }
    strbuf_addc(b, '(');
    if (e->kind == X_CALL) {
        dump_call(b, e);
    } else {
        strbuf_adds(b, head);
        if (e->kind == X_OP_ANY || e->kind == X_OP_ALL) strbuf_addf(b, " %s", e->op);
        if (e->operand) strbuf_addc(b, ' '), dump_expr(b, e->operand);
        for (int i = 0; i < e->args.n; i++) {
            strbuf_addc(b, ' ');
            dump_expr(b, e->args.v[i]);
        }
        dump_part(b, "else", e->otherwise);
        if (e->kind == X_IS) strbuf_addf(b, " %s", e->op);
        if (e->kind == X_CAST) strbuf_addc(b, ' '), dump_type(b, e->type);
        if (e->name.n) strbuf_addc(b, ' '), dump_name(b, e->name);
        if (e->star) strbuf_adds(b, " *");
        if (e->kind == X_CELL) strbuf_addc(b, ' '), dump_axes(b, e->axes);
        if (e->select) strbuf_addc(b, ' '), dump_select(b, e->select);
    }
    strbuf_addc(b, ')');
}

/* ---- queries ---- */
static void dump_from(struct strbuf *b, const struct ast_from *f)
{
    static const char *const kinds[] = {"", "fn ", "", "grid", "matmul ", "join-", "rows "};
    static const char *const joins[] = {"inner ", "left ", "right ", "full ", "cross "};
    strbuf_addf(b, "(%s%s%s", f->lateral ? "lateral " : "", f->asof ? "asof-" : "",
                f->natural ? "natural-" : "");
    strbuf_adds(b, kinds[f->kind]);
    if (f->kind == FROM_JOIN) strbuf_adds(b, joins[f->join]);
    if (f->kind == FROM_NAME) dump_name(b, f->name);
    if (f->call) dump_expr(b, f->call);
    if (f->select) dump_select(b, f->select);
    if (f->left) {
        dump_from(b, f->left);
        strbuf_addc(b, ' ');
        dump_from(b, f->right);
    }
    if (f->has_axes) strbuf_addc(b, ' '), dump_axes(b, f->axes);
    dump_part(b, "version", f->version);
    dump_part(b, "as-of", f->as_of);
    dump_flag(b, "only", f->only);
    dump_flag(b, "ordinality", f->with_ordinality);
    dump_names(b, "using", f->using_cols);
    dump_part(b, "on", f->on);
    dump_part(b, "tolerance", f->align_tolerance);
    dump_text(b, "as", f->alias);
    dump_names(b, "columns", f->columns);
    for (int i = 0; f->column_types && i < f->columns.n; i++) {
        strbuf_addc(b, ' ');
        dump_type(b, f->column_types[i]);
    }
    strbuf_addc(b, ')');
}

static void dump_froms(struct strbuf *b, struct ast_froms list)
{
    if (!list.n) return;
    strbuf_adds(b, " (from");
    for (int i = 0; i < list.n; i++) {
        strbuf_addc(b, ' ');
        dump_from(b, list.v[i]);
    }
    strbuf_addc(b, ')');
}

static void dump_targets(struct strbuf *b, struct ast_targets list)
{
    for (int i = 0; i < list.n; i++) {
        const struct ast_target *t = &list.v[i];
        strbuf_adds(b, t->bracket ? " [" : " ");
        if (t->e)
            dump_expr(b, t->e);
        else
            strbuf_addc(b, '*');
        if (t->alias) strbuf_addf(b, "/%s", t->alias);
        if (t->bracket) strbuf_addc(b, ']');
    }
}

static void dump_group(struct strbuf *b, const struct ast_group *g)
{
    static const char *const kinds[] = {"", "block ", "rollup", "cube", "sets", "()"};
    strbuf_addf(b, " %s", kinds[g->kind]);
    if (g->e) dump_expr(b, g->e);
    if (g->kind == GROUP_BLOCK) dump_axes(b, g->axes);
    dump_exprs(b, "of", g->list);
    for (int i = 0; i < g->n_sets; i++)
        dump_group(b, &g->sets[i]);
}

static void dump_ctes(struct strbuf *b, int n, const struct ast_cte *ctes, bool recursive)
{
    for (int i = 0; i < n; i++) {
        strbuf_addf(b, " (with%s%s%s", recursive ? "-recursive" : "", ctes[i].name ? " " : "",
                    ctes[i].name ? ctes[i].name : "");
        dump_names(b, "columns", ctes[i].columns);
        dump_names(b, "targets", ctes[i].targets);
        strbuf_addc(b, ' ');
        if (ctes[i].call)
            dump_expr(b, ctes[i].call);
        else
            dump_stmt(b, ctes[i].stmt);
        strbuf_addc(b, ')');
    }
}

static void dump_select(struct strbuf *b, const struct ast_select *s)
{
    static const char *const sets[] = {"", "union", "intersect", "except"};
    strbuf_addf(b, "(%s%s",
                s->set      ? sets[s->set]
                : s->n_rows ? "values"
                            : "select",
                s->set_all ? "-all" : "");
    dump_ctes(b, s->n_ctes, s->ctes, s->recursive);
    if (s->set) {
        strbuf_addc(b, ' ');
        dump_select(b, s->left);
        strbuf_addc(b, ' ');
        dump_select(b, s->right);
    }
    for (int i = 0; i < s->n_rows; i++)
        dump_exprs(b, "row", s->rows[i]);
    dump_flag(b, "distinct", s->distinct);
    dump_exprs(b, "on", s->distinct_on);
    dump_targets(b, s->targets);
    dump_froms(b, s->from);
    dump_part(b, "where", s->where);
    if (s->groups.n) {
        strbuf_addf(b, " (group%s", s->group_distinct ? "-distinct" : "");
        for (int i = 0; i < s->groups.n; i++)
            dump_group(b, &s->groups.v[i]);
        strbuf_addc(b, ')');
    }
    dump_part(b, "having", s->having);
    for (int i = 0; i < s->n_windows; i++) {
        strbuf_addf(b, " (%s ", s->windows[i].name);
        dump_window(b, s->windows[i].w);
        strbuf_addc(b, ')');
    }
    dump_sorts(b, "order", s->order);
    dump_part(b, "limit", s->limit);
    dump_part(b, "offset", s->offset);
    dump_text(b, "for", s->locking);
    strbuf_addc(b, ')');
}

/* ---- statements ---- */
static void dump_column(struct strbuf *b, const struct ast_column *d)
{
    strbuf_addf(b, " (%s ", d->name);
    dump_type(b, d->type);
    if (d->dim == DIM_RANGE) strbuf_adds(b, " dim["), dump_axis(b, &d->range), strbuf_addc(b, ']');
    dump_flag(b, "dim", d->dim == DIM_GROWING);
    dump_exprs(b, "dim", d->labels);
    if (d->tile) strbuf_addf(b, " (tile %lld)", (long long)d->tile);
    dump_flag(b, "not-null", d->not_null);
    dump_flag(b, "null", d->null);
    dump_flag(b, "primary-key", d->primary_key);
    dump_flag(b, "unique", d->unique);
    dump_part(b, "default", d->deflt);
    dump_text(b, "codec", d->codec);
    dump_flag(b, "identity", d->identity);
    for (int i = 0; i < d->checks.n; i++)
        dump_part(b, "check", d->checks.v[i].e);
    strbuf_addc(b, ')');
}

static void dump_options(struct strbuf *b, struct ast_options list)
{
    for (int i = 0; i < list.n; i++) {
        const struct ast_option *o = &list.v[i];
        strbuf_addf(b, " {%s", o->name);
        if (o->value) strbuf_addf(b, o->value_is_string ? "='%s'" : "=%s", o->value);
        dump_names(b, "list", o->list);
        if (o->e) strbuf_addc(b, '='), dump_expr(b, o->e);
        strbuf_addc(b, '}');
    }
}

static void dump_sets(struct strbuf *b, const char *label, struct ast_sets list)
{
    for (int i = 0; i < list.n; i++) {
        strbuf_addf(b, " (%s", label);
        dump_names(b, "columns", list.v[i].columns);
        strbuf_addc(b, ' ');
        dump_expr(b, list.v[i].e);
        strbuf_addc(b, ')');
    }
}

static void dump_change(struct strbuf *b, const struct ast_stmt *s)
{
    static const char *const conflicts[] = {"", " on-conflict-error", " on-conflict-ignore",
                                            " on-conflict-replace", " on-conflict-update"};
    dump_text(b, "as", s->alias);
    if (s->has_axes) strbuf_addc(b, ' '), dump_axes(b, s->axes);
    dump_names(b, "columns", s->columns);
    dump_flag(b, "default-values", s->default_values);
    dump_sets(b, "set", s->sets);
    dump_froms(b, s->from);
    dump_part(b, "where", s->where);
    strbuf_adds(b, conflicts[s->on_conflict]);
    dump_names(b, "conflict", s->conflict_columns);
    dump_sets(b, "conflict-set", s->conflict_sets);
    dump_part(b, "conflict-where", s->conflict_where);
    if (s->returning.n) {
        strbuf_adds(b, " (returning");
        dump_targets(b, s->returning);
        strbuf_addc(b, ')');
    }
}

static void dump_define(struct strbuf *b, const struct ast_stmt *s)
{
    static const char *const alters[] = {"rename", "rename-column", "add",        "drop-column",
                                         "resize", "tile", "set",           "column-set", "owner"};
    static const char *const drops[] = {"array",        "table",    "view", "function", "index",
                                        "materialized", "schedule", "role", "schema"};
    static const char *const comments[] = {"array",    "table",     "column",  "view",
                                           "function", "dimension", "schedule"};
    for (int i = 0; i < s->defs.n; i++)
        dump_column(b, &s->defs.v[i]);
    dump_names(b, "primary-key", s->primary_key);
    for (int i = 0; i < s->n_uniques; i++)
        dump_names(b, "unique", s->uniques[i]);
    for (int i = 0; i < s->checks.n; i++)
        dump_part(b, "check", s->checks.v[i].e);
    dump_names(b, "params", s->params);
    dump_part(b, "body", s->expr);
    if (s->kind == S_ALTER) strbuf_addf(b, " %s %s", drops[s->drop], alters[s->alter]);
    if (s->kind == S_DROP) strbuf_addf(b, " %s", drops[s->drop]);
    if (s->kind == S_COMMENT) strbuf_addf(b, " %s", comments[s->comment]);
    dump_flag(b, "part-if-exists", s->part_if_exists);
    dump_flag(b, "part-if-not-exists", s->part_if_not_exists);
    dump_text(b, "from", s->from_name);
    dump_text(b, "to", s->to_name);
}

static void dump_session(struct strbuf *b, const struct ast_stmt *s)
{
    static const char *const ends[] = {"file", "stdin", "stdout", "program"};
    if (s->kind == S_COPY)
        strbuf_addf(b, " %s-%s", s->copy_from ? "from" : "to", ends[s->end_kind]);
    dump_text(b, "file", s->file);
    dump_flag(b, "read-only", s->read_only);
    dump_flag(b, "read-write", s->read_write);
    dump_flag(b, "chain", s->chain);
    dump_text(b, "isolation", s->isolation);
    dump_flag(b, "local", s->local);
    dump_flag(b, "all", s->all);
    dump_names(b, "values", s->values);
    for (int i = 0; i < s->n_types; i++) {
        strbuf_addc(b, ' ');
        dump_type(b, s->types[i]);
    }
    dump_exprs(b, "exprs", s->exprs);
    dump_flag(b, "analyze", s->analyze);
    dump_flag(b, "verbose", s->verbose);
    dump_flag(b, "scroll", s->scroll);
    dump_flag(b, "hold", s->hold);
    dump_flag(b, "binary", s->binary);
    dump_text(b, "format", s->format);
    dump_text(b, "direction", s->direction);
    if (s->has_count) strbuf_addf(b, " (count %lld)", (long long)s->count);
    if (s->has_keep) strbuf_addf(b, " (keep %lld)", (long long)s->keep);
    dump_flag(b, "grant-option", s->grant_option);
}

static void dump_stmt(struct strbuf *b, const struct ast_stmt *s)
{
    static const char *const kinds[] = {
#define X(id, tag) #id,
        STMT_LIST(X)
#undef X
    };
    if (s->kind == S_SELECT) {
        dump_select(b, s->select);
        return;
    }
    strbuf_addf(b, "(%s", kinds[s->kind]);
    dump_ctes(b, s->n_ctes, s->ctes, s->recursive);
    if (s->name.n) strbuf_addc(b, ' '), dump_name(b, s->name);
    for (int i = 0; i < s->n_names; i++) {
        strbuf_addc(b, ' ');
        dump_name(b, s->names[i]);
    }
    dump_flag(b, "or-replace", s->or_replace);
    dump_flag(b, "if-exists", s->if_exists);
    dump_flag(b, "if-not-exists", s->if_not_exists);
    dump_flag(b, "temporary", s->temporary);
    dump_flag(b, "table", s->is_table);
    dump_flag(b, "cascade", s->cascade);
    dump_change(b, s);
    dump_define(b, s);
    dump_session(b, s);
    dump_options(b, s->options);
    if (s->select && !(s->inner && s->inner->kind == S_SELECT))
        strbuf_addc(b, ' '), dump_select(b, s->select);
    if (s->inner) strbuf_addc(b, ' '), dump_stmt(b, s->inner);
    strbuf_addc(b, ')');
}

#endif
