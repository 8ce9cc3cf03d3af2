/* What does the header of an .npy file say, and how is one written?
 *
 * The header is the text of a Python dictionary. It is read by a small parser of the literals that
 * NumPy writes, which looks at every byte once and trusts none. */
#include "storage/files/npy_format.h"
#include "storage/base/strbuf.h"
#include "storage/files/source_parts.h"
#include <stdlib.h>

#define MAX_HEADER_BYTES (4 << 20)

/* ---- reading ---- */

struct reader {
    struct ctx *c;
    const char *path;
    const char *s, *end;
    const char *what; /* "npy header" */
};

static enum status malformed(struct reader *r, const char *what)
{
    return fail(r->c, ERR_BAD_COPY_FORMAT, "malformed %s in \"%s\": %s", r->what, r->path, what);
}

static enum status unsupported(struct reader *r, const char *what)
{
    return fail(r->c, ERR_UNSUPPORTED, "\"%s\" holds %s, which cannot be read", r->path, what);
}

static void skip_space(struct reader *r)
{
    while (r->s < r->end && (*r->s == ' ' || *r->s == '\n' || *r->s == '\t' || *r->s == '\r'))
        r->s++;
}

static bool accept(struct reader *r, char ch)
{
    skip_space(r);
    if (r->s == r->end || *r->s != ch) return false;
    r->s++;
    return true;
}

static enum status expect(struct reader *r, char ch)
{
    char what[] = "' ' expected";
    what[1] = ch;
    return accept(r, ch) ? OK : malformed(r, what);
}

static bool peek(struct reader *r, char ch)
{
    skip_space(r);
    return r->s < r->end && *r->s == ch;
}

/* 'text' or "text", in the arena. */
static enum status read_string(struct reader *r, const char **out, size_t *len)
{
    skip_space(r);
    if (r->s < r->end && (*r->s == 'u' || *r->s == 'b')) r->s++;
    if (r->s == r->end || (*r->s != '\'' && *r->s != '"')) return malformed(r, "a string expected");
    char quote = *r->s++, *text = arena_alloc(r->c->arena, (size_t)(r->end - r->s) + 1);
    size_t n = 0;
    for (; r->s < r->end && *r->s != quote; r->s++) {
        if (*r->s == '\\' && r->s + 1 < r->end) r->s++;
        text[n++] = *r->s;
    }
    if (r->s == r->end) return malformed(r, "a string does not end");
    r->s++;
    text[n] = '\0';
    *out = text;
    *len = n;
    return OK;
}

static enum status read_integer(struct reader *r, int64_t *out)
{
    skip_space(r);
    int64_t x = 0;
    const char *start = r->s;
    for (; r->s < r->end && *r->s >= '0' && *r->s <= '9'; r->s++) {
        if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, *r->s - '0', &x))
            return malformed(r, "a number is too large");
    }
    if (r->s == start) return malformed(r, "a number expected");
    if (r->s < r->end && *r->s == 'L') r->s++;
    *out = x;
    return OK;
}

static enum status read_shape(struct reader *r, struct npy_format *f)
{
    TRY(expect(r, '('));
    f->n_dims = 0;
    while (!accept(r, ')')) {
        if (f->n_dims == MAX_DIMS)
            return fail(r->c, ERR_TOO_MANY_COLUMNS, "\"%s\" has more than %d dimensions", r->path,
                        MAX_DIMS);
        TRY(read_integer(r, &f->shape[f->n_dims++]));
        if (!accept(r, ',') && !peek(r, ')')) return malformed(r, "',' or ')' expected");
    }
    return OK;
}

