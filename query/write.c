/* From a query's chunks to an array's cells: the sink that INSERT, UPDATE, DELETE and CREATE ARRAY
 * AS end in.
 *
 * Two ways in. When the result's dimensions are the target's, in order, and line up by a constant
 * shift, a chunk is handed over as a dense box (whole tiles go straight to the codec). Otherwise
 * each cell's coordinates are looked up. */
#include "query/write.h"
#include "query/gather.h"
#include "query/op_rowset.h"
#include <string.h>

struct write_sink {
    struct sink sink;
    const struct write_job *job;
    struct exec *exec;
    struct row_target to;
    bool dense;
    int64_t shift[MAX_DIMS]; /* target position minus the result's, when dense */
    int64_t tile[MAX_DIMS], tile_origin[MAX_DIMS];
    atomic_int_least64_t n_cells;
    struct rowset *returned; /* RETURNING's rows, of a change that does not hold them back */
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
    const struct schema *target = writer_schema(s->to.writer);
    s->dense = false;
    if (s->job->numbered || rel->n_dims != target->n_dims) return OK;
    if (s->job->change && s->job->change->repeats) return OK;
    for (int d = 0; d < rel->n_dims; d++)
        if (!q->outs[d].is_dim || q->outs[d].index != d || !rel->dims[d].axis ||
            rel->dims[d].hi == ROWS_UNKNOWN)
            return OK;
    for (int d = 0; d < rel->n_dims; d++) {
        bool ok;
        TRY(line_up(c, s->to.writer, &rel->dims[d], d, &s->shift[d], &ok));
        if (!ok) return OK;
        s->tile[d] = target->dims[d].tile;
        s->tile_origin[d] = -s->shift[d];
    }
    s->dense = true;
    s->sink.tile = s->tile;
    s->sink.tile_origin = s->tile_origin;
    s->sink.room_bytes = writer_room_bytes(s->to.writer);
    return OK;
}

/* ---- the two ways ---- */

/* The outputs after the first `skip`, over a chunk. */
static enum status output_attrs(struct ctx *c, const struct query *q, int skip,
                                const struct chunk *ch, struct column *cols)
{
    for (int k = skip; k < q->n_outs; k++) {
        const struct out_col *o = &q->outs[k];
        struct column *col = cols++;
        if (!o->is_dim) {
            *col = ch->cols[o->index];
            continue;
        }
        TRY(column_alloc(c, o->type, ch->n, col));
        chunk_coords(ch, o->index, ch->rel->dims[o->index].axis, col->values);
    }
    return OK;
}

/* What a change computes besides values: RETURNING's columns are kept, CHECKs must hold. */
static enum status after_values(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                                const struct column *cols)
{
    const struct bound_change *change = s->job->change;
    int64_t *rows;
    if (!change) return OK;
    TRY(checks_hold(c, &change->checks, s->job->target, cols + change->returning.n, ch->present,
                    ch->n));
    if (!s->returned) return OK;
    TRY(chunk_rows(c, ch, &rows));
    return rowset_append(c, s->returned, cols, rows, rows ? ch->n_present : ch->n);
}

/* CHECK over a dense box: coordinates, then attributes. */
static enum status check_dense(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                               const struct column *attrs)
{
    int n_dims = ch->box.n_dims;
    void *mem;
    if (!s->to.checker) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_dims + s->job->n_attrs + 1), &mem));
    struct column *cols = mem;
    for (int d = 0; d < n_dims; d++) {
        const struct axis *axis = ch->rel->dims[d].axis;
        TRY(column_alloc(c, axis->type, ch->n, &cols[d]));
        chunk_coords(ch, d, axis, cols[d].values);
    }
    memcpy(cols + n_dims, attrs, sizeof *cols * (size_t)s->job->n_attrs);
    return checker_run(c, s->to.checker, cols, ch->present, ch->n);
}

