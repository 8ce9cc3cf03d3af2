/* How are counts, sums and extremes of numbers taken without a state a cell?
 *
 * As words (op_window_lines.h). A sum of floats is one in fixed point, whose unit is chosen for the
 * cells at hand: far enough above what fsum.h drops, and low enough that every number is a multiple
 * of it. Then the exact sum is fsum's, and rounding it once gives its value. Where numbers are of
 * too many sizes for that, integers might overflow, or windows are counted in blocks along two
 * axes, states do it instead, with the same results.
 *
 * Blocks along an axis (op_window_far.c) are one position more between the cells before them and
 * those behind. */
#include "query/op_window_lines.h"
#include "storage/base/fsum.h"
#include <math.h>
#include <string.h>

#define MOST_CELLS (INT64_C(1) << 19) /* of a window: no part of a sum overflows */
#define FSUM_DIGITS 30
#define INF_BITS INT64_C(0x7ff0000000000000)
#define HIGH_BITS 51 /* of a number at most: it converts exactly */
#define SUM_BITS 61

enum words_kind { WORDS_NONE, WORDS_COUNT, WORDS_INTEGER, WORDS_FLOAT, WORDS_EXTREME };

struct carried { /* what whole blocks come to */
    char *states;
    int64_t n, full;   /* cells of each, if all are there */
    int top, exponent; /* FLOAT: the highest of all */
    int64_t most;      /* INTEGER: the largest */
};
struct words {
    const struct window_source *s;
    const struct agg_bound *k;
    const struct window_kernels *kernels;
    enum words_kind kind;
    bool is_float, is_unsigned;     /* the argument */
    int64_t flip;                   /* of keys: -1 for the least */
    struct box box;                 /* cells that results are wanted of */
    struct ranges ranges[MAX_DIMS]; /* of each axis over box */
    struct far_parts parts;         /* of axis 0, where it has blocks */
    struct column *out;
    const struct box *out_box;
    /* of the cells that windows of the box touch: */
    struct field in;
    struct box hull;     /* along axis 0 with blocks: `in`'s positions */
    struct ranges along; /* axis 0 in `in`'s positions */
    struct carried carried;
    bool has[N_WORDS];
    int unit; /* exponent */
    double *lengths, *by;
    int64_t by_length; /* of the outer axes: what `by` is for */
    bool empty;        /* some window has no position */
};

static enum words_kind kind_of(const struct agg_bound *k)
{
    enum type t = k->n_args ? k->types[0] : T_NONE;
    bool number = type_is_numeric(t) || type_is_time(t) || t == T_BOOL;
    if (k->holistic || k->ranks) return WORDS_NONE;
    switch (k->agg->id) {
    case AGG_COUNT:
        return WORDS_COUNT;
    case AGG_SUM:
    case AGG_AVG:
        return type_is_float(t) ? WORDS_FLOAT : number ? WORDS_INTEGER : WORDS_NONE;
    case AGG_MIN:
    case AGG_MAX:
        return number ? WORDS_EXTREME : WORDS_NONE;
    default:
        return WORDS_NONE;
    }
}

bool window_has_words(const struct window_call *k)
{
    for (int i = 1; i < k->n_axes; i++)
        if (k->far[i]) return false;
    return k->n_axes > 0 && !k->each && kind_of(&k->bound) != WORDS_NONE;
}

static enum status new_words(struct ctx *c, int64_t n, int64_t **out)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &mem));
    *out = mem;
    return OK;
}

/* ---- cells to words ---- */

struct part {
    struct carried *blocks; /* NULL: cells */
    struct box box;         /* of one position along axis 0, if they are blocks */
    int64_t shift;          /* from its positions along axis 0 to those of words.in */
    struct chunk ch;        /* that has the cells */
    struct agg_input in;
    bool none; /* counts */
};

/* Calls fn for each row of the part: its cells in the chunk and in the part. */
#define EACH_ROW(t, from, to, row)                                                                 \
    for (int64_t to = 0, from, row = box_extent(&(t)->box, (t)->box.n_dims - 1),                   \
                 all_of_them = box_cells(&(t)->box);                                               \
         to < all_of_them && (from = row_start(t, to), true); to += row)

