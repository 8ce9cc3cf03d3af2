/* A file, or a list of files, as an array: what read_netcdf, read_zarr, read_npy and read_csv give
 * in FROM and what COPY … FROM loads.
 *
 * A source has a schema (dimensions with axes, attributes) and gives any box of itself, or (CSV)
 * its rows in order. Readers never hold a file whole. Untrusted formats (NetCDF, HDF5) are parsed
 * in a helper process without rights. */
#ifndef TESSERA_SOURCE_H
#define TESSERA_SOURCE_H
#include "storage/schema.h"

struct source;

struct source_options {
    const char *const *files; /* these instead of those that the pattern names; n_files 0: not so */
    int n_files;
    const char *root; /* relative names start here */
    const char
        *format; /* "netcdf", "zarr", "npy", "npz", "raw", "csv"; NULL: by the name's ending */
    const char *const *vars; /* variables of NetCDF and Zarr, matched case-insensitively or by
                                folded name; n_vars 0: all that share the first one's dimensions */
    int n_vars;              /* npz: its members */
    const char *tmp_dir;     /* for what has to be inflated; NULL: /tmp */
    /* raw: the type's name and the dimensions; NULL: those of the target */
    const char *dtype;
    int n_dims;
    const struct dim *dims;
    /* CSV */
    bool header_given, header;     /* default: true */
    char delimiter, quote, escape; /* 0: ',' '"' '"' */
    bool text_format;      /* COPY's text format: backslash escapes instead of quotes, tab, \\N */
    const char *null_text; /* NULL: '' unquoted */
    const struct schema *target; /* COPY: types come from here, columns by name (header) or order;
                                    NULL: inferred from the first rows */
    const char *const *columns;
    int n_columns; /* COPY a (x, y): names of the file's columns in order */
};

/* Opens every file that the pattern names (globs, sorted by name; ERR_FILE_MISSING when none).
 * Several files: NetCDF, Zarr: concatenated along the first dimension, which must differ and not
 * overlap, the others equal (ERR_AXIS_MISMATCH). npy: along d0. CSV: row after row. The schema and
 * names live in the arena. */
enum status source_open(struct ctx *c, const char *pattern, const struct source_options *o,
                        struct source **out);
/* What the ending of a file's name says; NULL: nothing. */
const char *source_format_of_name(const char *path);
const struct schema *source_schema(const struct source *s);
/* Good boxes to ask for: extents near the file's own chunks. dims 0 in order. */
void source_grid(const struct source *s, int64_t *extents);
/* As array_read: attributes (indexes) of a box of positions, from c->scratch. Many workers at once.
 * For CSV boxes over `row` are legal too, in any order (an index of row offsets at intervals is
 * kept), but sequential is fast. */
enum status source_read(struct ctx *c, struct source *s, const struct box *want, const int *attrs,
                        int n, struct column *cols, uint64_t **present, int64_t *n_present);
/* Cells that one of its n files has; -1 when that is known only by reading it. */
int64_t source_file_cells(const struct source *s, int n, const char *path);
void source_close(struct source *s); /* NULL allowed */
/* Drops what is kept of files between statements, in memory charged to the server's budget: before
 * that ends. */
void source_forget(void);

/* CSV text to rows for COPY FROM STDIN: the caller feeds bytes as they come. */
struct csv_parser;
enum status csv_parser_new(struct ctx *c, const struct source_options *o,
                           const struct schema *columns, struct csv_parser **out);
/* Parses whole records of the bytes given (a rest is kept inside); is_last: the end. Rows as
 * columns from c->scratch (schema->attrs order). ERR_BAD_COPY_FORMAT ("missing data for column",
 * "extra data after last expected column"), ERR_INVALID_TEXT with the line in the detail. */
enum status csv_parser_feed(struct ctx *c, struct csv_parser *p, const char *bytes, size_t n,
                            bool is_last, struct column *cols, int64_t *n_rows);
void csv_parser_free(struct csv_parser *p);

/* For the writers of COPY … TO. */
/* .npy header (version 1.0, or 2.0 when long; padded to 64) for one dtype, or a structured one
 * (n_fields > 1, or names given). */
void npy_header(struct strbuf *out, const enum type *types, const char *const *names, int n_fields,
                const int64_t *shape, int n_dims, int64_t text_bytes);
/* A CSV field by PostgreSQL's quoting rules. */
void csv_field(struct strbuf *out, const char *s, size_t n, bool is_null, char delimiter,
               char quote, const char *null_text);

#endif
