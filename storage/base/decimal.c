/* What is an exact decimal number as text, as a double, and as a count of steps?
 *
 * Numbers are brought to one scale in 128 bits; only when that does not fit (scales far apart)
 * do they go through doubles. An integer below 2^53 divided by a power of ten up to 10^22 rounds
 * once; other doubles are made by strtod from the exact digits. */
#include "storage/base/decimal.h"
#include "storage/base/value.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_SCALE 30

__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;

static i128 power_of_ten(int n)
{
    i128 p = 1;
    for (int i = 0; i < n; i++)
        p *= 10;
    return p;
}

static struct decimal without_trailing_zeros(struct decimal d)
{
    while (d.scale > 0 && d.mant % 10 == 0) {
        d.mant /= 10;
        d.scale--;
    }
    return d;
}

static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                      1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define MAX_EXACT_POWER 22
#define TWO_53 ((i128)1 << 53)

/* The nearest double to mant × 10^-scale. */
static double to_double(i128 mant, int scale)
{
    if (mant > -TWO_53 && mant < TWO_53 && scale <= MAX_EXACT_POWER)
        return (double)(int64_t)mant / exact_powers[scale];
    char text[64];
    size_t at = 48;
    u128 rest = mant < 0 ? -(u128)mant : (u128)mant;
    snprintf(text + at, sizeof text - at, "e-%d", scale);
    do
        text[--at] = (char)('0' + (int)(rest % 10));
    while (rest /= 10);
    if (mant < 0) text[--at] = '-';
    return strtod(text + at, NULL);
}

double decimal_to_double(struct decimal d)
{
    return to_double(d.mant, d.scale);
}

static int larger_scale(struct decimal a, struct decimal b)
{
    return a.scale > b.scale ? a.scale : b.scale;
}

static bool at_scale(struct decimal d, int scale, i128 *out)
{
    return !__builtin_mul_overflow(d.mant, power_of_ten(scale - d.scale), out);
}

/* Origin and step at their common scale; false when that does not fit 128 bits. */
static bool same_scale(struct decimal a, struct decimal b, i128 *x, i128 *y, int *scale)
{
    *scale = larger_scale(a, b);
    return at_scale(a, *scale, x) && at_scale(b, *scale, y);
}

double decimal_at(struct decimal origin, struct decimal step, int64_t n)
{
    i128 x, s, sum;
    int scale;
    if (same_scale(origin, step, &x, &s, &scale) && !__builtin_mul_overflow(s, n, &s) &&
        !__builtin_add_overflow(x, s, &sum))
        return to_double(sum, scale);
    return decimal_to_double(origin) + decimal_to_double(step) * (double)n;
}

void decimal_series(struct decimal origin, struct decimal step, int64_t first, int64_t stride,
                    int64_t n, double *out)
{
    i128 x, s, from, to, by;
    int scale;
    bool small = n > 0 && same_scale(origin, step, &x, &s, &scale) &&
                 !__builtin_mul_overflow(s, stride, &by) && !__builtin_mul_overflow(s, first, &s) &&
                 !__builtin_add_overflow(x, s, &from) && !__builtin_mul_overflow(by, n - 1, &to) &&
                 !__builtin_add_overflow(to, from, &to);
    if (small && scale <= MAX_EXACT_POWER && from > -TWO_53 && from < TWO_53 && to > -TWO_53 &&
        to < TWO_53) {
        double divisor = exact_powers[scale], start = (double)(int64_t)from;
        double each = (double)(int64_t)by;
        for (int64_t i = 0; i < n; i++)
            out[i] = (start + each * (double)i) / divisor;
    } else {
        for (int64_t i = 0; i < n; i++)
            out[i] = decimal_at(origin, step, first + i * stride);
    }
}

int decimal_compare(struct decimal a, struct decimal b)
{
    i128 x, y;
    int scale;
    if (same_scale(a, b, &x, &y, &scale)) return (x > y) - (x < y);
    /* The one too large for the other's scale is the larger in magnitude. */
    if (a.scale < b.scale) return a.mant > 0 ? 1 : -1;
    return b.mant > 0 ? -1 : 1;
}

