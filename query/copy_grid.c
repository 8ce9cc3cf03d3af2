/* COPY … TO zarr, netcdf and tile: a result's attributes as variables over its dimensions.
 *
 * The result is gone through chunk by chunk of the file, by many workers; a list of rows is kept
 * first, as its length is known at the end only. */
#include "query/copy.h"
#include "query/reach.h"
#include "storage/base/pool.h"
#include "storage/files/tile_stream.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_CHUNK_CELLS (4 << 20)
#define ATTEMPTS 4 /* a fill value may turn out not to be free, once a candidate */

struct grid_copy {
    struct sink sink; /* of rows to be kept */
    const struct query *q;
    struct op *root;
    struct rowset *rows; /* a list; NULL: an array */
    struct dsw_def def;
    int *outs; /* output of each variable */
    const struct dsw_format *format;
    struct ds_writer *writer;
    struct box chunks; /* by their indexes */
    atomic_int_least64_t n_cells;
};

/* ---- what is written ---- */

/* Names become those of directories and files. */
static enum status check_name(struct ctx *c, const char *name, const char *what, int pos)
{
    if (!strchr(name, '/') && name[0] != '.') return OK;
    return fail_at(c, ERR_INVALID_NAME, pos, "\"%s\" cannot be the name of a %s", name, what);
}

static enum status name_vars(struct ctx *c, struct grid_copy *g, int pos)
{
    for (int d = 0; d < g->def.n_dims; d++)
        TRY(check_name(c, g->def.dims[d].name, "dimension", pos));
    for (int i = 0; i < g->def.n_vars; i++) {
        const struct dsw_var *v = &g->def.vars[i];
        if (v->type == T_INTERVAL || v->type == T_INT64S)
            return fail_at(c, ERR_UNSUPPORTED, pos, "column \"%s\" of type %s cannot be written",
                           v->name, type_name(v->type));
        TRY(check_name(c, v->name, "variable", pos));
        bool twice = false;
        for (int k = 0; k < i; k++)
            twice = twice || !strcmp(g->def.vars[k].name, v->name);
        for (int d = 0; d < g->def.n_dims; d++)
            twice = twice || !strcmp(g->def.dims[d].name, v->name);
        if (twice) {
            fail_at(c, ERR_DUPLICATE_COLUMN, pos, "the name \"%s\" stands twice", v->name);
            return hint(c, "Name one of them with AS.");
        }
    }
    if (g->def.n_vars == 0)
        return fail_at(c, ERR_UNSUPPORTED, pos, "there is no attribute to write");
    return OK;
}

static void choose_vars(struct ctx *c, struct grid_copy *g)
{
    const struct query *q = g->q;
    g->def.vars = arena_array(c->arena, struct dsw_var, q->n_outs + 1);
    g->outs = arena_array(c->arena, int, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++) {
        const struct out_col *o = &q->outs[k];
        struct dsw_var *v = &g->def.vars[g->def.n_vars];
        if (o->is_dim && q->is_array) continue;
        v->name = o->name;
        v->type = o->type;
        if (!o->is_dim) {
            v->unit = q->root->rel.cols[o->index].unit;
            v->comment = q->root->rel.cols[o->index].comment;
        }
        g->outs[g->def.n_vars++] = k;
    }
}

static void choose_dims(struct grid_copy *g)
{
    const struct rel *rel = &g->q->root->rel;
    if (g->rows) {
        g->def.n_dims = 1;
        g->def.dims[0] = (struct dsw_dim){.name = "row", .n = rowset_rows(g->rows)};
        g->def.chunk[0] = 65536;
    } else {
        g->def.n_dims = rel->n_dims;
        for (int d = 0; d < rel->n_dims; d++) {
            const struct rel_dim *from = &rel->dims[d];
            int64_t lo = g->root->box.lo[d], n = g->root->box.hi[d] - lo;
            g->def.dims[d] =
                (struct dsw_dim){from->name, from->axis, lo, n, from->unit, from->comment};
            g->def.chunk[d] = from->tile > 0 ? from->tile : g->root->grid[d];
        }
        /* Brackets may have given dimensions other names. */
        for (int k = 0; k < g->q->n_outs; k++)
            if (g->q->outs[k].is_dim) g->def.dims[g->q->outs[k].index].name = g->q->outs[k].name;
    }
    int64_t cells = 1;
    for (int d = g->def.n_dims - 1; d >= 0; d--) {
        int64_t n = g->def.dims[d].n, *chunk = &g->def.chunk[d];
        if (*chunk > n) *chunk = n;
        if (*chunk > MAX_CHUNK_CELLS / cells) *chunk = MAX_CHUNK_CELLS / cells;
        if (*chunk < 1) *chunk = 1;
        cells *= *chunk;
        g->chunks.lo[d] = 0;
        g->chunks.hi[d] = (n + *chunk - 1) / *chunk;
    }
    g->chunks.n_dims = g->def.n_dims;
}

