/* Which tiles wait in memory, how much of it they take, and which go first when it runs short. */
#include "storage/base/pool.h"
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

static uint64_t hash_of(const struct writer *w, const int64_t *coords)
{
    return XXH3_64bits(coords, sizeof(*coords) * (size_t)w->s->n_dims);
}

static uint64_t bucket_of(const struct writer *w, const int64_t *coords)
{
    return hash_of(w, coords) % (uint64_t)w->n_buckets;
}

pthread_mutex_t *wtile_stripe(struct writer *w, const int64_t *coords)
{
    return &w->stripes[(hash_of(w, coords) >> 32) % N_STRIPES];
}

/* Memory that waits: accounted to the statement, so that a refusal stores tiles instead. */
enum status wtile_take(struct ctx *c, struct writer *w, struct wtile *t, size_t bytes, void **out)
{
    void *p = buf_try(c->budget, bytes);
    if (!p)
        return fail(c, ERR_MEMORY, "the memory limit is reached while cells wait to be written");
    memset(p, 0, bytes);
    t->bytes += (int64_t)bytes;
    atomic_fetch_add(&w->used_bytes, (int64_t)bytes);
    *out = p;
    return OK;
}

void wtile_give(struct writer *w, struct wtile *t, void *p)
{
    if (!p) return;
    int64_t bytes = (int64_t)buf_bytes(p);
    t->bytes -= bytes;
    atomic_fetch_sub(&w->used_bytes, bytes);
    buf_free(p);
}

/* ---- the table ---- */

struct wtile *wtable_find(struct writer *w, const int64_t *coords)
{
    size_t bytes = sizeof(*coords) * (size_t)w->s->n_dims;
    pthread_mutex_lock(&w->mu);
    struct wtile *t = w->n_waiting ? w->tiles[bucket_of(w, coords)] : NULL;
    while (t && memcmp(t->coords, coords, bytes) != 0)
        t = t->next;
    if (t) t->stamp = ++w->clock;
    pthread_mutex_unlock(&w->mu);
    return t;
}

void wtable_remove(struct writer *w, const struct wtile *t)
{
    pthread_mutex_lock(&w->mu);
    struct wtile **at = &w->tiles[bucket_of(w, t->coords)];
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    w->n_waiting--;
    pthread_mutex_unlock(&w->mu);
}

static void add_to_bucket(struct writer *w, struct wtile *t)
{
    struct wtile **bucket = &w->tiles[bucket_of(w, t->coords)];
    t->next = *bucket;
    *bucket = t;
}

/* Under mu. A small write has a small table. */
static void wtable_add(struct writer *w, struct wtile *t)
{
    if (w->n_waiting >= w->n_buckets) {
        struct wtile **old = w->tiles, *next;
        int64_t n_old = w->n_buckets;
        w->n_buckets = n_old ? 8 * n_old : 8;
        w->tiles = calloc((size_t)w->n_buckets, sizeof(struct wtile *));
        if (!w->tiles) abort();
        for (int64_t i = 0; i < n_old; i++)
            for (struct wtile *k = old[i]; k; k = next) {
                next = k->next;
                add_to_bucket(w, k);
            }
        free(old);
    }
    add_to_bucket(w, t);
    w->n_waiting++;
}

void wtile_drop_list(struct writer *w, struct wtile *t)
{
    wtile_give(w, t, t->listed);
    for (int i = 0; t->list && i < w->n_given; i++) {
        wtile_give(w, t, t->list[i].values);
        wtile_give(w, t, t->list[i].valid);
    }
    free(t->list);
    t->listed = NULL;
    t->list = NULL;
    t->n_listed = t->cap_listed = 0;
}

void wtile_free(struct writer *w, struct wtile *t)
{
    wtile_drop_list(w, t);
    for (int k = 0; t->dense && k < w->s->n_attrs; k++) {
        wtile_give(w, t, t->dense[k].values);
        wtile_give(w, t, t->dense[k].valid);
    }
    wtile_give(w, t, t->present);
    free(t->dense);
    free(t->has_null);
    free(t);
}

