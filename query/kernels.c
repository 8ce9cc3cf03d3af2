/* How is arithmetic done on a block of values? Compiled once per instruction set (conf/kernels.mk)
 * with KERNELS naming the table that results. */
#include "query/kernels.h"
#include "query/kernels_isa.h"
#include <math.h>
#include <string.h>
#if defined __AVX2__
#include <immintrin.h>
#endif

#define CAT2_(a, b) a##_##b
#define CAT2(a, b) CAT2_(a, b)
#define CAT3(a, b, c) CAT2(CAT2(a, b), c)
#define CAT4(a, b, c, d) CAT2(CAT3(a, b, c), d)

/* The low bits of 64 bytes, each 0 or 1. */
static inline uint64_t pack_bytes(const uint8_t *b)
{
#if defined __AVX512BW__
    __m512i v = _mm512_loadu_si512(b);
    return _mm512_test_epi8_mask(v, v);
#else
    uint64_t bits = 0;
    for (int k = 0; k < 8; k++) { /* the multiplication gathers eight bytes' low bits at the top */
        uint64_t eight;
        memcpy(&eight, b + 8 * k, 8);
        bits |= (((eight & 0x0101010101010101u) * 0x0102040810204080u) >> 56) << (8 * k);
    }
    return bits;
#endif
}

#define T int8_t
#define U uint8_t
#define W int32_t
#define SUF i8
#define BITS 8
#define SIGNED 1
#define T_MIN INT8_MIN
#define T_MAX INT8_MAX
#include "query/kernels_int.inc"

#define T int16_t
#define U uint16_t
#define W int32_t
#define SUF i16
#define BITS 16
#define SIGNED 1
#define T_MIN INT16_MIN
#define T_MAX INT16_MAX
#include "query/kernels_int.inc"

#define T int32_t
#define U uint32_t
#define W int64_t
#define SUF i32
#define BITS 32
#define SIGNED 1
#define T_MIN INT32_MIN
#define T_MAX INT32_MAX
#include "query/kernels_int.inc"

#define T int64_t
#define U uint64_t
#define W int64_t
#define SUF i64
#define BITS 64
#define SIGNED 1
#define T_MIN INT64_MIN
#define T_MAX INT64_MAX
#include "query/kernels_int.inc"

#define T uint8_t
#define U uint8_t
#define W uint32_t
#define SUF u8
#define BITS 8
#define SIGNED 0
#define T_MIN 0
#define T_MAX UINT8_MAX
#include "query/kernels_int.inc"

#define T uint16_t
#define U uint16_t
#define W uint32_t
#define SUF u16
#define BITS 16
#define SIGNED 0
#define T_MIN 0
#define T_MAX UINT16_MAX
#include "query/kernels_int.inc"

#define T uint32_t
#define U uint32_t
#define W uint64_t
#define SUF u32
#define BITS 32
#define SIGNED 0
#define T_MIN 0
#define T_MAX UINT32_MAX
#include "query/kernels_int.inc"

#define T uint64_t
#define U uint64_t
#define W uint64_t
#define SUF u64
#define BITS 64
#define SIGNED 0
#define T_MIN 0
#define T_MAX UINT64_MAX
#include "query/kernels_int.inc"

#define T float
#define U uint32_t
#define SUF f32
#define F(name) __builtin_##name##f
#include "query/kernels_float.inc"

#define T double
#define U uint64_t
#define SUF f64
#define F(name) __builtin_##name
#include "query/kernels_float.inc"

#define A uint8_t
#define A_KIND 3
#define ASUF b
#include "query/kernels_cast.inc"
#define A int8_t
#define A_KIND 0
#define ASUF i8
#include "query/kernels_cast.inc"
#define A int16_t
#define A_KIND 0
#define ASUF i16
#include "query/kernels_cast.inc"
#define A int32_t
#define A_KIND 0
#define ASUF i32
#include "query/kernels_cast.inc"
#define A int64_t
#define A_KIND 0
#define ASUF i64
#include "query/kernels_cast.inc"
#define A uint8_t
#define A_KIND 1
#define ASUF u8
#include "query/kernels_cast.inc"
#define A uint16_t
#define A_KIND 1
#define ASUF u16
#include "query/kernels_cast.inc"
#define A uint32_t
#define A_KIND 1
#define ASUF u32
#include "query/kernels_cast.inc"
#define A uint64_t
#define A_KIND 1
#define ASUF u64
#include "query/kernels_cast.inc"
#define A float
#define A_KIND 2
#define ASUF f32
#include "query/kernels_cast.inc"
#define A double
#define A_KIND 2
#define ASUF f64
#include "query/kernels_cast.inc"

