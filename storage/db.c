/* What a data directory holds, and how it is opened and closed.
 *
 *   lock      held with flock by the process that has the directory open
 *   VERSION   "tessera 1": the format of everything here
 *   catalog   SQLite: arrays, versions, views (catalog.c)
 *   tiles     LMDB: the cells (store.c)
 *   tmp/      spilled data, emptied at open */
#include "storage/db_internal.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_TEXT "tessera 1\n"
#define LEAST_CACHE_BYTES (INT64_C(8) << 20)

static char *path_in(const char *dir, const char *name)
{
    char *p = NULL;
    if (asprintf(&p, "%s/%s", dir, name) < 0) abort();
    return p;
}

static enum status io_failed(struct ctx *c, const char *doing, const char *path)
{
    enum status code = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    return fail(c, code, "could not %s \"%s\": %s", doing, path, strerror(errno));
}

static bool exists(const char *dir, const char *name)
{
    char *p = path_in(dir, name);
    struct stat st;
    bool yes = stat(p, &st) == 0;
    free(p);
    return yes;
}

/* Nothing but what a server may put there before it opens the database. */
static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    bool empty = d != NULL;
    struct dirent *e;
    while (empty && (e = readdir(d)))
        if (e->d_name[0] != '.' && strcmp(e->d_name, "lock") != 0 &&
            strcmp(e->d_name, "log") != 0 && strcmp(e->d_name, "tessera.conf") != 0)
            empty = false;
    if (d) closedir(d);
    return empty;
}

/* Somebody else's directory stays as it is: not even a lock is made in it. */
static enum status refuse_foreign(struct ctx *c, const struct db *db)
{
    struct stat st;
    if (stat(db->dir, &st) != 0 || !S_ISDIR(st.st_mode) || exists(db->dir, "VERSION") ||
        is_empty(db->dir))
        return OK;
    return fail(c, ERR_FORMAT_VERSION, "\"%s\" is not a data directory of Tessera", db->dir);
}

static enum status take_lock(struct ctx *c, struct db *db)
{
    char *p = path_in(db->dir, "lock");
    enum status s = OK;
    db->lock_fd = open(p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (db->lock_fd < 0)
        s = io_failed(c, "open", p);
    else if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0)
        s = errno == EWOULDBLOCK
                ? fail(c, ERR_DIR_IN_USE, "the data directory \"%s\" is in use by another server",
                       db->dir)
                : io_failed(c, "lock", p);
    free(p);
    return s;
}

static enum status write_text(struct ctx *c, const char *path, bool sync)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return io_failed(c, "create", path);
    enum status s = OK;
    if (write(fd, FORMAT_TEXT, sizeof(FORMAT_TEXT) - 1) != sizeof(FORMAT_TEXT) - 1 ||
        (sync && fsync(fd) != 0))
        s = io_failed(c, "write", path);
    close(fd);
    return s;
}

/* Whole or not at all: it has another name until it is written. */
enum status db_write_format(struct ctx *c, const char *dir, bool sync)
{
    char *fresh = path_in(dir, ".VERSION"), *path = path_in(dir, "VERSION");
    enum status s = write_text(c, fresh, sync);
    if (s == OK && rename(fresh, path) != 0) s = io_failed(c, "create", path);
    if (s < 0) unlink(fresh);
    free(fresh);
    free(path);
    return s;
}

static enum status check_format(struct ctx *c, struct db *db)
{
    char *p = path_in(db->dir, "VERSION"), text[64] = "";
    enum status s = OK;
    int fd = open(p, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t n = read(fd, text, sizeof(text) - 1);
        close(fd);
        if (n < 0) {
            s = io_failed(c, "read", p);
        } else if (strcmp(text, FORMAT_TEXT) != 0) {
            text[strcspn(text, "\n")] = '\0';
            s = fail(c, ERR_FORMAT_VERSION,
                     "the data directory \"%s\" is of another format version: \"%s\"", db->dir,
                     text);
            hint(c, "This program reads \"tessera 1\".");
        }
    } else if (errno == ENOENT && is_empty(db->dir) && db->options.create) {
        s = db_write_format(c, db->dir, db->options.sync);
    } else if (errno == ENOENT) {
        s = fail(c, ERR_FORMAT_VERSION, "\"%s\" is not a data directory of Tessera", db->dir);
    } else {
        s = io_failed(c, "open", p);
    }
    free(p);
    return s;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    if (where->level > 0) (void)remove(path);
    return 0;
}

static enum status empty_tmp(struct ctx *c, struct db *db)
{
    if (mkdir(db->tmp, 0700) != 0 && errno != EEXIST) return io_failed(c, "create", db->tmp);
    (void)nftw(db->tmp, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return OK;
}

/* A file whose only use is to be removed: on a full disk SQLite could not make its log, and nothing
 * could be read. It is made again at the next open that finds room. */
static const off_t RESERVE_BYTES = 1 << 20;

static bool release_reserve(struct db *db)
{
    char *p = path_in(db->dir, "reserve");
    bool released = unlink(p) == 0;
    free(p);
    return released;
}

static void keep_reserve(struct db *db)
{
    if (exists(db->dir, "reserve")) return;
    char *p = path_in(db->dir, "reserve");
    int fd = open(p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0) (void)unlink(p);
        close(fd);
    }
    free(p);
}

