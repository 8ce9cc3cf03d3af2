/* Values at other cells, v[…]: for each cell of the input, what the source has at another place.
 *
 * Where a place moves with the cell (a stencil's neighbour, the same day a year ago, one fixed day)
 * a box of the input needs one box of the source, from which columns are gathered; boxes that
 * nearly coincide are asked for as one. Which position each position of a dimension leads to is
 * found once, in open(). Where a place is computed cell by cell (v[i => idx]) the cells are picked,
 * each of the source's boxes that they lie in once (pick.c). */
#include "query/bind_internal.h"
#include "query/fetch_place.h"
#include "query/gather.h"
#include "query/op_classes.h"
#include "query/pick.h"
#include "query/reach.h"

#define MAP_MAX (INT64_C(1) << 22) /* longer dimensions are looked up cell by cell */
#define MAP_SPREAD 4               /* a box's image may be so many times as long */
#define EVAL_CELLS 16384
#define PICKED_CELLS (1 << 20)
#define CLOSE_CELLS 1024 /* boxes so close are one, whatever lies between */

enum how { BY_SHIFT, BY_MAP, FIXED, BY_CELL };

struct place_dim {
    enum how how;
    int dim;       /* BY_SHIFT, BY_MAP: of the input */
    int64_t shift; /* BY_SHIFT, BY_CELL; FIXED: the position itself, or PICK_NONE */
    int64_t *map;  /* BY_MAP: by position from the input's lo; a buffer */
    int output;    /* BY_CELL: of the program */
};

struct place {
    bool by_cell; /* some dimension is */
    struct place_dim dims[MAX_DIMS];
    struct program *program; /* the BY_CELL dimensions' expressions */
    int n_outputs;
};

struct fetch {
    struct op *source;
    int n_dims; /* the source's */
    struct place *places;
    int64_t pick_grid[MAX_DIMS];
};

/* ---- where things stand ---- */

struct depends {
    bool dims[MAX_DIMS], columns;
    int n;
};

static bool note_dependence(const struct expr *e, void *self)
{
    struct depends *d = self;
    if (e->kind == E_COL) d->columns = true;
    if (e->kind != E_DIM && e->kind != E_POS) return true;
    d->n += !d->dims[e->index];
    d->dims[e->index] = true;
    return true;
}

bool fetch_depends_on(const struct expr *e, int *dim)
{
    struct depends d = {.n = 0};
    expr_walk(e, note_dependence, &d);
    *dim = -1;
    for (int i = 0; i < MAX_DIMS; i++)
        if (d.dims[i]) *dim = i;
    return !d.columns && d.n <= 1 && !expr_is_random(e);
}

static enum status compile(struct ctx *c, const struct op *op, struct expr **es, int n,
                           struct program **out)
{
    return program_compile(c, es, n, &op->plan->in[0]->rel, exec_env(op->exec), out);
}

static enum status look_up(struct ctx *c, const struct op *op, int d, const struct fetch_dim *x,
                           const struct column *col, int64_t n, int64_t *out)
{
    const struct fetch *f = op->state;
    const struct axis *axis = f->source->plan->rel.dims[d].axis;
    return fetch_place(c, axis, x->by_position, x->shift, col, n, out);
}

/* The positions that n positions of dimension `dim` from lo lead to. */
static enum status places_from(struct ctx *c, const struct op *op, int d, const struct fetch_dim *x,
                               const struct program *p, int dim, int64_t lo, int64_t n,
                               int64_t *out)
{
    enum status st = OK;
    for (int64_t at = 0; st == OK && at < n; at += EVAL_CELLS) {
        int64_t part = n - at < EVAL_CELLS ? n - at : EVAL_CELLS;
        struct scratch_mark m = scratch_mark(c->scratch);
        struct column col;
        st = eval_on_dim(c, p, &op->plan->in[0]->rel, dim, lo + at, part, &col);
        if (st == OK) st = look_up(c, op, d, x, &col, part, out + at);
        scratch_release(c->scratch, m);
        if (st == OK) st = check_cancel(c);
    }
    return st;
}

