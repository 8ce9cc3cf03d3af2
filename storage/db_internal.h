/* What the files behind db.h share: the snapshot of the catalog in memory, transactions, open
 * arrays.
 *
 * A `rev` is one committed version of one array; a `state` is all current revs and objects, sorted
 * by name: immutable, shared by reference count. A commit swaps db->current for a new state; a
 * transaction's snapshot is a reference to one. A `slot` is what is known of an array's id whatever
 * the version: the next number, the versions that never count.
 *
 * Order of locks: locks.mu, publish_mu, the catalog's own, mu; a table's of patches comes last.
 * Under mu nothing waits. */
#ifndef TESSERA_DB_INTERNAL_H
#define TESSERA_DB_INTERNAL_H
#include "storage/cache.h"
#include "storage/catalog.h"
#include "storage/def.h"
#include "storage/fault.h"
#include "storage/locks.h"
#include "storage/patch.h"
#include "storage/runs.h"
#include "storage/store.h"

/* The patches of an array that are in memory: those of its newest version, and those that open
 * snapshots need. */
struct patched_tile {
    struct patched_tile *next; /* of its bucket */
    int64_t coords[MAX_DIMS];
    struct patch *newest;
    int64_t n_cells; /* of patches that are not hidden */
};

struct patch_table {
    pthread_mutex_t mu;
    atomic_bool any;             /* rows of patches may be in the catalog */
    atomic_int_least64_t n;      /* patches */
    struct patched_tile **tiles; /* by hash */
    int64_t n_tiles, n_buckets;
    struct patch *hidden, **hidden_end; /* oldest first, by patch.more */
};

struct slot {
    uint32_t id;
    int64_t next_version;
    int64_t *dead; /* ascending: versions not to be read, not swept yet */
    int n_dead, cap_dead;
    int64_t oldest;   /* older versions cannot be opened by number any more */
    int n_revs;       /* revs of this array that somebody may still read */
    int n_writers;    /* transactions with a change of it: it is not swept away */
    bool dropped;     /* committed: goes when nobody reads it */
    bool needs_sweep; /* dead or superseded records may be there */
    struct patch_table patches;
};

struct rev {
    atomic_int refs;
    struct db *db;
    struct slot *slot;
    char *name;
    int64_t version, committed_us;
    struct totals totals;
    pthread_mutex_t load_mu;
    struct def *_Atomic def; /* NULL until asked for */
};

struct object {
    atomic_int refs;
    enum object_kind kind;
    char *name, *text;
};

struct state {
    atomic_int refs;
    struct state *next, *prev; /* of db->states */
    int64_t seq;               /* of its commit, from 1 */
    int n_revs, n_objects;
    struct rev **revs;       /* by name */
    struct object **objects; /* by kind and name */
};

/* A version opened by number or time: not to be swept away while somebody reads it. */
struct lease {
    struct lease *next;
    uint32_t array;
    int64_t version;
};

struct db {
    char *dir, *tmp;
    int lock_fd;
    struct db_options options;
    struct budget *budget;
    struct catalog *catalog;
    struct store *store;
    struct cache *cache;
    struct locks locks;

    pthread_mutex_t commit_mu; /* over the next four */
    pthread_cond_t commit_cond;
    struct commit *commits, **commits_end; /* that wait */
    bool commit_leads;                     /* one of them publishes a group */
    pthread_mutex_t publish_mu;            /* commits take turns */
    pthread_mutex_t mu;                    /* everything below */
    pthread_cond_t changed;                /* the sweeper has work, or has finished some */
    struct state *current, *states;
    struct slot **slots; /* by id, ascending */
    int n_slots, cap_slots;
    uint32_t next_array;
    struct lease *leases;
    int64_t last_commit_us;
    atomic_bool unknown_outcome;      /* a COMMIT may or may not have happened: no more writes */
    atomic_int_least64_t patch_bytes; /* of patches in memory */

    atomic_int_least64_t next_run; /* of runs and schedules */
    pthread_mutex_t schedules_mu;  /* over the next two */
    pthread_cond_t schedules_cond;
    struct schedules_seq schedules_seq;
    bool schedules_woken;

    pthread_t sweeper;
    bool sweeper_runs, stop, sweeping, sweep_asked;
    int64_t next_retention_ns;
    struct cancel stop_sweeping;
    pthread_mutex_t sweep_mu; /* one sweep at a time */
};

