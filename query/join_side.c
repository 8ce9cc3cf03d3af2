/* How do the cells of one side of a join become rows with keys? */
#include "query/join_side.h"
#include "query/op_rowset.h"
#include "query/sortkey.h"
#include <math.h>
#include <string.h>

#define TOP (UINT64_C(1) << 63)

enum status join_side_init(struct ctx *c, struct op *in, struct expr *const *extra, int n_extra,
                           struct expr *const *keys, int n_keys, int n_soft, struct join_side *s)
{
    const struct rel *rel = &in->plan->rel;
    struct expr **es = arena_array(c->arena, struct expr *, n_extra + n_keys + 1);
    *s = (struct join_side){
        .in = in, .n_cols = rel->n_cols, .n_extra = n_extra, .n_keys = n_keys, .n_soft = n_soft};
    s->first_key = s->n_cols + n_extra;
    s->hash_col = s->first_key + n_keys;
    s->rank_col = s->hash_col + 1;
    s->n_all = s->rank_col + 1;
    s->types = arena_array(c->arena, enum type, s->n_all);
    s->key_types = arena_array(c->arena, enum type, n_keys + 1);
    for (int i = 0; i < s->n_cols; i++)
        s->types[i] = rel->cols[i].type;
    for (int i = 0; i < n_extra; i++) {
        es[i] = extra[i];
        s->types[s->n_cols + i] = extra[i]->type;
    }
    for (int k = 0; k < n_keys; k++) {
        es[n_extra + k] = keys[k];
        s->key_types[k] = keys[k]->type;
        s->types[s->first_key + k] = type_is_varlen(keys[k]->type) ? T_TEXT : T_INT64;
    }
    s->types[s->hash_col] = s->types[s->rank_col] = T_INT64;
    if (n_extra + n_keys == 0) return OK;
    struct program *program;
    TRY(program_compile(c, es, n_extra + n_keys, rel, exec_env(in->exec), &program));
    s->program = program;
    return OK;
}

/* ---- keys ---- */

uint64_t join_nan_word(void)
{
    const double nan = (double)NAN;
    uint64_t word;
    sortkey_encode(T_FLOAT64, &nan, 1, &word);
    return word ^ TOP;
}

/* A key's column as words (texts stay). Bits of `usable` (NULL: none) are cleared where it is NaN.
 */
static enum status key_words(struct ctx *c, enum type t, int64_t n, struct column *col,
                             uint64_t *usable)
{
    if (type_is_varlen(t)) {
        col->type = T_TEXT;
        return OK;
    }
    void *words;
    TRY(scratch_alloc(c, (size_t)n * sizeof(uint64_t) + 8, &words));
    sortkey_encode(t, col->values, n, words);
    for (int64_t i = 0; i < n; i++)
        ((uint64_t *)words)[i] ^= TOP;
    uint64_t nan_word = join_nan_word();
    for (int64_t i = 0; usable && type_is_float(t) && i < n; i++)
        if (((const uint64_t *)words)[i] == nan_word) bit_clear(usable, i);
    col->type = T_INT64;
    col->values = words;
    return OK;
}

static void add_to_hash(const struct column *key, int64_t n, uint64_t *hash)
{
    if (key->type == T_TEXT) {
        const struct text *t = key->values;
        for (int64_t i = 0; i < n; i++)
            if (!column_is_null(key, i)) hash[i] = hash_mix(hash[i], text_mix(t[i]));
    } else {
        const uint64_t *w = key->values;
        for (int64_t i = 0; i < n; i++)
            hash[i] = hash_mix(hash[i], w[i]);
    }
}

static enum status new_bits(struct ctx *c, const uint64_t *from, int64_t n, uint64_t **out)
{
    void *bits;
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8 + 8, &bits));
    bits_fill(bits, 0, n, true);
    if (from) bits_copy(bits, 0, from, 0, n);
    *out = bits;
    return OK;
}

