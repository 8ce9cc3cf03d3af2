/* Where may a window function stand, and what does its OVER name? The windows themselves:
 * bind_window_cells.c (OVER [ … ]) and bind_window_rows.c (PARTITION BY, ORDER BY, frames). */
#include "query/agg.h"
#include "query/bind_internal.h"
#include "storage/base/names.h"

static const char *const row_functions[] = {"row_number",   "rank",        "dense_rank", "lag",
                                            "lead",         "first_value", "last_value", "ntile",
                                            "percent_rank", "cume_dist",   "nth_value"};
enum { N_ROW_FUNCTION_NAMES = sizeof row_functions / sizeof *row_functions };

bool is_window_function(const char *name)
{
    for (int i = 0; i < N_ROW_FUNCTION_NAMES; i++)
        if (!strcmp(row_functions[i], name)) return true;
    return false;
}

/* OVER behind a name that is neither a window function's nor an aggregate's. */
static enum status no_window_function(struct binder *b, const char *name, int pos)
{
    if (func_exists(name))
        return fail_at(b->c, ERR_WRONG_OBJECT, pos,
                       "OVER specified, but %s is not a window function nor an aggregate function",
                       name);
    int n_aggs;
    const char *const *aggs = agg_names(&n_aggs);
    const char *near[] = {nearest_name(name, row_functions, N_ROW_FUNCTION_NAMES),
                          nearest_name(name, aggs, n_aggs)};
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, pos, "function %s does not exist", name);
    const char *nearest = near[0] && near[1] ? nearest_name(name, near, 2)
                          : near[0]          ? near[0]
                                             : near[1];
    return nearest ? hint(b->c, "Perhaps you meant \"%s\".", nearest) : ERR_UNDEFINED_FUNCTION;
}

/* ---- names of windows ---- */

static const struct ast_window *find_window(const struct win_list *l, const char *name)
{
    for (int i = 0; i < l->n_defs; i++)
        if (!strcmp(l->defs[i].name, name)) return l->defs[i].w;
    return NULL;
}

/* OVER w is w; OVER (w ORDER BY …) is w's partition with that order and frame. */
static enum status resolve_window(struct binder *b, const struct win_list *l,
                                  const struct ast_window *w, const struct ast_window **out)
{
    int pos = place(b, w->pos);
    *out = w;
    if (!w->name) return OK;
    const struct ast_window *base = find_window(l, w->name);
    if (!base)
        return fail_at(b->c, ERR_UNDEFINED_OBJECT, pos, "window \"%s\" does not exist", w->name);
    /* Those before it alone: so no definition builds on itself. */
    struct win_list before = {.defs = l->defs};
    while (l->defs[before.n_defs].w != base)
        before.n_defs++;
    TRY(resolve_window(b, &before, base, &base));
    if (w->bare) {
        *out = base;
        return OK;
    }
    if (base->by_cells)
        return fail_at(b->c, ERR_WINDOWING, pos, "window \"%s\" is one of cells", w->name);
    if (w->partition.n)
        return fail_at(b->c, ERR_WINDOWING, pos,
                       "cannot override PARTITION BY clause of window \"%s\"", w->name);
    if (w->order.n && base->order.n)
        return fail_at(b->c, ERR_WINDOWING, pos, "cannot override ORDER BY clause of window \"%s\"",
                       w->name);
    if (base->unit) {
        fail_at(b->c, ERR_WINDOWING, pos, "cannot copy window \"%s\" because it has a frame clause",
                w->name);
        bool nothing_new = !w->order.n && !w->unit;
        return nothing_new ? hint(b->c, "Omit the parentheses in this OVER clause.")
                           : ERR_WINDOWING;
    }
    struct ast_window *both = arena_dup(b->c->arena, w, sizeof *w);
    both->name = NULL;
    both->partition = base->partition;
    if (base->order.n) both->order = base->order;
    *out = both;
    return OK;
}

enum status check_windows(struct binder *b, const struct win_list *l)
{
    for (int i = 0; i < l->n_defs; i++) {
        const struct ast_window *w = l->defs[i].w;
        if (find_window(l, l->defs[i].name) != w)
            return fail_at(b->c, ERR_WINDOWING, place(b, w->pos),
                           "window \"%s\" is already defined", l->defs[i].name);
        struct win_list before = {.n_defs = i, .defs = l->defs};
        TRY(resolve_window(b, &before, w, &w));
    }
    return OK;
}

