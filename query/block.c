/* Which block does each position of a dimension fall into, and where does each begin? */
#include "query/block.h"
#include "storage/base/datetime.h"

#define TIME_MAX (INT64_C(1) << 22) /* positions of a dimension in blocks of time */

static int64_t time_us(const struct value *v)
{
    return v->type == T_DATE ? v->i * US_PER_DAY : v->i;
}

/* Blocks of time, counted from the first cell; those without a cell are left out. */
static enum status lay_times(struct ctx *c, const struct axis *axis, int64_t extent, int64_t stride,
                             struct blocks *b)
{
    struct interval sum = {0};
    int64_t limit = INT64_MIN, origin = 0;
    if (extent > TIME_MAX)
        return fail_at(c, ERR_LIMIT_EXCEEDED, b->pos,
                       "a BLOCK of time takes dimensions of up to %lld positions",
                       (long long)TIME_MAX);
    if (axis_descending(axis))
        return fail_at(c, ERR_INVALID_PARAMETER, b->pos, "a BLOCK of time needs an ascending axis");
    int32_t *block_of = arena_array(c->arena, int32_t, extent + 1);
    int64_t *first_of = arena_array(c->arena, int64_t, extent + 1);
    for (int64_t p = 0; p < extent; p++) {
        bool fresh = p == 0;
        if (p % stride == 0) {
            struct value v = axis_coord(axis, b->lo + p);
            int64_t us = time_us(&v);
            if (p == 0) origin = us;
            while (us >= limit) { /* the first block that ends after this cell */
                sum.months += b->every.months;
                sum.days += b->every.days;
                sum.us += b->every.us;
                TRY(timestamp_add(c, origin, &sum, &limit));
                fresh = true;
            }
        }
        if (fresh) first_of[b->n++] = b->lo + p;
        block_of[p] = (int32_t)(b->n - 1);
    }
    b->block_of = block_of;
    b->first_of = first_of;
    return OK;
}

enum status blocks_lay(struct ctx *c, const struct axis *axis, int64_t lo, int64_t hi,
                       int64_t stride, struct blocks *b)
{
    int64_t extent = hi > lo ? hi - lo : 0, cells = extent / stride + (extent % stride != 0);
    b->lo = lo;
    b->n = 0;
    b->laid = true;
    if (!b->cells) return lay_times(c, axis, extent, stride, b);
    b->n = cells / b->cells + (cells % b->cells != 0);
    b->size = (b->cells < cells ? b->cells : cells ? cells : 1) * stride;
    return OK;
}

enum status blocks_axis(struct ctx *c, const struct axis *axis, const char *name,
                        const struct blocks *b, struct axis *out)
{
    if (!b->block_of && b->cells) return axis_rebase(c, axis, b->lo, b->n, b->size, out);
    size_t bytes = type_bytes(axis->type);
    char *firsts = arena_alloc(c->arena, bytes * (size_t)(b->n + 1));
    for (int64_t g = 0; g < b->n; g++) {
        struct value v = axis_coord(axis, b->first_of[g]);
        value_put(&v, firsts, g);
    }
    return axis_from_coords(c, name, axis->type, firsts, b->n, false, out);
}

/* Values of the dimension's positions, one each, to every cell. */
static void spread(const struct box *box, int dim, size_t width, const char *line, char *out)
{
    int64_t inner = 1, outer = 1, n = box_extent(box, dim);
    for (int d = 0; d < box->n_dims; d++) {
        if (d < dim) outer *= box_extent(box, d);
        if (d > dim) inner *= box_extent(box, d);
    }
    for (int64_t o = 0; o < outer; o++)
        for (int64_t p = 0; p < n; p++)
            for (int64_t i = 0; i < inner; i++, out += width)
                memcpy(out, line + (size_t)p * width, width);
}

enum status blocks_column(struct ctx *c, const struct chunk *ch, int dim, const struct axis *axis,
                          const struct blocks *b, struct column *out)
{
    const struct box *box = &ch->box;
    size_t width = type_bytes(axis->type);
    int64_t n = box_extent(box, dim), block = -1;
    struct value v = {0};
    void *line;
    TRY(column_alloc(c, axis->type, ch->n, out));
    TRY(scratch_alloc(c, (size_t)n * width + 16, &line));
    for (int64_t p = 0; p < n; p++) {
        int64_t at = block_at(b, box->lo[dim] + p);
        if (at != block) v = axis_coord(axis, block_first(b, at));
        block = at;
        value_put(&v, line, p);
    }
    spread(box, dim, width, line, out->values);
    return OK;
}
