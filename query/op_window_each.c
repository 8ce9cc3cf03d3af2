/* Which results have windows whose states are too large to keep one a cell: histograms, and what
 * has to see all values in order? The first are taken window by window. */
#include "query/op_window.h"
#include <string.h>

/* The window of a cell, as a box of the cells that there are. */
struct covered {
    struct ranges ranges[MAX_DIMS]; /* of each axis, over the wanted box */
};

/* False when it has no cell. */
static bool window_of(const struct window_call *k, const struct covered *cv, const struct box *box,
                      const int64_t *pos, const struct box *there, struct box *out)
{
    out->n_dims = box->n_dims;
    for (int d = 0; d < box->n_dims; d++) {
        out->lo[d] = pos[d];
        out->hi[d] = pos[d] + 1;
    }
    for (int i = 0; i < k->n_axes; i++) {
        int d = k->axes[i].dim;
        out->lo[d] = cv->ranges[i].lo[pos[d] - box->lo[d]];
        out->hi[d] = cv->ranges[i].hi[pos[d] - box->lo[d]];
    }
    return box_intersect(out, there, out);
}

static enum status add_window(struct ctx *c, struct acc *acc, const struct agg_input *in,
                              const struct box *window)
{
    int last = window->n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(window, last), n = box_cells(window);
    for (int64_t at = 0; at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(window, at, pos);
        TRY(acc_add_run(c, acc, 0, in, box_index(&in->chunk->box, pos), row));
    }
    return OK;
}

static enum status each_window(struct ctx *c, const struct window_source *s, const struct box *box,
                               const uint64_t *todo, const struct covered *cv, struct acc *acc,
                               struct column *out)
{
    const struct chunk *ch = s->have;
    struct agg_input in;
    int64_t n = box_cells(box);
    if (ch->n_present) TRY(agg_input_make(c, &s->k->set, ch, ch->cols, &s->outer, &in));
    for (int64_t i = bits_next(todo, 0, n); i < n; i = bits_next(todo, i + 1, n)) {
        int64_t pos[MAX_DIMS];
        struct box window;
        if (i % 256 == 0) TRY(check_cancel(c));
        box_position(box, i, pos);
        acc_clear(acc);
        acc_grow(acc, 1);
        if (ch->n_present && window_of(s->k, cv, box, pos, &ch->box, &window))
            TRY(add_window(c, acc, &in, &window));
        TRY(window_finish(c, &s->k->bound, acc_state(acc, 0, 0), out, i));
    }
    return OK;
}

enum status window_each(struct ctx *c, const struct window_source *s, const struct box *box,
                        const uint64_t *todo, struct column *out)
{
    struct covered cv;
    struct acc acc;
    for (int i = 0; i < s->k->n_axes; i++) {
        int d = s->k->axes[i].dim;
        TRY(window_ranges(c, &s->k->axes[i], box->lo[d], box_extent(box, d), &cv.ranges[i]));
    }
    bool done;
    TRY(window_network(c, s, box, todo, cv.ranges, out, &done));
    if (done) return OK;
    if (s->k->bound.holistic) return window_ordered(c, s, box, todo, cv.ranges, out);
    TRY(window_acc(c, s->k, 1, &acc));
    enum status st = each_window(c, s, box, todo, &cv, &acc, out);
    acc_free(&acc);
    return st;
}
