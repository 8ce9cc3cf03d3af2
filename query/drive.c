/* Which boxes does a pipeline run over, in which order, how many at once?
 *
 * Unordered runs take the boxes of the operator's grid, made smaller (then fewer at once) until
 * they fit what the budget has left. Ordered runs take slabs: boxes that are contiguous in
 * row-major order, so that one after the other they are the whole. Workers produce slabs in
 * parallel; each waits for its turn before it hands its slab on, so at most one slab a worker is
 * ahead. */
#include "query/reach.h"
#include "storage/base/pool.h"
#include "storage/base/settings.h"
#include "storage/base/tokens.h"
#include "storage/base/wait.h"
#include <pthread.h>
#include <string.h>

#define SMALL_BOX (32 * 1024)       /* cells: smaller boxes cost more time than they save memory */
#define LOOK_MS 50                  /* between looks for cancellation, while waiting */
#define LEAST_BOX 1024              /* cells: a block of the step machine */
#define GOOD_SLAB (64 * 1024)       /* cells */
#define GOOD_STORED (2 << 20)       /* bytes of tiles under a slab that is made of more than one */
#define QUICK_SLAB_BYTES (16 << 20) /* larger ones keep who wants the first rows waiting */
#define READ_AHEAD_BYTES (32 << 20) /* decoded */
#define WHOLE 0                     /* a grid extent: not cut along this dimension */

/* A region cut into boxes, numbered in row-major order. */
struct cut {
    struct box region;
    int64_t grid[MAX_DIMS], origin[MAX_DIMS], first[MAX_DIMS], n[MAX_DIMS];
    int64_t total;
    const int *order; /* of the dimensions in that; NULL: as they are */
};

/* origin: where a box of the grid begins; NULL: at 0. */
static enum status cut_make(struct ctx *c, const struct box *region, const int64_t *grid,
                            const int64_t *origin, struct cut *cut)
{
    *cut = (struct cut){.region = *region, .total = box_empty(region) ? 0 : 1};
    for (int d = 0; d < region->n_dims && cut->total; d++) {
        cut->grid[d] = grid[d];
        cut->n[d] = 1;
        if (grid[d] != WHOLE) {
            cut->origin[d] = origin ? origin[d] : 0;
            cut->first[d] = tile_of(region->lo[d] - cut->origin[d], grid[d]);
            cut->n[d] = tile_of(region->hi[d] - 1 - cut->origin[d], grid[d]) - cut->first[d] + 1;
        }
        if (__builtin_mul_overflow(cut->total, cut->n[d], &cut->total))
            return fail(c, ERR_LIMIT_EXCEEDED, "the array has too many tiles to go through");
    }
    return OK;
}

static void cut_box(const struct cut *cut, int64_t seq, struct box *out)
{
    *out = cut->region;
    for (int k = cut->region.n_dims - 1; k >= 0; k--) {
        int d = cut->order ? cut->order[k] : k;
        int64_t at = cut->first[d] + seq % cut->n[d];
        seq /= cut->n[d];
        if (cut->grid[d] == WHOLE) continue;
        int64_t lo = at * cut->grid[d] + cut->origin[d], hi = lo + cut->grid[d];
        if (lo > out->lo[d]) out->lo[d] = lo;
        if (hi < out->hi[d]) out->hi[d] = hi;
    }
}

/* ---- what fits ---- */

/* A box of the grid's extents inside the region. */
static struct box typical_box(const struct box *region, const int64_t *grid)
{
    struct box b = *region;
    for (int d = 0; d < b.n_dims; d++)
        if (grid[d] != WHOLE && grid[d] < box_extent(&b, d)) b.hi[d] = b.lo[d] + grid[d];
    return b;
}

static int64_t box_bytes(const struct op *op, const struct sink *sink, const struct box *region,
                         const int64_t *grid)
{
    struct box b = typical_box(region, grid);
    int64_t bytes = op_bytes(op, &b) + (256 << 10), more;
    if (__builtin_mul_overflow(box_cells(&b), sink->cell_bytes, &more)) return INT64_MAX / 4;
    return more < INT64_MAX / 4 ? bytes + more : INT64_MAX / 4;
}

static bool fits(struct ctx *c, const struct op *op, const struct sink *sink,
                 const struct box *region, const int64_t *grid, int workers)
{
    int64_t allowed = c->budget ? budget_left(c->budget) / 2 : INT64_MAX;
    return box_bytes(op, sink, region, grid) <= allowed / workers;
}

