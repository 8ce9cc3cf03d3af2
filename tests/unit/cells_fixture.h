/* What tests of the operators that see all cells share: an array of random cells of every type with
 * EMPTY, NULL and NaN, an operator that serves it, and running a plan over that at any number of
 * threads and amount of memory, always with the same result. */
#ifndef TESSERA_CELLS_FIXTURE_H
#define TESSERA_CELLS_FIXTURE_H
#include "query/op_classes.h"
#include "storage/base/pool.h"
#include "unit.h"
#include <math.h>
#include <stdlib.h>

/* ---- an array of random cells, and an operator that serves it ---- */

enum { I32, U8, I64, F64, F32, TEXT, FLAG, DAY, FEW, IV, WEIGHT, N_COLS };
static const enum type TYPES[N_COLS] = {
    [I32] = T_INT32,   [U8] = T_UINT8,    [I64] = T_INT64,     [F64] = T_FLOAT64,
    [F32] = T_FLOAT32, [TEXT] = T_TEXT,   [FLAG] = T_BOOL,     [DAY] = T_DATE,
    [FEW] = T_FLOAT64, [IV] = T_INTERVAL, [WEIGHT] = T_FLOAT64};

struct world {
    struct budget budget;
    struct counters counters;
    struct ctx c;
    struct exec *exec;
    struct box box;
    int64_t n;
    struct value *v; /* n × N_COLS */
    bool *present;
    struct plan leaf_plan;
    struct op leaf;
};

static struct world *serving; /* what the leaf serves */

static uint64_t seed = 88172645463325252u;
static inline uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * UINT64_C(0x2545F4914F6CDD1D);
}

static inline void ok(struct world *w, enum status s)
{
    if (s != OK) print_error("%s\n", w->c.err.message);
    assert_int_equal(s, OK);
}

static inline struct value random_value(struct arena *a, int col)
{
    static const double odd[] = {NAN, -0.0, 0.0, 1.5, -2.25};
    struct value v = {.type = TYPES[col], .null = rnd() % 9 == 0};
    int64_t x = (int64_t)rnd();
    switch (col) {
    case I32:
        v.i = x % 1000;
        break;
    case U8:
        v.u = (uint64_t)x % 7;
        break;
    case I64:
        v.i = x % 100000;
        break;
    case F64:
        v.d = ldexp((double)(x % 1000003), (int)(rnd() % 40) - 20);
        break;
    case F32:
        v.d = (double)(float)((double)(x % 10007) / 7);
        break;
    case TEXT:
        v.t.s = arena_printf(a, "some text %d", (int)(rnd() % 23));
        v.t.len = (int64_t)strlen(v.t.s) - (int64_t)(rnd() % 2);
        break;
    case FLAG:
        v.i = x & 1;
        break;
    case DAY:
        v.i = x % 5000;
        break;
    case FEW:
        v.d = odd[rnd() % 5];
        break;
    case IV:
        v.iv =
            (struct interval){(int64_t)(rnd() % 50), (int32_t)(rnd() % 70), (int32_t)(rnd() % 3)};
        break;
    default:
        v.d = (double)(rnd() % 100) / 10 + 0.1;
        break;
    }
    return v;
}

static inline enum status leaf_open(struct ctx *c, struct op *op)
{
    (void)c, (void)op;
    return OK;
}

static inline enum status leaf_produce(struct ctx *c, struct op *op, const struct box *want,
                                       struct chunk *out)
{
    const struct world *w = serving;
    struct chunk ch;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    ch.n_present = 0;
    for (int64_t i = 0; i < ch.n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(want, i, pos);
        int64_t at = box_index(&w->box, pos);
        bit_put(ch.present, i, w->present[at]);
        ch.n_present += w->present[at];
        for (int k = 0; k < N_COLS; k++) {
            const struct value *v = &w->v[at * N_COLS + k];
            if (v->null || !w->present[at]) {
                TRY(column_need_valid(c, &ch.cols[k], ch.n));
                if (v->null) bit_clear(ch.cols[k].valid, i);
                if (TYPES[k] != T_TEXT)
                    memset((char *)ch.cols[k].values + (size_t)i * type_bytes(TYPES[k]), 0x7b,
                           type_bytes(TYPES[k]));
            } else {
                value_put(v, ch.cols[k].values, i);
            }
        }
    }
    if (ch.n_present == ch.n) ch.present = NULL;
    *out = ch;
    return OK;
}

static const struct op_class leaf_class = {"leaf", leaf_open, leaf_produce, NULL};

