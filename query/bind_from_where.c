/* FROM a, b, c WHERE …: which equalities of WHERE join the items, and in which order?
 *
 * In the order written while each item has an equality with those before it. Where one has none,
 * the smallest of those that have is joined first, so that no cross product is made that a join
 * could do without. A list of rows is sorted back; an array, whose cells nobody lists, is never
 * joined in another order. */
#include "query/bind_internal.h"

enum { ORDERED_MAX = 32 }; /* items, of which the order is looked for */

/* Names, literals and arithmetic: what may be bound to try. */
static bool is_plain(const struct ast_expr *e)
{
    switch (e->kind) {
    case X_INT:
    case X_FLOAT:
    case X_STRING:
    case X_TYPED:
        return true;
    case X_NAME:
        return !e->star;
    case X_POSITION:
        return true;
    case X_OP:
    case X_CAST:
        for (int i = 0; i < e->args.n; i++)
            if (!is_plain(e->args.v[i])) return false;
        return true;
    default:
        return false;
    }
}

static const struct ast_expr *both_hold(struct binder *b, const struct ast_expr *x,
                                        const struct ast_expr *y)
{
    if (!x) return y;
    struct ast_expr *e = arena_dup(b->c->arena, x, sizeof *x);
    *e = (struct ast_expr){.kind = X_OP, .op = "and", .pos = x->pos, .depth = x->depth + 1};
    e->args.n = 2;
    e->args.v = arena_array(b->c->arena, struct ast_expr *, 2);
    e->args.v[0] = arena_dup(b->c->arena, x, sizeof *x);
    e->args.v[1] = arena_dup(b->c->arena, y, sizeof *y);
    return e;
}

struct wheres { /* the conditions of WHERE that AND connects */
    int n;
    const struct ast_expr **v;
    bool *used; /* the join looks at it */
};

static void split_where(struct binder *b, const struct ast_expr *e, struct wheres *w)
{
    if (!e) return;
    if (e->kind == X_OP && e->args.n == 2 && !strcmp(e->op, "and")) {
        split_where(b, e->args.v[0], w);
        split_where(b, e->args.v[1], w);
        return;
    }
    if ((w->n & (w->n - 1)) == 0) {
        const struct ast_expr **v =
            arena_array(b->c->arena, const struct ast_expr *, w->n ? 2 * w->n : 1);
        if (w->n) memcpy(v, w->v, sizeof *v * (size_t)w->n);
        w->v = v;
    }
    w->v[w->n++] = e;
}

static bool may_join(const struct wheres *w, int i)
{
    const struct ast_expr *e = w->v[i];
    bool equality = e->kind == X_OP && e->args.n == 2 && !strcmp(e->op, "=");
    return !w->used[i] && equality && is_plain(e);
}

/* A comma joins on the equalities of WHERE that are about both sides, if such a join can be. */
static enum status join_item(struct binder *b, int pos, struct wheres *w, struct scope *left,
                             struct scope *right, struct scope *out)
{
    struct ast_from joined = {.kind = FROM_JOIN, .pos = pos, .join = JOIN_CROSS};
    bool *takes = arena_array(b->c->arena, bool, w->n + 1);
    const struct ast_expr *on = NULL;
    struct ctx quiet = *b->c;
    struct binder tried = *b;
    ctx_clear(&quiet);
    tried.c = &quiet;
    for (int i = 0; i < w->n; i++) {
        const struct ast_expr *e = w->v[i];
        if (!may_join(w, i)) continue;
        takes[i] = joins_both(&tried, e, left, right);
        ctx_clear(&quiet);
        if (takes[i]) on = both_hold(b, on, e);
    }
    if (!on) return bind_cross(b, pos, left, right, out);
    struct scope l = *left, r = *right;
    joined.on = arena_dup(b->c->arena, on, sizeof *on);
    if (bind_join(&tried, &joined, &l, &r, out) < 0) return bind_cross(b, pos, left, right, out);
    for (int i = 0; i < w->n; i++)
        w->used[i] |= takes[i];
    return OK;
}

/* What is left of WHERE. The others are bound once more: their names must be clear among all items.
 */
