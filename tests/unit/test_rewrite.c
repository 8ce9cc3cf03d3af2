/* Tests of plan rewriting: each rule by the plan that it leaves, and all of them by answers that
 * must not change. */
#include "tests/unit/query_fixture.h"

static const char *const setup[] = {
    "CREATE ARRAY g (t DATE DIMENSION ['2020-01-01' : '2020-03-31' : 1] TILE 16, x DOUBLE "
    "DIMENSION "
    "[-1 : 1 : 0.125] TILE 8, v INTEGER, w REAL, s TEXT)",
    "INSERT INTO g SELECT [t], [x], (#t * 7 + #x * 13) % 50 AS v, #t * x AS w, CASE WHEN #x % 3 = "
    "0 "
    "THEN 'a' WHEN #x % 3 = 1 THEN 'b' END AS s FROM GRID [t => DATE '2020-01-01' : DATE "
    "'2020-03-31', x => -1.0 : 1.0 : 0.125] WHERE (#t + #x) % 5 <> 0",
    "CREATE ARRAY p (x DOUBLE DIMENSION [-2 : 0.5 : 0.125], k INTEGER)",
    "INSERT INTO p SELECT [x], #x AS k FROM GRID [x => -2.0 : 0.5 : 0.125] WHERE #x % 4 <> 1",
    "CREATE ARRAY d (z INTEGER DIMENSION [9 : 0 : -1], u REAL)",
    "INSERT INTO d SELECT [9 - #i AS z], i * 1.5 AS u FROM GRID [i => 0 : 9]",
    "CREATE ARRAY l (name TEXT DIMENSION, q INTEGER)",
    "INSERT INTO l VALUES ('pear', 1), ('apple', 2), ('fig', 3)",
    "CREATE VIEW kelvin AS SELECT [*], w + 273.15 AS k FROM g",
    "CREATE VIEW means AS SELECT [x], avg(v) AS m, count(*) AS n FROM g GROUP BY x",
};

static int open_arrays(void **state)
{
    if (query_open(state) < 0) return -1;
    for (size_t i = 0; i < sizeof setup / sizeof *setup; i++)
        query_must(*state, setup[i]);
    return 0;
}

/* ---- the same answers ---- */

