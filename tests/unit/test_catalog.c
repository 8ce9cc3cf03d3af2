/* The catalog gives back what it was told, as of each version, and keeps nothing of what was not
 * committed. */
#include "storage/catalog.h"
#include "storage/def.h"
#include "tests/unit/db_fixture.h"
#include <sqlite3.h>

struct cat {
    struct dbf f;
    char path[96];
    struct catalog *catalog;
};

static int setup(void **state)
{
    struct cat *k = calloc(1, sizeof *k);
    test_ctx_open(&k->f.t, NULL);
    snprintf(k->f.dir, sizeof k->f.dir, "/tmp/tessera-cat-XXXXXX");
    if (!mkdtemp(k->f.dir)) return -1;
    snprintf(k->path, sizeof k->path, "%s/catalog", k->f.dir);
    ok(&k->f, catalog_open(&k->f.t.c, k->path, false, &k->catalog));
    *state = k;
    return 0;
}

static int teardown(void **state)
{
    struct cat *k = *state;
    catalog_close(k->catalog);
    nftw(k->f.dir, dbf_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    test_ctx_close(&k->f.t);
    free(k);
    return 0;
}

static void reopen(struct cat *k)
{
    catalog_close(k->catalog);
    k->catalog = NULL;
    ok(&k->f, catalog_open(&k->f.t.c, k->path, false, &k->catalog));
}

/* Publishes one version of one array. */
static void publish(struct cat *k, const struct def *old, const struct def *d, int64_t version)
{
    struct ctx *c = &k->f.t.c;
    struct version_row row = {.array = d ? d->s.id : old->s.id,
                              .version = version,
                              .state = VERSION_LIVE,
                              .committed_us = 1000 * version,
                              .totals = {.tiles = version, .digest = UINT64_MAX - 5}};
    bool unknown;
    ok(&k->f, catalog_begin(c, k->catalog));
    ok(&k->f, catalog_put_version(c, k->catalog, &row));
    ok(&k->f,
       catalog_put_schema(c, k->catalog, old ? &old->s : NULL, d ? &d->s : NULL, NULL, version));
    ok(&k->f, catalog_commit(c, k->catalog, &unknown));
}

static struct def *sample(struct cat *k)
{
    struct ctx *c = &k->f.t.c;
    struct value labels[] = {value_double(2.5), value_double(-1)};
    struct attr attrs[] = {
        {.name = "x", .id = 1, .type = T_FLOAT64, .has_default = true, .deflt = value_double(NAN)},
        {.name = "u",
         .id = 2,
         .type = T_UINT64,
         .has_default = true,
         .deflt = {.type = T_UINT64, .u = UINT64_MAX},
         .not_null = true,
         .zstd_level = 7},
        {.name = "w",
         .id = 3,
         .type = T_TEXT,
         .has_default = true,
         .deflt = value_text("héllo"),
         .unit = "m",
         .comment = "c",
         .added_later = true},
    };
    struct schema s = {
        .id = 5, .name = "a", .n_dims = 2, .n_attrs = 3, .attrs = attrs, .comment = "an array"};
    struct dim dims[2] = {{.name = "lat", .tile = 90, .unit = "degrees"}, {.name = "z", .tile = 4}};
    struct value lo = value_double(-89.875), hi = value_double(89.875), step = value_double(0.25);
    ok(&k->f, axis_regular(c, "lat", T_FLOAT64, &lo, &hi, &step, &dims[0].axis));
    ok(&k->f, axis_labelled(c, "z", T_FLOAT64, labels, 2, true, &dims[1].axis));
    s.dims = dims;
    return def_new(&s);
}

static void same_axis(const struct axis *a, const struct axis *b)
{
    struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
    axis_format(a, &x);
    axis_format(b, &y);
    assert_string_equal(x.s, y.s);
    assert_int_equal(a->lo, b->lo);
    assert_int_equal(a->hi, b->hi);
    strbuf_release(&x);
    strbuf_release(&y);
}

static void schemas_round_trip(void **state)
{
    struct cat *k = *state;
    struct ctx *c = &k->f.t.c;
    struct def *d = sample(k), *got;
    publish(k, NULL, d, 1);
    reopen(k);
    ok(&k->f, def_load(c, k->catalog, 5, 1, &got));
    assert_string_equal(got->s.name, "a");
    assert_string_equal(got->s.comment, "an array");
    assert_int_equal(got->s.n_dims, 2);
    for (int i = 0; i < 2; i++) {
        same_axis(&got->s.dims[i].axis, &d->s.dims[i].axis);
        assert_int_equal(got->s.dims[i].tile, d->s.dims[i].tile);
    }
    assert_string_equal(got->s.dims[0].unit, "degrees");
    assert_true(value_get(T_FLOAT64, got->labels[1]->labels.values, 0).d == -1);
    assert_int_equal(got->labels[1]->labels.stored[0], 1);
    assert_true(isnan(got->s.attrs[0].deflt.d) && got->s.attrs[0].has_default);
    assert_true(got->s.attrs[1].deflt.u == UINT64_MAX && got->s.attrs[1].not_null);
    assert_int_equal(got->s.attrs[1].zstd_level, 7);
    assert_int_equal(got->s.attrs[2].deflt.t.len, 6);
    assert_true(got->s.attrs[2].added_later && !got->s.attrs[1].added_later);
    assert_string_equal(got->s.attrs[2].unit, "m");
    assert_null(got->s.attrs[2].dict);
    def_unref(got);
    def_unref(d);
}

/* Each version keeps its own schema, labels and strings; forgetting old ones keeps the newest. */
static void versions_of_a_schema(void **state)
{
    struct cat *k = *state;
    struct ctx *c = &k->f.t.c;
    struct def *one = sample(k), *two = def_copy(one, 1), *three, *got;
    publish(k, NULL, one, 1);
    const double more[] = {0.5};
    def_set_labels(two, 1, labels_grow(T_FLOAT64, true, two->s.dims[1].axis.labels, more, 1));
    struct strings *list = strings_writable(NULL, 0);
    assert_int_equal(strings_code(list, (struct text){"p", 1}), 0);
    assert_int_equal(strings_code(list, (struct text){"q", 1}), 1);
    assert_int_equal(strings_code(list, (struct text){"p", 1}), 0);
    def_set_strings(two, 2, list, 2);
    two->s.attrs[0].name = "renamed";
    two->s.name = "b";
    publish(k, one, two, 4);
    three = def_copy(two, 0);
    def_remove_attr(three, 0);
    publish(k, two, three, 6);
    reopen(k);
    ok(&k->f, def_load(c, k->catalog, 5, 3, &got));
    assert_string_equal(got->s.name, "a");
    assert_string_equal(got->s.attrs[0].name, "x");
    assert_int_equal(got->s.dims[1].axis.hi, 2);
    def_unref(got);
    ok(&k->f, def_load(c, k->catalog, 5, 5, &got));
    assert_string_equal(got->s.name, "b");
    assert_string_equal(got->s.attrs[0].name, "renamed");
    assert_int_equal(got->s.attrs[2].dict->n, 2);
    assert_memory_equal(got->s.attrs[2].dict->strings[1].s, "q", 1);
    const double in_order[] = {-1, 0.5, 2.5};
    assert_memory_equal(got->labels[1]->labels.values, in_order, sizeof in_order);
    const int64_t stored[] = {1, 2, 0};
    assert_memory_equal(got->labels[1]->labels.stored, stored, sizeof stored);
    def_unref(got);
    uint16_t *ids, max;
    int n;
    ok(&k->f, catalog_gone_attrs(c, k->catalog, 5, 5, c->arena, &ids, &n));
    assert_int_equal(n, 0);
    ok(&k->f, catalog_gone_attrs(c, k->catalog, 5, 6, c->arena, &ids, &n));
    assert_true(n == 1 && ids[0] == 1);
    ok(&k->f, catalog_max_attr(c, k->catalog, 5, &max));
    assert_int_equal(max, 3);
    const int64_t old[] = {1, 4};
    ok(&k->f, catalog_swept(c, k->catalog, 5, old, 2, 6));
    fails(&k->f, ERR_CORRUPT, def_load(c, k->catalog, 5, 3, &got));
    ok(&k->f, def_load(c, k->catalog, 5, 6, &got));
    assert_int_equal(got->s.n_attrs, 2);
    assert_int_equal(got->s.attrs[1].dict->n, 2);
    def_unref(got);
    def_unref(one);
    def_unref(two);
    def_unref(three);
}

static void versions_and_counters(void **state)
{
    struct cat *k = *state;
    struct ctx *c = &k->f.t.c;
    struct def *d = sample(k);
    struct version_row *rows, row;
    struct counter_row *counters;
    struct array_row *arrays;
    int n;
    uint32_t next;
    bool found, unknown;
    publish(k, NULL, d, 1);
    publish(k, d, d, 2);
    ok(&k->f, catalog_pending(c, k->catalog, 5, 3));
    ok(&k->f, catalog_begin(c, k->catalog));
    ok(&k->f, catalog_put_schema(c, k->catalog, &d->s, NULL, NULL, 3));
    catalog_abort(k->catalog);
    ok(&k->f, catalog_begin(c, k->catalog));
    fault_set("publish:1:io");
    fails(&k->f, ERR_IO, catalog_commit(c, k->catalog, &unknown));
    assert_false(unknown);
    fault_set(NULL);
    reopen(k);
    ok(&k->f, catalog_bury_pending(c, k->catalog));
    ok(&k->f, catalog_versions(c, k->catalog, 5, c->arena, &rows, &n));
    assert_int_equal(n, 3);
    assert_true(rows[1].state == VERSION_LIVE && rows[2].state == VERSION_DEAD);
    assert_true(rows[1].totals.tiles == 2 && rows[1].totals.digest == UINT64_MAX - 5);
    ok(&k->f, catalog_version_find(c, k->catalog, 5, 0, 1999, &row, &found));
    assert_true(found && row.version == 1);
    ok(&k->f, catalog_version_find(c, k->catalog, 5, 0, 999, &row, &found));
    assert_false(found);
    ok(&k->f, catalog_version_find(c, k->catalog, 5, 3, 0, &row, &found));
    assert_false(found); /* not live */
    ok(&k->f, catalog_counters(c, k->catalog, c->arena, &counters, &n, &next));
    assert_true(n == 1 && counters[0].next_version == 4 && next == 6);
    ok(&k->f, catalog_arrays(c, k->catalog, c->arena, &arrays, &n));
    assert_true(n == 1 && arrays[0].version == 2);
    ok(&k->f, catalog_purge(c, k->catalog, 5));
    ok(&k->f, catalog_arrays(c, k->catalog, c->arena, &arrays, &n));
    assert_int_equal(n, 0);
    ok(&k->f, catalog_counters(c, k->catalog, c->arena, &counters, &n, &next));
    assert_true(n == 0 && next == 6); /* the id is not used again */
    def_unref(d);
}

static void bad_files(void **state)
{
    struct cat *k = *state;
    struct ctx *c = &k->f.t.c;
    catalog_close(k->catalog);
    k->catalog = NULL;
    FILE *file = fopen(k->path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database. ", file);
    fclose(file);
    fails(&k->f, ERR_CORRUPT, catalog_open(c, k->path, false, &k->catalog));
    fails(&k->f, ERR_IO, catalog_open(c, "/nonexistent/catalog", false, &k->catalog));
}

/* ---- formats ---- */

static void change_file(struct cat *k, const char *sql)
{
    sqlite3 *db;
    catalog_close(k->catalog);
    k->catalog = NULL;
    assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int64_t number(struct cat *k, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    catalog_close(k->catalog);
    k->catalog = NULL;
    assert_int_equal(sqlite3_open(k->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

#define BACK_TO_2                                                                                  \
    "DROP TABLE schedule_runs; DROP TABLE files; DELETE FROM meta WHERE key = 'next_run';"         \
    "PRAGMA user_version = 2;"
#define BACK_TO_1 BACK_TO_2 "DROP TABLE patches; PRAGMA user_version = 1;"

/* What an older catalog has is there afterwards, and so is what only newer ones can have. */
static void upgraded(struct cat *k, const struct def *d, const char *older)
{
    struct ctx *c = &k->f.t.c;
    struct def *got;
    const struct tile_key key = {.array = 5, .version = 2, .n_dims = 2};
    const struct run_row run = {.run = 7, .schedule = 3, .name = "s", .status = RUN_SUCCEEDED};
    struct run_row *rows;
    int64_t array = 0, next;
    int n;
    bool found, unknown;
    change_file(k, older);
    ok(&k->f, catalog_open(c, k->path, false, &k->catalog));
    assert_int_equal(number(k, "PRAGMA user_version"), 3);
    ok(&k->f, catalog_open(c, k->path, false, &k->catalog));
    ok(&k->f, def_load(c, k->catalog, 5, 1, &got));
    assert_string_equal(got->s.name, d->s.name);
    def_unref(got);
    ok(&k->f, catalog_begin(c, k->catalog));
    ok(&k->f, catalog_put_patch(c, k->catalog, &key, "patch", 5));
    ok(&k->f, catalog_put_run(c, k->catalog, &run));
    ok(&k->f, catalog_count_runs(c, k->catalog, 8));
    ok(&k->f, catalog_commit(c, k->catalog, &unknown));
    reopen(k);
    ok(&k->f, catalog_patched_array(c, k->catalog, &array, &found));
    assert_true(found && array == 5);
    ok(&k->f, catalog_runs(c, k->catalog, RUNS_PAGE, 0, 0, c->arena, &rows, &n));
    assert_true(n == 1 && rows[0].run == 7 && rows[0].status == RUN_SUCCEEDED);
    ok(&k->f, catalog_next_run(c, k->catalog, &next));
    assert_int_equal(next, 8);
    assert_int_equal(number(k, "SELECT count(*) FROM files"), 0);
    ok(&k->f, catalog_open(c, k->path, false, &k->catalog));
}

static void older_formats(void **state)
{
    struct cat *k = *state;
    struct ctx *c = &k->f.t.c;
    struct def *d = sample(k);
    publish(k, NULL, d, 1);
    upgraded(k, d, BACK_TO_1);
    upgraded(k, d, BACK_TO_2);
    def_unref(d);
    /* One step that fails leaves the older format whole. */
    change_file(k, BACK_TO_1 "CREATE TABLE schedule_runs (x)");
    fails(&k->f, ERR_INTERNAL, catalog_open(c, k->path, false, &k->catalog));
    assert_int_equal(number(k, "PRAGMA user_version"), 1);
    assert_int_equal(number(k, "SELECT count(*) FROM sqlite_master WHERE name = 'patches'"), 0);
    change_file(k, "DROP TABLE schedule_runs; PRAGMA user_version = 4");
    fails(&k->f, ERR_FORMAT_VERSION, catalog_open(c, k->path, false, &k->catalog));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(schemas_round_trip), TEST(versions_of_a_schema),
                                       TEST(versions_and_counters), TEST(bad_files),
                                       TEST(older_formats)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