/* ---- calls ---- */

static enum status may_window(struct binder *b, const struct expr_place *in,
                              const struct ast_expr *e)
{
    int pos = place(b, e->pos);
    const char *name = e->name.part[e->name.n - 1];
    if (!e->over)
        return fail_at(b->c, ERR_WRONG_OBJECT, pos, "window function %s requires an OVER clause",
                       name);
    if (in->in_win)
        return fail_at(b->c, ERR_WINDOWING, pos, "window function calls cannot be nested");
    if (in->in_agg)
        return fail_at(b->c, ERR_GROUPING, pos,
                       "aggregate function calls cannot contain window function calls");
    if (!in->wins)
        return fail_at(b->c, ERR_WINDOWING, pos, "window functions are not allowed in %s",
                       in->clause ? in->clause : "this place");
    return OK;
}

static enum status bind_row_function(struct binder *b, const struct expr_place *in,
                                     const struct ast_expr *e, struct win_call *w)
{
    w->call = (struct agg_call){.n_args = e->args.n, .pos = place(b, e->pos)};
    w->call.args = arena_array(b->c->arena, struct expr *, e->args.n + 1);
    if (e->filter)
        return fail_at(b->c, ERR_UNSUPPORTED, w->call.pos,
                       "FILTER is not implemented for non-aggregate window functions");
    for (int i = 0; i < e->args.n; i++)
        TRY(bind_expr(b, in, e->args.v[i], &w->call.args[i]));
    return row_function(b, w);
}

/* PARTITION BY, ORDER BY and the frame's offsets. */
static enum status bind_row_window(struct binder *b, const struct expr_place *in,
                                   struct win_call *w)
{
    const struct ast_window *over = w->over;
    struct arena *a = b->c->arena;
    w->n_partition = over->partition.n;
    w->partition = arena_array(a, struct expr *, w->n_partition + 1);
    for (int i = 0; i < w->n_partition; i++) {
        TRY(bind_expr(b, in, over->partition.v[i], &w->partition[i]));
        TRY(expr_resolve_unknown(b->c, &w->partition[i]));
    }
    w->n_order = over->order.n;
    w->order = arena_array(a, struct sort_key, w->n_order + 1);
    for (int i = 0; i < w->n_order; i++) {
        const struct ast_sort *s = &over->order.v[i];
        w->order[i] =
            (struct sort_key){.desc = s->desc, .nulls_first = s->nulls ? s->nulls == 1 : s->desc};
        TRY(bind_expr(b, in, s->e, &w->order[i].e));
        TRY(expr_resolve_unknown(b->c, &w->order[i].e));
    }
    if (over->from_expr) TRY(bind_expr(b, in, over->from_expr, &w->from));
    if (over->to_expr) TRY(bind_expr(b, in, over->to_expr, &w->to));
    return OK;
}

static void add_call(struct binder *b, struct win_list *l, const struct win_call *w)
{
    if ((l->n & (l->n - 1)) == 0) {
        struct win_call *calls = arena_array(b->c->arena, struct win_call, l->n ? 2 * l->n : 1);
        if (l->n) memcpy(calls, l->calls, sizeof *calls * (size_t)l->n);
        l->calls = calls;
    }
    l->calls[l->n++] = *w;
}

/* What PostgreSQL's windows do not have either. */
static enum status may_window_rows(struct binder *b, const struct ast_expr *e)
{
    int pos = place(b, e->pos);
    if (e->within_group)
        return fail_at(b->c, ERR_UNSUPPORTED, pos,
                       "OVER is not supported for ordered-set aggregate %s",
                       e->name.part[e->name.n - 1]);
    if (e->distinct)
        return fail_at(b->c, ERR_UNSUPPORTED, pos,
                       "DISTINCT is not implemented for window functions");
    if (e->order.n)
        return fail_at(b->c, ERR_UNSUPPORTED, pos,
                       "aggregate ORDER BY is not implemented for window functions");
    return OK;
}

