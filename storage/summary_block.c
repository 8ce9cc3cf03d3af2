/* How the summaries of a thousand tiles become one small record.
 *
 * Entries stand in order of their slots. Numbers are variable-length (7 bits a byte, low ones
 * first), signed ones zigzag (z):
 *
 *   slot, less that of the entry before and 1 (the first: the slot)
 *   flags (1 byte)
 *   n_cells; n_nulls and n_nans, each when its flag is set
 *   F_RANGE: min; max unless F_ONE. Integers and times z, unsigned ones plain, floats as they are
 *   F_SUM: integers: z of the sum. Floats: the sum, then the sum of squares, each as
 *       flags (1 byte: nan 1, +infinity 2, -infinity 4, empty 8), and unless empty z of top and z
 *       of each bin */
#include "storage/record.h"
#include "storage/summary.h"
#include <assert.h>

#define MAGIC "TSSB"
#define FORMAT 1
#define FIXED_BYTES 40
#define TYPE_PRESENCE 255
#define MAX_VARINT 19 /* bytes of 128 bits */
/* slot, flags, counts, range, sums: more than any entry takes */
#define MAX_ENTRY (16 + 5 * 10 + 2 * (2 + 5 * MAX_VARINT))
#define MAX_TOP 128 /* exponents of products lie far within ±30 × this */

enum flag { F_NULLS = 1, F_NANS = 2, F_RANGE = 4, F_ONE = 8, F_CONSTANT = 16, F_SUM = 32 };

__extension__ typedef unsigned __int128 u128;

void summary_block_extents(int n_dims, int64_t *extents)
{
    const int bits = __builtin_ctz(SUMMARY_BLOCK_TILES);
    for (int d = 0; d < n_dims; d++)
        extents[d] = INT64_C(1) << (bits / n_dims + (d < bits % n_dims));
}

void summary_block_of(int n_dims, const int64_t *tile, int64_t *block, int *slot)
{
    int64_t extents[MAX_DIMS], s = 0;
    summary_block_extents(n_dims, extents);
    for (int d = 0; d < n_dims; d++) {
        block[d] = tile_of(tile[d], extents[d]);
        s = s * extents[d] + (tile[d] - block[d] * extents[d]);
    }
    *slot = (int)s;
}

enum status summary_block_alloc(struct ctx *c, struct summary_block *out)
{
    void *slots;
    TRY(scratch_alloc(c, SUMMARY_BLOCK_TILES * sizeof(struct summary), &slots));
    memset(out->set, 0, sizeof out->set);
    out->slots = slots;
    return OK;
}

/* ---- encoding ---- */