/* BIGINT against UBIGINT, exactly: a negative number is less than any unsigned one. */
#define TA int64_t
#define TB uint64_t
#define R uint8_t
#define U uint8_t
#define SUF iu
static inline uint8_t eq_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a >= 0) & ((uint64_t)a == b);
}
static inline uint8_t ne_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a < 0) | ((uint64_t)a != b);
}
static inline uint8_t lt_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a < 0) | ((uint64_t)a < b);
}
static inline uint8_t le_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a < 0) | ((uint64_t)a <= b);
}
static inline uint8_t gt_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a >= 0) & ((uint64_t)a > b);
}
static inline uint8_t ge_iu(int64_t a, uint64_t b, uint8_t *trouble)
{
    (void)trouble;
    return (a >= 0) & ((uint64_t)a >= b);
}
#define NAME eq
#include "query/kernel_binary.inc"
#define NAME ne
#include "query/kernel_binary.inc"
#define NAME lt
#include "query/kernel_binary.inc"
#define NAME le
#include "query/kernel_binary.inc"
#define NAME gt
#include "query/kernel_binary.inc"
#define NAME ge
#include "query/kernel_binary.inc"

static void logical_and(uint8_t *restrict out, const uint8_t *restrict a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint8_t)(out[i] & a[i] & 1);
}

static void logical_or(uint8_t *restrict out, const uint8_t *restrict a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint8_t)((out[i] | a[i]) & 1);
}

static void logical_not(uint8_t *restrict out, const uint8_t *restrict a, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint8_t)((a[i] ^ 1) & 1);
}

static void to_bits(uint64_t *restrict out, const uint8_t *restrict a, int64_t n)
{
    for (int64_t w = 0; w * 64 < n; w++) {
        uint8_t last[64] = {0};
        int64_t left = n - w * 64;
        if (left < 64) memcpy(last, a + w * 64, (size_t)left);
        out[w] = pack_bytes(left < 64 ? last : a + w * 64);
    }
}

#define BLEND(T, name)                                                                             \
    static void name(void *out, const void *a, uint64_t bits, int64_t at, int64_t n)               \
    {                                                                                              \
        T *restrict o = (T *)out + at;                                                             \
        const T *restrict v = (const T *)a + at;                                                   \
        for (int64_t i = 0; i < n; i++) {                                                          \
            T all = (T)(0 - (T)(bits >> i & 1));                                                   \
            o[i] = (T)((v[i] & all) | (o[i] & (T)~all));                                           \
        }                                                                                          \
    }
BLEND(uint8_t, blend_1)
BLEND(uint16_t, blend_2)
BLEND(uint32_t, blend_4)
BLEND(uint64_t, blend_8)

static void blend_16(void *out, const void *a, uint64_t bits, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (bits >> i & 1) memcpy((char *)out + 16 * (at + i), (const char *)a + 16 * (at + i), 16);
}

static void blend(void *out, const void *a, const uint64_t *mask, int64_t n, size_t bytes)
{
    void (*of)(void *, const void *, uint64_t, int64_t, int64_t) = bytes == 1   ? blend_1
                                                                   : bytes == 2 ? blend_2
                                                                   : bytes == 4 ? blend_4
                                                                   : bytes == 8 ? blend_8
                                                                                : blend_16;
    for (int64_t at = 0; at < n; at += 64) {
        uint64_t bits = mask[at / 64];
        int64_t len = n - at < 64 ? n - at : 64;
        if (bits == ~UINT64_C(0))
            memcpy((char *)out + (size_t)at * bytes, (const char *)a + (size_t)at * bytes,
                   (size_t)len * bytes);
        else if (bits != 0)
            of(out, a, bits, at, len);
    }
}

#define FORMS(name, suf)                                                                           \
    {                                                                                              \
        name##_vv_##suf, name##_vc_##suf, name##_cv_##suf                                          \
    }
