/* How does a single value read, print, compare and convert? */
#include "storage/base/value.h"
#include "storage/base/datetime.h"
#include "storage/base/float_text.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

__extension__ typedef __int128 wide;

/* ---- constructors ---- */

struct value value_null(enum type t)
{
    return (struct value){.type = t, .null = true};
}

struct value value_int(enum type t, int64_t i)
{
    return (struct value){.type = t, .i = i};
}

struct value value_double(double d)
{
    return (struct value){.type = T_FLOAT64, .d = d};
}

struct value value_text(const char *s)
{
    return (struct value){.type = T_TEXT, .t = {s, (int64_t)strlen(s)}};
}

struct value value_dup(struct arena *a, const struct value *v)
{
    struct value copy = *v;
    if (!v->null && type_is_varlen(v->type))
        copy.t.s = v->t.len > 0 ? arena_dup(a, v->t.s, (size_t)v->t.len) : "";
    return copy;
}

/* ---- values in a column ---- */

struct value value_get(enum type type, const void *values, int64_t i)
{
    struct value v = {.type = type};
    switch (type) {
    case T_BOOL:
    case T_UINT8:
        v.u = ((const uint8_t *)values)[i];
        break;
    case T_INT8:
        v.i = ((const int8_t *)values)[i];
        break;
    case T_INT16:
        v.i = ((const int16_t *)values)[i];
        break;
    case T_INT32:
    case T_DATE:
        v.i = ((const int32_t *)values)[i];
        break;
    case T_INT64:
    case T_TIMESTAMP:
        v.i = ((const int64_t *)values)[i];
        break;
    case T_UINT16:
        v.u = ((const uint16_t *)values)[i];
        break;
    case T_UINT32:
        v.u = ((const uint32_t *)values)[i];
        break;
    case T_UINT64:
        v.u = ((const uint64_t *)values)[i];
        break;
    case T_FLOAT32:
        v.d = (double)((const float *)values)[i];
        break;
    case T_FLOAT64:
        v.d = ((const double *)values)[i];
        break;
    case T_INTERVAL:
        v.iv = ((const struct interval *)values)[i];
        break;
    case T_TEXT:
    case T_INT64S:
    case T_UNKNOWN:
        v.t = ((const struct text *)values)[i];
        break;
    case N_TYPES:
    case T_NONE:
        v.null = true;
        break;
    }
    return v;
}

void value_put(const struct value *v, void *values, int64_t i)
{
    switch (v->type) {
    case T_BOOL:
    case T_UINT8:
        ((uint8_t *)values)[i] = (uint8_t)v->u;
        break;
    case T_INT8:
        ((int8_t *)values)[i] = (int8_t)v->i;
        break;
    case T_INT16:
        ((int16_t *)values)[i] = (int16_t)v->i;
        break;
    case T_INT32:
    case T_DATE:
        ((int32_t *)values)[i] = (int32_t)v->i;
        break;
    case T_INT64:
    case T_TIMESTAMP:
        ((int64_t *)values)[i] = v->i;
        break;
    case T_UINT16:
        ((uint16_t *)values)[i] = (uint16_t)v->u;
        break;
    case T_UINT32:
        ((uint32_t *)values)[i] = (uint32_t)v->u;
        break;
    case T_UINT64:
        ((uint64_t *)values)[i] = v->u;
        break;
    case T_FLOAT32:
        ((float *)values)[i] = (float)v->d;
        break;
    case T_FLOAT64:
        ((double *)values)[i] = v->d;
        break;
    case T_INTERVAL:
        ((struct interval *)values)[i] = v->iv;
        break;
    case T_TEXT:
    case T_INT64S:
    case T_UNKNOWN:
        ((struct text *)values)[i] = v->t;
        break;
    case N_TYPES:
    case T_NONE:
        break;
    }
}

/* ---- comparison ---- */

