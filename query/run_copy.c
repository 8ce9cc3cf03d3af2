/* COPY: which way, and the way in of files that are arrays.
 *
 * A file comes in as a query: its source under a map that casts to the target's types, written like
 * any INSERT … SELECT. What the client sends comes in as rows (copy_in.c). */
#include "query/copy.h"
#include "query/materialized.h"
#include "query/write.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- which columns of the target come ---- */

/* The target's columns that the rows have, in their order: those named, or all. */
enum status copy_columns(struct ctx *c, const struct ast_stmt *stmt, const struct schema *target,
                         const char *const **names, int *n)
{
    int n_dims = target->is_table ? 0 : target->n_dims;
    const char **list =
        arena_array(c->arena, const char *, target->n_dims + target->n_attrs + stmt->columns.n + 1);
    *names = list;
    *n = 0;
    for (int i = 0; i < stmt->columns.n; i++) {
        const char *name = stmt->columns.v[i];
        if (schema_attr(target, name) < 0 && (target->is_table || schema_dim(target, name) < 0))
            return fail_at(c, ERR_UNDEFINED_COLUMN, stmt->pos,
                           "column \"%s\" of array \"%s\" does not exist", name, target->name);
        list[(*n)++] = name;
    }
    if (*n) return OK;
    for (int d = 0; d < n_dims; d++)
        list[(*n)++] = target->dims[d].name;
    for (int k = 0; k < target->n_attrs; k++)
        list[(*n)++] = target->attrs[k].name;
    return OK;
}

enum type copy_column_type(const struct schema *target, const char *name)
{
    int d = target->is_table ? -1 : schema_dim(target, name);
    return d >= 0 ? target->dims[d].axis.type : target->attrs[schema_attr(target, name)].type;
}

struct source_options copy_source_options(const struct copy_options *o)
{
    bool text = !strcmp(o->format, "text");
    return (struct source_options){.format = text ? "csv" : o->format,
                                   .text_format = text,
                                   .header_given = true,
                                   .header = o->header,
                                   .delimiter = o->delimiter,
                                   .quote = o->quote,
                                   .escape = o->escape,
                                   .null_text = o->null_text};
}

/* ---- from a file ---- */

struct file_load {
    const struct schema *target, *from;
    struct array *array; /* the target */
    struct held_row row;
    struct plan scan, map, filter;
    struct query query;
    int *attrs, n_attrs;
    bool numbered; /* the rows have no coordinates */
};

/* One column of the target: the source's dimension or attribute, cast. */
static enum status add_output(struct ctx *c, struct file_load *l, const char *name, enum type want,
                              int from_dim, int from_attr)
{
    struct expr *e;
    enum type has =
        from_dim >= 0 ? l->from->dims[from_dim].axis.type : l->from->attrs[from_attr].type;
    struct out_col *o = &l->query.outs[l->query.n_outs++];
    *o = (struct out_col){.name = name, .type = want};
    if (from_dim >= 0 && has == want) {
        o->is_dim = true;
        o->index = from_dim;
        return OK;
    }
    e = expr_make_ref(c, from_dim >= 0 ? E_DIM : E_COL, from_dim >= 0 ? from_dim : from_attr, has,
                      -1);
    TRY(expr_make_cast(c, e, want, true, -1, &e));
    o->index = l->map.n_exprs;
    l->map.rel.cols[l->map.n_exprs] = (struct rel_col){.name = name, .type = want};
    l->map.exprs[l->map.n_exprs++] = e;
    return OK;
}

/* An attribute that does not come, for the CHECKs to see. */
static void add_default(struct ctx *c, struct file_load *l, int k)
{
    const struct attr *to = &l->target->attrs[k];
    l->query.outs[l->query.n_outs++] =
        (struct out_col){.name = to->name, .type = to->type, .index = l->map.n_exprs};
    l->map.rel.cols[l->map.n_exprs] = (struct rel_col){.name = to->name, .type = to->type};
    l->map.exprs[l->map.n_exprs++] = default_of(c, to, -1);
    l->attrs[l->n_attrs++] = k;
}

