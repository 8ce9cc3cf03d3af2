/* How an array's schema lies in the catalog's rows: read as of a version, and written as what
 * differs from the version before. */
#include "storage/catalog_internal.h"

/* ---- one schema ---- */

/* A value is stored as an integer (floats: SQLite's REAL, exact; unsigned: the same 64 bits) or a
 * text. */
static struct value col_value(struct catalog *cat, enum query q, int i, enum type type,
                              struct arena *a)
{
    struct value v = value_null(type);
    sqlite3_stmt *s = cat->stmts[q];
    if (sqlite3_column_type(s, i) == SQLITE_NULL) return v;
    v.null = false;
    if (type == T_TEXT) {
        v.t.s = catalog_text(cat, q, i, a);
        v.t.len = sqlite3_column_bytes(s, i);
    } else if (type_is_float(type) && sqlite3_column_type(s, i) == SQLITE_FLOAT) {
        v.d = sqlite3_column_double(s, i);
    } else {
        v.i = sqlite3_column_int64(s, i); /* a float's too: its bits, where REAL cannot hold it */
    }
    return v;
}

static enum status read_array(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                              struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_ARRAY_AT;
    bool found = false;
    enum status s = catalog_start(c, cat, q, "ii", (int64_t)array, version);
    while (catalog_next(c, cat, q, &s)) {
        struct schema *sc = arena_new_of(a, struct schema);
        sc->id = array;
        sc->name = catalog_text(cat, q, 0, a);
        sc->is_table = catalog_int(cat, q, 1) != 0;
        sc->comment = catalog_text(cat, q, 2, a);
        out->schema = sc;
        found = true;
    }
    if (s == OK && !found)
        s = fail(c, ERR_CORRUPT, "the catalog has no row of array %u as of version %lld", array,
                 (long long)version);
    return s;
}

/* dims.grows: 0, 1, or for an axis that numbers its cells */
#define GROWS_SERIAL INT64_C(2)

static enum status read_dims(struct ctx *c, struct catalog *cat, int64_t version, struct arena *a,
                             struct schema *sc)
{
    const enum query q = Q_DIMS_AT;
    sc->dims = arena_array(a, struct dim, MAX_DIMS);
    enum status s = catalog_start(c, cat, q, "ii", (int64_t)sc->id, version);
    while (catalog_next(c, cat, q, &s)) {
        if (sc->n_dims == MAX_DIMS) {
            s = fail(c, ERR_CORRUPT, "the catalog has too many dimensions of array \"%s\"",
                     sc->name);
            continue;
        }
        struct dim *d = &sc->dims[sc->n_dims++];
        struct axis *x = &d->axis;
        d->name = catalog_text(cat, q, 0, a);
        x->type = (enum type)catalog_int(cat, q, 1);
        x->kind = (enum axis_kind)catalog_int(cat, q, 2);
        x->grows = catalog_int(cat, q, 3) != 0;
        d->serial = catalog_int(cat, q, 3) == GROWS_SERIAL;
        x->lo = catalog_int(cat, q, 4);
        x->hi = catalog_int(cat, q, 5);
        x->limit_lo = catalog_int(cat, q, 6);
        x->limit_hi = catalog_int(cat, q, 7);
        x->origin = catalog_int(cat, q, 8);
        x->step = catalog_int(cat, q, 9);
        x->step_months = (int32_t)catalog_int(cat, q, 10);
        x->dorigin.mant = catalog_int(cat, q, 11);
        x->dorigin.scale = (int32_t)catalog_int(cat, q, 12);
        x->dstep.mant = catalog_int(cat, q, 13);
        x->dstep.scale = (int32_t)catalog_int(cat, q, 14);
        d->tile = catalog_int(cat, q, 15);
        d->unit = catalog_text(cat, q, 16, a);
        d->comment = catalog_text(cat, q, 17, a);
    }
    return s;
}

static enum status read_attrs(struct ctx *c, struct catalog *cat, int64_t version, struct arena *a,
                              struct schema *sc)
{
    const enum query q = Q_ATTRS_AT;
    enum status s = catalog_start(c, cat, q, "ii", (int64_t)sc->id, version);
    for (; catalog_next(c, cat, q, &s); sc->n_attrs++) {
        sc->attrs = arena_room(a, sc->attrs, sc->n_attrs, sizeof(*sc->attrs));
        enum type type = (enum type)catalog_int(cat, q, 2);
        sc->attrs[sc->n_attrs] = (struct attr){.id = (uint16_t)catalog_int(cat, q, 0),
                                               .name = catalog_text(cat, q, 1, a),
                                               .type = type,
                                               .not_null = catalog_int(cat, q, 3) != 0,
                                               .has_default = catalog_int(cat, q, 4) != 0,
                                               .deflt = col_value(cat, q, 5, type, a),
                                               .added_later = catalog_int(cat, q, 6) != 0,
                                               .zstd_level = (uint8_t)catalog_int(cat, q, 7),
                                               .codec_raw = catalog_int(cat, q, 8) != 0,
                                               .unit = catalog_text(cat, q, 9, a),
                                               .comment = catalog_text(cat, q, 10, a)};
    }
    return s;
}

