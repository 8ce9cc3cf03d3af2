/* Do expressions get PostgreSQL's overloads and messages, NumPy's types, and weak literals? */
#include "tests/unit/expr_fixture.h"

static void test_weak_literals(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"c0", "tinyint: 1 -3 - 0 127"},
        {"(+ c0 0)", "tinyint: 1 -3 - 0 127"},
        {"(+ c0 1)", "22003 tinyint out of range"},
        {"(+ c0 1000)", "integer: 1001 997 - 1000 1127"},
        {"(+ c1 1)", "22003 integer out of range"},
        {"(+ c1 3000000000)", "bigint: 3000000010 2999999993 3000000000 3000000002 5147483647"},
        {"(- c2 273.15)", "real: -272.65 -275.4 - -270.15 NaN"},
        {"(* c2 2)", "real: 1 -4.5 - 6 NaN"},
        {"(+ c2 1e300)", "double precision: 1e+300 1e+300 - 1e+300 NaN"},
        {"(+ c0 0.5)", "double precision: 1.5 -2.5 - 0.5 127.5"},
        {"(/ c0 2)", "double precision: 0.5 -1.5 - 0 63.5"},
        {"(// c0 2)", "tinyint: 0 -2 - 0 63"},
        {"(% c0 2)", "tinyint: 1 1 - 0 1"},
        {"(^ c1 2)", "double precision: 100 49 0 4 4.6116860141324206e+18"},
        {"(+ c8 (- 1))", "integer: -1 6 199 254 0"},
        {"(+ (cast smallint c0) c8)", "smallint: 1 4 - 255 128"},
        {"(+ c0 c8)", "smallint: 1 4 - 255 128"},
        {"(+ 1 2)", "integer: 3 3 3 3 3"},
        {"(+ 1 0.5)", "double precision: 1.5 1.5 1.5 1.5 1.5"},
        {"(+ 2147483647 1)", "22003 integer out of range"},
        {"(- 9223372036854775808)",
         "bigint: -9223372036854775808 -9223372036854775808 -9223372036854775808 "
         "-9223372036854775808 -9223372036854775808"},
        {"(+ c0 (- 5 4))", "22003 tinyint out of range"},
        {"(+ c2 (+ 273 0.15))", "real: 273.65 270.9 - 276.15 NaN"},
        {"(+ c0 (cast bigint 1))", "bigint: 2 -2 - 1 128"},
        {"(* c2 (cast double 2))", "double precision: 1 -4.5 - 6 NaN"},
        {"(= c2 0.5)", "boolean: t f - f f"},
        {"(> c0 1000)", "boolean: f f - f f"},
        {"(= c9 18446744073709551615)", "boolean: f f f f t"},
        {"(> c9 -1)", "boolean: t t t t t"},
        {"(< c1 c9)", "boolean: f t t t t"},
        {"(> c9 c1)", "boolean: f t t t t"},
        {"(in c0 1 1000 -3)", "boolean: t t - f f"},
        {"(not_in c0 1 null)", "boolean: f - - - -"},
        {"(coalesce c0 1000)", "integer: 1 -3 1000 0 127"},
        {"(coalesce c0 5)", "tinyint: 1 -3 5 0 127"},
        {"(case (> c1 0) c0 0.5)", "double precision: 1 0.5 0.5 0 127"},
        {"null", "text: - - - - -"},
        {"(+ c0 null)", "tinyint: - - - - -"},
        {"(isnull null)", "boolean: t t t t t"},
    };
    CHECK_EXAMPLES(list);
}

static void test_unknown_literals(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(< '2020-02-01' c5)", "boolean: f t f f t"},
        {"(= c6 '2020-01-01')", "boolean: t f - f f"},
        {"(+ c1 '1.5')", "22P02 invalid input syntax for type integer: \"1.5\""},
        {"(= c4 'abc')", "boolean: t f - f f"},
        {"(in c6 '2020-01-01' '2024-10-04')", "boolean: t f - f t"},
        {"(+ '1' '2')", "42725 operator is not unique: unknown + unknown"},
        {"(+ c4 1)", "42883 operator does not exist: text + integer"},
        {"(- c7)", "42883 operator does not exist: - boolean"},
        {"(sqrt c4)", "42883 function sqrt(text) does not exist"},
        {"(sqrd c1)", "42883 function sqrd(integer) does not exist"},
        {"(sqrt '4')", "double precision: 2 2 2 2 2"},
        {"(length 'abc')", "integer: 3 3 3 3 3"},
        {"(and c7 c1)", "42804 argument of AND must be type boolean, not type integer"},
        {"(not c4)", "42804 argument of NOT must be type boolean, not type text"},
        {"(case c1 1 2)", "42804 argument of CASE/WHEN must be type boolean, not type integer"},
        {"(case c7 1 c4)", "42804 CASE types integer and text cannot be matched"},
        {"(cast date c1)", "42846 cannot cast type integer to date"},
        {"(weakcast integer c4)",
         "42804 a value of type integer is wanted, but the expression is of type text"},
        {"(random)", "42883 function random() does not exist"},
        {"(& c1 c3)", "42883 operator does not exist: integer & double precision"},
        {"(extract 'fortnight' c5)", "22023 unit \"fortnight\" not recognized for type timestamp"},
        {"(cast integer 'x')", "22P02 invalid input syntax for type integer: \"x\""},
    };
    CHECK_EXAMPLES(list);
}

