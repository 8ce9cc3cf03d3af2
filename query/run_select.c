/* Running queries: rows to the client, EXPLAIN. */
#include "query/session_internal.h"
#include <stdio.h>
#include <string.h>

enum status open_query(struct ctx *c, struct run *r, const struct ast_select *sel, bool stored,
                       struct query *q, struct exec **x)
{
    bool cached = false;
    TRY(need_txn(c, r->s));
    if (!stored && r->stmt->select == sel) TRY(cached_query(c, r, q, &cached));
    if (!cached) {
        struct bind_env env = session_bind_env(r);
        env.stored = stored;
        TRY(bind_select(c, &env, sel, q));
        TRY(plan_rewrite(c, q, !r->s->settings.optimizer.n));
    }
    return exec_open(c, q, r->params, r->n_params, r->s->txn, x);
}

void output_attributes(const struct query *q, const struct chunk *ch, struct column *cols)
{
    for (int k = 0; k < q->n_outs; k++)
        if (!q->outs[k].is_dim) cols[k] = ch->cols[q->outs[k].index];
}

enum status output_columns(struct ctx *c, const struct query *q, const struct chunk *ch,
                           struct column *cols)
{
    output_attributes(q, ch, cols);
    for (int k = 0; k < q->n_outs; k++) {
        const struct out_col *o = &q->outs[k];
        if (!o->is_dim) continue;
        TRY(column_alloc(c, o->type, ch->n, &cols[k]));
        chunk_coords(ch, o->index, ch->rel->dims[o->index].axis, cols[k].values);
    }
    return OK;
}

int64_t output_cell_bytes(const struct query *q)
{
    int64_t bytes = 0;
    for (int k = 0; k < q->n_outs; k++)
        if (q->outs[k].is_dim) bytes += (int64_t)type_bytes(q->outs[k].type);
    return bytes;
}

/* ---- rows to a client ---- */

struct row_sink {
    struct sink sink;
    const struct query *q;
    struct client *cl;
    int64_t n_rows;
};

static enum status send_rows(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                             const struct chunk *ch)
{
    struct row_sink *s = (struct row_sink *)sink;
    (void)worker, (void)seq;
    if (ch->n_present == 0) return OK;
    void *cols;
    TRY(scratch_alloc(c, sizeof(struct column) * (size_t)(s->q->n_outs + 1), &cols));
    TRY(output_columns(c, s->q, ch, cols));
    s->n_rows += ch->n_present;
    return s->cl->rows(c, s->cl, cols, s->q->n_outs, ch->present, ch->n);
}

static enum status send_description(struct ctx *c, struct client *cl, const struct query *q)
{
    struct column_desc *d = arena_array(c->arena, struct column_desc, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++)
        d[k] = (struct column_desc){q->outs[k].name, q->outs[k].type};
    return cl->columns(c, cl, d, q->n_outs);
}

enum status run_select(struct ctx *c, struct run *r, const struct ast_select *sel)
{
    struct query q;
    struct exec *x = NULL;
    enum status st = open_query(c, r, sel, false, &q, &x);
    struct row_sink s = {.sink = {.consume = send_rows, .ordered = true}, .q = &q, .cl = r->cl};
    s.sink.cell_bytes = st == OK ? output_cell_bytes(&q) : 0;
    if (st == OK) st = send_description(c, r->cl, &q);
    if (st == OK) st = exec_run(c, exec_root(x), NULL, &s.sink);
    exec_close(x);
    return st < 0 ? st : tag(r, "SELECT %lld", (long long)s.n_rows);
}

enum status send_rowset(struct ctx *c, struct client *cl, const struct rowset *rows, int n_cols,
                        int64_t lo, int64_t hi)
{
    while (lo < hi) {
        int64_t n = hi - lo < 8192 ? hi - lo : 8192;
        struct scratch_mark m = scratch_mark(c->scratch);
        void *cols, *which = NULL;
        enum status st = scratch_alloc(c, sizeof(struct column) * (size_t)(n_cols + 1), &cols);
        if (st == OK) st = scratch_alloc(c, sizeof(int) * (size_t)(n_cols + 1), &which);
        for (int k = 0; k < n_cols && st == OK; k++)
            ((int *)which)[k] = k;
        if (st == OK) st = rowset_read(c, rows, lo, lo + n, which, n_cols, cols);
        if (st == OK) st = cl->rows(c, cl, cols, n_cols, NULL, n);
        scratch_release(c->scratch, m);
        TRY(st);
        lo += n;
    }
    return OK;
}

/* ---- keeping rows: cursors, portals fetched in parts ---- */

static enum status keep_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                                int n)
{
    struct keeper *k = (struct keeper *)cl;
    enum type *types = arena_array(c->arena, enum type, n + 1);
    for (int i = 0; i < n; i++)
        types[i] = cols[i].type;
    k->cols = arena_dup(c->arena, cols, sizeof *cols * (size_t)n);
    k->n_cols = n;
    return rowset_new(c, types, n, k->tmp_dir, &k->rows);
}

static enum status keep_rows(struct ctx *c, struct client *cl, const struct column *cols,
                             int n_cols, const uint64_t *present, int64_t n)
{
    struct keeper *k = (struct keeper *)cl;
    (void)n_cols;
    if (!present) return rowset_append(c, k->rows, cols, NULL, n);
    void *sel;
    int64_t n_sel = 0;
    TRY(scratch_alloc(c, sizeof(int64_t) * (size_t)(n + 1), &sel));
    for (int64_t i = bits_next(present, 0, n); i < n; i = bits_next(present, i + 1, n))
        ((int64_t *)sel)[n_sel++] = i;
    return rowset_append(c, k->rows, cols, sel, n_sel);
}

static void keep_notice(void *self, const char *severity, const char *sqlstate, const char *message)
{
    struct keeper *k = self;
    if (k->outer->notice) k->outer->notice(k->outer, severity, sqlstate, message);
}

void keeper_init(struct keeper *k, struct client *outer, const char *tmp_dir)
{
    *k = (struct keeper){
        .client = {.columns = keep_columns, .rows = keep_rows, .notice = keep_notice},
        .outer = outer,
        .n_cols = -1,
        .tmp_dir = tmp_dir};
}

/* ---- lines of text as a result ---- */

enum status send_lines(struct ctx *c, struct client *cl, const char *column, const char *text)
{
    struct column_desc d = {column, T_TEXT};
    TRY(cl->columns(c, cl, &d, 1));
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        struct text line = {at, (int64_t)n};
        struct column col = {.type = T_TEXT, .values = &line};
        TRY(cl->rows(c, cl, &col, 1, NULL, 1));
        at += n + (at[n] == '\n');
    }
    return OK;
}
