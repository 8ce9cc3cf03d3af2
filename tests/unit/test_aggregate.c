/* Do the aggregate operator and its kin give what a simple loop over all cells gives, with every
 * aggregate, grouping, type, NULL and NaN, and the same bits at any number of threads and amount of
 * memory? */
#include "cells_fixture.h"
#include "query/agg.h"
#include "query/agg_quantile.h"

/* ---- the oracle: an aggregate over a list of cells ---- */

struct call {
    const char *name;
    int n_args, args[2];
    double consts[3];
    int n_consts;
    bool distinct, filter;
};

static const struct call CALLS[] = {
    {"count", 0, {0}, {0}, 0, false, false},
    {"count", 0, {0}, {0}, 0, false, true},
    {"count", 1, {F64}, {0}, 0, false, false},
    {"count", 1, {TEXT}, {0}, 0, true, false},
    {"count", 1, {FEW}, {0}, 0, true, true},
    {"sum", 1, {I32}, {0}, 0, false, false},
    {"sum", 1, {U8}, {0}, 0, false, true},
    {"sum", 1, {F64}, {0}, 0, false, false},
    {"sum", 1, {F32}, {0}, 0, false, true},
    {"sum", 1, {U8}, {0}, 0, true, false},
    {"avg", 1, {I64}, {0}, 0, false, false},
    {"avg", 1, {F32}, {0}, 0, false, false},
    {"avg", 2, {F64, WEIGHT}, {0}, 0, false, false},
    {"nansum", 1, {FEW}, {0}, 0, false, false},
    {"nanmean", 1, {FEW}, {0}, 0, false, false},
    {"min", 1, {I32}, {0}, 0, false, false},
    {"max", 1, {U8}, {0}, 0, false, true},
    {"min", 1, {F64}, {0}, 0, false, false},
    {"max", 1, {FEW}, {0}, 0, false, false},
    {"nanmax", 1, {FEW}, {0}, 0, false, false},
    {"nanmin", 1, {FEW}, {0}, 0, false, false},
    {"min", 1, {TEXT}, {0}, 0, false, false},
    {"max", 1, {TEXT}, {0}, 0, false, true},
    {"min", 1, {DAY}, {0}, 0, false, false},
    {"max", 1, {IV}, {0}, 0, false, false},
    {"bool_and", 1, {FLAG}, {0}, 0, false, false},
    {"bool_or", 1, {FLAG}, {0}, 0, false, false},
    {"prod", 1, {WEIGHT}, {0}, 0, false, true},
    {"stddev", 1, {F32}, {0}, 0, false, false},
    {"var_pop", 1, {I32}, {0}, 0, false, false},
    {"variance", 1, {F64}, {0}, 0, false, true},
    {"stddev_pop", 1, {I32}, {0}, 0, true, false},
    {"median", 1, {F64}, {0}, 0, false, false},
    {"median", 1, {FEW}, {0}, 0, false, false},
    {"quantile", 1, {I32}, {0.3}, 1, false, true},
    {"quantile", 1, {U8}, {0.9}, 1, true, false},
    {"mode", 1, {U8}, {0}, 0, false, false},
    {"mode", 1, {TEXT}, {0}, 0, false, true},
    {"mode", 1, {FEW}, {0}, 0, false, false},
    {"argmin", 2, {F64, TEXT}, {0}, 0, false, false},
    {"argmax", 2, {U8, I32}, {0}, 0, false, false},
    {"argmin", 2, {FEW, DAY}, {0}, 0, false, true},
    {"argmax", 2, {TEXT, IV}, {0}, 0, false, false},
    {"first", 2, {F32, DAY}, {0}, 0, false, false},
    {"last", 2, {TEXT, U8}, {0}, 0, false, true},
    {"corr", 2, {F32, I32}, {0}, 0, false, false},
    {"covar_pop", 2, {F32, WEIGHT}, {0}, 0, false, false},
    {"covar_samp", 2, {I32, WEIGHT}, {0}, 0, false, true},
    {"regr_slope", 2, {F32, I32}, {0}, 0, false, false},
    {"regr_intercept", 2, {F32, I32}, {0}, 0, false, false},
    {"regr_r2", 2, {F32, I32}, {0}, 0, false, false},
    {"histogram", 1, {I32}, {-500, 500, 8}, 3, false, false},
    {"histogram", 1, {U8}, {0, 6, 4}, 3, true, false},
};
enum { N_CALLS = sizeof CALLS / sizeof *CALLS };

