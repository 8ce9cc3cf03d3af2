/* Codecs give back what they took, choose as documented, and survive hostile payloads. */
#include "storage/codec_parts.h"
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
    const struct codec_options options[] = {{0},
                                            {.raw = true},
                                            {.zstd_level = 3},
                                            {.values = VALUES_SIGNED},
                                            {.values = VALUES_UNSIGNED},
                                            {.values = VALUES_FLOATS}};
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
    struct codec_options floats = {.values = VALUES_FLOATS};
    test_fill_smooth(v, n);
    assert_int_equal(round_trip(c, v, n, 8, &floats, &bytes), CODEC_PLANES);
    assert_true(bytes < (size_t)n * 8 * 3 / 4);
    test_fill_random(v, (size_t)n * 8, 5);
    assert_int_equal(round_trip(c, v, n, 8, &floats, &bytes), CODEC_RAW);
    free(v);
}

/* ---- decimals ---- */

static double quarter_noise(uint64_t *seed)
{
    return (double)(int64_t)test_random(seed) * 0x1p-65;
}

/* Two decimals of a smooth curve, with what is no decimal sprinkled in. */
static void fill_decimals(double *v, int64_t n, int digits, uint64_t seed)
{
    double power = pow(10, digits);
    for (int64_t i = 0; i < n; i++)
        v[i] = round((15 + 10 * sin((double)i / 1000) + quarter_noise(&seed)) * power) / power;
}

static void decimals_come_back_to_the_bit(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    struct codec_options o = {.values = VALUES_FLOATS};
    double *v = malloc(8 * 32768);
    float *f = malloc(4 * 32768);
    size_t bytes;
    for (int digits = 0; digits <= 6; digits++)
        for (size_t l = 0; l < N_OF(lengths); l++) {
            int64_t n = lengths[l];
            fill_decimals(v, n, digits, l);
            if (n >= 1000) {
                const double odd[] = {-0.0, NAN, -NAN, INFINITY, -INFINITY, 1e300, 5e-324, 1.0 / 3};
                uint64_t payload_nan = UINT64_C(0x7ff4dead0000beef);
                for (size_t i = 0; i < N_OF(odd); i++)
                    v[(size_t)n * i / N_OF(odd)] = odd[i];
                memcpy(&v[n - 1], &payload_nan, 8);
            }
            for (int64_t i = 0; i < n; i++)
                f[i] = (float)v[i];
            enum codec used = round_trip(c, v, n, 8, &o, &bytes);
            if (n > 4000 && digits > 0) assert_int_equal(used, CODEC_DECIMAL);
            if (n > 4000 && digits == 2) assert_true(bytes < (size_t)n * 8 / 6);
            used = round_trip(c, f, n, 4, &o, &bytes);
            if (n > 4000 && digits > 0 && digits <= 3) assert_int_equal(used, CODEC_DECIMAL);
        }
    free(v);
    free(f);
}

/* Runs of a value that is no decimal take one exception each; too many of them, no decimals. */
static void exceptions_are_few_or_other_codecs_are_used(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    struct codec_options o = {.values = VALUES_FLOATS};
    const int64_t n = 32768;
    double *v = malloc((size_t)n * 8);
    size_t plain, with_run, bytes;
    fill_decimals(v, n, 2, 1);
    assert_int_equal(round_trip(c, v, n, 8, &o, &plain), CODEC_DECIMAL);
    for (int64_t i = 1000; i < 5000; i++)
        v[i] = NAN;
    assert_int_equal(round_trip(c, v, n, 8, &o, &with_run), CODEC_DECIMAL);
    assert_true(with_run <= plain + 16);
    for (int64_t i = 0; i < n; i += 20)
        v[i] = 1.0 / (double)(3 + i);
    assert_int_not_equal(round_trip(c, v, n, 8, &o, &bytes), CODEC_DECIMAL);
    free(v);
}

static void integers_of_any_range_come_back(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    struct codec_options o = {.values = VALUES_SIGNED};
    const int64_t n = 5000;
    int64_t *v = malloc((size_t)n * 8);
    size_t bytes;
    uint64_t seed = 4;
    for (int bits = 0; bits <= 64; bits++)
        for (int slope = 0; slope < 2; slope++) {
            uint64_t at = (uint64_t)INT64_MAX - 7;
            for (int64_t i = 0; i < n; i++) {
                uint64_t r = bits ? test_random(&seed) >> (64 - bits) : (uint64_t)(i & 1);
                v[i] = (int64_t)(slope ? (at += r + 1000000007) : r - 5);
            }
            enum codec used = round_trip(c, v, n, 8, &o, &bytes);
            if (bits > 2 && bits <= 32 - 2 * slope) assert_int_equal(used, CODEC_DECIMAL);
        }
    free(v);
}

static void instruction_sets_agree_on_decimals(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    double v[2500], back[2500];
    uint8_t *base = malloc(codec_bound(2500, 8)), *other = malloc(codec_bound(2500, 8));
    size_t n_base, n_other;
    for (int digits = 1; digits < 5; digits++) {
        fill_decimals(v, 2500, digits, 8);
        v[77] = NAN;
        v[1033] = -0.0;
        assert_int_equal(decimal_encode_by(c, 0, VALUES_FLOATS, v, 2500, 8, base, &n_base), OK);
        assert_true(n_base > 0);
        for (int isa = 0; isa < decimal_isas(); isa++) {
            assert_int_equal(decimal_encode_by(c, isa, VALUES_FLOATS, v, 2500, 8, other, &n_other),
                             OK);
            assert_int_equal(n_other, n_base);
            assert_memory_equal(other, base, n_base);
            assert_int_equal(decimal_decode_by(c, isa, base, n_base, back, 2500, 8), OK);
            assert_memory_equal(back, v, sizeof v);
        }
    }
    free(base);
    free(other);
}

