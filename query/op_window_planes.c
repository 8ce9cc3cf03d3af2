/* How are sums and extremes of numbers taken without a state a cell?
 *
 * As planes of 64-bit words: a sum of integers is one or two of them, a sum of floats the digits of
 * fsum.h in as many bins as the cells at hand need. Words are added modulo 2^64, so differences of
 * running sums are exact: a window costs a few additions, whatever its length. Where four bins
 * don't hold every digit, or integers might overflow, states do it instead, with the same result.
 * Extremes go through two stacks as states do, a row of numbers at a time. */
#include "query/op_window.h"
#include "storage/base/fsum.h"
#include <math.h>
#include <string.h>

#define WIDTH 128 /* columns of lines that are worked on at once */
#define DIGIT_BITS 30

enum plane_kind { PLANE_NONE, PLANE_COUNT, PLANE_INTEGER, PLANE_FLOAT, PLANE_MIN, PLANE_MAX };
enum number_kind { NUMBER_INT, NUMBER_UINT, NUMBER_DOUBLE };
enum { COUNT = FSUM_BINS, NANS, PLUS_INFS, MINUS_INFS, TOPS, N_PLANES };

struct window_planes {
    const struct agg_bound *k;
    enum plane_kind kind;
    enum number_kind number;
    int32_t top;           /* FLOAT: as in fsum.h */
    bool merges;           /* FLOAT: results meet other states, so each has its own top */
    uint64_t *v[N_PLANES]; /* NULL: all zeros. [0]: the number, when it is not digits */
};

static enum plane_kind kind_of(const struct agg_bound *k)
{
    enum type t = k->n_args ? k->types[0] : T_NONE;
    bool number = type_is_numeric(t) || type_is_time(t) || t == T_BOOL;
    if (k->holistic || k->ranks) return PLANE_NONE;
    switch (k->agg->id) {
    case AGG_COUNT:
        return PLANE_COUNT;
    case AGG_SUM:
    case AGG_AVG:
        return type_is_float(t) ? PLANE_FLOAT : number ? PLANE_INTEGER : PLANE_NONE;
    case AGG_MIN:
        return number ? PLANE_MIN : PLANE_NONE;
    case AGG_MAX:
        return number ? PLANE_MAX : PLANE_NONE;
    default:
        return PLANE_NONE;
    }
}

static enum number_kind number_of(enum type t)
{
    return type_is_float(t)                     ? NUMBER_DOUBLE
           : type_is_unsigned(t) || t == T_BOOL ? NUMBER_UINT
                                                : NUMBER_INT;
}

/* ---- cells to words ---- */

static enum status new_plane(struct ctx *c, int64_t n, uint64_t **out)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(uint64_t), &mem));
    *out = mem;
    return OK;
}

static enum status zero_plane(struct ctx *c, int64_t n, uint64_t **out)
{
    TRY(new_plane(c, n, out));
    memset(*out, 0, (size_t)n * sizeof **out);
    return OK;
}

#define WIDEN(ctype, wide)                                                                         \
    do {                                                                                           \
        const ctype *v = (const ctype *)col->values + at;                                          \
        wide *to = out;                                                                            \
        for (int64_t i = 0; i < n; i++)                                                            \
            to[i] = (wide)v[i];                                                                    \
    } while (0)

void window_widen(const struct column *col, int64_t at, int64_t n, void *out)
{
    switch (col->type) {
    case T_FLOAT32:
        WIDEN(float, double);
        break;
    case T_INT8:
        WIDEN(int8_t, int64_t);
        break;
    case T_INT16:
        WIDEN(int16_t, int64_t);
        break;
    case T_INT32:
    case T_DATE:
        WIDEN(int32_t, int64_t);
        break;
    case T_BOOL:
    case T_UINT8:
        WIDEN(uint8_t, uint64_t);
        break;
    case T_UINT16:
        WIDEN(uint16_t, uint64_t);
        break;
    case T_UINT32:
        WIDEN(uint32_t, uint64_t);
        break;
    default:
        WIDEN(uint64_t, uint64_t);
        break;
    }
}
#undef WIDEN

