/* Schedules' slots: known days of known zones, and every error. Random rules are compared with a
 * second implementation by tests/oracle/slots_test.py. */
#include "storage/base/datetime.h"
#include "storage/base/slots.h"
#include "storage/base/zone.h"
#include "storage/base/zone_internal.h"
#include "tests/unit/unit.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct ctx c;

static struct text text_of(const char *s)
{
    return (struct text){s, s ? (int64_t)strlen(s) : 0};
}

static int64_t at_time(const char *s)
{
    int64_t us;
    assert_int_equal(timestamp_parse(&c, text_of(s), &us), OK);
    return us;
}

static struct slot_text rule_text(const char *every, const char *offset, const char *cron,
                                  const char *zone, const char *start, const char *end)
{
    return (struct slot_text){.every = text_of(every),
                              .offset = text_of(offset),
                              .cron = text_of(cron),
                              .zone = text_of(zone),
                              .start = start ? at_time(start) : TIMESTAMP_MINUS_INFINITY,
                              .end = end ? at_time(end) : TIMESTAMP_INFINITY};
}

/* Rules, and the slots after a time as UTC; "none" ends them. */
static const struct {
    const char *every, *offset, *cron, *zone, *start, *end, *after, *slots[6];
} rules[] = {
    /* Elapsed time over the change of clocks. */
    {"1 hour",
     NULL,
     NULL,
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-03-28 23:30",
     {"2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 02:00"}},
    {"6 hours",
     "5 min",
     NULL,
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-07-01",
     {"2026-07-01 05:05", "2026-07-01 11:05", "2026-07-01 17:05", "2026-07-01 23:05"}},
    {"7 min",
     NULL,
     NULL,
     NULL,
     "2026-01-01 00:00:30",
     "2026-01-01 00:14:30",
     "2020-01-01",
     {"2026-01-01 00:00:30", "2026-01-01 00:07:30", "2026-01-01 00:14:30", "none"}},
    {"10 min",
     "3 min",
     NULL,
     NULL,
     "2026-01-01",
     NULL,
     "2020-01-01",
     {"2026-01-01 00:03", "2026-01-01 00:13"}},
    /* The zone's clock. */
    {"1 day",
     "03:00",
     NULL,
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-03-28",
     {"2026-03-28 02:00", "2026-03-29 01:00", "2026-03-30 01:00"}},
    {"1 day",
     "02:30",
     NULL,
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-03-28",
     {"2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"}},
    {"1 day",
     "02:30",
     NULL,
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-10-24",
     {"2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"}},
    {"1 month",
     NULL,
     NULL,
     NULL,
     "2024-01-31 06:00",
     NULL,
     "2024-01-01",
     {"2024-01-31 06:00", "2024-02-29 06:00", "2024-03-31 06:00", "2024-04-30 06:00"}},
    {"1 month",
     "14 days 9 hours",
     NULL,
     NULL,
     NULL,
     NULL,
     "2023-12-31",
     {"2024-01-15 09:00", "2024-02-15 09:00"}},
    {"1 year",
     NULL,
     NULL,
     NULL,
     "2024-02-29",
     NULL,
     "2024-02-29",
     {"2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"}},
    {"3 days 12 hours",
     NULL,
     NULL,
     NULL,
     "2026-01-01",
     NULL,
     "2025-01-01",
     {"2026-01-01", "2026-01-04 12:00", "2026-01-08", "2026-01-11 12:00"}},
    /* The day Samoa left out is one slot with the next. */
    {"1 day",
     NULL,
     NULL,
     "Pacific/Apia",
     NULL,
     NULL,
     "2011-12-29 00:00",
     {"2011-12-29 10:00", "2011-12-30 10:00", "2011-12-31 10:00"}},
    /* START is the second 02:30 of the night, and a slot all the same. */
    {"1 day",
     NULL,
     NULL,
     "Europe/Zurich",
     "2026-10-25 01:30",
     NULL,
     "2026-10-25",
     {"2026-10-25 01:30", "2026-10-26 01:30"}},
    {NULL,
     NULL,
     "*/15 2 * * *",
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-03-28 12:00",
     {"2026-03-29 01:00", "2026-03-30 00:00", "2026-03-30 00:15"}},
    {NULL,
     NULL,
     "*/20 2 * * *",
     "Europe/Zurich",
     NULL,
     NULL,
     "2026-10-24 12:00",
     {"2026-10-25 00:00", "2026-10-25 00:20", "2026-10-25 00:40", "2026-10-26 01:00"}},
    {NULL,
     NULL,
     "15 2 * * *",
     "Australia/Lord_Howe",
     NULL,
     NULL,
     "2026-10-02 20:00",
     {"2026-10-03 15:30", "2026-10-04 15:15"}},
    {NULL,
     NULL,
     "0 3 * * 1-5",
     NULL,
     NULL,
     NULL,
     "2026-11-20 12:00",
     {"2026-11-23 03:00", "2026-11-24 03:00"}},
    {NULL,
     NULL,
     "0 0 L * *",
     NULL,
     NULL,
     NULL,
     "2024-01-15",
     {"2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"}},
    {NULL,
     NULL,
     "0 18 * * 5L",
     NULL,
     NULL,
     NULL,
     "2026-01-01",
     {"2026-01-30 18:00", "2026-02-27 18:00", "2026-03-27 18:00"}},
    {NULL,
     NULL,
     "30 6 13 * fri",
     NULL,
     NULL,
     NULL,
     "2026-02-07",
     {"2026-02-13 06:30", "2026-02-20 06:30", "2026-02-27 06:30", "2026-03-06 06:30",
      "2026-03-13 06:30"}},
    {NULL,
     NULL,
     "0 0 */10 * mon",
     NULL,
     NULL,
     NULL,
     "2026-01-01", /* a star: both must fit */
     {"2026-05-11", "2026-06-01", "2026-08-31", "2026-09-21"}},
    {NULL,
     NULL,
     "0 12 * JAN,jul Fri-Sun",
     NULL,
     NULL,
     NULL,
     "2026-01-30",
     {"2026-01-30 12:00", "2026-01-31 12:00", "2026-07-03 12:00"}},
    {NULL, NULL, "0 0 29 2 *", NULL, NULL, NULL, "2096-03-01", {"2104-02-29", "2108-02-29"}},
    {NULL, NULL, "@weekly", NULL, NULL, NULL, "2026-11-20", {"2026-11-22", "2026-11-29"}},
    {NULL, NULL, "@Monthly", NULL, NULL, "2026-12-01", "2026-11-20", {"2026-12-01", "none"}},
    {NULL,
     NULL,
     "@hourly",
     "Asia/Kathmandu",
     NULL,
     NULL,
     "2026-11-20",
     {"2026-11-20 00:15", "2026-11-20 01:15"}},
    /* Beyond the listed changes, and beyond the rule's 400 years. */
    {"1 day", NULL, NULL, "Europe/Zurich", NULL, NULL, "2090-07-01", {"2090-07-01 22:00"}},
    {"1 day", NULL, NULL, "Europe/Zurich", NULL, NULL, "5090-07-01", {"5090-07-01 22:00"}},
    {"1 day", NULL, NULL, "Europe/Zurich", NULL, NULL, "5090-12-01", {"5090-12-01 23:00"}},
    {"1 year", NULL, NULL, NULL, NULL, NULL, "9998-01-01", {"9999-01-01", "none"}},
};

