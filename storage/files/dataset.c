/* Which array is in a dataset (a NetCDF or HDF5 file, a Zarr directory), or in several along their
 * first dimension, and which values has a box of it?
 *
 * Each is read through readers of its format (dataset.h), several for one when several workers
 * read. */
#include "storage/base/names.h"
#include "storage/base/value.h"
#include "storage/files/dataset_parts.h"
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define GRID_CELLS (256 * 1024)
#define MAX_GRID_CELLS (4 << 20)
#define MAX_HELPERS 8 /* of one file */
#define START_AHEAD 4 /* helpers that open files while another is asked */
#define MAX_IDLE 8    /* of all files together, while the source is open */

struct ds_file {
    const char *path;
    const void *shared;
    int64_t start, length; /* positions along the first dimension */
    struct ds_column *columns;
    struct ds_reader *idle[MAX_HELPERS];
    int n_idle, n_busy;
};

struct dataset {
    struct source base;
    const struct ds_format *format;
    int rank; /* of the variables' cells; 0: one cell, though the schema has a dimension */
    int n_columns;
    int n_files;
    struct ds_file *files;
    int n_idle;
    pthread_mutex_t lock;
    pthread_cond_t freed;
};

/* ---- helpers ---- */

static enum status acquire(struct ctx *c, struct dataset *s, struct ds_file *f,
                           struct ds_reader **out)
{
    struct ds_reader *k = NULL;
    pthread_mutex_lock(&s->lock);
    while (f->n_idle == 0 && f->n_busy == MAX_HELPERS)
        pthread_cond_wait(&s->freed, &s->lock);
    f->n_busy++;
    if (f->n_idle > 0) {
        k = f->idle[--f->n_idle];
        s->n_idle--;
    }
    pthread_mutex_unlock(&s->lock);
    if (k) {
        *out = k;
        return OK;
    }
    enum status st = s->format->start(c, f->path, f->shared, out);
    if (st < 0) {
        pthread_mutex_lock(&s->lock);
        f->n_busy--;
        pthread_cond_signal(&s->freed);
        pthread_mutex_unlock(&s->lock);
    }
    return st;
}

static void release(struct dataset *s, struct ds_file *f, struct ds_reader *k)
{
    pthread_mutex_lock(&s->lock);
    f->n_busy--;
    bool keep = !k->format->broken(k) && s->n_idle < MAX_IDLE;
    if (keep) {
        f->idle[f->n_idle++] = k;
        s->n_idle++;
    }
    pthread_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
    if (!keep) k->format->stop(k);
}

static void dataset_close(struct source *base)
{
    struct dataset *s = (struct dataset *)base;
    for (int i = 0; i < s->n_files; i++) {
        for (int k = 0; k < s->files[i].n_idle; k++)
            s->format->stop(s->files[i].idle[k]);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->freed);
    free(s->files);
    free(s);
}

/* ---- reading ---- */

static enum status read_column(struct ctx *c, const struct dataset *s, const struct ds_file *f,
                               struct ds_reader *k, const struct ds_column *col,
                               const struct box *want, struct column *out)
{
    int64_t start[DS_RANK_MAX] = {0}, count[DS_RANK_MAX] = {0}, n = box_cells(want);
    int rank = s->rank;
    void *stored;
    for (int d = 0; d < rank; d++) {
        start[d] = want->lo[d] - (d == 0 ? f->start : 0);
        count[d] = box_extent(want, d);
    }
    if (col->kind == DS_KIND_STRING) {
        TRY(column_alloc(c, T_TEXT, n, out));
        TRY(k->format->strings(c, k, col->var, rank, start, count, n, out->values));
        return ds_column_texts(c, f->path, col, n, out);
    }
    if (col->kind == DS_KIND_CHAR) count[rank++] = col->text_bytes;
    size_t bytes = ds_column_bytes(col, n);
    TRY(scratch_alloc(c, bytes + 1, &stored));
    if (bytes > 0) TRY(k->format->read(c, k, col->var, rank, start, count, stored, bytes));
    return ds_column_convert(c, f->path, col, stored, n, out);
}

static enum status read_file(struct ctx *c, struct dataset *s, struct ds_file *f,
                             const struct box *want, const int *attrs, int n, struct column *cols)
{
    struct ds_reader *k;
    enum status st = OK;
    TRY(acquire(c, s, f, &k));
    for (int i = 0; i < n && st == OK; i++)
        st = read_column(c, s, f, k, &f->columns[attrs[i]], want, &cols[i]);
    release(s, f, k);
    return st;
}

