/* What lies under a box of an operator: boxes of the inputs, bytes, tiles? */
#include "query/reach.h"
#include <string.h>

void join_sources(const struct plan *p, int side, int *out, const struct join_dim **pair)
{
    int n_left = p->in[0]->rel.n_dims;
    const struct join_dim *dims = side ? p->join_dims : p->left_join_dims;
    for (int r = 0; r < p->in[side]->rel.n_dims; r++) {
        out[r] = side ? -1 : r;
        pair[r] = NULL;
    }
    for (int i = 0; i < p->n_join_dims && dims; i++) {
        pair[dims[i].right] = &dims[i];
        out[dims[i].right] = dims[i].left;
    }
    for (int d = n_left; d < p->rel.n_dims && side; d++)
        out[p->right_dims[d - n_left]] = d;
}

int64_t join_position(const struct plan *p, const struct join_dim *pair, int64_t at)
{
    if (!pair->map) return at + pair->shift;
    const struct rel *from = p->join == JOIN_FULL ? &p->rel : &p->in[0]->rel;
    const struct axis *axis = from->dims[pair->left].axis;
    if (at < axis->lo || at >= axis->hi) return INT64_MIN;
    int64_t to = pair->map[at - axis->lo];
    return to < 0 ? INT64_MIN : to;
}

void join_side_box(const struct plan *p, int side, const struct box *want, struct box *out)
{
    int from[MAX_DIMS];
    const struct join_dim *pair[MAX_DIMS];
    join_sources(p, side, from, pair);
    out->n_dims = p->in[side]->rel.n_dims;
    for (int r = 0; r < out->n_dims; r++) {
        int64_t lo = want->lo[from[r]], hi = want->hi[from[r]];
        if (pair[r] && !pair[r]->map) {
            lo += pair[r]->shift;
            hi += pair[r]->shift;
        } else if (pair[r]) {
            int64_t least = INT64_MAX, most = INT64_MIN;
            for (int64_t k = lo; k < hi; k++) {
                int64_t at = join_position(p, pair[r], k);
                if (at == INT64_MIN) continue;
                if (at < least) least = at;
                if (at > most) most = at;
            }
            lo = least;
            hi = least > most ? least : most + 1;
        }
        out->lo[r] = lo;
        out->hi[r] = hi;
    }
}

void shape_of(const struct plan *p, struct shape *s)
{
    const struct rel *in = &p->in[0]->rel;
    rel_box(in, &s->in);
    if (p->kind == P_SLICE) s->in = p->region;
    for (int d = 0; d < p->rel.n_dims; d++) {
        s->from[d] = p->kind == P_REBASE ? d : p->dim_of[d];
        s->origin[d] = 0;
        s->step[d] = 1;
        if (p->kind != P_REBASE) continue;
        s->step[d] = in->dims[d].stride > 1 ? in->dims[d].stride : 1;
        int64_t first = p->region.n_dims == in->n_dims ? p->region.lo[d] : in->dims[d].lo;
        s->origin[d] = first - p->rel.dims[d].lo * s->step[d];
    }
}

void shape_reach(const struct shape *s, const struct box *want, struct box *out)
{
    *out = s->in;
    for (int d = 0; d < want->n_dims; d++) {
        out->lo[s->from[d]] = s->origin[d] + want->lo[d] * s->step[d];
        out->hi[s->from[d]] = s->origin[d] + (want->hi[d] - 1) * s->step[d] + 1;
    }
}

void box_of_run(const struct box *all, int64_t first, int64_t last, struct box *out)
{
    int64_t end[MAX_DIMS];
    box_position(all, first, out->lo);
    box_position(all, last, end);
    out->n_dims = all->n_dims;
    bool whole = false; /* past the first dimension that the ends differ in */
    for (int d = 0; d < out->n_dims; d++) {
        if (whole) out->lo[d] = all->lo[d];
        out->hi[d] = whole ? all->hi[d] : end[d] + 1;
        whole = whole || out->lo[d] != end[d];
    }
}

bool op_reach(const struct op *op, int i, const struct box *want, struct box *out)
{
    const struct plan *p = op->plan;
    if (box_empty(want)) return false;
    switch (p->kind) {
    case P_RESHAPE:
        if (!reshape_reach(op, want, out)) return false;
        break;
    case P_FILL:
    case P_FILTER:
    case P_MAP:
        *out = *want;
        break;
    case P_SLICE:
    case P_REBASE:
    case P_TRANSPOSE: {
        struct shape s;
        shape_of(p, &s);
        shape_reach(&s, want, out);
        break;
    }
    case P_HASH_JOIN:
        if (!hash_join_reach(op, i, want, out)) return false;
        break;
    case P_ASOF_JOIN:
        if (i != 0) return false;
        *out = *want;
        break;
    case P_REGRID:
        if (!regrid_reach(op, want, out)) return false;
        break;
    case P_FFT:
        if (!fft_reach(op, want, out)) return false;
        break;
    case P_JOIN:
        join_side_box(p, i, want, out);
        break;
    case P_WINDOW_CELLS:
        return window_reach(op, want, out);
    default:
        return false;
    }
    return box_intersect(out, &op->in[i]->box, out);
}

