/* What does INSERT write: which cells, which attributes, which values? */
#include "query/bind_internal.h"

/* ---- assignment ---- */

enum status cast_to_column(struct binder *b, const char *column, enum type to, struct expr **e)
{
    if ((*e)->type == to) return OK;
    struct ctx *c = b->c;
    enum type from = (*e)->type;
    enum status st = expr_make_cast(c, *e, to, false, (*e)->pos, e);
    if (st != ERR_DATATYPE_MISMATCH) return st;
    int pos = (*e)->pos;
    ctx_clear(c);
    fail_at(c, ERR_DATATYPE_MISMATCH, pos,
            "column \"%s\" is of type %s but expression is of type %s", column, type_name(to),
            type_name(from));
    return hint(c, "You will need to rewrite or cast the expression.");
}

struct expr *default_of(struct ctx *c, const struct attr *a, int pos)
{
    struct value v = a->has_default ? a->deflt : value_null(a->type);
    return expr_make_const(c, &v, pos);
}

enum status bind_assign(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                        const struct attr *attr, struct expr **out)
{
    if (e->kind == X_DEFAULT) {
        *out = default_of(b->c, attr, place(b, e->pos));
        return OK;
    }
    TRY(bind_expr(b, in, e, out));
    return cast_to_column(b, attr->name, attr->type, out);
}

/* ---- INSERT: which columns ---- */

/* Where the source's columns go. */
struct columns {
    int n;
    int *dim, *attr; /* of each source column: one of them, the other -1 */
    int of_dim[MAX_DIMS];
    int *of_attr; /* source columns; -1: not given */
};

static void add_column(struct columns *k, int dim, int attr)
{
    k->dim[k->n] = dim;
    k->attr[k->n] = attr;
    if (dim >= 0)
        k->of_dim[dim] = k->n;
    else
        k->of_attr[attr] = k->n;
    k->n++;
}