static void halve(const struct box *region, int64_t *grid, int d)
{
    while (grid[d] / 2 >= box_extent(region, d))
        grid[d] = grid_halve(grid[d]);
    grid[d] = grid_halve(grid[d]);
}

/* The dimension along which smaller boxes cost least: the outermost, unless what lies below needs
 * it whole (the lines of a transform, long windows). -1: none saves anything to speak of. */
static int best_to_halve(const struct op *op, const struct sink *sink, const struct box *region,
                         const int64_t *grid)
{
    int best = -1;
    double least = 0.95 * (double)box_bytes(op, sink, region, grid);
    for (int d = 0; d < region->n_dims; d++) {
        int64_t smaller[MAX_DIMS];
        if (grid[d] <= 1 || box_extent(region, d) <= 1) continue;
        memcpy(smaller, grid, sizeof(*grid) * (size_t)region->n_dims);
        halve(region, smaller, d);
        double bytes = (double)box_bytes(op, sink, region, smaller);
        if (bytes >= least) continue;
        best = d;
        least = 0.9 * bytes;
    }
    return best;
}

static int64_t cells_of(const struct box *region, const int64_t *grid)
{
    struct box b = typical_box(region, grid);
    return box_cells(&b);
}

static int64_t stored_of(const struct op *op, const struct box *region, const int64_t *grid)
{
    struct box b = typical_box(region, grid);
    return op_stored_bytes(op, &b);
}

/* Files are read, and blocks of products made, whole for any part of them. */
static bool has_own_boxes(const struct op *op)
{
    bool any = op->plan->kind == P_FILE || op->plan->kind == P_MATMUL;
    for (int i = 0; i < op->n_in; i++)
        any = any || has_own_boxes(op->in[i]);
    return any;
}

/* May the cells of tiles that boxes of the grid cut wait in memory until the others have come? In
 * row-major order that takes a row of tiles, along the first dimension where boxes are narrower
 * than they. */
static bool may_wait(const struct op *op, const struct sink *sink, const struct box *region,
                     const int64_t *grid)
{
    double cells = 1;
    bool cut = false;
    for (int d = 0; d < region->n_dims; d++) {
        int64_t extent = box_extent(region, d),
                most = grid[d] > sink->tile[d] ? grid[d] : sink->tile[d];
        cells *= (double)(cut || extent < most ? extent : most);
        cut = cut || grid[d] < (extent < sink->tile[d] ? extent : sink->tile[d]);
    }
    return cells * rel_cell_bytes(&op->plan->rel) <= (double)sink->room_bytes;
}

/* The grid made of the sink's whole tiles: a box that has a part of a tile leaves the tile waiting
 * for the others. What is computed has no grid of its own to keep to; false when what is stored
 * below would need boxes that don't fit. */
static bool fit_tiles(struct ctx *c, const struct op *op, const struct sink *sink,
                      const struct box *region, const int64_t *tile, int64_t *grid)
{
    int64_t whole[MAX_DIMS];
    struct box b = typical_box(region, grid);
    for (int d = 0; d < region->n_dims; d++)
        whole[d] = (box_extent(&b, d) + tile[d] - 1) / tile[d] * tile[d];
    if (!op_stored_bytes(op, &b)) {
        int64_t least = cells_of(region, tile), most = box_cells(&b);
        while (cells_of(region, whole) > (most > least ? most : least)) {
            int longest = 0;
            for (int d = 1; d < region->n_dims; d++)
                if (whole[d] / tile[d] > whole[longest] / tile[longest]) longest = d;
            if (whole[longest] == tile[longest]) break;
            whole[longest] = (whole[longest] / tile[longest] + 1) / 2 * tile[longest];
        }
    }
    if (!fits(c, op, sink, region, whole, 1)) return false;
    memcpy(grid, whole, sizeof(*grid) * (size_t)region->n_dims);
    return true;
}

static void fit_boxes(struct ctx *c, const struct op *op, const struct sink *sink,
                      const struct box *region, int64_t *grid, int *workers)
{
    while (!fits(c, op, sink, region, grid, *workers)) {
        int64_t cells = cells_of(region, grid);
        int d = cells > (*workers == 1 ? LEAST_BOX : SMALL_BOX)
                    ? best_to_halve(op, sink, region, grid)
                    : -1;
        if (d >= 0)
            halve(region, grid, d);
        else if (*workers > 1)
            --*workers;
        else
            return;
    }
}

