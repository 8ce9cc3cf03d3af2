/* Reading as the query layer does: labels in logical order, axes that grow, texts, boxes past the
 * axis, without the cache, and from many threads at once. */
#include "storage/base/settings.h"
#include "tests/unit/db_fixture.h"

static struct axis labelled(struct dbf *f, enum type type, const struct value *labels, int64_t n,
                            bool grows)
{
    struct axis x;
    ok(f, axis_labelled(&f->t.c, "x", type, labels, n, grows, &x));
    return x;
}

/* Inserts (coordinate, value) pairs, a row at a time or all at once. */
static enum status insert(struct dbf *f, struct txn *t, int64_t n, const int64_t *days,
                          const char *const *names, const double *values, bool one_by_one)
{
    struct ctx *c = &f->t.c;
    struct writer *w;
    int which = 0;
    TRY(writer_open(c, t, "prices", CONFLICT_ERROR, &which, 1, &w));
    enum status s = OK;
    int64_t step = one_by_one ? 1 : n, written = 0;
    for (int64_t i = 0; s == OK && i < n; i += step) {
        int32_t day[32];
        struct text name[32];
        int64_t p0[32], p1[32], *pos[2] = {p0, p1};
        double v[32];
        for (int64_t k = 0; k < step; k++) {
            day[k] = (int32_t)days[i + k];
            name[k] = (struct text){names[i + k], (int64_t)strlen(names[i + k])};
            v[k] = values[i + k];
        }
        struct column days_col = {T_DATE, day, NULL}, names_col = {T_TEXT, name, NULL};
        struct column col = {T_FLOAT64, v, NULL};
        s = writer_positions(c, w, 0, &days_col, step, p0);
        if (s == OK) s = writer_positions(c, w, 1, &names_col, step, p1);
        if (s == OK) s = writer_put_cells(c, w, step, pos, &col, &written);
    }
    if (s == OK) s = writer_finish(c, w);
    writer_free(w);
    return s;
}

static void create_prices(struct dbf *f, struct txn *t)
{
    const int64_t lengths[] = {1, 1}, tiles[] = {3, 2};
    struct attr a[] = {{.name = "close", .type = T_FLOAT64}};
    struct schema *s = dbf_schema(f, "prices", 2, lengths, tiles, false, a, 1);
    s->dims[0].name = "day";
    s->dims[1].name = "ticker";
    s->dims[0].axis = labelled(f, T_DATE, NULL, 0, true);
    s->dims[1].axis = labelled(f, T_TEXT, NULL, 0, true);
    ok(f, array_create(&f->t.c, t, s));
}

/* The array as text, in logical order: "day/ticker=close …". */
static void dump(struct dbf *f, struct txn *t, int64_t version, struct strbuf *out)
{
    struct ctx *c = &f->t.c;
    struct array_ref ref = {.name = "prices", .version = version, .position = -1};
    struct array *a;
    struct column col;
    struct box box;
    uint64_t *present;
    int which = 0;
    int64_t n;
    ok(f, array_open(c, t, &ref, &a));
    const struct schema *s = array_schema(a);
    schema_box(s, &box);
    ok(f, array_read(c, a, &box, &which, 1, &col, &present, &n));
    for (int64_t i = 0; n && i < box_cells(&box); i++) {
        int64_t pos[2];
        if (present && !bit_get(present, i)) continue;
        box_position(&box, i, pos);
        struct value day = axis_coord(&s->dims[0].axis, pos[0]);
        struct value name = axis_coord(&s->dims[1].axis, pos[1]);
        strbuf_addf(out, "%s%lld/%.*s=%g", out->len ? " " : "", (long long)day.i, (int)name.t.len,
                    name.t.s, ((double *)col.values)[i]);
    }
    scratch_reset(c->scratch);
}

static void expect(struct dbf *f, struct txn *t, int64_t version, const char *text)
{
    struct strbuf got = STRBUF_INIT;
    dump(f, t, version, &got);
    assert_string_equal(got.s ? got.s : "", text);
    strbuf_release(&got);
}

