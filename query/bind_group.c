/* Which groups do cells fall into: keys of GROUP BY, and the axes of those that go by dimensions?
 *
 * A key that depends on one dimension alone is evaluated here over that dimension's coordinates, so
 * groups are known before any cell is read: its values become an axis, and each position's group is
 * written down. */
#include "query/bind_internal.h"
#include "query/func.h"
#include "storage/base/datetime.h"
#include <math.h>
#include <stdlib.h>

#define DIM_MAX (INT64_C(1) << 22)    /* longer dimensions are grouped by value */
#define LABELS_MAX (INT64_C(1) << 20) /* more values than these too */
#define EVAL_CELLS 16384
#define PERIOD_MAX (INT64_C(1) << 20)

/* ---- what an expression depends on ---- */

struct depends {
    int dim; /* -1: none yet */
    bool other;
};

static bool note_dependence(const struct expr *e, void *self)
{
    struct depends *d = self;
    if (e->kind == E_COL || e->kind == E_PARAM || e->kind == E_OUTER || e->kind == E_SUBQUERY)
        d->other = true;
    if (e->kind != E_DIM && e->kind != E_POS) return true;
    if (d->dim >= 0 && d->dim != e->index) d->other = true;
    d->dim = e->index;
    return true;
}

int only_dim(const struct expr *e)
{
    struct depends d = {.dim = -1};
    if (expr_is_volatile(e) || expr_is_random(e)) return -1;
    expr_walk(e, note_dependence, &d);
    return d.other ? -1 : d.dim;
}

enum status eval_on_dim(struct ctx *c, const struct program *p, const struct rel *r, int d,
                        int64_t lo, int64_t n, struct column *out)
{
    struct chunk ch = {.n = n, .n_present = n, .rel = r};
    rel_box(r, &ch.box);
    for (int k = 0; k < r->n_dims; k++)
        ch.box.hi[k] = ch.box.lo[k] + 1;
    ch.box.lo[d] = lo;
    ch.box.hi[d] = lo + n;
    return program_run(c, p, &ch, out);
}

/* ---- the values of a key ---- */

/* Neighbouring positions with one value: few where a key is monotone, as most are. */
struct run {
    int64_t at; /* first position, from the dimension's lo */
    struct value v;
};
struct runs {
    struct run *v; /* a budget buffer */
    int64_t n, cap;
    bool unfit; /* NULL or NaN, or too many */
};

static enum status add_run(struct ctx *c, struct runs *r, int64_t at, const struct value *v)
{
    if (r->n > 0 && value_compare(&r->v[r->n - 1].v, v) == 0) return OK;
    if (r->n == DIM_MAX) {
        r->unfit = true;
        return OK;
    }
    if (r->n == r->cap) {
        int64_t cap = r->cap ? 2 * r->cap : 256;
        void *room;
        TRY(buf_alloc(c, sizeof(struct run) * (size_t)cap, &room));
        if (r->n) memcpy(room, r->v, sizeof *r->v * (size_t)r->n);
        buf_free(r->v);
        r->v = room;
        r->cap = cap;
    }
    r->v[r->n].at = at;
    r->v[r->n++].v = value_dup(c->arena, v);
    return OK;
}

static enum status add_runs(struct ctx *c, const struct rel_dim *d, int64_t lo, int64_t n,
                            const struct column *col, struct runs *r)
{
    for (int64_t i = 0; i < n && !r->unfit; i++) {
        if ((lo + i - d->lo) % d->stride) continue;
        if (column_is_null(col, i)) {
            r->unfit = true;
            break;
        }
        struct value v = value_get(col->type, col->values, i);
        if (type_is_float(v.type) && isnan(v.d)) r->unfit = true;
        TRY(add_run(c, r, lo + i - d->lo, &v));
    }
    return OK;
}

