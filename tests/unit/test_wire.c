/* PostgreSQL's binary format: what is put comes back, and what is none is refused. */
#include "query/session_internal.h"
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "tests/unit/unit.h"
#include <string.h>

static struct ctx fresh(struct arena *arena)
{
    struct ctx c = {.arena = arena};
    ctx_clear(&c);
    return c;
}

static void round_trip(struct value v, size_t bytes)
{
    struct arena *arena = arena_new();
    struct ctx c = fresh(arena);
    struct strbuf out = STRBUF_INIT;
    _Alignas(16) char cell[64];
    struct value back;
    value_put(&v, cell, 0);
    assert_int_equal(wire_put(&c, v.type, cell, 0, &out), OK);
    assert_int_equal(out.len, bytes);
    assert_int_equal(wire_get(&c, type_oid(v.type), out.s ? out.s : "", out.len, &back), OK);
    struct strbuf a = STRBUF_INIT, b = STRBUF_INIT;
    value_format(&v, &a);
    value_format(&back, &b);
    assert_string_equal(a.s, b.s);
    strbuf_release(&a);
    strbuf_release(&b);
    strbuf_release(&out);
    arena_free(arena);
}

static void values_come_back(void **state)
{
    (void)state;
    round_trip(value_int(T_BOOL, 1), 1);
    round_trip(value_int(T_INT8, -128), 2);
    round_trip(value_int(T_INT16, INT16_MIN), 2);
    round_trip(value_int(T_INT32, INT32_MIN), 4);
    round_trip(value_int(T_INT64, INT64_MIN), 8);
    round_trip(value_int(T_DATE, -719162), 4);
    round_trip(value_int(T_DATE, DATE_INFINITY), 4);
    round_trip(value_int(T_TIMESTAMP, -1), 8);
    round_trip(value_int(T_TIMESTAMP, TIMESTAMP_MINUS_INFINITY), 8);
    round_trip(value_text("gr\xc3\xbcn"), 5);
}

static void refused(uint32_t oid, const char *bytes, size_t n, enum status code)
{
    struct arena *arena = arena_new();
    struct ctx c = fresh(arena);
    struct value v;
    assert_int_equal(wire_get(&c, oid, bytes, n, &v), code);
    assert_int_equal(c.err.code, code);
    arena_free(arena);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    refused(23, "abc", 3, ERR_PROTOCOL);
    refused(23, "abcde", 5, ERR_INVALID_BINARY);
    refused(1082, "\x7f\xff\xff\xfe", 4, ERR_DATETIME_OVERFLOW);
    refused(1114, "\x7f\xff\xff\xff\xff\xff\xff\xfe", 8, ERR_DATETIME_OVERFLOW);
    refused(1700, "\0\1", 2, ERR_INVALID_BINARY);
    refused(1700, "\0\2\0\0\0\0\0\0\0\1", 10, ERR_INVALID_BINARY);
    refused(600, "1234567890123456", 16, ERR_UNSUPPORTED);
}

static void numerics_are_read(void **state)
{
    (void)state;
    struct arena *arena = arena_new();
    struct ctx c = fresh(arena);
    struct value v;
    /* -12345.5: digits 1, 2345, 5000; weight 1 */
    assert_int_equal(wire_get(&c, 1700, "\0\3\0\1\x40\0\0\1\0\1\x09\x29\x13\x88", 14, &v), OK);
    assert_true(v.d == -12345.5);
    arena_free(arena);
}

static void text_is_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        size_t n;
        enum status code;
    } cases[] = {{"", 0, OK},
                 {"gr\xc3\xbcn", 5, OK},
                 {"\xc3(", 2, ERR_INVALID_ENCODING},
                 {"a\0b", 3, ERR_INVALID_ENCODING},
                 {"\xed\xa0\x80", 3, ERR_INVALID_ENCODING},
                 {"\xc0\x80", 2, ERR_INVALID_ENCODING}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctx c = fresh(NULL);
        assert_int_equal(check_utf8(&c, cases[i].s, cases[i].n), cases[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back), cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(numerics_are_read), cmocka_unit_test(text_is_utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