static int64_t row_start(const struct part *t, int64_t at)
{
    int64_t pos[MAX_DIMS];
    box_position(&t->box, at, pos);
    return box_index(&t->ch.box, pos);
}

static enum status take_mask(struct ctx *c, const struct part *t, struct piece *p)
{
    const struct call_input *ci = &t->in.calls[0];
    TRY(new_words(c, box_cells(&t->box), &p->v[WORD_COUNT]));
    EACH_ROW(t, from, to, row)
    {
        for (int64_t i = 0; i < row; i++)
            p->v[WORD_COUNT][to + i] = !t->none && (!ci->mask || bit_get(ci->mask, from + i));
    }
    return OK;
}

/* Numbers as they lie, if there is nothing to leave out; *most: the largest one's bits. */
static enum status take_floats(struct ctx *c, struct words *w, const struct part *t,
                               struct piece *p, int64_t *most)
{
    const struct column *col = t->in.calls[0].args[0];
    int64_t largest = 0, *copy;
    bool plain = col->type == T_FLOAT64 && !p->v[WORD_COUNT];
    if (plain) {
        const double *x = col->values;
        EACH_ROW(t, from, to, row) largest = w->kernels->largest(x + from, row, largest);
        if (largest < INF_BITS) {
            *most = largest > *most ? largest : *most;
            p->x = x;
            p->box = t->ch.box;
            return OK;
        }
    }
    TRY(new_words(c, box_cells(&t->box), &copy));
    double *x = (double *)(void *)copy;
    EACH_ROW(t, from, to, row)
    {
        window_widen(col, from, row, x + to);
        for (int64_t i = to; i < to + row; i++) {
            if (p->v[WORD_COUNT] && !p->v[WORD_COUNT][i]) x[i] = 0;
            if (isfinite(x[i])) continue;
            if (!p->v[WORD_SPECIAL]) {
                TRY(new_words(c, box_cells(&t->box), &p->v[WORD_SPECIAL]));
                memset(p->v[WORD_SPECIAL], 0, (size_t)box_cells(&t->box) * sizeof(int64_t));
                w->has[WORD_SPECIAL] = true;
            }
            int kind = isnan(x[i]) ? 0 : x[i] > 0 ? 1 : 2;
            p->v[WORD_SPECIAL][i] = INT64_C(1) << kind * SPECIAL_BITS;
            x[i] = 0;
        }
        *most = w->kernels->largest(x + to, row, *most);
    }
    p->x = x;
    return OK;
}

/* Integers (*most: the largest one's size), or keys. */
static enum status take_whole(struct ctx *c, const struct words *w, const struct part *t,
                              struct piece *p, int64_t *most)
{
    const struct column *col = t->in.calls[0].args[0];
    const int64_t *count = p->v[WORD_COUNT];
    bool keys = w->kind == WORDS_EXTREME;
    int64_t *v;
    TRY(new_words(c, box_cells(&t->box), &v));
    p->v[WORD_HIGH] = v;
    EACH_ROW(t, from, to, row)
    {
        if (keys && col->type == T_FLOAT64) {
            w->kernels->keys((const double *)col->values + from, row, w->flip, v + to);
        } else if (keys && w->is_float) {
            window_widen(col, from, row, v + to);
            w->kernels->keys((const double *)(const void *)(v + to), row, w->flip, v + to);
        } else {
            window_widen(col, from, row, v + to);
        }
        for (int64_t i = to; keys && !w->is_float && i < to + row; i++)
            v[i] = (w->is_unsigned ? v[i] ^ INT64_MIN : v[i]) ^ w->flip;
        for (int64_t i = to; count && i < to + row; i++)
            v[i] = count[i] ? v[i] : keys ? INT64_MIN : 0;
        for (int64_t i = to; !keys && i < to + row; i++) {
            int64_t size = w->is_unsigned || v[i] >= 0 ? v[i] : -(v[i] + 1);
            *most = size < 0 ? INT64_MAX : size > *most ? size : *most;
        }
    }
    return OK;
}

