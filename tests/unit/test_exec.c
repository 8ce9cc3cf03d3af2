/* Does the driver go over every cell once, in order where asked, within the budget; and does a
 * tree of operators give what its plan says? */
#include "query/reach.h"
#include "storage/base/datetime.h"
#include "tests/unit/mem_op.h"
#include <pthread.h>

/* ---- the driver ---- */

struct tally {
    struct sink sink;
    const struct mem *mem;
    pthread_mutex_t lock;
    unsigned char *seen; /* by cell of the operator's box */
    int64_t n_boxes, n_cells, last_seq, largest;
    int64_t next_index; /* ordered: row-major index of the first cell still to come */
    int64_t stop_after; /* boxes; 0: never */
    int64_t fail_from;  /* seq; 0: never */
    int in_consume;
};

static enum status tally_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct tally *t = (struct tally *)sink;
    assert_true(worker >= 0 && worker < 4);
    if (t->fail_from && seq >= t->fail_from)
        return fail(c, ERR_OVERFLOW, "box %lld", (long long)seq);
    pthread_mutex_lock(&t->lock);
    assert_int_equal(t->in_consume, 0);
    if (sink->ordered) {
        assert_int_equal(seq, t->last_seq + 1);
        assert_int_equal(box_index(&t->mem->op.box, ch->box.lo), t->next_index);
        t->next_index += ch->n;
    } else {
        assert_true(ch->n_present > 0);
    }
    t->last_seq = seq;
    t->n_boxes++;
    if (ch->n > t->largest) t->largest = ch->n;
    for (int64_t i = 0; t->seen && i < ch->n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, i, pos);
        if (sink->ordered)
            assert_int_equal(i + t->next_index - ch->n, box_index(&t->mem->op.box, pos));
        if (!is_present(ch, i)) continue;
        struct mem_cell cell = mem_at(t->mem, pos);
        assert_cell(ch, i, 0, &cell);
        assert_int_equal(t->seen[box_index(&t->mem->op.box, pos)]++, 0);
        t->n_cells++;
    }
    if (t->stop_after && t->n_boxes >= t->stop_after) atomic_store(&sink->done, true);
    pthread_mutex_unlock(&t->lock);
    return OK;
}

static void tally_init(struct tally *t, const struct mem *m, bool ordered)
{
    memset(t, 0, sizeof *t);
    t->sink.consume = tally_box;
    t->sink.ordered = ordered;
    t->mem = m;
    t->last_seq = -1;
    pthread_mutex_init(&t->lock, NULL);
    t->seen = calloc((size_t)box_cells(&m->op.box), 1);
}

static void tally_all_seen(struct tally *t)
{
    int64_t n = box_cells(&t->mem->op.box), pos[MAX_DIMS];
    for (int64_t i = 0; i < n; i++) {
        box_position(&t->mem->op.box, i, pos);
        assert_int_equal(t->seen[i], mem_at(t->mem, pos).present);
    }
    free(t->seen);
    pthread_mutex_destroy(&t->lock);
}

static void test_every_cell_once(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        int threads = round & 1 ? 4 : 1;
        bool ordered = round & 2;
        int64_t limit = round < 4 ? 0 : round < 8 ? 4 << 20 : 1 << 20;
        struct ctx *c = bench_init(&b, threads, limit);
        mem_init(&m, 3, (int64_t[]){-5, 7, 0}, (int64_t[]){9, 40, 230}, (int64_t[]){4, 10, 32},
                 (uint64_t)round);
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        if (ordered) assert_int_equal(t.next_index, box_cells(&m.op.box));
        tally_all_seen(&t);
        assert_int_equal(atomic_load(&b.progress.done), atomic_load(&b.progress.total));
        assert_true(atomic_load(&b.progress.total) > 0);
        if (limit) assert_true(atomic_load(&b.budget.peak_bytes) <= limit);
        bench_release(&b);
    }
}

