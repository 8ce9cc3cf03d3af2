/* A context of its own for each test (and thread) of the storage layer, and values to test with. */
#ifndef TESSERA_STORAGE_CTX_H
#define TESSERA_STORAGE_CTX_H
#include "storage/base/ctx.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct test_ctx {
    struct ctx c;
    struct budget budget;
};

static inline void test_ctx_open(struct test_ctx *t, struct budget *parent)
{
    memset(t, 0, sizeof *t);
    budget_init(&t->budget, parent, 0);
    t->c.arena = arena_new();
    t->c.budget = &t->budget;
    t->c.scratch = scratch_new(&t->budget);
    t->c.err.position = -1;
}

static inline void test_ctx_close(struct test_ctx *t)
{
    scratch_free(t->c.scratch);
    arena_free(t->c.arena);
}

static inline uint64_t test_random(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline void test_fill_random(void *p, size_t n, uint64_t seed)
{
    for (uint8_t *at = p, *end = at + n; at < end; at++)
        *at = (uint8_t)test_random(&seed);
}

static inline void test_fill_smooth(double *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        v[i] = 15.0 + 10.0 * sin((double)i / 1000.0);
}

#endif
