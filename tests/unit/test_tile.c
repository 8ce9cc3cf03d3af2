/* Tiles come back from their records as they went in, and no damaged record passes for a tile. */
#include "storage/base/bits.h"
#include "storage/record.h"
#include "storage/tile.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"

static int open_ctx(void **state)
{
    struct test_ctx *t = malloc(sizeof *t);
    test_ctx_open(t, NULL);
    *state = t;
    return 0;
}
static int close_ctx(void **state)
{
    test_ctx_close(*state);
    free(*state);
    return 0;
}

static const struct tile_key some_key = {
    .array = 7, .attr = 3, .n_dims = 2, .coords = {-5, 12}, .version = 9};

/* A copy of exactly its size, so that the sanitizers see a step beyond. */
static uint8_t *exact_copy(const void *bytes, size_t n)
{
    uint8_t *copy = malloc(n);
    memcpy(copy, bytes, n);
    return copy;
}

static void decode_copy(struct ctx *c, const uint8_t *bytes, size_t n_bytes,
                        const struct tile_key *key, enum type type, int64_t n, struct tile *out)
{
    struct tile_record r;
    void *mem;
    assert_int_equal(tile_open(c, bytes, n_bytes, key, type, n, &r), OK);
    assert_int_equal(scratch_alloc(c, tile_decoded_bytes(&r) + 1, &mem), OK);
    assert_int_equal(tile_decode(c, &r, mem, out), OK);
}

static void random_bits(uint64_t *b, int64_t n, int percent, uint64_t *seed)
{
    for (int64_t i = 0; i < n; i++)
        bit_put(b, i, (int)(test_random(seed) % 100) < percent);
    if (n & 63) b[n >> 6] |= ~UINT64_C(0) << (n & 63); /* what lies behind may be anything */
}

static void check_values(struct ctx *c, enum type type, int64_t n, int valid_percent,
                         int present_percent, uint64_t *seed)
{
    size_t width = tile_width(type);
    uint8_t *values = malloc((size_t)n * width);
    uint64_t *valid = malloc((size_t)bits_words(n) * 8),
             *present = malloc((size_t)bits_words(n) * 8);
    test_fill_random(values, (size_t)n * width, (*seed)++);
    random_bits(valid, n, valid_percent, seed);
    random_bits(present, n, present_percent, seed);
    struct tile t = {.key = some_key, .type = type, .n = n, .values = values}, back;
    if (valid_percent < 100) t.bits = valid;
    const uint64_t *p = present_percent < 100 ? present : NULL;

    void *record;
    size_t n_bytes;
    assert_int_equal(tile_encode(c, &t, p, NULL, &record, &n_bytes), OK);
    uint8_t *copy = exact_copy(record, n_bytes);
    decode_copy(c, copy, n_bytes, &some_key, type, n, &back);
    int64_t n_present = 0, n_nulls = 0;
    bool same = true;
    for (int64_t i = 0; i < n; i++) {
        bool is_present = !p || bit_get(present, i);
        bool is_valid = is_present && (!t.bits || bit_get(valid, i));
        n_present += is_present;
        n_nulls += is_present && !is_valid;
        same = same && (!back.bits || bit_get(back.bits, i)) == (is_valid || !is_present);
        if (is_valid)
            same = same && !memcmp((uint8_t *)back.values + (size_t)i * width,
                                   values + (size_t)i * width, width);
    }
    assert_true(same);
    assert_int_equal(back.n_present, n_present);
    assert_int_equal(back.n_nulls, n_nulls);
    assert_true((back.bits != NULL) == (n_nulls > 0));
    free(copy);
    free(values);
    free(valid);
    free(present);
    scratch_reset(c->scratch);
}

