/* Running the functions of matrix algebra, over matrices in memory or beyond.
 *
 * Which algorithm a matrix gets hangs on its shape alone, never on memory: tall ones the tree of
 * tsqr.h, others the blocks of columns of factor.h; both go on in a file where memory ends. What
 * LAPACK alone does (eigh, svd of a matrix that is not tall, the last step of lstsq) needs its
 * matrix in memory. */
#ifndef TESSERA_LINALG_RUN_H
#define TESSERA_LINALG_RUN_H
#include "query/argument.h"
#include "query/linalg.h"

/* A result, and what of the matrix that holds it is meant. */
struct result {
    struct blocked m;
    bool shared; /* m is another result's */
    bool turned; /* element (i, k) is m's (k, i) */
    enum { ALL, LOWER, UNIT_LOWER, UPPER, PERMUTED } shown;
    int64_t *column; /* PERMUTED: of each row, where its 1 is; m has nothing */
};
void result_free(struct result *r);

struct matrix_call {
    enum linalg_fn fn;
    unsigned wanted; /* of the results, a bit each; others may be left out */
    int64_t first;   /* svd: so many values and vectors; 0: all */
    struct argument in[2];
    struct overflow *overflow;
};
/* out: made here, the caller frees them, also after an error. ERR_MATRIX. */
enum status linalg_run(struct ctx *c, const struct matrix_call *call, struct result *out);

#endif
