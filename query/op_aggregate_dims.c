/* Grouping by dimensions (or not at all): groups are known before the data, so each is a number and
 * its states lie in an array. Each worker has such an array; they are added up at the end.
 *
 * When states for all groups would take more than their share of memory, the result is made slab by
 * slab: groups that are contiguous in its row-major order, from the input under them. */
#include "query/op_aggregate.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"
#include "storage/base/strbuf.h"
#include <stdlib.h>

#define SHORT_RUN 24   /* cells of one group that lie together: fewer are added column by column */
#define SHORT_COLUMN 4 /* or one by one */
#define LONG_PERIOD 64 /* groups that come again are columns if the period, or twice it … */
#define SHORT_LINE 8   /* cells of the dimensions behind the last key's: as many at least, */
#define LONG_LINE 256  /* and fewer, are added run beside run */

/* ---- which group ---- */

static int64_t group_at(const struct aggregate *a, int k, int64_t pos)
{
    const struct group_key *key = &a->op->plan->keys[k];
    const struct rel_dim *in = &a->op->plan->in[0]->rel.dims[key->dim];
    int64_t group = pos;
    if (key->blocks) group = block_at(key->blocks, pos);
    if (key->group_of) group = key_group(key, in, pos);
    return group - a->op->box.lo[k];
}

void dim_shares(const struct aggregate *a, const struct dim_groups *g, int dim, int64_t lo,
                int64_t hi, int32_t *out)
{
    const struct plan *p = a->op->plan;
    int64_t strides[MAX_DIMS];
    memset(out, 0, (size_t)(hi - lo) * sizeof *out);
    box_strides(&g->slab, strides);
    for (int k = 0; k < p->n_keys; k++) {
        if (p->keys[k].dim != dim) continue;
        for (int64_t i = 0; i < hi - lo; i++) {
            int64_t group = group_at(a, k, lo + i);
            bool inside = group >= g->slab.lo[k] && group < g->slab.hi[k];
            if (!inside)
                out[i] = -1;
            else if (out[i] >= 0)
                out[i] += (int32_t)((group - g->slab.lo[k]) * strides[k]);
        }
    }
}

/* Do all positions [lo, hi) go to the group of the first? Positions and blocks only rise. */
static bool same_group(const struct aggregate *a, int k, int64_t lo, int64_t hi)
{
    const struct group_key *key = &a->op->plan->keys[k];
    int64_t group = group_at(a, k, lo);
    if (key->blocks || !key->group_of) return group_at(a, k, hi - 1) == group;
    for (int64_t pos = lo + 1; pos < hi; pos++)
        if (group_at(a, k, pos) != group) return false;
    return true;
}

int32_t dim_share(const struct aggregate *a, const struct dim_groups *g, int dim, int64_t lo,
                  int64_t hi)
{
    const struct plan *p = a->op->plan;
    int32_t share;
    for (int k = 0; k < p->n_keys; k++)
        if (p->keys[k].dim == dim && !same_group(a, k, lo, hi)) return -1;
    dim_shares(a, g, dim, lo, lo + 1, &share);
    return share;
}

static bool has_key(const struct plan *p, int dim)
{
    for (int k = 0; k < p->n_keys; k++)
        if (p->keys[k].dim == dim) return true;
    return false;
}

/* A chunk, or a piece of it, as rows: `row` cells each share a place in the outer dimensions. */
struct shape {
    int last;         /* keyed dimension; -1: there is none */
    int n_outer;      /* dimensions before the row */
    int64_t row, run; /* a row is positions of the last keyed dimension times `run` */
    const int32_t *shares[MAX_DIMS]; /* of the outer dimensions */
    const int32_t *row_shares; /* of the row's positions; NULL: no key, the row is one group */
    int64_t period; /* not 0: of so many of its positions, from start on; then they come again */
    int64_t start;
};

static int32_t row_share(const struct shape *sh, int64_t i)
{
    return sh->row_shares[sh->period ? (sh->start + i) % sh->period : i];
}

/* Positions after which the groups along a dimension come again, made long enough for columns; 0:
 * they don't while it lasts. */
