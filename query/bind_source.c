/* What do the FROM items give that no array is behind: VALUES, GRID, series, files, system views?
 */
#include "query/bind_internal.h"
#include "query/sysview.h"

#define BOX_CELLS 65536

/* ---- VALUES ---- */

enum status bind_values(struct binder *b, const struct ast_select *s, const struct scope *outer,
                        struct query *out)
{
    struct ctx *c = b->c;
    int n_cols = s->rows[0].n;
    struct scope none = {.outer = outer};
    struct expr_place in = {.scope = outer ? &none : NULL, .clause = "VALUES"};
    struct plan *p = plan_new(c, P_VALUES, s->pos, 0);
    rel_list(c, &p->rel, s->n_rows, n_cols);
    p->n_rows = s->n_rows;
    p->rows = arena_array(c->arena, struct expr *, (int64_t)s->n_rows * n_cols + 1);
    for (int r = 0; r < s->n_rows; r++) {
        if (s->rows[r].n != n_cols)
            return fail_at(c, ERR_SYNTAX, place(b, s->rows[r].n ? s->rows[r].v[0]->pos : s->pos),
                           "VALUES lists must all be the same length");
        for (int i = 0; i < n_cols; i++)
            TRY(bind_expr(b, &in, s->rows[r].v[i], &p->rows[(int64_t)r * n_cols + i]));
    }
    struct expr **column = arena_array(c->arena, struct expr *, s->n_rows + 1);
    out->outs = arena_array(c->arena, struct out_col, n_cols + 1);
    for (int i = 0; i < n_cols; i++) {
        enum type t;
        for (int r = 0; r < s->n_rows; r++)
            column[r] = p->rows[(int64_t)r * n_cols + i];
        TRY(at(c, expr_common_type(c, column, s->n_rows, "VALUES", &t), place(b, s->pos)));
        for (int r = 0; r < s->n_rows; r++)
            p->rows[(int64_t)r * n_cols + i] = column[r];
        const char *name = arena_printf(c->arena, "column%d", i + 1);
        p->rel.cols[i] = (struct rel_col){.name = name, .type = t};
        out->outs[i] = (struct out_col){name, t, false, i};
    }
    out->n_outs = n_cols;
    out->root = p;
    return OK;
}

/* ---- GRID ---- */

/* Numbers decide together: 0 : 1 : 0.25 is an axis of doubles. */
static enum type grid_type(const struct value *lo, const struct value *hi, const struct value *step)
{
    enum type t = type_is_numeric(lo->type) && type_is_numeric(hi->type)
                      ? type_promote(lo->type, hi->type)
                      : lo->type;
    if (step && type_is_numeric(t) && type_is_numeric(step->type)) t = type_promote(t, step->type);
    return type_is_integer(t) && !type_is_unsigned(t) ? T_INT64 : t;
}

/* First, last and step, *known false: some take parameters whose values come later. One that stands
 * alone is of the type that the others ask for. */
static enum status grid_bounds(struct binder *b, const struct ast_axis *x, struct value *bounds,
                               bool *known)
{
    const struct ast_expr *es[3] = {x->lo, x->hi, x->step};
    enum type want = T_INT64, steps = T_INT64;
    *known = true;
    for (int i = 0; i < 6; i++) {
        bool here, alone = i >= 3;
        const struct ast_expr *e = es[i % 3];
        if (!e || (e->kind == X_PARAM) != alone) continue;
        TRY(bind_value(b, e, "GRID", i % 3 == 2 ? steps : want, &bounds[i % 3], &here));
        *known &= here;
        enum type t = bounds[i % 3].type;
        if (alone) continue;
        if (type_is_float(t)) want = steps = T_FLOAT64;
        if (!type_is_time(t)) continue;
        want = t;
        steps = T_INTERVAL;
    }
    return OK;
}

/* An axis of the type that it will have. */
static enum status some_axis(struct binder *b, const char *name, enum type t, struct axis *out)
{
    struct value at = type_is_float(t) ? value_double(0) : value_int(t, 0);
    if (!type_is_numeric(t) && !type_is_time(t)) t = at.type = T_INT64;
    return axis_regular(b->c, name, t, &at, &at, NULL, out);
}

