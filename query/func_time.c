/* How are dates and timestamps computed with? As in PostgreSQL, in UTC. */
#include "query/func_cells.h"
#include "storage/base/datetime.h"
#include "storage/base/zone.h"
#include <math.h>
#include <string.h>

static bool date_infinite(int32_t d)
{
    return d == DATE_INFINITY || d == DATE_MINUS_INFINITY;
}
static bool time_infinite(int64_t us)
{
    return us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY;
}

static enum status date_to_us(struct ctx *c, int32_t days, int64_t *us)
{
    if (date_infinite(days))
        *us = days > 0 ? TIMESTAMP_INFINITY : TIMESTAMP_MINUS_INFINITY;
    else if (__builtin_mul_overflow((int64_t)days, US_PER_DAY, us))
        return fail(c, ERR_DATETIME_OVERFLOW, "date out of range for timestamp");
    return OK;
}

/* ---- days ---- */

static enum status shift_date(struct ctx *c, int32_t date, int64_t by, bool back, int32_t *out)
{
    int64_t r = date;
    bool over = !date_infinite(date) &&
                (back ? __builtin_sub_overflow(r, by, &r) : __builtin_add_overflow(r, by, &r));
    if (over || (!date_infinite(date) && (r <= DATE_MINUS_INFINITY || r >= DATE_INFINITY)))
        return fail(c, ERR_DATETIME_OVERFLOW, "date out of range");
    *out = (int32_t)r;
    return OK;
}

enum status date_add_days(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(shift_date(c, ARG(k, 0, int32_t, i), ARG(k, 1, int64_t, i), false,
                   &((int32_t *)k->out)[i]));
    return OK;
}

enum status days_add_date(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(shift_date(c, ARG(k, 1, int32_t, i), ARG(k, 0, int64_t, i), false,
                   &((int32_t *)k->out)[i]));
    return OK;
}

enum status date_sub_days(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(shift_date(c, ARG(k, 0, int32_t, i), ARG(k, 1, int64_t, i), true, &((int32_t *)k->out)[i]));
    return OK;
}

enum status date_sub_date(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int32_t a = ARG(k, 0, int32_t, i), b = ARG(k, 1, int32_t, i);
        if (date_infinite(a) || date_infinite(b))
            return fail(c, ERR_DATETIME_OVERFLOW, "cannot subtract infinite dates");
        if (__builtin_sub_overflow(a, b, &((int32_t *)k->out)[i]))
            return fail(c, ERR_OVERFLOW, "integer out of range");
    }
    return OK;
}

/* ---- timestamps and intervals ---- */

static enum status negated(struct ctx *c, const struct interval *iv, struct interval *out)
{
    if (iv->months == INT32_MIN || iv->days == INT32_MIN || iv->us == INT64_MIN)
        return fail(c, ERR_DATETIME_OVERFLOW, "interval out of range");
    *out = (struct interval){.us = -iv->us, .days = -iv->days, .months = -iv->months};
    return OK;
}

/* Argument `time` (a DATE when is_date) plus or minus argument 1 - time. */
static enum status shift(struct ctx *c, struct call *k, int time, bool is_date, bool back)
{
    EACH_CELL(k, i)
    {
        int64_t us, r;
        struct interval iv = ARG(k, 1 - time, struct interval, i);
        if (is_date)
            TRY(date_to_us(c, ARG(k, time, int32_t, i), &us));
        else
            us = ARG(k, time, int64_t, i);
        if (back) TRY(negated(c, &iv, &iv));
        if (time_infinite(us))
            r = us;
        else
            TRY(timestamp_add(c, us, &iv, &r));
        ((int64_t *)k->out)[i] = r;
    }
    return OK;
}

