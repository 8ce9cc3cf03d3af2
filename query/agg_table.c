/* Which group has this key? A hash table from keys to the groups of an accumulator. */
#include "query/agg_hash_internal.h"
#include "query/sortkey.h"

enum status table_init(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                       struct group_table *t)
{
    *t = (struct group_table){.layout = l};
    return acc_init(c, set, &t->acc);
}

void table_free(struct group_table *t)
{
    if (t->acc.set) acc_free(&t->acc);
    buf_free(t->keys);
    buf_free(t->hashes);
    buf_free(t->slots);
    text_heap_free(&t->heap);
    *t = (struct group_table){0};
}

void table_clear(struct group_table *t)
{
    acc_clear(&t->acc);
    text_heap_free(&t->heap);
    text_heap_free(&t->acc.heap);
    if (t->slots) memset(t->slots, 0, (size_t)t->n_slots * sizeof *t->slots);
}

static int64_t fixed_bytes(const struct group_table *t, int64_t groups)
{
    int64_t slots = 64;
    while (slots < groups * 2)
        slots *= 2;
    return groups * (acc_group_bytes(t->acc.set) + 8 * (t->layout->n_words + 1)) +
           slots * (int64_t)sizeof *t->slots;
}

int64_t table_bytes(const struct group_table *t)
{
    return fixed_bytes(t, t->acc.cap) + t->heap.total_bytes + t->acc.heap.total_bytes;
}

static bool regrow(struct ctx *c, void *array, size_t used, size_t bytes)
{
    void *old, *fresh;
    memcpy(&old, array, sizeof old);
    if (old && buf_bytes(old) >= bytes) return true;
    fresh = buf_try(c->budget, bytes);
    if (!fresh) return false;
    if (used) memcpy(fresh, old, used);
    buf_free(old);
    memcpy(array, &fresh, sizeof fresh);
    return true;
}

static uint64_t slot_of(int64_t group, uint64_t hash)
{
    return (hash & (UINT64_MAX << 32)) | (uint64_t)(group + 1);
}

static void fill_slots(struct group_table *t)
{
    memset(t->slots, 0, (size_t)t->n_slots * sizeof *t->slots);
    uint64_t mask = (uint64_t)t->n_slots - 1;
    for (int64_t g = 0; g < t->acc.n; g++) {
        uint64_t s = t->hashes[g] & mask;
        while (t->slots[s])
            s = (s + 1) & mask;
        t->slots[s] = slot_of(g, t->hashes[g]);
    }
}

static bool grow_slots(struct ctx *c, struct group_table *t, int64_t groups)
{
    int64_t n = 64;
    while (n < groups * 2)
        n *= 2;
    if (n <= t->n_slots) return true;
    if (!regrow(c, &t->slots, 0, (size_t)n * sizeof *t->slots)) return false;
    t->n_slots = n;
    fill_slots(t);
    return true;
}

/* The largest number of groups in [least, most] whose arrays take at most so many bytes; less than
 * least when there is none. */
