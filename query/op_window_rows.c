/* A column for each OVER (PARTITION BY … ORDER BY … frame), beside the columns and over the
 * dimensions of the input.
 *
 * The input's cells are gathered in row-major order, and numbered; what windows look at goes to one
 * more rowset a sort, which is sorted, unless it is in order already, and walked once, by all
 * windows that the sort serves. The results go back to the order of the numbers. A box of the
 * result is read from what was gathered and from the results, by number. */
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/reach.h"
#include "query/rowset_internal.h"
#include "query/window_internal.h"
#include <stdlib.h>

#define GRID_CELLS 16384
#define INDEX_ROWS 1024

/* One sort, and the windows that it serves. */
struct win_sort {
    int n_keys;
    struct rowset_key *keys; /* columns of `rows.rows` */
    int n_cols;
    int *slots; /* columns 1 …: which of the program's outputs */
    struct sorted_rows rows;
    bool *serves; /* of the plan's windows */
    int n_calls, *calls;
    struct rowset *results; /* the row's number, then a column a call */
};

struct windowing {
    struct op *op;
    int n_slots;
    struct expr **slots;
    const struct program *program;
    struct win_sort *sorts;
    int n_sorts;
    struct rowset *cells; /* the input's columns, then the row-major number of the cell */
    int64_t n;
    bool dense;               /* every cell exists */
    int64_t *index;           /* else: the row-major number of every INDEX_ROWS-th cell */
    int *sort_of, *column_of; /* where a call's results are */
};

/* ---- which sorts ---- */

static int slot_of(struct windowing *s, struct expr *e)
{
    for (int i = 0; i < s->n_slots; i++)
        if (expr_equal(s->slots[i], e)) return i;
    s->slots[s->n_slots] = e;
    return s->n_slots++;
}

/* The sort's column of an expression. */
static int column_of(struct windowing *s, struct win_sort *sort, struct expr *e)
{
    int slot = slot_of(s, e);
    for (int i = 1; i < sort->n_cols; i++)
        if (sort->slots[i] == slot) return i;
    sort->slots[sort->n_cols] = slot;
    return sort->n_cols++;
}

/* Do the results depend on how rows with equal keys lie? */
static bool sees_ties(const struct plan *p, int window)
{
    for (int i = 0; i < p->n_calls; i++) {
        const struct row_call *k = &p->calls[i];
        if (k->window != window) continue;
        switch (k->fn) {
        case WF_RANK:
        case WF_DENSE_RANK:
        case WF_PERCENT_RANK:
        case WF_CUME_DIST:
            break;
        case WF_AGGREGATE:
            if (agg_is_ordered(k->call.agg)) return true;
            if (p->windows[window].unit == FRAME_ROWS && !window_is_whole(&p->windows[window]))
                return true;
            break;
        default:
            return true;
        }
    }
    return false;
}

static int window_keys(const struct row_window *w)
{
    return w->n_partition + w->n_order;
}

/* Key k of the window is that of the sort. In which direction partitions come does not matter. */
static bool same_key(const struct windowing *s, const struct win_sort *sort,
                     const struct row_window *w, int k)
{
    const struct rowset_key *key = &sort->keys[k];
    const struct expr *have = s->slots[sort->slots[key->column]];
    if (k < w->n_partition) return expr_equal(have, w->partition[k]);
    const struct sort_key *want = &w->order[k - w->n_partition];
    return want->desc == key->desc && want->nulls_first == key->nulls_first &&
           expr_equal(have, want->e);
}

/* Windows whose keys are the first of the sort's go along; with fewer keys only if that shows in
 * none of their results. */
static bool can_serve(const struct windowing *s, const struct win_sort *sort, int window)
{
    const struct plan *p = s->op->plan;
    const struct row_window *w = &p->windows[window];
    int n = window_keys(w);
    if (n > sort->n_keys || (n < sort->n_keys && sees_ties(p, window))) return false;
    for (int k = 0; k < n; k++)
        if (!same_key(s, sort, w, k)) return false;
    return true;
}

static void new_sort(struct ctx *c, struct windowing *s, const struct row_window *w, int max_slots)
{
    struct win_sort *sort = &s->sorts[s->n_sorts++];
    const struct plan *p = s->op->plan;
    sort->n_keys = window_keys(w);
    sort->keys = arena_array(c->arena, struct rowset_key, sort->n_keys + 1);
    sort->slots = arena_array(c->arena, int, max_slots + 1);
    sort->serves = arena_array(c->arena, bool, p->n_windows);
    sort->calls = arena_array(c->arena, int, p->n_calls + 1);
    sort->n_cols = 1;
    for (int i = 0; i < w->n_partition; i++)
        sort->keys[i].column = column_of(s, sort, w->partition[i]);
    for (int i = 0; i < w->n_order; i++)
        sort->keys[w->n_partition + i] =
            (struct rowset_key){.column = column_of(s, sort, w->order[i].e),
                                .desc = w->order[i].desc,
                                .nulls_first = w->order[i].nulls_first};
}

