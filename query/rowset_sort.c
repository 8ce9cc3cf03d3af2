/* In which order do rows come out? Sorts a rowset by keys: batches that fit memory are sorted and
 * become runs, runs are merged.
 *
 * A key is one word of sortkey.h, preceded by one that places NULLs when the column has any.
 * Without texts a batch is sorted by radix, from the last word to the first; texts need comparing,
 * which a stable merge does. Runs keep the input's order and the merge prefers earlier runs, so the
 * whole is stable. */
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include <stdlib.h>

#define READER_BYTES (256 << 10) /* of a run being merged: so many rows read at once are worth it  \
                                  */

struct entry {
    uint64_t word;
    int64_t row;
};

struct sorter {
    const struct rowset *in;
    const struct rowset_key *keys;
    int n_keys;
    int64_t limit; /* -1: none */
    int64_t mem_bytes;
    bool texts;     /* some key is a text */
    int n_words;    /* at most 2 a key */
    int *word_of;   /* first word of each key */
    bool *nullable; /* the key has a NULL word */
};

/* Rows in memory with their keys' words: words[w * n + row]. */
struct batch {
    int64_t n;
    struct column *cols;
    uint64_t *words;
};

/* ---- words ---- */

static void words_of_key(const struct sorter *s, int k, const struct batch *b)
{
    const struct rowset_key *key = &s->keys[k];
    const struct column *col = &b->cols[key->column];
    uint64_t *nulls = s->nullable[k] ? b->words + (int64_t)s->word_of[k] * b->n : NULL;
    uint64_t *words = b->words + ((int64_t)s->word_of[k] + (nulls != NULL)) * b->n;
    sortkey_encode(col->type, col->values, b->n, words);
    if (key->desc)
        for (int64_t i = 0; i < b->n; i++)
            words[i] = ~words[i];
    if (!nulls) return;
    for (int64_t i = 0; i < b->n; i++) {
        bool null = column_is_null(col, i);
        nulls[i] = null != key->nulls_first;
        if (null) words[i] = 0;
    }
}

static enum status read_batch(struct ctx *c, const struct sorter *s, const struct rowset *from,
                              int64_t lo, int64_t hi, struct batch *out)
{
    struct batch b = {.n = hi - lo};
    void *cols, *words;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)rowset_columns(from), &cols));
    b.cols = cols;
    TRY(rowset_read(c, from, lo, hi, NULL, 0, b.cols));
    TRY(scratch_alloc(c, (size_t)s->n_words * (size_t)b.n * 8, &words));
    b.words = words;
    for (int k = 0; k < s->n_keys; k++)
        words_of_key(s, k, &b);
    *out = b;
    return OK;
}

static int compare_texts(const struct sorter *s, int k, const struct batch *a, int64_t i,
                         const struct batch *b, int64_t j)
{
    const struct rowset_key *key = &s->keys[k];
    const struct column *ca = &a->cols[key->column], *cb = &b->cols[key->column];
    if (column_is_null(ca, i) || column_is_null(cb, j)) return 0;
    int r = text_order(((const struct text *)ca->values)[i], ((const struct text *)cb->values)[j]);
    return key->desc ? -r : r;
}

static int compare_rows(const struct sorter *s, const struct batch *a, int64_t i,
                        const struct batch *b, int64_t j)
{
    for (int k = 0; k < s->n_keys; k++) {
        int w = s->word_of[k], end = w + 1 + s->nullable[k];
        for (; w < end; w++) {
            uint64_t x = a->words[w * a->n + i], y = b->words[w * b->n + j];
            if (x != y) return x < y ? -1 : 1;
        }
        if (!type_is_varlen(a->cols[s->keys[k].column].type)) continue;
        int r = compare_texts(s, k, a, i, b, j);
        if (r) return r;
    }
    return 0;
}

/* ---- one batch ---- */

/* Stable, by the entries' words; the result is in a. */
static void radix_sort(struct entry *a, struct entry *b, int64_t n)
{
    int64_t counts[8][256] = {{0}};
    for (int64_t i = 0; i < n; i++)
        for (int d = 0; d < 8; d++)
            counts[d][(a[i].word >> (8 * d)) & 255]++;
    struct entry *from = a, *to = b;
    for (int d = 0; d < 8; d++) {
        int64_t at[256], sum = 0;
        if (n && counts[d][(a[0].word >> (8 * d)) & 255] == n) continue;
        for (int v = 0; v < 256; v++) {
            at[v] = sum;
            sum += counts[d][v];
        }
        for (int64_t i = 0; i < n; i++)
            to[at[(from[i].word >> (8 * d)) & 255]++] = from[i];
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != a) memcpy(a, from, (size_t)n * sizeof *a);
}

