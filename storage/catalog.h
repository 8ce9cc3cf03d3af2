/* The catalog: which arrays, versions, labels, dictionary strings and views there are, in one
 * SQLite database. It is the one commit point: what its last COMMIT says is true, whatever lies in
 * the tile store.
 *
 * Rows that describe an array carry from_version and to_version, as tiles carry a version, so that
 * any version's schema can be read while another is written. No SQLite transaction outlives a call,
 * but for the one between catalog_begin() and catalog_commit(), which a publishing transaction
 * holds for its few rows.
 *
 * Threads: any; calls take turns. Results live in the arena given. */
#ifndef TESSERA_CATALOG_H
#define TESSERA_CATALOG_H
#include "storage/db.h"
#include "storage/runs.h"

struct catalog;

/*   state             text in the file */
#define VERSION_STATE_LIST(X)                                                                      \
    X(VERSION_PENDING, "pending") /* being written; dead after a crash */                          \
    X(VERSION_LIVE, "live")       /* committed, can be read by number */                           \
    X(VERSION_MERGED, "merged")   /* committed as part of a later one of the same transaction */   \
    X(VERSION_RETIRED, "retired") /* old; tiles that only it shows are being deleted */            \
    X(VERSION_DEAD, "dead")       /* never committed; its tiles are to be deleted */
enum version_state {
#define X(id, name) id,
    VERSION_STATE_LIST(X)
#undef X
        N_VERSION_STATES
};
const char *version_state_name(enum version_state s);

/* Of the tiles that an array shows as of a version, whichever version wrote them. Tombstones, and
 * values under them, do not count. */
struct totals {
    int64_t tiles;   /* records: presence and each attribute */
    int64_t cells;   /* that exist */
    int64_t bytes;   /* of the records */
    uint64_t digest; /* sum of tile_digest() */
};

struct version_row {
    uint32_t array;
    int64_t version;
    enum version_state state;
    int64_t committed_us;
    struct totals totals;
};

struct array_row {
    uint32_t id;
    const char *name;
    int64_t version; /* newest committed */
};

struct counter_row {
    uint32_t array;
    int64_t next_version;
};

struct object_row {
    enum object_kind kind;
    const char *name, *text;
};

/* Opens or makes the database file. sync false only in tests. ERR_CORRUPT, ERR_FORMAT_VERSION,
 * ERR_IO, ERR_DISK_FULL as everywhere below. */
enum status catalog_open(struct ctx *c, const char *path, bool sync, struct catalog **out);
void catalog_close(struct catalog *cat); /* NULL allowed */
/* Copies the database as of now to a new file. */
enum status catalog_copy(struct ctx *c, struct catalog *cat, const char *path);

/* ---- reading ---- */
/* The arrays that are not dropped, the versions of one array (0: of all) in ascending order, … */
enum status catalog_arrays(struct ctx *c, struct catalog *cat, struct arena *a,
                           struct array_row **rows, int *n);
enum status catalog_versions(struct ctx *c, struct catalog *cat, uint32_t array, struct arena *a,
                             struct version_row **rows, int *n);
/* The live version `version`, or when that is 0 the newest live one committed by as_of_us. */
enum status catalog_version_find(struct ctx *c, struct catalog *cat, uint32_t array,
                                 int64_t version, int64_t as_of_us, struct version_row *row,
                                 bool *found);
/* Attributes that no version from `oldest` on has any more, and the highest id ever given. */
enum status catalog_gone_attrs(struct ctx *c, struct catalog *cat, uint32_t array, int64_t oldest,
                               struct arena *a, uint16_t **ids, int *n);
enum status catalog_max_attr(struct ctx *c, struct catalog *cat, uint32_t array, uint16_t *id);
enum status catalog_counters(struct ctx *c, struct catalog *cat, struct arena *a,
                             struct counter_row **rows, int *n, uint32_t *next_array);
enum status catalog_objects(struct ctx *c, struct catalog *cat, struct arena *a,
                            struct object_row **rows, int *n);

/* An array's schema as of a version. Labels come as stored, for the caller to put in order:
 * label_values[d] has axis.hi values of the axis's type (NULL for regular axes), and axis.labels is
 * NULL. Strings of TEXT attributes: dict_strings[a], dict_n[a]. */
struct schema_rows {
    struct schema *schema;
    void *label_values[MAX_DIMS];
    struct text **dict_strings;
    int64_t *dict_n;
};
enum status catalog_schema(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                           struct arena *a, struct schema_rows *out);

/* ---- patches ---- */
typedef enum status catalog_patch_fn(struct ctx *c, void *self, int64_t version, const void *bytes,
                                     size_t n_bytes);
