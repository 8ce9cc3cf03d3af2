/* COPY … TO: rows as csv, text, binary or npy, to a file or the client. */
#include "query/copy.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum status copy_write_all(struct ctx *c, int fd, const char *s, size_t n)
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

enum status copy_flush(struct ctx *c, struct copy_sink *s)
{
    enum status st = s->cl ? s->cl->copy_out_write(c, s->cl, s->out.s, s->out.len)
                           : copy_write_all(c, s->fd, s->out.s, s->out.len);
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
        if (s->cl || s->out.len >= FLUSH_BYTES) st = copy_flush(c, s);
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
        if (s->cl || s->out.len >= FLUSH_BYTES) TRY(copy_flush(c, s));
    }
    return OK;
}

static enum status run_binary(struct ctx *c, struct copy_sink *s, struct exec *x)
{
    binary_put_header(&s->out);
    s->sink.consume = write_rows_as_binary;
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    binary_put_count(&s->out, -1);
    return copy_flush(c, s);
}

/* ---- either ---- */

static enum status run_sink(struct ctx *c, struct run *r, struct copy_sink *s, struct exec *x)
{
    if (!strcmp(s->o->format, "npy") || !strcmp(s->o->format, "raw"))
        return copy_out_npy(c, r, s, x);
    if (!strcmp(s->o->format, "binary")) return run_binary(c, s, x);
    s->sink.consume = write_rows_as_text;
    if (s->o->header) {
        put_header(s);
        TRY(copy_flush(c, s));
    }
    TRY(exec_run(c, exec_root(x), NULL, &s->sink));
    return s->out.len ? copy_flush(c, s) : OK;
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
    TRY(copy_target_open(c, r, COPY_AS_STREAM, &t));
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
    struct copy_sink s = {
        .sink = {.ordered = true, .cell_bytes = output_cell_bytes(q)}, .o = o, .q = q, .fd = -1};
    if (!strcmp(o->format, "zarr") || !strcmp(o->format, "netcdf") || !strcmp(o->format, "tile"))
        return copy_out_grid(c, r, o, q, x, n_rows);
    if (!strcmp(o->format, "npz")) return copy_out_npz(c, r, o, q, x, n_rows);
    if (r->stmt->end_kind != COPY_FILE) s.cl = r->cl;
    enum status st = s.cl ? to_client(c, r, &s, x) : to_file(c, r, &s, x);
    strbuf_release(&s.out);
    *n_rows = s.n_rows;
    return st;
}
