/* Named points where a test can make the program die or fail, to see what is left on the disk.
 *
 * The environment variable TESSERA_FAULT holds a comma-separated list of `name:n` (the n-th pass of
 * the point exits with status 137, as kill -9 would) or `name:n:io` (that pass and no other fails
 * with ERR_IO). Tests inside one process may set it with fault_set(). A pass of a point that nobody
 * named costs one relaxed load. */
#ifndef TESSERA_FAULT_H
#define TESSERA_FAULT_H
#include "storage/base/ctx.h"

/* The steps of the commit protocol, in order. */
#define FAULT_LIST(X)                                                                              \
    X(FAULT_PENDING, "pending")       /* the pending row is about to be written */                 \
    X(FAULT_TILES, "tiles")           /* a batch of tiles is about to be written */                \
    X(FAULT_TILES_DONE, "tiles_done") /* … is durable */                                         \
    X(FAULT_FOLD, "fold")             /* a tile and its patches are about to become one */         \
    X(FAULT_PATCH, "patch")           /* a patch is about to join the catalog transaction */       \
    X(FAULT_RUN, "run")               /* a run's record is about to join it */                     \
    X(FAULT_PUBLISH, "publish")       /* all rows are in the catalog transaction, before COMMIT */ \
    X(FAULT_COMMIT, "commit")         /* COMMIT itself: `io` leaves the outcome unknown */         \
    X(FAULT_PUBLISHED, "published")   /* committed, nobody heard of it yet */                      \
    X(FAULT_SWEEP, "sweep")           /* versions are retired, their tiles not yet deleted */      \
    X(FAULT_UNPATCH, "unpatch")       /* patches that nobody reads are about to be deleted */      \
    X(FAULT_SWEPT, "swept")           /* tiles deleted, rows not yet removed */
enum fault {
#define X(id, name) id,
    FAULT_LIST(X)
#undef X
        N_FAULTS
};

/* Passes the point. ERR_IO when the test wants so. */
enum status fault_point(struct ctx *c, enum fault f);
/* Replaces what the environment said; NULL: nothing. */
void fault_set(const char *spec);

#endif
