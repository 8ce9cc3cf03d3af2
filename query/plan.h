/* The plan: read-only algebra between binder and executor. Each node gives a relation (dimensions
 * and columns) made from its inputs'. All in the statement's arena. rewrite.c has one function per
 * rule. */
#ifndef TESSERA_PLAN_H
#define TESSERA_PLAN_H
#include "query/ast.h"
#include "query/block.h"
#include "query/expr.h"
#include "query/linalg.h"
#include "storage/db.h"
#include "storage/files/source.h"

struct agg; /* query/agg.h: an aggregate's overload */

#define PLAN_LIST(X)                                                                               \
    X(P_ONE, "one row") /* no FROM: one cell, no dimension */                                      \
    X(P_SCAN, "scan")   /* a stored array's attributes over a region */                            \
    X(P_FILE, "file scan")                                                                         \
    X(P_SYS, "system view")     /* rows of a sys.… view */                                       \
    X(P_GRID, "grid")           /* dimensions, no column */                                        \
    X(P_VALUES, "values")       /* rows of constant expressions */                                 \
    X(P_SERIES, "series")       /* generate_series: column over rows */                            \
    X(P_SLICE, "slice")         /* narrower region, dropped dimensions, steps */                   \
    X(P_REBASE, "rebase")       /* positions start afresh: strided regions become dense axes */    \
    X(P_TRANSPOSE, "transpose") /* dimensions in another order */                                  \
    X(P_FILTER, "filter")                                                                          \
    X(P_MAP, "map")             /* new columns over the same dimensions */                         \
    X(P_JOIN, "join")           /* on dimensions, with broadcasting */                             \
    X(P_HASH_JOIN, "hash join") /* by value: equalities and a condition */                         \
    X(P_ASOF_JOIN, "asof join") /* each left cell with the latest right row */                     \
    X(P_WINDOW_CELLS, "window") /* aggregates over the cells around each cell */                   \
    X(P_AGGREGATE, "aggregate")                                                                    \
    X(P_DISTINCT, "distinct")                                                                      \
    X(P_SORT, "sort") /* rows; top-k when limit is known */                                        \
    X(P_LIMIT, "limit")                                                                            \
    X(P_CONCAT, "append") /* UNION ALL: rows after rows */                                         \
    X(P_REPEAT, "repeat") /* each row as often as its last column says, without that column */     \
    X(P_REGRID, "regrid") /* the cells over other axes */                                          \
    X(P_FFT, "fft")                                                                                \
    X(P_MATMUL, "matmul")      /* sums of products over dimensions of both inputs */               \
    X(P_LINALG, "linalg")      /* a result of inverse, svd … of whole matrices */                \
    X(P_FETCH, "fetch")        /* values at other cells: v[#i - 1] */                              \
    X(P_FILL, "fill")          /* EMPTY cells get values */                                        \
    X(P_RESHAPE, "reshape")    /* the same cells in C order over other dimensions */               \
    X(P_STACK, "stack")        /* pieces of arrays side by side: concat, roll */                   \
    X(P_PIVOT, "pivot")        /* rows with key columns to an array over them */                   \
    X(P_ROWS, "rows")          /* the cells of an array as a list: one dimension, row */           \
    X(P_WINDOW_ROWS, "window") /* a column for each OVER (…), over the same dimensions */
enum plan_kind {
#define X(id, name) id,
    PLAN_LIST(X)
#undef X
        N_PLAN_KINDS
};

enum regrid_method { REGRID_NEAREST, REGRID_LINEAR, REGRID_CUBIC, REGRID_MEAN };

struct sort_key {
    struct expr *e; /* over the input */
    bool desc, nulls_first;
};

/* One group key. By dimension when `dim` ≥ 0: the key depends on that input dimension alone, so
 * groups are known before the data is read. */
