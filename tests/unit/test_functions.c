/* Do the functions of text, numbers and time give what PostgreSQL (or NumPy) gives? */
#include "tests/unit/expr_fixture.h"

/* A constant expression, printed; NULL as "-". */
static const char *constant(struct fixture *f, const char *text)
{
    static char out[1024];
    struct expr *e;
    struct value v;
    ctx_clear(&f->c);
    enum status s = sexpr(&f->c, &f->rel, text, &e);
    if (s == OK) s = expr_eval_const(&f->c, e, &f->env, &v);
    if (s < 0) {
        snprintf(out, sizeof out, "%s %s", status_sqlstate(s), f->c.err.message);
        return out;
    }
    struct strbuf b = STRBUF_INIT;
    value_format(&v, &b);
    snprintf(out, sizeof out, "%s", v.null ? "-" : b.s ? b.s : "");
    strbuf_release(&b);
    return out;
}

static void check_constants(const struct example *x, size_t n)
{
    struct fixture f;
    fixture_open(&f);
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        const char *got = constant(&f, x[i].expr);
        if (strcmp(got, x[i].result) == 0) continue;
        print_error("%s\n   gives %s\n    not  %s\n", x[i].expr, got, x[i].result);
        bad++;
    }
    fixture_close(&f);
    assert_int_equal(bad, 0);
}
#define CHECK_CONSTANTS(list) check_constants(list, sizeof(list) / sizeof *(list))

static void test_text(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(length '\303\234ber')", "4"},
        {"(octet_length '\303\234ber')", "5"},
        {"(upper '\303\274ber')", "\303\234BER"},
        {"(lower '\303\234BER')", "\303\274ber"},
        {"(initcap 'hi THOMAS o-reilly')", "Hi Thomas O-Reilly"},
        {"(substr 'alphabet' 3)", "phabet"},
        {"(substring 'alphabet' 3 2)", "ph"},
        {"(substr 'alphabet' -1 4)", "al"},
        {"(substr 'alphabet' 3 -1)", "22011 negative substring length not allowed"},
        {"(substr 'alphabet' 2147483647 9223372036854775807)", ""},
        {"(left 'abcde' 2)", "ab"},
        {"(left 'abcde' -2)", "abc"},
        {"(left 'abcde' -7)", ""},
        {"(right 'abcde' 2)", "de"},
        {"(right 'abcde' -2)", "cde"},
        {"(right 'abcde' -9)", ""},
        {"(lpad 'hi' 5 'xy')", "xyxhi"},
        {"(lpad 'hello' 3)", "hel"},
        {"(rpad 'hi' 5 'xy')", "hixyx"},
        {"(rpad 'h\303\274' 4)", "h\303\274  "},
        {"(btrim '  x y ')", "x y"},
        {"(trim 'xyxtrimyyx' 'xyz')", "trim"},
        {"(ltrim 'zzzytest' 'xyz')", "test"},
        {"(rtrim 'testxxzx' 'xyz')", "test"},
        {"(replace 'abcdefabcdef' 'cd' 'XX')", "abXXefabXXef"},
        {"(replace 'aaa' '' 'X')", "aaa"},
        {"(reverse 'ab\303\274')", "\303\274ba"},
        {"(repeat 'Pg' 4)", "PgPgPgPg"},
        {"(repeat 'Pg' -4)", ""},
        {"(repeat 'Pg' 9000000000)", "54000 requested length too large"},
        {"(position 'Th\303\274mas' 'mas')", "4"},
        {"(strpos 'high' 'ig')", "2"},
        {"(strpos 'high' 'x')", "0"},
        {"(strpos 'high' '')", "1"},
        {"(split_part 'abc~@~def~@~ghi' '~@~' 2)", "def"},
        {"(split_part 'abc,def,ghi,jkl' ',' -2)", "ghi"},
        {"(split_part 'abc' ',' 2)", ""},
        {"(split_part 'abc' ',' 1)", "abc"},
        {"(split_part 'abc' ',' 0)", "22023 field position must not be zero"},
        {"(concat 'abcde' 2 null 22)", "abcde222"},
        {"(concat_ws ',' 'abcde' 2 null 22)", "abcde,2,22"},
        {"(concat_ws null 'a')", "-"},
        {"(|| 'Post' 'greSQL')", "PostgreSQL"},
        {"(|| 'Value: ' 42)", "Value: 42"},
        {"(|| 'x' null)", "-"},
        {"(starts_with 'alphabet' 'alph')", "t"},
        {"(ascii '\342\202\254')", "8364"},
        {"(chr 65)", "A"},
        {"(chr 8364)", "\342\202\254"},
        {"(chr 0)", "54000 null character not permitted"},
        {"(overlay 'Txxxxas' 'hom' 2 4)", "Thomas"},
        {"(translate '12345' '143' 'ax')", "a2x5"},
        {"(to_hex 255)", "ff"},
        {"(like 'abc' 'a%')", "t"},
        {"(like 'abc' '_b_')", "t"},
        {"(like 'abc' 'c')", "f"},
        {"(like 'a%c' 'a\\%c')", "t"},
        {"(like 'abc' 'a\\%c')", "f"},
        {"(like '\303\274x' '_x')", "t"},
        {"(like 'a\\c' 'a\\c' '')", "t"},
        {"(like 'mississippi' 'm%iss%ip%i')", "t"},
        {"(like 'mississippi' 'm%iss%ix%i')", "f"},
        {"(like 'abc' 'ab\\')", "22025 LIKE pattern must not end with escape character"},
        {"(like '10%' '10#%' '#')", "t"},
        {"(ilike 'ABC' 'a%')", "t"},
        {"(not_like 'abc' 'a%')", "f"},
        {"(~ 'thomas' 't.*ma')", "t"},
        {"(~* 'thomas' 'T.*ma')", "t"},
        {"(!~ 'thomas' 't.*max')", "t"},
        {"(!~* 'thomas' 'T.*ma')", "f"},
        {"(~ 'abc' 'a(b')", "2201B invalid regular expression: Unmatched ( or \\("},
        {"(~ 'a1' '^[[:alpha:]]\\d$')", "t"},
        {"(similar 'abc' '%(b|d)%')", "t"},
        {"(similar 'abc' '(b|c)%')", "f"},
        {"(similar 'abc' 'a_c')", "t"},
        {"(regexp_replace 'Thomas' '.[mN]a.' 'M')", "ThM"},
        {"(regexp_replace 'foobarbaz' 'b(..)' 'X\\1Y' 'g')", "fooXarYXazY"},
        {"(greatest 'a' 'c' null 'b')", "c"},
        {"(least 'b' 'a')", "a"},
        {"(cast text true)", "true"},
        {"(cast text 1.5)", "1.5"},
    };
    CHECK_CONSTANTS(list);
}

