/* Which bytes a tile's values become on disk. */
#include "storage/codec_parts.h"
#include "storage/shuffle.h"
#include <string.h>

#define SAMPLE_PIECES 4
#define SAMPLE_PIECE_BYTES 8192

size_t codec_bound(int64_t n, size_t width)
{
    return codec_zstd_bound((size_t)n * width) + PLANE_HEAD_BYTES * width;
}

/* ---- encoding ---- */

/* A value equal to its successor, all along. */
static bool is_constant(const uint8_t *v, size_t n_bytes, size_t width)
{
    return memcmp(v, v + width, n_bytes - width) == 0;
}

/* Do a few pieces of the values, shuffled, compress by a tenth? dst has the tile's bound. */
static enum status sample_compresses(struct ctx *c, const uint8_t *values, size_t n_bytes,
                                     size_t width, int level, void *dst, size_t room, bool *out)
{
    uint8_t piece[SAMPLE_PIECE_BYTES];
    size_t total = 0;
    for (int i = 0; i < SAMPLE_PIECES; i++) {
        size_t at = (n_bytes - SAMPLE_PIECE_BYTES) / (SAMPLE_PIECES - 1) * (size_t)i;
        at -= at % width;
        shuffle_bytes(values + at, SAMPLE_PIECE_BYTES / (int64_t)width, width, piece);
        size_t got;
        TRY(codec_compress(c, piece, sizeof piece, dst, room, level, &got));
        total += got;
    }
    *out = codec_gains(SAMPLE_PIECES * sizeof piece, total);
    return OK;
}

static enum status shuffle_zstd(struct ctx *c, const void *values, int64_t n, size_t width,
                                int level, void *payload, size_t *out)
{
    size_t n_bytes = (size_t)n * width;
    if (width == 1)
        return codec_compress(c, values, n_bytes, payload, codec_bound(n, width), level, out);
    struct scratch_mark m = scratch_mark(c->scratch);
    void *planes;
    enum status s = scratch_alloc(c, n_bytes, &planes);
    if (s < 0) return s;
    shuffle_bytes(values, n, width, planes);
    s = codec_compress(c, planes, n_bytes, payload, codec_bound(n, width), level, out);
    scratch_release(c->scratch, m);
    return s;
}

static void keep_raw(const void *values, size_t n_bytes, void *payload, size_t *payload_bytes,
                     enum codec *used)
{
    memcpy(payload, values, n_bytes);
    *payload_bytes = n_bytes;
    *used = CODEC_RAW;
}

/* As the engine chooses among the codecs that know what values are. */
static enum status encode_values(struct ctx *c, const void *values, int64_t n, size_t width,
                                 const struct codec_options *o, void *payload,
                                 size_t *payload_bytes, enum codec *used)
{
    size_t n_bytes = (size_t)n * width;
    TRY(decimal_encode(c, o->values, values, n, width, payload, payload_bytes));
    *used = CODEC_DECIMAL;
    if (*payload_bytes) return OK;
    TRY(planes_encode(c, values, n, width, payload, payload_bytes));
    *used = CODEC_PLANES;
    if (!*payload_bytes || !codec_gains(n_bytes, *payload_bytes))
        keep_raw(values, n_bytes, payload, payload_bytes, used);
    return OK;
}

/* One frame of zstd, whatever it is; with level 0 only where it gains. */
static enum status encode_frame(struct ctx *c, const void *values, int64_t n, size_t width,
                                int level, void *payload, size_t *payload_bytes, enum codec *used)
{
    size_t n_bytes = (size_t)n * width, got;
    bool choose = level == 0, worth = true;
    if (choose) level = CODEC_DEFAULT_LEVEL;
    if (choose && SAMPLE_PIECE_BYTES % width == 0 &&
        n_bytes >= (size_t)4 * SAMPLE_PIECES * SAMPLE_PIECE_BYTES)
        TRY(sample_compresses(c, values, n_bytes, width, level, payload, codec_bound(n, width),
                              &worth));
    if (worth) TRY(shuffle_zstd(c, values, n, width, level, payload, &got));
    if (!worth || (choose && !codec_gains(n_bytes, got))) {
        keep_raw(values, n_bytes, payload, payload_bytes, used);
        return OK;
    }
    *payload_bytes = got;
    *used = CODEC_SHUFFLE_ZSTD;
    return OK;
}

