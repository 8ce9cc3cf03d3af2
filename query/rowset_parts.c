/* How are rows sorted that are many, or do not fit in memory? Splitters are drawn from them and
 * they are taken apart into buckets that lie between two splitters, which are sorted by themselves
 * and put one after another. Workers take runs of rows apart, then buckets.
 *
 * Rows that equal a splitter have a bucket of their own, that is in order already; so every bucket
 * is smaller than the whole, and one that is still too large is taken apart again. The runs are
 * put together in their order, which makes the whole stable. After Frazer & McKellar, "Samplesort",
 * J. ACM 17 (1970), with the buckets of equal keys of Sanders & Winkel, "Super Scalar Sample Sort"
 * (2004). */
#include "query/rowset_sort.h"
#include "storage/base/pool.h"
#include <stdlib.h>

#define GOOD_ROWS 32768 /* of a bucket: its keys stay in the second-level cache */
#define MAX_SPLITTERS 255
#define OVERSAMPLE 16    /* rows drawn for a splitter */
#define RUNS 4           /* a worker */
#define PIECE_ROWS 32768 /* of a run, taken apart at once */

struct parts {
    const struct sorter *s;
    const struct rowset *in;
    struct batch drawn;
    int64_t *splitters; /* rows of drawn, in order, no two equal */
    uint64_t *first;    /* their first words */
    uint64_t *tree;     /* the same as a search tree: node i's children are 2 i and 2 i + 1 */
    int n_splitters, n_buckets, n_levels;
    int n_runs;
    int64_t piece_rows;
    struct rowset **buckets;      /* of each run; later of the whole: in order of keys */
    bool *wanted;                 /* the bucket has rows before the limit */
    bool *left;                   /* it was refused memory beside others */
    struct rowset *open, *sorted; /* the first of buckets, of sorted ones; both stay empty */
};

/* ---- splitters ---- */

static enum status draw(struct ctx *c, struct parts *p, struct rowset *drawn, int64_t n)
{
    int64_t rows = rowset_rows(p->in);
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)rowset_columns(p->in), &cols));
    for (int64_t i = 0; i < n; i++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        int64_t lo = (int64_t)((double)rows / (double)n * (double)i);
        int64_t hi = (int64_t)((double)rows / (double)n * (double)(i + 1));
        hi = hi > rows ? rows : hi;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        if (hi > lo) lo += (int64_t)((state >> 33) % (uint64_t)(hi - lo));
        TRY(rowset_read(c, p->in, lo, lo + 1, NULL, 0, cols));
        TRY(rowset_append(c, drawn, cols, NULL, 1));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

/* The words [0, 2^levels - 1) below a node; those behind the last splitter's are the greatest. */
static void plant(const struct parts *p, int node, int lo, int hi)
{
    if (lo >= hi) return;
    int mid = lo + (hi - lo) / 2;
    p->tree[node] = mid < p->n_splitters ? p->first[mid] : UINT64_MAX;
    plant(p, 2 * node, lo, mid);
    plant(p, 2 * node + 1, mid + 1, hi);
}

static enum status plant_tree(struct ctx *c, struct parts *p)
{
    void *mem;
    while (1 << p->n_levels <= p->n_splitters)
        p->n_levels++;
    TRY(scratch_alloc(c, sizeof(uint64_t) << p->n_levels, &mem));
    p->tree = mem;
    plant(p, 1, 0, (1 << p->n_levels) - 1);
    return OK;
}

static enum status choose_splitters(struct ctx *c, struct parts *p, const struct rowset *drawn,
                                    int n)
{
    int64_t *order;
    void *mem;
    TRY(batch_read(c, p->s, drawn, 0, rowset_rows(drawn), &p->drawn));
    TRY(batch_order(c, p->s, &p->drawn, &order));
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)n, &mem));
    p->splitters = mem;
    TRY(scratch_alloc(c, sizeof(uint64_t) * (size_t)n, &mem));
    p->first = mem;
    for (int i = 0; i < n; i++) {
        int64_t row = order[(i + 1) * p->drawn.n / (n + 1)];
        int k = p->n_splitters;
        if (k && !batch_compare(p->s, &p->drawn, p->splitters[k - 1], &p->drawn, row)) continue;
        p->splitters[k] = row;
        p->first[k] = p->drawn.words[row];
        p->n_splitters++;
    }
    p->n_buckets = 2 * p->n_splitters + 1;
    return plant_tree(c, p);
}

