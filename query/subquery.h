/* How do the values of sub-queries come to the expressions that ask for them? One subquery_run for
 * each sub-query and execution; what it is and when it runs: struct subquery in expr.h.
 *
 * An error of one that is run before the statement is kept, and raised by the cells that ask for
 * its value: CASE and AND may keep all of them from it. */
#ifndef TESSERA_SUBQUERY_H
#define TESSERA_SUBQUERY_H
#include "query/func.h"

struct exec;
struct subquery_run;
enum status subquery_open(struct ctx *c, struct exec *x, const struct subquery *sq,
                          struct subquery_run **out);
void subquery_close(struct subquery_run *r); /* NULL allowed */
/* The value of one that depends on nothing. */
enum status subquery_value(struct ctx *c, const struct subquery_run *r, int column,
                           struct value *out);
/* The same where it is known; NULL: it is not. */
const struct value *subquery_known(const struct subquery_run *r, int column);
/* Between which values the one key of a lookup's rows is; *any false: there are no rows. False: not
 * known. */
bool subquery_range(const struct subquery_run *r, struct value *lo, struct value *hi, bool *any);
/* Its values in the cells of k->todo, that have the args k->arg; at most LOOKUP_BLOCK cells. */
enum status subquery_cells(struct ctx *c, struct subquery_run *r, int column, struct call *k);

#endif
