/* What do the functions that make arrays of arrays mean: regrid, fft …? One row a function. */
#include "query/bind_matrix.h"
#include "storage/base/names.h"

/* ---- arguments ---- */

/* An argument as what it would be in FROM; NULL: it is no array. */
static struct ast_from *from_of(struct ctx *c, const struct ast_expr *e)
{
    struct ast_from *f = arena_new_of(c->arena, struct ast_from);
    f->pos = e->pos;
    if (e->kind == X_CELL && e->args.n == 1) {
        f->axes = e->axes;
        f->has_axes = true;
        e = e->args.v[0];
    }
    if (e->kind == X_NAME && !e->star) {
        f->kind = FROM_NAME;
        f->name = e->name;
    } else if (e->kind == X_CALL) {
        f->kind = FROM_FUNCTION;
        f->call = arena_dup(c->arena, e, sizeof *e);
    } else if (e->kind == X_SUBQUERY) {
        f->kind = FROM_SELECT;
        f->select = e->select;
    } else if (e->kind == X_OP && e->args.n == 2 && !strcmp(e->op, "@")) {
        f->kind = FROM_MATMUL;
        f->left = from_of(c, e->args.v[0]);
        f->right = from_of(c, e->args.v[1]);
        if (!f->left || !f->right) return NULL;
    } else {
        return NULL;
    }
    return f;
}

enum status array_arg(struct binder *b, const struct ast_expr *call, int i, struct scope *out)
{
    const struct ast_expr *e = i < call->args.n ? call->args.v[i] : NULL;
    const char *name = call->name.part[call->name.n - 1];
    struct ast_from *f = e ? from_of(b->c, e) : NULL;
    if (f) return bind_array_item(b, f, name, out);
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, e ? e->pos : call->pos),
            "argument %d of %s must be an array", i + 1, name);
    return hint(b->c, "An array's name, name[slice], a @ b, or (SELECT [i], [j], v FROM …).");
}

enum status bind_array_item(struct binder *b, const struct ast_from *f, const char *name,
                            struct scope *out)
{
    TRY(bind_from(b, f, NULL, out));
    int n_dims = 0;
    for (int k = 0; k < out->n_cols; k++)
        n_dims += out->cols[k].is_dim;
    for (int d = 0; d < out->plan->rel.n_dims; d++) {
        const struct rel_dim *dim = &out->plan->rel.dims[d];
        if (dim_known(dim) && dim->axis && n_dims == out->plan->rel.n_dims) continue;
        fail_at(b->c, ERR_WRONG_OBJECT, place(b, f->pos),
                "%s needs an array, and this is a list of rows", name);
        return hint(b->c, "Brackets keep dimensions: (SELECT [i], v FROM …).");
    }
    return start_afresh(b, out->plan, &out->plan);
}

enum status dim_arg(struct binder *b, const struct scope *s, const char *name, int pos,
                    const struct scope_col **out)
{
    const char *names[MAX_DIMS];
    int n = 0;
    for (int i = 0; i < s->n_cols; i++) {
        if (!s->cols[i].is_dim) continue;
        *out = &s->cols[i];
        if (!strcmp(s->cols[i].name, name)) return OK;
        if (n < MAX_DIMS) names[n++] = s->cols[i].name;
    }
    const char *near = nearest_name(name, names, n);
    fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, pos), "the array has no dimension \"%s\"", name);
    return near ? hint(b->c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

enum status dim_name_arg(struct binder *b, const struct scope *s, const struct ast_expr *call,
                         int i, const struct scope_col **out)
{
    const struct ast_expr *e = i < call->args.n ? call->args.v[i] : NULL;
    if (!plain_name(e))
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, e ? e->pos : call->pos),
                       "argument %d of %s must be the name of a dimension", i + 1,
                       call->name.part[call->name.n - 1]);
    return dim_arg(b, s, e->name.part[0], e->pos, out);
}

enum status int_arg(struct binder *b, const struct ast_expr *call, int i, int64_t missing,
                    int64_t *out)
{
    struct value v;
    bool known;
    *out = missing;
    if (i >= call->args.n) return OK;
    const char *name = call->name.part[call->name.n - 1];
    TRY(bind_value(b, call->args.v[i], name, T_INT64, &v, &known));
    if (!known) return OK;
    if (v.null || !type_is_integer(v.type) || (type_is_unsigned(v.type) && v.u > INT64_MAX))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, call->args.v[i]->pos),
                       "argument %d of %s must be an integer", i + 1, name);
    *out = v.i;
    return OK;
}

