/* What do products of arrays mean? a @ b, tensordot, outer, kron, and sums that stand by them:
 * trace, norm. */
#include "query/bind_matrix.h"
#include "query/contract.h"
#include "query/func.h"

/* ---- arguments ---- */

enum status one_attribute(struct binder *b, const struct scope *s, int pos, const char *what)
{
    struct ctx *c = b->c;
    const struct rel *r = &s->plan->rel;
    if (r->n_cols != 1) {
        fail_at(c, ERR_WRONG_OBJECT, place(b, pos),
                "%s takes an array of one attribute, and \"%s\" has %d", what,
                s->items[0] ? s->items[0] : "?", r->n_cols);
        return hint(c, "Choose with a sub-query: (SELECT [*], v FROM a).");
    }
    if (type_is_numeric(r->cols[0].type)) return OK;
    return fail_at(c, ERR_DATATYPE_MISMATCH, place(b, pos),
                   "%s needs numbers, and \"%s\" is of type %s", what, r->cols[0].name,
                   type_name(r->cols[0].type));
}

const char *matrix_dim_name(const struct scope *s, int d)
{
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].is_dim && s->cols[i].index == d && s->cols[i].name) return s->cols[i].name;
    return s->plan->rel.dims[d].name ? s->plan->rel.dims[d].name : "?";
}

const char *matrix_attribute(const struct scope *s)
{
    for (int i = 0; i < s->n_cols; i++)
        if (!s->cols[i].is_dim) return s->cols[i].name;
    return s->plan->rel.cols[0].name;
}

/* ---- a @ b ---- */

struct matrices {
    struct scope left, right;
    int n_pairs, pair_left[MAX_DIMS], pair_right[MAX_DIMS]; /* the last: what is summed over */
};

static bool paired_right(const struct matrices *m, int d)
{
    for (int i = 0; i < m->n_pairs; i++)
        if (m->pair_right[i] == d) return true;
    return false;
}

/* The left's last dimension with the right's last but one, or only one; leading ones of the same
 * name. */
static enum status pair_dims(struct binder *b, const struct ast_from *f, struct matrices *m)
{
    const struct rel *l = &m->left.plan->rel, *r = &m->right.plan->rel;
    if (l->n_dims == 0 || r->n_dims == 0)
        return fail_at(b->c, ERR_WRONG_OBJECT, place(b, f->pos),
                       "@ multiplies arrays with dimensions, and the %s has none",
                       l->n_dims ? "right" : "left");
    int lead_left = l->n_dims < 2 ? 0 : l->n_dims - 2,
        lead_right = r->n_dims < 2 ? 0 : r->n_dims - 2;
    for (int i = 0; i < lead_left; i++)
        for (int k = 0; k < lead_right; k++) {
            if (strcmp(matrix_dim_name(&m->left, i), matrix_dim_name(&m->right, k)) != 0) continue;
            m->pair_left[m->n_pairs] = i;
            m->pair_right[m->n_pairs++] = k;
        }
    m->pair_left[m->n_pairs] = l->n_dims - 1;
    m->pair_right[m->n_pairs++] = lead_right;
    return OK;
}

static const char *coordinate(struct ctx *c, const struct rel_dim *d)
{
    struct strbuf text = STRBUF_INIT;
    struct value v = axis_coord(d->axis, d->lo);
    value_format(&v, &text);
    const char *s = arena_printf(c->arena, "%s", text.s);
    strbuf_release(&text);
    return s;
}

/* That matrices of other shapes were meant is likelier than that most of one counts as 0. */
enum status check_same_axis(struct binder *b, int pos, const struct scope *left, int l,
                            const struct scope *right, int r)
{
    struct ctx *c = b->c;
    const struct rel_dim *x = &left->plan->rel.dims[l], *y = &right->plan->rel.dims[r];
    int64_t n = x->hi - x->lo, m = y->hi - y->lo;
    bool same = n == m;
    if (same && n && x->axis->type == y->axis->type) {
        struct value first = axis_coord(x->axis, x->lo), second = axis_coord(y->axis, y->lo);
        same = value_compare(&first, &second) == 0;
    }
    if (same) return OK;
    fail_at(
        c, ERR_AXIS_MISMATCH, place(b, pos),
        "shapes do not chain: dimension \"%s\" of the left has %lld positions%s%s, \"%s\" of the "
        "right has %lld%s%s",
        matrix_dim_name(left, l), (long long)n, n ? " from " : "", n ? coordinate(c, x) : "",
        matrix_dim_name(right, r), (long long)m, m ? " from " : "", m ? coordinate(c, y) : "");
    return hint(c,
                "Matrices meet by coordinate: slice or rename so that both have the same ones, or "
                "write sum(a.v * b.v) over a JOIN.");
}

