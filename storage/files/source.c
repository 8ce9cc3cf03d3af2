/* Which files does a pattern name, which format do they have, and which part of a box do they
 * cover? */
#include "storage/files/source.h"
#include "storage/files/dataset.h"
#include "storage/files/source_parts.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ---- */

enum status file_cannot_open(struct ctx *c, const char *path, int error)
{
    enum status code = error == ENOENT || error == ENOTDIR ? ERR_FILE_MISSING
                       : error == EACCES || error == EPERM ? ERR_PRIVILEGE
                                                           : ERR_IO;
    return fail(c, code, "could not open file \"%s\": %s", path, strerror(error));
}

enum status file_open_read(struct ctx *c, const char *path, int *fd, int64_t *bytes)
{
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    struct stat st;
    if (f < 0) return file_cannot_open(c, path, errno);
    if (fstat(f, &st) < 0) {
        int error = errno;
        close(f);
        return file_cannot_open(c, path, error);
    }
    if (!S_ISREG(st.st_mode)) {
        close(f);
        return fail(c, ERR_WRONG_OBJECT, "\"%s\" is not a file", path);
    }
    *fd = f;
    *bytes = st.st_size;
    return OK;
}

enum status file_read_at(struct ctx *c, int fd, const char *path, void *buf, size_t n,
                         int64_t offset)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)buf + done, n - done, (off_t)(offset + (int64_t)done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return fail(c, ERR_IO, "could not read file \"%s\": %s", path, strerror(errno));
        if (got == 0)
            return fail(c, ERR_BAD_COPY_FORMAT, "file \"%s\" ended unexpectedly at byte %lld", path,
                        (long long)(offset + (int64_t)done));
        done += (size_t)got;
    }
    return OK;
}

const char *source_full_pattern(struct ctx *c, const char *pattern, const char *root)
{
    if (pattern[0] == '/' || !root || !root[0]) return pattern;
    return arena_printf(c->arena, "%s/%s", root, pattern);
}

static enum status find_paths(struct ctx *c, const char *pattern, struct paths *out)
{
    if (!strpbrk(pattern, "*?[")) {
        out->n = 1;
        out->v = arena_dup(c->arena, &pattern, sizeof pattern);
        return OK;
    }
    glob_t found;
    int r = glob(pattern, 0, NULL, &found);
    if (r == GLOB_NOMATCH)
        return fail(c, ERR_FILE_MISSING, "no file matches the pattern \"%s\"", pattern);
    if (r != 0) return fail(c, ERR_IO, "could not look up the pattern \"%s\"", pattern);
    out->n = (int)found.gl_pathc;
    const char **list = arena_array(c->arena, const char *, out->n);
    for (int i = 0; i < out->n; i++)
        list[i] = arena_strdup(c->arena, found.gl_pathv[i]);
    out->v = list;
    globfree(&found);
    return OK;
}

enum status source_paths(struct ctx *c, const char *pattern, const char *root, struct paths *out)
{
    return find_paths(c, source_full_pattern(c, pattern, root), out);
}

