/* Which date, time or interval does a text mean?
 *
 * Dates and times are read in pieces, in any order that cannot be misread: a date in digits with
 * its year first, or with its month as a word; a clock; a zone; words. */
#include "storage/base/datetime.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#define JULIAN_DAY_OF_EPOCH 2440588
#define FIRST_DAY (-2440588)   /* 4714-11-24 BC, Julian day 0 */
#define LAST_DATE_YEAR 5874897 /* PostgreSQL's */
#define US_PER_HOUR (3600 * US_PER_SECOND)

__extension__ typedef __int128 i128;

struct cursor {
    const char *s, *end;
};

/* What has been read so far. */
struct moment {
    bool have_date, have_time, have_zone, bc;
    int64_t days; /* when the date came as a Julian day or a word */
    bool days_known;
    int64_t year, month, day; /* 0 months, days: not yet */
    bool have_year, two_digits;
    int64_t time_us, zone_us; /* zone: east is positive */
    int infinite;             /* -1, 1: an infinity */
    int half;                 /* 1: AM, 2: PM */
};

enum parse { PARSE_OK, PARSE_SYNTAX, PARSE_RANGE };

static bool at_digit(const struct cursor *p)
{
    return p->s < p->end && isdigit((unsigned char)*p->s);
}

/* A run of at most 9 digits; how many, 0 when there is none or too many. */
static int read_digits(struct cursor *p, int64_t *out)
{
    int n = 0;
    int64_t x = 0;
    while (at_digit(p)) {
        if (n++ == 9) return 0;
        x = x * 10 + (*p->s++ - '0');
    }
    *out = x;
    return n;
}

static bool take(struct cursor *p, char ch)
{
    if (p->s < p->end && *p->s == ch) {
        p->s++;
        return true;
    }
    return false;
}

/* The digits after a decimal point as microseconds, rounded. */
static int64_t read_fraction(struct cursor *p)
{
    int64_t us = 0, unit = 100000;
    bool round_up = false, first_beyond = true;
    for (; at_digit(p); p->s++) {
        int digit = *p->s - '0';
        if (unit > 0) {
            us += digit * unit;
            unit /= 10;
        } else {
            if (first_beyond) round_up = digit >= 5;
            first_beyond = false;
        }
    }
    return us + round_up;
}

static int month_by_name(const char *s, size_t n)
{
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    for (int m = 0; m < 12; m++) {
        bool whole = n == strlen(names[m]) || n == 3 || (m == 8 && n == 4);
        if (whole && strncasecmp(names[m], s, n) == 0) return m + 1;
    }
    return 0;
}

static bool is_weekday(const char *s, size_t n)
{
    static const char *const names[] = {"monday", "tuesday",  "wednesday", "thursday",
                                        "friday", "saturday", "sunday"};
    for (int d = 0; d < 7; d++) {
        if (n >= 3 && n <= strlen(names[d]) && strncasecmp(names[d], s, n) == 0) return true;
    }
    return false;
}

static bool word_is(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

/* ---- pieces ---- */

/* hh:mm[:ss[.ffffff]]; the hour has been read. */
static enum parse read_clock(struct cursor *p, int64_t hour, struct moment *m)
{
    int64_t minute, second = 0, us = 0;
    if (m->have_time) return PARSE_SYNTAX;
    if (read_digits(p, &minute) == 0) return PARSE_SYNTAX;
    if (take(p, ':')) {
        if (read_digits(p, &second) == 0) return PARSE_SYNTAX;
        if (take(p, '.')) us = read_fraction(p);
    }
    if (hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute || second || us)))
        return PARSE_RANGE;
    m->have_time = true;
    m->time_us = (hour * 3600 + minute * 60 + second) * US_PER_SECOND + us;
    return PARSE_OK;
}

