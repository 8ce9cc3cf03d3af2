/* A product's panels: what op_matmul.c asks its inputs for, laid out as matrices, and added up. */
#ifndef TESSERA_MATMUL_H
#define TESSERA_MATMUL_H
#include "query/blas.h"
#include "query/matmul_routine.h"
#include "query/op.h"
#include "storage/base/fsum.h" /* i128 */

/* Dimensions of a pair of inputs, as the JOIN that the plan keeps numbers them, by their part. */
enum matmul_part { PART_BATCH, PART_ROWS, PART_INNER, PART_COLS };

/* One input: its dimensions in the order batch, rows, columns of its own matrices. */
struct matmul_side {
    int input; /* SYRK: both sides are the right input, that of rows turned round */
    int n, n_part[3];
    int dim[MAX_DIMS];  /* of the input */
    int from[MAX_DIMS]; /* the pair's dimension of each of the input's */
    const struct join_dim *pair[MAX_DIMS];
};

/* An input's panel: one matrix a batch. */
struct operand {
    struct matrix m; /* the first batch's */
    int64_t batch_step;
    /* Bits of cells, rows of row_words words, one matrix after the other; NULL: all are, and all
     * values are finite */
    uint64_t *exists, *good; /* good: exists and is not NULL; the values of others are 0 */
    int64_t row_words;
    struct odd *odd; /* of masked operands: values that are not finite; 0 stands in their place */
    int64_t n_odd;
};
struct odd {
    int64_t batch, row, col;
    double value;
};

/* What a unit adds up. */
struct product {
    enum type type; /* T_FLOAT32, T_FLOAT64: into values; T_INT64: into wide */
    bool nulls_spread, vector;
    bool diagonal; /* of a Gram matrix: what is below the diagonal may be left as it is */
    int64_t n_batch, rows, cols, row_words;
    void *values; /* rows `stride` apart, matrices `batch_step` */
    int64_t stride, batch_step;
    i128 *wide;     /* rows cols apart */
    uint64_t *met;  /* cells that a pair of cells went into */
    uint64_t *told; /* nulls_spread: a NULL did; else: a pair without one did */
    bool *full;     /* of batches: all cells of met are set, and none is NULL */
};

/* ---- matmul_shape.c: which cells are made together, from which panels ---- */

struct matmul {
    const struct plan *pairs;
    enum matmul_routine routine;
    bool symmetric; /* SYRK, and rows and columns have the same positions */
    struct matmul_side side[2];
    enum matmul_part part[MAX_DIMS]; /* of the pair's dimensions */
    int mate[MAX_DIMS];              /* symmetric: of the result's row dimensions those of columns,
                                        and back */
    struct box all;                  /* of the pair's dimensions: where both sides are */
    int64_t step[MAX_DIMS];          /* of summed dimensions: a panel's extent */
    int64_t unit[MAX_DIMS];          /* of the result's dimensions; units begin at multiples */
    enum type type;
    bool vector;
    struct kept *kept; /* NULL: nothing is */
};
int64_t matmul_sum(const struct matmul *m); /* positions of the summed dimensions */
void matmul_shape(struct ctx *c, struct op *op, struct matmul *m);
/* The unit that a position of the result is in, and the next that a box has a part of, row-major:
 * its position. */
void matmul_unit(const struct op *op, const int64_t *pos, struct box *out);
bool matmul_next_unit(const struct box *want, const struct box *unit, int64_t *pos);
/* Is the box of whole units, each of which lies in it as a matrix does in a larger one? */
bool matmul_is_whole(const struct op *op, const struct box *want);
/* Symmetric: is the box above the diagonal (1), below (-1), square and on it (0), or none of these
 * (2)? Of others: 1. */
int matmul_triangle(const struct op *op, const struct box *want);
/* Symmetric: the box on the other side of the diagonal. */
void matmul_turned(const struct op *op, const struct box *want, struct box *out);
/* The pair's box of a box of the result; the summed dimensions whole, but for the parts wanted. */
void matmul_pair_box(const struct op *op, const struct box *want, struct box *out);
/* The next panel's range of the summed dimensions, in row-major order; false after the last. The
 * first: `whole` cut to a step each. */
bool matmul_first_panel(const struct matmul *m, const struct box *whole, struct box *out);
bool matmul_next_panel(const struct matmul *m, const struct box *whole, struct box *at);
/* What a side has its cells of a panel from: the same box, but where both sides are the right. */
void matmul_side_panel(const struct op *op, int side, const struct box *panel, struct box *out);

/* ---- matmul_kept.c: units that were made once ---- */

/* sum: how many products a cell is the sum of. */
enum status kept_new(struct ctx *c, const struct op *op, int64_t sum, struct kept **out);
void kept_free(struct kept *k); /* NULL allowed */
/* Is the unit the caller's to make, and then to kept_store() or kept_forget()? Else it is there. */
enum status kept_claim(struct ctx *c, const struct op *op, const struct box *unit, bool *mine);
enum status kept_store(struct ctx *c, const struct op *op, const struct chunk *unit);
void kept_forget(const struct op *op, const struct box *unit);
bool kept_has(const struct op *op, const struct box *unit);
/* The unit's chunk, with the values of the part. */
enum status kept_read(struct ctx *c, const struct op *op, const struct box *unit,
                      const struct box *part, struct chunk *out);

/* ---- matmul_panel.c ---- */

/* Has the chunk no value for some cell of the part, a box over the pair's dimensions? */
bool part_is_masked(const struct plan *pairs, const struct matmul_side *s, const struct chunk *ch,
                    const struct box *part);
/* part: over the pair's dimensions; the chunk has the side's box of it. copy: the values are the
 * operand's own, and bits are made. */
enum status operand_of(struct ctx *c, const struct plan *pairs, const struct matmul_side *s,
                       const struct chunk *ch, const struct box *part, bool copy,
                       struct operand *out);
/* ERR_OVERFLOW at pos: a sum of integers. */
enum status product_add(struct ctx *c, struct product *p, const struct operand *l,
                        const struct operand *r, int pos);

#endif
