/* How a transaction begins, remembers what it did, goes back to a savepoint, and is published.
 *
 * Invariants:
 * 1. What a transaction wrote has version numbers above every committed one of the array, which it
 *    holds the lock of; until they are published nobody else's view reaches them.
 * 2. A version that is given up joins its slot's dead ones before the array's lock is dropped, so
 *    every later version's reader knows it.
 * 3. The catalog's COMMIT comes before the new state is shown, and before anyone hears of it. */
#include "storage/db_internal.h"
#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static struct txn *txn_of(struct lock_owner *o)
{
    return (struct txn *)(void *)((char *)o - offsetof(struct txn, owner));
}

/* Another transaction waited too long for this idle one. Its memory is its own thread's: only the
 * versions are given up here. */
static void expire(struct lock_owner *o)
{
    struct txn *t = txn_of(o);
    pthread_mutex_lock(&t->db->mu);
    for (struct change *ch = t->changes; ch; ch = ch->next)
        for (int i = 0; i < ch->n_versions; i++)
            if (ch->stored[i]) slot_kill(ch->slot, ch->versions[i]);
    pthread_mutex_unlock(&t->db->mu);
}

enum status txn_begin(struct ctx *c, struct db *db, bool read_only, struct txn **out)
{
    struct txn *t = calloc(1, sizeof(*t));
    if (!t) return fail(c, ERR_MEMORY, "out of memory");
    t->db = db;
    t->read_only = read_only;
    t->began_us = wall_us();
    t->owner.expire = expire;
    t->arena = arena_new();
    *out = t;
    return OK;
}

int64_t txn_time_us(const struct txn *t)
{
    return t->began_us;
}

struct db *txn_db(const struct txn *t)
{
    return t->db;
}

enum status txn_snapshot(struct ctx *c, struct txn *t)
{
    if (t->snapshot) return OK;
    TRY(check_cancel(c));
    t->snapshot = state_acquire(t->db);
    return OK;
}

enum status txn_catalog_seq(struct ctx *c, struct txn *t, int64_t *seq)
{
    TRY(txn_snapshot(c, t));
    *seq = t->changes || t->n_objects ? 0 : t->snapshot->seq;
    return OK;
}

enum status txn_may_write(struct ctx *c, struct txn *t)
{
    if (t->read_only) return fail(c, ERR_READ_ONLY, "cannot write in a read-only transaction");
    if (atomic_load(&t->db->unknown_outcome)) {
        fail(c, ERR_IO,
             "writing has stopped: whether an earlier COMMIT reached the disk is unknown");
        return hint(c, "Restart the server: it finds out.");
    }
    return OK;
}

bool txn_has_writes(const struct txn *t)
{
    for (const struct change *ch = t->changes; ch; ch = ch->next)
        if (ch->touched) return true;
    return t->n_objects > 0 || t->n_files > 0 || t->n_runs > 0;
}

bool txn_changes(const struct txn *t, uint32_t array)
{
    for (const struct change *ch = t->changes; ch; ch = ch->next)
        if (ch->slot->id == array && ch->touched) return true;
    return false;
}

/* ---- changes ---- */

void txn_find(struct txn *t, const char *name, struct change **ch, struct rev **r)
{
    *ch = NULL;
    *r = NULL;
    for (struct change *k = t->changes; k; k = k->next)
        if (!k->dropped && strcmp(k->def->s.name, name) == 0) {
            *ch = k;
            return;
        }
    struct rev *rev = state_find(t->snapshot, name);
    for (struct change *k = t->changes; rev && k; k = k->next)
        if (k->slot == rev->slot) rev = NULL; /* renamed or dropped here */
    *r = rev;
}

struct change *change_new(struct txn *t, struct slot *slot, struct rev *base, struct def *def)
{
    struct change *ch = must(calloc(1, sizeof(*ch)));
    ch->slot = slot;
    ch->base = base ? rev_ref(base) : NULL;
    ch->def = def_ref(def);
    if (base) ch->totals = base->totals;
    ch->next = t->changes;
    t->changes = ch;
    pthread_mutex_lock(&t->db->mu);
    slot->n_writers++;
    pthread_mutex_unlock(&t->db->mu);
    return ch;
}

