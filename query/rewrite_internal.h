/* The rules of plan rewriting, one function each; rewrite.c says in which order. Each takes a tree
 * of which every node has one parent and relations of its own, and changes it in place. */
#ifndef TESSERA_REWRITE_INTERNAL_H
#define TESSERA_REWRITE_INTERNAL_H
#include "query/bind_internal.h"

/* Conditions go below what doesn't change which cells they hold for. */
enum status push_filters(struct ctx *c, struct plan **p);
/* Columns made of columns become one step: MAP over MAP, aggregates over MAP. */
void merge_maps(struct ctx *c, struct plan **p);
/* Conditions on one dimension become a narrower region; slices narrow what they are made of. */
enum status narrow_regions(struct ctx *c, struct plan **p, const struct env *env);
/* Makes the plan give no more than the box, where it can: its relation, and those below, then say
 * so. Its cells in the box stay. */
void narrow_to(struct ctx *c, struct plan *p, const struct box *want, const struct env *env);
/* rewrite_reach.c: the box of its input that a node's cells in `want` are made from. Bounds and
 * places are evaluated; where they can't be, a dimension stays whole. */
struct narrowing {
    struct ctx *c;
    const struct env *env;
};
void reach_of_windows(const struct narrowing *n, const struct plan *p, const struct box *want,
                      struct box *out);
void reach_of_groups(const struct plan *p, const struct box *want, struct box *out);
/* Of a fetch's source, beside the cells themselves; false: nothing. */
bool reach_of_points(const struct narrowing *n, const struct plan *p, const struct box *want,
                     struct box *out);
/* Would knowing the values of its E_OUTERs narrow its regions (rewrite_outer.c)? */
bool narrows_by_args(const struct plan *p);
/* Tests for membership of more keys than memory takes become joins. */
void join_all_members(struct ctx *c, struct query *q);
/* What the rules change is the copy's own. args: instead of E_OUTERs in filters; NULL: they stay.
 */
struct plan *plan_copy(struct ctx *c, const struct plan *p, struct expr *const *args);
/* Nodes that give what they are given go. */
void drop_identities(struct plan **p);
/* Only the columns with need[i] set are made, with as few of the inputs' as that takes; map[i] is
 * where column i is now, -1: gone. */
void prune_columns(struct ctx *c, struct plan *p, const bool *need, int *map);
/* A sort by dimensions in their order is none; a limit tells the sort below. */
enum status limit_sorts(struct ctx *c, struct plan **p);
/* Sorts under aggregates that cannot tell go. */
void drop_sorts(struct plan *p);
/* A scan learns the condition above it, to leave tiles out. */
void tell_scans(struct plan *p);

/* The parts of a condition: AND's arguments, or itself. */
int conjuncts(struct expr *e, struct expr ***parts);
struct expr *and_of(struct ctx *c, struct expr **parts, int n);
/* Nodes of an expression as a tree, up to a limit. */
int expr_size(const struct expr *e, int limit);
/* With each E_COL replaced by the expression of its number. */
struct expr *expr_inline(struct ctx *c, const struct expr *e, struct expr *const *cols);

#endif
