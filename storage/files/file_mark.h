/* Has a file changed since it was looked at, and is somebody writing it?
 *
 * What tells one state of a file from another is its size and the time of its last change; of a
 * directory (Zarr), the sum of the sizes and the latest time of everything in it. */
#ifndef TESSERA_FILE_MARK_H
#define TESSERA_FILE_MARK_H
#include "storage/base/ctx.h"

struct file_mark {
    int64_t n_bytes;
    int64_t modified_ns, changed_ns; /* since 1970: of contents, of inodes */
};

/* As of now: a later change of the file is one of its mark too, unless a clock is set back.
 * ERR_FILE_MISSING, ERR_PRIVILEGE, ERR_IO. */
enum status file_mark(struct ctx *c, const char *path, struct file_mark *out);
bool file_mark_equal(const struct file_mark *a, const struct file_mark *b); /* of contents */
/* Has some process the file open for writing? false too when that cannot be told: the file is not
 * this user's, or its file system has no leases. */
bool file_is_written(const char *path);
/* The name from the root directory, with its folder's links resolved; the name itself when there is
 * no such folder. In the arena. */
const char *file_full_name(struct ctx *c, const char *path);

#endif
