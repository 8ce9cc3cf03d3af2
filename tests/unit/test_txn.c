/* Transactions: what each sees, who waits for whom, what a rollback undoes, and what is left after
 * the program dies at any step of a commit. */
#include "tests/unit/db_fixture.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static const struct attr one_attr[] = {{.name = "v", .type = T_INT64}};

static void create_tiled(struct dbf *f, struct txn *t, const char *name, int64_t cells)
{
    const int64_t length[] = {100}, tile[] = {cells};
    ok(f, array_create(&f->t.c, t, dbf_schema(f, name, 1, length, tile, false, one_attr, 1)));
}

static void create(struct dbf *f, struct txn *t, const char *name)
{
    create_tiled(f, t, name, 10);
}

static enum status try_put(struct ctx *c, struct txn *t, const char *name, enum conflict mode,
                           int64_t lo, int64_t hi, int64_t value)
{
    struct writer *w;
    int which = 0;
    int64_t written = 0, values[100];
    struct box box = {.n_dims = 1, .lo = {lo}, .hi = {hi}};
    struct column col = {T_INT64, values, NULL};
    for (int64_t i = 0; i < hi - lo; i++)
        values[i] = value;
    TRY(writer_open(c, t, name, mode, &which, mode == CONFLICT_DELETE ? 0 : 1, &w));
    enum status s = writer_put_box(c, w, &box, &col, NULL, &written);
    if (s == OK) s = writer_finish(c, w);
    writer_free(w);
    return s;
}

static void put(struct dbf *f, struct txn *t, const char *name, int64_t lo, int64_t hi,
                int64_t value)
{
    ok(f, try_put(&f->t.c, t, name, CONFLICT_REPLACE, lo, hi, value));
}

/* Sum of the array's values, and how many cells; -1: there is no such array. */
static int64_t sum(struct ctx *c, struct txn *t, const char *name, int64_t version, int64_t *cells)
{
    struct array_ref ref = {.name = name, .version = version, .position = -1};
    struct array *a;
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {100}};
    struct column col;
    uint64_t *present;
    int which = 0;
    int64_t n, total = 0;
    if (array_open(c, t, &ref, &a) != OK) {
        ctx_clear(c);
        return -1;
    }
    if (array_read(c, a, &box, &which, 1, &col, &present, &n) != OK)
        die("array_read: %s", c->err.message);
    for (int64_t i = 0; n && i < 100; i++)
        if (!present || bit_get(present, i)) total += ((int64_t *)col.values)[i];
    if (cells) *cells = n;
    scratch_reset(c->scratch);
    return total;
}

static int64_t sum_now(struct dbf *f, const char *name)
{
    struct txn *t = dbf_begin(f);
    int64_t s = sum(&f->t.c, t, name, 0, NULL);
    txn_rollback(t);
    return s;
}

static void snapshots(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f), *reader = dbf_begin(f);
    create(f, t, "a");
    assert_int_equal(sum(c, reader, "a", 0, NULL), -1);
    put(f, t, "a", 0, 10, 1);
    assert_int_equal(sum(c, t, "a", 0, NULL), 10);
    ok(f, txn_commit(c, t));
    assert_int_equal(sum(c, reader, "a", 0, NULL), -1);
    txn_rollback(reader);
    reader = dbf_begin(f);
    assert_int_equal(sum(c, reader, "a", 0, NULL), 10);
    t = dbf_begin(f);
    put(f, t, "a", 5, 20, 2);
    assert_int_equal(sum(c, t, "a", 0, NULL), 35);
    assert_int_equal(sum(c, reader, "a", 0, NULL), 10);
    ok(f, txn_commit(c, t));
    assert_int_equal(sum(c, reader, "a", 0, NULL), 10);
    assert_int_equal(sum(c, reader, "a", 2, NULL), -1); /* newer than its snapshot */
    txn_rollback(reader);
    t = dbf_begin(f);
    assert_int_equal(sum(c, t, "a", 1, NULL), 10);
    assert_int_equal(sum(c, t, "a", 2, NULL), 35);
    assert_int_equal(sum(c, t, "a", 3, NULL), -1);
    fails(
        f, ERR_UNDEFINED_OBJECT,
        array_open(c, t, &(struct array_ref){.name = "a", .as_of_us = 1000}, &(struct array *){0}));
    txn_rollback(t);
}

