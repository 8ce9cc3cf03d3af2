/* What does the metadata of a Zarr array say, and how is it written?
 *
 * After the specifications of Zarr 2 and 3 (zarr-specs.readthedocs.io). Only this file knows the
 * JSON library. */
#include "storage/files/zarr_meta.h"
#include "storage/base/value.h"
#include "storage/files/source_parts.h"
#include <endian.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define META_BYTES (64 << 20)
#define MAX_ZARR_ATTRS 4096

struct meta {
    struct ctx *c;
    const char *dir;
    struct zarr_array *a;
};

static enum status malformed(struct meta *m, const char *what)
{
    return fail(m->c, ERR_BAD_COPY_FORMAT, "malformed Zarr metadata in \"%s\": %s", m->dir, what);
}

static enum status unsupported(struct meta *m, const char *what, const char *name)
{
    return fail(m->c, ERR_UNSUPPORTED, "\"%s\" uses the %s \"%s\", which cannot be read", m->dir,
                what, name);
}

/* ---- JSON files ---- */

/* Python writes NaN and infinities bare, which JSON does not know: quoted, in place of a text. */
static char *quote_bare_numbers(const char *s, size_t n)
{
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    struct strbuf out = STRBUF_INIT;
    bool in_string = false;
    for (size_t i = 0; i < n;) {
        size_t len = 0;
        for (int w = 0; !in_string && w < 3 && len == 0; w++) {
            size_t m = strlen(words[w]);
            if (n - i >= m && memcmp(s + i, words[w], m) == 0) len = m;
        }
        if (len > 0) {
            strbuf_addc(&out, '"');
            strbuf_add(&out, s + i, len);
            strbuf_addc(&out, '"');
            i += len;
            continue;
        }
        if (s[i] == '"') in_string = !in_string;
        if (in_string && s[i] == '\\' && i + 1 < n) strbuf_addc(&out, s[i++]);
        strbuf_addc(&out, s[i++]);
    }
    strbuf_addc(&out, '\n');
    return out.s;
}

static enum status parse_json(struct meta *m, const char *file, const char *bytes, size_t n,
                              json_t **out)
{
    json_error_t e;
    char *text = quote_bare_numbers(bytes, n);
    json_t *j = memchr(bytes, 0, n) ? NULL : json_loads(text, 0, &e);
    free(text);
    if (j && json_is_object(j)) {
        *out = j;
        return OK;
    }
    json_decref(j);
    return fail(m->c, ERR_BAD_COPY_FORMAT, "malformed Zarr metadata in \"%s/%s\"", m->dir, file);
}

/* The object in a file of the directory; *out NULL when there is no such file. */
static enum status load(struct meta *m, const char *file, json_t **out)
{
    char path[PATH_MAX];
    int fd;
    int64_t bytes;
    *out = NULL;
    if (snprintf(path, sizeof path, "%s/%s", m->dir, file) >= (int)sizeof path)
        return fail(m->c, ERR_IO, "the name \"%s\" is too long", m->dir);
    if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) return OK;
    TRY(file_open_read(m->c, path, &fd, &bytes));
    char *text = bytes <= META_BYTES ? malloc((size_t)bytes + 1) : NULL;
    enum status st = text ? file_read_at(m->c, fd, path, text, (size_t)bytes, 0)
                          : malformed(m, "it is too long");
    close(fd);
    if (st == OK) st = parse_json(m, file, text, (size_t)bytes, out);
    free(text);
    return st;
}

/* ---- attributes ---- */

static bool number_of(const json_t *j, double *out)
{
    const char *s = json_string_value(j);
    if (json_is_number(j)) return *out = json_number_value(j), true;
    if (!s) return false;
    if (strcmp(s, "NaN") == 0) return *out = NAN, true;
    if (strcmp(s, "Infinity") == 0) return *out = INFINITY, true;
    if (strcmp(s, "-Infinity") == 0) return *out = -INFINITY, true;
    return false;
}

