/* How do the positions of two axes correspond, what axis do some of the positions make, and how is
 * an axis printed? */
#include "storage/axis.h"
#include "storage/axis_parts.h"
#include "storage/base/datetime.h"

/* ---- printing ---- */

void axis_format_step(const struct axis *a, struct strbuf *out)
{
    if (type_is_float(a->type)) {
        decimal_format(a->dstep, out);
    } else if (type_is_time(a->type)) {
        int64_t unit = a->type == T_DATE ? 1 : US_PER_DAY;
        struct interval iv = {.months = a->step_months};
        if (!a->step_months && a->step % unit == 0)
            iv.days = (int32_t)(a->step / unit);
        else
            iv.us = a->step;
        strbuf_addc(out, '\'');
        interval_format(&iv, out);
        strbuf_addc(out, '\'');
    } else {
        strbuf_addf(out, "%lld", (long long)a->step);
    }
}

/* A bound; midnight is printed as the date. */
static void format_bound(const struct axis *a, int64_t pos, struct strbuf *out)
{
    struct value v = axis_coord(a, pos);
    bool midnight = a->type == T_TIMESTAMP && v.i % US_PER_DAY == 0;
    if (type_is_float(a->type) && a->kind == AXIS_REGULAR && pos == 0)
        decimal_format(a->dorigin, out);
    else if (midnight && v.i != TIMESTAMP_INFINITY && v.i != TIMESTAMP_MINUS_INFINITY)
        value_literal(&(struct value){.type = T_DATE, .i = v.i / US_PER_DAY}, out);
    else
        value_literal(&v, out);
}

static void format_labels(const struct axis *a, struct strbuf *out)
{
    enum { SHOWN = 8 };
    strbuf_addc(out, '(');
    for (int64_t i = 0; i < a->hi; i++) {
        if (i > 0) strbuf_adds(out, ", ");
        if (i == SHOWN) {
            strbuf_adds(out, "…");
            break;
        }
        format_bound(a, i, out);
    }
    if (a->grows) strbuf_adds(out, a->hi > 0 ? ", *" : "*");
    strbuf_addc(out, ')');
}

void axis_format(const struct axis *a, struct strbuf *out)
{
    if (a->kind == AXIS_LABELLED) {
        format_labels(a, out);
        return;
    }
    strbuf_addc(out, '[');
    if (!a->grows)
        format_bound(a, a->lo, out);
    else if (a->limit_lo == INT64_MIN)
        strbuf_addc(out, '*');
    else
        format_bound(a, a->limit_lo, out);
    strbuf_adds(out, " : ");
    if (!a->grows)
        format_bound(a, a->hi - 1, out);
    else if (a->limit_hi == INT64_MAX)
        strbuf_addc(out, '*');
    else
        format_bound(a, a->limit_hi - 1, out);
    if (!type_is_integer(a->type) || a->step != 1) {
        strbuf_adds(out, " : ");
        axis_format_step(a, out);
    }
    strbuf_addc(out, ']');
}

/* ---- lining up ---- */

enum family { FAMILY_NUMBER, FAMILY_TIME, FAMILY_TEXT };

static enum family family_of(enum type t)
{
    return type_is_time(t) ? FAMILY_TIME : (type_is_varlen(t) ? FAMILY_TEXT : FAMILY_NUMBER);
}

/* Origin or step of a regular number axis as a decimal. */
static struct decimal number_origin(const struct axis *a)
{
    return type_is_float(a->type) ? a->dorigin : (struct decimal){a->origin, 0};
}
static struct decimal number_step(const struct axis *a)
{
    return type_is_float(a->type) ? a->dstep : (struct decimal){a->step, 0};
}

static i128 step_us(const struct axis *a)
{
    return (a->type == T_DATE ? (i128)US_PER_DAY : 1) * a->step;
}

