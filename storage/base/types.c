/* The type list's look-ups. */
#include "storage/base/types.h"
#include <strings.h>

static const struct {
    size_t bytes;
    const char *sql, *numpy;
    uint32_t oid;
    int wire;
} info[] = {
#define X(id, bytes, sql, npy, oid, wire) {bytes, sql, npy, oid, wire},
    TYPE_LIST(X)
#undef X
};

static const struct {
    const char *name;
    enum type type;
} synonyms[] = {
    {"bool", T_BOOL},
    {"int1", T_INT8},
    {"int16", T_INT16},
    {"int2", T_INT16},
    {"int", T_INT32},
    {"int4", T_INT32},
    {"int32", T_INT32},
    {"int8", T_INT64},
    {"int64", T_INT64},
    {"uint8", T_UINT8},
    {"uint16", T_UINT16},
    {"uint32", T_UINT32},
    {"uint64", T_UINT64},
    {"float4", T_FLOAT32},
    {"float32", T_FLOAT32},
    {"double", T_FLOAT64},
    {"float", T_FLOAT64},
    {"float8", T_FLOAT64},
    {"float64", T_FLOAT64},
    {"numeric", T_FLOAT64},
    {"decimal", T_FLOAT64},
    {"timestamptz", T_TIMESTAMP},
    {"datetime", T_TIMESTAMP},
    {"timestamp without time zone", T_TIMESTAMP},
    {"timestamp with time zone", T_TIMESTAMP},
    {"varchar", T_TEXT},
    {"character varying", T_TEXT},
    {"char", T_TEXT},
    {"character", T_TEXT},
    {"bpchar", T_TEXT},
    {"name", T_TEXT},
    {"string", T_TEXT},
};

size_t type_bytes(enum type t)
{
    return info[t].bytes;
}
const char *type_name(enum type t)
{
    return info[t].sql;
}
const char *type_numpy(enum type t)
{
    return info[t].numpy;
}
uint32_t type_oid(enum type t)
{
    return info[t].oid;
}
int type_wire_bytes(enum type t)
{
    return info[t].wire;
}

enum type type_by_name(const char *name)
{
    for (int t = 0; t < N_TYPES; t++)
        if (!strcasecmp(name, info[t].sql) && t != T_UNKNOWN) return (enum type)t;
    for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms; i++)
        if (!strcasecmp(name, synonyms[i].name)) return synonyms[i].type;
    return T_NONE;
}

enum type type_by_oid(uint32_t oid)
{
    switch (oid) {
    case 16:
        return T_BOOL;
    case 21:
        return T_INT16;
    case 23:
        return T_INT32;
    case 20:
        return T_INT64;
    case 700:
        return T_FLOAT32;
    case 701:
        return T_FLOAT64;
    case 1700:
        return T_FLOAT64;
    case 1082:
        return T_DATE;
    case 1114:
        return T_TIMESTAMP;
    case 1184:
        return T_TIMESTAMP;
    case 1186:
        return T_INTERVAL;
    case 18:
    case 19:
    case 25:
    case 1042:
    case 1043:
        return T_TEXT;
    case 1016:
        return T_INT64S;
    case 1000: /* a client's array of another type is text, as it is written: {1,2} */
    case 1005:
    case 1007:
    case 1009:
    case 1015:
    case 1021:
    case 1022:
    case 1115:
    case 1182:
        return T_TEXT;
    case 0:
    case 705:
        return T_UNKNOWN;
    default:
        return T_NONE;
    }
}

enum type type_promote(enum type a, enum type b)
{
    if (a == b) return a;
    if (a == T_BOOL) return b;
    if (b == T_BOOL) return a;
    if (type_is_float(a) || type_is_float(b)) {
        if (type_is_float(a) && type_is_float(b)) return T_FLOAT64;
        enum type f = type_is_float(a) ? a : b, i = type_is_float(a) ? b : a;
        return f == T_FLOAT32 && info[i].bytes <= 2 ? T_FLOAT32 : T_FLOAT64;
    }
    if (type_is_signed(a) == type_is_signed(b)) return info[a].bytes > info[b].bytes ? a : b;
    enum type s = type_is_signed(a) ? a : b, u = type_is_signed(a) ? b : a;
    if (info[s].bytes > info[u].bytes) return s;
    if (u == T_UINT64) return T_FLOAT64;
    return u == T_UINT8 ? T_INT16 : u == T_UINT16 ? T_INT32 : T_INT64;
}
