/* The rows of a system view: taken once, when the operator opens. */
#include "query/op_classes.h"
#include "query/rowset.h"
#include "query/sysview.h"

struct sys_rows {
    struct op *op;
    struct rowset *rows;
    /* one row as columns, to be appended */
    struct column *cols;
    unsigned char (*values)[16];
    uint64_t *valid;
};

static enum status add_row(struct ctx *c, void *self, const struct value *row, int n)
{
    struct sys_rows *s = self;
    const struct plan *p = s->op->plan;
    for (int i = 0; i < p->rel.n_cols; i++) {
        int from = p->attrs ? p->attrs[i] : i;
        if (from >= n)
            return fail(c, ERR_INTERNAL, "the system view gives %d columns of %d", n, from + 1);
        s->valid[i] = !row[from].null;
        if (s->valid[i]) value_put(&row[from], s->values[i], 0);
    }
    return rowset_append(c, s->rows, s->cols, NULL, 1);
}

static enum status sys_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    int n = p->rel.n_cols;
    struct sys_rows *s = arena_new_of(c->arena, struct sys_rows);
    op->state = s;
    s->op = op;
    s->cols = arena_array(c->arena, struct column, n + 1);
    s->values = arena_alloc(c->arena, sizeof *s->values * (size_t)(n + 1));
    s->valid = arena_array(c->arena, uint64_t, n + 1);
    enum type *types = arena_array(c->arena, enum type, n + 1);
    for (int i = 0; i < n; i++) {
        types[i] = p->rel.cols[i].type;
        s->cols[i] =
            (struct column){.type = types[i], .values = s->values[i], .valid = &s->valid[i]};
    }
    TRY(rowset_new(c, types, n, exec_tmp_dir(op->exec), &s->rows));
    TRY(sys_view_rows(c, exec_txn(op->exec), p->sys_view, add_row, s));
    op->box.lo[0] = 0;
    op->box.hi[0] = rowset_rows(s->rows);
    op->grid[0] = 65536;
    return OK;
}

static enum status sys_produce(struct ctx *c, struct op *op, const struct box *want,
                               struct chunk *out)
{
    const struct sys_rows *s = op->state;
    struct chunk ch;
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(op->plan->rel.n_cols + 1), &cols));
    TRY(rowset_read(c, s->rows, want->lo[0], want->hi[0], NULL, 0, cols));
    ch = (struct chunk){.box = *want,
                        .n = box_extent(want, 0),
                        .n_present = box_extent(want, 0),
                        .n_cols = op->plan->rel.n_cols,
                        .cols = cols,
                        .rel = &op->plan->rel};
    *out = ch;
    return OK;
}

static void sys_close(struct op *op)
{
    struct sys_rows *s = op->state;
    if (!s) return;
    rowset_free(s->rows);
    s->rows = NULL;
}

const struct op_class op_sys_class = {"system view", sys_open, sys_produce, sys_close};
