/* Two arrays side by side: each output cell has the columns of one cell of the left and one of the
 * right, on dimensions that line up. A dimension that only one side has repeats the other's cells.
 *
 * Each side is asked for the box that the output's box projects to, once; its cells are then spread
 * over the output by strides (0 along a repeated dimension) or, along labelled dimensions, by an
 * index per position. A side that already lies as the output does is passed on without a copy. */
#include "query/gather.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include <string.h>

#define GOOD_BOX (64 * 1024) /* cells */
#define LARGEST_BOX (256 * 1024)

/* Where a side's dimensions lie in the output. */
struct feed {
    int n;
    int from[MAX_DIMS]; /* output dimension of each of the side's */
    const struct join_dim *pair[MAX_DIMS];
};

struct join {
    struct feed side[2];
    bool outer; /* LEFT: the left's cells stay */
    bool full;  /* both sides' do */
    int n_left_cols;
    struct program *residual; /* NULL: none */
};

/* ---- shape ---- */

static enum status check_pairs(struct ctx *c, const struct join *j)
{
    for (int r = 0; r < j->side[1].n; r++)
        if (j->side[1].from[r] < 0)
            return fail(c, ERR_INTERNAL, "the join lacks a source for right dimension %d", r);
    return OK;
}

static bool meets(const struct op *op, const struct join_dim *pair, int64_t left)
{
    int64_t right = join_position(op->plan, pair, left);
    const struct box *b = &op->in[1]->box;
    return right >= b->lo[pair->right] && right < b->hi[pair->right];
}

/* The left's box by the right's own dimensions; where only common cells count, without the ends
 * that have no partner. */
static void join_box(struct op *op, const struct join *j)
{
    const struct plan *p = op->plan;
    const struct box *left = &op->in[0]->box, *right = &op->in[1]->box;
    if (j->full) {
        rel_box(&p->rel, &op->box);
        return;
    }
    op->box.n_dims = p->rel.n_dims;
    for (int d = 0; d < j->side[0].n; d++) {
        op->box.lo[d] = left->lo[d];
        op->box.hi[d] = left->hi[d];
    }
    for (int r = 0; r < j->side[1].n; r++) {
        const struct join_dim *pair = j->side[1].pair[r];
        int d = j->side[1].from[r];
        if (!pair) {
            op->box.lo[d] = right->lo[r];
            op->box.hi[d] = right->hi[r];
        } else if (!j->outer && !pair->map) {
            if (op->box.lo[d] < right->lo[r] - pair->shift)
                op->box.lo[d] = right->lo[r] - pair->shift;
            if (op->box.hi[d] > right->hi[r] - pair->shift)
                op->box.hi[d] = right->hi[r] - pair->shift;
        } else if (!j->outer) {
            while (op->box.lo[d] < op->box.hi[d] && !meets(op, pair, op->box.lo[d]))
                op->box.lo[d]++;
            while (op->box.lo[d] < op->box.hi[d] && !meets(op, pair, op->box.hi[d] - 1))
                op->box.hi[d]--;
        }
        if (op->box.hi[d] < op->box.lo[d]) op->box.hi[d] = op->box.lo[d];
    }
    box_in_region(op);
}

/* Does the operator read tiles, so that its grid matters? */
static bool is_stored(const struct op *op)
{
    if (op->plan->kind == P_SCAN || op->plan->kind == P_FILE) return true;
    for (int i = 0; i < op->n_in; i++)
        if (is_stored(op->in[i])) return true;
    return false;
}

/* The left's grid (the right's where only that is stored) and the right's for its own dimensions;
 * smaller where that makes too many cells, larger along what the left alone has where it makes few,
 * as the right's box is then asked for less often. */
