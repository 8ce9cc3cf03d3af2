/* Which records no reader can see any more, and their removal in small transactions.
 *
 * A walk reads keys under a short read transaction until it has gathered enough to remove, then
 * removes that in a write transaction of its own, and goes on behind the last key that it judged.
 * What it judges stays true meanwhile: kept versions do not change, and new ones only join above.
 */
#include "storage/record.h"
#include "storage/store_lmdb.h"
#include <assert.h>
#include <stdlib.h>

#define REMOVE_AT_ONCE 256 /* records in a write transaction */
#define DROP_AT_ONCE 8192  /* segments, when all go */
#define LOOK_AT_ONCE 4096  /* keys in a read transaction */

struct sweep {
    struct store *store;
    uint32_t array;
    int n_dims;
    const int64_t *dead, *kept;
    int64_t n_dead, n_kept;
    /* how far the walk is */
    struct store_key after; /* the first key to look at */
    bool done;
    struct tile_key last; /* the last record that is not dead */
    bool has_last;
    /* what to remove: keys of first segments */
    struct store_key found[REMOVE_AT_ONCE];
    int n_found;
};

/* Does the tile's presence, as version v sees it, say that no cell is left? */
static enum status is_emptied(struct ctx *c, struct sweep *w, MDB_cursor *look,
                              const struct tile_key *key, int64_t v, bool *out)
{
    struct tile_key presence = *key;
    struct store_view view = {.version = v, .dead = w->dead, .n_dead = w->n_dead};
    int64_t version;
    MDB_val value;
    presence.attr = ATTR_PRESENCE;
    TRY(cursor_find(c, w->store, look, &presence, &view, &version, &value));
    *out = version && value.mv_size > LENGTH_BYTES &&
           tile_record_is_tombstone((const uint8_t *)value.mv_data + LENGTH_BYTES,
                                    value.mv_size - LENGTH_BYTES);
    return OK;
}

/* Does a kept version see this record? The next newer live one of its tile has version `newer`. */
static enum status is_needed(struct ctx *c, struct sweep *w, MDB_cursor *look,
                             const struct tile_key *key, int64_t newer, bool *out)
{
    *out = true;
    if (w->n_kept == 0 || key->version > w->kept[w->n_kept - 1]) return OK;
    bool values = key->attr != ATTR_PRESENCE && !(key->attr & ATTR_SUMMARY);
    for (int64_t i = 0; i < w->n_kept; i++) {
        int64_t v = w->kept[i];
        if (v < key->version || v >= newer) continue;
        bool emptied = false;
        if (values) TRY(is_emptied(c, w, look, key, v, &emptied));
        if (!emptied) return OK;
    }
    *out = false;
    return OK;
}

static bool same_tile(const struct tile_key *a, const struct tile_key *b)
{
    return a->attr == b->attr &&
           !memcmp(a->coords, b->coords, sizeof a->coords[0] * (size_t)a->n_dims);
}

static enum status judge(struct ctx *c, struct sweep *w, MDB_cursor *look,
                         const struct tile_key *key, const MDB_val *k)
{
    bool remove = version_is_in(key->version, w->dead, w->n_dead);
    if (!remove) {
        int64_t newer = w->has_last && same_tile(&w->last, key) ? w->last.version : INT64_MAX;
        bool needed;
        TRY(is_needed(c, w, look, key, newer, &needed));
        remove = !needed;
        w->last = *key;
        w->has_last = true;
    }
    if (!remove) return OK;
    struct store_key *to = &w->found[w->n_found++];
    to->bytes = k->mv_size;
    memcpy(to->b, k->mv_data, k->mv_size);
    return OK;
}

/* Gathers records to remove from w->after on. */
static enum status look(struct ctx *c, struct sweep *w, struct reader *r, MDB_cursor *presence)
{
    MDB_val k = {w->after.bytes, w->after.b}, v;
    int rc = mdb_cursor_get(r->cursor, &k, &v, MDB_SET_RANGE);
    for (int i = 0; i < LOOK_AT_ONCE && w->n_found < REMOVE_AT_ONCE; i++) {
        if (rc && rc != MDB_NOTFOUND) return store_error(c, w->store, rc, "read");
        struct tile_key key = {.n_dims = w->n_dims};
        int segment;
        if (rc || memcmp(k.mv_data, w->after.b, 4)) {
            w->done = true;
            return OK;
        }
        if (!store_key_get(&k, &key, &segment))
            return fail(c, ERR_CORRUPT, "array %u has a tile of other dimensions", w->array);
        if (segment == 0) TRY(judge(c, w, presence, &key, &k));
        memcpy(w->after.b, k.mv_data, k.mv_size);
        w->after.bytes = k.mv_size;
        if (v.mv_size >= SEGMENT_BYTES) { /* others of the record may follow: pass them by */
            memset(w->after.b + w->after.bytes - 2, 0xff, 2);
            k = (MDB_val){w->after.bytes, w->after.b};
            rc = mdb_cursor_get(r->cursor, &k, &v, MDB_SET_RANGE);
            continue;
        }
        w->after.b[w->after.bytes++] = 0; /* the least key behind it */
        rc = mdb_cursor_get(r->cursor, &k, &v, MDB_NEXT);
    }
    return OK;
}

