/* How are intervals computed with? */
#include "query/func_cells.h"
#include "storage/base/datetime.h"
#include <math.h>

static enum status out_of_range(struct ctx *c)
{
    return fail(c, ERR_DATETIME_OVERFLOW, "interval out of range");
}

static enum status add(struct ctx *c, const struct interval *a, const struct interval *b,
                       struct interval *out)
{
    struct interval r;
    if (__builtin_add_overflow(a->months, b->months, &r.months) ||
        __builtin_add_overflow(a->days, b->days, &r.days) ||
        __builtin_add_overflow(a->us, b->us, &r.us))
        return out_of_range(c);
    *out = r;
    return OK;
}

static enum status negated(struct ctx *c, const struct interval *a, struct interval *out)
{
    struct interval r;
    if (__builtin_sub_overflow(0, a->months, &r.months) ||
        __builtin_sub_overflow(0, a->days, &r.days) || __builtin_sub_overflow(0, a->us, &r.us))
        return out_of_range(c);
    *out = r;
    return OK;
}

enum status interval_add(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(add(c, &ARG(k, 0, struct interval, i), &ARG(k, 1, struct interval, i),
            &((struct interval *)k->out)[i]));
    return OK;
}

enum status interval_sub(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct interval minus = {0};
        TRY(negated(c, &ARG(k, 1, struct interval, i), &minus));
        TRY(add(c, &ARG(k, 0, struct interval, i), &minus, &((struct interval *)k->out)[i]));
    }
    return OK;
}

enum status interval_neg(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(negated(c, &ARG(k, 0, struct interval, i), &((struct interval *)k->out)[i]));
    return OK;
}

/* PostgreSQL's: what is left of a month goes to the days (30 each), of a day to the time. */
static enum status multiplied(struct ctx *c, const struct interval *a, double by,
                              struct interval *out)
{
    double months = a->months * by, days = a->days * by;
    if (!(fabs(months) < 0x1p31) || !(fabs(days) < 0x1p31)) return out_of_range(c);
    double whole_months = trunc(months), whole_days = trunc(days);
    double rest_days = (months - whole_months) * 30;
    rest_days = rint(rest_days * 1e6) / 1e6; /* to the microsecond's relative precision */
    double sec_rest = (days - whole_days + rest_days - trunc(rest_days)) * 86400;
    sec_rest = rint(sec_rest * 1e6) / 1e6;
    if (fabs(sec_rest) >= 86400) {
        whole_days += trunc(sec_rest / 86400);
        sec_rest -= trunc(sec_rest / 86400) * 86400;
    }
    whole_days += trunc(rest_days);
    double us = rint((double)a->us * by + sec_rest * 1e6);
    if (!(fabs(whole_days) < 0x1p31) || !(fabs(us) < 0x1p63)) return out_of_range(c);
    *out = (struct interval){
        .us = (int64_t)us, .days = (int32_t)whole_days, .months = (int32_t)whole_months};
    return OK;
}

enum status interval_mul(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(multiplied(c, &ARG(k, 0, struct interval, i), ARG(k, 1, double, i),
                   &((struct interval *)k->out)[i]));
    return OK;
}

enum status number_mul_interval(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(multiplied(c, &ARG(k, 1, struct interval, i), ARG(k, 0, double, i),
                   &((struct interval *)k->out)[i]));
    return OK;
}

enum status interval_div(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        double by = ARG(k, 1, double, i);
        if (by == 0) return fail(c, ERR_DIVISION_BY_ZERO, "division by zero");
        TRY(multiplied(c, &ARG(k, 0, struct interval, i), 1 / by, &((struct interval *)k->out)[i]));
    }
    return OK;
}

