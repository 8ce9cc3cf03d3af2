/* A lookup: rows found by key. Made of the rows of a sub-query, once; then asked by the cells of
 * the query around it, from any thread.
 *
 * Rows are sorted by a 128-bit key, with a directory by its first bits. In memory where they fit;
 * otherwise they stay in a rowset, of which a question reads a few hundred rows. */
#ifndef TESSERA_LOOKUP_H
#define TESSERA_LOOKUP_H
#include "query/func.h"

/* One fixed-size value as it is, mixed (a bijection); several, or texts, as their hash of 128 bits,
 * seeded, so that nobody can choose two that meet. */
struct lookup_key {
    uint64_t hi, lo;
};
/* Keys of the cells of todo (n ≤ LOOKUP_BLOCK) made of the values of all arguments, NULL being one
 * and NaN one. */
#define LOOKUP_BLOCK 1024
enum status lookup_keys(struct ctx *c, const struct operand *args, int n_args, const uint64_t *todo,
                        int64_t n, uint64_t seed, struct lookup_key *out);
/* Clears the bits of the cells with a NULL or a NaN among the arguments: they equal nothing. */
void lookup_comparable(const struct operand *args, int n_args, uint64_t *todo, int64_t n);

struct lookup;
/* n_values 0: only whether there is a row. */
enum status lookup_new(struct ctx *c, const enum type *values, int n_values, const char *tmp_dir,
                       struct lookup **out);
void lookup_free(struct lookup *l); /* NULL allowed */
/* Rows of a chunk; thread-safe. Rows with a NULL or NaN in their key are left out. */
enum status lookup_add(struct ctx *c, struct lookup *l, const struct column *keys, int n_keys,
                       const struct column *values, const uint64_t *present, int64_t n);
/* No more rows. */
enum status lookup_seal(struct ctx *c, struct lookup *l);
uint64_t lookup_seed(const struct lookup *l);
/* Between which words of sortkey.h its keys are, lo > hi: there are none. False: not known. */
bool lookup_range(const struct lookup *l, uint64_t *lo, uint64_t *hi);
/* The row with the key, -1: none. ERR_CARDINALITY when a lookup of values has two. */
enum status lookup_find(struct ctx *c, const struct lookup *l, struct lookup_key key, int64_t *row);
/* Its value in a column. Texts live as long as the lookup, or are in c->scratch. */
enum status lookup_value(struct ctx *c, const struct lookup *l, int64_t row, int column,
                         struct value *out);

#endif