static enum status check_chain(struct binder *b, const struct ast_from *f, const struct matrices *m)
{
    for (int i = 0; i < m->n_pairs; i++)
        TRY(check_same_axis(b, f->pos, &m->left, m->pair_left[i], &m->right, m->pair_right[i]));
    return OK;
}

/* Both sides' leading dimensions, then the left's row dimension and the right's columns. */
static void keep_dims(const struct matrices *m, const struct plan *pairs, struct contraction *k)
{
    int n_left = m->left.plan->rel.n_dims, n_right = m->right.plan->rel.n_dims;
    int own[MAX_DIMS], n_own = pairs->rel.n_dims - n_left;
    for (int i = 0; i < n_own; i++)
        own[pairs->right_dims[i]] = n_left + i;
    for (int d = 0; d < n_left - 2; d++)
        k->kept[k->n_kept++] = d;
    for (int d = 0; d < n_right - 2; d++)
        if (!paired_right(m, d)) k->kept[k->n_kept++] = own[d];
    if (n_left > 1) k->kept[k->n_kept++] = n_left - 2;
    if (n_right > 1) k->kept[k->n_kept++] = own[n_right - 1];
}

const char *free_dim_name(struct ctx *c, const struct rel *r, int n, const char *name)
{
    const char *free = name;
    for (int k = 2, i = 0; i < n; i++) {
        if (strcmp(r->dims[i].name, free) != 0) continue;
        free = arena_printf(c->arena, "%s_%d", name, k++);
        i = -1;
    }
    return free;
}

static void name_dims(struct ctx *c, const struct matrices *m, const struct plan *pairs,
                      const int *kept, struct plan *p)
{
    int n_left = m->left.plan->rel.n_dims;
    for (int i = 0; i < p->rel.n_dims; i++) {
        int d = kept[i];
        const char *name = d < n_left ? matrix_dim_name(&m->left, d)
                                      : matrix_dim_name(&m->right, pairs->right_dims[d - n_left]);
        p->rel.dims[i].name = free_dim_name(c, &p->rel, i, name);
    }
}

static const char *product_name(const struct matrices *m)
{
    const char *left = matrix_attribute(&m->left), *right = matrix_attribute(&m->right);
    return strcmp(left, right) ? "v" : left;
}

static enum type product_type(enum type l, enum type r)
{
    if (l == T_FLOAT64 || r == T_FLOAT64) return T_FLOAT64;
    if (l == T_FLOAT32 || r == T_FLOAT32) {
        enum type other = l == T_FLOAT32 ? r : l;
        return other == T_FLOAT32 || type_bytes(other) <= 2 ? T_FLOAT32 : T_FLOAT64;
    }
    return T_INT64;
}

/* The sums, once the sides are paired and what is kept is known. */
static enum status contract_pairs(struct binder *b, const struct ast_from *f, struct matrices *m,
                                  struct contraction *k, struct scope *out)
{
    struct ctx *c = b->c;
    struct plan *p;
    const struct rel_col *lc = &k->pairs->in[0]->rel.cols[0], *rc = &k->pairs->in[1]->rel.cols[0];
    k->left = expr_make_ref(c, E_COL, 0, lc->type, k->pos);
    k->right = expr_make_ref(c, E_COL, 0, rc->type, k->pos);
    k->type = product_type(lc->type, rc->type);
    k->name = product_name(m);
    TRY(plan_contract(c, k, &p));
    name_dims(c, m, k->pairs, k->kept, p);
    scope_of_relation(b, f, p, out);
    return OK;
}

enum status bind_matmul(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct matrices m = {.n_pairs = 0};
    struct contraction k = {.nulls_spread = true, .pos = place(b, f->pos)};
    TRY(bind_array_item(b, f->left, "@", &m.left));
    TRY(bind_array_item(b, f->right, "@", &m.right));
    TRY(one_attribute(b, &m.left, f->left->pos, "@"));
    TRY(one_attribute(b, &m.right, f->right->pos, "@"));
    TRY(pair_dims(b, f, &m));
    TRY(check_chain(b, f, &m));
    TRY(join_on_dims(b, f->pos, &m.left, &m.right, m.pair_left, m.pair_right, m.n_pairs, &k.pairs));
    keep_dims(&m, k.pairs, &k);
    return contract_pairs(b, f, &m, &k, out);
}

/* ---- tensordot, outer, kron ---- */