enum status wrong_args(struct binder *b, const struct ast_expr *call, const char *usage)
{
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->pos), "wrong arguments for %s",
            call->name.part[call->name.n - 1]);
    return hint(b->c, "%s", usage);
}

enum status count_args(struct binder *b, const struct ast_expr *call, int least, int most,
                       const char *usage)
{
    if (call->args.n >= least && call->args.n <= most && !call->arg_names) return OK;
    return wrong_args(b, call, usage);
}

void name_relation(struct binder *b, const struct scope *s, struct rel *r)
{
    r->dims = arena_dup(b->c->arena, r->dims, sizeof *r->dims * (size_t)(r->n_dims));
    r->cols = arena_dup(b->c->arena, r->cols, sizeof *r->cols * (size_t)(r->n_cols));
    for (int i = 0; i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (col->is_dim)
            r->dims[col->index].name = col->name;
        else
            r->cols[col->index].name = col->name;
    }
}

void scope_of_relation(struct binder *b, const struct ast_from *f, struct plan *p,
                       struct scope *out)
{
    const struct rel *r = &p->rel;
    const char *item = f->alias  ? f->alias
                       : f->call ? f->call->name.part[f->call->name.n - 1]
                                 : NULL;
    scope_init(b, out, p, item, r->n_dims + r->n_cols);
    for (int d = 0; d < r->n_dims; d++)
        scope_add(out, r->dims[d].name, true, d, dim_type(&r->dims[d]));
    for (int i = 0; i < r->n_cols; i++)
        scope_add(out, r->cols[i].name, false, i, r->cols[i].type);
}

/* A column of the scope for each of the plan's. */
static void scope_of_made(struct binder *b, const struct ast_from *f, struct plan *p,
                          const struct scope *dims, struct scope *out)
{
    const struct rel *r = &p->rel;
    const char *item = f->alias ? f->alias : f->call->name.part[f->call->name.n - 1];
    scope_init(b, out, p, item, r->n_dims + r->n_cols);
    for (int i = 0; i < dims->n_cols; i++)
        if (dims->cols[i].is_dim)
            scope_add(out, dims->cols[i].name, true, dims->cols[i].index,
                      dim_type(&r->dims[dims->cols[i].index]));
    for (int i = 0; i < r->n_cols; i++)
        scope_add(out, r->cols[i].name, false, i, r->cols[i].type);
}

/* Columns are known to the scope by the names that it gives them. */
static void name_columns(const struct scope *s, struct rel_col *cols)
{
    for (int i = 0; i < s->n_cols; i++)
        if (!s->cols[i].is_dim) cols[s->cols[i].index].name = s->cols[i].name;
}

/* ---- regrid ---- */

static enum status regrid_method(struct binder *b, const struct ast_expr *call,
                                 enum regrid_method *out)
{
    static const char *const names[] = {"nearest", "linear", "cubic", "mean"};
    const struct ast_expr *e = call->args.n > 2 ? call->args.v[2] : NULL;
    *out = REGRID_LINEAR;
    if (!e) return OK;
    for (int i = 0; e->kind == X_STRING && i < 4; i++) {
        *out = (enum regrid_method)i;
        if (!strcmp(e->text, names[i])) return OK;
    }
    fail_at(b->c, ERR_INVALID_PARAMETER, place(b, e->pos), "regrid has no such method");
    return hint(b->c, "'nearest', 'linear', 'cubic' or 'mean'.");
}

/* A bound of a new axis, as a value of the old axis's kind. NULL: the old axis's own end. */
static enum status regrid_bound(struct binder *b, const struct rel_dim *d, const struct ast_expr *e,
                                int64_t own, struct value *out, bool *known)
{
    int beyond;
    const struct axis *a = d->axis;
    if (!e) {
        *out = axis_coord(a, own);
        return OK;
    }
    TRY(bind_value(b, e, "regrid", a->type, out, known));
    if (!*known) return OK;
    if (out->null)
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, e->pos),
                       "a coordinate cannot be NULL");
    if (type_is_numeric(a->type) && type_is_numeric(out->type)) return OK;
    struct value v = *out;
    return axis_value(b, a, &v, place(b, e->pos), out, &beyond);
}

/* Whole numbers stay such; where a bound or the step is none, the axis becomes one of DOUBLE. */
static enum type regrid_type(const struct axis *a, const struct value *lo, const struct value *hi,
                             const struct value *step)
{
    if (!type_is_integer(a->type)) return a->type;
    bool whole = type_is_integer(lo->type) && type_is_integer(hi->type) &&
                 (!step || type_is_integer(step->type));
    return whole ? a->type : T_FLOAT64;
}