static double number(const struct value *v)
{
    if (type_is_float(v->type)) return v->d;
    return type_is_unsigned(v->type) ? (double)v->u : (double)v->i;
}

static int compare_values(const void *a, const void *b)
{
    return value_compare(*(struct value *const *)a, *(struct value *const *)b);
}

struct picked { /* the arguments of the cells that count, in row-major order */
    int64_t n;
    struct value **x, **y;
};

static bool counts(const struct call *k, const struct value *cell)
{
    bool pick_x = !strncmp(k->name, "arg", 3);
    if (k->filter && (cell[FLAG].null || !cell[FLAG].i)) return false;
    for (int i = 0; i < k->n_args; i++) {
        if (pick_x && i == 1) continue;
        const struct value *v = &cell[k->args[i]];
        if (v->null) return false;
        if (!strncmp(k->name, "nan", 3) && strcmp(k->name, "nansum") && isnan(number(v)))
            return false;
    }
    return true;
}

static void pick(const struct world *w, const struct call *k, const int64_t *cells, int64_t n,
                 struct picked *p)
{
    p->n = 0;
    p->x = malloc((size_t)(n + 1) * sizeof *p->x);
    p->y = malloc((size_t)(n + 1) * sizeof *p->y);
    for (int64_t i = 0; i < n; i++) {
        struct value *cell = &w->v[cells[i] * N_COLS];
        if (!counts(k, cell)) continue;
        p->x[p->n] = &cell[k->args[0]];
        p->y[p->n++] = &cell[k->args[1]];
    }
    if (!k->distinct || !p->n) return;
    qsort(p->x, (size_t)p->n, sizeof *p->x, compare_values); /* of one argument */
    int64_t kept = 1;
    for (int64_t i = 1; i < p->n; i++)
        if (value_compare(p->x[i], p->x[kept - 1])) p->x[kept++] = p->x[i];
    p->n = kept;
}

static struct value moments(const struct call *k, const struct picked *p)
{
    long double sx = 0, sy = 0, sxx = 0, syy = 0, sxy = 0, n = (long double)p->n;
    bool two = k->n_args == 2;
    for (int64_t i = 0; i < p->n; i++) {
        sy += number(p->x[i]);
        sx += two ? number(p->y[i]) : 0;
    }
    for (int64_t i = 0; i < p->n; i++) {
        long double y = number(p->x[i]) - sy / n, x = two ? number(p->y[i]) - sx / n : 0;
        syy += y * y;
        sxx += x * x;
        sxy += x * y;
    }
    const char *f = k->name;
    bool sample = !strcmp(f, "stddev") || !strcmp(f, "variance") || !strcmp(f, "covar_samp");
    if (p->n < 1 + sample) return value_null(T_FLOAT64);
    if (!strcmp(f, "stddev")) return value_double((double)sqrtl(syy / (n - 1)));
    if (!strcmp(f, "stddev_pop")) return value_double((double)sqrtl(syy / n));
    if (!strcmp(f, "variance")) return value_double((double)(syy / (n - 1)));
    if (!strcmp(f, "var_pop")) return value_double((double)(syy / n));
    if (!strcmp(f, "covar_pop")) return value_double((double)(sxy / n));
    if (!strcmp(f, "covar_samp")) return value_double((double)(sxy / (n - 1)));
    if (sxx == 0) return value_null(T_FLOAT64);
    if (!strcmp(f, "regr_slope")) return value_double((double)(sxy / sxx));
    if (!strcmp(f, "regr_intercept")) return value_double((double)((sy - sxy / sxx * sx) / n));
    if (!strcmp(f, "regr_r2")) return value_double(syy == 0 ? 1 : (double)(sxy * sxy / sxx / syy));
    return syy == 0 ? value_null(T_FLOAT64) : value_double((double)(sxy / sqrtl(sxx * syy)));
}