/* Integers when all are; else doubles; else nothing. */
static bool numbers_attr(struct ctx *c, json_t *const *values, int64_t n, struct ds_attr *a)
{
    bool whole = true;
    double d;
    for (int64_t i = 0; i < n; i++) {
        whole = whole && json_is_integer(values[i]);
        if (!number_of(values[i], &d)) return false;
    }
    int64_t *room = arena_array(c->arena, int64_t, n + 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t x = whole ? json_integer_value(values[i]) : 0;
        number_of(values[i], &d);
        memcpy(&room[i], whole ? (void *)&x : (void *)&d, 8);
    }
    a->kind = whole ? DS_KIND_INT64 : DS_KIND_DOUBLE;
    a->n = n;
    a->values = room;
    return true;
}

static void put_attr(struct meta *m, const char *name, json_t *j)
{
    struct ctx *c = m->c;
    struct ds_attr a = {.name = arena_strdup(c->arena, name), .n = 1};
    bool fine = false;
    double d;
    if (m->a->n_attrs == MAX_ZARR_ATTRS) return;
    if (json_is_string(j) && !number_of(j, &d)) {
        size_t n = json_string_length(j);
        a.kind = DS_KIND_STRING;
        a.text = (struct text){arena_strndup(c->arena, json_string_value(j), n), (int64_t)n};
        fine = true;
    } else if (json_is_array(j) && json_array_size(j) > 0) {
        int64_t n = (int64_t)json_array_size(j);
        json_t **values = arena_array(c->arena, json_t *, n);
        for (int64_t i = 0; i < n; i++)
            values[i] = json_array_get(j, (size_t)i);
        fine = numbers_attr(c, values, n, &a);
    } else {
        fine = numbers_attr(c, &j, 1, &a);
    }
    if (fine) m->a->attrs[m->a->n_attrs++] = a;
}

static void put_number_attr(struct meta *m, const char *name, double d, int64_t i, bool whole)
{
    json_t *j = whole ? json_integer(i) : isfinite(d) ? json_real(d) : json_string("NaN");
    put_attr(m, name, j);
    json_decref(j);
}

static void put_text_attr(struct meta *m, const char *name, const char *text)
{
    json_t *j = json_string(text);
    put_attr(m, name, j);
    json_decref(j);
}

/* xarray keeps a float's fill value as base64 of its eight bytes. */
static bool from_base64(const char *s, double *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[9] = {0};
    if (strlen(s) != 12 || s[11] != '=') return false;
    for (int i = 0; i < 11; i++) {
        const char *at = strchr(digits, s[i]);
        if (!at) return false;
        unsigned value = (unsigned)(at - digits);
        for (int b = 0; b < 6; b++)
            if (value >> (5 - b) & 1 && (i * 6 + b) / 8 < 8)
                bytes[(i * 6 + b) / 8] |= (unsigned char)(128 >> (i * 6 + b) % 8);
    }
    uint64_t x;
    memcpy(&x, bytes, 8);
    x = le64toh(x);
    memcpy(out, &x, 8);
    return true;
}

static void read_attrs(struct meta *m, json_t *attrs)
{
    const char *name;
    json_t *j;
    double d;
    size_t n = attrs ? json_object_size(attrs) : 0;
    m->a->attrs = arena_array(m->c->arena, struct ds_attr, (int64_t)n + 8);
    json_object_foreach(attrs, name, j)
    {
        const char *s = json_string_value(j);
        if (strcmp(name, "_FillValue") == 0 && m->a->type.kind == 'f' && s && from_base64(s, &d))
            put_number_attr(m, name, d, 0, false);
        else
            put_attr(m, name, j);
    }
}

static bool has_attr(const struct zarr_array *a, const char *name)
{
    for (int i = 0; i < a->n_attrs; i++)
        if (strcmp(a->attrs[i].name, name) == 0) return true;
    return false;
}

