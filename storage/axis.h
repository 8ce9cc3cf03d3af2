/* An axis: what the positions of a dimension mean. Regular axes compute coordinates, labelled ones
 * list them.
 *
 * Positions in the engine are those stored: position p of a regular axis is origin + p × step
 * whatever was added before or after it, so they may be negative. `#d` of the language is p - lo. A
 * labelled axis stores labels in order of arrival; `rank`, when there is one, gives their logical
 * order (times and numbers), and positions above the storage layer are logical. Axes are immutable
 * while anyone reads them: growth makes a new one. */
#ifndef TESSERA_AXIS_H
#define TESSERA_AXIS_H
#include "storage/base/column.h"
#include "storage/base/decimal.h"
#include "storage/base/value.h"
#include "storage/box.h"

enum axis_kind { AXIS_REGULAR, AXIS_LABELLED };

/* Labels of one snapshot of a labelled axis, in logical order. */
struct labels {
    int64_t n;
    void *values; /* n values of the axis's type, logical order; text bytes live as long as this */
    int64_t *stored;   /* logical to stored position; NULL: the same */
    int64_t *by_value; /* logical positions sorted by value, for look-up; NULL: values are sorted */
};

struct axis {
    enum type type; /* an integer type, REAL, DOUBLE, DATE, TIMESTAMP; TEXT when labelled */
    enum axis_kind kind;
    bool grows;     /* '*' as upper bound, or labels join by insertion */
    int64_t lo, hi; /* first position and one past the last, as of the snapshot; labelled: 0, n */
    int64_t limit_lo, limit_hi; /* declared bounds; INT64_MIN, INT64_MAX where open */
    /* regular; a descending axis has a negative step */
    int64_t origin;                /* integers, days, microseconds */
    int64_t step;                  /* the same unit; 0 when step_months is set */
    int32_t step_months;           /* DATE and TIMESTAMP in months */
    struct decimal dorigin, dstep; /* REAL and DOUBLE */
    const struct labels *labels;
};

/* Regular axis from its first and last coordinate and step (values of the axis's type, or weaker;
 * step may be an INTERVAL for times; NULL hi: open-ended; NULL step: 1, or 1 day). Errors name the
 * dimension: ERR_INVALID_DEFINITION for a zero step, a step away from hi, a type that cannot be an
 * axis, hi not reached by whole steps (with the nearest one as hint). */
enum status axis_regular(struct ctx *c, const char *name, enum type type, const struct value *lo,
                         const struct value *hi, const struct value *step, struct axis *out);
/* Labelled axis from values in logical order, made in the arena (fixed unless grows).
 * ERR_DUPLICATE_CELL on a label that stands twice. */
enum status axis_labelled(struct ctx *c, const char *name, enum type type,
                          const struct value *values, int64_t n, bool grows, struct axis *out);
/* Regular integer axis [0, n), step 1, of BIGINT: rows, GRID, files without coordinates. */
struct axis axis_count(int64_t n);
/* A regular axis if the n coordinates (values of `type`) are equally spaced — for floats: each the
 * correctly rounded value of a decimal origin and step, or within 2 ulp of REAL/DOUBLE rounding of
 * one with few digits — else labelled. For importers. */
enum status axis_from_coords(struct ctx *c, const char *name, enum type type, const void *coords,
                             int64_t n, bool grows, struct axis *out);

int64_t axis_len(const struct axis *a);
bool axis_descending(const struct axis *a);
struct value axis_coord(const struct axis *a, int64_t pos);
/* Coordinates of positions lo … lo + n - 1 (step `stride`) into values of the axis's type. */
void axis_coords(const struct axis *a, int64_t lo, int64_t n, int64_t stride, void *values);

/* The position of a coordinate: true when it is on the axis grid (regular: even past [lo, hi), when
 * within the declared limits; *pos is then where it would be). v is of the axis's type or castable.
 * On false *pos is the last position whose coordinate is not past v in axis order. */
enum status axis_find(struct ctx *c, const struct axis *a, const struct value *v, bool *found,
                      int64_t *pos);
/* The nearest position in [lo, hi); ties go to the lower position. ERR_OUT_OF_BOUNDS on an empty
 * axis, or when farther than the tolerance (NULL: any; INTERVAL for times). */
enum status axis_nearest(struct ctx *c, const struct axis *a, const char *name,
                         const struct value *v, const struct value *tolerance, int64_t *pos);
/* Inclusive coordinates to a half-open range of positions (NULL: the end), cut to [lo, hi); on a
 * descending axis both orders mean the same. Empty when nothing lies between. Text bounds: by order
 * of labels' positions, both must exist. */
enum status axis_slice(struct ctx *c, const struct axis *a, const char *name,
                       const struct value *lo, const struct value *hi, int64_t *out_lo,
                       int64_t *out_hi);
/* Positions of many coordinates of the axis's type at once; -1 … are legal positions, so `found` is
 * a byte each. */
void axis_find_many(const struct axis *a, const void *values, int64_t n, int64_t *pos,
                    uint8_t *found);

/* Do two axes line up? Regular: same type family, step and phase; *shift = position in b minus
 * position in a. Labelled: *map (in the arena) has for each position of a the position in b or -1;
 * shift 0. ERR_AXIS_MISMATCH naming the first difference and both FROM items. */
enum status axis_align(struct ctx *c, const struct axis *a, const char *a_name,
                       const struct axis *b, const char *b_name, int64_t *shift, int64_t **map);
/* Is every position of a the same one of b, which may have more after them? */
bool axis_extends(const struct axis *a, const struct axis *b);
/* The axis of positions lo, lo + stride, … (n of them), renumbered from 0: what a sub-query or a
 * stored result has. */
enum status axis_rebase(struct ctx *c, const struct axis *a, int64_t lo, int64_t n, int64_t stride,
                        struct axis *out);
/* As \d prints it: "[-89.875 : 89.875 : 0.25]", "['2020-01-01' : * : '1 day']", "(0, 10, 20, …)".
 */
void axis_format(const struct axis *a, struct strbuf *out);

#endif
