/* How are texts computed with? As in PostgreSQL; a character is a code point of UTF-8. */
#include "query/func_cells.h"
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <wctype.h>

#define TEXT(k, j, i) ARG(k, j, struct text, i)
#define OUT_TEXT(k, i) (((struct text *)(k)->out)[i])

static const int64_t MOST_BYTES = INT64_C(1) << 28; /* of one result */

/* ---- characters ---- */

static bool starts_character(char ch)
{
    return ((unsigned char)ch & 0xc0) != 0x80;
}

static int64_t characters(struct text t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t.len; i++)
        n += starts_character(t.s[i]);
    return n;
}

/* Byte offset of character n, or the text's end. */
static int64_t byte_of(struct text t, int64_t n)
{
    int64_t i = 0;
    for (; i < t.len; i++)
        if (starts_character(t.s[i]) && n-- <= 0) break;
    return i;
}

/* Reads the character at *i; bytes that are no UTF-8 count as themselves. */
static uint32_t next_character(struct text t, int64_t *i)
{
    unsigned char b = (unsigned char)t.s[(*i)++];
    int more = b >= 0xf0 ? 3 : b >= 0xe0 ? 2 : b >= 0xc0 ? 1 : 0;
    uint32_t ch = more == 3 ? b & 7u : more == 2 ? b & 15u : more == 1 ? b & 31u : b;
    while (more-- > 0 && *i < t.len && !starts_character(t.s[*i]))
        ch = ch << 6 | ((unsigned char)t.s[(*i)++] & 63u);
    return ch;
}

static int put_character(char *to, uint32_t ch)
{
    if (ch < 0x80) {
        to[0] = (char)ch;
        return 1;
    }
    int n = ch < 0x800 ? 2 : ch < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--) {
        to[i] = (char)(0x80 | (ch & 63));
        ch >>= 6;
    }
    to[0] = (char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | ch);
    return n;
}

static enum status room(struct ctx *c, struct call *k, int64_t n, char **out)
{
    if (n > MOST_BYTES) return fail(c, ERR_LIMIT_EXCEEDED, "requested length too large");
    return call_text(c, k, n, out);
}

/* ---- comparison ---- */

static int compare(struct text a, struct text b)
{
    int64_t least = a.len < b.len ? a.len : b.len;
    int order = least > 0 ? memcmp(a.s, b.s, (size_t)least) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, (size_t)a.len) == 0);
}

enum status text_compare(struct ctx *c, struct call *k)
{
    (void)c;
    uint8_t *out = k->out;
    int kernel = k->func->kernel;
    EACH_CELL(k, i)
    {
        struct text a = TEXT(k, 0, i), b = TEXT(k, 1, i);
        if (kernel == B_EQ || kernel == B_NE) {
            out[i] = equal(a, b) == (kernel == B_EQ);
            continue;
        }
        int order = compare(a, b);
        out[i] = kernel == B_LT   ? order < 0
                 : kernel == B_LE ? order <= 0
                 : kernel == B_GT ? order > 0
                                  : order >= 0;
    }
    return OK;
}

enum status text_extreme(struct ctx *c, struct call *k)
{
    (void)c;
    bool most = k->func->kernel == B_MAX;
    EACH_CELL(k, i)
    {
        int best = -1;
        for (int j = 0; j < k->n_args; j++) {
            if (arg_null(k, j, i)) continue;
            int order = best < 0 ? 0 : compare(TEXT(k, j, i), TEXT(k, best, i));
            if (best < 0 || (most ? order > 0 : order < 0)) best = j;
        }
        if (best >= 0)
            OUT_TEXT(k, i) = TEXT(k, best, i);
        else
            bit_clear(k->valid, i);
    }
    return OK;
}

/* ---- lengths ---- */

enum status text_length(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    ((int32_t *)k->out)[i] = (int32_t)characters(TEXT(k, 0, i));
    return OK;
}

enum status text_octets(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    ((int32_t *)k->out)[i] = (int32_t)TEXT(k, 0, i).len;
    return OK;
}

/* ---- upper and lower case ---- */

