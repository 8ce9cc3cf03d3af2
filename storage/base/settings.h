/* Settings: one list that yields names, types, defaults, documentation, SHOW ALL and tesserad's
 * configuration file. */
#ifndef TESSERA_SETTINGS_H
#define TESSERA_SETTINGS_H
#include "storage/base/ctx.h"
#include "storage/base/strbuf.h"

enum setting_kind { SET_BOOL, SET_INT, SET_BYTES, SET_MS, SET_TEXT };
enum setting_scope { SCOPE_SERVER, /* at start only */ SCOPE_SESSION };

/*    field                  kind       scope          default   least  most        what it does */
#define SETTING_LIST(X)                                                                            \
    X(memory_limit, SET_BYTES, SCOPE_SERVER, "0", 0, INT64_MAX,                                    \
      "Memory for queries, loads and the tile cache in all; 0: half of the machine's.")            \
    X(query_memory_limit, SET_BYTES, SCOPE_SESSION, "0", 0, INT64_MAX,                             \
      "Memory for one statement; 0: three quarters of memory_limit.")                              \
    X(cache_size, SET_BYTES, SCOPE_SERVER, "0", 0, INT64_MAX,                                      \
      "Decoded tiles kept, within memory_limit; 0: a quarter of it.")                              \
    X(disk_quota, SET_BYTES, SCOPE_SERVER, "0", 0, INT64_MAX,                                      \
      "Size that the tile store may reach; 0: the disk's.")                                        \
    X(workers, SET_INT, SCOPE_SERVER, "0", 0, 1024,                                                \
      "Threads that run queries; 0: one a processor.")                                             \
    X(max_connections, SET_INT, SCOPE_SERVER, "100", 1, 100000, "Clients at once.")                \
    X(port, SET_INT, SCOPE_SERVER, "0", 0, 65535,                                                  \
      "TCP port on 127.0.0.1; 0: the Unix socket only.")                                           \
    X(lock_timeout, SET_MS, SCOPE_SERVER, "60000", 0, INT32_MAX,                                   \
      "How long a writer waits for another of the same array; 0: for ever.")                       \
    X(idle_in_transaction_session_timeout, SET_MS, SCOPE_SESSION, "0", 0, INT32_MAX,               \
      "An open transaction that idles so long is rolled back; 0: never.")                          \
    X(version_retention, SET_MS, SCOPE_SERVER, "604800000", 0, INT64_MAX,                          \
      "How long old versions of arrays are kept at least; 0: for ever.")                           \
    X(max_scheduled_runs, SET_INT, SCOPE_SERVER, "4", 0, 64,                                       \
      "Schedules that run at once; 0: none runs on this server.")                                  \
    X(schedule_history, SET_MS, SCOPE_SERVER, "7776000000", 0, INT64_MAX,                          \
      "How long records of schedules' runs are kept; 0: for ever.")                                \
    X(log_level, SET_TEXT, SCOPE_SERVER, "info", 0, 0,                                             \
      "Least severity that is logged: debug, info, warning, error.")                               \
    X(file_root, SET_TEXT, SCOPE_SESSION, "", 0, 0,                                                \
      "Where relative file names start; empty: the data directory's parent (embedded: the "        \
      "shell's folder).")                                                                          \
    X(statement_timeout, SET_MS, SCOPE_SESSION, "0", 0, INT32_MAX,                                 \
      "A statement that runs so long is cancelled; 0: never.")                                     \
    X(instruction_set, SET_TEXT, SCOPE_SERVER, "auto", 0, 0,                                       \
      "Of kernels: auto (the processor's best), avx512, avx2, baseline; a better one than the "    \
      "processor's means its best.")                                                               \
    X(blas_kernel, SET_TEXT, SCOPE_SERVER, "auto", 0, 0,                                           \
      "OpenBLAS's kernels: auto (its own choice, or OPENBLAS_CORETYPE's), SkylakeX, Cooperlake, "  \
      "Haswell, Zen ...; shown: those in use.")                                                    \
    X(fast_math, SET_BOOL, SCOPE_SESSION, "off", 0, 1,                                             \
      "Allows sin, log, ... to be off by 3.5 units in the last place instead of 1, and a * b + c " \
      "to be rounded once.")                                                                       \
    X(max_workers, SET_INT, SCOPE_SESSION, "0", 0, 1024,                                           \
      "Threads that one statement uses at most; 0: all.")                                          \
    X(optimizer, SET_BOOL, SCOPE_SESSION, "on", 0, 1,                                              \
      "Plan rewriting; off only to compare answers.")                                              \
    X(tile_cache, SET_BOOL, SCOPE_SESSION, "on", 0, 1,                                             \
      "Whether decoded tiles are looked up and kept.")                                             \
    X(tile_size, SET_BYTES, SCOPE_SESSION, "256kB", 64, 1 << 30,                                   \
      "Bytes of a tile of the widest attribute, where a definition leaves TILE out.")              \
    X(progress_interval, SET_MS, SCOPE_SESSION, "0", 0, INT32_MAX,                                 \
      "How often a long statement reports its progress as a NOTICE-like message; 0: never.")       \
    X(application_name, SET_TEXT, SCOPE_SESSION, "", 0, 0, "The client's name for itself.")        \
    X(client_encoding, SET_TEXT, SCOPE_SESSION, "UTF8", 0, 0, "Always UTF8.")                      \
    X(datestyle, SET_TEXT, SCOPE_SESSION, "ISO, MDY", 0, 0, "Always ISO.")                         \
    X(intervalstyle, SET_TEXT, SCOPE_SESSION, "postgres", 0, 0, "Always postgres.")                \
    X(timezone, SET_TEXT, SCOPE_SESSION, "UTC", 0, 0, "Always UTC.")                               \
    X(extra_float_digits, SET_INT, SCOPE_SESSION, "1", -15, 3,                                     \
      "Accepted; floats print the shortest text that reads back.")                                 \
    X(standard_conforming_strings, SET_BOOL, SCOPE_SESSION, "on", 1, 1, "Always on.")              \
    X(client_min_messages, SET_TEXT, SCOPE_SESSION, "notice", 0, 0,                                \
      "Least severity sent to the client.")                                                        \
    X(search_path, SET_TEXT, SCOPE_SESSION, "public", 0, 0, "Accepted; there is one schema.")      \
    X(default_transaction_read_only, SET_BOOL, SCOPE_SESSION, "off", 0, 1,                         \
      "Transactions are read-only unless they say otherwise.")                                     \
    X(default_transaction_isolation, SET_TEXT, SCOPE_SESSION, "repeatable read", 0, 0,             \
      "Accepted; transactions are snapshots.")

