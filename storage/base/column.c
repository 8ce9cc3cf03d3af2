/* Memory for columns. */
#include "storage/base/column.h"
#include <string.h>

enum status column_alloc(struct ctx *c, enum type type, int64_t n, struct column *out)
{
    size_t bytes;
    void *values;
    if (n < 0 || __builtin_mul_overflow((size_t)n, type_bytes(type), &bytes))
        return fail(c, ERR_MEMORY, "out of memory: a column of %lld values", (long long)n);
    TRY(scratch_alloc(c, bytes, &values));
    if (type_is_varlen(type)) memset(values, 0, bytes);
    *out = (struct column){.type = type, .values = values};
    return OK;
}

enum status column_need_valid(struct ctx *c, struct column *col, int64_t n)
{
    if (col->valid) return OK;
    void *bits;
    size_t bytes = (size_t)bits_words(n) * 8;
    TRY(scratch_alloc(c, bytes, &bits));
    memset(bits, 0xff, bytes);
    col->valid = bits;
    return OK;
}

enum status column_nulls(struct ctx *c, enum type type, int64_t n, struct column *out)
{
    struct column col;
    void *bits;
    TRY(column_alloc(c, type, n, &col));
    memset(col.values, 0, (size_t)n * type_bytes(type));
    TRY(scratch_zeroed(c, (size_t)bits_words(n) * 8, &bits));
    col.valid = bits;
    *out = col;
    return OK;
}

enum status column_keep_text(struct ctx *c, struct column *col, int64_t i)
{
    if (!type_is_varlen(col->type) || column_is_null(col, i)) return OK;
    struct text *t = (struct text *)col->values + i;
    void *copy;
    if (!t->len) return OK;
    TRY(scratch_alloc(c, (size_t)t->len, &copy));
    memcpy(copy, t->s, (size_t)t->len);
    t->s = copy;
    return OK;
}
