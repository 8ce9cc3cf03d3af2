/* Tests of the binder: what statements become, as plans, and what is wrong with those that become
 * nothing. */
#include "tests/unit/query_fixture.h"

static const char *const setup[] = {
    "CREATE ARRAY sst (time TIMESTAMP DIMENSION ['2020-01-01' : '2020-12-31' : INTERVAL '1 day'] "
    "TILE 8, lat DOUBLE DIMENSION [-89 : 89 : 2] TILE 90, lon DOUBLE DIMENSION [0 : 358 : 2] TILE "
    "90, temp REAL, qc UTINYINT)",
    "CREATE ARRAY half (lat DOUBLE DIMENSION [1 : 89 : 2], lon DOUBLE DIMENSION [0 : 358 : 2], "
    "depth REAL)",
    "CREATE ARRAY off (lat DOUBLE DIMENSION [0 : 88 : 2], m REAL)",
    "CREATE ARRAY down (z INTEGER DIMENSION [10 : 0 : -2], v INTEGER)",
    "CREATE ARRAY shop (name TEXT DIMENSION ('pear', 'apple', 'plum'), price REAL)",
    "CREATE TABLE t (x INTEGER, y TEXT)",
    "CREATE VIEW kelvin AS SELECT [*], temp + 273.15 AS k FROM sst",
    "CREATE VIEW renamed (p, q) AS SELECT [z], v FROM down",
    "CREATE FUNCTION celsius(k) AS k - 273.15",
    "CREATE FUNCTION spread(x) AS max(x) - min(x)",
};

static int open_arrays(void **state)
{
    if (query_open(state) < 0) return -1;
    for (size_t i = 0; i < sizeof setup / sizeof *setup; i++)
        query_must(*state, setup[i]);
    query_must(*state, "SET optimizer = off");
    return 0;
}

struct golden {
    const char *sql, *plan;
};

