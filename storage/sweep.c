/* How what nobody can read any more is taken away: dead versions, old versions, dropped arrays and
 * attributes.
 *
 * Order: a version is retired in the catalog, its tiles are deleted, its row is removed; a crash
 * anywhere between is finished by the next sweep. Which versions readers may hold is decided under
 * db->mu, where readers register: states, and leases of old versions. A version that is not the
 * newest is never opened anew once slot->oldest has passed it. */
#include "storage/base/log.h"
#include "storage/db_internal.h"
#include "storage/fault.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define RETENTION_EVERY_NS (INT64_C(600) * 1000000000)

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

/* ---- one array ---- */

struct versions {
    int64_t *list;
    int n, cap;
};

static void add_version(struct versions *v, int64_t version)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 16;
        v->list = must(realloc(v->list, sizeof(*v->list) * (size_t)v->cap));
    }
    v->list[v->n++] = version;
}

static int order_of_versions(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort_versions(struct versions *v)
{
    int n = 0;
    if (v->n) qsort(v->list, (size_t)v->n, sizeof(*v->list), order_of_versions);
    for (int i = 0; i < v->n; i++)
        if (i == 0 || v->list[i] != v->list[i - 1]) v->list[n++] = v->list[i];
    v->n = n;
}

static bool has_version(const struct versions *v, int64_t version)
{
    return v->n && bsearch(&version, v->list, (size_t)v->n, sizeof(*v->list), order_of_versions);
}

struct sweep {
    struct versions dead, kept; /* for the store */
    struct versions retire;     /* live, and to be so no longer */
    struct versions rows;       /* that go */
};

static void sweep_release(struct sweep *sw)
{
    free(sw->dead.list);
    free(sw->kept.list);
    free(sw->retire.list);
    free(sw->rows.list);
}

/* What is dead and what somebody may read, as of now; gives the oldest version that may be opened
 * by number. */
static int64_t collect_held(struct db *db, struct slot *slot, int64_t retire_below,
                            struct sweep *sw)
{
    pthread_mutex_lock(&db->mu);
    slot->needs_sweep = false;
    if (retire_below > slot->oldest) slot->oldest = retire_below;
    int64_t oldest = slot->oldest;
    for (int i = 0; i < slot->n_dead; i++)
        add_version(&sw->dead, slot->dead[i]);
    for (const struct state *s = db->states; s; s = s->next) {
        const struct rev *r = state_find_id(s, slot->id);
        if (r) add_version(&sw->kept, r->version);
    }
    for (const struct lease *l = db->leases; l; l = l->next)
        if (l->array == slot->id) add_version(&sw->kept, l->version);
    pthread_mutex_unlock(&db->mu);
    sort_versions(&sw->kept);
    return oldest;
}

static void collect_rows(const struct version_row *rows, int n, int64_t oldest, struct sweep *sw)
{
    struct versions held = sw->kept;
    sw->kept = (struct versions){0};
    for (int i = 0; i < held.n; i++)
        add_version(&sw->kept, held.list[i]);
    for (int i = 0; i < n; i++) {
        int64_t v = rows[i].version;
        bool is_held = has_version(&held, v);
        bool live = rows[i].state == VERSION_LIVE;
        if (live && v >= oldest) add_version(&sw->kept, v);
        if (live && v < oldest && !is_held) add_version(&sw->retire, v);
        bool old = (live && v < oldest) || rows[i].state == VERSION_RETIRED ||
                   rows[i].state == VERSION_MERGED;
        if ((old && !is_held) || has_version(&sw->dead, v)) add_version(&sw->rows, v);
    }
    free(held.list);
    sort_versions(&sw->kept);
}

static void forget_dead(struct db *db, struct slot *slot, const struct versions *swept)
{
    pthread_mutex_lock(&db->mu);
    int n = 0;
    for (int i = 0; i < slot->n_dead; i++)
        if (!has_version(swept, slot->dead[i])) slot->dead[n++] = slot->dead[i];
    slot->n_dead = n;
    pthread_mutex_unlock(&db->mu);
}

static enum status drop_gone_attrs(struct ctx *c, struct db *db, uint32_t array, int64_t oldest,
                                   struct arena *a)
{
    uint16_t *ids;
    int n;
    int64_t removed;
    TRY(catalog_gone_attrs(c, db->catalog, array, oldest, a, &ids, &n));
    for (int i = 0; i < n; i++)
        TRY(store_drop(c, db->store, array, ids[i], &removed));
    return OK;
}

static enum status sweep_patches(struct ctx *c, struct db *db, struct slot *slot,
                                 const struct def *d, const struct sweep *sw)
{
    const struct versions *kept = &sw->kept;
    struct store_view newest = {
        .version = kept->list[kept->n - 1], .dead = sw->dead.list, .n_dead = sw->dead.n};
    return patches_sweep(c, db, slot, d, &newest, kept->list, kept->n);
}

/* Under sweep_mu; r keeps the slot. */
static enum status sweep_array(struct ctx *c, struct db *db, struct rev *r, int64_t retire_below)
{
    struct slot *slot = r->slot;
    struct sweep sw = {0};
    struct arena *a = arena_new();
    struct version_row *rows;
    struct def *d;
    int n;
    int64_t removed;
    enum status s = rev_def(c, r, &d);
    if (s == OK) s = catalog_versions(c, db->catalog, slot->id, a, &rows, &n);
    if (s < 0) goto out;
    int64_t oldest = collect_held(db, slot, retire_below, &sw);
    collect_rows(rows, n, oldest, &sw);
    if (sw.retire.n)
        s = catalog_set_state(c, db->catalog, slot->id, sw.retire.list, sw.retire.n,
                              VERSION_RETIRED);
    if (s == OK) s = fault_point(c, FAULT_SWEEP);
    if (s == OK)
        s = store_sweep(c, db->store, slot->id, d->s.n_dims, sw.dead.list, sw.dead.n, sw.kept.list,
                        sw.kept.n, &removed);
    if (s == OK) s = drop_gone_attrs(c, db, slot->id, sw.kept.list[0], a);
    if (s == OK) s = sweep_patches(c, db, slot, d, &sw);
    if (s == OK) s = fault_point(c, FAULT_SWEPT);
    if (s == OK)
        s = catalog_swept(c, db->catalog, slot->id, sw.rows.list, sw.rows.n, sw.kept.list[0]);
    if (s == OK) forget_dead(db, slot, &sw.dead);
out:
    if (s < 0) {
        pthread_mutex_lock(&db->mu);
        slot->needs_sweep = true;
        pthread_mutex_unlock(&db->mu);
    }
    sweep_release(&sw);
    arena_free(a);
    return s;
}

/* ---- all arrays ---- */

/* A dropped array that nobody reads or writes; its slot then is nobody's. */
static struct slot *next_dropped(struct db *db)
{
    struct slot *found = NULL;
    pthread_mutex_lock(&db->mu);
    for (int i = 0; i < db->n_slots && !found; i++) {
        struct slot *s = db->slots[i];
        if (!s->dropped || s->n_revs || s->n_writers) continue;
        found = s;
        memmove(db->slots + i, db->slots + i + 1,
                sizeof(struct slot *) * (size_t)(db->n_slots - i - 1));
        db->n_slots--;
    }
    pthread_mutex_unlock(&db->mu);
    return found;
}

static enum status purge_dropped(struct ctx *c, struct db *db)
{
    struct slot *slot;
    enum status s = OK;
    while (s == OK && (slot = next_dropped(db))) {
        int64_t removed;
        s = fault_point(c, FAULT_SWEEP);
        if (s == OK) s = store_drop(c, db->store, slot->id, 0, &removed);
        if (s == OK) s = fault_point(c, FAULT_SWEPT);
        if (s == OK) s = catalog_purge(c, db->catalog, slot->id);
        cache_drop_array(db->cache, slot->id);
        patches_free(db, &slot->patches);
        free(slot->dead); /* after an error the next start finds its rows */
        free(slot);
    }
    return s;
}

/* The version below which retention allows retiring; 0: none. */
static enum status retention_bound(struct ctx *c, struct db *db, const struct rev *r, bool due,
                                   int64_t *bound)
{
    struct version_row row;
    bool found = false;
    *bound = 0;
    if (!due) return OK;
    int64_t cutoff = wall_us() - db->options.version_retention_ms * 1000;
    TRY(catalog_version_find(c, db->catalog, r->slot->id, 0, cutoff, &row, &found));
    pthread_mutex_lock(&db->mu);
    if (found && row.version > r->slot->oldest) *bound = row.version;
    pthread_mutex_unlock(&db->mu);
    return OK;
}

static bool retention_is_due(struct db *db)
{
    bool due = db->options.version_retention_ms > 0 && now_ns() >= db->next_retention_ns;
    if (due) db->next_retention_ns = now_ns() + RETENTION_EVERY_NS;
    return due;
}

static enum status sweep_all(struct ctx *c, struct db *db)
{
    if (atomic_load(&db->unknown_outcome)) return OK;
    pthread_mutex_lock(&db->sweep_mu);
    struct state *now = state_acquire(db);
    bool due = retention_is_due(db);
    enum status s = OK;
    for (int i = 0; s == OK && i < now->n_revs; i++) {
        int64_t bound;
        pthread_mutex_lock(&db->mu);
        bool wanted = now->revs[i]->slot->needs_sweep;
        pthread_mutex_unlock(&db->mu);
        s = retention_bound(c, db, now->revs[i], due, &bound);
        if (s == OK && (wanted || bound)) s = sweep_array(c, db, now->revs[i], bound);
    }
    state_release(db, now);
    if (s == OK) s = purge_dropped(c, db);
    pthread_mutex_unlock(&db->sweep_mu);
    return s;
}

/* ---- the background ---- */

void sweeper_wake(struct db *db)
{
    db->sweep_asked = true;
    pthread_cond_broadcast(&db->changed);
}

/* Waits for work; false: it is time to end. */
static bool wait_for_work(struct db *db)
{
    pthread_mutex_lock(&db->mu);
    db->sweeping = false;
    pthread_cond_broadcast(&db->changed);
    int64_t until = now_ns() + RETENTION_EVERY_NS;
    struct timespec ts = {until / 1000000000, until % 1000000000};
    int rc = 0;
    while (!db->stop && !db->sweep_asked && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&db->changed, &db->mu, &ts);
    db->sweep_asked = false;
    db->sweeping = true;
    bool goes_on = !db->stop;
    pthread_mutex_unlock(&db->mu);
    return goes_on;
}

static void *sweeper_main(void *self)
{
    struct db *db = self;
    struct ctx c = {.budget = db->budget, .cancel = &db->stop_sweeping};
    c.scratch = scratch_new(db->budget);
    while (wait_for_work(db)) {
        ctx_clear(&c);
        if (sweep_all(&c, db) < 0 && c.err.code != ERR_SHUTDOWN)
            log_line(LOG_WARNING, "sweeping old versions: %s", c.err.message);
        scratch_reset(c.scratch);
    }
    scratch_free(c.scratch);
    return NULL;
}

enum status sweeper_start(struct ctx *c, struct db *db)
{
    db->next_retention_ns = now_ns();
    db->sweep_asked = true;
    if (pthread_create(&db->sweeper, NULL, sweeper_main, db) != 0)
        return fail(c, ERR_IO, "could not start the sweeper's thread");
    db->sweeper_runs = true;
    return OK;
}

void sweeper_stop(struct db *db)
{
    if (!db->sweeper_runs) return;
    atomic_store(&db->stop_sweeping.reason, CANCEL_SHUTDOWN);
    pthread_mutex_lock(&db->mu);
    db->stop = true;
    pthread_cond_broadcast(&db->changed);
    pthread_mutex_unlock(&db->mu);
    pthread_join(db->sweeper, NULL);
    db->sweeper_runs = false;
}

void db_sweep_wait(struct db *db)
{
    pthread_mutex_lock(&db->mu);
    while (db->sweep_asked || db->sweeping)
        pthread_cond_wait(&db->changed, &db->mu);
    pthread_mutex_unlock(&db->mu);
}

/* ---- VACUUM ---- */

/* The oldest of the newest `keep` live versions; 0: retire none. */
static enum status newest_kept(struct ctx *c, struct db *db, const struct rev *r, int64_t keep,
                               int64_t *bound)
{
    struct arena *a = arena_new();
    struct version_row *rows;
    int n;
    *bound = 0;
    enum status s = catalog_versions(c, db->catalog, r->slot->id, a, &rows, &n);
    for (int i = n - 1; s == OK && i >= 0 && keep > 0; i--)
        if (rows[i].state == VERSION_LIVE && --keep == 0) *bound = rows[i].version;
    arena_free(a);
    return s;
}

enum status db_vacuum(struct ctx *c, struct db *db, const char *name, int64_t keep)
{
    if (atomic_load(&db->unknown_outcome))
        return fail(c, ERR_IO, "whether an earlier COMMIT reached the disk is unknown");
    struct txn *t;
    TRY(txn_begin(c, db, true, &t));
    enum status s = txn_snapshot(c, t);
    if (s == OK && name && !state_find(t->snapshot, name)) s = undefined_array(c, t, name, -1);
    txn_rollback(t);
    if (s < 0) return s;
    pthread_mutex_lock(&db->sweep_mu);
    struct state *now = state_acquire(db);
    for (int i = 0; s == OK && i < now->n_revs; i++) {
        int64_t bound;
        if (name && strcmp(now->revs[i]->name, name) != 0) continue;
        if (keep > 0)
            s = newest_kept(c, db, now->revs[i], keep, &bound);
        else
            s = retention_bound(c, db, now->revs[i], db->options.version_retention_ms > 0, &bound);
        if (s == OK) s = sweep_array(c, db, now->revs[i], bound);
    }
    state_release(db, now);
    if (s == OK && !name) s = purge_dropped(c, db);
    pthread_mutex_unlock(&db->sweep_mu);
    return s;
}
