/* Each left cell with one right row: of those with equal keys the one whose time is nearest on the
 * side asked for. The left's dimensions stay; its boxes are asked for as the result's are.
 *
 * The right side's rows, sorted by keys and time, stand in a hash table; a left cell finds its
 * group there and its row by an exponential and a binary search (Bentley, Yao, IPL 1976). A right
 * side too large for a table is merged with the left's sorted rows; what each left cell found is
 * then kept by the cell's number. Of rows of one time >= and > take the last, <= and < the first.
 */
#include "query/gather.h"
#include "query/join_table.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/reach.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include <string.h>

#define READ_ROWS 4096

struct asof {
    struct join_side side[2];
    struct join_table table; /* side NULL: too large */
    struct rowset *found;    /* right columns and the left cell's number, by that number */
};

/* ---- order ---- */

static int compare_value(const struct column *a, int64_t i, const struct column *b, int64_t j)
{
    if (a->type == T_TEXT)
        return text_order(((const struct text *)a->values)[i], ((const struct text *)b->values)[j]);
    int64_t x = ((const int64_t *)a->values)[i], y = ((const int64_t *)b->values)[j];
    return x < y ? -1 : x > y;
}

/* By hash and keys, as rows are sorted: which group comes first? */
static int compare_group(const struct asof *s, const struct column *right, int64_t i,
                         const struct column *left, int64_t j)
{
    const struct join_side *r = &s->side[1], *l = &s->side[0];
    int cmp = compare_value(&right[r->hash_col], i, &left[l->hash_col], j);
    for (int k = 0; !cmp && k < r->n_keys - 1; k++)
        cmp = compare_value(&right[r->first_key + k], i, &left[l->first_key + k], j);
    return cmp;
}

static bool wants_earlier(enum asof_kind kind)
{
    return kind == ASOF_GE || kind == ASOF_GT;
}

/* NULL and NaN are no times. */
static bool has_time(const struct join_side *s, const struct column *cols, int64_t i)
{
    const struct column *t = &cols[s->first_key + s->n_keys - 1];
    if (column_is_null(t, i)) return false;
    return !type_is_float(s->key_types[s->n_keys - 1]) ||
           ((const uint64_t *)t->values)[i] != join_nan_word();
}

/* Does a right row of the left row's group come before the place that is looked for? */
static bool precedes(const struct asof *s, enum asof_kind kind, const struct column *right,
                     int64_t i, const struct column *left, int64_t j)
{
    const struct join_side *r = &s->side[1], *l = &s->side[0];
    if (!has_time(r, right, i)) return false;
    int cmp = compare_value(&right[r->first_key + r->n_keys - 1], i,
                            &left[l->first_key + l->n_keys - 1], j);
    return kind == ASOF_GE || kind == ASOF_LT ? cmp <= 0 : cmp < 0;
}

static enum status sort_rows(struct ctx *c, const struct join_side *s, struct rowset **rows)
{
    struct rowset *sorted;
    struct rowset_key *keys = arena_array(c->arena, struct rowset_key, s->n_keys + 2);
    keys[0].column = s->hash_col;
    for (int k = 0; k < s->n_keys; k++)
        keys[1 + k].column = s->first_key + k;
    keys[1 + s->n_keys].column = s->rank_col;
    enum status st = rowset_sort(c, *rows, keys, s->n_keys + 2, -1, &sorted);
    rowset_free(*rows);
    *rows = st < 0 ? NULL : sorted;
    return st;
}

/* ---- merging ---- */

struct cursor {
    const struct rowset *rows;
    int64_t lo, hi;
    struct column *cols;
    struct scratch_mark mark;
};

static enum status move_to(struct ctx *c, struct cursor *k, int64_t row)
{
    if (row >= k->lo && row < k->hi) return OK;
    void *cols;
    scratch_release(c->scratch, k->mark);
    k->lo = row;
    k->hi = row + READ_ROWS < rowset_rows(k->rows) ? row + READ_ROWS : rowset_rows(k->rows);
    TRY(check_cancel(c));
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)rowset_columns(k->rows), &cols));
    k->cols = cols;
    return rowset_read(c, k->rows, k->lo, k->hi, NULL, 0, cols);
}

