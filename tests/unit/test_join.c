/* Does a join put the right cells side by side, broadcast, shifted, by label, with and without a
 * match? */
#include "query/reach.h"
#include "tests/unit/mem_op.h"

#define ABSENT INT64_MIN

struct joined {
    struct mem side[2];
    struct plan plan;
    struct plan *in_plan[2];
    struct op op, *in[2];
    struct rel_dim dims[MAX_DIMS];
    struct rel_col cols[2 * MEM_COLS];
    struct join_dim pairs[MAX_DIMS];
    int right_dims[MAX_DIMS];
    int64_t n_seen, n_unmatched;
};

static void side(struct joined *j, int k, int n_dims, const int64_t *lo, const int64_t *hi,
                 const int64_t *tile, bool full)
{
    mem_init(&j->side[k], n_dims, lo, hi, tile, 1234 + (uint64_t)k);
    j->side[k].full = full;
    j->in[k] = &j->side[k].op;
    j->in_plan[k] = &j->side[k].plan;
}

/* The pairs are set; right dimensions without one become the output's last. */
static void finish(struct joined *j, enum join_kind kind, int n_pairs)
{
    const struct rel *left = &j->side[0].plan.rel, *right = &j->side[1].plan.rel;
    struct plan *p = &j->plan;
    p->kind = P_JOIN;
    p->join = kind;
    p->n_in = 2;
    p->in = j->in_plan;
    p->join_dims = j->pairs;
    p->n_join_dims = n_pairs;
    p->right_dims = j->right_dims;
    int n = left->n_dims;
    memcpy(j->dims, left->dims, sizeof(struct rel_dim) * (size_t)n);
    for (int r = 0; r < right->n_dims; r++) {
        bool paired = false;
        for (int i = 0; i < n_pairs; i++)
            paired |= j->pairs[i].right == r;
        if (paired) continue;
        j->right_dims[n - left->n_dims] = r;
        j->dims[n++] = right->dims[r];
    }
    memcpy(j->cols, left->cols, sizeof(struct rel_col) * MEM_COLS);
    memcpy(j->cols + MEM_COLS, right->cols, sizeof(struct rel_col) * MEM_COLS);
    p->rel = (struct rel){n, 2 * MEM_COLS, j->dims, j->cols};
}

/* The right cell at an output position: by the definition, pair by pair. */
static struct mem_cell right_at(const struct joined *j, const int64_t *pos)
{
    const struct mem *right = &j->side[1];
    int n_left = j->side[0].plan.rel.n_dims;
    int64_t at[MAX_DIMS];
    for (int i = 0; n_left + i < j->plan.rel.n_dims; i++)
        at[j->right_dims[i]] = pos[n_left + i];
    for (int i = 0; i < j->plan.n_join_dims; i++) {
        const struct join_dim *pair = &j->pairs[i];
        int64_t p = pos[pair->left], r = ABSENT;
        if (!pair->map)
            r = p + pair->shift;
        else if (p >= j->side[0].axes[pair->left].lo && p < j->side[0].axes[pair->left].hi)
            r = pair->map[p - j->side[0].axes[pair->left].lo];
        at[pair->right] = r;
    }
    struct mem_cell none = {.present = false};
    for (int d = 0; d < right->plan.rel.n_dims; d++)
        if (at[d] < right->op.box.lo[d] || at[d] >= right->op.box.hi[d]) return none;
    return mem_at(right, at);
}

static void check(const struct chunk *ch, void *self)
{
    struct joined *j = self;
    for (int64_t i = 0; i < ch->n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, i, pos);
        struct mem_cell left = mem_at(&j->side[0], pos), right = right_at(j, pos);
        bool outer = j->plan.join == JOIN_LEFT;
        assert_int_equal(is_present(ch, i), left.present && (outer || right.present));
        if (!is_present(ch, i)) continue;
        assert_cell(ch, i, 0, &left);
        if (!right.present) memset(right.null, 1, sizeof right.null);
        assert_cell(ch, i, MEM_COLS, &right);
        j->n_seen++;
        j->n_unmatched += !right.present;
    }
}

