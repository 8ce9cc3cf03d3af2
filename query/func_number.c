/* Which functions of numbers have no kernel? Those that take several types or loop inside. */
#include "query/func_cells.h"
#include <math.h>

/* ---- rounding to a number of decimals, as NumPy does it ---- */

/* The power of ten by which to multiply (or, for negative digits, divide); 0 where rounding leaves
 * everything, or nothing. */
static double scale_of(int64_t digits)
{
    if (digits > 308 || digits < -308) return 0;
    return pow(10, (double)(digits < 0 ? -digits : digits));
}

static inline double scaled(double x, int64_t digits, double p, double (*whole)(double))
{
    if (p == 0) return digits > 0 || x != x ? x : copysign(0, x);
    if (digits < 0) return whole(x / p) * p;
    double y = x * p;
    return isinf(y) ? x : whole(y) / p;
}

static inline enum status round_with(struct call *k, double (*whole)(double))
{
    bool constant = k->arg[1].step == 0;
    int64_t digits = constant ? ARG(k, 1, int64_t, 0) : 0;
    double p = scale_of(digits);
    EACH_CELL(k, i)
    {
        if (!constant) {
            digits = ARG(k, 1, int64_t, i);
            p = scale_of(digits);
        }
        if (k->type == T_FLOAT32)
            ((float *)k->out)[i] = (float)scaled((double)ARG(k, 0, float, i), digits, p, whole);
        else
            ((double *)k->out)[i] = scaled(ARG(k, 0, double, i), digits, p, whole);
    }
    return OK;
}

enum status number_round(struct ctx *c, struct call *k)
{
    (void)c;
    return round_with(k, rint);
}

enum status number_trunc(struct ctx *c, struct call *k)
{
    (void)c;
    return round_with(k, trunc);
}

enum status number_ldexp(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        int64_t by = ARG(k, 1, int64_t, i);
        int e = by > 5000 ? 5000 : by < -5000 ? -5000 : (int)by;
        if (k->type == T_FLOAT32)
            ((float *)k->out)[i] = ldexpf(ARG(k, 0, float, i), e);
        else
            ((double *)k->out)[i] = ldexp(ARG(k, 0, double, i), e);
    }
    return OK;
}

/* ---- whole numbers ---- */

static uint64_t magnitude(const struct value *v)
{
    return type_is_signed(v->type) && v->i < 0 ? 0 - v->u : v->u;
}

static enum status put_magnitude(struct ctx *c, struct call *k, int64_t i, uint64_t x)
{
    int bits = 8 * (int)type_bytes(k->type) - type_is_signed(k->type);
    if (bits < 64 && x >> bits) return fail(c, ERR_OVERFLOW, "%s out of range", type_name(k->type));
    struct value v = {.type = k->type, .u = x};
    value_put(&v, k->out, i);
    return OK;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint64_t magnitude_at(const struct call *k, int j, int64_t i)
{
    struct value v = value_get(k->arg[j].type, k->arg[j].values, k->arg[j].step * i);
    return magnitude(&v);
}

enum status number_gcd(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    TRY(put_magnitude(c, k, i, gcd(magnitude_at(k, 0, i), magnitude_at(k, 1, i))));
    return OK;
}

enum status number_lcm(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        uint64_t a = magnitude_at(k, 0, i), b = magnitude_at(k, 1, i), product = 0;
        if (a && b && __builtin_mul_overflow(a / gcd(a, b), b, &product)) product = UINT64_MAX;
        TRY(put_magnitude(c, k, i, product));
    }
    return OK;
}

enum status number_factorial(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int64_t n = ARG(k, 0, int64_t, i), product = 1;
        if (n < 0) return fail(c, ERR_OVERFLOW, "factorial of a negative number is undefined");
        if (n > 20) return fail(c, ERR_OVERFLOW, "bigint out of range");
        for (int64_t f = 2; f <= n; f++)
            product *= f;
        ((int64_t *)k->out)[i] = product;
    }
    return OK;
}

