/* Which values has a box of a file of tiles? (tile_stream.h has the layout.)
 *
 * The records' places are found when the file is opened; a tile is decoded when a box reaches it.
 * The file may come from anywhere: everything in it is checked. */
#include "storage/files/tile_stream.h"
#include "storage/codec.h"
#include "storage/files/source_parts.h"
#include <stdlib.h>
#include <unistd.h>

#define MAX_HEADER_BYTES (INT64_C(1) << 30)
#define HEAD_BYTES 13  /* of a record: attribute, tile, flags */
#define BLOCK_BYTES 17 /* before a block's payload */

struct tile_source {
    struct source base;
    const char *path;
    int fd;
    int64_t bytes;
    int64_t chunk[MAX_DIMS];
    struct box tiles; /* the grid */
    int64_t *offsets; /* by attribute and tile: of the record; 0: none is there */
};

static enum status damaged(struct ctx *c, const struct tile_source *s, const char *why)
{
    return fail(c, ERR_BAD_COPY_FORMAT, "tile file \"%s\" is damaged: %s", s->path, why);
}

/* ---- reading in order ---- */

struct cursor {
    struct ctx *c;
    const struct tile_source *s;
    int64_t at;
};

static enum status get(struct cursor *k, void *to, size_t n)
{
    if (k->s->bytes - k->at < (int64_t)n) return damaged(k->c, k->s, "it ends early");
    TRY(file_read_at(k->c, k->s->fd, k->s->path, to, n, k->at));
    k->at += (int64_t)n;
    return OK;
}

