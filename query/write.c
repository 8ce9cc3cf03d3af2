/* From a query's chunks to an array's cells: the sink that INSERT, UPDATE, DELETE and CREATE ARRAY
 * AS end in.
 *
 * Two ways in. When the result's dimensions are the target's, in order, and line up by a constant
 * shift, a chunk is handed over as a dense box (whole tiles go straight to the codec). Otherwise
 * each cell's coordinates are looked up. */
#include "query/write.h"
#include <string.h>

struct write_sink {
    struct sink sink;
    const struct write_job *job;
    struct writer *writer;
    bool dense;
    int64_t shift[MAX_DIMS]; /* target position minus the result's, when dense */
    atomic_int_least64_t n_cells;
    int64_t next_row; /* numbered: the next row's position */
};

/* ---- does the dense way hold? ---- */

/* Looks up the region's labels and tells whether their positions in the target follow each other.
 */
static enum status labels_line_up(struct ctx *c, struct writer *w, int d,
                                  const struct rel_dim *from, int64_t *shift, bool *ok)
{
    int64_t n = from->hi - from->lo;
    struct column coords;
    void *mem;
    TRY(column_alloc(c, from->axis->type, n, &coords));
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)n, &mem));
    int64_t *pos = mem;
    axis_coords(from->axis, from->lo, n, 1, coords.values);
    TRY(writer_positions(c, w, d, &coords, n, pos));
    *shift = pos[0] - from->lo;
    *ok = true;
    for (int64_t i = 0; i < n; i++)
        *ok = *ok && pos[i] == pos[0] + i;
    return OK;
}

/* Do positions of the target follow each other as those of the result do, over its whole region,
 * and does the region lie within what the target may hold? */
static enum status line_up(struct ctx *c, struct writer *w, const struct rel_dim *from, int d,
                           int64_t *shift, bool *ok)
{
    const struct axis *to = &writer_schema(w)->dims[d].axis;
    int64_t n = from->hi - from->lo, *map = NULL;
    *ok = false;
    if (from->stride != 1 || n <= 0 || from->axis->type != to->type || from->axis->kind != to->kind)
        return OK;
    struct ctx quiet = *c;
    ctx_clear(&quiet);
    if (axis_align(&quiet, from->axis, "", to, "", shift, &map) < 0) return OK;
    if (to->kind == AXIS_REGULAR) {
        int64_t least = to->grows ? to->limit_lo : to->lo, most = to->grows ? to->limit_hi : to->hi;
        *ok = from->lo + *shift >= least && from->hi + *shift <= most;
        return OK;
    }
    for (int64_t i = 0; i < n; i++)
        if (map && map[from->lo - from->axis->lo + i] < 0) return OK;
    return labels_line_up(c, w, d, from, shift, ok);
}

static enum status choose_way(struct ctx *c, struct write_sink *s)
{
    const struct query *q = s->job->query;
    const struct rel *rel = &q->root->rel;
    const struct schema *target = writer_schema(s->writer);
    s->dense = false;
    if (s->job->numbered || rel->n_dims != target->n_dims) return OK;
    for (int d = 0; d < rel->n_dims; d++)
        if (!q->outs[d].is_dim || q->outs[d].index != d || !rel->dims[d].axis ||
            rel->dims[d].hi == ROWS_UNKNOWN)
            return OK;
    for (int d = 0; d < rel->n_dims; d++) {
        bool ok;
        TRY(line_up(c, s->writer, &rel->dims[d], d, &s->shift[d], &ok));
        if (!ok) return OK;
    }
    s->dense = true;
    return OK;
}

/* ---- the two ways ---- */

static enum status put_dense(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                             int64_t *n)
{
    const struct query *q = s->job->query;
    int n_dims = ch->box.n_dims, n_attrs = q->n_outs - n_dims;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_attrs + 1), &mem));
    struct column *cols = mem;
    for (int k = 0; k < n_attrs; k++) {
        const struct out_col *o = &q->outs[n_dims + k];
        if (o->is_dim) {
            TRY(column_alloc(c, o->type, ch->n, &cols[k]));
            chunk_coords(ch, o->index, ch->rel->dims[o->index].axis, cols[k].values);
        } else {
            cols[k] = ch->cols[o->index];
        }
    }
    struct box box = ch->box;
    for (int d = 0; d < n_dims; d++) {
        box.lo[d] += s->shift[d];
        box.hi[d] += s->shift[d];
    }
    return writer_put_box(c, s->writer, &box, cols, ch->present, n);
}

