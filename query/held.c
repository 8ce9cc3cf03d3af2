/* Which of the rows that go to one cell is written? */
#include "query/held.h"
#include "query/check.h"
#include "query/gather.h"
#include <stdlib.h>

enum { BATCH = 4096 };

/* The rowset's columns: positions as stored; INSERT: coordinates; values; INSERT: the row's number.
 */
struct held {
    struct hold h;
    const struct schema *schema; /* as it was when the writer was opened */
    int n_dims, n_cols;
    int coords, values, number; /* first columns of these; -1: not there */
    struct rowset *rows, *returned;
    int64_t n_rows;
    int64_t
        *logical[MAX_DIMS]; /* INSERT: of the labels before, by stored position; NULL: the same */
    struct program *sets, *where, *returning;
    struct checker *checker;
    bool kept; /* was a row of the last one's cell written? */
};

/* ---- beginning ---- */

static enum status compile(struct ctx *c, struct held *h)
{
    const struct held_row *r = h->h.row;
    if (!r) return OK;
    if (r->sets) TRY(program_compile(c, r->sets, h->schema->n_attrs, &r->rel, h->h.env, &h->sets));
    if (r->where) TRY(program_compile(c, &r->where, 1, &r->rel, h->h.env, &h->where));
    if (r->returning.n)
        TRY(program_compile(c, r->returning.es, r->returning.n, &r->rel, h->h.env, &h->returning));
    return checker_new(c, r, h->schema->n_attrs, h->schema->name, h->h.env, &h->checker);
}

/* Stored positions of labels to where they are read. */
static void invert_labels(struct ctx *c, struct held *h)
{
    const struct schema *s = h->h.before ? array_schema(h->h.before) : NULL;
    for (int d = 0; s && d < h->n_dims; d++) {
        const struct labels *l = s->dims[d].axis.labels;
        if (s->dims[d].axis.kind != AXIS_LABELLED || !l || !l->stored) continue;
        h->logical[d] = arena_array(c->arena, int64_t, l->n + 1);
        for (int64_t i = 0; i < l->n; i++)
            h->logical[d][l->stored[i]] = i;
    }
}

static enum status new_returned(struct ctx *c, struct held *h)
{
    int n = h->h.n_returned;
    enum type *types = arena_array(c->arena, enum type, n + 1);
    if (n == 0) return OK;
    for (int i = 0; i < n; i++)
        types[i] = h->h.row ? h->h.row->returning.es[i]->type : h->h.values[h->h.n_written + i];
    types[n] = T_INT64; /* the row's number */
    return rowset_new(c, types, n + 1, h->h.tmp_dir, &h->returned);
}

enum status held_new(struct ctx *c, const struct hold *hold, struct held **out)
{
    struct held *h = arena_new_of(c->arena, struct held);
    h->h = *hold;
    h->schema = writer_schema(hold->writer);
    h->n_dims = h->schema->n_dims;
    int n = h->n_dims, most = 2 * h->n_dims + hold->n_values + 1;
    enum type *types = arena_array(c->arena, enum type, most);
    for (int d = 0; d < h->n_dims; d++)
        types[d] = T_INT64;
    h->coords = h->number = -1;
    if (hold->row) {
        h->coords = n;
        for (int d = 0; d < h->n_dims; d++)
            types[n++] = h->schema->dims[d].axis.type;
    }
    h->values = n;
    for (int i = 0; i < hold->n_values; i++)
        types[n++] = hold->values[i];
    if (hold->row) {
        h->number = n;
        types[n++] = T_INT64;
    }
    h->n_cols = n;
    invert_labels(c, h);
    enum status st = compile(c, h);
    if (st == OK) st = rowset_new(c, types, n, hold->tmp_dir, &h->rows);
    if (st == OK) st = new_returned(c, h);
    if (st < 0) {
        held_free(h);
        return st;
    }
    *out = h;
    return OK;
}

void held_free(struct held *h)
{
    if (!h) return;
    rowset_free(h->rows);
    rowset_free(h->returned);
    h->rows = h->returned = NULL;
}

/* ---- rows come in ---- */

