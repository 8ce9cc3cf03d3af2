/* Does a scan give a stored array's cells, whatever the boxes, and leave out the tiles that the
 * condition cannot be true on? */
#include "query/reach.h"
#include "storage/db.h"
#include "tests/unit/mem_op.h"
#include <stdio.h>
#include <unistd.h>

#define N_TIME 40
#define N_X 50

struct stored {
    struct bench b;
    struct ctx *c;
    char dir[64];
    struct db *db;
    struct txn *txn;
    struct array *array;
};

static int64_t reading(int64_t t, int64_t x)
{
    return t * 100 + x;
}

static bool exists(int64_t t, int64_t x)
{
    return t < 20 || t >= 30 || x % 2; /* time 20 … 29: every other x */
}

static bool is_null(int64_t t, int64_t x)
{
    return (t + x) % 6 == 0;
}

static void dimension(struct ctx *c, struct dim *d, const char *name, int64_t n, int64_t tile)
{
    struct value lo = value_int(T_INT64, 0), hi = value_int(T_INT64, n - 1);
    *d = (struct dim){.name = name, .tile = tile};
    assert_ok(c, axis_regular(c, name, T_INT64, &lo, &hi, NULL, &d->axis));
}

/* Array m: time 0 … 39 in tiles of 10, x 0 … 49 in tiles of 16; time 10 … 19 has no cell. */
static void fill(struct stored *s)
{
    struct ctx *c = s->c;
    struct txn *t;
    struct writer *w;
    struct dim *dims = arena_array(c->arena, struct dim, 2);
    struct attr *attrs = arena_array(c->arena, struct attr, 2);
    dimension(c, &dims[0], "time", N_TIME, 10);
    dimension(c, &dims[1], "x", N_X, 16);
    attrs[0] = (struct attr){.name = "v", .type = T_INT64};
    attrs[1] = (struct attr){.name = "w", .type = T_INT16};
    struct schema schema = {.name = "m", .n_dims = 2, .n_attrs = 2, .dims = dims, .attrs = attrs};
    assert_ok(c, txn_begin(c, s->db, false, &t));
    assert_ok(c, array_create(c, t, &schema));
    assert_ok(c, writer_open(c, t, "m", CONFLICT_ERROR, (int[]){0, 1}, 2, &w));
    static int64_t v[N_TIME * N_X];
    static int16_t narrow[N_TIME * N_X];
    uint64_t valid[N_TIME * N_X / 64 + 1] = {0}, present[N_TIME * N_X / 64 + 1] = {0};
    int64_t n_written = 0;
    for (int64_t i = 0; i < N_TIME * N_X; i++) {
        int64_t time = i / N_X, x = i % N_X;
        v[i] = reading(time, x);
        narrow[i] = (int16_t)(time - x);
        bit_put(valid, i, !is_null(time, x));
        bit_put(present, i, exists(time, x) && (time < 10 || time >= 20));
    }
    struct column cols[2] = {{T_INT64, v, valid}, {T_INT16, narrow, NULL}};
    struct box box = {2, {0, 0}, {N_TIME, N_X}};
    assert_ok(c, writer_put_box(c, w, &box, cols, present, &n_written));
    assert_int_equal(n_written, 10 * 50 + 10 * 25 + 10 * 50);
    assert_ok(c, writer_finish(c, w));
    writer_free(w);
    assert_ok(c, txn_commit(c, t));
}

static void start(struct stored *s, int threads)
{
    s->c = bench_init(&s->b, threads, 0);
    snprintf(s->dir, sizeof s->dir, "/tmp/tessera-scan-%d", (int)getpid());
    struct db_options o = {.create = true, .cache_bytes = 8 << 20};
    assert_ok(s->c, db_open(s->c, s->dir, &o, &s->b.budget, &s->db));
    fill(s);
    assert_ok(s->c, txn_begin(s->c, s->db, true, &s->txn));
    assert_ok(s->c, array_open(s->c, s->txn, &(struct array_ref){.name = "m"}, &s->array));
}

