/* For operators whose result is a rowset: gathering the rows of an input, and serving boxes. */
#ifndef TESSERA_OP_ROWSET_H
#define TESSERA_OP_ROWSET_H
#include "query/op.h"
#include "query/rowset.h"

/* The box `want` of a result of shape `rel` whose cells are the rowset's rows, in row-major order
 * of `all`. cols: the rowset's column of each of rel's columns (NULL: the same); present_col: a
 * BOOLEAN column that says whether the cell exists, -1: all do. */
enum status rowset_chunk(struct ctx *c, const struct rowset *r, const struct rel *rel,
                         const struct box *all, const struct box *want, const int *cols,
                         int present_col, struct chunk *out);
#define SERVED_ROWS 16384 /* a good extent for boxes of rows */
/* A list of rows: box and grid of an operator that serves them. */
void op_set_rows(struct op *op, const struct rowset *r);
/* Row-major numbers in `all` of the chunk's cells, into n values. */
void chunk_ranks(const struct chunk *ch, const struct box *all, int64_t *out);
/* The cells that exist, in order, as indexes; *rows NULL when all do. From c->scratch. */
enum status chunk_rows(struct ctx *c, const struct chunk *ch, int64_t **rows);
/* Runs the operator and gathers its cells, in row-major order, with its columns. At most `limit`
 * (negative: all), after the first `offset`. */
enum status rowset_gather(struct ctx *c, struct op *op, int64_t offset, int64_t limit,
                          const char *tmp_dir, struct rowset **out);
/* LIMIT (-1: none) and OFFSET of the operator's plan. ERR_INVALID_LIMIT. In op_limit.c. */
enum status limit_of(struct ctx *c, struct op *op, int64_t *limit, int64_t *offset);

#endif
