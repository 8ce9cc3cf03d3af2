/* Rows after rows: UNION ALL. Inputs that are lists of rows are served as they are; of others the
 * cells are gathered first, in row-major order. */
#include "query/op_classes.h"
#include "query/op_rowset.h"

struct part {
    struct rowset *rows; /* NULL: the input itself */
    int64_t first, n;    /* its rows in the result */
};
struct concat {
    int n;
    struct part *parts;
};

static enum status concat_open(struct ctx *c, struct op *op)
{
    struct concat *s = arena_new_of(c->arena, struct concat);
    s->parts = arena_array(c->arena, struct part, op->n_in + 1);
    op->state = s;
    int64_t total = 0;
    for (int i = 0; i < op->n_in; i++) {
        struct part *p = &s->parts[i];
        struct op *in = op->in[i];
        s->n = i + 1;
        p->first = total;
        if (in->box.n_dims != 1) TRY(rowset_gather(c, in, 0, -1, exec_tmp_dir(op->exec), &p->rows));
        double texts = p->rows ? rowset_text_bytes(p->rows) : 0;
        if (texts > op->text_bytes) op->text_bytes = texts;
        p->n = p->rows ? rowset_rows(p->rows) : box_cells(&in->box);
        if (__builtin_add_overflow(total, p->n, &total))
            return fail(c, ERR_LIMIT_EXCEEDED, "too many rows");
    }
    op->box = (struct box){.n_dims = 1, .hi = {total}};
    op->grid[0] = SERVED_ROWS;
    return OK;
}

static void concat_close(struct op *op)
{
    struct concat *s = op->state;
    for (int i = 0; s && i < s->n; i++) {
        rowset_free(s->parts[i].rows);
        s->parts[i].rows = NULL;
    }
}

/* Rows [lo, hi) of a part. */
static enum status produce_part(struct ctx *c, struct op *op, int i, int64_t lo, int64_t hi,
                                struct chunk *out)
{
    const struct concat *s = op->state;
    const struct part *p = &s->parts[i];
    struct box want = {.n_dims = 1, .lo = {lo}, .hi = {hi}}, all = {.n_dims = 1, .hi = {p->n}};
    if (p->rows) return rowset_chunk(c, p->rows, &op->plan->rel, &all, &want, NULL, -1, out);
    want.lo[0] += op->in[i]->box.lo[0];
    want.hi[0] += op->in[i]->box.lo[0];
    return op_produce(c, op->in[i], &want, out);
}

/* The part's chunk to cells from `at` of the whole one. */
static enum status copy_part(struct ctx *c, const struct chunk *part, int64_t at,
                             struct chunk *whole)
{
    if (part->n_present < part->n) {
        TRY(chunk_need_present(c, whole));
        if (part->n_present == 0)
            bits_fill(whole->present, at, part->n, false);
        else
            bits_copy(whole->present, at, part->present, 0, part->n);
        whole->n_present -= part->n - part->n_present;
    }
    for (int i = 0; part->n_present && i < whole->n_cols; i++) {
        struct column *to = &whole->cols[i];
        const struct column *from = &part->cols[i];
        size_t width = type_bytes(to->type);
        memcpy((char *)to->values + (size_t)at * width, from->values, (size_t)part->n * width);
        if (!from->valid) continue;
        TRY(column_need_valid(c, to, whole->n));
        bits_copy(to->valid, at, from->valid, 0, part->n);
    }
    return OK;
}

static enum status concat_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    const struct concat *s = op->state;
    struct chunk whole = {0};
    bool copying = false;
    for (int i = 0; i < s->n; i++) {
        const struct part *p = &s->parts[i];
        int64_t lo = want->lo[0] > p->first ? want->lo[0] : p->first;
        int64_t hi = want->hi[0] < p->first + p->n ? want->hi[0] : p->first + p->n;
        if (lo >= hi) continue;
        struct chunk part;
        if (!copying && hi - lo == box_cells(want)) {
            TRY(produce_part(c, op, i, lo - p->first, hi - p->first, &part));
            part.box = *want;
            part.rel = &op->plan->rel;
            *out = part;
            return OK;
        }
        if (!copying) TRY(chunk_alloc(c, &op->plan->rel, want, &whole));
        copying = true;
        TRY(produce_part(c, op, i, lo - p->first, hi - p->first, &part));
        TRY(copy_part(c, &part, lo - want->lo[0], &whole));
    }
    *out = whole;
    return OK;
}

const struct op_class op_concat_class = {"append", concat_open, concat_produce, concat_close};