static bool same_step(const struct axis *a, const struct axis *b)
{
    if (family_of(a->type) == FAMILY_NUMBER)
        return decimal_compare(number_step(a), number_step(b)) == 0;
    return a->step_months == b->step_months && step_us(a) == step_us(b);
}

/* b's position of a's position 0; false when it falls between two cells. */
static bool phase(const struct axis *a, const struct axis *b, int64_t *shift)
{
    if (family_of(a->type) == FAMILY_NUMBER)
        return decimal_steps(number_origin(b), number_step(b), number_origin(a), shift);
    int64_t from = axis_origin_us(a), to = axis_origin_us(b);
    if (b->step_months) {
        struct civil x, y;
        civil_from_us(from, &x);
        civil_from_us(to, &y);
        /* Past the 28th a month's end cuts the day: both must start on the same one. */
        if ((x.day > 28 || y.day > 28) && x.day != y.day) return false;
        *shift = floor_div((x.year - y.year) * 12 + x.month - y.month, b->step_months);
        return us_add_months(to, *shift * b->step_months) == from;
    }
    i128 gap = (i128)from - to, step = step_us(b);
    *shift = (int64_t)(gap / step);
    return gap % step == 0;
}

/* An axis of one cell has no step to compare: its cell is looked up in the other. */
static enum status align_single(struct ctx *c, const struct axis *one, const struct axis *other,
                                bool *on_grid, int64_t *shift)
{
    struct value v = axis_coord(one, one->lo);
    int64_t pos;
    TRY(axis_locate(c, other, &v, on_grid, &pos));
    *shift = pos - one->lo;
    return OK;
}

static enum status mismatch(struct ctx *c, const char *a_name, const char *b_name, const char *what,
                            struct strbuf *x, struct strbuf *y)
{
    fail(c, ERR_AXIS_MISMATCH, "%s and %s do not line up: %s %s against %s", a_name, b_name, what,
         x->s, y->s);
    hint(c, "Axes line up when they have the same step and phase; GROUP BY BLOCK brings one to the "
            "other's step.");
    strbuf_release(x);
    strbuf_release(y);
    return ERR_AXIS_MISMATCH;
}

static enum status align_regular(struct ctx *c, const struct axis *a, const char *a_name,
                                 const struct axis *b, const char *b_name, int64_t *shift)
{
    struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
    if (!same_step(a, b)) {
        bool on_grid = false;
        if (axis_len(a) == 1 && !a->grows) {
            TRY(align_single(c, a, b, &on_grid, shift));
        } else if (axis_len(b) == 1 && !b->grows) {
            TRY(align_single(c, b, a, &on_grid, shift));
            *shift = -*shift;
        }
        if (on_grid) return OK;
        axis_format_step(a, &x);
        axis_format_step(b, &y);
        return mismatch(c, a_name, b_name, "step", &x, &y);
    }
    if (phase(a, b, shift)) return OK;
    format_bound(a, a->lo, &x);
    format_bound(b, b->lo, &y);
    return mismatch(c, a_name, b_name, "first coordinate", &x, &y);
}

static enum status align_labels(struct ctx *c, const struct axis *a, const struct axis *b,
                                int64_t **map)
{
    int64_t n = axis_len(a), *to = arena_array(c->arena, int64_t, n);
    for (int64_t i = 0; i < n; i++) {
        struct value v = axis_coord(a, a->lo + i);
        bool found;
        int64_t pos;
        TRY(axis_find(c, b, &v, &found, &pos));
        if (found && pos == -1 && b->lo < 0)
            return fail(c, ERR_UNSUPPORTED,
                        "a labelled axis cannot be joined to one that grew below its origin");
        to[i] = found && pos >= b->lo && pos < b->hi ? pos : -1;
    }
    *map = to;
    return OK;
}

