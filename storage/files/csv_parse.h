/* CSV records to columns: where rows end, what fields they have, which values these mean. */
#ifndef TESSERA_CSV_PARSE_H
#define TESSERA_CSV_PARSE_H
#include "storage/base/column.h"
#include "storage/files/source.h"

struct csv_dialect {
    char delimiter, quote, escape;
    bool text_format; /* backslash escapes, no quotes */
    const char *null_text;
    size_t null_len;
};

void csv_dialect_init(struct csv_dialect *d, const struct source_options *o);

/* Finds row ends in text that comes piece by piece. */
struct csv_scan {
    char quote, escape;
    bool text_format;
    bool in_quote, after_escape;
    int64_t n_rows; /* row ends seen */
};
void csv_scan_init(struct csv_scan *s, const struct csv_dialect *d);
/* Walks s[0, n) and stops behind the row end number `stop` (as n_rows counts); returns how many
 * bytes were walked. */
size_t csv_scan_rows(struct csv_scan *s, const char *p, size_t n, int64_t stop);

/* One field of a record, in bytes from the text's start. */
struct csv_field {
    uint32_t start;
    uint32_t len;
    bool quoted;  /* it lies inside quotes, which are not part of it */
    bool escaped; /* it holds quotes or escapes that are not part of its value */
};
/* Splits the record at text[*at …): at most max fields. *n is their number, max + 1 when there are
 * more; *at moves behind the row end. False at the end of the text. */
bool csv_split(const struct csv_dialect *d, const char *text, size_t n_bytes, size_t *at,
               struct csv_field *fields, int max, int *n);
/* The value of a field: a slice of the text, or unescaped into `room` (as long as the field). */
struct text csv_value(const struct csv_dialect *d, const char *text, const struct csv_field *f,
                      char *room);
bool csv_is_null(const struct csv_dialect *d, const char *text, const struct csv_field *f);

/* What a block of records is parsed to. */
struct csv_block {
    const struct csv_dialect *dialect;
    const char *text; /* whole records; text values point into it */
    size_t n_bytes;
    int n_cols; /* of each record */
    const char *const *names;
    const enum type *types;
    const int *wanted; /* column of the output that a column of the file becomes, or -1 */
};
/* n_rows records from text[at …) into columns that are allocated here. On an error *bad is the
 * offset of its record, or field, and *bad_col its column, -1: none. */
enum status csv_parse(struct ctx *c, const struct csv_block *b, size_t at, int64_t n_rows,
                      struct column *cols, size_t *bad, int *bad_col);

#endif
