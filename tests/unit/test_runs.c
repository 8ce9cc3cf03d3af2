/* Records of runs: there exactly when the transaction's result is, once a slot, and still to be
 * told from each other after a crash. */
#include "storage/runs.h"
#include "tests/unit/db_fixture.h"

static struct run_row row_of(struct dbf *f, int64_t schedule, int64_t slot, enum run_status status)
{
    return (struct run_row){.run = run_number(f->db),
                            .schedule = schedule,
                            .name = "s",
                            .slot_us = slot,
                            .attempt = 1,
                            .tries = 1,
                            .status = status,
                            .finished_us = status >= RUN_SUCCEEDED ? slot + 5 : 0};
}

static int listed(struct dbf *f, enum runs_which which, int64_t id, int64_t slot,
                  struct run_row **rows)
{
    int n;
    ok(f, runs_list(&f->t.c, f->db, which, id, slot, f->t.c.arena, rows, &n));
    return n;
}

static enum status view_with_run(struct dbf *f, const char *name, const struct run_row *r)
{
    struct ctx *c = &f->t.c;
    struct txn *t;
    ok(f, txn_begin(c, f->db, false, &t));
    ok(f, object_put(c, t, OBJECT_VIEW, name, "SELECT 1", false));
    ok(f, txn_record_run(c, t, r));
    return txn_commit(c, t);
}

static bool has_view(struct dbf *f, const char *name)
{
    const char *text;
    struct txn *t;
    ok(f, txn_begin(&f->t.c, f->db, true, &t));
    ok(f, object_get(&f->t.c, t, OBJECT_VIEW, name, &text));
    bool there = text != NULL;
    txn_rollback(t);
    return there;
}

static void result_and_record(void **state)
{
    struct dbf *f = *state;
    struct run_row r = row_of(f, 1, 100, RUN_RUNNING), *rows;
    ok(f, runs_record(&f->t.c, f->db, &r, 1));
    r.status = RUN_SUCCEEDED;
    r.cells = 7;
    static const char *const faults[] = {"run:1:io", "publish:1:io"};
    for (int i = 0; i < 2; i++) { /* neither of them */
        fault_set(faults[i]);
        fails(f, ERR_IO, view_with_run(f, "v", &r));
        fault_set(NULL);
        dbf_reopen(f);
        assert_false(has_view(f, "v"));
        assert_int_equal(listed(f, RUNS_PAGE, 0, 0, &rows), 1);
        assert_int_equal(rows[0].status, RUN_CRASHED);
    }
    ok(f, view_with_run(f, "v", &r)); /* both */
    dbf_reopen(f);
    assert_true(has_view(f, "v"));
    assert_int_equal(listed(f, RUNS_PAGE, 0, 0, &rows), 1);
    assert_true(rows[0].status == RUN_SUCCEEDED && rows[0].cells == 7 && rows[0].slot_us == 100);
    struct run_row twice = row_of(f, 1, 100, RUN_SUCCEEDED),
                   other = row_of(f, 2, 100, RUN_SUCCEEDED);
    fails(f, ERR_DUPLICATE_OBJECT, view_with_run(f, "w", &twice));
    assert_false(has_view(f, "w"));
    ok(f, view_with_run(f, "w", &other));
}

/* A record alone is a commit; one that a savepoint took back, or the end, is none. */
static void with_the_transaction(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct run_row *rows, one = row_of(f, 1, 1, RUN_SUCCEEDED), two = row_of(f, 1, 2, RUN_QUEUED);
    struct schedules_seq before = schedules_seq(f->db), after;
    struct txn *t;
    ok(f, txn_begin(c, f->db, false, &t));
    assert_false(txn_has_writes(t));
    ok(f, txn_record_run(c, t, &one));
    assert_true(txn_has_writes(t));
    ok(f, txn_savepoint(c, t, "s"));
    ok(f, txn_record_run(c, t, &two));
    ok(f, txn_rollback_to(c, t, "s"));
    ok(f, txn_commit(c, t));
    assert_int_equal(listed(f, RUNS_PAGE, 0, 0, &rows), 1);
    after = schedules_seq(f->db);
    assert_int_equal(after.queued, before.queued);
    ok(f, txn_begin(c, f->db, false, &t));
    ok(f, txn_record_run(c, t, &two));
    txn_rollback(t);
    assert_int_equal(listed(f, RUNS_QUEUED, 0, 0, &rows), 0);
    ok(f, txn_begin(c, f->db, false, &t));
    ok(f, txn_record_run(c, t, &two));
    ok(f, txn_commit(c, t));
    assert_int_equal(listed(f, RUNS_QUEUED, 0, 0, &rows), 1);
    after = schedules_seq(f->db);
    assert_int_equal(after.queued, before.queued + 1);
    schedules_wait(f->db, &before, 1000000); /* at once */
    ok(f, txn_begin(c, f->db, true, &t));
    fails(f, ERR_READ_ONLY, txn_record_run(c, t, &two));
    txn_rollback(t);
}

