/* Do slice, rebase and transpose give each output cell the input cell that the plan says? */
#include "query/reach.h"
#include "tests/unit/mem_op.h"

struct shaped {
    struct mem mem;
    struct plan plan;
    struct plan *in_plan;
    struct op op, *in;
    struct rel_dim dims[MAX_DIMS];
    int dim_of[MAX_DIMS];
    /* the oracle: input position of an output one; false: EMPTY by stride */
    bool (*source)(const struct shaped *s, const int64_t *pos, int64_t *in_pos);
    int64_t n_seen;
};

static const int64_t LO[4] = {-7, 3, 0, 100}, HI[4] = {21, 20, 33, 105}, TILE[4] = {4, 5, 16, 2};

static void start(struct shaped *s, int n_dims, enum plan_kind kind, bool full)
{
    memset(s, 0, sizeof *s);
    mem_init(&s->mem, n_dims, LO, HI, TILE, 42 + (uint64_t)kind);
    s->mem.full = full;
    s->in = &s->mem.op;
    s->in_plan = &s->mem.plan;
    s->plan.kind = kind;
    s->plan.n_in = 1;
    s->plan.in = &s->in_plan;
    s->plan.rel = (struct rel){n_dims, MEM_COLS, s->dims, s->mem.cols};
    s->plan.dim_of = s->dim_of;
    for (int d = 0; d < n_dims; d++) {
        s->dims[d] = s->mem.dims[d];
        s->dim_of[d] = d;
    }
    if (kind == P_SLICE) rel_box(&s->mem.plan.rel, &s->plan.region);
}

static void check(const struct chunk *ch, void *self)
{
    struct shaped *s = self;
    for (int64_t i = 0; i < ch->n; i++) {
        int64_t pos[MAX_DIMS], in_pos[MAX_DIMS];
        box_position(&ch->box, i, pos);
        bool some = s->source(s, pos, in_pos);
        struct mem_cell cell = {.present = false};
        if (some) cell = mem_at(&s->mem, in_pos);
        assert_int_equal(is_present(ch, i), cell.present);
        if (!cell.present) continue;
        assert_cell(ch, i, 0, &cell);
        s->n_seen++;
    }
}

static void run(struct shaped *s, const struct op_class *cls)
{
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    open_by_hand(c, &s->op, cls, &s->plan, &s->in);
    each_way(c, &s->op, s, check);
    assert_true(s->n_seen > 0);
    bench_release(&b);
}

static bool slice_source(const struct shaped *s, const int64_t *pos, int64_t *in_pos)
{
    for (int d = 0; d < s->mem.plan.rel.n_dims; d++)
        in_pos[d] = s->plan.region.lo[d];
    for (int d = 0; d < s->plan.rel.n_dims; d++) {
        in_pos[s->dim_of[d]] = pos[d];
        int64_t stride = s->dims[d].stride;
        if (stride > 1 && (pos[d] - s->dims[d].lo) % stride) return false;
    }
    return true;
}

static void narrow(struct shaped *s, int in_dim, int64_t lo, int64_t hi)
{
    s->plan.region.lo[in_dim] = lo;
    s->plan.region.hi[in_dim] = hi;
    for (int d = 0; d < s->plan.rel.n_dims; d++)
        if (s->dim_of[d] == in_dim) s->dims[d].lo = lo, s->dims[d].hi = hi;
}

static void drop(struct shaped *s, int in_dim, int64_t at)
{
    int n = 0;
    s->plan.region.lo[in_dim] = at;
    s->plan.region.hi[in_dim] = at + 1;
    for (int d = 0; d < s->plan.rel.n_dims; d++) {
        if (s->dim_of[d] == in_dim) continue;
        s->dims[n] = s->dims[d];
        s->dim_of[n++] = s->dim_of[d];
    }
    s->plan.rel.n_dims = n;
}

static void test_slice_range(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct shaped s;
        start(&s, 3, P_SLICE, full);
        s.source = slice_source;
        narrow(&s, 0, -3, 14);
        narrow(&s, 2, 5, 30);
        drop(&s, 1, 7);
        run(&s, &op_slice_class);
    }
}

static void test_slice_to_a_cell(void **state)
{
    (void)state;
    struct shaped s;
    start(&s, 2, P_SLICE, true);
    s.source = slice_source;
    drop(&s, 0, 4);
    drop(&s, 1, 5);
    run(&s, &op_slice_class);
    assert_int_equal(s.op.box.n_dims, 0);
}

static void test_slice_outside(void **state)
{
    (void)state;
    struct shaped s;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    start(&s, 2, P_SLICE, true);
    drop(&s, 0, 5000);
    open_by_hand(c, &s.op, &op_slice_class, &s.plan, &s.in);
    struct chunk ch;
    assert_ok(c, op_produce(c, &s.op, &s.op.box, &ch));
    assert_int_equal(ch.n_present, 0);
    bench_release(&b);
}

