/* Which rows are a row's partition, its peers, its frame? After PostgreSQL's nodeWindowAgg.c in
 * meaning: the edges of RANGE and GROUPS frames move over the rows once per partition.
 *
 * One walker a question reads the sorted rows, so that the frame may be larger than memory. */
#include "query/window_internal.h"
#include "storage/base/datetime.h"
#include "storage/base/fsum.h"
#include <math.h>
#include <stdlib.h>

/* The order key of a row, and where a RANGE frame ends by it: numbers, days and times exactly. */
struct range_value {
    bool null, nan;
    i128 i;
    double d;
};

struct edge {
    enum frame_bound bound;
    bool end;             /* of the frame, not its start */
    int64_t offset;       /* ROWS, GROUPS */
    struct value by;      /* RANGE */
    int64_t row, group;   /* how far it got: GROUPS, RANGE with an offset */
    struct row_cursor at; /* marks (GROUPS), the order key (RANGE) */
};

struct framer {
    const struct row_window *w;
    const struct sorted_rows *s;
    const struct rowset_key *key; /* RANGE with offsets: the order key */
    enum type type;               /* of it */
    int64_t next;
    int64_t part_lo, part_hi, peer_lo, peer_hi;
    int64_t group; /* number of the row's peers in the partition */
    struct row_cursor here, part_ahead, peer_ahead, keys;
    struct edge from, to;
    struct frames frames;
};

bool window_is_whole(const struct row_window *w)
{
    bool peers = w->unit != FRAME_ROWS && w->n_order == 0;
    return w->exclude == EXCLUDE_NONE &&
           (w->from == BOUND_UNBOUNDED_PRECEDING || (peers && w->from == BOUND_CURRENT)) &&
           (w->to == BOUND_UNBOUNDED_FOLLOWING || (peers && w->to == BOUND_CURRENT));
}

/* ---- marks ---- */

/* The first row in [from, end) whose mark is below `below`; end if there is none. */
static enum status find_mark(struct ctx *c, struct row_cursor *cur, int64_t from, int64_t end,
                             int below, int64_t *out)
{
    for (int64_t row = from; row < end; row = cur->hi) {
        int64_t at, n;
        TRY(cursor_at(c, cur, row, &at));
        const int16_t *marks = cur->cols[0].values;
        n = (end < cur->hi ? end : cur->hi) - cur->lo;
        while (at < n && marks[at] >= below)
            at++;
        if (at < n) {
            *out = cur->lo + at;
            return OK;
        }
    }
    *out = end;
    return OK;
}

/* ---- RANGE ---- */

static struct range_value range_value(enum type t, const struct column *col, int64_t i)
{
    struct range_value v = {.null = column_is_null(col, i)};
    if (v.null) return v;
    struct value x = value_get(t, col->values, i);
    switch (t) {
    case T_FLOAT32:
    case T_FLOAT64:
        v.d = x.d;
        v.nan = x.d != x.d;
        break;
    case T_UINT8:
    case T_UINT16:
    case T_UINT32:
    case T_UINT64:
        v.i = (i128)x.u;
        break;
    case T_DATE:
        v.i = x.i == DATE_INFINITY         ? (i128)TIMESTAMP_INFINITY
              : x.i == DATE_MINUS_INFINITY ? (i128)TIMESTAMP_MINUS_INFINITY
                                           : (i128)x.i * US_PER_DAY;
        break;
    case T_INTERVAL:
        v.i = interval_us(&x.iv);
        break;
    default:
        v.i = x.i;
        break;
    }
    return v;
}

static struct interval negated(struct interval iv)
{
    return (struct interval){.us = -iv.us, .days = -iv.days, .months = -iv.months};
}

/* The key of the current row less or plus the offset. */
static enum status range_bound(struct ctx *c, const struct framer *f, const struct edge *e,
                               const struct column *col, int64_t at, struct range_value *out)
{
    bool minus = (e->bound == BOUND_PRECEDING) != f->key->desc;
    struct range_value v = range_value(f->type, col, at);
    *out = v;
    if (v.null) return OK;
    if (type_is_float(f->type)) {
        out->d = minus ? v.d - e->by.d : v.d + e->by.d;
    } else if (f->type == T_DATE || f->type == T_TIMESTAMP) {
        struct interval iv = minus ? negated(e->by.iv) : e->by.iv;
        int64_t us;
        TRY(timestamp_add(c, (int64_t)v.i, &iv, &us));
        out->i = us;
    } else if (f->type == T_INTERVAL) {
        out->i = minus ? v.i - interval_us(&e->by.iv) : v.i + interval_us(&e->by.iv);
    } else {
        i128 by = e->by.type == T_UINT64 ? (i128)e->by.u : (i128)e->by.i;
        out->i = minus ? v.i - by : v.i + by;
    }
    return OK;
}

