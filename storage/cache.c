/* Which decoded tiles stay in memory, and who waits for whom.
 *
 * Each shard has its lock, a hash table, and two queues. New tiles enter `small`; from its end they
 * go to `main` when they were hit twice, and out otherwise, leaving their hash among the ghosts; a
 * ghost that comes back enters `main` at once. From the end of `main` a tile goes round again with
 * one hit less, or out.
 *
 *   (absent) --cache_get--> LOADING --load succeeds--> READY --evict, drop, last release--> freed
 *                              \--load fails--> (absent)
 *
 * Invariants:
 *  - an entry in the table is found by whoever asks; LOADING ones are waited for;
 *  - an entry is in a queue exactly when it is READY and `kept`;
 *  - an entry neither kept nor pinned does not exist;
 *  - no lock is held while a tile loads, and never two at once. */
#include "storage/cache.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SHARDS 16
#define LEAST_SHARD_BYTES (INT64_C(4) << 20)
#define TYPICAL_TILE_BYTES (INT64_C(128) << 10)
#define MAX_HITS 3
#define GHOST_WAYS 8     /* a cache line */
#define WAIT_NS 50000000 /* between looks at cancellation */

enum queue_id { SMALL, MAIN };

struct cached {
    struct tile tile; /* first: users hold its address */
    uint64_t hash;
    struct cached *chain;       /* next in the bucket */
    struct cached *prev, *next; /* in the queue: prev is nearer to its head */
    void *memory;
    int64_t bytes; /* memory and entry */
    int pins;
    uint8_t hits;
    bool ready, kept, in_table;
    bool dropped; /* while loading: not to be kept */
    enum queue_id queue;
};

struct queue {
    struct cached *head, *tail;
    int64_t bytes, n;
};

struct shard {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    struct cached **buckets;
    size_t n_buckets, n_entries;
    struct queue queues[2];
    uint64_t *ghosts;
};

struct cache {
    struct budget budget; /* of what is kept */
    struct budget *server;
    int64_t limit_bytes;
    int n_shards;
    size_t n_ghosts; /* in a shard; a power of two */
    struct shard shards[MAX_SHARDS];
    atomic_uint next_victim; /* shard */
    atomic_int_least64_t n_hits, n_loads, n_evictions;
};

struct cache_slot {
    struct cache *cache;
    void *memory;
    bool kept; /* charged to the cache's budget */
};

/* ---- table ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static uint64_t key_hash(const struct tile_key *key)
{
    uint64_t h = mix(key->array, key->attr);
    for (int d = 0; d < key->n_dims; d++)
        h = mix(h, (uint64_t)key->coords[d]);
    h = mix(h, (uint64_t)key->version) * UINT64_C(0xbf58476d1ce4e5b9);
    return h ^ h >> 32;
}

static struct shard *shard_of(struct cache *k, uint64_t hash)
{
    return &k->shards[(hash >> 56) & (unsigned)(k->n_shards - 1)];
}

static struct cached **bucket_of(const struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->n_buckets - 1)];
}

static struct cached *table_find(const struct shard *s, uint64_t hash, const struct tile_key *key)
{
    struct cached *e = *bucket_of(s, hash);
    while (e && !(e->hash == hash && tile_key_equal(&e->tile.key, key)))
        e = e->chain;
    return e;
}

static void table_grow(struct shard *s)
{
    size_t old_n = s->n_buckets;
    struct cached **old = s->buckets, **more = calloc(2 * old_n, sizeof *more);
    if (!more) return; /* longer chains do no harm */
    s->buckets = more;
    s->n_buckets = 2 * old_n;
    for (size_t i = 0; i < old_n; i++)
        for (struct cached *e = old[i], *next; e; e = next) {
            next = e->chain;
            e->chain = *bucket_of(s, e->hash);
            *bucket_of(s, e->hash) = e;
        }
    free(old);
}

static void table_add(struct shard *s, struct cached *e)
{
    if (++s->n_entries > s->n_buckets) table_grow(s);
    e->chain = *bucket_of(s, e->hash);
    *bucket_of(s, e->hash) = e;
    e->in_table = true;
}

static void table_remove(struct shard *s, struct cached *e)
{
    struct cached **at = bucket_of(s, e->hash);
    while (*at != e)
        at = &(*at)->chain;
    *at = e->chain;
    e->in_table = false;
    s->n_entries--;
}

/* ---- queues ---- */

