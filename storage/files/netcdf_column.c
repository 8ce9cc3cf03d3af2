/* What do the stored values of a NetCDF variable mean? */
#include "storage/files/netcdf_parts.h"
#include <math.h>
#include <stdlib.h>
#include <strings.h>

/* ---- attributes ---- */

/* Value i of a numeric attribute; false for texts. */
static bool attr_number(const struct nc_attr *a, int64_t i, double *as_double, int64_t *as_int)
{
    if (!a || i >= a->n || !a->values || a->kind == NC_KIND_CHAR || a->kind == NC_KIND_STRING)
        return false;
    const char *p = (const char *)a->values + (size_t)i * nc_kind_bytes(a->kind);
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
    memcpy(&x, p, nc_kind_bytes(a->kind));
    double d = 0;
    int64_t whole = 0;
    switch (a->kind) {
    case NC_KIND_BYTE:
        whole = x.i8;
        break;
    case NC_KIND_SHORT:
        whole = x.i16;
        break;
    case NC_KIND_INT:
        whole = x.i32;
        break;
    case NC_KIND_UBYTE:
        whole = x.u8;
        break;
    case NC_KIND_USHORT:
        whole = x.u16;
        break;
    case NC_KIND_UINT:
        whole = x.u32;
        break;
    case NC_KIND_INT64:
    case NC_KIND_UINT64:
        whole = x.i64;
        break;
    case NC_KIND_FLOAT:
        d = (double)x.f;
        break;
    case NC_KIND_DOUBLE:
        d = x.d;
        break;
    default:
        return false;
    }
    bool is_float = a->kind == NC_KIND_FLOAT || a->kind == NC_KIND_DOUBLE;
    *as_double =
        is_float ? d : (a->kind == NC_KIND_UINT64 ? (double)(uint64_t)whole : (double)whole);
    *as_int = !is_float ? whole : (fabs(d) < 0x1p62 ? (int64_t)d : INT64_MIN);
    return true;
}

const char *nc_text_attr(struct ctx *c, const struct nc_var *v, const char *name)
{
    const struct nc_attr *a = nc_var_attr(v, name);
    size_t bad;
    if (!a || (a->kind != NC_KIND_CHAR && a->kind != NC_KIND_STRING)) return NULL;
    struct text s = a->text;
    while (s.len > 0 && (s.s[s.len - 1] == ' ' || s.s[s.len - 1] == '\n'))
        s.len--;
    if (s.len == 0) return NULL;
    char *copy = arena_strndup(c->arena, s.s, (size_t)s.len);
    while (!utf8_valid(copy, strlen(copy), &bad))
        copy[bad] = '?';
    return copy;
}

int nc_cell_rank(const struct nc_var *v)
{
    return v->kind == NC_KIND_CHAR && v->rank > 0 ? v->rank - 1 : v->rank;
}

/* ---- columns ---- */

static bool is_unsigned(const struct nc_var *v)
{
    const struct nc_attr *a = nc_var_attr(v, "_Unsigned");
    return a && a->kind == NC_KIND_CHAR && a->text.len == 4 &&
           strncasecmp(a->text.s, "true", 4) == 0;
}

/* Bytes and shorts marked _Unsigned are so; NetCDF-3 has no types for them. */
static enum nc_kind kind_of(const struct nc_var *v)
{
    if (!is_unsigned(v)) return v->kind;
    switch (v->kind) {
    case NC_KIND_BYTE:
        return NC_KIND_UBYTE;
    case NC_KIND_SHORT:
        return NC_KIND_USHORT;
    case NC_KIND_INT:
        return NC_KIND_UINT;
    case NC_KIND_INT64:
        return NC_KIND_UINT64;
    default:
        return v->kind;
    }
}

static enum type type_of(enum nc_kind kind)
{
    static const enum type types[] = {T_NONE,    T_INT8,    T_TEXT,  T_INT16,  T_INT32,
                                      T_FLOAT32, T_FLOAT64, T_UINT8, T_UINT16, T_UINT32,
                                      T_INT64,   T_UINT64,  T_TEXT};
    return types[kind];
}

static void add_fill(struct nc_column *k, double d, int64_t i)
{
    if (isnan(d)) {
        k->nan_is_null = true;
        return;
    }
    if (k->n_fills == NC_FILLS) return;
    /* As stored: -99.9 in an attribute of doubles is the float next to it. */
    k->float_fills[k->n_fills] = k->kind == NC_KIND_FLOAT ? (double)(float)d : d;
    k->int_fills[k->n_fills++] = i;
}

/* What a cell that was never written holds; bytes have no such value. */
static void default_fill(struct nc_column *k)
{
    switch (k->kind) {
    case NC_KIND_SHORT:
        add_fill(k, 0, -32767);
        break;
    case NC_KIND_INT:
        add_fill(k, 0, -2147483647);
        break;
    case NC_KIND_FLOAT:
    case NC_KIND_DOUBLE:
        add_fill(k, 0x1.ep+122, 0);
        break;
    case NC_KIND_USHORT:
        add_fill(k, 0, 65535);
        break;
    case NC_KIND_UINT:
        add_fill(k, 0, 4294967295);
        break;
    case NC_KIND_INT64:
        add_fill(k, 0, -9223372036854775806);
        break;
    case NC_KIND_UINT64:
        add_fill(k, 0, -2);
        break;
    default:
        break;
    }
}

