/* How do the grammar's actions build expressions and queries? */
#include "query/parse_tree.h"
#include "query/parse_gen.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *tree_room(struct parser *p, const void *v, int n, size_t bytes)
{
    if (n == 0) return arena_alloc(p->c->arena, 4 * bytes);
    if (n >= 4 && (n & (n - 1)) == 0) {
        void *more = arena_alloc(p->c->arena, 2 * (size_t)n * bytes);
        return memcpy(more, v, (size_t)n * bytes);
    }
    return (void *)(uintptr_t)v;
}

void parse_mistake(struct parser *p, enum status code, int pos, const char *fmt, ...)
{
    char message[sizeof p->c->err.message];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    p->status = fail_at(p->c, code, pos, "%s", message);
}

void parse_too_deep(struct parser *p)
{
    if (p->status < 0) return;
    parse_mistake(p, ERR_TOO_COMPLEX, p->cur.pos, "stack depth limit exceeded");
    p->status = detail(p->c, "Expressions and queries nest at most %d deep.", TREE_DEPTH_MAX);
}

/* ---- depth ---- */
static int deeper(int depth, int other)
{
    return depth > other ? depth : other;
}
static int depth_expr(int depth, const struct ast_expr *e)
{
    return e ? deeper(depth, e->depth) : depth;
}
static int depth_exprs(int depth, struct ast_exprs list)
{
    for (int i = 0; i < list.n; i++)
        depth = depth_expr(depth, list.v[i]);
    return depth;
}
static int depth_axes(int depth, struct ast_axes list)
{
    for (int i = 0; i < list.n; i++) {
        depth = depth_expr(depth, list.v[i].lo);
        depth = depth_expr(depth, list.v[i].hi);
        depth = depth_expr(depth, list.v[i].step);
        depth = depth_expr(depth, list.v[i].tolerance);
    }
    return depth;
}
static int depth_sorts(int depth, struct ast_sorts list)
{
    for (int i = 0; i < list.n; i++)
        depth = depth_expr(depth, list.v[i].e);
    return depth;
}
static int depth_window(int depth, const struct ast_window *w)
{
    if (!w) return depth;
    depth = depth_axes(depth, w->axes);
    depth = depth_exprs(depth, w->partition);
    depth = depth_sorts(depth, w->order);
    depth = depth_expr(depth, w->from_expr);
    return depth_expr(depth, w->to_expr);
}
static int depth_groups(int depth, int n, const struct ast_group *v)
{
    for (int i = 0; i < n; i++) {
        depth = depth_expr(depth, v[i].e);
        depth = depth_axes(depth, v[i].axes);
        depth = depth_exprs(depth, v[i].list);
        for (int k = 0; k < v[i].n_sets; k++) {
            depth = depth_expr(depth, v[i].sets[k].e);
            depth = depth_exprs(depth, v[i].sets[k].list);
        }
    }
    return depth;
}
static int depth_ctes(int depth, int n, const struct ast_cte *v)
{
    for (int i = 0; i < n; i++) {
        depth = depth_expr(depth, v[i].call);
        const struct ast_select *s = v[i].stmt ? v[i].stmt->select : NULL;
        if (s) depth = deeper(depth, s->depth);
    }
    return depth;
}

static int checked(struct parser *p, int below)
{
    if (below >= TREE_DEPTH_MAX) parse_too_deep(p);
    return below + 1;
}

struct ast_expr *tree_done(struct parser *p, struct ast_expr *e)
{
    int depth = depth_exprs(0, e->args);
    depth = depth_expr(depth, e->operand);
    depth = depth_expr(depth, e->otherwise);
    depth = depth_expr(depth, e->filter);
    depth = depth_axes(depth, e->axes);
    depth = depth_sorts(depth, e->order);
    depth = depth_window(depth, e->over);
    if (e->select) depth = deeper(depth, e->select->depth);
    e->depth = checked(p, depth);
    return e;
}

struct ast_select *tree_select_done(struct parser *p, struct ast_select *s)
{
    int depth = depth_ctes(0, s->n_ctes, s->ctes);
    if (s->left) depth = deeper(deeper(depth, s->left->depth), s->right->depth);
    for (int i = 0; i < s->n_rows; i++)
        depth = depth_exprs(depth, s->rows[i]);
    depth = depth_exprs(depth, s->distinct_on);
    for (int i = 0; i < s->targets.n; i++)
        depth = depth_expr(depth, s->targets.v[i].e);
    for (int i = 0; i < s->from.n; i++)
        depth = deeper(depth, s->from.v[i]->depth);
    depth = depth_expr(depth, s->where);
    depth = depth_expr(depth, s->having);
    depth = depth_groups(depth, s->groups.n, s->groups.v);
    for (int i = 0; i < s->n_windows; i++)
        depth = depth_window(depth, s->windows[i].w);
    depth = depth_sorts(depth, s->order);
    depth = depth_expr(depth, s->limit);
    depth = depth_expr(depth, s->offset);
    s->depth = checked(p, depth);
    return s;
}

