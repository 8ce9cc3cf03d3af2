/* How does to_char write a timestamp? PostgreSQL's patterns of digits and names. */
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
    bool upper = isupper((unsigned char)pattern[0]) && isupper((unsigned char)pattern[1]);
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
    P_J
};
/* Longer patterns before their prefixes. */
static const struct {
    const char *name;
    enum piece piece;
} pieces[] = {
    {"yyyy", P_YYYY}, {"yy", P_YY},     {"month", P_MONTH}, {"mon", P_MON}, {"mm", P_MM},
    {"ddd", P_DDD},   {"dd", P_DD},     {"day", P_DAY},     {"dy", P_DY},   {"d", P_D},
    {"iyyy", P_IYYY}, {"iddd", P_IDDD}, {"id", P_ID},       {"iw", P_IW},   {"hh24", P_HH24},
    {"hh12", P_HH12}, {"hh", P_HH},     {"mi", P_MI},       {"ms", P_MS},   {"ssss", P_SSSS},
    {"ss", P_SS},     {"us", P_US},     {"am", P_AM},       {"pm", P_AM},   {"ww", P_WW},
    {"w", P_W},       {"q", P_Q},       {"cc", P_CC},       {"j", P_J}};

static void add_name_piece(struct strbuf *b, const struct moment *m, enum piece p,
                           const char *pattern, bool fill)
{
    const char *name = p == P_MONTH || p == P_MON ? months[m->t.month - 1]
                       : p == P_AM                ? (m->t.hour < 12 ? "AM" : "PM")
                                                  : days[part(m, "dow")];
    bool whole = p == P_MONTH || p == P_DAY;
    int letters = whole ? 20 : p == P_AM ? 2 : 3;
    add_name(b, name, letters, pattern, whole && fill ? 9 : 0);
}

static void add_piece(struct strbuf *b, const struct moment *m, enum piece p, const char *pattern,
                      bool fill)
{
    const struct civil *t = &m->t;
    int64_t hour12 = t->hour % 12 ? t->hour % 12 : 12, year = t->year > 0 ? t->year : 1 - t->year;
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
        [P_IYYY] = {part(m, "isoyear"), 4},
        [P_IW] = {part(m, "week"), 2},
        [P_WW] = {(part(m, "doy") - 1) / 7 + 1, 2},
        [P_W] = {(t->day - 1) / 7 + 1, 1},
        [P_Q] = {part(m, "quarter"), 1},
        [P_CC] = {part(m, "century"), 2},
        [P_J] = {days_from_civil(t->year, t->month, t->day) + 2440588, 1},
    };
    if (p == P_MONTH || p == P_MON || p == P_DAY || p == P_DY || p == P_AM)
        add_name_piece(b, m, p, pattern, fill);
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
