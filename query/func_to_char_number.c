/* How does to_char write a number, and to_number read one? PostgreSQL's patterns of 9s and 0s. */
#include "query/func_cells.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DIGITS_MOST = 15, PATTERN_MOST = 400 }; /* decimal digits that a double keeps */

enum item_kind {
    I_NINE,
    I_ZERO,
    I_POINT,
    I_GROUP,  /* , and G */
    I_SIGN,   /* S */
    I_MINUS,  /* MI */
    I_PLUS,   /* PL */
    I_EITHER, /* SG */
    I_ANGLE,  /* PR */
    I_FILL,   /* FM */
    I_ORDINAL,
    I_SHIFT, /* V */
    I_POWER, /* EEEE */
    I_ROMAN,
    I_CURRENCY,
    I_BLANK, /* B */
    I_LITERAL
};
static const struct {
    const char *name;
    enum item_kind kind;
} names[] = {{"eeee", I_POWER}, {"fm", I_FILL},   {"th", I_ORDINAL}, {"mi", I_MINUS},
             {"pl", I_PLUS},    {"sg", I_EITHER}, {"pr", I_ANGLE},   {"rn", I_ROMAN},
             {"9", I_NINE},     {"0", I_ZERO},    {".", I_POINT},    {"d", I_POINT},
             {",", I_GROUP},    {"g", I_GROUP},   {"s", I_SIGN},     {"v", I_SHIFT},
             {"l", I_CURRENCY}, {"b", I_BLANK}};

struct item {
    enum item_kind kind;
    char ch; /* of a literal, and the first of what the pattern says */
};
struct pattern_of_number {
    struct item items[PATTERN_MOST];
    int n;
    int before, after; /* digits of the point */
    int first_zero;    /* index among the digits; -1: none */
    int last_zero;     /* digits up to the last 0 */
    int shift;         /* V: digits behind it */
    bool point, fill, sign, sign_last, minus, plus, angle, power, roman;
};

static enum status add_item(struct ctx *c, struct pattern_of_number *p, enum item_kind kind,
                            char ch)
{
    if (p->n == PATTERN_MOST) return fail(c, ERR_LIMIT_EXCEEDED, "the format is too long");
    p->items[p->n++] = (struct item){kind, ch};
    int digits = p->before + p->after;
    switch (kind) {
    case I_NINE:
    case I_ZERO:
        if (kind == I_ZERO) {
            if (p->first_zero < 0 && !p->point) p->first_zero = digits;
            p->last_zero = digits + 1;
        }
        if (p->shift >= 0) p->shift++;
        if (p->point)
            p->after++;
        else
            p->before++;
        break;
    case I_POINT:
        if (p->point) return fail(c, ERR_SYNTAX, "multiple decimal points");
        if (p->shift >= 0)
            return fail(c, ERR_SYNTAX, "cannot use \"V\" and decimal point together");
        p->point = true;
        break;
    case I_SIGN:
        if (p->sign) return fail(c, ERR_SYNTAX, "cannot use \"S\" twice");
        p->sign = true;
        p->sign_last = digits > 0;
        break;
    case I_SHIFT:
        if (p->point) return fail(c, ERR_SYNTAX, "cannot use \"V\" and decimal point together");
        p->shift = 0;
        break;
    default:
        p->fill |= kind == I_FILL;
        p->minus |= kind == I_MINUS || kind == I_EITHER;
        p->plus |= kind == I_PLUS || kind == I_EITHER;
        p->angle |= kind == I_ANGLE;
        p->power |= kind == I_POWER;
        p->roman |= kind == I_ROMAN;
    }
    return OK;
}