static enum status get_str(struct cursor *k, const char **out)
{
    uint32_t n;
    size_t bad;
    TRY(get(k, &n, sizeof n));
    if (n > 1 << 20) return damaged(k->c, k->s, "a name is too long");
    char *s = arena_alloc(k->c->arena, n + 1);
    TRY(get(k, s, n));
    s[n] = '\0';
    if (!utf8_valid(s, n, &bad) || strlen(s) != n)
        return fail(k->c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8", k->s->path);
    *out = s;
    return OK;
}

static enum status get_note(struct cursor *k, const char **out)
{
    TRY(get_str(k, out));
    if (**out == '\0') *out = NULL;
    return OK;
}

static enum status get_length(struct cursor *k, int64_t least, int64_t *out)
{
    TRY(get(k, out, sizeof *out));
    return *out < least || *out > INT64_MAX / 4 ? damaged(k->c, k->s, "a length") : OK;
}

struct block {
    uint8_t codec;
    int64_t plain, payload;
};

static enum status get_block(struct cursor *k, struct block *b)
{
    TRY(get(k, &b->codec, 1));
    TRY(get_length(k, 0, &b->plain));
    TRY(get_length(k, 0, &b->payload));
    if (b->payload > k->s->bytes - k->at) return damaged(k->c, k->s, "it ends early");
    return OK;
}

/* The plain bytes of a block of values of w bytes; n_bytes < 0: any number. */
static enum status decode_block(struct cursor *k, int64_t n_bytes, size_t w, void **out,
                                int64_t *got)
{
    struct block b;
    void *payload;
    TRY(get_block(k, &b));
    if ((n_bytes >= 0 && b.plain != n_bytes) || b.plain % (int64_t)w)
        return damaged(k->c, k->s, "a block does not have the size it should have");
    /* zstd makes at most some hundred thousand bytes of one. */
    if (n_bytes < 0 && b.codec != CODEC_CONSTANT && b.plain / 1000000 > b.payload + 1)
        return damaged(k->c, k->s, "a block does not have the size it should have");
    TRY(scratch_alloc(k->c, (size_t)b.plain + 1, out));
    TRY(scratch_alloc(k->c, (size_t)b.payload + 1, &payload));
    TRY(get(k, payload, (size_t)b.payload));
    *got = b.plain;
    if (b.plain == 0) return OK;
    enum status st = codec_decode(k->c, (enum codec)b.codec, payload, (size_t)b.payload, *out,
                                  b.plain / (int64_t)w, w);
    if (st != ERR_CORRUPT) return st;
    ctx_clear(k->c);
    return damaged(k->c, k->s, "a block does not decompress");
}

static enum status decode_texts(struct cursor *k, int64_t n, struct text *out)
{
    void *plain;
    int64_t n_bytes, at = 0;
    size_t bad;
    uint32_t len;
    TRY(decode_block(k, -1, 1, &plain, &n_bytes));
    for (int64_t i = 0; i < n; i++) {
        if (n_bytes - at < 4) return damaged(k->c, k->s, "texts are cut off");
        memcpy(&len, (char *)plain + at, 4);
        at += 4;
        if (n_bytes - at < (int64_t)len) return damaged(k->c, k->s, "texts are cut off");
        out[i] = (struct text){(char *)plain + at, len};
        at += len;
        if (!utf8_valid(out[i].s, len, &bad) || memchr(out[i].s, 0, len))
            return fail(k->c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8",
                        k->s->path);
    }
    return at == n_bytes ? OK : damaged(k->c, k->s, "there are more texts than cells");
}

static enum status decode_values(struct cursor *k, enum type t, int64_t n, struct column *out)
{
    int64_t got;
    if (t == T_TEXT) {
        TRY(column_alloc(k->c, t, n, out));
        return decode_texts(k, n, out->values);
    }
    *out = (struct column){.type = t};
    TRY(decode_block(k, n * (int64_t)type_bytes(t), type_bytes(t), &out->values, &got));
    for (int64_t i = 0; t == T_BOOL && i < n; i++)
        ((uint8_t *)out->values)[i] = ((uint8_t *)out->values)[i] != 0;
    return OK;
}

/* ---- tiles ---- */

static struct box tile_box(const struct tile_source *s, int64_t tile)
{
    struct box b = {.n_dims = s->tiles.n_dims};
    int64_t index[MAX_DIMS];
    box_position(&s->tiles, tile, index);
    for (int d = 0; d < b.n_dims; d++) {
        b.lo[d] = s->base.box.lo[d] + index[d] * s->chunk[d];
        b.hi[d] = b.lo[d] + s->chunk[d];
        if (b.hi[d] > s->base.box.hi[d]) b.hi[d] = s->base.box.hi[d];
    }
    return b;
}

/* One attribute of a tile; present NULL: all cells exist. */
static enum status decode_tile(struct ctx *c, const struct tile_source *s, int attr, int64_t tile,
                               bool values, struct column *col, uint64_t **present)
{
    struct box box = tile_box(s, tile);
    int64_t n = box_cells(&box), got;
    struct cursor k = {c, s, s->offsets[attr * box_cells(&s->tiles) + tile]};
    char head[HEAD_BYTES];
    void *bits;
    TRY(get(&k, head, sizeof head));
    *present = NULL;
    if (head[12] & 1) {
        TRY(decode_block(&k, bits_words(n) * 8, 1, &bits, &got));
        *present = bits;
    }
    if (!values) return OK;
    bits = NULL;
    if (head[12] & 2) TRY(decode_block(&k, bits_words(n) * 8, 1, &bits, &got));
    TRY(decode_values(&k, s->base.schema->attrs[attr].type, n, col));
    col->valid = bits;
    return OK;
}

/* The tiles that a box touches; how many. */
static int64_t touched(const struct tile_source *s, const struct box *want, struct box *tiles)
{
    struct box from_zero = *want;
    for (int d = 0; d < want->n_dims; d++) {
        from_zero.lo[d] -= s->base.box.lo[d];
        from_zero.hi[d] -= s->base.box.lo[d];
    }
    box_tiles(&from_zero, s->chunk, tiles);
    return box_cells(tiles);
}

static enum status tile_read(struct ctx *c, struct source *base, const struct box *want,
                             const int *attrs, int n, struct column *cols)
{
    struct tile_source *s = (struct tile_source *)base;
    int64_t cells = box_cells(want), n_tiles;
    struct box tiles;
    n_tiles = touched(s, want, &tiles);
    for (int i = 0; i < n; i++) {
        enum type t = s->base.schema->attrs[attrs[i]].type;
        TRY(column_alloc(c, t, cells, &cols[i]));
        memset(cols[i].values, 0, (size_t)cells * type_bytes(t));
        for (int64_t k = 0; k < n_tiles; k++) {
            int64_t index[MAX_DIMS];
            struct column col;
            uint64_t *present;
            box_position(&tiles, k, index);
            int64_t tile = box_index(&s->tiles, index);
            if (!s->offsets[attrs[i] * box_cells(&s->tiles) + tile]) continue;
            TRY(decode_tile(c, s, attrs[i], tile, true, &col, &present));
            struct box box = tile_box(s, tile), part;
            box_intersect(&box, want, &part);
            box_copy(cols[i].values, want, col.values, &box, &part, type_bytes(t));
            if (!col.valid) continue;
            TRY(column_need_valid(c, &cols[i], cells));
            box_copy_bits(cols[i].valid, want, col.valid, &box, &part);
        }
    }
    return OK;
}

/* Which cells exist: what the first attribute's records say. */
static enum status tile_present(struct ctx *c, struct source *base, const struct box *want,
                                uint64_t *bits)
{
    struct tile_source *s = (struct tile_source *)base;
    struct box tiles;
    int64_t n_tiles = touched(s, want, &tiles);
    for (int64_t k = 0; k < n_tiles; k++) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        int64_t index[MAX_DIMS];
        uint64_t *present;
        box_position(&tiles, k, index);
        int64_t tile = box_index(&s->tiles, index);
        if (!s->offsets[tile]) continue;
        TRY(decode_tile(c, s, 0, tile, false, NULL, &present));
        struct box box = tile_box(s, tile), part;
        box_intersect(&box, want, &part);
        box_copy_bits(bits, want, present, &box, &part);
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static void tile_close(struct source *base)
{
    struct tile_source *s = (struct tile_source *)base;
    if (s->fd >= 0) close(s->fd);
    buf_free(s->offsets);
    free(s);
}

static const struct source_class tile_class = {tile_read, tile_close, tile_present, NULL};

/* ---- opening ---- */

static enum status read_dim(struct cursor *k, struct dim *d, int64_t *chunk)
{
    const char *type, *name;
    int64_t n;
    uint8_t listed;
    struct column coords;
    TRY(get_str(k, &name));
    TRY(get_str(k, &type));
    TRY(get_note(k, &d->unit));
    TRY(get_note(k, &d->comment));
    TRY(get_length(k, 0, &n));
    TRY(get_length(k, 1, chunk));
    TRY(get(k, &listed, 1));
    d->name = source_fold_name(k->c, name, strlen(name));
    d->axis = axis_count(n);
    if (!listed) return OK;
    enum type t = type_by_name(type);
    if (t == T_NONE || n > MAX_HEADER_BYTES / 8)
        return damaged(k->c, k->s, "a dimension's type or length");
    struct scratch_mark mark = scratch_mark(k->c->scratch);
    TRY(decode_values(k, t, n, &coords));
    TRY(axis_from_coords(k->c, d->name, t, coords.values, n, false, &d->axis));
    scratch_release(k->c->scratch, mark);
    return OK;
}

static enum status read_header(struct cursor *k, struct tile_source *s)
{
    char magic[8];
    uint32_t n_dims, n_attrs;
    const char *comment;
    TRY(get(k, magic, sizeof magic));
    if (memcmp(magic, "TSTREAM", 7) != 0)
        return fail(k->c, ERR_BAD_COPY_FORMAT, "\"%s\" is not a tile file", s->path);
    if (magic[7] != 1)
        return fail(k->c, ERR_BAD_COPY_FORMAT, "\"%s\" has version %d of the tile format, not 1",
                    s->path, magic[7]);
    TRY(get(k, &n_dims, 4));
    TRY(get(k, &n_attrs, 4));
    TRY(get_note(k, &comment));
    if (n_dims < 1 || n_attrs < 1) return damaged(k->c, s, "it has no dimension or attribute");
    struct schema *schema;
    TRY(source_schema_new(k->c, s->path, n_dims, n_attrs, &schema));
    for (uint32_t d = 0; d < n_dims; d++)
        TRY(read_dim(k, &schema->dims[d], &s->chunk[d]));
    for (uint32_t i = 0; i < n_attrs; i++) {
        struct attr *a = &schema->attrs[i];
        const char *name, *type;
        TRY(get_str(k, &name));
        TRY(get_str(k, &type));
        TRY(get_note(k, &a->unit));
        TRY(get_note(k, &a->comment));
        a->name = source_fold_name(k->c, name, strlen(name));
        a->id = (uint16_t)(i + 1);
        a->type = type_by_name(type);
        if (a->type == T_NONE || a->type == T_INTERVAL)
            return damaged(k->c, s, "an attribute's type");
    }
    source_unique_names(k->c, schema);
    s->base.schema = schema;
    schema_box(schema, &s->base.box);
    return OK;
}

/* Boxes are tiles; positions of axes need not be multiples of them. */
static enum status make_grid(struct ctx *c, struct tile_source *s)
{
    s->tiles = s->base.box;
    for (int d = 0; d < s->tiles.n_dims; d++) {
        int64_t n = box_extent(&s->base.box, d);
        s->tiles.lo[d] = 0;
        s->tiles.hi[d] = (n + s->chunk[d] - 1) / s->chunk[d];
        s->base.grid[d] = s->base.schema->dims[d].tile =
            s->chunk[d] < n || n == 0 ? s->chunk[d] : n;
    }
    int64_t n_tiles = box_cells(&s->tiles), most = s->bytes / HEAD_BYTES + 1, n, cells = 1;
    for (int d = 0; d < s->tiles.n_dims; d++)
        if (__builtin_mul_overflow(cells, s->chunk[d], &cells) || cells > INT64_C(1) << 40)
            return damaged(c, s, "its tiles are too large");
    /* A sparse file may have fewer records than tiles, but not by any factor. */
    if (__builtin_mul_overflow(n_tiles, s->base.schema->n_attrs, &n) || n / 4096 > most)
        return damaged(c, s, "it has too many tiles for its size");
    void *room;
    TRY(buf_alloc(c, (size_t)n * 8 + 8, &room));
    memset(room, 0, (size_t)n * 8 + 8);
    s->offsets = room;
    return OK;
}

static enum status find_records(struct cursor *k, struct tile_source *s)
{
    int64_t n_tiles = box_cells(&s->tiles);
    for (;;) {
        int64_t start = k->at;
        uint32_t var;
        int64_t tile;
        uint8_t flags;
        struct block b;
        TRY(check_cancel(k->c));
        TRY(get(k, &var, 4));
        if (var == UINT32_MAX) break;
        TRY(get(k, &tile, 8));
        TRY(get(k, &flags, 1));
        if (var >= (uint32_t)s->base.schema->n_attrs || tile < 0 || tile >= n_tiles || flags > 3)
            return damaged(k->c, s, "a record's head");
        int64_t *place = &s->offsets[(int64_t)var * n_tiles + tile];
        if (*place) return damaged(k->c, s, "a tile stands twice");
        *place = start;
        for (int i = 0; i < 1 + (flags & 1) + (flags >> 1); i++) {
            TRY(get_block(k, &b));
            k->at += b.payload;
        }
    }
    return k->at == s->bytes ? OK : damaged(k->c, s, "there is more behind its end");
}

enum status tile_stream_open(struct ctx *c, const struct paths *paths, struct source **out)
{
    struct tile_source *s = calloc(1, sizeof *s);
    if (!s) return fail(c, ERR_MEMORY, "out of memory");
    *s = (struct tile_source){.base = {.cls = &tile_class}, .path = paths->v[0], .fd = -1};
    struct cursor k = {c, s, 0};
    enum status st = OK;
    if (paths->n > 1)
        st = fail(c, ERR_UNSUPPORTED, "files of tiles are read one at a time, not %d", paths->n);
    if (st == OK) st = file_open_read(c, s->path, &s->fd, &s->bytes);
    if (st == OK) st = read_header(&k, s);
    if (st == OK) st = make_grid(c, s);
    if (st == OK) st = find_records(&k, s);
    if (st == OK)
        *out = &s->base;
    else
        tile_close(&s->base);
    return st;
}