/* At the first n positions. */
static enum status eval_key(struct binder *b, const struct rel *r, int d, int64_t n_positions,
                            struct expr *e, struct runs *out)
{
    struct ctx *c = b->c;
    const struct rel_dim *dim = &r->dims[d];
    struct env env = binder_env(b);
    struct program *p;
    int64_t hi = dim->lo + n_positions;
    enum status st = program_compile(c, &e, 1, r, &env, &p);
    for (int64_t lo = dim->lo; st == OK && lo < hi && !out->unfit; lo += EVAL_CELLS) {
        int64_t n = hi - lo < EVAL_CELLS ? hi - lo : EVAL_CELLS;
        struct scratch_mark m = scratch_mark(c->scratch);
        struct column col;
        st = eval_on_dim(c, p, r, d, lo, n, &col);
        if (st == OK) st = add_runs(c, dim, lo, n, &col, out);
        scratch_release(c->scratch, m);
        if (st == OK) st = check_cancel(c);
    }
    return st;
}

/* ---- values that come again ---- */

static int64_t as_int(const struct value *v)
{
    return v->i; /* values past INT64_MAX come out negative: the range is then too long */
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Positions after which coordinate % m, which is never negative, comes again; 0: not known. */
static int64_t period_of_rest(const struct expr *x, int64_t m, const struct rel_dim *d)
{
    const struct axis *a = d->axis;
    if (x->kind == E_CAST && type_is_integer(x->type)) x = x->args[0];
    if (x->kind == E_POS) return m;
    if (x->kind != E_DIM || a->kind != AXIS_REGULAR || !type_is_integer(a->type)) return 0;
    return m / common_divisor(m, llabs(a->step % m));
}

/* Positions after which the values of an expression of one dimension come again; 0: not known. */
static int64_t period_of(const struct expr *e, const struct rel_dim *d)
{
    if (e->kind == E_CONST) return 1;
    if (e->kind == E_CALL && !strcmp(e->func->name, "%") && e->args[1]->kind == E_CONST &&
        type_is_integer(e->type) && !e->args[1]->value.null && as_int(&e->args[1]->value) > 0 &&
        as_int(&e->args[1]->value) <= PERIOD_MAX) {
        int64_t period = period_of_rest(e->args[0], as_int(&e->args[1]->value), d);
        if (period) return period;
    }
    if (e->kind == E_DIM || e->kind == E_POS || !e->n_args) return 0;
    int64_t period = 1;
    for (int i = 0; i < e->n_args && period; i++) {
        int64_t other = period_of(e->args[i], d);
        period = other ? period / common_divisor(period, other) * other : 0;
        if (period > PERIOD_MAX) return 0;
    }
    return period;
}

/* ---- the axis of a key ---- */

static int by_value(const void *a, const void *b)
{
    const struct run *x = *(const struct run *const *)a, *y = *(const struct run *const *)b;
    return value_compare(&x->v, &y->v);
}

/* Group numbers by value order, group_of per position. */
static void number_groups(const struct runs *r, const int32_t *group_of_run, int64_t extent,
                          int32_t *group_of)
{
    for (int64_t i = 0; i < r->n; i++) {
        int64_t end = i + 1 < r->n ? r->v[i + 1].at : extent;
        for (int64_t p = r->v[i].at; p < end; p++)
            group_of[p] = group_of_run[i];
    }
}

/* Whole numbers that lie close together: a regular axis from the least to the most. */
static enum status integer_axis(struct binder *b, struct bound_key *k, const struct runs *r,
                                int32_t *group, bool *made)
{
    enum type t = k->key.e->type;
    *made = false;
    if (!type_is_integer(t) || r->n == 0) return OK;
    int64_t least = as_int(&r->v[0].v), most = least, range;
    for (int64_t i = 1; i < r->n; i++) {
        int64_t x = as_int(&r->v[i].v);
        if (x < least) least = x;
        if (x > most) most = x;
    }
    if (__builtin_sub_overflow(most, least, &range) || range >= 64 * r->n + 4096 ||
        range >= DIM_MAX || (type_is_unsigned(t) && least < 0))
        return OK;
    struct axis *a = arena_new_of(b->c->arena, struct axis);
    struct value lo = value_int(t, least), hi = value_int(t, most);
    TRY(axis_regular(b->c, k->name, t, &lo, &hi, NULL, a));
    for (int64_t i = 0; i < r->n; i++)
        group[i] = (int32_t)(as_int(&r->v[i].v) - least);
    k->key.n_groups = range + 1;
    k->dim.axis = a;
    *made = true;
    return OK;
}

static enum status labelled_axis(struct binder *b, struct bound_key *k, const struct runs *r,
                                 int32_t *group, bool *made)
{
    struct ctx *c = b->c;
    void *memory;
    TRY(buf_alloc(c, sizeof(struct run *) * (size_t)(r->n + 1), &memory));
    const struct run **order = memory;
    for (int64_t i = 0; i < r->n; i++)
        order[i] = &r->v[i];
    qsort(order, (size_t)r->n, sizeof *order, by_value);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (i > 0 && value_compare(&order[i - 1]->v, &order[i]->v)) n++;
        group[order[i] - r->v] = (int32_t)n;
    }
    if (r->n) n++;
    *made = n <= LABELS_MAX;
    enum status st = OK;
    if (*made) {
        struct axis *a = arena_new_of(c->arena, struct axis);
        struct value *labels = arena_array(c->arena, struct value, n + 1);
        for (int64_t i = 0; i < r->n; i++)
            labels[group[i]] = r->v[i].v;
        st = axis_labelled(c, k->name, k->key.e->type, labels, n, false, a);
        k->key.n_groups = n;
        k->dim.axis = a;
    }
    buf_free(memory);
    return st;
}