/* Slabs: one position of the leading dimensions, a piece of dimension k, all of the others. k and
 * the piece are the largest that fit. */
static void fit_slabs(struct ctx *c, const struct op *op, const struct sink *sink,
                      const struct box *region, int64_t *grid, int workers)
{
    int n = region->n_dims;
    for (int d = 0; d < n; d++)
        grid[d] = WHOLE;
    for (int k = 0; k < n; k++) {
        if (k < n - 1 && box_extent(region, k) == 1) continue;
        grid[k] = op->grid[k];
        while (!fits(c, op, sink, region, grid, workers) && grid[k] > 1 &&
               (k < n - 1 || cells_of(region, grid) > LEAST_BOX))
            grid[k] = grid_halve(grid[k]);
        if (k == n - 1 || fits(c, op, sink, region, grid, workers)) break;
        grid[k] = 1;
    }
    int k = n - 1; /* the last that is cut */
    while (k > 0 && grid[k] == WHOLE)
        k--;
    while (n && grid[k] < box_extent(region, k) && cells_of(region, grid) <= GOOD_SLAB / 2 &&
           stored_of(op, region, grid) <= GOOD_STORED / 2) {
        grid[k] *= 2;
        if (fits(c, op, sink, region, grid, workers)) continue;
        grid[k] /= 2;
        break;
    }
}

/* ---- running ---- */

struct run {
    struct op *op;
    struct sink *sink;
    struct cut cut;
    int64_t first_seq; /* number of the cut's first box in the whole run */
    int64_t n_ahead;   /* boxes whose tiles are asked for together; 0: nothing is stored */
    atomic_int_least64_t n_done;
    /* ordered: */
    pthread_mutex_t lock;
    pthread_cond_t turn;
    int64_t next; /* whose turn it is */
    bool aborted;
};

static void read_ahead(struct ctx *c, const struct run *r, int64_t seq)
{
    if (!r->n_ahead || seq % r->n_ahead) return;
    int64_t from = seq ? seq + r->n_ahead : 0, to = seq + 2 * r->n_ahead;
    for (int64_t i = from; i < to && i < r->cut.total; i++) {
        struct box b;
        cut_box(&r->cut, i, &b);
        op_read_ahead(c, r->op, &b);
    }
}

static void count_box(struct ctx *c, struct run *r, int64_t n)
{
    atomic_fetch_add_explicit(&r->n_done, n, memory_order_relaxed);
    if (c->progress) atomic_fetch_add_explicit(&c->progress->done, n, memory_order_relaxed);
}

static bool is_done(struct run *r)
{
    return atomic_load_explicit(&r->sink->done, memory_order_acquire);
}

static enum status run_box(struct ctx *c, void *self, int worker, int64_t seq)
{
    struct run *r = self;
    if (is_done(r)) return OK;
    read_ahead(c, r, seq);
    struct box b;
    struct chunk ch;
    cut_box(&r->cut, seq, &b);
    TRY(op_produce(c, r->op, &b, &ch));
    if (ch.n_present && !is_done(r))
        TRY(r->sink->consume(c, r->sink, worker, r->first_seq + seq, &ch));
    count_box(c, r, 1);
    return OK;
}

/* True when the slab is to be handed on; false when the run is over or *status failed. Wakes now
 * and then, because a task before this one may have been cancelled before it began. */
static bool wait_turn(struct ctx *c, struct run *r, int64_t seq, enum status *status)
{
    pthread_mutex_lock(&r->lock);
    bool waits = r->next != seq;
    pthread_mutex_unlock(&r->lock);
    if (waits) token_pause(c);
    pthread_mutex_lock(&r->lock);
    while (r->next != seq && !r->aborted && !is_done(r) && *status == OK) {
        if (wait_for_ms(&r->turn, &r->lock, LOOK_MS)) *status = check_cancel(c);
    }
    bool mine = r->next == seq && !r->aborted && *status == OK;
    pthread_mutex_unlock(&r->lock);
    if (waits) token_resume(c);
    return mine && !is_done(r);
}