/* datetime64 is a count of its unit, so its attributes say the same as CF's would. */
static void add_time_attrs(struct meta *m)
{
    static const struct {
        const char *unit, *name;
    } units[] = {{"Y", "days"},        {"M", "days"},          {"W", "weeks"},
                 {"D", "days"},        {"h", "hours"},         {"m", "minutes"},
                 {"s", "seconds"},     {"ms", "milliseconds"}, {"us", "microseconds"},
                 {"ns", "nanoseconds"}};
    const struct npy_field *t = &m->a->type;
    if (t->kind != 'M') return;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(units[i].unit, t->unit) != 0) continue;
        put_text_attr(m, "units", arena_printf(m->c->arena, "%s since 1970-01-01", units[i].name));
    }
    put_text_attr(m, "calendar", "proleptic_gregorian");
    if (t->type == T_DATE) put_text_attr(m, "tessera_type", "date");
    put_number_attr(m, "_FillValue", 0, INT64_MIN, true);
}

/* ---- types and fill values ---- */

static enum status read_numbers(struct meta *m, const json_t *list, int *n, int64_t *out,
                                bool positive)
{
    if (!json_is_array(list)) return malformed(m, "a shape is missing");
    if (json_array_size(list) > MAX_DIMS)
        return fail(m->c, ERR_TOO_MANY_COLUMNS, "\"%s\" has more than %d dimensions", m->dir,
                    MAX_DIMS);
    if (*n >= 0 && (int)json_array_size(list) != *n)
        return malformed(m, "shape and chunks differ in length");
    *n = (int)json_array_size(list);
    for (int d = 0; d < *n; d++) {
        const json_t *j = json_array_get(list, (size_t)d);
        if (!json_is_integer(j) || json_integer_value(j) < positive)
            return malformed(m, "a length is not a number that fits");
        out[d] = json_integer_value(j);
    }
    return OK;
}

static enum status check_extents(struct meta *m)
{
    int64_t cells = m->a->type.bytes, all = 1;
    for (int d = 0; d < m->a->rank; d++)
        if (__builtin_mul_overflow(cells, m->a->chunk[d], &cells) ||
            m->a->shape[d] > INT64_MAX - m->a->chunk[d] ||
            __builtin_mul_overflow(all, m->a->shape[d] ? m->a->shape[d] : 1, &all))
            return malformed(m, "the shape is too large");
    return OK;
}

static void put_int(unsigned char *fill, int64_t x, int bytes)
{
    switch (bytes) { /* cut as two's complement does */
    case 1:
        fill[0] = (unsigned char)x;
        break;
    case 2: {
        uint16_t v = (uint16_t)x;
        memcpy(fill, &v, 2);
        break;
    }
    case 4: {
        uint32_t v = (uint32_t)x;
        memcpy(fill, &v, 4);
        break;
    }
    default:
        memcpy(fill, &x, 8);
        break;
    }
}

/* UBIGINTs past 2^63 come as reals. False: it is no number of 64 bits. */
static bool integer_of(const json_t *j, double d, int64_t *out)
{
    if (json_is_boolean(j)) return *out = json_is_true(j), true;
    if (json_is_integer(j)) return *out = json_integer_value(j), true;
    if (!(d >= -0x1p63 && d < 0x1p64)) return false;
    *out = d >= 0x1p63 ? (int64_t)(uint64_t)d : (int64_t)d;
    return true;
}

static enum status read_fill(struct meta *m, const json_t *j)
{
    struct zarr_array *a = m->a;
    const struct npy_field *t = &a->type;
    const char *s = json_string_value(j);
    double d = 0;
    a->fill_text = "";
    a->fill_is_null = !j || json_is_null(j);
    if (a->fill_is_null) {
        if (t->kind == 'M' || t->kind == 'm') put_int(a->fill, INT64_MIN, 8);
        return OK;
    }
    if (t->kind == 'O' || t->kind == 'U' || t->kind == 'S') {
        if (s) a->fill_text = arena_strdup(m->c->arena, s);
        return OK;
    }
    if (s && t->kind == 'M' && strcmp(s, "NaT") == 0) {
        put_int(a->fill, INT64_MIN, 8);
        return OK;
    }
    if (json_is_boolean(j))
        d = json_is_true(j);
    else if (s && t->kind == 'f' && s[0] == '0' && s[1] == 'x') { /* the bits */
        uint64_t bits = strtoull(s, NULL, 16);
        if (t->bytes == 8)
            memcpy(a->fill, &bits, 8);
        else
            put_int(a->fill, (int64_t)bits, t->bytes);
        return OK;
    } else if (!number_of(j, &d))
        return malformed(m, "the fill value");
    int64_t whole;
    if (t->kind != 'f') {
        if (!integer_of(j, d, &whole)) return malformed(m, "the fill value");
        put_int(a->fill, whole, t->bytes);
    } else if (t->bytes == 8) {
        memcpy(a->fill, &d, 8);
    } else { /* float16 is widened when it is read */
        float f = (float)d;
        memcpy(a->fill, &f, 4);
    }
    return OK;
}

