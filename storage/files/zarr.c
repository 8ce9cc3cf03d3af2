/* Which variables has a Zarr directory, and which values has a slab of one? */
#include "storage/base/datetime.h"
#include "storage/files/source_parts.h"
#include "storage/files/zarr_chunk.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECT_BYTES (4 << 20) /* plain chunks from this size on are read in parts */
#define MAX_CHUNK_BYTES (INT64_C(1) << 40)

struct zarr_shared {
    int n;
    const struct zarr_array *arrays;
};

struct zarr_reader {
    struct ds_reader base;
    const char *path;
    const struct zarr_shared *shared;
    /* The chunk decoded last: native values in C order, NULL: none. A chunk that is not there is
     * remembered too. */
    int var;
    int64_t index[MAX_DIMS];
    bool missing;
    void *values;
};

/* ---- starting ---- */

static enum status zarr_start(struct ctx *c, const char *path, const void *shared,
                              struct ds_reader **out)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return fail(c, errno == ENOENT || errno == ENOTDIR ? ERR_FILE_MISSING : ERR_IO,
                    "could not open directory \"%s\": %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        fail(c, ERR_WRONG_OBJECT, "\"%s\" is not a directory", path);
        return hint(c, "A Zarr store is read as a directory; unpack it if it is zipped.");
    }
    struct zarr_reader *k = calloc(1, sizeof *k);
    if (!k) return fail(c, ERR_MEMORY, "out of memory");
    *k = (struct zarr_reader){.base = {&zarr_format}, .path = path, .shared = shared, .var = -1};
    *out = &k->base;
    return OK;
}

static void zarr_stop(struct ds_reader *base)
{
    struct zarr_reader *k = (struct zarr_reader *)base;
    buf_free(k->values);
    free(k);
}

static bool zarr_broken(const struct ds_reader *base)
{
    (void)base;
    return false;
}

/* ---- describing ---- */

static enum ds_kind kind_of(const struct npy_field *t)
{
    return t->kind == 'M' || t->kind == 'm' ? DS_KIND_INT64 : ds_kind_of(t->type);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct zarr_array *)a)->name, ((const struct zarr_array *)b)->name);
}

/* An array among others that cannot be read is passed over: another one may be meant. */
static enum status add_array(struct ctx *c, const char *dir, struct zarr_array *arrays, int *n)
{
    enum zarr_node node;
    enum status st = zarr_meta_read(c, dir, &node, &arrays[*n]);
    if (st == ERR_UNSUPPORTED) {
        notice(c, "01000", "%s: it is left out", c->err.message);
        ctx_clear(c);
        return OK;
    }
    if (st == OK && node == ZARR_ARRAY) ++*n;
    return st;
}

static enum status list_group(struct ctx *c, const char *path, struct zarr_array **out, int *n)
{
    struct dirent **entries;
    int n_entries = scandir(path, &entries, NULL, NULL);
    if (n_entries < 0)
        return fail(c, ERR_IO, "could not read directory \"%s\": %s", path, strerror(errno));
    enum status st = OK;
    struct zarr_array *arrays = arena_array(c->arena, struct zarr_array, n_entries + 1);
    *n = 0;
    for (int i = 0; i < n_entries; i++) {
        const char *name = entries[i]->d_name;
        if (st == OK && name[0] != '.' && *n < MAX_ATTRS)
            st = add_array(c, arena_printf(c->arena, "%s/%s", path, name), arrays, n);
        free(entries[i]);
    }
    free(entries);
    qsort(arrays, (size_t)*n, sizeof *arrays, by_name);
    *out = arrays;
    return st;
}

static enum status find_arrays(struct ctx *c, struct zarr_reader *k)
{
    struct zarr_shared *shared = arena_new_of(c->arena, struct zarr_shared);
    struct zarr_array *one = arena_new_of(c->arena, struct zarr_array);
    enum zarr_node node;
    TRY(zarr_meta_read(c, k->path, &node, one));
    if (node == ZARR_ARRAY) {
        one->name = "v";
        *shared = (struct zarr_shared){1, one};
    } else {
        TRY(list_group(c, k->path, &one, &shared->n));
        shared->arrays = one;
        if (shared->n == 0 && node == ZARR_NOTHING)
            return fail(c, ERR_BAD_COPY_FORMAT, "\"%s\" is not a Zarr array or group", k->path);
        if (shared->n == 0)
            return fail(c, ERR_BAD_COPY_FORMAT,
                        "the Zarr group \"%s\" has no array that can be read", k->path);
    }
    k->shared = shared;
    return OK;
}

