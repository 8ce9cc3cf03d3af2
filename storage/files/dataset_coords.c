/* Which coordinates has a dimension of a dataset? */
#include "storage/base/datetime.h"
#include "storage/base/decimal.h"
#include "storage/base/value.h"
#include "storage/files/dataset_parts.h"
#include <math.h>
#include <strings.h>

#define MAX_COORDS (INT64_C(1) << 26)

__extension__ typedef __int128 i128;

const struct ds_var *ds_coord_var(const struct ds_description *d, int dim)
{
    for (int i = 0; i < d->n_vars; i++) {
        const struct ds_var *v = &d->vars[i];
        if (ds_cell_rank(v) == 1 && v->dims[0] == dim && strcmp(v->name, d->dims[dim].name) == 0 &&
            v->kind != DS_KIND_NONE)
            return v;
    }
    return NULL;
}

/* ---- time ---- */

/* The standard calendar is Julian before this day. */
static int64_t gregorian_start_us(void)
{
    return days_from_civil(1582, 10, 15) * US_PER_DAY;
}

/* The instant that a date of the Julian calendar means, from the same date read as Gregorian. */
static int64_t from_julian(int64_t us)
{
    struct civil t;
    civil_from_us(us, &t);
    int64_t a = (14 - t.month) / 12, y = t.year + 4800 - a, m = t.month + 12 * a - 3;
    int64_t julian_day = t.day + (153 * m + 2) / 5 + 365 * y + y / 4 - 32083;
    int64_t gregorian = days_from_civil(t.year, t.month, t.day);
    return us + (julian_day - 2440588 - gregorian) * US_PER_DAY;
}

/* How a time axis counts. */
struct clock {
    double unit_us;
    int64_t origin_us;
};

/* origin + x × unit, exactly from x's decimals, then to the second or millisecond that x means
 * within its own precision. */
static bool instant(const struct clock *k, enum type type, const void *values, int64_t i,
                    int64_t *out)
{
    struct value v = value_get(type, values, i);
    struct decimal x = {v.i, 0};
    double ulp_us = 0, magnitude = 0;
    if (type_is_float(type)) {
        struct strbuf text = STRBUF_INIT;
        struct ctx quiet = {0};
        if (!isfinite(v.d)) return false;
        value_format(&v, &text);
        bool fits = decimal_parse(&quiet, (struct text){text.s, (int64_t)text.len}, &x) == OK;
        strbuf_release(&text);
        if (!fits) return false;
        magnitude = fabs(v.d);
        ulp_us = type == T_FLOAT64 ? nextafter(magnitude, INFINITY) - magnitude
                                   : (double)nextafterf((float)magnitude, INFINITY) - magnitude;
        ulp_us *= k->unit_us;
    }
    if (x.scale > 18) return false;
    i128 scale = 1, us;
    for (int s = 0; s < x.scale; s++)
        scale *= 10;
    if (__builtin_mul_overflow((i128)x.mant, (i128)(k->unit_us * 1000 + 0.5), &us)) return false;
    scale *= 1000;
    i128 half = us < 0 ? -scale / 2 : scale / 2;
    us = (us + half) / scale + k->origin_us;
    if (us > INT64_MAX / 4 || us < INT64_MIN / 4) return false;
    static const int64_t steps[] = {US_PER_SECOND, 1000};
    for (int s = 0; s < 2; s++) {
        int64_t rest = (int64_t)(us % steps[s]);
        if (rest < 0) rest += steps[s];
        int64_t off = rest > steps[s] / 2 ? rest - steps[s] : rest;
        if (ulp_us < (double)steps[s] / 4 && fabs((double)off) <= ulp_us + 0.5) {
            us -= off;
            break;
        }
    }
    *out = (int64_t)us;
    return true;
}

bool ds_calendar_is_gregorian(const char *calendar, bool *mixed)
{
    *mixed = !calendar || strcasecmp(calendar, "standard") == 0 ||
             strcasecmp(calendar, "gregorian") == 0;
    return *mixed || strcasecmp(calendar, "proleptic_gregorian") == 0;
}

/* Instants to dates, when each is the beginning of a day. */
static void only_days(struct ctx *c, struct ds_coords *x)
{
    int32_t *days = arena_array(c->arena, int32_t, x->n);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t us = ((const int64_t *)x->values)[i];
        if (us % US_PER_DAY) return;
        days[i] = (int32_t)(us / US_PER_DAY);
    }
    x->type = T_DATE;
    x->values = days;
}

