/* What do the functions of whole matrices mean: shapes and names of what inverse, solve, svd …
 * give? */
#include "query/bind_matrix.h"

struct linalg_call {
    struct binder *b;
    const struct ast_expr *call;
    enum linalg_fn fn;
    struct scope in[2];
    struct plan *plans[2]; /* with one column, DOUBLE */
    int n_batch, pos;
    int64_t first;                   /* svd(m, k): k; 0: all */
    bool real;                       /* all are REAL */
    bool vector;                     /* the second is one */
    struct rel_dim row, col, second; /* the first's rows and columns, the second's columns */
    struct rel_dim k, m;             /* a count of min(rows, cols), of rows */
};

static bool find_function(const char *name, enum linalg_fn *out)
{
    for (int i = 0; i < N_LINALG; i++) {
        *out = (enum linalg_fn)i;
        if (!strcmp(linalg_name(*out), name)) return true;
    }
    return false;
}

static struct rel_dim named(const struct scope *s, int d)
{
    struct rel_dim dim = s->plan->rel.dims[d];
    dim.name = matrix_dim_name(s, d);
    return dim;
}

static struct rel_dim counted(struct ctx *c, int64_t n)
{
    struct axis *a = arena_new_of(c->arena, struct axis);
    *a = axis_count(n);
    return (struct rel_dim){.name = "k", .axis = a, .lo = a->lo, .hi = a->hi, .stride = 1};
}

static int64_t extent(const struct rel_dim *d)
{
    return d->hi - d->lo;
}

/* ---- arguments ---- */

static enum status matrix_arg(struct linalg_call *l, int i)
{
    struct ctx *c = l->b->c;
    const char *name = linalg_name(l->fn);
    struct scope *s = &l->in[i];
    struct expr *e;
    TRY(array_arg(l->b, l->call, i, s));
    TRY(one_attribute(l->b, s, l->call->args.v[i]->pos, name));
    const char *column = matrix_attribute(s);
    struct plan *p = s->plan;
    l->real = l->real && p->rel.cols[0].type == T_FLOAT32;
    TRY(expr_make_cast(c, col_ref(c, &p->rel, 0), T_FLOAT64, true, l->pos, &e));
    l->plans[i] = plan_map(c, p, &e, &column, 1);
    return OK;
}

static enum status first_matrix(struct linalg_call *l)
{
    struct ctx *c = l->b->c;
    const struct rel *r = &l->in[0].plan->rel;
    int at = place(l->b, l->call->args.v[0]->pos);
    if (r->n_dims < 2)
        return fail_at(c, ERR_WRONG_OBJECT, at, "%s needs a matrix, and this has %d dimension%s",
                       linalg_name(l->fn), r->n_dims, r->n_dims == 1 ? "" : "s");
    l->n_batch = r->n_dims - 2;
    l->row = named(&l->in[0], l->n_batch);
    l->col = named(&l->in[0], l->n_batch + 1);
    int64_t rows = extent(&l->row), cols = extent(&l->col);
    l->k = counted(c, l->first ? l->first : rows < cols ? rows : cols);
    l->m = counted(c, rows);
    bool any = l->fn == LA_LSTSQ || l->fn == LA_QR || l->fn == LA_LU || l->fn == LA_SVD;
    if (any || rows == cols) return OK;
    fail_at(c, ERR_MATRIX, at, "%s needs a square matrix, and this is %lld × %lld",
            linalg_name(l->fn), (long long)rows, (long long)cols);
    if (l->fn == LA_SOLVE) return hint(c, "lstsq solves by least squares.");
    return ERR_MATRIX;
}

