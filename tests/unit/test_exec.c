/* Does the driver go over every cell once, in order where asked, within the budget; and does a
 * tree of operators give what its plan says? */
#include "query/reach.h"
#include "storage/base/datetime.h"
#include "tests/unit/mem_op.h"
#include <pthread.h>

/* ---- the driver ---- */

struct tally {
    struct sink sink;
    const struct mem *mem;
    pthread_mutex_t lock;
    unsigned char *seen; /* by cell of the operator's box */
    int64_t n_boxes, n_cells, last_seq, largest;
    int64_t next_index; /* ordered: row-major index of the first cell still to come */
    int64_t stop_after; /* boxes; 0: never */
    int64_t fail_from;  /* seq; 0: never */
    int in_consume;
};

static enum status tally_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct tally *t = (struct tally *)sink;
    assert_true(worker >= 0 && worker < 4);
    if (t->fail_from && seq >= t->fail_from)
        return fail(c, ERR_OVERFLOW, "box %lld", (long long)seq);
    pthread_mutex_lock(&t->lock);
    assert_int_equal(t->in_consume, 0);
    if (sink->ordered) {
        assert_int_equal(seq, t->last_seq + 1);
        assert_int_equal(box_index(&t->mem->op.box, ch->box.lo), t->next_index);
        t->next_index += ch->n;
    } else {
        assert_true(ch->n_present > 0);
    }
    t->last_seq = seq;
    t->n_boxes++;
    if (ch->n > t->largest) t->largest = ch->n;
    for (int64_t i = 0; t->seen && i < ch->n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, i, pos);
        if (sink->ordered)
            assert_int_equal(i + t->next_index - ch->n, box_index(&t->mem->op.box, pos));
        if (!is_present(ch, i)) continue;
        struct mem_cell cell = mem_at(t->mem, pos);
        assert_cell(ch, i, 0, &cell);
        assert_int_equal(t->seen[box_index(&t->mem->op.box, pos)]++, 0);
        t->n_cells++;
    }
    if (t->stop_after && t->n_boxes >= t->stop_after) atomic_store(&sink->done, true);
    pthread_mutex_unlock(&t->lock);
    return OK;
}

static void tally_init(struct tally *t, const struct mem *m, bool ordered)
{
    memset(t, 0, sizeof *t);
    t->sink.consume = tally_box;
    t->sink.ordered = ordered;
    t->mem = m;
    t->last_seq = -1;
    pthread_mutex_init(&t->lock, NULL);
    t->seen = calloc((size_t)box_cells(&m->op.box), 1);
}

static void tally_all_seen(struct tally *t)
{
    int64_t n = box_cells(&t->mem->op.box), pos[MAX_DIMS];
    for (int64_t i = 0; i < n; i++) {
        box_position(&t->mem->op.box, i, pos);
        assert_int_equal(t->seen[i], mem_at(t->mem, pos).present);
    }
    free(t->seen);
    pthread_mutex_destroy(&t->lock);
}

static void test_every_cell_once(void **state)
{
    (void)state;
    for (int round = 0; round < 12; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        int threads = round & 1 ? 4 : 1;
        bool ordered = round & 2;
        int64_t limit = round < 4 ? 0 : round < 8 ? 4 << 20 : 1 << 20;
        struct ctx *c = bench_init(&b, threads, limit);
        mem_init(&m, 3, (int64_t[]){-5, 7, 0}, (int64_t[]){9, 40, 230}, (int64_t[]){4, 10, 32},
                 (uint64_t)round);
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        if (ordered) assert_int_equal(t.next_index, box_cells(&m.op.box));
        tally_all_seen(&t);
        assert_int_equal(atomic_load(&b.progress.done), atomic_load(&b.progress.total));
        assert_true(atomic_load(&b.progress.total) > 0);
        if (limit) assert_true(atomic_load(&b.budget.peak_bytes) <= limit);
        bench_release(&b);
    }
}