/* min, max, argmin, argmax, first, last: the place of the key that wins. */
static int64_t winner(const struct call *k, const struct picked *p)
{
    const char *f = k->name;
    bool on_y = !strcmp(f, "first") || !strcmp(f, "last");
    bool most = strstr(f, "max") || !strcmp(f, "last") || !strcmp(f, "bool_or");
    bool nan_wins = !on_y;
    int64_t best = 0;
    for (int64_t i = 1; i < p->n; i++) {
        const struct value *a = on_y ? p->y[i] : p->x[i], *b = on_y ? p->y[best] : p->x[best];
        int r = value_compare(a, b);
        if (nan_wins && !most && type_is_float(a->type)) {
            bool na = isnan(a->d), nb = isnan(b->d);
            if (na || nb) r = na == nb ? 0 : na ? -1 : 1;
        }
        if (most ? r > 0 : r < 0) best = i;
    }
    return best;
}

static struct value quantile(const struct call *k, struct picked *p)
{
    double q = k->n_consts ? k->consts[0] : 0.5;
    if (!p->n) return value_null(T_FLOAT64);
    qsort(p->x, (size_t)p->n, sizeof *p->x, compare_values);
    if (isnan(number(p->x[p->n - 1]))) return value_double((double)NAN);
    double at = q * (double)(p->n - 1), lo = floor(at), t = at - lo;
    double a = number(p->x[(int64_t)lo]);
    double b = number(p->x[(int64_t)lo + 1 < p->n ? (int64_t)lo + 1 : (int64_t)lo]);
    return value_double((t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t) + 0.0);
}

static struct value mode(struct picked *p, enum type t)
{
    if (!p->n) return value_null(t);
    qsort(p->x, (size_t)p->n, sizeof *p->x, compare_values);
    int64_t best = 0, best_n = 0;
    for (int64_t i = 0, j; i < p->n; i = j) {
        for (j = i; j < p->n && !value_compare(p->x[i], p->x[j]); j++) {
        }
        if (j - i > best_n) {
            best_n = j - i;
            best = i;
        }
    }
    return *p->x[best];
}

static struct value sums(const struct call *k, const struct picked *p)
{
    enum type t = TYPES[k->args[0]];
    long double sum = 0, weights = 0;
    for (int64_t i = 0; i < p->n; i++) {
        double weight = k->n_args == 2 ? number(p->y[i]) : 1;
        if (strcmp(k->name, "nansum") || !isnan(number(p->x[i])))
            sum += (long double)number(p->x[i]) * weight;
        weights += weight;
    }
    bool avg = !strcmp(k->name, "avg") || !strcmp(k->name, "nanmean");
    enum type result = avg || type_is_float(t) ? T_FLOAT64
                       : type_is_unsigned(t)   ? T_UINT64
                                               : T_INT64;
    if (!p->n) return value_null(result);
    if (result == T_FLOAT64) return value_double((double)(avg ? sum / weights : sum));
    return value_int(result, (int64_t)sum);
}

static struct value histogram(struct arena *a, const struct call *k, const struct picked *p)
{
    int64_t n = (int64_t)k->consts[2], *bins = arena_array(a, int64_t, n);
    for (int64_t i = 0; i < p->n; i++) {
        double x = number(p->x[i]), lo = k->consts[0], hi = k->consts[1];
        for (int64_t b = 0; b < n; b++) {
            double from = lo + (hi - lo) / (double)n * (double)b;
            double to = lo + (hi - lo) / (double)n * (double)(b + 1);
            if (x >= from && (x < to || (b == n - 1 && x <= hi))) bins[b]++;
        }
    }
    struct value v = {.type = T_INT64S, .t = {(const char *)bins, n * 8}};
    return v;
}

static struct value product(const struct picked *p)
{
    long double x = 1;
    for (int64_t i = 0; i < p->n; i++)
        x *= number(p->x[i]);
    return p->n ? value_double((double)x) : value_null(T_FLOAT64);
}

static struct value oracle(struct world *w, const struct call *k, const int64_t *cells, int64_t n)
{
    struct picked p;
    struct value v;
    const char *f = k->name;
    enum type t = TYPES[k->args[0]];
    pick(w, k, cells, n, &p);
    if (!strcmp(f, "count"))
        v = value_int(T_INT64, p.n);
    else if (!strcmp(f, "sum") || !strcmp(f, "avg") || !strcmp(f, "nansum") ||
             !strcmp(f, "nanmean"))
        v = sums(k, &p);
    else if (!strcmp(f, "median") || !strcmp(f, "quantile"))
        v = quantile(k, &p);
    else if (!strcmp(f, "mode"))
        v = mode(&p, t);
    else if (!strcmp(f, "histogram"))
        v = histogram(w->c.arena, k, &p);
    else if (!strcmp(f, "prod"))
        v = product(&p);
    else if (!strncmp(f, "arg", 3))
        v = p.n ? *p.y[winner(k, &p)] : value_null(TYPES[k->args[1]]);
    else if (strstr(f, "min") || strstr(f, "max") || strstr(f, "bool") || !strcmp(f, "first") ||
             !strcmp(f, "last"))
        v = p.n ? *p.x[winner(k, &p)] : value_null(t);
    else
        v = moments(k, &p);
    free(p.x);
    free(p.y);
    return v;
}