enum status time_add_interval(struct ctx *c, struct call *k)
{
    return shift(c, k, 0, false, false);
}
enum status interval_add_time(struct ctx *c, struct call *k)
{
    return shift(c, k, 1, false, false);
}
enum status time_sub_interval(struct ctx *c, struct call *k)
{
    return shift(c, k, 0, false, true);
}
enum status date_add_interval(struct ctx *c, struct call *k)
{
    return shift(c, k, 0, true, false);
}
enum status interval_add_date(struct ctx *c, struct call *k)
{
    return shift(c, k, 1, true, false);
}
enum status date_sub_interval(struct ctx *c, struct call *k)
{
    return shift(c, k, 0, true, true);
}

enum status time_sub_time(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t a = ARG(k, 0, int64_t, i), b = ARG(k, 1, int64_t, i), us;
        if (time_infinite(a) || time_infinite(b))
            return fail(c, ERR_DATETIME_OVERFLOW, "cannot subtract infinite timestamps");
        if (__builtin_sub_overflow(a, b, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "interval out of range");
        ((struct interval *)k->out)[i] =
            (struct interval){.us = us % US_PER_DAY, .days = (int32_t)(us / US_PER_DAY)};
    }
    return OK;
}

/* Years, months, days and time from b to a, a not before b; the days that a borrowed month has are
 * those of b's month, as in PostgreSQL. */
static struct interval age_of(int64_t a, int64_t b)
{
    struct civil x, y;
    civil_from_us(a, &x);
    civil_from_us(b, &y);
    int64_t time = ((x.hour - y.hour) * INT64_C(3600) + (x.minute - y.minute) * INT64_C(60) +
                    (x.second - y.second)) *
                       US_PER_SECOND +
                   (x.us - y.us);
    int64_t days = x.day - y.day, months = (x.year - y.year) * 12 + (x.month - y.month);
    if (time < 0) {
        time += US_PER_DAY;
        days--;
    }
    while (days < 0) {
        days += days_in_month(y.year, y.month);
        months--;
    }
    return (struct interval){.us = time, .days = (int32_t)days, .months = (int32_t)months};
}

enum status time_age(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t a = ARG(k, 0, int64_t, i), b = ARG(k, 1, int64_t, i);
        if (time_infinite(a) || time_infinite(b))
            return fail(c, ERR_DATETIME_OVERFLOW, "cannot subtract infinite timestamps");
        struct interval iv = a >= b ? age_of(a, b) : age_of(b, a);
        if (a < b) TRY(negated(c, &iv, &iv));
        ((struct interval *)k->out)[i] = iv;
    }
    return OK;
}

enum status time_is_finite(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    ((uint8_t *)k->out)[i] = !time_infinite(ARG(k, 0, int64_t, i));
    return OK;
}

enum status date_is_finite(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    ((uint8_t *)k->out)[i] = !date_infinite(ARG(k, 0, int32_t, i));
    return OK;
}

enum status time_to_date(struct ctx *c, struct call *k)
{
    return cell_cast_timestamp_date(c, k);
}

/* ---- fields ---- */

struct field {
    char s[32];
    size_t len;
};

static void read_field(const struct call *k, int64_t i, struct field *f)
{
    struct text t = ARG(k, 0, struct text, i);
    f->len = t.len < (int64_t)sizeof f->s ? (size_t)t.len : 0;
    for (size_t j = 0; j < f->len; j++)
        f->s[j] = (char)(t.s[j] >= 'A' && t.s[j] <= 'Z' ? t.s[j] + 32 : t.s[j]);
}

static enum status bad_field(struct ctx *c, const struct call *k, int64_t i)
{
    struct text t = ARG(k, 0, struct text, i);
    return fail(c, ERR_INVALID_PARAMETER, "unit \"%.*s\" not recognized for type %s", (int)t.len,
                t.s, type_name(k->arg[1].type));
}

static enum status trunc_time(struct ctx *c, struct call *k, bool is_date)
{
    struct field f;
    bool constant = k->arg[0].step == 0;
    if (constant) read_field(k, 0, &f);
    EACH_CELL(k, i)
    {
        int64_t us;
        if (!constant) read_field(k, i, &f);
        if (is_date)
            TRY(date_to_us(c, ARG(k, 1, int32_t, i), &us));
        else
            us = ARG(k, 1, int64_t, i);
        if (!timestamp_trunc(f.s, f.len, us, &((int64_t *)k->out)[i])) return bad_field(c, k, i);
    }
    return OK;
}

