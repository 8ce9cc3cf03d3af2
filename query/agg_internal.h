/* Aggregates from the inside: bound calls, their states, arrays of states (accumulators), grouping
 * by values, and the holistic ones.
 *
 * A bound call is an agg_call with everything decided: kernels for its argument types, constants,
 * where its arguments stand among the evaluated columns. An accumulator holds one state a group for
 * each call. Kernels never see NULLs: cells are compacted before. A state can be moved with memcpy,
 * texts it points to lie in the accumulator's heap.
 *
 * Holistic calls (median, quantile, mode, string_agg, anything DISTINCT) have a count as their
 * state, and rows (group, values) set aside; see agg_holistic.c. */
#ifndef TESSERA_AGG_INTERNAL_H
#define TESSERA_AGG_INTERNAL_H
#include "query/agg.h"
#include "query/plan.h"
#include "query/rowset.h"
#include "storage/summary.h"

#define AGG_BLOCK 1024 /* cells at a time where something has to be copied or looked up */

enum agg_id {
    AGG_COUNT,
    AGG_SUM,
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_PROD,
    AGG_STDDEV_SAMP,
    AGG_STDDEV_POP,
    AGG_VAR_SAMP,
    AGG_VAR_POP,
    AGG_WEIGHTED_AVG,
    AGG_QUANTILE,
    AGG_MODE,
    AGG_ARGMIN,
    AGG_ARGMAX,
    AGG_FIRST,
    AGG_LAST,
    AGG_ONLY,
    AGG_CORR,
    AGG_COVAR_POP,
    AGG_COVAR_SAMP,
    AGG_REGR_SLOPE,
    AGG_REGR_INTERCEPT,
    AGG_REGR_R2,
    AGG_REGR_COUNT,
    AGG_REGR_AVGX,
    AGG_REGR_AVGY,
    AGG_REGR_SXX,
    AGG_REGR_SYY,
    AGG_REGR_SXY,
    AGG_BIT_AND,
    AGG_BIT_OR,
    AGG_BIT_XOR,
    AGG_HISTOGRAM,
    AGG_PERCENTILE_DISC,
    AGG_APPROX_COUNT,
    AGG_APPROX_QUANTILE,
    AGG_STRING_AGG,
    AGG_ARRAY_AGG
};

enum agg_args { /* what the columns' types must be */
                ARGS_ANY,
                ARGS_NUMERIC,
                ARGS_DOUBLE, /* cast to DOUBLE PRECISION */
                ARGS_BOOL,
                ARGS_INTEGER,
                ARGS_BIGINT, /* integers, cast to BIGINT */
                ARGS_TEXT
};
enum agg_nan { NAN_COUNTS, NAN_SKIPPED /* as NULL */, NAN_AS_ZERO };

struct agg {
    const char *name;
    enum agg_id id;
    int n_cols;   /* arguments that are evaluated a cell */
    int n_consts; /* constants after them */
    enum agg_args args;
    enum agg_nan nan;
    bool within; /* ordered-set: the column is what WITHIN GROUP sorts by */
};

/* ---- bound calls ---- */
struct agg_bound;
struct text_heap { /* texts that states own; freed together */
    void *last;    /* block; each starts with a pointer to the one before */
    char *at;
    int64_t left_bytes, total_bytes;
};
/* What a kernel is handed: n cells without NULLs in the arguments that must have none. */
struct agg_block {
    int64_t n;
    const void *arg[2];
    const uint8_t *null; /* a byte a cell for the value argument of argmin …; NULL: none is */
    const int64_t *rank; /* row-major numbers of the cells, when the call wants them */
};
/* n_rows rows of n values of one argument, `stride` values apart. */
struct agg_rows {
    const void *x;
    int64_t n_rows, stride, n;
};
/* n cells of one argument, cell i for the state number g[i] of n_states, negative: left out.
 * counts: how many cells each state gets. */