static void test_grid_is_kept(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 1, 0);
    mem_init(&m, 2, (int64_t[]){3, 0}, (int64_t[]){22, 95}, (int64_t[]){10, 50}, 3);
    m.full = true;
    tally_init(&t, &m, false);
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_int_equal(t.n_boxes, 3 * 2); /* 3 … 10 … 20 … 22 by 0 … 50 … 95 */
    assert_int_equal(t.last_seq, 5);
    assert_int_equal(t.largest, 500);
    tally_all_seen(&t);
    struct box part = {2, {10, 60}, {20, 70}};
    tally_init(&t, &m, false);
    assert_ok(c, exec_run(c, &m.op, &part, &t.sink));
    assert_int_equal(t.n_boxes, 1);
    assert_int_equal(t.n_cells, 100);
    free(t.seen);
    bench_release(&b);
}

static void test_stops_early(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        struct ctx *c = bench_init(&b, round & 1 ? 4 : 1, 0);
        bool ordered = round & 2;
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){40000, 50}, (int64_t[]){200, 50}, 3);
        tally_init(&t, &m, ordered);
        t.stop_after = 3;
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_in_range(t.n_boxes, 3, ordered ? 3 : 6);
        assert_in_range(atomic_load(&m.op.stats.boxes), 3, 12);
        assert_int_equal(atomic_load(&b.progress.done), atomic_load(&b.progress.total));
        free(t.seen);
        bench_release(&b);
    }
}

static void test_lowest_error_wins(void **state)
{
    (void)state;
    for (int round = 0; round < 40; round++) {
        struct bench b;
        struct mem m;
        struct tally t;
        struct ctx *c = bench_init(&b, 1 + round % 4, 0);
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){400, 400}, (int64_t[]){20, 400}, 3);
        m.full = true;
        m.op.grid[0] = 100;
        tally_init(&t, &m, round & 4);
        t.fail_from = 2;
        assert_int_equal(exec_run(c, &m.op, NULL, &t.sink), ERR_OVERFLOW);
        assert_string_equal(c->err.message, "box 2");
        if (round & 4) assert_int_equal(t.last_seq, 1);
        free(t.seen);
        bench_release(&b);
    }
}

static enum status slow_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                            const struct chunk *ch)
{
    (void)worker, (void)seq, (void)ch, (void)sink;
    atomic_store(&c->cancel->reason, CANCEL_USER);
    return OK;
}

static void test_cancel(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench b;
        struct mem m;
        struct ctx *c = bench_init(&b, round & 1 ? 4 : 1, 0);
        struct sink sink = {.consume = slow_box, .ordered = round & 2};
        mem_init(&m, 2, (int64_t[]){0, 0}, (int64_t[]){40000, 50}, (int64_t[]){1000, 50}, 3);
        assert_int_equal(exec_run(c, &m.op, NULL, &sink), ERR_CANCELLED);
        assert_true(atomic_load(&m.op.stats.boxes) < 12);
        bench_release(&b);
    }
}

/* The first rows of an array whose slabs are large must not wait for a whole slab. */
static void test_first_rows_are_quick(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 1, 0);
    mem_init(&m, 3, (int64_t[]){0, 0, 0}, (int64_t[]){8, 1000, 1000}, (int64_t[]){8, 64, 64}, 3);
    m.full = true;
    tally_init(&t, &m, true);
    t.stop_after = 1;
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_in_range(t.largest, 1000, 64 * 1000);
    free(t.seen);
    bench_release(&b);
}

static void test_large_slabs_in_order(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct tally t;
    struct ctx *c = bench_init(&b, 2, 0);
    mem_init(&m, 3, (int64_t[]){0, 0, 0}, (int64_t[]){3, 600, 500}, (int64_t[]){8, 64, 64}, 3);
    m.full = true;
    tally_init(&t, &m, true);
    assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
    assert_int_equal(t.next_index, box_cells(&m.op.box));
    tally_all_seen(&t);
    bench_release(&b);
}

