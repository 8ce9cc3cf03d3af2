/* How what COPY remembers of its files lies in the catalog: one row a file of an array, of the last
 * time that it was taken up. */
#include "storage/catalog_internal.h"

static void read_file(struct catalog *cat, enum query q, struct arena *a, struct loaded_file *f)
{
    *f = (struct loaded_file){.name = catalog_text(cat, q, 0, a),
                              .n_bytes = catalog_int(cat, q, 1),
                              .modified_ns = catalog_int(cat, q, 2),
                              .changed_ns = catalog_int(cat, q, 3),
                              .loaded_us = catalog_int(cat, q, 4),
                              .n_cells = catalog_int(cat, q, 5),
                              .reason = catalog_text(cat, q, 6, a),
                              .schedule = catalog_text(cat, q, 7, a),
                              .slot_us = catalog_int(cat, q, 8)};
}

enum status catalog_file(struct ctx *c, struct catalog *cat, uint32_t array, const char *name,
                         struct arena *a, struct loaded_file *out, bool *found)
{
    *found = false;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_FILE, "it", (int64_t)array, name);
    for (; catalog_next(c, cat, Q_FILE, &s); *found = true)
        read_file(cat, Q_FILE, a, out);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_files(struct ctx *c, struct catalog *cat, uint32_t array, struct arena *a,
                          struct loaded_file **files, int *n)
{
    *n = 0;
    *files = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_FILES, "i", (int64_t)array);
    for (; catalog_next(c, cat, Q_FILES, &s); ++*n) {
        *files = arena_room(a, *files, *n, sizeof(**files));
        read_file(cat, Q_FILES, a, &(*files)[*n]);
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_put_file(struct ctx *c, struct catalog *cat, uint32_t array,
                             const struct loaded_file *f)
{
    return catalog_run(c, cat, Q_PUT_FILE, "itiiiiitti", (int64_t)array, f->name, f->n_bytes,
                       f->modified_ns, f->changed_ns, f->loaded_us, f->n_cells, f->reason,
                       f->schedule, f->slot_us);
}

enum status catalog_forget_files(struct ctx *c, struct catalog *cat, uint32_t array)
{
    return catalog_run(c, cat, Q_FORGET_FILES, "i", (int64_t)array);
}