enum status axis_align(struct ctx *c, const struct axis *a, const char *a_name,
                       const struct axis *b, const char *b_name, int64_t *shift, int64_t **map)
{
    int64_t by = 0, *labels = NULL;
    if (family_of(a->type) != family_of(b->type)) {
        struct strbuf x = STRBUF_INIT, y = STRBUF_INIT;
        strbuf_adds(&x, type_name(a->type));
        strbuf_adds(&y, type_name(b->type));
        return mismatch(c, a_name, b_name, "type", &x, &y);
    }
    if (a->kind == AXIS_REGULAR && b->kind == AXIS_REGULAR)
        TRY(align_regular(c, a, a_name, b, b_name, &by));
    else
        TRY(align_labels(c, a, b, &labels));
    *shift = by;
    *map = labels;
    return OK;
}

/* ---- some of the positions ---- */

/* origin + n × step; false when the mantissa does not fit. */
static bool decimal_moved(struct decimal origin, struct decimal step, int64_t n,
                          struct decimal *out)
{
    while (origin.scale < step.scale) {
        if (__builtin_mul_overflow(origin.mant, 10, &origin.mant)) return false;
        origin.scale++;
    }
    while (step.scale < origin.scale) {
        if (__builtin_mul_overflow(step.mant, 10, &step.mant)) return false;
        step.scale++;
    }
    int64_t move;
    if (__builtin_mul_overflow(step.mant, n, &move) ||
        __builtin_add_overflow(origin.mant, move, &origin.mant))
        return false;
    while (origin.scale > 0 && origin.mant % 10 == 0) {
        origin.mant /= 10;
        origin.scale--;
    }
    *out = origin;
    return true;
}

static bool rebase_regular(const struct axis *a, int64_t lo, int64_t stride, struct axis *out)
{
    if (type_is_float(a->type)) {
        return decimal_moved(a->dorigin, a->dstep, lo, &out->dorigin) &&
               !__builtin_mul_overflow(a->dstep.mant, stride, &out->dstep.mant);
    }
    out->origin = axis_coord(a, lo).i;
    if (!a->step_months) return !__builtin_mul_overflow(a->step, stride, &out->step);
    struct civil old, moved;
    civil_from_us(axis_origin_us(a), &old);
    civil_from_us(axis_origin_us(out), &moved);
    return old.day == moved.day &&
           !__builtin_mul_overflow(a->step_months, (int32_t)stride, &out->step_months);
}

bool axis_extends(const struct axis *a, const struct axis *b)
{
    if (a->kind != b->kind || a->type != b->type || a->lo != b->lo || a->hi > b->hi) return false;
    if (a->kind == AXIS_REGULAR)
        return a->origin == b->origin && a->step == b->step && a->step_months == b->step_months &&
               a->dorigin.mant == b->dorigin.mant && a->dorigin.scale == b->dorigin.scale &&
               a->dstep.mant == b->dstep.mant && a->dstep.scale == b->dstep.scale;
    int64_t n = a->labels ? a->labels->n : 0;
    if (a->labels == b->labels) return true;
    for (int64_t i = 0; i < n; i++) {
        struct value x = value_get(a->type, a->labels->values, i);
        struct value y = value_get(b->type, b->labels->values, i);
        if (value_compare(&x, &y) != 0) return false;
    }
    return true;
}

enum status axis_rebase(struct ctx *c, const struct axis *a, int64_t lo, int64_t n, int64_t stride,
                        struct axis *out)
{
    struct axis r = *a;
    r.lo = r.limit_lo = 0;
    r.hi = r.limit_hi = n;
    r.grows = false;
    r.labels = NULL;
    if (a->kind == AXIS_REGULAR && rebase_regular(a, lo, stride, &r)) {
        *out = r;
        return OK;
    }
    void *values = arena_alloc(c->arena, (size_t)n * type_bytes(a->type));
    struct labels *l;
    axis_coords(a, lo, n, stride, values);
    TRY(axis_labels(c, "", a->type, values, n, &l));
    r.kind = AXIS_LABELLED;
    r.labels = l;
    *out = r;
    return OK;
}
