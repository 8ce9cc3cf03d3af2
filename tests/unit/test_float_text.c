/* Decimals are read and doubles are written as the C library does, only faster. */
#include "storage/base/float_text.h"
#include "storage/base/value.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <stdio.h>

#define ROUNDS 200000

static void read_as_the_library(const char *text, double got)
{
    double want = strtod(text, NULL);
    assert_memory_equal(&want, &got, sizeof want);
}

static void decimals_round_to_the_nearest_double(void **state)
{
    uint64_t seed = 1;
    int64_t n_read = 0;
    (void)state;
    for (int64_t i = 0; i < ROUNDS; i++) {
        uint64_t mant = test_random(&seed) >> test_random(&seed) % 64;
        int exponent = (int)(test_random(&seed) % 130) - 65;
        char text[64];
        double d;
        if (i % 3 == 0) exponent = -(int)(i % 25);
        if (mant > UINT64_C(9999999999999999999)) mant /= 10;
        if (!double_from_decimal(mant, exponent, &d)) continue;
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)mant, exponent);
        read_as_the_library(text, d);
        n_read++;
    }
    assert_true(n_read > ROUNDS / 2);
}

/* Odd numbers above 2^53 lie in the middle between two doubles. */
static void the_middle_goes_to_the_even_one(void **state)
{
    uint64_t seed = 2;
    (void)state;
    for (int64_t i = 0; i < ROUNDS; i++) {
        uint64_t mant = (UINT64_C(1) << 53) | test_random(&seed) >> 11 | 1;
        int exponent = 0;
        char text[64];
        double d;
        for (int64_t k = i % 3; k > 0; k--, exponent--)
            mant *= 10;
        assert_true(double_from_decimal(mant, exponent, &d));
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)mant, exponent);
        read_as_the_library(text, d);
    }
}

static void texts_of_all_forms_are_read(void **state)
{
    static const char *const yes[] = {"0",
                                      "-0",
                                      "+1",
                                      "1.",
                                      ".5",
                                      "12345678",
                                      "123456789.87654321",
                                      "1e5",
                                      "-1.5E-7",
                                      "1e22",
                                      "1e-22",
                                      "3e23",
                                      "8.5e-30",
                                      "0.000000000000000000012",
                                      "9007199254740993",
                                      "0.1234567890123456789",
                                      "00000000000000000000000012.5"};
    static const char *const no[] = {"",     "-",    ".",         "e5",  "1e",
                                     "1e+",  "1 ",   "12345678x", "1_0", "nan",
                                     "1e99", "0x10", "1.2.3",     "--1", "12345678901234567890.5"};
    double d;
    (void)state;
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        assert_true(value_fast_double(yes[i], strlen(yes[i]), &d));
        read_as_the_library(yes[i], d);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(value_fast_double(no[i], strlen(no[i]), &d));
}

static double some_double(uint64_t *seed, int64_t i)
{
    uint64_t bits = test_random(seed);
    double x;
    switch (i % 4) {
    case 0:
        bits >>= 1;
        memcpy(&x, &bits, sizeof x);
        return x;
    case 1:
        return (double)bits / 1e9;
    case 2:
        return ldexp(1, (int)(bits % 200) - 100);
    default:
        return (double)(bits >> 11) * 0x1p-53;
    }
}

/* It reads back, and no shorter one that the C library prints does. */
static void doubles_have_the_shortest_decimal(void **state)
{
    uint64_t seed = 3, mant;
    int64_t n_written = 0;
    int exponent;
    (void)state;
    for (int64_t i = 0; i < ROUNDS; i++) {
        double x = some_double(&seed, i);
        char text[64], shorter[64];
        if (!(x > 0) || !isfinite(x) || !double_shortest(x, &mant, &exponent)) continue;
        snprintf(text, sizeof text, "%llue%d", (unsigned long long)mant, exponent);
        assert_true(strtod(text, NULL) == x);
        for (; mant % 10 == 0; mant /= 10)
            exponent++;
        int n = snprintf(text, sizeof text, "%llu", (unsigned long long)mant);
        bool middle = x >= 0x1p53; /* integers: one in the middle reads back, but does not count */
        if (n > 1 && !middle) {
            snprintf(shorter, sizeof shorter, "%.*e", n - 2, x);
            assert_false(strtod(shorter, NULL) == x);
        }
        n_written++;
    }
    assert_true(n_written > ROUNDS / 2);
}

static void known_doubles_are_written_as_postgresql_does(void **state)
{
    static const struct {
        double x;
        const char *text;
    } known[] = {{0.1, "0.1"},
                 {0x1p-24, "5.960464477539063e-08"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {1e22, "1e+22"},
                 {1e23, "9.999999999999999e+22"} /* 1e23 is in the middle */,
                 {9007199254740993.0, "9.007199254740992e+15"},
                 {31062556849933968.0, "3.1062556849933968e+16"},
                 {123456.789, "123456.789"},
                 {-2.0 / 3, "-0.6666666666666666"}};
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct strbuf out = STRBUF_INIT;
        struct value v = {.type = T_FLOAT64, .d = known[i].x};
        value_format(&v, &out);
        assert_string_equal(out.s, known[i].text);
        strbuf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_round_to_the_nearest_double),
        cmocka_unit_test(the_middle_goes_to_the_even_one),
        cmocka_unit_test(texts_of_all_forms_are_read),
        cmocka_unit_test(doubles_have_the_shortest_decimal),
        cmocka_unit_test(known_doubles_are_written_as_postgresql_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