/* ---- version 2 ---- */

static const char *id_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "?";
}

static enum status read_compressor(struct meta *m, const char *name)
{
    struct zarr_array *a = m->a;
    if (a->compressor != ZARR_NONE) return malformed(m, "there are two compressors");
    if (strcmp(name, "zstd") == 0 || strcmp(name, "numcodecs.zstd") == 0)
        a->compressor = ZARR_ZSTD;
    else if (strcmp(name, "zlib") == 0 || strcmp(name, "gzip") == 0 ||
             strcmp(name, "numcodecs.zlib") == 0 || strcmp(name, "numcodecs.gzip") == 0)
        a->compressor = ZARR_DEFLATE;
    else {
        unsupported(m, "compressor", name);
        return hint(m->c, "zstd, zlib, gzip and none can be read.");
    }
    return OK;
}

static enum status read_filters_2(struct meta *m, const json_t *filters)
{
    struct zarr_array *a = m->a;
    for (size_t i = 0; i < json_array_size(filters); i++) {
        const json_t *f = json_array_get(filters, i);
        const char *id = id_of(f, "id");
        if (strcmp(id, "shuffle") == 0) {
            json_t *size = json_object_get(f, "elementsize");
            a->shuffle = json_is_integer(size) ? json_integer_value(size) : 4;
            if (a->shuffle < 1 || a->shuffle > 65536) return malformed(m, "a shuffle's size");
        } else if (strcmp(id, "vlen-utf8") == 0) {
            a->type = (struct npy_field){.kind = 'O', .type = T_TEXT, .bytes = 1};
        } else {
            return unsupported(m, "filter", id);
        }
    }
    return OK;
}

static enum status read_array_2(struct meta *m, const json_t *j, json_t *attrs)
{
    struct zarr_array *a = m->a;
    const char *dtype = json_string_value(json_object_get(j, "dtype"));
    const char *separator = json_string_value(json_object_get(j, "dimension_separator"));
    const char *order = json_string_value(json_object_get(j, "order"));
    const json_t *compressor = json_object_get(j, "compressor");
    int rank = -1;
    a->version = 2;
    a->separator = separator && separator[0] == '/' ? '/' : '.';
    a->fortran = order && order[0] == 'F';
    TRY(read_numbers(m, json_object_get(j, "shape"), &rank, a->shape, false));
    TRY(read_numbers(m, json_object_get(j, "chunks"), &rank, a->chunk, true));
    a->rank = rank;
    if (!dtype && json_is_array(json_object_get(j, "dtype")))
        return fail(m->c, ERR_UNSUPPORTED, "\"%s\" holds records, which cannot be read", m->dir);
    if (!dtype) return malformed(m, "the dtype is missing");
    if (strcmp(dtype, "|O") == 0)
        a->type = (struct npy_field){.kind = 'V', .bytes = 1};
    else
        TRY(npy_dtype(m->c, m->dir, dtype, &a->type));
    if (compressor && !json_is_null(compressor)) TRY(read_compressor(m, id_of(compressor, "id")));
    TRY(read_filters_2(m, json_object_get(j, "filters")));
    if (a->type.kind == 'V')
        return fail(m->c, ERR_UNSUPPORTED,
                    "\"%s\" holds raw bytes or objects, which cannot be read", m->dir);
    TRY(check_extents(m));
    TRY(read_fill(m, json_object_get(j, "fill_value")));
    read_attrs(m, attrs);
    const json_t *names = attrs ? json_object_get(attrs, "_ARRAY_DIMENSIONS") : NULL;
    for (int d = 0; d < rank && json_array_size(names) == (size_t)rank; d++) {
        const char *name = json_string_value(json_array_get(names, (size_t)d));
        a->dim_names[d] = name ? arena_strdup(m->c->arena, name) : NULL;
    }
    /* xarray's convention: the fill value of its arrays stands for a missing one. Not 0, which is
     * what other writers put where they mean nothing by it. */
    const json_t *fill = json_object_get(j, "fill_value");
    static const unsigned char zero[8];
    if (names && !a->fill_is_null && !has_attr(a, "_FillValue")) {
        if (strchr("iuf", a->type.kind) && memcmp(a->fill, zero, 8) != 0) {
            json_t *copy = json_deep_copy(fill);
            put_attr(m, "_FillValue", copy);
            json_decref(copy);
        }
    }
    return OK;
}