/* Drops the cells that do not exist, so that columns are rows. */
static enum status compact(struct ctx *c, const struct chunk *ch, struct column *cols, int n_cols)
{
    if (!ch->present || ch->n_present == ch->n) return OK;
    for (int k = 0; k < n_cols; k++) {
        struct column to;
        size_t w = type_bytes(cols[k].type);
        TRY(column_alloc(c, cols[k].type, ch->n_present, &to));
        if (cols[k].valid) TRY(column_need_valid(c, &to, ch->n_present));
        int64_t at = 0;
        for (int64_t i = bits_next(ch->present, 0, ch->n); i < ch->n;
             i = bits_next(ch->present, i + 1, ch->n), at++) {
            memcpy((char *)to.values + (size_t)at * w, (const char *)cols[k].values + (size_t)i * w,
                   w);
            if (to.valid) bit_put(to.valid, at, bit_get(cols[k].valid, i));
        }
        cols[k] = to;
    }
    return OK;
}

static enum status refuse_null_coords(struct ctx *c, const struct schema *target,
                                      const struct column *cols, int64_t n)
{
    for (int d = 0; d < target->n_dims; d++)
        if (cols[d].valid && !bits_all(cols[d].valid, 0, n))
            return fail(c, ERR_NOT_NULL, "null value in dimension \"%s\" of array \"%s\"",
                        target->dims[d].name, target->name);
    return OK;
}

enum status write_rows(struct ctx *c, struct writer *w, int64_t *next_row,
                       const struct column *cols, int64_t rows, int64_t *n)
{
    const struct schema *target = writer_schema(w);
    int n_dims = next_row ? 0 : target->n_dims;
    int64_t *pos[MAX_DIMS];
    for (int d = 0; d < target->n_dims; d++) {
        void *mem;
        TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)rows, &mem));
        pos[d] = mem;
    }
    if (next_row) {
        struct column numbers;
        TRY(column_alloc(c, T_INT64, rows, &numbers));
        for (int64_t i = 0; i < rows; i++)
            ((int64_t *)numbers.values)[i] = *next_row + i;
        *next_row += rows;
        TRY(writer_positions(c, w, 0, &numbers, rows, pos[0]));
    } else {
        TRY(refuse_null_coords(c, target, cols, rows));
    }
    for (int d = 0; d < n_dims; d++)
        TRY(writer_positions(c, w, d, &cols[d], rows, pos[d]));
    return writer_put_cells(c, w, rows, pos, cols + n_dims, n);
}

static enum status put_cells(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                             int64_t *n)
{
    int n_outs = s->job->query->n_outs;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_outs + 1), &mem));
    struct column *cols = mem;
    TRY(output_columns(c, s->job->query, ch, cols));
    TRY(compact(c, ch, cols, n_outs));
    return write_rows(c, s->writer, s->job->numbered ? &s->next_row : NULL, cols, ch->n_present, n);
}

static enum status write_chunk(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                               const struct chunk *ch)
{
    struct write_sink *s = (struct write_sink *)sink;
    int64_t n = 0;
    (void)worker, (void)seq;
    if (ch->n_present == 0) return OK;
    TRY(s->dense ? put_dense(c, s, ch, &n) : put_cells(c, s, ch, &n));
    atomic_fetch_add(&s->n_cells, n);
    return OK;
}

/* Labels join in the order of rows, so those must come in order; so must numbered rows. */
static bool needs_order(const struct write_sink *s)
{
    if (s->job->numbered) return true;
    const struct schema *target = writer_schema(s->writer);
    for (int d = 0; d < target->n_dims && !s->dense; d++)
        if (target->dims[d].axis.kind == AXIS_LABELLED && target->dims[d].axis.grows) return true;
    return false;
}

static enum status run_sink(struct ctx *c, struct write_sink *s, struct exec *x)
{
    if (s->job->numbered) s->next_row = writer_schema(s->writer)->dims[0].axis.hi;
    TRY(choose_way(c, s));
    s->sink.ordered = needs_order(s);
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    return writer_finish(c, s->writer);
}

enum status write_query(struct ctx *c, struct exec *x, const struct write_job *j, int64_t *n_cells)
{
    struct write_sink s = {.sink = {.consume = write_chunk}, .job = j};
    TRY(writer_open(c, exec_txn(x), j->target, j->mode, j->attrs, j->n_attrs, &s.writer));
    enum status st = run_sink(c, &s, x);
    writer_free(s.writer);
    if (st == OK) *n_cells = atomic_load(&s.n_cells);
    return st;
}
