/* How are rows found by their keys? Chains by the hash's upper bits; rows of a chain stand in the
 * order that they came in. */
#include "query/join_table.h"
#include "query/rowset_internal.h"
#include <stdlib.h>
#include <string.h>

#define LOAD_ROWS 4096
#define HEAP_BLOCK (256 << 10)
#define MAX_ROWS INT64_C(0x7ffffffe)

int64_t join_table_rows(const struct rowset *r, int64_t max_bytes)
{
    /* a row, its links and slots, a word for bitmaps */
    int64_t rows = max_bytes / (rowset_row_bytes(r) + rowset_columns(r) / 8 + 16);
    return rows < 1 ? 1 : rows > MAX_ROWS ? MAX_ROWS : rows;
}

void join_table_free(struct join_table *t)
{
    for (int i = 0; i < t->n_blocks; i++)
        buf_free(t->blocks[i]);
    free(t->blocks);
    for (int i = 0; t->cols && i < t->side->n_all; i++) {
        buf_free(t->cols[i].values);
        buf_free(t->cols[i].valid);
    }
    free(t->cols);
    buf_free(t->slots);
    buf_free(t->next);
    memset(t, 0, sizeof *t);
}

static enum status heap_room(struct ctx *c, struct join_table *t, int64_t bytes, char **out)
{
    int64_t room = t->n_blocks ? (int64_t)buf_bytes(t->blocks[t->n_blocks - 1]) - t->block_used : 0;
    if (bytes > room || t->n_blocks == 0) {
        if (t->n_blocks == t->cap_blocks) {
            int cap = t->cap_blocks ? 2 * t->cap_blocks : 16;
            void **blocks = realloc(t->blocks, (size_t)cap * sizeof *blocks);
            if (!blocks) return fail(c, ERR_MEMORY, "out of memory");
            t->blocks = blocks;
            t->cap_blocks = cap;
        }
        void *block;
        TRY(buf_alloc(c, (size_t)(bytes > HEAP_BLOCK ? bytes : HEAP_BLOCK), &block));
        t->blocks[t->n_blocks++] = block;
        t->block_used = 0;
    }
    *out = (char *)t->blocks[t->n_blocks - 1] + t->block_used;
    t->block_used += bytes;
    return OK;
}

static enum status put_texts(struct ctx *c, struct join_table *t, const struct column *from,
                             int64_t n, struct text *to)
{
    const struct text *texts = from->values;
    int64_t total = 0;
    for (int64_t i = 0; i < n; i++)
        total += column_is_null(from, i) ? 0 : texts[i].len;
    char *heap;
    TRY(heap_room(c, t, total, &heap));
    for (int64_t i = 0; i < n; i++) {
        int64_t len = column_is_null(from, i) ? 0 : texts[i].len;
        if (len) memcpy(heap, texts[i].s, (size_t)len);
        to[i] = (struct text){len ? heap : "", len};
        heap += len;
    }
    return OK;
}

static enum status put_rows(struct ctx *c, struct join_table *t, const struct column *from,
                            int64_t at, int64_t n)
{
    for (int k = 0; k < t->side->n_all; k++) {
        struct column *col = &t->cols[k];
        size_t width = type_bytes(col->type);
        char *to = (char *)col->values + (size_t)at * width;
        if (type_is_varlen(col->type))
            TRY(put_texts(c, t, &from[k], n, (struct text *)(void *)to));
        else
            memcpy(to, from[k].values, (size_t)n * width);
        if (!from[k].valid) {
            if (col->valid) bits_fill(col->valid, at, n, true);
            continue;
        }
        if (!col->valid) {
            void *bits;
            TRY(buf_alloc(c, (size_t)bits_words(t->n) * 8, &bits));
            col->valid = bits;
            bits_fill(bits, 0, at, true);
        }
        bits_copy(col->valid, at, from[k].valid, 0, n);
    }
    return OK;
}

static enum status make_columns(struct ctx *c, struct join_table *t)
{
    t->cols = calloc((size_t)t->side->n_all, sizeof *t->cols);
    if (!t->cols) return fail(c, ERR_MEMORY, "out of memory");
    for (int k = 0; k < t->side->n_all; k++) {
        t->cols[k].type = t->side->types[k];
        TRY(buf_alloc(c, (size_t)t->n * type_bytes(t->cols[k].type) + 8, &t->cols[k].values));
    }
    return OK;
}

static enum status link_rows(struct ctx *c, struct join_table *t)
{
    int bits = 0;
    void *mem;
    while (bits < 31 && (INT64_C(1) << bits) < t->n)
        bits++;
    t->shift = 64 - bits;
    TRY(buf_alloc(c, sizeof(uint32_t) << bits, &mem));
    t->slots = mem;
    memset(mem, 0, sizeof(uint32_t) << bits);
    TRY(buf_alloc(c, (size_t)(t->n + 1) * sizeof(uint32_t), &mem));
    t->next = mem;
    const uint64_t *hash = t->cols[t->side->hash_col].values;
    for (int64_t i = t->n - 1; i >= 0; i--) {
        uint32_t *slot = &t->slots[t->shift < 64 ? hash[i] >> t->shift : 0];
        t->next[i] = *slot;
        *slot = (uint32_t)(i + 1);
    }
    return OK;
}

enum status join_table_load(struct ctx *c, const struct join_side *side, const struct rowset *r,
                            int64_t lo, int64_t hi, struct join_table *t)
{
    *t = (struct join_table){.side = side, .n = hi - lo};
    TRY(make_columns(c, t));
    for (int64_t at = lo; at < hi; at += LOAD_ROWS) {
        int64_t n = hi - at < LOAD_ROWS ? hi - at : LOAD_ROWS;
        struct scratch_mark mark = scratch_mark(c->scratch);
        void *cols;
        TRY(check_cancel(c));
        TRY(scratch_alloc(c, sizeof(struct column) * (size_t)side->n_all, &cols));
        TRY(rowset_read(c, r, at, at + n, NULL, 0, cols));
        TRY(put_rows(c, t, cols, at - lo, n));
        scratch_release(c->scratch, mark);
    }
    return link_rows(c, t);
}

bool join_table_equal(const struct join_table *t, int64_t at, const struct join_side *probe,
                      const struct column *cols, int64_t i)
{
    const struct join_side *side = t->side;
    if (((const uint64_t *)t->cols[side->hash_col].values)[at] !=
        ((const uint64_t *)cols[probe->hash_col].values)[i])
        return false;
    for (int k = 0; k < side->n_keys - side->n_soft; k++) {
        const struct column *a = &t->cols[side->first_key + k], *b = &cols[probe->first_key + k];
        if (a->type == T_TEXT) {
            struct text x = ((const struct text *)a->values)[at];
            struct text y = ((const struct text *)b->values)[i];
            if (x.len != y.len || (x.len && memcmp(x.s, y.s, (size_t)x.len))) return false;
        } else if (((const uint64_t *)a->values)[at] != ((const uint64_t *)b->values)[i]) {
            return false;
        }
    }
    return true;
}

bool join_table_unique(const struct join_table *t)
{
    for (int64_t i = 0; i < t->n; i++)
        for (uint32_t at = t->next[i]; at; at = t->next[at - 1])
            if (join_table_equal(t, at - 1, t->side, t->cols, i)) return false;
    return true;
}