enum status bind_window_call(struct binder *b, const struct expr_place *in,
                             const struct ast_expr *e, struct expr **out)
{
    const char *name = e->name.part[e->name.n - 1];
    int pos = place(b, e->pos);
    struct win_call w = {.function = name};
    TRY(may_window(b, in, e));
    struct expr_place inside = *in;
    inside.in_win = true;
    TRY(resolve_window(b, in->wins, e->over, &w.over));
    if (!w.over->by_cells) TRY(may_window_rows(b, e));
    if (is_window_function(name)) {
        TRY(bind_row_function(b, &inside, e, &w));
    } else if (agg_exists(name)) {
        TRY(bind_agg_call(b, &inside, e, &w.call, &w.type));
    } else {
        return no_window_function(b, name, pos);
    }
    inside.clause = "a window";
    if (!w.over->by_cells) TRY(bind_row_window(b, &inside, &w));
    add_call(b, in->wins, &w);
    *out = expr_make_ref(b->c, E_COL, WIN_BASE + in->wins->n - 1, w.type, pos);
    return OK;
}

/* ---- over groups ---- */

static enum status all_over_groups(struct binder *b, const struct scope *scope,
                                   const struct plan *agg, struct expr **es, int n)
{
    for (int i = 0; i < n; i++)
        TRY(over_groups(b, scope, agg, es[i], &es[i]));
    return OK;
}

enum status windows_over_groups(struct binder *b, const struct scope *scope, const struct plan *agg,
                                struct win_list *wins)
{
    for (int i = 0; i < wins->n; i++) {
        struct win_call *w = &wins->calls[i];
        TRY(all_over_groups(b, scope, agg, w->call.args, w->call.n_args));
        if (w->call.filter) TRY(all_over_groups(b, scope, agg, &w->call.filter, 1));
        TRY(all_over_groups(b, scope, agg, w->partition, w->n_partition));
        for (int k = 0; k < w->n_order; k++)
            TRY(all_over_groups(b, scope, agg, &w->order[k].e, 1));
    }
    return OK;
}

void scope_of_dims(struct binder *b, struct plan *plan, struct scope *out)
{
    const struct scope *outer = out->outer;
    scope_init(b, out, plan, NULL, plan->rel.n_dims);
    out->outer = outer;
    for (int d = 0; d < plan->rel.n_dims; d++)
        if (plan->rel.dims[d].name)
            scope_add(out, plan->rel.dims[d].name, true, d, dim_type(&plan->rel.dims[d]));
}

/* ---- columns ---- */

/* Windows of cells first, then those of rows: over_windows() counts in the same order. */
static int column_of(const struct win_list *wins, int call)
{
    int at = 0;
    bool by_cells = wins->calls[call].over->by_cells;
    for (int i = 0; i < wins->n; i++) {
        bool cells = wins->calls[i].over->by_cells;
        if (cells == by_cells ? i < call : cells) at++;
    }
    return at;
}

static int calls_of(const struct win_list *wins, bool by_cells, const struct win_call **calls)
{
    int n = 0;
    for (int i = 0; i < wins->n; i++)
        if (wins->calls[i].over->by_cells == by_cells) calls[n++] = &wins->calls[i];
    return n;
}

enum status add_windows(struct binder *b, const struct scope *scope, struct win_list *wins,
                        struct plan **plan)
{
    const struct win_call **calls = arena_array(b->c->arena, const struct win_call *, wins->n + 1);
    int n = calls_of(wins, true, calls);
    if (n) TRY(bind_cell_windows(b, scope, calls, n, *plan, plan));
    n = calls_of(wins, false, calls);
    if (n) TRY(bind_row_windows(b, calls, n, *plan, plan));
    return OK;
}

struct expr *over_windows(struct binder *b, const struct win_list *wins, const struct plan *plan,
                          struct expr *e)
{
    if (e->kind == E_COL && e->index >= WIN_BASE) {
        int at = plan->rel.n_cols - wins->n + column_of(wins, e->index - WIN_BASE);
        return expr_make_ref(b->c, E_COL, at, e->type, e->pos);
    }
    if (e->n_args == 0) return e;
    struct expr *copy = arena_dup(b->c->arena, e, sizeof *e);
    copy->args = arena_array(b->c->arena, struct expr *, e->n_args);
    for (int i = 0; i < e->n_args; i++)
        copy->args[i] = over_windows(b, wins, plan, e->args[i]);
    return copy;
}