/* Windows with more keys come first. */
static void choose_sorts(struct ctx *c, struct windowing *s, int max_slots)
{
    const struct plan *p = s->op->plan;
    int most = 0;
    s->sorts = arena_array(c->arena, struct win_sort, p->n_windows + 1);
    for (int i = 0; i < p->n_windows; i++)
        if (window_keys(&p->windows[i]) > most) most = window_keys(&p->windows[i]);
    for (int n = most; n >= 0; n--) {
        for (int i = 0; i < p->n_windows; i++) {
            int k = 0;
            if (window_keys(&p->windows[i]) != n) continue;
            while (k < s->n_sorts && !can_serve(s, &s->sorts[k], i))
                k++;
            if (k == s->n_sorts) new_sort(c, s, &p->windows[i], max_slots);
            s->sorts[k].serves[i] = true;
        }
    }
}

static void place_calls(struct windowing *s)
{
    const struct plan *p = s->op->plan;
    for (int i = 0; i < p->n_calls; i++) {
        const struct agg_call *call = &p->calls[i].call;
        int k = 0;
        while (!s->sorts[k].serves[p->calls[i].window])
            k++;
        struct win_sort *sort = &s->sorts[k];
        s->sort_of[i] = k;
        s->column_of[i] = 1 + sort->n_calls;
        sort->calls[sort->n_calls++] = i;
        for (int a = 0; a < call->n_args; a++)
            if (!expr_is_const(call->args[a]) || call->agg) column_of(s, sort, call->args[a]);
        if (call->filter) column_of(s, sort, call->filter);
    }
}

static enum status prepare(struct ctx *c, struct windowing *s)
{
    const struct plan *p = s->op->plan;
    int max_slots = 1;
    for (int i = 0; i < p->n_windows; i++)
        max_slots += window_keys(&p->windows[i]);
    for (int i = 0; i < p->n_calls; i++)
        max_slots += p->calls[i].call.n_args + 1;
    s->slots = arena_array(c->arena, struct expr *, max_slots);
    s->sort_of = arena_array(c->arena, int, p->n_calls + 1);
    s->column_of = arena_array(c->arena, int, p->n_calls + 1);
    choose_sorts(c, s, max_slots);
    place_calls(s);
    struct program *program;
    TRY(program_compile(c, s->slots, s->n_slots, &p->in[0]->rel, exec_env(s->op->exec), &program));
    s->program = program;
    return OK;
}

/* ---- gathering ---- */

struct gathering {
    struct sink sink;
    struct windowing *s;
};

/* The chunk's cells' numbers, in order of the cells. */
static void number_cells(const struct chunk *ch, const int64_t *rows, int64_t first, int64_t *out)
{
    for (int64_t i = 0; i < ch->n_present; i++)
        out[rows ? rows[i] : i] = first + i;
}

static enum status gather(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                          const struct chunk *ch)
{
    (void)worker, (void)seq;
    struct windowing *s = ((struct gathering *)sink)->s;
    void *mem;
    int64_t *rows;
    size_t n_cols = (size_t)(s->n_slots + ch->n_cols + 2);
    TRY(scratch_alloc(c, sizeof(struct column) * n_cols * 2, &mem));
    struct column *slots = mem, *cols = slots + n_cols;
    if (s->n_slots) TRY(program_run(c, s->program, ch, slots));
    TRY(chunk_rows(c, ch, &rows));
    for (int i = 0; i < ch->n_cols; i++)
        cols[i] = ch->cols[i];
    TRY(column_alloc(c, T_INT64, ch->n, &cols[ch->n_cols]));
    chunk_ranks(ch, &s->op->box, cols[ch->n_cols].values);
    TRY(rowset_append(c, s->cells, cols, rows, ch->n_present));
    TRY(column_alloc(c, T_INT64, ch->n, &cols[0]));
    number_cells(ch, rows, s->n, cols[0].values);
    for (int k = 0; k < s->n_sorts; k++) {
        const struct win_sort *sort = &s->sorts[k];
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)sort->n_cols, &mem));
        struct column *own = mem;
        own[0] = cols[0];
        for (int i = 1; i < sort->n_cols; i++)
            own[i] = slots[sort->slots[i]];
        TRY(rowset_append(c, sort->rows.rows, own, rows, ch->n_present));
    }
    s->n += ch->n_present;
    return OK;
}

