/* At which instants is a schedule due? */
#include "storage/base/slots.h"
#include "storage/base/datetime.h"
#include "storage/base/zone.h"
#include <assert.h>

#define ORIGIN_2000 (INT64_C(10957) * US_PER_DAY)
#define MIN_EVERY_US (US_PER_SECOND / 10)
#define MAX_EVERY_US (INT64_C(1000) * 366 * US_PER_DAY)

static bool is_cron(const struct slot_rule *r)
{
    return interval_us(&r->every) == 0;
}

static bool is_elapsed(const struct slot_rule *r)
{
    return r->every.months == 0 && r->every.days == 0;
}

/* ---- making a rule ---- */

static bool is_negative(const struct interval *iv)
{
    return iv->months < 0 || iv->days < 0 || iv->us < 0;
}

static enum status parse_every(struct ctx *c, const struct slot_text *text, struct slot_rule *r)
{
    struct text s = text->every;
    TRY(interval_parse(c, s, &r->every));
    if (is_negative(&r->every))
        return fail(c, ERR_INVALID_PARAMETER, "EVERY '%.*s' is negative, or a part of it is",
                    (int)s.len, s.s);
    int64_t every = interval_us(&r->every);
    if (every < MIN_EVERY_US)
        return fail(c, ERR_INVALID_PARAMETER, "EVERY '%.*s' is less than 100 milliseconds",
                    (int)s.len, s.s);
    if (every > MAX_EVERY_US)
        return fail(c, ERR_INVALID_PARAMETER, "EVERY '%.*s' is more than 1000 years", (int)s.len,
                    s.s);
    if (!text->offset.s) return OK;
    s = text->offset;
    TRY(interval_parse(c, s, &r->offset));
    if (is_negative(&r->offset))
        return fail(c, ERR_INVALID_PARAMETER, "OFFSET '%.*s' is negative, or a part of it is",
                    (int)s.len, s.s);
    if (interval_us(&r->offset) >= every)
        return fail(c, ERR_INVALID_PARAMETER, "OFFSET '%.*s' is not less than EVERY '%.*s'",
                    (int)s.len, s.s, (int)text->every.len, text->every.s);
    return OK;
}

static enum status parse_bounds(struct ctx *c, const struct slot_text *text, struct slot_rule *r)
{
    r->has_start = text->start != TIMESTAMP_MINUS_INFINITY;
    r->start = r->has_start ? text->start : ZONE_FIRST_US;
    r->end = text->end < ZONE_LAST_US ? text->end : ZONE_LAST_US;
    if (r->start < ZONE_FIRST_US || r->start > ZONE_LAST_US)
        return fail(c, ERR_INVALID_PARAMETER, "START is not in the years 1 to 9999");
    if (text->end < text->start) return fail(c, ERR_INVALID_PARAMETER, "END is before START");
    return OK;
}

enum status slots_parse(struct ctx *c, const struct slot_text *text, struct slot_rule *out)
{
    struct slot_rule r = {0};
    assert(!text->every.s != !text->cron.s);
    TRY(zone_find(c, text->zone.s ? text->zone : (struct text){"UTC", 3}, &r.zone));
    TRY(parse_bounds(c, text, &r));
    if (text->cron.s) {
        if (text->offset.s) return fail(c, ERR_INVALID_PARAMETER, "OFFSET goes with EVERY alone");
        TRY(cron_parse(c, text->cron, &r.cron));
    } else {
        TRY(parse_every(c, text, &r));
        r.origin = r.has_start ? zone_local(r.zone, r.start) : ORIGIN_2000;
        if (is_elapsed(&r)) {
            r.origin = r.has_start ? r.start : zone_reaches(r.zone, ORIGIN_2000);
            r.origin += interval_us(&r.offset);
            if (r.has_start) r.start = r.origin;
        }
    }
    *out = r;
    return OK;
}

/* ---- EVERY with months or days: slot n by the zone's clock ---- */

static int64_t local_of(const struct slot_rule *r, int64_t n)
{
    int64_t us = us_add_months(r->origin, n * r->every.months + r->offset.months);
    return us + (n * r->every.days + r->offset.days) * US_PER_DAY + n * r->every.us + r->offset.us;
}

/* The instant. A START at a time shown twice may be the second: no slot is before it. */
static int64_t instant_of(const struct slot_rule *r, int64_t n)
{
    int64_t utc = zone_reaches(r->zone, local_of(r, n));
    return r->has_start && n >= 0 && utc < r->start ? r->start : utc;
}

/* The last slot that the clock shows at or before a time. Months differ by days from their mean, so
 * the guess is off by a step or two. */
static int64_t last_shown(const struct slot_rule *r, int64_t local)
{
    const double mean_month_us = 30.436875 * (double)US_PER_DAY;
    double mean =
        r->every.months * mean_month_us + r->every.days * (double)US_PER_DAY + (double)r->every.us;
    int64_t n = (int64_t)((double)(local - r->origin) / mean);
    while (local_of(r, n) > local)
        n--;
    while (local_of(r, n + 1) <= local)
        n++;
    return n;
}

/* ---- the grid, START and END aside ---- */

static int64_t grid_next(const struct slot_rule *r, int64_t after)
{
    if (is_cron(r)) return zone_reaches(r->zone, cron_next(&r->cron, zone_latest(r->zone, after)));
    if (is_elapsed(r))
        return r->origin + (floor_div(after - r->origin, r->every.us) + 1) * r->every.us;
    if (r->has_start && after < r->start) return instant_of(r, 0);
    return instant_of(r, last_shown(r, zone_latest(r->zone, after)) + 1);
}

static int64_t grid_prev(const struct slot_rule *r, int64_t before)
{
    int64_t latest = zone_latest(r->zone, before - 1);
    if (is_cron(r)) return zone_reaches(r->zone, cron_prev(&r->cron, latest));
    if (is_elapsed(r))
        return r->origin + floor_div(before - 1 - r->origin, r->every.us) * r->every.us;
    int64_t n = last_shown(r, latest), utc;
    while ((utc = instant_of(r, n)) >= before)
        n--;
    return utc;
}

bool slot_next(const struct slot_rule *r, int64_t after, int64_t *out)
{
    if (after >= r->end) return false;
    int64_t slot = grid_next(r, after < r->start ? r->start - 1 : after);
    if (slot > r->end) return false;
    *out = slot;
    return true;
}

bool slot_prev(const struct slot_rule *r, int64_t before, int64_t *out)
{
    if (before <= r->start) return false;
    int64_t slot = grid_prev(r, before > r->end ? r->end + 1 : before);
    if (slot < r->start) return false;
    *out = slot;
    return true;
}

int64_t slot_window_start(const struct slot_rule *r, int64_t slot)
{
    return grid_prev(r, slot);
}

int64_t slot_count(const struct slot_rule *r, int64_t after, int64_t before, int64_t most)
{
    int64_t first, last, n = 1;
    if (!slot_next(r, after, &first) || !slot_prev(r, before, &last) || first > last) return 0;
    if (!is_cron(r) && is_elapsed(r)) {
        n = (last - first) / r->every.us + 1;
        return n < most ? n : most;
    }
    for (; n < most && first < last; n++)
        slot_next(r, first, &first);
    return n < most ? n : most;
}