struct settings {
#define X(field, kind, scope, deflt, least, most, doc)                                             \
    union {                                                                                        \
        int64_t n;                                                                                 \
        const char *s;                                                                             \
    } field;
    SETTING_LIST(X)
#undef X
};

struct setting_info {
    const char *name;
    enum setting_kind kind;
    enum setting_scope scope;
    const char *deflt;
    int64_t least, most;
    const char *doc;
};
const struct setting_info *settings_list(int *n);
void settings_defaults(struct settings *s); /* texts are static */
void settings_release(struct settings *s);
void settings_copy(struct settings *to, const struct settings *from);
/* name is case-insensitive. value NULL: the default. Units as in PostgreSQL: '64MB', '10s', '1h'.
 * at_start: server settings may change. ERR_UNDEFINED_OBJECT with the nearest name,
 * ERR_INVALID_PARAMETER, ERR_CANT_CHANGE_NOW. */
enum status settings_set(struct ctx *c, struct settings *s, const char *name, const char *value,
                         bool at_start);
enum status settings_show(struct ctx *c, const struct settings *s, const char *name,
                          struct strbuf *out);
/* name = value lines, # comments, 'quoted' values. Errors name file and line. */
enum status settings_read_file(struct ctx *c, struct settings *s, const char *path);

#endif
