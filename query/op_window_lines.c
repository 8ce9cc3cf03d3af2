/* How do windows move along rows of words?
 *
 * Along an outer axis the words of a window are kept for a strip of columns at once: rows that
 * enter are added, rows that leave are subtracted, both exactly. Extremes go by two stacks
 * (op_window_slide.c), a row at a time. Along the innermost axis sums are differences of running
 * sums; extremes of any length are the larger of two that overlap, of as many cells as a power of
 * two, which come from those of half as many. */
#include "query/op_window_lines.h"
#include <string.h>

#define STRIP 512               /* columns: the words of a strip stay in the first-level cache */
#define STACK_BYTES (256 << 10) /* of rows behind: they stay in the second-level one */

struct stack { /* behind: of rows [first + i, turned), for each i; entered: of [turned, hi) */
    int64_t *behind, *entered, first, lo, hi, turned;
};

/* A strip of columns at some place in the other dimensions. */
struct strip {
    struct lines *l;
    int64_t pos[MAX_DIMS]; /* where it starts in out */
    int64_t w, in_q, in_w; /* columns that come out; first and number of those that go in */
    int64_t *sum[N_WORDS]; /* of the window at hand */
    int64_t lo, hi;        /* rows that the sums hold */
    struct stack stack;
    int64_t *out[N_WORDS], *room;
};

static int64_t index_at(const struct strip *s, const struct box *box, int64_t row, int64_t q)
{
    int64_t pos[MAX_DIMS];
    memcpy(pos, s->pos, sizeof pos);
    if (s->l->d >= 0) pos[s->l->d] = row;
    pos[box->n_dims - 1] = q;
    return box_index(box, pos);
}

static void fill(int64_t *to, int64_t n, int64_t word)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = word;
}

/* ---- sums ---- */

static bool adds_up(const struct lines *l, int v)
{
    return l->has[v] && !(l->extreme && v == WORD_HIGH);
}

/* Columns [*q, *q + *w) of the row that the piece has; false: none. */
static bool row_of(const struct strip *s, const struct piece *p, int64_t row, int64_t *q,
                   int64_t *w)
{
    int64_t lo = s->in_q, hi = lo + s->in_w;
    if (s->l->in->d == s->l->out.n_dims - 1) {
        lo = p->lo > lo ? p->lo : lo;
        hi = p->hi < hi ? p->hi : hi;
    } else if (row < p->lo || row >= p->hi) {
        return false;
    }
    *q = lo;
    *w = hi - lo;
    return lo < hi;
}

static void row_in(struct strip *s, int64_t row, bool leaves)
{
    struct lines *l = s->l;
    double scale = leaves ? -l->scale : l->scale;
    for (int i = 0; i < l->in->n; i++) {
        const struct piece *p = &l->in->piece[i];
        int64_t q, w;
        if (!row_of(s, p, row, &q, &w)) continue;
        int64_t at = index_at(s, &p->box, row, q), to = q - s->in_q;
        if (p->x &&
            !l->k->enter(p->x + at, w, scale, s->sum[WORD_HIGH] + to, s->sum[WORD_LOW] + to))
            l->inexact = true;
        for (int v = 0; v < N_WORDS; v++)
            if (adds_up(l, v) && p->v[v])
                (leaves ? l->k->subtract : l->k->add)(s->sum[v] + to, p->v[v] + at, w);
    }
}

/* One row enters, one leaves. */
static void row_on(struct strip *s, int64_t in, int64_t out)
{
    struct lines *l = s->l;
    const struct piece *p = &l->in->piece[0];
    if (l->in->n > 1 || !p->x || l->has[WORD_COUNT] || l->has[WORD_SPECIAL]) {
        row_in(s, in, false);
        row_in(s, out, true);
        return;
    }
    const double *x = p->x + index_at(s, &p->box, in, s->in_q);
    const double *y = p->x + index_at(s, &p->box, out, s->in_q);
    if (!l->k->move(x, y, s->in_w, l->scale, s->sum[WORD_HIGH], s->sum[WORD_LOW]))
        l->inexact = true;
}

