/* What do comparisons with the values of an array mean: x = ANY (ARRAY[1, 2]), x > ALL ('{1,2}'),
 * x = ANY ($1)? The comparison with each value. An array that is no literal list is one as
 * PostgreSQL writes it, of the type of what it is compared with. */
#include "query/bind_internal.h"
#include <strings.h>

struct items {
    int n, cap;
    struct expr **v;
    bool null; /* the array itself is NULL */
    bool open; /* a parameter whose value is not known yet */
};

static void add_item(struct ctx *c, struct items *a, struct expr *e)
{
    if (a->n == a->cap) {
        int cap = a->cap ? 2 * a->cap : 16;
        struct expr **v = arena_array(c->arena, struct expr *, cap);
        if (a->n) memcpy(v, a->v, sizeof *v * (size_t)a->n);
        a->v = v;
        a->cap = cap;
    }
    a->v[a->n++] = e;
}

/* ---- '{1,NULL,"a b"}' ---- */

static enum status malformed(struct binder *b, struct text s, int pos)
{
    return fail_at(b->c, ERR_INVALID_TEXT, pos, "malformed array literal: \"%.*s\"", (int)s.len,
                   s.s);
}

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\n\r\f\v", *p))
        p++;
    return p;
}

/* One value from *p; the text in the arena. *quoted: it is no NULL. */
static bool read_item(struct ctx *c, const char **p, const char *end, struct text *out,
                      bool *quoted)
{
    char *to = arena_alloc(c->arena, (size_t)(end - *p) + 1);
    const char *at = *p;
    int64_t n = 0, kept = 0;
    *quoted = at < end && *at == '"';
    if (*quoted) at++;
    for (; at < end; at++) {
        if (*quoted ? *at == '"' : *at == ',' || *at == '}') break;
        if (!*quoted && strchr("{\"", *at)) return false;
        bool escaped = *at == '\\' && at + 1 < end;
        if (escaped) at++;
        to[n++] = *at;
        if (*quoted || escaped || !strchr(" \t\n\r\f\v", *at)) kept = n;
    }
    if (at == end || (!*quoted && kept == 0)) return false;
    *p = *quoted ? at + 1 : at;
    *out = (struct text){to, *quoted ? n : kept};
    return true;
}

static enum status parse_array(struct binder *b, struct text s, enum type type, int pos,
                               struct items *out)
{
    const char *p = skip_space(s.s, s.s + s.len), *end = s.s + s.len;
    if (p == end || *p++ != '{') return malformed(b, s, pos);
    p = skip_space(p, end);
    bool empty = p < end && *p == '}';
    while (!empty) {
        struct text t;
        bool quoted;
        if (!read_item(b->c, &p, end, &t, &quoted)) return malformed(b, s, pos);
        struct value v = value_null(T_UNKNOWN);
        if (quoted || t.len != 4 || strncasecmp(t.s, "null", 4) != 0) {
            v.null = false;
            v.t = t;
        }
        struct expr *e = expr_make_const(b->c, &v, pos);
        if (type != T_UNKNOWN) TRY(expr_make_cast(b->c, e, type, true, pos, &e));
        add_item(b->c, out, e);
        p = skip_space(p, end);
        if (p == end || (*p != ',' && *p != '}')) return malformed(b, s, pos);
        if (*p == '}') break;
        p = skip_space(p + 1, end);
    }
    return p < end && skip_space(p + 1, end) == end ? OK : malformed(b, s, pos);
}

/* ---- arrays ---- */

static enum status of_value(struct binder *b, const struct value *v, enum type type, int pos,
                            struct items *out)
{
    if (v->null) {
        out->null = true;
        return OK;
    }
    if (v->type == T_TEXT || v->type == T_UNKNOWN) return parse_array(b, v->t, type, pos, out);
    if (v->type != T_INT64S)
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "op ANY/ALL (array) requires array on right side");
    for (int64_t i = 0; i < v->t.len / 8; i++) {
        struct value item = {.type = T_INT64};
        memcpy(&item.i, v->t.s + 8 * i, 8);
        add_item(b->c, out, expr_make_const(b->c, &item, pos));
    }
    return OK;
}

static enum status bind_items(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e, enum type type, enum type other,
                              struct items *out)
{
    int pos = place(b, e->pos);
    if (e->kind == X_ARRAY) {
        for (int i = 0; i < e->args.n; i++) {
            struct expr *item;
            TRY(bind_expr(b, in, e->args.v[i], &item));
            if (type != T_UNKNOWN) TRY(expr_make_cast(b->c, item, type, true, pos, &item));
            add_item(b->c, out, item);
        }
        return OK;
    }
    if (e->kind == X_CAST && e->type->array_dims && !e->type->setof) {
        struct ast_type of = *e->type;
        of.array_dims = 0;
        TRY(at(b->c, bind_type(b->c, &of, &type), pos));
        return bind_items(b, in, e->args.v[0], type, other, out);
    }
    struct expr *x;
    TRY(bind_expr(b, in, e, &x));
    if (x->kind == E_CONST) return of_value(b, &x->value, type, pos, out);
    if (x->kind != E_PARAM) return not_yet(b, e->pos, "ANY and ALL over computed arrays are");
    if (x->type == T_UNKNOWN) x->type = type_is_integer(other) ? T_INT64S : T_TEXT;
    out->open = b->env->asked_values = true;
    return OK;
}

static enum status call2(struct binder *b, const char *name, struct expr *x, struct expr *y,
                         int pos, struct expr **out)
{
    struct expr *args[2] = {x, y};
    return expr_make_call(b->c, name, args, 2, pos, out);
}

enum status bind_any_array(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out)
{
    bool any = e->kind == X_OP_ANY;
    int pos = place(b, e->pos);
    struct items a = {0};
    struct expr *x;
    TRY(bind_expr(b, in, e->args.v[0], &x));
    TRY(bind_items(b, in, e->args.v[1], T_UNKNOWN, x->type, &a));
    if (a.null || a.open || a.n == 0) {
        struct value v = a.n || a.null || a.open ? value_null(T_BOOL) : value_int(T_BOOL, !any);
        *out = expr_make_const(b->c, &v, pos);
        return OK;
    }
    if (any && !strcmp(e->op, "=")) return expr_make_in(b->c, x, a.v, a.n, false, pos, out);
    for (int i = 0; i < a.n; i++)
        TRY(call2(b, e->op, x, a.v[i], pos, &a.v[i]));
    return expr_make_call(b->c, any ? "or" : "and", a.v, a.n, pos, out);
}