static enum status second_matrix(struct linalg_call *l)
{
    struct ctx *c = l->b->c;
    const struct rel *r = &l->in[1].plan->rel;
    int at = place(l->b, l->call->args.v[1]->pos);
    l->vector = r->n_dims == l->n_batch + 1;
    if (!l->vector && r->n_dims != l->n_batch + 2)
        return fail_at(c, ERR_WRONG_OBJECT, at,
                       "%s needs a right side of %d or %d dimensions, and this has %d",
                       linalg_name(l->fn), l->n_batch + 1, l->n_batch + 2, r->n_dims);
    for (int d = 0; d < l->n_batch; d++) {
        if (strcmp(matrix_dim_name(&l->in[0], d), matrix_dim_name(&l->in[1], d)) != 0)
            return fail_at(c, ERR_AXIS_MISMATCH, at,
                           "the leading dimensions of both must be the same: \"%s\" and \"%s\"",
                           matrix_dim_name(&l->in[0], d), matrix_dim_name(&l->in[1], d));
        TRY(check_same_axis(l->b, l->call->pos, &l->in[0], d, &l->in[1], d));
    }
    if (!l->vector) l->second = named(&l->in[1], l->n_batch + 1);
    return check_same_axis(l->b, l->call->pos, &l->in[0], l->n_batch, &l->in[1], l->n_batch);
}

/* svd(m, k). */
static enum status count_of_values(struct linalg_call *l)
{
    struct ctx *c = l->b->c;
    const struct rel *r = &l->in[0].plan->rel;
    if (l->fn != LA_SVD || l->call->args.n < 2 || r->n_dims < 2) return OK;
    int64_t rows = extent(&r->dims[r->n_dims - 2]), cols = extent(&r->dims[r->n_dims - 1]);
    int64_t most = rows < cols ? rows : cols;
    TRY(int_arg(l->b, l->call, 1, 1, &l->first));
    if (l->first >= 1 && l->first <= most) return OK;
    int at = place(l->b, l->call->args.v[1]->pos);
    if (l->first < 1)
        return fail_at(c, ERR_INVALID_PARAMETER, at,
                       "svd needs at least 1 singular value, and %lld are asked for",
                       (long long)l->first);
    const char *name = l->in[0].items[0];
    return fail_at(
        c, ERR_INVALID_PARAMETER, at,
        "svd: a matrix of %lld × %lld%s%s%s has %lld singular values, and %lld are asked for",
        (long long)rows, (long long)cols, name ? ", \"" : "", name ? name : "", name ? "\"," : "",
        (long long)most, (long long)l->first);
}

/* ---- results ---- */

/* The dimensions of result number i after the batch's; how many. */
static int result_dims(const struct linalg_call *l, int i, struct rel_dim *out)
{
    const struct rel_dim *of[LINALG_MOST][2] = {{NULL}};
    switch (l->fn) {
    case LA_INVERSE:
        of[0][0] = &l->col;
        of[0][1] = &l->row;
        break;
    case LA_SOLVE:
    case LA_LSTSQ:
        of[0][0] = &l->col;
        if (!l->vector) of[0][1] = &l->second;
        break;
    case LA_CHOLESKY:
        of[0][0] = &l->row;
        of[0][1] = &l->col;
        break;
    case LA_LU:
        of[0][0] = &l->row;
        of[0][1] = of[1][0] = &l->m;
        of[1][1] = of[2][0] = &l->k;
        of[2][1] = &l->col;
        break;
    case LA_QR:
        of[0][0] = &l->row;
        of[0][1] = of[1][0] = &l->k;
        of[1][1] = &l->col;
        break;
    case LA_SVD:
        of[0][0] = &l->row;
        of[0][1] = of[1][0] = of[2][0] = &l->k;
        of[2][1] = &l->col;
        break;
    case LA_EIGH:
        of[0][0] = of[1][1] = &l->k;
        of[1][0] = &l->row;
        break;
    case LA_DET:
    case N_LINALG:
        break;
    }
    int n = 0;
    while (n < 2 && of[i][n]) {
        out[n] = *of[i][n];
        n++;
    }
    return n;
}

