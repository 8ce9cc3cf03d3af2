/* How are the members of a zip archive read at any place, and archives written? The only file that
 * knows libzip. */
#include "storage/files/zip.h"
#include "storage/files/source_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zip.h>

#define HEAD_BYTES 65536 /* of a compressed member, kept in memory */
#define PIECE_BYTES (1 << 20)
#define MAX_MEMBERS 65536

struct zip_member {
    const char *path, *tmp_dir;
    zip_t *archive;
    zip_int64_t index;
    zip_file_t *stored; /* uncompressed: seekable; NULL: compressed */
    int64_t bytes;
    char *head;
    size_t head_bytes;
    int copy; /* the inflated member; -1: not made yet */
    pthread_mutex_t lock;
};

static enum status damaged(struct ctx *c, const char *path, const char *why)
{
    return fail(c, ERR_BAD_COPY_FORMAT, "zip archive \"%s\" cannot be read: %s", path, why);
}

/* ---- opening ---- */

static enum status open_archive(struct ctx *c, const char *path, zip_t **out)
{
    int fd, code = 0;
    int64_t bytes;
    TRY(file_open_read(c, path, &fd, &bytes)); /* its errors are ours */
    close(fd);
    *out = zip_open(path, ZIP_RDONLY, &code);
    if (*out) return OK;
    zip_error_t e;
    zip_error_init_with_code(&e, code);
    enum status st = damaged(c, path, zip_error_strerror(&e));
    zip_error_fini(&e);
    return st;
}

enum status zip_list(struct ctx *c, const char *path, const char *const **names, int *n)
{
    zip_t *z;
    TRY(open_archive(c, path, &z));
    zip_int64_t count = zip_get_num_entries(z, 0);
    enum status st = count > MAX_MEMBERS ? damaged(c, path, "it has too many members") : OK;
    const char **list = st == OK ? arena_array(c->arena, const char *, count + 1) : NULL;
    for (zip_int64_t i = 0; i < count && st == OK; i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        list[i] = arena_strdup(c->arena, name ? name : "");
    }
    zip_discard(z);
    *names = list;
    *n = (int)count;
    return st;
}