static enum status regrid_axis(struct binder *b, const struct ast_axis *x, struct rel_dim *d)
{
    struct value lo, hi, step;
    bool known[3] = {true, true, true};
    const struct rel_dim old = *d;
    if (x->kind != AXIS_RANGE || x->by_position) {
        fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                "regrid needs the first and the last new coordinate of dimension \"%s\"", d->name);
        return hint(b->c, "regrid(a, [%s => 0 : 99 : 0.5])", d->name);
    }
    if (!type_is_numeric(d->axis->type) && !type_is_time(d->axis->type))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, x->pos),
                       "dimension \"%s\" of type %s cannot be regridded", d->name,
                       type_name(d->axis->type));
    if (old.hi <= old.lo) return OK;
    TRY(regrid_bound(b, &old, x->lo, old.lo, &lo, &known[0]));
    TRY(regrid_bound(b, &old, x->hi, old.hi - 1, &hi, &known[1]));
    if (x->step) TRY(bind_value(b, x->step, "regrid", lo.type, &step, &known[2]));
    if (!known[0] || !known[1] || !known[2]) return OK;
    struct axis *a = arena_new_of(b->c->arena, struct axis);
    enum type t = regrid_type(d->axis, &lo, &hi, x->step ? &step : NULL);
    TRY(at(b->c, axis_regular(b->c, d->name, t, &lo, &hi, x->step ? &step : NULL, a),
           place(b, x->pos)));
    d->axis = a;
    d->lo = a->lo;
    d->hi = a->hi;
    if (d->tile > d->hi - d->lo) d->tile = d->hi - d->lo;
    if (d->tile < 1) d->tile = 1;
    return OK;
}

static enum status regrid_axes(struct binder *b, const struct ast_axes *axes, const struct scope *s,
                               struct plan *p)
{
    for (int i = 0; i < axes->n; i++) {
        const struct ast_axis *x = &axes->v[i];
        const struct scope_col *col = NULL;
        int at = 0;
        for (int k = 0; !x->dim && k < s->n_cols; k++)
            if (s->cols[k].is_dim && at++ == i) col = &s->cols[k];
        if (x->dim) TRY(dim_arg(b, s, x->dim, x->pos, &col));
        if (!col)
            return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, x->pos),
                           "the array has only %d dimensions", p->rel.n_dims);
        if (p->regridded[col->index])
            return fail_at(b->c, ERR_DUPLICATE_COLUMN, place(b, x->pos),
                           "dimension \"%s\" stands twice", col->name);
        if (x->all) continue;
        p->rel.dims[col->index].name = col->name;
        TRY(regrid_axis(b, x, &p->rel.dims[col->index]));
        p->regridded[col->index] =
            p->rel.dims[col->index].axis != p->in[0]->rel.dims[col->index].axis;
    }
    return OK;
}

static enum status bind_regrid(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    struct scope in;
    TRY(count_args(b, call, 2, 3, "regrid(array, [x => 0 : 99 : 0.5, …], 'linear')"));
    TRY(array_arg(b, call, 0, &in));
    const struct ast_expr *bracket = call->args.v[1];
    if (bracket->kind != X_CELL || bracket->args.n)
        return fail_at(c, ERR_UNDEFINED_FUNCTION, place(b, bracket->pos),
                       "argument 2 of regrid must be a bracket of new axes");
    struct plan *p = plan_over(c, P_REGRID, place(b, call->pos), in.plan);
    TRY(regrid_method(b, call, &p->regrid));
    rel_box(&in.plan->rel, &p->region);
    p->regridded = arena_array(c->arena, bool, p->rel.n_dims + 1);
    p->rel.cols =
        arena_dup(c->arena, in.plan->rel.cols, sizeof *p->rel.cols * (size_t)(p->rel.n_cols + 1));
    name_columns(&in, p->rel.cols);
    TRY(regrid_axes(b, &bracket->axes, &in, p));
    for (int i = 0; i < p->rel.n_cols && p->regrid != REGRID_NEAREST; i++) {
        struct rel_col *col = &p->rel.cols[i];
        if (!type_is_numeric(col->type)) {
            fail_at(c, ERR_DATATYPE_MISMATCH, place(b, call->pos),
                    "attribute \"%s\" of type %s cannot be interpolated", col->name,
                    type_name(col->type));
            return hint(c, "Leave it out with a sub-query, or take 'nearest'.");
        }
        col->type = col->type == T_FLOAT32 ? T_FLOAT32 : T_FLOAT64;
        col->not_null = false;
    }
    scope_of_made(b, f, p, &in, out);
    return OK;
}

