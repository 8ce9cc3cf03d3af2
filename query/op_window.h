/* What the files of the window operator share: op_window.c (open, produce, close),
 * op_window_bounds.c (which positions a window covers), op_window_pad.c (cells past the array's
 * edges), op_window_slide.c (states along an axis), op_window_words.c, op_window_lines.c,
 * op_window_kernels.c (counts, sums and extremes without states), op_window_planes.c (such, made
 * states), op_window_far.c (axes along which windows are longer than boxes), op_window_each.c
 * (window by window), op_window_order.c (quantiles, modes, DISTINCT).
 *
 * Virtual positions are those of the array as EDGE continues it: NEAREST, REFLECT and WRAP map the
 * ones outside to cells inside, with SHRINK and NULL there is nothing outside. Windows are taken
 * axis by axis: a state a cell, merged along the first axis of the window, what comes out along the
 * second, and so on; so a window costs no more when it is longer, and as states merge to the same
 * result in any order, results don't depend on boxes. */
#ifndef TESSERA_OP_WINDOW_H
#define TESSERA_OP_WINDOW_H
#include "query/agg_internal.h"
#include "query/op.h"

/* ---- one axis of a window ---- */
enum bound_kind {
    BOUND_OPEN,  /* the axis's end */
    BOUND_FIXED, /* position k */
    BOUND_SHIFT, /* the cell's own position + k */
    BOUND_EXPR   /* evaluated */
};
struct window_bound {
    enum bound_kind kind;
    int64_t k;
    const struct program *program; /* EXPR */
};
struct window_axis {
    int dim;
    const struct rel *rel; /* the input's */
    const char *name;
    bool by_position, descends; /* descends: by coordinate, bounds in either order */
    int64_t pos;                /* in the statement */
    enum ast_edge edge;
    int64_t edge_lo, edge_hi; /* where the array ends */
    int64_t lo_cell, hi_cell; /* SHRINK, NULL: positions of it that there are cells at */
    struct window_bound lo, hi;
    /* over all cells that the operator gives: */
    int64_t first, last;      /* virtual positions [first, last) that windows touch */
    int64_t longest;          /* positions of the longest window */
    bool monotone;            /* neither end of a window lies before that of the cell before */
    bool from_first, to_last; /* all windows start at first, end at last */
};
/* The windows of the cells at positions at, at + 1, …: [lo, hi) in virtual positions, of no length
 * where nothing is covered. leaves: a byte each, set where the window leaves the array. */
struct ranges {
    int64_t n, *lo, *hi;
    uint8_t *leaves;
};
struct window_place {
    const struct plan *plan;
    const struct env *env;
    struct box in, own; /* cells that the input has, and that are wanted */
};
enum status window_axis_open(struct ctx *c, const struct window_place *at,
                             const struct window_dim *w, enum ast_edge edge,
                             struct window_axis *out);
enum status window_ranges(struct ctx *c, const struct window_axis *a, int64_t at, int64_t n,
                          struct ranges *out);
/* The hull of the ranges; false when none has a length. */
bool ranges_hull(const struct ranges *r, int64_t *lo, int64_t *hi);
/* Does neither end of a window lie before that of the one before? */
bool ranges_monotone(const struct ranges *r);
/* Where a virtual position lies in the array, -1 less than its first position when nowhere. */
int64_t window_source(const struct window_axis *a, int64_t v);

/* ---- one call ---- */
struct far; /* sums of blocks along an axis */
struct window_call {
    struct agg_set set; /* of the one call */
    struct agg_bound bound;
    int n_axes;
    struct window_axis *axes; /* those with `far` first */
    struct far **far;         /* of each axis; NULL: windows are read whole */
    bool each;                /* window by window: no states a cell */
    const struct cell_window *plan;
};
struct windows {
    struct op *op;
    int n, n_slots;
    struct window_call *calls;
    const struct program *program; /* of all calls' arguments; NULL: none has any */
};

/* The cells of a virtual box: chunk's columns are the program's. */
enum status window_pad(struct ctx *c, const struct windows *w, const struct window_call *k,
                       const struct box *box, struct chunk *out);