void zip_member_close(struct zip_member *m)
{
    if (!m) return;
    if (m->stored) zip_fclose(m->stored);
    if (m->archive) zip_discard(m->archive);
    if (m->copy >= 0) close(m->copy);
    free(m->head);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* The first bytes of a compressed member: where a header stands. */
static enum status read_head(struct ctx *c, struct zip_member *m)
{
    m->head = malloc(HEAD_BYTES);
    zip_file_t *f = zip_fopen_index(m->archive, (zip_uint64_t)m->index, 0);
    zip_int64_t got = f && m->head ? zip_fread(f, m->head, HEAD_BYTES) : -1;
    if (f) zip_fclose(f);
    if (got < 0) return damaged(c, m->path, zip_strerror(m->archive));
    m->head_bytes = (size_t)got;
    return OK;
}

static enum status find_member(struct ctx *c, struct zip_member *m, const char *name,
                               int64_t *n_bytes)
{
    zip_stat_t st;
    TRY(open_archive(c, m->path, &m->archive));
    m->index = zip_name_locate(m->archive, name, 0);
    if (m->index < 0 || zip_stat_index(m->archive, (zip_uint64_t)m->index, 0, &st) < 0)
        return fail(c, ERR_UNDEFINED_COLUMN, "\"%s\" has no member \"%s\"", m->path, name);
    if (!(st.valid & ZIP_STAT_SIZE) || !(st.valid & ZIP_STAT_COMP_METHOD) || st.size > INT64_MAX)
        return damaged(c, m->path, "a member's size is not known");
    if (st.valid & ZIP_STAT_ENCRYPTION_METHOD && st.encryption_method != ZIP_EM_NONE)
        return fail(c, ERR_UNSUPPORTED, "member \"%s\" of \"%s\" is encrypted", name, m->path);
    m->bytes = *n_bytes = (int64_t)st.size;
    if (st.comp_method != ZIP_CM_STORE) return read_head(c, m);
    /* libzip 1.7 crashes when it seeks in a member whose sizes differ. */
    if (!(st.valid & ZIP_STAT_COMP_SIZE) || st.comp_size != st.size)
        return damaged(c, m->path, "a stored member's sizes differ");
    m->stored = zip_fopen_index(m->archive, (zip_uint64_t)m->index, 0);
    return m->stored ? OK : damaged(c, m->path, zip_strerror(m->archive));
}

enum status zip_member_open(struct ctx *c, const char *path, const char *name, const char *tmp_dir,
                            struct zip_member **out, int64_t *n_bytes)
{
    struct zip_member *m = calloc(1, sizeof *m);
    if (!m) return fail(c, ERR_MEMORY, "out of memory");
    m->path = path;
    m->tmp_dir = tmp_dir;
    m->copy = -1;
    pthread_mutex_init(&m->lock, NULL);
    enum status st = find_member(c, m, name, n_bytes);
    if (st < 0)
        zip_member_close(m);
    else
        *out = m;
    return st;
}

/* ---- reading ---- */

static enum status cannot_copy(struct ctx *c)
{
    return fail(c, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                "could not write a temporary file: %s", strerror(errno));
}

static enum status copy_pieces(struct ctx *c, struct zip_member *m, zip_file_t *f, int fd)
{
    void *piece;
    int64_t done = 0;
    enum status st = OK;
    TRY(buf_alloc(c, PIECE_BYTES, &piece));
    while (st == OK) {
        zip_int64_t n = zip_fread(f, piece, PIECE_BYTES);
        if (n == 0) break;
        st = check_cancel(c);
        if (st == OK && (n < 0 || done + n > m->bytes))
            st = damaged(c, m->path, n < 0 ? zip_file_strerror(f) : "a member is too long");
        for (zip_int64_t at = 0; st == OK && at < n;) {
            ssize_t put = write(fd, (char *)piece + at, (size_t)(n - at));
            if (put <= 0 && errno != EINTR) st = cannot_copy(c);
            if (put > 0) at += put;
        }
        done += n > 0 ? n : 0;
    }
    buf_free(piece);
    if (st == OK && done < m->bytes) st = damaged(c, m->path, "a member is too short");
    return st;
}

static enum status make_copy(struct ctx *c, struct zip_member *m)
{
    const char *dir = m->tmp_dir ? m->tmp_dir : "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) return cannot_copy(c);
    zip_file_t *f = zip_fopen_index(m->archive, (zip_uint64_t)m->index, 0);
    enum status st = f ? copy_pieces(c, m, f, fd) : damaged(c, m->path, zip_strerror(m->archive));
    if (f) zip_fclose(f);
    if (st < 0)
        close(fd);
    else
        m->copy = fd;
    return st;
}

static enum status read_stored(struct ctx *c, struct zip_member *m, char *buf, size_t n,
                               int64_t offset)
{
    size_t done = 0;
    if (zip_fseek(m->stored, offset, SEEK_SET) < 0)
        return damaged(c, m->path, zip_file_strerror(m->stored));
    while (done < n) {
        zip_int64_t got = zip_fread(m->stored, buf + done, n - done);
        if (got <= 0)
            return damaged(c, m->path, got < 0 ? zip_file_strerror(m->stored) : "it ends early");
        done += (size_t)got;
    }
    return OK;
}

enum status zip_member_read(struct ctx *c, struct zip_member *m, void *buf, size_t n,
                            int64_t offset)
{
    enum status st = OK;
    if (offset < 0 || offset > m->bytes || (int64_t)n > m->bytes - offset)
        return damaged(c, m->path, "a member ends early");
    if (m->head && offset + (int64_t)n <= (int64_t)m->head_bytes) {
        memcpy(buf, m->head + offset, n);
        return OK;
    }
    pthread_mutex_lock(&m->lock);
    if (m->stored)
        st = read_stored(c, m, buf, n, offset);
    else if (m->copy < 0)
        st = make_copy(c, m);
    int fd = m->copy;
    pthread_mutex_unlock(&m->lock);
    return st == OK && !m->stored ? file_read_at(c, fd, m->path, buf, n, offset) : st;
}

/* ---- writing ---- */

static int is_cancelled(zip_t *z, void *c)
{
    struct ctx quiet = *(struct ctx *)c;
    (void)z;
    ctx_clear(&quiet);
    return check_cancel(&quiet) < 0;
}

/* The archive owns the file then. */
static bool add_entry(zip_t *z, const struct zip_entry *e)
{
    int fd = dup(e->fd);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "rb");
    if (!f) {
        if (fd >= 0) close(fd);
        return false;
    }
    zip_source_t *s = zip_source_filep(z, f, 0, -1);
    if (!s) {
        fclose(f);
        return false;
    }
    zip_int64_t index = zip_file_add(z, e->name, s, ZIP_FL_ENC_UTF_8);
    if (index < 0) zip_source_free(s);
    return index >= 0 && zip_set_file_compression(z, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0;
}

enum status zip_write(struct ctx *c, const char *path, const struct zip_entry *entries, int n)
{
    int code = 0;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &code);
    if (!z) return fail(c, ERR_IO, "could not write file \"%s\": %s", path, strerror(errno));
    bool fine = true;
    for (int i = 0; i < n && fine; i++)
        fine = add_entry(z, &entries[i]);
    zip_register_cancel_callback_with_state(z, is_cancelled, NULL, c);
    if (fine && zip_close(z) == 0) return OK;
    enum status st = check_cancel(c);
    if (st == OK) {
        bool full = zip_error_code_system(zip_get_error(z)) == ENOSPC;
        st = fail(c, full ? ERR_DISK_FULL : ERR_IO, "could not write file \"%s\": %s", path,
                  zip_strerror(z));
    }
    zip_discard(z);
    return st;
}