static enum status gather_all(struct ctx *c, struct windowing *s)
{
    const struct rel *in = &s->op->plan->in[0]->rel;
    const char *tmp_dir = exec_tmp_dir(s->op->exec);
    struct gathering g = {.sink = {.consume = gather, .ordered = true}, .s = s};
    int64_t share = memory_share(c, 8 * (s->n_sorts + 1));
    enum type *types = arena_array(c->arena, enum type, in->n_cols + s->n_slots + 2);
    for (int i = 0; i < in->n_cols; i++)
        types[i] = in->cols[i].type;
    types[in->n_cols] = T_INT64;
    TRY(rowset_new_within(c, types, in->n_cols + 1, tmp_dir, share, &s->cells));
    for (int k = 0; k < s->n_sorts; k++) {
        struct win_sort *sort = &s->sorts[k];
        types[0] = T_INT64;
        for (int i = 1; i < sort->n_cols; i++)
            types[i] = s->slots[sort->slots[i]]->type;
        TRY(rowset_new_within(c, types, sort->n_cols, tmp_dir, share, &sort->rows.rows));
        sort->rows.keys = sort->keys;
        sort->rows.n_keys = sort->n_keys;
    }
    return exec_run(c, s->op->in[0], NULL, &g.sink);
}

/* ---- walking a sort ---- */

struct walk {
    struct framer **framers; /* of the plan's windows that the sort serves */
    const struct frames **frames;
    struct window_function **functions; /* of the sort's calls */
};

/* A constant that an aggregate counts by each row is a column like others. */
static enum status call_args(struct ctx *c, struct windowing *s, struct win_sort *sort,
                             const struct agg_call *call, struct row_arg *args)
{
    for (int i = 0; i < call->n_args; i++) {
        args[i].col = -1;
        if (call->agg || !expr_is_const(call->args[i]))
            args[i].col = column_of(s, sort, call->args[i]);
        else
            TRY(expr_eval_const(c, call->args[i], exec_env(s->op->exec), &args[i].value));
    }
    if (call->filter) args[call->n_args].col = column_of(s, sort, call->filter);
    return OK;
}

static enum status start_walk(struct ctx *c, struct windowing *s, struct win_sort *sort,
                              struct walk *w)
{
    const struct plan *p = s->op->plan;
    const struct env *env = exec_env(s->op->exec);
    for (int i = 0; i < p->n_windows; i++)
        if (sort->serves[i]) TRY(framer_new(c, &p->windows[i], env, &sort->rows, &w->framers[i]));
    for (int i = 0; i < sort->n_calls; i++) {
        const struct row_call *k = &p->calls[sort->calls[i]];
        struct row_arg *args = arena_array(c->arena, struct row_arg, k->call.n_args + 1);
        TRY(call_args(c, s, sort, &k->call, args));
        TRY(function_new(c, k, &p->windows[k->window], env, args, &sort->rows,
                         exec_tmp_dir(s->op->exec), &w->functions[i]));
    }
    return OK;
}

static enum status walk_rows(struct ctx *c, struct windowing *s, struct win_sort *sort,
                             struct walk *w)
{
    const struct plan *p = s->op->plan;
    const int first = 0;
    for (int64_t lo = 0; lo < s->n; lo += WIN_ROWS) {
        int64_t n = s->n - lo < WIN_ROWS ? s->n - lo : WIN_ROWS;
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *mem;
        TRY(check_cancel(c));
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(sort->n_calls + 1), &mem));
        struct column *cols = mem;
        TRY(rowset_read(c, sort->rows.rows, lo, lo + n, &first, 1, cols));
        for (int i = 0; i < p->n_windows; i++)
            if (sort->serves[i]) TRY(framer_next(c, w->framers[i], n, &w->frames[i]));
        for (int i = 0; i < sort->n_calls; i++) {
            struct column *col = &cols[1 + i];
            const struct row_call *k = &p->calls[sort->calls[i]];
            TRY(function_fill(c, w->functions[i], w->frames[k->window], col));
            if (col->valid && bits_all(col->valid, 0, n)) col->valid = NULL;
        }
        TRY(rowset_append(c, sort->results, cols, NULL, n));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status walk(struct ctx *c, struct windowing *s, struct win_sort *sort)
{
    const struct plan *p = s->op->plan;
    struct walk w = {.framers = arena_array(c->arena, struct framer *, p->n_windows + 1),
                     .frames = arena_array(c->arena, const struct frames *, p->n_windows + 1),
                     .functions =
                         arena_array(c->arena, struct window_function *, sort->n_calls + 1)};
    enum type *types = arena_array(c->arena, enum type, sort->n_calls + 1);
    types[0] = T_INT64;
    for (int i = 0; i < sort->n_calls; i++)
        types[1 + i] = p->calls[sort->calls[i]].type;
    enum status st = rowset_new_within(c, types, sort->n_calls + 1, exec_tmp_dir(s->op->exec),
                                       memory_share(c, 8), &sort->results);
    if (st == OK) st = start_walk(c, s, sort, &w);
    if (st == OK) st = walk_rows(c, s, sort, &w);
    for (int i = 0; i < p->n_windows; i++)
        framer_free(w.framers[i]);
    for (int i = 0; i < sort->n_calls; i++)
        function_free(w.functions[i]);
    return st;
}

