/* What is an aggregate over each row's frame?
 *
 * A frame that is the whole partition: computed once a partition. A few rows: from those rows. Else
 * the two ends slide (window_slide.c). Medians, quantiles and modes have no states that merge: of
 * whole partitions they are sorted (agg_holistic.c), of moving frames their values are kept in
 * order (window_multiset.c). */
#include "query/agg_quantile.h"
#include "query/rowset_internal.h"
#include "query/window_internal.h"
#include <math.h>
#include <stdlib.h>

#define FEW_ROWS 16

struct window_agg {
    const struct row_window *w;
    const struct sorted_rows *s;
    struct agg_bound k;
    bool whole;
    struct arg_cursor rows; /* the row itself, frames of few rows, whole partitions */
    struct slider *sliders[2];
    void *state;
    struct text_heap heap;
    /* whole: of the partition that starts at part_lo */
    int64_t part_lo;
    struct column value; /* one row */
    struct text_heap value_heap;
    struct holistic *sorted; /* medians … of partitions, in their order */
    /* sliding medians …: the values of the frame's parts [lo, hi) */
    struct multiset *values;
    struct arg_cursor in[2], out[2];
    int64_t lo[2], hi[2];
};

/* ---- results ---- */

static enum status result_column(struct ctx *c, const struct agg_bound *k, int64_t n,
                                 struct column *out)
{
    TRY(column_alloc(c, k->result, n, out));
    return column_need_valid(c, out, n);
}

static void copy_result(const struct column *from, int64_t i, struct column *out, int64_t to)
{
    size_t width = type_bytes(out->type);
    bit_put(out->valid, to, bit_get(from->valid, i));
    memcpy((char *)out->values + (size_t)to * width, (const char *)from->values + (size_t)i * width,
           width);
}

/* Empty again, with the room of its texts. */
static void clear_state(struct window_agg *a)
{
    struct text_ref refs[2];
    const struct agg_ops *ops = a->k.ops;
    if (!ops->n_texts) text_heap_free(&a->heap);
    for (int i = 0; i < ops->n_texts; i++)
        memcpy(&refs[i], (char *)a->state + ops->text_at[i], sizeof refs[i]);
    agg_state_init(&a->k, a->state);
    for (int i = 0; i < ops->n_texts; i++) {
        refs[i].len = 0;
        memcpy((char *)a->state + ops->text_at[i], &refs[i], sizeof refs[i]);
    }
}

/* ---- whole partitions ---- */

/* Of the rows [lo, hi), how many count? */
static enum status count_rows(struct ctx *c, struct arg_cursor *a, int64_t lo, int64_t hi,
                              int64_t *out)
{
    *out = 0;
    for (int64_t row = lo; row < hi; row = a->rows.hi) {
        int64_t at, end;
        TRY(args_at(c, a, row, &at));
        end = (hi < a->rows.hi ? hi : a->rows.hi) - a->rows.lo;
        if (!a->in.none) *out += a->in.mask ? bits_count(a->in.mask, at, end - at) : end - at;
    }
    return OK;
}

/* Keeps the value apart from what it was made from. */
static enum status keep_value(struct ctx *c, struct window_agg *a)
{
    if (!type_is_varlen(a->k.result) || column_is_null(&a->value, 0)) return OK;
    struct text *t = a->value.values;
    struct text_ref ref = {0};
    text_heap_free(&a->value_heap);
    TRY(text_heap_put(c, &a->value_heap, &ref, t->s, t->len));
    t->s = ref.s ? ref.s : "";
    return OK;
}

static enum status partition_value(struct ctx *c, struct window_agg *a, int64_t lo, int64_t hi)
{
    struct column *const value = &a->value;
    bits_fill(value->valid, 0, 1, true);
    if (a->sorted) {
        int64_t n;
        TRY(count_rows(c, &a->rows, lo, hi, &n));
        TRY(holistic_next(c, a->sorted, n, &value, 0));
    } else {
        clear_state(a);
        TRY(args_add(c, &a->rows, lo, hi, &a->heap, a->state));
        TRY(a->k.ops->finish(c, &a->k, a->state, value, 0));
    }
    a->part_lo = lo;
    return keep_value(c, a);
}

static enum status fill_whole(struct ctx *c, struct window_agg *a, const struct frames *f,
                              struct column *out)
{
    for (int64_t i = 0; i < f->n; i++) {
        if (f->part_lo[i] != a->part_lo) TRY(partition_value(c, a, f->part_lo[i], f->part_hi[i]));
        bool again = i > 0 && f->part_lo[i] == f->part_lo[i - 1];
        copy_result(again ? out : &a->value, again ? i - 1 : 0, out, i);
        if (!again) TRY(column_keep_text(c, out, i));
    }
    return OK;
}

