/* Reach: which boxes of its inputs a box of an operator is made from, and so what the box costs and
 * which tiles to ask the disk for. For the operators that work box by box; others (aggregates,
 * sorts: they hold their result) reach nothing. */
#ifndef TESSERA_REACH_H
#define TESSERA_REACH_H
#include "query/op.h"

/* The box of input i that `want` is made from, cut to what that input has. False when that is
 * nothing, or the operator does not work box by box. */
bool op_reach(const struct op *op, int i, const struct box *want, struct box *out);
/* All boxes of inputs that `want` is made from; an input may be asked for several. */
#define REACH_MAX 16
struct reach {
    int input;
    struct box box;
};
int op_reaches(const struct op *op, const struct box *want, struct reach *out);
/* op_fetch.c: its boxes, the cells' own first; of[p] is the one of point p, -1: none. of may be
 * NULL. And what its look-ups cell by cell add to the cost of a box. */
int fetch_reaches(const struct op *op, const struct box *want, struct reach *out, int *of);
double fetch_cost(const struct op *op, const struct box *want);
/* op_stack.c */
int stack_reaches(const struct op *op, const struct box *want, struct reach *out);
/* op_reshape.c: false when the box is put together of too many pieces to be one. */
/* The box that has all cells of `all` from number first to last, in C order. */
void box_of_run(const struct box *all, int64_t first, int64_t last, struct box *out);
bool hash_join_reach(const struct op *op, int i, const struct box *want, struct box *out);
bool reshape_reach(const struct op *op, const struct box *want, struct box *out);
double reshape_cost(const struct op *op, const struct box *want);
/* Slice, rebase and transpose as one: output dimension d is input dimension from[d], at position
 * origin[d] + step[d] × the output's; the other input dimensions stand still. */
struct shape {
    int from[MAX_DIMS];
    int64_t origin[MAX_DIMS], step[MAX_DIMS];
    struct box in; /* where the input's dimensions stand that the output lacks */
};
void shape_of(const struct plan *p, struct shape *s);
void shape_reach(const struct shape *s, const struct box *want, struct box *out);
/* Where a join's side has its dimensions from: out[r] is the output dimension of its dimension r;
 * pair[r] its entry of join_dims (FULL: or left_join_dims), or NULL. */
void join_sources(const struct plan *p, int side, int *out, const struct join_dim **pair);
/* Position of the side for one of the output; INT64_MIN where the pair has none. */
int64_t join_position(const struct plan *p, const struct join_dim *pair, int64_t at);
/* The box of the side for one of the output; empty where no pair is. */
void join_side_box(const struct plan *p, int side, const struct box *want, struct box *out);

/* Bytes of scratch that producing the box takes, the inputs' chunks included: an estimate from
 * above. */
int64_t op_bytes(const struct op *op, const struct box *box);
/* Of a cell with all its columns. */
double rel_cell_bytes(const struct rel *r);
/* Bytes of stored arrays' tiles under the box, decoded. */
int64_t op_stored_bytes(const struct op *op, const struct box *box);
/* Asks the system for the tiles under the box; a scan's leaves out what it will not read. */
void op_read_ahead(struct ctx *c, const struct op *op, const struct box *box);
/* The input's box for operators with tables of their own: op_regrid.c, op_fft.c. */
bool regrid_reach(const struct op *op, const struct box *want, struct box *out);
bool fft_reach(const struct op *op, const struct box *want, struct box *out);
/* op_matmul.c: a panel of each input; bytes that it takes besides. */
int matmul_reaches(const struct op *op, const struct box *want, struct reach *out);
double matmul_bytes(const struct op *op, const struct box *want);
/* Rows of the reached box that a regrid asks for at once. */
int64_t regrid_slab(const struct box *reach);
void scan_read_ahead(struct ctx *c, const struct op *op, const struct box *box); /* op_scan.c */
/* What the condition above a scan can be on the cells of a tile's part, as expr_truths() says it;
 * for scans that prune. */
struct summaries;
bool scan_prunes(const struct op *op);
enum status scan_truths(struct ctx *c, const struct op *op, struct summaries *w,
                        const int64_t *tile, const struct box *part, int *out);
/* op_window.c: about what a box's windows are made from; the most that those of any such box are,
 * wherever it lies; bytes that they take besides. */
bool window_reach(const struct op *op, const struct box *want, struct box *out);
void window_most(const struct op *op, const struct box *want, struct box *out);
double window_bytes(const struct op *op, const struct box *box);

/* Cuts the operator's box to the region that its relation says, where that is known: a rule may
 * have narrowed the relation and not what its input gives. */
void box_in_region(struct op *op);
/* A grid extent cut into pieces, that divide it if they can: about half. */
int64_t grid_halve(int64_t extent);
/* The extent that makes one box of the dimension (two when it runs from below 0). */
int64_t grid_whole(const struct box *b, int d);
/* Boxes of about so many cells, long in the last dimensions: for what is computed. */
void grid_long(const struct box *b, int64_t cells, int64_t *grid);
/* Cells of a box of the grid at most, whatever the whole box. */
int64_t grid_cells(const struct op *op);

/* Clears the presence of the cells that a strided dimension of the relation leaves out. */
enum status chunk_mask_strides(struct ctx *c, const struct rel *rel, struct chunk *ch);

/* Are the scan's positions those that its tiles are stored by, one after another? */
bool scan_has_tiles(const struct plan *scan);

#endif