static enum status result_plan(struct linalg_call *l, int i, struct cte *cte, struct plan **out)
{
    struct ctx *c = l->b->c;
    int n_in = linalg_takes(l->fn), n = l->n_batch;
    struct plan *p = plan_new(c, P_LINALG, l->pos, n_in);
    for (int k = 0; k < n_in; k++) {
        p->in[k] = l->plans[k];
        p->labels[k] = l->in[k].items[0];
    }
    p->first = l->first;
    p->linalg = l->fn;
    p->result = i;
    p->n_batch = n;
    p->shared = cte;
    if (cte) {
        cte->results |= 1u << i;
        p->wanted = &cte->results;
    }
    p->rel.dims = arena_array(c->arena, struct rel_dim, n + 2);
    for (int d = 0; d < n; d++)
        p->rel.dims[d] = named(&l->in[0], d);
    p->rel.n_dims = n + result_dims(l, i, p->rel.dims + n);
    for (int d = n; d < p->rel.n_dims; d++)
        p->rel.dims[d].name = free_dim_name(c, &p->rel, d, p->rel.dims[d].name);
    p->rel.n_cols = 1;
    p->rel.cols = arena_array(c->arena, struct rel_col, 1);
    p->rel.cols[0] = (struct rel_col){.name = p->in[0]->rel.cols[0].name,
                                      .type = l->real ? T_FLOAT32 : T_FLOAT64,
                                      .not_null = true};
    *out = p;
    return OK;
}

static enum status bind_result(struct binder *b, const struct ast_from *f,
                               const struct ast_expr *call, enum linalg_fn fn, int i,
                               struct cte *cte, struct scope *out)
{
    static const char *const usage[] = {"one matrix", "a matrix, and a matrix or vector"};
    struct linalg_call l = {
        .b = b, .call = call, .fn = fn, .pos = place(b, call->pos), .real = true};
    struct plan *p;
    int n = linalg_takes(fn);
    const char *takes = fn == LA_SVD ? "one matrix, or one and a number of values" : usage[n - 1];
    TRY(count_args(b, call, n, fn == LA_SVD ? 2 : n,
                   arena_printf(b->c->arena, "%s takes %s.", linalg_name(fn), takes)));
    for (int k = 0; k < n; k++)
        TRY(matrix_arg(&l, k));
    TRY(count_of_values(&l));
    TRY(first_matrix(&l));
    if (n > 1) TRY(second_matrix(&l));
    TRY(result_plan(&l, i, cte, &p));
    scope_of_relation(b, f, p, out);
    return OK;
}

enum status bind_linalg(struct binder *b, const struct ast_from *f, struct scope *out)
{
    const struct ast_expr *call = f->call;
    const char *name = call->name.part[call->name.n - 1];
    enum linalg_fn fn;
    if (!find_function(name, &fn))
        return fail(b->c, ERR_INTERNAL, "no function of matrices is called %s", name);
    if (linalg_gives(fn) == 1) return bind_result(b, f, call, fn, 0, NULL, out);
    fail_at(b->c, ERR_WRONG_OBJECT, place(b, call->pos), "%s gives %d matrices", name,
            linalg_gives(fn));
    const char *results = fn == LA_LU    ? "p, l, u"
                          : fn == LA_QR  ? "q, r"
                          : fn == LA_SVD ? "u, s, vt"
                                         : "w, v";
    return hint(b->c, "WITH (%s) AS %s(…) SELECT * FROM %c names them.", results, name, *results);
}

enum status bind_linalg_result(struct binder *b, const struct ast_from *f, struct cte *cte, int i,
                               struct scope *out)
{
    const struct ast_cte *ast = cte->ast;
    const char *name = ast->call->name.part[ast->call->name.n - 1];
    enum linalg_fn fn;
    if (!find_function(name, &fn)) {
        fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, ast->pos),
                "%s does not give matrices to be named", name);
        return hint(b->c, "lu, qr, svd, eigh.");
    }
    if (linalg_gives(fn) != ast->targets.n)
        return fail_at(b->c, ERR_WRONG_OBJECT, place(b, ast->pos),
                       "%s gives %d matrices, and %d are named", name, linalg_gives(fn),
                       ast->targets.n);
    return bind_result(b, f, ast->call, fn, i, cte, out);
}
