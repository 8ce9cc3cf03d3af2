/* Kernels: plain loops over the values of one block, stamped per type and built three times, for
 * AVX-512, AVX2 and the baseline. NULLs never enter them: a kernel computes every cell, whatever
 * the cell holds, and is defined for every bit pattern.
 *
 * Trouble: a kernel that can fail returns a set of enum trouble bits over all its cells, 0 as a
 * rule. The caller then looks for a cell that counts (one that exists, is valid and is reached) by
 * running the same kernel on single cells. The output is written in any case.
 *
 * BOOLEAN runs as uint8 (0, 1), DATE as int32, TIMESTAMP as int64: kernel_type(). Output and inputs
 * must not overlap. Constants stand at index 0 of the operand that a form calls constant. */
#ifndef TESSERA_KERNELS_H
#define TESSERA_KERNELS_H
#include "storage/base/types.h"
#include <stdbool.h>

enum trouble { TROUBLE_RANGE = 1, TROUBLE_ZERO_DIVISOR = 2 };

/* Of two operands of one type. */
#define BINARY_COMMON(X)                                                                           \
    X(ADD, add)                                                                                    \
    X(SUB, sub)                                                                                    \
    X(MUL, mul)                                                                                    \
    X(FLOORDIV, floordiv)                                                                          \
    X(MOD, mod)                                                                                    \
    X(FMOD, fmodulo)                                                                               \
    X(MAX, max)                                                                                    \
    X(MIN, min)
#define BINARY_COMPARE(X)                                                                          \
    X(EQ, eq)                                                                                      \
    X(NE, ne)                                                                                      \
    X(LT, lt)                                                                                      \
    X(LE, le)                                                                                      \
    X(GT, gt)                                                                                      \
    X(GE, ge)
#define BINARY_INT(X)                                                                              \
    X(BITAND, bitand)                                                                              \
    X(BITOR, bitor)                                                                                \
    X(BITXOR, bitxor)                                                                              \
    X(SHL, shl)                                                                                    \
    X(SHR, shr)
#define BINARY_FLOAT(X)                                                                            \
    X(DIV, div)                                                                                    \
    X(COPYSIGN, copysign)                                                                          \
    X(NEXTAFTER, nextafter)                                                                        \
    X(HEAVISIDE, heaviside)
#define BINARY_MATH(X)                                                                             \
    X(POW, pow, u10)                                                                               \
    X(ATAN2, atan2, u10)                                                                           \
    X(HYPOT, hypot, u05)

#define UNARY_COMMON(X)                                                                            \
    X(NEG, neg)                                                                                    \
    X(ABS, abs)                                                                                    \
    X(SIGN, sign)                                                                                  \
    X(SQUARE, square)
#define UNARY_INT(X) X(BITNOT, bitnot)
#define UNARY_FLOAT(X)                                                                             \
    X(SQRT, sqrt)                                                                                  \
    X(FLOOR, floor)                                                                                \
    X(CEIL, ceil)                                                                                  \
    X(TRUNC, trunc)                                                                                \
    X(RINT, rint)                                                                                  \
    X(RECIPROCAL, reciprocal)                                                                      \
    X(DEGREES, degrees)                                                                            \
    X(RADIANS, radians)
/* To BOOLEAN. */
#define UNARY_TEST(X)                                                                              \
    X(ISNAN, isnan)                                                                                \
    X(ISINF, isinf)                                                                                \
    X(ISFINITE, isfinite)                                                                          \
    X(SIGNBIT, signbit)
/* SLEEF's name and its error bound. */
#define UNARY_MATH(X)                                                                              \
    X(SIN, sin, u10)                                                                               \
    X(COS, cos, u10)                                                                               \
    X(TAN, tan, u10)                                                                               \
    X(ASIN, asin, u10)                                                                             \
    X(ACOS, acos, u10)                                                                             \
    X(ATAN, atan, u10)                                                                             \
    X(SINH, sinh, u10)                                                                             \
    X(COSH, cosh, u10)                                                                             \
    X(TANH, tanh, u10)                                                                             \
    X(ASINH, asinh, u10)                                                                           \
    X(ACOSH, acosh, u10)                                                                           \
    X(ATANH, atanh, u10)                                                                           \
    X(EXP, exp, u10)                                                                               \
    X(EXP2, exp2, u10)                                                                             \
    X(EXPM1, expm1, u10)                                                                           \
    X(LOG, log, u10)                                                                               \
    X(LOG2, log2, u10)                                                                             \
    X(LOG10, log10, u10)                                                                           \
    X(LOG1P, log1p, u10)                                                                           \
    X(CBRT, cbrt, u10)                                                                             \
    X(ERF, erf, u10)                                                                               \
    X(ERFC, erfc, u15)                                                                             \
    X(GAMMA, tgamma, u10)                                                                          \
    X(LGAMMA, lgamma, u10)
/* The same with larger bounds, and faster: for fast_math. */
#define BINARY_MATH_FAST(X)                                                                        \
    X(ATAN2, atan2, u35)                                                                           \
    X(HYPOT, hypot, u35)
