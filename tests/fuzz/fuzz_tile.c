/* Tile and summary records from hostile bytes: whatever they are, decoding stays in bounds and
 * fails with ERR_CORRUPT or ERR_FORMAT_VERSION if it fails. The first byte chooses what is decoded;
 * the checksum is made to fit, so that the fuzzer gets behind it. */
#include "storage/record.h"
#include "storage/summary.h"
#include "tests/unit/storage_ctx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(enum status s)
{
    if (s != OK && s != ERR_CORRUPT && s != ERR_FORMAT_VERSION) abort();
}

static void tile(struct ctx *c, const uint8_t *bytes, size_t n, const struct tile_key *key,
                 enum type type, const int64_t *extents)
{
    struct tile_record r;
    struct tile t;
    uint64_t bits[16];
    enum status s = tile_open(c, bytes, n, key, type, 600, &r);
    expect(s);
    if (s < 0) return;
    size_t room = (tile_decoded_bytes(&r) + 63) & ~(size_t)63;
    void *memory = room ? aligned_alloc(64, room) : NULL;
    s = tile_decode(c, &r, memory, &t);
    expect(s);
    if (s == OK && type == T_NONE) tile_presence_bits(&t, extents, bits);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test_ctx *ctx;
    static struct summary slots[SUMMARY_BLOCK_TILES];
    static const int64_t extents[] = {20, 30};
    if (!ctx) test_ctx_open(ctx = malloc(sizeof *ctx), NULL);
    if (size < 1 + RECORD_HEADER_BYTES) return 0;
    struct ctx *c = &ctx->c;
    struct tile_key key = {.array = 1, .attr = 1, .n_dims = 2, .version = 1};
    int kind = data[0] % 4;
    size_t n = size - 1;
    uint8_t *bytes = malloc(n);
    memcpy(bytes, data + 1, n);
    if (n >= 40 && data[0] & 64) { /* with a key that fits */
        put16(bytes + (kind == 2 ? 18 : 22), kind == 2 ? 1 | ATTR_SUMMARY : kind == 1 ? 0 : 1);
        put32(bytes + (kind == 2 ? 20 : 24), 1);
        put64(bytes + (kind == 2 ? 24 : 32), 1);
    }
    if (!(data[0] & 128)) record_seal(bytes, n, kind == 2 ? "TSSB" : "TSTL", kind == 2 ? 1 : 2);
    if (kind == 0) tile(c, bytes, n, &key, data[0] & 32 ? T_FLOAT64 : T_FLOAT32, extents);
    if (kind == 3) tile(c, bytes, n, &key, T_BOOL, extents);
    if (kind == 1) {
        key.attr = ATTR_PRESENCE;
        tile(c, bytes, n, &key, T_NONE, extents);
    }
    if (kind == 2) {
        struct summary_block b = {.slots = slots};
        key.attr |= ATTR_SUMMARY;
        expect(summary_block_decode(c, bytes, n, &key, T_FLOAT64, &b));
    }
    free(bytes);
    ctx_clear(c);
    scratch_reset(c->scratch);
    return 0;
}
