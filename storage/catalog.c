/* How the catalog lies in SQLite: tables, statements, and the translation of SQLite's errors.
 *
 * Invariants:
 * 1. A row with to_version NULL describes the newest committed version; closing a row and opening
 *    its successor happen in one transaction, with the version's own row.
 * 2. counters.next_version is above every version with a row, and meta.next_array above every array
 *    with a counter, before the first tile of either is durable.
 * 3. synchronous=FULL in WAL mode: a COMMIT that returned survives power loss. */
#include "storage/catalog.h"
#include "storage/fault.h"
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#define CATALOG_FORMAT 1

static const char ddl[] =
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO meta VALUES ('next_array', 1);"
    "CREATE TABLE counters (array INTEGER PRIMARY KEY, next_version INTEGER NOT NULL);"
    "CREATE TABLE versions (array INTEGER, version INTEGER, state TEXT NOT NULL,"
    " committed_us INTEGER, tiles INTEGER, cells INTEGER, bytes INTEGER, digest INTEGER,"
    " PRIMARY KEY (array, version)) WITHOUT ROWID;"
    "CREATE TABLE arrays (array INTEGER, from_version INTEGER, to_version INTEGER,"
    " name TEXT NOT NULL, is_table INTEGER, comment TEXT,"
    " PRIMARY KEY (array, from_version)) WITHOUT ROWID;"
    "CREATE TABLE dims (array INTEGER, position INTEGER, from_version INTEGER, to_version INTEGER,"
    " name TEXT NOT NULL, type INTEGER, kind INTEGER, grows INTEGER, lo INTEGER, hi INTEGER,"
    " limit_lo INTEGER, limit_hi INTEGER, origin INTEGER, step INTEGER, step_months INTEGER,"
    " origin_mant INTEGER, origin_scale INTEGER, step_mant INTEGER, step_scale INTEGER,"
    " tile INTEGER, unit TEXT, comment TEXT,"
    " PRIMARY KEY (array, position, from_version)) WITHOUT ROWID;"
    "CREATE TABLE attrs (array INTEGER, attr INTEGER, from_version INTEGER, to_version INTEGER,"
    " position INTEGER, name TEXT NOT NULL, type INTEGER, not_null INTEGER, has_default INTEGER,"
    " deflt, added_later INTEGER, zstd_level INTEGER, codec_raw INTEGER, unit TEXT, comment TEXT,"
    " PRIMARY KEY (array, attr, from_version)) WITHOUT ROWID;"
    "CREATE TABLE labels (array INTEGER, dim INTEGER, from_version INTEGER, stored INTEGER,"
    " to_version INTEGER, value, PRIMARY KEY (array, dim, from_version, stored)) WITHOUT ROWID;"
    "CREATE TABLE strings (array INTEGER, attr INTEGER, code INTEGER, from_version INTEGER,"
    " value TEXT NOT NULL, PRIMARY KEY (array, attr, code)) WITHOUT ROWID;"
    "CREATE TABLE objects (kind INTEGER, name TEXT, text TEXT NOT NULL,"
    " PRIMARY KEY (kind, name)) WITHOUT ROWID;"
    "PRAGMA user_version = 1;";

#define AS_OF "from_version <= ?2 AND (to_version IS NULL OR to_version > ?2)"
#define VERSION_ROW                                                                                \
    "SELECT array, version, state, committed_us, tiles, cells, bytes, digest FROM versions"
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
    X(Q_DROP_OBJECT, "DELETE FROM objects WHERE kind = ?1 AND name = ?2")

enum query {
#define X(id, sql) id,
    STATEMENT_LIST(X)
#undef X
        N_QUERIES
};
static const char *const query_text[N_QUERIES] = {
#define X(id, sql) sql,
    STATEMENT_LIST(X)
#undef X
};
static const char *const purged[] = {"versions", "arrays",  "dims",    "attrs",
                                     "labels",   "strings", "counters"};

struct catalog {
    sqlite3 *db;
    pthread_mutex_t mu; /* held from catalog_begin() to its end, and by every other call */
    sqlite3_stmt *stmts[N_QUERIES];
};

const char *version_state_name(enum version_state s)
{
    static const char *const names[] = {
#define X(id, name) name,
        VERSION_STATE_LIST(X)
#undef X
    };
    return names[s];
}

