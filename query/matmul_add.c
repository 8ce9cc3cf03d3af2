/* How are the products of two panels added to a box of the result? */
#include "query/matmul.h"
#include <math.h>
#include <string.h>

#define SPARSE 32           /* a row with fewer than 1 in so many cells goes cell by cell */
#define EXACT_DOUBLE 0x1p53 /* integers up to it are doubles */

/* ---- which cells meet ---- */

/* out(i, k) |= some j: l(i, j) and r(j, k). Bits of rows. */
static void meet(uint64_t *out, const uint64_t *l, const uint64_t *r, int64_t rows, int64_t inner,
                 int64_t l_words, int64_t r_words)
{
    for (int64_t i = 0; i < rows; i++) {
        const uint64_t *bits = l + i * l_words;
        uint64_t *to = out + i * r_words;
        for (int64_t j = bits_next(bits, 0, inner); j < inner; j = bits_next(bits, j + 1, inner))
            for (int64_t w = 0; w < r_words; w++)
                to[w] |= r[j * r_words + w];
    }
}

static enum status nulls_of(struct ctx *c, const struct operand *o, int64_t words, uint64_t **out)
{
    void *memory;
    TRY(scratch_alloc(c, (size_t)words * 8 + 8, &memory));
    *out = memory;
    for (int64_t w = 0; w < words; w++)
        (*out)[w] = o->exists[w] & ~o->good[w];
    return OK;
}

static enum status meet_masked(struct ctx *c, struct product *p, const struct operand *l,
                               const struct operand *r)
{
    int64_t inner = l->m.cols, l_words = p->rows * l->row_words, r_words = inner * r->row_words;
    uint64_t *l_nulls = NULL, *r_nulls = NULL;
    if (p->nulls_spread && l->good != l->exists)
        TRY(nulls_of(c, l, p->n_batch * l_words, &l_nulls));
    if (p->nulls_spread && r->good != r->exists)
        TRY(nulls_of(c, r, p->n_batch * r_words, &r_nulls));
    for (int64_t b = 0; b < p->n_batch; b++) {
        uint64_t *met = p->met + b * p->rows * p->row_words;
        uint64_t *told = p->told + b * p->rows * p->row_words;
        const uint64_t *le = l->exists + b * l_words, *re = r->exists + b * r_words;
        meet(met, le, re, p->rows, inner, l->row_words, r->row_words);
        if (!p->nulls_spread)
            meet(told, l->good + b * l_words, r->good + b * r_words, p->rows, inner, l->row_words,
                 r->row_words);
        if (l_nulls)
            meet(told, l_nulls + b * l_words, re, p->rows, inner, l->row_words, r->row_words);
        if (r_nulls)
            meet(told, le, r_nulls + b * r_words, p->rows, inner, l->row_words, r->row_words);
    }
    return OK;
}

static void meet_all(struct product *p)
{
    for (int64_t b = 0; b < p->n_batch; b++) {
        if (p->full[b]) continue;
        for (int64_t i = b * p->rows; i < (b + 1) * p->rows; i++) {
            bits_fill(p->met, i * p->row_words * 64, p->cols, true);
            if (!p->nulls_spread) bits_fill(p->told, i * p->row_words * 64, p->cols, true);
        }
        p->full[b] = true;
    }
}

/* ---- floats ---- */

static const void *cell_at(enum type t, const void *values, int64_t i)
{
    return (const char *)values + i * (int64_t)type_bytes(t);
}

static void add_scaled(enum type t, double a, const void *row, int64_t n, void *to)
{
    if (t == T_FLOAT32) {
        const float *x = row;
        float *y = to, f = (float)a;
        for (int64_t i = 0; i < n; i++)
            y[i] += f * x[i];
    } else {
        const double *x = row;
        double *y = to;
        for (int64_t i = 0; i < n; i++)
            y[i] += a * x[i];
    }
}

