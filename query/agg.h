/* Aggregates: one table of overloads, each a small state machine over groups. Partial states merge
 * in any order with the same result to the bit (fsum.h; argmin and first carry the cell's position
 * to break ties).
 *
 * Fixed-size states live in arrays of accumulators, one a group. Holistic ones (median, quantile,
 * mode, DISTINCT) keep values in rowsets and finish by sorting. */
#ifndef TESSERA_AGG_H
#define TESSERA_AGG_H
#include "query/expr.h"

struct agg;
/* Is the name an aggregate? */
bool agg_exists(const char *name);
const char *const *agg_names(int *n);
const char *agg_name(const struct agg *a);
/* Has it an order to its values, so that ORDER BY tells something? */
bool agg_is_ordered(const struct agg *a);
/* May its result tell in which order the values came, ties included? */
bool agg_sees_order(const struct agg *a);
/* The overload for these arguments; casts are inserted into args. "count" with n = 0 is count(*).
 * within: with WITHIN GROUP, whose expression is args[0].
 * ERR_UNDEFINED_FUNCTION with hint. Constant arguments (quantile's q, histogram's bounds) must be
 * constant expressions: ERR_INVALID_PARAMETER. */
enum status agg_resolve(struct ctx *c, const char *name, struct expr **args, int n, bool distinct,
                        bool within, int pos, const struct agg **out, enum type *result);

#endif