static enum status no_null_coords(struct ctx *c, const struct held *h, const struct column *cols,
                                  int64_t n)
{
    for (int d = 0; d < h->n_dims; d++)
        if (cols[d].valid && !bits_all(cols[d].valid, 0, n))
            return fail(c, ERR_NOT_NULL, "null value in dimension \"%s\" of array \"%s\"",
                        h->schema->dims[d].name, h->schema->name);
    return OK;
}

enum status held_add(struct ctx *c, struct held *h, const struct column *cols, int64_t n)
{
    void *mem;
    TRY(no_null_coords(c, h, cols, n));
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)h->n_cols, &mem));
    struct column *all = mem;
    for (int d = 0; d < h->n_dims; d++) {
        TRY(column_alloc(c, T_INT64, n, &all[d]));
        TRY(writer_positions(c, h->h.writer, d, &cols[d], n, all[d].values));
        if (h->coords >= 0) all[h->coords + d] = cols[d];
    }
    for (int i = 0; i < h->h.n_values; i++)
        all[h->values + i] = cols[h->n_dims + i];
    if (h->number >= 0) {
        struct column *number = &all[h->number];
        TRY(column_alloc(c, T_INT64, n, number));
        for (int64_t i = 0; i < n; i++)
            ((int64_t *)number->values)[i] = h->n_rows + i;
        h->n_rows += n;
    }
    return rowset_append(c, h->rows, all, NULL, n);
}

/* ---- the cells that were there before ---- */

/* A batch of sorted rows. Row 0 may be the last of the batch before, for comparison. */
struct batch {
    int64_t n;
    struct column *cols; /* the rowset's */
    uint64_t *keep;      /* rows to be written */
    uint64_t *exists;    /* whose cell was there before the statement */
    struct column *old;  /* its attributes */
    struct column *row;  /* as held_row.rel has them */
};

static const int64_t *positions(const struct batch *b, int d)
{
    return b->cols[d].values;
}

static bool same_cell(const struct held *h, const struct batch *b, int64_t i, int64_t k)
{
    for (int d = 0; d < h->n_dims; d++)
        if (positions(b, d)[i] != positions(b, d)[k]) return false;
    return true;
}

struct spot { /* a row's cell as it is read */
    int64_t row, tile[MAX_DIMS], pos[MAX_DIMS];
    int n_dims;
};

static int order_of_spots(const void *x, const void *y)
{
    const struct spot *a = x, *b = y;
    int order = memcmp(a->tile, b->tile, sizeof *a->tile * (size_t)a->n_dims);
    return order ? order : (a->row > b->row) - (a->row < b->row);
}

/* False: the cell's label has only now joined. */
static bool find_spot(const struct held *h, const struct batch *b, int64_t i, struct spot *out)
{
    const struct schema *s = array_schema(h->h.before);
    *out = (struct spot){.row = i, .n_dims = h->n_dims};
    for (int d = 0; d < h->n_dims; d++) {
        const struct axis *x = &s->dims[d].axis;
        int64_t pos = positions(b, d)[i];
        if (pos < x->lo && x->kind == AXIS_REGULAR) return false;
        if (pos >= x->hi) return false;
        out->pos[d] = h->logical[d] ? h->logical[d][pos] : pos;
        out->tile[d] = tile_of(out->pos[d], s->dims[d].tile);
    }
    return true;
}

