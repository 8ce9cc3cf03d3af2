/* How do the cells of an array become a matrix? */
#include "query/argument.h"
#include "query/dense.h"
#include "storage/base/value.h"
#include <float.h>
#include <math.h>
#include <string.h>

struct argument argument_at(struct op *in, const char *function, const char *label, int n_batch,
                            int pos, const struct box *batch)
{
    struct argument o = {in, function, label, n_batch, pos, in->box};
    for (int d = 0; d < n_batch; d++) {
        o.box.lo[d] = batch->lo[d];
        o.box.hi[d] = batch->lo[d] + 1;
    }
    return o;
}

int64_t argument_rows(const struct argument *o)
{
    return box_extent(&o->box, o->n_batch);
}

int64_t argument_cols(const struct argument *o)
{
    return o->box.n_dims > o->n_batch + 1 ? box_extent(&o->box, o->n_batch + 1) : 1;
}

static void add_place(const struct argument *o, const int64_t *at, struct strbuf *text)
{
    for (int d = 0; d < o->box.n_dims; d++) {
        const struct rel_dim *dim = &o->in->plan->rel.dims[d];
        strbuf_addf(text, "%s%s = ", d ? ", " : "", dim->name ? dim->name : "?");
        struct value v = dim->axis ? axis_coord(dim->axis, at[d]) : value_int(T_INT64, at[d]);
        value_format(&v, text);
    }
}

void argument_place(const struct argument *o, int64_t row, int64_t col, struct strbuf *text)
{
    int64_t at[MAX_DIMS];
    memcpy(at, o->box.lo, sizeof at);
    at[o->n_batch] += row;
    if (o->box.n_dims > o->n_batch + 1) at[o->n_batch + 1] += col;
    add_place(o, at, text);
}

void argument_name(const struct argument *o, struct strbuf *text)
{
    if (o->label) strbuf_addf(text, " of \"%s\"", o->label);
}

static enum status refuse(struct ctx *c, const struct argument *o, const int64_t *at,
                          const char *what)
{
    struct strbuf name = STRBUF_INIT, place = STRBUF_INIT;
    argument_name(o, &name);
    add_place(o, at, &place);
    fail_at(c, ERR_MATRIX, o->pos, "%s: the cell%s at %s is %s", o->function, name.s ? name.s : "",
            place.s, what);
    strbuf_release(&name);
    strbuf_release(&place);
    return hint(c, "A sub-query can give it a value: coalesce(v, 0), nan_to_num(v).");
}

/* ---- loading ---- */

struct loader {
    struct sink sink;
    const struct argument *o;
    const struct blocked *to;
    int64_t lo, row, col; /* the argument's row lo goes to (row, col) */
    bool turned;
};

static bool all_finite(const double *v, int64_t n)
{
    bool fine = true;
    for (int64_t i = 0; i < n; i++)
        fine &= fabs(v[i]) <= DBL_MAX;
    return fine;
}

/* EMPTY cells as zeros. A cell that no algorithm can have is an error. */
static enum status clean_values(struct ctx *c, const struct argument *o, const struct chunk *ch,
                                const double **out)
{
    const struct column *col = &ch->cols[0];
    const double *v = col->values;
    void *memory;
    int64_t at[MAX_DIMS];
    *out = v;
    if (!ch->present && !col->valid && all_finite(v, ch->n)) return OK;
    TRY(scratch_zeroed(c, (size_t)ch->n * sizeof(double), &memory));
    double *clean = memory;
    for (int64_t i = 0; i < ch->n; i++) {
        if (ch->present && !bit_get(ch->present, i)) continue;
        if (!column_is_null(col, i) && isfinite(v[i])) {
            clean[i] = v[i];
            continue;
        }
        box_position(&ch->box, i, at);
        return refuse(c, o, at, column_is_null(col, i) ? "NULL" : isnan(v[i]) ? "NaN" : "infinite");
    }
    *out = clean;
    return OK;
}

static enum status load_box(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                            const struct chunk *ch)
{
    const struct loader *l = (struct loader *)sink;
    const struct argument *o = l->o;
    int d = o->n_batch;
    bool vector = o->box.n_dims == d + 1;
    int64_t row = ch->box.lo[d] - o->box.lo[d] - l->lo;
    int64_t col = vector ? 0 : ch->box.lo[d + 1] - o->box.lo[d + 1];
    int64_t rows = box_extent(&ch->box, d), cols = vector ? 1 : box_extent(&ch->box, d + 1);
    struct part p = {l->row + row, l->col + col, rows, cols, cols, 1};
    if (l->turned) p = (struct part){l->row + col, l->col + row, cols, rows, 1, cols};
    const double *v;
    (void)worker, (void)seq;
    TRY(clean_values(c, o, ch, &v));
    TRY(blocked_write(c, l->to, &p, v));
    return check_cancel(c);
}

enum status argument_load(struct ctx *c, const struct argument *o, int64_t lo, int64_t hi,
                          bool turned, const struct blocked *to, int64_t row, int64_t col)
{
    struct loader l = {.sink = {.consume = load_box, .cell_bytes = 16},
                       .o = o,
                       .to = to,
                       .lo = lo,
                       .row = row,
                       .col = col,
                       .turned = turned};
    struct box part = o->box;
    part.lo[o->n_batch] = o->box.lo[o->n_batch] + lo;
    part.hi[o->n_batch] = o->box.lo[o->n_batch] + hi;
    return exec_run(c, o->in, &part, &l.sink);
}

enum status argument_dense(struct ctx *c, const struct argument *o, struct dense *out)
{
    TRY(dense_new(c, argument_rows(o), argument_cols(o), out));
    struct blocked m = dense_blocks(out);
    return argument_load(c, o, 0, out->rows, false, &m, 0, 0);
}