static void test_text_of_cells(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(upper c4)", "text: ABC  - \303\234N\303\217 X A%B"},
        {"(length c4)", "integer: 3 0 - 5 3"},
        {"(|| c4 c1)", "text: abc10 -7 - \303\234n\303\257 x2 a%b2147483647"},
        {"(concat c4 c0)", "text: abc1 -3  \303\234n\303\257 x0 a%b127"},
        {"(concat_ws '-' c4 c0 c1)", "text: abc-1-10 --3--7 0 \303\234n\303\257 x-0-2 "
                                     "a%b-127-2147483647"},
        {"(like c4 'a%')", "boolean: t f - f t"},
        {"(~ c4 '^.b')", "boolean: t f - f f"},
        {"(in c4 'abc' '')", "boolean: t t - f f"},
        {"(> c4 'abb')", "boolean: t f - t f"},
        {"(coalesce c4 'none')", "text: abc  none \303\234n\303\257 x a%b"},
        {"(case c7 c4 'no')", "text: abc no no no a%b"},
        {"(cast text c7)", "text: true false - false true"},
        {"(cast text c5)", "text: 2020-01-01 00:01:01 2020-03-01 01:01:01 1970-01-01 02:01:01 "
                           "1969-12-31 03:01:01 2024-10-04 04:01:01"},
        {"(cast text c2)", "text: 0.5 -2.25 - 3 NaN"},
        {"(cast integer (substr (cast text c1) 1 1))", "22P02 invalid input syntax for type "
                                                       "integer: \"-\""},
        {"(case (> c1 0) (cast integer (substr (cast text c1) 1 1)) 0)", "integer: 1 0 0 2 2"},
        {"(greatest c4 'aac')", "text: abc aac aac \303\234n\303\257 x aac"},
        {"(isnull c4)", "boolean: f f t f f"},
        {"(distinct c4 'abc')", "boolean: f t t t t"},
    };
    CHECK_EXAMPLES(list);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(round 2.5)", "2"},
        {"(round -3.5)", "-4"},
        {"(round 2.675 2)", "2.68"},
        {"(round 1234.5 -2)", "1200"},
        {"(trunc -2.567 1)", "-2.5"},
        {"(round 7)", "7"},
        {"(log 2 8)", "3"},
        {"(log 10 1000)", "3"},
        {"(log 1000)", "3"},
        {"(ln 0)", "-Infinity"},
        {"(sqrt -1)", "NaN"},
        {"(gcd 1071 462)", "21"},
        {"(gcd -4 0)", "4"},
        {"(lcm 1071 462)", "23562"},
        {"(lcm 2147483647 2147483646)", "22003 integer out of range"},
        {"(factorial 5)", "120"},
        {"(factorial 21)", "22003 bigint out of range"},
        {"(factorial -1)", "22003 factorial of a negative number is undefined"},
        {"(clip 5 0 3)", "3"},
        {"(pi)", "3.141592653589793"},
        {"(ldexp 1.5 3)", "12"},
        {"(bit_count 7)", "3"},
        {"(& 12 10)", "8"},
        {"(| 12 10)", "14"},
        {"(# 12 10)", "6"},
        {"(~ 0)", "-1"},
        {"(<< 1 4)", "16"},
        {"(<< 1 40)", "0"},
        {"(>> -16 2)", "-4"},
        {"(>> -1 99)", "-1"},
        {"(- -128)", "128"},
        {"(- (cast tinyint -128))", "22003 tinyint out of range"},
        {"(abs (cast smallint -32768))", "22003 smallint out of range"},
        {"(abs -5)", "5"},
        {"(// -7 2)", "-4"},
        {"(% -7 2)", "1"},
        {"(% 7 -2)", "-1"},
        {"(fmod -7 2)", "-1"},
        {"(// 1 0)", "22012 division by zero"},
        {"(% 1 0)", "22012 division by zero"},
        {"(/ 1 0)", "Infinity"},
        {"(// (cast integer -2147483648) -1)", "22003 integer out of range"},
        {"(% (cast bigint -9223372036854775808) -1)", "0"},
        {"(// 7.5 2)", "3"},
        {"(logical_xor true false)", "t"},
        {"(nullif 1 1)", "-"},
        {"(nullif 1 2)", "1"},
        {"(greatest 1 null 3.5)", "3.5"},
        {"(cast tinyint 300)", "22003 tinyint out of range"},
        {"(cast integer 2.5)", "2"},
        {"(cast integer 3.5)", "4"},
        {"(cast integer nan)", "22003 integer out of range"},
        {"(cast boolean 2)", "t"},
        {"(cast real 0.1)", "0.1"},
        {"(= nan nan)", "f"},
        {"(distinct nan 1.0)", "t"},
        {"(erf 0.5)", "0.5204998778130465"},
        {"(gamma 5)", "24"},
        {"(hypot 3 4)", "5"},
        {"(signbit -0.0)", "t"},
    };
    CHECK_CONSTANTS(list);
}

