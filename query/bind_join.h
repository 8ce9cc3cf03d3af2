/* What the two files that bind joins share: bind_join.c reads the conditions and joins arrays whose
 * dimensions line up, bind_join_value.c joins by value and ASOF. */
#ifndef TESSERA_BIND_JOIN_H
#define TESSERA_BIND_JOIN_H
#include "query/bind_internal.h"

/* One condition of a join. While ON is bound, the second item's dimensions and columns count on
 * from the first's. */
enum part_kind {
    PART_PAIR, /* dimension = dimension */
    PART_KEY,  /* left = right: an expression of one side each */
    PART_REST
};
struct join_part {
    enum part_kind kind;
    struct expr *e;            /* the condition; NULL: USING's and NATURAL's */
    struct expr *left, *right; /* PAIR, KEY: the sides, of one type, over both */
    const char *name;          /* USING, NATURAL */
};

struct joining {
    struct binder *b;
    const struct ast_from *f;
    enum join_kind kind;
    int pos;
    struct scope *first, *second; /* as written */
    struct scope *left, *right;   /* RIGHT on dimensions: the other way round, as LEFT */
    struct scope both;            /* their columns, before the join */
    int first_cols; /* columns of the first one's plan, that the second's count on from */
    int n_parts;
    struct join_part *parts;
    int n_pairs;
    int pair_left[MAX_DIMS], pair_right[MAX_DIMS];
    bool named[MAX_DIMS];    /* of pairs: by USING or NATURAL */
    int out_dim[MAX_DIMS];   /* of right dimensions, in the join */
    int coord_col[MAX_DIMS]; /* the right's column with that coordinate; -1 */
    int pos_col[MAX_DIMS];   /* and with its position */
    bool *nearest;           /* of pairs: ALIGN NEAREST paired them */
};

/* bind_join_value.c */
enum status join_by_value(struct joining *j, struct scope *out);
enum status join_asof(struct joining *j, struct scope *out);
/* FULL of arrays whose dimensions are all paired by name: an array over the unions of their axes.
 */
enum status join_full(struct joining *j, struct scope *out);
#define NEAREST_MAX (INT64_C(1) << 22) /* positions looked up one by one */
/* Where an axis's positions are on another one, by coordinate; -1: nowhere. */
enum status join_axis_map(struct ctx *c, const struct axis *all, const struct axis *one,
                          const int64_t **out);
/* The axis that a sub-query of the slice would have. */
enum status join_own_axis(struct ctx *c, const struct rel_dim *d, struct axis *out);
/* Which sides an expression over both is made of. */
struct sides {
    const struct joining *j;
    bool left, right;
};
struct sides sides_of(const struct joining *j, const struct expr *e);
/* Columns of both scopes, for ON; items of the second after those of the first. */
void both_scopes(const struct joining *j, struct scope *out);

#endif
