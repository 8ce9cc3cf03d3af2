/* Grouping by values: the sink that fills hash tables, and what is left to do with their sorted
 * groups. */
#include "query/op_aggregate.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "storage/base/strbuf.h"

struct hash_sink {
    struct sink sink;
    struct aggregate *a;
    struct hashagg *groups;
};

static const struct axis *axis_of_key(const struct aggregate *a, int k)
{
    return a->op->plan->in[0]->rel.dims[a->op->plan->keys[k].dim].axis;
}

/* Blocks of axes that are known by now only. */
static enum status lay_blocks(struct ctx *c, struct aggregate *a)
{
    const struct plan *p = a->op->plan;
    a->blocks = arena_array(c->arena, struct blocks, p->n_keys);
    for (int k = 0; k < p->n_keys; k++) {
        if (p->keys[k].e) continue;
        int d = p->keys[k].dim;
        const struct box *box = &a->op->in[0]->box;
        a->blocks[k] = *p->keys[k].blocks;
        if (a->blocks[k].laid) continue;
        if (!axis_of_key(a, k))
            return fail_at(c, ERR_UNSUPPORTED, a->blocks[k].pos,
                           "BLOCK takes a dimension with coordinates");
        TRY(blocks_lay(c, axis_of_key(a, k), box->lo[d], box->hi[d], p->in[0]->rel.dims[d].stride,
                       &a->blocks[k]));
    }
    return OK;
}

/* The keys' columns, from the program's and from positions. */
static enum status key_columns(struct ctx *c, const struct aggregate *a, const struct chunk *ch,
                               const struct column *cols, struct column **out)
{
    const struct plan *p = a->op->plan;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)p->n_keys, &mem));
    *out = mem;
    int slot = a->n_slots;
    for (int k = p->n_keys - 1; k >= 0; k--) {
        if (p->keys[k].e)
            (*out)[k] = cols[--slot];
        else
            TRY(blocks_column(c, ch, p->keys[k].dim, axis_of_key(a, k), &a->blocks[k], &(*out)[k]));
    }
    return OK;
}

static enum status add_piece(struct ctx *c, struct hash_sink *s, int worker, const struct chunk *ch)
{
    struct aggregate *a = s->a;
    struct column *keys;
    struct agg_input in;
    TRY(key_columns(c, a, ch, ch->cols, &keys));
    TRY(agg_input_make(c, &a->set, ch, ch->cols, &a->op->in[0]->box, &in));
    TRY(hashagg_add(c, s->groups, worker, keys, ch->present, &in, ch->n));
    for (int i = 0; i < a->set.n; i++)
        if (a->holistic[i]) TRY(holistic_add(c, a->holistic[i], worker, keys, &in, &in.calls[i]));
    return OK;
}

static enum status consume(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                           const struct chunk *ch)
{
    (void)seq;
    struct hash_sink *s = (struct hash_sink *)sink;
    struct pieces *pieces;
    const struct chunk *piece;
    TRY(pieces_open(c, s->a->program, ch, PIECE_WIDE, &pieces));
    for (;;) {
        TRY(pieces_next(c, pieces, &piece));
        if (!piece) return OK;
        TRY(add_piece(c, s, worker, piece));
    }
}

static enum status duplicate(struct ctx *c, const struct aggregate *a, const struct column *cols,
                             int64_t row)
{
    const struct plan *p = a->op->plan;
    struct strbuf keys = STRBUF_INIT;
    for (int k = 0; k < p->n_keys; k++) {
        strbuf_addf(&keys, "%s%s = ", k ? ", " : "", p->rel.cols[k].name);
        if (column_is_null(&cols[k], row))
            strbuf_adds(&keys, "NULL");
        else
            value_format_at(cols[k].type, cols[k].values, row, &keys);
    }
    enum status s = aggregate_duplicate(c, a, keys.s ? keys.s : "");
    strbuf_release(&keys);
    return s;
}

/* Rows of the sorted groups: holistic results in place of counts, and no group of two cells where
 * that is an error. */
static enum status finish_block(struct ctx *c, struct aggregate *a, const struct rowset *groups,
                                int64_t lo, int64_t hi, struct rowset *out)
{
    int n_keys = a->op->plan->n_keys;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_keys + 1 + a->set.n), &mem));
    struct column *cols = mem;
    TRY(rowset_read(c, groups, lo, hi, NULL, 0, cols));
    const int64_t *cells = cols[n_keys].values;
    for (int64_t i = 0; a->unique && i < hi - lo; i++)
        if (cells[i] > 1) return duplicate(c, a, cols, i);
    TRY(aggregate_holistic_results(c, a, cols + n_keys + 1, hi - lo));
    return rowset_append(c, out, cols, NULL, hi - lo);
}

static enum status finish_groups(struct ctx *c, struct aggregate *a, struct rowset *groups)
{
    int n_keys = a->op->plan->n_keys;
    enum type *types = arena_array(c->arena, enum type, n_keys + 1 + a->set.n);
    for (int k = 0; k <= n_keys; k++)
        types[k] = rowset_type(groups, k);
    for (int i = 0; i < a->set.n; i++) {
        types[n_keys + 1 + i] = a->set.calls[i].result;
        if (a->holistic[i]) TRY(holistic_finish(c, a->holistic[i], NULL, 0));
    }
    TRY(rowset_new(c, types, n_keys + 1 + a->set.n, exec_tmp_dir(a->op->exec), &a->result));
    int64_t n = rowset_rows(groups);
    for (int64_t lo = 0; lo < n; lo += AGG_BLOCK) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(check_cancel(c));
        TRY(finish_block(c, a, groups, lo, lo + AGG_BLOCK < n ? lo + AGG_BLOCK : n, a->result));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

enum status aggregate_hash(struct ctx *c, struct aggregate *a)
{
    const struct plan *p = a->op->plan;
    struct hash_sink s = {.sink = {.consume = consume, .cell_bytes = 16}, .a = a};
    struct rowset *groups = NULL;
    bool more = a->unique;
    enum type *types = arena_array(c->arena, enum type, p->n_keys);
    for (int k = 0; k < p->n_keys; k++) {
        types[k] = p->rel.cols[k].type;
        a->cols[k] = k;
    }
    for (int i = 0; i < a->set.n; i++) {
        a->cols[p->n_keys + i] = p->n_keys + 1 + i;
        more |= a->set.calls[i].holistic;
    }
    TRY(lay_blocks(c, a));
    TRY(aggregate_holistic_new(c, a, types, p->n_keys));
    enum status st = hashagg_new(c, types, p->n_keys, &a->set, a->n_workers, memory_share(c, 4),
                                 exec_tmp_dir(a->op->exec), &s.groups);
    if (st == OK) st = exec_run(c, a->op->in[0], NULL, &s.sink);
    if (st == OK) st = hashagg_finish(c, s.groups, &groups);
    hashagg_free(s.groups);
    if (st == OK && more)
        st = finish_groups(c, a, groups);
    else if (st == OK)
        a->result = groups;
    if (a->result != groups) rowset_free(groups);
    aggregate_holistic_free(a);
    TRY(st);
    op_set_rows(a->op, a->result);
    return OK;
}
