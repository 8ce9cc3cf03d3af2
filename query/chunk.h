/* A chunk: what an operator gives for a box. And a relation's shape: what its boxes and columns
 * mean.
 *
 * A chunk's memory is the worker's scratch: it lives until the driver resets that, so sinks copy
 * what they keep. */
#ifndef TESSERA_CHUNK_H
#define TESSERA_CHUNK_H
#include "storage/axis.h"
#include "storage/base/column.h"
#include "storage/box.h"

struct rel;

struct chunk {
    struct box box;    /* positions of the relation's dimensions */
    int64_t n;         /* cells of the box */
    int64_t n_present; /* of them, how many exist; 0: columns may be unfilled */
    uint64_t *present; /* NULL: all exist */
    int n_cols;
    struct column *cols; /* the relation's columns, in order */
    const struct rel *rel;
};

struct rel_dim {
    const char *name; /* NULL: anonymous, the order of a list of rows */
    const struct axis *axis;
    int64_t lo, hi; /* positions; the region's, inside or past the axis's own */
    int64_t stride; /* slices with a step: cells exist only at lo + k × stride; else 1 */
    int64_t tile;   /* a good extent for boxes: its tiles start at multiples of it */
    const char *unit, *comment; /* NULL: none */
};

struct rel_col {
    const char *name;
    enum type type;
    bool not_null;
    const char *unit, *comment;  /* NULL: none */
    const struct rel_dim *coord; /* the dimension whose coordinates these are; NULL: none */
};

struct rel {
    int n_dims, n_cols;
    struct rel_dim *dims;
    struct rel_col *cols;
};

void rel_box(const struct rel *r, struct box *out);

/* Memory for a chunk of the box with the relation's columns, all present, from c->scratch. */
enum status chunk_alloc(struct ctx *c, const struct rel *rel, const struct box *box,
                        struct chunk *out);
/* The box with no cell in it. */
void chunk_empty(const struct rel *rel, const struct box *box, struct chunk *out);
/* Coordinates (positions when axis is NULL) of dimension d for every cell, C order, into values (of
 * the axis's type, or int64). */
void chunk_coords(const struct chunk *ch, int d, const struct axis *axis, void *values);
/* The cells of `want`, which lies inside the chunk's box, as a chunk of their own. */
enum status chunk_cut(struct ctx *c, const struct chunk *in, const struct box *want,
                      struct chunk *out);
enum status chunk_need_present(struct ctx *c, struct chunk *ch);

#endif