/* hhmm or hhmmss[.ffffff] after a T or a date. */
static enum parse clock_from_digits(struct cursor *p, int64_t x, int n, struct moment *m)
{
    int64_t hour = n == 2 ? x : (n == 4 ? x / 100 : x / 10000);
    int64_t minute = n == 2 ? 0 : (n == 4 ? x % 100 : x / 100 % 100);
    int64_t second = n == 6 ? x % 100 : 0, us = 0;
    if ((n != 2 && n != 4 && n != 6) || m->have_time) return PARSE_SYNTAX;
    if (n == 6 && take(p, '.')) us = read_fraction(p);
    if (hour > 24 || minute > 59 || second > 60 || (hour == 24 && (minute || second || us)))
        return PARSE_RANGE;
    m->have_time = true;
    m->time_us = (hour * 3600 + minute * 60 + second) * US_PER_SECOND + us;
    return PARSE_OK;
}

static void set_year(struct moment *m, int64_t year, int n_digits)
{
    m->year = year;
    m->have_year = true;
    m->two_digits = n_digits <= 2;
}

/* The date's second and third part, after a first number and a separator. */
static enum parse read_date_rest(struct cursor *p, int64_t first, int n, char separator,
                                 struct moment *m)
{
    int64_t third;
    int n_third;
    if (m->have_date) return PARSE_SYNTAX;
    if (p->s < p->end && isalpha((unsigned char)*p->s)) { /* 08-Jan-1999, 1999-Jan-08 */
        const char *start = p->s;
        while (p->s < p->end && isalpha((unsigned char)*p->s))
            p->s++;
        m->month = month_by_name(start, (size_t)(p->s - start));
        if (m->month == 0 || !take(p, separator)) return PARSE_SYNTAX;
        if ((n_third = read_digits(p, &third)) == 0) return PARSE_SYNTAX;
        m->day = n >= 3 ? third : first;
        set_year(m, n >= 3 ? first : third, n >= 3 ? n : n_third);
    } else { /* 1999-01-08 */
        int64_t month;
        if (n < 3) return PARSE_SYNTAX;
        if (read_digits(p, &month) == 0) return PARSE_SYNTAX;
        if (!take(p, separator)) return PARSE_SYNTAX;
        if (read_digits(p, &third) == 0) return PARSE_SYNTAX;
        m->month = month;
        m->day = third;
        set_year(m, first, n);
        if (m->month == 0 || m->day == 0) return PARSE_RANGE;
    }
    m->have_date = true;
    return PARSE_OK;
}

static enum parse read_number(struct cursor *p, bool after_t, struct moment *m)
{
    int64_t x;
    int n = read_digits(p, &x);
    if (n == 0) return PARSE_SYNTAX;
    if (take(p, ':')) return read_clock(p, x, m);
    bool date_done = m->have_date || m->days_known;
    if (after_t) return clock_from_digits(p, x, n, m);
    if (!date_done && m->month == 0 && p->s < p->end &&
        (*p->s == '-' || *p->s == '/' || *p->s == '.')) {
        char separator = *p->s++;
        return read_date_rest(p, x, n, separator, m);
    }
    if (!date_done && n == 8 && m->month == 0) {
        m->day = x % 100;
        m->month = x / 100 % 100;
        set_year(m, x / 10000, 4);
        m->have_date = true;
        return m->month == 0 || m->day == 0 ? PARSE_RANGE : PARSE_OK;
    }
    if (date_done) return n == 6 || n == 4 ? clock_from_digits(p, x, n, m) : PARSE_SYNTAX;
    if (n >= 3 && !m->have_year) /* January 8, 1999 */
        set_year(m, x, n);
    else if (n <= 2 && m->day == 0)
        m->day = x;
    else if (n <= 2 && !m->have_year)
        set_year(m, x, n);
    else
        return PARSE_SYNTAX;
    m->have_date = m->have_year && m->month && m->day;
    return PARSE_OK;
}

/* +hh, +hh:mm, +hhmm, +hh:mm:ss */
static enum parse read_zone(struct cursor *p, struct moment *m)
{
    bool west = *p->s++ == '-';
    int64_t x, minute = 0, second = 0;
    int n = read_digits(p, &x);
    if (n == 0 || m->have_zone) return PARSE_SYNTAX;
    int64_t hour = n <= 2 ? x : (n <= 4 ? x / 100 : x / 10000);
    if (n > 4) second = x % 100;
    if (n > 2) minute = n <= 4 ? x % 100 : x / 100 % 100;
    if (n <= 2 && take(p, ':')) {
        if (read_digits(p, &minute) == 0) return PARSE_SYNTAX;
        if (take(p, ':') && read_digits(p, &second) == 0) return PARSE_SYNTAX;
    }
    if (hour > 15 || minute > 59 || second > 59) return PARSE_RANGE;
    m->zone_us = (hour * 3600 + minute * 60 + second) * US_PER_SECOND * (west ? -1 : 1);
    m->have_zone = true;
    return PARSE_OK;
}

