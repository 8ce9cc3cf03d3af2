/* The tile store gives back what was put, as each view sees it, from many threads, and says what is
 * wrong when the file, the disk or a segment is. */
#include "storage/base/bits.h"
#include "storage/record.h"
#include "storage/store_lmdb.h"
#include "tests/unit/storage_ctx.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    struct test_ctx t;
    char dir[64], path[96];
    struct store *store;
};

static void open_store(struct fixture *f, int64_t quota, bool sync)
{
    struct store_options o = {
        .create = true, .quota_bytes = quota, .batch_bytes = 1 << 20, .sync = sync};
    assert_int_equal(store_open(&f->t.c, f->path, &o, &f->store), OK);
}

static int open_fixture(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    test_ctx_open(&f->t, NULL);
    snprintf(f->dir, sizeof f->dir, "/tmp/tessera-store-XXXXXX");
    if (!mkdtemp(f->dir)) return -1;
    snprintf(f->path, sizeof f->path, "%s/tiles.mdb", f->dir);
    open_store(f, 0, false);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    char lock[112];
    store_close(f->store);
    snprintf(lock, sizeof lock, "%s-lock", f->path);
    unlink(lock);
    unlink(f->path);
    rmdir(f->dir);
    test_ctx_close(&f->t);
    free(f);
    return 0;
}

static struct tile_key key2(uint16_t attr, int64_t i, int64_t j, int64_t version)
{
    return (struct tile_key){
        .array = 3, .attr = attr, .n_dims = 2, .coords = {i, j}, .version = version};
}

/* Bytes that tell their key. */
static void fill(uint8_t *p, size_t n, const struct tile_key *k)
{
    uint64_t seed = k->array + 31 * (uint64_t)k->version + 1000 * (uint64_t)k->coords[0] +
                    77777 * (uint64_t)k->coords[1] + 13 * k->attr;
    test_fill_random(p, n, seed);
}

static void put(struct fixture *f, struct store_batch *b, struct tile_key k, size_t n)
{
    uint8_t *bytes = malloc(n ? n : 1);
    fill(bytes, n, &k);
    assert_int_equal(store_batch_put(&f->t.c, b, &k, bytes, n), OK);
    free(bytes);
}

static void put_now(struct fixture *f, struct tile_key k, size_t n)
{
    struct store_batch *b;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    put(f, b, k, n);
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    store_batch_free(b);
}

static void check_get(struct ctx *c, struct store *s, struct tile_key k, size_t n)
{
    struct store_record r;
    uint8_t *bytes = malloc(n ? n : 1);
    fill(bytes, n, &k);
    assert_int_equal(store_get(c, s, &k, NULL, &r), OK);
    assert_int_equal(r.n_bytes, n);
    assert_int_equal(r.version, k.version);
    assert_memory_equal(r.bytes, bytes, n);
    free(bytes);
    scratch_reset(c->scratch);
}

static const size_t sizes[] = {
    0,     1,     100,   1980,   1990,   2000,   2030,           2040,          4072,  4073,
    8168,  8169,  12264, 16360,  16361,  32744,  32745,          50000,         65511, 65512,
    65513, 65520, 66000, 131032, 131033, 300000, 64 * 65520 - 8, 64 * 65520 - 7};
#define N_SIZES (int)(sizeof sizes / sizeof *sizes)

static void every_size_comes_back(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int i = 0; i < N_SIZES; i++)
        put(f, b, key2(1, i, -i, 5), sizes[i]);
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    for (int i = 0; i < N_SIZES; i++)
        check_get(&f->t.c, f->store, key2(1, i, -i, 5), sizes[i]);
    /* Put again, in other sizes: nothing of the former is left. */
    for (int i = 0; i < N_SIZES; i++)
        put(f, b, key2(1, i, -i, 5), sizes[N_SIZES - 1 - i]);
    put(f, b, key2(1, 0, 0, 5), 10);
    put(f, b, key2(1, 0, 0, 5), 70000);
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    store_batch_free(b);
    check_get(&f->t.c, f->store, key2(1, 0, 0, 5), 70000);
    for (int i = 1; i < N_SIZES; i++)
        check_get(&f->t.c, f->store, key2(1, i, -i, 5), sizes[N_SIZES - 1 - i]);

    store_close(f->store);
    open_store(f, 0, false);
    for (int i = 1; i < N_SIZES; i++)
        check_get(&f->t.c, f->store, key2(1, i, -i, 5), sizes[N_SIZES - 1 - i]);
}

