/* What happens to groups that do not fit in memory? They are written to a file, apart by bits of
 * their hash, and merged partition by partition; a partition that is still too large is taken
 * apart by further bits.
 *
 * A serialised group: hash, key words, cells, states as they lie in memory; then the bytes of the
 * key's texts and of the states' texts. Readers fix the pointers. */
#include "query/agg_hash_internal.h"
#include "query/spill.h"
#include "storage/base/strbuf.h"
#include <pthread.h>
#include <stdlib.h>

#define BLOB_BYTES (256 << 10)

static int part_of(uint64_t hash, int level)
{
    return (int)(hash >> (64 - PARTITION_BITS * (level + 1))) & (N_PARTITIONS - 1);
}

void table_count_parts(const struct group_table *t, int64_t *counts)
{
    for (int64_t g = 0; g < t->acc.n; g++)
        counts[part_of(t->hashes[g], 0)]++;
}

enum status table_merge_part(struct ctx *c, struct group_table *to, const struct group_table *from,
                             int part)
{
    const struct key_layout *l = to->layout;
    TRY(check_cancel(c));
    for (int64_t g = 0; g < from->acc.n; g++) {
        int32_t at;
        if (part_of(from->hashes[g], 0) != part) continue;
        TRY(table_group(c, to, from->keys + g * l->n_words, from->hashes[g], &at));
        TRY(acc_merge(c, &to->acc, at, &from->acc, g));
    }
    return OK;
}

void partitions_free(struct partition *parts)
{
    for (int p = 0; parts && p < N_PARTITIONS; p++) {
        free(parts[p].blobs);
        parts[p] = (struct partition){0};
    }
}

static enum status add_blob(struct ctx *c, struct partition *p, struct blob b)
{
    if (p->n == p->cap) {
        int cap = p->cap ? p->cap * 2 : 8;
        struct blob *blobs = realloc(p->blobs, (size_t)cap * sizeof *blobs);
        if (!blobs) return fail(c, ERR_MEMORY, "out of memory");
        p->blobs = blobs;
        p->cap = cap;
    }
    p->blobs[p->n++] = b;
    return OK;
}

/* ---- writing ---- */

static void put_group(const struct group_table *t, int64_t g, struct strbuf *out)
{
    const struct key_layout *l = t->layout;
    const struct agg_set *set = t->acc.set;
    const uint64_t *key = t->keys + g * l->n_words;
    strbuf_add(out, &t->hashes[g], 8);
    strbuf_add(out, key, (size_t)l->n_words * 8);
    strbuf_add(out, &t->acc.cells[g], 8);
    for (int i = 0; i < set->n; i++)
        strbuf_add(out, acc_state(&t->acc, i, g), set->calls[i].state_bytes);
    for (int k = 0; l->n_texts && k < l->n_keys; k++) {
        const uint64_t *w = key + l->word_of[k];
        if (type_is_varlen(l->types[k]))
            strbuf_add(out, (const char *)(uintptr_t)w[0], (size_t)w[1]);
    }
    for (int i = 0; i < set->n; i++) {
        const struct agg_ops *ops = set->calls[i].ops;
        for (int x = 0; x < ops->n_texts; x++) {
            struct text_ref ref;
            memcpy(&ref, (const char *)acc_state(&t->acc, i, g) + ops->text_at[x], sizeof ref);
            strbuf_add(out, ref.s, (size_t)ref.len);
        }
    }
}

static enum status flush_blob(struct ctx *c, struct strbuf *bytes, int64_t *n, struct spill *file,
                              struct partition *part, pthread_mutex_t *lock)
{
    if (!*n) return OK;
    struct blob b = {.bytes = (int64_t)bytes->len, .n = *n};
    TRY(spill_append(c, file, bytes->s, bytes->len, &b.at));
    pthread_mutex_lock(lock);
    enum status s = add_blob(c, part, b);
    pthread_mutex_unlock(lock);
    strbuf_clear(bytes);
    *n = 0;
    return s;
}

