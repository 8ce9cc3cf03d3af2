/* What do filled, transpose, reshape, concat, diff and roll mean? */
#include "query/bind_array.h"
#include <limits.h>
#include <math.h>

/* Parameters have no values yet: extents are not what they will be. */
static bool describing(const struct binder *b)
{
    bool open = !b->env->params && b->shared->n_params > 0;
    if (open) b->env->asked_values = true;
    return open;
}

static const char *text_of(struct ctx *c, const struct value *v)
{
    struct strbuf s = STRBUF_INIT;
    value_literal(v, &s);
    const char *text = arena_strdup(c->arena, s.s ? s.s : "");
    strbuf_release(&s);
    return text;
}

/* A node over the array, with its dimensions and columns by their names. */
static struct plan *over_array(struct binder *b, enum plan_kind kind, const struct ast_from *f,
                               const struct scope *in)
{
    struct plan *p = plan_over(b->c, kind, place(b, f->call->pos), in->plan);
    name_relation(b, in, &p->rel);
    return p;
}

/* ---- filled ---- */

/* The value as one of the type, if that holds it: 0 as a DOUBLE, but not 0.5 as an INTEGER. */
static bool can_take(struct ctx *c, enum type t, const struct value *v, struct value *out)
{
    struct ctx quiet = *c;
    struct value back;
    ctx_clear(&quiet);
    *out = value_null(t);
    if (v->null) return true;
    bool quoted = v->type == T_UNKNOWN;
    if (quoted || v->type == t) return value_cast(&quiet, v, t, out) == OK;
    if (type_is_numeric(t) != type_is_numeric(v->type) || type_is_time(t) != type_is_time(v->type))
        return false;
    if (!type_is_numeric(t) && !type_is_time(t)) return false;
    if (value_cast(&quiet, v, t, out) < 0) return false;
    if (type_is_float(t)) return true;
    return value_cast(&quiet, out, v->type, &back) == OK && value_compare(&back, v) == 0;
}

/* want: what a parameter that stands alone is. */
static enum status fill_value(struct binder *b, const struct ast_expr *e, enum type want,
                              struct value *out)
{
    bool known;
    TRY(bind_value(b, e, "filled", want, out, &known));
    if (!known) *out = value_null(T_UNKNOWN);
    return OK;
}

/* filled(a, 0): every attribute that can take the value; the others are NULL. */
static enum status fill_all(struct binder *b, const struct ast_expr *e, struct plan *p)
{
    struct value v, x;
    bool any = false;
    TRY(fill_value(b, e, p->rel.n_cols ? p->rel.cols[0].type : T_INT64, &v));
    for (int i = 0; i < p->rel.n_cols; i++) {
        bool takes = can_take(b->c, p->rel.cols[i].type, &v, &x);
        any |= takes;
        if (!takes) x = value_null(p->rel.cols[i].type);
        p->exprs[i] = expr_make_const(b->c, &x, e->pos);
    }
    if (any || p->rel.n_cols == 0) return OK;
    fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos), "no attribute can be %s",
            text_of(b->c, &v));
    return hint(b->c, "By name: filled(a, %s => …).", p->rel.cols[0].name);
}

static enum status fill_one(struct binder *b, const struct ast_expr *e, const char *name,
                            struct plan *p)
{
    struct value v, x;
    for (int i = 0; i < p->rel.n_cols; i++) {
        const struct rel_col *col = &p->rel.cols[i];
        if (!col->name || strcmp(col->name, name) != 0) continue;
        TRY(fill_value(b, e, col->type, &v));
        if (!can_take(b->c, col->type, &v, &x))
            return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos),
                           "attribute \"%s\" of type %s cannot be %s", name, type_name(col->type),
                           text_of(b->c, &v));
        p->exprs[i] = expr_make_const(b->c, &x, e->pos);
        return OK;
    }
    return fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, e->pos),
                   "the array has no attribute \"%s\"", name);
}

