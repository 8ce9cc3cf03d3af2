/* Which rows are in the CSV text that a client sends piece by piece? And how is a field written? */
#include "storage/files/csv_parse.h"
#include <stdlib.h>

struct csv_parser {
    struct csv_dialect dialect;
    char *null_text;
    bool skip_header, ended;
    int n_cols;
    const char **names;
    enum type *types;
    int *wanted;
    struct strbuf rest; /* a record that has not ended yet */
    int64_t lines;      /* before rest */
};

enum status csv_parser_new(struct ctx *c, const struct source_options *o,
                           const struct schema *columns, struct csv_parser **out)
{
    struct csv_parser *p = calloc(1, sizeof *p);
    int n = columns->n_attrs;
    if (!p) return fail(c, ERR_MEMORY, "out of memory");
    csv_dialect_init(&p->dialect, o);
    p->null_text = strdup(p->dialect.null_text);
    p->names = calloc((size_t)n + 1, sizeof *p->names);
    p->types = calloc((size_t)n + 1, sizeof *p->types);
    p->wanted = calloc((size_t)n + 1, sizeof *p->wanted);
    if (!p->null_text || !p->names || !p->types || !p->wanted) {
        csv_parser_free(p);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    p->dialect.null_text = p->null_text;
    p->skip_header = o->header_given && o->header;
    p->n_cols = n;
    for (int i = 0; i < n; i++) {
        p->names[i] = columns->attrs[i].name;
        p->types[i] = columns->attrs[i].type;
        p->wanted[i] = i;
    }
    *out = p;
    return OK;
}

void csv_parser_free(struct csv_parser *p)
{
    if (!p) return;
    strbuf_release(&p->rest);
    free(p->null_text);
    free(p->names);
    free(p->types);
    free(p->wanted);
    free(p);
}

static int64_t count_lines(const char *s, size_t n)
{
    int64_t lines = 0;
    for (const char *p = s, *end = s + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        lines++;
    return lines;
}

/* Where the line "\." stands that ends the data, if it does: in at most n bytes, at a row's start.
 */
static bool find_end_marker(const struct csv_parser *p, const char *s, size_t n, size_t *at)
{
    for (const char *q = s; (q = memmem(q, (size_t)(s + n - q), "\\.", 2)); q++) {
        bool starts = q == s || q[-1] == '\n';
        const char *after = q + 2;
        if (after < s + n && *after == '\r') after++;
        if (!starts || (after < s + n && *after != '\n')) continue;
        struct csv_scan scan;
        csv_scan_init(&scan, &p->dialect);
        csv_scan_rows(&scan, s, (size_t)(q - s), INT64_MAX);
        if (scan.in_quote) continue;
        *at = (size_t)(q - s);
        return true;
    }
    return false;
}

/* How many bytes at the start of rest are whole records, and how many records. */
static size_t whole_records(const struct csv_parser *p, bool is_last, int64_t *n_rows,
                            bool *in_quote)
{
    struct csv_scan scan, ends;
    csv_scan_init(&scan, &p->dialect);
    csv_scan_rows(&scan, p->rest.s, p->rest.len, INT64_MAX);
    *n_rows = scan.n_rows;
    *in_quote = scan.in_quote;
    csv_scan_init(&ends, &p->dialect);
    size_t n = csv_scan_rows(&ends, p->rest.s, p->rest.len, scan.n_rows);
    if (is_last && n < p->rest.len) {
        (*n_rows)++;
        n = p->rest.len;
    }
    return n;
}

static enum status parse_records(struct ctx *c, struct csv_parser *p, size_t n_bytes,
                                 int64_t n_rows, struct column *cols, int64_t *out_rows)
{
    void *text;
    size_t at = 0, bad;
    int bad_col;
    TRY(scratch_alloc(c, n_bytes + 1, &text));
    memcpy(text, p->rest.s, n_bytes);
    if (p->lines == 0 && n_bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) at = 3;
    if (p->skip_header && n_rows > 0) {
        struct csv_scan header;
        csv_scan_init(&header, &p->dialect);
        at = csv_scan_rows(&header, text, n_bytes, 1);
        p->skip_header = false;
        n_rows--;
    }
    struct csv_block block = {.dialect = &p->dialect,
                              .text = text,
                              .n_bytes = n_bytes,
                              .n_cols = p->n_cols,
                              .names = p->names,
                              .types = p->types,
                              .wanted = p->wanted};
    enum status st = csv_parse(c, &block, at, n_rows, cols, &bad, &bad_col);
    if (st < 0 && st != ERR_MEMORY) {
        long long line = (long long)(p->lines + count_lines(text, bad) + 1);
        if (bad_col >= 0)
            detail(c, "line %lld, column \"%s\"", line, p->names[bad_col]);
        else
            detail(c, "line %lld", line);
    }
    if (st == OK) *out_rows = n_rows;
    return st;
}

enum status csv_parser_feed(struct ctx *c, struct csv_parser *p, const char *bytes, size_t n,
                            bool is_last, struct column *cols, int64_t *n_rows)
{
    size_t marker;
    bool in_quote;
    int64_t rows;
    *n_rows = 0;
    if (p->ended) return OK;
    strbuf_add(&p->rest, bytes, n);
    if (p->rest.len == 0) return OK;
    if (p->rest.len > UINT32_MAX)
        return fail(c, ERR_BAD_COPY_FORMAT, "a record is longer than 4 GB");
    if (find_end_marker(p, p->rest.s, p->rest.len, &marker)) {
        bool complete = is_last || marker + 2 < p->rest.len;
        if (complete) {
            p->rest.len = marker;
            p->ended = is_last = true;
        }
    }
    size_t whole = whole_records(p, is_last, &rows, &in_quote);
    if (is_last && in_quote) {
        fail(c, ERR_BAD_COPY_FORMAT, "unterminated CSV quoted field");
        return detail(c, "line %lld",
                      (long long)(p->lines + count_lines(p->rest.s, p->rest.len) + 1));
    }
    if (rows == 0) return OK;
    TRY(parse_records(c, p, whole, rows, cols, n_rows));
    p->lines += count_lines(p->rest.s, whole);
    memmove(p->rest.s, p->rest.s + whole, p->rest.len - whole);
    p->rest.len -= whole;
    return OK;
}

/* ---- writing ---- */

void csv_field(struct strbuf *out, const char *s, size_t n, bool is_null, char delimiter,
               char quote, const char *null_text)
{
    if (is_null) {
        strbuf_adds(out, null_text);
        return;
    }
    bool like_null = n == strlen(null_text) && memcmp(s, null_text, n) == 0;
    bool end_marker = n == 2 && memcmp(s, "\\.", 2) == 0;
    bool quoted = like_null || end_marker;
    for (size_t i = 0; i < n && !quoted; i++)
        quoted = s[i] == delimiter || s[i] == quote || s[i] == '\n' || s[i] == '\r';
    if (!quoted) {
        strbuf_add(out, s, n);
        return;
    }
    strbuf_addc(out, quote);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == quote) strbuf_addc(out, quote);
        strbuf_addc(out, s[i]);
    }
    strbuf_addc(out, quote);
}
