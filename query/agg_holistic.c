/* Aggregates that need all their values in order: median, quantile, mode, string_agg, and anything
 * DISTINCT.
 *
 * Quantiles set (group, value) rows aside and select from them, or sort them; string_agg and
 * array_agg sort (group, ORDER BY, cell's number, arguments). Mode and DISTINCT first group by
 * (group, values) and count, which leaves few rows where values repeat, and so does approx_quantile
 * with rounded values. All end as rows sorted by group, then value; a group's rows follow those of
 * the group before, and how many there are is known from the number of values that its state
 * counted. So no key is ever compared here.
 *
 * Quantiles of the same values share their rows. */
#include "query/agg_internal.h"
#include "query/agg_quantile.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include <math.h>
#include <stdlib.h>

#define READ_ROWS 2048

struct holistic {
    const struct agg_bound *k; /* the first call */
    int n_calls;
    double *qs;             /* of each */
    struct agg_bound plain; /* of the values, when the call is DISTINCT or ordered */
    int n_keys;
    int first_arg; /* the column of the first argument */
    bool counted, fed;
    bool reduced; /* sorted has keys, number of values, result: of groups with some value */
    int n_workers;
    int64_t mem_bytes;
    const char *tmp_dir;
    const enum type *key_types;
    struct rowset *rows;   /* keys, what to sort by when ordered, arguments */
    struct hashagg *seen;  /* counted: keys, arguments */
    struct rowset *sorted; /* the same columns, and when counted the count */
    int64_t next;          /* first row of the next group */
    double *quantiles;     /* of each group for each call, when they could be selected; next counts
                              groups then */
    /* the rows being looked at: */
    struct scratch *scratch;
    int64_t lo, hi;
    struct column cols[3];
    void *state; /* of plain */
    struct text_heap heap, results;
};

bool holistic_shares(const struct agg_bound *a, const struct agg_bound *b)
{
    enum agg_id id = a->agg->id;
    if (id != b->agg->id || a->distinct || b->distinct || a->agg->nan != b->agg->nan) return false;
    if (id == AGG_PERCENTILE_DISC) return a->order[0].desc == b->order[0].desc;
    return id == AGG_QUANTILE || id == AGG_APPROX_QUANTILE;
}

/* Columns of the rows: keys; ORDER BY and the cell's number, unless arguments are all there is to
 * sort by; arguments. */
static enum status new_sets(struct ctx *c, struct holistic *h, const enum type *key_types,
                            int n_workers, int64_t mem_bytes, const char *tmp_dir)
{
    const struct agg_bound *k = h->k;
    void *mem;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, sizeof(enum type) * (size_t)(h->n_keys + k->n_order + 3), &mem));
    enum type *types = mem;
    int n = h->n_keys;
    for (int i = 0; i < n; i++)
        types[i] = key_types[i];
    if (k->ordered && !h->counted) {
        for (int i = 0; i < k->n_order; i++)
            types[n++] = k->order_types[i];
        types[n++] = T_INT64;
    }
    h->first_arg = n;
    for (int i = 0; i < k->n_args; i++)
        types[n++] = k->types[i];
    if (h->counted)
        TRY(hashagg_new(c, types, n, NULL, n_workers, mem_bytes, tmp_dir, &h->seen));
    else
        TRY(rowset_new_within(c, types, n, tmp_dir, mem_bytes, &h->rows));
    scratch_release(c->scratch, mark);
    return OK;
}

static bool reads_ranks(enum agg_id id)
{
    return id == AGG_QUANTILE || id == AGG_PERCENTILE_DISC || id == AGG_APPROX_QUANTILE;
}

enum status holistic_new(struct ctx *c, const struct agg_bound *const *calls, int n_calls,
                         const enum type *key_types, int n_keys, int n_workers, int64_t mem_bytes,
                         const char *tmp_dir, struct holistic **out)
{
    struct holistic *h = calloc(1, sizeof *h);
    if (!h) return fail(c, ERR_MEMORY, "out of memory");
    const struct agg_bound *k = h->k = calls[0];
    enum agg_id id = k->agg->id;
    h->n_keys = n_keys;
    h->n_calls = n_calls;
    h->n_workers = n_workers;
    h->mem_bytes = mem_bytes;
    h->tmp_dir = tmp_dir;
    h->key_types = key_types;
    h->counted = k->distinct || id == AGG_MODE || id == AGG_APPROX_QUANTILE;
    h->fed = id != AGG_MODE && !reads_ranks(id);
    h->qs = calloc((size_t)n_calls, sizeof *h->qs);
    enum status s = h->qs ? new_sets(c, h, key_types, n_workers, mem_bytes, tmp_dir)
                          : fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; s == OK && i < n_calls; i++)
        h->qs[i] = calls[i]->q;
    if (s == OK && h->fed) {
        h->plain = agg_bound_of_values(k);
        s = buf_alloc(c, h->plain.state_bytes, &h->state);
    }
    if (s < 0)
        holistic_free(h);
    else
        *out = h;
    return s;
}

