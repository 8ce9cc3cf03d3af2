/* What the axis files share. Others include axis.h. */
#ifndef TESSERA_AXIS_PARTS_H
#define TESSERA_AXIS_PARTS_H
#include "storage/axis.h"
#include "storage/base/datetime.h"

__extension__ typedef __int128 i128;

/* No position is farther out than this: sums of two stay in 64 bits. */
#define POSITION_MAX (INT64_C(1) << 61)

/* A number, or text that is one, as an exact decimal: a REAL by its shortest text. */
enum status axis_decimal(struct ctx *c, const struct value *v, struct decimal *out);
/* Where v stands on the grid of a regular axis, limits aside; as axis_find. */
enum status axis_locate(struct ctx *c, const struct axis *a, const struct value *v, bool *on_grid,
                        int64_t *pos);
/* Logical position of the label that equals v (of the axis's type), or -1. */
int64_t axis_label(const struct axis *a, const struct value *v);
/* Origin of a DATE or TIMESTAMP axis in microseconds. */
int64_t axis_origin_us(const struct axis *a);
/* The step as text: "0.25", "1 day". */
void axis_format_step(const struct axis *a, struct strbuf *out);
/* Labels in the arena from n values of a column's array, by_value filled when they are not sorted.
 * ERR_DUPLICATE_CELL on a label that stands twice. */
enum status axis_labels(struct ctx *c, const char *name, enum type type, const void *values,
                        int64_t n, struct labels **out);

#endif
