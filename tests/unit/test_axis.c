/* Axes: coordinates and positions invert each other, files' coordinates are recognised, slices are
 * inclusive, axes line up or say why not. */
#include "storage/axis.h"
#include "storage/base/datetime.h"
#include "tests/unit/unit.h"
#include <math.h>

static struct ctx c;

static struct value lit(const char *s)
{
    return (struct value){.type = T_UNKNOWN, .t = {s, (int64_t)strlen(s)}};
}

static struct axis regular(enum type t, const char *lo, const char *hi, const char *step)
{
    struct axis a;
    struct value l = lit(lo), h = hi ? lit(hi) : value_null(t),
                 s = step ? lit(step) : value_null(t);
    ctx_clear(&c);
    assert_int_equal(axis_regular(&c, "x", t, &l, &h, &s, &a), OK);
    return a;
}

static enum status bad_axis(enum type t, const char *lo, const char *hi, const char *step)
{
    struct axis a;
    struct value l = lit(lo), h = lit(hi), s = lit(step);
    ctx_clear(&c);
    return axis_regular(&c, "x", t, &l, &h, &s, &a);
}

static void prints(const struct axis *a, const char *expected)
{
    struct strbuf out = STRBUF_INIT;
    axis_format(a, &out);
    assert_string_equal(out.s, expected);
    strbuf_release(&out);
}

static void test_inverse(void **unused)
{
    (void)unused;
    struct axis axes[] = {
        regular(T_INT32, "0", "99", "1"),
        regular(T_INT64, "10", "-50", "-3"),
        regular(T_UINT8, "0", "250", "5"),
        regular(T_FLOAT64, "-89.875", "89.875", "0.25"),
        regular(T_FLOAT64, "90", "-90", "-0.1"),
        regular(T_FLOAT32, "-179.95", "179.95", "0.1"),
        regular(T_DATE, "2020-01-01", "2021-12-31", "1 day"),
        regular(T_DATE, "2020-01-31", "2021-12-31", "1 month"),
        regular(T_TIMESTAMP, "2020-01-01", NULL, "6 hours"),
        regular(T_TIMESTAMP, "2020-12-15 12:00", "2000-01-15 12:00", "-1 month"),
        regular(T_TIMESTAMP, "2020-02-29", NULL, "1 year"),
    };
    for (size_t k = 0; k < sizeof axes / sizeof *axes; k++) {
        struct axis *a = &axes[k];
        int64_t n = a->grows ? 100 : axis_len(a);
        char column[4096 * 8];
        int64_t pos[4096];
        uint8_t found[4096];
        axis_coords(a, 0, n, 1, column);
        axis_find_many(a, column, n, pos, found);
        for (int64_t p = 0; p < n; p++) {
            struct value v = axis_coord(a, p), w = value_get(a->type, column, p);
            assert_int_equal(value_compare(&v, &w), 0);
            assert_true(found[p] && pos[p] == p);
            bool on;
            int64_t at;
            assert_int_equal(axis_find(&c, a, &v, &on, &at), OK);
            assert_true(on && at == p);
        }
        if (!a->grows) {
            bool on;
            int64_t at;
            struct value before = axis_coord(a, -1), after = axis_coord(a, n);
            if (a->type != T_UINT8) assert_int_equal(axis_find(&c, a, &before, &on, &at), OK);
            if (a->type != T_UINT8) assert_true(!on && at == -1);
            assert_int_equal(axis_find(&c, a, &after, &on, &at), OK);
            assert_true(!on && at == n);
        }
    }
    prints(&axes[0], "[0 : 99]");
    prints(&axes[1], "[10 : -50 : -3]");
    prints(&axes[3], "[-89.875 : 89.875 : 0.25]");
    prints(&axes[5], "[-179.95 : 179.95 : 0.1]");
    prints(&axes[6], "['2020-01-01' : '2021-12-31' : '1 day']");
    prints(&axes[8], "['2020-01-01' : * : '06:00:00']");
}

