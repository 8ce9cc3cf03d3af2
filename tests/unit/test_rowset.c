/* Do rowsets give back what was put in, and sort as a simple sort of values does, in memory and
 * when everything is spilled? */
#include "query/rowset.h"
#include "storage/base/pool.h"
#include "storage/base/value.h"
#include "unit.h"
#include <math.h>
#include <stdlib.h>

struct fixture {
    struct budget budget;
    struct counters counters;
    struct ctx c;
};

static void start(struct fixture *f, int64_t limit_bytes)
{
    memset(f, 0, sizeof *f);
    budget_init(&f->budget, NULL, limit_bytes);
    f->c.arena = arena_new();
    f->c.budget = &f->budget;
    f->c.scratch = scratch_new(&f->budget);
    f->c.counters = &f->counters;
    f->c.err.position = -1;
}

static void stop(struct fixture *f)
{
    scratch_free(f->c.scratch);
    arena_free(f->c.arena);
    assert_int_equal(atomic_load(&f->budget.used_bytes), 0);
}

static void ok(struct fixture *f, enum status s)
{
    if (s != OK) print_error("%s\n", f->c.err.message);
    assert_int_equal(s, OK);
}

static uint64_t seed = 1;
static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545F4914F6CDD1D);
}

static const enum type TYPES[] = {T_BOOL,   T_INT8,    T_INT16,   T_INT32, T_INT64,     T_UINT8,
                                  T_UINT16, T_UINT32,  T_UINT64,  T_DATE,  T_TIMESTAMP, T_INTERVAL,
                                  T_TEXT,   T_FLOAT32, T_FLOAT64, T_INT64};
#define N_COLS 16

/* A random value of few or many distinct ones; the oracle's copy lives in the arena. */
static struct value random_value(struct arena *a, enum type t)
{
    struct value v = {.type = t, .null = rnd() % 7 == 0};
    bool few = rnd() % 2;
    int64_t x = few ? (int64_t)(rnd() % 5) : (int64_t)rnd();
    static const double odd[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 1.5};
    switch (t) {
    case T_BOOL:
        v.i = x & 1;
        break;
    case T_INT8:
        v.i = (int8_t)x;
        break;
    case T_INT16:
        v.i = (int16_t)x;
        break;
    case T_INT32:
    case T_DATE:
        v.i = (int32_t)x;
        break;
    case T_UINT8:
        v.u = (uint8_t)x;
        break;
    case T_UINT16:
        v.u = (uint16_t)x;
        break;
    case T_UINT32:
        v.u = (uint32_t)x;
        break;
    case T_UINT64:
        v.u = (uint64_t)x;
        break;
    case T_FLOAT32:
    case T_FLOAT64:
        v.d = few ? odd[rnd() % 6] : (double)(float)(int32_t)x / 1000.0;
        if (t == T_FLOAT32) v.d = (double)(float)v.d;
        break;
    case T_INTERVAL:
        v.iv = (struct interval){(int64_t)(rnd() % 100), (int32_t)(rnd() % 40), (int32_t)(x % 3)};
        break;
    case T_TEXT:
        v.t.s = arena_printf(a, few ? "k%lld" : "a rather longer text %lld", (long long)x % 1000);
        v.t.len = (int64_t)strlen(v.t.s) - (int64_t)(rnd() % 3);
        break;
    default:
        v.i = x;
        break;
    }
    return v;
}

/* The last column numbers the rows. */
static struct value *random_rows(struct fixture *f, int64_t n)
{
    struct value *v = arena_array(f->c.arena, struct value, n * N_COLS);
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < N_COLS; k++)
            v[i * N_COLS + k] =
                k == N_COLS - 1 ? value_int(T_INT64, i) : random_value(f->c.arena, TYPES[k]);
    return v;
}

static void columns_of(struct fixture *f, const struct value *v, int64_t n, struct column *cols)
{
    for (int k = 0; k < N_COLS; k++) {
        ok(f, column_alloc(&f->c, TYPES[k], n, &cols[k]));
        for (int64_t i = 0; i < n; i++) {
            const struct value *x = &v[i * N_COLS + k];
            if (x->null) {
                ok(f, column_need_valid(&f->c, &cols[k], n));
                bit_clear(cols[k].valid, i);
                if (TYPES[k] != T_TEXT)
                    memset((char *)cols[k].values + (size_t)i * type_bytes(TYPES[k]), 0xff,
                           type_bytes(TYPES[k]));
            } else {
                value_put(x, cols[k].values, i);
            }
        }
    }
}

