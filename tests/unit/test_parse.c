/* Does the parser accept the language, build the trees it should, and say what is wrong and where?
 * The texts are in tests/sql/grammar: a block is a statement text, behind a line "=>" what is
 * expected, and ends with a line "%%". */
#include "query/parse.h"
#include "storage/base/keywords.h"
#include "tests/unit/ast_dump.h"
#include "tests/unit/unit.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct notices {
    int n;
    char last[512], sqlstate[6];
};

static void take_notice(void *self, const char *severity, const char *sqlstate, const char *message)
{
    struct notices *got = self;
    assert_string_equal(severity, "NOTICE");
    got->n++;
    snprintf(got->last, sizeof got->last, "%s", message);
    snprintf(got->sqlstate, sizeof got->sqlstate, "%s", sqlstate);
}

static struct ctx context(void)
{
    struct ctx c = {.arena = arena_new()};
    ctx_clear(&c);
    return c;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) print_error("%s is missing: run from the top of the tree\n", path);
    assert_non_null(f);
    struct strbuf b = STRBUF_INIT;
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;)
        strbuf_add(&b, part, n);
    fclose(f);
    return b.s;
}

static void trim_end(char *s)
{
    size_t n = strlen(s);
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        s[--n] = 0;
}

/* Each block of the file to check(text, expected or NULL); how many there were. */
static int each_block(const char *path, void (*check)(const char *text, const char *expected))
{
    char *file = read_file(path), *rest = file;
    int n = 0;
    while (*rest) {
        char *end = strstr(rest, "\n%%\n");
        assert_non_null(end);
        *end = 0;
        char *expected = strstr(rest, "\n=>\n");
        if (expected) {
            *expected = 0;
            expected += 4;
            trim_end(expected);
        }
        trim_end(rest);
        check(rest, expected);
        n++;
        rest = end + 4;
    }
    free(file);
    return n;
}

static void check_accepted(const char *text, const char *expected)
{
    assert_null(expected);
    struct ctx c = context();
    struct ast_script script;
    enum status s = parse_script(&c, text, strlen(text), &script);
    if (s < 0) print_error("%s at %d in: %s\n", c.err.message, c.err.position, text);
    assert_int_equal(s, OK);
    assert_true(script.n > 0);
    for (int i = 0; i < script.n; i++) {
        const struct ast_stmt *st = script.v[i];
        /* The statement's text stands by itself. */
        struct ast_script again;
        assert_true(st->pos >= 0 && st->end > st->pos && (size_t)st->end <= strlen(text));
        assert_int_equal(parse_script(&c, text + st->pos, (size_t)(st->end - st->pos), &again), OK);
        assert_int_equal(again.n, 1);
        struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;
        dump_stmt(&one, st);
        dump_stmt(&two, again.v[0]);
        assert_string_equal(one.s, two.s);
        strbuf_release(&one);
        strbuf_release(&two);
    }
    arena_free(c.arena);
}

static void check_tree(const char *text, const char *expected)
{
    struct ctx c = context();
    struct ast_script script;
    enum status s = parse_script(&c, text, strlen(text), &script);
    if (s < 0) print_error("%s at %d in: %s\n", c.err.message, c.err.position, text);
    assert_int_equal(s, OK);
    struct strbuf b = STRBUF_INIT;
    for (int i = 0; i < script.n; i++) {
        if (i) strbuf_addc(&b, '\n');
        dump_stmt(&b, script.v[i]);
    }
    assert_non_null(expected);
    if (strcmp(b.s, expected) != 0) print_error("in: %s\n", text);
    assert_string_equal(b.s, expected);
    strbuf_release(&b);
    arena_free(c.arena);
}

/* Expected: SQLSTATE, position and message, then perhaps lines "hint: …" and "detail: …". */
static void check_refused(const char *text, const char *expected)
{
    struct ctx c = context();
    struct ast_script script;
    enum status s = parse_script(&c, text, strlen(text), &script);
    if (s == OK) print_error("accepted: %s\n", text);
    assert_true(s < 0);
    char got[1200];
    int n =
        snprintf(got, sizeof got, "%s %d %s", status_sqlstate(s), c.err.position, c.err.message);
    if (c.err.detail[0]) n += snprintf(got + n, sizeof got - n, "\ndetail: %s", c.err.detail);
    if (c.err.hint[0]) snprintf(got + n, sizeof got - n, "\nhint: %s", c.err.hint);
    assert_non_null(expected);
    if (strcmp(got, expected) != 0) print_error("in: %s\n", text);
    assert_string_equal(got, expected);
    arena_free(c.arena);
}

