/* Where the coordinates or positions that an expression gives lie on an axis. */
#ifndef TESSERA_FETCH_PLACE_H
#define TESSERA_FETCH_PLACE_H
#include "storage/axis.h"
#include "storage/base/column.h"

struct expr;

/* out[i]: the position of cell i's value, and `shift` more; PICK_NONE (pick.h) where it is NULL or
 * not on the axis. By position values are BIGINT or UBIGINT and count from the axis's first cell;
 * coordinates are of the axis's type, or BIGINT, UBIGINT or DOUBLE for one of numbers, TIMESTAMP
 * for one of times. */
enum status fetch_place(struct ctx *c, const struct axis *axis, bool by_position, int64_t shift,
                        const struct column *col, int64_t n, int64_t *out);

/* op_fetch.c: the only dimension that an expression depends on; -1: none. False: more, or columns, or
 * chance. */
bool fetch_depends_on(const struct expr *e, int *dim);

#endif
