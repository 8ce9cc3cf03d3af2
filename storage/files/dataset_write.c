/* What stands for a missing value in a dataset that is written, and what do its variables say of
 * themselves? */
#include "storage/files/dataset_write.h"
#include "storage/base/value.h"
#include <float.h>
#include <math.h>

/* ---- fill values ---- */

static int64_t int_fill(enum type t, int k)
{
    switch (t) {
    case T_BOOL:
        return 255;
    case T_INT8:
        return (int64_t[]){INT8_MIN, INT8_MAX, -99, 99}[k];
    case T_INT16:
        return (int64_t[]){INT16_MIN, INT16_MAX, -9999, -32767}[k];
    case T_INT32:
        return (int64_t[]){INT32_MIN, INT32_MAX, -2147483647, -9999}[k];
    case T_DATE:
        return INT32_MIN + k;
    case T_UINT8:
        return (int64_t[]){UINT8_MAX, 254, 253, 99}[k];
    case T_UINT16:
        return (int64_t[]){UINT16_MAX, 65534, 65533, 9999}[k];
    case T_UINT32:
        return UINT32_MAX - k;
    default:
        return INT64_MIN + k;
    }
}

struct value dsw_fill(enum type t, int k)
{
    static const char *const texts[DSW_FILLS] = {"", "NULL", "N/A", "missing"};
    static const double floats[DSW_FILLS] = {NAN, 0x1.ep+122, -0x1.ep+122, 0x1p+120};
    struct value v = {.type = t};
    if (t == T_TEXT)
        v = value_text(texts[k]);
    else if (type_is_float(t))
        v.d = floats[k];
    else if (t == T_UINT64)
        v.u = INT64_MAX - (uint64_t)k; /* JSON libraries have no larger one */
    else
        v.i = int_fill(t, k);
    return v;
}

enum type dsw_stored_type(const struct dsw_var *v)
{
    switch (v->type) {
    case T_BOOL:
        return v->has_fill ? T_UINT8 : T_BOOL;
    case T_DATE:
        return T_INT32;
    case T_TIMESTAMP:
        return T_INT64;
    default:
        return v->type;
    }
}

/* ---- values ---- */

#define SEE(ctype, field)                                                                          \
    {                                                                                              \
        const ctype *x = values, f = (ctype)fills[k].field;                                        \
        unsigned hit = 0;                                                                          \
        if (!fine)                                                                                 \
            for (int64_t i = 0; i < n; i++)                                                        \
                hit |= x[i] == f;                                                                  \
        else                                                                                       \
            for (int64_t i = 0; i < n; i++)                                                        \
                hit |= (x[i] == f) & fine[i];                                                      \
        seen |= hit << k;                                                                          \
    }

static unsigned see_floats(enum type t, const void *values, const uint8_t *fine, int64_t n)
{
    unsigned nan_seen = 0;
    for (int64_t i = 0; i < n; i++) {
        double d =
            t == T_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
        nan_seen |= (d != d) & (fine ? fine[i] : 1);
    }
    return nan_seen;
}

static unsigned see_texts(const struct text *x, const uint8_t *fine, int64_t n)
{
    unsigned seen = 0;
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < DSW_FILLS; k++) {
            struct text f = dsw_fill(T_TEXT, k).t;
            if ((!fine || fine[i]) && x[i].len == f.len &&
                (f.len == 0 || memcmp(x[i].s, f.s, (size_t)f.len) == 0))
                seen |= 1u << k;
        }
    return seen;
}

/* Which candidates occur among the values that are there? fine: a byte each; NULL: all are. */
static unsigned see(enum type t, const void *values, const uint8_t *fine, int64_t n)
{
    struct value fills[DSW_FILLS];
    unsigned seen = 0;
    if (t == T_TEXT) return see_texts(values, fine, n);
    if (t == T_BOOL) return 0;
    for (int k = 0; k < DSW_FILLS; k++) {
        fills[k] = dsw_fill(t, k);
        switch (t) {
        case T_INT8:
            SEE(int8_t, i) break;
        case T_UINT8:
            SEE(uint8_t, i) break;
        case T_INT16:
            SEE(int16_t, i) break;
        case T_UINT16:
            SEE(uint16_t, i) break;
        case T_INT32:
        case T_DATE:
            SEE(int32_t, i) break;
        case T_UINT32:
            SEE(uint32_t, i) break;
        case T_FLOAT32:
            if (k) SEE(float, d) break;
        case T_FLOAT64:
            if (k) SEE(double, d) break;
        default:
            SEE(int64_t, i) break;
        }
    }
    if (type_is_float(t)) seen = (seen & ~1u) | see_floats(t, values, fine, n);
    return seen;
}