static void join_grid(struct op *op, const struct join *j)
{
    bool by_right = is_stored(op->in[1]) && !is_stored(op->in[0]);
    bool alone[MAX_DIMS] = {false};
    int n = op->box.n_dims;
    for (int d = 0; d < j->side[0].n; d++) {
        op->grid[d] = op->in[0]->grid[d];
        alone[d] = true;
    }
    const struct feed *f = &j->side[1];
    for (int r = 0; r < f->n; r++) {
        if (!f->pair[r] || by_right) op->grid[f->from[r]] = op->in[1]->grid[r];
        alone[f->from[r]] = false;
    }
    while (grid_cells(op) > LARGEST_BOX) {
        int longest = 0;
        for (int d = 1; d < n; d++) {
            int64_t extent = box_extent(&op->box, d), most = box_extent(&op->box, longest);
            if (op->grid[d] < extent) extent = op->grid[d];
            if (op->grid[longest] < most) most = op->grid[longest];
            if (extent > most) longest = d;
        }
        int64_t extent = box_extent(&op->box, longest);
        while (op->grid[longest] / 2 >= extent)
            op->grid[longest] = grid_halve(op->grid[longest]);
        op->grid[longest] = grid_halve(op->grid[longest]);
    }
    for (int d = n - 1; d >= 0; d--)
        while (alone[d] && op->grid[d] < box_extent(&op->box, d) && grid_cells(op) <= GOOD_BOX / 2)
            op->grid[d] *= 2;
}

static enum status join_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct join *j = arena_new_of(c->arena, struct join);
    op->state = j;
    j->outer = p->join == JOIN_LEFT;
    j->full = p->join == JOIN_FULL;
    j->n_left_cols = p->in[0]->rel.n_cols;
    for (int side = 0; side < 2; side++) {
        j->side[side].n = p->in[side]->rel.n_dims;
        join_sources(p, side, j->side[side].from, j->side[side].pair);
    }
    TRY(check_pairs(c, j));
    join_box(op, j);
    join_grid(op, j);
    if (!p->residual) return OK;
    return program_compile(c, &p->residual, 1, &p->rel, exec_env(op->exec), &j->residual);
}

/* ---- spreading a side over the output ---- */

struct spread {
    struct gather g;
    bool same;    /* the side's memory is the output's */
    bool partial; /* some output cells have no source */
};

static void spread_finish(struct spread *s, int64_t n_src, const struct box *want)
{
    s->same = !s->partial && s->g.src_start == 0 && n_src == box_cells(want);
    for (int d = 0; d < s->g.n; d++) {
        if (s->g.index[d] || (s->g.extent[d] > 1 && s->g.src_stride[d] != s->g.dst_stride[d]))
            s->same = false;
    }
    gather_simplify(&s->g);
}

/* The part of the output whose shifted positions lie in the side's box. */
static struct box part_of(const struct feed *f, const struct box *in, const struct box *want)
{
    struct box part = *want;
    for (int r = 0; r < f->n; r++) {
        const struct join_dim *pair = f->pair[r];
        int d = f->from[r];
        if (!pair || pair->map) continue;
        if (part.lo[d] < in->lo[r] - pair->shift) part.lo[d] = in->lo[r] - pair->shift;
        if (part.hi[d] > in->hi[r] - pair->shift) part.hi[d] = in->hi[r] - pair->shift;
    }
    return part;
}

/* Adds a labelled dimension: offsets for every position of the output's, from scratch. */
static enum status spread_map(struct ctx *c, const struct op *op, struct spread *s,
                              const struct join_dim *pair, const struct box *right,
                              const struct box *part, int64_t stride)
{
    int d = pair->left, r = pair->right;
    int64_t n = box_extent(part, d);
    void *memory;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)n, &memory));
    int64_t *index = memory;
    const int64_t *before = s->g.index[d];
    for (int64_t i = 0; i < n; i++) {
        int64_t at = join_position(op->plan, pair, part->lo[d] + i);
        int64_t base = before ? before[i] : i * s->g.src_stride[d];
        bool some = at >= right->lo[r] && at < right->hi[r] && base >= 0;
        index[i] = some ? base + (at - right->lo[r]) * stride : -1;
        if (!some) s->partial = true;
    }
    s->g.index[d] = index;
    return OK;
}