static int64_t period_along(const struct plan *p, int dim, int64_t extent)
{
    int64_t period = 0;
    for (int k = 0; k < p->n_keys; k++) {
        if (p->keys[k].dim != dim) continue;
        if (period || !p->keys[k].period) return 0;
        period = p->keys[k].period;
    }
    while (period && period < LONG_PERIOD)
        period *= 2;
    return period * SHORT_COLUMN <= extent ? period : 0;
}

static enum status shape_of_chunk(struct ctx *c, const struct dim_sink *s, const struct box *b,
                                  struct shape *out)
{
    const struct plan *p = s->a->op->plan;
    struct shape sh = {.run = 1};
    int last = b->n_dims - 1;
    while (last >= 0 && !has_key(p, last))
        sh.run *= box_extent(b, last--);
    sh.row = sh.run;
    sh.last = last;
    sh.n_outer = last < 0 ? 0 : last;
    for (int d = 0; d <= last; d++) {
        void *mem;
        int64_t n = box_extent(b, d);
        if (d == last && sh.run == 1) sh.period = period_along(p, d, n);
        if (d == last && sh.period) n = sh.period;
        TRY(scratch_alloc(c, (size_t)n * sizeof(int32_t), &mem));
        dim_shares(s->a, s->groups, d, b->lo[d], b->lo[d] + n, mem);
        if (d < last)
            sh.shares[d] = mem;
        else
            sh.row_shares = mem;
    }
    if (last >= 0) sh.row *= box_extent(b, last);
    *out = sh;
    return OK;
}

static struct shape shape_of_piece(const struct shape *whole, const struct box *b,
                                   const struct box *piece)
{
    struct shape sh = *whole;
    sh.run = 1;
    for (int d = sh.last + 1; d < b->n_dims; d++)
        sh.run *= box_extent(piece, d);
    sh.row = sh.run;
    if (sh.last < 0) return sh;
    sh.row *= box_extent(piece, sh.last);
    if (sh.period)
        sh.start = (piece->lo[sh.last] - b->lo[sh.last]) % sh.period;
    else
        sh.row_shares += piece->lo[sh.last] - b->lo[sh.last];
    for (int d = 0; d < sh.n_outer; d++)
        sh.shares[d] += piece->lo[d] - b->lo[d];
    return sh;
}

/* The outer dimensions' share of row number r's groups; -1: outside the slab. */
static int64_t outer_share(const struct shape *sh, const struct box *b, int64_t r)
{
    int64_t sum = 0;
    for (int d = sh->n_outer - 1; d >= 0; d--) {
        int64_t n = box_extent(b, d), share = sh->shares[d][r % n];
        if (share < 0) return -1;
        sum += share;
        r /= n;
    }
    return sum;
}

/* The row's share of each of its cells' groups; *signs is negative when one is outside the slab. */
static enum status row_groups(struct ctx *c, const struct shape *sh, int32_t **out, int32_t *signs)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)sh->row * sizeof(int32_t), &mem));
    *out = mem;
    *signs = 0;
    for (int64_t i = 0; i < sh->row; i += sh->run) {
        int32_t share = sh->row_shares ? row_share(sh, i / sh->run) : 0;
        for (int64_t k = i; k < i + sh->run; k++)
            (*out)[k] = share;
        *signs |= share;
    }
    return OK;
}

/* Row number r's groups. */
static void groups_of_row(const struct shape *sh, const struct box *b, int64_t r,
                          const int32_t *in_row, int32_t signs, int32_t *g)
{
    int64_t outer = outer_share(sh, b, r);
    int32_t base = (int32_t)outer;
    if (outer < 0) {
        memset(g, 0xff, (size_t)sh->row * sizeof *g);
    } else if (signs >= 0) {
        for (int64_t i = 0; i < sh->row; i++)
            g[i] = base + in_row[i];
    } else {
        for (int64_t i = 0; i < sh->row; i++)
            g[i] = in_row[i] < 0 ? -1 : base + in_row[i];
    }
}

