/* Chunks of Zarr arrays: the bytes of one file, and the values in them. */
#ifndef TESSERA_ZARR_CHUNK_H
#define TESSERA_ZARR_CHUNK_H
#include "storage/files/zarr_meta.h"

/* The path of the chunk with these indexes. */
void zarr_chunk_path(const struct zarr_array *a, const int64_t *index, struct strbuf *out);
/* The file's bytes as the chunk's records, exactly n_bytes. ERR_BAD_COPY_FORMAT. */
enum status zarr_chunk_decode(struct ctx *c, const struct zarr_array *a, const char *path,
                              const void *bytes, size_t n, void *records, size_t n_bytes);
/* Texts of any length: the chunk's cells, in C order, with their bytes behind them in one buffer
 * that the caller frees. */
enum status zarr_chunk_texts(struct ctx *c, const struct zarr_array *a, const char *path,
                             const void *bytes, size_t n, int64_t n_cells, struct text **out);
/* Values of a whole chunk to a file's bytes, from c->scratch. */
enum status zarr_chunk_encode(struct ctx *c, const struct zarr_array *a, const void *values,
                              int64_t n_cells, void **bytes, size_t *n);

#endif