static void queue_push(struct shard *s, enum queue_id id, struct cached *e)
{
    struct queue *q = &s->queues[id];
    e->queue = id;
    e->prev = NULL;
    e->next = q->head;
    if (q->head)
        q->head->prev = e;
    else
        q->tail = e;
    q->head = e;
    q->bytes += e->bytes;
    q->n++;
}

static void queue_remove(struct shard *s, struct cached *e)
{
    struct queue *q = &s->queues[e->queue];
    if (e->prev)
        e->prev->next = e->next;
    else
        q->head = e->next;
    if (e->next)
        e->next->prev = e->prev;
    else
        q->tail = e->prev;
    q->bytes -= e->bytes;
    q->n--;
}

/* Ghosts: hashes in lines of GHOST_WAYS, the newest of a line first. */

static uint64_t *ghost_line(const struct cache *k, const struct shard *s, uint64_t hash)
{
    return &s->ghosts[hash & (k->n_ghosts - 1) & ~(uint64_t)(GHOST_WAYS - 1)];
}

static bool ghost_there(const struct cache *k, const struct shard *s, uint64_t hash)
{
    const uint64_t *line = ghost_line(k, s, hash);
    for (int i = 0; i < GHOST_WAYS; i++)
        if (line[i] == hash) return true;
    return false;
}

static void ghost_add(const struct cache *k, const struct shard *s, uint64_t hash)
{
    uint64_t *line = ghost_line(k, s, hash);
    memmove(line + 1, line, sizeof *line * (GHOST_WAYS - 1));
    line[0] = hash;
}

static void ghost_remove(const struct cache *k, const struct shard *s, uint64_t hash)
{
    uint64_t *line = ghost_line(k, s, hash);
    for (int i = 0; i < GHOST_WAYS; i++)
        if (line[i] == hash) line[i] = 0;
}

/* ---- entries ---- */

/* Out of table and queue already. */
static void entry_free(struct cache *k, struct cached *e)
{
    if (e->kept) budget_give(&k->budget, (int64_t)sizeof *e);
    buf_free(e->memory);
    free(e);
}

/* Out of table and queue; freed unless pinned. Under the lock. */
static void forget(struct cache *k, struct shard *s, struct cached *e)
{
    queue_remove(s, e);
    table_remove(s, e);
    if (e->pins == 0) {
        entry_free(k, e);
        return;
    }
    e->kept = false;
    budget_give(&k->budget, (int64_t)sizeof *e);
}

/* Drops one tile of the shard; returns its bytes, 0 when all are pinned. */
static int64_t evict_one(struct cache *k, struct shard *s)
{
    struct queue *small = &s->queues[SMALL], *main = &s->queues[MAIN];
    int64_t bytes = 0;
    pthread_mutex_lock(&s->lock);
    int64_t steps = small->n + (MAX_HITS + 1) * (small->n + main->n);
    for (int64_t i = 0; i < steps && !bytes; i++) {
        bool from_small = small->n && (!main->n || small->bytes * 10 >= small->bytes + main->bytes);
        struct cached *e = from_small ? small->tail : main->tail;
        bool stays = e->pins || (from_small ? e->hits > 1 : e->hits > 0);
        if (!stays) {
            if (from_small) ghost_add(k, s, e->hash);
            bytes = e->bytes;
            forget(k, s, e);
            continue;
        }
        queue_remove(s, e);
        if (from_small)
            e->hits = 0;
        else if (!e->pins)
            e->hits--;
        queue_push(s, MAIN, e);
    }
    pthread_mutex_unlock(&s->lock);
    if (bytes) atomic_fetch_add_explicit(&k->n_evictions, 1, memory_order_relaxed);
    return bytes;
}

int64_t cache_trim(struct cache *k, int64_t bytes)
{
    int64_t freed = 0;
    for (int idle = 0; freed < bytes && idle < k->n_shards;) {
        unsigned at = atomic_fetch_add_explicit(&k->next_victim, 1, memory_order_relaxed);
        int64_t got = evict_one(k, &k->shards[at & (unsigned)(k->n_shards - 1)]);
        freed += got;
        idle = got ? 0 : idle + 1;
    }
    return freed;
}

/* ---- loading ---- */

