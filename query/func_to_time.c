/* How do to_date and to_timestamp read a text by a pattern? PostgreSQL's patterns. */
#include "query/func_cells.h"
#include "storage/base/datetime.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum part {
    T_Y4,
    T_Y2,
    T_MONTH,
    T_MON,
    T_MM,
    T_DDD,
    T_DD,
    T_DAY,
    T_DY,
    T_HH24,
    T_HH12,
    T_MI,
    T_SSSS,
    T_SS,
    T_MS,
    T_US,
    T_FF,
    T_AM,
    T_BC,
    T_J,
    T_TH,
    T_FM
};
/* Longer patterns before their prefixes. */
static const struct {
    const char *name;
    enum part part;
    int digits;
} parts[] = {{"yyyy", T_Y4, 4},     {"yyy", T_Y4, 3},  {"yy", T_Y2, 2},   {"y", T_Y4, 1},
             {"month", T_MONTH, 0}, {"mon", T_MON, 0}, {"mm", T_MM, 2},   {"ddd", T_DDD, 3},
             {"dd", T_DD, 2},       {"day", T_DAY, 0}, {"dy", T_DY, 0},   {"hh24", T_HH24, 2},
             {"hh12", T_HH12, 2},   {"hh", T_HH12, 2}, {"mi", T_MI, 2},   {"sssss", T_SSSS, 5},
             {"ssss", T_SSSS, 5},   {"ss", T_SS, 2},   {"ms", T_MS, 3},   {"us", T_US, 6},
             {"ff1", T_FF, 1},      {"ff2", T_FF, 2},  {"ff3", T_FF, 3},  {"ff4", T_FF, 4},
             {"ff5", T_FF, 5},      {"ff6", T_FF, 6},  {"a.m.", T_AM, 4}, {"p.m.", T_AM, 4},
             {"am", T_AM, 2},       {"pm", T_AM, 2},   {"b.c.", T_BC, 4}, {"a.d.", T_BC, 4},
             {"bc", T_BC, 2},       {"ad", T_BC, 2},   {"j", T_J, 7},     {"fm", T_FM, 0},
             {"th", T_TH, 2}};
enum { N_PARTS = sizeof parts / sizeof *parts };

static const char *const months[] = {"january",   "february", "march",    "april",
                                     "may",       "june",     "july",     "august",
                                     "september", "october",  "november", "december"};
static const char *const days[] = {"sunday",   "monday", "tuesday", "wednesday",
                                   "thursday", "friday", "saturday"};

struct reading {
    struct text t, f;
    int64_t at; /* in t */
    int64_t year, us;
    int month, day, day_of_year, hour, minute, second, second_of_day;
    int64_t julian;
    bool twelve, pm, bc;
};

static int part_at(struct text f, int64_t i)
{
    for (int k = 0; k < N_PARTS; k++) {
        size_t len = strlen(parts[k].name);
        if ((int64_t)len <= f.len - i && !strncasecmp(f.s + i, parts[k].name, len)) return k;
    }
    return -1;
}

static enum status bad_value(struct ctx *c, const struct reading *r, int k)
{
    int64_t n = r->t.len - r->at < 20 ? r->t.len - r->at : 20;
    char name[8];
    snprintf(name, sizeof name, "%s", parts[k].name);
    for (char *s = name; *s; s++)
        *s = (char)toupper((unsigned char)*s);
    fail(c, ERR_DATETIME_FORMAT, "invalid value \"%.*s\" for \"%s\"", (int)(n > 0 ? n : 0),
         r->t.s + (n > 0 ? r->at : 0), name);
    return hint(c, "Value must be one that the pattern describes.");
}

/* Up to `most` digits (0: any number). */
static bool read_digits(struct reading *r, int most, int64_t *out, int *n)
{
    int64_t x = 0;
    *n = 0;
    while (r->at < r->t.len && isdigit((unsigned char)r->t.s[r->at]) && (!most || *n < most) &&
           *n < 18) {
        x = x * 10 + (r->t.s[r->at++] - '0');
        ++*n;
    }
    *out = x;
    return *n > 0;
}

/* Which of the list's names does the text go on with? -1: none. */
static int read_name(struct reading *r, const char *const *list, int n, bool abbreviated)
{
    for (int i = 0; i < n; i++) {
        int64_t len = abbreviated ? 3 : (int64_t)strlen(list[i]);
        if (r->t.len - r->at >= len && !strncasecmp(r->t.s + r->at, list[i], (size_t)len)) {
            r->at += len;
            return i;
        }
    }
    return -1;
}

static enum status read_word(struct ctx *c, struct reading *r, int k)
{
    enum part p = parts[k].part;
    int i;
    if (p == T_AM || p == T_BC) {
        if (r->at >= r->t.len) return bad_value(c, r, k);
        int first = tolower((unsigned char)r->t.s[r->at]);
        if (p == T_AM ? first != 'a' && first != 'p' : first != 'a' && first != 'b')
            return bad_value(c, r, k);
        r->at = r->at + parts[k].digits < r->t.len ? r->at + parts[k].digits : r->t.len;
        if (p == T_BC) {
            r->bc = first == 'b';
            return OK;
        }
        r->twelve = true;
        r->pm = first == 'p';
        return OK;
    }
    bool month = p == T_MONTH || p == T_MON;
    i = read_name(r, month ? months : days, month ? 12 : 7, p == T_MON || p == T_DY);
    if (i < 0) return bad_value(c, r, k);
    if (month) r->month = i + 1;
    return OK;
}

