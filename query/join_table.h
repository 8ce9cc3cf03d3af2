/* A hash table over rows of one side of a join (join_side.h), in memory from the budget. Read by
 * many workers at once. */
#ifndef TESSERA_JOIN_TABLE_H
#define TESSERA_JOIN_TABLE_H
#include "query/join_side.h"

struct join_table {
    const struct join_side *side;
    int64_t n;
    struct column *cols; /* the side's n_all columns, texts in blocks of the table's */
    uint32_t *slots;     /* number + 1 of a chain's first row, by the hash's upper bits */
    uint32_t *next;      /* number + 1 of the next one, in the rowset's order; 0: the last */
    int shift;
    void **blocks;
    int n_blocks, cap_blocks;
    int64_t block_used;
};

/* How many of the rowset's rows a table within max_bytes takes; at least 1. */
int64_t join_table_rows(const struct rowset *r, int64_t max_bytes);
/* Rows [lo, hi) of the rowset. join_table_free also after an error. */
enum status join_table_load(struct ctx *c, const struct join_side *side, const struct rowset *r,
                            int64_t lo, int64_t hi, struct join_table *t);
void join_table_free(struct join_table *t);
static inline uint32_t join_table_first(const struct join_table *t, uint64_t hash)
{
    return t->slots[t->shift < 64 ? hash >> t->shift : 0];
}
/* No two rows have equal keys. */
bool join_table_unique(const struct join_table *t);
/* Are the hashed keys of row `at` and those of cell i of the probing side's rows equal? */
bool join_table_equal(const struct join_table *t, int64_t at, const struct join_side *probe,
                      const struct column *cols, int64_t i);

#endif
