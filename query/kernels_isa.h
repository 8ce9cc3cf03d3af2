/* Which instruction set is this compilation for? Names the tables of kernels.c and vecmath.c; the
 * choice between them is kernels_choose.c's. */
#ifndef TESSERA_KERNELS_ISA_H
#define TESSERA_KERNELS_ISA_H
#include "query/kernels.h"

#if defined KERNELS_AVX512
#define KERNELS kernels_avx512
#define MATH_KERNELS math_kernels_avx512
#define KERNELS_ISA "avx512"
#elif defined KERNELS_AVX2
#define KERNELS kernels_avx2
#define MATH_KERNELS math_kernels_avx2
#define KERNELS_ISA "avx2"
#else
#define KERNELS kernels_baseline
#define MATH_KERNELS math_kernels_baseline
#define KERNELS_ISA "baseline"
#endif

extern const struct kernels kernels_baseline;
extern const struct math_kernels math_kernels_baseline;
/* Only where the build has them: KERNELS_ALL is defined. */
extern const struct kernels kernels_avx512, kernels_avx2;
extern const struct math_kernels math_kernels_avx512, math_kernels_avx2;

#endif
