/* Is a stored record whole, and of a format that we know? The only file that knows xxHash. */
#include "storage/record.h"
#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

static uint64_t checksum(const uint8_t *p, size_t n_bytes)
{
    return XXH3_64bits_withSeed(p + RECORD_HEADER_BYTES, n_bytes - RECORD_HEADER_BYTES, get64(p));
}

void record_seal(void *bytes, size_t n_bytes, const char *magic, uint16_t version)
{
    uint8_t *p = bytes;
    memcpy(p, magic, 4);
    put16(p + 4, version);
    put16(p + 6, 0);
    put64(p + 8, checksum(p, n_bytes));
}

enum status record_check(struct ctx *c, const void *bytes, size_t n_bytes, const char *magic,
                         uint16_t version, const struct tile_key *key)
{
    const uint8_t *p = bytes;
    if (n_bytes < RECORD_HEADER_BYTES) return record_corrupt(c, key, "it is cut short");
    if (memcmp(p, magic, 4)) return record_corrupt(c, key, "it does not begin as it should");
    if (get64(p + 8) != checksum(p, n_bytes))
        return record_corrupt(c, key, "its checksum does not match");
    if (!get16(p + 4) || get16(p + 4) > version || get16(p + 6))
        return fail(c, ERR_FORMAT_VERSION, "stored data has format version %d, this is for %d",
                    get16(p + 4), version);
    return OK;
}

void record_key_text(const struct tile_key *key, char *out)
{
    bool block = key->attr & ATTR_SUMMARY;
    int at = snprintf(out, RECORD_KEY_CHARS, "%s (", block ? "summary block" : "tile");
    for (int d = 0; d < key->n_dims; d++)
        at += snprintf(out + at, RECORD_KEY_CHARS - (size_t)at, "%s%" PRId64, d ? ", " : "",
                       key->coords[d]);
    snprintf(out + at, RECORD_KEY_CHARS - (size_t)at,
             ") of array %" PRIu32 ", attribute %d, version %" PRId64, key->array,
             key->attr & ~ATTR_SUMMARY, key->version);
}

enum status record_corrupt(struct ctx *c, const struct tile_key *key, const char *why)
{
    char text[RECORD_KEY_CHARS];
    record_key_text(key, text);
    return fail(c, ERR_CORRUPT, "%s is damaged: %s", text, why);
}