/* The dimension of that name and length, added when it is new. */
static int find_dim(struct ds_dim *dims, int *n, const char *name, int64_t len)
{
    for (int i = 0; i < *n; i++)
        if (dims[i].len == len && strcmp(dims[i].name, name) == 0) return i;
    dims[*n] = (struct ds_dim){name, len, false};
    return (*n)++;
}

static enum status zarr_describe(struct ctx *c, struct ds_reader *base, struct ds_description *out)
{
    struct zarr_reader *k = (struct zarr_reader *)base;
    if (!k->shared) TRY(find_arrays(c, k));
    int n = k->shared->n, n_dims = 0;
    struct ds_dim *dims = arena_array(c->arena, struct ds_dim, n * MAX_DIMS + 1);
    struct ds_var *vars = arena_array(c->arena, struct ds_var, n + 1);
    for (int i = 0; i < n; i++) {
        const struct zarr_array *a = &k->shared->arrays[i];
        int *ids = arena_array(c->arena, int, a->rank + 1);
        for (int d = 0; d < a->rank; d++) {
            const char *name = a->dim_names[d];
            if (!name) name = arena_printf(c->arena, "d%d", d);
            ids[d] = find_dim(dims, &n_dims, name, a->shape[d]);
        }
        vars[i] = (struct ds_var){a->name,  kind_of(&a->type), i,        a->rank, ids,
                                  a->chunk, a->n_attrs,        a->attrs, true};
    }
    *out = (struct ds_description){n_dims, n, dims, vars, k->shared};
    return OK;
}

/* ---- chunks ---- */

static int64_t chunk_cells(const struct zarr_array *a)
{
    int64_t n = 1;
    for (int d = 0; d < a->rank; d++)
        n *= a->chunk[d];
    return n;
}

/* Bytes of a value as it is handed on: texts as their records, or as struct text. */
static size_t value_bytes(const struct zarr_array *a)
{
    enum ds_kind kind = kind_of(&a->type);
    if (a->type.kind == 'O') return sizeof(struct text);
    return kind == DS_KIND_STRING ? (size_t)a->type.bytes : ds_kind_bytes(kind);
}

/* Counts of datetime64's unit as counts of the unit that its attributes name. */
static enum status scale_times(struct ctx *c, const struct zarr_array *a, int64_t n, int64_t *x)
{
    const struct npy_field *t = &a->type;
    bool months = strcmp(t->unit, "M") == 0, years = strcmp(t->unit, "Y") == 0;
    if (t->n_units == 1 && !months && !years) return OK;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == INT64_MIN) continue;
        if (__builtin_mul_overflow(x[i], t->n_units * (years ? 12 : 1), &x[i]) ||
            ((months || years) && (x[i] > 1200000000 || x[i] < -1200000000)))
            return fail(c, ERR_DATETIME_OVERFLOW, "a time in \"%s\" is out of range", a->path);
        if (months || years) x[i] = days_add_months(0, x[i]);
    }
    return OK;
}

/* Records to native values; out may not be the records. */
static enum status to_values(struct ctx *c, const struct zarr_array *a, const char *records,
                             int64_t n, void *out)
{
    const struct npy_field *t = &a->type;
    if (t->kind == 'U' || t->kind == 'S') {
        memcpy(out, records, (size_t)(n * t->bytes));
    } else if (t->kind == 'f' && t->bytes == 2) {
        for (int64_t i = 0; i < n; i++) {
            uint16_t half;
            memcpy(&half, records + 2 * i, 2);
            if (t->swapped) half = __builtin_bswap16(half);
            ((float *)out)[i] = npy_half(half);
        }
    } else {
        npy_gather(t, records, t->bytes, n, out);
        if (t->kind == 'M') return scale_times(c, a, n, out);
    }
    return OK;
}

static struct box chunk_box(const struct zarr_array *a, const int64_t *index)
{
    struct box b = {.n_dims = a->rank};
    for (int d = 0; d < a->rank; d++) {
        b.lo[d] = index[d] * a->chunk[d];
        b.hi[d] = b.lo[d] + a->chunk[d];
    }
    return b;
}

/* The file's records in C order. */
static enum status decode_records(struct ctx *c, const struct zarr_array *a, const char *path,
                                  const void *bytes, size_t n, const struct box *box, void **out)
{
    size_t n_bytes = (size_t)(chunk_cells(a) * a->type.bytes);
    void *turned;
    TRY(scratch_alloc(c, n_bytes + 1, out));
    TRY(zarr_chunk_decode(c, a, path, bytes, n, *out, n_bytes));
    if (!a->fortran || a->rank < 2) return OK;
    if (a->type.kind == 'U' || a->type.kind == 'S')
        return fail(c, ERR_UNSUPPORTED, "texts in Fortran order cannot be read: \"%s\"", a->path);
    TRY(scratch_alloc(c, n_bytes + 1, &turned));
    npy_transpose(turned, box, *out, (size_t)a->type.bytes);
    *out = turned;
    return OK;
}

