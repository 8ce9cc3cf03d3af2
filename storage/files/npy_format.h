/* What the header of an .npy file says. */
#ifndef TESSERA_NPY_FORMAT_H
#define TESSERA_NPY_FORMAT_H
#include "storage/base/types.h"
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
enum status npy_format_read(struct ctx *c, int fd, const char *path, int64_t file_bytes,
                            struct npy_format *out);

#endif
