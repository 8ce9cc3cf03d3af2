/* How is an array written as a NetCDF-4 file?
 *
 * A helper process does (netcdf_client.h): this file says to it what there is, and the values chunk
 * by chunk, one at a time, as HDF5 takes them. */
#include "storage/base/value.h"
#include "storage/files/dataset_write.h"
#include "storage/files/netcdf_client.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define COORD_CHUNK (1 << 20)

struct netcdf_writer {
    struct ds_writer base;
    struct nc_client *client;
    pthread_mutex_t lock;
};

/* ---- the definition ---- */

/* Booleans are bytes. */
static enum ds_kind kind_of(enum type t)
{
    return t == T_BOOL ? DS_KIND_BYTE : ds_kind_of(t);
}

static void put_u32(struct strbuf *b, uint32_t x)
{
    strbuf_add(b, &x, sizeof x);
}

static void put_u64(struct strbuf *b, uint64_t x)
{
    strbuf_add(b, &x, sizeof x);
}

static void put_str(struct strbuf *b, const char *s, size_t n)
{
    put_u32(b, (uint32_t)n);
    strbuf_add(b, s, n);
}

static void put_attr(struct strbuf *b, const struct ds_attr *a, const struct dsw_var *v)
{
    unsigned char value[8] = {0};
    put_str(b, a->name, strlen(a->name));
    if (a->kind == DS_KIND_STRING) {
        put_u32(b, DS_KIND_STRING);
        put_u32(b, 1);
        put_str(b, a->text.s, (size_t)a->text.len);
        return;
    }
    enum ds_kind kind = kind_of(dsw_stored_type(v)); /* _FillValue */
    struct value fill = dsw_fill(v->type, v->fill);
    value_put(&fill, value, 0);
    put_u32(b, kind);
    put_u32(b, 1);
    strbuf_add(b, value, ds_kind_bytes(kind));
}

static void put_attrs(struct ctx *c, struct strbuf *b, enum type t, const char *unit,
                      const char *comment, const struct dsw_var *v)
{
    struct ds_attr attrs[DSW_ATTRS + 1];
    int n = dsw_attrs(c, t, unit, comment, v, attrs);
    if (t == T_BOOL && !v->has_fill)
        attrs[n++] = (struct ds_attr){
            .name = "dtype", .kind = DS_KIND_STRING, .n = 1, .text = {"bool", 4}}; /* as xarray */
    put_u32(b, (uint32_t)n);
    for (int i = 0; i < n; i++)
        put_attr(b, &attrs[i], v);
}

static void put_var(struct ctx *c, struct strbuf *b, const struct dsw_def *def,
                    const struct dsw_var *v)
{
    put_str(b, v->name, strlen(v->name));
    put_u32(b, kind_of(dsw_stored_type(v)));
    put_u32(b, (uint32_t)def->n_dims);
    for (int d = 0; d < def->n_dims; d++)
        put_u32(b, (uint32_t)d);
    for (int d = 0; d < def->n_dims; d++)
        put_u64(b, (uint64_t)def->chunk[d]);
    put_u32(b, !v->has_fill);
    put_attrs(c, b, v->type, v->unit, v->comment, v);
}

static void put_coord(struct ctx *c, struct strbuf *b, const struct dsw_def *def, int d)
{
    const struct dsw_dim *dim = &def->dims[d];
    struct dsw_var v = {.name = dim->name, .type = dim->axis->type};
    put_str(b, dim->name, strlen(dim->name));
    put_u32(b, kind_of(dsw_stored_type(&v)));
    put_u32(b, 1);
    put_u32(b, (uint32_t)d);
    put_u64(b, (uint64_t)(dim->n > COORD_CHUNK ? COORD_CHUNK : dim->n > 0 ? dim->n : 1));
    put_u32(b, 1);
    put_attrs(c, b, v.type, dim->unit, dim->comment, &v);
}

/* Variables, coordinates, and the file's own attributes. */
static void put_definition(struct ctx *c, struct strbuf *b, const struct dsw_def *def)
{
    uint32_t n_coords = 0;
    put_u32(b, (uint32_t)def->n_dims);
    for (int d = 0; d < def->n_dims; d++) {
        put_str(b, def->dims[d].name, strlen(def->dims[d].name));
        put_u64(b, (uint64_t)def->dims[d].n);
        put_u32(b, 0);
        n_coords += def->dims[d].axis != NULL;
    }
    put_u32(b, (uint32_t)def->n_vars + n_coords + 1);
    for (int i = 0; i < def->n_vars; i++)
        put_var(c, b, def, &def->vars[i]);
    for (int d = 0; d < def->n_dims; d++)
        if (def->dims[d].axis) put_coord(c, b, def, d);
    put_str(b, "", 0);
    put_u32(b, DS_KIND_NONE);
    put_u32(b, 0);
    put_u32(b, 0);
    put_u32(b, def->comment != NULL);
    if (!def->comment) return;
    struct ds_attr comment = {.name = "comment",
                              .kind = DS_KIND_STRING,
                              .text = {def->comment, (int64_t)strlen(def->comment)}};
    put_attr(b, &comment, NULL);
}

