/* What does a patch look like in memory and as a record, and what becomes of a tile under it? */
#include "storage/patch.h"
#include "storage/base/bits.h"
#include "storage/record.h"
#include <stdlib.h>

#define MAGIC "TSPA"
#define FORMAT 1
#define HEAD_BYTES 32
#define PART_BYTES 8
#define FLAG_FILLS 1
#define FLAG_VALID 1

static size_t padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static size_t part_bytes(const struct patch_part *p)
{
    size_t bytes = PART_BYTES + padded(sizeof(uint32_t) * p->n) + padded((size_t)p->width * p->n);
    return bytes + (p->valid ? (size_t)bits_words(p->n) * 8 : 0);
}

/* ---- making ---- */

/* Writes a part behind `to`, and says where its lists lie. */
static uint8_t *put_part(uint8_t *to, const struct patch_part *p, struct patch_part *out)
{
    size_t cells = sizeof(uint32_t) * p->n, values = (size_t)p->width * p->n;
    put16(to, p->attr);
    to[2] = p->width;
    to[3] = p->valid ? FLAG_VALID : 0;
    put32(to + 4, p->n);
    to += PART_BYTES;
    *out = *p;
    out->cells = (const uint32_t *)(const void *)to;
    memcpy(to, p->cells, cells);
    to += padded(cells);
    out->values = p->width ? to : NULL;
    if (values) memcpy(to, p->values, values);
    to += padded(values);
    if (!p->valid) return to;
    out->valid = (const uint64_t *)(const void *)to;
    memcpy(to, p->valid, (size_t)bits_words(p->n) * 8);
    return to + bits_words(p->n) * 8;
}

/* One zeroed block for all; *record has n_bytes. */
static struct patch *alloc_patch(int n_parts, size_t n_bytes, uint8_t **record)
{
    size_t head = (sizeof(struct patch) + 15) & ~(size_t)15;
    size_t parts = (sizeof(struct patch_part) * (size_t)n_parts + 15) & ~(size_t)15;
    char *block = calloc(1, head + parts + n_bytes);
    if (!block) abort();
    struct patch *p = (struct patch *)(void *)block;
    p->parts = (struct patch_part *)(void *)(block + head);
    p->n_parts = n_parts;
    *record = (uint8_t *)block + head + parts;
    p->bytes = *record;
    p->n_bytes = n_bytes;
    return p;
}

struct patch *patch_new(const struct tile_key *key, bool fills, const struct patch_part *parts,
                        int n_parts)
{
    uint8_t *record;
    size_t bytes = HEAD_BYTES + 8 * (size_t)key->n_dims;
    for (int i = 0; i < n_parts; i++)
        bytes += part_bytes(&parts[i]);
    struct patch *p = alloc_patch(n_parts, bytes, &record);
    p->key = *key;
    p->key.attr = ATTR_PRESENCE;
    p->fills = fills;
    put32(record + 16, key->array);
    record[20] = (uint8_t)key->n_dims;
    record[21] = fills ? FLAG_FILLS : 0;
    put16(record + 22, (uint16_t)n_parts);
    put64(record + 24, (uint64_t)key->version);
    for (int d = 0; d < key->n_dims; d++)
        put64(record + HEAD_BYTES + 8 * d, (uint64_t)key->coords[d]);
    uint8_t *to = record + HEAD_BYTES + 8 * key->n_dims;
    for (int i = 0; i < n_parts; i++)
        to = put_part(to, &parts[i], &p->parts[i]);
    record_seal(record, bytes, MAGIC, FORMAT);
    return p;
}

/* ---- reading ---- */