/* Every cell's group. */
static enum status cell_groups(struct ctx *c, const struct shape *sh, const struct chunk *ch,
                               int32_t **out)
{
    void *mem;
    int32_t *in_row, signs;
    TRY(row_groups(c, sh, &in_row, &signs));
    TRY(scratch_alloc(c, (size_t)ch->n * sizeof(int32_t), &mem));
    int32_t *g = mem;
    for (int64_t at = 0, r = 0; at < ch->n; at += sh->row, r++)
        groups_of_row(sh, &ch->box, r, in_row, signs, g + at);
    *out = mem;
    return OK;
}

/* Stretches of a row that go to one group. */
static int64_t n_stretches(const struct shape *sh)
{
    int64_t n = 1;
    for (int64_t i = 1; sh->row_shares && i < sh->row / sh->run; i++)
        n += sh->row_shares[i] != sh->row_shares[i - 1];
    return n;
}

/* Rows that go to the same groups: of some outer dimensions beside one another that no key has. */
struct bundle {
    int64_t n_rows, stride;    /* in cells */
    int64_t n_before, n_after; /* rows by the dimensions before and after those */
};

static struct bundle bundle_of(const struct dim_sink *s, const struct shape *sh,
                               const struct box *b)
{
    const struct plan *p = s->a->op->plan;
    struct bundle u = {1, 0, 1, 1};
    int d = sh->n_outer - 1;
    for (; d >= 0 && has_key(p, d); d--)
        u.n_after *= box_extent(b, d);
    for (; d >= 0 && !has_key(p, d); d--)
        u.n_rows *= box_extent(b, d);
    for (; d >= 0; d--)
        u.n_before *= box_extent(b, d);
    u.stride = u.n_after * sh->row;
    return u;
}

static enum status add_runs(struct ctx *c, struct acc *acc, const struct shape *sh,
                            const struct bundle *u, const struct agg_input *in)
{
    int64_t width = sh->row_shares ? sh->row / sh->run : 1;
    for (int64_t k = 0; k < u->n_before * u->n_after; k++) {
        int64_t r = k / u->n_after * u->n_rows * u->n_after + k % u->n_after;
        int64_t base = outer_share(sh, &in->chunk->box, r);
        if (base < 0) continue;
        for (int64_t i = 0, j; i < width; i = j) {
            int32_t share = sh->row_shares ? sh->row_shares[i] : 0;
            for (j = i + 1; j < width && sh->row_shares[j] == share; j++) {
            }
            if (share < 0) continue;
            TRY(acc_add_rows(c, acc, base + share, in, r * sh->row + i * sh->run, u->n_rows,
                             u->stride, (j - i) * sh->run));
        }
    }
    return OK;
}

static enum status add_columns(struct ctx *c, struct acc *acc, const struct shape *sh,
                               const struct bundle *u, const struct agg_input *in)
{
    int32_t *in_row, signs;
    void *mem;
    TRY(row_groups(c, sh, &in_row, &signs));
    TRY(scratch_alloc(c, (size_t)(u->n_after * sh->row) * sizeof(int32_t), &mem));
    int32_t *g = mem;
    for (int64_t k = 0; k < u->n_before; k++) {
        int64_t first = k * u->n_rows * u->n_after;
        for (int64_t r = 0; r < u->n_after; r++)
            groups_of_row(sh, &in->chunk->box, first + r, in_row, signs, g + r * sh->row);
        acc_add_columns(acc, g, in, first * sh->row, u->n_rows, u->stride, u->stride);
    }
    return OK;
}

/* Rows whose groups come again: each as rows as long as the period. */
static enum status add_periods(struct ctx *c, struct acc *acc, const struct shape *sh,
                               const struct agg_input *in)
{
    void *mem;
    int64_t width = sh->period, n_rows = sh->row / width, rest = sh->row % width;
    TRY(scratch_alloc(c, (size_t)width * sizeof(int32_t), &mem));
    int32_t *g = mem;
    for (int64_t r = 0; r * sh->row < in->chunk->n; r++) {
        int64_t base = outer_share(sh, &in->chunk->box, r), at = r * sh->row;
        for (int64_t i = 0; i < width; i++) {
            int32_t share = row_share(sh, i);
            g[i] = base < 0 || share < 0 ? -1 : (int32_t)base + share;
        }
        if (n_rows) acc_add_columns(acc, g, in, at, n_rows, width, width);
        if (rest) acc_add_columns(acc, g, in, at + n_rows * width, 1, width, rest);
    }
    return OK;
}