static enum status decode(struct ctx *c, struct zarr_reader *k, const struct zarr_array *a,
                          const char *path, int fd, int64_t n, const struct box *box)
{
    void *bytes, *records, *values;
    int64_t cells = chunk_cells(a);
    TRY(scratch_alloc(c, (size_t)n + 1, &bytes));
    TRY(file_read_at(c, fd, path, bytes, (size_t)n, 0));
    if (a->type.kind == 'O') {
        struct text *texts;
        if (a->fortran && a->rank > 1)
            return fail(c, ERR_UNSUPPORTED, "texts in Fortran order cannot be read: \"%s\"", path);
        TRY(zarr_chunk_texts(c, a, path, bytes, (size_t)n, cells, &texts));
        k->values = texts;
        return OK;
    }
    TRY(decode_records(c, a, path, bytes, (size_t)n, box, &records));
    TRY(buf_alloc(c, (size_t)cells * value_bytes(a) + 1, &values));
    enum status st = to_values(c, a, records, cells, values);
    if (st < 0)
        buf_free(values);
    else
        k->values = values;
    return st;
}

/* Opens a chunk's file; *fd -1 when there is none. */
static enum status open_chunk(struct ctx *c, const char *path, int *fd, int64_t *bytes)
{
    *fd = -1;
    if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) return OK;
    return file_open_read(c, path, fd, bytes);
}

/* Makes the chunk the reader's. */
static enum status load_chunk(struct ctx *c, struct zarr_reader *k, int var, const int64_t *index)
{
    const struct zarr_array *a = &k->shared->arrays[var];
    if (k->var == var && memcmp(k->index, index, sizeof(int64_t) * (size_t)a->rank) == 0) return OK;
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct strbuf path = STRBUF_INIT;
    struct box box = chunk_box(a, index);
    int fd;
    int64_t bytes;
    k->var = -1;
    buf_free(k->values);
    k->values = NULL;
    zarr_chunk_path(a, index, &path);
    enum status st = check_cancel(c);
    if (st == OK && chunk_cells(a) * a->type.bytes > MAX_CHUNK_BYTES)
        st = fail(c, ERR_LIMIT_EXCEEDED, "the chunks of \"%s\" are too large", a->path);
    if (st == OK) st = open_chunk(c, path.s, &fd, &bytes);
    if (st == OK && fd >= 0) {
        st = decode(c, k, a, path.s, fd, bytes, &box);
        close(fd);
    }
    strbuf_release(&path);
    scratch_release(c->scratch, mark);
    if (st < 0) return st;
    k->missing = fd < 0;
    k->var = var;
    memcpy(k->index, index, sizeof(int64_t) * (size_t)a->rank);
    return OK;
}

/* ---- slabs ---- */

static void fill_part(const struct zarr_array *a, char *out, const struct box *want,
                      const struct box *part)
{
    size_t w = value_bytes(a);
    struct text text = {a->fill_text ? a->fill_text : "",
                        a->fill_text ? (int64_t)strlen(a->fill_text) : 0};
    const void *value = a->type.kind == 'O' ? (const void *)&text : a->fill;
    bool is_record = a->type.kind == 'U' || a->type.kind == 'S';
    int64_t n = box_cells(part), pos[MAX_DIMS];
    for (int64_t i = 0; i < n; i++) {
        box_position(part, i, pos);
        char *to = out + (size_t)box_index(want, pos) * w;
        if (is_record)
            memset(to, 0, w);
        else
            memcpy(to, value, w);
    }
}

/* A large chunk that lies as it is: only the part is read. */
static bool lies_plain(const struct zarr_array *a)
{
    return a->compressor == ZARR_NONE && a->shuffle < 2 && a->type.kind != 'O' && a->rank > 0 &&
           (!a->fortran || a->rank == 1) && chunk_cells(a) * a->type.bytes > DIRECT_BYTES;
}

