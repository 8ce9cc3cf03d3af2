/* Which cells does a bracket after an array mean? Coordinates and positions to a box. */
#include "query/bind_internal.h"
#include <math.h>

/* One dimension of a slice. */
struct cut {
    const struct ast_axis *by; /* NULL: not mentioned */
    bool drop;
    int64_t lo, hi, stride;
};

/* ---- coordinates ---- */

static const char *literal(struct ctx *c, const struct value *v)
{
    struct strbuf s = STRBUF_INIT;
    value_literal(v, &s);
    const char *text = arena_strdup(c->arena, s.s ? s.s : "");
    strbuf_release(&s);
    return text;
}

static enum status wrong_type(struct binder *b, const struct axis *a, const struct value *v,
                              int pos)
{
    return fail_at(b->c, ERR_DATATYPE_MISMATCH, pos,
                   "the dimension is of type %s, but the coordinate is of type %s",
                   type_name(a->type), type_name(v->type));
}

/* A number as a coordinate of an integer axis: the next one below, and how the number lies to it.
 */
static void floor_number(enum type t, const struct value *v, struct value *out, int *beyond)
{
    int bits = 8 * (int)type_bytes(t);
    bool uns = type_is_unsigned(t);
    double d = type_is_float(v->type)      ? v->d
               : type_is_unsigned(v->type) ? (double)v->u
                                           : (double)v->i;
    double least = uns ? 0 : -ldexp(1, bits - 1), past = ldexp(1, uns ? bits : bits - 1);
    struct ctx quiet = {0};
    *beyond = 0;
    if (!type_is_float(v->type) && value_cast(&quiet, v, t, out) == OK) return;
    double down = floor(d);
    *out = value_int(t, 0);
    if (d < least) {
        *beyond = -1;
        if (!uns) out->i = INT64_MIN >> (64 - bits);
    } else if (!(d < past)) {
        *beyond = 1;
        if (uns)
            out->u = UINT64_MAX >> (64 - bits);
        else
            out->i = INT64_MAX >> (64 - bits);
    } else {
        *beyond = down < d;
        if (uns)
            out->u = (uint64_t)down;
        else
            out->i = (int64_t)down;
    }
}

enum status axis_value(struct binder *b, const struct axis *a, const struct value *v, int pos,
                       struct value *out, int *beyond)
{
    *beyond = 0;
    if (v->null) return fail_at(b->c, ERR_INVALID_PARAMETER, pos, "a coordinate cannot be NULL");
    bool quoted = v->type == T_UNKNOWN || v->type == T_TEXT;
    if (quoted || v->type == a->type) return at(b->c, value_cast(b->c, v, a->type, out), pos);
    if (type_is_numeric(a->type) != type_is_numeric(v->type) ||
        type_is_time(a->type) != type_is_time(v->type) || a->type == T_TEXT)
        return wrong_type(b, a, v, pos);
    if (type_is_integer(a->type)) {
        if (type_is_float(v->type) && isnan(v->d)) return wrong_type(b, a, v, pos);
        floor_number(a->type, v, out, beyond);
        return OK;
    }
    TRY(at(b->c, value_cast(b->c, v, a->type, out), pos));
    if (a->type == T_DATE) {
        struct value back;
        TRY(value_cast(b->c, out, v->type, &back));
        int order = value_compare(&back, v);
        if (order > 0) out->i--; /* the day that the time lies in */
        *beyond = order != 0;
    }
    return OK;
}

static enum status coordinate(struct binder *b, const struct axis *a, const struct ast_expr *e,
                              struct value *out, int *beyond, bool *known)
{
    struct value v;
    TRY(bind_value(b, e, "a slice", a->type, &v, known));
    if (!*known) return OK;
    return axis_value(b, a, &v, place(b, e->pos), out, beyond);
}

/* ---- ranges ---- */

static enum status position(struct binder *b, const struct axis *a, const struct ast_expr *e,
                            int64_t *out, bool *known)
{
    struct value v;
    b->env->by_position = true;
    TRY(bind_value(b, e, "a slice", T_INT64, &v, known));
    if (!*known) return OK;
    if (v.null || !type_is_integer(v.type) || (type_is_unsigned(v.type) && v.u > INT64_MAX))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos),
                       "a position must be an integer");
    int64_t from = v.i < 0 ? a->hi : a->lo;
    if (__builtin_add_overflow(from, v.i, out)) *out = v.i < 0 ? INT64_MIN : INT64_MAX;
    return OK;
}

