/* Exact quantiles without sorting: the values of a few groups at a time are laid out group by group
 * in memory and the wanted ranks selected. A single group that is larger than memory is narrowed
 * down by counting leading bits of its values until the bucket with the wanted ranks fits. */
#include "query/agg_quantile.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include <math.h>
#include <stdlib.h>

#define READ_ROWS 16384
#define MAX_PASSES 8 /* over the rows; more, and sorting is better */
#define BUCKET_BITS 16

/* ---- in memory ---- */

static double middle(double a, double b, double c)
{
    return a < b ? b < c ? b : a < c ? c : a : a < c ? a : b < c ? c : b;
}

/* Rearranges x so that x[k] is what sorting would put there, nothing before it is greater and
 * nothing after it less. No NaN among them. */
static double select_rank(double *x, int64_t n, int64_t k)
{
    int64_t lo = 0, hi = n;
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    while (hi - lo > 1) {
        int64_t p[3];
        for (int i = 0; i < 3; i++) { /* at random: no order of values is a bad one */
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            p[i] = lo + (int64_t)((state >> 33) % (uint64_t)(hi - lo));
        }
        double pivot = middle(x[p[0]], x[p[1]], x[p[2]]);
        int64_t less = lo, at = lo, more = hi;
        while (at < more) {
            double v = x[at];
            if (v < pivot) {
                x[at++] = x[less];
                x[less++] = v;
            } else if (v > pivot) {
                x[at] = x[--more];
                x[more] = v;
            } else {
                at++;
            }
        }
        if (k < less)
            hi = less;
        else if (k >= more)
            lo = more;
        else
            break;
    }
    return x[k];
}

double quantile_between(double a, double b, double t)
{
    if (a == b || t == 0) return a + 0.0; /* which of two zeros it is must not show */
    double d = b - a;
    return (t >= 0.5 ? b - d * (1 - t) : a + d * t) + 0.0;
}

void quantile_rank(double q, int64_t n, int64_t *below, double *t)
{
    double at = q * (double)(n - 1);
    *below = (int64_t)floor(at);
    if (*below > n - 1) *below = n - 1;
    *t = at - (double)*below;
}

static bool any_nan(const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (x[i] != x[i]) return true;
    return false;
}

static double quantile_of(double *x, int64_t n, double q)
{
    int64_t below;
    double t;
    quantile_rank(q, n, &below, &t);
    double a = select_rank(x, n, below), b = a;
    if (t > 0 && below + 1 < n) {
        b = x[below + 1];
        for (int64_t i = below + 2; i < n; i++)
            b = x[i] < b ? x[i] : b;
    }
    return quantile_between(a, b, t);
}

/* ---- some groups at a time ---- */

struct gathering {
    const struct rowset *rows; /* group (when n_keys is 1), value */
    int n_keys;
    const int64_t *counts;
    const double *qs;
    int n_q;
};

typedef void block_fn(void *self, const int32_t *groups, const double *x, int64_t n);

static enum status each_block(struct ctx *c, const struct gathering *g, block_fn *fn, void *self)
{
    int64_t n = rowset_rows(g->rows);
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        int64_t hi = lo + READ_ROWS < n ? lo + READ_ROWS : n;
        struct column cols[2];
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(check_cancel(c));
        TRY(rowset_read(c, g->rows, lo, hi, NULL, 0, cols));
        fn(self, g->n_keys ? cols[0].values : NULL, cols[g->n_keys].values, hi - lo);
        scratch_release(c->scratch, mark);
    }
    return OK;
}

struct part { /* groups [first, end) and where the next value of each goes */
    int64_t first, end;
    int64_t *at;
    double *values;
};

static void put_values(void *self, const int32_t *groups, const double *x, int64_t n)
{
    struct part *p = self;
    for (int64_t i = 0; i < n; i++) {
        int64_t g = (groups ? groups[i] : 0) - p->first;
        if (g >= 0 && g < p->end - p->first) p->values[p->at[g]++] = x[i];
    }
}

static enum status select_part(struct ctx *c, const struct gathering *g, struct part *p,
                               double *results)
{
    int64_t at = 0;
    for (int64_t i = p->first; i < p->end; i++) {
        p->at[i - p->first] = at;
        at += g->counts[i];
    }
    TRY(each_block(c, g, put_values, p));
    at = 0;
    for (int64_t i = p->first; i < p->end; i++) {
        bool nan = any_nan(p->values + at, g->counts[i]);
        for (int k = 0; g->counts[i] && k < g->n_q; k++)
            results[i * g->n_q + k] =
                nan ? (double)NAN : quantile_of(p->values + at, g->counts[i], g->qs[k]);
        at += g->counts[i];
    }
    return OK;
}

/* The groups from `first` on whose values fit. */
static int64_t part_end(const int64_t *counts, int64_t n_groups, int64_t first, int64_t most,
                        int64_t *n_values)
{
    int64_t end = first, n = 0;
    while (end < n_groups && n + counts[end] <= most)
        n += counts[end++];
    if (n > *n_values) *n_values = n;
    return end;
}

