/* COPY: what its options say, and the way out into files. */
#ifndef TESSERA_COPY_H
#define TESSERA_COPY_H
#include "query/session_internal.h"
#include <limits.h>

struct copy_options {
    const char *format; /* "csv", "text", "npy", "netcdf", "zarr" */
    int version;        /* of the format; 0: the usual one */
    bool header_given, header;
    char delimiter, quote, escape;
    const char *null_text;
    enum conflict conflict;
};

/* Defaults filled in; the format by the file's name when none is given (csv then has a header, as
 * read_csv expects one). ERR_SYNTAX, ERR_INVALID_PARAMETER, ERR_UNSUPPORTED. */
enum status copy_options_read(struct ctx *c, const struct ast_stmt *stmt, struct copy_options *out);

/* The opened query's rows to a file or the client. */
enum status copy_out(struct ctx *c, struct run *r, const struct copy_options *o,
                     const struct query *q, struct exec *x, int64_t *n_rows);
/* The same for datasets: zarr and netcdf. */
enum status copy_out_grid(struct ctx *c, struct run *r, const struct copy_options *o,
                          const struct query *q, struct exec *x, int64_t *n_rows);

/* Where a file or a directory is written: under a temporary name (unless it is a device), which
 * closing renames, or removes when `st` is an error. What opening leaves to the caller is to make
 * what `temporary` names. */
struct copy_target {
    char path[PATH_MAX], temporary[PATH_MAX + 16];
    bool whole, is_dir;
};
enum status copy_target_open(struct ctx *c, struct run *r, bool is_dir, struct copy_target *t);
enum status copy_target_close(struct ctx *c, const struct copy_target *t, enum status st);
void copy_remove(const char *path); /* a file, or a directory with all in it */

#endif