/* Every position of the dimensions that have keys is a run of its own. */
static enum status add_lines(struct ctx *c, struct acc *acc, const struct shape *sh,
                             const struct agg_input *in)
{
    void *mem;
    int64_t width = sh->row / sh->run, n = in->chunk->n / sh->run;
    TRY(scratch_alloc(c, (size_t)n * sizeof(int32_t), &mem));
    int32_t *g = mem;
    for (int64_t at = 0, r = 0; at < n; at += width, r++) {
        int64_t base = outer_share(sh, &in->chunk->box, r);
        for (int64_t i = 0; i < width; i++)
            g[at + i] = base < 0 || sh->row_shares[i] < 0 ? -1 : (int32_t)base + sh->row_shares[i];
    }
    acc_add_lines(acc, g, in, n, sh->run);
    return OK;
}

/* ---- consuming ---- */

static enum status no_room(struct ctx *c)
{
    fail(c, ERR_MEMORY, "out of memory: %s leaves no room for the groups", memory_limit_name(c));
    return hint(c, "Raise %s, or group into fewer groups at once.", memory_limit_name(c));
}

enum status dim_sink_acc(struct ctx *c, struct dim_sink *s, int worker, struct acc **out)
{
    struct acc *acc = &s->accs[worker];
    if (!acc->set) {
        bool ok;
        int64_t n = box_cells(&s->groups->slab);
        TRY(acc_init(c, &s->a->set, acc));
        TRY(acc_reserve(c, acc, n, &ok));
        if (!ok) return no_room(c);
        if (s->planes)
            acc_grow_planes(c, acc, n);
        else
            acc_grow(acc, n);
    }
    *out = acc;
    return OK;
}

static enum status add_holistic(struct ctx *c, struct dim_sink *s, int worker,
                                const struct agg_input *in, int32_t *g)
{
    struct aggregate *a = s->a;
    struct column key = {.type = T_INT32, .values = g};
    int64_t n = in->chunk->n;
    void *inside = NULL;
    for (int64_t i = 0; g && i < n; i++) {
        if (g[i] >= 0) continue;
        TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &inside));
        memset(inside, 0, (size_t)bits_words(n) * 8);
        for (int64_t j = 0; j < n; j++)
            bit_put(inside, j, g[j] >= 0);
        break;
    }
    for (int i = 0; i < a->set.n; i++) {
        if (!a->holistic[i]) continue;
        struct call_input ci = in->calls[i];
        void *both = inside;
        if (inside && ci.mask) {
            TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &both));
            memcpy(both, ci.mask, (size_t)bits_words(n) * 8);
            bits_and(both, inside, n);
        }
        if (inside) ci.mask = both;
        TRY(holistic_add(c, a->holistic[i], worker, &key, in, &ci));
    }
    return OK;
}

static bool any_holistic(const struct aggregate *a)
{
    for (int i = 0; i < a->set.n; i++)
        if (a->holistic[i]) return true;
    return false;
}

static bool goes_by_runs(const struct shape *sh)
{
    return !sh->period && n_stretches(sh) * SHORT_RUN <= sh->row;
}

static enum status add_piece(struct ctx *c, struct dim_sink *s, int worker, const struct shape *sh,
                             const struct chunk *piece)
{
    struct acc *acc = &s->accs[worker];
    struct agg_input in;
    TRY(agg_input_make(c, &s->a->set, piece, piece->cols, &s->a->op->in[0]->box, &in));
    struct bundle u = bundle_of(s, sh, &piece->box);
    int32_t *g = NULL;
    bool runs = goes_by_runs(sh);
    bool lines = runs && sh->row_shares && sh->run >= SHORT_LINE &&
                 u.n_rows * sh->run < LONG_LINE && acc_takes_columns(acc, &in);
    bool columns = !runs && u.n_rows >= SHORT_COLUMN && acc_takes_columns(acc, &in);
    bool periods = sh->period && acc_takes_columns(acc, &in);
    if (periods) columns = true;
    bool cells = !runs && !columns;
    if (cells || (any_holistic(s->a) && s->a->op->plan->n_keys)) TRY(cell_groups(c, sh, piece, &g));
    if (any_holistic(s->a)) TRY(add_holistic(c, s, worker, &in, g));
    if (periods) return add_periods(c, acc, sh, &in);
    if (lines) return add_lines(c, acc, sh, &in);
    if (cells) return acc_add_scatter(c, acc, g, &in, 0, piece->n);
    return runs ? add_runs(c, acc, sh, &u, &in) : add_columns(c, acc, sh, &u, &in);
}