static enum status read_plain(struct ctx *c, const struct zarr_array *a, const int64_t *index,
                              const struct box *want, const struct box *part, char *out)
{
    struct strbuf path = STRBUF_INIT;
    struct box all = chunk_box(a, index);
    struct record_file f = {.fd = -1};
    int64_t bytes, n = box_cells(part);
    void *records, *values;
    zarr_chunk_path(a, index, &path);
    f.path = path.s;
    enum status st = open_chunk(c, path.s, &f.fd, &bytes);
    if (st == OK && f.fd < 0) fill_part(a, out, want, part);
    if (st == OK && f.fd >= 0) {
        st = scratch_alloc(c, (size_t)(n * a->type.bytes), &records);
        if (st == OK && bytes != chunk_cells(a) * a->type.bytes)
            st =
                fail(c, ERR_BAD_COPY_FORMAT, "chunk \"%s\" is damaged: it has %lld bytes, not %lld",
                     path.s, (long long)bytes, (long long)(chunk_cells(a) * a->type.bytes));
        if (st == OK) st = npy_read_records(c, &f, a->type.bytes, &all, part, records);
        if (st == OK) st = scratch_alloc(c, (size_t)n * value_bytes(a), &values);
        if (st == OK) st = to_values(c, a, records, n, values);
        if (st == OK) box_copy(out, want, values, part, part, value_bytes(a));
        close(f.fd);
    }
    strbuf_release(&path);
    return st;
}

/* Copies the bytes of texts before their chunk goes. */
static enum status keep_texts(struct ctx *c, const struct box *want, const struct box *part,
                              struct text *out)
{
    int64_t n = box_cells(part), pos[MAX_DIMS];
    size_t bytes = 1;
    void *room = NULL;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t i = 0; i < n; i++) {
            box_position(part, i, pos);
            struct text *t = &out[box_index(want, pos)];
            bytes += (size_t)t->len;
            if (pass == 0) continue;
            memcpy(room, t->s, (size_t)t->len);
            t->s = room;
            room = (char *)room + t->len;
        }
        if (pass == 0) TRY(scratch_alloc(c, bytes, &room));
    }
    return OK;
}

/* Values of a box, as value_bytes() says; texts point into the scratch. */
static enum status read_box(struct ctx *c, struct zarr_reader *k, int var, const struct box *want,
                            char *out)
{
    const struct zarr_array *a = &k->shared->arrays[var];
    struct box chunks, all = {.n_dims = a->rank};
    memcpy(all.hi, a->shape, sizeof all.hi);
    if (!box_contains(&all, want))
        return fail(c, ERR_INTERNAL, "a slab outside of \"%s\"", a->path);
    box_tiles(want, a->chunk, &chunks);
    int64_t n_chunks = box_cells(&chunks);
    for (int64_t i = 0; i < n_chunks; i++) {
        int64_t index[MAX_DIMS] = {0};
        box_position(&chunks, i, index);
        struct box box = chunk_box(a, index), part;
        box_intersect(&box, want, &part);
        if (lies_plain(a)) {
            TRY(read_plain(c, a, index, want, &part, out));
            continue;
        }
        TRY(load_chunk(c, k, var, index));
        if (k->missing)
            fill_part(a, out, want, &part);
        else
            box_copy(out, want, k->values, &box, &part, value_bytes(a));
        if (a->type.kind != 'O' || k->missing) continue;
        TRY(keep_texts(c, want, &part, (struct text *)out));
    }
    return OK;
}

static struct box slab(const struct zarr_array *a, const int64_t *start, const int64_t *count)
{
    struct box b = {.n_dims = a->rank};
    for (int d = 0; d < a->rank; d++) {
        b.lo[d] = start[d];
        b.hi[d] = start[d] + count[d];
    }
    return b;
}

static enum status zarr_read(struct ctx *c, struct ds_reader *base, int var, int rank,
                             const int64_t *start, const int64_t *count, void *out, size_t n_bytes)
{
    struct zarr_reader *k = (struct zarr_reader *)base;
    const struct zarr_array *a = &k->shared->arrays[var];
    struct box want = slab(a, start, count);
    if (rank != a->rank || (size_t)box_cells(&want) * value_bytes(a) != n_bytes)
        return fail(c, ERR_INTERNAL, "a slab of another shape than \"%s\"", a->path);
    return read_box(c, k, var, &want, out);
}

static enum status zarr_strings(struct ctx *c, struct ds_reader *base, int var, int rank,
                                const int64_t *start, const int64_t *count, int64_t n,
                                struct text *out)
{
    struct zarr_reader *k = (struct zarr_reader *)base;
    const struct zarr_array *a = &k->shared->arrays[var];
    struct box want = slab(a, start, count);
    void *records;
    (void)rank;
    if (a->type.kind == 'O') return read_box(c, k, var, &want, (char *)out);
    TRY(scratch_alloc(c, (size_t)(n * a->type.bytes) + 1, &records));
    TRY(read_box(c, k, var, &want, records));
    return npy_texts(c, a->path, &a->type, records, a->type.bytes, n, out);
}

const struct ds_format zarr_format = {zarr_start,   zarr_stop,   zarr_describe, zarr_read,
                                      zarr_strings, zarr_broken, true};