static enum status number_type(struct reader *r, struct npy_field *f)
{
    static const enum type of_int[] = {[1] = T_INT8, [2] = T_INT16, [4] = T_INT32, [8] = T_INT64};
    static const enum type of_uint[] = {
        [1] = T_UINT8, [2] = T_UINT16, [4] = T_UINT32, [8] = T_UINT64};
    bool power = f->bytes == 1 || f->bytes == 2 || f->bytes == 4 || f->bytes == 8;
    if (f->kind == 'b' && f->bytes == 1)
        f->type = T_BOOL;
    else if ((f->kind == 'i' || f->kind == 'u') && power)
        f->type = f->kind == 'i' ? of_int[f->bytes] : of_uint[f->bytes];
    else if (f->kind == 'f' && (f->bytes == 2 || f->bytes == 4))
        f->type = T_FLOAT32;
    else if (f->kind == 'f' && f->bytes == 8)
        f->type = T_FLOAT64;
    else
        return unsupported(r, "numbers of an unusual size");
    return OK;
}

/* The unit of M8 and m8: "[us]", "[10us]", or nothing. */
static enum status time_type(struct reader *r, struct npy_field *f, const char *s)
{
    static const char units[][3] = {"Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"};
    if (f->bytes != 8) return malformed(r, "a time does not have 8 bytes");
    f->n_units = 1;
    if (*s == '\0') return unsupported(r, "times without a unit");
    char *end;
    if (*s++ != '[') return malformed(r, "a time's unit");
    if (*s >= '0' && *s <= '9') {
        f->n_units = strtol(s, &end, 10);
        s = end;
    }
    if (f->n_units < 1 || f->n_units > 1000000) return malformed(r, "a time's unit");
    for (int i = 0; i < 10; i++) {
        size_t n = strlen(units[i]);
        if (strncmp(s, units[i], n) == 0 && strcmp(s + n, "]") == 0) {
            memcpy(f->unit, units[i], 3);
            f->type = i <= 3 ? T_DATE : T_TIMESTAMP;
            if (f->kind == 'm') f->type = T_INT64;
            return OK;
        }
    }
    return unsupported(r, "times of an unusual unit");
}

/* "<f8", "|S10", ">M8[us]" */
static enum status read_dtype(struct reader *r, const char *s, struct npy_field *f)
{
    char order = *s, *end;
    if (order == '<' || order == '>' || order == '|' || order == '=') s++;
    f->kind = *s;
    if (*s) s++;
    long bytes = strtol(s, &end, 10);
    if (f->kind == '?') {
        f->kind = 'b';
        bytes = 1;
    }
    if (bytes < 0 || bytes > 1 << 24) return malformed(r, "a type's size");
    f->bytes = (int32_t)bytes;
    f->swapped = order == '>' && f->bytes > 1;
    if (f->kind == 'O') return unsupported(r, "Python objects");
    if (f->kind == 'c') return unsupported(r, "complex numbers");
    if (f->kind == 'V') {
        f->type = T_NONE; /* padding; named ones are refused by the caller */
        return OK;
    }
    if (f->kind == 'M' || f->kind == 'm') return time_type(r, f, end);
    if (*end) return malformed(r, "an unknown type");
    if (f->kind == 'U' || f->kind == 'S' || f->kind == 'a') {
        if (f->kind == 'U') {
            if (f->bytes > 1 << 22) return malformed(r, "a type's size");
            f->bytes *= 4;
            f->swapped = order == '>';
        }
        f->type = T_TEXT;
        return OK;
    }
    if (!strchr("biuf", f->kind)) return unsupported(r, "values of an unknown type");
    return number_type(r, f);
}

enum status npy_dtype(struct ctx *c, const char *path, const char *dtype, struct npy_field *out)
{
    struct reader r = {.c = c, .path = path, .what = "type"};
    *out = (struct npy_field){.name = "v"};
    TRY(read_dtype(&r, dtype, out));
    return out->type == T_NONE ? unsupported(&r, "raw bytes") : OK;
}

