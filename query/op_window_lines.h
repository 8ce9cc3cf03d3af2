/* Windows by rows of words: what op_window_words.c (cells to words, words to results) and
 * op_window_lines.c (along the axes) share. */
#ifndef TESSERA_OP_WINDOW_LINES_H
#define TESSERA_OP_WINDOW_LINES_H
#include "query/op_window.h"
#include "query/op_window_kernels.h"

/* Words of a cell: a sum's two parts in fixed point (an integer's one, an extreme's key), how many
 * cells count, and how many are NaN, +inf, -inf. All but a key are added up. */
enum { WORD_HIGH, WORD_LOW, WORD_COUNT, WORD_SPECIAL, N_WORDS };
#define SPECIAL_BITS                                                                               \
    20 /* of each of the three counts; more cells than that have windows of states */

/* Cells, or windows of them along some axes: pieces one after the other along dimension d. */
struct piece {
    int64_t lo, hi;      /* positions along d */
    struct box box;      /* that its words lie over */
    const double *x;     /* numbers that are still to be split; NULL: high and low are words */
    int64_t *v[N_WORDS]; /* NULL: all zeros, of COUNT: all ones */
};
struct field {
    int d, n;
    struct piece piece[3];
};

/* Along an axis that is not the innermost (d -1: none) and along the innermost one. */
struct lines {
    const struct window_kernels *k;
    bool extreme;           /* HIGH is a key */
    double scale;           /* of numbers: units of HIGH in 1 */
    struct box out;         /* what comes out; as wide as the fields where no axis is taken */
    const struct field *in; /* extremes: of one piece */
    int d;                  /* the outer axis, */
    struct ranges ranges;   /* and windows along it */
    int n_runs;             /* windows along the innermost dimension; 0: none */
    const struct window_run *runs;
    bool has[N_WORDS];
    /* Takes the words of w cells of out, from pos on. */
    enum status (*emit)(struct ctx *c, void *self, const int64_t *pos, int64_t w,
                        const int64_t *const *words);
    void *self;
    bool inexact; /* set: some number is no multiple of the unit, results are not good */
};
/* Buffers are from c->scratch. */
enum status lines_take(struct ctx *c, struct lines *l);
/* The windows as runs, from c->scratch. */
enum status lines_runs(struct ctx *c, int64_t at, const struct ranges *r, struct lines *l);

#endif
