/* Charging memory to budgets; buffers and scratches made from it. */
#include "storage/base/budget.h"
#include "storage/base/ctx.h"
#include "storage/base/settings.h"
#include "storage/base/spans.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void budget_init(struct budget *b, struct budget *parent, int64_t limit_bytes)
{
    b->parent = parent;
    b->limit_bytes = limit_bytes;
    b->reclaim = NULL;
    b->reclaimed = NULL;
    b->reclaimable = NULL;
    atomic_init(&b->used_bytes, 0);
    atomic_init(&b->peak_bytes, 0);
}

void budget_give(struct budget *b, int64_t bytes)
{
    for (; b; b = b->parent)
        atomic_fetch_sub_explicit(&b->used_bytes, bytes, memory_order_relaxed);
}

static void raise_peak(struct budget *b, int64_t used)
{
    int64_t peak = atomic_load_explicit(&b->peak_bytes, memory_order_relaxed);
    while (used > peak &&
           !atomic_compare_exchange_weak_explicit(&b->peak_bytes, &peak, used, memory_order_relaxed,
                                                  memory_order_relaxed)) {
    }
}

/* NULL when granted; else the budget that refused. */
static struct budget *take(struct budget *b, int64_t bytes)
{
    for (struct budget *at = b; at; at = at->parent) {
        int64_t used =
            atomic_fetch_add_explicit(&at->used_bytes, bytes, memory_order_relaxed) + bytes;
        if (at->limit_bytes && used > at->limit_bytes) {
            for (struct budget *undo = b;; undo = undo->parent) {
                atomic_fetch_sub_explicit(&undo->used_bytes, bytes, memory_order_relaxed);
                if (undo == at) return at;
            }
        }
        raise_peak(at, used);
    }
    return NULL;
}

bool budget_take(struct budget *b, int64_t bytes)
{
    struct budget *refused;
    while ((refused = take(b, bytes)))
        if (!refused->reclaim || bytes > refused->limit_bytes ||
            refused->reclaim(refused->reclaimed, bytes) <= 0)
            return false;
    return true;
}

static int64_t used_bytes(const struct budget *b)
{
    return atomic_load_explicit(&b->used_bytes, memory_order_relaxed);
}

int64_t budget_left(const struct budget *b)
{
    int64_t left = INT64_MAX;
    for (; b; b = b->parent) {
        if (!b->limit_bytes) continue;
        int64_t here = b->limit_bytes - used_bytes(b);
        if (b->reclaimable) here += used_bytes(b->reclaimable);
        if (here < left) left = here;
    }
    return left < 0 ? 0 : left;
}

bool budget_is_tight(const struct budget *b)
{
    int64_t least = INT64_MAX;
    for (const struct budget *at = b; at; at = at->parent)
        if (at->limit_bytes && at->limit_bytes < least) least = at->limit_bytes;
    return least == INT64_MAX || budget_left(b) < least / 2;
}

const char *memory_limit_name(const struct ctx *c)
{
    int64_t least = INT64_MAX;
    bool own = false;
    for (const struct budget *b = c->budget; b; b = b->parent) {
        int64_t left = b->limit_bytes - atomic_load_explicit(&b->used_bytes, memory_order_relaxed);
        if (!b->limit_bytes || left >= least) continue;
        least = left;
        own = b->parent && c->settings && c->settings->query_memory_limit.n;
    }
    return own ? "query_memory_limit" : "memory_limit";
}

/* ---- buffers ---- */

struct buffer {
    struct budget *budget;
    size_t bytes;
    struct span *span; /* that it is a block of; NULL: malloc's */
    char pad[40];      /* keeps what follows aligned to 64 */
};
_Static_assert(sizeof(struct buffer) == 64, "buffers are aligned to cache lines");

static const size_t HUGE_PAGE = 2u << 20;

/* Sanitizers look after malloc's memory only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool USE_SPANS = false;
#else
static const bool USE_SPANS = true;
#endif

/* With its header, in whole cache lines; even an empty buffer points into its own block. */
static size_t whole_bytes(size_t bytes)
{
    size_t whole = sizeof(struct buffer) + ((bytes + !bytes + 63) & ~(size_t)63);
    size_t block = USE_SPANS ? span_block_bytes(whole) : 0;
    return block ? block : whole;
}

static struct buffer *new_buffer(size_t whole)
{
    struct span *span = NULL;
    struct buffer *h;
    bool huge = whole >= 2 * HUGE_PAGE;
    if (USE_SPANS && span_block_bytes(whole))
        h = span_take(whole, &span);
    else
        h = aligned_alloc(huge ? HUGE_PAGE : 64,
                          huge ? (whole + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1) : whole);
    if (!h) return NULL;
    if (huge) madvise(h, whole, MADV_HUGEPAGE);
    h->span = span;
    return h;
}

void *buf_try(struct budget *b, size_t bytes)
{
    if (bytes > SIZE_MAX / 4) return NULL;
    size_t whole = whole_bytes(bytes);
    if (b && !budget_take(b, (int64_t)whole)) return NULL;
    struct buffer *h = new_buffer(whole);
    if (!h) {
        if (b) budget_give(b, (int64_t)whole);
        return NULL;
    }
    h->budget = b;
    h->bytes = bytes;
    return h + 1;
}

enum status buf_alloc(struct ctx *c, size_t bytes, void **out)
{
    void *p = buf_try(c->budget, bytes);
    if (!p) {
        const char *limit = memory_limit_name(c);
        fail(c, ERR_MEMORY, "out of memory: %zu bytes are more than %s leaves", bytes, limit);
        return hint(c, "Raise %s, or ask for less at once.", limit);
    }
    *out = p;
    return OK;
}

size_t buf_bytes(const void *buf)
{
    return ((const struct buffer *)buf - 1)->bytes;
}

