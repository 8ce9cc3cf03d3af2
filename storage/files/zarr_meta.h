/* What the metadata of Zarr arrays and groups says, versions 2 and 3, and how it is written. */
#ifndef TESSERA_ZARR_META_H
#define TESSERA_ZARR_META_H
#include "storage/base/strbuf.h"
#include "storage/box.h"
#include "storage/files/dataset.h"
#include "storage/files/npy_format.h"

enum zarr_compressor { ZARR_NONE, ZARR_ZSTD, ZARR_DEFLATE /* zlib or gzip */ };

struct zarr_array {
    const char *path, *name; /* its directory; the last part of it */
    int version, rank;
    int64_t shape[MAX_DIMS], chunk[MAX_DIMS];
    const char *dim_names[MAX_DIMS]; /* NULL: has no name */
    char separator;                  /* between a chunk's indexes */
    bool prefix;                     /* keys start with "c" */
    struct npy_field type;           /* kind 'O': texts of any length (vlen-utf8) */
    bool fortran;
    enum zarr_compressor compressor;
    int level;
    int64_t shuffle;       /* bytes of a value of the byte shuffle; 0: none */
    unsigned char fill[8]; /* of a chunk that is not there, native */
    const char *fill_text; /* the same of texts */
    bool fill_is_null;     /* version 2's null: nothing is said of such cells */
    int n_attrs;
    struct ds_attr *attrs;
};

enum zarr_node { ZARR_NOTHING, ZARR_GROUP, ZARR_ARRAY };
/* What a directory is, and the array in it, in the arena. ERR_BAD_COPY_FORMAT for metadata that is
 * damaged; ERR_UNSUPPORTED, naming it, for a codec or type that cannot be read. */
enum status zarr_meta_read(struct ctx *c, const char *dir, enum zarr_node *node,
                           struct zarr_array *out);

/* An array's metadata as text: the file .zarray or zarr.json, and .zattrs (version 2). Of the
 * attributes those of numbers and texts are written. */
void zarr_meta_write(const struct zarr_array *a, struct strbuf *meta, struct strbuf *attrs);
/* A group's: version 2: .zgroup and .zmetadata; version 3: zarr.json. */
void zarr_group_write(int version, const struct zarr_array *arrays, int n, const char *comment,
                      struct strbuf *group, struct strbuf *attrs, struct strbuf *consolidated);

#endif
