/* Single values: what PostgreSQL 15 reads and prints, and conversions at the edges of the types. */
#include "storage/base/value.h"
#include "tests/unit/unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct ctx c;

static int setup(void **unused)
{
    (void)unused;
    c = (struct ctx){.arena = arena_new()};
    return 0;
}
static int teardown(void **unused)
{
    (void)unused;
    arena_free(c.arena);
    return 0;
}

static struct text text_of(const char *s)
{
    return (struct text){s, (int64_t)strlen(s)};
}

/* type, input, what is printed or the error's message */
static const struct {
    enum type type;
    const char *in, *out;
} inputs[] = {
    {T_FLOAT64, "0.1", "0.1"},
    {T_FLOAT64, "  1.5  ", "1.5"},
    {T_FLOAT64, "100000", "100000"},
    {T_FLOAT64, "1e14", "100000000000000"},
    {T_FLOAT64, "1e15", "1e+15"},
    {T_FLOAT64, "999999999999999.9", "999999999999999.9"},
    {T_FLOAT64, "0.0001", "0.0001"},
    {T_FLOAT64, "0.00001", "1e-05"},
    {T_FLOAT64, "1e20", "1e+20"},
    {T_FLOAT64, "1.7976931348623157e308", "1.7976931348623157e+308"},
    {T_FLOAT64, "5e-324", "5e-324"},
    {T_FLOAT64, "3.491283340958649e+16", "3.4912833409586488e+16"},
    {T_FLOAT64, "-0", "-0"},
    {T_FLOAT64, "nan", "NaN"},
    {T_FLOAT64, "-inf", "-Infinity"},
    {T_FLOAT64, ".5", "0.5"},
    {T_FLOAT64, "5.", "5"},
    {T_FLOAT64, "123456789012345678901234567890", "1.2345678901234568e+29"},
    {T_FLOAT64, "0.30000000000000004", "0.30000000000000004"},
    {T_FLOAT64, "1e400", "\"1e400\" is out of range for type double precision"},
    {T_FLOAT64, "1e-400", "\"1e-400\" is out of range for type double precision"},
    {T_FLOAT64, "1.5x", "invalid input syntax for type double precision: \"1.5x\""},
    {T_FLOAT64, "", "invalid input syntax for type double precision: \"\""},
    {T_FLOAT32, "0.1", "0.1"},
    {T_FLOAT32, "1000000", "1e+06"},
    {T_FLOAT32, "123456", "123456"},
    {T_FLOAT32, "16777216", "1.6777216e+07"},
    {T_FLOAT32, "786899968.0", "7.8689997e+08"},
    {T_FLOAT32, "1e39", "\"1e39\" is out of range for type real"},
    {T_INT8, "-128", "-128"},
    {T_INT8, "128", "value \"128\" is out of range for type tinyint"},
    {T_INT16, " 7 ", "7"},
    {T_INT32, "2147483648", "value \"2147483648\" is out of range for type integer"},
    {T_INT32, "1.5", "invalid input syntax for type integer: \"1.5\""},
    {T_INT64, "-9223372036854775808", "-9223372036854775808"},
    {T_INT64, "9223372036854775808",
     "value \"9223372036854775808\" is out of range for type bigint"},
    {T_UINT64, "18446744073709551615", "18446744073709551615"},
    {T_UINT8, "-1", "value \"-1\" is out of range for type utinyint"},
    {T_BOOL, "t", "t"},
    {T_BOOL, " YES ", "t"},
    {T_BOOL, "of", "f"},
    {T_BOOL, "o", "invalid input syntax for type boolean: \"o\""},
    {T_BOOL, "10", "invalid input syntax for type boolean: \"10\""},
    {T_TEXT, " a b ", " a b "},
    {T_INT64S, "{1, -2,3}", "{1,-2,3}"},
    {T_INT64S, "{}", "{}"},
    {T_INT64S, "{1,}", "invalid input syntax for type bigint: \"\""},
};

static void test_parse_and_format(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct strbuf out = STRBUF_INIT;
        struct value v;
        ctx_clear(&c);
        enum status s = value_parse(&c, inputs[i].type, text_of(inputs[i].in), &v);
        if (s == OK)
            value_format(&v, &out);
        else
            strbuf_adds(&out, c.err.message);
        assert_string_equal(out.s, inputs[i].out);
        strbuf_release(&out);
    }
}

/* Random bit patterns: the text reads back, and no text of one digit less does. */
static void test_shortest(void **unused)
{
    (void)unused;
    uint64_t state = 12345;
    for (int i = 0; i < 20000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t bits = state ^ state >> 29;
        double d;
        memcpy(&d, &bits, 8);
        if (i % 2) d = (double)(int64_t)(bits >> 40) / 1000;
        if (!isfinite(d) || d == 0) continue;
        struct strbuf out = STRBUF_INIT;
        struct value v = value_double(d);
        value_format(&v, &out);
        assert_true(strtod(out.s, NULL) == d);
        int n_digits = 0;
        for (const char *p = out.s; *p && *p != 'e'; p++)
            n_digits += (*p >= '1' && *p <= '9') || (*p == '0' && n_digits);
        for (const char *p = strchr(out.s, 'e') ? strchr(out.s, 'e') - 1 : out.s + out.len - 1;
             *p == '0' && !strchr(out.s, '.'); p--)
            n_digits--;
        char shorter[40];
        /* Numbers past 2^53 may stop one short of a text in the middle between two of them. */
        if (n_digits > 1 && fabs(d) < 0x1p53) {
            snprintf(shorter, sizeof shorter, "%.*e", n_digits - 2, d);
            if (strtod(shorter, NULL) == d) print_error("%s is longer than %s\n", out.s, shorter);
            assert_true(strtod(shorter, NULL) != d);
        }
        double again;
        if (value_fast_double(out.s, out.len, &again)) assert_true(again == d);
        strbuf_release(&out);
    }
}

