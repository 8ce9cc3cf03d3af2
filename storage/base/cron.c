/* Which minutes of a calendar without a zone do a cron text's five fields stand for? */
#include "storage/base/cron.h"
#include "storage/base/datetime.h"
#include <ctype.h>
#include <strings.h>

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

enum field_kind { FIELD_MINUTE, FIELD_HOUR, FIELD_DAY, FIELD_MONTH, FIELD_WEEKDAY, N_FIELDS };

static const struct field_info {
    const char *name;
    int lo, hi;
    const char *const *names; /* of lo, lo + 1, … */
    const char *allowed;
} fields[N_FIELDS] = {
    {"minute", 0, 59, NULL, "0-59"},
    {"hour", 0, 23, NULL, "0-23"},
    {"day of the month", 1, 31, NULL, "1-31, or L for the month's last day"},
    {"month", 1, 12, month_names, "1-12 or JAN-DEC"},
    {"day of the week", 0, 7, day_names,
     "0-7 or SUN-SAT (0 and 7 are Sunday), or 5L for the month's last Friday"},
};

/* ---- reading ---- */

struct reader {
    struct ctx *c;
    const struct field_info *field;
    const char *s, *end;       /* the rest of the field */
    const char *item;          /* where the list's item begins */
    uint64_t values, lasts;    /* a bit each; lasts: with an L after them */
    bool last_day, began_star; /* the field begins with a star */
};

static enum status wrong(struct reader *r, const char *what)
{
    const char *comma = memchr(r->item, ',', (size_t)(r->end - r->item));
    int len = (int)((comma ? comma : r->end) - r->item);
    fail(r->c, ERR_INVALID_PARAMETER, "cron field %d (%s): \"%.*s\" %s",
         (int)(r->field - fields) + 1, r->field->name, len, r->item, what);
    return hint(r->c, "Allowed are %s; lists 1,2; ranges 1-5; steps */2 and 1-5/2.",
                r->field->allowed);
}

static bool at_char(struct reader *r, char ch)
{
    if (r->s == r->end || *r->s != ch) return false;
    r->s++;
    return true;
}

static bool at_digit(const struct reader *r)
{
    return r->s < r->end && isdigit((unsigned char)*r->s);
}

static enum status take_digits(struct reader *r, int *out)
{
    int v = 0;
    for (; at_digit(r); r->s++) {
        v = v * 10 + (*r->s - '0');
        if (v > 1000) return wrong(r, "is out of range");
    }
    *out = v;
    return OK;
}

/* A number or a name. */
static enum status take_value(struct reader *r, int *out)
{
    const struct field_info *f = r->field;
    for (int i = 0; f->names && f->names[i]; i++) {
        if (r->end - r->s < 3 || strncasecmp(r->s, f->names[i], 3) != 0) continue;
        r->s += 3;
        *out = f->lo + i;
        return OK;
    }
    if (!at_digit(r)) return wrong(r, "is no value");
    TRY(take_digits(r, out));
    if (*out < f->lo || *out > f->hi) return wrong(r, "is out of range");
    return OK;
}

static bool at_last(struct reader *r)
{
    return at_char(r, 'L') || at_char(r, 'l');
}

/* '*', a, a-b; then a step. Also L and 5L where the field has them. */
static enum status take_item(struct reader *r)
{
    const struct field_info *f = r->field;
    bool weekday = f == &fields[FIELD_WEEKDAY];
    int lo = f->lo, hi = weekday ? 6 : f->hi, step = 1;
    bool many = true;
    if (f == &fields[FIELD_DAY] && at_last(r)) {
        r->last_day = true;
        return OK;
    }
    if (!at_char(r, '*')) {
        TRY(take_value(r, &lo));
        hi = lo;
        many = at_char(r, '-');
        if (many) TRY(take_value(r, &hi));
        if (weekday && hi == 0 && lo > 0) hi = 7; /* FRI-SUN */
        if (hi < lo) return wrong(r, "is a range that runs backward");
        if (!many && weekday && at_last(r)) {
            r->lasts |= UINT64_C(1) << lo;
            return OK;
        }
    }
    if (at_char(r, '/')) {
        if (!many) return wrong(r, "has a step but no range");
        if (!at_digit(r)) return wrong(r, "has no number after the slash");
        TRY(take_digits(r, &step));
        if (step < 1 || step > f->hi) return wrong(r, "has a step out of range");
    }
    for (int v = lo; v <= hi; v += step)
        r->values |= UINT64_C(1) << v;
    return OK;
}

static enum status take_field(struct reader *r)
{
    r->began_star = *r->s == '*';
    do {
        r->item = r->s;
        if (r->s == r->end || *r->s == ',') return wrong(r, "has an empty place in its list");
        TRY(take_item(r));
        if (r->s < r->end && *r->s != ',') return wrong(r, "is not understood");
    } while (at_char(r, ','));
    return OK;
}

static const struct {
    const char *name, *text;
} shorthands[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

static enum status expand(struct ctx *c, struct text *s)
{
    if (s->len == 0 || *s->s != '@') return OK;
    for (size_t i = 0; i < sizeof shorthands / sizeof *shorthands; i++) {
        if ((int64_t)strlen(shorthands[i].name) != s->len ||
            strncasecmp(shorthands[i].name, s->s, (size_t)s->len) != 0)
            continue;
        *s = (struct text){shorthands[i].text, (int64_t)strlen(shorthands[i].text)};
        return OK;
    }
    fail(c, ERR_INVALID_PARAMETER, "cron text \"%.*s\" is not known", (int)s->len, s->s);
    return hint(c, "There are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly.");
}

/* The text's fields, cut at white space; how many there are. */
static int split(struct text s, struct text out[N_FIELDS])
{
    int n = 0;
    const char *at = s.s, *end = s.s + s.len;
    for (;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at == end) return n;
        const char *start = at;
        while (at < end && !isspace((unsigned char)*at))
            at++;
        if (n < N_FIELDS) out[n] = (struct text){start, at - start};
        n++;
    }
}

