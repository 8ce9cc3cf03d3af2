/* CSV: fields as PostgreSQL reads them, types inferred, any range of rows, gzipped files, pieces of
 * any size, errors with their line. */
#include "storage/base/pool.h"
#include "storage/base/value.h"
#include "storage/files/csv_parse.h"
#include "storage/files/source.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static struct ctx c;
static struct budget budget;
static char dir[] = "/tmp/tessera_csv_XXXXXX";
static char path[128];

static const char *file(const char *name, const char *text, size_t n)
{
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (strstr(name, ".gz")) {
        gzFile f = gzopen(path, "wb6");
        assert_int_equal(gzwrite(f, text, (unsigned)n), n);
        gzclose(f);
    } else {
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(text, 1, n, f), n);
        fclose(f);
    }
    return path;
}

static struct source *open_source(const char *pattern, const struct source_options *o)
{
    struct source *s = NULL;
    ctx_clear(&c);
    if (source_open(&c, pattern, o, &s) < 0) print_error("%s\n", c.err.message);
    assert_non_null(s);
    return s;
}

/* Rows [lo, hi) as "a|b\n…", NULL as ~. */
static void dump(struct source *s, int64_t lo, int64_t hi, struct strbuf *out)
{
    struct column cols[16];
    int attrs[16];
    uint64_t *present;
    int64_t n_present;
    const struct schema *schema = source_schema(s);
    for (int i = 0; i < schema->n_attrs; i++)
        attrs[i] = i;
    struct box want = {.n_dims = 1, .lo = {lo}, .hi = {hi}};
    ctx_clear(&c);
    scratch_reset(c.scratch);
    if (source_read(&c, s, &want, attrs, schema->n_attrs, cols, &present, &n_present) < 0) {
        strbuf_addf(out, "%s: %s (%s)", status_sqlstate(c.err.code), c.err.message,
                    strrchr(c.err.detail, '/') ? strrchr(c.err.detail, '/') + 1 : c.err.detail);
        return;
    }
    if (hi > lo) assert_null(present);
    assert_int_equal(n_present, hi - lo);
    for (int64_t r = 0; r < hi - lo; r++) {
        for (int i = 0; i < schema->n_attrs; i++) {
            if (i > 0) strbuf_addc(out, '|');
            if (column_is_null(&cols[i], r))
                strbuf_addc(out, '~');
            else
                value_format_at(cols[i].type, cols[i].values, r, out);
        }
        strbuf_addc(out, '\n');
    }
}

static void columns(const struct source *s, struct strbuf *out)
{
    const struct schema *schema = source_schema(s);
    for (int i = 0; i < schema->n_attrs; i++)
        strbuf_addf(out, "%s%s %s", i ? ", " : "", schema->attrs[i].name,
                    type_name(schema->attrs[i].type));
}

static void reads(const char *name, const char *text, const struct source_options *o,
                  const char *expected_columns, const char *expected_rows)
{
    struct strbuf out = STRBUF_INIT;
    struct source *s = open_source(file(name, text, strlen(text)), o);
    columns(s, &out);
    assert_string_equal(out.s, expected_columns);
    strbuf_clear(&out);
    int64_t n = source_schema(s)->dims[0].axis.hi;
    dump(s, 0, n, &out);
    assert_string_equal(out.s, expected_rows);
    strbuf_release(&out);
    source_close(s);
}

static const struct source_options plain = {0};

