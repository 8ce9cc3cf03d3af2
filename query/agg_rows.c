/* Where do cells wait whose groups are too many for a table? As rows, apart by bits of their key's
 * hash; a partition's groups then fit in a table that fits in the cache, or at least in memory.
 *
 * A row has the keys, the arguments of each call (once for calls with the same), and the cell's
 * number if some call wants it. Cells that don't count for a call have NULL as its argument; a call
 * without an argument to show that has a column of its own for it. */
#include "query/agg_hash_internal.h"
#include "query/rowset_internal.h"
#include <stdlib.h>

struct call_columns {
    int arg[2];
    int flag;    /* whether the cell counts; -1: the argument tells, or all do */
    int carrier; /* the argument that tells; -1: none */
    int like;    /* an earlier call with the same columns; -1: none */
};

struct row_parts {
    const struct key_layout *layout;
    const struct agg_set *set;
    int n_cols, rank;
    enum type *types;
    struct call_columns *calls;
    struct rowset *first, *parts[ROW_PARTS]; /* the first stays empty */
};

static bool same_input(const struct agg_bound *a, const struct agg_bound *b)
{
    bool same = a->n_args == b->n_args && a->filter == b->filter && a->agg->nan == b->agg->nan &&
                a->value_arg == b->value_arg;
    for (int x = 0; same && x < a->n_args; x++)
        same = a->slots[x] == b->slots[x] && a->types[x] == b->types[x];
    return same;
}

static void lay_out(struct row_parts *r)
{
    int n = r->layout->n_keys;
    for (int k = 0; k < n; k++)
        r->types[k] = r->layout->types[k];
    for (int i = 0; i < r->set->n; i++) {
        const struct agg_bound *k = &r->set->calls[i];
        struct call_columns *to = &r->calls[i];
        *to = (struct call_columns){.flag = -1, .carrier = -1, .like = -1};
        for (int j = 0; j < i && to->like < 0; j++)
            if (same_input(k, &r->set->calls[j])) to->like = j;
        if (to->like >= 0) continue;
        for (int x = k->n_args - 1; x >= 0; x--) {
            r->types[n] = k->types[x];
            to->arg[x] = n++;
            if (x != k->value_arg) to->carrier = x;
        }
        if (to->carrier >= 0 || (!k->n_args && k->filter < 0)) continue;
        r->types[n] = T_BOOL;
        to->flag = n++;
    }
    r->rank = -1;
    if (r->set->ranks) {
        r->types[n] = T_INT64;
        r->rank = n++;
    }
    r->n_cols = n;
}

enum status row_parts_new(struct ctx *c, const struct key_layout *l, const struct agg_set *set,
                          int64_t mem_bytes, const char *tmp_dir, struct row_parts **out)
{
    struct row_parts *r = calloc(1, sizeof *r);
    if (!r) return fail(c, ERR_MEMORY, "out of memory");
    r->layout = l;
    r->set = set;
    r->types = calloc((size_t)(l->n_keys + 3 * set->n + 1), sizeof *r->types);
    r->calls = calloc((size_t)set->n + 1, sizeof *r->calls);
    enum status s = r->types && r->calls ? OK : fail(c, ERR_MEMORY, "out of memory");
    if (s == OK) {
        lay_out(r);
        s = rowset_new_within(c, r->types, r->n_cols, tmp_dir, mem_bytes, &r->first);
    }
    if (s == OK) s = rowset_share(c, r->first, mem_bytes);
    for (int p = 0; p < ROW_PARTS && s == OK; p++)
        s = rowset_new_beside(c, r->first, mem_bytes / 2 / ROW_PARTS, &r->parts[p]);
    if (s < 0)
        row_parts_free(r);
    else
        *out = r;
    return s;
}

void row_parts_free(struct row_parts *r)
{
    if (!r) return;
    for (int p = 0; p < ROW_PARTS; p++)
        rowset_free(r->parts[p]);
    rowset_free(r->first);
    free(r->types);
    free(r->calls);
    free(r);
}

void row_parts_drop(struct row_parts *r, int part)
{
    rowset_free(r->parts[part]);
    r->parts[part] = NULL;
}

int64_t row_parts_rows(const struct row_parts *r, int part)
{
    return rowset_rows(r->parts[part]);
}

/* ---- adding ---- */