static enum status put_dense(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                             int64_t *n)
{
    int n_dims = ch->box.n_dims, n_cols = s->job->query->n_outs;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_cols + 1), &mem));
    struct column *cols = mem;
    TRY(output_attrs(c, s->job->query, n_dims, ch, cols));
    struct box box = ch->box;
    for (int d = 0; d < n_dims; d++) {
        box.lo[d] += s->shift[d];
        box.hi[d] += s->shift[d];
    }
    TRY(check_dense(c, s, ch, cols));
    TRY(after_values(c, s, ch, cols + s->job->n_attrs));
    return writer_put_box(c, s->to.writer, &box, cols, ch->present, n);
}

/* Drops the cells that do not exist, so that columns are rows. */
static enum status compact(struct ctx *c, const struct chunk *ch, struct column *cols, int n_cols)
{
    if (!ch->present || ch->n_present == ch->n) return OK;
    int64_t *rows;
    TRY(chunk_rows(c, ch, &rows));
    for (int k = 0; k < n_cols; k++)
        TRY(column_take(c, &cols[k], rows, ch->n_present, &cols[k]));
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

/* A table's rows with their numbers before them. */
static enum status number_rows(struct ctx *c, struct row_target *t, const struct column **cols,
                               int64_t n)
{
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(t->n_cols + 2), &mem));
    struct column *all = mem;
    const struct axis *axis = &writer_schema(t->writer)->dims[0].axis;
    TRY(column_alloc(c, axis->type, n, &all[0]));
    axis_coords(axis, t->next_row, n, 1, all[0].values);
    t->next_row += n;
    memcpy(all + 1, *cols, sizeof *all * (size_t)t->n_cols);
    *cols = all;
    return OK;
}

enum status write_rows(struct ctx *c, struct row_target *t, const struct column *cols, int64_t rows,
                       int64_t *n)
{
    const struct schema *target = writer_schema(t->writer);
    int64_t *pos[MAX_DIMS];
    if (t->numbered) TRY(number_rows(c, t, &cols, rows));
    if (t->held) return held_add(c, t->held, cols, rows);
    TRY(refuse_null_coords(c, target, cols, rows));
    for (int d = 0; d < target->n_dims; d++) {
        void *mem;
        TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)rows, &mem));
        pos[d] = mem;
        TRY(writer_positions(c, t->writer, d, &cols[d], rows, pos[d]));
    }
    TRY(checker_run(c, t->checker, cols, NULL, rows));
    return writer_put_cells(c, t->writer, rows, pos, cols + target->n_dims, n);
}

static enum status put_cells(struct ctx *c, struct write_sink *s, const struct chunk *ch,
                             int64_t *n)
{
    const struct write_job *j = s->job;
    int n_outs = j->query->n_outs, n_dims = j->numbered ? 0 : writer_schema(s->to.writer)->n_dims;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_outs + 1), &mem));
    struct column *cols = mem;
    TRY(output_columns(c, j->query, ch, cols));
    TRY(after_values(c, s, ch, cols + n_dims + j->n_attrs));
    TRY(compact(c, ch, cols, n_outs));
    return write_rows(c, &s->to, cols, ch->n_present, n);
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

/* Labels join in the order of rows, so those must come in order; so must numbered rows, those of
 * which the first counts, and those that are returned. */
static bool needs_order(const struct write_sink *s)
{
    if (s->job->numbered || s->returned || (s->to.held && s->job->row)) return true;
    const struct schema *target = writer_schema(s->to.writer);
    for (int d = 0; d < target->n_dims && !s->dense; d++)
        if (target->dims[d].axis.kind == AXIS_LABELLED && target->dims[d].axis.grows) return true;
    return false;
}

/* ---- holding rows back ---- */

static bool must_hold(const struct write_sink *s)
{
    const struct write_job *j = s->job;
    if (j->change) return j->change->repeats;
    if (!j->row) return false;
    if (j->row->sets || j->row->returning.n) return true;
    return !s->dense && j->mode != CONFLICT_ERROR;
}