/* LMDB keeps runs of 1, 2, 4, 8 or 16 pages for segments, and no others. */
static void runs_are_powers_of_two(void **state)
{
    struct fixture *f = *state;
    for (size_t n = 1; n <= LONG_SEGMENT_BYTES; n += 7) {
        size_t stored = segment_stored_bytes(f->store, 32, n);
        assert_true(stored >= n && stored <= LONG_SEGMENT_BYTES);
        if (stored == n && n < 2040) continue;
        size_t pages = (stored + 16) / 4096;
        assert_int_equal(pages * 4096, stored + 16);
        assert_int_equal(pages & (pages - 1), 0);
    }
}

/* A record as older versions of the software cut it. */
static void put_in_long_segments(struct fixture *f, const struct tile_key *key, size_t n)
{
    uint8_t *bytes = malloc(n + LENGTH_BYTES);
    MDB_txn *txn;
    put64(bytes, n);
    fill(bytes + LENGTH_BYTES, n, key);
    assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
    int segment = 0;
    for (size_t at = 0; at < n + LENGTH_BYTES; segment++) {
        size_t left = n + LENGTH_BYTES - at, part = LONG_SEGMENT_BYTES;
        struct store_key sk;
        store_key_put(&sk, key, key->version, segment);
        if (left < part) part = left;
        MDB_val k = {sk.bytes, sk.b}, v = {segment_stored_bytes(f->store, sk.bytes, part), NULL};
        assert_int_equal(mdb_put(txn, f->store->dbi, &k, &v, MDB_RESERVE), 0);
        memcpy(v.mv_data, bytes + at, part);
        at += part;
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    free(bytes);
}

static void records_in_long_segments_are_read_and_swept(void **state)
{
    struct fixture *f = *state;
    const size_t lengths[] = {4000, 4072, 4073, 5000, 9000, 65512, 65513, 200000};
    const int n = (int)(sizeof lengths / sizeof *lengths);
    const int64_t dead = 1, kept = 2;
    int64_t removed;
    for (int i = 0; i < n; i++) {
        struct tile_key old = key2(1, i, 0, 1), kept_one = key2(1, i, 1, 2);
        put_in_long_segments(f, &old, lengths[i]);
        put_in_long_segments(f, &kept_one, lengths[n - 1 - i]);
        put_now(f, key2(1, i, 2, 2), lengths[i]);
        check_get(&f->t.c, f->store, old, lengths[i]);
    }
    assert_int_equal(store_sweep(&f->t.c, f->store, 3, 2, &dead, 1, &kept, 1, &removed), OK);
    assert_int_equal(removed, n);
    for (int i = 0; i < n; i++) {
        check_get(&f->t.c, f->store, key2(1, i, 1, 2), lengths[n - 1 - i]);
        check_get(&f->t.c, f->store, key2(1, i, 2, 2), lengths[i]);
    }
}

static void views_see_their_versions(void **state)
{
    struct fixture *f = *state;
    struct ctx *c = &f->t.c;
    const int64_t versions[] = {2, 5, 6, 9}, dead[] = {5, 9};
    for (int i = 0; i < 4; i++)
        put_now(f, key2(1, 4, 4, versions[i]), 100);
    put_now(f, key2(1, 4, 5, 3), 100);
    put_now(f, key2(1, 4, 3, 3), 100);
    const int64_t all[] = {0, 0, 2, 2, 2, 5, 6, 6, 6, 9, 9};
    const int64_t live[] = {0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 6};
    for (int64_t v = 0; v <= 10; v++) {
        struct store_view view = {.version = v};
        struct tile_key k = key2(1, 4, 4, 0);
        int64_t found = -1;
        struct store_record r;
        assert_int_equal(store_find(c, f->store, &k, &view, &found), OK);
        assert_int_equal(found, all[v]);
        view.dead = dead;
        view.n_dead = 2;
        assert_int_equal(store_find(c, f->store, &k, &view, &found), OK);
        assert_int_equal(found, live[v]);
        assert_int_equal(store_get(c, f->store, &k, &view, &r), OK);
        assert_int_equal(r.version, live[v]);
        assert_true((r.bytes != NULL) == (live[v] != 0));
    }
    struct tile_key missing = key2(1, 4, 4, 4);
    struct store_record r;
    assert_int_equal(store_get(c, f->store, &missing, NULL, &r), ERR_CORRUPT);
}

/* ---- scans, against a model ---- */

static void check_scan(struct fixture *f, const struct box *box, const int64_t *newest)
{
    struct store_view view = {.version = 6};
    struct store_scan sc;
    struct tile_key keys[3];
    int64_t n, total = 0;
    store_scan_init(&sc, f->store, 3, 1, box, &view);
    struct tile_key last = {0};
    do {
        assert_int_equal(store_scan_next(&f->t.c, &sc, keys, 3, &n), OK);
        for (int64_t i = 0; i < n; i++) {
            assert_true(keys[i].coords[0] >= box->lo[0] && keys[i].coords[0] < box->hi[0]);
            assert_true(keys[i].coords[1] >= box->lo[1] && keys[i].coords[1] < box->hi[1]);
            assert_int_equal(keys[i].version,
                             newest[(keys[i].coords[0] + 5) * 10 + keys[i].coords[1] + 5]);
            if (total + i > 0)
                assert_true(
                    last.coords[0] < keys[i].coords[0] ||
                    (last.coords[0] == keys[i].coords[0] && last.coords[1] < keys[i].coords[1]));
            last = keys[i];
        }
        total += n;
    } while (n > 0);
    int64_t want = 0;
    for (int64_t i = box->lo[0] < -5 ? -5 : box->lo[0]; i < box->hi[0] && i < 5; i++)
        for (int64_t j = box->lo[1] < -5 ? -5 : box->lo[1]; j < box->hi[1] && j < 5; j++)
            want += newest[(i + 5) * 10 + j + 5] > 0;
    assert_int_equal(total, want);
}

static void scans_walk_the_box(void **state)
{
    struct fixture *f = *state;
    int64_t newest[100] = {0};
    uint64_t seed = 3;
    struct store_batch *b;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int64_t i = -5; i < 5; i++)
        for (int64_t j = -5; j < 5; j++)
            for (int64_t v = 1; v < 10; v++) {
                if (test_random(&seed) % 6) continue;
                put(f, b, key2(1, i, j, v), 10);
                put(f, b, key2(2, i, j, v), 10);
                put(f, b, key2(1 | ATTR_SUMMARY, i, j, v), 10);
                if (v <= 6) newest[(i + 5) * 10 + j + 5] = v;
            }
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    store_batch_free(b);
    struct box whole = {2, {INT64_MIN, INT64_MIN}, {INT64_MAX, INT64_MAX}};
    check_scan(f, &whole, newest);
    for (int round = 0; round < 500; round++) {
        struct box box = {.n_dims = 2};
        for (int d = 0; d < 2; d++) {
            box.lo[d] = (int64_t)(test_random(&seed) % 14) - 7;
            box.hi[d] = box.lo[d] + (int64_t)(test_random(&seed) % 8);
        }
        check_scan(f, &box, newest);
    }
    struct tile_key ahead[] = {key2(1, 0, 0, 1), key2(1, 90, 90, 1), key2(2, 1, 1, 4)};
    store_read_ahead(f->store, ahead, 3);
}

