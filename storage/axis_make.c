/* Which axis do bounds, labels or the coordinates of a file make? */
#include "storage/axis.h"
#include "storage/axis_parts.h"
#include "storage/base/datetime.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

enum status axis_decimal(struct ctx *c, const struct value *v, struct decimal *out)
{
    struct strbuf text = STRBUF_INIT;
    value_format(v, &text);
    enum status s = decimal_parse(c, (struct text){text.s ? text.s : "", (int64_t)text.len}, out);
    strbuf_release(&text);
    return s;
}

struct axis axis_count(int64_t n)
{
    return (struct axis){.type = T_INT64, .hi = n, .limit_hi = n, .step = 1};
}

/* ---- from bounds ---- */

static enum status bad(struct ctx *c, const char *name, const char *what)
{
    return fail(c, ERR_INVALID_DEFINITION, "dimension \"%s\": %s", name, what);
}

static enum status set_time_step(struct ctx *c, const char *name, const struct value *step,
                                 struct axis *a)
{
    struct value v = {.type = T_INTERVAL, .iv = {.days = 1}};
    if (step && !step->null) {
        if (type_is_numeric(step->type))
            return bad(c, name, "the step of a time axis is an interval, as in INTERVAL '1 day'");
        TRY(value_cast(c, step, T_INTERVAL, &v));
    }
    if (v.iv.months && (v.iv.days || v.iv.us))
        return bad(c, name, "a step is whole months, or days and time, not both");
    a->step_months = v.iv.months;
    int64_t us;
    if (__builtin_mul_overflow((int64_t)v.iv.days, US_PER_DAY, &us) ||
        __builtin_add_overflow(us, v.iv.us, &us))
        return bad(c, name, "the step is too long");
    if (a->type == T_DATE && us % US_PER_DAY != 0)
        return bad(c, name, "the step of a date axis is whole days");
    a->step = a->type == T_DATE ? us / US_PER_DAY : us;
    if (a->step == 0 && a->step_months == 0) return bad(c, name, "the step must not be zero");
    return OK;
}

static enum status set_number_step(struct ctx *c, const char *name, const struct value *step,
                                   struct axis *a)
{
    struct value v = value_int(T_INT64, 1);
    if (type_is_float(a->type)) {
        TRY(axis_decimal(c, step && !step->null ? step : &v, &a->dstep));
        if (a->dstep.mant == 0) return bad(c, name, "the step must not be zero");
        return OK;
    }
    if (step && !step->null) {
        struct decimal whole;
        TRY(axis_decimal(c, step, &whole));
        if (whole.scale > 0) return bad(c, name, "the step of an integer axis is an integer");
        v.i = whole.mant;
    }
    if (v.i == 0) return bad(c, name, "the step must not be zero");
    a->step = v.i;
    return OK;
}

static enum status set_origin(struct ctx *c, const char *name, const struct value *lo,
                              struct axis *a)
{
    struct value v;
    if (type_is_float(a->type)) return axis_decimal(c, lo, &a->dorigin);
    TRY(value_cast(c, lo, a->type, &v));
    if (a->type == T_UINT64 && v.u > INT64_MAX)
        return bad(c, name, "the lower bound is too large for an axis");
    bool infinite =
        (a->type == T_DATE && (v.i == DATE_INFINITY || v.i == DATE_MINUS_INFINITY)) ||
        (a->type == T_TIMESTAMP && (v.i == TIMESTAMP_INFINITY || v.i == TIMESTAMP_MINUS_INFINITY));
    if (infinite) return bad(c, name, "an axis cannot start at infinity");
    a->origin = v.i;
    return OK;
}

/* Position of the upper bound: must be a whole number of steps away. */
static enum status set_end(struct ctx *c, const char *name, const struct value *hi, struct axis *a)
{
    bool on_grid;
    int64_t n;
    if (type_is_float(a->type)) {
        struct decimal end;
        TRY(axis_decimal(c, hi, &end));
        on_grid = decimal_steps(a->dorigin, a->dstep, end, &n);
    } else {
        struct value v;
        TRY(value_cast(c, hi, a->type, &v));
        TRY(axis_locate(c, a, &v, &on_grid, &n));
    }
    if (n < 0) {
        bad(c, name, "the step leads away from the upper bound");
        return hint(c, "A descending axis has a negative step.");
    }
    if (n >= POSITION_MAX) return bad(c, name, "the upper bound is out of reach");
    if (!on_grid) {
        struct value below = axis_coord(a, n), above = axis_coord(a, n + 1);
        struct strbuf text = STRBUF_INIT;
        value_literal(&below, &text);
        strbuf_adds(&text, " and ");
        value_literal(&above, &text);
        bad(c, name, "the upper bound is not reached by whole steps");
        hint(c, "The nearest ones are %s.", text.s);
        strbuf_release(&text);
        return ERR_INVALID_DEFINITION;
    }
    a->hi = a->limit_hi = n + 1;
    return OK;
}