static void insertion_sort(const struct sorter *s, const struct batch *b, int64_t *rows, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        int64_t row = rows[i], j = i;
        for (; j > 0 && compare_rows(s, b, rows[j - 1], b, row) > 0; j--)
            rows[j] = rows[j - 1];
        rows[j] = row;
    }
}

static void merge_sort(const struct sorter *s, const struct batch *b, int64_t *rows, int64_t *tmp)
{
    const int64_t block = 16;
    for (int64_t i = 0; i < b->n; i += block)
        insertion_sort(s, b, rows + i, b->n - i < block ? b->n - i : block);
    int64_t *from = rows, *to = tmp;
    for (int64_t width = block; width < b->n; width *= 2) {
        for (int64_t lo = 0; lo < b->n; lo += 2 * width) {
            int64_t mid = lo + width < b->n ? lo + width : b->n;
            int64_t hi = lo + 2 * width < b->n ? lo + 2 * width : b->n;
            int64_t i = lo, j = mid, o = lo;
            while (i < mid && j < hi)
                to[o++] = compare_rows(s, b, from[i], b, from[j]) <= 0 ? from[i++] : from[j++];
            while (i < mid)
                to[o++] = from[i++];
            while (j < hi)
                to[o++] = from[j++];
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != rows) memcpy(rows, from, (size_t)b->n * sizeof *rows);
}

static void radix_order(const struct sorter *s, const struct batch *b, struct entry *a,
                        struct entry *tmp)
{
    for (int64_t i = 0; i < b->n; i++)
        a[i].row = i;
    for (int w = s->n_words - 1; w >= 0; w--) {
        const uint64_t *words = b->words + (int64_t)w * b->n;
        for (int64_t i = 0; i < b->n; i++)
            a[i].word = words[a[i].row];
        radix_sort(a, tmp, b->n);
    }
}

/* rows: the batch's rows in order. */
static enum status sort_batch(struct ctx *c, const struct sorter *s, const struct batch *b,
                              int64_t **out)
{
    void *rows, *tmp;
    TRY(scratch_alloc(c, (size_t)b->n * sizeof(struct entry), &rows));
    TRY(scratch_alloc(c, (size_t)b->n * sizeof(struct entry), &tmp));
    int64_t *order = rows;
    if (s->texts) {
        for (int64_t i = 0; i < b->n; i++)
            order[i] = i;
        merge_sort(s, b, order, tmp);
    } else {
        radix_order(s, b, rows, tmp);
        order = tmp;
        for (int64_t i = 0; i < b->n; i++)
            order[i] = ((struct entry *)rows)[i].row;
    }
    *out = order;
    return OK;
}

/* ---- merging ---- */

struct reader {
    int64_t next, end; /* rows of the run not read yet */
    int64_t at;        /* the head, in the batch */
    struct batch batch;
    struct scratch *scratch;
};

struct merge {
    const struct sorter *s;
    const struct rowset *runs;
    int64_t block_rows;
    int n_heap;
    struct reader **heap; /* the least head first; ties: the earlier run, by address */
};

static enum status refill(struct ctx *c, struct merge *m, struct reader *r)
{
    int64_t n = r->end - r->next < m->block_rows ? r->end - r->next : m->block_rows;
    struct scratch *own = c->scratch;
    c->scratch = r->scratch;
    scratch_reset(r->scratch);
    enum status s = read_batch(c, m->s, m->runs, r->next, r->next + n, &r->batch);
    c->scratch = own;
    r->next += n;
    r->at = 0;
    return s;
}

static bool reader_less(const struct merge *m, const struct reader *a, const struct reader *b)
{
    int r = compare_rows(m->s, &a->batch, a->at, &b->batch, b->at);
    return r < 0 || (r == 0 && a < b);
}

static void sift_down(struct merge *m, int i)
{
    for (;;) {
        int least = i;
        for (int child = 2 * i + 1; child <= 2 * i + 2 && child < m->n_heap; child++)
            if (reader_less(m, m->heap[child], m->heap[least])) least = child;
        if (least == i) return;
        struct reader *r = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = r;
        i = least;
    }
}

/* Rows picked from readers' batches, to be appended together before a batch is replaced. */
#define PICK_ROWS 1024
struct pick {
    const struct batch *batch;
    int64_t row;
};

static void pick_column(const struct pick *picks, int64_t n, int k, struct column *out)
{
    size_t width = type_bytes(out->type);
    for (int64_t i = 0; i < n; i++) {
        const struct column *col = &picks[i].batch->cols[k];
        memcpy((char *)out->values + (size_t)i * width,
               (const char *)col->values + (size_t)picks[i].row * width, width);
        if (out->valid) bit_put(out->valid, i, !column_is_null(col, picks[i].row));
    }
}

static enum status append_picks(struct ctx *c, const struct pick *picks, int64_t n,
                                struct rowset *out)
{
    if (!n) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    int n_cols = rowset_columns(out);
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)n_cols, &mem));
    struct column *cols = mem;
    for (int k = 0; k < n_cols; k++) {
        TRY(column_alloc(c, rowset_type(out, k), n, &cols[k]));
        bool nulls = false;
        for (int64_t i = 0; i < n && !nulls; i++)
            nulls = picks[i].batch->cols[k].valid != NULL;
        if (nulls) TRY(column_need_valid(c, &cols[k], n));
        pick_column(picks, n, k, &cols[k]);
    }
    TRY(rowset_append(c, out, cols, NULL, n));
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status merge_heads(struct ctx *c, struct merge *m, struct rowset *out)
{
    struct pick picks[PICK_ROWS];
    int64_t n = 0, left = m->s->limit < 0 ? INT64_MAX : m->s->limit;
    while (m->n_heap && left > 0) {
        struct reader *r = m->heap[0];
        picks[n++] = (struct pick){&r->batch, r->at++};
        left--;
        bool drained = r->at == r->batch.n;
        if (n == PICK_ROWS || drained) {
            TRY(append_picks(c, picks, n, out));
            n = 0;
            TRY(check_cancel(c));
        }
        if (drained && r->next < r->end)
            TRY(refill(c, m, r));
        else if (drained)
            m->heap[0] = m->heap[--m->n_heap];
        sift_down(m, 0);
    }
    return append_picks(c, picks, n, out);
}

