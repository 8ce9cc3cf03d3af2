/* Where do bytes go that do not fit in memory? To a file without a name in the data directory's
 * tmp. */
#include "query/spill.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct spill {
    int fd;
    atomic_int n_owners;
    atomic_int_least64_t size_bytes, held_bytes;
};

static int open_unlinked(const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) return -1;
    size_t n = strlen(dir);
    char *name = malloc(n + 16);
    if (!name) return -1;
    memcpy(name, dir, n);
    memcpy(name + n, "/spill-XXXXXX", 14);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) unlink(name);
    free(name);
    return fd;
}

enum status spill_new(struct ctx *c, const char *tmp_dir, struct spill **out)
{
    const char *dir = tmp_dir ? tmp_dir : "/tmp";
    int fd = open_unlinked(dir);
    if (fd < 0)
        return fail(c, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO,
                    "could not make a temporary file in \"%s\": %s", dir, strerror(errno));
    struct spill *s = calloc(1, sizeof *s);
    if (!s) {
        close(fd);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    s->fd = fd;
    atomic_init(&s->n_owners, 1);
    *out = s;
    return OK;
}

atomic_int_least64_t *spill_held(struct spill *s)
{
    return &s->held_bytes;
}

struct spill *spill_share(struct spill *s)
{
    atomic_fetch_add_explicit(&s->n_owners, 1, memory_order_relaxed);
    return s;
}

void spill_free(struct spill *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->n_owners, 1, memory_order_acq_rel) > 1) return;
    close(s->fd);
    free(s);
}

enum status spill_write(struct ctx *c, struct spill *s, int64_t at, const void *bytes, size_t n)
{
    const char *p = bytes;
    for (size_t left = n; left > 0;) {
        ssize_t w = pwrite(s->fd, p, left, (off_t)at);
        if (w < 0 && errno == EINTR) continue;
        if (w <= 0) {
            if (w == 0 || errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
                return fail(c, ERR_DISK_FULL, "disk full while writing temporary data");
            return fail(c, ERR_IO, "could not write temporary data: %s", strerror(errno));
        }
        p += w;
        at += w;
        left -= (size_t)w;
    }
    COUNT(c, bytes_spilled, (int64_t)n);
    return OK;
}

enum status spill_append(struct ctx *c, struct spill *s, const void *bytes, size_t n, int64_t *at)
{
    int64_t start = atomic_fetch_add(&s->size_bytes, (int64_t)n);
    TRY(spill_write(c, s, start, bytes, n));
    *at = start;
    return OK;
}

/* The last byte is written, so that the file is as long; what is before it takes no room yet. */
enum status spill_reserve(struct ctx *c, struct spill *s, size_t n, int64_t *at)
{
    int64_t start = atomic_fetch_add(&s->size_bytes, (int64_t)n);
    if (n) TRY(spill_write(c, s, start + (int64_t)n - 1, "", 1));
    *at = start;
    return OK;
}

enum status spill_read(struct ctx *c, const struct spill *s, int64_t at, void *bytes, size_t n)
{
    char *p = bytes;
    for (size_t left = n; left > 0;) {
        ssize_t r = pread(s->fd, p, left, (off_t)at);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) return fail(c, ERR_IO, "could not read temporary data: %s", strerror(errno));
        if (r == 0) return fail(c, ERR_IO, "temporary data ends early");
        p += r;
        at += r;
        left -= (size_t)r;
    }
    return OK;
}
