/* How integers, and floats that are decimal numbers with few digits, become words of few bits. The
 * idea is ALP's (Afroozeh, Kuffo and Boncz, "ALP: Adaptive Lossless floating-Point Compression",
 * 2023), but with a division, which gives back every decimal that was once rounded to a float.
 *
 * A float x becomes the integer i nearest to x × 10^e when i / 10^e is x again, to the bit; adding
 * ROUND, in whose last place stands 1, both rounds and leaves the integer in the low bits. What
 * does not come back (NaN, infinities, -0.0, more digits) is an exception; its integer repeats the
 * one before. */
#include "storage/base/isa.h"
#include "storage/codec_parts.h"
#include "storage/record.h"
#include <string.h>

#define HEAD_BYTES 8
#define BLOCK 1024
#define BLOCK_HEAD_BYTES 11
#define PATCH_BYTES 6
#define DELTA 0x80
#define LANES 32
#define MOST_BITS 32
#define MOST_DIGITS 10 /* after the point */
#define ROUND 0x1.8p52
#define ROUND_BITS INT64_C(0x4338000000000000)
#define LIMIT (INT64_C(1) << 51) /* of the integers of floats */
#define LIMIT_FLOAT32 (INT64_C(1) << 23)
#define EXCEPTION_HEAD_BYTES 8
#define EXCEPTION_PART 32 /* at most n / 32 of them */
#define RUNS 4            /* of the sample */
#define RUN_VALUES 32

static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
#define N_POWERS (sizeof powers / sizeof *powers)

/* Unaligned 32-bit numbers of a payload. Files are little-endian, and so are the machines. */
typedef uint32_t word32 __attribute__((aligned(1), may_alias));

#define INLINE static inline __attribute__((always_inline))

/* ---- kernels over a block ---- */

INLINE int64_t integer_of(double rounded)
{
    uint64_t bits;
    memcpy(&bits, &rounded, sizeof bits);
    return (int64_t)(bits - (uint64_t)ROUND_BITS);
}

INLINE double of_integer(int64_t i, double power)
{
    double d;
    i = (int64_t)((uint64_t)i + (uint64_t)ROUND_BITS);
    memcpy(&d, &i, sizeof d);
    return (d - ROUND) / power;
}

/* The integers of n floats, and how many do not come back. */
INLINE int64_t from_doubles_inline(const double *v, int n, double power, int64_t *out)
{
    int64_t bad = 0;
    for (int j = 0; j < n; j++) {
        int64_t i = integer_of(v[j] * power + ROUND), was, is;
        double back = of_integer(i, power);
        memcpy(&was, &v[j], sizeof was);
        memcpy(&is, &back, sizeof is);
        bad += (was != is) | ((uint64_t)i + LIMIT >= (uint64_t)(2 * LIMIT));
        out[j] = i;
    }
    return bad;
}

INLINE int64_t from_floats_inline(const float *v, int n, double power, int64_t *out)
{
    int64_t bad = 0;
    for (int j = 0; j < n; j++) {
        int64_t i = integer_of((double)v[j] * power + ROUND);
        float back = (float)of_integer(i, power);
        int32_t was, is;
        memcpy(&was, &v[j], sizeof was);
        memcpy(&is, &back, sizeof is);
        bad += (was != is) | ((uint64_t)i + LIMIT >= (uint64_t)(2 * LIMIT));
        out[j] = i;
    }
    return bad;
}

INLINE void to_doubles_inline(const int64_t *in, int n, double power, double *v)
{
    for (int j = 0; j < n; j++)
        v[j] = of_integer(in[j], power);
}

INLINE void to_floats_inline(const int64_t *in, int n, double power, float *v)
{
    for (int j = 0; j < n; j++)
        v[j] = (float)of_integer(in[j], power);
}

/* What words a block needs: its least integer, the bits of what lies above it, and the bits of the
 * differences in zigzag. */
