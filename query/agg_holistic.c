/* Aggregates that need all their values in order: median, quantile, mode, and anything DISTINCT.
 *
 * Quantiles set (group, value) rows aside and select from them, or sort them. Mode and DISTINCT
 * first group by (group, values) and count, which leaves few rows where values repeat. Both end as
 * rows sorted by group, then value; a group's rows follow those of the group before, and how many
 * there are is known from the number of values that its state counted. So no key is ever compared
 * here. */
#include "query/agg_internal.h"
#include "query/agg_quantile.h"
#include "query/rowset_internal.h"
#include <math.h>
#include <stdlib.h>

#define READ_ROWS 2048

struct holistic {
    const struct agg_bound *k;
    struct agg_bound plain; /* of the values, when k is DISTINCT */
    int n_keys;
    bool counted;
    struct rowset *rows;   /* keys, the value */
    struct hashagg *seen;  /* counted: keys, arguments */
    struct rowset *sorted; /* keys, arguments, and when counted the count */
    int64_t next;          /* first row of the next group */
    double *quantiles;     /* of each group, when they could be selected; next counts groups then */
    /* the rows being looked at: */
    struct scratch *scratch;
    int64_t lo, hi;
    struct column cols[3];
    void *state; /* of plain */
    struct text_heap heap, results;
};

static enum status new_sets(struct ctx *c, struct holistic *h, const enum type *key_types,
                            int n_workers, int64_t mem_bytes, const char *tmp_dir)
{
    void *mem;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, sizeof(enum type) * (size_t)(h->n_keys + 2), &mem));
    enum type *types = mem;
    int n = h->n_keys;
    for (int i = 0; i < n; i++)
        types[i] = key_types[i];
    for (int i = 0; i < h->k->n_args; i++)
        types[n++] = h->k->types[i];
    if (h->counted)
        TRY(hashagg_new(c, types, n, NULL, n_workers, mem_bytes, tmp_dir, &h->seen));
    else
        TRY(rowset_new_within(c, types, n, tmp_dir, mem_bytes, &h->rows));
    scratch_release(c->scratch, mark);
    return OK;
}

enum status holistic_new(struct ctx *c, const struct agg_bound *k, const enum type *key_types,
                         int n_keys, int n_workers, int64_t mem_bytes, const char *tmp_dir,
                         struct holistic **out)
{
    struct holistic *h = calloc(1, sizeof *h);
    if (!h) return fail(c, ERR_MEMORY, "out of memory");
    h->k = k;
    h->n_keys = n_keys;
    h->counted = k->distinct || k->agg->id == AGG_MODE;
    enum status s = new_sets(c, h, key_types, n_workers, mem_bytes, tmp_dir);
    if (s == OK && k->agg->id != AGG_MODE && k->agg->id != AGG_QUANTILE) {
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
    free(h);
}

enum status holistic_add(struct ctx *c, struct holistic *h, int worker, const struct column *keys,
                         const struct call_input *in, int64_t n)
{
    if (in->none) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(h->n_keys + 2), &mem));
    struct column *cols = mem;
    int n_cols = h->n_keys;
    for (int i = 0; i < n_cols; i++)
        cols[i] = keys[i];
    for (int i = 0; i < h->k->n_args; i++)
        cols[n_cols++] = *in->args[i];
    if (h->counted) {
        TRY(hashagg_add(c, h->seen, worker, cols, in->mask, NULL, n));
    } else {
        int64_t *rows = NULL, m = n;
        if (in->mask) {
            TRY(scratch_alloc(c, (size_t)n * sizeof *rows, &mem));
            rows = mem;
            m = 0;
            for (int64_t i = bits_next(in->mask, 0, n); i < n; i = bits_next(in->mask, i + 1, n))
                rows[m++] = i;
        }
        cols[n_cols - 1].valid = NULL; /* NULLs are masked out */
        TRY(rowset_append(c, h->rows, cols, rows, m));
    }
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status sort_rows(struct ctx *c, struct holistic *h)
{
    int n = h->n_keys + h->k->n_args;
    struct rowset_key *keys = calloc((size_t)n, sizeof *keys);
    if (!keys) return fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; i < n; i++)
        keys[i].column = i;
    enum status s = rowset_sort(c, h->rows, keys, n, -1, &h->sorted);
    free(keys);
    return s;
}

enum status holistic_finish(struct ctx *c, struct holistic *h, const int64_t *counts,
                            int64_t n_groups)
{
    h->scratch = scratch_new(c->budget);
    if (h->counted) {
        TRY(hashagg_finish(c, h->seen, &h->sorted));
        hashagg_free(h->seen);
        h->seen = NULL;
        return OK;
    }
    bool done = false;
    if (counts) {
        void *quantiles;
        TRY(buf_alloc(c, (size_t)n_groups * sizeof(double) + 8, &quantiles));
        h->quantiles = quantiles;
        TRY(quantile_groups(c, h->rows, h->n_keys, counts, n_groups, h->k->q, h->quantiles, &done));
    }
    if (!done) {
        buf_free(h->quantiles);
        h->quantiles = NULL;
        TRY(sort_rows(c, h));
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
        int which[3], n = h->k->n_args + h->counted;
        for (int i = 0; i < n; i++)
            which[i] = h->n_keys + i;
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

/* NaN, which sorts last, makes the result NaN. */
static enum status quantile_of(struct ctx *c, struct holistic *h, int64_t first, int64_t n,
                               double *out)
{
    double last, a, b, t;
    int64_t below;
    TRY(value_at(c, h, first + n - 1, &last));
    if (last != last) {
        *out = (double)NAN;
        return OK;
    }
    quantile_rank(h->k->q, n, &below, &t);
    TRY(value_at(c, h, first + below, &a));
    TRY(value_at(c, h, first + (below + 1 < n ? below + 1 : below), &b));
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

static enum status mode_of(struct ctx *c, struct holistic *h, int64_t first, int64_t end,
                           struct column *out, int64_t i)
{
    int64_t best = 0, best_row = first, at;
    for (int64_t row = first; row < end; row++) {
        TRY(look_at(c, h, row, &at));
        if (counts(h)[at] <= best || (h->k->distinct && best)) continue;
        best = counts(h)[at];
        best_row = row;
    }
    TRY(look_at(c, h, best_row, &at));
    size_t width = type_bytes(out->type);
    memcpy((char *)out->values + (size_t)i * width,
           (const char *)h->cols[0].values + (size_t)at * width, width);
    return OK;
}

/* The rows' distinct values through the plain aggregate. */
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

static enum status distinct_of(struct ctx *c, struct holistic *h, int64_t first, int64_t end,
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

enum status holistic_next(struct ctx *c, struct holistic *h, int64_t n_values, struct column *out,
                          int64_t i)
{
    enum agg_id id = h->k->agg->id;
    int64_t first = h->next, end = first + n_values;
    if (i == 0) text_heap_free(&h->results);
    if (h->quantiles) {
        double q = h->quantiles[h->next++];
        if (n_values)
            ((double *)out->values)[i] = q;
        else
            column_put_null(out, i);
        return OK;
    }
    if (h->counted) TRY(group_end(c, h, n_values, &end));
    h->next = end;
    if (id == AGG_QUANTILE || id == AGG_MODE) {
        if (!n_values) {
            column_put_null(out, i);
            return OK;
        }
        if (id == AGG_QUANTILE)
            return quantile_of(c, h, first, end - first, (double *)out->values + i);
        TRY(mode_of(c, h, first, end, out, i));
        return keep_text(c, h, out, i);
    }
    return distinct_of(c, h, first, end, out, i);
}