static enum status take_piece(struct ctx *c, struct words *w, const struct part *t, struct piece *p,
                              int64_t *most)
{
    *p = (struct piece){.box = t->box};
    if (w->has[WORD_COUNT]) TRY(take_mask(c, t, p));
    if (t->none) { /* all words are zeros, keys are of nothing */
        int64_t n = box_cells(&t->box);
        if (w->kind == WORDS_COUNT) return OK;
        TRY(new_words(c, n, &p->v[WORD_HIGH]));
        for (int64_t i = 0; i < n; i++)
            p->v[WORD_HIGH][i] = w->kind == WORDS_EXTREME ? INT64_MIN : 0;
    } else if (w->kind == WORDS_FLOAT) {
        TRY(take_floats(c, w, t, p, most));
    } else if (w->kind != WORDS_COUNT) {
        TRY(take_whole(c, w, t, p, most));
    }
    return OK;
}

/* ---- what blocks come to ---- */

static int bits_of_size(i128 x)
{
    i128 size = x < 0 ? -x : x;
    uint64_t high = (uint64_t)(size >> 64);
    return high             ? 128 - __builtin_clzll(high)
           : (uint64_t)size ? 64 - __builtin_clzll((uint64_t)size)
                            : 0;
}

/* Exponent of a power of two above the sum. */
static int exponent_of(const struct fsum *s)
{
    int most = INT32_MIN / 2;
    for (int k = 0; k < FSUM_BINS && s->top != FSUM_EMPTY; k++) {
        int e = bits_of_size(s->bin[k]) + FSUM_DIGITS * (s->top - k) + 2;
        if (s->bin[k] && e > most) most = e;
    }
    return most;
}

/* The sum in units of 2^unit; false: it is no multiple, or too large. */
static bool fixed_of(const struct fsum *s, int unit, int64_t *high, int64_t *low)
{
    i128 total = 0;
    for (int k = 0; k < FSUM_BINS && s->top != FSUM_EMPTY; k++) {
        int up = FSUM_DIGITS * (s->top - k) - unit;
        i128 bin = s->bin[k];
        if (bin == 0) continue;
        if (up < -100 || bits_of_size(bin) + up > SUM_BITS + LOW_BITS + 1) return false;
        if (up < 0 && (bin & (((i128)1 << -up) - 1))) return false;
        total += up < 0 ? bin >> -up : bin * ((i128)1 << up);
    }
    *high = (int64_t)(total >> LOW_BITS);
    *low = (int64_t)(total & ((INT64_C(1) << LOW_BITS) - 1));
    return bits_of_size(total) <= SUM_BITS + LOW_BITS;
}

static void survey_carried(struct words *w, struct carried *d)
{
    struct fsum sum;
    i128 whole;
    int64_t key;
    bool nan;
    d->top = d->exponent = INT32_MIN / 2;
    for (int64_t i = 0; i < d->n; i++) {
        const void *state = d->states + (size_t)i * w->k->state_bytes;
        int64_t n = 0;
        if (w->kind == WORDS_FLOAT) {
            agg_float_sum_of(state, &sum, &n);
            int e = exponent_of(&sum);
            if (sum.top != FSUM_EMPTY && sum.top > d->top) d->top = sum.top;
            d->exponent = e > d->exponent ? e : d->exponent;
            w->has[WORD_SPECIAL] |= sum.has_nan || sum.has_pinf || sum.has_ninf;
        } else if (w->kind == WORDS_INTEGER) {
            agg_int_sum_of(state, &whole, &n);
            if (bits_of_size(whole) > 62)
                d->most = INT64_MAX;
            else if ((whole < 0 ? -whole : whole) > d->most)
                d->most = (int64_t)(whole < 0 ? -whole : whole);
        } else if (w->kind == WORDS_COUNT) {
            memcpy(&n, state, sizeof n);
        } else {
            n = agg_extreme_of(state, &key, &nan) ? d->full : 0;
        }
        w->has[WORD_COUNT] |= n != d->full;
    }
}