/* ---- rows ---- */

static enum status keep_rows(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct grid_copy *g = (struct grid_copy *)sink;
    void *cols, *sel;
    int64_t n = 0;
    (void)worker, (void)seq;
    if (ch->n_present == 0) return OK;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(g->q->n_outs + 1), &cols));
    TRY(output_columns(c, g->q, ch, cols));
    if (!ch->present) return rowset_append(c, g->rows, cols, NULL, ch->n);
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(ch->n + 1), &sel));
    for (int64_t i = bits_next(ch->present, 0, ch->n); i < ch->n;
         i = bits_next(ch->present, i + 1, ch->n))
        ((int64_t *)sel)[n++] = i;
    return rowset_append(c, g->rows, cols, sel, n);
}

static enum status keep_list(struct ctx *c, struct grid_copy *g, struct exec *x)
{
    enum type *types = arena_array(c->arena, enum type, g->q->n_outs + 1);
    for (int k = 0; k < g->q->n_outs; k++)
        types[k] = g->q->outs[k].type;
    TRY(rowset_new(c, types, g->q->n_outs, exec_tmp_dir(x), &g->rows));
    g->sink = (struct sink){
        .consume = keep_rows, .ordered = true, .cell_bytes = output_cell_bytes(g->q) + 8};
    return exec_run(c, g->root, NULL, &g->sink);
}

/* ---- chunks ---- */

/* The outputs' columns over a box of the file; *present NULL: all cells exist; *n of them do. */
static enum status get_box(struct ctx *c, struct grid_copy *g, const struct box *box,
                           struct column *cols, uint64_t **present, int64_t *n)
{
    if (g->rows) {
        *present = NULL;
        *n = box_cells(box);
        return rowset_read(c, g->rows, box->lo[0], box->hi[0], NULL, 0, cols);
    }
    struct box want = *box;
    struct chunk ch;
    for (int d = 0; d < want.n_dims; d++) {
        want.lo[d] += g->root->box.lo[d];
        want.hi[d] += g->root->box.lo[d];
    }
    TRY(op_produce(c, g->root, &want, &ch));
    *present = ch.present;
    *n = ch.n_present;
    if (ch.n_present) output_attributes(g->q, &ch, cols);
    return OK;
}

static enum status write_chunk(struct ctx *c, void *self, int worker, int64_t task)
{
    struct grid_copy *g = self;
    struct box box = {.n_dims = g->def.n_dims};
    int64_t index[MAX_DIMS], n_there;
    uint64_t *present;
    void *mem, *none;
    (void)worker;
    TRY(check_cancel(c));
    box_position(&g->chunks, task, index);
    for (int d = 0; d < box.n_dims; d++) {
        box.lo[d] = index[d] * g->def.chunk[d];
        box.hi[d] = box.lo[d] + g->def.chunk[d];
        if (box.hi[d] > g->def.dims[d].n) box.hi[d] = g->def.dims[d].n;
    }
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(g->q->n_outs + 1), &mem));
    struct column *cols = mem;
    int64_t n = box_cells(&box);
    TRY(get_box(c, g, &box, cols, &present, &n_there));
    atomic_fetch_add(&g->n_cells, n_there);
    if (n_there == 0) {
        TRY(scratch_alloc(c, (size_t)bits_words(n) * 8, &none));
        memset(none, 0, (size_t)bits_words(n) * 8);
        present = none;
        for (int k = 0; k < g->q->n_outs; k++) {
            TRY(column_alloc(c, g->q->outs[k].type, n, &cols[k]));
            memset(cols[k].values, 0, (size_t)n * type_bytes(cols[k].type));
        }
    }
    for (int i = 0; i < g->def.n_vars; i++)
        TRY(g->format->put(c, g->writer, i, &box, &cols[g->outs[i]], present));
    return OK;
}

/* So many at once that their boxes fit the budget. */
static int workers_that_fit(struct ctx *c, const struct grid_copy *g)
{
    struct box typical = g->root->box;
    int64_t cells = 1, width = 0;
    for (int d = 0; d < g->def.n_dims; d++) {
        if (!g->rows) typical.hi[d] = typical.lo[d] + g->def.chunk[d];
        cells *= g->def.chunk[d];
    }
    for (int i = 0; i < g->def.n_vars; i++)
        width += 4 * (int64_t)type_bytes(g->def.vars[i].type);
    int64_t bytes = cells * width + (g->rows ? 0 : op_bytes(g->root, &typical)) + (256 << 10);
    int64_t left = c->budget ? budget_left(c->budget) / 2 : INT64_MAX, n = left / bytes;
    return n < 1 ? 1 : n > pool_width(c) ? pool_width(c) : (int)n;
}

