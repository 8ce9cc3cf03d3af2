/* Codecs give back what they took, choose as documented, and survive hostile payloads. */
#include "storage/codec.h"
#include "storage/shuffle.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <stdio.h>

static const size_t widths[] = {1, 2, 4, 8, 16};
static const int64_t lengths[] = {1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 1000, 4099, 32768};
#define N_OF(a) (sizeof(a) / sizeof *(a))

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

static void shuffle_is_a_transposition(void **state)
{
    (void)state;
    uint8_t *src = malloc(16 * 32768), *got = malloc(16 * 32768), *back = malloc(16 * 32768);
    const size_t odd[] = {1, 2, 3, 4, 5, 7, 8, 12, 16};
    test_fill_random(src, 16 * 32768, 1);
    for (int isa = 0; isa < shuffle_isas(); isa++)
        for (size_t w = 0; w < N_OF(odd); w++)
            for (size_t l = 0; l < N_OF(lengths); l++) {
                int64_t n = lengths[l] > 5000 ? 5000 : lengths[l];
                size_t width = odd[w], bytes = (size_t)n * width;
                shuffle_bytes_by(isa, src, n, width, got);
                bool same = true;
                for (size_t i = 0; i < (size_t)n; i++)
                    for (size_t j = 0; j < width; j++)
                        same = same && got[j * (size_t)n + i] == src[i * width + j];
                assert_true(same);
                unshuffle_bytes_by(isa, got, n, width, back);
                assert_memory_equal(src, back, bytes);
            }
    free(src);
    free(got);
    free(back);
}

/* Encodes and decodes in buffers of the exact sizes; returns the codec that was chosen. */
static enum codec round_trip(struct ctx *c, const void *values, int64_t n, size_t width,
                             const struct codec_options *o, size_t *bytes)
{
    uint8_t *payload = malloc(codec_bound(n, width)), *back = malloc((size_t)n * width);
    enum codec used = 0;
    assert_int_equal(codec_encode(c, values, n, width, o, payload, bytes, &used), OK);
    assert_true(*bytes <= codec_bound(n, width));
    payload = realloc(payload, *bytes);
    assert_int_equal(codec_decode(c, used, payload, *bytes, back, n, width), OK);
    assert_memory_equal(values, back, (size_t)n * width);
    free(payload);
    free(back);
    scratch_reset(c->scratch);
    return used;
}

static void every_width_and_length_comes_back(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const struct codec_options options[] = {{0}, {.raw = true}, {.zstd_level = 3}};
    for (size_t w = 0; w < N_OF(widths); w++)
        for (size_t l = 0; l < N_OF(lengths); l++) {
            size_t n_bytes = (size_t)lengths[l] * widths[w], got;
            uint8_t *values = malloc(n_bytes);
            for (int kind = 0; kind < 4; kind++) {
                test_fill_random(values, n_bytes, l * 100 + w);
                for (size_t i = 0; kind > 0 && i < n_bytes; i++)
                    values[i] = kind == 1 ? 7 : kind == 2 ? values[i] & 3 : (uint8_t)(i / 999);
                for (size_t o = 0; o < N_OF(options); o++) {
                    enum codec used =
                        round_trip(c, values, lengths[l], widths[w], &options[o], &got);
                    if (kind == 1) assert_int_equal(used, CODEC_CONSTANT);
                    if (kind == 1) assert_int_equal(got, widths[w]);
                }
            }
            free(values);
        }
}

static void the_codec_fits_the_values(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const int64_t n = 32768;
    double *v = malloc((size_t)n * 8);
    size_t bytes;
    test_fill_smooth(v, n);
    assert_int_equal(round_trip(c, v, n, 8, NULL, &bytes), CODEC_SHUFFLE_ZSTD);
    assert_true(bytes < (size_t)n * 8 * 9 / 10);
    struct codec_options raw = {.raw = true}, level = {.zstd_level = 1};
    assert_int_equal(round_trip(c, v, n, 8, &raw, &bytes), CODEC_RAW);
    test_fill_random(v, (size_t)n * 8, 5);
    assert_int_equal(round_trip(c, v, n, 8, NULL, &bytes), CODEC_RAW);
    assert_int_equal(round_trip(c, v, n, 8, &level, &bytes), CODEC_SHUFFLE_ZSTD);
    for (int64_t i = 0; i < n; i++)
        v[i] = i % 2 ? 0.0 : -0.0;
    assert_int_not_equal(round_trip(c, v, n, 8, NULL, &bytes), CODEC_CONSTANT);
    for (int64_t i = 0; i < n; i++)
        v[i] = NAN;
    assert_int_equal(round_trip(c, v, n, 8, NULL, &bytes), CODEC_CONSTANT);
    free(v);
}

