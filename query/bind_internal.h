/* What the files of the binder share: names in scope, one function per question about the tree.
 *
 * bind.c holds the entry points and what is constant, bind_scope.c names, bind_from.c and
 * bind_source.c FROM items, bind_slice.c brackets, bind_cell.c values at other cells, bind_join*.c
 * joins, bind_expr.c and bind_call.c expressions, bind_select.c queries, bind_group.c groups,
 * bind_sets.c sets of them, bind_agg.c aggregates, bind_shape.c what brackets in SELECT make of a
 * result, bind_subquery.c, bind_member.c and decorrelate.c sub-queries, bind_array*.c functions of
 * arrays, bind_window*.c windows, bind_dml.c, bind_change.c and bind_ddl.c the statements that
 * change something. */
#ifndef TESSERA_BIND_INTERNAL_H
#define TESSERA_BIND_INTERNAL_H
#include "query/agg.h"
#include "query/bind.h"

/* ---- names ---- */
struct scope_col {
    const char *name; /* NULL: the order of a list, that has no name */
    int item;
    bool is_dim; /* E_DIM of the scope's plan, else E_COL */
    int index;
    enum type type;
    bool unqualified; /* found without the item's name too; not so the right side of USING */
    bool in_star;     /* stands in `*` */
    bool paired;      /* a dimension of a join's right side that is one of the left's */
    bool merged;      /* USING's: one column of two */
    int position;     /* 1 + the column that `#` of it means; 0: E_POS of the dimension does */
};

/* What names mean: the columns of some FROM items, all over one plan. */
struct whole_dim {
    int dim;    /* of the scope's plan; -1: dropped */
    int64_t at; /* where it was cut, when dropped */
};

struct scope {
    const struct scope *outer; /* of the query around this one; NULL: none */
    struct plan *plan;         /* NULL: no FROM */
    int n_items, n_cols;
    const char **items; /* names; NULL: has none */
    struct scope_col *cols;
    const struct ast_from **froms; /* of items: what each was bound from; NULL: none */
    struct fetches *fetches;       /* where values at other cells go; NULL: none may stand here */
    struct fetches *group_fetches; /* those whose cell the groups' keys tell: over the groups */
    const struct whole_dim *whole; /* the dimensions before a slice that dropped some; NULL: all
                                      that there were are plan's */
    int n_whole;
};

struct cte { /* WITH, seen from where it may be named */
    struct cte *next;
    const struct ast_cte *ast;
    const struct scope *outer; /* of the query that it stands before */
    bool used;
    unsigned results; /* of a function of matrices: those that are named, a bit each */
};

/* A sub-query being bound, and what it takes from the queries around it. */
struct expr_place;
struct correlation {
    struct correlation *up;         /* of the sub-query that it stands in; NULL: none */
    const struct expr_place *place; /* where it stands */
    struct expr **args;             /* over that place; E_OUTER i is args[i] */
    int n_args;
};

/* One for a whole statement, views and sub-queries included. */
struct bind_shared {
    struct subquery **subqueries;
    int n_subqueries;
    struct expr **params; /* the one node of each parameter whose value is not known; or NULL */
    int n_params;
    bool no_subqueries; /* a definition's constant has none */
    int n_given;        /* parameters that the client has given values */
    int n_expanded;     /* nodes of macros, and views and WITH queries, written out so far */
};

struct binder {
    struct ctx *c;
    struct bind_env *env;
    struct bind_shared *shared;
    struct cte *ctes;
    struct correlation *corr; /* NULL: the statement itself */
    int fixed_pos; /* ≥ 0: where every error is, as the text being bound is not the statement's */
    int depth;     /* views in views */
};

static inline int place(const struct binder *b, int pos)
{
    return b->fixed_pos >= 0 ? b->fixed_pos : pos;
}

