/* Summaries: what is known of a tile without reading it. Kept for each tile and attribute, in
 * blocks of about a thousand tiles. They answer aggregates over whole tiles and prune tiles. */
#ifndef TESSERA_SUMMARY_H
#define TESSERA_SUMMARY_H
#include "storage/base/column.h"
#include "storage/base/fsum.h"

struct summary {
    int64_t n_cells; /* that exist */
    int64_t n_nulls; /* of them NULL */
    int64_t n_nans;
    bool has_range; /* min and max hold: some value is neither NULL nor NaN. Never for text. */
    bool constant;  /* every cell that exists has the same value (NULLs excepted) */
    union {
        int64_t i;
        uint64_t u;
        double d;
    } min, max; /* by the attribute's type: as struct value */
    bool has_sum;
    i128 isum;             /* integers and booleans: exact */
    struct fsum sum, sum2; /* floats: Σx and Σx², reproducible, NaN and infinities flagged */
};

void summary_init(struct summary *s);
/* Of n cells of a column, those with a present bit (NULL: all). */
void summary_add(struct summary *s, const struct column *col, const uint64_t *present, int64_t n);
void summary_merge(struct summary *s, enum type t, const struct summary *other);

#endif