static enum status write_once(struct ctx *c, struct grid_copy *g)
{
    int64_t n = box_cells(&g->chunks);
    TRY(g->format->create(c, &g->def, &g->writer));
    atomic_store(&g->n_cells, 0);
    for (int i = 0; i < g->def.n_vars; i++) {
        atomic_store(&g->def.vars[i].missing, false);
        atomic_store(&g->def.vars[i].seen, 0);
    }
    return pool_run(c, n, workers_that_fit(c, g), write_chunk, g);
}

static enum status write_all(struct ctx *c, struct grid_copy *g, const char *path)
{
    for (int attempt = 0; attempt <= ATTEMPTS; attempt++) {
        bool settled = false;
        enum status st = write_once(c, g);
        if (st == OK) st = dsw_settled(c, &g->def, g->format->late_fill, &settled);
        if (st == OK && settled) st = g->format->finish(c, g->writer);
        g->format->free(g->writer);
        g->writer = NULL;
        if (st < 0 || settled) return st;
        copy_remove(path);
    }
    return fail(c, ERR_INTERNAL, "the result changes from one reading to the next");
}

/* ---- streams of tiles ---- */

static enum status emit(struct ctx *c, void *self, const void *bytes, size_t n)
{
    struct copy_sink *s = self;
    return s->cl ? s->cl->copy_out_write(c, s->cl, bytes, n) : copy_write_all(c, s->fd, bytes, n);
}

static enum status write_stream(struct ctx *c, struct run *r, struct grid_copy *g,
                                const struct copy_target *t)
{
    struct copy_sink s = {.fd = -1};
    g->def.emit = emit;
    g->def.emit_self = &s;
    if (r->stmt->end_kind != COPY_FILE) {
        s.cl = r->cl;
        TRY(s.cl->copy_out_begin(c, s.cl, g->q->n_outs, true));
        TRY(write_all(c, g, ""));
        return s.cl->copy_out_end(c, s.cl);
    }
    s.fd = open(t->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (s.fd < 0)
        return fail(c, ERR_IO, "could not open file \"%s\" for writing: %s", t->path,
                    strerror(errno));
    enum status st = write_all(c, g, t->temporary);
    if (st == OK && t->whole && fsync(s.fd) < 0)
        st = fail(c, ERR_IO, "could not write file \"%s\": %s", t->path, strerror(errno));
    close(s.fd);
    return st;
}

/* ---- the statement ---- */

static const struct dsw_format *format_of(const char *name)
{
    return !strcmp(name, "zarr")     ? &zarr_write_format
           : !strcmp(name, "netcdf") ? &netcdf_write_format
                                     : &tile_write_format;
}

static enum status prepare(struct ctx *c, struct grid_copy *g, struct exec *x, int pos)
{
    choose_vars(c, g);
    if (!g->q->is_array) TRY(keep_list(c, g, x));
    choose_dims(g);
    return name_vars(c, g, pos);
}

enum status copy_out_grid(struct ctx *c, struct run *r, const struct copy_options *o,
                          const struct query *q, struct exec *x, int64_t *n_rows)
{
    bool zarr = !strcmp(o->format, "zarr"), stream = !strcmp(o->format, "tile");
    struct grid_copy g = {.q = q, .root = exec_root(x), .format = format_of(o->format)};
    struct copy_target t;
    bool file = r->stmt->end_kind == COPY_FILE;
    if (!file && !stream) {
        fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "format \"%s\" goes to a file only", o->format);
        return hint(c, "COPY … TO 'name' (FORMAT %s) writes on the server's side.", o->format);
    }
    enum copy_kind kind = zarr ? COPY_AS_DIRECTORY : stream ? COPY_AS_STREAM : COPY_AS_FILE;
    if (file) TRY(copy_target_open(c, r, kind, &t));
    g.def.path = file ? t.temporary : "";
    g.def.version = o->version ? o->version : 2;
    enum status st = prepare(c, &g, x, r->stmt->pos);
    if (st == OK) st = stream ? write_stream(c, r, &g, &t) : write_all(c, &g, t.temporary);
    rowset_free(g.rows);
    *n_rows = atomic_load(&g.n_cells);
    return file ? copy_target_close(c, &t, st) : st;
}