static enum status spread_side(struct ctx *c, const struct op *op, int side, const struct chunk *in,
                               const struct box *want, struct spread *s)
{
    const struct feed *f = &((const struct join *)op->state)->side[side];
    struct box part = part_of(f, &in->box, want);
    int64_t strides[MAX_DIMS];
    *s = (struct spread){.partial = !box_equal(&part, want)};
    box_strides(&in->box, strides);
    gather_into(&s->g, want, &part);
    for (int r = 0; r < f->n; r++) {
        const struct join_dim *pair = f->pair[r];
        int d = f->from[r];
        if (pair && pair->map) continue;
        s->g.src_stride[d] += strides[r];
        s->g.src_start += (part.lo[d] + (pair ? pair->shift : 0) - in->box.lo[r]) * strides[r];
    }
    for (int r = 0; r < f->n; r++)
        if (f->pair[r] && f->pair[r]->map)
            TRY(spread_map(c, op, s, f->pair[r], &in->box, &part, strides[r]));
    spread_finish(s, in->n, want);
    return OK;
}

static enum status clear_bits(struct ctx *c, int64_t n, uint64_t **out)
{
    void *bits;
    TRY(scratch_zeroed(c, (size_t)bits_words(n) * 8, &bits));
    *out = bits;
    return OK;
}

/* Bits of a side over the output; NULL: all set. */
static enum status spread_bits(struct ctx *c, const struct spread *s, const uint64_t *src,
                               int64_t n, uint64_t **out)
{
    uint64_t *bits;
    if (!src && !s->partial) {
        *out = NULL;
        return OK;
    }
    TRY(clear_bits(c, n, &bits));
    gather_bits(&s->g, bits, src);
    *out = bits;
    return OK;
}

static enum status spread_column(struct ctx *c, const struct spread *s, const struct column *src,
                                 int64_t n, struct column *out)
{
    if (s->same) {
        *out = *src;
        return OK;
    }
    struct column col;
    TRY(column_alloc(c, src->type, n, &col));
    if (s->partial && type_is_varlen(col.type))
        memset(col.values, 0, (size_t)n * type_bytes(col.type));
    gather_values(&s->g, col.values, src->values, type_bytes(col.type));
    if (src->valid) TRY(spread_bits(c, s, src->valid, n, &col.valid));
    *out = col;
    return OK;
}

/* ---- producing ---- */

/* a AND b in new memory when both are there, else the one that is. */
static enum status both(struct ctx *c, uint64_t *a, const uint64_t *b, int64_t n, uint64_t **out)
{
    if (!b) {
        *out = a;
        return OK;
    }
    uint64_t *bits;
    TRY(clear_bits(c, n, &bits));
    bits_copy(bits, 0, b, 0, n);
    if (a) bits_and(bits, a, n);
    *out = bits;
    return OK;
}

static enum status inner_cells(struct ctx *c, const struct join *j, const struct spread *s,
                               const struct chunk *in, struct chunk *out)
{
    uint64_t *left, *right;
    TRY(spread_bits(c, &s[0], in[0].present, out->n, &left));
    TRY(spread_bits(c, &s[1], in[1].present, out->n, &right));
    TRY(both(c, left, right, out->n, &out->present));
    out->n_present = out->present ? bits_count(out->present, 0, out->n) : out->n;
    if (out->n_present == 0) return OK;
    for (int side = 0, k = 0; side < 2; side++)
        for (int i = 0; i < in[side].n_cols; i++, k++)
            TRY(spread_column(c, &s[side], &in[side].cols[i], out->n, &out->cols[k]));
    return j->residual ? program_filter(c, j->residual, out) : OK;
}

/* Right columns where no cell meets the left's: all NULL. */
static enum status no_match(struct ctx *c, struct chunk *out, int n_left)
{
    for (int i = n_left; i < out->n_cols; i++)
        TRY(column_nulls(c, out->rel->cols[i].type, out->n, &out->cols[i]));
    return OK;
}

/* Narrows *match to where the residual condition holds. */
static enum status match_residual(struct ctx *c, const struct join *j, const struct chunk *out,
                                  uint64_t **match)
{
    if (!j->residual) return OK;
    struct chunk tried = *out;
    TRY(both(c, out->present, *match, out->n, &tried.present));
    if (tried.present == out->present && tried.present) /* the filter writes there */
        TRY(both(c, NULL, out->present, out->n, &tried.present));
    tried.n_present = tried.present ? bits_count(tried.present, 0, tried.n) : tried.n;
    if (tried.n_present) TRY(program_filter(c, j->residual, &tried));
    if (tried.n_present == 0) TRY(clear_bits(c, out->n, &tried.present));
    *match = tried.present;
    return OK;
}