/* ---- days ---- */

/* A bit for each day of a month that fits, the first at bit 1. */
static uint32_t days_that_fit(const struct cron *k, int64_t year, int month)
{
    int n = days_in_month(year, month);
    int64_t first = days_from_civil(year, month, 1);
    uint32_t fit = 0;
    if (!(k->months >> month & 1)) return 0;
    for (int day = 1; day <= n; day++) {
        int weekday = (int)(((first + day - 1 + 4) % 7 + 7) % 7);
        bool of_month = (k->days >> day & 1) || (k->last_day && day == n);
        bool of_week =
            (k->weekdays >> weekday & 1) || ((k->last_weekdays >> weekday & 1) && day > n - 7);
        if (k->either_day ? of_month || of_week : of_month && of_week) fit |= 1u << day;
    }
    return fit;
}

static bool any_day_fits(const struct cron *k)
{
    for (int64_t month = 0; month < 400 * 12; month++)
        if (days_that_fit(k, 2000 + month / 12, (int)(month % 12) + 1)) return true;
    return false;
}

enum status cron_parse(struct ctx *c, struct text s, struct cron *out)
{
    struct text parts[N_FIELDS];
    struct reader r[N_FIELDS];
    TRY(expand(c, &s));
    int n = split(s, parts);
    if (n != N_FIELDS) {
        fail(c, ERR_INVALID_PARAMETER, "cron text \"%.*s\" has %d field%s instead of five",
             (int)s.len, s.s, n, n == 1 ? "" : "s");
        return hint(c, "Fields are minute, hour, day of the month, month, day of the week.");
    }
    for (int i = 0; i < N_FIELDS; i++) {
        r[i] = (struct reader){.c = c, .field = &fields[i], .s = parts[i].s};
        r[i].end = r[i].s + parts[i].len;
        TRY(take_field(&r[i]));
    }
    struct cron k = {.minutes = r[FIELD_MINUTE].values,
                     .hours = (uint32_t)r[FIELD_HOUR].values,
                     .days = (uint32_t)r[FIELD_DAY].values,
                     .months = (uint32_t)r[FIELD_MONTH].values,
                     .last_day = r[FIELD_DAY].last_day,
                     .either_day = !r[FIELD_DAY].began_star && !r[FIELD_WEEKDAY].began_star};
    uint64_t week = r[FIELD_WEEKDAY].values, lasts = r[FIELD_WEEKDAY].lasts;
    k.weekdays = (uint8_t)((week | week >> 7) & 0x7f); /* 7 is 0 */
    k.last_weekdays = (uint8_t)((lasts | lasts >> 7) & 0x7f);
    if (!any_day_fits(&k))
        return fail(c, ERR_INVALID_PARAMETER, "cron text \"%.*s\" fits no date of any year",
                    (int)s.len, s.s);
    *out = k;
    return OK;
}

/* ---- times ---- */

static int lowest(uint64_t bits)
{
    return __builtin_ctzll(bits);
}

static int highest(uint64_t bits)
{
    return 63 - __builtin_clzll(bits);
}

/* Bits from a place on, and up to one. */
static uint64_t from(uint64_t bits, int at)
{
    return at > 63 ? 0 : bits & ~UINT64_C(0) << at;
}

static uint64_t until(uint64_t bits, int at)
{
    return at < 0 ? 0 : bits & ~UINT64_C(0) >> (63 - at);
}

int64_t cron_next(const struct cron *k, int64_t after_local)
{
    struct civil t;
    civil_from_us(after_local, &t);
    /* The first minute that begins later; 60 and 24 are of the next hour and day. */
    t.minute++;
    t.second = t.us = 0;
    uint64_t days = from(days_that_fit(k, t.year, t.month), t.day);
    if (days >> t.day & 1) {
        bool this_hour = k->hours >> t.hour & 1 && from(k->minutes, t.minute);
        uint64_t hours = from(k->hours, this_hour ? t.hour : t.hour + 1);
        if (hours) {
            t.hour = lowest(hours);
            t.minute = lowest(this_hour ? from(k->minutes, t.minute) : k->minutes);
            return us_from_civil(&t);
        }
        days = from(days, t.day + 1);
    }
    while (!days) {
        t.year += t.month == 12;
        t.month = t.month % 12 + 1;
        days = days_that_fit(k, t.year, t.month);
    }
    t.day = lowest(days);
    t.hour = lowest(k->hours);
    t.minute = lowest(k->minutes);
    return us_from_civil(&t);
}

int64_t cron_prev(const struct cron *k, int64_t until_local)
{
    struct civil t;
    civil_from_us(until_local, &t);
    t.second = t.us = 0;
    uint64_t days = until(days_that_fit(k, t.year, t.month), t.day);
    if (days >> t.day & 1) {
        bool this_hour = k->hours >> t.hour & 1 && until(k->minutes, t.minute);
        uint64_t hours = until(k->hours, this_hour ? t.hour : t.hour - 1);
        if (hours) {
            t.hour = highest(hours);
            t.minute = highest(this_hour ? until(k->minutes, t.minute) : k->minutes);
            return us_from_civil(&t);
        }
        days = until(days, t.day - 1);
    }
    while (!days) {
        t.year -= t.month == 1;
        t.month = t.month == 1 ? 12 : t.month - 1;
        days = days_that_fit(k, t.year, t.month);
    }
    t.day = highest(days);
    t.hour = highest(k->hours);
    t.minute = highest(k->minutes);
    return us_from_civil(&t);
}
