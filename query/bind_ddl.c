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

/* INTEGER of "serial"; NULL: it is no such type. */
static const char *serial_type(const struct ast_type *t)
{
    static const char *const types[][2] = {{"serial", "int4"},      {"serial4", "int4"},
                                           {"bigserial", "int8"},   {"serial8", "int8"},
                                           {"smallserial", "int2"}, {"serial2", "int2"}};
    for (size_t i = 0; t && i < sizeof types / sizeof *types; i++)
        if (!strcmp(t->name, types[i][0])) return types[i][1];
    return NULL;
}

static enum status key_on_attribute(struct ctx *c, bool primary, const char *name, int pos)
{
    fail_at(c, ERR_UNSUPPORTED, pos, "%s on attribute \"%s\" is not available",
            primary ? "PRIMARY KEY" : "UNIQUE", name);
    return hint(c,
                "Dimensions are the key: %s … DIMENSION, or a PRIMARY KEY of a table's first "
                "columns, which makes them dimensions.",
                name);
}

enum status bind_attr(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                      struct attr *out)
{
    *out = (struct attr){.name = col->name, .not_null = col->not_null};
    if (col->primary_key || col->unique)
        return key_on_attribute(c, col->primary_key, col->name, col->pos);
    if (col->identity || serial_type(col->type)) {
        fail_at(c, ERR_UNSUPPORTED, col->pos, "attribute \"%s\" cannot number its rows", col->name);
        return hint(c, "%s SERIAL PRIMARY KEY, as a table's first column, is its dimension.",
                    col->name);
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

/* [* : hi], [* : *]: it grows at its start too. Cells lie at whole steps from hi, or from 0. */
static enum status open_axis(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                             enum type t, struct axis *out)
{
    const struct ast_axis *r = &col->range;
    struct value at_zero = value_int(T_INT64, 0), step;
    if (!r->hi && type_is_time(t)) {
        fail_at(c, ERR_INVALID_DEFINITION, r->pos >= 0 ? r->pos : col->pos,
                "dimension \"%s\" needs a first or last coordinate", col->name);
        return hint(c, "%s DIMENSION ['2020-01-01' : *] grows at its end.", col->name);
    }
    if (r->hi)
        TRY(bound_value(c, env, r->hi, t, &at_zero));
    else
        TRY(value_cast(c, &at_zero, t, &at_zero));
    if (at_zero.null)
        return fail_at(c, ERR_INVALID_DEFINITION, r->hi->pos,
                       "a bound of dimension \"%s\" cannot be NULL", col->name);
    if (r->step) TRY(step_value(c, env, r->step, t, &step));
    TRY(at(c, axis_regular(c, col->name, t, &at_zero, NULL, r->step ? &step : NULL, out),
           col->pos));
    out->limit_lo = INT64_MIN;
    out->limit_hi = r->hi ? 1 : INT64_MAX;
    out->lo = out->hi = r->hi ? 1 : 0;
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
    if (!r->lo) return open_axis(c, env, col, t, out);
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
    if (col->deflt || col->codec)
        return fail_at(c, ERR_INVALID_DEFINITION, col->pos,
                       "dimension \"%s\" takes no DEFAULT or CODEC", col->name);
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

/* A table's key: its first columns, which become dimensions. *n: how many. */
static enum status key_columns(struct ctx *c, const struct ast_stmt *s, int *n)
{
    int of_columns = 0;
    for (int i = 0; i < s->defs.n; i++)
        of_columns += s->defs.v[i].primary_key;
    if (of_columns > 1 || (of_columns && s->primary_key.n))
        return fail_at(c, ERR_INVALID_DEFINITION, s->name.pos,
                       "multiple primary keys for table \"%s\" are not allowed",
                       s->name.part[s->name.n - 1]);
    *n = of_columns ? 1 : s->primary_key.n;
    for (int i = 0; i < *n; i++) {
        const char *name = s->primary_key.n ? s->primary_key.v[i] : NULL;
        const struct ast_column *col = i < s->defs.n ? &s->defs.v[i] : NULL;
        if (col && (name ? !strcmp(col->name, name) : col->primary_key)) continue;
        fail_at(c, ERR_UNSUPPORTED, s->name.pos,
                "a PRIMARY KEY of columns that are not the table's first ones is not available");
        return hint(c, "The key's columns become the array's dimensions: write them first, in the "
                       "key's order.");
    }
    return OK;
}

/* A key column as a dimension: labels that join, or numbers given by the engine. */
static enum status key_dim(struct ctx *c, struct bind_env *env, const struct ast_column *from,
                           bool alone, struct dim *out)
{
    struct ast_column col = *from;
    const char *serial = serial_type(col.type);
    col.dim = DIM_GROWING;
    if (!serial && !col.identity) return bind_dim(c, env, &col, out);
    if (!alone)
        return fail_at(c, ERR_UNSUPPORTED, col.pos, "only a key of one column can number its rows");
    struct ast_type type = *col.type;
    if (serial) type.name = serial;
    col.type = &type;
    col.dim = DIM_GROWING;
    TRY(bind_dim(c, env, &col, out));
    enum type t = out->axis.type;
    if (!type_is_integer(t))
        return fail_at(c, ERR_INVALID_DEFINITION, col.pos,
                       "identity column type must be smallint, integer, or bigint");
    struct value one = value_int(t, 1);
    out->serial = true;
    return at(c, axis_regular(c, col.name, t, &one, NULL, NULL, &out->axis), col.pos);
}

/* UNIQUE holds where all dimensions are among its columns. */
static enum status unique_holds(struct ctx *c, const struct schema *s, const char *const *names,
                                int n, bool primary, int pos)
{
    int n_dims = 0;
    for (int i = 0; i < n; i++) {
        if (schema_dim(s, names[i]) < 0 && schema_attr(s, names[i]) < 0)
            return fail_at(c, ERR_UNDEFINED_COLUMN, pos,
                           "column \"%s\" named in key does not exist", names[i]);
        n_dims += schema_dim(s, names[i]) >= 0;
    }
    if (n_dims == s->n_dims && !s->is_table && (!primary || n == n_dims)) return OK;
    fail_at(c, ERR_UNSUPPORTED, pos, "%s (%s%s) of array \"%s\" is not available",
            primary ? "PRIMARY KEY" : "UNIQUE", names[0], n > 1 ? ", …" : "", s->name);
    return hint(c, "An array's key is all of its dimensions together.");
}

static enum status keys_hold(struct ctx *c, const struct ast_stmt *s, const struct schema *out)
{
    if (s->primary_key.n)
        TRY(unique_holds(c, out, s->primary_key.v, s->primary_key.n, true, s->name.pos));
    for (int i = 0; i < s->n_uniques; i++)
        TRY(unique_holds(c, out, s->uniques[i].v, s->uniques[i].n, false, s->name.pos));
    for (int i = 0; i < s->defs.n; i++) {
        const struct ast_column *col = &s->defs.v[i];
        if (col->primary_key || col->unique)
            TRY(unique_holds(c, out, &col->name, 1, col->primary_key, col->pos));
    }
    return OK;
}

enum status bind_schema(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct schema *out)
{
    struct schema r = {.name = s->name.part[s->name.n - 1]};
    int n_key = 0;
    if (s->temporary)
        return fail_at(c, ERR_UNSUPPORTED, s->pos, "temporary tables are not available yet");
    if (s->is_table) TRY(key_columns(c, s, &n_key));
    r.is_table = s->is_table && n_key == 0;
    TRY(check_name(c, r.name, s->name.pos));
    TRY(check_names(c, &s->defs, r.is_table));
    r.dims = arena_array(c->arena, struct dim, s->defs.n + 1);
    r.attrs = arena_array(c->arena, struct attr, s->defs.n + 1);
    if (r.is_table) TRY(row_dim(c, &r));
    for (int i = 0; i < s->defs.n; i++) {
        const struct ast_column *col = &s->defs.v[i];
        bool key = i < n_key;
        if (col->dim == DIM_NONE && !key) {
            if (r.n_attrs == MAX_ATTRS)
                return fail_at(c, ERR_TOO_MANY_COLUMNS, col->pos,
                               "an array has at most %d attributes", MAX_ATTRS);
            TRY(bind_attr(c, env, col, &r.attrs[r.n_attrs++]));
            continue;
        }
        if (s->is_table && col->dim != DIM_NONE)
            return fail_at(c, ERR_INVALID_DEFINITION, col->pos,
                           "a table has no dimensions: use CREATE ARRAY");
        if (r.n_dims == MAX_DIMS)
            return fail_at(c, ERR_TOO_MANY_COLUMNS, col->pos, "an array has at most %d dimensions",
                           MAX_DIMS);
        struct dim *d = &r.dims[r.n_dims++];
        TRY(key ? key_dim(c, env, col, n_key == 1, d) : bind_dim(c, env, col, d));
    }
    if (r.n_dims == 0) {
        fail_at(c, ERR_INVALID_DEFINITION, s->name.pos, "array \"%s\" has no dimension", r.name);
        return hint(c, "i INTEGER DIMENSION [0 : 9] makes one; CREATE TABLE needs none.");
    }
    TRY(keys_hold(c, s, &r));
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