static void labels_join_in_order(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t days[] = {30, 10, 20, 10, 40, 5, 30};
    const char *const names[] = {"B", "A", "C", "B", "A", "A", "A"};
    const double values[] = {1, 2, 3, 4, 5, 6, 7};
    struct txn *t = dbf_begin(f);
    create_prices(f, t);
    ok(f, insert(f, t, 3, days, names, values, true));
    expect(f, t, 0, "10/A=2 20/C=3 30/B=1");
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    ok(f, insert(f, t, 4, days + 3, names + 3, values + 3, false));
    const char *all = "5/A=6 10/B=4 10/A=2 20/C=3 30/B=1 30/A=7 40/A=5";
    expect(f, t, 0, all);
    ok(f, txn_commit(c, t));
    dbf_reopen(f);
    t = dbf_begin(f);
    expect(f, t, 0, all);
    expect(f, t, 1, "10/A=2 20/C=3 30/B=1");
    /* a box in the middle, and one past the end, in logical positions */
    struct array *a = dbf_array(f, t, "prices");
    struct box box = {.n_dims = 2, .lo = {1, 0}, .hi = {4, 2}};
    struct column col;
    uint64_t *present;
    int which = 0;
    int64_t n, tile[] = {0, 0};
    ok(f, array_read(c, a, &box, &which, 1, &col, &present, &n));
    assert_int_equal(n, 4); /* 10/B 10/A 30/B 30/A */
    assert_true(((double *)col.values)[0] == 4 && ((double *)col.values)[5] == 7);
    box = (struct box){.n_dims = 2, .lo = {4, -1}, .hi = {9, 2}};
    ok(f, array_read(c, a, &box, &which, 1, &col, &present, &n));
    assert_int_equal(n, 1);
    struct summary s;
    bool found;
    ok(f, array_summary(c, a, 0, tile, &s, &found)); /* logical tile: days 5, 10, 20 × B, A */
    assert_true(found && s.n_cells == 3 && s.min.d == 2 && s.max.d == 6);
    int64_t tiles;
    ok(f, array_check(c, t, "prices", &tiles));
    txn_rollback(t);
}

static void labels_of_a_rolled_back_statement(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t days[] = {3, 2, 1, 9};
    const char *const names[] = {"A", "X", "Y", "Z"};
    const double values[] = {1, 2, 3, 4};
    struct txn *t = dbf_begin(f);
    create_prices(f, t);
    ok(f, insert(f, t, 1, days, names, values, true));
    ok(f, txn_statement_begin(c, t));
    ok(f, insert(f, t, 1, days + 1, names + 1, values + 1, true));
    txn_statement_end(t, false);
    ok(f, txn_statement_begin(c, t));
    fails(f, ERR_DUPLICATE_CELL,
          insert(f, t, 2, (const int64_t[]){1, 3}, (const char *const[]){"Y", "A"}, values, true));
    txn_statement_end(t, false);
    ok(f, insert(f, t, 1, days + 3, names + 3, values + 3, true));
    expect(f, t, 0, "3/A=1 9/Z=4");
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    assert_int_equal(array_schema(dbf_array(f, t, "prices"))->dims[1].axis.hi, 2);
    int64_t before = array_version(dbf_array(f, t, "prices"));
    ok(f, array_truncate(c, t, "prices"));
    ok(f, insert(f, t, 1, days + 1, names + 1, values + 1, true));
    ok(f, txn_commit(c, t));
    dbf_reopen(f);
    t = dbf_begin(f);
    expect(f, t, 0, "2/X=2");
    expect(f, t, before, "3/A=1 9/Z=4");
    txn_rollback(t);
}

static void messages(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t days[] = {18263, 18264};
    const char *const names[] = {"A", "B"};
    const double values[] = {1, 2};
    struct txn *t = dbf_begin(f);
    create_prices(f, t);
    ok(f, insert(f, t, 2, days, names, values, true));
    assert_int_equal(insert(f, t, 1, days, names, values, true), ERR_DUPLICATE_CELL);
    assert_string_equal(c->err.message, "a cell exists already at (day = 2020-01-02, ticker = A)");
    ctx_clear(c);
    struct writer *w;
    int which = 0;
    int64_t pos[1];
    int32_t day = 5;
    struct column col = {T_DATE, &day, NULL};
    ok(f, writer_open(c, t, "prices", CONFLICT_UPDATE, &which, 1, &w));
    assert_int_equal(writer_positions(c, w, 0, &col, 1, pos), ERR_OUT_OF_BOUNDS);
    assert_non_null(strstr(c->err.message, "\"day\""));
    ctx_clear(c);
    uint64_t none = 0;
    col.valid = &none;
    fails(f, ERR_NOT_NULL, writer_positions(c, w, 0, &col, 1, pos));
    writer_free(w);
    txn_rollback(t);
}

