/* Sums of products over dimensions that two arrays share: matrix products, of matrices of any size.
 *
 * The result is made unit by unit, each from panels: boxes of both inputs that go through the
 * summed dimensions in fixed steps, in order. OpenBLAS gives a cell other bits in another place of
 * another matrix, so units and steps hang on the shapes alone (matmul_shape.c), and a part of a
 * unit is made with the whole: a cell has the same bits whatever the boxes, the workers and the
 * memory. Of a Gram matrix the units above and on the diagonal are made, the others are those
 * turned round: it is symmetric to the bit. A panel is multiplied where the input's chunk has it
 * when it lies there as a matrix, else it is gathered into one (K. Goto and R. van de Geijn,
 * "Anatomy of high-performance matrix multiplication", ACM TOMS 34, 2008, is what OpenBLAS does
 * with it). */
#include "query/gather.h"
#include "query/matmul.h"
#include "query/op_classes.h"
#include "query/reach.h"
#include <string.h>

#define MASKED_INNER 4 /* parts of a panel that are gathered one by one where cells are missing */

static enum status matmul_open(struct ctx *c, struct op *op)
{
    struct matmul *m = arena_new_of(c->arena, struct matmul);
    op->state = m;
    matmul_shape(c, op, m);
    return kept_new(c, op, matmul_sum(m), &m->kept);
}

static void matmul_close(struct op *op)
{
    const struct matmul *m = op->state;
    if (m) kept_free(m->kept);
}

/* ---- panels ---- */

/* What is made at once for a box: itself or, of those that aren't whole, the first unit. */
static void made_at_once(const struct op *op, const struct box *want, struct box *out)
{
    if (matmul_is_whole(op, want))
        *out = *want;
    else
        matmul_unit(op, want->lo, out);
}

/* The input's box that a side has its cells of the panel from. */
static bool side_box(const struct op *op, int side, const struct box *panel, struct box *out)
{
    const struct matmul *m = op->state;
    int input = m->side[side].input;
    struct box of;
    matmul_side_panel(op, side, panel, &of);
    join_side_box(m->pairs, input, &of, out);
    return box_intersect(out, &op->in[input]->box, out);
}

/* Of a square on the diagonal both sides are the same. */
static bool sides_are_one(const struct op *op, const struct box *made)
{
    return ((const struct matmul *)op->state)->symmetric && matmul_triangle(op, made) == 0;
}

int matmul_reaches(const struct op *op, const struct box *want, struct reach *out)
{
    const struct matmul *m = op->state;
    struct box made, whole, panel;
    int n = 0;
    made_at_once(op, want, &made);
    matmul_pair_box(op, &made, &whole);
    if (!matmul_first_panel(m, &whole, &panel)) return 0;
    for (int side = sides_are_one(op, &made); side < 2; side++) {
        out[n].input = m->side[side].input;
        if (side_box(op, side, &panel, &out[n].box)) n++;
    }
    return n;
}

/* Cells and bits of both panels of a unit as operands, in parts; sums of integers; a box that is
 * turned round or kept, or of which a part is wanted. */
double matmul_bytes(const struct op *op, const struct box *want)
{
    const struct matmul *m = op->state;
    struct box made, unit, whole, panel;
    made_at_once(op, want, &made);
    matmul_unit(op, want->lo, &unit);
    matmul_pair_box(op, &unit, &whole);
    if (!matmul_first_panel(m, &whole, &panel)) return 0;
    double cells[4] = {1, 1, 1, 1}, result = (double)box_cells(&made);
    for (int d = 0; d < panel.n_dims; d++)
        cells[m->part[d]] *= (double)box_extent(&panel, d);
    double inner = cells[PART_BATCH] * cells[PART_INNER], each = m->type == T_INT64 ? 17 : 9;
    double operands = inner * (cells[PART_ROWS] + cells[PART_COLS]) * each;
    if (m->type != T_INT64) operands /= MASKED_INNER;
    bool copied = m->symmetric || !box_equal(&made, want); /* any box may be one below */
    return operands + result * (m->type == T_INT64 ? 25 : 1) + (copied ? result * 8.25 : 0);
}

