/* Which cells does a box hold, and where do they lie in memory? */
#include "storage/box.h"
#include "storage/base/bits.h"
#include <assert.h>
#include <string.h>

int64_t box_cells(const struct box *b)
{
    if (box_empty(b)) return 0;
    int64_t n = 1;
    for (int d = 0; d < b->n_dims; d++) {
        int64_t extent;
        if (__builtin_sub_overflow(b->hi[d], b->lo[d], &extent)) return INT64_MAX;
        if (__builtin_mul_overflow(n, extent, &n)) return INT64_MAX;
    }
    return n;
}

bool box_empty(const struct box *b)
{
    for (int d = 0; d < b->n_dims; d++) {
        if (b->lo[d] >= b->hi[d]) return true;
    }
    return false;
}

bool box_intersect(const struct box *a, const struct box *b, struct box *out)
{
    assert(a->n_dims == b->n_dims);
    bool some = true;
    int n_dims = a->n_dims;
    for (int d = 0; d < n_dims; d++) {
        int64_t lo = a->lo[d] > b->lo[d] ? a->lo[d] : b->lo[d];
        int64_t hi = a->hi[d] < b->hi[d] ? a->hi[d] : b->hi[d];
        if (lo >= hi) {
            hi = lo;
            some = false;
        }
        out->lo[d] = lo;
        out->hi[d] = hi;
    }
    out->n_dims = n_dims;
    return some;
}

bool box_contains(const struct box *outer, const struct box *inner)
{
    assert(outer->n_dims == inner->n_dims);
    if (box_empty(inner)) return true;
    for (int d = 0; d < outer->n_dims; d++) {
        if (inner->lo[d] < outer->lo[d] || inner->hi[d] > outer->hi[d]) return false;
    }
    return true;
}

bool box_equal(const struct box *a, const struct box *b)
{
    if (a->n_dims != b->n_dims) return false;
    for (int d = 0; d < a->n_dims; d++) {
        if (a->lo[d] != b->lo[d] || a->hi[d] != b->hi[d]) return false;
    }
    return true;
}

void box_hull(const struct box *a, const struct box *b, struct box *out)
{
    out->n_dims = a->n_dims;
    for (int d = 0; d < a->n_dims; d++) {
        out->lo[d] = a->lo[d] < b->lo[d] ? a->lo[d] : b->lo[d];
        out->hi[d] = a->hi[d] > b->hi[d] ? a->hi[d] : b->hi[d];
    }
}

void box_strides(const struct box *b, int64_t *strides)
{
    int64_t stride = 1;
    for (int d = b->n_dims - 1; d >= 0; d--) {
        strides[d] = stride;
        stride *= box_extent(b, d);
    }
}

int64_t box_index(const struct box *b, const int64_t *pos)
{
    int64_t index = 0;
    for (int d = 0; d < b->n_dims; d++)
        index = index * box_extent(b, d) + (pos[d] - b->lo[d]);
    return index;
}

void box_position(const struct box *b, int64_t index, int64_t *pos)
{
    for (int d = b->n_dims - 1; d >= 0; d--) {
        int64_t extent = box_extent(b, d);
        pos[d] = b->lo[d] + index % extent;
        index /= extent;
    }
}

void box_tiles(const struct box *b, const int64_t *extents, struct box *tiles)
{
    int n_dims = b->n_dims;
    for (int d = 0; d < n_dims; d++) {
        int64_t lo = b->lo[d], hi = b->hi[d];
        tiles->lo[d] = tile_of(lo, extents[d]);
        tiles->hi[d] = hi > lo ? tile_of(hi - 1, extents[d]) + 1 : tiles->lo[d];
    }
    tiles->n_dims = n_dims;
}

/* The common part as nested loops of one run each: neighbouring dimensions that are contiguous in
 * both arrays are one loop. Loop 0 is the outermost; the last one has stride 1 in both. */
struct walk {
    int n;
    int64_t extent[MAX_DIMS + 1], dst_stride[MAX_DIMS + 1], src_stride[MAX_DIMS + 1];
    int64_t dst_start, src_start;
};

static void walk_init(struct walk *w, const struct box *dst, const struct box *src,
                      const struct box *part)
{
    int64_t dst_strides[MAX_DIMS], src_strides[MAX_DIMS];
    assert(dst->n_dims == part->n_dims && src->n_dims == part->n_dims);
    assert(box_contains(dst, part) && box_contains(src, part));
    box_strides(dst, dst_strides);
    box_strides(src, src_strides);
    w->dst_start = box_index(dst, part->lo);
    w->src_start = box_index(src, part->lo);
    w->n = 0;
    for (int d = 0; d < part->n_dims; d++) {
        int64_t extent = box_extent(part, d);
        if (extent == 1 && d < part->n_dims - 1) continue;
        int k = w->n - 1;
        bool joins = k >= 0 && w->dst_stride[k] == extent * dst_strides[d] &&
                     w->src_stride[k] == extent * src_strides[d];
        if (joins)
            w->extent[k] *= extent;
        else
            w->extent[k = w->n++] = extent;
        w->dst_stride[k] = dst_strides[d];
        w->src_stride[k] = src_strides[d];
    }
    if (w->n == 0) {
        w->extent[0] = w->dst_stride[0] = w->src_stride[0] = 1;
        w->n = 1;
    }
}

/* Moves to the next run; false after the last one. */
static bool walk_next(const struct walk *w, int64_t *at, int64_t *dst, int64_t *src)
{
    for (int k = w->n - 2; k >= 0; k--) {
        *dst += w->dst_stride[k];
        *src += w->src_stride[k];
        if (++at[k] < w->extent[k]) return true;
        *dst -= w->dst_stride[k] * w->extent[k];
        *src -= w->src_stride[k] * w->extent[k];
        at[k] = 0;
    }
    return false;
}

void box_copy(void *dst, const struct box *dst_box, const void *src, const struct box *src_box,
              const struct box *part, size_t bytes)
{
    if (box_empty(part)) return;
    struct walk w;
    walk_init(&w, dst_box, src_box, part);
    int64_t at[MAX_DIMS + 1] = {0}, to = w.dst_start, from = w.src_start;
    size_t run_bytes = (size_t)w.extent[w.n - 1] * bytes;
    do
        memcpy((char *)dst + (size_t)to * bytes, (const char *)src + (size_t)from * bytes,
               run_bytes);
    while (walk_next(&w, at, &to, &from));
}

void box_copy_bits(uint64_t *dst, const struct box *dst_box, const uint64_t *src,
                   const struct box *src_box, const struct box *part)
{
    if (box_empty(part)) return;
    struct walk w;
    walk_init(&w, dst_box, src_box, part);
    int64_t at[MAX_DIMS + 1] = {0}, to = w.dst_start, from = w.src_start;
    int64_t run = w.extent[w.n - 1];
    do {
        if (src)
            bits_copy(dst, to, src, from, run);
        else
            bits_fill(dst, to, run, true);
    } while (walk_next(&w, at, &to, &from));
}
