/* The storage engine as the query layer sees it: a data directory, transactions over it, arrays in
 * a snapshot, reading boxes and writing cells. Everything below (tiles, LMDB, SQLite, cache) is
 * behind this header.
 *
 * Threads: a struct db is shared by all; a transaction is one session's, used by one thread at a
 * time, but array_read() and writer_put_…() may be called by many workers at once. */
#ifndef TESSERA_DB_H
#define TESSERA_DB_H
#include "storage/base/column.h"
#include "storage/schema.h"
#include "storage/summary.h"

struct db;
struct txn;
struct array;
struct writer;

struct db_options {
    int64_t cache_bytes;          /* decoded tiles; 0: 1/4 of the budget, at least 8 MiB */
    int64_t quota_bytes;          /* tile store's size; 0: none */
    int64_t lock_timeout_ms;      /* a wait for an array's writer; 0: none */
    int64_t version_retention_ms; /* older versions are swept in the background; 0: kept */
    bool create;                  /* make the directory and format it when missing or empty */
    bool sync;                    /* false only in tests */
    /* An open transaction that idles between statements so long while another waits for its lock is
     * rolled back; 0: never. */
    int64_t idle_in_transaction_ms;
};

/* Opens the directory: takes flock on DIR/lock (ERR_DIR_IN_USE), checks DIR's format version
 * (ERR_FORMAT_VERSION), opens catalog and tile store, marks pending versions of a crash dead,
 * starts the sweeper. */
enum status db_open(struct ctx *c, const char *dir, const struct db_options *o,
                    struct budget *server, struct db **out);
void db_close(struct db *db);
/* The directory for spilled data, DIR/tmp, emptied at open. */
const char *db_tmp(const struct db *db);

/* ---- transactions ---- */
/* A transaction sees the snapshot of its first statement (implicit transactions: of the statement).
 */
enum status txn_begin(struct ctx *c, struct db *db, bool read_only, struct txn **out);
/* Publishes everything in one catalog transaction. On error the transaction is rolled back (but see
 * the design: an I/O error of the publishing COMMIT leaves the outcome unknown and stops writing).
 * Frees t. */
enum status txn_commit(struct ctx *c, struct txn *t);
void txn_rollback(struct txn *t); /* frees t; NULL is allowed */
bool txn_has_writes(const struct txn *t);
enum status txn_savepoint(struct ctx *c, struct txn *t, const char *name);
enum status txn_rollback_to(struct ctx *c, struct txn *t, const char *name);
enum status txn_release(struct ctx *c, struct txn *t, const char *name);
/* One statement of a transaction: a nameless savepoint, so that a statement that fails leaves no
 * trace. Nests not. */
enum status txn_statement_begin(struct ctx *c, struct txn *t);
void txn_statement_end(struct txn *t, bool keep);
/* When the transaction began, µs since 1970: now(). */
int64_t txn_time_us(const struct txn *t);
/* A number that is another whenever what names mean may be: of the transaction's snapshot, which it
 * takes if there is none; 0 when it has changed something itself. */
enum status txn_catalog_seq(struct ctx *c, struct txn *t, int64_t *seq);
struct db *txn_db(const struct txn *t);

/* ---- catalog ---- */
/* The array's schema in the snapshot (own changes included), or as of a version (> 0) or a time (!=
 * 0, µs). ERR_UNDEFINED_TABLE with the nearest name as hint. Lives as long as the transaction. */
struct array_ref {
    const char *name;
    int64_t version;  /* 0: the snapshot's */
    int64_t as_of_us; /* 0: no */
    int position;     /* in the statement, for errors */
};
enum status array_open(struct ctx *c, struct txn *t, const struct array_ref *ref,
                       struct array **out);
/* The array of this id as the transaction sees it; *out NULL: it is gone. */
enum status array_find(struct ctx *c, struct txn *t, uint32_t id, struct array **out);
const struct schema *array_schema(const struct array *a);
int64_t array_version(const struct array *a);

/* Waits until no other transaction writes the array, and moves the snapshot on to the newest if no
 * cell was read and nothing written yet (else ERR_SERIALIZATION when the array changed). A
 * statement that reads what it will write asks before it opens anything. */
enum status array_lock(struct ctx *c, struct txn *t, const char *name);

enum status
array_create(struct ctx *c, struct txn *t,
             struct schema *s); /* chooses ids and tiles that are 0; ERR_DUPLICATE_TABLE */
enum status array_drop(struct ctx *c, struct txn *t, const char *name);
enum status array_rename(struct ctx *c, struct txn *t, const char *name, const char *to);
enum status array_rename_column(struct ctx *c, struct txn *t, const char *name, const char *column,
                                const char *to);
enum status array_add_attr(struct ctx *c, struct txn *t, const char *name, const struct attr *attr);
enum status array_drop_attr(struct ctx *c, struct txn *t, const char *name, const char *attr);
/* New declared bounds of a regular dimension (NULL: open); cells outside become EMPTY. */
enum status array_resize(struct ctx *c, struct txn *t, const char *name, const char *dim,
                         const struct value *lo, const struct value *hi);
