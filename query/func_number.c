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
