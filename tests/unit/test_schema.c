/* The choice of tiles: about the target size, no longer than the axes, stretched where they grow.
 */
#include "storage/schema.h"
#include "tests/unit/unit.h"

static struct dim dim_of(const char *name, int64_t n, bool grows)
{
    struct dim d = {.name = name, .axis = axis_count(n)};
    d.axis.grows = grows;
    if (grows) d.axis.limit_hi = INT64_MAX;
    return d;
}

static void test_names(void **unused)
{
    (void)unused;
    struct dim dims[] = {dim_of("time", 3, true), dim_of("lat", 4, false)};
    struct attr attrs[] = {{.name = "a"}, {.name = "b"}};
    struct schema s = {.n_dims = 2, .n_attrs = 2, .dims = dims, .attrs = attrs};
    assert_int_equal(schema_dim(&s, "lat"), 1);
    assert_int_equal(schema_dim(&s, "a"), -1);
    assert_int_equal(schema_attr(&s, "b"), 1);
    assert_int_equal(schema_attr(&s, "lat"), -1);
    struct box b;
    schema_box(&s, &b);
    assert_true(b.n_dims == 2 && b.hi[0] == 3 && b.hi[1] == 4);
}

static int64_t tile_bytes(const struct schema *s, int64_t value_bytes)
{
    for (int d = 0; d < s->n_dims; d++)
        value_bytes *= s->dims[d].tile;
    return value_bytes;
}

static void test_tiles(void **unused)
{
    (void)unused;
    struct attr attrs[] = {{.name = "t", .type = T_FLOAT32}, {.name = "q", .type = T_UINT8}};
    struct dim dims[] = {dim_of("time", 0, true), dim_of("lat", 720, false),
                         dim_of("lon", 1440, false)};
    struct schema s = {.n_dims = 3, .n_attrs = 2, .dims = dims, .attrs = attrs};
    schema_choose_tiles(&s, TILE_TARGET_BYTES);
    assert_in_range(tile_bytes(&s, 4), TILE_TARGET_BYTES / 2, TILE_TARGET_BYTES);
    assert_in_range(dims[0].tile, 20, 200);

    struct dim small[] = {dim_of("t", 0, true), dim_of("x", 2, false)};
    struct schema thin = {.n_dims = 2, .n_attrs = 2, .dims = small, .attrs = attrs};
    schema_choose_tiles(&thin, TILE_TARGET_BYTES);
    assert_int_equal(small[1].tile, 2);
    assert_int_equal(small[0].tile, TILE_TARGET_BYTES / 8);

    struct dim given[] = {dim_of("t", 1000000, false), dim_of("x", 50, false)};
    given[1].tile = 7;
    struct schema half = {.n_dims = 2, .n_attrs = 1, .dims = given, .attrs = attrs};
    schema_choose_tiles(&half, TILE_TARGET_BYTES);
    assert_int_equal(given[1].tile, 7);
    assert_in_range(tile_bytes(&half, 4), TILE_TARGET_BYTES / 2, TILE_TARGET_BYTES);

    struct dim many[16];
    for (int d = 0; d < 16; d++)
        many[d] = dim_of("d", 1000, false);
    struct schema deep = {.n_dims = 16, .n_attrs = 1, .dims = many, .attrs = attrs};
    schema_choose_tiles(&deep, TILE_TARGET_BYTES);
    assert_in_range(tile_bytes(&deep, 4), 1, TILE_TARGET_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
