/* How are rows found by key? */
#include "query/lookup.h"
#include "query/agg_internal.h"
#include "query/rowset_internal.h"
#include "query/sortkey.h"
#include "storage/base/mix.h"
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

enum {
    ROWS_IN_MEMORY = 2, /* of a directory's entry */
    ROWS_ON_DISK = 8,
    PAGE_ROWS = 256, /* read at once */
    READ_ROWS = 8192,
    RECENT = 4096 /* keys remembered, to leave repeated ones out */
};

struct lookup {
    int n_values;
    enum type *types; /* of the rowset: hi, lo, then the values */
    uint64_t seed;
    struct rowset *rows;       /* sorted when sealed; NULL: they are in memory */
    struct lookup_key *recent; /* while rows come that have no values */
    pthread_mutex_t lock;      /* of that */
    int64_t n;
    int shift; /* of hi: its first bits */
    int64_t *directory;
    uint8_t *prints;         /* on disk: a byte of each row's key; NULL: there was no room */
    uint64_t least, most;    /* of the keys' words, unless they are hashed */
    atomic_bool hashed;      /* keys are hashes: lo alone is not all of them */
    struct lookup_key *keys; /* in memory: n of them, and of each value */
    struct column *values;
    struct text_heap heap;
};

/* ---- keys ---- */

static bool arg_is_null(const struct operand *a, int64_t i)
{
    return a->valid && !bit_get(a->valid, a->step * i);
}

/* Words of an argument of fixed size, for all n cells. */
static void arg_words(const struct operand *a, int64_t n, uint64_t *words)
{
    sortkey_encode(a->type, a->values, a->step ? n : 1, words);
    for (int64_t i = 1; i < n && !a->step; i++)
        words[i] = words[0];
}

static void one_word_keys(const struct operand *a, int64_t n, uint64_t seed, struct lookup_key *out)
{
    uint64_t words[LOOKUP_BLOCK];
    arg_words(a, n, words);
    for (int64_t i = 0; i < n; i++) {
        bool null = arg_is_null(a, i);
        out[i].lo = null ? 0 : words[i];
        out[i].hi = null ? ~seed : mix(words[i] ^ seed);
    }
}

/* Three words an argument: whether it is there, and its value or its text's hash. */
static void add_words(const struct operand *a, const uint64_t *todo, int64_t n, uint64_t seed,
                      int64_t width, uint64_t *out)
{
    uint64_t words[LOOKUP_BLOCK];
    bool text = type_is_varlen(a->type);
    if (!text) arg_words(a, n, words);
    for (int64_t i = bits_next(todo, 0, n); i < n; i = bits_next(todo, i + 1, n)) {
        uint64_t *to = out + i * width;
        to[0] = !arg_is_null(a, i);
        to[1] = to[2] = 0;
        if (!to[0]) continue;
        if (text) {
            const struct text *t = (const struct text *)a->values + a->step * i;
            XXH128_hash_t h = XXH3_128bits_withSeed(t->s, (size_t)t->len, seed);
            to[1] = h.low64;
            to[2] = h.high64;
        } else {
            to[1] = words[i];
        }
    }
}

enum status lookup_keys(struct ctx *c, const struct operand *args, int n_args, const uint64_t *todo,
                        int64_t n, uint64_t seed, struct lookup_key *out)
{
    if (n_args == 1 && !type_is_varlen(args[0].type)) {
        one_word_keys(&args[0], n, seed, out);
        return OK;
    }
    struct scratch_mark mark = scratch_mark(c->scratch);
    int64_t width = 3 * n_args;
    void *mem;
    TRY(scratch_alloc(c, (size_t)(width * n + 1) * 8, &mem));
    uint64_t *words = mem;
    for (int k = 0; k < n_args; k++)
        add_words(&args[k], todo, n, seed, width, words + 3 * k);
    for (int64_t i = bits_next(todo, 0, n); i < n; i = bits_next(todo, i + 1, n)) {
        XXH128_hash_t h = XXH3_128bits_withSeed(words + i * width, (size_t)width * 8, seed);
        out[i] = (struct lookup_key){h.high64, h.low64};
    }
    scratch_release(c->scratch, mark);
    return OK;
}

