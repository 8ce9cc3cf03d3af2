/* Sums of products over dimensions that two arrays share: matrix products, of matrices of any size.
 *
 * The result is made block by block, each from panels: boxes of both inputs that go through the
 * summed dimensions in fixed steps, in order. OpenBLAS gives a cell other bits in another place of
 * another matrix, so blocks and steps hang on the shapes alone, and a part of a block is made with
 * the whole: a cell has the same bits whatever the boxes, the workers and the memory. A panel is
 * multiplied where the input's chunk has it when it lies there as a matrix, else it is gathered
 * into one (K. Goto and R. van de Geijn, "Anatomy of high-performance matrix multiplication", ACM
 * TOMS 34, 2008, is what OpenBLAS does with it). */
#include "query/matmul.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include "storage/base/pool.h"
#include <string.h>

#define GOOD_ROWS                                                                                  \
    512 /* of a block: with 512 steps of the sum it multiplies at nine tenths of full speed */
#define GOOD_COLS 1024
#define LEAST_SIDE 128
#define LEAST_BLOCKS 8
#define LEAST_INNER 512
#define GOOD_PANEL (512 * 1024) /* cells */

struct matmul {
    const struct plan *pairs;
    struct matmul_side side[2];
    enum matmul_part part[MAX_DIMS]; /* of the pair's dimensions */
    struct box all;                  /* of the pair's dimensions: where both sides are */
    int64_t step[MAX_DIMS];          /* of summed dimensions: a panel's extent */
    int64_t block[MAX_DIMS];         /* of the result's dimensions; blocks begin at multiples */
    enum type type;
    bool vector;
};

/* ---- shape ---- */

static void note_parts(const struct op *op, struct matmul *m)
{
    const struct plan *p = op->plan;
    for (int side = 0; side < 2; side++)
        join_sources(m->pairs, side, m->side[side].from, m->side[side].pair);
    for (int d = 0; d < m->pairs->rel.n_dims; d++)
        m->part[d] = PART_INNER;
    bool left[MAX_DIMS] = {false}, right[MAX_DIMS] = {false};
    for (int r = 0; r < p->in[0]->rel.n_dims; r++)
        left[m->side[0].from[r]] = true;
    for (int r = 0; r < p->in[1]->rel.n_dims; r++)
        right[m->side[1].from[r]] = true;
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        int d = p->dim_of[i];
        m->part[d] = left[d] && right[d] ? PART_BATCH : left[d] ? PART_ROWS : PART_COLS;
    }
}

/* The input's dimensions by part; inside a part those of the result in its order, summed ones in
 * the pair's. */
static void order_side(const struct op *op, struct matmul *m, int side)
{
    static const enum matmul_part parts[2][3] = {{PART_BATCH, PART_ROWS, PART_INNER},
                                                 {PART_BATCH, PART_INNER, PART_COLS}};
    struct matmul_side *s = &m->side[side];
    int n = op->plan->in[side]->rel.n_dims;
    s->n = 0;
    for (int k = 0; k < 3; k++) {
        for (int d = 0; d < m->pairs->rel.n_dims; d++) {
            if (m->part[d] != parts[side][k]) continue;
            for (int r = 0; r < n; r++)
                if (s->from[r] == d) {
                    s->dim[s->n++] = r;
                    s->n_part[k]++;
                }
        }
    }
}

/* Where both sides have positions; labelled pairs: all that the left has. */
static void common_box(const struct op *op, struct matmul *m)
{
    m->all.n_dims = m->pairs->rel.n_dims;
    for (int r = 0; r < op->in[0]->box.n_dims; r++) {
        int d = m->side[0].from[r];
        m->all.lo[d] = op->in[0]->box.lo[r];
        m->all.hi[d] = op->in[0]->box.hi[r];
    }
    for (int r = 0; r < op->in[1]->box.n_dims; r++) {
        int d = m->side[1].from[r];
        const struct join_dim *pair = m->side[1].pair[r];
        const struct box *b = &op->in[1]->box;
        if (pair && pair->map) continue;
        int64_t lo = b->lo[r] - (pair ? pair->shift : 0), hi = b->hi[r] - (pair ? pair->shift : 0);
        if (!pair || m->all.lo[d] < lo) m->all.lo[d] = lo;
        if (!pair || m->all.hi[d] > hi) m->all.hi[d] = hi;
        if (m->all.hi[d] < m->all.lo[d]) m->all.hi[d] = m->all.lo[d];
    }
}

static int64_t part_cells(const struct matmul *m, enum matmul_part part)
{
    int64_t n = 1;
    for (int d = 0; d < m->all.n_dims; d++)
        if (m->part[d] == part && __builtin_mul_overflow(n, box_extent(&m->all, d), &n))
            return INT64_MAX;
    return n;
}

