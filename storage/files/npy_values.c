/* What do the values of .npy records mean, and how are they turned from Fortran order? */
#include "storage/base/datetime.h"
#include "storage/files/npy_format.h"
#include "storage/files/source_parts.h"
#include <math.h>

/* Gathers the field of n records into packed native values. */
void npy_gather(const struct npy_field *f, const char *records, int64_t stride, int64_t n,
                char *out)
{
    const char *p = records + f->offset;
    switch (f->swapped ? -f->bytes : f->bytes) {
    case 1:
        for (int64_t i = 0; i < n; i++)
            out[i] = p[i * stride];
        break;
#define PLAIN(bits)                                                                                \
    case bits / 8:                                                                                 \
        for (int64_t i = 0; i < n; i++)                                                            \
            memcpy(out + i * (bits / 8), p + i * stride, bits / 8);                                \
        break;                                                                                     \
    case -(bits / 8):                                                                              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            uint##bits##_t x;                                                                      \
            memcpy(&x, p + i * stride, bits / 8);                                                  \
            x = __builtin_bswap##bits(x);                                                          \
            memcpy(out + i * (bits / 8), &x, bits / 8);                                            \
        }                                                                                          \
        break;
        PLAIN(16)
        PLAIN(32)
        PLAIN(64)
#undef PLAIN
    default:
        break;
    }
}

float npy_half(uint16_t h)
{
    int exponent = h >> 10 & 31, mant = h & 1023;
    float x = exponent == 31  ? (mant ? NAN : INFINITY)
              : exponent == 0 ? ldexpf((float)mant, -24)
                              : ldexpf((float)(mant + 1024), exponent - 25);
    return h >> 15 ? -x : x;
}

/* One datetime64 as days or microseconds; false when it does not fit. */
static bool convert_time(const struct npy_field *f, int64_t x, int64_t *out)
{
    int64_t us;
    if (__builtin_mul_overflow(x, f->n_units, &x)) return false;
    if (strcmp(f->unit, "Y") == 0 || strcmp(f->unit, "M") == 0) {
        int64_t months = f->unit[0] == 'Y' ? 12 : 1;
        if (x > 100000000 || x < -100000000) return false;
        *out = days_add_months(0, x * months);
        return true;
    }
    if (strcmp(f->unit, "D") == 0 || strcmp(f->unit, "W") == 0) {
        *out = x;
        if (f->unit[0] == 'W' && __builtin_mul_overflow(x, 7, out)) return false;
        return *out > INT32_MIN && *out < INT32_MAX;
    }
    if (strcmp(f->unit, "ns") == 0) {
        *out = x / 1000 - (x % 1000 < 0);
        return true;
    }
    us = strcmp(f->unit, "h") == 0    ? 3600 * US_PER_SECOND
         : strcmp(f->unit, "m") == 0  ? 60 * US_PER_SECOND
         : strcmp(f->unit, "s") == 0  ? US_PER_SECOND
         : strcmp(f->unit, "ms") == 0 ? 1000
                                      : 1;
    return !__builtin_mul_overflow(x, us, out);
}

/* NaT is NULL. */
static enum status convert_times(struct ctx *c, const char *path, const struct npy_field *f,
                                 const int64_t *raw, int64_t n, struct column *col)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        if (raw[i] == INT64_MIN) {
            TRY(column_need_valid(c, col, n));
            bit_clear(col->valid, i);
        } else if (f->kind == 'm') {
            x = raw[i];
        } else if (!convert_time(f, raw[i], &x)) {
            return fail(c, ERR_DATETIME_OVERFLOW, "a time in \"%s\" is out of range", path);
        }
        if (col->type == T_DATE)
            ((int32_t *)col->values)[i] = (int32_t)x;
        else
            ((int64_t *)col->values)[i] = x;
    }
    return OK;
}

