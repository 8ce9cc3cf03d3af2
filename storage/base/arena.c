/* Blocks of growing size, allocated from the front of the newest. */
#include "storage/base/arena.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct block {
    struct block *older;
    size_t used, cap;
    _Alignas(16) unsigned char bytes[];
};

struct arena {
    struct block *newest;
};

static const size_t FIRST_BLOCK = 8 * 1024, LARGEST_BLOCK = 1024 * 1024;

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static struct block *block_new(size_t cap, struct block *older)
{
    struct block *b = must(malloc(sizeof *b + cap));
    b->older = older;
    b->used = 0;
    b->cap = cap;
    return b;
}

struct arena *arena_new(void)
{
    struct arena *a = must(malloc(sizeof *a));
    a->newest = block_new(FIRST_BLOCK, NULL);
    return a;
}

static void free_down_to(struct arena *a, bool keep_first)
{
    struct block *b = a->newest;
    while (b && (b->older || !keep_first)) {
        struct block *older = b->older;
        free(b);
        b = older;
    }
    a->newest = b;
}

void arena_free(struct arena *a)
{
    if (!a) return;
    free_down_to(a, false);
    free(a);
}

void arena_reset(struct arena *a)
{
    free_down_to(a, true);
    a->newest->used = 0;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t need = (bytes + 15) & ~(size_t)15;
    struct block *b = a->newest;
    if (need > b->cap - b->used) {
        size_t cap = b->cap * 2 < LARGEST_BLOCK ? b->cap * 2 : LARGEST_BLOCK;
        b = a->newest = block_new(need > cap ? need : cap, b);
    }
    void *p = b->bytes + b->used;
    b->used += need;
    return memset(p, 0, bytes);
}

void *arena_dup(struct arena *a, const void *src, size_t bytes)
{
    void *p = arena_alloc(a, bytes);
    if (bytes) memcpy(p, src, bytes);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    if (n) memcpy(p, s, n);
    return p;
}

void *arena_room(struct arena *a, void *list, int64_t n, size_t bytes)
{
    if (n & (n - 1)) return list; /* it doubled at the last power of two */
    void *more = arena_alloc(a, bytes * (size_t)(n ? 2 * n : 1));
    if (n) memcpy(more, list, bytes * (size_t)n);
    return more;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *p = arena_alloc(a, n < 0 ? 1 : (size_t)n + 1);
    if (n > 0) vsnprintf(p, (size_t)n + 1, fmt, ap);
    return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *p = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return p;
}
