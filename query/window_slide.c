/* What is an aggregate of rows [lo, hi) when both ends move forward, at a cost per row that does
 * not grow with the frame?
 *
 * Two stacks, as in Tangwongsan, Hirzel, Schneider, "Low-Latency Sliding-Window Aggregation in
 * Worst-Case Constant Time" (DEBS 2017), sect. 3: the rear is one state of rows [mid, hi); of rows
 * before mid the states of [row, mid) are kept, made from mid backwards whenever lo passes it. The
 * result merges two states. So nothing is ever taken away from a state, and the result has the bits
 * of the plain aggregate.
 *
 * A long front is kept a block at a time: its states of [start of a block, mid), and of one block
 * those of each row; both are about the square root of the frame, which may thus be larger than
 * memory. */
#include "query/window_internal.h"
#include <math.h>
#include <stdlib.h>

#define FEW_ROWS 8 /* up to so many go cell by cell */
#define FRONT_BYTES (1 << 20)

/* ---- arguments ---- */

void args_init(struct ctx *c, struct arg_cursor *a, const struct agg_bound *k, const int *cols,
               const struct sorted_rows *s)
{
    int which[CURSOR_COLS], n = 0;
    *a = (struct arg_cursor){.k = *k, .id_col = -1};
    for (int i = 0; i < k->n_args; i++) {
        a->k.slots[i] = n;
        which[n++] = cols[i];
    }
    if (k->filter >= 0) {
        a->k.filter = n;
        which[n] = cols[n];
        n++;
    }
    if (k->ranks) {
        a->id_col = n;
        which[n++] = 0;
    }
    cursor_init(c, &a->rows, s->rows, which, n);
}

void args_free(struct arg_cursor *a)
{
    cursor_free(&a->rows);
}

/* Which of the rows count, and which of them have no value to be picked. */
static enum status look_at_rows(struct ctx *c, struct arg_cursor *a)
{
    int64_t n = a->rows.hi - a->rows.lo;
    struct agg_set set = {.n = 1, .calls = &a->k};
    a->chunk = (struct chunk){.box = {.n_dims = 1, .hi = {n}}, .n = n, .n_present = n};
    TRY(agg_input_make(c, &set, &a->chunk, a->rows.cols, &a->chunk.box, &a->input));
    a->in = a->input.calls[0];
    a->null = NULL;
    const struct column *value = a->k.value_arg >= 0 ? a->in.args[a->k.value_arg] : NULL;
    if (!value || !value->valid) return OK;
    void *mem;
    TRY(scratch_alloc(c, (size_t)n, &mem));
    a->null = mem;
    for (int64_t i = 0; i < n; i++)
        a->null[i] = !bit_get(value->valid, i);
    return OK;
}

enum status args_at(struct ctx *c, struct arg_cursor *a, int64_t row, int64_t *at)
{
    if (row < a->rows.lo || row >= a->rows.hi) {
        TRY(cursor_load(c, &a->rows, row));
        struct scratch *own = c->scratch;
        c->scratch = a->rows.scratch;
        enum status st = look_at_rows(c, a);
        c->scratch = own;
        if (st < 0) {
            a->rows.lo = a->rows.hi = 0;
            return st;
        }
    }
    *at = row - a->rows.lo;
    return OK;
}

/* Rows [at, at + n) at hand, all of which count. */
static enum status add_run(struct ctx *c, const struct arg_cursor *a, int64_t at, int64_t n,
                           struct text_heap *heap, void *state)
{
    static const int32_t zeros[FEW_ROWS] = {0};
    const struct agg_bound *k = &a->k;
    struct agg_block b = {.n = n};
    for (int i = 0; i < k->n_args; i++)
        b.arg[i] = (const char *)a->in.args[i]->values + (size_t)at * type_bytes(k->types[i]);
    if (a->null) b.null = a->null + at;
    if (a->id_col >= 0) b.rank = (const int64_t *)a->rows.cols[a->id_col].values + at;
    if (n <= FEW_ROWS && k->ops->scatter) return k->ops->scatter(c, k, heap, state, zeros, &b);
    return k->ops->run(c, k, heap, state, &b);
}

enum status args_add(struct ctx *c, struct arg_cursor *a, int64_t lo, int64_t hi,
                     struct text_heap *heap, void *state)
{
    for (int64_t row = lo; row < hi; row = a->rows.hi) {
        int64_t at;
        TRY(args_at(c, a, row, &at));
        int64_t end = (hi < a->rows.hi ? hi : a->rows.hi) - a->rows.lo;
        const uint64_t *mask = a->in.mask;
        if (a->in.none) continue;
        if (!mask) {
            TRY(add_run(c, a, at, end - at, heap, state));
            continue;
        }
        for (at = bits_next(mask, at, end); at < end; at = bits_next(mask, at, end)) {
            int64_t from = at;
            while (at < end && bit_get(mask, at))
                at++;
            TRY(add_run(c, a, from, at - from, heap, state));
        }
    }
    return OK;
}

void agg_state_init(const struct agg_bound *k, void *state)
{
    if (k->ops->empty_is_zero)
        memset(state, 0, k->state_bytes);
    else
        k->ops->init(k, state);
}

/* ---- sliding ---- */

struct slider {
    const struct agg_bound *k;
    struct arg_cursor ahead, behind;
    int64_t lo, mid, hi;
    void *rear;  /* of [mid, hi) */
    char *front; /* of [row, mid), for rows from front_lo to front_hi */
    int64_t front_lo, front_hi;
    char *blocks;      /* of [first row of a block, mid) */
    int64_t blocks_lo; /* first row of the first block */
    int64_t n_blocks, block_rows;
    int64_t front_room, blocks_room; /* in states */
    struct text_heap rear_heap, front_heap, blocks_heap;
};

