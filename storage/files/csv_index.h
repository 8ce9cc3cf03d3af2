/* Where the records of a CSV file start: what one scan of it finds. Kept for the next statement, as
 * a statement opens its files more than once. */
#ifndef TESSERA_CSV_INDEX_H
#define TESSERA_CSV_INDEX_H
#include "storage/files/csv_parse.h"
#include "storage/files/csv_text.h"

struct csv_index {
    struct csv_text *text;
    int64_t n_bytes;  /* of text */
    int64_t n_rows;   /* the header's included */
    int64_t interval; /* offsets[i] is where record i × interval starts */
    int64_t n_offsets, cap_offsets;
    int64_t *offsets;
};

/* The file's index, from the cache when the file is unchanged. ERR_BAD_COPY_FORMAT on a quote that
 * does not end. To be given back by csv_index_release. Thread-safe. */
enum status csv_index_get(struct ctx *c, const char *path, const struct csv_dialect *d,
                          struct csv_index **out);
void csv_index_release(struct csv_index *x); /* NULL allowed */
/* Memory of an index, for buf_free. As it outlives the statement it is charged to the budget above
 * all others; when that refuses, indexes that nobody uses are dropped. */
enum status csv_index_alloc(struct ctx *c, size_t bytes, void **out);
/* Offset of the first byte of record `row`'s interval, and of the text behind that of `row_end`. */
int64_t csv_index_start(const struct csv_index *x, int64_t row, int64_t *first_row);
int64_t csv_index_end(const struct csv_index *x, int64_t row_end);
/* Line number, from 1, of a byte of the text; 0 when the file cannot be read again. */
int64_t csv_index_line(struct ctx *c, const struct csv_index *x, int64_t offset);

#endif
