/* How a tile becomes a record, and whether a record is the tile that was asked for. */
#include "storage/tile.h"
#include "storage/base/bits.h"
#include "storage/record.h"
#include <assert.h>

#define MAGIC "TSTL"
#define FORMAT 2
#define FORMAT_OF_OLD 1 /* of records that older software reads as well */
#define FIXED_BYTES 72
#define TYPE_PRESENCE 255
#define FLAG_DENSE 1
enum bitmap_coding { BITMAP_NONE, BITMAP_RAW, BITMAP_ZSTD };

bool tile_key_equal(const struct tile_key *a, const struct tile_key *b)
{
    return a->array == b->array && a->attr == b->attr && a->n_dims == b->n_dims &&
           a->version == b->version &&
           memcmp(a->coords, b->coords, sizeof a->coords[0] * (size_t)a->n_dims) == 0;
}

size_t tile_width(enum type t)
{
    if (t == T_NONE) return 0;
    return t == T_TEXT ? sizeof(uint32_t) : type_bytes(t);
}

enum codec_values tile_values(enum type t)
{
    if (type_is_float(t)) return VALUES_FLOATS;
    if (type_is_unsigned(t) || t == T_BOOL || t == T_TEXT) return VALUES_UNSIGNED;
    return type_is_signed(t) || type_is_time(t) ? VALUES_SIGNED : VALUES_BYTES;
}

static size_t header_bytes(int n_dims, bool presence)
{
    return FIXED_BYTES + (size_t)n_dims * (presence ? 24 : 8);
}

static size_t bitmap_raw_bytes(int64_t n)
{
    return (size_t)((n + 7) / 8);
}

/* ---- encoding ---- */

/* Everything but the first 16 bytes, which seal it. */
static void put_header(uint8_t *p, const struct tile *t, enum codec codec, enum bitmap_coding b,
                       size_t bitmap_bytes, size_t payload_bytes)
{
    bool presence = t->type == T_NONE;
    p[16] = (uint8_t)codec;
    p[17] = (uint8_t)b;
    p[18] = presence ? TYPE_PRESENCE : (uint8_t)t->type;
    p[19] = (uint8_t)tile_width(t->type);
    p[20] = (uint8_t)t->key.n_dims;
    p[21] = presence && t->dense ? FLAG_DENSE : 0;
    put16(p + 22, t->key.attr);
    put32(p + 24, t->key.array);
    put32(p + 28, (uint32_t)bitmap_bytes);
    put64(p + 32, (uint64_t)t->key.version);
    put64(p + 40, (uint64_t)t->n);
    put64(p + 48, (uint64_t)t->n_present);
    put64(p + 56, (uint64_t)t->n_nulls);
    put64(p + 64, payload_bytes);
    p += FIXED_BYTES;
    for (int d = 0; d < t->key.n_dims; d++, p += 8)
        put64(p, (uint64_t)t->key.coords[d]);
    for (int d = 0; presence && d < t->key.n_dims; d++, p += 16) {
        put64(p, (uint64_t)t->lo[d]);
        put64(p + 8, (uint64_t)t->hi[d]);
    }
}

/* Writes n bits (the rest of the last word zero) at dst, compressed where that gains. */
static enum status put_bitmap(struct ctx *c, const uint64_t *bits, int64_t n, uint8_t *dst,
                              size_t *bytes, enum bitmap_coding *coding)
{
    size_t raw = bitmap_raw_bytes(n);
    TRY(codec_squeeze(c, bits, raw, dst, bytes));
    *coding = BITMAP_ZSTD;
    if (*bytes) return OK;
    memcpy(dst, bits, raw);
    *bytes = raw;
    *coding = BITMAP_RAW;
    return OK;
}

/* Which cells have a value (`mask`), and which are not NULL as stored (`bits`: set where a cell
 * does not exist). Returns false when every cell has a value; sets the counts of t. */
