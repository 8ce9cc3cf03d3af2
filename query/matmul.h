/* A product's panels: what op_matmul.c asks its inputs for, laid out as matrices, and added up. */
#ifndef TESSERA_MATMUL_H
#define TESSERA_MATMUL_H
#include "query/blas.h"
#include "query/op.h"
#include "storage/base/fsum.h" /* i128 */

/* Dimensions of a pair of inputs, as the JOIN that the plan keeps numbers them, by their part. */
enum matmul_part { PART_BATCH, PART_ROWS, PART_INNER, PART_COLS };

/* One input: its dimensions in the order batch, rows, columns of its own matrices. */
struct matmul_side {
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

/* What a box adds up. */
struct product {
    enum type type; /* T_FLOAT32, T_FLOAT64: into values; T_INT64: into wide */
    bool nulls_spread, vector;
    int64_t n_batch, rows, cols, row_words;
    void *values;
    i128 *wide;
    uint64_t *met;  /* cells that a pair of cells went into */
    uint64_t *told; /* nulls_spread: a NULL did; else: a pair without one did */
    bool *full;     /* of batches: all cells of met are set, and none is NULL */
};

bool chunk_is_masked(const struct matmul_side *s, const struct chunk *ch);
/* part: over the pair's dimensions; the chunk has the side's box of it. copy: the values are the
 * operand's own, and bits are made. */
enum status operand_of(struct ctx *c, const struct plan *pairs, const struct matmul_side *s,
                       const struct chunk *ch, const struct box *part, bool copy,
                       struct operand *out);
/* ERR_OVERFLOW at pos: a sum of integers. */
enum status product_add(struct ctx *c, struct product *p, const struct operand *l,
                        const struct operand *r, int pos);

#endif