static enum status grid_axis(struct binder *b, const struct ast_axis *x, struct axis *out)
{
    struct value bounds[3], *lo = &bounds[0], *hi = &bounds[1], *step = x->step ? &bounds[2] : NULL;
    bool known;
    if (!x->dim) {
        fail_at(b->c, ERR_SYNTAX, place(b, x->pos), "a new dimension needs a name");
        return hint(b->c, "[i => 0 : 99]");
    }
    if (x->kind != AXIS_RANGE || !x->lo || !x->hi || x->by_position) {
        fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                "dimension \"%s\" needs a first and a last coordinate", x->dim);
        return hint(b->c, "[%s => 0 : 99]", x->dim);
    }
    TRY(grid_bounds(b, x, bounds, &known));
    enum type t = grid_type(lo, hi, step);
    if (!known) return some_axis(b, x->dim, t, out);
    if (lo->null || hi->null || (step && step->null))
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, x->pos),
                       "a bound of GRID cannot be NULL");
    if (t == T_UNKNOWN || t == T_TEXT || t == T_BOOL || t == T_INTERVAL) {
        fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, x->lo->pos),
                "the bounds of GRID must be numbers, dates or timestamps, not %s", type_name(t));
        return hint(b->c, "Quoted times need their type: DATE '2020-01-01'.");
    }
    return at(b->c, axis_regular(b->c, x->dim, t, lo, hi, step, out), place(b, x->pos));
}

/* Long boxes: cells along the last dimensions lie together. */
static void grid_tiles(struct rel *r)
{
    int64_t left = BOX_CELLS;
    for (int d = r->n_dims - 1; d >= 0; d--) {
        int64_t extent = r->dims[d].hi - r->dims[d].lo;
        int64_t tile = extent < left ? extent : left;
        r->dims[d].tile = tile > 0 ? tile : 1;
        left /= r->dims[d].tile;
        if (left < 1) left = 1;
    }
}

enum status bind_grid(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    int n = f->axes.n;
    if (n > MAX_DIMS)
        return fail_at(c, ERR_TOO_MANY_COLUMNS, place(b, f->pos),
                       "an array has at most %d dimensions", MAX_DIMS);
    struct plan *p = plan_new(c, P_GRID, f->pos, 0);
    p->rel.n_dims = n;
    p->rel.dims = arena_array(c->arena, struct rel_dim, n + 1);
    scope_init(b, out, p, f->alias, n);
    for (int d = 0; d < n; d++) {
        const struct ast_axis *x = &f->axes.v[d];
        struct axis *a = arena_new_of(c->arena, struct axis);
        TRY(grid_axis(b, x, a));
        for (int k = 0; k < d; k++)
            if (!strcmp(p->rel.dims[k].name, x->dim))
                return fail_at(c, ERR_DUPLICATE_COLUMN, place(b, x->pos),
                               "dimension \"%s\" stands twice", x->dim);
        p->rel.dims[d] =
            (struct rel_dim){.name = x->dim, .axis = a, .lo = a->lo, .hi = a->hi, .stride = 1};
        scope_add(out, x->dim, true, d, a->type);
    }
    grid_tiles(&p->rel);
    return OK;
}

/* ---- generate_series ---- */

static enum status series_types(struct binder *b, const struct ast_expr *call, struct expr **args,
                                enum type *out)
{
    struct ctx *c = b->c;
    int n = call->args.n;
    enum type t;
    if (type_is_time(args[0]->type) || type_is_time(args[1]->type)) {
        *out = T_TIMESTAMP;
        if (n < 3)
            return fail_at(c, ERR_UNDEFINED_FUNCTION, place(b, call->pos),
                           "generate_series over times needs a step");
        TRY(expr_make_cast(c, args[0], T_TIMESTAMP, false, args[0]->pos, &args[0]));
        TRY(expr_make_cast(c, args[1], T_TIMESTAMP, false, args[1]->pos, &args[1]));
        return expr_make_cast(c, args[2], T_INTERVAL, false, args[2]->pos, &args[2]);
    }
    TRY(expr_common_type(c, args, n, "generate_series", &t));
    if (!type_is_numeric(t))
        return fail_at(c, ERR_UNDEFINED_FUNCTION, place(b, call->pos),
                       "function generate_series(%s, %s) does not exist", type_name(t),
                       type_name(t));
    *out = type_is_float(t)                              ? T_FLOAT64
           : t == T_INT32 || t == T_INT16 || t == T_INT8 ? T_INT32
                                                         : T_INT64;
    for (int i = 0; i < n; i++)
        TRY(expr_make_cast(c, args[i], *out, false, args[i]->pos, &args[i]));
    return OK;
}