/* ---- formats ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcasecmp(s + n - m, end) == 0;
}

const char *source_format_of_name(const char *path)
{
    static const struct {
        const char *end, *format;
    } ends[] = {{".nc", "netcdf"},   {".cdf", "netcdf"}, {".nc4", "netcdf"}, {".h5", "netcdf"},
                {".hdf5", "netcdf"}, {".zarr", "zarr"},  {".zarr/", "zarr"}, {".npy", "npy"},
                {".npz", "npz"},     {".raw", "raw"},    {".tile", "tile"},  {".csv", "csv"},
                {".tsv", "csv"},     {".txt", "csv"},    {".csv.gz", "csv"}, {".tsv.gz", "csv"},
                {".txt.gz", "csv"}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (ends_with(path, ends[i].end)) return ends[i].format;
    }
    return NULL;
}

static enum status format_by_content(struct ctx *c, const char *path, const char **out)
{
    int fd;
    int64_t bytes;
    char head[8] = {0};
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        *out = "zarr";
        return OK;
    }
    TRY(file_open_read(c, path, &fd, &bytes));
    ssize_t n = pread(fd, head, sizeof head, 0);
    close(fd);
    if (n >= 4 && (memcmp(head, "CDF", 3) == 0 || memcmp(head, "\x89HDF", 4) == 0))
        *out = "netcdf";
    else if (n >= 6 && memcmp(head, "\x93NUMPY", 6) == 0)
        *out = "npy";
    else if (n >= 4 && memcmp(head, "PK\3\4", 4) == 0)
        *out = "npz";
    else if (n >= 7 && memcmp(head, "TSTREAM", 7) == 0)
        *out = "tile";
    else {
        fail(c, ERR_INVALID_PARAMETER, "cannot tell the format of \"%s\" from its name", path);
        return hint(c, "Say which one it is: netcdf, zarr, npy, npz, raw, tile or csv.");
    }
    return OK;
}

enum status source_open(struct ctx *c, const char *pattern, const struct source_options *o,
                        struct source **out)
{
    struct paths paths;
    struct source_options options = *o;
    const char *format = o->format;
    if (o->n_files == 0)
        TRY(source_paths(c, pattern, o->root, &paths));
    else
        paths = (struct paths){o->n_files, o->files};
    if (!format) format = source_format_of_name(paths.v[0]);
    if (!format) TRY(format_by_content(c, paths.v[0], &format));
    if (strcmp(format, "npy") == 0) return npy_open(c, &paths, o->target, out);
    if (strcmp(format, "netcdf") == 0)
        return dataset_open(c, &netcdf_format, &paths, &options, out);
    if (strcmp(format, "npz") == 0) return npz_open(c, &paths, &options, out);
    if (strcmp(format, "tile") == 0) return tile_stream_open(c, &paths, out);
    if (strcmp(format, "raw") == 0) return raw_open(c, &paths, &options, out);
    if (strcmp(format, "zarr") == 0) return dataset_open(c, &zarr_format, &paths, &options, out);
    if (strcmp(format, "csv") != 0)
        return fail(c, ERR_INVALID_PARAMETER, "file format \"%s\" not recognized", format);
    if (!options.delimiter && (ends_with(paths.v[0], ".tsv") || ends_with(paths.v[0], ".tsv.gz")))
        options.delimiter = '\t';
    return csv_open(c, &paths, &options, out);
}

/* ---- schemas ---- */

const char *source_fold_name(struct ctx *c, const char *s, size_t n)
{
    char name[NAME_BYTES];
    size_t len = 0;
    bool in_multibyte = false;
    for (size_t i = 0; i < n && len < sizeof name - 1; i++) {
        char ch = s[i];
        bool continues = ((unsigned char)ch & 0xc0) == 0x80;
        if (continues && in_multibyte) continue; /* one '_' a character */
        in_multibyte = (unsigned char)ch >= 0x80;
        if (ch >= 'A' && ch <= 'Z') ch = (char)(ch - 'A' + 'a');
        bool fine = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
        if (len == 0 && ch >= '0' && ch <= '9') name[len++] = '_';
        if (len < sizeof name - 1) name[len++] = fine ? ch : '_';
    }
    if (len == 0) name[len++] = '_';
    return arena_strndup(c->arena, name, len);
}

static bool name_taken(const struct schema *s, int n_before, const char *name)
{
    for (int i = 0; i < n_before; i++) {
        const char *other = i < s->n_dims ? s->dims[i].name : s->attrs[i - s->n_dims].name;
        if (strcmp(other, name) == 0) return true;
    }
    return false;
}

void source_unique_names(struct ctx *c, struct schema *s)
{
    for (int i = 0; i < s->n_dims + s->n_attrs; i++) {
        const char **name = i < s->n_dims ? &s->dims[i].name : &s->attrs[i - s->n_dims].name;
        const char *base = *name;
        for (int k = 2; name_taken(s, i, *name); k++)
            *name = arena_printf(c->arena, "%.56s_%d", base, k);
    }
}

