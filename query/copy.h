/* COPY: what its options say, and the way out into files. */
#ifndef TESSERA_COPY_H
#define TESSERA_COPY_H
#include "query/session_internal.h"

struct copy_options {
    const char *format; /* "csv", "text", "npy", "netcdf" */
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

#endif