static enum parse today_plus(struct moment *m, int64_t days)
{
    int64_t now = wall_us();
    m->days = now / US_PER_DAY + days;
    m->days_known = m->have_date = true;
    return PARSE_OK;
}

static enum parse read_word(struct cursor *p, struct moment *m)
{
    const char *s = p->s;
    while (p->s < p->end && isalpha((unsigned char)*p->s))
        p->s++;
    size_t n = (size_t)(p->s - s);
    int month = month_by_name(s, n);
    if (month) {
        if (m->month) return PARSE_SYNTAX;
        m->month = month;
        m->have_date = m->have_year && m->day;
        return PARSE_OK;
    }
    if (is_weekday(s, n)) return PARSE_OK;
    if (word_is(s, n, "ad") || word_is(s, n, "bc")) {
        m->bc = word_is(s, n, "bc");
        return PARSE_OK;
    }
    if (word_is(s, n, "am") || word_is(s, n, "pm")) {
        m->half = word_is(s, n, "am") ? 1 : 2;
        return PARSE_OK;
    }
    if (word_is(s, n, "z") || word_is(s, n, "utc") || word_is(s, n, "gmt") ||
        word_is(s, n, "zulu")) {
        if (m->have_zone) return PARSE_SYNTAX;
        m->have_zone = p->s == p->end || (*p->s != '+' && *p->s != '-');
        return PARSE_OK;
    }
    if (word_is(s, n, "j") && at_digit(p) && !m->have_date) {
        int64_t julian;
        if (read_digits(p, &julian) == 0) return PARSE_SYNTAX;
        m->days = julian - JULIAN_DAY_OF_EPOCH;
        m->days_known = m->have_date = true;
        return PARSE_OK;
    }
    if (m->have_date) return PARSE_SYNTAX;
    if (word_is(s, n, "today")) return today_plus(m, 0);
    if (word_is(s, n, "tomorrow")) return today_plus(m, 1);
    if (word_is(s, n, "yesterday")) return today_plus(m, -1);
    if (word_is(s, n, "now")) {
        m->time_us = wall_us() % US_PER_DAY;
        m->have_time = true;
        return today_plus(m, 0);
    }
    if (word_is(s, n, "epoch")) {
        m->days_known = m->have_date = true;
        return PARSE_OK;
    }
    if (word_is(s, n, "infinity")) {
        m->infinite = m->infinite ? m->infinite : 1;
        m->have_date = true;
        return PARSE_OK;
    }
    return PARSE_SYNTAX;
}

/* ---- dates and timestamps ---- */

static enum parse finish_date(struct moment *m)
{
    if (m->infinite) return PARSE_OK;
    if (!m->have_date) return PARSE_SYNTAX;
    if (m->half) {
        int64_t hour = m->time_us / US_PER_HOUR;
        if (!m->have_time || hour > 12) return PARSE_RANGE;
        if (m->half == 1 && hour == 12) m->time_us -= 12 * US_PER_HOUR;
        if (m->half == 2 && hour != 12) m->time_us += 12 * US_PER_HOUR;
    }
    if (m->days_known) return m->bc ? PARSE_SYNTAX : PARSE_OK;
    if (m->two_digits && !m->bc) m->year += m->year < 70 ? 2000 : 1900;
    if (m->year == 0 || m->month < 1 || m->month > 12 || m->year > LAST_DATE_YEAR)
        return PARSE_RANGE;
    if (m->bc) m->year = 1 - m->year;
    if (m->day < 1 || m->day > days_in_month(m->year, (int)m->month)) return PARSE_RANGE;
    m->days = days_from_civil(m->year, (int)m->month, (int)m->day);
    return m->days < FIRST_DAY ? PARSE_RANGE : PARSE_OK;
}

