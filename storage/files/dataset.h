/* A dataset: named dimensions and variables over them with attributes, as NetCDF, HDF5 and Zarr
 * have them; and the one interface that dataset.c reads each of these formats through.
 *
 * What a reader tells is checked like the file itself: it may be damaged or malicious. One thread
 * at a time uses a reader; several may be open on one file. */
#ifndef TESSERA_DATASET_H
#define TESSERA_DATASET_H
#include "storage/base/ctx.h"
#include "storage/base/types.h"
#include "storage/files/dataset_kind.h"

struct ds_attr {
    const char *name;
    enum ds_kind kind;
    int64_t n;          /* values; texts have their bytes in `text` */
    const void *values; /* unaligned */
    struct text text;   /* of CHAR and STRING */
};

struct ds_dim {
    const char *name;
    int64_t len;
    bool unlimited;
};

struct ds_var {
    const char *name;
    enum ds_kind kind;
    int id, rank;
    const int *dims;
    const int64_t *chunk; /* 0: not chunked */
    int n_attrs;
    const struct ds_attr *attrs;
    bool all_written; /* no value means that a cell was never written */
};

struct ds_description {
    int n_dims, n_vars;
    const struct ds_dim *dims;
    const struct ds_var *vars;
    const void *shared; /* what the format's other readers of this path are started with */
};

/* The first member of each format's own struct. */
struct ds_reader {
    const struct ds_format *format;
};

struct ds_format {
    /* shared: of a description of the same path; NULL: none is there yet. c has no arena then. */
    enum status (*start)(struct ctx *c, const char *path, const void *shared,
                         struct ds_reader **out);
    void (*stop)(struct ds_reader *k); /* frees k too */
    /* Dimensions and variables, in the arena. */
    enum status (*describe)(struct ctx *c, struct ds_reader *k, struct ds_description *out);
    /* Values of a slab of a variable whose values have a fixed size: exactly n_bytes. */
    enum status (*read)(struct ctx *c, struct ds_reader *k, int var, int rank, const int64_t *start,
                        const int64_t *count, void *out, size_t n_bytes);
    /* n strings, from c->scratch. */
    enum status (*strings)(struct ctx *c, struct ds_reader *k, int var, int rank,
                           const int64_t *start, const int64_t *count, int64_t n, struct text *out);
    /* Is it of no more use: did a call fail because of the reader? */
    bool (*broken)(const struct ds_reader *k);
    bool is_dir; /* a dataset is a directory */
};

extern const struct ds_format netcdf_format; /* ERR_FILE_MISSING when the helper is not installed */
extern const struct ds_format zarr_format;

size_t ds_kind_bytes(enum ds_kind kind); /* 0 for strings and what is not supported */
const struct ds_attr *ds_var_attr(const struct ds_var *v, const char *name); /* or NULL */

/* What values of a type are stored as. */
enum ds_kind ds_kind_of(enum type t);

#endif
