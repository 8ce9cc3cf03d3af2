/* What the writer's files share: the tiles that wait in memory, and the summaries that go with
 * them.
 *
 * A cell given to the writer goes to the pending tile that it lies in. There its conflict is
 * decided at once (a pending tile knows which cells exist), and its values wait: as a list while
 * they are few, as full columns ("dense") once they are many. A pending tile is stored when it is
 * complete, when memory runs short, and at the end; it may come again later, and is then read back
 * first. Whole tiles skip all this.
 *
 * Locks: a stripe (by tile) is held while a tile's content is looked at or stored; mu and sums_mu
 * are taken inside it, and never together. */
#ifndef TESSERA_WRITER_INTERNAL_H
#define TESSERA_WRITER_INTERNAL_H
#include "storage/db_internal.h"

#define N_STRIPES 64
#define N_BUCKETS 256 /* of blocks of summaries */

/* A column as it is stored: texts are codes. values NULL: not given. */
struct cells {
    void *values;
    uint64_t *valid; /* NULL: none is NULL */
};

struct wtile {
    struct wtile *next; /* of its bucket */
    int64_t coords[MAX_DIMS];
    uint64_t *present; /* as it will be */
    int64_t n_present;
    int64_t n_before; /* cells in what was there before this tile waited */
    bool changed;     /* something waits */
    bool renewed;     /* what was there before goes */
    int64_t n_listed, cap_listed;
    uint32_t *listed;     /* cells of the list, in order of arrival */
    struct cells *list;   /* their values, of each given column */
    struct cells *dense;  /* NULL: not dense; by attribute; valid is always there */
    bool *has_null;       /* by attribute: valid is worth looking at */
    int64_t n_put;        /* cells put since it began to wait */
    int64_t bytes, stamp; /* memory; when it was last touched */
};

/* Summaries of a block of tiles, of one attribute. */
struct wsum {
    struct summary_block block;
    bool dirty, stored;
    int64_t stamp;
};

struct wblock {
    struct wblock *next;
    int64_t coords[MAX_DIMS];
    uint64_t written[SUMMARY_BLOCK_TILES / 64]; /* tiles that this version has records of */
    struct wsum *sums; /* presence, then each attribute; block.slots NULL: not in memory */
};

/* Labels that have joined. */
struct wlabels {
    int64_t n, cap, table_size;
    void *values;
    uint32_t *table; /* index + 1 by hash, 0: free */
};

struct writer {
    struct txn *txn;
    struct db *db;
    struct change *change;
    enum conflict mode;
    int64_t version;
    struct def *def;    /* as of the start */
    struct array *base; /* what was there before */
    struct array none;  /* base of a writer that begins afresh */
    struct array self;  /* base with this version on top */
    const struct schema *s;
    int n_given, *given; /* attributes of the columns */
    int *column_of;      /* by attribute: its column, -1 */
    bool *rewritten;     /* by attribute: tiles are stored anew */
    struct cells *deflt; /* by attribute: one value */
    struct box limits;   /* positions that may ever exist, in stored order */
    struct store_batch *batch;
    bool finished;
    atomic_bool pending; /* the catalog knows of the version */
    bool patched;        /* its cells are patches: there are no records */

    pthread_mutex_t stripes[N_STRIPES];
    pthread_mutex_t mu;   /* everything below, but for the summaries */
    struct wtile **tiles; /* by hash */
    int64_t n_waiting, n_buckets;
    int64_t clock;
    atomic_int_least64_t used_bytes;
    int64_t limit_bytes;
    struct box grown; /* extents of regular axes */
    struct wlabels labels[MAX_DIMS];
    struct arena *arena;      /* label texts */
    struct strings **strings; /* by attribute: TEXT that is given */
    struct def **shown;       /* given out by writer_schema() */
    int n_shown;
    int64_t growth, shown_growth; /* changes of axes so far; as of the last one given out */
    struct totals totals;
    int64_t n_replaced; /* records of older versions that no longer show */
    int64_t record_bytes;

    pthread_mutex_t sums_mu; /* blocks and their summaries */
    struct wblock *blocks[N_BUCKETS];
    int n_sums, max_sums;
    int64_t sums_clock;
};

static inline bool writer_inserts(const struct writer *w)
{
    return w->mode <= CONFLICT_REPLACE;
}

/* Has this version a record of the tile (writer_store.c)? */
bool writer_has_written(struct writer *w, const int64_t *coords);
/* Does what the tile had before go as a cell is put there? Not what this writer has stored. */
static inline bool writer_renews(struct writer *w, const int64_t *coords)
{
    return w->mode == CONFLICT_RENEW && !writer_has_written(w, coords);
}

/* ---- writer_axis.c ---- */
/* Columns of n cells (those with a present bit) as they are stored, from c->scratch. */
enum status writer_encode_columns(struct ctx *c, struct writer *w, const struct column *cols,
                                  const uint64_t *present, int64_t n, struct cells *out);
