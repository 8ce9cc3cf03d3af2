/* What does CREATE describe: dimensions with their axes, attributes, or the shape of a result? */
#include "query/bind_internal.h"
#include <stdlib.h>

/* ---- attributes ---- */

static enum status storable(struct ctx *c, enum type t, int pos, const char *name)
{
    if (t != T_INTERVAL && t != T_INT64S && t != T_UNKNOWN) return OK;
    return fail_at(c, ERR_UNSUPPORTED, pos, "attribute \"%s\" cannot be of type %s", name,
                   type_name(t));
}

/* 'raw', 'shuffle,zstd' and 'shuffle,zstd(3)'. */
static enum status bind_codec(struct ctx *c, const struct ast_column *col, struct attr *out)
{
    static const char chain[] = "shuffle,zstd";
    const char *s = col->codec;
    if (!s) return OK;
    if (!strcmp(s, "raw")) {
        out->codec_raw = true;
        return OK;
    }
    if (!strncmp(s, chain, sizeof chain - 1)) {
        const char *rest = s + sizeof chain - 1;
        char *end;
        if (!*rest) {
            out->zstd_level = 1;
            return OK;
        }
        long level = *rest == '(' ? strtol(rest + 1, &end, 10) : 0;
        if (level >= 1 && level <= 22 && !strcmp(end, ")")) {
            out->zstd_level = (uint8_t)level;
            return OK;
        }
    }
    fail_at(c, ERR_INVALID_PARAMETER, col->pos, "unrecognized codec '%s'", s);
    return hint(c, "There are 'raw' and 'shuffle,zstd(level)', level 1 to 22.");
}

static enum status bind_default(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                                struct attr *out)
{
    out->deflt = value_null(out->type);
    if (!col->deflt) return OK;
    struct value v;
    TRY(at(c, bind_const(c, env, col->deflt, out->type, &v), col->pos));
    out->has_default = true;
    out->deflt = value_dup(c->arena, &v);
    return OK;
}

enum status bind_attr(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                      struct attr *out)
{
    *out = (struct attr){.name = col->name, .not_null = col->not_null};
    if (col->check)
        return fail_at(c, ERR_UNSUPPORTED, col->check->pos, "CHECK is not available yet");
    if (col->primary_key || col->unique) {
        fail_at(c, ERR_UNSUPPORTED, col->pos, "%s on attribute \"%s\" is not available",
                col->primary_key ? "PRIMARY KEY" : "UNIQUE", col->name);
        return hint(c, "An array's dimensions are its key: %s … DIMENSION.", col->name);
    }
    if (!col->type) return fail_at(c, ERR_SYNTAX, col->pos, "column \"%s\" has no type", col->name);
    TRY(bind_type(c, col->type, &out->type));
    if (out->type == T_TEXT && col->type->mods.n)
        notice(c, "00000", "%s becomes TEXT: its length is not checked", col->type->name);
    TRY(storable(c, out->type, col->pos, col->name));
    TRY(bind_codec(c, col, out));
    return bind_default(c, env, col, out);
}

/* ---- dimensions ---- */

static enum status bound_value(struct ctx *c, struct bind_env *env, const struct ast_expr *e,
                               enum type t, struct value *out)
{
    return at(c, bind_const(c, env, e, t, out), e->pos);
}

/* Steps of dates and times are intervals; a plain number counts days. */
static enum status step_value(struct ctx *c, struct bind_env *env, const struct ast_expr *e,
                              enum type t, struct value *out)
{
    struct value v;
    TRY(at(c, bind_const(c, env, e, T_UNKNOWN, &v), e->pos));
    if (v.null) return fail_at(c, ERR_INVALID_DEFINITION, e->pos, "a step cannot be NULL");
    if (!type_is_time(t)) {
        if (v.type == T_UNKNOWN || v.type == T_TEXT)
            return at(c, value_cast(c, &v, t, out), e->pos);
        *out = v;
        return OK;
    }
    if (v.type == T_INTERVAL) {
        *out = v;
        return OK;
    }
    if (v.type == T_UNKNOWN || v.type == T_TEXT)
        return at(c, value_cast(c, &v, T_INTERVAL, out), e->pos);
    if (!type_is_integer(v.type) || v.i < INT32_MIN || v.i > INT32_MAX)
        return fail_at(c, ERR_DATATYPE_MISMATCH, e->pos,
                       "the step of a dimension of type %s must be an interval", type_name(t));
    *out = value_null(T_INTERVAL);
    out->null = false;
    out->iv = (struct interval){.days = (int32_t)v.i};
    return OK;
}