struct group_key {
    struct expr *e;              /* over the input; NULL: a BLOCK */
    int dim;                     /* -1: by value; a BLOCK's has one always */
    bool plain;                  /* e is the dimension itself */
    const struct blocks *blocks; /* BLOCK; not laid: its axis is known only by running, and the keys
                                    go by value: as the first coordinate of the cell's block */
    /* dim ≥ 0: filled by the binder. A plain key has no map: the group is the position itself, and
     * the aggregate's dimension has the input's region. Nor has a BLOCK. Else the aggregate's
     * dimension is [0, n_groups) and a group its position. */
    const int32_t *group_of; /* per position of [lo, hi) of the input's rel.dims[dim]: its group */
    int64_t period; /* not 0: only of [first, first + period), as they come again and again */
    int64_t first;
    int64_t n_groups;
};
/* Of a key with group_of; in: the input's dimension. */
static inline int64_t key_group(const struct group_key *g, const struct rel_dim *in, int64_t pos)
{
    return g->group_of[g->period ? (pos - g->first) % g->period : pos - in->lo];
}

struct agg_order {
    bool desc, nulls_first;
};
struct agg_call {
    const struct agg *agg;
    struct expr **args; /* the last n_order are what ORDER BY says */
    int n_args, n_order;
    const struct agg_order *order; /* one each of those */
    struct expr *filter;           /* NULL: none */
    bool distinct;
    int pos;
};

/* What a join by value gives: pairs that match, and cells of one side, or both, that match nothing;
 * SEMI and ANTI the left cells that match something, or nothing. */
enum hash_join_kind { HASH_INNER, HASH_LEFT, HASH_RIGHT, HASH_FULL, HASH_SEMI, HASH_ANTI };

/* OVER (PARTITION BY … ORDER BY … frame): expressions over the input. */
struct row_window {
    struct expr **partition;
    int n_partition;
    struct sort_key *order;
    int n_order;
    enum frame_unit unit; /* never FRAME_NONE */
    enum frame_bound from, to;
    struct expr *from_offset, *to_offset; /* constant; ROWS and GROUPS: BIGINT. NULL: none */
    enum frame_exclude exclude;
    int pos;
};

#define ROW_FUNCTION_LIST(X)                                                                       \
    X(WF_ROW_NUMBER, "row_number")                                                                 \
    X(WF_RANK, "rank")                                                                             \
    X(WF_DENSE_RANK, "dense_rank")                                                                 \
    X(WF_PERCENT_RANK, "percent_rank")                                                             \
    X(WF_CUME_DIST, "cume_dist")                                                                   \
    X(WF_NTILE, "ntile")                                                                           \
    X(WF_LAG, "lag") /* args: the value, the offset, the default (NULL: none) */                   \
    X(WF_LEAD, "lead")                                                                             \
    X(WF_FIRST_VALUE, "first_value")                                                               \
    X(WF_LAST_VALUE, "last_value")                                                                 \
    X(WF_NTH_VALUE, "nth_value")
enum row_function {
    WF_AGGREGATE,
#define X(id, name) id,
    ROW_FUNCTION_LIST(X)
#undef X
        N_ROW_FUNCTIONS
};

struct row_call {
    enum row_function fn;
    int window;           /* of the plan's windows */
    struct agg_call call; /* agg NULL: its arguments alone count */
    enum type type;       /* of the result */
};

/* A dimension of a window of cells: from lo to hi, both inclusive, in coordinates or positions (#d)
 * as expressions over that dimension alone. */
struct window_dim {
    int dim;
    bool by_position;
    struct expr *lo, *hi; /* NULL: the dimension's first, last cell */
};
struct cell_window { /* dimensions not named stay at the cell */
    struct agg_call call;
    struct window_dim *dims;
    int n_dims;
    enum ast_edge edge;
};

struct join_dim { /* a pair of aligned dimensions */
    int left, right;
    int64_t shift;      /* right position = left position + shift */
    const int64_t *map; /* labelled: index left position - left axis lo, gives right position or -1;
                           NULL: shift */
};

/* Where a fetched value stands along one dimension of its source. */
struct fetch_dim {
    struct expr *e;   /* over in[0]: the coordinate there, or the position; NULL: the cell's own */
    bool by_position; /* e counts from the axis's first cell */
    int dim;          /* e NULL: the dimension of in[0] whose position it is */
    int64_t shift;    /* positions added to that, or to what e gives */
};
struct fetch_point {
    struct fetch_dim *dims; /* one for each of the source's */
};
struct fetch_col {
    int point, col; /* of the source */
};