/* A statement reads what was there when it began, however much it has written meanwhile. */
static void statement_reads_its_start(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f);
    create(f, t, "a");
    put(f, t, "a", 0, 10, 1);
    ok(f, txn_statement_begin(c, t));
    struct array *a = dbf_array(f, t, "a");
    put(f, t, "a", 0, 100, 5);
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {100}};
    struct column col;
    uint64_t *present;
    int which = 0;
    int64_t n;
    ok(f, array_read(c, a, &box, &which, 1, &col, &present, &n));
    assert_int_equal(n, 10);
    assert_int_equal(((int64_t *)col.values)[3], 1);
    txn_statement_end(t, true);
    assert_int_equal(sum(c, t, "a", 0, NULL), 500);
    ok(f, txn_commit(c, t));
}

static void savepoints(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f);
    create(f, t, "a");
    put(f, t, "a", 0, 10, 1);
    ok(f, txn_savepoint(c, t, "one"));
    put(f, t, "a", 0, 10, 2);
    ok(f, txn_savepoint(c, t, "two"));
    put(f, t, "a", 10, 20, 3);
    create(f, t, "b");
    put(f, t, "b", 0, 1, 9);
    ok(f, object_put(c, t, OBJECT_VIEW, "view", "SELECT 1", false));
    assert_int_equal(sum(c, t, "a", 0, NULL), 50);
    ok(f, txn_rollback_to(c, t, "two"));
    assert_int_equal(sum(c, t, "a", 0, NULL), 20);
    assert_int_equal(sum(c, t, "b", 0, NULL), -1);
    const char *text;
    ok(f, object_get(c, t, OBJECT_VIEW, "view", &text));
    assert_null(text);
    put(f, t, "a", 20, 30, 4);
    ok(f, txn_rollback_to(c, t, "one"));
    assert_int_equal(sum(c, t, "a", 0, NULL), 10);
    fails(f, ERR_UNDEFINED_SAVEPOINT, txn_rollback_to(c, t, "two"));
    ok(f, txn_release(c, t, "one"));
    fails(f, ERR_UNDEFINED_SAVEPOINT, txn_release(c, t, "one"));
    ok(f, array_add_attr(c, t, "a", &(struct attr){.name = "w", .type = T_INT32}));
    ok(f, txn_statement_begin(c, t));
    ok(f, array_rename(c, t, "a", "z"));
    put(f, t, "z", 0, 100, 100);
    txn_statement_end(t, false);
    ok(f, txn_commit(c, t));
    assert_int_equal(sum_now(f, "a"), 10);
    assert_int_equal(sum_now(f, "z"), -1);
    db_sweep_wait(f->db);
    dbf_reopen(f);
    assert_int_equal(sum_now(f, "a"), 10);
    t = dbf_begin(f);
    int64_t tiles;
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(array_schema(dbf_array(f, t, "a"))->n_attrs, 2);
    txn_rollback(t);
}

/* A transaction that has read nothing moves on to the newest version; one that has read cannot
 * write over a change that it did not see. */
static void first_committer_wins(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f), *blind = dbf_begin(f), *seeing = dbf_begin(f);
    create(f, t, "a");
    ok(f, txn_commit(c, t));
    dbf_array(f, blind, "a");
    assert_int_equal(sum(c, seeing, "a", 0, NULL), 0);
    t = dbf_begin(f);
    put(f, t, "a", 0, 10, 1);
    ok(f, txn_commit(c, t));
    put(f, blind, "a", 10, 20, 1);
    ok(f, txn_commit(c, blind));
    fails(f, ERR_SERIALIZATION, try_put(c, seeing, "a", CONFLICT_REPLACE, 0, 1, 7));
    txn_rollback(seeing);
    assert_int_equal(sum_now(f, "a"), 20);
}