/* ---- values ---- */

/* Values of a slab, `t` as they are stored. */
static enum status write_slab(struct ctx *c, struct netcdf_writer *w, int var,
                              const struct box *box, enum type t, const void *values)
{
    struct nc_request q = {.op = NC_OP_WRITE, .var = var};
    struct strbuf texts = STRBUF_INIT;
    int64_t n = box_cells(box);
    for (int d = 0; d < box->n_dims; d++) {
        q.start[d] = (uint64_t)box->lo[d];
        q.count[d] = (uint64_t)box_extent(box, d);
    }
    q.n_bytes = (uint64_t)n * type_bytes(t);
    if (t == T_TEXT) {
        const struct text *x = values;
        for (int64_t i = 0; i < n; i++)
            put_str(&texts, x[i].s, (size_t)x[i].len);
        q.n_bytes = texts.len;
        values = texts.s;
    }
    pthread_mutex_lock(&w->lock);
    enum status st = nc_client_tell(c, w->client, &q, values);
    pthread_mutex_unlock(&w->lock);
    strbuf_release(&texts);
    return st;
}

static enum status write_coords(struct ctx *c, struct netcdf_writer *w, int var,
                                const struct dsw_dim *dim)
{
    struct dsw_var v = {.type = dim->axis->type};
    for (int64_t lo = 0; lo < dim->n; lo += COORD_CHUNK) {
        struct scratch_mark mark = scratch_mark(c->scratch);
        struct box box = {.n_dims = 1, .lo = {lo}, .hi = {lo + COORD_CHUNK}};
        struct column coords;
        if (box.hi[0] > dim->n) box.hi[0] = dim->n;
        TRY(column_alloc(c, v.type, box_cells(&box), &coords));
        axis_coords(dim->axis, dim->lo + lo, box_cells(&box), 1, coords.values);
        TRY(write_slab(c, w, var, &box, dsw_stored_type(&v), coords.values));
        scratch_release(c->scratch, mark);
    }
    return OK;
}

static enum status netcdf_put(struct ctx *c, struct ds_writer *base, int var, const struct box *box,
                              const struct column *col, const uint64_t *present)
{
    struct dsw_var *v = &base->def->vars[var];
    void *values;
    bool any;
    TRY(dsw_values(c, v, col, present, box_cells(box), &values, &any));
    /* A second run is certain then: only what there is to see matters. */
    if (atomic_load(&v->missing) && !v->has_fill) return OK;
    return write_slab(c, (struct netcdf_writer *)base, var, box, dsw_stored_type(v), values);
}

/* ---- the writer ---- */

static void netcdf_writer_free(struct ds_writer *base)
{
    struct netcdf_writer *w = (struct netcdf_writer *)base;
    if (!w) return;
    nc_client_stop(w->client);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static enum status define(struct ctx *c, struct netcdf_writer *w)
{
    const struct dsw_def *def = w->base.def;
    struct strbuf text = STRBUF_INIT;
    struct nc_request q = {.op = NC_OP_DEFINE};
    int var = def->n_vars;
    put_definition(c, &text, def);
    q.n_bytes = text.len;
    enum status st = nc_client_tell(c, w->client, &q, text.s);
    strbuf_release(&text);
    for (int d = 0; d < def->n_dims && st == OK; d++)
        if (def->dims[d].axis) st = write_coords(c, w, var++, &def->dims[d]);
    return st;
}

static enum status netcdf_create(struct ctx *c, struct dsw_def *def, struct ds_writer **out)
{
    struct netcdf_writer *w = calloc(1, sizeof *w);
    if (!w) return fail(c, ERR_MEMORY, "out of memory");
    w->base.def = def;
    pthread_mutex_init(&w->lock, NULL);
    enum status st = nc_client_start(c, def->path, true, &w->client);
    if (st == OK) st = define(c, w);
    if (st < 0)
        netcdf_writer_free(&w->base);
    else
        *out = &w->base;
    return st;
}

static enum status netcdf_finish(struct ctx *c, struct ds_writer *base)
{
    struct netcdf_writer *w = (struct netcdf_writer *)base;
    struct nc_request q = {.op = NC_OP_CLOSE};
    TRY(nc_client_tell(c, w->client, &q, NULL));
    int fd = open(base->def->path, O_RDONLY | O_CLOEXEC);
    enum status st = OK;
    if (fd < 0 || fsync(fd) < 0)
        st = fail(c, ERR_IO, "could not write file \"%s\": %s", base->def->path, strerror(errno));
    if (fd >= 0) close(fd);
    return st;
}

const struct dsw_format netcdf_write_format = {netcdf_create, netcdf_put, netcdf_finish,
                                               netcdf_writer_free, false};
