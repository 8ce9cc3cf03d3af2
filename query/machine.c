/* What does a run need before its first block, and which values come from where a cell lies: its
 * coordinates, its positions, its random numbers? */
#include "query/machine.h"
#include "storage/base/mix.h"
#include <math.h>
#include <string.h>

/* Longer extents are computed a block at a time. */
static const int64_t LONG_EXTENT = 8192;

/* ---- opening ---- */

static enum status zeroed(struct ctx *c, size_t bytes, void **out)
{
    TRY(scratch_alloc(c, bytes > 0 ? bytes : 1, out));
    memset(*out, 0, bytes);
    return OK;
}

/* Coordinates of positions; those that a labelled axis does not have are zero (their cells do not
 * exist). */
static void coordinates(const struct axis_values *a, int64_t lo, int64_t n, void *values)
{
    if (!a->axis) {
        int64_t *p = values;
        for (int64_t i = 0; i < n; i++)
            p[i] = lo + i - a->origin;
        return;
    }
    if (a->axis->kind == AXIS_REGULAR) {
        axis_coords(a->axis, lo, n, 1, values);
        return;
    }
    size_t bytes = type_bytes(a->axis->type);
    int64_t from = lo > a->axis->lo ? lo : a->axis->lo;
    int64_t to = lo + n < a->axis->hi ? lo + n : a->axis->hi;
    if (from >= to || from > lo || to < lo + n) memset(values, 0, (size_t)n * bytes);
    if (from < to)
        axis_coords(a->axis, from, to - from, 1, (char *)values + (size_t)(from - lo) * bytes);
}

static enum status open_source(struct ctx *c, struct machine *m, const struct program *p,
                               const struct axis_source *s, struct axis_values *a)
{
    const struct rel_dim *dim = &p->in->dims[s->dim];
    const struct box *box = &m->chunk->box;
    a->axis = s->positions ? NULL : dim->axis;
    a->origin = s->positions && dim->axis ? dim->axis->lo : 0;
    a->type = s->type;
    a->lo = box->lo[s->dim];
    a->extent = box_extent(box, s->dim);
    a->inner = 1;
    for (int k = s->dim + 1; k < box->n_dims; k++)
        a->inner *= box_extent(box, k);
    if (s->program) {
        struct chunk line = {.n = a->extent, .n_present = a->extent, .rel = s->program->in};
        line.box = (struct box){.n_dims = 1, .lo = {a->lo}, .hi = {a->lo + a->extent}};
        struct column col;
        TRY(program_run(c, s->program, &line, &col));
        a->values = col.values;
        a->valid = col.valid;
    } else if (a->extent <= LONG_EXTENT) {
        void *values;
        TRY(scratch_alloc(c, (size_t)a->extent * type_bytes(s->type), &values));
        coordinates(a, a->lo, a->extent, values);
        a->values = values;
    }
    return OK;
}

static void fill_constants(struct machine *m, char *values)
{
    int64_t n = m->chunk->n < m->code->block ? m->chunk->n : m->code->block;
    for (int r = 0; r < m->code->n_regs; r++) {
        const struct reg *reg = &m->code->regs[r];
        struct lane *l = &m->lanes[r];
        if (reg->constant && !reg->filled) {
            union {
                const void *from;
                void *to;
            } constant = {.from = reg->constant}; /* read only, as all operands are */
            l->values = constant.to;
        } else if (!reg->in_place && reg->output < 0) {
            l->values = values + reg->offset;
        }
        if (reg->filled) kernel_fill(l->values, reg->constant, n, type_bytes(reg->type));
        if (reg->constant_null) l->valid = m->valid_words + (size_t)r * BLOCK_WORDS; /* zeros */
    }
}

enum status machine_open(struct ctx *c, struct machine *m, const struct program *p,
                         const struct code *code, const struct chunk *chunk, struct column *out)
{
    *m = (struct machine){
        .kernels = kernels_get(), .code = code, .chunk = chunk, .out = out, .now_us = p->now_us};
    size_t n_regs = (size_t)code->n_regs;
    int most_args = 1;
    for (int i = 0; i < code->n_steps; i++)
        if (code->steps[i].n_args > most_args) most_args = code->steps[i].n_args;
    void *lanes, *valid, *masks, *values, *axes, *operands, *out_valid;
    TRY(zeroed(c, n_regs * sizeof *m->lanes, &lanes));
    TRY(zeroed(c, n_regs * BLOCK_WORDS * 8, &valid));
    TRY(zeroed(c, (size_t)code->n_masks * sizeof *m->masks, &masks));
    TRY(zeroed(c, (size_t)code->n_sources * sizeof *m->axes, &axes));
    TRY(zeroed(c, (size_t)most_args * sizeof *m->operands, &operands));
    TRY(zeroed(c, (size_t)code->n_outputs * sizeof *m->out_valid, &out_valid));
    TRY(scratch_alloc(c, code->value_bytes > 0 ? code->value_bytes : 1, &values));
    m->lanes = lanes;
    m->valid_words = valid;
    m->masks = masks;
    m->axes = axes;
    m->operands = operands;
    m->out_valid = out_valid;
    fill_constants(m, values);
    for (int i = 0; i < code->n_sources; i++)
        TRY(open_source(c, m, p, &code->sources[i], &m->axes[i]));
    return OK;
}

