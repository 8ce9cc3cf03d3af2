/* What the codec's files share. codec.c chooses, codec_zstd.c knows zstd, codec_planes.c and
 * codec_decimal.c each know one layout. Included by them alone. */
#ifndef TESSERA_CODEC_PARTS_H
#define TESSERA_CODEC_PARTS_H
#include "storage/codec.h"

static inline bool codec_gains(size_t from, size_t to) /* a tenth */
{
    return to <= from - from / 10;
}

/* ---- codec_zstd.c ---- */
#define CODEC_DEFAULT_LEVEL 1
/* One frame of n bytes into `room`. */
enum status codec_compress(struct ctx *c, const void *src, size_t n, void *dst, size_t room,
                           int level, size_t *out);
size_t codec_zstd_bound(size_t n);

/* ---- codec_planes.c ----
 * The payload of CODEC_PLANES, W the width: for each byte of a value, the lowest first, u8 kind
 * (0 constant: one byte; 1 raw: n bytes; 2 a zstd frame of n bytes) and u32 bytes of the plane's
 * data; then the data of each. */
#define PLANE_HEAD_BYTES 5
/* *out 0: it would gain less than a tenth. */
enum status planes_encode(struct ctx *c, const void *values, int64_t n, size_t width, void *payload,
                          size_t *out);
enum status planes_decode(struct ctx *c, const void *payload, size_t payload_bytes, void *values,
                          int64_t n, size_t width);

/* ---- codec_decimal.c ----
 * The payload of CODEC_DECIMAL: a value is an integer divided by a power of ten.
 *
 *   offset  size  field
 *        0     1  kind: 0 signed, 1 unsigned integers, 2 floats (IEEE, of the tile's width)
 *        1     1  e: a float is its integer / 10^e
 *        2     2  zero
 *        4     4  exceptions
 *        8   11b  for each of the b blocks of 1,024 values: i64 base, u8 bits (0 … 32; highest bit
 *                 set: delta), u16 patches
 *         …       for each block: words of `bits` bits; then its patches: u16 position, u32 what
 *                 stands above these bits in the word there
 *         …       for each exception: u32 position, u32 count, and the value that so many have
 *
 * Words lie in rows of 32: lane l of a row is in bits of the 32-bit numbers l, 32 + l, 64 + l …,
 * the lowest first, row after row, so that 32 lanes are unpacked by the same shifts (Lemire and
 * Boytsov, "Decoding billions of integers per second through vectorization", 2012). Without delta
 * an integer is base + word; with it, its predecessor (the first: base) + word in zigzag. */
/* payload has room for the values. *out 0: that is not what these values are, or it gains less than
 * a tenth. */
enum status decimal_encode(struct ctx *c, enum codec_values kind, const void *values, int64_t n,
                           size_t width, void *payload, size_t *out);
enum status decimal_decode(struct ctx *c, const void *payload, size_t payload_bytes, void *values,
                           int64_t n, size_t width);

/* The same by one instruction set, for tests: 0 … decimal_isas() - 1, of which 0 is plain C. */
int decimal_isas(void);
enum status decimal_encode_by(struct ctx *c, int isa, enum codec_values kind, const void *values,
                              int64_t n, size_t width, void *payload, size_t *out);
enum status decimal_decode_by(struct ctx *c, int isa, const void *payload, size_t payload_bytes,
                              void *values, int64_t n, size_t width);

#endif
