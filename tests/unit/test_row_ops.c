/* Do sort, limit, distinct and pivot give what they should of any cells, whatever the threads and
 * the memory? */
#include "cells_fixture.h"

/* ---- the other operators on rows ---- */

static void set_rows_rel(struct world *w, struct plan *p, struct rel_dim *row)
{
    *row = (struct rel_dim){.stride = 1, .hi = ROWS_UNKNOWN};
    p->rel = w->leaf_plan.rel;
    p->rel.n_dims = 1;
    p->rel.dims = row;
}

static void check_row(const struct world *w, const struct rows *r, int64_t row, int64_t cell)
{
    assert_true(r->present[row]);
    for (int k = 0; k < N_COLS; k++) {
        const struct value *got = &r->v[row * N_COLS + k], *want = &w->v[cell * N_COLS + k];
        assert_int_equal(got->null, want->null);
        if (!got->null) assert_int_equal(value_compare(got, want), 0);
    }
}

static void rows_and_limits(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){50, 70});
    struct plan p = {.kind = P_ROWS};
    struct rel_dim row;
    struct rows r;
    set_rows_rel(&w, &p, &row);
    run_all_ways(&w, &p, &r);
    int64_t n = 0;
    for (int64_t i = 0; i < w.n; i++)
        if (w.present[i]) check_row(&w, &r, n++, i);
    assert_int_equal(r.n, n);
    rows_free(&r);
    static const int64_t cases[][2] = {{0, 0},    {1, 0},       {10, 5},
                                       {-1, 100}, {1000000, 0}, {7, 100000}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        int64_t limit = cases[k][0], offset = cases[k][1];
        struct value lv = value_int(T_INT64, limit), ov = value_int(T_INT64, offset);
        p.kind = P_LIMIT;
        p.limit = limit < 0 ? NULL : expr_make_const(&w.c, &lv, 0);
        p.offset = expr_make_const(&w.c, &ov, 0);
        int64_t end = limit < 0 || offset + limit > n ? n : offset + limit;
        set_rows_rel(&w, &p, &row);
        run_all_ways(&w, &p, &r);
        assert_int_equal(r.n, end > offset ? end - offset : 0);
        for (int64_t i = 0, at = 0; i < w.n; i++) {
            if (!w.present[i]) continue;
            if (at >= offset && at < end) check_row(&w, &r, at - offset, i);
            at++;
        }
        rows_free(&r);
        p.rel = w.leaf_plan.rel; /* the array's dimensions stay */
        run_all_ways(&w, &p, &r);
        assert_int_equal(r.n, w.n);
        for (int64_t i = 0, at = 0; i < w.n; i++) {
            bool wanted = w.present[i] && at >= offset && at < end;
            assert_int_equal(r.present[i], wanted);
            if (wanted) check_row(&w, &r, i, i);
            at += w.present[i];
        }
        rows_free(&r);
    }
    world_stop(&w);
}

static void sorting(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){60, 80});
    struct plan p = {.kind = P_SORT, .n_sort = 2};
    struct sort_key keys[2] = {{.e = col(&w, U8)}, {.e = col(&w, TEXT)}};
    const int cols[2] = {U8, TEXT};
    struct rel_dim row;
    struct rows r;
    p.sort = keys;
    set_rows_rel(&w, &p, &row);
    int64_t *order = malloc((size_t)w.n * sizeof *order), n = 0;
    for (int64_t i = 0; i < w.n; i++)
        if (w.present[i]) order[n++] = i;
    sort_world = &w;
    sort_keys = cols;
    n_sort_keys = 2;
    /* A stable sort: insertion by steps of qsort with the cell's number last. */
    for (int64_t i = 1; i < n; i++) {
        int64_t cell = order[i], j = i;
        for (; j > 0 && compare_cells(&order[j - 1], &cell) > 0; j--)
            order[j] = order[j - 1];
        order[j] = cell;
    }
    static const int64_t limits[] = {-1, 0, 1, 100, 3000, 1000000};
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        struct value lv = value_int(T_INT64, limits[k]);
        p.limit = limits[k] < 0 ? NULL : expr_make_const(&w.c, &lv, 0);
        run_all_ways(&w, &p, &r);
        int64_t want = limits[k] < 0 || limits[k] > n ? n : limits[k];
        assert_int_equal(r.n, want);
        for (int64_t i = 0; i < want; i++)
            check_row(&w, &r, i, order[i]);
        rows_free(&r);
    }
    free(order);
    world_stop(&w);
}

