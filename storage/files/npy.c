/* Which values has a box of an .npy file?
 *
 * A file is looked at as records in the order in which they lie: for Fortran order that is C order
 * of the reversed dimensions. A box of records is read, converted column by column, and transposed
 * when the file is in Fortran order. */
#include "storage/base/datetime.h"
#include "storage/files/npy_format.h"
#include "storage/files/source_parts.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (4 << 20) /* of one read */
#define GRID_CELLS (128 * 1024)
#define LOAD_CELLS (512 * 1024) /* tiles of what is loaded into, side by side: longer reads */

struct npy_file {
    int fd;
    const char *path;
    int64_t start; /* position of its first cell along d0 */
    int64_t length;
    int64_t data_offset;
};

struct npy_source {
    struct source base;
    struct npy_format format; /* the shape is the whole source's */
    int n_files;
    struct npy_file *files;
};

/* ---- records ---- */

/* The records of a box, dense in C order; `all` is the file's box, both in the file's order. */
static enum status read_records(struct ctx *c, const struct npy_file *f, int64_t record_bytes,
                                const struct box *all, const struct box *want, char *out)
{
    int n = all->n_dims, j = n - 1;
    /* Rows of dimension j are read whole: the outermost one whose rows are used to an eighth. */
    double used = 1;
    for (int d = n - 1; d > 0; d--) {
        used *= (double)box_extent(want, d) / (double)box_extent(all, d);
        if (used < 1.0 / 8) break;
        j = d - 1;
    }
    int64_t row_cells = 1, strides[MAX_DIMS];
    box_strides(all, strides);
    row_cells = strides[j];
    int64_t rows_at_once = READ_BYTES / (row_cells * record_bytes);
    if (rows_at_once < 1) rows_at_once = 1;
    if (rows_at_once > box_extent(want, j)) rows_at_once = box_extent(want, j);
    void *buffer;
    TRY(scratch_alloc(c, (size_t)(rows_at_once * row_cells * record_bytes), &buffer));
    struct box part = *want;
    for (int d = 0; d < j; d++)
        part.hi[d] = part.lo[d] + 1;
    part.hi[j] = part.lo[j] + rows_at_once;
    for (;;) {
        if (part.hi[j] > want->hi[j]) part.hi[j] = want->hi[j];
        struct box rows = part;
        for (int d = j + 1; d < n; d++) {
            rows.lo[d] = all->lo[d];
            rows.hi[d] = all->hi[d];
        }
        int64_t n_bytes = box_cells(&rows) * record_bytes;
        int64_t offset = f->data_offset + box_index(all, rows.lo) * record_bytes;
        bool whole = box_equal(&rows, &part);
        char *to = whole ? out + box_index(want, part.lo) * record_bytes : buffer;
        TRY(check_cancel(c));
        TRY(file_read_at(c, f->fd, f->path, to, (size_t)n_bytes, offset));
        if (!whole) box_copy(out, want, buffer, &rows, &part, (size_t)record_bytes);
        int d = j;
        part.lo[d] += rows_at_once;
        while (d > 0 && part.lo[d] >= want->hi[d]) {
            part.lo[d] = want->lo[d];
            d--;
            part.lo[d]++;
        }
        if (part.lo[d] >= want->hi[d]) return OK;
        for (int k = 0; k <= j; k++)
            part.hi[k] = part.lo[k] + (k == j ? rows_at_once : 1);
    }
}

/* ---- values ---- */

/* Gathers the field of n records into packed native values. */
static void gather(const struct npy_field *f, const char *records, int64_t stride, int64_t n,
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

static float half_to_float(uint16_t h)
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
static enum status convert_times(struct ctx *c, const struct npy_file *file,
                                 const struct npy_field *f, const int64_t *raw, int64_t n,
                                 struct column *col)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t x = 0;
        if (raw[i] == INT64_MIN) {
            TRY(column_need_valid(c, col, n));
            bit_clear(col->valid, i);
        } else if (f->kind == 'm') {
            x = raw[i];
        } else if (!convert_time(f, raw[i], &x)) {
            return fail(c, ERR_DATETIME_OVERFLOW, "a time in \"%s\" is out of range", file->path);
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
static enum status convert_texts(struct ctx *c, const struct npy_file *file,
                                 const struct npy_field *f, const char *records, int64_t stride,
                                 int64_t n, struct text *out)
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
                    return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not Unicode",
                                file->path);
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
            return fail(c, ERR_INVALID_ENCODING, "a text in \"%s\" is not valid UTF-8", file->path);
        out[i] = (struct text){start, to - start};
    }
    return OK;
}

