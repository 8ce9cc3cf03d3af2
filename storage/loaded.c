/* Which files has an array been loaded from, as a transaction sees it?
 *
 * What a transaction adds waits in it, undone with its savepoints, and reaches the catalog in the
 * transaction that publishes the cells: so a file is remembered if and only if they are there. */
#include "storage/db_internal.h"
#include <stdlib.h>

static void *must(void *p)
{
    if (!p) abort();
    return p;
}

static char *copy_text(const char *s)
{
    return s ? must(strdup(s)) : NULL;
}

static struct file_change *add(struct txn *t, struct slot *slot)
{
    if (t->n_files == t->cap_files) {
        t->cap_files = t->cap_files ? 2 * t->cap_files : 16;
        t->files = must(realloc(t->files, sizeof(*t->files) * (size_t)t->cap_files));
    }
    struct file_change *f = &t->files[t->n_files++];
    *f = (struct file_change){.slot = slot};
    return f;
}

enum status array_put_file(struct ctx *c, struct txn *t, const char *array,
                           const struct loaded_file *file)
{
    struct change *ch;
    TRY(txn_change(c, t, array, &ch));
    struct file_change *f = add(t, ch->slot);
    f->file = *file;
    f->file.name = copy_text(file->name);
    f->file.reason = copy_text(file->reason);
    f->file.schedule = copy_text(file->schedule);
    return OK;
}

void files_forget(struct txn *t, struct slot *slot)
{
    add(t, slot);
}

void file_changes_cut(struct txn *t, int n)
{
    while (t->n_files > n) {
        const struct loaded_file *f = &t->files[--t->n_files].file;
        free((void *)(uintptr_t)f->name);
        free((void *)(uintptr_t)f->reason);
        free((void *)(uintptr_t)f->schedule);
    }
}

enum status file_changes_publish(struct ctx *c, struct txn *t, int64_t now_us)
{
    for (int i = 0; i < t->n_files; i++) {
        struct file_change *f = &t->files[i];
        f->file.loaded_us = now_us;
        TRY(f->file.name ? catalog_put_file(c, t->db->catalog, f->slot->id, &f->file)
                         : catalog_forget_files(c, t->db->catalog, f->slot->id));
    }
    return OK;
}

/* Has this transaction the last word on the file? *f NULL: that it is not known. */
static bool own_word(const struct txn *t, const struct slot *slot, const char *name,
                     const struct loaded_file **f)
{
    *f = NULL;
    for (int i = t->n_files - 1; i >= 0; i--) {
        const struct file_change *k = &t->files[i];
        if (k->slot != slot || (k->file.name && strcmp(k->file.name, name) != 0)) continue;
        if (k->file.name) *f = &k->file;
        return true;
    }
    return false;
}

enum status array_file(struct ctx *c, struct array *a, const char *name, struct loaded_file *out,
                       bool *found)
{
    const struct loaded_file *own;
    if (own_word(a->txn, a->slot, name, &own)) {
        *found = own != NULL;
        if (own) *out = *own;
        return OK;
    }
    published_begin(a->db);
    enum status s = catalog_file(c, a->db->catalog, a->slot->id, name, a->txn->arena, out, found);
    published_end(a->db);
    return s;
}

enum status array_files(struct ctx *c, struct array *a, struct arena *arena,
                        struct loaded_file **files, int *n)
{
    const struct txn *t = a->txn;
    const struct loaded_file *own;
    struct loaded_file *there;
    int n_there;
    published_begin(a->db);
    enum status s = catalog_files(c, a->db->catalog, a->slot->id, arena, &there, &n_there);
    published_end(a->db);
    if (s < 0) return s;
    *files = arena_array(arena, struct loaded_file, n_there + t->n_files + 1);
    *n = 0;
    for (int i = 0; i < n_there; i++)
        if (!own_word(t, a->slot, there[i].name, &own)) (*files)[(*n)++] = there[i];
    for (int i = 0; i < t->n_files; i++) {
        const struct file_change *k = &t->files[i];
        if (k->slot != a->slot || !k->file.name) continue;
        if (own_word(t, a->slot, k->file.name, &own) && own == &k->file) (*files)[(*n)++] = k->file;
    }
    return OK;
}
