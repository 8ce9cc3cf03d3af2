/* After half of a large store was deleted, a put must not search for its pages: none takes longer
 * than 50 ms. TESSERA_CHURN_MB says how large; make churn asks for 4 GB. */
#include "storage/store.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_MB 96
#define MOST_RECORD_BYTES (256 << 10)
#define MOST_PUT_MS 50

struct churn {
    struct test_ctx t;
    struct store *store;
    uint8_t *bytes;
    uint64_t seed;
    int64_t n_tiles; /* so many have been put */
};

/* Processor time: others may keep the machine busy. */
static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* One record of a size as tiles have. Returns its bytes. */
static int64_t put_one(struct churn *h, struct store_batch *b, int64_t version)
{
    struct tile_key key = {.array = 1, .attr = 1, .n_dims = 2, .version = version};
    uint64_t r = test_random(&h->seed);
    size_t n = 1000 + (r >> 32) % (size_t)(MOST_RECORD_BYTES >> (r % 4));
    key.coords[0] = h->n_tiles / 100;
    key.coords[1] = h->n_tiles++ % 100;
    assert_int_equal(store_batch_put(&h->t.c, b, &key, h->bytes, n), OK);
    return (int64_t)n;
}

static void no_put_is_slow_after_deletion(void **state)
{
    const char *asked = getenv("TESSERA_CHURN_MB");
    int64_t total = (asked ? atoll(asked) : DEFAULT_MB) << 20, removed, n_puts = 0;
    char dir[] = "/tmp/tessera-churn-XXXXXX", path[64], lock[80];
    struct churn h = {.seed = 5, .bytes = malloc(2 * MOST_RECORD_BYTES)};
    struct store_options o = {.create = true};
    struct store_batch *b;
    double slowest = 0, sum = 0;
    struct store_stats before, st;
    (void)state;
    test_ctx_open(&h.t, NULL);
    struct ctx *c = &h.t.c;
    test_fill_random(h.bytes, 2 * MOST_RECORD_BYTES, 1);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/tiles.mdb", dir);
    snprintf(lock, sizeof lock, "%s-lock", path);
    assert_int_equal(store_open(c, path, &o, &h.store), OK);

    assert_int_equal(store_batch_new(c, h.store, &b), OK);
    for (int64_t done = 0; done < total;)
        done += put_one(&h, b, 1 + h.n_tiles % 2);
    assert_int_equal(store_batch_flush(c, b), OK);
    store_batch_free(b);
    const int64_t dead = 2, kept = 1;
    assert_int_equal(store_sweep(c, h.store, 1, 2, &dead, 1, &kept, 1, &removed), OK);
    assert_int_equal(removed, h.n_tiles / 2);
    assert_int_equal(store_stats(c, h.store, &before), OK);

    for (int64_t done = 0; done < total / 2; n_puts++) {
        assert_int_equal(store_batch_new(c, h.store, &b), OK);
        double start = cpu_ms();
        done += put_one(&h, b, 3);
        assert_int_equal(store_batch_flush(c, b), OK);
        double took = cpu_ms() - start;
        store_batch_free(b);
        sum += took;
        if (took > slowest) slowest = took;
    }
    assert_int_equal(store_stats(c, h.store, &st), OK);
    printf("%lld puts: mean %.2f ms, slowest %.2f ms; the file has %lld MiB\n", (long long)n_puts,
           sum / (double)n_puts, slowest, (long long)(st.file_bytes >> 20));
    assert_true(slowest < MOST_PUT_MS);
    assert_true(st.file_bytes <=
                before.file_bytes + total / 16); /* what was deleted is used again */
    store_close(h.store);
    unlink(lock);
    unlink(path);
    rmdir(dir);
    free(h.bytes);
    test_ctx_close(&h.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_put_is_slow_after_deletion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