/* extent: the positions that were looked at, fewer than all if their groups come again. */
static enum status make_axis(struct binder *b, const struct rel_dim *dim, int64_t extent,
                             struct bound_key *k, const struct runs *r, bool *made)
{
    struct ctx *c = b->c;
    void *memory;
    TRY(buf_alloc(c, sizeof(int32_t) * (size_t)(r->n + 1), &memory));
    enum status st = integer_axis(b, k, r, memory, made);
    if (st == OK && !*made) st = labelled_axis(b, k, r, memory, made);
    if (st == OK && *made) {
        int32_t *group_of = arena_array(c->arena, int32_t, extent + 1);
        number_groups(r, memory, extent, group_of);
        k->key.group_of = group_of;
        if (extent < dim->hi - dim->lo) {
            k->key.period = extent;
            k->key.first = dim->lo;
        }
        k->dim.name = k->name;
        k->dim.lo = k->dim.axis->lo;
        k->dim.hi = k->dim.lo + k->key.n_groups;
        k->dim.stride = 1;
        k->dim.tile = k->key.n_groups > 0 ? k->key.n_groups : 1;
    }
    buf_free(memory);
    return st;
}

static bool axis_type(enum type t)
{
    return type_is_numeric(t) || type_is_time(t) || t == T_TEXT;
}

static bool is_block(const struct group_key *g)
{
    return !g->e;
}

/* Any dimension will do for a constant. */
static int some_dim(const struct rel *r)
{
    for (int d = 0; d < r->n_dims; d++)
        if (dim_known(&r->dims[d]) && r->dims[d].axis && r->dims[d].hi - r->dims[d].lo <= DIM_MAX)
            return d;
    return -1;
}

/* A key as a dimension, if it is one's. *made false: it goes by value. */
static enum status key_by_dim(struct binder *b, const struct rel *r, struct bound_key *k,
                              bool *made)
{
    struct group_key *g = &k->key;
    *made = is_block(g) && g->blocks->laid; /* those are made already */
    if (is_block(g)) return OK;
    int d = g->e->kind == E_CONST ? some_dim(r) : only_dim(g->e);
    if (d < 0 || !dim_known(&r->dims[d]) || !r->dims[d].axis) return OK;
    g->dim = d;
    g->plain = g->e->kind == E_DIM;
    if (g->plain) {
        k->dim = r->dims[d];
        k->dim.name = k->name;
        g->n_groups = k->dim.hi - k->dim.lo;
        *made = true;
        return OK;
    }
    int64_t extent = r->dims[d].hi - r->dims[d].lo, period = period_of(g->e, &r->dims[d]);
    if (period && period < extent && r->dims[d].stride == 1) extent = period;
    if (extent > DIM_MAX || !axis_type(g->e->type)) return OK;
    struct runs runs = {0};
    enum status st = eval_key(b, r, d, extent, g->e, &runs);
    if (st < 0 && !strncmp(status_sqlstate(st), "22", 2)) {
        /* The cell that it fails on may not exist, or WHERE may drop it: that shows when it runs.
         */
        ctx_clear(b->c);
        runs.unfit = true;
        st = OK;
    }
    if (st == OK && !runs.unfit) st = make_axis(b, &r->dims[d], extent, k, &runs, made);
    buf_free(runs.v);
    return st;
}

