/* Do the base's arena, budget, scratch, bitmaps and pool keep their promises? */
#include "storage/base/bits.h"
#include "storage/base/ctx.h"
#include "storage/base/pool.h"
#include "storage/base/types.h"
#include "tests/unit/unit.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void test_status(void **state)
{
    (void)state;
    assert_string_equal(status_sqlstate(ERR_INTERNAL), "XX000");
    assert_string_equal(status_sqlstate(ERR_DUPLICATE_CELL), "23505");
    assert_string_equal(status_sqlstate(ERR_CONNECTION), "08006");
    assert_string_equal(status_sqlstate(OK), "00000");
    assert_true(ERR_INTERNAL < 0 && ERR_CONNECTION < 0);
}

static void test_fail_keeps_first(void **state)
{
    (void)state;
    struct ctx c = {0};
    ctx_clear(&c);
    assert_int_equal(fail_at(&c, ERR_SYNTAX, 7, "first %d", 1), ERR_SYNTAX);
    assert_int_equal(fail(&c, ERR_OVERFLOW, "second"), ERR_SYNTAX);
    assert_string_equal(c.err.message, "first 1");
    assert_int_equal(c.err.position, 7);
    char longer[600];
    memset(longer, 'x', sizeof longer - 1);
    longer[510] = (char)0xc3;
    longer[511] = (char)0xa9;
    longer[599] = 0;
    ctx_clear(&c);
    fail(&c, ERR_SYNTAX, "%s", longer);
    assert_int_equal(strlen(c.err.message), 510);
}

static void test_budget(void **state)
{
    (void)state;
    struct budget server, query;
    budget_init(&server, NULL, 1000);
    budget_init(&query, &server, 600);
    assert_true(budget_take(&query, 500));
    assert_false(budget_take(&query, 200));
    assert_int_equal(atomic_load(&query.used_bytes), 500);
    assert_int_equal(atomic_load(&server.used_bytes), 500);
    assert_true(budget_take(&server, 450));
    assert_int_equal(budget_left(&query), 50);
    assert_false(budget_take(&query, 80));
    assert_int_equal(atomic_load(&query.used_bytes), 500);
    budget_give(&query, 500);
    assert_int_equal(atomic_load(&server.used_bytes), 450);
}

static void test_scratch(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, NULL, 8 << 20);
    struct ctx c = {.budget = &b, .scratch = scratch_new(&b)};
    ctx_clear(&c);
    void *p[64];
    for (int round = 0; round < 3; round++) {
        struct scratch_mark m = scratch_mark(c.scratch);
        for (int i = 0; i < 40; i++) {
            assert_int_equal(scratch_alloc(&c, (size_t)(i % 5 == 4 ? 300000 : 5000), &p[i]), OK);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            memset(p[i], i, i % 5 == 4 ? 300000 : 5000);
        }
        for (int i = 0; i < 40; i++) assert_int_equal(*(unsigned char *)p[i], i);
        if (round == 1) scratch_release(c.scratch, m);
        else scratch_reset(c.scratch);
    }
    assert_int_equal(scratch_alloc(&c, 9 << 20, &p[0]), ERR_MEMORY);
    for (int i = 0; i < 7; i++) /* seven blocks are too small for what comes then */
        assert_int_equal(scratch_alloc(&c, 1000000, &p[i]), OK);
    scratch_reset(c.scratch);
    assert_int_equal(scratch_alloc(&c, 6 << 20, &p[0]), OK);
    scratch_trim(c.scratch, 2 << 20);
    assert_in_range(atomic_load(&b.used_bytes), 1 << 20, 2 << 20);
    scratch_trim(c.scratch, 0);
    assert_int_equal(atomic_load(&b.used_bytes), 0);
    assert_int_equal(scratch_alloc(&c, 1000, &p[0]), OK);
    scratch_free(c.scratch);
    assert_int_equal(atomic_load(&b.used_bytes), 0);
}

struct let_go {
    int n, last;
};

static void note_let_go(void *owner, const void *what)
{
    struct let_go *l = owner;
    l->n++;
    l->last = *(const int *)what;
}

