/* Which routine of the BLAS a product runs as. */
#ifndef TESSERA_MATMUL_ROUTINE_H
#define TESSERA_MATMUL_ROUTINE_H
#include "query/plan.h"

/* SYRK: the right is the left's own array, turned round: one triangle is computed. DOT and GEMV:
 * one row and column, one of them. */
enum matmul_routine { RUNS_GEMM, RUNS_SYRK, RUNS_GEMV, RUNS_DOT, RUNS_INTEGERS };
enum matmul_routine matmul_routine(const struct plan *matmul);
const char *matmul_routine_name(enum matmul_routine r);

#endif
