/* What the two files that bind matrix algebra share: bind_matrix.c has products, bind_linalg.c the
 * functions of whole matrices. */
#ifndef TESSERA_BIND_MATRIX_H
#define TESSERA_BIND_MATRIX_H
#include "query/bind_array.h"

/* The one numeric attribute of a matrix; what: the function, for messages. */
enum status one_attribute(struct binder *b, const struct scope *s, int pos, const char *what);
/* The names that the scope gives a dimension and the attribute. */
const char *matrix_dim_name(const struct scope *s, int d);
const char *matrix_attribute(const struct scope *s);
/* Both have the same coordinates; else shapes do not chain. */
enum status check_same_axis(struct binder *b, int pos, const struct scope *left, int l,
                            const struct scope *right, int r);
/* The name, or with _2 … when one of the dimensions before has it. */
const char *free_dim_name(struct ctx *c, const struct rel *r, int n, const char *name);

/* bind_linalg.c: result number i of WITH (…) AS a function of matrices. */
enum status bind_linalg_result(struct binder *b, const struct ast_from *f, struct cte *cte, int i,
                               struct scope *out);

/* Rows of bind_array_func.c's table. */
enum status bind_outer(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_kron(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_tensordot(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_trace(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_norm(struct binder *b, const struct ast_from *f, struct scope *out);
enum status bind_linalg(struct binder *b, const struct ast_from *f, struct scope *out);

#endif