static void change_free(struct txn *t, struct change *ch)
{
    pthread_mutex_lock(&t->db->mu);
    if (--ch->slot->n_writers == 0 && ch->slot->dropped) sweeper_wake(t->db);
    pthread_mutex_unlock(&t->db->mu);
    rev_unref(ch->base);
    def_unref(ch->def);
    free(ch->versions);
    free(ch->stored);
    free(ch);
}

struct def *change_edit(struct change *ch, int extra_attrs)
{
    struct def *d = def_copy(ch->def, extra_attrs);
    def_unref(ch->def);
    ch->def = d;
    ch->touched = true;
    return d;
}

int64_t change_new_version(struct txn *t, struct change *ch)
{
    pthread_mutex_lock(&t->db->mu);
    int64_t v = ch->slot->next_version++;
    pthread_mutex_unlock(&t->db->mu);
    return v;
}

void change_return_version(struct txn *t, struct change *ch, int64_t version)
{
    pthread_mutex_lock(&t->db->mu);
    if (ch->slot->next_version == version + 1) ch->slot->next_version = version;
    pthread_mutex_unlock(&t->db->mu);
}

static void add_version(struct change *ch, int64_t version, bool stored)
{
    if (ch->n_versions == ch->cap_versions) {
        ch->cap_versions = ch->cap_versions ? 2 * ch->cap_versions : 4;
        size_t n = (size_t)ch->cap_versions;
        ch->versions = must(realloc(ch->versions, sizeof(*ch->versions) * n));
        ch->stored = must(realloc(ch->stored, sizeof(*ch->stored) * n));
    }
    ch->versions[ch->n_versions] = version;
    ch->stored[ch->n_versions++] = stored;
}

enum status change_pending(struct ctx *c, struct txn *t, struct change *ch, int64_t version)
{
    TRY(catalog_pending(c, t->db->catalog, ch->slot->id, version));
    add_version(ch, version, true);
    return OK;
}

void change_patched(struct change *ch, int64_t version)
{
    add_version(ch, version, false);
}

void change_kill_version(struct txn *t, struct change *ch, int64_t version)
{
    int n = 0;
    bool stored = false;
    for (int i = 0; i < ch->n_versions; i++)
        if (ch->versions[i] != version) {
            ch->stored[n] = ch->stored[i];
            ch->versions[n++] = ch->versions[i];
        } else {
            stored = ch->stored[i];
        }
    if (n == ch->n_versions) return;
    ch->n_versions = n;
    own_patches_undo(ch->own, version - 1); /* it is the last one */
    if (!stored) return;
    pthread_mutex_lock(&t->db->mu);
    slot_kill(ch->slot, version);
    sweeper_wake(t->db);
    pthread_mutex_unlock(&t->db->mu);
}

enum status txn_lock_name(struct ctx *c, struct txn *t, char kind, const char *name)
{
    char key[NAME_BYTES + 8], what[NAME_BYTES + 16];
    bool waited;
    snprintf(key, sizeof(key), "%c%.*s", kind, NAME_BYTES, name);
    snprintf(what, sizeof(what), "name \"%.*s\"", NAME_BYTES, name);
    return locks_take(c, &t->db->locks, &t->owner, key, what, &waited);
}

/* May a plan made for one definition write to the other? */
static bool same_columns(const struct schema *a, const struct schema *b)
{
    if (a->n_dims != b->n_dims || a->n_attrs != b->n_attrs) return false;
    for (int i = 0; i < a->n_attrs; i++)
        if (a->attrs[i].id != b->attrs[i].id) return false;
    return true;
}

static enum status out_of_date(struct ctx *c)
{
    return fail(c, ERR_SERIALIZATION, "could not serialize access due to concurrent update");
}

/* The array's lock is held: is the snapshot's rev still the newest? A transaction that has read no
 * cell and written nothing moves on to the newest instead. */
static enum status newest(struct ctx *c, struct txn *t, const char *name, struct rev **r)
{
    struct state *now = state_acquire(t->db);
    struct rev *latest = state_find_id(now, (*r)->slot->id);
    enum status s = OK;
    if (latest == *r) goto out;
    if (!latest || atomic_load(&t->has_read) || txn_has_writes(t) || strcmp(latest->name, name)) {
        s = out_of_date(c);
        goto out;
    }
    struct def *before, *after;
    s = rev_def(c, *r, &before);
    if (s == OK) s = rev_def(c, latest, &after);
    if (s == OK && !same_columns(&before->s, &after->s)) s = out_of_date(c);
    if (s == OK) {
        *r = latest;
        struct state *old = t->snapshot;
        t->snapshot = now;
        now = old;
    }
out:
    state_release(t->db, now);
    return s;
}

