/* COPY … TO npy, npz and raw: cells in row-major order as NumPy has them.
 *
 * The members of an archive are written side by side to temporary files, and packed at the end. */
#include "query/copy.h"
#include "storage/base/value.h"
#include "storage/files/source_parts.h"
#include "storage/files/zip.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* Where a cell is missing, floats take NaN and times NaT, as NumPy writes them; other types have no
 * such value. */
static enum status put_missing(struct ctx *c, enum type t, const char *name, struct strbuf *out)
{
    double nan64 = NAN;
    float nan32 = NAN;
    int64_t nat = INT64_MIN;
    if (t == T_FLOAT64)
        strbuf_add(out, &nan64, 8);
    else if (t == T_FLOAT32)
        strbuf_add(out, &nan32, 4);
    else if (t == T_TIMESTAMP || t == T_DATE)
        strbuf_add(out, &nat, 8);
    else {
        fail(c, ERR_DATATYPE_MISMATCH,
             "a cell of \"%s\" is missing, and %s has no value for that in npy", name,
             type_name(t));
        return t == T_TEXT
                   ? hint(c, "Give it one: COALESCE(%s, ''), over a query that covers every cell.",
                          name)
                   : hint(c,
                          "Give it one: COALESCE(%s, 0), over a query that covers every cell, or "
                          "cast to REAL.",
                          name);
    }
    return OK;
}

static void put_npy_value(enum type t, const void *values, int64_t i, struct strbuf *out)
{
    if (t == T_DATE) { /* datetime64[D] has 8 bytes */
        int64_t days = ((const int32_t *)values)[i];
        strbuf_add(out, &days, 8);
    } else {
        strbuf_add(out, (const char *)values + (size_t)i * type_bytes(t), type_bytes(t));
    }
}

static bool is_written(const struct query *q, int out)
{
    return !q->is_array || !q->outs[out].is_dim;
}

/* Cell by cell, some of which are missing. */
static enum status write_cells(struct ctx *c, struct copy_sink *s, const struct chunk *ch,
                               const struct column *cols)
{
    const struct query *q = s->q;
    for (int64_t i = 0; i < ch->n; i++) {
        bool exists = ch->n_present && (!ch->present || bit_get(ch->present, i));
        if (!q->is_array && !exists) continue;
        for (int k = 0; k < q->n_outs; k++) {
            if (!is_written(q, k)) continue;
            if (exists && !column_is_null(&cols[k], i))
                put_npy_value(cols[k].type, cols[k].values, i, &s->out);
            else
                TRY(put_missing(c, q->outs[k].type, q->outs[k].name, &s->out));
        }
        s->n_rows += exists;
        if (s->out.len >= FLUSH_BYTES) TRY(copy_flush(c, s));
    }
    return OK;
}

/* Values [at, at + n) of one column, `stride` bytes apart. */
static void put_column(char *to, size_t stride, const struct column *col, int64_t at, int64_t n)
{
    size_t width = type_bytes(col->type);
    const char *from = (const char *)col->values + (size_t)at * width;
    if (width == stride) {
        memcpy(to, from, (size_t)n * width);
    } else if (col->type == T_DATE) {
        for (int64_t i = 0; i < n; i++) {
            int64_t days = ((const int32_t *)from)[i];
            memcpy(to + (size_t)i * stride, &days, sizeof days);
        }
    } else if (width == sizeof(double)) {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * stride, from + (size_t)i * sizeof(double), sizeof(double));
    } else {
        for (int64_t i = 0; i < n; i++)
            memcpy(to + (size_t)i * stride, from + (size_t)i * width, width);
    }
}

static size_t npy_bytes(enum type t)
{
    return t == T_DATE ? sizeof(int64_t) : type_bytes(t);
}