void binder_init(struct binder *b, struct ctx *c, struct bind_env *env);
/* Reads back what is known of parameters, and hands over the sub-queries. */
enum status binder_finish(struct binder *b, struct query *q);
/* ERR_UNSUPPORTED "<what> not available yet", what with its verb: "windows (OVER) are". */
enum status not_yet(const struct binder *b, int pos, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* bind_scope.c */
/* The column that a name of one, two or three parts means, and the scope, s or one around it, that
 * has it. ERR_UNDEFINED_COLUMN, ERR_AMBIGUOUS_…, ERR_UNDEFINED_TABLE. */
enum status scope_find(struct binder *b, const struct scope *s, const struct ast_name *name,
                       const struct scope **in, const struct scope_col **out);
/* The same of s alone. */
enum status scope_find_here(struct binder *b, const struct scope *s, const struct ast_name *name,
                            const struct scope_col **out);
/* The item of that name, -1 when there is none. */
int scope_item(const struct scope *s, const char *name);
struct expr *scope_ref(struct binder *b, const struct scope_col *col, int pos);
/* "item.column" of a reference over the scope's plan, for messages. */
const char *scope_name_of(struct ctx *c, const struct scope *s, const struct expr *ref);
/* A scope of one item without columns; scope_add appends one. */
void scope_init(struct binder *b, struct scope *s, struct plan *plan, const char *item,
                int max_cols);
struct scope_col *scope_add(struct scope *s, const char *name, bool is_dim, int index,
                            enum type type);

/* ---- values at other cells ---- */
/* The accesses v[…] of one SELECT: columns after those of its FROM, numbered as they are met. */
struct fetched {
    int item, col; /* FROM item, and the column of its plan */
    int level;     /* 0, or more than that of every access that its bracket makes */
    struct fetch_dim *dims;
    int n_dims;
    const char *name;
    enum type type;
};
struct fetches {
    int first; /* number of the first one's column */
    int n;
    struct fetched *v;
    bool done; /* the columns are there: no more may be bound */
    /* What must hold for an access to be made, WHERE and the branches of a CASE that it stands in:
     * all of them come later, so a bracket that may fail asks it first. NULL: nothing. */
    struct expr *guard;
};
/* Accesses may stand in expressions over the scope from now on. */
void allow_fetches(struct scope *s, struct fetches *f);
struct expr_place;
/* v[…] */
enum status bind_cell(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                      struct expr **out);
/* Of a CASE: where accesses in it go, NULL if it has none; while its branches are bound the guard
 * also says that the condition is true, or is not. */
struct fetches *branch_fetches(const struct expr_place *in, const struct ast_expr *e);
enum status guard_fetches(struct binder *b, struct fetches *f, struct expr *when, bool taken);
/* Adds their columns to the plan, which gives what FROM does. None may be bound afterwards. */
enum status add_fetches(struct binder *b, struct scope *s, struct plan **plan);
/* Is it the column of an access? And over the groups: ERR_GROUPING unless their keys tell where it
 * is. add_group_fetches() then adds those columns to the groups' plan. */
bool is_fetched(const struct scope *s, const struct expr *e);
enum status fetched_over_groups(struct binder *b, const struct scope *s, const struct plan *agg,
                                const struct expr *e, struct expr **out);
enum status add_group_fetches(struct binder *b, struct scope *s, struct plan **agg);

/* ---- constants ---- */
enum status bind_constant(struct binder *b, const struct ast_expr *e, const char *clause,
                          struct expr **out);
/* The value of a constant expression; *known false: it takes a parameter whose value is not known
 * yet. A parameter of unknown type that stands alone becomes one of type `want`. */
enum status bind_value(struct binder *b, const struct ast_expr *e, const char *clause,
                       enum type want, struct value *out, bool *known);
struct env binder_env(const struct binder *b);

/* ---- expressions ---- */
#define AGG_BASE (1 << 24)     /* E_COL of index AGG_BASE + i stands for the i-th aggregate */
#define GROUPING_REF (1 << 25) /* E_COL of this index stands for GROUPING() of its args */
struct agg_list {
    int n;
    struct agg_call *calls;
    enum type *types;
    bool grouping; /* GROUPING() stands somewhere */
};

/* A window function's call. Its expressions are over the windows' input: the relation that WHERE
 * and GROUP BY leave, once windows_over_groups() has seen them. */
#define WIN_BASE (1 << 23) /* E_COL of index WIN_BASE + i stands for the i-th; below AGG_BASE */
struct win_call {
    const char *function;          /* its name; an aggregate when call.agg is there */
    struct agg_call call;          /* arguments and FILTER; agg NULL: row_number, lag … */
    enum type type;                /* of the result */
    const struct ast_window *over; /* without a name; by_cells: its axes are not bound yet */
    struct expr **partition;       /* by rows */
    int n_partition;
    struct sort_key *order;
    int n_order;
    struct expr *from, *to; /* the frame's offsets; NULL: none */
};
struct win_list {
    int n;
    struct win_call *calls;
    int n_defs; /* WINDOW w AS … */
    const struct ast_window_def *defs;
};
struct expr_place {
    const struct scope *scope;
    const char *clause;    /* for messages: "WHERE" */
    struct agg_list *aggs; /* NULL: aggregates are not allowed */
    bool in_agg;           /* inside an aggregate's argument */
    struct win_list *wins; /* NULL: windows are not allowed */
    bool in_win;           /* inside a window function's call */
    bool truth;            /* a condition: NULL is as good as false */
};
enum status bind_expr(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                      struct expr **out);
/* A condition; clause names it. */
enum status bind_condition(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out);
enum status bind_call(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                      struct expr **out);
/* Rows of values (bind_row.c): comparisons, IS DISTINCT FROM; IN a list; IS NULL. */
enum status bind_row_comparison(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out);
enum status bind_row_in(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                        struct expr **out);
enum status bind_row_null(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                          struct expr **out);
/* What the result is for: rows in order; an array (a sub-query), which has no order but the cells'
 * own; what is stored: an array, or without brackets rows in order; or cells in any form. */
enum want { WANT_ROWS, WANT_ARRAY, WANT_STORED, WANT_CELLS };
/* ---- sub-queries (bind_subquery.c, bind_member.c) ---- */
/* (SELECT …) and EXISTS. */
enum status bind_subquery_expr(struct binder *b, const struct expr_place *in,
                               const struct ast_expr *e, struct expr **out);
enum status bind_aggregate(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out);
/* An aggregate's overload, arguments and FILTER, bound inside `inside`. */
enum status bind_agg_call(struct binder *b, struct expr_place *inside, const struct ast_expr *e,
                          struct agg_call *call, enum type *t);
/* (SELECT a, b, …) with n columns, one expression each. */
enum status bind_subquery_row(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e, int n, struct expr **out);
/* IN (SELECT …), and x op ANY|ALL (SELECT …). */
enum status bind_in_subquery(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out);
enum status bind_any_subquery(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e, struct expr **out);
/* ARRAY(SELECT …). */
enum status bind_array_subquery(struct binder *b, const struct expr_place *in,
                                const struct ast_expr *e, struct expr **out);
/* x op ANY|ALL (array) (bind_any.c). */
enum status bind_any_array(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                           struct expr **out);
/* Binds the query of a sub-query that stands at the place; k says what it takes from there. */
enum status bind_inner(struct binder *b, const struct expr_place *in, const struct ast_select *s,
                       enum want want, struct correlation *k, struct query *q);
/* What the sub-query being bound knows an expression over an outer scope as: an E_OUTER. */
struct expr *outer_ref(struct binder *b, const struct scope *s, struct expr *e);
/* An aggregate whose arguments are all of the query around belongs to that. */
enum status bind_outer_aggregate(struct binder *b, const struct expr_place *in,
                                 const struct ast_expr *e, struct expr **out, bool *done);
/* Hands a bound sub-query over: n of its columns as expressions (EXISTS: one). */
enum status add_subquery(struct binder *b, const struct correlation *k, const struct query *q,
                         bool exists, int n, struct expr **out);

/* decorrelate.c: rows that the query around asks for by value become one table by key. Changes
 * *sq, and gives what is looked up, over the place that the args are over. */
bool decorrelate(struct ctx *c, struct subquery *sq, struct expr *const *args,
                 struct expr ***probes, int *n_probes);
/* e with arg i for each E_OUTER i, and col_of(index) for each E_COL (NULL: kept). */
struct expr *expr_outward(struct ctx *c, const struct expr *e, struct expr *const *args,
                          struct expr *const *cols);
bool expr_has_outer(const struct expr *e);
/* As PostgreSQL names the column of a target without AS. */
const char *output_name(const struct ast_expr *e);
bool plain_name(const struct ast_expr *e); /* an unqualified name */

/* ---- FROM ---- */
enum status bind_from_list(struct binder *b, const struct ast_froms *from,
                           const struct scope *outer, struct scope *out);
/* The same under WHERE: its equalities between items become joins; *rest (NULL: nothing) is what is
 * left to filter by. */
enum status bind_from_where(struct binder *b, const struct ast_froms *from,
                            const struct ast_expr *where, const struct scope *outer,
                            struct scope *out, const struct ast_expr **rest);
enum status bind_from(struct binder *b, const struct ast_from *f, const struct scope *outer,
                      struct scope *out);
enum status bind_from_function(struct binder *b, const struct ast_from *f, struct scope *out);
bool stands_in_from(const char *name); /* a source or array function, not one of values */
enum { MAX_ARRAY_FUNCTIONS = 32 };
int array_function_names(const char **names); /* room for as many; how many there are */
/* bind_array_func.c: regrid(…), fft(…); *found false: it is none of them. */
enum status bind_array_function(struct binder *b, const struct ast_from *f, struct scope *out,
                                bool *found);
/* Positions from 0 on axes of just the cells that are left: what a sub-query and an argument give.
 */
enum status start_afresh(struct binder *b, struct plan *in, struct plan **out);
/* The mistakes of a WITH query that nobody names. */
enum status check_cte(struct binder *b, struct cte *cte);
enum status bind_grid(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_sys(struct binder *b, const struct ast_from *f, const char *name,
                     struct scope *out);
enum status bind_join(struct binder *b, const struct ast_from *f, struct scope *left,
                      struct scope *right, struct scope *out);
/* The inner join of two arrays on pairs of their dimensions: a plan whose dimensions are the
 * left's, then those of the right without a partner. */
enum status join_on_dims(struct binder *b, int pos, struct scope *left, struct scope *right,
                         const int *pair_left, const int *pair_right, int n, struct plan **out);
/* bind_matrix.c: a @ b. */
enum status bind_matmul(struct binder *b, const struct ast_from *f, struct scope *out);
/* Is the condition, bound over both, an equality of one side each? False too when it cannot be
 * bound. */
bool joins_both(struct binder *b, const struct ast_expr *e, struct scope *left,
                struct scope *right);
/* The cross product: what a comma in FROM says. */
enum status bind_cross(struct binder *b, int pos, struct scope *left, struct scope *right,
                       struct scope *out);
struct plan *plan_scan(struct ctx *c, struct array *a, int pos);
enum status scope_of_array(struct binder *b, struct array *a, const char *item, int pos,
                           struct scope *out);
/* The bracket after a FROM item; keep: single values narrow the dimension instead of dropping it.
 */
enum status bind_slice(struct binder *b, const struct ast_axes *axes, bool keep, struct scope *s);
/* Inclusive bounds by coordinate or position to [lo, hi), as a slice means them. */
enum status bind_range(struct binder *b, const struct ast_axis *a, const struct rel_dim *d,
                       const char *name, int64_t *lo, int64_t *hi, int64_t *step);
/* A value given as a coordinate of an axis: *exact false when the axis's type cannot hold it;
 * out is then what it is cut to. */
enum status axis_value(struct binder *b, const struct axis *a, const struct value *v, int pos,
                       struct value *out, int *beyond);

/* ---- queries ---- */
enum status bind_query(struct binder *b, const struct ast_select *s, const struct scope *outer,
                       enum want want, struct query *out);
/* A side of a set operation, or INSERT's source: literals keep their unknown type, to be cast as
 * what they meet wants them. */
enum status bind_source(struct binder *b, const struct ast_select *s, const struct scope *outer,
                        enum want want, struct query *out);
/* UNION, INTERSECT, EXCEPT (bind_set.c). */
enum status bind_set(struct binder *b, const struct ast_select *s, const struct scope *outer,
                     struct query *out);
void add_distinct(struct ctx *c, struct query *q);
enum status bind_values(struct binder *b, const struct ast_select *s, const struct scope *outer,
                        struct query *out);
/* Cells as rows: every output a column, none a dimension. */
void query_to_list(struct ctx *c, struct query *q);
bool dim_known(const struct rel_dim *d); /* its extent is known before running */

struct target {
    const struct ast_expr *ast; /* NULL: from a star */
    struct expr *e;
    const char *name;
    bool bracket;
    int pos;
};
/* What the targets make of a relation: columns over its dimensions when nothing or all of them are
 * bracketed; else an aggregate to the bracketed coordinates. One output a target. */
enum status shape_output(struct binder *b, struct plan *in, const struct target *ts, int n,
                         struct query *out);
/* Do the brackets leave every cell at its place? */
bool shape_stays(const struct rel *r, const struct target *ts, int n);

/* ---- groups ---- */
struct bound_key {
    struct group_key key;
    const char *name;
    struct rel_dim dim; /* of the result, when the key is one of a dimension */
};
enum type key_type(const struct bound_key *k);
/* An aggregate over the plan. Keys that depend on one dimension each become dimensions of the
 * result, with axes made here; if any key doesn't, all are columns. */
enum status make_aggregate(struct binder *b, struct plan *in, struct bound_key *keys, int n_keys,
                           const struct agg_list *aggs, int pos, struct plan **out);
/* What GROUP BY says: keys, and the sets of them that are grouped by; one, if it is a plain list,
 * and that has them all. */
struct key_set {
    int n, *keys; /* indices of groups.keys */
};
struct groups {
    struct bound_key *keys;
    int n_keys;
    struct key_set *sets;
    int n_sets;
};
/* Over the scope's plan. */
enum status bind_groups(struct binder *b, const struct ast_select *s, const struct scope *scope,
                        const struct target *targets, int n_targets, struct groups *out);
enum status block_key(struct binder *b, const struct scope *scope, const struct ast_axis *x,
                      struct bound_key *k);
/* The rows of one of several sets: keys (NULL where the set lacks one), aggregates, 1 for each key
 * that the set lacks. */
enum status plan_of_set(struct binder *b, struct plan *in, const struct groups *g, int set,
                        const struct agg_list *aggs, int pos, struct plan **out);
/* The rows of all: over_groups() takes it for an aggregate. */
struct plan *plan_of_sets(struct binder *b, struct plan **parts, const struct groups *g, int n_aggs,
                          int pos);
enum status bind_grouping(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                          struct expr **out);
/* GROUPING() over the result of an aggregate. */
enum status grouping_over(struct binder *b, const struct plan *agg, const struct expr *e,
                          struct expr **out);
bool group_key_is(const struct plan *agg, const struct group_key *g, const struct expr *e);
/* An expression over the input of an aggregate as one over its result; ERR_GROUPING. */
enum status over_groups(struct binder *b, const struct scope *scope, const struct plan *agg,
                        const struct expr *e, struct expr **out);
/* Evaluates an expression that depends on dimension d alone at positions [lo, lo + n) of it, into a
 * column from c->scratch. */
struct program;
enum status eval_on_dim(struct ctx *c, const struct program *p, const struct rel *r, int d,
                        int64_t lo, int64_t n, struct column *out);
/* The one dimension that an expression depends on; -1: none, or more, or columns. */
int only_dim(const struct expr *e);

/* ---- DISTINCT ON (bind_distinct.c) ---- */
/* Keys are numbers of targets: of DISTINCT ON, and of ORDER BY, which must start with those. */
enum status check_distinct_on(struct binder *b, const struct ast_select *s, const int *on_keys,
                              const int *keys);
/* Over a list whose columns are the targets. */
enum status add_distinct_on(struct binder *b, const struct ast_select *s, const int *on_keys,
                            const int *keys, struct query *q);

/* ---- windows ---- */
/* bind_window.c: a call with OVER, taken down in in->wins. */
bool is_window_function(const char *name);
enum status bind_window_call(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out);
/* WINDOW's names: each once, and what they build on is there. */
enum status check_windows(struct binder *b, const struct win_list *l);
/* The calls' expressions as ones over the result of the aggregate. */
enum status windows_over_groups(struct binder *b, const struct scope *scope, const struct plan *agg,
                                struct win_list *wins);
/* Adds a column for each call to the plan; scope names the plan's dimensions. */
enum status add_windows(struct binder *b, const struct scope *scope, struct win_list *wins,
                        struct plan **plan);
/* The targets' expressions with the columns that add_windows() made of the calls. */
struct expr *over_windows(struct binder *b, const struct win_list *wins, const struct plan *plan,
                          struct expr *e);
/* The dimensions of a plan by their own names: what windows over groups mention. */
void scope_of_dims(struct binder *b, struct plan *plan, struct scope *out);
/* bind_window_cells.c, bind_window_rows.c: the plan with one more column a call, at the end and in
 * order. */
enum status bind_cell_windows(struct binder *b, const struct scope *scope,
                              const struct win_call *const *calls, int n, struct plan *in,
                              struct plan **out);
enum status bind_row_windows(struct binder *b, const struct win_call *const *calls, int n,
                             struct plan *in, struct plan **out);
/* Checks the arguments of row_number, lag … (casts go in) and tells the result's type. */
enum status row_function(struct binder *b, struct win_call *w);

/* ---- plans ---- */
struct plan *plan_new(struct ctx *c, enum plan_kind kind, int pos, int n_in);
/* Over one input, with its dimensions (own copies) and columns. */
struct plan *plan_over(struct ctx *c, enum plan_kind kind, int pos, struct plan *in);
/* The input has other columns now, and the node has what it has. */
void follow_columns(struct plan *p);
struct plan *plan_filter(struct ctx *c, struct plan *in, struct expr *e);
/* Columns es over the input's dimensions. */
struct plan *plan_map(struct ctx *c, struct plan *in, struct expr **es, const char *const *names,
                      int n);
/* The relation of a list of rows: one dimension; n < 0: not known. */
void rel_list(struct ctx *c, struct rel *r, int64_t n, int n_cols);
struct expr *dim_ref(struct ctx *c, const struct rel *r, int d);
struct expr *col_ref(struct ctx *c, const struct rel *r, int i);
enum type dim_type(const struct rel_dim *d);
/* Relations between parts of a plan when regions change: recomputes the relation of a join. */
void join_region(struct plan *p);

/* ---- assignment ---- */
enum status cast_to_column(struct binder *b, const char *column, enum type to, struct expr **e);
/* A value for an attribute, DEFAULT among them. */
enum status bind_assign(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                        const struct attr *attr, struct expr **out);
/* ERR_UNDEFINED_COLUMN, with the nearest name. */
enum status unknown_target(struct binder *b, const struct schema *s, const char *name, int pos);
/* WITH before a statement that changes data. */
void push_ctes(struct binder *b, const struct ast_stmt *s);
enum status bind_sets(struct binder *b, const struct ast_sets *sets, const struct scope *scope,
                      const struct schema *t, struct bound_change *out, struct expr **es);
/* What an INSERT does beyond writing its rows: ON CONFLICT DO UPDATE, CHECK, RETURNING. */
enum status bind_held(struct binder *b, const struct ast_stmt *s, const struct schema *t,
                      struct held_row *out);

#endif
