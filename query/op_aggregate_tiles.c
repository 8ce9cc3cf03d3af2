/* Answers from summaries: an aggregate over a scan, or over a condition on a scan, adds whole tiles
 * that go to one group by what is kept of them, and reads only the rest. The same bits as reading
 * would give, since integer sums are exact and float sums reproducible. */
#include "query/op_aggregate.h"
#include "query/reach.h"
#include "storage/base/pool.h"

#define TILES_A_TASK 256 /* looked at one after another: neighbours' summaries lie together */
#define TILES_AHEAD 64

/* Along one dimension, the positions that a tile covers. */
struct stretch {
    int64_t lo, hi; /* inside the region */
    int64_t share;  /* of the group's number; -1: several groups */
    bool whole;     /* no cell of the tile lies before or after them */
};

struct tile_run {
    struct dim_sink *sink;
    struct op *in, *scan; /* the scan, or the condition above it */
    const struct schema *schema;
    struct box tiles; /* tile coordinates that the region touches */
    int64_t extents[MAX_DIMS];
    struct stretch *stretches[MAX_DIMS]; /* by tile coordinate, from tiles.lo */
    int64_t *rest;                       /* tiles to read; first of all -1 or their number */
    int64_t n_rest;
    atomic_int_least64_t n_answered, n_pruned;
};

/* The scan's column that the argument is, -1: something else. A cast of REAL to DOUBLE is exact, so
 * it may stand between. */
static int column_of(const struct expr *e)
{
    if (e->kind == E_CAST && e->type == T_FLOAT64 && e->args[0]->type == T_FLOAT32) e = e->args[0];
    return e->kind == E_COL ? e->index : -1;
}

static bool call_answerable(const struct agg_bound *k, const struct agg_call *call)
{
    if (k->holistic || call->filter || k->agg->nan != NAN_COUNTS || !k->ops->summary) return false;
    return !k->n_args || column_of(call->args[0]) >= 0;
}

static bool answerable(const struct aggregate *a, const struct op *scan)
{
    const struct plan *p = a->op->plan, *s = scan->plan;
    if (s->kind != P_SCAN || (scan == a->op->in[0] ? s->prune != NULL : !scan_prunes(scan)))
        return false;
    if (!scan_has_tiles(s)) return false;
    for (int i = 0; i < a->set.n; i++)
        if (!call_answerable(&a->set.calls[i], &p->aggs[i])) return false;
    return true;
}

/* ---- where the tiles lie ---- */

static struct stretch stretch_of(const struct tile_run *r, int d, int64_t tile)
{
    const struct box *region = &r->in->box;
    const struct axis *axis = &r->schema->dims[d].axis;
    int64_t lo = tile * r->extents[d], hi = lo + r->extents[d];
    /* Beyond the axis there is nothing. */
    struct stretch s = {.lo = lo > region->lo[d] ? lo : region->lo[d],
                        .hi = hi < region->hi[d] ? hi : region->hi[d],
                        .whole = (lo >= region->lo[d] || axis->lo >= region->lo[d]) &&
                                 (hi <= region->hi[d] || axis->hi <= region->hi[d])};
    s.share = dim_share(r->sink->a, r->sink->groups, d, s.lo, s.hi);
    return s;
}

/* *found: is there for each dimension a tile that lies in one group of its keys? */
static enum status find_stretches(struct ctx *c, struct tile_run *r, bool *found)
{
    *found = true;
    for (int d = 0; d < r->tiles.n_dims && *found; d++) {
        int64_t n = box_extent(&r->tiles, d);
        void *mem;
        TRY(scratch_alloc(c, (size_t)n * sizeof(struct stretch), &mem));
        r->stretches[d] = mem;
        *found = false;
        for (int64_t i = 0; i < n; i++) {
            struct stretch *s = &r->stretches[d][i];
            *s = stretch_of(r, d, r->tiles.lo[d] + i);
            *found |= s->whole && s->share >= 0;
        }
    }
    return OK;
}

/* The tile's box, cut to the region. *group: the one that all of its cells go to; -1: there are
 * several, or the region has not all of its cells. */
static void locate(const struct tile_run *r, int64_t number, int64_t *tile, struct box *part,
                   int64_t *group)
{
    box_position(&r->tiles, number, tile);
    part->n_dims = r->tiles.n_dims;
    *group = 0;
    for (int d = 0; d < part->n_dims; d++) {
        const struct stretch *s = &r->stretches[d][tile[d] - r->tiles.lo[d]];
        part->lo[d] = s->lo;
        part->hi[d] = s->hi;
        *group = *group >= 0 && s->whole && s->share >= 0 ? *group + s->share : -1;
    }
}

/* ---- one tile ---- */

/* Whether the summary tells what the call wants to know. */
static bool tells(const struct agg_bound *k, const struct summary *s)
{
    int64_t n = s->n_cells - s->n_nulls;
    switch (k->agg->id) {
    case AGG_COUNT:
        return true;
    case AGG_MIN:
    case AGG_MAX:
        return n == s->n_nans || s->has_range;
    default:
        return n == 0 || s->has_sum;
    }
}

/* What there is to do about a tile. */
enum todo { ANSWER, READ, PASS };

static enum status judge(struct ctx *c, const struct tile_run *r, struct summaries *w,
                         const int64_t *tile, const struct box *part, const struct summary *cells,
                         enum todo *out)
{
    int truths = TRUTH_TRUE;
    *out = PASS;
    if (!cells || !cells->n_cells) return OK;
    if (r->in != r->scan) TRY(scan_truths(c, r->scan, w, tile, part, &truths));
    *out = truths == TRUTH_TRUE ? ANSWER : truths & TRUTH_TRUE ? READ : PASS;
    return OK;
}

