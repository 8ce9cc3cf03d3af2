/* The settings: each default is valid and shows as what it reads; wrong values say what is right.
 */
#include "storage/base/settings.h"
#include "tests/unit/unit.h"
#include <string.h>

static enum status set(struct ctx *c, struct settings *s, const char *name, const char *value)
{
    ctx_clear(c);
    return settings_set(c, s, name, value, false);
}

static void shows(const struct settings *s, const char *name, const char *want)
{
    struct ctx c = {0};
    struct strbuf out = STRBUF_INIT;
    ctx_clear(&c);
    assert_int_equal(settings_show(&c, s, name, &out), OK);
    assert_string_equal(out.s ? out.s : "", want);
    strbuf_release(&out);
}

static void defaults_are_valid(void **state)
{
    (void)state;
    int n;
    const struct setting_info *list = settings_list(&n);
    struct settings s;
    struct ctx c = {0};
    settings_defaults(&s);
    for (int i = 0; i < n; i++) {
        struct strbuf shown = STRBUF_INIT;
        ctx_clear(&c);
        assert_int_equal(settings_set(&c, &s, list[i].name, list[i].deflt, true), OK);
        assert_int_equal(settings_show(&c, &s, list[i].name, &shown), OK);
        assert_int_equal(settings_set(&c, &s, list[i].name, shown.s ? shown.s : "", true), OK);
        shows(&s, list[i].name, shown.s ? shown.s : "");
        strbuf_release(&shown);
    }
    settings_release(&s);
}

static void units_are_read(void **state)
{
    (void)state;
    struct settings s;
    struct ctx c = {0};
    settings_defaults(&s);
    assert_int_equal(set(&c, &s, "Query_Memory_Limit", "64MB"), OK);
    assert_int_equal(s.query_memory_limit.n, 64 << 20);
    shows(&s, "query_memory_limit", "64MB");
    assert_int_equal(set(&c, &s, "statement_timeout", "1.5s"), OK);
    shows(&s, "statement_timeout", "1500ms");
    assert_int_equal(set(&c, &s, "statement_timeout", "90"), OK);
    shows(&s, "statement_timeout", "90ms");
    assert_int_equal(set(&c, &s, "optimizer", "FALSE"), OK);
    shows(&s, "optimizer", "off");
    settings_release(&s);
}

static void wrong_values_are_refused(void **state)
{
    (void)state;
    struct settings s;
    struct ctx c = {0};
    settings_defaults(&s);
    assert_int_equal(set(&c, &s, "statement_timeuot", "1"), ERR_UNDEFINED_OBJECT);
    assert_non_null(strstr(c.err.hint, "statement_timeout"));
    assert_int_equal(set(&c, &s, "memory_limit", "1GB"), ERR_CANT_CHANGE_NOW);
    assert_int_equal(set(&c, &s, "statement_timeout", "1 fortnight"), ERR_INVALID_PARAMETER);
    assert_int_equal(set(&c, &s, "statement_timeout", "-1"), ERR_INVALID_PARAMETER);
    assert_int_equal(set(&c, &s, "max_workers", "1.5"), ERR_INVALID_PARAMETER);
    assert_int_equal(set(&c, &s, "optimizer", "perhaps"), ERR_INVALID_PARAMETER);
    assert_int_equal(set(&c, &s, "client_encoding", "LATIN1"), ERR_UNSUPPORTED);
    assert_int_equal(set(&c, &s, "timezone", "Europe/Zurich"), ERR_UNSUPPORTED);
    shows(&s, "statement_timeout", "0");
    settings_release(&s);
}

static void copies_are_their_own(void **state)
{
    (void)state;
    struct settings a, b;
    struct ctx c = {0};
    settings_defaults(&a);
    assert_int_equal(set(&c, &a, "application_name", "one"), OK);
    settings_copy(&b, &a);
    assert_int_equal(set(&c, &a, "application_name", "two"), OK);
    shows(&b, "application_name", "one");
    settings_release(&a);
    shows(&b, "application_name", "one");
    settings_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid), cmocka_unit_test(units_are_read),
        cmocka_unit_test(wrong_values_are_refused), cmocka_unit_test(copies_are_their_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