static enum parse read_moment(struct text s, struct moment *m)
{
    struct cursor p = {s.s, s.s + s.len};
    *m = (struct moment){0};
    bool some = false;
    while (p.s < p.end) {
        enum parse r;
        char ch = *p.s;
        bool date_done = m->have_date;
        if (isspace((unsigned char)ch) || ch == ',') {
            p.s++;
            continue;
        }
        if ((ch == 'T' || ch == 't') && date_done && p.s + 1 < p.end &&
            isdigit((unsigned char)p.s[1])) {
            p.s++;
            r = read_number(&p, true, m);
        } else if (isdigit((unsigned char)ch)) {
            r = read_number(&p, false, m);
        } else if (isalpha((unsigned char)ch)) {
            r = read_word(&p, m);
        } else if (ch == '-' && !some && p.s + 1 < p.end && isalpha((unsigned char)p.s[1])) {
            m->infinite = -1;
            p.s++;
            r = read_word(&p, m);
            if (!m->have_date || m->month) r = PARSE_SYNTAX;
        } else if ((ch == '-' || ch == '+') && m->have_time) {
            r = read_zone(&p, m);
        } else if (ch == '-' && m->month && !m->have_date) { /* Jan-08-1999 */
            p.s++;
            continue;
        } else {
            return PARSE_SYNTAX;
        }
        if (r != PARSE_OK) return r;
        some = true;
    }
    return finish_date(m);
}

