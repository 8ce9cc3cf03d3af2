/* Writing a dataset: an array's attributes as variables over its dimensions, with coordinates, as
 * Zarr and NetCDF have them.
 *
 * Cells that are EMPTY or NULL hold a fill value. Which one, and whether any is needed, shows only
 * when all cells have been seen: so the values are written as if none were missing, with a
 * candidate in the place of those that are, and what was seen is kept a variable. A format that
 * cannot declare the fill value afterwards is written again. */
#ifndef TESSERA_DATASET_WRITE_H
#define TESSERA_DATASET_WRITE_H
#include "storage/files/dataset.h"
#include "storage/schema.h"

#define DSW_FILLS 4 /* candidates a type */

struct dsw_dim {
    const char *name;
    const struct axis *axis; /* NULL: no coordinates */
    int64_t lo, n;           /* the axis's positions */
    const char *unit, *comment;
};

struct dsw_var {
    const char *name;
    enum type type;
    const char *unit, *comment;
    bool has_fill; /* declared */
    int fill;      /* which candidate stands for a missing value */
    /* What the values written so far are: bit k: candidate k among them. */
    atomic_uint seen;
    atomic_bool missing;
};

struct dsw_def {
    const char *path; /* to be made */
    int version;      /* Zarr: 2 or 3 */
    const char *comment;
    int n_dims, n_vars;
    struct dsw_dim dims[MAX_DIMS];
    int64_t chunk[MAX_DIMS];
    struct dsw_var *vars;
    /* Tile streams: where bytes go, one call at a time. */
    enum status (*emit)(struct ctx *c, void *self, const void *bytes, size_t n);
    void *emit_self;
};

struct ds_writer {
    struct dsw_def *def;
};

struct dsw_format {
    /* Makes the dataset, its dimensions and coordinates. */
    enum status (*create)(struct ctx *c, struct dsw_def *def, struct ds_writer **out);
    /* One chunk of a variable: `box` counts from 0, starts at multiples of def->chunk and is cut at
     * the edges. Many workers at once. */
    enum status (*put)(struct ctx *c, struct ds_writer *w, int var, const struct box *box,
                       const struct column *col, const uint64_t *present);
    enum status (*finish)(struct ctx *c, struct ds_writer *w); /* all is on its way to the disk */
    void (*free)(struct ds_writer *w); /* NULL allowed; what was written stays */
    bool late_fill;                    /* finish() declares fill values */
};

extern const struct dsw_format zarr_write_format, netcdf_write_format;

/* The values as they are stored: a missing one is the variable's candidate. DATE is int32 days,
 * TIMESTAMP int64 microseconds, BOOLEAN a byte, TEXT struct text. From c->scratch. any: is there
 * one that is not missing? */
enum status dsw_values(struct ctx *c, struct dsw_var *v, const struct column *col,
                       const uint64_t *present, int64_t n, void **out, bool *any);
/* The stored value of candidate k. */
struct value dsw_fill(enum type t, int k);
/* The type that a variable is stored with. */
enum type dsw_stored_type(const struct dsw_var *v);
/* The attributes that say what the values mean, and the unit and comment, in the arena. */
int dsw_attrs(struct ctx *c, enum type t, const char *unit, const char *comment,
              const struct dsw_var *v, struct ds_attr *out);
#define DSW_ATTRS 8 /* at most so many */
/* After all chunks: does the dataset hold what it should? False: v's fill was changed, write it
 * again. ERR_DATATYPE_MISMATCH when every candidate occurs. */
enum status dsw_settled(struct ctx *c, struct dsw_def *def, bool late_fill, bool *settled);

#endif
