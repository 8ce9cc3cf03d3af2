/* What the readers of file formats share. Others include source.h. */
#ifndef TESSERA_SOURCE_PARTS_H
#define TESSERA_SOURCE_PARTS_H
#include "storage/files/source.h"

/* Where one of several files lies along the first dimension. */
struct source_span {
    int64_t start, length;
    const char *path;
};
typedef struct source_span span_fn(const struct source *s, int file);

/* One file format. `read` is given a box inside the source's bounds and fills every column. Many
 * workers may call it at once. */
struct source_class {
    enum status (*read)(struct ctx *c, struct source *s, const struct box *want, const int *attrs,
                        int n, struct column *cols);
    void (*close)(struct source *s); /* frees s too */
    /* Sets the bits of the cells of a box inside the source's that exist; NULL: all do. */
    enum status (*present)(struct ctx *c, struct source *s, const struct box *want, uint64_t *bits);
    /* Of a source of several files; NULL: it has one. */
    span_fn *span;
};

/* The first member of each format's own struct. The schema is the arena's; dims[].tile is the grid.
 */
struct source {
    const struct source_class *cls;
    struct schema *schema;
    struct box box; /* all positions */
    int64_t grid[MAX_DIMS];
};

struct paths {
    int n;
    const char *const *v;
};

/* A relative pattern starts at the root. */
const char *source_full_pattern(struct ctx *c, const char *pattern, const char *root);
/* The files that a pattern names, sorted; relative names start at the root. ERR_FILE_MISSING. */
enum status source_paths(struct ctx *c, const char *pattern, const char *root, struct paths *out);

/* target: what the file is loaded into; NULL: nothing. */
enum status npy_open(struct ctx *c, const struct paths *paths, const struct schema *target,
                     struct source **out);
enum status npz_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out);
enum status raw_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out);
enum status tile_stream_open(struct ctx *c, const struct paths *paths, struct source **out);
enum status csv_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out);
struct ds_format;
enum status dataset_open(struct ctx *c, const struct ds_format *format, const struct paths *paths,
                         const struct source_options *o, struct source **out);

/* Lower case; anything but letters, digits and '_' becomes '_'; at most 63 bytes; never empty and
 * never starting with a digit. In the arena. */
const char *source_fold_name(struct ctx *c, const char *s, size_t n);
/* Makes the names of all dimensions and attributes differ, by _2, _3 … */
void source_unique_names(struct ctx *c, struct schema *s);
/* A schema with room for dimensions and attributes. ERR_TOO_MANY_COLUMNS. */
enum status source_schema_new(struct ctx *c, const char *path, int64_t n_dims, int64_t n_attrs,
                              struct schema **out);
/* Sets box, grid and dims[].tile from the schema: boxes of about `cells`, long along the last
 * dimensions (or the first, for Fortran order). */
void source_set_grid(struct source *s, int64_t cells, bool first_fastest);
/* Boxes of whole tiles of the target instead, when its dimensions are as many: at least one, and as
 * many more along the dimensions that run fastest as come to about `cells`. */
void source_align_grid(struct source *s, const struct schema *target, int64_t cells,
                       bool first_fastest);

/* As a class's read, for a box inside one file's span. */
typedef enum status read_file_fn(struct ctx *c, struct source *s, int file, const struct box *want,
                                 const int *attrs, int n, struct column *cols);
/* A class's read for files that lie end to end. */
enum status source_read_files(struct ctx *c, struct source *s, int n_files, span_fn *span,
                              read_file_fn *read, const struct box *want, const int *attrs, int n,
                              struct column *cols);

/* Opens a regular file for reading. ERR_FILE_MISSING, ERR_PRIVILEGE, ERR_WRONG_OBJECT. */
enum status file_open_read(struct ctx *c, const char *path, int *fd, int64_t *bytes);
/* Why open() or stat() failed. */
enum status file_cannot_open(struct ctx *c, const char *path, int error);
/* Exactly n bytes at an offset. ERR_BAD_COPY_FORMAT when the file ends before. */
enum status file_read_at(struct ctx *c, int fd, const char *path, void *buf, size_t n,
                         int64_t offset);
/* Are n bytes UTF-8? *bad is the offset of the first byte that is not. */
bool utf8_valid(const char *s, size_t n, size_t *bad);

#endif
