/* Where do rows wait that an operator has to see all of? In segments of columns, the sealed ones in
 * a temporary file once the rowset's memory allowance is used up and memory is scarce.
 *
 * Invariants: rows never move between segments, so a segment's first row is fixed when it is made.
 * Only the last segment takes rows, and only sealed ones (all others) are spilled. Texts lie in a
 * heap per column and segment, in row order; a text's pointer is its offset there. */
#include "query/gather.h"
#include "query/rowset_internal.h"
#include "query/spill.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#define MAX_SEGMENT_ROWS 65536
#define HEADER_ROWS                                                                                \
    8 /* of 8 bytes: so many fewer, and a buffer with its header is a round number */
#define MIN_SEGMENT_ROWS 256
#define FIRST_ROWS 32
#define MIN_HEAP_BYTES 256
#define MIN_HEAP_LIMIT (64 << 10)

/* In memory: pointers to buffers. Spilled: the pointers are NULL and the offsets say where. */
struct part {
    void *values;
    uint64_t *valid;
    char *heap;
    int64_t heap_used, heap_cap;
    int64_t values_at, valid_at, heap_at; /* in the file; -1: not there */
};

struct segment {
    int64_t first, n, cap;
    struct spill *file; /* where it was spilled, that it holds; NULL: in memory */
    bool full;          /* the texts leave no room for another row */
    struct part *parts;
};

struct rowset {
    int n_cols;
    enum type *types;
    char *tmp_dir;
    int64_t n_rows;
    int64_t segment_rows;
    int64_t mem_limit, mem_used;
    bool shares;        /* the limit is of all that spill to its file */
    int64_t heap_limit; /* bytes of a column's texts in a segment of several rows */
    int64_t heap_total;
    int64_t row_bytes; /* fixed part */
    int n_segments, cap_segments;
    int n_spilled; /* segments [0, n_spilled) are in a file */
    struct segment *segments;
    struct spill *spill;
    pthread_mutex_t lock;
};

int64_t memory_share(const struct ctx *c, int64_t divisor)
{
    int64_t left = budget_left(c->budget) / divisor;
    const int64_t least = 256 << 10, most = INT64_C(4) << 30;
    return left < least ? least : left > most ? most : left;
}