enum status time_trunc(struct ctx *c, struct call *k)
{
    return trunc_time(c, k, false);
}
enum status date_trunc_date(struct ctx *c, struct call *k)
{
    return trunc_time(c, k, true);
}

/* Days and longer units begin when the zone's clock says so. */
enum status time_trunc_zone(struct ctx *c, struct call *k)
{
    struct field f;
    const struct zone *z = NULL;
    EACH_CELL(k, i)
    {
        int64_t us = ARG(k, 1, int64_t, i), begin;
        if (!z || k->arg[2].step) TRY(zone_find(c, ARG(k, 2, struct text, i), &z));
        read_field(k, i, &f);
        bool infinite = time_infinite(us);
        if (!infinite && (us < ZONE_FIRST_US || us > ZONE_LAST_US))
            return fail(c, ERR_DATETIME_OVERFLOW, "timestamp out of range");
        int64_t local = infinite ? us : zone_local(z, us);
        if (!timestamp_trunc(f.s, f.len, local, &begin)) return bad_field(c, k, i);
        if (infinite)
            begin = us;
        else if (time_unit_by_name(f.s, f.len) < UNIT_DAY)
            begin = us - (local - begin);
        else
            begin = zone_instant(z, begin);
        ((int64_t *)k->out)[i] = begin;
    }
    return OK;
}

static enum status extract_time(struct ctx *c, struct call *k, bool is_date)
{
    struct field f;
    bool constant = k->arg[0].step == 0;
    if (constant) read_field(k, 0, &f);
    EACH_CELL(k, i)
    {
        int64_t us;
        double *out = &((double *)k->out)[i];
        if (!constant) read_field(k, i, &f);
        if (is_date)
            TRY(date_to_us(c, ARG(k, 1, int32_t, i), &us));
        else
            us = ARG(k, 1, int64_t, i);
        if (!timestamp_extract(f.s, f.len, us, out)) return bad_field(c, k, i);
        if (isnan(*out)) bit_clear(k->valid, i); /* of an infinite time */
    }
    return OK;
}

enum status time_extract(struct ctx *c, struct call *k)
{
    return extract_time(c, k, false);
}
enum status date_extract(struct ctx *c, struct call *k)
{
    return extract_time(c, k, true);
}

enum status interval_extract_field(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct field f;
        read_field(k, i, &f);
        if (!interval_extract(f.s, f.len, &ARG(k, 1, struct interval, i), &((double *)k->out)[i]))
            return bad_field(c, k, i);
    }
    return OK;
}

static bool trunc_interval(const struct field *f, struct interval *iv)
{
    int64_t step = 0;
    int32_t months = 1;
    switch (time_unit_by_name(f->s, f->len)) {
    case UNIT_MILLENNIUM:
        months = 12000;
        break;
    case UNIT_CENTURY:
        months = 1200;
        break;
    case UNIT_DECADE:
        months = 120;
        break;
    case UNIT_YEAR:
        months = 12;
        break;
    case UNIT_QUARTER:
        months = 3;
        break;
    case UNIT_MONTH:
        break;
    case UNIT_DAY:
        iv->us = 0;
        return true;
    case UNIT_HOUR:
        step = 3600 * US_PER_SECOND;
        break;
    case UNIT_MINUTE:
        step = 60 * US_PER_SECOND;
        break;
    case UNIT_SECOND:
        step = US_PER_SECOND;
        break;
    case UNIT_MILLISECOND:
        step = 1000;
        break;
    case UNIT_MICROSECOND:
        step = 1;
        break;
    default:
        return false;
    }
    if (step) {
        iv->us -= iv->us % step;
    } else {
        iv->us = 0;
        iv->days = 0;
        iv->months -= iv->months % months;
    }
    return true;
}

