/* How do the cells of a chunk get into groups' states? Masks say which cells count for a call;
 * blocks of them are compacted, so that kernels see values alone. */
#include "query/agg_internal.h"
#include "query/gather.h"
#include "query/kernels.h"
#include "query/rowset_internal.h"
#include "storage/base/fsum_planes.h"
#include <stdlib.h>

/* ---- texts ---- */

#define HEAP_BLOCK 65536

/* Room for so many bytes, elsewhere than before if there is too little. */
static enum status text_heap_room(struct ctx *c, struct text_heap *h, struct text_ref *ref,
                                  int64_t len)
{
    int64_t cap = 16;
    if (len <= ref->cap) return OK;
    while (cap < len)
        cap *= 2;
    if (cap > h->left_bytes) {
        int64_t bytes = cap + 16 > HEAP_BLOCK ? cap + 16 : HEAP_BLOCK;
        void *block;
        TRY(buf_alloc(c, (size_t)bytes, &block));
        memcpy(block, &h->last, sizeof h->last);
        h->last = block;
        h->at = (char *)block + 16;
        h->left_bytes = bytes - 16;
        h->total_bytes += bytes;
    }
    ref->s = h->at;
    ref->cap = cap;
    h->at += cap;
    h->left_bytes -= cap;
    return OK;
}

enum status text_heap_put(struct ctx *c, struct text_heap *h, struct text_ref *ref, const char *s,
                          int64_t len)
{
    TRY(text_heap_room(c, h, ref, len));
    if (len) memcpy(ref->s, s, (size_t)len);
    ref->len = len;
    return OK;
}

enum status text_heap_append(struct ctx *c, struct text_heap *h, struct text_ref *ref,
                             const void *s, int64_t len)
{
    if (ref->len + len > ref->cap) {
        struct text_ref longer = {0};
        TRY(text_heap_room(c, h, &longer, 2 * (ref->len + len)));
        if (ref->len) memcpy(longer.s, ref->s, (size_t)ref->len);
        longer.len = ref->len;
        *ref = longer;
    }
    if (len) memcpy(ref->s + ref->len, s, (size_t)len);
    ref->len += len;
    return OK;
}

void text_heap_free(struct text_heap *h)
{
    while (h->last) {
        void *block = h->last;
        memcpy(&h->last, block, sizeof h->last);
        buf_free(block);
    }
    *h = (struct text_heap){0};
}

/* ---- masks ---- */

int64_t mask_select(const uint64_t *mask, int64_t at, int64_t n, const int32_t *g, int32_t *sel)
{
    int64_t m = 0;
    if (!mask) {
        for (int64_t i = 0; i < n; i++)
            sel[m++] = (int32_t)i;
    } else {
        for (int64_t w = at >> 6; w <= (at + n - 1) >> 6; w++) {
            uint64_t bits = mask[w];
            if (w == at >> 6) bits &= UINT64_MAX << (at & 63);
            for (; bits; bits &= bits - 1) {
                int64_t i = w * 64 + __builtin_ctzll(bits) - at;
                if (i >= n) break;
                sel[m++] = (int32_t)i;
            }
        }
    }
    if (!g) return m;
    int64_t kept = 0;
    for (int64_t i = 0; i < m; i++) {
        sel[kept] = sel[i];
        kept += g[sel[i]] >= 0;
    }
    return kept;
}

/* A mask being combined; a copy is made at the first bitmap that comes after another. */
struct masking {
    const uint64_t *mask;
    uint64_t *own;
    int64_t n;
};

static enum status mask_own(struct ctx *c, struct masking *m)
{
    if (m->own) return OK;
    void *bits;
    TRY(scratch_alloc(c, (size_t)bits_words(m->n) * 8, &bits));
    if (m->mask)
        memcpy(bits, m->mask, (size_t)bits_words(m->n) * 8);
    else
        bits_fill(bits, 0, m->n, true);
    m->mask = m->own = bits;
    return OK;
}

