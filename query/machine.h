/* The machine: what one run of a program holds. Its memory is the worker's scratch. */
#ifndef TESSERA_MACHINE_H
#define TESSERA_MACHINE_H
#include "query/program.h"

struct lane { /* a register's values and validity in the current block */
    void *values;
    const uint64_t *valid; /* NULL: all are */
};

/* The values of an axis source over the chunk's extent of its dimension. */
struct axis_values {
    const struct axis *axis; /* NULL: positions */
    enum type type;
    int64_t lo, extent; /* positions of the chunk */
    int64_t inner;      /* cells from one position to the next */
    const char *values; /* NULL: computed run by run, the extent being long */
    const uint64_t *valid;
    int64_t origin; /* positions: what position 0 of `#d` is */
};

struct machine {
    const struct kernels *kernels;
    const struct code *code;
    const struct chunk *chunk;
    struct column *out; /* NULL in a filter */
    uint64_t **out_valid;
    int64_t now_us;
    int64_t base, end;       /* the cells that are run over; base is the outputs' first */
    int64_t start, n, words; /* the current block; start - base is a multiple of BLOCK / 2 */
    struct lane *lanes;
    uint64_t *valid_words;          /* BLOCK_WORDS a register */
    uint64_t (*masks)[BLOCK_WORDS]; /* bits past n are 0 */
    struct operand *operands;
    struct axis_values *axes;
    struct text_pool pool;
    uint64_t result[BLOCK_WORDS];
};

enum status machine_open(struct ctx *c, struct machine *m, const struct program *p,
                         const struct code *code, const struct chunk *chunk, struct column *out);
/* Cells [lo, hi) of the chunk into the outputs, from their first cell on. */
enum status machine_run(struct ctx *c, struct machine *m, int64_t lo, int64_t hi);
void machine_axis(struct machine *m, const struct step *s);
void machine_random(struct machine *m, const struct step *s);

#endif