enum status interval_trunc(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct field f;
        read_field(k, i, &f);
        struct interval iv = ARG(k, 1, struct interval, i);
        if (!trunc_interval(&f, &iv)) return bad_field(c, k, i);
        ((struct interval *)k->out)[i] = iv;
    }
    return OK;
}

/* ---- making ---- */

enum status make_date(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t y = ARG(k, 0, int64_t, i), m = ARG(k, 1, int64_t, i), d = ARG(k, 2, int64_t, i);
        if (y < 0) y++; /* there is no year 0 */
        if (ARG(k, 0, int64_t, i) == 0 || m < 1 || m > 12 || y < -4712 || y > 5874897 || d < 1 ||
            d > days_in_month(y, (int)m))
            return fail(c, ERR_DATETIME_OVERFLOW,
                        "date field value out of range: %lld-%02lld-%02lld",
                        (long long)ARG(k, 0, int64_t, i), (long long)m, (long long)d);
        ((int32_t *)k->out)[i] = (int32_t)days_from_civil(y, (int)m, (int)d);
    }
    return OK;
}

enum status make_time(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t v[5];
        for (int j = 0; j < 5; j++)
            v[j] = ARG(k, j, int64_t, i);
        double sec = ARG(k, 5, double, i);
        int64_t year = v[0] < 0 ? v[0] + 1 : v[0];
        if (v[0] == 0 || year < -4712 || year > 294276 || v[1] < 1 || v[1] > 12 || v[2] < 1 ||
            v[2] > days_in_month(year, (int)v[1]) || v[3] < 0 || v[3] > 24 || v[4] < 0 ||
            v[4] > 59 || !(sec >= 0 && sec <= 60) || (v[3] == 24 && (v[4] > 0 || sec > 0)))
            return fail(c, ERR_DATETIME_OVERFLOW, "date/time field value out of range");
        struct civil t = {.year = year, .month = (int)v[1], .day = (int)v[2]};
        ((int64_t *)k->out)[i] = us_from_civil(&t) + (v[3] * 3600 + v[4] * 60) * US_PER_SECOND +
                                 (int64_t)rint(sec * 1e6);
    }
    return OK;
}

enum status time_from_epoch(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        double s = ARG(k, 0, double, i), us = rint(s * 1e6);
        if (isnan(s)) return fail(c, ERR_DATETIME_OVERFLOW, "timestamp cannot be NaN");
        if (!isinf(s) && !(fabs(us) < 0x1p63))
            return fail(c, ERR_DATETIME_OVERFLOW, "timestamp out of range: \"%g\"", s);
        ((int64_t *)k->out)[i] = !isinf(s) ? (int64_t)us
                                 : s > 0   ? TIMESTAMP_INFINITY
                                           : TIMESTAMP_MINUS_INFINITY;
    }
    return OK;
}

/* date_bin(stride, source, origin) */
enum status time_bin(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct interval step = ARG(k, 0, struct interval, i);
        int64_t us = ARG(k, 1, int64_t, i), origin = ARG(k, 2, int64_t, i), width, from;
        if (step.months)
            return fail(c, ERR_UNSUPPORTED,
                        "timestamps cannot be binned into intervals containing months or years");
        if (__builtin_mul_overflow((int64_t)step.days, US_PER_DAY, &width) ||
            __builtin_add_overflow(width, step.us, &width))
            return fail(c, ERR_DATETIME_OVERFLOW, "interval out of range");
        if (width <= 0) return fail(c, ERR_DATETIME_OVERFLOW, "stride must be greater than zero");
        if (time_infinite(us)) {
            ((int64_t *)k->out)[i] = us;
            continue;
        }
        if (time_infinite(origin) || __builtin_sub_overflow(us, origin, &from))
            return fail(c, ERR_DATETIME_OVERFLOW, "origin out of range");
        int64_t rest = from % width;
        ((int64_t *)k->out)[i] = us - rest - (rest < 0 ? width : 0);
    }
    return OK;
}
