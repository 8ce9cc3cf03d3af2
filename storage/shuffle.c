/* How bytes of values are gathered into planes, at the speed of the cache. AVX-512 was tried and is
 * slower than AVX2 here: its four-lane loads and stores cost more than the wider registers save. */
#include "storage/shuffle.h"
#include "storage/base/isa.h"
#include <string.h>

#define MAX_FAST_WIDTH 16

#if defined(__x86_64__)
#include <immintrin.h>

static inline __m128i load128(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}
static inline void store128(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

#define NAME(x) x##_sse2
#define TARGET
#define VEC __m128i
#define LANES 1
#define LOAD(p, stride) ((void)(stride), load128(p))
#define STORE(p, stride, v) ((void)(stride), store128(p, v))
#define LO(a, b) _mm_unpacklo_epi8(a, b)
#define HI(a, b) _mm_unpackhi_epi8(a, b)
#include "storage/shuffle_kernel.inc"

__attribute__((target("avx2"))) static inline __m256i load256(const uint8_t *p, ptrdiff_t stride)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load128(p)), load128(p + stride), 1);
}
__attribute__((target("avx2"))) static inline void store256(uint8_t *p, ptrdiff_t stride, __m256i v)
{
    store128(p, _mm256_castsi256_si128(v));
    store128(p + stride, _mm256_extracti128_si256(v, 1));
}

#define NAME(x) x##_avx2
#define TARGET __attribute__((target("avx2")))
#define VEC __m256i
#define LANES 2
#define LOAD(p, stride) load256(p, stride)
#define STORE(p, stride, v) store256(p, stride, v)
#define LO(a, b) _mm256_unpacklo_epi8(a, b)
#define HI(a, b) _mm256_unpackhi_epi8(a, b)
#include "storage/shuffle_kernel.inc"

int shuffle_isas(void)
{
    return isa_get() >= ISA_AVX2 ? 3 : 2;
}

static int64_t shuffle_fast(int isa, const uint8_t *src, int64_t n, size_t width, uint8_t *dst)
{
    switch (isa) {
    case 2:
        return shuffle_avx2(src, n, width, dst);
    case 1:
        return shuffle_sse2(src, n, width, dst);
    default:
        return 0;
    }
}

static int64_t unshuffle_fast(int isa, const uint8_t *const *planes, int64_t n, size_t width,
                              uint8_t *dst)
{
    switch (isa) {
    case 2:
        return unshuffle_avx2(planes, n, width, dst);
    case 1:
        return unshuffle_sse2(planes, n, width, dst);
    default:
        return 0;
    }
}

#else

int shuffle_isas(void)
{
    return 1;
}
static int64_t shuffle_fast(int isa, const uint8_t *src, int64_t n, size_t width, uint8_t *dst)
{
    (void)isa, (void)src, (void)n, (void)width, (void)dst;
    return 0;
}
static int64_t unshuffle_fast(int isa, const uint8_t *const *planes, int64_t n, size_t width,
                              uint8_t *dst)
{
    (void)isa, (void)planes, (void)n, (void)width, (void)dst;
    return 0;
}

#endif

void shuffle_bytes_by(int isa, const void *src, int64_t n, size_t width, void *dst)
{
    const uint8_t *s = src;
    uint8_t *d = dst;
    if (width == 1) {
        memcpy(d, s, (size_t)n);
        return;
    }
    int64_t done = shuffle_fast(isa, s, n, width, d);
    for (size_t j = 0; j < width; j++)
        for (int64_t i = done; i < n; i++)
            d[j * (size_t)n + (size_t)i] = s[(size_t)i * width + j];
}

void unshuffle_bytes_by(int isa, const void *src, int64_t n, size_t width, void *dst)
{
    const uint8_t *s = src, *planes[MAX_FAST_WIDTH];
    uint8_t *d = dst;
    int64_t done = 0;
    if (width == 1) {
        memcpy(d, s, (size_t)n);
        return;
    }
    for (size_t j = 0; width <= MAX_FAST_WIDTH && j < width; j++)
        planes[j] = s + j * (size_t)n;
    if (width <= MAX_FAST_WIDTH) done = unshuffle_fast(isa, planes, n, width, d);
    for (int64_t i = done; i < n; i++)
        for (size_t j = 0; j < width; j++)
            d[(size_t)i * width + j] = s[j * (size_t)n + (size_t)i];
}

void shuffle_bytes(const void *src, int64_t n, size_t width, void *dst)
{
    shuffle_bytes_by(shuffle_isas() - 1, src, n, width, dst);
}

void unshuffle_bytes(const void *src, int64_t n, size_t width, void *dst)
{
    unshuffle_bytes_by(shuffle_isas() - 1, src, n, width, dst);
}

void unshuffle_planes(const uint8_t *const *planes, int64_t n, size_t width, void *dst)
{
    uint8_t *d = dst;
    int64_t done = unshuffle_fast(shuffle_isas() - 1, planes, n, width, d);
    for (int64_t i = done; i < n; i++)
        for (size_t j = 0; j < width; j++)
            d[(size_t)i * width + j] = planes[j][i];
}