/* ---- two threads ---- */

struct other {
    struct dbf *f;
    const char *first, *second;
    struct txn *txn;
    enum status status;
    atomic_bool holds;
};

/* Writes one array, then another. */
static void *write_two(void *self)
{
    struct other *o = self;
    struct test_ctx t;
    test_ctx_open(&t, &o->f->server);
    o->status = txn_begin(&t.c, o->f->db, false, &o->txn);
    if (o->status == OK) o->status = try_put(&t.c, o->txn, o->first, CONFLICT_REPLACE, 0, 1, 1);
    atomic_store(&o->holds, true);
    if (o->status == OK && o->second)
        o->status = try_put(&t.c, o->txn, o->second, CONFLICT_REPLACE, 0, 1, 1);
    if (o->status == OK)
        o->status = txn_commit(&t.c, o->txn);
    else
        txn_rollback(o->txn);
    test_ctx_close(&t);
    return NULL;
}

static void wait_until(atomic_bool *b)
{
    while (!atomic_load(b))
        usleep(1000);
}

static void create_two(struct dbf *f)
{
    struct txn *t = dbf_begin(f);
    create(f, t, "a");
    create(f, t, "b");
    ok(f, txn_commit(&f->t.c, t));
}

static void writers_wait(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t = dbf_begin(f);
    put(f, t, "a", 0, 1, 5);
    struct other o = {.f = f, .first = "a"};
    pthread_t thread;
    pthread_create(&thread, NULL, write_two, &o);
    usleep(60000);
    assert_false(atomic_load(&o.holds));
    ok(f, txn_commit(c, t));
    pthread_join(thread, NULL);
    assert_int_equal(o.status, OK); /* it had read nothing */
    assert_int_equal(sum_now(f, "a"), 1);
}

static void deadlocks_are_seen(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t = dbf_begin(f);
    put(f, t, "b", 0, 1, 5);
    struct other o = {.f = f, .first = "a", .second = "b"};
    pthread_t thread;
    pthread_create(&thread, NULL, write_two, &o);
    wait_until(&o.holds);
    enum status mine = try_put(c, t, "a", CONFLICT_REPLACE, 0, 1, 6);
    ctx_clear(c);
    if (mine == OK)
        ok(f, txn_commit(c, t));
    else
        txn_rollback(t);
    pthread_join(thread, NULL);
    assert_true(mine == ERR_DEADLOCK ? o.status == OK : o.status == ERR_DEADLOCK);
}

static void lock_timeout(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    db_close(f->db);
    f->options.lock_timeout_ms = 50;
    dbf_open(f);
    create_two(f);
    struct txn *t = dbf_begin(f), *u = dbf_begin(f);
    put(f, t, "a", 0, 1, 5);
    fails(f, ERR_LOCK_TIMEOUT, try_put(c, u, "a", CONFLICT_REPLACE, 0, 1, 6));
    txn_rollback(u);
    ok(f, txn_commit(c, t));
}

static void idle_holder_expires(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    db_close(f->db);
    f->options.idle_in_transaction_ms = 50;
    dbf_open(f);
    create_two(f);
    struct txn *t = dbf_begin(f), *u = dbf_begin(f);
    ok(f, txn_statement_begin(c, t));
    put(f, t, "a", 0, 10, 5);
    txn_statement_end(t, true);
    put(f, u, "a", 5, 10, 1);
    ok(f, txn_commit(c, u));
    fails(f, ERR_FAILED_TRANSACTION, txn_statement_begin(c, t));
    fails(f, ERR_FAILED_TRANSACTION, txn_commit(c, t));
    assert_int_equal(sum_now(f, "a"), 5);
    db_sweep_wait(f->db);
    assert_int_equal(sum_now(f, "a"), 5);
}

