/* Which coordinate has a position, and which position has a coordinate? */
#include "storage/axis.h"
#include "storage/axis_parts.h"
#include "storage/base/datetime.h"
#include <math.h>

int64_t axis_len(const struct axis *a)
{
    return a->hi - a->lo;
}

int64_t axis_origin_us(const struct axis *a)
{
    return a->type == T_DATE ? a->origin * US_PER_DAY : a->origin;
}

/* Labels of a list that is not sorted, sorted the other way round? */
static bool labels_descend(const struct labels *l)
{
    if (!l->by_value || l->n < 2) return false;
    for (int64_t i = 0; i < l->n; i++) {
        if (l->by_value[i] != l->n - 1 - i) return false;
    }
    return true;
}

bool axis_descending(const struct axis *a)
{
    if (a->kind == AXIS_LABELLED) return labels_descend(a->labels);
    if (type_is_float(a->type)) return a->dstep.mant < 0;
    return a->step < 0 || a->step_months < 0;
}

/* ---- position to coordinate ---- */

static int64_t month_coord(const struct axis *a, int64_t pos)
{
    int64_t months = pos * a->step_months;
    return a->type == T_DATE ? days_add_months(a->origin, months)
                             : us_add_months(a->origin, months);
}

struct value axis_coord(const struct axis *a, int64_t pos)
{
    if (a->kind == AXIS_LABELLED) return value_get(a->type, a->labels->values, pos);
    struct value v = {.type = a->type};
    if (a->type == T_FLOAT64)
        v.d = decimal_at(a->dorigin, a->dstep, pos);
    else if (a->type == T_FLOAT32)
        v.d = (double)(float)decimal_at(a->dorigin, a->dstep, pos);
    else if (a->step_months)
        v.i = month_coord(a, pos);
    else
        v.i = (int64_t)((uint64_t)a->origin + (uint64_t)pos * (uint64_t)a->step);
    return v;
}

#define SERIES(ctype)                                                                              \
    {                                                                                              \
        ctype *out = values;                                                                       \
        for (int64_t i = 0; i < n; i++)                                                            \
            out[i] = (ctype)(first + (uint64_t)i * each);                                          \
    }

/* Integers, dates and timestamps of a fixed step; wraps where the coordinates leave the type. */
static void integer_coords(const struct axis *a, int64_t lo, int64_t n, int64_t stride,
                           void *values)
{
    uint64_t first = (uint64_t)a->origin + (uint64_t)lo * (uint64_t)a->step;
    uint64_t each = (uint64_t)stride * (uint64_t)a->step;
    switch (type_bytes(a->type)) {
    case 1:
        SERIES(uint8_t) break;
    case 2:
        SERIES(uint16_t) break;
    case 4:
        SERIES(uint32_t) break;
    default:
        SERIES(uint64_t) break;
    }
}

void axis_coords(const struct axis *a, int64_t lo, int64_t n, int64_t stride, void *values)
{
    if (a->kind == AXIS_LABELLED) {
        size_t bytes = type_bytes(a->type);
        const char *src = (const char *)a->labels->values + (size_t)lo * bytes;
        if (stride == 1) {
            if (n > 0) memcpy(values, src, (size_t)n * bytes);
            return;
        }
        for (int64_t i = 0; i < n; i++)
            memcpy((char *)values + (size_t)i * bytes, src + i * stride * (int64_t)bytes, bytes);
    } else if (a->type == T_FLOAT64) {
        decimal_series(a->dorigin, a->dstep, lo, stride, n, values);
    } else if (a->type == T_FLOAT32) {
        double block[256];
        for (int64_t done = 0; done < n; done += 256) {
            int64_t m = n - done < 256 ? n - done : 256;
            decimal_series(a->dorigin, a->dstep, lo + done * stride, stride, m, block);
            for (int64_t i = 0; i < m; i++)
                ((float *)values)[done + i] = (float)block[i];
        }
    } else if (a->step_months) {
        for (int64_t i = 0; i < n; i++) {
            struct value v = value_int(a->type, month_coord(a, lo + i * stride));
            value_put(&v, values, i);
        }
    } else {
        integer_coords(a, lo, n, stride, values);
    }
}

/* ---- coordinate to position ---- */

static double to_double(const struct value *v)
{
    return type_is_float(v->type) ? v->d
                                  : (type_is_unsigned(v->type) ? (double)v->u : (double)v->i);
}

static int64_t clamp_position(i128 pos)
{
    if (pos > POSITION_MAX) return POSITION_MAX;
    return pos < -POSITION_MAX ? -POSITION_MAX : (int64_t)pos;
}