struct ast_from *tree_from_done(struct parser *p, struct ast_from *f)
{
    int depth = depth_axes(0, f->axes);
    if (f->select) depth = deeper(depth, f->select->depth);
    if (f->left) depth = deeper(deeper(depth, f->left->depth), f->right->depth);
    depth = depth_expr(depth, f->call);
    depth = depth_expr(depth, f->as_of);
    depth = depth_expr(depth, f->on);
    depth = depth_expr(depth, f->align_tolerance);
    f->depth = checked(p, depth);
    return f;
}

/* ---- names, types, axes ---- */
struct ast_name tree_name1(struct parser *p, const struct token *t)
{
    return tree_name_add(p, (struct ast_name){.pos = t->pos}, t->text);
}

struct ast_name tree_name_add(struct parser *p, struct ast_name name, const char *part)
{
    struct ast_names parts = {name.n, name.part};
    ADD(p, &parts, part);
    return (struct ast_name){parts.n, parts.v, name.pos};
}

struct ast_name tree_setting(struct parser *p, struct ast_name name)
{
    const char *text = name.part[0];
    for (int i = 1; i < name.n; i++)
        text = arena_printf(p->c->arena, "%s.%s", text, name.part[i]);
    name.part[0] = text;
    name.n = 1;
    return name;
}

struct ast_type *tree_type(struct parser *p, const struct token *t, const char *name)
{
    struct ast_type *type = arena_new_of(p->c->arena, struct ast_type);
    type->name = name;
    type->pos = t->pos;
    return type;
}

struct ast_axis *tree_axis(struct parser *p, enum axis_item_kind kind, int pos)
{
    struct ast_axis *a = arena_new_of(p->c->arena, struct ast_axis);
    a->kind = kind;
    a->pos = pos;
    return a;
}

/* ---- expressions ---- */
struct ast_expr *tree_expr(struct parser *p, enum ast_expr_kind kind, int pos)
{
    struct ast_expr *e = arena_new_of(p->c->arena, struct ast_expr);
    e->kind = kind;
    e->pos = pos;
    e->depth = 1;
    return e;
}

struct ast_expr *tree_literal(struct parser *p, enum ast_expr_kind kind, const struct token *t)
{
    struct ast_expr *e = tree_expr(p, kind, t->pos);
    e->text = t->text;
    e->text_len = t->len;
    return e;
}

struct ast_expr *tree_number(struct parser *p, const struct token *t)
{
    return tree_literal(p, t->kind == TK_ICONST ? X_INT : X_FLOAT, t);
}

struct ast_expr *tree_args(struct parser *p, enum ast_expr_kind kind, int pos,
                           struct ast_exprs args)
{
    struct ast_expr *e = tree_expr(p, kind, pos);
    e->args = args;
    return tree_done(p, e);
}

/* A list of those of up to four expressions that are not NULL. */
static struct ast_exprs listed(struct parser *p, struct ast_expr *a, struct ast_expr *b,
                               struct ast_expr *c, struct ast_expr *d)
{
    struct ast_expr *const all[] = {a, b, c, d};
    struct ast_exprs list = {0};
    for (int i = 0; i < 4 && all[i]; i++)
        ADD(p, &list, all[i]);
    return list;
}

struct ast_expr *tree_op(struct parser *p, const char *op, int pos, struct ast_expr *a,
                         struct ast_expr *b, struct ast_expr *c)
{
    struct ast_expr *e = tree_args(p, X_OP, pos, listed(p, a, b, c, NULL));
    e->op = op;
    return e;
}

struct ast_expr *tree_is(struct parser *p, const char *what, int pos, struct ast_expr *a, bool not )
{
    struct ast_expr *e = tree_op(p, what, pos, a, NULL, NULL);
    e->kind = X_IS;
    e->flag = not ;
    return e;
}

