/* Text to tree. */
#ifndef TESSERA_PARSE_H
#define TESSERA_PARSE_H
#include "query/ast.h"
#include "storage/base/ctx.h"

/* Parses a script of any number of statements separated by semicolons (empty ones left out) into
 * c->arena. `text` is UTF-8 of n bytes and must outlive the tree. ERR_SYNTAX with position,
 * PostgreSQL's wording (`syntax error at or near "x"`, `syntax error at end of input`), and a hint
 * for the slips that the language page lists. */
enum status parse_script(struct ctx *c, const char *text, size_t n, struct ast_script *out);
/* A single expression: the body of a macro, a stored DEFAULT. */
enum status parse_expr(struct ctx *c, const char *text, size_t n, struct ast_expr **out);

#endif
