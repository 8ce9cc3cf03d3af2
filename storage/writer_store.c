/* How a finished tile goes to the store: its records, what it adds to the totals, and its summaries
 * in blocks of a thousand, of which a bounded number is kept in memory. */
#include "storage/fault.h"
#include "storage/writer_internal.h"
#include <stdlib.h>
#include <xxhash.h>

uint64_t tile_digest(const struct tile_key *key)
{
    uint64_t seed = ((uint64_t)key->array << 16 | key->attr) ^ (uint64_t)key->version << 24;
    return XXH3_64bits_withSeed(key->coords, sizeof(*key->coords) * (size_t)key->n_dims, seed);
}

static struct tile_key key_of(const struct writer *w, uint16_t attr, const int64_t *coords)
{
    struct tile_key key = {.array = w->s->id, .attr = attr, .n_dims = w->s->n_dims};
    memcpy(key.coords, coords, sizeof(*coords) * (size_t)key.n_dims);
    key.version = w->version;
    return key;
}

/* ---- blocks ---- */

static uint64_t bucket_of(const struct writer *w, const int64_t *coords)
{
    return XXH3_64bits(coords, sizeof(*coords) * (size_t)w->s->n_dims) % N_BUCKETS;
}

/* Under sums_mu. */
static struct wblock *block_get(struct writer *w, const int64_t *coords, bool add)
{
    struct wblock **bucket = &w->blocks[bucket_of(w, coords)];
    size_t bytes = sizeof(*coords) * (size_t)w->s->n_dims;
    struct wblock *b = *bucket;
    while (b && memcmp(b->coords, coords, bytes) != 0)
        b = b->next;
    if (b || !add) return b;
    b = calloc(1, sizeof(*b));
    if (b) b->sums = calloc((size_t)w->s->n_attrs + 1, sizeof(*b->sums));
    if (!b || !b->sums) abort();
    memcpy(b->coords, coords, bytes);
    b->next = *bucket;
    *bucket = b;
    return b;
}

bool writer_has_written(struct writer *w, const int64_t *coords)
{
    int64_t block[MAX_DIMS];
    int slot;
    summary_block_of(w->s->n_dims, coords, block, &slot);
    pthread_mutex_lock(&w->sums_mu);
    const struct wblock *b = block_get(w, block, false);
    bool written = b && bit_get(b->written, slot);
    pthread_mutex_unlock(&w->sums_mu);
    return written;
}

enum status writer_fetch(struct ctx *c, struct writer *w, uint16_t attr, enum type type,
                         const int64_t *coords, struct tile_ref *out)
{
    bool own = writer_has_written(w, coords);
    struct tile_key key = key_of(w, attr, coords);
    if (own) TRY(store_batch_settle(c, w->batch, &key));
    return tile_fetch(c, own ? &w->self : w->base, attr, type, coords,
                      own ? FETCH_OWN : FETCH_CACHED, out);
}

/* ---- summaries ---- */

static uint16_t id_of(const struct writer *w, int k)
{
    return k < 0 ? ATTR_PRESENCE : w->s->attrs[k].id;
}

static enum type type_of(const struct writer *w, int k)
{
    return k < 0 ? T_NONE : w->s->attrs[k].type;
}

static enum status store_sum(struct ctx *c, struct writer *w, const struct wblock *b, int k)
{
    struct wsum *sum = &b->sums[k + 1];
    struct tile_key key = key_of(w, id_of(w, k) | ATTR_SUMMARY, b->coords);
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *record;
    size_t bytes;
    enum status s = summary_block_encode(c, &key, type_of(w, k), &sum->block, &record, &bytes);
    if (s == OK) s = store_batch_put(c, w->batch, &key, record, bytes);
    if (s == OK) {
        sum->dirty = false;
        sum->stored = true;
    }
    scratch_release(c->scratch, mark);
    return s;
}

