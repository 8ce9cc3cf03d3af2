/* Where are the elements of a matrix that may be larger than memory? */
#include "query/blocked.h"
#include "query/blas.h"
#include "storage/base/budget.h"
#include <string.h>

#define SQUARE 8 /* turned round at once: a cache line each way */

void overflow_close(struct overflow *o)
{
    spill_free(o->spill);
    o->spill = NULL;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Cells of all blocks, those past the edge included. */
static enum status padded_cells(struct ctx *c, const struct blocked *m, int64_t *out)
{
    int64_t down = (m->rows + m->block_rows - 1) / m->block_rows * m->block_rows;
    int64_t across = (m->cols + m->block_cols - 1) / m->block_cols * m->block_cols;
    if (m->block_rows > INT32_MAX || m->block_cols > INT32_MAX ||
        __builtin_mul_overflow(down, across, out) || *out > INT64_MAX / 16)
        return fail(c, ERR_LIMIT_EXCEEDED, "a matrix of %lld × %lld is too large",
                    (long long)m->rows, (long long)m->cols);
    return OK;
}

enum status blocked_new(struct ctx *c, struct overflow *o, int64_t rows, int64_t cols,
                        int64_t block_rows, int64_t block_cols, enum place place,
                        struct blocked *out)
{
    int64_t cells;
    void *v = NULL;
    *out = (struct blocked){.rows = rows,
                            .cols = cols,
                            .block_rows = block_rows > 0 ? block_rows : 1,
                            .block_cols = block_cols > 0 ? block_cols : 1};
    TRY(padded_cells(c, out, &cells));
    blas_on_one_thread();
    size_t bytes = (size_t)cells * sizeof(double);
    if (place == PLACE_MEMORY)
        TRY(buf_alloc(c, bytes, &v));
    else if (!c->budget || (int64_t)bytes <= budget_left(c->budget) / 2)
        v = buf_try(c->budget, bytes);
    if (v) {
        out->v = memset(v, 0, bytes);
        return OK;
    }
    if (!o->spill) TRY(spill_new(c, o->tmp_dir, &o->spill));
    TRY(spill_reserve(c, o->spill, bytes, &out->at));
    out->spill = spill_share(o->spill);
    return OK;
}

void blocked_free(struct blocked *m)
{
    buf_free(m->v);
    spill_free(m->spill);
    m->v = NULL;
    m->spill = NULL;
}

/* Cells before this one, and how many of its column follow it in the block, itself included. */
static int64_t cell_of(const struct blocked *m, int64_t row, int64_t col)
{
    int64_t down = (m->rows + m->block_rows - 1) / m->block_rows;
    int64_t block = col / m->block_cols * down + row / m->block_rows;
    return (block * m->block_cols + col % m->block_cols) * m->block_rows + row % m->block_rows;
}

double *blocked_at(const struct blocked *m, int64_t row, int64_t col)
{
    return m->v + cell_of(m, row, col);
}

/* ---- copying ---- */

/* to[i × to_row + k × to_col] = from[…]. */
static void copy_cells(int64_t rows, int64_t cols, const double *from, int64_t from_row,
                       int64_t from_col, double *to, int64_t to_row, int64_t to_col)
{
    if (from_row == to_row && from_row == 1) {
        for (int64_t k = 0; k < cols; k++)
            memcpy(to + k * to_col, from + k * from_col, (size_t)rows * sizeof(double));
        return;
    }
    for (int64_t i = 0; i < rows; i += SQUARE)
        for (int64_t k = 0; k < cols; k += SQUARE) {
            int64_t down = least(SQUARE, rows - i), across = least(SQUARE, cols - k);
            for (int64_t x = k; x < k + across; x++)
                for (int64_t y = i; y < i + down; y++)
                    to[y * to_row + x * to_col] = from[y * from_row + x * from_col];
        }
}

/* The part of a block that both have: as a part of the matrix. */
static struct part next_piece(const struct blocked *m, const struct part *p, int64_t row,
                              int64_t col)
{
    struct part piece = *p;
    piece.row = row;
    piece.col = col;
    piece.rows = least(m->block_rows - row % m->block_rows, p->row + p->rows - row);
    piece.cols = least(m->block_cols - col % m->block_cols, p->col + p->cols - col);
    return piece;
}

/* A piece of one block with its columns one below the other, col_step apart, in the file; whole
 * columns are one run of bytes. */
static enum status transfer(struct ctx *c, const struct blocked *m, const struct part *p, double *v,
                            bool write)
{
    bool run = p->rows == m->block_rows && p->col_step == m->block_rows;
    size_t n = (size_t)(run ? p->rows * p->cols : p->rows) * sizeof(double);
    for (int64_t k = 0; k < (run ? 1 : p->cols); k++) {
        int64_t at = m->at + cell_of(m, p->row, p->col + k) * (int64_t)sizeof(double);
        double *memory = v + k * p->col_step;
        TRY(write ? spill_write(c, m->spill, at, memory, n)
                  : spill_read(c, m->spill, at, memory, n));
    }
    return OK;
}

/* The same, turned round on the way if need be. */
static enum status move_spilled(struct ctx *c, const struct blocked *m, const struct part *p,
                                double *v, bool write)
{
    if (p->row_step == 1) return transfer(c, m, p, v, write);
    void *memory;
    struct part turned = *p;
    turned.row_step = 1;
    turned.col_step = p->rows;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, (size_t)(p->rows * p->cols) * sizeof(double), &memory));
    if (write) copy_cells(p->rows, p->cols, v, p->row_step, p->col_step, memory, 1, p->rows);
    TRY(transfer(c, m, &turned, memory, write));
    if (!write) copy_cells(p->rows, p->cols, memory, 1, p->rows, v, p->row_step, p->col_step);
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status move(struct ctx *c, const struct blocked *m, const struct part *p, double *v,
                        bool write)
{
    struct part piece = {0};
    for (int64_t col = p->col; col < p->col + p->cols; col += piece.cols)
        for (int64_t row = p->row; row < p->row + p->rows; row += piece.rows) {
            piece = next_piece(m, p, row, col);
            double *memory = v + (row - p->row) * p->row_step + (col - p->col) * p->col_step;
            if (!m->v)
                TRY(move_spilled(c, m, &piece, memory, write));
            else if (write)
                copy_cells(piece.rows, piece.cols, memory, p->row_step, p->col_step,
                           blocked_at(m, row, col), 1, m->block_rows);
            else
                copy_cells(piece.rows, piece.cols, blocked_at(m, row, col), 1, m->block_rows,
                           memory, p->row_step, p->col_step);
        }
    return OK;
}

enum status blocked_read(struct ctx *c, const struct blocked *m, const struct part *p, double *to)
{
    return p->rows > 0 && p->cols > 0 ? move(c, m, p, to, false) : OK;
}

enum status blocked_write(struct ctx *c, const struct blocked *m, const struct part *p,
                          const double *from)
{
    double *v;
    memcpy(&v, &from, sizeof v); /* only read from */
    return p->rows > 0 && p->cols > 0 ? move(c, m, p, v, true) : OK;
}
