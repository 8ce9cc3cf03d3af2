/* How does a join that finds at most one row for a cell go box by box? */
#include "query/join_stream.h"
#include "query/gather.h"
#include "query/reach.h"
#include <string.h>

#define GOOD_CELLS (INT64_C(1) << 16) /* of a box */
#define MOST_CELLS (INT64_C(1) << 22)
#define AHEAD 8

static struct op *asking(const struct join_stream *s)
{
    return s->m->side[!s->m->build].in;
}

/* ---- rows and boxes ---- */

/* A good number of rows: those of the cells that one row of tiles has, where these aren't many. */
static int64_t good_rows(const struct op *in, int64_t *pad)
{
    int64_t extent[MAX_DIMS], strides[MAX_DIMS], rows = 1;
    *pad = 0;
    box_strides(&in->box, strides);
    for (int d = 0; d < in->box.n_dims; d++) {
        extent[d] = box_extent(&in->box, d);
        int64_t grid = in->grid[d] < extent[d] ? in->grid[d] : extent[d];
        bool last = d == in->box.n_dims - 1;
        if (!last && grid > MOST_CELLS / strides[d]) continue;
        rows = grid * strides[d];
        if (d == 0 && grid == in->grid[0])
            *pad = (in->box.lo[0] - tile_of(in->box.lo[0], grid) * grid) * strides[0];
        break;
    }
    return rows < GOOD_CELLS ? rows * ((GOOD_CELLS + rows - 1) / rows) : rows;
}

bool join_stream_open(struct op *op, struct join_stream *s)
{
    const struct op *in = asking(s);
    int64_t n = box_cells(&in->box);
    if (n > INT64_MAX / 4) return false;
    op->box = (struct box){.n_dims = 1, .hi = {n}};
    op->grid[0] = GOOD_CELLS;
    s->pad = 0;
    if (n) op->grid[0] = good_rows(in, &s->pad);
    op->box.hi[0] += s->pad;
    return true;
}

/* The largest box of `all` whose cells are the first of the run [lo, hi); returns how many. */
static int64_t first_box(const struct box *all, int64_t lo, int64_t hi, struct box *out)
{
    int64_t strides[MAX_DIMS], pos[MAX_DIMS];
    int n = all->n_dims, d = 0;
    box_strides(all, strides);
    box_position(all, lo, pos);
    while (d < n - 1 && (lo % strides[d] || hi - lo < strides[d]))
        d++;
    *out = *all;
    for (int k = 0; k < d; k++) {
        out->lo[k] = pos[k];
        out->hi[k] = pos[k] + 1;
    }
    if (n == 0) return 1;
    int64_t k = (hi - lo) / strides[d];
    out->lo[d] = pos[d];
    if (k < out->hi[d] - pos[d]) out->hi[d] = pos[d] + k;
    return (out->hi[d] - pos[d]) * strides[d];
}

/* Cells [*lo, *hi) of the rows wanted. */
static void cells_wanted(const struct join_stream *s, const struct box *want, int64_t *lo,
                         int64_t *hi)
{
    *lo = want->lo[0] < s->pad ? 0 : want->lo[0] - s->pad;
    *hi = want->hi[0] < s->pad ? 0 : want->hi[0] - s->pad;
}

bool join_stream_reach(const struct join_stream *s, const struct box *want, struct box *out)
{
    int64_t lo, hi;
    cells_wanted(s, want, &lo, &hi);
    if (lo >= hi) return false;
    box_of_run(&asking(s)->box, lo, hi - 1, out);
    return true;
}

/* ---- matches ---- */

/* The row of the table for each cell, 0 where there is none; found: where there is one. */
static enum status find_rows(struct ctx *c, const struct join_stream *s, const struct side_rows *r,
                             int64_t n, int64_t *idx, uint64_t *found)
{
    const struct join_table *t = s->table;
    const struct join_side *probe = &s->m->side[!s->m->build];
    const uint64_t *hash = r->cols[probe->hash_col].values;
    memset(idx, 0, (size_t)n * sizeof *idx);
    bits_fill(found, 0, n, false);
    for (int64_t k = 0; k < r->n; k++) {
        int64_t i = r->rows[k];
        if (k + AHEAD < r->n && t->shift < 64)
            __builtin_prefetch(&t->slots[hash[r->rows[k + AHEAD]] >> t->shift]);
        uint32_t at = join_table_first(t, hash[i]);
        while (at && !join_table_equal(t, at - 1, probe, r->cols, i))
            at = t->next[at - 1];
        if (!at) continue;
        idx[i] = at - 1;
        bit_set(found, i);
    }
    return check_cancel(c);
}

/* A column of the pairs, for each of the chunk's cells. */
static enum status pair_column(struct ctx *c, const struct join_stream *s,
                               const struct side_rows *r, int side, int column, const int64_t *idx,
                               int64_t n, struct column *out)
{
    if (side == s->m->build) return column_take(c, &s->table->cols[column], idx, n, out);
    *out = r->cols[column];
    return OK;
}

/* All columns that the condition, or the result, looks at: the left's, the right's, and the left's
 * extra ones. */
static enum status pair_columns(struct ctx *c, const struct join_stream *s,
                                const struct side_rows *r, const int64_t *idx, int64_t n,
                                struct column **out)
{
    const struct join_side *sides = s->m->side;
    int n_left = sides[0].n_cols, n_cols = n_left + sides[1].n_cols, n_all = s->m->pair_rel.n_cols;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_all + 1), &mem));
    struct column *cols = mem;
    for (int i = 0; i < n_all; i++) {
        int side = i >= n_left && i < n_cols;
        int own = i < n_left ? i : i < n_cols ? i - n_left : i - sides[1].n_cols;
        TRY(pair_column(c, s, r, side, own, idx, n, &cols[i]));
    }
    *out = cols;
    return OK;
}

