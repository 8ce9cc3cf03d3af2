/* Matching the rows of two sides by hash: in memory when the table of one side fits, by partitions
 * in temporary files otherwise (grace hash join: Kitsuregawa, Tanaka, Moto-oka, New Generation
 * Computing 1983), and block by block where a partition's keys are all alike. */
#ifndef TESSERA_JOIN_MATCH_H
#define TESSERA_JOIN_MATCH_H
#include "query/join_table.h"

struct matching {
    struct join_side side[2]; /* left, right */
    int build;                /* the side that is in tables; the other one probes */
    bool outer[2];            /* the side's rows without a match are wanted */
    bool marks;               /* SEMI, ANTI: not pairs but which probing rows match */
    const char *tmp_dir;
    /* the condition, over pairs: left columns, right columns, left extra columns */
    const struct program *residual; /* NULL: none */
    struct rel pair_rel;
    bool *used; /* by the residual, of the pair's columns */
    /* what comes out */
    struct rowset *pairs; /* left columns, right columns, left and right row number */
    struct rowset *ranks; /* marks: row numbers of probing rows that match */
};

/* Rows of `side` that match nothing, NULLs beside them. */
enum status match_alone(struct ctx *c, struct matching *m, int side, const struct column *cols,
                        const int64_t *rows, int64_t n);
/* Marks in hits (a byte a cell) the probing rows that match rows of the table, and adds the pairs
 * unless only marks are wanted. build_hits: a byte a row of the table, or NULL. */
enum status match_rows(struct ctx *c, struct matching *m, const struct join_table *t,
                       const struct column *cols, const int64_t *rows, int64_t n, uint8_t *hits,
                       uint8_t *build_hits);
/* Rows of the table without a hit. */
enum status match_rest(struct ctx *c, struct matching *m, const struct join_table *t,
                       const uint8_t *build_hits);
/* Two rowsets of any size; both are freed. */
enum status match_rowsets(struct ctx *c, struct matching *m, struct rowset *build,
                          struct rowset *probe, int level);

#endif
