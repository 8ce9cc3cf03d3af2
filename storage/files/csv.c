/* Which columns has a CSV file, and which values a range of its rows?
 *
 * A file is scanned once for where its rows start; then any range of rows is read and parsed by
 * itself, so that many workers parse one file. */
#include "storage/base/pool.h"
#include "storage/files/csv_index.h"
#include "storage/files/csv_infer.h"
#include "storage/files/source_parts.h"
#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#define BLOCK_BYTES (4 << 20)
#define LEAST_BLOCK_BYTES (128 << 10)
#define GOOD_BLOCKS 16 /* so many at least, for the workers */
#define SAMPLE_BYTES (1 << 20)
#define SAMPLE_ROWS 1000

struct csv_file {
    const char *path;
    struct csv_index *index;
    int64_t start, length; /* rows of the source; the header is none */
};

struct csv_source {
    struct source base;
    struct csv_dialect dialect;
    bool header;
    int n_cols;
    const char **names;
    enum type *types;
    int n_files, n_indexed; /* opened so far; all */
    struct csv_file *files;
};

/* ---- reading ---- */

/* Tells where in the file an error is. */
static enum status place(struct ctx *c, const struct csv_source *s, const struct csv_file *f,
                         int64_t offset, int col)
{
    int64_t line = csv_index_line(c, f->index, offset);
    if (col >= 0)
        return detail(c, "%s, line %lld, column \"%s\"", f->path, (long long)line, s->names[col]);
    return detail(c, "%s, line %lld", f->path, (long long)line);
}

/* The text of rows [lo, hi) of a file, with *at where the first one starts. Rows count from 0 and
 * include the header. */
static enum status load_rows(struct ctx *c, const struct csv_source *s, const struct csv_file *f,
                             int64_t lo, int64_t hi, char **text, int64_t *offset, size_t *n_bytes,
                             size_t *at)
{
    int64_t first, start = csv_index_start(f->index, lo, &first);
    int64_t end = csv_index_end(f->index, hi);
    void *room;
    if (end - start > UINT32_MAX)
        return fail(c, ERR_LIMIT_EXCEEDED, "%lld rows of \"%s\" are more than 4 GB of text",
                    (long long)(hi - lo), f->path);
    TRY(scratch_alloc(c, (size_t)(end - start) + 1, &room));
    TRY(csv_text_read(c, f->index->text, start, (size_t)(end - start), room));
    struct csv_scan scan;
    csv_scan_init(&scan, &s->dialect);
    *at = csv_scan_rows(&scan, room, (size_t)(end - start), lo - first);
    if (lo == 0 && end - start >= 3 && memcmp(room, "\xef\xbb\xbf", 3) == 0) *at = 3;
    *text = room;
    *offset = start;
    *n_bytes = (size_t)(end - start);
    return OK;
}

/* Rows [lo, hi) of the source, all of one file. */
static enum status read_file(struct ctx *c, const struct csv_source *s, const struct csv_file *f,
                             int64_t lo, int64_t hi, const int *wanted, struct column *cols)
{
    char *text;
    int64_t offset;
    size_t n_bytes, at, bad;
    int bad_col;
    TRY(load_rows(c, s, f, lo - f->start + s->header, hi - f->start + s->header, &text, &offset,
                  &n_bytes, &at));
    struct csv_block block = {.dialect = &s->dialect,
                              .text = text,
                              .n_bytes = n_bytes,
                              .n_cols = s->n_cols,
                              .names = s->names,
                              .types = s->types,
                              .wanted = wanted};
    enum status st = csv_parse(c, &block, at, hi - lo, cols, &bad, &bad_col);
    if (st < 0 && st != ERR_MEMORY && st != ERR_CANCELLED)
        place(c, s, f, offset + (int64_t)bad, bad_col);
    return st;
}

