/* Writing a query's result into an array. */
#ifndef TESSERA_WRITE_H
#define TESSERA_WRITE_H
#include "query/check.h"
#include "query/held.h"

struct write_job {
    const struct query *query; /* outputs: the target's dimensions in order (none when numbered),
                                  then attrs; of a change: also RETURNING's columns and CHECKs */
    const char *target;
    enum conflict mode; /* CONFLICT_REPLACE where row->sets says what to write instead */
    const int *attrs;
    int n_attrs;
    bool numbered;                     /* a table: rows get the next numbers of `row` */
    struct array *before;              /* INSERT: the target before the statement */
    const struct held_row *row;        /* INSERT; NULL: CREATE ARRAY AS */
    const struct bound_change *change; /* UPDATE, DELETE */
};

/* Runs the opened query into the array, inside its transaction. *n_cells: written (or deleted).
 * returned: RETURNING's rows, the caller's to free; NULL when it was not said. */
enum status write_query(struct ctx *c, struct exec *x, const struct write_job *j, int64_t *n_cells,
                        struct rowset **returned);

/* A region of the opened query's result (NULL: all) into an open writer, which others go on with.
 * Nothing is held back: no RETURNING, no CHECK. *n_cells is added to. */
enum status write_part(struct ctx *c, struct exec *x, const struct write_job *j, struct writer *w,
                       const struct box *region, int64_t *n_cells);

/* Where rows go. */
struct row_target {
    struct writer *writer;
    struct checker *checker; /* NULL: no CHECK */
    struct held *held;       /* not NULL: they are held back there */
    bool numbered;
    int64_t next_row; /* of a table */
    int n_cols;       /* of a row */
};

/* n rows: columns are the target's dimensions in order (none when numbered), then the writer's
 * attributes (all of them with a checker). */
enum status write_rows(struct ctx *c, struct row_target *t, const struct column *cols, int64_t n,
                       int64_t *n_cells);

#endif
