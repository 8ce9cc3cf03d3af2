/* An aggregate as an operator: opens by running its whole input, then serves boxes of the result.
 */
#include "query/op_aggregate.h"
#include "query/op_classes.h"
#include "query/op_rowset.h"
#include "query/rowset_internal.h"
#include "storage/base/pool.h"

/* Calls of the same values share their rows. */
static int leader_of(const struct aggregate *a, int i)
{
    const struct agg_call *call = &a->op->plan->aggs[i];
    for (int k = 0; k < i && a->set.calls[i].holistic; k++) {
        const struct agg_call *other = &a->op->plan->aggs[k];
        if (!a->set.calls[k].holistic || a->leader[k] != k ||
            !holistic_shares(&a->set.calls[i], &a->set.calls[k]))
            continue;
        if (!expr_equal(call->args[0], other->args[0]) || !call->filter != !other->filter ||
            (call->filter && !expr_equal(call->filter, other->filter)))
            continue;
        return k;
    }
    return i;
}

static enum status bind_calls(struct ctx *c, struct aggregate *a)
{
    const struct plan *p = a->op->plan;
    const struct env *env = exec_env(a->op->exec);
    int most = p->n_keys + 1;
    for (int i = 0; i < p->n_aggs; i++)
        most += p->aggs[i].n_args + 1;
    struct expr **es = arena_array(c->arena, struct expr *, most);
    a->set.calls = arena_array(c->arena, struct agg_bound, p->n_aggs + 1);
    a->holistic = arena_array(c->arena, struct holistic *, p->n_aggs + 1);
    a->leader = arena_array(c->arena, int, p->n_aggs + 1);
    a->unique = p->unique;
    for (int i = 0; i < p->n_aggs; i++) {
        TRY(agg_bind(c, &p->aggs[i], env, es, &a->n_slots, &a->set.calls[i]));
        a->set.n = i + 1;
        a->set.ranks |= a->set.calls[i].ranks;
        a->unique |= a->set.calls[i].agg->id == AGG_ONLY;
        a->leader[i] = leader_of(a, i);
    }
    for (int k = 0; k < p->n_keys && !p->by_dims; k++)
        if (p->keys[k].e) es[a->n_slots++] = p->keys[k].e;
    struct program *program = NULL;
    if (a->n_slots) TRY(program_compile(c, es, a->n_slots, &p->in[0]->rel, env, &program));
    a->program = program;
    return OK;
}

static enum status aggregate_open(struct ctx *c, struct op *op)
{
    struct aggregate *a = arena_new_of(c->arena, struct aggregate);
    op->state = a;
    a->op = op;
    a->n_workers = pool_width(c);
    a->present_col = -1;
    a->n_cols = op->plan->rel.n_cols;
    a->cols = arena_array(c->arena, int, a->n_cols + 1);
    TRY(bind_calls(c, a));
    if (op->plan->by_dims || !op->plan->n_keys) return aggregate_dims(c, a);
    return aggregate_hash(c, a);
}

static void aggregate_close(struct op *op)
{
    struct aggregate *a = op->state;
    if (!a) return;
    aggregate_holistic_free(a);
    rowset_free(a->result);
    a->result = NULL;
}

/* ---- holistic calls ---- */

/* The calls that share call i's rows, itself the first. */
static int sharers(const struct aggregate *a, int i, int *calls)
{
    int n = 0;
    for (int k = i; k < a->set.n; k++)
        if (a->leader[k] == i) calls[n++] = k;
    return n;
}

static bool leads(const struct aggregate *a, int i)
{
    return a->set.calls[i].holistic && a->leader[i] == i;
}

enum status aggregate_holistic_new(struct ctx *c, struct aggregate *a, const enum type *key_types,
                                   int n_keys)
{
    int n = 0;
    int *which = arena_array(c->arena, int, a->set.n + 1);
    const struct agg_bound **calls = arena_array(c->arena, const struct agg_bound *, a->set.n + 1);
    for (int i = 0; i < a->set.n; i++)
        n += leads(a, i);
    for (int i = 0; i < a->set.n; i++) {
        if (!leads(a, i)) continue;
        int n_calls = sharers(a, i, which);
        for (int k = 0; k < n_calls; k++)
            calls[k] = &a->set.calls[which[k]];
        TRY(holistic_new(c, calls, n_calls, key_types, n_keys, a->n_workers, memory_share(c, 4) / n,
                         exec_tmp_dir(a->op->exec), &a->holistic[i]));
    }
    return OK;
}

void aggregate_holistic_free(struct aggregate *a)
{
    for (int i = 0; i < a->set.n; i++) {
        holistic_free(a->holistic[i]);
        a->holistic[i] = NULL;
    }
}

enum status aggregate_holistic_results(struct ctx *c, struct aggregate *a, struct column *cols,
                                       int64_t n)
{
    void *mem;
    TRY(scratch_alloc(c, sizeof(int) * (size_t)(a->set.n + 1), &mem));
    int *which = mem;
    TRY(scratch_alloc(c, sizeof(struct column *) * (size_t)(a->set.n + 1), &mem));
    struct column **out = mem;
    for (int k = 0; k < a->set.n; k++) {
        if (!a->holistic[k]) continue;
        const int64_t *counts = cols[k].values;
        int n_calls = sharers(a, k, which);
        for (int x = 0; x < n_calls; x++) {
            out[x] = &cols[which[x]];
            TRY(column_alloc(c, a->set.calls[which[x]].result, n, out[x]));
            TRY(column_need_valid(c, out[x], n));
        }
        for (int64_t i = 0; i < n; i++)
            TRY(holistic_next(c, a->holistic[k], counts[i], out, i));
    }
    return OK;
}

enum status aggregate_duplicate(struct ctx *c, const struct aggregate *a, const char *keys)
{
    if (*keys)
        fail_at(c, ERR_DUPLICATE_CELL, a->op->plan->pos, "two cells go to (%s)", keys);
    else
        fail_at(c, ERR_DUPLICATE_CELL, a->op->plan->pos, "two cells go to one");
    return hint(c, "Put another dimension in brackets, or GROUP BY the ones that are and aggregate "
                   "the rest.");
}

/* ---- serving ---- */

static enum status aggregate_produce(struct ctx *c, struct op *op, const struct box *want,
                                     struct chunk *out)
{
    const struct aggregate *a = op->state;
    return rowset_chunk(c, a->result, &op->plan->rel, &op->box, want, a->cols, a->present_col, out);
}

const struct op_class op_aggregate_class = {"aggregate", aggregate_open, aggregate_produce,
                                            aggregate_close};