static enum status rest_of_where(struct binder *b, const struct wheres *w, const struct scope *s,
                                 const struct ast_expr *where, const struct ast_expr **rest)
{
    bool any = false;
    for (int i = 0; i < w->n; i++)
        any |= w->used[i];
    *rest = any ? NULL : where;
    for (int i = 0; i < w->n && any; i++) {
        struct expr_place in = {.scope = s, .clause = "WHERE"};
        struct expr *e;
        if (w->used[i])
            TRY(bind_condition(b, &in, w->v[i], &e));
        else
            *rest = both_hold(b, *rest, w->v[i]);
    }
    return OK;
}

/* ---- items ---- */

struct item {
    const struct ast_from *f;
    int pos; /* of the comma or CROSS JOIN before it */
    struct scope scope;
    double cells;
    bool done;
};
struct items {
    struct binder *b;
    int n, n_order;
    struct item *v;
    int *order; /* in which they are joined */
    struct wheres w;
};

/* CROSS JOIN says what a comma does. */
static bool is_cross(const struct ast_from *f)
{
    return f->kind == FROM_JOIN && f->join == JOIN_CROSS && !f->natural && !f->asof && !f->on &&
           !f->using_cols.n && !f->align_tolerance && !f->alias && !f->columns.n &&
           !f->column_types && !f->has_axes && !f->lateral;
}

static int count_items(const struct ast_from *f)
{
    return is_cross(f) ? count_items(f->left) + count_items(f->right) : 1;
}

static void add_items(struct items *l, const struct ast_from *f, int pos)
{
    if (is_cross(f)) {
        add_items(l, f->left, pos);
        add_items(l, f->right, f->pos);
        return;
    }
    l->v[l->n++] = (struct item){.f = f, .pos = pos};
}

/* Dimensions that have no name (the order of a list) as columns that nobody finds: joins turn
 * dimensions into columns, and the rows are sorted by them. */
static void add_unnamed(struct ctx *c, struct scope *s)
{
    const struct rel *r = &s->plan->rel;
    struct scope_col *cols = arena_array(c->arena, struct scope_col, s->n_cols + r->n_dims + 1);
    memcpy(cols, s->cols, sizeof *cols * (size_t)s->n_cols);
    for (int d = 0; d < r->n_dims; d++) {
        bool there = false;
        for (int i = 0; i < s->n_cols; i++)
            there |= s->cols[i].is_dim && s->cols[i].index == d;
        if (there) continue;
        cols[s->n_cols++] =
            (struct scope_col){.is_dim = true, .index = d, .type = dim_type(&r->dims[d])};
    }
    s->cols = cols;
}

/* ---- the order ---- */

static bool connected(struct items *l, const struct scope *joined, const struct item *item)
{
    struct ctx quiet = *l->b->c;
    struct binder tried = *l->b;
    bool found = false;
    tried.c = &quiet;
    for (int i = 0; i < l->w.n && !found; i++) {
        struct scope left = *joined, right = item->scope;
        ctx_clear(&quiet);
        found = may_join(&l->w, i) && joins_both(&tried, l->w.v[i], &left, &right);
    }
    return found;
}

/* The item to be joined next with what is joined: -1 when none has an equality with it. */
static int next_item(struct items *l, const struct scope *joined)
{
    int best = -1;
    bool first = true;
    for (int i = 0; i < l->n; i++) {
        const struct item *item = &l->v[i];
        if (item->done) continue;
        bool better = best < 0 || item->cells < l->v[best].cells;
        if (better && connected(l, joined, item)) best = i;
        if (first && best == i) break;
        first = false;
    }
    return best;
}

static void take(struct items *l, int i, struct scope *out)
{
    l->order[l->n_order++] = i;
    l->v[i].done = true;
    *out = l->v[i].scope;
}

static enum status join_items(struct items *l, bool as_written, struct scope *out)
{
    l->n_order = 0;
    for (int i = 0; i < l->n; i++)
        l->v[i].done = false;
    memset(l->w.used, 0, sizeof *l->w.used * (size_t)l->w.n);
    for (int first = 0; first < l->n; first++) {
        struct scope joined, left, right;
        if (l->v[first].done) continue;
        take(l, first, &joined);
        for (int i; !as_written && (i = next_item(l, &joined)) >= 0;) {
            left = joined;
            take(l, i, &right);
            TRY(join_item(l->b, l->v[i].pos, &l->w, &left, &right, &joined));
        }
        left = *out;
        if (first == 0)
            *out = joined;
        else
            TRY(join_item(l->b, l->v[first].pos, &l->w, &left, &joined, out));
    }
    return OK;
}

