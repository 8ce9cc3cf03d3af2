/* Which cells of a product are made together, and from which panels of its inputs?
 *
 * Units of the result and steps of the sum are fixed by the shapes alone, since OpenBLAS gives a
 * cell other bits in another matrix. A box that is asked for is of several units where there is
 * memory for it: then each panel is read once for all of them. */
#include "query/matmul.h"
#include "query/reach.h"
#include "storage/base/pool.h"
#include <string.h>

#define GOOD_ROWS 1024 /* of a unit */
#define GOOD_COLS 512
#define GOOD_GRAM 512 /* a unit on the diagonal is square */
#define LEAST_SIDE 128
#define LEAST_UNITS 8
#define GOOD_BATCH (16 * 1024)     /* cells of a unit's small matrices */
#define GOOD_BOX (2 * 1024 * 1024) /* cells */
#define GOOD_BOXES 4               /* a worker: they end at about the same time */
#define LEAST_INNER 384            /* what OpenBLAS's kernels for AVX-512 sum up at a time */
#define GOOD_PANEL (128 * 1024)    /* cells */

/* ---- dimensions ---- */

static void note_parts(const struct op *op, struct matmul *m)
{
    const struct plan *p = op->plan;
    for (int side = 0; side < 2; side++)
        join_sources(m->pairs, side, m->side[side].from, m->side[side].pair);
    for (int d = 0; d < m->pairs->rel.n_dims; d++)
        m->part[d] = PART_INNER;
    bool left[MAX_DIMS] = {false}, right[MAX_DIMS] = {false};
    for (int r = 0; r < p->in[0]->rel.n_dims; r++)
        left[m->side[0].from[r]] = true;
    for (int r = 0; r < p->in[1]->rel.n_dims; r++)
        right[m->side[1].from[r]] = true;
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        int d = p->dim_of[i];
        m->part[d] = left[d] && right[d] ? PART_BATCH : left[d] ? PART_ROWS : PART_COLS;
    }
}

/* Adds an input's dimensions of a part: those of the result in its order, summed ones in the
 * pair's. */
static void add_part(const struct op *op, const struct matmul *m, struct matmul_side *s, int k,
                     enum matmul_part part)
{
    const struct plan *p = op->plan;
    int dims[MAX_DIMS], n = 0;
    for (int i = p->split > 0; i < p->rel.n_dims; i++)
        dims[n++] = p->dim_of[i];
    if (part == PART_INNER) n = 0;
    for (int d = 0; d < m->pairs->rel.n_dims && part == PART_INNER; d++)
        dims[n++] = d;
    for (int i = 0; i < n; i++) {
        if (m->part[dims[i]] != part) continue;
        for (int r = 0; r < p->in[s->input]->rel.n_dims; r++)
            if (s->from[r] == dims[i]) {
                s->dim[s->n++] = r;
                s->n_part[k]++;
            }
    }
}

static void order_sides(const struct op *op, struct matmul *m)
{
    struct matmul_side *l = &m->side[0], *r = &m->side[1];
    if (m->symmetric) *l = *r;
    r->input = 1;
    l->input = m->symmetric;
    add_part(op, m, l, 0, PART_BATCH);
    add_part(op, m, l, 1, m->symmetric ? PART_COLS : PART_ROWS);
    add_part(op, m, l, 2, PART_INNER);
    add_part(op, m, r, 0, PART_BATCH);
    add_part(op, m, r, 1, PART_INNER);
    add_part(op, m, r, 2, PART_COLS);
}

/* Where both sides have positions; labelled pairs: all that the left has. */
static void common_box(const struct op *op, struct matmul *m)
{
    m->all.n_dims = m->pairs->rel.n_dims;
    for (int r = 0; r < op->in[0]->box.n_dims; r++) {
        int d = m->side[0].from[r];
        m->all.lo[d] = op->in[0]->box.lo[r];
        m->all.hi[d] = op->in[0]->box.hi[r];
    }
    for (int r = 0; r < op->in[1]->box.n_dims; r++) {
        int d = m->side[1].from[r];
        const struct join_dim *pair = m->side[1].pair[r];
        const struct box *b = &op->in[1]->box;
        if (pair && pair->map) continue;
        int64_t lo = b->lo[r] - (pair ? pair->shift : 0), hi = b->hi[r] - (pair ? pair->shift : 0);
        if (!pair || m->all.lo[d] < lo) m->all.lo[d] = lo;
        if (!pair || m->all.hi[d] > hi) m->all.hi[d] = hi;
        if (m->all.hi[d] < m->all.lo[d]) m->all.hi[d] = m->all.lo[d];
    }
}