/* As many as make buckets of a good size that fit in memory, if what is drawn for them does, and
 * the last rows of each bucket. */
static int splitters_wanted(struct ctx *c, const struct parts *p)
{
    int64_t rows = rowset_rows(p->in), good = batch_rows(p->s, p->in) / 2;
    int64_t drawn = memory_share(c, 8) / (OVERSAMPLE * rowset_row_bytes(p->in));
    int64_t open = memory_share(c, 8) / (2 * p->n_runs * rowset_open_bytes(p->in)) - 1;
    good = good > GOOD_ROWS ? GOOD_ROWS : good;
    int64_t n = rows / good;
    n = n > drawn ? drawn : n;
    n = n > open ? open : n;
    return n < 1 ? 1 : n > MAX_SPLITTERS ? MAX_SPLITTERS : (int)n;
}

/* ---- taking apart ---- */

#define AT_ONCE 16 /* rows that go down the tree side by side */

/* Of each row: how many splitters have a lesser first word. */
static void count_less(const struct parts *p, const uint64_t *words, int64_t n, uint16_t *out)
{
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        int m = n - at < AT_ONCE ? (int)(n - at) : AT_ONCE;
        uint64_t word[AT_ONCE] = {0};
        uint32_t node[AT_ONCE];
        memcpy(word, words + at, sizeof *word * (size_t)m);
        for (int i = 0; i < AT_ONCE; i++)
            node[i] = 1;
        for (int level = 0; level < p->n_levels; level++)
            for (int i = 0; i < AT_ONCE; i++)
                node[i] = 2 * node[i] + (p->tree[node[i]] < word[i]);
        for (int i = 0; i < m; i++)
            out[at + i] = (uint16_t)(node[i] - (1u << p->n_levels));
    }
}

/* The row's bucket, `lo` splitters being less by their first words: 2 k when it comes before
 * splitter k, 2 k + 1 when it equals it. */
static int bucket_of(const struct parts *p, const struct batch *b, int64_t row, int lo)
{
    int hi = lo;
    while (hi < p->n_splitters && p->first[hi] == b->words[row])
        hi++;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        int r = batch_compare(p->s, &p->drawn, p->splitters[mid], b, row);
        if (r == 0) return 2 * mid + 1;
        if (r < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 2 * lo;
}

static enum status take_piece_apart(struct ctx *c, const struct parts *p, struct rowset **buckets,
                                    int64_t lo, int64_t hi)
{
    struct batch b;
    void *mem;
    TRY(batch_read(c, p->s, p->in, lo, hi, &b));
    TRY(scratch_alloc(c, sizeof(uint16_t) * (size_t)b.n, &mem));
    uint16_t *of = mem;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)b.n, &mem));
    int64_t *rows = mem, end[2 * MAX_SPLITTERS + 2] = {0};
    count_less(p, b.words, b.n, of);
    for (int64_t i = 0; i < b.n; i++) {
        of[i] = (uint16_t)bucket_of(p, &b, i, of[i]);
        end[of[i] + 1]++;
    }
    for (int k = 0; k < p->n_buckets; k++)
        end[k + 1] += end[k];
    for (int64_t i = 0; i < b.n; i++)
        rows[end[of[i]]++] = i;
    for (int k = 0; k < p->n_buckets; k++) {
        int64_t from = k ? end[k - 1] : 0;
        if (end[k] > from) TRY(rowset_append(c, buckets[k], b.cols, rows + from, end[k] - from));
    }
    return OK;
}

