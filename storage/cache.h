/* The cache of decoded tiles, under a byte budget.
 *
 * Tiles are immutable, so a key (with its version) has one content for ever. A tile in flight is
 * loaded once however many ask; the others wait. Scans do not wash it out: a tile seen once leaves
 * before tiles seen twice (S3-FIFO: Yang et al., "FIFO queues are all you need for cache eviction",
 * SOSP 2023), and those that read a tile whole keep it only when it is asked for again. When memory
 * is refused, tiles not in use are dropped; when that does not help, the tile is loaded all the
 * same, past the cache's limit but within the server's, and goes when its users do.
 *
 * Threads: any. Users pin tiles by cache_get() and must cache_release() each pin. */
#ifndef TESSERA_CACHE_H
#define TESSERA_CACHE_H
#include "storage/tile.h"

struct cache;
struct cache_slot;

/* server: the budget that tiles are charged to, at most limit_bytes of it by those kept (0: none is
 * kept, but a tile that is in use serves all who ask). */
enum status cache_new(struct ctx *c, struct budget *server, int64_t limit_bytes,
                      struct cache **out);
void cache_free(struct cache *k); /* no tile may be pinned; NULL is allowed */

/* Loads the tile of a key: allocates its memory by cache_alloc(), once at most, and fills in *out,
 * whose pointers point into that memory. Anything may be kept so (summary blocks: values points to
 * them). It must not ask the cache for other tiles. On error it gives nothing back. */
typedef enum status cache_load_fn(struct ctx *c, void *self, const struct tile_key *key,
                                  struct cache_slot *slot, struct tile *out);
/* Memory of the tile being loaded, 64-byte aligned, uninitialised; owned by the cache. */
enum status cache_alloc(struct ctx *c, struct cache_slot *slot, size_t bytes, void **out);

/* Pins the tile, loading it if need be. While it waits for another loader it checks cancellation;
 * when that loader fails it loads the tile itself. */
enum status cache_get(struct ctx *c, struct cache *k, const struct tile_key *key,
                      cache_load_fn *load, void *self, const struct tile **out);
/* The same for who will look at the tile once, as scans do: it is loaded when it was asked for
 * before not long ago. Else *out is NULL, and it is for the caller to decode where it stays in his
 * processor's cache. */
enum status cache_get_again(struct ctx *c, struct cache *k, const struct tile_key *key,
                            cache_load_fn *load, void *self, const struct tile **out);
void cache_release(struct cache *k, const struct tile *t); /* NULL is allowed */
/* Is the tile there, loaded? For read-ahead. */
bool cache_has(struct cache *k, const struct tile_key *key);

/* Forgets the tiles of an array (pinned ones when they are released). */
void cache_drop_array(struct cache *k, uint32_t array);
/* Drops tiles not in use until `bytes` are freed or none is left; returns how many were. */
int64_t cache_trim(struct cache *k, int64_t bytes);

struct cache_stats {
    int64_t used_bytes, limit_bytes;
    int64_t n_tiles, n_hits, n_loads, n_evictions;
};
void cache_stats(struct cache *k, struct cache_stats *out);

#endif
