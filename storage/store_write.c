/* How records get into the tile store: gathered by many threads, written by one at a time.
 *
 * Invariants:
 *  - what a batch took in first is committed first (commit_lock is held from the taking of a list
 *    to the end of its commit), so that of two records of one key the later one stays;
 *  - a batch that lost records says so for ever after;
 *  - an LMDB write transaction begins and ends in one thread and in one call. */
#include "storage/fault.h"
#include "storage/record.h"
#include "storage/store_lmdb.h"
#include <assert.h>
#include <stdlib.h>

#define ITEM_BYTES 256 /* what an item costs beside its record, roughly */
#define BATCH_SHARE 8  /* of the memory that is left, for records that wait */

struct item {
    struct store_key key; /* of segment 0 */
    int64_t order;
    const void *bytes;
    size_t n_bytes;
    void *own; /* where bytes are, for buf_free; NULL: the caller's */
};

struct store_batch {
    struct store *store;
    pthread_mutex_t lock; /* over all below; taken after commit_lock */
    struct item *items;
    int64_t n, room;
    int64_t n_bytes;    /* of records and items */
    int64_t most_bytes; /* when it is time to write */
    int64_t order;
    struct error error; /* code OK: none */
    pthread_mutex_t commit_lock;
};

enum status store_batch_new(struct ctx *c, struct store *s, struct store_batch **out)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (!b) return fail(c, ERR_MEMORY, "out of memory");
    b->store = s;
    b->most_bytes = c->budget ? budget_left(c->budget) / BATCH_SHARE : INT64_MAX;
    if (b->most_bytes > s->options.batch_bytes) b->most_bytes = s->options.batch_bytes;
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->commit_lock, NULL);
    *out = b;
    return OK;
}

static void free_items(struct item *items, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        buf_free(items[i].own);
    free(items);
}

void store_batch_free(struct store_batch *b)
{
    if (!b) return;
    free_items(b->items, b->n);
    pthread_mutex_destroy(&b->lock);
    pthread_mutex_destroy(&b->commit_lock);
    free(b);
}

/* ---- one transaction ---- */

static int compare_items(const void *x, const void *y)
{
    const struct item *a = x, *b = y;
    size_t n = a->key.bytes < b->key.bytes ? a->key.bytes : b->key.bytes;
    int order = memcmp(a->key.b, b->key.b, n);
    if (!order && a->key.bytes != b->key.bytes) order = a->key.bytes < b->key.bytes ? -1 : 1;
    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static bool same_key(const struct item *a, const struct item *b)
{
    return a->key.bytes == b->key.bytes && !memcmp(a->key.b, b->key.b, a->key.bytes);
}

int store_remove_record(MDB_cursor *cursor, const struct store_key *key)
{
    for (;;) {
        struct store_key from = *key;
        MDB_val k = {from.bytes, from.b}, v;
        int rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND) return 0;
        if (rc) return rc;
        if (k.mv_size != key->bytes || memcmp(k.mv_data, key->b, key->bytes - 2)) return 0;
        if ((rc = mdb_cursor_del(cursor, 0))) return rc;
    }
}

static int put_record(struct store *s, MDB_cursor *cursor, const struct item *item)
{
    struct store_key key = item->key;
    const uint8_t *from = item->bytes;
    size_t total = item->n_bytes + LENGTH_BYTES, head = LENGTH_BYTES;
    int rc = store_remove_record(cursor, &key);
    for (unsigned segment = 0; total && !rc; segment++) {
        key.b[key.bytes - 2] = (uint8_t)(segment >> 8);
        key.b[key.bytes - 1] = (uint8_t)segment;
        size_t n = total < SEGMENT_BYTES ? total : SEGMENT_BYTES;
        size_t stored = segment_stored_bytes(s, key.bytes, n);
        MDB_val k = {key.bytes, key.b}, v = {stored, NULL};
        if ((rc = mdb_cursor_put(cursor, &k, &v, MDB_RESERVE))) break;
        uint8_t *to = v.mv_data;
        if (head) put64(to, item->n_bytes);
        memcpy(to + head, from, n - head);
        memset(to + n, 0, stored - n);
        from += n - head;
        head = 0;
        total -= n;
    }
    return rc;
}

static enum status check_quota(struct ctx *c, struct store *s, int64_t n_bytes)
{
    int64_t quota = s->options.quota_bytes, used;
    if (!quota) return OK;
    MDB_envinfo info;
    int rc = mdb_env_info(s->env, &info);
    if (rc) return store_error(c, s, rc, "write");
    if ((int64_t)(info.me_last_pgno + 1) * (int64_t)s->page_bytes + n_bytes <= quota) return OK;
    TRY(store_used_bytes(c, s, &used));
    if (used + n_bytes <= quota) return OK;
    return fail(c, ERR_DISK_FULL, "the tile store has reached its quota of %lld MiB",
                (long long)(quota >> 20));
}

/* Sorted, each key once. Gives their memory back as it goes. */
static enum status write_items(struct ctx *c, struct store *s, struct item *items, int64_t n)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc) return store_error(c, s, rc, "write");
    if ((rc = mdb_cursor_open(txn, s->dbi, &cursor))) {
        mdb_txn_abort(txn);
        return store_error(c, s, rc, "write");
    }
    for (int64_t i = 0; i < n && !rc; i++) {
        if (i + 1 < n && same_key(&items[i], &items[i + 1])) continue;
        rc = put_record(s, cursor, &items[i]);
        buf_free(items[i].own);
        items[i].own = NULL;
    }
    mdb_cursor_close(cursor);
    if (rc)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    return rc ? store_error(c, s, rc, "write") : OK;
}

