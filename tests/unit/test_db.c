/* A data directory: who may open it, what it refuses, what sys.* lists, and what a sweep takes
 * away. */
#include "tests/unit/db_fixture.h"
#include <fcntl.h>
#include <sys/file.h>

static const struct attr two_attrs[] = {
    {.name = "v", .type = T_INT64, .not_null = true, .unit = "K"},
    {.name = "w",
     .type = T_TEXT,
     .codec_raw = true,
     .has_default = true,
     .deflt = {.type = T_TEXT, .t = {"it's", 4}}}};

static void create(struct dbf *f)
{
    const int64_t length[] = {100}, tile[] = {10};
    struct txn *t = dbf_begin(f);
    ok(f, array_create(&f->t.c, t, dbf_schema(f, "a", 1, length, tile, false, two_attrs, 2)));
    ok(f, txn_commit(&f->t.c, t));
}

static void put(struct dbf *f, int64_t lo, int64_t hi, int64_t value)
{
    struct ctx *c = &f->t.c;
    struct txn *t = dbf_begin(f);
    struct writer *w;
    int which = 0;
    int64_t written = 0, values[100];
    struct box box = {.n_dims = 1, .lo = {lo}, .hi = {hi}};
    struct column col = {T_INT64, values, NULL};
    for (int i = 0; i < 100; i++)
        values[i] = value;
    ok(f, writer_open(c, t, "a", CONFLICT_REPLACE, &which, 1, &w));
    ok(f, writer_put_box(c, w, &box, &col, NULL, &written));
    ok(f, writer_finish(c, w));
    writer_free(w);
    ok(f, txn_commit(c, t));
    scratch_reset(c->scratch);
}

static void write_file(struct dbf *f, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void refusals(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct db *second;
    create(f);
    fails(f, ERR_DIR_IN_USE, db_open(c, f->dir, &f->options, &f->server, &second));
    db_close(f->db);
    f->db = NULL;
    write_file(f, "VERSION", "tessera 2\n");
    fails(f, ERR_FORMAT_VERSION, db_open(c, f->dir, &f->options, &f->server, &f->db));
    write_file(f, "VERSION", "tessera 1\n");
    char from[128], to[128];
    snprintf(from, sizeof from, "%s/catalog", f->dir);
    snprintf(to, sizeof to, "%s/kept", f->dir);
    rename(from, to);
    fails(f, ERR_CORRUPT, db_open(c, f->dir, &f->options, &f->server, &f->db));
    rename(to, from);
    snprintf(from, sizeof from, "%s/tiles", f->dir);
    rename(from, to);
    fails(f, ERR_CORRUPT, db_open(c, f->dir, &f->options, &f->server, &f->db));
    rename(to, from);
    write_file(f, "tmp/left", "over");
    dbf_open(f);
    snprintf(from, sizeof from, "%s/left", db_tmp(f->db));
    assert_int_not_equal(access(from, F_OK), 0);
    db_close(f->db);
    f->db = NULL;
    f->options.create = false;
    fails(f, ERR_IO, db_open(c, "/nonexistent/x", &f->options, &f->server, &second));
    fails(f, ERR_FORMAT_VERSION, db_open(c, "/tmp", &f->options, &f->server, &second));
    unlink("/tmp/lock");
    dbf_open(f);
}

/* ---- sys.* ---- */

static enum status add_row(struct ctx *c, void *self, const struct value *row, int n)
{
    struct strbuf *out = self;
    (void)c;
    for (int i = 0; i < n; i++) {
        strbuf_adds(out, i ? "|" : "");
        if (row[i].null)
            strbuf_adds(out, "-");
        else
            value_format(&row[i], out);
    }
    strbuf_adds(out, "\n");
    return OK;
}

static void expect_rows(struct dbf *f, struct txn *t, enum sys_table table, const char *text)
{
    struct strbuf out = STRBUF_INIT;
    int n;
    ok(f, sys_scan(&f->t.c, t, table, add_row, &out));
    assert_true(sys_columns(table, &n) && n > 0);
    assert_string_equal(out.s ? out.s : "", text);
    strbuf_release(&out);
}

static enum status stop_at_once(struct ctx *c, void *self, const struct value *row, int n)
{
    (void)self;
    (void)row;
    (void)n;
    return fail(c, ERR_CANCELLED, "enough");
}

static enum status count_row(struct ctx *c, void *self, const struct value *row, int n)
{
    (void)c;
    (void)row;
    (void)n;
    ++*(int *)self;
    return OK;
}

static void system_tables(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create(f);
    put(f, 0, 15, 3);
    struct txn *t = dbf_begin(f);
    ok(f, object_put(c, t, OBJECT_VIEW, "v", "SELECT 1", false));
    ok(f, array_annotate(c, t, "a", NULL, "comment", "text"));
    expect_rows(f, t, SYS_DIMENSIONS, "a|1|d0|bigint|[0 : 99]|100|10|f|-|-\n");
    expect_rows(f, t, SYS_ATTRIBUTES, "a|1|v|bigint|t|-|-|K|-\na|2|w|text|f|'it''s'|raw|-|-\n");
    expect_rows(f, t, SYS_OBJECTS, "view|v|SELECT 1\n");
    int n_tiles = 0, n_versions = 0, n_arrays = 0;
    ok(f, sys_scan(c, t, SYS_TILES, count_row, &n_tiles));
    ok(f, sys_scan(c, t, SYS_VERSIONS, count_row, &n_versions));
    ok(f, sys_scan(c, t, SYS_ARRAYS, count_row, &n_arrays));
    assert_int_equal(n_tiles, 6);
    assert_int_equal(n_versions, 2);
    assert_int_equal(n_arrays, 1);
    fails(f, ERR_CANCELLED, sys_scan(c, t, SYS_ARRAYS, stop_at_once, NULL));
    ok(f, array_drop(c, t, "a"));
    expect_rows(f, t, SYS_ARRAYS, "");
    txn_rollback(t);
}

/* ---- sweeping ---- */

static int n_versions(struct dbf *f)
{
    int n = 0;
    struct txn *t = dbf_begin(f);
    ok(f, sys_scan(&f->t.c, t, SYS_VERSIONS, count_row, &n));
    txn_rollback(t);
    return n;
}

static enum status open_version(struct dbf *f, struct txn *t, int64_t version, struct array **a)
{
    struct array_ref ref = {.name = "a", .version = version, .position = -1};
    return array_open(&f->t.c, t, &ref, a);
}

static int64_t first_value(struct dbf *f, struct array *a)
{
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {1}};
    struct column col;
    uint64_t *present;
    int which = 0;
    int64_t n;
    ok(f, array_read(&f->t.c, a, &box, &which, 1, &col, &present, &n));
    return n ? *(int64_t *)col.values : -1;
}