enum status rowset_new_within(struct ctx *c, const enum type *types, int n_cols,
                              const char *tmp_dir, int64_t mem_bytes, struct rowset **out)
{
    struct rowset *r = calloc(1, sizeof *r);
    enum type *own_types = calloc((size_t)n_cols + 1, sizeof *own_types);
    char *dir = tmp_dir ? strdup(tmp_dir) : NULL;
    if (!r || !own_types || (tmp_dir && !dir)) {
        free(r);
        free(own_types);
        free(dir);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    r->n_cols = n_cols;
    r->types = own_types;
    r->tmp_dir = dir;
    for (int k = 0; k < n_cols; k++) {
        r->types[k] = types[k];
        r->row_bytes += (int64_t)type_bytes(types[k]);
    }
    r->mem_limit = mem_bytes;
    r->heap_limit = mem_bytes / 8 > MIN_HEAP_LIMIT ? mem_bytes / 8 : MIN_HEAP_LIMIT;
    int64_t rows = mem_bytes / 8 / (r->row_bytes + 1);
    r->segment_rows = MAX_SEGMENT_ROWS;
    while (r->segment_rows > MIN_SEGMENT_ROWS && r->segment_rows > rows)
        r->segment_rows /= 2;
    r->segment_rows -= HEADER_ROWS;
    pthread_mutex_init(&r->lock, NULL);
    *out = r;
    return OK;
}

enum status rowset_new(struct ctx *c, const enum type *types, int n_cols, const char *tmp_dir,
                       struct rowset **out)
{
    return rowset_new_within(c, types, n_cols, tmp_dir, memory_share(c, 8), out);
}

enum status rowset_new_like(struct ctx *c, const struct rowset *other, int64_t mem_bytes,
                            struct rowset **out)
{
    return rowset_new_within(c, other->types, other->n_cols, other->tmp_dir, mem_bytes, out);
}

enum status rowset_share(struct ctx *c, struct rowset *r, int64_t mem_bytes)
{
    TRY(spill_new(c, r->tmp_dir, &r->spill));
    r->shares = true;
    r->mem_limit = mem_bytes;
    return OK;
}

enum status rowset_new_beside(struct ctx *c, const struct rowset *other, int64_t segment_bytes,
                              struct rowset **out)
{
    TRY(rowset_new_like(c, other, 8 * segment_bytes, out));
    (*out)->spill = spill_share(other->spill);
    (*out)->shares = true;
    (*out)->mem_limit = other->mem_limit;
    return OK;
}

static void charge(struct rowset *r, int64_t bytes)
{
    r->mem_used += bytes;
    if (r->shares) atomic_fetch_add_explicit(spill_held(r->spill), bytes, memory_order_relaxed);
}

/* More than the allowance, and others may want it. */
static bool over_limit(const struct ctx *c, const struct rowset *r)
{
    int64_t used =
        r->shares ? atomic_load_explicit(spill_held(r->spill), memory_order_relaxed) : r->mem_used;
    return used > r->mem_limit && budget_is_tight(c->budget);
}

static void segment_drop_memory(struct rowset *r, struct segment *s)
{
    for (int k = 0; k < r->n_cols; k++) {
        struct part *p = &s->parts[k];
        void *bufs[3] = {p->values, p->valid, p->heap};
        for (int b = 0; b < 3; b++) {
            if (bufs[b]) charge(r, -(int64_t)buf_bytes(bufs[b]));
            buf_free(bufs[b]);
        }
        p->values = NULL;
        p->valid = NULL;
        p->heap = NULL;
    }
}

void rowset_free(struct rowset *r)
{
    if (!r) return;
    for (int i = 0; i < r->n_segments; i++) {
        segment_drop_memory(r, &r->segments[i]);
        spill_free(r->segments[i].file);
        free(r->segments[i].parts);
    }
    free(r->segments);
    spill_free(r->spill);
    pthread_mutex_destroy(&r->lock);
    free(r->types);
    free(r->tmp_dir);
    free(r);
}

int rowset_columns(const struct rowset *r)
{
    return r->n_cols;
}

int64_t rowset_rows(const struct rowset *r)
{
    return r->n_rows;
}

double rowset_text_bytes(const struct rowset *r)
{
    return r->n_rows ? (double)r->heap_total / (double)r->n_rows : 0;
}

enum type rowset_type(const struct rowset *r, int column)
{
    return r->types[column];
}

const char *rowset_tmp_dir(const struct rowset *r)
{
    return r->tmp_dir;
}

int64_t rowset_row_bytes(const struct rowset *r)
{
    int64_t heap = r->n_rows ? r->heap_total / r->n_rows : 0;
    return r->row_bytes + heap + 1;
}

int64_t rowset_open_bytes(const struct rowset *r)
{
    int64_t bytes = MIN_SEGMENT_ROWS * (r->row_bytes + 1);
    for (int k = 0; k < r->n_cols; k++)
        if (type_is_varlen(r->types[k])) bytes += MIN_HEAP_LIMIT;
    return bytes;
}

/* ---- spilling ---- */

static enum status spill_segment(struct ctx *c, struct rowset *r, struct segment *s)
{
    if (!r->spill) TRY(spill_new(c, r->tmp_dir, &r->spill));
    for (int k = 0; k < r->n_cols; k++) {
        struct part *p = &s->parts[k];
        TRY(spill_append(c, r->spill, p->values, (size_t)s->n * type_bytes(r->types[k]),
                         &p->values_at));
        if (p->valid)
            TRY(spill_append(c, r->spill, p->valid, (size_t)bits_words(s->n) * 8, &p->valid_at));
        if (p->heap_used)
            TRY(spill_append(c, r->spill, p->heap, (size_t)p->heap_used, &p->heap_at));
    }
    segment_drop_memory(r, s);
    s->file = spill_share(r->spill);
    return OK;
}

/* Every sealed segment goes to the file. */
static enum status spill_sealed(struct ctx *c, struct rowset *r, int n_sealed)
{
    for (; r->n_spilled < n_sealed; r->n_spilled++)
        if (!r->segments[r->n_spilled].file) TRY(spill_segment(c, r, &r->segments[r->n_spilled]));
    return OK;
}

/* ---- appending ---- */

/* Room in the array for n more segments. */
static enum status more_segments(struct ctx *c, struct rowset *r, int n)
{
    int cap = r->cap_segments ? r->cap_segments : 8;
    while (cap < r->n_segments + n)
        cap *= 2;
    if (cap == r->cap_segments) return OK;
    struct segment *s = realloc(r->segments, (size_t)cap * sizeof *s);
    if (!s) return fail(c, ERR_MEMORY, "out of memory");
    r->segments = s;
    r->cap_segments = cap;
    return OK;
}

static enum status new_segment(struct ctx *c, struct rowset *r)
{
    if (over_limit(c, r)) TRY(spill_sealed(c, r, r->n_segments));
    TRY(more_segments(c, r, 1));
    struct segment s = {.first = r->n_rows};
    s.parts = calloc((size_t)r->n_cols + 1, sizeof *s.parts);
    if (!s.parts) return fail(c, ERR_MEMORY, "out of memory");
    for (int k = 0; k < r->n_cols; k++)
        s.parts[k].values_at = s.parts[k].valid_at = s.parts[k].heap_at = -1;
    r->segments[r->n_segments++] = s;
    return OK;
}

/* A buffer grown to `bytes` with its first `used` bytes kept. When memory is refused, sealed
 * segments are spilled to make room. *grown NULL: still refused. */
static enum status grow(struct ctx *c, struct rowset *r, void *old, int64_t used, int64_t bytes,
                        void **grown)
{
    void *fresh = buf_try(c->budget, (size_t)bytes);
    if (!fresh && r->n_spilled < r->n_segments - 1) {
        TRY(spill_sealed(c, r, r->n_segments - 1));
        fresh = buf_try(c->budget, (size_t)bytes);
    }
    *grown = fresh;
    if (!fresh) return OK;
    if (used) memcpy(fresh, old, (size_t)used);
    charge(r, (int64_t)buf_bytes(fresh) - (old ? (int64_t)buf_bytes(old) : 0));
    buf_free(old);
    return OK;
}

/* Room for rows up to `cap` in the segment; *ok false: refused (what was there stays). */
static enum status grow_rows(struct ctx *c, struct rowset *r, struct segment *s, int64_t cap,
                             bool *ok)
{
    *ok = false;
    for (int k = 0; k < r->n_cols; k++) {
        struct part *p = &s->parts[k];
        int64_t width = (int64_t)type_bytes(r->types[k]);
        void *fresh;
        if (!p->values || (int64_t)buf_bytes(p->values) < cap * width) {
            TRY(grow(c, r, p->values, s->n * width, cap * width, &fresh));
            if (!fresh) return OK;
            p->values = fresh;
        }
        if (p->valid && (int64_t)buf_bytes(p->valid) < bits_words(cap) * 8) {
            TRY(grow(c, r, p->valid, bits_words(s->n) * 8, bits_words(cap) * 8, &fresh));
            if (!fresh) return OK;
            p->valid = fresh;
        }
    }
    s->cap = cap;
    *ok = true;
    return OK;
}

static bool is_full(const struct rowset *r, const struct segment *s)
{
    return s->full || s->n == r->segment_rows;
}

static enum status refused(struct ctx *c)
{
    fail(c, ERR_MEMORY, "out of memory: %s leaves no room for rows", memory_limit_name(c));
    return hint(c, "Raise %s.", memory_limit_name(c));
}

/* A last segment with room for at least one more row; *room: for how many of n. */
static enum status tail_with_room(struct ctx *c, struct rowset *r, int64_t n, struct segment **out,
                                  int64_t *room)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!r->n_segments || attempt || is_full(r, &r->segments[r->n_segments - 1]))
            TRY(new_segment(c, r));
        struct segment *s = &r->segments[r->n_segments - 1];
        int64_t want = s->n + n < r->segment_rows ? s->n + n : r->segment_rows;
        bool ok = true;
        if (want > s->cap) {
            int64_t cap = s->cap ? s->cap : FIRST_ROWS;
            while (cap < want)
                cap *= 2;
            TRY(grow_rows(c, r, s, cap < r->segment_rows ? cap : r->segment_rows, &ok));
            if (!ok && s->cap < FIRST_ROWS) TRY(grow_rows(c, r, s, FIRST_ROWS, &ok));
        }
        int64_t end = want < s->cap ? want : s->cap;
        if (end > s->n) {
            *out = s;
            *room = end - s->n;
            return OK;
        }
        if (!s->n) break;
    }
    return refused(c);
}

