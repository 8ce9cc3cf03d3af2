/* What the catalog says now, in memory: how snapshots are taken, looked up, and replaced by a
 * commit. */
#include "storage/db_internal.h"
#include <stdlib.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

/* ---- slots ---- */

static int slot_place(const struct db *db, uint32_t id)
{
    int lo = 0, hi = db->n_slots;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (db->slots[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct slot *slot_get(struct db *db, uint32_t id)
{
    int at = slot_place(db, id);
    return at < db->n_slots && db->slots[at]->id == id ? db->slots[at] : NULL;
}

struct slot *slot_add(struct db *db, uint32_t id, int64_t next_version)
{
    if (db->n_slots == db->cap_slots) {
        db->cap_slots = db->cap_slots ? 2 * db->cap_slots : 16;
        db->slots = must(realloc(db->slots, sizeof(*db->slots) * (size_t)db->cap_slots));
    }
    int at = slot_place(db, id);
    memmove(db->slots + at + 1, db->slots + at, sizeof(*db->slots) * (size_t)(db->n_slots - at));
    db->n_slots++;
    struct slot *s = must(calloc(1, sizeof(*s)));
    s->id = id;
    s->next_version = next_version;
    patches_init(&s->patches);
    db->slots[at] = s;
    return s;
}

void slot_kill(struct slot *s, int64_t version)
{
    if (s->n_dead == s->cap_dead) {
        s->cap_dead = s->cap_dead ? 2 * s->cap_dead : 4;
        s->dead = must(realloc(s->dead, sizeof(*s->dead) * (size_t)s->cap_dead));
    }
    int at = s->n_dead++;
    for (; at > 0 && s->dead[at - 1] > version; at--)
        s->dead[at] = s->dead[at - 1];
    s->dead[at] = version;
    s->needs_sweep = true;
}

/* ---- revs ---- */

struct rev *rev_new(struct db *db, struct slot *slot, const char *name, int64_t version)
{
    struct rev *r = must(calloc(1, sizeof(*r)));
    atomic_init(&r->refs, 1);
    r->db = db;
    r->slot = slot;
    r->name = must(strdup(name));
    r->version = version;
    pthread_mutex_init(&r->load_mu, NULL);
    pthread_mutex_lock(&db->mu);
    slot->n_revs++;
    pthread_mutex_unlock(&db->mu);
    return r;
}

struct rev *rev_ref(struct rev *r)
{
    atomic_fetch_add(&r->refs, 1);
    return r;
}

void rev_unref(struct rev *r)
{
    if (!r || atomic_fetch_sub(&r->refs, 1) != 1) return;
    pthread_mutex_lock(&r->db->mu);
    if (--r->slot->n_revs == 0 && r->slot->dropped) sweeper_wake(r->db);
    pthread_mutex_unlock(&r->db->mu);
    def_unref(r->def);
    pthread_mutex_destroy(&r->load_mu);
    free(r->name);
    free(r);
}

enum status rev_def(struct ctx *c, struct rev *r, struct def **out)
{
    struct def *d = atomic_load(&r->def);
    if (!d) {
        pthread_mutex_lock(&r->load_mu);
        d = atomic_load(&r->def);
        enum status s = OK;
        if (!d) s = def_load(c, r->db->catalog, r->slot->id, r->version, &d);
        if (s == OK) atomic_store(&r->def, d);
        pthread_mutex_unlock(&r->load_mu);
        if (s < 0) return s;
    }
    *out = d;
    return OK;
}

struct object *object_new(enum object_kind kind, const char *name, const char *text)
{
    struct object *o = must(calloc(1, sizeof(*o)));
    atomic_init(&o->refs, 1);
    o->kind = kind;
    o->name = must(strdup(name));
    o->text = text ? must(strdup(text)) : NULL;
    return o;
}

static void object_unref(struct object *o)
{
    if (atomic_fetch_sub(&o->refs, 1) != 1) return;
    free(o->name);
    free(o->text);
    free(o);
}

/* ---- states ---- */

struct state *state_acquire(struct db *db)
{
    pthread_mutex_lock(&db->mu);
    struct state *s = db->current;
    atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&db->mu);
    return s;
}

void state_release(struct db *db, struct state *s)
{
    if (!s) return;
    pthread_mutex_lock(&db->mu); /* a state of no reference must not be found in db->states */
    bool last = atomic_fetch_sub(&s->refs, 1) == 1;
    if (last) {
        if (s->prev)
            s->prev->next = s->next;
        else
            db->states = s->next;
        if (s->next) s->next->prev = s->prev;
    }
    pthread_mutex_unlock(&db->mu);
    if (!last) return;
    for (int i = 0; i < s->n_revs; i++)
        rev_unref(s->revs[i]);
    for (int i = 0; i < s->n_objects; i++)
        object_unref(s->objects[i]);
    free(s->revs);
    free(s->objects);
    free(s);
}

struct rev *state_find(const struct state *s, const char *name)
{
    int lo = 0, hi = s->n_revs;
    while (lo < hi) {
        int mid = (lo + hi) / 2, cmp = strcmp(s->revs[mid]->name, name);
        if (cmp == 0) return s->revs[mid];
        if (cmp < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

struct rev *state_find_id(const struct state *s, uint32_t id)
{
    for (int i = 0; i < s->n_revs; i++)
        if (s->revs[i]->slot->id == id) return s->revs[i];
    return NULL;
}

static int order_of_objects(const struct object *a, enum object_kind kind, const char *name)
{
    if (a->kind != kind) return a->kind < kind ? -1 : 1;
    return strcmp(a->name, name);
}

struct object *state_object(const struct state *s, enum object_kind kind, const char *name)
{
    for (int i = 0; i < s->n_objects; i++)
        if (order_of_objects(s->objects[i], kind, name) == 0) return s->objects[i];
    return NULL;
}

static int revs_by_name(const void *a, const void *b)
{
    return strcmp((*(struct rev *const *)a)->name, (*(struct rev *const *)b)->name);
}

static int objects_by_name(const void *a, const void *b)
{
    const struct object *y = *(struct object *const *)b;
    return order_of_objects(*(struct object *const *)a, y->kind, y->name);
}

static bool edits_rev(const struct state_edit *e, const struct rev *r)
{
    for (int i = 0; i < e->n_revs; i++)
        if (e->ids[i] == r->slot->id) return true;
    return false;
}

static bool edits_object(const struct state_edit *e, const struct object *o)
{
    for (int i = 0; i < e->n_objects; i++)
        if (order_of_objects(e->objects[i], o->kind, o->name) == 0) return true;
    return false;
}

void state_publish(struct db *db, const struct state_edit *e)
{
    struct state *old = db->current; /* publish_mu is held, or nobody else knows db yet */
    struct state *s = must(calloc(1, sizeof(*s)));
    int n_old = old ? old->n_revs : 0, n_old_objects = old ? old->n_objects : 0;
    atomic_init(&s->refs, 1);
    s->seq = old ? old->seq + 1 : 1;
    s->revs = must(malloc(sizeof(*s->revs) * (size_t)(n_old + e->n_revs + 1)));
    s->objects = must(malloc(sizeof(*s->objects) * (size_t)(n_old_objects + e->n_objects + 1)));
    for (int i = 0; i < n_old; i++)
        if (!edits_rev(e, old->revs[i])) s->revs[s->n_revs++] = rev_ref(old->revs[i]);
    for (int i = 0; i < e->n_revs; i++)
        if (e->revs[i]) s->revs[s->n_revs++] = e->revs[i];
    for (int i = 0; i < n_old_objects; i++)
        if (!edits_object(e, old->objects[i])) {
            atomic_fetch_add(&old->objects[i]->refs, 1);
            s->objects[s->n_objects++] = old->objects[i];
        }
    for (int i = 0; i < e->n_objects; i++) {
        if (e->objects[i]->text)
            s->objects[s->n_objects++] = e->objects[i];
        else
            object_unref(e->objects[i]);
    }
    qsort(s->revs, (size_t)s->n_revs, sizeof(*s->revs), revs_by_name);
    qsort(s->objects, (size_t)s->n_objects, sizeof(*s->objects), objects_by_name);
    pthread_mutex_lock(&db->mu);
    s->next = db->states;
    if (s->next) s->next->prev = s;
    db->states = s;
    db->current = s;
    pthread_mutex_unlock(&db->mu);
    state_release(db, old);
}

/* ---- at open ---- */

static void load_versions(struct db *db, const struct version_row *rows, int n)
{
    for (int i = 0; i < n; i++) {
        struct slot *slot = slot_get(db, rows[i].array);
        if (!slot) slot = slot_add(db, rows[i].array, 1);
        if (slot->next_version <= rows[i].version) slot->next_version = rows[i].version + 1;
        if (rows[i].state == VERSION_DEAD) slot_kill(slot, rows[i].version);
        if (rows[i].state == VERSION_MERGED || rows[i].state == VERSION_RETIRED)
            slot->needs_sweep = true;
        if (rows[i].state == VERSION_LIVE && (!slot->oldest || rows[i].version < slot->oldest))
            slot->oldest = rows[i].version;
        if (rows[i].committed_us > db->last_commit_us) db->last_commit_us = rows[i].committed_us;
    }
}

static const struct version_row *version_of(const struct version_row *rows, int n,
                                            const struct array_row *a)
{
    int lo = 0, hi = n; /* rows are in order of array and version */
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        const struct version_row *r = &rows[mid];
        if (r->array == a->id && r->version == a->version) return r;
        if (r->array < a->id || (r->array == a->id && r->version < a->version))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

enum status state_load(struct ctx *c, struct db *db)
{
    struct arena *a = arena_new();
    struct counter_row *counters;
    struct version_row *versions;
    struct array_row *arrays;
    struct object_row *objects;
    int n_counters, n_versions, n_arrays, n_objects;
    struct state_edit e = {0};
    enum status s = catalog_counters(c, db->catalog, a, &counters, &n_counters, &db->next_array);
    if (s == OK) s = catalog_versions(c, db->catalog, 0, a, &versions, &n_versions);
    if (s == OK) s = catalog_arrays(c, db->catalog, a, &arrays, &n_arrays);
    if (s == OK) s = catalog_objects(c, db->catalog, a, &objects, &n_objects);
    if (s < 0) goto out;
    for (int i = 0; i < n_counters; i++)
        slot_add(db, counters[i].array, counters[i].next_version)->dropped = true;
    load_versions(db, versions, n_versions);
    e.revs = arena_array(a, struct rev *, n_arrays + 1);
    e.ids = arena_array(a, uint32_t, n_arrays + 1);
    e.objects = arena_array(a, struct object *, n_objects + 1);
    for (int i = 0; i < n_arrays; i++) {
        const struct version_row *v = version_of(versions, n_versions, &arrays[i]);
        struct slot *slot = slot_get(db, arrays[i].id);
        if (!v || !slot) {
            s = fail(c, ERR_CORRUPT, "the catalog has no version of array \"%s\"", arrays[i].name);
            goto out;
        }
        slot->dropped = false;
        struct rev *r = rev_new(db, slot, arrays[i].name, v->version);
        r->totals = v->totals;
        r->committed_us = v->committed_us;
        e.ids[e.n_revs] = slot->id;
        e.revs[e.n_revs++] = r;
    }
    for (int i = 0; i < n_objects; i++)
        e.objects[e.n_objects++] = object_new(objects[i].kind, objects[i].name, objects[i].text);
    state_publish(db, &e);
out:
    if (s < 0)
        for (int i = 0; i < e.n_revs; i++)
            rev_unref(e.revs[i]);
    arena_free(a);
    return s;
}
