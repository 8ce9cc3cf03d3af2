/* What is the median, the mode, or an aggregate of the distinct values of each window?
 *
 * The values of all cells around are numbered in order once. A window then counts how often each
 * number is in it, and moves along the last of its axes: cells that it leaves behind are taken out,
 * those that it reaches come in. A tree over the numbers tells the value of any rank (counts added
 * up), or the most frequent one (their maximum); so a step costs the logarithm of the values around
 * for each cell that comes or goes. */
#include "query/agg_quantile.h"
#include "query/op_window.h"
#include "query/sortkey.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An argument, as what cells are ordered by. */
struct key {
    const uint64_t *words;
    const struct text *texts; /* NULL: the word is all of it */
    const uint64_t *valid;    /* NULL: none is NULL */
};

struct counts {
    const struct window_source *s;
    const struct agg_bound *k;
    struct agg_bound plain; /* of the distinct values */
    const struct chunk *ch;
    const struct call_input *in;
    bool numbered; /* there is a value at all */
    int32_t *id;   /* of each cell, -1: does not count */
    int32_t *rep;  /* a cell of each number */
    int64_t n_ids, leaves;
    bool listed;              /* present is kept */
    int64_t n;                /* values in the window */
    int32_t *tree;            /* node 1 is the root, leaf i is leaves + i: counts */
    bool most;                /* inner nodes have the maximum, not the sum */
    bool ranked;              /* the tree is looked at */
    int32_t *count;           /* of each number, also where the tree has each value once */
    int32_t *present, *place; /* the numbers in the window, in any order */
    int64_t n_present;
    struct box window; /* what was counted; along `axis` from lo to hi */
    int axis;
    int64_t lo, hi;
    void *state; /* of plain */
    struct text_heap heap;
};

/* ---- numbering ---- */

static int by_key(const struct key *k, int32_t a, int32_t b)
{
    if (k->valid) {
        bool x = bit_get(k->valid, a), y = bit_get(k->valid, b);
        if (!x || !y) return y - x;
    }
    int cmp = (k->words[a] > k->words[b]) - (k->words[a] < k->words[b]);
    return !cmp && k->texts ? text_order(k->texts[a], k->texts[b]) : cmp;
}

static int by_keys(const struct key *keys, int n, int32_t a, int32_t b)
{
    int cmp = 0;
    for (int i = 0; i < n && !cmp; i++)
        cmp = by_key(&keys[i], a, b);
    return cmp;
}

/* A stable merge sort; room has as many. */
static void sort_cells(const struct key *keys, int n_keys, int32_t *cells, int32_t *room, int64_t n)
{
    if (n < 2) return;
    int64_t half = n / 2, i = 0, j = half, k = 0;
    sort_cells(keys, n_keys, cells, room, half);
    sort_cells(keys, n_keys, cells + half, room, n - half);
    memcpy(room, cells, (size_t)half * sizeof *cells);
    while (i < half)
        cells[k++] = j < n && by_keys(keys, n_keys, cells[j], room[i]) < 0 ? cells[j++] : room[i++];
}

static enum status key_of(struct ctx *c, const struct column *col, int64_t n, struct key *out)
{
    void *words;
    TRY(scratch_alloc(c, (size_t)n * sizeof(uint64_t), &words));
    struct column zeroed = *col;
    if (col->valid && type_is_varlen(col->type)) { /* of NULL texts nothing is known */
        void *mem;
        TRY(scratch_alloc(c, (size_t)n * sizeof(struct text), &mem));
        struct text *texts = zeroed.values = mem;
        for (int64_t i = 0; i < n; i++)
            texts[i] = bit_get(col->valid, i) ? ((const struct text *)col->values)[i]
                                              : (struct text){"", 0};
    }
    sortkey_encode(col->type, zeroed.values, n, words);
    *out = (struct key){.words = words,
                        .texts = type_is_varlen(col->type) ? zeroed.values : NULL,
                        .valid = col->valid};
    return OK;
}

static enum status alloc(struct ctx *c, int64_t n, int32_t **out)
{
    void *mem;
    TRY(scratch_zeroed(c, (size_t)(n + 1) * sizeof(int32_t), &mem));
    *out = mem;
    return OK;
}

