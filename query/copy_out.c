/* COPY … TO: rows as csv, text, binary or npy, to a file or the client. */
#include "query/copy.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

struct copy_sink {
    struct sink sink;
    const struct copy_options *o;
    const struct query *q;
    struct client *cl; /* NULL: to the file */
    int fd;
    struct strbuf out;
    int64_t n_rows;
};

static const size_t FLUSH_BYTES = 256 * 1024;

static enum status write_all(struct ctx *c, int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0)
            return fail(c, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                        "could not write the file: %s", strerror(errno));
        s += w;
        n -= (size_t)w;
    }
    return OK;
}

static enum status flush(struct ctx *c, struct copy_sink *s)
{
    enum status st = s->cl ? s->cl->copy_out_write(c, s->cl, s->out.s, s->out.len)
                           : write_all(c, s->fd, s->out.s, s->out.len);
    strbuf_clear(&s->out);
    return st;
}

/* ---- csv and text ---- */

static void text_field(struct strbuf *out, const char *s, size_t n, char delimiter)
{
    for (size_t i = 0; i < n; i++) {
        char ch = s[i], e = ch == '\\'   ? '\\'
                            : ch == '\n' ? 'n'
                            : ch == '\r' ? 'r'
                            : ch == '\t' ? 't'
                                         : 0;
        if (!e && ch == delimiter) e = ch;
        if (e) strbuf_addc(out, '\\');
        strbuf_addc(out, e ? e : ch);
    }
}

static void put_field(struct copy_sink *s, const char *text, size_t n, bool is_null)
{
    const struct copy_options *o = s->o;
    if (!strcmp(o->format, "csv"))
        csv_field(&s->out, text, n, is_null, o->delimiter, o->quote, o->null_text);
    else if (is_null)
        strbuf_adds(&s->out, o->null_text);
    else
        text_field(&s->out, text, n, o->delimiter);
}

static void put_header(struct copy_sink *s)
{
    for (int k = 0; k < s->q->n_outs; k++) {
        if (k) strbuf_addc(&s->out, s->o->delimiter);
        put_field(s, s->q->outs[k].name, strlen(s->q->outs[k].name), false);
    }
    strbuf_addc(&s->out, '\n');
}

static void put_row(struct copy_sink *s, const struct column *cols, int64_t i, struct strbuf *value)
{
    for (int k = 0; k < s->q->n_outs; k++) {
        bool is_null = column_is_null(&cols[k], i);
        if (k) strbuf_addc(&s->out, s->o->delimiter);
        strbuf_clear(value);
        if (!is_null) value_format_at(cols[k].type, cols[k].values, i, value);
        put_field(s, value->s ? value->s : "", value->len, is_null);
    }
    strbuf_addc(&s->out, '\n');
}

static enum status write_rows_as_text(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                                      const struct chunk *ch)
{
    struct copy_sink *s = (struct copy_sink *)sink;
    void *mem;
    (void)worker, (void)seq;
    if (ch->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->q->n_outs + 1), &mem));
    TRY(output_columns(c, s->q, ch, mem));
    struct strbuf value = STRBUF_INIT;
    enum status st = OK;
    for (int64_t i = ch->present ? bits_next(ch->present, 0, ch->n) : 0; i < ch->n && st == OK;
         i = ch->present ? bits_next(ch->present, i + 1, ch->n) : i + 1) {
        put_row(s, mem, i, &value);
        s->n_rows++;
        /* Clients count on a row a message. */
        if (s->cl || s->out.len >= FLUSH_BYTES) st = flush(c, s);
    }
    strbuf_release(&value);
    return st;
}

/* ---- binary ---- */

static enum status write_rows_as_binary(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                                        const struct chunk *ch)
{
    struct copy_sink *s = (struct copy_sink *)sink;
    void *mem;
    (void)worker, (void)seq;
    if (ch->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->q->n_outs + 1), &mem));
    TRY(output_columns(c, s->q, ch, mem));
    for (int64_t i = ch->present ? bits_next(ch->present, 0, ch->n) : 0; i < ch->n;
         i = ch->present ? bits_next(ch->present, i + 1, ch->n) : i + 1) {
        binary_put_count(&s->out, s->q->n_outs);
        for (int k = 0; k < s->q->n_outs; k++)
            TRY(binary_put_field(c, (struct column *)mem + k, i, &s->out));
        s->n_rows++;
        /* A row a message, the first one behind the header: as PostgreSQL's clients want it. */
        if (s->cl || s->out.len >= FLUSH_BYTES) TRY(flush(c, s));
    }
    return OK;
}

static enum status run_binary(struct ctx *c, struct copy_sink *s, struct exec *x)
{
    binary_put_header(&s->out);
    s->sink.consume = write_rows_as_binary;
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    binary_put_count(&s->out, -1);
    return flush(c, s);
}