void holistic_free(struct holistic *h)
{
    if (!h) return;
    rowset_free(h->rows);
    hashagg_free(h->seen);
    rowset_free(h->sorted);
    scratch_free(h->scratch);
    buf_free(h->state);
    buf_free(h->quantiles);
    text_heap_free(&h->heap);
    text_heap_free(&h->results);
    free(h->qs);
    free(h);
}

/* ---- adding ---- */

/* The columns of new_sets(). */
static enum status columns_of(struct ctx *c, const struct holistic *h, const struct column *keys,
                              const struct agg_input *in, const struct call_input *ci,
                              struct column **out)
{
    const struct agg_bound *k = h->k;
    int64_t cells = in->chunk->n;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(h->first_arg + 2), &mem));
    struct column *cols = *out = mem;
    int n = 0;
    for (; n < h->n_keys; n++)
        cols[n] = keys[n];
    if (h->first_arg > n) {
        for (int i = 0; i < k->n_order; i++)
            cols[n++] = in->cols[k->order_slots[i]];
        TRY(scratch_alloc(c, (size_t)cells * sizeof(int64_t) + 8, &mem));
        agg_ranks(in, mem);
        cols[n++] = (struct column){.type = T_INT64, .values = mem};
    }
    for (int i = 0; i < k->n_args; i++)
        cols[n++] = *ci->args[i];
    if (k->agg->id == AGG_APPROX_QUANTILE && !k->distinct) {
        TRY(scratch_alloc(c, (size_t)cells * sizeof(double) + 8, &mem));
        const double *x = cols[n - 1].values;
        double *rounded = cols[n - 1].values = mem;
        for (int64_t i = 0; i < cells; i++)
            rounded[i] = agg_rounded(x[i]);
    }
    if (!h->fed) cols[n - 1].valid = NULL; /* NULLs are masked out */
    return OK;
}

enum status holistic_add(struct ctx *c, struct holistic *h, int worker, const struct column *keys,
                         const struct agg_input *in, const struct call_input *ci)
{
    if (ci->none) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    int64_t n = in->chunk->n, m = n;
    struct column *cols;
    TRY(columns_of(c, h, keys, in, ci, &cols));
    if (h->counted) {
        TRY(hashagg_add(c, h->seen, worker, cols, ci->mask, NULL, n));
    } else {
        int64_t *rows = NULL;
        if (ci->mask) {
            void *mem;
            TRY(scratch_alloc(c, (size_t)n * sizeof *rows, &mem));
            rows = mem;
            m = 0;
            for (int64_t i = bits_next(ci->mask, 0, n); i < n; i = bits_next(ci->mask, i + 1, n))
                rows[m++] = i;
        }
        TRY(rowset_append(c, h->rows, cols, rows, m));
    }
    scratch_release(c->scratch, mark);
    return OK;
}

/* ---- sorting ---- */

/* By keys; then what ORDER BY says, the rest in ascending order. */
static enum status sort_rows(struct ctx *c, struct holistic *h, struct rowset *rows)
{
    const struct agg_bound *k = h->k;
    int n = 0, columns = h->first_arg + k->n_args;
    struct rowset_key *keys = calloc((size_t)(columns + k->n_order) + 1, sizeof *keys);
    if (!keys) return fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; i < h->n_keys; i++)
        keys[n++].column = i;
    for (int i = 0; i < k->n_order; i++) {
        int column = h->n_keys + i;
        for (int j = 0; h->first_arg == h->n_keys && j < k->n_args; j++)
            if (k->slots[j] == k->order_slots[i]) column = h->n_keys + j;
        keys[n++] = (struct rowset_key){column, k->order[i].desc, k->order[i].nulls_first};
    }
    bool by_rank = h->first_arg > h->n_keys;
    int first = by_rank ? h->first_arg - 1 : h->n_keys;
    for (int i = first; i < (by_rank ? h->first_arg : columns); i++)
        keys[n++].column = i;
    enum status s = rowset_sort(c, rows, keys, n, -1, &h->sorted);
    free(keys);
    return s;
}

