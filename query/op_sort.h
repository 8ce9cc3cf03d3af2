/* What the files of the sort operator share: op_sort.c (rows to rowsets, open, produce, close),
 * op_sort_tiles.c (the first rows of a stored array, tiles by their summaries). */
#ifndef TESSERA_OP_SORT_H
#define TESSERA_OP_SORT_H
#include "query/op.h"
#include "query/rowset.h"

struct sorting {
    struct sink sink;
    struct op *op;
    const struct program *program; /* computed keys; NULL: none */
    int n_computed;
    int n_types, rank_col;
    enum type *types; /* of the rowset */
    struct rowset_key *keys;
    int n_keys;
    int64_t limit;        /* -1: none */
    struct rowset **tops; /* one a worker, when there is a limit; else tops[0] is everybody's */
    int n_tops;
    atomic_uint_least64_t bound; /* with a limit: rows whose first key's word is greater are not
                                    among those wanted; UINT64_MAX: not known */
};

/* With a limit: consumes the input tile by tile, the ones that may have the first rows first, and
 * leaves out those that can't. *done false: not that kind of input; nothing happened. */
enum status sort_tiles(struct ctx *c, struct sorting *s, bool *done);

#endif