static enum status commit_items(struct ctx *c, struct store *s, struct item *items, int64_t n,
                                int64_t n_bytes)
{
    if (n == 0) return OK;
    qsort(items, (size_t)n, sizeof *items, compare_items);
    TRY(fault_point(c, FAULT_TILES));
    pthread_mutex_lock(&s->write_lock);
    enum status status = check_quota(c, s, n_bytes);
    if (status == OK) status = write_items(c, s, items, n);
    store_extend_file(s);
    pthread_mutex_unlock(&s->write_lock);
    TRY(status);
    return fault_point(c, FAULT_TILES_DONE);
}

/* ---- batches ---- */

/* The error that the batch had first, in this caller's context. Under lock. */
static enum status failed_before(struct ctx *c, const struct store_batch *b)
{
    return fail(c, b->error.code, "%s", b->error.message);
}

/* Writes what the batch holds, then *extra unless NULL. Under commit_lock. */
static enum status flush(struct ctx *c, struct store_batch *b, struct item *extra)
{
    pthread_mutex_lock(&b->lock);
    if (b->error.code < 0) {
        enum status status = failed_before(c, b);
        pthread_mutex_unlock(&b->lock);
        return status;
    }
    struct item *items = b->items;
    int64_t n = b->n, n_bytes = b->n_bytes;
    b->items = NULL;
    b->n = b->room = b->n_bytes = 0;
    pthread_mutex_unlock(&b->lock);

    enum status status = commit_items(c, b->store, items, n, n_bytes);
    free_items(items, n);
    if (status == OK && extra)
        status = commit_items(c, b->store, extra, 1, (int64_t)extra->n_bytes);
    if (status < 0) {
        pthread_mutex_lock(&b->lock);
        b->error = c->err;
        pthread_mutex_unlock(&b->lock);
    }
    return status;
}

enum status store_batch_flush(struct ctx *c, struct store_batch *b)
{
    pthread_mutex_lock(&b->commit_lock);
    enum status status = flush(c, b, NULL);
    pthread_mutex_unlock(&b->commit_lock);
    return status;
}

static bool holds(struct store_batch *b, const struct store_key *key)
{
    struct item wanted = {.key = *key};
    bool found = false;
    pthread_mutex_lock(&b->lock);
    for (int64_t i = b->n - 1; i >= 0 && !found; i--)
        found = same_key(&b->items[i], &wanted);
    found = found || b->error.code < 0;
    pthread_mutex_unlock(&b->lock);
    return found;
}

enum status store_batch_settle(struct ctx *c, struct store_batch *b, const struct tile_key *key)
{
    struct store_key wanted;
    store_key_put(&wanted, key, key->version, 0);
    pthread_mutex_lock(&b->commit_lock); /* who holds it may be writing the record */
    enum status status = holds(b, &wanted) ? flush(c, b, NULL) : OK;
    pthread_mutex_unlock(&b->commit_lock);
    return status;
}

/* Adds the item, whose memory is then the batch's; *full: it is time to write. */
static enum status append(struct ctx *c, struct store_batch *b, struct item *item, bool *full)
{
    enum status status = OK;
    pthread_mutex_lock(&b->lock);
    if (b->error.code < 0) status = failed_before(c, b);
    if (status == OK && b->n == b->room) {
        int64_t room = b->room ? 2 * b->room : 64;
        struct item *more = realloc(b->items, (size_t)room * sizeof *more);
        if (more) {
            b->items = more;
            b->room = room;
        } else {
            status = fail(c, ERR_MEMORY, "out of memory");
        }
    }
    if (status == OK) {
        item->order = b->order++;
        b->items[b->n++] = *item;
        b->n_bytes += (int64_t)item->n_bytes + ITEM_BYTES;
        *full = b->n_bytes >= b->most_bytes;
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* Memory is short: writes what there is, and then, if that was not enough, the record from where it
 * lies. */
static enum status put_directly(struct ctx *c, struct store_batch *b, struct item *item)
{
    pthread_mutex_lock(&b->commit_lock);
    enum status status = flush(c, b, item);
    pthread_mutex_unlock(&b->commit_lock);
    return status;
}

enum status store_batch_put(struct ctx *c, struct store_batch *b, const struct tile_key *key,
                            const void *bytes, size_t n_bytes)
{
    assert(key->version > 0);
    if (n_bytes > STORE_MAX_RECORD_BYTES)
        return fail(c, ERR_LIMIT_EXCEEDED, "a record of the tile store cannot be this large");
    struct item item = {.bytes = bytes, .n_bytes = n_bytes};
    store_key_put(&item.key, key, key->version, 0);
    enum status status;
    if ((item.own = buf_try(c->budget, n_bytes))) {
        memcpy(item.own, bytes, n_bytes);
        item.bytes = item.own;
        bool full = false;
        status = append(c, b, &item, &full);
        if (status < 0) buf_free(item.own);
        if (status == OK && full) status = store_batch_flush(c, b);
    } else {
        status = put_directly(c, b, &item);
    }
    if (status < 0) return status;
    COUNT(c, bytes_written, (int64_t)n_bytes);
    if (!(key->attr & ATTR_SUMMARY) && key->attr != ATTR_PRESENCE) COUNT(c, tiles_written, 1);
    return OK;
}