static enum status missing_column(struct ctx *c, const struct file_load *l, const char *what,
                                  const char *name)
{
    const char *names[MAX_DIMS + 64];
    int n = 0;
    for (int d = 0; d < l->from->n_dims; d++)
        names[n++] = l->from->dims[d].name;
    for (int k = 0; k < l->from->n_attrs && n < (int)(sizeof names / sizeof *names); k++)
        names[n++] = l->from->attrs[k].name;
    fail(c, ERR_UNDEFINED_COLUMN, "the file has no column for %s \"%s\"", what, name);
    const char *near = nearest_name(name, names, n);
    return near ? hint(c, "Perhaps it is \"%s\" there: rename one of them, or use INSERT … SELECT.",
                       near)
                : hint(c, "INSERT INTO … SELECT … FROM read_…() names columns freely.");
}

/* Dimensions by name; where no name agrees, by position when their number does. */
static enum status match_dims(struct ctx *c, struct file_load *l)
{
    int n_named = 0, n_dims = l->target->is_table ? 0 : l->target->n_dims;
    for (int d = 0; d < n_dims; d++)
        n_named += schema_dim(l->from, l->target->dims[d].name) >= 0 ||
                   schema_attr(l->from, l->target->dims[d].name) >= 0;
    for (int d = 0; d < n_dims; d++) {
        const struct dim *to = &l->target->dims[d];
        int from_dim = schema_dim(l->from, to->name), from_attr = schema_attr(l->from, to->name);
        l->numbered = schema_numbers(l->target) && from_dim < 0 && from_attr < 0;
        if (l->numbered) return OK;
        if (n_named == 0 && l->from->n_dims == n_dims) from_dim = d;
        if (from_dim < 0 && from_attr < 0) return missing_column(c, l, "dimension", to->name);
        TRY(add_output(c, l, to->name, to->axis.type, from_dim, from_attr));
    }
    return OK;
}

/* Attributes by name; a file with one of them and a target with one need not agree. */
static enum status match_attrs(struct ctx *c, struct file_load *l, const struct ast_stmt *stmt)
{
    bool alone = l->from->n_attrs == 1 && l->target->n_attrs == 1;
    for (int k = 0; k < l->target->n_attrs; k++) {
        const struct attr *to = &l->target->attrs[k];
        int from_attr = schema_attr(l->from, to->name),
            from_dim = from_attr < 0 ? schema_dim(l->from, to->name) : -1;
        bool named = stmt->columns.n == 0;
        for (int i = 0; i < stmt->columns.n; i++)
            named = named || !strcmp(stmt->columns.v[i], to->name);
        if (!named && l->row.checks.n) add_default(c, l, k);
        if (!named) continue;
        if (from_attr < 0 && from_dim < 0 && alone) from_attr = 0;
        if (from_attr < 0 && from_dim < 0) {
            if (stmt->columns.n) return missing_column(c, l, "attribute", to->name);
            if (l->row.checks.n) add_default(c, l, k);
            continue; /* it takes its default */
        }
        TRY(add_output(c, l, to->name, to->type, from_dim, from_attr));
        l->attrs[l->n_attrs++] = k;
    }
    if (l->n_attrs == 0 && l->target->n_attrs > 0)
        return missing_column(c, l, "attribute", l->target->attrs[0].name);
    return OK;
}

static void source_rel(struct ctx *c, struct file_load *l, struct source *src)
{
    const struct schema *s = l->from;
    struct rel *rel = &l->scan.rel;
    int64_t extents[MAX_DIMS];
    source_grid(src, extents);
    rel->n_dims = s->n_dims;
    rel->n_cols = s->n_attrs;
    rel->dims = arena_array(c->arena, struct rel_dim, s->n_dims + 1);
    rel->cols = arena_array(c->arena, struct rel_col, s->n_attrs + 1);
    l->scan.source_attrs = arena_array(c->arena, int, s->n_attrs + 1);
    for (int d = 0; d < s->n_dims; d++)
        rel->dims[d] = (struct rel_dim){.name = s->dims[d].name,
                                        .axis = &s->dims[d].axis,
                                        .lo = s->dims[d].axis.lo,
                                        .hi = s->dims[d].axis.hi,
                                        .stride = 1,
                                        .tile = extents[d]};
    for (int k = 0; k < s->n_attrs; k++) {
        rel->cols[k] = (struct rel_col){
            .name = s->attrs[k].name, .type = s->attrs[k].type, .unit = s->attrs[k].unit};
        l->scan.source_attrs[k] = k;
    }
}

