/* What date is a number of days, and what happens when time is added, cut, taken apart or printed?
 */
#include "storage/base/datetime.h"
#include "storage/base/decimal.h"
#include <math.h>
#include <stdlib.h>

#define DAYS_PER_ERA 146097 /* 400 years */
#define JULIAN_DAY_OF_EPOCH 2440588

/* ---- the calendar ---- */

/* Years are counted from March, so that the leap day is a year's last. */
int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - 719468;
}

void civil_from_days(int64_t days, struct civil *out)
{
    int64_t shifted = days + 719468;
    int64_t era = floor_div(shifted, DAYS_PER_ERA);
    int64_t day_of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */
    *out = (struct civil){0};
    out->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    out->month = (int)(month < 10 ? month + 3 : month - 9);
    out->year = year_of_era + era * 400 + (out->month <= 2);
}

void civil_from_us(int64_t us, struct civil *out)
{
    int64_t days = floor_div(us, US_PER_DAY);
    int64_t rest = us - days * US_PER_DAY;
    civil_from_days(days, out);
    out->us = (int)(rest % US_PER_SECOND);
    rest /= US_PER_SECOND;
    out->second = (int)(rest % 60);
    out->minute = (int)(rest / 60 % 60);
    out->hour = (int)(rest / 3600);
}

int64_t us_from_civil(const struct civil *t)
{
    int64_t days = days_from_civil(t->year, t->month, t->day);
    int64_t seconds = ((int64_t)t->hour * 60 + t->minute) * 60 + t->second;
    return days * US_PER_DAY + seconds * US_PER_SECOND + t->us;
}

int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

int64_t days_add_months(int64_t days, int64_t months)
{
    struct civil t;
    civil_from_days(days, &t);
    int64_t count = t.year * 12 + t.month - 1 + months;
    int64_t year = floor_div(count, 12);
    int month = (int)(count - year * 12) + 1, last = days_in_month(year, month);
    return days_from_civil(year, month, t.day < last ? t.day : last);
}