static void fixed_labels(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {1}, tiles[] = {2};
    const struct value depths[] = {value_double(100), value_double(0), value_double(50)};
    struct attr a[] = {{.name = "t", .type = T_FLOAT32}};
    struct schema *s = dbf_schema(f, "a", 1, lengths, tiles, false, a, 1);
    s->dims[0].axis = labelled(f, T_FLOAT64, depths, 3, false);
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, s));
    int which = 0;
    double coords[] = {0, 50, 100};
    float values[] = {1, 2, 3};
    int64_t p[3], *pos[] = {p}, written = 0, n;
    struct column coord_col = {T_FLOAT64, coords, NULL}, col = {T_FLOAT32, values, NULL};
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    ok(f, writer_positions(c, w, 0, &coord_col, 3, p));
    ok(f, writer_put_cells(c, w, 3, pos, &col, &written));
    coords[1] = 7;
    fails(f, ERR_OUT_OF_BOUNDS, writer_positions(c, w, 0, &coord_col, 3, p));
    ok(f, writer_finish(c, w));
    writer_free(w);
    ok(f, txn_commit(c, t));
    dbf_reopen(f);
    t = dbf_begin(f);
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {3}};
    struct column got;
    uint64_t *present;
    ok(f, array_read(c, dbf_array(f, t, "a"), &box, &which, 1, &got, &present, &n));
    const float expected[] = {3, 1, 2};
    assert_memory_equal(got.values, expected, sizeof expected);
    txn_rollback(t);
}

static void axes_grow_both_ways(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {0, 6}, tiles[] = {4, 4};
    struct attr a[] = {{.name = "v", .type = T_INT16}, {.name = "w", .type = T_TEXT}};
    struct schema *s = dbf_schema(f, "a", 2, lengths, tiles, false, a, 2);
    s->dims[0].axis = dbf_axis(0, 0, true);
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, s));
    int which = 0;
    int64_t coords[] = {7, -5}, p0[2], p1[] = {2, 3}, *pos[] = {p0, p1}, written = 0, n;
    int16_t values[] = {1, 2};
    struct column coord_col = {T_INT64, coords, NULL}, col = {T_INT16, values, NULL};
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    ok(f, writer_positions(c, w, 0, &coord_col, 2, p0));
    assert_int_equal(p0[1], -5);
    ok(f, writer_put_cells(c, w, 2, pos, &col, &written));
    assert_int_equal(writer_schema(w)->dims[0].axis.lo, -5);
    assert_int_equal(writer_schema(w)->dims[0].axis.hi, 8);
    p0[0] = 6;
    p1[0] = 6;
    fails(f, ERR_OUT_OF_BOUNDS, writer_put_cells(c, w, 1, pos, &col, &written));
    /* only cells that exist make an axis longer */
    struct box box = {.n_dims = 2, .lo = {8, 0}, .hi = {20, 6}};
    struct column wide;
    uint64_t *bits;
    void *mem;
    ok(f, column_alloc(c, T_INT16, 72, &wide));
    memset(wide.values, 1, 144);
    ok(f, scratch_alloc(c, 16, &mem));
    bits = memset(mem, 0, 16);
    bit_set(bits, 13); /* position 10, 1 */
    ok(f, writer_put_box(c, w, &box, &wide, bits, &written));
    assert_int_equal(writer_schema(w)->dims[0].axis.hi, 11);
    assert_int_equal(written, 3);
    ok(f, writer_finish(c, w));
    writer_free(w);
    ok(f, txn_commit(c, t));
    dbf_reopen(f);
    t = dbf_begin(f);
    struct array *arr = dbf_array(f, t, "a");
    schema_box(array_schema(arr), &box);
    assert_true(box.lo[0] == -5 && box.hi[0] == 11);
    struct column got[2];
    uint64_t *present;
    const int both[] = {0, 1};
    ok(f, array_read(c, arr, &box, both, 2, got, &present, &n));
    assert_int_equal(n, 3);
    assert_true(bit_get(present, 3) && ((int16_t *)got[0].values)[3] == 2);
    assert_true(column_is_null(&got[1], 3)); /* not given, no default */
    box = (struct box){.n_dims = 2, .lo = {100, 0}, .hi = {101, 6}};
    ok(f, array_read(c, arr, &box, both, 2, got, &present, &n));
    assert_int_equal(n, 0);
    bool may;
    ok(f, array_may_have(c, arr, &box, &may));
    assert_false(may);
    box = (struct box){.n_dims = 2, .lo = {-5, 0}, .hi = {-4, 3}};
    ok(f, array_may_have(c, arr, &box, &may));
    assert_false(may); /* the tile has one cell, elsewhere */
    txn_rollback(t);
}