enum status bind_filled(struct binder *b, const struct ast_from *f, struct scope *out)
{
    static const char usage[] = "filled(array, value), or filled(array, v => 0, w => 1)";
    const struct ast_expr *call = f->call;
    struct scope in;
    bool named = call->arg_names && call->args.n > 1 && call->arg_names[1];
    if (call->args.n < 2 || (call->args.n > 2 && !named)) return wrong_args(b, call, usage);
    for (int i = 0; call->arg_names && i < call->args.n; i++)
        if (!call->arg_names[i] != (i == 0)) return wrong_args(b, call, usage);
    TRY(array_arg(b, call, 0, &in));
    struct plan *p = over_array(b, P_FILL, f, &in);
    p->exprs = arena_array(b->c->arena, struct expr *, p->rel.n_cols + 1);
    p->n_exprs = p->rel.n_cols;
    for (int i = 0; i < p->rel.n_cols; i++) {
        struct value none = value_null(p->rel.cols[i].type);
        p->exprs[i] = expr_make_const(b->c, &none, call->pos);
    }
    if (!named) TRY(fill_all(b, call->args.v[1], p));
    for (int i = 1; named && i < call->args.n; i++)
        TRY(fill_one(b, call->args.v[i], call->arg_names[i], p));
    for (int i = 0; i < p->rel.n_cols; i++)
        if (p->exprs[i]->value.null) p->rel.cols[i].not_null = false;
    scope_of_relation(b, f, p, out);
    return OK;
}

/* ---- transpose ---- */

/* Output dimension d is the input's order[d]. */
static struct plan *transposed(struct binder *b, const struct ast_from *f, const struct scope *in,
                               const int *order)
{
    struct plan *p = over_array(b, P_TRANSPOSE, f, in);
    struct rel_dim *dims =
        arena_dup(b->c->arena, p->rel.dims, sizeof *dims * (size_t)p->rel.n_dims);
    p->dim_of = arena_array(b->c->arena, int, p->rel.n_dims + 1);
    for (int d = 0; d < p->rel.n_dims; d++) {
        p->dim_of[d] = order[d];
        p->rel.dims[d] = dims[order[d]];
    }
    rel_box(&p->rel, &p->region);
    return p;
}

enum status bind_transpose(struct binder *b, const struct ast_from *f, struct scope *out)
{
    static const char usage[] =
        "transpose(array), or transpose(array, k, i, j) with all dimensions";
    const struct ast_expr *call = f->call;
    struct scope in;
    int order[MAX_DIMS];
    bool used[MAX_DIMS] = {false};
    TRY(count_args(b, call, 1, MAX_DIMS + 1, usage));
    TRY(array_arg(b, call, 0, &in));
    int n = in.plan->rel.n_dims;
    if (call->args.n > 1 && call->args.n != n + 1) return wrong_args(b, call, usage);
    for (int d = 0; d < n; d++) {
        const struct scope_col *col;
        order[d] = n - 1 - d;
        if (call->args.n == 1) continue;
        TRY(dim_name_arg(b, &in, call, d + 1, &col));
        if (used[col->index])
            return fail_at(b->c, ERR_DUPLICATE_COLUMN, place(b, call->args.v[d + 1]->pos),
                           "dimension \"%s\" stands twice", col->name);
        used[col->index] = true;
        order[d] = col->index;
    }
    scope_of_relation(b, f, transposed(b, f, &in, order), out);
    return OK;
}

/* ---- reshape ---- */

static int64_t cells_of(const struct rel *r)
{
    struct box box;
    rel_box(r, &box);
    return box_cells(&box);
}