/* Runs [first, first + n), bounds in starts, to one. */
static enum status merge_runs(struct ctx *c, const struct sorter *s, const struct rowset *runs,
                              const int64_t *starts, int n, struct rowset *out)
{
    enum status st = OK;
    struct merge m = {.s = s, .runs = runs};
    m.block_rows = s->mem_bytes / n / (rowset_row_bytes(runs) + 8 * s->n_words + 1);
    if (m.block_rows < 64) m.block_rows = 64;
    struct reader *readers = calloc((size_t)n, sizeof *readers);
    m.heap = calloc((size_t)n, sizeof *m.heap);
    if (!readers || !m.heap) {
        st = fail(c, ERR_MEMORY, "out of memory");
        goto out;
    }
    for (int i = 0; i < n; i++) {
        readers[i].next = starts[i];
        readers[i].end = starts[i + 1];
        readers[i].scratch = scratch_new_small(c->budget);
        if ((st = refill(c, &m, &readers[i])) < 0) goto out;
        m.heap[m.n_heap++] = &readers[i];
    }
    for (int i = n / 2; i >= 0; i--)
        sift_down(&m, i);
    st = merge_heads(c, &m, out);
out:
    for (int i = 0; readers && i < n; i++)
        scratch_free(readers[i].scratch);
    free(readers);
    free(m.heap);
    return st;
}

/* ---- the whole ---- */

static enum status new_like(struct ctx *c, const struct sorter *s, int64_t mem_bytes,
                            struct rowset **out)
{
    int n = rowset_columns(s->in);
    void *types;
    TRY(scratch_alloc(c, sizeof(enum type) * (size_t)(n + 1), &types));
    for (int k = 0; k < n; k++)
        ((enum type *)types)[k] = rowset_type(s->in, k);
    return rowset_new_within(c, types, n, rowset_tmp_dir(s->in), mem_bytes, out);
}

