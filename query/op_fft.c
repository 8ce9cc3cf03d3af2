/* The discrete Fourier transform along one dimension, as NumPy's: the only file that knows FFTW.
 *
 * A box is made from whole lines of the input. Each line is transformed by itself, in memory of its
 * own, so its result has the same bits whatever the boxes. EMPTY cells count as 0; a NULL makes its
 * line NULL. */
#include "query/op_classes.h"
#include "query/reach.h"
#include <complex.h>
#include <fftw3.h>
#include <pthread.h>
#include <string.h>

struct fft {
    int dim;
    int64_t lo, n;  /* a line's first position, its length */
    bool real_only; /* the input has no imaginary part */
    fftw_plan plan;
    struct budget *budget; /* charged for the plan's tables */
    int64_t charged;
};

/* FFTW plans under one lock; it executes them without. */
static pthread_mutex_t planning = PTHREAD_MUTEX_INITIALIZER;

bool fft_reach(const struct op *op, const struct box *want, struct box *out)
{
    int d = op->plan->fft_dim;
    *out = *want;
    out->lo[d] = op->plan->region.lo[d];
    out->hi[d] = op->plan->region.hi[d];
    return true;
}

/* Planning alone takes tables as long as the line; a box is made from a line and its transform. */
static enum status charge_plan(struct ctx *c, struct fft *f, int pos)
{
    int64_t line = f->n * (int64_t)sizeof(fftw_complex);
    if (!c->budget) return OK;
    if (budget_left(c->budget) >= 4 * line && budget_take(c->budget, line)) {
        f->budget = c->budget;
        f->charged = line;
        return OK;
    }
    const char *limit = memory_limit_name(c);
    fail_at(c, ERR_MEMORY, pos,
            "out of memory: fft of a line of %lld cells takes more than %s leaves", (long long)f->n,
            limit);
    return hint(c, "Raise %s, or transform shorter lines.", limit);
}

static enum status fft_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct fft *f = arena_new_of(c->arena, struct fft);
    op->state = f;
    f->dim = p->fft_dim;
    f->lo = p->region.lo[f->dim];
    f->n = box_extent(&p->region, f->dim);
    f->real_only = p->in[0]->rel.n_cols == 1;
    for (int d = 0; d < p->rel.n_dims; d++) {
        op->box.lo[d] = p->rel.dims[d].lo;
        op->box.hi[d] = p->rel.dims[d].hi;
        op->grid[d] = d == f->dim ? grid_whole(&op->box, d) : op->in[0]->grid[d];
    }
    for (int d = 0; d < p->rel.n_dims && grid_cells(op) > 256 * 1024; d++)
        while (d != f->dim && op->grid[d] > 1 && grid_cells(op) > 256 * 1024)
            op->grid[d] = grid_halve(op->grid[d]);
    if (f->n > INT32_MAX / 2)
        return fail_at(c, ERR_LIMIT_EXCEEDED, p->pos, "fft: a line of %lld cells is too long",
                       (long long)f->n);
    if (f->n == 0) return OK;
    TRY(charge_plan(c, f, p->pos));
    int n = (int)f->n;
    pthread_mutex_lock(&planning);
    /* An estimate doesn't look at the array, and unaligned plans fit any; this one works in place,
     * so lines must too. */
    static fftw_complex none[1];
    f->plan = fftw_plan_dft_1d(n, none, none, p->inverse ? FFTW_BACKWARD : FFTW_FORWARD,
                               FFTW_ESTIMATE | FFTW_UNALIGNED);
    pthread_mutex_unlock(&planning);
    return f->plan ? OK : fail(c, ERR_INTERNAL, "fft: no plan for %lld cells", (long long)f->n);
}

static void fft_close(struct op *op)
{
    struct fft *f = op->state;
    if (f && f->charged) budget_give(f->budget, f->charged);
    if (f) f->charged = 0;
    if (!f || !f->plan) return;
    pthread_mutex_lock(&planning);
    fftw_destroy_plan(f->plan);
    pthread_mutex_unlock(&planning);
    f->plan = NULL;
}