enum status unknown_target(struct binder *b, const struct schema *s, const char *name, int pos)
{
    int n = 0;
    const char **names = arena_array(b->c->arena, const char *, s->n_dims + s->n_attrs + 1);
    for (int d = 0; d < s->n_dims; d++)
        names[n++] = s->dims[d].name;
    for (int i = 0; i < s->n_attrs; i++)
        names[n++] = s->attrs[i].name;
    const char *near = nearest_name(name, names, n);
    fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, pos),
            "column \"%s\" of relation \"%s\" does not exist", name, s->name);
    return near ? hint(b->c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

static enum status insert_columns(struct binder *b, const struct ast_stmt *s,
                                  const struct schema *t, struct columns *k)
{
    struct arena *a = b->c->arena;
    int most = t->n_dims + t->n_attrs;
    *k = (struct columns){.dim = arena_array(a, int, most + 1),
                          .attr = arena_array(a, int, most + 1),
                          .of_attr = arena_array(a, int, t->n_attrs + 1)};
    for (int d = 0; d < MAX_DIMS; d++)
        k->of_dim[d] = -1;
    for (int i = 0; i < t->n_attrs; i++)
        k->of_attr[i] = -1;
    for (int i = 0; i < s->columns.n; i++) {
        const char *name = s->columns.v[i];
        int d = t->is_table ? -1 : schema_dim(t, name), at = schema_attr(t, name);
        if (d < 0 && at < 0) return unknown_target(b, t, name, s->name.pos);
        if (d >= 0 ? k->of_dim[d] >= 0 : k->of_attr[at] >= 0)
            return fail_at(b->c, ERR_DUPLICATE_COLUMN, place(b, s->name.pos),
                           "column \"%s\" specified more than once", name);
        add_column(k, d, d < 0 ? at : -1);
    }
    if (s->columns.n) return OK;
    for (int d = 0; d < t->n_dims && !t->is_table; d++)
        add_column(k, d, -1);
    for (int i = 0; i < t->n_attrs; i++)
        add_column(k, -1, i);
    return OK;
}

/* Fewer expressions than columns leave the last columns out, if those were not listed. */
static enum status fit_columns(struct binder *b, const struct ast_stmt *s, int n_given, int pos,
                               struct columns *k)
{
    if (n_given > k->n)
        return fail_at(b->c, ERR_SYNTAX, place(b, pos),
                       "INSERT has more expressions than target columns");
    if (n_given < k->n && s->columns.n)
        return fail_at(b->c, ERR_SYNTAX, place(b, pos),
                       "INSERT has more target columns than expressions");
    while (k->n > n_given) {
        k->n--;
        if (k->dim[k->n] >= 0)
            k->of_dim[k->dim[k->n]] = -1;
        else
            k->of_attr[k->attr[k->n]] = -1;
    }
    return OK;
}

static enum status check_given(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                               const struct columns *k)
{
    for (int d = 0; d < t->n_dims && !schema_numbers(t); d++)
        if (k->of_dim[d] < 0) {
            fail_at(b->c, ERR_NOT_NULL, place(b, s->name.pos),
                    "a coordinate for dimension \"%s\" of \"%s\" is missing", t->dims[d].name,
                    t->name);
            return hint(b->c, "Every cell needs a coordinate for each dimension.");
        }
    for (int i = 0; i < t->n_attrs; i++) {
        const struct attr *a = &t->attrs[i];
        if (k->of_attr[i] < 0 && a->not_null && (!a->has_default || a->deflt.null))
            return fail_at(b->c, ERR_NOT_NULL, place(b, s->name.pos),
                           "null value in column \"%s\" of relation \"%s\" violates not-null "
                           "constraint",
                           a->name, t->name);
    }
    return OK;
}

/* ---- INSERT: the source ---- */

static enum type column_type(const struct schema *t, const struct columns *k, int i)
{
    return k->dim[i] >= 0 ? t->dims[k->dim[i]].axis.type : t->attrs[k->attr[i]].type;
}

static const char *column_name(const struct schema *t, const struct columns *k, int i)
{
    return k->dim[i] >= 0 ? t->dims[k->dim[i]].name : t->attrs[k->attr[i]].name;
}

static void values_outputs(struct ctx *c, struct plan *p, const struct schema *t,
                           const struct columns *k, struct query *q)
{
    q->root = p;
    q->n_outs = k->n;
    q->outs = arena_array(c->arena, struct out_col, k->n + 1);
    for (int i = 0; i < k->n; i++) {
        p->rel.cols[i] =
            (struct rel_col){.name = column_name(t, k, i), .type = column_type(t, k, i)};
        q->outs[i] = (struct out_col){p->rel.cols[i].name, p->rel.cols[i].type, false, i};
    }
}

static enum status insert_cell(struct binder *b, const struct schema *t, const struct columns *k,
                               int i, const struct ast_expr *e, struct expr **out)
{
    struct expr_place in = {.clause = "VALUES"};
    if (k->attr[i] >= 0) return bind_assign(b, &in, e, &t->attrs[k->attr[i]], out);
    const struct dim *d = &t->dims[k->dim[i]];
    if (e->kind == X_DEFAULT)
        return fail_at(b->c, ERR_NOT_NULL, place(b, e->pos), "dimension \"%s\" has no default",
                       d->name);
    TRY(bind_expr(b, &in, e, out));
    TRY(cast_to_column(b, d->name, d->axis.type, out));
    if ((*out)->kind == E_CONST && (*out)->value.null)
        return fail_at(b->c, ERR_NOT_NULL, place(b, e->pos),
                       "null value in dimension \"%s\" of array \"%s\"", d->name, t->name);
    return OK;
}

/* VALUES, each constant cast as its column wants it. */
static enum status insert_values(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                                 struct columns *k, struct query *q)
{
    struct ctx *c = b->c;
    const struct ast_select *v = s->select;
    TRY(fit_columns(b, s, v->rows[0].n, v->pos, k));
    struct plan *p = plan_new(c, P_VALUES, v->pos, 0);
    rel_list(c, &p->rel, v->n_rows, k->n);
    p->n_rows = v->n_rows;
    p->rows = arena_array(c->arena, struct expr *, (int64_t)v->n_rows * k->n + 1);
    for (int r = 0; r < v->n_rows; r++) {
        if (v->rows[r].n != k->n)
            return fail_at(c, ERR_SYNTAX, place(b, v->rows[r].n ? v->rows[r].v[0]->pos : v->pos),
                           "VALUES lists must all be the same length");
        for (int i = 0; i < k->n; i++)
            TRY(insert_cell(b, t, k, i, v->rows[r].v[i], &p->rows[(int64_t)r * k->n + i]));
    }
    values_outputs(c, p, t, k, q);
    return OK;
}

static bool plain_values(const struct ast_select *s)
{
    return s->n_rows && !s->order.n && !s->limit && !s->offset && !s->n_ctes;
}

/* One row, without columns: everything takes its default. */
static void default_row(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                        struct columns *k, struct query *q)
{
    struct plan *p = plan_new(b->c, P_VALUES, s->name.pos, 0);
    *k = (struct columns){.dim = k->dim, .attr = k->attr, .of_attr = k->of_attr};
    for (int d = 0; d < MAX_DIMS; d++)
        k->of_dim[d] = -1;
    for (int i = 0; i < t->n_attrs; i++)
        k->of_attr[i] = -1;
    rel_list(b->c, &p->rel, 1, 0);
    p->n_rows = 1;
    values_outputs(b->c, p, t, k, q);
}

/* ---- INSERT … [bracket] VALUES ---- */

struct block {
    int dim;                /* of the target */
    int64_t n, first, step; /* positions; of a label: n 1 and its value */
    bool is_value;
    struct value value;
};

static enum status not_a_position(struct binder *b, const struct ast_expr *e, const struct dim *d,
                                  int64_t i)
{
    fail_at(b->c, ERR_OUT_OF_BOUNDS, place(b, e->pos),
            "position %lld is not on dimension \"%s\", which has %lld", (long long)i, d->name,
            (long long)axis_len(&d->axis));
    return d->axis.kind == AXIS_LABELLED
               ? hint(b->c, "Labels join by their value, not by position.")
               : ERR_OUT_OF_BOUNDS;
}

/* #d => i: a position counted from the axis's first cell, or from its end when negative. */
static enum status block_position(struct binder *b, const struct ast_expr *e, const struct dim *d,
                                  int64_t *out)
{
    const struct axis *x = &d->axis;
    struct value v;
    bool known;
    int64_t pos;
    TRY(bind_value(b, e, "INSERT's bracket", T_INT64, &v, &known));
    *out = x->lo;
    if (!known) return OK;
    if (v.null || !type_is_integer(v.type))
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, e->pos),
                       "a position is an integer number");
    bool grows = x->grows && x->kind == AXIS_REGULAR;
    if (__builtin_add_overflow(v.i < 0 ? x->hi : x->lo, v.i, &pos) || pos < x->lo ||
        (pos >= x->hi && (!grows || pos >= x->limit_hi)))
        return not_a_position(b, e, d, v.i);
    *out = pos;
    return OK;
}