/* A map that moves every position by the same number is none. */
static bool is_shift(const int64_t *map, int64_t lo, int64_t n, int64_t *shift)
{
    if (n == 0 || map[0] == PICK_NONE) return false;
    *shift = map[0] - lo;
    for (int64_t i = 1; i < n; i++)
        if (map[i] == PICK_NONE || map[i] - lo - i != *shift) return false;
    return true;
}

/* Do positions that lie together lead to ones that do? */
static bool is_local(const int64_t *map, int64_t lo, int64_t n, int64_t grid)
{
    for (int64_t i = 0, end; i < n; i = end) {
        int64_t least = INT64_MAX, most = INT64_MIN;
        end = (tile_of(lo + i, grid) + 1) * grid - lo;
        if (end > n) end = n;
        for (int64_t k = i; k < end; k++) {
            if (map[k] == PICK_NONE) continue;
            if (map[k] < least) least = map[k];
            if (map[k] > most) most = map[k];
        }
        if (least < most && (most - least) / MAP_SPREAD > end - i + 16) return false;
    }
    return true;
}

static enum status make_map(struct ctx *c, struct op *op, int d, const struct fetch_dim *x,
                            const struct program *p, struct place_dim *out)
{
    int64_t lo = op->box.lo[out->dim], n = box_extent(&op->box, out->dim);
    void *memory;
    if (n > MAP_MAX) return OK;
    TRY(buf_alloc(c, sizeof(int64_t) * (size_t)(n + 1), &memory));
    enum status st = places_from(c, op, d, x, p, out->dim, lo, n, memory);
    if (st == OK && is_shift(memory, lo, n, &out->shift)) {
        out->how = BY_SHIFT;
    } else if (st == OK && is_local(memory, lo, n, op->grid[out->dim])) {
        out->how = BY_MAP;
        out->map = memory;
        return OK;
    }
    buf_free(memory);
    return st;
}

/* An expression of one dimension, or of none, is worked out now; unless it fails, which only cells
 * that exist may make it do. */
static enum status work_out(struct ctx *c, struct op *op, int d, const struct fetch_dim *x,
                            struct place_dim *out)
{
    struct program *p;
    struct expr *e = x->e;
    *out = (struct place_dim){.how = BY_CELL, .shift = x->shift};
    if (!fetch_depends_on(e, &out->dim)) return OK;
    struct ctx quiet = *c;
    ctx_clear(&quiet);
    enum status st = compile(&quiet, op, &e, 1, &p);
    if (st == OK && out->dim < 0) {
        int64_t at;
        st = places_from(&quiet, op, d, x, p, 0, op->box.n_dims ? op->box.lo[0] : 0, 1, &at);
        if (st == OK) *out = (struct place_dim){.how = FIXED, .shift = at};
    } else if (st == OK) {
        st = make_map(&quiet, op, d, x, p, out);
    }
    if (st == OK || !strncmp(status_sqlstate(st), "22", 2)) return OK;
    c->err = quiet.err;
    return st;
}

static enum status open_place(struct ctx *c, struct op *op, const struct fetch_point *point,
                              struct place *out)
{
    const struct fetch *f = op->state;
    struct expr **es = arena_array(c->arena, struct expr *, f->n_dims + 1);
    for (int d = 0; d < f->n_dims; d++) {
        const struct fetch_dim *x = &point->dims[d];
        struct place_dim *to = &out->dims[d];
        if (!x->e)
            *to = (struct place_dim){.how = BY_SHIFT, .dim = x->dim, .shift = x->shift};
        else
            TRY(work_out(c, op, d, x, to));
        if (to->how != BY_CELL) continue;
        out->by_cell = true;
        to->output = out->n_outputs;
        es[out->n_outputs++] = x->e;
    }
    return out->by_cell ? compile(c, op, es, out->n_outputs, &out->program) : OK;
}

/* Cells picked together share what is read for them, so boxes are as large as memory lets them. */
static void widen_grid(struct op *op)
{
    int64_t cells = box_cells(&op->box);
    for (int d = op->box.n_dims - 1; d >= 0; d--)
        while (op->grid[d] < box_extent(&op->box, d) && grid_cells(op) <= PICKED_CELLS / 2 &&
               grid_cells(op) <= cells / 16)
            op->grid[d] *= 2;
}