/* *fits false: some sum is not in fixed point. */
static enum status take_carried(struct ctx *c, const struct words *w, const struct carried *d,
                                struct piece *p, bool *fits)
{
    for (int v = 0; v < N_WORDS; v++)
        if (w->has[v]) TRY(new_words(c, d->n, &p->v[v]));
    for (int64_t i = 0; i < d->n && *fits; i++) {
        const void *state = d->states + (size_t)i * w->k->state_bytes;
        struct fsum sum = {.top = FSUM_EMPTY};
        i128 whole = 0;
        int64_t n = 0, key = 0, low = 0;
        bool nan = false;
        if (w->kind == WORDS_FLOAT) {
            agg_float_sum_of(state, &sum, &n);
            *fits = fixed_of(&sum, w->unit, &key, &low);
        } else if (w->kind == WORDS_INTEGER) {
            agg_int_sum_of(state, &whole, &n);
            key = (int64_t)whole;
        } else if (w->kind == WORDS_COUNT) {
            memcpy(&n, state, sizeof n);
        } else {
            n = agg_extreme_of(state, &key, &nan);
            if (w->is_float)
                w->kernels->keys((const double *)(const void *)&key, 1, w->flip, &key);
            else
                key = (w->is_unsigned ? key ^ INT64_MIN : key) ^ w->flip;
            if (nan) key = INT64_MAX;
            if (!n) key = INT64_MIN;
        }
        if (p->v[WORD_HIGH]) p->v[WORD_HIGH][i] = key;
        if (p->v[WORD_LOW]) p->v[WORD_LOW][i] = low;
        if (p->v[WORD_COUNT]) p->v[WORD_COUNT][i] = n;
        if (p->v[WORD_SPECIAL])
            p->v[WORD_SPECIAL][i] = (int64_t)sum.has_nan | (int64_t)sum.has_pinf << SPECIAL_BITS |
                                    (int64_t)sum.has_ninf << 2 * SPECIAL_BITS;
    }
    return OK;
}

/* ---- units ---- */

static int exponent_bits(int64_t bits)
{
    int e = (int)(bits >> 52) - 1023;
    return e < -1022 ? -1022 : e;
}

static int32_t bin_of(int exponent)
{
    return exponent >= 0 ? exponent / FSUM_DIGITS : -((FSUM_DIGITS - 1 - exponent) / FSUM_DIGITS);
}

/* The unit of sums of so many cells, of which the largest has these bits. */
static bool choose_unit(struct words *w, int64_t n, int64_t most, const struct carried *d)
{
    int room = SUM_BITS, top = d->top, unit = INT32_MIN / 2;
    while (n >> (SUM_BITS - room))
        room--;
    if (most) {
        int e = exponent_bits(most), bits = room < HIGH_BITS ? room : HIGH_BITS;
        if (e > 900 || e < -800) return false;
        unit = e + 1 - bits - LOW_BITS;
        top = bin_of(e) > top ? bin_of(e) : top;
    }
    if (d->exponent - room - LOW_BITS > unit) unit = d->exponent - room - LOW_BITS;
    if (top == INT32_MIN / 2) unit = top = 0; /* nothing but zeros */
    if (FSUM_DIGITS * (top - FSUM_BINS + 1) > unit) unit = FSUM_DIGITS * (top - FSUM_BINS + 1);
    w->unit = unit;
    return unit > -960 && unit < 900;
}

static double power_of_two(int exponent)
{
    return ldexp(1, exponent);
}

/* ---- reading ---- */

static enum status read_part(struct ctx *c, const struct words *w, struct part *t)
{
    const struct window_source *s = w->s;
    if (s->have && box_contains(&s->have->box, &t->box))
        t->ch = *s->have;
    else
        TRY(window_pad(c, s->w, s->k, &t->box, &t->ch));
    t->none = t->ch.n_present == 0;
    if (t->none) return OK;
    TRY(agg_input_make(c, &s->k->set, &t->ch, t->ch.cols, &s->outer, &t->in));
    t->none = t->in.calls[0].none;
    return OK;
}

