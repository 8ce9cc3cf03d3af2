/* Views and materialized arrays that a change of a name or a definition would break. A view is kept as its text and bound
 * each time that it is used; whether it depends on something is found out by binding it. */
#ifndef TESSERA_DEPENDENTS_H
#define TESSERA_DEPENDENTS_H
#include "query/session_internal.h"

struct dependents;
/* Before the change: which views may mention these names, and hold now. */
enum status dependents_find(struct ctx *c, struct run *r, const char *const *names, int n,
                            struct dependents **out);
/* After it: those that hold no longer are dropped when `cascade`, else ERR_DEPENDENT_OBJECTS lists
 * them; what: "drop array \"a\"", of: "array a". */
enum status dependents_settle(struct ctx *c, struct run *r, struct dependents *d, bool cascade,
                              const char *what, const char *of, const char *advice);
/* The same after CREATE OR REPLACE ARRAY. */
enum status dependents_replaced(struct ctx *c, struct run *r, struct dependents *d,
                                const char *array);
/* The columns of a view or array, as SELECT * gives them. */
enum status columns_of(struct ctx *c, struct run *r, const char *name, struct query *out);

#endif