static struct source_span dataset_span(const struct source *base, int file)
{
    const struct ds_file *f = &((const struct dataset *)base)->files[file];
    return (struct source_span){f->start, f->length, f->path};
}

static enum status dataset_read_file(struct ctx *c, struct source *base, int file,
                                     const struct box *want, const int *attrs, int n,
                                     struct column *cols)
{
    struct dataset *s = (struct dataset *)base;
    return read_file(c, s, &s->files[file], want, attrs, n, cols);
}

static enum status dataset_read(struct ctx *c, struct source *base, const struct box *want,
                                const int *attrs, int n, struct column *cols)
{
    int n_files = ((const struct dataset *)base)->n_files;
    if (n == 0) return OK;
    return source_read_files(c, base, n_files, dataset_span, dataset_read_file, want, attrs, n,
                             cols);
}

static const struct source_class dataset_class = {dataset_read, dataset_close, NULL, dataset_span};

/* ---- which variables ---- */

/* Does another variable name this one as its bounds, its coordinates and the like? */
static bool serves_another(const struct ds_description *d, const struct ds_var *v)
{
    static const char *const roles[] = {
        "bounds", "climatology",   "coordinates",        "grid_mapping",
        "edges",  "cell_measures", "ancillary_variables"};
    size_t n = strlen(v->name);
    for (int i = 0; i < d->n_vars; i++) {
        for (size_t r = 0; r < sizeof roles / sizeof *roles; r++) {
            const struct ds_attr *a = ds_var_attr(&d->vars[i], roles[r]);
            if (!a || !a->text.s) continue;
            const char *p = a->text.s, *end = p + a->text.len;
            while ((p = memmem(p, (size_t)(end - p), v->name, n))) {
                bool starts = p == a->text.s || p[-1] == ' ';
                bool ends = p + n == end || p[n] == ' ';
                if (starts && ends) return true;
                p += n;
            }
        }
    }
    return false;
}

static bool is_data(const struct ds_description *d, const struct ds_var *v)
{
    int rank = ds_cell_rank(v);
    if (v->kind == DS_KIND_NONE || rank == 0) return false;
    if (rank == 1 && ds_coord_var(d, v->dims[0]) == v) return false;
    return !serves_another(d, v);
}

static bool same_dims(const struct ds_var *a, const struct ds_var *b)
{
    int rank = ds_cell_rank(a);
    return rank == ds_cell_rank(b) &&
           (rank == 0 || memcmp(a->dims, b->dims, sizeof(int) * (size_t)rank) == 0);
}

/* By its name, else in any case, else by its folded name. */
static enum status find_var(struct ctx *c, const char *path, const struct ds_description *d,
                            const char *name, const struct ds_var **out)
{
    const char **names = arena_array(c->arena, const char *, d->n_vars + 1);
    for (int how = 0; how < 3; how++) {
        for (int i = 0; i < d->n_vars; i++) {
            const char *has = d->vars[i].name;
            names[i] = source_fold_name(c, has, strlen(has));
            bool same = how == 0   ? strcmp(has, name) == 0
                        : how == 1 ? strcasecmp(has, name) == 0
                                   : strcmp(names[i], source_fold_name(c, name, strlen(name))) == 0;
            if (!same) continue;
            *out = &d->vars[i];
            return OK;
        }
    }
    fail(c, ERR_UNDEFINED_COLUMN, "\"%s\" has no variable \"%s\"", path, name);
    const char *near = nearest_name(name, names, d->n_vars);
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

/* Has the array that is loaded an attribute of the variable's name? */
static bool is_wanted(struct ctx *c, const struct ds_var *v, const struct schema *target)
{
    return target && schema_attr(target, source_fold_name(c, v->name, strlen(v->name))) >= 0;
}

static bool is_wanted_somewhere(struct ctx *c, const struct ds_description *d,
                                const struct schema *target)
{
    for (int i = 0; i < d->n_vars; i++)
        if (is_data(d, &d->vars[i]) && is_wanted(c, &d->vars[i], target)) return true;
    return false;
}

static enum status choose_vars(struct ctx *c, const char *path, const struct ds_description *d,
                               const struct source_options *o, const struct ds_var ***out, int *n)
{
    int room = o->n_vars > 0 ? o->n_vars : d->n_vars;
    const struct ds_var **vars = arena_array(c->arena, const struct ds_var *, room + 1);
    *n = 0;
    *out = vars;
    for (int i = 0; i < o->n_vars; i++) {
        TRY(find_var(c, path, d, o->vars[i], &vars[i]));
        if (!same_dims(vars[0], vars[i]))
            return fail(c, ERR_AXIS_MISMATCH, "variables \"%s\" and \"%s\" differ in dimensions",
                        vars[0]->name, vars[i]->name);
        *n = i + 1;
    }
    if (*n > 0) return OK;
    bool any = !is_wanted_somewhere(c, d, o->target);
    for (int i = 0; i < d->n_vars; i++) {
        const struct ds_var *v = &d->vars[i];
        if (!is_data(d, v)) continue;
        if (*n == 0 ? any || is_wanted(c, v, o->target) : same_dims(vars[0], v)) vars[(*n)++] = v;
    }
    if (*n == 0)
        return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" has no variable with dimensions", path);
    return OK;
}