static void read_only(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t;
    ok(f, txn_begin(c, f->db, true, &t));
    fails(f, ERR_READ_ONLY, try_put(c, t, "a", CONFLICT_REPLACE, 0, 1, 6));
    fails(f, ERR_READ_ONLY, array_drop(c, t, "a"));
    txn_rollback(t);
}

/* ---- definitions ---- */

static void names(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t = dbf_begin(f);
    const int64_t length[] = {10};
    struct schema *s = dbf_schema(f, "a", 1, length, NULL, false, one_attr, 1);
    fails(f, ERR_DUPLICATE_TABLE, array_create(c, t, s));
    fails(f, ERR_DUPLICATE_TABLE, object_put(c, t, OBJECT_VIEW, "a", "x", false));
    ok(f, object_put(c, t, OBJECT_VIEW, "v", "x", false));
    ok(f, object_put(c, t, OBJECT_FUNCTION, "a", "y", false));
    fails(f, ERR_DUPLICATE_OBJECT, object_put(c, t, OBJECT_FUNCTION, "a", "z", false));
    ok(f, object_put(c, t, OBJECT_FUNCTION, "a", "z", true));
    fails(f, ERR_DUPLICATE_TABLE, array_rename(c, t, "a", "v"));
    fails(f, ERR_WRONG_OBJECT, array_drop(c, t, "v"));
    fails(f, ERR_WRONG_OBJECT, object_drop(c, t, OBJECT_VIEW, "a"));
    ok(f, array_rename(c, t, "a", "c"));
    s->name = "a";
    ok(f, array_create(c, t, s));
    ok(f, array_drop(c, t, "b"));
    ok(f, array_rename_column(c, t, "c", "v", "value"));
    fails(f, ERR_DUPLICATE_COLUMN, array_rename_column(c, t, "c", "value", "d0"));
    fails(f, ERR_UNDEFINED_COLUMN, array_rename_column(c, t, "c", "v", "x"));
    ok(f, array_annotate(c, t, "c", "value", "unit", "K"));
    ok(f, array_annotate(c, t, "c", NULL, "comment", "text"));
    assert_int_equal(array_open(c, t, &(struct array_ref){.name = "ab"}, &(struct array *){0}),
                     ERR_UNDEFINED_TABLE);
    assert_string_equal(c->err.message, "relation \"ab\" does not exist");
    assert_true(strlen(c->err.hint) > 0);
    ctx_clear(c);
    ok(f, txn_commit(c, t));
    dbf_reopen(f);
    t = dbf_begin(f);
    const struct schema *now = array_schema(dbf_array(f, t, "c"));
    assert_string_equal(now->attrs[0].name, "value");
    assert_string_equal(now->attrs[0].unit, "K");
    assert_string_equal(now->comment, "text");
    assert_int_equal(sum(c, t, "b", 0, NULL), -1);
    assert_int_equal(sum(c, t, "a", 0, NULL), 0);
    const char *text;
    ok(f, object_get(c, t, OBJECT_VIEW, "v", &text));
    assert_string_equal(text, "x");
    ok(f, object_get(c, t, OBJECT_FUNCTION, "a", &text));
    assert_string_equal(text, "z");
    ok(f, object_drop(c, t, OBJECT_VIEW, "v"));
    ok(f, object_get(c, t, OBJECT_VIEW, "v", &text));
    assert_null(text);
    txn_rollback(t);
}