enum status cache_alloc(struct ctx *c, struct cache_slot *slot, size_t bytes, void **out)
{
    struct cache *k = slot->cache;
    assert(!slot->memory);
    if ((int64_t)bytes < k->limit_bytes) {
        do {
            slot->memory = buf_try(&k->budget, bytes);
        } while (!slot->memory && cache_trim(k, (int64_t)bytes) > 0);
        slot->kept = slot->memory != NULL;
    }
    if (!slot->memory) slot->memory = buf_try(k->server, bytes);
    if (!slot->memory) {
        fail(c, ERR_MEMORY, "out of memory: memory_limit leaves no room for a tile of %zu bytes",
             bytes);
        return hint(c, "Raise memory_limit, or make the arrays' tiles smaller.");
    }
    *out = slot->memory;
    return OK;
}

/* A tile without memory of its own costs its entry. */
static bool may_keep(struct cache *k, const struct cache_slot *slot)
{
    if (slot->memory ? !slot->kept : k->limit_bytes == 0) return false;
    int64_t bytes = (int64_t)sizeof(struct cached);
    return budget_take(&k->budget, bytes) ||
           (cache_trim(k, bytes) > 0 && budget_take(&k->budget, bytes));
}

/* Loads the entry, which is in the table, LOADING and pinned by the caller. */
static enum status load_entry(struct ctx *c, struct cache *k, struct shard *s, struct cached *e,
                              cache_load_fn *load, void *self)
{
    struct cache_slot slot = {.cache = k};
    struct tile tile = {.key = e->tile.key};
    enum status status = load(c, self, &e->tile.key, &slot, &tile);
    bool keep = status == OK && may_keep(k, &slot);
    atomic_fetch_add_explicit(&k->n_loads, 1, memory_order_relaxed);

    pthread_mutex_lock(&s->lock);
    e->memory = slot.memory;
    e->kept = keep;
    if (status < 0) {
        table_remove(s, e);
    } else {
        struct tile_key key = e->tile.key;
        e->tile = tile;
        e->tile.key = key;
        e->ready = true;
        e->bytes = (int64_t)((slot.memory ? buf_bytes(slot.memory) : 0) + sizeof *e);
        if (keep) queue_push(s, ghost_there(k, s, e->hash) ? MAIN : SMALL, e);
        if (keep) ghost_remove(k, s, e->hash);
        if (keep && e->dropped) forget(k, s, e);
    }
    pthread_cond_broadcast(&s->loaded);
    pthread_mutex_unlock(&s->lock);
    if (status < 0) entry_free(k, e);
    return status;
}

/* Waits a moment for a loader to finish. Under the lock. */
static enum status wait_loaded(struct ctx *c, struct shard *s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&s->loaded, &s->lock, &until);
    return check_cancel(c);
}

/* Is it the first time in a while that the tile is asked for? It is remembered. */
static bool first_time(struct cache *k, struct shard *s, uint64_t hash)
{
    if (ghost_there(k, s, hash)) return false;
    if (k->limit_bytes) ghost_add(k, s, hash);
    return true;
}

static enum status get(struct ctx *c, struct cache *k, const struct tile_key *key, bool again,
                       cache_load_fn *load, void *self, const struct tile **out)
{
    uint64_t hash = key_hash(key);
    struct shard *s = shard_of(k, hash);
    struct cached *e;
    enum status status = OK;
    pthread_mutex_lock(&s->lock);
    while ((e = table_find(s, hash, key)) && !e->ready && status == OK)
        status = wait_loaded(c, s);
    if (status < 0) {
        pthread_mutex_unlock(&s->lock);
        return status;
    }
    if (e) {
        e->pins++;
        if (e->hits < MAX_HITS) e->hits++;
        pthread_mutex_unlock(&s->lock);
        atomic_fetch_add_explicit(&k->n_hits, 1, memory_order_relaxed);
        if (!(key->attr & ATTR_SUMMARY) && key->attr != ATTR_PRESENCE) COUNT(c, tiles_cached, 1);
        *out = &e->tile;
        return OK;
    }
    if (again && first_time(k, s, hash)) {
        pthread_mutex_unlock(&s->lock);
        *out = NULL;
        return OK;
    }
    e = calloc(1, sizeof *e);
    if (e) {
        e->hash = hash;
        e->tile.key = *key;
        e->pins = 1;
        table_add(s, e);
    }
    pthread_mutex_unlock(&s->lock);
    if (!e) return fail(c, ERR_MEMORY, "out of memory");
    TRY(load_entry(c, k, s, e, load, self));
    *out = &e->tile;
    return OK;
}

enum status cache_get(struct ctx *c, struct cache *k, const struct tile_key *key,
                      cache_load_fn *load, void *self, const struct tile **out)
{
    return get(c, k, key, false, load, self, out);
}

