/* Rows in an order: the input's columns, then sort keys that are no column, then each row's
 * row-major number, which breaks ties, so that threads do not show. With a limit each worker keeps
 * little more than its first rows. */
#include "query/op_sort.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include "storage/base/pool.h"
#include <stdlib.h>

#define TOP_ROWS 4096 /* a worker's rows are cut to the limit when there are so many more */

/* The last of so many rows as are wanted is a bound for all workers'. */
static enum status learn_bound(struct ctx *c, struct sorting *s, const struct rowset *top)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct column key;
    uint64_t word, old = atomic_load(&s->bound);
    if (s->limit < 1 || rowset_rows(top) < s->limit) return OK;
    TRY(rowset_read(c, top, s->limit - 1, s->limit, &s->keys[0].column, 1, &key));
    bool null = column_is_null(&key, 0);
    sortkey_encode(key.type, key.values, 1, &word);
    scratch_release(c->scratch, mark);
    if (null) return OK;
    if (s->keys[0].desc) word = ~word;
    while (word < old && !atomic_compare_exchange_weak(&s->bound, &old, word)) {
    }
    return OK;
}

static enum status cut_to_limit(struct ctx *c, struct sorting *s, struct rowset **rows)
{
    struct rowset *top;
    TRY(rowset_sort(c, *rows, s->keys, s->n_keys, s->limit, &top));
    rowset_free(*rows);
    *rows = top;
    return learn_bound(c, s, top);
}

/* Of the chunk's rows those that may be among the ones wanted. */
static enum status within_bound(struct ctx *c, const struct sorting *s, const struct chunk *ch,
                                const struct column *key, int64_t **rows, int64_t *n)
{
    uint64_t bound = atomic_load_explicit(&s->bound, memory_order_relaxed);
    uint64_t flip = s->keys[0].desc ? UINT64_MAX : 0;
    bool nulls = s->keys[0].nulls_first;
    void *mem;
    /* Texts can't be looked at where there are none. */
    if (bound == UINT64_MAX || type_is_varlen(key->type)) return OK;
    TRY(scratch_alloc(c, (size_t)ch->n * sizeof(uint64_t) + 8, &mem));
    uint64_t *words = mem;
    sortkey_encode(key->type, key->values, ch->n, words);
    TRY(scratch_alloc(c, (size_t)(*n + 1) * sizeof(int64_t), &mem));
    int64_t *kept = mem, m = 0;
    for (int64_t i = 0; i < *n; i++) {
        int64_t row = *rows ? (*rows)[i] : i;
        kept[m] = row;
        m += column_is_null(key, row) ? nulls : (words[row] ^ flip) <= bound;
    }
    *rows = kept;
    *n = m;
    return OK;
}

static enum status consume(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                           const struct chunk *ch)
{
    (void)seq;
    struct sorting *s = (struct sorting *)sink;
    void *mem;
    int64_t *rows, n = ch->n_present;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)s->n_types, &mem));
    struct column *cols = mem;
    for (int i = 0; i < ch->n_cols; i++)
        cols[i] = ch->cols[i];
    if (s->program) TRY(program_run(c, s->program, ch, cols + ch->n_cols));
    TRY(chunk_rows(c, ch, &rows));
    TRY(within_bound(c, s, ch, &cols[s->keys[0].column], &rows, &n));
    if (!n) return OK;
    TRY(column_alloc(c, T_INT64, ch->n, &cols[s->rank_col]));
    chunk_ranks(ch, &s->op->in[0]->box, cols[s->rank_col].values);
    struct rowset **top = &s->tops[s->limit >= 0 ? worker : 0];
    if (!*top) TRY(rowset_new(c, s->types, s->n_types, exec_tmp_dir(s->op->exec), top));
    TRY(rowset_append(c, *top, cols, rows, n));
    if (s->limit >= 0 && (rowset_rows(*top) - TOP_ROWS) / 2 > s->limit)
        TRY(cut_to_limit(c, s, top));
    return OK;
}

/* *out: limit + offset, -1: no limit. */
static enum status rows_wanted(struct ctx *c, struct op *op, int64_t *out)
{
    int64_t limit, offset;
    TRY(limit_of(c, op, &limit, &offset));
    *out = limit < 0 || offset > INT64_MAX - limit ? -1 : limit + offset;
    return OK;
}