static void test_between(void **unused)
{
    (void)unused;
    static const struct {
        const char *v;
        int64_t pos;
        bool on;
    } rows[] = {{"0.3", 1, true}, {"0.35", 1, false}, {"-0.01", -1, false}, {"1e30", 0, false}};
    struct axis a = regular(T_FLOAT64, "0.2", "0.9", "0.1");
    bool on;
    int64_t pos;
    for (int i = 0; i < 3; i++) {
        struct value v = lit(rows[i].v);
        assert_int_equal(axis_find(&c, &a, &v, &on, &pos), OK);
        assert_true(on == rows[i].on && (i == 2 ? pos < 0 : pos == rows[i].pos));
    }
    struct value huge = value_double(1e300), nan = value_double(NAN), half = value_double(2.5);
    assert_int_equal(axis_find(&c, &a, &huge, &on, &pos), OK);
    assert_true(!on && pos > 8);
    assert_int_equal(axis_find(&c, &a, &nan, &on, &pos), OK);
    assert_false(on);
    struct axis i = regular(T_INT32, "0", "9", "1"), down = regular(T_INT32, "9", "0", "-1");
    assert_int_equal(axis_find(&c, &i, &half, &on, &pos), OK);
    assert_true(!on && pos == 2);
    assert_int_equal(axis_find(&c, &down, &half, &on, &pos), OK);
    assert_true(!on && pos == 6);
    struct axis day = regular(T_DATE, "2020-01-01", "2020-12-31", "1 day");
    struct value noon = lit("2020-01-02 12:00");
    assert_int_equal(axis_find(&c, &day, &noon, &on, &pos), OK);
    assert_true(!on && pos == 1);
    struct value word = lit("noon");
    assert_int_equal(axis_find(&c, &day, &word, &on, &pos), ERR_DATETIME_FORMAT);
}

static void test_bad(void **unused)
{
    (void)unused;
    assert_int_equal(bad_axis(T_INT32, "0", "10", "3"), ERR_INVALID_DEFINITION);
    assert_string_equal(c.err.hint, "The nearest ones are 9 and 12.");
    assert_int_equal(bad_axis(T_INT32, "0", "10", "-1"), ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_INT32, "0", "10", "0"), ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_FLOAT64, "0", "1", "0.3"), ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_TEXT, "a", "b", "1"), ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_DATE, "2020-01-01", "2020-01-02", "1 hour"),
                     ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_DATE, "2020-01-01", "2020-03-02", "1 month 1 day"),
                     ERR_INVALID_DEFINITION);
    assert_int_equal(bad_axis(T_DATE, "infinity", "2020-03-02", "1 day"), ERR_INVALID_DEFINITION);
}

/* Slice bounds as text, NULL for '*'. */
static void slices(const struct axis *a, const char *lo, const char *hi, int64_t from, int64_t to)
{
    struct value l = lit(lo ? lo : ""), h = lit(hi ? hi : "");
    int64_t x, y;
    ctx_clear(&c);
    assert_int_equal(axis_slice(&c, a, "x", lo ? &l : NULL, hi ? &h : NULL, &x, &y), OK);
    assert_int_equal(y - x, to - from);
    if (to > from) assert_int_equal(x, from);
}

