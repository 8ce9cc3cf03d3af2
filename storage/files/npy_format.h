/* What the header of an .npy file says. */
#ifndef TESSERA_NPY_FORMAT_H
#define TESSERA_NPY_FORMAT_H
#include "storage/base/column.h"
#include "storage/box.h"

struct npy_field {
    const char *name;
    enum type type;  /* what it is read as */
    char kind;       /* b i u f M m U S as in NumPy */
    bool swapped;    /* of the other byte order */
    int32_t bytes;   /* of one value */
    int32_t offset;  /* in the record */
    char unit[3];    /* of a date or time: "D", "us" …; "" when generic */
    int64_t n_units; /* [10us] */
};

struct npy_format {
    int n_fields;
    struct npy_field *fields;
    bool structured, fortran;
    int64_t record_bytes;
    int n_dims;
    int64_t shape[MAX_DIMS];
    int64_t data_offset;
};

/* Reads the header of an open file into the arena, and checks that the data is all there.
 * ERR_BAD_COPY_FORMAT, ERR_UNSUPPORTED (objects, complex numbers, nested records). */
struct record_file;
enum status npy_format_read(struct ctx *c, const struct record_file *f, int64_t file_bytes,
                            struct npy_format *out);

/* A type alone, "<f8": the field but for its name and offset. Errors as above. */
enum status npy_dtype(struct ctx *c, const char *path, const char *dtype, struct npy_field *out);

/* ---- npy.c ---- */
struct source;
struct paths;
struct schema;
struct dim;
struct npy_options {
    const struct schema *target; /* what it is loaded into; NULL: nothing */
    const char *member;          /* of archives; NULL: the files themselves */
    const char *tmp_dir;
    const struct npy_format *format; /* of files without a header; shape[0] is found out */
    const struct dim *dims;          /* names and axes, as many as there are; NULL: d0 … from 0 */
    int64_t start;                   /* dims[0]'s first position */
};
enum status npy_open_as(struct ctx *c, const struct paths *paths, const struct npy_options *o,
                        struct source **out);
struct record_file {
    int fd;
    const char *path;
    int64_t data_offset;
    struct zip_member *member; /* in place of fd; NULL: fd */
};
/* Exactly n bytes at an offset. */
enum status record_file_read(struct ctx *c, const struct record_file *f, void *buf, size_t n,
                             int64_t offset);
/* The records of a box, dense in C order; `all` is the file's box, both in the file's order. */
enum status npy_read_records(struct ctx *c, const struct record_file *f, int64_t record_bytes,
                             const struct box *all, const struct box *want, char *out);

/* ---- npy_values.c ---- */
/* Gathers the field of n records, `stride` bytes apart, into packed native values. */
void npy_gather(const struct npy_field *f, const char *records, int64_t stride, int64_t n,
                char *out);
float npy_half(uint16_t h); /* a float16 */
/* U (UCS-4) and S (bytes that must be UTF-8), padded by zeros, from c->scratch. */
enum status npy_texts(struct ctx *c, const char *path, const struct npy_field *f,
                      const char *records, int64_t stride, int64_t n, struct text *out);
/* Any field as a column. */
enum status npy_convert(struct ctx *c, const char *path, const struct npy_field *f,
                        const char *records, int64_t stride, int64_t n, struct column *col);
/* From reversed dimensions (src's box is `box` with its dimensions reversed) to C order. */
void npy_transpose(void *dst, const struct box *box, const void *src, size_t bytes);
enum status npy_to_c_order(struct ctx *c, const struct box *box, struct column *col);

#endif