static enum status prepare(struct ctx *c, struct sorting *s)
{
    const struct plan *p = s->op->plan;
    const struct rel *in = &p->in[0]->rel;
    struct expr **computed = arena_array(c->arena, struct expr *, p->n_sort + 1);
    s->types = arena_array(c->arena, enum type, in->n_cols + p->n_sort + 1);
    s->keys = arena_array(c->arena, struct rowset_key, p->n_sort + 1);
    for (int i = 0; i < in->n_cols; i++)
        s->types[i] = in->cols[i].type;
    for (int k = 0; k < p->n_sort; k++) {
        struct expr *e = p->sort[k].e;
        int column = e->kind == E_COL ? e->index : in->n_cols + s->n_computed;
        if (e->kind != E_COL) {
            s->types[column] = e->type;
            computed[s->n_computed++] = e;
        }
        s->keys[k] = (struct rowset_key){column, p->sort[k].desc, p->sort[k].nulls_first};
    }
    s->rank_col = in->n_cols + s->n_computed;
    s->types[s->rank_col] = T_INT64;
    s->keys[p->n_sort].column = s->rank_col;
    s->n_keys = p->n_sort + 1;
    s->n_types = s->rank_col + 1;
    if (!s->n_computed) return OK;
    struct program *program;
    TRY(program_compile(c, computed, s->n_computed, in, exec_env(s->op->exec), &program));
    s->program = program;
    return OK;
}

/* Everything in one rowset. */
static enum status collect(struct ctx *c, struct sorting *s)
{
    for (int i = 1; i < s->n_tops; i++) {
        struct rowset *from = s->tops[i];
        if (!from) continue;
        if (!s->tops[0]) {
            s->tops[0] = from;
            s->tops[i] = NULL;
            continue;
        }
        for (int64_t lo = 0, n = rowset_rows(from); lo < n; lo += TOP_ROWS) {
            int64_t hi = lo + TOP_ROWS < n ? lo + TOP_ROWS : n;
            struct scratch_mark mark = scratch_mark(c->scratch);
            void *cols;
            TRY(scratch_alloc(c, sizeof(struct column) * (size_t)s->n_types, &cols));
            TRY(rowset_read(c, from, lo, hi, NULL, 0, cols));
            TRY(rowset_append(c, s->tops[0], cols, NULL, hi - lo));
            scratch_release(c->scratch, mark);
        }
        rowset_free(from);
        s->tops[i] = NULL;
    }
    if (s->tops[0]) return OK;
    return rowset_new(c, s->types, s->n_types, exec_tmp_dir(s->op->exec), &s->tops[0]);
}

static enum status sort_open(struct ctx *c, struct op *op)
{
    struct sorting s = {.sink = {.consume = consume}, .op = op};
    struct rowset *sorted = NULL;
    TRY(prepare(c, &s));
    TRY(rows_wanted(c, op, &s.limit));
    s.n_tops = s.limit >= 0 ? pool_width(c) : 1;
    s.tops = calloc((size_t)s.n_tops, sizeof *s.tops);
    if (!s.tops) return fail(c, ERR_MEMORY, "out of memory");
    enum status st = OK;
    if (s.limit < 0) st = rowset_new(c, s.types, s.n_types, exec_tmp_dir(op->exec), &s.tops[0]);
    bool done = s.limit == 0;
    atomic_init(&s.bound, UINT64_MAX);
    if (st == OK && !done) st = sort_tiles(c, &s, &done);
    if (st == OK && !done) st = exec_run(c, op->in[0], NULL, &s.sink);
    if (st == OK) st = collect(c, &s);
    if (st == OK) st = rowset_sort(c, s.tops[0], s.keys, s.n_keys, s.limit, &sorted);
    for (int i = 0; i < s.n_tops; i++)
        rowset_free(s.tops[i]);
    free(s.tops);
    TRY(st);
    op->state = sorted;
    op_set_rows(op, sorted);
    return OK;
}

static enum status sort_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    return rowset_chunk(c, op->state, &op->plan->rel, &op->box, want, NULL, -1, out);
}

static void sort_close(struct op *op)
{
    rowset_free(op->state);
    op->state = NULL;
}

const struct op_class op_sort_class = {"sort", sort_open, sort_produce, sort_close};