static enum status number_values(struct ctx *c, struct counts *k)
{
    int64_t n = k->ch->n, m = 0;
    void *mem;
    if (n > INT32_MAX / 4)
        return fail(c, ERR_LIMIT_EXCEEDED, "the windows have too many cells to order");
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int32_t), &mem));
    k->id = mem;
    memset(k->id, 0xff, (size_t)n * sizeof(int32_t));
    int64_t total = k->in->mask ? bits_count(k->in->mask, 0, n) : n;
    TRY(alloc(c, total, &k->rep));
    struct key keys[2];
    int32_t *cells, *room;
    /* Values in the cells' order have numbers of their own. */
    int n_keys = k->k->ordered && !k->k->distinct ? 0 : k->k->n_args;
    for (int i = 0; i < n_keys; i++)
        TRY(key_of(c, k->in->args[i], n, &keys[i]));
    TRY(alloc(c, total, &cells));
    TRY(alloc(c, total, &room));
    for (int64_t i = 0; i < n; i++)
        if (!k->in->mask || bit_get(k->in->mask, i)) cells[m++] = (int32_t)i;
    sort_cells(keys, n_keys, cells, room, m);
    for (int64_t i = 0; i < m; i++) {
        bool fresh = i == 0 || !n_keys || by_keys(keys, n_keys, cells[i - 1], cells[i]);
        if (fresh) k->rep[k->n_ids++] = cells[i];
        k->id[cells[i]] = (int32_t)(k->n_ids - 1);
    }
    k->leaves = 1;
    while (k->leaves < k->n_ids)
        k->leaves *= 2;
    k->numbered = m > 0;
    TRY(alloc(c, 2 * k->leaves, &k->tree));
    TRY(alloc(c, k->n_ids, &k->count));
    TRY(alloc(c, k->n_ids, &k->present));
    return alloc(c, k->n_ids, &k->place);
}

/* ---- coming and going ---- */

static void count_value(struct counts *k, int32_t id, int32_t by)
{
    int64_t node = k->leaves + id;
    bool before = k->count[id] > 0;
    k->count[id] += by;
    k->n += by;
    bool after = k->count[id] > 0;
    if (k->listed) {
        if (before == after) return;
        by = after ? 1 : -1; /* each value once */
        if (after) {
            k->place[id] = (int32_t)k->n_present;
            k->present[k->n_present++] = id;
        } else {
            int32_t last = k->present[--k->n_present];
            k->present[k->place[id]] = last;
            k->place[last] = k->place[id];
        }
        if (!k->ranked) return;
    }
    k->tree[node] += by;
    for (node /= 2; node > 0; node /= 2) {
        int32_t x = k->tree[2 * node], y = k->tree[2 * node + 1];
        k->tree[node] = !k->most ? x + y : x > y ? x : y;
    }
}

/* All cells of the window whose position along the axis is in [lo, hi). */
static void count_cells(struct counts *k, int64_t lo, int64_t hi, int32_t by)
{
    struct box b = k->window;
    if (lo >= hi) return;
    if (k->axis >= 0) {
        b.lo[k->axis] = lo;
        b.hi[k->axis] = hi;
    }
    int last = b.n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(&b, last), n = box_cells(&b);
    for (int64_t at = 0; at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(&b, at, pos);
        const int32_t *id = k->id + box_index(&k->ch->box, pos);
        for (int64_t i = 0; i < row; i++)
            if (id[i] >= 0) count_value(k, id[i], by);
    }
}

static void move_to(struct counts *k, int64_t lo, int64_t hi)
{
    if (hi <= k->lo || lo >= k->hi) {
        count_cells(k, k->lo, k->hi, -1);
        k->lo = k->hi = lo;
    }
    count_cells(k, k->lo, lo, -1);
    count_cells(k, hi, k->hi, -1);
    count_cells(k, lo, k->lo < hi ? k->lo : hi, 1);
    count_cells(k, k->hi > lo ? k->hi : lo, hi, 1);
    k->lo = lo;
    k->hi = hi;
}

/* ---- results ---- */