/* Every value is there: many at once. */
static enum status write_whole(struct ctx *c, struct copy_sink *s, const struct chunk *ch,
                               const struct column *cols)
{
    const struct query *q = s->q;
    size_t row = 0;
    for (int k = 0; k < q->n_outs; k++)
        if (is_written(q, k)) row += npy_bytes(cols[k].type);
    for (int64_t at = 0, n; at < ch->n; at += n) {
        n = row < FLUSH_BYTES ? (int64_t)(FLUSH_BYTES / (row + !row)) : 1;
        n = n < ch->n - at ? n : ch->n - at;
        char *to = strbuf_grow(&s->out, (size_t)n * row);
        for (int k = 0; k < q->n_outs; k++) {
            if (!is_written(q, k)) continue;
            put_column(to, row, &cols[k], at, n);
            to += npy_bytes(cols[k].type);
        }
        s->n_rows += n;
        if (s->out.len >= FLUSH_BYTES) TRY(copy_flush(c, s));
    }
    return OK;
}

static enum status write_npy(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct copy_sink *s = (struct copy_sink *)sink;
    const struct query *q = s->q;
    bool whole = ch->n_present == ch->n;
    void *mem;
    (void)worker, (void)seq;
    if (!q->is_array && ch->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(q->n_outs + 1), &mem));
    struct column *cols = mem;
    if (!q->is_array) TRY(output_columns(c, q, ch, cols));
    if (q->is_array && ch->n_present) output_attributes(q, ch, cols);
    for (int k = 0; k < q->n_outs && whole; k++)
        whole = !is_written(q, k) || !cols[k].valid || bits_all(cols[k].valid, 0, ch->n);
    return whole ? write_whole(c, s, ch, cols) : write_cells(c, s, ch, cols);
}

/* The header for a shape; padded to at least `width` bytes so that a list's can be written again
 * once its length is known. */
static void npy_head(const struct query *q, const struct rel *rel, int64_t n_rows, size_t width,
                     int64_t text_bytes, struct strbuf *out)
{
    enum type types[MAX_ATTRS];
    const char *names[MAX_ATTRS];
    int64_t shape[MAX_DIMS] = {n_rows};
    int n_fields = 0, n_dims = q->is_array ? rel->n_dims : 1;
    for (int k = 0; k < q->n_outs && n_fields < MAX_ATTRS; k++) {
        if (q->is_array && q->outs[k].is_dim) continue;
        types[n_fields] = q->outs[k].type;
        names[n_fields++] = q->outs[k].name;
    }
    for (int d = 0; q->is_array && d < n_dims; d++)
        shape[d] = rel->dims[d].hi - rel->dims[d].lo;
    npy_header(out, types, n_fields > 1 ? names : NULL, n_fields, shape, n_dims, text_bytes);
    if (out->len >= width) return;
    size_t missing = width - out->len;
    out->len--; /* the final newline moves behind the padding */
    memset(strbuf_grow(out, missing + 1), ' ', missing);
    out->s[out->len - 1] = '\n';
    out->s[8] = (char)((width - 10) & 0xff);
    out->s[9] = (char)((width - 10) >> 8);
}

static enum status check_npy(struct ctx *c, struct run *r, const struct query *q,
                             const char *format)
{
    for (int k = 0; k < q->n_outs; k++) {
        if (type_numpy(q->outs[k].type)[0] && q->outs[k].type != T_TEXT) continue;
        if (q->is_array && q->outs[k].is_dim) continue;
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos,
                       "column \"%s\" of type %s cannot be written as %s", q->outs[k].name,
                       type_name(q->outs[k].type), format);
    }
    if (!q->is_array && r->stmt->end_kind != COPY_FILE && strcmp(format, "raw") != 0)
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos,
                       "a list of rows can be written as npy to a file only");
    return OK;
}

/* Raw values say nothing of themselves: so they are those of one column. */
static enum status check_one(struct ctx *c, struct run *r, const struct query *q)
{
    int n = 0;
    for (int k = 0; k < q->n_outs; k++)
        n += !q->is_array || !q->outs[k].is_dim;
    if (n == 1) return OK;
    fail_at(c, ERR_INVALID_PARAMETER, r->stmt->pos, "%d columns cannot be written as raw", n);
    return hint(c, "Choose one: COPY (SELECT [*], v FROM …) TO …");
}