struct span {
    int64_t least;
    uint64_t range, delta;
};
INLINE void span_inline(const int64_t *in, int n, struct span *out)
{
    int64_t lo = in[0], hi = in[0];
    uint64_t delta = 0;
    for (int j = 0; j < n; j++) {
        lo = in[j] < lo ? in[j] : lo;
        hi = in[j] > hi ? in[j] : hi;
    }
    for (int j = 1; j < n; j++) {
        uint64_t d = (uint64_t)in[j] - (uint64_t)in[j - 1];
        delta |= d << 1 ^ (uint64_t)((int64_t)d >> 63);
    }
    *out = (struct span){lo, (uint64_t)hi - (uint64_t)lo, delta};
}

INLINE void words_above_inline(const int64_t *in, int n, int64_t base, uint32_t *out)
{
    for (int j = 0; j < n; j++)
        out[j] = (uint32_t)((uint64_t)in[j] - (uint64_t)base);
}

INLINE void words_zigzag_inline(const int64_t *in, int n, uint32_t *out)
{
    out[0] = 0;
    for (int j = 1; j < n; j++) {
        uint32_t d = (uint32_t)((uint64_t)in[j] - (uint64_t)in[j - 1]);
        int64_t wide = (int64_t)((uint64_t)in[j] - (uint64_t)in[j - 1]);
        out[j] = d << 1 ^ (uint32_t)(wide >> 63);
    }
}

/* The low `bits` bits of each word. */
INLINE void pack_inline(const uint32_t *in, int n_rows, unsigned bits, word32 *out)
{
    uint32_t mask = bits == 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
    unsigned at = 0; /* bits of out[0 … 31] that are used */
    for (int l = 0; l < LANES; l++)
        out[l] = 0;
    for (int r = 0; r < n_rows; r++, in += LANES) {
        for (int l = 0; l < LANES; l++)
            out[l] |= (in[l] & mask) << at;
        at += bits;
        if (at < 32) continue;
        at -= 32;
        out += LANES;
        if (r + 1 == n_rows && !at) break;
        for (int l = 0; l < LANES; l++)
            out[l] = at ? (in[l] & mask) >> (bits - at) : 0;
    }
}

INLINE void unpack_inline(const word32 *in, int n_rows, unsigned bits, uint32_t *out)
{
    uint32_t mask = bits == 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
    unsigned at = 0;
    for (int r = 0; r < n_rows; r++, out += LANES) {
        if (at + bits <= 32) {
            for (int l = 0; l < LANES; l++)
                out[l] = in[l] >> at & mask;
        } else {
            for (int l = 0; l < LANES; l++)
                out[l] = (in[l] >> at | in[LANES + l] << (32 - at)) & mask;
        }
        at += bits;
        if (at >= 32) {
            at -= 32;
            in += LANES;
        }
    }
}

INLINE void add_base_inline(const uint32_t *words, int n, int64_t base, int64_t *out)
{
    for (int j = 0; j < n; j++)
        out[j] = (int64_t)((uint64_t)base + words[j]);
}

struct kernels {
    int64_t (*from_doubles)(const double *v, int n, double power, int64_t *out);
    int64_t (*from_floats)(const float *v, int n, double power, int64_t *out);
    void (*to_doubles)(const int64_t *in, int n, double power, double *v);
    void (*to_floats)(const int64_t *in, int n, double power, float *v);
    void (*span)(const int64_t *in, int n, struct span *out);
    void (*words_above)(const int64_t *in, int n, int64_t base, uint32_t *out);
    void (*words_zigzag)(const int64_t *in, int n, uint32_t *out);
    void (*pack)(const uint32_t *in, int n_rows, unsigned bits, word32 *out);
    void (*unpack)(const word32 *in, int n_rows, unsigned bits, uint32_t *out);
    void (*add_base)(const uint32_t *words, int n, int64_t base, int64_t *out);
};

