/* How does a program run over a chunk? Block by block, each step over a block that stays in the
 * first-level cache. Nothing is allocated here but columns, and texts that cell functions make. */
#include "query/machine.h"
#include "query/subquery.h"
#include <string.h>

static const uint64_t ALL = ~UINT64_C(0);

/* Words of a bitmap that hold n cells, and the bits of the last one that count. */
static uint64_t last_bits(int64_t n)
{
    return n % 64 ? ALL >> (64 - n % 64) : ALL;
}

static bool mask_empty(const struct machine *m, int mask)
{
    const uint64_t *bits = m->masks[mask];
    uint64_t any = 0;
    for (int64_t w = 0; w < m->words; w++)
        any |= bits[w];
    return any == 0;
}

/* ---- validity ---- */

static void all_valid(struct machine *m, int r)
{
    m->lanes[r].valid = NULL;
}

/* The register's own bitmap, set to what it stands for now. */
static uint64_t *own_valid(struct machine *m, int r)
{
    struct lane *l = &m->lanes[r];
    uint64_t *own = m->valid_words + (size_t)r * BLOCK_WORDS;
    if (l->valid == own) return own;
    for (int64_t w = 0; w < m->words; w++)
        own[w] = l->valid ? l->valid[w] : ALL;
    l->valid = own;
    return own;
}

/* dst is valid where both are (NULL: everywhere). */
static void both_valid(struct machine *m, int dst, const uint64_t *a, const uint64_t *b)
{
    if (!a || !b || a == b) {
        m->lanes[dst].valid = a ? a : b;
        return;
    }
    uint64_t *own = m->valid_words + (size_t)dst * BLOCK_WORDS;
    for (int64_t w = 0; w < m->words; w++)
        own[w] = a[w] & b[w];
    m->lanes[dst].valid = own;
}

/* ---- trouble ---- */

static enum status trouble(struct ctx *c, const struct step *s, uint32_t what)
{
    if (what & TROUBLE_ZERO_DIVISOR)
        return fail_at(c, ERR_DIVISION_BY_ZERO, s->pos, "division by zero");
    return fail_at(c, ERR_OVERFLOW, s->pos, "%s out of range", type_name(s->type));
}

/* A kernel met trouble somewhere: is it in a cell that counts? */
static enum status find_trouble(struct ctx *c, struct machine *m, const struct step *s)
{
    const struct reg *regs = m->code->regs;
    const uint64_t *live = m->masks[s->mask], *valid = m->lanes[s->dst].valid;
    const char *a = m->lanes[s->a].values, *b = s->b >= 0 ? m->lanes[s->b].values : NULL;
    size_t a_bytes = regs[s->a].constant && !regs[s->a].filled ? 0 : type_bytes(regs[s->a].type);
    size_t b_bytes = 0;
    if (s->b >= 0 && !(regs[s->b].constant && !regs[s->b].filled))
        b_bytes = type_bytes(regs[s->b].type);
    for (int64_t i = bits_next(live, 0, m->n); i < m->n; i = bits_next(live, i + 1, m->n)) {
        if (valid && !bit_get(valid, i)) continue;
        char one[16];
        uint32_t what = s->kind == STEP_UNARY
                            ? s->unary(one, a + (size_t)i * a_bytes, 1)
                            : s->binary(one, a + (size_t)i * a_bytes, b + (size_t)i * b_bytes, 1);
        if (what) return trouble(c, s, what);
    }
    return OK;
}

/* ---- steps ---- */

static enum status run_binary(struct ctx *c, struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a], *b = &m->lanes[s->b];
    uint32_t what = s->binary(m->lanes[s->dst].values, a->values, b->values, m->n);
    both_valid(m, s->dst, a->valid, b->valid);
    return what ? find_trouble(c, m, s) : OK;
}