static enum status range_axis(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                              enum type t, struct axis *out)
{
    const struct ast_axis *r = &col->range;
    struct value lo, hi, step;
    if (t == T_TEXT || t == T_BOOL || t == T_INTERVAL)
        return fail_at(c, ERR_INVALID_DEFINITION, col->pos,
                       "dimension \"%s\" of type %s cannot have a range", col->name, type_name(t));
    if (!r->lo) {
        fail_at(c, ERR_INVALID_DEFINITION, r->pos >= 0 ? r->pos : col->pos,
                "dimension \"%s\" needs a first coordinate", col->name);
        return hint(c, "%s DIMENSION [0 : *] grows at its end.", col->name);
    }
    TRY(bound_value(c, env, r->lo, t, &lo));
    if (r->hi) TRY(bound_value(c, env, r->hi, t, &hi));
    if (lo.null || (r->hi && hi.null))
        return fail_at(c, ERR_INVALID_DEFINITION, r->lo->pos,
                       "a bound of dimension \"%s\" cannot be NULL", col->name);
    if (r->step) TRY(step_value(c, env, r->step, t, &step));
    return at(c,
              axis_regular(c, col->name, t, &lo, r->hi ? &hi : NULL, r->step ? &step : NULL, out),
              col->pos);
}

static enum status label_axis(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                              enum type t, struct axis *out)
{
    struct value *labels = arena_array(c->arena, struct value, col->labels.n + 1);
    if (t == T_BOOL || t == T_INTERVAL)
        return fail_at(c, ERR_INVALID_DEFINITION, col->pos, "dimension \"%s\" cannot be of type %s",
                       col->name, type_name(t));
    for (int i = 0; i < col->labels.n; i++) {
        TRY(bound_value(c, env, col->labels.v[i], t, &labels[i]));
        if (labels[i].null)
            return fail_at(c, ERR_INVALID_DEFINITION, col->labels.v[i]->pos,
                           "a label of dimension \"%s\" cannot be NULL", col->name);
    }
    return at(c,
              axis_labelled(c, col->name, t, labels, col->labels.n, col->dim == DIM_GROWING, out),
              col->pos);
}

static enum status bind_dim(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                            struct dim *out)
{
    enum type t;
    *out = (struct dim){.name = col->name, .tile = col->tile};
    if (col->deflt || col->codec || col->check || col->unique)
        return fail_at(c, ERR_INVALID_DEFINITION, col->pos,
                       "dimension \"%s\" takes no DEFAULT, CODEC, CHECK or UNIQUE", col->name);
    if (col->null)
        return fail_at(c, ERR_INVALID_DEFINITION, col->pos, "dimension \"%s\" cannot be NULL",
                       col->name);
    TRY(bind_type(c, col->type, &t));
    TRY(storable(c, t, col->pos, col->name));
    if (col->dim == DIM_RANGE) return range_axis(c, env, col, t, &out->axis);
    return label_axis(c, env, col, t, &out->axis);
}

/* ---- CREATE ARRAY, CREATE TABLE ---- */

/* The hidden dimension of a table. */
static enum status row_dim(struct ctx *c, struct schema *out)
{
    struct value zero = value_int(T_INT64, 0);
    out->n_dims = 1;
    out->dims = arena_array(c->arena, struct dim, 1);
    out->dims[0].name = "row";
    return axis_regular(c, "row", T_INT64, &zero, NULL, NULL, &out->dims[0].axis);
}

static enum status refuse_parts(struct ctx *c, const struct ast_stmt *s)
{
    if (s->temporary)
        return fail_at(c, ERR_UNSUPPORTED, s->pos, "temporary tables are not available yet");
    if (s->checks.n)
        return fail_at(c, ERR_UNSUPPORTED, s->checks.v[0]->pos, "CHECK is not available yet");
    if (s->n_uniques)
        return fail_at(c, ERR_UNSUPPORTED, s->pos,
                       "UNIQUE and PRIMARY KEY of a table are not available: an array's dimensions "
                       "are its key");
    return OK;
}

static enum status check_name(struct ctx *c, const char *name, int pos)
{
    if (strlen(name) < NAME_BYTES) return OK;
    return fail_at(c, ERR_NAME_TOO_LONG, pos, "the name \"%.100s\" is longer than %d bytes", name,
                   NAME_BYTES - 1);
}

static enum status check_names(struct ctx *c, const struct ast_columns *defs, bool is_table)
{
    for (int i = 0; i < defs->n; i++) {
        TRY(check_name(c, defs->v[i].name, defs->v[i].pos));
        if (is_table && !strcmp(defs->v[i].name, "row"))
            return fail_at(c, ERR_DUPLICATE_COLUMN, defs->v[i].pos,
                           "column name \"row\" conflicts with a table's hidden dimension");
        for (int k = 0; k < i; k++)
            if (!strcmp(defs->v[i].name, defs->v[k].name))
                return fail_at(c, ERR_DUPLICATE_COLUMN, defs->v[i].pos,
                               "column \"%s\" specified more than once", defs->v[i].name);
    }
    return OK;
}

