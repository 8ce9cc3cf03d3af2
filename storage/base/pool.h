/* The workers: threads that take task numbers from an atomic counter and run them to the end.
 *
 * pool_run() is the only parallelism inside a statement. The caller works along, so a pool of n - 1
 * threads keeps n cores busy, and a region may run inside another one's task (it then runs in the
 * caller alone).
 *
 * Statements share the processors by turns (tokens.h): one that has worked for a while needs a turn
 * for each thread that runs its tasks, of which there are n. */
#ifndef TESSERA_POOL_H
#define TESSERA_POOL_H
#include "storage/base/ctx.h"

struct pool;

/* n_threads: how many run at once, the caller included; at least 1. */
struct pool *pool_new(int n_threads);
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
struct tokens *pool_tokens(struct pool *p);

/* One task: number `task` of the region, run by worker `worker` in [0, pool_threads). `c` is the
 * worker's. */
typedef enum status task_fn(struct ctx *c, void *self, int worker, int64_t task);

/* Runs tasks 0 … n_tasks - 1, each once, started in order. On an error no further task starts; the
 * error of the lowest failed task is recorded in c. c->pool NULL runs them in the caller, in order.
 * At most `max_workers` run at once (0: all). Each worker's ctx has the caller's arena set to NULL
 * (an arena is one thread's), its own scratch on the caller's budget, and everything else of the
 * caller. The scratch is reset after each task. */
enum status pool_run(struct ctx *c, int64_t n_tasks, int max_workers, task_fn *fn, void *self);
/* How many workers a region of c would have at most. */
int pool_width(const struct ctx *c);

#endif