static void known_slots(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct slot_rule r;
        struct slot_text t = rule_text(rules[i].every, rules[i].offset, rules[i].cron,
                                       rules[i].zone, rules[i].start, rules[i].end);
        assert_int_equal(slots_parse(&c, &t, &r), OK);
        int64_t after = at_time(rules[i].after), at = after, slot, back, n = 0;
        for (const char *const *want = rules[i].slots; *want; want++) {
            bool some = slot_next(&r, at, &slot);
            if (!strcmp(*want, "none")) {
                assert_false(some);
                break;
            }
            assert_true(some);
            if (slot != at_time(*want)) {
                struct strbuf b = STRBUF_INIT;
                timestamp_format(slot, &b);
                print_error("rule %zu: %s instead of %s\n", i, b.s, *want);
                strbuf_release(&b);
                assert_true(false);
            }
            if (n++) {
                assert_true(slot_prev(&r, slot, &back));
                assert_int_equal(back, at);
                assert_int_equal(slot_window_start(&r, slot), at);
            }
            assert_int_equal(slot_count(&r, after, slot + 1, 1000), n);
            assert_int_equal(slot_count(&r, after, slot + 1, 2), n < 2 ? n : 2);
            assert_int_equal(slot_count(&r, after, slot, 1000), n - 1);
            at = slot;
        }
    }
}

static void bounds(void **state)
{
    (void)state;
    struct slot_rule r;
    struct slot_text t = rule_text("1 day", NULL, NULL, NULL, "2026-01-01", "2026-01-03 12:00");
    int64_t slot;
    assert_int_equal(slots_parse(&c, &t, &r), OK);
    assert_false(slot_prev(&r, at_time("2026-01-01"), &slot));
    assert_true(slot_prev(&r, at_time("2026-01-01 00:00:01"), &slot));
    assert_int_equal(slot, at_time("2026-01-01"));
    assert_true(slot_prev(&r, TIMESTAMP_INFINITY, &slot));
    assert_int_equal(slot, at_time("2026-01-03"));
    assert_true(slot_next(&r, TIMESTAMP_MINUS_INFINITY, &slot));
    assert_int_equal(slot, at_time("2026-01-01"));
    assert_false(slot_next(&r, at_time("2026-01-03"), &slot));
    /* The first slot has a window too. */
    assert_int_equal(slot_window_start(&r, at_time("2026-01-01")), at_time("2025-12-31"));
    assert_int_equal(slot_count(&r, TIMESTAMP_MINUS_INFINITY, TIMESTAMP_INFINITY, 99), 3);
}