void lookup_comparable(const struct operand *args, int n_args, uint64_t *todo, int64_t n)
{
    for (int k = 0; k < n_args; k++) {
        const struct operand *a = &args[k];
        const float *f = a->values;
        const double *d = a->values;
        bool is_float = type_is_float(a->type);
        if (!a->valid && !is_float) continue;
        for (int64_t i = bits_next(todo, 0, n); i < n; i = bits_next(todo, i + 1, n)) {
            int64_t at = a->step * i;
            bool none = arg_is_null(a, i);
            if (!none && is_float) none = a->type == T_FLOAT32 ? f[at] != f[at] : d[at] != d[at];
            if (none) bit_clear(todo, i);
        }
    }
}

/* ---- filling ---- */

enum status lookup_new(struct ctx *c, const enum type *values, int n_values, const char *tmp_dir,
                       struct lookup **out)
{
    struct lookup *l = calloc(1, sizeof *l);
    if (!l) return fail(c, ERR_MEMORY, "out of memory");
    pthread_mutex_init(&l->lock, NULL);
    l->n_values = n_values;
    l->seed = mix((uint64_t)now_ns());
    l->types = calloc((size_t)n_values + 2, sizeof *l->types);
    l->values = calloc((size_t)n_values + 1, sizeof *l->values);
    if (!n_values) l->recent = calloc(RECENT, sizeof *l->recent);
    enum status s = OK;
    if (!l->types || !l->values || (!n_values && !l->recent))
        s = fail(c, ERR_MEMORY, "out of memory");
    if (s == OK) {
        l->types[0] = l->types[1] = T_INT64;
        for (int i = 0; i < n_values; i++)
            l->types[2 + i] = values[i];
        s = rowset_new(c, l->types, 2 + n_values, tmp_dir, &l->rows);
    }
    if (s < 0)
        lookup_free(l);
    else
        *out = l;
    return s;
}

void lookup_free(struct lookup *l)
{
    if (!l) return;
    rowset_free(l->rows);
    for (int i = 0; l->values && i < l->n_values; i++) {
        buf_free(l->values[i].values);
        buf_free(l->values[i].valid);
    }
    text_heap_free(&l->heap);
    buf_free(l->keys);
    buf_free(l->prints);
    buf_free(l->directory);
    pthread_mutex_destroy(&l->lock);
    free(l->recent);
    free(l->values);
    free(l->types);
    free(l);
}

uint64_t lookup_seed(const struct lookup *l)
{
    return l->seed;
}

/* Of keys that come again and again only the first few are kept. */
static bool is_repeated(struct lookup *l, struct lookup_key key)
{
    struct lookup_key *old = &l->recent[key.hi % RECENT];
    if (old->hi == key.hi && old->lo == key.lo) return true;
    *old = key;
    return false;
}

/* Signed order, as the rowset's, is the order of hi. */
static int64_t as_signed(uint64_t w)
{
    return (int64_t)(w ^ (UINT64_C(1) << 63));
}
static uint64_t as_unsigned(int64_t w)
{
    return (uint64_t)w ^ (UINT64_C(1) << 63);
}

/* Rows [at, at + n) of a chunk; cols has room for the two words of keys. */
static enum status add_block(struct ctx *c, struct lookup *l, const struct operand *keys,
                             int n_keys, struct column *cols, const uint64_t *present, int64_t at,
                             int64_t n)
{
    uint64_t todo[LOOKUP_BLOCK / 64];
    int64_t *hi = cols[0].values, *lo = cols[1].values, sel[LOOKUP_BLOCK], n_sel = 0;
    struct lookup_key made[LOOKUP_BLOCK];
    bits_fill(todo, 0, n, true);
    if (present) bits_copy(todo, 0, present, at, n);
    lookup_comparable(keys, n_keys, todo, n);
    TRY(lookup_keys(c, keys, n_keys, todo, n, l->seed, made));
    if (l->recent) pthread_mutex_lock(&l->lock);
    for (int64_t i = bits_next(todo, 0, n); i < n; i = bits_next(todo, i + 1, n)) {
        hi[i] = as_signed(made[i].hi);
        lo[i] = (int64_t)made[i].lo;
        if (!l->recent || !is_repeated(l, made[i])) sel[n_sel++] = i;
    }
    if (l->recent) pthread_mutex_unlock(&l->lock);
    return n_sel ? rowset_append(c, l->rows, cols, sel, n_sel) : OK;
}