enum status table_spill(struct ctx *c, struct group_table *t, int level, struct spill *file,
                        struct partition *parts, void *lock)
{
    struct strbuf bytes = STRBUF_INIT;
    enum status s = OK;
    for (int p = 0; p < N_PARTITIONS && s == OK; p++) {
        int64_t n = 0;
        for (int64_t g = 0; g < t->acc.n && s == OK; g++) {
            if (part_of(t->hashes[g], level) != p) continue;
            put_group(t, g, &bytes);
            n++;
            if (bytes.len >= BLOB_BYTES) s = flush_blob(c, &bytes, &n, file, &parts[p], lock);
        }
        if (s == OK) s = flush_blob(c, &bytes, &n, file, &parts[p], lock);
    }
    strbuf_release(&bytes);
    table_clear(t);
    return s;
}

/* ---- reading ---- */

/* One group of a blob in memory of its own, so that states are aligned: a table of one. */
struct lone_group {
    struct acc acc;
    uint64_t *key;
    uint64_t hash;
};

static enum status lone_init(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                             struct lone_group *out)
{
    void *key;
    bool ok;
    TRY(scratch_alloc(c, (size_t)l->n_words * 8 + 8, &key));
    out->key = key;
    TRY(acc_init(c, set, &out->acc));
    TRY(acc_reserve(c, &out->acc, 1, &ok));
    if (!ok)
        return fail(c, ERR_MEMORY, "out of memory: %s leaves no room for a group",
                    memory_limit_name(c));
    acc_grow(&out->acc, 1);
    return OK;
}

static const char *get(void *to, const char *from, size_t n)
{
    memcpy(to, from, n);
    return from + n;
}

static const char *get_group(const struct key_layout *l, const char *at, struct lone_group *g)
{
    const struct agg_set *set = g->acc.set;
    at = get(&g->hash, at, 8);
    at = get(g->key, at, (size_t)l->n_words * 8);
    at = get(&g->acc.cells[0], at, 8);
    for (int i = 0; i < set->n; i++)
        at = get(acc_state(&g->acc, i, 0), at, set->calls[i].state_bytes);
    for (int k = 0; l->n_texts && k < l->n_keys; k++) {
        uint64_t *w = g->key + l->word_of[k];
        if (!type_is_varlen(l->types[k])) continue;
        w[0] = (uint64_t)(uintptr_t)at;
        at += w[1];
    }
    for (int i = 0; i < set->n; i++) {
        const struct agg_ops *ops = set->calls[i].ops;
        for (int x = 0; x < ops->n_texts; x++) {
            char *where = (char *)acc_state(&g->acc, i, 0) + ops->text_at[x];
            struct text_ref ref;
            memcpy(&ref, where, sizeof ref);
            memcpy(where, &at, sizeof at);
            at += ref.len;
        }
    }
    return at;
}

struct merging {
    const struct key_layout *layout;
    const struct agg_set *set;
    struct spill *file;
    int level;
    int64_t max_bytes;
    const struct row_part *rows; /* NULL: none */
    struct group_table table;
    struct lone_group lone;
    struct partition parts[N_PARTITIONS]; /* where the table went when it grew too large */
    bool split;
    pthread_mutex_t lock;
};

static enum status no_room(struct ctx *c)
{
    return fail(c, ERR_MEMORY, "out of memory: %s leaves no room for groups", memory_limit_name(c));
}

/* The table's groups wait in the file, apart by further bits. */
static enum status set_aside(struct ctx *c, void *self, struct group_table *t)
{
    struct merging *m = self;
    if (m->level == MAX_LEVEL || !t->acc.n) return no_room(c);
    m->split = true;
    return table_spill(c, t, m->level + 1, m->file, m->parts, &m->lock);
}

static enum status make_room(struct ctx *c, struct merging *m)
{
    bool ok;
    TRY(table_reserve(c, &m->table, 1, m->max_bytes, &ok));
    if (ok) return OK;
    TRY(set_aside(c, m, &m->table));
    TRY(table_reserve(c, &m->table, 1, m->max_bytes, &ok));
    return ok ? OK : no_room(c);
}