enum status txn_change(struct ctx *c, struct txn *t, const char *name, struct change **out)
{
    struct rev *r;
    TRY(txn_may_write(c, t));
    TRY(txn_snapshot(c, t));
    txn_find(t, name, out, &r);
    if (*out) return OK;
    if (!r) return undefined_array(c, t, name, -1);
    char key[32], what[NAME_BYTES + 16];
    bool waited;
    snprintf(key, sizeof(key), "a%u", r->slot->id);
    snprintf(what, sizeof(what), "array \"%.*s\"", NAME_BYTES, name);
    TRY(locks_take(c, &t->db->locks, &t->owner, key, what, &waited));
    TRY(txn_may_write(c, t));
    TRY(newest(c, t, name, &r));
    struct def *d;
    TRY(rev_def(c, r, &d));
    *out = change_new(t, r->slot, r, d);
    return OK;
}

enum status array_lock(struct ctx *c, struct txn *t, const char *name)
{
    struct change *ch;
    return txn_change(c, t, name, &ch);
}

/* ---- savepoints ---- */

static void push_savepoint(struct txn *t, const char *name)
{
    struct savepoint *sp = must(calloc(1, sizeof(*sp)));
    sp->name = name ? must(strdup(name)) : NULL;
    int n = 0;
    for (struct change *ch = t->changes; ch; ch = ch->next)
        n++;
    sp->marks = must(calloc((size_t)n + 1, sizeof(*sp->marks)));
    for (struct change *ch = t->changes; ch; ch = ch->next) {
        struct mark *m = &sp->marks[sp->n_marks++];
        *m = (struct mark){.change = ch,
                           .def = def_ref(ch->def),
                           .dropped = ch->dropped,
                           .touched = ch->touched,
                           .n_versions = ch->n_versions,
                           .totals = ch->totals};
        memcpy(m->relabel, ch->relabel, sizeof(m->relabel));
    }
    sp->n_objects = t->n_objects;
    sp->n_files = t->n_files;
    sp->n_runs = t->n_runs;
    sp->below = t->top;
    t->top = sp;
}

static void free_savepoint(struct savepoint *sp)
{
    for (int i = 0; i < sp->n_marks; i++)
        def_unref(sp->marks[i].def);
    free(sp->marks);
    free(sp->name);
    free(sp);
}

static void pop_savepoint(struct txn *t)
{
    struct savepoint *sp = t->top;
    t->top = sp->below;
    free_savepoint(sp);
}

static void kill_versions_from(struct txn *t, struct change *ch, int n_kept)
{
    bool wake = false;
    if (n_kept == ch->n_versions) return;
    own_patches_undo(ch->own, ch->versions[n_kept] - 1);
    pthread_mutex_lock(&t->db->mu);
    for (int i = n_kept; i < ch->n_versions; i++)
        if (ch->stored[i]) {
            slot_kill(ch->slot, ch->versions[i]);
            wake = true;
        }
    if (wake) sweeper_wake(t->db);
    pthread_mutex_unlock(&t->db->mu);
    ch->n_versions = n_kept;
}

static void restore(struct txn *t, struct change *ch, const struct mark *m)
{
    kill_versions_from(t, ch, m->n_versions);
    def_unref(ch->def);
    ch->def = def_ref(m->def);
    ch->dropped = m->dropped;
    ch->touched = m->touched;
    ch->totals = m->totals;
    memcpy(ch->relabel, m->relabel, sizeof(ch->relabel));
}

static const struct mark *mark_of(const struct savepoint *sp, const struct change *ch)
{
    for (int i = 0; i < sp->n_marks; i++)
        if (sp->marks[i].change == ch) return &sp->marks[i];
    return NULL;
}

void slot_dropped(struct txn *t, struct slot *slot)
{
    pthread_mutex_lock(&t->db->mu);
    slot->dropped = true;
    sweeper_wake(t->db);
    pthread_mutex_unlock(&t->db->mu);
}

/* A change made after the savepoint: gone, as if it had never been. */
static void forget_change(struct txn *t, struct change *ch)
{
    kill_versions_from(t, ch, 0);
    if (!ch->base) slot_dropped(t, ch->slot);
    change_free(t, ch);
}

static void free_object_change(struct object_change *o)
{
    free(o->name);
    free(o->text);
}