static void attributes_come_and_go(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t = dbf_begin(f);
    put(f, t, "a", 0, 15, 1);
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    struct attr nn = {.name = "w", .type = T_INT64, .not_null = true};
    fails(f, ERR_NOT_NULL, array_add_attr(c, t, "a", &nn));
    nn.has_default = true;
    nn.deflt = value_int(T_INT64, 3);
    ok(f, array_add_attr(c, t, "a", &nn));
    ok(f, array_drop_attr(c, t, "a", "v"));
    fails(f, ERR_UNDEFINED_COLUMN, array_drop_attr(c, t, "a", "v"));
    fails(f, ERR_WRONG_OBJECT, array_drop_attr(c, t, "a", "d0"));
    assert_int_equal(sum(c, t, "a", 0, NULL), 45);
    put(f, t, "a", 12, 14, 100);
    int64_t tiles;
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(tiles, 3); /* two of presence, one of w */
    ok(f, txn_commit(c, t));
    assert_int_equal(sum_now(f, "a"), 239);
    t = dbf_begin(f);
    assert_int_equal(sum(c, t, "a", 2, NULL), 15);
    struct array *a = dbf_array(f, t, "a");
    struct summary s;
    bool found;
    int64_t tile = 0;
    ok(f, array_summary(c, a, 0, &tile, &s, &found));
    assert_true(found && s.n_cells == 10 && s.isum == 30 && s.constant);
    txn_rollback(t);
    ok(f, db_vacuum(c, f->db, "a", 1));
    dbf_reopen(f);
    assert_int_equal(sum_now(f, "a"), 239);
    t = dbf_begin(f);
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(sum(c, t, "a", 2, NULL), -1);
    txn_rollback(t);
}

static void resize_and_truncate(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create_two(f);
    struct txn *t = dbf_begin(f);
    put(f, t, "a", 0, 100, 1);
    struct value lo = value_int(T_INT64, 7), hi = value_int(T_INT64, 52);
    ok(f, array_resize(c, t, "a", "d0", &lo, &hi));
    int64_t cells, tiles;
    assert_int_equal(sum(c, t, "a", 0, &cells), 46);
    lo = value_int(T_INT64, 0);
    ok(f, array_resize(c, t, "a", "d0", &lo, NULL));
    assert_int_equal(sum(c, t, "a", 0, &cells), 46);
    assert_true(array_schema(dbf_array(f, t, "a"))->dims[0].axis.grows);
    put(f, t, "a", 60, 70, 1);
    assert_int_equal(array_schema(dbf_array(f, t, "a"))->dims[0].axis.hi, 70);
    assert_int_equal(sum(c, t, "a", 0, &cells), 56);
    ok(f, array_check(c, t, "a", &tiles));
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    ok(f, array_truncate(c, t, "a"));
    assert_int_equal(sum(c, t, "a", 0, &cells), 0);
    assert_int_equal(array_schema(dbf_array(f, t, "a"))->dims[0].axis.hi, 0);
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(tiles, 0);
    put(f, t, "a", 3, 5, 2);
    ok(f, txn_commit(c, t));
    ok(f, db_vacuum(c, f->db, NULL, 1));
    dbf_reopen(f);
    t = dbf_begin(f);
    assert_int_equal(sum(c, t, "a", 0, &cells), 4);
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(tiles, 2);
    txn_rollback(t);
}

/* ---- dying ---- */

/* What the child does until it dies: commits a = k, b = k, and a cell of p and q = k together,
 * k = 1, 2, …; says each commit. */
static void child(struct dbf *f, int pipe, const char *fault, int64_t from)
{
    struct ctx *c = &f->t.c;
    fault_set(fault);
    if (db_open(c, f->dir, &f->options, &f->server, &f->db) != OK) _exit(1);
    for (int64_t k = from;; k++) {
        struct txn *t;
        if (txn_begin(c, f->db, false, &t) != OK) _exit(1);
        if (try_put(c, t, "a", CONFLICT_REPLACE, 0, 100, k) != OK) _exit(1);
        if (try_put(c, t, "a", CONFLICT_DELETE, 0, 50, 0) != OK) _exit(1);
        if (try_put(c, t, "b", CONFLICT_REPLACE, 0, 100, k) != OK) _exit(1);
        for (int i = 0; i < 2; i++) /* patches, and now and then a fold */
            if (try_put(c, t, i ? "p" : "q", CONFLICT_REPLACE, k % 100, k % 100 + 1, k) != OK)
                _exit(1);
        if (txn_commit(c, t) != OK) _exit(1);
        if (write(pipe, &k, sizeof k) != sizeof k) _exit(1);
        if (k % 4 == 0 && db_vacuum(c, f->db, "p", 2) != OK) _exit(1);
    }
}