/* What stands for cells that do not count. */
static uint64_t neutral(const struct window_planes *p)
{
    double d = (double)(p->kind == PLANE_MIN ? INFINITY : -INFINITY);
    uint64_t word;
    if (p->kind != PLANE_MIN && p->kind != PLANE_MAX) return 0;
    if (p->number == NUMBER_DOUBLE) {
        memcpy(&word, &d, sizeof word);
        return word;
    }
    if (p->number == NUMBER_UINT) return p->kind == PLANE_MIN ? UINT64_MAX : 0;
    return (uint64_t)(p->kind == PLANE_MIN ? INT64_MAX : INT64_MIN);
}

/* A row of the box: cells [from, from + n) of the chunk to words [at, at + n). */
static void take_row(struct window_planes *p, const struct call_input *in, int64_t from, int64_t at,
                     int64_t n)
{
    uint64_t none = neutral(p), *v = p->v[0], *count = p->v[COUNT];
    if (p->k->n_args && v) window_widen(in->args[0], from, n, v + at);
    if (!in->mask) return;
    for (int64_t i = 0; i < n; i++) {
        bool counts = bit_get(in->mask, from + i);
        count[at + i] = counts;
        if (v) v[at + i] = counts ? v[at + i] : none;
    }
}

/* Sets NaNs and infinities apart. */
static enum status set_apart(struct ctx *c, struct window_planes *p, int64_t n, bool infinities)
{
    double *x = (double *)(void *)p->v[0], none;
    uint64_t word = neutral(p);
    memcpy(&none, &word, sizeof none);
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == x[i] && !(infinities && isinf(x[i]))) continue;
        int plane = x[i] != x[i] ? NANS : x[i] > 0 ? PLUS_INFS : MINUS_INFS;
        if (!p->v[plane]) TRY(zero_plane(c, n, &p->v[plane]));
        p->v[plane][i] = 1;
        x[i] = none;
    }
    return OK;
}

static int32_t bin_of(double x)
{
    int exponent = ilogb(x);
    return exponent >= 0 ? exponent / DIGIT_BITS : -((DIGIT_BITS - 1 - exponent) / DIGIT_BITS);
}

/* Each number's own bin. */
static enum status split_tops(struct ctx *c, struct window_planes *p, const double *x, int64_t n)
{
    TRY(new_plane(c, n, &p->v[TOPS]));
    for (int64_t i = 0; i < n; i++)
        p->v[TOPS][i] = (uint64_t)(x[i] != 0 ? bin_of(x[i]) : INT64_MIN);
    return OK;
}

/* Numbers to digits; *fits false: they need more bins. */
static enum status split(struct ctx *c, struct window_planes *p, int64_t n, bool *fits)
{
    double *x = (double *)(void *)p->v[0], most = 0, rest = 0;
    int64_t any[FSUM_BINS] = {0}, *digit[FSUM_BINS];
    for (int64_t i = 0; i < n; i++)
        most = fabs(x[i]) > most ? fabs(x[i]) : most;
    *fits = most == 0 || (most > 0x1p-800 && most < 0x1p1000);
    p->top = 0;
    if (!*fits || most == 0) {
        p->v[0] = NULL;
        return OK;
    }
    p->top = bin_of(most);
    double scale = ldexp(1, -DIGIT_BITS * p->top);
    if (p->merges) TRY(split_tops(c, p, x, n));
    for (int d = 0; d < FSUM_BINS; d++) {
        uint64_t *plane;
        TRY(new_plane(c, n, &plane));
        digit[d] = (int64_t *)plane;
    }
    for (int64_t at = 0; at < n; at += AGG_BLOCK) {
        double y[AGG_BLOCK];
        int64_t m = n - at < AGG_BLOCK ? n - at : AGG_BLOCK;
        for (int64_t i = 0; i < m; i++)
            y[i] = x[at + i] * scale;
        for (int d = 0; d < FSUM_BINS; d++)
            for (int64_t i = 0; i < m; i++) {
                int32_t whole = (int32_t)y[i];
                digit[d][at + i] = whole;
                any[d] |= whole;
                y[i] = (y[i] - whole) * 0x1p30;
            }
        for (int64_t i = 0; i < m; i++)
            rest += fabs(y[i]);
    }
    *fits = rest == 0;
    for (int d = 0; d < FSUM_BINS; d++)
        p->v[d] = any[d] ? (uint64_t *)digit[d] : NULL;
    return OK;
}