static enum status need_valid(struct ctx *c, struct rowset *r, struct segment *s, struct part *p)
{
    if (p->valid) return OK;
    void *bits;
    TRY(grow(c, r, NULL, 0, bits_words(s->cap) * 8, &bits));
    if (!bits) return refused(c);
    p->valid = bits;
    bits_fill(p->valid, 0, s->n, true);
    return OK;
}

/* *ok false: refused. */
static enum status need_heap(struct ctx *c, struct rowset *r, struct part *p, int64_t more,
                             bool *ok)
{
    *ok = true;
    if (p->heap_used + more <= p->heap_cap) return OK;
    int64_t cap = p->heap_cap ? p->heap_cap : MIN_HEAP_BYTES;
    while (cap < p->heap_used + more)
        cap *= 2;
    if (cap > r->heap_limit)
        cap = p->heap_used + more > r->heap_limit ? p->heap_used + more : r->heap_limit;
    void *fresh;
    TRY(grow(c, r, p->heap, p->heap_used, cap, &fresh));
    *ok = fresh != NULL;
    if (!fresh) return OK;
    p->heap = fresh;
    p->heap_cap = cap;
    return OK;
}

static void put_values(struct segment *s, struct part *p, const struct column *col,
                       const int64_t *sel, int64_t at, int64_t n)
{
    size_t width = type_bytes(col->type);
    if (!sel) {
        memcpy((char *)p->values + (size_t)s->n * width,
               (const char *)col->values + (size_t)at * width, (size_t)n * width);
        return;
    }
    gather_picked_long((char *)p->values + (size_t)s->n * width, col->values, width, sel, n);
}