/* ---- db.c ---- */
/* The file that says which format the directory has. */
enum status db_write_format(struct ctx *c, const char *dir, bool sync);

/* ---- state.c ---- */
struct slot *slot_get(struct db *db, uint32_t id);                       /* under mu; NULL: none */
struct slot *slot_add(struct db *db, uint32_t id, int64_t next_version); /* under mu */
void slot_kill(struct slot *s, int64_t version);                         /* under mu */
struct rev *rev_new(struct db *db, struct slot *slot, const char *name, int64_t version);
struct rev *rev_ref(struct rev *r);
void rev_unref(struct rev *r);
/* The definition, loaded at the first call; a reference of the rev's. */
enum status rev_def(struct ctx *c, struct rev *r, struct def **out);
struct object *object_new(enum object_kind kind, const char *name, const char *text);
struct state *state_acquire(struct db *db);
void state_release(struct db *db, struct state *s);
struct rev *state_find(const struct state *s, const char *name);
struct rev *state_find_id(const struct state *s, uint32_t id);
struct object *state_object(const struct state *s, enum object_kind kind, const char *name);
/* What a commit changes. Takes the references in it. */
struct state_edit {
    int n_revs, n_objects;
    uint32_t *ids;           /* of arrays whose rev goes … */
    struct rev **revs;       /* … for this one, or NULL */
    struct object **objects; /* text NULL: it goes */
};
void state_publish(struct db *db, const struct state_edit *e);
enum status state_load(struct ctx *c, struct db *db); /* at open */

/* ---- commit.c ---- */
/* Between them what the catalog shows is in db->current too: no commit is half published. */
void published_begin(struct db *db);
void published_end(struct db *db);

/* ---- patches.c ---- */
#define OWN_BUCKETS 64
/* A tile that a version stored with its patches in it. */
struct fold {
    struct fold *next; /* the older one */
    int64_t coords[MAX_DIMS];
    int64_t version;
};

/* What a transaction's small writes changed in one array, until it is published. Patches that a
 * savepoint took back stay in memory to the end: somebody may be reading them. */
struct own_patches {
    struct own_patches *next;           /* of the transaction's */
    struct patch *buckets[OWN_BUCKETS]; /* by tile, newest first */
    struct patch *undone;               /* by patch.more */
    struct fold *folds;                 /* newest first */
    int64_t n, n_bytes;
};

/* ---- txn.c ---- */
/* What a transaction has done to one array. */
struct change {
    struct change *next;
    struct slot *slot;
    struct rev *base; /* NULL: created here */
    struct def *def;  /* as of now */
    bool dropped;
    bool touched; /* something is to be published */
    bool relabel[MAX_DIMS];
    int64_t *versions; /* pending, ascending */
    bool *stored;      /* of each: the catalog has its row, the tile store may have records */
    int n_versions, cap_versions;
    struct own_patches *own; /* NULL: none yet */
    struct array *opened;    /* as of the last version */
    struct totals totals;
};

struct object_change {
    enum object_kind kind;
    char *name, *text; /* text NULL: dropped */
};

/* A file that was taken up, or (no name) all of them forgotten. */
struct file_change {
    struct slot *slot;
    struct loaded_file file;
};

struct mark { /* a change as of a savepoint */
    struct change *change;
    struct def *def;
    bool dropped, touched;
    bool relabel[MAX_DIMS];
    int n_versions;
    struct totals totals;
};

struct savepoint {
    char *name; /* NULL: of a statement */
    struct savepoint *below;
    int n_marks, n_objects, n_files, n_runs;
    struct mark *marks;
};

struct txn {
    struct db *db;
    bool read_only, in_statement;

    atomic_bool has_read; /* cells of the snapshot */
    int64_t began_us;
    struct lock_owner owner;
    struct state *snapshot; /* NULL until needed */
    struct change *changes;
    struct object_change *objects;
    int n_objects, cap_objects;
    struct file_change *files;
    int n_files, cap_files;
    struct run_row *runs; /* to be recorded */
    int n_runs, cap_runs;
    struct savepoint *top;
    struct array *arrays;
    struct own_patches *own_patches;
    struct arena *arena; /* texts given out */
};