static void test_hints_and_positions(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    evaluate(&f, "(sqrd c1)");
    assert_string_equal(f.c.err.hint, "Perhaps you meant \"sqrt\".");
    assert_int_equal(f.c.err.position, 0);
    evaluate(&f, "(+ c1 (+ c4 1))");
    assert_int_equal(f.c.err.position, 6);
    evaluate(&f, "(= c6 'next week')");
    assert_int_equal(f.c.err.code, ERR_DATETIME_FORMAT);
    assert_int_equal(f.c.err.position, 6);
    evaluate(&f, "(random)");
    assert_string_equal(f.c.err.hint, "Give the seed: random(1).");
    evaluate(&f, "(* 2 (+ c1 1))");
    assert_int_equal(f.c.err.code, ERR_OVERFLOW);
    assert_int_equal(f.c.err.position, 5);
    fixture_close(&f);
}

static void test_parameters(void **state)
{
    (void)state;
    struct fixture f;
    struct expr *e;
    fixture_open(&f);
    f.params[0] = value_int(T_INT8, 2);
    assert_string_equal(evaluate(&f, "(* c0 $1)"), "22003 tinyint out of range");
    f.params[0] = value_int(T_INT8, 1);
    assert_string_equal(evaluate(&f, "(* c0 $1)"), "tinyint: 1 -3 - 0 127");
    assert_int_equal(sexpr(&f.c, &f.rel, "(sqrt $1)", &e), OK);
    assert_int_equal(e->args[0]->type, T_FLOAT64);
    /* A typed parameter is weak in arithmetic, and itself in comparisons. */
    f.param_types[1] = T_INT64;
    f.params[1] = value_int(T_INT64, 1000);
    assert_string_equal(evaluate(&f, "(= c0 $2)"), "boolean: f f - f f");
    assert_string_equal(evaluate(&f, "(+ c2 $2)"), "real: 1000.5 997.75 - 1003 NaN");
    assert_string_equal(evaluate(&f, "(+ c0 $2)"), "22003 tinyint out of range");
    f.params[2] = value_null(T_UNKNOWN);
    assert_string_equal(evaluate(&f, "(+ c1 $3)"), "integer: - - - - -");
    f.env.n_params = 0;
    assert_string_equal(evaluate(&f, "(+ c1 $3)"), "42P02 there is no value for parameter $3");
    fixture_close(&f);
}

static void test_trees(void **state)
{
    (void)state;
    struct fixture f;
    struct expr *a, *b, *cc;
    fixture_open(&f);
    const char *text = "(and (> (+ c1 (* 2 d0)) 3) (like c4 'a%') (in c0 1 2) (notnull c2))";
    assert_int_equal(sexpr(&f.c, &f.rel, text, &a), OK);
    assert_int_equal(sexpr(&f.c, &f.rel, text, &b), OK);
    assert_int_equal(sexpr(&f.c, &f.rel, "(> (+ c1 (* 3 d0)) 3)", &cc), OK);
    assert_true(expr_equal(a, b));
    assert_false(expr_equal(a, cc));
    assert_false(expr_equal(a->args[0], cc));
    assert_false(expr_is_const(a));
    struct strbuf s = STRBUF_INIT;
    expr_format(a, &f.rel, &s);
    assert_string_equal(s.s, "((((ints)::bigint + (2 * i)) > 3) AND (texts like 'a%') AND (tiny "
                             "IN (1, 2)) AND (reals IS NOT NULL))");
    strbuf_clear(&s);
    assert_int_equal(sexpr(&f.c, &f.rel,
                           "(case c7 (coalesce c4 'x') (isnull c1) (|| c4 c4) (cast text p0))", &b),
                     OK);
    expr_format(b, &f.rel, &s);
    assert_string_equal(s.s, "CASE WHEN bools THEN COALESCE(texts, 'x') WHEN (ints IS NULL) THEN "
                             "(texts || texts) ELSE (#i)::text END");
    strbuf_release(&s);
    assert_true(func_exists("arcsin") && func_exists("sqrt") && !func_exists("avg"));
    int n;
    const char *const *names = func_names(&n);
    assert_true(n > 150);
    for (int i = 0; i < n; i++)
        assert_true(func_exists(names[i]));
    fixture_close(&f);
}

static struct expr *shifted(struct ctx *c, const struct expr *e, void *self)
{
    int *n = self;
    ++*n;
    return e->kind == E_COL ? expr_make_ref(c, E_COL, e->index + 1, e->type, e->pos) : NULL;
}

static void test_map(void **state)
{
    (void)state;
    struct fixture f;
    struct expr *a, *b, *want;
    int n = 0;
    fixture_open(&f);
    assert_int_equal(sexpr(&f.c, &f.rel, "(+ c2 (* 2 c2))", &a), OK);
    f.cols[3].type = T_FLOAT32;
    assert_int_equal(sexpr(&f.c, &f.rel, "(+ c3 (* 2 c3))", &want), OK);
    b = expr_map(&f.c, a, shifted, &n);
    assert_int_equal(n, 2);
    assert_true(expr_equal(b, want));
    assert_false(expr_equal(a, b));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weak_literals),
        cmocka_unit_test(test_unknown_literals),
        cmocka_unit_test(test_hints_and_positions),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
