/* Typed expressions: what the binder makes of a tree, and what compiles to steps.
 *
 * An expression is immutable and lives in the statement's arena. Every node has its type; casts are
 * explicit. The expr_make_… functions are the only way to build one: they resolve overloads,
 * promote as NumPy does, treat literals as weak, insert casts and fold constants. Errors carry the
 * position. */
#ifndef TESSERA_EXPR_H
#define TESSERA_EXPR_H
#include "query/chunk.h"
#include "storage/base/value.h"

struct func; /* query/func.h: a scalar function's overload with its kernel */
struct plan;

enum expr_kind {
    E_CONST, /* value */
    E_PARAM, /* index, from 0; the value is bound at execution */
    E_COL,   /* index: column of the input relation */
    E_DIM,   /* index: coordinate of a dimension */
    E_POS,   /* index: #d, position - dims[d].lo of the axis */
    E_CALL,  /* func, args */
    E_CAST,  /* args[0] */
    E_AND,
    E_OR,
    E_NOT,         /* args; three-valued */
    E_IS_NULL,     /* args[0]; negated: IS NOT NULL */
    E_IS_DISTINCT, /* args 0, 1; negated: IS NOT DISTINCT FROM */
    E_CASE,        /* args: when, then, …, else (always there): branches run only where taken */
    E_COALESCE,    /* args */
    E_IN,          /* args[0] against constants args[1 …]: a sorted set */
    E_OUTER,       /* index: value of the query around, in the sub-query that is being run */
    E_SUBQUERY /* a value of a sub-query: column `index` of subquery; args: what it depends on */
};

struct expr {
    enum expr_kind kind;
    enum type type;
    int pos;
    bool weak; /* literal, constant expression or parameter: takes the type of what it meets */
    bool negated;
    int index;
    int n_args;
    struct expr **args;
    struct value value; /* E_CONST */
    const struct func *func;
    struct subquery *subquery;
};

/* A query that gives one row of values, or says whether it has any (EXISTS). It is run
 * - before the statement, when it depends on nothing (its E_SUBQUERYs have no args); else
 * - once into a table of its rows by key, when it asks for rows with certain values (n_keys > 0):
 *   the args of E_SUBQUERY are what is looked up; else
 * - for each combination of args that is met, its E_OUTERs being the args. */
struct subquery {
    struct plan *plan;
    int n_cols;
    int *columns; /* its values, of the plan's relation */
    bool *is_dim; /* columns[i] is a dimension */
    int n_args;   /* E_OUTERs of the plan */
    int n_keys;
    int *keys;             /* columns of the plan's relation */
    struct plan *empty;    /* gives the values where no row has the key; NULL: they are NULL */
    struct subquery *each; /* n_keys: the same by a run for each cell, for when an error of rows
                              that no cell asks for keeps the others from being found by key */
    int each_arg;          /* its args begin there; the keys' at 0 */
    bool narrows;          /* a run's args narrow its regions: plan_with_args */
    int slot;              /* where it stands at execution: env.subqueries[slot] */
    bool exists;
};

/* What E_PARAM, E_OUTER and E_SUBQUERY stand for during one execution. */
struct subquery_run;
struct env {
    const struct value *params;
    int n_params;
    const struct value *outer; /* in a sub-query: its args */
    int n_outer;
    struct subquery_run **subqueries;
    int n_subqueries;
    int64_t statement_us; /* now() */
};

struct expr *expr_make_const(struct ctx *c, const struct value *v, int pos); /* weak */
struct expr *expr_make_ref(struct ctx *c, enum expr_kind kind, int index, enum type type,
                           int pos); /* E_COL, E_DIM, E_POS (BIGINT), E_PARAM */
/* A function or operator by name ("+", "=", "like", "~", "sqrt", "date_trunc", "coalesce",
 * "extract", "and", …): finds the overload, inserts casts. ERR_UNDEFINED_FUNCTION in PostgreSQL's
 * words ("operator does not exist: text + integer") with a hint (the nearest name);
 * ERR_DATATYPE_MISMATCH for booleans wanted. `*params`: E_PARAM nodes of type T_UNKNOWN take the
 * type that the overload wants (the node is changed, as is c's param table by the binder reading it
 * back). */