/* Is right row j of the left row's group, or before it (-1)? After the last row: 1. */
static enum status group_at(struct ctx *c, const struct asof *s, struct cursor *right, int64_t j,
                            const struct column *left, int64_t i, int *cmp)
{
    *cmp = 1;
    if (j < 0 || j >= rowset_rows(right->rows)) return OK;
    TRY(move_to(c, right, j));
    *cmp = compare_group(s, right->cols, j - right->lo, left, i);
    return OK;
}

/* The right row of each of the left's rows [lo, hi), as pairs of row and cell number. *next: the
 * first right row that is not before the last one's place. */
static enum status merge_block(struct ctx *c, const struct op *op, const struct rowset *left,
                               int64_t lo, int64_t hi, const struct rowset *right, int64_t *next,
                               struct rowset *pairs)
{
    const struct asof *s = op->state;
    const struct join_side *l = &s->side[0];
    enum asof_kind kind = op->plan->asof;
    struct column *cols, out[2];
    int64_t n = 0, j = *next;
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)l->n_all, &mem));
    cols = mem;
    TRY(rowset_read(c, left, lo, hi, NULL, 0, cols));
    TRY(column_alloc(c, T_INT64, hi - lo, &out[0]));
    TRY(column_alloc(c, T_INT64, hi - lo, &out[1]));
    struct cursor at = {.rows = right, .mark = scratch_mark(c->scratch)};
    for (int64_t i = 0; i < hi - lo; i++) {
        int cmp;
        if (!has_time(l, cols, i)) continue;
        for (;; j++) {
            TRY(group_at(c, s, &at, j, cols, i, &cmp));
            if (cmp > 0 || (cmp == 0 && !precedes(s, kind, at.cols, j - at.lo, cols, i))) break;
        }
        int64_t match = wants_earlier(kind) ? j - 1 : j;
        TRY(group_at(c, s, &at, match, cols, i, &cmp));
        if (cmp || match < 0 || !has_time(&s->side[1], at.cols, match - at.lo)) continue;
        ((int64_t *)out[0].values)[n] = match;
        ((int64_t *)out[1].values)[n++] = ((const int64_t *)cols[l->rank_col].values)[i];
    }
    *next = j;
    return n ? rowset_append(c, pairs, out, NULL, n) : OK;
}