/* Does a row with this key lie on the frame's side of the bound? base: the current row's key. */
static bool in_range(const struct framer *f, const struct edge *e, const struct range_value *key,
                     const struct range_value *base, const struct range_value *bound)
{
    bool less = e->end != f->key->desc;
    if (!type_is_float(f->type)) return less ? key->i <= bound->i : key->i >= bound->i;
    bool minus = (e->bound == BOUND_PRECEDING) != f->key->desc;
    if (key->nan) return base->nan || !less;
    if (base->nan) return less;
    if (isinf(e->by.d) && isinf(base->d) && (minus ? base->d > 0 : base->d < 0)) return true;
    return less ? key->d <= bound->d : key->d >= bound->d;
}

/* Whether the edge stops before a row, when one of the two keys is NULL. */
static bool stops_at_null(const struct framer *f, const struct edge *e, bool key, bool current)
{
    if (f->key->nulls_first) return e->end ? !key : !key || current;
    return e->end ? !current : key || !current;
}

static enum status move_range(struct ctx *c, struct framer *f, struct edge *e)
{
    int64_t at;
    TRY(cursor_at(c, &f->keys, f->peer_lo, &at));
    struct range_value base = range_value(f->type, &f->keys.cols[0], at), bound;
    TRY(range_bound(c, f, e, &f->keys.cols[0], at, &bound));
    for (; e->row < f->part_hi; e->row++) {
        TRY(cursor_at(c, &e->at, e->row, &at));
        struct range_value key = range_value(f->type, &e->at.cols[0], at);
        bool stop;
        if (key.null || base.null)
            stop = stops_at_null(f, e, key.null, base.null);
        else
            stop = in_range(f, e, &key, &base, &bound) != e->end;
        if (stop) break;
    }
    return OK;
}

/* ---- GROUPS ---- */

static enum status move_groups(struct ctx *c, struct framer *f, struct edge *e)
{
    int64_t target;
    if (e->bound == BOUND_PRECEDING)
        target = f->group - e->offset;
    else if (__builtin_add_overflow(f->group, e->offset, &target))
        target = INT64_MAX - 1;
    target += e->end;
    while (e->group < target && e->row < f->part_hi) {
        TRY(find_mark(c, &e->at, e->row + 1, f->part_hi, f->w->n_partition + f->w->n_order,
                      &e->row));
        e->group++;
    }
    return OK;
}

/* ---- frames ---- */

static bool walks(const struct framer *f, const struct edge *e)
{
    return f->w->unit != FRAME_ROWS && (e->bound == BOUND_PRECEDING || e->bound == BOUND_FOLLOWING);
}

static enum status move_edge(struct ctx *c, struct framer *f, struct edge *e)
{
    if (!walks(f, e)) return OK;
    return f->w->unit == FRAME_GROUPS ? move_groups(c, f, e) : move_range(c, f, e);
}

static int64_t edge_row(const struct framer *f, const struct edge *e, int64_t row)
{
    bool rows = f->w->unit == FRAME_ROWS;
    switch (e->bound) {
    case BOUND_UNBOUNDED_PRECEDING:
        return f->part_lo;
    case BOUND_UNBOUNDED_FOLLOWING:
        return f->part_hi;
    case BOUND_CURRENT:
        if (rows) return row + e->end;
        return e->end ? f->peer_hi : f->peer_lo;
    case BOUND_PRECEDING:
    case BOUND_FOLLOWING:
        break;
    }
    if (!rows) return e->row;
    int64_t at = row + e->end;
    if (e->bound == BOUND_PRECEDING)
        at = e->offset > at - f->part_lo ? f->part_lo : at - e->offset;
    else
        at = e->offset > f->part_hi - at ? f->part_hi : at + e->offset;
    return at;
}

