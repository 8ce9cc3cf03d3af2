/* How the byte planes of values are stored each by itself: the high ones of smooth numbers
 * compress, the low ones are noise on which zstd would only spend time. */
#include "storage/codec_parts.h"
#include "storage/record.h"
#include "storage/shuffle.h"
#include <math.h>
#include <string.h>

enum plane { PLANE_CONSTANT, PLANE_RAW, PLANE_ZSTD };
#define LEAST_GAIN 4 /* a smaller part of a plane is not worth the time to decode it */
#define PIECES 4
#define PIECE_BYTES 1024
#define SEEN 4096 /* slots of a table of what was seen */
#define BLOCK 1024

/* Do some four bytes of a piece occur in it again? */
static bool repeats(const uint8_t *piece, size_t n)
{
    uint16_t seen[SEEN] = {0};
    size_t hits = 0;
    for (size_t i = 0; i + 4 <= n; i++) {
        uint32_t four = get32(piece + i), slot = four * UINT32_C(2654435761) >> 20;
        hits += get32(piece + seen[slot]) == four;
        seen[slot] = (uint16_t)i;
    }
    return hits > n / 32;
}

/* About what zstd would leave of a plane, judged by pieces: Shannon's entropy of its bytes, or
 * less when they repeat. n: it is not worth trying. */
static size_t estimate(const uint8_t *plane, size_t n)
{
    if (memcmp(plane, plane + 1, n - 1) == 0) return 1;
    if (n < PIECES * PIECE_BYTES) return 2;
    uint16_t counts[2][256] = {{0}};
    for (size_t p = 0; p < PIECES; p++) {
        const uint8_t *piece = plane + (n - PIECE_BYTES) / (PIECES - 1) * p;
        for (size_t i = 0; i < PIECE_BYTES; i += 2) {
            counts[0][piece[i]]++;
            counts[1][piece[i + 1]]++;
        }
    }
    float bits = 0;
    for (size_t i = 0; i < 256; i++) {
        float share = (float)(counts[0][i] + counts[1][i]) / (PIECES * PIECE_BYTES);
        if (share > 0) bits -= share * log2f(share);
    }
    size_t left = 2 + (size_t)((float)n / 8 * bits);
    if (left <= n - n / LEAST_GAIN) return left;
    return repeats(plane + n / 2, PIECE_BYTES) ? 2 : n;
}

/* One plane to `to`, which has room for n bytes. */
static enum status put_plane(struct ctx *c, const uint8_t *plane, size_t n, size_t estimated,
                             uint8_t *to, enum plane *kind, size_t *bytes)
{
    if (estimated == 1) {
        *to = *plane;
        *kind = PLANE_CONSTANT;
        *bytes = 1;
        return OK;
    }
    size_t got = 0;
    if (estimated < n) TRY(codec_squeeze(c, plane, n, to, &got));
    if (got > n - n / LEAST_GAIN) got = 0;
    *kind = got ? PLANE_ZSTD : PLANE_RAW;
    *bytes = got ? got : n;
    if (!got) memcpy(to, plane, n);
    return OK;
}

enum status planes_encode(struct ctx *c, const void *values, int64_t n, size_t width, void *payload,
                          size_t *out)
{
    uint8_t *head = payload, *to = head + PLANE_HEAD_BYTES * width;
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *planes;
    TRY(scratch_alloc(c, (size_t)n * width, &planes));
    shuffle_bytes(values, n, width, planes);
    size_t estimated[CODEC_MAX_WIDTH], all = 0;
    for (size_t k = 0; k < width; k++)
        all += estimated[k] = estimate((uint8_t *)planes + k * (size_t)n, (size_t)n);
    *out = 0;
    bool worth = codec_gains((size_t)n * width, all + all / 64); /* Huffman's codes are longer */
    for (size_t k = 0; worth && k < width; k++, head += PLANE_HEAD_BYTES) {
        enum plane kind;
        size_t bytes;
        TRY(put_plane(c, (uint8_t *)planes + k * (size_t)n, (size_t)n, estimated[k], to, &kind,
                      &bytes));
        head[0] = (uint8_t)kind;
        put32(head + 1, (uint32_t)bytes);
        to += bytes;
    }
    scratch_release(c->scratch, mark);
    if (worth) *out = (size_t)(to - (uint8_t *)payload);
    return OK;
}

/* A plane as it is read: its bytes lie at `at`, or are all *at. */
struct plane_bytes {
    const uint8_t *at;
    bool constant;
};

static enum status get_plane(struct ctx *c, const uint8_t *head, const uint8_t *data, size_t left,
                             size_t n, struct plane_bytes *out)
{
    size_t bytes = get32(head + 1);
    void *plain;
    if (bytes > left) return fail(c, ERR_CORRUPT, "a plane of a tile is cut short");
    switch (head[0]) {
    case PLANE_CONSTANT:
    case PLANE_RAW:
        out->constant = head[0] == PLANE_CONSTANT;
        out->at = data;
        if (bytes == (out->constant ? 1 : n)) return OK;
        return fail(c, ERR_CORRUPT, "a plane of a tile does not have the size it should have");
    case PLANE_ZSTD:
        TRY(scratch_alloc(c, n, &plain));
        out->constant = false;
        out->at = plain;
        return codec_expand(c, data, bytes, plain, n);
    default:
        return fail(c, ERR_CORRUPT, "a tile has a plane of the unknown kind %d", head[0]);
    }
}

/* Planes to values, block by block, so that one run of equal bytes serves all of a constant one. */
static void join_planes(const struct plane_bytes *planes, int64_t n, size_t width, uint8_t *to)
{
    uint8_t runs[CODEC_MAX_WIDTH][BLOCK];
    const uint8_t *at[CODEC_MAX_WIDTH];
    for (size_t k = 0; k < width; k++)
        if (planes[k].constant) memset(runs[k], *planes[k].at, BLOCK);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t len = n - i < BLOCK ? n - i : BLOCK;
        for (size_t k = 0; k < width; k++)
            at[k] = planes[k].constant ? runs[k] : planes[k].at + i;
        unshuffle_planes(at, len, width, to + (size_t)i * width);
    }
}

enum status planes_decode(struct ctx *c, const void *payload, size_t payload_bytes, void *values,
                          int64_t n, size_t width)
{
    const uint8_t *head = payload, *data = head + PLANE_HEAD_BYTES * width,
                  *end = head + payload_bytes;
    struct plane_bytes planes[CODEC_MAX_WIDTH];
    if (payload_bytes < PLANE_HEAD_BYTES * width || width > CODEC_MAX_WIDTH)
        return fail(c, ERR_CORRUPT, "a tile of planes is cut short");
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = OK;
    for (size_t k = 0; k < width && s == OK; k++, head += PLANE_HEAD_BYTES) {
        s = get_plane(c, head, data, (size_t)(end - data), (size_t)n, &planes[k]);
        if (s == OK) data += get32(head + 1);
    }
    if (s == OK && data != end)
        s = fail(c, ERR_CORRUPT, "a tile of planes has more bytes than planes");
    if (s == OK) join_planes(planes, n, width, values);
    scratch_release(c->scratch, mark);
    return s;
}