/* ---- opening ---- */

/* What opening learns of one file, in the arena. */
struct opened {
    struct ds_file file;
    struct ds_reader *started; /* not asked yet */
    const struct ds_var **vars;
    struct ds_coords *coords; /* one a dimension */
};

static enum status open_described(struct ctx *c, struct dataset *s, struct ds_reader *k,
                                  const struct source_options *o, struct opened *x)
{
    struct ds_description d;
    int n;
    TRY(k->format->describe(c, k, &d));
    x->file.shared = d.shared;
    TRY(choose_vars(c, x->file.path, &d, o, &x->vars, &n));
    int rank = ds_cell_rank(x->vars[0]);
    if (rank > MAX_DIMS)
        return fail(c, ERR_TOO_MANY_COLUMNS,
                    "variable \"%s\" has %d dimensions; at most %d are "
                    "supported",
                    x->vars[0]->name, rank, MAX_DIMS);
    s->rank = rank;
    s->n_columns = n;
    x->file.columns = arena_array(c->arena, struct ds_column, n);
    x->coords = arena_array(c->arena, struct ds_coords, rank + 1);
    for (int i = 0; i < n; i++)
        TRY(ds_column_of(c, x->file.path, &d, x->vars[i], &x->file.columns[i]));
    for (int i = 0; i < rank; i++)
        TRY(ds_coords_read(c, k, x->file.path, &d, x->vars[0]->dims[i], &x->coords[i]));
    x->file.length = rank > 0 ? x->coords[0].n : 1;
    return OK;
}

static enum status start_one(struct ctx *c, struct dataset *s, const char *path, struct opened *x)
{
    if (!s->format->is_dir) {
        int fd;
        int64_t bytes;
        TRY(file_open_read(c, path, &fd, &bytes));
        close(fd);
    }
    x->file.path = path;
    return s->format->start(c, path, NULL, &x->started);
}

/* The helper that described the file stays for reading it. */
static enum status open_one(struct ctx *c, struct dataset *s, const struct source_options *o,
                            struct opened *x)
{
    struct ds_reader *k = x->started;
    x->started = NULL;
    enum status st = open_described(c, s, k, o, x);
    if (st < 0 || s->n_idle == MAX_IDLE) {
        k->format->stop(k);
        return st;
    }
    x->file.idle[x->file.n_idle++] = k;
    s->n_idle++;
    return OK;
}

/* ---- several files ---- */

static bool same_coords(const struct ds_coords *a, const struct ds_coords *b)
{
    if (a->listed != b->listed || a->type != b->type || a->n != b->n) return false;
    for (int64_t i = 0; a->listed && i < a->n; i++) {
        struct value x = value_get(a->type, a->values, i), y = value_get(b->type, b->values, i);
        if (value_compare(&x, &y) != 0) return false;
    }
    return true;
}