/* Reads the box around some spots of one tile and takes what it has of them. */
static enum status read_spots(struct ctx *c, const struct held *h, struct batch *b,
                              const struct spot *spots, int64_t n)
{
    const struct schema *s = array_schema(h->h.before);
    int n_attrs = b->old ? s->n_attrs : 0;
    struct box box = {.n_dims = h->n_dims};
    struct scratch_mark mark = scratch_mark(c->scratch);
    uint64_t *present;
    int64_t n_present;
    void *cols, *attrs;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_attrs + 1), &cols));
    TRY(scratch_alloc(c, sizeof(int) * (size_t)(n_attrs + 1), &attrs));
    for (int k = 0; k < n_attrs; k++)
        ((int *)attrs)[k] = k;
    for (int d = 0; d < h->n_dims; d++) {
        box.lo[d] = box.hi[d] = spots[0].pos[d];
        for (int64_t i = 0; i < n; i++) {
            if (spots[i].pos[d] < box.lo[d]) box.lo[d] = spots[i].pos[d];
            if (spots[i].pos[d] >= box.hi[d]) box.hi[d] = spots[i].pos[d] + 1;
        }
    }
    TRY(array_read(c, h->h.before, &box, attrs, n_attrs, cols, &present, &n_present));
    for (int64_t i = 0; i < n && n_present; i++) {
        int64_t from = box_index(&box, spots[i].pos), to = spots[i].row;
        if (present && !bit_get(present, from)) continue;
        bit_set(b->exists, to);
        for (int k = 0; k < n_attrs; k++) {
            const struct column *src = &((struct column *)cols)[k];
            size_t width = type_bytes(src->type);
            memcpy((char *)b->old[k].values + (size_t)to * width,
                   (const char *)src->values + (size_t)from * width, width);
            bit_put(b->old[k].valid, to, !column_is_null(src, from));
        }
    }
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status read_before(struct ctx *c, const struct held *h, struct batch *b)
{
    const struct schema *s = array_schema(h->h.before);
    void *mem;
    int64_t n = 0;
    TRY(scratch_zeroed(c, (size_t)bits_words(b->n) * 8, &mem));
    b->exists = mem;
    if (h->sets) {
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->n_attrs + 1), &mem));
        b->old = mem;
        for (int k = 0; k < s->n_attrs; k++) {
            TRY(column_alloc(c, s->attrs[k].type, b->n, &b->old[k]));
            memset(b->old[k].values, 0, type_bytes(s->attrs[k].type) * (size_t)b->n);
            TRY(column_need_valid(c, &b->old[k], b->n));
        }
    }
    TRY(scratch_alloc(c, sizeof(struct spot) * (size_t)(b->n + 1), &mem));
    struct spot *spots = mem;
    for (int64_t i = 0; i < b->n; i++)
        n += find_spot(h, b, i, &spots[n]);
    qsort(spots, (size_t)n, sizeof *spots, order_of_spots);
    for (int64_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n; k++)
            if (memcmp(spots[i].tile, spots[k].tile, sizeof(int64_t) * (size_t)h->n_dims) != 0)
                break;
        TRY(read_spots(c, h, b, &spots[i], k - i));
    }
    return OK;
}

/* ---- which rows are written ---- */

static enum status twice(struct ctx *c, const struct held *h)
{
    if (!h->h.row) {
        fail(c, ERR_CARDINALITY, "a cell of array \"%s\" matches more than one row of %s",
             h->schema->name, h->h.mode == CONFLICT_DELETE ? "USING" : "FROM");
        return hint(c, "The rows give it different values. Group them first, or join on more.");
    }
    fail(c, ERR_CARDINALITY, "ON CONFLICT %s command cannot affect row a second time",
         h->h.row->sets ? "DO UPDATE" : "REPLACE");
    return hint(c, "Ensure that no rows proposed for insertion within the same command have "
                   "duplicate constrained values.");
}

static bool same_value(const struct column *col, int64_t i, int64_t k)
{
    bool null = column_is_null(col, i);
    if (null || column_is_null(col, k)) return null == column_is_null(col, k);
    size_t width = type_bytes(col->type);
    const char *values = col->values;
    if (col->type != T_TEXT)
        return !memcmp(values + (size_t)i * width, values + (size_t)k * width, width);
    const struct text *x = &((const struct text *)col->values)[i],
                      *y = &((const struct text *)col->values)[k];
    return x->len == y->len && (x->len == 0 || !memcmp(x->s, y->s, (size_t)x->len));
}

static bool same_values(const struct held *h, const struct batch *b, int64_t i, int64_t k)
{
    for (int v = 0; v < h->h.n_values; v++)
        if (!same_value(&b->cols[h->values + v], i, k)) return false;
    return true;
}

/* Of rows of one cell, which follow each other: the first, where there may be several. `first`: row
 * 0 has been seen before. */
static enum status choose(struct ctx *c, struct held *h, struct batch *b, bool first)
{
    bool inserts = h->h.row != NULL;
    for (int64_t i = first; i < b->n; i++) {
        bool again = i > 0 && same_cell(h, b, i - 1, i), keep = true;
        if (!again) h->kept = false;
        if (inserts && h->h.mode == CONFLICT_IGNORE) keep = !again && !bit_get(b->exists, i);
        if (inserts && h->h.mode == CONFLICT_REPLACE && h->h.row->where && bit_get(b->exists, i))
            keep = bit_get(b->keep, i);
        if (!inserts && again) {
            if (!same_values(h, b, i - 1, i)) return twice(c, h);
            keep = false;
        }
        if (inserts && h->h.mode == CONFLICT_REPLACE && keep && h->kept) return twice(c, h);
        h->kept |= keep;
        bit_put(b->keep, i, keep);
    }
    return OK;
}