/* The ones of the two's complement. */
enum status number_bit_count(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        struct value v = value_get(k->arg[0].type, k->arg[0].values, k->arg[0].step * i);
        int bits = 8 * (int)type_bytes(v.type);
        ((int32_t *)k->out)[i] =
            __builtin_popcountll(bits < 64 ? v.u & ((UINT64_C(1) << bits) - 1) : v.u);
    }
    return OK;
}

/* ---- floats of both widths ---- */

static inline double number(const struct call *k, int j, int64_t i)
{
    return k->arg[j].type == T_FLOAT32 ? (double)ARG(k, j, float, i) : ARG(k, j, double, i);
}

static inline void put_number(struct call *k, int64_t i, double x)
{
    if (k->type == T_FLOAT32)
        ((float *)k->out)[i] = (float)x;
    else
        ((double *)k->out)[i] = x;
}

static enum status each_of_one(struct call *k, double (*f)(double))
{
    EACH_CELL(k, i)
    put_number(k, i, f(number(k, 0, i)));
    return OK;
}

static enum status each_of_two(struct call *k, double (*f)(double, double))
{
    EACH_CELL(k, i)
    put_number(k, i, f(number(k, 0, i), number(k, 1, i)));
    return OK;
}

/* A function of numbers through a plain C function. */
#define OF_ONE(name, f)                                                                            \
    enum status name(struct ctx *c, struct call *k)                                                \
    {                                                                                              \
        (void)c;                                                                                   \
        return each_of_one(k, f);                                                                  \
    }
#define OF_TWO(name, f)                                                                            \
    enum status name(struct ctx *c, struct call *k)                                                \
    {                                                                                              \
        (void)c;                                                                                   \
        return each_of_two(k, f);                                                                  \
    }

/* log(exp(a) + exp(b)), without leaving the range on the way. */
static double log_add_exp(double a, double b)
{
    if (a == b) return a + 0.69314718055994530942;
    double d = a - b;
    return d > 0 ? a + log1p(exp(-d)) : d <= 0 ? b + log1p(exp(d)) : d;
}

static double log_add_exp2(double a, double b)
{
    const double log2_e = 1.44269504088896340736;
    if (a == b) return a + 1;
    double d = a - b;
    return d > 0 ? a + log2_e * log1p(exp2(-d)) : d <= 0 ? b + log2_e * log1p(exp2(d)) : d;
}

static double sinc(double x)
{
    double y = 3.14159265358979323846 * x;
    return y == 0 ? 1 : sin(y) / y;
}

/* The modified Bessel function of order 0: its power series, sum of (x²/4)^k / k!², where that is
 * short, else the asymptotic one (Abramowitz and Stegun 9.6.12 and 9.7.1). */
static double bessel_i0(double x)
{
    double a = fabs(x), term = 1, sum = 1;
    if (isinf(a)) return INFINITY;
    if (a < 30) {
        for (int k = 1; k < 200 && term > sum * 0x1p-54; k++) {
            term *= a * a / 4 / ((double)k * k);
            sum += term;
        }
        return sum;
    }
    for (int k = 1; k < 60 && term > sum * 0x1p-54; k++) {
        double odd = 2.0 * k - 1;
        term *= odd * odd / (8 * a * k);
        sum += term;
    }
    return exp(a / 2) / sqrt(2 * 3.14159265358979323846 * a) * sum * exp(a / 2);
}

/* Functions of degrees are exact at the multiples of 30 and 45 that have exact values, as in
 * PostgreSQL. */
static double sine_of_first(double x) /* 0 … 90 */
{
    return x == 30 ? 0.5 : x == 90 ? 1 : sin(x * 3.14159265358979323846 / 180);
}

static double cosine_of_first(double x)
{
    return x == 60 ? 0.5 : x == 90 ? 0 : cos(x * 3.14159265358979323846 / 180);
}

static double sine_of_degrees(double x)
{
    x = fmod(x, 360);
    double sign = x < 0 ? -1 : 1;
    x = fabs(x);
    if (x > 180) {
        x = 360 - x;
        sign = -sign;
    }
    return sign * sine_of_first(x > 90 ? 180 - x : x);
}