static enum status append_rows(struct ctx *c, struct column *to, int64_t at, int64_t n_all,
                               const struct column *from, int64_t n)
{
    size_t bytes = type_bytes(from->type);
    memcpy((char *)to->values + (size_t)at * bytes, from->values, (size_t)n * bytes);
    if (!from->valid) return OK;
    TRY(column_need_valid(c, to, n_all));
    bits_copy(to->valid, at, from->valid, 0, n);
    return OK;
}

/* A column that is asked for twice is parsed once. */
static void share_columns(const int *attrs, const int *wanted, int n, struct column *cols)
{
    for (int i = 0; i < n; i++)
        cols[i] = cols[wanted[attrs[i]]];
}

static enum status csv_read(struct ctx *c, struct source *base, const struct box *want,
                            const int *attrs, int n, struct column *cols)
{
    const struct csv_source *s = (const struct csv_source *)base;
    int64_t n_rows = want->hi[0] - want->lo[0];
    void *map, *parts;
    if (n == 0) return OK;
    TRY(scratch_alloc(c, sizeof(int) * (size_t)s->n_cols, &map));
    int *wanted = map;
    for (int i = 0; i < s->n_cols; i++)
        wanted[i] = -1;
    for (int i = 0; i < n; i++)
        wanted[attrs[i]] = i;
    for (int i = 0; i < s->n_files; i++) {
        const struct csv_file *f = &s->files[i];
        if (want->lo[0] < f->start || want->hi[0] > f->start + f->length) continue;
        TRY(read_file(c, s, f, want->lo[0], want->hi[0], wanted, cols));
        share_columns(attrs, wanted, n, cols);
        return OK;
    }
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)n, &parts));
    for (int i = 0; i < n; i++)
        TRY(column_alloc(c, s->types[attrs[i]], n_rows, &cols[i]));
    for (int i = 0; i < s->n_files; i++) {
        const struct csv_file *f = &s->files[i];
        int64_t lo = want->lo[0] > f->start ? want->lo[0] : f->start;
        int64_t hi = want->hi[0] < f->start + f->length ? want->hi[0] : f->start + f->length;
        if (lo >= hi) continue;
        TRY(read_file(c, s, f, lo, hi, wanted, parts));
        share_columns(attrs, wanted, n, parts);
        for (int k = 0; k < n; k++)
            TRY(append_rows(c, &cols[k], lo - want->lo[0], n_rows, (struct column *)parts + k,
                            hi - lo));
    }
    return OK;
}

static struct source_span csv_span(const struct source *base, int file)
{
    const struct csv_file *f = &((const struct csv_source *)base)->files[file];
    return (struct source_span){f->start, f->length, f->path};
}

static void csv_close(struct source *base)
{
    struct csv_source *s = (struct csv_source *)base;
    for (int i = 0; i < s->n_indexed; i++)
        csv_index_release(s->files[i].index);
    free(s->files);
    free(s);
}

static const struct source_class csv_class = {csv_read, csv_close, NULL, csv_span};

/* ---- columns ---- */

/* The fields of a file's first record, by copies in the arena. */
static enum status first_record(struct ctx *c, const struct csv_source *s, const struct csv_file *f,
                                const char ***names, int *n)
{
    char *text;
    int64_t offset;
    size_t n_bytes, at;
    *n = 0;
    if (f->index->n_rows == 0) return OK;
    TRY(load_rows(c, s, f, 0, 1, &text, &offset, &n_bytes, &at));
    struct csv_field *fields = malloc(sizeof *fields * MAX_ATTRS);
    char *room = malloc(n_bytes + 1);
    enum status st = fields && room ? OK : fail(c, ERR_MEMORY, "out of memory");
    if (st == OK) {
        csv_split(&s->dialect, text, n_bytes, &at, fields, MAX_ATTRS, n);
        if (*n > MAX_ATTRS)
            st = fail(c, ERR_TOO_MANY_COLUMNS, "\"%s\" has more than %d columns", f->path,
                      MAX_ATTRS);
    }
    if (st == OK) *names = arena_array(c->arena, const char *, *n);
    for (int i = 0; st == OK && i < *n; i++) {
        struct text v = csv_value(&s->dialect, text, &fields[i], room);
        (*names)[i] = arena_strndup(c->arena, v.s, (size_t)v.len);
    }
    free(fields);
    free(room);
    return st;
}