static locale_t utf8;
static pthread_once_t utf8_once = PTHREAD_ONCE_INIT;
static void make_utf8(void)
{
    utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t change_case(uint32_t ch, bool upper)
{
    if (ch < 0x80)
        return upper ? (ch >= 'a' && ch <= 'z' ? ch - 32 : ch)
                     : (ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
    if (!utf8) return ch;
    return upper ? towupper_l(ch, utf8) : towlower_l(ch, utf8);
}

static bool is_letter(uint32_t ch)
{
    if (ch < 0x80)
        return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9');
    return utf8 && iswalnum_l(ch, utf8);
}

enum casing { UPPER, LOWER, INITIAL };

static enum status with_case(struct ctx *c, struct call *k, enum casing how)
{
    pthread_once(&utf8_once, make_utf8);
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        char *to;
        TRY(room(c, k, t.len * 3 / 2 + 4, &to)); /* a letter's other case may be longer */
        int64_t n = 0;
        bool inside = false;
        for (int64_t at = 0; at < t.len;) {
            uint32_t ch = next_character(t, &at);
            bool upper = how == UPPER || (how == INITIAL && !inside);
            inside = is_letter(ch);
            n += put_character(to + n, change_case(ch, upper));
        }
        OUT_TEXT(k, i) = (struct text){to, n};
    }
    return OK;
}

enum status text_upper(struct ctx *c, struct call *k)
{
    return with_case(c, k, UPPER);
}
enum status text_lower(struct ctx *c, struct call *k)
{
    return with_case(c, k, LOWER);
}
enum status text_initcap(struct ctx *c, struct call *k)
{
    return with_case(c, k, INITIAL);
}

/* ---- parts ---- */

/* Characters [from, from + n) counted from 1; n < 0: to the end. */
static struct text part(struct text t, int64_t from, int64_t n, bool to_end)
{
    int64_t end;
    if (to_end || __builtin_add_overflow(from, n, &end)) end = INT64_MAX;
    if (from < 1) from = 1;
    if (end <= from) return (struct text){"", 0};
    int64_t a = byte_of(t, from - 1), b = end == INT64_MAX ? t.len : byte_of(t, end - 1);
    return (struct text){t.s + a, b - a};
}

enum status text_substr(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t n = k->n_args > 2 ? ARG(k, 2, int64_t, i) : 0;
        if (n < 0) return fail(c, ERR_SUBSTRING, "negative substring length not allowed");
        OUT_TEXT(k, i) = part(TEXT(k, 0, i), ARG(k, 1, int64_t, i), n, k->n_args == 2);
    }
    return OK;
}

enum status text_left(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        int64_t n = ARG(k, 1, int64_t, i);
        if (n < 0) n = n < -t.len ? 0 : characters(t) + n;
        OUT_TEXT(k, i) = part(t, 1, n < 0 ? 0 : n, false);
    }
    return OK;
}

enum status text_right(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        int64_t n = ARG(k, 1, int64_t, i), all = characters(t);
        int64_t skip = n < 0 ? (n < -all ? all : -n) : n >= all ? 0 : all - n;
        OUT_TEXT(k, i) = part(t, skip + 1, 0, true);
    }
    return OK;
}

static int64_t find(struct text t, struct text what, int64_t from)
{
    if (what.len == 0) return from;
    if (t.len - from < what.len) return -1;
    const char *at = memmem(t.s + from, (size_t)(t.len - from), what.s, (size_t)what.len);
    return at ? at - t.s : -1;
}

enum status text_position(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        int64_t at = find(t, TEXT(k, 1, i), 0);
        ((int32_t *)k->out)[i] = at < 0 ? 0 : (int32_t)characters((struct text){t.s, at}) + 1;
    }
    return OK;
}

enum status text_starts_with(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i), p = TEXT(k, 1, i);
        ((uint8_t *)k->out)[i] = p.len <= t.len && equal((struct text){t.s, p.len}, p);
    }
    return OK;
}

/* Field n of a text, counted from 1, or from the end when negative. */
static struct text field_of(struct text t, struct text by, int64_t n)
{
    int64_t n_fields = 1, at = 0, hit;
    if (by.len == 0) return n == 1 || n == -1 ? t : (struct text){"", 0};
    if (n < 0) {
        while ((hit = find(t, by, at)) >= 0) {
            n_fields++;
            at = hit + by.len;
        }
        n = n_fields + n + 1;
        if (n < 1) return (struct text){"", 0};
        at = 0;
    }
    while ((hit = find(t, by, at)) >= 0 && --n > 0)
        at = hit + by.len;
    if (hit < 0 && n > 1) return (struct text){"", 0};
    return (struct text){t.s + at, (hit < 0 ? t.len : hit) - at};
}