static enum status drop_oldest_sum(struct ctx *c, struct writer *w)
{
    struct wblock *oldest = NULL;
    int which = 0;
    for (int i = 0; i < N_BUCKETS; i++)
        for (struct wblock *b = w->blocks[i]; b; b = b->next)
            for (int k = 0; k <= w->s->n_attrs; k++)
                if (b->sums[k].block.slots &&
                    (!oldest || b->sums[k].stamp < oldest->sums[which].stamp)) {
                    oldest = b;
                    which = k;
                }
    if (!oldest) return OK;
    if (oldest->sums[which].dirty) TRY(store_sum(c, w, oldest, which - 1));
    buf_free(oldest->sums[which].block.slots);
    oldest->sums[which].block.slots = NULL;
    w->n_sums--;
    return OK;
}

/* The block's summaries of one attribute in memory: as this version stored them earlier, as they
 * were before, or none. */
static enum status load_sum(struct ctx *c, struct writer *w, struct wblock *b, int k)
{
    struct wsum *sum = &b->sums[k + 1];
    if (sum->block.slots) return OK;
    while (w->n_sums >= w->max_sums)
        TRY(drop_oldest_sum(c, w));
    struct tile_key key = key_of(w, id_of(w, k) | ATTR_SUMMARY, b->coords);
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct summary_block block = {0};
    struct store_record record = {0};
    size_t bytes = SUMMARY_BLOCK_TILES * sizeof(struct summary);
    void *slots = buf_try(c->budget, bytes);
    enum status s = OK;
    while (s == OK && !slots && w->n_sums > 0) { /* refused: others make room */
        s = drop_oldest_sum(c, w);
        if (s == OK) slots = buf_try(c->budget, bytes);
    }
    if (s == OK && !slots) s = buf_alloc(c, bytes, &slots);
    if (s == OK && sum->stored) s = store_batch_flush(c, w->batch);
    if (s == OK)
        s = store_get(c, w->db->store, &key, sum->stored ? &w->self.view : &w->base->view, &record);
    if (s == OK && record.bytes) {
        key.version = record.version;
        block.slots = slots;
        s = summary_block_decode(c, record.bytes, record.n_bytes, &key, type_of(w, k), &block);
    }
    scratch_release(c->scratch, mark);
    if (s < 0) {
        buf_free(slots);
        return s;
    }
    block.slots = slots;
    sum->block = block;
    w->n_sums++;
    return OK;
}

/* NULL: the tile has no cell. */
static enum status put_sum(struct ctx *c, struct writer *w, const int64_t *coords, int k,
                           const struct summary *summary)
{
    int64_t block[MAX_DIMS];
    int slot;
    summary_block_of(w->s->n_dims, coords, block, &slot);
    pthread_mutex_lock(&w->sums_mu);
    struct wblock *b = block_get(w, block, true);
    enum status s = load_sum(c, w, b, k);
    if (s == OK) {
        struct wsum *sum = &b->sums[k + 1];
        bit_put(sum->block.set, slot, summary != NULL);
        if (summary) sum->block.slots[slot] = *summary;
        sum->dirty = true;
        sum->stamp = ++w->sums_clock;
    }
    pthread_mutex_unlock(&w->sums_mu);
    return s;
}

static void mark_written(struct writer *w, const int64_t *coords)
{
    int64_t block[MAX_DIMS];
    int slot;
    summary_block_of(w->s->n_dims, coords, block, &slot);
    pthread_mutex_lock(&w->sums_mu);
    bit_set(block_get(w, block, true)->written, slot);
    pthread_mutex_unlock(&w->sums_mu);
}

enum status writer_store_sums(struct ctx *c, struct writer *w)
{
    enum status s = OK;
    for (int i = 0; i < N_BUCKETS; i++)
        for (const struct wblock *b = w->blocks[i]; b; b = b->next)
            for (int k = -1; s == OK && k < w->s->n_attrs; k++)
                if (b->sums[k + 1].dirty) s = store_sum(c, w, b, k);
    return s;
}

