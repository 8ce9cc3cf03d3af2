/* Exact quantiles of groups' values, by selection; and what interpolates between two ranks. */
#ifndef TESSERA_AGG_QUANTILE_H
#define TESSERA_AGG_QUANTILE_H
#include "query/rowset.h"

/* Of the rows (INT32 group, DOUBLE value; without the group when n_keys is 0: all are group 0),
 * where group g has counts[g] values: quantile qs[i] to
 * results[g * n_q + i], untouched where there is none.
 * *done false: the groups are too many and too large; sort instead. */
enum status quantile_groups(struct ctx *c, const struct rowset *rows, int n_keys,
                            const int64_t *counts, int64_t n_groups, const double *qs, int n_q,
                            double *results, bool *done);
/* Of n sorted values the quantile lies between ranks *below and the next, at *t. */
void quantile_rank(double q, int64_t n, int64_t *below, double *t);
/* NumPy's linear interpolation. */
double quantile_between(double a, double b, double t);

#endif