static enum status fetch_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct fetch *f = arena_new_of(c->arena, struct fetch);
    op->state = f;
    f->source = op->in[op->n_in - 1];
    f->n_dims = f->source->box.n_dims;
    f->places = arena_array(c->arena, struct place, p->n_points + 1);
    op->box = op->in[0]->box;
    for (int d = 0; d < op->box.n_dims; d++)
        op->grid[d] = op->in[0]->grid[d];
    box_in_region(op);
    pick_grid(f->source, f->pick_grid);
    for (int i = 0; i < p->n_points; i++)
        TRY(open_place(c, op, &p->points[i], &f->places[i]));
    for (int i = 0; i < p->n_points; i++)
        if (f->places[i].by_cell) widen_grid(op);
    return OK;
}

static void fetch_close(struct op *op)
{
    struct fetch *f = op->state;
    for (int i = 0; f && f->places && i < op->plan->n_points; i++)
        for (int d = 0; d < MAX_DIMS; d++)
            buf_free(f->places[i].dims[d].map);
}

/* ---- which boxes ---- */

/* Positions that [lo, hi) of a dimension leads to; false: none. */
static bool image(const struct op *op, const struct place_dim *x, const struct box *want,
                  int64_t *lo, int64_t *hi)
{
    if (x->how == FIXED) {
        *lo = x->shift;
        *hi = x->shift + 1;
        return x->shift != PICK_NONE;
    }
    if (x->how == BY_SHIFT) {
        *lo = want->lo[x->dim] + x->shift;
        *hi = want->hi[x->dim] + x->shift;
        return true;
    }
    *lo = INT64_MAX;
    *hi = INT64_MIN;
    for (int64_t at = want->lo[x->dim]; at < want->hi[x->dim]; at++) {
        int64_t to = x->map[at - op->box.lo[x->dim]];
        if (to == PICK_NONE) continue;
        if (to < *lo) *lo = to;
        if (to >= *hi) *hi = to + 1;
    }
    return *hi > *lo;
}

static bool place_box(const struct op *op, const struct place *p, const struct box *want,
                      struct box *out)
{
    const struct fetch *f = op->state;
    out->n_dims = f->n_dims;
    for (int d = 0; d < f->n_dims; d++)
        if (!image(op, &p->dims[d], want, &out->lo[d], &out->hi[d])) return false;
    return box_intersect(out, &f->source->box, out);
}

/* Adds a box of the source to those from `first` on; returns which one it is part of. */
static int add_reach(struct reach *r, int first, int *n, int input, const struct box *box)
{
    int best = -1;
    double least = 0;
    for (int i = first; i < *n; i++) {
        struct box h;
        box_hull(&r[i].box, box, &h);
        double more = (double)box_cells(&h) - (double)box_cells(&r[i].box);
        if (best >= 0 && more >= least) continue;
        best = i;
        least = more;
    }
    if (best >= 0 && (*n == REACH_MAX || least <= (double)box_cells(box) + CLOSE_CELLS)) {
        box_hull(&r[best].box, box, &r[best].box);
        return best;
    }
    r[*n] = (struct reach){input, *box};
    return (*n)++;
}

int fetch_reaches(const struct op *op, const struct box *want, struct reach *out, int *of)
{
    const struct fetch *f = op->state;
    int n = 1, source = op->n_in - 1;
    out[0] = (struct reach){0, *want};
    if (box_empty(want)) return 0;
    for (int i = 0; i < op->plan->n_points; i++) {
        struct box b;
        int at = -1;
        if (!f->places[i].by_cell && place_box(op, &f->places[i], want, &b))
            at = add_reach(out, source, &n, source, &b);
        if (of) of[i] = at;
    }
    return n;
}

double fetch_cost(const struct op *op, const struct box *want)
{
    const struct fetch *f = op->state;
    double bytes = 0, cells = (double)box_cells(want);
    struct box b = f->source->box;
    for (int d = 0; d < b.n_dims; d++)
        if (f->pick_grid[d] < box_extent(&b, d)) b.hi[d] = b.lo[d] + f->pick_grid[d];
    for (int i = 0; i < op->plan->n_points; i++)
        if (f->places[i].by_cell)
            bytes += cells * (40 + 24 * f->n_dims) + (double)op_bytes(f->source, &b);
    return bytes;
}

