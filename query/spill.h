/* A spill: an unlinked temporary file that takes what does not fit in memory. It goes when it is
 * freed, or with the process. Bytes are appended, and changed only where room was reserved for
 * that; any thread may append and read. */
#ifndef TESSERA_SPILL_H
#define TESSERA_SPILL_H
#include "storage/base/ctx.h"

struct spill;
/* Memory of all who spill here: theirs to count. */
atomic_int_least64_t *spill_held(struct spill *s);
/* ERR_IO, ERR_FILE_MISSING when the folder cannot be written. */
enum status spill_new(struct ctx *c, const char *tmp_dir, struct spill **out);
/* One more owner, each of which frees it. */
struct spill *spill_share(struct spill *s);
void spill_free(struct spill *s); /* NULL allowed */
/* *at: where they went. ERR_DISK_FULL, ERR_IO. */
enum status spill_append(struct ctx *c, struct spill *s, const void *bytes, size_t n, int64_t *at);
/* Room of n bytes, zeros until they are written; any thread may, on bytes of its own. */
enum status spill_reserve(struct ctx *c, struct spill *s, size_t n, int64_t *at);
enum status spill_write(struct ctx *c, struct spill *s, int64_t at, const void *bytes, size_t n);
enum status spill_read(struct ctx *c, const struct spill *s, int64_t at, void *bytes, size_t n);

#endif
