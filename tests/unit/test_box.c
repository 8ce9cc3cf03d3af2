/* Boxes: copies between layouts against cell-by-cell ones, tiles on both sides of 0. */
#include "storage/base/bits.h"
#include "storage/box.h"
#include "tests/unit/unit.h"
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;
static int64_t random_below(int64_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((state >> 33) % (uint64_t)n);
}

static struct box random_box(int n_dims)
{
    struct box b = {.n_dims = n_dims};
    for (int d = 0; d < n_dims; d++) {
        b.lo[d] = random_below(9) - 4;
        b.hi[d] = b.lo[d] + 1 + random_below(6);
    }
    return b;
}

static void test_copy(void **unused)
{
    (void)unused;
    int n_copied = 0;
    for (int round = 0; round < 3000; round++) {
        int n_dims = (int)random_below(5);
        struct box a = random_box(n_dims), b = random_box(n_dims), part;
        if (random_below(3) == 0) b = a;
        if (!box_intersect(&a, &b, &part)) continue;
        int64_t n_a = box_cells(&a), n_b = box_cells(&b);
        int16_t *src = malloc((size_t)n_a * 2), *dst = calloc((size_t)n_b, 2);
        uint64_t *src_bits = calloc((size_t)bits_words(n_a), 8);
        uint64_t *dst_bits = calloc((size_t)bits_words(n_b), 8);
        for (int64_t i = 0; i < n_a; i++) {
            src[i] = (int16_t)(i + 1);
            bit_put(src_bits, i, random_below(2));
        }
        box_copy(dst, &b, src, &a, &part, 2);
        box_copy_bits(dst_bits, &b, src_bits, &a, &part);
        for (int64_t i = 0; i < n_b; i++) {
            int64_t pos[MAX_DIMS];
            box_position(&b, i, pos);
            assert_int_equal(box_index(&b, pos), i);
            struct box cell = {.n_dims = n_dims};
            for (int d = 0; d < n_dims; d++) {
                cell.lo[d] = pos[d];
                cell.hi[d] = pos[d] + 1;
            }
            bool inside = box_contains(&a, &cell);
            int64_t from = inside ? box_index(&a, pos) : 0;
            assert_int_equal(dst[i], inside ? src[from] : 0);
            assert_int_equal(bit_get(dst_bits, i), inside && bit_get(src_bits, from));
        }
        memset(dst_bits, 0, (size_t)bits_words(n_b) * 8);
        box_copy_bits(dst_bits, &b, NULL, &a, &part);
        assert_int_equal(bits_count(dst_bits, 0, n_b), box_cells(&part));
        n_copied++;
        free(src);
        free(dst);
        free(src_bits);
        free(dst_bits);
    }
    assert_true(n_copied > 500);
}

static void test_cells(void **unused)
{
    (void)unused;
    struct box b = {.n_dims = 2, .lo = {0, 0}, .hi = {INT64_C(1) << 40, INT64_C(1) << 40}};
    assert_true(box_cells(&b) == INT64_MAX);
    b.hi[1] = 0;
    assert_true(box_empty(&b) && box_cells(&b) == 0);
    struct box all = {.n_dims = 1, .lo = {INT64_MIN}, .hi = {INT64_MAX}};
    assert_true(box_cells(&all) == INT64_MAX);
    struct box single = {0};
    assert_int_equal(box_cells(&single), 1);
    struct box x = {.n_dims = 1, .lo = {0}, .hi = {5}}, y = {.n_dims = 1, .lo = {5}, .hi = {9}};
    assert_false(box_intersect(&x, &y, &y));
    assert_true(box_empty(&y) && box_contains(&x, &y));
    assert_false(box_equal(&x, &y));
}

static void test_tiles(void **unused)
{
    (void)unused;
    struct box b = {.n_dims = 3, .lo = {-1, 7, -16}, .hi = {1, 8, -8}}, tiles;
    int64_t extents[] = {8, 8, 8};
    box_tiles(&b, extents, &tiles);
    struct box expected = {.n_dims = 3, .lo = {-1, 0, -2}, .hi = {1, 1, -1}};
    assert_true(box_equal(&tiles, &expected));
    b.hi[1] = b.lo[1];
    box_tiles(&b, extents, &tiles);
    assert_true(box_empty(&tiles));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_copy), cmocka_unit_test(test_cells),
                                       cmocka_unit_test(test_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