static double cosine_of_degrees(double x)
{
    x = fabs(fmod(x, 360));
    if (x > 180) x = 360 - x;
    return x > 90 ? -cosine_of_first(180 - x) : cosine_of_first(x);
}

static double tangent_of_degrees(double x)
{
    double s = sine_of_degrees(x), c = cosine_of_degrees(x);
    return fabs(fmod(x, 180)) == 45 || fabs(fmod(x, 180)) == 135 ? (s * c > 0 ? 1 : -1) : s / c;
}

static double cotangent_of_degrees(double x)
{
    double t = tangent_of_degrees(x);
    return fabs(t) == 1 ? t : cosine_of_degrees(x) / sine_of_degrees(x);
}

static double in_degrees(double radians)
{
    double x = radians * 180 / 3.14159265358979323846, near = rint(x);
    return fabs(x - near) < 1e-13 * 180 ? near : x;
}

static double arc_sine(double x)
{
    return in_degrees(asin(x));
}
static double arc_cosine(double x)
{
    return in_degrees(acos(x));
}
static double arc_tangent(double x)
{
    return in_degrees(atan(x));
}
static double arc_tangent_of(double y, double x)
{
    return in_degrees(atan2(y, x));
}
static double cotangent(double x)
{
    return 1 / tan(x);
}

OF_TWO(number_fmax, fmax)
OF_TWO(number_fmin, fmin)
OF_TWO(number_logaddexp, log_add_exp)
OF_TWO(number_logaddexp2, log_add_exp2)
OF_ONE(number_sinc, sinc)
OF_ONE(number_i0, bessel_i0)
OF_ONE(number_cot, cotangent)
OF_ONE(number_sind, sine_of_degrees)
OF_ONE(number_cosd, cosine_of_degrees)
OF_ONE(number_tand, tangent_of_degrees)
OF_ONE(number_cotd, cotangent_of_degrees)
OF_ONE(number_asind, arc_sine)
OF_ONE(number_acosd, arc_cosine)
OF_ONE(number_atand, arc_tangent)
OF_TWO(number_atan2d, arc_tangent_of)

/* The distance to the next float away from 0. */
enum status number_spacing(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        if (k->type == T_FLOAT32) {
            float x = ARG(k, 0, float, i);
            ((float *)k->out)[i] = nextafterf(x, x < 0 ? -INFINITY : INFINITY) - x;
        } else {
            double x = ARG(k, 0, double, i);
            ((double *)k->out)[i] = nextafter(x, x < 0 ? -INFINITY : INFINITY) - x;
        }
    }
    return OK;
}

/* NaN becomes 0, infinities the largest numbers of the type. */
enum status number_nan_to_num(struct ctx *c, struct call *k)
{
    (void)c;
    double most = k->type == T_FLOAT32 ? 3.40282346638528859812e38 : 1.79769313486231570815e308;
    EACH_CELL(k, i)
    {
        double x = number(k, 0, i);
        put_number(k, i, isnan(x) ? 0 : isinf(x) ? copysign(most, x) : x);
    }
    return OK;
}

/* isclose(a, b, rtol, atol) as NumPy's: |a - b| <= atol + rtol |b|. */
enum status number_isclose(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        double a = number(k, 0, i), b = number(k, 1, i);
        double relative = k->n_args > 2 ? number(k, 2, i) : 1e-5;
        double absolute = k->n_args > 3 ? number(k, 3, i) : 1e-8;
        bool finite = isfinite(a) && isfinite(b);
        ((uint8_t *)k->out)[i] = finite ? fabs(a - b) <= absolute + relative * fabs(b) : a == b;
    }
    return OK;
}

/* ---- bins ---- */