static enum status two_arrays(struct binder *b, const struct ast_expr *call, struct matrices *m)
{
    const char *name = call->name.part[call->name.n - 1];
    *m = (struct matrices){.n_pairs = 0};
    TRY(array_arg(b, call, 0, &m->left));
    TRY(array_arg(b, call, 1, &m->right));
    TRY(one_attribute(b, &m->left, call->args.v[0]->pos, name));
    return one_attribute(b, &m->right, call->args.v[1]->pos, name);
}

/* Every cell of the left with every one of the right. */
static enum status outer_product(struct binder *b, int pos, struct matrices *m, struct plan **out)
{
    struct ctx *c = b->c;
    struct expr *both[2], *product;
    int all[MAX_DIMS];
    const char *name = product_name(m);
    TRY(join_on_dims(b, pos, &m->left, &m->right, NULL, NULL, 0, out));
    for (int d = 0; d < (*out)->rel.n_dims; d++)
        all[d] = d;
    name_dims(c, m, *out, all, *out);
    both[0] = col_ref(c, &(*out)->rel, 0);
    both[1] = col_ref(c, &(*out)->rel, m->left.plan->rel.n_cols);
    TRY(expr_make_call(c, "*", both, 2, place(b, pos), &product));
    *out = plan_map(c, *out, &product, &name, 1);
    return OK;
}

enum status bind_outer(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct matrices m;
    struct plan *p;
    TRY(count_args(b, f->call, 2, 2, "outer(a, b)"));
    TRY(two_arrays(b, f->call, &m));
    TRY(outer_product(b, f->call->pos, &m, &p));
    scope_of_relation(b, f, p, out);
    return OK;
}

enum status bind_tensordot(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    struct contraction k = {.nulls_spread = true, .pos = place(b, call->pos)};
    struct matrices m;
    int64_t n;
    TRY(count_args(b, call, 2, 3, "tensordot(a, b, n): over a's last n dimensions and b's first"));
    TRY(two_arrays(b, call, &m));
    TRY(int_arg(b, call, 2, 2, &n));
    int n_left = m.left.plan->rel.n_dims, n_right = m.right.plan->rel.n_dims;
    if (n < 0 || n > n_left || n > n_right)
        return fail_at(c, ERR_INVALID_PARAMETER, place(b, call->pos),
                       "tensordot over %lld dimensions of arrays of %d and %d", (long long)n,
                       n_left, n_right);
    if (n == 0) {
        struct plan *p;
        TRY(outer_product(b, call->pos, &m, &p));
        scope_of_relation(b, f, p, out);
        return OK;
    }
    for (int i = 0; i < n; i++) {
        m.pair_left[m.n_pairs] = n_left - (int)n + i;
        m.pair_right[m.n_pairs++] = i;
    }
    TRY(check_chain(b, f, &m));
    TRY(join_on_dims(b, call->pos, &m.left, &m.right, m.pair_left, m.pair_right, m.n_pairs,
                     &k.pairs));
    for (int d = 0; d < k.pairs->rel.n_dims; d++)
        if (d < n_left - n || d >= n_left) k.kept[k.n_kept++] = d;
    return contract_pairs(b, f, &m, &k, out);
}

/* Dimensions of the Kronecker product: each as long as both together. */
static enum status kron_dims(struct binder *b, const struct ast_expr *call,
                             const struct matrices *m, struct rel *r)
{
    struct ctx *c = b->c;
    struct rel_dim *dims = arena_array(c->arena, struct rel_dim, 2);
    for (int d = 0; d < 2; d++) {
        const struct rel_dim *x = &m->left.plan->rel.dims[d], *y = &m->right.plan->rel.dims[d];
        int64_t n;
        struct axis *a = arena_new_of(c->arena, struct axis);
        if (__builtin_mul_overflow(x->hi - x->lo, y->hi - y->lo, &n) || n > INT64_MAX / 4)
            return fail_at(c, ERR_LIMIT_EXCEEDED, place(b, call->pos),
                           "kron: the result is too long");
        *a = axis_count(n);
        dims[d] = (struct rel_dim){.name = matrix_dim_name(&m->left, d),
                                   .axis = a,
                                   .lo = a->lo,
                                   .hi = a->hi,
                                   .stride = 1,
                                   .tile = x->tile};
    }
    r->dims = dims;
    r->n_dims = 2;
    return OK;
}

