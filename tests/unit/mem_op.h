/* An operator for tests: an array whose every value, NULL and EMPTY cell is a function of its
 * position, so that any other operator's result can be foretold cell by cell. */
#ifndef TESSERA_MEM_OP_H
#define TESSERA_MEM_OP_H
#include "query/op_classes.h"
#include "storage/base/pool.h"
#include "tests/unit/unit.h"
#include <stdlib.h>
#include <string.h>

#define MEM_COLS 3 /* bigint, smallint, text */

struct mem {
    struct plan plan;
    struct op op;
    struct rel_dim dims[MAX_DIMS];
    struct rel_col cols[MEM_COLS];
    struct axis axes[MAX_DIMS];
    uint64_t salt;
    bool full; /* neither EMPTY nor NULL */
};

struct mem_cell {
    bool present;
    bool null[MEM_COLS];
    int64_t big;
    int16_t small;
    struct text text;
};

static inline uint64_t mem_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static inline struct mem_cell mem_at(const struct mem *m, const int64_t *pos)
{
    static const char *const words[] = {"a", "bb", "ccc", "dddd"};
    uint64_t h = m->salt;
    for (int d = 0; d < m->plan.rel.n_dims; d++)
        h = mem_mix(h, (uint64_t)pos[d]);
    struct mem_cell cell = {.present = m->full || h % 5 != 0,
                            .big = (int64_t)h,
                            .small = (int16_t)(h >> 7),
                            .text = {words[(h >> 9) % 4], (int64_t)((h >> 9) % 4 + 1)}};
    for (int i = 0; i < MEM_COLS; i++)
        cell.null[i] = !m->full && (h >> (11 + i)) % 3 == 0;
    /* a fifth of the array is EMPTY, whole positions of its first dimension */
    if (!m->full && m->plan.rel.n_dims && (pos[0] + 1000) % 5 == 0) cell.present = false;
    return cell;
}

static inline enum status mem_produce(struct ctx *c, struct op *op, const struct box *want,
                                      struct chunk *out)
{
    const struct mem *m = op->state;
    struct chunk ch;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    for (int i = 0; i < MEM_COLS; i++)
        TRY(column_need_valid(c, &ch.cols[i], ch.n));
    ch.n_present = 0;
    for (int64_t i = 0; i < ch.n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(want, i, pos);
        struct mem_cell cell = mem_at(m, pos);
        bit_put(ch.present, i, cell.present);
        ch.n_present += cell.present;
        for (int k = 0; k < MEM_COLS; k++)
            bit_put(ch.cols[k].valid, i, !cell.null[k]);
        ((int64_t *)ch.cols[0].values)[i] = cell.big;
        ((int16_t *)ch.cols[1].values)[i] = cell.small;
        ((struct text *)ch.cols[2].values)[i] = cell.text;
    }
    if (m->full) {
        ch.present = NULL;
        for (int k = 0; k < MEM_COLS; k++)
            ch.cols[k].valid = NULL;
    }
    if (ch.n_present == 0) chunk_empty(&op->plan->rel, want, &ch);
    *out = ch;
    return OK;
}

static const struct op_class mem_class = {"mem", NULL, mem_produce, NULL};

/* Over [lo, hi) per dimension, tiles of `tile`. */
static inline void mem_init(struct mem *m, int n_dims, const int64_t *lo, const int64_t *hi,
                            const int64_t *tile, uint64_t salt)
{
    memset(m, 0, sizeof *m);
    m->salt = salt;
    m->plan.kind = P_AGGREGATE; /* holds its result: reaches nothing */
    m->plan.rel = (struct rel){n_dims, MEM_COLS, m->dims, m->cols};
    m->op.cls = &mem_class;
    m->op.plan = &m->plan;
    m->op.state = m;
    m->cols[0] = (struct rel_col){.name = "big", .type = T_INT64};
    m->cols[1] = (struct rel_col){.name = "small", .type = T_INT16};
    m->cols[2] = (struct rel_col){.name = "word", .type = T_TEXT};
    for (int d = 0; d < n_dims; d++) {
        m->axes[d] = axis_count(hi[d]);
        m->axes[d].lo = lo[d];
        m->dims[d] = (struct rel_dim){.name = "d",
                                      .axis = &m->axes[d],
                                      .lo = lo[d],
                                      .hi = hi[d],
                                      .stride = 1,
                                      .tile = tile[d]};
        m->op.grid[d] = tile[d];
    }
    rel_box(&m->plan.rel, &m->op.box);
}