/* Exact, but for what the oracle itself only knows to some digits. */
static void check_value(const struct call *k, const struct value *got, const struct value *want)
{
    bool same = got->null == want->null && got->type == want->type;
    if (same && !got->null) {
        if (type_is_float(got->type)) {
            double scale = fabs(want->d) > 1e-3 ? fabs(want->d) : 1e-3;
            same = (isnan(got->d) && isnan(want->d)) || got->d == want->d ||
                   fabs(got->d - want->d) <= 1e-9 * scale;
        } else if (got->type == T_TEXT || got->type == T_INT64S) {
            same = got->t.len == want->t.len && !memcmp(got->t.s, want->t.s, (size_t)got->t.len);
        } else {
            same = value_compare(got, want) == 0;
        }
    }
    if (same) return;
    struct strbuf b = STRBUF_INIT;
    strbuf_addf(&b, "%s(%d, %d)%s%s: got ", k->name, k->args[0], k->args[1],
                k->distinct ? " distinct" : "", k->filter ? " filter" : "");
    value_format(got, &b);
    strbuf_adds(&b, ", want ");
    value_format(want, &b);
    print_error("%s\n", b.s);
    strbuf_release(&b);
    assert_true(false);
}

/* ---- plans ---- */

static void make_calls(struct world *w, struct plan *p, const struct call *calls, int n)
{
    struct ctx *c = &w->c;
    p->kind = P_AGGREGATE;
    p->n_aggs = n;
    p->aggs = arena_array(c->arena, struct agg_call, n + 1);
    p->rel.n_cols = p->n_keys * !p->by_dims + n;
    p->rel.cols = arena_array(c->arena, struct rel_col, p->rel.n_cols + 1);
    for (int i = 0; i < n; i++) {
        const struct call *k = &calls[i];
        struct agg_call *a = &p->aggs[i];
        a->args = arena_array(c->arena, struct expr *, 4);
        a->n_args = k->n_args + k->n_consts;
        a->distinct = k->distinct;
        for (int x = 0; x < k->n_args; x++)
            a->args[x] = col(w, k->args[x]);
        for (int x = 0; x < k->n_consts; x++) {
            struct value v =
                x == 2 ? value_int(T_INT32, (int64_t)k->consts[x]) : value_double(k->consts[x]);
            a->args[k->n_args + x] = expr_make_const(c, &v, 0);
        }
        if (k->filter) a->filter = col(w, FLAG);
        enum type result;
        ok(w, agg_resolve(c, k->name, a->args, a->n_args, k->distinct, false, 0, &a->agg, &result));
        assert_string_equal(agg_name(a->agg), k->name);
        p->rel.cols[p->rel.n_cols - n + i] = (struct rel_col){.name = k->name, .type = result};
    }
}

static void check_groups(struct world *w, const struct rows *r, int first_col,
                         const struct call *calls, int n_calls, int64_t n_groups,
                         const int64_t *group_of_cell)
{
    assert_int_equal(r->n, n_groups);
    int64_t *cells = malloc((size_t)(w->n + 1) * sizeof *cells);
    for (int64_t g = 0; g < n_groups; g++) {
        int64_t n = 0;
        for (int64_t i = 0; i < w->n; i++)
            if (w->present[i] && group_of_cell[i] == g) cells[n++] = i;
        assert_int_equal(r->present[g], n > 0 || n_groups == 1);
        for (int k = 0; r->present[g] && k < n_calls; k++) {
            struct value want = oracle(w, &calls[k], cells, n);
            check_value(&calls[k], &r->v[g * r->n_cols + first_col + k], &want);
        }
    }
    free(cells);
}

/* ---- tests ---- */

