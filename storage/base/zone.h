/* Time zones: what a zone's clock shows at an instant, and when it shows a given time.
 *
 * Read from the system's zoneinfo (TZif, RFC 8536): the listed changes, then for ever the footer's
 * rule. Instants and local times are microseconds since 1970-01-01 00:00 (datetime.h); a local time
 * is counted as if it were UTC. Both lie in the years 1 to 9999, or
 * a day or two beyond.
 *
 * A clock that is set forward never shows some times, one that is set back shows some twice. Both
 * are settled by one idea: a time is REACHED at the first instant at which the clock shows it or a
 * later one. That is the change itself for a time left out, and the first of two for a time shown
 * twice; and it never runs backward.
 *
 * A zone is read once and lives as long as the process; any thread may use it. UTC needs no file.
 */
#ifndef TESSERA_ZONE_H
#define TESSERA_ZONE_H
#include "storage/base/ctx.h"
#include "storage/base/types.h"

/* The years 1 to 9999. */
#define ZONE_FIRST_US (INT64_C(-719162) * 86400 * 1000000)
#define ZONE_LAST_US (INT64_C(2932897) * 86400 * 1000000 - 1)

struct zone;

/* By its name ("Europe/Zurich", "UTC"), in any case; any thread, also a pool's.
 * ERR_INVALID_PARAMETER with the nearest name; ERR_CORRUPT when the file is no zone's. */
enum status zone_find(struct ctx *c, struct text name, const struct zone **out);
const char *zone_name(const struct zone *z); /* as the system spells it */

/* What the clock shows at an instant. */
int64_t zone_local(const struct zone *z, int64_t utc);
/* The first instant at which the clock shows this time or a later one. */
int64_t zone_reaches(const struct zone *z, int64_t local);
/* The instant that a local time means to PostgreSQL: of two the later, and for a time left out what
 * a clock that was not set forward would show. */
int64_t zone_instant(const struct zone *z, int64_t local);
/* The latest time the clock has shown by this instant: local is reached by utc exactly when
 * local <= zone_latest(z, utc). */
int64_t zone_latest(const struct zone *z, int64_t utc);

#endif