static void test_grid_is_kept(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 1, 0);
    mem_init(&m, 2, (int64_t[]){3, 0}, (int64_t[]){22, 95}, (int64_t[]){10, 50}, 3);
    m.full = true;
    tally_init(&t, &m, false);
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_int_equal(t.n_boxes, 3 * 2); /* 3 … 10 … 20 … 22 by 0 … 50 … 95 */
    assert_int_equal(t.last_seq, 5);
    assert_int_equal(t.largest, 500);
    tally_all_seen(&t);
    struct box part = {2, {10, 60}, {20, 70}};
    tally_init(&t, &m, false);
    assert_ok(c, exec_run(c, &m.op, &part, &t.sink));
    assert_int_equal(t.n_boxes, 1);
    assert_int_equal(t.n_cells, 100);
    free(t.seen);
    bench_release(&b);
}

static void test_stops_early(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        struct ctx *c = bench_init(&b, round & 1 ? 4 : 1, 0);
        bool ordered = round & 2;
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){40000, 50}, (int64_t[]){200, 50}, 3);
        tally_init(&t, &m, ordered);
        t.stop_after = 3;
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_in_range(t.n_boxes, 3, ordered ? 3 : 6);
        assert_in_range(atomic_load(&m.op.stats.boxes), 3, 12);
        assert_int_equal(atomic_load(&b.progress.done), atomic_load(&b.progress.total));
        free(t.seen);
        bench_release(&b);
    }
}

static void test_lowest_error_wins(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        struct ctx *c = bench_init(&b, 1 + round % 4, 0);
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){400, 400}, (int64_t[]){20, 400}, 3);
        m.full = true;
        m.op.grid[0] = 100;
        tally_init(&t, &m, round & 4);
        t.fail_from = 2;
        assert_int_equal(exec_run(c, &m.op, NULL, &t.sink), ERR_OVERFLOW);
        assert_string_equal(c->err.message, "box 2");
        if (round & 4) assert_int_equal(t.last_seq, 1);
        free(t.seen);
        bench_release(&b);
    }
}

static enum status slow_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                            const struct chunk *ch)
{
    (void)worker, (void)seq, (void)ch, (void)sink;
    atomic_store(&c->cancel->reason, CANCEL_USER);
    return OK;
}

static void test_cancel(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench b;
        struct mem m;
        struct ctx *c = bench_init(&b, round & 1 ? 4 : 1, 0);
        struct sink sink = {.consume = slow_box, .ordered = round & 2};
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){40000, 50}, (int64_t[]){1000, 50}, 3);
        assert_int_equal(exec_run(c, &m.op, NULL, &sink), ERR_CANCELLED);
        assert_true(atomic_load(&m.op.stats.boxes) < 12);
        bench_release(&b);
    }
}

/* The first rows of an array whose slabs are large must not wait for a whole slab. */
static void test_first_rows_are_quick(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 1, 0);
    mem_init(&m, 3, (int64_t[]){0, 0, 0}, (int64_t[]){8, 1000, 1000}, (int64_t[]){8, 64, 64}, 3);
    m.full = true;
    tally_init(&t, &m, true);
    t.stop_after = 1;
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_in_range(t.largest, 1000, 64 * 1000);
    free(t.seen);
    bench_release(&b);
}

static void test_large_slabs_in_order(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 2, 0);
    mem_init(&m, 3, (int64_t[]){0, 0, 0}, (int64_t[]){3, 600, 500}, (int64_t[]){8, 64, 64}, 3);
    m.full = true;
    tally_init(&t, &m, true);
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_int_equal(t.next_index, box_cells(&m.op.box));
    tally_all_seen(&t);
    bench_release(&b);
}

static void test_no_dimension_and_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct ctx *c = bench_init(&b, 2, 0);
    for (int ordered = 0; ordered < 2; ordered++) {
        struct tally t;
        mem_init(&m, 0, NULL, NULL, NULL, 3);
        m.full = true;
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_int_equal(t.n_boxes, 1);
        tally_all_seen(&t);
        mem_init(&m, 1, (int64_t[]){4}, (int64_t[]){4}, (int64_t[]){10}, 3);
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_int_equal(t.n_boxes, 0);
        free(t.seen);
    }
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_once),
        cmocka_unit_test(test_grid_is_kept),
        cmocka_unit_test(test_stops_early),
        cmocka_unit_test(test_lowest_error_wins),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_first_rows_are_quick),
        cmocka_unit_test(test_large_slabs_in_order),
        cmocka_unit_test(test_no_dimension_and_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