/* The number of the value of a rank, by the counts of nodes. */
static int64_t at_rank(const struct counts *k, int64_t rank)
{
    int64_t node = 1;
    while (node < k->leaves) {
        node *= 2;
        if (rank < k->tree[node]) continue;
        rank -= k->tree[node];
        node++;
    }
    return node - k->leaves;
}

static double number_at(const struct counts *k, int64_t id)
{
    return ((const double *)k->in->args[0]->values)[k->rep[id]];
}

static void quantile_at(const struct counts *k, struct column *out, int64_t i)
{
    int64_t n = k->k->distinct ? k->n_present : k->n, below;
    double t, *to = (double *)out->values + i;
    if (n == 0) {
        column_put_null(out, i);
        return;
    }
    double most = number_at(k, k->n_ids - 1); /* NaN comes last */
    if (most != most && k->count[k->n_ids - 1]) {
        *to = (double)NAN;
        return;
    }
    quantile_rank(k->k->q, n, &below, &t);
    double a = number_at(k, at_rank(k, below)), b = a;
    if (k->k->agg->id == AGG_APPROX_QUANTILE && !k->k->distinct) {
        *to = agg_rounded(a) + 0.0;
        return;
    }
    if (t > 0 && below + 1 < n) b = number_at(k, at_rank(k, below + 1));
    *to = quantile_between(a, b, t);
}

/* Of values that are as frequent the least; of distinct ones just the least. */
static enum status mode_at(struct ctx *c, const struct counts *k, struct column *out, int64_t i)
{
    int64_t node = 1;
    if (k->n == 0) {
        column_put_null(out, i);
        return OK;
    }
    while (node < k->leaves) {
        node *= 2;
        bool left = k->most ? k->tree[node] == k->tree[node / 2] : k->tree[node] > 0;
        if (!left) node++;
    }
    size_t bytes = type_bytes(out->type);
    char *to = (char *)out->values + (size_t)i * bytes;
    int64_t cell = k->rep[node - k->leaves];
    memcpy(to, (const char *)k->in->args[0]->values + (size_t)cell * bytes, bytes);
    if (type_is_varlen(out->type)) return column_keep_text(c, out, i);
    uint64_t word;
    sortkey_encode(out->type, to, 1, &word);
    sortkey_decode(out->type, &word, 1, to);
    return OK;
}

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The numbers that are there, in order. */
static void order_present(struct counts *k)
{
    qsort(k->present, (size_t)k->n_present, sizeof *k->present, by_number);
    for (int64_t i = 0; i < k->n_present; i++)
        k->place[k->present[i]] = (int32_t)i;
}

/* The distinct values, or those in order, through the plain aggregate. */
static enum status listed_at(struct ctx *c, struct counts *k, struct column *out, int64_t i)
{
    const struct agg_bound *p = &k->plain;
    int64_t rank[AGG_BLOCK];
    uint8_t null[AGG_BLOCK];
    _Alignas(16) char values[2][AGG_BLOCK * 16];
    if (k->k->ordered) order_present(k);
    memset(k->state, 0, p->state_bytes);
    if (!p->ops->empty_is_zero) p->ops->init(p, k->state);
    for (int64_t at = 0; at < k->n_present; at += AGG_BLOCK) {
        int64_t n = k->n_present - at < AGG_BLOCK ? k->n_present - at : AGG_BLOCK;
        struct agg_block b = {.n = n, .rank = rank};
        for (int x = 0; x < p->n_args; x++) {
            const struct column *col = k->in->args[x];
            size_t bytes = type_bytes(col->type);
            b.arg[x] = values[x];
            for (int64_t j = 0; j < n; j++) {
                int64_t cell = k->rep[k->present[at + j]];
                memcpy(values[x] + (size_t)j * bytes,
                       (const char *)col->values + (size_t)cell * bytes, bytes);
                if (x == p->value_arg) null[j] = column_is_null(col, cell);
            }
            if (x == p->value_arg) b.null = null;
        }
        for (int64_t j = 0; j < n; j++)
            rank[j] = k->present[at + j];
        TRY(p->ops->run(c, p, &k->heap, k->state, &b));
    }
    enum status st = window_finish(c, p, k->state, out, i);
    text_heap_free(&k->heap);
    return st;
}