int64_t us_add_months(int64_t us, int64_t months)
{
    int64_t days = floor_div(us, US_PER_DAY);
    int64_t later = days_add_months(days, months), sum;
    if (__builtin_mul_overflow(later, US_PER_DAY, &sum) ||
        __builtin_add_overflow(sum, us - days * US_PER_DAY, &sum))
        return later < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

enum status timestamp_add(struct ctx *c, int64_t us, const struct interval *iv, int64_t *out)
{
    if (us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY) {
        *out = us;
        return OK;
    }
    int64_t days = floor_div(us, US_PER_DAY), time_of_day = us - days * US_PER_DAY, sum;
    if (iv->months) days = days_add_months(days, iv->months);
    days += iv->days;
    if (__builtin_mul_overflow(days, US_PER_DAY, &sum) ||
        __builtin_add_overflow(sum, time_of_day, &sum) ||
        __builtin_add_overflow(sum, iv->us, &sum) || sum == TIMESTAMP_INFINITY ||
        sum == TIMESTAMP_MINUS_INFINITY)
        return fail(c, ERR_DATETIME_OVERFLOW, "timestamp out of range");
    *out = sum;
    return OK;
}

int64_t interval_us(const struct interval *iv)
{
    int64_t days = (int64_t)iv->months * 30 + iv->days, us;
    if (__builtin_mul_overflow(days, US_PER_DAY, &us) || __builtin_add_overflow(us, iv->us, &us))
        return days < 0 ? INT64_MIN : INT64_MAX;
    return us;
}

/* ---- units ---- */

static const struct {
    const char *name;
    enum time_unit unit;
} unit_names[] = {
    {"us", UNIT_MICROSECOND},
    {"usec", UNIT_MICROSECOND},
    {"usecs", UNIT_MICROSECOND},
    {"microsecond", UNIT_MICROSECOND},
    {"microseconds", UNIT_MICROSECOND},
    {"ms", UNIT_MILLISECOND},
    {"msec", UNIT_MILLISECOND},
    {"msecs", UNIT_MILLISECOND},
    {"millisecond", UNIT_MILLISECOND},
    {"milliseconds", UNIT_MILLISECOND},
    {"s", UNIT_SECOND},
    {"sec", UNIT_SECOND},
    {"secs", UNIT_SECOND},
    {"second", UNIT_SECOND},
    {"seconds", UNIT_SECOND},
    {"m", UNIT_MINUTE},
    {"min", UNIT_MINUTE},
    {"mins", UNIT_MINUTE},
    {"minute", UNIT_MINUTE},
    {"minutes", UNIT_MINUTE},
    {"h", UNIT_HOUR},
    {"hr", UNIT_HOUR},
    {"hrs", UNIT_HOUR},
    {"hour", UNIT_HOUR},
    {"hours", UNIT_HOUR},
    {"d", UNIT_DAY},
    {"day", UNIT_DAY},
    {"days", UNIT_DAY},
    {"w", UNIT_WEEK},
    {"week", UNIT_WEEK},
    {"weeks", UNIT_WEEK},
    {"mon", UNIT_MONTH},
    {"mons", UNIT_MONTH},
    {"month", UNIT_MONTH},
    {"months", UNIT_MONTH},
    {"qtr", UNIT_QUARTER},
    {"quarter", UNIT_QUARTER},
    {"y", UNIT_YEAR},
    {"yr", UNIT_YEAR},
    {"yrs", UNIT_YEAR},
    {"year", UNIT_YEAR},
    {"years", UNIT_YEAR},
    {"dec", UNIT_DECADE},
    {"decs", UNIT_DECADE},
    {"decade", UNIT_DECADE},
    {"decades", UNIT_DECADE},
    {"c", UNIT_CENTURY},
    {"cent", UNIT_CENTURY},
    {"century", UNIT_CENTURY},
    {"centuries", UNIT_CENTURY},
    {"mil", UNIT_MILLENNIUM},
    {"mils", UNIT_MILLENNIUM},
    {"millennium", UNIT_MILLENNIUM},
    {"millennia", UNIT_MILLENNIUM},
    {"dow", UNIT_DOW},
    {"isodow", UNIT_ISODOW},
    {"doy", UNIT_DOY},
    {"isoyear", UNIT_ISOYEAR},
    {"epoch", UNIT_EPOCH},
    {"julian", UNIT_JULIAN},
};

enum time_unit time_unit_by_name(const char *s, size_t len)
{
    for (size_t i = 0; i < sizeof unit_names / sizeof *unit_names; i++) {
        if (strlen(unit_names[i].name) == len && memcmp(unit_names[i].name, s, len) == 0)
            return unit_names[i].unit;
    }
    return UNIT_NONE;
}

/* ---- truncation and extraction ---- */

static int64_t decade_of(int64_t year)
{
    return floor_div(year, 10);
}

/* Centuries and millennia begin in their year 1; there is none numbered 0. */
static int64_t era_of(int64_t year, int64_t length)
{
    return year > 0 ? (year + length - 1) / length : -((length - 1 - (year - 1)) / length);
}

static int64_t first_year_of_era(int64_t year, int64_t length)
{
    return floor_div(year - 1, length) * length + 1;
}

/* The Monday of a day's ISO week. */
static int64_t monday_of(int64_t days)
{
    return floor_div(days + 3, 7) * 7 - 3;
}

static int64_t iso_year_of(int64_t days)
{
    struct civil thursday;
    civil_from_days(monday_of(days) + 3, &thursday);
    return thursday.year;
}

static int64_t trunc_days(enum time_unit unit, int64_t days)
{
    struct civil t;
    civil_from_days(days, &t);
    switch (unit) {
    case UNIT_WEEK:
        return monday_of(days);
    case UNIT_MONTH:
        return days - t.day + 1;
    case UNIT_QUARTER:
        return days_from_civil(t.year, (t.month - 1) / 3 * 3 + 1, 1);
    case UNIT_YEAR:
        return days_from_civil(t.year, 1, 1);
    case UNIT_DECADE:
        return days_from_civil(decade_of(t.year) * 10, 1, 1);
    case UNIT_CENTURY:
        return days_from_civil(first_year_of_era(t.year, 100), 1, 1);
    case UNIT_MILLENNIUM:
        return days_from_civil(first_year_of_era(t.year, 1000), 1, 1);
    default:
        return days;
    }
}

bool timestamp_trunc(const char *unit, size_t unit_len, int64_t us, int64_t *out)
{
    int64_t step;
    enum time_unit u = time_unit_by_name(unit, unit_len);
    switch (u) {
    case UNIT_MICROSECOND:
        step = 1;
        break;
    case UNIT_MILLISECOND:
        step = 1000;
        break;
    case UNIT_SECOND:
        step = US_PER_SECOND;
        break;
    case UNIT_MINUTE:
        step = 60 * US_PER_SECOND;
        break;
    case UNIT_HOUR:
        step = 3600 * US_PER_SECOND;
        break;
    case UNIT_DAY:
    case UNIT_WEEK:
    case UNIT_MONTH:
    case UNIT_QUARTER:
    case UNIT_YEAR:
    case UNIT_DECADE:
    case UNIT_CENTURY:
    case UNIT_MILLENNIUM:
        step = US_PER_DAY;
        break;
    default:
        return false;
    }
    if (us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY)
        *out = us;
    else if (step < US_PER_DAY)
        *out = floor_div(us, step) * step;
    else
        *out = trunc_days(u, floor_div(us, US_PER_DAY)) * US_PER_DAY;
    return true;
}

/* An infinite time is infinite in what grows with time, and nothing in what goes round. */
static bool extract_infinity(enum time_unit unit, bool positive, double *out)
{
    switch (unit) {
    case UNIT_NONE:
        return false;
    case UNIT_YEAR:
    case UNIT_ISOYEAR:
    case UNIT_DECADE:
    case UNIT_CENTURY:
    case UNIT_MILLENNIUM:
    case UNIT_EPOCH:
    case UNIT_JULIAN:
        *out = positive ? INFINITY : -INFINITY;
        return true;
    default:
        *out = NAN;
        return true;
    }
}

/* Parts of a day's date; false: not one of them. */
static bool extract_day(enum time_unit u, int64_t days, const struct civil *t, int64_t *x)
{
    switch (u) {
    case UNIT_DAY:
        *x = t->day;
        break;
    case UNIT_WEEK:
        *x = (monday_of(days) - monday_of(days_from_civil(iso_year_of(days), 1, 4))) / 7 + 1;
        break;
    case UNIT_MONTH:
        *x = t->month;
        break;
    case UNIT_QUARTER:
        *x = (t->month - 1) / 3 + 1;
        break;
    case UNIT_YEAR:
        *x = t->year > 0 ? t->year : t->year - 1;
        break;
    case UNIT_DECADE:
        *x = decade_of(t->year);
        break;
    case UNIT_CENTURY:
        *x = era_of(t->year, 100);
        break;
    case UNIT_MILLENNIUM:
        *x = era_of(t->year, 1000);
        break;
    case UNIT_DOW:
        *x = days + 4 - floor_div(days + 4, 7) * 7;
        break;
    case UNIT_ISODOW:
        *x = days - monday_of(days) + 1;
        break;
    case UNIT_DOY:
        *x = days - days_from_civil(t->year, 1, 1) + 1;
        break;
    case UNIT_ISOYEAR:
        *x = iso_year_of(days);
        *x -= *x <= 0;
        break;
    default:
        return false;
    }
    return true;
}

bool timestamp_extract(const char *unit, size_t unit_len, int64_t us, double *out)
{
    enum time_unit u = time_unit_by_name(unit, unit_len);
    if (us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY)
        return extract_infinity(u, us > 0, out);
    struct civil t;
    int64_t days = floor_div(us, US_PER_DAY), x;
    civil_from_us(us, &t);
    switch (u) {
    case UNIT_MICROSECOND:
        x = t.second * US_PER_SECOND + t.us;
        break;
    case UNIT_MILLISECOND:
        *out = ((double)t.second * 1e6 + t.us) / 1e3;
        return true;
    case UNIT_SECOND:
        *out = ((double)t.second * 1e6 + t.us) / 1e6;
        return true;
    case UNIT_MINUTE:
        x = t.minute;
        break;
    case UNIT_HOUR:
        x = t.hour;
        break;
    case UNIT_EPOCH:
        *out = decimal_to_double((struct decimal){us, 6});
        return true;
    case UNIT_JULIAN:
        *out = (double)(days + JULIAN_DAY_OF_EPOCH) +
               (double)(us - days * US_PER_DAY) / (double)US_PER_DAY;
        return true;
    default:
        if (!extract_day(u, days, &t, &x)) return false;
    }
    *out = (double)x;
    return true;
}

bool interval_extract(const char *unit, size_t unit_len, const struct interval *iv, double *out)
{
    const int64_t minute = 60 * US_PER_SECOND, hour = 60 * minute;
    int64_t years = iv->months / 12, x;
    switch (time_unit_by_name(unit, unit_len)) {
    case UNIT_MICROSECOND:
        x = iv->us % minute;
        break;
    case UNIT_MILLISECOND:
        *out = (double)(iv->us % minute) / 1e3;
        return true;
    case UNIT_SECOND:
        *out = (double)(iv->us % minute) / 1e6;
        return true;
    case UNIT_MINUTE:
        x = iv->us % hour / minute;
        break;
    case UNIT_HOUR:
        x = iv->us / hour;
        break;
    case UNIT_DAY:
        x = iv->days;
        break;
    case UNIT_MONTH:
        x = iv->months % 12;
        break;
    case UNIT_QUARTER:
        x = iv->months % 12 / 3 + 1;
        break;
    case UNIT_YEAR:
        x = years;
        break;
    case UNIT_DECADE:
        x = years / 10;
        break;
    case UNIT_CENTURY:
        x = years / 100;
        break;
    case UNIT_MILLENNIUM:
        x = years / 1000;
        break;
    case UNIT_EPOCH:
        *out = (double)years * 365.25 * 86400 + iv->months % 12 * 30.0 * 86400 +
               iv->days * 86400.0 + (double)iv->us / 1e6;
        return true;
    default:
        return false;
    }
    *out = (double)x;
    return true;
}

/* ---- printing ---- */

static void put_date(const struct civil *t, struct strbuf *out)
{
    int64_t year = t->year > 0 ? t->year : 1 - t->year;
    char text[40];
    size_t n = 0;
    if (year > 9999) {
        strbuf_addf(out, "%lld", (long long)year);
    } else {
        for (int64_t unit = 1000; unit > 0; unit /= 10)
            text[n++] = (char)('0' + year / unit % 10);
    }
    text[n++] = '-';
    text[n++] = (char)('0' + t->month / 10);
    text[n++] = (char)('0' + t->month % 10);
    text[n++] = '-';
    text[n++] = (char)('0' + t->day / 10);
    text[n++] = (char)('0' + t->day % 10);
    strbuf_add(out, text, n);
}

static void put_fraction(int us, struct strbuf *out)
{
    char text[7] = ".";
    size_t n = 7;
    if (us == 0) return;
    for (size_t i = 6; i >= 1; i--, us /= 10)
        text[i] = (char)('0' + us % 10);
    while (text[n - 1] == '0')
        n--;
    strbuf_add(out, text, n);
}

void date_format(int32_t days, struct strbuf *out)
{
    struct civil t;
    if (days == DATE_INFINITY || days == DATE_MINUS_INFINITY) {
        strbuf_adds(out, days > 0 ? "infinity" : "-infinity");
        return;
    }
    civil_from_days(days, &t);
    put_date(&t, out);
    if (t.year <= 0) strbuf_adds(out, " BC");
}

void timestamp_format(int64_t us, struct strbuf *out)
{
    struct civil t;
    if (us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY) {
        strbuf_adds(out, us > 0 ? "infinity" : "-infinity");
        return;
    }
    civil_from_us(us, &t);
    put_date(&t, out);
    char clock[9] = {' ', (char)('0' + t.hour / 10),   (char)('0' + t.hour % 10),
                     ':', (char)('0' + t.minute / 10), (char)('0' + t.minute % 10),
                     ':', (char)('0' + t.second / 10), (char)('0' + t.second % 10)};
    strbuf_add(out, clock, sizeof clock);
    put_fraction(t.us, out);
    if (t.year <= 0) strbuf_adds(out, " BC");
}

void interval_format(const struct interval *iv, struct strbuf *out)
{
    const struct {
        int n;
        const char *name;
    } parts[] = {{iv->months / 12, "year"}, {iv->months % 12, "mon"}, {iv->days, "day"}};
    bool empty = true, after_negative = false;
    for (size_t i = 0; i < 3; i++) {
        int n = parts[i].n;
        if (n == 0) continue;
        strbuf_addf(out, "%s%s%d %s%s", empty ? "" : " ", after_negative && n > 0 ? "+" : "", n,
                    parts[i].name, n != 1 ? "s" : "");
        after_negative = n < 0;
        empty = false;
    }
    if (!empty && iv->us == 0) return;
    uint64_t us = iv->us < 0 ? -(uint64_t)iv->us : (uint64_t)iv->us, seconds = us / 1000000;
    strbuf_addf(out, "%s%s%02llu:%02d:%02d", empty ? "" : " ",
                iv->us < 0 ? "-" : (after_negative ? "+" : ""),
                (unsigned long long)(seconds / 3600), (int)(seconds / 60 % 60),
                (int)(seconds % 60));
    put_fraction((int)(us % 1000000), out);
}