static size_t put_utf8(uint32_t ch, char *out)
{
    if (ch < 0x80) {
        out[0] = (char)ch;
        return 1;
    }
    if (ch < 0x800) {
        out[0] = (char)(0xc0 | ch >> 6);
        out[1] = (char)(0x80 | (ch & 63));
        return 2;
    }
    if (ch < 0x10000) {
        out[0] = (char)(0xe0 | ch >> 12);
        out[1] = (char)(0x80 | (ch >> 6 & 63));
        out[2] = (char)(0x80 | (ch & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | ch >> 18);
    out[1] = (char)(0x80 | (ch >> 12 & 63));
    out[2] = (char)(0x80 | (ch >> 6 & 63));
    out[3] = (char)(0x80 | (ch & 63));
    return 4;
}

/* U (UCS-4) and S (bytes that must be UTF-8), padded by zeros. */
enum status npy_texts(struct ctx *c, const char *path, const struct npy_field *f,
                      const char *records, int64_t stride, int64_t n, struct text *out)
{
    void *room;
    TRY(scratch_alloc(c, (size_t)(n * f->bytes) + 1, &room));
    char *to = room;
    for (int64_t i = 0; i < n; i++) {
        const char *p = records + i * stride + f->offset;
        char *start = to;
        size_t bad;
        if (f->kind == 'U') {
            int32_t n_chars = f->bytes / 4;
            uint32_t ch;
            for (; n_chars > 0; n_chars--) {
                memcpy(&ch, p + 4 * (n_chars - 1), 4);
                if (ch != 0) break;
            }
            for (int32_t k = 0; k < n_chars; k++) {
                memcpy(&ch, p + 4 * k, 4);
                if (f->swapped) ch = __builtin_bswap32(ch);
                if (ch > 0x10ffff || ch == 0)
                    return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not Unicode", path);
                to += put_utf8(ch, to);
            }
        } else {
            int32_t len = f->bytes;
            while (len > 0 && p[len - 1] == 0)
                len--;
            memcpy(to, p, (size_t)len);
            to += len;
        }
        if (!utf8_valid(start, (size_t)(to - start), &bad) ||
            memchr(start, 0, (size_t)(to - start)))
            return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8", path);
        out[i] = (struct text){start, to - start};
    }
    return OK;
}

enum status npy_convert(struct ctx *c, const char *path, const struct npy_field *f,
                        const char *records, int64_t stride, int64_t n, struct column *col)
{
    TRY(column_alloc(c, f->type, n, col));
    if (f->type == T_TEXT)
        return npy_texts(c, path, f, records, stride, n, (struct text *)col->values);
    if (f->kind == 'M' || f->kind == 'm' || (f->kind == 'f' && f->bytes == 2)) {
        void *raw;
        TRY(scratch_alloc(c, (size_t)(n * f->bytes), &raw));
        npy_gather(f, records, stride, n, raw);
        if (f->kind != 'f') return convert_times(c, path, f, raw, n, col);
        for (int64_t i = 0; i < n; i++)
            ((float *)col->values)[i] = npy_half(((const uint16_t *)raw)[i]);
        return OK;
    }
    npy_gather(f, records, stride, n, col->values);
    if (f->type == T_BOOL) {
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)col->values)[i] = ((const uint8_t *)col->values)[i] != 0;
    }
    return OK;
}

/* ---- Fortran order ---- */

#define TRANSPOSE(ctype)                                                                           \
    for (int64_t a = 0; a < n_a; a += 32) {                                                        \
        for (int64_t b = 0; b < n_b; b += 32) {                                                    \
            for (int64_t i = a; i < n_a && i < a + 32; i++) {                                      \
                for (int64_t k = b; k < n_b && k < b + 32; k++)                                    \
                    ((ctype *)dst)[i * dst_stride + k] = ((const ctype *)src)[i + k * src_stride]; \
            }                                                                                      \
        }                                                                                          \
    }

/* Dimension 0 runs fastest in src, the last one in dst. */
static void transpose_plane(void *dst, const void *src, int64_t n_a, int64_t n_b,
                            int64_t dst_stride, int64_t src_stride, size_t bytes)
{
    struct wide {
        uint64_t half[2];
    };
    switch (bytes) {
    case 1:
        TRANSPOSE(uint8_t) break;
    case 2:
        TRANSPOSE(uint16_t) break;
    case 4:
        TRANSPOSE(uint32_t) break;
    case 8:
        TRANSPOSE(uint64_t) break;
    default:
        TRANSPOSE(struct wide) break;
    }
}

/* From reversed dimensions (src_box is box with its dimensions reversed) to C order. */
void npy_transpose(void *dst, const struct box *box, const void *src, size_t bytes)
{
    int n = box->n_dims;
    int64_t dst_strides[MAX_DIMS], src_strides[MAX_DIMS], at[MAX_DIMS] = {0}, stride = 1;
    box_strides(box, dst_strides);
    for (int d = 0; d < n; d++) {
        src_strides[d] = stride;
        stride *= box_extent(box, d);
    }
    for (;;) {
        int64_t to = 0, from = 0;
        for (int d = 1; d < n - 1; d++) {
            to += at[d] * dst_strides[d];
            from += at[d] * src_strides[d];
        }
        transpose_plane((char *)dst + (size_t)to * bytes, (const char *)src + (size_t)from * bytes,
                        box_extent(box, 0), box_extent(box, n - 1), dst_strides[0],
                        src_strides[n - 1], bytes);
        int d = n - 2;
        while (d > 0 && ++at[d] == box_extent(box, d))
            at[d--] = 0;
        if (d <= 0) return;
    }
}

enum status npy_to_c_order(struct ctx *c, const struct box *box, struct column *col)
{
    struct column turned;
    int64_t n = box_cells(box);
    TRY(column_alloc(c, col->type, n, &turned));
    npy_transpose(turned.values, box, col->values, type_bytes(col->type));
    if (col->valid) {
        void *from, *to;
        TRY(column_need_valid(c, &turned, n));
        TRY(scratch_alloc(c, (size_t)n, &from));
        TRY(scratch_alloc(c, (size_t)n, &to));
        bits_to_bytes(from, col->valid, n);
        npy_transpose(to, box, from, 1);
        bits_from_bytes(turned.valid, to, n);
    }
    *col = turned;
    return OK;
}
