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

/* Rows into an open writer: columns are the target's dimensions in order (none when numbered:
 * *next_row is then where they go), then the writer's attributes. */
enum status write_rows(struct ctx *c, struct writer *w, int64_t *next_row,
                       const struct column *cols, int64_t rows, int64_t *n_cells);

#endif