#define BIT_FORMS(name, suf)                                                                       \
    {                                                                                              \
        name##_bits_vv_##suf, name##_bits_vc_##suf, name##_bits_cv_##suf                           \
    }
#define INTS(BY, name)                                                                             \
    [T_INT8] = BY(name, i8), [T_INT16] = BY(name, i16), [T_INT32] = BY(name, i32),                 \
    [T_INT64] = BY(name, i64), [T_UINT8] = BY(name, u8), [T_UINT16] = BY(name, u16),               \
    [T_UINT32] = BY(name, u32), [T_UINT64] = BY(name, u64)
#define FLOATS(BY, name) [T_FLOAT32] = BY(name, f32), [T_FLOAT64] = BY(name, f64)
#define ONE(name, suf) name##_v_##suf
#define PLAIN(name, suf) name##_##suf
#define CASTS(a)                                                                                   \
    {                                                                                              \
        [T_BOOL] = cast_##a##_to_b, [T_INT8] = cast_##a##_to_i8, [T_INT16] = cast_##a##_to_i16,    \
        [T_INT32] = cast_##a##_to_i32, [T_INT64] = cast_##a##_to_i64,                              \
        [T_UINT8] = cast_##a##_to_u8, [T_UINT16] = cast_##a##_to_u16,                              \
        [T_UINT32] = cast_##a##_to_u32, [T_UINT64] = cast_##a##_to_u64,                            \
        [T_FLOAT32] = cast_##a##_to_f32, [T_FLOAT64] = cast_##a##_to_f64                           \
    }

const struct kernels KERNELS = {
    .isa = KERNELS_ISA,
    .binary =
        {
#define X(id, name) [B_##id] = {INTS(FORMS, name), FLOATS(FORMS, name)},
            BINARY_COMMON(X) BINARY_COMPARE(X)
#undef X
#define X(id, name) [B_##id] = {INTS(FORMS, name)},
                BINARY_INT(X)
#undef X
#define X(id, name) [B_##id] = {FLOATS(FORMS, name)},
                    BINARY_FLOAT(X)
#undef X
        },
    .compare_signed_unsigned =
        {
#define X(id, name) [B_##id - B_EQ] = FORMS(name, iu),
            BINARY_COMPARE(X)
#undef X
        },
    .unary =
        {
#define X(id, name) [U_##id] = {INTS(ONE, name), FLOATS(ONE, name)},
            UNARY_COMMON(X)
#undef X
#define X(id, name) [U_##id] = {INTS(ONE, name)},
                UNARY_INT(X)
#undef X
#define X(id, name) [U_##id] = {FLOATS(ONE, name)},
                    UNARY_FLOAT(X) UNARY_TEST(X)
#undef X
        },
    .cast = {[T_BOOL] = CASTS(b),
             [T_INT8] = CASTS(i8),
             [T_INT16] = CASTS(i16),
             [T_INT32] = CASTS(i32),
             [T_INT64] = CASTS(i64),
             [T_UINT8] = CASTS(u8),
             [T_UINT16] = CASTS(u16),
             [T_UINT32] = CASTS(u32),
             [T_UINT64] = CASTS(u64),
             [T_FLOAT32] = CASTS(f32),
             [T_FLOAT64] = CASTS(f64)},
    .in = {INTS(PLAIN, in), FLOATS(PLAIN, in)},
    .muladd = {{FLOATS(PLAIN, muladd)}, {FLOATS(PLAIN, mulsub)}, {FLOATS(PLAIN, submul)}},
    .muladd_fast = {{FLOATS(PLAIN, muladd_fast)},
                    {FLOATS(PLAIN, mulsub_fast)},
                    {FLOATS(PLAIN, submul_fast)}},
    .least = {INTS(PLAIN, least), FLOATS(PLAIN, least)},
    .most = {INTS(PLAIN, most), FLOATS(PLAIN, most)},
    .compare_bits =
        {
#define X(id, name) [B_##id - B_EQ] = {INTS(BIT_FORMS, name), FLOATS(BIT_FORMS, name)},
            BINARY_COMPARE(X)
#undef X
        },
    .blend = blend,
    .logical_and = logical_and,
    .logical_or = logical_or,
    .logical_not = logical_not,
    .to_bits = to_bits,
};
