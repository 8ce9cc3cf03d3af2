/* Which patches lie over a tile, for whom, and how long: the tables of patches in memory, the rows
 * in the catalog behind them, and the tiles that they are put over.
 *
 * Invariants:
 * 1. A patch is in its array's table before the version that it belongs to is shown, and until no
 *    snapshot can see it: so who holds a snapshot may use what it found without the lock.
 * 2. Old versions that are opened by number or time find theirs in the catalog.
 * 3. Of several patches over a cell the newest counts. */
#include "storage/base/settings.h"
#include "storage/db_internal.h"
#include "storage/fault.h"
#include <stdlib.h>
#include <xxhash.h>

#define MERGE_AT_ONCE 16

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

/* ---- the table ---- */

static uint64_t hash_of(int n_dims, const int64_t *coords)
{
    return XXH3_64bits(coords, sizeof(*coords) * (size_t)n_dims);
}

static bool same_tile(const struct patch *p, const int64_t *coords)
{
    return memcmp(p->key.coords, coords, sizeof(*coords) * (size_t)p->key.n_dims) == 0;
}

void patches_init(struct patch_table *t)
{
    pthread_mutex_init(&t->mu, NULL);
    t->hidden_end = &t->hidden;
}

static void forget(struct db *db, struct patch_table *t, struct patch *p)
{
    atomic_fetch_sub(&t->n, 1);
    atomic_fetch_sub(&db->patch_bytes, (int64_t)p->n_bytes);
    if (p->charged) budget_give(db->budget, (int64_t)p->n_bytes);
    free(p);
}

void patches_free(struct db *db, struct patch_table *t)
{
    struct patched_tile *next;
    for (int64_t i = 0; i < t->n_buckets; i++)
        for (struct patched_tile *tile = t->tiles[i]; tile; tile = next) {
            next = tile->next;
            for (struct patch *p = tile->newest, *older; p; p = older) {
                older = p->next;
                forget(db, t, p);
            }
            free(tile);
        }
    free(t->tiles);
    pthread_mutex_destroy(&t->mu);
}

static void widen(struct patch_table *t, int n_dims)
{
    int64_t n = t->n_buckets ? 4 * t->n_buckets : 64;
    struct patched_tile **tiles = must(calloc((size_t)n, sizeof(*tiles))), *next;
    for (int64_t i = 0; i < t->n_buckets; i++)
        for (struct patched_tile *tile = t->tiles[i]; tile; tile = next) {
            next = tile->next;
            struct patched_tile **to = &tiles[hash_of(n_dims, tile->coords) % (uint64_t)n];
            tile->next = *to;
            *to = tile;
        }
    free(t->tiles);
    t->tiles = tiles;
    t->n_buckets = n;
}

/* Under mu. */
static struct patched_tile *find(const struct patch_table *t, int n_dims, const int64_t *coords)
{
    if (!t->n_buckets) return NULL;
    struct patched_tile *tile = t->tiles[hash_of(n_dims, coords) % (uint64_t)t->n_buckets];
    while (tile && memcmp(tile->coords, coords, sizeof(*coords) * (size_t)n_dims) != 0)
        tile = tile->next;
    return tile;
}

/* Under mu. Above what the tile has. */
static void add(struct db *db, struct patch_table *t, struct patch *p)
{
    int n_dims = p->key.n_dims;
    struct patched_tile *tile = find(t, n_dims, p->key.coords);
    if (!tile) {
        if (t->n_tiles >= t->n_buckets) widen(t, n_dims);
        tile = must(calloc(1, sizeof(*tile)));
        memcpy(tile->coords, p->key.coords, sizeof(tile->coords));
        struct patched_tile **to =
            &t->tiles[hash_of(n_dims, tile->coords) % (uint64_t)t->n_buckets];
        tile->next = *to;
        *to = tile;
        t->n_tiles++;
    }
    p->next = tile->newest;
    tile->newest = p;
    tile->n_cells += patch_cells(p);
    p->charged = budget_take(db->budget, (int64_t)p->n_bytes);
    atomic_fetch_add(&db->patch_bytes, (int64_t)p->n_bytes);
    atomic_fetch_add(&t->n, 1);
}

