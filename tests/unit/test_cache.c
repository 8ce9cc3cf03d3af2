/* The cache loads each tile once, keeps to its budget, survives scans, and frees what nobody uses.
 */
#include "storage/cache.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <pthread.h>
#include <unistd.h>

#define TILE_BYTES 10000

struct fixture {
    struct budget server;
    struct test_ctx t;
    struct cache *cache;
    atomic_int n_loads, n_failing; /* how many of the next loads fail */
    int load_us;
    atomic_bool held; /* loads wait until it is over */
};

static void open_cache(struct fixture *f, int64_t limit)
{
    assert_int_equal(cache_new(&f->t.c, &f->server, limit, &f->cache), OK);
}

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    budget_init(&f->server, NULL, 0);
    test_ctx_open(&f->t, NULL);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    cache_free(f->cache);
    int64_t left = atomic_load(&f->server.used_bytes);
    test_ctx_close(&f->t);
    free(f);
    return left ? -1 : 0; /* everything was given back */
}

static struct tile_key key_of(int64_t i)
{
    return (struct tile_key){
        .array = i % 2 ? 2 : 1, .attr = 1, .n_dims = 1, .coords = {i}, .version = 1};
}

static enum status load(struct ctx *c, void *self, const struct tile_key *key,
                        struct cache_slot *slot, struct tile *out)
{
    struct fixture *f = self;
    atomic_fetch_add(&f->n_loads, 1);
    if (f->load_us) usleep((useconds_t)f->load_us);
    while (atomic_load(&f->held))
        usleep(1000);
    void *memory;
    TRY(cache_alloc(c, slot, TILE_BYTES, &memory));
    int64_t *v = memory;
    for (int64_t i = 0; i < TILE_BYTES / 8; i++)
        v[i] = key->coords[0];
    if (atomic_load(&f->n_failing) > 0 && atomic_fetch_sub(&f->n_failing, 1) > 0)
        return fail(c, ERR_IO, "the test wants a failure");
    out->type = T_INT64;
    out->n = TILE_BYTES / 8;
    out->values = v;
    return OK;
}

static const struct tile *get(struct fixture *f, int64_t i)
{
    struct tile_key k = key_of(i);
    const struct tile *t = NULL;
    assert_int_equal(cache_get(&f->t.c, f->cache, &k, load, f, &t), OK);
    const int64_t *v = t->values;
    assert_int_equal(v[0], i);
    assert_int_equal(v[TILE_BYTES / 8 - 1], i);
    assert_true(tile_key_equal(&t->key, &k));
    return t;
}

static void touch(struct fixture *f, int64_t i)
{
    cache_release(f->cache, get(f, i));
}

static bool has(struct fixture *f, int64_t i)
{
    struct tile_key k = key_of(i);
    return cache_has(f->cache, &k);
}

static void what_is_there_is_not_loaded_again(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 1 << 20);
    assert_false(has(f, 1));
    for (int round = 0; round < 3; round++)
        for (int64_t i = 0; i < 50; i++)
            touch(f, i);
    assert_true(has(f, 1));
    assert_int_equal(f->n_loads, 50);
    struct cache_stats st;
    cache_stats(f->cache, &st);
    assert_int_equal(st.n_tiles, 50);
    assert_int_equal(st.n_hits, 100);
    assert_int_equal(st.n_loads, 50);
    assert_true(st.used_bytes >= 50 * TILE_BYTES && st.used_bytes < 50 * (TILE_BYTES + 2000));
}

static const struct tile *get_again(struct fixture *f, int64_t i)
{
    struct tile_key k = key_of(i);
    const struct tile *t = NULL;
    assert_int_equal(cache_get_again(&f->t.c, f->cache, &k, load, f, &t), OK);
    return t;
}

/* Who reads every tile once fills the cache with none of them; with those that it had room for when
 * he comes back. */
