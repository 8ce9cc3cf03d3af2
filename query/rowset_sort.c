/* In which order do rows come out? Sorts a rowset by keys: what fits in memory here, the rest by
 * parts (rowset_parts.c).
 *
 * A key is one word of sortkey.h, preceded by one that places NULLs when the column has any. Rows
 * are sorted by the first word, from the leading bits down, and those that are equal by the next;
 * texts need comparing, which a merge does. All of it is stable. */
#include "query/rowset_sort.h"
#include "query/sortkey.h"
#include "storage/base/pool.h"

struct entry {
    uint64_t word;
    int64_t row;
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

enum status batch_read(struct ctx *c, const struct sorter *s, const struct rowset *from, int64_t lo,
                       int64_t hi, struct batch *out)
{
    struct batch b = {.n = hi - lo};
    void *cols, *words;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)rowset_columns(from), &cols));
    b.cols = cols;
    TRY(rowset_look(c, from, lo, hi, b.cols));
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

int batch_compare(const struct sorter *s, const struct batch *a, int64_t i, const struct batch *b,
                  int64_t j)
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

#define FEW 24        /* entries: put one by one into their place */
#define RADIX_BITS 11 /* at once, fewer for fewer entries */

static void insert_entries(struct entry *e, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        struct entry x = e[i];
        int64_t j = i;
        for (; j > 0 && e[j - 1].word > x.word; j--)
            e[j] = e[j - 1];
        e[j] = x;
    }
}

/* Stable, by words: apart by the leading bits in which they differ, then each part. The result is
 * in x, or else in y. */
static void radix_sort(struct entry *x, struct entry *y, int64_t n, bool in_x)
{
    uint64_t lo = n ? x[0].word : 0, hi = lo;
    bool ordered = true;
    for (int64_t i = 1; i < n; i++) {
        uint64_t w = x[i].word;
        ordered &= x[i - 1].word <= w;
        lo = w < lo ? w : lo;
        hi = w > hi ? w : hi;
    }
    if (!ordered && n <= FEW) insert_entries(x, n);
    if (ordered || n <= FEW) {
        if (!in_x) memcpy(y, x, (size_t)n * sizeof *x);
        return;
    }
    int bits = 64 - __builtin_clzll(hi - lo), take = 62 - __builtin_clzll((uint64_t)n);
    take = take > RADIX_BITS ? RADIX_BITS : take;
    take = take > bits ? bits : take;
    int shift = bits - take;
    int64_t end[1 << RADIX_BITS], parts = (int64_t)((hi - lo) >> shift) + 1, sum = 0;
    memset(end, 0, (size_t)parts * sizeof *end);
    for (int64_t i = 0; i < n; i++)
        end[(x[i].word - lo) >> shift]++;
    for (int64_t p = 0; p < parts; p++) {
        int64_t count = end[p];
        end[p] = sum;
        sum += count;
    }
    for (int64_t i = 0; i < n; i++)
        y[end[(x[i].word - lo) >> shift]++] = x[i];
    if (shift == 0) {
        if (in_x) memcpy(x, y, (size_t)n * sizeof *x);
        return;
    }
    for (int64_t p = 0, from = 0; p < parts; from = end[p++])
        radix_sort(y + from, x + from, end[p] - from, !in_x);
}

/* Rows of equal words, by what texts say: merged, blocks of a few first. */
static void merge_sort(const struct sorter *s, const struct batch *b, struct entry *e,
                       struct entry *tmp, int64_t n)
{
    const int64_t block = 16;
    for (int64_t lo = 0; lo < n; lo += block)
        for (int64_t i = lo + 1; i < lo + block && i < n; i++) {
            struct entry x = e[i];
            int64_t j = i;
            for (; j > lo && batch_compare(s, b, e[j - 1].row, b, x.row) > 0; j--)
                e[j] = e[j - 1];
            e[j] = x;
        }
    struct entry *from = e, *to = tmp;
    for (int64_t width = block; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            int64_t mid = lo + width < n ? lo + width : n;
            int64_t hi = lo + 2 * width < n ? lo + 2 * width : n;
            int64_t i = lo, j = mid, o = lo;
            while (i < mid && j < hi)
                to[o++] =
                    batch_compare(s, b, from[i].row, b, from[j].row) <= 0 ? from[i++] : from[j++];
            while (i < mid)
                to[o++] = from[i++];
            while (j < hi)
                to[o++] = from[j++];
        }
        struct entry *swap = from;
        from = to;
        to = swap;
    }
    if (from != e) memcpy(e, from, (size_t)n * sizeof *e);
}