static enum status parse_pattern(struct ctx *c, struct text f, struct pattern_of_number *p)
{
    *p = (struct pattern_of_number){.first_zero = -1, .shift = -1};
    for (int64_t i = 0; i < f.len;) {
        size_t k = 0, n = sizeof names / sizeof *names, len = 0;
        if (f.s[i] == '"') {
            for (i++; i < f.len && f.s[i] != '"'; i++)
                TRY(add_item(c, p, I_LITERAL, f.s[i]));
            i++;
            continue;
        }
        for (; k < n; k++) {
            len = strlen(names[k].name);
            if ((int64_t)len <= f.len - i && !strncasecmp(f.s + i, names[k].name, len)) break;
        }
        TRY(add_item(c, p, k < n ? names[k].kind : I_LITERAL, f.s[i]));
        i += k < n ? (int64_t)len : 1;
    }
    if (p->power && (p->sign || p->plus || p->minus || p->angle || p->roman))
        return fail(c, ERR_SYNTAX, "\"EEEE\" is incompatible with other formats");
    return OK;
}

/* ---- writing ---- */

/* One number on its way through the pattern. */
struct writing {
    const struct pattern_of_number *p;
    struct strbuf *b;
    char digits[512]; /* the number without its sign */
    const char *at;   /* the digit that comes next */
    const char *last; /* FM: what stands behind the last digit that counts; NULL: all do */
    bool negative, signed_, started;
    int place, lead, places; /* digits of the pattern: gone by, before the number's first, in all */
};

/* Digits of the number, cut to what the pattern and a double hold; '#' where it doesn't fit. */
static void set_digits(struct writing *w, double x)
{
    const struct pattern_of_number *p = w->p;
    int before = p->before, after = p->after;
    if (p->shift > 0) x *= pow(10, p->shift);
    w->negative = x < 0;
    x = fabs(x);
    int n = snprintf(w->digits, sizeof w->digits, "%.0f", x);
    if (n >= DIGITS_MOST)
        after = 0;
    else if (n + after > DIGITS_MOST)
        after = DIGITS_MOST - n;
    snprintf(w->digits, sizeof w->digits, "%.*f", after, x);
    n = (int)strcspn(w->digits, ".");
    if (n < before) w->lead = before - n;
    if (n > before || !isfinite(x)) {
        int all = before + after + 1; /* PATTERN_MOST at most */
        memset(w->digits, '#', (size_t)all);
        w->digits[before] = '.';
        w->digits[all] = 0;
    }
    w->at = w->digits;
}

/* FM: trailing zeros behind the point don't count, except where the pattern says 0. */
static void find_last(struct writing *w)
{
    char *point = strchr(w->digits, '.');
    if (!w->p->fill || !w->p->point || !point) return;
    const char *last = point;
    for (const char *s = point + 1; *s; s++)
        if (*s != '0') last = s;
    int zeros = w->p->last_zero - w->lead;
    if (zeros > 0) {
        int most = (int)strlen(w->digits) - 1;
        const char *kept = w->digits + (zeros < most ? zeros : most);
        if (last < kept) last = kept;
    }
    w->last = last;
}

/* ".5" rather than "0.5" when the pattern has no 0 there. */
static bool drops_zero(const struct writing *w)
{
    return w->p->first_zero < 0 && w->at == w->digits && *w->at == '0' && w->p->after > 0;
}

static void write_sign(struct writing *w)
{
    const struct pattern_of_number *p = w->p;
    bool last_is_point = w->last && *w->last == '.';
    if (w->signed_ || (w->place < w->lead && w->p->first_zero != w->place) ||
        (drops_zero(w) && !last_is_point))
        return;
    if (p->sign) {
        if (p->sign_last) return;
        strbuf_addc(w->b, w->negative ? '-' : '+');
    } else if (p->angle) {
        strbuf_addc(w->b, w->negative ? '<' : ' ');
    } else if (w->negative) {
        strbuf_addc(w->b, '-');
    } else if (!p->fill) {
        strbuf_addc(w->b, ' ');
    }
    w->signed_ = true;
}

static void write_end(struct writing *w)
{
    if (w->signed_ && w->p->angle && (!w->p->fill || w->negative))
        strbuf_addc(w->b, w->negative ? '>' : ' ');
    else if (w->p->sign && w->p->sign_last)
        strbuf_addc(w->b, w->negative ? '-' : '+');
}