static int64_t most_groups(const struct group_table *t, int64_t least, int64_t most,
                           int64_t max_bytes)
{
    if (fixed_bytes(t, most) <= max_bytes) return most;
    int64_t lo = least - 1, hi = most;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (fixed_bytes(t, mid) <= max_bytes)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

enum status table_reserve(struct ctx *c, struct group_table *t, int64_t n, int64_t max_bytes,
                          bool *ok)
{
    struct acc *a = &t->acc;
    int64_t need = a->n + n, cap = a->cap < 64 ? 64 : a->cap;
    int64_t texts = t->heap.total_bytes + a->heap.total_bytes;
    *ok = need <= a->cap && (!texts || table_bytes(t) <= max_bytes);
    if (*ok) return OK;
    while (cap < need)
        cap *= 2;
    cap = most_groups(t, need, cap, max_bytes - texts);
    if (cap < need) return OK;
    if (!regrow(c, &t->keys, (size_t)a->n * (size_t)t->layout->n_words * 8,
                (size_t)cap * (size_t)t->layout->n_words * 8 + 8) ||
        !regrow(c, &t->hashes, (size_t)a->n * 8, (size_t)cap * 8) || !grow_slots(c, t, cap))
        return OK;
    return acc_reserve(c, a, cap, ok);
}

static struct text key_text(const uint64_t *words)
{
    return (struct text){(const char *)(uintptr_t)words[0], (int64_t)words[1]};
}

static bool is_null(const uint64_t *key, int k)
{
    return (key[k / 64] >> (k % 64)) & 1;
}

static uint64_t key_hash(const struct key_layout *l, const uint64_t *key)
{
    uint64_t h = 0;
    for (int w = 0; w < l->n_null_words; w++)
        h = hash_mix(h, key[w]);
    for (int k = 0; k < l->n_keys; k++) {
        const uint64_t *w = key + l->word_of[k];
        h = hash_mix(h, type_is_varlen(l->types[k]) && !is_null(key, k) ? text_mix(key_text(w))
                                                                        : w[0]);
    }
    return h;
}

/* One key that is no text: a word that says whether it is NULL, and its own. */
static bool is_plain(const struct key_layout *l)
{
    return l->n_keys == 1 && !l->n_texts;
}

void key_hashes(const struct key_layout *l, const uint64_t *keys, int64_t n, uint64_t *hashes)
{
    if (is_plain(l)) {
        for (int64_t i = 0; i < n; i++)
            hashes[i] = hash_mix(hash_mix(0, keys[2 * i]), keys[2 * i + 1]);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        hashes[i] = key_hash(l, keys + i * l->n_words);
}

static bool key_equal(const struct key_layout *l, const uint64_t *a, const uint64_t *b)
{
    if (!l->n_texts) {
        uint64_t differ = 0;
        for (int w = 0; w < l->n_words; w++)
            differ |= a[w] ^ b[w];
        return !differ;
    }
    if (memcmp(a, b, (size_t)l->n_null_words * 8)) return false;
    for (int k = 0; k < l->n_keys; k++) {
        const uint64_t *x = a + l->word_of[k], *y = b + l->word_of[k];
        if (!type_is_varlen(l->types[k])) {
            if (*x != *y) return false;
        } else if (x[1] != y[1] || (x[1] && memcmp(key_text(x).s, key_text(y).s, x[1]))) {
            return false;
        }
    }
    return true;
}

static enum status add_group(struct ctx *c, struct group_table *t, const uint64_t *key,
                             uint64_t hash)
{
    const struct key_layout *l = t->layout;
    int64_t g = t->acc.n;
    uint64_t *own = t->keys + g * l->n_words;
    memcpy(own, key, (size_t)l->n_words * 8);
    for (int k = 0; l->n_texts && k < l->n_keys; k++) {
        if (!type_is_varlen(l->types[k])) continue;
        uint64_t *w = own + l->word_of[k];
        struct text_ref ref = {0};
        TRY(text_heap_put(c, &t->heap, &ref, key_text(w).s, key_text(w).len));
        w[0] = (uint64_t)(uintptr_t)ref.s;
    }
    t->hashes[g] = hash;
    acc_grow(&t->acc, g + 1);
    return OK;
}

/* `plain`: as is_plain() says. */
static inline __attribute__((always_inline)) enum status
find_or_add(struct ctx *c, struct group_table *t, const uint64_t *key, uint64_t hash, bool plain,
            int32_t *out)
{
    const struct key_layout *l = t->layout;
    uint64_t mask = (uint64_t)t->n_slots - 1, s = hash & mask;
    for (; t->slots[s]; s = (s + 1) & mask) {
        if ((t->slots[s] ^ hash) >> 32) continue;
        int64_t g = (int64_t)(t->slots[s] & UINT32_MAX) - 1;
        const uint64_t *own = t->keys + g * (plain ? 2 : l->n_words);
        if (plain ? own[1] != key[1] || own[0] != key[0] : !key_equal(l, own, key)) continue;
        *out = (int32_t)g;
        return OK;
    }
    TRY(add_group(c, t, key, hash));
    *out = (int32_t)(t->acc.n - 1);
    t->slots[s] = slot_of(*out, hash);
    return OK;
}

enum status table_group(struct ctx *c, struct group_table *t, const uint64_t *key, uint64_t hash,
                        int32_t *out)
{
    return find_or_add(c, t, key, hash, false, out);
}

enum status table_groups(struct ctx *c, struct group_table *t, const uint64_t *keys,
                         const uint64_t *hashes, const int32_t *sel, int64_t n, int32_t *g)
{
    if (is_plain(t->layout)) {
        for (int64_t i = 0; i < n; i++)
            TRY(find_or_add(c, t, keys + 2 * i, hashes[i], true, &g[sel[i]]));
        return OK;
    }
    for (int64_t i = 0; i < n; i++)
        TRY(find_or_add(c, t, keys + i * t->layout->n_words, hashes[i], false, &g[sel[i]]));
    return OK;
}
