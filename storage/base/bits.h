/* Bitmaps: bit i is bit i % 64 of word i / 64. Validity and presence of cells. Bits past the length
 * in the last word are unspecified unless a function says otherwise. */
#ifndef TESSERA_BITS_H
#define TESSERA_BITS_H
#include <stdbool.h>
#include <stdint.h>

static inline int64_t bits_words(int64_t n)
{
    return (n + 63) >> 6;
}
static inline bool bit_get(const uint64_t *b, int64_t i)
{
    return (b[i >> 6] >> (i & 63)) & 1;
}
static inline void bit_set(uint64_t *b, int64_t i)
{
    b[i >> 6] |= UINT64_C(1) << (i & 63);
}
static inline void bit_clear(uint64_t *b, int64_t i)
{
    b[i >> 6] &= ~(UINT64_C(1) << (i & 63));
}
static inline void bit_put(uint64_t *b, int64_t i, bool v)
{
    if (v)
        bit_set(b, i);
    else
        bit_clear(b, i);
}

void bits_fill(uint64_t *b, int64_t at, int64_t n, bool v);
/* n bits from src at src_at to dst at dst_at; the regions must not overlap. */
void bits_copy(uint64_t *dst, int64_t dst_at, const uint64_t *src, int64_t src_at, int64_t n);
/* dst &= src over n bits, from bit 0 of both. */
void bits_and(uint64_t *dst, const uint64_t *src, int64_t n);
int64_t bits_count(const uint64_t *b, int64_t at, int64_t n);
bool bits_all(const uint64_t *b, int64_t at, int64_t n);
bool bits_none(const uint64_t *b, int64_t at, int64_t n);
/* First set bit in [at, end), or end. */
int64_t bits_next(const uint64_t *b, int64_t at, int64_t end);
/* From and to one byte a cell (0 or 1). */
void bits_from_bytes(uint64_t *dst, const uint8_t *src, int64_t n);
void bits_to_bytes(uint8_t *dst, const uint64_t *src, int64_t n);

#endif