/* Do window sums of so many cells stay within 64 bits? */
static bool integers_fit(const struct window_planes *p, int64_t n)
{
    uint64_t most = 0;
    const uint64_t *v = p->v[0];
    for (int64_t i = 0; i < n; i++) {
        uint64_t size = p->number == NUMBER_INT && (int64_t)v[i] < 0 ? 0 - v[i] : v[i];
        most = size > most ? size : most;
    }
    return most < (uint64_t)INT64_MAX / (uint64_t)(n + 1);
}

/* ---- along an axis ---- */

struct lines { /* outer × n × inner words, windows along the middle */
    int64_t outer, n_in, n_out, inner, first;
    const struct ranges *r;
};

/* Columns [q, q + w) of one of the outer places. */
static void add_lines(const struct lines *l, const uint64_t *in, int64_t w, uint64_t *sums,
                      uint64_t *out)
{
    memset(sums, 0, (size_t)w * sizeof *sums);
    for (int64_t j = 0; j < l->n_in; j++) {
        const uint64_t *x = in + j * l->inner, *before = sums + j * w;
        uint64_t *after = sums + (j + 1) * w;
        for (int64_t q = 0; q < w; q++)
            after[q] = before[q] + x[q];
    }
    for (int64_t i = 0; i < l->n_out; i++) {
        uint64_t *to = out + i * l->inner;
        bool none = l->r->lo[i] == l->r->hi[i];
        const uint64_t *hi = none ? sums : sums + (l->r->hi[i] - l->first) * w;
        const uint64_t *lo = none ? sums : sums + (l->r->lo[i] - l->first) * w;
        for (int64_t q = 0; q < w; q++)
            to[q] = hi[q] - lo[q];
    }
}

#define EXTREME_LINES(name, T, before)                                                             \
    static void name##_lines(const struct lines *l, const uint64_t *words, int64_t w,              \
                             uint64_t *room, uint64_t none, uint64_t *result)                      \
    {                                                                                              \
        const T *in = (const T *)(const void *)words;                                              \
        T *behind = (T *)(void *)room, *entered = behind + l->n_in * w;                            \
        T *out = (T *)(void *)result, empty;                                                       \
        int64_t turned = INT64_MIN, end = INT64_MIN;                                               \
        memcpy(&empty, &none, sizeof empty);                                                       \
        for (int64_t i = 0; i < l->n_out; i++) {                                                   \
            int64_t lo = l->r->lo[i] - l->first, hi = l->r->hi[i] - l->first;                      \
            T *to = out + i * l->inner;                                                            \
            if (lo == hi) {                                                                        \
                for (int64_t q = 0; q < w; q++)                                                    \
                    to[q] = empty;                                                                 \
                continue;                                                                          \
            }                                                                                      \
            if (end == INT64_MIN || lo >= end) {                                                   \
                turned = end = lo;                                                                 \
                for (int64_t q = 0; q < w; q++)                                                    \
                    entered[q] = empty;                                                            \
            }                                                                                      \
            if (lo > turned) {                                                                     \
                for (int64_t j = end - 1; j >= lo; j--) {                                          \
                    const T *x = in + j * l->inner, *y = j + 1 < end ? behind + (j + 1) * w : x;   \
                    for (int64_t q = 0; q < w; q++)                                                \
                        behind[j * w + q] = y[q] before x[q] ? y[q] : x[q];                        \
                }                                                                                  \
                turned = end;                                                                      \
                for (int64_t q = 0; q < w; q++)                                                    \
                    entered[q] = empty;                                                            \
            }                                                                                      \
            for (; end < hi; end++)                                                                \
                for (int64_t q = 0; q < w; q++) {                                                  \
                    T x = in[end * l->inner + q];                                                  \
                    entered[q] = x before entered[q] ? x : entered[q];                             \
                }                                                                                  \
            const T *y = lo < turned ? behind + lo * w : entered;                                  \
            for (int64_t q = 0; q < w; q++)                                                        \
                to[q] = y[q] before entered[q] ? y[q] : entered[q];                                \
        }                                                                                          \
    }
