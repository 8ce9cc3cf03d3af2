/* Tree to plan: resolves names in the transaction's snapshot, types every expression, turns slices
 * into positions. Every error of the user's making is found here, with its position. */
#ifndef TESSERA_BIND_H
#define TESSERA_BIND_H
#include "query/plan.h"
#include "storage/base/names.h"

struct bind_env {
    struct txn *txn;
    /* Parameters: types known from the client (T_UNKNOWN: to be inferred); the binder sets what it
     * infers, growing the array in the arena. */
    enum type *param_types;
    int n_params;
    const struct value *params; /* their values when known: slices and LIMIT need them; NULL while
                                   describing (such a statement binds again) */
    const char *file_root;
    int64_t statement_us;
    bool stored; /* the result is to become an array: its brackets give its shape even under
                    LIMIT, and ORDER BY alone says nothing */
};

/* A SELECT, VALUES or TABLE. Scalar sub-queries in slices and constant places are refused with
 * 0A000. */
enum status bind_select(struct ctx *c, struct bind_env *env, const struct ast_select *s,
                        struct query *out);

/* INSERT … SELECT|VALUES: the query whose outputs are, in order, coordinates of the target's
 * dimensions then the attributes attrs[0 … n_attrs) of it, cast to the target's types. Values in
 * constant rows cast with PostgreSQL's errors. Literal blocks (bracket) give the same. targets that
 * are not named take their default; a missing dimension is ERR_NOT_NULL. A table's hidden row is
 * numbered by the executor and absent from the outputs. EMPTY cells are left out. */
struct bound_insert {
    struct query query;
    int *attrs;
    int n_attrs;
    bool numbered; /* a table: rows are appended */
};
enum status bind_insert(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        const struct schema *target, struct bound_insert *out);
/* UPDATE and DELETE: a query over the target's own slice with WHERE applied, whose outputs are the
 * target's dimensions (is_dim) then the new values of attrs. UPDATE … FROM is 0A000 for now. */
struct bound_change {
    struct query query;
    int *attrs;
    int n_attrs;
};
enum status bind_change(struct ctx *c, struct bind_env *env, const struct ast_stmt *s,
                        struct bound_change *out);
/* RETURNING, or any list of targets over the cells of an array: not here yet (0A000). */

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