static uint8_t *put_varint(uint8_t *p, u128 v)
{
    for (; v >= 128; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

static uint8_t *put_zigzag(uint8_t *p, i128 v)
{
    return put_varint(p, (u128)v << 1 ^ (u128)(v >> 127));
}

static uint8_t *put_value(uint8_t *p, enum type t, const void *v)
{
    if (t == T_FLOAT32) {
        double d;
        memcpy(&d, v, sizeof d);
        float f = (float)d;
        memcpy(p, &f, sizeof f);
        return p + sizeof f;
    }
    if (t == T_FLOAT64) {
        memcpy(p, v, 8);
        return p + 8;
    }
    uint64_t u;
    memcpy(&u, v, sizeof u);
    return type_is_unsigned(t) ? put_varint(p, u) : put_zigzag(p, (int64_t)u);
}

static uint8_t *put_fsum(uint8_t *p, const struct fsum *s)
{
    bool empty = s->top == FSUM_EMPTY;
    *p++ = (uint8_t)((s->has_nan ? 1 : 0) | (s->has_pinf ? 2 : 0) | (s->has_ninf ? 4 : 0) |
                     (empty ? 8 : 0));
    if (empty) return p;
    p = put_zigzag(p, s->top);
    for (int k = 0; k < FSUM_BINS; k++)
        p = put_zigzag(p, s->bin[k]);
    return p;
}

static uint8_t *put_entry(uint8_t *p, enum type t, const struct summary *s, int slot)
{
    bool range = s->has_range && t != T_NONE, one = range && s->min.u == s->max.u;
    bool sum = s->has_sum && t != T_NONE;
    p = put_varint(p, (u128)slot);
    *p++ = (uint8_t)((s->n_nulls ? F_NULLS : 0) | (s->n_nans ? F_NANS : 0) | (range ? F_RANGE : 0) |
                     (one ? F_ONE : 0) | (s->constant ? F_CONSTANT : 0) | (sum ? F_SUM : 0));
    p = put_varint(p, (u128)s->n_cells);
    if (s->n_nulls) p = put_varint(p, (u128)s->n_nulls);
    if (s->n_nans) p = put_varint(p, (u128)s->n_nans);
    if (range) p = put_value(p, t, &s->min);
    if (range && !one) p = put_value(p, t, &s->max);
    if (!sum) return p;
    if (!type_is_float(t)) return put_zigzag(p, s->isum);
    p = put_fsum(p, &s->sum);
    return put_fsum(p, &s->sum2);
}

enum status summary_block_encode(struct ctx *c, const struct tile_key *key, enum type t,
                                 const struct summary_block *b, void **record, size_t *record_bytes)
{
    assert(key->attr & ATTR_SUMMARY && key->version > 0);
    size_t head = FIXED_BYTES + 8 * (size_t)key->n_dims;
    int64_t n_set = bits_count(b->set, 0, SUMMARY_BLOCK_TILES);
    size_t room = (size_t)n_set * MAX_ENTRY + 1;
    void *mem;
    TRY(scratch_alloc(c, head + 2 * room, &mem));
    uint8_t *out = mem, *entries = out + head + room, *p = entries;
    int last = -1;
    for (int64_t i = bits_next(b->set, 0, SUMMARY_BLOCK_TILES); i < SUMMARY_BLOCK_TILES;
         i = bits_next(b->set, i + 1, SUMMARY_BLOCK_TILES)) {
        p = put_entry(p, t, &b->slots[i], (int)i - last - 1);
        last = (int)i;
    }
    size_t n_raw = (size_t)(p - entries), n_squeezed = 0;
    if (n_raw) TRY(codec_squeeze(c, entries, n_raw, out + head, &n_squeezed));
    if (!n_squeezed) memmove(out + head, entries, n_raw);

    out[16] = t == T_NONE ? TYPE_PRESENCE : (uint8_t)t;
    out[17] = (uint8_t)key->n_dims;
    put16(out + 18, key->attr);
    put32(out + 20, key->array);
    put64(out + 24, (uint64_t)key->version);
    put32(out + 32, (uint32_t)n_set);
    put32(out + 36, (uint32_t)n_raw | (n_squeezed ? UINT32_C(1) << 31 : 0));
    for (int d = 0; d < key->n_dims; d++)
        put64(out + FIXED_BYTES + 8 * d, (uint64_t)key->coords[d]);
    *record_bytes = head + (n_squeezed ? n_squeezed : n_raw);
    record_seal(out, *record_bytes, MAGIC, FORMAT);
    *record = out;
    return OK;
}

/* ---- decoding ---- */

struct reader {
    const uint8_t *p, *end;
    bool bad; /* ran past the end, or a number too long */
};

static u128 get_varint(struct reader *r)
{
    u128 v = 0;
    for (int shift = 0; shift < 7 * MAX_VARINT; shift += 7) {
        if (r->p == r->end) break;
        uint8_t byte = *r->p++;
        v |= (u128)(byte & 127) << shift;
        if (byte < 128) return v;
    }
    r->bad = true;
    return 0;
}

static i128 get_zigzag(struct reader *r)
{
    u128 v = get_varint(r);
    return (i128)(v >> 1) ^ -(i128)(v & 1);
}

static int64_t get_count(struct reader *r)
{
    u128 v = get_varint(r);
    if (v > INT64_MAX) r->bad = true;
    return (int64_t)v;
}

static void get_bytes(struct reader *r, void *out, size_t n)
{
    if ((size_t)(r->end - r->p) < n) {
        r->bad = true;
        return;
    }
    memcpy(out, r->p, n);
    r->p += n;
}

static uint8_t get_byte(struct reader *r)
{
    uint8_t v = 0;
    get_bytes(r, &v, 1);
    return v;
}

static void get_value(struct reader *r, enum type t, void *out)
{
    uint64_t u = 0;
    if (t == T_FLOAT32) {
        float f = 0;
        get_bytes(r, &f, sizeof f);
        double d = (double)f;
        memcpy(&u, &d, sizeof u);
    } else if (t == T_FLOAT64) {
        get_bytes(r, &u, sizeof u);
    } else {
        u = type_is_unsigned(t) ? (uint64_t)get_varint(r) : (uint64_t)get_zigzag(r);
    }
    memcpy(out, &u, sizeof u);
}

static void get_fsum(struct reader *r, struct fsum *s)
{
    uint8_t flags = get_byte(r);
    s->has_nan = flags & 1;
    s->has_pinf = flags >> 1 & 1;
    s->has_ninf = flags >> 2 & 1;
    if (flags & 8) return;
    i128 top = get_zigzag(r);
    if (top < -MAX_TOP || top > MAX_TOP) r->bad = true;
    s->top = (int32_t)top;
    for (int k = 0; k < FSUM_BINS; k++)
        s->bin[k] = get_zigzag(r);
}

/* Into s, which is initialised. */
static void get_entry(struct reader *r, enum type t, struct summary *s)
{
    uint8_t flags = get_byte(r);
    if (t == T_NONE && flags & (F_RANGE | F_SUM)) r->bad = true;
    s->n_cells = get_count(r);
    if (flags & F_NULLS) s->n_nulls = get_count(r);
    if (flags & F_NANS) s->n_nans = get_count(r);
    s->constant = flags & F_CONSTANT;
    s->has_range = flags & F_RANGE;
    if (s->has_range) get_value(r, t, &s->min);
    s->max = s->min;
    if (s->has_range && !(flags & F_ONE)) get_value(r, t, &s->max);
    s->has_sum = flags & F_SUM;
    if (!s->has_sum) return;
    if (type_is_float(t)) {
        get_fsum(r, &s->sum);
        get_fsum(r, &s->sum2);
    } else {
        s->isum = get_zigzag(r);
    }
}

static enum status get_entries(struct ctx *c, const struct tile_key *key, enum type t,
                               struct reader *r, uint32_t n_set, struct summary_block *out)
{
    memset(out->set, 0, sizeof out->set);
    int64_t slot = -1;
    for (uint32_t i = 0; i < n_set; i++) {
        u128 skip = get_varint(r);
        if (skip >= (u128)(SUMMARY_BLOCK_TILES - 1 - slot)) r->bad = true;
        if (r->bad) break;
        slot += (int64_t)skip + 1;
        summary_init(&out->slots[slot]);
        get_entry(r, t, &out->slots[slot]);
        bit_set(out->set, slot);
    }
    if (r->bad || r->p != r->end) return record_corrupt(c, key, "its summaries do not read");
    return OK;
}

static bool same_block(const uint8_t *p, const struct tile_key *key, enum type t)
{
    if (p[16] != (t == T_NONE ? TYPE_PRESENCE : (int)t) || p[17] != key->n_dims ||
        get16(p + 18) != key->attr || get32(p + 20) != key->array ||
        get64(p + 24) != (uint64_t)key->version)
        return false;
    for (int d = 0; d < key->n_dims; d++)
        if (get64(p + FIXED_BYTES + 8 * d) != (uint64_t)key->coords[d]) return false;
    return true;
}

enum status summary_block_decode(struct ctx *c, const void *bytes, size_t n_bytes,
                                 const struct tile_key *key, enum type t, struct summary_block *out)
{
    const uint8_t *p = bytes;
    size_t head = FIXED_BYTES + 8 * (size_t)key->n_dims;
    TRY(record_check(c, bytes, n_bytes, MAGIC, FORMAT, key));
    if (n_bytes < head) return record_corrupt(c, key, "it is cut short");
    if (!same_block(p, key, t)) return record_corrupt(c, key, "its key is another one");
    uint32_t n_set = get32(p + 32), size = get32(p + 36);
    size_t n_raw = size & ~(UINT32_C(1) << 31);
    if (n_set > SUMMARY_BLOCK_TILES || n_raw > (size_t)n_set * MAX_ENTRY)
        return record_corrupt(c, key, "its sizes do not fit");
    struct reader r = {.p = p + head, .end = p + n_bytes};
    if (size == n_raw) {
        if (n_raw != n_bytes - head) return record_corrupt(c, key, "its sizes do not fit");
        return get_entries(c, key, t, &r, n_set, out);
    }
    struct scratch_mark m = scratch_mark(c->scratch);
    void *mem;
    TRY(scratch_alloc(c, n_raw + 1, &mem));
    enum status s = codec_expand(c, p + head, n_bytes - head, mem, n_raw);
    if (s == OK) {
        r.p = mem;
        r.end = r.p + n_raw;
        s = get_entries(c, key, t, &r, n_set, out);
    }
    scratch_release(c->scratch, m);
    return s;
}