EXTREME_LINES(min_int, int64_t, <)
EXTREME_LINES(max_int, int64_t, >)
EXTREME_LINES(min_uint, uint64_t, <)
EXTREME_LINES(max_uint, uint64_t, >)
EXTREME_LINES(min_double, double, <)
EXTREME_LINES(max_double, double, >)
#undef EXTREME_LINES

typedef void extreme_fn(const struct lines *l, const uint64_t *words, int64_t w, uint64_t *room,
                        uint64_t none, uint64_t *result);

/* NULL: the plane is added up. */
static extreme_fn *extreme_of(const struct window_planes *p, int plane)
{
    static extreme_fn *const fns[2][3] = {{min_int_lines, min_uint_lines, min_double_lines},
                                          {max_int_lines, max_uint_lines, max_double_lines}};
    if (plane == TOPS) return max_int_lines;
    return plane == 0 && p->kind >= PLANE_MIN ? fns[p->kind == PLANE_MAX][p->number] : NULL;
}

static enum status along(struct ctx *c, const struct window_planes *p, int plane,
                         const struct lines *l, uint64_t **words)
{
    uint64_t *out, *room;
    int64_t width = l->inner < WIDTH ? l->inner : WIDTH;
    extreme_fn *extreme = extreme_of(p, plane);
    uint64_t none = plane == TOPS ? (uint64_t)INT64_MIN : neutral(p);
    TRY(new_plane(c, l->outer * l->n_out * l->inner, &out));
    TRY(new_plane(c, (l->n_in + 2) * width, &room));
    for (int64_t o = 0; o < l->outer; o++) {
        TRY(check_cancel(c));
        for (int64_t q = 0; q < l->inner; q += width) {
            int64_t w = l->inner - q < width ? l->inner - q : width;
            const uint64_t *from = *words + o * l->n_in * l->inner + q;
            uint64_t *to = out + o * l->n_out * l->inner + q;
            if (extreme)
                extreme(l, from, w, room, none, to);
            else
                add_lines(l, from, w, room, to);
        }
    }
    *words = out;
    return OK;
}

/* How many cells windows have, where all count. */
static void multiply_lengths(uint64_t *count, const struct lines *l)
{
    for (int64_t o = 0; o < l->outer; o++)
        for (int64_t i = 0; i < l->n_out; i++)
            for (int64_t q = 0; q < l->inner; q++)
                *count++ *= (uint64_t)(l->r->hi[i] - l->r->lo[i]);
}

/* ---- all together ---- */

static enum status take_cells(struct ctx *c, const struct window_source *s, const struct chunk *ch,
                              const struct box *box, struct window_planes *p, bool *fits)
{
    struct agg_input in;
    int last = box->n_dims - 1;
    int64_t row = last < 0 ? 1 : box_extent(box, last), n = box_cells(box);
    *fits = true;
    TRY(agg_input_make(c, &s->k->set, ch, ch->cols, &s->outer, &in));
    const struct call_input *ci = &in.calls[0];
    if (p->kind != PLANE_COUNT) TRY(new_plane(c, n, &p->v[0]));
    if (ci->mask) TRY(new_plane(c, n, &p->v[COUNT]));
    for (int64_t at = 0; at < n; at += row) {
        int64_t pos[MAX_DIMS];
        box_position(box, at, pos);
        take_row(p, ci, box_index(&ch->box, pos), at, row);
    }
    if (p->kind == PLANE_INTEGER) *fits = integers_fit(p, n);
    if (p->kind == PLANE_COUNT || p->number != NUMBER_DOUBLE) return OK;
    TRY(set_apart(c, p, n, p->kind == PLANE_FLOAT));
    return p->kind == PLANE_FLOAT ? split(c, p, n, fits) : OK;
}

static struct lines lines_of(const struct box *in, const struct box *out, int d,
                             const struct ranges *r)
{
    struct lines l = {1, box_extent(in, d), box_extent(out, d), 1, in->lo[d], r};
    for (int i = 0; i < d; i++)
        l.outer *= box_extent(in, i);
    for (int i = d + 1; i < in->n_dims; i++)
        l.inner *= box_extent(in, i);
    return l;
}