static enum status read_panel(struct ctx *c, struct op *op, int side, const struct box *panel,
                              struct chunk *out)
{
    const struct matmul *m = op->state;
    struct box want;
    *out = (struct chunk){.n_present = 0};
    if (!side_box(op, side, panel, &want)) return OK;
    return op_produce(c, op->in[m->side[side].input], &want, out);
}

static void read_ahead(struct ctx *c, const struct op *op, const struct box *panel)
{
    const struct matmul *m = op->state;
    struct box ahead;
    for (int side = 0; side < 2; side++)
        if (side_box(op, side, panel, &ahead))
            op_read_ahead(c, op->in[m->side[side].input], &ahead);
}

/* ---- a unit ---- */

/* A unit of the box that is being made. */
struct unit {
    struct box box;
    struct product p;
};

static enum status unit_make(struct ctx *c, const struct op *op, const struct chunk *ch,
                             struct unit *u)
{
    const struct matmul *m = op->state;
    int64_t n[4] = {1, 1, 1, 1}, cols = 1, cells;
    struct product *p = &u->p;
    struct box whole;
    void *memory;
    matmul_pair_box(op, &u->box, &whole);
    for (int d = 0; d < whole.n_dims; d++)
        n[m->part[d]] *= box_extent(&whole, d);
    for (int i = 0; i < ch->box.n_dims; i++)
        if (op->plan->dim_of[i] >= 0 && m->part[op->plan->dim_of[i]] == PART_COLS)
            cols *= box_extent(&ch->box, i);
    char *values = ch->cols[0].values;
    *p = (struct product){.type = m->type,
                          .nulls_spread = op->plan->nulls_spread,
                          .vector = m->vector,
                          .diagonal = sides_are_one(op, &u->box),
                          .n_batch = n[PART_BATCH],
                          .rows = n[PART_ROWS],
                          .cols = n[PART_COLS],
                          .row_words = bits_words(n[PART_COLS]),
                          .values = values +
                                    box_index(&ch->box, u->box.lo) * (int64_t)type_bytes(m->type),
                          .stride = cols,
                          .batch_step = n[PART_BATCH] > 1 ? n[PART_ROWS] * cols : 0};
    size_t words = (size_t)(p->n_batch * p->rows * p->row_words) * 8 + 8;
    TRY(scratch_zeroed(c, words, &memory));
    p->met = memory;
    TRY(scratch_zeroed(c, words, &memory));
    p->told = memory;
    TRY(scratch_zeroed(c, (size_t)p->n_batch + 1, &memory));
    p->full = memory;
    if (m->type != T_INT64) return OK;
    cells = p->n_batch * p->rows * p->cols;
    TRY(scratch_zeroed(c, sizeof(i128) * (size_t)cells + 16, &memory));
    p->wide = memory;
    return OK;
}

/* Adds a box of the pairs to a unit. */
static enum status add_cells(struct ctx *c, struct op *op, const struct box *part,
                             const struct chunk *ch[2], bool masked, struct unit *u)
{
    const struct matmul *m = op->state;
    struct operand o[2];
    struct box of;
    for (int side = 0; side < 2; side++) {
        matmul_side_panel(op, side, part, &of);
        TRY(operand_of(c, m->pairs, &m->side[side], ch[side], &of, masked, &o[side]));
    }
    return product_add(c, &u->p, &o[0], &o[1], op->plan->pos);
}

/* A unit's part of a panel. Whether cells are missing is asked of that part alone: what lies beside
 * it in a larger box must not change how it is multiplied. */