static void a_first_look_keeps_nothing(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 1 << 20);
    touch(f, 7);
    for (int64_t i = 0; i < 50; i++) {
        const struct tile *t = get_again(f, i);
        assert_int_equal(t != NULL, i == 7);
        cache_release(f->cache, t);
    }
    assert_int_equal(f->n_loads, 1);
    int64_t n = 0;
    for (int64_t i = 0; i < 50; i++) {
        const struct tile *t = get_again(f, i);
        n += t != NULL;
        cache_release(f->cache, t);
    }
    assert_in_range(n, 20, 50); /* a line of ghosts may be too short */
    assert_int_equal(f->n_loads, n);
    for (int64_t i = 1000; i < 20000; i++)
        assert_null(get_again(f, i));
    assert_int_equal(f->n_loads, n);
}

static void a_cache_of_nothing_is_not_asked_again(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 0);
    for (int i = 0; i < 3; i++)
        assert_null(get_again(f, 1));
    assert_int_equal(f->n_loads, 0);
}

/* Who asks the server for memory is refused only when nothing more can be evicted. */
static void memory_is_given_back(void **state)
{
    struct fixture *f = *state;
    f->server.limit_bytes = 1 << 20;
    open_cache(f, 800 << 10);
    const struct tile *held = get(f, 1000);
    for (int64_t i = 0; i < 75; i++)
        touch(f, i);
    assert_true(atomic_load(&f->server.used_bytes) > 524 << 10);
    assert_true(budget_left(&f->server) > 900 << 10); /* what is cached can be had */
    void *buf = buf_try(&f->server, 900 << 10);
    assert_non_null(buf);
    assert_true(has(f, 1000));
    assert_null(buf_try(&f->server, 200 << 10));
    buf_free(buf);
    cache_release(f->cache, held);
}

static void the_limit_holds(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 200000);
    for (int64_t i = 0; i < 1000; i++) {
        touch(f, i);
        assert_true(atomic_load(&f->server.used_bytes) <= 200000);
    }
    struct cache_stats st;
    cache_stats(f->cache, &st);
    assert_true(st.n_tiles >= 15);
    assert_int_equal(st.n_evictions + st.n_tiles, 1000);
}

static void a_scan_does_not_wash_out_what_is_used(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 400000);
    for (int round = 0; round < 3; round++)
        for (int64_t i = 0; i < 20; i++)
            touch(f, i);
    for (int64_t i = 1000; i < 3000; i++)
        touch(f, i);
    int kept = 0;
    for (int64_t i = 0; i < 20; i++)
        kept += has(f, i);
    assert_int_equal(kept, 20);
}

/* A tile that left after one use and comes back soon is kept longer than new ones. */
static void ghosts_come_back_to_stay(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 400000);
    touch(f, 0);
    for (int64_t i = 1; has(f, 0); i++)
        touch(f, i);
    touch(f, 0);
    for (int64_t i = 5000; i < 5100; i++)
        touch(f, i);
    assert_true(has(f, 0));
}

static void pinned_tiles_stay(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 200000);
    const struct tile *pins[40];
    /* More than the limit at once: the rest is past it, and goes on release. */
    for (int64_t i = 0; i < 40; i++)
        pins[i] = get(f, i);
    for (int64_t i = 100; i < 200; i++)
        touch(f, i);
    int64_t used = atomic_load(&f->server.used_bytes);
    assert_true(used >= 40 * TILE_BYTES);
    for (int64_t i = 0; i < 40; i++) {
        const int64_t *v = pins[i]->values;
        assert_int_equal(v[77], i);
        assert_ptr_equal(get(f, i), pins[i]); /* shared even when it will not be kept */
        cache_release(f->cache, pins[i]);
        cache_release(f->cache, pins[i]);
    }
    assert_true(atomic_load(&f->server.used_bytes) <= 200000);
}

static void nothing_is_kept_without_a_limit(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 0);
    for (int64_t i = 0; i < 3; i++)
        touch(f, 7);
    assert_int_equal(f->n_loads, 3);
    assert_int_equal(atomic_load(&f->server.used_bytes), 0);
}

