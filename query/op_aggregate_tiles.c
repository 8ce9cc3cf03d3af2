/* Answers from summaries: an aggregate straight over a scan adds whole tiles that go to one group
 * by what is kept of them, and reads only the rest. The same bits as reading would give, since
 * integer sums are exact and float sums reproducible. */
#include "query/op_aggregate.h"
#include "storage/base/pool.h"

struct tile_run {
    struct dim_sink *sink;
    const struct plan *scan;
    struct op *in;
    const struct schema *schema;
    struct box tiles; /* tile coordinates that the region touches */
    int64_t extents[MAX_DIMS];
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

static bool answerable(const struct aggregate *a)
{
    const struct plan *p = a->op->plan, *scan = p->in[0];
    if (scan->kind != P_SCAN || scan->prune) return false;
    const struct schema *schema = array_schema(scan->array);
    if (schema->n_dims != scan->rel.n_dims) return false;
    for (int d = 0; d < scan->rel.n_dims; d++) {
        const struct labels *labels = schema->dims[d].axis.labels;
        if (scan->rel.dims[d].stride > 1 || (labels && labels->stored)) return false;
    }
    for (int i = 0; i < a->set.n; i++)
        if (!call_answerable(&a->set.calls[i], &p->aggs[i])) return false;
    return true;
}

/* Is there for each dimension a tile that lies in one group of its keys? */
static enum status worthwhile(struct ctx *c, const struct tile_run *r, bool *out)
{
    const struct box *region = &r->in->box;
    *out = false;
    for (int d = 0; d < region->n_dims; d++) {
        bool found = false;
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *mem;
        TRY(scratch_alloc(c, (size_t)r->extents[d] * sizeof(int32_t), &mem));
        const int32_t *share = mem;
        for (int64_t t = r->tiles.lo[d]; t < r->tiles.hi[d] && !found; t++) {
            int64_t lo = t * r->extents[d], hi = lo + r->extents[d];
            if (hi > region->hi[d] && hi > r->schema->dims[d].axis.hi) hi = region->hi[d];
            if (lo < region->lo[d] || hi > region->hi[d]) continue;
            dim_shares(r->sink->a, r->sink->groups, d, lo, hi, mem);
            found = true;
            for (int64_t i = 1; i < hi - lo; i++)
                found &= share[i] == share[0];
        }
        scratch_release(c->scratch, mark);
        if (!found) return OK;
    }
    *out = true;
    return OK;
}

/* ---- one tile ---- */

/* The tile's box, cut to the region; *whole: no cell of the tile lies outside. *group: the one that
 * all of it goes to, or -1. */
static enum status locate(struct ctx *c, const struct tile_run *r, const int64_t *tile,
                          struct box *part, bool *whole, int64_t *group)
{
    *part = r->in->box;
    *whole = true;
    *group = 0;
    for (int d = 0; d < part->n_dims; d++) {
        int64_t lo = tile[d] * r->extents[d], hi = lo + r->extents[d];
        const struct axis *axis = &r->schema->dims[d].axis;
        /* Beyond the axis there is nothing. */
        *whole &= (lo >= part->lo[d] || axis->lo >= part->lo[d]) &&
                  (hi <= part->hi[d] || axis->hi <= part->hi[d]);
        if (lo > part->lo[d]) part->lo[d] = lo;
        if (hi < part->hi[d]) part->hi[d] = hi;
    }
    for (int d = 0; d < part->n_dims && *whole && *group >= 0; d++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *mem;
        int64_t n = box_extent(part, d);
        TRY(scratch_alloc(c, (size_t)n * sizeof(int32_t), &mem));
        const int32_t *share = mem;
        dim_shares(r->sink->a, r->sink->groups, d, part->lo[d], part->hi[d], mem);
        bool same = share[0] >= 0;
        for (int64_t i = 1; i < n; i++)
            same &= share[i] == share[0];
        *group = same ? *group + share[0] : -1;
        scratch_release(c->scratch, mark);
    }
    return OK;
}

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

static enum status try_summary(struct ctx *c, struct tile_run *r, int worker, const int64_t *tile,
                               int64_t group, bool *answered)
{
    const struct aggregate *a = r->sink->a;
    struct acc *acc;
    struct summary cells, *of;
    void *mem;
    bool found;
    *answered = true;
    TRY(array_summary(c, r->scan->array, -1, tile, &cells, &found));
    if (!found || !cells.n_cells) return OK;
    *answered = false;
    TRY(scratch_alloc(c, sizeof *of * (size_t)(a->set.n + 1), &mem));
    of = mem;
    for (int i = 0; i < a->set.n; i++) {
        const struct agg_bound *k = &a->set.calls[i];
        of[i] = cells;
        if (!k->n_args) continue;
        int col = column_of(a->op->plan->aggs[i].args[0]);
        TRY(array_summary(c, r->scan->array, r->scan->attrs[col], tile, &of[i], &found));
        if (!found || !tells(k, &of[i])) return OK;
    }
    TRY(dim_sink_acc(c, r->sink, worker, &acc));
    acc->cells[group] += cells.n_cells;
    for (int i = 0; i < a->set.n; i++)
        a->set.calls[i].ops->summary(&a->set.calls[i], acc_state(acc, i, group), &of[i]);
    COUNT(c, tiles_summary, 1);
    *answered = true;
    return OK;
}

static enum status run_tile(struct ctx *c, void *self, int worker, int64_t task)
{
    struct tile_run *r = self;
    struct box part;
    struct chunk ch;
    int64_t tile[MAX_DIMS], group;
    bool whole, answered = false;
    if (c->progress) atomic_fetch_add(&c->progress->done, 1);
    box_position(&r->tiles, task, tile);
    TRY(locate(c, r, tile, &part, &whole, &group));
    if (whole && group >= 0) TRY(try_summary(c, r, worker, tile, group, &answered));
    if (answered) return OK;
    TRY(op_produce(c, r->in, &part, &ch));
    if (!ch.n_present) return OK;
    return r->sink->sink.consume(c, &r->sink->sink, worker, task, &ch);
}

enum status aggregate_tiles(struct ctx *c, struct dim_sink *s, bool *done)
{
    *done = false;
    if (!answerable(s->a)) return OK;
    struct op *in = s->a->op->in[0];
    struct tile_run r = {.sink = s, .scan = in->plan, .in = in};
    r.schema = array_schema(r.scan->array);
    if (box_empty(&in->box)) return OK;
    schema_tile_extents(r.schema, r.extents);
    box_tiles(&in->box, r.extents, &r.tiles);
    TRY(worthwhile(c, &r, done));
    if (!*done) return OK;
    if (c->progress) atomic_fetch_add(&c->progress->total, box_cells(&r.tiles));
    return pool_run(c, box_cells(&r.tiles), s->a->n_workers, run_tile, &r);
}
