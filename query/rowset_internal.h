/* What rowset.c and rowset_sort.c share: a rowset with a memory allowance of the maker's choice. */
#ifndef TESSERA_ROWSET_INTERNAL_H
#define TESSERA_ROWSET_INTERNAL_H
#include "query/rowset.h"

enum status rowset_new_within(struct ctx *c, const enum type *types, int n_cols,
                              const char *tmp_dir, int64_t mem_bytes, struct rowset **out);
enum type rowset_type(const struct rowset *r, int column);
/* Has the column a NULL? May say yes when it has none. */
bool rowset_has_nulls(const struct rowset *r, int column);
const char *rowset_tmp_dir(const struct rowset *r);
/* Bytes of a row in memory, texts at their average length; never 0. */
int64_t rowset_row_bytes(const struct rowset *r);
/* What one user of the budget may take for buffers now: a share of what is left. */
int64_t memory_share(const struct ctx *c, int64_t divisor);

#endif
