/* What the files of the tile store share: the LMDB environment, keys, segments. Included by them
 * alone; nothing else knows LMDB. */
#ifndef TESSERA_STORE_LMDB_H
#define TESSERA_STORE_LMDB_H
#include "storage/store.h"
#include <lmdb.h>
#include <pthread.h>

#define KEY_MAX_BYTES (4 + 2 + 8 * MAX_DIMS + 8 + 2)
#define SEGMENT_BYTES (4096 - 16) /* LMDB heads a run of pages with 16 bytes */
#define LONG_SEGMENT_BYTES (16 * 4096 - 16)
#define MOST_SEGMENTS 65000 /* of SEGMENT_BYTES in a record; a larger one has long segments */
#define LENGTH_BYTES 8      /* before a record: its length */
#define DEFAULT_BATCH_BYTES (INT64_C(32) << 20)

/* A read transaction and a cursor in it, kept between reads. */
struct reader {
    MDB_txn *txn;
    MDB_cursor *cursor;
    struct reader *next;
};

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    struct store_options options;
    char *path;
    size_t page_bytes;
    pthread_mutex_t readers_lock; /* over idle */
    struct reader *idle;
    pthread_mutex_t write_lock; /* held from the start of a write transaction until the file has the
                                   length that it says */
};

/* ---- keys ---- */
struct store_key {
    size_t bytes;
    uint8_t b[KEY_MAX_BYTES + 1]; /* a sweep puts a byte behind a key, for the least key after it */
};
static inline size_t key_tile_bytes(int n_dims) /* array, attribute, coordinates */
{
    return 6 + 8 * (size_t)n_dims;
}
void store_key_put(struct store_key *k, const struct tile_key *key, int64_t version, int segment);
/* False when it is the key of another number of dimensions. n_dims is out->n_dims. */
bool store_key_get(const MDB_val *k, struct tile_key *out, int *segment);

/* ---- segments ---- */
/* Bytes of the value that holds n bytes of a record (≤ LONG_SEGMENT_BYTES), under a key of
 * key_bytes.
 */
size_t segment_stored_bytes(const struct store *s, size_t key_bytes, size_t n);

/* ---- reading ---- */
enum status reader_begin(struct ctx *c, struct store *s, struct reader **out);
void reader_end(struct store *s, struct reader *r);
/* The first segment of the newest record of key's tile with a version ≤ view's that is not dead;
 * *version 0: there is none. */
enum status cursor_find(struct ctx *c, struct store *s, MDB_cursor *cursor,
                        const struct tile_key *key, const struct store_view *view, int64_t *version,
                        MDB_val *value);
/* Removes all segments of the record whose first key this is, if there are any. LMDB's code. */
int store_remove_record(MDB_cursor *cursor, const struct store_key *key);
bool version_is_in(int64_t version, const int64_t *sorted, int64_t n);

/* ---- errors ---- */
/* Records LMDB's or the system's error; doing: "read" or "write". */
enum status store_error(struct ctx *c, const struct store *s, int rc, const char *doing);
/* Brings to disk what was committed without its root. */
enum status store_sync(struct ctx *c, struct store *s);
/* Bytes of the file that are in use, as of the last commit. */
enum status store_used_bytes(struct ctx *c, struct store *s, int64_t *used);
/* After a commit, under write_lock: gives the file the length that LMDB may read. */
void store_extend_file(struct store *s);

#endif
