/* Which loops move cells between differently shaped arrays fastest?
 *
 * Outer loops recurse and cost nothing per cell; the two innermost ones are a plane, copied by rows
 * (memcpy), by a strided loop, or, where source and destination run across each other, in blocks
 * that stay in L1. */
#include "query/gather.h"
#include <assert.h>
#include <string.h>

#define BLOCK 32 /* cells: two blocks of 16-byte values are 32 KiB */

void gather_into(struct gather *g, const struct box *dst_box, const struct box *part)
{
    int64_t strides[MAX_DIMS];
    box_strides(dst_box, strides);
    *g = (struct gather){.n = part->n_dims, .dst_start = box_index(dst_box, part->lo)};
    for (int d = 0; d < part->n_dims; d++) {
        g->extent[d] = box_extent(part, d);
        g->dst_stride[d] = strides[d];
    }
}

static void move_loop(struct gather *g, int to, int from)
{
    g->extent[to] = g->extent[from];
    g->dst_stride[to] = g->dst_stride[from];
    g->src_stride[to] = g->src_stride[from];
    g->index[to] = g->index[from];
}

static void drop_single(struct gather *g)
{
    int n = 0;
    for (int d = 0; d < g->n; d++)
        if (g->extent[d] != 1 || g->index[d]) move_loop(g, n++, d);
    g->n = n;
}

static bool joins(const struct gather *g, int outer, int inner)
{
    return !g->index[outer] && !g->index[inner] &&
           g->dst_stride[outer] == g->dst_stride[inner] * g->extent[inner] &&
           g->src_stride[outer] == g->src_stride[inner] * g->extent[inner];
}

static void merge(struct gather *g)
{
    int n = 0;
    for (int d = 0; d < g->n; d++) {
        if (n && joins(g, n - 1, d)) {
            g->extent[n - 1] *= g->extent[d];
            g->dst_stride[n - 1] = g->dst_stride[d];
            g->src_stride[n - 1] = g->src_stride[d];
        } else {
            move_loop(g, n++, d);
        }
    }
    g->n = n;
}

/* The loop along which the source is densest becomes the last but one, so that the plane can be
 * copied in blocks. */
static void pair_loops(struct gather *g)
{
    int last = g->n - 1;
    if (last < 2 || g->index[last] || g->src_stride[last] <= 1) return;
    int best = last;
    for (int d = 0; d < last; d++)
        if (!g->index[d] && g->src_stride[d] > 0 && g->src_stride[d] < g->src_stride[best])
            best = d;
    if (best >= last - 1) return;
    struct gather was = *g;
    for (int d = best; d < last - 1; d++)
        move_loop(g, d, d + 1);
    g->extent[last - 1] = was.extent[best];
    g->dst_stride[last - 1] = was.dst_stride[best];
    g->src_stride[last - 1] = was.src_stride[best];
    g->index[last - 1] = NULL;
}

void gather_simplify(struct gather *g)
{
    drop_single(g);
    merge(g);
    pair_loops(g);
    if (g->n) return;
    g->n = 1;
    g->extent[0] = g->dst_stride[0] = g->src_stride[0] = 1;
    g->index[0] = NULL;
}

/* ---- values ---- */

struct loop {
    int64_t n, to, from; /* how often, and the steps */
};

