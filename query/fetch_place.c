/* Which position does a computed coordinate mean? None, when no cell of the axis has it exactly. */
#include "query/fetch_place.h"
#include "query/pick.h"
#include <math.h>

#define DAY_US INT64_C(86400000000)

static void by_positions(const struct axis *axis, const struct column *col, int64_t n, int64_t *out)
{
    const int64_t *v = col->values;
    bool uns = col->type == T_UINT64;
    for (int64_t i = 0; i < n; i++) {
        bool past = uns && v[i] < 0;
        if (past || __builtin_add_overflow(v[i], axis->lo, &out[i])) out[i] = PICK_NONE;
    }
}

/* A number as one of an integer axis's type. */
static bool as_integer(enum type t, const struct value *v, struct value *out)
{
    struct ctx quiet = {0};
    struct value x = *v;
    if (v->type == T_FLOAT64) {
        if (!(v->d >= -9223372036854775808.0 && v->d < 18446744073709551616.0) ||
            v->d != floor(v->d))
            return false;
        x = v->d < 0 ? value_int(T_INT64, (int64_t)v->d) : (struct value){.type = T_UINT64};
        if (v->d >= 0) x.u = (uint64_t)v->d;
    }
    return value_cast(&quiet, &x, t, out) == OK;
}

static bool as_axis(enum type t, const struct value *v, struct value *out)
{
    if (type_is_integer(t)) return as_integer(t, v, out);
    if (t == T_FLOAT32) {
        *out = value_double((double)(float)v->d);
        out->type = T_FLOAT32;
        return true;
    }
    if (v->i % DAY_US) return false;
    *out = value_int(T_DATE, v->i / DAY_US);
    return true;
}

/* The values in the axis's type; ok[i] 0 where it has no such value. */
static void convert(const struct axis *axis, const struct column *col, int64_t n, void *values,
                    uint8_t *ok)
{
    for (int64_t i = 0; i < n; i++) {
        struct value v = value_get(col->type, col->values, i), x = value_int(axis->type, 0);
        ok[i] = !column_is_null(col, i) && as_axis(axis->type, &v, &x);
        if (!ok[i]) x = value_int(axis->type, 0);
        if (!ok[i] && type_is_float(axis->type)) x.d = 0;
        value_put(&x, values, i);
    }
}

enum status fetch_place(struct ctx *c, const struct axis *axis, bool by_position, int64_t shift,
                        const struct column *col, int64_t n, int64_t *out)
{
    void *ok_memory, *found_memory, *values = col->values;
    TRY(scratch_alloc(c, (size_t)n + 1, &ok_memory));
    TRY(scratch_alloc(c, (size_t)n + 1, &found_memory));
    uint8_t *ok = ok_memory, *found = found_memory;
    bool converted = !by_position && col->type != axis->type;
    if (by_position) {
        by_positions(axis, col, n, out);
    } else {
        if (converted) {
            TRY(scratch_alloc(c, type_bytes(axis->type) * (size_t)(n + 1), &values));
            convert(axis, col, n, values, ok);
        }
        axis_find_many(axis, values, n, out, found);
    }
    for (int64_t i = 0; i < n; i++) {
        bool some = by_position ? out[i] != PICK_NONE : found[i] && (!converted || ok[i]);
        if (!some || column_is_null(col, i) || __builtin_add_overflow(out[i], shift, &out[i]))
            out[i] = PICK_NONE;
    }
    return OK;
}