/* The patches of a tile of versions (above, upto], oldest first. fn must not ask the catalog. */
enum status catalog_patches(struct ctx *c, struct catalog *cat, const struct tile_key *tile,
                            int64_t above, int64_t upto, catalog_patch_fn *fn, void *self);
/* The next array after *array that has any. */
enum status catalog_patched_array(struct ctx *c, struct catalog *cat, int64_t *array, bool *found);
/* The array's patched tiles one after another: first with *started false. *found false: the end. */
enum status catalog_patched_tile(struct ctx *c, struct catalog *cat, struct tile_key *tile,
                                 bool *started, bool *found);
/* What nobody reads: of a tile, versions (above, upto]. */
struct patch_range {
    struct tile_key tile;
    int64_t above, upto;
};
enum status catalog_drop_patches(struct ctx *c, struct catalog *cat, const struct patch_range *r,
                                 int n);

/* ---- files ---- */
/* What is remembered of a file of an array, and of all of them, by name. */
enum status catalog_file(struct ctx *c, struct catalog *cat, uint32_t array, const char *name,
                         struct arena *a, struct loaded_file *out, bool *found);
enum status catalog_files(struct ctx *c, struct catalog *cat, uint32_t array, struct arena *a,
                          struct loaded_file **files, int *n);

/* ---- writing, each its own durable transaction ---- */
/* The row of a version about to be written, and the counters past it. */
enum status catalog_pending(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version);
enum status catalog_set_state(struct ctx *c, struct catalog *cat, uint32_t array,
                              const int64_t *versions, int n, enum version_state state);
/* After a sweep: the rows of these versions go, and rows that describe the array only as of
 * versions before `oldest`. */
enum status catalog_swept(struct ctx *c, struct catalog *cat, uint32_t array,
                          const int64_t *versions, int n, int64_t oldest);
/* Every row of a dropped array goes. */
enum status catalog_purge(struct ctx *c, struct catalog *cat, uint32_t array);
/* Every pending version becomes dead: what a start does first. */
enum status catalog_bury_pending(struct ctx *c, struct catalog *cat);

/* ---- publishing ---- */
/* One transaction of many rows; holds the catalog until catalog_commit() or catalog_abort(). A
 * failed put wants an abort. */
enum status catalog_begin(struct ctx *c, struct catalog *cat);
void catalog_abort(struct catalog *cat);
/* *unknown: an I/O error came from COMMIT itself, so that only a restart finds out the outcome. */
enum status catalog_commit(struct ctx *c, struct catalog *cat, bool *unknown);
enum status catalog_put_version(struct ctx *c, struct catalog *cat, const struct version_row *v);
/* What differs between two schemas of an array (old NULL: new array; s NULL: dropped) as of a
 * version. relabel[d]: the labels of dimension d are all new. */
enum status catalog_put_schema(struct ctx *c, struct catalog *cat, const struct schema *old,
                               const struct schema *s, const bool *relabel, int64_t version);
/* A patch of the version key->version: its record. */
enum status catalog_put_patch(struct ctx *c, struct catalog *cat, const struct tile_key *key,
                              const void *bytes, size_t n_bytes);
enum status catalog_put_file(struct ctx *c, struct catalog *cat, uint32_t array,
                             const struct loaded_file *f);
enum status catalog_forget_files(struct ctx *c, struct catalog *cat, uint32_t array);
/* text NULL: the object goes. */
enum status catalog_put_object(struct ctx *c, struct catalog *cat, enum object_kind kind,
                               const char *name, const char *text);
/* A run's row: a new one, or its new status. ERR_DUPLICATE_OBJECT: its slot has succeeded already.
 */
enum status catalog_put_run(struct ctx *c, struct catalog *cat, const struct run_row *r);
/* Numbers of runs and schedules below this one are taken. */
enum status catalog_count_runs(struct ctx *c, struct catalog *cat, int64_t next);

/* ---- runs of schedules, each call its own durable transaction ---- */
enum status catalog_next_run(struct ctx *c, struct catalog *cat, int64_t *next);
/* Texts are in the arena. */
enum status catalog_runs(struct ctx *c, struct catalog *cat, enum runs_which which, int64_t id,
                         int64_t slot_us, struct arena *a, struct run_row **rows, int *n);
enum status catalog_run_mark(struct ctx *c, struct catalog *cat, int64_t id, int64_t *mark_us);
enum status catalog_run_failures(struct ctx *c, struct catalog *cat, int64_t id, int64_t since_us,
                                 int64_t *n);
enum status catalog_put_runs(struct ctx *c, struct catalog *cat, const struct run_row *rows, int n,
                             int64_t next);
/* Those that ran when the server died have crashed: what a start does first. */
enum status catalog_crash_runs(struct ctx *c, struct catalog *cat, int64_t now_us);
enum status catalog_forget_runs(struct ctx *c, struct catalog *cat, int64_t before_us, int *n);

#endif
