/* The accounted memory: one budget for the server, one below it for each query.
 *
 * Large buffers (chunks, tiles, hash tables, sort runs) are asked for before they are allocated,
 * and may be refused with ERR_MEMORY: the asker then takes smaller boxes, spills, or fails; never
 * the OOM killer. Budgets are thread-safe. */
#ifndef TESSERA_BUDGET_H
#define TESSERA_BUDGET_H
#include "storage/base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctx;

struct budget {
    struct budget *parent; /* charged as well; NULL at the server's */
    atomic_int_least64_t used_bytes;
    atomic_int_least64_t peak_bytes;
    int64_t limit_bytes; /* 0: none of its own */
    /* Asked before a request is refused: gives back what can be had again, and says how much; from
     * any thread, whatever locks it holds. NULL: there is none. */
    int64_t (*reclaim)(void *self, int64_t bytes);
    void *reclaimed;                  /* its self */
    const struct budget *reclaimable; /* what of used_bytes that may be; NULL: nothing */
};

void budget_init(struct budget *b, struct budget *parent, int64_t limit_bytes);
/* True when granted. False leaves everything as it was. */
bool budget_take(struct budget *b, int64_t bytes);
void budget_give(struct budget *b, int64_t bytes);
/* What could still be granted now: the least over the chain of parents. */
int64_t budget_left(const struct budget *b);
/* Less than half of what could be granted at all is left: who holds more than a fair share gives
 * some back (spills). So it is where there is no limit to tell by. */
bool budget_is_tight(const struct budget *b);

/* The setting that keeps the statement from more memory. */
const char *memory_limit_name(const struct ctx *c);

/* Uninitialised memory charged to c->budget, 64-byte aligned. ERR_MEMORY when refused. buf_free
 * gives back what was charged to the budget that it was charged to. The size is remembered by the
 * buffer. */
enum status buf_alloc(struct ctx *c, size_t bytes, void **out);
/* As buf_alloc, but NULL instead of an error when refused. */
void *buf_try(struct budget *b, size_t bytes);
void buf_free(void *buf); /* NULL is allowed */
size_t buf_bytes(const void *buf);

/* Scratch: one worker's bump allocator for chunks; the driver resets it after each box, and may
 * mark and release a point inside a box. Blocks come from the budget and are kept over resets.
 * Memory is not zeroed, 64-byte aligned. One thread at a time. */
struct scratch;
struct scratch_held;
struct scratch_mark {
    size_t block, offset;
    struct scratch_held *held;
};
struct scratch *scratch_new(struct budget *b);
/* One of small blocks, for those who have many and need little in each. */
struct scratch *scratch_new_small(struct budget *b);
void scratch_free(struct scratch *s);
enum status scratch_alloc(struct ctx *c, size_t bytes, void **out); /* from c->scratch */
enum status scratch_zeroed(struct ctx *c, size_t bytes, void **out);
/* What a chunk points to and others own (a cached tile): let_go(owner, what) is called when the
 * scratch is released to a point before this call, so it is there as long as memory from here
 * would be. On an error it is called at once. */
typedef void let_go_fn(void *owner, const void *what);
enum status scratch_hold(struct ctx *c, let_go_fn *let_go, void *owner, const void *what);
struct scratch_mark scratch_mark(const struct scratch *s);
void scratch_release(struct scratch *s, struct scratch_mark m);
void scratch_reset(struct scratch *s);
/* The same, and blocks beyond keep_bytes go back to the budget. */
void scratch_trim(struct scratch *s, size_t keep_bytes);

#endif