static enum status mask_and(struct ctx *c, struct masking *m, const uint64_t *bits)
{
    if (!bits) return OK;
    if (!m->mask) {
        m->mask = bits;
        return OK;
    }
    TRY(mask_own(c, m));
    bits_and(m->own, bits, m->n);
    return OK;
}

static enum status mask_filter(struct ctx *c, struct masking *m, const struct column *cond)
{
    void *mem;
    TRY(mask_and(c, m, cond->valid));
    TRY(scratch_alloc(c, (size_t)bits_words(m->n) * 8, &mem));
    kernels_get()->to_bits(mem, cond->values, m->n); /* any bit where the condition is NULL */
    return mask_and(c, m, mem);
}

static enum status mask_nans(struct ctx *c, struct masking *m, const struct column *col)
{
    if (!type_is_float(col->type)) return OK;
    void *mem;
    TRY(scratch_alloc(c, (size_t)bits_words(m->n) * 8, &mem));
    kernels_get()->compare_bits[B_EQ - B_EQ][col->type][FORM_VV](mem, col->values, col->values,
                                                                 m->n);
    return mask_and(c, m, mem);
}

/* The column with 0 for NaN. */
static enum status zero_nans(struct ctx *c, int64_t n, const struct column **col)
{
    if (!type_is_float((*col)->type)) return OK;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column), &mem));
    struct column *out = mem;
    *out = **col;
    TRY(scratch_alloc(c, (size_t)n * type_bytes(out->type) + 8, &out->values));
    for (int64_t i = 0; i < n && out->type == T_FLOAT32; i++) {
        float x = ((const float *)(*col)->values)[i];
        ((float *)out->values)[i] = x == x ? x : 0;
    }
    for (int64_t i = 0; i < n && out->type == T_FLOAT64; i++) {
        double x = ((const double *)(*col)->values)[i];
        ((double *)out->values)[i] = x == x ? x : 0;
    }
    *col = out;
    return OK;
}

static enum status input_of_call(struct ctx *c, const struct agg_bound *k,
                                 const struct agg_input *in, struct call_input *out)
{
    struct masking m = {.mask = in->chunk->present, .n = in->chunk->n};
    for (int i = 0; i < k->n_args; i++) {
        out->args[i] = &in->cols[k->slots[i]];
        if (i != k->value_arg) TRY(mask_and(c, &m, out->args[i]->valid));
        if (k->agg->nan == NAN_SKIPPED) TRY(mask_nans(c, &m, out->args[i]));
        if (k->agg->nan == NAN_AS_ZERO) TRY(zero_nans(c, m.n, &out->args[i]));
    }
    if (k->filter >= 0) TRY(mask_filter(c, &m, &in->cols[k->filter]));
    out->mask = m.mask;
    if (m.mask && bits_all(m.mask, 0, m.n)) out->mask = NULL;
    out->none = m.mask && bits_none(m.mask, 0, m.n);
    return OK;
}

enum status agg_input_make(struct ctx *c, const struct agg_set *set, const struct chunk *chunk,
                           const struct column *cols, const struct box *outer,
                           struct agg_input *out)
{
    struct agg_input in = {.chunk = chunk, .cols = cols, .outer = outer};
    void *calls;
    TRY(scratch_alloc(c, sizeof(struct call_input) * (size_t)(set->n + 1), &calls));
    in.calls = calls;
    for (int i = 0; i < set->n; i++)
        TRY(input_of_call(c, &set->calls[i], &in, &in.calls[i]));
    *out = in;
    return OK;
}

/* ---- accumulators ---- */

enum status acc_init(struct ctx *c, const struct agg_set *set, struct acc *a)
{
    *a = (struct acc){.set = set};
    a->states = calloc((size_t)set->n + 1, sizeof *a->states);
    return a->states ? OK : fail(c, ERR_MEMORY, "out of memory");
}

