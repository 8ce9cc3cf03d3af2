/* How is the LMDB file copied while others write? LMDB's own copy of one snapshot goes through a
 * pipe, so that it can be cancelled and fails as any other write does. */
#include "storage/store.h"
#include "storage/store_lmdb.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20 };

struct copier {
    struct store *store;
    int fd, rc;
};

static void *copy_out(void *self)
{
    struct copier *k = self;
    sigset_t pipe_gone;
    sigemptyset(&pipe_gone);
    sigaddset(&pipe_gone, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_gone, NULL);
    k->rc = mdb_env_copyfd2(k->store->env, k->fd, 0);
    close(k->fd);
    return NULL;
}

static enum status write_all(struct ctx *c, int fd, const char *path, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0)
            return fail(c, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                        "could not write file \"%s\": %s", path, strerror(errno));
        bytes += done;
        n -= (size_t)done;
    }
    return OK;
}

/* From the pipe to the file, until the copier is done. */
static enum status take_in(struct ctx *c, int from, int fd, const char *path)
{
    void *piece;
    TRY(scratch_alloc(c, PIECE_BYTES, &piece));
    for (;;) {
        TRY(check_cancel(c));
        ssize_t n = read(from, piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(c, ERR_IO, "could not read a pipe: %s", strerror(errno));
        if (n == 0) return OK;
        TRY(write_all(c, fd, path, piece, (size_t)n));
    }
}

static enum status run_copier(struct ctx *c, struct store *s, int fd, const char *path)
{
    int ends[2];
    pthread_t thread;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fail(c, ERR_IO, "could not make a pipe: %s", strerror(errno));
    struct copier k = {.store = s, .fd = ends[1]};
    if (pthread_create(&thread, NULL, copy_out, &k) != 0) {
        close(ends[0]);
        close(ends[1]);
        return fail(c, ERR_IO, "could not start a thread");
    }
    struct scratch_mark mark = scratch_mark(c->scratch);
    enum status st = take_in(c, ends[0], fd, path);
    scratch_release(c->scratch, mark);
    close(ends[0]);
    pthread_join(thread, NULL);
    return st == OK && k.rc ? store_error(c, s, k.rc, "copy") : st;
}

enum status store_copy(struct ctx *c, struct store *s, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, ERR_IO, "could not create file \"%s\": %s", path, strerror(errno));
    enum status st = run_copier(c, s, fd, path);
    if (st == OK && fsync(fd) != 0)
        st = fail(c, ERR_IO, "could not write file \"%s\": %s", path, strerror(errno));
    close(fd);
    return st;
}