enum status text_split_part(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t n = ARG(k, 2, int64_t, i);
        if (n == 0) return fail(c, ERR_INVALID_PARAMETER, "field position must not be zero");
        OUT_TEXT(k, i) = field_of(TEXT(k, 0, i), TEXT(k, 1, i), n);
    }
    return OK;
}

static bool among(struct text set, const char *ch, int64_t len)
{
    return find(set, (struct text){ch, len}, 0) >= 0;
}

static enum status trimmed(struct call *k, bool left, bool right)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        struct text set = k->n_args > 1 ? TEXT(k, 1, i) : (struct text){" ", 1};
        while (left && t.len > 0) {
            int64_t n = byte_of(t, 1);
            if (!among(set, t.s, n)) break;
            t.s += n;
            t.len -= n;
        }
        while (right && t.len > 0) {
            int64_t from = t.len - 1;
            while (from > 0 && !starts_character(t.s[from]))
                from--;
            if (!among(set, t.s + from, t.len - from)) break;
            t.len = from;
        }
        OUT_TEXT(k, i) = t;
    }
    return OK;
}

enum status text_btrim(struct ctx *c, struct call *k)
{
    (void)c;
    return trimmed(k, true, true);
}
enum status text_ltrim(struct ctx *c, struct call *k)
{
    (void)c;
    return trimmed(k, true, false);
}
enum status text_rtrim(struct ctx *c, struct call *k)
{
    (void)c;
    return trimmed(k, false, true);
}

/* ---- new texts ---- */

static char *append(char *to, struct text t)
{
    if (t.len > 0) memcpy(to, t.s, (size_t)t.len);
    return to + t.len;
}

enum status text_append(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text a = TEXT(k, 0, i), b = TEXT(k, 1, i);
        char *to;
        TRY(room(c, k, a.len + b.len, &to));
        append(append(to, a), b);
        OUT_TEXT(k, i) = (struct text){to, a.len + b.len};
    }
    return OK;
}

/* The arguments from `first` on that are not NULL, with `between` between them. */
static enum status joined(struct ctx *c, struct call *k, int64_t i, int first, struct text between)
{
    int64_t n = 0;
    int parts = 0;
    for (int j = first; j < k->n_args; j++) {
        if (arg_null(k, j, i)) continue;
        n += TEXT(k, j, i).len + (parts++ ? between.len : 0);
    }
    char *to;
    TRY(room(c, k, n, &to));
    OUT_TEXT(k, i) = (struct text){to, n};
    parts = 0;
    for (int j = first; j < k->n_args; j++) {
        if (arg_null(k, j, i)) continue;
        if (parts++) to = append(to, between);
        to = append(to, TEXT(k, j, i));
    }
    return OK;
}

enum status text_concat(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(joined(c, k, i, 0, (struct text){"", 0}));
    return OK;
}

enum status text_concat_ws(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        if (arg_null(k, 0, i))
            bit_clear(k->valid, i);
        else
            TRY(joined(c, k, i, 1, TEXT(k, 0, i)));
    }
    return OK;
}

enum status text_repeat(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        int64_t n = ARG(k, 1, int64_t, i), bytes;
        if (n < 0) n = 0;
        if (__builtin_mul_overflow(n, t.len, &bytes)) bytes = INT64_MAX;
        char *to;
        TRY(room(c, k, bytes, &to));
        OUT_TEXT(k, i) = (struct text){to, bytes};
        while (n-- > 0 && t.len > 0)
            to = append(to, t);
    }
    return OK;
}

enum status text_reverse(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        char *to;
        TRY(room(c, k, t.len, &to));
        OUT_TEXT(k, i) = (struct text){to, t.len};
        for (int64_t end = t.len; end > 0;) {
            int64_t from = end - 1;
            while (from > 0 && !starts_character(t.s[from]))
                from--;
            to = append(to, (struct text){t.s + from, end - from});
            end = from;
        }
    }
    return OK;
}

enum status text_replace(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i), what = TEXT(k, 1, i), by = TEXT(k, 2, i);
        int64_t hits = 0, at = 0, hit, bytes;
        if (what.len > 0)
            for (; (hit = find(t, what, at)) >= 0; at = hit + what.len)
                hits++;
        if (hits == 0) {
            OUT_TEXT(k, i) = t;
            continue;
        }
        if (__builtin_mul_overflow(hits, by.len - what.len, &bytes)) bytes = MOST_BYTES;
        char *to;
        TRY(room(c, k, t.len + bytes, &to));
        OUT_TEXT(k, i) = (struct text){to, t.len + bytes};
        for (at = 0; (hit = find(t, what, at)) >= 0; at = hit + what.len)
            to = append(append(to, (struct text){t.s + at, hit - at}), by);
        append(to, (struct text){t.s + at, t.len - at});
    }
    return OK;
}