static int64_t clamp_double(double q)
{
    if (!(q < (double)POSITION_MAX)) return POSITION_MAX; /* NaN comes after all numbers */
    return q < -(double)POSITION_MAX ? -POSITION_MAX : (int64_t)floor(q);
}

/* The estimate is off by rounding only: walks to the last position not past d. */
static bool settle_float(const struct axis *a, double d, int64_t *pos)
{
    bool down = a->dstep.mant < 0;
    int64_t p = *pos;
    for (int i = 0; i < 8; i++) {
        double x = axis_coord(a, p).d;
        if (down ? x >= d : x <= d) break;
        p--;
    }
    for (int i = 0; i < 8; i++) {
        double x = axis_coord(a, p + 1).d;
        if (down ? x < d : x > d) break;
        p++;
    }
    *pos = p;
    return axis_coord(a, p).d == d;
}

static enum status locate_float(struct ctx *c, const struct axis *a, const struct value *v,
                                bool *on_grid, int64_t *pos)
{
    struct value x;
    enum type as = type_is_float(v->type) && isinf(v->d) ? T_FLOAT64 : a->type;
    TRY(value_cast(c, v, as, &x));
    double step = decimal_to_double(a->dstep);
    double q = (x.d - decimal_to_double(a->dorigin)) / step;
    int64_t p = clamp_double(q);
    bool inside = p > -POSITION_MAX && p < POSITION_MAX;
    *on_grid = inside && settle_float(a, x.d, &p);
    *pos = p;
    return OK;
}

/* Twice the value in the axis's finest unit (microseconds for dates), plus one for anything between
 * two units. */
static enum status twice_units(struct ctx *c, const struct axis *a, const struct value *v,
                               i128 *out)
{
    struct value x = *v;
    bool is_time = type_is_time(a->type);
    if (v->type == T_TEXT || v->type == T_UNKNOWN) {
        enum type as = is_time ? T_TIMESTAMP : (v->t.len > 18 ? a->type : T_FLOAT64);
        TRY(value_parse(c, as, v->t, &x));
    } else if (is_time ? !type_is_time(v->type)
                       : !(type_is_numeric(v->type) || v->type == T_BOOL)) {
        TRY(value_cast(c, v, a->type, &x));
    }
    if (is_time) {
        TRY(value_cast(c, &x, T_TIMESTAMP, &x));
        *out = 2 * (i128)x.i;
    } else if (type_is_float(x.type)) {
        double whole = floor(x.d);
        if (isnan(whole) || whole > 0x1p70)
            *out = (i128)1 << 71;
        else
            *out = whole < -0x1p70 ? -((i128)1 << 71) : 2 * (i128)whole + (whole != x.d);
    } else {
        *out = 2 * (type_is_unsigned(x.type) ? (i128)x.u : (i128)x.i);
    }
    return OK;
}

static void locate_month(const struct axis *a, int64_t us, bool *on_grid, int64_t *pos)
{
    if (us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY) {
        *pos = (us > 0) == (a->step_months > 0) ? POSITION_MAX : -POSITION_MAX;
        *on_grid = false;
        return;
    }
    struct civil from, to;
    int64_t origin = axis_origin_us(a), step = a->step_months, p;
    civil_from_us(origin, &from);
    civil_from_us(us, &to);
    p = floor_div((to.year - from.year) * 12 + to.month - from.month, step);
    for (p++;; p--) { /* the month is known, the day within it may cost one or two */
        int64_t at = us_add_months(origin, p * step);
        if (step > 0 ? at <= us : at >= us) {
            *on_grid = at == us;
            *pos = p;
            return;
        }
    }
}

enum status axis_locate(struct ctx *c, const struct axis *a, const struct value *v, bool *on_grid,
                        int64_t *pos)
{
    if (type_is_float(a->type)) return locate_float(c, a, v, on_grid, pos);
    i128 twice;
    TRY(twice_units(c, a, v, &twice));
    if (a->step_months) {
        locate_month(a, (int64_t)(twice / 2), on_grid, pos);
        return OK;
    }
    i128 unit = a->type == T_DATE ? US_PER_DAY : 1;
    i128 distance = twice - 2 * unit * a->origin, step = 2 * unit * a->step;
    i128 rest = distance % step;
    i128 p = distance / step - (rest != 0 && (rest < 0) != (step < 0));
    *on_grid = rest == 0;
    *pos = clamp_position(p);
    return OK;
}

