/* How are quantiles of small windows taken?
 *
 * By a sorting network over rows of keys: the cells of the windows of a strip of columns lie in
 * rows, the first cells of all, the second ones, and so on, and sorting is a fixed list of
 * exchanges of rows: merge exchange, K. E. Batcher, "Sorting networks and their applications",
 * AFIPS 32 (1968); Knuth, TAOCP 3, 5.2.2, algorithm M. Exchanges that no wanted rank depends on are
 * left out. */
#include "query/agg_quantile.h"
#include "query/op_window_lines.h"
#include <math.h>
#include <string.h>

#define MOST_ROWS 96 /* cells of a window: more are counted (op_window_order.c) */
#define MOST_PAIRS 2048
#define STRIP_BYTES (24 << 10) /* of rows: they stay in the first-level cache */
#define NOTHING INT64_MAX      /* the key of what is no cell */
#define NAN_KEY (INT64_MAX - 1)

struct network {
    int n;      /* rows; 0: none is made yet */
    bool whole; /* all ranks are wanted */
    int n_pairs;
    uint8_t pairs[MOST_PAIRS][2];
};

struct medians {
    const struct window_source *s;
    const struct agg_bound *k;
    const struct window_kernels *kernels;
    const struct box *box;
    const uint64_t *todo;
    struct ranges ranges[MAX_DIMS]; /* of each axis over box, cut to the chunk's box */
    struct column *out;
    int64_t *keys; /* over the chunk's box */
    bool nans;
    struct lines runs; /* of the innermost dimension */
    int64_t longest;   /* along it */
    int64_t width;
    int64_t *rows, *counts;
    double *low, *high;
    struct network net;
};

/* ---- networks ---- */

static void make_network(struct network *w, int n)
{
    int top = 1;
    w->n = n;
    w->n_pairs = 0;
    while (2 * top < n)
        top *= 2;
    for (int p = n > 1 ? top : 0; p > 0; p /= 2)
        for (int q = top, r = 0, d = p;; d = q - p, q /= 2, r = p) {
            for (int i = 0; i < n - d; i++) {
                if ((i & p) != r) continue;
                w->pairs[w->n_pairs][0] = (uint8_t)i;
                w->pairs[w->n_pairs++][1] = (uint8_t)(i + d);
            }
            if (q == p) break;
        }
}

/* Leaves the exchanges that the wanted rows depend on. */
static void prune(struct network *w, bool *wanted)
{
    int kept = MOST_PAIRS;
    for (int i = w->n_pairs - 1; i >= 0; i--) {
        uint8_t a = w->pairs[i][0], b = w->pairs[i][1];
        if (!wanted[a] && !wanted[b]) continue;
        wanted[a] = wanted[b] = true;
        kept--;
        w->pairs[kept][0] = a;
        w->pairs[kept][1] = b;
    }
    w->n_pairs = MOST_PAIRS - kept;
    memmove(w->pairs, w->pairs + kept, (size_t)w->n_pairs * sizeof w->pairs[0]);
}

/* whole: windows may lack cells, so any rank may be wanted. */
static const struct network *network_of(struct medians *m, int n, bool whole)
{
    struct network *w = &m->net;
    int64_t below;
    double t;
    quantile_rank(m->k->q, n, &below, &t);
    if (w->n == n && w->whole == whole) return w;
    make_network(w, n);
    w->whole = whole;
    if (!whole) {
        bool wanted[MOST_ROWS] = {false};
        wanted[below] = true;
        if (t > 0 && below + 1 < n) wanted[below + 1] = true;
        if (m->nans) wanted[n - 1] = true;
        prune(w, wanted);
    }
    return w;
}

/* ---- rows ---- */

/* Rows for the windows' cells in one row of the chunk, whose first cell is `from`. */
static void put_cells(const struct medians *m, const int64_t *from, int64_t q, int64_t w,
                      int64_t *rows)
{
    for (int i = 0; i < m->runs.n_runs; i++) {
        const struct window_run *r = &m->runs.runs[i];
        int64_t lo = r->at > q ? r->at : q, hi = r->at + r->n < q + w ? r->at + r->n : q + w;
        for (int64_t t = 0; t < m->longest && lo < hi; t++) {
            int64_t *to = rows + t * m->width - q;
            bool shifted = r->lo_step == 1 && r->hi_step == 1;
            if (shifted && t < r->hi - r->lo) {
                memcpy(to + lo, from + r->lo + (lo - r->at) + t, (size_t)(hi - lo) * sizeof *to);
                continue;
            }
            for (int64_t x = lo; x < hi; x++) {
                int64_t first = r->lo + (x - r->at) * r->lo_step + t;
                to[x] = first < r->hi + (x - r->at) * r->hi_step ? from[first] : NOTHING;
            }
        }
    }
}

