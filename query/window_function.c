/* What do row_number, rank, lag, first_value … give for each row? */
#include "query/window_internal.h"
#include <stdlib.h>

struct window_function {
    const struct row_call *call;
    const struct row_window *w;
    const struct sorted_rows *s;
    struct row_arg args[3];
    struct row_cursor value; /* the first argument, anywhere */
    struct row_cursor here;  /* the others, at the row */
    int here_col[3];         /* of `here`; -1: constant */
    int64_t dense_rank;      /* of the last row */
    struct buckets {         /* ntile */
        int64_t n, size, in_it, remainder;
        int64_t number; /* 0: none as yet */
    } buckets;
    struct window_agg *agg;
};

/* ---- arguments at the row ---- */

static bool arg_null(const struct window_function *f, int arg, int64_t at)
{
    int col = f->here_col[arg];
    return col < 0 ? f->args[arg].value.null : column_is_null(&f->here.cols[col], at);
}

static int64_t arg_int(const struct window_function *f, int arg, int64_t at)
{
    int col = f->here_col[arg];
    return col < 0 ? f->args[arg].value.i : ((const int64_t *)f->here.cols[col].values)[at];
}

/* *at: the row's place among the arguments at it; any, if all are constants. */
static enum status arguments_at(struct ctx *c, struct window_function *f, int64_t row, int64_t *at)
{
    *at = 0;
    return f->here.n_cols ? cursor_at(c, &f->here, row, at) : OK;
}

/* ---- values of other rows ---- */

static void put_value(const struct column *from, int64_t at, struct column *out, int64_t i)
{
    size_t width = type_bytes(out->type);
    if (column_is_null(from, at)) {
        column_put_null(out, i);
        return;
    }
    memcpy((char *)out->values + (size_t)i * width, (const char *)from->values + (size_t)at * width,
           width);
}

/* The first argument at a row; row < 0: NULL. */
static enum status put_row(struct ctx *c, struct window_function *f, int64_t row,
                           struct column *out, int64_t i)
{
    int64_t at;
    if (row < 0) {
        column_put_null(out, i);
    } else if (f->args[0].col < 0) {
        if (f->args[0].value.null)
            column_put_null(out, i);
        else
            value_put(&f->args[0].value, out->values, i);
    } else {
        TRY(cursor_at(c, &f->value, row, &at));
        put_value(&f->value.cols[0], at, out, i);
        return column_keep_text(c, out, i);
    }
    return OK;
}

static enum status put_default(struct ctx *c, struct window_function *f, int64_t at,
                               struct column *out, int64_t i)
{
    if (f->call->call.n_args < 3 || arg_null(f, 2, at)) {
        column_put_null(out, i);
        return OK;
    }
    if (f->here_col[2] < 0)
        value_put(&f->args[2].value, out->values, i);
    else
        put_value(&f->here.cols[f->here_col[2]], at, out, i);
    return column_keep_text(c, out, i);
}

/* Rows [from, from + n) of the first argument to out's rows i …: what lag and lead of a constant
 * offset mostly do. */
static enum status put_run(struct ctx *c, struct window_function *f, int64_t from, int64_t n,
                           struct column *out, int64_t i)
{
    size_t width = type_bytes(out->type);
    for (int64_t end = from + n; from < end;) {
        int64_t at, m;
        TRY(cursor_at(c, &f->value, from, &at));
        const struct column *col = &f->value.cols[0];
        m = (end < f->value.hi ? end : f->value.hi) - from;
        memcpy((char *)out->values + (size_t)i * width,
               (const char *)col->values + (size_t)at * width, (size_t)m * width);
        if (col->valid) bits_copy(out->valid, i, col->valid, at, m);
        for (int64_t k = i; type_is_varlen(out->type) && k < i + m; k++)
            TRY(column_keep_text(c, out, k));
        from += m;
        i += m;
    }
    return OK;
}

