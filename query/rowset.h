/* A rowset: materialised rows, the result of a sort, a hash aggregate, a distinct, a LIMIT. Columns
 * of rows in segments of up to 64 Ki rows; within its memory allowance in memory, and beyond it
 * while memory is not scarce, else in an unlinked temporary file.
 *
 * Made by one rowset_writer a worker (or one, in order), then sealed and read by position from any
 * thread. Text is copied in. */
#ifndef TESSERA_ROWSET_H
#define TESSERA_ROWSET_H
#include "query/chunk.h"

struct rowset;
enum status rowset_new(struct ctx *c, const enum type *types, int n_cols, const char *tmp_dir,
                       struct rowset **out);
void rowset_free(struct rowset *r); /* NULL allowed */
int rowset_columns(const struct rowset *r);
int64_t rowset_rows(const struct rowset *r);
/* Bytes of a row's texts, on average. */
double rowset_text_bytes(const struct rowset *r);
/* Appends n rows (columns as dense arrays; sel: which, NULL: 0 … n - 1). Thread-safe; rows of one
 * call stay together, in order. */
enum status rowset_append(struct ctx *c, struct rowset *r, const struct column *cols,
                          const int64_t *sel, int64_t n);
/* Rows [lo, hi) into columns from c->scratch. Text refers to the rowset's memory or the scratch.
 * cols: which columns (NULL: all). */
enum status rowset_read(struct ctx *c, const struct rowset *r, int64_t lo, int64_t hi,
                        const int *which, int n_which, struct column *out);
/* The same, but columns may lie in the rowset's own memory: not to be changed, and there until rows
 * are added or it is freed. */
enum status rowset_look(struct ctx *c, const struct rowset *r, int64_t lo, int64_t hi,
                        struct column *out);
/* The first row whose BIGINT in the column, by which rows are sorted, is not below `value`. */
enum status rowset_lower_bound(struct ctx *c, const struct rowset *r, int column, int64_t value,
                               int64_t *row);
/* A new order: sorts by keys (columns with direction), stable, external when larger than memory.
 * limit ≥ 0: only the first so many are kept. */
struct rowset_key {
    int column;
    bool desc, nulls_first;
};
enum status rowset_sort(struct ctx *c, struct rowset *r, const struct rowset_key *keys, int n_keys,
                        int64_t limit, struct rowset **out);

#endif