/* All rows of a strip; returns how many. */
static int put_rows(const struct medians *m, const int64_t *pos, int64_t w)
{
    const struct window_call *k = m->s->k;
    const struct box *all = &m->s->have->box;
    int last = all->n_dims - 1, n = 0;
    struct box window = {.n_dims = all->n_dims};
    for (int d = 0; d < last; d++) {
        window.lo[d] = pos[d];
        window.hi[d] = pos[d] + 1;
    }
    window.lo[last] = 0;
    window.hi[last] = 1;
    for (int a = 0; a < k->n_axes; a++) {
        int d = k->axes[a].dim;
        if (d == last) continue;
        window.lo[d] = m->ranges[a].lo[pos[d] - m->box->lo[d]];
        window.hi[d] = m->ranges[a].hi[pos[d] - m->box->lo[d]];
    }
    for (int64_t i = 0, n_rows = box_cells(&window); i < n_rows; i++) {
        int64_t at[MAX_DIMS];
        box_position(&window, i, at);
        at[last] = all->lo[last];
        put_cells(m, m->keys + box_index(all, at) - all->lo[last], pos[last], w,
                  m->rows + n * m->width);
        n += (int)m->longest;
    }
    return n;
}

/* How many cells each window has; false: all have n. */
static bool count_rows(const struct medians *m, int n, int64_t w)
{
    bool fewer = false;
    memset(m->counts, 0, (size_t)w * sizeof *m->counts);
    for (int i = 0; i < n; i++)
        for (int64_t q = 0; q < w; q++)
            m->counts[q] += m->rows[i * m->width + q] != NOTHING;
    for (int64_t q = 0; q < w; q++)
        fewer |= m->counts[q] != n;
    return fewer;
}

/* ---- results ---- */

static void put_quantile(const struct medians *m, int64_t q, int64_t at)
{
    int64_t below, n = m->counts[q];
    double t, *to = (double *)m->out->values + at, between[2];
    const int64_t *keys = m->rows + q;
    if (n == 0) {
        column_put_null(m->out, at);
        return;
    }
    quantile_rank(m->k->q, n, &below, &t);
    int64_t above = t > 0 && below + 1 < n ? below + 1 : below;
    int64_t two[2] = {keys[below * m->width], keys[above * m->width]};
    m->kernels->values(two, 2, 0, between);
    *to = m->nans && keys[(n - 1) * m->width] == NAN_KEY
              ? (double)NAN
              : quantile_between(between[0], between[1], t);
}

static void put_strip(const struct medians *m, int n, int64_t at, int64_t w)
{
    int64_t below;
    double t, *to = (double *)m->out->values + at;
    quantile_rank(m->k->q, n, &below, &t);
    int64_t above = t > 0 && below + 1 < n ? below + 1 : below;
    m->kernels->values(m->rows + below * m->width, w, 0, m->low);
    m->kernels->values(m->rows + above * m->width, w, 0, m->high);
    for (int64_t q = 0; q < w; q++)
        to[q] = quantile_between(m->low[q], m->high[q], t);
    for (int64_t q = 0; q < w && m->nans; q++)
        if (m->rows[(n - 1) * m->width + q] == NAN_KEY) to[q] = (double)NAN;
}

static void take_strip(struct medians *m, const int64_t *pos, int64_t w)
{
    int n = put_rows(m, pos, w);
    int64_t at = box_index(m->box, pos);
    bool fewer = count_rows(m, n, w) || n == 0;
    if (n) {
        const struct network *net = network_of(m, n, fewer);
        m->kernels->exchange(m->rows, m->width, w, net->pairs, net->n_pairs);
    }
    if (!fewer) {
        put_strip(m, n, at, w);
        return;
    }
    for (int64_t q = 0; q < w; q++)
        if (bit_get(m->todo, at + q)) put_quantile(m, q, at + q);
}

/* ---- all together ---- */

static enum status new_words(struct ctx *c, int64_t n, int64_t **out)
{
    void *mem;
    TRY(scratch_alloc(c, (size_t)(n + 1) * sizeof(int64_t), &mem));
    *out = mem;
    return OK;
}