static enum status select_parts(struct ctx *c, const struct gathering *g, int64_t n_groups,
                                int64_t most, int64_t n_values, double *results)
{
    void *values = NULL, *at = NULL;
    enum status s = buf_alloc(c, (size_t)n_values * sizeof(double) + 8, &values);
    if (s == OK) s = buf_alloc(c, (size_t)n_groups * sizeof(int64_t) + 8, &at);
    for (int64_t first = 0, none = 0, end; first < n_groups && s == OK; first = end) {
        end = part_end(g->counts, n_groups, first, most, &none);
        struct part p = {first, end, at, values};
        s = select_part(c, g, &p, results);
    }
    buf_free(values);
    buf_free(at);
    return s;
}

/* ---- one large group ---- */

struct narrowing {
    uint64_t prefix; /* the leading `bits` bits that count */
    int bits;
    int64_t *buckets;
    int64_t below; /* values less than any with the prefix */
    double *values;
    int64_t n_values;
    bool nan;
};

static bool has_prefix(const struct narrowing *w, uint64_t word)
{
    return w->bits == 0 || word >> (64 - w->bits) == w->prefix;
}

static void count_buckets(void *self, const int32_t *groups, const double *x, int64_t n)
{
    (void)groups;
    struct narrowing *w = self;
    for (int64_t i = 0; i < n; i++) {
        uint64_t word;
        sortkey_encode(T_FLOAT64, &x[i], 1, &word);
        w->nan |= x[i] != x[i];
        if (has_prefix(w, word)) w->buckets[(word << w->bits) >> (64 - BUCKET_BITS)]++;
    }
}

static void take_values(void *self, const int32_t *groups, const double *x, int64_t n)
{
    (void)groups;
    struct narrowing *w = self;
    for (int64_t i = 0; i < n; i++) {
        uint64_t word;
        sortkey_encode(T_FLOAT64, &x[i], 1, &word);
        if (has_prefix(w, word)) w->values[w->n_values++] = x[i];
    }
}

/* The value of one rank; *nan: some value is. */
static enum status narrow_to_rank(struct ctx *c, const struct gathering *g, int64_t rank,
                                  int64_t most, double *out, bool *nan)
{
    struct narrowing w = {0};
    void *buckets, *values;
    int64_t n = rowset_rows(g->rows);
    enum status s = OK;
    TRY(buf_alloc(c, sizeof(int64_t) << BUCKET_BITS, &buckets));
    w.buckets = buckets;
    while (n > most && w.bits < 64 && s == OK) {
        memset(buckets, 0, sizeof(int64_t) << BUCKET_BITS);
        s = each_block(c, g, count_buckets, &w);
        if (s < 0 || w.nan) break;
        uint64_t b = 0;
        while (w.below + w.buckets[b] <= rank)
            w.below += w.buckets[b++];
        n = w.buckets[b];
        w.prefix = (w.prefix << BUCKET_BITS) | b;
        w.bits += BUCKET_BITS;
    }
    buf_free(buckets);
    *nan = w.nan;
    if (s < 0 || w.nan) return s;
    if (w.bits == 64) {
        sortkey_decode(T_FLOAT64, &w.prefix, 1, out);
        return OK;
    }
    TRY(buf_alloc(c, (size_t)n * sizeof(double) + 8, &values));
    w.values = values;
    s = each_block(c, g, take_values, &w);
    for (int64_t i = 0; i < n && s == OK; i++)
        *nan |= w.values[i] != w.values[i];
    if (s == OK && !*nan) *out = select_rank(w.values, n, rank - w.below);
    buf_free(values);
    return s;
}

static enum status select_large(struct ctx *c, const struct gathering *g, int64_t most, double q,
                                double *result)
{
    int64_t n = rowset_rows(g->rows), below;
    double t, a, b;
    bool nan;
    quantile_rank(q, n, &below, &t);
    *result = (double)NAN;
    TRY(narrow_to_rank(c, g, below, most, &a, &nan));
    if (nan) return OK;
    b = a;
    if (t > 0 && below + 1 < n) TRY(narrow_to_rank(c, g, below + 1, most, &b, &nan));
    *result = quantile_between(a, b, t);
    return OK;
}

enum status quantile_groups(struct ctx *c, const struct rowset *rows, int n_keys,
                            const int64_t *counts, int64_t n_groups, const double *qs, int n_q,
                            double *results, bool *done)
{
    struct gathering g = {rows, n_keys, counts, qs, n_q};
    int64_t most = memory_share(c, 4) / (int64_t)sizeof(double), n_values = 0;
    int passes = 0;
    *done = true;
    if (n_groups == 1 && counts[0] > most) {
        for (int k = 0; k < n_q; k++)
            TRY(select_large(c, &g, most, qs[k], &results[k]));
        return OK;
    }
    for (int64_t first = 0, end; first < n_groups; first = end) {
        end = part_end(counts, n_groups, first, most, &n_values);
        if (end == first || ++passes > MAX_PASSES) {
            *done = false;
            return OK;
        }
    }
    return select_parts(c, &g, n_groups, most, n_values, results);
}
