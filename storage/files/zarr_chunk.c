/* How do a Zarr chunk's values become bytes, and come back from them? */
#include "storage/files/zarr_chunk.h"
#include "storage/codec.h"
#include "storage/files/source_parts.h"
#include "storage/shuffle.h"
#include <zlib.h>

#define MAX_TEXT_BYTES ((size_t)1 << 31) /* of one chunk, inflated */

void zarr_chunk_path(const struct zarr_array *a, const int64_t *index, struct strbuf *out)
{
    strbuf_adds(out, a->path);
    strbuf_adds(out, a->prefix ? "/c" : "/");
    for (int d = 0; d < a->rank; d++) {
        if (d > 0 || a->prefix) strbuf_addc(out, a->separator);
        strbuf_addf(out, "%lld", (long long)index[d]);
    }
    if (a->rank == 0 && !a->prefix) strbuf_adds(out, "0");
}

static enum status damaged(struct ctx *c, const char *path, const char *why)
{
    return fail(c, ERR_BAD_COPY_FORMAT, "chunk \"%s\" is damaged: %s", path, why);
}

/* ---- decompressing ---- */

/* zlib's or gzip's; NULL, or what is wrong: "" when the room is too small. */
static const char *inflate_all(const void *bytes, size_t n, void *out, size_t room, size_t *got)
{
    z_stream z = {0};
    if (inflateInit2(&z, 15 + 32) != Z_OK) return "no memory for the decompressor";
    uint8_t nothing;
    size_t done = 0, fed = 0;
    int r = Z_OK;
    while (r == Z_OK) { /* zlib counts in 32 bits */
        size_t in = n - fed > 1 << 30 ? 1 << 30 : n - fed;
        size_t free_bytes = room - done > 1 << 30 ? 1 << 30 : room - done;
        z.next_in = (Bytef *)(uintptr_t)bytes + fed;
        z.avail_in = (uInt)in;
        z.next_out = room > done ? (Bytef *)out + done : &nothing;
        z.avail_out = (uInt)(room > done ? free_bytes : 1);
        size_t before = z.avail_out;
        r = inflate(&z, Z_NO_FLUSH);
        fed += in - z.avail_in;
        size_t made = before - z.avail_out;
        if (room == done && made > 0) {
            inflateEnd(&z);
            return "";
        }
        done += made;
        if (r == Z_OK && fed == n && made == 0) break;
    }
    inflateEnd(&z);
    *got = done;
    return r == Z_STREAM_END   ? NULL
           : r == Z_DATA_ERROR ? "its data does not inflate"
                               : "it ends early";
}

static const char *expand(struct ctx *c, const struct zarr_array *a, const void *bytes, size_t n,
                          void *out, size_t room, size_t *got)
{
    if (a->compressor == ZARR_ZSTD) return codec_unzstd(c, bytes, n, out, room, got);
    return inflate_all(bytes, n, out, room, got);
}

enum status zarr_chunk_decode(struct ctx *c, const struct zarr_array *a, const char *path,
                              const void *bytes, size_t n, void *records, size_t n_bytes)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    const void *plain = bytes;
    size_t got = n;
    if (a->compressor != ZARR_NONE) {
        void *room = records;
        if (a->shuffle > 1) TRY(scratch_alloc(c, n_bytes + 1, &room));
        const char *why = expand(c, a, bytes, n, room, n_bytes, &got);
        if (why) return damaged(c, path, why[0] ? why : "it is longer than its chunk");
        plain = room;
    }
    if (got != n_bytes)
        return fail(c, ERR_BAD_COPY_FORMAT, "chunk \"%s\" is damaged: it has %zu bytes, not %zu",
                    path, got, n_bytes);
    if (a->shuffle > 1) {
        int64_t values = (int64_t)n_bytes / a->shuffle;
        unshuffle_bytes(plain, values, (size_t)a->shuffle, records);
        size_t even = (size_t)(values * a->shuffle);
        memcpy((char *)records + even, (const char *)plain + even, n_bytes - even);
    } else if (plain != records) {
        memcpy(records, plain, n_bytes);
    }
    scratch_release(c->scratch, mark);
    return OK;
}

