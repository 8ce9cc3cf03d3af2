/* Arrays that come from the statement alone: one cell, a grid of coordinates, rows of constants, a
 * series. */
#include "query/op_classes.h"
#include "query/reach.h"
#include "storage/base/datetime.h"
#include <math.h>
#include <string.h>

#define BOX_CELLS (64 * 1024)

/* ---- one, grid ---- */

static enum status one_open(struct ctx *c, struct op *op)
{
    (void)c, (void)op; /* a box without dimensions has one cell */
    return OK;
}

static enum status grid_open(struct ctx *c, struct op *op)
{
    (void)c;
    grid_long(&op->box, BOX_CELLS, op->grid);
    return OK;
}

static enum status grid_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    struct chunk ch;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_mask_strides(c, &op->plan->rel, &ch));
    *out = ch;
    return OK;
}

const struct op_class op_one_class = {"one row", one_open, grid_produce, NULL};
const struct op_class op_grid_class = {"grid", grid_open, grid_produce, NULL};

/* ---- values ---- */

/* Columns over all rows; buffers from the budget. */
struct rows {
    int n_cols;
    struct column *cols;
};

static void rows_close(struct op *op)
{
    struct rows *s = op->state;
    for (int i = 0; s && i < s->n_cols; i++) {
        buf_free(s->cols[i].values);
        buf_free(s->cols[i].valid);
    }
}

static enum status rows_column(struct ctx *c, struct column *col, enum type t, int64_t n)
{
    void *values, *valid;
    size_t bytes = (size_t)n * type_bytes(t) + 8;
    TRY(buf_alloc(c, bytes, &values));
    memset(values, 0, bytes);
    *col = (struct column){.type = t, .values = values};
    TRY(buf_alloc(c, (size_t)bits_words(n) * 8 + 8, &valid));
    memset(valid, 0xff, (size_t)bits_words(n) * 8);
    col->valid = valid;
    return OK;
}

static enum status rows_open(struct ctx *c, struct op *op, int64_t n_rows, struct rows **out)
{
    const struct rel *rel = &op->plan->rel;
    struct rows *s = arena_new_of(c->arena, struct rows);
    s->cols = arena_array(c->arena, struct column, rel->n_cols);
    op->state = s;
    for (int i = 0; i < rel->n_cols; i++) {
        s->n_cols = i + 1;
        TRY(rows_column(c, &s->cols[i], rel->cols[i].type, n_rows));
    }
    op->box.lo[0] = 0;
    op->box.hi[0] = n_rows;
    op->grid[0] = BOX_CELLS;
    *out = s;
    return OK;
}

/* Slices of the whole columns: values are shared, validity bits are moved to start at bit 0. */
static enum status rows_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    const struct rows *s = op->state;
    int64_t lo = want->lo[0], n = box_extent(want, 0);
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->n_cols + 1), &cols));
    struct column *col = cols;
    for (int i = 0; i < s->n_cols; i++) {
        col[i] = s->cols[i];
        col[i].values = (char *)col[i].values + (size_t)lo * type_bytes(col[i].type);
        if (bits_all(s->cols[i].valid, lo, n)) {
            col[i].valid = NULL;
            continue;
        }
        void *bits;
        TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &bits));
        bits_copy(bits, 0, s->cols[i].valid, lo, n);
        col[i].valid = bits;
    }
    *out = (struct chunk){.box = *want,
                          .n = n,
                          .n_present = n,
                          .n_cols = s->n_cols,
                          .cols = col,
                          .rel = &op->plan->rel};
    return OK;
}

static enum status values_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct rows *s;
    TRY(rows_open(c, op, p->n_rows, &s));
    for (int64_t r = 0; r < p->n_rows; r++) {
        for (int i = 0; i < s->n_cols; i++) {
            struct value v;
            TRY(expr_eval_const(c, p->rows[r * s->n_cols + i], exec_env(op->exec), &v));
            if (v.null)
                bit_clear(s->cols[i].valid, r);
            else
                value_put(&v, s->cols[i].values, r);
        }
    }
    return OK;
}

const struct op_class op_values_class = {"values", values_open, rows_produce, rows_close};

/* ---- series ---- */

/* Row i is start + i × step. Steps of months are taken one by one, as the day may be cut, and their
 * rows kept. */
struct series {
    struct rows rows; /* first: closed as such; n_cols 0: rows are computed */
    enum type type;
    int64_t start, step;
    struct decimal dstart, dstep;
};

static enum status series_argument(struct ctx *c, struct op *op, int i, enum type t,
                                   struct value *out)
{
    const struct plan *p = op->plan;
    struct value v;
    if (i >= p->n_exprs) {
        *out = t == T_FLOAT64 ? value_double(1) : value_int(t, 1);
        return OK;
    }
    TRY(expr_eval_const(c, p->exprs[i], exec_env(op->exec), &v));
    if (v.null) {
        *out = value_null(t);
        return OK;
    }
    return at(c, value_cast(c, &v, t, out), p->exprs[i]->pos);
}

