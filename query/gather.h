/* Gathering: copies cells of one dense array to places of another whose dimensions lie in another
 * order, are repeated (broadcast), are strided, or are looked up. What transpose, rebase and join
 * do, one row or plane at a time. */
#ifndef TESSERA_GATHER_H
#define TESSERA_GATHER_H
#include "storage/base/column.h"
#include "storage/box.h"

/* Nested loops, the outermost first. Strides and offsets count cells. */
struct gather {
    int n;
    int64_t extent[MAX_DIMS];
    int64_t dst_stride[MAX_DIMS];
    int64_t src_stride[MAX_DIMS];   /* 0: the same source cell again and again */
    const int64_t *index[MAX_DIMS]; /* in place of src_stride: `extent` offsets, -1: no source cell;
                                       NULL: none */
    int64_t dst_start, src_start;
};

/* Starts loops over `part` of an array over dst_box, in C order; the caller sets what is left:
 * src_stride, index and src_start (0 as yet). */
void gather_into(struct gather *g, const struct box *dst_box, const struct box *part);
/* Fewer and longer loops that copy the same. Call once, after filling the loops. */
void gather_simplify(struct gather *g);
/* Values of `bytes` each (1, 2, 4, 8 or 16); cells without a source become zero bytes. */
void gather_values(const struct gather *g, void *dst, const void *src, size_t bytes);
/* Bits; src NULL: all set. Cells without a source get a clear bit. */
void gather_bits(const struct gather *g, uint64_t *dst, const uint64_t *src);

/* dst[i] = src[sel[i]], values of `bytes` each (1, 2, 4, 8 or 16). */
void gather_picked(void *dst, const void *src, size_t bytes, const int32_t *sel, int64_t n);
void gather_picked_long(void *dst, const void *src, size_t bytes, const int64_t *sel, int64_t n);
/* The cells of `col` that idx names, one after the other; an index of -1 gives zero bytes. From
 * c->scratch. */
enum status column_take(struct ctx *c, const struct column *col, const int64_t *idx, int64_t n,
                        struct column *out);

#endif
