/* A stored array's attributes over a region, without the tiles that no row can come from.
 *
 * A tile is left out when it has no cell, or when its summaries show that the condition above the
 * scan (plan->prune) cannot be true on it. Summaries are by stored tile, so only arrays whose
 * positions are as stored are looked at that closely. */
#include "query/op_classes.h"
#include "query/reach.h"
#include <string.h>

#define SMALL_BOX (16 * 1024) /* cells: boxes of smaller tiles take several */
#define GOOD_BOX (32 * 1024)
#define MOST_READ (8 * GOOD_BOX) /* cells of the tiles under a box of which it takes few */

struct scan {
    int64_t tile[MAX_DIMS];
    bool prunes;
    bool *used; /* columns that the condition looks at */
};

static bool note_column(const struct expr *e, void *self)
{
    if (e->kind == E_COL) ((bool *)self)[e->index] = true;
    return true;
}

static bool as_stored(const struct schema *s)
{
    for (int d = 0; d < s->n_dims; d++)
        if (s->dims[d].axis.labels && s->dims[d].axis.labels->stored) return false;
    return true;
}

static void scan_grid(struct op *op, const int64_t *tile)
{
    int n = op->box.n_dims;
    for (int d = 0; d < n; d++)
        op->grid[d] = tile[d];
    if (grid_cells(op) >= SMALL_BOX) return;
    int64_t read = 1;
    for (int d = 0; d < n; d++)
        read *= tile[d];
    for (int d = n - 1; d >= 0; d--)
        while (op->grid[d] < box_extent(&op->box, d) && grid_cells(op) < GOOD_BOX &&
               read < MOST_READ) {
            op->grid[d] *= 2;
            read *= 2;
        }
}

static enum status scan_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    const struct schema *schema = array_schema(p->array);
    struct scan *s = arena_new_of(c->arena, struct scan);
    op->state = s;
    schema_tile_extents(schema, s->tile);
    scan_grid(op, s->tile);
    s->prunes = p->prune && as_stored(schema);
    s->used = arena_array(c->arena, bool, p->rel.n_cols + 1);
    if (p->prune) expr_walk(p->prune, note_column, s->used);
    return OK;
}

/* ---- pruning ---- */

static const struct summary *fact(void *self, int column, const struct axis **axis)
{
    if (axis) *axis = NULL;
    return ((const struct summary **)self)[column];
}

/* The range of coordinates of a dimension over positions [lo, hi). False when it is not known. */
static bool coordinate_range(const struct axis *axis, int64_t lo, int64_t hi, struct value *least,
                             struct value *most)
{
    if (!axis || axis->kind != AXIS_REGULAR) return false;
    bool down = axis_descending(axis);
    *least = axis_coord(axis, down ? hi - 1 : lo);
    *most = axis_coord(axis, down ? lo : hi - 1);
    return true;
}

enum status scan_truths(struct ctx *c, const struct op *op, struct summaries *w,
                        const int64_t *tile, const struct box *part, int *out)
{
    const struct plan *p = op->plan;
    const struct scan *s = op->state;
    struct value least[MAX_DIMS], most[MAX_DIMS];
    void *memory;
    TRY(scratch_zeroed(c, sizeof(struct summary *) * (size_t)(p->rel.n_cols + 1), &memory));
    const struct summary **known = memory;
    for (int i = 0; i < p->rel.n_cols; i++)
        if (s->used[i]) TRY(summaries_at(c, w, p->attrs[i], tile, &known[i]));
    for (int d = 0; d < part->n_dims; d++) {
        if (coordinate_range(p->rel.dims[d].axis, part->lo[d], part->hi[d], &least[d], &most[d]))
            continue;
        enum type t = p->rel.dims[d].axis ? p->rel.dims[d].axis->type : T_INT64;
        least[d] = most[d] = value_null(t);
    }
    *out = expr_truths(p->prune, exec_env(op->exec), fact, known, least, most);
    return OK;
}

bool scan_prunes(const struct op *op)
{
    return ((const struct scan *)op->state)->prunes;
}

/* Can a cell of the tile satisfy the condition? `part` is the tile's part of the box. *n_pruned
 * counts those that can't. */
static enum status part_needed(struct ctx *c, const struct op *op, struct summaries *w,
                               const int64_t *tile, const struct box *part, bool *needed,
                               int64_t *n_pruned)
{
    int truths;
    TRY(array_may_have(c, op->plan->array, part, needed));
    if (!*needed) return OK;
    TRY(scan_truths(c, op, w, tile, part, &truths));
    *needed = truths & TRUTH_TRUE;
    *n_pruned += !*needed;
    return OK;
}

/* Walks the tiles under a box. */
struct tiles {
    struct box tiles, want;
    const int64_t *extent;
    int64_t n, at;
};

static void tiles_init(struct tiles *t, const struct scan *s, const struct box *want)
{
    *t = (struct tiles){.want = *want, .extent = s->tile};
    box_tiles(want, s->tile, &t->tiles);
    t->n = box_cells(&t->tiles);
}