static void test_no_dimension_and_nothing(void **state)
{
    (void)state;
    struct bench b;
    struct mem m;
    struct ctx *c = bench_init(&b, 2, 0);
    for (int ordered = 0; ordered < 2; ordered++) {
        struct tally t;
        mem_init(&m, 0, NULL, NULL, NULL, 3);
        m.full = true;
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_int_equal(t.n_boxes, 1);
        tally_all_seen(&t);
        mem_init(&m, 1, (int64_t[]){4}, (int64_t[]){4}, (int64_t[]){10}, 3);
        tally_init(&t, &m, ordered);
        assert_ok(c, exec_run(c, &m.op, NULL, &t.sink));
        assert_int_equal(t.n_boxes, 0);
        free(t.seen);
    }
    bench_release(&b);
}

/* ---- trees from plans ---- */

static struct plan *node(struct ctx *c, enum plan_kind kind, struct plan *left, struct plan *right)
{
    struct plan *p = arena_new_of(c->arena, struct plan);
    p->kind = kind;
    p->n_in = right ? 2 : left ? 1 : 0;
    p->in = arena_array(c->arena, struct plan *, 2);
    p->in[0] = left;
    p->in[1] = right;
    if (left) p->rel = left->rel;
    return p;
}

static void columns(struct ctx *c, struct plan *p, const enum type *types, int n)
{
    p->rel.n_cols = n;
    p->rel.cols = arena_array(c->arena, struct rel_col, n + 1);
    for (int i = 0; i < n; i++)
        p->rel.cols[i] = (struct rel_col){.name = "c", .type = types[i]};
}

static struct plan *grid(struct ctx *c, int n_dims, const int64_t *lo, const int64_t *hi)
{
    struct plan *p = node(c, P_GRID, NULL, NULL);
    p->rel.n_dims = n_dims;
    p->rel.dims = arena_array(c->arena, struct rel_dim, n_dims + 1);
    for (int d = 0; d < n_dims; d++) {
        struct axis *axis = arena_new_of(c->arena, struct axis);
        *axis = axis_count(hi[d]);
        axis->lo = lo[d];
        p->rel.dims[d] =
            (struct rel_dim){.name = "d", .axis = axis, .lo = lo[d], .hi = hi[d], .stride = 1};
    }
    return p;
}

static struct plan *rows(struct ctx *c, enum plan_kind kind, int64_t n, const enum type *types,
                         int n_cols)
{
    struct plan *p = node(c, kind, NULL, NULL);
    p->rel.n_dims = 1;
    p->rel.dims = arena_new_of(c->arena, struct rel_dim);
    p->rel.dims[0] = (struct rel_dim){.lo = 0, .hi = n, .stride = 1};
    columns(c, p, types, n_cols);
    return p;
}

static struct expr *constant(struct ctx *c, struct value v)
{
    return expr_make_const(c, &v, -1);
}

static struct expr *typed(struct ctx *c, struct value v)
{
    struct expr *e = constant(c, v);
    e->weak = false;
    return e;
}

static struct expr *call(struct ctx *c, const char *name, struct expr *a, struct expr *b)
{
    struct expr *args[] = {a, b}, *out;
    assert_ok(c, expr_make_call(c, name, args, 2, -1, &out));
    return out;
}

static struct expr *dim(struct ctx *c, int d)
{
    return expr_make_ref(c, E_DIM, d, T_INT64, -1);
}

static struct expr *column(struct ctx *c, int i)
{
    return expr_make_ref(c, E_COL, i, T_INT64, -1);
}

static struct expr *number(struct ctx *c, int64_t i)
{
    return constant(c, value_int(T_INT64, i));
}

static struct plan *map1(struct ctx *c, struct plan *in, struct expr *e)
{
    struct plan *p = node(c, P_MAP, in, NULL);
    p->exprs = arena_array(c->arena, struct expr *, 1);
    p->exprs[0] = e;
    p->n_exprs = 1;
    columns(c, p, &e->type, 1);
    return p;
}

static struct plan *where(struct ctx *c, struct plan *in, struct expr *e)
{
    struct plan *p = node(c, P_FILTER, in, NULL);
    p->exprs = arena_array(c->arena, struct expr *, 1);
    p->exprs[0] = e;
    p->n_exprs = 1;
    return p;
}

