/* Summaries: what is known of a tile without reading it. Kept for each tile and attribute, in
 * blocks of about a thousand tiles. They answer aggregates over whole tiles and prune tiles. */
#ifndef TESSERA_SUMMARY_H
#define TESSERA_SUMMARY_H
#include "storage/base/column.h"
#include "storage/base/fsum.h"
#include "storage/tile.h"

struct summary {
    int64_t n_cells; /* that exist */
    int64_t n_nulls; /* of them NULL */
    int64_t n_nans;
    bool has_range; /* min and max hold: some value is neither NULL nor NaN. Never for text. */
    bool constant;  /* every cell that exists has the same value (NULLs excepted) */
    union {
        int64_t i;
        uint64_t u;
        double d;
    } min, max; /* by the attribute's type: as struct value */
    bool has_sum;
    i128 isum;             /* integers and booleans: exact */
    struct fsum sum, sum2; /* floats: Σx and Σx², reproducible, NaN and infinities flagged */
};

void summary_init(struct summary *s);
/* Of n cells of a column, those with a present bit (NULL: all). Values of T_TEXT, T_INT64S and
 * T_UNKNOWN columns are not looked at (so dictionary codes may stand in for texts). */
void summary_add(struct summary *s, const struct column *col, const uint64_t *present, int64_t n);
void summary_merge(struct summary *s, enum type t, const struct summary *other);

/* ---- blocks ----
 * A block holds the summaries of a box of tiles, a power of two in each dimension, 1024 in all (one
 * tile when there is no dimension). It is stored as a record of the tile store under the attribute
 * | ATTR_SUMMARY and the block's coordinates:
 *
 *   offset  size  field
 *        0     4  magic, "TSSB"
 *        4     2  format version, 1
 *        6     2  zero
 *        8     8  XXH3-64 of bytes [16, end), seeded with bytes [0, 8) as a number
 *       16     1  type; 255 for presence
 *       17     1  n_dims
 *       18     2  attribute id | ATTR_SUMMARY
 *       20     4  array id
 *       24     8  version
 *       32     4  summaries in the block
 *       36     4  bytes of the entries; highest bit set: they are a zstd frame of so many
 *       40    8d  block coordinates, d = n_dims
 *         …       entries: see summary_block.c */
#define SUMMARY_BLOCK_TILES 1024

struct summary_block {
    uint64_t set[SUMMARY_BLOCK_TILES / 64]; /* which slots hold a summary */
    struct summary *slots;                  /* SUMMARY_BLOCK_TILES of them */
};

/* Tiles that a block spans in each dimension. */
void summary_block_extents(int n_dims, int64_t *extents);
/* The block that a tile belongs to, and its slot there. */
void summary_block_of(int n_dims, const int64_t *tile, int64_t *block, int *slot);
/* Room for the slots from c->scratch, none set. */
enum status summary_block_alloc(struct ctx *c, struct summary_block *out);
/* The record, in c->scratch. key: attr with ATTR_SUMMARY, coords of the block. t: the attribute's
 * type; T_NONE for presence, of which only n_cells is kept. */
enum status summary_block_encode(struct ctx *c, const struct tile_key *key, enum type t,
                                 const struct summary_block *b, void **record,
                                 size_t *record_bytes);
/* Into out->slots, which has room. ERR_CORRUPT, ERR_FORMAT_VERSION. */
enum status summary_block_decode(struct ctx *c, const void *bytes, size_t n_bytes,
                                 const struct tile_key *key, enum type t,
                                 struct summary_block *out);

#endif