#define STAMP(isa, TARGET)                                                                         \
    TARGET static int64_t from_doubles_##isa(const double *v, int n, double power, int64_t *out)   \
    {                                                                                              \
        return from_doubles_inline(v, n, power, out);                                              \
    }                                                                                              \
    TARGET static int64_t from_floats_##isa(const float *v, int n, double power, int64_t *out)     \
    {                                                                                              \
        return from_floats_inline(v, n, power, out);                                               \
    }                                                                                              \
    TARGET static void to_doubles_##isa(const int64_t *in, int n, double power, double *v)         \
    {                                                                                              \
        to_doubles_inline(in, n, power, v);                                                        \
    }                                                                                              \
    TARGET static void to_floats_##isa(const int64_t *in, int n, double power, float *v)           \
    {                                                                                              \
        to_floats_inline(in, n, power, v);                                                         \
    }                                                                                              \
    TARGET static void span_##isa(const int64_t *in, int n, struct span *out)                      \
    {                                                                                              \
        span_inline(in, n, out);                                                                   \
    }                                                                                              \
    TARGET static void words_above_##isa(const int64_t *in, int n, int64_t base, uint32_t *out)    \
    {                                                                                              \
        words_above_inline(in, n, base, out);                                                      \
    }                                                                                              \
    TARGET static void words_zigzag_##isa(const int64_t *in, int n, uint32_t *out)                 \
    {                                                                                              \
        words_zigzag_inline(in, n, out);                                                           \
    }                                                                                              \
    TARGET static void pack_##isa(const uint32_t *in, int n_rows, unsigned bits, word32 *out)      \
    {                                                                                              \
        pack_inline(in, n_rows, bits, out);                                                        \
    }                                                                                              \
    TARGET static void unpack_##isa(const word32 *in, int n_rows, unsigned bits, uint32_t *out)    \
    {                                                                                              \
        unpack_inline(in, n_rows, bits, out);                                                      \
    }                                                                                              \
    TARGET static void add_base_##isa(const uint32_t *words, int n, int64_t base, int64_t *out)    \
    {                                                                                              \
        add_base_inline(words, n, base, out);                                                      \
    }                                                                                              \
    static const struct kernels isa##_kernels = {from_doubles_##isa, from_floats_##isa,            \
                                                 to_doubles_##isa,   to_floats_##isa,              \
                                                 span_##isa,         words_above_##isa,            \
                                                 words_zigzag_##isa, pack_##isa,                   \
                                                 unpack_##isa,       add_base_##isa};

STAMP(base, )
#if defined(__x86_64__)
STAMP(avx2, TARGET_AVX2)
STAMP(avx512, TARGET_AVX512)
#endif

static const struct kernels *isa_kernels[] = {
    &base_kernels,
#if defined(__x86_64__)
    &avx2_kernels,
    &avx512_kernels,
#endif
};

int decimal_isas(void)
{
    return (int)isa_get() + 1;
}

/* ---- sizes ---- */