enum status source_schema_new(struct ctx *c, const char *path, int64_t n_dims, int64_t n_attrs,
                              struct schema **out)
{
    if (n_dims > MAX_DIMS)
        return fail(c, ERR_TOO_MANY_COLUMNS, "\"%s\" has %lld dimensions; at most %d are supported",
                    path, (long long)n_dims, MAX_DIMS);
    if (n_attrs > MAX_ATTRS)
        return fail(c, ERR_TOO_MANY_COLUMNS, "\"%s\" has %lld columns; at most %d are supported",
                    path, (long long)n_attrs, MAX_ATTRS);
    struct schema *s = arena_new_of(c->arena, struct schema);
    s->name = source_fold_name(c, path, strlen(path));
    s->n_dims = (int)n_dims;
    s->n_attrs = (int)n_attrs;
    s->dims = arena_array(c->arena, struct dim, n_dims);
    s->attrs = arena_array(c->arena, struct attr, n_attrs);
    *out = s;
    return OK;
}

void source_set_grid(struct source *s, int64_t cells, bool first_fastest)
{
    schema_box(s->schema, &s->box);
    int n = s->box.n_dims;
    for (int i = 0; i < n; i++) {
        int d = first_fastest ? i : n - 1 - i;
        int64_t extent = box_extent(&s->box, d);
        if (extent > cells) extent = cells;
        if (extent < 1) extent = 1;
        s->grid[d] = s->schema->dims[d].tile = extent;
        cells /= extent;
        if (cells < 1) cells = 1;
    }
}

void source_align_grid(struct source *s, const struct schema *target, int64_t cells,
                       bool first_fastest)
{
    int n = s->box.n_dims;
    int64_t n_cells = 1;
    if (target->n_dims != n) return;
    schema_tile_extents(target, s->grid);
    for (int d = 0; d < n; d++)
        n_cells *= s->grid[d];
    for (int i = 0; i < n; i++) {
        int d = first_fastest ? i : n - 1 - i;
        for (; s->grid[d] < box_extent(&s->box, d) && n_cells <= cells / 2; n_cells *= 2)
            s->grid[d] *= 2;
        s->schema->dims[d].tile = s->grid[d];
    }
}

/* ---- reading ---- */

const struct schema *source_schema(const struct source *s)
{
    return s->schema;
}

void source_grid(const struct source *s, int64_t *extents)
{
    memcpy(extents, s->grid, sizeof(int64_t) * (size_t)s->box.n_dims);
}

int64_t source_file_cells(const struct source *s, int n, const char *path)
{
    for (int i = 0; i < n && s->cls->span; i++) {
        struct source_span f = s->cls->span(s, i);
        if (strcmp(f.path, path) != 0) continue;
        for (int d = 1; d < s->box.n_dims; d++)
            f.length *= box_extent(&s->box, d);
        return f.length;
    }
    return -1;
}

void source_close(struct source *s)
{
    if (s) s->cls->close(s);
}

/* A column of the inner box laid out over the wanted one. */
static enum status spread(struct ctx *c, const struct box *want, const struct box *inner,
                          const struct column *from, struct column *to)
{
    int64_t n = box_cells(want);
    TRY(column_alloc(c, from->type, n, to));
    memset(to->values, 0, (size_t)n * type_bytes(from->type));
    box_copy(to->values, want, from->values, inner, inner, type_bytes(from->type));
    if (!from->valid) return OK;
    TRY(column_need_valid(c, to, n));
    box_copy_bits(to->valid, want, from->valid, inner, inner);
    return OK;
}

static enum status read_partly(struct ctx *c, struct source *s, const struct box *want,
                               const struct box *inner, const int *attrs, int n,
                               struct column *cols, uint64_t **present)
{
    int64_t n_cells = box_cells(want);
    void *bits, *parts;
    TRY(scratch_alloc(c, (size_t)bits_words(n_cells) * 8, &bits));
    memset(bits, 0, (size_t)bits_words(n_cells) * 8);
    box_copy_bits(bits, want, NULL, inner, inner);
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n + 1), &parts));
    TRY(s->cls->read(c, s, inner, attrs, n, parts));
    for (int i = 0; i < n; i++)
        TRY(spread(c, want, inner, (struct column *)parts + i, &cols[i]));
    *present = bits;
    return OK;
}