static void start_sums(struct strip *s)
{
    for (int v = 0; v < N_WORDS; v++)
        if (adds_up(s->l, v)) fill(s->sum[v], s->in_w, 0);
    s->lo = s->hi = 0;
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* The rows of window i, from those of the window before, or anew where that is less work. */
static void take_sums(struct strip *s, int64_t i)
{
    int64_t lo = s->l->ranges.lo[i], hi = s->l->ranges.hi[i];
    if (lo == hi || s->lo == s->hi || distance(lo, s->lo) + distance(hi, s->hi) > hi - lo) {
        start_sums(s);
        s->lo = s->hi = lo;
    }
    for (; s->lo < lo && s->hi < hi; s->lo++, s->hi++)
        row_on(s, s->hi, s->lo);
    while (s->hi < hi)
        row_in(s, s->hi++, false);
    while (s->lo > lo)
        row_in(s, --s->lo, false);
    while (s->lo < lo)
        row_in(s, s->lo++, true);
    while (s->hi > hi)
        row_in(s, --s->hi, true);
}

/* ---- extremes ---- */

static const int64_t *keys_at(const struct strip *s, int64_t row)
{
    const struct piece *p = &s->l->in->piece[0];
    return p->v[WORD_HIGH] + index_at(s, &p->box, row, s->in_q);
}

static void take_extremes(struct strip *s, int64_t i)
{
    const struct lines *l = s->l;
    struct stack *k = &s->stack;
    int64_t lo = l->ranges.lo[i], hi = l->ranges.hi[i], w = s->in_w, *out = s->sum[WORD_HIGH];
    if (lo == hi) {
        fill(out, w, INT64_MIN);
        return;
    }
    if (k->lo == k->hi || lo < k->lo || hi < k->hi || lo >= k->hi) { /* nothing of it is left */
        fill(k->entered, w, INT64_MIN);
        k->turned = k->hi = lo;
    }
    k->lo = lo;
    if (lo > k->turned) {
        for (int64_t p = k->hi - 1; p >= lo; p--) {
            int64_t *at = k->behind + (p - k->first) * w;
            const int64_t *x = keys_at(s, p);
            l->k->larger(at, x, p + 1 < k->hi ? at + w : x, w);
        }
        k->turned = k->hi;
        fill(k->entered, w, INT64_MIN);
    }
    for (; k->hi < hi; k->hi++)
        l->k->larger(k->entered, k->entered, keys_at(s, k->hi), w);
    const int64_t *behind = lo < k->turned ? k->behind + (lo - k->first) * w : k->entered;
    l->k->larger(out, behind, k->entered, w);
}

/* ---- the innermost axis ---- */

/* The part of a run that the strip has, in its own columns. */
static bool run_in(const struct strip *s, const struct window_run *r, struct window_run *out)
{
    int64_t q = s->pos[s->l->out.n_dims - 1];
    int64_t from = r->at > q ? r->at : q;
    int64_t to = r->at + r->n < q + s->w ? r->at + r->n : q + s->w;
    if (from >= to) return false;
    *out = (struct window_run){from - q,
                               to - from,
                               r->lo + (from - r->at) * r->lo_step - s->in_q,
                               r->hi + (from - r->at) * r->hi_step - s->in_q,
                               r->lo_step,
                               r->hi_step};
    return true;
}

static bool is_empty(const struct window_run *r)
{
    return r->lo == r->hi && r->lo_step == r->hi_step;
}

static int64_t longest_of(const struct window_run *r)
{
    int64_t first = r->hi - r->lo, last = first + (r->n - 1) * (r->hi_step - r->lo_step);
    return first > last ? first : last;
}

static void inner_sums(struct strip *s, int v)
{
    const struct lines *l = s->l;
    struct window_run r;
    l->k->sums(s->sum[v], s->in_w, s->room);
    for (int i = 0; i < l->n_runs; i++) {
        if (!run_in(s, &l->runs[i], &r)) continue;
        if (is_empty(&r))
            fill(s->out[v] + r.at, r.n, 0);
        else
            l->k->differences(s->room, &r, s->out[v] + r.at);
    }
}

static int level_of(int64_t length)
{
    return 63 - __builtin_clzll((uint64_t)length);
}

/* The windows of the run that have 2^level cells or more but less than twice as many; of: extremes
 * of 2^level cells from each place on. */
static void inner_level(const struct strip *s, const struct window_run *r, int level, int64_t *out)
{
    const int64_t *of = s->room;
    int64_t size = INT64_C(1) << level;
    if (r->lo_step == 1 && r->hi_step == 1) {
        if (level_of(r->hi - r->lo) == level)
            s->l->k->larger(out + r->at, of + r->lo, of + r->hi - size, r->n);
        return;
    }
    for (int64_t i = 0; i < r->n; i++) {
        int64_t lo = r->lo + i * r->lo_step, hi = r->hi + i * r->hi_step;
        if (lo >= hi || level_of(hi - lo) != level) continue;
        int64_t x = of[lo], y = of[hi - size];
        out[r->at + i] = x > y ? x : y;
    }
}

static void inner_extremes(struct strip *s)
{
    const struct lines *l = s->l;
    int64_t *of = s->room, *out = s->out[WORD_HIGH], n = s->in_w, longest = 0;
    struct window_run r;
    memcpy(of, s->sum[WORD_HIGH], (size_t)n * sizeof *of);
    fill(out, s->w, INT64_MIN);
    for (int i = 0; i < l->n_runs; i++) {
        if (!run_in(s, &l->runs[i], &r)) continue;
        if (longest_of(&r) > longest) longest = longest_of(&r);
    }
    for (int level = 0; INT64_C(1) << level <= longest; level++) {
        int64_t half = INT64_C(1) << level >> 1;
        if (level) l->k->larger(of, of, of + half, n - 2 * half + 1);
        for (int i = 0; i < l->n_runs; i++)
            if (run_in(s, &l->runs[i], &r) && !is_empty(&r)) inner_level(s, &r, level, out);
    }
}

/* ---- all together ---- */

static enum status take_row(struct ctx *c, struct strip *s, int64_t i)
{
    struct lines *l = s->l;
    int64_t pos[MAX_DIMS];
    const int64_t *words[N_WORDS] = {NULL};
    bool sums = false;
    for (int v = 0; v < N_WORDS; v++)
        sums |= adds_up(l, v);
    if (sums) take_sums(s, i);
    if (l->extreme) take_extremes(s, i);
    for (int v = 0; v < N_WORDS; v++) {
        if (!l->has[v]) continue;
        words[v] = s->sum[v];
        if (!l->n_runs) continue;
        if (l->extreme && v == WORD_HIGH)
            inner_extremes(s);
        else
            inner_sums(s, v);
        words[v] = s->out[v];
    }
    memcpy(pos, s->pos, sizeof pos);
    if (l->d >= 0) pos[l->d] = l->out.lo[l->d] + i;
    return l->emit(c, l->self, pos, s->w, words);
}

/* Columns that the strip's windows touch. */
static void strip_reach(struct strip *s)
{
    int64_t q = s->pos[s->l->out.n_dims - 1], lo = INT64_MAX, hi = INT64_MIN;
    struct window_run r;
    s->in_q = 0;
    for (int i = 0; i < s->l->n_runs; i++) {
        if (!run_in(s, &s->l->runs[i], &r) || is_empty(&r)) continue;
        int64_t end = r.hi + (r.n - 1) * r.hi_step;
        lo = r.lo < lo ? r.lo : lo;
        hi = end > hi ? end : hi;
    }
    s->in_q = !s->l->n_runs || lo > hi ? q : lo;
    s->in_w = !s->l->n_runs ? s->w : lo > hi ? 0 : hi - lo;
}

static enum status new_words(struct ctx *c, int64_t n, int64_t **out)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)(n + 8) * sizeof(int64_t), &mem));
    *out = mem;
    return OK;
}