/* ---- texts ---- */

/* vlen-utf8: a count, then each text's length and bytes. */
static enum status split_texts(struct ctx *c, const char *path, const char *s, size_t n,
                               int64_t n_cells, struct text *out, char *to)
{
    uint32_t count, len;
    size_t at = 4, bad;
    if (n < 4) return damaged(c, path, "it has no count of texts");
    memcpy(&count, s, 4);
    if ((int64_t)count != n_cells) return damaged(c, path, "it does not have a text for each cell");
    for (int64_t i = 0; i < n_cells; i++) {
        if (n - at < 4) return damaged(c, path, "a text is cut off");
        memcpy(&len, s + at, 4);
        at += 4;
        if (n - at < len) return damaged(c, path, "a text is cut off");
        memcpy(to, s + at, len);
        if (!utf8_valid(to, len, &bad) || memchr(to, 0, len))
            return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8", path);
        out[i] = (struct text){to, len};
        to += len;
        at += len;
    }
    return OK;
}

enum status zarr_chunk_texts(struct ctx *c, const struct zarr_array *a, const char *path,
                             const void *bytes, size_t n, int64_t n_cells, struct text **out)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    const void *plain = bytes;
    size_t got = n;
    void *buf;
    if (n_cells > UINT32_MAX) return damaged(c, path, "it has too many cells");
    for (size_t room = 4 * n + 65536; a->compressor != ZARR_NONE; room *= 4) {
        void *to;
        TRY(scratch_alloc(c, room, &to));
        const char *why = expand(c, a, bytes, n, to, room, &got);
        plain = to;
        if (!why) break;
        if (why[0] || room > MAX_TEXT_BYTES)
            return damaged(c, path, why[0] ? why : "it is too long");
    }
    TRY(buf_alloc(c, (size_t)n_cells * sizeof(struct text) + got + 1, &buf));
    struct text *texts = buf;
    enum status st = split_texts(c, path, plain, got, n_cells, texts, (char *)(texts + n_cells));
    scratch_release(c->scratch, mark);
    if (st < 0)
        buf_free(buf);
    else
        *out = texts;
    return st;
}

/* ---- the other way ---- */

static enum status join_texts(struct ctx *c, const struct text *texts, int64_t n, void **out,
                              size_t *out_bytes)
{
    size_t bytes = 4;
    for (int64_t i = 0; i < n; i++)
        bytes += 4 + (size_t)texts[i].len;
    if (n > UINT32_MAX || bytes > MAX_TEXT_BYTES)
        return fail(c, ERR_LIMIT_EXCEEDED, "the texts of a chunk are too long");
    TRY(scratch_alloc(c, bytes, out));
    char *to = *out;
    uint32_t count = (uint32_t)n;
    memcpy(to, &count, 4);
    to += 4;
    for (int64_t i = 0; i < n; i++) {
        uint32_t len = (uint32_t)texts[i].len;
        memcpy(to, &len, 4);
        if (len) memcpy(to + 4, texts[i].s, len);
        to += 4 + len;
    }
    *out_bytes = bytes;
    return OK;
}

enum status zarr_chunk_encode(struct ctx *c, const struct zarr_array *a, const void *values,
                              int64_t n_cells, void **bytes, size_t *n)
{
    void *plain = (void *)(uintptr_t)values, *planes, *packed;
    size_t n_bytes = (size_t)n_cells * (size_t)a->type.bytes;
    if (a->type.kind == 'O') TRY(join_texts(c, values, n_cells, &plain, &n_bytes));
    if (a->shuffle > 1) {
        TRY(scratch_alloc(c, n_bytes + 1, &planes));
        shuffle_bytes(plain, n_cells, (size_t)a->shuffle, planes);
        plain = planes;
    }
    *bytes = plain;
    *n = n_bytes;
    if (a->compressor == ZARR_NONE) return OK;
    TRY(scratch_alloc(c, codec_bound((int64_t)n_bytes, 1), &packed));
    *bytes = packed;
    return codec_zstd(c, plain, n_bytes, a->level, packed, n);
}