/* YYYY-MM-DD: what nearly every file has. */
static bool iso_date(const char *s, int64_t *days)
{
    static const uint8_t at[] = {0, 1, 2, 3, 5, 6, 8, 9};
    int d[8];
    for (int i = 0; i < 8; i++) {
        d[i] = s[at[i]] - '0';
        if ((unsigned)d[i] > 9) return false;
    }
    if (s[4] != '-' || s[7] != '-') return false;
    int year = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3];
    int month = d[4] * 10 + d[5], day = d[6] * 10 + d[7];
    if (year == 0 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* YYYY-MM-DD HH:MM:SS[.ffffff], with a T or a blank between, and perhaps a Z. */
static bool iso_timestamp(const char *s, int64_t len, int64_t *us)
{
    static const uint8_t at[] = {11, 12, 14, 15, 17, 18};
    int64_t days;
    int d[6];
    if (len < 19 || (s[10] != ' ' && s[10] != 'T') || !iso_date(s, &days)) return false;
    for (int i = 0; i < 6; i++) {
        d[i] = s[at[i]] - '0';
        if ((unsigned)d[i] > 9) return false;
    }
    int hour = d[0] * 10 + d[1], minute = d[2] * 10 + d[3], second = d[4] * 10 + d[5];
    if (s[13] != ':' || s[16] != ':' || hour > 23 || minute > 59 || second > 59) return false;
    struct cursor p = {s + 19, s + len};
    int64_t fraction = take(&p, '.') ? read_fraction(&p) : 0;
    take(&p, 'Z');
    *us = days * US_PER_DAY + (hour * 3600 + minute * 60 + second) * US_PER_SECOND + fraction;
    return p.s == p.end;
}

static enum status complain(struct ctx *c, enum parse r, const char *type, struct text s)
{
    int n = (int)(s.len > 200 ? 200 : s.len);
    if (r == PARSE_RANGE)
        return fail(c, ERR_DATETIME_OVERFLOW, "date/time field value out of range: \"%.*s\"", n,
                    s.s);
    return fail(c, ERR_DATETIME_FORMAT, "invalid input syntax for type %s: \"%.*s\"", type, n, s.s);
}

enum status date_parse(struct ctx *c, struct text s, int32_t *out)
{
    struct moment m;
    if (s.len == 10 && iso_date(s.s, &m.days)) {
        *out = (int32_t)m.days;
        return OK;
    }
    enum parse r = read_moment(s, &m);
    if (r != PARSE_OK) return complain(c, r, "date", s);
    if (m.infinite)
        *out = m.infinite > 0 ? DATE_INFINITY : DATE_MINUS_INFINITY;
    else
        *out = (int32_t)m.days;
    return OK;
}

enum status timestamp_parse(struct ctx *c, struct text s, int64_t *out)
{
    struct moment m;
    int64_t us;
    if (s.len == 10 && iso_date(s.s, &m.days)) {
        *out = m.days * US_PER_DAY;
        return OK;
    }
    if (iso_timestamp(s.s, s.len, &us)) {
        *out = us;
        return OK;
    }
    enum parse r = read_moment(s, &m);
    if (r != PARSE_OK) return complain(c, r, "timestamp", s);
    if (m.infinite) {
        *out = m.infinite > 0 ? TIMESTAMP_INFINITY : TIMESTAMP_MINUS_INFINITY;
        return OK;
    }
    if (__builtin_mul_overflow(m.days, US_PER_DAY, &us) ||
        __builtin_add_overflow(us, m.time_us, &us) || __builtin_sub_overflow(us, m.zone_us, &us))
        return fail(c, ERR_DATETIME_OVERFLOW, "timestamp out of range: \"%.*s\"",
                    (int)(s.len > 200 ? 200 : s.len), s.s);
    *out = us;
    return OK;
}

/* ---- intervals ---- */

/* Sums in double and whole parts apart, so that '1.5 days' is a day and twelve hours. */
struct span {
    double months, days;
    double us; /* rounded at the end; clocks go to us_exact */
    i128 us_exact;
};

static bool span_add(struct span *v, enum time_unit unit, double whole, double fraction)
{
    double months = 0, days = 0;
    switch (unit) {
    case UNIT_MICROSECOND:
        v->us += whole + fraction;
        return true;
    case UNIT_MILLISECOND:
        v->us += (whole + fraction) * 1e3;
        return true;
    case UNIT_SECOND:
        v->us_exact += (i128)whole * 1000000;
        v->us += fraction * 1e6;
        return true;
    case UNIT_MINUTE:
        v->us_exact += (i128)whole * 60000000;
        v->us += fraction * 6e7;
        return true;
    case UNIT_HOUR:
        v->us_exact += (i128)whole * US_PER_HOUR;
        v->us += fraction * (double)US_PER_HOUR;
        return true;
    case UNIT_DAY:
        v->days += whole;
        v->us += fraction * (double)US_PER_DAY;
        return true;
    case UNIT_WEEK:
        v->days += whole * 7;
        days = fraction * 7;
        break;
    case UNIT_MONTH:
        v->months += whole;
        days = fraction * 30;
        break;
    case UNIT_YEAR:
        v->months += whole * 12;
        months = rint(fraction * 12);
        break;
    case UNIT_DECADE:
        v->months += whole * 120;
        months = rint(fraction * 120);
        break;
    case UNIT_CENTURY:
        v->months += whole * 1200;
        months = rint(fraction * 1200);
        break;
    case UNIT_MILLENNIUM:
        v->months += whole * 12000;
        months = rint(fraction * 12000);
        break;
    default:
        return false;
    }
    v->months += trunc(months);
    days += (months - trunc(months)) * 30;
    v->days += trunc(days);
    v->us += (days - trunc(days)) * (double)US_PER_DAY;
    return true;
}

/* [sign]digits[.digits]; whole and fraction bear the sign. */
static bool read_signed(struct cursor *p, double *whole, double *fraction)
{
    bool negative = p->s < p->end && *p->s == '-';
    if (p->s < p->end && (*p->s == '-' || *p->s == '+')) p->s++;
    double w = 0, f = 0, unit = 1;
    const char *start = p->s;
    for (; at_digit(p); p->s++)
        w = w * 10 + (*p->s - '0');
    bool some = p->s > start;
    if (take(p, '.')) {
        double digits = 0;
        for (; at_digit(p); p->s++, some = true) {
            if (unit >= 1e15) continue;
            digits = digits * 10 + (*p->s - '0');
            unit *= 10;
        }
        f = digits / unit;
    }
    if (!some || w > 1e15) return false;
    *whole = negative ? -w : w;
    *fraction = negative ? -f : f;
    return true;
}

/* P1Y2M3DT4H5M6.5S; the P has been read. */
static bool read_iso_interval(struct cursor *p, struct span *v)
{
    bool in_time = false, some = false;
    while (p->s < p->end) {
        double whole, fraction;
        if (!in_time && (take(p, 'T') || take(p, 't'))) {
            in_time = true;
            continue;
        }
        if (!read_signed(p, &whole, &fraction) || p->s == p->end) return false;
        char letter = (char)toupper((unsigned char)*p->s++);
        static const char date_letters[] = "YMWD", time_letters[] = "HMS";
        static const enum time_unit date_units[] = {UNIT_YEAR, UNIT_MONTH, UNIT_WEEK, UNIT_DAY},
                                    time_units[] = {UNIT_HOUR, UNIT_MINUTE, UNIT_SECOND};
        const char *letters = in_time ? time_letters : date_letters;
        const char *found = strchr(letters, letter);
        if (!found || !letter) return false;
        span_add(v, (in_time ? time_units : date_units)[found - letters], whole, fraction);
        some = true;
    }
    return some;
}

/* [sign]hh:mm[:ss[.ffffff]], or mm:ss.ffffff; the first number has been read. */
static bool read_span_clock(struct cursor *p, double first, bool negative, struct span *v)
{
    int64_t minute, second = 0, us = 0;
    if (read_digits(p, &minute) == 0) return false;
    i128 sum;
    if (take(p, '.')) {
        us = read_fraction(p);
        sum = ((i128)fabs(first) * 60 + minute) * US_PER_SECOND + us;
        if (minute > 59) return false;
    } else {
        if (take(p, ':')) {
            if (read_digits(p, &second) == 0) return false;
            if (take(p, '.')) us = read_fraction(p);
        }
        if (minute > 59 || second > 60) return false;
        sum = ((i128)fabs(first) * 3600 + minute * 60 + second) * US_PER_SECOND + us;
    }
    v->us_exact += negative ? -sum : sum;
    return true;
}

/* One number with what follows it: a clock, years-months, or a unit. */
static bool read_term(struct cursor *p, struct span *v)
{
    double whole, fraction;
    bool negative = *p->s == '-';
    if (!read_signed(p, &whole, &fraction)) return false;
    if (take(p, ':')) return fraction == 0 && read_span_clock(p, whole, negative, v);
    if (p->s < p->end && *p->s == '-' && p->s + 1 < p->end && isdigit((unsigned char)p->s[1])) {
        int64_t months;
        p->s++;
        if (read_digits(p, &months) == 0 || months > 11 || fraction != 0) return false;
        v->months += whole * 12 + (negative ? -(double)months : (double)months);
        return true;
    }
    while (p->s < p->end && isspace((unsigned char)*p->s))
        p->s++;
    char name[16];
    size_t n = 0;
    while (p->s < p->end && isalpha((unsigned char)*p->s)) {
        if (n == sizeof name) return false;
        name[n++] = (char)tolower((unsigned char)*p->s++);
    }
    if (n == 0) { /* '1 2:03:04' counts days, a bare last number seconds */
        bool clock_follows = p->s < p->end && memchr(p->s, ':', (size_t)(p->end - p->s));
        return span_add(v, clock_follows ? UNIT_DAY : UNIT_SECOND, whole, fraction);
    }
    return span_add(v, time_unit_by_name(name, n), whole, fraction);
}

static bool read_span(struct text s, struct span *v)
{
    struct cursor p = {s.s, s.s + s.len};
    bool some = false;
    while (p.s < p.end && isspace((unsigned char)*p.s))
        p.s++;
    if (take(&p, 'P') || take(&p, 'p')) return read_iso_interval(&p, v);
    while (p.s < p.end) {
        if (isspace((unsigned char)*p.s) || *p.s == '@') {
            p.s++;
        } else if (some && p.end - p.s >= 3 && word_is(p.s, 3, "ago")) {
            *v = (struct span){-v->months, -v->days, -v->us, -v->us_exact};
            p.s += 3;
            while (p.s < p.end && isspace((unsigned char)*p.s))
                p.s++;
            return p.s == p.end;
        } else {
            if (!read_term(&p, v)) return false;
            some = true;
        }
    }
    return some;
}

enum status interval_parse(struct ctx *c, struct text s, struct interval *out)
{
    struct span v = {0};
    int n = (int)(s.len > 200 ? 200 : s.len);
    if (!read_span(s, &v))
        return fail(c, ERR_DATETIME_FORMAT, "invalid input syntax for type interval: \"%.*s\"", n,
                    s.s);
    if (fabs(v.us) < 1e30) v.us_exact += (i128)rint(v.us);
    if (!(fabs(v.months) <= INT32_MAX && fabs(v.days) <= INT32_MAX && fabs(v.us) < 1e30) ||
        v.us_exact > INT64_MAX || v.us_exact < -(i128)INT64_MAX)
        return fail(c, ERR_INTERVAL_OVERFLOW, "interval field value out of range: \"%.*s\"", n,
                    s.s);
    *out = (struct interval){
        .us = (int64_t)v.us_exact, .days = (int32_t)v.days, .months = (int32_t)v.months};
    return OK;
}

/* ---- CF conventions ---- */

/* "1900-1-1 0:0:0.0 -6:00" and the like; year 0 is a year. */
static bool read_cf_origin(struct cursor *p, int64_t *origin_us)
{
    struct civil t = {0};
    int64_t year, month, day, x;
    struct moment m = {0};
    bool negative = take(p, '-');
    if (read_digits(p, &year) == 0 || !take(p, '-')) return false;
    if (read_digits(p, &month) == 0 || !take(p, '-') || read_digits(p, &day) == 0) return false;
    t.year = negative ? -year : year;
    if (month < 1 || month > 12 || year > 290000) return false;
    t.month = (int)month;
    if (day < 1 || day > days_in_month(t.year, t.month)) return false;
    t.day = (int)day;
    if (p->s < p->end && (*p->s == 'T' || *p->s == 't')) p->s++;
    while (p->s < p->end) {
        char ch = *p->s;
        enum parse r = PARSE_OK;
        if (isspace((unsigned char)ch)) {
            p->s++;
        } else if (isdigit((unsigned char)ch) && !m.have_time) {
            if (read_digits(p, &x) == 0) return false;
            if (take(p, ':')) {
                r = read_clock(p, x, &m);
            } else {
                m.time_us = x * US_PER_HOUR;
                m.have_time = x < 24;
                if (!m.have_time) return false;
            }
        } else if ((ch == '-' || ch == '+') && m.have_time) {
            r = read_zone(p, &m);
        } else if (isalpha((unsigned char)ch)) {
            const char *start = p->s;
            while (p->s < p->end && isalpha((unsigned char)*p->s))
                p->s++;
            size_t n = (size_t)(p->s - start);
            if (!word_is(start, n, "z") && !word_is(start, n, "utc") && !word_is(start, n, "gmt"))
                return false;
        } else {
            return false;
        }
        if (r != PARSE_OK) return false;
    }
    *origin_us = us_from_civil(&t) + m.time_us - m.zone_us;
    return true;
}

bool cf_time_units(const char *text, double *unit_us, int64_t *origin_us)
{
    struct cursor p = {text, text + strlen(text)};
    char name[16];
    size_t n = 0;
    while (p.s < p.end && isspace((unsigned char)*p.s))
        p.s++;
    while (p.s < p.end && isalpha((unsigned char)*p.s)) {
        if (n == sizeof name) return false;
        name[n++] = (char)tolower((unsigned char)*p.s++);
    }
    const char *since = p.s;
    while (since < p.end && isspace((unsigned char)*since))
        since++;
    if (p.end - since < 6 || strncasecmp(since, "since", 5) != 0 ||
        !isspace((unsigned char)since[5]))
        return false;
    p.s = since + 5;
    while (p.s < p.end && isspace((unsigned char)*p.s))
        p.s++;
    double us;
    switch (time_unit_by_name(name, n)) {
    case UNIT_MICROSECOND:
        us = 1;
        break;
    case UNIT_MILLISECOND:
        us = 1e3;
        break;
    case UNIT_SECOND:
        us = 1e6;
        break;
    case UNIT_MINUTE:
        us = 6e7;
        break;
    case UNIT_HOUR:
        us = (double)US_PER_HOUR;
        break;
    case UNIT_DAY:
        us = (double)US_PER_DAY;
        break;
    case UNIT_WEEK:
        us = 7 * (double)US_PER_DAY;
        break;
    default:
        if (n < 10 || n > 11 || memcmp(name, "nanoseconds", n) != 0) return false;
        us = 1e-3;
        break;
    }
    int64_t origin;
    if (!read_cf_origin(&p, &origin)) return false;
    *unit_us = us;
    *origin_us = origin;
    return true;
}