void acc_free(struct acc *a)
{
    for (int i = 0; a->states && i < a->set->n; i++)
        buf_free(a->states[i]);
    free(a->states);
    buf_free(a->cells);
    buf_free(a->dense);
    for (int i = 0; a->planes && i < a->set->n; i++)
        buf_free(a->planes[i].memory);
    free(a->planes);
    text_heap_free(&a->heap);
    *a = (struct acc){0};
}

int64_t acc_group_bytes(const struct agg_set *set)
{
    int64_t bytes = sizeof(int64_t);
    for (int i = 0; i < set->n; i++)
        bytes += (int64_t)set->calls[i].state_bytes;
    return bytes;
}

/* A buffer for `bytes` with what the old one held; NULL when refused. */
static void *regrown(struct ctx *c, void *old, size_t used, size_t bytes)
{
    void *fresh = buf_try(c->budget, bytes ? bytes : 1);
    if (!fresh) return NULL;
    if (used) memcpy(fresh, old, used);
    buf_free(old);
    return fresh;
}

enum status acc_reserve(struct ctx *c, struct acc *a, int64_t n, bool *ok)
{
    *ok = true;
    if (n <= a->cap) return OK;
    *ok = false;
    if (n > INT32_MAX) return fail(c, ERR_LIMIT_EXCEEDED, "too many groups");
    /* A buffer that could be had keeps its size when a later one is refused. */
    if (!a->cells || buf_bytes(a->cells) < (size_t)n * 8) {
        void *p = regrown(c, a->cells, (size_t)a->n * 8, (size_t)n * 8);
        if (!p) return OK;
        a->cells = p;
    }
    for (int i = 0; i < a->set->n; i++) {
        size_t width = a->set->calls[i].state_bytes;
        if (a->states[i] && buf_bytes(a->states[i]) >= (size_t)n * width) continue;
        void *p = regrown(c, a->states[i], (size_t)a->n * width, (size_t)n * width);
        if (!p) return OK;
        a->states[i] = p;
    }
    a->cap = n;
    *ok = true;
    return OK;
}

void acc_make_states(struct acc *a)
{
    if (a->n_made == a->n) return; /* written once: workers merge groups at once */
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        if (k->ops->empty_is_zero)
            memset(acc_state(a, i, a->n_made), 0, (size_t)(a->n - a->n_made) * k->state_bytes);
        else
            for (int64_t g = a->n_made; g < a->n; g++)
                k->ops->init(k, acc_state(a, i, g));
    }
    a->n_made = a->n;
}

static void add_groups(struct acc *a, int64_t n)
{
    memset(a->cells + a->n, 0, (size_t)(n - a->n) * 8);
    a->n = n;
}

void acc_grow(struct acc *a, int64_t n)
{
    add_groups(a, n);
    acc_make_states(a);
}

/* Row-major numbers in the outer box of the chunk's cells at + sel[i]. */
static void ranks_of(const struct agg_input *in, int64_t at, const int32_t *sel, int64_t n,
                     int64_t *out)
{
    const struct box *b = &in->chunk->box;
    int last = b->n_dims - 1;
    if (last < 0) {
        memset(out, 0, (size_t)n * sizeof *out);
        return;
    }
    int64_t width = box_extent(b, last), row = -1, base = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t cell = at + sel[i];
        if (row < 0 || cell - row >= width) {
            int64_t pos[MAX_DIMS];
            row = cell - cell % width;
            box_position(b, row, pos);
            base = box_index(in->outer, pos);
        }
        out[i] = base + cell - row;
    }
}

void agg_ranks(const struct agg_input *in, int64_t *out)
{
    int32_t sel[AGG_BLOCK];
    for (int64_t at = 0, n; at < in->chunk->n; at += n) {
        n = mask_select(NULL, at, in->chunk->n - at < AGG_BLOCK ? in->chunk->n - at : AGG_BLOCK,
                        NULL, sel);
        ranks_of(in, at, sel, n, out + at);
    }
}

#define ROWS_AT_ONCE 64 /* of one group, to planes */