/* Rules that are none, and why. */
static const struct {
    const char *every, *offset, *cron, *zone, *start, *end, *message, *hint;
} errors[] = {
    {"0", NULL, NULL, NULL, NULL, NULL, "EVERY '0' is less than 100 milliseconds", ""},
    {"99 ms", NULL, NULL, NULL, NULL, NULL, "EVERY '99 ms' is less than 100 milliseconds", ""},
    {"-1 hour", NULL, NULL, NULL, NULL, NULL, "EVERY '-1 hour' is negative, or a part of it is",
     ""},
    {"1 month -1 day", NULL, NULL, NULL, NULL, NULL,
     "EVERY '1 month -1 day' is negative, or a part of it is", ""},
    {"2000 years", NULL, NULL, NULL, NULL, NULL, "EVERY '2000 years' is more than 1000 years", ""},
    {"often", NULL, NULL, NULL, NULL, NULL, "invalid input syntax for type interval: \"often\"",
     ""},
    {"1 hour", "1 hour", NULL, NULL, NULL, NULL, "OFFSET '1 hour' is not less than EVERY '1 hour'",
     ""},
    {"1 hour", "-1 min", NULL, NULL, NULL, NULL, "OFFSET '-1 min' is negative, or a part of it is",
     ""},
    {NULL, "1 min", "* * * * *", NULL, NULL, NULL, "OFFSET goes with EVERY alone", ""},
    {"1 hour", NULL, NULL, NULL, "2026-01-02", "2026-01-01", "END is before START", ""},
    {"1 hour", NULL, NULL, NULL, "10000-01-01", NULL, "START is not in the years 1 to 9999", ""},
    {"1 hour", NULL, NULL, "Europe/Zürich", NULL, NULL,
     "time zone \"Europe/Zürich\" not recognized",
     "Zones have names like \"Europe/Zurich\", \"America/New_York\" or \"UTC\"."},
    {"1 hour", NULL, NULL, "Europe/Zurch", NULL, NULL, "time zone \"Europe/Zurch\" not recognized",
     "Perhaps you meant \"Europe/Zurich\"."},
    {"1 hour", NULL, NULL, "../../../etc/passwd", NULL, NULL,
     "time zone \"../../../etc/passwd\" not recognized",
     "Zones have names like \"Europe/Zurich\", \"America/New_York\" or \"UTC\"."},
    {"1 hour", NULL, NULL, "/etc/localtime", NULL, NULL,
     "time zone \"/etc/localtime\" not recognized",
     "Zones have names like \"Europe/Zurich\", \"America/New_York\" or \"UTC\"."},
    {"1 hour", NULL, NULL, "Europe", NULL, NULL, "time zone \"Europe\" not recognized", NULL},
    {"1 hour", NULL, NULL, "", NULL, NULL, "time zone \"\" not recognized", NULL},
    {NULL, NULL, "0 3 * *", NULL, NULL, NULL, "cron text \"0 3 * *\" has 4 fields instead of five",
     "Fields are minute, hour, day of the month, month, day of the week."},
    {NULL, NULL, "", NULL, NULL, NULL, "cron text \"\" has 0 fields instead of five", NULL},
    {NULL, NULL, "0 0 3 * * *", NULL, NULL, NULL,
     "cron text \"0 0 3 * * *\" has 6 fields instead of five", NULL},
    {NULL, NULL, "60 * * * *", NULL, NULL, NULL, "cron field 1 (minute): \"60\" is out of range",
     "Allowed are 0-59; lists 1,2; ranges 1-5; steps */2 and 1-5/2."},
    {NULL, NULL, "* 5,24 * * *", NULL, NULL, NULL, "cron field 2 (hour): \"24\" is out of range",
     NULL},
    {NULL, NULL, "* * 0 * *", NULL, NULL, NULL,
     "cron field 3 (day of the month): \"0\" is out of range", NULL},
    {NULL, NULL, "* * * jab *", NULL, NULL, NULL, "cron field 4 (month): \"jab\" is no value",
     "Allowed are 1-12 or JAN-DEC; lists 1,2; ranges 1-5; steps */2 and 1-5/2."},
    {NULL, NULL, "* * * * 8", NULL, NULL, NULL,
     "cron field 5 (day of the week): \"8\" is out of range", NULL},
    {NULL, NULL, "* * * * monday", NULL, NULL, NULL,
     "cron field 5 (day of the week): \"monday\" is not understood", NULL},
    {NULL, NULL, "30-20 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"30-20\" is a range that runs backward", NULL},
    {NULL, NULL, "5/10 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"5/10\" has a step but no range", NULL},
    {NULL, NULL, "*/0 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"*/0\" has a step out of range", NULL},
    {NULL, NULL, "*/60 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"*/60\" has a step out of range", NULL},
    {NULL, NULL, "*/ * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"*/\" has no number after the slash", NULL},
    {NULL, NULL, "1,,2 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"\" has an empty place in its list", NULL},
    {NULL, NULL, "1, * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"\" has an empty place in its list", NULL},
    {NULL, NULL, "99999999999999999999 * * * *", NULL, NULL, NULL,
     "cron field 1 (minute): \"99999999999999999999\" is out of range", NULL},
    {NULL, NULL, "L * * * *", NULL, NULL, NULL, "cron field 1 (minute): \"L\" is no value", NULL},
    {NULL, NULL, "@reboot", NULL, NULL, NULL, "cron text \"@reboot\" is not known", NULL},
    {NULL, NULL, "0 0 30 2 *", NULL, NULL, NULL,
     "cron text \"0 0 30 2 *\" fits no date of any year", ""},
    {NULL, NULL, "0 0 31 4,6 *", NULL, NULL, NULL,
     "cron text \"0 0 31 4,6 *\" fits no date of any year", ""},
};