static inline void world_start(struct world *w, int n_dims, const int64_t *extents)
{
    static struct query one;
    static struct plan one_plan;
    memset(w, 0, sizeof *w);
    budget_init(&w->budget, NULL, 0);
    w->c.arena = arena_new();
    w->c.budget = &w->budget;
    w->c.scratch = scratch_new(&w->budget);
    w->c.counters = &w->counters;
    w->c.err.position = -1;
    one_plan.kind = P_ONE;
    one.root = &one_plan;
    ok(w, exec_open(&w->c, &one, NULL, 0, NULL, &w->exec));

    struct rel *rel = &w->leaf_plan.rel;
    w->leaf_plan.kind = P_GRID;
    rel->n_dims = n_dims;
    rel->dims = arena_array(w->c.arena, struct rel_dim, n_dims + 1);
    rel->n_cols = N_COLS;
    rel->cols = arena_array(w->c.arena, struct rel_col, N_COLS);
    w->box.n_dims = n_dims;
    w->leaf = (struct op){.cls = &leaf_class, .plan = &w->leaf_plan, .exec = w->exec};
    for (int d = 0; d < n_dims; d++) {
        struct axis *axis = arena_new_of(w->c.arena, struct axis);
        *axis = axis_count(extents[d] + 5);
        w->box.lo[d] = 3;
        w->box.hi[d] = 3 + extents[d];
        rel->dims[d] = (struct rel_dim){.name = d ? d == 1 ? "y" : "x" : "t",
                                        .axis = axis,
                                        .lo = 3,
                                        .hi = 3 + extents[d],
                                        .stride = 1,
                                        .tile = 7};
        w->leaf.grid[d] = 7 + 4 * d;
    }
    for (int k = 0; k < N_COLS; k++)
        rel->cols[k] = (struct rel_col){.name = "v", .type = TYPES[k]};
    w->leaf.box = w->box;
    w->n = box_cells(&w->box);
    w->v = malloc((size_t)w->n * N_COLS * sizeof *w->v);
    w->present = malloc((size_t)w->n);
    for (int64_t i = 0; i < w->n; i++) {
        w->present[i] = rnd() % 5 != 0;
        for (int k = 0; k < N_COLS; k++)
            w->v[i * N_COLS + k] = random_value(w->c.arena, k);
    }
    serving = w;
}

static inline void world_stop(struct world *w)
{
    exec_close(w->exec);
    free(w->v);
    free(w->present);
    pool_free(w->c.pool);
    scratch_free(w->c.scratch);
    arena_free(w->c.arena);
    assert_int_equal(atomic_load(&w->budget.used_bytes), 0);
}

/* ---- running an operator over it ---- */

struct rows { /* every cell of a result, present or not, row-major */
    int64_t n;
    int n_cols;
    bool *present;
    struct value *v;
};

static inline void rows_free(struct rows *r)
{
    free(r->present);
    free(r->v);
}

/* The result in odd boxes. */
static inline void read_result(struct world *w, struct op *op, struct rows *out)
{
    const struct rel *rel = &op->plan->rel;
    struct rows r = {.n = box_cells(&op->box), .n_cols = rel->n_cols};
    r.present = calloc((size_t)r.n + 1, 1);
    r.v = calloc((size_t)(r.n * r.n_cols) + 1, sizeof *r.v);
    struct box b = op->box;
    int64_t steps[MAX_DIMS] = {3, 11, 5}, at[MAX_DIMS];
    if (b.n_dims == 1) steps[0] = 1000;
    memcpy(at, op->box.lo, sizeof at);
    bool more = r.n > 0;
    while (more) {
        for (int d = 0; d < b.n_dims; d++) {
            b.lo[d] = at[d];
            b.hi[d] = at[d] + steps[d] < op->box.hi[d] ? at[d] + steps[d] : op->box.hi[d];
        }
        struct scratch_mark mark = scratch_mark(w->c.scratch);
        struct chunk ch;
        ok(w, op_produce(&w->c, op, &b, &ch));
        for (int64_t i = 0; i < ch.n; i++) {
            int64_t pos[MAX_DIMS];
            box_position(&b, i, pos);
            int64_t to = box_index(&op->box, pos);
            r.present[to] = ch.n_present && (!ch.present || bit_get(ch.present, i));
            for (int k = 0; r.present[to] && k < r.n_cols; k++) {
                struct value v = column_is_null(&ch.cols[k], i)
                                     ? value_null(ch.cols[k].type)
                                     : value_get(ch.cols[k].type, ch.cols[k].values, i);
                r.v[to * r.n_cols + k] = value_dup(w->c.arena, &v);
            }
        }
        scratch_release(w->c.scratch, mark);
        int d = b.n_dims - 1;
        for (; d >= 0; d--) {
            at[d] += steps[d];
            if (at[d] < op->box.hi[d]) break;
            at[d] = op->box.lo[d];
        }
        more = d >= 0;
    }
    *out = r;
}