/* One piece of what several are. */
static enum status join_pieces(struct ctx *c, struct words *w)
{
    struct piece all = {.box = w->hull, .lo = w->hull.lo[w->in.d], .hi = w->hull.hi[w->in.d]};
    for (int v = 0; v < N_WORDS; v++) {
        if (!w->in.piece[0].v[v]) continue;
        TRY(new_words(c, box_cells(&w->hull), &all.v[v]));
        for (int i = 0; i < w->in.n; i++) {
            const struct piece *p = &w->in.piece[i];
            box_copy(all.v[v], &w->hull, p->v[v], &p->box, &p->box, sizeof(int64_t));
        }
    }
    w->in.piece[0] = all;
    w->in.n = 1;
    return OK;
}

/* Of all parts the pieces. *fits false: not as words. */
static enum status take_pieces(struct ctx *c, struct words *w, struct part *parts, int n,
                               int64_t n_cells, bool *fits)
{
    struct carried none = {.top = INT32_MIN / 2, .exponent = INT32_MIN / 2}, *blocks = &none;
    int64_t most = 0;
    bool some = false;
    w->in.n = n;
    for (int i = 0; i < n; i++) {
        struct part *t = &parts[i];
        if (t->blocks) {
            blocks = t->blocks;
            survey_carried(w, blocks);
            most = blocks->most;
            some = true;
            continue;
        }
        TRY(read_part(c, w, t));
        w->has[WORD_COUNT] |= t->none || t->in.calls[0].mask;
        some |= !t->none;
    }
    *fits = some;
    if (!some) return OK;
    w->has[WORD_HIGH] = w->kind != WORDS_COUNT;
    w->has[WORD_LOW] = w->kind == WORDS_FLOAT;
    for (int i = 0; i < n; i++)
        if (!parts[i].blocks) TRY(take_piece(c, w, &parts[i], &w->in.piece[i], &most));
    if (w->kind == WORDS_FLOAT)
        *fits = choose_unit(w, n_cells, most, blocks);
    else if (w->kind == WORDS_INTEGER)
        *fits = most < INT64_MAX / 2 / n_cells;
    for (int i = 0; i < n && *fits; i++) {
        struct piece *p = &w->in.piece[i];
        int d = w->in.d;
        if (parts[i].blocks) {
            *p = (struct piece){.box = parts[i].box};
            TRY(take_carried(c, w, blocks, p, fits));
        }
        p->box.lo[d] += parts[i].shift;
        p->box.hi[d] += parts[i].shift;
        p->lo = parts[i].box.lo[d] + parts[i].shift;
        p->hi = parts[i].box.hi[d] + parts[i].shift;
    }
    if (*fits && w->kind == WORDS_EXTREME && n > 1) return join_pieces(c, w);
    return OK;
}

/* ---- results ---- */

#define NARROW(ctype)                                                                              \
    for (int64_t i = 0; i < n; i++)                                                                \
    ((ctype *)to)[i] = (ctype)(v[i] ^ turn)

static void put_extremes(const struct words *w, const int64_t *v, int64_t n, void *to)
{
    int64_t turn = w->flip ^ (w->is_unsigned ? INT64_MIN : 0);
    switch (w->out->type) {
    case T_FLOAT64:
        w->kernels->values(v, n, w->flip, to);
        for (int64_t i = 0; i < n; i++)
            ((double *)to)[i] += 0.0; /* of both zeros, the positive one */
        break;
    case T_FLOAT32:
        for (int64_t i = 0; i < n; i++) {
            double x;
            w->kernels->values(v + i, 1, w->flip, &x);
            ((float *)to)[i] = (float)(x + 0.0);
        }
        break;
    case T_BOOL:
    case T_INT8:
    case T_UINT8:
        NARROW(int8_t);
        break;
    case T_INT16:
    case T_UINT16:
        NARROW(int16_t);
        break;
    case T_INT32:
    case T_UINT32:
    case T_DATE:
        NARROW(int32_t);
        break;
    default:
        NARROW(int64_t);
        break;
    }
}

/* How many cells windows of a row have: of these positions along the outer axes. */
static void count_cells(struct words *w, const int64_t *pos, const int64_t *count, int64_t q,
                        int64_t n)
{
    int64_t length = 1;
    int last = w->box.n_dims - 1;
    for (int64_t i = 0; count && i < n; i++)
        w->by[q + i] = (double)count[i];
    if (count) return;
    for (int a = 0; a < w->s->k->n_axes; a++) {
        int d = w->s->k->axes[a].dim;
        const struct ranges *r = &w->ranges[a];
        if (d == last) continue;
        length *= r->hi[pos[d] - w->box.lo[d]] - r->lo[pos[d] - w->box.lo[d]];
    }
    if (w->by_length == length) return;
    w->by_length = length;
    for (int64_t i = 0; i < box_extent(&w->box, last); i++)
        w->by[i] = (double)length * w->lengths[i];
}