static void arrays_without_dimensions_and_with_all(void **state)
{
    struct fixture *f = *state;
    struct tile_key scalar = {.array = 8, .attr = 1, .version = 1}, wide = {.array = 9, .attr = 1};
    wide.n_dims = MAX_DIMS;
    wide.version = 1;
    for (int d = 0; d < MAX_DIMS; d++)
        wide.coords[d] = d % 2 ? -d : INT64_MAX - d;
    put_now(f, scalar, 5000);
    put_now(f, wide, 5000);
    check_get(&f->t.c, f->store, scalar, 5000);
    check_get(&f->t.c, f->store, wide, 5000);
    struct store_view view = {.version = 1};
    struct store_scan sc;
    struct tile_key keys[4];
    int64_t n;
    store_scan_init(&sc, f->store, 8, 1, &(struct box){0}, &view);
    assert_int_equal(store_scan_next(&f->t.c, &sc, keys, 4, &n), OK);
    assert_int_equal(n, 1);
    int64_t removed;
    assert_int_equal(
        store_sweep(&f->t.c, f->store, 9, MAX_DIMS, &wide.version, 1, NULL, 0, &removed), OK);
    assert_int_equal(removed, 1);
    assert_int_equal(store_drop(&f->t.c, f->store, 8, 0, &removed), OK);
    assert_int_equal(removed, 1);
    struct store_stats st;
    assert_int_equal(store_stats(&f->t.c, f->store, &st), OK);
    assert_int_equal(st.n_segments, 0);
}