static enum status block_point(struct binder *b, const struct ast_axis *x, const struct dim *d,
                               struct block *k)
{
    struct value v;
    bool known;
    int beyond;
    TRY(bind_value(b, x->lo, "INSERT's bracket", d->axis.type, &v, &known));
    k->is_value = true;
    if (known) TRY(axis_value(b, &d->axis, &v, place(b, x->pos), &k->value, &beyond));
    if (!known) k->value = value_null(d->axis.type);
    return OK;
}

/* Positions may lie past the axis's end: it grows. */
static enum status block_end(struct binder *b, const struct ast_expr *e, const struct dim *d,
                             bool by_position, int64_t *out)
{
    struct value given, v;
    bool known, found = false;
    int beyond = 0;
    if (!e) {
        fail_at(b->c, ERR_SYNTAX, place(b, -1), "INSERT's bracket needs both bounds of \"%s\"",
                d->name);
        return hint(b->c, "%s => 0 : 9", d->name);
    }
    if (by_position) return block_position(b, e, d, out);
    TRY(bind_value(b, e, "INSERT's bracket", d->axis.type, &given, &known));
    *out = d->axis.lo;
    if (!known) return OK;
    TRY(axis_value(b, &d->axis, &given, place(b, e->pos), &v, &beyond));
    TRY(at(b->c, axis_find(b->c, &d->axis, &v, &found, out), place(b, e->pos)));
    if (found && !beyond) return OK;
    struct strbuf text = STRBUF_INIT;
    value_literal(&given, &text);
    fail_at(b->c, ERR_OUT_OF_BOUNDS, place(b, e->pos), "coordinate %s is not on dimension \"%s\"",
            text.s ? text.s : "", d->name);
    strbuf_release(&text);
    return ERR_OUT_OF_BOUNDS;
}

static enum status block_range(struct binder *b, const struct ast_axis *x, const struct dim *d,
                               struct block *k)
{
    int64_t last;
    TRY(at(b->c, block_end(b, x->lo, d, x->by_position, &k->first), place(b, x->pos)));
    TRY(at(b->c, block_end(b, x->hi, d, x->by_position, &last), place(b, x->pos)));
    k->step = 1;
    if (x->step) {
        struct value v;
        bool known;
        TRY(bind_value(b, x->step, "INSERT's bracket", T_INT64, &v, &known));
        if (known && (v.null || !type_is_integer(v.type) || v.i < 1))
            return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, x->step->pos),
                           "the step must be a positive number of cells");
        if (known) k->step = v.i;
    }
    k->n = last >= k->first ? (last - k->first) / k->step + 1 : 0;
    return OK;
}