static enum status look_once(struct ctx *c, struct sweep *w)
{
    struct reader *r;
    MDB_cursor *presence;
    TRY(reader_begin(c, w->store, &r));
    enum status status = OK;
    int rc = mdb_cursor_open(r->txn, w->store->dbi, &presence);
    if (rc) {
        status = store_error(c, w->store, rc, "read");
    } else {
        status = look(c, w, r, presence);
        mdb_cursor_close(presence);
    }
    reader_end(w->store, r);
    return status;
}

static enum status remove_found(struct ctx *c, struct sweep *w)
{
    struct store *s = w->store;
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    if (!w->n_found) return OK;
    pthread_mutex_lock(&s->write_lock);
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (!rc) {
        rc = mdb_cursor_open(txn, s->dbi, &cursor);
        for (int i = 0; i < w->n_found && !rc; i++)
            rc = store_remove_record(cursor, &w->found[i]);
        if (cursor) mdb_cursor_close(cursor);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn);
        store_extend_file(s);
    }
    pthread_mutex_unlock(&s->write_lock);
    return rc ? store_error(c, s, rc, "write") : OK;
}

static enum status run(struct ctx *c, struct sweep *w, int64_t *n_removed)
{
    *n_removed = 0;
    struct tile_key first = {.array = w->array};
    store_key_put(&w->after, &first, 0, 0);
    w->after.bytes = 4;
    while (!w->done) {
        TRY(check_cancel(c));
        w->n_found = 0;
        TRY(look_once(c, w));
        TRY(remove_found(c, w));
        *n_removed += w->n_found;
    }
    return OK;
}

enum status store_sweep(struct ctx *c, struct store *s, uint32_t array, int n_dims,
                        const int64_t *dead, int64_t n_dead, const int64_t *kept, int64_t n_kept,
                        int64_t *n_removed)
{
    struct sweep *w = calloc(1, sizeof *w);
    if (!w) return fail(c, ERR_MEMORY, "out of memory");
    w->store = s;
    w->array = array;
    w->n_dims = n_dims;
    w->dead = dead;
    w->n_dead = n_dead;
    w->kept = kept;
    w->n_kept = n_kept;
    enum status status = run(c, w, n_removed);
    free(w);
    return status;
}

/* Removes up to DROP_AT_ONCE segments whose keys begin with these bytes; *n: how many were. */
static enum status drop_some(struct ctx *c, struct store *s, const uint8_t *prefix, size_t n_prefix,
                             int64_t *n, int64_t *n_records)
{
    MDB_txn *txn;
    MDB_cursor *cursor;
    int64_t n_segments = 0, n_first = 0;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);
    if (rc) return store_error(c, s, rc, "write");
    if ((rc = mdb_cursor_open(txn, s->dbi, &cursor))) {
        mdb_txn_abort(txn);
        return store_error(c, s, rc, "write");
    }
    while (n_segments < DROP_AT_ONCE) {
        uint8_t from[6];
        memcpy(from, prefix, n_prefix);
        MDB_val k = {n_prefix, from}, v;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        if (rc || k.mv_size < n_prefix + 2 || memcmp(k.mv_data, prefix, n_prefix)) break;
        const uint8_t *segment = (const uint8_t *)k.mv_data + k.mv_size - 2;
        n_first += !segment[0] && !segment[1];
        if ((rc = mdb_cursor_del(cursor, 0))) break;
        n_segments++;
    }
    mdb_cursor_close(cursor);
    if (rc && rc != MDB_NOTFOUND)
        mdb_txn_abort(txn);
    else
        rc = mdb_txn_commit(txn);
    if (rc) return store_error(c, s, rc, "write");
    *n = n_segments;
    *n_records += n_first;
    return OK;
}

static enum status drop_prefix(struct ctx *c, struct store *s, const uint8_t *prefix,
                               size_t n_prefix, int64_t *n_removed)
{
    for (int64_t n = 1; n > 0;) {
        TRY(check_cancel(c));
        pthread_mutex_lock(&s->write_lock);
        enum status status = drop_some(c, s, prefix, n_prefix, &n, n_removed);
        store_extend_file(s);
        pthread_mutex_unlock(&s->write_lock);
        TRY(status);
    }
    return OK;
}

enum status store_drop(struct ctx *c, struct store *s, uint32_t array, uint16_t attr,
                       int64_t *n_removed)
{
    struct store_key prefix;
    int64_t n = 0;
    store_key_put(&prefix, &(struct tile_key){.array = array, .attr = attr}, 0, 0);
    TRY(drop_prefix(c, s, prefix.b, attr ? 6 : 4, &n));
    if (attr) {
        attr |= ATTR_SUMMARY;
        store_key_put(&prefix, &(struct tile_key){.array = array, .attr = attr}, 0, 0);
        TRY(drop_prefix(c, s, prefix.b, 6, &n));
    }
    *n_removed = n;
    return OK;
}