/* ---- sweeping, against a model ---- */

#define TILES 12
#define VERSIONS 14

static bool is_in(int64_t v, const int64_t *list, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (list[i] == v) return true;
    return false;
}

/* What a reader at v finds: the version of the tile's presence, 0 when none or emptied; and that of
 * its values. */
static void see(struct fixture *f, int64_t tile, const struct store_view *view, int64_t *presence,
                int64_t *values)
{
    struct tile_key k = key2(0, tile, 0, 0);
    struct store_record r;
    assert_int_equal(store_get(&f->t.c, f->store, &k, view, &r), OK);
    bool emptied = r.bytes && tile_record_is_tombstone(r.bytes, r.n_bytes);
    *presence = r.version;
    k.attr = 1;
    assert_int_equal(store_find(&f->t.c, f->store, &k, view, values), OK);
    if (emptied) *values = 0;
    scratch_reset(f->t.c.scratch);
}

static void sweeping_hides_nothing_seen(void **state)
{
    struct fixture *f = *state;
    struct ctx *c = &f->t.c;
    uint64_t seed = 17;
    for (int round = 0; round < 30; round++) {
        struct store_batch *b;
        assert_int_equal(store_batch_new(c, f->store, &b), OK);
        int64_t dead[VERSIONS], kept[VERSIONS], n_dead = 0, n_kept = 0, n_put = 0;
        for (int64_t v = 1; v < VERSIONS; v++) {
            uint64_t r = test_random(&seed) % 4;
            if (r == 0) dead[n_dead++] = v;
            if (r == 1 && v < 11) kept[n_kept++] = v;
            for (int64_t t = 0; t < TILES; t++) {
                uint64_t what = test_random(&seed) % 6;
                struct tile_key k = key2(0, t, 0, v);
                const int64_t extents[] = {4, 4};
                uint64_t none = 0;
                void *record;
                size_t n;
                if (what > 3) continue;
                assert_int_equal(
                    tile_encode_presence(c, &k, extents, what ? NULL : &none, &record, &n), OK);
                assert_int_equal(store_batch_put(c, b, &k, record, n), OK);
                n_put++;
                if (!what) continue;
                put(f, b, key2(1, t, 0, v), what == 1 ? 70000 : 300);
                n_put++;
            }
        }
        assert_int_equal(store_batch_flush(c, b), OK);
        store_batch_free(b);

        int64_t before[VERSIONS][TILES][2], removed, again;
        for (int64_t v = 1; v < VERSIONS; v++)
            for (int64_t t = 0; t < TILES; t++)
                see(f, t, &(struct store_view){.version = v, .dead = dead, .n_dead = n_dead},
                    &before[v][t][0], &before[v][t][1]);
        /* A writer's own version on top: what lies between was undone. */
        for (int64_t v = 1; v + 2 < VERSIONS; v++)
            for (int64_t t = 0; t < TILES; t++) {
                struct store_view own = {.version = v, .own = VERSIONS}, plain = {.version = v};
                int64_t x[2], y[2];
                see(f, t, &own, &x[0], &x[1]);
                see(f, t, &plain, &y[0], &y[1]);
                assert_memory_equal(x, y, sizeof x);
            }
        assert_int_equal(store_sweep(c, f->store, 3, 2, dead, n_dead, kept, n_kept, &removed), OK);
        assert_int_equal(store_sweep(c, f->store, 3, 2, dead, n_dead, kept, n_kept, &again), OK);
        assert_int_equal(again, 0);
        int64_t top = n_kept ? kept[n_kept - 1] : 0;
        int64_t seen[VERSIONS * TILES * 2][3], n_seen = 0;
        for (int64_t v = 1; v < VERSIONS; v++)
            for (int64_t t = 0; t < TILES; t++) {
                int64_t now[2];
                if (!is_in(v, kept, n_kept) && v < top) continue;
                /* The dead are gone: readers need not know them any more. */
                see(f, t, &(struct store_view){.version = v}, &now[0], &now[1]);
                assert_memory_equal(now, before[v][t], sizeof now);
                for (int64_t a = 0; a < 2; a++) {
                    bool known = now[a] == 0;
                    for (int64_t i = 0; i < n_seen && !known; i++)
                        known = seen[i][0] == a && seen[i][1] == t && seen[i][2] == now[a];
                    if (known) continue;
                    seen[n_seen][0] = a;
                    seen[n_seen][1] = t;
                    seen[n_seen++][2] = now[a];
                }
            }
        /* Where versions are kept, exactly what they and newer ones see is left. */
        if (n_kept) assert_int_equal(n_put - removed, n_seen);
        assert_int_equal(store_drop(c, f->store, 3, 0, &removed), OK);
        struct store_stats st;
        assert_int_equal(store_stats(c, f->store, &st), OK);
        assert_int_equal(st.n_segments, 0);
    }
}

