/* How are sin, exp, log … computed on a block of values? By SLEEF, one or two units in the last
 * place off. The only file that knows that library; compiled once per instruction set
 * (conf/kernels.mk). */
#include "query/kernels_isa.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>
#define __SLEEF_REMPITAB__ /* its private table; not ours to define here */
#include <sleef.h>

#define CAT2_(a, b) a##_##b
#define CAT2(a, b) CAT2_(a, b)
#define CAT3(a, b, c) CAT2(CAT2(a, b), c)
#define CAT4(a, b, c, d) CAT2(CAT3(a, b, c), d)
#define SLEEF_(name, lanes, bound, isa) Sleef_##name##lanes##_##bound##isa
#define SLEEF__(name, lanes, bound, isa) SLEEF_(name, lanes, bound, isa)

#if defined KERNELS_AVX512
#define VD __m512d
#define VF __m512
#define VECTOR(op) _mm512_##op
#define BYTES 64
#define ISA avx512f
#define LANES_D d8
#define LANES_F f16
#elif defined KERNELS_AVX2
#define VD __m256d
#define VF __m256
#define VECTOR(op) _mm256_##op
#define BYTES 32
#define ISA avx2
#define LANES_D d4
#define LANES_F f8
#else
#define VD __m128d
#define VF __m128
#define VECTOR(op) _mm_##op
#define BYTES 16
#define ISA sse2
#define LANES_D d2
#define LANES_F f4
#endif

#define T double
#define SUF f64
#define V VD
#define LANES (BYTES / 8)
#define LOAD VECTOR(loadu_pd)
#define STORE VECTOR(storeu_pd)
#define SPLAT VECTOR(set1_pd)
#define SLEEF(name, bound) SLEEF__(name, LANES_D, bound, ISA)
#include "query/vecmath_type.inc"

#define T float
#define SUF f32
#define V VF
#define LANES (BYTES / 4)
#define LOAD VECTOR(loadu_ps)
#define STORE VECTOR(storeu_ps)
#define SPLAT VECTOR(set1_ps)
#define SLEEF(name, bound) SLEEF__(name, LANES_F, bound, ISA)
#include "query/vecmath_type.inc"

#define BINARY_ROW(id, name, bound)                                                                \
    [B_##id] = {                                                                                   \
        [T_FLOAT32] = {name##_##bound##_vv_f32, name##_##bound##_vc_f32, name##_##bound##_cv_f32}, \
        [T_FLOAT64] = {name##_##bound##_vv_f64, name##_##bound##_vc_f64,                           \
                       name##_##bound##_cv_f64}},
#define UNARY_ROW(id, name, bound)                                                                 \
    [U_##id] = {[T_FLOAT32] = name##_##bound##_v_f32, [T_FLOAT64] = name##_##bound##_v_f64},

const struct math_kernels MATH_KERNELS = {.binary = {BINARY_MATH(BINARY_ROW)},
                                          .binary_fast = {BINARY_MATH_FAST(BINARY_ROW)},
                                          .unary = {UNARY_MATH(UNARY_ROW)},
                                          .unary_fast = {UNARY_MATH_FAST(UNARY_ROW)}};
