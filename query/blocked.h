/* Matrices of doubles in blocks, in memory while they fit, else in a spill file.
 *
 * Blocks of all rows and some columns suit factorisations that go column by column (factor.h);
 * blocks of some rows and all columns those of tall matrices (tsqr.h). Who works on a matrix reads
 * and writes parts of it, or, where it is in memory, finds them at blocked_at(). Any thread may, on
 * parts of its own. */
#ifndef TESSERA_BLOCKED_H
#define TESSERA_BLOCKED_H
#include "query/spill.h"

/* Where the matrices of one call go that do not fit. */
struct overflow {
    const char *tmp_dir;
    struct spill *spill; /* NULL: none did */
};
void overflow_close(struct overflow *o);

struct blocked {
    int64_t rows, cols, block_rows, block_cols;
    double *v;           /* blocks one after another, down their columns first; each column-major,
                            columns block_rows apart, zeros past the matrix's edge. NULL: spilled */
    struct spill *spill; /* shared */
    int64_t at;
};

enum place { PLACE_ANY, PLACE_MEMORY };
/* Zeros. PLACE_ANY: in memory if half of what the budget has left takes it; PLACE_MEMORY:
 * ERR_MEMORY when it has no room. */
enum status blocked_new(struct ctx *c, struct overflow *o, int64_t rows, int64_t cols,
                        int64_t block_rows, int64_t block_cols, enum place place,
                        struct blocked *out);
void blocked_free(struct blocked *m); /* one that was never made is allowed */
/* Of one in memory: the element's place; those below it in its block follow. */
double *blocked_at(const struct blocked *m, int64_t row, int64_t col);

/* A part of a matrix, rows [row, row + rows), columns [col, col + cols); and where its elements
 * are: (i, k) of the part at i × row_step + k × col_step, one of which is 1. */
struct part {
    int64_t row, col, rows, cols, row_step, col_step;
};
enum status blocked_read(struct ctx *c, const struct blocked *m, const struct part *p, double *to);
enum status blocked_write(struct ctx *c, const struct blocked *m, const struct part *p,
                          const double *from);

#endif
