/* Summaries against sums and bounds taken the slow way, in any order; and their blocks on disk. */
#include "storage/base/value.h"
#include "storage/record.h"
#include "storage/summary.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <stdio.h>

static int open_ctx(void **state)
{
    struct test_ctx *t = malloc(sizeof *t);
    test_ctx_open(t, NULL);
    *state = t;
    return 0;
}
static int close_ctx(void **state)
{
    test_ctx_close(*state);
    free(*state);
    return 0;
}

static bool same_fsum(const struct fsum *a, const struct fsum *b)
{
    if (a->top != b->top || !a->has_nan != !b->has_nan || !a->has_pinf != !b->has_pinf ||
        !a->has_ninf != !b->has_ninf)
        return false;
    return a->top == FSUM_EMPTY || !memcmp(a->bin, b->bin, sizeof a->bin);
}

static bool same_summary(const struct summary *a, const struct summary *b)
{
    return a->n_cells == b->n_cells && a->n_nulls == b->n_nulls && a->n_nans == b->n_nans &&
           a->has_range == b->has_range && a->constant == b->constant &&
           (!a->has_range || (a->min.u == b->min.u && a->max.u == b->max.u)) &&
           a->has_sum == b->has_sum && a->isum == b->isum && same_fsum(&a->sum, &b->sum) &&
           same_fsum(&a->sum2, &b->sum2);
}

/* By value_get and value_compare, a cell at a time. */
static void slow_summary(const struct column *col, const uint64_t *present, int64_t n,
                         struct summary *s)
{
    struct value lo = {0}, hi = {0};
    summary_init(s);
    for (int64_t i = 0; i < n; i++) {
        if (present && !bit_get(present, i)) continue;
        s->n_cells++;
        if (column_is_null(col, i)) {
            s->n_nulls++;
            continue;
        }
        struct value v = value_get(col->type, col->values, i);
        if (type_is_float(col->type)) {
            fsum_add(&s->sum, v.d);
            fsum_add_product(&s->sum2, v.d, v.d);
            if (v.d != v.d) {
                s->n_nans++;
                continue;
            }
        } else if (type_is_unsigned(col->type)) {
            s->isum += v.u;
        } else if (!type_is_time(col->type)) {
            s->isum += v.i;
        }
        if (!s->has_range || value_compare(&v, &lo) < 0) lo = v;
        if (!s->has_range || value_compare(&v, &hi) > 0) hi = v;
        s->has_range = true;
    }
    s->min.u = lo.u;
    s->max.u = hi.u;
    s->has_sum = n > 0 && !type_is_time(col->type);
    s->constant = s->has_range ? !s->n_nans && !value_compare(&lo, &hi) : true;
}

static void fill_column(struct column *col, int64_t n, uint64_t seed, bool rough)
{
    size_t width = type_bytes(col->type);
    test_fill_random(col->values, (size_t)n * width, seed);
    for (int64_t i = 0; i < n; i++) {
        uint64_t r = test_random(&seed);
        double d = (double)(int64_t)(r >> 20) / 1e6 - 1e5;
        if (rough && r % 50 == 0) d = r & 256 ? NAN : r & 512 ? INFINITY : -1e300;
        if (col->type == T_BOOL) ((uint8_t *)col->values)[i] = r & 1;
        if (col->type == T_FLOAT32) ((float *)col->values)[i] = (float)d;
        if (col->type == T_FLOAT64) ((double *)col->values)[i] = d;
    }
}