/* The columns of a chunk's rows. */
static enum status columns_of(struct ctx *c, const struct row_parts *r, const struct column *keys,
                              const struct agg_input *in, int64_t n, struct column **out)
{
    void *mem;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(r->n_cols + 1), &mem));
    struct column *cols = *out = mem;
    memcpy(cols, keys, sizeof *cols * (size_t)r->layout->n_keys);
    for (int i = 0; i < r->set->n; i++) {
        const struct call_columns *to = &r->calls[i];
        const struct call_input *ci = &in->calls[i];
        if (to->like >= 0) continue;
        for (int x = 0; x < r->set->calls[i].n_args; x++) {
            cols[to->arg[x]] = *ci->args[x];
            if (x != to->carrier) continue;
            cols[to->arg[x]].valid = NULL;
            if (!ci->mask) continue;
            TRY(column_need_valid(c, &cols[to->arg[x]], n));
            memcpy(cols[to->arg[x]].valid, ci->mask, (size_t)bits_words(n) * 8);
        }
        if (to->flag < 0) continue;
        TRY(column_alloc(c, T_BOOL, n, &cols[to->flag]));
        uint8_t *flags = cols[to->flag].values;
        for (int64_t k = 0; k < n; k++)
            flags[k] = !ci->mask || bit_get(ci->mask, k);
    }
    if (r->rank < 0) return OK;
    TRY(column_alloc(c, T_INT64, n, &cols[r->rank]));
    if (in->ranks)
        memcpy(cols[r->rank].values, in->ranks, (size_t)n * sizeof(int64_t));
    else
        agg_ranks(in, cols[r->rank].values);
    return OK;
}

/* The cells with a bit in mask, partition by partition; ends[p]: behind partition p's. */
static enum status apart(struct ctx *c, const struct row_parts *r, const struct column *keys,
                         const uint64_t *mask, int64_t n, int64_t **out, int64_t *ends)
{
    void *mem;
    int32_t sel[AGG_BLOCK];
    uint64_t hashes[AGG_BLOCK];
    int64_t width = r->layout->n_words, starts[ROW_PARTS + 1] = {0};
    TRY(scratch_alloc(c, (size_t)n * sizeof(int64_t) + 8, &mem));
    *out = mem;
    TRY(scratch_alloc(c, (size_t)n + 8, &mem));
    uint8_t *of = mem;
    TRY(scratch_alloc(c, (size_t)width * AGG_BLOCK * 8 + 8, &mem));
    uint64_t *words = mem;
    for (int64_t at = 0; at < n; at += AGG_BLOCK) {
        int64_t m = mask_select(mask, at, n - at < AGG_BLOCK ? n - at : AGG_BLOCK, NULL, sel);
        if (m) keys_make(r->layout, keys, at, sel, m, words);
        key_hashes(r->layout, words, m, hashes);
        for (int64_t i = 0; i < m; i++) {
            int part = row_part_of(hashes[i]);
            of[at + sel[i]] = (uint8_t)part;
            starts[part + 1]++;
        }
    }
    for (int p = 0; p < ROW_PARTS; p++)
        starts[p + 1] += starts[p];
    memcpy(ends, starts, sizeof *ends * ROW_PARTS);
    for (int64_t i = 0; i < n; i++)
        if (!mask || bit_get(mask, i)) (*out)[ends[of[i]]++] = i;
    return OK;
}

enum status row_parts_add(struct ctx *c, struct row_parts *r, const struct column *keys,
                          const uint64_t *mask, const struct agg_input *in, int64_t n)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct column *cols;
    int64_t *rows, ends[ROW_PARTS];
    TRY(columns_of(c, r, keys, in, n, &cols));
    TRY(apart(c, r, keys, mask, n, &rows, ends));
    for (int p = 0; p < ROW_PARTS; p++) {
        int64_t from = p ? ends[p - 1] : 0;
        if (ends[p] > from) TRY(rowset_append(c, r->parts[p], cols, rows + from, ends[p] - from));
    }
    scratch_release(c->scratch, mark);
    return OK;
}

/* ---- reading ---- */

enum status row_parts_read(struct ctx *c, const struct row_parts *r, int part, int64_t lo,
                           int64_t hi, struct chunk *chunk, struct agg_input *in)
{
    void *mem;
    int64_t n = hi - lo;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(r->n_cols + 1), &mem));
    struct column *cols = mem;
    TRY(rowset_look(c, r->parts[part], lo, hi, cols));
    TRY(scratch_alloc(c, sizeof(struct call_input) * (size_t)(r->set->n + 1), &mem));
    struct call_input *calls = mem;
    for (int i = 0; i < r->set->n; i++) {
        const struct call_columns *from = &r->calls[i];
        struct call_input *ci = &calls[i];
        *ci = from->like >= 0 ? calls[from->like] : (struct call_input){0};
        if (from->like >= 0) continue;
        for (int x = 0; x < r->set->calls[i].n_args; x++)
            ci->args[x] = &cols[from->arg[x]];
        if (from->carrier >= 0) ci->mask = cols[from->arg[from->carrier]].valid;
        if (from->flag >= 0) {
            TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &mem));
            bits_from_bytes(mem, cols[from->flag].values, n);
            ci->mask = mem;
        }
        ci->none = ci->mask && bits_none(ci->mask, 0, n);
    }
    *chunk = (struct chunk){.n = n, .n_present = n, .cols = cols, .n_cols = r->n_cols};
    *in = (struct agg_input){.chunk = chunk, .calls = calls, .cols = cols};
    if (r->rank >= 0) in->ranks = cols[r->rank].values;
    return OK;
}
