/* The types of the language: sizes, names, PostgreSQL OIDs, NumPy codes, in one list. */
#ifndef TESSERA_TYPES_H
#define TESSERA_TYPES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*    id           bytes  SQL name           NumPy  OID on the wire  wire bytes (-1 variable) */
#define TYPE_LIST(X)                                                                               \
    X(T_BOOL, 1, "boolean", "|b1", 16, 1)                                                          \
    X(T_INT8, 1, "tinyint", "|i1", 21, 2)                                                          \
    X(T_INT16, 2, "smallint", "<i2", 21, 2)                                                        \
    X(T_INT32, 4, "integer", "<i4", 23, 4)                                                         \
    X(T_INT64, 8, "bigint", "<i8", 20, 8)                                                          \
    X(T_UINT8, 1, "utinyint", "|u1", 21, 2)                                                        \
    X(T_UINT16, 2, "usmallint", "<u2", 23, 4)                                                      \
    X(T_UINT32, 4, "uinteger", "<u4", 20, 8)                                                       \
    X(T_UINT64, 8, "ubigint", "<u8", 1700, -1)                                                     \
    X(T_FLOAT32, 4, "real", "<f4", 700, 4)                                                         \
    X(T_FLOAT64, 8, "double precision", "<f8", 701, 8)                                             \
    X(T_DATE, 4, "date", "<M8[D]", 1082, 4)                                                        \
    X(T_TIMESTAMP, 8, "timestamp", "<M8[us]", 1114, 8)                                             \
    X(T_INTERVAL, 16, "interval", "", 1186, 16)                                                    \
    X(T_TEXT, 16, "text", "<U", 25, -1)                                                            \
    X(T_INT64S, 16, "bigint[]", "", 1016, -1)                                                      \
    X(T_UNKNOWN, 16, "unknown", "", 705, -1)
/* T_INT64S: a list of BIGINT, histogram()'s result; a `struct text` whose bytes are the int64
 * values. T_UNKNOWN: a quoted literal, NULL or parameter before the binder has given it a type; a
 * `struct text`. */

enum type {
#define X(id, bytes, sql, npy, oid, wire) id,
    TYPE_LIST(X)
#undef X
        N_TYPES,
    T_NONE = -1
};

/* A text value: bytes (UTF-8, not terminated) owned by somebody else: a dictionary, an arena, a
 * scratch. */
struct text {
    const char *s;
    int64_t len;
};

struct interval {
    int64_t us;
    int32_t days;
    int32_t months;
};

static inline bool type_is_signed(enum type t)
{
    return t >= T_INT8 && t <= T_INT64;
}
static inline bool type_is_unsigned(enum type t)
{
    return t >= T_UINT8 && t <= T_UINT64;
}
static inline bool type_is_integer(enum type t)
{
    return t >= T_INT8 && t <= T_UINT64;
}
static inline bool type_is_float(enum type t)
{
    return t == T_FLOAT32 || t == T_FLOAT64;
}
static inline bool type_is_numeric(enum type t)
{
    return t >= T_INT8 && t <= T_FLOAT64;
}
static inline bool type_is_time(enum type t)
{
    return t == T_DATE || t == T_TIMESTAMP;
}
static inline bool type_is_varlen(enum type t)
{
    return t == T_TEXT || t == T_INT64S || t == T_UNKNOWN;
}

size_t type_bytes(enum type t);      /* of a value in a column: T_TEXT's is sizeof(struct text) */
const char *type_name(enum type t);  /* SQL name, as \d shows it */
const char *type_numpy(enum type t); /* dtype string, "" when NumPy has none */
uint32_t type_oid(enum type t);      /* PostgreSQL's, as sent in RowDescription */
int type_wire_bytes(enum type t);
/* By any synonym of the language page, case-insensitive ("int8" is BIGINT, "uint8" UTINYINT,
 * "varchar" TEXT, "numeric" DOUBLE, "timestamptz" TIMESTAMP); T_NONE when there is none. */
enum type type_by_name(const char *name);
enum type type_by_oid(uint32_t oid); /* the narrowest for a parameter; T_NONE when there is none */
/* NumPy's promotion of two numeric types or BOOLEAN (int64 with uint64 gives float64). */
enum type type_promote(enum type a, enum type b);

#endif
