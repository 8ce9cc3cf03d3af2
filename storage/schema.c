/* Where is a name in an array's schema, and how large should its tiles be? */
#include "storage/schema.h"
#include <string.h>

int schema_dim(const struct schema *s, const char *name)
{
    for (int d = 0; d < s->n_dims; d++) {
        if (strcmp(s->dims[d].name, name) == 0) return d;
    }
    return -1;
}

int schema_attr(const struct schema *s, const char *name)
{
    for (int a = 0; a < s->n_attrs; a++) {
        if (strcmp(s->attrs[a].name, name) == 0) return a;
    }
    return -1;
}

void schema_box(const struct schema *s, struct box *out)
{
    out->n_dims = s->n_dims;
    for (int d = 0; d < s->n_dims; d++) {
        out->lo[d] = s->dims[d].axis.lo;
        out->hi[d] = s->dims[d].axis.hi;
    }
}

void schema_tile_extents(const struct schema *s, int64_t *extents)
{
    for (int d = 0; d < s->n_dims; d++)
        extents[d] = s->dims[d].tile;
}

/* A tile keeps a text as a code of 4 bytes. */
static int64_t stored_bytes(enum type t)
{
    return type_is_varlen(t) ? 4 : (int64_t)type_bytes(t);
}

/* The most positions a tile may need along a dimension; INT64_MAX where the axis can grow. */
static int64_t longest(const struct axis *a)
{
    if (!a->grows) return axis_len(a) > 0 ? axis_len(a) : 1;
    int64_t length;
    bool declared = a->limit_lo != INT64_MIN && a->limit_hi != INT64_MAX &&
                    !__builtin_sub_overflow(a->limit_hi, a->limit_lo, &length) && length > 0;
    return declared ? length : INT64_MAX;
}

static int64_t nth_root(int64_t x, int n)
{
    int64_t r = 1;
    for (;;) {
        int64_t power = 1;
        for (int i = 0; i < n && power <= x; i++)
            power *= r + 1;
        if (power > x) return r;
        r++;
    }
}

/* A tile of an axis so long that it would not divide evenly: fewer, equal tiles waste less at the
 * edge. */
static int64_t even_tile(int64_t length, int64_t tile)
{
    if (length == INT64_MAX || tile >= length) return tile < length ? tile : length;
    int64_t n_tiles = (length + tile - 1) / tile;
    return (length + n_tiles - 1) / n_tiles;
}

void schema_choose_tiles(struct schema *s, int64_t target_bytes)
{
    int64_t widest = 1, budget;
    for (int a = 0; a < s->n_attrs; a++) {
        int64_t bytes = stored_bytes(s->attrs[a].type);
        if (bytes > widest) widest = bytes;
    }
    budget = target_bytes / widest;
    bool open[MAX_DIMS];
    int n_open = 0;
    for (int d = 0; d < s->n_dims; d++) {
        open[d] = s->dims[d].tile == 0;
        if (open[d])
            n_open++;
        else
            budget /= s->dims[d].tile < budget ? s->dims[d].tile : budget;
    }
    /* Shortest axes first: what they leave unused makes the others longer, growing ones most. */
    while (n_open > 0) {
        int best = -1;
        for (int d = 0; d < s->n_dims; d++) {
            if (open[d] && (best < 0 || longest(&s->dims[d].axis) < longest(&s->dims[best].axis)))
                best = d;
        }
        int64_t side = nth_root(budget, n_open), length = longest(&s->dims[best].axis);
        int64_t tile = even_tile(length, side);
        s->dims[best].tile = tile;
        budget /= tile;
        open[best] = false;
        n_open--;
    }
}

bool schema_numbers(const struct schema *s)
{
    return s->is_table || (s->n_dims == 1 && s->dims[0].serial);
}