/* ---- version 3 ---- */

static enum status read_type_3(struct meta *m, const json_t *j)
{
    static const struct {
        const char *name, *dtype;
    } types[] = {{"bool", "|b1"},   {"int8", "|i1"},    {"int16", "<i2"},   {"int32", "<i4"},
                 {"int64", "<i8"},  {"uint8", "|u1"},   {"uint16", "<u2"},  {"uint32", "<u4"},
                 {"uint64", "<u8"}, {"float16", "<f2"}, {"float32", "<f4"}, {"float64", "<f8"}};
    struct zarr_array *a = m->a;
    const char *name = json_is_object(j) ? id_of(j, "name") : json_string_value(j);
    const json_t *conf = json_object_get(j, "configuration");
    if (!name) return malformed(m, "the data type is missing");
    if (strcmp(name, "string") == 0) {
        a->type = (struct npy_field){.kind = 'O', .type = T_TEXT, .bytes = 1};
        return OK;
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0)
            return npy_dtype(m->c, m->dir, types[i].dtype, &a->type);
    char dtype[64] = "";
    json_int_t size = json_integer_value(json_object_get(conf, "length_bytes"));
    json_int_t scale = json_integer_value(json_object_get(conf, "scale_factor"));
    if (strcmp(name, "numpy.datetime64") == 0 || strcmp(name, "numpy.timedelta64") == 0) {
        const char *unit = id_of(conf, "unit");
        if (strcmp(unit, "\xc2\xb5s") == 0 || strcmp(unit, "\xce\xbcs") == 0) unit = "us";
        snprintf(dtype, sizeof dtype, "<%c8[%lld%.8s]", name[6] == 'd' ? 'M' : 'm',
                 (long long)(scale > 0 ? scale : 1), unit);
    } else if (strcmp(name, "fixed_length_utf32") == 0) {
        snprintf(dtype, sizeof dtype, "<U%lld", (long long)size / 4);
    } else if (strcmp(name, "null_terminated_bytes") == 0) {
        snprintf(dtype, sizeof dtype, "|S%lld", (long long)size);
    }
    return dtype[0] ? npy_dtype(m->c, m->dir, dtype, &a->type) : unsupported(m, "data type", name);
}

static enum status read_transpose_3(struct meta *m, const json_t *order)
{
    bool same = json_array_size(order) == (size_t)m->a->rank, turned = same;
    for (int d = 0; d < m->a->rank; d++) {
        json_int_t at = json_integer_value(json_array_get(order, (size_t)d));
        same = same && at == d;
        turned = turned && at == m->a->rank - 1 - d;
    }
    if (!same && !turned) return unsupported(m, "codec", "transpose");
    m->a->fortran = turned && !same;
    return OK;
}

static enum status read_codec_3(struct meta *m, const json_t *j)
{
    struct zarr_array *a = m->a;
    const char *name = json_is_string(j) ? json_string_value(j) : id_of(j, "name");
    const json_t *conf = json_object_get(j, "configuration");
    if (strcmp(name, "bytes") == 0) {
        const char *endian = json_string_value(json_object_get(conf, "endian"));
        if (endian && strcmp(endian, "big") == 0) a->type.swapped = a->type.bytes > 1;
        return OK;
    }
    if (strcmp(name, "vlen-utf8") == 0)
        return a->type.kind == 'O' ? OK : malformed(m, "vlen-utf8 of another type");
    if (strcmp(name, "transpose") == 0) return read_transpose_3(m, json_object_get(conf, "order"));
    if (strcmp(name, "numcodecs.shuffle") == 0) {
        json_t *size = json_object_get(conf, "elementsize");
        a->shuffle = json_is_integer(size) ? json_integer_value(size) : 4;
        return a->shuffle < 1 || a->shuffle > 65536 ? malformed(m, "a shuffle's size") : OK;
    }
    if (strcmp(name, "sharding_indexed") == 0) {
        unsupported(m, "codec", name);
        return hint(m->c, "Shards cannot be read; write the array again without them.");
    }
    return read_compressor(m, name);
}

