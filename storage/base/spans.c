/* Where does the memory of large buffers come from? From spans of one huge page each, whose blocks
 * have one size. The fullest span of a size gives the next block, so that the others may become
 * free; a few free ones are kept, with their memory, for whatever size comes next. */
#include "storage/base/spans.h"
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SPAN_BYTES ((size_t)2 << 20)
#define MOST_BLOCKS 16 /* of a span: smaller blocks are malloc's */
#define LEAST_BLOCKS 2
#define WASTE 16 /* a block is used if less than such a part of it is not */
#define KEPT_SPANS 4

struct span {
    struct span *next, *before; /* of those of its size with a free block */
    char *memory;
    uint32_t free_blocks; /* a bit each */
    int n_blocks, n_free;
};

static struct {
    pthread_mutex_t lock;
    struct span *partial[MOST_BLOCKS + 1]; /* by number of blocks */
    struct span *kept[KEPT_SPANS];         /* all free, of no size yet */
    int n_kept;
} spans = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t block_bytes(int n_blocks)
{
    return SPAN_BYTES / (size_t)n_blocks & ~(size_t)63;
}

/* Into how many blocks a span is cut for buffers of so many bytes; 0: not at all. */
static int blocks_for(size_t bytes)
{
    if (bytes > SPAN_BYTES / LEAST_BLOCKS || bytes < SPAN_BYTES / (MOST_BLOCKS + 1)) return 0;
    int n = (int)(SPAN_BYTES / bytes);
    if (n > MOST_BLOCKS) n = MOST_BLOCKS;
    if (block_bytes(n) < bytes) n--;
    return n >= LEAST_BLOCKS && block_bytes(n) - bytes <= block_bytes(n) / WASTE ? n : 0;
}

size_t span_block_bytes(size_t bytes)
{
    int n = blocks_for(bytes);
    return n ? block_bytes(n) : 0;
}

/* A huge page's worth of memory, where a huge page can be. */
static char *map_span(void)
{
    char *p =
        mmap(NULL, 2 * SPAN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = SPAN_BYTES - (uintptr_t)p % SPAN_BYTES;
    munmap(p, before);
    if (before < SPAN_BYTES) munmap(p + before + SPAN_BYTES, SPAN_BYTES - before);
    madvise(p + before, SPAN_BYTES, MADV_HUGEPAGE);
    return p + before;
}

static void unmap_span(struct span *s)
{
    munmap(s->memory, SPAN_BYTES);
    free(s);
}

static struct span *new_span(void)
{
    if (spans.n_kept) return spans.kept[--spans.n_kept];
    struct span *s = calloc(1, sizeof *s);
    if (s && !(s->memory = map_span())) {
        free(s);
        s = NULL;
    }
    return s;
}

static void link_span(struct span *s)
{
    struct span **first = &spans.partial[s->n_blocks];
    s->before = NULL;
    s->next = *first;
    if (s->next) s->next->before = s;
    *first = s;
}

static void unlink_span(struct span *s)
{
    if (s->before)
        s->before->next = s->next;
    else
        spans.partial[s->n_blocks] = s->next;
    if (s->next) s->next->before = s->before;
}

/* The fullest of the first few. */
static struct span *fullest(int n_blocks)
{
    struct span *best = spans.partial[n_blocks];
    int looked = 0;
    for (struct span *s = best; s && looked < 8; s = s->next, looked++)
        if (s->n_free < best->n_free) best = s;
    return best;
}

void *span_take(size_t bytes, struct span **span)
{
    int n = blocks_for(bytes);
    pthread_mutex_lock(&spans.lock);
    struct span *s = fullest(n);
    if (!s && (s = new_span())) {
        s->n_blocks = s->n_free = n;
        s->free_blocks = (UINT32_C(1) << n) - 1;
        link_span(s);
    }
    char *block = NULL;
    if (s) {
        int at = __builtin_ctz(s->free_blocks);
        s->free_blocks &= s->free_blocks - 1;
        block = s->memory + (size_t)at * block_bytes(n);
        if (--s->n_free == 0) unlink_span(s);
    }
    pthread_mutex_unlock(&spans.lock);
    *span = s;
    return block;
}

void span_give(struct span *s, void *block)
{
    struct span *gone = NULL;
    pthread_mutex_lock(&spans.lock);
    size_t at = (size_t)((char *)block - s->memory) / block_bytes(s->n_blocks);
    s->free_blocks |= UINT32_C(1) << at;
    if (s->n_free++ == 0) link_span(s);
    if (s->n_free == s->n_blocks) {
        unlink_span(s);
        if (spans.n_kept < KEPT_SPANS)
            spans.kept[spans.n_kept++] = s;
        else
            gone = s;
    }
    pthread_mutex_unlock(&spans.lock);
    if (gone) unmap_span(gone);
}
