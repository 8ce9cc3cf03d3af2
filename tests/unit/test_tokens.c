/* Who may work when statements are more than processors: never more long ones than there are
 * tokens, short ones at once, those that worked little first, and nobody never. */
#include "storage/base/pool.h"
#include "storage/base/tokens.h"
#include "tests/unit/unit.h"
#include <pthread.h>
#include <unistd.h>

static struct pool *pool;

struct statement {
    pthread_t thread;
    struct ctx c;
    struct usage usage;
    struct budget budget;
    struct cancel cancel;
    int64_t n_tasks;
    task_fn *fn;
    enum status result;
    atomic_int n_done;
    int place; /* in the order of first tasks */
};

static atomic_int n_working, most_working, n_begun;
static atomic_bool may_go;

static void *run(void *self)
{
    struct statement *s = self;
    s->c =
        (struct ctx){.budget = &s->budget, .cancel = &s->cancel, .pool = pool, .usage = &s->usage};
    budget_init(&s->budget, NULL, 0);
    s->usage.tokens = pool_tokens(pool);
    s->result = pool_run(&s->c, s->n_tasks, 0, s->fn, s);
    return NULL;
}

static void start(struct statement *s, task_fn *fn, int64_t n_tasks, int64_t used_ns)
{
    s->fn = fn;
    s->n_tasks = n_tasks;
    atomic_store(&s->usage.used_ns, used_ns);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
}

static void until_waiting(int n)
{
    while (atomic_load(&pool_tokens(pool)->n_waiting) != n)
        usleep(100);
}

static void until_held(int n)
{
    struct tokens *all = pool_tokens(pool);
    for (int held = 0; held < n; usleep(100)) {
        pthread_mutex_lock(&all->lock);
        held = all->n_held;
        pthread_mutex_unlock(&all->lock);
    }
}

static void with_pool(int n)
{
    atomic_store(&n_begun, 0);
    atomic_store(&most_working, 0);
    atomic_store(&may_go, false);
    pool = pool_new(n);
}

static void without_pool(void)
{
    assert_int_equal(atomic_load(&pool_tokens(pool)->n_waiting), 0);
    assert_int_equal(pool_tokens(pool)->n_held, 0);
    pool_free(pool);
}

static enum status work(struct ctx *c, void *self, int worker, int64_t task)
{
    struct statement *s = self;
    (void)c, (void)worker;
    if (task == 0) s->place = atomic_fetch_add(&n_begun, 1);
    int n = atomic_fetch_add(&n_working, 1) + 1, most = atomic_load(&most_working);
    while (n > most && !atomic_compare_exchange_weak(&most_working, &most, n)) {
    }
    usleep(500);
    atomic_fetch_sub(&n_working, 1);
    atomic_fetch_add(&s->n_done, 1);
    return OK;
}

/* Until it is told to go on; it works, as far as anybody can see. */
static enum status stay(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)c, (void)self, (void)worker, (void)task;
    while (!atomic_load(&may_go))
        usleep(100);
    return OK;
}

static enum status do_little(struct ctx *c, void *self, int worker, int64_t task)
{
    (void)c, (void)self, (void)worker, (void)task;
    return OK;
}

static enum status wait_for_others(struct ctx *c, void *self, int worker, int64_t task)
{
    token_pause(c);
    enum status s = stay(c, self, worker, task);
    token_resume(c);
    return s;
}

#define LONG_NS INT64_C(20000000)

static void test_no_more_than_tokens(void **state)
{
    (void)state;
    enum { N = 12, TASKS = 100 };
    static struct statement s[N];
    with_pool(3);
    for (int i = 0; i < N; i++)
        start(&s[i], work, TASKS, LONG_NS);
    for (int i = 0; i < N; i++) {
        pthread_join(s[i].thread, NULL);
        assert_int_equal(s[i].result, OK);
        assert_int_equal(atomic_load(&s[i].n_done), TASKS);
        if (i == 0) /* others had their share meanwhile */
            for (int k = 1; k < N; k++)
                assert_true(atomic_load(&s[k].n_done) > TASKS / 10);
    }
    assert_in_range(atomic_load(&most_working), 1, 3);
    without_pool();
}

static void test_short_ones_do_not_wait(void **state)
{
    (void)state;
    static struct statement hog, quick;
    with_pool(2);
    start(&hog, stay, 2, LONG_NS); /* both of its threads work until the quick one is done */
    until_held(2);
    start(&quick, do_little, 4, 0);
    pthread_join(quick.thread, NULL);
    assert_int_equal(quick.result, OK);
    atomic_store(&may_go, true);
    pthread_join(hog.thread, NULL);
    without_pool();
}

static void test_who_worked_least_is_first(void **state)
{
    (void)state;
    static struct statement hog, old, young;
    with_pool(1);
    start(&hog, stay, 1, LONG_NS);
    until_held(1);
    start(&old, work, 2, 1000 * LONG_NS);
    until_waiting(1);
    start(&young, work, 2, LONG_NS);
    until_waiting(2);
    atomic_store(&may_go, true);
    pthread_join(hog.thread, NULL);
    pthread_join(old.thread, NULL);
    pthread_join(young.thread, NULL);
    assert_true(young.place < old.place);
    without_pool();
}

static void test_waiting_ends_when_cancelled(void **state)
{
    (void)state;
    static struct statement hog, waiting;
    with_pool(1);
    start(&hog, stay, 1, LONG_NS);
    until_held(1);
    start(&waiting, work, 2, LONG_NS);
    until_waiting(1);
    atomic_store(&waiting.cancel.reason, CANCEL_USER);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, ERR_CANCELLED);
    assert_int_equal(atomic_load(&waiting.n_done), 0);
    atomic_store(&may_go, true);
    pthread_join(hog.thread, NULL);
    without_pool();
}

static void test_who_waits_lets_others_work(void **state)
{
    (void)state;
    static struct statement waiting, other;
    with_pool(1);
    start(&waiting, wait_for_others, 1, LONG_NS);
    start(&other, work, 20, LONG_NS);
    pthread_join(other.thread, NULL);
    assert_int_equal(other.result, OK);
    atomic_store(&may_go, true);
    pthread_join(waiting.thread, NULL);
    assert_int_equal(waiting.result, OK);
    without_pool();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_more_than_tokens),
        cmocka_unit_test(test_short_ones_do_not_wait),
        cmocka_unit_test(test_who_worked_least_is_first),
        cmocka_unit_test(test_waiting_ends_when_cancelled),
        cmocka_unit_test(test_who_waits_lets_others_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