static void one_attribute_is_dropped(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    int64_t removed;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int64_t i = 0; i < 300; i++)
        for (uint16_t attr = 0; attr < 4; attr++) {
            put(f, b, key2(attr, i, 0, 1), attr == 2 ? 70000 : 20);
            if (i < 3) put(f, b, key2(attr | ATTR_SUMMARY, i, 0, 1), 50);
        }
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    store_batch_free(b);
    assert_int_equal(store_drop(&f->t.c, f->store, 3, 2, &removed), OK);
    assert_int_equal(removed, 303);
    check_get(&f->t.c, f->store, key2(1, 299, 0, 1), 20);
    check_get(&f->t.c, f->store, key2(3, 0, 0, 1), 20);
    check_get(&f->t.c, f->store, key2(1 | ATTR_SUMMARY, 2, 0, 1), 50);
    check_get(&f->t.c, f->store, key2(3 | ATTR_SUMMARY, 0, 0, 1), 50);
}

/* ---- threads ---- */

struct task {
    struct fixture *f;
    struct store_batch *batch;
    int64_t id;
    bool ok;
};

static void *put_and_get(void *arg)
{
    struct task *t = arg;
    struct test_ctx x;
    test_ctx_open(&x, NULL);
    x.c.budget = &t->f->t.budget; /* as workers have their statement's */
    t->ok = true;
    uint8_t *bytes = malloc(80000);
    for (int64_t i = 0; i < 60; i++) {
        struct tile_key k = key2(1, t->id, i, 1);
        size_t n = (size_t)(i * 1333 + t->id);
        fill(bytes, n, &k);
        t->ok = t->ok && store_batch_put(&x.c, t->batch, &k, bytes, n) == OK;
        struct store_record r;
        k = key2(2, i % 8, i, 1);
        n = (size_t)(i * 1000);
        fill(bytes, n, &k);
        t->ok = t->ok && store_get(&x.c, t->f->store, &k, NULL, &r) == OK && r.n_bytes == n &&
                !memcmp(r.bytes, bytes, n);
        scratch_reset(x.c.scratch);
    }
    free(bytes);
    test_ctx_close(&x);
    return NULL;
}