static enum status strip_room(struct ctx *c, struct strip *s, int64_t w, int64_t in_w)
{
    const struct lines *l = s->l;
    for (int v = 0; v < N_WORDS; v++) {
        if (!l->has[v]) continue;
        TRY(new_words(c, in_w, &s->sum[v]));
        TRY(new_words(c, w, &s->out[v]));
    }
    TRY(new_words(c, in_w, &s->room));
    int64_t lo = 0, hi = 0;
    ranges_hull(&l->ranges, &lo, &hi);
    s->stack.first = lo;
    if (!l->extreme) return OK;
    TRY(new_words(c, in_w, &s->stack.entered));
    return new_words(c, (hi - lo) * in_w, &s->stack.behind);
}

/* Columns of a strip: more of them where windows reach far to their sides. */
static int64_t strip_width(const struct lines *l)
{
    int64_t w = STRIP, rows = 1, lo, hi;
    if (l->extreme && ranges_hull(&l->ranges, &lo, &hi)) rows = hi - lo;
    while (w > 64 && w * rows * (int64_t)sizeof(int64_t) > STACK_BYTES)
        w /= 2;
    for (int i = 0; i < l->n_runs; i++) {
        int64_t longest = longest_of(&l->runs[i]);
        w = 4 * longest > w ? 4 * longest : w;
    }
    return w;
}