void writer_grow(struct writer *w, const struct box *box);
struct def *writer_grown_def(struct writer *w);
enum status writer_defaults(struct ctx *c, struct writer *w);
/* "a cell exists already at (x = 1, …)". */
enum status writer_duplicate(struct ctx *c, struct writer *w, const int64_t *pos);

/* Bytes of a value of attribute k, and of a bitmap over a tile. */
static inline size_t writer_width(const struct writer *w, int k)
{
    return tile_width(w->s->attrs[k].type);
}
static inline size_t writer_bit_bytes(const struct writer *w)
{
    return (size_t)bits_words(w->base->tile_cells) * 8;
}

/* ---- writer_table.c ---- */
/* The lock of a tile's content. */
pthread_mutex_t *wtile_stripe(struct writer *w, const int64_t *coords);
/* The pending tile, NULL: none; or one made when there is none. Under its stripe, as all below. */
struct wtile *wtable_find(struct writer *w, const int64_t *coords);
enum status wtile_get(struct ctx *c, struct writer *w, const int64_t *coords, struct wtile **out);
void wtable_remove(struct writer *w, const struct wtile *t);
void wtile_free(struct writer *w, struct wtile *t);
/* Zeroed memory of a pending tile, accounted to the statement; a refusal is ERR_MEMORY. */
enum status wtile_take(struct ctx *c, struct writer *w, struct wtile *t, size_t bytes, void **out);
void wtile_give(struct writer *w, struct wtile *t, void *p); /* NULL allowed */
void wtile_drop_list(struct writer *w, struct wtile *t);
/* Stores pending tiles, the oldest first, until no more than `bytes` wait; 0: all. */
enum status wtiles_store(struct ctx *c, struct writer *w, int64_t bytes);
void wtiles_free(struct writer *w);

/* ---- writer_tile.c ---- */
/* Turns the list into full columns. */
enum status wtile_densify(struct ctx *c, struct writer *w, struct wtile *t);
/* Room for n more cells (box: for full columns); before anything is decided: *again says that it
 * was refused and may be tried again once memory is free. */
enum status wtile_reserve(struct ctx *c, struct writer *w, struct wtile *t, int64_t n, bool box,
                          bool *again);
/* Values of n accepted cells join the tile, which has room: src at from[i] goes to cells[i]. */
void wtile_put_values(struct writer *w, struct wtile *t, const uint32_t *cells, int64_t n,
                      const struct cells *src, const uint32_t *from);
/* The same for one attribute of a dense tile. one: value 0 of src goes to all of them. */
void wtile_put_dense(struct writer *w, struct wtile *t, int k, const uint32_t *cells, int64_t n,
                     const struct cells *src, const uint32_t *from, bool one);
/* Stores the tile and takes it out of the table. On an error it stays. */
enum status wtile_store(struct ctx *c, struct writer *w, struct wtile *t);

/* ---- writer_put.c ---- */
/* A box's share of one tile: src over box, present over box (NULL: all). */
struct piece {
    int64_t coords[MAX_DIMS];
    struct box tile, part;
    const struct box *box;
    const struct cells *src;
    const uint64_t *present;
};
enum status wtile_put_box(struct ctx *c, struct writer *w, const struct piece *p, int64_t *written);
/* n cells of one tile: cells[i] in the tile, from[i] in src. */
enum status wtile_put_cells(struct ctx *c, struct writer *w, const int64_t *coords, int64_t n,
                            const uint32_t *cells, const uint32_t *from, const struct cells *src,
                            int64_t *written);
/* Cells outside `keep` (NULL: all) become EMPTY. */
enum status wtile_clear(struct ctx *c, struct writer *w, const int64_t *coords,
                        const struct box *keep);

/* ---- writer_store.c ---- */
/* What is to be stored of a tile. */
struct image {
    const int64_t *coords;
    const uint64_t *present; /* NULL: all cells exist */
    int64_t n_present;
    int64_t n_before;   /* cells that it had */
    struct cells *cols; /* by attribute; values NULL: stays as it is */
};
enum status writer_store_image(struct ctx *c, struct writer *w, const struct image *im);
/* ---- writer_patch.c ---- */
/* So few cells wait, and nothing is stored yet, that they had better be patches: makes them. */
enum status writer_patch(struct ctx *c, struct writer *w, bool *done);
/* ---- writer_store.c, on ---- */
/* The tile as the writer sees it, its own records included. */
enum status writer_fetch(struct ctx *c, struct writer *w, uint16_t attr, enum type type,
                         const int64_t *coords, struct tile_ref *out);
enum status writer_store_sums(struct ctx *c, struct writer *w);
void writer_free_sums(struct writer *w);

#endif