/* ---- npy ---- */

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
        return hint(
            c,
            "Give it one: COALESCE(%s, 0), over a query that covers every cell, or cast to REAL.",
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

static enum status write_npy(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct copy_sink *s = (struct copy_sink *)sink;
    const struct query *q = s->q;
    bool list = !q->is_array;
    void *mem;
    (void)worker, (void)seq;
    if (list && ch->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(q->n_outs + 1), &mem));
    struct column *cols = mem;
    if (ch->n_present) TRY(output_columns(c, q, ch, cols));
    for (int64_t i = 0; i < ch->n; i++) {
        bool exists = ch->n_present && (!ch->present || bit_get(ch->present, i));
        if (list && !exists) continue;
        for (int k = 0; k < q->n_outs; k++) {
            if (q->outs[k].is_dim && !list) continue;
            if (exists && !column_is_null(&cols[k], i))
                put_npy_value(cols[k].type, cols[k].values, i, &s->out);
            else
                TRY(put_missing(c, q->outs[k].type, q->outs[k].name, &s->out));
        }
        s->n_rows += exists;
        if (s->out.len >= FLUSH_BYTES) TRY(flush(c, s));
    }
    return OK;
}

/* The header for a shape; padded to at least `width` bytes so that a list's can be written again
 * once its length is known. */
static void npy_head(const struct query *q, const struct rel *rel, int64_t n_rows, size_t width,
                     struct strbuf *out)
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
    npy_header(out, types, n_fields > 1 ? names : NULL, n_fields, shape, n_dims, 0);
    if (out->len >= width) return;
    size_t missing = width - out->len;
    out->len--; /* the final newline moves behind the padding */
    memset(strbuf_grow(out, missing + 1), ' ', missing);
    out->s[out->len - 1] = '\n';
    out->s[8] = (char)((width - 10) & 0xff);
    out->s[9] = (char)((width - 10) >> 8);
}

static enum status check_npy(struct ctx *c, struct run *r, const struct query *q)
{
    for (int k = 0; k < q->n_outs; k++) {
        if (type_numpy(q->outs[k].type)[0] && q->outs[k].type != T_TEXT) continue;
        if (q->is_array && q->outs[k].is_dim) continue;
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos,
                       "column \"%s\" of type %s cannot be written as npy", q->outs[k].name,
                       type_name(q->outs[k].type));
    }
    if (!q->is_array && r->stmt->end_kind != COPY_FILE)
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos,
                       "a list of rows can be written as npy to a file only");
    return OK;
}

static enum status run_npy(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    struct rel rel = s->q->root->rel;
    struct rel_dim dims[MAX_DIMS];
    const struct box *box = &exec_root(x)->box;
    TRY(check_npy(c, r, s->q));
    memcpy(dims, rel.dims, sizeof *dims * (size_t)rel.n_dims);
    for (int d = 0; d < rel.n_dims; d++)
        dims[d].lo = box->lo[d], dims[d].hi = box->hi[d];
    rel.dims = dims;
    npy_head(s->q, &rel, INT64_MAX, 0, &s->out);
    size_t width = s->out.len;
    TRY(flush(c, s));
    s->sink.consume = write_npy;
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    TRY(flush(c, s));
    if (s->q->is_array) return OK;
    npy_head(s->q, &rel, s->n_rows, width, &s->out);
    if (pwrite(s->fd, s->out.s, width, 0) != (ssize_t)width)
        return fail(c, ERR_IO, "could not write the file: %s", strerror(errno));
    return OK;
}

/* ---- either ---- */

static enum status run_sink(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    if (!strcmp(s->o->format, "npy")) return run_npy(c, r, s, x);
    if (!strcmp(s->o->format, "binary")) return run_binary(c, s, x);
    s->sink.consume = write_rows_as_text;
    if (s->o->header) {
        put_header(s);
        TRY(flush(c, s));
    }
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    return s->out.len ? flush(c, s) : OK;
}

static enum status to_client(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    bool text = !strcmp(s->o->format, "csv") || !strcmp(s->o->format, "text");
    TRY(r->cl->copy_out_begin(c, r->cl, s->q->n_outs, !text));
    TRY(run_sink(c, r, s, x));
    return r->cl->copy_out_end(c, r->cl);
}

static enum status to_file(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    struct copy_target t;
    TRY(copy_target_open(c, r, false, &t));
    s->fd = open(t.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s->fd < 0)
        return fail(c, ERR_IO, "could not open file \"%s\" for writing: %s", t.path,
                    strerror(errno));
    enum status st = run_sink(c, r, s, x);
    if (st == OK && t.whole && fsync(s->fd) < 0)
        st = fail(c, ERR_IO, "could not write file \"%s\": %s", t.path, strerror(errno));
    close(s->fd);
    return copy_target_close(c, &t, st);
}

enum status copy_out(struct ctx *c, struct run *r, const struct copy_options *o,
                     const struct query *q, struct exec *x, int64_t *n_rows)
{
    struct copy_sink s = {.sink = {.ordered = true}, .o = o, .q = q, .fd = -1};
    if (!strcmp(o->format, "zarr") || !strcmp(o->format, "netcdf"))
        return copy_out_grid(c, r, o, q, x, n_rows);
    if (r->stmt->end_kind != COPY_FILE) s.cl = r->cl;
    enum status st = s.cl ? to_client(c, r, &s, x) : to_file(c, r, &s, x);
    strbuf_release(&s.out);
    *n_rows = s.n_rows;
    return st;
}
