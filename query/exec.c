/* How does a plan become a tree of open operators, and what did each of them do?
 *
 * Operators and their names live in the statement's arena, so closing is for what is not: rowsets,
 * buffers, files. Sub-queries run to their one value before the tree above them opens. */
#include "query/op_classes.h"
#include <assert.h>
#include <pthread.h>

struct exec {
    const struct query *q;
    struct env env;
    struct txn *txn;
    struct op *root;
    struct op **subs; /* of the sub-queries; NULL when closed: their value is known */
};

const struct op_class *op_class_of(enum plan_kind k)
{
    static const struct op_class *const classes[N_PLAN_KINDS] = {
#define X(kind, name) [kind] = &op_##name##_class,
        OP_CLASS_LIST(X)
#undef X
    };
    return classes[k];
}

struct op *exec_root(struct exec *x)
{
    return x->root;
}

const struct env *exec_env(const struct exec *x)
{
    return &x->env;
}

struct txn *exec_txn(struct exec *x)
{
    return x->txn;
}

const char *exec_tmp_dir(const struct exec *x)
{
    return x->txn ? db_tmp(txn_db(x->txn)) : "/tmp";
}

/* ---- the tree ---- */

static void default_grid(struct op *op)
{
    rel_box(&op->plan->rel, &op->box);
    for (int d = 0; d < op->box.n_dims; d++) {
        int64_t tile = op->plan->rel.dims[d].tile;
        op->grid[d] = tile > 0 ? tile : 65536;
    }
}

/* *out is set before anything can fail, so that what was opened can be closed. */
static enum status open_tree(struct ctx *c, struct exec *x, const struct plan *p, struct op **out)
{
    struct op *op = arena_new_of(c->arena, struct op);
    *out = op;
    op->cls = op_class_of(p->kind);
    op->plan = p;
    op->exec = x;
    op->n_in = p->n_in;
    op->in = arena_array(c->arena, struct op *, p->n_in);
    for (int i = 0; i < p->n_in; i++)
        TRY(open_tree(c, x, p->in[i], &op->in[i]));
    default_grid(op);
    return op->cls->open(c, op);
}

static void close_tree(struct op *op)
{
    if (!op) return;
    if (op->cls->close) op->cls->close(op);
    for (int i = 0; i < op->n_in; i++)
        close_tree(op->in[i]);
}

/* ---- sub-queries ---- */

struct one_value {
    struct sink sink;
    pthread_mutex_t lock;
    const struct subquery *sq;
    struct arena *arena;
    int64_t n_rows;
    struct value value;
};

static struct value cell_value(const struct chunk *ch, const struct subquery *sq, int64_t cell)
{
    if (sq->is_dim) {
        int64_t pos[MAX_DIMS];
        box_position(&ch->box, cell, pos);
        const struct axis *axis = ch->rel->dims[sq->column].axis;
        return axis ? axis_coord(axis, pos[sq->column]) : value_int(T_INT64, pos[sq->column]);
    }
    const struct column *col = &ch->cols[sq->column];
    if (column_is_null(col, cell)) return value_null(col->type);
    return value_get(col->type, col->values, cell);
}

static enum status take_value(struct ctx *c, struct sink *sink, int worker, int64_t seq,
                              const struct chunk *ch)
{
    (void)c, (void)worker, (void)seq;
    struct one_value *s = (struct one_value *)sink;
    pthread_mutex_lock(&s->lock);
    if (s->n_rows == 0 && !s->sq->exists) {
        struct value v = cell_value(ch, s->sq, ch->present ? bits_next(ch->present, 0, ch->n) : 0);
        s->value = value_dup(s->arena, &v);
    }
    s->n_rows += ch->n_present;
    if (s->sq->exists || s->n_rows > 1) atomic_store(&s->sink.done, true);
    pthread_mutex_unlock(&s->lock);
    return OK;
}

static enum type subquery_type(const struct subquery *sq)
{
    const struct rel *r = &sq->plan->rel;
    if (!sq->is_dim) return r->cols[sq->column].type;
    return r->dims[sq->column].axis ? r->dims[sq->column].axis->type : T_INT64;
}

