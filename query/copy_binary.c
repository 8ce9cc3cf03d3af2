/* What do the bytes of PostgreSQL's binary COPY format say?
 *
 * A header of 19 bytes and an extension; rows: a count of fields, each a length and the value as on
 * the wire; at the end a count of -1. */
#include "query/copy.h"
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

static const char SIGNATURE[] = "PGCOPY\n\377\r\n"; /* and its NUL */
#define SIGNATURE_BYTES 11
#define MAX_ROWS 65536 /* of one call's columns */

struct binary_parser {
    const struct schema *columns;
    struct strbuf rest;
    bool header_read, ended;
    int64_t n_rows;
};

enum status binary_parser_new(struct ctx *c, const struct schema *columns,
                              struct binary_parser **out)
{
    struct binary_parser *p = calloc(1, sizeof *p);
    if (!p) return fail(c, ERR_MEMORY, "out of memory");
    p->columns = columns;
    *out = p;
    return OK;
}

void binary_parser_free(struct binary_parser *p)
{
    if (!p) return;
    strbuf_release(&p->rest);
    free(p);
}

static uint32_t be32(const char *s)
{
    uint32_t x;
    memcpy(&x, s, 4);
    return be32toh(x);
}

static int be16(const char *s)
{
    uint16_t x;
    memcpy(&x, s, 2);
    return (int16_t)be16toh(x);
}

/* *used: bytes of it; 0 when more must come. */
static enum status read_header(struct ctx *c, struct binary_parser *p, bool last, size_t *used)
{
    const char *s = p->rest.s;
    size_t n = p->rest.len;
    *used = 0;
    if (n > 0 && memcmp(s, SIGNATURE, n < SIGNATURE_BYTES ? n : SIGNATURE_BYTES) != 0)
        return fail(c, ERR_BAD_COPY_FORMAT, "COPY file signature not recognized");
    if (n < SIGNATURE_BYTES + 8) {
        if (!last) return OK;
        return fail(c, ERR_BAD_COPY_FORMAT,
                    n < SIGNATURE_BYTES ? "COPY file signature not recognized"
                                        : "invalid COPY file header");
    }
    uint32_t flags = be32(s + SIGNATURE_BYTES), more = be32(s + SIGNATURE_BYTES + 4);
    if (flags & 1u << 16)
        return fail(c, ERR_BAD_COPY_FORMAT, "invalid COPY file header (WITH OIDS)");
    if (flags >> 16)
        return fail(c, ERR_BAD_COPY_FORMAT, "unrecognized critical flags in COPY file header");
    if (more > 1 << 20) return fail(c, ERR_BAD_COPY_FORMAT, "invalid COPY file header (length)");
    if (n < SIGNATURE_BYTES + 8 + more)
        return last ? fail(c, ERR_BAD_COPY_FORMAT, "invalid COPY file header (wrong length)") : OK;
    p->header_read = true;
    *used = SIGNATURE_BYTES + 8 + more;
    return OK;
}

/* Where the row ends that starts at `at`; 0 when it is not all there. */
static enum status row_end(struct ctx *c, const struct binary_parser *p, size_t at, size_t *end)
{
    const char *s = p->rest.s;
    size_t n = p->rest.len;
    *end = 0;
    if (n - at < 2) return OK;
    int fields = be16(s + at);
    if (fields == -1) return *end = at + 2, OK;
    if (fields != p->columns->n_attrs)
        return fail(c, ERR_BAD_COPY_FORMAT, "row field count is %d, expected %d", fields,
                    p->columns->n_attrs);
    at += 2;
    for (int k = 0; k < fields; k++) {
        if (n - at < 4) return OK;
        int32_t len = (int32_t)be32(s + at);
        if (len < -1) return fail(c, ERR_BAD_COPY_FORMAT, "invalid field size");
        at += 4;
        if (len < 0) continue;
        if (n - at < (size_t)len) return OK;
        at += (size_t)len;
    }
    *end = at;
    return OK;
}

