/* From which cells of an old axis is a cell of a new one made, and with which weights? */
#include "query/regrid.h"
#include "storage/base/budget.h"
#include <math.h>
#include <string.h>

/* Coordinates of a dimension as numbers that ascend with the index. */
struct line {
    const struct axis *axis;
    double sign;
    int64_t lo, n;
    bool backwards; /* index i is position lo + n - 1 - i */
};

static double as_number(const struct value *v)
{
    if (v->type == T_FLOAT32 || v->type == T_FLOAT64) return v->d;
    return type_is_unsigned(v->type) ? (double)v->u : (double)v->i;
}

static double coordinate(const struct line *l, int64_t pos)
{
    struct value v = axis_coord(l->axis, pos);
    return l->sign * as_number(&v);
}

static double coord_at(const struct line *l, int64_t i)
{
    return coordinate(l, l->lo + (l->backwards ? l->n - 1 - i : i));
}

static bool is_regular(const struct line *l)
{
    return l->axis->kind == AXIS_REGULAR;
}

static enum status line_of(struct ctx *c, const struct rel_dim *d, struct line *out)
{
    *out = (struct line){.axis = d->axis,
                         .sign = axis_descending(d->axis) ? -1 : 1,
                         .lo = d->lo,
                         .n = d->hi - d->lo};
    for (int64_t i = 1; i < out->n && !is_regular(out); i++)
        if (!(coord_at(out, i) > coord_at(out, i - 1)))
            return fail(c, ERR_AXIS_MISMATCH, "the labels of dimension \"%s\" are not in order",
                        d->name);
    return OK;
}