static enum status try_catalog(struct ctx *c, struct db *db)
{
    char *p = path_in(db->dir, "catalog");
    enum status s = catalog_open(c, p, db->options.sync, &db->catalog);
    free(p);
    if (s == OK) s = catalog_bury_pending(c, db->catalog);
    if (s == OK) s = catalog_crash_runs(c, db->catalog, wall_us());
    int64_t next_run = 1;
    if (s == OK) s = catalog_next_run(c, db->catalog, &next_run);
    atomic_store(&db->next_run, next_run);
    return s;
}

static enum status open_catalog(struct ctx *c, struct db *db)
{
    if (exists(db->dir, "tiles") && !exists(db->dir, "catalog"))
        return fail(c, ERR_CORRUPT, "the data directory \"%s\" has tiles but no catalog", db->dir);
    enum status s = try_catalog(c, db);
    if ((s == ERR_IO || s == ERR_DISK_FULL) && release_reserve(db)) {
        catalog_close(db->catalog);
        db->catalog = NULL;
        ctx_clear(c);
        s = try_catalog(c, db);
    }
    if (s == OK) s = state_load(c, db);
    return s;
}

static enum status open_store(struct ctx *c, struct db *db)
{
    char *p = path_in(db->dir, "tiles");
    struct store_options o = {.quota_bytes = db->options.quota_bytes,
                              .create = db->next_array ==
                                        1, /* no array was ever made: no tile can be missing */
                              .sync = db->options.sync};
    enum status s = store_open(c, p, &o, &db->store);
    free(p);
    return s;
}

static enum status open_cache(struct ctx *c, struct db *db)
{
    int64_t bytes = db->options.cache_bytes;
    if (!bytes) bytes = db->budget->limit_bytes / 4;
    if (bytes < LEAST_CACHE_BYTES && !db->options.cache_bytes) bytes = LEAST_CACHE_BYTES;
    return cache_new(c, db->budget, bytes, &db->cache);
}

enum status db_open(struct ctx *c, const char *dir, const struct db_options *o,
                    struct budget *server, struct db **out)
{
    struct db *db = calloc(1, sizeof(*db));
    if (!db) return fail(c, ERR_MEMORY, "out of memory");
    db->options = *o;
    db->budget = server;
    db->lock_fd = -1;
    db->dir = strdup(dir);
    db->tmp = path_in(dir, "tmp");
    pthread_mutex_init(&db->mu, NULL);
    pthread_mutex_init(&db->publish_mu, NULL);
    pthread_mutex_init(&db->commit_mu, NULL);
    pthread_cond_init(&db->commit_cond, NULL);
    db->commits_end = &db->commits;
    pthread_mutex_init(&db->sweep_mu, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&db->changed, &attr);
    pthread_cond_init(&db->schedules_cond, &attr);
    pthread_mutex_init(&db->schedules_mu, NULL);
    pthread_condattr_destroy(&attr);
    locks_init(&db->locks, o->lock_timeout_ms, o->idle_in_transaction_ms);
    enum status s = OK;
    if (o->create && mkdir(dir, 0700) != 0 && errno != EEXIST) s = io_failed(c, "create", dir);
    if (s == OK) s = refuse_foreign(c, db);
    if (s == OK) s = take_lock(c, db);
    if (s == OK) s = check_format(c, db);
    if (s == OK) s = empty_tmp(c, db);
    if (s == OK) s = open_catalog(c, db);
    if (s == OK) s = open_store(c, db);
    if (s == OK) s = patches_load(c, db);
    if (s == OK) s = open_cache(c, db);
    if (s == OK) s = sweeper_start(c, db);
    if (s == OK) keep_reserve(db);
    if (s < 0) {
        db_close(db);
        return s;
    }
    *out = db;
    return OK;
}

void db_close(struct db *db)
{
    if (!db) return;
    sweeper_stop(db);
    state_release(db, db->current);
    cache_free(db->cache);
    store_close(db->store);
    catalog_close(db->catalog);
    for (int i = 0; i < db->n_slots; i++) {
        patches_free(db, &db->slots[i]->patches);
        free(db->slots[i]->dead);
        free(db->slots[i]);
    }
    free(db->slots);
    locks_release(&db->locks);
    pthread_cond_destroy(&db->changed);
    pthread_cond_destroy(&db->schedules_cond);
    pthread_mutex_destroy(&db->schedules_mu);
    pthread_mutex_destroy(&db->sweep_mu);
    pthread_mutex_destroy(&db->publish_mu);
    pthread_cond_destroy(&db->commit_cond);
    pthread_mutex_destroy(&db->commit_mu);
    pthread_mutex_destroy(&db->mu);
    if (db->lock_fd >= 0) close(db->lock_fd);
    free(db->tmp);
    free(db->dir);
    free(db);
}

const char *db_tmp(const struct db *db)
{
    return db->tmp;
}
