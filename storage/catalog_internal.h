/* What the catalog's files share: its statements, and the calls of SQLite around them. */
#ifndef TESSERA_CATALOG_INTERNAL_H
#define TESSERA_CATALOG_INTERNAL_H
#include "storage/catalog.h"
#include <pthread.h>
#include <sqlite3.h>

#define AS_OF "from_version <= ?2 AND (to_version IS NULL OR to_version > ?2)"
#define VERSION_ROW                                                                                \
    "SELECT array, version, state, committed_us, tiles, cells, bytes, digest FROM versions"
#define FILE_ROW                                                                                   \
    "SELECT name, n_bytes, modified_ns, changed_ns, loaded_us, cells, reason, schedule, slot_us"   \
    " FROM files"
#define RUN_ROW                                                                                    \
    "SELECT run, schedule, name, slot, attempt, status, kind, scheduled_us, queued_us,"            \
    " started_us, finished_us, rows, cells, bytes, sqlstate, message, tries FROM schedule_runs"
#define CLOSE(table) "UPDATE " table " SET to_version = ?2 WHERE array = ?1 AND to_version IS NULL"
/* Parameters of a put are in the order of the table's columns, but for to_version. */
#define STATEMENT_LIST(X)                                                                          \
    X(Q_BEGIN, "BEGIN IMMEDIATE")                                                                  \
    X(Q_COMMIT, "COMMIT")                                                                          \
    X(Q_ROLLBACK, "ROLLBACK")                                                                      \
    X(Q_ARRAYS, "SELECT array, name, (SELECT max(version) FROM versions v WHERE v.array = a.array" \
                " AND state = 'live') FROM arrays a WHERE to_version IS NULL")                     \
    X(Q_VERSIONS, VERSION_ROW " WHERE array = ?1 OR ?1 = 0 ORDER BY array, version")               \
    X(Q_VERSION_AT, VERSION_ROW " WHERE array = ?1 AND version = ?2 AND state = 'live'")           \
    X(Q_VERSION_BY, VERSION_ROW " WHERE array = ?1 AND committed_us <= ?2 AND state = 'live'"      \
                                " ORDER BY version DESC LIMIT 1")                                  \
    X(Q_GONE_ATTRS, "SELECT attr FROM attrs WHERE array = ?1 GROUP BY attr"                        \
                    " HAVING max(coalesce(to_version, ?2 + 1)) <= ?2")                             \
    X(Q_MAX_ATTR, "SELECT max(attr) FROM attrs WHERE array = ?1")                                  \
    X(Q_COUNTERS, "SELECT array, next_version FROM counters")                                      \
    X(Q_NEXT_ARRAY, "SELECT value FROM meta WHERE key = 'next_array'")                             \
    X(Q_OBJECTS, "SELECT kind, name, text FROM objects")                                           \
    X(Q_ARRAY_AT, "SELECT name, is_table, comment FROM arrays WHERE array = ?1 AND " AS_OF)        \
    X(Q_DIMS_AT, "SELECT name, type, kind, grows, lo, hi, limit_lo, limit_hi, origin, step,"       \
                 " step_months, origin_mant, origin_scale, step_mant, step_scale, tile, unit,"     \
                 " comment FROM dims WHERE array = ?1 AND " AS_OF " ORDER BY position")            \
    X(Q_ATTRS_AT, "SELECT attr, name, type, not_null, has_default, deflt, added_later,"            \
                  " zstd_level, codec_raw, unit, comment FROM attrs WHERE array = ?1 AND " AS_OF   \
                  " ORDER BY position")                                                            \
    X(Q_LABELS_AT, "SELECT stored, value FROM labels WHERE array = ?1 AND dim = ?3 AND " AS_OF)    \
    X(Q_STRINGS_AT, "SELECT code, value FROM strings WHERE array = ?1 AND attr = ?3"               \
                    " AND from_version <= ?2 ORDER BY code")                                       \
    X(Q_COUNT_ARRAY, "UPDATE meta SET value = max(value, ?1 + 1) WHERE key = 'next_array'")        \
    X(Q_COUNT_VERSION, "INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (array) DO UPDATE"        \
                       " SET next_version = max(next_version, excluded.next_version)")             \
    X(Q_PUT_VERSION, "INSERT OR REPLACE INTO versions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")    \
    X(Q_SET_STATE, "UPDATE versions SET state = ?3 WHERE array = ?1 AND version = ?2")             \
    X(Q_BURY, "UPDATE versions SET state = 'dead' WHERE state = 'pending'")                        \
    X(Q_DROP_VERSION, "DELETE FROM versions WHERE array = ?1 AND version = ?2")                    \
    X(Q_FORGET_ARRAYS, "DELETE FROM arrays WHERE array = ?1 AND to_version <= ?2")                 \
    X(Q_FORGET_DIMS, "DELETE FROM dims WHERE array = ?1 AND to_version <= ?2")                     \
    X(Q_FORGET_ATTRS, "DELETE FROM attrs WHERE array = ?1 AND to_version <= ?2")                   \
    X(Q_FORGET_LABELS, "DELETE FROM labels WHERE array = ?1 AND to_version <= ?2")                 \
    X(Q_CLOSE_ARRAY, CLOSE("arrays"))                                                              \
    X(Q_CLOSE_DIM, CLOSE("dims") " AND position = ?3")                                             \
    X(Q_CLOSE_ATTR, CLOSE("attrs") " AND attr = ?3")                                               \
    X(Q_CLOSE_LABELS, CLOSE("labels") " AND dim = ?3")                                             \
    X(Q_PUT_ARRAY, "INSERT INTO arrays VALUES (?1, ?2, NULL, ?3, ?4, ?5)")                         \
    X(Q_PUT_DIM, "INSERT INTO dims VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"    \
                 " ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)")                             \
    X(Q_PUT_ATTR, "INSERT INTO attrs VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,"  \
                  " ?12, ?13, ?14)")                                                               \
    X(Q_PUT_LABEL, "INSERT INTO labels VALUES (?1, ?2, ?3, ?4, NULL, ?5)")                         \
    X(Q_PUT_STRING, "INSERT INTO strings VALUES (?1, ?2, ?3, ?4, ?5)")                             \
    X(Q_PUT_OBJECT, "INSERT OR REPLACE INTO objects VALUES (?1, ?2, ?3)")                          \
    X(Q_PUT_PATCH, "INSERT OR REPLACE INTO patches VALUES (?1, ?2, ?3, ?4)")                       \
    X(Q_PATCHES, "SELECT version, body FROM patches WHERE array = ?1 AND coords = ?2"              \
                 " AND version > ?3 AND version <= ?4 ORDER BY version")                           \
    X(Q_PATCHED_ARRAY, "SELECT array FROM patches WHERE array > ?1 ORDER BY array LIMIT 1")        \
    X(Q_PATCHED_TILE, "SELECT coords FROM patches WHERE array = ?1 AND coords > ?2"                \
                      " ORDER BY coords LIMIT 1")                                                  \
    X(Q_DROP_PATCHES, "DELETE FROM patches WHERE array = ?1 AND coords = ?2 AND version > ?3"      \
                      " AND version <= ?4")                                                        \
    X(Q_FILE, FILE_ROW " WHERE array = ?1 AND name = ?2")                                          \
    X(Q_FILES, FILE_ROW " WHERE array = ?1 ORDER BY name")                                         \
    X(Q_PUT_FILE, "INSERT OR REPLACE INTO files VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)") \
    X(Q_FORGET_FILES, "DELETE FROM files WHERE array = ?1")                                        \
    X(Q_DROP_OBJECT, "DELETE FROM objects WHERE kind = ?1 AND name = ?2")                          \
    X(Q_COUNT_RUNS, "INSERT INTO meta VALUES ('next_run', ?1) ON CONFLICT (key) DO UPDATE"         \
                    " SET value = max(value, excluded.value)")                                     \
    X(Q_NEXT_RUN, "SELECT value FROM meta WHERE key = 'next_run'")                                 \
    X(Q_PUT_RUN, "INSERT INTO schedule_runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11," \
                 " ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT (run) DO UPDATE SET status = ?6,"     \
                 " scheduled_us = ?8, started_us = ?10, finished_us = ?11, rows = ?12,"            \
                 " cells = ?13, bytes = ?14, sqlstate = ?15, message = ?16")                       \
    X(Q_RUNS, RUN_ROW " WHERE run > ?1 ORDER BY run LIMIT 1000")                                   \
    X(Q_RUNS_QUEUED, RUN_ROW " WHERE status = 'queued' ORDER BY run")                              \
    X(Q_RUNS_CRASHED, RUN_ROW " AS r WHERE status = 'crashed' AND NOT EXISTS (SELECT 1 FROM"       \
                              " schedule_runs AS n WHERE n.schedule = r.schedule"                  \
                              " AND n.slot = r.slot AND n.run > r.run AND n.kind < 3)"             \
                              " ORDER BY run")                                                     \
    X(Q_RUNS_LAST, RUN_ROW " WHERE schedule = ?1 AND kind < 3 ORDER BY run DESC LIMIT 1")          \
    X(Q_RUNS_OF, RUN_ROW " WHERE schedule = ?1 AND slot = ?2 AND kind < 3 ORDER BY run")           \
    X(Q_RUN_MARK, "SELECT slot FROM schedule_runs WHERE schedule = ?1 AND kind = 0"                \
                  " ORDER BY slot DESC LIMIT 1")                                                   \
    X(Q_RUN_FAILURES, "SELECT count(*) FROM schedule_runs AS r WHERE schedule = ?1 AND kind < 3"   \
                      " AND status IN ('failed', 'crashed') AND finished_us >= ?2 AND run >"       \
                      " coalesce((SELECT max(run) FROM schedule_runs WHERE schedule = ?1"          \
                      " AND status = 'succeeded'), 0) AND NOT EXISTS (SELECT 1 FROM"               \
                      " schedule_runs AS n WHERE n.schedule = r.schedule AND n.slot = r.slot"      \
                      " AND n.attempt > r.attempt AND n.kind < 3)")                                \
    X(Q_RUNS_CRASH, "UPDATE schedule_runs SET status = 'crashed', finished_us = ?1,"               \
                    " message = 'the server died while it ran' WHERE status = 'running'")          \
    X(Q_RUNS_FORGET,                                                                               \
      "DELETE FROM schedule_runs WHERE run IN (SELECT run FROM schedule_runs AS r"                 \
      " WHERE finished_us > 0 AND finished_us < ?1 AND (kind <> 0 OR slot <> (SELECT slot"         \
      " FROM schedule_runs AS m WHERE m.schedule = r.schedule AND m.kind = 0"                      \
      " ORDER BY slot DESC LIMIT 1)) LIMIT 1000)")

enum query {
#define X(id, sql) id,
    STATEMENT_LIST(X)
#undef X
        N_QUERIES
};

struct catalog {
    sqlite3 *db;
    pthread_mutex_t mu; /* held from catalog_begin() to its end, and by every other call */
    sqlite3_stmt *stmts[N_QUERIES];
};

/* SQLite's error code as the engine's. */
enum status catalog_failed(struct ctx *c, struct catalog *cat, int rc, const char *doing);
/* Binds by a format (i: int64_t, t: text, NULL allowed, d: double, v: const struct text *, b: its
 * bytes) and runs a statement that gives no rows. */
enum status catalog_run(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...);
/* Binds; catalog_next() then walks the rows: false at the end, or after an error, which is in *s.
 */
enum status catalog_start(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...);
/* Ends a one-call transaction by what came out of it. */
enum status catalog_finish(struct ctx *c, struct catalog *cat, enum status s);
bool catalog_next(struct ctx *c, struct catalog *cat, enum query q, enum status *s);
int64_t catalog_int(struct catalog *cat, enum query q, int i);
const char *catalog_text(struct catalog *cat, enum query q, int i, struct arena *a);

#endif
