/* Who may work now? */
#include "storage/base/tokens.h"
#include "storage/base/wait.h"

#define LOOK_MS 20 /* between looks at cancellation */

struct waiter {
    struct waiter *next;
    struct usage *usage;
    bool given;
    pthread_cond_t cond;
};

void tokens_init(struct tokens *all, int n)
{
    *all = (struct tokens){.n = n};
    pthread_mutex_init(&all->lock, NULL);
}

void tokens_destroy(struct tokens *all)
{
    pthread_mutex_destroy(&all->lock);
}

bool tokens_are_free(struct tokens *all)
{
    pthread_mutex_lock(&all->lock);
    bool some = all->n_held < all->n;
    pthread_mutex_unlock(&all->lock);
    return some;
}

static int64_t used_ns(const struct usage *u)
{
    return atomic_load_explicit(&u->used_ns, memory_order_relaxed);
}

bool usage_is_long(const struct usage *u)
{
    return u && used_ns(u) >= TOKEN_FREE_NS;
}

/* How often it has worked four times as long. */
static int level_of(const struct usage *u)
{
    int64_t times = used_ns(u) / TOKEN_FREE_NS;
    return times ? (63 - __builtin_clzll((uint64_t)times)) / 2 : 0;
}

static bool comes_before(const struct waiter *a, const struct waiter *b)
{
    int la = level_of(a->usage), lb = level_of(b->usage);
    return la != lb ? la < lb : a->usage->n_tokens < b->usage->n_tokens;
}

/* ---- under the lock ---- */

static void remove_waiter(struct tokens *all, struct waiter *w)
{
    struct waiter **at = &all->first;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    atomic_fetch_sub_explicit(&all->n_waiting, 1, memory_order_relaxed);
}

static void take(struct tokens *all, struct usage *u)
{
    all->n_held++;
    u->n_tokens++;
}

/* A token that is given back goes to who waits. */
static void give(struct tokens *all, struct usage *u)
{
    all->n_held--;
    u->n_tokens--;
    struct waiter *best = all->first;
    if (!best) return;
    bool in_order = ++all->n_given % 4 == 0;
    for (struct waiter *w = best->next; w && !in_order; w = w->next)
        if (comes_before(w, best)) best = w;
    remove_waiter(all, best);
    take(all, best->usage);
    best->given = true;
    pthread_cond_signal(&best->cond);
}

/* Until a token is given, or the statement is to end: then without one. */
static bool await(struct ctx *c, struct tokens *all, struct usage *u)
{
    struct waiter w = {.usage = u}, **end = &all->first;
    pthread_cond_init(&w.cond, NULL);
    while (*end)
        end = &(*end)->next;
    *end = &w;
    atomic_fetch_add_explicit(&all->n_waiting, 1, memory_order_relaxed);
    while (!w.given) {
        if (!wait_for_ms(&w.cond, &all->lock, LOOK_MS) || w.given) continue;
        if (!must_stop(c)) continue;
        remove_waiter(all, &w);
        break;
    }
    pthread_cond_destroy(&w.cond);
    return w.given;
}

/* ---- a thread's token ---- */

static bool get_token(struct ctx *c, struct token *t, bool wait)
{
    struct tokens *all = t->usage->tokens;
    pthread_mutex_lock(&all->lock);
    if (all->n_held < all->n) {
        take(all, t->usage);
        t->held = true;
    } else if (wait) {
        t->held = await(c, all, t->usage);
    }
    pthread_mutex_unlock(&all->lock);
    if (t->held) t->since_ns = now_ns();
    return t->held || wait;
}

bool token_begin(struct ctx *c, struct token *t, bool wait)
{
    if (!usage_is_long(t->usage)) return true;
    if (t->held) {
        const struct tokens *all = t->usage->tokens;
        if (!atomic_load_explicit(&all->n_waiting, memory_order_relaxed) ||
            now_ns() - t->since_ns < TOKEN_NS)
            return true;
        token_end(t);
    }
    return get_token(c, t, wait);
}

bool token_end(struct token *t)
{
    if (!t->held) return false;
    struct tokens *all = t->usage->tokens;
    pthread_mutex_lock(&all->lock);
    give(all, t->usage);
    bool some = all->n_held < all->n;
    pthread_mutex_unlock(&all->lock);
    t->held = false;
    return some;
}

void token_pause(struct ctx *c)
{
    if (c->token) token_end(c->token);
}

void token_resume(struct ctx *c)
{
    if (c->token && usage_is_long(c->token->usage)) get_token(c, c->token, true);
}