static enum matmul_part part_of(const struct op *op, const struct matmul *m, int i)
{
    int d = op->plan->dim_of[i];
    return d < 0 ? PART_BATCH : m->part[d];
}

/* The result's dimensions of a part. */
static int dims_of(const struct op *op, const struct matmul *m, enum matmul_part part, int *dims)
{
    int n = 0;
    for (int i = 0; i < op->plan->rel.n_dims; i++)
        if (part_of(op, m, i) == part) dims[n++] = i;
    return n;
}

/* Mates, and whether they have the same positions. */
static bool find_mates(const struct op *op, struct matmul *m)
{
    int rows[MAX_DIMS], cols[MAX_DIMS], n = dims_of(op, m, PART_ROWS, rows);
    bool same = n == dims_of(op, m, PART_COLS, cols);
    for (int k = 0; k < n && same; k++) {
        m->mate[rows[k]] = cols[k];
        m->mate[cols[k]] = rows[k];
        same = op->box.lo[rows[k]] == op->box.lo[cols[k]] &&
               op->box.hi[rows[k]] == op->box.hi[cols[k]];
    }
    return same;
}

/* ---- steps ---- */

static int64_t part_cells(const struct matmul *m, enum matmul_part part)
{
    int64_t n = 1;
    for (int d = 0; d < m->all.n_dims; d++)
        if (m->part[d] == part && __builtin_mul_overflow(n, box_extent(&m->all, d), &n))
            return INT64_MAX;
    return n;
}

int64_t matmul_sum(const struct matmul *m)
{
    return part_cells(m, PART_INNER);
}

/* A panel's extents, from the whole's alone: so many cells of the summed dimensions that both
 * panels together have a good size: large enough for a call, and near enough to stay in the
 * processor's cache until they are multiplied. */
static void choose_steps(struct matmul *m)
{
    int64_t rows = part_cells(m, PART_ROWS), cols = part_cells(m, PART_COLS);
    rows = rows < GOOD_ROWS ? rows : GOOD_ROWS;
    cols = cols < GOOD_COLS ? cols : GOOD_COLS;
    int64_t cells = LEAST_INNER;
    while (cells * (rows + cols + 1) < GOOD_PANEL)
        cells *= 2;
    for (int d = m->all.n_dims - 1; d >= 0; d--) {
        int64_t extent = box_extent(&m->all, d);
        if (m->part[d] != PART_INNER) continue;
        m->step[d] = extent <= cells ? (extent > 1 ? extent : 1) : cells;
        cells /= m->step[d];
        if (cells < 1) cells = 1;
    }
}

/* ---- units ---- */

static void halve_unit(struct matmul *m, int i, int64_t *n)
{
    m->unit[i] = (m->unit[i] + 1) / 2;
    *n *= 2;
}

/* Units of GOOD_ROWS × GOOD_COLS, smaller ones where they would be too few for workers; of several
 * small matrices. */
static void choose_units(const struct op *op, struct matmul *m)
{
    int64_t left[2] = {GOOD_ROWS, GOOD_COLS}, n = 1, cells = 1;
    int n_dims = op->plan->rel.n_dims;
    if (m->symmetric) left[0] = left[1] = GOOD_GRAM;
    for (int i = n_dims - 1; i >= 0; i--) {
        enum matmul_part part = part_of(op, m, i);
        int64_t extent = box_extent(&op->box, i), *of = &left[part == PART_COLS], batch;
        m->unit[i] = 1;
        if (part != PART_BATCH) {
            m->unit[i] = extent < *of ? grid_whole(&op->box, i) : *of;
            *of = extent > 0 && *of / extent > 1 ? *of / extent : 1;
            cells *= m->unit[i];
        } else if (op->plan->dim_of[i] >= 0 && (batch = GOOD_BATCH / (cells ? cells : 1)) > 1) {
            m->unit[i] = extent < batch ? grid_whole(&op->box, i) : batch;
            cells *= m->unit[i];
        }
        if (__builtin_mul_overflow(n, (extent + m->unit[i] - 1) / m->unit[i], &n)) n = INT64_MAX;
    }
    for (int i = 0; i < n_dims; i++) {
        bool both = m->symmetric && part_of(op, m, i) != PART_BATCH;
        if (both && m->mate[i] < i) continue;
        while (n < LEAST_UNITS && m->unit[i] >= 2 * LEAST_SIDE) {
            halve_unit(m, i, &n);
            if (both) halve_unit(m, m->mate[i], &n);
        }
    }
}

