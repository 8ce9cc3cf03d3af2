/* Numbers that look random, each of a counter: the same whoever asks, in whatever order. */
#ifndef TESSERA_MIX_H
#define TESSERA_MIX_H
#include <stdint.h>

/* A strong mixing of 64 bits (the finaliser of SplitMix64). */
static inline uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline uint64_t mix_in(uint64_t h, int64_t position)
{
    return mix(h ^ mix((uint64_t)position + 0x9e3779b97f4a7c15u));
}

static inline uint64_t hash_seed(int64_t seed)
{
    return mix((uint64_t)seed + 0x632be59bd9b4e019u);
}

/* In [0, 1), of 53 bits. */
static inline double unit(uint64_t h)
{
    return (double)(h >> 11) * 0x1p-53;
}

#endif