static void stop(struct stored *s)
{
    char command[128];
    txn_rollback(s->txn);
    db_close(s->db);
    bench_release(&s->b);
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    assert_int_equal(system(command), 0);
}

/* Columns w, v of the array over the region. */
static struct plan *scan(struct stored *s, const struct box *region)
{
    struct ctx *c = s->c;
    const struct schema *schema = array_schema(s->array);
    struct plan *p = arena_new_of(c->arena, struct plan);
    p->kind = P_SCAN;
    p->array = s->array;
    p->attrs = arena_dup(c->arena, (int[]){1, 0}, 2 * sizeof(int));
    p->rel = (struct rel){2, 2, arena_array(c->arena, struct rel_dim, 2),
                          arena_array(c->arena, struct rel_col, 2)};
    for (int d = 0; d < 2; d++)
        p->rel.dims[d] = (struct rel_dim){.name = schema->dims[d].name,
                                          .axis = &schema->dims[d].axis,
                                          .lo = region->lo[d],
                                          .hi = region->hi[d],
                                          .stride = 1,
                                          .tile = schema->dims[d].tile};
    p->rel.cols[0] = (struct rel_col){.name = "w", .type = T_INT16};
    p->rel.cols[1] = (struct rel_col){.name = "v", .type = T_INT64};
    return p;
}

static struct expr *compare(struct ctx *c, const char *op, struct expr *a, int64_t value)
{
    struct value v = value_int(T_INT64, value);
    struct expr *args[] = {a, expr_make_const(c, &v, -1)}, *out;
    assert_ok(c, expr_make_call(c, op, args, 2, -1, &out));
    return out;
}

static struct exec *open_plan(struct stored *s, struct plan *p)
{
    struct query *q = arena_new_of(s->c->arena, struct query);
    struct exec *x;
    q->root = p;
    assert_ok(s->c, exec_open(s->c, q, NULL, 0, s->txn, &x));
    return x;
}

static void check(const struct chunk *ch, void *self)
{
    (void)self;
    for (int64_t i = 0; i < ch->n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, i, pos);
        int64_t t = pos[0], x = pos[1];
        bool inside = t >= 0 && t < N_TIME && x >= 0 && x < N_X && (t < 10 || t >= 20);
        assert_int_equal(is_present(ch, i), inside && exists(t, x));
        if (!is_present(ch, i)) continue;
        assert_int_equal(((int16_t *)ch->cols[0].values)[i], t - x);
        assert_int_equal(column_is_null(&ch->cols[1], i), is_null(t, x));
        if (!is_null(t, x)) assert_true(((int64_t *)ch->cols[1].values)[i] == reading(t, x));
    }
}

static void test_boxes(void **state)
{
    (void)state;
    struct stored s;
    start(&s, 1);
    const struct box regions[] = {
        {2, {0, 0}, {N_TIME, N_X}}, {2, {5, 7}, {33, 44}}, {2, {-10, -3}, {60, 70}}};
    for (int i = 0; i < 3; i++) {
        struct exec *x = open_plan(&s, scan(&s, &regions[i]));
        each_way(s.c, exec_root(x), NULL, check);
        exec_close(x);
    }
    stop(&s);
}

/* ---- pruning ---- */

struct sum {
    struct sink sink;
    atomic_int_least64_t cells, total;
};

static enum status add(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                       const struct chunk *ch)
{
    struct sum *s = (struct sum *)sink;
    (void)c, (void)worker, (void)seq;
    for (int64_t i = 0; i < ch->n; i++) {
        if (!is_present(ch, i)) continue;
        atomic_fetch_add(&s->cells, 1);
        if (!column_is_null(&ch->cols[1], i))
            atomic_fetch_add(&s->total, ((int64_t *)ch->cols[1].values)[i]);
    }
    return OK;
}