struct block_space { /* where a block's values are compacted */
    struct agg_block block;
    int32_t sel[AGG_BLOCK], g[AGG_BLOCK];
    int64_t rank[AGG_BLOCK];
    uint8_t null[AGG_BLOCK];
    _Alignas(16) char values[2][AGG_BLOCK * 16];
};

static const void *values_from(const struct column *col, int64_t at)
{
    return (const char *)col->values + (size_t)at * type_bytes(col->type);
}

/* Of n ≤ AGG_BLOCK cells the m that sel names. */
static void make_block(const struct agg_bound *k, const struct agg_input *in,
                       const struct call_input *ci, int64_t at, int64_t n, int64_t m,
                       struct block_space *s)
{
    s->block = (struct agg_block){.n = m};
    for (int i = 0; i < k->n_args; i++) {
        const struct column *col = ci->args[i];
        s->block.arg[i] = s->values[i];
        if (m == n)
            s->block.arg[i] = values_from(col, at);
        else
            gather_picked(s->values[i], values_from(col, at), type_bytes(col->type), s->sel, m);
        if (i != k->value_arg || !col->valid) continue;
        for (int64_t j = 0; j < m; j++)
            s->null[j] = !bit_get(col->valid, at + s->sel[j]);
        s->block.null = s->null;
    }
    if (k->ranks) {
        if (in->ranks)
            gather_picked(s->rank, in->ranks + at, sizeof *s->rank, s->sel, m);
        else
            ranks_of(in, at, s->sel, m, s->rank);
        s->block.rank = s->rank;
    }
}

static enum status run_call(struct ctx *c, struct acc *a, int call, int64_t group,
                            const struct agg_input *in, int64_t at, int64_t n)
{
    const struct agg_bound *k = &a->set->calls[call];
    const struct call_input *ci = &in->calls[call];
    void *state = acc_state(a, call, group);
    bool nulls = k->value_arg >= 0 && ci->args[k->value_arg]->valid;
    if (!ci->mask && !k->ranks && !nulls) {
        struct agg_block b = {.n = n};
        for (int i = 0; i < k->n_args; i++)
            b.arg[i] = values_from(ci->args[i], at);
        return k->ops->run(c, k, &a->heap, state, &b);
    }
    struct block_space s;
    for (int64_t end = at + n; at < end; at += AGG_BLOCK) {
        int64_t len = end - at < AGG_BLOCK ? end - at : AGG_BLOCK;
        int64_t m = mask_select(ci->mask, at, len, NULL, s.sel);
        if (!m) continue;
        make_block(k, in, ci, at, len, m, &s);
        TRY(k->ops->run(c, k, &a->heap, state, &s.block));
    }
    return OK;
}

enum status acc_add_run(struct ctx *c, struct acc *a, int64_t group, const struct agg_input *in,
                        int64_t at, int64_t n)
{
    const uint64_t *present = in->chunk->present;
    int64_t cells = present ? bits_count(present, at, n) : n;
    if (!cells) return OK;
    acc_make_states(a);
    a->cells[group] += cells;
    for (int i = 0; i < a->set->n; i++)
        if (!in->calls[i].none) TRY(run_call(c, a, i, group, in, at, n));
    return OK;
}

/* Every cell of the chunk counts for the call, and values are all it looks at. */
static bool is_dense(const struct agg_bound *k, const struct call_input *ci)
{
    return !ci->mask && !k->ranks && k->value_arg < 0;
}

static struct agg_rows rows_of(const struct agg_bound *k, const struct call_input *ci, int64_t at,
                               int64_t n_rows, int64_t stride, int64_t n)
{
    return (struct agg_rows){k->n_args ? values_from(ci->args[0], at) : NULL, n_rows, stride, n};
}

bool acc_takes_columns(const struct acc *a, const struct agg_input *in)
{
    bool all = !in->chunk->present;
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        all &= k->ops->columns && is_dense(k, &in->calls[i]);
    }
    return all;
}