/* Puts the right's columns beside the cell numbers; the pairs' rows never go back. */
static enum status fetch_block(struct ctx *c, const struct asof *s, const struct rowset *pairs,
                               int64_t lo, int64_t hi, const struct rowset *right,
                               struct rowset *found)
{
    int n_cols = s->side[1].n_cols;
    struct column pair[2], *out;
    void *mem;
    TRY(rowset_read(c, pairs, lo, hi, NULL, 0, pair));
    int64_t *row = pair[0].values, *rank = pair[1].values;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_cols + 1), &mem));
    out = mem;
    struct cursor at = {.rows = right, .mark = scratch_mark(c->scratch)};
    for (int64_t i = 0, n = 0; i < hi - lo; i += n) {
        TRY(move_to(c, &at, row[i]));
        for (n = 0; i + n < hi - lo && row[i + n] < at.hi; n++)
            row[i + n] -= at.lo;
        struct scratch_mark mark = scratch_mark(c->scratch);
        for (int k = 0; k < n_cols; k++)
            TRY(column_take(c, &at.cols[k], row + i, n, &out[k]));
        out[n_cols] = (struct column){.type = T_INT64, .values = rank + i};
        TRY(rowset_append(c, found, out, NULL, n));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status merge_all(struct ctx *c, const struct op *op, const struct rowset *left,
                             const struct rowset *right, struct rowset *pairs, struct rowset *found)
{
    int64_t next = 0;
    for (int64_t lo = 0, n = rowset_rows(left); lo < n; lo += READ_ROWS) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(merge_block(c, op, left, lo, lo + READ_ROWS < n ? lo + READ_ROWS : n, right, &next,
                        pairs));
        scratch_release(c->scratch, mark);
    }
    for (int64_t lo = 0, n = rowset_rows(pairs); lo < n; lo += READ_ROWS) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        TRY(fetch_block(c, op->state, pairs, lo, lo + READ_ROWS < n ? lo + READ_ROWS : n, right,
                        found));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status merge(struct ctx *c, struct op *op, const struct rowset *right)
{
    struct asof *s = op->state;
    const char *tmp = exec_tmp_dir(op->exec);
    int n_cols = s->side[1].n_cols;
    struct rowset *left = NULL, *pairs = NULL, *found = NULL;
    const enum type numbers[2] = {T_INT64, T_INT64};
    enum type *types = arena_array(c->arena, enum type, n_cols + 1);
    memcpy(types, s->side[1].types, sizeof *types * (size_t)n_cols);
    types[n_cols] = T_INT64;
    enum status st = join_side_gather(c, &s->side[0], tmp, NULL, NULL, &left);
    if (st == OK) st = sort_rows(c, &s->side[0], &left);
    if (st == OK) st = rowset_new(c, numbers, 2, tmp, &pairs);
    if (st == OK) st = rowset_new(c, types, n_cols + 1, tmp, &found);
    if (st == OK) st = merge_all(c, op, left, right, pairs, found);
    rowset_free(left);
    rowset_free(pairs);
    const struct rowset_key key = {.column = n_cols};
    if (st == OK) st = rowset_sort(c, found, &key, 1, -1, &s->found);
    rowset_free(found);
    return st;
}

static enum status asof_join_open(struct ctx *c, struct op *op)
{
    const struct plan *p = op->plan;
    struct asof *s = arena_new_of(c->arena, struct asof);
    struct rowset *right;
    op->state = s;
    op->box = op->in[0]->box;
    memcpy(op->grid, op->in[0]->grid, sizeof op->grid);
    box_in_region(op);
    struct expr **keys[2] = {p->left_keys, p->right_keys};
    for (int i = 0; i < 2; i++)
        TRY(join_side_init(c, op->in[i], NULL, 0, keys[i], p->n_join_keys, 1, &s->side[i]));
    TRY(join_side_gather(c, &s->side[1], exec_tmp_dir(op->exec), NULL, NULL, &right));
    TRY(sort_rows(c, &s->side[1], &right));
    enum status st;
    if (rowset_rows(right) <= join_table_rows(right, memory_share(c, 3)))
        st = join_table_load(c, &s->side[1], right, 0, rowset_rows(right), &s->table);
    else
        st = merge(c, op, right);
    rowset_free(right);
    return st;
}

static void asof_join_close(struct op *op)
{
    struct asof *s = op->state;
    if (!s) return;
    if (s->table.side) join_table_free(&s->table);
    rowset_free(s->found);
    s->found = NULL;
}

/* ---- looking up ---- */

/* Is table row `at` in the left row's group and before its place? */
static bool is_before(const struct op *op, int64_t at, const struct column *left, int64_t i)
{
    const struct asof *s = op->state;
    return at < s->table.n && !compare_group(s, s->table.cols, at, left, i) &&
           precedes(s, op->plan->asof, s->table.cols, at, left, i);
}

/* The matching row of the table, -1: none. */
static int64_t look_up(const struct op *op, const struct column *left, int64_t i)
{
    const struct asof *s = op->state;
    const struct join_table *t = &s->table;
    uint64_t hash = ((const uint64_t *)left[s->side[0].hash_col].values)[i];
    if (t->n == 0 || !has_time(&s->side[0], left, i)) return -1;
    uint32_t first = join_table_first(t, hash);
    while (first && !join_table_equal(t, first - 1, &s->side[0], left, i))
        first = t->next[first - 1];
    if (!first) return -1;
    int64_t lo = first - 1, step = 1; /* rows [first, lo) are before the place */
    while (is_before(op, lo + step - 1, left, i)) {
        lo += step;
        step *= 2;
    }
    for (int64_t hi = lo + step - 1; lo < hi;) {
        int64_t mid = lo + (hi - lo) / 2;
        if (is_before(op, mid, left, i))
            lo = mid + 1;
        else
            hi = mid;
    }
    int64_t at = wants_earlier(op->plan->asof) ? lo - 1 : lo;
    bool own = at >= first - 1 && at < t->n && !compare_group(s, t->cols, at, left, i);
    return own && has_time(&s->side[1], t->cols, at) ? at : -1;
}

static enum status from_table(struct ctx *c, struct op *op, const struct chunk *ch, int64_t *match,
                              struct column *right)
{
    struct asof *s = op->state;
    struct side_rows r;
    TRY(join_side_rows(c, &s->side[0], ch, &r));
    for (int64_t i = 0; i < r.n; i++)
        match[r.rows[i]] = look_up(op, r.cols, r.rows[i]);
    for (int k = 0; k < s->side[1].n_cols; k++) {
        TRY(column_take(c, &s->table.cols[k], match, ch->n, &right[k]));
        TRY(column_need_valid(c, &right[k], ch->n));
        for (int64_t i = 0; i < ch->n; i++)
            if (match[i] < 0) bit_clear(right[k].valid, i);
    }
    return OK;
}

/* The chunk's rows of `found`, run by run along the last dimension. */
static enum status from_found(struct ctx *c, struct op *op, const struct chunk *ch, int64_t *match,
                              struct column *right)
{
    struct asof *s = op->state;
    int n_cols = s->side[1].n_cols, last = ch->box.n_dims - 1;
    int64_t width = last < 0 ? 1 : box_extent(&ch->box, last);
    for (int k = 0; k < n_cols; k++)
        TRY(column_nulls(c, s->side[1].types[k], ch->n, &right[k]));
    for (int64_t row = 0; row < ch->n; row += width) {
        int64_t pos[MAX_DIMS], lo, hi;
        void *mem;
        box_position(&ch->box, row, pos);
        int64_t base = box_index(&op->in[0]->box, pos);
        TRY(rowset_lower_bound(c, s->found, n_cols, base, &lo));
        TRY(rowset_lower_bound(c, s->found, n_cols, base + width, &hi));
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n_cols + 1), &mem));
        struct column *cols = mem;
        TRY(rowset_read(c, s->found, lo, hi, NULL, 0, cols));
        for (int64_t i = 0; i < hi - lo; i++) {
            int64_t to = row + ((const int64_t *)cols[n_cols].values)[i] - base;
            match[to] = 0;
            for (int k = 0; k < n_cols; k++) {
                size_t bytes = type_bytes(right[k].type);
                memcpy((char *)right[k].values + (size_t)to * bytes,
                       (const char *)cols[k].values + (size_t)i * bytes, bytes);
                bit_put(right[k].valid, to, !column_is_null(&cols[k], i));
            }
        }
    }
    return OK;
}

