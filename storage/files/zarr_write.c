/* How is an array written as a Zarr directory?
 *
 * One group: an array a variable, whose chunks are the tiles, and one a dimension for its
 * coordinates. A chunk in which no value is there is not written. The metadata comes last, so that
 * a directory that was given up is none. */
#include "storage/base/value.h"
#include "storage/files/dataset_write.h"
#include "storage/files/source_parts.h"
#include "storage/files/zarr_chunk.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COORD_CHUNK (1 << 20)
#define ZSTD_LEVEL 1

struct zarr_writer {
    struct ds_writer base;
    struct zarr_array *arrays; /* variables, then coordinates; in the arena of create()'s caller */
    int n_arrays;
};

/* ---- files ---- */

static enum status cannot_write(struct ctx *c, const char *path)
{
    return fail(c, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                "could not write file \"%s\": %s", path, strerror(errno));
}

/* Makes the directories of a file's path below the first `from` bytes of it. */
static void make_parents(char *path, size_t from)
{
    for (char *at = strchr(path + from, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0777); /* another worker may have: open() will tell */
        *at = '/';
    }
}

static enum status write_file(struct ctx *c, char *path, size_t root, const void *bytes, size_t n)
{
    int flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, fd = open(path, flags, 0666);
    if (fd < 0 && errno == ENOENT) {
        make_parents(path, root + 1);
        fd = open(path, flags, 0666);
    }
    if (fd < 0) return cannot_write(c, path);
    enum status st = OK;
    for (size_t done = 0; done < n && st == OK;) {
        ssize_t put = write(fd, (const char *)bytes + done, n - done);
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            st = cannot_write(c, path);
    }
    if (close(fd) < 0 && st == OK) st = cannot_write(c, path);
    return st;
}

static enum status write_text(struct ctx *c, const char *dir, const char *name,
                              const struct strbuf *text)
{
    struct strbuf path = STRBUF_INIT;
    strbuf_addf(&path, "%s/%s", dir, name);
    enum status st = write_file(c, path.s, strlen(dir), text->s ? text->s : "", text->len);
    strbuf_release(&path);
    return st;
}

/* ---- arrays ---- */

static struct npy_field field_of(enum type t)
{
    if (t == T_TEXT) return (struct npy_field){.kind = 'O', .type = t, .bytes = 1};
    return (struct npy_field){.kind = type_is_float(t) ? 'f'
                                      : t == T_BOOL    ? 'b'
                                                       : 'i',
                              .type = t,
                              .bytes = (int32_t)type_bytes(t)};
}

static void set_type(struct zarr_array *a, enum type t)
{
    a->type = field_of(t);
    a->shuffle = a->version == 2 && t != T_TEXT && type_bytes(t) > 1 ? (int64_t)type_bytes(t) : 0;
}

static struct zarr_array new_array(struct ctx *c, const struct dsw_def *def, const char *name)
{
    return (struct zarr_array){.path = arena_printf(c->arena, "%s/%s", def->path, name),
                               .name = name,
                               .version = def->version,
                               .separator = def->version == 2 ? '.' : '/',
                               .prefix = def->version == 3,
                               .compressor = ZARR_ZSTD,
                               .level = ZSTD_LEVEL,
                               .fill_text = "",
                               .fill_is_null = true};
}

/* A whole chunk from the part of it that lies inside the array. */
static enum status write_chunk(struct ctx *c, const struct zarr_array *a, const struct box *box,
                               const void *values)
{
    struct box whole = *box;
    int64_t index[MAX_DIMS] = {0};
    size_t w = a->type.kind == 'O' ? sizeof(struct text) : (size_t)a->type.bytes, n;
    void *bytes, *padded;
    for (int d = 0; d < a->rank; d++) {
        index[d] = box->lo[d] / a->chunk[d];
        whole.hi[d] = box->lo[d] + a->chunk[d];
    }
    int64_t cells = box_cells(&whole);
    if (!box_equal(&whole, box)) {
        TRY(scratch_alloc(c, (size_t)cells * w + 1, &padded));
        memset(padded, 0, (size_t)cells * w);
        box_copy(padded, &whole, values, box, box, w);
        values = padded;
    }
    TRY(zarr_chunk_encode(c, a, values, cells, &bytes, &n));
    struct strbuf path = STRBUF_INIT;
    zarr_chunk_path(a, index, &path);
    enum status st = write_file(c, path.s, strlen(a->path), bytes, n);
    strbuf_release(&path);
    return st;
}

static enum status write_coords(struct ctx *c, const struct dsw_def *def, int d,
                                struct zarr_array *out)
{
    const struct dsw_dim *dim = &def->dims[d];
    struct zarr_array a = new_array(c, def, dim->name);
    struct dsw_var var = {.name = dim->name, .type = dim->axis->type};
    a.rank = 1;
    a.shape[0] = dim->n;
    a.chunk[0] = dim->n < COORD_CHUNK ? (dim->n > 0 ? dim->n : 1) : COORD_CHUNK;
    a.dim_names[0] = dim->name;
    set_type(&a, dsw_stored_type(&var));
    a.attrs = arena_array(c->arena, struct ds_attr, DSW_ATTRS);
    a.n_attrs = dsw_attrs(c, dim->axis->type, dim->unit, dim->comment, NULL, a.attrs);
    if (mkdir(a.path, 0777) < 0) return cannot_write(c, a.path);
    for (int64_t lo = 0; lo < dim->n; lo += a.chunk[0]) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct box box = {.n_dims = 1, .lo = {lo}, .hi = {lo + a.chunk[0]}};
        struct column coords;
        if (box.hi[0] > dim->n) box.hi[0] = dim->n;
        TRY(column_alloc(c, dim->axis->type, box_cells(&box), &coords));
        axis_coords(dim->axis, dim->lo + lo, box_cells(&box), 1, coords.values);
        TRY(write_chunk(c, &a, &box, coords.values));
        scratch_release(c->scratch, mark);
    }
    *out = a;
    return OK;
}

