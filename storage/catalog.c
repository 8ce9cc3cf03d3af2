/* How the catalog lies in SQLite: tables, statements, and the translation of SQLite's errors.
 *
 * Invariants:
 * 1. A row with to_version NULL describes the newest committed version; closing a row and opening
 *    its successor happen in one transaction, with the version's own row.
 * 2. counters.next_version is above every version with a row, and meta.next_array above every array
 *    with a counter, before the first tile of either is durable.
 * 3. synchronous=FULL in WAL mode: a COMMIT that returned survives power loss. */
#include "storage/catalog_internal.h"
#include "storage/fault.h"
#include <stdio.h>
#include <stdlib.h>

#define CATALOG_FORMAT 3

/* What format 2 has beyond 1: small writes, cells of a tile that lie beside it (patch.h). */
static const char patches_ddl[] =
    "CREATE TABLE patches (array INTEGER, coords BLOB, version INTEGER, body BLOB NOT NULL,"
    " PRIMARY KEY (array, coords, version)) WITHOUT ROWID;"
    "PRAGMA user_version = 2;";

/* What format 3 has beyond 2: which files an array was loaded from; and runs of schedules, of which
 * one that succeeded is its slot's only one. */
static const char format3_ddl[] =
    "CREATE TABLE files (array INTEGER, name TEXT, n_bytes INTEGER, modified_ns INTEGER,"
    " changed_ns INTEGER, loaded_us INTEGER, cells INTEGER, reason TEXT, schedule TEXT,"
    " slot_us INTEGER, PRIMARY KEY (array, name)) WITHOUT ROWID;"
    "CREATE TABLE schedule_runs (run INTEGER PRIMARY KEY, schedule INTEGER NOT NULL,"
    " name TEXT NOT NULL, slot INTEGER NOT NULL, attempt INTEGER NOT NULL, status TEXT NOT NULL,"
    " kind INTEGER NOT NULL, scheduled_us INTEGER, queued_us INTEGER, started_us INTEGER,"
    " finished_us INTEGER, rows INTEGER, cells INTEGER, bytes INTEGER, sqlstate TEXT,"
    " message TEXT, tries INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX schedule_run_once ON schedule_runs (schedule, slot)"
    " WHERE status = 'succeeded';"
    "CREATE INDEX schedule_run_slots ON schedule_runs (schedule, slot, run);"
    "CREATE INDEX schedule_run_order ON schedule_runs (schedule, run);"
    "CREATE INDEX schedule_run_age ON schedule_runs (finished_us);"
    "CREATE INDEX schedule_run_status ON schedule_runs (status);"
    "PRAGMA user_version = 3;";

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
    " PRIMARY KEY (kind, name)) WITHOUT ROWID;";

static const char *const query_text[N_QUERIES] = {
#define X(id, sql) sql,
    STATEMENT_LIST(X)
#undef X
};
static const char *const purged[] = {"versions", "arrays",   "dims",    "attrs", "labels",
                                     "strings",  "counters", "patches", "files"};

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

enum status catalog_failed(struct ctx *c, struct catalog *cat, int rc, const char *doing)
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
    case SQLITE_CONSTRAINT:
        code = ERR_DUPLICATE_OBJECT;
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

/* Binds by a format: i int64, t text (NULL allowed), d double, v the text of a struct text, b its
 * bytes. */
static enum status bind(struct ctx *c, struct catalog *cat, enum query q, const char *fmt,
                        va_list ap)
{
    if (!cat->stmts[q]) {
        int rc = sqlite3_prepare_v3(cat->db, query_text[q], -1, SQLITE_PREPARE_PERSISTENT,
                                    &cat->stmts[q], NULL);
        if (rc) return catalog_failed(c, cat, rc, "query");
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
        case 'b': {
            const struct text *t = va_arg(ap, const struct text *);
            rc = sqlite3_bind_blob64(s, i, t->s ? t->s : "", (sqlite3_uint64)t->len, SQLITE_STATIC);
            break;
        }
        default: {
            const struct text *t = va_arg(ap, const struct text *);
            rc = sqlite3_bind_text64(s, i, t->s ? t->s : "", (sqlite3_uint64)t->len, SQLITE_STATIC,
                                     SQLITE_UTF8);
        }
        }
        if (rc) return catalog_failed(c, cat, rc, "query");
    }
    return OK;
}