/* The heap has room for them. */
static void put_texts(struct rowset *r, struct segment *s, struct part *p, const struct column *col,
                      const int64_t *sel, int64_t at, int64_t n)
{
    const struct text *from = col->values;
    struct text *to = (struct text *)p->values + s->n;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = sel ? sel[i] : at + i;
        struct text t = column_is_null(col, j) ? (struct text){NULL, 0} : from[j];
        if (t.len) memcpy(p->heap + p->heap_used, t.s, (size_t)t.len);
        to[i] = (struct text){(const char *)(intptr_t)p->heap_used, t.len};
        p->heap_used += t.len;
        r->heap_total += t.len;
    }
}

static enum status put_valid(struct ctx *c, struct rowset *r, struct segment *s, struct part *p,
                             const struct column *col, const int64_t *sel, int64_t at, int64_t n)
{
    if (col->valid) TRY(need_valid(c, r, s, p));
    if (!p->valid) return OK;
    if (!col->valid)
        bits_fill(p->valid, s->n, n, true);
    else if (!sel)
        bits_copy(p->valid, s->n, col->valid, at, n);
    else
        for (int64_t i = 0; i < n; i++)
            bit_put(p->valid, s->n + i, bit_get(col->valid, sel[i]));
    return OK;
}

/* How many of the n rows the segment's heaps have room for; one at least when it is empty. */
static int64_t rows_with_room(const struct rowset *r, const struct segment *s,
                              const struct column *cols, const int64_t *sel, int64_t at, int64_t n)
{
    for (int k = 0; k < r->n_cols; k++) {
        if (!type_is_varlen(r->types[k])) continue;
        const struct text *t = cols[k].values;
        int64_t left = r->heap_limit - s->parts[k].heap_used, i = 0;
        for (; i < n; i++) {
            int64_t j = sel ? sel[i] : at + i;
            if (!column_is_null(&cols[k], j)) left -= t[j].len;
            if (left < 0) break;
        }
        n = i;
    }
    return n || s->n ? n : 1;
}

static int64_t text_bytes(const struct column *col, const int64_t *sel, int64_t at, int64_t n)
{
    const struct text *t = col->values;
    int64_t bytes = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t j = sel ? sel[i] : at + i;
        if (!column_is_null(col, j)) bytes += t[j].len;
    }
    return bytes;
}

/* Memory for the texts of *n rows; of fewer when it is refused: none, if the segment has rows
 * already, since the next one's may be had by spilling this one. */
static enum status need_heaps(struct ctx *c, struct rowset *r, struct segment *s,
                              const struct column *cols, const int64_t *sel, int64_t at, int64_t *n)
{
    bool ok = false;
    while (!ok && *n) {
        ok = true;
        for (int k = 0; k < r->n_cols && ok; k++)
            if (type_is_varlen(r->types[k]))
                TRY(need_heap(c, r, &s->parts[k], text_bytes(&cols[k], sel, at, *n), &ok));
        if (!ok && *n == 1 && !s->n) return refused(c);
        if (!ok) *n = s->n ? 0 : *n / 2;
    }
    return OK;
}