static enum status read_labels(struct ctx *c, struct catalog *cat, int64_t version, int d,
                               struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_LABELS_AT;
    const struct axis *x = &out->schema->dims[d].axis;
    out->label_values[d] = arena_alloc(a, type_bytes(x->type) * (size_t)(x->hi ? x->hi : 1));
    int64_t n = 0;
    enum status s = catalog_start(c, cat, q, "iii", (int64_t)out->schema->id, version, (int64_t)d);
    while (catalog_next(c, cat, q, &s)) {
        int64_t stored = catalog_int(cat, q, 0);
        struct value v = col_value(cat, q, 1, x->type, a);
        if (stored < 0 || stored >= x->hi) continue;
        value_put(&v, out->label_values[d], stored);
        n++;
    }
    if (s == OK && n != x->hi)
        s = fail(c, ERR_CORRUPT, "the catalog has %lld of %lld labels of dimension \"%s\"",
                 (long long)n, (long long)x->hi, out->schema->dims[d].name);
    return s;
}

static enum status read_strings(struct ctx *c, struct catalog *cat, int64_t version, int k,
                                struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_STRINGS_AT;
    int64_t id = out->schema->attrs[k].id;
    enum status s = catalog_start(c, cat, q, "iii", (int64_t)out->schema->id, version, id);
    struct text *list = NULL;
    int64_t n = 0;
    while (catalog_next(c, cat, q, &s)) {
        list = arena_room(a, list, n, sizeof(*list));
        if (catalog_int(cat, q, 0) != n)
            s = fail(c, ERR_CORRUPT, "the catalog lacks string %lld of attribute \"%s\"",
                     (long long)n, out->schema->attrs[k].name);
        else
            list[n++] = col_value(cat, q, 1, T_TEXT, a).t;
    }
    out->dict_strings[k] = list;
    out->dict_n[k] = n;
    return s;
}