/* Sorts rows [lo, hi) of the input and appends them, at most `limit` of them. */
static enum status sort_range(struct ctx *c, const struct sorter *s, int64_t lo, int64_t hi,
                              struct rowset *out)
{
    struct scratch *own = c->scratch;
    c->scratch = scratch_new(c->budget);
    struct batch b;
    int64_t *rows = NULL;
    enum status st = read_batch(c, s, s->in, lo, hi, &b);
    if (st == OK) st = sort_batch(c, s, &b, &rows);
    if (st == OK) {
        int64_t n = s->limit >= 0 && s->limit < b.n ? s->limit : b.n;
        st = rowset_append(c, out, b.cols, rows, n);
    }
    scratch_free(c->scratch);
    c->scratch = own;
    return st;
}

/* Run bounds after merging groups of `fan` of the n runs. */
static enum status merge_level(struct ctx *c, const struct sorter *s, const struct rowset *runs,
                               int64_t *starts, int *n, int fan, struct rowset *out)
{
    int made = 0;
    for (int i = 0; i < *n; i += fan) {
        int m = *n - i < fan ? *n - i : fan;
        TRY(merge_runs(c, s, runs, starts + i, m, out));
        starts[made++] = rowset_rows(out);
    }
    for (int i = made; i > 0; i--)
        starts[i] = starts[i - 1];
    starts[0] = 0;
    *n = made;
    return OK;
}

static enum status sort_external(struct ctx *c, const struct sorter *s, int64_t batch_rows,
                                 struct rowset **out)
{
    enum status st;
    int64_t total = rowset_rows(s->in), n64 = (total + batch_rows - 1) / batch_rows;
    int n = (int)n64;
    struct rowset *runs = NULL, *merged = NULL;
    int64_t *starts = calloc((size_t)n + 1, sizeof *starts);
    if (!starts) return fail(c, ERR_MEMORY, "out of memory");
    if ((st = new_like(c, s, s->mem_bytes / 8, &runs)) < 0) goto out;
    for (int i = 0; i < n; i++) {
        int64_t lo = i * batch_rows, hi = lo + batch_rows < total ? lo + batch_rows : total;
        if ((st = check_cancel(c)) < 0 || (st = sort_range(c, s, lo, hi, runs)) < 0) goto out;
        starts[i + 1] = rowset_rows(runs);
    }
    int64_t fan = s->mem_bytes / READER_BYTES;
    if (fan < 2) fan = 2;
    if (fan > 256) fan = 256;
    while (n > 1 || !merged) {
        if ((st = new_like(c, s, n <= fan ? memory_share(c, 8) : s->mem_bytes / 8, &merged)) < 0)
            goto out;
        if ((st = merge_level(c, s, runs, starts, &n, (int)fan, merged)) < 0) goto out;
        if (n <= 1) break;
        rowset_free(runs);
        runs = merged;
        merged = NULL;
    }
    *out = merged;
    merged = NULL;
out:
    rowset_free(runs);
    rowset_free(merged);
    free(starts);
    return st;
}

static enum status sort_all(struct ctx *c, struct sorter *s, struct rowset **out)
{
    int64_t n = rowset_rows(s->in);
    int64_t row = rowset_row_bytes(s->in) + 8 * s->n_words + 2 * (int64_t)sizeof(struct entry);
    int64_t batch_rows = s->mem_bytes / row;
    if (batch_rows < 256) batch_rows = 256;
    if (n > batch_rows) return sort_external(c, s, batch_rows, out);
    struct rowset *sorted;
    TRY(new_like(c, s, memory_share(c, 8), &sorted));
    enum status st = n ? sort_range(c, s, 0, n, sorted) : OK;
    if (st < 0)
        rowset_free(sorted);
    else
        *out = sorted;
    return st;
}

enum status rowset_sort(struct ctx *c, struct rowset *r, const struct rowset_key *keys, int n_keys,
                        int64_t limit, struct rowset **out)
{
    struct sorter s = {.in = r, .keys = keys, .n_keys = n_keys, .limit = limit};
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *word_of, *nullable;
    TRY(scratch_alloc(c, sizeof(int) * (size_t)(n_keys + 1), &word_of));
    TRY(scratch_alloc(c, sizeof(bool) * (size_t)(n_keys + 1), &nullable));
    s.word_of = word_of;
    s.nullable = nullable;
    for (int k = 0; k < n_keys; k++) {
        s.word_of[k] = s.n_words;
        s.nullable[k] = rowset_has_nulls(r, keys[k].column);
        s.n_words += 1 + s.nullable[k];
        s.texts |= type_is_varlen(rowset_type(r, keys[k].column));
    }
    s.mem_bytes = memory_share(c, 4);
    enum status st = sort_all(c, &s, out);
    scratch_release(c->scratch, mark);
    return st;
}
