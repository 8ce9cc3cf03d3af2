/* BLOCK: which block does each position of a dimension fall into, and where does each begin?
 *
 * Blocks are counted from a first position: so many cells each, or so long a time. */
#ifndef TESSERA_BLOCK_H
#define TESSERA_BLOCK_H
#include "query/chunk.h"
#include "storage/base/value.h"

struct blocks {
    /* what BLOCK says: */
    int64_t cells;         /* > 0: so many cells; else a time */
    struct interval every; /* of which all are positive in sum */
    int pos;               /* in the statement */
    /* once the dimension's axis is known: */
    bool laid;
    int64_t lo, n;
    int64_t size;            /* positions of each, when they are cells */
    const int32_t *block_of; /* times: of each position from lo */
    const int64_t *first_of; /* and the first position of each block */
};
static inline int64_t block_at(const struct blocks *b, int64_t pos)
{
    return b->block_of ? b->block_of[pos - b->lo] : (pos - b->lo) / b->size;
}
static inline int64_t block_first(const struct blocks *b, int64_t block)
{
    return b->block_of ? b->first_of[block] : b->lo + block * b->size;
}
/* Over positions [lo, hi) of an axis whose cells are `stride` apart; in c->arena.
 * ERR_INVALID_PARAMETER, ERR_LIMIT_EXCEEDED. */
enum status blocks_lay(struct ctx *c, const struct axis *axis, int64_t lo, int64_t hi,
                       int64_t stride, struct blocks *b);
/* The axis of the blocks' first coordinates. */
enum status blocks_axis(struct ctx *c, const struct axis *axis, const char *name,
                        const struct blocks *b, struct axis *out);
/* Each cell's block, as its first coordinate: a column over the chunk, from c->scratch. */
enum status blocks_column(struct ctx *c, const struct chunk *ch, int dim, const struct axis *axis,
                          const struct blocks *b, struct column *out);

#endif
