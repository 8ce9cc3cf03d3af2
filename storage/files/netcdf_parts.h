/* What the NetCDF files share: what a variable's values become, and a dimension's coordinates. */
#ifndef TESSERA_NETCDF_PARTS_H
#define TESSERA_NETCDF_PARTS_H
#include "storage/files/netcdf_client.h"
#include "storage/files/source_parts.h"

#define NC_FILLS 8

/* How the stored values of a variable become a column. */
struct nc_column {
    int var;
    enum nc_kind kind;
    enum type type;
    int64_t text_bytes; /* CHAR: length of the dropped last dimension */
    bool scaled;        /* value = stored × scale + offset */
    double scale, offset;
    int n_fills; /* stored values that mean NULL */
    int64_t int_fills[NC_FILLS];
    double float_fills[NC_FILLS];
    bool nan_is_null;
};

/* ERR_UNSUPPORTED for types that no column can have. */
enum status nc_column_of(struct ctx *c, const char *path, const struct nc_description *d,
                         const struct nc_var *v, struct nc_column *out);
/* Bytes of n stored values. */
size_t nc_column_bytes(const struct nc_column *k, int64_t n);
/* n stored values to a column, from c->scratch; may take over `stored`. Not for strings. */
enum status nc_column_convert(struct ctx *c, const char *path, const struct nc_column *k,
                              void *stored, int64_t n, struct column *out);
/* Bytes that must be UTF-8; else ERR_INVALID_ENCODING. */
enum status nc_check_texts(struct ctx *c, const char *path, const struct text *texts, int64_t n);
/* An attribute's text in the arena, NULL when there is none; made UTF-8 when it is not. */
const char *nc_text_attr(struct ctx *c, const struct nc_var *v, const char *name);
/* A variable's dimensions but for the characters of a text. */
int nc_cell_rank(const struct nc_var *v);

/* The coordinates of one dimension of one file. */
struct nc_coords {
    const char *name; /* folded */
    bool listed;      /* there is a coordinate variable; else 0 … n - 1 */
    bool unlimited;
    enum type type;
    int64_t n;
    void *values; /* in the arena */
    const char *unit, *comment;
};
enum status nc_coords_read(struct ctx *c, struct nc_client *k, const char *path,
                           const struct nc_description *d, int dim, struct nc_coords *out);
/* The variable that holds a dimension's coordinates, or NULL. */
const struct nc_var *nc_coord_var(const struct nc_description *d, int dim);

#endif