static void write_point(struct writing *w)
{
    if (!w->last || *w->last != '.' || w->p->fill) strbuf_addc(w->b, '.');
}

static void write_digit(struct writing *w, bool zero)
{
    bool last_is_point = w->last && *w->last == '.';
    if (w->last && w->at > w->last && !zero) return;
    if (drops_zero(w)) {
        if (!w->p->fill)
            strbuf_addc(w->b, ' ');
        else if (last_is_point)
            strbuf_addc(w->b, '0');
    } else if (*w->at) {
        strbuf_addc(w->b, *w->at);
        w->started = true;
    }
}

/* One 9, 0 or point of the pattern. */
static void write_place(struct writing *w, bool zero)
{
    bool zeros = w->p->first_zero >= 0 && w->p->first_zero <= w->place;
    write_sign(w);
    if (w->place < w->lead && !zeros) {
        if (!w->p->fill) strbuf_addc(w->b, ' ');
    } else if (w->place < w->lead) {
        strbuf_addc(w->b, '0');
        w->started = true;
    } else {
        if (*w->at == '.')
            write_point(w);
        else
            write_digit(w, zero);
        if (*w->at) w->at++;
    }
    int end = w->places;
    if (w->last && w->last == w->at) end = w->place;
    if (++w->place == end) write_end(w);
}

static void write_ordinal(struct writing *w, bool upper)
{
    static const char *const ends[] = {"th", "st", "nd", "rd"};
    size_t n = strlen(w->digits);
    if (w->negative || *w->digits == '#' || w->p->point || n == 0) return;
    int units = w->digits[n - 1] - '0', tens = n > 1 ? w->digits[n - 2] - '0' : 0;
    const char *end = ends[units <= 3 && tens != 1 ? units : 0];
    strbuf_addc(w->b, upper ? (char)toupper((unsigned char)end[0]) : end[0]);
    strbuf_addc(w->b, upper ? (char)toupper((unsigned char)end[1]) : end[1]);
}

static void write_other(struct writing *w, const struct item *item)
{
    bool fill = w->p->fill;
    char sign = w->negative ? '-' : '+';
    switch (item->kind) {
    case I_GROUP:
        if (w->started)
            strbuf_addc(w->b, ',');
        else if (!fill)
            strbuf_addc(w->b, ' ');
        break;
    case I_MINUS:
        if (w->negative || !fill) strbuf_addc(w->b, w->negative ? '-' : ' ');
        break;
    case I_PLUS:
        if (!w->negative || !fill) strbuf_addc(w->b, w->negative ? ' ' : '+');
        break;
    case I_EITHER:
        strbuf_addc(w->b, sign);
        break;
    case I_ORDINAL:
        write_ordinal(w, isupper((unsigned char)item->ch));
        break;
    case I_CURRENCY:
        if (!fill) strbuf_addc(w->b, ' ');
        break;
    case I_LITERAL:
        strbuf_addc(w->b, item->ch);
        break;
    default:
        break;
    }
}

static void write_roman(struct strbuf *b, const struct pattern_of_number *p, double x)
{
    static const struct {
        int value;
        const char *letters;
    } parts[] = {{1000, "M"}, {900, "CM"}, {500, "D"}, {400, "CD"}, {100, "C"},
                 {90, "XC"},  {50, "L"},   {40, "XL"}, {10, "X"},   {9, "IX"},
                 {5, "V"},    {4, "IV"},   {1, "I"}};
    char out[20] = "###############";
    double whole = rint(x);
    if (whole >= 1 && whole <= 3999) {
        int rest = (int)whole;
        *out = 0;
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            for (; rest >= parts[i].value; rest -= parts[i].value)
                strcat(out, parts[i].letters);
    }
    bool lower = false;
    for (int i = 0; i < p->n; i++)
        lower |= p->items[i].kind == I_ROMAN && islower((unsigned char)p->items[i].ch);
    for (char *s = out; lower && *s; s++)
        *s = (char)tolower((unsigned char)*s);
    strbuf_addf(b, "%*s", p->fill ? 0 : 15, out);
}