static enum status check_width(struct ctx *c, const struct csv_source *s, const struct csv_file *f,
                               const char **names, int n)
{
    if (f->index->n_rows == 0 || s->n_files == 1) return OK;
    if (n != s->n_cols)
        return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" has %d columns, \"%s\" has %d", f->path, n,
                    s->files[0].path, s->n_cols);
    for (int i = 0; s->header && i < n; i++) {
        const char *folded = source_fold_name(c, names[i], strlen(names[i]));
        if (strcmp(folded, s->names[i]) != 0 && strcmp(names[i], s->names[i]) != 0)
            return fail(c, ERR_BAD_COPY_FORMAT,
                        "column %d is \"%s\" in \"%s\" and \"%s\" in \"%s\"", i + 1, folded,
                        f->path, s->names[i], s->files[0].path);
    }
    return OK;
}

/* The target's type for a column of this name, T_NONE when it has none. */
static enum type target_type(const struct schema *target, const char *name)
{
    if (!target) return T_NONE;
    int d = target->is_table ? -1 : schema_dim(target, name), a = schema_attr(target, name);
    if (d >= 0) return target->dims[d].axis.type;
    return a >= 0 ? target->attrs[a].type : T_NONE;
}

/* Names: those given, else the header's, else column1, column2 … */
static enum status name_columns(struct ctx *c, struct csv_source *s, const struct source_options *o,
                                const char **first, int n)
{
    s->n_cols = o->n_columns > 0 ? o->n_columns : n;
    if (s->n_cols == 0)
        return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" is empty: it has no columns", s->files[0].path);
    s->names = arena_array(c->arena, const char *, s->n_cols);
    s->types = arena_array(c->arena, enum type, s->n_cols);
    for (int i = 0; i < s->n_cols; i++) {
        if (o->n_columns > 0)
            s->names[i] = o->columns[i];
        else if (!s->header || !first[i][0])
            s->names[i] = arena_printf(c->arena, "column%d", i + 1);
        else if (target_type(o->target, first[i]) != T_NONE)
            s->names[i] = first[i];
        else
            s->names[i] = source_fold_name(c, first[i], strlen(first[i]));
        s->types[i] = target_type(o->target, s->names[i]);
    }
    return OK;
}

/* Types that the target does not give, from the first rows of every file. */
static enum status infer_types(struct ctx *c, struct csv_source *s)
{
    int n_open = 0, *wanted = arena_array(c->arena, int, s->n_cols);
    enum type *as_text = arena_array(c->arena, enum type, s->n_cols);
    struct csv_guess *guesses = arena_array(c->arena, struct csv_guess, s->n_cols);
    struct column *cols = arena_array(c->arena, struct column, s->n_cols);
    for (int i = 0; i < s->n_cols; i++) {
        as_text[i] = T_TEXT;
        wanted[i] = s->types[i] == T_NONE ? n_open++ : -1;
    }
    for (int i = 0; i < s->n_files && n_open > 0; i++) {
        const struct csv_file *f = &s->files[i];
        int64_t n = f->length < SAMPLE_ROWS ? f->length : SAMPLE_ROWS;
        int64_t average = f->index->n_bytes / (f->index->n_rows + 1) + 1;
        if (n * average > SAMPLE_BYTES) n = SAMPLE_BYTES / average + 1;
        if (n > f->length) n = f->length;
        if (n == 0) continue;
        struct csv_source sampled = *s;
        sampled.types = as_text;
        TRY(read_file(c, &sampled, f, f->start, f->start + n, wanted, cols));
        for (int k = 0; k < s->n_cols; k++) {
            if (wanted[k] >= 0) csv_guess_add(&guesses[k], &cols[wanted[k]], n);
        }
    }
    for (int k = 0; k < s->n_cols; k++) {
        if (wanted[k] >= 0) s->types[k] = csv_guess_type(&guesses[k]);
    }
    return OK;
}

