/* What changes of a clock does a TZif file (RFC 8536) list, and which does its footer foretell? */
#include "storage/base/datetime.h"
#include "storage/base/zone_internal.h"
#include <ctype.h>
#include <endian.h>
#include <stdlib.h>

enum { HEADER_BYTES = 44, MAX_CHANGES = 100000 };
static const int64_t BIG_BANG = -(INT64_C(1) << 40); /* seconds; files list one before it */

static enum status corrupt(struct ctx *c, const char *name, const char *what)
{
    return fail(c, ERR_CORRUPT, "time zone file \"%s\" is damaged: %s", name, what);
}

void zone_free(struct zone *z)
{
    if (!z) return;
    free(z->name);
    free(z->changes);
    free(z->offsets);
    free(z);
}

static void *must_alloc(void *p)
{
    if (!p) abort();
    return p;
}

/* ---- the footer: a rule in the form of POSIX's TZ ---- */

struct rule_day {
    char
        kind; /* 'M': week and day of a month; 'J': day 1-365 without 29 February; '0': day 0-365 */
    int month, week, day;
    int time; /* seconds after midnight, may be negative */
};

struct rule {
    int32_t standard, summer; /* seconds east of UTC */
    bool has_summer;
    struct rule_day begin, end;
};

static bool skip_name(const char **s)
{
    const char *at = *s;
    bool quoted = *at == '<';
    at += quoted;
    const char *start = at;
    while (isalpha((unsigned char)*at) ||
           (quoted && (isdigit((unsigned char)*at) || *at == '+' || *at == '-')))
        at++;
    if (at - start < 3) return false;
    if (quoted && *at++ != '>') return false;
    *s = at;
    return true;
}

static bool take_number(const char **s, int most, int *out)
{
    int v = 0;
    if (!isdigit((unsigned char)**s)) return false;
    for (; isdigit((unsigned char)**s); (*s)++) {
        v = v * 10 + (**s - '0');
        if (v > most) return false;
    }
    *out = v;
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(const char **s, int most_hours, int *out)
{
    int sign = 1, part = 0, sum;
    if (**s == '-' || **s == '+') sign = *(*s)++ == '-' ? -1 : 1;
    if (!take_number(s, most_hours, &part)) return false;
    sum = part * 3600;
    for (int unit = 60; unit > 0 && **s == ':'; unit /= 60) {
        (*s)++;
        if (!take_number(s, 59, &part)) return false;
        sum += part * unit;
    }
    *out = sign * sum;
    return true;
}

static bool take_rule_day(const char **s, struct rule_day *out)
{
    *out = (struct rule_day){.kind = '0', .time = 2 * 3600};
    if (*(*s)++ != ',') return false;
    if (**s == 'M') {
        out->kind = *(*s)++;
        if (!take_number(s, 12, &out->month) || out->month < 1 || *(*s)++ != '.' ||
            !take_number(s, 5, &out->week) || out->week < 1 || *(*s)++ != '.' ||
            !take_number(s, 6, &out->day))
            return false;
    } else {
        if (**s == 'J') out->kind = *(*s)++;
        if (!take_number(s, 365, &out->day) || (out->kind == 'J' && out->day < 1)) return false;
    }
    if (**s != '/') return true;
    (*s)++;
    return take_time(s, 167, &out->time);
}

static bool rule_parse(const char *s, struct rule *out)
{
    int west;
    *out = (struct rule){0};
    if (!skip_name(&s) || !take_time(&s, 25, &west)) return false;
    out->standard = -west;
    if (!*s) return true;
    out->has_summer = true;
    out->summer = out->standard + 3600;
    if (!skip_name(&s)) return false;
    if (*s != ',') {
        if (!take_time(&s, 25, &west)) return false;
        out->summer = -west;
    }
    return take_rule_day(&s, &out->begin) && take_rule_day(&s, &out->end) && !*s;
}

/* The local time of a year's change, in seconds. */
static int64_t rule_seconds(const struct rule_day *r, int64_t year)
{
    int64_t day;
    if (r->kind == 'M') {
        day = days_from_civil(year, r->month, 1);
        int64_t weekday = ((day + 4) % 7 + 7) % 7;
        day += (r->day - weekday + 7) % 7 + (r->week - 1) * 7;
        if (day >= days_from_civil(year, r->month, 1) + days_in_month(year, r->month)) day -= 7;
    } else if (r->kind == 'J') {
        day = days_from_civil(year, 1, 1) + r->day - 1;
        if (r->day >= 60) day += days_in_month(year, 2) - 28;
    } else {
        day = days_from_civil(year, 1, 1) + r->day;
    }
    return day * 86400 + r->time;
}

static void add_change(struct zone *z, int64_t at, int32_t offset)
{
    if (z->n_changes && at <= z->changes[z->n_changes - 1]) {
        if (at == z->changes[z->n_changes - 1]) z->offsets[z->n_changes] = offset;
        return;
    }
    z->changes[z->n_changes++] = at;
    z->offsets[z->n_changes] = offset;
}

/* The rule's changes after the listed ones, for a whole cycle. A year of them lies before the cycle
 * and one after, so that what is near its ends is found as it repeats. */
static void add_rule(struct zone *z, const struct rule *r)
{
    enum { CYCLE_YEARS = 400 };
    if (!r->has_summer) return;
    struct civil last = {.year = 1970};
    if (z->n_changes)
        civil_from_days(z->changes[z->n_changes - 1] / 86400 - (z->changes[z->n_changes - 1] < 0),
                        &last);
    int64_t first_year = last.year + 2;
    size_t room = (size_t)z->n_changes + 2 * (CYCLE_YEARS + 4);
    z->changes = must_alloc(realloc(z->changes, room * sizeof *z->changes));
    z->offsets = must_alloc(realloc(z->offsets, (room + 1) * sizeof *z->offsets));
    for (int64_t year = last.year; year <= first_year + CYCLE_YEARS; year++) {
        int64_t begin = rule_seconds(&r->begin, year) - r->standard;
        int64_t end = rule_seconds(&r->end, year) - r->summer;
        if (begin < end) add_change(z, begin, r->summer);
        add_change(z, end, r->standard);
        if (begin >= end) add_change(z, begin, r->summer);
    }
    z->cycle_end = days_from_civil(first_year + CYCLE_YEARS, 1, 1) * 86400;
}

/* ---- the file ---- */

struct header {
    uint32_t n_ut, n_std, n_leap, n_times, n_types, n_chars;
    int version;
};

static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return be32toh(v);
}