enum status lines_take(struct ctx *c, struct lines *l)
{
    int last = l->out.n_dims - 1;
    struct box places = l->out;
    struct strip s = {.l = l};
    int64_t width = strip_width(l), q_lo = l->out.lo[last], q_hi = l->out.hi[last], most = 0;
    if (width > q_hi - q_lo) width = q_hi - q_lo;
    for (int64_t q = q_lo; q < q_hi; q += width) {
        s.pos[last] = q;
        s.w = q_hi - q < width ? q_hi - q : width;
        strip_reach(&s);
        most = s.in_w > most ? s.in_w : most;
    }
    TRY(strip_room(c, &s, width, most));
    places.hi[last] = places.lo[last] + 1;
    if (l->d >= 0) places.hi[l->d] = places.lo[l->d] + 1;
    for (int64_t at = 0, n = box_cells(&places); at < n; at++) {
        TRY(check_cancel(c));
        box_position(&places, at, s.pos);
        for (int64_t q = q_lo; q < q_hi; q += width) {
            s.pos[last] = q;
            s.w = q_hi - q < width ? q_hi - q : width;
            strip_reach(&s);
            start_sums(&s);
            s.stack.lo = s.stack.hi = 0;
            for (int64_t i = 0; i < l->ranges.n && !l->inexact; i++)
                TRY(take_row(c, &s, i));
        }
    }
    return OK;
}

enum status lines_runs(struct ctx *c, int64_t at, const struct ranges *r, struct lines *l)
{
    void *mem;
    int64_t n = 0;
    TRY(scratch_alloc(c, sizeof(struct window_run) * (size_t)(r->n + 1), &mem));
    struct window_run *runs = mem;
    for (int64_t i = 0; i < r->n; i++) {
        bool empty = r->lo[i] == r->hi[i];
        struct window_run *p = n ? &runs[n - 1] : NULL;
        if (p && p->n == 1 && is_empty(p) == empty) {
            int64_t lo = r->lo[i] - p->lo, hi = r->hi[i] - p->hi;
            if (empty) lo = hi = 0;
            if ((lo == 0 || lo == 1) && (hi == 0 || hi == 1)) {
                p->lo_step = lo;
                p->hi_step = hi;
                p->n = 2;
                continue;
            }
        }
        if (p && p->n > 1 && is_empty(p) == empty &&
            (empty ||
             (r->lo[i] == p->lo + p->n * p->lo_step && r->hi[i] == p->hi + p->n * p->hi_step))) {
            p->n++;
            continue;
        }
        runs[n++] = (struct window_run){at + i, 1, r->lo[i], r->hi[i], 0, 0};
    }
    l->runs = runs;
    l->n_runs = (int)n;
    return OK;
}
