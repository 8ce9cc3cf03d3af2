/* Bitmaps by the word. */
#include "storage/base/bits.h"
#include <string.h>

/* Up to 64 bits from bit position `at`; reads no word past the one that holds the last bit asked
 * for. */
static inline uint64_t load(const uint64_t *b, int64_t at, int n)
{
    int shift = (int)(at & 63);
    uint64_t v = b[at >> 6] >> shift;
    if (shift + n > 64) v |= b[(at >> 6) + 1] << (64 - shift);
    return n == 64 ? v : v & ((UINT64_C(1) << n) - 1);
}

static inline void store(uint64_t *b, int64_t at, int n, uint64_t v)
{
    int shift = (int)(at & 63);
    uint64_t mask = n == 64 ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
    uint64_t *w = b + (at >> 6);
    w[0] = (w[0] & ~(mask << shift)) | (v << shift);
    if (shift + n > 64) w[1] = (w[1] & ~(mask >> (64 - shift))) | (v >> (64 - shift));
}

void bits_fill(uint64_t *b, int64_t at, int64_t n, bool v)
{
    uint64_t word = v ? ~UINT64_C(0) : 0;
    while (n > 0 && (at & 63)) {
        int room = 64 - (int)(at & 63), take = n < room ? (int)n : room;
        store(b, at, take, take == 64 ? word : word & ((UINT64_C(1) << take) - 1));
        at += take;
        n -= take;
    }
    if (n >= 64) {
        memset(b + (at >> 6), v ? 0xff : 0, (size_t)(n >> 6) * 8);
        at += n & ~INT64_C(63);
        n &= 63;
    }
    if (n > 0) store(b, at, (int)n, word & ((UINT64_C(1) << n) - 1));
}

void bits_copy(uint64_t *dst, int64_t dst_at, const uint64_t *src, int64_t src_at, int64_t n)
{
    if (!(dst_at & 63) && !(src_at & 63)) {
        int64_t words = n >> 6;
        memcpy(dst + (dst_at >> 6), src + (src_at >> 6), (size_t)words * 8);
        dst_at += words * 64;
        src_at += words * 64;
        n &= 63;
    }
    for (; n > 0;) {
        int room = 64 - (int)(dst_at & 63), take = n < room ? (int)n : room;
        store(dst, dst_at, take, load(src, src_at, take));
        dst_at += take;
        src_at += take;
        n -= take;
    }
}

void bits_and(uint64_t *dst, const uint64_t *src, int64_t n)
{
    for (int64_t w = 0; w < bits_words(n); w++)
        dst[w] &= src[w];
}

/* Adds neighbours up in ever wider fields (Warren, Hacker's Delight, 5-1): the plain instruction
 * set counts by a table. */
static int64_t ones(uint64_t v)
{
    v -= v >> 1 & UINT64_C(0x5555555555555555);
    v = (v & UINT64_C(0x3333333333333333)) + (v >> 2 & UINT64_C(0x3333333333333333));
    v = (v + (v >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (int64_t)(v * UINT64_C(0x0101010101010101) >> 56);
}

int64_t bits_count(const uint64_t *b, int64_t at, int64_t n)
{
    int64_t count = 0;
    if (at % 64 == 0)
        for (; n >= 64; at += 64, n -= 64)
            count += ones(b[at / 64]);
    for (; n > 0; at += 64, n -= 64)
        count += ones(load(b, at, n < 64 ? (int)n : 64));
    return count;
}

bool bits_all(const uint64_t *b, int64_t at, int64_t n)
{
    for (; n >= 64; at += 64, n -= 64)
        if (~load(b, at, 64)) return false;
    return n <= 0 || load(b, at, (int)n) == (UINT64_C(1) << n) - 1;
}

bool bits_none(const uint64_t *b, int64_t at, int64_t n)
{
    for (; n > 0; at += 64, n -= 64)
        if (load(b, at, n < 64 ? (int)n : 64)) return false;
    return true;
}

int64_t bits_next(const uint64_t *b, int64_t at, int64_t end)
{
    while (at < end) {
        int n = end - at < 64 ? (int)(end - at) : 64;
        uint64_t v = load(b, at, n);
        if (v) return at + __builtin_ctzll(v);
        at += n;
    }
    return end;
}

void bits_from_bytes(uint64_t *dst, const uint8_t *src, int64_t n)
{
    for (int64_t w = 0; w < bits_words(n); w++) {
        uint64_t v = 0;
        int64_t base = w * 64;
        int top = n - base < 64 ? (int)(n - base) : 64;
        for (int i = 0; i + 8 <= top; i += 8) {
            uint64_t eight;
            memcpy(&eight, src + base + i, 8);
            v |= ((eight * UINT64_C(0x0102040810204080)) >> 56) << i;
        }
        for (int i = top & ~7; i < top; i++)
            v |= (uint64_t)(src[base + i] & 1) << i;
        dst[w] = v;
    }
}

void bits_to_bytes(uint8_t *dst, const uint64_t *src, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        dst[i] = (uint8_t)((src[i >> 6] >> (i & 63)) & 1);
}
