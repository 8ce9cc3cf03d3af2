/* In which order are the blocks of a matrix factorised, and which of them are in memory?
 *
 * A group of blocks, all of them or as many as fit, is brought up to date with every block before
 * it, and then factorised block by block; the next block is factorised while others are still
 * brought up to date, so that workers need not wait for it. Blocks that are not in memory are read
 * a few pieces at a time. */
#include "query/factor.h"
#include "query/panel.h"
#include "storage/base/budget.h"
#include "storage/base/pool.h"
#include <lapacke.h>
#include <string.h>

#define MOST_WIDTH 256
#define LEAST_WIDTH 32
#define GOOD_BLOCK (2 << 20) /* cells: two and a piece fit in 64 MB beside the cache */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t factor_width(int64_t rows)
{
    int64_t width = MOST_WIDTH;
    while (width > LEAST_WIDTH && rows > GOOD_BLOCK / width)
        width /= 2;
    return width;
}

/* A matrix that is brought up to date, a group of blocks at a time. */
struct work {
    const struct factor *f;
    enum sweep sweep;
    struct blocked *b;
    int64_t group;  /* columns, whole blocks */
    void *memory;   /* of all that follows */
    double *blocks; /* b spilled: the group */
    double *piece;  /* f->a spilled: rows of a panel … */
    int64_t piece_rows;
    double *t;     /* … its triangle … */
    double *sides; /* … and of each block in the group what a pass keeps */
    int64_t side_cells;
    /* the panel that `piece` has */
    int64_t read_first, read_lo, read_hi;
    /* the group at hand */
    double *v;
    int64_t first, cols;
};

/* ---- memory ---- */

static int64_t triangle_cells(const struct factor *f)
{
    return f->kind == FACTOR_QR ? f->t.block_rows * f->t.block_cols : 0;
}

/* Cells of what a group of so many blocks takes. */
static int64_t work_cells(const struct work *w, int64_t n_blocks)
{
    const struct blocked *a = w->f->a, *b = w->b;
    int64_t cells = triangle_cells(w->f);
    if (!b->v) cells += n_blocks * b->block_cols * b->rows;
    if (!a->v) cells += w->piece_rows * a->block_cols + n_blocks * w->side_cells;
    return cells;
}

/* What the workers take beside it: sides and a triangle each, of scratches that grow by a MiB. */
static int64_t workers_bytes(struct ctx *c, const struct factor *f, const struct blocked *b)
{
    int64_t side = (int64_t)panel_side(f->a->block_cols, b->block_cols);
    return pool_width(c) * (2 * side + (1 << 20));
}

/* As many blocks as the budget has room for, leaving some to others. */
static enum status work_make(struct ctx *c, const struct factor *f, enum sweep sweep,
                             struct blocked *b, struct work *w)
{
    *w = (struct work){.f = f, .sweep = sweep, .b = b, .read_first = -1};
    int64_t n = (b->cols + b->block_cols - 1) / b->block_cols;
    w->piece_rows = least(PIECE_ROWS, f->a->rows);
    w->side_cells = f->a->block_cols * b->block_cols;
    int64_t left = c->budget ? budget_left(c->budget) : INT64_MAX;
    int64_t room = least(left / 8 * 7, left - workers_bytes(c, f, b)) / (int64_t)sizeof(double);
    while (n > 1 && !b->v && work_cells(w, n) > room)
        n = least(n - 1, n * 7 / 8);
    TRY(buf_alloc(c, (size_t)work_cells(w, n) * sizeof(double), &w->memory));
    w->group = n * b->block_cols;
    w->t = w->memory;
    w->blocks = w->t + triangle_cells(f);
    w->piece = w->blocks + (b->v ? 0 : w->group * b->rows);
    w->sides = w->piece + (f->a->v ? 0 : w->piece_rows * f->a->block_cols);
    return OK;
}

/* All of b's rows, of the group's columns. */
static enum status move_group(struct ctx *c, struct work *w, bool write)
{
    struct part p = {0, w->first, w->b->rows, w->cols, 1, w->b->rows};
    if (w->b->v) return OK;
    return write ? blocked_write(c, w->b, &p, w->v) : blocked_read(c, w->b, &p, w->v);
}

static enum status begin_group(struct ctx *c, struct work *w, int64_t first)
{
    w->first = first;
    w->cols = least(w->group, w->b->cols - first);
    w->v = w->b->v ? blocked_at(w->b, 0, first) : w->blocks;
    return move_group(c, w, false);
}

/* ---- a region: blocks of the group with one panel ---- */

struct region {
    struct work *w;
    struct panel panel;
    struct factor *f; /* not NULL: the first task factorises its block then */
    int64_t from;     /* the group's column where targets begin */
    int pass;         /* -1: all of them, the panel is all there */
};