/* Under mu. Takes a patch out, and its tile when it was the last one. */
static void take_out(struct db *db, struct patch_table *t, struct patch *p)
{
    int n_dims = p->key.n_dims;
    struct patched_tile **at = &t->tiles[hash_of(n_dims, p->key.coords) % (uint64_t)t->n_buckets];
    while (memcmp((*at)->coords, p->key.coords, sizeof(int64_t) * (size_t)n_dims) != 0)
        at = &(*at)->next;
    struct patch **link = &(*at)->newest;
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    if (!(*at)->newest) {
        struct patched_tile *empty = *at;
        *at = empty->next;
        free(empty);
        t->n_tiles--;
    }
    forget(db, t, p);
}

/* Under mu: a committed version has the tile with these patches in it. */
static void hide(struct patch_table *t, const struct fold *f, int n_dims, int64_t version)
{
    struct patched_tile *tile = find(t, n_dims, f->coords);
    if (!tile) return;
    for (struct patch *p = tile->newest; p && !p->hidden_by; p = p->next) {
        p->hidden_by = version;
        p->more = NULL;
        *t->hidden_end = p;
        t->hidden_end = &p->more;
    }
    tile->n_cells = 0;
}

void patches_show(struct db *db, struct slot *slot, struct patch *list,
                  const struct own_patches *own, int n_dims, int64_t version, int64_t oldest)
{
    struct patch_table *t = &slot->patches;
    if (!own) return;
    pthread_mutex_lock(&t->mu);
    for (const struct fold *f = own->folds; f; f = f->next)
        hide(t, f, n_dims, version);
    for (struct patch *p = list, *more; p; p = more) {
        more = p->more;
        p->more = NULL;
        add(db, t, p);
        atomic_store(&t->any, true);
    }
    while (t->hidden && t->hidden->hidden_by <= oldest) {
        struct patch *p = t->hidden;
        t->hidden = p->more;
        if (!t->hidden) t->hidden_end = &t->hidden;
        take_out(db, t, p);
    }
    pthread_mutex_unlock(&t->mu);
}

/* ---- a transaction's own ---- */

struct own_patches *own_patches_of(struct txn *t, struct change *ch)
{
    if (!ch->own) {
        ch->own = must(calloc(1, sizeof(*ch->own)));
        ch->own->next = t->own_patches;
        t->own_patches = ch->own;
    }
    return ch->own;
}

static bool is_folded(const struct own_patches *own, const struct patch *p)
{
    for (const struct fold *f = own->folds; f; f = f->next)
        if (f->version >= p->key.version && same_tile(p, f->coords)) return true;
    return false;
}

static int level_of(const struct patch *p)
{
    int level = 0;
    for (int64_t n = patch_cells(p); n >= MERGE_AT_ONCE; n /= MERGE_AT_ONCE)
        level++;
    return level;
}

/* The newest patches of a tile that are about as large as each other, if there are enough. */
static bool find_alike(const struct own_patches *own, struct patch *bucket, const int64_t *coords,
                       int64_t since, struct patch **run)
{
    int n = 0, level = 0;
    for (struct patch *p = bucket; p && p->key.version > since && n < MERGE_AT_ONCE; p = p->next) {
        if (!same_tile(p, coords)) continue;
        if (n == 0) level = level_of(p);
        if (level_of(p) != level || is_folded(own, p)) break;
        run[n++] = p;
    }
    return n == MERGE_AT_ONCE;
}

static void unlink_own(struct own_patches *own, struct patch **at)
{
    struct patch *p = *at;
    *at = p->next;
    own->n--;
    own->n_bytes -= (int64_t)p->n_bytes;
    free(p);
}

/* Many small ones become one, so that a tile never has many: as a log-structured merge tree does it
 * (O'Neil et al., Acta Informatica 33, 1996). */