enum status bind_reshape(struct binder *b, const struct ast_from *f, struct scope *out)
{
    const struct ast_expr *call = f->call;
    struct scope in, grid;
    TRY(count_args(b, call, 2, 2, "reshape(array, [x => 0 : 9, y => 0 : 4])"));
    TRY(array_arg(b, call, 0, &in));
    const struct ast_expr *bracket = call->args.v[1];
    if (bracket->kind != X_CELL || bracket->args.n)
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, bracket->pos),
                       "argument 2 of reshape must be a bracket of new dimensions");
    struct ast_from shape = {.kind = FROM_GRID, .axes = bracket->axes, .pos = bracket->pos};
    TRY(bind_grid(b, &shape, &grid));
    const struct rel *to = &grid.plan->rel;
    struct plan *p = over_array(b, P_RESHAPE, f, &in);
    int64_t n = cells_of(&p->rel), m = cells_of(to);
    if (n == INT64_MAX || m == INT64_MAX)
        return fail_at(b->c, ERR_LIMIT_EXCEEDED, place(b, bracket->pos),
                       "an array of more than %lld cells cannot be reshaped", LLONG_MAX - 1);
    if (n != m && !describing(b))
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, bracket->pos),
                       "an array of %lld cells cannot be reshaped into %lld", (long long)n,
                       (long long)m);
    rel_box(&p->rel, &p->region);
    p->rel.dims = to->dims;
    p->rel.n_dims = to->n_dims;
    scope_of_relation(b, f, p, out);
    return OK;
}

/* ---- roll ---- */

enum status bind_roll(struct binder *b, const struct ast_from *f, struct scope *out)
{
    const struct ast_expr *call = f->call;
    const struct scope_col *dim;
    struct scope in;
    int64_t by;
    TRY(count_args(b, call, 3, 3, "roll(array, dimension, cells)"));
    TRY(array_arg(b, call, 0, &in));
    TRY(dim_name_arg(b, &in, call, 1, &dim));
    TRY(int_arg(b, call, 2, 0, &by));
    struct plan *p = over_array(b, P_STACK, f, &in);
    const struct rel_dim *d = &p->rel.dims[dim->index];
    int64_t n = d->hi - d->lo, k = n ? by % n : 0;
    if (k < 0) k += n;
    p->stack_dim = dim->index;
    p->pieces = arena_array(b->c->arena, struct stack_piece, 2);
    if (k) p->pieces[p->n_pieces++] = (struct stack_piece){0, d->lo, d->lo + k, n - k};
    p->pieces[p->n_pieces++] = (struct stack_piece){0, d->lo + k, d->hi, -k};
    scope_of_relation(b, f, p, out);
    return OK;
}

/* ---- concat ---- */

/* b's dimensions in a's order. */
static enum status match_dims(struct binder *b, const struct ast_from *f, const struct scope *x,
                              struct scope *y)
{
    const struct ast_expr *call = f->call;
    int order[MAX_DIMS];
    bool same = true;
    if (x->plan->rel.n_dims != y->plan->rel.n_dims)
        return fail_at(b->c, ERR_AXIS_MISMATCH, place(b, call->args.v[1]->pos),
                       "the arrays of concat have %d and %d dimensions", x->plan->rel.n_dims,
                       y->plan->rel.n_dims);
    for (int i = 0; i < x->n_cols; i++) {
        const struct scope_col *col = &x->cols[i], *other;
        if (!col->is_dim) continue;
        TRY(dim_arg(b, y, col->name, call->args.v[1]->pos, &other));
        order[col->index] = other->index;
        same = same && other->index == col->index;
    }
    if (same) return OK;
    struct plan *p = transposed(b, f, y, order);
    scope_of_relation(b, f, p, y);
    return OK;
}

/* An axis that must be the same in both arrays. */
static enum status same_axis(struct binder *b, int pos, const char *name, const struct rel_dim *x,
                             const struct rel_dim *y)
{
    int64_t shift = 0, *map = NULL;
    int64_t n = x->hi - x->lo, m = y->hi - y->lo;
    if (describing(b)) return OK;
    TRY(at(b->c, axis_align(b->c, x->axis, name, y->axis, name, &shift, &map), pos));
    bool same = n == m && shift == 0;
    for (int64_t i = 0; map && same && i < n; i++)
        same = map[i] == i;
    if (same) return OK;
    fail_at(b->c, ERR_AXIS_MISMATCH, pos, "dimension \"%s\" is not the same in both arrays", name);
    if (n != m)
        return detail(b->c, "It has %lld cells in one and %lld in the other.", (long long)n,
                      (long long)m);
    struct value v = axis_coord(x->axis, x->lo), w = axis_coord(y->axis, y->lo);
    return detail(b->c, "It starts at %s in one and at %s in the other.", text_of(b->c, &v),
                  text_of(b->c, &w));
}

