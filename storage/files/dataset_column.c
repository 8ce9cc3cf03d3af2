/* What do the stored values of a dataset's variable mean? */
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "storage/files/dataset_parts.h"
#include <math.h>
#include <stdlib.h>
#include <strings.h>

/* ---- attributes ---- */

enum ds_kind ds_kind_of(enum type t)
{
    switch (t) {
    case T_BOOL:
        return DS_KIND_BOOL;
    case T_INT8:
        return DS_KIND_BYTE;
    case T_INT16:
        return DS_KIND_SHORT;
    case T_INT32:
        return DS_KIND_INT;
    case T_INT64:
        return DS_KIND_INT64;
    case T_UINT8:
        return DS_KIND_UBYTE;
    case T_UINT16:
        return DS_KIND_USHORT;
    case T_UINT32:
        return DS_KIND_UINT;
    case T_UINT64:
        return DS_KIND_UINT64;
    case T_FLOAT32:
        return DS_KIND_FLOAT;
    case T_FLOAT64:
        return DS_KIND_DOUBLE;
    default:
        return DS_KIND_STRING;
    }
}

size_t ds_kind_bytes(enum ds_kind kind)
{
    static const size_t bytes[] = {0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8, 0, 1};
    return bytes[kind];
}

const struct ds_attr *ds_var_attr(const struct ds_var *v, const char *name)
{
    for (int i = 0; i < v->n_attrs; i++) {
        if (strcmp(v->attrs[i].name, name) == 0) return &v->attrs[i];
    }
    return NULL;
}

/* Value i of a numeric attribute; false for texts. */
static bool attr_number(const struct ds_attr *a, int64_t i, double *as_double, int64_t *as_int)
{
    if (!a || i >= a->n || !a->values || a->kind == DS_KIND_CHAR || a->kind == DS_KIND_STRING)
        return false;
    const char *p = (const char *)a->values + (size_t)i * ds_kind_bytes(a->kind);
    union {
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        float f;
        double d;
    } x;
    memcpy(&x, p, ds_kind_bytes(a->kind));
    double d = 0;
    int64_t whole = 0;
    switch (a->kind) {
    case DS_KIND_BYTE:
        whole = x.i8;
        break;
    case DS_KIND_SHORT:
        whole = x.i16;
        break;
    case DS_KIND_INT:
        whole = x.i32;
        break;
    case DS_KIND_UBYTE:
        whole = x.u8;
        break;
    case DS_KIND_USHORT:
        whole = x.u16;
        break;
    case DS_KIND_UINT:
        whole = x.u32;
        break;
    case DS_KIND_INT64:
    case DS_KIND_UINT64:
        whole = x.i64;
        break;
    case DS_KIND_FLOAT:
        d = (double)x.f;
        break;
    case DS_KIND_DOUBLE:
        d = x.d;
        break;
    default:
        return false;
    }
    bool is_float = a->kind == DS_KIND_FLOAT || a->kind == DS_KIND_DOUBLE;
    *as_double =
        is_float ? d : (a->kind == DS_KIND_UINT64 ? (double)(uint64_t)whole : (double)whole);
    *as_int = !is_float ? whole : (fabs(d) < 0x1p62 ? (int64_t)d : INT64_MIN);
    return true;
}

const char *ds_text_attr(struct ctx *c, const struct ds_var *v, const char *name)
{
    const struct ds_attr *a = ds_var_attr(v, name);
    size_t bad;
    if (!a || (a->kind != DS_KIND_CHAR && a->kind != DS_KIND_STRING)) return NULL;
    struct text s = a->text;
    while (s.len > 0 && (s.s[s.len - 1] == ' ' || s.s[s.len - 1] == '\n'))
        s.len--;
    if (s.len == 0) return NULL;
    char *copy = arena_strndup(c->arena, s.s, (size_t)s.len);
    while (!utf8_valid(copy, strlen(copy), &bad))
        copy[bad] = '?';
    return copy;
}

int ds_cell_rank(const struct ds_var *v)
{
    return v->kind == DS_KIND_CHAR && v->rank > 0 ? v->rank - 1 : v->rank;
}

/* ---- columns ---- */

static bool is_unsigned(const struct ds_var *v)
{
    const struct ds_attr *a = ds_var_attr(v, "_Unsigned");
    return a && a->kind == DS_KIND_CHAR && a->text.len == 4 &&
           strncasecmp(a->text.s, "true", 4) == 0;
}

/* Bytes and shorts marked _Unsigned are so; NetCDF-3 has no types for them. */
static enum ds_kind kind_of(const struct ds_var *v)
{
    if (!is_unsigned(v)) return v->kind;
    switch (v->kind) {
    case DS_KIND_BYTE:
        return DS_KIND_UBYTE;
    case DS_KIND_SHORT:
        return DS_KIND_USHORT;
    case DS_KIND_INT:
        return DS_KIND_UINT;
    case DS_KIND_INT64:
        return DS_KIND_UINT64;
    default:
        return v->kind;
    }
}

