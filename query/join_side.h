/* One side of a join by value: its cells as rows of columns that a hash table, a spill file and the
 * probing of either have in common.
 *
 * A row has the input's columns, extra columns, the keys, their hash and the cell's row-major
 * number. Keys are words of sortkey.h as BIGINTs in their order, texts are texts, so that two keys
 * are equal when words or bytes are. Rows with a NULL or NaN among the keys equal nothing and are
 * kept apart. */
#ifndef TESSERA_JOIN_SIDE_H
#define TESSERA_JOIN_SIDE_H
#include "query/op.h"
#include "query/rowset.h"

struct join_side {
    struct op *in;
    const struct program *program; /* extra columns and keys; NULL: there are none */
    int n_cols, n_extra, n_keys;
    int n_soft; /* last keys that take no part in the hash, and may be NULL */
    int first_key, hash_col, rank_col;
    int n_all;            /* columns of a row */
    enum type *types;     /* of a row's columns */
    enum type *key_types; /* of the key expressions */
};

/* keys and extra are over the input's relation. */
enum status join_side_init(struct ctx *c, struct op *in, struct expr *const *extra, int n_extra,
                           struct expr *const *keys, int n_keys, int n_soft, struct join_side *s);

/* A chunk's cells as rows. From scratch. */
struct side_rows {
    struct column *cols; /* n_all columns over the chunk's cells */
    int64_t *rows;       /* cells that can match */
    int64_t n;
    int64_t *lost; /* cells that exist and cannot */
    int64_t n_lost;
};
enum status join_side_rows(struct ctx *c, struct join_side *s, const struct chunk *ch,
                           struct side_rows *out);

/* Bytes of scratch that its rows take for each cell of a chunk. */
int64_t join_side_bytes(const struct join_side *s);
/* Runs the input and gathers its rows that can match, in any order. lost, unless NULL, is handed
 * the others. */
typedef enum status lost_fn(struct ctx *c, void *self, const struct side_rows *rows);
enum status join_side_gather(struct ctx *c, struct join_side *s, const char *tmp_dir, lost_fn *lost,
                             void *self, struct rowset **out);
/* The word of every NaN. */
uint64_t join_nan_word(void);

#endif