static void merge_alike(struct own_patches *own, struct patch **bucket, const int64_t *coords,
                        int64_t since)
{
    struct patch *run[MERGE_AT_ONCE];
    while (find_alike(own, *bucket, coords, since, run)) {
        struct patch *merged = patch_merge(run, MERGE_AT_ONCE, run[0]->key.version);
        struct patch **at = bucket;
        while (*at != run[0])
            at = &(*at)->next;
        merged->next = *at;
        *at = merged;
        own->n++;
        own->n_bytes += (int64_t)merged->n_bytes;
        at = &merged->next;
        for (int i = 0; i < MERGE_AT_ONCE; i++) {
            while (*at != run[i])
                at = &(*at)->next;
            unlink_own(own, at);
        }
    }
}

void own_patches_add(struct own_patches *own, struct patch *p, int64_t since)
{
    struct patch **to = &own->buckets[hash_of(p->key.n_dims, p->key.coords) % OWN_BUCKETS];
    merge_alike(own, to, p->key.coords, since);
    p->next = *to;
    *to = p;
    own->n++;
    own->n_bytes += (int64_t)p->n_bytes;
}

void own_patches_fold(struct own_patches *own, int n_dims, const int64_t *coords, int64_t version)
{
    struct fold *f = must(calloc(1, sizeof(*f)));
    memcpy(f->coords, coords, sizeof(*coords) * (size_t)n_dims);
    f->version = version;
    f->next = own->folds;
    own->folds = f;
}

void own_patches_undo(struct own_patches *own, int64_t version)
{
    if (!own) return;
    for (int i = 0; i < OWN_BUCKETS; i++)
        while (own->buckets[i] && own->buckets[i]->key.version > version) {
            struct patch *p = own->buckets[i];
            own->buckets[i] = p->next;
            p->more = own->undone;
            own->undone = p;
            own->n--;
        }
    while (own->folds && own->folds->version > version) {
        struct fold *f = own->folds;
        own->folds = f->next;
        free(f);
    }
}

void own_patches_free(struct own_patches *own)
{
    struct patch *more;
    for (struct patch *p = own->undone; p; p = more) {
        more = p->more;
        free(p);
    }
    for (int i = 0; i < OWN_BUCKETS; i++)
        while (own->buckets[i])
            unlink_own(own, &own->buckets[i]);
    for (struct fold *f = own->folds, *next; f; f = next) {
        next = f->next;
        free(f);
    }
    free(own);
}

/* The patches of the first tile of a bucket's list that is not done yet. */
static int64_t next_tile(const struct own_patches *own, struct patch *first, struct patch **tile)
{
    int64_t n = 0;
    for (struct patch *p = first; p; p = p->next)
        if (same_tile(p, first->key.coords) && !is_folded(own, p)) tile[n++] = p;
    return n;
}

static bool is_first(const struct patch *bucket, const struct patch *p)
{
    while (!same_tile(bucket, p->key.coords))
        bucket = bucket->next;
    return bucket == p;
}

struct patch *own_patches_publish(struct own_patches *own, int64_t version)
{
    struct patch *out = NULL;
    if (!own) return NULL;
    struct patch **tile = must(calloc((size_t)own->n + 1, sizeof(struct patch *)));
    for (int i = 0; i < OWN_BUCKETS; i++)
        for (struct patch *p = own->buckets[i]; p; p = p->next) {
            if (!is_first(own->buckets[i], p)) continue;
            int64_t n = next_tile(own, p, tile);
            if (!n) continue;
            struct patch *merged = patch_merge(tile, n, version);
            merged->more = out;
            out = merged;
        }
    free(tile);
    return out;
}

/* ---- what a reader sees ---- */

bool patches_any(const struct array *a)
{
    if (a->own && a->own->n) return true;
    return atomic_load(&a->slot->patches.n) || (a->lease && atomic_load(&a->slot->patches.any));
}

static bool own_has(const struct own_patches *own, int n_dims, const int64_t *coords)
{
    const struct patch *p = own ? own->buckets[hash_of(n_dims, coords) % OWN_BUCKETS] : NULL;
    while (p && !same_tile(p, coords))
        p = p->next;
    return p != NULL;
}

