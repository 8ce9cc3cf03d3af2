/* Factorisations of matrices of doubles in memory, column by column. dense.c is the only file that
 * knows LAPACK. Blocks are factorised by LAPACK, and what is right of them is brought up to date by
 * the pool, a block of columns a task, so results have the same bits at any number of workers, and
 * a cancelled query ends after a block.
 *
 * Sources: J. Dongarra et al., "The LINPACK Benchmark" (right-looking blocks); R. Schreiber and C.
 * Van Loan, "A storage-efficient WY representation for products of Householder transformations",
 * SIAM J. Sci. Stat. Comput. 10, 1989. */
#ifndef TESSERA_DENSE_H
#define TESSERA_DENSE_H
#include "storage/base/ctx.h"
#include <stdint.h>

struct dense {
    int64_t rows, cols; /* below 2^31 */
    double *v;          /* element (i, k) is v[i + k × rows]; a buffer of the query's budget */
};

/* Zeros. ERR_MEMORY. */
enum status dense_new(struct ctx *c, int64_t rows, int64_t cols, struct dense *out);
void dense_free(struct dense *m); /* one that was never made is allowed */
enum status dense_copy(struct ctx *c, const struct dense *m, struct dense *out);

/* All in place; *at: -1, or the first column where it does not go on. */
/* The lower triangle becomes that of L, A = L Lᵀ; the upper one is cleared. Only the lower one of A
 * is looked at. at: the leading minor that is not positive. */
enum status dense_cholesky(struct ctx *c, struct dense *a, int64_t *at);
/* A = P L U with partial pivoting: rows i and pivot[i] were swapped, in order. at: U's first zero
 * on the diagonal. */
enum status dense_lu(struct ctx *c, struct dense *a, int32_t *pivot, int64_t *at);
/* b becomes A⁻¹ b, from the factors of a square A. */
enum status dense_lu_solve(struct ctx *c, const struct dense *lu, const int32_t *pivot,
                           struct dense *b);
/* A = Q R: R in the upper triangle, Q as reflectors below and in tau[min(rows, cols)]. */
enum status dense_qr(struct ctx *c, struct dense *a, double *tau);
/* q: rows × k, k ≤ min(rows, cols), from the reflectors. */
enum status dense_qr_q(struct ctx *c, const struct dense *qr, const double *tau, struct dense *q);
/* A = U diag(s) Vt, destroying A; k = min(rows, cols). at 0: it did not converge. */
enum status dense_svd(struct ctx *c, struct dense *a, struct dense *u, double *s, struct dense *vt,
                      int64_t *at);
/* A's lower triangle: eigenvalues in rising order, vectors in a's columns. at 0: it did not
 * converge. */
enum status dense_eigh(struct ctx *c, struct dense *a, double *w, int64_t *at);
/* min |x| among those of least |A x - b|, into b's first cols rows; destroys A. b has at least
 * max(rows, cols) rows. at 0: it did not converge. */
enum status dense_lstsq(struct ctx *c, struct dense *a, struct dense *b, int64_t *at);

#endif
