/* How bytes become a zstd frame and back. The only file that knows zstd. */
#include "storage/codec_parts.h"
#include <pthread.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

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

size_t codec_zstd_bound(size_t n)
{
    return ZSTD_compressBound(n);
}

enum status codec_compress(struct ctx *c, const void *src, size_t n, void *dst, size_t room,
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

enum status codec_squeeze(struct ctx *c, const void *bytes, size_t n, void *out, size_t *out_bytes)
{
    struct zstd_thread *t;
    TRY(zstd_thread_get(c, &t));
    size_t r = ZSTD_compressCCtx(t->cctx, out, n, bytes, n, CODEC_DEFAULT_LEVEL);
    *out_bytes = !ZSTD_isError(r) && codec_gains(n, r) ? r : 0;
    return OK;
}

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
    return codec_compress(c, bytes, n, out, codec_zstd_bound(n), level, out_bytes);
}
