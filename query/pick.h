/* Picking: copies cells of an operator from anywhere, one position a cell. What a gather (v[i =>
 * idx]) and reshape do. */
#ifndef TESSERA_PICK_H
#define TESSERA_PICK_H
#include "query/op.h"

#define PICK_NONE INT64_MIN /* a position that no cell has */

/* What is asked for: cell i is the source's at (pos[0][i], pos[1][i], …), or none where pos[0][i]
 * is PICK_NONE or the cell does not lie in the source's box. A source without dimensions has one
 * cell.
 */
struct picks {
    int64_t n;
    int64_t *pos[MAX_DIMS];
};
/* Extents of the source's boxes that picks are grouped by: its grid, cut to what may be held. */
void pick_grid(const struct op *source, int64_t *grid);
/* Fills n_cols columns of picks->n cells, each with a validity bitmap, and sets their bits where
 * the source's column cols[k] has a value; `present` (NULL: not wanted), where it has a cell. All
 * memory is the caller's; bitmaps and texts are zeroed. Each box of the source is produced once, in
 * row-major order, and given back before the next. */
enum status pick_cells(struct ctx *c, struct op *source, const int64_t *grid,
                       const struct picks *picks, const int *cols, int n_cols, struct column *out,
                       uint64_t *present);

#endif