static int compare_double(double a, double b)
{
    if (isnan(a) || isnan(b)) return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

static int compare_text(struct text a, struct text b)
{
    int64_t least = a.len < b.len ? a.len : b.len;
    int cmp = least > 0 ? memcmp(a.s, b.s, (size_t)least) : 0;
    return cmp ? cmp : (a.len > b.len) - (a.len < b.len);
}

static int64_t list_item(struct text list, int64_t i)
{
    int64_t item;
    memcpy(&item, list.s + 8 * i, 8);
    return item;
}

static int compare_lists(struct text a, struct text b)
{
    for (int64_t i = 0; i < a.len / 8 && i < b.len / 8; i++) {
        int64_t x = list_item(a, i), y = list_item(b, i);
        if (x != y) return x > y ? 1 : -1;
    }
    return (a.len > b.len) - (a.len < b.len);
}

int value_compare(const struct value *a, const struct value *b)
{
    if (type_is_float(a->type)) return compare_double(a->d, b->d);
    if (type_is_unsigned(a->type)) return (a->u > b->u) - (a->u < b->u);
    if (a->type == T_INT64S) return compare_lists(a->t, b->t);
    if (type_is_varlen(a->type)) return compare_text(a->t, b->t);
    if (a->type == T_INTERVAL) {
        int64_t x = interval_us(&a->iv), y = interval_us(&b->iv);
        return (x > y) - (x < y);
    }
    return (a->i > b->i) - (a->i < b->i);
}

/* ---- text to value ---- */

static struct text trim(struct text s)
{
    while (s.len > 0 && isspace((unsigned char)s.s[0])) {
        s.s++;
        s.len--;
    }
    while (s.len > 0 && isspace((unsigned char)s.s[s.len - 1]))
        s.len--;
    return s;
}

static enum status bad_syntax(struct ctx *c, enum type type, struct text s)
{
    return fail(c, ERR_INVALID_TEXT, "invalid input syntax for type %s: \"%.*s\"", type_name(type),
                (int)(s.len > 200 ? 200 : s.len), s.s);
}

static enum status parse_bool(struct ctx *c, struct text whole, struct value *out)
{
    static const struct {
        const char *word;
        int64_t least; /* letters that tell it from the others */
        bool means;
    } words[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    struct text s = trim(whole);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (s.len >= words[i].least && s.len <= (int64_t)strlen(words[i].word) &&
            strncasecmp(s.s, words[i].word, (size_t)s.len) == 0) {
            *out = value_int(T_BOOL, words[i].means);
            return OK;
        }
    }
    return bad_syntax(c, T_BOOL, whole);
}

/* Bounds of an integer type. */
static void integer_range(enum type t, wide *lo, wide *hi)
{
    int bits = 8 * (int)type_bytes(t);
    if (type_is_unsigned(t)) {
        *lo = 0;
        *hi = ((wide)1 << bits) - 1;
    } else {
        *lo = -((wide)1 << (bits - 1));
        *hi = ((wide)1 << (bits - 1)) - 1;
    }
}

static struct value integer_value(enum type t, wide x)
{
    struct value v = {.type = t};
    if (type_is_unsigned(t))
        v.u = (uint64_t)x;
    else
        v.i = (int64_t)x;
    return v;
}

static enum status parse_integer(struct ctx *c, enum type type, struct text whole,
                                 struct value *out)
{
    struct text s = trim(whole);
    int64_t i = 0;
    bool negative = s.len > 0 && s.s[0] == '-', too_big = false;
    if (s.len > 0 && (s.s[0] == '-' || s.s[0] == '+')) i++;
    if (i == s.len) return bad_syntax(c, type, whole);
    wide x = 0, lo, hi;
    for (; i < s.len; i++) {
        int digit = s.s[i] - '0';
        if (digit < 0 || digit > 9) return bad_syntax(c, type, whole);
        if (x < (wide)1 << 100)
            x = x * 10 + digit;
        else
            too_big = true;
    }
    if (negative) x = -x;
    integer_range(type, &lo, &hi);
    if (too_big || x < lo || x > hi)
        return fail(c, ERR_OVERFLOW, "value \"%.*s\" is out of range for type %s",
                    (int)(s.len > 200 ? 200 : s.len), s.s, type_name(type));
    *out = integer_value(type, x);
    return OK;
}

#define MOST_FAST_CHARS 100 /* of a number that is read without the C library */

static const double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                       1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                       1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Digits of [*p, end) on the right of *mant; returns their number. */
static size_t take_digits(const char **p, const char *end, uint64_t *mant)
{
    const char *start = *p, *at = start;
    uint64_t m = *mant;
    while (end - at >= 8) {
        /* Eight at once: pairs, then fours, then all (Lemire, "Quickly parsing eight digits"). */
        uint64_t v;
        memcpy(&v, at, 8);
        if (((v & 0xf0f0f0f0f0f0f0f0) | ((v + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) >> 4) !=
            0x3333333333333333)
            break;
        v = (v & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8;
        v = (v & 0x00ff00ff00ff00ff) * 6553601 >> 16;
        v = (v & 0x0000ffff0000ffff) * 42949672960001 >> 32;
        m = m * 100000000 + v;
        at += 8;
    }
    for (; at < end && (unsigned)(*at - '0') < 10; at++)
        m = m * 10 + (unsigned)(*at - '0');
    *mant = m;
    *p = at;
    return (size_t)(at - start);
}

/* e, a sign and up to four digits. */
static bool take_exponent(const char **p, const char *end, int *exponent)
{
    const char *at = *p + 1;
    bool minus = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    const char *start = at;
    int x = 0;
    for (; at < end && at - start < 4 && (unsigned)(*at - '0') < 10; at++)
        x = x * 10 + (*at - '0');
    *exponent += minus ? -x : x;
    *p = at;
    return at > start;
}

/* A mantissa below 2^53 and a power of ten up to 22 are both exact doubles, so one operation rounds
 * once. */
bool value_fast_double(const char *s, size_t n, double *out)
{
    const char *p = s, *end = s + n;
    bool negative = n > 0 && *p == '-';
    if (n > 0 && (*p == '-' || *p == '+')) p++;
    const char *first = p;
    uint64_t mant = 0;
    int exponent = 0;
    size_t n_digits = take_digits(&p, end, &mant);
    if (p < end && *p == '.') {
        p++;
        size_t decimals = take_digits(&p, end, &mant);
        n_digits += decimals;
        exponent = -(int)decimals;
    }
    if (n_digits == 0 || n > MOST_FAST_CHARS) return false;
    if (n_digits > 19) { /* zeros before the first one do not count */
        for (; first < p && (*first == '0' || *first == '.'); first++)
            n_digits -= *first == '0';
        if (n_digits > 19) return false;
    }
    if (p < end && (*p | 0x20) == 'e' && !take_exponent(&p, end, &exponent)) return false;
    if (p != end) return false;
    double d = (double)mant;
    if (mant >> 53 || exponent < -22 || exponent > 22) {
        if (!double_from_decimal(mant, exponent, &d)) return false;
    } else {
        d = exponent < 0 ? d / powers_of_ten[-exponent] : d * powers_of_ten[exponent];
    }
    *out = negative ? -d : d;
    return true;
}

static enum status parse_float(struct ctx *c, enum type type, struct text whole, struct value *out)
{
    struct text s = trim(whole);
    struct value v = {.type = type};
    if (type == T_FLOAT64 && value_fast_double(s.s, (size_t)s.len, &v.d)) {
        *out = v;
        return OK;
    }
    char copy[512];
    if (s.len == 0 || s.len >= (int64_t)sizeof copy) return bad_syntax(c, type, whole);
    memcpy(copy, s.s, (size_t)s.len);
    copy[s.len] = '\0';
    if (memchr(copy, '(', (size_t)s.len)) return bad_syntax(c, type, whole);
    char *end;
    bool is_word_value = !strpbrk(copy, "0123456789");
    errno = 0;
    v.d = type == T_FLOAT64 ? strtod(copy, &end) : (double)strtof(copy, &end);
    if (end != copy + s.len) return bad_syntax(c, type, whole);
    if (!is_word_value && (isinf(v.d) || (errno == ERANGE && v.d == 0)))
        return fail(c, ERR_OVERFLOW, "\"%s\" is out of range for type %s", copy, type_name(type));
    if (isnan(v.d)) v.d = NAN;
    *out = v;
    return OK;
}

/* '{1,2,3}' into the arena. */
static enum status parse_list(struct ctx *c, struct text whole, struct value *out)
{
    struct text s = trim(whole);
    if (s.len < 2 || s.s[0] != '{' || s.s[s.len - 1] != '}') return bad_syntax(c, T_INT64S, whole);
    const char *p = s.s + 1, *end = s.s + s.len - 1;
    int64_t n = 0, *items = arena_array(c->arena, int64_t, s.len);
    bool empty = trim((struct text){p, end - p}).len == 0;
    while (!empty) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        struct value item;
        TRY(parse_integer(c, T_INT64, (struct text){p, stop - p}, &item));
        items[n++] = item.i;
        if (!comma) break;
        p = comma + 1;
    }
    *out = (struct value){.type = T_INT64S, .t = {(const char *)items, n * 8}};
    return OK;
}

enum status value_parse(struct ctx *c, enum type type, struct text s, struct value *out)
{
    struct value v = {.type = type};
    if (type == T_BOOL) return parse_bool(c, s, out);
    if (type_is_integer(type)) return parse_integer(c, type, s, out);
    if (type_is_float(type)) return parse_float(c, type, s, out);
    if (type == T_INT64S) return parse_list(c, s, out);
    if (type == T_DATE) {
        int32_t days;
        TRY(date_parse(c, s, &days));
        v.i = days;
    } else if (type == T_TIMESTAMP) {
        TRY(timestamp_parse(c, s, &v.i));
    } else if (type == T_INTERVAL) {
        TRY(interval_parse(c, s, &v.iv));
    } else {
        v.t = s;
    }
    *out = v;
    return OK;
}

/* ---- value to text ---- */

/* Digits and decimal exponent as PostgreSQL writes them: plain while the leading digit's exponent
 * is in [-4, plain_below). */
static void put_digits(struct strbuf *out, bool negative, const char *digits, int n, int exponent,
                       int plain_below)
{
    if (negative) strbuf_addc(out, '-');
    if (exponent < -4 || exponent >= plain_below) {
        strbuf_addc(out, digits[0]);
        if (n > 1) {
            strbuf_addc(out, '.');
            strbuf_add(out, digits + 1, (size_t)n - 1);
        }
        strbuf_addf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        strbuf_add(out, "0.000", (size_t)(1 - exponent));
        strbuf_add(out, digits, (size_t)n);
    } else if (exponent + 1 >= n) {
        strbuf_add(out, digits, (size_t)n);
        for (int i = n; i <= exponent; i++)
            strbuf_addc(out, '0');
    } else {
        strbuf_add(out, digits, (size_t)exponent + 1);
        strbuf_addc(out, '.');
        strbuf_add(out, digits + exponent + 1, (size_t)(n - exponent - 1));
    }
}

/* Is the text d.ddde±x exactly in the middle between two floating-point numbers? Only integers, or
 * halves, that need more bits than a number has can be: smaller ones would have too many digits. */
static bool is_middle(const char *text, double x, bool is_float)
{
    if (x < (is_float ? 0x1p22 : 0x1p51) || x > 0x1p120) return false;
    long double at = strtold(text, NULL);
    double side = at < (long double)x ? 0 : INFINITY;
    double next = is_float ? (double)nextafterf((float)x, (float)side) : nextafter(x, side);
    wide four_middles = (wide)(2 * x) + (wide)(2 * next), digits = 0;
    int exponent = atoi(strchr(text, 'e') + 1);
    for (const char *p = text; *p != 'e'; p++) {
        if (*p == '.') continue;
        digits = digits * 10 + (*p - '0');
        exponent -= p > text;
    }
    for (; exponent > 0 && digits < (wide)1 << 120; exponent--)
        digits *= 10;
    return exponent == 0    ? 4 * digits == four_middles
           : exponent == -1 ? 4 * digits == 10 * four_middles
                            : false;
}

/* Does the text read back as x? One in the middle between two numbers does when x is even, but
 * PostgreSQL wants one more digit then. */
static bool reads_back(const char *text, double x, bool is_float)
{
    bool same = is_float ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x;
    return same && !is_middle(text, x, is_float);
}

/* Shortest digits by printing with more and more of them. A normal number of at most `sure` digits
 * is found at once; only denormal ones can be shorter than that by accident. */
static int search_digits(double x, bool is_float, char *digits, int *exponent)
{
    char text[40];
    bool normal = is_float ? x >= 0x1p-126 : x >= 0x1p-1022;
    int sure = is_float ? 6 : 15, most = is_float ? 9 : 17, n = normal ? sure : 1;
    for (;; n++) {
        snprintf(text, sizeof text, "%.*e", n - 1, x);
        if (n == most || reads_back(text, x, is_float)) break;
    }
    digits[0] = text[0];
    if (n > 1) memcpy(digits + 1, text + 2, (size_t)n - 1);
    *exponent = atoi(strchr(text, 'e') + 1);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

/* Decimal digits up to `end`; returns the first. */
static char *digits_of(uint64_t magnitude, char *end)
{
    do
        *--end = (char)('0' + magnitude % 10);
    while (magnitude /= 10);
    return end;
}

static void format_float(double d, bool is_float, struct strbuf *out)
{
    if (isnan(d)) {
        strbuf_adds(out, "NaN");
    } else if (isinf(d)) {
        strbuf_adds(out, d < 0 ? "-Infinity" : "Infinity");
    } else if (d == 0) {
        strbuf_adds(out, signbit(d) ? "-0" : "0");
    } else {
        char room[24], *digits = room;
        uint64_t mant;
        int n, exponent;
        double x = fabs(d);
        if (!is_float && double_shortest(x, &mant, &exponent)) {
            digits = digits_of(mant, room + sizeof room);
            n = (int)(room + sizeof room - digits);
            exponent += n - 1;
            while (n > 1 && digits[n - 1] == '0')
                n--;
        } else {
            n = search_digits(x, is_float, digits, &exponent);
        }
        put_digits(out, d < 0, digits, n, exponent, is_float ? 6 : 15);
    }
}

static void format_int(uint64_t magnitude, bool negative, struct strbuf *out)
{
    char room[24], *end = room + sizeof room, *digits = digits_of(magnitude, end);
    if (negative) *--digits = '-';
    strbuf_add(out, digits, (size_t)(end - digits));
}

static void format_signed(int64_t i, struct strbuf *out)
{
    format_int(i < 0 ? -(uint64_t)i : (uint64_t)i, i < 0, out);
}

void value_format(const struct value *v, struct strbuf *out)
{
    if (v->null) return;
    if (type_is_float(v->type)) {
        format_float(v->d, v->type == T_FLOAT32, out);
    } else if (type_is_unsigned(v->type)) {
        format_int(v->u, false, out);
    } else if (v->type == T_BOOL) {
        strbuf_addc(out, v->i ? 't' : 'f');
    } else if (v->type == T_DATE) {
        date_format((int32_t)v->i, out);
    } else if (v->type == T_TIMESTAMP) {
        timestamp_format(v->i, out);
    } else if (v->type == T_INTERVAL) {
        interval_format(&v->iv, out);
    } else if (v->type == T_INT64S) {
        strbuf_addc(out, '{');
        for (int64_t i = 0; i < v->t.len / 8; i++) {
            if (i > 0) strbuf_addc(out, ',');
            format_signed(list_item(v->t, i), out);
        }
        strbuf_addc(out, '}');
    } else if (type_is_varlen(v->type)) {
        strbuf_add(out, v->t.s, (size_t)v->t.len);
    } else {
        format_signed(v->i, out);
    }
}

void value_format_at(enum type type, const void *values, int64_t i, struct strbuf *out)
{
    struct value v = value_get(type, values, i);
    value_format(&v, out);
}

void value_literal(const struct value *v, struct strbuf *out)
{
    if (v->null) {
        strbuf_adds(out, "NULL");
    } else if (v->type == T_BOOL) {
        strbuf_adds(out, v->i ? "true" : "false");
    } else if (type_is_integer(v->type) || (type_is_float(v->type) && isfinite(v->d))) {
        value_format(v, out);
    } else if (type_is_varlen(v->type) && v->type != T_INT64S) {
        strbuf_addc(out, '\'');
        for (int64_t i = 0; i < v->t.len; i++) {
            if (v->t.s[i] == '\'') strbuf_addc(out, '\'');
            strbuf_addc(out, v->t.s[i]);
        }
        strbuf_addc(out, '\'');
    } else {
        strbuf_addc(out, '\'');
        value_format(v, out);
        strbuf_addc(out, '\'');
    }
}

/* ---- conversion ---- */

static enum status no_cast(struct ctx *c, enum type from, enum type to)
{
    return fail(c, ERR_CANNOT_COERCE, "cannot cast type %s to %s", type_name(from), type_name(to));
}

static enum status cast_number(struct ctx *c, const struct value *v, enum type to,
                               struct value *out)
{
    bool from_float = type_is_float(v->type);
    wide whole = type_is_unsigned(v->type) ? (wide)v->u : (wide)v->i;
    if (to == T_BOOL) {
        *out = value_int(T_BOOL, from_float ? v->d != 0 : whole != 0);
    } else if (to == T_FLOAT64) {
        *out = value_double(from_float ? v->d : (double)whole);
    } else if (to == T_FLOAT32) {
        float f = from_float ? (float)v->d : (float)whole;
        *out = (struct value){.type = T_FLOAT32, .d = (double)f};
    } else {
        wide lo, hi;
        integer_range(to, &lo, &hi);
        if (from_float) {
            double rounded = rint(v->d);
            if (!(rounded >= (double)lo && rounded < (double)hi + 1))
                return fail(c, ERR_OVERFLOW, "%s out of range", type_name(to));
            whole = (wide)rounded;
        }
        if (whole < lo || whole > hi)
            return fail(c, ERR_OVERFLOW, "%s out of range", type_name(to));
        *out = integer_value(to, whole);
    }
    return OK;
}

static enum status cast_time(struct ctx *c, const struct value *v, enum type to, struct value *out)
{
    if (v->type == T_DATE) {
        int64_t us;
        if (v->i == DATE_INFINITY)
            us = TIMESTAMP_INFINITY;
        else if (v->i == DATE_MINUS_INFINITY)
            us = TIMESTAMP_MINUS_INFINITY;
        else if (__builtin_mul_overflow(v->i, US_PER_DAY, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "date out of range for timestamp");
        *out = value_int(to, us);
    } else {
        int64_t days = v->i / US_PER_DAY - (v->i % US_PER_DAY < 0);
        if (v->i == TIMESTAMP_INFINITY) days = DATE_INFINITY;
        if (v->i == TIMESTAMP_MINUS_INFINITY) days = DATE_MINUS_INFINITY;
        *out = value_int(to, days);
    }
    return OK;
}

enum status value_cast(struct ctx *c, const struct value *v, enum type to, struct value *out)
{
    enum type from = v->type;
    if (v->null) {
        *out = value_null(to);
        return OK;
    }
    if (from == to) {
        *out = *v;
        return OK;
    }
    if (from == T_UNKNOWN || from == T_TEXT) return value_parse(c, to, v->t, out);
    if (to == T_TEXT || to == T_UNKNOWN) {
        struct strbuf text = STRBUF_INIT;
        if (from == T_BOOL)
            strbuf_adds(&text, v->i ? "true" : "false");
        else
            value_format(v, &text);
        const char *s = arena_strndup(c->arena, text.s, text.len);
        *out = (struct value){.type = to, .t = {s, (int64_t)text.len}};
        strbuf_release(&text);
        return OK;
    }
    bool from_number = from == T_BOOL || type_is_numeric(from);
    if (from_number && (to == T_BOOL || type_is_numeric(to))) return cast_number(c, v, to, out);
    if (type_is_time(from) && type_is_time(to)) return cast_time(c, v, to, out);
    return no_cast(c, from, to);
}
