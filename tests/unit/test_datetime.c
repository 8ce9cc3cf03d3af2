/* The calendar: expectations are PostgreSQL 15's. */
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "tests/unit/unit.h"
#include <math.h>

static struct ctx c;

static const struct {
    enum type type;
    const char *in, *out;
} inputs[] = {
    {T_DATE, "2020-01-01", "2020-01-01"},
    {T_DATE, "2020-02-29", "2020-02-29"},
    {T_DATE, "2019-02-29", "date/time field value out of range: \"2019-02-29\""},
    {T_DATE, "2020-13-01", "date/time field value out of range: \"2020-13-01\""},
    {T_DATE, "2020-1-5", "2020-01-05"},
    {T_DATE, "20200105", "2020-01-05"},
    {T_DATE, "1999-Jan-08", "1999-01-08"},
    {T_DATE, "08-Jan-1999", "1999-01-08"},
    {T_DATE, "Jan-08-1999", "1999-01-08"},
    {T_DATE, "January 8, 1999", "1999-01-08"},
    {T_DATE, "Monday, 6 January 2020", "2020-01-06"},
    {T_DATE, "J2451187", "1999-01-08"},
    {T_DATE, "infinity", "infinity"},
    {T_DATE, "-infinity", "-infinity"},
    {T_DATE, "0001-01-01 BC", "0001-01-01 BC"},
    {T_DATE, "4714-11-24 BC", "4714-11-24 BC"},
    {T_DATE, "0000-01-01", "date/time field value out of range: \"0000-01-01\""},
    {T_DATE, "5874897-12-31", "5874897-12-31"},
    {T_DATE, "2020-01-01T10:00", "2020-01-01"},
    {T_DATE, "1/2/2020", "invalid input syntax for type date: \"1/2/2020\""},
    {T_DATE, "abc", "invalid input syntax for type date: \"abc\""},
    {T_DATE, "", "invalid input syntax for type date: \"\""},
    {T_TIMESTAMP, "2020-01-01", "2020-01-01 00:00:00"},
    {T_TIMESTAMP, "2020-01-01 10:00:00.1234567", "2020-01-01 10:00:00.123457"},
    {T_TIMESTAMP, "2020-01-01 10:00:00.9999999", "2020-01-01 10:00:01"},
    {T_TIMESTAMP, "2020-01-01 24:00:00", "2020-01-02 00:00:00"},
    {T_TIMESTAMP, "2020-01-01 24:00:01",
     "date/time field value out of range: \"2020-01-01 24:00:01\""},
    {T_TIMESTAMP, "2020-01-01 10:00:60", "2020-01-01 10:01:00"},
    {T_TIMESTAMP, "2020-01-01 12:30 AM", "2020-01-01 00:30:00"},
    {T_TIMESTAMP, "2020-01-01T10:00:00Z", "2020-01-01 10:00:00"},
    {T_TIMESTAMP, "2020-01-01 10:00:00+02:30", "2020-01-01 07:30:00"},
    {T_TIMESTAMP, "2020-01-01 10:00:00-08", "2020-01-01 18:00:00"},
    {T_TIMESTAMP, "20200101T101112", "2020-01-01 10:11:12"},
    {T_TIMESTAMP, "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"},
    {T_TIMESTAMP, "1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999"},
    {T_TIMESTAMP, "300000-01-01", "timestamp out of range: \"300000-01-01\""},
    {T_INTERVAL, "1 year 2 months", "1 year 2 mons"},
    {T_INTERVAL, "90 min", "01:30:00"},
    {T_INTERVAL, "P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"},
    {T_INTERVAL, "PT1.5H", "01:30:00"},
    {T_INTERVAL, "1 day ago", "-1 days"},
    {T_INTERVAL, "1.5 days", "1 day 12:00:00"},
    {T_INTERVAL, "1.5 months", "1 mon 15 days"},
    {T_INTERVAL, "2 weeks", "14 days"},
    {T_INTERVAL, "1-2", "1 year 2 mons"},
    {T_INTERVAL, "1 2:03:04", "1 day 02:03:04"},
    {T_INTERVAL, "-1 day 2:00", "-1 days +02:00:00"},
    {T_INTERVAL, "-1 year 1 day", "-1 years +1 day"},
    {T_INTERVAL, "0 days", "00:00:00"},
    {T_INTERVAL, "-00:00:01.5", "-00:00:01.5"},
    {T_INTERVAL, "1 foo", "invalid input syntax for type interval: \"1 foo\""},
    {T_INTERVAL, "99999999999 days", "interval field value out of range: \"99999999999 days\""},
};