enum status slider_new(struct ctx *c, const struct agg_bound *k, const int *cols,
                       const struct sorted_rows *s, struct slider **out)
{
    struct slider *sl = calloc(1, sizeof *sl);
    if (!sl) return fail(c, ERR_MEMORY, "out of memory");
    sl->k = k;
    args_init(c, &sl->ahead, k, cols, s);
    args_init(c, &sl->behind, k, cols, s);
    enum status st = buf_alloc(c, k->state_bytes, &sl->rear);
    if (st < 0) {
        slider_free(sl);
        return st;
    }
    agg_state_init(k, sl->rear);
    *out = sl;
    return OK;
}

void slider_free(struct slider *s)
{
    if (!s) return;
    args_free(&s->ahead);
    args_free(&s->behind);
    buf_free(s->rear);
    buf_free(s->front);
    buf_free(s->blocks);
    text_heap_free(&s->rear_heap);
    text_heap_free(&s->front_heap);
    text_heap_free(&s->blocks_heap);
    free(s);
}

static void clear_rear(struct slider *s)
{
    text_heap_free(&s->rear_heap);
    agg_state_init(s->k, s->rear);
}

static void *state_of(const struct slider *s, char *states, int64_t i)
{
    return states + (size_t)i * s->k->state_bytes;
}

/* to = from, or an empty state when that is NULL. */
static enum status copy_state(struct ctx *c, const struct agg_bound *k, struct text_heap *heap,
                              void *to, const void *from)
{
    if (from && !k->ops->n_texts) {
        memcpy(to, from, k->state_bytes);
        return OK;
    }
    agg_state_init(k, to);
    return from ? k->ops->merge(c, k, heap, to, from) : OK;
}

static enum status make_room(struct ctx *c, const struct slider *s, int64_t n, char **states,
                             int64_t *room)
{
    if (n <= *room) return OK;
    void *fresh;
    buf_free(*states);
    *states = NULL;
    *room = 0;
    TRY(buf_alloc(c, (size_t)n * s->k->state_bytes, &fresh));
    *states = fresh;
    *room = n;
    return OK;
}

/* The states of the rows of the block that lo is in, from its end back to lo. */
static enum status make_front(struct ctx *c, struct slider *s)
{
    int64_t block = (s->lo - s->blocks_lo) / s->block_rows;
    s->front_lo = s->lo;
    s->front_hi = s->blocks_lo + (block + 1) * s->block_rows;
    if (s->front_hi > s->mid) s->front_hi = s->mid;
    text_heap_free(&s->front_heap);
    TRY(make_room(c, s, s->front_hi - s->front_lo, &s->front, &s->front_room));
    const void *after = block + 1 < s->n_blocks ? state_of(s, s->blocks, block + 1) : NULL;
    for (int64_t row = s->front_hi - 1; row >= s->front_lo; row--) {
        void *state = state_of(s, s->front, row - s->front_lo);
        TRY(copy_state(c, s->k, &s->front_heap, state, after));
        TRY(args_add(c, &s->behind, row, row + 1, &s->front_heap, state));
        after = state;
    }
    return OK;
}

/* Everything from lo on becomes the front. */
static enum status turn_over(struct ctx *c, struct slider *s)
{
    int64_t n = s->hi - s->lo, most = FRONT_BYTES / (int64_t)s->k->state_bytes;
    if (most < 16) most = 16;
    if (most < (int64_t)sqrt((double)n)) most = (int64_t)sqrt((double)n);
    clear_rear(s);
    s->mid = s->hi;
    s->blocks_lo = s->lo;
    s->block_rows = n < most ? n : most;
    s->n_blocks = (n + s->block_rows - 1) / s->block_rows;
    text_heap_free(&s->blocks_heap);
    TRY(make_room(c, s, s->n_blocks, &s->blocks, &s->blocks_room));
    const void *after = NULL;
    for (int64_t i = s->n_blocks - 1; i > 0; i--) {
        int64_t lo = s->blocks_lo + i * s->block_rows, hi = lo + s->block_rows;
        void *state = state_of(s, s->blocks, i);
        TRY(copy_state(c, s->k, &s->blocks_heap, state, after));
        TRY(args_add(c, &s->behind, lo, hi < s->mid ? hi : s->mid, &s->blocks_heap, state));
        after = state;
    }
    return make_front(c, s);
}

static enum status move(struct ctx *c, struct slider *s, int64_t lo, int64_t hi)
{
    if (lo >= s->hi) {
        clear_rear(s);
        s->lo = s->mid = s->hi = lo;
    }
    if (hi > s->hi) TRY(args_add(c, &s->ahead, s->hi, hi, &s->rear_heap, s->rear));
    if (hi > s->hi) s->hi = hi;
    s->lo = lo;
    if (lo == s->hi) return OK;
    if (lo > s->mid) return turn_over(c, s);
    if (lo < s->mid && (lo < s->front_lo || lo >= s->front_hi)) return make_front(c, s);
    return OK;
}

enum status slider_merge(struct ctx *c, struct slider *s, int64_t lo, int64_t hi,
                         struct text_heap *heap, void *state)
{
    TRY(move(c, s, lo, hi));
    if (lo >= hi) return OK;
    if (lo < s->mid)
        TRY(s->k->ops->merge(c, s->k, heap, state, state_of(s, s->front, lo - s->front_lo)));
    if (s->mid < s->hi) TRY(s->k->ops->merge(c, s->k, heap, state, s->rear));
    return OK;
}
