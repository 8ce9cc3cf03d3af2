/* A zone's table, between the file that makes it (zone_decode.c) and the one that asks it (zone.c).
 */
#ifndef TESSERA_ZONE_INTERNAL_H
#define TESSERA_ZONE_INTERNAL_H
#include "storage/base/zone.h"

/* In 400 years the calendar and the days of the week repeat, so a rule's changes do. */
#define ZONE_CYCLE_SECONDS (INT64_C(146097) * 86400)
#define ZONE_MAX_OFFSET (26 * 3600) /* no clock is further from UTC (RFC 8536) */

struct zone {
    struct zone *next; /* of those loaded */
    char *name;
    /* offsets[i] seconds east of UTC from change[i-1] to change[i] (seconds, ascending). */
    int64_t *changes;
    int32_t *offsets;
    int n_changes;
    /* From here on as ZONE_CYCLE_SECONDS before; INT64_MAX: nothing changes any more. */
    int64_t cycle_end;
};

/* A zone from the bytes of a TZif file of version 2 or later. ERR_CORRUPT. */
enum status zone_decode(struct ctx *c, const char *name, const void *bytes, size_t n,
                        struct zone **out);
void zone_free(struct zone *z); /* NULL is allowed */

#endif