static void run_muladd(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a], *b = &m->lanes[s->b], *cc = &m->lanes[s->c];
    s->muladd(m->lanes[s->dst].values, a->values, b->values, cc->values, m->n);
    both_valid(m, s->dst, a->valid, b->valid);
    both_valid(m, s->dst, m->lanes[s->dst].valid, cc->valid);
}

static enum status run_unary(struct ctx *c, struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    uint32_t what = s->unary(m->lanes[s->dst].values, a->values, m->n);
    m->lanes[s->dst].valid = a->valid;
    return what ? find_trouble(c, m, s) : OK;
}

static void run_extreme(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a], *b = &m->lanes[s->b];
    struct lane *dst = &m->lanes[s->dst];
    size_t bytes = type_bytes(m->code->regs[s->dst].type);
    s->binary(dst->values, a->values, b->values, m->n);
    dst->valid = NULL;
    if (!a->valid && !b->valid) return;
    uint64_t only_a[BLOCK_WORDS], only_b[BLOCK_WORDS], any[BLOCK_WORDS];
    for (int64_t w = 0; w < m->words; w++) {
        uint64_t va = a->valid ? a->valid[w] : ALL, vb = b->valid ? b->valid[w] : ALL;
        only_a[w] = va & ~vb;
        only_b[w] = vb & ~va;
        any[w] = va | vb;
    }
    m->kernels->blend(dst->values, a->values, only_a, m->n, bytes);
    m->kernels->blend(dst->values, b->values, only_b, m->n, bytes);
    if (a->valid && b->valid) memcpy(own_valid(m, s->dst), any, (size_t)m->words * 8);
}

static enum status run_cell(struct ctx *c, struct machine *m, const struct step *s)
{
    const struct reg *regs = m->code->regs;
    const uint64_t *live = m->masks[s->mask];
    uint64_t todo[BLOCK_WORDS];
    memcpy(todo, live, sizeof todo);
    bool strict = !s->func || s->func->how != HOW_CELL_ALL;
    struct operand *args = m->operands;
    all_valid(m, s->dst);
    uint64_t *valid = own_valid(m, s->dst);
    for (int j = 0; j < s->n_args; j++) {
        int r = s->args[j];
        const struct lane *l = &m->lanes[r];
        args[j] = (struct operand){.values = l->values, .valid = l->valid, .type = regs[r].type};
        args[j].step = regs[r].constant && !regs[r].filled ? 0 : 1;
        for (int64_t w = 0; w < m->words && strict && l->valid; w++) {
            todo[w] &= l->valid[w];
            valid[w] &= l->valid[w];
        }
    }
    struct lane *dst = &m->lanes[s->dst];
    if (type_is_varlen(s->type)) memset(dst->values, 0, (size_t)m->n * type_bytes(s->type));
    struct call call = {.func = s->func,
                        .type = s->type,
                        .n_args = s->n_args,
                        .arg = args,
                        .out = dst->values,
                        .valid = valid,
                        .todo = todo,
                        .n = m->n,
                        .now_us = m->now_us,
                        .pool = &m->pool};
    TRY(at(c, s->cell(c, &call), s->pos));
    if (bits_all(valid, 0, m->n)) all_valid(m, s->dst);
    return OK;
}

static enum status run_subquery(struct ctx *c, struct machine *m, const struct step *s)
{
    const struct reg *regs = m->code->regs;
    struct operand *args = m->operands;
    struct lane *dst = &m->lanes[s->dst];
    all_valid(m, s->dst);
    uint64_t *valid = own_valid(m, s->dst);
    for (int j = 0; j < s->n_args; j++) {
        int r = s->args[j];
        args[j] = (struct operand){m->lanes[r].values, m->lanes[r].valid, 1, regs[r].type};
        args[j].step = regs[r].constant && !regs[r].filled ? 0 : 1;
    }
    memset(dst->values, 0, (size_t)m->n * type_bytes(s->type));
    struct call call = {.type = s->type,
                        .n_args = s->n_args,
                        .arg = args,
                        .out = dst->values,
                        .valid = valid,
                        .todo = m->masks[s->mask],
                        .n = m->n,
                        .now_us = m->now_us,
                        .pool = &m->pool};
    TRY(subquery_cells(c, s->subquery, s->index, &call));
    if (bits_all(valid, 0, m->n)) all_valid(m, s->dst);
    return OK;
}

