/* Has a file changed since it was looked at, and is somebody writing it? */
#include "storage/files/file_mark.h"
#include "storage/files/source_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Times of files come from a clock that ticks at 100 Hz or faster. */
#define TICK_NS (20 * INT64_C(1000000))

static int64_t in_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void add(struct file_mark *m, const struct stat *st)
{
    int64_t modified = in_ns(st->st_mtim), changed = in_ns(st->st_ctim);
    m->n_bytes += S_ISDIR(st->st_mode) ? 0 : st->st_size;
    if (modified > m->modified_ns) m->modified_ns = modified;
    if (changed > m->changed_ns) m->changed_ns = changed;
}

static enum status mark_directory(struct ctx *c, const char *path, struct file_mark *m)
{
    char *copy = strdup(path), *list[] = {copy, NULL};
    FTS *walk = copy ? fts_open(list, FTS_LOGICAL | FTS_NOCHDIR, NULL) : NULL;
    enum status s = walk ? OK : fail(c, ERR_IO, "could not list \"%s\": %s", path, strerror(errno));
    for (FTSENT *e; s == OK && (e = fts_read(walk));) {
        if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR)
            s = file_cannot_open(c, e->fts_path, e->fts_errno);
        else if (e->fts_info != FTS_DP && e->fts_info != FTS_NS && e->fts_info != FTS_DC)
            add(m, e->fts_statp);
        if (s == OK) s = check_cancel(c);
    }
    if (walk) fts_close(walk);
    free(copy);
    return s;
}

static enum status mark(struct ctx *c, const char *path, struct file_mark *out)
{
    struct stat st;
    *out = (struct file_mark){0};
    if (stat(path, &st) < 0) return file_cannot_open(c, path, errno);
    if (S_ISDIR(st.st_mode)) return mark_directory(c, path, out);
    add(out, &st);
    return OK;
}

/* What is written within the tick of the last change would not show: that tick is waited for. (Git
 * calls such entries "racy".) */
enum status file_mark(struct ctx *c, const char *path, struct file_mark *out)
{
    for (;;) {
        struct timespec now, pause = {.tv_nsec = TICK_NS};
        TRY(mark(c, path, out));
        clock_gettime(CLOCK_REALTIME, &now);
        int64_t age = in_ns(now) - out->modified_ns;
        if (age < 0 || age >= TICK_NS) return OK;
        nanosleep(&pause, NULL);
    }
}

bool file_mark_equal(const struct file_mark *a, const struct file_mark *b)
{
    return a->n_bytes == b->n_bytes && a->modified_ns == b->modified_ns;
}

/* A lease for reading is granted only while nobody has the file open for writing (fcntl(2)). It is
 * given back at once; who opens the file in between makes the kernel send a signal, here one that
 * is ignored unless asked for. */
bool file_is_written(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    bool written = false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fcntl(fd, F_SETSIG, SIGURG) == 0) {
        written = fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN;
        if (!written) (void)fcntl(fd, F_SETLEASE, F_UNLCK);
    }
    close(fd);
    return written;
}

const char *file_full_name(struct ctx *c, const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *name = arena_strndup(c->arena, path, n), *slash = strrchr(name, '/');
    const char *folder = !slash          ? "."
                         : slash == name ? "/"
                                         : arena_strndup(c->arena, name, (size_t)(slash - name));
    char *full = realpath(folder, NULL);
    if (full && n > 0 && name[n - 1] != '/')
        name = arena_printf(c->arena, "%s/%s", strcmp(full, "/") ? full : "",
                            slash ? slash + 1 : name);
    free(full);
    return name;
}