/* One ('name', '<f8') of a structured type; ('name', '<f8', (3,)) and nested ones are refused. */
static enum status read_field(struct reader *r, struct npy_format *f)
{
    const char *name, *dtype;
    size_t name_len, dtype_len;
    TRY(expect(r, '('));
    if (accept(r, '(')) { /* ('title', 'name') */
        TRY(read_string(r, &name, &name_len));
        TRY(expect(r, ','));
        TRY(read_string(r, &name, &name_len));
        TRY(expect(r, ')'));
    } else {
        TRY(read_string(r, &name, &name_len));
    }
    TRY(expect(r, ','));
    if (peek(r, '[')) return unsupported(r, "nested records");
    TRY(read_string(r, &dtype, &dtype_len));
    if (accept(r, ',') && !peek(r, ')')) return unsupported(r, "fields that are arrays");
    TRY(expect(r, ')'));
    struct npy_field *field = &f->fields[f->n_fields];
    *field = (struct npy_field){.name = source_fold_name(r->c, name, name_len),
                                .offset = (int32_t)f->record_bytes};
    TRY(read_dtype(r, dtype, field));
    f->record_bytes += field->bytes;
    if (f->record_bytes > 1 << 28) return malformed(r, "records are too large");
    if (field->type == T_NONE) return name_len == 0 ? OK : unsupported(r, "raw bytes");
    f->n_fields++;
    return OK;
}

static enum status read_descr(struct reader *r, struct npy_format *f)
{
    const char *dtype;
    size_t len;
    f->n_fields = 0;
    f->record_bytes = 0;
    if (!accept(r, '[')) {
        f->structured = false;
        f->fields = arena_new_of(r->c->arena, struct npy_field);
        f->fields[0].name = "v";
        TRY(read_string(r, &dtype, &len));
        TRY(read_dtype(r, dtype, &f->fields[0]));
        if (f->fields[0].type == T_NONE) return unsupported(r, "raw bytes");
        f->n_fields = 1;
        f->record_bytes = f->fields[0].bytes;
        return OK;
    }
    f->structured = true;
    int64_t room = 0;
    for (const char *p = r->s; p < r->end; p++)
        room += *p == '(';
    if (room > 2 * MAX_ATTRS) return malformed(r, "too many fields");
    f->fields = arena_array(r->c->arena, struct npy_field, room + 1);
    while (!accept(r, ']')) {
        TRY(read_field(r, f));
        if (!accept(r, ',') && !peek(r, ']')) return malformed(r, "',' or ']' expected");
    }
    if (f->n_fields == 0) return malformed(r, "no fields");
    return OK;
}

static enum status read_dictionary(struct reader *r, struct npy_format *f)
{
    bool have_descr = false, have_order = false, have_shape = false;
    TRY(expect(r, '{'));
    while (!accept(r, '}')) {
        const char *key;
        size_t len;
        TRY(read_string(r, &key, &len));
        TRY(expect(r, ':'));
        if (strcmp(key, "descr") == 0) {
            have_descr = true;
            TRY(read_descr(r, f));
        } else if (strcmp(key, "fortran_order") == 0) {
            have_order = true;
            skip_space(r);
            f->fortran = r->end - r->s >= 4 && memcmp(r->s, "True", 4) == 0;
            if (!f->fortran && (r->end - r->s < 5 || memcmp(r->s, "False", 5) != 0))
                return malformed(r, "True or False expected");
            r->s += f->fortran ? 4 : 5;
        } else if (strcmp(key, "shape") == 0) {
            have_shape = true;
            TRY(read_shape(r, f));
        } else {
            return malformed(r, "an unknown key");
        }
        if (!accept(r, ',') && !peek(r, '}')) return malformed(r, "',' or '}' expected");
    }
    return have_descr && have_order && have_shape ? OK : malformed(r, "a key is missing");
}

static enum status check_size(struct reader *r, const struct npy_format *f, int64_t file_bytes)
{
    int64_t records = 1, bytes;
    for (int d = 0; d < f->n_dims; d++) {
        if (__builtin_mul_overflow(records, f->shape[d], &records))
            return malformed(r, "the shape is too large");
    }
    if (__builtin_mul_overflow(records, f->record_bytes, &bytes))
        return malformed(r, "the shape is too large");
    if (file_bytes - f->data_offset < bytes)
        return fail(
            r->c, ERR_BAD_COPY_FORMAT,
            "file \"%s\" is truncated: it holds %lld bytes of the %lld that its shape needs",
            r->path, (long long)(file_bytes - f->data_offset), (long long)bytes);
    return OK;
}