static enum type type_of(enum ds_kind kind)
{
    static const enum type types[] = {T_NONE,    T_INT8,    T_TEXT,  T_INT16,  T_INT32,
                                      T_FLOAT32, T_FLOAT64, T_UINT8, T_UINT16, T_UINT32,
                                      T_INT64,   T_UINT64,  T_TEXT,  T_BOOL};
    return types[kind];
}

static void add_fill(struct ds_column *k, double d, int64_t i)
{
    if (isnan(d)) {
        k->nan_is_null = true;
        return;
    }
    if (k->n_fills == DS_FILLS) return;
    /* As stored: -99.9 in an attribute of doubles is the float next to it. */
    k->float_fills[k->n_fills] = k->kind == DS_KIND_FLOAT ? (double)(float)d : d;
    k->int_fills[k->n_fills++] = i;
}

/* What a cell that was never written holds; bytes have no such value. */
static void default_fill(struct ds_column *k)
{
    switch (k->kind) {
    case DS_KIND_SHORT:
        add_fill(k, 0, -32767);
        break;
    case DS_KIND_INT:
        add_fill(k, 0, -2147483647);
        break;
    case DS_KIND_FLOAT:
    case DS_KIND_DOUBLE:
        add_fill(k, 0x1.ep+122, 0);
        break;
    case DS_KIND_USHORT:
        add_fill(k, 0, 65535);
        break;
    case DS_KIND_UINT:
        add_fill(k, 0, 4294967295);
        break;
    case DS_KIND_INT64:
        add_fill(k, 0, -9223372036854775806);
        break;
    case DS_KIND_UINT64:
        add_fill(k, 0, -2);
        break;
    default:
        break;
    }
}

static void find_fills(const struct ds_var *v, struct ds_column *k)
{
    static const char *const names[] = {"_FillValue", "missing_value"};
    for (int n = 0; n < 2; n++) {
        const struct ds_attr *a = ds_var_attr(v, names[n]);
        double d;
        int64_t i;
        for (int64_t at = 0; attr_number(a, at, &d, &i); at++) {
            /* An unsigned variable's attributes have the signed type. */
            int bits = 8 * (int)ds_kind_bytes(k->kind);
            if (k->kind != v->kind && bits < 64 && i < 0 && i >= -(INT64_C(1) << (bits - 1)))
                i += INT64_C(1) << bits;
            add_fill(k, d, i);
        }
    }
    if (!ds_var_attr(v, "_FillValue") && !v->all_written) default_fill(k);
}

/* Numbers marked as times: coordinates' rules, but only with a calendar, as xarray writes them. */
static void find_time(struct ctx *c, const struct ds_var *v, struct ds_column *k)
{
    const char *units = ds_text_attr(c, v, "units"), *calendar = ds_text_attr(c, v, "calendar");
    const char *type = ds_text_attr(c, v, "tessera_type");
    bool mixed;
    if (!units || !calendar || k->scaled || k->kind == DS_KIND_FLOAT) return;
    if (!ds_calendar_is_gregorian(calendar, &mixed)) return;
    if (!cf_time_units(units, &k->unit_us, &k->origin_us)) return;
    if (mixed && k->origin_us < days_from_civil(1582, 10, 15) * US_PER_DAY) return;
    k->is_time = true;
    k->type = type && strcmp(type, "date") == 0 ? T_DATE : T_TIMESTAMP;
}

static void find_meaning(struct ctx *c, const struct ds_var *v, struct ds_column *k)
{
    const char *dtype = ds_text_attr(c, v, "dtype"), *type = ds_text_attr(c, v, "tessera_type");
    bool truth = (dtype && strcmp(dtype, "bool") == 0) || (type && strcmp(type, "boolean") == 0);
    if (truth && ds_kind_bytes(k->kind) == 1) {
        k->is_bool = true;
        k->type = T_BOOL;
        return;
    }
    const struct ds_attr *scale = ds_var_attr(v, "scale_factor");
    const struct ds_attr *offset = ds_var_attr(v, "add_offset");
    int64_t unused;
    bool has_scale = attr_number(scale, 0, &k->scale, &unused);
    bool has_offset = attr_number(offset, 0, &k->offset, &unused);
    k->scaled = has_scale || has_offset;
    bool small = ds_kind_bytes(k->kind) <= 2 || k->kind == DS_KIND_FLOAT;
    bool single = (!has_scale || scale->kind == DS_KIND_FLOAT) &&
                  (!has_offset || offset->kind == DS_KIND_FLOAT);
    if (k->scaled) k->type = small && single ? T_FLOAT32 : T_FLOAT64;
    find_time(c, v, k);
}

