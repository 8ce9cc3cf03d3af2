/* Matrices of doubles in memory, column by column, and what LAPACK alone makes of them, on one
 * thread. panel.c, tsqr.c and dense.c are the only files that know LAPACK. */
#ifndef TESSERA_DENSE_H
#define TESSERA_DENSE_H
#include "query/blocked.h"

struct dense {
    int64_t rows, cols; /* below 2^31 */
    double *v;          /* element (i, k) is v[i + k × rows]; a buffer of the query's budget */
};

/* Zeros. ERR_MEMORY. */
enum status dense_new(struct ctx *c, int64_t rows, int64_t cols, struct dense *out);
void dense_free(struct dense *m); /* one that was never made is allowed */
enum status dense_copy(struct ctx *c, const struct dense *m, struct dense *out);
/* The same elements as one block; whoever frees one of both does so for the other. */
struct blocked dense_blocks(const struct dense *m);

/* In place; *at: -1, or 0 when it did not converge. */
/* A = U diag(s) Vt, destroying A; k = min(rows, cols). */
enum status dense_svd(struct ctx *c, struct dense *a, struct dense *u, double *s, struct dense *vt,
                      int64_t *at);
/* A's lower triangle: eigenvalues in rising order, vectors in a's columns. */
enum status dense_eigh(struct ctx *c, struct dense *a, double *w, int64_t *at);
/* min |x| among those of least |A x - b|, into b's first cols rows; destroys A. b has at least
 * max(rows, cols) rows. of: the matrix's rows, where A is the triangle of a larger one. */
enum status dense_lstsq(struct ctx *c, struct dense *a, int64_t of, struct dense *b, int64_t *at);

#endif