/* The windows' words over the box. ranges: of each axis. */
static enum status take_windows(struct ctx *c, const struct window_call *k, int n_axes,
                                const struct ranges *ranges, const struct box *hull,
                                const struct box *box, struct window_planes *p)
{
    struct box now = *hull;
    bool counted = p->v[COUNT] != NULL;
    if (!counted) {
        int64_t n = box_cells(box);
        TRY(new_plane(c, n, &p->v[COUNT]));
        for (int64_t i = 0; i < n; i++)
            p->v[COUNT][i] = 1;
    }
    for (int a = 0; a < n_axes; a++) {
        int d = k->axes[a].dim;
        struct lines l = lines_of(&now, box, d, &ranges[a]);
        for (int v = 0; v < N_PLANES; v++)
            if (p->v[v] && (v != COUNT || counted)) TRY(along(c, p, v, &l, &p->v[v]));
        now.lo[d] = box->lo[d];
        now.hi[d] = box->hi[d];
        if (counted) continue;
        l = lines_of(box, box, d, &ranges[a]);
        multiply_lengths(p->v[COUNT], &l);
    }
    return OK;
}

void window_planes_state(const struct window_planes *p, int64_t i, void *state)
{
    int64_t n = (int64_t)p->v[COUNT][i];
    struct fsum sum;
    if (p->kind == PLANE_MIN || p->kind == PLANE_MAX) {
        agg_extreme_state(state, p->v[0][i], n > 0, p->v[NANS] && p->v[NANS][i]);
    } else if (p->kind == PLANE_FLOAT) {
        fsum_init(&sum);
        int64_t top = p->v[TOPS] ? (int64_t)p->v[TOPS][i] : p->top;
        bool any = top != INT64_MIN;
        int64_t up = any ? p->top - top : 0; /* bins above the window's own hold nothing */
        for (int64_t d = up; d < FSUM_BINS; d++)
            sum.bin[d - up] = p->v[d] ? (int64_t)p->v[d][i] : 0;
        if (any) sum.top = (int32_t)top;
        sum.has_nan = p->v[NANS] && p->v[NANS][i];
        sum.has_pinf = p->v[PLUS_INFS] && p->v[PLUS_INFS][i];
        sum.has_ninf = p->v[MINUS_INFS] && p->v[MINUS_INFS][i];
        agg_float_sum_state(state, &sum, n);
    } else if (p->kind == PLANE_INTEGER) {
        agg_int_sum_state(state, (int64_t)p->v[0][i], n);
    } else {
        memcpy(state, &n, sizeof n);
    }
}

enum status window_planes(struct ctx *c, const struct window_source *s, int n_axes,
                          const struct box *box, const struct ranges *last,
                          const struct window_planes **out)
{
    struct window_planes p = {.k = &s->k->bound, .kind = kind_of(&s->k->bound)};
    void *mem;
    struct ranges ranges[MAX_DIMS];
    struct box hull = *box;
    struct chunk ch;
    *out = NULL;
    if (p.kind == PLANE_NONE || n_axes == 0) return OK;
    for (int a = 0; a < s->k->n_axes; a++)
        p.merges |= s->k->far[a] != NULL;
    if (p.k->n_args) p.number = number_of(p.k->types[0]);
    for (int a = 0; a < n_axes; a++) {
        int d = s->k->axes[a].dim;
        if (s->k->far[a] && a < n_axes - 1) return OK;
        if (a == n_axes - 1)
            ranges[a] = *last;
        else
            TRY(window_ranges(c, &s->k->axes[a], box->lo[d], box_extent(box, d), &ranges[a]));
        bool extremes = p.kind >= PLANE_MIN || p.merges;
        if (extremes && !ranges_monotone(&ranges[a])) return OK;
        if (!ranges_hull(&ranges[a], &hull.lo[d], &hull.hi[d])) return OK;
    }
    if (s->have && box_contains(&s->have->box, &hull))
        ch = *s->have;
    else
        TRY(window_pad(c, s->w, s->k, &hull, &ch));
    if (ch.n_present == 0) return OK;
    bool fits;
    TRY(take_cells(c, s, &ch, &hull, &p, &fits));
    if (!fits) return OK;
    TRY(take_windows(c, s->k, n_axes, ranges, &hull, box, &p));
    TRY(scratch_alloc(c, sizeof p, &mem));
    memcpy(mem, &p, sizeof p);
    *out = mem;
    return OK;
}