static enum status padded(struct ctx *c, struct call *k, bool left)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i);
        struct text fill = k->n_args > 2 ? TEXT(k, 2, i) : (struct text){" ", 1};
        int64_t want = ARG(k, 1, int64_t, i), have = characters(t);
        if (want < 0) want = 0;
        if (want > MOST_BYTES / 4) return fail(c, ERR_LIMIT_EXCEEDED, "requested length too large");
        if (have >= want || fill.len == 0) {
            OUT_TEXT(k, i) = part(t, 1, want, false);
            continue;
        }
        int64_t n_fill = want - have, per = characters(fill);
        int64_t bytes = n_fill / per * fill.len + byte_of(fill, n_fill % per);
        char *to;
        TRY(room(c, k, t.len + bytes, &to));
        OUT_TEXT(k, i) = (struct text){to, t.len + bytes};
        if (!left) to = append(to, t);
        for (int64_t done = 0; done < bytes; done += fill.len)
            to = append(to,
                        (struct text){fill.s, fill.len < bytes - done ? fill.len : bytes - done});
        if (left) append(to, t);
    }
    return OK;
}

enum status text_lpad(struct ctx *c, struct call *k)
{
    return padded(c, k, true);
}
enum status text_rpad(struct ctx *c, struct call *k)
{
    return padded(c, k, false);
}

/* overlay(t, new, from, n): n characters from `from` on give way to the new ones. */
enum status text_overlay(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i), by = TEXT(k, 1, i);
        int64_t from = ARG(k, 2, int64_t, i), rest;
        int64_t n = k->n_args > 3 ? ARG(k, 3, int64_t, i) : characters(by);
        if (from <= 0) return fail(c, ERR_SUBSTRING, "negative substring length not allowed");
        if (__builtin_add_overflow(from, n, &rest)) rest = INT64_MAX;
        struct text head = part(t, 1, from - 1, false), tail = part(t, rest, 0, true);
        char *to;
        TRY(room(c, k, head.len + by.len + tail.len, &to));
        OUT_TEXT(k, i) = (struct text){to, head.len + by.len + tail.len};
        append(append(append(to, head), by), tail);
    }
    return OK;
}

/* Each character of `from` becomes the one at its place in `to`, or goes. */
enum status text_translate(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct text t = TEXT(k, 0, i), from = TEXT(k, 1, i), by = TEXT(k, 2, i);
        char *to;
        TRY(room(c, k, t.len * 4 + 4, &to));
        char *start = to;
        for (int64_t at = 0, next; at < t.len; at = next) {
            next = at;
            next_character(t, &next);
            struct text ch = {t.s + at, next - at};
            int64_t hit = find(from, ch, 0);
            if (hit < 0)
                to = append(to, ch);
            else
                to = append(to, part(by, characters((struct text){from.s, hit}) + 1, 1, false));
        }
        OUT_TEXT(k, i) = (struct text){start, to - start};
    }
    return OK;
}

/* ---- codes ---- */

enum status text_ascii(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        int64_t at = 0;
        struct text t = TEXT(k, 0, i);
        ((int32_t *)k->out)[i] = t.len ? (int32_t)next_character(t, &at) : 0;
    }
    return OK;
}

enum status text_chr(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t ch = ARG(k, 0, int64_t, i);
        if (ch == 0) return fail(c, ERR_LIMIT_EXCEEDED, "null character not permitted");
        if (ch < 0) return fail(c, ERR_INVALID_PARAMETER, "character number must be positive");
        if (ch > 0x10ffff || (ch >= 0xd800 && ch < 0xe000))
            return fail(c, ERR_LIMIT_EXCEEDED, "requested character not valid for encoding: %lld",
                        (long long)ch);
        char *to;
        TRY(room(c, k, 4, &to));
        OUT_TEXT(k, i) = (struct text){to, put_character(to, (uint32_t)ch)};
    }
    return OK;
}

enum status text_to_hex(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        char hex[20];
        int n = snprintf(hex, sizeof hex, "%llx", (unsigned long long)ARG(k, 0, int64_t, i));
        TRY(call_text_dup(c, k, hex, (size_t)n, &OUT_TEXT(k, i)));
    }
    return OK;
}