static enum status zero_step(struct ctx *c, const struct op *op)
{
    return fail_at(c, ERR_INVALID_PARAMETER, op->plan->pos, "step size cannot equal zero");
}

static enum status count_integers(struct ctx *c, struct op *op, int64_t start, int64_t stop,
                                  int64_t step, int64_t *n)
{
    struct series *s = op->state;
    if (step == 0) return zero_step(c, op);
    s->start = start;
    s->step = step;
    i128 span = step > 0 ? (i128)stop - start : (i128)start - stop;
    i128 count = span < 0 ? 0 : span / (step > 0 ? (i128)step : -(i128)step) + 1;
    *n = count > INT64_MAX ? INT64_MAX : (int64_t)count;
    return OK;
}

static enum status count_doubles(struct ctx *c, struct op *op, double start, double stop,
                                 double step, int64_t *n)
{
    struct series *s = op->state;
    struct decimal last;
    if (step == 0) return zero_step(c, op);
    if (!decimal_from_double(start, &s->dstart) || !decimal_from_double(step, &s->dstep) ||
        !decimal_from_double(stop, &last))
        return fail_at(c, ERR_INVALID_PARAMETER, op->plan->pos,
                       "start, stop and step of a series must be finite");
    *n = 0;
    if (step > 0 ? start > stop : start < stop) return OK;
    decimal_steps(s->dstart, s->dstep, last, n);
    ++*n;
    return OK;
}

/* Walks the months; values NULL: only counts. */
static enum status walk_months(struct ctx *c, int64_t start, int64_t stop,
                               const struct interval *step, int64_t *values, int64_t *n)
{
    bool up = interval_us(step) > 0;
    *n = 0;
    for (int64_t t = start; up ? t <= stop : t >= stop;) {
        if (values) values[*n] = t;
        ++*n;
        TRY(timestamp_add(c, t, step, &t));
        if ((*n & 0xffff) == 0) TRY(check_cancel(c));
    }
    return OK;
}

static enum status count_times(struct ctx *c, struct op *op, int64_t start, int64_t stop,
                               const struct interval *step, int64_t *n)
{
    if (!step->months) {
        int64_t us;
        if (__builtin_mul_overflow(step->days, US_PER_DAY, &us) ||
            __builtin_add_overflow(us, step->us, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "interval out of range");
        return count_integers(c, op, start, stop, us, n);
    }
    if (interval_us(step) == 0) return zero_step(c, op);
    struct series *s = op->state;
    TRY(walk_months(c, start, stop, step, NULL, n));
    s->rows.cols = arena_new_of(c->arena, struct column);
    s->rows.n_cols = 1;
    TRY(rows_column(c, s->rows.cols, s->type, *n));
    return walk_months(c, start, stop, step, s->rows.cols->values, n);
}

static enum status series_open(struct ctx *c, struct op *op)
{
    struct series *s = arena_new_of(c->arena, struct series);
    op->state = s;
    s->type = op->plan->rel.cols[0].type;
    enum type step_type = s->type == T_TIMESTAMP ? T_INTERVAL : s->type;
    struct value start, stop, step;
    TRY(series_argument(c, op, 0, s->type, &start));
    TRY(series_argument(c, op, 1, s->type, &stop));
    TRY(series_argument(c, op, 2, step_type, &step));
    int64_t n = 0;
    if (start.null || stop.null || step.null)
        n = 0;
    else if (s->type == T_FLOAT64)
        TRY(count_doubles(c, op, start.d, stop.d, step.d, &n));
    else if (s->type == T_TIMESTAMP)
        TRY(count_times(c, op, start.i, stop.i, &step.iv, &n));
    else
        TRY(count_integers(c, op, start.i, stop.i, step.i, &n));
    op->box.lo[0] = 0;
    op->box.hi[0] = n;
    op->grid[0] = BOX_CELLS;
    return OK;
}

/* Unsigned, as i × step alone may not fit where start + i × step does. */
static void fill_integers(const struct series *s, int64_t lo, int64_t n, void *values)
{
    uint64_t step = (uint64_t)s->step, first = (uint64_t)s->start + (uint64_t)lo * step;
    switch (type_bytes(s->type)) {
    case 2:
        for (int64_t i = 0; i < n; i++)
            ((uint16_t *)values)[i] = (uint16_t)(first + (uint64_t)i * step);
        break;
    case 4:
        for (int64_t i = 0; i < n; i++)
            ((uint32_t *)values)[i] = (uint32_t)(first + (uint64_t)i * step);
        break;
    default:
        for (int64_t i = 0; i < n; i++)
            ((uint64_t *)values)[i] = first + (uint64_t)i * step;
    }
}

static enum status series_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    const struct series *s = op->state;
    struct chunk ch;
    if (s->rows.n_cols) return rows_produce(c, op, want, out);
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    if (s->type == T_FLOAT64)
        decimal_series(s->dstart, s->dstep, want->lo[0], 1, ch.n, ch.cols[0].values);
    else
        fill_integers(s, want->lo[0], ch.n, ch.cols[0].values);
    *out = ch;
    return OK;
}

const struct op_class op_series_class = {"series", series_open, series_produce, rows_close};
