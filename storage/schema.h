/* What an array is: its name, dimensions and attributes. One snapshot of it; immutable while anyone
 * reads. */
#ifndef TESSERA_SCHEMA_H
#define TESSERA_SCHEMA_H
#include "storage/axis.h"
#include "storage/base/names.h"

#define MAX_ATTRS 4096
#define TILE_TARGET_BYTES (256 * 1024)

/* A growing list of distinct strings: TEXT attributes store codes into it. Codes are never reused.
 */
struct dict {
    int64_t n;
    const struct text *strings; /* by code */
};

struct dim {
    const char *name;
    struct axis axis;
    int64_t tile;               /* positions a tile covers; the grid starts at position 0 */
    bool serial;                /* cells without a coordinate come after the last */
    const char *unit, *comment; /* NULL: none */
};

struct attr {
    const char *name;
    enum type type;
    uint16_t id; /* stable over renames; from 1 (0 is the presence attribute) */
    bool not_null;
    bool has_default;
    struct value deflt; /* of the attribute's type; NULL value without a DEFAULT */
    bool added_later;   /* tiles older than the attribute lack it: they mean `deflt` */
    uint8_t zstd_level; /* CODEC 'shuffle,zstd(n)'; 0: the engine chooses */
    bool codec_raw;     /* CODEC 'raw' */
    const char *unit, *comment;
    const struct dict *dict; /* TEXT; NULL when still empty */
};

struct schema {
    uint32_t id; /* never reused */
    const char *name;
    int n_dims, n_attrs;
    struct dim *dims;
    struct attr *attrs;
    bool is_table; /* CREATE TABLE: the one dimension is the hidden `row` */
    const char *comment;
};

/* Position of a name among the dimensions (or attributes), -1 when there is none. */
int schema_dim(const struct schema *s, const char *name);
int schema_attr(const struct schema *s, const char *name);
/* May rows come without coordinates, to be numbered? A table, or an array over one SERIAL. */
bool schema_numbers(const struct schema *s);
/* All positions of the snapshot. */
void schema_box(const struct schema *s, struct box *out);
void schema_tile_extents(const struct schema *s, int64_t *extents);
/* Fills dims[].tile where it is 0: tiles of about target_bytes of the widest attribute,
 * near-cubic, stretched along a growing dimension; never longer than a fixed axis. */
void schema_choose_tiles(struct schema *s, int64_t target_bytes);

#endif
