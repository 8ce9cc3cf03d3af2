/* What does each function of matrix algebra make of its factorisation? */
#include "query/linalg.h"
#include "storage/base/budget.h"
#include <string.h>

static const struct {
    const char *name;
    int takes, gives;
} functions[] = {
#define X(id, name, takes, gives) {name, takes, gives},
    LINALG_LIST(X)
#undef X
};

const char *linalg_name(enum linalg_fn fn)
{
    return functions[fn].name;
}

int linalg_takes(enum linalg_fn fn)
{
    return functions[fn].takes;
}

int linalg_gives(enum linalg_fn fn)
{
    return functions[fn].gives;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static double *cell(const struct dense *m, int64_t i, int64_t k)
{
    return m->v + i + k * m->rows;
}

/* ---- by LU ---- */

static enum status pivots_of(struct ctx *c, const struct dense *a, int32_t **out)
{
    void *memory;
    TRY(buf_alloc(c, sizeof(int32_t) * (size_t)(least(a->rows, a->cols) + 1), &memory));
    *out = memory;
    return OK;
}

static enum status lu_solve(struct ctx *c, struct dense *a, const struct dense *b,
                            struct dense *out, enum linalg_trouble *trouble, int64_t *at)
{
    int32_t *pivot;
    TRY(pivots_of(c, a, &pivot));
    enum status st = dense_lu(c, a, pivot, at);
    if (st == OK && *at >= 0) *trouble = LA_SINGULAR;
    if (st == OK && *at < 0) {
        st = b ? dense_copy(c, b, out) : dense_new(c, a->rows, a->rows, out);
        for (int64_t i = 0; i < a->rows && !b && st == OK; i++)
            *cell(out, i, i) = 1;
        if (st == OK) st = dense_lu_solve(c, a, pivot, out);
    }
    buf_free(pivot);
    return st;
}

static enum status determinant(struct ctx *c, struct dense *a, struct dense *out)
{
    int32_t *pivot;
    int64_t at;
    double det = 1;
    TRY(dense_new(c, 1, 1, out));
    TRY(pivots_of(c, a, &pivot));
    enum status st = dense_lu(c, a, pivot, &at);
    for (int64_t i = 0; i < a->rows && st == OK; i++)
        det *= pivot[i] == i + 1 ? *cell(a, i, i) : -*cell(a, i, i);
    out->v[0] = det;
    buf_free(pivot);
    return st;
}

/* The triangles of the factors, and the permutation as a matrix. */
static enum status split_lu(struct ctx *c, const struct dense *a, const int32_t *pivot,
                            struct dense *out)
{
    int64_t k = least(a->rows, a->cols);
    void *memory;
    TRY(dense_new(c, a->rows, a->rows, &out[0]));
    TRY(dense_new(c, a->rows, k, &out[1]));
    TRY(dense_new(c, k, a->cols, &out[2]));
    TRY(buf_alloc(c, sizeof(int64_t) * (size_t)(a->rows + 1), &memory));
    int64_t *row = memory;
    for (int64_t i = 0; i < a->rows; i++)
        row[i] = i;
    for (int64_t i = 0; i < k; i++) {
        int64_t other = pivot[i] - 1, was = row[i];
        row[i] = row[other];
        row[other] = was;
    }
    for (int64_t i = 0; i < a->rows; i++)
        *cell(&out[0], row[i], i) = 1;
    buf_free(memory);
    for (int64_t j = 0; j < k; j++) {
        *cell(&out[1], j, j) = 1;
        for (int64_t i = j + 1; i < a->rows; i++)
            *cell(&out[1], i, j) = *cell(a, i, j);
    }
    for (int64_t j = 0; j < a->cols; j++)
        memcpy(cell(&out[2], 0, j), cell(a, 0, j), sizeof(double) * (size_t)least(j + 1, k));
    return OK;
}

static enum status lu(struct ctx *c, struct dense *a, struct dense *out)
{
    int32_t *pivot;
    int64_t at;
    TRY(pivots_of(c, a, &pivot));
    enum status st = dense_lu(c, a, pivot, &at);
    if (st == OK) st = split_lu(c, a, pivot, out);
    buf_free(pivot);
    return st;
}

/* ---- the others ---- */

static enum status qr(struct ctx *c, struct dense *a, struct dense *out)
{
    int64_t k = least(a->rows, a->cols);
    void *tau;
    TRY(dense_new(c, a->rows, k, &out[0]));
    TRY(dense_new(c, k, a->cols, &out[1]));
    TRY(buf_alloc(c, sizeof(double) * (size_t)(k + 1), &tau));
    enum status st = dense_qr(c, a, tau);
    if (st == OK) st = dense_qr_q(c, a, tau, &out[0]);
    for (int64_t j = 0; j < a->cols && st == OK; j++)
        memcpy(cell(&out[1], 0, j), cell(a, 0, j), sizeof(double) * (size_t)least(j + 1, k));
    buf_free(tau);
    return st;
}

static enum status svd(struct ctx *c, struct dense *a, struct dense *out, int64_t *at)
{
    int64_t k = least(a->rows, a->cols);
    TRY(dense_new(c, a->rows, k, &out[0]));
    TRY(dense_new(c, k, 1, &out[1]));
    TRY(dense_new(c, k, a->cols, &out[2]));
    return dense_svd(c, a, &out[0], out[1].v, &out[2], at);
}

static enum status lstsq(struct ctx *c, struct dense *a, const struct dense *b, struct dense *out,
                         int64_t *at)
{
    struct dense x;
    TRY(dense_new(c, a->cols, b->cols, out));
    TRY(dense_new(c, a->rows > a->cols ? a->rows : a->cols, b->cols, &x));
    for (int64_t k = 0; k < b->cols; k++)
        memcpy(cell(&x, 0, k), cell(b, 0, k), sizeof(double) * (size_t)b->rows);
    enum status st = dense_lstsq(c, a, &x, at);
    for (int64_t k = 0; k < b->cols; k++)
        memcpy(cell(out, 0, k), cell(&x, 0, k), sizeof(double) * (size_t)out->rows);
    dense_free(&x);
    return st;
}

static enum status eigh(struct ctx *c, struct dense *a, struct dense *out, int64_t *at)
{
    TRY(dense_new(c, a->rows, 1, &out[0]));
    out[1] = *a;
    a->v = NULL;
    return dense_eigh(c, &out[1], out[0].v, at);
}

enum status linalg_run(struct ctx *c, enum linalg_fn fn, struct dense *in, struct dense *out,
                       enum linalg_trouble *trouble, int64_t *at)
{
    enum status st = OK;
    *trouble = LA_FINE;
    *at = -1;
    switch (fn) {
    case LA_INVERSE:
        return lu_solve(c, &in[0], NULL, &out[0], trouble, at);
    case LA_SOLVE:
        return lu_solve(c, &in[0], &in[1], &out[0], trouble, at);
    case LA_CHOLESKY:
        out[0] = in[0];
        in[0].v = NULL;
        st = dense_cholesky(c, &out[0], at);
        if (*at >= 0) *trouble = LA_NOT_POSITIVE;
        return st;
    case LA_DET:
        return determinant(c, &in[0], &out[0]);
    case LA_LU:
        return lu(c, &in[0], out);
    case LA_QR:
        return qr(c, &in[0], out);
    case LA_LSTSQ:
        st = lstsq(c, &in[0], &in[1], &out[0], at);
        break;
    case LA_SVD:
        st = svd(c, &in[0], out, at);
        break;
    case LA_EIGH:
        st = eigh(c, &in[0], out, at);
        break;
    case N_LINALG:
        break;
    }
    if (*at >= 0) *trouble = LA_NO_CONVERGENCE;
    *at = -1;
    return st;
}
