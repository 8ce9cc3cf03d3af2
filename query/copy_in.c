/* COPY … FROM what comes as rows: from the client, or a file in PostgreSQL's binary format. */
#include "query/check.h"
#include "query/copy.h"
#include "query/held.h"
#include "query/write.h"
#include "storage/base/value.h"
#include "storage/files/source_parts.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* A schema whose attributes are the rows' columns. */
static struct schema *row_schema(struct ctx *c, const struct schema *target,
                                 const char *const *names, int n)
{
    struct schema *s = arena_new_of(c->arena, struct schema);
    s->name = target->name;
    s->n_attrs = n;
    s->attrs = arena_array(c->arena, struct attr, n + 1);
    for (int i = 0; i < n; i++)
        s->attrs[i] = (struct attr){.name = names[i], .type = copy_column_type(target, names[i])};
    return s;
}

#define PIECE (1 << 20)

struct stream_load {
    struct client *cl;
    struct csv_parser *csv; /* or: */
    struct binary_parser *binary;
    const struct rel *rel;  /* of the rows' columns */
    struct program *filter; /* WHERE; NULL: none */
    struct row_target to;
    const struct copy_files *files; /* NULL: from the client */
    int64_t n_rows;                 /* that came */
    const struct schema *target;
    int *order; /* writer's column i is the rows' column order[i]; -1: it takes its default */
    int n_cols; /* of the rows */
    int n_dims; /* of them, how many are coordinates once they are in order */
};

/* An attribute that does not come, for the CHECKs to see. */
static enum status default_column(struct ctx *c, const struct attr *a, int64_t n,
                                  struct column *out)
{
    struct value v = a->has_default ? a->deflt : value_null(a->type);
    if (v.null) return column_nulls(c, a->type, n, out);
    TRY(column_alloc(c, a->type, n, out));
    for (int64_t i = 0; i < n; i++)
        value_put(&v, out->values, i);
    return OK;
}

/* Leaves the rows that WHERE is true for. */
static enum status filter_rows(struct ctx *c, const struct stream_load *l, struct column *cols,
                               int64_t *rows)
{
    struct chunk ch = {.box = {.n_dims = 1, .hi = {*rows}},
                       .n = *rows,
                       .n_present = *rows,
                       .n_cols = l->n_cols,
                       .cols = cols,
                       .rel = l->rel};
    TRY(program_filter(c, l->filter, &ch));
    if (ch.n_present == ch.n) return OK;
    int64_t kept = 0;
    for (int64_t i = bits_next(ch.present, 0, ch.n); ch.n_present && i < ch.n;
         i = bits_next(ch.present, i + 1, ch.n), kept++) {
        for (int k = 0; k < l->n_cols; k++) {
            size_t w = type_bytes(cols[k].type);
            char *values = cols[k].values;
            memmove(values + (size_t)kept * w, values + (size_t)i * w, w);
            if (cols[k].valid) bit_put(cols[k].valid, kept, bit_get(cols[k].valid, i));
        }
    }
    *rows = kept;
    return OK;
}

/* *more: rows are left that the parser holds. */
static enum status feed(struct ctx *c, struct stream_load *l, const char *bytes, size_t len,
                        bool last, int64_t *n, bool *more)
{
    struct scratch_mark mark = scratch_mark(c->scratch);
    int64_t rows = 0;
    void *mem, *sorted;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(l->n_cols + 1), &mem));
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(l->to.n_cols + 1), &sorted));
    struct column *cols = mem, *in_order = sorted;
    *more = false;
    if (l->csv)
        TRY(csv_parser_feed(c, l->csv, bytes, len, last, cols, &rows));
    else
        TRY(binary_parser_feed(c, l->binary, bytes, len, last, cols, &rows, more));
    l->n_rows += rows;
    if (l->filter && rows) TRY(filter_rows(c, l, cols, &rows));
    for (int i = 0; i < l->to.n_cols; i++) {
        if (l->order[i] >= 0)
            in_order[i] = cols[l->order[i]];
        else
            TRY(default_column(c, &l->target->attrs[i - l->n_dims], rows, &in_order[i]));
    }
    enum status st = rows ? write_rows(c, &l->to, in_order, rows, n) : OK;
    scratch_release(c->scratch, mark);
    return st;
}