static bool in_order(const struct items *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->order[i] != i) return false;
    return true;
}

/* ---- as it was written ---- */

/* Columns and items of the scope in the order written. */
static void order_scope(const struct items *l, struct scope *s)
{
    struct arena *a = l->b->c->arena;
    struct scope old = *s;
    s->items = arena_array(a, const char *, s->n_items + 1);
    s->froms = arena_array(a, const struct ast_from *, s->n_items + 1);
    s->cols = arena_array(a, struct scope_col, s->n_cols + 1);
    s->n_items = s->n_cols = 0;
    for (int k = 0; k < l->n; k++) {
        const struct scope *own = &l->v[k].scope;
        int item = 0, col = 0;
        for (int i = 0; l->order[i] != k; i++) {
            item += l->v[l->order[i]].scope.n_items;
            col += l->v[l->order[i]].scope.n_cols;
        }
        memcpy(s->items + s->n_items, old.items + item, sizeof *s->items * (size_t)own->n_items);
        memcpy(s->froms + s->n_items, old.froms + item, sizeof *s->froms * (size_t)own->n_items);
        for (int i = 0; i < own->n_cols; i++) {
            s->cols[s->n_cols] = old.cols[col + i];
            s->cols[s->n_cols++].item += s->n_items - item;
        }
        s->n_items += own->n_items;
    }
}

static void sort_rows(struct ctx *c, struct scope *s)
{
    struct plan *p = plan_over(c, P_SORT, s->plan->pos, s->plan);
    p->sort = arena_array(c->arena, struct sort_key, s->n_cols + 1);
    for (int i = 0; i < s->n_cols; i++) {
        if (!s->cols[i].position) continue;
        struct expr *e = col_ref(c, &p->rel, s->cols[i].position - 1);
        p->sort[p->n_sort++] = (struct sort_key){.e = e};
    }
    s->plan = p;
}

static void drop_unnamed(struct scope *s)
{
    int n = 0;
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].name || s->cols[i].in_star) s->cols[n++] = s->cols[i];
    s->n_cols = n;
}

static enum status join_in_order(struct items *l, struct scope *out)
{
    bool any = l->n > 2 && l->n <= ORDERED_MAX && l->w.n;
    for (int i = 0; any && i < l->n; i++)
        add_unnamed(l->b->c, &l->v[i].scope);
    TRY(join_items(l, !any, out));
    if (any && !in_order(l)) {
        const struct rel *r = &out->plan->rel;
        if (r->n_dims == 1 && !r->dims[0].axis) {
            order_scope(l, out);
            sort_rows(l->b->c, out);
        } else {
            TRY(join_items(l, true, out));
        }
    }
    if (any) drop_unnamed(out);
    return OK;
}

/* ---- FROM ---- */

enum status bind_from_where(struct binder *b, const struct ast_froms *from,
                            const struct ast_expr *where, const struct scope *outer,
                            struct scope *out, const struct ast_expr **rest)
{
    struct items l = {.b = b};
    int n = 0;
    if (rest) *rest = where;
    for (int i = 0; i < from->n; i++)
        n += count_items(from->v[i]);
    if (n == 0) {
        *out = (struct scope){.outer = outer, .plan = plan_new(b->c, P_ONE, -1, 0)};
        return OK;
    }
    l.v = arena_array(b->c->arena, struct item, n);
    l.order = arena_array(b->c->arena, int, n);
    for (int i = 0; i < from->n; i++)
        add_items(&l, from->v[i], from->v[i]->pos);
    if (n > 1) split_where(b, where, &l.w);
    l.w.used = arena_array(b->c->arena, bool, l.w.n + 1);
    for (int i = 0; i < n; i++) {
        TRY(bind_from(b, l.v[i].f, outer, &l.v[i].scope));
        l.v[i].cells = plan_cells(l.v[i].scope.plan);
    }
    TRY(join_in_order(&l, out));
    out->outer = outer;
    return rest ? rest_of_where(b, &l.w, out, where, rest) : OK;
}

enum status bind_from_list(struct binder *b, const struct ast_froms *from,
                           const struct scope *outer, struct scope *out)
{
    return bind_from_where(b, from, NULL, outer, out, NULL);
}