static enum status check_same(struct ctx *c, const struct dataset *s, const struct opened *a,
                              const struct opened *b)
{
    const struct ds_coords *first = &a->coords[0], *other = &b->coords[0];
    for (int i = 0; i < s->n_columns; i++) {
        if (a->file.columns[i].type != b->file.columns[i].type)
            return fail(c, ERR_DATATYPE_MISMATCH,
                        "variable \"%s\" is %s in \"%s\" and %s in \"%s\"", a->vars[i]->name,
                        type_name(a->file.columns[i].type), a->file.path,
                        type_name(b->file.columns[i].type), b->file.path);
    }
    for (int d = 1; d < s->rank; d++) {
        if (!same_coords(&a->coords[d], &b->coords[d]))
            return fail(c, ERR_AXIS_MISMATCH, "\"%s\" and \"%s\" differ in dimension \"%s\"",
                        a->file.path, b->file.path, a->coords[d].name);
    }
    bool alike = first->listed == other->listed && first->type == other->type &&
                 strcmp(first->unit ? first->unit : "", other->unit ? other->unit : "") == 0;
    if (!alike)
        return fail(c, ERR_AXIS_MISMATCH, "\"%s\" and \"%s\" count dimension \"%s\" differently",
                    a->file.path, b->file.path, first->name);
    return OK;
}

static struct value coord(const struct opened *x, int64_t i)
{
    return value_get(x->coords[0].type, x->coords[0].values, i);
}

/* Order of the files by their first coordinates, turned round where these fall; empty ones first.
 */
static int by_first_coord(const void *a, const void *b, void *self)
{
    const struct opened *x = a, *y = b;
    int direction = *(const int *)self;
    if (x->file.length == 0 || y->file.length == 0)
        return (x->file.length > 0) - (y->file.length > 0);
    struct value u = coord(x, 0), v = coord(y, 0);
    return direction * value_compare(&u, &v);
}

static enum status check_overlap(struct ctx *c, const struct opened *before, const struct opened *x,
                                 int direction)
{
    bool is_text = x->coords[0].type == T_TEXT;
    struct value first = coord(x, 0);
    for (int64_t p = 0; p < before->file.length; p++) {
        struct value v = coord(before, p);
        int cmp = direction * value_compare(&v, &first);
        if (is_text ? cmp == 0 : cmp >= 0)
            return fail(c, ERR_AXIS_MISMATCH, "\"%s\" and \"%s\" overlap in dimension \"%s\"",
                        before->file.path, x->file.path, x->coords[0].name);
    }
    return OK;
}

/* Puts the files in the order of their coordinates and appends these. */
static enum status concatenate(struct ctx *c, struct opened *x, int n, struct ds_coords *out)
{
    int direction = 1;
    *out = x[0].coords[0];
    out->n = 0;
    for (int i = 0; i < n && out->listed; i++) {
        if (x[i].file.length < 2) continue;
        struct value a = coord(&x[i], 0), b = coord(&x[i], 1);
        direction = value_compare(&a, &b) > 0 ? -1 : 1;
    }
    if (out->listed) qsort_r(x, (size_t)n, sizeof *x, by_first_coord, &direction);
    for (int i = 0; i < n; i++) {
        x[i].file.start = out->n;
        out->n += x[i].file.length;
        if (out->listed && i > 0 && x[i - 1].file.length > 0)
            TRY(check_overlap(c, &x[i - 1], &x[i], direction));
    }
    if (!out->listed) return OK;
    size_t bytes = type_bytes(out->type);
    out->values = arena_alloc(c->arena, (size_t)out->n * bytes + 1);
    for (int i = 0; i < n; i++)
        memcpy((char *)out->values + (size_t)x[i].file.start * bytes, x[i].coords[0].values,
               (size_t)x[i].coords[0].n * bytes);
    return OK;
}

/* ---- the schema ---- */

/* Coordinates that cannot label cells (one stands twice, NaN) leave positions. */
static enum status make_axis(struct ctx *c, const struct ds_coords *x, struct axis *out)
{
    enum status st = ERR_DUPLICATE_CELL;
    if (x->listed) {
        st = axis_from_coords(c, x->name, x->type, x->values, x->n, x->unlimited, out);
        if (st == ERR_DUPLICATE_CELL) {
            notice(c, "01000", "%s: dimension \"%s\" is counted from 0", c->err.message, x->name);
            ctx_clear(c);
        }
    }
    if (st == ERR_DUPLICATE_CELL) {
        *out = axis_count(x->n);
        out->grows = x->unlimited;
        if (x->unlimited) out->limit_hi = INT64_MAX;
        st = OK;
    }
    return st;
}

