/* How do the cells of an operator become a rowset, and a rowset boxes of an operator? */
#include "query/op_rowset.h"

/* ---- serving ---- */

/* Is the box one run of rows in the row-major order of `all`? */
static bool is_run(const struct box *all, const struct box *want)
{
    int d = 0;
    while (d < want->n_dims && box_extent(want, d) == 1)
        d++;
    for (d++; d < want->n_dims; d++)
        if (box_extent(want, d) != box_extent(all, d)) return false;
    return true;
}

/* The box run by run: the trailing dimensions that it has whole, times one that it cuts. */
static enum status read_box(struct ctx *c, const struct rowset *r, int n_cols, const int *which,
                            const struct box *all, const struct box *want, struct column *cols)
{
    int64_t total = box_cells(want), run = 1;
    for (int d = want->n_dims - 1; d >= 0; d--) {
        run *= box_extent(want, d);
        if (box_extent(want, d) != box_extent(all, d)) break;
    }
    for (int i = 0; i < n_cols; i++) {
        struct column *col = &cols[i];
        TRY(column_alloc(c, cols[i].type, total, col));
    }
    for (int64_t at = 0; at < total; at += run) {
        int64_t pos[MAX_DIMS];
        box_position(want, at, pos);
        int64_t lo = box_index(all, pos);
        for (int i = 0; i < n_cols; i++) {
            struct column part;
            struct column *col = &cols[i];
            /* Texts refer to what was read, so only fixed-size values can be let go of. */
            struct scratch_mark mark = scratch_mark(c->scratch);
            TRY(rowset_read(c, r, lo, lo + run, &which[i], 1, &part));
            size_t width = type_bytes(col->type);
            memcpy((char *)col->values + (size_t)at * width, part.values, (size_t)run * width);
            if (part.valid && !col->valid) {
                TRY(column_need_valid(c, col, total));
                mark = scratch_mark(c->scratch);
            }
            if (part.valid) bits_copy(col->valid, at, part.valid, 0, run);
            if (!type_is_varlen(col->type)) scratch_release(c->scratch, mark);
        }
    }
    return OK;
}

enum status rowset_chunk(struct ctx *c, const struct rowset *r, const struct rel *rel,
                         const struct box *all, const struct box *want, const int *cols,
                         int present_col, struct chunk *out)
{
    int n = rel->n_cols, n_read = n + (present_col >= 0);
    int64_t cells = box_cells(want);
    struct chunk ch = {.box = *want, .n = cells, .n_present = cells, .n_cols = n, .rel = rel};
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_read + 1), &mem));
    ch.cols = mem;
    TRY(scratch_alloc(c, sizeof(int) * (size_t)(n_read + 1), &mem));
    int *which = mem;
    for (int i = 0; i < n_read; i++) {
        which[i] = i == n ? present_col : cols ? cols[i] : i;
        ch.cols[i] = (struct column){.type = i == n ? T_BOOL : rel->cols[i].type};
    }
    if (is_run(all, want)) {
        int64_t lo = box_index(all, want->lo);
        TRY(rowset_read(c, r, lo, lo + cells, which, n_read, ch.cols));
    } else
        TRY(read_box(c, r, n_read, which, all, want, ch.cols));
    if (present_col >= 0) {
        TRY(chunk_need_present(c, &ch));
        bits_from_bytes(ch.present, ch.cols[n].values, cells);
        ch.n_present = bits_count(ch.present, 0, cells);
        if (ch.n_present == cells) ch.present = NULL;
    }
    *out = ch;
    return OK;
}

void op_set_rows(struct op *op, const struct rowset *r)
{
    op->box = (struct box){.n_dims = 1, .hi = {rowset_rows(r)}};
    op->grid[0] = SERVED_ROWS;
    op->text_bytes = rowset_text_bytes(r);
}

/* ---- gathering ---- */

void chunk_ranks(const struct chunk *ch, const struct box *all, int64_t *out)
{
    int last = ch->box.n_dims - 1;
    int64_t width = last < 0 ? 1 : box_extent(&ch->box, last);
    for (int64_t row = 0; row < ch->n; row += width) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, row, pos);
        int64_t base = box_index(all, pos);
        for (int64_t i = 0; i < width; i++)
            out[row + i] = base + i;
    }
}

enum status chunk_rows(struct ctx *c, const struct chunk *ch, int64_t **rows)
{
    *rows = NULL;
    if (!ch->present) return OK;
    void *mem;
    TRY(scratch_alloc(c, (size_t)(ch->n_present + 1) * sizeof(int64_t), &mem));
    int64_t *sel = mem, n = 0;
    for (int64_t i = bits_next(ch->present, 0, ch->n); i < ch->n;
         i = bits_next(ch->present, i + 1, ch->n))
        sel[n++] = i;
    *rows = sel;
    return OK;
}

struct gathering {
    struct sink sink;
    struct rowset *rows;
    int64_t skip, left; /* left negative: all */
};

static enum status gather_chunk(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                                const struct chunk *ch)
{
    (void)worker, (void)seq;
    struct gathering *g = (struct gathering *)sink;
    int64_t n = ch->n_present, from = g->skip < n ? g->skip : n;
    g->skip -= from;
    n -= from;
    if (g->left >= 0 && n > g->left) n = g->left;
    if (n > 0) {
        int64_t *rows;
        TRY(chunk_rows(c, ch, &rows));
        if (!rows && from) {
            void *mem;
            TRY(scratch_alloc(c, (size_t)n * sizeof(int64_t), &mem));
            rows = mem;
            for (int64_t i = 0; i < n; i++)
                rows[i] = from + i;
            from = 0;
        }
        TRY(rowset_append(c, g->rows, ch->cols, rows ? rows + from : NULL, n));
    }
    if (g->left >= 0) g->left -= n;
    if (g->left == 0) atomic_store(&g->sink.done, true);
    return OK;
}

enum status rowset_gather(struct ctx *c, struct op *op, int64_t offset, int64_t limit,
                          const char *tmp_dir, struct rowset **out)
{
    const struct rel *rel = &op->plan->rel;
    struct gathering g = {.sink = {.consume = gather_chunk, .ordered = true},
                          .skip = offset,
                          .left = limit < 0 ? -1 : limit};
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *mem;
    TRY(scratch_alloc(c, sizeof(enum type) * (size_t)(rel->n_cols + 1), &mem));
    for (int i = 0; i < rel->n_cols; i++)
        ((enum type *)mem)[i] = rel->cols[i].type;
    TRY(rowset_new(c, mem, rel->n_cols, tmp_dir, &g.rows));
    scratch_release(c->scratch, mark);
    enum status s = limit == 0 ? OK : exec_run(c, op, NULL, &g.sink);
    if (s < 0)
        rowset_free(g.rows);
    else
        *out = g.rows;
    return s;
}