static void go_back_to(struct txn *t, const struct savepoint *sp)
{
    struct change **at = &t->changes;
    while (*at) {
        struct change *ch = *at;
        const struct mark *m = mark_of(sp, ch);
        if (m) {
            restore(t, ch, m);
            at = &ch->next;
        } else {
            *at = ch->next;
            forget_change(t, ch);
        }
    }
    while (t->n_objects > sp->n_objects)
        free_object_change(&t->objects[--t->n_objects]);
    file_changes_cut(t, sp->n_files);
    txn_forget_runs(t, sp->n_runs);
}

int64_t change_kept_version(const struct txn *t, const struct change *ch)
{
    const struct savepoint *sp = t->top;
    while (sp && !sp->name) /* of a statement */
        sp = sp->below;
    const struct mark *m = sp ? mark_of(sp, ch) : NULL;
    return m && m->n_versions ? ch->versions[m->n_versions - 1] : 0;
}

static struct savepoint *named_savepoint(struct txn *t, const char *name)
{
    struct savepoint *sp = t->top;
    while (sp && !(sp->name && strcmp(sp->name, name) == 0))
        sp = sp->below;
    return sp;
}

enum status txn_savepoint(struct ctx *c, struct txn *t, const char *name)
{
    TRY(check_cancel(c));
    push_savepoint(t, name);
    return OK;
}

enum status txn_rollback_to(struct ctx *c, struct txn *t, const char *name)
{
    struct savepoint *sp = named_savepoint(t, name);
    if (!sp) return fail(c, ERR_UNDEFINED_SAVEPOINT, "savepoint \"%s\" does not exist", name);
    while (t->top != sp)
        pop_savepoint(t);
    go_back_to(t, sp);
    return OK;
}

enum status txn_release(struct ctx *c, struct txn *t, const char *name)
{
    struct savepoint *sp = named_savepoint(t, name);
    if (!sp) return fail(c, ERR_UNDEFINED_SAVEPOINT, "savepoint \"%s\" does not exist", name);
    while (t->top != sp)
        pop_savepoint(t);
    pop_savepoint(t);
    return OK;
}

enum status txn_statement_begin(struct ctx *c, struct txn *t)
{
    TRY(locks_busy(c, &t->db->locks, &t->owner));
    t->in_statement = true;
    push_savepoint(t, NULL);
    return OK;
}

void txn_statement_end(struct txn *t, bool keep)
{
    if (!t->in_statement) return;
    t->in_statement = false;
    struct savepoint **at = &t->top;
    while (*at && (*at)->name)
        at = &(*at)->below;
    struct savepoint *sp = *at;
    if (sp && keep) { /* SAVEPOINT itself stands above */
        *at = sp->below;
        free_savepoint(sp);
    } else if (sp) {
        while (t->top != sp)
            pop_savepoint(t);
        go_back_to(t, sp);
        pop_savepoint(t);
    }
    locks_idle(&t->db->locks, &t->owner);
}

/* ---- the end ---- */

void txn_free(struct txn *t)
{
    struct array *next;
    for (struct array *a = t->arrays; a; a = next) {
        next = a->next;
        array_close(a);
    }
    while (t->top)
        pop_savepoint(t);
    struct change *next_change;
    for (struct change *ch = t->changes; ch; ch = next_change) {
        next_change = ch->next;
        change_free(t, ch);
    }
    for (struct own_patches *own = t->own_patches, *later; own; own = later) {
        later = own->next;
        own_patches_free(own);
    }
    for (int i = 0; i < t->n_objects; i++)
        free_object_change(&t->objects[i]);
    free(t->objects);
    file_changes_cut(t, 0);
    free(t->files);
    txn_forget_runs(t, 0);
    free(t->runs);
    state_release(t->db, t->snapshot);
    locks_drop(&t->db->locks, &t->owner);
    arena_free(t->arena);
    free(t);
}

void txn_undo(struct txn *t)
{
    for (struct change *ch = t->changes; ch; ch = ch->next) {
        if (!t->owner.expired) kill_versions_from(t, ch, 0);
        if (!ch->base) slot_dropped(t, ch->slot);
    }
}

void txn_rollback(struct txn *t)
{
    if (!t) return;
    struct ctx ignored = {0};
    (void)locks_busy(&ignored, &t->db->locks, &t->owner);
    txn_undo(t);
    txn_free(t);
}
