/* Sort keys: values of any type as 64-bit words whose unsigned order is the language's. NaN comes
 * after all numbers, -0.0 is 0.0, intervals compare by PostgreSQL's length; a text gives its first
 * eight bytes, so that equal words of texts want a look at the rest. NULL is the caller's matter.
 */
#ifndef TESSERA_SORTKEY_H
#define TESSERA_SORTKEY_H
#include "storage/base/types.h"

/* Words of n values. */
void sortkey_encode(enum type t, const void *values, int64_t n, uint64_t *words);
/* The same for values[sel[i]]. */
void sortkey_encode_sel(enum type t, const void *values, const int32_t *sel, int64_t n,
                        uint64_t *words);
/* Back; not for texts. An interval comes back in whole months, days and the rest. */
void sortkey_decode(enum type t, const uint64_t *words, int64_t n, void *values);
/* Bytewise; a prefix comes first. */
int text_order(struct text a, struct text b);
uint64_t text_mix(struct text t);
/* Mixes a word into a hash. */
static inline uint64_t hash_mix(uint64_t h, uint64_t w)
{
    __extension__ typedef unsigned __int128 u128;
    u128 m = (u128)(h ^ w ^ UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xd6e8feb86659fd93);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

#endif