static int64_t n_blocks(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

/* Rows of a block of n values, and bytes of their words. */
static int n_rows(int n)
{
    return (n + LANES - 1) / LANES;
}
static size_t packed_bytes(int n, unsigned bits)
{
    return ((size_t)n_rows(n) * bits + 31) / 32 * LANES * sizeof(word32);
}

/* ---- integers of other widths ---- */

#define WIDEN(type)                                                                                \
    do {                                                                                           \
        const type *from = values;                                                                 \
        for (int j = 0; j < n; j++)                                                                \
            out[j] = (int64_t)from[j];                                                             \
    } while (0)

static void widen(const void *values, int n, size_t width, bool is_signed, int64_t *out)
{
    switch (width) {
    case 1:
        if (is_signed)
            WIDEN(int8_t);
        else
            WIDEN(uint8_t);
        break;
    case 2:
        if (is_signed)
            WIDEN(int16_t);
        else
            WIDEN(uint16_t);
        break;
    case 4:
        if (is_signed)
            WIDEN(int32_t);
        else
            WIDEN(uint32_t);
        break;
    default:
        memcpy(out, values, (size_t)n * sizeof *out);
    }
}

#define NARROW(type)                                                                               \
    do {                                                                                           \
        type *to = values;                                                                         \
        for (int j = 0; j < n; j++)                                                                \
            to[j] = (type)(uint64_t)in[j];                                                         \
    } while (0)

static void narrow(const int64_t *in, int n, size_t width, void *values)
{
    switch (width) {
    case 1:
        NARROW(uint8_t);
        break;
    case 2:
        NARROW(uint16_t);
        break;
    case 4:
        NARROW(uint32_t);
        break;
    default:
        memcpy(values, in, (size_t)n * sizeof *in);
    }
}

/* ---- the sample ---- */

/* The digits after the point that a float needs; -1: too many. */
static int digits_of(double x, size_t width)
{
    int64_t limit = width == 4 ? LIMIT_FLOAT32 : LIMIT;
    for (int e = 0; e <= MOST_DIGITS; e++) {
        double scaled = x * powers[e], back;
        if (!(scaled > -(double)limit && scaled < (double)limit)) return -1;
        back = of_integer(integer_of(scaled + ROUND), powers[e]);
        if (width == 4 ? (float)back == (float)x : back == x) return e;
    }
    return -1;
}

static double float_at(const uint8_t *v, size_t width)
{
    float narrow_value;
    double value;
    if (width == 8) {
        memcpy(&value, v, 8);
        return value;
    }
    memcpy(&narrow_value, v, 4);
    return (double)narrow_value;
}

/* Looks at runs of values: *e are the digits that they need. False when too many of them are no
 * decimals, or equal their predecessors: zstd makes less of those. */
static bool sample(enum codec_values kind, const uint8_t *v, int64_t n, size_t width, int *e)
{
    int n_seen = 0, n_bad = 0, n_same = 0;
    int64_t run = n < RUN_VALUES ? n : RUN_VALUES;
    *e = 0;
    for (int64_t r = 0; r < RUNS; r++) {
        const uint8_t *at = v + (n - run) / (RUNS - 1) * r * (int64_t)width;
        for (int64_t j = 0; j < run; j++, at += width) {
            n_seen++;
            if (j > 0) n_same += !memcmp(at, at - width, width);
            if (kind != VALUES_FLOATS) continue;
            int digits = digits_of(float_at(at, width), width);
            n_bad += digits < 0;
            if (n_bad > RUNS * RUN_VALUES / 8) return false;
            if (digits > *e) *e = digits;
        }
    }
    return n_same <= n_seen / 2 && n_bad <= n_seen / 8;
}

/* ---- encoding ---- */

struct encoder {
    const struct kernels *k;
    enum codec_values kind;
    size_t width;
    double power;
    int64_t n, last; /* values in all; the last integer */
    uint8_t *exceptions, *exceptions_end, *exceptions_room;
    int64_t n_exceptions;
};

/* A value that does not come back: the run of it grows, or a new one begins; false: no room. */
static bool except(struct encoder *x, int64_t at, const uint8_t *value)
{
    size_t bytes = EXCEPTION_HEAD_BYTES + x->width;
    if (x->n_exceptions) {
        uint8_t *run = x->exceptions_end - bytes;
        uint32_t first = get32(run), count = get32(run + 4);
        if (first + count == (uint64_t)at && !memcmp(run + 8, value, x->width)) {
            put32(run + 4, count + 1);
            return true;
        }
    }
    if ((size_t)(x->exceptions_room - x->exceptions_end) < bytes) return false;
    put32(x->exceptions_end, (uint32_t)at);
    put32(x->exceptions_end + 4, 1);
    memcpy(x->exceptions_end + 8, value, x->width);
    x->exceptions_end += bytes;
    x->n_exceptions++;
    return true;
}

static bool comes_back(const struct encoder *x, const uint8_t *value, int64_t i)
{
    double back = of_integer(i, x->power);
    float narrow_back = (float)back;
    if (i < -LIMIT || i >= LIMIT) return false;
    return !memcmp(value, x->width == 8 ? (const void *)&back : (const void *)&narrow_back,
                   x->width);
}

/* The integers of a block of n values from number `at` on; false: too many exceptions. */
static bool integers(struct encoder *x, const uint8_t *v, int64_t at, int n, int64_t *out)
{
    if (x->kind != VALUES_FLOATS) {
        widen(v, n, x->width, x->kind == VALUES_SIGNED, out);
        return true;
    }
    int64_t bad = x->width == 8 ? x->k->from_doubles((const void *)v, n, x->power, out)
                                : x->k->from_floats((const void *)v, n, x->power, out);
    for (int j = 0; bad && j < n; j++) {
        const uint8_t *value = v + (size_t)j * x->width;
        if (comes_back(x, value, out[j])) continue;
        if (!except(x, at + j, value)) return false;
        out[j] = j ? out[j - 1] : x->last;
    }
    x->last = out[n - 1];
    return true;
}

static unsigned bits_of(uint64_t x)
{
    return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* How a block is stored: words of `bits` bits, and patches of the upper bits of longer ones. */
struct layout {
    int64_t base;
    bool delta;
    unsigned bits;
    int n_patches;
    size_t bytes;
};

/* The cheapest number of bits for the words. */
static void fit_bits(const uint32_t *words, int n, unsigned most, struct layout *out)
{
    int counts[2][MOST_BITS + 1] = {{0}}, over = 0;
    for (int j = 0; j < n; j++)
        counts[j & 1][bits_of(words[j])]++;
    out->bits = most;
    out->n_patches = 0;
    out->bytes = packed_bytes(n, most);
    for (unsigned bits = most; bits-- > 0;) {
        over += counts[0][bits + 1] + counts[1][bits + 1];
        size_t bytes = packed_bytes(n, bits) + (size_t)over * PATCH_BYTES;
        if (bytes >= out->bytes) continue;
        out->bits = bits;
        out->n_patches = over;
        out->bytes = bytes;
    }
}

/* The words of a block and their layout; false: they need more than 32 bits. */
static bool make_words(const struct encoder *x, const int64_t *in, int n, uint32_t *words,
                       struct layout *out)
{
    struct span span;
    x->k->span(in, n, &span);
    unsigned above = bits_of(span.range), delta = bits_of(span.delta);
    if (delta <= MOST_BITS) {
        *out = (struct layout){.base = in[0], .delta = true};
        x->k->words_zigzag(in, n, words);
        fit_bits(words, n, delta, out);
        if (above > MOST_BITS || out->bytes < packed_bytes(n, above)) return true;
    }
    if (above > MOST_BITS) return false;
    *out = (struct layout){.base = span.least, .bits = above, .bytes = packed_bytes(n, above)};
    x->k->words_above(in, n, span.least, words);
    return true;
}

static void put_patches(const struct layout *l, const uint32_t *words, int n, uint8_t *to)
{
    for (int j = 0; l->n_patches && j < n; j++) {
        if (words[j] >> l->bits == 0) continue;
        put16(to, (uint16_t)j);
        put32(to + 2, words[j] >> l->bits);
        to += PATCH_BYTES;
    }
}

/* A block's head, words and patches; NULL: it cannot be, or would go past `most`. */
static uint8_t *pack_block(const struct encoder *x, const int64_t *in, int n, uint8_t *head,
                           uint8_t *to, const uint8_t *most)
{
    uint32_t words[BLOCK];
    struct layout l;
    if (!make_words(x, in, n, words, &l) || l.bytes > (size_t)(most - to)) return NULL;
    put64(head, (uint64_t)l.base);
    head[8] = (uint8_t)(l.bits | (l.delta ? DELTA : 0));
    put16(head + 9, (uint16_t)l.n_patches);
    uint8_t *patches = to + packed_bytes(n, l.bits);
    put_patches(&l, words, n, patches);
    memset(words + n, 0, (size_t)(n_rows(n) * LANES - n) * sizeof *words);
    if (l.bits) x->k->pack(words, n_rows(n), l.bits, (word32 *)(void *)to);
    return to + l.bytes;
}

/* The words of all blocks, from `to` on; NULL: these are no decimals, or not worth it. */
static uint8_t *pack_blocks(struct encoder *x, const uint8_t *v, uint8_t *head, uint8_t *to,
                            const uint8_t *most)
{
    int64_t in[BLOCK];
    for (int64_t at = 0; at < x->n; at += BLOCK, head += BLOCK_HEAD_BYTES) {
        int n = x->n - at < BLOCK ? (int)(x->n - at) : BLOCK;
        if (!integers(x, v + (size_t)at * x->width, at, n, in)) return NULL;
        if (!(to = pack_block(x, in, n, head, to, most))) return NULL;
    }
    return to;
}

enum status decimal_encode_by(struct ctx *c, int isa, enum codec_values kind, const void *values,
                              int64_t n, size_t width, void *payload, size_t *out)
{
    uint8_t *p = payload, *blocks = p + HEAD_BYTES + n_blocks(n) * BLOCK_HEAD_BYTES;
    size_t n_bytes = (size_t)n * width, room;
    int e;
    *out = 0;
    if (kind == VALUES_BYTES || width > 8 || (kind == VALUES_FLOATS && width < 4) ||
        n > UINT32_MAX || n_bytes < (size_t)(blocks - p) || !sample(kind, values, n, width, &e))
        return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct encoder x = {
        .k = isa_kernels[isa], .kind = kind, .width = width, .power = powers[e], .n = n};
    void *exceptions;
    room = ((size_t)n / EXCEPTION_PART + 1) * (EXCEPTION_HEAD_BYTES + width);
    TRY(scratch_alloc(c, room, &exceptions));
    x.exceptions = x.exceptions_end = exceptions;
    x.exceptions_room = x.exceptions + room;
    uint8_t *end = pack_blocks(&x, values, p + HEAD_BYTES, blocks, p + n_bytes);
    size_t tail = (size_t)(x.exceptions_end - x.exceptions);
    if (end && codec_gains(n_bytes, (size_t)(end - p) + tail)) {
        p[0] = (uint8_t)(kind - VALUES_SIGNED);
        p[1] = (uint8_t)e;
        put16(p + 2, 0);
        put32(p + 4, (uint32_t)x.n_exceptions);
        memcpy(end, x.exceptions, tail);
        *out = (size_t)(end - p) + tail;
    }
    scratch_release(c->scratch, mark);
    return OK;
}

/* ---- decoding ---- */

/* The sum of all words up to each, in zigzag, above base. */
static void add_up(const uint32_t *words, int n, int64_t base, int64_t *out)
{
    uint64_t sum = (uint64_t)base;
    for (int j = 0; j < n; j++) {
        sum += (uint64_t)(int64_t)(int32_t)(words[j] >> 1 ^ -(words[j] & 1));
        out[j] = (int64_t)sum;
    }
}

struct decoder {
    const struct kernels *k;
    enum codec_values kind;
    size_t width;
    double power;
};

/* A block whose words lie at `from`, and its patches behind them; false: a patch is nowhere. */
static bool unpack_block(const struct decoder *x, const uint8_t *head, const uint8_t *from, int n,
                         void *values)
{
    uint32_t words[BLOCK];
    int64_t in[BLOCK], base = (int64_t)get64(head);
    unsigned bits = head[8] & ~DELTA;
    int n_patches = get16(head + 9);
    if (bits)
        x->k->unpack((const word32 *)(const void *)from, n_rows(n), bits, words);
    else
        memset(words, 0, (size_t)n * sizeof *words);
    from += packed_bytes(n, bits);
    for (; n_patches > 0; n_patches--, from += PATCH_BYTES) {
        if (get16(from) >= n || bits == MOST_BITS) return false;
        words[get16(from)] |= get32(from + 2) << bits;
    }
    if (head[8] & DELTA)
        add_up(words, n, base, in);
    else
        x->k->add_base(words, n, base, in);
    if (x->kind != VALUES_FLOATS)
        narrow(in, n, x->width, values);
    else if (x->width == 8)
        x->k->to_doubles(in, n, x->power, values);
    else
        x->k->to_floats(in, n, x->power, values);
    return true;
}

static enum status get_exceptions(struct ctx *c, const uint8_t *from, int64_t n_exceptions,
                                  uint8_t *values, int64_t n, size_t width)
{
    for (; n_exceptions > 0; n_exceptions--, from += EXCEPTION_HEAD_BYTES + width) {
        uint64_t at = get32(from), count = get32(from + 4);
        if (at + count > (uint64_t)n)
            return fail(c, ERR_CORRUPT, "a decimal tile has an exception behind its end");
        for (; count > 0; count--, at++)
            memcpy(values + at * width, from + EXCEPTION_HEAD_BYTES, width);
    }
    return OK;
}

enum status decimal_decode_by(struct ctx *c, int isa, const void *payload, size_t payload_bytes,
                              void *values, int64_t n, size_t width)
{
    const uint8_t *p = payload, *head = p + HEAD_BYTES, *end = p + payload_bytes;
    size_t heads = (size_t)n_blocks(n) * BLOCK_HEAD_BYTES;
    if (payload_bytes < HEAD_BYTES + heads)
        return fail(c, ERR_CORRUPT, "a decimal tile is cut short");
    struct decoder x = {
        .k = isa_kernels[isa], .kind = (enum codec_values)(p[0] + VALUES_SIGNED), .width = width};
    if (x.kind > VALUES_FLOATS || p[1] >= N_POWERS || width > 8 ||
        (x.kind == VALUES_FLOATS && width != 4 && width != 8))
        return fail(c, ERR_CORRUPT, "a decimal tile has numbers of an unknown kind");
    x.power = powers[p[1]];
    const uint8_t *from = head + heads;
    for (int64_t at = 0; at < n; at += BLOCK, head += BLOCK_HEAD_BYTES) {
        int len = n - at < BLOCK ? (int)(n - at) : BLOCK;
        unsigned bits = head[8] & ~DELTA;
        size_t bytes = packed_bytes(len, bits) + (size_t)get16(head + 9) * PATCH_BYTES;
        if (bits > MOST_BITS || bytes > (size_t)(end - from) ||
            !unpack_block(&x, head, from, len, (uint8_t *)values + (size_t)at * width))
            return fail(c, ERR_CORRUPT, "a block of a decimal tile is damaged");
        from += bytes;
    }
    int64_t n_exceptions = get32(p + 4);
    if ((size_t)(end - from) != (size_t)n_exceptions * (EXCEPTION_HEAD_BYTES + width))
        return fail(c, ERR_CORRUPT, "a decimal tile does not have the exceptions that it counts");
    return get_exceptions(c, from, n_exceptions, values, n, width);
}

enum status decimal_encode(struct ctx *c, enum codec_values kind, const void *values, int64_t n,
                           size_t width, void *payload, size_t *out)
{
    return decimal_encode_by(c, decimal_isas() - 1, kind, values, n, width, payload, out);
}

enum status decimal_decode(struct ctx *c, const void *payload, size_t payload_bytes, void *values,
                           int64_t n, size_t width)
{
    return decimal_decode_by(c, decimal_isas() - 1, payload, payload_bytes, values, n, width);
}