void buf_free(void *buf)
{
    if (!buf) return;
    struct buffer *h = (struct buffer *)buf - 1;
    size_t whole = whole_bytes(h->bytes);
    if (h->budget) budget_give(h->budget, (int64_t)whole);
    if (h->span)
        span_give(h->span, h);
    else
        free(h);
}

/* ---- scratch ---- */

#define MAX_BLOCKS 256

struct scratch_held { /* lies in the scratch itself */
    struct scratch_held *before;
    let_go_fn *let_go;
    void *owner;
    const void *what;
};

struct scratch {
    struct budget *budget;
    size_t block_bytes;             /* of each but those for more */
    size_t n_blocks, block, offset; /* the block being filled, and how far */
    unsigned char *blocks[MAX_BLOCKS];
    struct scratch_held *held; /* the last one */
};

#define SCRATCH_BLOCK (((size_t)1 << 20) - sizeof(struct buffer)) /* half a span */
#define SMALL_BLOCK ((size_t)1 << 16)

static struct scratch *new_scratch(struct budget *b, size_t block_bytes)
{
    struct scratch *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->budget = b;
    s->block_bytes = block_bytes;
    return s;
}

struct scratch *scratch_new(struct budget *b)
{
    return new_scratch(b, SCRATCH_BLOCK);
}

struct scratch *scratch_new_small(struct budget *b)
{
    return new_scratch(b, SMALL_BLOCK);
}

void scratch_free(struct scratch *s)
{
    if (!s) return;
    scratch_reset(s);
    for (size_t i = 0; i < s->n_blocks; i++)
        buf_free(s->blocks[i]);
    free(s);
}

static void keep_blocks(struct scratch *s, size_t n)
{
    while (s->n_blocks > n)
        buf_free(s->blocks[--s->n_blocks]);
}

static unsigned char *fresh_block(struct scratch *s, size_t bytes)
{
    if (s->n_blocks == MAX_BLOCKS) return NULL;
    size_t block = s->block_bytes;
    while (block > SMALL_BLOCK && budget_left(s->budget) / 4 < (int64_t)block) /* others' too */
        block /= 2;
    unsigned char *fresh = buf_try(s->budget, bytes > block ? bytes : block);
    return !fresh && bytes < block ? buf_try(s->budget, bytes) : fresh;
}

/* A new block of at least `bytes` becomes the one being filled: a later one that is large enough,
 * else a fresh one, for which those that are too small may have to go. */
static bool next_block(struct scratch *s, size_t bytes)
{
    size_t from = s->n_blocks ? s->block + 1 : 0;
    for (size_t i = from; i < s->n_blocks; i++) {
        if (buf_bytes(s->blocks[i]) < bytes) continue;
        unsigned char *found = s->blocks[i];
        s->blocks[i] = s->blocks[from];
        s->blocks[from] = found;
        s->block = from;
        s->offset = 0;
        return true;
    }
    unsigned char *fresh = fresh_block(s, bytes);
    if (!fresh) {
        keep_blocks(s, from);
        fresh = fresh_block(s, bytes);
    }
    if (!fresh) return false;
    s->blocks[s->n_blocks++] = fresh;
    unsigned char *displaced = s->blocks[from];
    s->blocks[from] = fresh;
    s->blocks[s->n_blocks - 1] = displaced;
    s->block = from;
    s->offset = 0;
    return true;
}

enum status scratch_alloc(struct ctx *c, size_t bytes, void **out)
{
    struct scratch *s = c->scratch;
    size_t need = (bytes + 63) & ~(size_t)63;
    if (need < bytes) return fail(c, ERR_MEMORY, "out of memory: a chunk of %zu bytes", bytes);
    if (!s->n_blocks || need > buf_bytes(s->blocks[s->block]) - s->offset) {
        if (!next_block(s, need)) {
            const char *limit = memory_limit_name(c);
            fail(c, ERR_MEMORY, "out of memory: a chunk of %zu bytes is more than %s leaves", bytes,
                 limit);
            return hint(c, "Raise %s, or make the arrays' tiles smaller.", limit);
        }
    }
    *out = s->blocks[s->block] + s->offset;
    s->offset += need;
    return OK;
}

enum status scratch_zeroed(struct ctx *c, size_t bytes, void **out)
{
    TRY(scratch_alloc(c, bytes, out));
    memset(*out, 0, bytes);
    return OK;
}

enum status scratch_hold(struct ctx *c, let_go_fn *let_go, void *owner, const void *what)
{
    struct scratch *s = c->scratch;
    void *memory;
    enum status status = scratch_alloc(c, sizeof(struct scratch_held), &memory);
    if (status < 0) {
        let_go(owner, what);
        return status;
    }
    struct scratch_held *h = memory;
    *h = (struct scratch_held){s->held, let_go, owner, what};
    s->held = h;
    return OK;
}

struct scratch_mark scratch_mark(const struct scratch *s)
{
    return (struct scratch_mark){s->block, s->offset, s->held};
}

void scratch_release(struct scratch *s, struct scratch_mark m)
{
    while (s->held != m.held) {
        struct scratch_held *h = s->held;
        s->held = h->before;
        h->let_go(h->owner, h->what);
    }
    s->block = m.block;
    s->offset = m.offset;
}

void scratch_reset(struct scratch *s)
{
    scratch_release(s, (struct scratch_mark){0, 0, NULL});
}

void scratch_trim(struct scratch *s, size_t keep_bytes)
{
    size_t n = 0, bytes = 0;
    scratch_reset(s);
    for (; n < s->n_blocks && bytes + buf_bytes(s->blocks[n]) <= keep_bytes; n++)
        bytes += buf_bytes(s->blocks[n]);
    keep_blocks(s, n);
}
