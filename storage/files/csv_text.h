/* The text of a CSV file, plain or gzipped: scanned once from start to end, then read at any place.
 *
 * For .gz the scan keeps, every few megabytes, what inflating needs to start there (position and
 * the last 32 KiB of output), so that a later read inflates no more than one such span before its
 * place. Reading is thread-safe once the scan is done. */
#ifndef TESSERA_CSV_TEXT_H
#define TESSERA_CSV_TEXT_H
#include "storage/base/ctx.h"
#include <sys/stat.h>

struct csv_text;

/* Opens the file and looks whether it is gzipped. path must outlive it. */
enum status csv_text_open(struct ctx *c, const char *path, struct csv_text **out);
void csv_text_close(struct csv_text *t); /* NULL allowed */
/* Closes the file but keeps what the scan found; takes over the file that another one has open. */
void csv_text_suspend(struct csv_text *t);
void csv_text_resume(struct csv_text *t, struct csv_text *from);
void csv_text_stat(const struct csv_text *t, struct stat *out);
/* Calls fn with the whole text piece by piece, in order; *n_bytes is its length. */
typedef enum status csv_piece_fn(struct ctx *c, void *self, const char *s, size_t n);
enum status csv_text_scan(struct ctx *c, struct csv_text *t, csv_piece_fn *fn, void *self,
                          int64_t *n_bytes);
/* n bytes at an offset of the text. ERR_BAD_COPY_FORMAT when it ends before. */
enum status csv_text_read(struct ctx *c, const struct csv_text *t, int64_t offset, size_t n,
                          char *out);

#endif