static enum status result_at(struct ctx *c, struct counts *k, struct column *out, int64_t i)
{
    switch (k->k->agg->id) {
    case AGG_QUANTILE:
    case AGG_APPROX_QUANTILE:
        quantile_at(k, out, i);
        return OK;
    case AGG_MODE:
        return mode_at(c, k, out, i);
    default:
        return listed_at(c, k, out, i);
    }
}

/* ---- moving ---- */

/* The window of the cell at pos, cut to what was read; along the axis it has no length when some
 * other axis has none. */
static void aim(const struct counts *k, const struct ranges *ranges, const struct box *box,
                const int64_t *pos, struct box *out)
{
    const struct window_call *call = k->s->k;
    *out = (struct box){.n_dims = box->n_dims};
    for (int d = 0; d < box->n_dims; d++) {
        out->lo[d] = pos[d];
        out->hi[d] = pos[d] + 1;
    }
    for (int i = 0; i < call->n_axes; i++) {
        int d = call->axes[i].dim;
        out->lo[d] = ranges[i].lo[pos[d] - box->lo[d]];
        out->hi[d] = ranges[i].hi[pos[d] - box->lo[d]];
    }
    box_intersect(out, &k->ch->box, out);
}

static bool same_but(const struct box *a, const struct box *b, int axis)
{
    for (int d = 0; d < a->n_dims; d++)
        if (d != axis && (a->lo[d] != b->lo[d] || a->hi[d] != b->hi[d])) return false;
    return true;
}

static enum status walk(struct ctx *c, struct counts *k, const struct ranges *ranges,
                        const struct box *box, const uint64_t *todo, struct column *out)
{
    int64_t n = box_cells(box), inner = 1, extent = k->axis < 0 ? 1 : box_extent(box, k->axis);
    for (int d = k->axis + 1; d < box->n_dims && k->axis >= 0; d++)
        inner *= box_extent(box, d);
    for (int64_t step = 0; step < n; step++) {
        /* The axis runs fastest. */
        int64_t line = step / extent, pos[MAX_DIMS];
        int64_t i = (line / inner * extent + step % extent) * inner + line % inner;
        struct box window;
        if (step % 256 == 0) TRY(check_cancel(c));
        if (!bit_get(todo, i)) continue;
        box_position(box, i, pos);
        if (k->numbered) {
            aim(k, ranges, box, pos, &window);
            bool none = box_empty(&window);
            int64_t lo = none || k->axis < 0 ? 0 : window.lo[k->axis];
            int64_t hi = none ? lo : k->axis < 0 ? 1 : window.hi[k->axis];
            if (k->lo < k->hi && (none || k->axis < 0 || !same_but(&window, &k->window, k->axis))) {
                count_cells(k, k->lo, k->hi, -1);
                k->lo = k->hi = lo;
            }
            if (!none) {
                k->window = window;
                move_to(k, lo, hi);
            }
        }
        TRY(result_at(c, k, out, i));
    }
    return OK;
}

enum status window_ordered(struct ctx *c, const struct window_source *s, const struct box *box,
                           const uint64_t *todo, const struct ranges *ranges, struct column *out)
{
    struct counts k = {.s = s, .k = &s->k->bound, .ch = s->have, .axis = -1};
    struct agg_input in;
    enum agg_id id = k.k->agg->id;
    k.most = id == AGG_MODE && !k.k->distinct;
    k.ranked = id == AGG_MODE || id == AGG_QUANTILE || id == AGG_APPROX_QUANTILE;
    k.listed = k.k->distinct || k.k->ordered;
    for (int i = 0; i < s->k->n_axes; i++)
        if (s->k->axes[i].dim > k.axis) k.axis = s->k->axes[i].dim;
    if (s->have->n_present) {
        TRY(agg_input_make(c, &s->k->set, s->have, s->have->cols, &s->outer, &in));
        k.in = &in.calls[0];
        if (!k.in->none) TRY(number_values(c, &k));
    }
    if (!k.ranked) {
        k.plain = agg_bound_of_values(k.k);
        TRY(scratch_alloc(c, k.plain.state_bytes, &k.state));
    }
    enum status st = walk(c, &k, ranges, box, todo, out);
    text_heap_free(&k.heap);
    return st;
}