/* *rows in the order of the keys, in place of what it was. */
static enum status sort_rows(struct ctx *c, struct rowset **rows, const struct rowset_key *keys,
                             int n_keys)
{
    struct rowset *sorted;
    TRY(rowset_sort(c, *rows, keys, n_keys, -1, &sorted));
    rowset_free(*rows);
    *rows = sorted;
    return OK;
}

static void free_rows(struct win_sort *sort)
{
    rowset_free(sort->rows.rows);
    rowset_free(sort->rows.marks);
    sort->rows.rows = sort->rows.marks = NULL;
}

static enum status run_sort(struct ctx *c, struct windowing *s, struct win_sort *sort)
{
    const struct rowset_key number = {.column = 0};
    bool as_gathered, sorted;
    TRY(rows_mark(c, &sort->rows, &as_gathered));
    if (!as_gathered) {
        TRY(sort_rows(c, &sort->rows.rows, sort->keys, sort->n_keys));
        TRY(rows_mark(c, &sort->rows, &sorted));
    }
    TRY(walk(c, s, sort));
    free_rows(sort);
    return as_gathered ? OK : sort_rows(c, &sort->results, &number, 1);
}

/* ---- the result ---- */

static enum status index_cells(struct ctx *c, struct windowing *s)
{
    const int rank = s->op->plan->in[0]->rel.n_cols;
    int64_t n = (s->n + INDEX_ROWS - 1) / INDEX_ROWS;
    void *mem;
    s->dense = s->n == box_cells(&s->op->box);
    if (s->dense) return OK;
    TRY(buf_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &mem));
    s->index = mem;
    for (int64_t i = 0; i < n; i++) {
        struct column col;
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(rowset_read(c, s->cells, i * INDEX_ROWS, i * INDEX_ROWS + 1, &rank, 1, &col));
        s->index[i] = ((const int64_t *)col.values)[0];
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status window_rows_open(struct ctx *c, struct op *op)
{
    struct windowing *s = arena_new_of(c->arena, struct windowing);
    op->state = s;
    s->op = op;
    op->box = op->in[0]->box;
    grid_long(&op->box, GRID_CELLS, op->grid);
    TRY(prepare(c, s));
    TRY(gather_all(c, s));
    for (int k = 0; k < s->n_sorts; k++)
        TRY(run_sort(c, s, &s->sorts[k]));
    return index_cells(c, s);
}

static void window_rows_close(struct op *op)
{
    struct windowing *s = op->state;
    if (!s) return;
    for (int k = 0; k < s->n_sorts; k++) {
        free_rows(&s->sorts[k]);
        rowset_free(s->sorts[k].results);
        s->sorts[k].results = NULL;
    }
    rowset_free(s->cells);
    buf_free(s->index);
    s->cells = NULL;
    s->index = NULL;
}

/* Cells with numbers [lo, hi) into the chunk's columns. */
static enum status read_cells(struct ctx *c, const struct windowing *s, int64_t lo, int64_t hi,
                              struct column *out)
{
    const struct plan *p = s->op->plan;
    int n_in = p->in[0]->rel.n_cols;
    for (int i = 0; i < n_in; i++)
        TRY(rowset_read(c, s->cells, lo, hi, &i, 1, &out[i]));
    for (int i = 0; i < p->n_calls; i++)
        TRY(rowset_read(c, s->sorts[s->sort_of[i]].results, lo, hi, &s->column_of[i], 1,
                        &out[n_in + i]));
    return OK;
}

/* The number of the first cell at or after a row-major number. */
static enum status first_cell(struct ctx *c, const struct windowing *s, int64_t rank, int64_t *out)
{
    const int col = s->op->plan->in[0]->rel.n_cols;
    int64_t lo = 0, hi = (s->n + INDEX_ROWS - 1) / INDEX_ROWS;
    if (s->dense) {
        *out = rank;
        return OK;
    }
    while (lo < hi) { /* the first entry past it */
        int64_t mid = lo + (hi - lo) / 2;
        if (s->index[mid] < rank)
            lo = mid + 1;
        else
            hi = mid;
    }
    *out = 0;
    if (lo == 0) return OK;
    struct column ranks;
    struct scratch_mark mark = scratch_mark(c->scratch);
    int64_t from = (lo - 1) * INDEX_ROWS, to = from + INDEX_ROWS < s->n ? from + INDEX_ROWS : s->n;
    TRY(rowset_read(c, s->cells, from, to, &col, 1, &ranks));
    while (from < to && ((const int64_t *)ranks.values)[from - (lo - 1) * INDEX_ROWS] < rank)
        from++;
    scratch_release(c->scratch, mark);
    *out = from;
    return OK;
}

static void put_cells(const struct column *from, const int64_t *ranks, int64_t n, int64_t base,
                      struct column *to)
{
    size_t width = type_bytes(to->type);
    for (int64_t i = 0; i < n; i++) {
        memcpy((char *)to->values + (size_t)(ranks[i] - base) * width,
               (const char *)from->values + (size_t)i * width, width);
        if (to->valid) bit_put(to->valid, ranks[i] - base, !column_is_null(from, i));
    }
}

/* The cells with row-major numbers [rank, rank + run), that are the chunk's from `at` on. */
static enum status read_run(struct ctx *c, const struct windowing *s, int64_t rank, int64_t run,
                            int64_t at, struct chunk *out)
{
    const int rank_col = s->op->plan->in[0]->rel.n_cols;
    int64_t lo, hi, base = rank - at;
    struct column ranks;
    void *mem;
    TRY(first_cell(c, s, rank, &lo));
    TRY(first_cell(c, s, rank + run, &hi));
    if (lo == hi) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(out->n_cols + 1), &mem));
    struct column *cols = mem;
    TRY(rowset_read(c, s->cells, lo, hi, &rank_col, 1, &ranks));
    TRY(read_cells(c, s, lo, hi, cols));
    for (int64_t i = 0; i < hi - lo; i++)
        bit_set(out->present, ((const int64_t *)ranks.values)[i] - base);
    out->n_present += hi - lo;
    for (int k = 0; k < out->n_cols; k++) {
        if (cols[k].valid) TRY(column_need_valid(c, &out->cols[k], out->n));
        put_cells(&cols[k], ranks.values, hi - lo, base, &out->cols[k]);
    }
    return OK;
}