/* Tiles of another shape, tiles[d] positions along dimension d, as a new version; cells stay. */
enum status array_retile(struct ctx *c, struct txn *t, const char *name, const int64_t *tiles);
/* key: "unit" or "comment", column NULL: of the array itself; text NULL: none. */
enum status array_annotate(struct ctx *c, struct txn *t, const char *name, const char *column,
                           const char *key, const char *text);
enum status array_truncate(struct ctx *c, struct txn *t, const char *name);
/* The axes of `like`, of the same number and types, in place of the array's own: for who then
 * writes all cells anew that would lie at other positions. */
enum status array_set_axes(struct ctx *c, struct txn *t, const char *name,
                           const struct schema *like);

/* Views and macro functions: a name and its SQL text, transactional like arrays. Arrays and views
 * share one name space. */
enum object_kind {
    OBJECT_VIEW,
    OBJECT_FUNCTION,
    OBJECT_CHECKS,       /* of an array, by its id: CHECK constraints */
    OBJECT_SCHEDULE,     /* storage/runs.h */
    OBJECT_MATERIALIZED, /* of an array, by its id: the query that it is the result of */
    OBJECT_SEEN          /* of an array, by its id: what its last refresh saw of its sources */
};
enum status object_put(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                       const char *text, bool replace);
/* *text NULL when there is none; lives as long as the transaction. */
enum status object_get(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                       const char **text);
enum status object_drop(struct ctx *c, struct txn *t, enum object_kind k, const char *name);
enum status object_rename(struct ctx *c, struct txn *t, enum object_kind k, const char *name,
                          const char *to);
/* An object of an array; NULL: none. Whoever sets one holds the array's lock. */
enum status array_object(struct ctx *c, struct txn *t, enum object_kind k, const struct schema *s,
                         const char **text);
enum status array_set_object(struct ctx *c, struct txn *t, enum object_kind k,
                             const struct schema *s, const char *text);
/* Each schedule (or other object of a kind) that the transaction sees, by name. */
typedef enum status object_fn(struct ctx *c, void *self, const char *name, const char *text);
enum status object_each(struct ctx *c, struct txn *t, enum object_kind k, object_fn *fn,
                        void *self);
/* Those committed by others since the transaction's snapshot, under names that it does not know. */
enum status objects_appeared(struct ctx *c, struct txn *t, enum object_kind k, object_fn *fn,
                             void *self);
/* Will the transaction publish something of the array of this id? */
bool txn_changes(const struct txn *t, uint32_t array);

/* What sys.* views list. Called once per row with n values, valid during the call. A callback's
 * error ends the walk. */
enum sys_table {
    SYS_ARRAYS,
    SYS_DIMENSIONS,
    SYS_ATTRIBUTES,
    SYS_VERSIONS,
    SYS_TILES,
    SYS_FILES,
    SYS_OBJECTS
};
struct sys_column {
    const char *name;
    enum type type;
};
const struct sys_column *sys_columns(enum sys_table t, int *n);
typedef enum status sys_row_fn(struct ctx *c, void *self, const struct value *row, int n);
enum status sys_scan(struct ctx *c, struct txn *t, enum sys_table table, sys_row_fn *fn,
                     void *self);

/* ---- files that arrays were loaded from ---- */
/* What is remembered of one, of the last time that it was taken up. It is published with the cells
 * of the transaction, or undone with them; TRUNCATE forgets. */
struct loaded_file {
    const char *name; /* absolute */
    int64_t n_bytes;
    int64_t modified_ns, changed_ns; /* since 1970: its contents, its inode */
    int64_t loaded_us;               /* when it was committed */
    int64_t n_cells;
    const char *reason;   /* why it was skipped; NULL: it was loaded */
    const char *schedule; /* whose run it was, at which slot; NULL: none */
    int64_t slot_us;
};
enum status array_put_file(struct ctx *c, struct txn *t, const char *array,
                           const struct loaded_file *file);
enum status array_file(struct ctx *c, struct array *a, const char *name, struct loaded_file *out,
                       bool *found);
enum status array_files(struct ctx *c, struct array *a, struct arena *arena,
                        struct loaded_file **files, int *n);

/* ---- what changed ---- */
/* The tiles of the array that have another content than when version `since` was its newest; in
 * c->arena. Of a change to its definition nothing is said. */
struct tile_changes;
enum status array_changes(struct ctx *c, struct array *a, int64_t since, struct tile_changes **out);
/* How many they are; -1: more than are told apart. */
int64_t changes_count(const struct tile_changes *t);
/* Does a box in logical positions have a share in any of them? */
bool changes_meet(const struct tile_changes *t, const struct box *box);

/* ---- reading ---- */
/* The cells of a box: attributes attrs[0 … n) (indexes into schema->attrs) as dense columns over
 * the box, presence as a bitmap (NULL: all exist). They are there as long as memory from c->scratch
 * would be; values may be a cached tile's own, so nobody writes to them. The box is in logical
 * positions and may reach past the axis: cells there are EMPTY. *n_present is their count; when it
 * is 0 columns may be left unfilled. ERR_CORRUPT, ERR_MEMORY, ERR_IO. */