struct ast_expr *tree_in(struct parser *p, int pos, struct ast_expr *e, struct ast_expr *right,
                         bool not )
{
    struct ast_expr *in = tree_expr(p, X_IN, pos);
    ADD(p, &in->args, e);
    for (int i = 0; i < right->args.n; i++)
        ADD(p, &in->args, right->args.v[i]);
    in->select = right->select;
    in->flag = not ;
    return tree_done(p, in);
}

struct ast_expr *tree_select_expr(struct parser *p, enum ast_expr_kind kind, int pos,
                                  struct ast_select *s)
{
    struct ast_expr *e = tree_expr(p, kind, pos);
    e->select = s;
    return tree_done(p, e);
}

struct ast_expr *tree_typed(struct parser *p, const struct token *type, const struct token *text)
{
    struct ast_expr *e = tree_literal(p, X_TYPED, text);
    e->pos = type->pos;
    e->type = tree_type(p, type, type->text);
    return e;
}

struct ast_expr *tree_cast(struct parser *p, int pos, struct ast_expr *x, struct ast_type *type)
{
    struct ast_expr *e = tree_args(p, X_CAST, pos, listed(p, x, NULL, NULL, NULL));
    e->type = type;
    return e;
}

struct ast_expr *tree_name(struct parser *p, struct ast_name name)
{
    struct ast_expr *e = tree_expr(p, X_NAME, name.pos);
    e->name = name;
    return e;
}

struct ast_expr *tree_call(struct parser *p, const struct token *name, struct ast_expr *a,
                           struct ast_expr *b, struct ast_expr *c, struct ast_expr *d)
{
    struct ast_expr *e = tree_args(p, X_CALL, name->pos, listed(p, a, b, c, d));
    e->name = tree_name1(p, name);
    return e;
}

struct ast_expr *tree_call_args(struct parser *p, struct ast_name name, struct call_args *args)
{
    struct ast_expr *e = tree_expr(p, X_CALL, name.pos);
    e->name = name;
    if (!args) return e;
    e->args = args->exprs;
    e->arg_names = args->named ? args->names.v : NULL;
    e->variadic = args->variadic;
    return tree_done(p, e);
}

void tree_add_arg(struct parser *p, struct call_args *args, const char *name, struct ast_expr *e)
{
    if (args->named && !name)
        parse_mistake(p, ERR_SYNTAX, e->pos, "positional argument cannot follow named argument");
    ADD(p, &args->exprs, e);
    ADD(p, &args->names, name);
    args->named = args->named || name;
}

struct ast_expr *tree_trim(struct parser *p, const struct token *name, struct ast_exprs args)
{
    struct ast_expr *e = tree_args(p, X_CALL, name->pos, args);
    e->name = tree_name1(p, name);
    return e;
}

struct ast_expr *tree_bracket(struct parser *p, int pos, struct ast_axes axes)
{
    struct ast_expr *e = tree_expr(p, X_CELL, pos);
    e->axes = axes;
    return tree_done(p, e);
}

struct ast_expr *tree_column(struct parser *p, const struct token *first, struct inds rest)
{
    struct ast_expr *e = tree_name(p, tree_name1(p, first));
    int i = 0;
    for (; i < rest.n && rest.v[i].kind == IND_NAME; i++)
        e->name = tree_name_add(p, e->name, rest.v[i].name);
    if (i < rest.n && rest.v[i].kind == IND_STAR) {
        e->star = true;
        i++;
        if (i < rest.n) parse_mistake(p, ERR_SYNTAX, rest.v[i].pos, "improper use of \"*\"");
    }
    return tree_indirect(p, e, (struct inds){rest.n - i, rest.v + i});
}

struct ast_expr *tree_indirect(struct parser *p, struct ast_expr *e, struct inds rest)
{
    for (int i = 0; i < rest.n; i++) {
        const struct ind *ind = &rest.v[i];
        struct ast_expr *base = e;
        e = tree_expr(p, ind->kind == IND_BRACKET ? X_CELL : X_FIELD, ind->pos);
        ADD(p, &e->args, base);
        e->axes = ind->axes;
        e->star = ind->kind == IND_STAR;
        if (ind->name) e->name = tree_name_add(p, (struct ast_name){.pos = ind->pos}, ind->name);
        if (e->star && i + 1 < rest.n)
            parse_mistake(p, ERR_SYNTAX, rest.v[i + 1].pos, "improper use of \"*\"");
        tree_done(p, e);
    }
    return e;
}