static void a_full_server_takes_tiles_from_the_cache(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 400000);
    for (int64_t i = 0; i < 30; i++)
        touch(f, i);
    f->server.limit_bytes = atomic_load(&f->server.used_bytes);
    touch(f, 100);
    assert_true(has(f, 100));
    assert_true(cache_trim(f->cache, 100000) >= 100000);
    cache_trim(f->cache, INT64_MAX);
    assert_int_equal(atomic_load(&f->server.used_bytes), 0);
    f->server.limit_bytes = 5000;
    struct tile_key k = key_of(1);
    const struct tile *t = NULL;
    assert_int_equal(cache_get(&f->t.c, f->cache, &k, load, f, &t), ERR_MEMORY);
    assert_null(t);
}

static void a_failed_load_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 400000);
    struct tile_key k = key_of(3);
    const struct tile *t = NULL;
    f->n_failing = 1;
    assert_int_equal(cache_get(&f->t.c, f->cache, &k, load, f, &t), ERR_IO);
    assert_null(t);
    assert_false(has(f, 3));
    assert_int_equal(atomic_load(&f->server.used_bytes), 0);
    ctx_clear(&f->t.c);
    touch(f, 3);
    assert_true(has(f, 3));
}

static void arrays_are_dropped(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 400000);
    for (int64_t i = 0; i < 20; i++)
        touch(f, i);
    const struct tile *pin = get(f, 3);
    cache_drop_array(f->cache, 2); /* the odd ones */
    for (int64_t i = 0; i < 20; i++)
        assert_int_equal(has(f, i), i % 2 == 0);
    const int64_t *v = pin->values;
    assert_int_equal(v[5], 3);
    cache_release(f->cache, pin);
    touch(f, 3);
    assert_int_equal(f->n_loads, 21);
}

static enum status load_nothing(struct ctx *c, void *self, const struct tile_key *key,
                                struct cache_slot *slot, struct tile *out)
{
    struct fixture *f = self;
    (void)c, (void)key, (void)slot;
    atomic_fetch_add(&f->n_loads, 1);
    out->dense = true;
    return OK;
}

static void tiles_without_memory_are_kept_too(void **state)
{
    struct fixture *f = *state;
    open_cache(f, 100000);
    const struct tile *t;
    for (int round = 0; round < 2; round++) {
        struct tile_key k = key_of(1);
        assert_int_equal(cache_get(&f->t.c, f->cache, &k, load_nothing, f, &t), OK);
        assert_true(t->dense);
        cache_release(f->cache, t);
    }
    assert_int_equal(f->n_loads, 1);
    for (int64_t i = 0; i < 2000; i++) {
        struct tile_key k = key_of(i);
        assert_int_equal(cache_get(&f->t.c, f->cache, &k, load_nothing, f, &t), OK);
        cache_release(f->cache, t);
    }
    assert_true(atomic_load(&f->server.used_bytes) <= 100000);
}

/* ---- threads ---- */

struct task {
    struct fixture *f;
    uint64_t seed;
    int n_gets, n_tiles, n_errors;
    bool drops, ok;
    enum status last;
};

static void *get_many(void *arg)
{
    struct task *t = arg;
    struct test_ctx x;
    test_ctx_open(&x, NULL);
    t->ok = true;
    for (int i = 0; i < t->n_gets; i++) {
        const struct tile *tile;
        int64_t which = (int64_t)(test_random(&t->seed) % (uint64_t)t->n_tiles);
        struct tile_key k = key_of(which);
        t->last = cache_get(&x.c, t->f->cache, &k, load, t->f, &tile);
        if (t->last == OK) {
            const int64_t *v = tile->values;
            t->ok = t->ok && v[0] == which && v[TILE_BYTES / 8 - 1] == which;
            if (i % 16 == 0) sched_yield();
            cache_release(t->f->cache, tile);
        } else {
            t->n_errors++;
            ctx_clear(&x.c);
        }
        if (t->drops && i % 100 == 0) cache_drop_array(t->f->cache, 2);
        if (t->drops && i % 300 == 0) cache_trim(t->f->cache, 50000);
    }
    test_ctx_close(&x);
    return NULL;
}