/* The input's columns over a box that lies inside the input's. */
enum status window_input(struct ctx *c, const struct windows *w, const struct box *box,
                         struct chunk *in, struct chunk *cols);

/* Where a call's cells come from: what was read already, or anew. */
struct window_source {
    const struct windows *w;
    const struct window_call *k;
    const struct chunk *have; /* NULL: nothing yet */
    struct box outer;         /* ranks are row-major numbers in it */
};
/* A state for each cell of the box: of the windows along the first n_axes axes. Freed by
 * acc_free(). */
enum status window_states(struct ctx *c, const struct window_source *s, int n_axes,
                          const struct box *box, struct acc *out);
/* The same where the last of the axes is taken along these ranges, of input states in memory. */
enum status window_states_of(struct ctx *c, const struct window_source *s, int n_axes,
                             const struct box *box, const struct ranges *r, struct acc *out);
/* An accumulator of n empty states. */
enum status window_acc(struct ctx *c, const struct window_call *k, int64_t n, struct acc *out);
/* The virtual box that windows of the box along the first n_axes axes touch; false: nothing. */
bool window_hull(struct ctx *c, const struct window_call *k, int n_axes, const struct box *box,
                 struct box *out);
int64_t window_state_bytes(const struct window_call *k);

/* op_window_planes.c: the same of calls that need no state a cell to be taken, from c->scratch;
 * last: ranges of the last axis. *out NULL: it cannot be. */
struct window_planes;
enum status window_planes(struct ctx *c, const struct window_source *s, int n_axes,
                          const struct box *box, const struct ranges *last,
                          const struct window_planes **out);
void window_planes_state(const struct window_planes *p, int64_t i, void *state);
/* n values of the column as doubles, int64s, uint64s. */
void window_widen(const struct column *col, int64_t at, int64_t n, void *out);

/* op_window_words.c: results of the cells of a box, without states; out lies over out_box. *done
 * false: states have to be taken. */
bool window_has_words(const struct window_call *k);
enum status window_words(struct ctx *c, const struct window_source *s, const struct box *box,
                         struct column *out, const struct box *out_box, bool *done);

/* op_window_far.c */
/* Windows as ends of blocks, blocks [from, to), and starts of blocks. */
struct far_parts {
    struct ranges head, tail;
    int64_t *from, *to;
};
enum status far_cut(struct ctx *c, const struct far *f, const struct ranges *r,
                    struct far_parts *out);
int64_t far_start(const struct far *f, int64_t block); /* its first position */
/* A state for each cell of the box, which has one position along the axis: of blocks [from, to).
 * From c->scratch. */
enum status far_between(struct ctx *c, const struct window_call *k, const struct far *f,
                        int64_t from, int64_t to, const struct box *box, char **states);
/* Is the axis one whose windows are so much longer than the input's boxes? */
bool far_is_worth_it(const struct windows *w, const struct window_axis *a);
/* Sums up blocks along axis i, if they are worth it and memory allows; else *out stays NULL. */
enum status far_open(struct ctx *c, const struct windows *w, struct window_call *k, int i);
void far_free(struct far *f);
enum status far_states(struct ctx *c, const struct window_source *s, int n_axes,
                       const struct box *box, struct acc *out);
int64_t far_block(const struct far *f);

/* op_window_each.c: results of the wanted cells, window by window, over cells that hold them all.
 * todo: which cells are wanted. */
enum status window_each(struct ctx *c, const struct window_source *s, const struct box *box,
                        const uint64_t *todo, struct column *out);
/* The result of a state; texts are kept. */
enum status window_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                          struct column *out, int64_t i);

/* op_window_network.c: quantiles of small windows; ranges of each axis over the box. *done false:
 * they are not such. */
enum status window_network(struct ctx *c, const struct window_source *s, const struct box *box,
                           const uint64_t *todo, const struct ranges *ranges, struct column *out,
                           bool *done);
/* op_window_order.c: the same of quantile, mode and DISTINCT; ranges of each axis over the box. */
enum status window_ordered(struct ctx *c, const struct window_source *s, const struct box *box,
                           const uint64_t *todo, const struct ranges *ranges, struct column *out);

#endif