/* Compiled once for each size: `bytes` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void
copy_plane_of(char *dst, const char *src, struct loop a, struct loop b, const size_t bytes)
{
    for (int64_t i = 0; i < a.n; i++) {
        char *to = dst + i * a.to * (int64_t)bytes;
        const char *from = src + i * a.from * (int64_t)bytes;
        for (int64_t k = 0; k < b.n; k++)
            memcpy(to + k * b.to * (int64_t)bytes, from + k * b.from * (int64_t)bytes, bytes);
    }
}

static inline __attribute__((always_inline)) void copy_indexed_of(char *dst, const char *src,
                                                                  int64_t n, int64_t to,
                                                                  const int64_t *index,
                                                                  const size_t bytes)
{
    for (int64_t k = 0; k < n; k++) {
        char *cell = dst + k * to * (int64_t)bytes;
        if (index[k] < 0)
            memset(cell, 0, bytes);
        else
            memcpy(cell, src + index[k] * (int64_t)bytes, bytes);
    }
}

#define BY_SIZE(bytes, call)                                                                       \
    switch (bytes) {                                                                               \
    case 1:                                                                                        \
        call(1);                                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        call(2);                                                                                   \
        break;                                                                                     \
    case 4:                                                                                        \
        call(4);                                                                                   \
        break;                                                                                     \
    case 8:                                                                                        \
        call(8);                                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        assert((bytes) == 16);                                                                     \
        call(16);                                                                                  \
    }

static void copy_small_plane(char *dst, const char *src, struct loop a, struct loop b, size_t bytes)
{
#define CALL(size) copy_plane_of(dst, src, a, b, size)
    BY_SIZE(bytes, CALL)
#undef CALL
}

static void copy_indexed(char *dst, const char *src, int64_t n, int64_t to, const int64_t *index,
                         size_t bytes)
{
#define CALL(size) copy_indexed_of(dst, src, n, to, index, size)
    BY_SIZE(bytes, CALL)
#undef CALL
}

static void copy_blocks(char *dst, const char *src, struct loop a, struct loop b, size_t bytes)
{
    int64_t size = (int64_t)bytes;
    for (int64_t i = 0; i < a.n; i += BLOCK) {
        struct loop rows = a;
        rows.n = a.n - i < BLOCK ? a.n - i : BLOCK;
        for (int64_t k = 0; k < b.n; k += BLOCK) {
            struct loop cells = b;
            cells.n = b.n - k < BLOCK ? b.n - k : BLOCK;
            copy_small_plane(dst + (i * a.to + k * b.to) * size,
                             src + (i * a.from + k * b.from) * size, rows, cells, bytes);
        }
    }
}

static void copy_plane(char *dst, const char *src, struct loop a, struct loop b, size_t bytes)
{
    int64_t size = (int64_t)bytes;
    if (b.to == 1 && b.from == 1 && b.n * size >= 32) {
        for (int64_t i = 0; i < a.n; i++)
            memcpy(dst + i * a.to * size, src + i * a.from * size, (size_t)(b.n * size));
    } else if (a.from > 0 && a.from < b.from && a.n > 1) {
        copy_blocks(dst, src, a, b, bytes);
    } else {
        copy_small_plane(dst, src, a, b, bytes);
    }
}

static void zero_plane(char *dst, struct loop a, struct loop b, size_t bytes)
{
    for (int64_t i = 0; i < a.n; i++)
        for (int64_t k = 0; k < b.n; k++)
            memset(dst + (i * a.to + k * b.to) * (int64_t)bytes, 0, bytes);
}

static struct loop loop_at(const struct gather *g, int d)
{
    if (d < 0) return (struct loop){1, 0, 0};
    return (struct loop){g->extent[d], g->dst_stride[d], g->src_stride[d]};
}

/* Loops before `inner` recurse; `from` is -1 where there is no source. */
static void walk_values(const struct gather *g, int d, int inner, int64_t to, int64_t from,
                        char *dst, const char *src, size_t bytes)
{
    if (d < inner) {
        for (int64_t i = 0; i < g->extent[d]; i++) {
            int64_t step = g->index[d] ? g->index[d][i] : i * g->src_stride[d];
            walk_values(g, d + 1, inner, to + i * g->dst_stride[d],
                        from < 0 || step < 0 ? -1 : from + step, dst, src, bytes);
        }
        return;
    }
    int last = g->n - 1;
    dst += to * (int64_t)bytes;
    if (from < 0)
        zero_plane(dst, loop_at(g, inner < last ? inner : -1), loop_at(g, last), bytes);
    else if (g->index[last])
        copy_indexed(dst, src + from * (int64_t)bytes, g->extent[last], g->dst_stride[last],
                     g->index[last], bytes);
    else
        copy_plane(dst, src + from * (int64_t)bytes, loop_at(g, inner < last ? inner : -1),
                   loop_at(g, last), bytes);
}

void gather_values(const struct gather *g, void *dst, const void *src, size_t bytes)
{
    int last = g->n - 1;
    int inner = last > 0 && !g->index[last] && !g->index[last - 1] ? last - 1 : last;
    walk_values(g, 0, inner, g->dst_start, g->src_start, dst, src, bytes);
}

/* ---- bits ---- */

static void bit_run(const struct gather *g, uint64_t *dst, int64_t to, const uint64_t *src,
                    int64_t from)
{
    int last = g->n - 1;
    int64_t n = g->extent[last], to_step = g->dst_stride[last], step = g->src_stride[last];
    const int64_t *index = g->index[last];
    bool dense = to_step == 1 && !index;
    if (from < 0 || (!src && !index)) {
        if (to_step == 1)
            bits_fill(dst, to, n, from >= 0);
        else
            for (int64_t k = 0; k < n; k++)
                bit_put(dst, to + k * to_step, from >= 0);
    } else if (dense && step == 1) {
        bits_copy(dst, to, src, from, n);
    } else if (dense && step == 0) {
        bits_fill(dst, to, n, bit_get(src, from));
    } else if (index) {
        for (int64_t k = 0; k < n; k++)
            bit_put(dst, to + k * to_step,
                    index[k] >= 0 && (!src || bit_get(src, from + index[k])));
    } else {
        for (int64_t k = 0; k < n; k++)
            bit_put(dst, to + k * to_step, bit_get(src, from + k * step));
    }
}

static void walk_bits(const struct gather *g, int d, int64_t to, int64_t from, uint64_t *dst,
                      const uint64_t *src)
{
    if (d == g->n - 1) {
        bit_run(g, dst, to, src, from);
        return;
    }
    for (int64_t i = 0; i < g->extent[d]; i++) {
        int64_t step = g->index[d] ? g->index[d][i] : i * g->src_stride[d];
        walk_bits(g, d + 1, to + i * g->dst_stride[d], from < 0 || step < 0 ? -1 : from + step, dst,
                  src);
    }
}

void gather_bits(const struct gather *g, uint64_t *dst, const uint64_t *src)
{
    walk_bits(g, 0, g->dst_start, g->src_start, dst, src);
}

/* ---- by index ---- */

struct wide { /* any 16-byte value */
    uint64_t w[2];
};

#define INDEX int32_t
#define NAME gather_picked
#include "query/gather_picked.inc"

#define INDEX int64_t
#define NAME gather_picked_long
#include "query/gather_picked.inc"

enum status column_take(struct ctx *c, const struct column *col, const int64_t *idx, int64_t n,
                        struct column *out)
{
    struct gather g = {.n = 1, .extent = {n}, .dst_stride = {1}, .index = {idx}};
    struct column to;
    TRY(column_alloc(c, col->type, n, &to));
    gather_values(&g, to.values, col->values, type_bytes(col->type));
    if (col->valid) {
        TRY(column_need_valid(c, &to, n));
        gather_bits(&g, to.valid, col->valid);
    }
    *out = to;
    return OK;
}