/* A box of n cells with consecutive numbers. */
static enum status read_dense(struct ctx *c, const struct windowing *s, const struct box *want,
                              int64_t lo, int64_t n, struct chunk *out)
{
    const struct rel *rel = &s->op->plan->rel;
    struct chunk ch = {.box = *want, .n = n, .n_present = n, .n_cols = rel->n_cols, .rel = rel};
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(rel->n_cols + 1), &mem));
    ch.cols = mem;
    TRY(read_cells(c, s, lo, lo + n, ch.cols));
    *out = ch;
    return OK;
}

static enum status window_rows_produce(struct ctx *c, struct op *op, const struct box *want,
                                       struct chunk *out)
{
    const struct windowing *s = op->state;
    struct chunk ch;
    int64_t run = 1;
    for (int d = want->n_dims - 1; d >= 0; d--) {
        run *= box_extent(want, d);
        if (box_extent(want, d) != box_extent(&op->box, d)) break;
    }
    if (s->dense && run == box_cells(want)) {
        int64_t lo = box_index(&op->box, want->lo);
        return read_dense(c, s, want, lo, run, out);
    }
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    bits_fill(ch.present, 0, ch.n, false);
    ch.n_present = 0;
    for (int64_t at = 0; at < ch.n; at += run) {
        int64_t pos[MAX_DIMS];
        box_position(want, at, pos);
        TRY(read_run(c, s, box_index(&op->box, pos), run, at, &ch));
    }
    *out = ch;
    return OK;
}

const struct op_class op_window_rows_class = {"window", window_rows_open, window_rows_produce,
                                              window_rows_close};