static enum status answer(struct ctx *c, struct tile_run *r, struct summaries *w, int worker,
                          const int64_t *tile, int64_t group, const struct summary *cells,
                          const struct summary **of, enum todo *out)
{
    const struct aggregate *a = r->sink->a;
    const struct plan *scan = r->scan->plan;
    struct acc *acc;
    *out = READ;
    for (int i = 0; i < a->set.n; i++) {
        const struct agg_bound *k = &a->set.calls[i];
        of[i] = cells;
        if (!k->n_args) continue;
        int attr = scan->attrs[column_of(a->op->plan->aggs[i].args[0])];
        TRY(summaries_at(c, w, attr, tile, &of[i]));
        if (!of[i] || !tells(k, of[i])) return OK;
    }
    TRY(dim_sink_acc(c, r->sink, worker, &acc));
    acc_make_states(acc);
    acc->cells[group] += cells->n_cells;
    for (int i = 0; i < a->set.n; i++)
        a->set.calls[i].ops->summary(&a->set.calls[i], acc_state(acc, i, group), of[i]);
    *out = ANSWER;
    return OK;
}

/* Goes through some tiles and answers those that it can. */
static enum status look_at_tiles(struct ctx *c, void *self, int worker, int64_t task)
{
    struct tile_run *r = self;
    int64_t n = box_cells(&r->tiles), tile[MAX_DIMS], group, n_answered = 0, n_pruned = 0;
    int64_t from = task * TILES_A_TASK, to = from + TILES_A_TASK < n ? from + TILES_A_TASK : n;
    struct summaries *w;
    void *of;
    TRY(summaries_open(c, r->scan->plan->array, &w));
    TRY(scratch_alloc(c, sizeof(struct summary *) * (size_t)(r->sink->a->set.n + 1), &of));
    for (int64_t i = from; i < to; i++) {
        const struct summary *cells;
        struct box part;
        enum todo todo;
        locate(r, i, tile, &part, &group);
        TRY(summaries_at(c, w, -1, tile, &cells));
        TRY(judge(c, r, w, tile, &part, cells, &todo));
        n_pruned += todo == PASS && cells && cells->n_cells;
        if (todo == ANSWER && group < 0) todo = READ;
        if (todo == ANSWER) TRY(answer(c, r, w, worker, tile, group, cells, of, &todo));
        n_answered += todo == ANSWER;
        r->rest[i] = todo == READ ? i : -1;
    }
    atomic_fetch_add_explicit(&r->n_answered, n_answered, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->n_pruned, n_pruned, memory_order_relaxed);
    if (c->progress) atomic_fetch_add(&c->progress->done, to - from);
    return OK;
}

static enum status read_tile(struct ctx *c, void *self, int worker, int64_t task)
{
    struct tile_run *r = self;
    struct box part;
    struct chunk ch;
    int64_t tile[MAX_DIMS], group;
    if (atomic_load_explicit(&r->sink->refused, memory_order_relaxed)) return OK;
    int64_t ahead = task % TILES_AHEAD ? r->n_rest : task ? task + TILES_AHEAD : 0;
    for (int64_t i = ahead; i < task + 2 * TILES_AHEAD && i < r->n_rest; i++) {
        locate(r, r->rest[i], tile, &part, &group);
        op_read_ahead(c, r->in, &part);
    }
    locate(r, r->rest[task], tile, &part, &group);
    TRY(op_produce(c, r->in, &part, &ch));
    if (c->progress) atomic_fetch_add(&c->progress->done, 1);
    if (!ch.n_present) return OK;
    return r->sink->sink.consume(c, &r->sink->sink, worker, task, &ch);
}

static enum status run_tiles(struct ctx *c, struct tile_run *r, bool *done)
{
    int64_t n = box_cells(&r->tiles);
    int workers = r->sink->a->n_workers;
    if (c->progress) atomic_fetch_add(&c->progress->total, n);
    TRY(pool_run(c, (n + TILES_A_TASK - 1) / TILES_A_TASK, workers, look_at_tiles, r));
    for (int64_t i = 0; i < n; i++)
        if (r->rest[i] >= 0) r->rest[r->n_rest++] = i;
    /* No tile was answered: boxes of several tiles may be better. */
    *done = !r->n_rest || atomic_load(&r->n_answered);
    if (!*done) return OK;
    COUNT(c, tiles_summary, atomic_load(&r->n_answered));
    COUNT(c, tiles_pruned, atomic_load(&r->n_pruned));
    if (c->progress) atomic_fetch_add(&c->progress->total, r->n_rest);
    return pool_run(c, r->n_rest, workers, read_tile, r);
}

enum status aggregate_tiles(struct ctx *c, struct dim_sink *s, bool *done)
{
    struct op *in = s->a->op->in[0];
    struct tile_run r = {.sink = s, .in = in, .scan = in};
    *done = false;
    if (in->plan->kind == P_FILTER) r.scan = in->in[0];
    if (!answerable(s->a, r.scan) || box_empty(&in->box)) return OK;
    r.schema = array_schema(r.scan->plan->array);
    schema_tile_extents(r.schema, r.extents);
    box_tiles(&in->box, r.extents, &r.tiles);
    int64_t n = box_cells(&r.tiles);
    struct scratch_mark mark = scratch_mark(c->scratch);
    bool found = false;
    enum status st = find_stretches(c, &r, &found);
    if (st == OK && found && (r.rest = buf_try(c->budget, (size_t)n * sizeof *r.rest)))
        st = run_tiles(c, &r, done);
    buf_free(r.rest);
    scratch_release(c->scratch, mark);
    return st;
}