static double part_of(const struct column *col, int64_t i)
{
    return col->type == T_FLOAT32 ? (double)((const float *)col->values)[i]
                                  : ((const double *)col->values)[i];
}

/* The line at the position; false: a value is NULL. The input may have less than all of it. */
static bool read_line(const struct fft *f, const struct chunk *in, const int64_t *pos,
                      fftw_complex *line)
{
    const struct box *b = &in->box;
    int64_t start[MAX_DIMS], step = 1;
    bool whole = true;
    for (int64_t k = 0; k < f->n; k++)
        line[k] = 0;
    if (in->n_present == 0) return true;
    for (int d = 0; d < b->n_dims; d++) {
        start[d] = d == f->dim ? b->lo[d] : pos[d];
        if (start[d] < b->lo[d] || start[d] >= b->hi[d]) return true;
        if (d > f->dim) step *= box_extent(b, d);
    }
    int64_t at = box_index(b, start), end = b->hi[f->dim] - f->lo;
    for (int64_t k = b->lo[f->dim] - f->lo; k < end; k++, at += step) {
        if (in->present && !bit_get(in->present, at)) continue;
        for (int i = 0; i < in->n_cols; i++)
            whole = whole && !column_is_null(&in->cols[i], at);
        line[k] = part_of(&in->cols[0], at) + (f->real_only ? 0 : part_of(&in->cols[1], at) * I);
    }
    return whole;
}

static void write_line(const struct fft *f, const struct op *op, struct chunk *out, int64_t from,
                       int64_t step, bool whole, const fftw_complex *line)
{
    int64_t first = out->box.lo[f->dim] - op->plan->rel.dims[f->dim].axis->lo;
    double scale = op->plan->inverse ? 1 / (double)f->n : 1;
    for (int64_t k = 0, n = box_extent(&out->box, f->dim); k < n; k++) {
        fftw_complex x = line[first + k] * scale;
        double parts[2] = {creal(x), cimag(x)};
        for (int i = 0; i < out->n_cols; i++) {
            const int which = op->plan->fft_parts[i];
            ((double *)out->cols[i].values)[from + k * step] = parts[which];
            if (!whole) bit_clear(out->cols[i].valid, from + k * step);
        }
    }
}

static enum status fft_produce(struct ctx *c, struct op *op, const struct box *want,
                               struct chunk *out)
{
    const struct fft *f = op->state;
    struct box reach;
    struct chunk in = {.n_present = 0}, ch;
    void *memory;
    TRY(chunk_alloc(c, &op->plan->rel, want, &ch));
    for (int i = 0; i < ch.n_cols; i++)
        TRY(column_need_valid(c, &ch.cols[i], ch.n));
    TRY(scratch_alloc(c, sizeof(fftw_complex) * (size_t)(f->n + 1), &memory));
    fftw_complex *line = memory;
    bool any = op_reach(op, 0, want, &reach);
    if (any) TRY(op_produce(c, op->in[0], &reach, &in));
    int64_t inner = 1, outer = 1, n = box_extent(want, f->dim);
    for (int d = 0; d < want->n_dims; d++)
        *(d < f->dim ? &outer : &inner) *= d == f->dim ? 1 : box_extent(want, d);
    for (int64_t o = 0; o < outer && f->n; o++) {
        for (int64_t i = 0; i < inner; i++) {
            int64_t pos[MAX_DIMS], from = o * n * inner + i;
            box_position(want, from, pos);
            bool whole = read_line(f, &in, pos, line);
            fftw_execute_dft(f->plan, line, line);
            write_line(f, op, &ch, from, inner, whole, line);
        }
    }
    *out = ch;
    return OK;
}

const struct op_class op_fft_class = {"fft", fft_open, fft_produce, fft_close};