static struct rowset *filled(struct fixture *f, const struct value *v, int64_t n)
{
    struct rowset *r;
    ok(f, rowset_new(&f->c, TYPES, N_COLS, "/tmp", &r));
    for (int64_t at = 0; at < n;) {
        int64_t m = (int64_t)(rnd() % 700) + 1;
        if (m > n - at) m = n - at;
        struct scratch_mark mark = scratch_mark(f->c.scratch);
        struct column cols[N_COLS];
        columns_of(f, v + at * N_COLS, m, cols);
        if (rnd() % 2) {
            int64_t sel[800];
            for (int64_t i = 0; i < m; i++)
                sel[i] = i;
            ok(f, rowset_append(&f->c, r, cols, sel, m));
        } else {
            ok(f, rowset_append(&f->c, r, cols, NULL, m));
        }
        scratch_release(f->c.scratch, mark);
        at += m;
    }
    assert_int_equal(rowset_rows(r), n);
    return r;
}

static bool same(const struct value *v, const struct column *col, int64_t i)
{
    if (v->null || column_is_null(col, i)) return v->null && column_is_null(col, i);
    struct value got = value_get(col->type, col->values, i);
    return value_compare(v, &got) == 0;
}

static void check_rows(struct fixture *f, const struct rowset *r, const struct value *v,
                       const int64_t *order, int64_t n)
{
    for (int64_t lo = 0; lo < n;) {
        int64_t hi = lo + 1 + (int64_t)(rnd() % 900);
        if (hi > n) hi = n;
        struct scratch_mark mark = scratch_mark(f->c.scratch);
        struct column cols[N_COLS], two[2];
        const int which[2] = {12, 3};
        ok(f, rowset_read(&f->c, r, lo, hi, NULL, 0, cols));
        ok(f, rowset_read(&f->c, r, lo, hi, which, 2, two));
        for (int64_t i = lo; i < hi; i++) {
            const struct value *want = v + (order ? order[i] : i) * N_COLS;
            for (int k = 0; k < N_COLS; k++)
                assert_true(same(&want[k], &cols[k], i - lo));
            assert_true(same(&want[12], &two[0], i - lo));
            assert_true(same(&want[3], &two[1], i - lo));
        }
        scratch_release(f->c.scratch, mark);
        lo = hi;
    }
}

static const struct value *oracle_rows;
static const struct rowset_key *oracle_keys;
static int oracle_n_keys;

static int oracle_compare(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    for (int k = 0; k < oracle_n_keys; k++) {
        const struct rowset_key *key = &oracle_keys[k];
        const struct value *x = &oracle_rows[a * N_COLS + key->column];
        const struct value *y = &oracle_rows[b * N_COLS + key->column];
        if (x->null != y->null) return x->null == key->nulls_first ? -1 : 1;
        int r = x->null ? 0 : value_compare(x, y);
        if (r) return key->desc ? -r : r;
    }
    return a < b ? -1 : a > b;
}

static void sort_and_check(struct fixture *f, struct rowset *r, const struct value *v, int64_t n,
                           const struct rowset_key *keys, int n_keys, int64_t limit)
{
    int64_t *order = malloc((size_t)(n + 1) * sizeof *order);
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    oracle_rows = v;
    oracle_keys = keys;
    oracle_n_keys = n_keys;
    qsort(order, (size_t)n, sizeof *order, oracle_compare);
    struct rowset *sorted;
    ok(f, rowset_sort(&f->c, r, keys, n_keys, limit, &sorted));
    int64_t want = limit >= 0 && limit < n ? limit : n;
    assert_int_equal(rowset_rows(sorted), want);
    check_rows(f, sorted, v, order, want);
    rowset_free(sorted);
    free(order);
}

static void round_trip(int64_t n, int64_t limit_bytes, bool spills)
{
    struct fixture f;
    start(&f, limit_bytes);
    struct value *v = random_rows(&f, n);
    struct rowset *r = filled(&f, v, n);
    check_rows(&f, r, v, NULL, n);
    for (int k = 0; k < N_COLS; k++) {
        struct rowset_key key = {.column = k, .desc = k & 1, .nulls_first = k & 2};
        sort_and_check(&f, r, v, n, &key, 1, -1);
    }
    struct rowset_key keys[3];
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 3; k++)
            keys[k] = (struct rowset_key){(int)(rnd() % N_COLS), rnd() % 2, rnd() % 2};
        sort_and_check(&f, r, v, n, keys, 3, i % 3 ? -1 : (int64_t)(rnd() % 50));
    }
    rowset_free(r);
    assert_int_equal(atomic_load(&f.counters.bytes_spilled) > 0, spills);
    stop(&f);
}

static void in_memory(void **state)
{
    (void)state;
    round_trip(0, 0, false);
    round_trip(1, 0, false);
    round_trip(3000, 0, false);
}