enum status axis_regular(struct ctx *c, const char *name, enum type type, const struct value *lo,
                         const struct value *hi, const struct value *step, struct axis *out)
{
    struct axis a = {.type = type, .kind = AXIS_REGULAR};
    if (!type_is_numeric(type) && !type_is_time(type))
        return fail(c, ERR_INVALID_DEFINITION, "dimension \"%s\": %s has no regular axis", name,
                    type_name(type));
    if (!lo || lo->null) return bad(c, name, "a regular axis needs its first coordinate");
    TRY(set_origin(c, name, lo, &a));
    if (type_is_time(type))
        TRY(set_time_step(c, name, step, &a));
    else
        TRY(set_number_step(c, name, step, &a));
    if (hi && !hi->null) {
        TRY(set_end(c, name, hi, &a));
    } else {
        a.grows = true;
        a.limit_hi = INT64_MAX;
    }
    *out = a;
    return OK;
}

/* ---- from labels ---- */

struct sorting {
    enum type type;
    const void *values;
};

static int compare_at(const struct sorting *s, int64_t i, int64_t j)
{
    struct value a = value_get(s->type, s->values, i), b = value_get(s->type, s->values, j);
    return value_compare(&a, &b);
}

static int compare_labels(const void *a, const void *b, void *self)
{
    return compare_at(self, *(const int64_t *)a, *(const int64_t *)b);
}

static enum status label_twice(struct ctx *c, const char *name, enum type type, const void *values,
                               int64_t i)
{
    struct value v = value_get(type, values, i);
    struct strbuf text = STRBUF_INIT;
    value_literal(&v, &text);
    fail(c, ERR_DUPLICATE_CELL, "label %s stands twice in dimension \"%s\"", text.s, name);
    strbuf_release(&text);
    return ERR_DUPLICATE_CELL;
}

enum status axis_labels(struct ctx *c, const char *name, enum type type, const void *values,
                        int64_t n, struct labels **out)
{
    struct labels *l = arena_new_of(c->arena, struct labels);
    struct sorting sorting = {type, values};
    l->n = n;
    l->values = arena_alloc(c->arena, (size_t)n * type_bytes(type));
    bool sorted = true;
    for (int64_t i = 0; i < n; i++) {
        struct value v = value_get(type, values, i);
        if (type_is_varlen(type)) v = value_dup(c->arena, &v);
        value_put(&v, l->values, i);
        if (i == 0) continue;
        int cmp = compare_at(&sorting, i - 1, i);
        if (cmp == 0) return label_twice(c, name, type, values, i);
        sorted = sorted && cmp < 0;
    }
    if (!sorted) {
        l->by_value = arena_array(c->arena, int64_t, n);
        for (int64_t i = 0; i < n; i++)
            l->by_value[i] = i;
        qsort_r(l->by_value, (size_t)n, sizeof(int64_t), compare_labels, &sorting);
        for (int64_t i = 1; i < n; i++) {
            if (compare_at(&sorting, l->by_value[i - 1], l->by_value[i]) == 0)
                return label_twice(c, name, type, values, l->by_value[i]);
        }
    }
    *out = l;
    return OK;
}

static enum status from_labels(struct ctx *c, const char *name, enum type type, const void *values,
                               int64_t n, bool grows, struct axis *out)
{
    struct labels *l;
    TRY(axis_labels(c, name, type, values, n, &l));
    *out = (struct axis){.type = type, .kind = AXIS_LABELLED, .grows = grows, .hi = n, .labels = l};
    out->limit_hi = grows ? INT64_MAX : n;
    return OK;
}

enum status axis_labelled(struct ctx *c, const char *name, enum type type,
                          const struct value *values, int64_t n, bool grows, struct axis *out)
{
    if (!type_is_numeric(type) && !type_is_time(type) && type != T_TEXT)
        return fail(c, ERR_INVALID_DEFINITION, "dimension \"%s\": %s cannot be an axis", name,
                    type_name(type));
    void *column = arena_alloc(c->arena, (size_t)n * type_bytes(type));
    for (int64_t i = 0; i < n; i++) {
        struct value v;
        if (values[i].null) return bad(c, name, "a label cannot be NULL");
        TRY(value_cast(c, &values[i], type, &v));
        value_put(&v, column, i);
    }
    return from_labels(c, name, type, column, n, grows, out);
}

/* ---- from coordinates ---- */