static void test_time(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(- date'2020-03-01' date'2020-02-01')", "29"},
        {"(+ date'2020-02-28' 2)", "2020-03-01"},
        {"(+ 2 date'2020-02-28')", "2020-03-01"},
        {"(- date'2020-03-01' 1)", "2020-02-29"},
        {"(+ date'2020-02-28' 9000000000)", "22008 date out of range"},
        {"(+ date'2020-01-31' interval'1 month')", "2020-02-29 00:00:00"},
        {"(+ timestamp'2020-01-31 10:00' interval'1 month 1 hour')", "2020-02-29 11:00:00"},
        {"(- timestamp'2020-03-31' interval'1 month')", "2020-02-29 00:00:00"},
        {"(- timestamp'2020-01-02 03:00' timestamp'2020-01-01')", "1 day 03:00:00"},
        {"(- timestamp'2020-01-01' timestamp'2020-01-02 03:00')", "-1 days -03:00:00"},
        {"(* interval'1 hour' 1.5)", "01:30:00"},
        {"(* 2 interval'1 month 1 day')", "2 mons 2 days"},
        {"(/ interval'1 day' 3)", "08:00:00"},
        {"(/ interval'1 day' 0)", "22012 division by zero"},
        {"(* interval'1 month' 0.5)", "15 days"},
        {"(+ interval'1 hour' interval'30 min')", "01:30:00"},
        {"(- interval'1 day')", "-1 days"},
        {"(> interval'1 month' interval'29 days')", "t"},
        {"(= interval'1 day' interval'24 hours')", "t"},
        {"(age timestamp'2001-04-10' timestamp'1957-06-13')", "43 years 9 mons 27 days"},
        {"(age timestamp'1957-06-13' timestamp'2001-04-10')", "-43 years -9 mons -27 days"},
        {"(age timestamp'2019-12-31')", "1 day"},
        {"(date_trunc 'hour' timestamp'2001-02-16 20:38:40')", "2001-02-16 20:00:00"},
        {"(date_trunc 'MONTH' date'2001-02-16')", "2001-02-01 00:00:00"},
        {"(date_trunc 'hour' interval'3 days 02:47:33')", "3 days 02:00:00"},
        {"(extract 'month' timestamp'2001-02-16 20:38:40')", "2"},
        {"(date_part 'dow' date'2001-02-16')", "5"},
        {"(extract 'epoch' interval'5 days 3 hours')", "442800"},
        {"(extract 'day' timestamp'infinity')", "-"},
        {"(make_date 2013 7 15)", "2013-07-15"},
        {"(make_date 2013 2 30)", "22008 date field value out of range: 2013-02-30"},
        {"(make_timestamp 2013 7 15 8 15 23.5)", "2013-07-15 08:15:23.5"},
        {"(make_interval 1 2 3 4 5 6 7.5)", "1 year 2 mons 25 days 05:06:07.5"},
        {"(date_bin interval'15 min' timestamp'2020-02-11 15:44:17' timestamp'2001-01-01')",
         "2020-02-11 15:30:00"},
        {"(to_timestamp 1284352323)", "2010-09-13 04:32:03"},
        {"(date timestamp'2020-02-03 23:59')", "2020-02-03"},
        {"(cast date timestamp'1969-12-31 23:59')", "1969-12-31"},
        {"(cast timestamp date'2020-02-03')", "2020-02-03 00:00:00"},
        {"(< date'2020-02-03' timestamp'2020-02-03 00:01')", "t"},
        {"(isfinite date'infinity')", "f"},
        {"(isfinite timestamp'2020-01-01')", "t"},
        {"(now)", "2020-01-01 00:00:01"},
        {"(current_date)", "2020-01-01"},
        {"(greatest date'2020-01-01' timestamp'2020-01-01 01:00')", "2020-01-01 01:00:00"},
        {"(to_char timestamp'2021-03-04 15:06:07.089' 'YYYY-MM-DD HH24:MI:SS.MS')",
         "2021-03-04 15:06:07.089"},
        {"(to_char date'2021-03-04' 'FMMonth FMDD, Dy DDD Q IW')", "March 4, Thu 063 1 09"},
        {"(to_char timestamp'2021-03-04 15:06:07' 'HH12:MI am \"at\" MON')", "03:06 pm at MAR"},
        {"(cast interval '90 minutes')", "01:30:00"},
        {"(cast text interval'1 day')", "1 day"},
    };
    CHECK_CONSTANTS(list);
}

