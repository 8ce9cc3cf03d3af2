/* Cron texts: which minutes of a calendar without a zone do five fields stand for?
 *
 * Fields: minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or JAN-DEC, day of the week
 * 0-7 or SUN-SAT (0 and 7 are Sunday). Each is a list of values, ranges a-b, and steps: a star or
 * a range, a slash, and a number. L as a day of the month is its last, 5L or FRIL as a day of the
 * week the month's last Friday. In their place: @yearly, @annually, @monthly, @weekly, @daily,
 * @midnight, @hourly.
 *
 * When both fields of days are restricted (neither begins with a star), a day fits if either does,
 * as in Vixie cron; else it must fit both. */
#ifndef TESSERA_CRON_H
#define TESSERA_CRON_H
#include "storage/base/ctx.h"
#include "storage/base/types.h"

struct cron { /* a bit for each value that fits */
    uint64_t minutes;
    uint32_t hours, days, months;
    uint8_t weekdays, last_weekdays; /* Sunday is bit 0 */
    bool last_day, either_day;
};

/* ERR_INVALID_PARAMETER: names the field and what it may hold; also when no date ever fits
 * (30 February). */
enum status cron_parse(struct ctx *c, struct text s, struct cron *out);
/* The first time after a local time that fits, and the last one at or before it, in microseconds.
 * Some time within 400 years always does. */
int64_t cron_next(const struct cron *k, int64_t after_local);
int64_t cron_prev(const struct cron *k, int64_t until_local);

#endif
