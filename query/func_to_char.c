/* How does to_char write a timestamp or an interval? PostgreSQL's patterns of digits and names. */
#include "query/func_cells.h"
#include "storage/base/datetime.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};
static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                   "Thursday", "Friday", "Saturday"};

struct moment {
    struct civil t;
    int64_t us;
};

static int64_t part(const struct moment *m, const char *unit)
{
    double d = 0;
    timestamp_extract(unit, strlen(unit), m->us, &d);
    return (int64_t)d;
}

/* A name with the capitals of the pattern: MONTH, Month, month; padded to `width` unless FM. */
static void add_name(struct strbuf *b, const char *name, int letters, const char *pattern,
                     int width)
{
    size_t from = b->len;
    strbuf_addf(b, "%-*.*s", width, letters, name);
    bool dotted = pattern[1] == '.';
    bool upper =
        isupper((unsigned char)pattern[0]) && (dotted || isupper((unsigned char)pattern[1]));
    bool lower = islower((unsigned char)pattern[0]) != 0;
    for (size_t i = from; i < b->len; i++)
        b->s[i] = (char)(upper   ? toupper((unsigned char)b->s[i])
                         : lower ? tolower((unsigned char)b->s[i])
                                 : b->s[i]);
}

static void add_number(struct strbuf *b, int64_t x, int width)
{
    strbuf_addf(b, "%0*lld", width, (long long)x);
}

enum piece {
    P_YYYY,
    P_YY,
    P_MONTH,
    P_MON,
    P_MM,
    P_DDD,
    P_DD,
    P_DAY,
    P_DY,
    P_D,
    P_IDDD,
    P_ID,
    P_HH24,
    P_HH12,
    P_HH,
    P_MI,
    P_SSSS,
    P_SS,
    P_MS,
    P_US,
    P_AM,
    P_IYYY,
    P_IW,
    P_WW,
    P_W,
    P_Q,
    P_CC,
    P_J,
    P_Y_YYY,
    P_YYY,
    P_Y,
    P_IYY,
    P_IY,
    P_I,
    P_FF,
    P_RM,
    P_AM_DOTS,
    P_ERA,
    P_ERA_DOTS
};
/* Longer patterns before their prefixes. */
static const struct {
    const char *name;
    enum piece piece;
} pieces[] = {{"y,yyy", P_Y_YYY},  {"yyyy", P_YYYY},     {"yyy", P_YYY},
              {"yy", P_YY},        {"y", P_Y},           {"month", P_MONTH},
              {"mon", P_MON},      {"mm", P_MM},         {"ddd", P_DDD},
              {"dd", P_DD},        {"day", P_DAY},       {"dy", P_DY},
              {"d", P_D},          {"iyyy", P_IYYY},     {"iyy", P_IYY},
              {"iddd", P_IDDD},    {"id", P_ID},         {"iw", P_IW},
              {"iy", P_IY},        {"i", P_I},           {"hh24", P_HH24},
              {"hh12", P_HH12},    {"hh", P_HH},         {"mi", P_MI},
              {"ms", P_MS},        {"sssss", P_SSSS},    {"ssss", P_SSSS},
              {"ss", P_SS},        {"us", P_US},         {"ff1", P_FF},
              {"ff2", P_FF},       {"ff3", P_FF},        {"ff4", P_FF},
              {"ff5", P_FF},       {"ff6", P_FF},        {"rm", P_RM},
              {"a.m.", P_AM_DOTS}, {"p.m.", P_AM_DOTS},  {"am", P_AM},
              {"pm", P_AM},        {"b.c.", P_ERA_DOTS}, {"a.d.", P_ERA_DOTS},
              {"bc", P_ERA},       {"ad", P_ERA},        {"ww", P_WW},
              {"w", P_W},          {"q", P_Q},           {"cc", P_CC},
              {"j", P_J}};

static const char *name_of(const struct moment *m, enum piece p)
{
    static const char *const roman[] = {"I",   "II",   "III", "IV", "V",  "VI",
                                        "VII", "VIII", "IX",  "X",  "XI", "XII"};
    int month = m->t.month > 0 ? m->t.month - 1 : 0;
    switch (p) {
    case P_MONTH:
    case P_MON:
        return months[month];
    case P_RM:
        return roman[month];
    case P_AM:
        return m->t.hour < 12 ? "AM" : "PM";
    case P_AM_DOTS:
        return m->t.hour < 12 ? "A.M." : "P.M.";
    case P_ERA:
        return m->t.year > 0 ? "AD" : "BC";
    case P_ERA_DOTS:
        return m->t.year > 0 ? "A.D." : "B.C.";
    case P_DAY:
    case P_DY:
        return days[part(m, "dow")];
    default:
        return NULL;
    }
}

static void add_name_piece(struct strbuf *b, const struct moment *m, enum piece p,
                           const char *pattern, bool fill)
{
    bool whole = p == P_MONTH || p == P_DAY;
    int letters = p == P_MON || p == P_DY ? 3 : 20;
    int width = !fill ? 0 : whole ? 9 : p == P_RM ? 4 : 0;
    add_name(b, name_of(m, p), letters, pattern, width);
}

static const char *microseconds(int us)
{
    static _Thread_local char digits[16];
    snprintf(digits, sizeof digits, "%06d", us);
    return digits;
}