/* Rows of one group, where planes take all that calls want of them. */
static bool rows_to_planes(struct acc *a, int64_t group, const struct agg_input *in, int64_t at,
                           int64_t n_rows, int64_t stride, int64_t n)
{
    int32_t g[ROWS_AT_ONCE];
    bool all = a->planes && !in->chunk->present;
    for (int i = 0; i < a->set->n; i++)
        all = all && acc_in_planes(a, i) && is_dense(&a->set->calls[i], &in->calls[i]);
    if (!all) return false;
    a->dense[group] += n_rows * n;
    for (int i = 0; i < ROWS_AT_ONCE; i++)
        g[i] = (int32_t)group;
    for (int64_t r = 0; r < n_rows; r += ROWS_AT_ONCE)
        for (int i = 0; i < a->set->n; i++) {
            int64_t m = n_rows - r < ROWS_AT_ONCE ? n_rows - r : ROWS_AT_ONCE;
            struct agg_rows rows =
                rows_of(&a->set->calls[i], &in->calls[i], at + r * stride, m, stride, n);
            acc_planes_rows(a, i, g, &rows);
        }
    return true;
}

enum status acc_add_rows(struct ctx *c, struct acc *a, int64_t group, const struct agg_input *in,
                         int64_t at, int64_t n_rows, int64_t stride, int64_t n)
{
    if (rows_to_planes(a, group, in, at, n_rows, stride, n)) return OK;
    if (in->chunk->present || n_rows == 1) {
        for (int64_t r = 0; r < n_rows; r++)
            TRY(acc_add_run(c, a, group, in, at + r * stride, n));
        return OK;
    }
    a->cells[group] += n_rows * n;
    acc_make_states(a);
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        if (in->calls[i].none) continue;
        if (k->ops->rows && is_dense(k, &in->calls[i])) {
            struct agg_rows rows = rows_of(k, &in->calls[i], at, n_rows, stride, n);
            k->ops->rows(acc_state(a, i, group), &rows);
            continue;
        }
        for (int64_t r = 0; r < n_rows; r++)
            TRY(run_call(c, a, i, group, in, at + r * stride, n));
    }
    return OK;
}

/* So many cells into each of n groups. */
static void count_cells_of(struct acc *a, const int32_t *g, int64_t n, int64_t cells)
{
    int64_t *to = a->planes ? a->dense : a->cells;
    for (int64_t i = 0; i < n; i++)
        if (g[i] >= 0) to[g[i]] += cells;
}

void acc_add_columns(struct acc *a, const int32_t *g, const struct agg_input *in, int64_t at,
                     int64_t n_rows, int64_t stride, int64_t n)
{
    count_cells_of(a, g, n, n_rows);
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        struct agg_rows rows = rows_of(k, &in->calls[i], at, n_rows, stride, n);
        if (acc_in_planes(a, i)) {
            acc_planes_columns(a, i, g, &rows);
        } else {
            acc_make_states(a);
            k->ops->columns(a->states[i], g, &rows);
        }
    }
}

/* ---- many short runs, each of another group ---- */

#define LINES 32     /* runs at a time */
#define LINE_ROWS 64 /* of their cells at a time */

/* to[c × LINES + r] = from[r × stride + c] */
static void turn(void *to, const void *from, size_t width, int64_t stride, int64_t n, int64_t len)
{
    typedef double two __attribute__((vector_size(16)));
    int64_t pairs = width == sizeof(double) ? n / 2 * 2 : 0, even = len / 2 * 2;
    for (int64_t r = 0; r < pairs; r += 2)
        for (int64_t c = 0; c < even; c += 2) {
            two a, b;
            memcpy(&a, (const double *)from + r * stride + c, sizeof a);
            memcpy(&b, (const double *)from + (r + 1) * stride + c, sizeof b);
            two first = __builtin_shufflevector(a, b, 0, 2);
            two second = __builtin_shufflevector(a, b, 1, 3);
            memcpy((double *)to + c * LINES + r, &first, sizeof first);
            memcpy((double *)to + (c + 1) * LINES + r, &second, sizeof second);
        }
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = r < pairs ? even : 0; c < len; c++)
            memcpy((char *)to + (size_t)(c * LINES + r) * width,
                   (const char *)from + (size_t)(r * stride + c) * width, width);
}