/* Lets a child work on the directory until it dies, by a fault or so long after it said that
 * `n_first` commits are done; the last commit that it told of. */
static int64_t run_child(struct dbf *f, const char *fault, int64_t from, int kill_after_us,
                         int n_first)
{
    int ends[2], status;
    int64_t told = from - 1, k;
    assert_int_equal(pipe(ends), 0);
    db_close(f->db);
    f->db = NULL;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(f, ends[1], fault, from);
    }
    close(ends[1]);
    for (int i = 0; i < n_first; i++)
        if (read(ends[0], &k, sizeof k) == sizeof k) told = k;
    if (kill_after_us) {
        usleep((useconds_t)kill_after_us);
        kill(pid, SIGKILL);
    }
    while (read(ends[0], &k, sizeof k) == sizeof k)
        told = k;
    close(ends[0]);
    waitpid(pid, &status, 0);
    if (kill_after_us)
        assert_true(WIFSIGNALED(status));
    else
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 137);
    dbf_open(f);
    return told;
}

/* Both arrays show the same commit: the last one told of, or the one that died before telling. */
static int64_t survivors(struct dbf *f, int64_t told)
{
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f);
    int64_t a = sum(c, t, "a", 0, NULL) / 50, b = sum(c, t, "b", 0, NULL) / 100, tiles;
    int64_t patched = 0;
    assert_int_equal(a, b);
    assert_true(a == told || a == told + 1);
    for (int64_t k = a > 99 ? a - 99 : 0; k <= a; k++)
        patched += k;
    assert_int_equal(sum(c, t, "p", 0, NULL), patched);
    assert_int_equal(sum(c, t, "q", 0, NULL), patched);
    ok(f, array_check(c, t, "a", &tiles));
    ok(f, array_check(c, t, "b", &tiles));
    ok(f, array_check(c, t, "p", &tiles));
    ok(f, array_check(c, t, "q", &tiles));
    txn_rollback(t);
    return a;
}

/* p and q: one tile, in which a cell is a patch. */
static void create_four(struct dbf *f)
{
    create_two(f);
    struct txn *t = dbf_begin(f);
    create_tiled(f, t, "p", 100);
    create_tiled(f, t, "q", 100);
    ok(f, txn_commit(&f->t.c, t));
}

static void dies_at_every_step(void **state)
{
    struct dbf *f = *state;
    static const char *const points[] = {"pending", "tiles",     "tiles_done", "fold",    "patch",
                                         "publish", "published", "sweep",      "unpatch", "swept"};
    create_four(f);
    int64_t last = 0;
    for (int i = 0; i < 10; i++)
        for (int pass = 1; pass <= 8; pass += 3) {
            char fault[40];
            snprintf(fault, sizeof fault, "%s:%d", points[i], pass);
            int64_t told = run_child(f, fault, last + 1, 0, 0);
            last = survivors(f, told);
            if (i < 6) assert_int_equal(last, told);
            db_sweep_wait(f->db);
            assert_int_equal(survivors(f, last), last);
        }
}

static void killed_at_random(void **state)
{
    struct dbf *f = *state;
    uint64_t seed = 5;
    create_four(f);
    int64_t last = 0;
    for (int i = 0; i < 12; i++) {
        int wait_us = 2000 + (int)(test_random(&seed) % 40000);
        int64_t told = run_child(f, NULL, last + 1, wait_us, i % 2);
        last = survivors(f, told);
    }
    assert_true(last > 0);
}

/* Errors before the COMMIT roll back; one of the COMMIT itself stops all writing until a restart.
 */