int op_reaches(const struct op *op, const struct box *want, struct reach *out)
{
    int n = 0;
    if (op->plan->kind == P_FETCH) return fetch_reaches(op, want, out, NULL);
    if (op->plan->kind == P_STACK) return stack_reaches(op, want, out);
    if (op->plan->kind == P_MATMUL) return matmul_reaches(op, want, out);
    for (int i = 0; i < op->n_in && n < REACH_MAX; i++) {
        out[n].input = i;
        if (op_reach(op, i, want, &out[n].box)) n++;
    }
    return n;
}

/* ---- what it costs ---- */

double rel_cell_bytes(const struct rel *r)
{
    double bytes = 0.125;
    for (int i = 0; i < r->n_cols; i++)
        bytes += (double)type_bytes(r->cols[i].type) + 0.125;
    return bytes;
}

/* What the operator itself adds for a cell of its box. */
static double own_cell_bytes(const struct op *op)
{
    const struct plan *p = op->plan;
    double bytes = 0.25;
    switch (p->kind) {
    case P_FILTER:
    case P_SLICE:
        return bytes;
    case P_REGRID: /* sums of doubles */
        return bytes + 8 + 24.0 * p->rel.n_cols;
    case P_MAP:
        for (int i = 0; i < p->n_exprs; i++)
            if (p->exprs[i]->kind != E_COL) bytes += (double)type_bytes(p->exprs[i]->type) + 0.125;
        return bytes;
    case P_HASH_JOIN: /* keys, their hash, where they were found */
    case P_ASOF_JOIN:
        return bytes + rel_cell_bytes(&p->rel) + 8.0 * (6 + 2 * p->n_join_keys);
    case P_LINALG: /* in doubles, turned round */
        return bytes + rel_cell_bytes(&p->rel) + 16;
    default:
        return bytes + rel_cell_bytes(&p->rel);
    }
}

/* A box as large as `box` at the start of what the input has. */
static struct box like(const struct op *in, const struct box *box)
{
    struct box b = in->box;
    for (int d = 0; d < b.n_dims; d++)
        if (box_extent(box, d) < box_extent(&b, d)) b.hi[d] = b.lo[d] + box_extent(box, d);
    return b;
}

static double cost(const struct op *op, const struct box *box)
{
    double bytes = (double)box_cells(box) * (own_cell_bytes(op) + op->text_bytes), most = 0;
    if (op->plan->kind == P_WINDOW_CELLS) bytes += window_bytes(op, box);
    bool passes = op->plan->kind == P_LIMIT || op->plan->kind == P_CONCAT;
    struct reach r[REACH_MAX];
    int n = op_reaches(op, box, r);
    for (int i = 0; i < n; i++) {
        if (op->plan->kind == P_REGRID) r[i].box.hi[0] = r[i].box.lo[0] + regrid_slab(&r[i].box);
        if (op->plan->kind == P_WINDOW_CELLS) window_most(op, box, &r[i].box);
        bytes += cost(op->in[r[i].input], &r[i].box);
    }
    if (op->plan->kind == P_FETCH) bytes += fetch_cost(op, box);
    if (op->plan->kind == P_RESHAPE) bytes += reshape_cost(op, box);
    if (op->plan->kind == P_MATMUL) bytes += matmul_bytes(op, box);
    for (int i = 0; passes && i < op->n_in; i++) {
        if (op->in[i]->box.n_dims != box->n_dims) continue;
        struct box in = like(op->in[i], box);
        double part = cost(op->in[i], &in);
        if (part > most) most = part;
    }
    return bytes + most;
}

int64_t op_bytes(const struct op *op, const struct box *box)
{
    double bytes = cost(op, box);
    return bytes < (double)(INT64_MAX / 4) ? (int64_t)bytes : INT64_MAX / 4;
}

/* Cells of the tiles that the box touches, where they have any. */
static double touched_cells(const struct op *op, const struct box *box)
{
    double cells = 1;
    for (int d = 0; d < box->n_dims; d++) {
        const struct rel_dim *dim = &op->plan->rel.dims[d];
        int64_t tile = dim->tile > 0 ? dim->tile : 1;
        int64_t lo = tile_of(box->lo[d], tile) * tile,
                hi = (tile_of(box->hi[d] - 1, tile) + 1) * tile;
        if (dim->axis && lo < dim->axis->lo) lo = dim->axis->lo;
        if (dim->axis && hi > dim->axis->hi) hi = dim->axis->hi;
        cells *= (double)(hi - lo > 1 ? hi - lo : 1);
    }
    return cells;
}

int64_t op_stored_bytes(const struct op *op, const struct box *box)
{
    if (op->plan->kind == P_SCAN) {
        double bytes = touched_cells(op, box) * rel_cell_bytes(&op->plan->rel);
        return bytes < (double)(INT64_MAX / 4) ? (int64_t)bytes : INT64_MAX / 4;
    }
    int64_t bytes = 0;
    struct reach r[REACH_MAX];
    int n = op_reaches(op, box, r);
    for (int i = 0; i < n; i++) {
        bytes += op_stored_bytes(op->in[r[i].input], &r[i].box);
        if (bytes > INT64_MAX / 4) return INT64_MAX / 4;
    }
    return bytes;
}