static void turn_lines(struct acc *a, int call, const int32_t *g, const struct agg_input *in,
                       int64_t n, int64_t len)
{
    _Alignas(64) char turned[LINES * LINE_ROWS * 8];
    const struct agg_bound *k = &a->set->calls[call];
    const struct column *col = k->n_args ? in->calls[call].args[0] : NULL;
    if (col && type_bytes(col->type) > sizeof(double)) col = NULL; /* those are only counted */
    for (int64_t r = 0; r < n; r += LINES) {
        struct agg_rows rows = {turned, 0, LINES, n - r < LINES ? n - r : LINES};
        for (int64_t c = 0; c < len; c += LINE_ROWS) {
            rows.n_rows = len - c < LINE_ROWS ? len - c : LINE_ROWS;
            if (col)
                turn(turned, values_from(col, r * len + c), type_bytes(col->type), len, rows.n,
                     rows.n_rows);
            k->ops->columns(a->states[call], g + r, &rows);
        }
    }
}

void acc_add_lines(struct acc *a, const int32_t *g, const struct agg_input *in, int64_t n,
                   int64_t len)
{
    count_cells_of(a, g, n, len);
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        if (acc_in_planes(a, i)) {
            struct agg_rows rows = rows_of(k, &in->calls[i], 0, n, len, len);
            acc_planes_rows(a, i, g, &rows);
        } else {
            acc_make_states(a);
            turn_lines(a, i, g, in, n, len);
        }
    }
}

static enum status scatter_call(struct ctx *c, struct acc *a, int call, const int32_t *g,
                                bool all_in, const struct agg_input *in, int64_t at, int64_t n,
                                struct block_space *s)
{
    const struct agg_bound *k = &a->set->calls[call];
    const struct call_input *ci = &in->calls[call];
    if (all_in && is_dense(k, ci)) {
        struct agg_block b = {.n = n};
        for (int i = 0; i < k->n_args; i++)
            b.arg[i] = values_from(ci->args[i], at);
        return k->ops->scatter(c, k, &a->heap, a->states[call], g, &b);
    }
    int64_t m = mask_select(ci->mask, at, n, all_in ? NULL : g, s->sel);
    if (!m) return OK;
    make_block(k, in, ci, at, n, m, s);
    if (m < n) {
        for (int64_t i = 0; i < m; i++)
            s->g[i] = g[s->sel[i]];
        g = s->g;
    }
    return k->ops->scatter(c, k, &a->heap, a->states[call], g, &s->block);
}

/* Counts the block's cells; false: there is none. */
static bool count_cells(struct acc *a, const int32_t *g, bool all_in, const uint64_t *present,
                        int64_t at, int64_t n, int32_t *sel)
{
    if (all_in && !present) {
        for (int64_t i = 0; i < n; i++)
            a->cells[g[i]]++;
        return true;
    }
    int64_t m = mask_select(present, at, n, all_in ? NULL : g, sel);
    for (int64_t i = 0; i < m; i++)
        a->cells[g[sel[i]]]++;
    return m > 0;
}

static enum status scatter_blocks(struct ctx *c, struct acc *a, const int32_t *g, const bool *done,
                                  const struct agg_input *in, int64_t at, int64_t n)
{
    struct block_space s;
    for (int64_t end = at + n; at < end; at += AGG_BLOCK, g += AGG_BLOCK) {
        int64_t len = end - at < AGG_BLOCK ? end - at : AGG_BLOCK;
        int32_t signs = 0;
        for (int64_t i = 0; i < len; i++)
            signs |= g[i];
        if (!done && !count_cells(a, g, signs >= 0, in->chunk->present, at, len, s.sel)) continue;
        for (int i = 0; i < a->set->n; i++)
            if (!in->calls[i].none && !(done && done[i]))
                TRY(scatter_call(c, a, i, g, signs >= 0, in, at, len, &s));
    }
    return OK;
}

