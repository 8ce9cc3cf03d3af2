/* The first rows, after an offset: in row-major order where nothing else was said. Stops the input
 * as soon as there are enough.
 *
 * As a list of rows the result is gathered; where the array's dimensions stay, cells before and
 * after the wanted ones become EMPTY, and only where they lie is kept. */
#include "query/op_classes.h"
#include "query/op_rowset.h"

struct limit {
    struct rowset *rows; /* NULL: the dimensions stay */
    struct box all;      /* of the input */
    int64_t lo, hi;      /* row-major numbers of the cells that stay */
};

static enum status count_of(struct ctx *c, struct op *op, const struct expr *e, const char *what,
                            int64_t none, int64_t *out)
{
    struct value v;
    *out = none;
    if (!e) return OK;
    TRY(expr_eval_const(c, e, exec_env(op->exec), &v));
    if (v.null) return OK;
    TRY(value_cast(c, &v, T_INT64, &v));
    bool is_offset = !strcmp(what, "OFFSET");
    if (v.i < 0)
        return fail_at(c, is_offset ? ERR_INVALID_OFFSET : ERR_INVALID_LIMIT, e->pos,
                       "%s must not be negative", what);
    *out = v.i;
    return OK;
}

enum status limit_of(struct ctx *c, struct op *op, int64_t *limit, int64_t *offset)
{
    TRY(count_of(c, op, op->plan->limit, "LIMIT", -1, limit));
    return count_of(c, op, op->plan->offset, "OFFSET", 0, offset);
}

/* ---- where the wanted cells are ---- */

struct finding {
    struct sink sink;
    struct limit *l;
    int64_t skip, left; /* left negative: all */
};

/* The n-th (from 0) cell of the chunk that exists. */
static int64_t nth_cell(const struct chunk *ch, int64_t n)
{
    if (!ch->present) return n;
    int64_t i = bits_next(ch->present, 0, ch->n);
    while (n-- > 0)
        i = bits_next(ch->present, i + 1, ch->n);
    return i;
}

static int64_t rank_of(const struct chunk *ch, const struct box *all, int64_t cell)
{
    int64_t pos[MAX_DIMS];
    box_position(&ch->box, cell, pos);
    return box_index(all, pos);
}

static enum status find(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                        const struct chunk *ch)
{
    (void)c, (void)worker, (void)seq;
    struct finding *f = (struct finding *)sink;
    int64_t n = ch->n_present;
    if (f->skip >= n && n > 0) {
        f->skip -= n;
        return OK;
    }
    if (n == 0) return OK;
    if (f->l->lo < 0) f->l->lo = rank_of(ch, &f->l->all, nth_cell(ch, f->skip));
    n -= f->skip;
    if (f->left >= 0 && n >= f->left) {
        f->l->hi = rank_of(ch, &f->l->all, nth_cell(ch, f->skip + f->left - 1)) + 1;
        f->left = 0;
    } else if (f->left >= 0) {
        f->left -= n;
    }
    f->skip = 0;
    if (f->left <= 0) atomic_store(&f->sink.done, true);
    return OK;
}

static enum status find_cells(struct ctx *c, struct op *op, struct limit *l, int64_t limit,
                              int64_t offset)
{
    l->all = op->box = op->in[0]->box;
    memcpy(op->grid, op->in[0]->grid, sizeof op->grid);
    l->lo = -1;
    l->hi = INT64_MAX;
    struct finding f = {
        .sink = {.consume = find, .ordered = true}, .l = l, .skip = offset, .left = limit};
    if (limit != 0 && (limit > 0 || offset > 0)) TRY(exec_run(c, op->in[0], NULL, &f.sink));
    if (limit < 0 && offset == 0) l->lo = 0;
    if (l->lo < 0) l->lo = l->hi = 0;
    return OK;
}

/* A list of rows has one dimension, without a name. */
static bool keeps_dims(const struct rel *out, const struct rel *in)
{
    return out->n_dims == in->n_dims && (out->n_dims != 1 || out->dims[0].name);
}

static enum status limit_open(struct ctx *c, struct op *op)
{
    struct limit *l = arena_new_of(c->arena, struct limit);
    int64_t limit, offset;
    op->state = l;
    TRY(limit_of(c, op, &limit, &offset));
    if (keeps_dims(&op->plan->rel, &op->in[0]->plan->rel))
        return find_cells(c, op, l, limit, offset);
    TRY(rowset_gather(c, op->in[0], offset, limit, exec_tmp_dir(op->exec), &l->rows));
    op_set_rows(op, l->rows);
    return OK;
}

static enum status limit_produce(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    const struct limit *l = op->state;
    if (l->rows) return rowset_chunk(c, l->rows, &op->plan->rel, &op->box, want, NULL, -1, out);
    int64_t last = box_cells(want) - 1, pos[MAX_DIMS];
    box_position(want, last, pos);
    int64_t from = box_index(&l->all, want->lo), to = box_index(&l->all, pos);
    if (to < l->lo || from >= l->hi) {
        chunk_empty(&op->plan->rel, want, out);
        return OK;
    }
    struct chunk ch;
    TRY(op_produce(c, op->in[0], want, &ch));
    ch.rel = &op->plan->rel;
    if (ch.n_present && (from < l->lo || to >= l->hi)) {
        void *ranks;
        TRY(scratch_alloc(c, (size_t)ch.n * sizeof(int64_t), &ranks));
        chunk_ranks(&ch, &l->all, ranks);
        TRY(chunk_need_present(c, &ch));
        for (int64_t i = 0; i < ch.n; i++) {
            int64_t rank = ((int64_t *)ranks)[i];
            if (rank < l->lo || rank >= l->hi) bit_clear(ch.present, i);
        }
        ch.n_present = bits_count(ch.present, 0, ch.n);
    }
    *out = ch;
    return OK;
}

static void limit_close(struct op *op)
{
    struct limit *l = op->state;
    if (!l) return;
    rowset_free(l->rows);
    l->rows = NULL;
}

const struct op_class op_limit_class = {"limit", limit_open, limit_produce, limit_close};