static void run_copy(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    memcpy(m->lanes[s->dst].values, a->values,
           (size_t)m->n * type_bytes(m->code->regs[s->dst].type));
    m->lanes[s->dst].valid = a->valid;
}

/* Three-valued: AND is decided by a false operand, OR by a true one, whatever the other is; so what
 * stands where a NULL is does no harm. */
static void run_logical(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    struct lane *dst = &m->lanes[s->dst];
    bool is_and = s->kind == STEP_AND;
    if (a->valid || dst->valid) {
        uint64_t old[BLOCK_WORDS], other[BLOCK_WORDS];
        m->kernels->to_bits(old, dst->values, m->n);
        m->kernels->to_bits(other, a->values, m->n);
        uint64_t *own = own_valid(m, s->dst), flip = is_and ? ALL : 0;
        for (int64_t w = 0; w < m->words; w++) {
            uint64_t va = own[w], vb = a->valid ? a->valid[w] : ALL;
            own[w] = (va & vb) | (va & (old[w] ^ flip)) | (vb & (other[w] ^ flip));
        }
    }
    (is_and ? m->kernels->logical_and : m->kernels->logical_or)(dst->values, a->values, m->n);
}

static void run_is_null(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    uint8_t *out = m->lanes[s->dst].values;
    all_valid(m, s->dst);
    if (!a->valid) {
        memset(out, s->negated, (size_t)m->n);
        return;
    }
    bits_to_bytes(out, a->valid, m->n);
    if (!s->negated)
        for (int64_t i = 0; i < m->n; i++)
            out[i] ^= 1;
}

/* NaN is the same as NaN here, as in GROUP BY, which `<>` denies. */
static void clear_nan_pairs(const struct machine *m, int a, int b, uint64_t *bits)
{
    enum type t = m->code->regs[a].type;
    const void *va = m->lanes[a].values, *vb = m->lanes[b].values;
    if (t != m->code->regs[b].type || !type_is_float(t)) return;
    for (int64_t w = 0; w < m->words; w++) {
        int64_t lo = w * 64, n = m->n - lo < 64 ? m->n - lo : 64;
        uint64_t pairs = 0;
        if (t == T_FLOAT32) {
            const float *x = (const float *)va + lo, *y = (const float *)vb + lo;
            for (int64_t i = 0; i < n; i++)
                pairs |= (uint64_t)(x[i] != x[i] && y[i] != y[i]) << i;
        } else {
            const double *x = (const double *)va + lo, *y = (const double *)vb + lo;
            for (int64_t i = 0; i < n; i++)
                pairs |= (uint64_t)(x[i] != x[i] && y[i] != y[i]) << i;
        }
        bits[w] &= ~pairs;
    }
}

static void run_distinct(struct machine *m, const struct step *s)
{
    const struct lane *ne = &m->lanes[s->a], *b = &m->lanes[s->b], *cc = &m->lanes[s->c];
    uint8_t *out = m->lanes[s->dst].values;
    uint64_t bits[BLOCK_WORDS];
    m->kernels->to_bits(bits, ne->values, m->n);
    clear_nan_pairs(m, s->b, s->c, bits);
    for (int64_t w = 0; w < m->words; w++) {
        uint64_t vb = b->valid ? b->valid[w] : ALL, vc = cc->valid ? cc->valid[w] : ALL;
        bits[w] = ((vb & vc & bits[w]) | (vb ^ vc)) ^ (s->negated ? ALL : 0);
    }
    bits_to_bytes(out, bits, m->n);
    all_valid(m, s->dst);
}