static double value_at(enum type t, const void *values, int64_t i)
{
    return t == T_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* Rows of the left with few cells one cell at a time, runs of others as matrices. Which row goes
 * how hangs on that row's panel alone, so that boxes of any size give the same bits. */
static void add_by_rows(const struct product *p, const struct operand *l, const struct matrix *a,
                        const struct matrix *b, const uint64_t *good, char *to)
{
    int64_t width = p->stride * (int64_t)type_bytes(p->type), dense = 0;
    for (int64_t i = 0; i <= a->rows; i++) {
        const uint64_t *bits = good + i * l->row_words;
        bool sparse = i < a->rows && bits_count(bits, 0, a->cols) * SPARSE < a->cols;
        if (i < a->rows && !sparse) continue;
        if (dense < i) {
            struct matrix run = *a;
            run.values = cell_at(p->type, a->values, dense * a->row_stride);
            run.rows = i - dense;
            blas_add_product(p->type, &run, b, p->vector, to + dense * width, p->stride);
        }
        dense = i + 1;
        if (i == a->rows) break;
        for (int64_t j = bits_next(bits, 0, a->cols); j < a->cols;
             j = bits_next(bits, j + 1, a->cols))
            add_scaled(p->type, value_at(p->type, a->values, i * a->row_stride + j),
                       cell_at(p->type, b->values, j * b->row_stride), p->cols, to + i * width);
    }
}

static void add_to(const struct product *p, int64_t batch, int64_t row, int64_t col, double v)
{
    int64_t at = batch * p->batch_step + row * p->stride + col;
    if (p->type == T_FLOAT32)
        ((float *)p->values)[at] += (float)v;
    else
        ((double *)p->values)[at] += v;
}

static void put_back(const struct product *p, const struct operand *o)
{
    char *values;
    const void *of = o->m.values;
    memcpy(&values, &of, sizeof values); /* a masked operand's values are its own */
    for (int64_t i = 0; i < o->n_odd; i++) {
        const struct odd *x = &o->odd[i];
        int64_t at = x->batch * o->batch_step + x->row * o->m.cols + x->col;
        if (p->type == T_FLOAT32)
            ((float *)(void *)values)[at] = (float)x->value;
        else
            ((double *)(void *)values)[at] = x->value;
    }
}

/* What infinities and NaN add: to which cells they go is all that counts, as the sums there are no
 * numbers any more. */
static void add_odd(const struct product *p, const struct operand *l, const struct operand *r)
{
    int64_t inner = l->m.cols;
    put_back(p, l);
    put_back(p, r);
    for (int64_t i = 0; i < l->n_odd; i++) {
        const struct odd *x = &l->odd[i];
        int64_t row = x->batch * inner + x->col;
        for (int64_t k = 0; k < p->cols; k++)
            if (bit_get(r->good + row * r->row_words, k))
                add_to(p, x->batch, x->row, k,
                       x->value * value_at(p->type, r->m.values, row * p->cols + k));
    }
    for (int64_t i = 0; i < r->n_odd; i++) {
        const struct odd *y = &r->odd[i];
        for (int64_t m = 0; m < p->rows; m++) {
            int64_t row = y->batch * p->rows + m;
            if (bit_get(l->good + row * l->row_words, y->row))
                add_to(p, y->batch, m, y->col,
                       y->value * value_at(p->type, l->m.values, row * inner + y->row));
        }
    }
}

static void add_floats(const struct product *p, const struct operand *l, const struct operand *r)
{
    int64_t bytes = (int64_t)type_bytes(p->type);
    for (int64_t k = 0; k < p->n_batch; k++) {
        struct matrix a = l->m, b = r->m;
        char *to = (char *)p->values + k * p->batch_step * bytes;
        a.values = cell_at(p->type, a.values, k * l->batch_step);
        b.values = cell_at(p->type, b.values, k * r->batch_step);
        if (l->good)
            add_by_rows(p, l, &a, &b, l->good + k * p->rows * l->row_words, to);
        else if (p->diagonal)
            blas_add_gram(p->type, &b, to, p->stride);
        else
            blas_add_product(p->type, &a, &b, p->vector, to, p->stride);
    }
    add_odd(p, l, r);
}

/* ---- integers ---- */

static double largest(const struct operand *o, int64_t n_batch)
{
    uint64_t most = 0;
    for (int64_t k = 0; k < n_batch; k++)
        for (int64_t i = 0; i < o->m.rows; i++)
            for (int64_t j = 0; j < o->m.cols; j++) {
                int64_t at = k * o->batch_step + i * o->m.row_stride + j * o->m.col_stride;
                int64_t v = ((const int64_t *)o->m.values)[at];
                uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v;
                if (size > most) most = size;
            }
    return (double)most;
}

static void to_doubles(const struct matrix *m, double *out)
{
    const int64_t *v = m->values;
    for (int64_t i = 0; i < m->rows; i++)
        for (int64_t j = 0; j < m->cols; j++)
            out[i * m->cols + j] = (double)v[i * m->row_stride + j * m->col_stride];
}

/* No partial sum is past 2^53: doubles have it exactly. */
static enum status add_by_doubles(struct ctx *c, const struct product *p, const struct matrix *a,
                                  const struct matrix *b, i128 *to)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *x, *y, *z;
    TRY(scratch_alloc(c, (size_t)(a->rows * a->cols) * 8 + 8, &x));
    TRY(scratch_alloc(c, (size_t)(b->rows * b->cols) * 8 + 8, &y));
    TRY(scratch_zeroed(c, (size_t)(a->rows * b->cols) * 8 + 8, &z));
    to_doubles(a, x);
    to_doubles(b, y);
    struct matrix l = {x, a->rows, a->cols, a->cols, 1}, r = {y, b->rows, b->cols, b->cols, 1};
    blas_add_product(T_FLOAT64, &l, &r, p->vector, z, b->cols);
    for (int64_t i = 0; i < a->rows * b->cols; i++)
        to[i] += (int64_t)((const double *)z)[i];
    scratch_release(c->scratch, mark);
    return OK;
}