/* How many labels in sorted order are less than v (or not greater). */
static int64_t label_rank(const struct axis *a, const struct value *v, bool or_equal)
{
    const struct labels *l = a->labels;
    int64_t lo = 0, hi = l->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        struct value x = value_get(a->type, l->values, l->by_value ? l->by_value[mid] : mid);
        int cmp = value_compare(&x, v);
        if (cmp < 0 || (or_equal && cmp == 0))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int64_t axis_label(const struct axis *a, const struct value *v)
{
    const struct labels *l = a->labels;
    int64_t rank = label_rank(a, v, false);
    if (rank == l->n) return -1;
    int64_t pos = l->by_value ? l->by_value[rank] : rank;
    struct value x = value_get(a->type, l->values, pos);
    return value_compare(&x, v) == 0 ? pos : -1;
}

static struct value extreme(enum type t, bool high)
{
    struct value v = {.type = t};
    int bits = 8 * (int)type_bytes(t);
    if (type_is_float(t))
        v.d = high ? INFINITY : -INFINITY;
    else if (type_is_unsigned(t))
        v.u = high ? UINT64_MAX >> (64 - bits) : 0;
    else
        v.i = high ? INT64_MAX >> (64 - bits) : INT64_MIN >> (64 - bits);
    return v;
}

/* v as the labels' type. Not exact: no label can equal v, and *x is the nearest one below it, or
 * the end of the type's range. */
static enum status label_value(struct ctx *c, const struct axis *a, const struct value *v,
                               struct value *x, bool *exact)
{
    struct ctx quiet = {0};
    *exact = true;
    if (type_is_numeric(v->type) && type_is_numeric(a->type)) {
        struct value whole = *v;
        if (type_is_float(v->type) && type_is_integer(a->type)) whole.d = floor(v->d);
        *exact = value_cast(&quiet, &whole, a->type, x) == OK;
        if (!*exact) *x = extreme(a->type, !(to_double(v) < 0));
        *exact = *exact && (!type_is_float(v->type) || whole.d == v->d || isnan(v->d));
        return OK;
    }
    bool is_text = v->type == T_TEXT || v->type == T_UNKNOWN;
    if (a->type == T_DATE && (v->type == T_TIMESTAMP || is_text)) {
        struct value us;
        TRY(value_cast(c, v, T_TIMESTAMP, &us));
        *exact = us.i % US_PER_DAY == 0;
        return value_cast(c, &us, T_DATE, x);
    }
    return value_cast(c, v, a->type, x);
}

static enum status find_label(struct ctx *c, const struct axis *a, const struct value *v,
                              bool *found, int64_t *pos)
{
    struct value x;
    bool exact;
    TRY(label_value(c, a, v, &x, &exact));
    int64_t p = exact ? axis_label(a, &x) : -1;
    *found = p >= 0;
    if (*found)
        *pos = p;
    else if (!a->labels->by_value)
        *pos = label_rank(a, &x, true) - 1;
    else if (labels_descend(a->labels))
        *pos = a->labels->n - 1 - label_rank(a, &x, !exact);
    else
        *pos = -1;
    return OK;
}

enum status axis_find(struct ctx *c, const struct axis *a, const struct value *v, bool *found,
                      int64_t *pos)
{
    if (a->kind == AXIS_LABELLED) return find_label(c, a, v, found, pos);
    bool on_grid;
    int64_t p;
    TRY(axis_locate(c, a, v, &on_grid, &p));
    *found =
        on_grid && p >= a->limit_lo && p < a->limit_hi && p > -POSITION_MAX && p < POSITION_MAX;
    *pos = p;
    return OK;
}

/* ---- nearest ---- */

/* Both of the axis's type, or DOUBLE for numbers, TIMESTAMP for times. */
static double distance(const struct axis *a, const struct value *x, const struct value *v)
{
    if (!type_is_time(a->type)) return fabs(to_double(x) - to_double(v));
    i128 unit = a->type == T_DATE ? US_PER_DAY : 1;
    i128 gap = unit * x->i - v->i;
    return (double)(gap < 0 ? -gap : gap);
}

static enum status check_tolerance(struct ctx *c, const struct axis *a, const char *name,
                                   const struct value *v, const struct value *tolerance,
                                   const struct value *nearest, double gap)
{
    struct value limit;
    if (!tolerance || tolerance->null) return OK;
    if (type_is_time(a->type)) {
        TRY(value_cast(c, tolerance, T_INTERVAL, &limit));
        limit = value_double((double)interval_us(&limit.iv));
    } else {
        TRY(value_cast(c, tolerance, T_FLOAT64, &limit));
    }
    /* 47.4 ± 0.1 should reach 47.5 although the difference of the doubles is a bit more. */
    if (gap <= limit.d * (1 + 1e-12) + fabs(to_double(v)) * 1e-15) return OK;
    struct strbuf at = STRBUF_INIT, text = STRBUF_INIT;
    value_format(v, &at);
    value_format(nearest, &text);
    fail(c, ERR_OUT_OF_BOUNDS, "no coordinate of dimension \"%s\" lies within the tolerance of %s",
         name, at.s);
    hint(c, "The nearest one is %s.", text.s);
    strbuf_release(&at);
    strbuf_release(&text);
    return ERR_OUT_OF_BOUNDS;
}

/* Range of positions among which the nearest to v is. */
static enum status near_range(struct ctx *c, const struct axis *a, const struct value *v,
                              int64_t *lo, int64_t *hi)
{
    bool found;
    int64_t p;
    bool listed = a->kind == AXIS_LABELLED && a->labels->by_value && !labels_descend(a->labels);
    if (listed) {
        *lo = a->lo;
        *hi = a->hi;
        return OK;
    }
    TRY(axis_find(c, a, v, &found, &p));
    if (p < a->lo) p = a->lo;
    if (p > a->hi - 1) p = a->hi - 1;
    *lo = p;
    *hi = p + 1 < a->hi ? p + 2 : p + 1;
    return OK;
}

enum status axis_nearest(struct ctx *c, const struct axis *a, const char *name,
                         const struct value *v, const struct value *tolerance, int64_t *pos)
{
    struct value x;
    int64_t lo, hi, best = 0;
    double least = INFINITY;
    if (a->type == T_TEXT)
        return fail(c, ERR_DATATYPE_MISMATCH, "dimension \"%s\" is text and has no nearest label",
                    name);
    if (axis_len(a) <= 0)
        return fail(c, ERR_OUT_OF_BOUNDS, "dimension \"%s\" has no coordinates", name);
    TRY(value_cast(c, v, type_is_time(a->type) ? T_TIMESTAMP : T_FLOAT64, &x));
    TRY(near_range(c, a, &x, &lo, &hi));
    for (int64_t p = lo; p < hi; p++) {
        struct value at = axis_coord(a, p);
        double gap = distance(a, &at, &x);
        if (p == lo || gap < least) {
            least = gap;
            best = p;
        }
    }
    struct value nearest = axis_coord(a, best);
    TRY(check_tolerance(c, a, name, &x, tolerance, &nearest, least));
    *pos = best;
    return OK;
}

/* ---- slices ---- */

/* A list in no order of value is sliced from one of its labels to another. */
static enum status slice_listed(struct ctx *c, const struct axis *a, const char *name,
                                const struct value *bound, int64_t *pos)
{
    bool found;
    TRY(axis_find(c, a, bound, &found, pos));
    if (found) return OK;
    struct strbuf text = STRBUF_INIT;
    value_format(bound, &text);
    fail(c, ERR_OUT_OF_BOUNDS, "dimension \"%s\" has no label \"%s\"", name, text.s ? text.s : "");
    strbuf_release(&text);
    return ERR_OUT_OF_BOUNDS;
}

/* Where a bound cuts: twice the position of its cell, or one more when it falls behind it. */
static enum status slice_cut(struct ctx *c, const struct axis *a, const struct value *bound,
                             int64_t *cut)
{
    bool on_grid;
    int64_t pos;
    if (a->kind == AXIS_REGULAR)
        TRY(axis_locate(c, a, bound, &on_grid, &pos));
    else
        TRY(axis_find(c, a, bound, &on_grid, &pos));
    *cut = 2 * pos + !on_grid;
    return OK;
}

enum status axis_slice(struct ctx *c, const struct axis *a, const char *name,
                       const struct value *lo, const struct value *hi, int64_t *out_lo,
                       int64_t *out_hi)
{
    bool listed = a->kind == AXIS_LABELLED &&
                  (a->type == T_TEXT || (a->labels->by_value && !labels_descend(a->labels)));
    int64_t first = a->lo, last = a->hi - 1;
    if (listed) {
        if (lo) TRY(slice_listed(c, a, name, lo, &first));
        if (hi) TRY(slice_listed(c, a, name, hi, &last));
    } else {
        int64_t cut_lo = 2 * first, cut_hi = 2 * last;
        if (lo) TRY(slice_cut(c, a, lo, &cut_lo));
        if (hi) TRY(slice_cut(c, a, hi, &cut_hi));
        if (lo && hi && cut_hi < cut_lo && axis_descending(a)) {
            int64_t cut = cut_lo;
            cut_lo = cut_hi;
            cut_hi = cut;
        }
        first = floor_div(cut_lo + 1, 2);
        last = floor_div(cut_hi, 2);
    }
    if (first < a->lo) first = a->lo;
    if (first > a->hi) first = a->hi;
    if (last > a->hi - 1) last = a->hi - 1;
    *out_lo = first;
    *out_hi = last >= first ? last + 1 : first;
    return OK;
}

/* ---- many at once ---- */

static void find_many_labels(const struct axis *a, const void *values, int64_t n, int64_t *pos,
                             uint8_t *found)
{
    int64_t last = -1; /* rows mostly come with the same label as before, or the next one */
    for (int64_t i = 0; i < n; i++) {
        struct value v = value_get(a->type, values, i);
        int64_t p = -1;
        for (int64_t guess = last; guess >= 0 && guess <= last + 1 && guess < a->labels->n;
             guess++) {
            struct value x = value_get(a->type, a->labels->values, guess);
            if (value_compare(&x, &v) == 0) {
                p = guess;
                break;
            }
        }
        if (p < 0) p = axis_label(a, &v);
        if (p >= 0) last = p;
        pos[i] = p;
        found[i] = p >= 0;
    }
}

/* The rounded quotient is the position if the coordinate there is the value; the few others are
 * looked at one by one. */
static void find_many_doubles(const struct axis *a, const double *values, int64_t n, int64_t *pos,
                              uint8_t *found)
{
    double origin = decimal_to_double(a->dorigin), step = decimal_to_double(a->dstep);
    for (int64_t i = 0; i < n; i++) {
        double q = rint((values[i] - origin) / step);
        bool inside = fabs(q) < (double)POSITION_MAX;
        pos[i] = inside ? (int64_t)q : 0;
        double x = decimal_at(a->dorigin, a->dstep, pos[i]);
        found[i] = inside && (a->type == T_FLOAT32 ? (double)(float)x : x) == values[i];
    }
}

static void find_many_units(const struct axis *a, const int64_t *values, int64_t n, int64_t *pos,
                            uint8_t *found)
{
    int64_t origin = a->origin, step = a->step;
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) {
            pos[i] = (int64_t)((uint64_t)values[i] - (uint64_t)origin);
            found[i] = 1;
        }
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t gap = (int64_t)((uint64_t)values[i] - (uint64_t)origin);
        pos[i] = floor_div(gap, step);
        found[i] = pos[i] * step == gap;
    }
}