static enum status feed_all(struct ctx *c, struct stream_load *l, const char *bytes, size_t len,
                            bool last, int64_t *n)
{
    bool more;
    TRY(feed(c, l, bytes, len, last, n, &more));
    while (more)
        TRY(feed(c, l, "", 0, last, n, &more));
    return OK;
}

static enum status stream_rows(struct ctx *c, struct stream_load *l, int64_t *n)
{
    struct strbuf pending = STRBUF_INIT;
    enum status st = OK;
    for (bool last = false; st == OK && !last;) {
        const char *bytes;
        size_t len;
        st = check_cancel(c);
        if (st == OK) st = l->cl->copy_in_read(c, l->cl, &bytes, &len);
        if (st < 0) break;
        last = len == 0;
        if (!last) strbuf_add(&pending, bytes, len);
        if (!last && pending.len < PIECE) continue;
        st = feed_all(c, l, pending.s ? pending.s : "", pending.len, last, n);
        strbuf_clear(&pending);
    }
    strbuf_release(&pending);
    return st;
}

static enum status read_file(struct ctx *c, struct stream_load *l, const char *path, int64_t *n)
{
    int fd;
    int64_t bytes;
    void *piece = NULL;
    TRY(file_open_read(c, path, &fd, &bytes));
    enum status st = buf_alloc(c, PIECE, &piece);
    for (int64_t at = 0; st == OK;) {
        size_t len = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
        st = check_cancel(c);
        if (st == OK) st = file_read_at(c, fd, path, piece, len, at);
        at += (int64_t)len;
        if (st == OK) st = feed_all(c, l, piece, len, at == bytes, n);
        if (at == bytes) break;
    }
    close(fd);
    buf_free(piece);
    return st;
}

/* Each has a header and an end of its own. */
static enum status read_files(struct ctx *c, struct stream_load *l, const struct schema *columns,
                              int64_t *n)
{
    TRY(copy_refuse_changed(c, l->files, l->to.numbered));
    for (int i = 0; i < l->files->n; i++) {
        binary_parser_free(l->binary);
        l->binary = NULL;
        l->n_rows = 0;
        TRY(binary_parser_new(c, columns, &l->binary));
        TRY(read_file(c, l, l->files->names[i], n));
        l->files->cells[i] = l->n_rows;
    }
    return OK;
}