enum status codec_encode(struct ctx *c, const void *values, int64_t n, size_t width,
                         const struct codec_options *o, void *payload, size_t *payload_bytes,
                         enum codec *used)
{
    static const struct codec_options none;
    size_t n_bytes = (size_t)n * width;
    if (!o) o = &none;
    if (is_constant(values, n_bytes, width)) {
        memcpy(payload, values, width);
        *payload_bytes = width;
        *used = CODEC_CONSTANT;
        return OK;
    }
    if (o->raw) {
        keep_raw(values, n_bytes, payload, payload_bytes, used);
        return OK;
    }
    if (o->values == VALUES_BYTES || o->zstd_level)
        return encode_frame(c, values, n, width, o->zstd_level, payload, payload_bytes, used);
    return encode_values(c, values, n, width, o, payload, payload_bytes, used);
}

/* ---- decoding ---- */

static void fill_constant(const void *value, size_t width, uint8_t *out, size_t n_bytes)
{
    memcpy(out, value, width);
    for (size_t done = width; done < n_bytes;) {
        size_t more = done < n_bytes - done ? done : n_bytes - done;
        if (more > 4096) more = 4096 / width * width;
        memcpy(out + done, out, more);
        done += more;
    }
}

static enum status unshuffle_zstd(struct ctx *c, const void *payload, size_t payload_bytes,
                                  void *values, int64_t n, size_t width)
{
    size_t n_bytes = (size_t)n * width;
    if (width == 1) return codec_expand(c, payload, payload_bytes, values, n_bytes);
    struct scratch_mark m = scratch_mark(c->scratch);
    void *planes;
    TRY(scratch_alloc(c, n_bytes, &planes));
    enum status s = codec_expand(c, payload, payload_bytes, planes, n_bytes);
    if (s == OK) unshuffle_bytes(planes, n, width, values);
    scratch_release(c->scratch, m);
    return s;
}

enum status codec_decode(struct ctx *c, enum codec codec, const void *payload, size_t payload_bytes,
                         void *values, int64_t n, size_t width)
{
    size_t n_bytes = (size_t)n * width;
    switch (codec) {
    case CODEC_CONSTANT:
        if (payload_bytes != width)
            return fail(c, ERR_CORRUPT, "a constant tile does not hold one value");
        fill_constant(payload, width, values, n_bytes);
        return OK;
    case CODEC_RAW:
        if (payload_bytes != n_bytes)
            return fail(c, ERR_CORRUPT, "a raw tile does not have the size it should have");
        memcpy(values, payload, n_bytes);
        return OK;
    case CODEC_SHUFFLE_ZSTD:
        return unshuffle_zstd(c, payload, payload_bytes, values, n, width);
    case CODEC_PLANES:
        return planes_decode(c, payload, payload_bytes, values, n, width);
    case CODEC_DECIMAL:
        return decimal_decode(c, payload, payload_bytes, values, n, width);
    default:
        return fail(c, ERR_CORRUPT, "a tile has the unknown codec %d", (int)codec);
    }
}

const char *codec_name(enum codec codec)
{
    switch (codec) {
    case CODEC_CONSTANT:
        return "constant";
    case CODEC_RAW:
        return "raw";
    case CODEC_SHUFFLE_ZSTD:
        return "shuffle,zstd";
    case CODEC_PLANES:
        return "planes";
    case CODEC_DECIMAL:
        return "decimal";
    }
    return "unknown";
}