/* ---- opening ---- */

static enum status make_schema(struct ctx *c, struct csv_source *s)
{
    struct schema *schema;
    int64_t n_rows = 0, n_bytes = 0;
    for (int i = 0; i < s->n_files; i++) {
        n_rows += s->files[i].length;
        n_bytes += s->files[i].index->n_bytes;
    }
    TRY(source_schema_new(c, s->files[0].path, 1, s->n_cols, &schema));
    schema->dims[0] = (struct dim){.name = "row", .axis = axis_count(n_rows)};
    for (int i = 0; i < s->n_cols; i++) {
        if (strcmp(s->names[i], "row") == 0) schema->dims[0].name = "row_2";
        schema->attrs[i] =
            (struct attr){.name = s->names[i], .type = s->types[i], .id = (uint16_t)(i + 1)};
    }
    source_unique_names(c, schema);
    for (int i = 0; i < s->n_cols; i++)
        s->names[i] = schema->attrs[i].name;
    s->base.schema = schema;
    int64_t block_bytes = n_bytes / GOOD_BLOCKS;
    if (block_bytes < LEAST_BLOCK_BYTES) block_bytes = LEAST_BLOCK_BYTES;
    if (block_bytes > BLOCK_BYTES) block_bytes = BLOCK_BYTES;
    int64_t block_rows = block_bytes / (n_bytes / (n_rows + 1) + 1);
    source_set_grid(&s->base, block_rows > 0 ? block_rows : 1, false);
    return OK;
}

/* Where the rows of one file start: files are gone through side by side. */
static enum status index_one(struct ctx *c, void *self, int worker, int64_t i)
{
    struct csv_source *s = self;
    struct csv_file *f = &s->files[i];
    (void)worker;
    enum status st = csv_index_get(c, f->path, &s->dialect, &f->index);
    return st == ERR_BAD_COPY_FORMAT && !c->err.detail[0] ? detail(c, "%s", f->path) : st;
}

static enum status open_one(struct ctx *c, struct csv_source *s, const struct source_options *o)
{
    struct csv_file *f = &s->files[s->n_files];
    const char **first = NULL;
    int n;
    s->n_files++;
    f->start = s->n_files == 1 ? 0 : f[-1].start + f[-1].length;
    f->length = f->index->n_rows - s->header;
    if (f->length < 0) f->length = 0;
    TRY(first_record(c, s, f, &first, &n));
    if (s->n_files == 1) TRY(name_columns(c, s, o, first, n));
    return check_width(c, s, f, first, n);
}

enum status csv_open(struct ctx *c, const struct paths *paths, const struct source_options *o,
                     struct source **out)
{
    struct csv_source *s = calloc(1, sizeof *s);
    struct csv_file *files = calloc((size_t)paths->n, sizeof *files);
    enum status st = s && files ? OK : fail(c, ERR_MEMORY, "out of memory");
    if (st < 0) {
        free(s);
        free(files);
        return st;
    }
    struct scratch_mark mark = scratch_mark(c->scratch);
    s->base.cls = &csv_class;
    s->files = files;
    s->header = o->header_given ? o->header : true;
    csv_dialect_init(&s->dialect, o);
    s->dialect.null_text = arena_strdup(c->arena, s->dialect.null_text);
    s->n_indexed = paths->n;
    for (int i = 0; i < paths->n; i++)
        files[i].path = paths->v[i];
    st = pool_run(c, paths->n, pool_width(c), index_one, s);
    for (int i = 0; i < paths->n && st == OK; i++)
        st = open_one(c, s, o);
    if (st == OK) st = infer_types(c, s);
    if (st == OK) st = make_schema(c, s);
    scratch_release(c->scratch, mark);
    if (st == OK)
        *out = &s->base;
    else
        csv_close(&s->base);
    return st;
}
