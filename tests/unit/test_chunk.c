/* Do chunks have room for their columns, and their cells the right coordinates? */
#include "query/chunk.h"
#include "tests/unit/unit.h"

static void test_alloc(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, NULL, 0);
    struct ctx c = {.budget = &budget, .scratch = scratch_new(&budget)};
    struct rel_col cols[2] = {{.name = "v", .type = T_FLOAT64}, {.name = "t", .type = T_TEXT}};
    struct rel_dim dims[2] = {{.name = "x", .lo = -5, .hi = 5, .stride = 1, .tile = 4},
                              {.name = "y", .lo = 0, .hi = 3, .stride = 1, .tile = 4}};
    struct rel rel = {.n_dims = 2, .n_cols = 2, .dims = dims, .cols = cols};
    struct box box;
    struct chunk ch;
    rel_box(&rel, &box);
    assert_int_equal(box_cells(&box), 30);
    assert_int_equal(chunk_alloc(&c, &rel, &box, &ch), OK);
    assert_int_equal(ch.n, 30);
    assert_int_equal(ch.n_present, 30);
    assert_null(ch.present);
    assert_int_equal(ch.cols[1].type, T_TEXT);
    assert_null(((struct text *)ch.cols[1].values)[29].s);
    assert_int_equal(chunk_need_present(&c, &ch), OK);
    assert_int_equal(bits_count(ch.present, 0, 30), 30);
    chunk_empty(&rel, &box, &ch);
    assert_int_equal(ch.n_present, 0);
    scratch_free(c.scratch);
    assert_int_equal(budget.used_bytes, 0);
}

static void test_coords(void **state)
{
    (void)state;
    struct axis x = axis_count(100);
    x.origin = 1000;
    struct chunk ch = {.box = {.n_dims = 3, .lo = {2, 10, -4}, .hi = {5, 14, 3}}, .n = 84};
    int64_t values[84], pos[3];
    for (int d = 0; d < 3; d++) {
        chunk_coords(&ch, d, NULL, values);
        for (int64_t i = 0; i < ch.n; i++) {
            box_position(&ch.box, i, pos);
            assert_int_equal(values[i], pos[d]);
        }
    }
    chunk_coords(&ch, 1, &x, values);
    for (int64_t i = 0; i < ch.n; i++) {
        box_position(&ch.box, i, pos);
        assert_int_equal(values[i], 1000 + pos[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_coords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