static enum status make_keys(struct ctx *c, struct medians *m, const struct call_input *ci)
{
    int64_t n = m->s->have->n;
    TRY(new_words(c, n, &m->keys));
    m->kernels->keys(ci->args[0]->values, n, 0, m->keys);
    for (int64_t i = 0; i < n; i++)
        m->nans |= m->keys[i] == INT64_MAX;
    for (int64_t i = 0; i < n && m->nans; i++)
        if (m->keys[i] == INT64_MAX) m->keys[i] = NAN_KEY;
    for (int64_t i = 0; i < n && ci->mask; i++)
        if (!bit_get(ci->mask, i)) m->keys[i] = NOTHING;
    return OK;
}

/* Cuts the windows to the chunk's box; their largest extents' product. */
static int64_t cut_windows(struct medians *m, const struct ranges *ranges)
{
    const struct window_call *k = m->s->k;
    const struct box *all = &m->s->have->box;
    int64_t cells = 1;
    m->longest = 1;
    for (int a = 0; a < k->n_axes; a++) {
        int d = k->axes[a].dim;
        int64_t longest = 0;
        m->ranges[a] = ranges[a];
        for (int64_t i = 0; i < ranges[a].n; i++) {
            int64_t lo = ranges[a].lo[i], hi = ranges[a].hi[i];
            if (lo < hi && (lo < all->lo[d] || hi > all->hi[d])) return INT64_MAX;
            longest = hi - lo > longest ? hi - lo : longest;
        }
        if (longest > MOST_ROWS) return INT64_MAX;
        cells *= longest;
        if (d == all->n_dims - 1) m->longest = longest;
        if (cells > MOST_ROWS) return INT64_MAX;
    }
    return cells;
}

static enum status make_runs(struct ctx *c, struct medians *m)
{
    const struct window_call *k = m->s->k;
    int last = m->box->n_dims - 1;
    int64_t n = box_extent(m->box, last);
    struct ranges own = {.n = n};
    for (int a = 0; a < k->n_axes; a++)
        if (k->axes[a].dim == last) return lines_runs(c, m->box->lo[last], &m->ranges[a], &m->runs);
    TRY(new_words(c, n, &own.lo));
    TRY(new_words(c, n, &own.hi));
    for (int64_t i = 0; i < n; i++) {
        own.lo[i] = m->box->lo[last] + i;
        own.hi[i] = own.lo[i] + 1;
    }
    return lines_runs(c, m->box->lo[last], &own, &m->runs);
}

enum status window_network(struct ctx *c, const struct window_source *s, const struct box *box,
                           const uint64_t *todo, const struct ranges *ranges, struct column *out,
                           bool *done)
{
    struct agg_input in;
    void *mem;
    *done = false;
    const struct agg_bound *k = &s->k->bound;
    if (k->agg->id != AGG_QUANTILE || k->distinct || s->have->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct medians), &mem));
    struct medians *m = mem;
    *m = (struct medians){.s = s, .k = k, .kernels = window_kernels(), .box = box, .todo = todo};
    m->out = out;
    int64_t cells = cut_windows(m, ranges);
    if (cells > MOST_ROWS || cells == 0) return OK;
    TRY(agg_input_make(c, &s->k->set, s->have, s->have->cols, &s->outer, &in));
    const struct call_input *ci = &in.calls[0];
    if (ci->none || ci->args[0]->type != T_FLOAT64) return OK;
    m->width = STRIP_BYTES / (int64_t)sizeof(int64_t) / cells / 8 * 8;
    m->width = m->width > 512 ? 512 : m->width;
    TRY(make_keys(c, m, ci));
    TRY(make_runs(c, m));
    TRY(new_words(c, m->width * cells, &m->rows));
    TRY(new_words(c, m->width, &m->counts));
    TRY(scratch_alloc(c, (size_t)m->width * sizeof(double), &mem));
    m->low = mem;
    TRY(scratch_alloc(c, (size_t)m->width * sizeof(double), &mem));
    m->high = mem;
    int last = box->n_dims - 1;
    int64_t row = box_extent(box, last), pos[MAX_DIMS];
    for (int64_t at = 0, n = box_cells(box); at < n; at += row) {
        TRY(check_cancel(c));
        box_position(box, at, pos);
        for (int64_t q = 0; q < row; q += m->width) {
            pos[last] = box->lo[last] + q;
            take_strip(m, pos, row - q < m->width ? row - q : m->width);
        }
    }
    *done = true;
    return OK;
}
