/* Approximate aggregates, that depend on the set of values alone: not on order, threads, memory.
 *
 * approx_count_distinct is HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog", AofA
 * 2007) of 2^12 registers over 64-bit hashes, read with the estimator of Ertl, "New cardinality
 * estimation algorithms for HyperLogLog sketches", arXiv:1702.01284, which needs no correction for
 * small or large counts: the standard error is 1.04 / 2^6, 1.6 %.
 *
 * approx_quantile counts values rounded to nine significant bits, so a value is known to 2^-9 of
 * it, 0.2 %: buckets by leading bits as in HdrHistogram, with the guarantee of DDSketch (Masson,
 * Rim, Lee, VLDB 2019). The counting is agg_holistic.c's. */
#include "query/agg_internal.h"
#include "query/sortkey.h"
#include <math.h>

#define BITS 12
#define REGISTERS (1 << BITS)
#define RANKS (64 - BITS + 1) /* a register is in [0, RANKS] */

static void note(uint8_t *registers, uint64_t hash)
{
    uint64_t rest = hash << BITS | (uint64_t)1 << (BITS - 1); /* never 0 */
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *r = &registers[hash >> (64 - BITS)];
    if (*r < rank) *r = rank;
}

static void hashes(enum type t, const struct agg_block *b, int64_t at, int64_t n, uint64_t *out)
{
    const char *values = (const char *)b->arg[0] + (size_t)at * type_bytes(t);
    if (type_is_varlen(t))
        for (int64_t i = 0; i < n; i++)
            out[i] = text_mix(((const struct text *)values)[i]);
    else
        sortkey_encode(t, values, n, out);
    for (int64_t i = 0; i < n; i++) /* twice: one round leaves neighbours alike */
        out[i] = hash_mix(hash_mix(0, out[i]), UINT64_C(0x2545f4914f6cdd1d));
}

/* Each cell into the state of its group g[i], or all into the one there is. */
static void count_cells(const struct agg_bound *k, uint8_t *states, const int32_t *g,
                        const struct agg_block *b)
{
    uint64_t h[AGG_BLOCK];
    for (int64_t at = 0, n; at < b->n; at += n) {
        n = b->n - at < AGG_BLOCK ? b->n - at : AGG_BLOCK;
        hashes(k->types[0], b, at, n, h);
        for (int64_t i = 0; i < n; i++)
            note(states + (g ? (size_t)g[at + i] * REGISTERS : 0), h[i]);
    }
}

static enum status count_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                             void *state, const struct agg_block *b)
{
    (void)c, (void)heap;
    count_cells(k, state, NULL, b);
    return OK;
}

static enum status count_scatter(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                 void *states, const int32_t *g, const struct agg_block *b)
{
    (void)c, (void)heap;
    count_cells(k, states, g, b);
    return OK;
}

static enum status count_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                               void *state, const void *other)
{
    (void)c, (void)k, (void)heap;
    uint8_t *s = state;
    const uint8_t *o = other;
    for (int i = 0; i < REGISTERS; i++)
        s[i] = s[i] > o[i] ? s[i] : o[i];
    return OK;
}

/* Ertl's sigma(x) = x + Σ x^(2^k) 2^(k-1). */
static double sigma(double x)
{
    double y = 1, z = x, before;
    if (x == 1) return (double)INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

/* Ertl's tau(x) = (1 - x - Σ (1 - x^(2^-k))^2 2^-k) / 3. */
static double tau(double x)
{
    double y = 1, z = 1 - x, before;
    if (x == 0 || x == 1) return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

static enum status count_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                                struct column *out, int64_t i)
{
    (void)c, (void)k;
    const uint8_t *s = state;
    double m = REGISTERS, z;
    int64_t n[RANKS + 1] = {0};
    for (int r = 0; r < REGISTERS; r++)
        n[s[r]]++;
    z = m * tau(1 - (double)n[RANKS] / m);
    for (int r = RANKS - 1; r >= 1; r--)
        z = 0.5 * (z + (double)n[r]);
    z += m * sigma((double)n[0] / m);
    const double alpha = 0.721347520444481704; /* 1 / (2 ln 2) */
    ((int64_t *)out->values)[i] = (int64_t)floor(alpha * m * m / z + 0.5);
    return OK;
}

const struct agg_ops *agg_approx_count_ops(void)
{
    static const struct agg_ops ops = {.state_bytes = REGISTERS,
                                       .empty_is_zero = true,
                                       .run = count_run,
                                       .scatter = count_scatter,
                                       .merge = count_merge,
                                       .finish = count_finish};
    return &ops;
}

/* To the nearest, ties to even, towards 0 where it would become infinite. */
double agg_rounded(double x)
{
    const int dropped = 52 - 8;
    uint64_t w;
    double r;
    if (!isfinite(x)) return x;
    memcpy(&w, &x, sizeof w);
    uint64_t half = UINT64_C(1) << (dropped - 1), even = w >> dropped & 1;
    uint64_t up = (w + half - 1 + even) >> dropped << dropped, down = w >> dropped << dropped;
    memcpy(&r, &up, sizeof r);
    if (!isfinite(r)) memcpy(&r, &down, sizeof r);
    return r;
}