static enum status fill_lag(struct ctx *c, struct window_function *f, const struct frames *fr,
                            struct column *out)
{
    bool lead = f->call->fn == WF_LEAD, fixed = f->here_col[1] < 0 && f->args[0].col >= 0;
    for (int64_t i = 0; i < fr->n; i++) {
        int64_t row = fr->first + i, at, by, to;
        TRY(arguments_at(c, f, row, &at));
        if (f->call->call.n_args > 1 && arg_null(f, 1, at)) {
            column_put_null(out, i);
            continue;
        }
        by = f->call->call.n_args > 1 ? arg_int(f, 1, at) : 1;
        bool beyond =
            lead ? __builtin_add_overflow(row, by, &to) : __builtin_sub_overflow(row, by, &to);
        if (beyond || to < fr->part_lo[i] || to >= fr->part_hi[i]) {
            TRY(put_default(c, f, at, out, i));
        } else if (fixed) {
            int64_t end = fr->part_hi[i], n;
            if (end > fr->first + fr->n) end = fr->first + fr->n;
            n = end - row;
            if (n > fr->part_hi[i] - to) n = fr->part_hi[i] - to;
            TRY(put_run(c, f, to, n, out, i));
            i += n - 1;
        } else {
            TRY(put_row(c, f, to, out, i));
        }
    }
    return OK;
}

/* The n-th (from 0) row of what EXCLUDE leaves of the frame, from its start or its end; -1: there
 * is none. */
static int64_t nth_row(const struct frame_parts *p, int64_t row, int64_t n, bool from_end)
{
    int64_t lo[3] = {p->lo[0], row, p->lo[1]};
    int64_t hi[3] = {p->hi[0], row + p->self, p->hi[1]};
    for (int k = 0; k < 3; k++) {
        int j = from_end ? 2 - k : k;
        int64_t m = hi[j] > lo[j] ? hi[j] - lo[j] : 0;
        if (n < m) return from_end ? hi[j] - 1 - n : lo[j] + n;
        n -= m;
    }
    return -1;
}

static enum status fill_nth(struct ctx *c, struct window_function *f, const struct frames *fr,
                            struct column *out)
{
    for (int64_t i = 0; i < fr->n; i++) {
        int64_t row = fr->first + i, at, n = 1;
        struct frame_parts p = frame_parts(fr, i, f->w->exclude);
        if (f->call->fn == WF_NTH_VALUE) {
            TRY(arguments_at(c, f, row, &at));
            if (arg_null(f, 1, at)) {
                column_put_null(out, i);
                continue;
            }
            n = arg_int(f, 1, at);
            if (n <= 0)
                return fail_at(c, ERR_NTH_VALUE, f->call->call.pos,
                               "argument of nth_value must be greater than zero");
        }
        TRY(put_row(c, f, nth_row(&p, row, n - 1, f->call->fn == WF_LAST_VALUE), out, i));
    }
    return OK;
}

/* ---- ranks ---- */

static void fill_ranks(struct window_function *f, const struct frames *fr, struct column *out)
{
    int64_t *to = out->values;
    double *share = out->values;
    for (int64_t i = 0; i < fr->n; i++) {
        int64_t row = fr->first + i, lo = fr->part_lo[i], n = fr->part_hi[i] - lo;
        switch (f->call->fn) {
        case WF_ROW_NUMBER:
            to[i] = row - lo + 1;
            break;
        case WF_RANK:
            to[i] = fr->peer_lo[i] - lo + 1;
            break;
        case WF_DENSE_RANK:
            if (row == lo)
                f->dense_rank = 1;
            else
                f->dense_rank += row == fr->peer_lo[i];
            to[i] = f->dense_rank;
            break;
        case WF_PERCENT_RANK:
            share[i] = n > 1 ? (double)(fr->peer_lo[i] - lo) / (double)(n - 1) : 0;
            break;
        default:
            share[i] = (double)(fr->peer_hi[i] - lo) / (double)n;
            break;
        }
    }
}