static bool masks(struct tile *t, const uint64_t *present, uint64_t *mask, uint64_t *bits)
{
    int64_t words = bits_words(t->n);
    int64_t n_present = 0, n_valued = 0;
    for (int64_t w = 0; w < words; w++) {
        int64_t left = t->n - w * 64;
        uint64_t all = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
        uint64_t p = present ? present[w] & all : all;
        uint64_t m = t->bits ? t->bits[w] & p : p;
        n_present += __builtin_popcountll(p);
        n_valued += __builtin_popcountll(m);
        mask[w] = m;
        bits[w] = (m | ~p) & all;
    }
    t->n_present = n_present;
    t->n_nulls = n_present - n_valued;
    return n_valued < t->n;
}

/* Copies values; a cell without one gets its predecessor's (the first: the first value there is),
 * so that what may be anything compresses best. */
static inline __attribute__((always_inline)) void fill_w(uint8_t *dst, const uint8_t *src,
                                                         const uint64_t *mask, int64_t n, size_t w)
{
    uint8_t last[CODEC_MAX_WIDTH] = {0};
    int64_t first = bits_next(mask, 0, n);
    if (first < n) memcpy(last, src + (size_t)first * w, w);
    for (int64_t i = 0; i < n; i++) {
        if (!(i & 63) && n - i >= 64 && mask[i >> 6] == ~UINT64_C(0)) {
            memcpy(dst + (size_t)i * w, src + (size_t)i * w, 64 * w);
            i += 63;
            memcpy(last, src + (size_t)i * w, w);
            continue;
        }
        if (bit_get(mask, i)) memcpy(last, src + (size_t)i * w, w);
        memcpy(dst + (size_t)i * w, last, w);
    }
}

static void fill(void *dst, const void *src, const uint64_t *mask, int64_t n, size_t w)
{
    switch (w) {
    case 1:
        fill_w(dst, src, mask, n, 1);
        break;
    case 2:
        fill_w(dst, src, mask, n, 2);
        break;
    case 4:
        fill_w(dst, src, mask, n, 4);
        break;
    case 8:
        fill_w(dst, src, mask, n, 8);
        break;
    default:
        fill_w(dst, src, mask, n, w);
    }
}

static enum status check_size(struct ctx *c, const struct tile *t)
{
    if (t->n <= TILE_MAX_CELLS && t->n * (int64_t)tile_width(t->type) <= TILE_MAX_BYTES) return OK;
    return fail(c, ERR_LIMIT_EXCEEDED, "a tile cannot be larger than %d MiB",
                (int)(TILE_MAX_BYTES >> 20));
}

/* Masks, filled values, bitmap and payload of *t to the record at `out`, which has room. */
static enum status encode_values(struct ctx *c, struct tile *t, const uint64_t *present,
                                 const struct codec_options *o, uint8_t *out, size_t *out_bytes)
{
    size_t width = tile_width(t->type);
    uint8_t *p = out + header_bytes(t->key.n_dims, false);
    const void *values = t->values;
    size_t bitmap_bytes = 0, payload_bytes;
    enum bitmap_coding coding = BITMAP_NONE;
    enum codec codec;

    t->n_present = t->n;
    t->n_nulls = 0;
    if (present || t->bits) {
        void *room;
        TRY(scratch_alloc(c, (size_t)bits_words(t->n) * 16, &room));
        uint64_t *mask = room, *bits = mask + bits_words(t->n);
        if (masks(t, present, mask, bits)) {
            TRY(scratch_alloc(c, (size_t)t->n * width, &room));
            fill(room, t->values, mask, t->n, width);
            values = room;
        }
        if (t->n_nulls) TRY(put_bitmap(c, bits, t->n, p, &bitmap_bytes, &coding));
    }
    p += bitmap_bytes;
    TRY(codec_encode(c, values, t->n, width, o, p, &payload_bytes, &codec));
    put_header(out, t, codec, coding, bitmap_bytes, payload_bytes);
    *out_bytes = (size_t)(p - out) + payload_bytes;
    record_seal(out, *out_bytes, MAGIC, codec < CODEC_PLANES ? FORMAT_OF_OLD : FORMAT);
    return OK;
}