bool patches_know(struct slot *slot, const struct own_patches *own, int n_dims,
                  const int64_t *coords)
{
    if (own_has(own, n_dims, coords)) return true;
    pthread_mutex_lock(&slot->patches.mu);
    bool known = find(&slot->patches, n_dims, coords) != NULL;
    pthread_mutex_unlock(&slot->patches.mu);
    return known;
}

int64_t patches_cells(struct slot *slot, const struct own_patches *own, int n_dims,
                      const int64_t *coords)
{
    int64_t n = 0;
    const struct patch *p = own ? own->buckets[hash_of(n_dims, coords) % OWN_BUCKETS] : NULL;
    for (; p; p = p->next) {
        if (!same_tile(p, coords)) continue;
        if (is_folded(own, p)) break; /* and so are older ones */
        n += patch_cells(p);
    }
    pthread_mutex_lock(&slot->patches.mu);
    const struct patched_tile *tile = find(&slot->patches, n_dims, coords);
    if (tile) n += tile->n_cells;
    pthread_mutex_unlock(&slot->patches.mu);
    return n;
}

struct gather {
    const struct array *array;
    const struct tile_key *key;
    struct patch_list *out;
    int64_t room;
};

static enum status gather_one(struct ctx *c, struct gather *g, struct patch *p)
{
    struct patch_list *l = g->out;
    if (l->n == g->room) {
        void *more;
        g->room = g->room ? 2 * g->room : 16;
        TRY(scratch_alloc(c, sizeof(*l->list) * (size_t)g->room, &more));
        if (l->n) memcpy(more, l->list, sizeof(*l->list) * (size_t)l->n);
        l->list = more;
    }
    l->list[l->n++] = p;
    return OK;
}

static enum status gather_row(struct ctx *c, void *self, int64_t version, const void *bytes,
                              size_t n_bytes)
{
    struct gather *g = self;
    struct tile_key key = *g->key;
    struct patch *p;
    key.version = version;
    TRY(patch_parse(c, bytes, n_bytes, &key, g->array->tile_cells, &p));
    enum status s = gather_one(c, g, p);
    if (s < 0) free(p);
    return s;
}

/* Newest first: the transaction's own, then those of the table. */
static enum status gather_memory(struct ctx *c, struct gather *g, int64_t above)
{
    const struct array *a = g->array;
    const int64_t *coords = g->key->coords;
    int n_dims = g->key->n_dims;
    enum status s = OK;
    struct patch *p = a->own ? a->own->buckets[hash_of(n_dims, coords) % OWN_BUCKETS] : NULL;
    for (; s == OK && p && p->key.version > above; p = p->next)
        if (p->key.version <= a->view.version && same_tile(p, coords)) s = gather_one(c, g, p);
    struct patch_table *t = &a->slot->patches;
    pthread_mutex_lock(&t->mu);
    const struct patched_tile *tile = find(t, n_dims, coords);
    for (p = tile ? tile->newest : NULL; s == OK && p && p->key.version > above; p = p->next)
        if (p->key.version <= a->view.version) s = gather_one(c, g, p);
    pthread_mutex_unlock(&t->mu);
    return s;
}

void patches_done(struct patch_list *l)
{
    for (int64_t i = 0; i < l->n && l->loaded; i++)
        free(l->list[i]);
    *l = (struct patch_list){0};
}

enum status patches_over(struct ctx *c, const struct array *a, const int64_t *coords,
                         struct patch_list *out)
{
    struct tile_key key = {.array = a->slot->id, .attr = ATTR_PRESENCE, .n_dims = a->def->s.n_dims};
    struct gather g = {a, &key, out, 0};
    memcpy(key.coords, coords, sizeof(*coords) * (size_t)key.n_dims);
    *out = (struct patch_list){.loaded = a->lease != NULL};
    if (!a->lease && !patches_know(a->slot, a->own, key.n_dims, key.coords)) return OK;
    TRY(store_find(c, a->db->store, &key, &a->view, &key.version));
    if (!key.version) return OK;
    if (a->lease) {
        enum status s =
            catalog_patches(c, a->db->catalog, &key, key.version, a->view.version, gather_row, &g);
        if (s < 0) patches_done(out);
        return s;
    }
    TRY(gather_memory(c, &g, key.version));
    for (int64_t i = 0; i < out->n / 2; i++) { /* oldest first */
        struct patch *p = out->list[i];
        out->list[i] = out->list[out->n - 1 - i];
        out->list[out->n - 1 - i] = p;
    }
    return OK;
}

