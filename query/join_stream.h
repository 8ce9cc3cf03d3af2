/* A join that finds at most one row for a cell goes box by box over the side that it asks for: the
 * other side is a table of unique keys. Nothing is gathered, nothing sorted.
 *
 * Its rows are numbered as the asking side's cells in row-major order; a cell without a match is a
 * row that doesn't exist. */
#ifndef TESSERA_JOIN_STREAM_H
#define TESSERA_JOIN_STREAM_H
#include "query/join_match.h"

struct join_stream {
    struct matching *m;       /* m->build is the table's side */
    struct join_table *table; /* of unique keys */
    int64_t pad;              /* rows before the first cell: boxes then start where tiles do */
};

/* Sets the operator's box and grid. False: too many cells to number. */
bool join_stream_open(struct op *op, struct join_stream *s);
enum status join_stream_produce(struct ctx *c, const struct op *op, const struct join_stream *s,
                                const struct box *want, struct chunk *out);
/* The asking side's box that has all cells of the rows wanted. */
bool join_stream_reach(const struct join_stream *s, const struct box *want, struct box *out);

#endif