enum status npy_format_read(struct ctx *c, const struct record_file *file, int64_t file_bytes,
                            struct npy_format *out)
{
    const char *path = file->path;
    unsigned char head[12] = {0};
    struct reader r = {.c = c, .path = path, .what = "npy header"};
    struct npy_format f = {0};
    if (file_bytes < 10) return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" is not an npy file", path);
    TRY(record_file_read(c, file, head, file_bytes < 12 ? 10 : 12, 0));
    if (memcmp(head, "\x93NUMPY", 6) != 0)
        return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" is not an npy file", path);
    if (head[6] < 1 || head[6] > 3)
        return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" has npy version %d.%d, which is not known",
                    path, head[6], head[7]);
    int64_t start = head[6] == 1 ? 10 : 12, len = head[8] | head[9] << 8;
    if (head[6] > 1) len |= (int64_t)head[10] << 16 | (int64_t)head[11] << 24;
    if (len > MAX_HEADER_BYTES) return malformed(&r, "it is too long");
    char *text = arena_alloc(c->arena, (size_t)len + 1);
    if (start + len > file_bytes)
        return fail(c, ERR_BAD_COPY_FORMAT, "file \"%s\" is truncated inside its header", path);
    TRY(record_file_read(c, file, text, (size_t)len, start));
    r.s = text;
    r.end = text + len;
    TRY(read_dictionary(&r, &f));
    f.data_offset = start + len;
    TRY(check_size(&r, &f, file_bytes));
    if (f.n_dims == 0) { /* a single value */
        f.n_dims = 1;
        f.shape[0] = 1;
    }
    *out = f;
    return OK;
}

/* ---- writing ---- */

static void put_dtype(struct strbuf *out, enum type t, int64_t text_bytes)
{
    strbuf_addc(out, '\'');
    strbuf_adds(out, type_numpy(t));
    if (t == T_TEXT) strbuf_addf(out, "%lld", (long long)(text_bytes / 4));
    strbuf_addc(out, '\'');
}

static void put_name(struct strbuf *out, const char *name)
{
    strbuf_addc(out, '\'');
    for (; *name; name++) {
        if (*name == '\'' || *name == '\\') strbuf_addc(out, '\\');
        strbuf_addc(out, *name);
    }
    strbuf_addc(out, '\'');
}

void npy_header(struct strbuf *out, const enum type *types, const char *const *names, int n_fields,
                const int64_t *shape, int n_dims, int64_t text_bytes)
{
    struct strbuf dict = STRBUF_INIT;
    strbuf_adds(&dict, "{'descr': ");
    if (names) {
        strbuf_addc(&dict, '[');
        for (int i = 0; i < n_fields; i++) {
            strbuf_adds(&dict, i ? ", (" : "(");
            put_name(&dict, names[i]);
            strbuf_adds(&dict, ", ");
            put_dtype(&dict, types[i], text_bytes);
            strbuf_addc(&dict, ')');
        }
        strbuf_addc(&dict, ']');
    } else {
        put_dtype(&dict, types[0], text_bytes);
    }
    strbuf_adds(&dict, ", 'fortran_order': False, 'shape': (");
    for (int d = 0; d < n_dims; d++)
        strbuf_addf(&dict, d ? " %lld," : "%lld,", (long long)shape[d]);
    if (n_dims > 1) dict.len--; /* (2, 3), but (2,) */
    strbuf_adds(&dict, "), }");
    int version = dict.len + 1 + 10 + 63 > UINT16_MAX ? 2 : 1;
    size_t start = version == 1 ? 10 : 12, len = dict.len + 1;
    len = (start + len + 63) / 64 * 64 - start;
    strbuf_add(out, "\x93NUMPY", 6);
    strbuf_addc(out, (char)version);
    strbuf_addc(out, 0);
    for (size_t i = 0; i < start - 8; i++)
        strbuf_addc(out, (char)(len >> 8 * i & 0xff));
    strbuf_add(out, dict.s, dict.len);
    for (size_t i = dict.len + 1; i < len; i++)
        strbuf_addc(out, ' ');
    strbuf_addc(out, '\n');
    strbuf_release(&dict);
}