static enum status bind_blocks(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                               struct block *blocks, int64_t *n_cells)
{
    bool given[MAX_DIMS] = {false};
    if (s->axes.n != t->n_dims || t->is_table)
        return fail_at(b->c, ERR_SYNTAX, place(b, s->name.pos),
                       "INSERT's bracket must name all %d dimensions of \"%s\"", t->n_dims,
                       t->name);
    *n_cells = 1;
    for (int i = 0; i < s->axes.n; i++) {
        const struct ast_axis *x = &s->axes.v[i];
        struct block *k = &blocks[i];
        *k = (struct block){.dim = x->dim ? schema_dim(t, x->dim) : i, .n = 1};
        if (k->dim < 0) return unknown_target(b, t, x->dim, x->pos);
        if (given[k->dim] || x->kind == AXIS_NEAREST || x->all)
            return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                           "INSERT's bracket gives each dimension one range or coordinate");
        given[k->dim] = true;
        const struct dim *d = &t->dims[k->dim];
        if (x->kind == AXIS_POINT && x->by_position)
            TRY(block_position(b, x->lo, d, &k->first));
        else if (x->kind == AXIS_POINT)
            TRY(block_point(b, x, d, k));
        else
            TRY(block_range(b, x, d, k));
        if (k->n > 0 && *n_cells > INT32_MAX / k->n)
            return fail_at(b->c, ERR_LIMIT_EXCEEDED, place(b, x->pos), "the bracket is too large");
        *n_cells *= k->n;
    }
    return OK;
}

struct flat {
    const struct ast_expr **v;
    int64_t n, cap;
};

/* Nesting is flattened in row-major order. False: there are more than there is room for. */
static bool flatten(struct flat *f, const struct ast_expr *e)
{
    if (e->kind == X_ROW) {
        for (int i = 0; i < e->args.n; i++)
            if (!flatten(f, e->args.v[i])) return false;
        return true;
    }
    if (f->n == f->cap) return false;
    f->v[f->n++] = e;
    return true;
}

static struct expr *block_coordinate(struct ctx *c, const struct block *k, const struct dim *d,
                                     int64_t i)
{
    struct value v = k->is_value ? k->value : axis_coord(&d->axis, k->first + i * k->step);
    return expr_make_const(c, &v, -1);
}

static enum status insert_block(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                                struct columns *k, struct query *q)
{
    struct ctx *c = b->c;
    struct block blocks[MAX_DIMS];
    int64_t n_cells, n_rows = 0;
    int attr = s->columns.n == 1 ? schema_attr(t, s->columns.v[0]) : t->n_attrs == 1 ? 0 : -1;
    if (!s->select || !plain_values(s->select))
        return fail_at(c, ERR_SYNTAX, place(b, s->name.pos),
                       "INSERT with a bracket takes its cells from VALUES");
    if (s->columns.n == 1 && attr < 0) return unknown_target(b, t, s->columns.v[0], s->name.pos);
    if (attr < 0) {
        fail_at(c, ERR_SYNTAX, place(b, s->name.pos),
                "INSERT with a bracket writes one attribute, and \"%s\" has %d", t->name,
                t->n_attrs);
        return hint(c, "Name it after the bracket: INSERT INTO %s […] (%s) VALUES …", t->name,
                    t->n_attrs ? t->attrs[0].name : "v");
    }
    TRY(bind_blocks(b, s, t, blocks, &n_cells));
    struct flat f = {.v = arena_array(c->arena, const struct ast_expr *, n_cells + 1),
                     .cap = n_cells};
    bool fits = true;
    for (int r = 0; r < s->select->n_rows; r++)
        for (int i = 0; i < s->select->rows[r].n; i++)
            fits = fits && flatten(&f, s->select->rows[r].v[i]);
    if (!fits || f.n != n_cells)
        return fail_at(c, ERR_SYNTAX, place(b, s->select->pos),
                       "the bracket has %lld cells, but %s values are given", (long long)n_cells,
                       fits ? "fewer" : "more");
    k->n = 0;
    for (int d = 0; d < t->n_dims; d++)
        add_column(k, d, -1);
    add_column(k, -1, attr);
    struct plan *p = plan_new(c, P_VALUES, s->select->pos, 0);
    p->rows = arena_array(c->arena, struct expr *, n_cells * k->n + 1);
    for (int64_t cell = 0; cell < n_cells; cell++) {
        if (f.v[cell]->kind == X_EMPTY) continue;
        struct expr **row = &p->rows[n_rows++ * k->n];
        int64_t rest = cell;
        for (int i = t->n_dims - 1; i >= 0; i--) {
            const struct block *bl = &blocks[i];
            row[bl->dim] = block_coordinate(c, bl, &t->dims[bl->dim], rest % bl->n);
            rest /= bl->n;
        }
        TRY(insert_cell(b, t, k, t->n_dims, f.v[cell], &row[t->n_dims]));
    }
    rel_list(c, &p->rel, n_rows, k->n);
    p->n_rows = n_rows;
    values_outputs(c, p, t, k, q);
    return OK;
}

