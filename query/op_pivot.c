/* Rows with key columns become an array over the keys: integers make a regular axis from least to
 * greatest, other keys a labelled one in order of value.
 *
 * Rows are sorted by tile of the result and cell in the tile, so that a box reads only the rows of
 * its tiles. */
#include "query/agg_internal.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "storage/base/strbuf.h"
#include <stdlib.h>

#define TILE_CELLS 16384
#define READ_ROWS 4096

struct pivot {
    int n_dims;
    int64_t extents[MAX_DIMS]; /* of tiles */
    struct box tiles;
    struct rowset *rows; /* values, tile, cell in the tile */
    int64_t *starts;     /* first row of each tile, and the end */
};

/* ---- axes ---- */

static enum status null_key(struct ctx *c, const struct op *op, int d)
{
    const char *name = op->plan->rel.dims[d].name;
    return fail_at(c, ERR_NOT_NULL, op->plan->pos, "a cell's coordinate \"%s\" is NULL",
                   name ? name : "");
}

static enum status labelled(struct ctx *c, const struct op *op, int d, enum type t,
                            struct rowset *sorted, struct axis *axis)
{
    int64_t n = rowset_rows(sorted);
    struct labels *l = arena_new_of(c->arena, struct labels);
    char *values = arena_alloc(c->arena, (size_t)n * type_bytes(t) + 1);
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column col;
        int first = 0;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(rowset_read(c, sorted, lo, hi, &first, 1, &col));
        if (col.valid && !bits_all(col.valid, 0, hi - lo)) return null_key(c, op, d);
        memcpy(values + (size_t)lo * type_bytes(t), col.values, (size_t)(hi - lo) * type_bytes(t));
        for (int64_t i = lo; type_is_varlen(t) && i < hi; i++) {
            struct text *x = (struct text *)values + i;
            x->s = arena_strndup(c->arena, x->s, (size_t)x->len);
        }
        scratch_release(c->scratch, mark);
    }
    *l = (struct labels){.n = n, .values = values};
    *axis = (struct axis){.type = t, .kind = AXIS_LABELLED, .hi = n, .limit_hi = n, .labels = l};
    return OK;
}