static void io_errors(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    static const char *const points[] = {"pending:1:io", "tiles:1:io", "publish:1:io"};
    create_two(f);
    for (int i = 0; i < 3; i++) {
        struct txn *t = dbf_begin(f);
        fault_set(points[i]);
        enum status s = try_put(c, t, "a", CONFLICT_REPLACE, 0, 100, 9);
        if (s == OK) {
            s = txn_commit(c, t);
        } else {
            txn_rollback(t);
        }
        fails(f, ERR_IO, s);
        fault_set(NULL);
        assert_int_equal(sum_now(f, "a"), 0);
    }
    struct txn *t = dbf_begin(f);
    put(f, t, "a", 0, 100, 1);
    fault_set("commit:1:io");
    fails(f, ERR_IO, txn_commit(c, t));
    fault_set(NULL);
    t = dbf_begin(f);
    fails(f, ERR_IO, try_put(c, t, "b", CONFLICT_REPLACE, 0, 100, 1));
    assert_int_equal(sum(c, t, "a", 0, NULL), 0); /* reads go on */
    txn_rollback(t);
    dbf_reopen(f);
    assert_int_equal(sum_now(f, "a"), 100); /* it had happened */
    t = dbf_begin(f);
    put(f, t, "b", 0, 100, 1);
    ok(f, txn_commit(c, t));
}

/* ---- many at once ---- */

struct crowd {
    struct dbf *f;
    int64_t seed;
    atomic_int failed;
};

/* Each commit sets all cells of an array to one value, so a reader must see one value only. */
static void *crowd_write(void *self)
{
    struct crowd *cr = self;
    struct test_ctx x;
    test_ctx_open(&x, &cr->f->server);
    for (int i = 0; i < 25; i++) {
        struct txn *t;
        if (txn_begin(&x.c, cr->f->db, false, &t) != OK) break;
        enum status s = try_put(&x.c, t, i % 2 ? "a" : "b", CONFLICT_REPLACE, 0, 100, i);
        if (s == OK && i % 5)
            s = txn_commit(&x.c, t);
        else
            txn_rollback(t);
        if (s < 0) atomic_fetch_add(&cr->failed, 1);
        ctx_clear(&x.c);
        scratch_reset(x.c.scratch);
    }
    test_ctx_close(&x);
    return NULL;
}

static void *crowd_read(void *self)
{
    struct crowd *cr = self;
    struct test_ctx x;
    test_ctx_open(&x, &cr->f->server);
    for (int i = 0; i < 60; i++) {
        struct txn *t;
        int64_t cells;
        if (txn_begin(&x.c, cr->f->db, true, &t) != OK) break;
        int64_t total = sum(&x.c, t, i % 2 ? "a" : "b", 0, &cells);
        if (cells != 0 && (cells != 100 || total % 100 != 0)) atomic_fetch_add(&cr->failed, 1);
        txn_rollback(t);
    }
    test_ctx_close(&x);
    return NULL;
}

static void many_at_once(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct crowd cr = {.f = f};
    pthread_t threads[4];
    create_two(f);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? crowd_read : crowd_write, &cr);
    for (int i = 0; i < 5; i++)
        ok(f, db_vacuum(c, f->db, NULL, 1));
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&cr.failed), 0);
    db_sweep_wait(f->db);
    struct txn *t = dbf_begin(f);
    int64_t tiles;
    ok(f, array_check(c, t, "a", &tiles));
    ok(f, array_check(c, t, "b", &tiles));
    txn_rollback(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dbf_setup, dbf_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(snapshots),
        TEST(statement_reads_its_start),
        TEST(savepoints),
        TEST(first_committer_wins),
        TEST(writers_wait),
        TEST(deadlocks_are_seen),
        TEST(lock_timeout),
        TEST(idle_holder_expires),
        TEST(read_only),
        TEST(names),
        TEST(attributes_come_and_go),
        TEST(resize_and_truncate),
        TEST(dies_at_every_step),
        TEST(killed_at_random),
        TEST(io_errors),
        TEST(many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
