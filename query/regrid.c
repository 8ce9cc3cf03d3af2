/* From which cells of an old axis is a cell of a new one made, and with which weights? */
#include "query/regrid.h"
#include <math.h>

/* Coordinates of a dimension as numbers that ascend with the position. */
struct line {
    double *at;
    int64_t lo, n;
    bool regular;
};

static double as_number(const struct value *v)
{
    if (v->type == T_FLOAT32 || v->type == T_FLOAT64) return v->d;
    return type_is_unsigned(v->type) ? (double)v->u : (double)v->i;
}

static double coordinate(const struct axis *a, int64_t pos, double sign)
{
    struct value v = axis_coord(a, pos);
    return sign * as_number(&v);
}

static enum status line_of(struct ctx *c, const struct rel_dim *d, double sign, struct line *out)
{
    *out = (struct line){.lo = d->lo, .n = d->hi - d->lo, .regular = d->axis->kind == AXIS_REGULAR};
    out->at = arena_array(c->arena, double, out->n + 1);
    for (int64_t i = 0; i < out->n; i++) {
        out->at[i] = coordinate(d->axis, d->lo + i, sign);
        if (i && !(out->at[i] > out->at[i - 1]))
            return fail(c, ERR_AXIS_MISMATCH, "the labels of dimension \"%s\" are not in order",
                        d->name);
    }
    return OK;
}

/* The last index whose coordinate is at or before x; -1: none. */
static int64_t at_or_before(const struct line *l, double x)
{
    int64_t lo = 0, hi = l->n;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (l->at[mid] <= x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo - 1;
}

/* Where a cell ends below and above: half-way to its neighbours; at the ends, as far out as in. */
static void cell_bounds(const struct line *l, int64_t i, double *lo, double *hi)
{
    double before = i > 0 ? (l->at[i] - l->at[i - 1]) / 2 : -1;
    double after = i + 1 < l->n ? (l->at[i + 1] - l->at[i]) / 2 : -1;
    if (before < 0) before = after < 0 ? 0.5 : after;
    if (after < 0) after = before;
    *lo = l->at[i] - before;
    *hi = l->at[i] + after;
}

/* ---- one method each: weights of at most four cells ---- */

struct few {
    int64_t from;
    int n;
    double w[4];
};

static void nearest(const struct line *l, int64_t i, double x, struct few *f)
{
    bool next = i + 1 < l->n && l->at[i + 1] - x < x - l->at[i];
    *f = (struct few){.from = i + next, .n = 1, .w = {1}};
}

static void linear(const struct line *l, int64_t i, double x, struct few *f)
{
    double t = (x - l->at[i]) / (l->at[i + 1] - l->at[i]);
    *f = (struct few){.from = i, .n = 2, .w = {1 - t, t}};
}

/* Adds scale × the slope at cell j of the parabola through it and its neighbours (at an end: the
 * three cells there). */
static void add_slope(const struct line *l, int64_t j, double scale, struct few *f)
{
    int64_t a = j == 0 ? 0 : j == l->n - 1 ? j - 2 : j - 1;
    double h0 = l->at[a + 1] - l->at[a], h1 = l->at[a + 2] - l->at[a + 1], h = h0 + h1, w[3];
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
    double h = l->at[i + 1] - l->at[i], t = (x - l->at[i]) / h, t2 = t * t, t3 = t2 * t;
    int64_t from = i > 0 ? i - 1 : 0, to = i + 2 < l->n ? i + 2 : l->n - 1;
    *f = (struct few){.from = from, .n = (int)(to - from + 1)};
    f->w[i - from] += 2 * t3 - 3 * t2 + 1;
    f->w[i + 1 - from] += -2 * t3 + 3 * t2;
    add_slope(l, i, (t3 - 2 * t2 + t) * h, f);
    add_slope(l, i + 1, (t3 - t2) * h, f);
}

static void from_few(enum regrid_method how, const struct line *l, double x, struct few *f)
{
    int64_t i = at_or_before(l, x);
    *f = (struct few){.n = 0};
    if (i < 0 || (i == l->n - 1 && x > l->at[i])) return;
    if (x == l->at[i])
        *f = (struct few){.from = i, .n = 1, .w = {1}};
    else if (how == REGRID_NEAREST)
        nearest(l, i, x, f);
    else if (how == REGRID_LINEAR)
        linear(l, i, x, f);
    else
        cubic(l, i, x, f);
}

static void spans_of_few(struct ctx *c, enum regrid_method how, const struct line *from,
                         const struct line *to, struct spans *out)
{
    out->weights = arena_array(c->arena, double, 4 * to->n + 1);
    for (int64_t i = 0; i < to->n; i++) {
        struct few f;
        from_few(how, from, to->at[i], &f);
        out->of[i] = (struct span){.from = from->lo + f.from, .first = 4 * i, .n = f.n};
        for (int k = 0; k < f.n; k++)
            out->weights[4 * i + k] = f.w[k];
    }
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
    return from->regular ? part : part * width;
}

/* The new cells' bounds, where one cell stands alone: half the axis's own step away. */
static void new_bounds(const struct rel_dim *d, const struct line *l, int64_t i, double sign,
                       double *lo, double *hi)
{
    cell_bounds(l, i, lo, hi);
    if (l->n > 1 || !l->regular) return;
    double step = (coordinate(d->axis, d->lo + 1, sign) - l->at[i]) / 2;
    *lo = l->at[i] - fabs(step);
    *hi = l->at[i] + fabs(step);
}

static enum status spans_of_mean(struct ctx *c, const struct rel_dim *dim, const struct line *from,
                                 const struct line *to, double sign, struct spans *out)
{
    int64_t total = 0, cap = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass) out->weights = arena_array(c->arena, double, cap + 1);
        for (int64_t i = 0; i < to->n; i++) {
            double lo, hi;
            new_bounds(dim, to, i, sign, &lo, &hi);
            int64_t a = at_or_before(from, lo);
            if (a < 0) a = 0;
            while (a < from->n && covered(from, a, lo, hi) == 0 && from->at[a] < hi)
                a++;
            int64_t k = a;
            for (double w; k < from->n && (w = covered(from, k, lo, hi)) > 0; k++)
                if (pass) out->weights[total + k - a] = w;
            if (k - a > INT32_MAX)
                return fail(c, ERR_LIMIT_EXCEEDED, "too many cells for one mean");
            out->of[i] = (struct span){.from = from->lo + a, .first = total, .n = (int32_t)(k - a)};
            if (pass) total += k - a;
            cap += k - a;
        }
    }
    return OK;
}

