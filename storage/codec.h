/* Codecs: how the values of a tile become a payload of bytes, and back.
 *
 * The codec is chosen per tile from a sample and named in the tile's header: CODEC_DECIMAL for
 * integers and for floats that are decimal numbers with few digits, else CODEC_PLANES, and
 * CODEC_RAW when that gains less than a tenth. A payload of CODEC_SHUFFLE_ZSTD is one zstd frame
 * with its content size over byte-shuffled values, which is a chunk of Zarr v2 (filter shuffle,
 * compressor zstd) as it lies; CODEC_RAW is one without filter and compressor. Encoding never loses
 * a bit, NaN payloads and -0.0 included.
 *
 * Functions may run in any number of threads; each thread keeps one compressor and one decompressor
 * until it ends. Temporary memory comes from c->scratch and is released before return. */
#ifndef TESSERA_CODEC_H
#define TESSERA_CODEC_H
#include "storage/base/ctx.h"

#define CODEC_MAX_WIDTH 16 /* bytes of a value */

/* Numbers are stored in files. */
enum codec {
    CODEC_CONSTANT = 1,     /* payload: one value */
    CODEC_RAW = 2,          /* payload: the values */
    CODEC_SHUFFLE_ZSTD = 3, /* byte planes of the values in one zstd frame */
    CODEC_PLANES = 4,       /* each byte plane constant, raw or a zstd frame */
    CODEC_DECIMAL = 5       /* integers, or scaled to integers: words of few bits */
};

/* What the values are, for the codecs that have to know. */
enum codec_values {
    VALUES_BYTES, /* anything: only CODEC_CONSTANT, CODEC_RAW and CODEC_SHUFFLE_ZSTD are used */
    VALUES_SIGNED,
    VALUES_UNSIGNED,
    VALUES_FLOATS
};

struct codec_options {
    bool raw;           /* do not compress (constant tiles excepted) */
    uint8_t zstd_level; /* 1 … 19: CODEC_SHUFFLE_ZSTD; 0: the engine chooses */
    enum codec_values values;
};

/* Room that an encoding needs at most. */
size_t codec_bound(int64_t n, size_t width);
/* n > 0 values of `width` bytes to at most codec_bound() bytes at payload. o NULL: all zero. */
enum status codec_encode(struct ctx *c, const void *values, int64_t n, size_t width,
                         const struct codec_options *o, void *payload, size_t *payload_bytes,
                         enum codec *used);
/* The payload to exactly n × width bytes at values. The payload may be hostile: ERR_CORRUPT
 * whatever does not fit, and nothing outside the two buffers is touched. */
enum status codec_decode(struct ctx *c, enum codec codec, const void *payload, size_t payload_bytes,
                         void *values, int64_t n, size_t width);
const char *codec_name(enum codec codec); /* as sys.tiles shows it; "unknown" */

/* Plain bytes (bitmaps, summary blocks), unshuffled, one zstd frame. squeeze: *out_bytes is 0 when
 * a tenth is not gained; `out` has room for n bytes. */
enum status codec_squeeze(struct ctx *c, const void *bytes, size_t n, void *out, size_t *out_bytes);
enum status codec_expand(struct ctx *c, const void *bytes, size_t n, void *out, size_t out_bytes);

/* For files of other programs: a zstd frame whose content may have any size up to `room` bytes;
 * *got is what came. NULL, or what is wrong with it; "" when the room is too small. */
const char *codec_unzstd(struct ctx *c, const void *bytes, size_t n, void *out, size_t room,
                         size_t *got);
/* One frame; out has room for codec_bound(n, 1) bytes. */
enum status codec_zstd(struct ctx *c, const void *bytes, size_t n, int level, void *out,
                       size_t *out_bytes);

#endif
