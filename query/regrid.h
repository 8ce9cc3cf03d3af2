/* Regridding along one axis: each coordinate of a new axis is made from a span of cells of the old
 * one, with weights. What it does along several axes is the product. */
#ifndef TESSERA_REGRID_H
#define TESSERA_REGRID_H
#include "query/plan.h"

/* Positions [from, from + n) of the old axis, weights[first …]; n 0: outside of it. */
struct span {
    int64_t from, first;
    int32_t n;
};
struct spans {       /* buffers, as long as the new axis; spans_free() also after an error */
    struct span *of; /* of new position lo + i */
    int64_t lo, n;
    double *weights; /* their sum is 1, except of REGRID_MEAN */
    bool by_ends;    /* a span has the weights of its ends alone: all between them have 1 */
};
static inline double span_weight(const struct spans *s, const struct span *x, int64_t k)
{
    if (!s->by_ends) return s->weights[x->first + k];
    return k == 0 ? s->weights[x->first] : k == x->n - 1 ? s->weights[x->first + 1] : 1;
}

/* Spans of the new dimension's positions over the old one's region. Both ascending or descending;
 * ERR_AXIS_MISMATCH when the old axis is not in order. nearest: ties go to the lower position.
 * linear: between the neighbours. cubic: Hermite cubics with slopes from parabolas through three
 * cells, which on a regular axis is cubic convolution (Keys 1981). mean: weights are the parts of
 * the old cells that the new cell covers, a cell reaching half-way to its neighbours. */
enum status regrid_spans(struct ctx *c, enum regrid_method how, const struct rel_dim *from,
                         const struct rel_dim *to, struct spans *out);
void spans_free(struct spans *s);
/* The old positions that new positions [lo, hi) need; false: none. */
bool spans_reach(const struct spans *s, int64_t lo, int64_t hi, int64_t *from, int64_t *to);

#endif