/* Boxes of whole chunks, long along the last dimensions. */
static void set_chunked_grid(struct dataset *s, const struct ds_var *v)
{
    struct source *b = &s->base;
    int64_t cells = 1;
    source_set_grid(b, GRID_CELLS, false);
    for (int d = 0; d < s->rank; d++) {
        int64_t chunk = v->chunk[d], extent = box_extent(&b->box, d);
        if (chunk <= 0) return;
        if (__builtin_mul_overflow(cells, chunk < extent ? chunk : extent, &cells)) return;
    }
    if (cells > MAX_GRID_CELLS || cells == 0) return;
    for (int d = s->rank - 1; d >= 0; d--) {
        int64_t chunk = v->chunk[d], extent = box_extent(&b->box, d);
        if (chunk > extent) chunk = extent;
        int64_t times = GRID_CELLS / cells > 1 ? GRID_CELLS / cells : 1;
        int64_t most = (extent + chunk - 1) / chunk;
        if (times > most) times = most;
        cells *= times;
        b->grid[d] = chunk * times < extent ? chunk * times : extent;
        b->schema->dims[d].tile = b->grid[d];
    }
}

static enum status make_schema(struct ctx *c, struct dataset *s, const struct opened *x,
                               const struct ds_coords *first)
{
    struct schema *schema;
    TRY(source_schema_new(c, x->file.path, s->rank > 0 ? s->rank : 1, s->n_columns, &schema));
    if (s->rank == 0) schema->dims[0] = (struct dim){.name = "d0", .axis = axis_count(1)};
    for (int d = 0; d < s->rank; d++) {
        const struct ds_coords *k = d == 0 ? first : &x->coords[d];
        schema->dims[d] = (struct dim){.name = k->name, .unit = k->unit, .comment = k->comment};
        TRY(make_axis(c, k, &schema->dims[d].axis));
    }
    for (int i = 0; i < s->n_columns; i++) {
        const struct ds_var *v = x->vars[i];
        const char *comment = ds_text_attr(c, v, "long_name");
        schema->attrs[i] = (struct attr){
            .name = source_fold_name(c, v->name, strlen(v->name)),
            .type = x->file.columns[i].type,
            .id = (uint16_t)(i + 1),
            .unit = x->file.columns[i].is_time ? NULL : ds_text_attr(c, v, "units"),
            .comment = comment ? comment : ds_text_attr(c, v, "standard_name"),
        };
    }
    source_unique_names(c, schema);
    s->base.schema = schema;
    set_chunked_grid(s, x->vars[0]);
    return OK;
}

/* Helpers open their files side by side while the first of them is asked. */
static enum status open_all(struct ctx *c, struct dataset *s, const struct paths *paths,
                            const struct source_options *o, struct opened *x, int *n_opened)
{
    struct source_options same = *o;
    struct ds_coords first = {0};
    for (int i = 0; i < paths->n; i++) {
        TRY(check_cancel(c));
        for (; *n_opened < paths->n && *n_opened <= i + START_AHEAD; ++*n_opened)
            TRY(start_one(c, s, paths->v[*n_opened], &x[*n_opened]));
        TRY(open_one(c, s, &same, &x[i]));
        if (i > 0) TRY(check_same(c, s, &x[0], &x[i]));
        if (i > 0 || paths->n == 1) continue;
        if (s->rank == 0)
            return fail(c, ERR_AXIS_MISMATCH, "\"%s\" has no dimension to append others along",
                        x->vars[0]->name);
        const char **names = arena_array(c->arena, const char *, s->n_columns);
        for (int v = 0; v < s->n_columns; v++)
            names[v] = x[0].vars[v]->name;
        same.vars = names;
        same.n_vars = s->n_columns;
    }
    if (s->rank > 0 && paths->n > 1)
        TRY(concatenate(c, x, paths->n, &first));
    else if (s->rank > 0)
        first = x[0].coords[0];
    return make_schema(c, s, &x[0], &first);
}

enum status dataset_open(struct ctx *c, const struct ds_format *format, const struct paths *paths,
                         const struct source_options *o, struct source **out)
{
    struct dataset *s = calloc(1, sizeof *s);
    struct ds_file *files = calloc((size_t)paths->n, sizeof *files);
    struct opened *x = arena_array(c->arena, struct opened, paths->n);
    if (!s || !files) {
        free(s);
        free(files);
        return fail(c, ERR_MEMORY, "out of memory");
    }
    s->base.cls = &dataset_class;
    s->format = format;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->freed, NULL);
    s->files = files;
    enum status st = open_all(c, s, paths, o, x, &s->n_files);
    for (int i = 0; i < s->n_files; i++) {
        if (x[i].started) format->stop(x[i].started);
        files[i] = x[i].file;
    }
    if (st == OK)
        *out = &s->base;
    else
        dataset_close(&s->base);
    return st;
}