enum status copy_out_npy(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    struct rel rel = s->q->root->rel;
    struct rel_dim dims[MAX_DIMS];
    const struct box *box = &exec_root(x)->box;
    TRY(check_npy(c, r, s->q, s->o->format));
    memcpy(dims, rel.dims, sizeof *dims * (size_t)rel.n_dims);
    for (int d = 0; d < rel.n_dims; d++)
        dims[d].lo = box->lo[d], dims[d].hi = box->hi[d];
    rel.dims = dims;
    bool raw = !strcmp(s->o->format, "raw");
    if (raw) TRY(check_one(c, r, s->q));
    if (!raw) npy_head(s->q, &rel, INT64_MAX, 0, 0, &s->out);
    size_t width = s->out.len;
    TRY(copy_flush(c, s));
    s->sink.consume = write_npy;
    if (s->q->is_array) s->sink.cell_bytes = 0;
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    TRY(copy_flush(c, s));
    if (s->q->is_array || raw) return OK;
    npy_head(s->q, &rel, s->n_rows, width, 0, &s->out);
    if (pwrite(s->fd, s->out.s, width, 0) != (ssize_t)width)
        return fail(c, ERR_IO, "could not write the file: %s", strerror(errno));
    return OK;
}

/* ---- npz ---- */

/* One member: an attribute's cells. Texts are written as lengths and bytes first, as their width
 * shows at the end only. */
struct npz_member {
    const char *name;
    enum type type;
    int out; /* of the query; -1 - d: dimension d's coordinates */
    int fd;
    struct strbuf buf;
    int64_t max_chars;
    size_t width; /* of the header */
};

struct npz_sink {
    struct sink sink;
    const struct query *q;
    struct npz_member *members;
    int n;
    const char *tmp_dir;
    struct rel rel; /* with the extents as they turned out */
    int64_t n_rows, n_cells;
};

static int64_t dim_extent(const struct npz_sink *s, const struct npz_member *m)
{
    const struct rel_dim *d = &s->rel.dims[-1 - m->out];
    return d->hi - d->lo;
}

static enum status temporary(struct ctx *c, const char *dir, int *fd)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return *fd >= 0 ? OK : fail(c, ERR_IO, "could not make a temporary file: %s", strerror(errno));
}

static enum status flush_member(struct ctx *c, struct npz_member *m, size_t least)
{
    if (m->buf.len < least) return OK;
    enum status st = copy_write_all(c, m->fd, m->buf.s, m->buf.len);
    strbuf_clear(&m->buf);
    return st;
}

static int64_t count_chars(const struct text *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->len; i++)
        n += ((unsigned char)t->s[i] & 0xc0) != 0x80;
    return n;
}

static void put_text(struct npz_member *m, const struct text *t)
{
    uint32_t len = (uint32_t)t->len;
    int64_t chars = count_chars(t);
    if (chars > m->max_chars) m->max_chars = chars;
    strbuf_add(&m->buf, &len, 4);
    strbuf_add(&m->buf, t->s, len);
}

static enum status put_cell(struct ctx *c, struct npz_member *m, const struct column *col,
                            int64_t i, bool exists)
{
    if (!exists || column_is_null(col, i)) return put_missing(c, m->type, m->name, &m->buf);
    if (m->type == T_TEXT)
        put_text(m, (const struct text *)col->values + i);
    else
        put_npy_value(m->type, col->values, i, &m->buf);
    return OK;
}