static bool order_is(int kernel, int order)
{
    switch (kernel) {
    case B_EQ:
        return order == 0;
    case B_NE:
        return order != 0;
    case B_LT:
        return order < 0;
    case B_LE:
        return order <= 0;
    case B_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

enum status interval_compare(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        int64_t a = interval_us(&ARG(k, 0, struct interval, i));
        int64_t b = interval_us(&ARG(k, 1, struct interval, i));
        ((uint8_t *)k->out)[i] = order_is(k->func->kernel, (a > b) - (a < b));
    }
    return OK;
}

enum status interval_extreme(struct ctx *c, struct call *k)
{
    (void)c;
    int sign = k->func->kernel == B_MAX ? 1 : -1;
    EACH_CELL(k, i)
    {
        const struct interval *best = NULL;
        for (int j = 0; j < k->n_args; j++) {
            if (arg_null(k, j, i)) continue;
            const struct interval *iv = &ARG(k, j, struct interval, i);
            int64_t a = interval_us(iv), b = best ? interval_us(best) : 0;
            if (!best || (sign > 0 ? a > b : a < b)) best = iv;
        }
        if (best)
            ((struct interval *)k->out)[i] = *best;
        else
            bit_clear(k->valid, i);
    }
    return OK;
}

/* years, months, weeks, days, hours, minutes, seconds */
enum status interval_make(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t part[6], months, days, us;
        for (int j = 0; j < 6; j++)
            part[j] = ARG(k, j, int64_t, i);
        double seconds = ARG(k, 6, double, i) * 1e6;
        if (__builtin_mul_overflow(part[0], 12, &months) ||
            __builtin_add_overflow(months, part[1], &months) ||
            __builtin_mul_overflow(part[2], 7, &days) ||
            __builtin_add_overflow(days, part[3], &days) ||
            __builtin_mul_overflow(part[4], 60, &us) || __builtin_add_overflow(us, part[5], &us) ||
            __builtin_mul_overflow(us, 60 * US_PER_SECOND, &us) || !(fabs(seconds) < 0x1p62) ||
            __builtin_add_overflow(us, (int64_t)rint(seconds), &us) || months != (int32_t)months ||
            days != (int32_t)days)
            return out_of_range(c);
        ((struct interval *)k->out)[i] =
            (struct interval){.us = us, .days = (int32_t)days, .months = (int32_t)months};
    }
    return OK;
}

/* ---- justifying: days of 24 hours, months of 30 days ---- */

/* Moves whole `size`s of *small into *large, so that both have one sign. */
static bool carry(int64_t *small, int64_t size, int64_t *large)
{
    if (__builtin_add_overflow(*large, *small / size, large)) return false;
    *small %= size;
    if (*large > 0 && *small < 0) {
        *small += size;
        --*large;
    } else if (*large < 0 && *small > 0) {
        *small -= size;
        ++*large;
    }
    return true;
}

static enum status justified(struct ctx *c, struct call *k, bool hours, bool days)
{
    EACH_CELL(k, i)
    {
        struct interval iv = ARG(k, 0, struct interval, i);
        int64_t d = iv.days, m = iv.months;
        if (hours && days && !carry(&d, 30, &m)) return out_of_range(c);
        if (hours && !carry(&iv.us, US_PER_DAY, &d)) return out_of_range(c);
        if (days && !carry(&d, 30, &m)) return out_of_range(c);
        if (hours && days) { /* all of one sign */
            if (m > 0 && (d < 0 || (d == 0 && iv.us < 0))) {
                d += 30;
                m--;
            } else if (m < 0 && (d > 0 || (d == 0 && iv.us > 0))) {
                d -= 30;
                m++;
            }
            if (d > 0 && iv.us < 0) {
                iv.us += US_PER_DAY;
                d--;
            } else if (d < 0 && iv.us > 0) {
                iv.us -= US_PER_DAY;
                d++;
            }
        }
        if (d != (int32_t)d || m != (int32_t)m) return out_of_range(c);
        ((struct interval *)k->out)[i] =
            (struct interval){.us = iv.us, .days = (int32_t)d, .months = (int32_t)m};
    }
    return OK;
}

enum status interval_justify_hours(struct ctx *c, struct call *k)
{
    return justified(c, k, true, false);
}
enum status interval_justify_days(struct ctx *c, struct call *k)
{
    return justified(c, k, false, true);
}
enum status interval_justify(struct ctx *c, struct call *k)
{
    return justified(c, k, true, true);
}

enum status interval_is_finite(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    ((uint8_t *)k->out)[i] = true;
    return OK;
}