static enum status hold_rows(struct ctx *c, struct write_sink *s)
{
    const struct write_job *j = s->job;
    const struct query *q = j->query;
    int n_dims = j->numbered ? 0 : writer_schema(s->to.writer)->n_dims;
    int n_returned = j->change ? j->change->returning.n : j->row->returning.n;
    enum type *types = arena_array(c->arena, enum type, q->n_outs + 1);
    for (int i = n_dims; i < q->n_outs; i++)
        types[i - n_dims] = q->outs[i].type;
    struct hold h = {.writer = s->to.writer,
                     .env = exec_env(s->exec),
                     .tmp_dir = exec_tmp_dir(s->exec),
                     .mode = j->mode,
                     .before = j->before,
                     .row = j->row,
                     .values = types,
                     .n_values = j->n_attrs + (j->change ? n_returned : 0),
                     .n_written = j->n_attrs,
                     .attrs = j->attrs,
                     .n_returned = n_returned};
    s->dense = false;
    return held_new(c, &h, &s->to.held);
}

/* RETURNING's columns of a change whose rows are written as they come. */
static enum status keep_returned(struct ctx *c, struct write_sink *s)
{
    const struct write_job *j = s->job;
    int n = j->change ? j->change->returning.n : 0;
    if (n == 0) return OK;
    int first = j->query->n_outs - j->change->checks.n - n;
    enum type *types = arena_array(c->arena, enum type, n);
    for (int i = 0; i < n; i++)
        types[i] = j->query->outs[first + i].type;
    return rowset_new(c, types, n, exec_tmp_dir(s->exec), &s->returned);
}

static enum status run_sink(struct ctx *c, struct write_sink *s, struct exec *x,
                            const struct box *region)
{
    const struct write_job *j = s->job;
    const struct schema *target = writer_schema(s->to.writer);
    if (j->numbered) s->to.next_row = target->dims[0].axis.hi;
    TRY(choose_way(c, s));
    if (j->row)
        TRY(checker_new(c, j->row, target->n_attrs, target->name, exec_env(x), &s->to.checker));
    if (must_hold(s))
        TRY(hold_rows(c, s));
    else
        TRY(keep_returned(c, s));
    s->sink.ordered = needs_order(s);
    if (!s->dense) /* coordinates, their positions, rows without the cells that are not there */
        s->sink.cell_bytes = output_cell_bytes(j->query) + 8 * (target->n_dims + j->query->n_outs);
    TRY(exec_run(c, exec_root(x), region, &s->sink));
    if (s->to.held) {
        int64_t n = 0;
        TRY(held_write(c, s->to.held, &n, &s->returned));
        atomic_fetch_add(&s->n_cells, n);
    }
    return OK;
}

enum status write_part(struct ctx *c, struct exec *x, const struct write_job *j, struct writer *w,
                       const struct box *region, int64_t *n_cells)
{
    struct write_sink s = {.sink = {.consume = write_chunk}, .job = j, .exec = x};
    s.to.writer = w;
    s.to.numbered = j->numbered;
    s.to.n_cols = j->query->n_outs;
    TRY(run_sink(c, &s, x, region));
    *n_cells += atomic_load(&s.n_cells);
    return OK;
}

enum status write_query(struct ctx *c, struct exec *x, const struct write_job *j, int64_t *n_cells,
                        struct rowset **returned)
{
    struct write_sink s = {.sink = {.consume = write_chunk}, .job = j, .exec = x};
    s.to.numbered = j->numbered;
    s.to.n_cols = j->query->n_outs;
    *returned = NULL;
    TRY(writer_open(c, exec_txn(x), j->target, j->mode, j->attrs, j->n_attrs, &s.to.writer));
    enum status st = run_sink(c, &s, x, NULL);
    if (st == OK) st = writer_finish(c, s.to.writer);
    held_free(s.to.held);
    writer_free(s.to.writer);
    if (st < 0) {
        rowset_free(s.returned);
        return st;
    }
    *n_cells = atomic_load(&s.n_cells);
    *returned = s.returned;
    return OK;
}
