/* A column: values of one type in C order, with a validity bitmap. What tiles decode to, kernels
 * run over, and files give. The memory is the maker's (a scratch as a rule). */
#ifndef TESSERA_COLUMN_H
#define TESSERA_COLUMN_H
#include "storage/base/bits.h"
#include "storage/base/ctx.h"
#include "storage/base/types.h"

struct column {
    enum type type;
    void *values; /* n × type_bytes(type); where a cell is NULL or EMPTY the value is unspecified
                     but readable (texts: a zeroed struct) */
    uint64_t *valid; /* bit i: cell i is not NULL; NULL pointer: none is */
};

/* Room for n values from c->scratch, valid = NULL pointer. */
enum status column_alloc(struct ctx *c, enum type type, int64_t n, struct column *out);
/* A validity bitmap of n bits, all set, from c->scratch, if the column has none. */
enum status column_need_valid(struct ctx *c, struct column *col, int64_t n);
/* n NULLs, the values under them zeroed, from c->scratch. */
enum status column_nulls(struct ctx *c, enum type type, int64_t n, struct column *out);
/* Copies the text of cell i, if it is one, to c->scratch: what it refers to may go before the
 * column does. */
enum status column_keep_text(struct ctx *c, struct column *col, int64_t i);
static inline bool column_is_null(const struct column *col, int64_t i)
{
    return col->valid && !bit_get(col->valid, i);
}

#endif