enum status bind_kron(struct binder *b, const struct ast_from *f, struct scope *out)
{
    static const int order[] = {0, 2, 1, 3};
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    struct matrices m;
    struct plan *p, *t;
    TRY(count_args(b, call, 2, 2, "kron(a, b)"));
    TRY(two_arrays(b, call, &m));
    if (m.left.plan->rel.n_dims != 2 || m.right.plan->rel.n_dims != 2)
        return fail_at(c, ERR_WRONG_OBJECT, place(b, call->pos), "kron multiplies two matrices");
    TRY(outer_product(b, call->pos, &m, &p));
    t = plan_over(c, P_TRANSPOSE, place(b, call->pos), p);
    t->dim_of = arena_dup(c->arena, order, sizeof order);
    for (int d = 0; d < 4; d++)
        t->rel.dims[d] = p->rel.dims[order[d]];
    rel_box(&t->rel, &t->region);
    p = plan_over(c, P_RESHAPE, place(b, call->pos), t);
    rel_box(&p->rel, &p->region);
    TRY(kron_dims(b, call, &m, &p->rel));
    scope_of_relation(b, f, p, out);
    return OK;
}

/* ---- trace, norm ---- */

static enum status add_call(struct binder *b, const char *name, struct expr *arg, int pos,
                            struct agg_list *list)
{
    struct agg_call *a = &list->calls[list->n];
    *a = (struct agg_call){.n_args = arg != NULL, .pos = pos};
    a->args = arena_array(b->c->arena, struct expr *, 1);
    a->args[0] = arg;
    return agg_resolve(b->c, name, a->args, a->n_args, false, false, pos, &a->agg,
                       &list->types[list->n++]);
}

/* One cell: the sum, 0 of no cells, NULL when a cell is. */
static enum status total_of(struct binder *b, struct plan *in, struct expr *e, int pos,
                            struct plan **out, struct expr **sum)
{
    struct ctx *c = b->c;
    struct agg_list list = {.calls = arena_array(c->arena, struct agg_call, 3),
                            .types = arena_array(c->arena, enum type, 3)};
    TRY(add_call(b, "sum", e, pos, &list));
    TRY(add_call(b, "count", e, pos, &list));
    TRY(add_call(b, "count", NULL, pos, &list));
    TRY(make_aggregate(b, in, NULL, 0, &list, pos, out));
    struct expr *cols[3], *zero[2], *whole, *args[2];
    for (int i = 0; i < 3; i++)
        cols[i] = col_ref(c, &(*out)->rel, i);
    struct value nought = value_int(T_INT64, 0);
    TRY(expr_make_call(c, "=", cols + 1, 2, pos, &whole));
    zero[0] = cols[0];
    zero[1] = expr_make_const(c, &nought, pos);
    args[0] = whole;
    TRY(expr_make_call(c, "coalesce", zero, 2, pos, &args[1]));
    return expr_make_case(c, args, 2, NULL, pos, sum);
}

static enum status one_array(struct binder *b, const struct ast_from *f, const char *usage,
                             struct scope *in)
{
    TRY(count_args(b, f->call, 1, 1, usage));
    TRY(array_arg(b, f->call, 0, in));
    return one_attribute(b, in, f->call->args.v[0]->pos, f->call->name.part[f->call->name.n - 1]);
}

/* The sum of the cells whose two last coordinates are the same place of the matrix. */
enum status bind_trace(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    struct scope in;
    struct plan *p;
    struct expr *places[2], *same, *sum;
    int pos = place(b, f->call->pos);
    TRY(one_array(b, f, "trace(matrix)", &in));
    if (in.plan->rel.n_dims != 2)
        return fail_at(c, ERR_WRONG_OBJECT, pos, "trace needs a matrix of two dimensions");
    const char *name = matrix_attribute(&in);
    for (int d = 0; d < 2; d++)
        places[d] = expr_make_ref(c, E_POS, d, T_INT64, pos);
    TRY(expr_make_call(c, "=", places, 2, pos, &same));
    p = plan_filter(c, in.plan, same);
    TRY(total_of(b, p, col_ref(c, &p->rel, 0), pos, &p, &sum));
    p = plan_map(c, p, &sum, &name, 1);
    scope_of_relation(b, f, p, out);
    return OK;
}

/* Frobenius', of a vector the length. */
enum status bind_norm(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    struct scope in;
    struct plan *p;
    struct expr *both[2], *square, *sum, *root;
    int pos = place(b, f->call->pos);
    TRY(one_array(b, f, "norm(array)", &in));
    const char *name = matrix_attribute(&in);
    TRY(expr_make_cast(c, col_ref(c, &in.plan->rel, 0), T_FLOAT64, true, pos, &both[0]));
    both[1] = both[0];
    TRY(expr_make_call(c, "*", both, 2, pos, &square));
    TRY(total_of(b, in.plan, square, pos, &p, &sum));
    TRY(expr_make_call(c, "sqrt", &sum, 1, pos, &root));
    p = plan_map(c, p, &root, &name, 1);
    scope_of_relation(b, f, p, out);
    return OK;
}
