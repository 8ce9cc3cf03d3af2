/* Slots: the instants at which a schedule is due.
 *
 * A rule is a set of instants, in microseconds since 1970-01-01 00:00 UTC as TIMESTAMP has them. It
 * depends on nothing but its text: not on the clock, on earlier runs, or on when it is asked, so
 * there is no drift, and asking for the next slot again and again gives the same slots as asking
 * back from the future.
 *
 * EVERY with months or days counts on the zone's clock: slot n is START (or 2000-01-01 00:00 of the
 * zone) plus n times the interval plus OFFSET, months first (31 January, then 28 February, then
 * 31 March), then days, then the time of day. EVERY '1 day' OFFSET '3 hours' is at 3 o'clock all
 * the year.
 *
 * EVERY of hours or less counts elapsed time from the instant of that origin: always the same
 * number of seconds apart, which a clock change cannot lose or double. (EVERY '6 hours' is thus
 * at 0, 6, … in winter and at 1, 7, … in summer; CRON '0 0-18/6 * * *' stays on the clock.) '24
 * hours' is elapsed time, '1 day' is not, as in PostgreSQL.
 *
 * CRON is on the zone's clock.
 *
 * A slot at a time that a clock change leaves out is at the next valid instant, and is one with any
 * other slot that is there; a slot at a time that is shown twice is at the first (zone.h).
 *
 * Slots lie in START <= slot <= END, and in the years 1 to 9999. Any thread may use a rule. */
#ifndef TESSERA_SLOTS_H
#define TESSERA_SLOTS_H
#include "storage/base/cron.h"
#include "storage/base/ctx.h"
#include "storage/base/types.h"

struct zone;

/* As a schedule says it. Either every or cron; the others' s is NULL. */
struct slot_text {
    struct text every, offset, cron;
    struct text zone;   /* s NULL: UTC */
    int64_t start, end; /* TIMESTAMP_MINUS_INFINITY and TIMESTAMP_INFINITY: none */
};

struct slot_rule { /* copy it as you like */
    const struct zone *zone;
    struct interval every, offset; /* every: all zero for CRON */
    struct cron cron;
    int64_t start, end; /* no slot is before or after; in the years 1 to 9999 */
    bool has_start;
    int64_t origin; /* where EVERY counts from: a local time, or for hours or less an instant */
};

/* ERR_INVALID_PARAMETER, ERR_DATETIME_FORMAT, ERR_INTERVAL_OVERFLOW: what is wrong with which part,
 * without a position. EVERY is at least 100 ms, of one sign, OFFSET from 0 to less than EVERY. */
enum status slots_parse(struct ctx *c, const struct slot_text *text, struct slot_rule *out);

/* The first slot after an instant; false: there is none. */
bool slot_next(const struct slot_rule *r, int64_t after, int64_t *out);
/* The last slot before an instant; false: there is none. */
bool slot_prev(const struct slot_rule *r, int64_t before, int64_t *out);
/* Where a slot's window begins: the slot before it, START or not. (The window ends at the
 * slot.) */
int64_t slot_window_start(const struct slot_rule *r, int64_t slot);
/* How many slots lie strictly between two instants; stops counting at most. */
int64_t slot_count(const struct slot_rule *r, int64_t after, int64_t before, int64_t most);

#endif