/* Types without a kernel: texts and intervals, by binary search. */
static bool set_has(const struct step *s, const void *values, int64_t i)
{
    struct value v = value_get(s->type, values, i);
    int64_t lo = 0, hi = s->n_set;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        struct value have = value_get(s->type, s->set, mid);
        int order = value_compare(&have, &v);
        if (order == 0) return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static void run_in(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    uint8_t *out = m->lanes[s->dst].values;
    if (s->n_set == 0) {
        memset(out, 0, (size_t)m->n);
    } else if (s->in) {
        s->in(out, a->values, m->n, s->set, s->n_set);
    } else {
        const uint64_t *live = m->masks[s->mask];
        for (int64_t i = 0; i < m->n; i++)
            out[i] =
                bit_get(live, i) && (!a->valid || bit_get(a->valid, i)) && set_has(s, a->values, i);
    }
    m->lanes[s->dst].valid = a->valid;
    if (!s->set_has_null) return;
    uint64_t found[BLOCK_WORDS], *own = own_valid(m, s->dst);
    m->kernels->to_bits(found, out, m->n);
    for (int64_t w = 0; w < m->words; w++)
        own[w] &= found[w];
}

static void run_blend(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    struct lane *dst = &m->lanes[s->dst];
    const uint64_t *mask = m->masks[s->mask];
    m->kernels->blend(dst->values, a->values, mask, m->n, type_bytes(m->code->regs[s->dst].type));
    if (!a->valid && !dst->valid) return;
    uint64_t *own = own_valid(m, s->dst);
    for (int64_t w = 0; w < m->words; w++)
        own[w] = (own[w] & ~mask[w]) | ((a->valid ? a->valid[w] : ALL) & mask[w]);
}

static void make_mask(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a];
    const uint64_t *from = m->masks[s->mask];
    uint64_t *out = m->masks[s->dst], bits[BLOCK_WORDS];
    if (s->kind != STEP_NULL) m->kernels->to_bits(bits, a->values, m->n);
    for (int64_t w = 0; w < m->words; w++) {
        uint64_t valid = a->valid ? a->valid[w] : ALL, keep;
        if (s->kind == STEP_TRUE)
            keep = bits[w] & valid;
        else if (s->kind == STEP_NOT_TRUE)
            keep = ~(bits[w] & valid);
        else if (s->kind == STEP_NOT_FALSE)
            keep = bits[w] | ~valid;
        else
            keep = ~valid;
        out[w] = from[w] & keep;
    }
}

static void compare_mask(struct machine *m, const struct step *s)
{
    const struct lane *a = &m->lanes[s->a], *b = &m->lanes[s->b];
    const uint64_t *from = m->masks[s->mask];
    uint64_t *out = m->masks[s->dst], flip = s->negated ? ALL : 0;
    s->compare(out, a->values, b->values, m->n);
    for (int64_t w = 0; w < m->words; w++)
        out[w] = (out[w] ^ flip) & from[w];
    for (int64_t w = 0; w < m->words && a->valid; w++)
        out[w] &= a->valid[w];
    for (int64_t w = 0; w < m->words && b->valid; w++)
        out[w] &= b->valid[w];
}

static void combine_masks(struct machine *m, const struct step *s)
{
    const uint64_t *a = m->masks[s->mask], *b = m->masks[s->index];
    for (int64_t w = 0; w < m->words; w++)
        m->masks[s->dst][w] = s->kind == STEP_UNION ? a[w] | b[w] : a[w] & ~b[w];
}

static void run_column(struct machine *m, const struct step *s)
{
    const struct column *col = &m->chunk->cols[s->index];
    m->lanes[s->dst].values = (char *)col->values + (size_t)m->start * type_bytes(col->type);
    m->lanes[s->dst].valid = col->valid ? col->valid + m->start / 64 : NULL;
    if (!col->valid || m->start % 64 == 0) return;
    uint64_t *own = m->valid_words + (size_t)s->dst * BLOCK_WORDS;
    bits_copy(own, 0, col->valid, m->start, m->n);
    m->lanes[s->dst].valid = own;
}