static void put_numbers(const struct words *w, const int64_t *const *words, int64_t n,
                        const double *by, double *to)
{
    const int64_t *sum = words[WORD_HIGH], *special = words[WORD_SPECIAL];
    if (w->kind == WORDS_FLOAT)
        w->kernels->numbers(sum, words[WORD_LOW], n, power_of_two(w->unit), to);
    for (int64_t i = 0; i < n && w->kind == WORDS_INTEGER; i++) {
        bool small = sum[i] >> 53 == 0 || sum[i] >> 53 == -1;
        to[i] = small ? (double)sum[i] / by[i] : (double)((f128)sum[i] / (f128)by[i]);
    }
    if (w->kind == WORDS_FLOAT && w->k->agg->id == AGG_AVG) w->kernels->divide(to, by, n);
    for (int64_t i = 0; special && i < n; i++) {
        int64_t mask = (1 << SPECIAL_BITS) - 1, x = special[i];
        bool plus = x >> SPECIAL_BITS & mask, minus = x >> 2 * SPECIAL_BITS & mask;
        if (x & mask || (plus && minus))
            to[i] = (double)NAN;
        else if (plus || minus)
            to[i] = (double)(plus ? INFINITY : -INFINITY);
    }
}

static enum status put_row(struct ctx *c, void *self, const int64_t *pos, int64_t n,
                           const int64_t *const *words)
{
    struct words *w = self;
    int last = w->box.n_dims - 1;
    int64_t at = box_index(w->out_box, pos), q = pos[last] - w->box.lo[last];
    char *to = (char *)w->out->values + (size_t)at * type_bytes(w->out->type);
    (void)c;
    count_cells(w, pos, words[WORD_COUNT], q, n);
    if (w->kind == WORDS_COUNT) {
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)(void *)to)[i] = (int64_t)w->by[q + i];
        return OK;
    }
    if (w->kind == WORDS_EXTREME)
        put_extremes(w, words[WORD_HIGH], n, to);
    else if (w->out->type == T_FLOAT64)
        put_numbers(w, words, n, w->by + q, (double *)(void *)to);
    else
        memcpy(to, words[WORD_HIGH], (size_t)n * sizeof(int64_t));
    for (int64_t i = 0; i < n && (w->empty || words[WORD_COUNT]); i++)
        if (w->by[q + i] == 0) column_put_null(w->out, at + i);
    return OK;
}

/* ---- passes ---- */

struct kept { /* what comes out of a pass that is not the last */
    struct piece piece;
};

static enum status keep_row(struct ctx *c, void *self, const int64_t *pos, int64_t n,
                            const int64_t *const *words)
{
    struct kept *k = self;
    int64_t at = box_index(&k->piece.box, pos);
    (void)c;
    for (int v = 0; v < N_WORDS; v++)
        if (words[v]) memcpy(k->piece.v[v] + at, words[v], (size_t)n * sizeof(int64_t));
    return OK;
}