/* Cells so far apart that their tiles cannot be numbered together. */
static void far_apart(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {0, 0, 0}, tiles[] = {2, 2, 2};
    struct attr a[] = {{.name = "v", .type = T_INT64}};
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, dbf_schema(f, "a", 3, lengths, tiles, true, a, 1)));
    int which = 0;
    int64_t p[3][4], *pos[] = {p[0], p[1], p[2]}, values[] = {1, 2, 3, 4}, written = 0;
    for (int d = 0; d < 3; d++)
        for (int i = 0; i < 4; i++)
            p[d][i] = (i % 2 ? 1 : -1) * (INT64_C(1) << 40) + i / 2;
    struct column col = {T_INT64, values, NULL};
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    ok(f, writer_put_cells(c, w, 4, pos, &col, &written));
    ok(f, writer_finish(c, w));
    writer_free(w);
    int64_t n, n_tiles;
    ok(f, array_check(c, t, "a", &n_tiles));
    assert_int_equal(n_tiles, 4);
    for (int i = 0; i < 4; i++) {
        struct box box = {.n_dims = 3};
        struct column got;
        uint64_t *present;
        for (int d = 0; d < 3; d++) {
            box.lo[d] = p[d][i];
            box.hi[d] = p[d][i] + 1;
        }
        ok(f, array_read(c, dbf_array(f, t, "a"), &box, &which, 1, &got, &present, &n));
        assert_true(n == 1 && *(int64_t *)got.values == values[i]);
    }
    txn_rollback(t);
}

/* ---- many threads ---- */

#define SIDE 256
#define TILE 32

struct work {
    struct writer *w;
    struct array *a;
    atomic_int_least64_t written, bad;
};

/* Task k: rows of boxes that cut through tiles, each cell once over all tasks. */
static enum status write_task(struct ctx *c, void *self, int worker, int64_t task)
{
    struct work *wk = self;
    struct box box = {.n_dims = 2, .lo = {task * 5, 0}, .hi = {task * 5 + 5, SIDE}};
    struct column cols[2];
    int64_t written = 0;
    (void)worker;
    if (box.hi[0] > SIDE) box.hi[0] = SIDE;
    int64_t n = box_cells(&box);
    TRY(column_alloc(c, T_INT32, n, &cols[0]));
    TRY(column_alloc(c, T_TEXT, n, &cols[1]));
    static const char *const texts[] = {"zero", "one", "two", "three"};
    for (int64_t i = 0; i < n; i++) {
        int64_t cell = box.lo[0] * SIDE + i;
        ((int32_t *)cols[0].values)[i] = (int32_t)cell;
        const char *s = texts[cell % 4];
        ((struct text *)cols[1].values)[i] = (struct text){s, (int64_t)strlen(s)};
    }
    TRY(writer_put_box(c, wk->w, &box, cols, NULL, &written));
    atomic_fetch_add(&wk->written, written);
    return OK;
}

static enum status update_task(struct ctx *c, void *self, int worker, int64_t task)
{
    struct work *wk = self;
    int64_t x[SIDE], y[SIDE], *pos[] = {x, y}, written = 0;
    int32_t v[SIDE];
    struct column col = {T_INT32, v, NULL};
    (void)worker;
    for (int64_t i = 0; i < SIDE; i++) {
        x[i] = (i * 37 + task) % SIDE;
        y[i] = task;
        v[i] = (int32_t)(x[i] * SIDE + y[i] + 1);
    }
    TRY(writer_put_cells(c, wk->w, SIDE, pos, &col, &written));
    atomic_fetch_add(&wk->written, written);
    return OK;
}

static enum status read_task(struct ctx *c, void *self, int worker, int64_t task)
{
    struct work *wk = self;
    struct box box = {.n_dims = 2, .lo = {task * 3 % SIDE, task}, .hi = {SIDE, SIDE}};
    struct column cols[2];
    uint64_t *present;
    const int both[] = {0, 1};
    int64_t n, pos[MAX_DIMS];
    (void)worker;
    array_read_ahead(c, wk->a, &box, both, 2);
    TRY(array_read(c, wk->a, &box, both, 2, cols, &present, &n));
    if (n != box_cells(&box)) atomic_fetch_add(&wk->bad, 1);
    for (int64_t i = 0; i < n; i++) {
        box_position(&box, i, pos);
        int64_t cell = pos[0] * SIDE + pos[1];
        if (((int32_t *)cols[0].values)[i] != cell + 1) atomic_fetch_add(&wk->bad, 1);
        if (((struct text *)cols[1].values)[i].len != (cell % 4 == 0 ? 4 : cell % 4 == 3 ? 5 : 3))
            atomic_fetch_add(&wk->bad, 1);
    }
    return OK;
}

