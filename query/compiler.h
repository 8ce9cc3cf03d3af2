/* What the files share that make steps of expressions: program.c (all kinds of them, one by one)
 * and program_fuse.c (several in one step). */
#ifndef TESSERA_COMPILER_H
#define TESSERA_COMPILER_H
#include "query/program.h"

/* A value that has been computed under a mask. */
struct known {
    const struct expr *e;
    uint64_t hash;
    int reg, mask;
};

struct compiler {
    struct ctx *c;
    const struct rel *in;
    const struct env *env;
    bool plain; /* evaluates no constant beforehand: this is that evaluation */
    bool fast;  /* fast_math */
    struct code code;
    int cap_regs, cap_steps, cap_masks, cap_sources;
    int *mask_parent;
    struct known *known;
    int n_known, cap_known;
};

int compiler_reg(struct compiler *k, enum type type);
int compiler_null(struct compiler *k, enum type type);
bool compiler_is_null(const struct compiler *k, int r); /* the constant */
/* A mask within another. */
int compiler_mask(struct compiler *k, int parent);
struct step *compiler_emit(struct compiler *k, enum step_kind kind, int dst, int a, int mask);
/* r, which steps can then read as a vector. */
int compiler_vector(struct compiler *k, int r);
/* The register that has the value already under the mask; -1: none. */
int compiler_known(const struct compiler *k, const struct expr *e, int mask);
/* Is it work that is worth a test whether any cell needs it? */
bool compiler_costly(const struct expr *e);
/* The register that has the value in the mask's cells. */
enum status compiler_expr(struct compiler *k, const struct expr *e, int mask, int *reg);

/* ---- program_fuse.c ---- */
/* *done false: the call is nothing of the kind; nothing happened. */
enum status compiler_muladd(struct compiler *k, const struct expr *e, int mask, bool *done,
                            int *reg);
/* The mask of those of the mask's cells where the condition is true. */
enum status compiler_true(struct compiler *k, const struct expr *e, int mask, int *out);

#endif
