/* Aggregates that pick a cell: argmin, argmax, first, last, only, and minimum and maximum of texts
 * and intervals. And histograms.
 *
 * A cell's key becomes a word whose least wins (inverted for maxima; a NaN wins where it has to
 * propagate). Equal words of texts are told apart by the texts; equal keys by the cell's row-major
 * number, so the result does not depend on the order of arrival. */
#include "query/agg_internal.h"
#include "query/sortkey.h"
#include <math.h>
#include <stddef.h>

struct wide { /* any value of up to 16 bytes */
    uint64_t w[2];
};
struct pick {
    uint64_t word;
    int64_t rank;
    struct wide value;
    struct text_ref key_text, value_text;
    bool has, null; /* null: the picked value is NULL */
};

/* What a call's kernels need to know of it. */
struct pick_rule {
    enum type key, value;
    bool unkeyed; /* only: the rank decides */
    bool inverted, nan_first;
    int key_arg, value_arg;
};

static struct pick_rule rule_of(const struct agg_bound *k)
{
    struct pick_rule r = {0};
    switch (k->agg->id) {
    case AGG_ARGMAX:
        r.inverted = true;
        r.value_arg = 1;
        break;
    case AGG_ARGMIN:
        r.nan_first = true;
        r.value_arg = 1;
        break;
    case AGG_LAST:
        r.inverted = true;
        r.key_arg = 1;
        break;
    case AGG_FIRST:
        r.key_arg = 1;
        break;
    case AGG_MAX:
        r.inverted = true;
        break;
    case AGG_ONLY:
        r.unkeyed = true;
        break;
    default:
        break;
    }
    r.key = k->types[r.key_arg];
    r.value = k->types[r.value_arg];
    return r;
}

static void words_of(const struct pick_rule *r, const struct agg_block *b, int64_t at, int64_t n,
                     uint64_t *words)
{
    if (r->unkeyed) {
        memset(words, 0, (size_t)n * sizeof *words);
        return;
    }
    const char *keys = b->arg[r->key_arg];
    sortkey_encode(r->key, keys + (size_t)at * type_bytes(r->key), n, words);
    if (r->nan_first && type_is_float(r->key)) {
        uint64_t nan_word;
        const double nan = (double)NAN;
        sortkey_encode(T_FLOAT64, &nan, 1, &nan_word);
        for (int64_t i = 0; i < n; i++)
            words[i] = words[i] == nan_word ? 0 : words[i];
    }
    if (r->inverted)
        for (int64_t i = 0; i < n; i++)
            words[i] = ~words[i];
}

/* Does a cell with this word, key and rank beat the state's? */
static bool beats(const struct pick_rule *r, const struct pick *s, uint64_t word,
                  const struct text *key, int64_t rank)
{
    if (!s->has || word != s->word) return !s->has || word < s->word;
    if (!r->unkeyed && type_is_varlen(r->key)) {
        int cmp = text_order(*key, (struct text){s->key_text.s, s->key_text.len});
        if (cmp) return (cmp < 0) != r->inverted;
    }
    return rank < s->rank;
}

static enum status take(struct ctx *c, const struct pick_rule *r, struct text_heap *heap,
                        struct pick *s, uint64_t word, const struct text *key, int64_t rank,
                        const void *value, bool null)
{
    s->word = word;
    s->rank = rank;
    s->has = true;
    s->null = null;
    if (!r->unkeyed && type_is_varlen(r->key))
        TRY(text_heap_put(c, heap, &s->key_text, key->s, key->len));
    if (null) return OK;
    if (type_is_varlen(r->value)) {
        const struct text *t = value;
        return text_heap_put(c, heap, &s->value_text, t->s, t->len);
    }
    memcpy(&s->value, value, type_bytes(r->value));
    return OK;
}

static enum status add_cell(struct ctx *c, const struct pick_rule *r, struct text_heap *heap,
                            struct pick *s, uint64_t word, const struct agg_block *b, int64_t i)
{
    const struct text *key =
        type_is_varlen(r->key) ? (const struct text *)b->arg[r->key_arg] + i : NULL;
    if (!beats(r, s, word, key, b->rank[i])) return OK;
    const char *value = (const char *)b->arg[r->value_arg] + (size_t)i * type_bytes(r->value);
    return take(c, r, heap, s, word, key, b->rank[i], value, b->null && b->null[i]);
}

static enum status pick_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                            void *state, const struct agg_block *b)
{
    struct pick_rule r = rule_of(k);
    struct pick *s = state;
    uint64_t words[AGG_BLOCK];
    for (int64_t at = 0; at < b->n; at += AGG_BLOCK) {
        int64_t n = b->n - at < AGG_BLOCK ? b->n - at : AGG_BLOCK;
        words_of(&r, b, at, n, words);
        uint64_t least = UINT64_MAX;
        for (int64_t i = 0; i < n; i++)
            least = words[i] < least ? words[i] : least;
        if (s->has && least > s->word) continue;
        for (int64_t i = 0; i < n; i++)
            if (words[i] == least) {
                TRY(add_cell(c, &r, heap, s, least, b, at + i));
                if (!type_is_varlen(r.key) || r.unkeyed) break;
            }
    }
    return OK;
}

