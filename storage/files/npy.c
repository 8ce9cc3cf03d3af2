/* Which values has a box of an .npy file?
 *
 * A file is looked at as records in the order in which they lie: for Fortran order that is C order
 * of the reversed dimensions. A box of records is read, converted column by column, and transposed
 * when the file is in Fortran order. */
#include "storage/files/npy_format.h"
#include "storage/files/source_parts.h"
#include "storage/files/zip.h"
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES (4 << 20)  /* of one read */
#define LONG_BYTES (32 << 10) /* read by itself, whatever lies between it and the next */
#define GRID_CELLS (128 * 1024)
#define LOAD_CELLS (512 * 1024) /* tiles of what is loaded into, side by side: longer reads */

struct npy_file {
    struct record_file base;
    int64_t start; /* position of its first cell along d0 */
    int64_t length;
};

struct npy_source {
    struct source base;
    struct npy_format format; /* the shape is the whole source's */
    int n_files;
    struct npy_file *files;
};

/* ---- records ---- */

enum status record_file_read(struct ctx *c, const struct record_file *f, void *buf, size_t n,
                             int64_t offset)
{
    return f->member ? zip_member_read(c, f->member, buf, n, offset)
                     : file_read_at(c, f->fd, f->path, buf, n, offset);
}

enum status npy_read_records(struct ctx *c, const struct record_file *f, int64_t record_bytes,
                             const struct box *all, const struct box *want, char *out)
{
    int n = all->n_dims, j = n - 1;
    int64_t row_cells = 1, strides[MAX_DIMS];
    box_strides(all, strides);
    /* Rows of dimension j are read whole: the outermost one whose rows are used, or to an eighth
     * when what lies together is short. */
    double used = 1;
    for (int d = n - 1; d > 0; d--) {
        used *= (double)box_extent(want, d) / (double)box_extent(all, d);
        bool is_long = box_extent(want, d) * strides[d] * record_bytes >= LONG_BYTES;
        if (used < 1.0 / 8 || (used < 1 && is_long)) break;
        j = d - 1;
    }
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
        TRY(record_file_read(c, f, to, (size_t)n_bytes, offset));
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
        TRY(npy_read_records(c, &f->base, format->record_bytes, &all, &part, cols[0].values));
    } else if (n > 0) {
        void *records;
        TRY(scratch_alloc(c, (size_t)(cells * format->record_bytes), &records));
        TRY(npy_read_records(c, &f->base, format->record_bytes, &all, &part, records));
        for (int i = 0; i < n; i++)
            TRY(npy_convert(c, f->base.path, &format->fields[attrs[i]], records,
                            format->record_bytes, cells, &cols[i]));
    }
    for (int i = 0; i < n && fortran; i++)
        TRY(npy_to_c_order(c, want, &cols[i]));
    return OK;
}

static struct source_span npy_span(const struct source *base, int file)
{
    const struct npy_file *f = &((const struct npy_source *)base)->files[file];
    return (struct source_span){f->start, f->length, f->base.path};
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
    for (int i = 0; i < s->n_files; i++) {
        if (s->files[i].base.fd >= 0) close(s->files[i].base.fd);
        zip_member_close(s->files[i].base.member);
    }
    free(s->files);
    free(s);
}

static const struct source_class npy_class = {npy_read, npy_close, NULL, npy_span};

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
                    s->files[0].base.path, path);
    for (int d = 1; d < f->n_dims; d++) {
        if (f->shape[d] != first->shape[d])
            return fail(c, ERR_AXIS_MISMATCH,
                        "\"%s\" and \"%s\" differ in dimension d%d: length %lld against %lld",
                        s->files[0].base.path, path, d, (long long)first->shape[d],
                        (long long)f->shape[d]);
    }
    return OK;
}

/* A file, or a member of an archive. */
static enum status open_records(struct ctx *c, struct npy_source *s, const char *path,
                                const struct npy_options *o, int64_t *bytes)
{
    struct npy_file *f = &s->files[s->n_files];
    *f = (struct npy_file){.base = {.fd = -1, .path = path}};
    if (o->member)
        TRY(zip_member_open(c, path, o->member, o->tmp_dir, &f->base.member, bytes));
    else
        TRY(file_open_read(c, path, &f->base.fd, bytes));
    s->n_files++; /* npy_close closes it from here on */
    return OK;
}