static enum status outer_cells(struct ctx *c, const struct join *j, const struct spread *s,
                               const struct chunk *in, struct chunk *out)
{
    int n_left = in[0].n_cols;
    TRY(spread_bits(c, &s[0], in[0].present, out->n, &out->present));
    out->n_present = out->present ? bits_count(out->present, 0, out->n) : out->n;
    for (int i = 0; i < n_left; i++)
        TRY(spread_column(c, &s[0], &in[0].cols[i], out->n, &out->cols[i]));
    if (in[1].n_present == 0) return no_match(c, out, n_left);
    uint64_t *match;
    TRY(spread_bits(c, &s[1], in[1].present, out->n, &match));
    for (int i = 0; i < in[1].n_cols; i++)
        TRY(spread_column(c, &s[1], &in[1].cols[i], out->n, &out->cols[n_left + i]));
    for (int i = n_left; j->residual && i < out->n_cols; i++)
        TRY(both(c, out->cols[i].valid, match, out->n, &out->cols[i].valid));
    TRY(match_residual(c, j, out, &match));
    for (int i = n_left; match && i < out->n_cols; i++)
        TRY(both(c, out->cols[i].valid, match, out->n, &out->cols[i].valid));
    return OK;
}

/* Cells of either side; NULLs where the other one has none. */
static enum status full_cells(struct ctx *c, const struct join *j, const struct spread *s,
                              const struct chunk *in, struct chunk *out)
{
    uint64_t *bits[2];
    bool all = false;
    TRY(clear_bits(c, out->n, &out->present));
    for (int side = 0, k = 0; side < 2; side++) {
        int end = side ? out->n_cols : j->n_left_cols;
        if (in[side].n_present == 0) {
            for (; k < end; k++)
                TRY(column_nulls(c, out->rel->cols[k].type, out->n, &out->cols[k]));
            continue;
        }
        TRY(spread_bits(c, &s[side], in[side].present, out->n, &bits[side]));
        all |= !bits[side];
        for (int64_t w = 0; bits[side] && w < bits_words(out->n); w++)
            out->present[w] |= bits[side][w];
        for (int i = 0; i < in[side].n_cols; i++, k++) {
            TRY(spread_column(c, &s[side], &in[side].cols[i], out->n, &out->cols[k]));
            TRY(both(c, out->cols[k].valid, bits[side], out->n, &out->cols[k].valid));
        }
    }
    if (all) out->present = NULL;
    out->n_present = out->present ? bits_count(out->present, 0, out->n) : out->n;
    return OK;
}

static enum status join_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    const struct join *j = op->state;
    const struct rel *rel = &op->plan->rel;
    struct box box[2];
    struct chunk in[2] = {{.n_present = 0}, {.n_present = 0}};
    struct spread s[2];
    chunk_empty(rel, want, out);
    bool reached[2] = {op_reach(op, 0, want, &box[0]), op_reach(op, 1, want, &box[1])};
    bool needs[2] = {!j->full, !j->full && !j->outer}; /* without this side there is nothing */
    if ((!reached[0] && needs[0]) || (!reached[1] && needs[1])) return OK;
    int first = needs[1] && box_cells(&box[1]) < box_cells(&box[0]);
    for (int k = 0; k < 2; k++) {
        int side = k ? !first : first;
        if (!reached[side]) continue;
        TRY(op_produce(c, op->in[side], &box[side], &in[side]));
        if (in[side].n_present == 0 && needs[side]) return OK;
    }
    if (in[0].n_present == 0 && in[1].n_present == 0) return OK;
    for (int side = 0; side < 2; side++)
        if (in[side].n_present) TRY(spread_side(c, op, side, &in[side], want, &s[side]));

    struct chunk ch = {.box = *want, .n = box_cells(want), .n_cols = rel->n_cols, .rel = rel};
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(rel->n_cols + 1), &cols));
    ch.cols = cols;
    TRY((j->full ? full_cells : j->outer ? outer_cells : inner_cells)(c, j, s, in, &ch));
    if (ch.n_present) *out = ch;
    return OK;
}

const struct op_class op_join_class = {"join", join_open, join_produce, NULL};