/* TH, th behind a number. */
static void add_ordinal(struct strbuf *b, const char *pattern)
{
    static const char *const ends[] = {"th", "st", "nd", "rd"};
    int units = b->len ? b->s[b->len - 1] - '0' : -1,
        tens = b->len > 1 ? b->s[b->len - 2] - '0' : 0;
    if (units < 0 || units > 9) return;
    const char *end = ends[units <= 3 && tens != 1 ? units : 0];
    for (int i = 0; i < 2; i++)
        strbuf_addc(b, isupper((unsigned char)pattern[0]) ? (char)toupper((unsigned char)end[i])
                                                          : end[i]);
}

static void add_piece(struct strbuf *b, const struct moment *m, enum piece p, const char *pattern,
                      bool fill)
{
    const struct civil *t = &m->t;
    int64_t hour12 = t->hour % 12 ? t->hour % 12 : 12;
    int64_t iso = part(m, "isoyear"), century = part(m, "century");
    if (iso < 0) iso = -iso; /* of years BC, as they are called */
    int64_t year = t->year > 0 || t->month == 0 ? t->year : 1 - t->year;
    const struct {
        int64_t value;
        int width;
    } numbers[] = {
        [P_YYYY] = {year, 4},
        [P_YY] = {year % 100, 2},
        [P_MM] = {t->month, 2},
        [P_DDD] = {part(m, "doy"), 3},
        [P_DD] = {t->day, 2},
        [P_D] = {part(m, "dow") + 1, 1},
        [P_IDDD] = {(part(m, "week") - 1) * 7 + part(m, "isodow"), 3},
        [P_ID] = {part(m, "isodow"), 1},
        [P_HH24] = {t->hour, 2},
        [P_HH12] = {hour12, 2},
        [P_HH] = {hour12, 2},
        [P_MI] = {t->minute, 2},
        [P_SSSS] = {t->hour * 3600 + t->minute * 60 + t->second, 1},
        [P_SS] = {t->second, 2},
        [P_MS] = {t->us / 1000, 3},
        [P_US] = {t->us, 6},
        [P_IYYY] = {iso, 4},
        [P_IW] = {part(m, "week"), 2},
        [P_WW] = {(part(m, "doy") - 1) / 7 + 1, 2},
        [P_W] = {(t->day - 1) / 7 + 1, 1},
        [P_Q] = {part(m, "quarter"), 1},
        [P_CC] = {century, century < 0 ? 3 : 2},
        [P_YYY] = {year % 1000, 3},
        [P_Y] = {year % 10, 1},
        [P_IYY] = {iso % 1000, 3},
        [P_IY] = {iso % 100, 2},
        [P_I] = {iso % 10, 1},
        [P_J] = {days_from_civil(t->year, t->month, t->day) + 2440588, 1},
    };
    if (name_of(m, p))
        add_name_piece(b, m, p, pattern, fill);
    else if (p == P_Y_YYY)
        strbuf_addf(b, "%lld,%03lld", (long long)(year / 1000), (long long)(year % 1000));
    else if (p == P_FF)
        strbuf_addf(b, "%.*s", pattern[2] - '0', microseconds(t->us));
    else
        add_number(b, numbers[p].value, fill ? numbers[p].width : 1);
}

static void write_pattern(struct strbuf *b, const struct moment *m, struct text f)
{
    for (int64_t i = 0; i < f.len;) {
        if (f.s[i] == '"') {
            for (i++; i < f.len && f.s[i] != '"'; i++)
                strbuf_addc(b, f.s[i]);
            i++;
            continue;
        }
        bool fill = !(f.len - i > 2 && strncasecmp(f.s + i, "fm", 2) == 0);
        int64_t at = fill ? i : i + 2;
        size_t found = 0, n = sizeof pieces / sizeof *pieces, len = 0;
        for (; found < n; found++) {
            len = strlen(pieces[found].name);
            if ((int64_t)len <= f.len - at && strncasecmp(f.s + at, pieces[found].name, len) == 0)
                break;
        }
        if (found == n) {
            strbuf_addc(b, f.s[i++]);
            continue;
        }
        add_piece(b, m, pieces[found].piece, f.s + at, fill);
        i = at + (int64_t)len;
        if (f.len - i >= 2 && strncasecmp(f.s + i, "th", 2) == 0) {
            add_ordinal(b, f.s + i);
            i += 2;
        }
    }
}

enum status time_to_char(struct ctx *c, struct call *k)
{
    struct strbuf b = STRBUF_INIT;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        struct moment m = {.us = ARG(k, 0, int64_t, i)};
        if (m.us == TIMESTAMP_INFINITY || m.us == TIMESTAMP_MINUS_INFINITY) {
            bit_clear(k->valid, i);
            continue;
        }
        civil_from_us(m.us, &m.t);
        strbuf_clear(&b);
        write_pattern(&b, &m, ARG(k, 1, struct text, i));
        s = call_text_dup(c, k, b.s, b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}

/* An interval's parts count from 0, and its hours don't end at 24. */
enum status interval_to_char(struct ctx *c, struct call *k)
{
    struct strbuf b = STRBUF_INIT;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        struct interval iv = ARG(k, 0, struct interval, i);
        struct moment m = {.t = {.year = iv.months / 12,
                                 .month = iv.months % 12,
                                 .day = iv.days,
                                 .hour = (int)(iv.us / (3600 * US_PER_SECOND)),
                                 .minute = (int)(iv.us / (60 * US_PER_SECOND) % 60),
                                 .second = (int)(iv.us / US_PER_SECOND % 60),
                                 .us = (int)(iv.us % US_PER_SECOND)}};
        strbuf_clear(&b);
        write_pattern(&b, &m, ARG(k, 1, struct text, i));
        s = call_text_dup(c, k, b.s ? b.s : "", b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}