enum status regrid_spans(struct ctx *c, enum regrid_method how, const struct rel_dim *from,
                         const struct rel_dim *to, struct spans *out)
{
    struct line old, new;
    double sign = axis_descending(from->axis) ? -1 : 1;
    double new_sign = axis_descending(to->axis) ? -1 : 1;
    *out = (struct spans){.lo = to->lo, .n = to->hi - to->lo};
    out->of = arena_array(c->arena, struct span, out->n + 1);
    TRY(line_of(c, from, sign, &old));
    TRY(line_of(c, to, new_sign, &new));
    if (old.n == 0) return OK;
    if (sign != new_sign) /* the new cells, seen the way that the old ones run */
        for (int64_t i = 0; i < new.n; i++)
            new.at[i] = -new.at[i];
    if (how != REGRID_MEAN) {
        spans_of_few(c, how, &old, &new, out);
        return OK;
    }
    if (sign != new_sign) {
        struct line turned = new;
        turned.at = arena_array(c->arena, double, new.n + 1);
        for (int64_t i = 0; i < new.n; i++)
            turned.at[i] = new.at[new.n - 1 - i];
        struct spans s = *out;
        s.of = arena_array(c->arena, struct span, out->n + 1);
        TRY(spans_of_mean(c, to, &old, &turned, sign, &s));
        out->weights = s.weights;
        for (int64_t i = 0; i < new.n; i++)
            out->of[i] = s.of[new.n - 1 - i];
        return OK;
    }
    return spans_of_mean(c, to, &old, &new, sign, out);
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