static enum status factor_block(struct ctx *c, struct work *w, struct factor *f, int64_t first)
{
    void *t = NULL;
    int64_t n = least(w->b->block_cols, w->first + w->cols - first), step = f->t.block_rows;
    struct part p = {0, first, step, least(n, f->steps - first), 1, step};
    struct scratch_mark mark = scratch_mark(c->scratch);
    if (f->kind == FACTOR_QR) TRY(scratch_zeroed(c, (size_t)(step * n + 1) * sizeof(double), &t));
    TRY(panel_factor(c, f, first, n, w->v + (first - w->first) * w->b->rows, w->b->rows, t, step));
    if (t) TRY(blocked_write(c, &f->t, &p, t));
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status region_task(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct region *r = self;
    const struct work *w = r->w;
    int64_t width = w->b->block_cols, at = r->from + task * width;
    struct target t = {.v = w->v + at * w->b->rows,
                       .step = w->b->rows,
                       .first = w->first + at,
                       .n = least(width, w->cols - at),
                       .side = w->sides + at / width * w->side_cells};
    (void)worker;
    if (sweep_reaches(&r->panel, w->sweep, t.first, t.n)) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        int first = r->pass, last = r->pass;
        if (r->pass < 0) {
            void *side;
            TRY(scratch_alloc(c, panel_side(r->panel.n, t.n), &side));
            t.side = side;
            first = 0;
            last = sweep_passes(w->sweep) - 1;
        }
        for (int pass = first; pass <= last; pass++)
            TRY(panel_apply(c, &r->panel, w->sweep, pass, &t));
        scratch_release(c->scratch, mark);
    }
    return r->f && task == 0 ? factor_block(c, r->w, r->f, t.first) : OK;
}

static enum status run_region(struct ctx *c, struct region *r)
{
    int64_t width = r->w->b->block_cols, n = (r->w->cols - r->from + width - 1) / width;
    return n > 0 ? pool_run(c, n, pool_width(c), region_task, r) : check_cancel(c);
}

static void count_steps(struct ctx *c, int64_t done, int64_t total)
{
    if (!c->progress) return;
    atomic_fetch_add_explicit(&c->progress->done, done, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->progress->total, total, memory_order_relaxed);
}

/* ---- the group with a panel before it ---- */

static enum status panel_triangle(struct ctx *c, struct work *w, struct panel *p)
{
    const struct blocked *t = &w->f->t;
    struct part part = {0, p->first, t->block_rows, p->n, 1, t->block_rows};
    p->t = w->t;
    p->t_step = t->block_rows;
    return w->f->kind == FACTOR_QR ? blocked_read(c, t, &part, w->t) : OK;
}

/* Rows of the panel from a file, unless they are there still. */
static enum status read_piece(struct ctx *c, struct work *w, struct panel *p)
{
    struct part part = {p->lo, p->first, p->hi - p->lo, p->n, 1, w->piece_rows};
    p->v = w->piece;
    p->step = w->piece_rows;
    if (w->read_first == p->first && w->read_lo == p->lo && w->read_hi == p->hi) return OK;
    w->read_first = p->first;
    w->read_lo = p->lo;
    w->read_hi = p->hi;
    return blocked_read(c, w->f->a, &part, w->piece);
}

/* Rows [lo, hi) of the panel, a piece at a time; U's diagonal is at their end, others' at their
 * beginning. */
static enum status apply_pieces(struct ctx *c, struct region *r, int64_t lo, int64_t hi)
{
    struct panel *p = &r->panel;
    int64_t first = lo / PIECE_ROWS, last = (hi - 1) / PIECE_ROWS;
    for (int64_t i = 0; i <= last - first; i++) {
        int64_t piece = (r->w->sweep == SWEEP_U ? last - i : first + i) * PIECE_ROWS;
        p->lo = piece > lo ? piece : lo;
        p->hi = least(piece + PIECE_ROWS, hi);
        TRY(read_piece(c, r->w, p));
        TRY(run_region(c, r));
    }
    return OK;
}

static enum status apply_panel(struct ctx *c, struct work *w, int64_t first)
{
    const struct factor *f = w->f;
    int64_t lo, hi;
    struct region r = {
        .w = w, .panel = {.f = f, .first = first, .n = least(f->a->block_cols, f->steps - first)}};
    struct panel *p = &r.panel;
    TRY(panel_triangle(c, w, p));
    sweep_rows(p, w->sweep, &lo, &hi);
    if (w->sweep == SWEEP_CHOLESKY) lo = w->first;
    if (f->a->v) {
        p->v = blocked_at(f->a, lo, first);
        p->step = f->a->rows;
        p->lo = lo;
        p->hi = hi;
        r.pass = -1;
        TRY(run_region(c, &r));
    }
    for (r.pass = 0; r.pass < sweep_passes(w->sweep) && !f->a->v; r.pass++)
        TRY(apply_pieces(c, &r, lo, hi));
    count_steps(c, 1, 0);
    return OK;
}

/* ---- factorising ---- */