enum status tile_encode(struct ctx *c, const struct tile *t, const uint64_t *present,
                        const struct codec_options *o, void **record, size_t *record_bytes)
{
    assert(t->n > 0 && t->type != T_NONE && t->key.version > 0);
    TRY(check_size(c, t));
    void *out;
    size_t n_bytes;
    TRY(scratch_alloc(c,
                      header_bytes(t->key.n_dims, false) + bitmap_raw_bytes(t->n) +
                          codec_bound(t->n, tile_width(t->type)),
                      &out));
    struct scratch_mark m = scratch_mark(c->scratch);
    struct tile tile = *t;
    enum status s = encode_values(c, &tile, present, o, out, &n_bytes);
    scratch_release(c->scratch, m);
    if (s < 0) return s;
    *record = out;
    *record_bytes = n_bytes;
    return OK;
}

/* Last set bit in [at, end), which has one. */
static int64_t last_bit(const uint64_t *b, int64_t at, int64_t end)
{
    int64_t w = (end - 1) >> 6;
    int shift = (int)(63 - ((end - 1) & 63));
    uint64_t word = b[w] << shift >> shift;
    while (!word && w > at >> 6)
        word = b[--w];
    return w * 64 + 63 - __builtin_clzll(word);
}

/* The bounding box of the set bits, of which there are some. */
static void bounding_box(struct tile *t, const int64_t *extents, const uint64_t *bits)
{
    int last = t->key.n_dims - 1;
    for (int d = 0; d <= last; d++) {
        t->lo[d] = extents[d];
        t->hi[d] = 0;
    }
    if (last < 0) return;
    int64_t row = extents[last], n_rows = t->n / row;
    for (int64_t r = 0; r < n_rows; r++) {
        int64_t first = bits_next(bits, r * row, (r + 1) * row);
        if (first == (r + 1) * row) continue;
        int64_t end = last_bit(bits, r * row, (r + 1) * row) + 1;
        if (first - r * row < t->lo[last]) t->lo[last] = first - r * row;
        if (end - r * row > t->hi[last]) t->hi[last] = end - r * row;
        int64_t rest = r;
        for (int d = last - 1; d >= 0; d--) {
            int64_t at = rest % extents[d];
            rest /= extents[d];
            if (at < t->lo[d]) t->lo[d] = at;
            if (at >= t->hi[d]) t->hi[d] = at + 1;
        }
    }
}

/* Cells of the bounding box; -1 when it cannot lie in a tile of n cells. */
static int64_t boxed_cells(const struct tile *t)
{
    int64_t cells = 1;
    for (int d = 0; d < t->key.n_dims; d++) {
        if (t->lo[d] < 0 || t->hi[d] < t->lo[d] || t->hi[d] > t->n) return -1;
        if (__builtin_mul_overflow(cells, t->hi[d] - t->lo[d], &cells) || cells > t->n) return -1;
    }
    return cells;
}

static void describe_presence(struct tile *t, const int64_t *extents, const uint64_t *present)
{
    t->n_present = present ? bits_count(present, 0, t->n) : t->n;
    t->dense = true;
    if (t->n_present == t->n) {
        for (int d = 0; d < t->key.n_dims; d++)
            t->hi[d] = extents[d];
    } else if (t->n_present > 0) {
        bounding_box(t, extents, present);
        t->dense = boxed_cells(t) == t->n_present;
    }
}

enum status tile_encode_presence(struct ctx *c, const struct tile_key *key, const int64_t *extents,
                                 const uint64_t *present, void **record, size_t *record_bytes)
{
    assert(key->attr == ATTR_PRESENCE && key->version > 0);
    struct tile t = {.key = *key, .type = T_NONE, .n = 1};
    for (int d = 0; d < key->n_dims; d++)
        if (__builtin_mul_overflow(t.n, extents[d], &t.n)) t.n = INT64_MAX;
    TRY(check_size(c, &t));
    describe_presence(&t, extents, present);

    size_t head = header_bytes(key->n_dims, true), bitmap_bytes = 0;
    enum bitmap_coding coding = BITMAP_NONE;
    void *room;
    TRY(scratch_alloc(c, head + (t.dense ? 0 : bitmap_raw_bytes(t.n)), &room));
    uint8_t *out = room;
    if (!t.dense) {
        struct scratch_mark m = scratch_mark(c->scratch);
        TRY(scratch_alloc(c, (size_t)bits_words(t.n) * 8, &room));
        uint64_t *bits = room;
        memcpy(bits, present, (size_t)bits_words(t.n) * 8);
        if (t.n & 63) bits[t.n >> 6] &= (UINT64_C(1) << (t.n & 63)) - 1;
        enum status s = put_bitmap(c, bits, t.n, out + head, &bitmap_bytes, &coding);
        scratch_release(c->scratch, m);
        if (s < 0) return s;
    }
    put_header(out, &t, 0, coding, bitmap_bytes, 0);
    record_seal(out, head + bitmap_bytes, MAGIC, FORMAT_OF_OLD);
    *record = out;
    *record_bytes = head + bitmap_bytes;
    return OK;
}