/* Runs a statement that gives no rows. */
enum status catalog_run(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = bind(c, cat, q, fmt, ap);
    va_end(ap);
    if (s < 0) return s;
    int rc = sqlite3_step(cat->stmts[q]);
    if (rc != SQLITE_DONE) s = catalog_failed(c, cat, rc, "write");
    sqlite3_reset(cat->stmts[q]);
    sqlite3_clear_bindings(cat->stmts[q]);
    return s;
}

/* Starts a SELECT; catalog_next() walks it; both return false at the end or on an error. */
enum status catalog_start(struct ctx *c, struct catalog *cat, enum query q, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status s = bind(c, cat, q, fmt, ap);
    va_end(ap);
    return s;
}

bool catalog_next(struct ctx *c, struct catalog *cat, enum query q, enum status *s)
{
    if (*s == OK) {
        int rc = sqlite3_step(cat->stmts[q]);
        if (rc == SQLITE_ROW) return true;
        if (rc != SQLITE_DONE) *s = catalog_failed(c, cat, rc, "read");
    }
    if (cat->stmts[q]) sqlite3_reset(cat->stmts[q]);
    return false;
}

int64_t catalog_int(struct catalog *cat, enum query q, int i)
{
    return sqlite3_column_int64(cat->stmts[q], i);
}

const char *catalog_text(struct catalog *cat, enum query q, int i, struct arena *a)
{
    const char *t = (const char *)sqlite3_column_text(cat->stmts[q], i);
    return t ? arena_strdup(a, t) : NULL;
}

/* ---- open and close ---- */

static enum status exec_text(struct ctx *c, struct catalog *cat, const char *sql)
{
    int rc = sqlite3_exec(cat->db, sql, NULL, NULL, NULL);
    return rc ? catalog_failed(c, cat, rc, "open") : OK;
}

static enum status read_format(struct ctx *c, struct catalog *cat, int *format)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(cat->db, "PRAGMA user_version", -1, &s, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) *format = sqlite3_column_int(s, 0);
    enum status st = rc == SQLITE_ROW ? OK : catalog_failed(c, cat, rc, "open");
    sqlite3_finalize(s);
    return st;
}

