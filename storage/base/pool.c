/* Threads that share out the tasks of parallel regions.
 *
 * A region is on its caller's stack and in the pool's list while it has tasks to hand out. An idle
 * thread joins the region with the fewest workers, so that regions share the threads by query and
 * not by number of tasks. Callers wait for tokens, where statements are more than processors;
 * threads of the pool leave the region instead. */
#include "storage/base/pool.h"
#include "storage/base/tokens.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_THREADS 1024

struct region {
    struct region *next;
    struct ctx *caller;
    task_fn *fn;
    void *self;
    int64_t n_tasks;
    int max_workers;
    atomic_int_least64_t next_task;
    atomic_bool stop;
    /* under the pool's lock: */
    int n_workers;
    uint64_t slots[MAX_THREADS / 64]; /* worker numbers in use */
    int64_t failed_task;
    struct error err;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work, left; /* a region was added; a worker left one */
    struct region *regions;
    struct tokens tokens;
    int n_threads; /* callers count as one */
    pthread_t threads[MAX_THREADS];
    bool closing;
};

static int take_slot(struct region *r)
{
    for (int w = 0;; w++) {
        if (!~r->slots[w]) continue;
        int bit = __builtin_ctzll(~r->slots[w]);
        r->slots[w] |= UINT64_C(1) << bit;
        return w * 64 + bit;
    }
}

/* Of the thread: it may wait for others, or for its processor. */
static int64_t worked_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Runs tasks until none is left, or there is no token for a thread that does not wait for one. The
 * error of the lowest failed task goes to err. `own` NULL: the thread is in another region's task.
 */
static void run_tasks(struct region *r, struct ctx *c, int worker, struct token *own, bool wait,
                      int64_t *failed_task, struct error *err)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    *failed_task = INT64_MAX;
    if (own) c->token = own;
    while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
        if (own && !token_begin(c, own, wait)) break;
        int64_t task = atomic_fetch_add_explicit(&r->next_task, 1, memory_order_relaxed);
        if (task >= r->n_tasks) break;
        int64_t start_ns = own && own->usage ? worked_ns() : 0;
        enum status s = check_cancel(c);
        if (s == OK) s = r->fn(c, r->self, worker, task);
        scratch_release(c->scratch, mark);
        if (start_ns) usage_add(own->usage, worked_ns() - start_ns);
        if (s < 0) {
            *failed_task = task;
            *err = c->err;
            atomic_store_explicit(&r->stop, true, memory_order_relaxed);
        }
    }
}

/* Threads of the pool may have work in a region again when a token is free. */
static void let_token_go(struct pool *p, struct token *t)
{
    if (!token_end(t)) return;
    pthread_mutex_lock(&p->lock);
    if (p->regions) pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void leave(struct pool *p, struct region *r, int slot, int64_t failed_task,
                  const struct error *err)
{
    if (failed_task < r->failed_task) {
        r->failed_task = failed_task;
        r->err = *err;
    }
    r->slots[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
    r->n_workers--;
    if (p) pthread_cond_broadcast(&p->left);
}

static struct ctx worker_ctx(const struct ctx *caller, struct scratch *scratch)
{
    struct ctx c = *caller;
    c.arena = NULL;
    c.pool = NULL;
    c.notice = NULL;
    c.scratch = scratch;
    ctx_clear(&c);
    return c;
}

static bool wants_workers(const struct region *r)
{
    return r->n_workers < r->max_workers && !atomic_load_explicit(&r->stop, memory_order_relaxed) &&
           atomic_load_explicit(&r->next_task, memory_order_relaxed) < r->n_tasks;
}

static struct region *neediest(struct pool *p)
{
    struct region *best = NULL;
    bool free = p->regions && tokens_are_free(&p->tokens);
    for (struct region *r = p->regions; r; r = r->next)
        if (wants_workers(r) && (free || !usage_is_long(r->caller->usage)) &&
            (!best || r->n_workers < best->n_workers))
            best = r;
    return best;
}

static void *thread_main(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct region *r = neediest(p);
        if (!r) {
            if (p->closing) break;
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        int slot = take_slot(r);
        r->n_workers++;
        pthread_mutex_unlock(&p->lock);

        struct scratch *scratch = scratch_new(r->caller->budget);
        struct ctx c = worker_ctx(r->caller, scratch);
        struct token own = {.usage = c.usage};
        int64_t failed_task;
        struct error err;
        run_tasks(r, &c, slot, &own, false, &failed_task, &err);
        let_token_go(p, &own);
        scratch_free(scratch);

        pthread_mutex_lock(&p->lock);
        leave(p, r, slot, failed_task, &err);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_new(int n_threads)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p) abort();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->left, NULL);
    tokens_init(&p->tokens, n_threads);
    p->n_threads = 1;
    for (int i = 0; i < n_threads - 1 && i < MAX_THREADS - 1; i++)
        if (!pthread_create(&p->threads[p->n_threads - 1], NULL, thread_main, p)) p->n_threads++;
    return p;
}

void pool_free(struct pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_threads - 1; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->left);
    pthread_mutex_destroy(&p->lock);
    tokens_destroy(&p->tokens);
    free(p);
}

struct tokens *pool_tokens(struct pool *p)
{
    return &p->tokens;
}

int pool_threads(const struct pool *p)
{
    return p->n_threads;
}

int pool_width(const struct ctx *c)
{
    return c->pool ? pool_threads(c->pool) : 1;
}

static void unlink_region(struct pool *p, struct region *r)
{
    struct region **at = &p->regions;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
}

/* The caller's part of a region: its own scratch, above what it holds already. */
static void run_in_caller(struct region *r, struct ctx *c, int slot, int64_t *failed_task,
                          struct error *err)
{
    struct ctx mine = worker_ctx(c, c->scratch ? c->scratch : scratch_new(c->budget));
    struct token own = {.usage = c->usage};
    run_tasks(r, &mine, slot, c->token ? NULL : &own, true, failed_task, err);
    if (c->pool)
        let_token_go(c->pool, &own);
    else
        token_end(&own);
    if (!c->scratch) scratch_free(mine.scratch);
}

enum status pool_run(struct ctx *c, int64_t n_tasks, int max_workers, task_fn *fn, void *self)
{
    struct pool *p = n_tasks > 1 && max_workers != 1 ? c->pool : NULL;
    struct region r = {.caller = c,
                       .fn = fn,
                       .self = self,
                       .n_tasks = n_tasks,
                       .max_workers = max_workers > 0 && p && max_workers < p->n_threads
                                          ? max_workers
                                      : p ? p->n_threads
                                          : 1,
                       .failed_task = INT64_MAX};
    int64_t failed_task;
    struct error err;
    int slot = take_slot(&r);
    r.n_workers = 1;
    if (p) {
        pthread_mutex_lock(&p->lock);
        r.next = p->regions;
        p->regions = &r;
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
    }
    run_in_caller(&r, c, slot, &failed_task, &err);
    if (p) {
        pthread_mutex_lock(&p->lock);
        leave(p, &r, slot, failed_task, &err);
        while (r.n_workers > 0)
            pthread_cond_wait(&p->left, &p->lock);
        unlink_region(p, &r);
        pthread_mutex_unlock(&p->lock);
    } else {
        leave(NULL, &r, slot, failed_task, &err);
    }
    if (r.failed_task == INT64_MAX) return OK;
    if (c->err.code >= 0) c->err = r.err;
    return c->err.code;
}