/* ---- boxes ---- */

/* The dimension of a part along which a box may be of several units: the innermost that units cut.
 * -1: there is none. */
static int grows_along(const struct op *op, const struct matmul *m, enum matmul_part part)
{
    int dims[MAX_DIMS], n = dims_of(op, m, part, dims), k = n - 1;
    while (k >= 0 && m->unit[dims[k]] >= box_extent(&op->box, dims[k]))
        k--;
    for (int i = 0; i < k; i++)
        if (m->unit[dims[i]] > 1) return -1;
    return k >= 0 ? dims[k] : -1;
}

/* Does a side's chunk always hold its matrices as such? Else a unit is gathered at a time. */
static bool lies_as_matrix(const struct matmul_side *s)
{
    for (int r = 0; r < s->n; r++)
        if (s->pair[r] && s->pair[r]->map) return false;
    for (int k = 0, i = 0; k < 3; k++)
        for (int j = 0; j < s->n_part[k]; j++, i++)
            if (j && s->dim[i] != s->dim[i - 1] + 1) return false;
    int rows = s->n_part[0] + s->n_part[1];
    return s->n == 0 || (s->n_part[1] && s->dim[rows - 1] == s->n - 1) ||
           (s->n_part[2] && s->dim[s->n - 1] == s->n - 1);
}

/* Boxes as large as leaves every worker some; the driver makes them smaller if they don't fit. */
static void choose_boxes(struct ctx *c, struct op *op, const struct matmul *m)
{
    int along[2] = {grows_along(op, m, PART_ROWS), grows_along(op, m, PART_COLS)};
    int64_t n = 1, cells = 1, side[2] = {1, 1};
    for (int i = 0; i < op->plan->rel.n_dims; i++) {
        enum matmul_part part = part_of(op, m, i);
        op->grid[i] = m->unit[i];
        cells *= m->unit[i];
        if (part != PART_BATCH) side[part == PART_COLS] *= m->unit[i];
        int64_t units = (box_extent(&op->box, i) + m->unit[i] - 1) / m->unit[i];
        if (__builtin_mul_overflow(n, units, &n)) n = INT64_MAX;
    }
    if (!lies_as_matrix(&m->side[0]) || !lies_as_matrix(&m->side[1])) return;
    int times = m->symmetric ? 4 : 2;
    while (cells * times <= GOOD_BOX && n / times >= (int64_t)GOOD_BOXES * pool_width(c)) {
        int k = along[0] < 0 || (along[1] >= 0 && side[1] < side[0]);
        if (along[k] < 0 || (m->symmetric && along[!k] < 0)) return;
        for (int j = 0; j < 2; j++) {
            if (j != k && !m->symmetric) continue;
            op->grid[along[j]] *= 2;
            side[j] *= 2;
        }
        cells *= times;
        n /= times;
    }
}

void matmul_shape(struct ctx *c, struct op *op, struct matmul *m)
{
    const struct plan *p = op->plan;
    m->pairs = p->pairs;
    m->type = p->in[0]->rel.cols[0].type;
    m->routine = matmul_routine(p);
    note_parts(op, m);
    common_box(op, m);
    for (int i = p->split > 0; i < p->rel.n_dims; i++) {
        op->box.lo[i] = m->all.lo[p->dim_of[i]];
        op->box.hi[i] = m->all.hi[p->dim_of[i]];
    }
    box_in_region(op);
    m->symmetric = m->routine == RUNS_SYRK && find_mates(op, m);
    order_sides(op, m);
    m->vector = part_cells(m, PART_ROWS) == 1 || part_cells(m, PART_COLS) == 1;
    choose_steps(m);
    choose_units(op, m);
    choose_boxes(c, op, m);
}

/* ---- asked for ---- */

void matmul_unit(const struct op *op, const int64_t *pos, struct box *out)
{
    const struct matmul *m = op->state;
    *out = op->box;
    for (int i = 0; i < out->n_dims; i++) {
        int64_t lo = tile_of(pos[i], m->unit[i]) * m->unit[i];
        if (lo > out->lo[i]) out->lo[i] = lo;
        if (lo + m->unit[i] < out->hi[i]) out->hi[i] = lo + m->unit[i];
    }
}

bool matmul_next_unit(const struct box *want, const struct box *unit, int64_t *pos)
{
    for (int i = want->n_dims - 1; i >= 0; i--) {
        pos[i] = unit->hi[i];
        if (pos[i] < want->hi[i]) return true;
        pos[i] = want->lo[i];
    }
    return false;
}