#define UNARY_MATH_FAST(X)                                                                         \
    X(SIN, sin, u35)                                                                               \
    X(COS, cos, u35)                                                                               \
    X(TAN, tan, u35)                                                                               \
    X(ASIN, asin, u35)                                                                             \
    X(ACOS, acos, u35)                                                                             \
    X(ATAN, atan, u35)                                                                             \
    X(SINH, sinh, u35)                                                                             \
    X(COSH, cosh, u35)                                                                             \
    X(TANH, tanh, u35)                                                                             \
    X(LOG, log, u35)                                                                               \
    X(LOG2, log2, u35)                                                                             \
    X(CBRT, cbrt, u35)

enum binary_kernel {
#define X(id, ...) B_##id,
    BINARY_COMMON(X) BINARY_COMPARE(X) BINARY_INT(X) BINARY_FLOAT(X) BINARY_MATH(X)
#undef X
        N_BINARY
};
enum unary_kernel {
#define X(id, ...) U_##id,
    UNARY_COMMON(X) UNARY_INT(X) UNARY_FLOAT(X) UNARY_TEST(X) UNARY_MATH(X)
#undef X
        N_UNARY
};

/* Two operations of floats in one: each rounded as it is alone, or (fast_math) once. */
enum muladd_kernel {
    MULADD,
    /* a * b + c */ MULSUB,
    /* a * b - c */ SUBMUL /* c - a * b */,
    N_MULADD
};

enum kernel_form { FORM_VV, FORM_VC, FORM_CV, N_FORMS }; /* v: a value a cell; c: a constant */
typedef uint32_t binary_fn(void *out, const void *a, const void *b, int64_t n);
/* Bit i of out = a[i] compares with b[i] as asked; bits past n are 0. */
typedef void compare_bits_fn(uint64_t *out, const void *a, const void *b, int64_t n);
typedef void muladd_fn(void *out, const void *a, const void *b, const void *c, int64_t n);
/* The smallest or largest of n > 0 values that are not NaN (infinity if all are) into *best, of the
 * values' type; is one NaN? */
typedef bool extreme_fn(void *best, const void *a, int64_t n);
typedef uint32_t unary_fn(void *out, const void *a, int64_t n);
/* out[i] = a[i] is one of the n_set values, sorted ascending (no NaN among them). */
typedef void in_fn(uint8_t *out, const void *a, int64_t n, const void *set, int64_t n_set);
/* out[i] = bit i of mask ? a[i] : out[i]; values of 1, 2, 4, 8 or 16 bytes. */
typedef void blend_fn(void *out, const void *a, const uint64_t *mask, int64_t n, size_t bytes);
/* Every value of out is the one at a. */
typedef void fill_fn(void *out, const void *a, int64_t n);

struct kernels {
    const char *isa;
    binary_fn *binary[N_BINARY][N_TYPES][N_FORMS];
    binary_fn *compare_signed_unsigned[6][N_FORMS]; /* BIGINT with UBIGINT, from B_EQ on */
    unary_fn *unary[N_UNARY][N_TYPES];
    unary_fn *cast[N_TYPES][N_TYPES]; /* from, to; BOOLEAN and numbers */
    in_fn *in[N_TYPES];
    muladd_fn *muladd[N_MULADD][N_TYPES], *muladd_fast[N_MULADD][N_TYPES]; /* floats */
    extreme_fn *least[N_TYPES], *most[N_TYPES];
    compare_bits_fn *compare_bits[6][N_TYPES][N_FORMS]; /* from B_EQ on */
    blend_fn *blend;
    /* Of BOOLEANs as bytes; only bit 0 of an input counts. */
    void (*logical_and)(uint8_t *restrict out, const uint8_t *restrict a, int64_t n); /* out &= a */
    void (*logical_or)(uint8_t *restrict out, const uint8_t *restrict a, int64_t n);  /* out |= a */
    void (*logical_not)(uint8_t *restrict out, const uint8_t *restrict a, int64_t n); /* out = !a */
    void (*to_bits)(uint64_t *restrict out, const uint8_t *restrict a, int64_t n);
};

/* SLEEF's functions, a table of its own because one file knows that library. */
struct math_kernels {
    binary_fn *binary[N_BINARY][N_TYPES][N_FORMS], *binary_fast[N_BINARY][N_TYPES][N_FORMS];
    unary_fn *unary[N_UNARY][N_TYPES], *unary_fast[N_UNARY][N_TYPES];
};

/* The best that this processor runs, of those allowed: isa_get(). */
const struct kernels *kernels_get(void);
enum type kernel_type(enum type t);
/* NULL when there is none for the type. fast: fast_math is set. */
binary_fn *kernel_binary(enum binary_kernel k, enum type t, enum kernel_form form, bool fast);
unary_fn *kernel_unary(enum unary_kernel k, enum type t, bool fast);
/* By value size: 1, 2, 4, 8, 16 bytes. */
void kernel_fill(void *out, const void *a, int64_t n, size_t bytes);

#endif