/* Rows [at, at + n) of the columns, or those that sel[0 … n) names. */
static enum status put_rows(struct ctx *c, struct rowset *r, const struct column *cols,
                            const int64_t *sel, int64_t at, int64_t n)
{
    while (n > 0) {
        struct segment *s = NULL;
        int64_t m = 0;
        TRY(tail_with_room(c, r, n, &s, &m));
        int64_t fit = rows_with_room(r, s, cols, sel, at, m);
        TRY(need_heaps(c, r, s, cols, sel, at, &fit));
        if (fit < m) {
            s->full = true;
            m = fit;
        }
        for (int k = 0; k < r->n_cols; k++) {
            struct part *p = &s->parts[k];
            assert(cols[k].type == r->types[k]);
            if (type_is_varlen(r->types[k]))
                put_texts(r, s, p, &cols[k], sel, at, m);
            else
                put_values(s, p, &cols[k], sel, at, m);
            TRY(put_valid(c, r, s, p, &cols[k], sel, at, m));
        }
        s->n += m;
        r->n_rows += m;
        n -= m;
        at += m;
        if (sel) sel += m;
    }
    return OK;
}

enum status rowset_append(struct ctx *c, struct rowset *r, const struct column *cols,
                          const int64_t *sel, int64_t n)
{
    pthread_mutex_lock(&r->lock);
    enum status s = put_rows(c, r, cols, sel, 0, n);
    pthread_mutex_unlock(&r->lock);
    return s;
}

enum status rowset_make_room(struct ctx *c, struct rowset *r)
{
    enum status s = OK;
    pthread_mutex_lock(&r->lock);
    if (r->mem_used > r->mem_limit && budget_left(c->budget) / 2 < r->mem_used)
        s = spill_sealed(c, r, r->n_segments - 1);
    pthread_mutex_unlock(&r->lock);
    return s;
}

/* ---- putting together ---- */

enum status rowset_adopt(struct ctx *c, struct rowset *r, struct rowset *from)
{
    TRY(more_segments(c, r, from->n_segments));
    for (int i = 0; i < from->n_segments; i++) {
        struct segment s = from->segments[i];
        s.first += r->n_rows;
        s.full = true;
        r->segments[r->n_segments++] = s;
    }
    r->n_rows += from->n_rows;
    charge(r, from->mem_used);
    charge(from, -from->mem_used);
    r->heap_total += from->heap_total;
    from->n_segments = from->n_spilled = 0;
    from->n_rows = from->heap_total = 0;
    return over_limit(c, r) ? spill_sealed(c, r, r->n_segments) : OK;
}

void rowset_cut(struct rowset *r, int64_t n)
{
    while (r->n_segments && r->n_rows > n) {
        struct segment *s = &r->segments[r->n_segments - 1];
        if (s->first < n) {
            s->n = n - s->first;
            r->n_rows = n;
            return;
        }
        segment_drop_memory(r, s);
        spill_free(s->file);
        free(s->parts);
        r->n_rows = s->first;
        r->n_segments--;
    }
    if (r->n_spilled > r->n_segments) r->n_spilled = r->n_segments;
}

/* ---- reading ---- */

static const struct segment *segment_of(const struct rowset *r, int64_t row)
{
    int lo = 0, hi = r->n_segments;
    while (hi - lo > 1) {
        int mid = lo + (hi - lo) / 2;
        if (r->segments[mid].first <= row)
            lo = mid;
        else
            hi = mid;
    }
    return &r->segments[lo];
}

/* The texts' bytes [*lo, *hi) in the heap. */
static void heap_range(const struct text *t, int64_t n, int64_t *lo, int64_t *hi)
{
    *lo = *hi = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!t[i].len) continue;
        *lo = (int64_t)(intptr_t)t[i].s;
        break;
    }
    for (int64_t i = n - 1; i >= 0; i--) {
        if (!t[i].len) continue;
        *hi = (int64_t)(intptr_t)t[i].s + t[i].len;
        break;
    }
}

static enum status read_texts(struct ctx *c, const struct segment *s, const struct part *p,
                              struct text *t, int64_t n)
{
    int64_t lo, hi;
    heap_range(t, n, &lo, &hi);
    const char *base = p->heap;
    if (s->file && hi > lo) {
        void *bytes;
        TRY(scratch_alloc(c, (size_t)(hi - lo), &bytes));
        TRY(spill_read(c, s->file, p->heap_at + lo, bytes, (size_t)(hi - lo)));
        base = bytes;
    } else if (base) {
        base += lo;
    }
    for (int64_t i = 0; i < n; i++)
        t[i].s = t[i].len ? base + ((intptr_t)t[i].s - lo) : "";
    return OK;
}