static enum status bind_series(struct binder *b, const struct ast_from *f, struct scope *out)
{
    const struct ast_expr *call = f->call;
    if (call->args.n < 2 || call->args.n > 3)
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->pos),
                       "generate_series takes start, stop and an optional step");
    struct expr **args = arena_array(b->c->arena, struct expr *, 3);
    for (int i = 0; i < call->args.n; i++)
        TRY(bind_constant(b, call->args.v[i], "generate_series", &args[i]));
    enum type t;
    TRY(series_types(b, call, args, &t));
    struct plan *p = plan_new(b->c, P_SERIES, f->pos, 0);
    rel_list(b->c, &p->rel, -1, 1);
    p->exprs = args;
    p->n_exprs = call->args.n;
    p->rel.cols[0] = (struct rel_col){.name = "generate_series", .type = t, .not_null = true};
    scope_init(b, out, p, f->alias ? f->alias : "generate_series", 1);
    scope_add(out, f->alias ? f->alias : "generate_series", false, 0, t);
    return OK;
}

/* ---- files ---- */

static enum status text_arg(struct binder *b, const struct ast_expr *call, int i, const char **out)
{
    struct value v;
    bool known;
    const struct ast_expr *e = call->args.v[i];
    TRY(bind_value(b, e, "a file's name", T_TEXT, &v, &known));
    if (!known || v.null || (v.type != T_UNKNOWN && v.type != T_TEXT))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos), "%s takes quoted names",
                       call->name.part[call->name.n - 1]);
    *out = arena_strndup(b->c->arena, v.t.s, (size_t)v.t.len);
    return OK;
}

static enum status one_char(struct binder *b, const struct ast_expr *call, int i, char *out)
{
    const char *s;
    TRY(text_arg(b, call, i, &s));
    if (strlen(s) != 1)
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, call->args.v[i]->pos),
                       "%s must be a single one-byte character", call->arg_names[i]);
    *out = s[0];
    return OK;
}

static enum status csv_option(struct binder *b, const struct ast_expr *call, int i,
                              struct source_options *o)
{
    const char *name = call->arg_names[i];
    if (!strcmp(name, "header")) {
        struct value v;
        bool known;
        TRY(bind_value(b, call->args.v[i], "read_csv", T_BOOL, &v, &known));
        if (!known || v.null || v.type != T_BOOL)
            return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, call->args.v[i]->pos),
                           "header must be true or false");
        o->header_given = true;
        o->header = v.i;
        return OK;
    }
    if (!strcmp(name, "delimiter")) return one_char(b, call, i, &o->delimiter);
    if (!strcmp(name, "quote")) return one_char(b, call, i, &o->quote);
    if (!strcmp(name, "escape")) return one_char(b, call, i, &o->escape);
    if (!strcmp(name, "null")) return text_arg(b, call, i, &o->null_text);
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->args.v[i]->pos),
            "read_csv has no argument \"%s\"", name);
    return hint(b->c, "There are header, delimiter, quote, escape and null.");
}

/* Do names after the file's say what of it is wanted? */
static bool has_parts(const char *format)
{
    return !strcmp(format, "netcdf") || !strcmp(format, "zarr") || !strcmp(format, "npz");
}

