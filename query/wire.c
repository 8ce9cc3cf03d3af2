/* Values in PostgreSQL's binary format: big-endian, dates from 2000-01-01. */
#include "query/session_internal.h"
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "storage/files/source_parts.h"
#include <endian.h>
#include <string.h>

static const int64_t DAYS_TO_2000 = 10957;
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_DATE = 1082,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_INTERVAL = 1186,
    OID_NUMERIC = 1700
};

static void put16(struct strbuf *b, uint16_t v)
{
    v = htobe16(v);
    strbuf_add(b, &v, 2);
}
static void put32(struct strbuf *b, uint32_t v)
{
    v = htobe32(v);
    strbuf_add(b, &v, 4);
}
static void put64(struct strbuf *b, uint64_t v)
{
    v = htobe64(v);
    strbuf_add(b, &v, 8);
}

/* numeric: digits of base 10,000, the first one worth 10,000^weight. */
static void put_numeric(struct strbuf *b, uint64_t v)
{
    uint16_t digits[8];
    int n = 0;
    for (; v; v /= 10000)
        digits[n++] = (uint16_t)(v % 10000);
    int low = 0;
    while (low < n && digits[low] == 0)
        low++;
    put16(b, (uint16_t)(n - low));
    put16(b, (uint16_t)(n ? n - 1 : 0));
    put16(b, 0);
    put16(b, 0);
    for (int i = n - 1; i >= low; i--)
        put16(b, digits[i]);
}

static void put_int64s(struct strbuf *b, const struct text *t)
{
    int64_t n = t->len / 8;
    put32(b, n > 0);
    put32(b, 0);
    put32(b, OID_INT8);
    if (n == 0) return;
    put32(b, (uint32_t)n);
    put32(b, 1);
    for (int64_t i = 0; i < n; i++) {
        uint64_t v;
        memcpy(&v, t->s + i * 8, 8);
        put32(b, 8);
        put64(b, v);
    }
}

enum status wire_put(struct ctx *c, enum type t, const void *values, int64_t i, struct strbuf *out)
{
    (void)c;
    struct value v = value_get(t, values, i);
    switch (t) {
    case T_BOOL:
        strbuf_addc(out, (char)v.i);
        break;
    case T_INT8:
    case T_INT16:
        put16(out, (uint16_t)v.i);
        break;
    case T_UINT8:
        put16(out, (uint16_t)v.u);
        break;
    case T_INT32:
        put32(out, (uint32_t)v.i);
        break;
    case T_UINT16:
        put32(out, (uint32_t)v.u);
        break;
    case T_INT64:
        put64(out, (uint64_t)v.i);
        break;
    case T_UINT32:
        put64(out, v.u);
        break;
    case T_UINT64:
        put_numeric(out, v.u);
        break;
    case T_FLOAT32: {
        float f = (float)v.d;
        uint32_t bits;
        memcpy(&bits, &f, 4);
        put32(out, bits);
        break;
    }
    case T_FLOAT64: {
        uint64_t bits;
        memcpy(&bits, &v.d, 8);
        put64(out, bits);
        break;
    }
    case T_DATE:
        put32(out, v.i == DATE_INFINITY || v.i == DATE_MINUS_INFINITY
                       ? (uint32_t)v.i
                       : (uint32_t)(v.i - DAYS_TO_2000));
        break;
    case T_TIMESTAMP:
        put64(out, v.i == TIMESTAMP_INFINITY || v.i == TIMESTAMP_MINUS_INFINITY
                       ? (uint64_t)v.i
                       : (uint64_t)(v.i - DAYS_TO_2000 * US_PER_DAY));
        break;
    case T_INTERVAL:
        put64(out, (uint64_t)v.iv.us);
        put32(out, (uint32_t)v.iv.days);
        put32(out, (uint32_t)v.iv.months);
        break;
    case T_INT64S:
        put_int64s(out, &v.t);
        break;
    default:
        strbuf_add(out, v.t.s, (size_t)v.t.len);
        break;
    }
    return OK;
}

/* ---- and back ---- */

enum status check_utf8(struct ctx *c, const char *s, size_t n)
{
    size_t bad;
    const char *nul = memchr(s, 0, n);
    if (nul)
        bad = (size_t)(nul - s);
    else if (utf8_valid(s, n, &bad))
        return OK;
    return fail(c, ERR_INVALID_ENCODING, "invalid byte sequence for encoding \"UTF8\": 0x%02x",
                (unsigned char)s[bad]);
}

