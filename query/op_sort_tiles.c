/* Which tiles may have the first rows by a stored attribute? Their minima and maxima tell: tiles
 * are visited in that order, and those that come after the last row wanted so far are not read. */
#include "query/op_sort.h"
#include "query/reach.h"
#include "query/sortkey.h"
#include "storage/base/pool.h"
#include <math.h>
#include <stdlib.h>

#define MAX_LIMIT 65536 /* rows: for more, most tiles are read anyway */
#define MAX_TILES (1 << 22)

struct visit {
    uint64_t best; /* the word of the first row that the tile may have */
    int64_t tile;
};
struct visiting {
    struct sorting *sorting;
    const struct plan *scan;
    int attr;
    enum type type;
    struct box tiles;
    int64_t extents[MAX_DIMS];
    struct visit *visits;
    int64_t n;
};

/* The scan below, if only maps and filters are between; *col: which of its columns the key is. */
static const struct plan *scan_below(const struct plan *p, int *col)
{
    while (p->kind == P_MAP || p->kind == P_FILTER) {
        if (p->kind == P_MAP) {
            const struct expr *e = p->exprs[*col];
            if (e->kind != E_COL) return NULL;
            *col = e->index;
        }
        p = p->in[0];
    }
    return p->kind == P_SCAN ? p : NULL;
}

static uint64_t word_of(enum type t, const struct summary *s, bool max)
{
    uint64_t word;
    struct value v = {.type = t};
    _Alignas(16) char bytes[16] = {0};
    memcpy(&v.i, max ? &s->max : &s->min, sizeof v.i);
    value_put(&v, bytes, 0);
    sortkey_encode(t, bytes, 1, &word);
    return word;
}

/* The least word that a row of the tile may have; NULLs and NaNs come where the key says. */
static uint64_t best_of(const struct visiting *v, const struct summary *s)
{
    const struct rowset_key *key = &v->sorting->keys[0];
    double nan = (double)NAN;
    uint64_t word = UINT64_MAX;
    if (s->n_nulls && key->nulls_first) return 0;
    if (s->n_nans) sortkey_encode(T_FLOAT64, &nan, 1, &word);
    if (s->has_range && !(key->desc && s->n_nans)) word = word_of(v->type, s, key->desc);
    if (!s->has_range && !s->n_nans) return s->n_nulls == s->n_cells ? UINT64_MAX : 0;
    return key->desc ? ~word : word;
}

static int by_best(const void *a, const void *b)
{
    const struct visit *x = a, *y = b;
    if (x->best != y->best) return x->best < y->best ? -1 : 1;
    return x->tile < y->tile ? -1 : x->tile > y->tile;
}

static enum status plan_visits(struct ctx *c, struct visiting *v)
{
    int64_t total = box_cells(&v->tiles);
    for (int64_t i = 0; i < total; i++) {
        int64_t tile[MAX_DIMS];
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct summary cells, of;
        bool found;
        if (i % 1024 == 0) TRY(check_cancel(c));
        box_position(&v->tiles, i, tile);
        TRY(array_summary(c, v->scan->array, -1, tile, &cells, &found));
        if (found && cells.n_cells) {
            TRY(array_summary(c, v->scan->array, v->attr, tile, &of, &found));
            v->visits[v->n++] = (struct visit){found ? best_of(v, &of) : 0, i};
        }
        scratch_release(c->scratch, mark);
    }
    qsort(v->visits, (size_t)v->n, sizeof *v->visits, by_best);
    return OK;
}

static enum status visit(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct visiting *v = self;
    struct sorting *s = v->sorting;
    struct op *in = s->op->in[0];
    int64_t tile[MAX_DIMS];
    struct box part = in->box;
    struct chunk ch;
    if (c->progress) atomic_fetch_add(&c->progress->done, 1);
    if (v->visits[task].best > atomic_load_explicit(&s->bound, memory_order_relaxed)) {
        COUNT(c, tiles_pruned, 1);
        return OK;
    }
    box_position(&v->tiles, v->visits[task].tile, tile);
    for (int d = 0; d < part.n_dims; d++) {
        int64_t lo = tile[d] * v->extents[d], hi = lo + v->extents[d];
        if (lo > part.lo[d]) part.lo[d] = lo;
        if (hi < part.hi[d]) part.hi[d] = hi;
    }
    TRY(op_produce(c, in, &part, &ch));
    return ch.n_present ? s->sink.consume(c, &s->sink, worker, task, &ch) : OK;
}

enum status sort_tiles(struct ctx *c, struct sorting *s, bool *done)
{
    struct op *in = s->op->in[0];
    int col = s->keys[0].column;
    struct visiting v = {.sorting = s};
    *done = false;
    if (s->limit < 0 || s->limit > MAX_LIMIT || col >= in->plan->rel.n_cols) return OK;
    v.scan = scan_below(in->plan, &col);
    if (!v.scan || !scan_has_tiles(v.scan) || box_empty(&in->box)) return OK;
    v.type = v.scan->rel.cols[col].type;
    if (type_is_varlen(v.type) || v.type == T_INTERVAL) return OK;
    v.attr = v.scan->attrs[col];
    schema_tile_extents(array_schema(v.scan->array), v.extents);
    box_tiles(&in->box, v.extents, &v.tiles);
    if (box_cells(&v.tiles) > MAX_TILES) return OK;
    void *visits;
    TRY(buf_alloc(c, sizeof(struct visit) * (size_t)box_cells(&v.tiles), &visits));
    v.visits = visits;
    enum status st = plan_visits(c, &v);
    if (st == OK && c->progress) atomic_fetch_add(&c->progress->total, v.n);
    if (st == OK) st = pool_run(c, v.n, s->n_tops, visit, &v);
    buf_free(visits);
    *done = true;
    return st;
}
