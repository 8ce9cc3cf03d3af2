/* Members of zip archives: listing, reading anywhere in one, writing an archive. */
#ifndef TESSERA_ZIP_H
#define TESSERA_ZIP_H
#include "storage/base/ctx.h"

struct zip_member;

/* The members' names, in the arena. ERR_BAD_COPY_FORMAT when the file is no archive. */
enum status zip_list(struct ctx *c, const char *path, const char *const **names, int *n);
/* Opens one and tells its size. A compressed one is read from a copy in tmp_dir, which is made when
 * more than its beginning is asked for. path and tmp_dir must outlive it. */
enum status zip_member_open(struct ctx *c, const char *path, const char *name, const char *tmp_dir,
                            struct zip_member **out, int64_t *n_bytes);
void zip_member_close(struct zip_member *m); /* NULL allowed */
/* Exactly n bytes at an offset; any thread. ERR_BAD_COPY_FORMAT. */
enum status zip_member_read(struct ctx *c, struct zip_member *m, void *buf, size_t n,
                            int64_t offset);

struct zip_entry {
    const char *name;
    int fd; /* its bytes, from the start to the end */
};
/* Makes (or replaces) an archive of uncompressed members. */
enum status zip_write(struct ctx *c, const char *path, const struct zip_entry *entries, int n);

#endif