/* A panel's extents, from the whole's alone: so many cells of the summed dimensions that both
 * panels together have a good size. */
static void choose_steps(struct matmul *m)
{
    int64_t rows = part_cells(m, PART_ROWS), cols = part_cells(m, PART_COLS);
    rows = rows < GOOD_ROWS ? rows : GOOD_ROWS;
    cols = cols < GOOD_COLS ? cols : GOOD_COLS;
    int64_t cells = LEAST_INNER;
    while (cells * (rows + cols) < GOOD_PANEL)
        cells *= 2;
    for (int d = m->all.n_dims - 1; d >= 0; d--) {
        int64_t extent = box_extent(&m->all, d);
        if (m->part[d] != PART_INNER) continue;
        m->step[d] = extent <= cells ? (extent > 1 ? extent : 1) : cells;
        cells /= m->step[d];
        if (cells < 1) cells = 1;
    }
}

/* Blocks of GOOD_ROWS × GOOD_COLS, smaller ones where they would be too few for workers. */
static void choose_blocks(struct op *op, struct matmul *m)
{
    int64_t left[2] = {GOOD_ROWS, GOOD_COLS}, n = 1;
    int n_dims = op->plan->rel.n_dims;
    for (int i = n_dims - 1; i >= 0; i--) {
        int d = op->plan->dim_of[i];
        int64_t extent = box_extent(&op->box, i);
        m->block[i] = 1;
        if (d >= 0 && m->part[d] != PART_BATCH) {
            int64_t *of = &left[m->part[d] == PART_COLS];
            m->block[i] = extent < *of ? grid_whole(&op->box, i) : *of;
            *of = *of / (extent > 1 ? extent : 1) > 1 ? *of / extent : 1;
        }
        if (__builtin_mul_overflow(n, (extent + m->block[i] - 1) / m->block[i], &n)) n = INT64_MAX;
    }
    for (int i = 0; i < n_dims; i++) {
        while (n < LEAST_BLOCKS && m->block[i] >= 2 * LEAST_SIDE) {
            m->block[i] = (m->block[i] + 1) / 2;
            n *= 2;
        }
        op->grid[i] = m->block[i];
    }
}

static enum status matmul_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct matmul *m = arena_new_of(c->arena, struct matmul);
    op->state = m;
    m->pairs = p->pairs;
    m->type = p->in[0]->rel.cols[0].type;
    note_parts(op, m);
    order_side(op, m, 0);
    order_side(op, m, 1);
    common_box(op, m);
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        op->box.lo[i] = m->all.lo[p->dim_of[i]];
        op->box.hi[i] = m->all.hi[p->dim_of[i]];
    }
    box_in_region(op);
    m->vector = part_cells(m, PART_ROWS) == 1 || part_cells(m, PART_COLS) == 1;
    choose_steps(m);
    choose_blocks(op, m);
    return OK;
}

/* ---- panels ---- */

/* The pair's box of a box of the result; the summed dimensions whole, but for the parts wanted. */
static void pair_box(const struct op *op, const struct box *want, struct box *out)
{
    const struct matmul *m = op->state;
    const struct plan *p = op->plan;
    *out = m->all;
    if (p->split) {
        int d = p->split_dim;
        int64_t first = p->pairs->rel.dims[d].lo;
        int64_t lo = first + want->lo[0] * p->split, hi = first + want->hi[0] * p->split;
        if (out->lo[d] < lo) out->lo[d] = lo;
        if (out->hi[d] > hi) out->hi[d] = hi;
        if (out->hi[d] < out->lo[d]) out->hi[d] = out->lo[d];
    }
    for (int i = p->split > 0; i < want->n_dims; i++) {
        out->lo[op->plan->dim_of[i]] = want->lo[i];
        out->hi[op->plan->dim_of[i]] = want->hi[i];
    }
}

/* The block that a position of the result is in. */
static void block_around(const struct op *op, const int64_t *pos, struct box *out)
{
    const struct matmul *m = op->state;
    *out = op->box;
    for (int i = 0; i < out->n_dims; i++) {
        int64_t lo = tile_of(pos[i], m->block[i]) * m->block[i];
        if (lo > out->lo[i]) out->lo[i] = lo;
        if (lo + m->block[i] < out->hi[i]) out->hi[i] = lo + m->block[i];
    }
}

/* The next panel's range of the summed dimensions, in row-major order; false after the last. The
 * first: `whole` cut to a step each. */
static bool first_panel(const struct matmul *m, const struct box *whole, struct box *out)
{
    *out = *whole;
    for (int d = 0; d < m->all.n_dims; d++)
        if (m->part[d] == PART_INNER && box_extent(whole, d) > m->step[d])
            out->hi[d] = out->lo[d] + m->step[d];
    return !box_empty(whole);
}

