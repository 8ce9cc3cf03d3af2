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

#define LOOK_GROUPS 65536 /* of a worker: when it looks whether a table is of use */
#define FAST 0.6          /* new groups a cell: it is not */

struct hash_worker {
    struct group_table table; /* layout NULL: not used yet */
    struct direct_map direct;
    int64_t n_cells, n_groups; /* that came, that were new */
    int64_t cells_then, groups_then, look_at;
};

struct hashagg {
    struct key_layout layout;
    enum type *types;
    const struct agg_set *set;
    struct agg_set no_calls;
    int n_workers;
    int64_t mem_bytes;
    char *tmp_dir;
    struct hash_worker *workers;
    struct row_parts *rows; /* where cells go once by_rows is set */
    atomic_bool by_rows;
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
    h->workers = calloc((size_t)n_workers, sizeof *h->workers);
    enum status s = h->workers && (h->tmp_dir || !tmp_dir) ? lay_out(c, h, key_types, n_keys)
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
    for (int i = 0; h->workers && i < h->n_workers; i++) {
        if (h->workers[i].table.layout) table_free(&h->workers[i].table);
        direct_free(&h->workers[i].direct);
    }
    free(h->workers);
    row_parts_free(h->rows);
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

static enum status table_full(struct ctx *c, void *self, struct group_table *t)
{
    return spill_table(c, self, t);
}

/* New groups are most of what came since the worker's last look: a table is of no use. */
static bool grows_fast(const struct hash_worker *w)
{
    return (double)(w->n_groups - w->groups_then) > FAST * (double)(w->n_cells - w->cells_then);
}

static enum status change_to_rows(struct ctx *c, struct hashagg *h)
{
    enum status s = OK;
    pthread_mutex_lock(&h->lock);
    if (!h->rows) {
        int64_t bytes = memory_share(c, 4);
        s = row_parts_new(c, &h->layout, h->set, bytes, h->tmp_dir, &h->rows);
        if (s == OK) atomic_store_explicit(&h->by_rows, true, memory_order_release);
    }
    pthread_mutex_unlock(&h->lock);
    return s;
}

static enum status look_at_growth(struct ctx *c, struct hashagg *h, struct hash_worker *w,
                                  int64_t groups_before, bool emptied, int64_t n_cells)
{
    w->n_cells += n_cells;
    w->n_groups += w->table.acc.n - (emptied ? 0 : groups_before);
    if (!emptied && w->table.acc.n < w->look_at) return OK;
    if (grows_fast(w)) TRY(change_to_rows(c, h));
    w->groups_then = w->n_groups;
    w->cells_then = w->n_cells;
    w->look_at = 2 * w->table.acc.n > LOOK_GROUPS ? 2 * w->table.acc.n : LOOK_GROUPS;
    return OK;
}

enum status hashagg_add(struct ctx *c, struct hashagg *h, int worker, const struct column *keys,
                        const uint64_t *mask, const struct agg_input *in, int64_t n)
{
    struct hash_worker *w = &h->workers[worker];
    if (atomic_load_explicit(&h->by_rows, memory_order_acquire))
        return row_parts_add(c, h->rows, keys, mask, in, n);
    if (!w->table.layout) {
        TRY(table_init(c, &h->layout, h->set, &w->table));
        direct_init(&w->direct, &h->layout);
        w->look_at = LOOK_GROUPS;
    }
    struct filling f = {&w->table, &w->direct, h->mem_bytes / h->n_workers, table_full, h, 0};
    int64_t before = w->table.acc.n;
    TRY(table_fill(c, &f, keys, mask, in, n));
    return look_at_growth(c, h, w, before, f.n_emptied > 0, mask ? bits_count(mask, 0, n) : n);
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
        if (!h->workers[i].table.layout) continue;
        *any = &h->workers[i].table;
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
        if (h->workers[i].table.layout) table_count_parts(&h->workers[i].table, parts);
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
        if (e->h->workers[i].table.layout)
            TRY(table_merge_part(c, t, &e->h->workers[i].table, (int)part));
    return emit(c, &o, t);
}

static enum status merge_spilled(struct ctx *c, void *self, int worker, int64_t part)
{
    struct emitter *e = self;
    struct one_emitter o = {e, worker};
    return partition_merge(c, &e->h->layout, e->h->set, e->h->file, &e->h->parts[part], NULL, 0,
                           e->h->mem_bytes / pool_width(c), emit, &o);
}

static enum status merge_rows(struct ctx *c, void *self, int worker, int64_t part)
{
    struct emitter *e = self;
    struct hashagg *h = e->h;
    struct one_emitter o = {e, worker};
    void *mem;
    int n = 0;
    TRY(scratch_alloc(c, sizeof(struct group_table *) * (size_t)(h->n_workers + 1), &mem));
    const struct group_table **tables = mem;
    for (int i = 0; i < h->n_workers; i++)
        if (h->workers[i].table.layout) tables[n++] = &h->workers[i].table;
    const struct row_part p = {h->rows, (int)part, tables, n};
    TRY(partition_merge(c, &h->layout, h->set, h->file,
                        &h->parts[part >> (ROW_PART_BITS - PARTITION_BITS)], &p, 0,
                        h->mem_bytes / pool_width(c), emit, &o));
    row_parts_drop(h->rows, (int)part);
    return OK;
}

/* In memory if a part of all tables fits beside them; else all are spilled, and meet there. */
static enum status emit_parts(struct ctx *c, struct emitter *e)
{
    struct hashagg *h = e->h;
    int width = pool_width(c);
    bool fits = false;
    if (h->rows) {
        if (!h->file) TRY(spill_new(c, h->tmp_dir, &h->file));
        return pool_run(c, ROW_PARTS, 0, merge_rows, e);
    }
    if (!h->spilled) TRY(make_room(c, e, width, &fits));
    if (fits) return pool_run(c, N_PARTITIONS, 0, merge_part, e);
    for (int w = 0; e->room && w < width; w++)
        if (e->room[w].layout) table_free(&e->room[w]);
    for (int i = 0; i < h->n_workers; i++) {
        if (!h->workers[i].table.layout) continue;
        TRY(spill_table(c, h, &h->workers[i].table));
        table_free(&h->workers[i].table);
    }
    return pool_run(c, N_PARTITIONS, 0, merge_spilled, e);
}

enum status hashagg_each(struct ctx *c, struct hashagg *h, hashagg_fn *fn, void *self)
{
    struct emitter e = {.h = h, .fn = fn, .self = self};
    struct group_table *only = NULL;
    int n = used_tables(h, &only), width = pool_width(c);
    enum status s = OK;
    if (h->spilled || h->rows || n > 1)
        s = emit_parts(c, &e);
    else if (n == 1)
        s = emit(c, &(struct one_emitter){&e, 0}, only);
    for (int w = 0; e.room && w < width; w++)
        if (e.room[w].layout) table_free(&e.room[w]);
    free(e.room);
    for (int i = 0; i < h->n_workers; i++)
        if (h->workers[i].table.layout) table_free(&h->workers[i].table);
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
