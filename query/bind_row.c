/* What do rows of values mean: (a, b) = (c, d), (a, b) < (SELECT x, y), (a, b) IN ((1, 2), (3, 4))?
 * Comparisons of their values, one by one. */
#include "query/bind_internal.h"

struct row {
    int n;
    struct expr **v;
};

static enum status call(struct binder *b, const char *name, struct expr *x, struct expr *y, int pos,
                        struct expr **out)
{
    struct expr *args[2] = {x, y};
    return expr_make_call(b->c, name, args, 2, place(b, pos), out);
}

/* n: the values that a sub-query has to give. */
static enum status bind_row(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                            int n, struct row *out)
{
    *out = (struct row){n, arena_array(b->c->arena, struct expr *, n + 1)};
    if (e->kind == X_SUBQUERY) return bind_subquery_row(b, in, e, n, out->v);
    if (e->kind != X_ROW)
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos),
                       "a row of %d values is wanted here", n);
    if (e->args.n != n)
        return fail_at(b->c, ERR_SYNTAX, place(b, e->pos),
                       "unequal number of entries in row expressions");
    for (int i = 0; i < n; i++)
        TRY(bind_expr(b, in, e->args.v[i], &out->v[i]));
    return OK;
}

static enum status join(struct binder *b, const char *op, struct expr **parts, int n, int pos,
                        struct expr **out)
{
    *out = parts[0];
    return n == 1 ? OK : expr_make_call(b->c, op, parts, n, place(b, pos), out);
}

static enum status each(struct binder *b, const char *op, const char *between, const struct row *x,
                        const struct row *y, int pos, struct expr **out)
{
    struct expr **parts = arena_array(b->c->arena, struct expr *, x->n + 1);
    for (int i = 0; i < x->n; i++)
        TRY(call(b, op, x->v[i], y->v[i], pos, &parts[i]));
    return join(b, between, parts, x->n, pos, out);
}

/* The first values decide unless they are equal: x < y is x1 < y1 or (x1 = y1 and (x2 < y2 or …)).
 */
static enum status in_order(struct binder *b, const char *op, const struct row *x,
                            const struct row *y, int pos, struct expr **out)
{
    char strictly[2] = {op[0], 0};
    int last = x->n - 1;
    TRY(call(b, op, x->v[last], y->v[last], pos, out));
    for (int i = last - 1; i >= 0; i--) {
        struct expr *less, *equal;
        TRY(call(b, strictly, x->v[i], y->v[i], pos, &less));
        TRY(call(b, "=", x->v[i], y->v[i], pos, &equal));
        TRY(call(b, "and", equal, *out, pos, &equal));
        TRY(call(b, "or", less, equal, pos, out));
    }
    return OK;
}

static enum status distinct(struct binder *b, const struct row *x, const struct row *y,
                            bool negated, int pos, struct expr **out)
{
    struct expr **parts = arena_array(b->c->arena, struct expr *, x->n + 1);
    for (int i = 0; i < x->n; i++)
        TRY(expr_make_distinct(b->c, x->v[i], y->v[i], negated, place(b, pos), &parts[i]));
    return join(b, negated ? "and" : "or", parts, x->n, pos, out);
}

enum status bind_row_comparison(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out)
{
    static const char *const ordered[] = {"<", "<=", ">", ">="};
    const struct ast_expr *const *sides = (const struct ast_expr *const *)e->args.v;
    int n = sides[0]->kind == X_ROW ? sides[0]->args.n : sides[1]->args.n;
    struct row x, y;
    if (n == 0)
        return fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
                       "cannot compare rows of zero length");
    TRY(bind_row(b, in, sides[0], n, &x));
    TRY(bind_row(b, in, sides[1], n, &y));
    if (e->kind == X_DISTINCT) return distinct(b, &x, &y, e->flag, e->pos, out);
    if (!strcmp(e->op, "=")) return each(b, "=", "and", &x, &y, e->pos, out);
    if (!strcmp(e->op, "<>")) return each(b, "<>", "or", &x, &y, e->pos, out);
    for (size_t i = 0; i < sizeof ordered / sizeof *ordered; i++)
        if (!strcmp(e->op, ordered[i])) return in_order(b, e->op, &x, &y, e->pos, out);
    return fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
                   "could not determine interpretation of row comparison operator %s", e->op);
}

enum status bind_row_in(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                        struct expr **out)
{
    struct row x, y;
    int n = e->args.v[0]->args.n, n_rows = e->args.n - 1;
    struct expr **equal = arena_array(b->c->arena, struct expr *, n_rows + 1);
    TRY(bind_row(b, in, e->args.v[0], n, &x));
    for (int i = 0; i < n_rows; i++) {
        TRY(bind_row(b, in, e->args.v[i + 1], n, &y));
        TRY(each(b, "=", "and", &x, &y, e->args.v[i + 1]->pos, &equal[i]));
    }
    TRY(join(b, "or", equal, n_rows, e->pos, out));
    return e->flag ? expr_make_call(b->c, "not", out, 1, place(b, e->pos), out) : OK;
}

enum status bind_row_null(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                          struct expr **out)
{
    struct row x;
    TRY(bind_row(b, in, e->args.v[0], e->args.v[0]->args.n, &x));
    struct expr **parts = arena_array(b->c->arena, struct expr *, x.n + 1);
    for (int i = 0; i < x.n; i++)
        TRY(expr_make_is_null(b->c, x.v[i], e->flag, place(b, e->pos), &parts[i]));
    return join(b, "and", parts, x.n, e->pos, out);
}
