/* CHECK constraints on rows that are about to be written. */
#ifndef TESSERA_CHECK_H
#define TESSERA_CHECK_H
#include "query/bind.h"

struct checker;
/* Compiled over row->rel: coordinates, then all attributes. *out NULL: there are no constraints. */
enum status checker_new(struct ctx *c, const struct held_row *row, int n_attrs, const char *array,
                        const struct env *env, struct checker **out);
/* cols are row->rel's first columns, n cells, those that are `present` (NULL: all). ERR_CHECK names
 * the constraint and shows the row. k NULL: nothing to check. */
enum status checker_run(struct ctx *c, const struct checker *k, const struct column *cols,
                        const uint64_t *present, int64_t n);
/* The same where the constraints' values are columns already. */
enum status checks_hold(struct ctx *c, const struct checks *checks, const char *array,
                        const struct column *values, const uint64_t *present, int64_t n);

#endif