/* Least and greatest integer; the least is the greater when there is none. */
static enum status key_range(struct ctx *c, const struct op *op, int d, const struct rowset *rows,
                             int64_t *least, int64_t *most)
{
    int64_t n = rowset_rows(rows);
    *least = INT64_MAX;
    *most = INT64_MIN;
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column col;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(rowset_read(c, rows, lo, hi, &d, 1, &col));
        if (col.valid && !bits_all(col.valid, 0, hi - lo)) return null_key(c, op, d);
        for (int64_t i = 0; i < hi - lo; i++) {
            struct value v = value_get(col.type, col.values, i);
            if (v.type == T_UINT64 && v.u > INT64_MAX)
                return fail_at(c, ERR_OUT_OF_BOUNDS, op->plan->pos,
                               "coordinate %llu is too large for an axis", (unsigned long long)v.u);
            if (v.i < *least) *least = v.i;
            if (v.i > *most) *most = v.i;
        }
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status distinct_keys(struct ctx *c, const struct op *op, int d,
                                 const struct rowset *rows, struct rowset **out)
{
    enum type t = rowset_type(rows, d);
    struct hashagg *seen;
    TRY(hashagg_new(c, &t, 1, NULL, 1, memory_share(c, 4), exec_tmp_dir(op->exec), &seen));
    enum status st = OK;
    int64_t n = rowset_rows(rows);
    for (int64_t lo = 0; lo < n && st == OK; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column col;
        struct scratch_mark mark = scratch_mark(c->scratch);
        st = rowset_read(c, rows, lo, hi, &d, 1, &col);
        if (st == OK) st = hashagg_add(c, seen, 0, &col, NULL, NULL, hi - lo);
        scratch_release(c->scratch, mark);
    }
    if (st == OK) st = hashagg_finish(c, seen, out);
    hashagg_free(seen);
    return st;
}

/* Of coordinates whose axis is known before they are. */
static enum status check_nulls(struct ctx *c, const struct op *op, int d, const struct rowset *rows)
{
    int64_t n = rowset_rows(rows);
    for (int64_t lo = 0; lo < n && rowset_has_nulls(rows, d); lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column col;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(rowset_read(c, rows, lo, hi, &d, 1, &col));
        if (col.valid && !bits_all(col.valid, 0, hi - lo)) return null_key(c, op, d);
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status make_axis(struct ctx *c, const struct op *op, int d, const struct rowset *rows,
                             struct axis *out)
{
    enum type t = rowset_type(rows, d);
    if (type_is_integer(t)) {
        int64_t least, most, n;
        TRY(key_range(c, op, d, rows, &least, &most));
        if (least > most) least = most = 0;
        if (__builtin_sub_overflow(most, least, &n) || n == INT64_MAX)
            return fail_at(c, ERR_LIMIT_EXCEEDED, op->plan->pos,
                           "coordinates from %lld to %lld are too far apart for an axis",
                           (long long)least, (long long)most);
        n = rowset_rows(rows) ? n + 1 : 0;
        *out = (struct axis){
            .type = t, .kind = AXIS_REGULAR, .hi = n, .limit_hi = n, .origin = least, .step = 1};
        return OK;
    }
    struct rowset *sorted;
    TRY(distinct_keys(c, op, d, rows, &sorted));
    enum status st = labelled(c, op, d, t, sorted, out);
    rowset_free(sorted);
    return st;
}

/* ---- cells ---- */

/* Long in the last dimensions, as results are asked for. */
static void choose_tiles(struct op *op, struct pivot *s)
{
    int64_t cells = TILE_CELLS;
    for (int d = s->n_dims - 1; d >= 0; d--) {
        int64_t n = box_extent(&op->box, d);
        s->extents[d] = n < cells ? (n > 0 ? n : 1) : cells;
        cells = cells / s->extents[d];
        if (cells < 1) cells = 1;
        op->grid[d] = s->extents[d];
    }
    box_tiles(&op->box, s->extents, &s->tiles);
}

/* Tile and cell in it of n rows; keys are the first columns. */
static enum status place_rows(struct ctx *c, const struct op *op, const struct pivot *s,
                              const struct column *keys, int64_t n, int64_t *tile, int64_t *cell)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)n * sizeof(int64_t), &mem));
    int64_t *pos = mem;
    TRY(scratch_alloc(c, (size_t)n, &mem));
    uint8_t *found = mem;
    memset(tile, 0, (size_t)n * sizeof *tile);
    memset(cell, 0, (size_t)n * sizeof *cell);
    for (int d = 0; d < s->n_dims; d++) {
        axis_find_many(op->plan->rel.dims[d].axis, keys[d].values, n, pos, found);
        for (int64_t i = 0; i < n; i++) {
            if (!found[i]) /* NaN is no coordinate */
                return fail_at(c, ERR_OUT_OF_BOUNDS, op->plan->pos,
                               "a cell's coordinate \"%s\" is not on its axis",
                               op->plan->rel.dims[d].name ? op->plan->rel.dims[d].name : "");
            int64_t t = pos[i] / s->extents[d];
            tile[i] = tile[i] * box_extent(&s->tiles, d) + t;
            cell[i] = cell[i] * s->extents[d] + pos[i] % s->extents[d];
        }
    }
    return OK;
}