static enum status convert(struct ctx *c, const struct npy_file *file, const struct npy_field *f,
                           const char *records, int64_t stride, int64_t n, struct column *col)
{
    TRY(column_alloc(c, f->type, n, col));
    if (f->type == T_TEXT)
        return convert_texts(c, file, f, records, stride, n, (struct text *)col->values);
    if (f->kind == 'M' || f->kind == 'm' || (f->kind == 'f' && f->bytes == 2)) {
        void *raw;
        TRY(scratch_alloc(c, (size_t)(n * f->bytes), &raw));
        gather(f, records, stride, n, raw);
        if (f->kind != 'f') return convert_times(c, file, f, raw, n, col);
        for (int64_t i = 0; i < n; i++)
            ((float *)col->values)[i] = half_to_float(((const uint16_t *)raw)[i]);
        return OK;
    }
    gather(f, records, stride, n, col->values);
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
static void transpose(void *dst, const struct box *box, const void *src, size_t bytes)
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

static enum status to_c_order(struct ctx *c, const struct box *box, struct column *col)
{
    struct column turned;
    int64_t n = box_cells(box);
    TRY(column_alloc(c, col->type, n, &turned));
    transpose(turned.values, box, col->values, type_bytes(col->type));
    if (col->valid) {
        void *from, *to;
        TRY(column_need_valid(c, &turned, n));
        TRY(scratch_alloc(c, (size_t)n, &from));
        TRY(scratch_alloc(c, (size_t)n, &to));
        bits_to_bytes(from, col->valid, n);
        transpose(to, box, from, 1);
        bits_from_bytes(turned.valid, to, n);
    }
    *col = turned;
    return OK;
}

/* ---- boxes ---- */

static struct box reversed(const struct box *b)
{
    struct box r = {.n_dims = b->n_dims};
    for (int d = 0; d < b->n_dims; d++) {
        r.lo[d] = b->lo[b->n_dims - 1 - d];
        r.hi[d] = b->hi[b->n_dims - 1 - d];
    }
    return r;
}

/* The columns of a box of one file, in the source's positions. */
static enum status read_file(struct ctx *c, const struct npy_source *s, const struct npy_file *f,
                             const struct box *want, const int *attrs, int n, struct column *cols)
{
    const struct npy_format *format = &s->format;
    struct box all = s->base.box, part = *want;
    int64_t cells = box_cells(want);
    all.lo[0] = f->start;
    all.hi[0] = f->start + f->length;
    bool fortran = format->fortran && all.n_dims > 1;
    if (fortran) {
        all = reversed(&all);
        part = reversed(want);
    }
    const struct npy_field *only = &format->fields[0];
    bool as_it_lies = !format->structured && !only->swapped && only->kind != 'b' &&
                      (size_t)only->bytes == type_bytes(only->type) && strchr("iuf", only->kind);
    if (n == 1 && as_it_lies) {
        TRY(column_alloc(c, only->type, cells, &cols[0]));
        TRY(read_records(c, f, format->record_bytes, &all, &part, cols[0].values));
    } else if (n > 0) {
        void *records;
        TRY(scratch_alloc(c, (size_t)(cells * format->record_bytes), &records));
        TRY(read_records(c, f, format->record_bytes, &all, &part, records));
        for (int i = 0; i < n; i++)
            TRY(convert(c, f, &format->fields[attrs[i]], records, format->record_bytes, cells,
                        &cols[i]));
    }
    for (int i = 0; i < n && fortran; i++)
        TRY(to_c_order(c, want, &cols[i]));
    return OK;
}

static struct source_span npy_span(const struct source *base, int file)
{
    const struct npy_file *f = &((const struct npy_source *)base)->files[file];
    return (struct source_span){f->start, f->length};
}

static enum status npy_read_file(struct ctx *c, struct source *base, int file,
                                 const struct box *want, const int *attrs, int n,
                                 struct column *cols)
{
    const struct npy_source *s = (const struct npy_source *)base;
    return read_file(c, s, &s->files[file], want, attrs, n, cols);
}

static enum status npy_read(struct ctx *c, struct source *base, const struct box *want,
                            const int *attrs, int n, struct column *cols)
{
    int n_files = ((const struct npy_source *)base)->n_files;
    return source_read_files(c, base, n_files, npy_span, npy_read_file, want, attrs, n, cols);
}

static void npy_close(struct source *base)
{
    struct npy_source *s = (struct npy_source *)base;
    for (int i = 0; i < s->n_files; i++)
        close(s->files[i].fd);
    free(s->files);
    free(s);
}

static const struct source_class npy_class = {npy_read, npy_close};

/* ---- opening ---- */

static enum status check_same(struct ctx *c, const struct npy_source *s, const char *path,
                              const struct npy_format *f)
{
    const struct npy_format *first = &s->format;
    bool same = f->n_fields == first->n_fields && f->fortran == first->fortran &&
                f->record_bytes == first->record_bytes && f->n_dims == first->n_dims;
    for (int i = 0; same && i < f->n_fields; i++) {
        const struct npy_field *a = &f->fields[i], *b = &first->fields[i];
        same = strcmp(a->name, b->name) == 0 && a->kind == b->kind && a->swapped == b->swapped &&
               a->bytes == b->bytes && a->offset == b->offset && strcmp(a->unit, b->unit) == 0 &&
               a->n_units == b->n_units;
    }
    if (!same)
        return fail(c, ERR_DATATYPE_MISMATCH, "\"%s\" and \"%s\" differ in type or order",
                    s->files[0].path, path);
    for (int d = 1; d < f->n_dims; d++) {
        if (f->shape[d] != first->shape[d])
            return fail(c, ERR_AXIS_MISMATCH,
                        "\"%s\" and \"%s\" differ in dimension d%d: length %lld against %lld",
                        s->files[0].path, path, d, (long long)first->shape[d],
                        (long long)f->shape[d]);
    }
    return OK;
}

static enum status open_one(struct ctx *c, struct npy_source *s, const char *path)
{
    struct npy_format format;
    struct npy_file *f = &s->files[s->n_files];
    int64_t bytes;
    TRY(file_open_read(c, path, &f->fd, &bytes));
    s->n_files++; /* npy_close closes it from here on */
    f->path = path;
    TRY(npy_format_read(c, f->fd, path, bytes, &format));
    if (s->n_files == 1)
        s->format = format;
    else
        TRY(check_same(c, s, path, &format));
    f->start = s->n_files == 1 ? 0 : f[-1].start + f[-1].length;
    f->length = format.shape[0];
    f->data_offset = format.data_offset;
    s->format.shape[0] = f->start + f->length;
    return OK;
}

static enum status make_schema(struct ctx *c, struct npy_source *s, const struct schema *target)
{
    const struct npy_format *f = &s->format;
    struct schema *schema;
    TRY(source_schema_new(c, s->files[0].path, f->n_dims, f->n_fields, &schema));
    for (int d = 0; d < f->n_dims; d++)
        schema->dims[d] =
            (struct dim){.name = arena_printf(c->arena, "d%d", d), .axis = axis_count(f->shape[d])};
    for (int i = 0; i < f->n_fields; i++)
        schema->attrs[i] = (struct attr){
            .name = f->fields[i].name, .type = f->fields[i].type, .id = (uint16_t)(i + 1)};
    source_unique_names(c, schema);
    s->base.schema = schema;
    source_set_grid(&s->base, GRID_CELLS, f->fortran);
    if (target && !target->is_table) source_align_grid(&s->base, target, LOAD_CELLS, f->fortran);
    return OK;
}

enum status npy_open(struct ctx *c, const struct paths *paths, const struct schema *target,
                     struct source **out)
{
    struct npy_source *s = calloc(1, sizeof *s);
    struct npy_file *files = calloc((size_t)paths->n, sizeof *files);
    enum status st = s && files ? OK : fail(c, ERR_MEMORY, "out of memory");
    if (st < 0) {
        free(s);
        free(files);
        return st;
    }
    s->base.cls = &npy_class;
    s->files = files;
    for (int i = 0; i < paths->n && st == OK; i++)
        st = open_one(c, s, paths->v[i]);
    if (st == OK) st = make_schema(c, s, target);
    if (st == OK)
        *out = &s->base;
    else
        npy_close(&s->base);
    return st;
}
