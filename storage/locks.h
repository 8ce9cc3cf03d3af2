/* Who may write what: one writer for each key (an array, a name), with waits that form a graph.
 *
 * A transaction is a lock owner; it keeps what it took until it ends. A wait that would close a
 * cycle is refused at once (ERR_DEADLOCK); one that takes longer than the timeout too
 * (ERR_LOCK_TIMEOUT). An owner that idles between statements for too long, while another waits for
 * it, expires: its work is undone through its `expire` function and its locks go to the waiter. */
#ifndef TESSERA_LOCKS_H
#define TESSERA_LOCKS_H
#include "storage/base/ctx.h"
#include <pthread.h>

struct lock; /* one key that somebody holds */

struct lock_owner {
    struct lock *held;    /* list */
    struct lock *waiting; /* the key it waits for */
    bool busy;            /* inside a statement: does not expire */
    bool expired;
    int64_t idle_since_ns; /* 0: never was busy */
    void (*expire)(struct lock_owner *o);
};

struct locks {
    pthread_mutex_t mu;
    pthread_cond_t freed;
    struct lock *all;
    int64_t timeout_ms; /* 0: none */
    int64_t idle_ms;    /* 0: idle owners never expire */
};

void locks_init(struct locks *l, int64_t timeout_ms, int64_t idle_ms);
void locks_release(struct locks *l); /* nobody holds a lock */

/* *waited: another owner held it first. Does nothing when o has it already. what: the key for
 * people, in errors. */
enum status locks_take(struct ctx *c, struct locks *l, struct lock_owner *o, const char *key,
                       const char *what, bool *waited);
/* Everything the owner holds. */
void locks_drop(struct locks *l, struct lock_owner *o);
/* Work begins: ERR_FAILED_TRANSACTION when the owner has expired. Until locks_idle() it cannot. */
enum status locks_busy(struct ctx *c, struct locks *l, struct lock_owner *o);
void locks_idle(struct locks *l, struct lock_owner *o);

#endif