static void no_group(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 3, (const int64_t[]){5, 20, 30});
    struct plan p = {0};
    struct rows r;
    int64_t *groups = calloc((size_t)w.n, sizeof *groups);
    make_calls(&w, &p, CALLS, N_CALLS);
    run_all_ways(&w, &p, &r);
    check_groups(&w, &r, 0, CALLS, N_CALLS, 1, groups);
    rows_free(&r);
    memset(w.present, 0, (size_t)w.n); /* over nothing */
    run_all_ways(&w, &p, &r);
    check_groups(&w, &r, 0, CALLS, N_CALLS, 1, groups);
    rows_free(&r);
    free(groups);
    world_stop(&w);
}

/* keys: input dimension and what divides its positions into groups (0: the dimension itself, < 0:
 * modulo). */
static void by_dims(struct world *w, int n_keys, const int *dims, const int *divisors,
                    const struct call *calls, int n_calls)
{
    struct plan p = {.by_dims = true, .n_keys = n_keys};
    struct group_key keys[4] = {0};
    struct rel_dim out[4] = {0};
    int64_t n_groups = 1, extents[4];
    for (int k = 0; k < n_keys; k++) {
        const struct rel_dim *in = &w->leaf_plan.rel.dims[dims[k]];
        int64_t n = in->hi - in->lo, by = divisors[k];
        keys[k].dim = dims[k];
        keys[k].plain = by == 0;
        out[k] = *in;
        extents[k] = n;
        if (by) {
            int32_t *map = arena_array(w->c.arena, int32_t, n);
            for (int64_t i = 0; i < n; i++)
                map[i] = (int32_t)(by > 0 ? i / by : i % -by);
            keys[k].group_of = map;
            extents[k] = keys[k].n_groups = by > 0 ? (n + by - 1) / by : n < -by ? n : -by;
            out[k].lo = 0;
            out[k].hi = extents[k];
        }
        n_groups *= extents[k];
    }
    p.keys = keys;
    p.rel.n_dims = n_keys;
    p.rel.dims = out;
    make_calls(w, &p, calls, n_calls);
    int64_t *groups = calloc((size_t)w->n, sizeof *groups);
    for (int64_t i = 0; i < w->n; i++) {
        int64_t pos[MAX_DIMS];
        box_position(&w->box, i, pos);
        for (int k = 0; k < n_keys; k++) {
            int64_t at = pos[dims[k]] - w->box.lo[dims[k]];
            groups[i] = groups[i] * extents[k] + (divisors[k] ? keys[k].group_of[at] : at);
        }
    }
    struct rows r;
    run_all_ways(w, &p, &r);
    check_groups(w, &r, 0, calls, n_calls, n_groups, groups);
    rows_free(&r);
    free(groups);
}

static void dimensions(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 3, (const int64_t[]){6, 17, 40});
    for (int64_t i = 0; i < w.n / 6; i++) /* some groups have no cell */
        w.present[i] = false;
    by_dims(&w, 1, (const int[]){0}, (const int[]){0}, CALLS, N_CALLS);
    by_dims(&w, 1, (const int[]){1}, (const int[]){0}, CALLS, N_CALLS);
    by_dims(&w, 1, (const int[]){2}, (const int[]){0}, CALLS, N_CALLS);
    by_dims(&w, 2, (const int[]){2, 0}, (const int[]){0, 2}, CALLS, N_CALLS);
    by_dims(&w, 2, (const int[]){0, 1}, (const int[]){0, 0}, CALLS, N_CALLS);
    by_dims(&w, 1, (const int[]){2}, (const int[]){25}, CALLS, N_CALLS);
    by_dims(&w, 3, (const int[]){0, 1, 2}, (const int[]){-4, 5, -7}, CALLS, N_CALLS);
    world_stop(&w);
}