struct agg_spread {
    const void *x;
    const int32_t *g;
    int64_t n, n_states;
    const int32_t *counts;
};
struct agg_ops {
    int n_texts; /* text_refs in the state */
    size_t state_bytes, text_at[2];
    bool empty_is_zero; /* an empty state is all zeros */
    void (*init)(const struct agg_bound *k, void *state);
    /* All cells into one state; cell i into states[g[i]]. */
    enum status (*run)(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                       void *state, const struct agg_block *b);
    enum status (*scatter)(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                           void *states, const int32_t *g, const struct agg_block *b);
    /* All cells of the rows into one state; column i into states[g[i]], negative: left out. NULL:
     * run and scatter do. */
    void (*rows)(void *state, const struct agg_rows *r);
    void (*columns)(void *states, const int32_t *g, const struct agg_rows *r);
    bool planes; /* a sum of floats: columns go to planes (fsum_planes.h) where there are some */
    /* Far more cells than states; takes c->scratch. NULL: scatter does. */
    enum status (*spread)(struct ctx *c, void *states, const struct agg_spread *s);
    enum status (*merge)(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                         void *state, const void *other);
    /* A whole tile by its summary; NULL: cannot be. Only when the summary has what it takes. */
    void (*summary)(const struct agg_bound *k, void *state, const struct summary *s);
    /* The result to out's row i. */
    enum status (*finish)(struct ctx *c, const struct agg_bound *k, const void *state,
                          struct column *out, int64_t i);
};
struct agg_bound {
    const struct agg *agg;
    const struct agg_ops *ops;
    size_t state_bytes;
    int n_args;
    enum type types[2]; /* of the evaluated arguments */
    enum type result;
    int slots[2], filter; /* columns of the program's output; filter -1: none */
    int value_arg;        /* argmin, argmax: which argument is returned, and alone may be NULL.
                             Else -1 */
    bool ranks, distinct, holistic;
    bool ordered; /* values are wanted in order: of `order`, then of the cells' row-major numbers */
    int n_order;
    const struct agg_order *order;
    const int *order_slots; /* columns of the program's output */
    const enum type *order_types;
    double q, lo, hi;
    int64_t bins;
    int pos; /* of the call in the statement */
};
/* Decides everything about a call; parts of it lie in c->arena. Its columns become slots *n_slots …
 * of the program, appended to es: at most n_args + 1. */
enum status agg_bind(struct ctx *c, const struct agg_call *call, const struct env *env,
                     struct expr **es, int *n_slots, struct agg_bound *out);
/* The same call without DISTINCT and FILTER: for values that are set apart already. Not of a
 * quantile or mode. */
struct agg_bound agg_bound_of_values(const struct agg_bound *k);
/* A mode of values that are counted already: argmax(count, value), which wants ranks. */
struct agg_bound agg_bound_of_counts(const struct agg_bound *k);
/* Kernels by argument type, each family in its own file. */
const struct agg_ops *agg_count_ops(void);
const struct agg_ops *agg_number_ops(enum agg_id id, enum type t); /* sum avg min max prod */
/* States of theirs made from sums and extremes known already: of n values, or some. */
struct fsum;
void agg_int_sum_state(void *state, int64_t sum, int64_t n);
void agg_float_sum_state(void *state, const struct fsum *sum, int64_t n);
void agg_extreme_state(void *state, uint64_t word, bool any, bool nan);
/* And back. Of an extreme: the number's word, and whether there is any. */
void agg_int_sum_of(const void *state, i128 *sum, int64_t *n);
void agg_float_sum_of(const void *state, struct fsum *sum, int64_t *n);
bool agg_extreme_of(const void *state, int64_t *word, bool *nan);
const struct agg_ops *agg_moment_ops(enum agg_id id);
const struct agg_ops *agg_pick_ops(void); /* argmin … only, min and max of texts, intervals */
const struct agg_ops *agg_histogram_ops(void);
const struct agg_ops *agg_bits_ops(void);
const struct agg_ops *agg_list_ops(enum agg_id id); /* of values in order: string_agg, array_agg */
const struct agg_ops *agg_approx_count_ops(void);
/* approx_quantile: x to its nine leading significant bits. */
double agg_rounded(double x);

static inline void column_put_null(struct column *col, int64_t i)
{
    bit_clear(col->valid, i);
}

