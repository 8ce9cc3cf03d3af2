/* What all stored records share: magic, format version, checksum; and their key in words, for
 * errors. */
#ifndef TESSERA_RECORD_H
#define TESSERA_RECORD_H
#include "storage/tile.h"
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little-endian");

#define RECORD_HEADER_BYTES 16

/* Writes the first 16 bytes: magic (4), format version (2), zero (2), checksum of the rest (8). */
void record_seal(void *bytes, size_t n_bytes, const char *magic, uint16_t version);
/* ERR_CORRUPT when magic or checksum are wrong, ERR_FORMAT_VERSION when both hold and the version
 * is newer than `version`. */
enum status record_check(struct ctx *c, const void *bytes, size_t n_bytes, const char *magic,
                         uint16_t version, const struct tile_key *key);
/* ERR_CORRUPT: "tile (1, 2) of array 7, attribute 3, version 5 is damaged: <why>". */
enum status record_corrupt(struct ctx *c, const struct tile_key *key, const char *why);
#define RECORD_KEY_CHARS 480
void record_key_text(const struct tile_key *key, char *out);

static inline void put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

#endif