static void write_number(struct strbuf *b, const struct pattern_of_number *p, double x)
{
    struct writing w = {.p = p, .b = b};
    if (p->roman) {
        write_roman(b, p, x);
        return;
    }
    if (p->power) {
        if (isfinite(x))
            strbuf_addf(b, "%s%.*e", x < 0 || p->fill ? "" : " ", p->after, x);
        else
            for (int i = 0; i < p->before + p->after + 6; i++)
                strbuf_addc(b, i == 0 ? ' ' : i == p->before + 1 ? '.' : '#');
        return;
    }
    set_digits(&w, x);
    find_last(&w);
    bool own_place = p->plus || p->minus; /* no column for a sign beside the digits */
    w.signed_ = own_place ? !p->plus || p->minus : !w.negative && p->fill && !p->sign;
    w.places = p->before + p->after + (p->point ? 1 : 0);
    for (int i = 0; i < p->n; i++) {
        const struct item *item = &p->items[i];
        if (item->kind == I_NINE || item->kind == I_ZERO || item->kind == I_POINT)
            write_place(&w, item->kind == I_ZERO);
        else
            write_other(&w, item);
    }
}

enum status number_to_char(struct ctx *c, struct call *k)
{
    struct strbuf b = STRBUF_INIT;
    struct pattern_of_number p;
    bool parsed = false;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        if (!parsed || k->arg[1].step) s = parse_pattern(c, ARG(k, 1, struct text, i), &p);
        parsed = true;
        if (s < 0) break;
        strbuf_clear(&b);
        write_number(&b, &p, ARG(k, 0, double, i));
        s = call_text_dup(c, k, b.s ? b.s : "", b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}

/* ---- reading ---- */

/* The digits that the pattern has room for; other characters of the text are passed over where the
 * pattern has something else than digits. */
static enum status read_number(struct ctx *c, const struct pattern_of_number *p, struct text t,
                               double *out)
{
    char digits[PATTERN_MOST + 8];
    size_t n = 0;
    int left = p->before, right = p->after;
    bool negative = false, point = false, any = false;
    if (p->roman) return fail(c, ERR_UNSUPPORTED, "\"RN\" not supported for input");
    if (p->power) return fail(c, ERR_UNSUPPORTED, "\"EEEE\" not supported for input");
    for (int64_t i = 0; i < t.len; i++) {
        char ch = t.s[i];
        bool digit = isdigit((unsigned char)ch);
        if (ch == '-' || (ch == '<' && p->angle)) negative = true;
        if (ch == '.' && p->point && !point) {
            point = true;
            digits[n++] = '.';
        } else if (digit && (point ? right-- > 0 : left-- > 0)) {
            digits[n++] = ch;
            any = true;
        } else if (digit) {
            break;
        }
    }
    digits[n] = 0;
    if (!any) {
        fail(c, ERR_INVALID_TEXT, "invalid input syntax for type numeric: \"%.*s\"",
             (int)(t.len < 64 ? t.len : 64), t.s);
        return ERR_INVALID_TEXT;
    }
    double x = strtod(digits, NULL);
    if (p->shift > 0) x /= pow(10, p->shift);
    *out = negative ? -x : x;
    return OK;
}

enum status number_from_text(struct ctx *c, struct call *k)
{
    struct pattern_of_number p;
    bool parsed = false;
    EACH_CELL(k, i)
    {
        if (!parsed || k->arg[1].step) TRY(parse_pattern(c, ARG(k, 1, struct text, i), &p));
        parsed = true;
        TRY(read_number(c, &p, ARG(k, 0, struct text, i), &((double *)k->out)[i]));
    }
    return OK;
}