/* ---- the writer ---- */

static enum status make_all(struct ctx *c, struct zarr_writer *w, struct dsw_def *def)
{
    if (mkdir(def->path, 0777) < 0) return cannot_write(c, def->path);
    w->arrays = arena_array(c->arena, struct zarr_array, def->n_vars + def->n_dims + 1);
    for (int i = 0; i < def->n_vars; i++) {
        struct zarr_array a = new_array(c, def, def->vars[i].name);
        a.rank = def->n_dims;
        for (int d = 0; d < def->n_dims; d++) {
            a.shape[d] = def->dims[d].n;
            a.chunk[d] = def->chunk[d];
            a.dim_names[d] = def->dims[d].name;
        }
        set_type(&a, dsw_stored_type(&def->vars[i]));
        if (mkdir(a.path, 0777) < 0) return cannot_write(c, a.path);
        w->arrays[w->n_arrays++] = a;
    }
    for (int d = 0; d < def->n_dims; d++)
        if (def->dims[d].axis) TRY(write_coords(c, def, d, &w->arrays[w->n_arrays++]));
    return OK;
}

static void zarr_writer_free(struct ds_writer *w)
{
    free(w);
}

static enum status zarr_create(struct ctx *c, struct dsw_def *def, struct ds_writer **out)
{
    struct zarr_writer *w = calloc(1, sizeof *w);
    if (!w) return fail(c, ERR_MEMORY, "out of memory");
    w->base.def = def;
    enum status st = make_all(c, w, def);
    if (st < 0)
        zarr_writer_free(&w->base);
    else
        *out = &w->base;
    return st;
}

static enum status zarr_put(struct ctx *c, struct ds_writer *base, int var, const struct box *box,
                            const struct column *col, const uint64_t *present)
{
    struct zarr_writer *w = (struct zarr_writer *)base;
    void *values;
    bool any;
    TRY(dsw_values(c, &base->def->vars[var], col, present, box_cells(box), &values, &any));
    return any ? write_chunk(c, &w->arrays[var], box, values) : OK;
}

static enum status write_meta(struct ctx *c, const struct zarr_array *a)
{
    struct strbuf meta = STRBUF_INIT, attrs = STRBUF_INIT;
    zarr_meta_write(a, &meta, &attrs);
    enum status st = write_text(c, a->path, a->version == 2 ? ".zarray" : "zarr.json", &meta);
    if (st == OK && a->version == 2) st = write_text(c, a->path, ".zattrs", &attrs);
    strbuf_release(&meta);
    strbuf_release(&attrs);
    return st;
}

static enum status write_group(struct ctx *c, const struct zarr_writer *w)
{
    const struct dsw_def *def = w->base.def;
    struct strbuf group = STRBUF_INIT, attrs = STRBUF_INIT, all = STRBUF_INIT;
    zarr_group_write(def->version, w->arrays, w->n_arrays, def->comment, &group, &attrs, &all);
    bool old = def->version == 2;
    enum status st = write_text(c, def->path, old ? ".zgroup" : "zarr.json", &group);
    if (st == OK && old) st = write_text(c, def->path, ".zattrs", &attrs);
    if (st == OK && old) st = write_text(c, def->path, ".zmetadata", &all);
    strbuf_release(&group);
    strbuf_release(&attrs);
    strbuf_release(&all);
    return st;
}

static enum status zarr_finish(struct ctx *c, struct ds_writer *base)
{
    struct zarr_writer *w = (struct zarr_writer *)base;
    struct dsw_def *def = base->def;
    for (int i = 0; i < def->n_vars; i++) {
        struct zarr_array *a = &w->arrays[i];
        const struct dsw_var *v = &def->vars[i];
        a->attrs = arena_array(c->arena, struct ds_attr, DSW_ATTRS);
        a->n_attrs = dsw_attrs(c, v->type, v->unit, v->comment, v, a->attrs);
        set_type(a, dsw_stored_type(v));
        if (!v->has_fill) continue;
        struct value fill = dsw_fill(v->type, v->fill);
        a->fill_is_null = false;
        if (v->type == T_TEXT)
            a->fill_text = fill.t.s;
        else
            value_put(&fill, a->fill, 0);
        /* Version 2 says it in the metadata alone, as xarray wants it. */
        if (def->version == 2 && v->type != T_TEXT) a->n_attrs--;
    }
    for (int i = 0; i < w->n_arrays; i++)
        TRY(write_meta(c, &w->arrays[i]));
    TRY(write_group(c, w));
    int fd = open(def->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return cannot_write(c, def->path);
    enum status st = syncfs(fd) < 0 ? cannot_write(c, def->path) : OK;
    close(fd);
    return st;
}

const struct dsw_format zarr_write_format = {zarr_create, zarr_put, zarr_finish, zarr_writer_free,
                                             true};