static enum status add_unit(struct ctx *c, struct op *op, const struct box *panel,
                            const struct chunk *ch[2], struct unit *u)
{
    const struct matmul *m = op->state;
    struct box part, of;
    bool masked = false;
    matmul_pair_box(op, &u->box, &part);
    box_intersect(&part, panel, &part);
    for (int side = 0; side < 2; side++) {
        matmul_side_panel(op, side, &part, &of);
        masked = masked || part_is_masked(m->pairs, &m->side[side], ch[side], &of);
    }
    int longest = -1; /* of the summed dimensions */
    for (int d = 0; d < part.n_dims; d++)
        if (m->part[d] == PART_INNER &&
            (longest < 0 || box_extent(&part, d) > box_extent(&part, longest)))
            longest = d;
    struct scratch_mark mark = scratch_mark(c->scratch);
    if (!masked || longest < 0 || m->type == T_INT64) {
        TRY(add_cells(c, op, &part, ch, masked, u));
        scratch_release(c->scratch, mark);
        return OK;
    }
    int64_t end = part.hi[longest];
    int64_t step = (box_extent(&part, longest) + MASKED_INNER - 1) / MASKED_INNER;
    for (; part.lo[longest] < end; part.lo[longest] += step) {
        part.hi[longest] = part.lo[longest] + step < end ? part.lo[longest] + step : end;
        TRY(add_cells(c, op, &part, ch, true, u));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

/* ---- the result ---- */

static bool all_full(const struct product *p)
{
    for (int64_t b = 0; b < p->n_batch; b++)
        if (!p->full[b]) return false;
    return true;
}

static enum status take_wide(struct ctx *c, const struct op *op, const struct product *p)
{
    for (int64_t i = 0; i < p->n_batch * p->rows; i++) {
        int64_t *to = (int64_t *)p->values + i * p->stride;
        const i128 *from = p->wide + i * p->cols;
        for (int64_t k = 0; k < p->cols; k++) {
            to[k] = (int64_t)from[k];
            if ((i128)to[k] != from[k])
                return fail_at(c, ERR_OVERFLOW, op->plan->pos, "bigint out of range");
        }
    }
    return OK;
}

/* Presence and validity from the rows of bits. */
static void set_unit_masks(const struct unit *u, struct chunk *ch)
{
    const struct product *p = &u->p;
    int64_t words = p->n_batch * p->rows * p->row_words, at = box_index(&ch->box, u->box.lo);
    for (int64_t w = 0; w < words && p->nulls_spread; w++)
        p->told[w] = ~p->told[w];
    for (int64_t i = 0; i < p->n_batch * p->rows; i++) {
        int64_t from = i * p->row_words * 64, to = at + i * p->stride;
        bits_copy(ch->present, to, p->met, from, p->cols);
        bits_copy(ch->cols[0].valid, to, p->told, from, p->cols);
    }
}

static enum status set_masks(struct ctx *c, const struct unit *units, int64_t n, struct chunk *ch)
{
    bool plain = true;
    for (int64_t i = 0; i < n && plain; i++) {
        const struct product *p = &units[i].p;
        int64_t bits = p->n_batch * p->rows * p->row_words * 64;
        plain = all_full(p) && !(p->nulls_spread && !bits_none(p->told, 0, bits));
    }
    if (plain) return OK;
    TRY(chunk_need_present(c, ch));
    TRY(column_need_valid(c, &ch->cols[0], ch->n));
    for (int64_t i = 0; i < n; i++)
        set_unit_masks(&units[i], ch);
    return OK;
}

/* The units of a box, without those below the diagonal of a square. */
static enum status make_units(struct ctx *c, const struct op *op, const struct chunk *ch,
                              struct unit **out, int64_t *n)
{
    const struct box *want = &ch->box;
    int64_t pos[MAX_DIMS], room = 0;
    struct box unit;
    void *memory;
    memcpy(pos, want->lo, sizeof pos);
    do {
        matmul_unit(op, pos, &unit);
        room++;
    } while (matmul_next_unit(want, &unit, pos));
    TRY(scratch_alloc(c, sizeof(struct unit) * (size_t)room, &memory));
    *out = memory;
    *n = 0;
    memcpy(pos, want->lo, sizeof pos);
    do {
        matmul_unit(op, pos, &unit);
        if (matmul_triangle(op, &unit) < 0) continue;
        (*out)[*n].box = unit;
        TRY(unit_make(c, op, ch, &(*out)[(*n)++]));
    } while (matmul_next_unit(want, &unit, pos));
    return OK;
}

/* ---- Gram matrices ---- */

/* The square's cells below its diagonal are those above it. */
static void mirror(const struct matmul *m, struct chunk *ch)
{
    int64_t n = 1;
    while (n * n < ch->n)
        n++;
    struct column *col = &ch->cols[0];
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < i; k++) {
            int64_t to = i * n + k, from = k * n + i;
            if (m->type == T_FLOAT32)
                ((float *)col->values)[to] = ((const float *)col->values)[from];
            else
                ((double *)col->values)[to] = ((const double *)col->values)[from];
            if (ch->present) bit_put(ch->present, to, bit_get(ch->present, from));
            if (col->valid) bit_put(col->valid, to, bit_get(col->valid, from));
        }
}

/* A box below the diagonal from the one above it. */
static enum status turn_round(struct ctx *c, const struct op *op, const struct chunk *from,
                              struct chunk *to)
{
    const struct matmul *m = op->state;
    struct gather g = {.n = to->box.n_dims};
    int64_t src[MAX_DIMS];
    box_strides(&from->box, src);
    box_strides(&to->box, g.dst_stride);
    for (int i = 0; i < g.n; i++) {
        bool batch = op->plan->dim_of[i] < 0 || m->part[op->plan->dim_of[i]] == PART_BATCH;
        g.extent[i] = box_extent(&to->box, i);
        g.src_stride[i] = src[batch ? i : m->mate[i]];
    }
    gather_simplify(&g);
    gather_values(&g, to->cols[0].values, from->cols[0].values, type_bytes(m->type));
    if (from->present) {
        TRY(chunk_need_present(c, to));
        gather_bits(&g, to->present, from->present);
    }
    if (from->cols[0].valid) {
        TRY(column_need_valid(c, &to->cols[0], to->n));
        gather_bits(&g, to->cols[0].valid, from->cols[0].valid);
    }
    return OK;
}

/* ---- boxes ---- */

static enum status add_panel(struct ctx *c, struct op *op, const struct box *panel, bool one_side,
                             struct unit *units, int64_t n)
{
    struct chunk ch[2];
    const struct chunk *of[2] = {&ch[one_side], &ch[1]};
    for (int side = one_side; side < 2; side++) {
        TRY(read_panel(c, op, side, panel, &ch[side]));
        if (ch[side].n_present == 0) return OK;
    }
    for (int64_t i = 0; i < n; i++)
        TRY(add_unit(c, op, panel, of, &units[i]));
    return OK;
}

/* A box of whole units. */
static enum status make_box(struct ctx *c, struct op *op, const struct box *want, struct chunk *ch)
{
    const struct matmul *m = op->state;
    struct box whole, panel;
    struct unit *units;
    int64_t n;
    TRY(chunk_alloc(c, &op->plan->rel, want, ch));
    memset(ch->cols[0].values, 0, type_bytes(m->type) * (size_t)ch->n);
    TRY(make_units(c, op, ch, &units, &n));
    matmul_pair_box(op, want, &whole);
    bool more = matmul_first_panel(m, &whole, &panel), one_side = sides_are_one(op, want);
    while (more) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct box now = panel;
        more = matmul_next_panel(m, &whole, &panel);
        if (more) read_ahead(c, op, &panel);
        TRY(add_panel(c, op, &now, one_side, units, n));
        scratch_release(c->scratch, mark);
        TRY(check_cancel(c));
    }
    for (int64_t i = 0; i < n && m->type == T_INT64; i++)
        TRY(take_wide(c, op, &units[i].p));
    TRY(set_masks(c, units, n, ch));
    if (one_side) mirror(m, ch);
    if (ch->present) ch->n_present = bits_count(ch->present, 0, ch->n);
    return OK;
}