static enum status indexes(struct ctx *c, const uint64_t *bits, int64_t n, int64_t **out,
                           int64_t *n_out)
{
    void *mem;
    int64_t m = bits_count(bits, 0, n), k = 0;
    TRY(scratch_alloc(c, (size_t)(m + 1) * sizeof(int64_t), &mem));
    int64_t *idx = mem;
    for (int64_t i = bits_next(bits, 0, n); i < n; i = bits_next(bits, i + 1, n))
        idx[k++] = i;
    *out = idx;
    *n_out = m;
    return OK;
}

enum status join_side_rows(struct ctx *c, struct join_side *s, const struct chunk *ch,
                           struct side_rows *out)
{
    void *mem;
    int64_t n = ch->n;
    uint64_t *usable, *exist;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)s->n_all, &mem));
    struct column *cols = mem;
    if (s->n_cols) memcpy(cols, ch->cols, sizeof *cols * (size_t)s->n_cols);
    if (s->program) TRY(program_run(c, s->program, ch, cols + s->n_cols));
    TRY(new_bits(c, ch->present, n, &exist));
    TRY(new_bits(c, ch->present, n, &usable));
    for (int k = 0; k < s->n_keys; k++) {
        struct column *key = &cols[s->first_key + k];
        bool soft = k >= s->n_keys - s->n_soft;
        TRY(key_words(c, s->key_types[k], n, key, soft ? NULL : usable));
        if (!soft && key->valid) bits_and(usable, key->valid, n);
    }
    TRY(column_alloc(c, T_INT64, n, &cols[s->hash_col]));
    memset(cols[s->hash_col].values, 0, (size_t)n * 8);
    for (int k = 0; k < s->n_keys - s->n_soft; k++) {
        struct column *key = &cols[s->first_key + k];
        add_to_hash(key, n, cols[s->hash_col].values);
        key->valid = NULL; /* rows with a NULL are apart */
    }
    TRY(column_alloc(c, T_INT64, n, &cols[s->rank_col]));
    chunk_ranks(ch, &s->in->box, cols[s->rank_col].values);
    struct side_rows r = {.cols = cols};
    TRY(indexes(c, usable, n, &r.rows, &r.n));
    for (int64_t w = 0; w < bits_words(n); w++)
        exist[w] &= ~usable[w];
    TRY(indexes(c, exist, n, &r.lost, &r.n_lost));
    *out = r;
    return OK;
}

int64_t join_side_bytes(const struct join_side *s)
{
    int64_t bytes = 4 * 8 + 1; /* hash, number, indexes */
    for (int i = s->n_cols; i < s->hash_col; i++)
        bytes += (int64_t)type_bytes(s->types[i]) + (i < s->first_key ? 0 : 8);
    return bytes;
}

/* ---- gathering ---- */

struct gathering {
    struct sink sink;
    struct join_side *side;
    struct rowset *rows;
    lost_fn *lost;
    void *self;
};

static enum status consume(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                           const struct chunk *ch)
{
    (void)worker, (void)seq;
    struct gathering *g = (struct gathering *)sink;
    struct side_rows r;
    TRY(join_side_rows(c, g->side, ch, &r));
    if (r.n_lost && g->lost) TRY(g->lost(c, g->self, &r));
    return r.n ? rowset_append(c, g->rows, r.cols, r.rows, r.n) : OK;
}

enum status join_side_gather(struct ctx *c, struct join_side *s, const char *tmp_dir, lost_fn *lost,
                             void *self, struct rowset **out)
{
    struct gathering g = {.sink = {.consume = consume, .cell_bytes = join_side_bytes(s)},
                          .side = s,
                          .lost = lost,
                          .self = self};
    TRY(rowset_new(c, s->types, s->n_all, tmp_dir, &g.rows));
    enum status st = exec_run(c, s->in, NULL, &g.sink);
    if (st < 0)
        rowset_free(g.rows);
    else
        *out = g.rows;
    return st;
}
