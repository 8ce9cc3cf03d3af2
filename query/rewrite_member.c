/* When are tests for membership joins? WHERE … x IN (SELECT …), EXISTS and NOT of either, over a
 * sub-query that can have more keys than memory takes: looking them up one by one would read a page
 * of keys from disk for each cell. SEMI and ANTI joins part both sides by the keys' hash instead.
 *
 * Few keys stay a lookup: it tells scans which tiles cannot have any of them. */
#include "query/func.h"
#include "query/rewrite_internal.h"
#include "query/rowset_internal.h"

enum { KEY_BYTES = 16 };

struct counting {
    const struct subquery *sq;
    int n;
};

static bool count_asking(const struct expr *e, void *self)
{
    struct counting *k = self;
    k->n += e->kind == E_SUBQUERY && e->subquery == k->sq;
    return true;
}

static int n_asking(const struct query *q, const struct subquery *sq)
{
    struct counting k = {.sq = sq};
    plan_walk(q->root, count_asking, &k);
    for (int i = 0; i < q->n_subqueries; i++) {
        plan_walk(q->subqueries[i]->plan, count_asking, &k);
        if (q->subqueries[i]->empty) plan_walk(q->subqueries[i]->empty, count_asking, &k);
        if (q->subqueries[i]->each) plan_walk(q->subqueries[i]->each->plan, count_asking, &k);
    }
    return k.n;
}

/* The test in a condition, plain or under NOT. */
static struct expr *test_of(struct ctx *c, const struct query *q, struct expr *e, bool *negated)
{
    *negated = e->kind == E_NOT;
    if (*negated) e = e->args[0];
    if (e->kind != E_SUBQUERY || !e->subquery->exists || !e->subquery->n_keys) return NULL;
    bool many = plan_cells(e->subquery->plan) * KEY_BYTES > (double)memory_share(c, 4);
    return many && n_asking(q, e->subquery) == 1 ? e : NULL;
}

static void forget(struct query *q, const struct subquery *sq)
{
    int n = 0;
    for (int i = 0; i < q->n_subqueries; i++)
        if (q->subqueries[i] != sq) q->subqueries[n++] = q->subqueries[i];
    q->n_subqueries = n;
}

static struct plan *join_of(struct ctx *c, struct query *q, struct plan *in,
                            const struct expr *test, bool negated)
{
    const struct subquery *sq = test->subquery;
    struct plan *p = plan_new(c, P_HASH_JOIN, test->pos, 2);
    p->hash_join = negated ? HASH_ANTI : HASH_SEMI;
    p->rel = in->rel;
    p->rel.dims = arena_array(c->arena, struct rel_dim, in->rel.n_dims + 1);
    if (in->rel.n_dims)
        memcpy(p->rel.dims, in->rel.dims, sizeof *p->rel.dims * (size_t)in->rel.n_dims);
    p->in[0] = in;
    p->in[1] = sq->plan;
    p->n_join_keys = sq->n_keys;
    p->left_keys = test->args;
    p->right_keys = arena_array(c->arena, struct expr *, sq->n_keys);
    for (int i = 0; i < sq->n_keys; i++)
        p->right_keys[i] = col_ref(c, &sq->plan->rel, sq->keys[i]);
    forget(q, sq);
    return p;
}

/* A filter by one test for membership, if it has one: what comes before the test in the condition
 * goes below the join, and so does what cannot fail; the rest stays above. */
static struct plan *take_test(struct ctx *c, struct query *q, struct plan *p)
{
    struct expr **parts = &p->exprs[0], *test = NULL;
    int n = conjuncts(p->exprs[0], &parts), n_below = 0, n_above = 0;
    struct expr **below = arena_array(c->arena, struct expr *, n);
    struct expr **above = arena_array(c->arena, struct expr *, n);
    bool negated = false, no;
    for (int i = 0; i < n; i++) {
        struct expr *found = test ? NULL : test_of(c, q, parts[i], &no);
        if (found) {
            test = found;
            negated = no;
        } else if (test && expr_may_fail(parts[i])) {
            above[n_above++] = parts[i];
        } else {
            below[n_below++] = parts[i];
        }
    }
    if (!test) return p;
    struct plan *in = p->in[0];
    if (n_below) in = take_test(c, q, plan_filter(c, in, and_of(c, below, n_below)));
    in = join_of(c, q, in, test, negated);
    return n_above ? take_test(c, q, plan_filter(c, in, and_of(c, above, n_above))) : in;
}

static void join_members(struct ctx *c, struct query *q, struct plan **slot)
{
    for (int i = 0; i < (*slot)->n_in; i++)
        join_members(c, q, &(*slot)->in[i]);
    if ((*slot)->kind == P_FILTER) *slot = take_test(c, q, *slot);
}

void join_all_members(struct ctx *c, struct query *q)
{
    int n = q->n_subqueries;
    struct subquery **all = arena_array(c->arena, struct subquery *, n + 1);
    if (n) memcpy(all, q->subqueries, sizeof *all * (size_t)n);
    for (int i = 0; i < n; i++) /* inner ones come first */
        if (!all[i]->n_args) join_members(c, q, &all[i]->plan);
    join_members(c, q, &q->root);
}