static void copy_part(const struct chunk *unit, struct chunk *out)
{
    struct box part;
    const struct column *from = &unit->cols[0];
    struct column *to = &out->cols[0];
    box_intersect(&unit->box, &out->box, &part);
    box_copy(to->values, &out->box, from->values, &unit->box, &part, type_bytes(from->type));
    box_copy_bits(out->present, &out->box, unit->present, &unit->box, &part);
    box_copy_bits(to->valid, &out->box, from->valid, &unit->box, &part);
}

/* The units above the diagonal that a box below it is made of, if all are kept. */
static enum status read_kept(struct ctx *c, const struct op *op, const struct box *above,
                             struct chunk *out, bool *found)
{
    int64_t pos[MAX_DIMS];
    struct box unit;
    struct chunk one;
    memcpy(pos, above->lo, sizeof pos);
    *found = false;
    do {
        matmul_unit(op, pos, &unit);
        if (!kept_has(op, &unit)) return OK;
    } while (matmul_next_unit(above, &unit, pos));
    TRY(chunk_alloc(c, &op->plan->rel, above, out));
    TRY(chunk_need_present(c, out));
    TRY(column_need_valid(c, &out->cols[0], out->n));
    memcpy(pos, above->lo, sizeof pos);
    do {
        struct scratch_mark mark = scratch_mark(c->scratch);
        matmul_unit(op, pos, &unit);
        TRY(kept_read(c, op, &unit, &unit, &one));
        copy_part(&one, out);
        scratch_release(c->scratch, mark);
    } while (matmul_next_unit(above, &unit, pos));
    *found = true;
    return OK;
}