/* ---- counted values in no order ---- */

struct reducing {
    struct holistic *h;
    struct agg_set set;
    struct hashagg *groups;
    bool mode, last; /* of those that are there equally often the last */
};

/* argmax(count, value), a value's place in order being its rank. */
static enum status mode_input(struct ctx *c, const struct reducing *r, const struct column *cols,
                              int64_t n, struct agg_input *in)
{
    const struct column *value = &cols[r->h->n_keys];
    void *mem;
    TRY(scratch_alloc(c, (size_t)n * sizeof(uint64_t) + 8, &mem));
    uint64_t *words = mem;
    sortkey_encode(value->type, value->values, n, words);
    for (int64_t i = 0; i < n; i++)
        words[i] = (r->last ? ~words[i] : words[i]) ^ UINT64_C(1) << 63; /* signed */
    in->ranks = mem;
    in->calls->args[0] = value + 1;
    in->calls->args[1] = value;
    return OK;
}

static enum status reduce(struct ctx *c, void *self, int worker, const struct column *cols,
                          int64_t n)
{
    struct reducing *r = self;
    struct chunk ch = {.n = n, .n_present = n};
    struct call_input call = {0};
    struct agg_input in = {.chunk = &ch, .calls = &call, .cols = cols};
    for (int i = 0; i < r->h->k->n_args; i++)
        call.args[i] = &cols[r->h->n_keys + i];
    if (r->mode) TRY(mode_input(c, r, cols, n, &in));
    return hashagg_add(c, r->groups, worker, cols, NULL, &in, n);
}

/* Where neither order nor place tells anything, the distinct values need no sorting: they go to an
 * aggregate of their groups. */
static enum status reduce_counted(struct ctx *c, struct holistic *h)
{
    struct reducing r = {.h = h, .set = {.n = 1, .calls = &h->plain}};
    r.mode = h->k->agg->id == AGG_MODE;
    if (r.mode) h->plain = agg_bound_of_counts(h->k);
    r.set.ranks = r.mode;
    r.last = h->k->agg->within && h->k->order[0].desc;
    TRY(hashagg_new(c, h->key_types, h->n_keys, &r.set, h->n_workers, h->mem_bytes, h->tmp_dir,
                    &r.groups));
    enum status s = hashagg_each(c, h->seen, reduce, &r);
    if (s == OK) s = hashagg_finish(c, r.groups, &h->sorted);
    hashagg_free(r.groups);
    h->reduced = true;
    h->first_arg = h->n_keys + 1;
    return s;
}

static bool reducible(const struct holistic *h)
{
    const struct agg_bound *k = h->k;
    if (k->agg->id == AGG_MODE) return !k->distinct && !type_is_varlen(k->types[0]);
    return h->fed && !k->ordered && !h->plain.ranks;
}

static enum status finish_counted(struct ctx *c, struct holistic *h)
{
    struct rowset *counted;
    if (reducible(h)) {
        TRY(reduce_counted(c, h));
        hashagg_free(h->seen);
        h->seen = NULL;
        return OK;
    }
    TRY(hashagg_finish(c, h->seen, &counted));
    hashagg_free(h->seen);
    h->seen = NULL;
    if (!h->k->ordered || !h->k->n_order) {
        h->sorted = counted;
        return OK;
    }
    enum status s = sort_rows(c, h, counted);
    rowset_free(counted);
    return s;
}

enum status holistic_finish(struct ctx *c, struct holistic *h, const int64_t *counts,
                            int64_t n_groups)
{
    h->scratch = scratch_new(c->budget);
    if (h->counted) return finish_counted(c, h);
    bool done = false;
    if (counts && h->k->agg->id == AGG_QUANTILE) {
        void *quantiles;
        TRY(buf_alloc(c, (size_t)(n_groups * h->n_calls) * sizeof(double) + 8, &quantiles));
        h->quantiles = quantiles;
        TRY(quantile_groups(c, h->rows, h->n_keys, counts, n_groups, h->qs, h->n_calls,
                            h->quantiles, &done));
    }
    if (!done) {
        buf_free(h->quantiles);
        h->quantiles = NULL;
        TRY(sort_rows(c, h, h->rows));
    }
    rowset_free(h->rows);
    h->rows = NULL;
    return OK;
}

