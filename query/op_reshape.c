/* The input's cells, counted in C order, over other dimensions.
 *
 * The cells of a box lie at runs of that count, which are pieces of many shapes in the input: they
 * are picked, each of the input's boxes once (pick.c). */
#include "query/op_classes.h"
#include "query/pick.h"
#include "query/reach.h"

#define BOX_CELLS (64 * 1024)

struct reshape {
    struct box from, to; /* all cells of the input and of the result, in whose C order they agree */
    int64_t pick_grid[MAX_DIMS];
    int *cols; /* 0, 1, … */
};

static enum status reshape_open(struct ctx *c, struct op *op)
{
    struct reshape *r = arena_new_of(c->arena, struct reshape);
    op->state = r;
    r->from = op->plan->region;
    r->to.n_dims = op->box.n_dims;
    for (int d = 0; d < op->box.n_dims; d++) {
        r->to.lo[d] = op->plan->rel.dims[d].axis->lo;
        r->to.hi[d] = op->plan->rel.dims[d].axis->hi;
    }
    pick_grid(op->in[0], r->pick_grid);
    grid_long(&op->box, BOX_CELLS, op->grid);
    r->cols = arena_array(c->arena, int, op->plan->rel.n_cols + 1);
    for (int i = 0; i < op->plan->rel.n_cols; i++)
        r->cols[i] = i;
    return OK;
}

bool reshape_reach(const struct op *op, const struct box *want, struct box *out)
{
    const struct reshape *r = op->state;
    int64_t last[MAX_DIMS];
    for (int d = 0; d < want->n_dims; d++)
        last[d] = want->hi[d] - 1;
    box_of_run(&r->from, box_index(&r->to, want->lo), box_index(&r->to, last), out);
    return box_cells(out) / 2 <= box_cells(want);
}

double reshape_cost(const struct op *op, const struct box *want)
{
    const struct reshape *r = op->state;
    struct box b;
    double bytes = (double)box_cells(want) * (40 + 8 * r->from.n_dims);
    if (reshape_reach(op, want, &b)) return bytes;
    b = op->in[0]->box;
    for (int d = 0; d < b.n_dims; d++)
        if (r->pick_grid[d] < box_extent(&b, d)) b.hi[d] = b.lo[d] + r->pick_grid[d];
    return bytes + (double)op_bytes(op->in[0], &b);
}

/* A run of cells along the result's last dimension: the input's positions count on like an
 * odometer. */
static void run_positions(const struct box *from, int64_t index, int64_t n, int64_t at,
                          const struct picks *picks)
{
    int64_t pos[MAX_DIMS];
    int last = from->n_dims - 1;
    box_position(from, index, pos);
    for (int64_t i = 0; i < n; i++) {
        for (int d = 0; d <= last; d++)
            picks->pos[d][at + i] = pos[d];
        int d = last;
        while (d >= 0 && ++pos[d] == from->hi[d]) {
            pos[d] = from->lo[d];
            d--;
        }
    }
}

static enum status find_cells(struct ctx *c, const struct reshape *r, const struct box *want,
                              struct picks *picks)
{
    int last = want->n_dims - 1;
    int64_t row = last >= 0 ? box_extent(want, last) : 1, pos[MAX_DIMS];
    picks->n = box_cells(want);
    for (int d = 0; d < r->from.n_dims; d++) {
        void *memory;
        TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)picks->n, &memory));
        picks->pos[d] = memory;
    }
    for (int64_t at = 0; at < picks->n; at += row) {
        box_position(want, at, pos);
        run_positions(&r->from, box_index(&r->to, pos), row, at, picks);
    }
    return OK;
}

static enum status reshape_produce(struct ctx *c, struct op *op, const struct box *want,
                                   struct chunk *out)
{
    const struct reshape *r = op->state;
    const struct plan *p = op->plan;
    struct picks picks;
    struct chunk ch;
    void *memory;
    TRY(chunk_alloc(c, &p->rel, want, &ch));
    size_t bits = (size_t)bits_words(ch.n) * 8;
    TRY(scratch_zeroed(c, bits, &memory));
    ch.present = memory;
    for (int i = 0; i < ch.n_cols; i++) {
        TRY(scratch_zeroed(c, bits, &memory));
        ch.cols[i].valid = memory;
        memset(ch.cols[i].values, 0, type_bytes(ch.cols[i].type) * (size_t)ch.n);
    }
    TRY(find_cells(c, r, want, &picks));
    TRY(pick_cells(c, op->in[0], r->pick_grid, &picks, r->cols, ch.n_cols, ch.cols, ch.present));
    ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == ch.n) ch.present = NULL;
    if (ch.n_present == 0)
        chunk_empty(&p->rel, want, out);
    else
        *out = ch;
    return OK;
}

const struct op_class op_reshape_class = {"reshape", reshape_open, reshape_produce, NULL};