/* A regular axis that the other continues. */
static enum status continued(struct binder *b, int pos, const char *name, const struct rel_dim *x,
                             const struct rel_dim *y, struct axis *out)
{
    int64_t shift = 0, *map = NULL, n = x->hi - x->lo, m = y->hi - y->lo;
    TRY(at(b->c, axis_align(b->c, x->axis, name, y->axis, name, &shift, &map), pos));
    if (shift != -n) {
        struct value first = axis_coord(y->axis, y->lo), last = axis_coord(x->axis, x->hi - 1);
        fail_at(b->c, ERR_AXIS_MISMATCH, pos,
                "the second array does not follow on the first along \"%s\"", name);
        return detail(b->c, "The first one ends at %s, the second one starts at %s.",
                      text_of(b->c, &last), text_of(b->c, &first));
    }
    *out = *x->axis;
    out->hi = out->limit_hi = out->lo + n + m;
    out->limit_lo = out->lo;
    out->grows = false;
    return OK;
}

/* The one's labels, then the other's. */
static enum status joined_labels(struct binder *b, int pos, const char *name,
                                 const struct rel_dim *x, const struct rel_dim *y, struct axis *out)
{
    int64_t n = x->hi - x->lo, m = y->hi - y->lo;
    if (x->axis->type != y->axis->type)
        return fail_at(b->c, ERR_AXIS_MISMATCH, pos,
                       "dimension \"%s\" is of type %s in one array and of type %s in the other",
                       name, type_name(x->axis->type), type_name(y->axis->type));
    struct value *labels = arena_array(b->c->arena, struct value, n + m + 1);
    for (int64_t i = 0; i < n; i++)
        labels[i] = axis_coord(x->axis, x->lo + i);
    for (int64_t i = 0; i < m; i++)
        labels[n + i] = axis_coord(y->axis, y->lo + i);
    return at(b->c, axis_labelled(b->c, name, x->axis->type, labels, n + m, false, out), pos);
}

static enum status joined_dim(struct binder *b, int pos, const struct rel_dim *x,
                              const struct rel_dim *y, struct rel_dim *out)
{
    struct axis *a = arena_new_of(b->c->arena, struct axis);
    int64_t n = x->hi - x->lo, m = y->hi - y->lo;
    *out = *x;
    bool regular = x->axis->kind == AXIS_REGULAR && y->axis->kind == AXIS_REGULAR;
    if (n == 0 || m == 0 || describing(b))
        *a = n ? *x->axis : *y->axis;
    else
        TRY((regular ? continued : joined_labels)(b, pos, x->name, x, y, a));
    out->axis = a;
    out->lo = a->lo;
    out->hi = describing(b) ? a->hi : a->lo + n + m;
    return OK;
}