static enum status read_valid(struct ctx *c, const struct segment *s, const struct part *p,
                              int64_t from, int64_t n, uint64_t *to, int64_t to_at)
{
    if (!p->valid && p->valid_at < 0) {
        bits_fill(to, to_at, n, true);
        return OK;
    }
    if (!s->file) {
        bits_copy(to, to_at, p->valid, from, n);
        return OK;
    }
    int64_t w = from / 64, words = bits_words(from + n) - w;
    void *bits;
    TRY(scratch_alloc(c, (size_t)words * 8, &bits));
    TRY(spill_read(c, s->file, p->valid_at + w * 8, bits, (size_t)words * 8));
    bits_copy(to, to_at, bits, from - w * 64, n);
    return OK;
}

static bool any_nulls(const struct rowset *r, int k, int64_t lo, int64_t hi)
{
    for (const struct segment *s = segment_of(r, lo);
         s < r->segments + r->n_segments && s->first < hi; s++)
        if (s->parts[k].valid || s->parts[k].valid_at >= 0) return true;
    return false;
}

bool rowset_has_nulls(const struct rowset *r, int column)
{
    return r->n_rows && any_nulls(r, column, 0, r->n_rows);
}

static enum status read_column(struct ctx *c, const struct rowset *r, int k, int64_t lo, int64_t hi,
                               struct column *col)
{
    size_t width = type_bytes(r->types[k]);
    TRY(column_alloc(c, r->types[k], hi - lo, col));
    if (any_nulls(r, k, lo, hi)) TRY(column_need_valid(c, col, hi - lo));
    const struct segment *s = segment_of(r, lo);
    for (int64_t row = lo; row < hi; s++) {
        const struct part *p = &s->parts[k];
        int64_t from = row - s->first, n = s->n - from < hi - row ? s->n - from : hi - row;
        char *to = (char *)col->values + (size_t)(row - lo) * width;
        if (s->file)
            TRY(spill_read(c, s->file, p->values_at + from * (int64_t)width, to,
                           (size_t)n * width));
        else
            memcpy(to, (char *)p->values + (size_t)from * width, (size_t)n * width);
        if (type_is_varlen(r->types[k])) TRY(read_texts(c, s, p, (struct text *)to, n));
        if (col->valid) TRY(read_valid(c, s, p, from, n, col->valid, row - lo));
        row += n;
    }
    return OK;
}

enum status rowset_read(struct ctx *c, const struct rowset *r, int64_t lo, int64_t hi,
                        const int *which, int n_which, struct column *out)
{
    assert(lo >= 0 && lo <= hi && hi <= r->n_rows);
    int n = which ? n_which : r->n_cols;
    for (int i = 0; i < n; i++) {
        int k = which ? which[i] : i;
        if (lo == hi)
            TRY(column_alloc(c, r->types[k], 0, &out[i]));
        else
            TRY(read_column(c, r, k, lo, hi, &out[i]));
    }
    return OK;
}

enum status rowset_look(struct ctx *c, const struct rowset *r, int64_t lo, int64_t hi,
                        struct column *out)
{
    assert(lo >= 0 && lo < hi && hi <= r->n_rows);
    const struct segment *s = segment_of(r, lo);
    int64_t from = lo - s->first;
    bool here = !s->file && hi <= s->first + s->n;
    for (int k = 0; k < r->n_cols; k++) {
        const struct part *p = &s->parts[k];
        bool lent = here && !type_is_varlen(r->types[k]) && (!p->valid || from % 64 == 0);
        if (lent)
            out[k] = (struct column){.type = r->types[k],
                                     .values =
                                         (char *)p->values + (size_t)from * type_bytes(r->types[k]),
                                     .valid = p->valid ? p->valid + from / 64 : NULL};
        else
            TRY(read_column(c, r, k, lo, hi, &out[k]));
    }
    return OK;
}

enum status rowset_lower_bound(struct ctx *c, const struct rowset *r, int column, int64_t value,
                               int64_t *row)
{
    int64_t lo = 0, hi = r->n_rows;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column col;
        TRY(rowset_read(c, r, mid, mid + 1, &column, 1, &col));
        if (*(const int64_t *)col.values < value)
            lo = mid + 1;
        else
            hi = mid;
        scratch_release(c->scratch, mark);
    }
    *row = lo;
    return OK;
}
