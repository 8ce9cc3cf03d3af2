/* Doubles from decimals and back, without the C library: exact, for exponents that occur. */
#ifndef TESSERA_FLOAT_TEXT_H
#define TESSERA_FLOAT_TEXT_H
#include <stdbool.h>
#include <stdint.h>

/* mant × 10^exponent, rounded to nearest, ties to even. False: out of the table's range. */
bool double_from_decimal(uint64_t mant, int exponent, double *out);
/* The shortest decimal that only x > 0 is nearest to (one in the middle between two doubles is
 * nearest to neither), of those the nearest one: mant × 10^exponent. False as above. */
bool double_shortest(double x, uint64_t *mant, int *exponent);

#endif