static enum status pick_scatter(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                void *states, const int32_t *g, const struct agg_block *b)
{
    struct pick_rule r = rule_of(k);
    uint64_t words[AGG_BLOCK];
    for (int64_t at = 0; at < b->n; at += AGG_BLOCK) {
        int64_t n = b->n - at < AGG_BLOCK ? b->n - at : AGG_BLOCK;
        words_of(&r, b, at, n, words);
        for (int64_t i = 0; i < n; i++) {
            struct pick *s = (struct pick *)states + g[at + i];
            if (s->has && words[i] > s->word) continue;
            TRY(add_cell(c, &r, heap, s, words[i], b, at + i));
        }
    }
    return OK;
}

static enum status pick_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                              void *state, const void *other)
{
    struct pick_rule r = rule_of(k);
    struct pick *s = state;
    const struct pick *o = other;
    if (!o->has) return OK;
    struct text key = {o->key_text.s, o->key_text.len};
    struct text value = {o->value_text.s, o->value_text.len};
    if (!beats(&r, s, o->word, &key, o->rank)) return OK;
    const void *v = type_is_varlen(r.value) ? (const void *)&value : &o->value;
    return take(c, &r, heap, s, o->word, &key, o->rank, v, o->null);
}

static enum status pick_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                               struct column *out, int64_t i)
{
    (void)c;
    struct pick_rule r = rule_of(k);
    const struct pick *s = state;
    if (!s->has || s->null)
        column_put_null(out, i);
    else if (type_is_varlen(r.value))
        ((struct text *)out->values)[i] = (struct text){s->value_text.s, s->value_text.len};
    else
        memcpy((char *)out->values + (size_t)i * type_bytes(r.value), &s->value,
               type_bytes(r.value));
    return OK;
}

const struct agg_ops *agg_pick_ops(void)
{
    static const struct agg_ops ops = {
        .n_texts = 2,
        .text_at = {offsetof(struct pick, key_text), offsetof(struct pick, value_text)},
        .state_bytes = sizeof(struct pick),
        .empty_is_zero = true,
        .run = pick_run,
        .scatter = pick_scatter,
        .merge = pick_merge,
        .finish = pick_finish};
    return &ops;
}

/* ---- histograms ---- */

/* The bin as NumPy finds it: scaled, then corrected by the bins' computed edges; -1: outside. */
static inline int64_t bin_of(const struct agg_bound *k, double x)
{
    if (!(x >= k->lo && x <= k->hi)) return -1;
    double n = (double)k->bins, step = (k->hi - k->lo) / n;
    int64_t bin = (int64_t)((x - k->lo) / (k->hi - k->lo) * n);
    if (bin >= k->bins) bin = k->bins - 1;
    if (x < k->lo + (double)bin * step) return bin - (bin > 0);
    if (bin < k->bins - 1 && x >= k->lo + (double)(bin + 1) * step) bin++;
    return bin;
}

static enum status histogram_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                 void *state, const struct agg_block *b)
{
    (void)c, (void)heap;
    const double *x = b->arg[0];
    int64_t *bins = state;
    for (int64_t i = 0; i < b->n; i++) {
        int64_t bin = bin_of(k, x[i]);
        if (bin >= 0) bins[bin]++;
    }
    return OK;
}

static enum status histogram_scatter(struct ctx *c, const struct agg_bound *k,
                                     struct text_heap *heap, void *states, const int32_t *g,
                                     const struct agg_block *b)
{
    (void)c, (void)heap;
    const double *x = b->arg[0];
    int64_t *bins = states;
    for (int64_t i = 0; i < b->n; i++) {
        int64_t bin = bin_of(k, x[i]);
        if (bin >= 0) bins[g[i] * k->bins + bin]++;
    }
    return OK;
}

static enum status histogram_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                   void *state, const void *other)
{
    (void)c, (void)heap;
    int64_t *bins = state;
    const int64_t *more = other;
    for (int64_t i = 0; i < k->bins; i++)
        bins[i] += more[i];
    return OK;
}

/* The list refers to the state. */
static enum status histogram_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                                    struct column *out, int64_t i)
{
    (void)c;
    ((struct text *)out->values)[i] = (struct text){state, k->bins * (int64_t)sizeof(int64_t)};
    return OK;
}

const struct agg_ops *agg_histogram_ops(void)
{
    static const struct agg_ops ops = {.empty_is_zero = true,
                                       .run = histogram_run,
                                       .scatter = histogram_scatter,
                                       .merge = histogram_merge,
                                       .finish = histogram_finish};
    return &ops;
}