static enum status read_keys_3(struct meta *m, const json_t *j)
{
    const char *name = id_of(j, "name");
    const char *separator =
        json_string_value(json_object_get(json_object_get(j, "configuration"), "separator"));
    m->a->prefix = strcmp(name, "default") == 0;
    if (!m->a->prefix && strcmp(name, "v2") != 0) return unsupported(m, "chunk key encoding", name);
    m->a->separator = separator ? separator[0] : m->a->prefix ? '/' : '.';
    return m->a->separator == '/' || m->a->separator == '.' ? OK : malformed(m, "the separator");
}

static enum status read_array_3(struct meta *m, json_t *j)
{
    struct zarr_array *a = m->a;
    const json_t *grid = json_object_get(j, "chunk_grid"), *codecs = json_object_get(j, "codecs");
    const json_t *names = json_object_get(j, "dimension_names");
    int rank = -1;
    a->version = 3;
    TRY(read_numbers(m, json_object_get(j, "shape"), &rank, a->shape, false));
    if (strcmp(id_of(grid, "name"), "regular") != 0)
        return unsupported(m, "chunk grid", id_of(grid, "name"));
    TRY(read_numbers(m, json_object_get(json_object_get(grid, "configuration"), "chunk_shape"),
                     &rank, a->chunk, true));
    a->rank = rank;
    TRY(read_type_3(m, json_object_get(j, "data_type")));
    TRY(read_keys_3(m, json_object_get(j, "chunk_key_encoding")));
    if (!json_is_array(codecs)) return malformed(m, "the codecs are missing");
    for (size_t i = 0; i < json_array_size(codecs); i++)
        TRY(read_codec_3(m, json_array_get(codecs, i)));
    if (json_array_size(json_object_get(j, "storage_transformers")) > 0)
        return unsupported(m, "feature", "storage_transformers");
    TRY(check_extents(m));
    TRY(read_fill(m, json_object_get(j, "fill_value")));
    read_attrs(m, json_object_get(j, "attributes"));
    for (int d = 0; d < rank && json_array_size(names) == (size_t)rank; d++) {
        const char *name = json_string_value(json_array_get(names, (size_t)d));
        a->dim_names[d] = name ? arena_strdup(m->c->arena, name) : NULL;
    }
    return OK;
}

/* ---- a directory ---- */

static enum status read_node_3(struct meta *m, json_t *j, enum zarr_node *node)
{
    const char *type = id_of(j, "node_type");
    if (json_integer_value(json_object_get(j, "zarr_format")) != 3)
        return malformed(m, "the format's version is not known");
    if (strcmp(type, "group") == 0) return *node = ZARR_GROUP, OK;
    if (strcmp(type, "array") != 0) return malformed(m, "it is neither a group nor an array");
    *node = ZARR_ARRAY;
    TRY(read_array_3(m, j));
    add_time_attrs(m);
    return OK;
}

static enum status read_node_2(struct meta *m, json_t *j, enum zarr_node *node)
{
    json_t *attrs = NULL;
    if (json_integer_value(json_object_get(j, "zarr_format")) != 2)
        return malformed(m, "the format's version is not known");
    *node = ZARR_ARRAY;
    TRY(load(m, ".zattrs", &attrs));
    enum status st = read_array_2(m, j, attrs);
    json_decref(attrs);
    if (st == OK) add_time_attrs(m);
    return st;
}