/* WHERE, over the target's columns as the file gives them. */
static enum status filter_load(struct ctx *c, struct run *r, struct file_load *l)
{
    struct bind_env env = session_bind_env(r);
    struct expr *e;
    TRY(bind_copy_where(c, &env, r->stmt->where, l->target->name, &l->map, l->query.outs,
                        l->query.n_outs, &e));
    l->filter = l->map;
    l->filter.kind = P_FILTER;
    l->filter.in = arena_array(c->arena, struct plan *, 1);
    l->filter.in[0] = &l->map;
    l->filter.exprs = arena_dup(c->arena, &e, sizeof e);
    l->filter.n_exprs = 1;
    l->filter.rel.dims = arena_dup(c->arena, l->map.rel.dims,
                                   sizeof(struct rel_dim) * (size_t)(l->map.rel.n_dims + 1));
    l->filter.rel.cols = arena_dup(c->arena, l->map.rel.cols,
                                   sizeof(struct rel_col) * (size_t)(l->map.rel.n_cols + 1));
    l->query.root = &l->filter;
    return OK;
}

static enum status plan_load(struct ctx *c, struct run *r, struct source *src,
                             const struct source_options *so, const char *file, struct file_load *l)
{
    l->from = source_schema(src);
    int n = l->target->n_dims + l->target->n_attrs + 1;
    source_rel(c, l, src);
    l->scan.kind = P_FILE;
    l->scan.source_options = so;
    l->scan.label = file;
    l->scan.opened = src;
    l->map.kind = P_MAP;
    l->map.n_in = 1;
    l->map.in = arena_array(c->arena, struct plan *, 1);
    l->map.in[0] = &l->scan;
    l->map.rel.n_dims = l->scan.rel.n_dims;
    l->map.rel.dims = arena_dup(c->arena, l->scan.rel.dims,
                                sizeof(struct rel_dim) * (size_t)(l->scan.rel.n_dims + 1));
    l->map.rel.cols = arena_array(c->arena, struct rel_col, n);
    l->map.exprs = arena_array(c->arena, struct expr *, n);
    l->query.outs = arena_array(c->arena, struct out_col, n);
    l->attrs = arena_array(c->arena, int, n);
    TRY(match_dims(c, l));
    TRY(match_attrs(c, l, r->stmt));
    l->map.rel.n_cols = l->map.n_exprs;
    l->query.root = &l->map;
    l->query.is_array = true;
    return r->stmt->where ? filter_load(c, r, l) : OK;
}

static enum status load_source(struct ctx *c, struct run *r, const struct copy_options *o,
                               struct file_load *l, int64_t *n)
{
    const struct schema *target = l->target;
    struct exec *x = NULL;
    TRY(plan_rewrite(c, &l->query, false)); /* drops what the target has no use for */
    struct write_job j = {.query = &l->query,
                          .target = target->name,
                          .mode = o->conflict,
                          .attrs = l->attrs,
                          .n_attrs = l->n_attrs,
                          .numbered = target->is_table || l->numbered,
                          .before = l->array,
                          .row = &l->row};
    struct rowset *none;
    enum status st = exec_open(c, &l->query, NULL, 0, r->s->txn, &x);
    if (st == OK) st = write_query(c, x, &j, n, &none);
    exec_close(x);
    return st;
}

enum status copy_refuse_changed(struct ctx *c, const struct copy_files *files, bool numbered)
{
    if (!files->changed || !numbered) return OK;
    fail(c, ERR_NOT_IN_STATE, "file \"%s\" has changed since it was loaded", files->changed);
    return hint(c, "Its rows have no coordinates that tell which of them are new.");
}

