/* bit_and, bit_or, bit_xor of integers. */
#include "query/agg_internal.h"

struct bits {
    uint64_t v; /* of which as many low bytes count as the type has */
    int64_t n;
};

static inline uint64_t bits_at(enum type t, const void *x, int64_t i)
{
    switch (type_bytes(t)) {
    case 1:
        return ((const uint8_t *)x)[i];
    case 2:
        return ((const uint16_t *)x)[i];
    case 4:
        return ((const uint32_t *)x)[i];
    default:
        return ((const uint64_t *)x)[i];
    }
}

static inline void add(enum agg_id id, struct bits *s, uint64_t x, int64_t n)
{
    if (!s->n)
        s->v = x;
    else if (id == AGG_BIT_AND)
        s->v &= x;
    else if (id == AGG_BIT_OR)
        s->v |= x;
    else
        s->v ^= x;
    s->n += n;
}

static enum status bits_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                            void *state, const struct agg_block *b)
{
    (void)c, (void)heap;
    for (int64_t i = 0; i < b->n; i++)
        add(k->agg->id, state, bits_at(k->types[0], b->arg[0], i), 1);
    return OK;
}

static enum status bits_scatter(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                                void *states, const int32_t *g, const struct agg_block *b)
{
    (void)c, (void)heap;
    for (int64_t i = 0; i < b->n; i++)
        add(k->agg->id, (struct bits *)states + g[i], bits_at(k->types[0], b->arg[0], i), 1);
    return OK;
}

static enum status bits_merge(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                              void *state, const void *other)
{
    (void)c, (void)heap;
    const struct bits *o = other;
    if (o->n) add(k->agg->id, state, o->v, o->n);
    return OK;
}

static enum status bits_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                               struct column *out, int64_t i)
{
    (void)c;
    const struct bits *s = state;
    size_t width = type_bytes(k->types[0]);
    if (!s->n)
        column_put_null(out, i);
    else /* little-endian: the low bytes */
        memcpy((char *)out->values + (size_t)i * width, &s->v, width);
    return OK;
}

const struct agg_ops *agg_bits_ops(void)
{
    static const struct agg_ops ops = {.state_bytes = sizeof(struct bits),
                                       .empty_is_zero = true,
                                       .run = bits_run,
                                       .scatter = bits_scatter,
                                       .merge = bits_merge,
                                       .finish = bits_finish};
    return &ops;
}
