/* Joins by value: pairs of cells with equal keys as a list of rows, or the left's cells that have a
 * match (SEMI) or none (ANTI), box by box.
 *
 * The smaller side goes into a table. If its keys turn out unique, pairs are made as they are asked
 * for (join_stream.h). Else the other side streams past it from many workers, and pairs are then
 * sorted by the cells' numbers, so that neither workers nor memory show. A side too large for
 * a table is parted by the keys' hash (join_match.c). */
#include "query/join_stream.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/reach.h"
#include "query/rowset_internal.h"
#include <string.h>

struct hash_join {
    struct matching m;
    struct rowset *result;   /* sorted pairs, or row numbers */
    struct join_table table; /* kept for produce(); side NULL: there is none, `result` answers */
    struct join_stream stream;
    bool anti;
};

/* ---- the condition over pairs ---- */

struct extras {
    const struct plan *plan;
    struct expr **v; /* in[0]'s dimensions and positions that the residual names */
    int n;
};

static struct expr *over_pairs(struct ctx *c, const struct expr *e, void *self)
{
    struct extras *x = self;
    const struct plan *p = x->plan;
    if (e->kind == E_COL) return NULL;
    int i = 0;
    while (i < x->n && !(x->v[i]->kind == e->kind && x->v[i]->index == e->index))
        i++;
    if (i == x->n) {
        struct expr **v = arena_array(c->arena, struct expr *, x->n + 1);
        if (x->n) memcpy(v, x->v, sizeof *v * (size_t)x->n);
        v[x->n++] = expr_make_ref(c, e->kind, e->index, e->type, e->pos);
        x->v = v;
    }
    return expr_make_ref(c, E_COL, p->in[0]->rel.n_cols + p->in[1]->rel.n_cols + i, e->type,
                         e->pos);
}

static bool note_used(const struct expr *e, void *self)
{
    if (e->kind == E_COL) ((bool *)self)[e->index] = true;
    return true;
}

static enum status prepare(struct ctx *c, struct op *op, struct matching *m)
{
    const struct plan *p = op->plan;
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    int n = l->n_cols + r->n_cols;
    struct extras x = {.plan = p};
    struct expr *residual = p->residual ? expr_map(c, p->residual, over_pairs, &x) : NULL;
    m->tmp_dir = exec_tmp_dir(op->exec);
    TRY(join_side_init(c, op->in[0], x.v, x.n, p->left_keys, p->n_join_keys, 0, &m->side[0]));
    TRY(join_side_init(c, op->in[1], NULL, 0, p->right_keys, p->n_join_keys, 0, &m->side[1]));
    struct rel_dim *dim = arena_new_of(c->arena, struct rel_dim);
    *dim = (struct rel_dim){.hi = ROWS_UNKNOWN, .stride = 1};
    m->pair_rel = (struct rel){.n_dims = 1, .dims = dim, .n_cols = n + x.n};
    m->pair_rel.cols = arena_array(c->arena, struct rel_col, n + x.n + 1);
    m->used = arena_array(c->arena, bool, n + x.n + 1);
    for (int i = 0; i < n; i++)
        m->pair_rel.cols[i] = i < l->n_cols ? l->cols[i] : r->cols[i - l->n_cols];
    for (int i = 0; i < x.n; i++)
        m->pair_rel.cols[n + i].type = x.v[i]->type;
    if (!residual) return OK;
    struct program *program;
    expr_walk(residual, note_used, m->used);
    TRY(program_compile(c, &residual, 1, &m->pair_rel, exec_env(op->exec), &program));
    m->residual = program;
    return OK;
}

/* ---- pairs ---- */

struct probing {
    struct sink sink;
    struct matching *m;
    const struct join_table *t;
    uint8_t *build_hits;
};

static enum status clear_bytes(struct ctx *c, int64_t n, uint8_t **out)
{
    void *mem;
    TRY(scratch_zeroed(c, (size_t)n + 8, &mem));
    *out = mem;
    return OK;
}

static enum status probe_chunk(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                               const struct chunk *ch)
{
    (void)worker, (void)seq;
    struct probing *p = (struct probing *)sink;
    struct matching *m = p->m;
    struct side_rows r;
    uint8_t *hits;
    int side = !m->build;
    TRY(join_side_rows(c, &m->side[side], ch, &r));
    TRY(clear_bytes(c, ch->n, &hits));
    TRY(match_rows(c, m, p->t, r.cols, r.rows, r.n, hits, p->build_hits));
    if (!m->outer[side]) return OK;
    int64_t n = 0;
    for (int64_t i = 0; i < r.n; i++)
        if (!hits[r.rows[i]]) r.rows[n++] = r.rows[i];
    TRY(match_alone(c, m, side, r.cols, r.rows, n));
    return match_alone(c, m, side, r.cols, r.lost, r.n_lost);
}