/* ---- walking the groups ---- */

/* Makes the row one of those being looked at; *at: its index among them. */
static enum status look_at(struct ctx *c, struct holistic *h, int64_t row, int64_t *at)
{
    if (row < h->lo || row >= h->hi) {
        int which[3], n = h->reduced ? 1 : h->k->n_args + h->counted;
        for (int i = 0; i < n; i++)
            which[i] = h->first_arg + i;
        int64_t total = rowset_rows(h->sorted), lo = row - row % READ_ROWS;
        struct scratch *own = c->scratch;
        h->lo = h->hi = 0;
        c->scratch = h->scratch;
        scratch_reset(h->scratch);
        int64_t hi = lo + READ_ROWS < total ? lo + READ_ROWS : total;
        enum status s = rowset_read(c, h->sorted, lo, hi, which, n, h->cols);
        c->scratch = own;
        TRY(s);
        h->lo = lo;
        h->hi = hi;
    }
    *at = row - h->lo;
    return OK;
}

static const int64_t *counts(const struct holistic *h)
{
    return h->cols[h->k->n_args].values;
}

/* The end of the group's rows that starts at h->next and stands for so many values. */
static enum status group_end(struct ctx *c, struct holistic *h, int64_t n_values, int64_t *end)
{
    int64_t row = h->next, at;
    for (; n_values > 0; row++) {
        TRY(look_at(c, h, row, &at));
        n_values -= counts(h)[at];
    }
    *end = row;
    return OK;
}

static enum status value_at(struct ctx *c, struct holistic *h, int64_t row, double *out)
{
    int64_t at;
    TRY(look_at(c, h, row, &at));
    *out = ((const double *)h->cols[0].values)[at];
    return OK;
}

/* The row of rank `rank`, 0-based, of the values that rows from `first` on stand for. */
static enum status row_of_rank(struct ctx *c, struct holistic *h, int64_t first, int64_t rank,
                               int64_t *row)
{
    *row = first + rank;
    if (!h->counted || h->k->distinct) return OK;
    for (*row = first;; ++*row) {
        int64_t at;
        TRY(look_at(c, h, *row, &at));
        rank -= counts(h)[at];
        if (rank < 0) return OK;
    }
}

/* NaN, which sorts last, makes the result NaN. An approximate one is the lower of the two values
 * that an exact one lies between. */
static enum status quantile_of(struct ctx *c, struct holistic *h, int64_t first, int64_t end,
                               int64_t n, double q, double *out)
{
    double last, a, b, t;
    int64_t below, row;
    TRY(value_at(c, h, end - 1, &last));
    *out = (double)NAN;
    if (last != last) return OK;
    quantile_rank(q, n, &below, &t);
    TRY(row_of_rank(c, h, first, below, &row));
    TRY(value_at(c, h, row, &a));
    if (h->k->agg->id == AGG_APPROX_QUANTILE && !h->k->distinct) {
        *out = a + 0.0;
        return OK;
    }
    TRY(value_at(c, h, below + 1 < n ? row + 1 : row, &b));
    *out = quantile_between(a, b, t);
    return OK;
}

/* Results outlive what they were made from. */
static enum status keep_text(struct ctx *c, struct holistic *h, struct column *out, int64_t i)
{
    if (!type_is_varlen(out->type) || column_is_null(out, i)) return OK;
    struct text *t = (struct text *)out->values + i;
    struct text_ref ref = {0};
    TRY(text_heap_put(c, &h->results, &ref, t->s, t->len));
    t->s = ref.s ? ref.s : "";
    return OK;
}

static enum status take_row(struct ctx *c, struct holistic *h, int64_t row, struct column *out,
                            int64_t i)
{
    int64_t at;
    TRY(look_at(c, h, row, &at));
    size_t width = type_bytes(out->type);
    memcpy((char *)out->values + (size_t)i * width,
           (const char *)h->cols[0].values + (size_t)at * width, width);
    if (column_is_null(&h->cols[0], at)) column_put_null(out, i);
    return keep_text(c, h, out, i);
}

