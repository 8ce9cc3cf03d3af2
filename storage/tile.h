/* A tile: a box of one attribute (or of the presence of cells, attribute 0), and the record that it
 * is stored as.
 *
 * A record repeats its key, its sizes and a checksum, so that bytes of another tile, of a torn
 * write or of a flipped bit are ERR_CORRUPT and never data. Numbers are little-endian.
 *
 *   offset  size  field
 *        0     4  magic, "TSTL"
 *        4     2  format version: 1; 2 with a codec above 3 (ERR_FORMAT_VERSION when newer)
 *        6     2  zero
 *        8     8  XXH3-64 of bytes [16, end), seeded with bytes [0, 8) as a number
 *       16     1  codec of the payload (codec.h); 0 when there is none
 *       17     1  bitmap: 0 none, 1 as it is, 2 a zstd frame
 *       18     1  type of the values (types.h); 255 for presence
 *       19     1  width: bytes of a value; 0 for presence
 *       20     1  n_dims
 *       21     1  flags: 1 dense (presence: every cell of the bounding box exists)
 *       22     2  attribute id
 *       24     4  array id
 *       28     4  bitmap bytes
 *       32     8  version
 *       40     8  cells of the tile (full-size at edges)
 *       48     8  cells that exist
 *       56     8  of them NULL
 *       64     8  payload bytes
 *       72    8d  tile coordinates, d = n_dims
 *    72+8d   16d  presence only: lo, hi of the bounding box of cells that exist, tile-relative
 *         …       bitmap: bit i of byte i/8 for each cell of the tile in C order. Values: 0 where a
 *                 cell that exists is NULL. Presence: 1 where a cell exists
 *         …       payload
 *
 * The presence record is there for every tile that has cells or had some: it is what readers look
 * for first. With no cell left it is a tombstone (header only). Values of cells that do not exist
 * or are NULL are not kept. TEXT attributes hold 32-bit codes of a dictionary, BOOLEAN bytes. */
#ifndef TESSERA_TILE_H
#define TESSERA_TILE_H
#include "storage/base/types.h"
#include "storage/box.h"
#include "storage/codec.h"

#define ATTR_PRESENCE 0
#define ATTR_SUMMARY 0x8000                         /* | attribute: blocks of its summaries */
#define TILE_MAX_BYTES (INT64_C(256) * 1024 * 1024) /* of values, decoded */
#define TILE_MAX_CELLS (INT64_C(2) * TILE_MAX_BYTES)

/* Which tile. Keys of one array have one n_dims. */
struct tile_key {
    uint32_t array;
    uint16_t attr;
    int n_dims;
    int64_t coords[MAX_DIMS]; /* tile coordinates: positions divided by the tile's extents */
    int64_t version;          /* ≥ 1 */
};

bool tile_key_equal(const struct tile_key *a, const struct tile_key *b);

/* A tile decoded, or to be encoded. The memory is the maker's. */
struct tile {
    struct tile_key key;
    enum type type;    /* T_NONE for presence */
    int64_t n;         /* cells of the tile */
    int64_t n_present; /* presence: cells that exist; 0: a tombstone */
    int64_t n_nulls;
    void *values;   /* n × tile_width(type); NULL for presence */
    uint64_t *bits; /* values: bit clear where NULL; NULL pointer: no cell is NULL.
                       presence: bit set where a cell exists; NULL pointer: dense */
    bool dense;     /* presence: all cells of [lo, hi) exist, and no others */
    int64_t lo[MAX_DIMS], hi[MAX_DIMS]; /* presence: bounding box, tile-relative; zeros: no cell */
};

/* Bytes of a value in a tile: 4 for TEXT (a code), type_bytes() otherwise; 0 for T_NONE. */
size_t tile_width(enum type t);

/* What codecs take its values for. */
enum codec_values tile_values(enum type t);

/* The record of a tile of values, in c->scratch. Uses key, type, n, values and bits of t. present:
 * which cells exist (NULL: all); where none does, values and bits may be anything. */
enum status tile_encode(struct ctx *c, const struct tile *t, const uint64_t *present,
                        const struct codec_options *o, void **record, size_t *record_bytes);
/* The record of a tile's presence, in c->scratch. present: a bit a cell of the tile (NULL: all
 * exist), whose extents are extents[0 … n_dims). key->attr must be ATTR_PRESENCE. */
enum status tile_encode_presence(struct ctx *c, const struct tile_key *key, const int64_t *extents,
                                 const uint64_t *present, void **record, size_t *record_bytes);

/* A record looked into: its header checked and its checksum verified; points into the bytes. */
struct tile_record {
    struct tile tile; /* values and bits NULL */
    bool has_bits;
    enum codec codec; /* 0 for presence */
    const uint8_t *bitmap, *payload;
    size_t bitmap_bytes, payload_bytes;
    bool bitmap_squeezed;
};

/* ERR_CORRUPT, ERR_FORMAT_VERSION. key: what was asked for; n: cells that a tile has; type: the
 * attribute's (T_NONE for presence). */
enum status tile_open(struct ctx *c, const void *bytes, size_t n_bytes, const struct tile_key *key,
                      enum type type, int64_t n, struct tile_record *out);
/* Memory that the decoded tile needs: values, then bits (when has_bits), each at 64 bytes. */
size_t tile_decoded_bytes(const struct tile_record *r);
/* The most that it is for any tile of n such values. */
size_t tile_most_bytes(enum type type, int64_t n);
/* Decodes into memory of tile_decoded_bytes() (aligned to 64; may be NULL when that is 0), which
 * out's values and bits then point into. */
enum status tile_decode(struct ctx *c, const struct tile_record *r, void *memory, struct tile *out);

/* The presence of a tile's cells as a bitmap of t->n bits. */
void tile_presence_bits(const struct tile *t, const int64_t *extents, uint64_t *bits);
/* Does a presence record (or its beginning, not verified) say that no cell is left? */
bool tile_record_is_tombstone(const void *bytes, size_t n_bytes);
/* Do all cells of the tile exist? */
bool tile_is_full(const struct tile *presence);

#endif