/* What a context needs to run operators by hand. */
struct bench {
    struct ctx c;
    struct budget budget;
    struct counters counters;
    struct progress progress;
    struct cancel cancel;
};

static inline struct ctx *bench_init(struct bench *b, int threads, int64_t limit_bytes)
{
    memset(b, 0, sizeof *b);
    budget_init(&b->budget, NULL, limit_bytes);
    b->c.arena = arena_new();
    b->c.budget = &b->budget;
    b->c.scratch = scratch_new(&b->budget);
    b->c.counters = &b->counters;
    b->c.progress = &b->progress;
    b->c.cancel = &b->cancel;
    b->c.pool = threads > 1 ? pool_new(threads) : NULL;
    ctx_clear(&b->c);
    return &b->c;
}

static inline void bench_release(struct bench *b)
{
    pool_free(b->c.pool);
    scratch_free(b->c.scratch);
    arena_free(b->c.arena);
    assert_int_equal(atomic_load(&b->budget.used_bytes), 0);
}

static inline void assert_ok(const struct ctx *c, enum status s)
{
    if (s < 0) print_error("%s %s\n", status_sqlstate(s), c->err.message);
    assert_int_equal(s, OK);
}

/* Opens an operator by hand over inputs that are open. */
static inline void open_by_hand(struct ctx *c, struct op *op, const struct op_class *cls,
                                const struct plan *p, struct op **in)
{
    *op = (struct op){.cls = cls, .plan = p, .n_in = p->n_in, .in = in};
    rel_box(&p->rel, &op->box);
    assert_ok(c, cls->open(c, op));
}

static inline bool text_is(const struct column *col, int64_t i, struct text want)
{
    struct text t = ((const struct text *)col->values)[i];
    return t.len == want.len && !memcmp(t.s, want.s, (size_t)t.len);
}

/* Columns at, at + 1, at + 2 of a chunk hold the cell. */
static inline void assert_cell(const struct chunk *ch, int64_t i, int at,
                               const struct mem_cell *cell)
{
    const struct column *col = ch->cols + at;
    for (int k = 0; k < MEM_COLS; k++)
        assert_int_equal(column_is_null(&col[k], i), cell->null[k]);
    if (!cell->null[0]) assert_true(((const int64_t *)col[0].values)[i] == cell->big);
    if (!cell->null[1]) assert_int_equal(((const int16_t *)col[1].values)[i], cell->small);
    if (!cell->null[2]) assert_true(text_is(&col[2], i, cell->text));
}

static inline uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *state >> 33;
}

/* Calls check(chunk) for the whole box, every box of a small grid, and random ones. */
static inline void each_way(struct ctx *c, struct op *op, void *self,
                            void (*check)(const struct chunk *ch, void *self))
{
    uint64_t seed = 7;
    int64_t n = box_cells(&op->box);
    assert_true(n > 0);
    for (int round = 0; round < 60; round++) {
        struct box b = op->box;
        for (int d = 0; round && d < b.n_dims; d++) {
            int64_t extent = box_extent(&op->box, d);
            b.lo[d] += (int64_t)(next_random(&seed) % (uint64_t)extent);
            int64_t most = round % 3 == 0 ? 1 : op->box.hi[d] - b.lo[d];
            b.hi[d] = b.lo[d] + 1 + (int64_t)(next_random(&seed) % (uint64_t)most);
        }
        struct chunk ch;
        scratch_reset(c->scratch);
        assert_ok(c, op_produce(c, op, &b, &ch));
        assert_true(box_equal(&ch.box, &b));
        assert_int_equal(ch.n, box_cells(&b));
        int64_t present = ch.n_present == 0 ? 0
                          : ch.present      ? bits_count(ch.present, 0, ch.n)
                                            : ch.n;
        assert_int_equal(present, ch.n_present);
        check(&ch, self);
    }
    scratch_reset(c->scratch);
}

static inline bool is_present(const struct chunk *ch, int64_t i)
{
    return ch->n_present && (!ch->present || bit_get(ch->present, i));
}

#endif