void writer_free_sums(struct writer *w)
{
    struct wblock *next;
    for (int i = 0; i < N_BUCKETS; i++)
        for (struct wblock *b = w->blocks[i]; b; b = next) {
            next = b->next;
            for (int k = 0; k <= w->s->n_attrs; k++)
                buf_free(b->sums[k].block.slots);
            free(b->sums);
            free(b);
        }
}

/* ---- totals ---- */

/* The record that the writer's view shows now stops counting. */
static enum status uncount(struct ctx *c, struct writer *w, uint16_t attr, const int64_t *coords)
{
    struct tile_key key = key_of(w, attr, coords);
    const struct array *view = writer_has_written(w, coords) ? &w->self : w->base;
    if (view == &w->self) TRY(store_batch_settle(c, w->batch, &key));
    TRY(store_find(c, w->db->store, &key, &view->view, &key.version));
    if (!key.version) return OK;
    pthread_mutex_lock(&w->mu);
    w->totals.tiles--;
    w->totals.digest -= tile_digest(&key);
    if (key.version != w->version) w->n_replaced++;
    pthread_mutex_unlock(&w->mu);
    return OK;
}

static enum status put_record(struct ctx *c, struct writer *w, const struct tile_key *key,
                              const void *record, size_t bytes, bool counts)
{
    TRY(store_batch_put(c, w->batch, key, record, bytes));
    if (!counts) return OK;
    pthread_mutex_lock(&w->mu);
    w->totals.tiles++;
    w->totals.digest += tile_digest(key);
    w->record_bytes += (int64_t)bytes;
    pthread_mutex_unlock(&w->mu);
    return OK;
}

/* ---- a tile ---- */

static enum status store_presence(struct ctx *c, struct writer *w, const struct image *im)
{
    struct tile_key key = key_of(w, ATTR_PRESENCE, im->coords);
    void *record;
    size_t bytes;
    if (im->n_before) TRY(uncount(c, w, ATTR_PRESENCE, im->coords));
    TRY(tile_encode_presence(c, &key, w->base->extents, im->present, &record, &bytes));
    return put_record(c, w, &key, record, bytes, im->n_present > 0);
}

static enum status store_attr(struct ctx *c, struct writer *w, const struct image *im, int k,
                              const struct cells *cells)
{
    const struct attr *attr = &w->s->attrs[k];
    struct tile t = {.key = key_of(w, attr->id, im->coords),
                     .type = attr->type,
                     .n = w->base->tile_cells,
                     .values = cells->values,
                     .bits = cells->valid};
    struct codec_options o = {.raw = attr->codec_raw,
                              .zstd_level = attr->zstd_level,
                              .values = tile_values(attr->type)};
    struct column col = {attr->type, t.values, t.bits};
    struct summary summary;
    void *record;
    size_t bytes;
    if (im->n_before) TRY(uncount(c, w, attr->id, im->coords));
    summary_init(&summary);
    summary_add(&summary, &col, im->present, t.n);
    TRY(tile_encode(c, &t, im->present, &o, &record, &bytes));
    TRY(put_record(c, w, &t.key, record, bytes, true));
    return put_sum(c, w, im->coords, k, &summary);
}

/* Some cells went, the values of the rest stay: what is known of them changes all the same. */
static enum status resummarise(struct ctx *c, struct writer *w, const struct image *im, int k)
{
    const struct attr *attr = &w->s->attrs[k];
    struct tile_ref ref;
    struct summary summary;
    TRY(writer_fetch(c, w, attr->id, attr->type, im->coords, &ref));
    if (!ref.tile) return OK; /* added later: made up from the presence */
    struct column col = {attr->type, ref.tile->values, ref.tile->bits};
    summary_init(&summary);
    summary_add(&summary, &col, im->present, w->base->tile_cells);
    tile_done(w->base, &ref);
    return put_sum(c, w, im->coords, k, &summary);
}

/* Every cell of the tile is gone: a tombstone, under which nothing counts. */
static enum status store_tombstone(struct ctx *c, struct writer *w, const struct image *im)
{
    for (int k = 0; k < w->s->n_attrs; k++)
        TRY(uncount(c, w, w->s->attrs[k].id, im->coords));
    TRY(store_presence(c, w, im));
    return put_sum(c, w, im->coords, -1, NULL);
}

