/* What of a product is not made again when it is asked for again?
 *
 * Units of which only a part was asked for (the rest will be: slabs under little memory, panels of
 * a product of products), and what is above the diagonal of a Gram matrix, of which what is below
 * is made. They are written to a spill as they are made, each by one worker; others that want it
 * meanwhile wait. */
#include "query/matmul.h"
#include "query/spill.h"
#include "storage/base/wait.h"
#include <pthread.h>
#include <string.h>

#define LOOK_MS 50 /* between looks for cancellation, while waiting */

#define MOST_UNITS (1 << 20)
#define LEAST_SUM 256 /* shorter sums are done faster than written and read */

enum kept_state { NOT_KEPT, BEING_MADE, KEPT };

struct kept_unit {
    enum kept_state state;
    int64_t values_at, present_at, valid_at; /* -1: all set */
    int64_t n_present;
};

struct kept {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct spill *spill;
    struct kept_unit *units;
};

enum status kept_new(struct ctx *c, const struct op *op, int64_t sum, struct kept **out)
{
    const struct matmul *m = op->state;
    int64_t n = 1;
    *out = NULL;
    for (int i = 0; i < op->box.n_dims; i++) {
        int64_t lo = op->box.lo[i], hi = op->box.hi[i], unit = m->unit[i];
        if (hi <= lo) return OK;
        int64_t along = tile_of(hi - 1, unit) - tile_of(lo, unit) + 1;
        if (__builtin_mul_overflow(n, along, &n) || n > MOST_UNITS) return OK;
    }
    if (sum < LEAST_SUM) return OK;
    struct kept *k = arena_new_of(c->arena, struct kept);
    void *units;
    TRY(buf_alloc(c, sizeof(struct kept_unit) * (size_t)n, &units));
    k->units = units;
    memset(k->units, 0, sizeof(struct kept_unit) * (size_t)n);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->changed, NULL);
    *out = k;
    return OK;
}

void kept_free(struct kept *k)
{
    if (!k) return;
    spill_free(k->spill);
    buf_free(k->units);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->changed);
}

static struct kept_unit *unit_at(const struct op *op, const struct box *unit)
{
    const struct matmul *m = op->state;
    int64_t at = 0;
    for (int i = 0; i < op->box.n_dims; i++) {
        int64_t first = tile_of(op->box.lo[i], m->unit[i]);
        at = at * (tile_of(op->box.hi[i] - 1, m->unit[i]) - first + 1) +
             tile_of(unit->lo[i], m->unit[i]) - first;
    }
    return &m->kept->units[at];
}

/* Waits while another makes it. */
enum status kept_claim(struct ctx *c, const struct op *op, const struct box *unit, bool *mine)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    enum status st = OK;
    *mine = true;
    if (!k) return OK;
    struct kept_unit *u = unit_at(op, unit);
    pthread_mutex_lock(&k->lock);
    while (u->state == BEING_MADE && st == OK) {
        if (wait_for_ms(&k->changed, &k->lock, LOOK_MS)) st = check_cancel(c);
    }
    *mine = u->state == NOT_KEPT;
    if (*mine && st == OK) u->state = BEING_MADE;
    pthread_mutex_unlock(&k->lock);
    return st;
}

static void set_state(struct kept *k, struct kept_unit *u, enum kept_state state)
{
    pthread_mutex_lock(&k->lock);
    u->state = state;
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->lock);
}

void kept_forget(const struct op *op, const struct box *unit)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    if (k) set_state(k, unit_at(op, unit), NOT_KEPT);
}

static enum status open_spill(struct ctx *c, const struct op *op, struct kept *k)
{
    enum status st = OK;
    pthread_mutex_lock(&k->lock);
    if (!k->spill) st = spill_new(c, exec_tmp_dir(op->exec), &k->spill);
    pthread_mutex_unlock(&k->lock);
    return st;
}

static enum status store_bits(struct ctx *c, struct spill *s, const uint64_t *bits, int64_t n,
                              int64_t *at)
{
    *at = -1;
    return bits ? spill_append(c, s, bits, (size_t)bits_words(n) * 8, at) : OK;
}

static enum status store(struct ctx *c, const struct op *op, const struct chunk *ch,
                         struct kept_unit *u)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    const struct column *col = &ch->cols[0];
    TRY(open_spill(c, op, k));
    TRY(spill_append(c, k->spill, col->values, type_bytes(col->type) * (size_t)ch->n,
                     &u->values_at));
    TRY(store_bits(c, k->spill, ch->present, ch->n, &u->present_at));
    TRY(store_bits(c, k->spill, col->valid, ch->n, &u->valid_at));
    u->n_present = ch->n_present;
    return OK;
}

enum status kept_store(struct ctx *c, const struct op *op, const struct chunk *unit)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    if (!k) return OK;
    struct kept_unit *u = unit_at(op, &unit->box);
    enum status st = store(c, op, unit, u);
    set_state(k, u, st == OK ? KEPT : NOT_KEPT);
    return st;
}

bool kept_has(const struct op *op, const struct box *unit)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    if (!k) return false;
    pthread_mutex_lock(&k->lock);
    bool has = unit_at(op, unit)->state == KEPT;
    pthread_mutex_unlock(&k->lock);
    return has;
}

static enum status read_bits(struct ctx *c, struct spill *s, int64_t at, int64_t n, uint64_t **out)
{
    void *memory;
    *out = NULL;
    if (at < 0) return OK;
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &memory));
    TRY(spill_read(c, s, at, memory, (size_t)bits_words(n) * 8));
    *out = memory;
    return OK;
}

/* Values from the part's first cell to its last, which lie in one run. */
enum status kept_read(struct ctx *c, const struct op *op, const struct box *unit,
                      const struct box *part, struct chunk *out)
{
    struct kept *k = ((const struct matmul *)op->state)->kept;
    const struct kept_unit *u = unit_at(op, unit);
    int64_t last[MAX_DIMS];
    TRY(chunk_alloc(c, &op->plan->rel, unit, out));
    struct column *col = &out->cols[0];
    for (int i = 0; i < part->n_dims; i++)
        last[i] = part->hi[i] - 1;
    size_t bytes = type_bytes(col->type);
    int64_t from = box_index(unit, part->lo), n = box_index(unit, last) + 1 - from;
    TRY(spill_read(c, k->spill, u->values_at + from * (int64_t)bytes,
                   (char *)col->values + from * (int64_t)bytes, (size_t)n * bytes));
    TRY(read_bits(c, k->spill, u->present_at, out->n, &out->present));
    out->n_present = u->n_present;
    return read_bits(c, k->spill, u->valid_at, out->n, &col->valid);
}