static void test_slice(void **unused)
{
    (void)unused;
    struct axis up = regular(T_FLOAT64, "0", "10", "0.5"),
                down = regular(T_FLOAT64, "10", "0", "-0.5");
    slices(&up, "1", "2", 2, 5);
    slices(&up, "0.9", "2.1", 2, 5);
    slices(&up, "2", "1", 0, 0);
    slices(&up, "1.1", "1.2", 0, 0);
    slices(&up, NULL, "1", 0, 3);
    slices(&up, "9", NULL, 18, 21);
    slices(&up, "-100", "100", 0, 21);
    slices(&up, "11", "12", 0, 0);
    slices(&down, "1", "2", 16, 19);
    slices(&down, "2", "1", 16, 19);
    slices(&down, "0.9", "2.1", 16, 19);
    slices(&down, "1.9", "2", 16, 17);
    slices(&down, NULL, "9", 0, 3);
    struct axis day = regular(T_TIMESTAMP, "2020-01-01", "2020-12-31", "1 day");
    slices(&day, "2020-06-01", "2020-08-31", 152, 244);
    slices(&day, "2020-06-01 01:00", "2020-06-02 23:00", 153, 154);

    struct value depths[] = {value_int(T_INT32, 0), value_int(T_INT32, 10), value_int(T_INT32, 50)};
    struct axis depth;
    assert_int_equal(axis_labelled(&c, "depth", T_FLOAT64, depths, 3, false, &depth), OK);
    prints(&depth, "(0, 10, 50)");
    slices(&depth, "5", "50", 1, 3);
    slices(&depth, "11", "49", 0, 0);
    slices(&depth, NULL, "10", 0, 2);
    struct value falling[] = {value_double(100), value_double(75), value_double(50)};
    assert_int_equal(axis_labelled(&c, "p", T_FLOAT64, falling, 3, false, &depth), OK);
    assert_true(axis_descending(&depth));
    slices(&depth, "70", "75", 1, 2);
    slices(&depth, "60", "100", 0, 2);
    slices(&depth, "100", "60", 0, 2);
    struct value names[] = {value_text("zurich"), value_text("bern"), value_text("chur")};
    struct axis city;
    assert_int_equal(axis_labelled(&c, "city", T_TEXT, names, 3, true, &city), OK);
    prints(&city, "('zurich', 'bern', 'chur', *)");
    slices(&city, "zurich", "bern", 0, 2);
    slices(&city, "bern", NULL, 1, 3);
    struct value basel = lit("basel");
    int64_t x, y;
    assert_int_equal(axis_slice(&c, &city, "city", &basel, NULL, &x, &y), ERR_OUT_OF_BOUNDS);
    ctx_clear(&c);
    names[2] = names[0];
    assert_int_equal(axis_labelled(&c, "city", T_TEXT, names, 3, true, &city), ERR_DUPLICATE_CELL);
}

static int64_t nearest(const struct axis *a, const char *at, const char *tolerance)
{
    struct value v = lit(at), t = lit(tolerance ? tolerance : "");
    int64_t pos = -99;
    ctx_clear(&c);
    axis_nearest(&c, a, "x", &v, tolerance ? &t : NULL, &pos);
    return pos;
}

static void test_nearest(void **unused)
{
    (void)unused;
    struct axis lat = regular(T_FLOAT64, "-89.75", "89.75", "0.5");
    assert_int_equal(nearest(&lat, "47.4", NULL), 274);
    assert_int_equal(nearest(&lat, "-89.5", NULL), 0);
    assert_int_equal(nearest(&lat, "1000", NULL), 359);
    assert_int_equal(nearest(&lat, "47.4", "0.15"), 274);
    assert_int_equal(nearest(&lat, "47.4", "0.1"), -99);
    assert_int_equal(c.err.code, ERR_OUT_OF_BOUNDS);
    assert_string_equal(c.err.hint, "The nearest one is 47.25.");
    struct axis day = regular(T_TIMESTAMP, "2020-01-01", "2020-12-31", "1 day");
    assert_int_equal(nearest(&day, "2020-01-02 11:00", "12 hours"), 1);
    assert_int_equal(nearest(&day, "2020-01-02 13:00", "1 hour"), -99);
    struct value list[] = {value_double(3), value_double(1), value_double(2)};
    struct axis mixed;
    ctx_clear(&c);
    assert_int_equal(axis_labelled(&c, "m", T_FLOAT64, list, 3, false, &mixed), OK);
    assert_int_equal(nearest(&mixed, "1.4", NULL), 1);
    assert_int_equal(nearest(&mixed, "2.5", NULL), 0);
}

static struct axis from(enum type t, const void *coords, int64_t n)
{
    struct axis a;
    ctx_clear(&c);
    assert_int_equal(axis_from_coords(&c, "x", t, coords, n, false, &a), OK);
    assert_int_equal(axis_len(&a), n);
    return a;
}