/* ---- by place ---- */

static void spread(char *to, const char *from, size_t bytes, int64_t n)
{
    kernel_fill(to, from, n, bytes);
}

/* The values of the innermost dimension run along the cells, those of others stand still for runs
 * of `inner` cells. */
void machine_axis(struct machine *m, const struct step *s)
{
    const struct axis_values *a = &m->axes[s->index];
    size_t bytes = type_bytes(a->type);
    char *to = m->lanes[s->dst].values;
    m->lanes[s->dst].valid = NULL;
    uint64_t *valid = a->valid ? m->valid_words + (size_t)s->dst * BLOCK_WORDS : NULL;
    if (valid) m->lanes[s->dst].valid = valid;
    for (int64_t i = 0; i < m->n;) {
        int64_t cell = m->start + i, k = cell / a->inner % a->extent;
        int64_t run = a->inner > 1 ? a->inner - cell % a->inner : a->extent - k;
        if (run > m->n - i) run = m->n - i;
        char *at = to + (size_t)i * bytes;
        if (a->inner == 1 && a->values) {
            memcpy(at, a->values + (size_t)k * bytes, (size_t)run * bytes);
        } else if (a->inner == 1) {
            coordinates(a, a->lo + k, run, at);
        } else if (a->values) {
            spread(at, a->values + (size_t)k * bytes, bytes, run);
        } else {
            char one[16];
            coordinates(a, a->lo + k, 1, one);
            spread(at, one, bytes, run);
        }
        if (valid && a->inner == 1)
            bits_copy(valid, i, a->valid, k, run);
        else if (valid)
            bits_fill(valid, i, run, bit_get(a->valid, k));
        i += run;
    }
}

/* ---- random numbers ---- */

/* One hash a cell, of the seed and the cell's absolute position in every dimension. */
static void hash_cells(const struct machine *m, const int64_t *seed, uint64_t *h)
{
    const struct box *box = &m->chunk->box;
    int last = box->n_dims - 1;
    int64_t inner = last >= 0 ? box_extent(box, last) : 1;
    for (int64_t i = 0; i < m->n;) {
        int64_t cell = m->start + i, pos[MAX_DIMS] = {0};
        if (last >= 0) box_position(box, cell, pos);
        int64_t run = inner - cell % inner;
        if (run > m->n - i) run = m->n - i;
        for (int64_t k = 0; k < run; k++) {
            uint64_t x = hash_seed(seed[i + k]);
            if (k > 0 && seed[i + k] == seed[i]) {
                h[i + k] = h[i]; /* the prefix that the run shares */
                continue;
            }
            for (int d = 0; d < last; d++)
                x = mix_in(x, pos[d]);
            h[i + k] = x;
        }
        for (int64_t k = 0; k < run && last >= 0; k++)
            h[i + k] = mix_in(h[i + k], pos[last] + k);
        i += run;
    }
}

/* The same of positions that are computed. */
static void hash_positions(const struct machine *m, const struct step *s, uint64_t *h)
{
    const int64_t *seed = m->lanes[s->a].values;
    for (int64_t i = 0; i < m->n; i++)
        h[i] = hash_seed(seed[i]);
    for (int d = 0; d < s->n_args; d++) {
        const int64_t *pos = m->lanes[s->args[d]].values;
        for (int64_t i = 0; i < m->n; i++)
            h[i] = mix_in(h[i], pos[i]);
    }
}

void machine_random(struct machine *m, const struct step *s)
{
    uint64_t h[BLOCK];
    double *out = m->lanes[s->dst].values;
    if (s->n_args)
        hash_positions(m, s, h);
    else
        hash_cells(m, m->lanes[s->a].values, h);
    m->lanes[s->dst].valid = m->lanes[s->a].valid;
    if (!s->negated) {
        for (int64_t i = 0; i < m->n; i++)
            out[i] = unit(h[i]);
        return;
    }
    /* Box and Muller: sqrt(-2 ln u) cos(2 pi v). */
    double u[BLOCK], v[BLOCK];
    for (int64_t i = 0; i < m->n; i++) {
        u[i] = 1 - unit(h[i]);
        v[i] = unit(mix(h[i] + 0x9e3779b97f4a7c15u)) * 6.283185307179586476925286766559;
    }
    kernel_unary(U_LOG, T_FLOAT64, false)(out, u, m->n);
    kernel_unary(U_COS, T_FLOAT64, false)(u, v, m->n);
    for (int64_t i = 0; i < m->n; i++)
        out[i] = sqrt(-2 * out[i]) * u[i];
}