static void test_slice_steps(void **state)
{
    (void)state;
    for (int64_t outer = 1; outer < 8; outer += 3) {
        for (int64_t inner = 1; inner < 20; inner += 6) {
            struct shaped s;
            start(&s, 3, P_SLICE, inner == 1);
            s.source = slice_source;
            narrow(&s, 0, -5, 20);
            s.dims[0].stride = outer;
            s.dims[2].stride = inner;
            run(&s, &op_slice_class);
        }
    }
}

/* A step larger than the tile must not read the tiles that it skips. */
static void test_slice_skips_tiles(void **state)
{
    (void)state;
    struct shaped s;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    start(&s, 3, P_SLICE, true);
    s.dims[0].stride = 9;
    open_by_hand(c, &s.op, &op_slice_class, &s.plan, &s.in);
    struct chunk ch;
    assert_ok(c, op_produce(c, &s.op, &s.op.box, &ch));
    assert_int_equal(ch.n_present, 4 * 17 * 33); /* -7, 2, 11, 20 */
    assert_int_equal(atomic_load(&s.in->stats.cells), 4 * 17 * 33);
    bench_release(&b);
}

static bool rebase_source(const struct shaped *s, const int64_t *pos, int64_t *in_pos)
{
    for (int d = 0; d < s->plan.rel.n_dims; d++)
        in_pos[d] = s->mem.dims[d].lo + pos[d] * s->mem.dims[d].stride;
    return true;
}

static void rebase(int n_dims, const int64_t *strides, bool full)
{
    struct shaped s;
    start(&s, n_dims, P_REBASE, full);
    s.source = rebase_source;
    for (int d = 0; d < n_dims; d++) {
        s.mem.dims[d].stride = strides[d];
        s.dims[d].lo = 0;
        s.dims[d].hi = (HI[d] - LO[d] + strides[d] - 1) / strides[d];
    }
    run(&s, &op_rebase_class);
    for (int d = 0; d < n_dims; d++)
        assert_int_equal(box_extent(&s.op.box, d), s.dims[d].hi);
}

static void test_rebase(void **state)
{
    (void)state;
    const int64_t ones[4] = {1, 1, 1, 1};
    rebase(3, ones, false);
    rebase(3, ones, true);
    for (int64_t k = 1; k < 40; k += 5) {
        rebase(3, (int64_t[]){k, 1, 2}, false);
        rebase(3, (int64_t[]){1, k, 3}, true);
        rebase(4, (int64_t[]){3, 2, k, 1}, false);
        rebase(1, (int64_t[]){k}, true);
    }
}

static bool transpose_source(const struct shaped *s, const int64_t *pos, int64_t *in_pos)
{
    for (int d = 0; d < s->plan.rel.n_dims; d++)
        in_pos[s->dim_of[d]] = pos[d];
    return true;
}

static void transpose(const int *order, int n_dims, bool full)
{
    struct shaped s;
    start(&s, n_dims, P_TRANSPOSE, full);
    s.source = transpose_source;
    for (int d = 0; d < n_dims; d++) {
        s.dim_of[d] = order[d];
        s.dims[d] = s.mem.dims[order[d]];
    }
    run(&s, &op_transpose_class);
}

static void test_transpose(void **state)
{
    (void)state;
    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++)
            for (int k = 0; k < 4; k++)
                for (int d = 0; d < 4; d++) {
                    if (a == b || a == k || a == d || b == k || b == d || k == d) continue;
                    transpose((int[]){a, b, k, d}, 4, a == 2);
                }
    transpose((int[]){1, 0}, 2, false);
}

/* The reach is what produce asks for: nothing outside of the input. */
static void test_reach(void **state)
{
    (void)state;
    struct shaped s;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    start(&s, 2, P_TRANSPOSE, true);
    s.dim_of[0] = 1;
    s.dim_of[1] = 0;
    s.dims[0] = s.mem.dims[1];
    s.dims[1] = s.mem.dims[0];
    open_by_hand(c, &s.op, &op_transpose_class, &s.plan, &s.in);
    struct box want = {2, {4, -2}, {9, 0}}, in;
    assert_true(op_reach(&s.op, 0, &want, &in));
    assert_true(box_equal(&in, &(struct box){2, {-2, 4}, {0, 9}}));
    assert_true(op_bytes(&s.op, &want) >= 2 * 10 * (8 + 2 + 16));
    assert_int_equal(op_stored_bytes(&s.op, &want), 0);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice_range),       cmocka_unit_test(test_slice_to_a_cell),
        cmocka_unit_test(test_slice_outside),     cmocka_unit_test(test_slice_steps),
        cmocka_unit_test(test_slice_skips_tiles), cmocka_unit_test(test_rebase),
        cmocka_unit_test(test_transpose),         cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