static enum status consume(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                           const struct chunk *ch)
{
    (void)seq;
    struct dim_sink *s = (struct dim_sink *)sink;
    struct acc *acc;
    struct shape whole;
    struct pieces *pieces;
    const struct chunk *piece;
    if (atomic_load_explicit(&s->refused, memory_order_relaxed)) return OK;
    TRY(dim_sink_acc(c, s, worker, &acc));
    TRY(shape_of_chunk(c, s, &ch->box, &whole));
    int64_t most = goes_by_runs(&whole) ? PIECE_NEAR : PIECE_WIDE;
    TRY(pieces_open(c, s->a->program, ch, most, &pieces));
    for (;;) {
        TRY(pieces_next(c, pieces, &piece));
        if (!piece) return OK;
        struct shape sh = shape_of_piece(&whole, &ch->box, &piece->box);
        TRY(add_piece(c, s, worker, &sh, piece));
        if (!acc->refused) continue;
        atomic_store(&s->refused, true);
        atomic_store(&s->sink.done, true);
        return OK;
    }
}

/* ---- results ---- */

#define MERGE_GROUPS 16384 /* a task */

struct merging {
    struct acc *to;
    const struct acc *from;
};

static enum status merge_groups(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)worker;
    const struct merging *m = self;
    int64_t lo = task * MERGE_GROUPS,
            hi = lo + MERGE_GROUPS < m->to->n ? lo + MERGE_GROUPS : m->to->n;
    TRY(check_cancel(c));
    for (int64_t g = lo; g < hi; g++)
        if (m->from->cells[g] || (m->from->dense && m->from->dense[g]))
            TRY(acc_merge(c, m->to, g, m->from, g));
    acc_merge_planes(m->to, m->from, lo, hi);
    return OK;
}

/* Texts of states lie in one heap, that is one thread's. */
static int merge_width(const struct aggregate *a)
{
    for (int i = 0; i < a->set.n; i++)
        if (a->set.calls[i].ops->n_texts) return 1;
    return 0;
}

static enum status merge_workers(struct ctx *c, struct dim_sink *s, struct acc **out)
{
    struct acc *first = NULL;
    for (int w = 0; w < s->a->n_workers; w++) {
        struct acc *acc = &s->accs[w];
        if (!acc->set) continue;
        if (!first) {
            first = acc;
            continue;
        }
        if (acc->planes && !first->planes) { /* memory was refused to one of them */
            struct acc *without = first;
            first = acc;
            acc = without;
        }
        if (acc->n_made) acc_make_states(first);
        acc_fit_planes(first, acc);
        struct merging m = {first, acc};
        TRY(pool_run(c, (acc->n + MERGE_GROUPS - 1) / MERGE_GROUPS, merge_width(s->a), merge_groups,
                     &m));
        acc_free(acc);
    }
    if (!first) TRY(dim_sink_acc(c, s, 0, &first));
    acc_settle_planes(first);
    atomic_store(&s->refused, first->refused);
    *out = first;
    return OK;
}

static enum status duplicate(struct ctx *c, const struct dim_sink *s, int64_t group)
{
    const struct op *op = s->a->op;
    struct strbuf keys = STRBUF_INIT;
    int64_t pos[MAX_DIMS];
    box_position(&s->groups->slab, group, pos);
    for (int k = 0; k < op->plan->n_keys; k++) {
        const struct rel_dim *d = &op->plan->rel.dims[k];
        int64_t at = op->box.lo[k] + pos[k];
        struct value v = d->axis ? axis_coord(d->axis, at) : value_int(T_INT64, at);
        strbuf_addf(&keys, "%s%s = ", k ? ", " : "", d->name ? d->name : "row");
        value_format(&v, &keys);
    }
    enum status st = aggregate_duplicate(c, s->a, keys.s ? keys.s : "");
    strbuf_release(&keys);
    return st;
}