static void run(struct joined *j)
{
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    open_by_hand(c, &j->op, &op_join_class, &j->plan, j->in);
    each_way(c, &j->op, j, check);
    assert_true(j->n_seen > 0);
    bench_release(&b);
}

static void test_same_axes(void **state)
{
    (void)state;
    for (int full = 0; full < 4; full++) {
        struct joined j = {.n_seen = 0};
        const int64_t lo[] = {0, -3, 2}, hi[] = {17, 14, 90}, tile[] = {5, 6, 64};
        side(&j, 0, 3, lo, hi, tile, full & 1);
        side(&j, 1, 3, lo, hi, tile, full & 2);
        for (int d = 0; d < 3; d++)
            j.pairs[d] = (struct join_dim){d, d, 0, NULL};
        finish(&j, full == 1 ? JOIN_LEFT : JOIN_INNER, 3);
        run(&j);
        assert_true(box_equal(&j.op.box, &j.side[0].op.box));
    }
}

static void test_shift_and_order(void **state)
{
    (void)state;
    for (int outer = 0; outer < 2; outer++) {
        struct joined j = {.n_seen = 0};
        side(&j, 0, 3, (int64_t[]){0, 0, 0}, (int64_t[]){9, 20, 11}, (int64_t[]){4, 8, 16}, false);
        side(&j, 1, 3, (int64_t[]){100, -5, 3}, (int64_t[]){115, 3, 30}, (int64_t[]){4, 8, 16},
             false);
        j.pairs[0] = (struct join_dim){0, 1, -5, NULL}; /* -5 … 4 against -5 … 3 */
        j.pairs[1] = (struct join_dim){1, 2, 6, NULL};  /* 6 … 26 against 3 … 30 */
        j.pairs[2] = (struct join_dim){2, 0, 97, NULL}; /* 97 … 108 against 100 … */
        finish(&j, outer ? JOIN_LEFT : JOIN_INNER, 3);
        run(&j);
        assert_int_equal(j.op.box.lo[2], outer ? 0 : 3);
        assert_int_equal(j.op.box.hi[0], outer ? 9 : 8);
        assert_true(!outer || j.n_unmatched > 0);
    }
}

static void test_broadcast_right(void **state)
{
    (void)state;
    /* the right lacks one of the left's dimensions, each in turn */
    for (int lacks = 0; lacks < 3; lacks++) {
        for (int outer = 0; outer < 2; outer++) {
            struct joined j = {.n_seen = 0};
            const int64_t lo[] = {0, 0, 0}, hi[] = {12, 13, 70}, tile[] = {4, 8, 16};
            side(&j, 0, 3, lo, hi, tile, outer);
            int a = lacks == 0, b = lacks == 2 ? 1 : 2;
            side(&j, 1, 2, lo, (int64_t[]){hi[a], hi[b]}, tile, false);
            j.pairs[0] = (struct join_dim){a, 0, 0, NULL};
            j.pairs[1] = (struct join_dim){b, 1, 0, NULL};
            finish(&j, outer ? JOIN_LEFT : JOIN_INNER, 2);
            run(&j);
        }
    }
}

static void test_broadcast_both(void **state)
{
    (void)state;
    struct joined j = {.n_seen = 0};
    side(&j, 0, 2, (int64_t[]){0, 5}, (int64_t[]){20, 30}, (int64_t[]){8, 8}, false);
    side(&j, 1, 2, (int64_t[]){5, -2}, (int64_t[]){40, 60}, (int64_t[]){16, 16}, false);
    j.pairs[0] = (struct join_dim){1, 0, 2, NULL};
    finish(&j, JOIN_INNER, 1);
    run(&j);
    assert_int_equal(j.op.box.n_dims, 3);
    assert_int_equal(box_cells(&j.op.box), 20 * 25 * 62);
}