/* ---- decoding ---- */

static bool same_tile(const uint8_t *p, const struct tile_key *key)
{
    if (get32(p + 24) != key->array || get16(p + 22) != key->attr || p[20] != key->n_dims ||
        get64(p + 32) != (uint64_t)key->version)
        return false;
    for (int d = 0; d < key->n_dims; d++)
        if (get64(p + FIXED_BYTES + 8 * (size_t)d) != (uint64_t)key->coords[d]) return false;
    return true;
}

/* Do the counts of a presence record fit each other? */
static bool presence_fits(const struct tile *t, bool has_bits)
{
    int64_t cells = boxed_cells(t);
    if (cells < 0 || t->n_nulls || has_bits == t->dense) return false;
    if (t->n_present == 0) return t->dense && (cells == 0 || t->key.n_dims == 0);
    return t->dense ? cells == t->n_present : t->n_present < cells;
}

static enum status open_sizes(struct ctx *c, const uint8_t *p, size_t n_bytes,
                              struct tile_record *r)
{
    bool presence = r->tile.type == T_NONE;
    size_t head = header_bytes(r->tile.key.n_dims, presence);
    uint64_t bitmap = get32(p + 28), payload = get64(p + 64);
    if (n_bytes < head || bitmap > n_bytes - head || payload != n_bytes - head - bitmap)
        return record_corrupt(c, &r->tile.key, "its sizes do not fit its length");
    if (p[17] > BITMAP_ZSTD || (p[17] == BITMAP_NONE) != (bitmap == 0) ||
        (p[17] == BITMAP_RAW && bitmap != bitmap_raw_bytes(r->tile.n)))
        return record_corrupt(c, &r->tile.key, "its bitmap does not fit its size");
    r->has_bits = p[17] != BITMAP_NONE;
    r->bitmap_squeezed = p[17] == BITMAP_ZSTD;
    r->codec = p[16];
    r->bitmap = p + head;
    r->bitmap_bytes = bitmap;
    r->payload = r->bitmap + bitmap;
    r->payload_bytes = payload;
    return OK;
}

enum status tile_open(struct ctx *c, const void *bytes, size_t n_bytes, const struct tile_key *key,
                      enum type type, int64_t n, struct tile_record *out)
{
    const uint8_t *p = bytes;
    struct tile_record r = {.tile = {.key = *key, .type = type, .n = n}};
    struct tile *t = &r.tile;
    TRY(record_check(c, bytes, n_bytes, MAGIC, FORMAT, key));
    if (n_bytes < header_bytes(key->n_dims, type == T_NONE))
        return record_corrupt(c, key, "it is cut short");
    if (!same_tile(p, key)) return record_corrupt(c, key, "its key is another one");
    if (p[18] != (type == T_NONE ? TYPE_PRESENCE : (int)type) || p[19] != tile_width(type) ||
        get64(p + 40) != (uint64_t)n)
        return record_corrupt(c, key, "its type or size is another one");
    TRY(open_sizes(c, p, n_bytes, &r));
    t->n_present = (int64_t)get64(p + 48);
    t->n_nulls = (int64_t)get64(p + 56);
    bool fits = t->n_present >= 0 && t->n_present <= n;
    if (type == T_NONE) {
        t->dense = p[21] & FLAG_DENSE;
        p += FIXED_BYTES + 8 * (size_t)key->n_dims;
        for (int d = 0; d < key->n_dims; d++, p += 16) {
            t->lo[d] = (int64_t)get64(p);
            t->hi[d] = (int64_t)get64(p + 8);
        }
        fits = fits && presence_fits(t, r.has_bits) && !r.payload_bytes;
    } else {
        fits = fits && t->n_nulls >= 0 && t->n_nulls <= t->n_present && r.has_bits == !!t->n_nulls;
    }
    if (!fits) return record_corrupt(c, key, "its counts do not fit");
    *out = r;
    return OK;
}

