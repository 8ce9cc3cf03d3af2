/* How do values become text, text values, dates timestamps? And where do texts that cells make
 * lie? */
#include "query/func_cells.h"
#include "storage/base/datetime.h"
#include <string.h>

static const int64_t POOL_BYTES = 16384;

enum status call_text(struct ctx *c, struct call *k, int64_t n, char **out)
{
    if (k->pool->end - k->pool->at < n) {
        int64_t bytes = n > POOL_BYTES ? n : POOL_BYTES;
        void *fresh;
        TRY(scratch_alloc(c, (size_t)bytes, &fresh));
        k->pool->at = fresh;
        k->pool->end = k->pool->at + bytes;
    }
    *out = k->pool->at;
    k->pool->at += n;
    return OK;
}

enum status call_text_dup(struct ctx *c, struct call *k, const void *bytes, size_t n,
                          struct text *out)
{
    char *to = NULL;
    TRY(call_text(c, k, (int64_t)n, &to));
    if (n > 0) memcpy(to, bytes, n);
    *out = (struct text){to, (int64_t)n};
    return OK;
}

enum status cell_cast_to_text(struct ctx *c, struct call *k)
{
    struct strbuf b = STRBUF_INIT;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        strbuf_clear(&b);
        int64_t at = k->arg[0].step * i;
        if (k->arg[0].type == T_BOOL) /* as a value: t; cast to text: true */
            strbuf_adds(&b, ARG(k, 0, uint8_t, i) ? "true" : "false");
        else
            value_format_at(k->arg[0].type, k->arg[0].values, at, &b);
        s = call_text_dup(c, k, b.s, b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}

enum status cell_cast_from_text(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        struct value v;
        TRY(value_parse(c, k->type, ARG(k, 0, struct text, i), &v));
        value_put(&v, k->out, i);
    }
    return OK;
}

enum status cell_cast_date_timestamp(struct ctx *c, struct call *k)
{
    EACH_CELL(k, i)
    {
        int32_t days = ARG(k, 0, int32_t, i);
        int64_t us;
        if (days == DATE_INFINITY)
            us = TIMESTAMP_INFINITY;
        else if (days == DATE_MINUS_INFINITY)
            us = TIMESTAMP_MINUS_INFINITY;
        else if (__builtin_mul_overflow((int64_t)days, US_PER_DAY, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "date out of range for timestamp");
        ((int64_t *)k->out)[i] = us;
    }
    return OK;
}

enum status cell_cast_timestamp_date(struct ctx *c, struct call *k)
{
    (void)c;
    EACH_CELL(k, i)
    {
        int64_t us = ARG(k, 0, int64_t, i);
        int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
        ((int32_t *)k->out)[i] = us == TIMESTAMP_INFINITY         ? DATE_INFINITY
                                 : us == TIMESTAMP_MINUS_INFINITY ? DATE_MINUS_INFINITY
                                                                  : (int32_t)days;
    }
    return OK;
}