/* The next row's partition and peers. */
static enum status enter_row(struct ctx *c, struct framer *f, int64_t row)
{
    int64_t at;
    int n_partition = f->w->n_partition, n_keys = n_partition + f->w->n_order;
    TRY(cursor_at(c, &f->here, row, &at));
    int mark = ((const int16_t *)f->here.cols[0].values)[at];
    if (row == 0 || mark < n_partition) {
        f->part_lo = row;
        TRY(find_mark(c, &f->part_ahead, row + 1, f->s->n, n_partition, &f->part_hi));
        f->group = -1;
        f->from.row = f->to.row = row;
        f->from.group = f->to.group = 0;
    } else if (mark >= n_keys) {
        return OK;
    }
    f->group++;
    f->peer_lo = row;
    TRY(find_mark(c, &f->peer_ahead, row + 1, f->part_hi, n_keys, &f->peer_hi));
    TRY(move_edge(c, f, &f->from));
    return move_edge(c, f, &f->to);
}

enum status framer_next(struct ctx *c, struct framer *f, int64_t n, const struct frames **out)
{
    struct frames *to = &f->frames;
    to->first = f->next;
    to->n = n;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = f->next + i;
        TRY(enter_row(c, f, row));
        to->part_lo[i] = f->part_lo;
        to->part_hi[i] = f->part_hi;
        to->peer_lo[i] = f->peer_lo;
        to->peer_hi[i] = f->peer_hi;
        to->lo[i] = edge_row(f, &f->from, row);
        to->hi[i] = edge_row(f, &f->to, row);
        if (to->hi[i] < to->lo[i]) to->hi[i] = to->lo[i];
    }
    f->next += n;
    *out = to;
    return OK;
}

/* ---- making ---- */

static enum status offset_value(struct ctx *c, const struct env *env, const struct framer *f,
                                const struct expr *e, struct edge *to)
{
    const char *which = to->end ? "ending" : "starting";
    struct value v;
    TRY(expr_eval_const(c, e, env, &v));
    if (v.null)
        return fail_at(c, ERR_NULL_VALUE, e->pos, "frame %s offset must not be null", which);
    if (f->w->unit != FRAME_RANGE) {
        if (v.i < 0)
            return fail_at(c, ERR_FRAME_SIZE, e->pos, "frame %s offset must not be negative",
                           which);
        to->offset = v.i;
        return OK;
    }
    bool bad = type_is_float(v.type)      ? !(v.d >= 0)
               : v.type == T_INTERVAL     ? interval_us(&v.iv) < 0
               : type_is_unsigned(v.type) ? false
                                          : v.i < 0;
    if (bad)
        return fail_at(c, ERR_FRAME_SIZE, e->pos,
                       "invalid preceding or following size in window function");
    to->by = v;
    return OK;
}

static enum status edge_init(struct ctx *c, struct framer *f, const struct env *env,
                             const struct expr *offset, struct edge *e)
{
    const int first = 0;
    if (offset) TRY(offset_value(c, env, f, offset, e));
    if (!walks(f, e)) return OK;
    if (f->w->unit == FRAME_GROUPS)
        cursor_init(c, &e->at, f->s->marks, &first, 1);
    else
        cursor_init(c, &e->at, f->s->rows, &f->key->column, 1);
    return OK;
}

enum status framer_new(struct ctx *c, const struct row_window *w, const struct env *env,
                       const struct sorted_rows *s, struct framer **out)
{
    const int first = 0;
    struct framer *f = calloc(1, sizeof *f);
    if (!f) return fail(c, ERR_MEMORY, "out of memory");
    f->w = w;
    f->s = s;
    f->from = (struct edge){.bound = w->from};
    f->to = (struct edge){.bound = w->to, .end = true};
    cursor_init(c, &f->here, s->marks, &first, 1);
    cursor_init(c, &f->part_ahead, s->marks, &first, 1);
    cursor_init(c, &f->peer_ahead, s->marks, &first, 1);
    if (w->unit == FRAME_RANGE && (walks(f, &f->from) || walks(f, &f->to))) {
        f->key = &s->keys[w->n_partition];
        f->type = w->order[0].e->type;
        cursor_init(c, &f->keys, s->rows, &f->key->column, 1);
    }
    enum status st = edge_init(c, f, env, w->from_offset, &f->from);
    if (st == OK) st = edge_init(c, f, env, w->to_offset, &f->to);
    if (st < 0)
        framer_free(f);
    else
        *out = f;
    return st;
}

void framer_free(struct framer *f)
{
    if (!f) return;
    cursor_free(&f->here);
    cursor_free(&f->part_ahead);
    cursor_free(&f->peer_ahead);
    cursor_free(&f->keys);
    cursor_free(&f->from.at);
    cursor_free(&f->to.at);
    free(f);
}