static void test_cross(void **state)
{
    (void)state;
    struct joined j = {.n_seen = 0};
    side(&j, 0, 1, (int64_t[]){0}, (int64_t[]){200}, (int64_t[]){65536}, false);
    side(&j, 1, 1, (int64_t[]){0}, (int64_t[]){300}, (int64_t[]){65536}, false);
    finish(&j, JOIN_CROSS, 0);
    run(&j);
    assert_int_equal(box_cells(&j.op.box), 60000);
}

/* A cross join of long sides must not ask for boxes of their product. */
static void test_grid_is_bounded(void **state)
{
    (void)state;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    struct joined j = {.n_seen = 0};
    side(&j, 0, 1, (int64_t[]){0}, (int64_t[]){1000000}, (int64_t[]){65536}, true);
    side(&j, 1, 1, (int64_t[]){0}, (int64_t[]){1000000}, (int64_t[]){65536}, true);
    finish(&j, JOIN_CROSS, 0);
    open_by_hand(c, &j.op, &op_join_class, &j.plan, j.in);
    assert_in_range(grid_cells(&j.op), 32 * 1024, 256 * 1024);
    assert_in_range(j.op.grid[0], 128, 2048);
    bench_release(&b);
}

static void test_no_dimensions(void **state)
{
    (void)state;
    struct joined j = {.n_seen = 0};
    side(&j, 0, 2, (int64_t[]){0, 0}, (int64_t[]){9, 9}, (int64_t[]){4, 4}, false);
    side(&j, 1, 0, NULL, NULL, NULL, true);
    finish(&j, JOIN_CROSS, 0);
    run(&j);
}

static void test_labels(void **state)
{
    (void)state;
    for (int outer = 0; outer < 2; outer++) {
        struct joined j = {.n_seen = 0};
        /* position p of the left's axis (from 0) is label map[p] of the right */
        static const int64_t map[12] = {3, -1, 0, 7, 7, -1, 2, 1, 40, -1, 5, 6};
        side(&j, 0, 3, (int64_t[]){0, 0, 0}, (int64_t[]){12, 30, 10}, (int64_t[]){4, 8, 4}, false);
        side(&j, 1, 2, (int64_t[]){0, 0}, (int64_t[]){8, 10}, (int64_t[]){4, 4}, false);
        j.pairs[0] = (struct join_dim){0, 0, 0, map};
        j.pairs[1] = (struct join_dim){2, 1, 0, NULL};
        finish(&j, outer ? JOIN_LEFT : JOIN_INNER, 2);
        run(&j);
        assert_true(!outer || j.n_unmatched > 0);
    }
}

static void test_labels_inner_dimension(void **state)
{
    (void)state;
    for (int outer = 0; outer < 2; outer++) {
        struct joined j = {.n_seen = 0};
        static const int64_t map[6] = {-1, 4, 3, 2, -1, 0};
        side(&j, 0, 2, (int64_t[]){0, 0}, (int64_t[]){40, 6}, (int64_t[]){8, 8}, false);
        side(&j, 1, 1, (int64_t[]){0}, (int64_t[]){5}, (int64_t[]){8}, outer);
        j.pairs[0] = (struct join_dim){1, 0, 0, map};
        finish(&j, outer ? JOIN_LEFT : JOIN_INNER, 1);
        run(&j);
        if (!outer) assert_int_equal(j.op.box.lo[1], 1);
    }
}

/* a.i = b.i AND a.i = b.j: the diagonal of the right. */
static void test_diagonal(void **state)
{
    (void)state;
    struct joined j = {.n_seen = 0};
    static const int64_t map[30] = {5, 4, 3, 2, 1, 0, -1, -1, 8, 9};
    side(&j, 0, 1, (int64_t[]){0}, (int64_t[]){30}, (int64_t[]){16}, true);
    side(&j, 1, 3, (int64_t[]){2, 0, 0}, (int64_t[]){25, 40, 12}, (int64_t[]){8, 8, 8}, false);
    j.pairs[0] = (struct join_dim){0, 0, 0, NULL};
    j.pairs[1] = (struct join_dim){0, 1, 3, NULL};
    j.pairs[2] = (struct join_dim){0, 2, 0, map};
    finish(&j, JOIN_LEFT, 3);
    run(&j);
}

