/* Each row as often as its last column says: INTERSECT ALL and EXCEPT ALL, whose rows have been
 * counted. */
#include "query/op_classes.h"
#include "query/op_rowset.h"

#define MOST_ROWS 4096 /* appended at once */

struct repeating {
    struct sink sink;
    struct rowset *rows;
};

static enum status repeat(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                          const struct chunk *ch)
{
    (void)worker, (void)seq;
    const struct repeating *r = (struct repeating *)sink;
    const struct column *times = &ch->cols[ch->n_cols - 1];
    int64_t sel[MOST_ROWS], n = 0;
    for (int64_t i = 0; i < ch->n && ch->n_present; i++) {
        if (ch->present && !bit_get(ch->present, i)) continue;
        int64_t left = column_is_null(times, i) ? 0 : ((const int64_t *)times->values)[i];
        for (; left > 0; left--) {
            sel[n++] = i;
            if (n < MOST_ROWS) continue;
            TRY(rowset_append(c, r->rows, ch->cols, sel, n));
            TRY(check_cancel(c));
            n = 0;
        }
    }
    return n ? rowset_append(c, r->rows, ch->cols, sel, n) : OK;
}

static enum status repeat_open(struct ctx *c, struct op *op)
{
    const struct rel *rel = &op->plan->rel;
    struct repeating r = {.sink = {.consume = repeat, .ordered = true}};
    enum type *types = arena_array(c->arena, enum type, rel->n_cols + 1);
    for (int i = 0; i < rel->n_cols; i++)
        types[i] = rel->cols[i].type;
    TRY(rowset_new(c, types, rel->n_cols, exec_tmp_dir(op->exec), &r.rows));
    op->state = r.rows;
    TRY(exec_run(c, op->in[0], NULL, &r.sink));
    op_set_rows(op, r.rows);
    return OK;
}

static enum status repeat_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    return rowset_chunk(c, op->state, &op->plan->rel, &op->box, want, NULL, -1, out);
}

static void repeat_close(struct op *op)
{
    rowset_free(op->state);
    op->state = NULL;
}

const struct op_class op_repeat_class = {"repeat", repeat_open, repeat_produce, repeat_close};