struct text_ref { /* a text in a heap; room for cap bytes */
    char *s;
    int64_t len, cap;
};
enum status text_heap_put(struct ctx *c, struct text_heap *h, struct text_ref *ref, const char *s,
                          int64_t len);
/* At the text's end; room doubles. */
enum status text_heap_append(struct ctx *c, struct text_heap *h, struct text_ref *ref,
                             const void *s, int64_t len);
void text_heap_free(struct text_heap *h);

/* ---- a chunk's arguments ---- */
struct agg_set {
    int n;
    struct agg_bound *calls;
    bool ranks; /* some call wants them */
};
struct call_input {
    const struct column *args[2];
    const uint64_t *mask; /* the cells that count; NULL: all */
    bool none;            /* no cell counts */
};
struct agg_input {
    const struct chunk *chunk;
    const struct box *outer; /* ranks are row-major numbers in it */
    const int64_t *ranks;    /* of the chunk's cells, if they are others; NULL: those */
    struct call_input *calls;
    const struct column *cols; /* the program's output */
};
/* Masks of every call over the chunk, from c->scratch. */
enum status agg_input_make(struct ctx *c, const struct agg_set *set, const struct chunk *chunk,
                           const struct column *cols, const struct box *outer,
                           struct agg_input *out);
/* Row-major numbers in the outer box of all cells of the chunk. */
void agg_ranks(const struct agg_input *in, int64_t *out);
/* The set bits of mask (NULL: all) in [at, at + n), n ≤ AGG_BLOCK, as offsets from at, of cells
 * whose group (g NULL: any) is not negative; returns how many. */
int64_t mask_select(const uint64_t *mask, int64_t at, int64_t n, const int32_t *g, int32_t *sel);

/* ---- accumulators ---- */
struct acc {
    const struct agg_set *set;
    int64_t n, cap; /* groups */
    int64_t n_made; /* of them, how many have states: all, but where planes may do without */
    int64_t *cells; /* of each group */
    void **states;  /* set->n arrays */
    struct text_heap heap;
    struct fsum_planes *planes; /* one a call, of those with ops->planes; NULL: there are none */
    int64_t *dense;             /* cells of each group that were added to planes */
    bool refused; /* numbers that planes don't take: all is to be done again without planes */
};
enum status acc_init(struct ctx *c, const struct agg_set *set, struct acc *a);
void acc_free(struct acc *a);
int64_t acc_group_bytes(const struct agg_set *set);
/* Makes room for n groups; *ok false: memory was refused and nothing changed. */
enum status acc_reserve(struct ctx *c, struct acc *a, int64_t n, bool *ok);
/* Forgets its groups; memory stays. */
static inline void acc_clear(struct acc *a)
{
    a->n = a->n_made = 0;
}
void acc_grow(struct acc *a, int64_t n); /* to n empty groups; room was made */
/* The same of an empty one, with planes if some call can use them and memory is not refused. */
void acc_grow_planes(struct ctx *c, struct acc *a, int64_t n);
int64_t acc_plane_bytes(const struct agg_set *set); /* a group */
/* Every group is to have a state: before one is looked at. */
void acc_make_states(struct acc *a);
/* Cells [at, at + n) of the input into one group. */
enum status acc_add_run(struct ctx *c, struct acc *a, int64_t group, const struct agg_input *in,
                        int64_t at, int64_t n);
/* The same for n_rows such runs, `stride` cells apart. */
enum status acc_add_rows(struct ctx *c, struct acc *a, int64_t group, const struct agg_input *in,
                         int64_t at, int64_t n_rows, int64_t stride, int64_t n);
/* Of such rows, column i into group g[i], negative: left out. Only when every call of the set can:
 * acc_takes_columns(). */
bool acc_takes_columns(const struct acc *a, const struct agg_input *in);
void acc_add_columns(struct acc *a, const int32_t *g, const struct agg_input *in, int64_t at,
                     int64_t n_rows, int64_t stride, int64_t n);
/* The chunk as n runs of len cells one after another, run i into group g[i], negative: left out.
 * Under the same condition. */
void acc_add_lines(struct acc *a, const int32_t *g, const struct agg_input *in, int64_t n,
                   int64_t len);