static void test_language(void **state)
{
    (void)state;
    assert_true(each_block("tests/sql/grammar/language.sql", check_accepted) > 40);
}
static void test_clients(void **state)
{
    (void)state;
    assert_true(each_block("tests/sql/grammar/clients.sql", check_accepted) > 100);
}
static void test_trees(void **state)
{
    (void)state;
    assert_true(each_block("tests/sql/grammar/trees.txt", check_tree) > 60);
}
static void test_errors(void **state)
{
    (void)state;
    assert_true(each_block("tests/sql/grammar/errors.txt", check_refused) > 40);
}

/* The i-th expression of a SELECT's list. */
static const struct ast_expr *target(struct ctx *c, const char *text)
{
    struct ast_script script;
    assert_int_equal(parse_script(c, text, strlen(text), &script), OK);
    return script.v[0]->select->targets.v[0].e;
}

static void test_literals(void **state)
{
    (void)state;
    struct ctx c = context();
    static const struct {
        const char *sql;
        enum ast_expr_kind kind;
        const char *text;
    } cases[] = {
        {"select 42", X_INT, "42"},
        {"select 9223372036854775808", X_INT, "9223372036854775808"},
        {"select 9223372036854775809", X_FLOAT, "9223372036854775809"},
        {"select 0009223372036854775807", X_INT, "0009223372036854775807"},
        {"select 1e5", X_FLOAT, "1e5"},
        {"select .5", X_FLOAT, ".5"},
        {"select 5.", X_FLOAT, "5."},
        {"select 1.5E-3", X_FLOAT, "1.5E-3"},
        {"select 'it''s'", X_STRING, "it's"},
        {"select 'a\\b'", X_STRING, "a\\b"},
        {"select 'one' \n -- and\n  ' two'", X_STRING, "one two"},
        {"select E'a\\'b\\n\\x41\\101\\u00e9\\t\\q'", X_STRING, "a'b\nAA\xc3\xa9\tq"},
        {"select E'\\ud83d\\ude00'", X_STRING, "\xf0\x9f\x98\x80"},
        {"select E'x'\n'\\ty'", X_STRING, "x\ty"},
        {"select $$it's$$", X_STRING, "it's"},
        {"select $a$ $$ $b$ $a$", X_STRING, " $$ $b$ "},
        {"select ''", X_STRING, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct ast_expr *e = target(&c, cases[i].sql);
        assert_int_equal(e->kind, cases[i].kind);
        assert_string_equal(e->text, cases[i].text);
        assert_int_equal(e->text_len, strlen(cases[i].text));
    }
    const struct ast_expr *e = target(&c, "select -9223372036854775808");
    assert_int_equal(e->kind, X_OP);
    assert_string_equal(e->op, "-");
    assert_int_equal(e->args.v[0]->kind, X_INT);
    assert_string_equal(e->args.v[0]->text, "9223372036854775808");
    e = target(&c, "select \"A \"\"b\" /* a /* nested */ comment */ -- and another");
    assert_string_equal(e->name.part[0], "A \"b");
    e = target(&c, "select FooBar.\"Baz\"");
    assert_string_equal(e->name.part[0], "foobar");
    assert_string_equal(e->name.part[1], "Baz");
    arena_free(c.arena);
}

static void test_long_names(void **state)
{
    (void)state;
    struct notices got = {0};
    struct ctx c = context();
    c.notice = take_notice;
    c.notice_self = &got;
    char sql[200];
    snprintf(sql, sizeof sql, "select %064d", 0);
    memset(sql + 7, 'X', 64);
    const struct ast_expr *e = target(&c, sql);
    assert_int_equal(strlen(e->name.part[0]), 63);
    assert_int_equal(got.n, 1);
    assert_string_equal(got.sqlstate, "42622");
    char want[512];
    snprintf(want, sizeof want, "identifier \"%s\" will be truncated to \"%s\"",
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", e->name.part[0]);
    assert_string_equal(got.last, want);
    /* 62 letters and one of two bytes: the name ends before it. */
    snprintf(sql, sizeof sql, "select \"%062d\xc3\xa9\"", 0);
    e = target(&c, sql);
    assert_int_equal(strlen(e->name.part[0]), 62);
    assert_int_equal(got.n, 2);
    /* A mistake behind it tells of it once. */
    snprintf(sql, sizeof sql, "select \"%064d\" from", 0);
    struct ast_script script;
    assert_int_equal(parse_script(&c, sql, strlen(sql), &script), ERR_SYNTAX);
    assert_int_equal(got.n, 3);
    arena_free(c.arena);
}

static void test_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *sql;
        size_t n;
        const char *message;
    } cases[] = {
        {"select '\xff'", 10, "invalid byte sequence for encoding \"UTF8\": 0xff"},
        {"select '\xe2\x28\xa1'", 12,
         "invalid byte sequence for encoding \"UTF8\": 0xe2 0x28 0xa1"},
        {"select '\xc0\xaf'", 11, "invalid byte sequence for encoding \"UTF8\": 0xc0 0xaf"},
        {"select '\xed\xa0\x80'", 12,
         "invalid byte sequence for encoding \"UTF8\": 0xed 0xa0 0x80"},
        {"select \0", 8, "invalid byte sequence for encoding \"UTF8\": 0x00"},
        {"select 1 -- \xf0\x9f", 14, "invalid byte sequence for encoding \"UTF8\": 0xf0 0x9f"},
        {"select E'\\xff'", 14, "invalid byte sequence for encoding \"UTF8\": 0xff"},
        {"select E'a\\000'", 15, "invalid byte sequence for encoding \"UTF8\": 0x00"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctx c = context();
        struct ast_script script;
        assert_int_equal(parse_script(&c, cases[i].sql, cases[i].n, &script), ERR_INVALID_ENCODING);
        assert_string_equal(c.err.message, cases[i].message);
        arena_free(c.arena);
    }
}

/* before, n times open, middle, n times close, after. */
static enum status nested(struct ctx *c, const char *before, const char *open, const char *middle,
                          const char *close, int n)
{
    struct strbuf b = STRBUF_INIT;
    strbuf_adds(&b, before);
    for (int i = 0; i < n; i++)
        strbuf_adds(&b, open);
    strbuf_adds(&b, middle);
    for (int i = 0; i < n; i++)
        strbuf_adds(&b, close);
    struct ast_script script;
    ctx_clear(c);
    enum status s = parse_script(c, b.s, b.len, &script);
    strbuf_release(&b);
    return s;
}

static void test_depth(void **state)
{
    (void)state;
    static const struct {
        const char *before, *open, *middle, *close;
        int fits;
    } cases[] = {
        {"select ", "(", "1", ")", 1000},
        {"select 1", "", "", "+1", 900},
        {"select ", "- ", "1", "", 900},
        {"select ", "f(", "1", ")", 900},
        {"select ", "case when true then ", "1", " end", 600},
        {"select 1", " union all select 1", "", "", 900},
        {"select * from ", "(select * from ", "a", ") x", 300},
        {"select ", "(select ", "1", ")", 300},
        {"select * from a", "", "", " cross join a", 900},
        {"select * from a", "", "", " @ a", 900},
        {"select v", "[x => v", "", "]", 300},
        {"select * from ", "f(", "a", ")", 900},
        {"insert into a values ", "(", "1", ")", 900},
        {"", "explain ", "select 1", "", 1},
        {"", "with x as (", "delete from a", ") delete from a", 300},
        {"select ", "array[", "1", "]", 900},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ctx c = context();
        enum status s = nested(&c, cases[i].before, cases[i].open, cases[i].middle, cases[i].close,
                               cases[i].fits);
        if (s < 0) print_error("%s: %s\n", cases[i].open, c.err.message);
        assert_int_equal(s, OK);
        if (cases[i].fits > 1) {
            s = nested(&c, cases[i].before, cases[i].open, cases[i].middle, cases[i].close, 20000);
            if (s == OK) print_error("accepted: %s%s\n", cases[i].open, cases[i].close);
            assert_int_equal(s, ERR_TOO_COMPLEX);
            assert_string_equal(c.err.message, "stack depth limit exceeded");
        }
        arena_free(c.arena);
    }
}

static void test_many_values(void **state)
{
    (void)state;
    struct ctx c = context();
    assert_int_equal(nested(&c, "insert into a values (0)", ", (1, 'a', NULL)", "", "", 10000), OK);
    assert_int_equal(nested(&c, "", "select 1; ;", "", "", 2000), OK);
    arena_free(c.arena);
}

static void test_positions(void **state)
{
    (void)state;
    struct ctx c = context();
    struct ast_script script;
    const char *sql =
        " ;create view v as (select 1) union select 2 ; create function f(x) as  x + 1;"
        "explain select a.b + f(c) from t";
    assert_int_equal(parse_script(&c, sql, strlen(sql), &script), OK);
    assert_int_equal(script.n, 3);
    const struct ast_stmt *s = script.v[0];
    assert_memory_equal(sql + s->pos, "create view v as (select 1) union select 2",
                        s->end - s->pos);
    assert_int_equal(s->end - s->pos, 42);
    assert_int_equal(s->body_end - s->body_pos, 25);
    assert_memory_equal(sql + s->body_pos, "(select 1) union select 2", 25);
    s = script.v[1];
    assert_int_equal(s->body_end - s->body_pos, 5);
    assert_memory_equal(sql + s->body_pos, "x + 1", 5);
    s = script.v[2]->inner;
    assert_int_equal(s->end - s->pos, 24);
    assert_memory_equal(sql + s->pos, "select a.b + f(c) from t", 24);
    const struct ast_expr *plus = s->select->targets.v[0].e;
    assert_memory_equal(sql + plus->pos, "+ f", 3);
    assert_memory_equal(sql + plus->args.v[0]->pos, "a.b", 3);
    assert_memory_equal(sql + plus->args.v[1]->pos, "f(c)", 4);
    assert_memory_equal(sql + s->select->from.v[0]->pos, "t", 1);
    arena_free(c.arena);
}

static void test_expr(void **state)
{
    (void)state;
    struct ctx c = context();
    struct ast_expr *e;
    assert_int_equal(parse_expr(&c, "k - 273.15", 10, &e), OK);
    struct strbuf b = STRBUF_INIT;
    dump_expr(&b, e);
    assert_string_equal(b.s, "(- k 273.15f)");
    strbuf_release(&b);
    assert_int_equal(parse_expr(&c, "1;", 2, &e), ERR_SYNTAX);
    assert_string_equal(c.err.message, "syntax error at or near \";\"");
    ctx_clear(&c);
    assert_int_equal(parse_expr(&c, "", 0, &e), ERR_SYNTAX);
    assert_string_equal(c.err.message, "syntax error at end of input");
    arena_free(c.arena);
}

static void test_empty(void **state)
{
    (void)state;
    struct ctx c = context();
    struct ast_script script;
    static const char *const texts[] = {"", " ; ;; ", "-- nothing", "/* */"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(parse_script(&c, texts[i], strlen(texts[i]), &script), OK);
        assert_int_equal(script.n, 0);
    }
    arena_free(c.arena);
}

enum keyword_class { NAME, COLUMN, TYPE_FUNC, RESERVED };
static const struct {
    const char *word;
    enum keyword_class class;
} keywords[] = {
#define X(token, word, class) {word, class},
    KEYWORD_LIST(X)
#undef X
};

/* Every keyword is a label; those that are not reserved name columns and arrays too. */
static void test_keywords(void **state)
{
    (void)state;
    struct ctx c = context();
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        char sql[1200];
        struct ast_script script;
        const char *w = keywords[i].word;
        if (i) assert_true(strcmp(keywords[i - 1].word, w) < 0);
        snprintf(sql, sizeof sql, "select 1 as %s, x.%s, \"%s\"", w, w, w);
        if (parse_script(&c, sql, strlen(sql), &script) < 0) print_error("%s\n", sql);
        assert_int_equal(c.err.code, OK);
        /* "AS of" is the beginning of AS OF. */
        if (keywords[i].class >= TYPE_FUNC || strcmp(w, "of") == 0) continue;
        snprintf(
            sql, sizeof sql,
            "select %s, t.%s as %s, [%s] from %s as %s where %s > 3 group by %s order by %s;"
            "create array %s (%s int dimension, v real); select v[%s => 1] from a[%s => 1];"
            "insert into a (%s) values (1); update a set %s = 1; with %s as (select 1) table a",
            w, w, w, w, w, w, w, w, w, w, w, w, w, w, w, w);
        if (parse_script(&c, sql, strlen(sql), &script) < 0)
            print_error("%s at %d: %s\n", c.err.message, c.err.position, sql);
        assert_int_equal(c.err.code, OK);
    }
    arena_free(c.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language),    cmocka_unit_test(test_clients),
        cmocka_unit_test(test_trees),       cmocka_unit_test(test_errors),
        cmocka_unit_test(test_literals),    cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_encoding),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_values), cmocka_unit_test(test_positions),
        cmocka_unit_test(test_expr),        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_keywords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