bool copy_ends_statement(const struct ctx *c)
{
    static const enum status ends[] = {ERR_INTERNAL, ERR_CORRUPT,      ERR_SERIALIZATION,
                                       ERR_DEADLOCK, ERR_LOCK_TIMEOUT, ERR_CANCELLED,
                                       ERR_SHUTDOWN, ERR_MEMORY,       ERR_DISK_FULL,
                                       ERR_IO,       ERR_READ_ONLY,    ERR_CONNECTION};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (c->err.code == ends[i]) return true;
    return c->err.position >= 0;
}

/* The files are opened here, and read by the executor. */
static enum status copy_from_arrays(struct ctx *c, struct run *r, const struct copy_options *o,
                                    struct array *array, const struct copy_files *files, int64_t *n)
{
    const struct schema *target = array_schema(array);
    struct bind_env env = session_bind_env(r);
    struct source_options *so = arena_new_of(c->arena, struct source_options);
    *so = copy_source_options(o);
    so->root = r->s->settings.file_root.s;
    so->tmp_dir = db_tmp(r->s->engine->db);
    so->target = target;
    so->files = files->names;
    so->n_files = files->n;
    TRY(copy_columns(c, r->stmt, target, &so->columns, &so->n_columns));
    if (r->stmt->columns.n == 0 && o->header) so->n_columns = 0; /* the header names them */
    struct file_load *l = arena_new_of(c->arena, struct file_load);
    struct source *src;
    l->target = target;
    l->array = array;
    TRY(bind_checks(c, &env, target, &l->row));
    TRY(source_open(c, files->names[0], so, &src));
    *files->opened = true;
    for (int i = 0; i < files->n; i++)
        files->cells[i] = source_file_cells(src, files->n, files->names[i]);
    enum status st = plan_load(c, r, src, so, files->names[0], l);
    if (st == OK) st = copy_refuse_changed(c, files, target->is_table || l->numbered);
    if (st == OK) st = load_source(c, r, o, l, n);
    source_close(src);
    return st;
}

enum status copy_from_source(struct ctx *c, struct run *r, const struct copy_options *o,
                             struct array *array, const struct copy_files *files, int64_t *n)
{
    return !strcmp(o->format, "binary") ? copy_from_rows(c, r, o, array, files, n)
                                        : copy_from_arrays(c, r, o, array, files, n);
}

/* ---- either way ---- */

static bool is_of_rows(const char *format)
{
    return !strcmp(format, "csv") || !strcmp(format, "text") || !strcmp(format, "binary");
}

/* What the client sends is a file: kept until it is loaded, as it is not read from start to end. */
static enum status copy_from_sent(struct ctx *c, struct run *r, const struct copy_options *o,
                                  struct array *array, int64_t *n)
{
    const char *bytes, *path;
    size_t len;
    if (!strcmp(o->format, "zarr")) {
        fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "format \"zarr\" comes from a directory only");
        return hint(c, "COPY … FROM 'name' (FORMAT zarr) reads on the server's side.");
    }
    path = arena_printf(c->arena, "%s/sent.%d", db_tmp(r->s->engine->db), r->s->pid);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, ERR_IO, "could not make a temporary file: %s", strerror(errno));
    enum status st = r->cl->copy_in_begin(c, r->cl, 1, true);
    while (st == OK) {
        st = r->cl->copy_in_read(c, r->cl, &bytes, &len);
        if (st < 0 || len == 0) break;
        st = copy_write_all(c, fd, bytes, len);
    }
    close(fd);
    int64_t cells;
    bool opened;
    struct copy_files file = {.names = &path, .n = 1, .cells = &cells, .opened = &opened};
    if (st == OK) st = copy_from_arrays(c, r, o, array, &file, n);
    unlink(path);
    return st;
}

static enum status run_copy_from(struct ctx *c, struct run *r, const struct copy_options *o)
{
    struct array_ref ref = {.name = last_part(&r->stmt->name), .position = r->stmt->name.pos};
    struct array *a;
    int64_t n = 0;
    TRY(want_write(c, r->s, "COPY FROM"));
    TRY(need_txn(c, r->s));
    TRY(array_open(c, r->s->txn, &ref, &a));
    TRY(refuse_materialized(c, r, &r->stmt->name, "change"));
    TRY(lock_changed(c, r, ref.name));
    TRY(array_open(c, r->s->txn, &ref, &a)); /* as of now */
    if (r->stmt->end_kind == COPY_FILE)
        TRY(copy_from_files(c, r, o, a, &n));
    else if (is_of_rows(o->format))
        TRY(copy_from_rows(c, r, o, a, NULL, &n));
    else
        TRY(copy_from_sent(c, r, o, a, &n));
    return tag(r, "COPY %lld", (long long)n);
}