static enum status range_by_position(struct binder *b, const struct ast_axis *x,
                                     const struct rel_dim *d, int64_t *lo, int64_t *hi)
{
    bool known;
    int64_t p;
    if (x->lo) {
        TRY(position(b, d->axis, x->lo, &p, &known));
        if (known && p > *lo) *lo = p;
    }
    if (x->hi) {
        TRY(position(b, d->axis, x->hi, &p, &known));
        if (known && p < *hi - 1) *hi = p < INT64_MAX ? p + 1 : p;
    }
    return OK;
}

static enum status range_by_coordinate(struct binder *b, const struct ast_axis *x,
                                       const struct rel_dim *d, const char *name, int64_t *lo,
                                       int64_t *hi)
{
    struct value from, to;
    int from_beyond = 0, to_beyond = 0;
    bool known = true, has_from = false, has_to = false;
    int64_t p, q;
    if (x->lo) TRY(coordinate(b, d->axis, x->lo, &from, &from_beyond, &has_from));
    if (x->hi) TRY(coordinate(b, d->axis, x->hi, &to, &to_beyond, &has_to));
    known = (!x->lo || has_from) && (!x->hi || has_to);
    if (!known) return OK;
    bool swapped = has_from && has_to && axis_descending(d->axis) &&
                   value_compare(&from, &to) > 0 && d->axis->type != T_TEXT;
    /* Of a bound between two coordinates the lower one does not lie inside. */
    int low_beyond = swapped ? to_beyond : from_beyond,
        high_beyond = swapped ? from_beyond : to_beyond;
    struct value *low = swapped ? &to : &from;
    bool nothing = high_beyond < 0;
    if (low_beyond > 0) {
        if (low->i == INT64_MAX)
            nothing = true;
        else
            low->i++;
    }
    TRY(at(b->c,
           axis_slice(b->c, d->axis, name, has_from ? &from : NULL, has_to ? &to : NULL, &p, &q),
           place(b, x->pos)));
    if (p > *lo) *lo = p;
    if (q < *hi) *hi = q;
    if (nothing) *hi = *lo;
    return OK;
}

enum status bind_range(struct binder *b, const struct ast_axis *x, const struct rel_dim *d,
                       const char *name, int64_t *lo, int64_t *hi, int64_t *step)
{
    *lo = d->lo;
    *hi = d->hi;
    *step = 1;
    if (x->by_position)
        TRY(range_by_position(b, x, d, lo, hi));
    else
        TRY(range_by_coordinate(b, x, d, name, lo, hi));
    if (x->step) {
        struct value v;
        bool known;
        TRY(bind_value(b, x->step, "a slice", T_INT64, &v, &known));
        if (known && (v.null || !type_is_integer(v.type) || v.i < 1)) {
            fail_at(b->c, ERR_INVALID_PARAMETER, place(b, x->step->pos),
                    "the step of a slice must be a positive number of cells");
            return hint(b->c, "It counts cells from the slice's first.");
        }
        if (known) *step = v.i;
    }
    if (*hi < *lo) *hi = *lo;
    if (*hi > *lo) {
        int64_t last = (*hi - 1 - *lo) / *step;
        *hi = *lo + last * *step + 1;
        if (last == 0) *step = 1;
    }
    return OK;
}

/* ---- single values ---- */

static const char *axis_text(struct ctx *c, const struct axis *a)
{
    struct strbuf s = STRBUF_INIT;
    axis_format(a, &s);
    const char *text = arena_strdup(c->arena, s.s ? s.s : "");
    strbuf_release(&s);
    return text;
}

static enum status off_axis(struct binder *b, const struct ast_axis *x, const struct rel_dim *d,
                            const char *name, const struct value *v)
{
    const char *text = literal(b->c, v);
    fail_at(b->c, ERR_OUT_OF_BOUNDS, place(b, x->pos), "coordinate %s is not on dimension \"%s\"",
            text, name);
    detail(b->c, "Its axis is %.200s.", axis_text(b->c, d->axis));
    if (d->axis->type == T_TEXT) {
        int n = d->axis->hi < 1000 ? (int)d->axis->hi : 1000;
        const char **labels = arena_array(b->c->arena, const char *, n + 1);
        for (int i = 0; i < n; i++) {
            struct value label = axis_coord(d->axis, i);
            labels[i] = arena_strndup(b->c->arena, label.t.s, (size_t)label.t.len);
        }
        const char *near =
            nearest_name(arena_strndup(b->c->arena, v->t.s, (size_t)v->t.len), labels, n);
        return near ? hint(b->c, "Perhaps you meant '%s'.", near) : ERR_OUT_OF_BOUNDS;
    }
    return hint(b->c, "%s => NEAREST %s takes the nearest cell.", name, text);
}

