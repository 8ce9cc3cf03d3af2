/* .npy files: every dtype, both byte orders and both array orders, any box; damaged ones refused.
 */
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "storage/files/source.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ctx c;
static struct budget budget;
static char dir[] = "/tmp/tessera_npy_XXXXXX";
static char path[128];

static const char *in_dir(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* A file of a version with a dictionary and data. */
static const char *write_npy(const char *name, int version, const char *dict, const void *data,
                             size_t n)
{
    size_t len = strlen(dict), start = version == 1 ? 10 : 12;
    unsigned char head[12] = {0x93, 'N', 'U', 'M', 'P', 'Y', (unsigned char)version, 0};
    for (size_t i = 0; i < start - 8; i++)
        head[8 + i] = (unsigned char)(len >> 8 * i);
    FILE *f = fopen(in_dir(name), "wb");
    fwrite(head, 1, start, f);
    fwrite(dict, 1, len, f);
    fwrite(data, 1, n, f);
    fclose(f);
    return path;
}

static struct source *open_npy(const char *pattern)
{
    struct source *s = NULL;
    struct source_options o = {0};
    ctx_clear(&c);
    if (source_open(&c, pattern, &o, &s) < 0) print_error("%s\n", c.err.message);
    assert_non_null(s);
    return s;
}

/* All cells, comma between cells of a field, semicolon between fields; NULL as ~. */
static void holds(const char *file, const char *type, const char *expected)
{
    struct source *s = open_npy(file);
    const struct schema *schema = source_schema(s);
    struct strbuf out = STRBUF_INIT;
    struct column cols[8];
    int attrs[8];
    uint64_t *present;
    int64_t n;
    struct box all;
    schema_box(schema, &all);
    for (int i = 0; i < schema->n_attrs; i++)
        attrs[i] = i;
    assert_string_equal(type_name(schema->attrs[0].type), type);
    assert_int_equal(source_read(&c, s, &all, attrs, schema->n_attrs, cols, &present, &n), OK);
    for (int i = 0; i < schema->n_attrs; i++) {
        if (i > 0) strbuf_addc(&out, ';');
        for (int64_t k = 0; k < n; k++) {
            if (k > 0) strbuf_addc(&out, ',');
            if (column_is_null(&cols[i], k))
                strbuf_addc(&out, '~');
            else
                value_format_at(cols[i].type, cols[i].values, k, &out);
        }
    }
    assert_string_equal(out.s, expected);
    strbuf_release(&out);
    source_close(s);
    scratch_reset(c.scratch);
}

#define DICT(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }"

static void test_dtypes(void **unused)
{
    (void)unused;
    holds(write_npy("a.npy", 1, DICT("'|b1'", "(3,)"), "\0\1\2", 3), "boolean", "f,t,t");
    holds(write_npy("a.npy", 1, DICT("'|i1'", "(2,)"), "\x80\x7f", 2), "tinyint", "-128,127");
    holds(write_npy("a.npy", 1, DICT("'|u1'", "(2,)"), "\x80\x7f", 2), "utinyint", "128,127");
    holds(write_npy("a.npy", 1, DICT("'<i2'", "(1,)"), "\x01\xff", 2), "smallint", "-255");
    holds(write_npy("a.npy", 1, DICT("'>i2'", "(1,)"), "\x01\xff", 2), "smallint", "511");
    holds(write_npy("a.npy", 1, DICT("'>u4'", "(1,)"), "\0\0\1\0", 4), "uinteger", "256");
    holds(write_npy("a.npy", 1, DICT("'<u8'", "(1,)"), "\xff\xff\xff\xff\xff\xff\xff\xff", 8),
          "ubigint", "18446744073709551615");
    holds(write_npy("a.npy", 1, DICT("'>f8'", "(1,)"), "\x3f\xf8\0\0\0\0\0\0", 8),
          "double precision", "1.5");
    holds(write_npy("a.npy", 1, DICT("'<f4'", "()"), "\0\0\xc0\x3f", 4), "real", "1.5");
    holds(write_npy("a.npy", 1, DICT("'<f2'", "(4,)"), "\x00\x3e\x01\x00\x00\xfc\x01\x7c", 8),
          "real", "1.5,5.9604645e-08,-Infinity,NaN");
    holds(write_npy("a.npy", 1, DICT("'>U2'", "(2,)"), "\0\0\0a\0\0\0\xe9\0\1\xf6\0\0\0\0\0", 16),
          "text", "a\xc3\xa9,\xf0\x9f\x98\x80");
    holds(write_npy("a.npy", 1, DICT("'|S3'", "(2,)"), "ab\0xyz", 6), "text", "ab,xyz");
    int64_t times[] = {-1, INT64_MIN, 1500};
    holds(write_npy("a.npy", 1, DICT("'<M8[D]'", "(2,)"), times, 16), "date", "1969-12-31,~");
    holds(write_npy("a.npy", 1, DICT("'<M8[ns]'", "(3,)"), times, 24), "timestamp",
          "1969-12-31 23:59:59.999999,~,1970-01-01 00:00:00.000001");
    holds(write_npy("a.npy", 1, DICT("'<M8[10ms]'", "(3,)"), times, 24), "timestamp",
          "1969-12-31 23:59:59.99,~,1970-01-01 00:00:15");
    holds(write_npy("a.npy", 1, DICT("'<M8[M]'", "(1,)"), times, 8), "date", "1969-12-01");
    holds(write_npy("a.npy", 2, DICT("'<i2'", "(1,)"), "\x01\0", 2), "smallint", "1");
    holds(write_npy("a.npy", 3, DICT("'<i2'", "(1,)"), "\x01\0", 2), "smallint", "1");
    holds(write_npy("a.npy", 1, DICT("[('A', '|u1'), ('', '|V1'), ('b b', '>i2')]", "(2,)"),
                    "\1\0\0\2\3\0\0\4", 8),
          "utinyint", "1,3;2,4");
}

/* Value of cell (i, j, k): what every box must find there. */
enum { A = 37, B = 21, C = 53 };
static int32_t cell(int64_t i, int64_t j, int64_t k)
{
    return (int32_t)(i * 10000 + j * 100 + k);
}

static void check_boxes(const char *pattern)
{
    struct source *s = open_npy(pattern);
    unsigned state = 7;
    int attr = 0;
    for (int round = 0; round < 200; round++) {
        struct box want = {.n_dims = 3};
        static const int64_t shape[] = {A, B, C};
        for (int d = 0; d < 3; d++) {
            state = state * 1103515245 + 12345;
            want.lo[d] = (state >> 8) % shape[d];
            state = state * 1103515245 + 12345;
            want.hi[d] = want.lo[d] + 1 + (state >> 8) % (shape[d] - want.lo[d]);
            if (round == 0) want.lo[d] = 0;
            if (round == 0) want.hi[d] = shape[d];
        }
        struct column col;
        uint64_t *present;
        int64_t n;
        assert_int_equal(source_read(&c, s, &want, &attr, 1, &col, &present, &n), OK);
        assert_int_equal(n, box_cells(&want));
        for (int64_t x = 0; x < n; x++) {
            int64_t pos[MAX_DIMS];
            box_position(&want, x, pos);
            assert_int_equal(((int32_t *)col.values)[x], cell(pos[0], pos[1], pos[2]));
        }
        scratch_reset(c.scratch);
    }
    source_close(s);
}

static void test_boxes(void **unused)
{
    (void)unused;
    static int32_t data[A * B * C];
    int32_t *p = data;
    for (int i = 0; i < A; i++)
        for (int j = 0; j < B; j++)
            for (int k = 0; k < C; k++)
                *p++ = cell(i, j, k);
    check_boxes(write_npy("c.npy", 1, DICT("'<i4'", "(37, 21, 53)"), data, sizeof data));
    write_npy("part1.npy", 1, DICT("'<i4'", "(20, 21, 53)"), data, 20 * B * C * 4);
    write_npy("part2.npy", 1, DICT("'<i4'", "(17, 21, 53)"), data + 20 * B * C, 17 * B * C * 4);
    check_boxes(in_dir("part*.npy"));
    p = data;
    for (int k = 0; k < C; k++)
        for (int j = 0; j < B; j++)
            for (int i = 0; i < A; i++)
                *p++ = cell(i, j, k);
    check_boxes(write_npy("f.npy", 1,
                          "{'descr': '<i4', 'fortran_order': True, 'shape': (37, 21, 53), }", data,
                          sizeof data));
    for (int i = 0; i < A * B * C; i++)
        data[i] = (int32_t)__builtin_bswap32((uint32_t)data[i]);
    check_boxes(write_npy("f.npy", 1,
                          "{'descr': '>i4', 'fortran_order': True, 'shape': (37, 21, 53), }", data,
                          sizeof data));
}

static void refused(const char *file, enum status expected)
{
    struct source_options o = {0};
    struct source *s = NULL;
    ctx_clear(&c);
    assert_int_equal(source_open(&c, file, &o, &s), expected);
}

static void test_damaged(void **unused)
{
    (void)unused;
    refused(write_npy("x.npy", 1, DICT("'<i4'", "(3,)"), "12345678901", 11), ERR_BAD_COPY_FORMAT);
    assert_non_null(strstr(c.err.message, "truncated: it holds 11 bytes of the 12"));
    refused(write_npy("x.npy", 1, DICT("'|O'", "(1,)"), "12345678", 8), ERR_UNSUPPORTED);
    refused(write_npy("x.npy", 1, DICT("'<c8'", "(1,)"), "12345678", 8), ERR_UNSUPPORTED);
    refused(write_npy("x.npy", 1, DICT("[('a', '<i4', (2,))]", "(1,)"), "12345678", 8),
            ERR_UNSUPPORTED);
    refused(write_npy("x.npy", 4, DICT("'<i4'", "(1,)"), "1234", 4), ERR_BAD_COPY_FORMAT);
    static const char *const bad[] = {"",
                                      "{",
                                      "{}",
                                      "[1]",
                                      "{'descr': '<i4'}",
                                      DICT("'<i4'", "(9223372036854775807, 4)"),
                                      DICT("'<i4'", "(99999999999999999999,)"),
                                      DICT("'<i4'", "(-1,)"),
                                      DICT("'<i4'", "(1"),
                                      DICT("'<i4", "(1,)"),
                                      DICT("''", "(1,)"),
                                      DICT("'<i99999999999'", "(1,)"),
                                      DICT("[]", "(1,)"),
                                      DICT("[('a')]", "(1,)"),
                                      DICT("[('a', '<i4'", "(1,)"),
                                      DICT("'<M8[us'", "(1,)"),
                                      DICT("'<M8[-3us]'", "(1,)"),
                                      "{'descr': '<i4', 'fortran_order': Maybe, 'shape': (1,), }"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct source_options o = {0};
        struct source *s = NULL;
        ctx_clear(&c);
        enum status st = source_open(&c, write_npy("x.npy", 1, bad[i], "12345678", 8), &o, &s);
        assert_true(st == ERR_BAD_COPY_FORMAT || st == ERR_UNSUPPORTED);
    }
    /* Any single byte of a header changed: an answer, never a crash. */
    static const char good[] = DICT("[('a', '<f8'), ('b', '<U4')]", "(1, 1)");
    for (size_t i = 0; i < sizeof good - 1; i++) {
        for (int ch = 1; ch < 256; ch += 13) {
            char dict[sizeof good];
            memcpy(dict, good, sizeof good);
            dict[i] = (char)ch;
            struct source_options o = {0};
            struct source *s = NULL;
            ctx_clear(&c);
            source_open(&c, write_npy("x.npy", 1, dict, "123456789012345678901234", 24), &o, &s);
            source_close(s);
        }
    }
    write_npy("m1.npy", 1, DICT("'<i4'", "(1, 2)"), "12345678", 8);
    write_npy("m2.npy", 1, DICT("'<i4'", "(2, 1)"), "12345678", 8);
    refused(in_dir("m?.npy"), ERR_AXIS_MISMATCH);
    write_npy("m2.npy", 1, DICT("'<i2'", "(2, 2)"), "12345678", 8);
    refused(in_dir("m?.npy"), ERR_DATATYPE_MISMATCH);
}

/* What npy_header writes, it reads. */
static void test_header(void **unused)
{
    (void)unused;
    enum type types[] = {T_FLOAT32, T_TIMESTAMP, T_UINT8};
    const char *names[] = {"a", "it's", "c"};
    int64_t shape[] = {1, 2};
    for (int fields = 1; fields <= 3; fields += 2) {
        struct strbuf out = STRBUF_INIT;
        npy_header(&out, types, fields > 1 ? names : NULL, fields, shape, 2, 0);
        assert_int_equal(out.len % 64, 0);
        char zeros[26] = {0};
        strbuf_add(&out, zeros, sizeof zeros);
        FILE *f = fopen(in_dir("h.npy"), "wb");
        fwrite(out.s, 1, out.len, f);
        fclose(f);
        holds(path, "real",
              fields == 1 ? "0,0" : "0,0;1970-01-01 00:00:00,1970-01-01 00:00:00;0,0");
        strbuf_release(&out);
    }
    struct strbuf out = STRBUF_INIT;
    npy_header(&out, types, NULL, 1, shape, 1, 0);
    assert_non_null(
        strstr(out.s + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }"));
    strbuf_clear(&out);
    npy_header(&out, types, NULL, 1, shape, 2, 0);
    assert_non_null(strstr(out.s + 10, "'shape': (1, 2), }"));
    strbuf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dtypes), cmocka_unit_test(test_boxes),
                                       cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_header)};
    budget_init(&budget, NULL, 0);
    c = (struct ctx){.arena = arena_new(), .budget = &budget, .scratch = scratch_new(&budget)};
    if (!mkdtemp(dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(c.arena);
    scratch_free(c.scratch);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) | failed;
}
