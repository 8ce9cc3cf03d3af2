/* Calendar arithmetic: proleptic Gregorian, UTC. Days and microseconds count from 1970-01-01. */
#ifndef TESSERA_DATETIME_H
#define TESSERA_DATETIME_H
#include "storage/base/ctx.h"
#include "storage/base/strbuf.h"
#include "storage/base/types.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)
#define DATE_INFINITY INT32_MAX
#define DATE_MINUS_INFINITY INT32_MIN
#define TIMESTAMP_INFINITY INT64_MAX
#define TIMESTAMP_MINUS_INFINITY INT64_MIN

enum time_unit {
    UNIT_NONE,
    UNIT_MICROSECOND,
    UNIT_MILLISECOND,
    UNIT_SECOND,
    UNIT_MINUTE,
    UNIT_HOUR,
    UNIT_DAY,
    UNIT_WEEK,
    UNIT_MONTH,
    UNIT_QUARTER,
    UNIT_YEAR,
    UNIT_DECADE,
    UNIT_CENTURY,
    UNIT_MILLENNIUM,
    UNIT_DOW,
    UNIT_ISODOW,
    UNIT_DOY,
    UNIT_ISOYEAR,
    UNIT_EPOCH,
    UNIT_JULIAN
};
/* By PostgreSQL's names in lower case, plurals and abbreviations included. */
enum time_unit time_unit_by_name(const char *s, size_t len);

static inline int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

struct civil {
    int64_t year;   /* astronomical: 0 is 1 BC */
    int month, day; /* from 1 */
    int hour, minute, second, us;
};

int64_t days_from_civil(int64_t year, int month, int day);
void civil_from_days(int64_t days, struct civil *out); /* the date fields; the rest is 0 */
void civil_from_us(int64_t us, struct civil *out);
int64_t us_from_civil(const struct civil *t);
int days_in_month(int64_t year, int month);
/* Adds whole months; the day is cut to the month's last, as PostgreSQL does. */
int64_t days_add_months(int64_t days, int64_t months);
int64_t us_add_months(int64_t us, int64_t months); /* cut to what 64 bits hold */
/* Months, then days, then microseconds. ERR_DATETIME_OVERFLOW. */
enum status timestamp_add(struct ctx *c, int64_t us, const struct interval *iv, int64_t *out);
/* PostgreSQL's comparison value: months as 30 days, days as 24 hours, in microseconds (fits 128
 * bits; clamped). */
int64_t interval_us(const struct interval *iv);

/* ISO and PostgreSQL's other unambiguous forms; a time zone is applied, the result is UTC.
 * ERR_DATETIME_FORMAT, ERR_DATETIME_OVERFLOW. */
enum status date_parse(struct ctx *c, struct text s, int32_t *out);
enum status timestamp_parse(struct ctx *c, struct text s, int64_t *out);
/* '1 year 2 months', '1 day', '90 min', 'P1Y2M', '01:30:00', '1 day ago', PostgreSQL's forms.
 * ERR_DATETIME_FORMAT, ERR_INTERVAL_OVERFLOW. */
enum status interval_parse(struct ctx *c, struct text s, struct interval *out);
void date_format(int32_t days, struct strbuf *out);
void timestamp_format(int64_t us, struct strbuf *out);
void interval_format(const struct interval *iv, struct strbuf *out);

/* PostgreSQL's date_trunc; unit is lower case ('month', 'week', …). false: no such unit. */
bool timestamp_trunc(const char *unit, size_t unit_len, int64_t us, int64_t *out);
/* PostgreSQL's extract as a double (year, month, day, hour, minute, second, dow, isodow, doy, week,
 * isoyear, quarter, epoch, decade, century, millennium, microseconds, milliseconds, julian). false:
 * no such unit. */
bool timestamp_extract(const char *unit, size_t unit_len, int64_t us, double *out);
bool interval_extract(const char *unit, size_t unit_len, const struct interval *iv, double *out);
/* "hours since 1900-01-01 00:00:00", "days since …" (CF conventions): microseconds a unit (or
 * months, when nonzero) and the origin. false when the text is none, or the calendar's units are
 * not fixed. */
bool cf_time_units(const char *text, double *unit_us, int64_t *origin_us);

#endif