static void distinct_rows(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){30, 40});
    static const int all[N_COLS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    for (int64_t i = w.n / 2; i < w.n; i++) { /* the second half repeats the first */
        w.present[i] = w.present[i - w.n / 2];
        memcpy(&w.v[i * N_COLS], &w.v[(i - w.n / 2) * N_COLS], N_COLS * sizeof *w.v);
    }
    struct plan p = {.kind = P_DISTINCT};
    struct rel_dim row;
    struct rows r;
    set_rows_rel(&w, &p, &row);
    run_all_ways(&w, &p, &r);
    int64_t *groups = calloc((size_t)w.n, sizeof *groups),
            *cell = calloc((size_t)w.n, sizeof *cell);
    int64_t n = group_cells(&w, all, N_COLS, groups, cell);
    assert_int_equal(r.n, n);
    for (int64_t i = 0; i < n; i++)
        check_row(&w, &r, i, cell[i]);
    rows_free(&r);
    free(groups);
    free(cell);
    world_stop(&w);
}

/* Columns I32 (made a key) and TEXT pivot to an array of the other columns. */
static void pivoting(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){30, 23});
    for (int64_t i = 0; i < w.n; i++) {
        struct value *v = &w.v[i * N_COLS];
        v[I32] = value_int(T_INT32, (i / 23) * 2 - 11);
        v[U8] = value_int(T_UINT8, (i * 7) % 23);
        v[TEXT].null = false;
        v[TEXT].t.s = arena_printf(w.c.arena, "label %c", 'A' + (int)(i * 5 % 23));
        v[TEXT].t.len = 7;
    }
    struct plan p = {.kind = P_PIVOT};
    struct axis axes[2] = {{.type = T_INT32}, {.type = T_UINT8}};
    struct rel_dim dims[2] = {{.name = "a", .axis = &axes[0], .hi = ROWS_UNKNOWN, .stride = 1},
                              {.name = "b", .axis = &axes[1], .hi = ROWS_UNKNOWN, .stride = 1}};
    struct rows r;
    p.axes = axes;
    p.rel = w.leaf_plan.rel;
    p.rel.n_dims = 2;
    p.rel.dims = dims;
    p.rel.n_cols = N_COLS - 2;
    p.rel.cols = w.leaf_plan.rel.cols + 2;
    run_all_ways(&w, &p, &r);
    assert_int_equal(r.n, 59 * 23);
    assert_int_equal(axes[0].origin, -11);
    assert_int_equal(axes[0].hi, 59);
    assert_int_equal(axes[1].hi, 23);
    for (int64_t i = 0; i < w.n; i++) {
        int64_t at = (i / 23) * 2 * 23 + (i * 7) % 23;
        assert_int_equal(r.present[at], w.present[i]);
        for (int k = 2; w.present[i] && k < N_COLS; k++) {
            const struct value *want = &w.v[i * N_COLS + k];
            const struct value *got = &r.v[at * r.n_cols + k - 2];
            assert_int_equal(got->null, want->null);
            if (!got->null) assert_int_equal(value_compare(got, want), 0);
        }
    }
    rows_free(&r);
    world_stop(&w);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_limits),
        cmocka_unit_test(sorting),
        cmocka_unit_test(distinct_rows),
        cmocka_unit_test(pivoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
