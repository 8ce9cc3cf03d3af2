/* How what transactions did is published: those that come while a commit is under way are committed
 * together, in one transaction of the catalog, by the first of them.
 *
 * Group commit: DeWitt et al., "Implementation techniques for main memory database systems", SIGMOD
 * 1984. Members keep their order; when one of a group fails, each is tried alone, so that an error
 * is its own. */
#include "storage/db_internal.h"
#include "storage/fault.h"
#include <stdlib.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

/* One transaction that waits to be published. */
struct commit {
    struct commit *next;
    struct ctx *c;
    struct txn *t;
    int n;                  /* changes */
    int64_t *versions;      /* the numbers that it gives them; 0: nothing to publish */
    struct patch **patches; /* of each */
    int64_t now_us;
    enum status status;
    bool done;
};

/* ---- in the catalog ---- */

static enum status put_change(struct ctx *c, struct txn *t, struct change *ch, int64_t now_us,
                              int64_t version, const struct patch *patches)
{
    struct catalog *cat = t->db->catalog;
    struct def *base = NULL;
    if (ch->base) base = atomic_load(&ch->base->def);
    for (int i = 0; i + 1 < ch->n_versions; i++) {
        struct version_row merged = {.array = ch->slot->id,
                                     .version = ch->versions[i],
                                     .state = VERSION_MERGED,
                                     .committed_us = now_us};
        if (ch->stored[i]) TRY(catalog_put_version(c, cat, &merged));
    }
    struct version_row row = {.array = ch->slot->id,
                              .version = version,
                              .state = ch->dropped ? VERSION_DEAD : VERSION_LIVE,
                              .committed_us = now_us,
                              .totals = ch->totals};
    TRY(catalog_put_version(c, cat, &row));
    for (const struct patch *p = patches; p; p = p->more)
        TRY(catalog_put_patch(c, cat, &p->key, p->bytes, p->n_bytes));
    return catalog_put_schema(c, cat, base ? &base->s : NULL, ch->dropped ? NULL : &ch->def->s,
                              ch->relabel, version);
}

static enum status put_all(const struct commit *m)
{
    struct txn *t = m->t;
    enum status s = OK;
    int i = 0;
    for (struct change *ch = t->changes; s == OK && ch; ch = ch->next, i++)
        if (m->versions[i]) s = put_change(m->c, t, ch, m->now_us, m->versions[i], m->patches[i]);
    for (int k = 0; s == OK && k < t->n_objects; k++)
        s = catalog_put_object(m->c, t->db->catalog, t->objects[k].kind, t->objects[k].name,
                               t->objects[k].text);
    if (s == OK) s = file_changes_publish(m->c, t, m->now_us);
    if (s == OK) s = txn_put_runs(m->c, t);
    return s == OK ? check_cancel(m->c) : s;
}

/* ---- in memory ---- */

/* The oldest version of an array that a snapshot holds. Under mu. */
static int64_t oldest_held(const struct db *db, const struct slot *slot)
{
    int64_t oldest = INT64_MAX;
    for (const struct state *s = db->states; s; s = s->next) {
        const struct rev *r = state_find_id(s, slot->id);
        if (r && r->version < oldest) oldest = r->version;
    }
    return oldest;
}

static struct rev *show_change(struct commit *m, struct change *ch, int i)
{
    struct db *db = m->t->db;
    struct rev *r = NULL;
    int64_t version = m->versions[i], oldest = 0;
    if (!ch->dropped) {
        r = rev_new(db, ch->slot, ch->def->s.name, version);
        r->committed_us = m->now_us;
        r->totals = ch->totals;
        atomic_store(&r->def, def_ref(ch->def));
    }
    pthread_mutex_lock(&db->mu);
    if (ch->dropped) ch->slot->dropped = true;
    if (!ch->slot->oldest) ch->slot->oldest = version;
    for (int k = 0; k + 1 < ch->n_versions; k++)
        if (ch->stored[k]) ch->slot->needs_sweep = true;
    if (ch->slot->needs_sweep || ch->slot->dropped) sweeper_wake(db);
    if (ch->own) oldest = oldest_held(db, ch->slot);
    pthread_mutex_unlock(&db->mu);
    patches_show(db, ch->slot, m->patches[i], ch->own, ch->def->s.n_dims, version, oldest);
    m->patches[i] = NULL;
    return r;
}

static void show(struct commit *m)
{
    struct txn *t = m->t;
    struct state_edit e = {0};
    e.ids = must(calloc((size_t)m->n + 1, sizeof(*e.ids)));
    e.revs = must(calloc((size_t)m->n + 1, sizeof(*e.revs)));
    e.objects = must(calloc((size_t)t->n_objects + 1, sizeof(struct object *)));
    int i = 0;
    for (struct change *ch = t->changes; ch; ch = ch->next, i++) {
        if (!m->versions[i]) continue;
        e.ids[e.n_revs] = ch->slot->id;
        e.revs[e.n_revs++] = show_change(m, ch, i);
    }
    for (int k = 0; k < t->n_objects; k++) {
        bool last = true; /* only the last word on a name counts */
        for (int j = k + 1; j < t->n_objects; j++)
            if (t->objects[j].kind == t->objects[k].kind &&
                strcmp(t->objects[j].name, t->objects[k].name) == 0)
                last = false;
        if (last)
            e.objects[e.n_objects++] =
                object_new(t->objects[k].kind, t->objects[k].name, t->objects[k].text);
    }
    if (e.n_revs || e.n_objects) state_publish(t->db, &e);
    schedules_committed(t);
    t->db->last_commit_us = m->now_us;
    free(e.ids);
    free(e.revs);
    free(e.objects);
}