/* ---- columns ---- */

/* The loops that take a place's values out of a chunk of the source; *partial: some cells of `want`
 * have none there, *none: all. */
static enum status place_loops(struct ctx *c, const struct op *op, const struct place *p,
                               const struct box *from, const struct box *want, struct gather *g,
                               bool *partial, bool *none)
{
    const struct fetch *f = op->state;
    struct box part = *want;
    int64_t stride[MAX_DIMS];
    *partial = false;
    for (int d = 0; d < f->n_dims; d++) {
        const struct place_dim *x = &p->dims[d];
        if (x->how != BY_SHIFT) continue;
        int64_t lo = from->lo[d] - x->shift, hi = from->hi[d] - x->shift;
        if (lo > part.lo[x->dim]) part.lo[x->dim] = lo;
        if (hi < part.hi[x->dim]) part.hi[x->dim] = hi;
    }
    box_strides(from, stride);
    *partial = !box_equal(&part, want);
    *none = box_empty(&part);
    if (*none) return OK;
    gather_into(g, want, &part);
    for (int d = 0; d < f->n_dims; d++) {
        const struct place_dim *x = &p->dims[d];
        if (x->how == BY_SHIFT) {
            g->src_stride[x->dim] += stride[d];
            g->src_start += (part.lo[x->dim] + x->shift - from->lo[d]) * stride[d];
        } else if (x->how == FIXED) {
            g->src_start += (x->shift - from->lo[d]) * stride[d];
        }
    }
    for (int d = 0; d < f->n_dims; d++) {
        const struct place_dim *x = &p->dims[d];
        if (x->how != BY_MAP) continue;
        int64_t n = box_extent(&part, x->dim);
        const int64_t *before = g->index[x->dim];
        void *memory;
        TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(n + 1), &memory));
        int64_t *index = memory;
        for (int64_t i = 0; i < n; i++) {
            int64_t at = x->map[part.lo[x->dim] + i - op->box.lo[x->dim]];
            int64_t base = before ? before[i] : i * g->src_stride[x->dim];
            bool some = at >= from->lo[d] && at < from->hi[d] && base >= 0; /* not PICK_NONE */
            index[i] = some ? base + (at - from->lo[d]) * stride[d] : -1;
            *partial |= !some;
        }
        g->index[x->dim] = index;
    }
    return OK;
}

static enum status take_columns(struct ctx *c, const struct op *op, int point,
                                const struct chunk *from, const struct box *want,
                                struct column *out)
{
    const struct fetch *f = op->state;
    const struct plan *p = op->plan;
    int64_t n = box_cells(want);
    struct gather g;
    bool partial, none;
    TRY(place_loops(c, op, &f->places[point], &from->box, want, &g, &partial, &none));
    if (!none) gather_simplify(&g);
    for (int k = 0; k < p->n_fetched; k++) {
        if (p->fetched[k].point != point) continue;
        const struct column *src = &from->cols[p->fetched[k].col];
        bool nulls = partial || from->present || src->valid;
        if (nulls)
            TRY(column_nulls(c, src->type, n, &out[k]));
        else
            TRY(column_alloc(c, src->type, n, &out[k]));
        if (none) continue;
        gather_values(&g, out[k].values, src->values, type_bytes(src->type));
        if (!nulls) continue;
        gather_bits(&g, out[k].valid, from->present);
        if (!src->valid) continue;
        void *valid;
        TRY(scratch_zeroed(c, (size_t)bits_words(n) * 8, &valid));
        gather_bits(&g, valid, src->valid);
        bits_and(out[k].valid, valid, n);
    }
    return OK;
}

/* ---- cell by cell ---- */