/* The group itself, which is up to date with all before it. */
static enum status factor_group(struct ctx *c, struct work *w, struct factor *f)
{
    int64_t width = w->b->block_cols;
    TRY(factor_block(c, w, f, w->first));
    for (int64_t at = 0; at < w->cols && w->first + at < f->steps; at += width) {
        if (f->bad >= 0 && f->kind == FACTOR_CHOLESKY) return OK;
        int64_t first = w->first + at;
        struct region r = {.w = w,
                           .f = f,
                           .panel = {.f = f,
                                     .first = first,
                                     .n = least(width, f->steps - first),
                                     .v = w->v + at * w->b->rows,
                                     .hi = w->b->rows,
                                     .step = w->b->rows},
                           .from = at + width,
                           .pass = -1};
        TRY(panel_triangle(c, w, &r.panel));
        TRY(run_region(c, &r));
        count_steps(c, 1, 0);
    }
    return OK;
}

/* Panels that all groups together go through. */
static int64_t steps_of(const struct work *w, int64_t width)
{
    int64_t n = (w->f->steps + width - 1) / width;
    for (int64_t first = w->group; first < w->b->cols; first += w->group)
        n += least(first, w->f->steps) / width;
    return n;
}

static enum status factor_groups(struct ctx *c, struct factor *f)
{
    static const enum sweep own[] = {SWEEP_CHOLESKY, SWEEP_L, SWEEP_QT};
    struct work w;
    int64_t width = f->a->block_cols;
    TRY(work_make(c, f, own[f->kind], f->a, &w));
    enum status st = OK;
    count_steps(c, 0, steps_of(&w, width));
    for (int64_t first = 0; first < f->a->cols && st == OK; first += w.group) {
        st = begin_group(c, &w, first);
        for (int64_t k = 0; k < least(first, f->steps) && st == OK; k += width)
            st = apply_panel(c, &w, k);
        if (st == OK) st = factor_group(c, &w, f);
        if (st == OK) st = move_group(c, &w, true);
        if (f->bad >= 0 && f->kind == FACTOR_CHOLESKY) break;
    }
    buf_free(w.memory);
    return st;
}

enum status factor_make(struct ctx *c, struct overflow *o, enum factor_kind kind, struct blocked *a,
                        struct factor *f)
{
    void *memory;
    *f = (struct factor){.kind = kind, .a = a, .steps = least(a->rows, a->cols), .bad = -1};
    if (kind == FACTOR_LU) {
        TRY(buf_alloc(c, sizeof(int32_t) * (size_t)(f->steps + 1), &memory));
        f->pivot = memory;
    } else if (kind == FACTOR_QR) {
        int64_t width = a->block_cols;
        TRY(blocked_new(c, o, width, f->steps, width, width, PLACE_ANY, &f->t));
    }
    return f->steps ? factor_groups(c, f) : OK;
}

void factor_free(struct factor *f)
{
    buf_free(f->pivot);
    f->pivot = NULL;
    blocked_free(&f->t);
}

enum status factor_sweep(struct ctx *c, const struct factor *f, enum sweep sweep, struct blocked *b)
{
    struct work w;
    int64_t width = f->a->block_cols, n = (f->steps + width - 1) / width;
    if (!n || !b->cols) return OK;
    TRY(work_make(c, f, sweep, b, &w));
    enum status st = OK;
    count_steps(c, 0, (b->cols + w.group - 1) / w.group * n);
    for (int64_t first = 0; first < b->cols && st == OK; first += w.group) {
        st = begin_group(c, &w, first);
        for (int64_t k = 0; k < n && st == OK; k++)
            st = apply_panel(c, &w, (sweep_is_upward(sweep) ? n - 1 - k : k) * width);
        if (st == OK) st = move_group(c, &w, true);
    }
    buf_free(w.memory);
    return st;
}

/* ---- L's rows where they end ---- */

static enum status settle_block(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct factor *f = self;
    const struct blocked *a = f->a;
    int64_t first = task * a->block_cols, n = least(a->block_cols, f->steps - first);
    struct part p = {0, first, a->rows, n, 1, a->rows};
    void *memory;
    (void)worker;
    TRY(check_cancel(c));
    if (a->v) {
        memory = blocked_at(a, 0, first);
    } else {
        TRY(scratch_alloc(c, (size_t)(a->rows * n) * sizeof(double), &memory));
        TRY(blocked_read(c, a, &p, memory));
    }
    LAPACKE_dlaswp_work(LAPACK_COL_MAJOR, (int)n, memory, (int)a->rows, (int)(first + n) + 1,
                        (int)f->steps, f->pivot, 1);
    return a->v ? OK : blocked_write(c, a, &p, memory);
}

enum status factor_settle(struct ctx *c, struct factor *f)
{
    const struct blocked *a = f->a;
    int64_t n = (f->steps + a->block_cols - 1) / a->block_cols - 1; /* the last stands already */
    return n > 0 ? pool_run(c, n, a->v ? pool_width(c) : 1, settle_block, f) : OK;
}
