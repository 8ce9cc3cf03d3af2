/* How are cells from anywhere brought together with few boxes of the source and little memory?
 *
 * The cells asked for are sorted by the box of the source's grid that they lie in, and each box is
 * produced for all of its cells at once. When all of them lie close together, that is one box. */
#include "query/pick.h"
#include "query/reach.h"
#include <stdlib.h>
#include <string.h>

#define BOX_CELLS (256 * 1024) /* more than a box of the source may have */
#define FEW 16 /* one in so many cells of a box: only what spans them is asked for */

struct request {
    int64_t tile, cell;
};

struct picking {
    struct op *source;
    const int64_t *grid;
    const struct picks *picks;
    const int *cols;
    int n_cols;
    struct column *out;
    uint64_t *present;
    bool keep;      /* texts may lie in the source's chunks: those stay */
    int64_t *index; /* room for one a request */
    struct request *requests;
    int64_t n;
};

void pick_grid(const struct op *source, int64_t *grid)
{
    const struct box *b = &source->box;
    int64_t cells = 1;
    for (int d = 0; d < b->n_dims; d++) {
        int64_t extent = box_extent(b, d);
        grid[d] = source->grid[d];
        if (grid[d] < extent) extent = grid[d];
        if (extent > BOX_CELLS / cells) {
            while (extent > 1 && extent > BOX_CELLS / cells)
                extent = grid_halve(extent);
            grid[d] = extent;
        }
        cells *= extent > 1 ? extent : 1;
    }
}

/* ---- requests ---- */

static bool inside(const struct picking *p, int64_t i)
{
    const struct box *b = &p->source->box;
    for (int d = 0; d < b->n_dims; d++) {
        int64_t at = p->picks->pos[d][i];
        if (at < b->lo[d] || at >= b->hi[d]) return false;
    }
    return true;
}

static enum status find_requests(struct ctx *c, struct picking *p)
{
    const struct box *b = &p->source->box;
    int64_t first[MAX_DIMS], stride[MAX_DIMS], total = 1;
    p->n = 0;
    if (box_empty(b)) return OK;
    for (int d = b->n_dims - 1; d >= 0; d--) {
        first[d] = tile_of(b->lo[d], p->grid[d]);
        stride[d] = total;
        int64_t tiles = tile_of(b->hi[d] - 1, p->grid[d]) - first[d] + 1;
        if (__builtin_mul_overflow(total, tiles, &total))
            return fail(c, ERR_LIMIT_EXCEEDED, "the array has too many tiles to go through");
    }
    for (int64_t i = 0; i < p->picks->n; i++) {
        if (!inside(p, i)) continue;
        struct request *r = &p->requests[p->n++];
        *r = (struct request){0, i};
        for (int d = 0; d < b->n_dims; d++)
            r->tile += (tile_of(p->picks->pos[d][i], p->grid[d]) - first[d]) * stride[d];
    }
    return OK;
}

static int by_tile(const void *a, const void *b)
{
    const struct request *x = a, *y = b;
    if (x->tile != y->tile) return x->tile < y->tile ? -1 : 1;
    return x->cell < y->cell ? -1 : x->cell > y->cell;
}

/* By counting where the tiles lie close together. */
static enum status sort_requests(struct ctx *c, struct picking *p)
{
    int64_t least = INT64_MAX, most = INT64_MIN;
    bool sorted = true;
    for (int64_t i = 0; i < p->n; i++) {
        int64_t t = p->requests[i].tile;
        if (t < most) sorted = false;
        if (t < least) least = t;
        if (t > most) most = t;
    }
    if (sorted) return OK;
    if (most - least > 4 * p->n) {
        qsort(p->requests, (size_t)p->n, sizeof *p->requests, by_tile);
        return OK;
    }
    void *counts_memory, *sorted_memory;
    size_t n_counts = (size_t)(most - least) + 2;
    TRY(scratch_alloc(c, n_counts * sizeof(int64_t), &counts_memory));
    TRY(scratch_alloc(c, (size_t)p->n * sizeof *p->requests, &sorted_memory));
    int64_t *start = counts_memory;
    struct request *out = sorted_memory;
    memset(start, 0, n_counts * sizeof *start);
    for (int64_t i = 0; i < p->n; i++)
        start[p->requests[i].tile - least + 1]++;
    for (size_t t = 1; t < n_counts; t++)
        start[t] += start[t - 1];
    for (int64_t i = 0; i < p->n; i++)
        out[start[p->requests[i].tile - least]++] = p->requests[i];
    p->requests = out;
    return OK;
}

/* ---- copying ---- */