static void spilled(void **state)
{
    (void)state;
    round_trip(20000, 6 << 20, true);
}

/* Texts that are many times as long as a row's other columns. */
static void long_texts(void **state)
{
    (void)state;
    enum { ROWS = 2600, LENGTH = 6000 };
    struct fixture f;
    start(&f, 4 << 20);
    const enum type t = T_TEXT;
    struct rowset *r, *sorted;
    struct column col;
    struct text *texts = malloc(sizeof *texts * ROWS);
    char *bytes = malloc((size_t)ROWS * LENGTH);
    for (int i = 0; i < ROWS; i++) {
        texts[i] = (struct text){bytes + (size_t)i * LENGTH, i % 7 ? LENGTH - i : 1};
        memset(bytes + (size_t)i * LENGTH, 'a' + i % 26, LENGTH);
    }
    ok(&f, rowset_new(&f.c, &t, 1, "/tmp", &r));
    col = (struct column){.type = T_TEXT, .values = texts};
    ok(&f, rowset_append(&f.c, r, &col, NULL, ROWS));
    assert_true(rowset_text_bytes(r) > 4000);
    assert_true(atomic_load(&f.counters.bytes_spilled) > 0);
    struct rowset_key key = {.column = 0, .desc = true};
    ok(&f, rowset_sort(&f.c, r, &key, 1, -1, &sorted));
    for (int i = 0; i < ROWS; i++) {
        struct scratch_mark mark = scratch_mark(f.c.scratch);
        struct column in, out;
        ok(&f, rowset_read(&f.c, r, i, i + 1, NULL, 0, &in));
        ok(&f, rowset_read(&f.c, sorted, i, i + 1, NULL, 0, &out));
        const struct text *got = in.values, *first = out.values;
        assert_int_equal(got->len, texts[i].len);
        assert_memory_equal(got->s, texts[i].s, (size_t)got->len);
        assert_int_equal(first->s[0], 'z' - i / (ROWS / 26));
        scratch_release(f.c.scratch, mark);
    }
    rowset_free(sorted);
    rowset_free(r);
    free(texts);
    free(bytes);
    stop(&f);
}

struct appenders {
    struct rowset *r;
};

static enum status append_task(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)worker;
    struct appenders *a = self;
    struct column col;
    TRY(column_alloc(c, T_INT64, 100, &col));
    for (int64_t i = 0; i < 100; i++)
        ((int64_t *)col.values)[i] = task * 100 + i;
    return rowset_append(c, a->r, &col, NULL, 100);
}

static void parallel(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 8 << 20);
    f.c.pool = pool_new(4);
    const enum type t = T_INT64;
    struct appenders a;
    ok(&f, rowset_new(&f.c, &t, 1, "/tmp", &a.r));
    ok(&f, pool_run(&f.c, 3000, 0, append_task, &a));
    assert_int_equal(rowset_rows(a.r), 300000);
    struct rowset *sorted;
    struct rowset_key key = {.column = 0, .desc = true};
    ok(&f, rowset_sort(&f.c, a.r, &key, 1, -1, &sorted));
    for (int64_t lo = 0; lo < 300000; lo += 1000) {
        struct column in, out;
        struct scratch_mark mark = scratch_mark(f.c.scratch);
        ok(&f, rowset_read(&f.c, a.r, lo, lo + 1000, NULL, 0, &in));
        ok(&f, rowset_read(&f.c, sorted, lo, lo + 1000, NULL, 0, &out));
        for (int64_t i = 0; i < 1000; i++) {
            const int64_t *v = in.values;
            assert_int_equal(v[i] - v[i - i % 100], i % 100); /* rows of one call are together */
            assert_int_equal(((int64_t *)out.values)[i], 299999 - lo - i);
        }
        scratch_release(f.c.scratch, mark);
    }
    rowset_free(sorted);
    rowset_free(a.r);
    pool_free(f.c.pool);
    stop(&f);
}

static void refused(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 0);
    const enum type t = T_INT64;
    struct rowset *r;
    struct column col;
    ok(&f, column_alloc(&f.c, T_INT64, 1000, &col));
    memset(col.values, 0, 8000);
    ok(&f, rowset_new(&f.c, &t, 1, "/nonexistent", &r));
    f.budget.limit_bytes = atomic_load(&f.budget.used_bytes) + 1;
    assert_int_equal(rowset_append(&f.c, r, &col, NULL, 1000), ERR_MEMORY);
    rowset_free(r);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_memory), cmocka_unit_test(spilled), cmocka_unit_test(long_texts),
        cmocka_unit_test(parallel),  cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