static enum status place_all(struct ctx *c, const struct op *op, const struct pivot *s,
                             const struct rowset *rows, struct rowset *placed)
{
    int n_in = rowset_columns(rows);
    int64_t n = rowset_rows(rows);
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *mem;
        TRY(check_cancel(c));
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_in + 2), &mem));
        struct column *cols = mem;
        TRY(rowset_read(c, rows, lo, hi, NULL, 0, cols));
        TRY(column_alloc(c, T_INT64, hi - lo, &cols[n_in]));
        TRY(column_alloc(c, T_INT64, hi - lo, &cols[n_in + 1]));
        TRY(place_rows(c, op, s, cols, hi - lo, cols[n_in].values, cols[n_in + 1].values));
        TRY(rowset_append(c, placed, cols + s->n_dims, NULL, hi - lo));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status duplicate(struct ctx *c, const struct op *op, const struct pivot *s,
                             int64_t tile, int64_t cell)
{
    struct strbuf keys = STRBUF_INIT;
    struct box in_tile = {.n_dims = s->n_dims};
    memcpy(in_tile.hi, s->extents, sizeof in_tile.hi);
    int64_t at[MAX_DIMS], in[MAX_DIMS];
    box_position(&s->tiles, tile, at);
    box_position(&in_tile, cell, in);
    for (int d = 0; d < s->n_dims; d++) {
        const struct rel_dim *dim = &op->plan->rel.dims[d];
        struct value v = axis_coord(dim->axis, at[d] * s->extents[d] + in[d]);
        strbuf_addf(&keys, "%s%s = ", d ? ", " : "", dim->name ? dim->name : "row");
        value_format(&v, &keys);
    }
    fail_at(c, ERR_DUPLICATE_CELL, op->plan->pos, "two cells go to (%s)", keys.s ? keys.s : "");
    strbuf_release(&keys);
    return hint(c, "Put another dimension in brackets, or GROUP BY the ones that are and aggregate "
                   "the rest.");
}

/* Where each tile's rows start; no two rows are of one cell. */
static enum status index_tiles(struct ctx *c, const struct op *op, struct pivot *s)
{
    int64_t n = rowset_rows(s->rows), n_tiles = box_cells(&s->tiles), next = 0;
    int64_t last_tile = -1, last_cell = -1;
    const int which[2] = {rowset_columns(s->rows) - 2, rowset_columns(s->rows) - 1};
    if (n_tiles > (INT64_C(1) << 40))
        return fail_at(c, ERR_LIMIT_EXCEEDED, op->plan->pos,
                       "the coordinates span too many cells for an array");
    void *mem;
    TRY(buf_alloc(c, (size_t)(n_tiles + 1) * sizeof(int64_t), &mem));
    s->starts = mem;
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column cols[2];
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(rowset_read(c, s->rows, lo, hi, which, 2, cols));
        const int64_t *tile = cols[0].values, *cell = cols[1].values;
        for (int64_t i = 0; i < hi - lo; i++) {
            if (tile[i] == last_tile && cell[i] == last_cell)
                return duplicate(c, op, s, tile[i], cell[i]);
            last_tile = tile[i];
            last_cell = cell[i];
            while (next <= tile[i])
                s->starts[next++] = lo + i;
        }
        scratch_release(c->scratch, mark);
    }
    while (next <= n_tiles)
        s->starts[next++] = n;
    return OK;
}

static enum status place(struct ctx *c, struct op *op, struct pivot *s, const struct rowset *rows)
{
    int n_values = rowset_columns(rows) - s->n_dims;
    enum type *types = arena_array(c->arena, enum type, n_values + 2);
    struct rowset *placed;
    for (int i = 0; i < n_values; i++)
        types[i] = rowset_type(rows, s->n_dims + i);
    types[n_values] = types[n_values + 1] = T_INT64;
    TRY(rowset_new(c, types, n_values + 2, exec_tmp_dir(op->exec), &placed));
    struct rowset_key keys[2] = {{.column = n_values}, {.column = n_values + 1}};
    enum status st = place_all(c, op, s, rows, placed);
    if (st == OK) st = rowset_sort(c, placed, keys, 2, -1, &s->rows);
    rowset_free(placed);
    TRY(st);
    return index_tiles(c, op, s);
}

