/* Factorisations of matrices in blocks of columns, in memory or beyond it: Cholesky's, LU with
 * partial pivoting, Householder's QR.
 *
 * A block of columns is brought up to date with each block before it, in order, and then factorised
 * itself: whether what is right of a block is brought up to date at once (all are in memory) or
 * when its turn comes (the blocks before it are read again from a file) is the same work in the
 * same order. How wide blocks are and where a long update is cut hang on the matrix's shape alone.
 * So results have the same bits at any number of workers and any memory.
 *
 * Sources: J. Dongarra et al., "The LINPACK Benchmark" (right-looking blocks); S. Toledo, "A Survey
 * of Out-of-Core Algorithms in Numerical Linear Algebra", 1999 (left-looking slabs); R. Schreiber
 * and C. Van Loan, "A storage-efficient WY representation for products of Householder
 * transformations", SIAM J. Sci. Stat. Comput. 10, 1989.
 *
 * Files: factor.c (the order of the work, memory), panel.c (the work on a block: LAPACK, BLAS). */
#ifndef TESSERA_FACTOR_H
#define TESSERA_FACTOR_H
#include "query/blocked.h"

enum factor_kind { FACTOR_CHOLESKY, FACTOR_LU, FACTOR_QR };

struct factor {
    enum factor_kind kind;
    /* L below, R or U above the diagonal; QR: reflectors below. CHOLESKY: what is above the
     * diagonal has no meaning. LU: rows of L stand where they did when their block was factorised.
     */
    struct blocked *a;
    int64_t steps;    /* columns that are factorised: min(rows, cols) */
    int32_t *pivot;   /* LU: rows i and pivot[i] were swapped, in order; from 1, as LAPACK counts */
    struct blocked t; /* QR: of each block of n reflectors V the n × n upper triangle T of
                         I - V T Vᵀ, in the block's columns */
    int64_t bad;      /* -1, or the first column where it does not go on: CHOLESKY ends there, the
                         leading part is not positive definite; LU goes on, U has a zero */
};

/* Columns of a block, for a matrix of so many rows. */
int64_t factor_width(int64_t rows);
/* Of a, in blocks of all rows and factor_width(rows) columns; in place. CHOLESKY looks at the lower
 * triangle alone. The caller frees f, also after an error; a is the caller's. */
enum status factor_make(struct ctx *c, struct overflow *o, enum factor_kind kind, struct blocked *a,
                        struct factor *f);
void factor_free(struct factor *f); /* one that was never made is allowed */

enum sweep {
    SWEEP_CHOLESKY, /* factor_make's own, of each kind */
    SWEEP_L,        /* b becomes L⁻¹ P b */
    SWEEP_QT,       /* Qᵀ b */
    SWEEP_U,        /* U⁻¹ b: of a square matrix */
    SWEEP_Q,        /* Q b */
    SWEEP_Q_UNIT    /* the same; b's columns are unit vectors, in order: Q's own columns */
};
/* b: as many rows as a, in blocks of all rows and some columns. */
enum status factor_sweep(struct ctx *c, const struct factor *f, enum sweep sweep,
                         struct blocked *b);
/* LU: gives the rows of L the places they have in the end. No sweep is possible after. */
enum status factor_settle(struct ctx *c, struct factor *f);

#endif