/* ---- a group ---- */

/* All or none of the members from `first` up to `end`. Under publish_mu. */
static enum status publish(struct db *db, struct commit *first, const struct commit *end)
{
    bool unknown = false;
    int64_t now_us = wall_us();
    enum status s = OK;
    for (struct commit *m = first; s == OK && m != end; m = m->next)
        s = check_cancel(m->c);
    if (s < 0) return s;
    if (now_us <= db->last_commit_us) now_us = db->last_commit_us + 1;
    TRY(catalog_begin(first->c, db->catalog));
    for (struct commit *m = first; s == OK && m != end; m = m->next) {
        m->now_us = now_us++;
        s = put_all(m);
    }
    if (s < 0) {
        catalog_abort(db->catalog);
        return s;
    }
    s = catalog_commit(first->c, db->catalog, &unknown);
    if (unknown) atomic_store(&db->unknown_outcome, true);
    if (s < 0) return s;
    struct ctx nobody = {0}; /* it is committed: this point can only die */
    (void)fault_point(&nobody, FAULT_PUBLISHED);
    for (struct commit *m = first; m != end; m = m->next)
        show(m);
    return OK;
}

void published_begin(struct db *db)
{
    pthread_mutex_lock(&db->publish_mu);
}

void published_end(struct db *db)
{
    pthread_mutex_unlock(&db->publish_mu);
}

static void publish_group(struct db *db, struct commit *group)
{
    pthread_mutex_lock(&db->publish_mu);
    enum status s = publish(db, group, NULL);
    bool alone = s < 0 && group->next && !atomic_load(&db->unknown_outcome);
    for (struct commit *m = group; m; m = m->next) {
        m->status = s;
        if (alone) {
            ctx_clear(m->c);
            m->status = txn_may_write(m->c, m->t);
            if (m->status == OK) m->status = publish(db, m, m->next);
        } else if (s < 0 && m != group) {
            (void)fail(m->c, s, "%s", group->c->err.message);
        }
    }
    pthread_mutex_unlock(&db->publish_mu);
}

/* Waits until somebody has published it, or does so for all that wait. */
static void join_group(struct db *db, struct commit *me)
{
    pthread_mutex_lock(&db->commit_mu);
    *db->commits_end = me;
    db->commits_end = &me->next;
    while (!me->done && db->commit_leads)
        pthread_cond_wait(&db->commit_cond, &db->commit_mu);
    if (!me->done) {
        struct commit *group = db->commits;
        db->commits = NULL;
        db->commits_end = &db->commits;
        db->commit_leads = true;
        pthread_mutex_unlock(&db->commit_mu);
        publish_group(db, group);
        pthread_mutex_lock(&db->commit_mu);
        db->commit_leads = false;
        for (struct commit *m = group, *next; m; m = next) {
            next = m->next; /* who is done may go */
            m->done = true;
        }
        pthread_cond_broadcast(&db->commit_cond);
    }
    pthread_mutex_unlock(&db->commit_mu);
}

/* ---- one transaction ---- */

static int64_t last_version(struct txn *t, struct change *ch)
{
    return ch->n_versions ? ch->versions[ch->n_versions - 1] : change_new_version(t, ch);
}

static void prepare(struct commit *m)
{
    struct txn *t = m->t;
    int i = 0;
    for (struct change *ch = t->changes; ch; ch = ch->next)
        m->n++;
    m->versions = must(calloc((size_t)m->n + 1, sizeof(*m->versions)));
    m->patches = must(calloc((size_t)m->n + 1, sizeof(struct patch *)));
    for (struct change *ch = t->changes; ch; ch = ch->next, i++) {
        if (!ch->touched || (ch->dropped && !ch->base)) continue;
        m->versions[i] = last_version(t, ch);
        if (!ch->dropped) m->patches[i] = own_patches_publish(ch->own, m->versions[i]);
    }
}

static void release(struct commit *m)
{
    for (int i = 0; i < m->n; i++)
        for (struct patch *p = m->patches[i], *more; p; p = more) {
            more = p->more;
            free(p);
        }
    free(m->patches);
    free(m->versions);
}

enum status txn_commit(struct ctx *c, struct txn *t)
{
    enum status s = locks_busy(c, &t->db->locks, &t->owner);
    bool writes = txn_has_writes(t);
    if (s == OK && writes) s = txn_may_write(c, t);
    if (s < 0 || !writes) {
        txn_undo(t);
        txn_free(t);
        return s;
    }
    struct db *db = t->db;
    struct commit me = {.c = c, .t = t};
    prepare(&me);
    join_group(db, &me);
    s = me.status;
    release(&me);
    if (s < 0 && !atomic_load(&db->unknown_outcome)) txn_undo(t);
    if (s == OK)
        for (struct change *ch = t->changes; ch; ch = ch->next)
            if (ch->dropped && !ch->base) slot_dropped(t, ch->slot);
    txn_free(t);
    return s;
}
