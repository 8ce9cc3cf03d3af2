/* Tokens: who may work now, when statements are more than processors?
 *
 * A statement that has worked for less than TOKEN_FREE_NS needs none: short ones are never kept
 * waiting. Any other needs a token for each of its threads, and there are as many as processors, so
 * that a short statement never meets more than that many that work. A token is held from task to
 * task, and given up after TOKEN_NS when somebody waits: to the statement that has worked least (by
 * powers of four), of those to the one with the fewest tokens, of those to the first that came;
 * every fourth time to the first that came whatever it has done, so that long ones get on too.
 * After the feedback queues of Corbato, Merwin-Daggett & Daley, "An Experimental Time-Sharing
 * System" (1962).
 *
 * Who has a token works: it is given up around any wait for another who may need one
 * (token_pause()), a client or another worker of the statement. So somebody always gets on. */
#ifndef TESSERA_TOKENS_H
#define TESSERA_TOKENS_H
#include "storage/base/ctx.h"
#include <pthread.h>

#define TOKEN_FREE_NS INT64_C(5000000)
#define TOKEN_NS INT64_C(5000000)

/* What a statement has had; in its session, from the start of the statement. */
struct tokens;
struct usage {
    struct tokens *tokens;        /* of the engine */
    atomic_int_least64_t used_ns; /* of processors, in tasks, all threads together */
    int n_tokens;                 /* under the tokens' lock */
};

struct waiter;
struct tokens {
    pthread_mutex_t lock;
    struct waiter *first; /* in order of arrival */
    atomic_int n_waiting;
    int n, n_held;
    unsigned n_given;
};
void tokens_init(struct tokens *all, int n);
void tokens_destroy(struct tokens *all);
/* Could one more thread of a long statement work? */
bool tokens_are_free(struct tokens *all);

/* One thread's. */
struct token {
    struct usage *usage; /* the statement's; NULL: none is needed */
    bool held;
    int64_t since_ns; /* it was had */
};
bool usage_is_long(const struct usage *u);
static inline void usage_add(struct usage *u, int64_t ns)
{
    atomic_fetch_add_explicit(&u->used_ns, ns, memory_order_relaxed);
}
/* Before a task: true when the thread may work. It waits for that, until the statement is
 * cancelled, or not at all: then false says that it may not. */
bool token_begin(struct ctx *c, struct token *t, bool wait);
/* After the last one. True: a token is free now that was not. */
bool token_end(struct token *t);
/* Around a wait inside of a task; of c's thread, if it has a token. */
void token_pause(struct ctx *c);
void token_resume(struct ctx *c);

#endif