static void store_validity(struct machine *m, int output, const uint64_t *valid)
{
    uint64_t *to = m->out_valid[output];
    if (!to) return;
    for (int64_t w = 0; w < m->words; w++)
        to[(m->start - m->base) / 64 + w] = valid ? valid[w] : ALL;
}

static enum status note_nulls(struct ctx *c, struct machine *m, int output, const uint64_t *valid)
{
    if (valid && !m->out_valid[output]) {
        TRY(column_need_valid(c, &m->out[output], m->end - m->base));
        m->out_valid[output] = m->out[output].valid;
    }
    store_validity(m, output, valid);
    return OK;
}

static enum status run_step(struct ctx *c, struct machine *m, const struct step *s)
{
    switch (s->kind) {
    case STEP_COLUMN:
        run_column(m, s);
        break;
    case STEP_AXIS:
        machine_axis(m, s);
        break;
    case STEP_BINARY:
        return run_binary(c, m, s);
    case STEP_MULADD:
        run_muladd(m, s);
        break;
    case STEP_UNARY:
        return run_unary(c, m, s);
    case STEP_EXTREME:
        run_extreme(m, s);
        break;
    case STEP_CELL:
        return run_cell(c, m, s);
    case STEP_RANDOM:
        machine_random(m, s);
        break;
    case STEP_COPY:
        run_copy(m, s);
        break;
    case STEP_AND:
    case STEP_OR:
        run_logical(m, s);
        break;
    case STEP_NOT:
        m->kernels->logical_not(m->lanes[s->dst].values, m->lanes[s->a].values, m->n);
        m->lanes[s->dst].valid = m->lanes[s->a].valid;
        break;
    case STEP_IS_NULL:
        run_is_null(m, s);
        break;
    case STEP_DISTINCT:
        run_distinct(m, s);
        break;
    case STEP_IN:
        run_in(m, s);
        break;
    case STEP_SUBQUERY:
        return run_subquery(c, m, s);
    case STEP_CLEAR:
        all_valid(m, s->dst);
        if (type_is_varlen(m->code->regs[s->dst].type))
            memset(m->lanes[s->dst].values, 0, (size_t)m->n * sizeof(struct text));
        break;
    case STEP_BLEND:
        run_blend(m, s);
        break;
    case STEP_TRUE:
    case STEP_NOT_FALSE:
    case STEP_NOT_TRUE:
    case STEP_NULL:
        make_mask(m, s);
        break;
    case STEP_COMPARE:
        compare_mask(m, s);
        break;
    case STEP_UNION:
    case STEP_EXCEPT:
        combine_masks(m, s);
        break;
    case STEP_STORE: {
        const struct lane *a = &m->lanes[s->a];
        size_t bytes = type_bytes(m->out[s->index].type);
        memcpy((char *)m->out[s->index].values + (size_t)(m->start - m->base) * bytes, a->values,
               (size_t)m->n * bytes);
        return note_nulls(c, m, s->index, a->valid);
    }
    case STEP_RESULT:
        memcpy(m->result, m->masks[s->mask], (size_t)m->words * 8);
        break;
    case STEP_SKIP:
        break;
    }
    return OK;
}

/* ---- blocks ---- */

/* The next block's values come from memory while this one is computed: left to itself, the
 * processor waits for them at the start of each block of each column. */
static void prefetch_next(const struct machine *m)
{
    int64_t first = m->start + m->n, n = m->chunk->n - first;
    if (n > m->code->block) n = m->code->block;
    for (int i = 0; i < m->code->n_steps; i++) {
        const struct step *s = &m->code->steps[i];
        if (s->kind != STEP_COLUMN) continue;
        const struct column *col = &m->chunk->cols[s->index];
        int64_t bytes = (int64_t)type_bytes(col->type);
        const char *from = (const char *)col->values + first * bytes;
        for (int64_t at = 0; at < n * bytes; at += 64)
            __builtin_prefetch(from + at, 0, 2);
    }
}