/* read_raw('f', 'float64', [i => 0 : 99, j => 0 : 9]) */
static enum status raw_option(struct binder *b, const struct ast_expr *call, int i,
                              struct source_options *o)
{
    const struct ast_expr *e = call->args.v[i];
    if (i == 1) return text_arg(b, call, i, &o->dtype);
    if (i > 2 || e->kind != X_CELL || e->args.n)
        return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, e->pos),
                       "read_raw takes a file, a type and a bracket of dimensions");
    if (e->axes.n > MAX_DIMS)
        return fail_at(b->c, ERR_TOO_MANY_COLUMNS, place(b, e->pos),
                       "an array has at most %d dimensions", MAX_DIMS);
    struct dim *dims = arena_array(b->c->arena, struct dim, e->axes.n + 1);
    for (int d = 0; d < e->axes.n; d++) {
        TRY(grid_axis(b, &e->axes.v[d], &dims[d].axis));
        dims[d].name = e->axes.v[d].dim;
    }
    o->dims = dims;
    o->n_dims = e->axes.n;
    return OK;
}

static enum status file_options(struct binder *b, const struct ast_expr *call, const char *format,
                                struct source_options *o)
{
    const char **vars = arena_array(b->c->arena, const char *, call->args.n + 1);
    bool csv = !strcmp(format, "csv");
    o->root = b->env->file_root;
    o->format = format;
    for (int i = 1; i < call->args.n; i++) {
        if (call->arg_names && call->arg_names[i]) {
            if (!csv)
                return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->args.v[i]->pos),
                               "read_%s has no argument \"%s\"", format, call->arg_names[i]);
            TRY(csv_option(b, call, i, o));
        } else if (!strcmp(format, "raw")) {
            TRY(raw_option(b, call, i, o));
        } else if (has_parts(format)) {
            TRY(text_arg(b, call, i, &vars[o->n_vars++]));
        } else {
            return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->args.v[i]->pos),
                           "read_%s takes one file name or pattern", format);
        }
    }
    o->vars = vars;
    o->tmp_dir = db_tmp(txn_db(b->env->txn));
    if (strcmp(format, "raw") != 0 || o->n_dims > 0) return OK;
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->pos),
            "read_raw takes a file, a type and a bracket of dimensions");
    return hint(b->c, "read_raw('f', 'float64', [i => 0 : 99, j => 0 : 9])");
}

static void file_plan(struct binder *b, const struct schema *s, const struct ast_from *f,
                      struct plan *p, struct scope *out)
{
    struct ctx *c = b->c;
    p->rel.n_dims = s->n_dims;
    p->rel.n_cols = s->n_attrs;
    p->rel.dims = arena_array(c->arena, struct rel_dim, s->n_dims + 1);
    p->rel.cols = arena_array(c->arena, struct rel_col, s->n_attrs + 1);
    p->source_attrs = arena_array(c->arena, int, s->n_attrs + 1);
    scope_init(b, out, p, f->alias, s->n_dims + s->n_attrs);
    for (int d = 0; d < s->n_dims; d++) {
        const struct dim *dim = &s->dims[d];
        struct axis *a = arena_dup(c->arena, &dim->axis, sizeof *a);
        const char *name = arena_strdup(c->arena, dim->name);
        p->rel.dims[d] =
            (struct rel_dim){name, a, a->lo, a->hi, 1, dim->tile, dim->unit, dim->comment};
        scope_add(out, name, true, d, a->type);
    }
    for (int i = 0; i < s->n_attrs; i++) {
        const struct attr *at = &s->attrs[i];
        const char *name = arena_strdup(c->arena, at->name);
        p->rel.cols[i] =
            (struct rel_col){name, at->type, at->not_null, at->unit, at->comment, NULL};
        p->source_attrs[i] = i;
        scope_add(out, name, false, i, at->type);
    }
}