/* Where the place's dimension d lies for each cell of `own`. */
static enum status positions(struct ctx *c, const struct op *op, int point, int d,
                             const struct chunk *own, const struct column *outputs, int64_t *pos)
{
    const struct fetch *f = op->state;
    const struct place_dim *x = &f->places[point].dims[d];
    if (x->how == BY_CELL)
        return look_up(c, op, d, &op->plan->points[point].dims[d], &outputs[x->output], own->n,
                       pos);
    if (x->how == FIXED) {
        for (int64_t i = 0; i < own->n; i++)
            pos[i] = x->shift;
        return OK;
    }
    chunk_coords(own, x->dim, NULL, pos);
    for (int64_t i = 0; i < own->n; i++)
        pos[i] = x->how == BY_MAP ? x->map[pos[i] - op->box.lo[x->dim]] : pos[i] + x->shift;
    return OK;
}

static enum status pick_columns(struct ctx *c, const struct op *op, int point,
                                const struct chunk *own, struct column *out)
{
    const struct fetch *f = op->state;
    const struct plan *p = op->plan;
    const struct place *place = &f->places[point];
    struct picks picks = {.n = own->n};
    void *memory, *cols_memory;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)place->n_outputs, &memory));
    struct column *outputs = memory;
    TRY(program_run(c, place->program, own, outputs));
    for (int d = 0; d < f->n_dims; d++) {
        TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)own->n, &memory));
        picks.pos[d] = memory;
        TRY(positions(c, op, point, d, own, outputs, picks.pos[d]));
    }
    for (int64_t i = 0; own->present && i < own->n; i++)
        if (!bit_get(own->present, i)) picks.pos[0][i] = PICK_NONE;
    TRY(scratch_alloc(c, sizeof(int) * (size_t)p->n_fetched, &memory));
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)p->n_fetched, &cols_memory));
    int *from = memory, n = 0;
    struct column *cols = cols_memory;
    for (int k = 0; k < p->n_fetched; k++) {
        if (p->fetched[k].point != point) continue;
        TRY(column_nulls(c, p->rel.cols[own->n_cols + k].type, own->n, &out[k]));
        cols[n] = out[k];
        from[n++] = p->fetched[k].col;
    }
    return pick_cells(c, f->source, f->pick_grid, &picks, from, n, cols, NULL);
}

/* ---- producing ---- */

static enum status fetch_columns(struct ctx *c, struct op *op, const struct chunk *own,
                                 struct chunk *from, const struct reach *reach, int n_reach,
                                 const int *of, struct column *out)
{
    const struct plan *p = op->plan;
    const struct fetch *f = op->state;
    for (int r = 1; r < n_reach; r++)
        TRY(op_produce(c, f->source, &reach[r].box, &from[r]));
    for (int i = 0; i < p->n_points; i++) {
        if (f->places[i].by_cell) {
            TRY(pick_columns(c, op, i, own, out));
        } else if (of[i] >= 0 && from[of[i]].n_present) {
            TRY(take_columns(c, op, i, &from[of[i]], &own->box, out));
        } else {
            for (int k = 0; k < p->n_fetched; k++)
                if (p->fetched[k].point == i)
                    TRY(column_nulls(c, p->rel.cols[own->n_cols + k].type, own->n, &out[k]));
        }
    }
    return OK;
}

static enum status fetch_produce(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    const struct plan *p = op->plan;
    struct reach reach[REACH_MAX];
    struct chunk from[REACH_MAX], own;
    void *of, *memory;
    chunk_empty(&p->rel, want, out);
    TRY(scratch_alloc(c, sizeof(int) * (size_t)(p->n_points + 1), &of));
    int n = fetch_reaches(op, want, reach, of);
    TRY(op_produce(c, op->in[0], &reach[0].box, &from[0]));
    TRY(chunk_cut(c, &from[0], want, &own));
    if (own.n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(p->rel.n_cols + 1), &memory));
    struct column *cols = memory;
    memcpy(cols, own.cols, sizeof *cols * (size_t)own.n_cols);
    TRY(fetch_columns(c, op, &own, from, reach, n, of, cols + own.n_cols));
    own.cols = cols;
    own.n_cols = p->rel.n_cols;
    own.rel = &p->rel;
    *out = own;
    return OK;
}

const struct op_class op_fetch_class = {"fetch", fetch_open, fetch_produce, fetch_close};