static enum status get_numeric(struct ctx *c, const unsigned char *p, size_t n, struct value *out)
{
    if (n < 8) return fail(c, ERR_INVALID_BINARY, "insufficient data left in message");
    int n_digits = p[0] << 8 | p[1], sign = p[4] << 8 | p[5];
    int weight = (int16_t)(p[2] << 8 | p[3]);
    if (n != 8 + 2 * (size_t)n_digits)
        return fail(c, ERR_INVALID_BINARY, "incorrect binary data format");
    struct strbuf text = STRBUF_INIT;
    if (sign == 0xc000)
        strbuf_adds(&text, "NaN");
    else if (sign == 0xd000 || sign == 0xf000)
        strbuf_adds(&text, sign == 0xd000 ? "inf" : "-inf");
    else {
        /* digits × 10,000^(weight - n + 1), read by strtod's exact rules */
        strbuf_adds(&text, sign == 0x4000 ? "-0" : "0");
        for (int i = 0; i < n_digits; i++)
            strbuf_addf(&text, "%04d", p[8 + 2 * i] << 8 | p[9 + 2 * i]);
        strbuf_addf(&text, "e%d", 4 * (weight - n_digits + 1));
    }
    enum status st = value_parse(c, T_FLOAT64, (struct text){text.s, (int64_t)text.len}, out);
    strbuf_release(&text);
    return st;
}

static uint64_t get_be(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static size_t fixed_length(uint32_t oid)
{
    switch (oid) {
    case OID_BOOL:
        return 1;
    case OID_INT2:
        return 2;
    case OID_INT4:
    case OID_FLOAT4:
    case OID_DATE:
        return 4;
    case OID_INT8:
    case OID_FLOAT8:
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ:
        return 8;
    case OID_INTERVAL:
        return 16;
    default:
        return 0;
    }
}

bool wire_is_array(uint32_t oid)
{
    static const uint32_t oids[] = {1000, 1005, 1007, 1009, 1015, 1016, 1021, 1022, 1115, 1182};
    for (size_t i = 0; i < sizeof oids / sizeof *oids; i++)
        if (oids[i] == oid) return true;
    return false;
}

/* One element at *at: its text, quoted, or NULL. */
static enum status get_element(struct ctx *c, uint32_t oid, const char *bytes, size_t n, size_t *at,
                               struct strbuf *out)
{
    struct value v;
    struct strbuf text = STRBUF_INIT;
    if (n - *at < 4) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    int32_t len = (int32_t)get_be((const unsigned char *)bytes + *at, 4);
    *at += 4;
    if (len < 0) {
        strbuf_adds(out, "NULL");
        return OK;
    }
    if (n - *at < (size_t)len) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    TRY(wire_get(c, oid, bytes + *at, (size_t)len, &v));
    if (v.type == T_TEXT) TRY(check_utf8(c, v.t.s, (size_t)v.t.len));
    *at += (size_t)len;
    value_format(&v, &text);
    strbuf_addc(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.s[i] == '"' || text.s[i] == '\\') strbuf_addc(out, '\\');
        strbuf_addc(out, text.s[i]);
    }
    strbuf_addc(out, '"');
    strbuf_release(&text);
    return OK;
}

/* An array as PostgreSQL writes it, {"1",NULL}: dimensions, a flag, the elements' type; each
 * dimension's length and first index; the elements. */
static enum status get_array(struct ctx *c, const char *bytes, size_t n, struct value *out)
{
    const unsigned char *p = (const unsigned char *)bytes;
    struct strbuf text = STRBUF_INIT;
    if (n < 12) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    uint32_t n_dims = (uint32_t)get_be(p, 4), of = (uint32_t)get_be(p + 8, 4);
    if (n_dims > 1 || wire_is_array(of))
        return fail(c, ERR_UNSUPPORTED, "arrays of more than one dimension are not available yet");
    if (n_dims && n < 20) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    int32_t count = n_dims ? (int32_t)get_be(p + 12, 4) : 0;
    size_t at = 20;
    enum status s = OK;
    strbuf_addc(&text, '{');
    for (int32_t i = 0; i < count && s == OK; i++) {
        if (i) strbuf_addc(&text, ',');
        s = get_element(c, of, bytes, n, &at, &text);
    }
    strbuf_addc(&text, '}');
    struct value v = {.type = T_TEXT, .t = {text.s, (int64_t)text.len}};
    if (s == OK) *out = value_dup(c->arena, &v);
    strbuf_release(&text);
    return s;
}