static bool equal_units(enum type type, const void *coords, int64_t n, struct axis *a)
{
    i128 first = value_get(type, coords, 0).i, step = value_get(type, coords, 1).i - first;
    if (type == T_UINT64 && value_get(type, coords, 0).u > INT64_MAX) return false;
    if (step == 0 || step > POSITION_MAX || step < -POSITION_MAX) return false;
    for (int64_t i = 2; i < n; i++) {
        if (value_get(type, coords, i).i != first + step * i) return false;
    }
    a->origin = (int64_t)first;
    a->step = (int64_t)step;
    return true;
}

static bool equal_months(enum type type, const void *coords, int64_t n, struct axis *a)
{
    struct axis months = *a;
    int64_t unit = type == T_DATE ? US_PER_DAY : 1, first, second;
    if (__builtin_mul_overflow(value_get(type, coords, 0).i, unit, &first) ||
        __builtin_mul_overflow(value_get(type, coords, 1).i, unit, &second))
        return false;
    struct civil from, to;
    civil_from_us(first, &from);
    civil_from_us(second, &to);
    int64_t step = (to.year - from.year) * 12 + to.month - from.month;
    if (step == 0 || step > 120000 || step < -120000) return false;
    months.origin = value_get(type, coords, 0).i;
    months.step_months = (int32_t)step;
    for (int64_t i = 1; i < n; i++) {
        if (axis_coord(&months, i).i != value_get(type, coords, i).i) return false;
    }
    *a = months;
    return true;
}

/* Coordinates that are the axis's to the bit, or within a tolerance. */
static bool fits_decimals(enum type type, const void *coords, int64_t n, const struct axis *a,
                          double tolerance)
{
    for (int64_t i = 0; i < n; i++) {
        double x = value_get(type, coords, i).d, at = decimal_at(a->dorigin, a->dstep, i);
        if (type == T_FLOAT32) at = (double)(float)at;
        if (!(fabs(x - at) <= tolerance)) return false;
    }
    return true;
}

static bool round_to(long double x, int digits, struct decimal *out)
{
    long double scaled = rintl(x * powl(10, digits));
    if (!(fabsl(scaled) < 0x1p62L)) return false;
    struct decimal d = {(int64_t)scaled, digits};
    while (d.scale > 0 && d.mant % 10 == 0) {
        d.mant /= 10;
        d.scale--;
    }
    *out = d;
    return true;
}

/* Tries origin and step with 0, 1, 2 … decimals; the fewest win. */
static bool try_decimals(enum type type, const void *coords, int64_t n, int most_digits,
                         double tolerance, struct axis *a)
{
    double first = value_get(type, coords, 0).d, last = value_get(type, coords, n - 1).d;
    long double step = ((long double)last - (long double)first) / (long double)(n - 1);
    struct axis guess = *a;
    for (int digits = 0; digits <= most_digits; digits++) {
        if (!round_to((long double)first, digits, &guess.dorigin) ||
            !round_to(step, digits, &guess.dstep))
            return false;
        if (guess.dstep.mant == 0) continue;
        if (fits_decimals(type, coords, n, &guess, tolerance)) {
            *a = guess;
            return true;
        }
    }
    return false;
}

static bool equal_decimals(enum type type, const void *coords, int64_t n, struct axis *a)
{
    double largest = 0;
    bool float_like = true;
    for (int64_t i = 0; i < n; i++) {
        double x = value_get(type, coords, i).d;
        if (!isfinite(x)) return false;
        if (fabs(x) > largest) largest = fabs(x);
        float_like = float_like && (double)(float)x == x;
    }
    if (try_decimals(type, coords, n, type == T_FLOAT32 ? 12 : 17, 0, a)) return true;
    double ulp = (double)nextafterf((float)largest, INFINITY) - (double)(float)largest;
    if (!float_like) ulp = nextafter(largest, INFINITY) - largest;
    return try_decimals(type, coords, n, float_like ? 5 : 10, 2 * ulp, a);
}

enum status axis_from_coords(struct ctx *c, const char *name, enum type type, const void *coords,
                             int64_t n, bool grows, struct axis *out)
{
    struct axis a = {.type = type, .kind = AXIS_REGULAR, .grows = grows, .hi = n};
    a.limit_hi = grows ? INT64_MAX : n;
    bool regular = false;
    if (n >= 2 && type_is_float(type))
        regular = equal_decimals(type, coords, n, &a);
    else if (n >= 2 && type_is_time(type))
        regular = equal_units(type, coords, n, &a) || equal_months(type, coords, n, &a);
    else if (n >= 2 && type_is_integer(type))
        regular = equal_units(type, coords, n, &a);
    if (!regular) return from_labels(c, name, type, coords, n, grows, out);
    *out = a;
    return OK;
}