enum status catalog_schema(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                           struct arena *a, struct schema_rows *out)
{
    *out = (struct schema_rows){0};
    pthread_mutex_lock(&cat->mu);
    enum status s = read_array(c, cat, array, version, a, out);
    if (s == OK) s = read_dims(c, cat, version, a, out->schema);
    if (s == OK) s = read_attrs(c, cat, version, a, out->schema);
    for (int d = 0; s == OK && d < out->schema->n_dims; d++)
        if (out->schema->dims[d].axis.kind == AXIS_LABELLED)
            s = read_labels(c, cat, version, d, a, out);
    if (s == OK) {
        out->dict_strings = arena_array(a, struct text *, out->schema->n_attrs + 1);
        out->dict_n = arena_array(a, int64_t, out->schema->n_attrs + 1);
    }
    for (int k = 0; s == OK && k < out->schema->n_attrs; k++)
        if (out->schema->attrs[k].type == T_TEXT) s = read_strings(c, cat, version, k, a, out);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- schemas ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_dim(const struct dim *a, const struct dim *b)
{
    const struct axis *x = &a->axis, *y = &b->axis;
    return same_text(a->name, b->name) && same_text(a->unit, b->unit) &&
           same_text(a->comment, b->comment) && a->tile == b->tile && x->lo == y->lo &&
           x->hi == y->hi && x->limit_lo == y->limit_lo && x->limit_hi == y->limit_hi &&
           x->grows == y->grows;
}

static bool same_attr(const struct attr *a, const struct attr *b)
{
    return same_text(a->name, b->name) && same_text(a->unit, b->unit) &&
           same_text(a->comment, b->comment);
}

static enum status put_value(struct ctx *c, struct catalog *cat, enum query q, int i,
                             const struct value *v)
{
    sqlite3_stmt *s = cat->stmts[q];
    int rc;
    if (v->null || v->type == T_NONE)
        rc = sqlite3_bind_null(s, i);
    else if (v->type == T_TEXT)
        rc = sqlite3_bind_text64(s, i, v->t.s ? v->t.s : "", (sqlite3_uint64)v->t.len,
                                 SQLITE_STATIC, SQLITE_UTF8);
    else if (type_is_float(v->type) && v->d == v->d)
        rc = sqlite3_bind_double(s, i, v->d);
    else
        rc = sqlite3_bind_int64(s, i, v->i);
    return rc ? catalog_failed(c, cat, rc, "write") : OK;
}

static enum status put_dim(struct ctx *c, struct catalog *cat, const struct schema *s, int d,
                           int64_t version)
{
    const struct dim *m = &s->dims[d];
    const struct axis *x = &m->axis;
    return catalog_run(c, cat, Q_PUT_DIM, "iiitiiiiiiiiiiiiiiitt", (int64_t)s->id, (int64_t)d,
                       version, m->name, (int64_t)x->type, (int64_t)x->kind,
                       m->serial ? GROWS_SERIAL : (int64_t)x->grows, x->lo, x->hi, x->limit_lo,
                       x->limit_hi, x->origin, x->step, (int64_t)x->step_months, x->dorigin.mant,
                       (int64_t)x->dorigin.scale, x->dstep.mant, (int64_t)x->dstep.scale, m->tile,
                       m->unit, m->comment);
}

static enum status put_attr(struct ctx *c, struct catalog *cat, const struct schema *s, int k,
                            int64_t version)
{
    const struct attr *a = &s->attrs[k];
    TRY(catalog_start(c, cat, Q_PUT_ATTR, "iiiitiii", (int64_t)s->id, (int64_t)a->id, version,
                      (int64_t)k, a->name, (int64_t)a->type, (int64_t)a->not_null,
                      (int64_t)a->has_default));
    TRY(put_value(c, cat, Q_PUT_ATTR, 9, &a->deflt));
    sqlite3_stmt *st = cat->stmts[Q_PUT_ATTR];
    sqlite3_bind_int64(st, 10, a->added_later);
    sqlite3_bind_int64(st, 11, a->zstd_level);
    sqlite3_bind_int64(st, 12, a->codec_raw);
    sqlite3_bind_text(st, 13, a->unit, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 14, a->comment, -1, SQLITE_STATIC);
    return catalog_run(c, cat, Q_PUT_ATTR, "");
}

/* Labels of stored position from … on. */
static enum status put_labels(struct ctx *c, struct catalog *cat, const struct schema *s, int d,
                              int64_t from, int64_t version)
{
    const struct axis *x = &s->dims[d].axis;
    const struct labels *l = x->labels;
    if (!l) return OK;
    for (int64_t i = l->stored ? 0 : from; i < l->n; i++) {
        int64_t stored = l->stored ? l->stored[i] : i;
        if (stored < from) continue;
        struct value v = value_get(x->type, l->values, i);
        TRY(catalog_start(c, cat, Q_PUT_LABEL, "iiii", (int64_t)s->id, (int64_t)d, version,
                          stored));
        TRY(put_value(c, cat, Q_PUT_LABEL, 5, &v));
        TRY(catalog_run(c, cat, Q_PUT_LABEL, ""));
    }
    return OK;
}

static enum status put_dims(struct ctx *c, struct catalog *cat, const struct schema *old,
                            const struct schema *s, const bool *relabel, int64_t version)
{
    for (int d = 0; d < s->n_dims; d++) {
        bool anew = relabel && relabel[d];
        if (old && same_dim(&old->dims[d], &s->dims[d]) && !anew) continue;
        if (old) TRY(catalog_run(c, cat, Q_CLOSE_DIM, "iii", (int64_t)s->id, version, (int64_t)d));
        TRY(put_dim(c, cat, s, d, version));
        if (old && anew)
            TRY(catalog_run(c, cat, Q_CLOSE_LABELS, "iii", (int64_t)s->id, version, (int64_t)d));
        const struct labels *before = old && !anew ? old->dims[d].axis.labels : NULL;
        TRY(put_labels(c, cat, s, d, before ? before->n : 0, version));
    }
    return OK;
}

static const struct attr *attr_by_id(const struct schema *s, uint16_t id, int *at)
{
    for (int k = 0; s && k < s->n_attrs; k++) {
        *at = k;
        if (s->attrs[k].id == id) return &s->attrs[k];
    }
    return NULL;
}

static enum status put_attrs(struct ctx *c, struct catalog *cat, const struct schema *old,
                             const struct schema *s, int64_t version)
{
    int at = 0;
    for (int k = 0; old && k < old->n_attrs; k++)
        if (!attr_by_id(s, old->attrs[k].id, &at))
            TRY(catalog_run(c, cat, Q_CLOSE_ATTR, "iii", (int64_t)old->id, version,
                            (int64_t)old->attrs[k].id));
    for (int k = 0; s && k < s->n_attrs; k++) {
        const struct attr *a = &s->attrs[k], *b = attr_by_id(old, a->id, &at);
        int64_t known = b && b->dict ? b->dict->n : 0;
        for (int64_t i = known; a->dict && i < a->dict->n; i++)
            TRY(catalog_run(c, cat, Q_PUT_STRING, "iiiiv", (int64_t)s->id, (int64_t)a->id, i,
                            version, &a->dict->strings[i]));
        if (b && at == k && same_attr(a, b)) continue;
        if (b)
            TRY(catalog_run(c, cat, Q_CLOSE_ATTR, "iii", (int64_t)s->id, version, (int64_t)a->id));
        TRY(put_attr(c, cat, s, k, version));
    }
    return OK;
}

enum status catalog_put_schema(struct ctx *c, struct catalog *cat, const struct schema *old,
                               const struct schema *s, const bool *relabel, int64_t version)
{
    if (!s) return catalog_run(c, cat, Q_CLOSE_ARRAY, "ii", (int64_t)old->id, version);
    if (!old || !same_text(old->name, s->name) || !same_text(old->comment, s->comment)) {
        if (old) TRY(catalog_run(c, cat, Q_CLOSE_ARRAY, "ii", (int64_t)s->id, version));
        TRY(catalog_run(c, cat, Q_PUT_ARRAY, "iitit", (int64_t)s->id, version, s->name,
                        (int64_t)s->is_table, s->comment));
    }
    TRY(put_dims(c, cat, old, s, relabel, version));
    return put_attrs(c, cat, old, s, version);
}