enum status dsw_values(struct ctx *c, struct dsw_var *v, const struct column *col,
                       const uint64_t *present, int64_t n, void **out, bool *any)
{
    size_t w = type_bytes(v->type);
    *out = col->values;
    *any = true;
    if (!present && !col->valid) {
        atomic_fetch_or(&v->seen, see(v->type, col->values, NULL, n));
        return OK;
    }
    void *fine_bytes, *values;
    TRY(scratch_alloc(c, (size_t)n + 1, &fine_bytes));
    TRY(scratch_alloc(c, (size_t)n * w + 1, &values));
    uint8_t *fine = fine_bytes;
    int64_t n_fine = 0;
    struct value fill = dsw_fill(v->type, v->fill);
    memcpy(values, col->values, (size_t)n * w);
    for (int64_t i = 0; i < n; i++) {
        fine[i] = (!present || bit_get(present, i)) && !column_is_null(col, i);
        n_fine += fine[i];
        if (!fine[i]) value_put(&fill, values, i);
    }
    if (n_fine < n) atomic_store(&v->missing, true);
    atomic_fetch_or(&v->seen, see(v->type, values, fine, n));
    *out = values;
    *any = n_fine > 0;
    return OK;
}

enum status dsw_settled(struct ctx *c, struct dsw_def *def, bool late_fill, bool *settled)
{
    *settled = true;
    for (int i = 0; i < def->n_vars; i++) {
        struct dsw_var *v = &def->vars[i];
        unsigned seen = atomic_load(&v->seen);
        int free_fill = 0;
        if (!atomic_load(&v->missing)) continue;
        while (free_fill < DSW_FILLS && seen >> free_fill & 1)
            free_fill++;
        if (free_fill == DSW_FILLS) {
            fail(c, ERR_DATATYPE_MISMATCH,
                 "cells of \"%s\" are missing, and its values leave none to stand for that",
                 v->name);
            return hint(c, "Cast it to a wider type, or give them a value: COALESCE(%s, …).",
                        v->name);
        }
        if (free_fill != v->fill || (!late_fill && !v->has_fill)) *settled = false;
        v->fill = free_fill;
        v->has_fill = true;
    }
    return OK;
}

/* ---- attributes ---- */

static void text_attr(struct ctx *c, struct ds_attr *out, int *n, const char *name,
                      const char *text)
{
    if (!text) return;
    (void)c;
    out[(*n)++] = (struct ds_attr){
        .name = name, .kind = DS_KIND_STRING, .n = 1, .text = {text, (int64_t)strlen(text)}};
}

static void fill_attr(struct ctx *c, struct ds_attr *out, int *n, const struct dsw_var *v)
{
    struct value fill = dsw_fill(v->type, v->fill);
    int64_t *room = arena_array(c->arena, int64_t, 1);
    struct ds_attr a = {.name = "_FillValue", .n = 1, .values = room};
    if (v->type == T_TEXT) {
        text_attr(c, out, n, "missing_value", fill.t.s);
        return;
    }
    a.kind = type_is_float(v->type) ? DS_KIND_DOUBLE
             : v->type == T_UINT64  ? DS_KIND_UINT64
                                    : DS_KIND_INT64;
    if (type_is_float(v->type))
        memcpy(room, &fill.d, 8);
    else
        *room = fill.i;
    out[(*n)++] = a;
}

int dsw_attrs(struct ctx *c, enum type t, const char *unit, const char *comment,
              const struct dsw_var *v, struct ds_attr *out)
{
    int n = 0;
    if (type_is_time(t)) {
        text_attr(c, out, &n, "units",
                  t == T_DATE ? "days since 1970-01-01" : "microseconds since 1970-01-01");
        text_attr(c, out, &n, "calendar", "proleptic_gregorian");
        if (t == T_DATE) text_attr(c, out, &n, "tessera_type", "date");
    } else {
        text_attr(c, out, &n, "units", unit);
    }
    text_attr(c, out, &n, "long_name", comment);
    if (t == T_BOOL && v && v->has_fill) text_attr(c, out, &n, "tessera_type", "boolean");
    if (v && v->has_fill) fill_attr(c, out, &n, v);
    return n;
}