static enum status point_by_position(struct binder *b, const struct ast_axis *x,
                                     const struct rel_dim *d, const char *name, int64_t *out)
{
    int64_t p;
    bool known;
    TRY(position(b, d->axis, x->lo, &p, &known));
    if (known && (p < d->lo || p >= d->hi)) {
        fail_at(b->c, ERR_OUT_OF_BOUNDS, place(b, x->pos),
                "the position is outside dimension \"%s\"", name);
        return detail(b->c, "It has %lld positions, from 0.", (long long)axis_len(d->axis));
    }
    *out = known ? p : d->lo;
    return OK;
}

static enum status point_by_coordinate(struct binder *b, const struct ast_axis *x,
                                       const struct rel_dim *d, const char *name, int64_t *out)
{
    struct value given, v;
    bool known, found = false;
    int beyond = 0;
    int64_t p;
    TRY(bind_value(b, x->lo, "a slice", d->axis->type, &given, &known));
    if (!known) {
        *out = d->lo;
        return OK;
    }
    TRY(axis_value(b, d->axis, &given, place(b, x->lo->pos), &v, &beyond));
    TRY(at(b->c, axis_find(b->c, d->axis, &v, &found, &p), place(b, x->pos)));
    if (!found || beyond || p < d->lo || p >= d->hi)
        return off_axis(b, x, d, name, beyond ? &given : &v);
    *out = p;
    return OK;
}

static enum status nearest(struct binder *b, const struct ast_axis *x, const struct rel_dim *d,
                           const char *name, int64_t *out)
{
    struct value v, tolerance;
    bool known, tolerance_known = true;
    if (x->by_position)
        return fail_at(b->c, ERR_SYNTAX, place(b, x->pos), "a position has no NEAREST");
    if (d->axis->type == T_TEXT)
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, x->pos),
                       "text labels have no nearest one");
    TRY(bind_value(b, x->lo, "a slice", d->axis->type, &v, &known));
    if (known && v.null)
        return fail_at(b->c, ERR_INVALID_PARAMETER, place(b, x->pos),
                       "a coordinate cannot be NULL");
    bool numbers = type_is_numeric(d->axis->type);
    if (known && v.type != T_UNKNOWN && v.type != T_TEXT && type_is_numeric(v.type) != numbers)
        return wrong_type(b, d->axis, &v, place(b, x->pos));
    if (x->tolerance) {
        enum type want = numbers ? T_FLOAT64 : T_INTERVAL;
        TRY(bind_value(b, x->tolerance, "a slice", want, &tolerance, &tolerance_known));
        if (tolerance_known && tolerance.type != want)
            TRY(at(b->c, value_cast(b->c, &tolerance, want, &tolerance),
                   place(b, x->tolerance->pos)));
    }
    *out = d->lo;
    if (!known || !tolerance_known) return OK;
    return at(b->c, axis_nearest(b->c, d->axis, name, &v, x->tolerance ? &tolerance : NULL, out),
              place(b, x->pos));
}

/* ---- the bracket ---- */

static enum status cut_dim(struct binder *b, const struct ast_axis *x, const struct rel_dim *d,
                           const char *name, struct cut *cut)
{
    if (x->all) return OK;
    if (!dim_known(d))
        return not_yet(b, x->pos, "slices of an axis that only running the query tells are");
    if (x->kind == AXIS_RANGE) return bind_range(b, x, d, name, &cut->lo, &cut->hi, &cut->stride);
    cut->drop = true;
    if (x->kind == AXIS_NEAREST)
        TRY(nearest(b, x, d, name, &cut->lo));
    else if (x->by_position)
        TRY(point_by_position(b, x, d, name, &cut->lo));
    else
        TRY(point_by_coordinate(b, x, d, name, &cut->lo));
    cut->hi = cut->lo + 1;
    return OK;
}

/* The scope's dimensions in order: names by dimension of the plan, NULL where hidden. */
static int dim_names(const struct scope *s, const char **names)
{
    for (int d = 0; d < s->plan->rel.n_dims; d++)
        names[d] = NULL;
    int n = 0;
    for (int i = 0; i < s->n_cols; i++) {
        if (!s->cols[i].is_dim || !s->cols[i].name || names[s->cols[i].index]) continue;
        names[s->cols[i].index] = s->cols[i].name;
        n++;
    }
    return n;
}