static enum status open_database(struct ctx *c, struct catalog *cat, const char *path, bool sync)
{
    int rc = sqlite3_open_v2(
        path, &cat->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc) return catalog_failed(c, cat, rc, "open");
    sqlite3_extended_result_codes(cat->db, 1);
    TRY(exec_text(c, cat, "PRAGMA journal_mode = WAL; PRAGMA locking_mode = EXCLUSIVE"));
    TRY(exec_text(c, cat, sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF"));
    int format = 0;
    TRY(read_format(c, cat, &format));
    if (format < 0 || format > CATALOG_FORMAT)
        return fail(c, ERR_FORMAT_VERSION, "the catalog has format %d, this program reads %d",
                    format, CATALOG_FORMAT);
    if (format == CATALOG_FORMAT) return OK;
    static const char *const steps[CATALOG_FORMAT] = {ddl, patches_ddl, format3_ddl};
    TRY(exec_text(c, cat, "BEGIN"));
    for (int i = format; i < CATALOG_FORMAT; i++)
        TRY(exec_text(c, cat, steps[i]));
    return exec_text(c, cat, "COMMIT");
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

enum status catalog_copy(struct ctx *c, struct catalog *cat, const char *path)
{
    struct catalog to = {0};
    enum status s = OK;
    pthread_mutex_lock(&cat->mu);
    int rc = sqlite3_open_v2(
        path, &to.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    sqlite3_backup *b = rc ? NULL : sqlite3_backup_init(to.db, "main", cat->db, "main");
    if (!b) {
        s = catalog_failed(c, &to, rc ? rc : sqlite3_errcode(to.db), "copy");
    } else {
        (void)sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b);
        if (rc) s = catalog_failed(c, &to, rc, "copy");
    }
    sqlite3_close(to.db);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- transactions ---- */

enum status catalog_begin(struct ctx *c, struct catalog *cat)
{
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_run(c, cat, Q_BEGIN, "");
    if (s < 0) pthread_mutex_unlock(&cat->mu);
    return s;
}

static void rollback(struct catalog *cat)
{
    if (sqlite3_get_autocommit(cat->db)) return;
    struct ctx ignored = {0};
    (void)catalog_run(&ignored, cat, Q_ROLLBACK, "");
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
        s = catalog_run(c, cat, Q_COMMIT, "");
        if (s == OK) s = fault_point(c, FAULT_COMMIT);
        *unknown = s == ERR_IO;
    }
    rollback(cat);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* Ends a one-call transaction by what came out of it. */
enum status catalog_finish(struct ctx *c, struct catalog *cat, enum status s)
{
    if (s == OK) s = catalog_run(c, cat, Q_COMMIT, "");
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
    enum status s = catalog_start(c, cat, Q_ARRAYS, "");
    for (; catalog_next(c, cat, Q_ARRAYS, &s); ++*n) {
        *rows = arena_room(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct array_row){.id = (uint32_t)catalog_int(cat, Q_ARRAYS, 0),
                                         .name = catalog_text(cat, Q_ARRAYS, 1, a),
                                         .version = catalog_int(cat, Q_ARRAYS, 2)};
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
    *row = (struct version_row){.array = (uint32_t)catalog_int(cat, q, 0),
                                .version = catalog_int(cat, q, 1),
                                .state = state_of(state ? state : ""),
                                .committed_us = catalog_int(cat, q, 3),
                                .totals = {.tiles = catalog_int(cat, q, 4),
                                           .cells = catalog_int(cat, q, 5),
                                           .bytes = catalog_int(cat, q, 6),
                                           .digest = (uint64_t)catalog_int(cat, q, 7)}};
}

enum status catalog_versions(struct ctx *c, struct catalog *cat, uint32_t array, struct arena *a,
                             struct version_row **rows, int *n)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_VERSIONS, "i", (int64_t)array);
    for (; catalog_next(c, cat, Q_VERSIONS, &s); ++*n) {
        *rows = arena_room(a, *rows, *n, sizeof(**rows));
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
    enum status s = catalog_start(c, cat, q, "ii", (int64_t)array, version ? version : as_of_us);
    for (; catalog_next(c, cat, q, &s); *found = true)
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
    enum status s = catalog_start(c, cat, Q_GONE_ATTRS, "ii", (int64_t)array, oldest);
    for (; catalog_next(c, cat, Q_GONE_ATTRS, &s); ++*n) {
        *ids = arena_room(a, *ids, *n, sizeof(**ids));
        (*ids)[*n] = (uint16_t)catalog_int(cat, Q_GONE_ATTRS, 0);
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_max_attr(struct ctx *c, struct catalog *cat, uint32_t array, uint16_t *id)
{
    *id = 0;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_MAX_ATTR, "i", (int64_t)array);
    while (catalog_next(c, cat, Q_MAX_ATTR, &s))
        *id = (uint16_t)catalog_int(cat, Q_MAX_ATTR, 0);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_counters(struct ctx *c, struct catalog *cat, struct arena *a,
                             struct counter_row **rows, int *n, uint32_t *next_array)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_COUNTERS, "");
    for (; catalog_next(c, cat, Q_COUNTERS, &s); ++*n) {
        *rows = arena_room(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct counter_row){.array = (uint32_t)catalog_int(cat, Q_COUNTERS, 0),
                                           .next_version = catalog_int(cat, Q_COUNTERS, 1)};
    }
    if (s == OK) s = catalog_start(c, cat, Q_NEXT_ARRAY, "");
    while (catalog_next(c, cat, Q_NEXT_ARRAY, &s))
        *next_array = (uint32_t)catalog_int(cat, Q_NEXT_ARRAY, 0);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_objects(struct ctx *c, struct catalog *cat, struct arena *a,
                            struct object_row **rows, int *n)
{
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    enum status s = catalog_start(c, cat, Q_OBJECTS, "");
    for (; catalog_next(c, cat, Q_OBJECTS, &s); ++*n) {
        *rows = arena_room(a, *rows, *n, sizeof(**rows));
        (*rows)[*n] = (struct object_row){.kind = (enum object_kind)catalog_int(cat, Q_OBJECTS, 0),
                                          .name = catalog_text(cat, Q_OBJECTS, 1, a),
                                          .text = catalog_text(cat, Q_OBJECTS, 2, a)};
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

/* ---- versions ---- */

static enum status count(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version)
{
    TRY(catalog_run(c, cat, Q_COUNT_ARRAY, "i", (int64_t)array));
    return catalog_run(c, cat, Q_COUNT_VERSION, "ii", (int64_t)array, version + 1);
}

enum status catalog_put_version(struct ctx *c, struct catalog *cat, const struct version_row *v)
{
    TRY(count(c, cat, v->array, v->version));
    return catalog_run(c, cat, Q_PUT_VERSION, "iitiiiii", (int64_t)v->array, v->version,
                       version_state_name(v->state), v->committed_us, v->totals.tiles,
                       v->totals.cells, v->totals.bytes, (int64_t)v->totals.digest);
}

enum status catalog_pending(struct ctx *c, struct catalog *cat, uint32_t array, int64_t version)
{
    TRY(fault_point(c, FAULT_PENDING));
    TRY(catalog_begin(c, cat));
    struct version_row v = {.array = array, .version = version, .state = VERSION_PENDING};
    return catalog_finish(c, cat, catalog_put_version(c, cat, &v));
}

enum status catalog_set_state(struct ctx *c, struct catalog *cat, uint32_t array,
                              const int64_t *versions, int n, enum version_state state)
{
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = catalog_run(c, cat, Q_SET_STATE, "iit", (int64_t)array, versions[i],
                        version_state_name(state));
    return catalog_finish(c, cat, s);
}

enum status catalog_swept(struct ctx *c, struct catalog *cat, uint32_t array,
                          const int64_t *versions, int n, int64_t oldest)
{
    static const enum query forget[] = {Q_FORGET_ARRAYS, Q_FORGET_DIMS, Q_FORGET_ATTRS,
                                        Q_FORGET_LABELS};
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (int i = 0; s == OK && i < n; i++)
        s = catalog_run(c, cat, Q_DROP_VERSION, "ii", (int64_t)array, versions[i]);
    for (size_t i = 0; s == OK && i < sizeof(forget) / sizeof(*forget); i++)
        s = catalog_run(c, cat, forget[i], "ii", (int64_t)array, oldest);
    return catalog_finish(c, cat, s);
}

enum status catalog_purge(struct ctx *c, struct catalog *cat, uint32_t array)
{
    TRY(catalog_begin(c, cat));
    enum status s = OK;
    for (size_t i = 0; s == OK && i < sizeof(purged) / sizeof(*purged); i++) {
        char sql[80];
        snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE array = %u", purged[i], array);
        int rc = sqlite3_exec(cat->db, sql, NULL, NULL, NULL);
        if (rc) s = catalog_failed(c, cat, rc, "write");
    }
    return catalog_finish(c, cat, s);
}

enum status catalog_bury_pending(struct ctx *c, struct catalog *cat)
{
    TRY(catalog_begin(c, cat));
    return catalog_finish(c, cat, catalog_run(c, cat, Q_BURY, ""));
}

/* ---- objects ---- */

enum status catalog_put_object(struct ctx *c, struct catalog *cat, enum object_kind kind,
                               const char *name, const char *text)
{
    if (!text) return catalog_run(c, cat, Q_DROP_OBJECT, "it", (int64_t)kind, name);
    return catalog_run(c, cat, Q_PUT_OBJECT, "itt", (int64_t)kind, name, text);
}
