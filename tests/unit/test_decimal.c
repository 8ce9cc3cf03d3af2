/* Exact decimals: doubles from them are correctly rounded, steps are counted exactly. */
#include "storage/base/decimal.h"
#include "tests/unit/unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct ctx c;

static struct decimal dec(const char *s)
{
    struct decimal d = {0, 0};
    ctx_clear(&c);
    assert_int_equal(decimal_parse(&c, (struct text){s, (int64_t)strlen(s)}, &d), OK);
    return d;
}

static void test_parse(void **unused)
{
    (void)unused;
    static const char *const same[] = {
        "0", "0.25", "-89.875", "1000", "0.000001", "9223372036854775807", "-0.5"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct strbuf out = STRBUF_INIT;
        decimal_format(dec(same[i]), &out);
        assert_string_equal(out.s, same[i]);
        strbuf_release(&out);
    }
    assert_true(dec("2.500e1").mant == 25 && dec("2.500e1").scale == 0);
    assert_true(dec("1e3").mant == 1000);
    assert_true(dec(" 1e-30 ").scale == 30);
    static const char *const bad[] = {"", "abc", "1.2.3", "1e", "--1", "."};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct decimal d;
        ctx_clear(&c);
        struct text s = {bad[i], (int64_t)strlen(bad[i])};
        assert_int_equal(decimal_parse(&c, s, &d), ERR_INVALID_TEXT);
    }
    struct decimal d;
    ctx_clear(&c);
    assert_int_equal(decimal_parse(&c, (struct text){"9223372036854775808", 19}, &d), ERR_OVERFLOW);
    ctx_clear(&c);
    assert_int_equal(decimal_parse(&c, (struct text){"1e-31", 5}, &d), ERR_OVERFLOW);
}

static void test_doubles(void **unused)
{
    (void)unused;
    struct decimal d;
    assert_true(decimal_from_double(0.1, &d) && d.mant == 1 && d.scale == 1);
    assert_true(decimal_from_double(-89.875, &d) && d.mant == -89875 && d.scale == 3);
    assert_false(decimal_from_double(NAN, &d));
    assert_false(decimal_from_double(1e300, &d));
    struct decimal origin = dec("-179.95"), step = dec("0.1");
    double series[3600];
    decimal_series(origin, step, 0, 1, 3600, series);
    for (int i = 0; i < 3600; i++) {
        char text[32];
        int hundredths = -17995 + 10 * i;
        snprintf(text, sizeof text, "%s%d.%02d", hundredths < 0 ? "-" : "", abs(hundredths) / 100,
                 abs(hundredths) % 100);
        assert_true(decimal_at(origin, step, i) == strtod(text, NULL));
        assert_true(series[i] == strtod(text, NULL));
    }
    /* Mantissas that a double does not hold. */
    origin = dec("1234567890.123456789");
    step = dec("0.000000001");
    assert_true(decimal_at(origin, step, -789) == 1234567890.123456);
    decimal_series(origin, step, -789, 1, 1, series);
    assert_true(series[0] == 1234567890.123456);
}

static void test_steps(void **unused)
{
    (void)unused;
    int64_t n;
    assert_true(decimal_steps(dec("0.125"), dec("0.25"), dec("359.875"), &n) && n == 1439);
    assert_false(decimal_steps(dec("0.125"), dec("0.25"), dec("0.3"), &n) || n != 0);
    assert_false(decimal_steps(dec("0"), dec("0.25"), dec("-0.1"), &n) || n != -1);
    assert_true(decimal_steps(dec("90"), dec("-0.5"), dec("-90"), &n) && n == 360);
    assert_false(decimal_steps(dec("90"), dec("-0.5"), dec("89.9"), &n) || n != 0);
    assert_true(decimal_steps(dec("0"), dec("1e-30"), dec("5e-30"), &n) && n == 5);
    assert_true(decimal_compare(dec("0.1"), dec("0.10")) == 0);
    assert_true(decimal_compare(dec("-1"), dec("0.5")) < 0);
    assert_true(decimal_compare(dec("9000000000000000000"), dec("1e-30")) > 0);
    assert_true(decimal_compare(dec("1e-30"), dec("-9000000000000000000")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_doubles),
                                       cmocka_unit_test(test_steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
