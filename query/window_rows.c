/* Where do partitions and peers begin among sorted rows, and how are the rows read again? */
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include "query/window_internal.h"

/* ---- cursors ---- */

void cursor_init(struct ctx *c, struct row_cursor *cur, const struct rowset *rows, const int *which,
                 int n)
{
    *cur = (struct row_cursor){.rows = rows, .n_cols = n, .scratch = scratch_new_small(c->budget)};
    memcpy(cur->which, which, sizeof *which * (size_t)n);
}

void cursor_free(struct row_cursor *cur)
{
    scratch_free(cur->scratch);
    cur->scratch = NULL;
}

enum status cursor_load(struct ctx *c, struct row_cursor *cur, int64_t row)
{
    struct scratch *own = c->scratch;
    int64_t lo = row - row % WIN_ROWS, hi = lo + WIN_ROWS, n = rowset_rows(cur->rows);
    if (hi > n) hi = n;
    cur->lo = cur->hi = 0;
    c->scratch = cur->scratch;
    scratch_reset(cur->scratch);
    enum status st = check_cancel(c);
    if (st == OK) st = rowset_read(c, cur->rows, lo, hi, cur->which, cur->n_cols, cur->cols);
    c->scratch = own;
    TRY(st);
    cur->lo = lo;
    cur->hi = hi;
    return OK;
}

/* ---- marks ---- */

/* A block of rows, each to be compared with the one before it. */
struct steps {
    int64_t lo, n; /* the first row is compared with row lo - 1 when from is 1 */
    int from;
    int16_t *marks;
    int8_t *order; /* <0, 0, >0: the row before is less, alike so far, greater */
};

/* Rank of NULL among values, and the words of those. */
static void key_words(const struct rowset_key *key, const struct column *col, int64_t n,
                      uint8_t *nulls, uint64_t *words)
{
    sortkey_encode(col->type, col->values, n, words);
    for (int64_t i = 0; i < n; i++) {
        bool null = column_is_null(col, i);
        nulls[i] = !null ? 1 : key->nulls_first ? 0 : 2;
        words[i] = null ? 0 : key->desc ? ~words[i] : words[i];
    }
}

static int compare_texts(const struct column *col, int64_t i)
{
    const struct text *t = col->values;
    if (column_is_null(col, i)) return 0;
    return text_order(t[i - 1], t[i]);
}

static void compare_key(const struct rowset_key *key, int k, const struct column *col,
                        const uint8_t *nulls, const uint64_t *words, struct steps *s)
{
    bool texts = type_is_varlen(col->type);
    for (int64_t i = 1; i < s->n + s->from; i++) {
        int64_t at = i - s->from;
        if (s->order[at]) continue;
        int r = nulls[i - 1] != nulls[i]   ? (nulls[i - 1] < nulls[i] ? -1 : 1)
                : words[i - 1] != words[i] ? (words[i - 1] < words[i] ? -1 : 1)
                                           : 0;
        if (!r && texts) {
            r = compare_texts(col, i);
            if (key->desc) r = -r;
        }
        if (!r) continue;
        s->order[at] = (int8_t)r;
        s->marks[at] = (int16_t)k;
    }
}

/* Marks of n rows from lo on, from c->scratch. */
static enum status mark_block(struct ctx *c, const struct sorted_rows *s, int64_t lo, int64_t n,
                              int16_t *marks, bool *in_order)
{
    struct steps steps = {.lo = lo, .n = n, .from = lo > 0, .marks = marks};
    void *order, *nulls, *words;
    size_t room = (size_t)n + 1;
    TRY(scratch_alloc(c, room, &order));
    TRY(scratch_alloc(c, room, &nulls));
    TRY(scratch_alloc(c, room * sizeof(uint64_t), &words));
    steps.order = order;
    memset(order, 0, room);
    for (int64_t i = 0; i < n; i++)
        marks[i] = (int16_t)s->n_keys;
    if (lo == 0) {
        marks[0] = 0;
        steps.order[0] = -1;
    }
    for (int k = 0; k < s->n_keys; k++) {
        struct column col;
        TRY(rowset_read(c, s->rows, lo - steps.from, lo + n, &s->keys[k].column, 1, &col));
        key_words(&s->keys[k], &col, n + steps.from, nulls, words);
        /* Without a row before it the first row has its mark. */
        compare_key(&s->keys[k], k, &col, nulls, words, &steps);
    }
    for (int64_t i = 0; i < n; i++)
        *in_order &= steps.order[i] <= 0;
    return OK;
}

static enum status mark_all(struct ctx *c, struct sorted_rows *s, bool *in_order)
{
    for (int64_t lo = 0; lo < s->n && *in_order; lo += WIN_ROWS) {
        int64_t n = s->n - lo < WIN_ROWS ? s->n - lo : WIN_ROWS;
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column col;
        TRY(check_cancel(c));
        TRY(column_alloc(c, T_INT16, n, &col));
        TRY(mark_block(c, s, lo, n, col.values, in_order));
        if (*in_order) TRY(rowset_append(c, s->marks, &col, NULL, n));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

enum status rows_mark(struct ctx *c, struct sorted_rows *s, bool *in_order)
{
    const enum type t = T_INT16;
    *in_order = true;
    s->n = rowset_rows(s->rows);
    TRY(rowset_new_within(c, &t, 1, rowset_tmp_dir(s->rows), memory_share(c, 16), &s->marks));
    TRY(mark_all(c, s, in_order));
    if (*in_order) return OK;
    rowset_free(s->marks);
    s->marks = NULL;
    return OK;
}
