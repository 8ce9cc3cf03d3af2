/* What the files of the aggregate operator share: op_aggregate.c (open, produce, close),
 * op_aggregate_dims.c (groups by dimension, or none), op_aggregate_tiles.c (answers from tiles'
 * summaries), op_aggregate_hash.c (groups by value). */
#ifndef TESSERA_OP_AGGREGATE_H
#define TESSERA_OP_AGGREGATE_H
#include "query/agg_internal.h"
#include "query/op.h"
#include "query/pieces.h"

struct aggregate {
    struct op *op;
    struct agg_set set;
    const struct program *program; /* NULL: nothing to evaluate */
    int n_slots;                   /* its columns; those of keys come last */
    struct blocks *blocks;         /* by value: one a key; of those that are no BLOCK nothing */
    int n_workers;
    struct holistic **holistic; /* one a call; NULL where it isn't, or has a leader */
    int *leader; /* of each call: the one whose holistic rows it shares, itself if it has its own */
    bool unique; /* a group has at most one cell */
    struct rowset *result; /* a row a group, in order */
    int n_cols;            /* result's column of each of the plan's columns */
    int *cols;
    int present_col; /* by dimensions: whether the group exists; -1: all do */
};

/* Fill a->result. */
enum status aggregate_dims(struct ctx *c, struct aggregate *a);
enum status aggregate_hash(struct ctx *c, struct aggregate *a);

/* New sets for the holistic calls, whose rows have these keys. */
enum status aggregate_holistic_new(struct ctx *c, struct aggregate *a, const enum type *key_types,
                                   int n_keys);
void aggregate_holistic_free(struct aggregate *a);
/* Results of a block of groups: partial columns (acc_finish's) to final ones. */
enum status aggregate_holistic_results(struct ctx *c, struct aggregate *a, struct column *cols,
                                       int64_t n);
/* ERR_DUPLICATE_CELL; the caller adds what the keys are. */
enum status aggregate_duplicate(struct ctx *c, const struct aggregate *a, const char *keys);

/* ---- groups by dimension ---- */
/* Groups form a box: a dimension a key. A slab of it is accumulated at a time. */
struct dim_groups {
    struct box all; /* a key's groups are [0, n), counted from the first that is wanted */
    struct box slab;
};
/* Over the input dimension's positions [lo, hi): each one's share of the group's number in the
 * slab, -1: outside the slab. */
void dim_shares(const struct aggregate *a, const struct dim_groups *g, int dim, int64_t lo,
                int64_t hi, int32_t *out);
/* What all of them have; -1: not one and the same, or outside the slab. */
int32_t dim_share(const struct aggregate *a, const struct dim_groups *g, int dim, int64_t lo,
                  int64_t hi);

struct dim_sink {
    struct sink sink;
    struct aggregate *a;
    const struct dim_groups *groups;
    struct acc *accs;    /* one a worker; set NULL: not used yet */
    bool planes;         /* may be used */
    atomic_bool refused; /* they don't take some number: all in vain */
};
enum status dim_sink_acc(struct ctx *c, struct dim_sink *s, int worker, struct acc **out);
/* Does the whole input from summaries where it can, reading the rest. *done false: not that kind of
 * plan; nothing happened. */
enum status aggregate_tiles(struct ctx *c, struct dim_sink *s, bool *done);

#endif