static enum status take_run_apart(struct ctx *c, void *self, int worker, int64_t run)
{
    (void)worker;
    const struct parts *p = self;
    int64_t n = rowset_rows(p->in), end = n / p->n_runs * (run + 1);
    if (run == p->n_runs - 1) end = n;
    for (int64_t lo = n / p->n_runs * run, hi; lo < end; lo = hi) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        hi = lo + p->piece_rows < end ? lo + p->piece_rows : end;
        TRY(check_cancel(c));
        TRY(take_piece_apart(c, p, p->buckets + run * p->n_buckets, lo, hi));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status take_apart(struct ctx *c, struct parts *p)
{
    int64_t n = (int64_t)p->n_runs * p->n_buckets;
    int64_t bytes = memory_share(c, 3);
    TRY(rowset_new_like(c, p->in, bytes, &p->open));
    TRY(rowset_share(c, p->open, bytes));
    p->buckets = calloc((size_t)n, sizeof *p->buckets);
    p->wanted = calloc((size_t)p->n_buckets, sizeof *p->wanted);
    p->left = calloc((size_t)p->n_buckets, sizeof *p->left);
    if (!p->buckets || !p->wanted || !p->left) return fail(c, ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < n; i++)
        TRY(rowset_new_beside(c, p->open, bytes / 2 / n, &p->buckets[i]));
    TRY(pool_run(c, p->n_runs, 0, take_run_apart, p));
    int64_t before = 0;
    for (int k = 0; k < p->n_buckets; k++) {
        for (int run = 1; run < p->n_runs; run++) {
            struct rowset **part = &p->buckets[run * p->n_buckets + k];
            TRY(rowset_adopt(c, p->buckets[k], *part));
            rowset_free(*part);
            *part = NULL;
        }
        p->wanted[k] = p->s->limit < 0 || before < p->s->limit;
        before += rowset_rows(p->buckets[k]);
    }
    return OK;
}

/* ---- each bucket ---- */

static enum status sort_bucket(struct ctx *c, struct parts *p, int64_t k)
{
    struct rowset *in = p->buckets[k], *out;
    int64_t n = rowset_rows(in);
    if (k % 2 || n < 2 || !p->wanted[k]) return OK;
    int64_t bytes = n * rowset_row_bytes(in), share = memory_share(c, 16);
    TRY(rowset_new_beside(c, p->sorted, bytes < share ? bytes : share, &out));
    enum status s = n <= batch_rows(p->s, in) ? rowset_sort_whole(c, p->s, in, out)
                                              : rowset_sort_parts(c, p->s, in, out);
    if (s < 0) {
        rowset_free(out);
        return s;
    }
    rowset_free(in);
    p->buckets[k] = out;
    return OK;
}

/* What other workers hold now may be what is missing: such a bucket is left for later. */
static enum status try_bucket(struct ctx *c, void *self, int worker, int64_t k)
{
    (void)worker;
    struct parts *p = self;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = sort_bucket(c, p, k);
    if (s != ERR_MEMORY) return s;
    scratch_release(c->scratch, mark);
    ctx_clear(c);
    p->left[k] = true;
    return OK;
}

static enum status sort_parts(struct ctx *c, struct parts *p, struct rowset *out)
{
    TRY(take_apart(c, p));
    TRY(rowset_new_like(c, p->in, memory_share(c, 4), &p->sorted));
    TRY(rowset_share(c, p->sorted, memory_share(c, 4)));
    TRY(pool_run(c, p->n_buckets, 0, try_bucket, p));
    for (int k = 0; k < p->n_buckets; k++)
        if (p->left[k]) TRY(sort_bucket(c, p, k));
    for (int k = 0; k < p->n_buckets; k++) {
        if (p->wanted[k]) TRY(rowset_adopt(c, out, p->buckets[k]));
        rowset_free(p->buckets[k]);
        p->buckets[k] = NULL;
    }
    if (p->s->limit >= 0) rowset_cut(out, p->s->limit);
    return OK;
}

enum status rowset_sort_parts(struct ctx *c, const struct sorter *s, const struct rowset *in,
                              struct rowset *out)
{
    struct parts p = {.s = s, .in = in};
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct rowset *drawn = NULL;
    p.n_runs = pool_width(c) > 1 ? RUNS * pool_width(c) : 1;
    int n = splitters_wanted(c, &p);
    p.piece_rows = batch_rows(s, in) < PIECE_ROWS ? batch_rows(s, in) : PIECE_ROWS;
    enum status st = rowset_new_like(c, in, memory_share(c, 8), &drawn);
    if (st == OK) st = draw(c, &p, drawn, (int64_t)OVERSAMPLE * n);
    if (st == OK) st = choose_splitters(c, &p, drawn, n);
    if (st == OK) st = sort_parts(c, &p, out);
    for (int64_t i = 0; p.buckets && i < (int64_t)p.n_runs * p.n_buckets; i++)
        rowset_free(p.buckets[i]);
    free(p.buckets);
    free(p.wanted);
    free(p.left);
    rowset_free(p.open);
    rowset_free(p.sorted);
    rowset_free(drawn);
    scratch_release(c->scratch, mark);
    return st;
}