/* width_bucket(x, lo, hi, n): 1 … n, 0 before and n + 1 after; hi < lo counts downward. */
enum status number_width_bucket(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        double x = number(k, 0, i), lo = number(k, 1, i), hi = number(k, 2, i);
        int64_t n = ARG(k, 3, int64_t, i), at;
        if (n <= 0) return fail(c, ERR_INVALID_WIDTH, "count must be greater than zero");
        if (isnan(x) || isnan(lo) || isnan(hi))
            return fail(c, ERR_INVALID_WIDTH,
                        "operand, lower bound, and upper bound cannot be NaN");
        if (!isfinite(lo) || !isfinite(hi))
            return fail(c, ERR_INVALID_WIDTH, "lower and upper bounds must be finite");
        if (lo == hi) return fail(c, ERR_INVALID_WIDTH, "lower bound cannot equal upper bound");
        if (n >= INT32_MAX) return fail(c, ERR_OVERFLOW, "integer out of range");
        bool before = lo < hi ? x < lo : x > lo, after = lo < hi ? x >= hi : x <= hi;
        at = before  ? 0
             : after ? n + 1
                     : (int64_t)floor((double)n * ((x / 2 - lo / 2) / (hi / 2 - lo / 2))) + 1;
        ((int32_t *)k->out)[i] = (int32_t)(at > n + 1 ? n + 1 : at);
    }
    return OK;
}

/* digitize(x, b1, b2 …) as NumPy's, ascending bins: how many of them are at or below x; NaN lies
 * after all. */
enum status number_digitize(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        double x = number(k, 0, i);
        int32_t at = 0;
        for (int j = 1; j < k->n_args; j++) {
            double edge = number(k, j, i);
            if (j > 1 && !(number(k, j - 1, i) <= edge))
                return fail(c, ERR_INVALID_PARAMETER, "the bins of digitize must ascend");
            at += isnan(x) || x >= edge;
        }
        ((int32_t *)k->out)[i] = at;
    }
    return OK;
}

/* interp(x, x1, y1, x2, y2 …) as NumPy's: linear between the points, flat outside. */
enum status number_interp(struct ctx *c, struct call *k)
{
    if (k->n_args % 2 == 0 || k->n_args < 3)
        return fail(c, ERR_INVALID_PARAMETER, "interp takes x and pairs of x and y");
    int n = k->n_args / 2;
    EACH_CELL(k, i)
    {
        double x = number(k, 0, i);
        int at = 0;
        while (at < n && number(k, 1 + 2 * at, i) <= x)
            at++;
        for (int j = 1; j < n; j++)
            if (!(number(k, 2 * j - 1, i) < number(k, 2 * j + 1, i)))
                return fail(c, ERR_INVALID_PARAMETER, "the points of interp must ascend");
        if (isnan(x)) {
            put_number(k, i, x);
        } else if (at == 0 || at == n) {
            put_number(k, i, number(k, at == 0 ? 2 : 2 * n, i));
        } else {
            double x0 = number(k, 2 * at - 1, i), y0 = number(k, 2 * at, i);
            double slope = (number(k, 2 * at + 2, i) - y0) / (number(k, 2 * at + 1, i) - x0);
            put_number(k, i, slope * (x - x0) + y0);
        }
    }
    return OK;
}

/* div(y, x): the quotient cut to a whole number, towards 0. */
enum status number_div(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        if (type_is_float(k->type)) {
            put_number(k, i, trunc(number(k, 0, i) / number(k, 1, i)));
            continue;
        }
        struct value a = value_get(k->arg[0].type, k->arg[0].values, k->arg[0].step * i);
        struct value b = value_get(k->arg[1].type, k->arg[1].values, k->arg[1].step * i);
        uint64_t y = magnitude(&b);
        if (y == 0) return fail(c, ERR_DIVISION_BY_ZERO, "division by zero");
        bool below = type_is_signed(k->type) && (a.i < 0) != (b.i < 0);
        uint64_t q = magnitude(&a) / y;
        if (below) {
            struct value v = {.type = k->type, .u = 0 - q};
            value_put(&v, k->out, i);
        } else {
            TRY(put_magnitude(c, k, i, q));
        }
    }
    return OK;
}

/* How many of the arguments are NULL; the kernel says whether those that are not. */
enum status count_nulls(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        int32_t n = 0;
        for (int j = 0; j < k->n_args; j++)
            n += arg_null(k, j, i) != (k->func->kernel != 0);
        ((int32_t *)k->out)[i] = n;
    }
    return OK;
}