static void test_types(void **unused)
{
    (void)unused;
    reads("types.csv",
          "id,Name,temp,day,at time,ok,mixed,zip,empty\n"
          "1,abc,1.5,2020-01-01,2020-01-01 10:00:00,true,1,007,\n"
          "-2,\"x,y\",,2020-02-29,2020-01-01T10:00:00.25Z,f,2.5,012,\n"
          "3,\"say \"\"hi\"\"\",NaN,,2021-05-05,,3e2,100,\n",
          &plain,
          "id bigint, name text, temp double precision, day date, at_time timestamp, ok boolean, "
          "mixed double precision, zip text, empty text",
          "1|abc|1.5|2020-01-01|2020-01-01 10:00:00|t|1|007|~\n"
          "-2|x,y|~|2020-02-29|2020-01-01 10:00:00.25|f|2.5|012|~\n"
          "3|say \"hi\"|NaN|~|2021-05-05 00:00:00|~|300|100|~\n");
    reads("quoted.csv", "a,b\r\n\"line\nbreak\",\"\"\r\n,x\"y,z\"w\r\n\"q\" ,2\r\n", &plain,
          "a text, b text", "line\nbreak|\n~|xy,zw\nq |2\n");
    reads("bom.csv",
          "\xef\xbb\xbf"
          "a,a,,Gr\xc3\xb6\xc3\x9f"
          "e,9x\n1,2,3,4,5",
          &plain, "a bigint, a_2 bigint, column3 bigint, gr__e bigint, _9x bigint", "1|2|3|4|5\n");
    reads("row.csv", "row,x\n5,6\n", &plain, "row bigint, x bigint", "5|6\n");
    struct source_options o = {.header_given = true, .header = false, .delimiter = ';'};
    reads("semi.csv", "1;a\n2;b\n", &o, "column1 bigint, column2 text", "1|a\n2|b\n");
    o = (struct source_options){.null_text = "-999", .quote = '\'', .escape = '\\'};
    reads("null.csv", "a,b\n-999,'-999'\n1,'it\\'s, ok'\n", &o, "a bigint, b text",
          "~|-999\n1|it's, ok\n");
    o = (struct source_options){.text_format = true, .header_given = true};
    reads("copy.txt", "1\ta\\tb\\n\\\\\n\\N\t\\101\\x42\\\nc\n", &o, "column1 bigint, column2 text",
          "1|a\tb\n\\\n~|AB\nc\n");
    reads("none.csv", "a,b\n", &plain, "a text, b text", "");
}

static void test_target(void **unused)
{
    (void)unused;
    struct dim dims[] = {{.name = "x", .axis = {.type = T_INT32}}};
    struct attr attrs[] = {{.name = "v", .type = T_FLOAT32}, {.name = "n", .type = T_UINT8}};
    struct schema target = {.n_dims = 1, .n_attrs = 2, .dims = dims, .attrs = attrs};
    struct source_options o = {.target = &target};
    reads("target.csv", "n,extra,x,v\n255,a,-5,0.1\n,b,7,1e10\n", &o,
          "n utinyint, extra text, x integer, v real", "255|a|-5|0.1\n~|b|7|1e+10\n");
    const char *names[] = {"x", "v"};
    o = (struct source_options){
        .target = &target, .columns = names, .n_columns = 2, .header_given = true};
    reads("order.csv", "1,2\n3,16777217\n", &o, "x integer, v real", "1|2\n3|1.6777216e+07\n");
}

/* The error of reading all rows, or of opening. */
static void fails(const char *name, const char *text, const struct source_options *o,
                  const char *expected)
{
    struct strbuf out = STRBUF_INIT;
    struct source *s = NULL;
    ctx_clear(&c);
    if (source_open(&c, file(name, text, strlen(text)), o, &s) < 0)
        strbuf_addf(&out, "%s: %s (%s)", status_sqlstate(c.err.code), c.err.message,
                    strrchr(c.err.detail, '/') ? strrchr(c.err.detail, '/') + 1 : c.err.detail);
    else
        dump(s, 0, source_schema(s)->dims[0].axis.hi, &out);
    assert_string_equal(out.s, expected);
    strbuf_release(&out);
    source_close(s);
}