static void many_workers(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {SIDE, SIDE}, tiles[] = {TILE, TILE};
    struct attr a[] = {{.name = "v", .type = T_INT32}, {.name = "w", .type = T_TEXT}};
    struct work wk = {0};
    struct settings settings;
    const int both[] = {0, 1};
    settings_defaults(&settings);
    c->pool = pool_new(4);
    struct txn *t = dbf_begin(f);
    ok(f, array_create(c, t, dbf_schema(f, "a", 2, lengths, tiles, false, a, 2)));
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, both, 2, &wk.w));
    ok(f, pool_run(c, (SIDE + 4) / 5, 0, write_task, &wk));
    ok(f, writer_finish(c, wk.w));
    writer_free(wk.w);
    assert_int_equal(atomic_load(&wk.written), SIDE * SIDE);
    atomic_store(&wk.written, 0);
    ok(f, writer_open(c, t, "a", CONFLICT_UPDATE, both, 1, &wk.w));
    ok(f, pool_run(c, SIDE, 0, update_task, &wk));
    ok(f, writer_finish(c, wk.w));
    writer_free(wk.w);
    assert_int_equal(atomic_load(&wk.written), SIDE * SIDE);
    ok(f, txn_commit(c, t));
    t = dbf_begin(f);
    wk.a = dbf_array(f, t, "a");
    for (int cached = 0; cached < 2; cached++) {
        settings.tile_cache.n = cached;
        c->settings = &settings;
        ok(f, pool_run(c, 20, 0, read_task, &wk));
    }
    assert_int_equal(atomic_load(&wk.bad), 0);
    int64_t n_tiles;
    ok(f, array_check(c, t, "a", &n_tiles));
    assert_int_equal(n_tiles, 3 * 64);
    txn_rollback(t);
    c->settings = NULL;
    settings_release(&settings);
    pool_free(c->pool);
    c->pool = NULL;
}

/* One whole tile, without the cache: NULLs and EMPTY cells as they were written. */
static void whole_tiles(void **state)
{
    struct dbf *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t lengths[] = {64}, tiles[] = {32};
    struct attr a[] = {{.name = "v", .type = T_FLOAT32}};
    struct settings settings;
    int which = 0;
    int64_t written = 0, n;
    float values[64];
    uint64_t valid = ~UINT64_C(0) << 4, present_in = ~(UINT64_C(1) << 40), *present;
    for (int i = 0; i < 64; i++)
        values[i] = (float)i;
    struct column col = {T_FLOAT32, values, &valid}, got;
    struct txn *t = dbf_begin(f);
    struct writer *w;
    ok(f, array_create(c, t, dbf_schema(f, "a", 1, lengths, tiles, false, a, 1)));
    ok(f, writer_open(c, t, "a", CONFLICT_ERROR, &which, 1, &w));
    struct box box = {.n_dims = 1, .lo = {0}, .hi = {64}};
    ok(f, writer_put_box(c, w, &box, &col, &present_in, &written));
    ok(f, writer_finish(c, w));
    writer_free(w);
    settings_defaults(&settings);
    settings.tile_cache.n = 0;
    for (int off = 0; off < 2; off++)
        for (int k = 0; k < 2; k++) {
            c->settings = off ? &settings : NULL;
            box = (struct box){.n_dims = 1, .lo = {32 * k}, .hi = {32 * k + 32}};
            ok(f, array_read(c, dbf_array(f, t, "a"), &box, &which, 1, &got, &present, &n));
            assert_int_equal(n, k ? 31 : 32);
            for (int i = 0; i < 32; i++) {
                bool there = !present || bit_get(present, i);
                assert_int_equal(there, 32 * k + i != 40);
                if (!there) continue;
                assert_int_equal(column_is_null(&got, i), 32 * k + i < 4);
                if (!column_is_null(&got, i))
                    assert_true(((float *)got.values)[i] == (float)(32 * k + i));
            }
        }
    c->settings = NULL;
    settings_release(&settings);
    txn_rollback(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dbf_setup, dbf_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(labels_join_in_order),
        TEST(labels_of_a_rolled_back_statement),
        TEST(messages),
        TEST(fixed_labels),
        TEST(axes_grow_both_ways),
        TEST(far_apart),
        TEST(many_workers),
        TEST(whole_tiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