/* Whatever the payload, decoding ends, in the bounds of buffers that the sanitizers watch. */
static void hostile_payloads_are_refused(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const int64_t n = 512;
    double v[512], back[512];
    size_t bytes;
    enum codec used;
    test_fill_smooth(v, n);
    uint8_t *payload = malloc(codec_bound(n, 8));
    assert_int_equal(codec_encode(c, v, n, 8, NULL, payload, &bytes, &used), OK);
    assert_int_equal(used, CODEC_SHUFFLE_ZSTD);
    for (size_t cut = 0; cut < bytes; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, payload, cut);
        assert_int_equal(codec_decode(c, used, part, cut, back, n, 8), ERR_CORRUPT);
        ctx_clear(c);
        free(part);
    }
    uint64_t seed = 9;
    for (size_t at = 0; at < bytes; at++) {
        uint8_t old = payload[at];
        payload[at] = (uint8_t)test_random(&seed);
        enum status s = codec_decode(c, used, payload, bytes, back, n, 8);
        assert_true(s == OK || s == ERR_CORRUPT);
        ctx_clear(c);
        payload[at] = old;
    }
    assert_int_equal(codec_decode(c, used, payload, bytes, back, n - 1, 8), ERR_CORRUPT);
    ctx_clear(c);
    assert_int_equal(codec_decode(c, CODEC_RAW, payload, bytes, back, n, 8), ERR_CORRUPT);
    ctx_clear(c);
    assert_int_equal(codec_decode(c, CODEC_CONSTANT, payload, bytes, back, n, 8), ERR_CORRUPT);
    ctx_clear(c);
    assert_int_equal(codec_decode(c, (enum codec)77, payload, bytes, back, n, 8), ERR_CORRUPT);
    free(payload);
}

static void bytes_are_squeezed_when_it_gains(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    uint8_t plain[4096], packed[4096], back[4096];
    size_t got;
    memset(plain, 3, sizeof plain);
    plain[77] = 9;
    assert_int_equal(codec_squeeze(c, plain, sizeof plain, packed, &got), OK);
    assert_in_range(got, 1, 100);
    assert_int_equal(codec_expand(c, packed, got, back, sizeof back), OK);
    assert_memory_equal(plain, back, sizeof back);
    test_fill_random(plain, sizeof plain, 3);
    assert_int_equal(codec_squeeze(c, plain, sizeof plain, packed, &got), OK);
    assert_int_equal(got, 0);
}

/* A frame behind the frame would change what Zarr reads; decoding refuses it. */
static void nothing_may_follow_the_frame(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    uint8_t plain[4096] = {1}, packed[8192], back[4096];
    size_t got;
    assert_int_equal(codec_squeeze(c, plain, sizeof plain, packed, &got), OK);
    memcpy(packed + got, packed, got);
    assert_int_equal(codec_expand(c, packed, 2 * got, back, sizeof back), ERR_CORRUPT);
}

static void report_rates(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const int64_t n = 32768;
    double *v = aligned_alloc(64, (size_t)n * 8), *back = aligned_alloc(64, (size_t)n * 8);
    uint8_t *payload = malloc(codec_bound(n, 8));
    size_t bytes = 0;
    enum codec used = 0;
    test_fill_smooth(v, n);
    int64_t t0 = now_ns();
    for (int i = 0; i < 20; i++)
        assert_int_equal(codec_encode(c, v, n, 8, NULL, payload, &bytes, &used), OK);
    int64_t t1 = now_ns();
    for (int i = 0; i < 20; i++)
        assert_int_equal(codec_decode(c, used, payload, bytes, back, n, 8), OK);
    int64_t t2 = now_ns();
    double total = 20.0 * (double)n * 8;
    printf("smooth doubles: encode %.2f GB/s, decode %.2f GB/s, ratio %.2f\n",
           total / (double)(t1 - t0), total / (double)(t2 - t1), (double)n * 8 / (double)bytes);
    free(v);
    free(back);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffle_is_a_transposition),
        cmocka_unit_test_setup_teardown(every_width_and_length_comes_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(the_codec_fits_the_values, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(hostile_payloads_are_refused, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(bytes_are_squeezed_when_it_gains, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(nothing_may_follow_the_frame, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(report_rates, open_ctx, close_ctx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