static void many_threads_put_and_get(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    pthread_t threads[8];
    struct task tasks[8];
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int64_t i = 0; i < 60; i++)
        put(f, b, key2(2, i % 8, i, 1), (size_t)(i * 1000));
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    struct ctx outer = f->t.c;
    for (int i = 0; i < 8; i++) {
        tasks[i] = (struct task){.f = f, .batch = b, .id = i};
        pthread_create(&threads[i], NULL, put_and_get, &tasks[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_true(tasks[i].ok);
    }
    assert_int_equal(store_batch_flush(&outer, b), OK);
    store_batch_free(b);
    for (int64_t t = 0; t < 8; t++)
        for (int64_t i = 0; i < 60; i++)
            check_get(&f->t.c, f->store, key2(1, t, i, 1), (size_t)(i * 1333 + t));
}

/* Lists that the batch's thread writes, one after the other, and a last one that the flush does. */
static void later_records_win_over_handed_ones(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int round = 0; round < 5; round++)
        for (int64_t i = 0; i < 25; i++)
            put(f, b, key2(1, i, 0, 1), (size_t)(60000 + 100 * round + i));
    struct tile_key one = key2(1, 3, 0, 1);
    assert_int_equal(store_batch_settle(&f->t.c, b, &one), OK);
    check_get(&f->t.c, f->store, one, 60000 + 400 + 3);
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    for (int64_t i = 0; i < 25; i++)
        check_get(&f->t.c, f->store, key2(1, i, 0, 1), (size_t)(60000 + 400 + i));
    for (int64_t i = 0; i < 40; i++) /* one list is handed over, the rest is dropped */
        put(f, b, key2(1, i, 0, 2), 60000);
    store_batch_free(b);
}

/* ---- what goes wrong ---- */

static void a_small_budget_only_makes_it_slow(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    f->t.budget.limit_bytes = atomic_load(&f->t.budget.used_bytes) + 40000;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    for (int64_t i = 0; i < 20; i++)
        put(f, b, key2(1, i, 0, 1), i % 2 ? 9000 : 100000);
    assert_int_equal(store_batch_flush(&f->t.c, b), OK);
    store_batch_free(b);
    f->t.budget.limit_bytes = 0;
    for (int64_t i = 0; i < 20; i++)
        check_get(&f->t.c, f->store, key2(1, i, 0, 1), i % 2 ? 9000 : 100000);
}

static enum status put_until_full(struct fixture *f, struct store_batch *b, int64_t *n)
{
    uint8_t *bytes = malloc(100000);
    enum status s = OK;
    for (*n = 0; s == OK && *n < 1000; ++*n) {
        struct tile_key k = key2(1, *n, 7, 1);
        fill(bytes, 100000, &k);
        s = store_batch_put(&f->t.c, b, &k, bytes, 100000);
    }
    free(bytes);
    return s;
}

static void the_quota_holds(void **state)
{
    struct fixture *f = *state;
    struct ctx *c = &f->t.c;
    struct store_batch *b;
    struct store_stats st;
    struct stat file;
    int64_t n, removed;
    store_close(f->store);
    open_store(f, 8 << 20, false);
    put_now(f, key2(2, 0, 0, 1), 50000);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(store_batch_new(c, f->store, &b), OK);
        assert_int_equal(put_until_full(f, b, &n), ERR_DISK_FULL);
        assert_true(n > 40 && n < 170); /* noticed while the next batch is being filled */
        assert_int_equal(store_batch_flush(c, b), ERR_DISK_FULL);
        ctx_clear(c);
        assert_int_equal(store_batch_flush(c, b), ERR_DISK_FULL); /* it stays failed */
        ctx_clear(c);
        store_batch_free(b);
        assert_int_equal(store_stats(c, f->store, &st), OK);
        assert_true(st.used_bytes <= 8 << 20);
        check_get(c, f->store, key2(2, 0, 0, 1), 50000);
        check_get(c, f->store, key2(1, 3, 7, 1), 100000);
        assert_int_equal(store_drop(c, f->store, 3, 1, &removed), OK);
        assert_true(removed > 30);
    }
    assert_int_equal(stat(f->path, &file), 0);
    assert_true(file.st_size <= 9 << 20);
}