/* ---- hostile payloads ---- */

/* Whatever the payload, decoding ends, in the bounds of buffers that the sanitizers watch. */
static void refuse_damaged(struct ctx *c, const void *values, int64_t n,
                           const struct codec_options *o, enum codec expected)
{
    uint8_t *payload = malloc(codec_bound(n, 8)), *back = malloc((size_t)n * 8);
    size_t bytes;
    enum codec used;
    assert_int_equal(codec_encode(c, values, n, 8, o, payload, &bytes, &used), OK);
    assert_int_equal(used, expected);
    for (size_t cut = 0; cut < bytes; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, payload, cut);
        assert_int_equal(codec_decode(c, used, part, cut, back, n, 8), ERR_CORRUPT);
        ctx_clear(c);
        free(part);
    }
    uint64_t seed = 9;
    payload = realloc(payload, bytes);
    for (size_t at = 0; at < bytes; at++) {
        uint8_t old = payload[at];
        payload[at] = (uint8_t)test_random(&seed);
        enum status s = codec_decode(c, used, payload, bytes, back, n, 8);
        assert_true(s == OK || s == ERR_CORRUPT);
        ctx_clear(c);
        payload[at] = old;
    }
    const enum codec others[] = {CODEC_CONSTANT, CODEC_RAW, (enum codec)77};
    for (size_t i = 0; i < N_OF(others); i++) {
        assert_int_equal(codec_decode(c, others[i], payload, bytes, back, n, 8), ERR_CORRUPT);
        ctx_clear(c);
    }
    for (int other = CODEC_SHUFFLE_ZSTD; other <= CODEC_DECIMAL; other++) {
        enum status s = codec_decode(c, (enum codec)other, payload, bytes, back, n - 1, 8);
        assert_true(s == ERR_CORRUPT || used == CODEC_DECIMAL);
        ctx_clear(c);
        s = codec_decode(c, (enum codec)other, payload, bytes, back, n, 8);
        assert_true(s == ERR_CORRUPT || other == (int)used);
        ctx_clear(c);
    }
    free(payload);
    free(back);
}

static void hostile_payloads_are_refused(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const struct codec_options floats = {.values = VALUES_FLOATS};
    double v[1500];
    test_fill_smooth(v, 512);
    refuse_damaged(c, v, 512, NULL, CODEC_SHUFFLE_ZSTD);
    test_fill_smooth(v, 1500);
    refuse_damaged(c, v, 1500, &floats, CODEC_PLANES);
    fill_decimals(v, 1500, 2, 3);
    v[700] = NAN;
    refuse_damaged(c, v, 1500, &floats, CODEC_DECIMAL);
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

static void report(struct ctx *c, const char *what, const double *v, int64_t n,
                   const struct codec_options *o)
{
    double *back = aligned_alloc(64, (size_t)n * 8);
    uint8_t *payload = malloc(codec_bound(n, 8));
    size_t bytes = 0;
    enum codec used = 0;
    int64_t t0 = 0, t1, t2;
    for (int i = -2; i < 50; i++) {
        if (i == 0) t0 = now_ns();
        assert_int_equal(codec_encode(c, v, n, 8, o, payload, &bytes, &used), OK);
    }
    t1 = now_ns();
    for (int i = 0; i < 50; i++)
        assert_int_equal(codec_decode(c, used, payload, bytes, back, n, 8), OK);
    t2 = now_ns();
    double total = 50.0 * (double)n * 8;
    printf("%s by %s: encode %.2f GB/s, decode %.2f GB/s, ratio %.2f\n", what, codec_name(used),
           total / (double)(t1 - t0), total / (double)(t2 - t1), (double)n * 8 / (double)bytes);
    free(back);
    free(payload);
}

static void report_rates(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    const struct codec_options portable = {0}, floats = {.values = VALUES_FLOATS};
    const int64_t n = 32768;
    double *v = aligned_alloc(64, (size_t)n * 8);
    test_fill_smooth(v, n);
    report(c, "smooth doubles", v, n, &portable);
    report(c, "smooth doubles", v, n, &floats);
    fill_decimals(v, n, 2, 1);
    report(c, "two decimals", v, n, &portable);
    report(c, "two decimals", v, n, &floats);
    test_fill_random(v, (size_t)n * 8, 5);
    report(c, "noise", v, n, &floats);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffle_is_a_transposition),
        cmocka_unit_test_setup_teardown(every_width_and_length_comes_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(the_codec_fits_the_values, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(decimals_come_back_to_the_bit, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(exceptions_are_few_or_other_codecs_are_used, open_ctx,
                                        close_ctx),
        cmocka_unit_test_setup_teardown(integers_of_any_range_come_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(instruction_sets_agree_on_decimals, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(hostile_payloads_are_refused, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(bytes_are_squeezed_when_it_gains, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(nothing_may_follow_the_frame, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(report_rates, open_ctx, close_ctx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