static bool named(const char *const *names, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

/* Dimensions first, then the attributes that come; all: the others too. */
static enum status order_columns(struct ctx *c, struct stream_load *l, const char *const *names,
                                 int n, bool all, int *attrs, int *n_attrs)
{
    int at_col = 0, n_missing = 0;
    l->n_dims = l->to.numbered ? 0 : l->target->n_dims;
    for (int d = 0; d < l->n_dims; d++) {
        int found = -1;
        for (int i = 0; i < n; i++)
            if (!strcmp(names[i], l->target->dims[d].name)) found = i;
        if (found < 0)
            return fail(c, ERR_NOT_NULL, "dimension \"%s\" of array \"%s\" is missing",
                        l->target->dims[d].name, l->target->name);
        l->order[at_col++] = found;
    }
    for (int k = 0; k < l->target->n_attrs; k++) {
        int found = 0;
        for (int i = 0; i < n; i++)
            if (!strcmp(names[i], l->target->attrs[k].name)) {
                l->order[at_col++] = i;
                attrs[(*n_attrs)++] = k;
                found++;
            }
        if (found || !all) continue;
        l->order[at_col++] = -1;
        attrs[(*n_attrs)++] = k;
        n_missing++;
    }
    l->to.n_cols = at_col;
    if (at_col - n_missing != n)
        return fail(c, ERR_DUPLICATE_COLUMN, "a column is named more than once");
    return OK;
}

/* CHECKs are compiled, and rows are held back where the first of a cell counts, or none may stand
 * twice. */
static enum status prepare_rows(struct ctx *c, struct run *r, const struct copy_options *o,
                                struct array *array, const struct held_row *row, const int *attrs,
                                int n_attrs, struct row_target *to)
{
    struct env *env = arena_new_of(c->arena, struct env);
    env->statement_us = txn_time_us(r->s->txn);
    const struct schema *target = writer_schema(to->writer);
    if (to->numbered) to->next_row = target->dims[0].axis.hi;
    TRY(checker_new(c, row, target->n_attrs, target->name, env, &to->checker));
    if (o->conflict == CONFLICT_ERROR) return OK;
    enum type *types = arena_array(c->arena, enum type, n_attrs + 1);
    for (int i = 0; i < n_attrs; i++)
        types[i] = target->attrs[attrs[i]].type;
    struct hold h = {.writer = to->writer,
                     .env = env,
                     .tmp_dir = db_tmp(r->s->engine->db),
                     .mode = o->conflict,
                     .before = array,
                     .row = row,
                     .values = types,
                     .n_values = n_attrs,
                     .n_written = n_attrs,
                     .attrs = attrs};
    return held_new(c, &h, &to->held);
}

static enum status prepare_filter(struct ctx *c, struct run *r, struct stream_load *l,
                                  const struct schema *columns)
{
    struct bind_env env = session_bind_env(r);
    struct plan *p = arena_new_of(c->arena, struct plan);
    struct out_col *cols = arena_array(c->arena, struct out_col, columns->n_attrs + 1);
    struct env *run_env = arena_new_of(c->arena, struct env);
    struct expr *e;
    if (!r->stmt->where) return OK;
    run_env->statement_us = txn_time_us(r->s->txn);
    p->kind = P_VALUES;
    p->rel.n_dims = 1;
    p->rel.dims = arena_array(c->arena, struct rel_dim, 1);
    p->rel.dims[0] = (struct rel_dim){.hi = INT64_MAX, .stride = 1};
    p->rel.n_cols = columns->n_attrs;
    p->rel.cols = arena_array(c->arena, struct rel_col, columns->n_attrs + 1);
    for (int i = 0; i < columns->n_attrs; i++) {
        const struct attr *a = &columns->attrs[i];
        p->rel.cols[i] = (struct rel_col){.name = a->name, .type = a->type};
        cols[i] = (struct out_col){.name = a->name, .type = a->type, .index = i};
    }
    TRY(bind_copy_where(c, &env, r->stmt->where, columns->name, p, cols, columns->n_attrs, &e));
    l->rel = &p->rel;
    return program_compile(c, &e, 1, &p->rel, run_env, &l->filter);
}

static enum status make_parser(struct ctx *c, const struct copy_options *o,
                               const struct schema *columns, struct stream_load *l)
{
    struct source_options so = copy_source_options(o);
    if (!strcmp(o->format, "binary")) return binary_parser_new(c, columns, &l->binary);
    return csv_parser_new(c, &so, columns, &l->csv);
}

static enum status load_rows(struct ctx *c, struct stream_load *l, const struct schema *columns,
                             int64_t *n)
{
    struct rowset *none;
    if (l->files) {
        TRY(read_files(c, l, columns, n));
    } else {
        TRY(l->cl->copy_in_begin(c, l->cl, l->n_cols, l->binary != NULL));
        TRY(stream_rows(c, l, n));
    }
    if (l->to.held) TRY(held_write(c, l->to.held, n, &none));
    return writer_finish(c, l->to.writer);
}

enum status copy_from_rows(struct ctx *c, struct run *r, const struct copy_options *o,
                           struct array *array, const struct copy_files *files, int64_t *n)
{
    const struct schema *target = array_schema(array);
    const char *const *names;
    int n_cols, n_attrs = 0;
    struct held_row row;
    struct bind_env env = session_bind_env(r);
    TRY(copy_columns(c, r->stmt, target, &names, &n_cols));
    TRY(bind_checks(c, &env, target, &row));
    struct stream_load l = {.cl = r->cl, .target = target, .n_cols = n_cols, .files = files};
    l.to.numbered =
        target->is_table || (schema_numbers(target) && !named(names, n_cols, target->dims[0].name));
    int most = n_cols + target->n_attrs + 1;
    int *attrs = arena_array(c->arena, int, most);
    l.order = arena_array(c->arena, int, most);
    TRY(order_columns(c, &l, names, n_cols, row.checks.n > 0, attrs, &n_attrs));
    const struct schema *columns = row_schema(c, target, names, n_cols);
    TRY(prepare_filter(c, r, &l, columns));
    TRY(make_parser(c, o, columns, &l));
    enum status st =
        writer_open(c, r->s->txn, target->name, o->conflict, attrs, n_attrs, &l.to.writer);
    if (st == OK) st = prepare_rows(c, r, o, array, &row, attrs, n_attrs, &l.to);
    if (st == OK) st = load_rows(c, &l, columns, n);
    held_free(l.to.held);
    writer_free(l.to.writer);
    csv_parser_free(l.csv);
    binary_parser_free(l.binary);
    return st;
}
