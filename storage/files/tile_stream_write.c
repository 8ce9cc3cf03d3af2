/* How are tiles put into a stream? (tile_stream.h has the layout.) */
#include "storage/codec.h"
#include "storage/files/tile_stream.h"
#include <pthread.h>
#include <stdlib.h>

struct tile_writer {
    struct ds_writer base;
    pthread_mutex_t lock;
};

static void put_u32(struct strbuf *b, uint32_t x)
{
    strbuf_add(b, &x, sizeof x);
}

static void put_u64(struct strbuf *b, uint64_t x)
{
    strbuf_add(b, &x, sizeof x);
}

static void put_str(struct strbuf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    put_u32(b, (uint32_t)n);
    if (n) strbuf_add(b, s, n);
}

/* n values of w bytes. */
static enum status put_block(struct ctx *c, const void *values, int64_t n, size_t w,
                             struct strbuf *out)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    void *payload;
    size_t n_bytes = 0;
    enum codec codec = CODEC_RAW;
    TRY(scratch_alloc(c, codec_bound(n, w), &payload));
    if (n > 0) TRY(codec_encode(c, values, n, w, NULL, payload, &n_bytes, &codec));
    strbuf_addc(out, (char)codec);
    put_u64(out, (uint64_t)n * w);
    put_u64(out, n_bytes);
    strbuf_add(out, payload, n_bytes);
    scratch_release(c->scratch, mark);
    return OK;
}

static enum status put_values(struct ctx *c, enum type t, const void *values, int64_t n,
                              struct strbuf *out)
{
    if (t != T_TEXT) return put_block(c, values, n, type_bytes(t), out);
    const struct text *texts = values;
    struct strbuf plain = STRBUF_INIT;
    for (int64_t i = 0; i < n; i++) {
        put_u32(&plain, (uint32_t)texts[i].len);
        if (texts[i].len) strbuf_add(&plain, texts[i].s, (size_t)texts[i].len);
    }
    enum status st = put_block(c, plain.s ? plain.s : "", (int64_t)plain.len, 1, out);
    strbuf_release(&plain);
    return st;
}

static enum status emit(struct ctx *c, struct tile_writer *w, const struct strbuf *b)
{
    pthread_mutex_lock(&w->lock);
    enum status st = w->base.def->emit(c, w->base.def->emit_self, b->s, b->len);
    pthread_mutex_unlock(&w->lock);
    return st;
}

static enum status put_header(struct ctx *c, const struct dsw_def *def, struct strbuf *out)
{
    strbuf_add(out, "TSTREAM\1", 8);
    put_u32(out, (uint32_t)def->n_dims);
    put_u32(out, (uint32_t)def->n_vars);
    put_str(out, def->comment);
    for (int d = 0; d < def->n_dims; d++) {
        const struct dsw_dim *dim = &def->dims[d];
        enum type t = dim->axis ? dim->axis->type : T_INT64;
        put_str(out, dim->name);
        put_str(out, type_name(t));
        put_str(out, dim->unit);
        put_str(out, dim->comment);
        put_u64(out, (uint64_t)dim->n);
        put_u64(out, (uint64_t)def->chunk[d]);
        strbuf_addc(out, dim->axis != NULL);
        if (!dim->axis) continue;
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct column coords;
        TRY(column_alloc(c, t, dim->n, &coords));
        axis_coords(dim->axis, dim->lo, dim->n, 1, coords.values);
        TRY(put_values(c, t, coords.values, dim->n, out));
        scratch_release(c->scratch, mark);
    }
    for (int i = 0; i < def->n_vars; i++) {
        put_str(out, def->vars[i].name);
        put_str(out, type_name(def->vars[i].type));
        put_str(out, def->vars[i].unit);
        put_str(out, def->vars[i].comment);
    }
    return OK;
}

static void tile_writer_free(struct ds_writer *base)
{
    struct tile_writer *w = (struct tile_writer *)base;
    if (!w) return;
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static enum status tile_create(struct ctx *c, struct dsw_def *def, struct ds_writer **out)
{
    struct tile_writer *w = calloc(1, sizeof *w);
    struct strbuf header = STRBUF_INIT;
    if (!w) return fail(c, ERR_MEMORY, "out of memory");
    w->base.def = def;
    pthread_mutex_init(&w->lock, NULL);
    enum status st = put_header(c, def, &header);
    if (st == OK) st = emit(c, w, &header);
    strbuf_release(&header);
    if (st < 0)
        tile_writer_free(&w->base);
    else
        *out = &w->base;
    return st;
}

/* What lies where no value is must not tell what the memory held before. */
static enum status cleared(struct ctx *c, const struct column *col, const uint64_t *present,
                           int64_t n, void **out)
{
    size_t w = type_bytes(col->type);
    *out = col->values;
    if (!present && !col->valid) return OK;
    TRY(scratch_alloc(c, (size_t)n * w + 1, out));
    memcpy(*out, col->values, (size_t)n * w);
    for (int64_t i = 0; i < n; i++)
        if ((present && !bit_get(present, i)) || column_is_null(col, i))
            memset((char *)*out + (size_t)i * w, 0, w);
    return OK;
}

static uint64_t tile_number(const struct dsw_def *def, const struct box *box)
{
    uint64_t number = 0;
    for (int d = 0; d < def->n_dims; d++) {
        int64_t n = (def->dims[d].n + def->chunk[d] - 1) / def->chunk[d];
        number = number * (uint64_t)n + (uint64_t)(box->lo[d] / def->chunk[d]);
    }
    return number;
}

/* Bits past the n-th are clear, whatever the last word held. */
static enum status put_bits(struct ctx *c, const uint64_t *bits, int64_t n, struct strbuf *out)
{
    void *copy;
    int64_t words = bits_words(n);
    TRY(scratch_alloc(c, (size_t)words * 8, &copy));
    uint64_t *to = copy;
    memcpy(to, bits, (size_t)words * 8);
    if (n % 64) to[words - 1] &= (UINT64_C(1) << n % 64) - 1;
    return put_block(c, to, words * 8, 1, out);
}

static enum status tile_put(struct ctx *c, struct ds_writer *base, int var, const struct box *box,
                            const struct column *col, const uint64_t *present)
{
    int64_t n = box_cells(box);
    struct strbuf out = STRBUF_INIT;
    void *values;
    if (present && bits_next(present, 0, n) >= n) return OK;
    TRY(cleared(c, col, present, n, &values));
    put_u32(&out, (uint32_t)var);
    put_u64(&out, tile_number(base->def, box));
    strbuf_addc(&out, (char)((present ? 1 : 0) | (col->valid ? 2 : 0)));
    enum status st = OK;
    if (present) st = put_bits(c, present, n, &out);
    if (st == OK && col->valid) st = put_bits(c, col->valid, n, &out);
    if (st == OK) st = put_values(c, col->type, values, n, &out);
    if (st == OK) st = emit(c, (struct tile_writer *)base, &out);
    strbuf_release(&out);
    return st;
}

static enum status tile_finish(struct ctx *c, struct ds_writer *base)
{
    struct strbuf end = STRBUF_INIT;
    put_u32(&end, UINT32_MAX);
    enum status st = emit(c, (struct tile_writer *)base, &end);
    strbuf_release(&end);
    return st;
}

const struct dsw_format tile_write_format = {tile_create, tile_put, tile_finish, tile_writer_free,
                                             true};
