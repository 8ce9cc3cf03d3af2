/* How are many numbers taken apart into digits at once?
 *
 * A digit is what truncation leaves of the number in units of its bin; the rest, which is exact,
 * goes on to the next bin. The last bin that any number reaches takes its rest as it is. Sums of
 * digits are exact in doubles: each is below 2^30, and a lane has far less than 2^23 of them. */
#include "storage/base/fsum_kernels.h"
#include "storage/base/isa.h"
#include <float.h>
#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES FSUM_LANES
#define ABS_MASK INT64_C(0x7fffffffffffffff)
#define ROUND_ONE 0x1.8p52                        /* added, it leaves multiples of 1 */
#define ROUND_LOW (ROUND_ONE / (1LL << FSUM_LOW)) /* and of 2^-FSUM_LOW */

typedef double pair __attribute__((vector_size(16)));
typedef int64_t pair_int __attribute__((vector_size(16)));
typedef int32_t pair_half __attribute__((vector_size(8)));

/* a where the mask is set, else b. */
static inline pair choose(pair_int mask, pair a, pair b)
{
    return (pair)(((pair_int)a & mask) | ((pair_int)b & ~mask));
}

static inline pair cut(pair x)
{
    pair whole = __builtin_convertvector(__builtin_convertvector(x, pair_half), pair);
    return whole + (x - x);
}

#define NAME(x) base_##x
#define TARGET
#define BYTES 16
#define MAX(a, b) choose((a) > (b), a, b)
#define MIN(a, b) choose((a) < (b), a, b)
#define CUT(x) cut(x)
#define WHOLE(x) (((x) + ROUND_ONE) - ROUND_ONE)
#include "storage/base/fsum_kernels.inc"

#if defined(__x86_64__)
#define TO_ZERO (_MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC)

#define NAME(x) avx2_##x
#define TARGET TARGET_AVX2
#define BYTES 32
#define MAX(a, b) _mm256_max_pd(a, b)
#define MIN(a, b) _mm256_min_pd(a, b)
#define CUT(x) _mm256_round_pd(x, TO_ZERO)
#define WHOLE(x) CUT(x)
#include "storage/base/fsum_kernels.inc"

#define NAME(x) avx512_##x
#define TARGET TARGET_AVX512
#define BYTES 64
#define MAX(a, b) _mm512_max_pd(a, b)
#define MIN(a, b) _mm512_min_pd(a, b)
#define CUT(x) _mm512_roundscale_pd(x, TO_ZERO)
#define WHOLE(x) CUT(x)
#include "storage/base/fsum_kernels.inc"
#endif

const struct fsum_kernels *fsum_kernels_get(void)
{
#if defined(__x86_64__)
    if (isa_get() == ISA_AVX512) return &avx512_kernels;
    if (isa_get() == ISA_AVX2) return &avx2_kernels;
#endif
    return &base_kernels;
}