static bool next_panel(const struct matmul *m, const struct box *whole, struct box *at)
{
    for (int d = m->all.n_dims - 1; d >= 0; d--) {
        if (m->part[d] != PART_INNER) continue;
        bool more = at->hi[d] < whole->hi[d];
        at->lo[d] = more ? at->hi[d] : whole->lo[d];
        at->hi[d] = at->lo[d] + m->step[d];
        if (at->hi[d] > whole->hi[d]) at->hi[d] = whole->hi[d];
        if (more) return true;
    }
    return false;
}

int matmul_reaches(const struct op *op, const struct box *want, struct reach *out)
{
    const struct matmul *m = op->state;
    struct box block, whole, panel;
    int n = 0;
    block_around(op, want->lo, &block);
    pair_box(op, &block, &whole);
    if (!first_panel(m, &whole, &panel)) return 0;
    for (int side = 0; side < 2; side++) {
        out[n].input = side;
        join_side_box(m->pairs, side, &panel, &out[n].box);
        if (box_intersect(&out[n].box, &op->in[side]->box, &out[n].box)) n++;
    }
    return n;
}

/* Cells and bits of both panels as operands; sums of integers; a block that more than a part is
 * wanted of. */
double matmul_bytes(const struct op *op, const struct box *want)
{
    const struct matmul *m = op->state;
    struct box block, whole, panel;
    block_around(op, want->lo, &block);
    pair_box(op, &block, &whole);
    if (!first_panel(m, &whole, &panel)) return 0;
    double cells[4] = {1, 1, 1, 1};
    for (int d = 0; d < panel.n_dims; d++)
        cells[m->part[d]] *= (double)box_extent(&panel, d);
    double inner = cells[PART_BATCH] * cells[PART_INNER], each = m->type == T_INT64 ? 17 : 9;
    double result = cells[PART_BATCH] * cells[PART_ROWS] * cells[PART_COLS];
    return inner * (cells[PART_ROWS] + cells[PART_COLS]) * each +
           result * (m->type == T_INT64 ? 25 : 1) + (box_equal(&block, want) ? 0 : result * 8.25);
}

static enum status read_panel(struct ctx *c, struct op *op, int side, const struct box *panel,
                              struct chunk *out)
{
    const struct matmul *m = op->state;
    struct box want;
    *out = (struct chunk){.n_present = 0};
    join_side_box(m->pairs, side, panel, &want);
    if (!box_intersect(&want, &op->in[side]->box, &want)) return OK;
    return op_produce(c, op->in[side], &want, out);
}

static enum status add_panel(struct ctx *c, struct op *op, const struct box *panel,
                             struct product *p)
{
    const struct matmul *m = op->state;
    struct chunk ch[2];
    struct operand o[2];
    for (int side = 0; side < 2; side++) {
        TRY(read_panel(c, op, side, panel, &ch[side]));
        if (ch[side].n_present == 0) return OK;
    }
    bool masked = chunk_is_masked(&m->side[0], &ch[0]) || chunk_is_masked(&m->side[1], &ch[1]);
    for (int side = 0; side < 2; side++)
        TRY(operand_of(c, m->pairs, &m->side[side], &ch[side], panel, masked, &o[side]));
    return product_add(c, p, &o[0], &o[1], op->plan->pos);
}

/* ---- the result ---- */

static enum status product_make(struct ctx *c, const struct op *op, const struct box *whole,
                                const struct chunk *ch, struct product *p)
{
    const struct matmul *m = op->state;
    int64_t n[4] = {1, 1, 1, 1};
    void *memory;
    for (int d = 0; d < whole->n_dims; d++)
        n[m->part[d]] *= box_extent(whole, d);
    *p = (struct product){.type = m->type,
                          .nulls_spread = op->plan->nulls_spread,
                          .vector = m->vector,
                          .n_batch = n[PART_BATCH],
                          .rows = n[PART_ROWS],
                          .cols = n[PART_COLS],
                          .row_words = bits_words(n[PART_COLS]),
                          .values = ch->cols[0].values};
    size_t words = (size_t)(p->n_batch * p->rows * p->row_words) * 8 + 8;
    TRY(scratch_zeroed(c, words, &memory));
    p->met = memory;
    TRY(scratch_zeroed(c, words, &memory));
    p->told = memory;
    TRY(scratch_zeroed(c, (size_t)p->n_batch + 1, &memory));
    p->full = memory;
    int64_t cells = p->n_batch * p->rows * p->cols;
    memset(p->values, 0, type_bytes(m->type) * (size_t)cells);
    if (m->type != T_INT64) return OK;
    TRY(scratch_zeroed(c, sizeof(i128) * (size_t)cells + 16, &memory));
    p->wide = memory;
    return OK;
}

