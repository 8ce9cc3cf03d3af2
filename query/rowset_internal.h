/* What rowset.c and rowset_sort.c share: a rowset with a memory allowance of the maker's choice. */
#ifndef TESSERA_ROWSET_INTERNAL_H
#define TESSERA_ROWSET_INTERNAL_H
#include "query/rowset.h"

enum status rowset_new_within(struct ctx *c, const enum type *types, int n_cols,
                              const char *tmp_dir, int64_t mem_bytes, struct rowset **out);
/* An empty one with the same columns. */
enum status rowset_new_like(struct ctx *c, const struct rowset *other, int64_t mem_bytes,
                            struct rowset **out);
/* Of several that are filled side by side: the first, empty yet, whose memory limit is that of
 * all; and another, with segments of so many bytes at most. */
enum status rowset_share(struct ctx *c, struct rowset *r, int64_t mem_bytes);
enum status rowset_new_beside(struct ctx *c, const struct rowset *first, int64_t segment_bytes,
                              struct rowset **out);
/* Puts all rows of `from` after those of r; they are not copied, and `from` is empty then. */
enum status rowset_adopt(struct ctx *c, struct rowset *r, struct rowset *from);
/* Before its rows are copied: to the file with them, if it holds more than its allowance and there
 * is no room for two copies. */
enum status rowset_make_room(struct ctx *c, struct rowset *r);
/* Forgets all but the first n rows. */
void rowset_cut(struct rowset *r, int64_t n);
enum type rowset_type(const struct rowset *r, int column);
/* Has the column a NULL? May say yes when it has none. */
bool rowset_has_nulls(const struct rowset *r, int column);
const char *rowset_tmp_dir(const struct rowset *r);
/* Bytes of a row in memory, texts at their average length; never 0. */
int64_t rowset_row_bytes(const struct rowset *r);
/* Bytes that one takes at least while rows are appended, and it is large. */
int64_t rowset_open_bytes(const struct rowset *r);
/* What one user of the budget may take for buffers now: a share of what is left. */
int64_t memory_share(const struct ctx *c, int64_t divisor);

#endif
