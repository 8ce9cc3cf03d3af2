/* Evaluation piece by piece: the reduce step of the step machine. Whoever folds values (an
 * aggregate, a hash table) takes them while they are in the first-level cache, instead of having
 * whole columns of the chunk written to memory and read again.
 *
 * A piece is a contiguous part of the chunk, and a chunk of its own: its box, its presence bits,
 * and as its columns the program's outputs (or, without a program, none). So what takes a chunk
 * with its columns takes pieces just as well, in order, one at a time. A piece, its columns, and
 * all that its taker gets from c->scratch are gone with the next call of pieces_next(). */
#ifndef TESSERA_PIECES_H
#define TESSERA_PIECES_H
#include "query/expr.h"

/* Good numbers of cells of a piece. */
#define PIECE_NEAR 2048  /* for folding cell after cell: a column of it stays in L1 */
#define PIECE_WIDE 32768 /* for folding across rows, which wants many of them: in L2 */

struct pieces;
/* `most`: cells of a piece. p NULL: nothing to evaluate. From c->scratch; the chunk must live as
 * long. */
enum status pieces_open(struct ctx *c, const struct program *p, const struct chunk *in,
                        int64_t most, struct pieces **out);
/* The next piece that has cells; NULL: there is none. */
enum status pieces_next(struct ctx *c, struct pieces *s, const struct chunk **out);

#endif
