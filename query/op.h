/* The one operator interface: ask an operator for a box, get a chunk.
 *
 * A plan node becomes an operator. produce() may be called for many boxes at once from many
 * workers; an operator keeps no state between calls but what open() made. Operators that must see
 * all their input first (aggregate, sort, distinct, pivot, rows, limit in a sub-query) run it
 * through a sink in open() and serve boxes of the result (a rowset, or dense accumulators).
 *
 * Files: exec.c (tree of operators, the driver), op_<kind>.c (one file an operator, or a family),
 * sink.h's sinks. */
#ifndef TESSERA_OP_H
#define TESSERA_OP_H
#include "query/plan.h"

struct op;

struct op_class {
    const char *name;                                  /* as EXPLAIN prints it */
    enum status (*open)(struct ctx *c, struct op *op); /* shape, grid, state; inputs are open */
    enum status (*produce)(struct ctx *c, struct op *op, const struct box *want, struct chunk *out);
    void (*close)(struct op *op); /* may be called after a failed open */
};

struct exec; /* one execution: environment, counters a node */

struct op_stats { /* EXPLAIN ANALYZE */
    atomic_int_least64_t boxes, cells, time_ns;
};

struct op {
    const struct op_class *cls;
    const struct plan *plan;
    struct exec *exec;
    int n_in;
    struct op **in;
    /* set by open(): */
    struct box box;         /* the whole result; open() of row lists finds it out */
    int64_t grid[MAX_DIMS]; /* good extents of a box; boxes start at multiples of it */
    double text_bytes;      /* of a cell's texts, where the operator reads them from a rowset */
    void *state;
    struct op_stats stats;
};

const struct op_class *op_class_of(enum plan_kind k);

/* One execution of a query: runs its sub-queries, then opens the tree. c->pool and c->budget are
 * used throughout. */
enum status exec_open(struct ctx *c, const struct query *q, const struct value *params,
                      int n_params, struct txn *txn, struct exec **out);
void exec_close(struct exec *x); /* NULL allowed */
/* One run of a sub-query's plan: args are its E_OUTERs. From any thread; its memory is its own. */
struct sink;
enum status exec_plan(struct ctx *c, const struct exec *x, const struct plan *p,
                      const struct value *args, int n_args, struct sink *sink);
struct op *exec_root(struct exec *x);
const struct env *exec_env(const struct exec *x);
struct txn *exec_txn(struct exec *x);
/* Memory of `size` zeroed bytes that operators of one tree with the same key share (NULL: nobody
 * shares it); release is called when the last gives it back. While a tree opens or closes. */
enum status exec_share(struct ctx *c, struct exec *x, const void *key, size_t size,
                       void (*release)(void *self), void **out);
void exec_unshare(struct exec *x, void *self);
const char *exec_tmp_dir(const struct exec *x); /* for spilling; from the transaction's db */
/* Actual figures a node, for EXPLAIN ANALYZE: as plan_format with "(boxes=… cells=… time=… ms)". */
void exec_format(struct exec *x, struct strbuf *out);

/* What produce() of a class does, with cancellation, statistics and pruning of empty boxes: the
 * only way to call it. The box must lie inside op->box. */
enum status op_produce(struct ctx *c, struct op *op, const struct box *want, struct chunk *out);

/* ---- the driver ---- */
/* A sink ends a pipeline. consume() is called once for each box that has cells, by many workers at
 * once; seq numbers the boxes in row-major order of the grid (by `order`). */
struct sink {
    enum status (*consume)(struct ctx *c, struct sink *s, int worker, int64_t seq,
                           const struct chunk *chunk);
    bool ordered; /* consume() must be called for seq 0, 1, 2, … (empty boxes too), one at a time,
                     and together they are the result in row-major order: boxes are then slabs that
                     are contiguous in it */
    int64_t cell_bytes;                /* of scratch that consume() takes for a cell of a box */
    atomic_bool done;                  /* set by consume() to stop early: LIMIT */
    const int64_t *tile, *tile_origin; /* unordered: boxes are best whole tiles of these extents,
                                          one of which begins at the origin; NULL: any boxes */
    int64_t room_bytes; /* for cells that wait for the others of their tile */
    const int *order; /* unordered: the dimensions, the one along which boxes follow one another
                         last; NULL: as they are, which is as tiles lie on the disk */
};
/* Runs the pipeline under op over `region` (NULL: all of op->box), cut into boxes of the grid that
 * fit the budget. */
enum status exec_run(struct ctx *c, struct op *op, const struct box *region, struct sink *sink);
/* The box number seq of that run, for sinks that need it: as given in chunk->box. */

#endif