/* Looks at the part at *at; false: it does not hold together. */
static bool get_part(const uint8_t *record, size_t n_bytes, size_t *at, int64_t tile_cells,
                     struct patch_part *out)
{
    const uint8_t *from = record + *at;
    if (n_bytes - *at < PART_BYTES) return false;
    *out = (struct patch_part){.attr = get16(from), .width = from[2], .n = get32(from + 4)};
    bool has_valid = from[3] & FLAG_VALID;
    if (out->n > tile_cells || out->width > 16) return false;
    size_t cells = padded(sizeof(uint32_t) * out->n), values = padded((size_t)out->width * out->n);
    size_t valid = has_valid ? (size_t)bits_words(out->n) * 8 : 0;
    if (n_bytes - *at - PART_BYTES < cells + values + valid) return false;
    out->cells = (const uint32_t *)(const void *)(from + PART_BYTES);
    out->values = out->width ? from + PART_BYTES + cells : NULL;
    if (has_valid)
        out->valid = (const uint64_t *)(const void *)(from + PART_BYTES + cells + values);
    for (uint32_t i = 0; i < out->n; i++)
        if ((out->cells[i] & ~PATCH_GONE) >= tile_cells) return false;
    *at += PART_BYTES + cells + values + valid;
    return true;
}

static bool same_key(const uint8_t *record, size_t n_bytes, const struct tile_key *key)
{
    if (n_bytes < HEAD_BYTES + 8 * (size_t)key->n_dims || get32(record + 16) != key->array ||
        record[20] != key->n_dims || get64(record + 24) != (uint64_t)key->version)
        return false;
    for (int d = 0; d < key->n_dims; d++)
        if (get64(record + HEAD_BYTES + 8 * d) != (uint64_t)key->coords[d]) return false;
    return true;
}

enum status patch_parse(struct ctx *c, const void *bytes, size_t n_bytes,
                        const struct tile_key *key, int64_t tile_cells, struct patch **out)
{
    uint8_t *record;
    TRY(record_check(c, bytes, n_bytes, MAGIC, FORMAT, key));
    if (!same_key(bytes, n_bytes, key)) return record_corrupt(c, key, "a patch of it is another's");
    int n_parts = get16((const uint8_t *)bytes + 22);
    struct patch *p = alloc_patch(n_parts, n_bytes, &record);
    memcpy(record, bytes, n_bytes);
    p->key = *key;
    p->key.attr = ATTR_PRESENCE;
    p->fills = record[21] & FLAG_FILLS;
    size_t at = HEAD_BYTES + 8 * (size_t)key->n_dims;
    bool whole = true;
    for (int i = 0; i < n_parts && whole; i++)
        whole = get_part(record, n_bytes, &at, tile_cells, &p->parts[i]);
    if (!whole || at != n_bytes) {
        free(p);
        return record_corrupt(c, key, "a patch of it does not hold together");
    }
    *out = p;
    return OK;
}

/* ---- merging ---- */

/* A cell of a part, and how new it is. */
struct entry {
    uint32_t cell, index;
    int64_t age; /* 0: of the newest patch */
    const struct patch_part *part;
};

static int order_of_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    uint32_t p = x->cell & ~PATCH_GONE, q = y->cell & ~PATCH_GONE;
    if (p != q) return p < q ? -1 : 1;
    return (x->age > y->age) - (x->age < y->age);
}