/* So many groups that a small memory holds only slabs of them. */
static void in_slabs(struct world *w, const int *dims, const int *modulo)
{
    struct plan p = {.by_dims = true, .n_keys = 2};
    struct group_key keys[2] = {0};
    struct rel_dim out[2];
    for (int k = 0; k < 2; k++) {
        const struct rel_dim *in = &w->leaf_plan.rel.dims[dims[k]];
        keys[k] = (struct group_key){.dim = dims[k], .plain = !modulo[k], .n_groups = modulo[k]};
        out[k] = *in;
        if (!modulo[k]) continue;
        int32_t *map = arena_array(w->c.arena, int32_t, in->hi - in->lo);
        for (int64_t i = 0; i < in->hi - in->lo; i++)
            map[i] = (int32_t)(i % modulo[k]);
        keys[k].group_of = map;
        out[k].lo = 0;
        out[k].hi = modulo[k];
    }
    p.keys = keys;
    p.rel.n_dims = 2;
    p.rel.dims = out;
    make_calls(w, &p, CALLS, N_CALLS);
    struct rows a, b;
    run_plan(w, &p, 1, 0, &a);
    int64_t cells = atomic_exchange(&w->leaf.stats.cells, 0);
    run_plan(w, &p, 1, INT64_C(20) << 20, &b);
    if (modulo[0])
        assert_true(atomic_load(&w->leaf.stats.cells) > cells); /* read again and again */
    assert_same(&a, &b);
    rows_free(&b);
    rows_free(&a);
}

static void slabs(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 3, (const int64_t[]){3, 90, 70});
    in_slabs(&w, (const int[]){1, 2}, (const int[]){0, 0});
    in_slabs(&w, (const int[]){2, 1}, (const int[]){0, 0});
    in_slabs(&w, (const int[]){1, 2}, (const int[]){45, 0});
    world_stop(&w);
}

static void by_values(struct world *w, int n_keys, const int *cols, const struct call *calls,
                      int n_calls)
{
    struct plan p = {.n_keys = n_keys};
    struct group_key keys[4] = {0};
    struct rel_dim row = {.stride = 1, .hi = ROWS_UNKNOWN};
    for (int k = 0; k < n_keys; k++)
        keys[k] = (struct group_key){.e = col(w, cols[k]), .dim = -1};
    p.keys = keys;
    p.rel.n_dims = 1;
    p.rel.dims = &row;
    make_calls(w, &p, calls, n_calls);
    for (int k = 0; k < n_keys; k++)
        p.rel.cols[k] = (struct rel_col){.name = "k", .type = TYPES[cols[k]]};
    int64_t *groups = calloc((size_t)w->n, sizeof *groups);
    int64_t *cell = calloc((size_t)w->n, sizeof *cell);
    int64_t n_groups = group_cells(w, cols, n_keys, groups, cell);
    struct rows r;
    run_all_ways(w, &p, &r);
    assert_int_equal(r.n, n_groups);
    for (int64_t g = 0; g < n_groups; g++)
        for (int k = 0; k < n_keys; k++) {
            const struct value *want = &w->v[cell[g] * N_COLS + cols[k]];
            const struct value *got = &r.v[g * r.n_cols + k];
            assert_int_equal(got->null, want->null);
            if (!want->null) assert_int_equal(value_compare(got, want), 0);
        }
    check_groups(w, &r, n_keys, calls, n_calls, n_groups, groups);
    rows_free(&r);
    free(groups);
    free(cell);
}

static void values(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){40, 60});
    by_values(&w, 1, (const int[]){U8}, CALLS, N_CALLS);
    by_values(&w, 1, (const int[]){TEXT}, CALLS, N_CALLS);
    by_values(&w, 1, (const int[]){FEW}, CALLS, N_CALLS);
    by_values(&w, 2, (const int[]){FLAG, FEW}, CALLS, N_CALLS);
    by_values(&w, 3, (const int[]){TEXT, U8, FLAG}, CALLS, 30);
    by_values(&w, 1, (const int[]){IV}, CALLS, 20);
    by_values(&w, 1, (const int[]){I32}, CALLS, 40);
    world_stop(&w);
}