bool decimal_steps(struct decimal origin, struct decimal step, struct decimal v, int64_t *n)
{
    i128 x, o, s, distance;
    int scale = larger_scale(origin, step);
    if (v.scale > scale) scale = v.scale;
    if (!at_scale(v, scale, &x) || !at_scale(origin, scale, &o) || !at_scale(step, scale, &s) ||
        __builtin_sub_overflow(x, o, &distance)) {
        double q =
            floor((decimal_to_double(v) - decimal_to_double(origin)) / decimal_to_double(step));
        *n = q >= 0x1p63 ? INT64_MAX : (q < -0x1p63 ? INT64_MIN : (int64_t)q);
        return false;
    }
    i128 rest = distance % s;
    i128 quotient = distance / s - (rest != 0 && (rest < 0) != (s < 0));
    bool in_range = quotient <= INT64_MAX && quotient >= INT64_MIN;
    *n = in_range ? (int64_t)quotient : (quotient > 0 ? INT64_MAX : INT64_MIN);
    return rest == 0 && in_range;
}

static enum status bad_syntax(struct ctx *c, struct text s)
{
    return fail(c, ERR_INVALID_TEXT, "invalid input syntax for type double precision: \"%.*s\"",
                (int)(s.len > 200 ? 200 : s.len), s.s);
}

static enum status too_long(struct ctx *c, struct text s)
{
    return fail(c, ERR_OVERFLOW, "\"%.*s\" has more digits than an axis can keep",
                (int)(s.len > 200 ? 200 : s.len), s.s);
}

enum status decimal_parse(struct ctx *c, struct text s, struct decimal *out)
{
    const char *p = s.s, *end = s.s + s.len;
    while (p < end && isspace((unsigned char)*p))
        p++;
    while (end > p && isspace((unsigned char)end[-1]))
        end--;
    bool negative = p < end && *p == '-', point = false;
    if (p < end && (*p == '-' || *p == '+')) p++;
    i128 mant = 0;
    int64_t scale = 0, n_digits = 0;
    for (; p < end && (isdigit((unsigned char)*p) || (*p == '.' && !point)); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        n_digits++;
        scale += point;
        if (mant > (i128)1 << 120) return too_long(c, s);
        mant = mant * 10 + (*p - '0');
    }
    if (n_digits == 0) return bad_syntax(c, s);
    if (p < end && (*p == 'e' || *p == 'E')) {
        bool minus = ++p < end && *p == '-';
        int64_t exponent = 0;
        if (p < end && (*p == '-' || *p == '+')) p++;
        if (p == end) return bad_syntax(c, s);
        for (; p < end && isdigit((unsigned char)*p); p++)
            exponent = exponent < 10000 ? exponent * 10 + (*p - '0') : exponent;
        scale += minus ? exponent : -exponent;
    }
    if (p != end) return bad_syntax(c, s);
    while (mant != 0 && mant % 10 == 0) {
        mant /= 10;
        scale--;
    }
    if (mant == 0) scale = 0;
    if (scale < -18 || scale > MAX_SCALE) return too_long(c, s);
    if (scale < 0) {
        if (__builtin_mul_overflow(mant, power_of_ten((int)-scale), &mant)) return too_long(c, s);
        scale = 0;
    }
    if (mant > INT64_MAX) return too_long(c, s);
    *out = (struct decimal){negative ? -(int64_t)mant : (int64_t)mant, (int32_t)scale};
    return OK;
}

bool decimal_from_double(double d, struct decimal *out)
{
    if (!isfinite(d)) return false;
    struct strbuf text = STRBUF_INIT;
    struct value v = value_double(d);
    value_format(&v, &text);
    struct ctx unheard = {0};
    bool fits = decimal_parse(&unheard, (struct text){text.s, (int64_t)text.len}, out) == OK;
    strbuf_release(&text);
    return fits;
}

void decimal_format(struct decimal d, struct strbuf *out)
{
    struct decimal shown = without_trailing_zeros(d);
    char digits[40];
    uint64_t mant = shown.mant < 0 ? -(uint64_t)shown.mant : (uint64_t)shown.mant;
    int n = snprintf(digits, sizeof digits, "%0*llu", shown.scale + 1, (unsigned long long)mant);
    if (shown.mant < 0) strbuf_addc(out, '-');
    strbuf_add(out, digits, (size_t)(n - shown.scale));
    if (shown.scale == 0) return;
    strbuf_addc(out, '.');
    strbuf_add(out, digits + n - shown.scale, (size_t)shown.scale);
}