/* Rows [at, at + n) of a column; at is a multiple of 64. */
static struct column column_part(const struct column *col, int64_t at)
{
    return (struct column){.type = col->type,
                           .values = (char *)col->values + (size_t)at * type_bytes(col->type),
                           .valid = col->valid ? col->valid + at / 64 : NULL};
}

enum status lookup_add(struct ctx *c, struct lookup *l, const struct column *keys, int n_keys,
                       const struct column *values, const uint64_t *present, int64_t n)
{
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct operand) * (size_t)(n_keys + 1), &mem));
    struct operand *args = mem;
    if (n_keys > 1 || type_is_varlen(keys[0].type)) atomic_store(&l->hashed, true);
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(l->n_values + 2), &mem));
    struct column *cols = mem;
    TRY(column_alloc(c, T_INT64, LOOKUP_BLOCK, &cols[0]));
    TRY(column_alloc(c, T_INT64, LOOKUP_BLOCK, &cols[1]));
    for (int64_t at = 0; at < n; at += LOOKUP_BLOCK) {
        int64_t m = n - at < LOOKUP_BLOCK ? n - at : LOOKUP_BLOCK;
        for (int k = 0; k < n_keys; k++) {
            struct column part = column_part(&keys[k], at);
            args[k] = (struct operand){part.values, part.valid, 1, part.type};
        }
        for (int k = 0; k < l->n_values; k++)
            cols[2 + k] = column_part(&values[k], at);
        TRY(add_block(c, l, args, n_keys, cols, present, at, m));
    }
    return OK;
}

/* ---- sealing ---- */

static enum status read_rows(struct ctx *c, const struct lookup *l, int64_t lo, int64_t hi,
                             struct column *cols)
{
    return rowset_read(c, l->rows, lo, hi, NULL, 0, cols);
}

/* Rows [at, at + n) into memory. */
static enum status take_rows(struct ctx *c, struct lookup *l, const struct column *cols, int64_t at,
                             int64_t n)
{
    const int64_t *hi = cols[0].values, *lo = cols[1].values;
    for (int64_t i = 0; i < n; i++)
        l->keys[at + i] = (struct lookup_key){as_unsigned(hi[i]), (uint64_t)lo[i]};
    for (int k = 0; k < l->n_values; k++) {
        const struct column *from = &cols[2 + k];
        struct column *to = &l->values[k];
        size_t width = type_bytes(from->type);
        for (int64_t i = 0; i < n; i++)
            bit_put(to->valid, at + i, !column_is_null(from, i));
        if (!type_is_varlen(from->type)) {
            memcpy((char *)to->values + (size_t)at * width, from->values, (size_t)n * width);
            continue;
        }
        const struct text *t = from->values;
        for (int64_t i = 0; i < n; i++) {
            struct text_ref ref = {0};
            if (!column_is_null(from, i)) TRY(text_heap_put(c, &l->heap, &ref, t[i].s, t[i].len));
            ((struct text *)to->values)[at + i] = (struct text){ref.s, ref.len};
        }
    }
    return OK;
}

static bool columns_in_memory(struct ctx *c, struct lookup *l)
{
    l->keys = buf_try(c->budget, (size_t)l->n * sizeof *l->keys);
    bool ok = l->keys != NULL;
    for (int k = 0; k < l->n_values && ok; k++) {
        struct column *col = &l->values[k];
        col->type = l->types[2 + k];
        col->values = buf_try(c->budget, (size_t)l->n * type_bytes(col->type));
        col->valid = buf_try(c->budget, (size_t)bits_words(l->n) * 8);
        ok = col->values && col->valid;
    }
    if (ok) return true;
    buf_free(l->keys);
    l->keys = NULL;
    for (int k = 0; k < l->n_values; k++) {
        buf_free(l->values[k].values);
        buf_free(l->values[k].valid);
        l->values[k] = (struct column){0};
    }
    return false;
}