/* Nearly as many groups as cells, more than memory holds: tables are spilled and merged. */
static void spilling(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){200, 300});
    struct plan p = {.n_keys = 2};
    struct group_key keys[2] = {{.e = col(&w, I64), .dim = -1}, {.e = col(&w, TEXT), .dim = -1}};
    struct rel_dim row = {.stride = 1, .hi = ROWS_UNKNOWN};
    const struct call calls[] = {{.name = "count"},
                                 {"sum", 1, {F64}, {0}, 0, false, false},
                                 {"min", 1, {TEXT}, {0}, 0, false, false},
                                 {"argmax", 2, {F32, TEXT}, {0}, 0, false, false},
                                 {"median", 1, {F32}, {0}, 0, false, false},
                                 {"count", 1, {U8}, {0}, 0, true, false}};
    p.keys = keys;
    p.rel.n_dims = 1;
    p.rel.dims = &row;
    make_calls(&w, &p, calls, 6);
    p.rel.cols[0] = (struct rel_col){.name = "k", .type = T_INT64};
    p.rel.cols[1] = (struct rel_col){.name = "k", .type = T_TEXT};
    struct rows a, b;
    run_plan(&w, &p, 1, 0, &a);
    assert_int_equal(atomic_load(&w.counters.bytes_spilled), 0);
    for (int threads = 1; threads <= 4; threads += 3) {
        run_plan(&w, &p, threads, INT64_C(24) << 20, &b);
        assert_true(atomic_load(&w.counters.bytes_spilled) > 0);
        atomic_store(&w.counters.bytes_spilled, 0);
        assert_same(&a, &b);
        rows_free(&b);
    }
    rows_free(&a);
    world_stop(&w);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* n values over so many groups, with little memory: selected in parts, by narrowing, or not at all.
 */
static void select_groups(int64_t n, int64_t n_groups, bool nan, bool want_done)
{
    struct world w;
    world_start(&w, 1, (const int64_t[]){1});
    int n_keys = n_groups > 1;
    const enum type types[2] = {n_keys ? T_INT32 : T_FLOAT64, T_FLOAT64};
    double *x = malloc((size_t)n * sizeof *x), *result = malloc((size_t)n_groups * sizeof *result);
    int64_t *counts = calloc((size_t)n_groups, sizeof *counts);
    struct rowset *rows;
    w.budget.limit_bytes = INT64_C(2) << 20; /* not all rows fit */
    ok(&w, rowset_new(&w.c, types, n_keys + 1, "/tmp", &rows));
    for (int64_t i = 0; i < n; i++) {
        int32_t g = (int32_t)(i % n_groups);
        x[i] = rnd() % 3 ? (double)(rnd() % 1000)
                         : ldexp((double)(int64_t)rnd(), (int)(rnd() % 9) - 60);
        if (nan && i == n - 1) x[i] = (double)NAN;
        struct column cols[2] = {{.type = T_INT32, .values = &g},
                                 {.type = T_FLOAT64, .values = &x[i]}};
        ok(&w, rowset_append(&w.c, rows, cols + !n_keys, NULL, 1));
        counts[g]++;
    }
    w.budget.limit_bytes = INT64_C(6) << 20;
    static const double qs[] = {0, 0.5, 0.37, 1};
    for (int k = 0; k < 4; k++) {
        bool done;
        ok(&w, quantile_groups(&w.c, rows, n_keys, counts, n_groups, &qs[k], 1, result, &done));
        assert_int_equal(done, want_done);
        for (int64_t g = 0; g < n_groups && done; g++) {
            int64_t m = 0, below;
            double *own = malloc((size_t)counts[g] * sizeof *own), t;
            for (int64_t i = g; i < n; i += n_groups)
                own[m++] = x[i];
            qsort(own, (size_t)m, sizeof *own, compare_doubles);
            quantile_rank(qs[k], m, &below, &t);
            double next = own[below + 1 < m ? below + 1 : below];
            double want = quantile_between(own[below], next, t);
            if (nan && g == (n - 1) % n_groups)
                assert_true(isnan(result[g]));
            else
                assert_true(result[g] == want);
            free(own);
        }
    }
    assert_true(atomic_load(&w.counters.bytes_spilled) > 0);
    rowset_free(rows);
    free(x);
    free(result);
    free(counts);
    world_stop(&w);
}

static void quantiles(void **state)
{
    (void)state;
    select_groups(250000, 1, false, true);
    select_groups(250000, 1, true, true);
    select_groups(250000, 3, false, true);
    select_groups(250000, 900, true, true);
    select_groups(2000000, 3, false, false);
}

static void expect(struct world *w, struct plan *p, enum status want, const char *part)
{
    struct op *in[1] = {&w->leaf};
    struct plan *in_plan[1] = {&w->leaf_plan};
    p->n_in = 1;
    p->in = in_plan;
    struct op op = {.cls = op_class_of(p->kind), .plan = p, .exec = w->exec, .n_in = 1, .in = in};
    rel_box(&p->rel, &op.box);
    enum status s = op.cls->open(&w->c, &op);
    op.cls->close(&op);
    assert_int_equal(s, want);
    assert_non_null(strstr(w->c.err.message, part));
    ctx_clear(&w->c);
}