static enum status asof_join_produce(struct ctx *c, struct op *op, const struct box *want,
                                     struct chunk *out)
{
    const struct plan *p = op->plan;
    struct asof *s = op->state;
    struct chunk ch;
    void *mem;
    chunk_empty(&p->rel, want, out);
    TRY(op_produce(c, op->in[0], want, &ch));
    if (ch.n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(p->rel.n_cols + 1), &mem));
    struct column *cols = mem;
    if (ch.n_cols) memcpy(cols, ch.cols, sizeof *cols * (size_t)ch.n_cols);
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)ch.n, &mem));
    int64_t *match = mem;
    for (int64_t i = 0; i < ch.n; i++)
        match[i] = -1;
    TRY((s->table.side ? from_table : from_found)(c, op, &ch, match, cols + ch.n_cols));
    if (!p->asof_left) {
        TRY(scratch_alloc(c, (size_t)bits_words(ch.n) * 8, &mem));
        uint64_t *stay = mem;
        for (int64_t i = 0; i < ch.n; i++)
            bit_put(stay, i, match[i] >= 0 && (!ch.present || bit_get(ch.present, i)));
        ch.present = stay;
        ch.n_present = bits_count(stay, 0, ch.n);
        if (ch.n_present == 0) return OK;
    }
    ch.cols = cols;
    ch.n_cols = p->rel.n_cols;
    ch.rel = &p->rel;
    *out = ch;
    return OK;
}

const struct op_class op_asof_join_class = {"asof join", asof_join_open, asof_join_produce,
                                            asof_join_close};