/* Keeps the units of a box above the diagonal. */
static enum status keep_units(struct ctx *c, const struct op *op, const struct chunk *ch)
{
    int64_t pos[MAX_DIMS];
    struct box unit;
    struct chunk one;
    memcpy(pos, ch->box.lo, sizeof pos);
    do {
        struct scratch_mark mark = scratch_mark(c->scratch);
        bool mine;
        matmul_unit(op, pos, &unit);
        TRY(kept_claim(c, op, &unit, &mine));
        if (!mine) continue;
        enum status st = chunk_cut(c, ch, &unit, &one);
        if (st != OK) {
            kept_forget(op, &unit);
            return st;
        }
        TRY(kept_store(c, op, &one));
        scratch_release(c->scratch, mark);
    } while (matmul_next_unit(&ch->box, &unit, pos));
    return OK;
}

/* A box of whole units on one side of the diagonal, or on it. */
static enum status make_whole(struct ctx *c, struct op *op, const struct box *want,
                              struct chunk *out)
{
    struct box above;
    struct chunk ch;
    bool kept = false;
    if (matmul_triangle(op, want) >= 0) return make_box(c, op, want, out);
    TRY(chunk_alloc(c, &op->plan->rel, want, out));
    matmul_turned(op, want, &above);
    if (((const struct matmul *)op->state)->kept) TRY(read_kept(c, op, &above, &ch, &kept));
    if (!kept) TRY(make_box(c, op, &above, &ch));
    TRY(turn_round(c, op, &ch, out));
    out->n_present = out->present ? bits_count(out->present, 0, out->n) : out->n;
    return OK;
}

/* A unit of which a part is wanted. */
static enum status make_part(struct ctx *c, struct op *op, const struct box *unit,
                             const struct box *want, struct chunk *out)
{
    struct box part;
    bool mine;
    box_intersect(unit, want, &part);
    TRY(kept_claim(c, op, unit, &mine));
    if (!mine) return kept_read(c, op, unit, &part, out);
    enum status st = make_whole(c, op, unit, out);
    if (st != OK) {
        kept_forget(op, unit);
        return st;
    }
    return kept_store(c, op, out);
}

static enum status matmul_produce(struct ctx *c, struct op *op, const struct box *want,
                                  struct chunk *out)
{
    int64_t pos[MAX_DIMS];
    struct box unit;
    const struct matmul *m = op->state;
    if (matmul_is_whole(op, want)) {
        TRY(make_whole(c, op, want, out));
        bool turned_too = m->symmetric && m->kept && matmul_triangle(op, want) > 0;
        return turned_too ? keep_units(c, op, out) : OK;
    }
    struct chunk ch, one;
    memcpy(pos, want->lo, sizeof pos);
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    TRY(chunk_need_present(c, &ch));
    TRY(column_need_valid(c, &ch.cols[0], ch.n));
    do {
        struct scratch_mark mark = scratch_mark(c->scratch);
        matmul_unit(op, pos, &unit);
        TRY(make_part(c, op, &unit, want, &one));
        copy_part(&one, &ch);
        scratch_release(c->scratch, mark);
    } while (matmul_next_unit(want, &unit, pos));
    ch.n_present = bits_count(ch.present, 0, ch.n);
    if (ch.n_present == ch.n) ch.present = NULL;
    if (bits_all(ch.cols[0].valid, 0, ch.n)) ch.cols[0].valid = NULL;
    *out = ch;
    return OK;
}

const struct op_class op_matmul_class = {"matmul", matmul_open, matmul_produce, matmul_close};