/* Leaves those in `found` for which the condition holds. */
static enum status look_at_found(struct ctx *c, const struct join_stream *s, struct column *cols,
                                 int64_t n, uint64_t *found)
{
    const struct rel *rel = &s->m->pair_rel;
    struct chunk ch = {.box = {.n_dims = 1, .hi = {n}},
                       .n = n,
                       .n_present = bits_count(found, 0, n),
                       .present = found,
                       .n_cols = rel->n_cols,
                       .cols = cols,
                       .rel = rel};
    return s->m->residual ? program_filter(c, s->m->residual, &ch) : OK;
}

/* The table is empty: the asking side's columns, and NULLs. */
static enum status columns_alone(struct ctx *c, const struct join_stream *s, struct chunk *out)
{
    const struct join_side *sides = s->m->side;
    int n = 0;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(out->n_cols + 1), &mem));
    struct column *cols = mem;
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < sides[side].n_cols; i++, n++) {
            cols[n] = (struct column){.type = sides[side].types[i]};
            if (side != s->m->build)
                cols[n] = out->cols[i];
            else
                TRY(column_nulls(c, cols[n].type, out->n, &cols[n]));
        }
    out->cols = cols;
    return OK;
}

/* Cells without a match come with NULLs in the table's columns. */
static enum status make_nulls(struct ctx *c, const struct join_stream *s, struct column *cols,
                              int64_t n, const uint64_t *found)
{
    int first = s->m->build ? s->m->side[0].n_cols : 0, n_cols = s->m->side[s->m->build].n_cols;
    for (int i = first; i < first + n_cols; i++) {
        TRY(column_need_valid(c, &cols[i], n));
        bits_and(cols[i].valid, found, n);
    }
    return OK;
}

/* ---- chunks ---- */

/* The result over a box of the asking side, as a chunk of that box. */
static enum status join_box(struct ctx *c, const struct op *op, const struct join_stream *s,
                            const struct box *box, struct chunk *out)
{
    struct matching *m = s->m;
    struct side_rows r;
    bool outer = m->outer[!m->build];
    void *mem;
    TRY(op_produce(c, asking(s), box, out));
    out->rel = &op->plan->rel;
    if (out->n_present == 0) return OK;
    TRY(join_side_rows(c, &m->side[!m->build], out, &r));
    TRY(scratch_alloc(c, (size_t)out->n * sizeof(int64_t), &mem));
    int64_t *idx = mem;
    TRY(scratch_alloc(c, (size_t)bits_words(out->n) * 8, &mem));
    uint64_t *found = mem;
    TRY(find_rows(c, s, &r, out->n, idx, found));
    bool none = bits_none(found, 0, out->n);
    out->n_cols = op->plan->rel.n_cols;
    if (none && !outer) {
        out->n_present = 0;
        return OK;
    }
    if (s->table->n == 0) return columns_alone(c, s, out);
    TRY(pair_columns(c, s, &r, idx, out->n, &out->cols));
    if (!none) TRY(look_at_found(c, s, out->cols, out->n, found));
    if (outer) return make_nulls(c, s, out->cols, out->n, found);
    out->present = found;
    out->n_present = bits_count(found, 0, out->n);
    return OK;
}

/* Cells [at, at + part->n) of the result. */
static enum status put_part(struct ctx *c, const struct chunk *part, int64_t at, struct chunk *to)
{
    to->n_present += part->n_present;
    if (part->n_present == 0) return OK;
    if (part->present)
        bits_copy(to->present, at, part->present, 0, part->n);
    else
        bits_fill(to->present, at, part->n, true);
    for (int i = 0; i < to->n_cols; i++) {
        struct column *col = &to->cols[i];
        const struct column *from = &part->cols[i];
        size_t width = type_bytes(col->type);
        memcpy((char *)col->values + (size_t)at * width, from->values, (size_t)part->n * width);
        if (!from->valid) continue;
        TRY(column_need_valid(c, col, to->n));
        bits_copy(col->valid, at, from->valid, 0, part->n);
    }
    return OK;
}

static enum status blank(struct ctx *c, const struct rel *rel, const struct box *box,
                         struct chunk *out)
{
    TRY(chunk_alloc(c, rel, box, out));
    for (int i = 0; i < out->n_cols; i++)
        memset(out->cols[i].values, 0, (size_t)out->n * type_bytes(out->cols[i].type));
    TRY(chunk_need_present(c, out));
    bits_fill(out->present, 0, out->n, false);
    out->n_present = 0;
    return OK;
}

enum status join_stream_produce(struct ctx *c, const struct op *op, const struct join_stream *s,
                                const struct box *want, struct chunk *out)
{
    const struct box *all = &asking(s)->box;
    int64_t lo, hi, n_rows = want->hi[0] - want->lo[0];
    struct box box;
    struct chunk part;
    cells_wanted(s, want, &lo, &hi);
    if (lo < hi && first_box(all, lo, hi, &box) == n_rows) {
        TRY(join_box(c, op, s, &box, out));
        out->box = *want;
        if (out->n_present == 0) chunk_empty(&op->plan->rel, want, out);
        return OK;
    }
    TRY(blank(c, &op->plan->rel, want, out));
    while (lo < hi) {
        int64_t n = first_box(all, lo, hi, &box);
        TRY(join_box(c, op, s, &box, &part));
        TRY(put_part(c, &part, lo + s->pad - want->lo[0], out));
        lo += n;
    }
    if (out->n_present == 0) chunk_empty(&op->plan->rel, want, out);
    return OK;
}