static enum status find_dim(struct binder *b, const struct ast_axis *x, const char **names,
                            int n_dims, const struct scope *s, int *out)
{
    for (int d = 0; d < n_dims; d++) {
        if (!names[d] || strcmp(names[d], x->dim)) continue;
        *out = d;
        return OK;
    }
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].name && !strcmp(s->cols[i].name, x->dim)) {
            fail_at(b->c, ERR_WRONG_OBJECT, place(b, x->pos),
                    "\"%s\" is an attribute, not a dimension", x->dim);
            return hint(b->c, "WHERE selects by attributes.");
        }
    int n = 0;
    const char *known[MAX_DIMS];
    for (int d = 0; d < n_dims; d++)
        if (names[d]) known[n++] = names[d];
    const char *near = nearest_name(x->dim, known, n);
    fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, x->pos), "dimension \"%s\" does not exist",
            x->dim);
    return near ? hint(b->c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

/* Which item belongs to which dimension. */
static enum status assign_items(struct binder *b, const struct ast_axes *axes,
                                const struct scope *s, const char **names, struct cut *cuts)
{
    int n_dims = s->plan->rel.n_dims, n_named = dim_names(s, names), next = 0;
    bool after_name = false;
    for (int i = 0; i < axes->n; i++) {
        const struct ast_axis *x = &axes->v[i];
        int d = next;
        if (x->dim) {
            TRY(find_dim(b, x, names, n_dims, s, &d));
            after_name = true;
        } else {
            if (after_name)
                return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                               "a dimension without a name cannot follow one with a name");
            while (d < n_dims && !names[d])
                d++;
            if (d == n_dims)
                return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                               "the slice has more items than the array has dimensions (%d)",
                               n_named);
            next = d + 1;
        }
        if (cuts[d].by)
            return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                           "dimension \"%s\" stands twice in the slice", names[d]);
        cuts[d].by = x;
    }
    return OK;
}

static enum status cut_all(struct binder *b, const struct ast_axes *axes, const struct scope *s,
                           struct cut *cuts)
{
    const struct rel *r = &s->plan->rel;
    const char *names[MAX_DIMS];
    TRY(assign_items(b, axes, s, names, cuts));
    for (int d = 0; d < r->n_dims; d++)
        if (cuts[d].by) TRY(cut_dim(b, cuts[d].by, &r->dims[d], names[d], &cuts[d]));
    return OK;
}

/* Dropped dimensions have no name any more; the others have moved. */
static void rename_dims(struct scope *s, const int *place_of)
{
    int n = 0;
    for (int i = 0; i < s->n_cols; i++) {
        struct scope_col col = s->cols[i];
        if (col.is_dim && place_of[col.index] < 0) continue;
        if (col.is_dim) col.index = place_of[col.index];
        s->cols[n++] = col;
    }
    s->n_cols = n;
}

enum status bind_slice(struct binder *b, const struct ast_axes *axes, bool keep, struct scope *s)
{
    struct plan *in = s->plan;
    struct cut cuts[MAX_DIMS] = {0};
    int place_of[MAX_DIMS];
    for (int d = 0; d < in->rel.n_dims; d++)
        cuts[d] = (struct cut){.lo = in->rel.dims[d].lo, .hi = in->rel.dims[d].hi, .stride = 1};
    TRY(cut_all(b, axes, s, cuts));
    struct plan *p = plan_over(b->c, P_SLICE, s->plan->pos, in);
    p->dim_of = arena_array(b->c->arena, int, in->rel.n_dims + 1);
    p->region.n_dims = in->rel.n_dims;
    p->rel.n_dims = 0;
    for (int d = 0; d < in->rel.n_dims; d++) {
        p->region.lo[d] = cuts[d].lo;
        p->region.hi[d] = cuts[d].hi;
        place_of[d] = -1;
        if (cuts[d].drop && !keep) continue;
        place_of[d] = p->rel.n_dims;
        p->dim_of[p->rel.n_dims] = d;
        struct rel_dim *out = &p->rel.dims[p->rel.n_dims++];
        *out = in->rel.dims[d];
        out->lo = cuts[d].lo;
        out->hi = cuts[d].hi;
        if (cuts[d].stride > 1) out->stride = cuts[d].stride;
    }
    if (p->rel.n_dims < in->rel.n_dims) {
        struct whole_dim *whole = arena_array(b->c->arena, struct whole_dim, in->rel.n_dims);
        for (int d = 0; d < in->rel.n_dims; d++)
            whole[d] = (struct whole_dim){place_of[d], cuts[d].lo};
        s->whole = whole;
        s->n_whole = in->rel.n_dims;
    }
    s->plan = p;
    rename_dims(s, place_of);
    return OK;
}