/* An array as one statement sees it. */
struct array {
    struct array *next; /* of the transaction's */
    struct txn *txn;
    struct db *db;
    struct slot *slot;
    struct def *def;
    struct rev *rev;     /* held: NULL for own changes and old versions */
    struct lease *lease; /* of an old version */
    int64_t version;
    struct totals totals;
    struct store_view view;
    int64_t *dead;
    int64_t extents[MAX_DIMS]; /* of tiles */
    int64_t tile_cells;
    bool permuted;           /* some axis is stored in another order than the logical one */
    bool patched;            /* some tile may have patches */
    struct own_patches *own; /* of its transaction; NULL: none */
};

enum status txn_snapshot(struct ctx *c, struct txn *t);
/* Writing is allowed: not read-only, no unknown outcome. */
enum status txn_may_write(struct ctx *c, struct txn *t);
/* The change or rev of that name as the transaction sees it now; both NULL: there is none. */
void txn_find(struct txn *t, const char *name, struct change **ch, struct rev **r);
/* Takes the array's lock and gives its change record, making it. */
enum status txn_change(struct ctx *c, struct txn *t, const char *name, struct change **out);
enum status txn_lock_name(struct ctx *c, struct txn *t, char kind, const char *name);
struct change *change_new(struct txn *t, struct slot *slot, struct rev *base, struct def *def);
/* A definition nobody else sees, to change: replaces ch->def. */
struct def *change_edit(struct change *ch, int extra_attrs);
/* The next version number; change_pending() before anything of it is stored, or give it back. */
int64_t change_new_version(struct txn *t, struct change *ch);
enum status change_pending(struct ctx *c, struct txn *t, struct change *ch, int64_t version);
/* As change_pending(), of a version that has patches and no records. */
void change_patched(struct change *ch, int64_t version);
/* The version of the array that the newest savepoint with a name goes back to; 0: the first. */
int64_t change_kept_version(const struct txn *t, const struct change *ch);
void change_return_version(struct txn *t, struct change *ch, int64_t version);
void change_kill_version(struct txn *t, struct change *ch, int64_t version);
/* Opens what a change shows now. */
enum status change_open(struct ctx *c, struct txn *t, struct change *ch, struct array **out);
/* Everything that it wrote is given up. */
void txn_undo(struct txn *t);
void txn_free(struct txn *t);
/* The array was never to be seen by others, or will not be again. */
void slot_dropped(struct txn *t, struct slot *slot);
enum status undefined_array(struct ctx *c, struct txn *t, const char *name, int position);

/* ---- loaded.c ---- */
void files_forget(struct txn *t, struct slot *slot);
/* Leaves the first n. */
void file_changes_cut(struct txn *t, int n);
/* Puts them into the catalog's open transaction. */
enum status file_changes_publish(struct ctx *c, struct txn *t, int64_t now_us);

/* ---- runs.c ---- */
/* Those after the first n_kept are not to be recorded. */
void txn_forget_runs(struct txn *t, int n_kept);
/* Within the catalog's transaction. */
enum status txn_put_runs(struct ctx *c, struct txn *t);
/* It is committed: who waits for schedules and queued runs hears of them. */
void schedules_committed(const struct txn *t);

/* ---- ddl.c ---- */
/* A tile's size is within limits. */
enum status check_tiles(struct ctx *c, const struct schema *s);
enum status name_check(struct ctx *c, const char *name);
/* Takes the name for a new array or view. Another transaction may have committed one meanwhile. */
enum status name_claim(struct ctx *c, struct txn *t, const char *name);

/* ---- read.c ---- */
void array_close(struct array *a);
/* Where a tile is decoded to. */
enum fetch {
    FETCH_OWN,    /* c->scratch */
    FETCH_CACHED, /* the cache of decoded tiles */
    FETCH_ONCE    /* c->scratch, unless it is cached or was asked for lately: scans */
};
/* A tile, there until tile_done(). */
struct tile_ref {
    const struct tile *tile; /* NULL: none */
    bool pinned;
    struct tile own;
};
enum status tile_fetch(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                       const int64_t *coords, enum fetch how, struct tile_ref *out);
void tile_done(const struct array *a, struct tile_ref *r);
/* Keeps it as long as memory from c->scratch, without tile_done(). */
enum status tile_hold(struct ctx *c, const struct array *a, struct tile_ref *r);
/* The tile's box of positions. */
void tile_box(const struct array *a, const int64_t *coords, struct box *out);
/* Boxes in stored positions that make up a logical box, one at a time. */
struct stored_runs {
    const struct array *array;
    struct box want;         /* logical, within the array */
    struct box part;         /* logical: the run given last */
    int64_t shift[MAX_DIMS]; /* logical minus stored position in it */
    bool started;
};
void stored_runs_init(struct stored_runs *r, const struct array *a, const struct box *want);
bool stored_runs_next(struct stored_runs *r);

