/* How does a data directory come to stand a second time, whole, while it is being written?
 *
 * The catalog is copied first, then the tiles, with sweeping held: every tile that the copied
 * catalog knows is in the copied store. What the store has beyond that belongs to versions that
 * were begun meanwhile: the copy's catalog is told of them as pending, so that its first start
 * makes them dead. The format file comes last; without it a directory is not opened. */
#include "storage/db_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct backup {
    char *dir, *catalog, *tiles, *format;
    bool made; /* the directory, by this backup */
};

static char *path_of(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *p = malloc(n);
    if (!p) abort();
    snprintf(p, n, "%s/%s", dir, name);
    return p;
}

static enum status failed(struct ctx *c, const char *what, const char *path)
{
    return fail(c, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                "could not %s \"%s\": %s", what, path, strerror(errno));
}

/* An empty directory, made if it is missing. */
static enum status take_directory(struct ctx *c, struct backup *b)
{
    if (mkdir(b->dir, 0700) == 0) {
        b->made = true;
        return OK;
    }
    if (errno != EEXIST) return failed(c, "create directory", b->dir);
    DIR *d = opendir(b->dir);
    if (!d) return failed(c, "open directory", b->dir);
    bool empty = true;
    for (const struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) empty = false;
    closedir(d);
    if (empty) return OK;
    fail(c, ERR_FILE_EXISTS, "directory \"%s\" exists and is not empty", b->dir);
    return hint(c, "A backup goes to a directory that is empty, or not there yet.");
}

static enum status sync_directory(struct ctx *c, const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed(c, "open directory", dir);
    enum status st = fsync(fd) == 0 ? OK : failed(c, "write directory", dir);
    close(fd);
    return st;
}

/* Versions that the live database has given out since the catalog was copied. */
static enum status tell_of_later_versions(struct ctx *c, struct db *db, struct catalog *copy)
{
    struct arena *a = arena_new();
    struct counter_row *known;
    int n = 0;
    uint32_t next_array;
    enum status st = catalog_counters(c, copy, a, &known, &n, &next_array);
    pthread_mutex_lock(&db->mu);
    int n_slots = db->n_slots;
    struct counter_row *now = arena_array(a, struct counter_row, n_slots + 1);
    for (int i = 0; i < n_slots; i++)
        now[i] = (struct counter_row){db->slots[i]->id, db->slots[i]->next_version};
    pthread_mutex_unlock(&db->mu);
    for (int i = 0; i < n_slots && st == OK; i++) {
        int64_t next = 1;
        for (int k = 0; k < n; k++)
            if (known[k].array == now[i].array) next = known[k].next_version;
        for (int64_t v = next; v < now[i].next_version && st == OK; v++)
            st = catalog_pending(c, copy, now[i].array, v);
    }
    arena_free(a);
    return st;
}

static enum status finish_catalog(struct ctx *c, struct db *db, const struct backup *b)
{
    struct catalog *copy = NULL;
    TRY(catalog_open(c, b->catalog, true, &copy));
    enum status st = tell_of_later_versions(c, db, copy);
    catalog_close(copy);
    return st;
}

static enum status copy_all(struct ctx *c, struct db *db, struct backup *b)
{
    TRY(take_directory(c, b));
    TRY(catalog_copy(c, db->catalog, b->catalog));
    TRY(store_copy(c, db->store, b->tiles));
    TRY(finish_catalog(c, db, b));
    TRY(sync_directory(c, b->dir));
    TRY(db_write_format(c, b->dir, true));
    return sync_directory(c, b->dir);
}

static void remove_all(const struct backup *b)
{
    char *wal = path_of(b->dir, "catalog-wal");
    unlink(b->format);
    unlink(b->catalog);
    unlink(wal);
    unlink(b->tiles);
    if (b->made) rmdir(b->dir);
    free(wal);
}

enum status db_backup(struct ctx *c, struct db *db, const char *dir)
{
    struct backup b = {.dir = strdup(dir),
                       .catalog = path_of(dir, "catalog"),
                       .tiles = path_of(dir, "tiles"),
                       .format = path_of(dir, "VERSION")};
    enum status st = OK;
    if (atomic_load(&db->unknown_outcome))
        st = fail(c, ERR_IO, "whether an earlier COMMIT reached the disk is unknown");
    if (st == OK) {
        pthread_mutex_lock(&db->sweep_mu);
        st = copy_all(c, db, &b);
        pthread_mutex_unlock(&db->sweep_mu);
        if (st < 0 && st != ERR_FILE_EXISTS) remove_all(&b);
    }
    free(b.dir);
    free(b.catalog);
    free(b.tiles);
    free(b.format);
    return st;
}