static void run_tasks(struct task *tasks)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, get_many, &tasks[i]);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_true(tasks[i].ok);
    }
}

static void a_tile_in_flight_is_loaded_once(void **state)
{
    struct fixture *f = *state;
    struct task tasks[8];
    open_cache(f, 1 << 20);
    f->load_us = 100000;
    for (int i = 0; i < 8; i++)
        tasks[i] = (struct task){.f = f, .n_gets = 1, .n_tiles = 1};
    run_tasks(tasks);
    assert_int_equal(f->n_loads, 1);
}

static void waiters_take_over_from_a_failed_loader(void **state)
{
    struct fixture *f = *state;
    struct task tasks[8];
    int n_errors = 0;
    open_cache(f, 1 << 20);
    f->load_us = 20000;
    f->n_failing = 2;
    for (int i = 0; i < 8; i++)
        tasks[i] = (struct task){.f = f, .n_gets = 1, .n_tiles = 1};
    run_tasks(tasks);
    for (int i = 0; i < 8; i++)
        n_errors += tasks[i].n_errors;
    assert_int_equal(n_errors, 2);
    assert_int_equal(f->n_loads, 3);
}

static void many_threads_under_pressure(void **state)
{
    struct fixture *f = *state;
    struct task tasks[8];
    open_cache(f, 300000);
    f->n_failing = 50;
    for (int i = 0; i < 8; i++)
        tasks[i] = (struct task){
            .f = f, .seed = (uint64_t)i, .n_gets = 4000, .n_tiles = 60, .drops = i < 2};
    run_tasks(tasks);
    assert_true(atomic_load(&f->server.used_bytes) <= 300000);
}

static void *wait_and_cancel(void *arg)
{
    struct cancel *cancel = arg;
    usleep(20000);
    atomic_store(&cancel->reason, CANCEL_USER);
    return NULL;
}

static void a_waiter_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct cancel cancel = {0};
    pthread_t loader, canceller;
    open_cache(f, 1 << 20);
    f->held = true;
    struct task slow = {.f = f, .n_gets = 1, .n_tiles = 1};
    pthread_create(&loader, NULL, get_many, &slow);
    while (atomic_load(&f->n_loads) == 0)
        usleep(1000);
    pthread_create(&canceller, NULL, wait_and_cancel, &cancel);
    f->t.c.cancel = &cancel;
    struct tile_key k = key_of(0);
    const struct tile *t = NULL;
    assert_int_equal(cache_get(&f->t.c, f->cache, &k, load, f, &t), ERR_CANCELLED);
    assert_null(t);
    f->held = false;
    pthread_join(canceller, NULL);
    pthread_join(loader, NULL);
    assert_true(slow.ok);
    assert_int_equal(f->n_loads, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_not_loaded_again),
        TEST(a_first_look_keeps_nothing),
        TEST(a_cache_of_nothing_is_not_asked_again),
        TEST(memory_is_given_back),
        TEST(the_limit_holds),
        TEST(a_scan_does_not_wash_out_what_is_used),
        TEST(ghosts_come_back_to_stay),
        TEST(pinned_tiles_stay),
        TEST(nothing_is_kept_without_a_limit),
        TEST(a_full_server_takes_tiles_from_the_cache),
        TEST(a_failed_load_leaves_nothing),
        TEST(arrays_are_dropped),
        TEST(tiles_without_memory_are_kept_too),
        TEST(a_tile_in_flight_is_loaded_once),
        TEST(waiters_take_over_from_a_failed_loader),
        TEST(many_threads_under_pressure),
        TEST(a_waiter_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