enum status zarr_meta_read(struct ctx *c, const char *dir, enum zarr_node *node,
                           struct zarr_array *out)
{
    struct meta m = {c, dir, out};
    const char *slash = strrchr(dir, '/');
    json_t *j;
    *out = (struct zarr_array){.path = dir, .name = slash ? slash + 1 : dir};
    *node = ZARR_NOTHING;
    TRY(load(&m, "zarr.json", &j));
    if (j) {
        enum status st = read_node_3(&m, j, node);
        json_decref(j);
        return st;
    }
    TRY(load(&m, ".zarray", &j));
    if (j) {
        enum status st = read_node_2(&m, j, node);
        json_decref(j);
        return st;
    }
    TRY(load(&m, ".zgroup", &j));
    if (j) *node = ZARR_GROUP;
    json_decref(j);
    return OK;
}

/* ---- writing ---- */

static json_t *numbers(const int64_t *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(v[i]));
    return list;
}

static json_t *real(double d)
{
    return isnan(d)   ? json_string("NaN")
           : isinf(d) ? json_string(d > 0 ? "Infinity" : "-Infinity")
                      : json_real(d);
}

static json_t *fill_json(const struct zarr_array *a)
{
    const struct npy_field *t = &a->type;
    if (a->fill_is_null && a->version == 2) return json_null();
    if (t->kind == 'O') return json_string(a->fill_text);
    if (t->kind == 'b') return json_boolean(a->fill[0]);
    if (t->kind == 'f' && t->bytes == 8) {
        double d;
        memcpy(&d, a->fill, 8);
        return real(d);
    }
    if (t->kind == 'f') {
        float f;
        memcpy(&f, a->fill, 4);
        return real((double)f);
    }
    struct value v = value_get(t->type, a->fill, 0);
    if (t->type == T_UINT64 && v.u > INT64_MAX) return json_real((double)v.u);
    return json_integer(v.i);
}

static json_t *attrs_json(const struct zarr_array *a)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    json_t *out = json_object();
    for (int i = 0; i < a->n_attrs; i++) {
        const struct ds_attr *at = &a->attrs[i];
        double d;
        json_t *j;
        if (at->kind == DS_KIND_STRING) {
            j = json_stringn(at->text.s, (size_t)at->text.len);
        } else if (at->kind == DS_KIND_DOUBLE) {
            memcpy(&d, at->values, 8);
            j = real(d);
            if (a->version == 3 && strcmp(at->name, "_FillValue") == 0) { /* xarray's way */
                char text[13] = "";
                unsigned char bytes[9] = {0};
                memcpy(bytes, at->values, 8);
                for (int k = 0; k < 11; k++) {
                    int bit = k * 6,
                        word = bytes[bit / 8] << 8 | (bit / 8 < 8 ? bytes[bit / 8 + 1] : 0);
                    text[k] = digits[word >> (10 - bit % 8) & 63];
                }
                text[11] = '=';
                json_decref(j);
                j = json_string(text);
            }
        } else {
            int64_t x;
            memcpy(&x, at->values, 8);
            j = at->kind == DS_KIND_UINT64 && x < 0 ? json_real((double)(uint64_t)x)
                                                    : json_integer(x);
        }
        json_object_set_new(out, at->name, j);
    }
    return out;
}

static json_t *array_2(const struct zarr_array *a)
{
    json_t *filters = json_null(), *compressor = json_null();
    if (a->type.kind == 'O')
        filters = json_pack("[{s:s}]", "id", "vlen-utf8");
    else if (a->shuffle)
        filters = json_pack("[{s:s, s:I}]", "id", "shuffle", "elementsize", (json_int_t)a->shuffle);
    if (a->compressor == ZARR_ZSTD)
        compressor = json_pack("{s:s, s:i}", "id", "zstd", "level", a->level);
    return json_pack("{s:i, s:o, s:o, s:s, s:s, s:o, s:o, s:o}", "zarr_format", 2, "shape",
                     numbers(a->shape, a->rank), "chunks", numbers(a->chunk, a->rank), "dtype",
                     a->type.kind == 'O' ? "|O" : type_numpy(a->type.type), "order", "C",
                     "compressor", compressor, "filters", filters, "fill_value", fill_json(a));
}