static bool tiles_next(struct tiles *t, int64_t *tile, struct box *part)
{
    if (t->at >= t->n) return false;
    box_position(&t->tiles, t->at++, tile);
    part->n_dims = t->want.n_dims;
    for (int d = 0; d < part->n_dims; d++) {
        int64_t lo = tile[d] * t->extent[d], hi = lo + t->extent[d];
        part->lo[d] = lo > t->want.lo[d] ? lo : t->want.lo[d];
        part->hi[d] = hi < t->want.hi[d] ? hi : t->want.hi[d];
    }
    return true;
}

/* ---- reading ---- */

static enum status read_box(struct ctx *c, struct op *op, const struct box *box, struct chunk *out)
{
    const struct plan *p = op->plan;
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(p->rel.n_cols + 1), &cols));
    *out = (struct chunk){
        .box = *box, .n = box_cells(box), .n_cols = p->rel.n_cols, .cols = cols, .rel = &p->rel};
    return array_read(c, p->array, box, p->attrs, p->rel.n_cols, cols, &out->present,
                      &out->n_present);
}

static enum status add_part(struct ctx *c, const struct chunk *part, struct chunk *out)
{
    box_copy_bits(out->present, &out->box, part->present, &part->box, &part->box);
    for (int i = 0; i < out->n_cols; i++) {
        const struct column *from = &part->cols[i];
        struct column *to = &out->cols[i];
        box_copy(to->values, &out->box, from->values, &part->box, &part->box,
                 type_bytes(from->type));
        if (!from->valid) continue;
        TRY(column_need_valid(c, to, out->n));
        box_copy_bits(to->valid, &out->box, from->valid, &part->box, &part->box);
    }
    return OK;
}

/* Some tiles of the box are needed: reads those one by one. */
static enum status read_some(struct ctx *c, struct op *op, struct tiles *t, const bool *needed,
                             struct chunk *out)
{
    void *present;
    struct chunk ch;
    TRY(chunk_alloc(c, &op->plan->rel, &t->want, &ch));
    TRY(scratch_alloc(c, (size_t)bits_words(ch.n) * 8, &present));
    memset(present, 0, (size_t)bits_words(ch.n) * 8);
    ch.present = present;
    int64_t tile[MAX_DIMS];
    struct box part;
    t->at = 0;
    while (tiles_next(t, tile, &part)) {
        if (!needed[t->at - 1]) continue;
        struct chunk one;
        TRY(read_box(c, op, &part, &one));
        if (one.n_present) TRY(add_part(c, &one, &ch));
        ch.n_present += one.n_present;
        TRY(check_cancel(c));
    }
    ch.n_present = bits_count(ch.present, 0, ch.n);
    *out = ch;
    return OK;
}

static enum status read_pruned(struct ctx *c, struct op *op, const struct box *want,
                               struct chunk *out)
{
    struct tiles t;
    tiles_init(&t, op->state, want);
    void *memory;
    TRY(scratch_alloc(c, (size_t)t.n + 1, &memory));
    bool *needed = memory;
    int64_t tile[MAX_DIMS], n_needed = 0, n_pruned = 0;
    struct box part;
    struct summaries *w;
    TRY(summaries_open(c, op->plan->array, &w));
    while (tiles_next(&t, tile, &part)) {
        TRY(part_needed(c, op, w, tile, &part, &needed[t.at - 1], &n_pruned));
        n_needed += needed[t.at - 1];
    }
    COUNT(c, tiles_pruned, n_pruned);
    if (n_needed == t.n) return read_box(c, op, want, out);
    return n_needed ? read_some(c, op, &t, needed, out) : OK;
}

static enum status scan_produce(struct ctx *c, struct op *op, const struct box *want,
                                struct chunk *out)
{
    const struct scan *s = op->state;
    struct chunk ch = {.n_present = 0};
    bool some;
    TRY(array_may_have(c, op->plan->array, want, &some));
    if (some && s->prunes)
        TRY(read_pruned(c, op, want, &ch));
    else if (some)
        TRY(read_box(c, op, want, &ch));
    if (ch.n_present) TRY(chunk_mask_strides(c, &op->plan->rel, &ch));
    if (ch.n_present == 0) chunk_empty(&op->plan->rel, want, &ch);
    *out = ch;
    return OK;
}

void scan_read_ahead(struct ctx *c, const struct op *op, const struct box *box)
{
    const struct plan *p = op->plan;
    const struct scan *s = op->state;
    if (!s->prunes) {
        array_read_ahead(c, p->array, box, p->attrs, p->rel.n_cols);
        return;
    }
    struct scratch_mark m = scratch_mark(c->scratch);
    struct summaries *w = NULL;
    struct tiles t;
    int64_t tile[MAX_DIMS], n_pruned = 0;
    struct box part;
    bool may = false;
    tiles_init(&t, s, box);
    enum status st = summaries_open(c, p->array, &w);
    while (st == OK && tiles_next(&t, tile, &part)) {
        st = part_needed(c, op, w, tile, &part, &may, &n_pruned);
        if (st == OK && may) array_read_ahead(c, p->array, &part, p->attrs, p->rel.n_cols);
    }
    if (st < 0) ctx_clear(c); /* the scan itself will meet it and report it */
    scratch_release(c->scratch, m);
}

const struct op_class op_scan_class = {"scan", scan_open, scan_produce, NULL};
