/* What the files of dataset.c share: what a variable's values become, and a dimension's
 * coordinates.
 */
#ifndef TESSERA_DATASET_PARTS_H
#define TESSERA_DATASET_PARTS_H
#include "storage/files/dataset.h"
#include "storage/files/source_parts.h"

#define DS_FILLS 8

/* How the stored values of a variable become a column. */
struct ds_column {
    int var;
    enum ds_kind kind;
    enum type type;
    int64_t text_bytes; /* CHAR: length of the dropped last dimension */
    bool scaled;        /* value = stored × scale + offset */
    double scale, offset;
    int n_fills; /* stored values that mean NULL */
    int64_t int_fills[DS_FILLS];
    double float_fills[DS_FILLS];
    bool nan_is_null;
    bool is_bool; /* bytes that are marked as truth values */
    bool is_time; /* T_TIMESTAMP or T_DATE = origin + stored × unit */
    double unit_us;
    int64_t origin_us;
    bool has_text_fill;
    struct text text_fill; /* STRING: means NULL */
};

/* ERR_UNSUPPORTED for types that no column can have. */
enum status ds_column_of(struct ctx *c, const char *path, const struct ds_description *d,
                         const struct ds_var *v, struct ds_column *out);
/* Bytes of n stored values. */
size_t ds_column_bytes(const struct ds_column *k, int64_t n);
/* n stored values to a column, from c->scratch; may take over `stored`. Not for strings. */
enum status ds_column_convert(struct ctx *c, const char *path, const struct ds_column *k,
                              void *stored, int64_t n, struct column *out);
/* The same for n strings, which the column has already: UTF-8 or ERR_INVALID_ENCODING. */
enum status ds_column_texts(struct ctx *c, const char *path, const struct ds_column *k, int64_t n,
                            struct column *col);
/* No calendar, or one that is Gregorian; mixed: the Julian one before 1582. */
bool ds_calendar_is_gregorian(const char *calendar, bool *mixed);
/* An attribute's text in the arena, NULL when there is none; made UTF-8 when it is not. */
const char *ds_text_attr(struct ctx *c, const struct ds_var *v, const char *name);
/* A variable's dimensions but for the characters of a text. */
int ds_cell_rank(const struct ds_var *v);

/* The coordinates of one dimension of one file. */
struct ds_coords {
    const char *name; /* folded */
    bool listed;      /* there is a coordinate variable; else 0 … n - 1 */
    bool unlimited;
    enum type type;
    int64_t n;
    void *values; /* in the arena */
    const char *unit, *comment;
};
enum status ds_coords_read(struct ctx *c, struct ds_reader *k, const char *path,
                           const struct ds_description *d, int dim, struct ds_coords *out);
/* The variable that holds a dimension's coordinates, or NULL. */
const struct ds_var *ds_coord_var(const struct ds_description *d, int dim);

#endif