/* ---- INSERT: the whole ---- */

/* One output of the source as a value of the target's type. A literal is cast where it stands. */
static enum status source_column(struct binder *b, struct plan *in, const struct out_col *o,
                                 const char *name, enum type to, struct expr **out)
{
    struct expr **from = !o->is_dim && in->kind == P_MAP ? &in->exprs[o->index] : NULL;
    if (from && o->type == T_UNKNOWN) {
        TRY(cast_to_column(b, name, to, from));
        in->rel.cols[o->index].type = to;
    }
    *out = o->is_dim ? dim_ref(b->c, &in->rel, o->index) : col_ref(b->c, &in->rel, o->index);
    (*out)->pos = from ? (*from)->pos : in->pos;
    return cast_to_column(b, name, to, out);
}

/* The source's outputs in the target's order and types; all: also attributes that were not given.
 */
static enum status insert_outputs(struct binder *b, const struct schema *t, const struct columns *k,
                                  bool all, struct bound_insert *out)
{
    struct ctx *c = b->c;
    struct query *q = &out->query;
    struct plan *in = q->root;
    int n_dims = t->is_table ? 0 : t->n_dims, n = 0, n_cols = 0;
    int most = t->n_dims + t->n_attrs + 1;
    struct out_col *outs = arena_array(c->arena, struct out_col, most);
    struct expr **es = arena_array(c->arena, struct expr *, most);
    const char **names = arena_array(c->arena, const char *, most);
    out->attrs = arena_array(c->arena, int, most);
    out->numbered = t->is_table || k->of_dim[0] < 0;
    for (int i = out->numbered ? n_dims : 0; i < n_dims + t->n_attrs; i++) {
        int from = i < n_dims ? k->of_dim[i] : k->of_attr[i - n_dims];
        if (from < 0 && !all) continue;
        if (from < 0) {
            const struct attr *a = &t->attrs[i - n_dims];
            out->attrs[out->n_attrs++] = i - n_dims;
            es[n_cols] = default_of(c, a, -1);
            names[n_cols] = a->name;
            outs[n++] = (struct out_col){a->name, a->type, false, n_cols++};
            continue;
        }
        const struct out_col *o = &q->outs[from];
        const char *name = column_name(t, k, from);
        enum type to = column_type(t, k, from);
        if (i >= n_dims) out->attrs[out->n_attrs++] = i - n_dims;
        if (o->is_dim && i < n_dims && o->type == to) {
            outs[n++] = (struct out_col){name, to, true, o->index};
            continue;
        }
        TRY(source_column(b, in, o, name, to, &es[n_cols]));
        names[n_cols] = name;
        outs[n++] = (struct out_col){name, to, false, n_cols++};
    }
    q->root = plan_map(c, in, es, names, n_cols);
    q->outs = outs;
    q->n_outs = n;
    return OK;
}

void push_ctes(struct binder *b, const struct ast_stmt *s)
{
    struct cte *ctes = arena_array(b->c->arena, struct cte, s->n_ctes + 1);
    for (int i = 0; i < s->n_ctes; i++) {
        ctes[i] = (struct cte){.next = b->ctes, .ast = &s->ctes[i]};
        b->ctes = &ctes[i];
    }
}

enum status bind_insert(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        const struct schema *target, struct bound_insert *out)
{
    struct binder b;
    struct columns k;
    binder_init(&b, c, env);
    *out = (struct bound_insert){0};
    push_ctes(&b, s);
    TRY(insert_columns(&b, s, target, &k));
    if (s->default_values) {
        default_row(&b, s, target, &k, &out->query);
    } else if (s->has_axes) {
        TRY(insert_block(&b, s, target, &k, &out->query));
    } else if (plain_values(s->select)) {
        TRY(insert_values(&b, s, target, &k, &out->query));
    } else {
        TRY(bind_source(&b, s->select, NULL, WANT_ROWS, &out->query));
        TRY(fit_columns(&b, s, out->query.n_outs, s->select->pos, &k));
    }
    TRY(check_given(&b, s, target, &k));
    TRY(bind_held(&b, s, target, &out->row));
    bool all = out->row.sets || out->row.returning.n || out->row.checks.n;
    TRY(insert_outputs(&b, target, &k, all, out));
    return binder_finish(&b, &out->query);
}