static void test_errors(void **unused)
{
    (void)unused;
    fails("ragged.csv", "a,b\n1,2\n3\n", &plain,
          "22P04: missing data for column \"b\" (ragged.csv, line 3, column \"b\")");
    fails("long.csv", "a,b\n\"x\ny\",2\n3,4,5\n", &plain,
          "22P04: extra data after last expected column (long.csv, line 4)");
    fails("open.csv", "a,b\n1,\"2\n", &plain, "22P04: unterminated CSV quoted field (open.csv)");
    fails("utf8.csv", "a\nabc\nd\xff\n", &plain,
          "22021: invalid byte sequence for encoding \"UTF8\": 0xff (utf8.csv, line 3, column "
          "\"a\")");
    /* A type inferred from the first thousand rows may not hold later. */
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, "a\n");
    for (int i = 0; i < 5000; i++)
        strbuf_addf(&text, "%d\n", i);
    strbuf_adds(&text, "oops\n");
    fails("late.csv", text.s, &plain,
          "22P02: invalid input syntax for type bigint: \"oops\" (late.csv, line 5002, column "
          "\"a\")");
    strbuf_release(&text);
    struct source *s;
    ctx_clear(&c);
    assert_int_equal(source_open(&c, file("empty.csv", "", 0), &plain, &s), ERR_BAD_COPY_FORMAT);
    ctx_clear(&c);
    assert_int_equal(source_open(&c, "/nonexistent.csv", &plain, &s), ERR_FILE_MISSING);
    ctx_clear(&c);
    assert_int_equal(source_open(&c, "/nonexistent*.csv", &plain, &s), ERR_FILE_MISSING);
    ctx_clear(&c);
    struct source_options csv = plain;
    csv.format = "csv";
    assert_int_equal(source_open(&c, "/tmp", &csv, &s), ERR_WRONG_OBJECT);
}

/* Many rows, some with quoted newlines: every range is what the rows are. */
static void check_ranges(const char *name, int n_files)
{
    struct strbuf text = STRBUF_INIT, expected = STRBUF_INIT;
    enum { N = 120000 };
    static size_t starts[N + 1];
    unsigned state = 1;
    for (int part = 0; part < n_files; part++) {
        strbuf_clear(&text);
        strbuf_adds(&text, "i,v,s\n");
        for (int i = part * N / n_files; i < (part + 1) * N / n_files; i++) {
            starts[i] = expected.len;
            state = state * 1103515245 + 12345;
            int kind = state >> 16 & 15;
            const char *raw = kind == 0   ? "\"a\nb\""
                              : kind == 1 ? "\"\"\"\""
                              : kind == 2 ? ""
                              : kind == 3 ? "\"x,y\r\nz\""
                                          : "plain text";
            const char *value = kind == 0   ? "a\nb"
                                : kind == 1 ? "\""
                                : kind == 2 ? "~"
                                : kind == 3 ? "x,y\r\nz"
                                            : "plain text";
            strbuf_addf(&text, "%d,%d.%02d,%s\n", i, i * 7, i % 90 + 10, raw);
            struct value v = value_double(i * 7 + (i % 90 + 10) / 100.0);
            strbuf_addf(&expected, "%d|", i);
            value_format(&v, &expected);
            strbuf_addf(&expected, "|%s\n", value);
        }
        char numbered[64];
        snprintf(numbered, sizeof numbered, "%d%s", part, name);
        file(numbered, text.s, text.len);
    }
    starts[N] = expected.len;
    char pattern[160];
    snprintf(pattern, sizeof pattern, "%s/[0-9]%s", dir, name);
    struct source *s = open_source(pattern, &plain);
    assert_int_equal(source_schema(s)->dims[0].axis.hi, N);
    for (int i = 0; i < 60; i++) {
        state = state * 1103515245 + 12345;
        int64_t lo = (state >> 8) % N;
        int64_t hi = i == 0 ? N : lo + 1 + (state >> 4) % 5000;
        if (i == 0) lo = 0;
        if (hi > N) hi = N;
        struct strbuf out = STRBUF_INIT;
        dump(s, lo, hi, &out);
        assert_int_equal(out.len, starts[hi] - starts[lo]);
        assert_memory_equal(out.s, expected.s + starts[lo], out.len);
        strbuf_release(&out);
    }
    /* Past the end. */
    struct column cols[3];
    int64_t n;
    uint64_t *present;
    struct box past = {.n_dims = 1, .lo = {N - 2}, .hi = {N + 3}};
    int attr = 0;
    assert_int_equal(source_read(&c, s, &past, &attr, 1, cols, &present, &n), OK);
    assert_int_equal(n, 2);
    assert_true(bit_get(present, 1) && !bit_get(present, 2));
    source_close(s);
    strbuf_release(&text);
    strbuf_release(&expected);
}

