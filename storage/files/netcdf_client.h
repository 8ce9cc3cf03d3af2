/* A NetCDF helper process and the description it gives of its file.
 *
 * What comes from the helper is checked like the file itself would be: a damaged or malicious file
 * may have taken it over. A helper that crashes, hangs or talks nonsense is killed, and the call
 * fails with ERR_BAD_COPY_FORMAT. One thread at a time uses a client. */
#ifndef TESSERA_NETCDF_CLIENT_H
#define TESSERA_NETCDF_CLIENT_H
#include "storage/base/ctx.h"
#include "storage/base/types.h"
#include "storage/files/netcdf_protocol.h"

struct nc_client;

struct nc_attr {
    const char *name;
    enum nc_kind kind;
    int64_t n;          /* values; texts have their bytes in `text` */
    const void *values; /* unaligned */
    struct text text;   /* of CHAR and STRING */
};

struct nc_dim {
    const char *name;
    int64_t len;
    bool unlimited;
};

struct nc_var {
    const char *name;
    enum nc_kind kind;
    int id, rank;
    const int *dims;
    const int64_t *chunk; /* 0: not chunked */
    int n_attrs;
    const struct nc_attr *attrs;
};

struct nc_description {
    int n_dims, n_vars;
    const struct nc_dim *dims;
    const struct nc_var *vars;
};

/* Starts a helper for the file. ERR_FILE_MISSING when the helper is not installed. */
enum status nc_client_start(struct ctx *c, const char *path, struct nc_client **out);
void nc_client_stop(struct nc_client *k); /* NULL allowed */
/* The file's dimensions and variables, in the arena. */
enum status nc_client_describe(struct ctx *c, struct nc_client *k, struct nc_description *out);
/* Values of a slab of a variable whose values have a fixed size: exactly n_bytes. */
enum status nc_client_read(struct ctx *c, struct nc_client *k, int var, int rank,
                           const int64_t *start, const int64_t *count, void *out, size_t n_bytes);
/* n strings, from c->scratch. */
enum status nc_client_strings(struct ctx *c, struct nc_client *k, int var, int rank,
                              const int64_t *start, const int64_t *count, int64_t n,
                              struct text *out);
/* Is it of no more use: did a call fail because of the helper? */
bool nc_client_broken(const struct nc_client *k);
size_t nc_kind_bytes(enum nc_kind kind); /* 0 for strings and what is not supported */
const struct nc_attr *nc_var_attr(const struct nc_var *v, const char *name); /* or NULL */

#endif
