/* How are cells grouped by values? Each worker fills a table of its own; one that reaches its share
 * of memory is spilled by partitions of the hash; at the end tables are merged, each partition by
 * one worker, and the groups sorted by key, so that the result depends neither on threads nor on
 * memory.
 *
 * NULL is one group, NaN is one, -0.0 is 0.0. */
#include "query/agg_hash_internal.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include "query/spill.h"
#include "storage/base/pool.h"
#include <pthread.h>
#include <stdlib.h>

struct hashagg {
    struct key_layout layout;
    enum type *types;
    const struct agg_set *set;
    struct agg_set no_calls;
    int n_workers;
    int64_t mem_bytes;
    char *tmp_dir;
    struct group_table *tables; /* one a worker; layout NULL: not used yet */
    struct direct_map *direct;  /* one a worker */
    struct spill *file;
    struct partition parts[N_PARTITIONS];
    bool spilled;
    pthread_mutex_t lock; /* file's making, parts */
};

static enum status lay_out(struct ctx *c, struct hashagg *h, const enum type *types, int n)
{
    struct key_layout *l = &h->layout;
    h->types = calloc((size_t)n + 1, sizeof *h->types);
    l->word_of = calloc((size_t)n + 1, sizeof *l->word_of);
    if (!h->types || !l->word_of) return fail(c, ERR_MEMORY, "out of memory");
    l->n_keys = n;
    l->types = h->types;
    l->n_null_words = (n + 63) / 64;
    l->n_words = l->n_null_words;
    for (int k = 0; k < n; k++) {
        h->types[k] = types[k];
        l->word_of[k] = l->n_words;
        l->n_words += 1 + type_is_varlen(types[k]);
        l->n_texts += type_is_varlen(types[k]);
    }
    return OK;
}

enum status hashagg_new(struct ctx *c, const enum type *key_types, int n_keys,
                        const struct agg_set *set, int n_workers, int64_t mem_bytes,
                        const char *tmp_dir, struct hashagg **out)
{
    struct hashagg *h = calloc(1, sizeof *h);
    if (!h) return fail(c, ERR_MEMORY, "out of memory");
    pthread_mutex_init(&h->lock, NULL);
    h->set = set ? set : &h->no_calls;
    h->n_workers = n_workers;
    h->mem_bytes = mem_bytes;
    h->tmp_dir = tmp_dir ? strdup(tmp_dir) : NULL;
    h->tables = calloc((size_t)n_workers, sizeof *h->tables);
    h->direct = calloc((size_t)n_workers, sizeof *h->direct);
    enum status s = h->tables && h->direct && (h->tmp_dir || !tmp_dir)
                        ? lay_out(c, h, key_types, n_keys)
                        : fail(c, ERR_MEMORY, "out of memory");
    if (s < 0)
        hashagg_free(h);
    else
        *out = h;
    return s;
}

void hashagg_free(struct hashagg *h)
{
    if (!h) return;
    for (int i = 0; h->tables && i < h->n_workers; i++)
        if (h->tables[i].layout) table_free(&h->tables[i]);
    for (int i = 0; h->direct && i < h->n_workers; i++)
        direct_free(&h->direct[i]);
    free(h->direct);
    free(h->tables);
    partitions_free(h->parts);
    spill_free(h->file);
    pthread_mutex_destroy(&h->lock);
    free(h->layout.word_of);
    free(h->types);
    free(h->tmp_dir);
    free(h);
}

/* ---- filling ---- */

static enum status spill_table(struct ctx *c, struct hashagg *h, struct group_table *t)
{
    enum status s = OK;
    pthread_mutex_lock(&h->lock);
    if (!h->file) s = spill_new(c, h->tmp_dir, &h->file);
    h->spilled = true;
    pthread_mutex_unlock(&h->lock);
    TRY(s);
    return table_spill(c, t, 0, h->file, h->parts, &h->lock);
}