/* A range of the result's positions along one dimension, and the input that it comes from. */
struct stack_piece {
    int input;
    int64_t lo, hi, shift; /* input position = position + shift */
};

struct plan {
    enum plan_kind kind;
    struct rel rel;
    int n_in;
    struct plan **in;
    int pos;           /* in the statement */
    const char *label; /* for EXPLAIN: the array's or file's name */

    /* SCAN */
    struct array *array;
    int *attrs; /* rel.cols[i] is attribute attrs[i] of the schema */
    struct expr
        *prune; /* a copy of the filter above, over rel: skips tiles by summary; NULL: none */
    /* FILE: label names the files. The executor opens them, and closes them: a plan owns nothing.
     */
    const struct source_options *source_options;
    struct source *opened; /* the caller's; NULL: the operator opens and closes its own */
    int *source_attrs;     /* rel.cols[i] is attribute source_attrs[i] of the source's schema */
    /* SYS */
    int sys_view; /* index of query/sysview.h's list */
    /* VALUES */
    int64_t n_rows;
    struct expr **rows; /* n_rows × rel.n_cols */
    /* SLICE: output dimension d is input dimension dim_of[d]; the input's region is narrowed to
     * `region` */
    int *dim_of;
    /* SLICE: over the input's dimensions; TRANSPOSE: the output's. REBASE: output position
     * rel.dims[d].lo + k is input position region.lo[d] + k × the input's stride. RESHAPE, REGRID,
     * FFT, WINDOW_CELLS: where the input's edges are, however far rules narrow it */
    struct box region;
    struct expr **exprs; /* FILTER: one; MAP, FILL: one per column; SERIES: start, stop, step */
    int n_exprs;
    /* JOIN */
    enum join_kind join;
    struct join_dim *join_dims;
    int n_join_dims;
    struct join_dim *left_join_dims; /* FULL: as join_dims, for the left side: `left` is then the
                                        output's dimension in both, `right` the side's, and maps
                                        start at the output's axis */
    int *right_dims;       /* output dimension left.n_dims + i is right dimension right_dims[i] */
    struct expr *residual; /* LEFT: condition beyond the aligned dimensions, over the join's rel;
                              NULL: none */
    /* HASH_JOIN: pairs of cells for which left_keys[i] = right_keys[i] holds for every i (over
     * in[0] and in[1], each pair of one type; none: all pairs) and `residual`: over the columns of
     * in[0] and then those of in[1], and in[0]'s dimensions. SEMI and ANTI have the relation of
     * in[0], keep its dimensions, and have no residual; the others are a list of rows: the columns
     * of in[0], then those of in[1]. Pairs come in the order of in[0], then in[1]; cells of in[1]
     * alone at the end. */
    enum hash_join_kind hash_join;
    struct expr **left_keys, **right_keys;
    int n_join_keys;
    /* ASOF_JOIN: the relation of in[0] with the columns of in[1]; of in[1]'s rows with equal keys
     * the one whose last right key is nearest, on the side that asof says, to the last left key. */
    enum asof_kind { ASOF_GE, ASOF_GT, ASOF_LE, ASOF_LT } asof; /* left … right */
    bool asof_left; /* cells without a match stay, with NULLs */
    /* AGGREGATE, and the CONCAT of grouping sets, which passes for one */
    struct group_key *keys;
    int n_keys;
    struct agg_call *aggs;
    int n_aggs;
    bool by_dims; /* every key has dim ≥ 0: rel.dims are the keys, rel.cols the aggregates; else one
                     dimension (row), rel.cols the keys, then the aggregates */
    bool unique; /* a bracketed SELECT: two cells in one group are ERR_DUPLICATE_CELL */
    /* WINDOW_CELLS: rel.cols are the input's, then one a window */
    struct cell_window *cell_windows;
    int n_cell_windows;
    /* SORT, LIMIT */
    struct sort_key *sort;
    int n_sort;
    struct expr *limit, *offset; /* constant expressions; NULL: none. SORT's limit: only the first
                                    so many rows are asked for, and it has no offset */
    /* FETCH: the columns of in[0], then values of the source at other cells, NULL where it has
     * none. The source is in[1], or in[0] itself when that is the only input. */
    struct fetch_point *points;
    int n_points;
    struct fetch_col *fetched;
    int n_fetched;
    /* STACK: pieces in order along stack_dim, of inputs with the same columns. */
    int stack_dim;
    struct stack_piece *pieces;
    int n_pieces;
    /* PIVOT: rel.dims come from the first rel.n_dims columns of the input, its rel.cols from the
     * rest. rel.dims[d].axis is &axes[d], which has its type only when rel.dims[d].hi is
     * ROWS_UNKNOWN: open() fills it in, for all nodes above too. Else it is known, from 0. */
    struct axis *axes;
    /* WINDOW_ROWS: the input's columns, then one a call */
    struct row_window *windows;
    int n_windows;
    struct row_call *calls;
    int n_calls;
    /* REGRID: which dimensions have another axis than the input's */
    enum regrid_method regrid;
    bool *regridded;
    /* FFT: column i is part fft_parts[i] (0: real, 1: imaginary) of the transform along fft_dim */
    int fft_dim;
    bool inverse;
    int *fft_parts;
    /* MATMUL: result dimension d is dimension dim_of[d] of `pairs`, a JOIN of the same inputs that
     * never runs and says how they line up. Its other dimensions, which both inputs have, are
     * summed over. Each input has one column, of the result's type. */
    struct plan *pairs;
    /* split > 0: the first dimension of the result is the number of a part, of so many positions,
     * of dimension split_dim of the pairs; dim_of[0] is -1. */
    int64_t split;
    int split_dim;
    bool nulls_spread; /* a NULL makes what it goes into NULL; else it adds nothing */
    /* LINALG: matrix number `result` of those that the function gives of each input's last two
     * dimensions (one: a vector) after n_batch that all have. Inputs have one column, DOUBLE. */
    enum linalg_fn linalg;
    int result, n_batch;
    int64_t first;          /* of singular values and vectors; 0: all */
    const char *labels[2];  /* of the inputs, for errors; NULL: none */
    const void *shared;     /* the same in all nodes of one call; NULL: there is one */
    const unsigned *wanted; /* of the call's results, a bit each; NULL: all */
};