/* COPY a TO is COPY (SELECT * FROM a) TO. */
static enum status select_of(struct ctx *c, const struct ast_stmt *stmt,
                             const struct ast_select **out)
{
    struct ast_script script;
    struct strbuf text = STRBUF_INIT;
    strbuf_adds(&text, "SELECT ");
    for (int i = 0; i < stmt->columns.n; i++)
        strbuf_addf(&text, "%s\"%s\"", i ? ", " : "", stmt->columns.v[i]);
    strbuf_addf(&text, "%s FROM ", stmt->columns.n ? "" : "*");
    for (int i = 0; i < stmt->name.n; i++)
        strbuf_addf(&text, "%s\"%s\"", i ? "." : "", stmt->name.part[i]);
    const char *kept = arena_strdup(c->arena, text.s);
    strbuf_release(&text);
    TRY(parse_script(c, kept, strlen(kept), &script));
    *out = script.v[0]->select;
    return OK;
}

/* A slice with a step has positions in between where no cell is. */
static bool has_steps(const struct query *q)
{
    bool any = false;
    for (int d = 0; q->is_array && d < q->root->rel.n_dims; d++)
        any = any || q->root->rel.dims[d].stride != 1;
    return any;
}

/* SELECT * FROM (select): its positions start afresh. */
static const struct ast_select *select_from(struct ctx *c, const struct ast_select *inner)
{
    struct ast_select *out = arena_new_of(c->arena, struct ast_select);
    struct ast_from *from = arena_new_of(c->arena, struct ast_from), **list;
    struct ast_target *star = arena_new_of(c->arena, struct ast_target);
    list = arena_new_of(c->arena, struct ast_from *);
    *from = (struct ast_from){.kind = FROM_SELECT,
                              .pos = inner->pos,
                              .select = (struct ast_select *)(uintptr_t)inner,
                              .depth = inner->depth + 1};
    *list = from;
    star->pos = inner->pos;
    *out = (struct ast_select){.pos = inner->pos,
                               .targets = {.n = 1, .v = star},
                               .from = {.n = 1, .v = list},
                               .depth = inner->depth + 2};
    return out;
}

static enum status run_copy_to(struct ctx *c, struct run *r, const struct copy_options *o)
{
    const struct ast_select *sel = r->stmt->inner ? r->stmt->inner->select : NULL;
    struct query q;
    struct exec *x = NULL;
    int64_t n = 0;
    if (!sel) TRY(select_of(c, r->stmt, &sel));
    enum status st = open_query(c, r, sel, !is_of_rows(o->format), &q, &x);
    if (st == OK && !is_of_rows(o->format) && has_steps(&q)) {
        exec_close(x);
        x = NULL;
        st = open_query(c, r, select_from(c, sel), true, &q, &x);
    }
    if (st == OK) st = copy_out(c, r, o, &q, x, &n);
    exec_close(x);
    if (st < 0 && !r->stmt->inner) c->err.position = c->err.position < 0 ? -1 : r->stmt->name.pos;
    return st < 0 ? st : tag(r, "COPY %lld", (long long)n);
}

enum status run_copy(struct ctx *c, struct run *r)
{
    struct copy_options o;
    if (r->stmt->end_kind == COPY_PROGRAM)
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "COPY with PROGRAM is not available");
    if (r->stmt->inner && r->stmt->inner->kind != S_SELECT)
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->inner->pos,
                       "COPY of a changing statement is not available");
    TRY(copy_options_read(c, r->stmt, &o));
    if (!r->stmt->copy_from) return run_copy_to(c, r, &o);
    return at_target(c, run_copy_from(c, r, &o), &r->stmt->name);
}
