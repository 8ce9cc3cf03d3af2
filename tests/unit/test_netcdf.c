/* NetCDF: the values that ncdump prints, real coordinates, missing and packed values, times,
 * several files, damaged files, and helpers that misbehave. Files are made by ncgen from CDL. */
#include "storage/base/datetime.h"
#include "storage/base/pool.h"
#include "storage/base/value.h"
#include "storage/files/source.h"
#include "tests/unit/unit.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA "/usr/share/ferret-vis/data/"

static struct ctx c;
static struct budget budget;
static char dir[] = "/tmp/tessera_netcdf_XXXXXX";

static char *in_dir(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void run(const char *fmt, const char *a, const char *b)
{
    char command[1024];
    int n = snprintf(command, sizeof command, "cd %s && ", dir);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(command + n, sizeof command - (size_t)n, fmt, a, b);
#pragma GCC diagnostic pop
    assert_int_equal(system(command), 0);
}

/* Makes dir/name from CDL, in a format of ncgen -k. */
static char *ncgen(const char *name, const char *kind, const char *cdl)
{
    FILE *f = fopen(in_dir("in.cdl"), "w");
    fputs(cdl, f);
    fclose(f);
    char command[512];
    snprintf(command, sizeof command, "cd %s && ncgen -k %s -o %s in.cdl", dir, kind, name);
    assert_int_equal(system(command), 0);
    return in_dir(name);
}

static struct source *open_vars(const char *pattern, const char *a, const char *b)
{
    const char *vars[] = {a, b};
    struct source_options o = {.vars = vars, .n_vars = (a != NULL) + (b != NULL)};
    struct source *s = NULL;
    ctx_clear(&c);
    if (source_open(&c, pattern, &o, &s) < 0) print_error("%s\n", c.err.message);
    assert_non_null(s);
    return s;
}

static void refused(const char *pattern, const char *var, enum status expected)
{
    struct source_options o = {.vars = &var, .n_vars = var != NULL};
    struct source *s = NULL;
    ctx_clear(&c);
    enum status st = source_open(&c, pattern, &o, &s);
    if (st != expected) print_error("%s: %s\n", pattern, c.err.message);
    assert_int_equal(st, expected);
}

static void axis_is(const struct source *s, int d, const char *name, const char *expected)
{
    struct strbuf out = STRBUF_INIT;
    const struct dim *dim = &source_schema(s)->dims[d];
    assert_string_equal(dim->name, name);
    axis_format(&dim->axis, &out);
    assert_string_equal(out.s, expected);
    strbuf_release(&out);
}

static struct column read_all(struct source *s, int attr, struct box *all)
{
    struct column col;
    uint64_t *present;
    int64_t n;
    schema_box(source_schema(s), all);
    assert_int_equal(source_read(&c, s, all, &attr, 1, &col, &present, &n), OK);
    assert_null(present);
    assert_int_equal(n, box_cells(all));
    return col;
}

/* All values of a column, comma between, NULL as ~. */
static void holds(struct source *s, int attr, const char *type, const char *expected)
{
    struct box all;
    struct strbuf out = STRBUF_INIT;
    struct column col = read_all(s, attr, &all);
    assert_string_equal(type_name(source_schema(s)->attrs[attr].type), type);
    for (int64_t i = 0; i < box_cells(&all); i++) {
        if (i > 0) strbuf_addc(&out, ',');
        if (column_is_null(&col, i))
            strbuf_addc(&out, '~');
        else
            value_format_at(col.type, col.values, i, &out);
    }
    assert_string_equal(out.s, expected);
    strbuf_release(&out);
    scratch_reset(c.scratch);
}

/* ---- against ncdump ---- */

static void check_ncdump(const char *path, const char *var, int64_t least_nulls)
{
    char command[512], token[128];
    struct source *s = open_vars(path, var, NULL);
    struct box all;
    struct column col = read_all(s, 0, &all);
    int64_t n = box_cells(&all), i = 0, nulls = 0;
    snprintf(command, sizeof command, "ncdump -p 9,17 -v %s %s | sed '1,/^data:/d' | tr -d ',;}'",
             var, path);
    FILE *f = popen(command, "r");
    for (bool started = false; fscanf(f, "%127s", token) == 1;) {
        if (!started) {
            started = strcmp(token, "=") == 0;
            continue;
        }
        assert_true(i < n);
        if (strcmp(token, "_") == 0) {
            assert_true(column_is_null(&col, i));
            nulls++;
        } else {
            assert_false(column_is_null(&col, i));
            assert_true(((float *)col.values)[i] == strtof(token, NULL));
        }
        i++;
    }
    assert_int_equal(pclose(f), 0);
    assert_int_equal(i, n);
    assert_true(nulls >= least_nulls);
    /* Boxes hold what the whole does. */
    unsigned state = 3;
    for (int round = 0; round < 10; round++) {
        struct box want = all;
        int attr = 0;
        struct column part;
        uint64_t *present;
        int64_t n_present;
        for (int d = 0; d < all.n_dims; d++) {
            state = state * 1103515245 + 12345;
            want.lo[d] = (state >> 8) % all.hi[d];
            state = state * 1103515245 + 12345;
            want.hi[d] = want.lo[d] + 1 + (state >> 8) % (all.hi[d] - want.lo[d]);
        }
        assert_int_equal(source_read(&c, s, &want, &attr, 1, &part, &present, &n_present), OK);
        for (int64_t k = 0; k < n_present; k++) {
            int64_t pos[MAX_DIMS];
            box_position(&want, k, pos);
            int64_t at = box_index(&all, pos);
            assert_int_equal(column_is_null(&part, k), column_is_null(&col, at));
            if (!column_is_null(&part, k))
                assert_true(((float *)part.values)[k] == ((float *)col.values)[at]);
        }
    }
    scratch_reset(c.scratch);
    source_close(s);
}

static void test_ncdump(void **unused)
{
    (void)unused;
    check_ncdump(DATA "coads_climatology.cdf", "SST", 10000);
    check_ncdump(DATA "etopo60.cdf", "ROSE", 0);
    check_ncdump(DATA "monthly_navy_winds.cdf", "UWND", 0);
    run("nccopy -k nc4 -d1 -s -c TIME/1,ZAXLEVIT19/19,YAX_SUBSET/45,XAX_SUBSET/90 %s %s",
        DATA "ocean_atlas_subset.nc", "atlas4.nc");
    check_ncdump(in_dir("atlas4.nc"), "TEMP", 1000);
}

static void test_schemas(void **unused)
{
    (void)unused;
    struct source *s = open_vars(DATA "coads_climatology.cdf", NULL, NULL);
    const struct schema *schema = source_schema(s);
    assert_int_equal(schema->n_attrs, 7);
    assert_string_equal(schema->attrs[0].name, "sst");
    assert_string_equal(schema->attrs[0].unit, "Deg C");
    assert_string_equal(schema->attrs[0].comment, "SEA SURFACE TEMPERATURE");
    axis_is(s, 0, "time", "['0001-01-16 06:00:00 BC' : * : '730:29:06']");
    axis_is(s, 1, "coadsy", "[-89 : 89 : 2]");
    axis_is(s, 2, "coadsx", "[21 : 379 : 2]");
    assert_string_equal(schema->dims[1].unit, "degrees_north");
    assert_int_equal(schema->dims[0].axis.hi, 12);
    source_close(s);

    s = open_vars(DATA "monthly_navy_winds.cdf", "uwnd", "Vwnd");
    axis_is(s, 0, "time", "['1982-01-16 20:00:00' : * : '730:30:00']");
    assert_int_equal(source_schema(s)->dims[0].axis.hi, 132);
    assert_string_equal(source_schema(s)->attrs[1].name, "vwnd");
    source_close(s);

    s = open_vars(DATA "etopo60.cdf", NULL, NULL);
    axis_is(s, 0, "etopo60y", "[-89.5 : 89.5 : 1]");
    axis_is(s, 1, "etopo60x", "[20.5 : 379.5 : 1]");
    source_close(s);

    s = open_vars(DATA "ocean_atlas_subset.nc", NULL, NULL);
    assert_int_equal(source_schema(s)->n_dims, 4);
    axis_is(s, 1, "zaxlevit19", "(0, 10, 20, 30, 50, 75, 100, 125, …)");
    source_close(s);

    s = open_vars(in_dir("atlas4.nc"), NULL, NULL);
    int64_t grid[MAX_DIMS];
    source_grid(s, grid);
    assert_true(grid[1] == 19 && grid[2] % 45 == 0 && grid[3] % 90 == 0);
    source_close(s);
    refused(DATA "etopo60.cdf", "rosa", ERR_UNDEFINED_COLUMN);
    assert_string_equal(c.err.hint, "Perhaps you meant \"rose\".");
    refused(DATA "coads_climatology.cdf", "nothing", ERR_UNDEFINED_COLUMN);
}

struct parallel {
    struct source *s;
    atomic_int_least64_t n_valid;
};
static enum status count_task(struct ctx *worker, void *self, int w, int64_t task)
{
    struct parallel *p = self;
    struct box want;
    struct column col;
    uint64_t *present;
    int64_t n;
    int attr = 0;
    (void)w;
    schema_box(source_schema(p->s), &want);
    want.lo[0] = task;
    want.hi[0] = task + 1;
    TRY(source_read(worker, p->s, &want, &attr, 1, &col, &present, &n));
    atomic_fetch_add(&p->n_valid, col.valid ? bits_count(col.valid, 0, n) : n);
    return OK;
}

/* Many workers read one file, each through a helper of its own. */
static void test_parallel(void **unused)
{
    (void)unused;
    struct parallel p = {.s = open_vars(DATA "coads_climatology.cdf", "SST", NULL)};
    struct box all;
    struct column col = read_all(p.s, 0, &all);
    int64_t expected = bits_count(col.valid, 0, box_cells(&all));
    c.pool = pool_new(4);
    for (int round = 0; round < 3; round++) {
        atomic_store(&p.n_valid, 0);
        assert_int_equal(pool_run(&c, 12, 0, count_task, &p), OK);
        assert_int_equal(atomic_load(&p.n_valid), expected);
    }
    pool_free(c.pool);
    c.pool = NULL;
    source_close(p.s);
}

/* ---- values ---- */

static const char values_cdl[] =
    "netcdf v { dimensions: x = 4; len = 3; y = 2;\n"
    "variables: short packed(x); packed:scale_factor = 0.5f; packed:add_offset = 10.f;\n"
    " packed:_FillValue = -1s;\n"
    " int wide(x); wide:scale_factor = 0.1; wide:missing_value = 3, 4;\n"
    " byte small(x); small:_Unsigned = \"true\"; small:missing_value = -999;\n"
    " short plain(x); short unwritten(x);\n"
    " double notnum(x); notnum:_FillValue = NaN;\n"
    " float odd(x); odd:missing_value = -99.9; odd:units = \"\xb0"
    "C\";\n"
    " char name(x, len); double two(x, y); char flat(len); int scalar;\n"
    "data: packed = 0, 1, -1, 4; wide = 1, 2, 3, 4; small = 1, -1, 25, 0;\n"
    " plain = 1, _, 3, 4; notnum = 1, NaN, 2, Infinity; odd = 1, -99.9, 2, 3;\n"
    " name = \"ab\", \"c\", \"xyz\", \"\"; two = 1,2,3,4,5,6,7,8; flat = \"abc\"; scalar = 42; }";

static void check_values(const char *path)
{
    static const struct {
        const char *var, *type, *expected;
    } rows[] = {
        {"packed", "real", "10,10.5,~,12"},
        {"wide", "double precision", "0.1,0.2,~,~"},
        {"small", "utinyint", "1,255,25,0"},
        {"plain", "smallint", "1,~,3,4"},
        {"unwritten", "smallint", "~,~,~,~"},
        {"notnum", "double precision", "1,~,2,Infinity"},
        {"odd", "real", "1,~,2,3"},
        {"name", "text", "ab,c,xyz,"},
        {"flat", "text", "abc"},
        {"scalar", "integer", "42"},
        {"two", "double precision", "1,2,3,4,5,6,7,8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct source *s = open_vars(path, rows[i].var, NULL);
        holds(s, 0, rows[i].type, rows[i].expected);
        source_close(s);
    }
    struct source *s = open_vars(path, NULL, NULL);
    assert_int_equal(source_schema(s)->n_attrs, 8); /* of dimension x alone */
    axis_is(s, 0, "x", "[0 : 3]");
    assert_string_equal(source_schema(s)->attrs[6].unit, "?C");
    source_close(s);
}

static void test_values(void **unused)
{
    (void)unused;
    check_values(ncgen("v3.nc", "nc3", values_cdl));
    check_values(ncgen("v4.nc", "nc4", values_cdl));
    struct source *s = open_vars(
        ncgen("v4s.nc", "nc4",
              "netcdf s { dimensions: station = 2; t = 3; variables: string station(station);\n"
              " string note(station); uint64 big(station); int64 v(station, t);\n"
              "data: station = \"Zürich\", \"Bern\"; note = \"\", \"n\";\n"
              " big = 18446744073709551615, 1; v = 1,2,3,4,5,6; }"),
        "note", "big");
    axis_is(s, 0, "station", "('Zürich', 'Bern')");
    holds(s, 0, "text", ",n");
    holds(s, 1, "ubigint", "18446744073709551615,1");
    source_close(s);
}

/* ---- times ---- */

static void time_axis(const char *attrs, const char *type, const char *values, const char *expected)
{
    char cdl[1024];
    snprintf(cdl, sizeof cdl,
             "netcdf t { dimensions: time = UNLIMITED; variables: %s time(time); %s\n"
             " int v(time); data: time = %s; }",
             type, attrs, values);
    struct source *s = open_vars(ncgen("t.nc", "nc3", cdl), "v", NULL);
    axis_is(s, 0, "time", expected);
    source_close(s);
}

static void test_times(void **unused)
{
    (void)unused;
    time_axis("time:units = \"days since 2000-01-31\";", "int", "0, 29, 60",
              "['2000-01-31' : * : '1 mon']");
    time_axis("time:units = \"hours since 1900-01-01 00:00:0.0\";", "int", "1051896, 1051902",
              "['2020-01-01' : * : '06:00:00']");
    time_axis("time:units = \"days since 1900-01-01\";", "double",
              "43829, 43829.041666666664, 43829.083333333336", "['2020-01-01' : * : '01:00:00']");
    /* Julian until 1582: two days are made up since the year 1. */
    time_axis("time:units = \"days since 0001-01-01\"; time:calendar = \"standard\";", "double",
              "737426, 737427", "['2020-01-01' : * : '1 day']");
    time_axis("time:units = \"days since 0001-01-01\"; time:calendar = \"proleptic_gregorian\";",
              "double", "737424, 737425", "['2020-01-01' : * : '1 day']");
    /* Other calendars stay numbers. */
    time_axis("time:units = \"days since 2000-01-01\"; time:calendar = \"noleap\";", "double",
              "0, 1, 2", "[0 : * : 1]");
    struct source *s = open_vars(in_dir("t.nc"), "v", NULL);
    assert_string_equal(source_schema(s)->dims[0].unit, "days since 2000-01-01");
    assert_string_equal(source_schema(s)->dims[0].comment, "calendar noleap");
    source_close(s);
    time_axis("time:units = \"months since 2000-01-01\";", "int", "1, 2, 3", "[1 : *]");
    /* One that stands twice labels nothing. */
    time_axis("time:units = \"days since 2000-01-01\";", "int", "1, 2, 2", "[0 : *]");
}

/* ---- several files ---- */

static void part(const char *name, const char *units, const char *times, const char *lat,
                 const char *values)
{
    char cdl[1024];
    snprintf(cdl, sizeof cdl,
             "netcdf p { dimensions: time = UNLIMITED; lat = 2; variables: int time(time);\n"
             " time:units = \"%s\"; float lat(lat); short v(time, lat); v:scale_factor = %s;\n"
             " data: time = %s; lat = %s; v = %s; }",
             units, strcmp(times, "0, 1") ? "1." : "2.", times, lat, values);
    ncgen(name, "nc3", cdl);
}

static void test_several(void **unused)
{
    (void)unused;
    part("a_2.nc", "days since 2020-01-01", "0, 1", "10, 20", "1, 2, 3, 4");
    part("a_1.nc", "days since 2020-01-03", "0, 1, 2", "10, 20", "5, 6, 7, 8, 9, 10");
    struct source *s = open_vars(in_dir("a_*.nc"), NULL, NULL);
    axis_is(s, 0, "time", "['2020-01-01' : * : '1 day']");
    assert_int_equal(source_schema(s)->dims[0].axis.hi, 5);
    holds(s, 0, "double precision", "2,4,6,8,5,6,7,8,9,10");
    source_close(s);
}

static void test_mismatch(void **unused)
{
    (void)unused;
    part("b_1.nc", "days since 2020-01-01", "3, 4", "10, 20", "1, 2, 3, 4");
    part("b_2.nc", "days since 2020-01-01", "4, 5", "10, 20", "1, 2, 3, 4");
    refused(in_dir("b_*.nc"), NULL, ERR_AXIS_MISMATCH);
    assert_non_null(strstr(c.err.message, "overlap in dimension \"time\""));
    part("b_2.nc", "days since 2020-01-01", "5, 6", "10, 21", "1, 2, 3, 4");
    refused(in_dir("b_*.nc"), NULL, ERR_AXIS_MISMATCH);
    assert_non_null(strstr(c.err.message, "differ in dimension \"lat\""));
    refused(in_dir("none_*.nc"), NULL, ERR_FILE_MISSING);
}

/* ---- bad files, bad helpers ---- */

/* The helper of an open source has a system call filter and can gain no rights. */
static void test_confined(void **unused)
{
    (void)unused;
    struct source *s = open_vars(DATA "etopo60.cdf", NULL, NULL);
    char path[128], line[256];
    int pid = 0, confined = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%d", &pid), 1);
    fclose(f);
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        confined += strcmp(line, "Seccomp:\t2\n") == 0 || strcmp(line, "NoNewPrivs:\t1\n") == 0;
    fclose(f);
    assert_int_equal(confined, 2);
    source_close(s);
}

static void try_file(const char *path)
{
    struct source_options o = {0};
    struct source *s = NULL;
    ctx_clear(&c);
    if (source_open(&c, path, &o, &s) < 0) {
        assert_true(c.err.code == ERR_BAD_COPY_FORMAT || c.err.code == ERR_TOO_MANY_COLUMNS ||
                    c.err.code == ERR_UNSUPPORTED || c.err.code == ERR_INVALID_ENCODING ||
                    c.err.code == ERR_MEMORY);
        return;
    }
    struct box all, some;
    struct column col;
    uint64_t *present;
    int64_t n;
    int attr = 0;
    schema_box(source_schema(s), &all);
    some = all;
    for (int d = 0; d < all.n_dims; d++) {
        if (some.hi[d] > 10) some.hi[d] = 10;
    }
    source_read(&c, s, &some, &attr, 1, &col, &present, &n);
    source_close(s);
    scratch_reset(c.scratch);
}

static void damage(const char *kind)
{
    static char bytes[1 << 20];
    ncgen("whole.nc", kind, values_cdl);
    FILE *f = fopen(in_dir("whole.nc"), "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    unsigned state = 5;
    for (int round = 0; round < 60; round++) {
        static char copy[1 << 20];
        memcpy(copy, bytes, n);
        state = state * 1103515245 + 12345;
        size_t len = round % 3 == 0 ? (state >> 8) % n : n;
        for (int k = 0; k < (round % 3 ? 4 : 0); k++) {
            state = state * 1103515245 + 12345;
            copy[(state >> 8) % (n < 2000 ? n : 2000)] = (char)(state >> 3);
        }
        f = fopen(in_dir("damaged.nc"), "wb");
        fwrite(copy, 1, len, f);
        fclose(f);
        try_file(in_dir("damaged.nc"));
    }
}

/* Whole it can be read, without its last value it cannot. */
static void cut_short(const char *kind)
{
    struct stat st;
    struct source *s;
    ncgen("cut.nc", kind, values_cdl);
    assert_int_equal(source_open(&c, in_dir("cut.nc"), &(struct source_options){0}, &s), OK);
    source_close(s);
    assert_int_equal(stat(in_dir("cut.nc"), &st), 0);
    assert_int_equal(truncate(in_dir("cut.nc"), st.st_size - 8), 0);
    refused(in_dir("cut.nc"), NULL, ERR_BAD_COPY_FORMAT);
    assert_int_equal(truncate(in_dir("cut.nc"), st.st_size / 2), 0);
    refused(in_dir("cut.nc"), NULL, ERR_BAD_COPY_FORMAT);
}

static void test_damaged(void **unused)
{
    (void)unused;
    cut_short("nc3");
    cut_short("nc6");
    cut_short("nc5");
    damage("nc3");
    damage("nc4");
    FILE *f = fopen(in_dir("text.nc"), "w");
    fputs("this is no NetCDF file", f);
    fclose(f);
    refused(in_dir("text.nc"), NULL, ERR_BAD_COPY_FORMAT);
    refused(in_dir("missing.nc"), NULL, ERR_FILE_MISSING);
}

static void helper_is(const char *script)
{
    FILE *f = fopen(in_dir("helper"), "w");
    fprintf(f, "#!/bin/sh\n%s\n", script);
    fclose(f);
    chmod(in_dir("helper"), 0755);
    setenv("TESSERA_NETCDF_HELPER", in_dir("helper"), 1);
}

static void test_bad_helpers(void **unused)
{
    (void)unused;
    helper_is("exit 1");
    refused(DATA "etopo60.cdf", NULL, ERR_BAD_COPY_FORMAT);
    helper_is("kill -SEGV $$");
    refused(DATA "etopo60.cdf", NULL, ERR_BAD_COPY_FORMAT);
    helper_is("cat"); /* answers with the request */
    refused(DATA "etopo60.cdf", NULL, ERR_BAD_COPY_FORMAT);
    helper_is("head -c 100000 /dev/urandom");
    refused(DATA "etopo60.cdf", NULL, ERR_BAD_COPY_FORMAT);
    helper_is("head -c 100000 /dev/zero; exec sleep 1");
    refused(DATA "etopo60.cdf", NULL, ERR_BAD_COPY_FORMAT);
    helper_is("exec sleep 600"); /* hangs: the statement can be cancelled */
    struct cancel cancel = {.deadline_ns = now_ns() + 200000000};
    c.cancel = &cancel;
    refused(DATA "etopo60.cdf", NULL, ERR_CANCELLED);
    c.cancel = NULL;
    setenv("TESSERA_NETCDF_HELPER", "/nonexistent", 1);
    refused(DATA "etopo60.cdf", NULL, ERR_FILE_MISSING);
    unsetenv("TESSERA_NETCDF_HELPER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ncdump),   cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_parallel), cmocka_unit_test(test_values),
        cmocka_unit_test(test_times),    cmocka_unit_test(test_several),
        cmocka_unit_test(test_mismatch), cmocka_unit_test(test_confined),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_bad_helpers)};
    budget_init(&budget, NULL, 0);
    c = (struct ctx){.arena = arena_new(), .budget = &budget, .scratch = scratch_new(&budget)};
    if (!mkdtemp(dir)) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(c.arena);
    scratch_free(c.scratch);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) | failed;
}