/* The last index whose coordinate is at or before x; -1: none. */
static int64_t at_or_before(const struct line *l, double x)
{
    int64_t lo = 0, hi = l->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (coord_at(l, mid) <= x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo - 1;
}

/* Where a cell ends below and above: half-way to its neighbours; at the ends, as far out as in. */
static void cell_bounds(const struct line *l, int64_t i, double *lo, double *hi)
{
    double before = i > 0 ? (coord_at(l, i) - coord_at(l, i - 1)) / 2 : -1;
    double after = i + 1 < l->n ? (coord_at(l, i + 1) - coord_at(l, i)) / 2 : -1;
    if (before < 0) before = after < 0 ? 0.5 : after;
    if (after < 0) after = before;
    *lo = coord_at(l, i) - before;
    *hi = coord_at(l, i) + after;
}

/* ---- one method each: weights of at most four cells ---- */

struct few {
    int64_t from;
    int n;
    double w[4];
};

static void nearest(const struct line *l, int64_t i, double x, struct few *f)
{
    bool next = i + 1 < l->n && coord_at(l, i + 1) - x < x - coord_at(l, i);
    *f = (struct few){.from = i + next, .n = 1, .w = {1}};
}

static void linear(const struct line *l, int64_t i, double x, struct few *f)
{
    double t = (x - coord_at(l, i)) / (coord_at(l, i + 1) - coord_at(l, i));
    *f = (struct few){.from = i, .n = 2, .w = {1 - t, t}};
}

/* Adds scale × the slope at cell j of the parabola through it and its neighbours (at an end: the
 * three cells there). */
static void add_slope(const struct line *l, int64_t j, double scale, struct few *f)
{
    int64_t a = j == 0 ? 0 : j == l->n - 1 ? j - 2 : j - 1;
    double h0 = coord_at(l, a + 1) - coord_at(l, a), h1 = coord_at(l, a + 2) - coord_at(l, a + 1),
           h = h0 + h1, w[3];
    if (j == a) {
        w[0] = -(2 * h0 + h1) / (h0 * h);
        w[1] = h / (h0 * h1);
        w[2] = -h0 / (h1 * h);
    } else if (j == a + 1) {
        w[0] = -h1 / (h0 * h);
        w[1] = (h1 - h0) / (h0 * h1);
        w[2] = h0 / (h1 * h);
    } else {
        w[0] = h1 / (h0 * h);
        w[1] = -h / (h0 * h1);
        w[2] = (2 * h1 + h0) / (h1 * h);
    }
    for (int k = 0; k < 3; k++)
        f->w[a + k - f->from] += scale * w[k];
}

static void cubic(const struct line *l, int64_t i, double x, struct few *f)
{
    if (l->n < 3) {
        linear(l, i, x, f);
        return;
    }
    double h = coord_at(l, i + 1) - coord_at(l, i), t = (x - coord_at(l, i)) / h, t2 = t * t,
           t3 = t2 * t;
    int64_t from = i > 0 ? i - 1 : 0, to = i + 2 < l->n ? i + 2 : l->n - 1;
    *f = (struct few){.from = from, .n = (int)(to - from + 1)};
    f->w[i - from] += 2 * t3 - 3 * t2 + 1;
    f->w[i + 1 - from] += -2 * t3 + 3 * t2;
    add_slope(l, i, (t3 - 2 * t2 + t) * h, f);
    add_slope(l, i + 1, (t3 - t2) * h, f);
}

static enum status new_weights(struct ctx *c, int64_t n, struct spans *out)
{
    void *memory;
    TRY(buf_alloc(c, sizeof(double) * (size_t)(n + 1), &memory));
    out->weights = memory;
    return OK;
}

static void from_few(enum regrid_method how, const struct line *l, double x, struct few *f)
{
    int64_t i = at_or_before(l, x);
    *f = (struct few){.n = 0};
    if (i < 0 || (i == l->n - 1 && x > coord_at(l, i))) return;
    if (x == coord_at(l, i))
        *f = (struct few){.from = i, .n = 1, .w = {1}};
    else if (how == REGRID_NEAREST)
        nearest(l, i, x, f);
    else if (how == REGRID_LINEAR)
        linear(l, i, x, f);
    else
        cubic(l, i, x, f);
}

static enum status spans_of_few(struct ctx *c, enum regrid_method how, const struct line *from,
                                const struct line *to, struct spans *out)
{
    TRY(new_weights(c, 4 * to->n, out));
    for (int64_t i = 0; i < to->n; i++) {
        struct few f;
        from_few(how, from, coord_at(to, i), &f);
        out->of[i] = (struct span){.from = from->lo + f.from, .first = 4 * i, .n = f.n};
        for (int k = 0; k < f.n; k++)
            out->weights[4 * i + k] = f.w[k];
    }
    return OK;
}

/* ---- mean ---- */

/* The part of old cell i that lies in [lo, hi); parts that are the whole, or nothing, but for
 * rounding count as such, so that the mean of whole cells has equal weights. */
static double covered(const struct line *from, int64_t i, double lo, double hi)
{
    double a, b;
    cell_bounds(from, i, &a, &b);
    double width = b - a, part = (fmin(hi, b) - fmax(lo, a)) / width;
    if (part < 1e-9) return 0;
    if (part > 1 - 1e-9) part = 1;
    return is_regular(from) ? part : part * width;
}

/* The new cells' bounds, where one cell stands alone: half the axis's own step away. */
static void new_bounds(const struct line *l, int64_t i, double *lo, double *hi)
{
    cell_bounds(l, i, lo, hi);
    if (l->n > 1 || !is_regular(l)) return;
    double step = (coordinate(l, l->lo + 1) - coord_at(l, i)) / 2;
    *lo = coord_at(l, i) - fabs(step);
    *hi = coord_at(l, i) + fabs(step);
}

/* The old cells [*first, *end) of which a part lies in [lo, hi). */
static void cells_in(const struct line *from, double lo, double hi, int64_t *first, int64_t *end)
{
    int64_t a = at_or_before(from, lo), b = at_or_before(from, hi);
    if (a < 0) a = 0;
    while (a < from->n && covered(from, a, lo, hi) == 0 && coord_at(from, a) < hi)
        a++;
    if (b < a) b = a;
    while (b < from->n && covered(from, b, lo, hi) > 0)
        b++;
    while (b > a && covered(from, b - 1, lo, hi) == 0)
        b--;
    *first = a;
    *end = b;
}

static enum status spans_of_mean(struct ctx *c, const struct line *from, const struct line *to,
                                 struct spans *out)
{
    int64_t total = 0, a, b;
    double lo, hi;
    out->by_ends = is_regular(from);
    for (int64_t i = 0; i < to->n; i++) {
        new_bounds(to, i, &lo, &hi);
        cells_in(from, lo, hi, &a, &b);
        if (b - a > INT32_MAX) return fail(c, ERR_LIMIT_EXCEEDED, "too many cells for one mean");
        out->of[to->backwards ? to->n - 1 - i : i] =
            (struct span){.from = from->lo + a, .first = total, .n = (int32_t)(b - a)};
        total += out->by_ends ? 2 : b - a;
    }
    TRY(new_weights(c, total, out));
    for (int64_t i = 0; i < to->n; i++) {
        const struct span *x = &out->of[to->backwards ? to->n - 1 - i : i];
        double *weights = out->weights + x->first;
        new_bounds(to, i, &lo, &hi);
        a = x->from - from->lo;
        for (int64_t k = 0; k < x->n && !out->by_ends; k++)
            weights[k] = covered(from, a + k, lo, hi);
        if (!out->by_ends || !x->n) continue;
        weights[0] = covered(from, a, lo, hi);
        weights[1] = covered(from, a + x->n - 1, lo, hi);
    }
    return OK;
}

enum status regrid_spans(struct ctx *c, enum regrid_method how, const struct rel_dim *from,
                         const struct rel_dim *to, struct spans *out)
{
    struct line old, new;
    void *memory;
    *out = (struct spans){.lo = to->lo, .n = to->hi - to->lo};
    TRY(buf_alloc(c, sizeof(struct span) * (size_t)(out->n + 1), &memory));
    out->of = memset(memory, 0, sizeof(struct span) * (size_t)(out->n + 1));
    TRY(line_of(c, from, &old));
    TRY(line_of(c, to, &new));
    if (old.n == 0) return OK;
    /* The new cells, seen the way that the old ones run. */
    new.backwards = how == REGRID_MEAN &&new.sign != old.sign;
    new.sign = old.sign;
    return how == REGRID_MEAN ? spans_of_mean(c, &old, &new, out)
                              : spans_of_few(c, how, &old, &new, out);
}

void spans_free(struct spans *s)
{
    buf_free(s->of);
    buf_free(s->weights);
    *s = (struct spans){0};
}

bool spans_reach(const struct spans *s, int64_t lo, int64_t hi, int64_t *from, int64_t *to)
{
    *from = INT64_MAX;
    *to = INT64_MIN;
    for (int64_t p = lo; p < hi; p++) {
        const struct span *x = &s->of[p - s->lo];
        if (x->n && x->from < *from) *from = x->from;
        if (x->n && x->from + x->n > *to) *to = x->from + x->n;
    }
    return *from < *to;
}
