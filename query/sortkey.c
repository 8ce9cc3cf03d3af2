/* Which 64-bit word stands for a value, so that words sort as the values do? */
#include "query/sortkey.h"
#include "storage/base/datetime.h"
#include <assert.h>
#include <math.h>
#include <string.h>

#define TOP (UINT64_C(1) << 63)
#define US_PER_MONTH (30 * US_PER_DAY)

static inline uint64_t word_of_signed(int64_t v)
{
    return (uint64_t)v ^ TOP;
}

static inline uint64_t word_of_double(double d)
{
    uint64_t b;
    if (d != d) return UINT64_C(0xfff8000000000000);
    d += 0.0;
    memcpy(&b, &d, 8);
    return b & TOP ? ~b : b | TOP;
}

static inline double double_of_word(uint64_t w)
{
    uint64_t b = w & TOP ? w ^ TOP : ~w;
    double d;
    memcpy(&d, &b, 8);
    return d;
}

static inline uint64_t word_of_text(struct text t)
{
    uint64_t w = 0;
    if (t.len >= 8) {
        memcpy(&w, t.s, 8);
    } else if (t.len > 0) {
        memcpy(&w, t.s, (size_t)t.len);
    }
    return __builtin_bswap64(w);
}

#define EACH(ctype, expr)                                                                          \
    do {                                                                                           \
        const ctype *v = values;                                                                   \
        for (int64_t i = 0; i < n; i++) {                                                          \
            ctype x = v[sel ? sel[i] : i];                                                         \
            words[i] = (expr);                                                                     \
        }                                                                                          \
    } while (0)

static inline void encode(enum type t, const void *values, const int32_t *sel, int64_t n,
                          uint64_t *words)
{
    switch (t) {
    case T_BOOL:
    case T_UINT8:
        EACH(uint8_t, x);
        break;
    case T_UINT16:
        EACH(uint16_t, x);
        break;
    case T_UINT32:
        EACH(uint32_t, x);
        break;
    case T_UINT64:
        EACH(uint64_t, x);
        break;
    case T_INT8:
        EACH(int8_t, word_of_signed(x));
        break;
    case T_INT16:
        EACH(int16_t, word_of_signed(x));
        break;
    case T_INT32:
    case T_DATE:
        EACH(int32_t, word_of_signed(x));
        break;
    case T_INT64:
    case T_TIMESTAMP:
        EACH(int64_t, word_of_signed(x));
        break;
    case T_FLOAT32:
        EACH(float, word_of_double((double)x));
        break;
    case T_FLOAT64:
        EACH(double, word_of_double(x));
        break;
    case T_INTERVAL:
        EACH(struct interval, word_of_signed(interval_us(&x)));
        break;
    case T_TEXT:
    case T_INT64S:
    case T_UNKNOWN:
        EACH(struct text, word_of_text(x));
        break;
    case N_TYPES:
    case T_NONE:
        assert(!"a value has a type");
        break;
    }
}
#undef EACH

void sortkey_encode(enum type t, const void *values, int64_t n, uint64_t *words)
{
    encode(t, values, NULL, n, words);
}

void sortkey_encode_sel(enum type t, const void *values, const int32_t *sel, int64_t n,
                        uint64_t *words)
{
    encode(t, values, sel, n, words);
}

static struct interval interval_of_us(int64_t us)
{
    struct interval iv;
    iv.months = (int32_t)(us / US_PER_MONTH);
    us %= US_PER_MONTH;
    iv.days = (int32_t)(us / US_PER_DAY);
    iv.us = us % US_PER_DAY;
    return iv;
}

#define EACH(ctype, expr)                                                                          \
    do {                                                                                           \
        ctype *v = values;                                                                         \
        for (int64_t i = 0; i < n; i++) {                                                          \
            uint64_t w = words[i];                                                                 \
            v[i] = (expr);                                                                         \
        }                                                                                          \
    } while (0)

void sortkey_decode(enum type t, const uint64_t *words, int64_t n, void *values)
{
    switch (t) {
    case T_BOOL:
    case T_UINT8:
        EACH(uint8_t, (uint8_t)w);
        break;
    case T_UINT16:
        EACH(uint16_t, (uint16_t)w);
        break;
    case T_UINT32:
        EACH(uint32_t, (uint32_t)w);
        break;
    case T_UINT64:
        EACH(uint64_t, w);
        break;
    case T_INT8:
        EACH(int8_t, (int8_t)(int64_t)(w ^ TOP));
        break;
    case T_INT16:
        EACH(int16_t, (int16_t)(int64_t)(w ^ TOP));
        break;
    case T_INT32:
    case T_DATE:
        EACH(int32_t, (int32_t)(int64_t)(w ^ TOP));
        break;
    case T_INT64:
    case T_TIMESTAMP:
        EACH(int64_t, (int64_t)(w ^ TOP));
        break;
    case T_FLOAT32:
        EACH(float, (float)double_of_word(w));
        break;
    case T_FLOAT64:
        EACH(double, double_of_word(w));
        break;
    case T_INTERVAL:
        EACH(struct interval, interval_of_us((int64_t)(w ^ TOP)));
        break;
    case T_TEXT:
    case T_INT64S:
    case T_UNKNOWN:
    case N_TYPES:
    case T_NONE:
        assert(!"texts are not coded whole");
        break;
    }
}
#undef EACH

int text_order(struct text a, struct text b)
{
    int64_t n = a.len < b.len ? a.len : b.len;
    int r = n ? memcmp(a.s, b.s, (size_t)n) : 0;
    if (r) return r;
    return a.len < b.len ? -1 : a.len > b.len;
}

uint64_t text_mix(struct text t)
{
    uint64_t h = (uint64_t)t.len;
    int64_t i = 0;
    for (; i + 8 <= t.len; i += 8) {
        uint64_t w;
        memcpy(&w, t.s + i, 8);
        h = hash_mix(h, w);
    }
    if (i < t.len) {
        uint64_t w = 0;
        memcpy(&w, t.s + i, (size_t)(t.len - i));
        h = hash_mix(h, w);
    }
    return h;
}
