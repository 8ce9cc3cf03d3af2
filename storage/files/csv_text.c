/* How is the text of a plain or gzipped file read at any place? After zlib's example zran.c. */
#include "storage/files/csv_text.h"
#include "storage/files/csv_index.h"
#include "storage/files/source_parts.h"
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#define PIECE_BYTES (1 << 20)
#define LEAST_SPAN_BYTES (2 << 20) /* of text between two points */
#define MAX_POINTS 1024            /* about: each costs a window */
#define WINDOW_BYTES 32768
#define RAW_DEFLATE (-15)
#define GZIP (15 + 16)
#define TRAILER_BYTES 8

/* A place in a gzipped file where inflating can start. */
struct point {
    int64_t out, in; /* offsets in text and file */
    int bits;        /* of the byte before `in` that belong to the block; -1: a member's header */
    unsigned char *window;
};

struct csv_text {
    int fd;
    const char *path;
    int64_t file_bytes;
    bool gzipped;
    int n_points, cap_points;
    struct point *points;
};

enum status csv_text_open(struct ctx *c, const char *path, struct csv_text **out)
{
    int fd;
    int64_t bytes;
    unsigned char magic[2] = {0};
    TRY(file_open_read(c, path, &fd, &bytes));
    struct csv_text *t = calloc(1, sizeof *t);
    if (!t) {
        close(fd);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    *t = (struct csv_text){.fd = fd, .path = path, .file_bytes = bytes};
    t->gzipped = pread(fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;
    *out = t;
    return OK;
}

void csv_text_close(struct csv_text *t)
{
    if (!t) return;
    for (int i = 0; i < t->n_points; i++)
        buf_free(t->points[i].window);
    free(t->points);
    csv_text_suspend(t);
    free(t);
}

void csv_text_suspend(struct csv_text *t)
{
    if (t->fd >= 0) close(t->fd);
    t->fd = -1;
}

void csv_text_resume(struct csv_text *t, struct csv_text *from)
{
    t->fd = from->fd;
    from->fd = -1;
}

void csv_text_stat(const struct csv_text *t, struct stat *out)
{
    if (fstat(t->fd, out) < 0) memset(out, 0, sizeof *out);
}

/* ---- inflating ---- */

/* A walk through a gzipped file: compressed input on one side, text on the other. */
struct inflating {
    const struct csv_text *t;
    z_stream z;
    bool started, raw; /* raw: began in the middle of a member */
    int64_t in;        /* file offset of the next input to be read */
    unsigned char *input;
};

static enum status corrupt(struct ctx *c, const struct csv_text *t, const char *what)
{
    return fail(c, ERR_BAD_COPY_FORMAT, "gzipped file \"%s\" is damaged: %s", t->path, what);
}

static enum status more_input(struct ctx *c, struct inflating *f)
{
    int64_t left = f->t->file_bytes - f->in;
    size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
    if (n == 0) return corrupt(c, f->t, "it ends too early");
    TRY(file_read_at(c, f->t->fd, f->t->path, f->input, n, f->in));
    f->in += (int64_t)n;
    f->z.next_in = f->input;
    f->z.avail_in = (uInt)n;
    return OK;
}

static enum status inflating_start(struct ctx *c, struct inflating *f, const struct csv_text *t,
                                   const struct point *p)
{
    *f = (struct inflating){.t = t, .in = p->in, .raw = p->bits >= 0};
    f->input = malloc(PIECE_BYTES);
    if (!f->input || inflateInit2(&f->z, f->raw ? RAW_DEFLATE : GZIP) != Z_OK) {
        free(f->input);
        f->input = NULL;
        return fail(c, ERR_MEMORY, "out of memory");
    }
    f->started = true;
    if (!f->raw) return OK;
    if (p->bits > 0) {
        unsigned char byte;
        TRY(file_read_at(c, t->fd, t->path, &byte, 1, p->in - 1));
        inflatePrime(&f->z, p->bits, byte >> (8 - p->bits));
    }
    inflateSetDictionary(&f->z, p->window, WINDOW_BYTES);
    return OK;
}

static void inflating_end(struct inflating *f)
{
    if (f->started) inflateEnd(&f->z);
    free(f->input);
}

/* After a member: another one, or the end. Zeros may pad the file. */
static enum status next_member(struct ctx *c, struct inflating *f, bool *end)
{
    for (int skip = f->raw ? TRAILER_BYTES : 0; skip > 0;) {
        if (f->z.avail_in == 0) TRY(more_input(c, f));
        int n = f->z.avail_in < (uInt)skip ? (int)f->z.avail_in : skip;
        f->z.next_in += n;
        f->z.avail_in -= (uInt)n;
        skip -= n;
    }
    *end = false;
    do {
        if (f->z.avail_in == 0 && f->in == f->t->file_bytes) {
            *end = true;
            return OK;
        }
        if (f->z.avail_in == 0) TRY(more_input(c, f));
        if (*f->z.next_in != 0) break;
        f->z.next_in++;
        f->z.avail_in--;
    } while (true);
    f->raw = false;
    return inflateReset2(&f->z, GZIP) == Z_OK ? OK : fail(c, ERR_INTERNAL, "inflateReset2 failed");
}

/* Inflates into z.next_out until it is full, a block ends (with Z_BLOCK), or the file does. */
static enum status inflate_some(struct ctx *c, struct inflating *f, int flush, bool *end)
{
    *end = false;
    if (f->z.avail_in == 0) TRY(more_input(c, f));
    int r = inflate(&f->z, flush);
    if (r == Z_STREAM_END) return next_member(c, f, end);
    if (r == Z_MEM_ERROR) return fail(c, ERR_MEMORY, "out of memory");
    if (r != Z_OK && r != Z_BUF_ERROR) return corrupt(c, f->t, f->z.msg ? f->z.msg : "bad data");
    return OK;
}

/* ---- scanning ---- */

static enum status add_point(struct ctx *c, struct csv_text *t, struct inflating *f, int64_t out)
{
    bool in_member = out > 0;
    struct point p = {.out = out,
                      .in = f->in - (int64_t)f->z.avail_in,
                      .bits = in_member ? f->z.data_type & 7 : -1};
    if (t->n_points == t->cap_points) {
        int cap = t->cap_points ? 2 * t->cap_points : 16;
        struct point *grown = realloc(t->points, (size_t)cap * sizeof *grown);
        if (!grown) return fail(c, ERR_MEMORY, "out of memory");
        t->points = grown;
        t->cap_points = cap;
    }
    if (in_member) {
        uInt n = WINDOW_BYTES;
        void *window;
        TRY(csv_index_alloc(c, WINDOW_BYTES, &window));
        p.window = memset(window, 0, WINDOW_BYTES);
        inflateGetDictionary(&f->z, p.window, &n);
        /* inflate wants the dictionary at the end of the window. */
        if (n < WINDOW_BYTES) {
            memmove(p.window + WINDOW_BYTES - n, p.window, n);
            memset(p.window, 0, WINDOW_BYTES - n);
        }
    }
    t->points[t->n_points++] = p;
    return OK;
}

static enum status scan_gzipped(struct ctx *c, struct csv_text *t, csv_piece_fn *fn, void *self,
                                char *piece, int64_t *n_bytes)
{
    struct inflating f;
    struct point start = {.bits = -1};
    int64_t out = 0, last_point = 0, span = t->file_bytes * 4 / MAX_POINTS;
    bool end = false;
    enum status st = inflating_start(c, &f, t, &start);
    if (span < LEAST_SPAN_BYTES) span = LEAST_SPAN_BYTES;
    if (st == OK) st = add_point(c, t, &f, 0);
    while (st == OK && !end) {
        f.z.next_out = (unsigned char *)piece;
        f.z.avail_out = PIECE_BYTES;
        while (st == OK && !end && f.z.avail_out > 0) {
            st = inflate_some(c, &f, Z_BLOCK, &end);
            int64_t at = out + (PIECE_BYTES - (int64_t)f.z.avail_out);
            bool between_blocks = (f.z.data_type & 128) && !(f.z.data_type & 64);
            if (st == OK && !end && between_blocks && at - last_point >= span) {
                st = add_point(c, t, &f, at);
                last_point = at;
            }
        }
        size_t n = PIECE_BYTES - f.z.avail_out;
        if (st == OK) st = check_cancel(c);
        if (st == OK) st = fn(c, self, piece, n);
        out += (int64_t)n;
    }
    inflating_end(&f);
    *n_bytes = out;
    return st;
}

static enum status scan_plain(struct ctx *c, struct csv_text *t, csv_piece_fn *fn, void *self,
                              char *piece, int64_t *n_bytes)
{
    for (int64_t at = 0; at < t->file_bytes; at += PIECE_BYTES) {
        int64_t left = t->file_bytes - at;
        size_t n = left < PIECE_BYTES ? (size_t)left : PIECE_BYTES;
        TRY(check_cancel(c));
        TRY(file_read_at(c, t->fd, t->path, piece, n, at));
        TRY(fn(c, self, piece, n));
    }
    *n_bytes = t->file_bytes;
    return OK;
}

enum status csv_text_scan(struct ctx *c, struct csv_text *t, csv_piece_fn *fn, void *self,
                          int64_t *n_bytes)
{
    char *piece = malloc(PIECE_BYTES);
    if (!piece) return fail(c, ERR_MEMORY, "out of memory");
    enum status st = t->gzipped ? scan_gzipped(c, t, fn, self, piece, n_bytes)
                                : scan_plain(c, t, fn, self, piece, n_bytes);
    free(piece);
    return st;
}

/* ---- reading ---- */

static enum status read_gzipped(struct ctx *c, const struct csv_text *t, int64_t offset, size_t n,
                                char *out)
{
    int k = t->n_points - 1;
    while (k > 0 && t->points[k].out > offset)
        k--;
    struct inflating f;
    char *skipped = malloc(PIECE_BYTES);
    bool end = false;
    enum status st = inflating_start(c, &f, t, &t->points[k]);
    int64_t at = t->points[k].out;
    if (st == OK && !skipped) st = fail(c, ERR_MEMORY, "out of memory");
    while (st == OK && at < offset + (int64_t)n) {
        bool skipping = at < offset;
        int64_t left = skipping ? offset - at : offset + (int64_t)n - at;
        if (left > PIECE_BYTES) left = PIECE_BYTES;
        f.z.next_out = (unsigned char *)(skipping ? skipped : out + (at - offset));
        f.z.avail_out = (uInt)left;
        st = end ? corrupt(c, t, "it ends too early") : inflate_some(c, &f, Z_NO_FLUSH, &end);
        at += left - (int64_t)f.z.avail_out;
    }
    inflating_end(&f);
    free(skipped);
    return st;
}

enum status csv_text_read(struct ctx *c, const struct csv_text *t, int64_t offset, size_t n,
                          char *out)
{
    if (t->gzipped) return read_gzipped(c, t, offset, n, out);
    return file_read_at(c, t->fd, t->path, out, n, offset);
}
