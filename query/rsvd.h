/* The first few singular values and vectors of a matrix of any size, by random projections.
 *
 * The matrix is gone through twice for each of a few power iterations, which end when the values
 * no longer change. The random numbers are of the elements' places, and blocks hang on the shape
 * alone: the same bits at any number of workers and any memory.
 *
 * Source: N. Halko, P. G. Martinsson, J. A. Tropp, "Finding structure with randomness:
 * probabilistic algorithms for constructing approximate matrix decompositions", SIAM Review 53,
 * 2011, algorithms 4.4 and 5.1. */
#ifndef TESSERA_RSVD_H
#define TESSERA_RSVD_H
#include "query/dense.h"

/* Rows of a block of a matrix with so many columns. */
int64_t rsvd_rows(int64_t cols);
/* a: rows ≥ cols, in blocks of rsvd_rows(cols) rows; 1 ≤ k ≤ cols. u: rows × k, v: cols × k, in
 * blocks of rows; s: k. All made here, the caller frees them, also after an error. at: -1, or 0
 * when it did not converge. */
enum status rsvd_make(struct ctx *c, struct overflow *o, const struct blocked *a, int64_t k,
                      struct blocked *u, struct dense *values, struct blocked *v, int64_t *at);

#endif