/* What the scratch holds goes with the memory that it was asked for after, last first. */
static void test_scratch_holds(void **state)
{
    (void)state;
    static const int one = 1, two = 2, three = 3;
    struct budget b;
    struct let_go l = {0};
    budget_init(&b, NULL, 2 << 20);
    struct ctx c = {.budget = &b, .scratch = scratch_new(&b)};
    void *p;
    ctx_clear(&c);
    assert_int_equal(scratch_hold(&c, note_let_go, &l, &one), OK);
    struct scratch_mark m = scratch_mark(c.scratch);
    assert_int_equal(scratch_hold(&c, note_let_go, &l, &two), OK);
    assert_int_equal(scratch_alloc(&c, 1000, &p), OK);
    assert_int_equal(scratch_hold(&c, note_let_go, &l, &three), OK);
    assert_int_equal(l.n, 0);
    scratch_release(c.scratch, m);
    assert_int_equal(l.n, 2);
    assert_int_equal(l.last, 2);
    scratch_release(c.scratch, m);
    assert_int_equal(l.n, 2);
    while (scratch_alloc(&c, 64, &p) == OK) {
    }
    ctx_clear(&c);
    assert_int_equal(scratch_hold(&c, note_let_go, &l, &three), ERR_MEMORY);
    assert_int_equal(l.n, 3); /* at once */
    scratch_free(c.scratch);
    assert_int_equal(l.n, 4);
    assert_int_equal(l.last, 1);
}

static void test_bits(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 3000; round++) {
        uint64_t a[8], b[8], want[8];
        for (int i = 0; i < 8; i++) {
            a[i] = (uint64_t)rand() * 0x9E3779B97F4A7C15u;
            b[i] = want[i] = (uint64_t)rand() * 0xC2B2AE3D27D4EB4Fu;
        }
        int at = rand() % 200, from = rand() % 200, n = rand() % 250;
        for (int i = 0; i < n; i++) bit_put(want, at + i, bit_get(a, from + i));
        bits_copy(b, at, a, from, n);
        assert_memory_equal(b, want, sizeof b);
        int64_t count = 0, next = at + n;
        for (int i = n - 1; i >= 0; i--) {
            count += bit_get(b, at + i);
            if (bit_get(b, at + i)) next = at + i;
        }
        assert_int_equal(bits_count(b, at, n), count);
        assert_int_equal(bits_next(b, at, at + n), next);
        assert_int_equal(bits_all(b, at, n), count == n);
        assert_int_equal(bits_none(b, at, n), count == 0);
        bool v = rand() & 1;
        for (int i = 0; i < n; i++) bit_put(want, at + i, v);
        bits_fill(b, at, n, v);
        assert_memory_equal(b, want, sizeof b);
        uint8_t bytes[300];
        bits_to_bytes(bytes, b, n);
        uint64_t back[8] = {0};
        bits_from_bytes(back, bytes, n);
        for (int i = 0; i < n; i++) assert_int_equal(bit_get(back, i), bit_get(b, i));
    }
}

struct tally {
    atomic_int_least64_t sum;
    atomic_int busy[64];
    int64_t fail_at;
};

static enum status add_task(struct ctx *c, void *self, int worker, int64_t task)
{
    struct tally *t = self;
    assert(worker < 64 && atomic_fetch_add(&t->busy[worker], 1) == 0);
    void *p;
    TRY(scratch_alloc(c, 100000, &p));
    atomic_fetch_add(&t->sum, task);
    atomic_fetch_sub(&t->busy[worker], 1);
    if (task >= t->fail_at) return fail(c, ERR_OVERFLOW, "task %lld", (long long)task);
    return OK;
}

static void test_pool(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, NULL, 64 << 20);
    struct ctx c = {.budget = &b, .pool = pool_new(4)};
    ctx_clear(&c);
    for (int round = 0; round < 200; round++) {
        struct tally t = {.fail_at = INT64_MAX};
        assert_int_equal(pool_run(&c, 500, round % 5, add_task, &t), OK);
        assert_int_equal(atomic_load(&t.sum), 500 * 499 / 2);
    }
    struct tally t = {.fail_at = 17};
    assert_int_equal(pool_run(&c, 500, 0, add_task, &t), ERR_OVERFLOW);
    assert_string_equal(c.err.message, "task 17");
    pool_free(c.pool);
    assert_int_equal(atomic_load(&b.used_bytes), 0);
}

static void test_promotion(void **state)
{
    (void)state;
    assert_int_equal(type_promote(T_INT8, T_UINT8), T_INT16);
    assert_int_equal(type_promote(T_INT64, T_UINT64), T_FLOAT64);
    assert_int_equal(type_promote(T_FLOAT32, T_INT16), T_FLOAT32);
    assert_int_equal(type_promote(T_FLOAT32, T_INT32), T_FLOAT64);
    assert_int_equal(type_promote(T_BOOL, T_UINT16), T_UINT16);
    assert_int_equal(type_by_name("INT8"), T_INT64);
    assert_int_equal(type_by_name("uint8"), T_UINT8);
    assert_int_equal(type_by_name("nothing"), T_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status), cmocka_unit_test(test_fail_keeps_first),
        cmocka_unit_test(test_budget), cmocka_unit_test(test_scratch), cmocka_unit_test(test_scratch_holds),
        cmocka_unit_test(test_bits),   cmocka_unit_test(test_pool),
        cmocka_unit_test(test_promotion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
