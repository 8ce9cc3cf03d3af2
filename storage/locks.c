/* How a wait for a writer goes: taking, waiting, finding cycles, expiring idle owners.
 *
 * A waiter waits for one key, a key has one holder, so the graph of waits is a chain from any
 * waiter: a cycle is found by walking it. */
#include "storage/locks.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define POLL_NS 20000000 /* how often a waiter looks at cancellation and timeouts */

struct lock {
    struct lock *next, *prev; /* of all */
    struct lock *next_held;   /* of the holder's */
    struct lock_owner *holder;
    int n_waiting;
    char key[]; /* NUL-terminated */
};

void locks_init(struct locks *l, int64_t timeout_ms, int64_t idle_ms)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    *l = (struct locks){.timeout_ms = timeout_ms, .idle_ms = idle_ms};
    pthread_mutex_init(&l->mu, NULL);
    pthread_cond_init(&l->freed, &attr);
    pthread_condattr_destroy(&attr);
}

void locks_release(struct locks *l)
{
    pthread_mutex_destroy(&l->mu);
    pthread_cond_destroy(&l->freed);
}

static struct lock *find(struct locks *l, const char *key)
{
    struct lock *k = l->all;
    while (k && strcmp(k->key, key) != 0)
        k = k->next;
    return k;
}

static struct lock *find_or_add(struct locks *l, const char *key)
{
    struct lock *k = find(l, key);
    if (k) return k;
    size_t len = strlen(key) + 1;
    k = calloc(1, sizeof(*k) + len);
    if (!k) abort();
    memcpy(k->key, key, len);
    k->next = l->all;
    if (k->next) k->next->prev = k;
    l->all = k;
    return k;
}

static void forget_if_unused(struct locks *l, struct lock *k)
{
    if (k->holder || k->n_waiting) return;
    if (k->prev)
        k->prev->next = k->next;
    else
        l->all = k->next;
    if (k->next) k->next->prev = k->prev;
    free(k);
}

static void drop_all(struct locks *l, struct lock_owner *o)
{
    struct lock *next;
    for (struct lock *k = o->held; k; k = next) {
        next = k->next_held;
        k->holder = NULL;
        k->next_held = NULL;
        forget_if_unused(l, k);
    }
    o->held = NULL;
    pthread_cond_broadcast(&l->freed);
}

static bool closes_cycle(const struct lock *k, const struct lock_owner *o)
{
    for (; k && k->holder; k = k->holder->waiting)
        if (k->holder == o) return true;
    return false;
}

static void expire_if_idle(struct locks *l, struct lock_owner *o)
{
    if (!l->idle_ms || o->busy || !o->idle_since_ns || !o->expire) return;
    if (now_ns() - o->idle_since_ns < l->idle_ms * 1000000) return;
    o->expired = true;
    o->expire(o);
    drop_all(l, o);
}

static enum status wait_for(struct ctx *c, struct locks *l, struct lock_owner *o, struct lock *k,
                            const char *what)
{
    int64_t began = now_ns();
    o->waiting = k;
    k->n_waiting++;
    enum status s = OK;
    while (s == OK && k->holder) {
        if (closes_cycle(k, o)) {
            s = fail(c, ERR_DEADLOCK, "deadlock detected");
            s = detail(c, "this transaction and another wait for each other at %s", what);
            break;
        }
        int64_t until = now_ns() + POLL_NS;
        struct timespec ts = {until / 1000000000, until % 1000000000};
        pthread_cond_timedwait(&l->freed, &l->mu, &ts);
        s = check_cancel(c);
        if (s == OK && k->holder) expire_if_idle(l, k->holder);
        if (s == OK && k->holder && l->timeout_ms && now_ns() - began > l->timeout_ms * 1000000)
            s = fail(c, ERR_LOCK_TIMEOUT, "canceling statement due to lock timeout on %s", what);
    }
    k->n_waiting--;
    o->waiting = NULL;
    return s;
}

enum status locks_take(struct ctx *c, struct locks *l, struct lock_owner *o, const char *key,
                       const char *what, bool *waited)
{
    *waited = false;
    pthread_mutex_lock(&l->mu);
    enum status s = OK;
    struct lock *k = find_or_add(l, key);
    if (k->holder != o) {
        *waited = k->holder != NULL;
        if (k->holder) s = wait_for(c, l, o, k, what);
        if (s == OK) {
            k->holder = o;
            k->next_held = o->held;
            o->held = k;
        } else {
            forget_if_unused(l, k);
        }
    }
    pthread_mutex_unlock(&l->mu);
    return s;
}

void locks_drop(struct locks *l, struct lock_owner *o)
{
    pthread_mutex_lock(&l->mu);
    drop_all(l, o);
    pthread_mutex_unlock(&l->mu);
}

enum status locks_busy(struct ctx *c, struct locks *l, struct lock_owner *o)
{
    pthread_mutex_lock(&l->mu);
    bool expired = o->expired;
    o->busy = true;
    pthread_mutex_unlock(&l->mu);
    if (!expired) return OK;
    return fail(c, ERR_FAILED_TRANSACTION,
                "the transaction was rolled back because it idled while another waited for it");
}

void locks_idle(struct locks *l, struct lock_owner *o)
{
    pthread_mutex_lock(&l->mu);
    o->busy = false;
    o->idle_since_ns = now_ns();
    pthread_mutex_unlock(&l->mu);
}
