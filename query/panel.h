/* The work on one block of columns; between factor.c, which knows in what order it is done, and
 * panel.c, which knows LAPACK. */
#ifndef TESSERA_PANEL_H
#define TESSERA_PANEL_H
#include "query/factor.h"

#define PIECE_ROWS 4096 /* of a block, that are multiplied at once: pieces begin at multiples */

/* What the columns are brought up to date with: rows [lo, hi) of a block of f->a that is
 * factorised. */
struct panel {
    const struct factor *f;
    int64_t first, n; /* its columns */
    const double *v;  /* element (row, first + k) is v[row - lo + k × step] */
    int64_t lo, hi, step;
    const double *t; /* QR: n × n, columns t_step apart */
    int64_t t_step;
};

/* Columns that are brought up to date: a block's, or a part of it. */
struct target {
    double *v; /* element (row, k) is v[row + k × step] */
    int64_t step, first, n;
    double *side; /* panel_side() of memory, kept from one pass and part of the panel to the next */
};
size_t panel_side(int64_t panel_cols, int64_t target_cols); /* bytes */

int sweep_passes(enum sweep sweep); /* times that the panel's rows are gone through */
bool sweep_is_upward(enum sweep s); /* from the last block to the first */
bool sweep_reaches(const struct panel *p, enum sweep s, int64_t first, int64_t n);
/* Rows of a block that a sweep needs. */
void sweep_rows(const struct panel *p, enum sweep s, int64_t *lo, int64_t *hi);
/* Parts of a panel come in order, the one with its diagonal first, each of whole pieces (but where
 * the sweep's rows begin and end). Takes scratch. */
enum status panel_apply(struct ctx *c, const struct panel *p, enum sweep s, int pass,
                        struct target *t);

/* Factorises a block: columns [first, first + n) of f->a, whose rows from 0 on are at v; the first
 * `steps` of them give the panel, the others are brought up to date. t: QR, of n × n. bad: as
 * f->bad. */
enum status panel_factor(struct ctx *c, struct factor *f, int64_t first, int64_t n, double *v,
                         int64_t step, double *t, int64_t t_step);

#endif