/* directory[b]: the first row whose hi begins with b or more. */
static void enter(struct lookup *l, int64_t *next, uint64_t hi, int64_t row)
{
    for (int64_t b = (int64_t)(hi >> l->shift); *next <= b; ++*next)
        l->directory[*next] = row;
}

static enum status load(struct ctx *c, struct lookup *l)
{
    bool fits = rowset_row_bytes(l->rows) * l->n <= memory_share(c, 4) && columns_in_memory(c, l);
    int64_t per = fits ? ROWS_IN_MEMORY : ROWS_ON_DISK, next = 0, share = memory_share(c, 4);
    int bits = 1;
    while ((INT64_C(1) << bits) * per < l->n && (fits || INT64_C(16) << bits <= share))
        bits++;
    l->shift = 64 - bits;
    l->least = UINT64_MAX;
    l->most = 0;
    if (!fits && l->n <= share) l->prints = buf_try(c->budget, (size_t)l->n);
    void *mem;
    TRY(buf_alloc(c, (((size_t)1 << bits) + 1) * sizeof *l->directory, &mem));
    l->directory = mem;
    void *cols;
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(l->n_values + 2), &cols));
    for (int64_t at = 0; at < l->n; at += READ_ROWS) {
        int64_t n = l->n - at < READ_ROWS ? l->n - at : READ_ROWS;
        struct scratch_mark inner = scratch_mark(c->scratch);
        TRY(read_rows(c, l, at, at + n, cols));
        const int64_t *hi = ((struct column *)cols)[0].values;
        const uint64_t *words = ((struct column *)cols)[1].values;
        for (int64_t i = 0; i < n; i++) {
            if (words[i] < l->least) l->least = words[i];
            if (words[i] > l->most) l->most = words[i];
        }
        for (int64_t i = 0; i < n; i++)
            enter(l, &next, as_unsigned(hi[i]), at + i);
        for (int64_t i = 0; i < n && l->prints; i++)
            l->prints[at + i] = (uint8_t)hi[i];
        if (l->keys) TRY(take_rows(c, l, cols, at, n));
        scratch_release(c->scratch, inner);
        TRY(check_cancel(c));
    }
    while (next <= INT64_C(1) << bits)
        l->directory[next++] = l->n;
    scratch_release(c->scratch, mark);
    return OK;
}

enum status lookup_seal(struct ctx *c, struct lookup *l)
{
    struct rowset_key keys[2] = {{.column = 0}, {.column = 1}};
    struct rowset *sorted;
    TRY(rowset_sort(c, l->rows, keys, 2, -1, &sorted));
    rowset_free(l->rows);
    l->rows = sorted;
    l->n = rowset_rows(sorted);
    free(l->recent);
    l->recent = NULL;
    struct scratch *own = c->scratch ? NULL : scratch_new(c->budget);
    if (own) c->scratch = own;
    enum status s = load(c, l);
    if (own) {
        c->scratch = NULL;
        scratch_free(own);
    }
    if (s == OK && l->keys) {
        rowset_free(l->rows);
        l->rows = NULL;
    }
    return s;
}

/* ---- asking ---- */

bool lookup_range(const struct lookup *l, uint64_t *lo, uint64_t *hi)
{
    *lo = l->least;
    *hi = l->most;
    return !l->hashed;
}

static enum status twice(struct ctx *c)
{
    return fail(c, ERR_CARDINALITY,
                "more than one row returned by a subquery used as an expression");
}

static enum status find_in_memory(struct ctx *c, const struct lookup *l, struct lookup_key key,
                                  int64_t lo, int64_t hi, int64_t *row)
{
    for (; lo < hi; lo++) {
        if (l->keys[lo].hi != key.hi || l->keys[lo].lo != key.lo) continue;
        *row = lo;
        bool again = lo + 1 < hi && l->keys[lo + 1].hi == key.hi && l->keys[lo + 1].lo == key.lo;
        return again && l->n_values ? twice(c) : OK;
    }
    return OK;
}