static void rules_that_are_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        struct slot_rule r;
        struct slot_text t = rule_text(errors[i].every, errors[i].offset, errors[i].cron,
                                       errors[i].zone, errors[i].start, errors[i].end);
        assert_true(slots_parse(&c, &t, &r) < 0);
        assert_string_equal(c.err.message, errors[i].message);
        if (errors[i].hint) assert_string_equal(c.err.hint, errors[i].hint);
        ctx_clear(&c);
    }
}

static void names_of_zones(void **state)
{
    (void)state;
    const struct zone *z, *again;
    assert_int_equal(zone_find(&c, text_of("europe/zurich"), &z), OK);
    assert_string_equal(zone_name(z), "Europe/Zurich");
    assert_int_equal(zone_find(&c, text_of("Europe/Zurich"), &again), OK);
    assert_ptr_equal(z, again);
    assert_int_equal(zone_find(&c, text_of("utc"), &z), OK);
    assert_string_equal(zone_name(z), "UTC");
    assert_int_equal(zone_find(&c, text_of("Etc/GMT-2"), &z), OK);
    assert_int_equal(zone_local(z, 0), 7200 * US_PER_SECOND);
}

static void *find_zones(void *unused)
{
    static const char *const names[] = {"Asia/Tokyo", "Asia/Seoul", "Asia/Dubai", "Asia/Tehran"};
    struct ctx mine = {.arena = arena_new()};
    const struct zone *z;
    (void)unused;
    for (int i = 0; i < 200; i++) {
        if (zone_find(&mine, text_of(names[i % 4]), &z) < 0 || !zone_local(z, 0)) abort();
    }
    arena_free(mine.arena);
    return NULL;
}

static void threads_find_zones(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_zones, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

/* Every cut of a zone's file, and every byte of it changed, is an error or a zone that answers. */
static void damaged_files(void **state)
{
    (void)state;
    static char bytes[65536], copy[65536];
    FILE *f = fopen("/usr/share/zoneinfo/Australia/Lord_Howe", "rb");
    assert_non_null(f);
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    struct zone *z;
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(zone_decode(&c, "cut", bytes, cut, &z), ERR_CORRUPT);
        ctx_clear(&c);
    }
    int refused = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(copy, bytes, n);
        copy[i] = (char)(copy[i] ^ 0x55);
        if (zone_decode(&c, "changed", copy, n, &z) < 0) {
            ctx_clear(&c);
            refused++;
            continue;
        }
        int64_t local = zone_local(z, at_time("2500-07-01"));
        assert_true(zone_latest(z, zone_reaches(z, local)) >= local);
        zone_free(z);
    }
    assert_in_range(refused, 10, n - 10);
}

int main(void)
{
    c.arena = arena_new();
    ctx_clear(&c);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_slots),         cmocka_unit_test(bounds),
        cmocka_unit_test(rules_that_are_none), cmocka_unit_test(names_of_zones),
        cmocka_unit_test(threads_find_zones),  cmocka_unit_test(damaged_files),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(c.arena);
    return failed;
}