enum status array_read(struct ctx *c, struct array *a, const struct box *want, const int *attrs,
                       int n, struct column *cols, uint64_t **present, int64_t *n_present);
/* Asks the system to read ahead the tiles of a box. Never fails. */
void array_read_ahead(struct ctx *c, struct array *a, const struct box *box, const int *attrs,
                      int n);
/* The summary of one attribute (index; -1: presence) over one tile by tile coordinates. found
 * false: the tile has no cell. */
enum status array_summary(struct ctx *c, struct array *a, int attr, const int64_t *tile,
                          struct summary *out, bool *found);
/* The same for many tiles, those beside one another at little cost. Summaries and what they lie in
 * stay as long as memory from c->scratch: none that was asked for since summaries_open() may be
 * released in between. *out NULL: the tile has no cell. */
struct summaries;
enum status summaries_open(struct ctx *c, struct array *a, struct summaries **out);
enum status summaries_at(struct ctx *c, struct summaries *w, int attr, const int64_t *tile,
                         const struct summary **out);
/* Does any cell exist in the box? Answered from summaries: may say true for a box that has none. */
enum status array_may_have(struct ctx *c, struct array *a, const struct box *box, bool *out);

/* ---- writing ---- */
enum conflict {
    CONFLICT_ERROR,
    CONFLICT_RENEW, /* as ERROR among the cells put; those that were there before go with their tile
                       as soon as one is put into it */
    CONFLICT_IGNORE,
    CONFLICT_REPLACE, /* INSERT: the cell exists already */
    CONFLICT_UPDATE,  /* only existing cells are written, only the given attributes change */
    CONFLICT_DELETE
}; /* existing cells become EMPTY; no columns */
/* Opens the array for writing in this transaction: takes the one-writer lock (waits;
 * ERR_SERIALIZATION, ERR_DEADLOCK, ERR_LOCK_TIMEOUT), makes the pending version. attrs: which
 * attributes (indexes) the columns given later are; attributes not named take their defaults
 * (INSERT) or stay (UPDATE). */
enum status writer_open(struct ctx *c, struct txn *t, const char *name, enum conflict mode,
                        const int *attrs, int n, struct writer **out);
const struct schema *writer_schema(const struct writer *w); /* as grown so far */
/* How much of cells may wait for the others of their tile before they are stored without. */
int64_t writer_room_bytes(const struct writer *w);
/* Positions (logical, in the schema of the writer's start for regular axes: any position within the
 * declared limits) of coordinates: regular axes grow when open, labels join when they may. Column d
 * has n coordinates of dimension d's type. pos[d] has room for n. ERR_OUT_OF_BOUNDS names the first
 * that is not on its axis. The position of a label is its *stored* one. Serialises itself. */
enum status writer_positions(struct ctx *c, struct writer *w, int d, const struct column *coords,
                             int64_t n, int64_t *pos);
/* Cells at positions from writer_positions: pos[d][i]. cols are as attrs in writer_open. *written
 * is added to. Cells twice in one statement: the same rule as an existing cell. Buffers (within
 * budget) and writes tiles. Many workers may call. */
enum status writer_put_cells(struct ctx *c, struct writer *w, int64_t n, int64_t *const *pos,
                             const struct column *cols, int64_t *written);
/* A dense box in *stored* positions (for labelled axes: as writer_positions gave). present NULL:
 * all. The fast path: whole tiles go straight to the codec. */
enum status writer_put_box(struct ctx *c, struct writer *w, const struct box *box,
                           const struct column *cols, const uint64_t *present, int64_t *written);
/* CONFLICT_RENEW, after all puts: what was there before in tiles of the box (NULL: all) that no
 * cell was put into goes as well. */
enum status writer_clear_rest(struct ctx *c, struct writer *w, const struct box *box);
/* Flushes everything to the tile store and records extents, labels, dictionaries, tile count and
 * digest in the pending version. */
enum status writer_finish(struct ctx *c, struct writer *w);
void writer_free(struct writer *w); /* after finish or on error, before the statement ends; NULL
                                       allowed. Unfinished: the version will be dead. */

/* ---- upkeep ---- */
/* Reads every tile of the array and checks header, checksum, summary and count. ERR_CORRUPT names
 * the first bad tile. */
enum status array_check(struct ctx *c, struct txn *t, const char *name, int64_t *n_tiles);
/* Retires versions older than the newest `keep` that no reader holds and sweeps them now. name
 * NULL: all arrays. keep 0: those older than version_retention. */
enum status db_vacuum(struct ctx *c, struct db *db, const char *name, int64_t keep);
/* Copies everything that is committed to a directory (empty, or not there), which can be opened as
 * a data directory; others go on writing. ERR_FILE_EXISTS. */
enum status db_backup(struct ctx *c, struct db *db, const char *dir);
/* Waits until the background sweeper has nothing left: for tests. */
void db_sweep_wait(struct db *db);

#endif