static enum status emit_block(struct ctx *c, struct dim_sink *s, const struct acc *acc, int64_t lo,
                              int64_t n)
{
    struct aggregate *a = s->a;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(a->set.n + 1), &mem));
    struct column *cols = mem;
    for (int i = 0; i < a->set.n; i++) {
        TRY(column_alloc(c, agg_partial_type(&a->set.calls[i]), n, &cols[i]));
        TRY(column_need_valid(c, &cols[i], n));
        TRY(acc_finish(c, acc, i, lo, lo + n, &cols[i]));
    }
    TRY(aggregate_holistic_results(c, a, cols, n));
    if (a->present_col >= 0) {
        TRY(column_alloc(c, T_BOOL, n, &cols[a->present_col]));
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)cols[a->present_col].values)[i] = acc->cells[lo + i] > 0;
    }
    for (int64_t i = 0; a->unique && i < n; i++)
        if (acc->cells[lo + i] > 1) return duplicate(c, s, lo + i);
    return rowset_append(c, a->result, cols, NULL, n);
}

static enum status emit(struct ctx *c, struct dim_sink *s, const struct acc *acc)
{
    for (int i = 0; i < s->a->set.n; i++)
        if (s->a->holistic[i]) TRY(holistic_finish(c, s->a->holistic[i], acc->states[i], acc->n));
    for (int64_t lo = 0; lo < acc->n; lo += AGG_BLOCK) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(check_cancel(c));
        TRY(emit_block(c, s, acc, lo, acc->n - lo < AGG_BLOCK ? acc->n - lo : AGG_BLOCK));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

/* ---- slabs ---- */

/* The part of the input whose cells may go to the slab's groups. */
static void region_of(const struct aggregate *a, const struct dim_groups *g, struct box *out)
{
    const struct plan *p = a->op->plan;
    *out = a->op->in[0]->box;
    for (int k = 0; k < p->n_keys; k++) {
        int d = p->keys[k].dim;
        bool whole = g->slab.lo[k] == 0 && g->slab.hi[k] == g->all.hi[k];
        if (whole || p->keys[k].period) continue;
        int64_t lo = out->hi[d], hi = out->lo[d];
        for (int64_t pos = out->lo[d]; pos < out->hi[d]; pos++) {
            int64_t group = group_at(a, k, pos);
            if (group < g->slab.lo[k] || group >= g->slab.hi[k]) continue;
            if (pos < lo) lo = pos;
            hi = pos + 1;
        }
        out->lo[d] = lo < hi ? lo : hi;
        out->hi[d] = hi;
    }
}

#define MANY_BYTES (512 << 10) /* of states: half of a second-level cache */

/* Dimensions with keys first: boxes that go to the same groups then follow one another. */
static const int *order_of_dims(const struct aggregate *a, const struct dim_groups *g, int *order)
{
    int n = 0, n_dims = a->op->in[0]->box.n_dims;
    int64_t each = acc_plane_bytes(&a->set) ? acc_plane_bytes(&a->set) : acc_group_bytes(&a->set);
    if (box_cells(&g->slab) <= MANY_BYTES / each) return NULL;
    for (int keyed = 1; keyed >= 0; keyed--)
        for (int d = 0; d < n_dims; d++)
            if (has_key(a->op->plan, d) == keyed) order[n++] = d;
    return order;
}

/* *again: planes were used, and cannot be. */
static enum status try_slab(struct ctx *c, struct aggregate *a, const struct dim_groups *g,
                            bool planes, bool *again)
{
    struct dim_sink s = {.sink = {.consume = consume}, .a = a, .groups = g, .planes = planes};
    enum type key = T_INT32;
    bool done = false;
    struct box region;
    struct acc *acc;
    int order[MAX_DIMS];
    s.sink.order = order_of_dims(a, g, order);
    s.accs = calloc((size_t)a->n_workers, sizeof *s.accs);
    enum status st = s.accs ? OK : fail(c, ERR_MEMORY, "out of memory");
    if (st == OK) st = aggregate_holistic_new(c, a, &key, a->op->plan->n_keys ? 1 : 0);
    if (st == OK && box_equal(&g->slab, &g->all)) st = aggregate_tiles(c, &s, &done);
    if (st == OK && !done) {
        region_of(a, g, &region);
        if (!box_empty(&region)) st = exec_run(c, a->op->in[0], &region, &s.sink);
    }
    *again = atomic_load(&s.refused);
    if (st == OK && !*again) {
        st = merge_workers(c, &s, &acc);
        *again = atomic_load(&s.refused);
    }
    if (st == OK && !*again) st = emit(c, &s, acc);
    for (int w = 0; s.accs && w < a->n_workers; w++)
        if (s.accs[w].set) acc_free(&s.accs[w]);
    free(s.accs);
    aggregate_holistic_free(a);
    return st;
}

static enum status run_slab(struct ctx *c, struct aggregate *a, const struct dim_groups *g)
{
    bool again;
    TRY(try_slab(c, a, g, true, &again));
    return again ? try_slab(c, a, g, false, &again) : OK;
}

/* How many groups at once: what their share of memory holds, whole tiles of the result if it
 * holds one. */
static int64_t slab_extent(const struct aggregate *a, const struct box *all, int d, int64_t most)
{
    int64_t tile = a->op->grid[d], n = most;
    if (n > box_extent(all, d)) n = box_extent(all, d);
    if (n > tile && n < box_extent(all, d)) n -= n % tile;
    return n < 1 ? 1 : n;
}

static enum status run_slabs(struct ctx *c, struct aggregate *a, struct dim_groups *g)
{
    int64_t most =
        memory_share(c, 4) / a->n_workers / (acc_group_bytes(&a->set) + acc_plane_bytes(&a->set));
    if (most < 1) most = 1;
    if (most > INT32_MAX) most = INT32_MAX;
    int n = g->all.n_dims, cut = n;
    int64_t inner = 1;
    while (cut > 0 && inner <= most / box_extent(&g->all, cut - 1))
        inner *= box_extent(&g->all, --cut);
    g->slab = g->all;
    if (cut == 0) return run_slab(c, a, g);
    int d = cut - 1; /* the dimension that is cut; those before it stand still */
    int64_t extent = slab_extent(a, &g->all, d, most / inner);
    for (int k = 0; k < d; k++)
        g->slab.hi[k] = 1;
    for (;;) {
        for (int64_t lo = 0; lo < g->all.hi[d]; lo += extent) {
            g->slab.lo[d] = lo;
            g->slab.hi[d] = lo + extent < g->all.hi[d] ? lo + extent : g->all.hi[d];
            TRY(check_cancel(c));
            TRY(run_slab(c, a, g));
        }
        int k = d - 1;
        for (; k >= 0 && g->slab.hi[k] == g->all.hi[k]; k--) {
            g->slab.lo[k] = 0;
            g->slab.hi[k] = 1;
        }
        if (k < 0) return OK;
        g->slab.lo[k]++;
        g->slab.hi[k]++;
    }
}

enum status aggregate_dims(struct ctx *c, struct aggregate *a)
{
    struct op *op = a->op;
    const struct plan *p = op->plan;
    struct dim_groups g = {.all = {.n_dims = p->n_keys}};
    enum type *types = arena_array(c->arena, enum type, a->set.n + 1);
    int n_cols = a->set.n;
    for (int i = 0; i < a->set.n; i++) {
        types[i] = a->set.calls[i].result;
        a->cols[i] = i;
    }
    if (p->n_keys) {
        types[n_cols] = T_BOOL;
        a->present_col = n_cols++;
    }
    for (int k = 0; k < p->n_keys; k++) {
        const struct group_key *key = &p->keys[k];
        const struct box *in = &op->in[0]->box;
        if (key->plain) {
            op->box.lo[k] = in->lo[key->dim];
            op->box.hi[k] = in->hi[key->dim];
        }
        g.all.hi[k] = box_extent(&op->box, k);
    }
    TRY(rowset_new(c, types, n_cols, exec_tmp_dir(op->exec), &a->result));
    if (box_empty(&g.all)) return OK;
    TRY(run_slabs(c, a, &g));
    op->text_bytes = rowset_text_bytes(a->result);
    return OK;
}
