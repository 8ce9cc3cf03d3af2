/* Which bytes a tile's values become on disk. The only file that knows zstd. */
#include "storage/codec.h"
#include "storage/shuffle.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#define DEFAULT_LEVEL 1
#define SAMPLE_PIECES 4
#define SAMPLE_PIECE_BYTES 8192

/* ---- one compressor and one decompressor a thread ---- */

struct zstd_thread {
    ZSTD_CCtx *cctx;
    ZSTD_DCtx *dctx;
};
static pthread_key_t zstd_key;
static pthread_once_t zstd_once = PTHREAD_ONCE_INIT;
static int zstd_key_error;

static void zstd_thread_free(void *p)
{
    struct zstd_thread *t = p;
    ZSTD_freeCCtx(t->cctx);
    ZSTD_freeDCtx(t->dctx);
    free(t);
}

static void zstd_make_key(void)
{
    zstd_key_error = pthread_key_create(&zstd_key, zstd_thread_free);
}

static enum status zstd_thread_get(struct ctx *c, struct zstd_thread **out)
{
    pthread_once(&zstd_once, zstd_make_key);
    if (zstd_key_error) return fail(c, ERR_INTERNAL, "no key for the codec's threads is left");
    struct zstd_thread *t = pthread_getspecific(zstd_key);
    if (!t) {
        t = calloc(1, sizeof *t);
        if (!t || pthread_setspecific(zstd_key, t)) {
            free(t);
            return fail(c, ERR_MEMORY, "out of memory");
        }
    }
    if (!t->cctx) t->cctx = ZSTD_createCCtx();
    if (!t->dctx) t->dctx = ZSTD_createDCtx();
    if (!t->cctx || !t->dctx) return fail(c, ERR_MEMORY, "out of memory");
    *out = t;
    return OK;
}

/* ---- encoding ---- */

size_t codec_bound(int64_t n, size_t width)
{
    return ZSTD_compressBound((size_t)n * width);
}

/* A value equal to its successor, all along. */
static bool is_constant(const uint8_t *v, size_t n_bytes, size_t width)
{
    return memcmp(v, v + width, n_bytes - width) == 0;
}

static bool gains_a_tenth(size_t from, size_t to)
{
    return to <= from - from / 10;
}

static enum status compress(struct ctx *c, const void *src, size_t n, void *dst, size_t room,
                            int level, size_t *out)
{
    struct zstd_thread *t;
    TRY(zstd_thread_get(c, &t));
    size_t r = ZSTD_compressCCtx(t->cctx, dst, room, src, n, level);
    if (ZSTD_isError(r))
        return fail(c, ERR_INTERNAL, "could not compress a tile: %s", ZSTD_getErrorName(r));
    *out = r;
    return OK;
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
        TRY(compress(c, piece, sizeof piece, dst, room, level, &got));
        total += got;
    }
    *out = gains_a_tenth(SAMPLE_PIECES * sizeof piece, total);
    return OK;
}

static enum status shuffle_zstd(struct ctx *c, const void *values, int64_t n, size_t width,
                                int level, void *payload, size_t *out)
{
    size_t n_bytes = (size_t)n * width;
    if (width == 1) return compress(c, values, n_bytes, payload, codec_bound(n, width), level, out);
    struct scratch_mark m = scratch_mark(c->scratch);
    void *planes;
    enum status s = scratch_alloc(c, n_bytes, &planes);
    if (s < 0) return s;
    shuffle_bytes(values, n, width, planes);
    s = compress(c, planes, n_bytes, payload, codec_bound(n, width), level, out);
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

enum status codec_encode(struct ctx *c, const void *values, int64_t n, size_t width,
                         const struct codec_options *o, void *payload, size_t *payload_bytes,
                         enum codec *used)
{
    size_t n_bytes = (size_t)n * width;
    if (is_constant(values, n_bytes, width)) {
        memcpy(payload, values, width);
        *payload_bytes = width;
        *used = CODEC_CONSTANT;
        return OK;
    }
    bool choose = !o || !o->zstd_level;
    int level = choose ? DEFAULT_LEVEL : o->zstd_level;
    bool worth = !(o && o->raw);
    if (worth && choose && SAMPLE_PIECE_BYTES % width == 0 &&
        n_bytes >= (size_t)4 * SAMPLE_PIECES * SAMPLE_PIECE_BYTES)
        TRY(sample_compresses(c, values, n_bytes, width, level, payload, codec_bound(n, width),
                              &worth));
    if (!worth) {
        keep_raw(values, n_bytes, payload, payload_bytes, used);
        return OK;
    }
    size_t got;
    TRY(shuffle_zstd(c, values, n, width, level, payload, &got));
    if (choose && !gains_a_tenth(n_bytes, got)) {
        keep_raw(values, n_bytes, payload, payload_bytes, used);
        return OK;
    }
    *payload_bytes = got;
    *used = CODEC_SHUFFLE_ZSTD;
    return OK;
}

enum status codec_squeeze(struct ctx *c, const void *bytes, size_t n, void *out, size_t *out_bytes)
{
    struct zstd_thread *t;
    TRY(zstd_thread_get(c, &t));
    size_t r = ZSTD_compressCCtx(t->cctx, out, n, bytes, n, DEFAULT_LEVEL);
    *out_bytes = !ZSTD_isError(r) && gains_a_tenth(n, r) ? r : 0;
    return OK;
}

/* ---- decoding ---- */

enum status codec_expand(struct ctx *c, const void *bytes, size_t n, void *out, size_t out_bytes)
{
    struct zstd_thread *t;
    TRY(zstd_thread_get(c, &t));
    if (ZSTD_getFrameContentSize(bytes, n) != out_bytes ||
        ZSTD_findFrameCompressedSize(bytes, n) != n)
        return fail(c, ERR_CORRUPT, "a compressed tile does not have the size it should have");
    size_t r = ZSTD_decompressDCtx(t->dctx, out, out_bytes, bytes, n);
    if (ZSTD_isError(r))
        return fail(c, ERR_CORRUPT, "a compressed tile is damaged: %s", ZSTD_getErrorName(r));
    if (r != out_bytes) return fail(c, ERR_CORRUPT, "a compressed tile is too short");
    return OK;
}

const char *codec_unzstd(struct ctx *c, const void *bytes, size_t n, void *out, size_t room,
                         size_t *got)
{
    struct zstd_thread *t;
    if (zstd_thread_get(c, &t) < 0) return "no memory for the decompressor";
    size_t r = ZSTD_decompressDCtx(t->dctx, out, room, bytes, n);
    if (!ZSTD_isError(r)) {
        *got = r;
        return NULL;
    }
    return ZSTD_getErrorCode(r) == ZSTD_error_dstSize_tooSmall ? "" : ZSTD_getErrorName(r);
}

enum status codec_zstd(struct ctx *c, const void *bytes, size_t n, int level, void *out,
                       size_t *out_bytes)
{
    return compress(c, bytes, n, out, codec_bound((int64_t)n, 1), level, out_bytes);
}

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
        break;
    default:
        return fail(c, ERR_CORRUPT, "a tile has the unknown codec %d", (int)codec);
    }
    if (width == 1) return codec_expand(c, payload, payload_bytes, values, n_bytes);
    struct scratch_mark m = scratch_mark(c->scratch);
    void *planes;
    TRY(scratch_alloc(c, n_bytes, &planes));
    enum status s = codec_expand(c, payload, payload_bytes, planes, n_bytes);
    if (s == OK) unshuffle_bytes(planes, n, width, values);
    scratch_release(c->scratch, m);
    return s;
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
    }
    return "unknown";
}