/* ---- BLOCK ---- */

/* The size of a block: cells, or a time. */
static enum status block_size(struct binder *b, const struct ast_axis *x, const struct rel_dim *d,
                              struct blocks *out)
{
    struct ctx *c = b->c;
    int pos = place(b, x->pos);
    bool known, timed = type_is_time(dim_type(d));
    struct value size;
    TRY(bind_value(b, x->lo, "BLOCK", T_INT64, &size, &known));
    if (!known) size = value_int(T_INT64, 1);
    bool quoted = size.type == T_UNKNOWN || size.type == T_TEXT;
    if (quoted && !size.null && timed) TRY(at(c, value_cast(c, &size, T_INTERVAL, &size), pos));
    *out = (struct blocks){.pos = pos};
    bool fits = !size.null && (size.type == T_INTERVAL ? timed : type_is_integer(size.type));
    if (fits && size.type == T_INTERVAL)
        out->every = size.iv;
    else if (fits)
        out->cells = size.i;
    if (fits && (size.type == T_INTERVAL ? interval_us(&size.iv) > 0 : size.i > 0)) return OK;
    return fail_at(c, ERR_INVALID_PARAMETER, pos,
                   "the size of a BLOCK must be a positive number of cells%s",
                   timed ? ", or a positive interval of time" : "");
}

enum status block_key(struct binder *b, const struct scope *scope, const struct ast_axis *x,
                      struct bound_key *k)
{
    struct ctx *c = b->c;
    const struct scope *found;
    const struct scope_col *col;
    int pos = place(b, x->pos);
    if (!x->dim || x->kind != AXIS_POINT || !x->lo || x->by_position) {
        fail_at(c, ERR_SYNTAX, pos, "BLOCK takes a size for each dimension");
        return hint(c, "GROUP BY BLOCK [lat => 4, time => INTERVAL '1 month']");
    }
    struct ast_name name = {.n = 1, .part = (const char *[]){x->dim}, .pos = x->pos};
    TRY(scope_find(b, scope, &name, &found, &col));
    if (found != scope || !col->is_dim)
        return fail_at(c, ERR_WRONG_OBJECT, pos, "\"%s\" is not a dimension", x->dim);
    const struct rel_dim *d = &scope->plan->rel.dims[col->index];
    struct blocks *blocks = arena_new_of(c->arena, struct blocks);
    TRY(block_size(b, x, d, blocks));
    *k = (struct bound_key){.name = x->dim, .key = {.dim = col->index, .blocks = blocks}};
    k->dim = (struct rel_dim){.name = x->dim, .axis = d->axis, .stride = 1};
    if (!dim_known(d) || !d->axis) return OK;
    struct axis *a = arena_new_of(c->arena, struct axis);
    TRY(blocks_lay(c, d->axis, d->lo, d->hi, d->stride, blocks));
    TRY(at(c, blocks_axis(c, d->axis, k->name, blocks, a), pos));
    k->dim.axis = a;
    k->key.n_groups = blocks->n;
    k->dim.lo = a->lo;
    k->dim.hi = a->lo + blocks->n;
    k->dim.tile = blocks->n > 0 ? blocks->n : 1;
    return OK;
}

/* ---- the aggregate ---- */

enum type key_type(const struct bound_key *k)
{
    return k->key.e ? k->key.e->type : dim_type(&k->dim);
}

static void agg_columns(struct rel *r, int at, const struct agg_list *aggs)
{
    for (int i = 0; i < aggs->n; i++)
        r->cols[at + i] =
            (struct rel_col){.name = agg_name(aggs->calls[i].agg), .type = aggs->types[i]};
}

