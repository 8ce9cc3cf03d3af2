/* A box: a half-open range of 64-bit positions per dimension, in C order (the last dimension runs
 * fastest). */
#ifndef TESSERA_BOX_H
#define TESSERA_BOX_H
#include "storage/base/ctx.h"
#include <stdbool.h>
#include <stdint.h>

#define MAX_DIMS 16

struct box {
    int n_dims; /* 0: a single cell */
    int64_t lo[MAX_DIMS], hi[MAX_DIMS];
};

/* Cells in the box, 0 when any range is empty; INT64_MAX when it does not fit 63 bits. */
int64_t box_cells(const struct box *b);
static inline int64_t box_extent(const struct box *b, int d)
{
    return b->hi[d] - b->lo[d];
}
bool box_empty(const struct box *b);
/* False when the intersection is empty (out is then an empty box). out may be a or b. */
bool box_intersect(const struct box *a, const struct box *b, struct box *out);
/* The smallest box around both. out may be a or b. */
void box_hull(const struct box *a, const struct box *b, struct box *out);
bool box_contains(const struct box *outer, const struct box *inner);
bool box_equal(const struct box *a, const struct box *b);
/* Strides in cells of each dimension, C order. */
void box_strides(const struct box *b, int64_t *strides);
/* Index of a position in C order, and back. */
int64_t box_index(const struct box *b, const int64_t *pos);
void box_position(const struct box *b, int64_t index, int64_t *pos);
/* Floor division of positions: which tile, of the grid that starts at position 0. */
static inline int64_t tile_of(int64_t pos, int64_t extent)
{
    return pos >= 0 ? pos / extent : -((-pos + extent - 1) / extent);
}
/* The box of tile coordinates that a box of positions touches. */
void box_tiles(const struct box *b, const int64_t *extents, struct box *tiles);

/* Copies the common part of two dense arrays in C order: `part` (inside both) from src, laid out
 * over src_box, to dst over dst_box. Values of `bytes` each. */
void box_copy(void *dst, const struct box *dst_box, const void *src, const struct box *src_box,
              const struct box *part, size_t bytes);
/* The same for bitmaps. src NULL sets the bits. */
void box_copy_bits(uint64_t *dst, const struct box *dst_box, const uint64_t *src,
                   const struct box *src_box, const struct box *part);

#endif