enum status ds_column_of(struct ctx *c, const char *path, const struct ds_description *d,
                         const struct ds_var *v, struct ds_column *out)
{
    struct ds_column k = {.var = v->id, .kind = kind_of(v), .scale = 1};
    if (k.kind == DS_KIND_NONE)
        return fail(c, ERR_UNSUPPORTED, "variable \"%s\" of \"%s\" has a type that cannot be read",
                    v->name, path);
    k.type = type_of(k.kind);
    if (k.kind == DS_KIND_CHAR) k.text_bytes = v->rank > 0 ? d->dims[v->dims[v->rank - 1]].len : 1;
    if (k.type != T_TEXT) {
        find_fills(v, &k);
        find_meaning(c, v, &k);
    } else if (k.kind == DS_KIND_STRING) {
        const struct ds_attr *fill = ds_var_attr(v, "_FillValue");
        if (!fill) fill = ds_var_attr(v, "missing_value");
        k.has_text_fill = fill && (fill->kind == DS_KIND_STRING || fill->kind == DS_KIND_CHAR);
        if (k.has_text_fill) k.text_fill = fill->text;
    }
    *out = k;
    return OK;
}

size_t ds_column_bytes(const struct ds_column *k, int64_t n)
{
    return (k->kind == DS_KIND_CHAR ? (size_t)k->text_bytes : ds_kind_bytes(k->kind)) * (size_t)n;
}

/* ---- converting ---- */

#define MARK(ctype, other, fills)                                                                  \
    for (int f = 0; f < k->n_fills; f++) {                                                         \
        const ctype *x = stored, fill = (ctype)k->fills[f];                                        \
        if ((other)fill != k->fills[f]) continue;                                                  \
        for (int64_t i = 0; i < n; i++)                                                            \
            valid[i] &= x[i] != fill;                                                              \
    }

/* A byte per value: 1 unless it is one of the fill values. Fills out of the type's range match
 * nothing. */
static void mark_fills(const struct ds_column *k, const void *stored, int64_t n, uint8_t *valid)
{
    memset(valid, 1, (size_t)n);
    switch (k->kind) {
    case DS_KIND_BYTE:
        MARK(int8_t, int64_t, int_fills) break;
    case DS_KIND_SHORT:
        MARK(int16_t, int64_t, int_fills) break;
    case DS_KIND_INT:
        MARK(int32_t, int64_t, int_fills) break;
    case DS_KIND_INT64:
        MARK(int64_t, int64_t, int_fills) break;
    case DS_KIND_UBYTE:
        MARK(uint8_t, int64_t, int_fills) break;
    case DS_KIND_USHORT:
        MARK(uint16_t, int64_t, int_fills) break;
    case DS_KIND_UINT:
        MARK(uint32_t, int64_t, int_fills) break;
    case DS_KIND_UINT64:
        MARK(uint64_t, int64_t, int_fills) break;
    case DS_KIND_FLOAT:
        MARK(float, double, float_fills) break;
    default:
        MARK(double, double, float_fills) break;
    }
    if (k->nan_is_null && k->kind == DS_KIND_FLOAT) {
        for (int64_t i = 0; i < n; i++)
            valid[i] = valid[i] && !isnan(((const float *)stored)[i]);
    } else if (k->nan_is_null && k->kind == DS_KIND_DOUBLE) {
        for (int64_t i = 0; i < n; i++)
            valid[i] = valid[i] && !isnan(((const double *)stored)[i]);
    }
}

#define SCALE(ctype)                                                                               \
    {                                                                                              \
        const ctype *x = stored;                                                                   \
        if (out->type == T_FLOAT32) {                                                              \
            for (int64_t i = 0; i < n; i++)                                                        \
                ((float *)out->values)[i] = (float)((double)x[i] * k->scale + k->offset);          \
        } else {                                                                                   \
            for (int64_t i = 0; i < n; i++)                                                        \
                ((double *)out->values)[i] = (double)x[i] * k->scale + k->offset;                  \
        }                                                                                          \
    }

static void scale_values(const struct ds_column *k, const void *stored, int64_t n,
                         struct column *out)
{
    switch (k->kind) {
    case DS_KIND_BYTE:
        SCALE(int8_t) break;
    case DS_KIND_SHORT:
        SCALE(int16_t) break;
    case DS_KIND_INT:
        SCALE(int32_t) break;
    case DS_KIND_INT64:
        SCALE(int64_t) break;
    case DS_KIND_UBYTE:
        SCALE(uint8_t) break;
    case DS_KIND_USHORT:
        SCALE(uint16_t) break;
    case DS_KIND_UINT:
        SCALE(uint32_t) break;
    case DS_KIND_UINT64:
        SCALE(uint64_t) break;
    case DS_KIND_FLOAT:
        SCALE(float) break;
    default:
        SCALE(double) break;
    }
}