/* Keys of the cells at + sel[0 … n), one after the other. */
static void make_keys(const struct key_layout *l, const struct column *cols, int64_t at,
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
static enum status find_groups(struct ctx *c, const struct hashagg *h, struct group_table *t,
                               const uint64_t *keys, const int32_t *sel, int64_t n, int32_t *g,
                               int64_t *done)
{
    int64_t max_bytes = h->mem_bytes / h->n_workers;
    *done = 0;
    bool ok = false;
    int64_t step = n;
    for (; step > 0 && !ok; step = ok ? step : step / 4)
        TRY(table_reserve(c, t, step, max_bytes, &ok));
    if (!ok) return OK;
    uint64_t hashes[AGG_BLOCK];
    for (int64_t i = 0; i < step; i++) {
        hashes[i] = key_hash(&h->layout, keys + i * h->layout.n_words);
        table_prefetch(t, hashes[i]);
    }
    for (int64_t i = 0; i < step; i++)
        TRY(table_group(c, t, keys + i * h->layout.n_words, hashes[i], &g[sel[i]]));
    *done = step;
    return OK;
}

/* The cells of a chunk on their way into a worker's table. */
struct adding {
    struct hashagg *h;
    struct group_table *t;
    struct direct_map *direct;
    const struct column *cols;
    const struct agg_input *in; /* NULL: the set is empty */
    int64_t n;
    int32_t *g;     /* of each cell: its group; -1: none, not known yet, or added already */
    uint64_t *keys; /* of a block */
};

/* Cells [0, end) that have a group go there. */
static enum status add_to_groups(struct ctx *c, struct adding *a, int64_t end)
{
    if (a->in) return acc_add_scatter(c, &a->t->acc, a->g, a->in, 0, end);
    for (int64_t i = 0; i < end; i++)
        if (a->g[i] >= 0) a->t->acc.cells[a->g[i]]++;
    return OK;
}

/* What was found so far is used, and the table starts afresh. */
static enum status start_afresh(struct ctx *c, struct adding *a, int64_t end)
{
    if (!a->t->acc.n)
        return fail(c, ERR_MEMORY, "out of memory: %s leaves no room for groups",
                    memory_limit_name(c));
    TRY(add_to_groups(c, a, end));
    memset(a->g, 0xff, (size_t)end * sizeof *a->g);
    direct_clear(a->direct);
    return spill_table(c, a->h, a->t);
}

static enum status find_block(struct ctx *c, struct adding *a, int64_t at, int64_t len,
                              const int32_t *sel, int64_t n)
{
    int32_t misses[AGG_BLOCK], places[AGG_BLOCK];
    bool known = !a->direct->off;
    if (known) {
        int64_t missed = direct_find(c, a->direct, &a->h->layout, a->cols, at, sel, n, a->g + at,
                                     misses, places);
        known = missed >= 0;
        if (known) {
            n = missed;
            sel = misses;
        }
    }
    if (!n) return OK;
    make_keys(&a->h->layout, a->cols, at, sel, n, a->keys);
    for (int64_t from = 0, done; from < n; from += done) {
        TRY(find_groups(c, a->h, a->t, a->keys + from * a->h->layout.n_words, sel + from, n - from,
                        a->g + at, &done));
        if (!done) TRY(start_afresh(c, a, at + len));
        if (known) direct_put(a->direct, places + from, sel + from, done, a->g + at);
    }
    return OK;
}

enum status hashagg_add(struct ctx *c, struct hashagg *h, int worker, const struct column *keys,
                        const uint64_t *mask, const struct agg_input *in, int64_t n)
{
    struct adding a = {h, &h->tables[worker], &h->direct[worker], keys, in, n, NULL, NULL};
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    int32_t sel[AGG_BLOCK];
    if (!a.t->layout) {
        TRY(table_init(c, &h->layout, h->set, a.t));
        direct_init(a.direct, &h->layout);
    }
    TRY(scratch_alloc(c, (size_t)h->layout.n_words * AGG_BLOCK * 8 + 8, &mem));
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

/* ---- results ---- */

struct emitter {
    struct hashagg *h;
    hashagg_fn *fn;
    void *self;
    struct group_table *room; /* one a worker: where tables' parts meet */
};
struct one_emitter { /* for one worker */
    struct emitter *e;
    int worker;
};

static enum status key_column(struct ctx *c, const struct group_table *t, int k, int64_t lo,
                              int64_t n, struct column *out)
{
    const struct key_layout *l = t->layout;
    TRY(column_alloc(c, l->types[k], n, out));
    uint64_t words[AGG_BLOCK];
    bool nulls = false;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t *key = t->keys + (lo + i) * l->n_words, *w = key + l->word_of[k];
        nulls |= (key[k / 64] >> (k % 64)) & 1;
        words[i] = w[0];
        if (type_is_varlen(out->type))
            ((struct text *)out->values)[i] =
                (struct text){(const char *)(uintptr_t)w[0], (int64_t)w[1]};
    }
    if (!type_is_varlen(out->type)) sortkey_decode(out->type, words, n, out->values);
    if (!nulls) return OK;
    TRY(column_need_valid(c, out, n));
    for (int64_t i = 0; i < n; i++) {
        const uint64_t *key = t->keys + (lo + i) * l->n_words;
        bit_put(out->valid, i, !((key[k / 64] >> (k % 64)) & 1));
    }
    return OK;
}

static enum status emit_block(struct ctx *c, struct one_emitter *o, struct group_table *t,
                              int64_t lo, int64_t n)
{
    int n_keys = t->layout->n_keys, n_calls = t->acc.set->n;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_keys + 1 + n_calls), &mem));
    struct column *cols = mem;
    for (int k = 0; k < n_keys; k++)
        TRY(key_column(c, t, k, lo, n, &cols[k]));
    cols[n_keys] = (struct column){.type = T_INT64, .values = t->acc.cells + lo};
    for (int i = 0; i < n_calls; i++) {
        struct column *out = &cols[n_keys + 1 + i];
        TRY(column_alloc(c, agg_partial_type(&t->acc.set->calls[i]), n, out));
        TRY(column_need_valid(c, out, n));
        TRY(acc_finish(c, &t->acc, i, lo, lo + n, out));
    }
    return o->e->fn(c, o->e->self, o->worker, cols, n);
}