enum status wire_get(struct ctx *c, uint32_t oid, const char *bytes, size_t n, struct value *out)
{
    const unsigned char *p = (const unsigned char *)bytes;
    size_t want = fixed_length(oid);
    if (n < want) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    if (want && n > want) return fail(c, ERR_INVALID_BINARY, "incorrect binary data format");
    uint64_t v = want && want <= 8 ? get_be(p, n) : 0;
    struct value r = {.type = type_by_oid(oid)};
    switch (oid) {
    case OID_BOOL:
        r.i = v != 0;
        break;
    case OID_INT2:
        r.i = (int16_t)v;
        break;
    case OID_INT4:
        r.i = (int32_t)v;
        break;
    case OID_INT8:
        r.i = (int64_t)v;
        break;
    case OID_FLOAT4: {
        uint32_t bits = (uint32_t)v;
        float f;
        memcpy(&f, &bits, 4);
        r.d = f;
        break;
    }
    case OID_FLOAT8:
        memcpy(&r.d, &v, 8);
        break;
    case OID_DATE: {
        int32_t d = (int32_t)v;
        bool infinite = d == DATE_INFINITY || d == DATE_MINUS_INFINITY;
        if (!infinite && d > DATE_INFINITY - DAYS_TO_2000)
            return fail(c, ERR_DATETIME_OVERFLOW, "date out of range");
        r.i = infinite ? d : d + DAYS_TO_2000;
        break;
    }
    case OID_TIMESTAMP:
    case OID_TIMESTAMPTZ: {
        int64_t us = (int64_t)v;
        bool infinite = us == TIMESTAMP_INFINITY || us == TIMESTAMP_MINUS_INFINITY;
        if (!infinite && __builtin_add_overflow(us, DAYS_TO_2000 * US_PER_DAY, &us))
            return fail(c, ERR_DATETIME_OVERFLOW, "timestamp out of range");
        r.i = us;
        break;
    }
    case OID_INTERVAL:
        r.iv = (struct interval){(int64_t)get_be(p, 8), (int32_t)get_be(p + 8, 4),
                                 (int32_t)get_be(p + 12, 4)};
        break;
    case OID_NUMERIC:
        return get_numeric(c, p, n, out);
    default:
        if (wire_is_array(oid)) return get_array(c, bytes, n, out);
        if (r.type != T_TEXT && r.type != T_UNKNOWN)
            return fail(c, ERR_UNSUPPORTED, "no binary input for the type with OID %u", oid);
        r.type = T_TEXT;
        r.t = (struct text){bytes, (int64_t)n};
        break;
    }
    *out = r;
    return OK;
}

/* A numeric that is a whole number of 64 bits, exactly. */
static enum status get_uint64(struct ctx *c, const unsigned char *p, size_t n, struct value *out)
{
    if (n < 8) return fail(c, ERR_PROTOCOL, "insufficient data left in message");
    int n_digits = p[0] << 8 | p[1], sign = p[4] << 8 | p[5];
    int weight = (int16_t)(p[2] << 8 | p[3]);
    uint64_t v = 0;
    if (n != 8 + 2 * (size_t)n_digits)
        return fail(c, ERR_INVALID_BINARY, "incorrect binary data format");
    bool fits = sign == 0 || n_digits == 0;
    for (int i = 0; i < n_digits && fits; i++) {
        uint64_t digit = (uint64_t)(p[8 + 2 * i] << 8 | p[9 + 2 * i]);
        fits = digit < 10000 && (i <= weight || digit == 0);
        if (i > weight) continue;
        fits =
            fits && !__builtin_mul_overflow(v, 10000, &v) && !__builtin_add_overflow(v, digit, &v);
    }
    for (int i = n_digits; i <= weight && v > 0 && fits; i++)
        fits = !__builtin_mul_overflow(v, 10000, &v);
    if (!fits) return fail(c, ERR_OVERFLOW, "ubigint out of range");
    *out = (struct value){.type = T_UINT64, .u = v};
    return OK;
}

enum status wire_get_as(struct ctx *c, enum type t, const char *bytes, size_t n, struct value *out)
{
    struct value v;
    if (t == T_UINT64) return get_uint64(c, (const unsigned char *)bytes, n, out);
    if (t == T_TEXT) TRY(check_utf8(c, bytes, n));
    TRY(wire_get(c, type_oid(t), bytes, n, &v));
    if (v.type == t) return *out = v, OK;
    return value_cast(c, &v, t, out);
}