/* The presence of what is there before anything waits. */
static enum status load_presence(struct ctx *c, struct writer *w, struct wtile *t)
{
    struct tile_ref ref;
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status s = writer_fetch(c, w, ATTR_PRESENCE, T_NONE, t->coords, &ref);
    if (s == OK && ref.tile) {
        t->n_before = ref.tile->n_present;
        t->renewed = writer_renews(w, t->coords);
        if (!t->renewed) {
            tile_presence_bits(ref.tile, w->base->extents, t->present);
            t->n_present = t->n_before;
        }
        tile_done(w->base, &ref);
    }
    scratch_release(c->scratch, mark);
    return s;
}

/* The pending tile; under its stripe. */
enum status wtile_get(struct ctx *c, struct writer *w, const int64_t *coords, struct wtile **out)
{
    struct wtile *t = wtable_find(w, coords);
    if (!t) {
        void *bits;
        t = calloc(1, sizeof(*t));
        if (!t) return fail(c, ERR_MEMORY, "out of memory");
        memcpy(t->coords, coords, sizeof(*coords) * (size_t)w->s->n_dims);
        enum status s = wtile_take(c, w, t, writer_bit_bytes(w), &bits);
        if (s == OK) {
            t->present = bits;
            s = load_presence(c, w, t);
        }
        if (s < 0) {
            wtile_free(w, t);
            return s;
        }
        pthread_mutex_lock(&w->mu);
        t->stamp = ++w->clock;
        wtable_add(w, t);
        pthread_mutex_unlock(&w->mu);
    }
    *out = t;
    return OK;
}

/* ---- when memory runs short ---- */

struct victim {
    int64_t coords[MAX_DIMS];
    int64_t stamp;
};

static int order_of_victims(const void *a, const void *b)
{
    const struct victim *x = a, *y = b;
    return (x->stamp > y->stamp) - (x->stamp < y->stamp);
}

/* All that wait, by age; malloc'ed. */
static struct victim *list_victims(struct writer *w, int64_t *n)
{
    int64_t count = 0;
    pthread_mutex_lock(&w->mu);
    for (int64_t i = 0; i < w->n_buckets; i++)
        for (struct wtile *t = w->tiles[i]; t; t = t->next)
            count++;
    struct victim *v = malloc(sizeof(*v) * (size_t)(count + 1));
    if (!v) abort();
    *n = 0;
    for (int64_t i = 0; i < w->n_buckets; i++)
        for (struct wtile *t = w->tiles[i]; t; t = t->next) {
            memcpy(v[*n].coords, t->coords, sizeof(t->coords));
            v[(*n)++].stamp = t->stamp;
        }
    pthread_mutex_unlock(&w->mu);
    qsort(v, (size_t)*n, sizeof(*v), order_of_victims);
    return v;
}

struct storing {
    struct writer *w;
    const struct victim *victims;
    int64_t bytes;
};

static enum status store_one(struct ctx *c, void *self, int worker, int64_t task)
{
    const struct storing *st = self;
    struct writer *w = st->w;
    enum status s = OK;
    (void)worker;
    if (st->bytes && atomic_load(&w->used_bytes) <= st->bytes) return OK;
    pthread_mutex_t *stripe = wtile_stripe(w, st->victims[task].coords);
    pthread_mutex_lock(stripe);
    struct wtile *t = wtable_find(w, st->victims[task].coords);
    if (t) s = wtile_store(c, w, t);
    pthread_mutex_unlock(stripe);
    return s;
}

enum status wtiles_store(struct ctx *c, struct writer *w, int64_t bytes)
{
    int64_t n;
    struct victim *v = list_victims(w, &n);
    struct storing st = {w, v, bytes};
    enum status s = pool_run(c, n, 0, store_one, &st);
    free(v);
    return s;
}

void wtiles_free(struct writer *w)
{
    struct wtile *next;
    for (int64_t i = 0; i < w->n_buckets; i++)
        for (struct wtile *t = w->tiles[i]; t; t = next) {
            next = t->next;
            wtile_free(w, t);
        }
    free(w->tiles);
}
