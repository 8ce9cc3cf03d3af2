/* Which values do the fields of CSV records mean?
 *
 * Records are split in batches that fit the cache; then each wanted column is converted by a loop
 * of its type over the batch. The plain forms of numbers and dates are read here; whatever else may
 * be a value of the type goes through value_parse, which also words the errors. */
#include "storage/files/csv_parse.h"
#include "storage/base/datetime.h"
#include "storage/base/value.h"
#include "storage/files/source_parts.h"
#include <stdlib.h>

#define BATCH_FIELDS 16384

/* A batch of one column: field r is fields[r * stride]. */
struct cells {
    struct ctx *c;
    const struct csv_block *b;
    const struct csv_field *fields;
    int64_t n, stride;
    struct column *col;
    int64_t at, n_all; /* first row in the column, and how many rows it has in all */
};

static enum status set_null(const struct cells *k, int64_t row)
{
    TRY(column_need_valid(k->c, k->col, k->n_all));
    bit_clear(k->col->valid, k->at + row);
    return OK;
}

static bool is_null(const struct cells *k, const struct csv_field *f)
{
    return csv_is_null(k->b->dialect, k->b->text, f);
}

/* Anything value_parse reads. */
static enum status parse_any(const struct cells *k, const struct csv_field *f, int64_t row)
{
    struct value v;
    char *room = f->escaped ? malloc(f->len + 1) : NULL;
    if (f->escaped && !room) return fail(k->c, ERR_MEMORY, "out of memory");
    struct text s = csv_value(k->b->dialect, k->b->text, f, room);
    enum status st = value_parse(k->c, k->col->type, s, &v);
    if (st == OK) value_put(&v, k->col->values, k->at + row);
    free(room);
    return st;
}

/* Up to 18 digits with a sign. */
static bool plain_integer(const char *s, size_t n, int64_t *out)
{
    bool negative = n > 0 && *s == '-';
    s += negative;
    n -= negative;
    if (n == 0 || n > 18) return false;
    int64_t x = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned digit = (unsigned char)s[i] - '0';
        if (digit > 9) return false;
        x = x * 10 + digit;
    }
    *out = negative ? -x : x;
    return true;
}

/* A double in the middle between two floats may have been rounded there. */
static bool plain_float(const char *s, size_t n, float *out)
{
    double d;
    uint64_t bits;
    if (!value_fast_double(s, n, &d)) return false;
    memcpy(&bits, &d, 8);
    double magnitude = d < 0 ? -d : d;
    if ((bits & 0x1fffffff) == 0x10000000 || magnitude > 3e38 || (d != 0 && magnitude < 1e-37))
        return false;
    *out = (float)d;
    return true;
}

/* A loop over the batch: `plain` reads the usual form into x. */
#define CONVERT(ctype, plain)                                                                      \
    {                                                                                              \
        ctype *out = (ctype *)k->col->values + k->at;                                              \
        bool null_first = k->b->dialect->null_len > 0;                                             \
        for (int64_t r = 0; r < k->n; r++) {                                                       \
            const struct csv_field *f = &k->fields[r * k->stride];                                 \
            const char *s = k->b->text + f->start;                                                 \
            size_t n = f->len;                                                                     \
            if (!f->escaped && !(null_first && is_null(k, f)) && (plain)) continue;                \
            out[r] = 0;                                                                            \
            if (is_null(k, f)) {                                                                   \
                TRY(set_null(k, r));                                                               \
                continue;                                                                          \
            }                                                                                      \
            *bad_row = r;                                                                          \
            TRY(parse_any(k, f, r));                                                               \
        }                                                                                          \
        return OK;                                                                                 \
    }
#define INTEGER(ctype, lo, hi)                                                                     \
    CONVERT(ctype, plain_integer(s, n, &x) && x >= (lo) && x <= (hi) && (out[r] = (ctype)x, true))

static enum status convert_bool(const struct cells *k, int64_t *bad_row)
{
    CONVERT(uint8_t, n == 1 && (*s == 't' || *s == 'f') && (out[r] = *s == 't', true))
}

static enum status convert_integer(const struct cells *k, int64_t *bad_row)
{
    int64_t x;
    switch (k->col->type) {
    case T_INT8:
        INTEGER(int8_t, INT8_MIN, INT8_MAX)
    case T_INT16:
        INTEGER(int16_t, INT16_MIN, INT16_MAX)
    case T_INT32:
        INTEGER(int32_t, INT32_MIN, INT32_MAX)
    case T_UINT8:
        INTEGER(uint8_t, 0, UINT8_MAX)
    case T_UINT16:
        INTEGER(uint16_t, 0, UINT16_MAX)
    case T_UINT32:
        INTEGER(uint32_t, 0, UINT32_MAX)
    case T_UINT64:
        INTEGER(uint64_t, 0, INT64_MAX)
    default:
        INTEGER(int64_t, INT64_MIN, INT64_MAX)
    }
}

static enum status convert_double(const struct cells *k, int64_t *bad_row)
{
    CONVERT(double, value_fast_double(s, n, &out[r]))
}

static enum status convert_float(const struct cells *k, int64_t *bad_row)
{
    CONVERT(float, plain_float(s, n, &out[r]))
}