static void after_a_crash(void **state)
{
    struct dbf *f = *state;
    struct run_row *rows, r[] = {row_of(f, 1, 10, RUN_RUNNING), row_of(f, 1, 20, RUN_QUEUED),
                                 row_of(f, 1, 30, RUN_RUNNING), row_of(f, 1, 5, RUN_FAILED)};
    int64_t mark, before = run_number(f->db);
    ok(f, runs_record(&f->t.c, f->db, r, 4));
    dbf_reopen(f);
    assert_true(run_number(f->db) > r[3].run);
    assert_true(run_number(f->db) != before);
    assert_int_equal(listed(f, RUNS_CRASHED, 0, 0, &rows), 2);
    assert_true(rows[0].slot_us == 10 && rows[1].slot_us == 30);
    struct run_row again = row_of(f, 1, 10, RUN_QUEUED);
    again.attempt = 2;
    ok(f, runs_record(&f->t.c, f->db, &again, 1));
    assert_int_equal(listed(f, RUNS_CRASHED, 0, 0, &rows), 1);
    assert_int_equal(listed(f, RUNS_OF_SLOT, 1, 10, &rows), 2);
    assert_int_equal(listed(f, RUNS_QUEUED, 0, 0, &rows), 2);
    assert_int_equal(listed(f, RUNS_LAST, 1, 0, &rows), 1);
    assert_int_equal(rows[0].run, again.run);
    ok(f, runs_mark(&f->t.c, f->db, 1, &mark));
    assert_int_equal(mark, 30);
    ok(f, runs_mark(&f->t.c, f->db, 2, &mark));
    assert_true(mark == INT64_MIN);
}

static void failures_and_history(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct run_row *rows, r[] = {row_of(f, 1, 10, RUN_FAILED),    row_of(f, 1, 20, RUN_SUCCEEDED),
                                 row_of(f, 1, 30, RUN_FAILED),    row_of(f, 1, 40, RUN_FAILED),
                                 row_of(f, 1, 40, RUN_FAILED),    row_of(f, 1, 50, RUN_SKIPPED),
                                 row_of(f, 2, 10, RUN_SUCCEEDED), row_of(f, 1, 60, RUN_SKIPPED)};
    int64_t n, mark;
    r[4].attempt = 2; /* of one slot */
    r[7].kind = RUN_NOTE;
    ok(f, runs_record(c, f->db, r, 8));
    ok(f, runs_failures(c, f->db, 1, 0, &n));
    assert_int_equal(n, 2);
    ok(f, runs_failures(c, f->db, 1, 40, &n));
    assert_int_equal(n, 1);
    ok(f, runs_failures(c, f->db, 2, 0, &n));
    assert_int_equal(n, 0);
    ok(f, runs_forget(c, f->db, 36));
    assert_int_equal(listed(f, RUNS_PAGE, 0, 0, &rows), 5);
    ok(f, runs_forget(c, f->db, 1000));
    assert_int_equal(listed(f, RUNS_PAGE, 0, 0, &rows), 2);
    ok(f, runs_mark(c, f->db, 1, &mark));
    assert_int_equal(mark, 50);
    ok(f, runs_mark(c, f->db, 2, &mark));
    assert_int_equal(mark, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dbf_setup, dbf_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(result_and_record), TEST(with_the_transaction),
                                       TEST(after_a_crash), TEST(failures_and_history)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