static json_t *attrs_2(const struct zarr_array *a)
{
    json_t *names = json_array(), *attrs = attrs_json(a);
    for (int d = 0; d < a->rank; d++)
        json_array_append_new(names, json_string(a->dim_names[d]));
    json_object_set_new(attrs, "_ARRAY_DIMENSIONS", names);
    return attrs;
}

static json_t *array_3(const struct zarr_array *a)
{
    static const char *const names[] = {
        [T_BOOL] = "bool",       [T_INT8] = "int8",      [T_INT16] = "int16",
        [T_INT32] = "int32",     [T_INT64] = "int64",    [T_UINT8] = "uint8",
        [T_UINT16] = "uint16",   [T_UINT32] = "uint32",  [T_UINT64] = "uint64",
        [T_FLOAT32] = "float32", [T_FLOAT64] = "float64"};
    json_t *dims = json_array(), *codecs = json_array();
    for (int d = 0; d < a->rank; d++)
        json_array_append_new(dims, json_string(a->dim_names[d]));
    if (a->type.kind == 'O')
        json_array_append_new(codecs, json_pack("{s:s}", "name", "vlen-utf8"));
    else
        json_array_append_new(codecs, json_pack("{s:s, s:{s:s}}", "name", "bytes", "configuration",
                                                "endian", "little"));
    if (a->compressor == ZARR_ZSTD)
        json_array_append_new(codecs, json_pack("{s:s, s:{s:i, s:b}}", "name", "zstd",
                                                "configuration", "level", a->level, "checksum", 0));
    return json_pack("{s:i, s:s, s:o, s:s, s:{s:s, s:{s:o}}, s:{s:s, s:{s:s}}, s:o, s:o, s:o, s:o}",
                     "zarr_format", 3, "node_type", "array", "shape", numbers(a->shape, a->rank),
                     "data_type", a->type.kind == 'O' ? "string" : names[a->type.type],
                     "chunk_grid", "name", "regular", "configuration", "chunk_shape",
                     numbers(a->chunk, a->rank), "chunk_key_encoding", "name", "default",
                     "configuration", "separator", "/", "fill_value", fill_json(a), "codecs",
                     codecs, "attributes", attrs_json(a), "dimension_names", dims);
}

static void put_json(json_t *j, struct strbuf *out)
{
    char *text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (text) strbuf_adds(out, text);
    free(text);
    json_decref(j);
}

void zarr_meta_write(const struct zarr_array *a, struct strbuf *meta, struct strbuf *attrs)
{
    put_json(a->version == 2 ? array_2(a) : array_3(a), meta);
    if (a->version == 2) put_json(attrs_2(a), attrs);
}

void zarr_group_write(int version, const struct zarr_array *arrays, int n, const char *comment,
                      struct strbuf *group, struct strbuf *attrs, struct strbuf *consolidated)
{
    json_t *all = json_object(), *about = json_object();
    if (comment) json_object_set_new(about, "comment", json_string(comment));
    for (int i = 0; i < n; i++) {
        struct strbuf key = STRBUF_INIT;
        strbuf_addf(&key, "%s%s", arrays[i].name, version == 2 ? "/.zarray" : "");
        json_object_set_new(all, key.s, version == 2 ? array_2(&arrays[i]) : array_3(&arrays[i]));
        strbuf_clear(&key);
        strbuf_addf(&key, "%s/.zattrs", arrays[i].name);
        if (version == 2) json_object_set_new(all, key.s, attrs_2(&arrays[i]));
        strbuf_release(&key);
    }
    if (version == 2) {
        json_object_set_new(all, ".zgroup", json_pack("{s:i}", "zarr_format", 2));
        json_object_set(all, ".zattrs", about);
        put_json(json_pack("{s:i}", "zarr_format", 2), group);
        put_json(about, attrs);
        put_json(json_pack("{s:i, s:o}", "zarr_consolidated_format", 1, "metadata", all),
                 consolidated);
        return;
    }
    put_json(json_pack("{s:i, s:s, s:o, s:{s:s, s:b, s:o}}", "zarr_format", 3, "node_type", "group",
                       "attributes", about, "consolidated_metadata", "kind", "inline",
                       "must_understand", 0, "metadata", all),
             group);
}
