/* Which position does a computed coordinate mean? None, when no cell of the axis has it exactly. */
#include "query/fetch_place.h"
#include "query/pick.h"
#include "storage/base/datetime.h"
#include <math.h>
#include <string.h>

#define PAST_ALL (INT64_C(1) << 62) /* further than any axis reaches */

static void by_positions(const struct axis *axis, const struct column *col, int64_t n, int64_t *out)
{
    const int64_t *v = col->values;
    bool uns = col->type == T_UINT64;
    for (int64_t i = 0; i < n; i++) {
        bool past = uns && v[i] < 0;
        if (past || __builtin_add_overflow(v[i], axis->lo, &out[i])) out[i] = PICK_NONE;
    }
}

/* Whole numbers that the axis's integer type holds: its values, from the least to the greatest. */
static void integers_to(enum type t, const struct column *col, int64_t n, void *values, uint8_t *ok)
{
    int bits = 8 * (int)type_bytes(t);
    bool uns = type_is_unsigned(t);
    int64_t least = uns ? 0 : INT64_MIN >> (64 - bits);
    uint64_t most = uns ? UINT64_MAX >> (64 - bits) : (uint64_t)INT64_MAX >> (64 - bits);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = ((const int64_t *)col->values)[i];
        if (col->type == T_FLOAT64) {
            double d = ((const double *)col->values)[i];
            bool below = d < 9223372036854775808.0;
            bool in = d >= (double)least && d < 18446744073709551616.0 && d == floor(d);
            x = !in ? 0 : below ? (int64_t)d : (int64_t)(uint64_t)d;
            ok[i] = in && (d < 0 || (uint64_t)x <= most);
        } else if (col->type == T_UINT64) {
            ok[i] = (uint64_t)x <= most;
        } else {
            ok[i] = x >= least && (x < 0 || (uint64_t)x <= most);
        }
        /* The low bytes of a little-endian integer are the narrower one. */
        memcpy((char *)values + i * (bits / 8), &x, (size_t)bits / 8);
    }
}

/* The values in the axis's type; ok[i] 0 where it has no such value. */
static void convert(enum type t, const struct column *col, int64_t n, void *values, uint8_t *ok)
{
    if (type_is_integer(t)) {
        integers_to(t, col, n, values, ok);
        return;
    }
    memset(ok, 1, (size_t)n);
    if (t == T_FLOAT32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)values)[i] = (float)((const double *)col->values)[i];
        return;
    }
    for (int64_t i = 0; i < n; i++) { /* TIMESTAMP to DATE */
        int64_t us = ((const int64_t *)col->values)[i];
        ((int32_t *)values)[i] = (int32_t)(us / US_PER_DAY);
        ok[i] = us % US_PER_DAY == 0;
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
            convert(axis->type, col, n, values, ok);
        }
        axis_find_many(axis, values, n, out, found);
    }
    for (int64_t i = 0; i < n; i++) {
        bool some = by_position ? out[i] != PICK_NONE : found[i] && (!converted || ok[i]);
        if (!some || column_is_null(col, i) || __builtin_add_overflow(out[i], shift, &out[i]) ||
            out[i] > PAST_ALL || out[i] < -PAST_ALL)
            out[i] = PICK_NONE;
    }
    return OK;
}