enum status bind_schema(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct schema *out)
{
    struct schema r = {.name = s->name.part[s->name.n - 1], .is_table = s->is_table};
    TRY(refuse_parts(c, s));
    TRY(check_name(c, r.name, s->name.pos));
    TRY(check_names(c, &s->defs, s->is_table));
    r.dims = arena_array(c->arena, struct dim, s->defs.n + 1);
    r.attrs = arena_array(c->arena, struct attr, s->defs.n + 1);
    if (s->is_table) TRY(row_dim(c, &r));
    for (int i = 0; i < s->defs.n; i++) {
        const struct ast_column *col = &s->defs.v[i];
        if (col->dim == DIM_NONE) {
            if (r.n_attrs == MAX_ATTRS)
                return fail_at(c, ERR_TOO_MANY_COLUMNS, col->pos,
                               "an array has at most %d attributes", MAX_ATTRS);
            TRY(bind_attr(c, env, col, &r.attrs[r.n_attrs++]));
            continue;
        }
        if (s->is_table)
            return fail_at(c, ERR_INVALID_DEFINITION, col->pos,
                           "a table has no dimensions: use CREATE ARRAY");
        if (r.n_dims == MAX_DIMS)
            return fail_at(c, ERR_TOO_MANY_COLUMNS, col->pos, "an array has at most %d dimensions",
                           MAX_DIMS);
        TRY(bind_dim(c, env, col, &r.dims[r.n_dims++]));
    }
    if (r.n_dims == 0) {
        fail_at(c, ERR_INVALID_DEFINITION, s->name.pos, "array \"%s\" has no dimension", r.name);
        return hint(c, "i INTEGER DIMENSION [0 : 9] makes one; CREATE TABLE needs none.");
    }
    *out = r;
    return OK;
}

/* ---- CREATE ARRAY AS ---- */

static enum status result_dim(struct ctx *c, const struct rel_dim *from, const char *name,
                              struct dim *out)
{
    out->name = name;
    out->unit = from->unit;
    out->comment = from->comment;
    if (!dim_known(from)) { /* a pivot's axis, found when it ran */
        out->axis = *from->axis;
        return OK;
    }
    int64_t n = from->hi > from->lo ? (from->hi - from->lo + from->stride - 1) / from->stride : 0;
    TRY(axis_rebase(c, from->axis, from->lo, n, from->stride, &out->axis));
    /* What is open-ended, and kept to its end, stays so: a file's unlimited dimension, a growing
     * array's. */
    if (from->axis->grows && from->stride == 1 && from->hi == from->axis->hi) {
        out->axis.grows = true;
        if (out->axis.kind == AXIS_REGULAR) out->axis.limit_hi = INT64_MAX;
    }
    return OK;
}

static enum status result_names(struct ctx *c, const char *name, const struct query *q)
{
    TRY(check_name(c, name, -1));
    for (int i = 0; i < q->n_outs; i++) {
        TRY(check_name(c, q->outs[i].name, -1));
        for (int k = 0; k < i; k++)
            if (!strcmp(q->outs[i].name, q->outs[k].name)) {
                fail(c, ERR_DUPLICATE_COLUMN, "column \"%s\" specified more than once",
                     q->outs[i].name);
                return hint(c, "AS gives a column another name.");
            }
    }
    return OK;
}

enum status bind_schema_of(struct ctx *c, const char *name, const struct query *q,
                           struct schema *out)
{
    const struct rel *rel = &q->root->rel;
    struct schema r = {.name = name};
    TRY(result_names(c, name, q));
    r.dims = arena_array(c->arena, struct dim, q->n_outs + 1);
    r.attrs = arena_array(c->arena, struct attr, q->n_outs + 1);
    for (int i = 0; i < q->n_outs; i++) {
        const struct out_col *o = &q->outs[i];
        if (o->is_dim) {
            TRY(result_dim(c, &rel->dims[o->index], o->name, &r.dims[r.n_dims++]));
            continue;
        }
        TRY(storable(c, o->type, -1, o->name));
        if (r.n_attrs == MAX_ATTRS)
            return fail(c, ERR_TOO_MANY_COLUMNS, "an array has at most %d attributes", MAX_ATTRS);
        r.attrs[r.n_attrs++] = (struct attr){.name = o->name,
                                             .type = o->type,
                                             .deflt = value_null(o->type),
                                             .unit = rel->cols[o->index].unit,
                                             .comment = rel->cols[o->index].comment};
    }
    r.is_table = r.n_dims == 0;
    if (r.is_table) TRY(row_dim(c, &r));
    *out = r;
    return OK;
}