/* ---- what is written ---- */

static struct chunk row_chunk(const struct held *h, const struct batch *b, uint64_t *present)
{
    struct chunk ch = {.box = {.n_dims = 1, .hi = {b->n}}, .n = b->n, .present = present};
    ch.n_present = bits_count(present, 0, b->n);
    ch.cols = b->row;
    ch.n_cols = h->h.row->rel.n_cols;
    ch.rel = &h->h.row->rel;
    return ch;
}

/* The rows as expressions see them. Where nothing looks at the cells before, they stand for
 * themselves. */
static enum status row_columns(struct ctx *c, const struct held *h, struct batch *b)
{
    int n_attrs = h->schema->n_attrs;
    void *mem;
    if (h->h.n_values != n_attrs) return OK; /* nothing computes */
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(h->h.row->rel.n_cols + 1), &mem));
    b->row = mem;
    for (int d = 0; d < h->n_dims; d++)
        b->row[d] = b->cols[h->coords + d];
    for (int k = 0; k < n_attrs; k++) {
        b->row[h->n_dims + k] = b->cols[h->values + k];
        b->row[h->n_dims + n_attrs + k] = b->old ? b->old[k] : b->cols[h->values + k];
    }
    return OK;
}

/* DO UPDATE … WHERE: existing cells of which it does not hold are left alone. */
static enum status run_where(struct ctx *c, const struct held *h, struct batch *b)
{
    struct column holds;
    struct chunk ch = row_chunk(h, b, b->exists);
    if (!h->where || ch.n_present == 0) return OK;
    TRY(program_run(c, h->where, &ch, &holds));
    for (int64_t i = 0; i < b->n; i++)
        bit_put(b->keep, i, ((uint8_t *)holds.values)[i] && !column_is_null(&holds, i));
    return OK;
}

/* DO UPDATE SET: existing cells take the new values in place of the row's own. */
static enum status run_sets(struct ctx *c, const struct held *h, struct batch *b)
{
    int n_attrs = h->schema->n_attrs;
    void *mem;
    if (!h->sets) return OK;
    TRY(scratch_alloc(c, (size_t)bits_words(b->n) * 8, &mem));
    uint64_t *changed = mem;
    for (int64_t w = 0; w < bits_words(b->n); w++)
        changed[w] = b->exists[w] & b->keep[w];
    struct chunk ch = row_chunk(h, b, changed);
    if (ch.n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_attrs + 1), &mem));
    struct column *set = mem;
    TRY(program_run(c, h->sets, &ch, set));
    for (int k = 0; k < n_attrs; k++) {
        struct column *own = &b->row[h->n_dims + k], to;
        size_t width = type_bytes(own->type);
        TRY(column_alloc(c, own->type, b->n, &to));
        TRY(column_need_valid(c, &to, b->n));
        for (int64_t i = 0; i < b->n; i++) {
            const struct column *from = bit_get(changed, i) ? &set[k] : own;
            memcpy((char *)to.values + (size_t)i * width,
                   (const char *)from->values + (size_t)i * width, width);
            bit_put(to.valid, i, !column_is_null(from, i));
        }
        *own = to;
    }
    return OK;
}

static enum status keep_returned(struct ctx *c, const struct held *h, const struct batch *b,
                                 const int64_t *rows, int64_t n)
{
    int n_returned = h->h.n_returned;
    void *mem;
    if (n_returned == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_returned + 1), &mem));
    struct column *cols = mem;
    if (h->returning) {
        struct chunk ch = row_chunk(h, b, b->keep);
        TRY(program_run(c, h->returning, &ch, cols));
        cols[n_returned] = b->cols[h->number];
    } else {
        for (int i = 0; i < n_returned; i++)
            cols[i] = b->cols[h->values + h->h.n_written + i];
        TRY(column_alloc(c, T_INT64, b->n, &cols[n_returned]));
        memset(cols[n_returned].values, 0, sizeof(int64_t) * (size_t)b->n);
    }
    return rowset_append(c, h->returned, cols, rows, n);
}