/* By word w and those after it. */
static void sort_words(const struct sorter *s, const struct batch *b, struct entry *e,
                       struct entry *tmp, int64_t n, int w)
{
    const uint64_t *words = b->words + (int64_t)w * b->n;
    for (int64_t i = 0; i < n; i++)
        e[i].word = words[e[i].row];
    radix_sort(e, tmp, n, true);
    if (w + 1 == s->n_words && !s->texts) return;
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && e[j].word == e[i].word; j++) {
        }
        if (j - i == 1) continue;
        if (s->texts)
            merge_sort(s, b, e + i, tmp + i, j - i);
        else
            sort_words(s, b, e + i, tmp + i, j - i, w + 1);
    }
}

enum status batch_order(struct ctx *c, const struct sorter *s, const struct batch *b, int64_t **out)
{
    void *entries, *tmp;
    TRY(scratch_alloc(c, (size_t)b->n * sizeof(struct entry), &entries));
    TRY(scratch_alloc(c, (size_t)b->n * sizeof(struct entry), &tmp));
    struct entry *e = entries;
    for (int64_t i = 0; i < b->n; i++)
        e[i].row = i;
    sort_words(s, b, e, tmp, b->n, 0);
    int64_t *order = tmp;
    for (int64_t i = 0; i < b->n; i++)
        order[i] = e[i].row;
    *out = order;
    return OK;
}

/* ---- the whole ---- */

int64_t batch_rows(const struct sorter *s, const struct rowset *in)
{
    int64_t row = rowset_row_bytes(in) + 8 * s->n_words + 2 * (int64_t)sizeof(struct entry);
    int64_t rows = s->batch_bytes / row;
    return rows < 16 ? 16 : rows;
}

enum status rowset_sort_whole(struct ctx *c, const struct sorter *s, const struct rowset *in,
                              struct rowset *out)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct batch b;
    int64_t *rows;
    if (!rowset_rows(in)) return OK;
    TRY(batch_read(c, s, in, 0, rowset_rows(in), &b));
    TRY(batch_order(c, s, &b, &rows));
    TRY(rowset_append(c, out, b.cols, rows, s->limit >= 0 && s->limit < b.n ? s->limit : b.n));
    scratch_release(c->scratch, mark);
    return OK;
}

#define SMALL_ROWS 32768 /* not worth taking apart */

static enum status sort_all(struct ctx *c, const struct sorter *s, const struct rowset *in,
                            struct rowset **out)
{
    int64_t n = rowset_rows(in);
    struct rowset *sorted;
    TRY(rowset_new_like(c, in, memory_share(c, 8), &sorted));
    enum status st = n <= SMALL_ROWS && n <= batch_rows(s, in)
                         ? rowset_sort_whole(c, s, in, sorted)
                         : rowset_sort_parts(c, s, in, sorted);
    if (st < 0)
        rowset_free(sorted);
    else
        *out = sorted;
    return st;
}

enum status rowset_sort(struct ctx *c, struct rowset *r, const struct rowset_key *keys, int n_keys,
                        int64_t limit, struct rowset **out)
{
    struct sorter s = {.keys = keys, .n_keys = n_keys, .limit = limit};
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
    enum status st = rowset_make_room(c, r);
    s.batch_bytes = memory_share(c, 4) / pool_width(c);
    if (st == OK) st = sort_all(c, &s, r, out);
    scratch_release(c->scratch, mark);
    return st;
}