/* Times as microseconds, when units and calendar allow it. */
static bool decode_times(struct ctx *c, const struct ds_var *v, struct ds_coords *x)
{
    const char *units = ds_text_attr(c, v, "units"), *calendar = ds_text_attr(c, v, "calendar");
    struct clock k;
    bool mixed;
    if (!units || x->n == 0 || !type_is_numeric(x->type)) return false;
    if (!cf_time_units(units, &k.unit_us, &k.origin_us)) return false;
    if (!ds_calendar_is_gregorian(calendar, &mixed)) return false;
    int64_t *us = arena_array(c->arena, int64_t, x->n);
    if (mixed && k.origin_us < gregorian_start_us()) {
        /* Counted from a Julian date to Gregorian ones; a climatology in year 0 keeps its labels.
         */
        struct clock julian = {k.unit_us, from_julian(k.origin_us)};
        int64_t last;
        if (!instant(&julian, x->type, x->values, x->n - 1, &last)) return false;
        if (last >= gregorian_start_us()) k = julian;
    }
    for (int64_t i = 0; i < x->n; i++) {
        if (!instant(&k, x->type, x->values, i, &us[i])) return false;
    }
    x->type = T_TIMESTAMP;
    x->values = us;
    const char *type = ds_text_attr(c, v, "tessera_type");
    if (type && strcmp(type, "date") == 0) only_days(c, x);
    return true;
}

/* ---- coordinates ---- */

static enum status read_values(struct ctx *c, struct ds_reader *k, const char *path,
                               const struct ds_var *v, const struct ds_column *col,
                               struct ds_coords *x)
{
    int64_t start[2] = {0, 0}, count[2] = {x->n, col->text_bytes};
    struct column out = {.type = T_TEXT};
    void *stored;
    if (col->kind == DS_KIND_STRING) {
        TRY(column_alloc(c, T_TEXT, x->n, &out));
        TRY(k->format->strings(c, k, v->id, 1, start, count, x->n, out.values));
        TRY(ds_column_texts(c, path, col, x->n, &out));
    } else {
        TRY(scratch_alloc(c, ds_column_bytes(col, x->n) + 1, &stored));
        TRY(k->format->read(c, k, v->id, v->rank, start, count, stored,
                            ds_column_bytes(col, x->n)));
        TRY(ds_column_convert(c, path, col, stored, x->n, &out));
    }
    x->type = col->type;
    if (out.valid && !bits_all(out.valid, 0, x->n)) {
        x->listed = false; /* a coordinate that is missing tells nothing */
        return OK;
    }
    size_t bytes = type_bytes(x->type);
    x->values = arena_alloc(c->arena, (size_t)x->n * bytes + 1);
    for (int64_t i = 0; i < x->n; i++) {
        struct value value = value_get(x->type, out.values, i);
        if (x->type == T_TEXT) value = value_dup(c->arena, &value);
        value_put(&value, x->values, i);
    }
    return OK;
}

enum status ds_coords_read(struct ctx *c, struct ds_reader *k, const char *path,
                           const struct ds_description *d, int dim, struct ds_coords *out)
{
    const struct ds_dim *n = &d->dims[dim];
    const struct ds_var *v = ds_coord_var(d, dim);
    struct ds_coords x = {.name = source_fold_name(c, n->name, strlen(n->name)),
                          .unlimited = n->unlimited,
                          .type = T_INT64,
                          .n = n->len};
    if (v && n->len <= MAX_COORDS) {
        struct ds_column col;
        struct scratch_mark mark = scratch_mark(c->scratch);
        x.listed = true;
        TRY(ds_column_of(c, path, d, v, &col));
        if (x.n > 0) TRY(read_values(c, k, path, v, &col, &x));
        if (x.n == 0) x.type = col.type;
        scratch_release(c->scratch, mark);
        x.comment = ds_text_attr(c, v, "long_name");
        if (!x.comment) x.comment = ds_text_attr(c, v, "standard_name");
        if (x.listed && !decode_times(c, v, &x)) {
            const char *calendar = ds_text_attr(c, v, "calendar");
            x.unit = ds_text_attr(c, v, "units");
            if (calendar)
                x.comment = arena_printf(c->arena, "%s%scalendar %s", x.comment ? x.comment : "",
                                         x.comment ? ", " : "", calendar);
        }
    }
    if (!x.listed) x.type = T_INT64;
    *out = x;
    return OK;
}