static enum status get_field(struct ctx *c, enum type t, const char *s, int32_t len, int64_t row,
                             struct column *col)
{
    struct value v;
    if (len < 0) {
        TRY(column_need_valid(c, col, MAX_ROWS));
        bit_clear(col->valid, row);
        memset((char *)col->values + (size_t)row * type_bytes(t), 0, type_bytes(t));
        return OK;
    }
    TRY(wire_get_as(c, t, s, (size_t)len, &v));
    value_put(&v, col->values, row);
    return OK;
}

/* Rows that lie whole in the first n bytes, which the scratch has. */
static enum status get_rows(struct ctx *c, struct binary_parser *p, const char *s, size_t n,
                            struct column *cols, int64_t *n_rows)
{
    int64_t row = 0;
    for (size_t at = 0; at < n; row++) {
        at += 2;
        for (int k = 0; k < p->columns->n_attrs; k++) {
            int32_t len = (int32_t)be32(s + at);
            at += 4;
            enum status st = get_field(c, p->columns->attrs[k].type, s + at, len, row, &cols[k]);
            if (st < 0) {
                if (st != ERR_MEMORY)
                    detail(c, "row %lld, column \"%s\"", (long long)(p->n_rows + row + 1),
                           p->columns->attrs[k].name);
                return st;
            }
            if (len > 0) at += (size_t)len;
        }
    }
    p->n_rows += row;
    *n_rows = row;
    return OK;
}

static void drop(struct binary_parser *p, size_t n)
{
    memmove(p->rest.s, p->rest.s + n, p->rest.len - n);
    p->rest.len -= n;
}

enum status binary_parser_feed(struct ctx *c, struct binary_parser *p, const char *bytes, size_t n,
                               bool last, struct column *cols, int64_t *n_rows, bool *more)
{
    size_t used = 0, at = 0, end;
    int64_t rows = 0;
    void *text;
    *n_rows = 0;
    *more = false;
    strbuf_add(&p->rest, bytes, n);
    if (!p->header_read) {
        TRY(read_header(c, p, last, &used));
        if (used) drop(p, used);
        if (!p->header_read) return OK;
    }
    while (!p->ended && rows < MAX_ROWS) {
        TRY(row_end(c, p, at, &end));
        if (end == 0) break;
        p->ended = be16(p->rest.s + at) == -1;
        if (p->ended) break;
        at = end;
        rows++;
    }
    TRY(scratch_alloc(c, at + 1, &text));
    memcpy(text, p->rest.s ? p->rest.s : "", at);
    for (int k = 0; k < p->columns->n_attrs; k++)
        TRY(column_alloc(c, p->columns->attrs[k].type, MAX_ROWS, &cols[k]));
    TRY(get_rows(c, p, text, at, cols, n_rows));
    if (at) drop(p, at);
    if (p->ended && p->rest.len > 2)
        return fail(c, ERR_BAD_COPY_FORMAT, "received copy data after EOF marker");
    *more = !p->ended && rows == MAX_ROWS;
    if (last && !p->ended && !*more)
        return p->rest.len ? fail(c, ERR_BAD_COPY_FORMAT, "unexpected EOF in COPY data") : OK;
    return OK;
}

/* ---- and out ---- */

void binary_put_header(struct strbuf *out)
{
    static const char zeros[8];
    strbuf_add(out, SIGNATURE, SIGNATURE_BYTES);
    strbuf_add(out, zeros, sizeof zeros);
}

void binary_put_count(struct strbuf *out, int n)
{
    uint16_t count = htobe16((uint16_t)n);
    strbuf_add(out, &count, 2);
}

enum status binary_put_field(struct ctx *c, const struct column *col, int64_t i, struct strbuf *out)
{
    uint32_t len = UINT32_MAX;
    size_t at = out->len;
    strbuf_add(out, &len, 4); /* NULL, unless it is another */
    if (column_is_null(col, i)) return OK;
    TRY(wire_put(c, col->type, col->values, i, out));
    if (out->len - at - 4 > INT32_MAX)
        return fail(c, ERR_LIMIT_EXCEEDED, "a value is too long for binary COPY");
    len = htobe32((uint32_t)(out->len - at - 4));
    memcpy(out->s + at, &len, 4);
    return OK;
}