void patches_later(struct arena *arena, const struct array *a, int64_t since, void *self,
                   void (*fn)(struct arena *arena, void *self, const int64_t *coords))
{
    struct patch_table *t = &a->slot->patches;
    for (int i = 0; a->own && i < OWN_BUCKETS; i++)
        for (const struct patch *p = a->own->buckets[i]; p; p = p->next)
            if (p->key.version > since) fn(arena, self, p->key.coords);
    pthread_mutex_lock(&t->mu);
    for (int64_t i = 0; i < t->n_buckets; i++)
        for (const struct patched_tile *tile = t->tiles[i]; tile; tile = tile->next) {
            const struct patch *p = tile->newest;
            while (p && p->key.version > a->view.version)
                p = p->next;
            if (p && p->key.version > since) fn(arena, self, tile->coords);
        }
    pthread_mutex_unlock(&t->mu);
}

/* ---- over a tile ---- */

static enum status apply_presence(struct ctx *c, const struct array *a, const struct patch_list *l,
                                  struct tile_ref *ref)
{
    void *bits;
    size_t bytes = (size_t)bits_words(a->tile_cells) * 8;
    struct tile t = *ref->tile;
    TRY(scratch_alloc(c, bytes, &bits));
    tile_presence_bits(ref->tile, a->extents, bits);
    for (int64_t i = 0; i < l->n; i++)
        patch_presence(l->list[i], bits);
    t.bits = bits;
    t.dense = false;
    t.n_present = bits_count(bits, 0, a->tile_cells);
    for (int d = 0; d < t.key.n_dims; d++) {
        t.lo[d] = 0;
        t.hi[d] = a->extents[d];
    }
    tile_done(a, ref);
    ref->own = t;
    ref->tile = &ref->own;
    return OK;
}

static enum status apply_values(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                                const struct patch_list *l, struct tile_ref *ref)
{
    size_t width = tile_width(type), bytes = (size_t)bits_words(a->tile_cells) * 8;
    void *values, *bits = NULL;
    bool nulls = ref->tile->bits != NULL, any = false;
    for (int64_t i = 0; i < l->n; i++) {
        const struct patch_part *part = patch_part_of(l->list[i], attr);
        if (part && part->width != width)
            return fail(c, ERR_CORRUPT, "a patch of array \"%s\" has values of another type",
                        a->def->s.name);
        any = any || part;
        nulls = nulls || (part && part->valid);
    }
    if (!any) return OK;
    TRY(scratch_alloc(c, (size_t)a->tile_cells * width, &values));
    if (nulls) TRY(scratch_alloc(c, bytes, &bits));
    struct tile t = *ref->tile;
    t.values = values;
    t.bits = bits;
    memcpy(values, ref->tile->values, (size_t)a->tile_cells * width);
    if (ref->tile->bits) memcpy(bits, ref->tile->bits, bytes);
    if (bits && !ref->tile->bits) bits_fill(bits, 0, a->tile_cells, true);
    for (int64_t i = 0; i < l->n; i++) {
        const struct patch_part *part = patch_part_of(l->list[i], attr);
        if (part) patch_values(part, 0, a->tile_cells, values, bits);
    }
    tile_done(a, ref);
    ref->own = t;
    ref->tile = &ref->own;
    return OK;
}

enum status patches_apply(struct ctx *c, const struct array *a, uint16_t attr, enum type type,
                          struct patch_list *l, struct tile_ref *ref)
{
    if (attr == ATTR_PRESENCE) return apply_presence(c, a, l, ref);
    return apply_values(c, a, attr, type, l, ref);
}