enum status expr_make_call(struct ctx *c, const char *name, struct expr **args, int n, int pos,
                           struct expr **out);
enum status expr_make_cast(struct ctx *c, struct expr *e, enum type to, bool is_explicit, int pos,
                           struct expr **out);
/* args as E_CASE wants them; otherwise NULL: NULL. */
enum status expr_make_case(struct ctx *c, struct expr **args, int n, struct expr *otherwise,
                           int pos, struct expr **out);
enum status expr_make_in(struct ctx *c, struct expr *e, struct expr **list, int n, bool negated,
                         int pos, struct expr **out);
enum status expr_make_is_null(struct ctx *c, struct expr *e, bool negated, int pos,
                              struct expr **out);
enum status expr_make_distinct(struct ctx *c, struct expr *a, struct expr *b, bool negated, int pos,
                               struct expr **out);
/* One type for all (VALUES, UNION, CASE, COALESCE): casts each in place. what: for the message
 * ("UNION", "VALUES"). */
enum status expr_common_type(struct ctx *c, struct expr **es, int n, const char *what,
                             enum type *out);
/* Text literals and NULL that met nothing become TEXT, at the end of binding. */
enum status expr_resolve_unknown(struct ctx *c, struct expr **e);
/* A condition must be boolean: casts unknown; ERR_DATATYPE_MISMATCH "argument of WHERE must be type
 * boolean, not type …". */
enum status expr_want_bool(struct ctx *c, struct expr **e, const char *what);
/* Is the name a scalar function? For telling aggregates and macros from them, and for completion.
 */
bool func_exists(const char *name);
const char *const *func_names(int *n);
const char *func_name(const struct func *f);

bool expr_is_const(const struct expr *e); /* no column, dimension, position (params and subqueries
                                             count as constant) */
bool expr_equal(const struct expr *a, const struct expr *b);
/* Has it a random(), whose value is that of the cell's position in the relation it is computed
 * over?
 */
bool expr_is_random(const struct expr *e);
/* Does computing it do something (pg_notify)? random() is a function of seed and cell. */
bool expr_is_volatile(const struct expr *e);
/* Calls fn on every node, parents first; fn returning false skips the children. */
void expr_walk(const struct expr *e, bool (*fn)(const struct expr *e, void *self), void *self);
/* A copy with every E_COL, E_DIM and E_POS node replaced by what fn returns for it (NULL: kept as
 * it is). */
struct expr *expr_map(struct ctx *c, const struct expr *e,
                      struct expr *(*fn)(struct ctx *c, const struct expr *e, void *self),
                      void *self);
/* As EXPLAIN prints it; names of columns and dimensions from the relation. */
struct rel;
void expr_format(const struct expr *e, const struct rel *in, struct strbuf *out);

/* ---- evaluation ---- */
/* Expressions compiled together: common sub-expressions once. Immutable and shared by workers. */
struct program;
enum status program_compile(struct ctx *c, struct expr *const *es, int n, const struct rel *in,
                            const struct env *env, struct program **out); /* in c->arena */
/* Evaluates over every cell of the chunk, block by block; out[i] is a column over the chunk's box,
 * from c->scratch. Cells that do not exist raise no errors. An E_COL that stands alone is passed
 * through without a copy. */
enum status program_run(struct ctx *c, const struct program *p, const struct chunk *in,
                        struct column *out);
/* The only expression is a condition: clears the presence bits where it is not true (allocating
 * them if absent) and updates n_present. */
enum status program_filter(struct ctx *c, const struct program *p, struct chunk *chunk);
/* A constant expression's value. Text goes to the arena. */
enum status expr_eval_const(struct ctx *c, const struct expr *e, const struct env *env,
                            struct value *out);

/* What a predicate can still be over a region with these summaries. */
enum truth { TRUTH_FALSE = 1, TRUTH_TRUE = 2, TRUTH_NULL = 4 };
struct summary;
typedef const struct summary *summary_of_fn(void *self, int column,
                                            const struct axis **axis); /* NULL: nothing known */
/* dim_lo, dim_hi: coordinates' range per dimension of the region, as values; NULL when unknown. */
int expr_truths(const struct expr *e, const struct env *env, summary_of_fn *of, void *self,
                const struct value *dim_lo, const struct value *dim_hi);

#endif