struct ast_name tree_function_name(struct parser *p, const struct token *first, struct inds rest)
{
    struct ast_name name = tree_name1(p, first);
    for (int i = 0; i < rest.n; i++) {
        if (rest.v[i].kind != IND_NAME) {
            parse_syntax_error(p, &p->cur);
            break;
        }
        name = tree_name_add(p, name, rest.v[i].name);
    }
    return name;
}

/* ---- queries ---- */
struct ast_select *tree_select(struct parser *p, int pos)
{
    struct ast_select *s = arena_new_of(p->c->arena, struct ast_select);
    s->pos = pos;
    return s;
}

struct ast_select *tree_set(struct parser *p, enum set_op op, bool all, struct ast_select *left,
                            struct ast_select *right)
{
    struct ast_select *s = tree_select(p, left->pos);
    s->set = op;
    s->set_all = all;
    s->left = left;
    s->right = right;
    return tree_select_done(p, s);
}

struct ast_select *tree_with(struct parser *p, struct ast_select *s, const struct with *w)
{
    if (s->n_ctes) parse_mistake(p, ERR_SYNTAX, s->pos, "multiple WITH clauses not allowed");
    s->n_ctes = w->list.n;
    s->ctes = w->list.v;
    s->recursive = w->recursive;
    s->pos = w->pos;
    return tree_select_done(p, s);
}

struct tail *tree_tail_new(struct parser *p, struct ast_sorts order, const struct tail *limits)
{
    struct tail *t = arena_new_of(p->c->arena, struct tail);
    if (limits) *t = *limits;
    t->order = order;
    return t;
}

struct tail *tree_limit(struct parser *p, int pos, struct ast_expr *e)
{
    struct tail *t = arena_new_of(p->c->arena, struct tail);
    t->has_limit = true;
    t->limit = e;
    t->limit_pos = pos;
    return t;
}

struct ast_select *tree_tail(struct parser *p, struct ast_select *s, const struct tail *t)
{
    if (t->order.n && s->order.n)
        parse_mistake(p, ERR_SYNTAX, t->order.v[0].e->pos, "multiple ORDER BY clauses not allowed");
    if (t->has_limit && s->limit)
        parse_mistake(p, ERR_SYNTAX, t->limit ? t->limit->pos : t->limit_pos,
                      "multiple LIMIT clauses not allowed");
    if (t->offset && s->offset)
        parse_mistake(p, ERR_SYNTAX, t->offset->pos, "multiple OFFSET clauses not allowed");
    if (t->order.n) s->order = t->order;
    if (t->limit) s->limit = t->limit;
    if (t->offset) s->offset = t->offset;
    if (t->locking) s->locking = t->locking;
    return tree_select_done(p, s);
}

struct ast_select *tree_select_all(struct parser *p, struct ast_from *f)
{
    struct ast_select *s = tree_select(p, f->pos);
    ADD(p, &s->targets, (struct ast_target){.pos = f->pos});
    ADD(p, &s->from, f);
    return tree_select_done(p, s);
}

struct ast_from *tree_from(struct parser *p, enum from_kind kind, int pos)
{
    struct ast_from *f = arena_new_of(p->c->arena, struct ast_from);
    f->kind = kind;
    f->pos = pos;
    f->depth = 1;
    return f;
}

struct ast_from *tree_from_call(struct parser *p, struct ast_expr *call)
{
    struct ast_from *f = tree_from(p, FROM_FUNCTION, call->pos);
    f->call = call;
    f->name = call->name;
    return tree_from_done(p, f);
}

struct ast_from *tree_pair(struct parser *p, enum from_kind kind, struct ast_from *left,
                           struct ast_from *right)
{
    struct ast_from *f = tree_from(p, kind, left->pos);
    f->left = left;
    f->right = right;
    return tree_from_done(p, f);
}

struct ast_from *tree_alias(struct parser *p, struct ast_from *f, const struct alias *a)
{
    if (!a) return f;
    f->alias = a->name;
    f->columns = a->columns;
    if (a->typed.n) {
        f->column_types = arena_array(p->c->arena, struct ast_type *, a->typed.n);
        for (int i = 0; i < a->typed.n; i++) {
            ADD(p, &f->columns, a->typed.v[i].name);
            f->column_types[i] = a->typed.v[i].type;
        }
    }
    return f;
}

struct ast_from *tree_join(struct parser *p, struct ast_from *f, enum join_kind kind,
                           const struct join_how *how, struct ast_expr *tolerance)
{
    f->join = kind;
    f->align_tolerance = tolerance;
    if (how) {
        f->on = how->on;
        f->using_cols = how->using_cols;
    }
    return tree_from_done(p, f);
}