static bool add_by_words(const struct matrix *a, const struct matrix *b, i128 *to)
{
    bool past = false;
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t j = 0; j < a->cols; j++) {
            int64_t x = ((const int64_t *)a->values)[i * a->row_stride + j * a->col_stride];
            const int64_t *y = (const int64_t *)b->values + j * b->row_stride;
            for (int64_t k = 0; k < b->cols && x; k++)
                past |= __builtin_add_overflow(to[i * b->cols + k], (i128)x * y[k * b->col_stride],
                                               &to[i * b->cols + k]);
        }
    return !past;
}

static enum status add_integers(struct ctx *c, const struct product *p, const struct operand *l,
                                const struct operand *r, int pos)
{
    double most = largest(l, p->n_batch) * largest(r, p->n_batch) * (double)l->m.cols;
    for (int64_t k = 0; k < p->n_batch; k++) {
        struct matrix a = l->m, b = r->m;
        a.values = cell_at(T_INT64, a.values, k * l->batch_step);
        b.values = cell_at(T_INT64, b.values, k * r->batch_step);
        i128 *to = p->wide + k * p->rows * p->cols;
        if (most < EXACT_DOUBLE)
            TRY(add_by_doubles(c, p, &a, &b, to));
        else if (!add_by_words(&a, &b, to))
            return fail_at(c, ERR_OVERFLOW, pos, "bigint out of range");
        TRY(check_cancel(c));
    }
    return OK;
}

enum status product_add(struct ctx *c, struct product *p, const struct operand *l,
                        const struct operand *r, int pos)
{
    if (l->good)
        TRY(meet_masked(c, p, l, r));
    else
        meet_all(p);
    if (p->type == T_INT64) return add_integers(c, p, l, r, pos);
    add_floats(p, l, r);
    return OK;
}
