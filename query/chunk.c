/* How do chunks come to be, and what are the coordinates of their cells? */
#include "query/chunk.h"
#include <string.h>

void rel_box(const struct rel *r, struct box *out)
{
    out->n_dims = r->n_dims;
    for (int d = 0; d < r->n_dims; d++) {
        out->lo[d] = r->dims[d].lo;
        out->hi[d] = r->dims[d].hi;
    }
}

static enum status columns_of(struct ctx *c, int n, struct column **out)
{
    void *cols;
    TRY(scratch_alloc(c, (size_t)(n > 0 ? n : 1) * sizeof(struct column), &cols));
    memset(cols, 0, (size_t)n * sizeof(struct column));
    *out = cols;
    return OK;
}

enum status chunk_alloc(struct ctx *c, const struct rel *rel, const struct box *box,
                        struct chunk *out)
{
    int64_t n = box_cells(box);
    struct chunk ch = {.box = *box, .n = n, .n_present = n, .n_cols = rel->n_cols, .rel = rel};
    TRY(columns_of(c, rel->n_cols, &ch.cols));
    for (int i = 0; i < rel->n_cols; i++)
        TRY(column_alloc(c, rel->cols[i].type, n, &ch.cols[i]));
    *out = ch;
    return OK;
}

void chunk_empty(const struct rel *rel, const struct box *box, struct chunk *out)
{
    *out = (struct chunk){.box = *box, .n = box_cells(box), .rel = rel};
}

enum status chunk_need_present(struct ctx *c, struct chunk *ch)
{
    if (ch->present) return OK;
    size_t bytes = (size_t)bits_words(ch->n) * 8;
    void *bits;
    TRY(scratch_alloc(c, bytes, &bits));
    memset(bits, 0xff, bytes);
    ch->present = bits;
    return OK;
}

void chunk_coords(const struct chunk *ch, int d, const struct axis *axis, void *values)
{
    int64_t inner = 1;
    for (int k = d + 1; k < ch->box.n_dims; k++)
        inner *= box_extent(&ch->box, k);
    int64_t extent = box_extent(&ch->box, d);
    if (ch->n == 0) return;
    size_t bytes = axis ? type_bytes(axis->type) : 8;
    char *at = values;
    /* One run over the dimension, its values then spread out from the last to the first. */
    if (axis) {
        axis_coords(axis, ch->box.lo[d], extent, 1, values);
    } else {
        for (int64_t i = 0; i < extent; i++)
            ((int64_t *)values)[i] = ch->box.lo[d] + i;
    }
    if (inner > 1) {
        char one[16];
        for (int64_t i = extent - 1; i >= 0; i--) {
            memcpy(one, at + (size_t)i * bytes, bytes);
            for (int64_t k = 0; k < inner; k++)
                memcpy(at + (size_t)(i * inner + k) * bytes, one, bytes);
        }
    }
    size_t slab = (size_t)(extent * inner) * bytes, all = (size_t)ch->n * bytes;
    for (size_t done = slab; done < all; done += slab)
        memcpy(at + done, at, slab);
}