bool matmul_is_whole(const struct op *op, const struct box *want)
{
    const struct matmul *m = op->state;
    bool inside[3] = {false, false, false}; /* of a part: past the first that a unit is long in */
    for (int i = 0; i < want->n_dims; i++) {
        enum matmul_part part = part_of(op, m, i);
        bool *in = &inside[part == PART_BATCH ? 0 : part == PART_ROWS ? 1 : 2];
        int64_t lo = want->lo[i], hi = want->hi[i], unit = m->unit[i];
        if (lo != op->box.lo[i] && tile_of(lo, unit) * unit != lo) return false;
        if (hi != op->box.hi[i] && tile_of(hi, unit) * unit != hi) return false;
        bool one = tile_of(lo, unit) == tile_of(hi - 1, unit);
        if ((*in || part == PART_BATCH) && !one) return false;
        *in = *in || unit > 1;
    }
    return !m->symmetric || matmul_triangle(op, want) < 2;
}

int matmul_triangle(const struct op *op, const struct box *want)
{
    const struct matmul *m = op->state;
    if (!m->symmetric) return 1;
    for (int i = 0; i < want->n_dims; i++) {
        int k = m->mate[i];
        if (part_of(op, m, i) != PART_ROWS) continue;
        if (want->hi[i] <= want->lo[k]) return 1;
        if (want->lo[i] >= want->hi[k]) return -1;
        if (want->lo[i] != want->lo[k] || want->hi[i] != want->hi[k]) return 2;
        bool one = tile_of(want->lo[i], m->unit[i]) == tile_of(want->hi[i] - 1, m->unit[i]);
        if (one) continue;
        for (int j = i + 1; j < want->n_dims; j++)
            if (part_of(op, m, j) == PART_ROWS &&
                (want->lo[j] != want->lo[m->mate[j]] || want->hi[j] != want->hi[m->mate[j]]))
                return 2;
    }
    return 0;
}

void matmul_turned(const struct op *op, const struct box *want, struct box *out)
{
    const struct matmul *m = op->state;
    *out = *want;
    for (int i = 0; i < want->n_dims; i++) {
        if (part_of(op, m, i) == PART_BATCH) continue;
        out->lo[i] = want->lo[m->mate[i]];
        out->hi[i] = want->hi[m->mate[i]];
    }
}

/* ---- panels ---- */

void matmul_side_panel(const struct op *op, int side, const struct box *panel, struct box *out)
{
    const struct matmul *m = op->state;
    *out = *panel;
    for (int i = 0; i < op->plan->rel.n_dims && m->symmetric && side == 0; i++) {
        if (part_of(op, m, i) != PART_ROWS) continue;
        int d = op->plan->dim_of[i], mate = op->plan->dim_of[m->mate[i]];
        out->lo[mate] = panel->lo[d];
        out->hi[mate] = panel->hi[d];
    }
}

void matmul_pair_box(const struct op *op, const struct box *want, struct box *out)
{
    const struct matmul *m = op->state;
    const struct plan *p = op->plan;
    *out = m->all;
    if (p->split) {
        int d = p->split_dim;
        int64_t first = p->pairs->rel.dims[d].lo;
        int64_t lo = first + want->lo[0] * p->split, hi = first + want->hi[0] * p->split;
        if (out->lo[d] < lo) out->lo[d] = lo;
        if (out->hi[d] > hi) out->hi[d] = hi;
        if (out->hi[d] < out->lo[d]) out->hi[d] = out->lo[d];
    }
    for (int i = p->split > 0; i < want->n_dims; i++) {
        out->lo[p->dim_of[i]] = want->lo[i];
        out->hi[p->dim_of[i]] = want->hi[i];
    }
}

bool matmul_first_panel(const struct matmul *m, const struct box *whole, struct box *out)
{
    *out = *whole;
    for (int d = 0; d < m->all.n_dims; d++)
        if (m->part[d] == PART_INNER && box_extent(whole, d) > m->step[d])
            out->hi[d] = out->lo[d] + m->step[d];
    return !box_empty(whole);
}

bool matmul_next_panel(const struct matmul *m, const struct box *whole, struct box *at)
{
    for (int d = m->all.n_dims - 1; d >= 0; d--) {
        if (m->part[d] != PART_INNER) continue;
        bool more = at->hi[d] < whole->hi[d];
        at->lo[d] = more ? at->hi[d] : whole->lo[d];
        at->hi[d] = at->lo[d] + m->step[d];
        if (at->hi[d] > whole->hi[d]) at->hi[d] = whole->hi[d];
        if (more) return true;
    }
    return false;
}