/* Cell at + i into group g[i], negative: left out. */
enum status acc_add_scatter(struct ctx *c, struct acc *a, const int32_t *g,
                            const struct agg_input *in, int64_t at, int64_t n);
enum status acc_merge(struct ctx *c, struct acc *a, int64_t group, const struct acc *b,
                      int64_t from);
/* Planes of accumulators with the same groups: acc_fit_planes() once, then groups [lo, hi). */
void acc_fit_planes(struct acc *a, const struct acc *b);
void acc_merge_planes(struct acc *a, const struct acc *b, int64_t lo, int64_t hi);
/* Counts what is in planes among the cells, when nothing is to come. */
void acc_settle_planes(struct acc *a);
static inline bool acc_in_planes(const struct acc *a, int call)
{
    return a->planes && a->set->calls[call].ops->planes;
}
/* Of such a call: column i (row i) into group g[i], negative: left out. Cells are not counted. */
void acc_planes_columns(struct acc *a, int call, const int32_t *g, const struct agg_rows *r);
void acc_planes_rows(struct acc *a, int call, const int32_t *g, const struct agg_rows *r);
enum status acc_finish_planes(struct ctx *c, const struct acc *a, int call, int64_t lo, int64_t hi,
                              struct column *out);
static inline void *acc_state(const struct acc *a, int call, int64_t group)
{
    return (char *)a->states[call] + (size_t)group * a->set->calls[call].state_bytes;
}
/* Results of groups [lo, hi) of a call into rows 0 … of a column with validity. A holistic call's
 * is its count. */
enum status acc_finish(struct ctx *c, const struct acc *a, int call, int64_t lo, int64_t hi,
                       struct column *out);
enum type agg_partial_type(const struct agg_bound *k); /* of that column */

/* ---- grouping by values ---- */
struct hashagg;
/* mem_bytes: for all workers' tables together. The set may be empty (DISTINCT). */
enum status hashagg_new(struct ctx *c, const enum type *key_types, int n_keys,
                        const struct agg_set *set, int n_workers, int64_t mem_bytes,
                        const char *tmp_dir, struct hashagg **out);
void hashagg_free(struct hashagg *h);
/* The cells of the chunk with a bit in mask (NULL: all); keys are columns over it. in NULL: the set
 * is empty. */
enum status hashagg_add(struct ctx *c, struct hashagg *h, int worker, const struct column *keys,
                        const uint64_t *mask, const struct agg_input *in, int64_t n);
/* Every group once, in no order, some at a time: keys, number of cells (BIGINT), results. fn runs
 * in many workers at once. */
typedef enum status hashagg_fn(struct ctx *c, void *self, int worker, const struct column *cols,
                               int64_t n);
enum status hashagg_each(struct ctx *c, struct hashagg *h, hashagg_fn *fn, void *self);
/* A row a group, sorted by the keys: keys, number of cells (BIGINT), results. */
enum status hashagg_finish(struct ctx *c, struct hashagg *h, struct rowset **out);

/* ---- holistic ---- */
struct holistic;
/* May two calls with the same argument and FILTER share their rows? */
bool holistic_shares(const struct agg_bound *a, const struct agg_bound *b);
/* For n_calls calls that do: each has its own q. */
enum status holistic_new(struct ctx *c, const struct agg_bound *const *calls, int n_calls,
                         const enum type *key_types, int n_keys, int n_workers, int64_t mem_bytes,
                         const char *tmp_dir, struct holistic **out);
void holistic_free(struct holistic *h);
/* Of the chunk's cells, those with a bit in ci's mask. */
enum status holistic_add(struct ctx *c, struct holistic *h, int worker, const struct column *keys,
                         const struct agg_input *in, const struct call_input *ci);
/* After that results are asked for group by group in key order. counts: when the key is an INT32
 * group number, or there is none, how many values each of the groups has; else NULL. */
enum status holistic_finish(struct ctx *c, struct holistic *h, const int64_t *counts,
                            int64_t n_groups);
/* The results of the next group, of so many values, to row i of each call's column. Texts live
 * until the next call with i = 0. */
enum status holistic_next(struct ctx *c, struct holistic *h, int64_t n_values,
                          struct column *const *out, int64_t i);

#endif
