/* Sums of products over dimensions that two arrays share, as a plan: what `@`, tensordot and the
 * rule for sum(a.v * b.v) over a join make. */
#ifndef TESSERA_CONTRACT_H
#define TESSERA_CONTRACT_H
#include "query/bind_internal.h"

struct contraction {
    struct plan
        *pairs; /* a JOIN, inner and without a condition: how the sides' dimensions line up */
    struct expr *left, *right;  /* the factors, each over its side: in[0] and in[1] of pairs */
    int kept[MAX_DIMS], n_kept; /* the result's dimensions, of the pair's; the others are summed
                                   over, and are in both sides */
    enum type type;             /* of the sums: REAL, DOUBLE, BIGINT */
    bool nulls_spread;          /* a NULL makes what it goes into NULL; else it adds nothing */
    const char *name;           /* of the column */
    int pos;
};

/* The plan has the kept dimensions in their order, and one column. */
enum status plan_contract(struct ctx *c, const struct contraction *k, struct plan **out);
/* Aggregates that are such sums become them. */
enum status find_contractions(struct ctx *c, struct plan **p);

#endif