static void old_versions_go(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    struct array *a, *snapshot, *leased;
    create(f);
    for (int i = 2; i < 10; i++)
        put(f, 0, 100, i);
    struct txn *t = dbf_begin(f), *u;
    snapshot = dbf_array(f, t, "a");
    ok(f, open_version(f, t, 4, &leased));
    put(f, 0, 100, 10);
    put(f, 0, 100, 11);
    assert_int_equal(n_versions(f), 11);
    ok(f, db_vacuum(c, f->db, "a", 1));
    assert_int_equal(first_value(f, snapshot), 9); /* a reader keeps what it holds */
    assert_int_equal(first_value(f, leased), 4);
    u = dbf_begin(f);
    fails(f, ERR_UNDEFINED_OBJECT, open_version(f, u, 4, &a));
    fails(f, ERR_UNDEFINED_OBJECT, open_version(f, u, 3, &a));
    ok(f, open_version(f, u, 11, &a));
    assert_int_equal(first_value(f, a), 11);
    txn_rollback(u);
    txn_rollback(t);
    assert_int_equal(n_versions(f), 1);
    ok(f, db_vacuum(c, f->db, NULL, 1));
    dbf_reopen(f);
    t = dbf_begin(f);
    int64_t tiles;
    ok(f, array_check(c, t, "a", &tiles));
    assert_int_equal(first_value(f, dbf_array(f, t, "a")), 11);
    txn_rollback(t);
    fails(f, ERR_UNDEFINED_TABLE, db_vacuum(c, f->db, "aa", 1));
}

static void retention(void **state)
{
    struct dbf *f = *state;
    create(f);
    for (int i = 2; i < 6; i++)
        put(f, 0, 10, i);
    db_close(f->db);
    usleep(30000);
    f->options.version_retention_ms = 10;
    dbf_open(f);
    db_sweep_wait(f->db);
    assert_int_equal(n_versions(f), 1);
    struct txn *t = dbf_begin(f);
    assert_int_equal(first_value(f, dbf_array(f, t, "a")), 5);
    txn_rollback(t);
}

/* A dropped array stays for those who read it, and goes afterwards. */
static void dropped_arrays(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create(f);
    put(f, 0, 100, 7);
    struct txn *reader = dbf_begin(f), *t = dbf_begin(f);
    struct array *a = dbf_array(f, reader, "a");
    ok(f, array_drop(c, t, "a"));
    ok(f, txn_commit(c, t));
    db_sweep_wait(f->db);
    assert_int_equal(first_value(f, a), 7);
    txn_rollback(reader);
    db_sweep_wait(f->db);
    create(f);
    t = dbf_begin(f);
    assert_int_equal(first_value(f, dbf_array(f, t, "a")), -1);
    assert_true(array_schema(dbf_array(f, t, "a"))->id > 1);
    txn_rollback(t);
    dbf_reopen(f);
    t = dbf_begin(f);
    assert_int_equal(first_value(f, dbf_array(f, t, "a")), -1);
    txn_rollback(t);
}

/* A record that is gone or changed is found. */
static void corruption_is_found(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    create(f);
    put(f, 0, 100, 7);
    db_close(f->db);
    f->db = NULL;
    char path[128];
    snprintf(path, sizeof path, "%s/tiles", f->dir);
    FILE *file = fopen(path, "r+");
    char magic[4];
    int flipped = 0;
    for (long at = 0; fseek(file, at, SEEK_SET) == 0 && fread(magic, 1, 4, file) == 4; at += 2) {
        if (memcmp(magic, "TSTL", 4) != 0) continue;
        fseek(file, at + 50, SEEK_SET);
        fputc(0x5a, file);
        flipped++;
    }
    fclose(file);
    assert_true(flipped >= 30);
    dbf_open(f);
    struct txn *t = dbf_begin(f);
    int64_t tiles;
    fails(f, ERR_CORRUPT, array_check(c, t, "a", &tiles));
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {1}};
    struct column col;
    uint64_t *present;
    int which = 0;
    fails(f, ERR_CORRUPT,
          array_read(c, dbf_array(f, t, "a"), &box, &which, 1, &col, &present, &tiles));
    txn_rollback(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dbf_setup, dbf_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(refusals),        TEST(system_tables),
                                       TEST(old_versions_go), TEST(retention),
                                       TEST(dropped_arrays),  TEST(corruption_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
