/* Each row once: groups of all columns, sorted by value. */
#include "query/agg_internal.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"

struct distinct_sink {
    struct sink sink;
    struct hashagg *seen;
};

static enum status consume(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                           const struct chunk *ch)
{
    (void)seq;
    struct distinct_sink *s = (struct distinct_sink *)sink;
    return hashagg_add(c, s->seen, worker, ch->cols, ch->present, NULL, ch->n);
}

static enum status distinct_open(struct ctx *c, struct op *op)
{
    const struct rel *rel = &op->plan->in[0]->rel;
    struct distinct_sink s = {.sink = {.consume = consume}};
    struct rowset *rows = NULL;
    enum type *types = arena_array(c->arena, enum type, rel->n_cols + 1);
    for (int i = 0; i < rel->n_cols; i++)
        types[i] = rel->cols[i].type;
    TRY(hashagg_new(c, types, rel->n_cols, NULL, pool_width(c), memory_share(c, 4),
                    exec_tmp_dir(op->exec), &s.seen));
    enum status st = exec_run(c, op->in[0], NULL, &s.sink);
    if (st == OK) st = hashagg_finish(c, s.seen, &rows);
    hashagg_free(s.seen);
    TRY(st);
    op->state = rows;
    op_set_rows(op, rows);
    return OK;
}

static enum status distinct_produce(struct ctx *c, struct op *op, const struct box *want,
                                    struct chunk *out)
{
    return rowset_chunk(c, op->state, &op->plan->rel, &op->box, want, NULL, -1, out);
}

static void distinct_close(struct op *op)
{
    rowset_free(op->state);
    op->state = NULL;
}

const struct op_class op_distinct_class = {"distinct", distinct_open, distinct_produce,
                                           distinct_close};