static enum status write_npz(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct npz_sink *s = (struct npz_sink *)sink;
    bool list = !s->q->is_array;
    void *mem;
    (void)worker, (void)seq;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->q->n_outs + 1), &mem));
    struct column *cols = mem;
    if (list && ch->n_present == 0) return OK;
    if (list) TRY(output_columns(c, s->q, ch, cols));
    if (!list && ch->n_present) output_attributes(s->q, ch, cols);
    for (int k = 0; k < s->n; k++) {
        struct npz_member *m = &s->members[k];
        for (int64_t i = 0; m->out >= 0 && i < ch->n; i++) {
            bool exists = ch->n_present && (!ch->present || bit_get(ch->present, i));
            if (list && !exists) continue;
            TRY(put_cell(c, m, &cols[m->out], i, exists));
            TRY(flush_member(c, m, FLUSH_BYTES));
        }
    }
    s->n_cells += ch->n_present;
    s->n_rows += list ? ch->n_present : ch->n;
    return OK;
}

/* The header over a shape; padded to `width`, so that it can be written again. */
static void member_head(const struct npz_sink *s, const struct npz_member *m, int64_t n_rows,
                        size_t width, struct strbuf *out)
{
    struct out_col col = {.name = m->name, .type = m->type};
    struct query one = {.outs = &col, .n_outs = 1, .is_array = s->q->is_array && m->out >= 0};
    npy_head(&one, &s->rel, n_rows, width, 4 * m->max_chars, out);
}

static uint32_t next_char(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    int more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
    uint32_t ch = more == 0 ? p[0] : p[0] & (0x3fu >> more);
    for (int i = 1; i <= more; i++)
        ch = ch << 6 | (p[i] & 0x3f);
    *s += more + 1;
    return ch;
}

/* Lengths and bytes to a header and characters of one width. */
static enum status widen_texts(struct ctx *c, struct npz_sink *s, struct npz_member *m)
{
    struct npz_member wide = *m;
    struct strbuf text = STRBUF_INIT;
    int64_t at = 0;
    uint32_t len, ch;
    wide.buf = (struct strbuf)STRBUF_INIT;
    TRY(temporary(c, s->tmp_dir, &wide.fd));
    int64_t n = m->out < 0 ? dim_extent(s, m) : s->n_rows;
    member_head(s, &wide, n, 0, &wide.buf);
    enum status st = OK;
    for (int64_t i = 0; i < n && st == OK; i++) {
        st = file_read_at(c, m->fd, m->name, &len, 4, at);
        strbuf_clear(&text);
        if (st == OK) st = file_read_at(c, m->fd, m->name, strbuf_grow(&text, len), len, at + 4);
        at += 4 + (int64_t)len;
        int64_t chars = 0;
        for (const char *p = text.s; st == OK && p < text.s + len; chars++) {
            ch = next_char(&p);
            strbuf_add(&wide.buf, &ch, 4);
        }
        for (ch = 0; st == OK && chars < m->max_chars; chars++)
            strbuf_add(&wide.buf, &ch, 4);
        if (st == OK) st = flush_member(c, &wide, FLUSH_BYTES);
        if (st == OK && i % 4096 == 0) st = check_cancel(c);
    }
    if (st == OK) st = flush_member(c, &wide, 1);
    strbuf_release(&text);
    strbuf_release(&wide.buf);
    close(m->fd);
    m->fd = wide.fd;
    return st;
}