static void test_from_coords(void **unused)
{
    (void)unused;
    double d[1440];
    float f[1440];
    int64_t t[60];
    struct axis a;
    for (int i = 0; i < 90; i++)
        d[i] = -89 + 2 * i;
    a = from(T_FLOAT64, d, 90);
    prints(&a, "[-89 : 89 : 2]");
    for (int i = 0; i < 1440; i++)
        f[i] = (float)(d[i] = 0.125 + 0.25 * i);
    a = from(T_FLOAT64, d, 1440);
    prints(&a, "[0.125 : 359.875 : 0.25]");
    for (int i = 0; i < 180; i++)
        d[i] = 20.5 + i;
    a = from(T_FLOAT64, d, 180);
    prints(&a, "[20.5 : 199.5 : 1]");
    /* Rounded sums, rounded to float, and float kept in double. */
    for (int i = 0; i < 1440; i++) {
        d[i] = -180 + 0.1 * i;
        f[i] = (float)(-179.95 + i * 0.1);
    }
    a = from(T_FLOAT64, d, 1440);
    prints(&a, "[-180 : -36.1 : 0.1]");
    a = from(T_FLOAT32, f, 1440);
    prints(&a, "[-179.95 : -36.05 : 0.1]");
    for (int i = 0; i < 1440; i++)
        d[i] = (double)f[i];
    a = from(T_FLOAT64, d, 1440);
    prints(&a, "[-179.95 : -36.05 : 0.1]");
    double sum = -1;
    for (int i = 0; i < 21; i++, sum += 0.1)
        d[i] = sum;
    a = from(T_FLOAT64, d, 11);
    assert_int_equal(a.kind, AXIS_REGULAR);
    /* Falling, uneven, single, a third. */
    for (int i = 0; i < 11; i++)
        d[i] = 90 - 18 * i;
    a = from(T_FLOAT64, d, 11);
    prints(&a, "[90 : -90 : -18]");
    d[3] += 0.001;
    assert_int_equal(from(T_FLOAT64, d, 11).kind, AXIS_LABELLED);
    assert_int_equal(from(T_FLOAT64, d, 1).kind, AXIS_LABELLED);
    for (int i = 0; i < 1080; i++)
        d[i] = i / 3.0;
    assert_int_equal(from(T_FLOAT64, d, 1080).kind, AXIS_LABELLED);

    for (int i = 0; i < 60; i++)
        t[i] = us_add_months(days_from_civil(2001, 1, 31) * US_PER_DAY, i);
    a = from(T_TIMESTAMP, t, 60);
    prints(&a, "['2001-01-31' : '2005-12-31' : '1 mon']");
    for (int i = 0; i < 60; i++)
        t[i] = INT64_C(3600000000) * 6 * i;
    a = from(T_TIMESTAMP, t, 60);
    prints(&a, "['1970-01-01' : '1970-01-15 18:00:00' : '06:00:00']");
    t[5]++;
    assert_int_equal(from(T_TIMESTAMP, t, 60).kind, AXIS_LABELLED);
    t[5] = t[4];
    assert_int_equal(axis_from_coords(&c, "x", T_TIMESTAMP, t, 60, false, &a), ERR_DUPLICATE_CELL);
    ctx_clear(&c);
    int64_t by_ten[] = {10, 20, 30};
    a = from(T_INT64, by_ten, 3);
    prints(&a, "[10 : 30 : 10]");
}

static enum status align(const struct axis *a, const struct axis *b, int64_t *shift, int64_t **map)
{
    ctx_clear(&c);
    return axis_align(&c, a, "a.x", b, "b.x", shift, map);
}