void op_read_ahead(struct ctx *c, const struct op *op, const struct box *box)
{
    if (op->plan->kind == P_SCAN) {
        scan_read_ahead(c, op, box);
        return;
    }
    struct reach r[REACH_MAX];
    int n = op_reaches(op, box, r);
    for (int i = 0; i < n; i++)
        op_read_ahead(c, op->in[r[i].input], &r[i].box);
}

/* ---- grids ---- */

void box_in_region(struct op *op)
{
    for (int d = 0; d < op->box.n_dims; d++) {
        const struct rel_dim *dim = &op->plan->rel.dims[d];
        if (!dim->axis || dim->hi == ROWS_UNKNOWN) continue;
        if (op->box.lo[d] < dim->lo) op->box.lo[d] = dim->lo;
        if (op->box.hi[d] > dim->hi) op->box.hi[d] = dim->hi;
        if (op->box.hi[d] < op->box.lo[d]) op->box.hi[d] = op->box.lo[d];
    }
}

int64_t grid_halve(int64_t extent)
{
    static const int64_t factors[] = {2, 3, 5, 7};
    for (int i = 0; i < 4; i++)
        if (extent % factors[i] == 0) return extent / factors[i];
    return (extent + 1) / 2;
}

int64_t grid_whole(const struct box *b, int d)
{
    int64_t most = b->hi[d] > -b->lo[d] ? b->hi[d] : -b->lo[d];
    return most > 1 ? most : 1;
}

void grid_long(const struct box *b, int64_t cells, int64_t *grid)
{
    for (int d = b->n_dims - 1; d >= 0; d--) {
        int64_t extent = box_extent(b, d);
        grid[d] = extent <= 2 * cells ? grid_whole(b, d) : cells;
        cells /= extent > 1 ? extent : 1;
        if (cells < 1) cells = 1;
    }
}

int64_t grid_cells(const struct op *op)
{
    int64_t cells = 1;
    for (int d = 0; d < op->box.n_dims; d++) {
        int64_t extent = box_extent(&op->box, d);
        if (op->grid[d] < extent) extent = op->grid[d];
        if (__builtin_mul_overflow(cells, extent, &cells)) return INT64_MAX;
    }
    return cells;
}

/* ---- strides ---- */

static bool on_stride(const struct rel_dim *d, int64_t pos)
{
    return d->stride <= 1 || (pos - d->lo) % d->stride == 0;
}

/* The bits of one row along the last dimension; false when every cell of it exists. */
static bool row_pattern(const struct rel *rel, const struct box *b, uint64_t *bits)
{
    int last = b->n_dims - 1;
    int64_t stride = rel->dims[last].stride, n = box_extent(b, last);
    if (stride <= 1) return false;
    memset(bits, 0, (size_t)bits_words(n) * 8);
    int64_t off = (b->lo[last] - rel->dims[last].lo) % stride;
    for (int64_t i = off ? stride - off : 0; i < n; i += stride)
        bit_set(bits, i);
    return true;
}

enum status chunk_mask_strides(struct ctx *c, const struct rel *rel, struct chunk *ch)
{
    const struct box *b = &ch->box;
    bool strided = false;
    for (int d = 0; d < b->n_dims; d++)
        strided |= rel->dims[d].stride > 1;
    if (!strided || ch->n_present == 0) return OK;
    int last = b->n_dims - 1;
    int64_t row = box_extent(b, last);
    void *mask_memory, *pattern;
    size_t bytes = (size_t)bits_words(ch->n) * 8;
    TRY(scratch_alloc(c, bytes, &mask_memory));
    TRY(scratch_alloc(c, (size_t)bits_words(row) * 8, &pattern));
    uint64_t *mask = mask_memory;
    memset(mask, 0, bytes);
    bool in_row = row_pattern(rel, b, pattern);
    int64_t pos[MAX_DIMS];
    for (int64_t at = 0; at < ch->n; at += row) {
        box_position(b, at, pos);
        bool on = true;
        for (int d = 0; d < last; d++)
            on = on && on_stride(&rel->dims[d], pos[d]);
        if (!on) continue;
        if (in_row)
            bits_copy(mask, at, pattern, 0, row);
        else
            bits_fill(mask, at, row, true);
    }
    if (ch->present) bits_and(mask, ch->present, ch->n);
    ch->present = mask;
    ch->n_present = bits_count(mask, 0, ch->n);
    return OK;
}

bool scan_has_tiles(const struct plan *scan)
{
    const struct schema *schema = array_schema(scan->array);
    if (schema->n_dims != scan->rel.n_dims) return false;
    for (int d = 0; d < scan->rel.n_dims; d++) {
        const struct labels *labels = schema->dims[d].axis.labels;
        if (scan->rel.dims[d].stride > 1 || (labels && labels->stored)) return false;
    }
    return true;
}