static void errors(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 2, (const int64_t[]){30, 23});
    memset(w.present, 1, (size_t)w.n);
    /* two cells in one group */
    struct group_key key = {.dim = 0, .plain = true};
    struct plan p = {.by_dims = true, .n_keys = 1, .keys = &key, .unique = true};
    p.rel.n_dims = 1;
    p.rel.dims = w.leaf_plan.rel.dims;
    const struct call only = {.name = "only", .n_args = 1, .args = {I32}};
    make_calls(&w, &p, &only, 1);
    expect(&w, &p, ERR_DUPLICATE_CELL, "two cells go to (t = 3)");
    /* two rows for one coordinate */
    struct plan pivot = {.kind = P_PIVOT};
    struct axis axis = {.type = T_INT32};
    struct rel_dim dim = {.name = "a", .axis = &axis, .hi = ROWS_UNKNOWN, .stride = 1};
    for (int64_t i = 0; i < w.n; i++)
        w.v[i * N_COLS] = value_int(T_INT32, i == 5 ? 4 : i);
    pivot.axes = &axis;
    pivot.rel = w.leaf_plan.rel;
    pivot.rel.n_dims = 1;
    pivot.rel.dims = &dim;
    pivot.rel.n_cols = N_COLS - 1;
    pivot.rel.cols = w.leaf_plan.rel.cols + 1;
    expect(&w, &pivot, ERR_DUPLICATE_CELL, "two cells go to (a = 4)");
    /* a sum past BIGINT */
    for (int64_t i = 0; i < w.n; i++)
        w.v[i * N_COLS + I64] = value_int(T_INT64, INT64_MAX / 2);
    struct plan sum = {0};
    const struct call big = {.name = "sum", .n_args = 1, .args = {I64}};
    make_calls(&w, &sum, &big, 1);
    expect(&w, &sum, ERR_OVERFLOW, "bigint out of range");
    const struct call prod = {.name = "prod", .n_args = 1, .args = {I64}};
    make_calls(&w, &sum, &prod, 1);
    expect(&w, &sum, ERR_OVERFLOW, "bigint out of range");
    /* constants out of their domain */
    const struct call q = {"quantile", 1, {F64}, {1.5}, 1, false, false};
    make_calls(&w, &sum, &q, 1);
    expect(&w, &sum, ERR_INVALID_PARAMETER, "between 0 and 1");
    world_stop(&w);
}

static void resolving(void **state)
{
    (void)state;
    struct world w;
    world_start(&w, 1, (const int64_t[]){3});
    const struct agg *a;
    enum type t;
    struct expr *args[2] = {col(&w, TEXT), col(&w, F64)};
    assert_true(agg_exists("median") && agg_exists("count") && !agg_exists("sqrt"));
    assert_int_equal(agg_resolve(&w.c, "sum", args, 1, false, false, 7, &a, &t),
                     ERR_UNDEFINED_FUNCTION);
    assert_string_equal(w.c.err.message, "function sum(text) does not exist");
    assert_int_equal(w.c.err.position, 7);
    ctx_clear(&w.c);
    assert_int_equal(agg_resolve(&w.c, "string_agg", args, 2, false, false, 0, &a, &t),
                     ERR_UNDEFINED_FUNCTION);
    assert_non_null(strstr(w.c.err.message, "string_agg(text, double precision)"));
    ctx_clear(&w.c);
    struct expr *q[2] = {col(&w, F64), col(&w, F32)};
    assert_int_equal(agg_resolve(&w.c, "quantile", q, 2, false, false, 0, &a, &t),
                     ERR_INVALID_PARAMETER);
    ctx_clear(&w.c);
    assert_int_equal(agg_resolve(&w.c, "count", args, 0, true, false, 0, &a, &t), ERR_SYNTAX);
    ctx_clear(&w.c);
    int n;
    const char *const *names = agg_names(&n);
    for (int i = 0; i < n; i++)
        assert_true(agg_exists(names[i]));
    world_stop(&w);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolving), cmocka_unit_test(no_group),  cmocka_unit_test(dimensions),
        cmocka_unit_test(slabs),     cmocka_unit_test(values),    cmocka_unit_test(spilling),
        cmocka_unit_test(errors),    cmocka_unit_test(quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
