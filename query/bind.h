/* Tree to plan: resolves names in the transaction's snapshot, types every expression, turns slices
 * into positions. Every error of the user's making is found here, with its position. */
#ifndef TESSERA_BIND_H
#define TESSERA_BIND_H
#include "query/plan.h"
#include "storage/base/names.h"

/* A run's slot: scheduled_time(), window_start(), window_end(). */
struct slot_times {
    int64_t scheduled_us, start_us, end_us;
};

struct bind_env {
    struct txn *txn;
    /* Parameters: types known from the client (T_UNKNOWN: to be inferred); the binder sets what it
     * infers, growing the array in the arena. */
    enum type *param_types;
    int n_params;
    const struct value *params; /* their values when known: slices and LIMIT need them; NULL while
                                   describing (such a statement binds again) */
    bool asked_values; /* set by the binder: with a parameter's value the plan would be another */
    bool reads_clock; /* set by the binder: now() or the like */
    bool by_position; /* set by the binder: a slice counts positions */
    const char *file_root;
    int64_t statement_us;
    const struct slot_times *slot; /* NULL: no schedule runs the statement */
    bool as_written; /* no sub-query becomes a table by key (tests) */
    bool stored;     /* the result is to become an array: its brackets give its shape even under
                        LIMIT, and ORDER BY alone then says nothing */
};

/* A SELECT, VALUES or TABLE. Scalar sub-queries in slices and constant places are refused with
 * 0A000. */
enum status bind_select(struct ctx *c, struct bind_env *env, const struct ast_select *s,
                        struct query *out);

/* RETURNING, column by column; n 0: there is none. */
struct returning {
    int n;
    struct expr **es;
    const char **names;
};

/* CHECK constraints of an array: expressions that must not be false. */
struct checks {
    int n;
    struct expr **es;
    const char **names;
};

/* A row of INSERT as expressions see it: coordinates (of a table: the row's number), the new values
 * of all attributes, and those of the cell that is there already. */
struct held_row {
    struct rel rel;
    struct expr **sets; /* ON CONFLICT DO UPDATE: each attribute's value then; NULL: not said */
    struct expr *where; /* … and when; NULL: always */
    struct returning returning; /* over the row as it was written */
    struct checks checks;       /* the same */
};

/* INSERT … SELECT|VALUES: the query whose outputs are, in order, coordinates of the target's
 * dimensions then the attributes attrs[0 … n_attrs) of it, cast to the target's types. Values in
 * constant rows cast with PostgreSQL's errors. Literal blocks (bracket) give the same. targets that
 * are not named take their default (all are given where `row` needs them); a missing dimension is
 * ERR_NOT_NULL. A table's hidden row is numbered by the executor and absent from the outputs. EMPTY
 * cells are left out. */
struct bound_insert {
    struct query query;
    int *attrs;
    int n_attrs;
    bool numbered; /* a table: rows are appended */
    struct held_row row;
};
enum status bind_insert(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        const struct schema *target, struct bound_insert *out);
/* UPDATE and DELETE: a query over the target's own slice, joined with FROM or USING, with WHERE
 * applied, whose outputs are the target's dimensions, the new values of attrs, RETURNING's columns,
 * and CHECKs. repeats: it may give a cell more than once. */
struct bound_change {
    struct query query;
    int *attrs;
    int n_attrs;
    struct returning returning; /* es are of the plan: only n and names matter to who runs it */
    struct checks checks;       /* the same */
    bool repeats;
};
enum status bind_change(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct bound_change *out);
/* The constraints of an array, over a relation that has its columns: dimension d is column d,
 * attribute k column n_dims + k. For COPY, which has no statement of rows. */
enum status bind_checks(struct ctx *c, struct bind_env *env, const struct schema *t,
                        struct held_row *out);

/* COPY … FROM … WHERE: a condition over columns of a plan, under the names that they have in the
 * array. */
enum status bind_copy_where(struct ctx *c, struct bind_env *env, const struct ast_expr *where,
                            const char *array, struct plan *over, const struct out_col *cols,
                            int n, struct expr **out);

/* DEFAULT of an attribute, as a constant of its type. */
struct expr *default_of(struct ctx *c, const struct attr *a, int pos);

/* CREATE ARRAY's columns to a schema (in the arena), and ALTER's ADD. */
enum status bind_schema(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct schema *out);
enum status bind_attr(struct ctx *c, struct bind_env *env, const struct ast_column *col,
                      struct attr *out);
/* CREATE ARRAY AS: the schema that stores a query's result: bracketed outputs become dimensions,
 * the others attributes. */
enum status bind_schema_of(struct ctx *c, const char *name, const struct query *q,
                           struct schema *out);
/* A constant expression of a type: SET values, EXECUTE arguments, RESIZE bounds, AS OF. */
enum status bind_const(struct ctx *c, struct bind_env *env, const struct ast_expr *e,
                       enum type want, struct value *out);
/* A written type to a type, with the language's NOTICEs (NUMERIC, TIMESTAMPTZ). */
enum status bind_type(struct ctx *c, const struct ast_type *t, enum type *out);

#endif
