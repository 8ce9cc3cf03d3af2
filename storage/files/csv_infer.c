/* Which type do all texts of a CSV column have? */
#include "storage/files/csv_infer.h"
#include "storage/base/value.h"
#include <ctype.h>
#include <strings.h>

static bool is_word(struct text s, const char *word)
{
    return s.len == (int64_t)strlen(word) && strncasecmp(s.s, word, (size_t)s.len) == 0;
}

/* Not 0 and 1, which are numbers. */
static bool looks_bool(struct text s)
{
    return is_word(s, "true") || is_word(s, "false") || is_word(s, "t") || is_word(s, "f");
}

/* "007" is an identifier, no number. */
static bool looks_integer(struct text s)
{
    int64_t i = s.len > 0 && (s.s[0] == '-' || s.s[0] == '+');
    if (i == s.len || (s.s[i] == '0' && s.len > i + 1)) return false;
    for (; i < s.len; i++) {
        if (!isdigit((unsigned char)s.s[i])) return false;
    }
    return true;
}

static bool looks_float(struct text s)
{
    if (s.len == 0) return false;
    if (is_word(s, "nan") || is_word(s, "inf") || is_word(s, "-inf") || is_word(s, "infinity") ||
        is_word(s, "-infinity"))
        return true;
    int64_t i = s.s[0] == '-' || s.s[0] == '+';
    bool digits_only = true;
    if (i == s.len || (!isdigit((unsigned char)s.s[i]) && s.s[i] != '.')) return false;
    for (int64_t k = i; k < s.len; k++) {
        if (!isdigit((unsigned char)s.s[k])) digits_only = false;
        if (!isdigit((unsigned char)s.s[k]) && !strchr(".eE+-", s.s[k])) return false;
    }
    return !(digits_only && s.s[i] == '0' && s.len > i + 1);
}

/* YYYY-MM-DD, and for timestamps a clock behind it. */
static bool looks_date(struct text s, bool with_time)
{
    static const char shape[] = "dddd-dd-dd";
    if (s.len < 10 || (!with_time && s.len != 10)) return false;
    for (int i = 0; i < 10; i++) {
        if (shape[i] == 'd' ? !isdigit((unsigned char)s.s[i]) : s.s[i] != '-') return false;
    }
    return s.len == 10 ||
           ((s.s[10] == ' ' || s.s[10] == 'T') && s.len > 12 && isdigit((unsigned char)s.s[11]));
}

static bool looks(enum type t, struct text s)
{
    switch (t) {
    case T_BOOL:
        return looks_bool(s);
    case T_INT64:
        return looks_integer(s);
    case T_FLOAT64:
        return looks_float(s);
    case T_DATE:
        return looks_date(s, false);
    default:
        return looks_date(s, true);
    }
}

static const enum type candidates[] = {T_BOOL, T_INT64, T_FLOAT64, T_DATE, T_TIMESTAMP};
#define N_CANDIDATES 5

void csv_guess_add(struct csv_guess *g, const struct column *texts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (column_is_null(texts, i)) continue;
        struct text s = ((const struct text *)texts->values)[i];
        g->some = true;
        for (int k = 0; k < N_CANDIDATES; k++) {
            struct ctx quiet = {0};
            struct value v;
            bool fits = !(g->failed >> k & 1) && looks(candidates[k], s) &&
                        value_parse(&quiet, candidates[k], s, &v) == OK;
            if (!fits) g->failed |= 1u << k;
        }
    }
}

enum type csv_guess_type(const struct csv_guess *g)
{
    for (int k = 0; k < N_CANDIDATES && g->some; k++) {
        if (!(g->failed >> k & 1)) return candidates[k];
    }
    return T_TEXT;
}
