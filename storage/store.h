/* The tile store: records by (array, attribute, tile coordinates, version) in one LMDB file.
 *
 * A record is any bytes: tiles (tile.h), blocks of summaries (summary.h; attribute | ATTR_SUMMARY,
 * the block's coordinates in place of the tile's). Records are immutable once their version is
 * published; who publishes is the catalog. The store knows no snapshots: readers hand it the view
 * of the array that they have.
 *
 * Key, big-endian so that bytes sort as numbers: array (4), attribute (2), each coordinate with its
 * sign bit flipped (8 each), version inverted so that the newest comes first (8), segment (2).
 * Value: a record, after 8 bytes of its length, cut into segments of a page (4,080 bytes); the last
 * one is rounded up to a page, or kept as it is when it fits beside its key. Single pages are what
 * LMDB finds in its free list without a search. Records above 250 MiB, and those of older versions
 * of the software, have segments of 16 pages (65,520 bytes), the last one rounded up to 1, 2, 4, 8
 * or 16.
 *
 * Threads: all functions may be called by many at once, a struct store_batch by many too. Read
 * transactions never outlive a call. Errors: ERR_DISK_FULL (disk, map or quota; reads go on),
 * ERR_IO, ERR_CORRUPT (a segment missing or of the wrong size, a file cut short). */
#ifndef TESSERA_STORE_H
#define TESSERA_STORE_H
#include "storage/tile.h"

struct store;

#define STORE_MAX_RECORD_BYTES (INT64_C(512) * 1024 * 1024)

struct store_options {
    int64_t quota_bytes; /* size of the file; 0: none */
    int64_t batch_bytes; /* a batch commits when it has as much; 0: 32 MiB */
    bool create;         /* make the file when it is missing; otherwise that is ERR_CORRUPT */
    bool sync;           /* false only in tests: commits do not reach the disk */
};

/* path: the file; LMDB puts "path-lock" beside it. */
enum status store_open(struct ctx *c, const char *path, const struct store_options *o,
                       struct store **out);
void store_close(struct store *s); /* NULL is allowed */

/* Copies the file as of now to `path`, which must not exist. */
enum status store_copy(struct ctx *c, struct store *s, const char *path);

struct store_stats {
    int64_t file_bytes; /* the file's extent */
    int64_t used_bytes; /* of it, not free for reuse */
    int64_t n_segments;
};
enum status store_stats(struct ctx *c, struct store *s, struct store_stats *out);

/* What a reader sees of an array: the newest record with a version ≤ version that is not dead. A
 * writer sees its own version on top; what lies between was undone, and may not be swept yet. */
struct store_view {
    int64_t version;
    const int64_t *dead; /* ascending */
    int64_t n_dead;
    int64_t own; /* 0: none */
};

/* ---- reading ---- */
/* The version of the record that the view sees for key's (array, attr, coords); 0: none. */
enum status store_find(struct ctx *c, struct store *s, const struct tile_key *key,
                       const struct store_view *view, int64_t *version);

struct store_record {
    const void *bytes; /* in c->scratch, 64-byte aligned; NULL: there is none */
    size_t n_bytes;
    int64_t version;
};
/* Copies out the record that the view sees. view NULL: the record of key->version exactly, and
 * ERR_CORRUPT when it is missing. */
enum status store_get(struct ctx *c, struct store *s, const struct tile_key *key,
                      const struct store_view *view, struct store_record *out);

/* Walks the records of (array, attr) that the view sees, within a box of coordinates, in C order.
 * Holds nothing between calls, so it may be left at any time. */
struct store_scan {
    struct store *store;
    struct store_view view;
    struct tile_key key; /* the last one given */
    struct box box;
    bool started, done;
};
void store_scan_init(struct store_scan *sc, struct store *s, uint32_t array, uint16_t attr,
                     const struct box *box, const struct store_view *view);
/* Up to `room` keys into keys, their count into *n; 0: the end. */
enum status store_scan_next(struct ctx *c, struct store_scan *sc, struct tile_key *keys,
                            int64_t room, int64_t *n);

/* Asks the system to read the records of these keys (exact versions) from disk. Never fails; what
 * is missing is passed over. */
void store_read_ahead(struct store *s, const struct tile_key *keys, int64_t n);

/* ---- writing ---- */
/* Records gathered in memory, charged to c->budget of the putting call (which must outlive the
 * batch), and written in transactions of about batch_bytes by a thread of the batch's own, while
 * the next ones are gathered. */
struct store_batch;
enum status store_batch_new(struct ctx *c, struct store *s, struct store_batch **out);
/* Copies the record. A later put of the same key replaces the earlier one. Once a write has failed,
 * every later call on the batch fails with its code; a flush does at the latest. */
enum status store_batch_put(struct ctx *c, struct store_batch *b, const struct tile_key *key,
                            const void *bytes, size_t n_bytes);
/* Writes everything put so far and syncs. The records can be read from then on (earlier ones
 * perhaps before). */
enum status store_batch_flush(struct ctx *c, struct store_batch *b);
/* Writes what waits only if a record of the key does: that can be read from then on. */
enum status store_batch_settle(struct ctx *c, struct store_batch *b, const struct tile_key *key);
void store_batch_free(struct store_batch *b); /* drops what was not flushed; NULL is allowed */

/* ---- sweeping, in small transactions; check_cancel() between them ---- */
/* Removes what no reader of an array can see any more: records of dead versions (ascending), and
 * records hidden from every kept version (ascending; all versions that a reader may hold, the
 * newest committed one included) by a newer record, or values under a tombstone. Versions above the
 * newest kept one are left alone unless dead. n_dims: the array's. */
enum status store_sweep(struct ctx *c, struct store *s, uint32_t array, int n_dims,
                        const int64_t *dead, int64_t n_dead, const int64_t *kept, int64_t n_kept,
                        int64_t *n_removed);
/* Removes all records of an array, or of one attribute of it with its summaries (attr ≥ 1; 0: all).
 */
enum status store_drop(struct ctx *c, struct store *s, uint32_t array, uint16_t attr,
                       int64_t *n_removed);

#endif