/* The axes but the innermost one after the other, that with the last together. */
static enum status run_passes(struct ctx *c, struct words *w, bool *fits)
{
    const struct window_call *k = w->s->k;
    int last = w->box.n_dims - 1, n_outer = 0, inner = -1, outer[MAX_DIMS];
    int64_t one[2] = {0, 1};
    struct lines l = {.k = w->kernels,
                      .extreme = w->kind == WORDS_EXTREME,
                      .scale = power_of_two(-w->unit - LOW_BITS),
                      .out = w->hull};
    memcpy(l.has, w->has, sizeof l.has);
    for (int a = 0; a < k->n_axes; a++) {
        if (k->axes[a].dim == last)
            inner = a;
        else
            outer[n_outer++] = a;
    }
    for (int i = 0; i < n_outer || i == 0; i++) {
        struct kept kept = {.piece = {.lo = w->hull.lo[last], .hi = w->hull.hi[last]}};
        bool done = i + 1 >= n_outer;
        l.in = &w->in;
        l.d = i < n_outer ? k->axes[outer[i]].dim : -1;
        l.ranges = (struct ranges){.n = 1, .lo = &one[0], .hi = &one[1]};
        if (l.d >= 0) {
            l.ranges = outer[i] == 0 ? w->along : w->ranges[outer[i]];
            l.out.lo[l.d] = w->box.lo[l.d];
            l.out.hi[l.d] = w->box.hi[l.d];
        }
        l.emit = done ? put_row : keep_row;
        l.self = done ? (void *)w : &kept;
        kept.piece.box = l.out;
        for (int v = 0; v < N_WORDS && !done; v++)
            if (w->has[v]) TRY(new_words(c, box_cells(&l.out), &kept.piece.v[v]));
        if (done && inner >= 0) {
            const struct ranges *r = inner == 0 ? &w->along : &w->ranges[inner];
            TRY(lines_runs(c, w->box.lo[last], r, &l));
            l.out.lo[last] = w->box.lo[last];
            l.out.hi[last] = w->box.hi[last];
        }
        TRY(lines_take(c, &l));
        w->in = (struct field){.d = last, .n = 1, .piece = {kept.piece}};
        if (l.inexact) break;
    }
    *fits = !l.inexact;
    return OK;
}

/* ---- all together ---- */

static enum status take_lengths(struct ctx *c, struct words *w)
{
    int last = w->box.n_dims - 1;
    int64_t n = box_extent(&w->box, last), *mem;
    TRY(new_words(c, n, &mem));
    w->lengths = (double *)(void *)mem;
    TRY(new_words(c, n, &mem));
    w->by = (double *)(void *)mem;
    w->by_length = -1;
    for (int64_t i = 0; i < n; i++)
        w->lengths[i] = 1;
    for (int a = 0; a < w->s->k->n_axes; a++)
        for (int64_t i = 0; i < w->ranges[a].n; i++) {
            int64_t length = w->ranges[a].hi[i] - w->ranges[a].lo[i];
            w->empty |= length == 0;
            if (w->s->k->axes[a].dim == last) w->lengths[i] = (double)length;
        }
    return OK;
}

/* What the windows along axis 0 touch: cells, or cells before and behind whole blocks, which become
 * one position. */
static enum status cut_axis(struct ctx *c, struct words *w, const struct far *f, struct part *parts,
                            int *n)
{
    struct ranges *along = &w->along, *r = &w->ranges[0];
    int d = w->s->k->axes[0].dim;
    TRY(new_words(c, r->n, &along->lo));
    TRY(new_words(c, r->n, &along->hi));
    along->n = r->n;
    int64_t blocks = f ? w->parts.to[0] - w->parts.from[0] : 0;
    int64_t head = INT64_MAX, head_end = 0, tail = 0;
    for (int64_t i = 0; i < along->n; i++) {
        along->lo[i] = r->lo[i];
        along->hi[i] = r->hi[i];
        if (blocks <= 0) continue;
        const struct ranges *t = &w->parts.tail;
        int64_t length = t->hi[i] - t->lo[i];
        head_end = w->parts.head.hi[i];
        along->hi[i] = head_end + 1 + length;
        head = along->lo[i] < head ? along->lo[i] : head;
        tail = length > tail ? length : tail;
    }
    *n = 0;
    if (!ranges_hull(along, &w->hull.lo[d], &w->hull.hi[d])) return OK;
    struct part cells = {.box = w->hull};
    if (blocks <= 0) {
        parts[(*n)++] = cells;
        return OK;
    }
    w->in.d = d;
    cells.box.hi[d] = head_end;
    if (head < head_end) parts[(*n)++] = cells;
    struct part sum = {.box = w->hull};
    sum.box.lo[d] = head_end;
    sum.box.hi[d] = head_end + 1;
    TRY(far_between(c, w->s->k, f, w->parts.from[0], w->parts.to[0], &sum.box, &w->carried.states));
    w->carried.n = box_cells(&sum.box);
    w->carried.full = far_start(f, w->parts.to[0]) - far_start(f, w->parts.from[0]);
    sum.blocks = &w->carried;
    parts[(*n)++] = sum;
    cells.box.lo[d] = far_start(f, w->parts.to[0]);
    cells.box.hi[d] = cells.box.lo[d] + tail;
    cells.shift = head_end + 1 - cells.box.lo[d];
    if (tail) parts[(*n)++] = cells;
    return OK;
}