static inline void run_plan(struct world *w, struct plan *p, int threads, int64_t limit_bytes,
                            struct rows *out)
{
    struct op *in[1] = {&w->leaf};
    struct plan *in_plan[1] = {&w->leaf_plan};
    p->n_in = 1;
    p->in = in_plan;
    struct op op = {.cls = op_class_of(p->kind), .plan = p, .exec = w->exec, .n_in = 1, .in = in};
    rel_box(&p->rel, &op.box);
    for (int d = 0; d < MAX_DIMS; d++)
        op.grid[d] = 4;
    pool_free(w->c.pool);
    w->c.pool = threads > 1 ? pool_new(threads) : NULL;
    w->budget.limit_bytes = limit_bytes ? limit_bytes + atomic_load(&w->budget.used_bytes) : 0;
    ok(w, op.cls->open(&w->c, &op));
    w->budget.limit_bytes = 0;
    read_result(w, &op, out);
    op.cls->close(&op);
}

static inline bool same_value(const struct value *a, const struct value *b)
{
    if (a->null || b->null) return a->null && b->null;
    if (a->type != b->type) return false;
    if (a->type == T_TEXT || a->type == T_INT64S)
        return a->t.len == b->t.len && !memcmp(a->t.s, b->t.s, (size_t)a->t.len);
    if (type_is_float(a->type)) return !memcmp(&a->d, &b->d, 8);
    return value_compare(a, b) == 0;
}

static inline void assert_same(const struct rows *a, const struct rows *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->present, b->present, (size_t)a->n);
    for (int64_t i = 0; i < a->n * a->n_cols; i++)
        if (a->present[i / a->n_cols] && !same_value(&a->v[i], &b->v[i])) {
            print_error("row %lld column %lld differs\n", (long long)(i / a->n_cols),
                        (long long)(i % a->n_cols));
            assert_true(false);
        }
}

/* Runs with several numbers of threads and amounts of memory; all must agree. */
static inline void run_all_ways(struct world *w, struct plan *p, struct rows *out)
{
    static const struct {
        int threads;
        int64_t limit_bytes;
    } ways[] = {{1, 0}, {4, 0}, {4, INT64_C(64) << 20}, {2, INT64_C(24) << 20}};
    run_plan(w, p, ways[0].threads, ways[0].limit_bytes, out);
    for (size_t i = 1; i < sizeof ways / sizeof *ways; i++) {
        struct rows again;
        run_plan(w, p, ways[i].threads, ways[i].limit_bytes, &again);
        assert_same(out, &again);
        rows_free(&again);
    }
}

/* ---- in order of some columns ---- */

static struct world *sort_world;
static const int *sort_keys;
static int n_sort_keys;

static inline int compare_cells(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    for (int k = 0; k < n_sort_keys; k++) {
        const struct value *x = &sort_world->v[a * N_COLS + sort_keys[k]];
        const struct value *y = &sort_world->v[b * N_COLS + sort_keys[k]];
        if (x->null != y->null) return x->null ? 1 : -1;
        int r = x->null ? 0 : value_compare(x, y);
        if (r) return r;
    }
    return 0;
}

static inline struct expr *col(struct world *w, int k)
{
    return expr_make_ref(&w->c, E_COL, k, TYPES[k], 0);
}

/* Cells that exist, by keys; groups get numbers in that order. */
static inline int64_t group_cells(struct world *w, const int *cols, int n_keys, int64_t *group_of,
                                  int64_t *some_cell)
{
    int64_t *order = malloc((size_t)w->n * sizeof *order), n = 0, groups = 0;
    for (int64_t i = 0; i < w->n; i++)
        if (w->present[i]) order[n++] = i;
    sort_world = w;
    sort_keys = cols;
    n_sort_keys = n_keys;
    qsort(order, (size_t)n, sizeof *order, compare_cells);
    for (int64_t i = 0; i < n; i++) {
        if (i == 0 || compare_cells(&order[i - 1], &order[i])) some_cell[groups++] = order[i];
        group_of[order[i]] = groups - 1;
    }
    free(order);
    return groups;
}

#endif