/* ---- far more cells than groups: counted first, then call by call ---- */

#define SPREAD_CELLS 2 /* a group */

/* The groups of cells with a bit in the mask (NULL: all), and how many cells each group has. */
static enum status spread_groups(struct ctx *c, const uint64_t *mask, int64_t at,
                                 struct agg_spread *s)
{
    void *mem;
    if (mask) {
        TRY(scratch_alloc(c, (size_t)s->n * sizeof(int32_t), &mem));
        int32_t *masked = mem;
        for (int64_t i = 0; i < s->n; i++)
            masked[i] = bit_get(mask, at + i) ? s->g[i] : -1;
        s->g = masked;
    }
    TRY(scratch_alloc(c, (size_t)(s->n_states + 1) * sizeof(int32_t), &mem));
    int32_t *counts = mem; /* the first: of cells in no group */
    memset(counts, 0, (size_t)(s->n_states + 1) * sizeof *counts);
    for (int64_t i = 0; i < s->n; i++)
        counts[s->g[i] < 0 ? 0 : s->g[i] + 1]++;
    s->counts = counts + 1;
    return OK;
}

static enum status spread_calls(struct ctx *c, struct acc *a, const int32_t *g,
                                const struct agg_input *in, int64_t at, int64_t n, bool *done)
{
    const uint64_t *present = in->chunk->present;
    struct agg_spread all = {.g = g, .n = n, .n_states = a->n}, s;
    TRY(spread_groups(c, present, at, &all));
    for (int64_t i = 0; i < a->n; i++)
        a->cells[i] += all.counts[i];
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        const struct call_input *ci = &in->calls[i];
        done[i] = ci->none || (k->ops->spread && !k->ranks && k->value_arg < 0);
        if (!done[i] || ci->none) continue;
        s = all;
        if (ci->mask && ci->mask != present) {
            s.g = g;
            TRY(spread_groups(c, ci->mask, at, &s));
        }
        if (k->n_args) s.x = values_from(ci->args[0], at);
        TRY(k->ops->spread(c, a->states[i], &s));
    }
    return OK;
}

enum status acc_add_scatter(struct ctx *c, struct acc *a, const int32_t *g,
                            const struct agg_input *in, int64_t at, int64_t n)
{
    acc_make_states(a);
    if (n < AGG_BLOCK || n < SPREAD_CELLS * a->n || n > INT32_MAX)
        return scatter_blocks(c, a, g, NULL, in, at, n);
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    bool all = true;
    TRY(scratch_alloc(c, (size_t)a->set->n + 1, &mem));
    bool *done = mem;
    TRY(spread_calls(c, a, g, in, at, n, done));
    for (int i = 0; i < a->set->n; i++)
        all &= done[i];
    if (!all) TRY(scatter_blocks(c, a, g, done, in, at, n));
    scratch_release(c->scratch, mark);
    return OK;
}

enum status acc_merge(struct ctx *c, struct acc *a, int64_t group, const struct acc *b,
                      int64_t from)
{
    a->cells[group] += b->cells[from];
    if (!b->n_made) return OK;
    acc_make_states(a);
    for (int i = 0; i < a->set->n; i++) {
        const struct agg_bound *k = &a->set->calls[i];
        TRY(k->ops->merge(c, k, &a->heap, acc_state(a, i, group), acc_state(b, i, from)));
    }
    return OK;
}

enum type agg_partial_type(const struct agg_bound *k)
{
    return k->holistic ? T_INT64 : k->result;
}

enum status acc_finish(struct ctx *c, const struct acc *a, int call, int64_t lo, int64_t hi,
                       struct column *out)
{
    const struct agg_bound *k = &a->set->calls[call];
    if (acc_in_planes(a, call)) return acc_finish_planes(c, a, call, lo, hi, out);
    for (int64_t g = lo; g < hi; g++)
        TRY(k->ops->finish(c, k, acc_state(a, call, g), out, g - lo));
    return OK;
}