static void test_ranges(void **unused)
{
    (void)unused;
    check_ranges("big.csv", 1);
    check_ranges("part.csv", 3);
}

struct parallel {
    struct source *s;
    atomic_int_least64_t sum;
};
static enum status sum_task(struct ctx *worker, void *self, int w, int64_t task)
{
    struct parallel *p = self;
    struct box want = {.n_dims = 1, .lo = {task * 5000}, .hi = {task * 5000 + 5000}};
    struct column col;
    uint64_t *present;
    int64_t n;
    int attr = 0;
    (void)w;
    TRY(source_read(worker, p->s, &want, &attr, 1, &col, &present, &n));
    for (int64_t i = 0; i < n; i++)
        atomic_fetch_add(&p->sum, ((int64_t *)col.values)[i]);
    return OK;
}

/* Many workers read one file. */
static void test_parallel(void **unused)
{
    (void)unused;
    static const char *const names[] = {"0big.csv", "0big.csv.gz", "[0-9]part.csv"};
    c.pool = pool_new(4);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        struct parallel p = {.s = open_source(path, &plain)};
        assert_int_equal(pool_run(&c, 24, 0, sum_task, &p), OK);
        assert_int_equal(atomic_load(&p.sum), INT64_C(119999) * 120000 / 2);
        source_close(p.s);
    }
    pool_free(c.pool);
    c.pool = NULL;
}

static void test_gzip(void **unused)
{
    (void)unused;
    check_ranges("big.csv.gz", 1);
    /* Two members, cut short, damaged. */
    struct strbuf text = STRBUF_INIT;
    for (int i = 0; i < 3000000; i++)
        strbuf_addf(&text, "%d\n", i * 37 % 1000003);
    struct source_options o = {.header_given = true};
    file("two.csv.gz", text.s, text.len / 2);
    gzFile f = gzopen(path, "ab1");
    gzwrite(f, text.s + text.len / 2, (unsigned)(text.len - text.len / 2));
    gzclose(f);
    struct source *s = open_source(path, &o);
    assert_int_equal(source_schema(s)->dims[0].axis.hi, 3000000);
    for (int64_t at = 0; at < 2999000; at += 700001) {
        struct strbuf out = STRBUF_INIT;
        dump(s, at, at + 1, &out);
        assert_int_equal(atoi(out.s), (int)(at * 37 % 1000003));
        strbuf_release(&out);
    }
    source_close(s);
    assert_int_equal(truncate(path, 500000), 0);
    ctx_clear(&c);
    assert_int_equal(source_open(&c, path, &o, &s), ERR_BAD_COPY_FORMAT);
    strbuf_release(&text);
}