static enum status emit(struct ctx *c, void *self, struct group_table *t)
{
    for (int64_t lo = 0; lo < t->acc.n; lo += AGG_BLOCK) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        int64_t n = t->acc.n - lo < AGG_BLOCK ? t->acc.n - lo : AGG_BLOCK;
        TRY(check_cancel(c));
        TRY(emit_block(c, self, t, lo, n));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

/* ---- meeting of the workers' tables ---- */

static int used_tables(const struct hashagg *h, struct group_table **any)
{
    int n = 0;
    for (int i = 0; i < h->n_workers; i++) {
        if (!h->tables[i].layout) continue;
        *any = &h->tables[i];
        n++;
    }
    return n;
}

/* A table for each of `width` workers that holds any part of all tables; *ok false: no room. */
static enum status make_room(struct ctx *c, struct emitter *e, int width, bool *ok)
{
    struct hashagg *h = e->h;
    int64_t parts[N_PARTITIONS] = {0}, most = 0;
    *ok = false;
    e->room = calloc((size_t)width, sizeof *e->room);
    if (!e->room) return fail(c, ERR_MEMORY, "out of memory");
    for (int i = 0; i < h->n_workers; i++)
        if (h->tables[i].layout) table_count_parts(&h->tables[i], parts);
    for (int p = 0; p < N_PARTITIONS; p++)
        most = parts[p] > most ? parts[p] : most;
    for (int w = 0; w < width; w++) {
        TRY(table_init(c, &h->layout, h->set, &e->room[w]));
        TRY(table_reserve(c, &e->room[w], most, h->mem_bytes / width, ok));
        if (!*ok) return OK;
    }
    return OK;
}

static enum status merge_part(struct ctx *c, void *self, int worker, int64_t part)
{
    struct emitter *e = self;
    struct one_emitter o = {e, worker};
    struct group_table *t = &e->room[worker];
    table_clear(t);
    for (int i = 0; i < e->h->n_workers; i++)
        if (e->h->tables[i].layout) TRY(table_merge_part(c, t, &e->h->tables[i], (int)part));
    return emit(c, &o, t);
}

static enum status merge_spilled(struct ctx *c, void *self, int worker, int64_t part)
{
    struct emitter *e = self;
    struct one_emitter o = {e, worker};
    return partition_merge(c, &e->h->layout, e->h->set, e->h->file, &e->h->parts[part], 0,
                           e->h->mem_bytes / pool_width(c), emit, &o);
}

/* In memory if a part of all tables fits beside them; else all are spilled, and meet there. */
static enum status emit_parts(struct ctx *c, struct emitter *e)
{
    struct hashagg *h = e->h;
    int width = pool_width(c);
    bool fits = false;
    if (!h->spilled) TRY(make_room(c, e, width, &fits));
    if (fits) return pool_run(c, N_PARTITIONS, 0, merge_part, e);
    for (int w = 0; e->room && w < width; w++)
        if (e->room[w].layout) table_free(&e->room[w]);
    for (int i = 0; i < h->n_workers; i++) {
        if (!h->tables[i].layout) continue;
        TRY(spill_table(c, h, &h->tables[i]));
        table_free(&h->tables[i]);
    }
    return pool_run(c, N_PARTITIONS, 0, merge_spilled, e);
}

enum status hashagg_each(struct ctx *c, struct hashagg *h, hashagg_fn *fn, void *self)
{
    struct emitter e = {.h = h, .fn = fn, .self = self};
    struct group_table *only = NULL;
    int n = used_tables(h, &only), width = pool_width(c);
    enum status s = OK;
    if (h->spilled || n > 1)
        s = emit_parts(c, &e);
    else if (n == 1)
        s = emit(c, &(struct one_emitter){&e, 0}, only);
    for (int w = 0; e.room && w < width; w++)
        if (e.room[w].layout) table_free(&e.room[w]);
    free(e.room);
    for (int i = 0; i < h->n_workers; i++)
        if (h->tables[i].layout) table_free(&h->tables[i]);
    return s;
}

static enum status to_rows(struct ctx *c, void *self, int worker, const struct column *cols,
                           int64_t n)
{
    (void)worker;
    return rowset_append(c, self, cols, NULL, n);
}

static enum status new_result(struct ctx *c, const struct hashagg *h, struct rowset **out)
{
    int n_keys = h->layout.n_keys, n = n_keys + 1 + h->set->n;
    void *mem;
    TRY(scratch_alloc(c, sizeof(enum type) * (size_t)n, &mem));
    enum type *types = mem;
    for (int k = 0; k < n_keys; k++)
        types[k] = h->types[k];
    types[n_keys] = T_INT64;
    for (int i = 0; i < h->set->n; i++)
        types[n_keys + 1 + i] = agg_partial_type(&h->set->calls[i]);
    return rowset_new(c, types, n, h->tmp_dir, out);
}

enum status hashagg_finish(struct ctx *c, struct hashagg *h, struct rowset **out)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct rowset *rows = NULL;
    enum status s = new_result(c, h, &rows);
    if (s == OK) s = hashagg_each(c, h, to_rows, rows);
    struct rowset_key *keys = calloc((size_t)h->layout.n_keys + 1, sizeof *keys);
    if (s == OK && !keys) s = fail(c, ERR_MEMORY, "out of memory");
    for (int k = 0; s == OK && k < h->layout.n_keys; k++)
        keys[k].column = k;
    if (s == OK) s = rowset_sort(c, rows, keys, h->layout.n_keys, -1, out);
    rowset_free(rows);
    free(keys);
    scratch_release(c->scratch, mark);
    return s;
}
