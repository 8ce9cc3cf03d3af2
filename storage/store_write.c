/* How records get into the tile store: gathered by many threads, written by one at a time.
 *
 * A list that is full is handed to the batch's own thread, so that the disk writes while the
 * workers encode what comes next; who fills the next list before that is done waits. Such a list's
 * data are synced, the root that shows them is only by the next commit, or by the flush at the end.
 *
 * Invariants:
 *  - what a batch took in first is committed first (a list is handed over only when none is, and
 *    flushing waits for it), so that of two records of one key the later one stays;
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

struct list {
    struct item *items;
    int64_t n, room;
    int64_t n_bytes; /* of records and items */
};

struct store_batch {
    struct store *store;
    pthread_mutex_t lock;   /* over all below */
    pthread_cond_t changed; /* anything of it */
    struct list list;       /* being filled */
    struct list handed;     /* the thread's, until it is written */
    int64_t most_bytes;     /* when it is time to write */
    int64_t order;
    struct error error; /* code OK: none */
    bool busy;          /* somebody writes */
    bool unsynced;      /* the last commit's root may not be on disk */
    bool has_thread, stop;
    pthread_t thread;
};

enum status store_batch_new(struct ctx *c, struct store *s, struct store_batch **out)
{
    struct store_batch *b = calloc(1, sizeof *b);
    if (!b) return fail(c, ERR_MEMORY, "out of memory");
    b->store = s;
    b->most_bytes = c->budget ? budget_left(c->budget) / BATCH_SHARE : INT64_MAX;
    if (b->most_bytes > s->options.batch_bytes) b->most_bytes = s->options.batch_bytes;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    *out = b;
    return OK;
}

static void free_list(struct list *l)
{
    for (int64_t i = 0; i < l->n; i++)
        buf_free(l->items[i].own);
    free(l->items);
    *l = (struct list){0};
}