static void test_time_of_cells(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"(extract 'month' c5)", "double precision: 1 3 1 12 10"},
        {"(extract 'year' c6)", "double precision: 2020 2020 - 1969 2024"},
        {"(- c6 date'2020-01-01')", "integer: 0 60 - -18263 1738"},
        {"(+ c6 c0)", "date: 2020-01-02 2020-02-27 - 1969-12-31 2025-02-08"},
        {"(date_trunc 'month' c6)", "timestamp: 2020-01-01 00:00:00 2020-03-01 00:00:00 - "
                                    "1969-12-01 00:00:00 2024-10-01 00:00:00"},
        {"(> c5 c6)", "boolean: t t - t t"},
        {"(- c5 interval'1 day')",
         "timestamp: 2019-12-31 00:01:01 2020-02-29 01:01:01 1969-12-31 02:01:01 1969-12-30 "
         "03:01:01 2024-10-03 04:01:01"},
        {"(- c5 c6)", "interval: 00:01:01 01:01:01 - 03:01:01 04:01:01"},
        {"(greatest c5 '2020-02-01')",
         "timestamp: 2020-02-01 00:00:00 2020-03-01 01:01:01 2020-02-01 00:00:00 2020-02-01 "
         "00:00:00 2024-10-04 04:01:01"},
    };
    CHECK_EXAMPLES(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),          cmocka_unit_test(test_text_of_cells),
        cmocka_unit_test(test_numbers),       cmocka_unit_test(test_time),
        cmocka_unit_test(test_time_of_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