static enum status run_subquery(struct ctx *c, struct exec *x, int i)
{
    const struct subquery *sq = x->q->subqueries[i];
    struct value *slot = &x->env.subqueries[sq->slot];
    TRY(open_tree(c, x, sq->plan, &x->subs[i]));
    struct one_value s = {.sink = {.consume = take_value}, .sq = sq, .arena = c->arena};
    if (!sq->exists) s.value = value_null(subquery_type(sq));
    pthread_mutex_init(&s.lock, NULL);
    enum status st = exec_run(c, x->subs[i], NULL, &s.sink);
    pthread_mutex_destroy(&s.lock);
    TRY(st);
    close_tree(x->subs[i]);
    x->subs[i] = NULL;
    if (sq->exists) {
        *slot = value_int(T_BOOL, s.n_rows > 0);
    } else {
        if (s.n_rows > 1)
            return fail_at(c, ERR_CARDINALITY, sq->plan->pos,
                           "more than one row returned by a subquery used as an expression");
        *slot = s.value;
    }
    return OK;
}

static enum status open_all(struct ctx *c, struct exec *x)
{
    const struct query *q = x->q;
    int n_slots = 0;
    for (int i = 0; i < q->n_subqueries; i++)
        if (q->subqueries[i]->slot >= n_slots) n_slots = q->subqueries[i]->slot + 1;
    x->subs = arena_array(c->arena, struct op *, q->n_subqueries);
    x->env.subqueries = arena_array(c->arena, struct value, n_slots);
    x->env.n_subqueries = n_slots;
    for (int i = 0; i < q->n_subqueries; i++)
        TRY(run_subquery(c, x, i));
    return open_tree(c, x, q->root, &x->root);
}

enum status exec_open(struct ctx *c, const struct query *q, const struct value *params,
                      int n_params, struct txn *txn, struct exec **out)
{
    struct exec *x = arena_new_of(c->arena, struct exec);
    x->q = q;
    x->txn = txn;
    x->env.params = params;
    x->env.n_params = n_params;
    x->env.statement_us = txn ? txn_time_us(txn) : wall_us();
    enum status s = open_all(c, x);
    if (s < 0) {
        exec_close(x);
        return s;
    }
    *out = x;
    return OK;
}

void exec_close(struct exec *x)
{
    if (!x) return;
    close_tree(x->root);
    x->root = NULL;
    for (int i = 0; x->subs && i < x->q->n_subqueries; i++)
        close_tree(x->subs[i]);
    x->subs = NULL;
}

/* ---- producing ---- */

enum status op_produce(struct ctx *c, struct op *op, const struct box *want, struct chunk *out)
{
    TRY(check_cancel(c));
    assert(want->n_dims == op->box.n_dims && box_contains(&op->box, want));
    if (box_empty(want)) {
        chunk_empty(&op->plan->rel, want, out);
        return OK;
    }
    int64_t start_ns = now_ns();
    TRY(op->cls->produce(c, op, want, out));
    assert(box_equal(&out->box, want));
    atomic_fetch_add_explicit(&op->stats.boxes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&op->stats.cells, out->n_present, memory_order_relaxed);
    atomic_fetch_add_explicit(&op->stats.time_ns, now_ns() - start_ns, memory_order_relaxed);
    return OK;
}

/* ---- EXPLAIN ANALYZE ---- */

/* The line of plan_format that starts at `text`, with the operator's figures; returns the next. */
static const char *format_node(const struct op *op, const char *text, struct strbuf *out)
{
    const char *end = text;
    while (*end && *end != '\n')
        end++;
    strbuf_add(out, text, (size_t)(end - text));
    strbuf_addf(out, " (boxes=%lld cells=%lld time=%.3f ms)\n", (long long)op->stats.boxes,
                (long long)op->stats.cells, (double)op->stats.time_ns / 1e6);
    if (*end) end++;
    for (int i = 0; i < op->n_in; i++)
        end = format_node(op->in[i], end, out);
    return end;
}

void exec_format(struct exec *x, struct strbuf *out)
{
    struct strbuf plan = STRBUF_INIT;
    plan_format(x->q, &plan);
    const char *rest = plan.s ? format_node(x->root, plan.s, out) : "";
    strbuf_adds(out, rest);
    strbuf_release(&plan);
}