static void test_literal(void **unused)
{
    (void)unused;
    struct strbuf out = STRBUF_INIT;
    struct value list[] = {value_text("it's"),     value_null(T_INT32),  value_int(T_BOOL, 1),
                           value_double(INFINITY), value_int(T_DATE, 0), value_double(1.5)};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        value_literal(&list[i], &out);
        strbuf_addc(&out, ' ');
    }
    assert_string_equal(out.s, "'it''s' NULL true 'Infinity' '1970-01-01' 1.5 ");
    strbuf_release(&out);
}

static enum status cast(struct value v, enum type to, struct value *out)
{
    ctx_clear(&c);
    return value_cast(&c, &v, to, out);
}

static void test_cast(void **unused)
{
    (void)unused;
    struct value v;
    assert_int_equal(cast(value_double(2.5), T_INT32, &v), OK);
    assert_int_equal(v.i, 2);
    assert_int_equal(cast(value_double(3.5), T_INT32, &v), OK);
    assert_int_equal(v.i, 4);
    assert_int_equal(cast(value_double(2147483647.4), T_INT32, &v), OK);
    assert_int_equal(cast(value_double(2147483647.5), T_INT32, &v), ERR_OVERFLOW);
    assert_string_equal(c.err.message, "integer out of range");
    assert_int_equal(cast(value_double(NAN), T_INT8, &v), ERR_OVERFLOW);
    assert_int_equal(cast(value_double(0x1p63), T_INT64, &v), ERR_OVERFLOW);
    assert_int_equal(cast(value_double(-0x1p63), T_INT64, &v), OK);
    assert_int_equal(cast(value_double(0x1p63), T_UINT64, &v), OK);
    assert_true(v.u == UINT64_C(1) << 63);
    assert_int_equal(cast(value_int(T_INT64, -1), T_UINT8, &v), ERR_OVERFLOW);
    assert_int_equal(cast(value_double(1e300), T_FLOAT32, &v), OK); /* as NumPy, and as columns */
    assert_true(isinf(v.d));
    assert_int_equal(cast(value_double(INFINITY), T_FLOAT32, &v), OK);
    assert_true(isinf(v.d));
    assert_int_equal(cast(value_double(0.1), T_FLOAT32, &v), OK);
    assert_true(v.d == (double)0.1f);
    assert_int_equal(cast(value_int(T_DATE, 1), T_TIMESTAMP, &v), OK);
    assert_int_equal(v.i, INT64_C(86400000000));
    assert_int_equal(cast(value_int(T_TIMESTAMP, -1), T_DATE, &v), OK);
    assert_int_equal(v.i, -1);
    assert_int_equal(cast(value_int(T_DATE, INT32_MAX), T_TIMESTAMP, &v), OK);
    assert_true(v.i == INT64_MAX);
    assert_int_equal(cast(value_int(T_DATE, 1), T_INT32, &v), ERR_CANNOT_COERCE);
    assert_int_equal(cast(value_text("12"), T_INT16, &v), OK);
    assert_int_equal(v.i, 12);
    assert_int_equal(cast(value_int(T_BOOL, 1), T_TEXT, &v), OK);
    assert_true(v.t.len == 4 && memcmp(v.t.s, "true", 4) == 0);
    assert_int_equal(cast(value_null(T_INT8), T_TEXT, &v), OK);
    assert_true(v.null && v.type == T_TEXT);
}

static void test_columns_and_order(void **unused)
{
    (void)unused;
    for (enum type t = T_BOOL; t <= T_TIMESTAMP; t++) {
        char column[64] = {0};
        struct value v = type_is_float(t) ? (struct value){.type = t, .d = 1} : value_int(t, 1);
        value_put(&v, column, 3);
        struct value back = value_get(t, column, 3), zero = value_get(t, column, 2);
        assert_int_equal(value_compare(&v, &back), 0);
        assert_true(value_compare(&zero, &back) < 0 && value_compare(&back, &zero) > 0);
    }
    struct value nan = value_double(NAN), inf = value_double(INFINITY), a = value_text("a");
    struct value ab = value_text("ab"), empty = value_text("");
    assert_true(value_compare(&nan, &inf) > 0 && value_compare(&nan, &nan) == 0);
    assert_true(value_compare(&a, &ab) < 0 && value_compare(&empty, &a) < 0);
    struct value big = {.type = T_UINT64, .u = UINT64_MAX}, one = {.type = T_UINT64, .u = 1};
    assert_true(value_compare(&big, &one) > 0);
    struct value month = {.type = T_INTERVAL, .iv = {.months = 1}};
    struct value days = {.type = T_INTERVAL, .iv = {.days = 30}};
    assert_int_equal(value_compare(&month, &days), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse_and_format),
                                       cmocka_unit_test(test_shortest),
                                       cmocka_unit_test(test_literal), cmocka_unit_test(test_cast),
                                       cmocka_unit_test(test_columns_and_order)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