static void test_align(void **unused)
{
    (void)unused;
    int64_t shift, *map;
    struct axis a = regular(T_FLOAT64, "0", "10", "0.25"),
                b = regular(T_FLOAT32, "-5", "90", "0.25");
    assert_int_equal(align(&a, &b, &shift, &map), OK);
    assert_int_equal(shift, 20);
    b = regular(T_FLOAT64, "0", "9", "0.3");
    assert_int_equal(align(&a, &b, &shift, &map), ERR_AXIS_MISMATCH);
    assert_string_equal(c.err.message, "a.x and b.x do not line up: step 0.25 against 0.3");
    b = regular(T_FLOAT64, "0.125", "9.125", "0.25");
    assert_int_equal(align(&a, &b, &shift, &map), ERR_AXIS_MISMATCH);
    assert_string_equal(c.err.message,
                        "a.x and b.x do not line up: first coordinate 0 against 0.125");
    struct axis i = regular(T_INT32, "3", "9", "1"), f = regular(T_FLOAT64, "0", "9", "1");
    assert_int_equal(align(&i, &f, &shift, &map), OK);
    assert_int_equal(shift, 3);
    struct axis m1 = regular(T_TIMESTAMP, "2001-03-01", NULL, "1 month");
    struct axis m2 = regular(T_DATE, "2000-01-01", "2009-12-01", "1 month");
    assert_int_equal(align(&m1, &m2, &shift, &map), OK);
    assert_int_equal(shift, 14);
    m2 = regular(T_DATE, "2000-01-02", "2009-12-02", "1 month");
    assert_int_equal(align(&m1, &m2, &shift, &map), ERR_AXIS_MISMATCH);
    struct value labels[] = {value_double(2), value_double(7.5), value_double(4)};
    struct axis l;
    ctx_clear(&c);
    assert_int_equal(axis_labelled(&c, "l", T_FLOAT64, labels, 3, false, &l), OK);
    assert_int_equal(align(&l, &i, &shift, &map), OK);
    assert_true(map[0] == -1 && map[1] == -1 && map[2] == 1);
    assert_int_equal(align(&i, &l, &shift, &map), OK);
    assert_true(map[0] == -1 && map[1] == 2);
    struct value words[] = {value_text("a")};
    struct axis t;
    assert_int_equal(axis_labelled(&c, "t", T_TEXT, words, 1, false, &t), OK);
    assert_int_equal(align(&i, &t, &shift, &map), ERR_AXIS_MISMATCH);
}

static void test_rebase(void **unused)
{
    (void)unused;
    struct axis a = regular(T_FLOAT64, "-89.875", "89.875", "0.25"), r;
    ctx_clear(&c);
    assert_int_equal(axis_rebase(&c, &a, 3, 10, 2, &r), OK);
    prints(&r, "[-89.125 : -84.625 : 0.5]");
    a = regular(T_DATE, "2020-01-31", "2020-12-31", "1 month");
    /* What stands where a value is NULL may be any bytes. */
    const int32_t any[4] = {INT32_MIN + 1, INT32_MAX - 1, -106751991, 106751991};
    int64_t at[4];
    uint8_t found[4];
    axis_find_many(&a, any, 4, at, found);
    for (int i = 0; i < 4; i++)
        assert_false(found[i]);
    assert_int_equal(axis_rebase(&c, &a, 1, 3, 1, &r), OK);
    prints(&r, "('2020-02-29', '2020-03-31', '2020-04-30')");
    assert_int_equal(axis_rebase(&c, &a, 2, 3, 2, &r), OK);
    prints(&r, "['2020-03-31' : '2020-07-31' : '2 mons']");
    struct axis again;
    struct value v[] = {value_text("c"), value_text("a"), value_text("b"), value_text("d")};
    assert_int_equal(axis_labelled(&c, "t", T_TEXT, v, 4, true, &a), OK);
    assert_int_equal(axis_rebase(&c, &a, 1, 2, 2, &again), OK);
    prints(&again, "('a', 'd')");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inverse), cmocka_unit_test(test_between),
        cmocka_unit_test(test_bad),     cmocka_unit_test(test_slice),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_from_coords),
        cmocka_unit_test(test_align),   cmocka_unit_test(test_rebase)};
    c.arena = arena_new();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(c.arena);
    return failed;
}