static const char *const queries[] = {
    "SELECT * FROM g WHERE t BETWEEN '2020-02-01' AND '2020-02-10' AND x > 0.5",
    "SELECT v, #t, #x FROM g WHERE x >= -0.25 AND x < 0.25 AND v = 7",
    "SELECT * FROM g WHERE t < '2020-01-05' OR t > '2020-03-25'",
    "SELECT * FROM g WHERE extract(month FROM t) = 2 AND #x % 4 = 1",
    "SELECT * FROM g WHERE x IN (-0.5, 0.5, 7) AND t = '2020-02-29'",
    "SELECT * FROM g WHERE x > 5",
    "SELECT * FROM g WHERE NULL",
    "SELECT k FROM kelvin WHERE k > 290 AND t > '2020-03-20'",
    "SELECT [x], [t], k FROM kelvin[t => '2020-01-10' : '2020-02-10' : 5] WHERE x < 0",
    "SELECT #t, t, #x, w FROM (SELECT * FROM g[t => '2020-01-10' : * : 7]) AS q WHERE t > "
    "'2020-02-01' AND x = 0",
    "SELECT #t, t FROM (SELECT [t], v FROM g[x => 0]) AS q WHERE #t > 20 AND t < '2020-02-01'",
    "SELECT count(*), sum(v) FROM (SELECT [x], [t], v FROM g) AS q WHERE t = '2020-01-07'",
    "SELECT x, m FROM means WHERE x > 0 AND n > 70",
    "SELECT x, avg(v) FROM g GROUP BY x HAVING x < -0.5",
    "SELECT x, count(*) FROM g WHERE x > 0 GROUP BY x",
    "SELECT t - DATE '2020-01-01' AS n, count(*) FROM g WHERE t > '2020-03-01' GROUP BY n ORDER BY "
    "n",
    "SELECT date_trunc('month', t) AS m, x // 0.5 AS h, min(w) FROM g WHERE t > '2020-01-20' GROUP "
    "BY "
    "m, h ORDER BY m, h",
    "SELECT [t], [x], sum(v) FROM g WHERE x > 0 GROUP BY BLOCK [t => 10, x => 4] ORDER BY 1, 2",
    "SELECT s, count(*) FROM g GROUP BY s HAVING s > 'a'",
    "SELECT [s], count(*) AS n FROM g WHERE s IS NOT NULL GROUP BY s",
    "SELECT * FROM (SELECT [s], count(*) AS n FROM g WHERE s IS NOT NULL GROUP BY s) AS q WHERE s "
    "= "
    "'b'",
    "SELECT t, g.x, v, k FROM g NATURAL JOIN p WHERE x < -0.5 AND k > 9 AND v < 10",
    "SELECT t, x, k FROM g LEFT JOIN p USING (x) WHERE t = '2020-01-04' AND x > 0",
    "SELECT t, x FROM g LEFT JOIN p USING (x) WHERE k IS NULL AND t = '2020-01-04'",
    "SELECT a.x, b.x, a.k + b.k FROM p a JOIN p b ON a.k = b.k + 1 AND a.x > b.x AND a.x = b.x",
    "SELECT a.z, b.u FROM d a JOIN d b ON a.z = b.z AND a.u < 9 WHERE b.z > 3 AND b.u + a.u > 2",
    "SELECT z, u FROM d WHERE z BETWEEN 3 AND 6",
    "SELECT z, u FROM d[2 : 8] WHERE z > 4 ORDER BY z DESC",
    "SELECT z FROM d ORDER BY z LIMIT 3",
    "SELECT t, x FROM g ORDER BY t, x LIMIT 5 OFFSET 3",
    "SELECT t, x, v FROM g ORDER BY v DESC, t, x LIMIT 7 OFFSET 2",
    "SELECT * FROM l WHERE name >= 'fig'",
    "SELECT name FROM l ORDER BY name",
    "SELECT a.q, b.q FROM l a JOIN (SELECT [name], q * 10 AS q FROM l WHERE name <> 'fig') b USING "
    "(name)",
    "SELECT DISTINCT s FROM g WHERE s <> 'a'",
    "SELECT * FROM (SELECT DISTINCT s, v FROM g) AS q WHERE v < 3 ORDER BY 1, 2",
    "SELECT y FROM (SELECT v AS y FROM g UNION ALL SELECT k FROM p) AS q WHERE y > 47",
    "SELECT z + 1 AS y FROM (SELECT y AS z FROM (SELECT v * 2 AS y FROM g WHERE x = 0) AS a) AS b "
    "WHERE z > 80",
    "SELECT max(y) FROM (SELECT v * w AS y, s FROM g) AS q WHERE s = 'a'",
    "SELECT x FROM g WHERE v > (SELECT avg(v) + 20 FROM g) AND t = '2020-01-09'",
    "SELECT count(*) FROM g WHERE EXISTS (SELECT 1 FROM p WHERE k = 99)",
    "SELECT 10 // v FROM (SELECT v FROM g WHERE v <> 0) AS q WHERE 10 // v > 2",
    "SELECT [x // 0.5 AS h], [t], avg(v) FROM g WHERE t > '2020-03-28' GROUP BY t, x // 0.5",
    "SELECT [i + j AS n], [i], 1 FROM GRID [i => 0 : 3, j => 0 : 3] WHERE i > j",
    "SELECT count(*) FROM GRID [i => 0 : 999990 : 10] WHERE i = 50 OR i = 55",
    "SELECT x, avg(k) FROM (SELECT [x], v + 0.5 AS k FROM g[t => '2020-01-04']) AS q WHERE x > 0 "
    "GROUP BY x",
    "SELECT * FROM (SELECT t, s, v, sum(v) OVER (PARTITION BY s ORDER BY t, x ROWS 2 PRECEDING) AS "
    "c, rank() OVER (PARTITION BY s, t ORDER BY v) AS r FROM g) AS q WHERE s = 'a' AND v > 2",
    "SELECT t, r FROM (SELECT t, sum(v) OVER (PARTITION BY t) AS c, rank() OVER (ORDER BY v DESC) "
    "AS r FROM g) AS q WHERE t = '2020-02-01'",
    "SELECT * FROM (SELECT [t], [x], lag(v, 1, 0) OVER (PARTITION BY x ORDER BY t) AS c FROM g) AS "
    "q WHERE t = '2020-01-05' AND x > 0",
    "SELECT DISTINCT ON (s) s, v, t FROM g WHERE s > 'a' ORDER BY s, v DESC, t, x",
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Rows as a set: order is the operators' business unless ORDER BY says so. */
static char *sorted_lines(const char *text, bool keep)
{
    char *copy = strdup(text);
    char *lines[20000], *save = NULL, *out = calloc(1, strlen(text) + 2);
    int n = 0;
    for (char *l = strtok_r(copy, "\n", &save); l && n < 20000; l = strtok_r(NULL, "\n", &save))
        lines[n++] = l;
    if (!keep) qsort(lines, (size_t)n, sizeof *lines, by_text);
    char *at = out;
    for (int i = 0; i < n; i++)
        at = stpcpy(stpcpy(at, lines[i]), "\n");
    free(copy);
    return out;
}

static char *answer(struct query_fixture *f, const char *sql, bool on)
{
    query_must(f, on ? "SET optimizer = on" : "SET optimizer = off");
    const char *got = query_run(f, sql);
    if (!got) print_error("%s\n%s\n", sql, f->c.err.message);
    assert_non_null(got);
    return sorted_lines(got, strstr(sql, "ORDER BY") != NULL);
}

static void test_same_answers(void **state)
{
    int wrong = 0, empty = 0;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        char *on = answer(*state, queries[i], true);
        char *off = answer(*state, queries[i], false);
        if (strcmp(on, off)) {
            print_error("%s\non:\n%soff:\n%s", queries[i], on, off);
            wrong++;
        }
        empty += !*on;
        free(on);
        free(off);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(empty, 3); /* the other queries do say something */
}

static void check_answer(struct query_fixture *f, const char *sql, const char *want)
{
    char *got = answer(f, sql, true);
    assert_string_equal(got, want);
    free(got);
}

/* Too long to be walked: the answer comes at once or never. */
static void test_long_dimensions(void **state)
{
    struct query_fixture *f = *state;
    check_answer(f,
                 "SELECT count(*) FROM GRID [i => 0 : 9999999999] WHERE i > 9999999990 AND i <= "
                 "9999999995",
                 "5\n");
    check_answer(f, "SELECT i FROM GRID [i => 0 : 9999999999] WHERE 5 >= i AND #i > 2",
                 "3\n4\n5\n");
    check_answer(f, "SELECT i FROM GRID [i => 0 : 9999999999] WHERE i = 123456789", "123456789\n");
    check_answer(f, "SELECT i FROM GRID [i => 0 : 9999999999] WHERE i + 0.0 = 0.5 AND i < 3", "");
}

/* Shapes of stored results don't depend on the rules either. */
static void test_same_shapes(void **state)
{
    static const char *const selects[] = {
        "SELECT * FROM g WHERE x > 0",
        "SELECT [x // 0.5 AS h], count(*) AS n FROM g WHERE x > 0 GROUP BY x // 0.5",
        "SELECT [t], [x], v FROM g[t => '2020-01-10' : * : 7] WHERE v > 3",
    };
    struct query_fixture *f = *state;
    for (size_t i = 0; i < sizeof selects / sizeof *selects; i++) {
        char sql[512];
        char *cells[2];
        for (int on = 0; on < 2; on++) {
            query_must(f, on ? "SET optimizer = on" : "SET optimizer = off");
            snprintf(sql, sizeof sql, "CREATE OR REPLACE ARRAY made AS %s", selects[i]);
            query_must(f, sql);
            cells[on] = answer(f, "SELECT * FROM made", true);
        }
        assert_string_equal(cells[0], cells[1]);
        free(cells[0]);
        free(cells[1]);
    }
}

/* ---- plans ---- */

struct golden {
    const char *sql, *plan;
};

#include "tests/unit/rewrite_golden.inc"

static void test_plans(void **state)
{
    struct query_fixture *f = *state;
    int wrong = 0;
    query_must(f, "SET optimizer = on");
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
        char sql[1024];
        snprintf(sql, sizeof sql, "EXPLAIN %s", plans[i].sql);
        const char *plan = query_run(f, sql);
        if (plan && !strcmp(plan, plans[i].plan)) continue;
        print_error("%s\n%s\n", plans[i].sql, plan ? plan : f->c.err.message);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_same_answers),
        cmocka_unit_test(test_long_dimensions),
        cmocka_unit_test(test_same_shapes),
    };
    return cmocka_run_group_tests(tests, open_arrays, query_close);
}