/* False when no cell of the block exists. */
static bool start_block(struct machine *m, int64_t start)
{
    const uint64_t *present = m->chunk->present;
    int64_t block = m->code->block;
    m->start = start;
    m->n = m->end - start < block ? m->end - start : block;
    m->words = bits_words(m->n);
    prefetch_next(m);
    uint64_t any = 0, *live = m->masks[0];
    if (present)
        bits_copy(live, 0, present, start, m->n);
    else
        memset(live, 0xff, (size_t)m->words * 8);
    live[m->words - 1] &= last_bits(m->n);
    for (int64_t w = 0; w < m->words; w++)
        any |= live[w];
    for (int r = 0; r < m->code->n_regs; r++) {
        const struct reg *reg = &m->code->regs[r];
        if (reg->output >= 0)
            m->lanes[r].values = (char *)m->out[reg->output].values +
                                 (size_t)(start - m->base) * type_bytes(reg->type);
    }
    return any != 0;
}

static enum status run_block(struct ctx *c, struct machine *m)
{
    const struct code *code = m->code;
    for (int i = 0; i < code->n_steps;) {
        const struct step *s = &code->steps[i++];
        if (s->kind == STEP_SKIP) {
            if (mask_empty(m, s->mask)) i = s->target;
            continue;
        }
        TRY(run_step(c, m, s));
    }
    for (int o = 0; o < code->n_outputs && m->out; o++) {
        int r = code->outputs[o].reg;
        if (r >= 0 && code->regs[r].output == o) TRY(note_nulls(c, m, o, m->lanes[r].valid));
    }
    return OK;
}

enum status machine_run(struct ctx *c, struct machine *m, int64_t lo, int64_t hi)
{
    m->base = lo;
    m->end = hi;
    for (int64_t start = lo; start < hi; start += m->code->block)
        if (start_block(m, start)) TRY(run_block(c, m));
    for (int o = 0; o < m->code->n_outputs; o++)
        if (m->code->outputs[o].same_as >= 0) m->out[o] = m->out[m->code->outputs[o].same_as];
    return OK;
}

enum status program_run(struct ctx *c, const struct program *p, const struct chunk *in,
                        struct column *out)
{
    const struct code *code = &p->run;
    bool none = in->n_present == 0;
    for (int o = 0; o < code->n_outputs; o++) {
        const struct output *to = &code->outputs[o];
        if (none)
            out[o] = (struct column){.type = to->type};
        else if (to->column >= 0)
            out[o] = in->cols[to->column];
        else if (to->same_as < 0)
            TRY(column_alloc(c, to->type, in->n, &out[o]));
    }
    if (none || code->n_steps == 0) return OK;
    struct machine m;
    TRY(machine_open(c, &m, p, code, in, out));
    return machine_run(c, &m, 0, in->n);
}

enum status program_filter(struct ctx *c, const struct program *p, struct chunk *chunk)
{
    if (chunk->n_present == 0) return OK;
    TRY(chunk_need_present(c, chunk));
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct machine m;
    enum status s = machine_open(c, &m, p, p->filter, chunk, NULL);
    int64_t left = 0;
    m.end = chunk->n;
    for (int64_t start = 0; s == OK && start < chunk->n; start += m.code->block) {
        memset(m.result, 0, sizeof m.result);
        if (start_block(&m, start)) s = run_block(c, &m);
        for (int64_t w = 0; w < m.words; w++) {
            chunk->present[start / 64 + w] = m.result[w];
            left += __builtin_popcountll(m.result[w]);
        }
    }
    scratch_release(c->scratch, mark);
    if (s == OK) chunk->n_present = left;
    return s;
}
