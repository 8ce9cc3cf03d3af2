/* QR of tall matrices, in blocks of rows ("leaves"), in memory or beyond it.
 *
 * Each leaf is factorised by itself, and then triangles two at a time, in a binary tree that hangs
 * on the matrix's shape alone: the same bits at any number of workers and any memory. Nothing is
 * kept but reflectors, where the matrix was: a leaf's below its diagonal, those of the tree in the
 * triangles that they took away.
 *
 * Source: J. Demmel, L. Grigori, M. Hoemmen, J. Langou, "Communication-optimal parallel and
 * sequential QR and LU factorizations", SIAM J. Sci. Comput. 34, 2012. */
#ifndef TESSERA_TSQR_H
#define TESSERA_TSQR_H
#include "query/blocked.h"
#include "query/dense.h"

/* Rows of a leaf: a power of two, at least twice the columns. */
int64_t tsqr_rows(int64_t cols);
/* Tall enough that the tree is worth it. */
bool tsqr_suits(int64_t rows, int64_t cols);

struct tsqr {
    struct blocked *a; /* blocks of rows: at least as many as columns */
    struct blocked t;  /* of each leaf: its triangles, and those of the tree's node */
};
/* In place; the caller frees q, also after an error. a is the caller's. */
enum status tsqr_make(struct ctx *c, struct overflow *o, struct blocked *a, struct tsqr *q);
void tsqr_free(struct tsqr *q);
/* cols × cols, made here. */
enum status tsqr_r(struct ctx *c, const struct tsqr *q, struct dense *r);
/* out = Q × top (cols × k; NULL: the identity): as many rows as a in blocks like a's. */
enum status tsqr_apply(struct ctx *c, const struct tsqr *q, const struct dense *top,
                       struct blocked *out);

/* R of a matrix that comes a few leaves at a time: so many leaves and then fewer, a power of two of
 * them at once but for the last. Nothing of the matrix is kept. */
struct tsqr_sum {
    int64_t cols;
    int n;
    struct dense r[64]; /* of 2^level leaves each, the largest first */
    int level[64];
};
enum status tsqr_sum_add(struct ctx *c, struct tsqr_sum *t, const struct dense *r, int level);
/* *r is made here; the caller frees it. */
enum status tsqr_sum_end(struct ctx *c, struct tsqr_sum *t, struct dense *r);
void tsqr_sum_free(struct tsqr_sum *t);

#endif