static enum status bind_file(struct binder *b, const struct ast_from *f, const char *format,
                             struct scope *out)
{
    struct ctx *c = b->c;
    const struct ast_expr *call = f->call;
    struct source_options *o = arena_new_of(c->arena, struct source_options);
    struct source *source;
    const char *pattern;
    if (call->args.n == 0 || (call->arg_names && call->arg_names[0]))
        return fail_at(c, ERR_UNDEFINED_FUNCTION, place(b, call->pos),
                       "read_%s takes a file name or pattern first", format);
    TRY(text_arg(b, call, 0, &pattern));
    TRY(file_options(b, call, format, o));
    TRY(at(c, source_open(c, pattern, o, &source), place(b, call->args.v[0]->pos)));
    struct plan *p = plan_new(c, P_FILE, place(b, call->args.v[0]->pos), 0);
    p->label = pattern;
    p->source_options = o;
    file_plan(b, source_schema(source), f, p, out);
    source_close(source);
    return OK;
}

/* ---- calls in FROM ---- */

static const struct {
    const char *name, *format;
} readers[] = {
    {"read_netcdf", "netcdf"}, {"read_zarr", "zarr"}, {"read_npz", "npz"}, {"read_raw", "raw"},
    {"read_tile", "tile"},     {"read_npy", "npy"},   {"read_csv", "csv"},
};
enum { N_READERS = sizeof readers / sizeof *readers };

/* Of the functions that stand in FROM, those whose name is nearest to this one; NULL: none is near.
 */
static const char *near_from_function(const char *name)
{
    const char *names[N_READERS + 1 + MAX_ARRAY_FUNCTIONS] = {"generate_series"};
    int n = 1;
    for (int i = 0; i < N_READERS; i++)
        names[n++] = readers[i].name;
    return nearest_name(name, names, n + array_function_names(names + n));
}

bool stands_in_from(const char *name)
{
    const char *near = near_from_function(name);
    return near && !strcmp(near, name);
}

enum status bind_from_function(struct binder *b, const struct ast_from *f, struct scope *out)
{
    const struct ast_expr *call = f->call;
    const char *name = call->name.part[call->name.n - 1];
    if (f->with_ordinality) return not_yet(b, f->pos, "WITH ORDINALITY is");
    if (!strcmp(name, "generate_series")) return bind_series(b, f, out);
    for (int i = 0; i < N_READERS; i++)
        if (!strcmp(name, readers[i].name)) return bind_file(b, f, readers[i].format, out);
    bool found;
    TRY(bind_array_function(b, f, out, &found));
    if (found) return OK;
    if (func_exists(name) || agg_exists(name))
        return not_yet(b, call->pos, "the function %s in FROM is", name);
    const char *near = near_from_function(name);
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, call->pos), "function %s in FROM does not exist",
            name);
    if (!strcmp(name, "cumsum")) return hint(b->c, "sum(v) OVER [* : d] sums along dimension d.");
    return near ? hint(b->c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_FUNCTION;
}

/* ---- sys.… ---- */

enum status bind_sys(struct binder *b, const struct ast_from *f, const char *name,
                     struct scope *out)
{
    static const char *const later[] = {"roles", "grants"};
    int view = sys_view_find(name);
    for (size_t i = 0; i < sizeof later / sizeof *later; i++)
        if (!strcmp(name, later[i])) return not_yet(b, f->pos, "sys.%s is", name);
    if (view < 0) {
        const char *names[32];
        int n = 0;
        for (int i = 0; i < sys_view_count() && n < 32; i++)
            names[n++] = sys_view(i)->name;
        const char *near = nearest_name(name, names, n);
        fail_at(b->c, ERR_UNDEFINED_TABLE, place(b, f->pos), "relation \"sys.%s\" does not exist",
                name);
        return near ? hint(b->c, "Perhaps you meant \"sys.%s\".", near) : ERR_UNDEFINED_TABLE;
    }
    const struct sys_view *v = sys_view(view);
    struct plan *p = plan_new(b->c, P_SYS, f->pos, 0);
    p->sys_view = view;
    p->label = arena_printf(b->c->arena, "sys.%s", v->name);
    rel_list(b->c, &p->rel, -1, v->n_columns);
    scope_init(b, out, p, f->alias ? f->alias : v->name, v->n_columns);
    for (int i = 0; i < v->n_columns; i++) {
        p->rel.cols[i] = (struct rel_col){.name = v->columns[i].name, .type = v->columns[i].type};
        scope_add(out, v->columns[i].name, false, i, v->columns[i].type);
    }
    return OK;
}