static bool all_full(const struct product *p)
{
    for (int64_t b = 0; b < p->n_batch; b++)
        if (!p->full[b]) return false;
    return true;
}

/* Presence and validity from the rows of bits. */
static enum status set_masks(struct ctx *c, const struct product *p, struct chunk *ch)
{
    int64_t rows = p->n_batch * p->rows, words = rows * p->row_words;
    bool nulls = p->nulls_spread && !bits_none(p->told, 0, words * 64);
    if (all_full(p) && !nulls) return OK;
    TRY(chunk_need_present(c, ch));
    TRY(column_need_valid(c, &ch->cols[0], ch->n));
    for (int64_t w = 0; w < words && p->nulls_spread; w++)
        p->told[w] = ~p->told[w];
    for (int64_t i = 0; i < rows; i++) {
        bits_copy(ch->present, i * p->cols, p->met, i * p->row_words * 64, p->cols);
        bits_copy(ch->cols[0].valid, i * p->cols, p->told, i * p->row_words * 64, p->cols);
    }
    ch->n_present = bits_count(ch->present, 0, ch->n);
    return OK;
}

static enum status take_wide(struct ctx *c, const struct op *op, const struct product *p)
{
    int64_t *to = p->values;
    for (int64_t i = 0; i < p->n_batch * p->rows * p->cols; i++) {
        to[i] = (int64_t)p->wide[i];
        if ((i128)to[i] != p->wide[i])
            return fail_at(c, ERR_OVERFLOW, op->plan->pos, "bigint out of range");
    }
    return OK;
}

static void read_ahead(struct ctx *c, const struct op *op, const struct box *panel)
{
    const struct matmul *m = op->state;
    struct box ahead;
    for (int side = 0; side < 2; side++) {
        join_side_box(m->pairs, side, panel, &ahead);
        if (box_intersect(&ahead, &op->in[side]->box, &ahead))
            op_read_ahead(c, op->in[side], &ahead);
    }
}

/* A whole block. */
static enum status make_block(struct ctx *c, struct op *op, const struct box *block,
                              struct chunk *ch)
{
    const struct matmul *m = op->state;
    struct box whole, panel;
    struct product p;
    pair_box(op, block, &whole);
    TRY(chunk_alloc(c, &op->plan->rel, block, ch));
    TRY(product_make(c, op, &whole, ch, &p));
    bool more = first_panel(m, &whole, &panel);
    while (more) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct box now = panel;
        more = next_panel(m, &whole, &panel);
        if (more) read_ahead(c, op, &panel);
        TRY(add_panel(c, op, &now, &p));
        scratch_release(c->scratch, mark);
        TRY(check_cancel(c));
    }
    TRY(set_masks(c, &p, ch));
    return m->type == T_INT64 ? take_wide(c, op, &p) : OK;
}

static void copy_part(const struct chunk *block, struct chunk *out)
{
    struct box part;
    const struct column *from = &block->cols[0];
    struct column *to = &out->cols[0];
    box_intersect(&block->box, &out->box, &part);
    box_copy(to->values, &out->box, from->values, &block->box, &part, type_bytes(from->type));
    box_copy_bits(out->present, &out->box, block->present, &block->box, &part);
    box_copy_bits(to->valid, &out->box, from->valid, &block->box, &part);
}

/* The first position of the next block that the box has a part of, in row-major order. */
static bool next_block(const struct box *want, const struct box *block, int64_t *pos)
{
    for (int i = want->n_dims - 1; i >= 0; i--) {
        pos[i] = block->hi[i];
        if (pos[i] < want->hi[i]) return true;
        pos[i] = want->lo[i];
    }
    return false;
}

static enum status matmul_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    int64_t pos[MAX_DIMS];
    struct box block;
    memcpy(pos, want->lo, sizeof pos);
    block_around(op, pos, &block);
    if (box_equal(&block, want)) return make_block(c, op, want, out);
    struct chunk ch, one;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    TRY(column_need_valid(c, &ch.cols[0], ch.n));
    do {
        struct scratch_mark mark = scratch_mark(c->scratch);
        block_around(op, pos, &block);
        TRY(make_block(c, op, &block, &one));
        copy_part(&one, &ch);
        scratch_release(c->scratch, mark);
    } while (next_block(want, &block, pos));
    ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == ch.n) ch.present = NULL;
    if (bits_all(ch.cols[0].valid, 0, ch.n)) ch.cols[0].valid = NULL;
    *out = ch;
    return OK;
}

const struct op_class op_matmul_class = {"matmul", matmul_open, matmul_produce, NULL};