/* A year of less than four digits: the nearest to 2020 that ends with them. */
static int64_t whole_year(int64_t x)
{
    return x < 70 ? x + 2000 : x < 100 ? x + 1900 : x < 520 ? x + 2000 : x < 1000 ? x + 1000 : x;
}

/* `follows`: the pattern goes on with digits, so this part takes its own number of them only. */
static enum status read_part(struct ctx *c, struct reading *r, int k, bool follows)
{
    static const int64_t thousandths[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    enum part p = parts[k].part;
    int64_t x;
    int n;
    if (p == T_FM) return OK;
    if (p == T_TH) {
        r->at += r->at + 2 <= r->t.len ? 2 : 0;
        return OK;
    }
    if (parts[k].digits == 0 || p == T_AM || p == T_BC) return read_word(c, r, k);
    bool fraction = p == T_MS || p == T_US || p == T_FF;
    bool minus = p == T_Y4 && r->at < r->t.len && r->t.s[r->at] == '-';
    r->at += minus;
    if (!read_digits(r, follows || fraction ? parts[k].digits : 0, &x, &n))
        return bad_value(c, r, k);
    int *const narrow[] = {
        [T_MM] = &r->month,           [T_DDD] = &r->day_of_year, [T_DD] = &r->day,
        [T_HH24] = &r->hour,          [T_HH12] = &r->hour,       [T_MI] = &r->minute,
        [T_SSSS] = &r->second_of_day, [T_SS] = &r->second};
    if (fraction) {
        r->us += x * thousandths[n < 6 ? n : 6];
    } else if (p == T_Y4 || p == T_Y2) {
        r->year = parts[k].digits == 4 || n > 3 ? x : whole_year(x);
        r->bc |= minus;
    } else if (p == T_J) {
        r->julian = x;
    } else {
        if (x > INT32_MAX) return bad_value(c, r, k);
        *narrow[p] = (int)x;
    }
    r->twelve |= p == T_HH12;
    return OK;
}

/* Blanks and punctuation of the pattern stand for any such of the text. */
static void skip_separator(struct reading *r)
{
    if (r->at < r->t.len && !isalnum((unsigned char)r->t.s[r->at])) r->at++;
}

static enum status read_by_pattern(struct ctx *c, struct reading *r)
{
    for (int64_t i = 0; i < r->f.len;) {
        int k = part_at(r->f, i);
        if (k < 0) {
            char ch = r->f.s[i++];
            if (ch == '"') {
                for (; i < r->f.len && r->f.s[i] != '"'; i++)
                    r->at += r->at < r->t.len;
                i++;
            } else if (isalnum((unsigned char)ch)) {
                r->at += r->at < r->t.len;
            } else {
                skip_separator(r);
            }
            continue;
        }
        i += (int64_t)strlen(parts[k].name);
        while (r->at < r->t.len && isspace((unsigned char)r->t.s[r->at]))
            r->at++;
        int next = i < r->f.len ? part_at(r->f, i) : -1;
        TRY(read_part(c, r, k, next >= 0 && parts[next].digits > 0));
    }
    return OK;
}

static enum status out_of_range(struct ctx *c, const struct reading *r)
{
    return fail(c, ERR_DATETIME_OVERFLOW, "date/time field value out of range: \"%.*s\"",
                (int)(r->t.len < 60 ? r->t.len : 60), r->t.s);
}

static enum status to_us(struct ctx *c, struct reading *r, int64_t *out)
{
    if (r->twelve) {
        if (r->hour < 1 || r->hour > 12) {
            fail(c, ERR_DATETIME_FORMAT, "hour \"%d\" is invalid for the 12-hour clock", r->hour);
            return hint(c, "Use the 24-hour clock, or give an hour between 1 and 12.");
        }
        r->hour = r->hour % 12 + (r->pm ? 12 : 0);
    }
    if (r->second_of_day) {
        r->hour = r->second_of_day / 3600;
        r->minute = r->second_of_day / 60 % 60;
        r->second = r->second_of_day % 60;
    }
    if (r->hour > 23 || r->minute > 59 || r->second > 59) return out_of_range(c, r);
    int64_t year = r->bc ? 1 - r->year : r->year;
    int month = r->month ? r->month : 1, day = r->day ? r->day : 1;
    if (year < -4712 || year > 294276 || month > 12 || day > days_in_month(year, month) ||
        r->day_of_year > 366)
        return out_of_range(c, r);
    int64_t days_since = days_from_civil(year, month, day);
    if (r->day_of_year) days_since = days_from_civil(year, 1, 1) + r->day_of_year - 1;
    if (r->julian) days_since = r->julian - 2440588;
    if (days_since > 106751990 || days_since < -2440588) return out_of_range(c, r);
    *out = days_since * US_PER_DAY +
           ((r->hour * 60 + r->minute) * INT64_C(60) + r->second) * US_PER_SECOND + r->us;
    return OK;
}

static enum status read_time(struct ctx *c, const struct call *k, int64_t i, int64_t *us)
{
    struct reading r = {.t = ARG(k, 0, struct text, i), .f = ARG(k, 1, struct text, i)};
    TRY(read_by_pattern(c, &r));
    return to_us(c, &r, us);
}

enum status time_from_text(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(read_time(c, k, i, &((int64_t *)k->out)[i]));
    return OK;
}

enum status date_from_text(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t us;
        TRY(read_time(c, k, i, &us));
        int64_t d = us / US_PER_DAY - (us % US_PER_DAY < 0);
        ((int32_t *)k->out)[i] = (int32_t)d;
    }
    return OK;
}