/* Sets every partition's values aside, by the partition's number. */
static enum status sort_values(struct ctx *c, struct window_agg *a, const char *tmp_dir)
{
    const enum type number = T_INT64;
    const int first = 0;
    int64_t part = 0;
    struct row_cursor marks;
    const struct agg_bound *const call = &a->k;
    TRY(holistic_new(c, &call, 1, &number, 1, 1, memory_share(c, 8), tmp_dir, &a->sorted));
    cursor_init(c, &marks, a->s->marks, &first, 1);
    enum status st = OK;
    for (int64_t row = 0; row < a->s->n && st == OK; row = marks.hi) {
        int64_t at;
        struct column key;
        struct scratch_mark mark = scratch_mark(c->scratch);
        if ((st = cursor_at(c, &marks, row, &at)) < 0) break;
        if ((st = args_at(c, &a->rows, row, &at)) < 0) break;
        int64_t n = marks.hi - marks.lo;
        if ((st = column_alloc(c, T_INT64, n, &key)) < 0) break;
        for (int64_t i = 0; i < n; i++) {
            part += ((const int16_t *)marks.cols[0].values)[i] < a->w->n_partition;
            ((int64_t *)key.values)[i] = part;
        }
        st = holistic_add(c, a->sorted, 0, &key, &a->rows.input, &a->rows.in);
        scratch_release(c->scratch, mark);
    }
    cursor_free(&marks);
    TRY(st);
    return holistic_finish(c, a->sorted, NULL, 0);
}

/* ---- moving frames ---- */

static enum status merge_part(struct ctx *c, struct window_agg *a, int part, int64_t lo, int64_t hi)
{
    if (hi - lo > FEW_ROWS) return slider_merge(c, a->sliders[part], lo, hi, &a->heap, a->state);
    return args_add(c, &a->rows, lo, hi, &a->heap, a->state);
}

static enum status slide(struct ctx *c, struct window_agg *a, const struct frame_parts *p,
                         int64_t row, struct column *out, int64_t i)
{
    clear_state(a);
    TRY(merge_part(c, a, 0, p->lo[0], p->hi[0]));
    if (p->self) TRY(args_add(c, &a->rows, row, row + 1, &a->heap, a->state));
    if (p->lo[1] < p->hi[1]) TRY(merge_part(c, a, 1, p->lo[1], p->hi[1]));
    TRY(a->k.ops->finish(c, &a->k, a->state, out, i));
    return column_keep_text(c, out, i);
}

/* Texts and lists are as long as their frames: made anew, but for a frame that only grows. */
static enum status make_list(struct ctx *c, struct window_agg *a, const struct frame_parts *p,
                             int64_t row, struct column *out, int64_t i)
{
    bool grows = a->w->exclude == EXCLUDE_NONE && p->lo[0] == a->lo[0] && p->hi[0] >= a->hi[0];
    if (!grows) clear_state(a);
    TRY(args_add(c, &a->rows, grows ? a->hi[0] : p->lo[0], p->hi[0], &a->heap, a->state));
    if (p->self) TRY(args_add(c, &a->rows, row, row + 1, &a->heap, a->state));
    TRY(args_add(c, &a->rows, p->lo[1], p->hi[1], &a->heap, a->state));
    a->lo[0] = p->lo[0];
    a->hi[0] = p->hi[0];
    TRY(a->k.ops->finish(c, &a->k, a->state, out, i));
    return column_keep_text(c, out, i);
}

/* ---- moving frames of values in order ---- */

static enum status change_value(struct ctx *c, struct window_agg *a, const struct column *col,
                                int64_t i, bool add)
{
    double rounded;
    struct column one = {.type = T_FLOAT64, .values = &rounded};
    if (a->k.agg->id == AGG_APPROX_QUANTILE) {
        rounded = agg_rounded(((const double *)col->values)[i]);
        col = &one;
        i = 0;
    }
    if (add) return multiset_add(c, a->values, col, i);
    multiset_remove(a->values, col, i);
    return OK;
}

static enum status change_values(struct ctx *c, struct window_agg *a, struct arg_cursor *rows,
                                 int64_t lo, int64_t hi, bool add)
{
    for (int64_t row = lo; row < hi; row++) {
        int64_t at;
        TRY(args_at(c, rows, row, &at));
        if (rows->in.none || (rows->in.mask && !bit_get(rows->in.mask, at))) continue;
        TRY(change_value(c, a, rows->in.args[0], at, add));
    }
    return OK;
}

/* A part of the frame moves on to [lo, hi). */
static enum status move_part(struct ctx *c, struct window_agg *a, int part, int64_t lo, int64_t hi)
{
    int64_t gone = lo < a->hi[part] ? lo : a->hi[part];
    int64_t from = lo > a->hi[part] ? lo : a->hi[part];
    TRY(change_values(c, a, &a->out[part], a->lo[part], gone, false));
    TRY(change_values(c, a, &a->in[part], from, hi, true));
    a->lo[part] = lo;
    a->hi[part] = hi > from ? hi : from;
    return OK;
}

static void quantile(const struct window_agg *a, int64_t n, struct column *out, int64_t i)
{
    int64_t below;
    double t, *to = (double *)out->values + i;
    *to = multiset_nth(a->values, n - 1);
    if (*to != *to) return; /* NaN sorts last and makes the result NaN */
    quantile_rank(a->k.q, n, &below, &t);
    double x = multiset_nth(a->values, below);
    if (a->k.agg->id == AGG_APPROX_QUANTILE) {
        *to = x + 0.0;
        return;
    }
    double y = multiset_nth(a->values, below + 1 < n ? below + 1 : below);
    *to = quantile_between(x, y, t);
}

