/* Writing a query's result into an array. */
#ifndef TESSERA_WRITE_H
#define TESSERA_WRITE_H
#include "query/session_internal.h"

struct write_job {
    const struct query
        *query; /* outputs: the target's dimensions in order (none when numbered), then attrs */
    const char *target;
    enum conflict mode;
    const int *attrs;
    int n_attrs;
    bool numbered; /* a table: rows get the next numbers of `row` */
};

/* Runs the opened query into the array, inside its transaction. *n_cells: written (or deleted). */
enum status write_query(struct ctx *c, struct exec *x, const struct write_job *j, int64_t *n_cells);

#endif