static int64_t get_i64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return (int64_t)be64toh(v);
}

static bool get_header(const uint8_t *p, size_t n, struct header *out)
{
    if (n < HEADER_BYTES || memcmp(p, "TZif", 4) != 0) return false;
    out->version = p[4] ? p[4] - '0' : 1;
    out->n_ut = get_u32(p + 20);
    out->n_std = get_u32(p + 24);
    out->n_leap = get_u32(p + 28);
    out->n_times = get_u32(p + 32);
    out->n_types = get_u32(p + 36);
    out->n_chars = get_u32(p + 40);
    return true;
}

static size_t body_bytes(const struct header *h, size_t time_bytes)
{
    return h->n_times * (time_bytes + 1) + h->n_types * (size_t)6 + h->n_chars +
           h->n_leap * (time_bytes + 4) + h->n_std + (size_t)h->n_ut;
}

/* The listed changes; body holds the times, then a type each, then the types. */
static enum status add_listed(struct ctx *c, struct zone *z, const struct header *h,
                              const uint8_t *body)
{
    const uint8_t *index = body + h->n_times * (size_t)8, *types = index + h->n_times;
    for (uint32_t i = 0; i < h->n_types; i++) {
        int32_t offset = (int32_t)get_u32(types + i * (size_t)6);
        if (offset <= -ZONE_MAX_OFFSET || offset >= ZONE_MAX_OFFSET)
            return corrupt(c, z->name, "an offset from UTC is out of range");
    }
    z->offsets[0] = (int32_t)get_u32(types);
    for (uint32_t i = 0; i < h->n_times; i++) {
        int64_t at = get_i64(body + i * (size_t)8);
        if (index[i] >= h->n_types) return corrupt(c, z->name, "a change of no known type");
        if (i > 0 && at <= get_i64(body + (i - 1) * (size_t)8))
            return corrupt(c, z->name, "changes out of order");
        int32_t offset = (int32_t)get_u32(types + index[i] * (size_t)6);
        if (at < BIG_BANG)
            z->offsets[0] = offset;
        else if (at < -BIG_BANG)
            add_change(z, at, offset);
    }
    return OK;
}

static enum status decode(struct ctx *c, struct zone *z, const uint8_t *p, size_t n)
{
    struct header h;
    if (!get_header(p, n, &h) || h.version < 2)
        return corrupt(c, z->name, "not TZif of version 2 or later");
    size_t skip = HEADER_BYTES + body_bytes(&h, 4);
    if (n < skip || !get_header(p + skip, n - skip, &h))
        return corrupt(c, z->name, "its second part is missing");
    p += skip + HEADER_BYTES;
    n -= skip + HEADER_BYTES;
    size_t body = body_bytes(&h, 8);
    if (h.n_times > MAX_CHANGES || h.n_types == 0 || n < body)
        return corrupt(c, z->name, "it is cut short");
    if (h.n_leap) return corrupt(c, z->name, "it counts leap seconds");
    z->changes = must_alloc(calloc((size_t)h.n_times + 1, sizeof *z->changes));
    z->offsets = must_alloc(calloc((size_t)h.n_times + 1, sizeof *z->offsets));
    TRY(add_listed(c, z, &h, p));
    const char *footer = (const char *)p + body;
    n -= body;
    const char *end = n > 1 ? memchr(footer + 1, '\n', n - 1) : NULL;
    char text[128];
    if (!end || *footer != '\n' || end - footer > (ptrdiff_t)sizeof text)
        return corrupt(c, z->name, "its footer is missing");
    size_t len = (size_t)(end - footer) - 1;
    memcpy(text, footer + 1, len);
    text[len] = 0;
    if (len == 0) return OK; /* no rule is known */
    struct rule r;
    if (!rule_parse(text, &r)) return corrupt(c, z->name, "its footer is no rule");
    add_rule(z, &r);
    return OK;
}

enum status zone_decode(struct ctx *c, const char *name, const void *bytes, size_t n,
                        struct zone **out)
{
    struct zone *z = must_alloc(calloc(1, sizeof *z));
    z->name = must_alloc(strdup(name));
    z->cycle_end = INT64_MAX;
    enum status st = decode(c, z, bytes, n);
    if (st == OK)
        *out = z;
    else
        zone_free(z);
    return st;
}