static enum status slide_values(struct ctx *c, struct window_agg *a, const struct frame_parts *p,
                                int64_t row, struct column *out, int64_t i)
{
    TRY(move_part(c, a, 0, p->lo[0], p->hi[0]));
    TRY(move_part(c, a, 1, p->lo[1], p->hi[1]));
    if (p->self) TRY(change_values(c, a, &a->rows, row, row + 1, true));
    int64_t n = multiset_count(a->values);
    if (!n)
        column_put_null(out, i);
    else if (a->k.agg->id == AGG_MODE)
        multiset_mode(a->values, out, i);
    else
        quantile(a, n, out, i);
    if (p->self) TRY(change_values(c, a, &a->rows, row, row + 1, false));
    return column_keep_text(c, out, i);
}

/* ---- rows ---- */

static bool same_parts(const struct frame_parts *x, const struct frame_parts *y)
{
    return !x->self && !y->self && x->lo[0] == y->lo[0] && x->hi[0] == y->hi[0] &&
           x->lo[1] == y->lo[1] && x->hi[1] == y->hi[1];
}

enum status window_agg_fill(struct ctx *c, struct window_agg *a, const struct frames *f,
                            struct column *out)
{
    struct frame_parts p, last = {{-1, -1}, {-1, -1}, false};
    TRY(result_column(c, &a->k, f->n, out));
    if (a->whole) return fill_whole(c, a, f, out);
    for (int64_t i = 0; i < f->n; i++, last = p) {
        p = frame_parts(f, i, a->w->exclude);
        if (i > 0 && same_parts(&p, &last))
            copy_result(out, i - 1, out, i);
        else if (a->k.ordered)
            TRY(make_list(c, a, &p, f->first + i, out, i));
        else if (a->values)
            TRY(slide_values(c, a, &p, f->first + i, out, i));
        else
            TRY(slide(c, a, &p, f->first + i, out, i));
    }
    return OK;
}

/* ---- making ---- */

static enum status prepare(struct ctx *c, struct window_agg *a, const int *cols,
                           const char *tmp_dir)
{
    void *mem;
    args_init(c, &a->rows, &a->k, cols, a->s);
    TRY(buf_alloc(c, a->k.state_bytes, &a->state));
    agg_state_init(&a->k, a->state);
    a->lo[0] = a->k.ordered ? -1 : 0;
    if (a->whole) {
        TRY(buf_alloc(c, 64, &mem));
        memset(mem, 0, 64);
        a->value = (struct column){.type = a->k.result, .values = mem};
        a->value.valid = (uint64_t *)mem + 2;
        return a->k.holistic ? sort_values(c, a, tmp_dir) : OK;
    }
    int parts = a->w->exclude == EXCLUDE_NONE ? 1 : 2;
    if (a->k.ordered) return OK;
    if (!a->k.holistic) {
        for (int i = 0; i < parts; i++)
            TRY(slider_new(c, &a->k, cols, a->s, &a->sliders[i]));
        return OK;
    }
    for (int i = 0; i < 2; i++) {
        args_init(c, &a->in[i], &a->k, cols, a->s);
        args_init(c, &a->out[i], &a->k, cols, a->s);
    }
    return multiset_new(c, a->k.types[0], &a->values);
}

enum status window_agg_new(struct ctx *c, const struct row_call *call, const struct row_window *w,
                           const struct env *env, const struct row_arg *args,
                           const struct sorted_rows *s, const char *tmp_dir,
                           struct window_agg **out)
{
    int cols[CURSOR_COLS], n_slots = 0;
    struct expr *es[CURSOR_COLS];
    struct agg_bound k;
    TRY(agg_bind(c, &call->call, env, es, &n_slots, &k));
    for (int i = 0; i < k.n_args; i++)
        cols[i] = args[i].col;
    if (k.filter >= 0) cols[k.n_args] = args[call->call.n_args].col;
    if (k.ordered) { /* the rows come in order */
        int filter = k.filter;
        k = agg_bound_of_values(&k);
        k.filter = filter;
    }
    struct window_agg *a = calloc(1, sizeof *a);
    if (!a) return fail(c, ERR_MEMORY, "out of memory");
    *a = (struct window_agg){.w = w, .s = s, .k = k, .whole = window_is_whole(w), .part_lo = -1};
    enum status st = prepare(c, a, cols, tmp_dir);
    if (st < 0)
        window_agg_free(a);
    else
        *out = a;
    return st;
}

void window_agg_free(struct window_agg *a)
{
    if (!a) return;
    args_free(&a->rows);
    for (int i = 0; i < 2; i++) {
        slider_free(a->sliders[i]);
        args_free(&a->in[i]);
        args_free(&a->out[i]);
    }
    buf_free(a->state);
    buf_free(a->value.values);
    text_heap_free(&a->heap);
    text_heap_free(&a->value_heap);
    holistic_free(a->sorted);
    multiset_free(a->values);
    free(a);
}