static enum status pivot_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct pivot *s = arena_new_of(c->arena, struct pivot);
    struct rowset *rows;
    op->state = s;
    s->n_dims = p->rel.n_dims;
    TRY(rowset_gather(c, op->in[0], 0, -1, exec_tmp_dir(op->exec), &rows));
    enum status st = OK;
    op->box = (struct box){.n_dims = s->n_dims};
    for (int d = 0; d < s->n_dims && st == OK; d++) {
        bool known = p->rel.dims[d].hi != ROWS_UNKNOWN;
        st = known ? check_nulls(c, op, d, rows) : make_axis(c, op, d, rows, &p->axes[d]);
        if (st == OK) op->box.hi[d] = p->axes[d].hi;
    }
    if (st == OK) choose_tiles(op, s);
    if (st == OK) st = place(c, op, s, rows);
    rowset_free(rows);
    return st;
}

static void pivot_close(struct op *op)
{
    struct pivot *s = op->state;
    if (!s) return;
    rowset_free(s->rows);
    buf_free(s->starts);
    s->rows = NULL;
    s->starts = NULL;
}

/* ---- serving ---- */

static void put_value(struct column *to, int64_t at, const struct column *from, int64_t i)
{
    size_t width = type_bytes(to->type);
    memcpy((char *)to->values + (size_t)at * width, (const char *)from->values + (size_t)i * width,
           width);
    if (to->valid) bit_put(to->valid, at, !column_is_null(from, i));
}

/* Rows [lo, hi) of one tile into the chunk, where they lie in it. */
static enum status put_rows(struct ctx *c, const struct pivot *s, const int64_t *tile, int64_t lo,
                            int64_t hi, struct chunk *out)
{
    int n = rowset_columns(s->rows);
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)n, &mem));
    struct column *cols = mem;
    TRY(rowset_read(c, s->rows, lo, hi, NULL, 0, cols));
    for (int k = 0; k < out->n_cols; k++)
        if (cols[k].valid) TRY(column_need_valid(c, &out->cols[k], out->n));
    const int64_t *cell = cols[n - 1].values;
    struct box in_tile = {.n_dims = s->n_dims};
    for (int d = 0; d < s->n_dims; d++) {
        in_tile.lo[d] = tile[d] * s->extents[d];
        in_tile.hi[d] = in_tile.lo[d] + s->extents[d];
    }
    for (int64_t i = 0; i < hi - lo; i++) {
        int64_t pos[MAX_DIMS];
        bool inside = true;
        box_position(&in_tile, cell[i], pos);
        for (int d = 0; d < s->n_dims; d++)
            inside &= pos[d] >= out->box.lo[d] && pos[d] < out->box.hi[d];
        if (!inside) continue;
        int64_t at = box_index(&out->box, pos);
        bit_set(out->present, at);
        out->n_present++;
        for (int k = 0; k < out->n_cols; k++)
            put_value(&out->cols[k], at, &cols[k], i);
    }
    return OK;
}

static enum status pivot_produce(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    const struct pivot *s = op->state;
    struct chunk ch;
    struct box tiles;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    bits_fill(ch.present, 0, ch.n, false);
    ch.n_present = 0;
    box_tiles(want, s->extents, &tiles);
    for (int64_t i = 0, n = box_cells(&tiles); i < n; i++) {
        int64_t tile[MAX_DIMS];
        box_position(&tiles, i, tile);
        int64_t t = box_index(&s->tiles, tile);
        for (int64_t lo = s->starts[t]; lo < s->starts[t + 1]; lo += READ_ROWS) {
            int64_t hi = lo + READ_ROWS < s->starts[t + 1] ? lo + READ_ROWS : s->starts[t + 1];
            TRY(put_rows(c, s, tile, lo, hi, &ch));
        }
    }
    *out = ch;
    return OK;
}

const struct op_class op_pivot_class = {"pivot", pivot_open, pivot_produce, pivot_close};
