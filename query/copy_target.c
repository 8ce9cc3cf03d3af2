/* Where does COPY … TO write, so that what stands there appears whole or not at all?
 *
 * A file, or a directory, is made under a temporary name beside the final one, and renamed. */
#include "query/copy.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    remove(path);
    return 0;
}

void copy_remove(const char *path)
{
    if (unlink(path) < 0 && errno == EISDIR) nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static bool holds(const char *dir, const char *name)
{
    char path[PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* Only what was a dataset before is replaced by one: not somebody's home. */
static enum status check_directory(struct ctx *c, const struct copy_target *t,
                                   const struct stat *there)
{
    if (!S_ISDIR(there->st_mode))
        return fail(c, ERR_WRONG_OBJECT, "\"%s\" is there and is not a directory", t->path);
    if (holds(t->path, "zarr.json") || holds(t->path, ".zgroup") || holds(t->path, ".zarray") ||
        rmdir(t->path) == 0)
        return OK;
    fail(c, ERR_WRONG_OBJECT, "\"%s\" is there and is not a Zarr directory", t->path);
    return hint(c, "Only those are replaced.");
}

enum status copy_target_open(struct ctx *c, struct run *r, enum copy_kind kind,
                             struct copy_target *t)
{
    bool is_dir = kind == COPY_AS_DIRECTORY;
    const char *root = r->s->settings.file_root.s;
    bool relative = r->stmt->file[0] != '/' && root && *root;
    struct stat there;
    *t = (struct copy_target){.is_dir = is_dir};
    int n = snprintf(t->path, sizeof t->path, "%s%s%s", relative ? root : "", relative ? "/" : "",
                     r->stmt->file);
    if (n >= (int)sizeof t->path)
        return fail(c, ERR_IO, "could not open file \"%s\" for writing: %s", r->stmt->file,
                    strerror(ENAMETOOLONG));
    while (is_dir && n > 1 && t->path[n - 1] == '/')
        t->path[--n] = '\0';
    bool exists = stat(t->path, &there) == 0;
    if (is_dir && exists) TRY(check_directory(c, t, &there));
    /* A device or a pipe is written to, not replaced. */
    t->whole = is_dir || !exists || S_ISREG(there.st_mode);
    if (!t->whole && kind != COPY_AS_STREAM)
        return fail(c, ERR_WRONG_OBJECT, "\"%s\" is not a file", t->path);
    if (t->whole)
        snprintf(t->temporary, sizeof t->temporary, "%s.%d.%d~", t->path, (int)getpid(), r->s->pid);
    else
        memcpy(t->temporary, t->path, (size_t)n + 1);
    if (is_dir) copy_remove(t->temporary); /* of a server that was killed */
    return OK;
}

enum status copy_target_close(struct ctx *c, const struct copy_target *t, enum status st)
{
    if (st == OK && t->whole && rename(t->temporary, t->path) < 0) {
        bool swapped = t->is_dir && (errno == ENOTEMPTY || errno == EEXIST) &&
                       renameat2(AT_FDCWD, t->temporary, AT_FDCWD, t->path, RENAME_EXCHANGE) == 0;
        if (swapped)
            copy_remove(t->temporary);
        else
            st = fail(c, ERR_IO, "could not rename to \"%s\": %s", t->path, strerror(errno));
    }
    if (st < 0 && t->whole) copy_remove(t->temporary);
    return st;
}