/* ---- SQLite ---- */

static enum status sqlite_failed(struct ctx *c, struct catalog *cat, int rc, const char *doing)
{
    enum status code = ERR_INTERNAL;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        code = ERR_DISK_FULL;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        code = ERR_IO;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = ERR_CORRUPT;
        break;
    case SQLITE_NOMEM:
        code = ERR_MEMORY;
        break;
    case SQLITE_TOOBIG:
        code = ERR_LIMIT_EXCEEDED;
        break;
    default:
        break;
    }
    return fail(c, code, "could not %s the catalog: %s", doing,
                cat->db ? sqlite3_errmsg(cat->db) : sqlite3_errstr(rc));
}

/* Binds by a format: i int64, t text (NULL allowed), d double, v the text of a struct text. */
static enum status bind(struct ctx *c, struct catalog *cat, enum query q, const char *fmt,
                        va_list ap)
{
    if (!cat->stmts[q]) {
        int rc = sqlite3_prepare_v3(cat->db, query_text[q], -1, SQLITE_PREPARE_PERSISTENT,
                                    &cat->stmts[q], NULL);
        if (rc) return sqlite_failed(c, cat, rc, "query");
    }
    sqlite3_stmt *s = cat->stmts[q];
    for (int i = 1; fmt[i - 1]; i++) {
        int rc = SQLITE_OK;
        switch (fmt[i - 1]) {
        case 'i':
            rc = sqlite3_bind_int64(s, i, va_arg(ap, int64_t));
            break;
        case 'd':
            rc = sqlite3_bind_double(s, i, va_arg(ap, double));
            break;
        case 't':
            rc = sqlite3_bind_text(s, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
            break;
        default: {
            const struct text *t = va_arg(ap, const struct text *);
            rc = sqlite3_bind_text64(s, i, t->s ? t->s : "", (sqlite3_uint64)t->len, SQLITE_STATIC,
                                     SQLITE_UTF8);
        }
        }
        if (rc) return sqlite_failed(c, cat, rc, "query");
    }
    return OK;
}

/* Runs a statement that gives no rows. */
static enum status run(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = bind(c, cat, q, fmt, ap);
    va_end(ap);
    if (s < 0) return s;
    int rc = sqlite3_step(cat->stmts[q]);
    if (rc != SQLITE_DONE) s = sqlite_failed(c, cat, rc, "write");
    sqlite3_reset(cat->stmts[q]);
    sqlite3_clear_bindings(cat->stmts[q]);
    return s;
}

/* Starts a SELECT; next_row() walks it; both return false at the end or on an error. */
static enum status start(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = bind(c, cat, q, fmt, ap);
    va_end(ap);
    return s;
}

static bool next_row(struct ctx *c, struct catalog *cat, enum query q, enum status *s)
{
    if (*s == OK) {
        int rc = sqlite3_step(cat->stmts[q]);
        if (rc == SQLITE_ROW) return true;
        if (rc != SQLITE_DONE) *s = sqlite_failed(c, cat, rc, "read");
    }
    if (cat->stmts[q]) sqlite3_reset(cat->stmts[q]);
    return false;
}

static int64_t col_int(struct catalog *cat, enum query q, int i)
{
    return sqlite3_column_int64(cat->stmts[q], i);
}

static const char *col_text(struct catalog *cat, enum query q, int i, struct arena *a)
{
    const char *t = (const char *)sqlite3_column_text(cat->stmts[q], i);
    return t ? arena_strdup(a, t) : NULL;
}

/* An array in the arena that doubles as rows come; n is how many it has. */
static void *room_for_one(struct arena *a, void *rows, int64_t n, size_t bytes)
{
    if (n & (n - 1)) return rows;
    void *more = arena_alloc(a, bytes * (size_t)(n ? 2 * n : 1));
    if (n) memcpy(more, rows, bytes * (size_t)n);
    return more;
}

/* ---- open and close ---- */

static enum status exec_text(struct ctx *c, struct catalog *cat, const char *sql)
{
    int rc = sqlite3_exec(cat->db, sql, NULL, NULL, NULL);
    return rc ? sqlite_failed(c, cat, rc, "open") : OK;
}

static enum status read_format(struct ctx *c, struct catalog *cat, int *format)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(cat->db, "PRAGMA user_version", -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *format = sqlite3_column_int(s, 0);
    enum status st = rc == SQLITE_ROW ? OK : sqlite_failed(c, cat, rc, "open");
    sqlite3_finalize(s);
    return st;
}

static enum status open_database(struct ctx *c, struct catalog *cat, const char *path, bool sync)
{
    int rc = sqlite3_open_v2(
        path, &cat->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc) return sqlite_failed(c, cat, rc, "open");
    sqlite3_extended_result_codes(cat->db, 1);
    TRY(exec_text(c, cat, "PRAGMA journal_mode = WAL; PRAGMA locking_mode = EXCLUSIVE"));
    TRY(exec_text(c, cat, sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF"));
    int format = 0;
    TRY(read_format(c, cat, &format));
    if (format == 0) {
        TRY(exec_text(c, cat, "BEGIN"));
        TRY(exec_text(c, cat, ddl));
        TRY(exec_text(c, cat, "COMMIT"));
    } else if (format != CATALOG_FORMAT) {
        return fail(c, ERR_FORMAT_VERSION, "the catalog has format %d, this program reads %d",
                    format, CATALOG_FORMAT);
    }
    return OK;
}

enum status catalog_open(struct ctx *c, const char *path, bool sync, struct catalog **out)
{
    struct catalog *cat = calloc(1, sizeof(*cat));
    if (!cat) return fail(c, ERR_MEMORY, "out of memory");
    pthread_mutex_init(&cat->mu, NULL);
    enum status s = open_database(c, cat, path, sync);
    if (s < 0) {
        catalog_close(cat);
        return s;
    }
    *out = cat;
    return OK;
}

void catalog_close(struct catalog *cat)
{
    if (!cat) return;
    for (int q = 0; q < N_QUERIES; q++)
        sqlite3_finalize(cat->stmts[q]);
    sqlite3_close(cat->db);
    pthread_mutex_destroy(&cat->mu);
    free(cat);
}

/* ---- transactions ---- */

enum status catalog_begin(struct ctx *c, struct catalog *cat)
{
    pthread_mutex_lock(&cat->mu);
    enum status s = run(c, cat, Q_BEGIN, "");
    if (s < 0) pthread_mutex_unlock(&cat->mu);
    return s;
}

static void rollback(struct catalog *cat)
{
    if (sqlite3_get_autocommit(cat->db)) return;
    struct ctx ignored = {0};
    (void)run(&ignored, cat, Q_ROLLBACK, "");
}

void catalog_abort(struct catalog *cat)
{
    rollback(cat);
    pthread_mutex_unlock(&cat->mu);
}

enum status catalog_commit(struct ctx *c, struct catalog *cat, bool *unknown)
{
    *unknown = false;
    enum status s = fault_point(c, FAULT_PUBLISH);
    if (s == OK) {
        s = run(c, cat, Q_COMMIT, "");
        if (s == OK) s = fault_point(c, FAULT_COMMIT);
        *unknown = s == ERR_IO;
    }
    rollback(cat);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* Ends a one-call transaction by what came out of it. */
static enum status finish(struct ctx *c, struct catalog *cat, enum status s)
{
    if (s == OK) s = run(c, cat, Q_COMMIT, "");
    rollback(cat);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- lists ---- */

enum status catalog_arrays(struct ctx *c, struct catalog *cat, struct arena *a,
                           struct array_row **rows, int *n)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_ARRAYS, "");
    for (; next_row(c, cat, Q_ARRAYS, &s); ++*n) {
        *rows = room_for_one(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct array_row){.id = (uint32_t)col_int(cat, Q_ARRAYS, 0),
                                         .name = col_text(cat, Q_ARRAYS, 1, a),
                                         .version = col_int(cat, Q_ARRAYS, 2)};
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

static enum version_state state_of(const char *name)
{
    int s = 0;
    while (s < VERSION_DEAD && strcmp(name, version_state_name((enum version_state)s)) != 0)
        s++;
    return (enum version_state)s;
}

static void read_version(struct catalog *cat, enum query q, struct version_row *row)
{
    const char *state = (const char *)sqlite3_column_text(cat->stmts[q], 2);
    *row = (struct version_row){.array = (uint32_t)col_int(cat, q, 0),
                                .version = col_int(cat, q, 1),
                                .state = state_of(state ? state : ""),
                                .committed_us = col_int(cat, q, 3),
                                .totals = {.tiles = col_int(cat, q, 4),
                                           .cells = col_int(cat, q, 5),
                                           .bytes = col_int(cat, q, 6),
                                           .digest = (uint64_t)col_int(cat, q, 7)}};
}

enum status catalog_versions(struct ctx *c, struct catalog *cat, uint32_t array, struct arena *a,
                             struct version_row **rows, int *n)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_VERSIONS, "i", (int64_t)array);
    for (; next_row(c, cat, Q_VERSIONS, &s); ++*n) {
        *rows = room_for_one(a, *rows, *n, sizeof(**rows));
        read_version(cat, Q_VERSIONS, &(*rows)[*n]);
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_version_find(struct ctx *c, struct catalog *cat, uint32_t array,
                                 int64_t version, int64_t as_of_us, struct version_row *row,
                                 bool *found)
{
    enum query q = version ? Q_VERSION_AT : Q_VERSION_BY;
    *found = false;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, q, "ii", (int64_t)array, version ? version : as_of_us);
    for (; next_row(c, cat, q, &s); *found = true)
        read_version(cat, q, row);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_gone_attrs(struct ctx *c, struct catalog *cat, uint32_t array, int64_t oldest,
                               struct arena *a, uint16_t **ids, int *n)
{
    *n = 0;
    *ids = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_GONE_ATTRS, "ii", (int64_t)array, oldest);
    for (; next_row(c, cat, Q_GONE_ATTRS, &s); ++*n) {
        *ids = room_for_one(a, *ids, *n, sizeof(**ids));
        (*ids)[*n] = (uint16_t)col_int(cat, Q_GONE_ATTRS, 0);
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_max_attr(struct ctx *c, struct catalog *cat, uint32_t array, uint16_t *id)
{
    *id = 0;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_MAX_ATTR, "i", (int64_t)array);
    while (next_row(c, cat, Q_MAX_ATTR, &s))
        *id = (uint16_t)col_int(cat, Q_MAX_ATTR, 0);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_counters(struct ctx *c, struct catalog *cat, struct arena *a,
                             struct counter_row **rows, int *n, uint32_t *next_array)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_COUNTERS, "");
    for (; next_row(c, cat, Q_COUNTERS, &s); ++*n) {
        *rows = room_for_one(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct counter_row){.array = (uint32_t)col_int(cat, Q_COUNTERS, 0),
                                           .next_version = col_int(cat, Q_COUNTERS, 1)};
    }
    if (s == OK) s = start(c, cat, Q_NEXT_ARRAY, "");
    while (next_row(c, cat, Q_NEXT_ARRAY, &s))
        *next_array = (uint32_t)col_int(cat, Q_NEXT_ARRAY, 0);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_objects(struct ctx *c, struct catalog *cat, struct arena *a,
                            struct object_row **rows, int *n)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = start(c, cat, Q_OBJECTS, "");
    for (; next_row(c, cat, Q_OBJECTS, &s); ++*n) {
        *rows = room_for_one(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct object_row){.kind = (enum object_kind)col_int(cat, Q_OBJECTS, 0),
                                          .name = col_text(cat, Q_OBJECTS, 1, a),
                                          .text = col_text(cat, Q_OBJECTS, 2, a)};
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- one schema ---- */

/* A value is stored as an integer (floats: SQLite's REAL, exact; unsigned: the same 64 bits) or a
 * text. */
static struct value col_value(struct catalog *cat, enum query q, int i, enum type type,
                              struct arena *a)
{
    struct value v = value_null(type);
    sqlite3_stmt *s = cat->stmts[q];
    if (sqlite3_column_type(s, i) == SQLITE_NULL) return v;
    v.null = false;
    if (type == T_TEXT) {
        v.t.s = col_text(cat, q, i, a);
        v.t.len = sqlite3_column_bytes(s, i);
    } else if (type_is_float(type) && sqlite3_column_type(s, i) == SQLITE_FLOAT) {
        v.d = sqlite3_column_double(s, i);
    } else {
        v.i = sqlite3_column_int64(s, i); /* a float's too: its bits, where REAL cannot hold it */
    }
    return v;
}

static enum status read_array(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                              struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_ARRAY_AT;
    bool found = false;
    enum status s = start(c, cat, q, "ii", (int64_t)array, version);
    while (next_row(c, cat, q, &s)) {
        struct schema *sc = arena_new_of(a, struct schema);
        sc->id = array;
        sc->name = col_text(cat, q, 0, a);
        sc->is_table = col_int(cat, q, 1) != 0;
        sc->comment = col_text(cat, q, 2, a);
        out->schema = sc;
        found = true;
    }
    if (s == OK && !found)
        s = fail(c, ERR_CORRUPT, "the catalog has no row of array %u as of version %lld", array,
                 (long long)version);
    return s;
}

static enum status read_dims(struct ctx *c, struct catalog *cat, int64_t version, struct arena *a,
                             struct schema *sc)
{
    const enum query q = Q_DIMS_AT;
    sc->dims = arena_array(a, struct dim, MAX_DIMS);
    enum status s = start(c, cat, q, "ii", (int64_t)sc->id, version);
    while (next_row(c, cat, q, &s)) {
        if (sc->n_dims == MAX_DIMS) {
            s = fail(c, ERR_CORRUPT, "the catalog has too many dimensions of array \"%s\"",
                     sc->name);
            continue;
        }
        struct dim *d = &sc->dims[sc->n_dims++];
        struct axis *x = &d->axis;
        d->name = col_text(cat, q, 0, a);
        x->type = (enum type)col_int(cat, q, 1);
        x->kind = (enum axis_kind)col_int(cat, q, 2);
        x->grows = col_int(cat, q, 3) != 0;
        x->lo = col_int(cat, q, 4);
        x->hi = col_int(cat, q, 5);
        x->limit_lo = col_int(cat, q, 6);
        x->limit_hi = col_int(cat, q, 7);
        x->origin = col_int(cat, q, 8);
        x->step = col_int(cat, q, 9);
        x->step_months = (int32_t)col_int(cat, q, 10);
        x->dorigin.mant = col_int(cat, q, 11);
        x->dorigin.scale = (int32_t)col_int(cat, q, 12);
        x->dstep.mant = col_int(cat, q, 13);
        x->dstep.scale = (int32_t)col_int(cat, q, 14);
        d->tile = col_int(cat, q, 15);
        d->unit = col_text(cat, q, 16, a);
        d->comment = col_text(cat, q, 17, a);
    }
    return s;
}

static enum status read_attrs(struct ctx *c, struct catalog *cat, int64_t version, struct arena *a,
                              struct schema *sc)
{
    const enum query q = Q_ATTRS_AT;
    enum status s = start(c, cat, q, "ii", (int64_t)sc->id, version);
    for (; next_row(c, cat, q, &s); sc->n_attrs++) {
        sc->attrs = room_for_one(a, sc->attrs, sc->n_attrs, sizeof(*sc->attrs));
        enum type type = (enum type)col_int(cat, q, 2);
        sc->attrs[sc->n_attrs] = (struct attr){.id = (uint16_t)col_int(cat, q, 0),
                                               .name = col_text(cat, q, 1, a),
                                               .type = type,
                                               .not_null = col_int(cat, q, 3) != 0,
                                               .has_default = col_int(cat, q, 4) != 0,
                                               .deflt = col_value(cat, q, 5, type, a),
                                               .added_later = col_int(cat, q, 6) != 0,
                                               .zstd_level = (uint8_t)col_int(cat, q, 7),
                                               .codec_raw = col_int(cat, q, 8) != 0,
                                               .unit = col_text(cat, q, 9, a),
                                               .comment = col_text(cat, q, 10, a)};
    }
    return s;
}

static enum status read_labels(struct ctx *c, struct catalog *cat, int64_t version, int d,
                               struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_LABELS_AT;
    const struct axis *x = &out->schema->dims[d].axis;
    out->label_values[d] = arena_alloc(a, type_bytes(x->type) * (size_t)(x->hi ? x->hi : 1));
    int64_t n = 0;
    enum status s = start(c, cat, q, "iii", (int64_t)out->schema->id, version, (int64_t)d);
    while (next_row(c, cat, q, &s)) {
        int64_t stored = col_int(cat, q, 0);
        struct value v = col_value(cat, q, 1, x->type, a);
        if (stored < 0 || stored >= x->hi) continue;
        value_put(&v, out->label_values[d], stored);
        n++;
    }
    if (s == OK && n != x->hi)
        s = fail(c, ERR_CORRUPT, "the catalog has %lld of %lld labels of dimension \"%s\"",
                 (long long)n, (long long)x->hi, out->schema->dims[d].name);
    return s;
}

static enum status read_strings(struct ctx *c, struct catalog *cat, int64_t version, int k,
                                struct arena *a, struct schema_rows *out)
{
    const enum query q = Q_STRINGS_AT;
    int64_t id = out->schema->attrs[k].id;
    enum status s = start(c, cat, q, "iii", (int64_t)out->schema->id, version, id);
    struct text *list = NULL;
    int64_t n = 0;
    while (next_row(c, cat, q, &s)) {
        list = room_for_one(a, list, n, sizeof(*list));
        if (col_int(cat, q, 0) != n)
            s = fail(c, ERR_CORRUPT, "the catalog lacks string %lld of attribute \"%s\"",
                     (long long)n, out->schema->attrs[k].name);
        else
            list[n++] = col_value(cat, q, 1, T_TEXT, a).t;
    }
    out->dict_strings[k] = list;
    out->dict_n[k] = n;
    return s;
}

enum status catalog_schema(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version,
                           struct arena *a, struct schema_rows *out)
{
    *out = (struct schema_rows){0};
    pthread_mutex_lock(&cat->mu);
    enum status s = read_array(c, cat, array, version, a, out);
    if (s == OK) s = read_dims(c, cat, version, a, out->schema);
    if (s == OK) s = read_attrs(c, cat, version, a, out->schema);
    for (int d = 0; s == OK && d < out->schema->n_dims; d++)
        if (out->schema->dims[d].axis.kind == AXIS_LABELLED)
            s = read_labels(c, cat, version, d, a, out);
    if (s == OK) {
        out->dict_strings = arena_array(a, struct text *, out->schema->n_attrs + 1);
        out->dict_n = arena_array(a, int64_t, out->schema->n_attrs + 1);
    }
    for (int k = 0; s == OK && k < out->schema->n_attrs; k++)
        if (out->schema->attrs[k].type == T_TEXT) s = read_strings(c, cat, version, k, a, out);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- versions ---- */

static enum status count(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version)
{
    TRY(run(c, cat, Q_COUNT_ARRAY, "i", (int64_t)array));
    return run(c, cat, Q_COUNT_VERSION, "ii", (int64_t)array, version + 1);
}

enum status catalog_put_version(struct ctx *c, struct catalog *cat, const struct version_row *v)
{
    TRY(count(c, cat, v->array, v->version));
    return run(c, cat, Q_PUT_VERSION, "iitiiiii", (int64_t)v->array, v->version,
               version_state_name(v->state), v->committed_us, v->totals.tiles, v->totals.cells,
               v->totals.bytes, (int64_t)v->totals.digest);
}

enum status catalog_pending(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version)
{
    TRY(fault_point(c, FAULT_PENDING));
    TRY(catalog_begin(c, cat));
    struct version_row v = {.array = array, .version = version, .state = VERSION_PENDING};
    return finish(c, cat, catalog_put_version(c, cat, &v));
}

enum status catalog_set_state(struct ctx *c, struct catalog *cat, uint32_t array,
                              const int64_t *versions, int n, enum version_state state)
{
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = run(c, cat, Q_SET_STATE, "iit", (int64_t)array, versions[i], version_state_name(state));
    return finish(c, cat, s);
}

enum status catalog_swept(struct ctx *c, struct catalog *cat, uint32_t array,
                          const int64_t *versions, int n, int64_t oldest)
{
    static const enum query forget[] = {Q_FORGET_ARRAYS, Q_FORGET_DIMS, Q_FORGET_ATTRS,
                                        Q_FORGET_LABELS};
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = run(c, cat, Q_DROP_VERSION, "ii", (int64_t)array, versions[i]);
    for (size_t i = 0; s == OK && i < sizeof(forget) / sizeof(*forget); i++)
        s = run(c, cat, forget[i], "ii", (int64_t)array, oldest);
    return finish(c, cat, s);
}

enum status catalog_purge(struct ctx *c, struct catalog *cat, uint32_t array)
{
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (size_t i = 0; s == OK && i < sizeof(purged) / sizeof(*purged); i++) {
        char sql[80];
        snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE array = %u", purged[i], array);
        int rc = sqlite3_exec(cat->db, sql, NULL, NULL, NULL);
        if (rc) s = sqlite_failed(c, cat, rc, "write");
    }
    return finish(c, cat, s);
}

enum status catalog_bury_pending(struct ctx *c, struct catalog *cat)
{
    TRY(catalog_begin(c, cat));
    return finish(c, cat, run(c, cat, Q_BURY, ""));
}

/* ---- schemas ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_dim(const struct dim *a, const struct dim *b)
{
    const struct axis *x = &a->axis, *y = &b->axis;
    return same_text(a->name, b->name) && same_text(a->unit, b->unit) &&
           same_text(a->comment, b->comment) && a->tile == b->tile && x->lo == y->lo &&
           x->hi == y->hi && x->limit_lo == y->limit_lo && x->limit_hi == y->limit_hi &&
           x->grows == y->grows;
}

static bool same_attr(const struct attr *a, const struct attr *b)
{
    return same_text(a->name, b->name) && same_text(a->unit, b->unit) &&
           same_text(a->comment, b->comment);
}

static enum status put_value(struct ctx *c, struct catalog *cat, enum query q, int i,
                             const struct value *v)
{
    sqlite3_stmt *s = cat->stmts[q];
    int rc;
    if (v->null || v->type == T_NONE)
        rc = sqlite3_bind_null(s, i);
    else if (v->type == T_TEXT)
        rc = sqlite3_bind_text64(s, i, v->t.s ? v->t.s : "", (sqlite3_uint64)v->t.len,
                                 SQLITE_STATIC, SQLITE_UTF8);
    else if (type_is_float(v->type) && v->d == v->d)
        rc = sqlite3_bind_double(s, i, v->d);
    else
        rc = sqlite3_bind_int64(s, i, v->i);
    return rc ? sqlite_failed(c, cat, rc, "write") : OK;
}

static enum status put_dim(struct ctx *c, struct catalog *cat, const struct schema *s, int d,
                           int64_t version)
{
    const struct dim *m = &s->dims[d];
    const struct axis *x = &m->axis;
    return run(c, cat, Q_PUT_DIM, "iiitiiiiiiiiiiiiiiitt", (int64_t)s->id, (int64_t)d, version,
               m->name, (int64_t)x->type, (int64_t)x->kind, (int64_t)x->grows, x->lo, x->hi,
               x->limit_lo, x->limit_hi, x->origin, x->step, (int64_t)x->step_months,
               x->dorigin.mant, (int64_t)x->dorigin.scale, x->dstep.mant, (int64_t)x->dstep.scale,
               m->tile, m->unit, m->comment);
}

static enum status put_attr(struct ctx *c, struct catalog *cat, const struct schema *s, int k,
                            int64_t version)
{
    const struct attr *a = &s->attrs[k];
    TRY(start(c, cat, Q_PUT_ATTR, "iiiitiii", (int64_t)s->id, (int64_t)a->id, version, (int64_t)k,
              a->name, (int64_t)a->type, (int64_t)a->not_null, (int64_t)a->has_default));
    TRY(put_value(c, cat, Q_PUT_ATTR, 9, &a->deflt));
    sqlite3_stmt *st = cat->stmts[Q_PUT_ATTR];
    sqlite3_bind_int64(st, 10, a->added_later);
    sqlite3_bind_int64(st, 11, a->zstd_level);
    sqlite3_bind_int64(st, 12, a->codec_raw);
    sqlite3_bind_text(st, 13, a->unit, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 14, a->comment, -1, SQLITE_STATIC);
    return run(c, cat, Q_PUT_ATTR, "");
}

/* Labels of stored position from … on. */
static enum status put_labels(struct ctx *c, struct catalog *cat, const struct schema *s, int d,
                              int64_t from, int64_t version)
{
    const struct axis *x = &s->dims[d].axis;
    const struct labels *l = x->labels;
    if (!l) return OK;
    for (int64_t i = l->stored ? 0 : from; i < l->n; i++) {
        int64_t stored = l->stored ? l->stored[i] : i;
        if (stored < from) continue;
        struct value v = value_get(x->type, l->values, i);
        TRY(start(c, cat, Q_PUT_LABEL, "iiii", (int64_t)s->id, (int64_t)d, version, stored));
        TRY(put_value(c, cat, Q_PUT_LABEL, 5, &v));
        TRY(run(c, cat, Q_PUT_LABEL, ""));
    }
    return OK;
}

static enum status put_dims(struct ctx *c, struct catalog *cat, const struct schema *old,
                            const struct schema *s, const bool *relabel, int64_t version)
{
    for (int d = 0; d < s->n_dims; d++) {
        bool anew = relabel && relabel[d];
        if (old && same_dim(&old->dims[d], &s->dims[d]) && !anew) continue;
        if (old) TRY(run(c, cat, Q_CLOSE_DIM, "iii", (int64_t)s->id, version, (int64_t)d));
        TRY(put_dim(c, cat, s, d, version));
        if (old && anew)
            TRY(run(c, cat, Q_CLOSE_LABELS, "iii", (int64_t)s->id, version, (int64_t)d));
        const struct labels *before = old && !anew ? old->dims[d].axis.labels : NULL;
        TRY(put_labels(c, cat, s, d, before ? before->n : 0, version));
    }
    return OK;
}

static const struct attr *attr_by_id(const struct schema *s, uint16_t id, int *at)
{
    for (int k = 0; s && k < s->n_attrs; k++) {
        *at = k;
        if (s->attrs[k].id == id) return &s->attrs[k];
    }
    return NULL;
}

static enum status put_attrs(struct ctx *c, struct catalog *cat, const struct schema *old,
                             const struct schema *s, int64_t version)
{
    int at = 0;
    for (int k = 0; old && k < old->n_attrs; k++)
        if (!attr_by_id(s, old->attrs[k].id, &at))
            TRY(run(c, cat, Q_CLOSE_ATTR, "iii", (int64_t)old->id, version,
                    (int64_t)old->attrs[k].id));
    for (int k = 0; s && k < s->n_attrs; k++) {
        const struct attr *a = &s->attrs[k], *b = attr_by_id(old, a->id, &at);
        int64_t known = b && b->dict ? b->dict->n : 0;
        for (int64_t i = known; a->dict && i < a->dict->n; i++)
            TRY(run(c, cat, Q_PUT_STRING, "iiiiv", (int64_t)s->id, (int64_t)a->id, i, version,
                    &a->dict->strings[i]));
        if (b && at == k && same_attr(a, b)) continue;
        if (b) TRY(run(c, cat, Q_CLOSE_ATTR, "iii", (int64_t)s->id, version, (int64_t)a->id));
        TRY(put_attr(c, cat, s, k, version));
    }
    return OK;
}

enum status catalog_put_schema(struct ctx *c, struct catalog *cat, const struct schema *old,
                               const struct schema *s, const bool *relabel, int64_t version)
{
    if (!s) return run(c, cat, Q_CLOSE_ARRAY, "ii", (int64_t)old->id, version);
    if (!old || !same_text(old->name, s->name) || !same_text(old->comment, s->comment)) {
        if (old) TRY(run(c, cat, Q_CLOSE_ARRAY, "ii", (int64_t)s->id, version));
        TRY(run(c, cat, Q_PUT_ARRAY, "iitit", (int64_t)s->id, version, s->name,
                (int64_t)s->is_table, s->comment));
    }
    TRY(put_dims(c, cat, old, s, relabel, version));
    return put_attrs(c, cat, old, s, version);
}

enum status catalog_put_object(struct ctx *c, struct catalog *cat, enum object_kind kind,
                               const char *name, const char *text)
{
    if (!text) return run(c, cat, Q_DROP_OBJECT, "it", (int64_t)kind, name);
    return run(c, cat, Q_PUT_OBJECT, "itt", (int64_t)kind, name, text);
}
