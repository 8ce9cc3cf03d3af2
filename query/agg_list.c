/* Aggregates that string values together, in the order in which they are fed: string_agg,
 * array_agg. Always by way of sorted rows (agg_holistic.c), so a state meets no other. */
#include "query/agg_internal.h"

struct list {
    struct text_ref bytes;
    bool any;
};

/* The separator stands before a text, but the first; NULL is none. */
static enum status string_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                              void *state, const struct agg_block *b)
{
    (void)k;
    struct list *s = state;
    const struct text *x = b->arg[0], *separator = b->arg[1];
    for (int64_t i = 0; i < b->n; i++) {
        if (s->any && !(b->null && b->null[i]))
            TRY(text_heap_append(c, heap, &s->bytes, separator[i].s, separator[i].len));
        TRY(text_heap_append(c, heap, &s->bytes, x[i].s, x[i].len));
        s->any = true;
    }
    return OK;
}

static enum status array_run(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                             void *state, const struct agg_block *b)
{
    struct list *s = state;
    for (int64_t i = 0; b->null && i < b->n; i++) {
        if (!b->null[i]) continue;
        fail_at(c, ERR_UNSUPPORTED, k->pos, "array_agg met a NULL, and lists hold none");
        return hint(c, "array_agg(x) FILTER (WHERE x IS NOT NULL)");
    }
    s->any |= b->n > 0;
    return text_heap_append(c, heap, &s->bytes, b->arg[0], b->n * (int64_t)sizeof(int64_t));
}

static enum status list_finish(struct ctx *c, const struct agg_bound *k, const void *state,
                               struct column *out, int64_t i)
{
    (void)c, (void)k;
    const struct list *s = state;
    if (!s->any)
        column_put_null(out, i);
    else
        ((struct text *)out->values)[i] = (struct text){s->bytes.s ? s->bytes.s : "", s->bytes.len};
    return OK;
}

const struct agg_ops *agg_list_ops(enum agg_id id)
{
    static const struct agg_ops string = {.state_bytes = sizeof(struct list),
                                          .empty_is_zero = true,
                                          .run = string_run,
                                          .finish = list_finish};
    static const struct agg_ops array = {.state_bytes = sizeof(struct list),
                                         .empty_is_zero = true,
                                         .run = array_run,
                                         .finish = list_finish};
    return id == AGG_STRING_AGG ? &string : &array;
}
