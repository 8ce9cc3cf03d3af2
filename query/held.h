/* Rows held back before they are written, until those of one cell stand next to each other.
 *
 * INSERT with ON CONFLICT or RETURNING must know of each row whether its cell exists and whether
 * another row of the statement goes there too; so must an UPDATE or DELETE whose join may give a
 * cell more than once. Rows wait in a rowset (beyond memory, in a file), are sorted by the cells'
 * positions and written in that order. */
#ifndef TESSERA_HELD_H
#define TESSERA_HELD_H
#include "query/session_internal.h"

/* What to do with the rows. */
struct hold {
    struct writer *writer; /* open; UPDATE and DELETE in their mode, INSERT in one that lets the
                              rows that are left over existing cells */
    const struct env *env;
    const char *tmp_dir;
    enum conflict mode; /* as the statement says; CONFLICT_REPLACE with row->sets: DO UPDATE */
    /* INSERT: the array before the statement, and what is computed of the rows. NULL: UPDATE and
     * DELETE, whose rows are values and RETURNING's columns already. */
    struct array *before;
    const struct held_row *row;
    const enum type *values; /* of the columns after the coordinates */
    int n_values;            /* INSERT: all attributes where `row` computes anything */
    int n_written;           /* of them, how many are the writer's, … */
    const int *attrs;        /* … and which */
    int n_returned;
};

struct held;
enum status held_new(struct ctx *c, const struct hold *h, struct held **out);
/* n rows: coordinates of every dimension, then values. INSERT's in order. */
enum status held_add(struct ctx *c, struct held *h, const struct column *cols, int64_t n);
/* Writes them; *n_cells is added to. returned: RETURNING's rows; NULL when there are none. */
enum status held_write(struct ctx *c, struct held *h, int64_t *n_cells, struct rowset **returned);
void held_free(struct held *h); /* NULL allowed */

#endif
