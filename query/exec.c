/* How does a plan become a tree of open operators, and what did each of them do?
 *
 * Operators and their names live in the statement's arena, so closing is for what is not: rowsets,
 * buffers, files. What sub-queries give before a cell is seen is there before the tree above them
 * opens. */
#include "query/op_classes.h"
#include "query/subquery.h"
#include <assert.h>

/* What operators of one tree share, by the key in their plans. */
struct shared {
    struct shared *next;
    const void *key;
    int n_users;
    void (*release)(void *self);
    void *self;
};

struct exec {
    struct shared *shared;
    const struct query *q;
    struct env env;
    struct txn *txn;
    struct op *root;
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

enum status exec_share(struct ctx *c, struct exec *x, const void *key, size_t size,
                       void (*release)(void *self), void **out)
{
    struct shared *s = x->shared;
    while (s && (!key || s->key != key))
        s = s->next;
    if (!s) {
        s = arena_new_of(c->arena, struct shared);
        *s = (struct shared){.next = x->shared, .key = key, .release = release};
        s->self = arena_alloc(c->arena, size);
        memset(s->self, 0, size);
        x->shared = s;
    }
    s->n_users++;
    *out = s->self;
    return OK;
}

void exec_unshare(struct exec *x, void *self)
{
    struct shared **at = &x->shared;
    while ((*at)->self != self)
        at = &(*at)->next;
    if (--(*at)->n_users) return;
    (*at)->release(self);
    *at = (*at)->next;
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

static enum status open_all(struct ctx *c, struct exec *x)
{
    const struct query *q = x->q;
    int n_slots = 0;
    for (int i = 0; i < q->n_subqueries; i++)
        if (q->subqueries[i]->slot >= n_slots) n_slots = q->subqueries[i]->slot + 1;
    x->env.subqueries = arena_array(c->arena, struct subquery_run *, n_slots);
    x->env.n_subqueries = n_slots;
    for (int i = 0; i < q->n_subqueries; i++) {
        const struct subquery *sq = q->subqueries[i];
        TRY(subquery_open(c, x, sq, &x->env.subqueries[sq->slot]));
    }
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
    for (int i = 0; i < x->env.n_subqueries; i++)
        subquery_close(x->env.subqueries[i]);
    x->env.n_subqueries = 0;
}

enum status exec_plan(struct ctx *c, const struct exec *x, const struct plan *p,
                      const struct value *args, int n_args, struct sink *sink)
{
    struct arena *arena = c->arena; /* a worker has none */
    struct exec inner = *x;
    inner.root = NULL;
    inner.shared = NULL;
    inner.env.outer = args;
    inner.env.n_outer = n_args;
    c->arena = arena_new();
    enum status s = open_tree(c, &inner, p, &inner.root);
    if (s == OK) s = exec_run(c, inner.root, NULL, sink);
    close_tree(inner.root);
    arena_free(c->arena);
    c->arena = arena;
    return s;
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