/* An empty box of one side must keep the other from being produced. */
static void test_short_circuit(void **state)
{
    (void)state;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    struct joined j = {.n_seen = 0};
    side(&j, 0, 2, (int64_t[]){0, 0}, (int64_t[]){10, 10}, (int64_t[]){5, 5}, false);
    side(&j, 1, 1, (int64_t[]){0}, (int64_t[]){10}, (int64_t[]){5}, false);
    j.pairs[0] = (struct join_dim){0, 0, 0, NULL};
    finish(&j, JOIN_INNER, 1);
    open_by_hand(c, &j.op, &op_join_class, &j.plan, j.in);
    struct box want = {2, {5, 0}, {6, 10}}; /* the right's cell 5 is EMPTY in mem_at */
    struct chunk ch;
    assert_ok(c, op_produce(c, &j.op, &want, &ch));
    assert_int_equal(ch.n_present, 0);
    assert_int_equal(atomic_load(&j.in[1]->stats.boxes), 1);
    assert_int_equal(atomic_load(&j.in[0]->stats.boxes), 0);
    bench_release(&b);
}

/* The cells that either side has, over the union of the axes. */
static void check_full(const struct chunk *ch, void *self)
{
    struct joined *j = self;
    for (int64_t i = 0; i < ch->n; i++) {
        int64_t pos[2];
        struct mem_cell cell[2];
        box_position(&ch->box, i, pos);
        for (int k = 0; k < 2; k++) {
            const struct box *box = &j->side[k].op.box;
            int64_t at[2] = {k ? pos[1] - 4 : pos[0], k ? pos[0] + 7 : pos[1]};
            bool inside = at[0] >= box->lo[0] && at[0] < box->hi[0] && at[1] >= box->lo[1] &&
                          at[1] < box->hi[1];
            cell[k] = inside ? mem_at(&j->side[k], at) : (struct mem_cell){.present = false};
            if (!cell[k].present) memset(cell[k].null, 1, sizeof cell[k].null);
        }
        assert_int_equal(is_present(ch, i), cell[0].present || cell[1].present);
        if (!is_present(ch, i)) continue;
        assert_cell(ch, i, 0, &cell[0]);
        assert_cell(ch, i, MEM_COLS, &cell[1]);
        j->n_seen++;
        j->n_unmatched += !cell[0].present || !cell[1].present;
    }
}

static void test_full(void **state)
{
    (void)state;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    struct joined j = {.n_seen = 0};
    struct join_dim left[2] = {{0, 0, 0, NULL}, {1, 1, 0, NULL}};
    side(&j, 0, 2, (int64_t[]){0, 3}, (int64_t[]){20, 15}, (int64_t[]){6, 5}, false);
    side(&j, 1, 2, (int64_t[]){2, 2}, (int64_t[]){17, 16}, (int64_t[]){4, 7}, false);
    j.pairs[0] = (struct join_dim){0, 1, 7, NULL};  /* the left's 0 … 20, the right's -5 … 9 */
    j.pairs[1] = (struct join_dim){1, 0, -4, NULL}; /* 3 … 15 and 6 … 21 */
    finish(&j, JOIN_FULL, 2);
    j.plan.left_join_dims = left;
    j.plan.rel.n_dims = 2;
    j.dims[0].lo = -5;
    j.dims[1].hi = 21;
    open_by_hand(c, &j.op, &op_join_class, &j.plan, j.in);
    each_way(c, &j.op, &j, check_full);
    assert_true(j.n_seen > 0 && j.n_unmatched > 0 && j.n_unmatched < j.n_seen);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_axes),
        cmocka_unit_test(test_shift_and_order),
        cmocka_unit_test(test_broadcast_right),
        cmocka_unit_test(test_broadcast_both),
        cmocka_unit_test(test_cross),
        cmocka_unit_test(test_grid_is_bounded),
        cmocka_unit_test(test_no_dimensions),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_labels_inner_dimension),
        cmocka_unit_test(test_diagonal),
        cmocka_unit_test(test_short_circuit),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
