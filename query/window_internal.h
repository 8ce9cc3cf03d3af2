/* Windows over rows from the inside: the sorted rows, where each row's frame lies in them, and the
 * functions over frames.
 *
 * The rows of a sort (partitions one after the other, each in its order) lie in a rowset that may
 * be larger than memory, so nothing here holds a partition: cursors read it by position, a block at
 * a time, and all bounds of frames only move forward. Operator: op_window_rows.c. */
#ifndef TESSERA_WINDOW_INTERNAL_H
#define TESSERA_WINDOW_INTERNAL_H
#include "query/agg_internal.h"

#define WIN_ROWS 1024 /* rows that are worked on together */

/* ---- sorted rows (window_rows.c) ---- */
struct sorted_rows {
    struct rowset *rows;  /* column 0: BIGINT, the row's number in the input's order */
    struct rowset *marks; /* SMALLINT: the first key in which a row differs from the one before; as
                             many as there are keys: none */
    const struct rowset_key *keys;
    int n_keys;
    int64_t n;
};
/* Fills in the marks of rows in the keys' order; *in_order false: they are not, and there are none.
 */
enum status rows_mark(struct ctx *c, struct sorted_rows *s, bool *in_order);

/* Some columns of the rows around the one last looked at. */
#define CURSOR_COLS 4
struct row_cursor {
    const struct rowset *rows;
    int which[CURSOR_COLS], n_cols;
    int64_t lo, hi; /* the rows at hand */
    struct column cols[CURSOR_COLS];
    struct scratch *scratch;
};
void cursor_init(struct ctx *c, struct row_cursor *cur, const struct rowset *rows, const int *which,
                 int n);
void cursor_free(struct row_cursor *cur);
enum status cursor_load(struct ctx *c, struct row_cursor *cur, int64_t row);
/* *at: where the row is in the cursor's columns. */
static inline enum status cursor_at(struct ctx *c, struct row_cursor *cur, int64_t row, int64_t *at)
{
    if (row < cur->lo || row >= cur->hi) TRY(cursor_load(c, cur, row));
    *at = row - cur->lo;
    return OK;
}

/* ---- frames (window_frame.c) ---- */
/* Of rows first … first + n - 1: their partition, their peers, their frame, as half-open ranges of
 * rows. lo ≤ hi, inside the partition; none of them ever moves back. */
struct frames {
    int64_t first, n;
    int64_t part_lo[WIN_ROWS], part_hi[WIN_ROWS];
    int64_t peer_lo[WIN_ROWS], peer_hi[WIN_ROWS];
    int64_t lo[WIN_ROWS], hi[WIN_ROWS];
};
struct framer;
/* The window's keys are the first of the sort's. */
enum status framer_new(struct ctx *c, const struct row_window *w, const struct env *env,
                       const struct sorted_rows *s, struct framer **out);
void framer_free(struct framer *f);
/* The next n ≤ WIN_ROWS rows. */
enum status framer_next(struct ctx *c, struct framer *f, int64_t n, const struct frames **out);
/* Is every row's frame its whole partition? */
bool window_is_whole(const struct row_window *w);
/* What EXCLUDE leaves of row i's frame: rows [lo[0], hi[0]), the row itself if `self`, rows
 * [lo[1], hi[1]). */
struct frame_parts {
    int64_t lo[2], hi[2];
    bool self;
};
static inline struct frame_parts frame_parts(const struct frames *f, int64_t i,
                                             enum frame_exclude exclude)
{
    int64_t row = f->first + i, from = row, to = row + 1;
    struct frame_parts p = {{f->lo[i], f->hi[i]}, {f->hi[i], f->hi[i]}, false};
    if (exclude == EXCLUDE_NONE) return p;
    if (exclude != EXCLUDE_CURRENT) {
        from = f->peer_lo[i];
        to = f->peer_hi[i];
    }
    if (from < p.lo[0]) from = p.lo[0];
    p.hi[0] = from < f->hi[i] ? from : f->hi[i];
    p.lo[1] = to < p.lo[0] ? p.lo[0] : to < f->hi[i] ? to : f->hi[i];
    p.self = exclude == EXCLUDE_TIES && row >= f->lo[i] && row < f->hi[i];
    return p;
}

/* ---- functions (window_function.c, window_aggregate.c) ---- */
struct row_arg { /* an argument: a column of the sorted rows, or a constant */
    int col;     /* -1: the constant */
    struct value value;
};
struct window_function;
/* args: as call->call's, for an aggregate followed by its filter when it has one. */
enum status function_new(struct ctx *c, const struct row_call *call, const struct row_window *w,
                         const struct env *env, const struct row_arg *args,
                         const struct sorted_rows *s, const char *tmp_dir,
                         struct window_function **out);
void function_free(struct window_function *f);
/* The results of the frames' rows, with validity, from c->scratch. */
enum status function_fill(struct ctx *c, struct window_function *f, const struct frames *frames,
                          struct column *out);

struct window_agg;
enum status window_agg_new(struct ctx *c, const struct row_call *call, const struct row_window *w,
                           const struct env *env, const struct row_arg *args,
                           const struct sorted_rows *s, const char *tmp_dir,
                           struct window_agg **out);
void window_agg_free(struct window_agg *a);
enum status window_agg_fill(struct ctx *c, struct window_agg *a, const struct frames *frames,
                            struct column *out);

/* ---- aggregates over moving frames (window_slide.c) ---- */
/* The arguments of an aggregate along the sorted rows. */
struct arg_cursor {
    struct row_cursor rows;
    struct agg_bound k; /* its slots are the cursor's columns */
    int id_col;         /* of the cursor; -1: not wanted */
    struct chunk chunk; /* the rows at hand */
    struct agg_input input;
    struct call_input in;
    uint8_t *null;
};
/* cols: of the arguments and the filter, in the sorted rows. */
void args_init(struct ctx *c, struct arg_cursor *a, const struct agg_bound *k, const int *cols,
               const struct sorted_rows *s);
void args_free(struct arg_cursor *a);
/* Makes the row one of those at hand, with a->in; *at: its place. */
enum status args_at(struct ctx *c, struct arg_cursor *a, int64_t row, int64_t *at);
/* Rows [lo, hi) into one state. */
enum status args_add(struct ctx *c, struct arg_cursor *a, int64_t lo, int64_t hi,
                     struct text_heap *heap, void *state);
void agg_state_init(const struct agg_bound *k, void *state);

struct slider;
enum status slider_new(struct ctx *c, const struct agg_bound *k, const int *cols,
                       const struct sorted_rows *s, struct slider **out);
void slider_free(struct slider *s);
/* The rows become [lo, hi); neither may move back. Merges them into the state. */
enum status slider_merge(struct ctx *c, struct slider *s, int64_t lo, int64_t hi,
                         struct text_heap *heap, void *state);

/* ---- values in order (window_multiset.c) ---- */
/* Values of a moving frame, each with how often it is there, for medians, quantiles and modes. */
struct multiset;
enum status multiset_new(struct ctx *c, enum type t, struct multiset **out);
void multiset_free(struct multiset *m);
enum status multiset_add(struct ctx *c, struct multiset *m, const struct column *col, int64_t i);
void multiset_remove(struct multiset *m, const struct column *col, int64_t i);
int64_t multiset_count(const struct multiset *m);
/* The value of rank `rank`, from 0, of numbers. */
double multiset_nth(const struct multiset *m, int64_t rank);
/* The least of the most frequent values, to row i; there is one. Texts refer to the set. */
void multiset_mode(const struct multiset *m, struct column *out, int64_t i);

#endif