/* Bigint columns 0 and 1 (if there are) of every cell, by row-major index of the root's box. */
#define MOST 5000
struct result {
    struct sink sink;
    struct op *root;
    pthread_mutex_t lock;
    int64_t n;
    bool present[MOST], null[2][MOST];
    int64_t value[2][MOST];
};

static enum status keep(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                        const struct chunk *ch)
{
    struct result *r = (struct result *)sink;
    (void)c, (void)worker, (void)seq;
    pthread_mutex_lock(&r->lock);
    for (int64_t i = 0; i < ch->n; i++) {
        int64_t pos[MAX_DIMS];
        if (!is_present(ch, i)) continue;
        box_position(&ch->box, i, pos);
        int64_t at = box_index(&r->root->box, pos);
        assert_in_range(at, 0, MOST - 1);
        assert_false(r->present[at]);
        r->present[at] = true;
        r->n++;
        for (int k = 0; k < ch->n_cols && k < 2; k++) {
            r->null[k][at] = column_is_null(&ch->cols[k], i);
            size_t bytes = type_bytes(ch->cols[k].type);
            r->value[k][at] = 0;
            memcpy(&r->value[k][at], (const char *)ch->cols[k].values + (size_t)i * bytes,
                   bytes < 8 ? bytes : 8);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return OK;
}

static enum status run_plan(struct ctx *c, struct plan *p, struct subquery *sq, bool ordered,
                            struct result *r)
{
    struct query q = {.root = p, .n_subqueries = sq ? 1 : 0, .subqueries = &sq};
    struct exec *x = NULL;
    memset(r, 0, sizeof *r);
    r->sink.consume = keep;
    r->sink.ordered = ordered;
    pthread_mutex_init(&r->lock, NULL);
    enum status s = exec_open(c, &q, NULL, 0, NULL, &x);
    if (s == OK) {
        r->root = exec_root(x);
        s = exec_run(c, r->root, NULL, &r->sink);
    }
    exec_close(x);
    pthread_mutex_destroy(&r->lock);
    return s;
}

static void test_map_and_filter(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench b;
        struct result *r = malloc(sizeof *r);
        struct ctx *c = bench_init(&b, round & 1 ? 4 : 1, 0);
        struct plan *p = grid(c, 2, (int64_t[]){-3, 0}, (int64_t[]){17, 200});
        p = map1(c, p, call(c, "+", call(c, "*", dim(c, 0), number(c, 1000)), dim(c, 1)));
        p = where(c, p, call(c, "=", call(c, "%", column(c, 0), number(c, 3)), number(c, 1)));
        assert_ok(c, run_plan(c, p, NULL, round & 2, r));
        int64_t n = 0;
        for (int64_t i = -3; i < 17; i++) {
            for (int64_t j = 0; j < 200; j++) {
                int64_t v = i * 1000 + j, at = (i + 3) * 200 + j;
                bool want = ((v % 3) + 3) % 3 == 1;
                assert_int_equal(r->present[at], want);
                if (want) assert_int_equal(r->value[0][at], v);
                n += want;
            }
        }
        assert_int_equal(r->n, n);
        free(r);
        bench_release(&b);
    }
}

static void test_one(void **state)
{
    (void)state;
    struct bench b;
    struct result *r = malloc(sizeof *r);
    struct ctx *c = bench_init(&b, 1, 0);
    struct plan *p = map1(c, node(c, P_ONE, NULL, NULL), typed(c, value_int(T_INT64, 42)));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    assert_int_equal(r->n, 1);
    assert_int_equal(r->value[0][0], 42);
    free(r);
    bench_release(&b);
}

static void test_values(void **state)
{
    (void)state;
    struct bench b;
    struct result *r = malloc(sizeof *r);
    struct ctx *c = bench_init(&b, 2, 0);
    struct plan *p = rows(c, P_VALUES, 300, (enum type[]){T_INT64, T_INT64}, 2);
    p->n_rows = 300;
    p->rows = arena_array(c->arena, struct expr *, 600);
    for (int64_t i = 0; i < 300; i++) {
        p->rows[2 * i] = typed(c, value_int(T_INT64, i * i));
        p->rows[2 * i + 1] = typed(c, i % 7 == 3 ? value_null(T_INT64) : value_int(T_INT64, -i));
    }
    assert_ok(c, run_plan(c, p, NULL, false, r));
    assert_int_equal(r->n, 300);
    for (int64_t i = 0; i < 300; i++) {
        assert_int_equal(r->value[0][i], i * i);
        assert_int_equal(r->null[1][i], i % 7 == 3);
        if (i % 7 != 3) assert_int_equal(r->value[1][i], -i);
    }
    /* boxes that start inside a word of the bitmap */
    struct query q = {.root = p};
    struct exec *x;
    struct chunk ch;
    assert_ok(c, exec_open(c, &q, NULL, 0, NULL, &x));
    for (int64_t lo = 0; lo < 290; lo += 13) {
        assert_ok(c, op_produce(c, exec_root(x), &(struct box){1, {lo}, {lo + 10}}, &ch));
        for (int64_t i = 0; i < 10; i++)
            assert_int_equal(column_is_null(&ch.cols[1], i), (lo + i) % 7 == 3);
    }
    exec_close(x);
    free(r);
    bench_release(&b);
}

static struct plan *series(struct ctx *c, enum type t, struct value a, struct value b,
                           struct value step)
{
    struct plan *p = rows(c, P_SERIES, ROWS_UNKNOWN, &t, 1);
    p->exprs = arena_array(c->arena, struct expr *, 3);
    p->exprs[0] = typed(c, a);
    p->exprs[1] = typed(c, b);
    p->exprs[2] = typed(c, step);
    p->n_exprs = 3;
    return p;
}

static void test_series_integers(void **state)
{
    (void)state;
    struct bench b;
    struct result *r = malloc(sizeof *r);
    struct ctx *c = bench_init(&b, 1, 0);
    const int64_t cases[][4] = {/* start, stop, step, rows */
                                {1, 10, 3, 4},
                                {10, 1, -4, 3},
                                {5, 4, 1, 0},
                                {7, 7, -1, 1},
                                {INT64_MAX - 2, INT64_MAX, 1, 3},
                                {INT64_MIN, INT64_MAX, INT64_MAX, 3}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        const int64_t *t = cases[k];
        struct plan *p = series(c, T_INT64, value_int(T_INT64, t[0]), value_int(T_INT64, t[1]),
                                value_int(T_INT64, t[2]));
        assert_ok(c, run_plan(c, p, NULL, true, r));
        assert_int_equal(r->n, t[3]);
        for (int64_t i = 0; i < r->n; i++)
            assert_true((uint64_t)r->value[0][i] == (uint64_t)t[0] + (uint64_t)i * (uint64_t)t[2]);
    }
    struct plan *p =
        series(c, T_INT32, value_int(T_INT32, 2), value_int(T_INT32, 9), value_int(T_INT32, 3));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    assert_int_equal(r->n, 3);
    assert_int_equal(r->value[0][2], 8);
    p = series(c, T_INT64, value_int(T_INT64, 2), value_null(T_INT64), value_int(T_INT64, 3));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    assert_int_equal(r->n, 0);
    p = series(c, T_INT64, value_int(T_INT64, 2), value_int(T_INT64, 3), value_int(T_INT64, 0));
    assert_int_equal(run_plan(c, p, NULL, true, r), ERR_INVALID_PARAMETER);
    free(r);
    bench_release(&b);
}

static void test_series_doubles(void **state)
{
    (void)state;
    struct bench b;
    struct result *r = malloc(sizeof *r);
    struct ctx *c = bench_init(&b, 1, 0);
    struct plan *p = series(c, T_FLOAT64, value_double(0), value_double(1), value_double(0.1));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    assert_int_equal(r->n, 11);
    const double want[] = {0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1};
    assert_memory_equal(r->value[0], want, sizeof want);
    free(r);
    bench_release(&b);
}

static struct value times(const char *text, enum type t)
{
    struct ctx c = {0};
    struct value v;
    ctx_clear(&c);
    assert_ok(&c, value_parse(&c, t, (struct text){text, (int64_t)strlen(text)}, &v));
    return v;
}

static void test_series_months(void **state)
{
    (void)state;
    struct bench b;
    struct result *r = malloc(sizeof *r);
    struct ctx *c = bench_init(&b, 1, 0);
    struct plan *p = series(c, T_TIMESTAMP, times("2020-01-31", T_TIMESTAMP),
                            times("2020-05-29", T_TIMESTAMP), times("1 month", T_INTERVAL));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    const char *const want[] = {"2020-01-31", "2020-02-29", "2020-03-29", "2020-04-29",
                                "2020-05-29"}; /* as PostgreSQL: the day stays cut */
    assert_int_equal(r->n, 5);
    for (int i = 0; i < 5; i++)
        assert_true(r->value[0][i] == times(want[i], T_TIMESTAMP).i);
    p = series(c, T_TIMESTAMP, times("2020-01-31", T_TIMESTAMP), times("2020-01-01", T_TIMESTAMP),
               times("-10 days -12 hours", T_INTERVAL));
    assert_ok(c, run_plan(c, p, NULL, true, r));
    assert_int_equal(r->n, 3);
    assert_true(r->value[0][2] == times("2020-01-10", T_TIMESTAMP).i);
    free(r);
    bench_release(&b);
}

static struct expr *subquery(struct ctx *c, struct subquery *sq, struct plan *p, bool exists)
{
    static int first;
    static bool no_dim;
    *sq = (struct subquery){
        .plan = p, .n_cols = !exists, .columns = &first, .is_dim = &no_dim, .exists = exists};
    struct expr *e = expr_make_ref(c, E_SUBQUERY, 0, exists ? T_BOOL : p->rel.cols[0].type, -1);
    e->subquery = sq;
    return e;
}

/* i of a grid of n where i = `pick` (or i >= pick), plus 100. */
static struct plan *picked(struct ctx *c, const char *op, int64_t pick)
{
    struct plan *p = grid(c, 1, (int64_t[]){0}, (int64_t[]){100});
    p = where(c, p, call(c, op, dim(c, 0), number(c, pick)));
    return map1(c, p, call(c, "+", dim(c, 0), number(c, 100)));
}

static void test_subqueries(void **state)
{
    (void)state;
    for (int threads = 1; threads < 5; threads += 3) {
        struct bench b;
        struct result *r = malloc(sizeof *r);
        struct subquery sq;
        struct ctx *c = bench_init(&b, threads, 0);
        struct plan *one = node(c, P_ONE, NULL, NULL);
        assert_ok(
            c, run_plan(c, map1(c, one, subquery(c, &sq, picked(c, "=", 7), false)), &sq, true, r));
        assert_int_equal(r->value[0][0], 107);
        assert_ok(c, run_plan(c, map1(c, one, subquery(c, &sq, picked(c, "=", 700), false)), &sq,
                              true, r));
        assert_true(r->present[0] && r->null[0][0]);
        assert_ok(
            c, run_plan(c, map1(c, one, subquery(c, &sq, picked(c, ">", 7), true)), &sq, true, r));
        assert_int_equal(r->value[0][0], 1);
        assert_ok(c, run_plan(c, map1(c, one, subquery(c, &sq, picked(c, ">", 700), true)), &sq,
                              true, r));
        assert_int_equal(r->value[0][0], 0);
        struct plan *p = map1(c, one, subquery(c, &sq, picked(c, ">", 97), false));
        assert_int_equal(run_plan(c, p, &sq, true, r), ERR_CARDINALITY);
        assert_string_equal(c->err.message,
                            "more than one row returned by a subquery used as an expression");
        free(r);
        bench_release(&b);
    }
}

/* Left: i in [0, 40), x = 2i. Right: j in [10, 60), y = j. On i = j, and y % 3 = 0. */
static void test_join_residual(void **state)
{
    (void)state;
    for (int outer = 0; outer < 2; outer++) {
        struct bench b;
        struct result *r = malloc(sizeof *r);
        struct ctx *c = bench_init(&b, 2, 0);
        struct plan *left = grid(c, 1, (int64_t[]){0}, (int64_t[]){40});
        struct plan *right = grid(c, 1, (int64_t[]){10}, (int64_t[]){60});
        left = map1(c, left, call(c, "*", dim(c, 0), number(c, 2)));
        right = map1(c, right, dim(c, 0));
        struct join_dim pair = {0, 0, 0, NULL};
        struct plan *p = node(c, P_JOIN, left, right);
        columns(c, p, (enum type[]){T_INT64, T_INT64}, 2);
        p->join = outer ? JOIN_LEFT : JOIN_INNER;
        p->join_dims = &pair;
        p->n_join_dims = 1;
        p->residual = call(c, "=", call(c, "%", column(c, 1), number(c, 3)), number(c, 0));
        assert_ok(c, run_plan(c, p, NULL, false, r));
        int64_t n = 0;
        for (int64_t i = outer ? 0 : 10; i < 40; i++) {
            int64_t at = outer ? i : i - 10;
            bool match = i >= 10 && i % 3 == 0;
            assert_int_equal(r->present[at], outer || match);
            if (!r->present[at]) continue;
            n++;
            assert_int_equal(r->value[0][at], 2 * i);
            assert_int_equal(r->null[1][at], !match);
            if (match) assert_int_equal(r->value[1][at], i);
        }
        assert_int_equal(r->n, n);
        free(r);
        bench_release(&b);
    }
}

static enum status just_count(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                              const struct chunk *ch)
{
    (void)worker, (void)seq, (void)sink;
    COUNT(c, tiles_read, ch->n_present);
    return OK;
}

/* A grid far larger than memory, with columns, stays within a small budget. */
static void test_streams_within_budget(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct bench b;
        struct ctx *c = bench_init(&b, 4, 12 << 20);
        struct plan *p = grid(c, 2, (int64_t[]){0, 0}, (int64_t[]){40, 500000});
        p = map1(c, p, call(c, "+", dim(c, 0), dim(c, 1)));
        struct query q = {.root = p};
        struct exec *x;
        struct sink sink = {.consume = just_count, .ordered = ordered};
        assert_ok(c, exec_open(c, &q, NULL, 0, NULL, &x));
        assert_ok(c, exec_run(c, exec_root(x), NULL, &sink));
        assert_int_equal(atomic_load(&b.counters.tiles_read), 20000000);
        assert_int_equal(atomic_load(&exec_root(x)->stats.cells), 20000000);
        exec_close(x);
        bench_release(&b);
    }
}