/* Both arrays' attributes, by the first one's names, in types that hold either's. */
static enum status match_attributes(struct binder *b, int pos, struct plan **sides)
{
    struct ctx *c = b->c;
    const struct rel *x = &sides[0]->rel, *y = &sides[1]->rel;
    struct expr **es[2];
    const char **names = arena_array(c->arena, const char *, x->n_cols + 1);
    for (int k = 0; k < 2; k++)
        es[k] = arena_array(c->arena, struct expr *, x->n_cols + 1);
    if (x->n_cols != y->n_cols)
        return fail_at(c, ERR_AXIS_MISMATCH, pos, "the arrays of concat have %d and %d attributes",
                       x->n_cols, y->n_cols);
    for (int i = 0; i < x->n_cols; i++) {
        enum type t;
        int from = 0;
        names[i] = x->cols[i].name;
        while (from < y->n_cols && strcmp(y->cols[from].name, names[i]) != 0)
            from++;
        if (from == y->n_cols)
            return fail_at(c, ERR_UNDEFINED_COLUMN, pos,
                           "the second array of concat has no attribute \"%s\"", names[i]);
        struct expr *both[2] = {col_ref(c, x, i), col_ref(c, y, from)};
        TRY(at(c, expr_common_type(c, both, 2, "concat", &t), pos));
        es[0][i] = both[0];
        es[1][i] = both[1];
    }
    for (int k = 0; k < 2; k++)
        sides[k] = plan_map(c, sides[k], es[k], names, x->n_cols);
    return OK;
}

enum status bind_concat(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    const struct scope_col *dim;
    struct scope in[2];
    TRY(count_args(b, call, 3, 3, "concat(array, array, dimension)"));
    TRY(array_arg(b, call, 0, &in[0]));
    TRY(array_arg(b, call, 1, &in[1]));
    TRY(dim_name_arg(b, &in[0], call, 2, &dim));
    TRY(match_dims(b, f, &in[0], &in[1]));
    int pos = place(b, call->args.v[1]->pos);
    struct plan *sides[2] = {in[0].plan, in[1].plan};
    for (int k = 0; k < 2; k++)
        name_relation(b, &in[k], &sides[k]->rel);
    TRY(match_attributes(b, pos, sides));
    struct plan *p = plan_new(c, P_STACK, place(b, call->pos), 2);
    const struct rel_dim *x = sides[0]->rel.dims, *y = sides[1]->rel.dims;
    p->in[0] = sides[0];
    p->in[1] = sides[1];
    p->rel = sides[0]->rel;
    p->rel.dims = arena_dup(c->arena, x, sizeof *x * (size_t)p->rel.n_dims);
    p->stack_dim = dim->index;
    for (int d = 0; d < p->rel.n_dims; d++) {
        if (d == p->stack_dim)
            TRY(joined_dim(b, pos, &x[d], &y[d], &p->rel.dims[d]));
        else
            TRY(same_axis(b, pos, x[d].name, &x[d], &y[d]));
    }
    for (int i = 0; i < p->rel.n_cols; i++)
        p->rel.cols[i].not_null &= sides[1]->rel.cols[i].not_null;
    const struct rel_dim *d = &p->rel.dims[p->stack_dim];
    int64_t n = x[p->stack_dim].hi - x[p->stack_dim].lo;
    p->n_pieces = 2;
    p->pieces = arena_array(c->arena, struct stack_piece, 2);
    p->pieces[0] = (struct stack_piece){0, d->lo, d->lo + n, x[p->stack_dim].lo - d->lo};
    p->pieces[1] = (struct stack_piece){1, d->lo + n, d->hi, y[p->stack_dim].lo - d->lo - n};
    scope_of_relation(b, f, p, out);
    return OK;
}

/* ---- diff ---- */

/* Attributes less what they are a cell before, where both cells exist. A column of TRUE, fetched
 * like the others, tells whether the cell before does. */