/* Its values stay, but for the patches that join them. */
static enum status fold_attr(struct ctx *c, struct writer *w, const struct image *im, int k)
{
    const struct attr *attr = &w->s->attrs[k];
    struct tile_ref ref;
    TRY(writer_fetch(c, w, attr->id, attr->type, im->coords, &ref));
    if (!ref.tile) return OK; /* added later */
    struct cells cells = {ref.tile->values, ref.tile->bits};
    enum status s = store_attr(c, w, im, k, &cells);
    tile_done(w->base, &ref);
    return s;
}

static enum status store_cells(struct ctx *c, struct writer *w, const struct image *im, bool fold)
{
    for (int k = 0; k < w->s->n_attrs; k++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        enum status s = OK;
        if (im->cols[k].values)
            s = store_attr(c, w, im, k, &im->cols[k]);
        else if (fold)
            s = fold_attr(c, w, im, k);
        else if (w->mode == CONFLICT_DELETE)
            s = resummarise(c, w, im, k);
        scratch_release(c->scratch, mark);
        if (s < 0) return s;
    }
    if (w->mode == CONFLICT_UPDATE && !fold) return OK;
    struct summary presence;
    TRY(store_presence(c, w, im));
    summary_init(&presence);
    presence.n_cells = im->n_present;
    return put_sum(c, w, im->coords, -1, &presence);
}

/* The catalog hears of the version before the first record of it may be durable. */
static enum status be_pending(struct ctx *c, struct writer *w)
{
    if (atomic_load(&w->pending)) return OK;
    pthread_mutex_lock(&w->mu);
    enum status s = OK;
    if (!atomic_load(&w->pending)) s = change_pending(c, w->txn, w->change, w->version);
    if (s == OK) atomic_store(&w->pending, true);
    pthread_mutex_unlock(&w->mu);
    return s;
}

/* A commit lets go of the patches that the tile has in it now. */
static void note_fold(struct writer *w, const int64_t *coords)
{
    pthread_mutex_lock(&w->mu);
    own_patches_fold(w->change->own, w->s->n_dims, coords, w->version);
    pthread_mutex_unlock(&w->mu);
}

enum status writer_store_image(struct ctx *c, struct writer *w, const struct image *im)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    TRY(be_pending(c, w));
    bool fold = patches_know(w->change->slot, w->change->own, w->s->n_dims, im->coords);
    enum status s = fold ? fault_point(c, FAULT_FOLD) : OK;
    if (s == OK && im->n_present > 0)
        s = store_cells(c, w, im, fold);
    else if (s == OK && im->n_before)
        s = store_tombstone(c, w, im);
    if (fold) note_fold(w, im->coords);
    mark_written(w, im->coords); /* not before: uncounting looks for what was there */
    pthread_mutex_lock(&w->mu);
    w->totals.cells += im->n_present - im->n_before;
    pthread_mutex_unlock(&w->mu);
    scratch_release(c->scratch, mark);
    return s;
}

enum status writer_shadow(struct ctx *c, struct writer *w, const int64_t *coords)
{
    struct tile_key key = key_of(w, ATTR_PRESENCE, coords);
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *bits, *record;
    size_t bytes;
    if (writer_has_written(w, coords)) return OK;
    TRY(be_pending(c, w));
    TRY(scratch_alloc(c, writer_bit_bytes(w), &bits));
    memset(bits, 0, writer_bit_bytes(w));
    TRY(tile_encode_presence(c, &key, w->base->extents, bits, &record, &bytes));
    TRY(put_record(c, w, &key, record, bytes, false));
    for (int k = -1; k < w->s->n_attrs; k++)
        TRY(put_sum(c, w, coords, k, NULL));
    if (patches_know(w->change->slot, w->change->own, w->s->n_dims, coords)) note_fold(w, coords);
    mark_written(w, coords);
    scratch_release(c->scratch, mark);
    return OK;
}