/* All that the patches say of one attribute; its lists are malloc'ed. */
static struct patch_part merge_part(struct patch *const *list, int64_t n, uint16_t attr)
{
    int64_t total = 0, kept = 0;
    struct patch_part out = {.attr = attr};
    for (int64_t i = 0; i < n; i++) {
        const struct patch_part *part = patch_part_of(list[i], attr);
        if (part) total += part->n;
        if (part) out.width = part->width;
    }
    struct entry *entries = calloc((size_t)total + 1, sizeof(*entries));
    uint32_t *cells = calloc((size_t)total + 1, sizeof(*cells));
    char *values = calloc((size_t)total + 1, out.width ? out.width : 1);
    uint64_t *valid = calloc((size_t)bits_words(total) + 1, 8);
    if (!entries || !cells || !values || !valid) abort();
    total = 0;
    for (int64_t i = 0; i < n; i++) {
        const struct patch_part *part = patch_part_of(list[i], attr);
        for (uint32_t k = 0; part && k < part->n; k++)
            entries[total++] = (struct entry){part->cells[k], k, i, part};
    }
    qsort(entries, (size_t)total, sizeof(*entries), order_of_entries);
    bool nulls = false;
    for (int64_t i = 0; i < total; i++) {
        const struct entry *e = &entries[i];
        if (i && ((e->cell ^ entries[i - 1].cell) & ~PATCH_GONE) == 0) continue;
        cells[kept] = e->cell;
        if (out.width)
            memcpy(values + (size_t)kept * out.width,
                   (const char *)e->part->values + (size_t)e->index * out.width, out.width);
        bool is_valid = !e->part->valid || bit_get(e->part->valid, e->index);
        bit_put(valid, kept++, is_valid);
        nulls = nulls || !is_valid;
    }
    free(entries);
    out.n = (uint32_t)kept;
    out.cells = cells;
    out.values = values;
    out.valid = nulls ? valid : NULL;
    if (!nulls) free(valid);
    return out;
}

static void free_part(struct patch_part *p)
{
    free((void *)(uintptr_t)p->cells);
    free((void *)(uintptr_t)p->values);
    free((void *)(uintptr_t)p->valid);
}

struct patch *patch_merge(struct patch *const *list, int64_t n, int64_t version)
{
    struct tile_key key = list[0]->key;
    bool fills = true;
    int n_parts = 0, room = 0;
    key.version = version;
    if (n == 1) return patch_new(&key, list[0]->fills, list[0]->parts, list[0]->n_parts);
    for (int64_t i = 0; i < n; i++)
        room += list[i]->n_parts;
    struct patch_part *parts = calloc((size_t)room + 1, sizeof(*parts));
    if (!parts) abort();
    for (int64_t i = 0; i < n; i++) {
        fills = fills && list[i]->fills;
        for (int k = 0; k < list[i]->n_parts; k++) {
            int at = 0;
            while (at < n_parts && parts[at].attr != list[i]->parts[k].attr)
                at++;
            if (at == n_parts) parts[n_parts++] = merge_part(list, n, list[i]->parts[k].attr);
        }
    }
    struct patch *p = patch_new(&key, fills, parts, n_parts);
    for (int k = 0; k < n_parts; k++)
        free_part(&parts[k]);
    free(parts);
    return p;
}

/* ---- applying ---- */

const struct patch_part *patch_part_of(const struct patch *p, uint16_t attr)
{
    for (int i = 0; i < p->n_parts; i++)
        if (p->parts[i].attr == attr) return &p->parts[i];
    return NULL;
}

void patch_presence(const struct patch *p, uint64_t *bits)
{
    const struct patch_part *part = patch_part_of(p, ATTR_PRESENCE);
    for (uint32_t i = 0; part && i < part->n; i++)
        bit_put(bits, part->cells[i] & ~PATCH_GONE, !(part->cells[i] & PATCH_GONE));
}

void patch_values(const struct patch_part *part, int64_t lo, int64_t hi, void *values,
                  uint64_t *valid)
{
    size_t width = part->width;
    for (uint32_t i = 0; i < part->n; i++) {
        int64_t cell = part->cells[i];
        if (cell < lo || cell >= hi) continue;
        const char *from = (const char *)part->values + i * width;
        if (width == 8)
            memcpy((char *)values + cell * 8, from, 8);
        else
            memcpy((char *)values + (size_t)cell * width, from, width);
        if (valid) bit_put(valid, cell, !part->valid || bit_get(part->valid, i));
    }
}

int64_t patch_cells(const struct patch *p)
{
    int64_t most = 0;
    for (int i = 0; i < p->n_parts; i++)
        if (p->parts[i].n > most) most = p->parts[i].n;
    return most;
}