void store_batch_free(struct store_batch *b)
{
    if (!b) return;
    if (b->has_thread) {
        pthread_mutex_lock(&b->lock);
        b->stop = true;
        pthread_cond_broadcast(&b->changed);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->thread, NULL);
    }
    free_list(&b->list);
    free_list(&b->handed);
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->changed);
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
    size_t total = item->n_bytes + LENGTH_BYTES, head = LENGTH_BYTES, most = SEGMENT_BYTES;
    if (total > (size_t)MOST_SEGMENTS * SEGMENT_BYTES) most = LONG_SEGMENT_BYTES;
    int rc = store_remove_record(cursor, &key);
    for (unsigned segment = 0; total && !rc; segment++) {
        key.b[key.bytes - 2] = (uint8_t)(segment >> 8);
        key.b[key.bytes - 1] = (uint8_t)segment;
        size_t n = total < most ? total : most;
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

/* Sorted, each key once. Gives their memory back as it goes. root: the new root is synced too. */
static enum status write_items(struct ctx *c, struct store *s, struct item *items, int64_t n,
                               bool root)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    int rc = mdb_txn_begin(s->env, NULL, root ? 0 : MDB_NOMETASYNC, &txn);
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
                                int64_t n_bytes, bool root)
{
    if (n == 0) return OK;
    qsort(items, (size_t)n, sizeof *items, compare_items);
    TRY(fault_point(c, FAULT_TILES));
    pthread_mutex_lock(&s->write_lock);
    enum status status = check_quota(c, s, n_bytes);
    if (status == OK) status = write_items(c, s, items, n, root);
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

/* Keeps what came of writing. Under lock. */
static void written(const struct ctx *c, struct store_batch *b, enum status status, bool unsynced)
{
    if (status < 0) b->error = c->err;
    b->unsynced = unsynced;
    b->busy = false;
    pthread_cond_broadcast(&b->changed);
}

/* The thread: writes what it is handed. */
static void *write_handed(void *self)
{
    struct store_batch *b = self;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->stop && (!b->handed.n || b->busy))
            pthread_cond_wait(&b->changed, &b->lock);
        if (b->stop) break;
        struct ctx c = {.err.position = -1};
        struct list list = b->handed;
        b->busy = true;
        pthread_mutex_unlock(&b->lock);
        enum status status = commit_items(&c, b->store, list.items, list.n, list.n_bytes, false);
        free_list(&list);
        pthread_mutex_lock(&b->lock);
        b->handed = (struct list){0};
        written(&c, b, status, true);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* Waits until nothing is being written, nor handed over to be. Under lock. */
static void wait_idle(struct store_batch *b)
{
    while (b->busy || b->handed.n)
        pthread_cond_wait(&b->changed, &b->lock);
}

/* Writes what the batch holds, then *extra unless NULL, and syncs. Under lock, which it leaves in
 * between. */
static enum status flush(struct ctx *c, struct store_batch *b, struct item *extra)
{
    wait_idle(b);
    if (b->error.code < 0) return failed_before(c, b);
    struct list list = b->list;
    bool unsynced = b->unsynced;
    b->list = (struct list){0};
    b->busy = true;
    pthread_mutex_unlock(&b->lock);

    enum status status = commit_items(c, b->store, list.items, list.n, list.n_bytes, true);
    if (status == OK && extra)
        status = commit_items(c, b->store, extra, 1, (int64_t)extra->n_bytes, true);
    if (status == OK && unsynced && !list.n && !extra) status = store_sync(c, b->store);
    free_list(&list);
    pthread_mutex_lock(&b->lock);
    written(c, b, status, false);
    return status;
}

enum status store_batch_flush(struct ctx *c, struct store_batch *b)
{
    pthread_mutex_lock(&b->lock);
    enum status status = flush(c, b, NULL);
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* Hands a full list to the thread. */
static enum status hand_over(struct ctx *c, struct store_batch *b)
{
    enum status status = OK;
    pthread_mutex_lock(&b->lock);
    while (b->handed.n && b->error.code == OK)
        pthread_cond_wait(&b->changed, &b->lock);
    bool full = b->list.n_bytes >= b->most_bytes; /* unless another one has handed it over */
    if (b->error.code < 0) {
        status = failed_before(c, b);
    } else if (full && !b->has_thread && pthread_create(&b->thread, NULL, write_handed, b)) {
        status = flush(c, b, NULL);
    } else if (full) {
        b->has_thread = true;
        b->handed = b->list;
        b->list = (struct list){0};
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

static bool holds(const struct store_batch *b, const struct store_key *key)
{
    struct item wanted = {.key = *key};
    bool found = b->error.code < 0;
    for (int64_t i = b->list.n - 1; i >= 0 && !found; i--)
        found = same_key(&b->list.items[i], &wanted);
    return found;
}

enum status store_batch_settle(struct ctx *c, struct store_batch *b, const struct tile_key *key)
{
    struct store_key wanted;
    store_key_put(&wanted, key, key->version, 0);
    pthread_mutex_lock(&b->lock);
    wait_idle(b); /* the record may be being written */
    enum status status = holds(b, &wanted) ? flush(c, b, NULL) : OK;
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* Adds the item, whose memory is then the batch's; *full: it is time to write. */
static enum status append(struct ctx *c, struct store_batch *b, struct item *item, bool *full)
{
    enum status status = OK;
    pthread_mutex_lock(&b->lock);
    struct list *l = &b->list;
    if (b->error.code < 0) status = failed_before(c, b);
    if (status == OK && l->n == l->room) {
        int64_t room = l->room ? 2 * l->room : 64;
        struct item *more = realloc(l->items, (size_t)room * sizeof *more);
        if (more) {
            l->items = more;
            l->room = room;
        } else {
            status = fail(c, ERR_MEMORY, "out of memory");
        }
    }
    if (status == OK) {
        item->order = b->order++;
        l->items[l->n++] = *item;
        l->n_bytes += (int64_t)item->n_bytes + ITEM_BYTES;
        *full = l->n_bytes >= b->most_bytes;
    }
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* Memory is short: writes what there is, and then, if that was not enough, the record from where it
 * lies. */
static enum status put_directly(struct ctx *c, struct store_batch *b, struct item *item)
{
    pthread_mutex_lock(&b->lock);
    enum status status = flush(c, b, item);
    pthread_mutex_unlock(&b->lock);
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
        if (status == OK && full) status = hand_over(c, b);
    } else {
        status = put_directly(c, b, &item);
    }
    if (status < 0) return status;
    COUNT(c, bytes_written, (int64_t)n_bytes);
    if (!(key->attr & ATTR_SUMMARY) && key->attr != ATTR_PRESENCE) COUNT(c, tiles_written, 1);
    return OK;
}
