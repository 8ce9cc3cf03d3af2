/* Does a lookup find the rows that have a key and no others: in memory, on disk with a byte of each
 * key in memory, and on disk without? */
#include "query/lookup.h"
#include "storage/base/value.h"
#include "unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct budget budget;
    struct ctx c;
};

static void start(struct fixture *f, int64_t limit_bytes)
{
    memset(f, 0, sizeof *f);
    budget_init(&f->budget, NULL, limit_bytes);
    f->c.arena = arena_new();
    f->c.budget = &f->budget;
    f->c.scratch = scratch_new(&f->budget);
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

static struct lookup_key key_of(struct fixture *f, const struct lookup *l,
                                const struct operand *args, int n)
{
    uint64_t todo = 1;
    struct lookup_key key;
    ok(f, lookup_keys(&f->c, args, n, &todo, 1, lookup_seed(l), &key));
    return key;
}

static int64_t find_number(struct fixture *f, const struct lookup *l, int64_t x)
{
    struct operand arg = {.values = &x, .type = T_INT64};
    int64_t row;
    struct scratch_mark mark = scratch_mark(f->c.scratch);
    ok(f, lookup_find(&f->c, l, key_of(f, l, &arg, 1), &row));
    scratch_release(f->c.scratch, mark);
    return row;
}

/* Rows of keys 3 × i and values -i. */
static void numbers(int64_t limit_bytes, int64_t n)
{
    struct fixture f;
    start(&f, limit_bytes);
    enum type t = T_INT64;
    struct lookup *l;
    ok(&f, lookup_new(&f.c, &t, 1, "/tmp", &l));
    for (int64_t at = 0; at < n; at += 5000) {
        struct column cols[2];
        struct scratch_mark mark = scratch_mark(f.c.scratch);
        for (int k = 0; k < 2; k++)
            ok(&f, column_alloc(&f.c, T_INT64, 5000, &cols[k]));
        for (int64_t i = 0; i < 5000; i++) {
            ((int64_t *)cols[0].values)[i] = 3 * (at + i);
            ((int64_t *)cols[1].values)[i] = -(at + i);
        }
        ok(&f, lookup_add(&f.c, l, cols, 1, cols + 1, NULL, 5000));
        scratch_release(f.c.scratch, mark);
    }
    ok(&f, lookup_seal(&f.c, l));
    for (int64_t i = 0; i < n; i += 1 + n / 5000) {
        struct value v;
        int64_t row = find_number(&f, l, 3 * i);
        assert_true(row >= 0);
        struct scratch_mark mark = scratch_mark(f.c.scratch);
        ok(&f, lookup_value(&f.c, l, row, 0, &v));
        scratch_release(f.c.scratch, mark);
        assert_int_equal(v.i, -i);
        assert_int_equal(find_number(&f, l, 3 * i + 1), -1);
    }
    assert_int_equal(find_number(&f, l, -3), -1);
    assert_int_equal(find_number(&f, l, 3 * n), -1);
    lookup_free(l);
    stop(&f);
}

static void test_numbers(void **state)
{
    (void)state;
    numbers(0, 5000);
    numbers(4 << 20, 200000);  /* a byte of each key in memory */
    numbers(4 << 20, 1500000); /* pages only */
}

/* Keys of a number and a text, texts as values; NULL, NaN and -0.0. */
static void test_mixed(void **state)
{
    (void)state;
    for (int64_t limit = 0; limit <= 4 << 20; limit += 4 << 20) {
        struct fixture f;
        enum { N = 1000 };
        int64_t rounds = limit ? 80 : 1;
        start(&f, limit);
        enum type t = T_TEXT;
        struct lookup *l;
        ok(&f, lookup_new(&f.c, &t, 1, "/tmp", &l));
        for (int64_t r = 0; r < rounds; r++) {
            struct column cols[3];
            struct scratch_mark mark = scratch_mark(f.c.scratch);
            ok(&f, column_alloc(&f.c, T_FLOAT64, N, &cols[0]));
            ok(&f, column_alloc(&f.c, T_TEXT, N, &cols[1]));
            ok(&f, column_alloc(&f.c, T_TEXT, N, &cols[2]));
            ok(&f, column_need_valid(&f.c, &cols[1], N));
            for (int64_t i = 0; i < N; i++) {
                char *s = arena_printf(f.c.arena, "key %d", (int)(i % 10));
                char *v = arena_printf(f.c.arena, "value %d", (int)(r * N + i));
                ((double *)cols[0].values)[i] = i == 1 ? NAN : i == 0 ? -0.0 : (double)(r * N + i);
                ((struct text *)cols[1].values)[i] = (struct text){s, (int64_t)strlen(s)};
                ((struct text *)cols[2].values)[i] = (struct text){v, (int64_t)strlen(v)};
            }
            bit_clear(cols[1].valid, 2);
            if (r) bit_clear(cols[1].valid, 0);
            ok(&f, lookup_add(&f.c, l, cols, 2, cols + 2, NULL, N));
            scratch_release(f.c.scratch, mark);
        }
        ok(&f, lookup_seal(&f.c, l));
        for (int64_t i = 0; i < N * rounds; i += 7) {
            double x = (double)i;
            char s[32], want[32];
            snprintf(s, sizeof s, "key %d", (int)(i % N % 10));
            snprintf(want, sizeof want, "value %d", (int)i);
            struct text text = {s, (int64_t)strlen(s)};
            struct operand args[2] = {{.values = &x, .type = T_FLOAT64},
                                      {.values = &text, .type = T_TEXT}};
            int64_t row;
            struct value v;
            ok(&f, lookup_find(&f.c, l, key_of(&f, l, args, 2), &row));
            bool left_out = i % N == 1 || i % N == 2 || (i && i % N == 0);
            assert_int_equal(row >= 0, !left_out);
            if (left_out) continue;
            ok(&f, lookup_value(&f.c, l, row, 0, &v));
            assert_int_equal(v.t.len, strlen(want));
            assert_memory_equal(v.t.s, want, strlen(want));
            text.len--;
            ok(&f, lookup_find(&f.c, l, key_of(&f, l, args, 2), &row));
            assert_int_equal(row, -1);
        }
        lookup_free(l);
        stop(&f);
    }
}

/* A key that comes twice: found when only that is asked, an error when its value is. */
static void test_twice(void **state)
{
    (void)state;
    for (int n_values = 0; n_values < 2; n_values++) {
        struct fixture f;
        start(&f, 0);
        enum type t = T_INT32;
        struct lookup *l;
        int32_t x[4] = {5, 7, 5, 9};
        uint64_t present = 7;
        struct column col = {.type = T_INT32, .values = x};
        ok(&f, lookup_new(&f.c, &t, n_values, "/tmp", &l));
        ok(&f, lookup_add(&f.c, l, &col, 1, &col, &present, 4));
        ok(&f, lookup_seal(&f.c, l));
        for (int i = 0; i < 4; i++) {
            struct operand arg = {.values = &x[i], .type = T_INT32};
            int64_t row;
            enum status s = lookup_find(&f.c, l, key_of(&f, l, &arg, 1), &row);
            assert_int_equal(s, x[i] == 5 && n_values ? ERR_CARDINALITY : OK);
            if (s == OK) assert_int_equal(row >= 0, x[i] != 9);
            ctx_clear(&f.c);
        }
        lookup_free(l);
        stop(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_mixed),
                                       cmocka_unit_test(test_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
