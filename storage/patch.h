/* Patches: the cells of one tile that a small write changed, kept beside the tile until a later
 * write folds them into it.
 *
 * A patch lies over a tile that has cells, and leaves it some. It counts for a reader when its
 * version is one that the reader sees and is above that of the tile's presence record: whoever
 * stores the presence of a patched tile stores all its attributes with it, patches included. So a
 * fold needs no other mark than its own records.
 *
 * Patches are rows of the catalog, so that a small write is one transaction of SQLite and no more;
 * those that the newest version shows, and those of open snapshots, are in memory as well.
 *
 * Record: numbers are little-endian, each list is padded to 8 bytes.
 *
 *   offset  size  field
 *        0     4  magic, "TSPA"
 *        4     2  format version, 1
 *        6     2  zero
 *        8     8  XXH3-64 of bytes [16, end), seeded with bytes [0, 8) as a number
 *       16     4  array id
 *       20     1  n_dims
 *       21     1  flags: 1 every cell was EMPTY before
 *       22     2  parts
 *       24     8  version
 *       32    8d  tile coordinates, d = n_dims
 *         …       parts: attribute id (2), width (1), flags (1: a validity bitmap follows the
 * values), cells (4), then 4 bytes a cell (its index in the tile, ascending; in the part of the
 *                 presence the highest bit says that the cell went), values, validity */
#ifndef TESSERA_PATCH_H
#define TESSERA_PATCH_H
#include "storage/tile.h"

#define PATCH_GONE UINT32_C(0x80000000)

struct patch_part {
    uint16_t attr; /* ATTR_PRESENCE: cells that came or went; no values */
    uint8_t width;
    uint32_t n;
    const uint32_t *cells;
    const void *values;
    const uint64_t *valid; /* NULL: none is NULL */
};

struct patch {
    struct patch *next; /* the older one of its list */
    struct patch *more; /* of another list: all of a transaction's, those hidden */
    struct tile_key key;
    bool fills;        /* every cell was EMPTY before */
    bool charged;      /* to the server's budget */
    int64_t hidden_by; /* a committed version that folded it; 0: none */
    size_t n_bytes;
    const void *bytes; /* the record */
    int n_parts;
    struct patch_part *parts;
};

/* One block of memory, for free(). Never fails. key->attr is not looked at. */
struct patch *patch_new(const struct tile_key *key, bool fills, const struct patch_part *parts,
                        int n_parts);
/* The same from a record; key: what was asked for. ERR_CORRUPT, ERR_FORMAT_VERSION. */
enum status patch_parse(struct ctx *c, const void *bytes, size_t n_bytes,
                        const struct tile_key *key, int64_t tile_cells, struct patch **out);
/* One patch, of another version, in place of several of one tile, newest first. */
struct patch *patch_merge(struct patch *const *list, int64_t n, int64_t version);

const struct patch_part *patch_part_of(const struct patch *p, uint16_t attr);
/* Cells [lo, hi) of a tile take what the patch says; values and valid are the whole tile's. */
void patch_presence(const struct patch *p, uint64_t *bits);
void patch_values(const struct patch_part *part, int64_t lo, int64_t hi, void *values,
                  uint64_t *valid);
/* How many cells it holds, of all parts the most. */
int64_t patch_cells(const struct patch *p);

#endif