struct losing {
    struct matching *m;
    int side;
};

static enum status lose(struct ctx *c, void *self, const struct side_rows *r)
{
    const struct losing *l = self;
    return match_alone(c, l->m, l->side, r->cols, r->lost, r->n_lost);
}

static enum status gather(struct ctx *c, struct matching *m, int side, struct rowset **out)
{
    struct losing l = {m, side};
    return join_side_gather(c, &m->side[side], m->tmp_dir, m->outer[side] ? lose : NULL, &l, out);
}

/* The probing side past one table of the whole other side. */
static enum status probe_table(struct ctx *c, struct matching *m, const struct join_table *t)
{
    void *hits = NULL;
    if (m->outer[m->build]) {
        TRY(buf_alloc(c, (size_t)t->n + 8, &hits));
        memset(hits, 0, (size_t)t->n);
    }
    struct join_side *probe = &m->side[!m->build];
    struct probing p = {.sink = {.consume = probe_chunk, .cell_bytes = join_side_bytes(probe) + 1},
                        .m = m,
                        .t = t,
                        .build_hits = hits};
    enum status st = exec_run(c, m->side[!m->build].in, NULL, &p.sink);
    if (st == OK && hits) st = match_rest(c, m, t, hits);
    buf_free(hits);
    return st;
}

/* One row at most for each cell of the left: in their order already. */
static bool may_stream(struct op *op, struct hash_join *s)
{
    const struct matching *m = &s->m;
    s->stream = (struct join_stream){.m = &s->m, .table = &s->table};
    return m->build && !m->outer[1] && join_table_unique(&s->table) &&
           join_stream_open(op, &s->stream);
}

static enum status sort_pairs(struct ctx *c, struct op *op, struct hash_join *s)
{
    int n = op->plan->rel.n_cols;
    const struct rowset_key keys[2] = {{.column = n}, {.column = n + 1}};
    TRY(rowset_sort(c, s->m.pairs, keys, 2, -1, &s->result));
    rowset_free(s->m.pairs);
    s->m.pairs = NULL;
    op_set_rows(op, s->result);
    return OK;
}

/* Pairs from the table of the build side's rows, which fit. */
static enum status open_table(struct ctx *c, struct op *op, struct hash_join *s,
                              struct rowset *build)
{
    struct matching *m = &s->m;
    enum status st =
        join_table_load(c, &m->side[m->build], build, 0, rowset_rows(build), &s->table);
    rowset_free(build);
    if (st == OK && may_stream(op, s)) return OK;
    if (st == OK) st = probe_table(c, m, &s->table);
    join_table_free(&s->table);
    return st == OK ? sort_pairs(c, op, s) : st;
}

static enum status open_pairs(struct ctx *c, struct op *op, struct hash_join *s)
{
    struct matching *m = &s->m;
    struct rowset *build, *probe;
    enum hash_join_kind kind = op->plan->hash_join;
    int n = op->plan->rel.n_cols;
    m->outer[0] = kind == HASH_LEFT || kind == HASH_FULL;
    m->outer[1] = kind == HASH_RIGHT || kind == HASH_FULL;
    m->build = hash_join_build(op->plan, box_cells(&op->in[0]->box), box_cells(&op->in[1]->box));
    enum type *types = arena_array(c->arena, enum type, n + 2);
    for (int i = 0; i < n; i++)
        types[i] = op->plan->rel.cols[i].type;
    types[n] = types[n + 1] = T_INT64;
    TRY(rowset_new(c, types, n + 2, m->tmp_dir, &m->pairs));
    TRY(gather(c, m, m->build, &build));
    if (rowset_rows(build) <= join_table_rows(build, memory_share(c, 3)))
        return open_table(c, op, s, build);
    enum status st = gather(c, m, !m->build, &probe);
    if (st < 0) {
        rowset_free(build);
        return st;
    }
    TRY(match_rowsets(c, m, build, probe, 0));
    return sort_pairs(c, op, s);
}

/* ---- cells with a match ---- */