/* Of rows [lo, hi) those that may have the key: at most a page of them before it. */
static enum status narrow_page(struct ctx *c, const struct lookup *l, int64_t want, int64_t *lo,
                               int64_t hi)
{
    int column = 0;
    while (hi - *lo > PAGE_ROWS) {
        int64_t mid = *lo + (hi - *lo) / 2;
        struct column col;
        TRY(rowset_read(c, l->rows, mid, mid + 1, &column, 1, &col));
        if (((const int64_t *)col.values)[0] < want)
            *lo = mid + 1;
        else
            hi = mid;
    }
    return OK;
}

static enum status is_row(struct ctx *c, const struct lookup *l, struct lookup_key key, int64_t row,
                          bool *out)
{
    static const int columns[2] = {1, 0};
    struct column cols[2];
    int n = l->hashed ? 2 : 1; /* one word is all of the key */
    TRY(rowset_read(c, l->rows, row, row + 1, columns, n, cols));
    *out = ((const uint64_t *)cols[0].values)[0] == key.lo &&
           (n == 1 || ((const int64_t *)cols[1].values)[0] == as_signed(key.hi));
    return OK;
}

/* Only rows whose byte is the key's are read. */
static enum status find_by_print(struct ctx *c, const struct lookup *l, struct lookup_key key,
                                 int64_t lo, int64_t hi, int64_t *row)
{
    for (; lo < hi; lo++) {
        bool is = false;
        if (l->prints[lo] != (uint8_t)key.hi) continue;
        TRY(is_row(c, l, key, lo, &is));
        if (is && *row >= 0) return twice(c);
        if (is) *row = lo;
        if (is && !l->n_values) break;
    }
    return OK;
}

static enum status find_on_disk(struct ctx *c, const struct lookup *l, struct lookup_key key,
                                int64_t lo, int64_t hi, int64_t *row)
{
    static const int columns[2] = {0, 1};
    int64_t want = as_signed(key.hi), seen = 0;
    TRY(narrow_page(c, l, want, &lo, hi));
    for (bool over = false; lo < hi && !over; lo += PAGE_ROWS) {
        int64_t n = hi - lo < PAGE_ROWS ? hi - lo : PAGE_ROWS;
        struct column cols[2];
        TRY(rowset_read(c, l->rows, lo, lo + n, columns, 1, cols));
        const int64_t *his = cols[0].values;
        int64_t i = 0;
        while (i < n && his[i] < want)
            i++;
        if (i < n && his[i] == want)
            TRY(rowset_read(c, l->rows, lo, lo + n, columns + 1, 1, cols + 1));
        for (; i < n && his[i] == want; i++) {
            if (((const uint64_t *)cols[1].values)[i] != key.lo) continue;
            if (seen++ == 0) *row = lo + i;
            if (!l->n_values || seen > 1) return l->n_values ? twice(c) : OK;
        }
        over = i < n;
    }
    return OK;
}

enum status lookup_find(struct ctx *c, const struct lookup *l, struct lookup_key key, int64_t *row)
{
    int64_t b = (int64_t)(key.hi >> l->shift);
    int64_t lo = l->directory[b], hi = l->directory[b + 1];
    *row = -1;
    if (lo >= hi) return OK;
    if (l->keys) return find_in_memory(c, l, key, lo, hi, row);
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s =
        l->prints ? find_by_print(c, l, key, lo, hi, row) : find_on_disk(c, l, key, lo, hi, row);
    scratch_release(c->scratch, mark);
    return s;
}

enum status lookup_value(struct ctx *c, const struct lookup *l, int64_t row, int column,
                         struct value *out)
{
    struct column read;
    const struct column *col = &l->values[column];
    int which = 2 + column;
    if (!l->keys) {
        TRY(rowset_read(c, l->rows, row, row + 1, &which, 1, &read));
        col = &read;
        row = 0;
    }
    *out =
        column_is_null(col, row) ? value_null(col->type) : value_get(col->type, col->values, row);
    return OK;
}