/* The first in order of those that are there most often. */
static enum status mode_of(struct ctx *c, struct holistic *h, int64_t first, int64_t end,
                           struct column *out, int64_t i)
{
    int64_t best = 0, best_row = first, at;
    bool last = h->k->agg->within && h->k->order[0].desc;
    for (int64_t row = first; row < end; row++) {
        TRY(look_at(c, h, row, &at));
        int64_t n = h->k->distinct ? 1 : counts(h)[at];
        if (n < best || (n == best && !last)) continue;
        best = n;
        best_row = row;
    }
    return take_row(c, h, best_row, out, i);
}

/* The first value that so large a part of all does not come after. */
static enum status disc_of(struct ctx *c, struct holistic *h, int64_t first, int64_t n, double q,
                           struct column *out, int64_t i)
{
    int64_t rank = (int64_t)ceil(q * (double)n) - 1;
    return take_row(c, h, first + (rank < 0 ? 0 : rank < n ? rank : n - 1), out, i);
}

/* The rows' values through the plain aggregate. */
static enum status feed(struct ctx *c, struct holistic *h, int64_t first, int64_t end)
{
    int64_t rank[AGG_BLOCK];
    uint8_t null[AGG_BLOCK];
    const struct agg_bound *k = &h->plain;
    for (int64_t row = first, n; row < end; row += n) {
        int64_t at;
        TRY(look_at(c, h, row, &at));
        n = h->hi < end ? h->hi - row : end - row;
        if (n > AGG_BLOCK) n = AGG_BLOCK;
        struct agg_block b = {.n = n, .rank = rank};
        for (int64_t i = 0; i < n; i++)
            rank[i] = row + i;
        for (int x = 0; x < k->n_args; x++)
            b.arg[x] = (const char *)h->cols[x].values + (size_t)at * type_bytes(h->cols[x].type);
        const struct column *value = k->value_arg >= 0 ? &h->cols[k->value_arg] : NULL;
        if (value && value->valid) {
            for (int64_t i = 0; i < n; i++)
                null[i] = column_is_null(value, at + i);
            b.null = null;
        }
        TRY(k->ops->run(c, k, &h->heap, h->state, &b));
    }
    return OK;
}

static enum status feed_all(struct ctx *c, struct holistic *h, int64_t first, int64_t end,
                            struct column *out, int64_t i)
{
    memset(h->state, 0, h->plain.state_bytes);
    if (!h->plain.ops->empty_is_zero) h->plain.ops->init(&h->plain, h->state);
    TRY(feed(c, h, first, end));
    TRY(h->plain.ops->finish(c, &h->plain, h->state, out, i));
    TRY(keep_text(c, h, out, i));
    text_heap_free(&h->heap);
    return OK;
}

static enum status reduced_of(struct ctx *c, struct holistic *h, int64_t n_values,
                              struct column *out, int64_t i)
{
    if (n_values) return take_row(c, h, h->next++, out, i);
    if (h->fed) return feed_all(c, h, 0, 0, out, i);
    column_put_null(out, i);
    return OK;
}

enum status holistic_next(struct ctx *c, struct holistic *h, int64_t n_values,
                          struct column *const *out, int64_t i)
{
    enum agg_id id = h->k->agg->id;
    int64_t first = h->next, end = first + n_values;
    if (i == 0) text_heap_free(&h->results);
    if (h->reduced) return reduced_of(c, h, n_values, out[0], i);
    if (h->quantiles) {
        end = ++h->next;
    } else {
        if (h->counted) TRY(group_end(c, h, n_values, &end));
        h->next = end;
    }
    if (h->fed) return feed_all(c, h, first, end, out[0], i);
    for (int x = 0; x < h->n_calls; x++) {
        double *d = (double *)out[x]->values + i;
        if (!n_values)
            column_put_null(out[x], i);
        else if (h->quantiles)
            *d = h->quantiles[first * h->n_calls + x];
        else if (id == AGG_MODE)
            TRY(mode_of(c, h, first, end, out[x], i));
        else if (id == AGG_PERCENTILE_DISC)
            TRY(disc_of(c, h, first, end - first, h->qs[x], out[x], i));
        else
            TRY(quantile_of(c, h, first, end, h->k->distinct ? end - first : n_values, h->qs[x],
                            d));
    }
    return OK;
}