/* What a node's relation says before it has run: a list of rows has one dimension, `row`, name
 * NULL, [0, n), and so have the arrays of P_PIVOT; hi is ROWS_UNKNOWN where only running tells n.
 * An aggregate without keys has no dimension and always one cell; with by_dims a group that no
 * cell went to is EMPTY. */
#define ROWS_UNKNOWN INT64_MAX

/* A bound query: the plan and what its output means. */
struct out_col {
    const char *name;
    enum type type;
    bool is_dim; /* coordinate of a bracketed dimension */
    int index;   /* of the root's rel.dims when is_dim, else of rel.cols */
};
struct query {
    struct plan *root;
    struct out_col *outs;
    int n_outs;
    bool is_array; /* some output is bracketed (or SELECT * of an array): the shape of a stored
                      result */
    int n_subqueries;
    struct subquery **subqueries; /* to be run first, in this order */
    int64_t statement_us;         /* now() */
};

/* Calls fn for the nodes of all expressions of a plan, as expr_walk does. */
void plan_walk(const struct plan *p, bool (*fn)(const struct expr *e, void *self), void *self);
/* How many cells its result has room for; of a list, whose number only running tells, about as
 * many as the largest input. */
double plan_cells(const struct plan *p);
/* The side (0, 1) of a join by value that goes into a table: the one of fewer bytes, as far as the
 * cells that the sides' boxes have room for tell. */
int hash_join_build(const struct plan *p, int64_t left_cells, int64_t right_cells);
/* The rules, applied to a fresh plan: predicate and region push-down, column pruning, summary
 * pruning. off: none (tests). */
enum status plan_rewrite(struct ctx *c, struct query *q, bool off);
/* A copy for one run of a sub-query, with regions narrowed by the values of its E_OUTERs. */
enum status plan_with_args(struct ctx *c, const struct plan *p, const struct value *args, int n,
                           const struct env *env, struct plan **out);
/* One node a line, indented, as EXPLAIN prints it. */
void plan_format(const struct query *q, struct strbuf *out);

#endif