static size_t values_room(enum type type, int64_t n)
{
    return ((size_t)n * tile_width(type) + 63) & ~(size_t)63;
}

size_t tile_most_bytes(enum type type, int64_t n)
{
    return values_room(type, n) + (size_t)bits_words(n) * 8;
}

size_t tile_decoded_bytes(const struct tile_record *r)
{
    return r->has_bits ? tile_most_bytes(r->tile.type, r->tile.n)
                       : values_room(r->tile.type, r->tile.n);
}

static enum status decode_bits(struct ctx *c, const struct tile_record *r, uint64_t *bits)
{
    const struct tile *t = &r->tile;
    size_t raw = bitmap_raw_bytes(t->n);
    bits[bits_words(t->n) - 1] = 0;
    if (r->bitmap_squeezed)
        TRY(codec_expand(c, r->bitmap, r->bitmap_bytes, bits, raw));
    else
        memcpy(bits, r->bitmap, raw);
    int64_t n_set = bits_count(bits, 0, t->n);
    if (n_set != (t->type == T_NONE ? t->n_present : t->n - t->n_nulls))
        return record_corrupt(c, &t->key, "its bitmap does not have the bits that it counts");
    return OK;
}

enum status tile_decode(struct ctx *c, const struct tile_record *r, void *memory, struct tile *out)
{
    struct tile t = r->tile;
    if (t.type != T_NONE) {
        t.values = memory;
        TRY(codec_decode(c, r->codec, r->payload, r->payload_bytes, t.values, t.n,
                         tile_width(t.type)));
    }
    if (r->has_bits) {
        void *bits = (uint8_t *)memory + values_room(t.type, t.n);
        t.bits = bits;
        TRY(decode_bits(c, r, t.bits));
    }
    COUNT(c, bytes_decoded, (int64_t)tile_decoded_bytes(r));
    *out = t;
    return OK;
}

void tile_presence_bits(const struct tile *t, const int64_t *extents, uint64_t *bits)
{
    if (t->bits) {
        memcpy(bits, t->bits, (size_t)bits_words(t->n) * 8);
        return;
    }
    memset(bits, 0, (size_t)bits_words(t->n) * 8);
    int last = t->key.n_dims - 1;
    if (last < 0 || t->n_present == t->n) {
        bits_fill(bits, 0, t->n, t->n_present > 0);
        return;
    }
    struct box rows = {.n_dims = last}, tile = {.n_dims = last};
    for (int d = 0; d < last; d++) {
        tile.hi[d] = extents[d];
        rows.lo[d] = t->lo[d];
        rows.hi[d] = t->hi[d] < extents[d] ? t->hi[d] : extents[d];
    }
    int64_t hi = t->hi[last] < extents[last] ? t->hi[last] : extents[last];
    int64_t n_rows = t->n_present && hi > t->lo[last] ? box_cells(&rows) : 0;
    for (int64_t r = 0; r < n_rows; r++) {
        int64_t pos[MAX_DIMS];
        box_position(&rows, r, pos);
        bits_fill(bits, box_index(&tile, pos) * extents[last] + t->lo[last], hi - t->lo[last],
                  true);
    }
}

bool tile_record_is_tombstone(const void *bytes, size_t n_bytes)
{
    const uint8_t *p = bytes;
    return n_bytes >= FIXED_BYTES && p[18] == TYPE_PRESENCE && get64(p + 48) == 0;
}

bool tile_is_full(const struct tile *presence)
{
    return presence->n_present == presence->n;
}