static void end_turn(struct run *r, int64_t seq, enum status status)
{
    pthread_mutex_lock(&r->lock);
    if (status < 0)
        r->aborted = true;
    else if (r->next == seq)
        r->next++;
    pthread_cond_broadcast(&r->turn);
    pthread_mutex_unlock(&r->lock);
}

static enum status run_slab(struct ctx *c, void *self, int worker, int64_t seq)
{
    struct run *r = self;
    struct box b;
    struct chunk ch;
    enum status s = OK;
    if (!is_done(r)) {
        read_ahead(c, r, seq);
        cut_box(&r->cut, seq, &b);
        s = op_produce(c, r->op, &b, &ch);
        if (s == OK && wait_turn(c, r, seq, &s))
            s = r->sink->consume(c, r->sink, worker, r->first_seq + seq, &ch);
        if (s == OK) count_box(c, r, 1);
    }
    end_turn(r, seq, s);
    return s;
}

static enum status run_cut(struct ctx *c, struct run *r, int workers)
{
    int64_t total = r->cut.total;
    int64_t stored = stored_of(r->op, &r->cut.region, r->cut.grid);
    if (stored && total > 1) /* one box is read at once */
        r->n_ahead = stored < READ_AHEAD_BYTES ? READ_AHEAD_BYTES / stored : 1;
    atomic_store(&r->n_done, 0);
    r->next = 0;
    r->aborted = false;
    if (c->progress) atomic_fetch_add(&c->progress->total, total);
    enum status s = pool_run(c, total, workers, r->sink->ordered ? run_slab : run_box, r);
    count_box(c, r, total - atomic_load(&r->n_done));
    r->first_seq += total;
    return s;
}

static enum status run_ordered(struct ctx *c, struct run *r, const struct box *region, int workers)
{
    int64_t grid[MAX_DIMS] = {0};
    struct box rest = *region;
    fit_slabs(c, r->op, r->sink, region, grid, workers);
    if (region->n_dims > 1 && box_bytes(r->op, r->sink, region, grid) > QUICK_SLAB_BYTES) {
        /* The first row, then the rest of its plane, and so on: each in slabs of its own. */
        for (int k = region->n_dims - 1; k > 0; k--) {
            struct box part = *region;
            for (int d = 0; d < k; d++)
                part.hi[d] = part.lo[d] + 1;
            if (k < region->n_dims - 1) part.lo[k]++;
            if (box_empty(&part)) continue;
            fit_slabs(c, r->op, r->sink, &part, grid, workers);
            TRY(cut_make(c, &part, grid, NULL, &r->cut));
            TRY(run_cut(c, r, workers));
            if (is_done(r)) return OK;
        }
        rest.lo[0]++;
        if (box_empty(&rest)) return OK;
        fit_slabs(c, r->op, r->sink, &rest, grid, workers);
    }
    TRY(cut_make(c, &rest, grid, NULL, &r->cut));
    return run_cut(c, r, workers);
}

static int worker_limit(struct ctx *c)
{
    int64_t wanted = c->settings ? c->settings->max_workers.n : 0;
    int width = pool_width(c);
    return wanted > 0 && wanted < width ? (int)wanted : width;
}

enum status exec_run(struct ctx *c, struct op *op, const struct box *region, struct sink *sink)
{
    struct run r = {.op = op, .sink = sink};
    struct box whole = region ? *region : op->box;
    int workers = worker_limit(c);
    if (box_empty(&whole)) return OK;
    if (!sink->ordered) {
        int64_t grid[MAX_DIMS];
        for (int d = 0; d < whole.n_dims; d++)
            grid[d] = op->grid[d];
        bool tiles = sink->tile && !(has_own_boxes(op) && may_wait(op, sink, &whole, grid)) &&
                     fit_tiles(c, op, sink, &whole, sink->tile, grid);
        fit_boxes(c, op, sink, &whole, grid, &workers);
        TRY(cut_make(c, &whole, grid, tiles ? sink->tile_origin : NULL, &r.cut));
        r.cut.order = sink->order;
        return run_cut(c, &r, workers);
    }
    pthread_mutex_init(&r.lock, NULL);
    pthread_cond_init(&r.turn, NULL);
    enum status s = run_ordered(c, &r, &whole, workers);
    pthread_cond_destroy(&r.turn);
    pthread_mutex_destroy(&r.lock);
    return s;
}