static enum status write_kept(struct ctx *c, struct held *h, const struct batch *b,
                              int64_t *n_cells)
{
    int64_t n = 0, *pos[MAX_DIMS], written = 0;
    void *mem;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(b->n + 1), &mem));
    int64_t *rows = mem;
    for (int64_t i = bits_next(b->keep, 0, b->n); i < b->n; i = bits_next(b->keep, i + 1, b->n))
        rows[n++] = i;
    if (n == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(h->h.n_written + 1), &mem));
    struct column *cols = mem;
    for (int d = 0; d < h->n_dims; d++) {
        struct column taken;
        TRY(column_take(c, &b->cols[d], rows, n, &taken));
        pos[d] = taken.values;
    }
    for (int i = 0; i < h->h.n_written; i++)
        TRY(column_take(c, b->row ? &b->row[h->n_dims + i] : &b->cols[h->values + i], rows, n,
                        &cols[i]));
    TRY(writer_put_cells(c, h->h.writer, n, pos, cols, &written));
    *n_cells += written;
    return keep_returned(c, h, b, rows, n);
}

/* Constraints hold for every row that is proposed, also where another takes its place. */
static enum status check_proposed(struct ctx *c, const struct held *h, const struct batch *b)
{
    for (int i = 0; i < h->h.n_written; i++) {
        const struct attr *attr = &h->schema->attrs[h->h.attrs[i]];
        const struct column *col = &b->cols[h->values + i];
        if (attr->not_null && col->valid && !bits_all(col->valid, 0, b->n))
            return fail(c, ERR_NOT_NULL,
                        "null value in column \"%s\" of relation \"%s\" violates not-null "
                        "constraint",
                        attr->name, h->schema->name);
    }
    return b->row ? checker_run(c, h->checker, b->row, NULL, b->n) : OK;
}

static enum status write_batch(struct ctx *c, struct held *h, const struct rowset *sorted,
                               int64_t lo, int64_t hi, int64_t *n_cells)
{
    struct batch b = {0};
    bool first = lo > 0; /* the row before comes along */
    int64_t from = first ? lo - 1 : lo;
    void *mem;
    b.n = hi - from;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)h->n_cols, &mem));
    b.cols = mem;
    TRY(rowset_read(c, sorted, from, hi, NULL, 0, b.cols));
    TRY(scratch_alloc(c, (size_t)bits_words(b.n) * 8, &mem));
    b.keep = mem;
    bits_fill(b.keep, 0, bits_words(b.n) * 64, true);
    if (h->h.row && (h->h.mode == CONFLICT_IGNORE || h->sets)) TRY(read_before(c, h, &b));
    if (h->h.row) TRY(row_columns(c, h, &b));
    if (h->h.row) TRY(check_proposed(c, h, &b));
    if (h->where) TRY(run_where(c, h, &b));
    if (first) bit_clear(b.keep, 0);
    TRY(choose(c, h, &b, first));
    if (h->sets) {
        TRY(run_sets(c, h, &b));
        TRY(checker_run(c, h->checker, b.row, b.keep, b.n));
    }
    return write_kept(c, h, &b, n_cells);
}

enum status held_write(struct ctx *c, struct held *h, int64_t *n_cells, struct rowset **returned)
{
    struct rowset_key keys[MAX_DIMS];
    struct rowset *sorted = NULL;
    for (int d = 0; d < h->n_dims; d++)
        keys[d] = (struct rowset_key){.column = d};
    enum status st = rowset_sort(c, h->rows, keys, h->n_dims, -1, &sorted);
    int64_t n = st == OK ? rowset_rows(sorted) : 0;
    for (int64_t lo = 0; lo < n && st == OK; lo += BATCH) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        st = check_cancel(c);
        if (st == OK) st = write_batch(c, h, sorted, lo, lo + BATCH < n ? lo + BATCH : n, n_cells);
        scratch_release(c->scratch, mark);
    }
    rowset_free(sorted);
    *returned = NULL;
    if (st < 0 || !h->returned) return st;
    struct rowset_key by_number = {.column = h->h.n_returned};
    return rowset_sort(c, h->returned, &by_number, 1, -1, returned);
}
