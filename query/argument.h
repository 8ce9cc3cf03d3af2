/* A matrix that a function of matrix algebra is given: one of a batch, read from an operator a part
 * at a time. */
#ifndef TESSERA_ARGUMENT_H
#define TESSERA_ARGUMENT_H
#include "query/blocked.h"
#include "query/op.h"

struct argument {
    struct op *in;
    const char *function, *label; /* as errors name them; label NULL: the array has no name */
    int n_batch, pos;             /* dimensions before its own; in the statement */
    struct box box;               /* its own dimensions, and where it is in the batch */
};

/* The one of its batch at this place. */
struct argument argument_at(struct op *in, const char *function, const char *label, int n_batch,
                            int pos, const struct box *batch);
int64_t argument_rows(const struct argument *o);
int64_t argument_cols(const struct argument *o); /* 1: of a vector */
/* Rows [lo, hi) into `to`, the first of them at (row, col); turned: as columns there. EMPTY cells
 * are zeros. ERR_MATRIX: NULL, NaN, infinite. */
enum status argument_load(struct ctx *c, const struct argument *o, int64_t lo, int64_t hi,
                          bool turned, const struct blocked *to, int64_t row, int64_t col);
/* Whole, in memory. */
struct dense;
enum status argument_dense(struct ctx *c, const struct argument *o, struct dense *out);
/* "i = 0, j = 3": of a cell by its row and column. */
void argument_place(const struct argument *o, int64_t row, int64_t col, struct strbuf *text);
/* " of \"a\"", or nothing. */
void argument_name(const struct argument *o, struct strbuf *text);

#endif