static enum status check_texts(struct ctx *c, const char *path, const struct text *texts, int64_t n)
{
    size_t bad;
    for (int64_t i = 0; i < n; i++) {
        if (!utf8_valid(texts[i].s, (size_t)texts[i].len, &bad) ||
            memchr(texts[i].s, 0, (size_t)texts[i].len))
            return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8", path);
    }
    return OK;
}

/* Fixed-length texts end at their first NUL, or before the blanks that pad them. */
static enum status slice_texts(struct ctx *c, const char *path, const struct ds_column *k,
                               const char *stored, int64_t n, struct text *out)
{
    for (int64_t i = 0; i < n; i++) {
        const char *s = stored + i * k->text_bytes;
        size_t len = strnlen(s, (size_t)k->text_bytes);
        while (len > 0 && s[len - 1] == ' ')
            len--;
        out[i] = (struct text){s, (int64_t)len};
    }
    return check_texts(c, path, out, n);
}

enum status ds_column_texts(struct ctx *c, const char *path, const struct ds_column *k, int64_t n,
                            struct column *col)
{
    const struct text *t = col->values;
    TRY(check_texts(c, path, t, n));
    for (int64_t i = 0; k->has_text_fill && i < n; i++) {
        if (t[i].len != k->text_fill.len ||
            (t[i].len && memcmp(t[i].s, k->text_fill.s, (size_t)t[i].len) != 0))
            continue;
        TRY(column_need_valid(c, col, n));
        bit_clear(col->valid, i);
    }
    return OK;
}

/* A float's instant, to the millisecond that it means within its own precision. */
static bool float_instant(const struct ds_column *k, double x, int64_t *us)
{
    double d = rint(x * k->unit_us);
    if (!(fabs(d) < 0x1p61)) return false;
    double off = remainder(d, 1000), ulp = (nextafter(fabs(x), INFINITY) - fabs(x)) * k->unit_us;
    if (ulp < 250 && fabs(off) <= ulp + 0.5) d -= off;
    *us = (int64_t)d;
    return true;
}

/* One stored number as microseconds since 1970. */
static bool stored_instant(const struct ds_column *k, const void *stored, int64_t i, int64_t *us)
{
    if (k->kind == DS_KIND_DOUBLE) {
        if (!float_instant(k, ((const double *)stored)[i], us)) return false;
        return !__builtin_add_overflow(*us, k->origin_us, us);
    }
    enum type t = type_of(k->kind);
    struct value v = value_get(t, stored, i);
    if (t == T_UINT64 && v.u > INT64_MAX) return false;
    __extension__ __int128 ns = (__int128)v.i * (int64_t)(k->unit_us * 1000 + 0.5),
                           floor = ns / 1000;
    if (floor * 1000 > ns) floor--;
    floor += k->origin_us;
    if (floor > INT64_MAX || floor < INT64_MIN) return false;
    *us = (int64_t)floor;
    return true;
}

static enum status convert_times(struct ctx *c, const char *path, const struct ds_column *k,
                                 const void *stored, int64_t n, struct column *col)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t us = 0;
        if (!column_is_null(col, i) && !stored_instant(k, stored, i, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "a time in \"%s\" is out of range", path);
        if (k->type == T_TIMESTAMP)
            ((int64_t *)col->values)[i] = us;
        else
            ((int32_t *)col->values)[i] = (int32_t)(us / US_PER_DAY - (us % US_PER_DAY < 0));
    }
    return OK;
}

enum status ds_column_convert(struct ctx *c, const char *path, const struct ds_column *k,
                              void *stored, int64_t n, struct column *out)
{
    struct column col = {.type = k->type, .values = stored};
    if (k->scaled || k->is_time || k->kind == DS_KIND_CHAR) TRY(column_alloc(c, k->type, n, &col));
    if (k->kind == DS_KIND_CHAR) {
        TRY(slice_texts(c, path, k, stored, n, col.values));
        *out = col;
        return OK;
    }
    if (k->n_fills > 0 || k->nan_is_null) {
        void *valid;
        TRY(scratch_alloc(c, (size_t)n, &valid));
        mark_fills(k, stored, n, valid);
        if (memchr(valid, 0, (size_t)n)) {
            TRY(column_need_valid(c, &col, n));
            bits_from_bytes(col.valid, valid, n);
        }
    }
    if (k->scaled) scale_values(k, stored, n, &col);
    if (k->is_time) TRY(convert_times(c, path, k, stored, n, &col));
    for (int64_t i = 0; (k->is_bool || k->kind == DS_KIND_BOOL) && i < n; i++)
        ((uint8_t *)col.values)[i] = ((const uint8_t *)col.values)[i] != 0;
    *out = col;
    return OK;
}