static void check_plans(struct query_fixture *f, const struct golden *g, size_t n)
{
    int wrong = 0;
    for (size_t i = 0; i < n; i++) {
        char sql[1024];
        snprintf(sql, sizeof sql, "EXPLAIN %s", g[i].sql);
        const char *plan = query_run(f, sql);
        if (plan && !strcmp(plan, g[i].plan)) continue;
        print_error("%s\n%s\n", g[i].sql, plan ? plan : f->c.err.message);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

#define CHECK_PLANS(f, list) check_plans(f, list, sizeof list / sizeof *list)

#include "tests/unit/bind_golden.inc"

/* ---- errors ---- */

struct mistake {
    const char *sql, *sqlstate, *message, *hint; /* hint NULL: none */
    const char *at;                              /* the place starts with this; NULL: none */
};

static const struct mistake mistakes[] = {
    {"SELECT 'abc'::varchar(0)", "22023", "length for type varchar must be at least 1", NULL, "0"},
    {"SELECT * FROM stt", "42P01", "relation \"stt\" does not exist", "Perhaps you meant \"sst\".",
     "stt"},
    {"SELECT tmep FROM sst", "42703", "column \"tmep\" does not exist",
     "Perhaps you meant to reference the column \"sst.temp\".", "tmep"},
    {"SELECT s.tmep FROM sst s", "42703", "column s.tmep does not exist",
     "Perhaps you meant to reference the column \"s.temp\".", "s.tmep"},
    {"SELECT sts.temp FROM sst", "42P01", "missing FROM-clause entry for table \"sts\"",
     "Perhaps you meant to reference the table alias \"sst\".", "sts.temp"},
    {"SELECT lat FROM sst, half", "42702", "column reference \"lat\" is ambiguous", NULL, "lat"},
    {"SELECT 1 FROM sst, sst", "42712", "table name \"sst\" specified more than once", NULL, "sst"},
    {"SELECT * FROM sst[lta => 3]", "42703", "dimension \"lta\" does not exist",
     "Perhaps you meant \"lat\".", "lta"},
    {"SELECT * FROM sst[temp => 3]", "42809", "\"temp\" is an attribute, not a dimension",
     "WHERE selects by attributes.", "temp"},
    {"SELECT * FROM sst[lat => 2]", "2202E", "coordinate 2 is not on dimension \"lat\"",
     "lat => NEAREST 2 takes the nearest cell.", "lat"},
    {"SELECT * FROM sst[#lat => 90]", "2202E", "the position is outside dimension \"lat\"", NULL,
     "#lat"},
    {"SELECT * FROM shop['aple']", "2202E", "coordinate 'aple' is not on dimension \"name\"",
     "Perhaps you meant 'apple'.", "'aple'"},
    {"SELECT * FROM sst[lat => 1 : 9 : 0]", "22023",
     "the step of a slice must be a positive number of cells",
     "It counts cells from the slice's first.", "0]"},
    {"SELECT * FROM sst[lat => 1, 2]", "42601",
     "a dimension without a name cannot follow one with a name", NULL, "2]"},
    {"SELECT * FROM down[DATE '2020-01-01']", "42804",
     "the dimension is of type integer, but the coordinate is of type date", NULL, "DATE"},
    {"SELECT * FROM half NATURAL JOIN off", "22000", NULL, NULL, NULL},
    {"SELECT * FROM sst a ASOF JOIN half b ON a.lat = b.lat", "42601",
     "ASOF JOIN takes one comparison of both sides by >=, >, <= or <, and equalities",
     "FROM a ASOF JOIN b ON a.t >= b.t AND a.k = b.k", "= b.lat"},
    {"SELECT * FROM (SELECT temp FROM sst) a NATURAL JOIN (SELECT temp FROM sst) b", "42809",
     "NATURAL JOIN goes by dimensions of the same name, and there are none",
     "USING (temp) joins by an attribute.", NULL},
    {"SELECT lat, temp FROM sst GROUP BY lat", "42803",
     "column \"sst.temp\" must appear in the GROUP BY clause or be used in an aggregate function",
     NULL, "temp"},
    {"SELECT max(min(temp)) FROM sst", "42803", "aggregate function calls cannot be nested", NULL,
     "min"},
    {"SELECT 1 FROM sst WHERE max(temp) > 1", "42803",
     "aggregate functions are not allowed in WHERE", NULL, "max"},
    {"SELECT avg(temp) AS m FROM sst GROUP BY m", "42803",
     "aggregate functions are not allowed in GROUP BY", NULL, "m"},
    {"SELECT lat FROM sst GROUP BY 2", "42P10", "GROUP BY position 2 is not in select list", NULL,
     "2"},
    {"SELECT lat FROM sst ORDER BY 2", "42P10", "ORDER BY position 2 is not in select list", NULL,
     "2"},
    {"SELECT DISTINCT lat FROM sst ORDER BY lon", "42P10",
     "for SELECT DISTINCT, ORDER BY expressions must appear in select list", NULL, "lon"},
    {"SELECT temp FROM sst WHERE temp", "42804",
     "argument of WHERE must be type boolean, not type real", NULL, "temp"},
    {"SELECT temp FROM sst LIMIT lat", "42P10", "argument of LIMIT must not contain variables",
     NULL, "lat"},
    {"SELECT temp FROM sst LIMIT -1", "2201W", "LIMIT must not be negative", NULL, "-1"},
    {"SELECT 1 UNION ALL SELECT 1, 2", "42601",
     "each UNION query must have the same number of columns", NULL, "SELECT 1, 2"},
    {"SELECT (SELECT 1, 2)", "42601", "subquery must return only one column", NULL, "(SELECT 1, 2"},
    {"SELECT k FROM kelvin WHERE kk > 1", "42703", "column \"kk\" does not exist",
     "Perhaps you meant to reference the column \"kelvin.k\".", "kk"},
    {"SELECT * FROM kelvin VERSION 1", "42809", "\"kelvin\" is a view: only arrays have versions",
     NULL, "kelvin"},
    {"SELECT celsius(1, 2)", "42883", "function celsius takes 1 argument, not 2", NULL, "celsius"},
    {"SELECT * FROM half @ half", "22000",
     "shapes do not chain: dimension \"lon\" of the left has 180 positions from 0, \"lat\" of the "
     "right has 45 from 1",
     "Matrices meet by coordinate: slice or rename so that both have the same ones, or write "
     "sum(a.v "
     "* b.v) over a JOIN.",
     "half"},
    {"SELECT * FROM inverse(half)", "22000", "inverse needs a square matrix, and this is 45 × 180",
     NULL, "half"},
    {"SELECT * FROM pg_catalog.pg_class", "0A000", "the catalog pg_catalog is not available yet",
     NULL, "pg_catalog"},
    {"SELECT * FROM sys.array", "42P01", "relation \"sys.array\" does not exist",
     "Perhaps you meant \"sys.arrays\".", "sys.array"},
    {"INSERT INTO down (z, w) VALUES (1, 2)", "42703",
     "column \"w\" of relation \"down\" does not exist", NULL, "down"},
    {"INSERT INTO down VALUES (1, 2, 3)", "42601",
     "INSERT has more expressions than target columns", NULL, NULL},
    {"INSERT INTO down (v) VALUES (3)", "23502",
     "a coordinate for dimension \"z\" of \"down\" is missing",
     "Every cell needs a coordinate for each dimension.", "down"},
    {"INSERT INTO down VALUES (2, DATE '2020-01-01')", "42804",
     "column \"v\" is of type integer but expression is of type date",
     "You will need to rewrite or cast the expression.", "DATE"},
    {"INSERT INTO down [z => 4 : 0] VALUES (1, 2)", "42601",
     "the bracket has 3 cells, but fewer values are given", NULL, NULL},
    {"UPDATE down SET z = 3", "0A000", "dimension \"z\" cannot be updated",
     "A cell's coordinates are its place: delete it and insert another.", "z"},
    {"UPDATE kelvin SET k = 3", "42809", "\"kelvin\" is a view: it cannot be changed", NULL,
     "kelvin"},
    {"CREATE ARRAY n (v INTEGER)", "42P16", "array \"n\" has no dimension",
     "i INTEGER DIMENSION [0 : 9] makes one; CREATE TABLE needs none.", "n ("},
    {"CREATE ARRAY n (i INTEGER DIMENSION [0 : 9], i REAL)", "42701",
     "column \"i\" specified more than once", NULL, "i REAL"},
    {"CREATE ARRAY n (i INTEGER DIMENSION [0 : 9], v itneger)", "42704",
     "type \"itneger\" does not exist", "Perhaps you meant \"integer\".", "itneger"},
    {"SELECT lat[1 : 2] FROM sst", "42809", NULL, NULL, NULL},
};

static void test_mistakes(void **state)
{
    struct query_fixture *f = *state;
    int wrong = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        const struct mistake *m = &mistakes[i];
        bool passed = !query_run(f, m->sql);
        const struct error *e = &f->c.err;
        passed = passed && !strcmp(status_sqlstate(e->code), m->sqlstate);
        passed = passed && (!m->message || !strcmp(e->message, m->message));
        passed = passed && (!m->message || !strcmp(e->hint, m->hint ? m->hint : ""));
        bool inside = e->position >= 0 && e->position < (int)strlen(m->sql);
        passed = passed && inside;
        passed = passed && (!m->at || !strncmp(m->sql + e->position, m->at, strlen(m->at)));
        if (passed) continue;
        print_error("%s\n  %s: %s\n  hint: %s\n  at %d: %s\n", m->sql, status_sqlstate(e->code),
                    e->message, e->hint, e->position, inside ? m->sql + e->position : "");
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* ---- answers that depend on the binder alone ---- */

static void check_answer(struct query_fixture *f, const char *sql, const char *want)
{
    const char *got = query_run(f, sql);
    if (!got || strcmp(got, want)) print_error("%s\n%s\n", sql, got ? got : f->c.err.message);
    assert_true(got && !strcmp(got, want));
}

static void test_answers(void **state)
{
    struct query_fixture *f = *state;
    check_answer(f, "SELECT #i, i FROM (SELECT [i] FROM GRID [i => 5 : 9])[i => 6 : * : 2]",
                 "1|6\n3|8\n");
    check_answer(f, "SELECT 'abcdef'::varchar(3), CAST('äöü' AS char(2)), 12345::varchar(2)",
                 "abc|äö|12\n");
    check_answer(f, "SELECT celsius(300.0), 2 ^ 3, -9223372036854775808",
                 "26.850000000000023|8|-9223372036854775808\n");
    check_answer(f, "SELECT spread(i) FROM GRID [i => 3 : 9]", "6\n");
    check_answer(f, "SELECT * FROM (VALUES (1, 'a'), (NULL, 'b')) AS v (n, s) ORDER BY n DESC",
                 "NULL|b\n1|a\n");
    check_answer(f, "SELECT NULL UNION ALL SELECT 3 ORDER BY 1", "3\nNULL\n");
    check_answer(f, "WITH q (a) AS (SELECT 2), r AS (SELECT a + 1 AS b FROM q) SELECT * FROM r",
                 "3\n");
    check_answer(f, "SELECT (1, 2) = (1, 2), 3 = ANY (ARRAY[1, 3]), 3 <> ALL (ARRAY[1, 3])",
                 "t|t|f\n");
    check_answer(f, "SELECT [i + 1 AS j], [k], 10 * i + k FROM GRID [k => 0 : 1, i => 0 : 1]",
                 "1|0|0\n1|1|1\n2|0|10\n2|1|11\n");
    check_answer(f, "SELECT DISTINCT i // 2 AS h FROM GRID [i => 0 : 3] ORDER BY h", "0\n1\n");
    check_answer(f,
                 "SELECT a.i, b.j FROM GRID [i => 0 : 1] a LEFT JOIN (SELECT [i], 7 AS j FROM GRID "
                 "[i => 1 : 3]) b USING (i)",
                 "0|NULL\n1|7\n");
    check_answer(f,
                 "SELECT a.i FROM GRID [i => 0 : 3] a LEFT JOIN GRID [i => 1 : 2] b ON a.i = b.i "
                 "WHERE b.i IS NULL",
                 "0\n3\n");
    check_answer(f, "SELECT count(*), count(*) FILTER (WHERE i > 1) FROM GRID [i => 0 : 3]",
                 "4|2\n");
    check_answer(f, "SELECT count(*) FROM GRID [i => 0 : 99] GROUP BY BLOCK [i => 40]",
                 "40\n40\n20\n");
    check_answer(f,
                 "SELECT [d], count(*) FROM GRID [d => DATE '2020-01-30' : DATE '2020-03-02'] "
                 "GROUP BY BLOCK [d => INTERVAL '1 month']",
                 "2020-01-30|30\n2020-02-29|3\n");
    /* Two dimensions of one name, and what is said of columns. */
    check_answer(f,
                 "SELECT i, i_2 FROM (SELECT * FROM GRID [i => 0 : 1] AS a, GRID [i => 5 : 6] AS b)"
                 " ORDER BY i, i_2",
                 "0|5\n0|6\n1|5\n1|6\n");
    query_must(
        f, "COMMENT ON COLUMN half.depth IS 'of the sea'; COMMENT ON COLUMN half.lat IS 'north';"
           "ALTER ARRAY half ALTER COLUMN lon SET (unit = 'degrees');"
           "CREATE ARRAY copied AS SELECT [*], depth AS d FROM half WHERE depth > 0");
    check_answer(f, "SELECT comment FROM sys.attributes WHERE array_name = 'copied'",
                 "of the sea\n");
    check_answer(f, "SELECT name, unit, comment FROM sys.dimensions WHERE array_name = 'copied'",
                 "lat|NULL|north\nlon|degrees|NULL\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sources),  cmocka_unit_test(test_slices),
        cmocka_unit_test(test_joins),    cmocka_unit_test(test_groups),
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_rows),
        cmocka_unit_test(test_mistakes), cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, open_arrays, query_close);
}