static void test_parse_and_format(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct strbuf out = STRBUF_INIT;
        struct value v;
        struct text in = {inputs[i].in, (int64_t)strlen(inputs[i].in)};
        ctx_clear(&c);
        if (value_parse(&c, inputs[i].type, in, &v) == OK)
            value_format(&v, &out);
        else
            strbuf_adds(&out, c.err.message);
        assert_string_equal(out.s, inputs[i].out);
        strbuf_release(&out);
    }
}

static int64_t us(const char *s)
{
    int64_t out = 0;
    ctx_clear(&c);
    assert_int_equal(timestamp_parse(&c, (struct text){s, (int64_t)strlen(s)}, &out), OK);
    return out;
}

static void same_time(int64_t a, const char *s)
{
    struct strbuf out = STRBUF_INIT;
    timestamp_format(a, &out);
    assert_string_equal(out.s, s);
    strbuf_release(&out);
}

static void test_civil(void **unused)
{
    (void)unused;
    int64_t expected = days_from_civil(-5000, 1, 1);
    for (int64_t year = -5000; year < 5000; year++) {
        for (int month = 1; month <= 12; month++) {
            int last = days_in_month(year, month);
            assert_int_equal(days_from_civil(year, month, 1), expected);
            struct civil t;
            civil_from_days(expected + last - 1, &t);
            assert_true(t.year == year && t.month == month && t.day == last);
            expected += last;
        }
    }
    assert_int_equal(days_from_civil(1970, 1, 1), 0);
    assert_int_equal(days_from_civil(2000, 3, 1), 11017);
}

static void test_add(void **unused)
{
    (void)unused;
    same_time(us_add_months(us("2020-01-31 12:00"), 1), "2020-02-29 12:00:00");
    same_time(us_add_months(us("2020-03-31"), -1), "2020-02-29 00:00:00");
    same_time(us_add_months(us("1969-12-31 23:00"), -13), "1968-11-30 23:00:00");
    struct interval iv = {.months = 1, .days = 1, .us = -1};
    int64_t out;
    assert_int_equal(timestamp_add(&c, us("2021-01-31"), &iv, &out), OK);
    same_time(out, "2021-02-28 23:59:59.999999");
    iv = (struct interval){.months = 12 * 300000};
    assert_int_equal(timestamp_add(&c, us("2020-01-01"), &iv, &out), ERR_DATETIME_OVERFLOW);
    assert_int_equal(timestamp_add(&c, TIMESTAMP_INFINITY, &iv, &out), OK);
    assert_true(out == TIMESTAMP_INFINITY);
}

static void test_trunc(void **unused)
{
    (void)unused;
    static const struct {
        const char *unit, *in, *out;
    } rows[] = {
        {"millisecond", "2020-02-29 13:45:56.789912", "2020-02-29 13:45:56.789"},
        {"hour", "1969-07-20 20:17:40", "1969-07-20 20:00:00"},
        {"day", "1969-07-20 20:17:40", "1969-07-20 00:00:00"},
        {"week", "2021-01-03", "2020-12-28 00:00:00"},
        {"month", "2020-02-29 13:45:56", "2020-02-01 00:00:00"},
        {"quarter", "2020-12-31", "2020-10-01 00:00:00"},
        {"year", "2020-12-31", "2020-01-01 00:00:00"},
        {"decade", "0005-06-07 BC", "0011-01-01 00:00:00 BC"},
        {"century", "1900-06-06", "1801-01-01 00:00:00"},
        {"century", "0044-03-15 BC", "0100-01-01 00:00:00 BC"},
        {"millennium", "2000-12-31", "1001-01-01 00:00:00"},
    };
    int64_t out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(timestamp_trunc(rows[i].unit, strlen(rows[i].unit), us(rows[i].in), &out));
        same_time(out, rows[i].out);
    }
    assert_false(timestamp_trunc("fortnight", 9, 0, &out));
    assert_false(timestamp_trunc("dow", 3, 0, &out));
}