/* filter(scan) with the condition also as plan->prune, or not. */
static void run(struct stored *s, struct expr *cond, bool prune, bool ordered, struct sum *out)
{
    struct box all = {2, {0, 0}, {N_TIME, N_X}};
    struct plan *in = scan(s, &all), *p = arena_new_of(s->c->arena, struct plan);
    if (prune) in->prune = cond;
    *p = (struct plan){.kind = P_FILTER, .rel = in->rel, .n_in = 1, .n_exprs = 1};
    p->in = arena_dup(s->c->arena, &in, sizeof in);
    p->exprs = arena_dup(s->c->arena, &cond, sizeof cond);
    memset(out, 0, sizeof *out);
    out->sink.consume = add;
    out->sink.ordered = ordered;
    struct exec *x = open_plan(s, p);
    assert_ok(s->c, exec_run(s->c, exec_root(x), NULL, &out->sink));
    exec_close(x);
}

static void test_pruning(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct stored s;
        start(&s, round & 1 ? 4 : 1);
        bool ordered = round & 2;
        struct ctx *c = s.c;
        struct expr *v = expr_make_ref(c, E_COL, 1, T_INT64, -1);
        struct expr *w = expr_make_ref(c, E_COL, 0, T_INT16, -1);
        struct expr *time = expr_make_ref(c, E_DIM, 0, T_INT64, -1);
        struct expr *conds[] = {compare(c, "<", v, 900),    compare(c, "=", v, 3949),
                                compare(c, ">", w, 25),     compare(c, ">=", time, 35),
                                compare(c, "=", v, 123456), compare(c, "<>", v, 0)};
        /* of 4 × 4 tiles; those of time 10 … 19 have no cell and are not counted */
        const int64_t pruned[] = {8, 11, 10, 8, 12, 0};
        for (int k = 0; k < 6; k++) {
            struct sum plain, less;
            run(&s, conds[k], false, ordered, &plain);
            int64_t before = atomic_load(&s.b.counters.tiles_pruned);
            run(&s, conds[k], true, ordered, &less);
            int64_t n = atomic_load(&s.b.counters.tiles_pruned) - before;
            assert_int_equal(atomic_load(&plain.cells), atomic_load(&less.cells));
            assert_int_equal(atomic_load(&plain.total), atomic_load(&less.total));
            assert_int_equal(n, pruned[k]);
            assert_true(k == 4 || atomic_load(&plain.cells) > 0);
        }
        stop(&s);
    }
}

/* Boxes that go over pruned and read tiles at once give the same as tile by tile. */
static void test_pruned_boxes(void **state)
{
    (void)state;
    struct stored s;
    start(&s, 1);
    struct box all = {2, {0, 0}, {N_TIME, N_X}};
    struct plan *p = scan(&s, &all);
    struct chunk ch;
    p->prune = compare(s.c, ">", expr_make_ref(s.c, E_COL, 0, T_INT16, -1), 25);
    struct exec *x = open_plan(&s, p);
    int64_t n_found = 0;
    for (int64_t lo = 0; lo < 30; lo += 7) {
        struct box b = {2, {lo, 3}, {N_TIME, 47}};
        scratch_reset(s.c->scratch);
        assert_ok(s.c, op_produce(s.c, exec_root(x), &b, &ch));
        for (int64_t i = 0; i < ch.n; i++) {
            int64_t pos[MAX_DIMS];
            box_position(&b, i, pos);
            bool matches = pos[0] - pos[1] > 25 && exists(pos[0], pos[1]);
            if (!matches) continue; /* may be there or not */
            assert_true(is_present(&ch, i));
            assert_int_equal(((int16_t *)ch.cols[0].values)[i], pos[0] - pos[1]);
            n_found++;
        }
    }
    assert_true(n_found > 0);
    scratch_reset(s.c->scratch); /* chunks may be cached tiles */
    exec_close(x);
    stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_pruning),
        cmocka_unit_test(test_pruned_boxes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