/* Coordinates as the type of the search: doubles of a float axis, units of any other. */
static void widen(enum type t, const void *values, int64_t at, int64_t n, double *doubles,
                  int64_t *units)
{
    for (int64_t i = 0; i < n; i++) {
        struct value v = value_get(t, values, at + i);
        if (type_is_float(t))
            doubles[i] = v.d;
        else
            units[i] = v.i;
    }
}

void axis_find_many(const struct axis *a, const void *values, int64_t n, int64_t *pos,
                    uint8_t *found)
{
    if (a->kind == AXIS_LABELLED) {
        find_many_labels(a, values, n, pos, found);
        return;
    }
    enum { BLOCK = 256 };
    for (int64_t done = 0; done < n; done += BLOCK) {
        int64_t m = n - done < BLOCK ? n - done : BLOCK;
        double doubles[BLOCK];
        int64_t units[BLOCK];
        if (a->type == T_FLOAT64)
            memcpy(doubles, (const double *)values + done, (size_t)m * sizeof *doubles);
        else if (a->type == T_INT64 || a->type == T_TIMESTAMP)
            memcpy(units, (const int64_t *)values + done, (size_t)m * sizeof *units);
        else
            widen(a->type, values, done, m, doubles, units);
        if (type_is_float(a->type)) {
            find_many_doubles(a, doubles, m, pos + done, found + done);
        } else if (a->step_months) {
            for (int64_t i = 0; i < m; i++) {
                int64_t us, unit = a->type == T_DATE ? US_PER_DAY : 1;
                bool on_grid = false;
                if (!__builtin_mul_overflow(units[i], unit, &us))
                    locate_month(a, us, &on_grid, &pos[done + i]);
                found[done + i] = on_grid;
            }
        } else {
            find_many_units(a, units, m, pos + done, found + done);
        }
        for (int64_t i = done; i < done + m; i++)
            found[i] = found[i] && pos[i] >= a->limit_lo && pos[i] < a->limit_hi &&
                       pos[i] >= -POSITION_MAX && pos[i] <= POSITION_MAX;
    }
}