static void sums_and_bounds_are_right(void **state)
{
    (void)state;
    const int64_t lengths[] = {0, 1, 63, 64, 1023, 1024, 1025, 5000};
    uint64_t present[80], valid[80];
    void *values = malloc(5000 * 16);
    uint64_t seed = 11;
    for (enum type t = T_BOOL; t <= T_TIMESTAMP; t++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            for (int kind = 0; kind < 16; kind++) {
                int64_t n = lengths[l];
                struct column col = {.type = t, .values = values};
                fill_column(&col, n, seed++, kind & 4);
                for (int i = 0; i < 80; i++) {
                    present[i] = test_random(&seed) | test_random(&seed);
                    valid[i] = kind & 8 ? 0 : test_random(&seed) | test_random(&seed);
                }
                if (kind & 1) col.valid = valid;
                struct summary fast, slow;
                summary_init(&fast);
                summary_add(&fast, &col, kind & 2 ? present : NULL, n);
                slow_summary(&col, kind & 2 ? present : NULL, n, &slow);
                assert_true(same_summary(&fast, &slow));
            }
    free(values);
}

static void merging_is_adding(void **state)
{
    (void)state;
    void *values = malloc(6400 * 16);
    for (enum type t = T_BOOL; t <= T_TIMESTAMP; t++)
        for (int rough = 0; rough < 2; rough++) {
            struct column col = {.type = t, .values = values};
            fill_column(&col, 6400, (uint64_t)t, rough);
            struct summary whole, merged, part;
            summary_init(&whole);
            summary_add(&whole, &col, NULL, 6400);
            summary_init(&merged);
            for (int i = 9; i >= -1; i--) { /* the last, first part is empty */
                struct column piece = {.type = t};
                piece.values = (uint8_t *)values + (size_t)(i < 0 ? 0 : i * 640) * type_bytes(t);
                summary_init(&part);
                summary_add(&part, &piece, NULL, i < 0 ? 0 : 640);
                summary_merge(&merged, t, &part);
            }
            assert_true(same_summary(&whole, &merged));
        }
    free(values);
}

static void texts_are_only_counted(void **state)
{
    (void)state;
    uint64_t valid[1] = {5};
    struct column col = {.type = T_TEXT, .values = NULL, .valid = valid};
    struct summary s;
    summary_init(&s);
    summary_add(&s, &col, NULL, 10);
    assert_int_equal(s.n_cells, 10);
    assert_int_equal(s.n_nulls, 8);
    assert_false(s.has_range);
    assert_false(s.has_sum);
    assert_false(s.constant);
}

static void constants_are_known(void **state)
{
    (void)state;
    double v[] = {0.0, -0.0, 0.0, 1.0, NAN, NAN};
    struct column col = {.type = T_FLOAT64, .values = v};
    struct summary s, t;
    summary_init(&s);
    assert_true(s.constant);
    summary_add(&s, &col, NULL, 3);
    assert_true(s.constant);
    t = s;
    summary_add(&s, &col, NULL, 4);
    assert_false(s.constant);
    summary_init(&s);
    col.values = v + 4;
    summary_add(&s, &col, NULL, 2);
    assert_true(s.constant);
    assert_false(s.has_range);
    summary_merge(&t, T_FLOAT64, &s);
    assert_false(t.constant);
    assert_true(t.has_range);
}

/* ---- blocks ---- */

static void blocks_cut_the_grid(void **state)
{
    (void)state;
    for (int n_dims = 0; n_dims <= MAX_DIMS; n_dims++) {
        int64_t extents[MAX_DIMS], cells = 1;
        summary_block_extents(n_dims, extents);
        for (int d = 0; d < n_dims; d++)
            cells *= extents[d];
        assert_int_equal(cells, n_dims ? SUMMARY_BLOCK_TILES : 1);
    }
    const int64_t tiles[][2] = {{-1, -1}, {0, 0}, {31, 32}, {-32, -33}};
    const int64_t blocks[][2] = {{-1, -1}, {0, 0}, {0, 1}, {-1, -2}};
    const int slots[] = {1023, 0, 31 * 32, 31};
    for (int i = 0; i < 4; i++) {
        int64_t block[2];
        int slot;
        summary_block_of(2, tiles[i], block, &slot);
        assert_memory_equal(block, blocks[i], sizeof block);
        assert_int_equal(slot, slots[i]);
    }
}

static const struct tile_key block_key = {
    .array = 2, .attr = 5 | ATTR_SUMMARY, .n_dims = 3, .coords = {1, -2, 3}, .version = 44};

static size_t check_block(struct ctx *c, enum type t, int n_set, bool rough)
{
    struct summary_block b, back;
    uint64_t seed = (uint64_t)n_set;
    void *values = malloc(2000 * 16);
    assert_int_equal(summary_block_alloc(c, &b), OK);
    assert_int_equal(summary_block_alloc(c, &back), OK);
    memset(back.set, 255, sizeof back.set);
    for (int i = 0; i < n_set; i++) {
        int slot = n_set == SUMMARY_BLOCK_TILES ? i : (int)(test_random(&seed) % 1024);
        struct column col = {.type = t == T_NONE ? T_TEXT : t, .values = values};
        if (t != T_NONE && t <= T_TIMESTAMP) fill_column(&col, 2000, seed + (uint64_t)i, rough);
        summary_init(&b.slots[slot]);
        summary_add(&b.slots[slot], &col, NULL, slot % 7 ? 2000 : 1);
        if (t == T_NONE) b.slots[slot].constant = true;
        bit_set(b.set, slot);
    }
    void *record;
    size_t n_bytes;
    assert_int_equal(summary_block_encode(c, &block_key, t, &b, &record, &n_bytes), OK);
    uint8_t *copy = malloc(n_bytes);
    memcpy(copy, record, n_bytes);
    assert_int_equal(summary_block_decode(c, copy, n_bytes, &block_key, t, &back), OK);
    assert_memory_equal(b.set, back.set, sizeof b.set);
    for (int i = 0; i < SUMMARY_BLOCK_TILES; i++)
        if (bit_get(b.set, i)) assert_true(same_summary(&b.slots[i], &back.slots[i]));
    free(copy);
    free(values);
    scratch_reset(c->scratch);
    return n_bytes;
}

static void blocks_come_back(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    for (enum type t = T_NONE; t <= T_TEXT; t++)
        for (int rough = 0; rough < 2; rough++) {
            check_block(c, t, 0, rough);
            check_block(c, t, 1, rough);
            check_block(c, t, 50, rough);
        }
    size_t bytes = check_block(c, T_FLOAT64, SUMMARY_BLOCK_TILES, false);
    printf("a full block of doubles: %zu bytes a tile\n", bytes / SUMMARY_BLOCK_TILES);
    assert_true(bytes / SUMMARY_BLOCK_TILES <= 90);
}

static void damaged_blocks_are_refused(void **state)
{
    struct ctx *c = &((struct test_ctx *)*state)->c;
    struct summary_block b;
    double v[] = {1, 2, 3};
    struct column col = {.type = T_FLOAT64, .values = v};
    assert_int_equal(summary_block_alloc(c, &b), OK);
    for (int i = 0; i < 5; i++) {
        summary_init(&b.slots[i * 3]);
        summary_add(&b.slots[i * 3], &col, NULL, 3);
        bit_set(b.set, i * 3);
    }
    void *record;
    size_t n;
    assert_int_equal(summary_block_encode(c, &block_key, T_FLOAT64, &b, &record, &n), OK);
    for (int sealed = 0; sealed < 2; sealed++)
        for (size_t i = sealed ? 128 : 0; i < n * 8; i++) {
            uint8_t *copy = malloc(n);
            memcpy(copy, record, n);
            copy[i / 8] ^= (uint8_t)(1 << i % 8);
            if (sealed) record_seal(copy, n, "TSSB", 1);
            enum status s = summary_block_decode(c, copy, n, &block_key, T_FLOAT64, &b);
            assert_true(s == ERR_CORRUPT || (s == OK && sealed));
            ctx_clear(c);
            free(copy);
        }
    struct tile_key other = block_key;
    other.coords[2]++;
    assert_int_equal(summary_block_decode(c, record, n, &other, T_FLOAT64, &b), ERR_CORRUPT);
    ctx_clear(c);
    assert_int_equal(summary_block_decode(c, record, n, &block_key, T_FLOAT32, &b), ERR_CORRUPT);
    ctx_clear(c);
    record_seal(record, n, "TSSB", 7);
    assert_int_equal(summary_block_decode(c, record, n, &block_key, T_FLOAT64, &b),
                     ERR_FORMAT_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_and_bounds_are_right),
        cmocka_unit_test(merging_is_adding),
        cmocka_unit_test(texts_are_only_counted),
        cmocka_unit_test(constants_are_known),
        cmocka_unit_test(blocks_cut_the_grid),
        cmocka_unit_test_setup_teardown(blocks_come_back, open_ctx, close_ctx),
        cmocka_unit_test_setup_teardown(damaged_blocks_are_refused, open_ctx, close_ctx),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