/* Pieces of every size give the same rows. */
static void test_feed(void **unused)
{
    (void)unused;
    static const char text[] = "h1,h2\n1,\"a\nb\"\n2,\n,\"x\"\"y\"\n4,last";
    struct attr attrs[] = {{.name = "i", .type = T_INT32}, {.name = "s", .type = T_TEXT}};
    struct schema schema = {.n_attrs = 2, .attrs = attrs};
    struct source_options o = {.header_given = true, .header = true};
    for (size_t step = 1; step <= sizeof text; step++) {
        struct csv_parser *p;
        struct strbuf out = STRBUF_INIT;
        ctx_clear(&c);
        assert_int_equal(csv_parser_new(&c, &o, &schema, &p), OK);
        for (size_t at = 0; at < sizeof text - 1; at += step) {
            struct column cols[2];
            int64_t n;
            size_t len = sizeof text - 1 - at < step ? sizeof text - 1 - at : step;
            bool last = at + len == sizeof text - 1;
            assert_int_equal(csv_parser_feed(&c, p, text + at, len, last, cols, &n), OK);
            for (int64_t r = 0; r < n; r++) {
                for (int i = 0; i < 2; i++) {
                    if (column_is_null(&cols[i], r))
                        strbuf_addc(&out, '~');
                    else
                        value_format_at(cols[i].type, cols[i].values, r, &out);
                    strbuf_addc(&out, i ? '\n' : '|');
                }
            }
        }
        assert_string_equal(out.s, "1|a\nb\n2|~\n~|x\"y\n4|last\n");
        strbuf_release(&out);
        csv_parser_free(p);
    }
    struct csv_parser *p;
    struct column cols[2];
    int64_t n;
    assert_int_equal(csv_parser_new(&c, &plain, &schema, &p), OK);
    assert_int_equal(csv_parser_feed(&c, p, "1,a\n2,b\n\\.\n3,c\n", 15, false, cols, &n), OK);
    assert_int_equal(n, 2);
    assert_int_equal(csv_parser_feed(&c, p, "4,d\n", 4, true, cols, &n), OK);
    assert_int_equal(n, 0);
    csv_parser_free(p);
    assert_int_equal(csv_parser_new(&c, &plain, &schema, &p), OK);
    assert_int_equal(csv_parser_feed(&c, p, "1,a\n", 4, false, cols, &n), OK);
    assert_int_equal(csv_parser_feed(&c, p, "2,b\nx,c\n", 8, true, cols, &n), ERR_INVALID_TEXT);
    assert_string_equal(c.err.detail, "line 3, column \"i\"");
    csv_parser_free(p);
}

static void test_field(void **unused)
{
    (void)unused;
    static const struct {
        const char *in, *out;
    } rows[] = {{"abc", "abc"},         {"", "\"\""},         {"a,b", "\"a,b\""},
                {"a\"b", "\"a\"\"b\""}, {"a\nb", "\"a\nb\""}, {"\\.", "\"\\.\""},
                {" x ", " x "}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct strbuf out = STRBUF_INIT;
        csv_field(&out, rows[i].in, strlen(rows[i].in), false, ',', '"', "");
        assert_string_equal(out.s, rows[i].out);
        strbuf_release(&out);
    }
}

/* What is known of a file is charged to the budget above the statement's, and given back. */
static void indexes_are_charged(void **state)
{
    (void)state;
    struct budget all, own;
    struct budget *before = c.budget;
    struct strbuf text = STRBUF_INIT;
    struct source_options o = {.format = "csv"};
    struct source *s;
    for (int i = 0; i < 300000; i++)
        strbuf_addf(&text, "%d,%d\n", i, i * 7);
    budget_init(&all, NULL, 0);
    budget_init(&own, &all, 0);
    source_forget();
    const char *names[] = {"charged.csv", "charged.csv.gz"};
    for (int k = 0; k < 2; k++) {
        const char *name = file(names[k], text.s, text.len);
        c.budget = &own;
        s = open_source(name, &o);
        assert_in_range(atomic_load(&all.used_bytes), 100000, 2000000);
        source_close(s);
        assert_int_equal(atomic_load(&own.used_bytes), 0);
        assert_true(atomic_load(&all.used_bytes) > 0); /* the next statement finds it */
        source_forget();
        assert_int_equal(atomic_load(&all.used_bytes), 0);
        all.limit_bytes = 200000;
        ctx_clear(&c);
        assert_int_equal(source_open(&c, name, &o, &s), ERR_MEMORY);
        assert_int_equal(atomic_load(&all.used_bytes), 0);
        all.limit_bytes = 0;
    }
    c.budget = before;
    ctx_clear(&c);
    strbuf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_are_charged), cmocka_unit_test(test_types),
        cmocka_unit_test(test_target),         cmocka_unit_test(test_errors),
        cmocka_unit_test(test_ranges),         cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_parallel),       cmocka_unit_test(test_feed),
        cmocka_unit_test(test_field)};
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
