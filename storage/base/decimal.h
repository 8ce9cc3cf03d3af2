/* Exact decimals for float axes: mantissa × 10^-scale, so that the coordinate at any position is
 * the correctly rounded double of an exact number. */
#ifndef TESSERA_DECIMAL_H
#define TESSERA_DECIMAL_H
#include "storage/base/ctx.h"
#include "storage/base/strbuf.h"
#include "storage/base/types.h"

struct decimal {
    int64_t mant;
    int32_t scale; /* 0 … 30 */
};

/* Decimal text, exponent allowed. ERR_INVALID_TEXT, ERR_OVERFLOW. Trailing zeros are dropped. */
enum status decimal_parse(struct ctx *c, struct text s, struct decimal *out);
/* The shortest decimal that reads back as d. false for NaN, infinities or what does not fit. */
bool decimal_from_double(double d, struct decimal *out);
double decimal_to_double(struct decimal d); /* correctly rounded */
/* Correctly rounded double of origin + n × step. */
double decimal_at(struct decimal origin, struct decimal step, int64_t n);
/* decimal_at for n numbers first, first + stride, …: vectorised where the mantissas allow. */
void decimal_series(struct decimal origin, struct decimal step, int64_t first, int64_t stride,
                    int64_t n, double *out);
int decimal_compare(struct decimal a, struct decimal b);
/* (v - origin) / step, exactly divided: sets *n and returns true when it is a whole number;
 * otherwise *n is its floor. step must not be 0. */
bool decimal_steps(struct decimal origin, struct decimal step, struct decimal v, int64_t *n);
void decimal_format(struct decimal d, struct strbuf *out);

#endif
