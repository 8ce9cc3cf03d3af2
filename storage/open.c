/* Which version of an array does a name mean, and what does a reader need to know of it? */
#include "storage/db_internal.h"
#include <stdlib.h>

static bool is_permuted(const struct schema *s)
{
    for (int d = 0; d < s->n_dims; d++)
        if (s->dims[d].axis.labels && s->dims[d].axis.labels->stored) return true;
    return false;
}

static struct array *make(struct txn *t, struct slot *slot, struct def *def, int64_t version,
                          const struct totals *totals, struct own_patches *own)
{
    struct array *a = calloc(1, sizeof(*a));
    if (!a) abort();
    a->txn = t;
    a->db = t->db;
    a->slot = slot;
    a->def = def_ref(def);
    a->version = version;
    a->totals = *totals;
    pthread_mutex_lock(&t->db->mu);
    a->dead = malloc(sizeof(*a->dead) * (size_t)(slot->n_dead + 1));
    if (!a->dead) abort();
    int n = 0;
    while (n < slot->n_dead && slot->dead[n] < version) {
        a->dead[n] = slot->dead[n];
        n++;
    }
    pthread_mutex_unlock(&t->db->mu);
    a->view = (struct store_view){.version = version, .dead = a->dead, .n_dead = n};
    schema_tile_extents(&def->s, a->extents);
    a->tile_cells = 1;
    for (int d = 0; d < def->s.n_dims; d++)
        a->tile_cells *= a->extents[d];
    a->permuted = is_permuted(&def->s);
    a->own = own;
    a->patched = patches_any(a);
    a->next = t->arrays;
    t->arrays = a;
    return a;
}

static struct array *already_open(struct txn *t, const struct slot *slot, int64_t version,
                                  const struct def *def)
{
    for (struct array *a = t->arrays; a; a = a->next)
        if (a->slot == slot && a->version == version && a->def == def) return a;
    return NULL;
}

static void drop_lease(struct db *db, struct lease *l)
{
    if (!l) return;
    pthread_mutex_lock(&db->mu);
    struct lease **at = &db->leases;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
    pthread_mutex_unlock(&db->mu);
    free(l);
}

void array_close(struct array *a)
{
    drop_lease(a->db, a->lease);
    rev_unref(a->rev);
    def_unref(a->def);
    free(a->dead);
    free(a);
}

enum status change_open(struct ctx *c, struct txn *t, struct change *ch, struct array **out)
{
    int64_t version = ch->base ? ch->base->version : 0;
    TRY(check_cancel(c));
    if (ch->n_versions) version = ch->versions[ch->n_versions - 1];
    struct array *a = ch->opened;
    if (!a || a->version != version || a->def != ch->def) {
        a = make(t, ch->slot, ch->def, version, &ch->totals, ch->own);
        if (ch->base) a->rev = rev_ref(ch->base);
        ch->opened = a;
    }
    *out = a;
    return OK;
}

static enum status open_rev(struct ctx *c, struct txn *t, struct rev *r, struct array **out)
{
    struct def *d;
    TRY(rev_def(c, r, &d));
    *out = already_open(t, r->slot, r->version, d);
    if (*out) return OK;
    *out = make(t, r->slot, d, r->version, &r->totals, NULL);
    (*out)->rev = rev_ref(r);
    return OK;
}

static enum status no_version(struct ctx *c, const struct array_ref *ref)
{
    if (ref->version)
        return fail_at(c, ERR_UNDEFINED_OBJECT, ref->position, "array \"%s\" has no version %lld",
                       ref->name, (long long)ref->version);
    struct value when = value_int(T_TIMESTAMP, ref->as_of_us);
    struct strbuf text = STRBUF_INIT;
    value_format(&when, &text);
    enum status s = fail_at(c, ERR_UNDEFINED_OBJECT, ref->position,
                            "array \"%s\" has no version as old as %s", ref->name, text.s);
    strbuf_release(&text);
    return s;
}

/* Leases the version, so that no sweep takes it away; false when one already may have. */
static struct lease *take_lease(struct db *db, const struct slot *slot, int64_t version)
{
    struct lease *l = NULL;
    pthread_mutex_lock(&db->mu);
    if (version >= slot->oldest) {
        l = calloc(1, sizeof(*l));
        if (!l) abort();
        *l = (struct lease){.next = db->leases, .array = slot->id, .version = version};
        db->leases = l;
    }
    pthread_mutex_unlock(&db->mu);
    return l;
}

static enum status open_old(struct ctx *c, struct txn *t, struct rev *r,
                            const struct array_ref *ref, struct array **out)
{
    struct version_row row;
    bool found;
    for (struct array *a = t->arrays; a && ref->version; a = a->next)
        if (a->slot == r->slot && a->version == ref->version && a->lease) {
            *out = a; /* what the transaction has seen stays, whatever is retired meanwhile */
            return OK;
        }
    TRY(catalog_version_find(c, t->db->catalog, r->slot->id, ref->version, ref->as_of_us, &row,
                             &found));
    if (found && row.version >= r->version) {
        if (ref->version > r->version) return no_version(c, ref); /* newer than the snapshot */
        return open_rev(c, t, r, out);
    }
    struct lease *l = found ? take_lease(t->db, r->slot, row.version) : NULL;
    if (!l) return no_version(c, ref);
    struct def *d = NULL;
    enum status s = def_load(c, t->db->catalog, r->slot->id, row.version, &d);
    if (s < 0) {
        drop_lease(t->db, l);
        return s;
    }
    *out = make(t, r->slot, d, row.version, &row.totals, NULL);
    (*out)->rev = rev_ref(r); /* keeps the slot */
    (*out)->lease = l;
    (*out)->patched = patches_any(*out);
    def_unref(d);
    return OK;
}

enum status array_open(struct ctx *c, struct txn *t, const struct array_ref *ref,
                       struct array **out)
{
    struct change *ch;
    struct rev *r;
    TRY(txn_snapshot(c, t));
    txn_find(t, ref->name, &ch, &r);
    if (!ch && !r) return undefined_array(c, t, ref->name, ref->position);
    if (ref->version || ref->as_of_us) {
        struct rev *committed = ch ? ch->base : r;
        if (!committed) return no_version(c, ref);
        return open_old(c, t, committed, ref, out);
    }
    return ch ? change_open(c, t, ch, out) : open_rev(c, t, r, out);
}

enum status array_find(struct ctx *c, struct txn *t, uint32_t id, struct array **out)
{
    TRY(txn_snapshot(c, t));
    *out = NULL;
    for (struct change *ch = t->changes; ch; ch = ch->next)
        if (ch->slot->id == id) return ch->dropped ? OK : change_open(c, t, ch, out);
    struct rev *r = state_find_id(t->snapshot, id);
    return r ? open_rev(c, t, r, out) : OK;
}

const struct schema *array_schema(const struct array *a)
{
    return &a->def->s;
}

int64_t array_version(const struct array *a)
{
    return a->version;
}