static void find_fills(const struct nc_var *v, struct nc_column *k)
{
    static const char *const names[] = {"_FillValue", "missing_value"};
    for (int n = 0; n < 2; n++) {
        const struct nc_attr *a = nc_var_attr(v, names[n]);
        double d;
        int64_t i;
        for (int64_t at = 0; attr_number(a, at, &d, &i); at++) {
            /* An unsigned variable's attributes have the signed type. */
            int bits = 8 * (int)nc_kind_bytes(k->kind);
            if (k->kind != v->kind && bits < 64 && i < 0 && i >= -(INT64_C(1) << (bits - 1)))
                i += INT64_C(1) << bits;
            add_fill(k, d, i);
        }
    }
    if (!nc_var_attr(v, "_FillValue")) default_fill(k);
}

enum status nc_column_of(struct ctx *c, const char *path, const struct nc_description *d,
                         const struct nc_var *v, struct nc_column *out)
{
    struct nc_column k = {.var = v->id, .kind = kind_of(v), .scale = 1};
    if (k.kind == NC_KIND_NONE)
        return fail(c, ERR_UNSUPPORTED, "variable \"%s\" of \"%s\" has a type that cannot be read",
                    v->name, path);
    k.type = type_of(k.kind);
    if (k.kind == NC_KIND_CHAR) k.text_bytes = v->rank > 0 ? d->dims[v->dims[v->rank - 1]].len : 1;
    if (k.type != T_TEXT) {
        const struct nc_attr *scale = nc_var_attr(v, "scale_factor");
        const struct nc_attr *offset = nc_var_attr(v, "add_offset");
        int64_t unused;
        find_fills(v, &k);
        bool has_scale = attr_number(scale, 0, &k.scale, &unused);
        bool has_offset = attr_number(offset, 0, &k.offset, &unused);
        k.scaled = has_scale || has_offset;
        bool small = nc_kind_bytes(k.kind) <= 2 || k.kind == NC_KIND_FLOAT;
        bool single = (!has_scale || scale->kind == NC_KIND_FLOAT) &&
                      (!has_offset || offset->kind == NC_KIND_FLOAT);
        if (k.scaled) k.type = small && single ? T_FLOAT32 : T_FLOAT64;
    }
    *out = k;
    return OK;
}

size_t nc_column_bytes(const struct nc_column *k, int64_t n)
{
    return (k->kind == NC_KIND_CHAR ? (size_t)k->text_bytes : nc_kind_bytes(k->kind)) * (size_t)n;
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
static void mark_fills(const struct nc_column *k, const void *stored, int64_t n, uint8_t *valid)
{
    memset(valid, 1, (size_t)n);
    switch (k->kind) {
    case NC_KIND_BYTE:
        MARK(int8_t, int64_t, int_fills) break;
    case NC_KIND_SHORT:
        MARK(int16_t, int64_t, int_fills) break;
    case NC_KIND_INT:
        MARK(int32_t, int64_t, int_fills) break;
    case NC_KIND_INT64:
        MARK(int64_t, int64_t, int_fills) break;
    case NC_KIND_UBYTE:
        MARK(uint8_t, int64_t, int_fills) break;
    case NC_KIND_USHORT:
        MARK(uint16_t, int64_t, int_fills) break;
    case NC_KIND_UINT:
        MARK(uint32_t, int64_t, int_fills) break;
    case NC_KIND_UINT64:
        MARK(uint64_t, int64_t, int_fills) break;
    case NC_KIND_FLOAT:
        MARK(float, double, float_fills) break;
    default:
        MARK(double, double, float_fills) break;
    }
    if (k->nan_is_null && k->kind == NC_KIND_FLOAT) {
        for (int64_t i = 0; i < n; i++)
            valid[i] = valid[i] && !isnan(((const float *)stored)[i]);
    } else if (k->nan_is_null && k->kind == NC_KIND_DOUBLE) {
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

static void scale_values(const struct nc_column *k, const void *stored, int64_t n,
                         struct column *out)
{
    switch (k->kind) {
    case NC_KIND_BYTE:
        SCALE(int8_t) break;
    case NC_KIND_SHORT:
        SCALE(int16_t) break;
    case NC_KIND_INT:
        SCALE(int32_t) break;
    case NC_KIND_INT64:
        SCALE(int64_t) break;
    case NC_KIND_UBYTE:
        SCALE(uint8_t) break;
    case NC_KIND_USHORT:
        SCALE(uint16_t) break;
    case NC_KIND_UINT:
        SCALE(uint32_t) break;
    case NC_KIND_UINT64:
        SCALE(uint64_t) break;
    case NC_KIND_FLOAT:
        SCALE(float) break;
    default:
        SCALE(double) break;
    }
}

enum status nc_check_texts(struct ctx *c, const char *path, const struct text *texts, int64_t n)
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
static enum status slice_texts(struct ctx *c, const char *path, const struct nc_column *k,
                               const char *stored, int64_t n, struct text *out)
{
    for (int64_t i = 0; i < n; i++) {
        const char *s = stored + i * k->text_bytes;
        size_t len = strnlen(s, (size_t)k->text_bytes);
        while (len > 0 && s[len - 1] == ' ')
            len--;
        out[i] = (struct text){s, (int64_t)len};
    }
    return nc_check_texts(c, path, out, n);
}

enum status nc_column_convert(struct ctx *c, const char *path, const struct nc_column *k,
                              void *stored, int64_t n, struct column *out)
{
    struct column col = {.type = k->type, .values = stored};
    if (k->scaled || k->kind == NC_KIND_CHAR) TRY(column_alloc(c, k->type, n, &col));
    if (k->kind == NC_KIND_CHAR) {
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
    *out = col;
    return OK;
}
