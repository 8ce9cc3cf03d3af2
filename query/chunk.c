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

enum status chunk_cut(struct ctx *c, const struct chunk *in, const struct box *want,
                      struct chunk *out)
{
    struct chunk ch;
    void *mem;
    if (box_equal(&in->box, want)) {
        *out = *in;
        return OK;
    }
    chunk_empty(in->rel, want, &ch);
    ch.n_cols = in->n_cols;
    if (in->n_present) ch.n_present = ch.n;
    size_t bytes = (size_t)bits_words(ch.n) * 8;
    if (in->present && in->n_present) {
        TRY(scratch_zeroed(c, bytes, &mem));
        ch.present = mem;
        box_copy_bits(ch.present, want, in->present, &in->box, want);
        ch.n_present = bits_count(ch.present, 0, ch.n);
        if (ch.n_present == ch.n) ch.present = NULL;
    }
    TRY(columns_of(c, in->n_cols, &ch.cols));
    for (int i = 0; i < in->n_cols && ch.n_present; i++) {
        const struct column *from = &in->cols[i];
        struct column *to = &ch.cols[i];
        TRY(column_alloc(c, from->type, ch.n, to));
        box_copy(to->values, want, from->values, &in->box, want, type_bytes(from->type));
        if (!from->valid) continue;
        TRY(scratch_zeroed(c, bytes, &mem));
        to->valid = mem;
        box_copy_bits(to->valid, want, from->valid, &in->box, want);
    }
    *out = ch;
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
