/* Exact quantiles without sorting: the values of a few groups at a time are laid out group by group
 * in memory and the wanted ranks selected. A single large group is not: some values drawn from it
 * give bounds that the wanted ranks lie between, and one pass takes what is inside (after Floyd &
 * Rivest, "Expected Time Bounds for Selection", CACM 18, 1975). Where bounds were wrong and the
 * group is larger than memory, leading bits of its values are counted until the bucket with the
 * wanted ranks fits. */
#include "query/agg_quantile.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include "storage/base/pool.h"
#include <math.h>
#include <pthread.h>
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

struct selecting {
    const struct gathering *g;
    const struct part *p;
    double *results;
};

/* Once a group's values are there, p->at says where they end. */
static enum status select_group(struct ctx *c, void *self, int worker, int64_t group)
{
    (void)c, (void)worker;
    const struct selecting *s = self;
    const struct gathering *g = s->g;
    int64_t i = s->p->first + group, n = g->counts[i];
    double *values = s->p->values + s->p->at[group] - n;
    bool nan = any_nan(values, n);
    for (int k = 0; n && k < g->n_q; k++)
        s->results[i * g->n_q + k] = nan ? (double)NAN : quantile_of(values, n, g->qs[k]);
    return OK;
}

static enum status select_part(struct ctx *c, const struct gathering *g, struct part *p,
                               double *results)
{
    struct selecting s = {g, p, results};
    int64_t at = 0;
    for (int64_t i = p->first; i < p->end; i++) {
        p->at[i - p->first] = at;
        at += g->counts[i];
    }
    TRY(each_block(c, g, put_values, p));
    return pool_run(c, p->end - p->first, 0, select_group, &s);
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

/* ---- one large group, by bounds ---- */

#define LARGE (1 << 17) /* values */
#define DRAWN 16384     /* values for bounds */
#define TAKEN 16        /* of so many values one may lie between bounds */
#define TASK_ROWS 65536

/* For one quantile: values between two bounds, how many equal those, how many are less. */
struct between {
    double lo, hi;
    int64_t below, n_lo, n_hi, n_inside;
    double *inside;
};
struct bounding {
    const struct gathering *g;
    struct between *bounds; /* one a quantile */
    int64_t most;           /* inside any */
    bool nan, failed;
    pthread_mutex_t lock;
};

static enum status draw_values(struct ctx *c, const struct gathering *g, double *drawn)
{
    int64_t n = rowset_rows(g->rows);
    uint64_t state = 88172645463325252u;
    for (int64_t i = 0; i < DRAWN; i++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column cols[2];
        int64_t lo = n / DRAWN * i, width = n / DRAWN;
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        lo += (int64_t)((state >> 33) % (uint64_t)width);
        TRY(rowset_read(c, g->rows, lo, lo + 1, NULL, 0, cols));
        drawn[i] = *(const double *)cols[g->n_keys].values;
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static void choose_bounds(const struct gathering *g, double *drawn, struct between *out)
{
    for (int k = 0; k < g->n_q; k++) {
        double q = g->qs[k], slack = 4 * sqrt(DRAWN * q * (1 - q)) + 8, at = q * DRAWN;
        int64_t lo = (int64_t)(at - slack), hi = (int64_t)(at + slack);
        out[k].lo = lo < 0 ? -(double)INFINITY : select_rank(drawn, DRAWN, lo);
        out[k].hi = hi >= DRAWN ? (double)INFINITY : select_rank(drawn, DRAWN, hi);
    }
}

/* Values of a task; those inside go to `room` first. */
static void look_at_values(const double *x, int64_t n, double lo, double hi, struct between *found)
{
    int64_t below = 0, n_lo = 0, n_hi = 0, m = 0;
    for (int64_t i = 0; i < n; i++) {
        below += x[i] < lo;
        n_lo += x[i] == lo;
        n_hi += x[i] == hi;
        found->inside[m] = x[i];
        m += (x[i] > lo) & (x[i] < hi);
    }
    found->below = below;
    found->n_lo = n_lo;
    found->n_hi = n_hi;
    found->n_inside = m;
}

static enum status look_at_rows(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)worker;
    struct bounding *b = self;
    struct column cols[2];
    struct between found;
    void *room;
    int64_t lo = task * TASK_ROWS, n = rowset_rows(b->g->rows) - lo;
    if (n > TASK_ROWS) n = TASK_ROWS;
    TRY(check_cancel(c));
    TRY(rowset_read(c, b->g->rows, lo, lo + n, NULL, 0, cols));
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(double), &room));
    const double *x = cols[b->g->n_keys].values;
    bool nan = any_nan(x, n);
    found.inside = room;
    for (int k = 0; k < b->g->n_q; k++) {
        struct between *to = &b->bounds[k];
        look_at_values(x, n, to->lo, to->hi, &found);
        pthread_mutex_lock(&b->lock);
        b->nan |= nan;
        to->below += found.below;
        to->n_lo += found.n_lo;
        to->n_hi += to->lo == to->hi ? 0 : found.n_hi;
        b->failed |= to->n_inside + found.n_inside > b->most;
        if (!b->failed)
            memcpy(to->inside + to->n_inside, room, (size_t)found.n_inside * sizeof(double));
        to->n_inside += found.n_inside;
        pthread_mutex_unlock(&b->lock);
    }
    return OK;
}