enum status make_aggregate(struct binder *b, struct plan *in, struct bound_key *keys, int n_keys,
                           const struct agg_list *aggs, int pos, struct plan **out)
{
    struct ctx *c = b->c;
    struct plan *p = plan_new(c, P_AGGREGATE, pos, 1);
    p->in[0] = in;
    p->by_dims = n_keys <= MAX_DIMS;
    for (int i = 0; i < n_keys && p->by_dims; i++)
        TRY(key_by_dim(b, &in->rel, &keys[i], &p->by_dims));
    p->keys = arena_array(c->arena, struct group_key, n_keys + 1);
    p->n_keys = n_keys;
    p->aggs = arena_dup(c->arena, aggs->calls, sizeof *aggs->calls * (size_t)aggs->n);
    p->n_aggs = aggs->n;
    for (int i = 0; i < n_keys; i++) {
        p->keys[i] = keys[i].key;
        if (p->by_dims) continue;
        if (!is_block(&keys[i].key)) p->keys[i] = (struct group_key){.e = keys[i].key.e, .dim = -1};
    }
    if (p->by_dims) {
        p->rel.n_dims = n_keys;
        p->rel.dims = arena_array(c->arena, struct rel_dim, n_keys + 1);
        p->rel.n_cols = aggs->n;
        p->rel.cols = arena_array(c->arena, struct rel_col, aggs->n + 1);
        for (int i = 0; i < n_keys; i++)
            p->rel.dims[i] = keys[i].dim;
        agg_columns(&p->rel, 0, aggs);
    } else {
        rel_list(c, &p->rel, -1, n_keys + aggs->n);
        for (int i = 0; i < n_keys; i++) {
            const struct expr *e = keys[i].key.e; /* NULL: a BLOCK */
            p->rel.cols[i] = (struct rel_col){.name = keys[i].name, .type = key_type(&keys[i])};
            if (e && e->kind == E_COL) p->rel.cols[i].coord = in->rel.cols[e->index].coord;
        }
        agg_columns(&p->rel, n_keys, aggs);
    }
    *out = p;
    return OK;
}

/* ---- expressions over groups ---- */

/* The position of a dimension that stays one: of the result's cells it is the position too. */
static bool keeps_position(const struct plan *agg, const struct group_key *g, const struct expr *e)
{
    return e->kind == E_POS && agg->by_dims && g->plain && e->index == g->dim;
}

bool group_key_is(const struct plan *agg, const struct group_key *g, const struct expr *e)
{
    if (is_block(g)) return e->kind == E_DIM && e->index == g->dim;
    return keeps_position(agg, g, e) || (e->kind != E_CONST && expr_equal(g->e, e));
}

enum status over_groups(struct binder *b, const struct scope *scope, const struct plan *agg,
                        const struct expr *e, struct expr **out)
{
    struct ctx *c = b->c;
    for (int i = 0; i < agg->n_keys; i++) {
        if (!group_key_is(agg, &agg->keys[i], e)) continue;
        enum expr_kind kind = !agg->by_dims                           ? E_COL
                              : keeps_position(agg, &agg->keys[i], e) ? E_POS
                                                                      : E_DIM;
        *out = expr_make_ref(c, kind, i, e->type, e->pos);
        return OK;
    }
    if (e->kind == E_COL && e->index == GROUPING_REF) return grouping_over(b, agg, e, out);
    if (e->kind == E_COL && e->index >= AGG_BASE) {
        int at = e->index - AGG_BASE + (agg->by_dims ? 0 : agg->n_keys);
        *out = expr_make_ref(c, E_COL, at, e->type, e->pos);
        return OK;
    }
    if (is_fetched(scope, e)) {
        enum status st = fetched_over_groups(b, scope, agg, e, out);
        if (st != ERR_GROUPING) return st;
    }
    bool window = e->kind == E_COL && e->index >= WIN_BASE;
    if (!window && (e->kind == E_COL || e->kind == E_DIM || e->kind == E_POS))
        return fail_at(c, ERR_GROUPING, e->pos,
                       "column \"%s\" must appear in the GROUP BY clause or be used in an "
                       "aggregate function",
                       scope_name_of(c, scope, e));
    struct expr *copy = arena_dup(c->arena, e, sizeof *e);
    copy->args = arena_array(c->arena, struct expr *, e->n_args + 1);
    if (e->kind == E_CALL && e->func->how == HOW_RANDOM) copy->n_args = 1; /* of the group's cell */
    for (int i = 0; i < copy->n_args; i++)
        TRY(over_groups(b, scope, agg, e->args[i], &copy->args[i]));
    *out = copy;
    return OK;
}