#define COPY(bytes)                                                                                \
    for (int64_t i = 0; i < n; i++)                                                                \
        if (index[i] >= 0)                                                                         \
    memcpy((char *)to + r[i].cell * bytes, (const char *)from + index[i] * bytes, bytes)

static void copy_values(void *to, const void *from, const struct request *r, const int64_t *index,
                        int64_t n, size_t bytes)
{
    switch (bytes) {
    case 1:
        COPY(1);
        break;
    case 2:
        COPY(2);
        break;
    case 4:
        COPY(4);
        break;
    case 8:
        COPY(8);
        break;
    default:
        COPY(16);
        break;
    }
}

static void copy_chunk(struct picking *p, const struct chunk *ch, const struct request *r,
                       int64_t n)
{
    int64_t stride[MAX_DIMS], *index = p->index;
    box_strides(&ch->box, stride);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int d = 0; d < ch->box.n_dims; d++)
            at += (p->picks->pos[d][r[i].cell] - ch->box.lo[d]) * stride[d];
        index[i] = ch->present && !bit_get(ch->present, at) ? -1 : at;
    }
    for (int64_t i = 0; p->present && i < n; i++)
        if (index[i] >= 0) bit_set(p->present, r[i].cell);
    for (int k = 0; k < p->n_cols; k++) {
        const struct column *from = &ch->cols[p->cols[k]];
        copy_values(p->out[k].values, from->values, r, index, n, type_bytes(from->type));
        for (int64_t i = 0; i < n; i++)
            if (index[i] >= 0 && !column_is_null(from, index[i]))
                bit_set(p->out[k].valid, r[i].cell);
    }
}

/* What spans the requests' cells. */
static struct box span_of(const struct picking *p, const struct request *r, int64_t n)
{
    struct box b = {.n_dims = p->source->box.n_dims};
    for (int d = 0; d < b.n_dims; d++) {
        const int64_t *pos = p->picks->pos[d];
        b.lo[d] = b.hi[d] = pos[r[0].cell];
        for (int64_t i = 1; i < n; i++) {
            if (pos[r[i].cell] < b.lo[d]) b.lo[d] = pos[r[i].cell];
            if (pos[r[i].cell] > b.hi[d]) b.hi[d] = pos[r[i].cell];
        }
        b.hi[d]++;
    }
    return b;
}

static enum status pick_from(struct ctx *c, struct picking *p, const struct box *box,
                             const struct request *r, int64_t n)
{
    struct scratch_mark m = scratch_mark(c->scratch);
    struct chunk ch;
    TRY(op_produce(c, p->source, box, &ch));
    if (ch.n_present) copy_chunk(p, &ch, r, n);
    if (!p->keep) scratch_release(c->scratch, m);
    return OK;
}

static enum status pick_by_tiles(struct ctx *c, struct picking *p)
{
    const struct box *all = &p->source->box;
    for (int64_t i = 0, end; i < p->n; i = end) {
        const struct request *r = &p->requests[i];
        end = i + 1;
        while (end < p->n && p->requests[end].tile == r->tile)
            end++;
        struct box box = *all;
        for (int d = 0; d < all->n_dims; d++) {
            int64_t lo = tile_of(p->picks->pos[d][r->cell], p->grid[d]) * p->grid[d];
            if (lo > box.lo[d]) box.lo[d] = lo;
            if (lo < box.hi[d] - p->grid[d]) box.hi[d] = lo + p->grid[d];
        }
        if (box_cells(&box) / FEW > end - i) box = span_of(p, r, end - i);
        TRY(pick_from(c, p, &box, r, end - i));
    }
    return OK;
}

enum status pick_cells(struct ctx *c, struct op *source, const int64_t *grid,
                       const struct picks *picks, const int *cols, int n_cols, struct column *out,
                       uint64_t *present)
{
    struct picking p = {.source = source,
                        .grid = grid,
                        .picks = picks,
                        .cols = cols,
                        .n_cols = n_cols,
                        .out = out,
                        .present = present};
    void *requests, *index;
    for (int k = 0; k < n_cols; k++)
        p.keep |= type_is_varlen(out[k].type);
    TRY(scratch_alloc(c, (size_t)(picks->n + 1) * sizeof(struct request), &requests));
    TRY(scratch_alloc(c, (size_t)(picks->n + 1) * sizeof(int64_t), &index));
    p.requests = requests;
    p.index = index;
    TRY(find_requests(c, &p));
    if (p.n == 0) return OK;
    struct box span = span_of(&p, p.requests, p.n);
    int64_t cells = box_cells(&span);
    if (cells <= BOX_CELLS && cells / 2 <= p.n) return pick_from(c, &p, &span, p.requests, p.n);
    TRY(sort_requests(c, &p));
    return pick_by_tiles(c, &p);
}
