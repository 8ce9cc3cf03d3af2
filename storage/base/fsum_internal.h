/* What the files of fsum share: how a number lies on the grid of bins. */
#ifndef TESSERA_FSUM_INTERNAL_H
#define TESSERA_FSUM_INTERNAL_H
#include "storage/base/fsum.h"
#include <string.h>

#define DIGIT_BITS 30
#define LOWEST_TOP (-33)
#define DIGIT_MASK ((1 << DIGIT_BITS) - 1)
#define ABS_MASK INT64_C(0x7fffffffffffffff)
#define INF_BITS INT64_C(0x7ff0000000000000)

static inline int64_t abs_bits(double x)
{
    int64_t bits;
    memcpy(&bits, &x, 8);
    return bits & ABS_MASK;
}

/* Of a finite number that is not 0; denormals: too low by some. */
static inline int exponent_of_bits(int64_t bits)
{
    return (int)(bits >> 52) - 1023;
}

/* The bin that has the bit of this exponent. */
static inline int32_t bin_of_exponent(int exponent)
{
    return exponent >= 0 ? exponent / DIGIT_BITS : -((DIGIT_BITS - 1 - exponent) / DIGIT_BITS);
}

/* The bin of a finite number that is not 0. */
static inline int32_t bin_of(int64_t bits)
{
    int32_t bin = bin_of_exponent(exponent_of_bits(bits)); /* of denormals: below the clamp */
    return bin < LOWEST_TOP ? LOWEST_TOP : bin;
}

static inline double power_of_two(int exponent)
{
    int64_t bits = (int64_t)(exponent + 1023) << 52;
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

#endif