/* What a file without a header is: so many whole rows along the first dimension. */
static enum status headless(struct ctx *c, const struct npy_file *f, const struct npy_format *all,
                            int64_t bytes, struct npy_format *out)
{
    int64_t row = all->record_bytes;
    *out = *all;
    for (int d = 1; d < all->n_dims; d++)
        if (__builtin_mul_overflow(row, all->shape[d], &row))
            return fail(c, ERR_LIMIT_EXCEEDED, "the shape of \"%s\" is too large", f->base.path);
    if (row == 0 ? bytes != 0 : bytes % row != 0)
        return fail(c, ERR_BAD_COPY_FORMAT,
                    "file \"%s\" has %lld bytes, which are not whole rows of %lld bytes",
                    f->base.path, (long long)bytes, (long long)row);
    out->shape[0] = row ? bytes / row : all->shape[0];
    return OK;
}

static enum status open_one(struct ctx *c, struct npy_source *s, const char *path,
                            const struct npy_options *o)
{
    struct npy_format format;
    struct npy_file *f = &s->files[s->n_files];
    int64_t bytes;
    TRY(open_records(c, s, path, o, &bytes));
    if (o->format)
        TRY(headless(c, f, o->format, bytes, &format));
    else
        TRY(npy_format_read(c, &f->base, bytes, &format));
    if (s->n_files == 1)
        s->format = format;
    else
        TRY(check_same(c, s, path, &format));
    f->start = s->n_files == 1 ? o->start : f[-1].start + f[-1].length;
    f->length = format.shape[0];
    f->base.data_offset = format.data_offset;
    s->format.shape[0] = f->start + f->length - o->start;
    return OK;
}

/* The axes that are given; the first one may be open-ended, and has what the files have. */
static enum status name_dims(struct ctx *c, struct npy_source *s, const struct dim *dims,
                             struct schema *schema)
{
    for (int d = 0; d < s->format.n_dims; d++) {
        schema->dims[d] = dims[d];
        struct axis *a = &schema->dims[d].axis;
        int64_t n = s->format.shape[d];
        if (d == 0 && a->grows && a->kind == AXIS_REGULAR) a->hi = a->lo + n;
        if (axis_len(a) != n)
            return fail(c, ERR_BAD_COPY_FORMAT,
                        "\"%s\" has %lld positions along dimension \"%s\", which has %lld",
                        s->files[0].base.path, (long long)n, dims[d].name, (long long)axis_len(a));
    }
    return OK;
}

static enum status make_schema(struct ctx *c, struct npy_source *s, const struct npy_options *o)
{
    const struct schema *target = o->target;
    const struct npy_format *f = &s->format;
    struct schema *schema;
    TRY(source_schema_new(c, s->files[0].base.path, f->n_dims, f->n_fields, &schema));
    for (int d = 0; d < f->n_dims; d++)
        schema->dims[d] =
            (struct dim){.name = arena_printf(c->arena, "d%d", d), .axis = axis_count(f->shape[d])};
    if (o->dims) TRY(name_dims(c, s, o->dims, schema));
    for (int i = 0; i < f->n_fields; i++)
        schema->attrs[i] = (struct attr){
            .name = f->fields[i].name, .type = f->fields[i].type, .id = (uint16_t)(i + 1)};
    source_unique_names(c, schema);
    s->base.schema = schema;
    source_set_grid(&s->base, GRID_CELLS, f->fortran);
    if (target && !target->is_table) source_align_grid(&s->base, target, LOAD_CELLS, f->fortran);
    return OK;
}

enum status npy_open_as(struct ctx *c, const struct paths *paths, const struct npy_options *o,
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
        st = open_one(c, s, paths->v[i], o);
    if (st == OK) st = make_schema(c, s, o);
    if (st == OK)
        *out = &s->base;
    else
        npy_close(&s->base);
    return st;
}

enum status npy_open(struct ctx *c, const struct paths *paths, const struct schema *target,
                     struct source **out)
{
    struct npy_options o = {.target = target};
    return npy_open_as(c, paths, &o, out);
}