static void every_type_comes_back(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    uint64_t seed = 1;
    const int64_t lengths[] = {1, 7, 64, 65, 1000, 8192};
    for (enum type t = T_BOOL; t <= T_TEXT; t++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            for (int valid = 0; valid <= 100; valid += 25)
                for (int present = 0; present <= 100; present += 50)
                    check_values(c, t, lengths[l], valid, present, &seed);
}

static void what_does_not_exist_costs_nothing(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    double v[4096];
    uint64_t valid[64] = {0};
    test_fill_random(v, sizeof v, 3);
    for (int i = 1000; i < 1003; i++) {
        v[i] = 4.5;
        bit_set(valid, i);
    }
    struct tile t = {.key = some_key, .type = T_FLOAT64, .n = 4096, .values = v, .bits = valid};
    void *record;
    size_t n_bytes;
    assert_int_equal(tile_encode(c, &t, valid, NULL, &record, &n_bytes), OK);
    struct tile_record r;
    assert_int_equal(tile_open(c, record, n_bytes, &some_key, T_FLOAT64, 4096, &r), OK);
    assert_int_equal(r.codec, CODEC_CONSTANT);
    assert_false(r.has_bits);
    assert_int_equal(n_bytes, 72 + 16 + 8);
}

static void check_presence(struct ctx *c, const int64_t *extents, int n_dims, const uint64_t *bits,
                           bool dense, int64_t n)
{
    struct tile_key key = some_key;
    key.attr = ATTR_PRESENCE;
    key.n_dims = n_dims;
    void *record;
    size_t n_bytes;
    struct tile back;
    assert_int_equal(tile_encode_presence(c, &key, extents, bits, &record, &n_bytes), OK);
    uint8_t *copy = exact_copy(record, n_bytes);
    decode_copy(c, copy, n_bytes, &key, T_NONE, n, &back);
    if (dense) assert_int_equal(n_bytes, 72 + 24 * n_dims);
    assert_int_equal(back.dense, dense);
    assert_int_equal(back.n_present, bits ? bits_count(bits, 0, n) : n);
    assert_int_equal(tile_is_full(&back), back.n_present == n);
    assert_int_equal(tile_record_is_tombstone(copy, n_bytes), back.n_present == 0);
    uint64_t *got = malloc((size_t)bits_words(n) * 8);
    tile_presence_bits(&back, extents, got);
    bool same = true;
    struct box tile = {.n_dims = n_dims}, bound = {.n_dims = n_dims};
    for (int d = 0; d < n_dims; d++) {
        tile.hi[d] = extents[d];
        bound.lo[d] = INT64_MAX;
    }
    for (int64_t i = 0; i < n; i++) {
        bool want = !bits || bit_get(bits, i);
        same = same && bit_get(got, i) == want;
        int64_t pos[MAX_DIMS];
        box_position(&tile, i, pos);
        for (int d = 0; want && d < n_dims; d++) {
            if (pos[d] < bound.lo[d]) bound.lo[d] = pos[d];
            if (pos[d] >= bound.hi[d]) bound.hi[d] = pos[d] + 1;
        }
    }
    assert_true(same);
    for (int d = 0; d < n_dims && back.n_present; d++) {
        assert_int_equal(back.lo[d], bound.lo[d]);
        assert_int_equal(back.hi[d], bound.hi[d]);
    }
    free(got);
    free(copy);
    scratch_reset(c->scratch);
}

static void presence_comes_back(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const int64_t extents[] = {5, 9, 30};
    const int64_t n = 5 * 9 * 30;
    uint64_t bits[22];
    uint64_t seed = 4;
    check_presence(c, extents, 3, NULL, true, n);
    memset(bits, 255, sizeof bits);
    check_presence(c, extents, 3, bits, true, n);
    memset(bits, 0, sizeof bits);
    check_presence(c, extents, 3, bits, true, n);
    for (int round = 0; round < 300; round++) { /* boxes, and boxes with a hole */
        struct box tile = {3, {0}, {5, 9, 30}}, box = {.n_dims = 3};
        for (int d = 0; d < 3; d++) {
            box.lo[d] = (int64_t)(test_random(&seed) % (uint64_t)extents[d]);
            box.hi[d] =
                box.lo[d] + 1 + (int64_t)(test_random(&seed) % (uint64_t)(extents[d] - box.lo[d]));
        }
        memset(bits, 0, sizeof bits);
        box_copy_bits(bits, &tile, NULL, &box, &box);
        check_presence(c, extents, 3, bits, true, n);
        if (box_cells(&box) < 9 || box_extent(&box, 2) < 3) continue;
        int64_t hole[3] = {box.lo[0], box.lo[1], box.lo[2] + 1};
        bit_clear(bits, box_index(&tile, hole));
        check_presence(c, extents, 3, bits, false, n);
    }
    for (int percent = 1; percent < 100; percent += 7) {
        random_bits(bits, n, percent, &seed);
        check_presence(c, extents, 3, bits, false, n);
    }
    uint64_t one = 1;
    const int64_t line[] = {1000};
    check_presence(c, NULL, 0, NULL, true, 1);
    check_presence(c, NULL, 0, &one, true, 1);
    one = 0;
    check_presence(c, NULL, 0, &one, true, 1);
    uint64_t row[16] = {0};
    bits_fill(row, 70, 900, true);
    check_presence(c, line, 1, row, true, 1000);
}

/* Every byte, changed in every bit: never a tile. */
static void every_flipped_bit_is_found(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    float v[300];
    uint64_t valid[5];
    uint64_t seed = 6;
    for (int i = 0; i < 300; i++)
        v[i] = (float)(i / 7);
    random_bits(valid, 300, 90, &seed);
    struct tile t = {.key = some_key, .type = T_FLOAT32, .n = 300, .values = v, .bits = valid};
    void *record;
    size_t n_bytes;
    assert_int_equal(tile_encode(c, &t, NULL, NULL, &record, &n_bytes), OK);
    uint8_t *bytes = exact_copy(record, n_bytes);
    struct tile_record r;
    for (size_t i = 0; i < n_bytes * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(tile_open(c, bytes, n_bytes, &some_key, T_FLOAT32, 300, &r), ERR_CORRUPT);
        ctx_clear(c);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t cut = 0; cut < n_bytes; cut++) {
        uint8_t *part = exact_copy(bytes, cut ? cut : 1);
        assert_int_equal(tile_open(c, part, cut, &some_key, T_FLOAT32, 300, &r), ERR_CORRUPT);
        ctx_clear(c);
        free(part);
    }
    assert_int_equal(tile_open(c, bytes, n_bytes, &some_key, T_FLOAT32, 300, &r), OK);
    free(bytes);
}

/* The same with a checksum that fits: decoding may be wrong but stays in bounds. */
static void resealed_damage_stays_in_bounds(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    uint64_t bits[8];
    uint64_t seed = 8;
    float v[300];
    for (int i = 0; i < 300; i++)
        v[i] = (float)(i / 7);
    random_bits(bits, 300, 80, &seed);
    struct tile t = {.key = some_key, .type = T_FLOAT32, .n = 300, .values = v, .bits = bits};
    struct tile_key presence = some_key;
    presence.attr = ATTR_PRESENCE;
    const int64_t extents[] = {10, 30};
    for (int which = 0; which < 2; which++) {
        void *record;
        size_t n_bytes;
        if (which == 0)
            assert_int_equal(tile_encode(c, &t, NULL, NULL, &record, &n_bytes), OK);
        else
            assert_int_equal(tile_encode_presence(c, &presence, extents, bits, &record, &n_bytes),
                             OK);
        for (size_t i = 16 * 8; i < n_bytes * 8; i++) {
            uint8_t *bytes = exact_copy(record, n_bytes);
            bytes[i / 8] ^= (uint8_t)(1 << i % 8);
            record_seal(bytes, n_bytes, "TSTL", 1);
            struct tile_record r;
            struct tile back;
            enum status s = tile_open(c, bytes, n_bytes, which ? &presence : &some_key,
                                      which ? T_NONE : T_FLOAT32, 300, &r);
            if (s == OK) {
                uint8_t *mem = aligned_alloc(64, (tile_decoded_bytes(&r) + 64) & ~(size_t)63);
                s = tile_decode(c, &r, mem, &back);
                uint64_t got[5];
                if (s == OK && which) tile_presence_bits(&back, extents, got);
                free(mem);
            }
            assert_true(s == OK || s == ERR_CORRUPT);
            ctx_clear(c);
            free(bytes);
        }
    }
}

static void another_tile_is_refused(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    int32_t v[] = {1, 2, 3, 4};
    struct tile t = {.key = some_key, .type = T_INT32, .n = 4, .values = v};
    struct tile_record r;
    void *record;
    size_t n;
    assert_int_equal(tile_encode(c, &t, NULL, NULL, &record, &n), OK);
    for (int which = 0; which < 6; which++) {
        struct tile_key k = some_key;
        k.array += which == 0;
        k.attr = (uint16_t)(k.attr + (which == 1));
        k.coords[0] += which == 2;
        k.coords[1] += which == 3;
        k.version += which == 4;
        k.n_dims -= which == 5;
        assert_int_equal(tile_open(c, record, n, &k, T_INT32, 4, &r), ERR_CORRUPT);
        ctx_clear(c);
    }
    assert_int_equal(tile_open(c, record, n, &some_key, T_UINT32, 4, &r), ERR_CORRUPT);
    ctx_clear(c);
    assert_int_equal(tile_open(c, record, n, &some_key, T_INT32, 5, &r), ERR_CORRUPT);
    assert_string_equal(c->err.message, "tile (-5, 12) of array 7, attribute 3, version 9 is "
                                        "damaged: its type or size is another one");
    ctx_clear(c);
    record_seal(record, n, "TSTL", 3);
    assert_int_equal(tile_open(c, record, n, &some_key, T_INT32, 4, &r), ERR_FORMAT_VERSION);
}

static void too_large_a_tile_is_refused(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    struct tile t = {.key = some_key, .type = T_FLOAT64, .n = TILE_MAX_BYTES / 8 + 1};
    void *record;
    size_t n;
    assert_int_equal(tile_encode(c, &t, NULL, NULL, &record, &n), ERR_LIMIT_EXCEEDED);
    ctx_clear(c);
    struct tile_key k = some_key;
    k.attr = 0;
    const int64_t extents[] = {INT64_C(1) << 40, INT64_C(1) << 40};
    assert_int_equal(tile_encode_presence(c, &k, extents, NULL, &record, &n), ERR_LIMIT_EXCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_comes_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(what_does_not_exist_costs_nothing, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(presence_comes_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(every_flipped_bit_is_found, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(resealed_damage_stays_in_bounds, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(another_tile_is_refused, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(too_large_a_tile_is_refused, open_ctx, close_ctx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