static enum status differences(struct binder *b, int pos, int dim, struct plan **plan)
{
    struct ctx *c = b->c;
    struct plan *in = *plan;
    int n = in->rel.n_cols, n_dims = in->rel.n_dims;
    struct expr **es = arena_array(c->arena, struct expr *, n + 1), *exists;
    const char **names = arena_array(c->arena, const char *, n + 1);
    struct value yes = value_int(T_BOOL, 1);
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, &in->rel, i);
        names[i] = in->rel.cols[i].name;
    }
    es[n] = expr_make_const(c, &yes, pos);
    names[n] = "exists";
    struct plan *map = plan_map(c, in, es, names, n + 1);
    struct plan *p = plan_over(c, P_FETCH, pos, map);
    p->rel.cols = arena_array(c->arena, struct rel_col, 2 * (n + 1));
    p->rel.n_cols = 2 * (n + 1);
    p->points = arena_array(c->arena, struct fetch_point, 1);
    p->points[0].dims = arena_array(c->arena, struct fetch_dim, n_dims + 1);
    p->n_points = 1;
    p->fetched = arena_array(c->arena, struct fetch_col, n + 1);
    p->n_fetched = n + 1;
    for (int d = 0; d < n_dims; d++)
        p->points[0].dims[d] = (struct fetch_dim){.dim = d, .shift = d == dim ? -1 : 0};
    for (int i = 0; i <= n; i++) {
        p->rel.cols[i] = p->rel.cols[n + 1 + i] = map->rel.cols[i];
        p->rel.cols[n + 1 + i].not_null = false;
        p->fetched[i] = (struct fetch_col){0, i};
    }
    TRY(expr_make_is_null(c, col_ref(c, &p->rel, 2 * n + 1), true, pos, &exists));
    for (int i = 0; i < n; i++) {
        struct expr *both[2] = {col_ref(c, &p->rel, i), col_ref(c, &p->rel, n + 1 + i)};
        TRY(expr_make_call(c, "-", both, 2, pos, &es[i]));
    }
    *plan = plan_map(c, plan_filter(c, p, exists), es, names, n);
    return OK;
}

static bool has_difference(enum type t)
{
    return type_is_numeric(t) || type_is_time(t);
}

/* The attributes that a difference can be taken of; the others go. */
static enum status keep_numbers(struct binder *b, const struct ast_expr *call, struct plan **plan)
{
    struct ctx *c = b->c;
    const struct rel *r = &(*plan)->rel;
    struct expr **es = arena_array(c->arena, struct expr *, r->n_cols + 1);
    const char **names = arena_array(c->arena, const char *, r->n_cols + 1);
    int n = 0;
    for (int i = 0; i < r->n_cols; i++) {
        if (!has_difference(r->cols[i].type)) continue;
        es[n] = col_ref(c, r, i);
        names[n++] = r->cols[i].name;
    }
    if (n == 0)
        return fail_at(c, ERR_DATATYPE_MISMATCH, place(b, call->args.v[0]->pos),
                       "diff needs an attribute of numbers or times");
    *plan = plan_map(c, *plan, es, names, n);
    return OK;
}

enum status bind_diff(struct binder *b, const struct ast_from *f, struct scope *out)
{
    enum { MOST = 32 };
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    const struct scope_col *dim;
    struct scope in;
    int64_t n;
    TRY(count_args(b, call, 2, 3, "diff(array, dimension), or diff(array, dimension, n)"));
    TRY(array_arg(b, call, 0, &in));
    TRY(dim_name_arg(b, &in, call, 1, &dim));
    TRY(int_arg(b, call, 2, 1, &n));
    if (n < 0 || n > MOST)
        return fail_at(c, ERR_INVALID_PARAMETER, place(b, call->args.v[2]->pos),
                       "the order of diff must be from 0 to %d", MOST);
    struct plan *p = in.plan;
    name_relation(b, &in, &p->rel);
    TRY(keep_numbers(b, call, &p));
    for (int64_t i = 0; i < n; i++)
        TRY(differences(b, place(b, call->pos), dim->index, &p));
    struct plan *cut = plan_over(c, P_SLICE, p->pos, p);
    cut->dim_of = arena_array(c->arena, int, p->rel.n_dims + 1);
    for (int d = 0; d < p->rel.n_dims; d++)
        cut->dim_of[d] = d;
    struct rel_dim *d = &cut->rel.dims[dim->index];
    d->lo = d->hi - d->lo > n ? d->lo + n : d->hi;
    rel_box(&cut->rel, &cut->region);
    TRY(start_afresh(b, cut, &p));
    scope_of_relation(b, f, p, out);
    return OK;
}