static enum status open_marks(struct ctx *c, struct op *op, struct hash_join *s)
{
    struct matching *m = &s->m;
    struct rowset *build, *probe;
    op->box = op->in[0]->box;
    memcpy(op->grid, op->in[0]->grid, sizeof op->grid);
    box_in_region(op);
    m->marks = true;
    m->build = 1;
    s->anti = op->plan->hash_join == HASH_ANTI;
    TRY(gather(c, m, 1, &build));
    enum status st = OK;
    if (rowset_rows(build) <= join_table_rows(build, memory_share(c, 3))) {
        st = join_table_load(c, &m->side[1], build, 0, rowset_rows(build), &s->table);
        rowset_free(build);
        return st;
    }
    const enum type rank = T_INT64;
    st = rowset_new(c, &rank, 1, m->tmp_dir, &m->ranks);
    if (st == OK) st = gather(c, m, 0, &probe);
    if (st < 0) {
        rowset_free(build);
        return st;
    }
    TRY(match_rowsets(c, m, build, probe, 0));
    const struct rowset_key key = {.column = 0};
    TRY(rowset_sort(c, m->ranks, &key, 1, -1, &s->result));
    rowset_free(m->ranks);
    m->ranks = NULL;
    return OK;
}

/* Sets hits where the cell's number is among the result's. */
static enum status hits_of_ranks(struct ctx *c, const struct op *op, const struct hash_join *s,
                                 const struct chunk *ch, uint8_t *hits)
{
    int last = ch->box.n_dims - 1;
    int64_t width = last < 0 ? 1 : box_extent(&ch->box, last);
    for (int64_t row = 0; row < ch->n; row += width) {
        int64_t pos[MAX_DIMS], lo, hi;
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column ranks;
        int column = 0;
        box_position(&ch->box, row, pos);
        int64_t base = box_index(&op->in[0]->box, pos);
        TRY(rowset_lower_bound(c, s->result, 0, base, &lo));
        TRY(rowset_lower_bound(c, s->result, 0, base + width, &hi));
        TRY(rowset_read(c, s->result, lo, hi, &column, 1, &ranks));
        for (int64_t i = 0; i < hi - lo; i++)
            hits[row + ((const int64_t *)ranks.values)[i] - base] = 1;
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status produce_marks(struct ctx *c, struct op *op, const struct box *want,
                                 struct chunk *out)
{
    struct hash_join *s = op->state;
    struct matching *m = &s->m;
    struct chunk ch;
    struct side_rows r = {.n = 0};
    uint8_t *hits;
    chunk_empty(&op->plan->rel, want, out);
    TRY(op_produce(c, op->in[0], want, &ch));
    ch.rel = &op->plan->rel;
    if (ch.n_present == 0) return OK;
    TRY(clear_bytes(c, ch.n, &hits));
    if (s->table.side) {
        TRY(join_side_rows(c, &m->side[0], &ch, &r));
        TRY(match_rows(c, m, &s->table, r.cols, r.rows, r.n, hits, NULL));
    } else {
        TRY(hits_of_ranks(c, op, s, &ch, hits));
    }
    uint64_t *stay;
    void *mem;
    TRY(scratch_alloc(c, (size_t)bits_words(ch.n) * 8, &mem));
    stay = mem;
    for (int64_t i = 0; s->anti && i < ch.n; i++)
        hits[i] = !hits[i];
    bits_from_bytes(stay, hits, ch.n);
    if (ch.present) bits_and(stay, ch.present, ch.n);
    ch.present = stay;
    ch.n_present = bits_count(stay, 0, ch.n);
    if (ch.n_present) *out = ch;
    return OK;
}

/* ---- the operator ---- */

static bool is_marks(const struct plan *p)
{
    return p->hash_join == HASH_SEMI || p->hash_join == HASH_ANTI;
}

static enum status hash_join_open(struct ctx *c, struct op *op)
{
    struct hash_join *s = arena_new_of(c->arena, struct hash_join);
    op->state = s;
    TRY(prepare(c, op, &s->m));
    return is_marks(op->plan) ? open_marks(c, op, s) : open_pairs(c, op, s);
}

static enum status hash_join_produce(struct ctx *c, struct op *op, const struct box *want,
                                     struct chunk *out)
{
    const struct hash_join *s = op->state;
    if (is_marks(op->plan)) return produce_marks(c, op, want, out);
    if (s->table.side) return join_stream_produce(c, op, &s->stream, want, out);
    return rowset_chunk(c, s->result, &op->plan->rel, &op->box, want, NULL, -1, out);
}

bool hash_join_reach(const struct op *op, int i, const struct box *want, struct box *out)
{
    const struct hash_join *s = op->state;
    if (is_marks(op->plan)) *out = *want;
    if (is_marks(op->plan)) return i == 0;
    return s->table.side && i == !s->m.build && join_stream_reach(&s->stream, want, out);
}

static void hash_join_close(struct op *op)
{
    struct hash_join *s = op->state;
    if (!s) return;
    rowset_free(s->m.pairs);
    rowset_free(s->m.ranks);
    rowset_free(s->result);
    s->m.pairs = s->m.ranks = s->result = NULL;
    if (s->table.side) join_table_free(&s->table);
}

const struct op_class op_hash_join_class = {"hash join", hash_join_open, hash_join_produce,
                                            hash_join_close};