/* ---- what lies in the catalog ---- */

static enum status load_row(struct ctx *c, void *self, int64_t version, const void *bytes,
                            size_t n_bytes)
{
    const struct gather *g = self;
    struct tile_key key = *g->key;
    struct patch *p;
    key.version = version;
    TRY(patch_parse(c, bytes, n_bytes, &key, g->array->tile_cells, &p));
    add(g->array->db, &g->array->slot->patches, p);
    return OK;
}

static enum status load_array(struct ctx *c, struct db *db, struct rev *r)
{
    struct def *d;
    struct tile_key tile = {.array = r->slot->id};
    bool started = false, found;
    TRY(rev_def(c, r, &d));
    struct array a = {.db = db, .slot = r->slot, .def = d, .tile_cells = 1};
    a.view = (struct store_view){
        .version = r->version, .dead = r->slot->dead, .n_dead = r->slot->n_dead};
    schema_tile_extents(&d->s, a.extents);
    for (int k = 0; k < d->s.n_dims; k++)
        a.tile_cells *= a.extents[k];
    tile.n_dims = d->s.n_dims;
    for (;;) {
        struct gather g = {.array = &a, .key = &tile};
        TRY(catalog_patched_tile(c, db->catalog, &tile, &started, &found));
        if (!found) return OK;
        atomic_store(&r->slot->patches.any, true);
        TRY(store_find(c, db->store, &tile, &a.view, &tile.version));
        if (tile.version)
            TRY(catalog_patches(c, db->catalog, &tile, tile.version, r->version, load_row, &g));
    }
}

enum status patches_load(struct ctx *c, struct db *db)
{
    int64_t array = 0;
    bool found;
    for (;;) {
        TRY(catalog_patched_array(c, db->catalog, &array, &found));
        if (!found) return OK;
        struct rev *r = state_find_id(db->current, (uint32_t)array);
        if (r) TRY(load_array(c, db, r));
    }
}

#define DROP_AT_ONCE 64

struct unpatch {
    struct db *db;
    const int64_t *kept;
    int n_kept, n;
    struct patch_range ranges[DROP_AT_ONCE];
};

static enum status drop_ranges(struct ctx *c, struct unpatch *u)
{
    if (!u->n) return OK;
    TRY(fault_point(c, FAULT_UNPATCH));
    TRY(catalog_drop_patches(c, u->db->catalog, u->ranges, u->n));
    u->n = 0;
    return OK;
}

/* Of a tile's patches, those go that every kept version sees folded, or does not see at all. */
static enum status drop_of_tile(struct ctx *c, struct unpatch *u, const struct tile_key *tile,
                                struct store_view view)
{
    struct tile_key key = *tile;
    int64_t fold, before;
    TRY(store_find(c, u->db->store, &key, &view, &fold));
    for (; fold; fold = before) {
        int64_t above = 0;
        for (int i = 0; i < u->n_kept && u->kept[i] < fold; i++)
            above = u->kept[i];
        view.version = fold - 1;
        TRY(store_find(c, u->db->store, &key, &view, &before));
        if (before > above) above = before;
        if (above >= fold) continue;
        u->ranges[u->n++] = (struct patch_range){*tile, above, fold};
        if (u->n == DROP_AT_ONCE) TRY(drop_ranges(c, u));
    }
    return OK;
}

enum status patches_sweep(struct ctx *c, struct db *db, struct slot *slot, const struct def *def,
                          const struct store_view *newest, const int64_t *kept, int n_kept)
{
    struct unpatch u = {.db = db, .kept = kept, .n_kept = n_kept};
    struct tile_key tile = {.array = slot->id, .n_dims = def->s.n_dims};
    bool started = false, found = true;
    if (!atomic_load(&slot->patches.any)) return OK;
    while (found) {
        TRY(check_cancel(c));
        TRY(catalog_patched_tile(c, db->catalog, &tile, &started, &found));
        if (found) TRY(drop_of_tile(c, &u, &tile, *newest));
    }
    return drop_ranges(c, &u);
}