static enum status put_coords(struct ctx *c, struct npz_sink *s, struct npz_member *m)
{
    const struct rel_dim *d = &s->rel.dims[-1 - m->out];
    for (int64_t at = d->lo; at < d->hi; at += 65536) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        int64_t n = d->hi - at < 65536 ? d->hi - at : 65536;
        struct column col;
        TRY(column_alloc(c, m->type, n, &col));
        axis_coords(d->axis, at, n, 1, col.values);
        for (int64_t i = 0; i < n; i++)
            TRY(put_cell(c, m, &col, i, true));
        TRY(flush_member(c, m, FLUSH_BYTES));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status finish_member(struct ctx *c, struct npz_sink *s, struct npz_member *m)
{
    if (m->out < 0) TRY(put_coords(c, s, m));
    TRY(flush_member(c, m, 1));
    if (m->type == T_TEXT) return widen_texts(c, s, m);
    if (s->q->is_array || m->out < 0) return OK;
    member_head(s, m, s->n_rows, m->width, &m->buf);
    if (pwrite(m->fd, m->buf.s, m->width, 0) != (ssize_t)m->width)
        return fail(c, ERR_IO, "could not write a temporary file: %s", strerror(errno));
    strbuf_clear(&m->buf);
    return OK;
}

static enum status add_member(struct ctx *c, struct npz_sink *s, const char *name, enum type t,
                              int out, int pos)
{
    struct npz_member *m = &s->members[s->n];
    if (!type_numpy(t)[0])
        return fail_at(c, ERR_UNSUPPORTED, pos, "column \"%s\" of type %s cannot be written as npz",
                       name, type_name(t));
    for (int k = 0; k < s->n; k++)
        if (!strcmp(s->members[k].name, name)) {
            fail_at(c, ERR_DUPLICATE_COLUMN, pos, "the name \"%s\" stands twice", name);
            return hint(c, "Name one of them with AS.");
        }
    *m = (struct npz_member){.name = name, .type = t, .out = out, .fd = -1};
    TRY(temporary(c, s->tmp_dir, &m->fd));
    s->n++;
    if (t != T_TEXT) member_head(s, m, out < 0 ? dim_extent(s, m) : INT64_MAX, 0, &m->buf);
    m->width = m->buf.len;
    return OK;
}

static enum status add_members(struct ctx *c, struct npz_sink *s, struct exec *x, int pos)
{
    const struct query *q = s->q;
    const struct box *box = &exec_root(x)->box;
    s->rel = q->root->rel;
    s->rel.dims = arena_array(c->arena, struct rel_dim, s->rel.n_dims + 1);
    memcpy(s->rel.dims, q->root->rel.dims, sizeof *s->rel.dims * (size_t)s->rel.n_dims);
    for (int d = 0; d < s->rel.n_dims; d++)
        s->rel.dims[d].lo = box->lo[d], s->rel.dims[d].hi = box->hi[d];
    s->members = arena_array(c->arena, struct npz_member, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++) {
        const struct out_col *o = &q->outs[k];
        int out = q->is_array && o->is_dim ? -1 - o->index : k;
        TRY(add_member(c, s, o->name, o->type, out, pos));
    }
    return OK;
}

static enum status pack(struct ctx *c, struct npz_sink *s, const char *path)
{
    struct zip_entry *entries = arena_array(c->arena, struct zip_entry, s->n + 1);
    for (int k = 0; k < s->n; k++) {
        TRY(finish_member(c, s, &s->members[k]));
        if (lseek(s->members[k].fd, 0, SEEK_SET) < 0)
            return fail(c, ERR_IO, "could not read a temporary file: %s", strerror(errno));
        entries[k] = (struct zip_entry){arena_printf(c->arena, "%s.npy", s->members[k].name),
                                        s->members[k].fd};
    }
    return zip_write(c, path, entries, s->n);
}

enum status copy_out_npz(struct ctx *c, struct run *r, const struct copy_options *o,
                         const struct query *q, struct exec *x, int64_t *n_rows)
{
    struct npz_sink s = {
        .sink = {.consume = write_npz, .ordered = true}, .q = q, .tmp_dir = exec_tmp_dir(x)};
    struct copy_target t;
    if (r->stmt->end_kind != COPY_FILE) {
        fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "format \"%s\" goes to a file only", o->format);
        return hint(c, "COPY … TO 'name' (FORMAT %s) writes on the server's side.", o->format);
    }
    TRY(copy_target_open(c, r, COPY_AS_FILE, &t));
    enum status st = add_members(c, &s, x, r->stmt->pos);
    if (!q->is_array) s.sink.cell_bytes = output_cell_bytes(q);
    if (st == OK) st = exec_run(c, exec_root(x), NULL, &s.sink);
    if (st == OK) st = pack(c, &s, t.temporary);
    for (int k = 0; k < s.n; k++) {
        strbuf_release(&s.members[k].buf);
        close(s.members[k].fd);
    }
    *n_rows = s.n_cells;
    return copy_target_close(c, &t, st);
}