/* False: the rank lies outside the bounds. */
static bool rank_between(struct between *w, int64_t rank, double *out)
{
    rank -= w->below;
    if (rank < 0) return false;
    if (rank < w->n_lo) {
        *out = w->lo;
        return true;
    }
    rank -= w->n_lo;
    if (rank < w->n_inside) {
        *out = select_rank(w->inside, w->n_inside, rank);
        return true;
    }
    *out = w->hi;
    return rank - w->n_inside < w->n_hi;
}

static void bounded_results(struct bounding *b, int64_t n, double *results, bool *done)
{
    *done = !b->failed || b->nan;
    for (int k = 0; k < b->g->n_q && *done; k++) {
        int64_t below;
        double t, lo = 0, hi;
        results[k] = (double)NAN;
        if (b->nan) continue;
        quantile_rank(b->g->qs[k], n, &below, &t);
        *done = rank_between(&b->bounds[k], below, &lo);
        hi = lo;
        if (t > 0 && below + 1 < n) *done &= rank_between(&b->bounds[k], below + 1, &hi);
        results[k] = quantile_between(lo, hi, t);
    }
}

static enum status select_bounded(struct ctx *c, const struct gathering *g, double *results,
                                  bool *done)
{
    struct bounding b = {.g = g};
    int64_t n = rowset_rows(g->rows);
    void *mem, *inside = NULL;
    *done = false;
    TRY(scratch_alloc(c, sizeof *b.bounds * (size_t)g->n_q, &mem));
    b.bounds = mem;
    memset(b.bounds, 0, sizeof *b.bounds * (size_t)g->n_q);
    TRY(scratch_alloc(c, sizeof(double) * DRAWN, &mem));
    TRY(draw_values(c, g, mem));
    if (any_nan(mem, DRAWN)) { /* so will be the results */
        for (int k = 0; k < g->n_q; k++)
            results[k] = (double)NAN;
        *done = true;
        return OK;
    }
    choose_bounds(g, mem, b.bounds);
    b.most = n / TAKEN;
    if (b.most * g->n_q > memory_share(c, 4) / (int64_t)sizeof(double)) return OK;
    TRY(buf_alloc(c, (size_t)(b.most * g->n_q) * sizeof(double), &inside));
    for (int k = 0; k < g->n_q; k++)
        b.bounds[k].inside = (double *)inside + k * b.most;
    pthread_mutex_init(&b.lock, NULL);
    enum status s = pool_run(c, (n + TASK_ROWS - 1) / TASK_ROWS, 0, look_at_rows, &b);
    pthread_mutex_destroy(&b.lock);
    if (s == OK) bounded_results(&b, n, results, done);
    buf_free(inside);
    return s;
}

/* ---- one larger than memory, by leading bits ---- */

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
    *done = false;
    if (n_groups == 1 && counts[0] >= LARGE) TRY(select_bounded(c, &g, results, done));
    if (*done) return OK;
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