static enum status find_present(struct ctx *c, struct source *s, const struct box *want,
                                const struct box *inner, uint64_t **present, int64_t *n_present)
{
    void *bits, *inner_bits;
    int64_t n = box_cells(want), n_inner = box_cells(inner);
    TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &bits));
    TRY(scratch_alloc(c, (size_t)bits_words(n_inner) * 8, &inner_bits));
    memset(bits, 0, (size_t)bits_words(n) * 8);
    memset(inner_bits, 0, (size_t)bits_words(n_inner) * 8);
    TRY(s->cls->present(c, s, inner, inner_bits));
    box_copy_bits(bits, want, inner_bits, inner, inner);
    *n_present = bits_count(bits, 0, n);
    *present = *n_present < n ? bits : NULL;
    return OK;
}

enum status source_read(struct ctx *c, struct source *s, const struct box *want, const int *attrs,
                        int n, struct column *cols, uint64_t **present, int64_t *n_present)
{
    struct box inner;
    TRY(check_cancel(c));
    if (!box_intersect(want, &s->box, &inner)) {
        for (int i = 0; i < n; i++) {
            int64_t n_cells = box_cells(want);
            enum type t = s->schema->attrs[attrs[i]].type;
            TRY(column_alloc(c, t, n_cells, &cols[i]));
            memset(cols[i].values, 0, (size_t)n_cells * type_bytes(t));
        }
        void *bits;
        TRY(scratch_alloc(c, (size_t)bits_words(box_cells(want)) * 8, &bits));
        memset(bits, 0, (size_t)bits_words(box_cells(want)) * 8);
        *present = bits;
        *n_present = 0;
        return OK;
    }
    if (box_equal(&inner, want)) {
        TRY(s->cls->read(c, s, want, attrs, n, cols));
        *present = NULL;
    } else {
        TRY(read_partly(c, s, want, &inner, attrs, n, cols, present));
    }
    *n_present = box_cells(&inner);
    return s->cls->present ? find_present(c, s, want, &inner, present, n_present) : OK;
}

enum status source_read_files(struct ctx *c, struct source *s, int n_files, span_fn *span,
                              read_file_fn *read, const struct box *want, const int *attrs, int n,
                              struct column *cols)
{
    int64_t cells = box_cells(want);
    void *parts;
    for (int i = 0; i < n_files; i++) {
        struct source_span f = span(s, i);
        if (want->lo[0] >= f.start && want->hi[0] <= f.start + f.length)
            return read(c, s, i, want, attrs, n, cols);
    }
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(n + 1), &parts));
    for (int i = 0; i < n; i++)
        TRY(column_alloc(c, s->schema->attrs[attrs[i]].type, cells, &cols[i]));
    for (int i = 0; i < n_files; i++) {
        struct source_span f = span(s, i);
        struct box part = *want;
        if (part.lo[0] < f.start) part.lo[0] = f.start;
        if (part.hi[0] > f.start + f.length) part.hi[0] = f.start + f.length;
        if (box_empty(&part)) continue;
        TRY(read(c, s, i, &part, attrs, n, parts));
        for (int k = 0; k < n; k++) {
            const struct column *from = (struct column *)parts + k;
            box_copy(cols[k].values, want, from->values, &part, &part, type_bytes(from->type));
            if (!from->valid) continue;
            TRY(column_need_valid(c, &cols[k], cells));
            box_copy_bits(cols[k].valid, want, from->valid, &part, &part);
        }
    }
    return OK;
}

/* ---- text ---- */

/* Length of the well-formed sequence at s, 0 when there is none: no surrogates, nothing overlong,
 * nothing past U+10FFFF. */
static size_t utf8_sequence(const unsigned char *s, size_t n)
{
    unsigned char b = s[0];
    if (b < 0x80) return 1;
    size_t len = b >= 0xf0 ? 4 : (b >= 0xe0 ? 3 : 2);
    if (b < 0xc2 || b > 0xf4 || len > n) return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
    }
    if ((b == 0xe0 && s[1] < 0xa0) || (b == 0xed && s[1] > 0x9f) || (b == 0xf0 && s[1] < 0x90) ||
        (b == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool utf8_valid(const char *s, size_t n, size_t *bad)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (i + 8 <= n) {
            memcpy(&eight, p + i, 8);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += 8;
                continue;
            }
        }
        size_t len = utf8_sequence(p + i, n - i);
        if (len == 0) {
            *bad = i;
            return false;
        }
        i += len;
    }
    return true;
}
