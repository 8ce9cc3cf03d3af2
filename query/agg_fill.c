/* How do the cells of a chunk find their groups in a table? A block of them at a time: by their
 * place when keys are small integers, by hash when not. */
#include "query/agg_hash_internal.h"
#include "query/sortkey.h"

/* Keys of the cells at + sel[0 … n), one after the other. */
void keys_make(const struct key_layout *l, const struct column *cols, int64_t at,
               const int32_t *sel, int64_t n, uint64_t *keys)
{
    int64_t width = l->n_words;
    memset(keys, 0, (size_t)(n * width) * 8);
    for (int k = 0; k < l->n_keys; k++) {
        const struct column *col = &cols[k];
        const char *values = (const char *)col->values + (size_t)at * type_bytes(col->type);
        uint64_t *to = keys + l->word_of[k];
        if (type_is_varlen(col->type)) {
            for (int64_t i = 0; i < n; i++) {
                const struct text *t = (const struct text *)values + sel[i];
                to[i * width] = (uint64_t)(uintptr_t)t->s;
                to[i * width + 1] = (uint64_t)t->len;
            }
        } else {
            uint64_t words[AGG_BLOCK];
            sortkey_encode_sel(col->type, values, sel, n, words);
            for (int64_t i = 0; i < n; i++)
                to[i * width] = words[i];
        }
        if (!col->valid) continue;
        for (int64_t i = 0; i < n; i++) {
            if (bit_get(col->valid, at + sel[i])) continue;
            to[i * width] = 0;
            if (type_is_varlen(col->type)) to[i * width + 1] = 0;
            keys[i * width + k / 64] |= UINT64_C(1) << (k % 64);
        }
    }
}

/* Groups of keys [0, n) into g[sel[i]]; *done: how many, fewer when memory is short (then the
 * groups in g are to be used before the table is spilled). */
static enum status find_groups(struct ctx *c, struct group_table *t, int64_t max_bytes,
                               const uint64_t *keys, const int32_t *sel, int64_t n, int32_t *g,
                               int64_t *done)
{
    const struct key_layout *l = t->layout;
    *done = 0;
    bool ok = false;
    int64_t step = n;
    for (; step > 0 && !ok; step = ok ? step : step / 4)
        TRY(table_reserve(c, t, step, max_bytes, &ok));
    if (!ok) return OK;
    uint64_t hashes[AGG_BLOCK];
    key_hashes(l, keys, step, hashes);
    for (int64_t i = 0; i < step; i++)
        table_prefetch(t, hashes[i]);
    TRY(table_groups(c, t, keys, hashes, sel, step, g));
    *done = step;
    return OK;
}

/* The cells of a chunk on their way into a table. */
struct adding {
    struct filling *f;
    const struct column *cols;
    const struct agg_input *in; /* NULL: the set is empty */
    int32_t *g;     /* of each cell: its group; -1: none, not known yet, or added already */
    uint64_t *keys; /* of a block */
};

/* Cells [0, end) that have a group go there. */
static enum status add_to_groups(struct ctx *c, struct adding *a, int64_t end)
{
    struct acc *acc = &a->f->table->acc;
    if (a->in) return acc_add_scatter(c, acc, a->g, a->in, 0, end);
    for (int64_t i = 0; i < end; i++)
        if (a->g[i] >= 0) acc->cells[a->g[i]]++;
    return OK;
}

/* What was found so far is used, and the table starts afresh. */
static enum status start_afresh(struct ctx *c, struct adding *a, int64_t end)
{
    struct filling *f = a->f;
    if (!f->table->acc.n)
        return fail(c, ERR_MEMORY, "out of memory: %s leaves no room for groups",
                    memory_limit_name(c));
    TRY(add_to_groups(c, a, end));
    memset(a->g, 0xff, (size_t)end * sizeof *a->g);
    if (f->direct) direct_clear(f->direct);
    f->n_emptied++;
    return f->full(c, f->self, f->table);
}

static enum status find_block(struct ctx *c, struct adding *a, int64_t at, int64_t len,
                              const int32_t *sel, int64_t n)
{
    int32_t misses[AGG_BLOCK], places[AGG_BLOCK];
    struct filling *f = a->f;
    const struct key_layout *l = f->table->layout;
    bool known = f->direct && !f->direct->off;
    if (known) {
        int64_t missed =
            direct_find(c, f->direct, l, a->cols, at, sel, n, a->g + at, misses, places);
        known = missed >= 0;
        if (known) {
            n = missed;
            sel = misses;
        }
    }
    if (!n) return OK;
    keys_make(l, a->cols, at, sel, n, a->keys);
    for (int64_t from = 0, done; from < n; from += done) {
        TRY(find_groups(c, f->table, f->max_bytes, a->keys + from * l->n_words, sel + from,
                        n - from, a->g + at, &done));
        if (!done) TRY(start_afresh(c, a, at + len));
        if (known) direct_put(f->direct, places + from, sel + from, done, a->g + at);
    }
    return OK;
}

enum status table_fill(struct ctx *c, struct filling *f, const struct column *keys,
                       const uint64_t *mask, const struct agg_input *in, int64_t n)
{
    struct adding a = {.f = f, .cols = keys, .in = in};
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    int32_t sel[AGG_BLOCK];
    TRY(scratch_alloc(c, (size_t)f->table->layout->n_words * AGG_BLOCK * 8 + 8, &mem));
    a.keys = mem;
    TRY(scratch_alloc(c, (size_t)n * sizeof(int32_t) + 8, &mem));
    a.g = mem;
    memset(a.g, 0xff, (size_t)n * sizeof *a.g);
    for (int64_t at = 0; at < n; at += AGG_BLOCK) {
        int64_t len = n - at < AGG_BLOCK ? n - at : AGG_BLOCK;
        int64_t m = mask_select(mask, at, len, NULL, sel);
        if (m) TRY(find_block(c, &a, at, len, sel, m));
    }
    TRY(add_to_groups(c, &a, n));
    scratch_release(c->scratch, mark);
    return OK;
}
