/* What functions that make arrays of arrays are bound with: their arguments, and the scope of what
 * they give. bind_array_func.c has the table of all. */
#ifndef TESSERA_BIND_ARRAY_H
#define TESSERA_BIND_ARRAY_H
#include "query/bind_internal.h"

typedef enum status array_fn(struct binder *b, const struct ast_from *f, struct scope *out);

/* An array as an argument: a name, with or without a slice, a function's result, (SELECT …). Its
 * positions start afresh. */
enum status array_arg(struct binder *b, const struct ast_expr *call, int i, struct scope *out);
/* A FROM item that must be an array, for `name`. Its positions start afresh. */
enum status bind_array_item(struct binder *b, const struct ast_from *f, const char *name,
                            struct scope *out);
/* The scope's column of a dimension by name. */
enum status dim_arg(struct binder *b, const struct scope *s, const char *name, int pos,
                    const struct scope_col **out);
enum status dim_name_arg(struct binder *b, const struct scope *s, const struct ast_expr *call,
                         int i, const struct scope_col **out);
/* An integer, or `missing` if there are fewer arguments. */
enum status int_arg(struct binder *b, const struct ast_expr *call, int i, int64_t missing,
                    int64_t *out);
/* ERR_UNDEFINED_FUNCTION with the usage as a hint. */
enum status wrong_args(struct binder *b, const struct ast_expr *call, const char *usage);
enum status count_args(struct binder *b, const struct ast_expr *call, int least, int most,
                       const char *usage);
/* The names that the scope has for the plan's dimensions and columns, in the relation; the plan's
 * own copies of both lists. */
void name_relation(struct binder *b, const struct scope *s, struct rel *r);
/* A scope of the relation, by its own names. */
void scope_of_relation(struct binder *b, const struct ast_from *f, struct plan *p,
                       struct scope *out);

/* bind_array_shape.c */
enum status bind_filled(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_transpose(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_reshape(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_concat(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_diff(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_roll(struct binder *b, const struct ast_from *f, struct scope *out);

#endif