enum status cache_get_again(struct ctx *c, struct cache *k, const struct tile_key *key,
                            cache_load_fn *load, void *self, const struct tile **out)
{
    return get(c, k, key, true, load, self, out);
}

void cache_release(struct cache *k, const struct tile *t)
{
    if (!t) return;
    struct cached *e = (struct cached *)(uintptr_t)t;
    struct shard *s = shard_of(k, e->hash);
    pthread_mutex_lock(&s->lock);
    assert(e->pins > 0);
    bool last = --e->pins == 0 && !e->kept;
    if (last && e->in_table) table_remove(s, e);
    pthread_mutex_unlock(&s->lock);
    if (last) entry_free(k, e);
}

bool cache_has(struct cache *k, const struct tile_key *key)
{
    uint64_t hash = key_hash(key);
    struct shard *s = shard_of(k, hash);
    pthread_mutex_lock(&s->lock);
    struct cached *e = table_find(s, hash, key);
    bool has = e && e->ready;
    pthread_mutex_unlock(&s->lock);
    return has;
}

void cache_drop_array(struct cache *k, uint32_t array)
{
    for (int i = 0; i < k->n_shards; i++) {
        struct shard *s = &k->shards[i];
        pthread_mutex_lock(&s->lock);
        for (size_t b = 0; b < s->n_buckets; b++)
            for (struct cached *e = s->buckets[b], *next; e; e = next) {
                next = e->chain;
                if (e->tile.key.array != array) continue;
                if (e->kept)
                    forget(k, s, e);
                else
                    e->dropped = true;
            }
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- the whole ---- */

/* Who needs the memory comes first: what is cached can be read again. */
static int64_t reclaim(void *self, int64_t bytes)
{
    return cache_trim(self, bytes);
}

enum status cache_new(struct ctx *c, struct budget *server, int64_t limit_bytes, struct cache **out)
{
    struct cache *k = calloc(1, sizeof *k);
    if (!k) return fail(c, ERR_MEMORY, "out of memory");
    budget_init(&k->budget, server, limit_bytes);
    k->server = server;
    k->limit_bytes = limit_bytes;
    k->n_shards = 1;
    while (k->n_shards < MAX_SHARDS && limit_bytes / (2 * k->n_shards) >= LEAST_SHARD_BYTES)
        k->n_shards *= 2;
    k->n_ghosts = 64;
    while ((int64_t)k->n_ghosts < limit_bytes / k->n_shards / TYPICAL_TILE_BYTES)
        k->n_ghosts *= 2;

    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    bool whole = true;
    for (int i = 0; i < k->n_shards; i++) {
        struct shard *s = &k->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->loaded, &attr);
        s->n_buckets = 64;
        s->buckets = calloc(s->n_buckets, sizeof(struct cached *));
        s->ghosts = calloc(k->n_ghosts, sizeof *s->ghosts);
        whole = whole && s->buckets && s->ghosts;
    }
    pthread_condattr_destroy(&attr);
    if (!whole) {
        cache_free(k);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    if (server) {
        server->reclaim = reclaim;
        server->reclaimed = k;
        server->reclaimable = &k->budget;
    }
    *out = k;
    return OK;
}

void cache_free(struct cache *k)
{
    if (!k) return;
    if (k->server && k->server->reclaimed == k) {
        k->server->reclaim = NULL;
        k->server->reclaimable = NULL;
    }
    for (int i = 0; i < k->n_shards; i++) {
        struct shard *s = &k->shards[i];
        for (int q = SMALL; q <= MAIN; q++)
            while (s->queues[q].head) {
                assert(s->queues[q].head->pins == 0);
                forget(k, s, s->queues[q].head);
            }
        assert(s->n_entries == 0);
        free(s->buckets);
        free(s->ghosts);
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->loaded);
    }
    free(k);
}

void cache_stats(struct cache *k, struct cache_stats *out)
{
    *out = (struct cache_stats){
        .used_bytes = atomic_load(&k->budget.used_bytes),
        .limit_bytes = k->limit_bytes,
        .n_hits = atomic_load(&k->n_hits),
        .n_loads = atomic_load(&k->n_loads),
        .n_evictions = atomic_load(&k->n_evictions),
    };
    for (int i = 0; i < k->n_shards; i++) {
        struct shard *s = &k->shards[i];
        pthread_mutex_lock(&s->lock);
        out->n_tiles += s->queues[SMALL].n + s->queues[MAIN].n;
        pthread_mutex_unlock(&s->lock);
    }
}