static struct ranges ranges_from(const struct ranges *r, int64_t from, int64_t to)
{
    return (struct ranges){.n = to - from, .lo = r->lo + from, .hi = r->hi + from};
}

/* One box of windows that all have the same whole blocks, if any. */
static enum status take_box(struct ctx *c, struct words *w, bool *fits)
{
    const struct window_call *k = w->s->k;
    struct part parts[3];
    int n;
    int64_t n_cells = 1;
    w->in = (struct field){.d = w->box.n_dims - 1};
    w->carried = (struct carried){.n = 0};
    TRY(cut_axis(c, w, k->far[0], parts, &n));
    for (int a = 0; a < k->n_axes; a++) {
        const struct ranges *r = a ? &w->ranges[a] : &w->along;
        int64_t longest = 1;
        for (int64_t i = 0; i < r->n; i++)
            longest = r->hi[i] - r->lo[i] > longest ? r->hi[i] - r->lo[i] : longest;
        n_cells = n_cells < MOST_CELLS ? n_cells * longest : n_cells;
    }
    *fits = n > 0 && n_cells <= MOST_CELLS;
    memset(w->has, 0, sizeof w->has);
    if (*fits) TRY(take_pieces(c, w, parts, n, n_cells, fits));
    if (*fits) TRY(take_lengths(c, w));
    if (*fits) TRY(run_passes(c, w, fits));
    return OK;
}

enum status window_words(struct ctx *c, const struct window_source *s, const struct box *box,
                         struct column *out, const struct box *out_box, bool *done)
{
    const struct window_call *k = s->k;
    const struct agg_bound *b = &k->bound;
    enum type t = b->n_args ? b->types[0] : T_NONE;
    struct words w = {.s = s,
                      .k = b,
                      .kernels = window_kernels(),
                      .kind = kind_of(b),
                      .is_float = type_is_float(t),
                      .is_unsigned = type_is_unsigned(t) || t == T_BOOL,
                      .flip = b->agg->id == AGG_MIN ? -1 : 0,
                      .box = *box,
                      .out = out,
                      .out_box = out_box,
                      .hull = *box};
    *done = false;
    for (int a = 0; a < k->n_axes; a++) {
        int d = k->axes[a].dim;
        TRY(window_ranges(c, &k->axes[a], box->lo[d], box_extent(box, d), &w.ranges[a]));
        if (!ranges_hull(&w.ranges[a], &w.hull.lo[d], &w.hull.hi[d])) return OK;
    }
    struct far_parts all_parts;
    if (k->far[0]) TRY(far_cut(c, k->far[0], &w.ranges[0], &all_parts));
    int d = k->axes[0].dim;
    struct ranges all = w.ranges[0];
    struct box hull = w.hull;
    for (int64_t from = 0, to; from < all.n; from = to) {
        struct scratch_mark m = scratch_mark(c->scratch);
        for (to = from + 1; to < all.n && k->far[0]; to++)
            if (all_parts.from[to] != all_parts.from[from] ||
                all_parts.to[to] != all_parts.to[from])
                break;
        if (!k->far[0]) to = all.n;
        w.hull = hull;
        w.ranges[0] = ranges_from(&all, from, to);
        if (k->far[0]) {
            w.parts = all_parts;
            w.parts.head = ranges_from(&all_parts.head, from, to);
            w.parts.tail = ranges_from(&all_parts.tail, from, to);
            w.parts.from += from;
            w.parts.to += from;
        }
        w.box.lo[d] = box->lo[d] + from;
        w.box.hi[d] = box->lo[d] + to;
        TRY(take_box(c, &w, done));
        scratch_release(c->scratch, m);
        if (!*done) return OK;
    }
    return OK;
}
