/* Which queries can be refreshed in part? Those of whose results any box is made from boxes of
 * their sources that are known beforehand (rewrite_region.c tells which). */
#include "query/bind_internal.h"
#include "query/func.h"
#include "query/materialized.h"
#include <string.h>

static enum status no_part(struct ctx *c, int pos, const char *why)
{
    fail_at(c, ERR_UNSUPPORTED, pos, "the query cannot be refreshed incrementally: %s", why);
    return hint(c, "Without INCREMENTAL it is computed anew as a whole.");
}

static bool note_clock(const struct expr *e, void *self)
{
    int *pos = self;
    if (e->kind == E_CALL && e->func->how == HOW_NOW) *pos = e->pos;
    return true;
}

static bool is_newest(struct ctx *c, const struct bind_env *env, const struct plan *scan)
{
    struct ctx quiet = *c;
    struct array_ref ref = {.name = array_schema(scan->array)->name};
    struct array *now;
    ctx_clear(&quiet);
    return array_open(&quiet, env->txn, &ref, &now) == OK && now == scan->array;
}

/* NULL: boxes of the node's result are made from boxes of its inputs. */
static const char *reason_against(struct ctx *c, const struct bind_env *env, const struct plan *p)
{
    switch (p->kind) {
    case P_SCAN:
        return is_newest(c, env, p) ? NULL : "it reads an old version, which never changes";
    case P_GRID:
    case P_SLICE:
    case P_REBASE:
    case P_TRANSPOSE:
    case P_FILTER:
    case P_MAP:
    case P_JOIN:
    case P_ASOF_JOIN:
    case P_WINDOW_CELLS:
    case P_FETCH:
    case P_FILL:
    case P_STACK:
    case P_RESHAPE:
    case P_REGRID:
    case P_FFT:
    case P_MATMUL:
        return NULL;
    case P_AGGREGATE:
        if (!p->n_keys) return "an aggregate of all cells changes with any of them";
        return p->by_dims ? NULL : "it groups by values, which any cell may change";
    case P_HASH_JOIN:
        return "it joins by value, so any cell may meet any other";
    case P_WINDOW_ROWS:
        return "a window over rows reaches all cells";
    case P_SORT:
    case P_LIMIT:
        return "which rows come first hangs on all of them";
    case P_DISTINCT:
        return "whether a row is the only one hangs on all of them";
    case P_PIVOT:
        return "only running it tells the axes of its result";
    case P_LINALG:
        return "the result hangs on the whole matrix";
    case P_FILE:
        return "it reads files, whose changes are not seen";
    case P_SYS:
        return "it reads a system view, whose changes are not seen";
    default:
        return "its result is a list of rows";
    }
}

static int place_of(const struct plan *p)
{
    for (int k = 0; k < p->n_keys; k++)
        if (p->keys[k].dim < 0 && p->keys[k].e) return p->keys[k].e->pos;
    return p->pos;
}

static enum status check_nodes(struct ctx *c, const struct bind_env *env, const struct plan *p)
{
    for (int i = 0; i < p->n_in; i++)
        TRY(check_nodes(c, env, p->in[i]));
    const char *why = reason_against(c, env, p);
    return why ? no_part(c, place_of(p), why) : OK;
}

enum status refresh_in_part(struct ctx *c, const struct bind_env *env, const struct query *q)
{
    int clock = -1;
    plan_walk(q->root, note_clock, &clock);
    if (env->reads_clock) return no_part(c, clock, "its values change with the time");
    if (q->n_subqueries)
        return no_part(c, q->subqueries[0]->plan->pos,
                       "a sub-query in an expression may be asked for any cell");
    TRY(check_nodes(c, env, q->root));
    if (!q->is_array) return no_part(c, q->root->pos, "its result is a list of rows");
    return OK;
}

/* ---- positions ---- */

static bool note_position(const struct expr *e, void *found)
{
    if (e->kind == E_POS || (e->kind == E_CALL && e->func->how == HOW_RANDOM))
        *(bool *)found = true;
    return true;
}

static void look_at_call(const struct agg_call *a, bool *found)
{
    for (int i = 0; i < a->n_args; i++)
        expr_walk(a->args[i], note_position, found);
    if (a->filter) expr_walk(a->filter, note_position, found);
}

/* Bounds of windows and places of fetches count from the cell: what comes between is in them. */
static void look_at_values(const struct plan *p, bool *found)
{
    for (int i = 0; i < p->n_exprs; i++)
        expr_walk(p->exprs[i], note_position, found);
    for (int i = 0; i < p->n_keys; i++)
        if (p->keys[i].e) expr_walk(p->keys[i].e, note_position, found);
    for (int i = 0; i < p->n_aggs; i++)
        look_at_call(&p->aggs[i], found);
    for (int i = 0; i < p->n_cell_windows; i++)
        look_at_call(&p->cell_windows[i].call, found);
    if (p->residual) expr_walk(p->residual, note_position, found);
    for (int i = 0; i < p->n_in; i++)
        look_at_values(p->in[i], found);
}

bool counts_positions(const struct bind_env *env, const struct query *q)
{
    bool found = env->by_position;
    look_at_values(q->root, &found);
    return found;
}