/* ---- summaries.c ---- */
enum status summary_fetch(struct ctx *c, struct array *a, int attr, const int64_t *tile,
                          struct summary *out, bool *found);

/* ---- patches.c ---- */
struct tile_ref;
void patches_init(struct patch_table *t);
void patches_free(struct db *db, struct patch_table *t);
/* At open: those of every array's newest version. */
enum status patches_load(struct ctx *c, struct db *db);
/* May the array have patched tiles, as its view sees it? */
bool patches_any(const struct array *a);
/* The patches that the array's view sees over a tile, oldest first, in c->scratch; n 0: none. */
struct patch_list {
    struct patch **list;
    int64_t n;
    bool loaded; /* for this list alone */
};
enum status patches_over(struct ctx *c, const struct array *a, const int64_t *coords,
                         struct patch_list *out);
void patches_done(struct patch_list *l);
/* Puts them over a tile that was fetched without. */
enum status patches_apply(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                          struct patch_list *l, struct tile_ref *ref);
/* Is anything known of patches of this tile, whoever sees them? */
bool patches_know(struct slot *slot, const struct own_patches *own, int n_dims,
                  const int64_t *coords);
/* Cells in patches over a tile: of the newest version, and the transaction's own. */
int64_t patches_cells(struct slot *slot, const struct own_patches *own, int n_dims,
                      const int64_t *coords);
/* fn for every tile with a patch of a version after `since`, of those that the array's view may see;
 * perhaps more than once. */
void patches_later(struct arena *arena, const struct array *a, int64_t since, void *self,
                   void (*fn)(struct arena *arena, void *self, const int64_t *coords));
struct own_patches *own_patches_of(struct txn *t, struct change *ch);
/* since: of a savepoint; what is newer and earlier than this statement may be put together. */
void own_patches_add(struct own_patches *own, struct patch *p, int64_t since);
void own_patches_fold(struct own_patches *own, int n_dims, const int64_t *coords, int64_t version);
/* Takes back what was done by versions above this one. */
void own_patches_undo(struct own_patches *own, int64_t version);
void own_patches_free(struct own_patches *own);
/* What a commit publishes as of `version`: one patch a tile, linked by `more`. */
struct patch *own_patches_publish(struct own_patches *own, int64_t version);
/* It is committed: they join the table, what was folded leaves it when nobody reads it any more.
 * oldest: the oldest version that a snapshot holds. */
void patches_show(struct db *db, struct slot *slot, struct patch *list,
                  const struct own_patches *own, int n_dims, int64_t version, int64_t oldest);
/* Deletes rows that no kept version (ascending) shows. */
enum status patches_sweep(struct ctx *c, struct db *db, struct slot *slot, const struct def *def,
                          const struct store_view *newest, const int64_t *kept, int n_kept);

/* ---- writer.c ---- */
/* Makes every cell of the array EMPTY that lies outside `keep` (NULL: all cells). */
enum status writer_clear(struct ctx *c, struct writer *w, const struct box *keep);
enum status writer_open_change(struct ctx *c, struct txn *t, struct change *ch, enum conflict mode,
                               const int *attrs, int n, struct writer **out);
/* A writer to which nothing was there before, whose tiles are ch->def's: all cells come again. */
enum status writer_open_afresh(struct ctx *c, struct txn *t, struct change *ch, const int *attrs,
                               int n, struct writer **out);
/* This version has nothing at a tile that it has not written, whatever older records say. */
enum status writer_shadow(struct ctx *c, struct writer *w, const int64_t *coords);
uint64_t tile_digest(const struct tile_key *key);

/* ---- sweep.c ---- */
enum status sweeper_start(struct ctx *c, struct db *db);
void sweeper_stop(struct db *db);
void sweeper_wake(struct db *db); /* under mu */

#endif