static void a_full_disk_is_told_and_reads_go_on(void **state)
{
    struct fixture *f = *state;
    struct ctx *c = &f->t.c;
    struct store_batch *b;
    struct rlimit old, small;
    int64_t n;
    put_now(f, key2(2, 0, 0, 1), 50000);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 4 << 20;
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(store_batch_new(c, f->store, &b), OK);
    enum status s = put_until_full(f, b, &n);
    store_batch_free(b);
    setrlimit(RLIMIT_FSIZE, &old);
    /* LMDB calls the write that was cut short an I/O error; only on a full disk is it known. */
    assert_true(s == ERR_DISK_FULL || s == ERR_IO);
    ctx_clear(c);
    check_get(c, f->store, key2(2, 0, 0, 1), 50000);
    put_now(f, key2(2, 1, 0, 1), 500000);
    check_get(c, f->store, key2(2, 1, 0, 1), 500000);
}

static void a_missing_file_is_corruption(void **state)
{
    struct fixture *f = *state;
    struct store_options o = {0};
    struct store *s = NULL;
    char other[128];
    snprintf(other, sizeof other, "%s.none", f->path);
    assert_int_equal(store_open(&f->t.c, other, &o, &s), ERR_CORRUPT);
    assert_null(s);
}

static void a_short_file_is_corruption(void **state)
{
    struct fixture *f = *state;
    struct store_options o = {0};
    struct stat st;
    for (int64_t i = 0; i < 20; i++)
        put_now(f, key2(1, i, 0, 1), 60000);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(truncate(f->path, st.st_size / 2), 0);
    assert_int_equal(store_open(&f->t.c, f->path, &o, &f->store), ERR_CORRUPT);
    ctx_clear(&f->t.c);
    int fd = open(f->path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "this is no tile store at all", 28), 28);
    close(fd);
    enum status s = store_open(&f->t.c, f->path, &o, &f->store);
    assert_true(s == ERR_CORRUPT || s == ERR_FORMAT_VERSION);
    f->store = NULL;
}

/* Takes a segment away, or makes it shorter, behind the store's back. */
static void spoil(struct fixture *f, const struct tile_key *key, int segment, bool remove)
{
    MDB_txn *txn;
    struct store_key sk;
    store_key_put(&sk, key, key->version, segment);
    char ten[10] = "012345678";
    MDB_val k = {sk.bytes, sk.b}, v = {sizeof ten, ten};
    assert_int_equal(mdb_txn_begin(f->store->env, NULL, 0, &txn), 0);
    if (remove)
        assert_int_equal(mdb_del(txn, f->store->dbi, &k, NULL), 0);
    else
        assert_int_equal(mdb_put(txn, f->store->dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
}

static void damaged_segments_are_corruption(void **state)
{
    struct fixture *f = *state;
    struct ctx *c = &f->t.c;
    for (int kind = 0; kind < 2; kind++)
        for (int segment = 0; segment < 4; segment++) {
            struct tile_key k = key2(1, segment, kind, 1);
            struct store_record r;
            put_now(f, k, 200000);
            put_now(f, key2(1, segment, kind + 1, 1), 20);
            spoil(f, &k, segment, kind);
            assert_int_equal(store_get(c, f->store, &k, NULL, &r), ERR_CORRUPT);
            ctx_clear(c);
            store_read_ahead(f->store, &k, 1);
        }
}

static void lost_writes_of_a_batch_that_was_freed(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b;
    struct tile_key k = key2(1, 0, 0, 1);
    struct store_view view = {.version = 1};
    int64_t version;
    assert_int_equal(store_batch_new(&f->t.c, f->store, &b), OK);
    put(f, b, k, 1000);
    store_batch_free(b);
    assert_int_equal(store_find(&f->t.c, f->store, &k, &view, &version), OK);
    assert_int_equal(version, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_size_comes_back),
        TEST(runs_are_powers_of_two),
        TEST(records_in_long_segments_are_read_and_swept),
        TEST(views_see_their_versions),
        TEST(scans_walk_the_box),
        TEST(arrays_without_dimensions_and_with_all),
        TEST(sweeping_hides_nothing_seen),
        TEST(one_attribute_is_dropped),
        TEST(many_threads_put_and_get),
        TEST(a_small_budget_only_makes_it_slow),
        TEST(the_quota_holds),
        TEST(a_full_disk_is_told_and_reads_go_on),
        TEST(a_missing_file_is_corruption),
        TEST(a_short_file_is_corruption),
        TEST(damaged_segments_are_corruption),
        TEST(later_records_win_over_handed_ones),
        TEST(lost_writes_of_a_batch_that_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