/* Each node's line has that node's figures. */
static void test_format(void **state)
{
    (void)state;
    struct bench b;
    struct ctx *c = bench_init(&b, 1, 0);
    struct plan *p = grid(c, 2, (int64_t[]){0, 0}, (int64_t[]){10, 1000000});
    p = where(c, p, call(c, "<", dim(c, 1), number(c, 7)));
    struct query q = {.root = p};
    struct exec *x;
    struct sink sink = {.consume = just_count};
    struct strbuf text = STRBUF_INIT;
    assert_ok(c, exec_open(c, &q, NULL, 0, NULL, &x));
    assert_ok(c, exec_run(c, exec_root(x), NULL, &sink));
    exec_format(x, &text);
    char *second = strchr(text.s, '\n');
    assert_non_null(second);
    *second++ = 0;
    assert_non_null(strstr(text.s, "filter"));
    assert_non_null(strstr(text.s, " cells=70 "));
    assert_non_null(strstr(second, "grid"));
    assert_non_null(strstr(second, " cells=10000000 "));
    strbuf_release(&text);
    exec_close(x);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_once),
        cmocka_unit_test(test_grid_is_kept),
        cmocka_unit_test(test_stops_early),
        cmocka_unit_test(test_lowest_error_wins),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_first_rows_are_quick),
        cmocka_unit_test(test_large_slabs_in_order),
        cmocka_unit_test(test_no_dimension_and_nothing),
        cmocka_unit_test(test_map_and_filter),
        cmocka_unit_test(test_one),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_series_integers),
        cmocka_unit_test(test_series_doubles),
        cmocka_unit_test(test_series_months),
        cmocka_unit_test(test_subqueries),
        cmocka_unit_test(test_join_residual),
        cmocka_unit_test(test_streams_within_budget),
        cmocka_unit_test(test_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