/* Dates, timestamps: their parsers look for the ISO form first. */
static enum status convert_general(const struct cells *k, int64_t *bad_row)
{
    size_t bytes = type_bytes(k->col->type);
    for (int64_t r = 0; r < k->n; r++) {
        const struct csv_field *f = &k->fields[r * k->stride];
        if (is_null(k, f)) {
            memset((char *)k->col->values + (size_t)(k->at + r) * bytes, 0, bytes);
            TRY(set_null(k, r));
            continue;
        }
        *bad_row = r;
        TRY(parse_any(k, f, r));
    }
    return OK;
}

static enum status convert_text(const struct cells *k, int64_t *bad_row)
{
    struct text *out = (struct text *)k->col->values + k->at;
    for (int64_t r = 0; r < k->n; r++) {
        const struct csv_field *f = &k->fields[r * k->stride];
        size_t bad;
        if (is_null(k, f)) {
            out[r] = (struct text){0};
            TRY(set_null(k, r));
            continue;
        }
        void *room = NULL;
        if (f->escaped) TRY(scratch_alloc(k->c, f->len + 1, &room));
        out[r] = csv_value(k->b->dialect, k->b->text, f, room);
        if (utf8_valid(out[r].s, (size_t)out[r].len, &bad) &&
            !memchr(out[r].s, 0, (size_t)out[r].len))
            continue;
        *bad_row = r;
        if (memchr(out[r].s, 0, (size_t)out[r].len))
            return fail(k->c, ERR_INVALID_ENCODING,
                        "invalid byte sequence for encoding \"UTF8\": 0x00");
        return fail(k->c, ERR_INVALID_ENCODING,
                    "invalid byte sequence for encoding \"UTF8\": 0x%02x",
                    (unsigned char)out[r].s[bad]);
    }
    return OK;
}

static enum status convert(const struct cells *k, int64_t *bad_row)
{
    enum type t = k->col->type;
    if (t == T_BOOL) return convert_bool(k, bad_row);
    if (type_is_integer(t)) return convert_integer(k, bad_row);
    if (t == T_FLOAT64) return convert_double(k, bad_row);
    if (t == T_FLOAT32) return convert_float(k, bad_row);
    if (t == T_TEXT || t == T_UNKNOWN) return convert_text(k, bad_row);
    return convert_general(k, bad_row);
}

/* ---- batches ---- */

/* One record; of another width it is an error. */
static enum status split_record(struct ctx *c, const struct csv_block *b, size_t *at,
                                struct csv_field *fields, int *bad_col)
{
    int found;
    if (!csv_split(b->dialect, b->text, b->n_bytes, at, fields, b->n_cols, &found))
        return fail(c, ERR_INTERNAL, "a block of CSV has too few rows");
    if (found > b->n_cols)
        return fail(c, ERR_BAD_COPY_FORMAT, "extra data after last expected column");
    if (found == b->n_cols) return OK;
    *bad_col = found;
    return fail(c, ERR_BAD_COPY_FORMAT, "missing data for column \"%s\"", b->names[found]);
}

static enum status parse_batch(struct ctx *c, const struct csv_block *b, size_t *at, int64_t n,
                               int64_t done, int64_t n_all, struct csv_field *fields,
                               struct column *cols, size_t *bad, int *bad_col)
{
    for (int64_t r = 0; r < n; r++) {
        *bad = *at;
        TRY(split_record(c, b, at, fields + r * b->n_cols, bad_col));
    }
    for (int i = 0; i < b->n_cols; i++) {
        if (b->wanted[i] < 0) continue;
        struct cells k = {.c = c,
                          .b = b,
                          .fields = fields + i,
                          .n = n,
                          .stride = b->n_cols,
                          .col = &cols[b->wanted[i]],
                          .at = done,
                          .n_all = n_all};
        int64_t bad_row = 0;
        enum status st = convert(&k, &bad_row);
        if (st < 0) {
            *bad = fields[bad_row * b->n_cols + i].start;
            *bad_col = i;
            return st;
        }
    }
    return OK;
}

enum status csv_parse(struct ctx *c, const struct csv_block *b, size_t at, int64_t n_rows,
                      struct column *cols, size_t *bad, int *bad_col)
{
    int64_t batch = BATCH_FIELDS / b->n_cols;
    void *fields;
    *bad_col = -1;
    *bad = at;
    if (b->n_bytes > UINT32_MAX)
        return fail(c, ERR_LIMIT_EXCEEDED, "a block of CSV is larger than 4 GB");
    if (batch < 1) batch = 1;
    if (batch > n_rows) batch = n_rows;
    for (int i = 0; i < b->n_cols; i++) {
        if (b->wanted[i] >= 0) TRY(column_alloc(c, b->types[i], n_rows, &cols[b->wanted[i]]));
    }
    TRY(scratch_alloc(c, sizeof(struct csv_field) * (size_t)(batch * b->n_cols + 1), &fields));
    for (int64_t done = 0; done < n_rows; done += batch) {
        int64_t n = n_rows - done < batch ? n_rows - done : batch;
        TRY(parse_batch(c, b, &at, n, done, n_rows, fields, cols, bad, bad_col));
    }
    return OK;
}