/* The number of buckets is what the argument says at the partition's first row that has one; rows
 * before that have none, but count among those that are shared out. */
static enum status fill_ntile(struct ctx *c, struct window_function *f, const struct frames *fr,
                              struct column *out)
{
    struct buckets *b = &f->buckets;
    for (int64_t i = 0; i < fr->n; i++) {
        int64_t row = fr->first + i, rows = fr->part_hi[i] - fr->part_lo[i], at;
        if (row == fr->part_lo[i]) b->number = 0;
        if (b->number == 0) {
            TRY(arguments_at(c, f, row, &at));
            if (arg_null(f, 0, at)) {
                column_put_null(out, i);
                continue;
            }
            *b = (struct buckets){.n = arg_int(f, 0, at), .number = 1};
            if (b->n <= 0)
                return fail_at(c, ERR_NTILE, f->call->call.pos,
                               "argument of ntile must be greater than zero");
            b->size = rows / b->n;
            b->remainder = b->size ? rows % b->n : 0;
            if (b->size == 0)
                b->size = 1;
            else
                b->size += b->remainder != 0;
        }
        if (++b->in_it > b->size) {
            if (b->remainder && b->number == b->remainder) {
                b->remainder = 0;
                b->size--;
            }
            b->number++;
            b->in_it = 1;
        }
        ((int32_t *)out->values)[i] = (int32_t)b->number;
    }
    return OK;
}

/* ---- all ---- */

enum status function_fill(struct ctx *c, struct window_function *f, const struct frames *frames,
                          struct column *out)
{
    if (f->agg) return window_agg_fill(c, f->agg, frames, out);
    TRY(column_alloc(c, f->call->type, frames->n, out));
    TRY(column_need_valid(c, out, frames->n));
    switch (f->call->fn) {
    case WF_LAG:
    case WF_LEAD:
        return fill_lag(c, f, frames, out);
    case WF_FIRST_VALUE:
    case WF_LAST_VALUE:
    case WF_NTH_VALUE:
        return fill_nth(c, f, frames, out);
    case WF_NTILE:
        return fill_ntile(c, f, frames, out);
    default:
        fill_ranks(f, frames, out);
        return OK;
    }
}

static void open_arguments(struct ctx *c, struct window_function *f)
{
    int which[CURSOR_COLS], n = 0, first = f->call->fn == WF_NTILE ? 0 : 1;
    for (int i = first; i < f->call->call.n_args; i++) {
        f->here_col[i] = f->args[i].col < 0 ? -1 : n;
        if (f->args[i].col >= 0) which[n++] = f->args[i].col;
    }
    if (n) cursor_init(c, &f->here, f->s->rows, which, n);
    if (first && f->call->call.n_args && f->args[0].col >= 0)
        cursor_init(c, &f->value, f->s->rows, &f->args[0].col, 1);
}

enum status function_new(struct ctx *c, const struct row_call *call, const struct row_window *w,
                         const struct env *env, const struct row_arg *args,
                         const struct sorted_rows *s, const char *tmp_dir,
                         struct window_function **out)
{
    struct window_function *f = calloc(1, sizeof *f);
    if (!f) return fail(c, ERR_MEMORY, "out of memory");
    *f = (struct window_function){.call = call, .w = w, .s = s, .here_col = {-1, -1, -1}};
    *out = f;
    if (call->call.agg) return window_agg_new(c, call, w, env, args, s, tmp_dir, &f->agg);
    for (int i = 0; i < call->call.n_args; i++)
        f->args[i] = args[i];
    open_arguments(c, f);
    return OK;
}

void function_free(struct window_function *f)
{
    if (!f) return;
    cursor_free(&f->value);
    cursor_free(&f->here);
    window_agg_free(f->agg);
    free(f);
}
