/* A compiled program: a flat array of steps over registers, run on blocks of up to 1,024 cells
 * (512 where many registers would not stay in the first-level cache).
 * Between program.c, which makes it, and eval.c, which runs it.
 *
 * Invariants:
 * - A register is written by one step, or by a run of steps of which the first writes all of it.
 * - A step that may fail, and a branch, have a mask: the cells that count there. Masks are made
 *   once and never change; mask 0 is the cells that exist. Values computed under a mask are seen
 *   only under it or masks made from it, so a branch that no cell takes is skipped whole.
 * - A register's validity has memory of its own, so that it may stand for another's; the memory of
 *   values is shared by registers that are not needed at the same time. */
#ifndef TESSERA_PROGRAM_H
#define TESSERA_PROGRAM_H
#include "query/func.h"

#define BLOCK 1024 /* cells at most */
#define BLOCK_WORDS (BLOCK / 64)

/* r: register, m: mask, dst is a register unless the step makes a mask. */
#define STEP_LIST(X)                                                                               \
    X(STEP_COLUMN)    /* dst = column `index` of the chunk, in place */                            \
    X(STEP_AXIS)      /* dst = axis source `index`, spread over the cells */                       \
    X(STEP_BINARY)    /* dst = binary(a, b); NULL where either is */                               \
    X(STEP_MULADD)    /* dst = muladd(a, b, c); NULL where one is */                               \
    X(STEP_UNARY)     /* dst = unary(a) */                                                         \
    X(STEP_EXTREME)   /* dst = binary(a, b), or the one that is not NULL */                        \
    X(STEP_CELL)      /* dst = cell(args) */                                                       \
    X(STEP_RANDOM)    /* dst = random number of seed a and the cell's position, or args */         \
    X(STEP_COPY)      /* dst = a */                                                                \
    X(STEP_AND)       /* dst = dst AND a, three-valued */                                          \
    X(STEP_OR)        /* dst = dst OR a */                                                         \
    X(STEP_NOT)       /* dst = NOT a */                                                            \
    X(STEP_IS_NULL)   /* dst = a IS NULL, or IS NOT NULL when negated */                           \
    X(STEP_DISTINCT)  /* dst = b IS DISTINCT FROM c, a being b <> c */                             \
    X(STEP_IN)        /* dst = a is in the set */                                                  \
    X(STEP_CLEAR)     /* dst = anything, not NULL; texts empty */                                  \
    X(STEP_BLEND)     /* dst = a in the cells of mask */                                           \
    X(STEP_TRUE)      /* mask dst = mask and r a is true */                                        \
    X(STEP_NOT_FALSE) /* mask dst = mask and r a is not false */                                   \
    X(STEP_NOT_TRUE)  /* mask dst = mask and r a is not true */                                    \
    X(STEP_NULL)      /* mask dst = mask and r a is NULL */                                        \
    X(STEP_COMPARE)   /* mask dst = mask and compare(a, b) is true, or false when negated */       \
    X(STEP_UNION)     /* mask dst = mask or mask `index` */                                        \
    X(STEP_EXCEPT)    /* mask dst = mask without mask `index` */                                   \
    X(STEP_SKIP)      /* go on at `target` when no cell is in the mask */                          \
    X(STEP_SUBQUERY)  /* dst = value `index` of a sub-query that depends on args */                \
    X(STEP_STORE)     /* output `index` = a */                                                     \
    X(STEP_RESULT)    /* the filter's answer = mask */
enum step_kind {
#define X(id) id,
    STEP_LIST(X)
#undef X
};

struct step {
    enum step_kind kind;
    int dst, a, b, c; /* registers */
    int mask, index, target, pos;
    enum type type; /* of the result */
    bool negated;
    binary_fn *binary;
    muladd_fn *muladd;
    compare_bits_fn *compare;
    unary_fn *unary;
    cell_fn *cell;
    const struct func *func; /* STEP_CELL; NULL in a cast */
    int n_args;
    int *args;
    in_fn *in;
    const void *set; /* STEP_IN: sorted values */
    int64_t n_set;
    bool set_has_null;
    struct subquery_run *subquery; /* STEP_SUBQUERY */
};

struct reg {
    enum type type;
    int output;           /* >= 0: its values are that output's memory */
    bool in_place;        /* points into the chunk: no memory */
    const void *constant; /* one value; NULL: none */
    bool constant_null;
    bool filled;     /* a constant that is wanted as a vector */
    size_t offset;   /* of its values in the machine's memory */
    int first, last; /* steps that write and use it */
};

/* Values along one dimension: its coordinates, its positions, or a program of them. */
struct axis_source {
    int dim;
    enum type type;
    bool positions;
    const struct program *program; /* over that dimension alone; NULL: coordinates or positions */
};

struct output {
    int column;  /* >= 0: the chunk's column itself */
    int same_as; /* >= 0: an earlier output */
    int reg;
    enum type type;
};

struct code {
    int n_regs, n_masks, n_steps, n_sources, n_outputs;
    struct reg *regs;
    struct step *steps;
    struct axis_source *sources;
    struct output *outputs;
    int64_t block;      /* cells of a block */
    size_t value_bytes; /* of all registers' values, for such a block */
};

/* Chooses the block and gives every register its place in the machine's memory (program_place.c).
 */
void code_place_registers(struct arena *a, struct code *code);

struct program {
    const struct rel *in;
    int64_t now_us;
    struct code run;
    struct code *filter; /* of a single condition; NULL: none */
};

#endif