static enum status merge_table(struct ctx *c, struct merging *m, const struct group_table *from)
{
    for (int64_t g = 0; g < from->acc.n; g++) {
        int32_t at;
        if (row_part_of(from->hashes[g]) != m->rows->part) continue;
        TRY(make_room(c, m));
        TRY(table_group(c, &m->table, from->keys + g * m->layout->n_words, from->hashes[g], &at));
        TRY(acc_merge(c, &m->table.acc, at, &from->acc, g));
    }
    return OK;
}

#define READ_ROWS 16384

static enum status merge_rows(struct ctx *c, struct merging *m)
{
    struct filling f = {&m->table, NULL, m->max_bytes, set_aside, m, 0};
    int64_t n = row_parts_rows(m->rows->rows, m->rows->part);
    for (int64_t lo = 0; lo < n; lo += READ_ROWS) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct chunk ch;
        struct agg_input in;
        TRY(check_cancel(c));
        TRY(row_parts_read(c, m->rows->rows, m->rows->part, lo,
                           lo + READ_ROWS < n ? lo + READ_ROWS : n, &ch, &in));
        TRY(table_fill(c, &f, ch.cols, NULL, &in, ch.n));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status merge_blob(struct ctx *c, struct merging *m, const struct blob *b)
{
    void *bytes;
    TRY(scratch_alloc(c, (size_t)b->bytes, &bytes));
    TRY(spill_read(c, m->file, b->at, bytes, (size_t)b->bytes));
    const char *at = bytes;
    for (int64_t i = 0; i < b->n; i++) {
        int32_t g;
        TRY(make_room(c, m));
        at = get_group(m->layout, at, &m->lone);
        if (m->rows && row_part_of(m->lone.hash) != m->rows->part) continue;
        TRY(table_group(c, &m->table, m->lone.key, m->lone.hash, &g));
        TRY(acc_merge(c, &m->table.acc, g, &m->lone.acc, 0));
    }
    return OK;
}

static enum status merge_all(struct ctx *c, struct merging *m, const struct partition *p,
                             table_fn *emit, void *self)
{
    TRY(lone_init(c, m->layout, m->set, &m->lone));
    TRY(table_init(c, m->layout, m->set, &m->table));
    for (int i = 0; i < p->n; i++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(check_cancel(c));
        TRY(merge_blob(c, m, &p->blobs[i]));
        scratch_release(c->scratch, mark);
    }
    for (int i = 0; m->rows && i < m->rows->n_tables; i++)
        TRY(merge_table(c, m, m->rows->tables[i]));
    if (m->rows) TRY(merge_rows(c, m));
    if (!m->split) return emit(c, self, &m->table);
    TRY(table_spill(c, &m->table, m->level + 1, m->file, m->parts, &m->lock));
    table_free(&m->table);
    for (int i = 0; i < N_PARTITIONS; i++)
        TRY(partition_merge(c, m->layout, m->set, m->file, &m->parts[i], NULL, m->level + 1,
                            m->max_bytes, emit, self));
    return OK;
}

enum status partition_merge(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                            struct spill *file, const struct partition *p,
                            const struct row_part *rows, int level, int64_t max_bytes,
                            table_fn *emit, void *self)
{
    if (!p->n && !rows) return OK;
    struct merging *m = calloc(1, sizeof *m);
    if (!m) return fail(c, ERR_MEMORY, "out of memory");
    m->layout = l;
    m->set = set;
    m->file = file;
    m->level = level;
    m->max_bytes = max_bytes;
    m->rows = rows;
    pthread_mutex_init(&m->lock, NULL);
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = merge_all(c, m, p, emit, self);
    scratch_release(c->scratch, mark);
    if (m->lone.acc.set) acc_free(&m->lone.acc);
    if (m->table.layout) table_free(&m->table);
    partitions_free(m->parts);
    pthread_mutex_destroy(&m->lock);
    free(m);
    return s;
}