/* ---- fft ---- */

/* The one attribute, or the real and the imaginary one, as floats. */
static enum status fft_columns(struct binder *b, const struct ast_expr *call, struct plan **in)
{
    struct ctx *c = b->c;
    struct rel *r = &(*in)->rel;
    struct expr *es[2];
    const char *names[2] = {"re", "im"};
    if (r->n_cols < 1 || r->n_cols > 2) {
        fail_at(c, ERR_WRONG_OBJECT, place(b, call->pos),
                "fft takes an array of one attribute, or of two: real and imaginary parts");
        return hint(c, "Choose with a sub-query: fft((SELECT [*], v FROM a), t).");
    }
    for (int i = 0; i < r->n_cols; i++) {
        if (!type_is_numeric(r->cols[i].type))
            return fail_at(c, ERR_DATATYPE_MISMATCH, place(b, call->pos),
                           "fft needs numbers, and \"%s\" is of type %s", r->cols[i].name,
                           type_name(r->cols[i].type));
        TRY(expr_make_cast(c, col_ref(c, r, i), T_FLOAT64, true, place(b, call->pos), &es[i]));
    }
    *in = plan_map(c, *in, es, names, r->n_cols);
    return OK;
}

static enum status bind_fft(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    const struct scope_col *dim;
    struct scope in;
    struct plan *made;
    TRY(count_args(b, call, 2, 2, "fft(array, dimension), ifft(array, dimension)"));
    TRY(array_arg(b, call, 0, &in));
    TRY(dim_name_arg(b, &in, call, 1, &dim));
    made = in.plan;
    TRY(fft_columns(b, call, &made));
    struct plan *p = plan_over(c, P_FFT, place(b, call->pos), made);
    rel_box(&made->rel, &p->region);
    p->fft_dim = dim->index;
    p->inverse = !strcmp(call->name.part[call->name.n - 1], "ifft");
    p->fft_parts = arena_array(c->arena, int, 2);
    p->fft_parts[1] = 1;
    p->rel.n_cols = 2;
    p->rel.cols = arena_array(c->arena, struct rel_col, 2);
    p->rel.cols[0] = (struct rel_col){.name = "re", .type = T_FLOAT64};
    p->rel.cols[1] = (struct rel_col){.name = "im", .type = T_FLOAT64};
    struct rel_dim *d = &p->rel.dims[dim->index];
    struct axis *a = arena_new_of(c->arena, struct axis);
    *a = axis_count(d->hi - d->lo);
    d->axis = a;
    d->lo = a->lo;
    d->hi = a->hi;
    d->name = dim->name;
    d->unit = NULL;
    scope_of_made(b, f, p, &in, out);
    return OK;
}

/* ---- all of them ---- */

static const struct {
    const char *name;
    array_fn *bind;
} array_functions[] = {{"regrid", bind_regrid},
                       {"fft", bind_fft},
                       {"ifft", bind_fft},
                       {"filled", bind_filled},
                       {"transpose", bind_transpose},
                       {"reshape", bind_reshape},
                       {"concat", bind_concat},
                       {"diff", bind_diff},
                       {"roll", bind_roll},
                       {"outer", bind_outer},
                       {"kron", bind_kron},
                       {"tensordot", bind_tensordot},
                       {"trace", bind_trace},
                       {"norm", bind_norm},
#define X(id, name, takes, gives) {name, bind_linalg},
                       LINALG_LIST(X)
#undef X
};

enum { N_ARRAY_FUNCTIONS = sizeof array_functions / sizeof *array_functions };
_Static_assert((int)N_ARRAY_FUNCTIONS <= (int)MAX_ARRAY_FUNCTIONS,
               "array_function_names() has room");

int array_function_names(const char **names)
{
    for (int i = 0; i < N_ARRAY_FUNCTIONS; i++)
        names[i] = array_functions[i].name;
    return N_ARRAY_FUNCTIONS;
}

enum status bind_array_function(struct binder *b, const struct ast_from *f, struct scope *out,
                                bool *found)
{
    const char *name = f->call->name.part[f->call->name.n - 1];
    *found = false;
    for (int i = 0; i < N_ARRAY_FUNCTIONS; i++) {
        if (strcmp(array_functions[i].name, name) != 0) continue;
        *found = true;
        return array_functions[i].bind(b, f, out);
    }
    return OK;
}