static void test_extract(void **unused)
{
    (void)unused;
    static const struct {
        const char *unit, *in;
        double out;
    } rows[] = {
        {"year", "0044-03-15 BC", -44},
        {"month", "2020-02-29", 2},
        {"second", "2020-01-01 0:0:56.789", 56.789},
        {"milliseconds", "2020-01-01 0:0:56.7", 56700},
        {"dow", "2021-01-03", 0},
        {"isodow", "2021-01-03", 7},
        {"doy", "2020-12-31", 366},
        {"week", "2021-01-03", 53},
        {"week", "2024-12-30", 1},
        {"isoyear", "2021-01-03", 2020},
        {"isoyear", "2024-12-30", 2025},
        {"quarter", "2020-05-05", 2},
        {"epoch", "1969-12-31 23:59:59", -1},
        {"epoch", "3294-08-18 11:48:14.779772", 41801312894.77977},
        {"decade", "1969-01-01", 196},
        {"century", "2000-12-31", 20},
        {"century", "0001-12-31 BC", -1},
        {"millennium", "2001-01-01", 3},
        {"julian", "2000-01-01 12:00", 2451545.5},
    };
    double out;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_true(timestamp_extract(rows[i].unit, strlen(rows[i].unit), us(rows[i].in), &out));
        assert_true(out == rows[i].out);
    }
    assert_true(timestamp_extract("year", 4, TIMESTAMP_INFINITY, &out) && isinf(out));
    struct interval iv = {.months = -15, .days = 3, .us = INT64_C(-5400000001)};
    static const struct {
        const char *unit;
        double out;
    } parts[] = {{"year", -1},
                 {"month", -3},
                 {"day", 3},
                 {"hour", -1},
                 {"minute", -30},
                 {"second", -1e-6},
                 {"epoch", -31557600 - 3 * 2592000.0 + 3 * 86400 - 5400.000001}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        assert_true(interval_extract(parts[i].unit, strlen(parts[i].unit), &iv, &out));
        assert_true(out == parts[i].out);
    }
    assert_false(interval_extract("dow", 3, &iv, &out));
}

static void test_cf_units(void **unused)
{
    (void)unused;
    double unit;
    int64_t origin;
    assert_true(cf_time_units("hours since 1900-01-01 00:00:0.0", &unit, &origin));
    assert_true(unit == 3.6e9 && origin == us("1900-01-01"));
    assert_true(cf_time_units("days since 1970-1-1", &unit, &origin));
    assert_true(unit == 8.64e10 && origin == 0);
    assert_true(cf_time_units("Seconds since 1970-01-01T01:00:00Z", &unit, &origin));
    assert_true(unit == 1e6 && origin == US_PER_DAY / 24);
    assert_true(cf_time_units("hour since 0000-01-01 00:00:00", &unit, &origin));
    assert_true(origin == days_from_civil(0, 1, 1) * US_PER_DAY);
    assert_true(cf_time_units("days since 2000-01-01 6:00 -6:00", &unit, &origin));
    assert_true(origin == us("2000-01-01 12:00"));
    static const char *const none[] = {"months since 1900-01-01",
                                       "degrees_north",
                                       "days",
                                       "",
                                       "days since",
                                       "days since yesterday",
                                       "days since 2000-13-01",
                                       "days since 2000-01-32",
                                       "days since 2000-01-01 25:00"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(cf_time_units(none[i], &unit, &origin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse_and_format),
                                       cmocka_unit_test(test_civil),
                                       cmocka_unit_test(test_add),
                                       cmocka_unit_test(test_trunc),
                                       cmocka_unit_test(test_extract),
                                       cmocka_unit_test(test_cf_units)};
    c.arena = arena_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(c.arena);
    return failed;
}
