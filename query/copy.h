/* COPY: what its options say, and the way out into files. */
#ifndef TESSERA_COPY_H
#define TESSERA_COPY_H
#include "query/session_internal.h"
#include <limits.h>

struct copy_options {
    const char *format; /* "csv", "text", "binary", "npy", "npz", "raw", "netcdf", "zarr" */
    int version;        /* of the format; 0: the usual one */
    bool header_given, header;
    char delimiter, quote, escape;
    const char *null_text;
    enum conflict conflict;
    bool new_only;    /* files that were loaded before, as they are, are not again */
    bool skip_errors; /* a file that fails is left out, not all of them */
};

/* Defaults filled in; the format by the file's name when none is given (csv then has a header, as
 * read_csv expects one). ERR_SYNTAX, ERR_INVALID_PARAMETER, ERR_UNSUPPORTED. */
enum status copy_options_read(struct ctx *c, const struct ast_stmt *stmt, struct copy_options *out);

/* The target's columns that the rows have, in their order: those named, or all. */
enum status copy_columns(struct ctx *c, const struct ast_stmt *stmt, const struct schema *target,
                         const char *const **names, int *n);
enum type copy_column_type(const struct schema *target, const char *name);
/* Files that come in together. */
struct copy_files {
    const char *const *names;
    int n;
    const char *changed; /* one of them that was another when it was loaded before; NULL: none */
    int64_t *cells;      /* filled in: how many cells each has; -1: what was loaded of it */
    bool *opened;        /* set when all were opened as one */
};
/* ---- copy_files.c ---- */
/* The files that the statement names. */
enum status copy_from_files(struct ctx *c, struct run *r, const struct copy_options *o,
                            struct array *array, int64_t *n);
/* ---- run_copy.c ---- */
enum status copy_from_source(struct ctx *c, struct run *r, const struct copy_options *o,
                             struct array *array, const struct copy_files *files, int64_t *n);
/* Rows without coordinates cannot tell what has changed. */
enum status copy_refuse_changed(struct ctx *c, const struct copy_files *files, bool numbered);
/* Is the error at hand the statement's or the server's, rather than that of a file? */
bool copy_ends_statement(const struct ctx *c);

struct source_options copy_source_options(const struct copy_options *o);
/* csv, text or binary from the client; binary from files (NULL: from the client). */
enum status copy_from_rows(struct ctx *c, struct run *r, const struct copy_options *o,
                           struct array *array, const struct copy_files *files, int64_t *n);

/* ---- copy_binary.c ---- */
struct binary_parser;
/* columns: attrs are the rows' fields; it must outlive the parser. */
enum status binary_parser_new(struct ctx *c, const struct schema *columns,
                              struct binary_parser **out);
void binary_parser_free(struct binary_parser *p); /* NULL allowed */
/* As csv_parser_feed; *more: call again, without bytes, for rows that are there already. */
enum status binary_parser_feed(struct ctx *c, struct binary_parser *p, const char *bytes, size_t n,
                               bool last, struct column *cols, int64_t *n_rows, bool *more);
void binary_put_header(struct strbuf *out);
void binary_put_count(struct strbuf *out, int n); /* of a row's fields; -1: the end */
enum status binary_put_field(struct ctx *c, const struct column *col, int64_t i,
                             struct strbuf *out);

/* The opened query's rows to a file or the client. */
enum status copy_out(struct ctx *c, struct run *r, const struct copy_options *o,
                     const struct query *q, struct exec *x, int64_t *n_rows);
/* Rows on their way to a file or the client. */
struct copy_sink {
    struct sink sink;
    const struct copy_options *o;
    const struct query *q;
    struct client *cl; /* NULL: to the file */
    int fd;
    struct strbuf out;
    int64_t n_rows;
};
#define FLUSH_BYTES (256 * 1024)
enum status copy_flush(struct ctx *c, struct copy_sink *s);
enum status copy_write_all(struct ctx *c, int fd, const char *s, size_t n);
/* npy and raw; npz. */
enum status copy_out_npy(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x);
enum status copy_out_npz(struct ctx *c, struct run *r, const struct copy_options *o,
                         const struct query *q, struct exec *x, int64_t *n_rows);
/* The same for datasets: zarr and netcdf. */
enum status copy_out_grid(struct ctx *c, struct run *r, const struct copy_options *o,
                          const struct query *q, struct exec *x, int64_t *n_rows);

/* Where a file or a directory is written: under a temporary name (unless it is a device), which
 * closing renames, or removes when `st` is an error. What opening leaves to the caller is to make
 * what `temporary` names. */
enum copy_kind { COPY_AS_STREAM, COPY_AS_FILE, COPY_AS_DIRECTORY };
struct copy_target {
    char path[PATH_MAX], temporary[PATH_MAX + 32];
    bool whole, is_dir;
};
/* A stream may go to a device or a pipe; others are ERR_WRONG_OBJECT there. */
enum status copy_target_open(struct ctx *c, struct run *r, enum copy_kind kind,
                             struct copy_target *t);
enum status copy_target_close(struct ctx *c, const struct copy_target *t, enum status st);
void copy_remove(const char *path); /* a file, or a directory with all in it */

#endif
