/* Which columns does anybody look at? The others are not made, and not read. */
#include "query/rewrite_internal.h"

/* ---- what expressions use ---- */

static bool note_use(const struct expr *e, void *self)
{
    if (e->kind == E_COL) ((bool *)self)[e->index] = true;
    return true;
}

static void use(const struct expr *e, bool *need)
{
    if (e) expr_walk(e, note_use, need);
}

static struct expr *renumber(struct ctx *c, const struct expr *e, void *self)
{
    const int *map = self;
    if (e->kind != E_COL) return NULL;
    return expr_make_ref(c, E_COL, map[e->index], e->type, e->pos);
}

static struct expr *with_map(struct ctx *c, struct expr *e, int *map)
{
    return e ? expr_map(c, e, renumber, map) : NULL;
}

static void copy_need(const bool *need, int n, bool *to)
{
    for (int i = 0; i < n; i++)
        to[i] = need[i];
}

/* Keeps the needed of n columns of the relation; map says where. */
static int keep_columns(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n = 0;
    struct rel_col *cols = arena_array(c->arena, struct rel_col, p->rel.n_cols + 1);
    for (int i = 0; i < p->rel.n_cols; i++) {
        map[i] = need[i] ? n : -1;
        if (need[i]) cols[n++] = p->rel.cols[i];
    }
    p->rel.cols = cols;
    return n;
}

static void keep_all(const struct plan *p, int *map)
{
    for (int i = 0; i < p->rel.n_cols; i++)
        map[i] = i;
}

/* An input that gives exactly the needed columns, in order. */
static void prune_exactly(struct ctx *c, struct plan **in, const bool *need)
{
    int n_old = (*in)->rel.n_cols, n = 0;
    int *map = arena_array(c->arena, int, n_old + 1);
    prune_columns(c, *in, need, map);
    struct expr **es = arena_array(c->arena, struct expr *, n_old + 1);
    const char **names = arena_array(c->arena, const char *, n_old + 1);
    bool same = true;
    for (int i = 0; i < n_old; i++) {
        if (!need[i]) continue;
        same = same && map[i] == n;
        es[n] = col_ref(c, &(*in)->rel, map[i]);
        names[n++] = (*in)->rel.cols[map[i]].name;
    }
    if (!same || n != (*in)->rel.n_cols) *in = plan_map(c, *in, es, names, n);
}

/* ---- node by node ---- */

static void prune_scan(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_old = p->rel.n_cols, n = keep_columns(c, p, need, map);
    int **list = p->kind == P_SCAN ? &p->attrs : &p->source_attrs;
    int *kept = arena_array(c->arena, int, n + 1);
    for (int i = 0; i < n_old; i++)
        if (map[i] >= 0) kept[map[i]] = (*list)[i];
    *list = kept;
    p->rel.n_cols = n;
}

static void prune_values(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_old = p->rel.n_cols, n = keep_columns(c, p, need, map);
    struct expr **rows = arena_array(c->arena, struct expr *, p->n_rows * n + 1);
    for (int64_t r = 0; r < p->n_rows; r++)
        for (int i = 0; i < n_old; i++)
            if (map[i] >= 0) rows[r * n + map[i]] = p->rows[r * n_old + i];
    p->rows = rows;
    p->rel.n_cols = n;
}

static void prune_map(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_old = p->rel.n_cols, n = keep_columns(c, p, need, map);
    bool *below = arena_array(c->arena, bool, p->in[0]->rel.n_cols + 1);
    int *below_map = arena_array(c->arena, int, p->in[0]->rel.n_cols + 1);
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    for (int i = 0; i < n_old; i++)
        if (map[i] >= 0) use(p->exprs[i], below);
    prune_columns(c, p->in[0], below, below_map);
    for (int i = 0; i < n_old; i++)
        if (map[i] >= 0) es[map[i]] = with_map(c, p->exprs[i], below_map);
    p->exprs = es;
    p->n_exprs = n;
    p->rel.n_cols = n;
}

/* Filters, sorts: what they look at is passed on as well. */
static void prune_passing(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    bool *below = arena_array(c->arena, bool, p->rel.n_cols + 1);
    copy_need(need, p->rel.n_cols, below);
    if (p->kind == P_FILTER) use(p->exprs[0], below);
    for (int i = 0; i < p->n_sort; i++)
        use(p->sort[i].e, below);
    prune_columns(c, p->in[0], below, map);
    if (p->kind == P_FILTER) p->exprs[0] = with_map(c, p->exprs[0], map);
    for (int i = 0; i < p->n_sort; i++)
        p->sort[i].e = with_map(c, p->sort[i].e, map);
    follow_columns(p);
}

static void prune_join(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_left = p->in[0]->rel.n_cols, n_right = p->in[1]->rel.n_cols;
    bool *below = arena_array(c->arena, bool, n_left + n_right + 1);
    copy_need(need, n_left + n_right, below);
    use(p->residual, below);
    prune_columns(c, p->in[0], below, map);
    prune_columns(c, p->in[1], below + n_left, map + n_left);
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    struct rel_col *cols = arena_array(c->arena, struct rel_col, l->n_cols + r->n_cols + 1);
    for (int i = 0; i < n_left + n_right; i++) {
        if (i >= n_left && map[i] >= 0) map[i] += l->n_cols;
        if (map[i] >= 0) cols[map[i]] = p->rel.cols[i];
    }
    /* What a side gives unasked keeps its name there. */
    for (int i = 0; i < l->n_cols + r->n_cols; i++)
        if (!cols[i].name) cols[i] = i < l->n_cols ? l->cols[i] : r->cols[i - l->n_cols];
    p->rel.n_cols = l->n_cols + r->n_cols;
    p->rel.cols = cols;
    p->residual = with_map(c, p->residual, map);
}

/* Both sides' columns, one after the other (but SEMI and ANTI give the left's alone), and what the
 * keys and the residual look at. */
static void prune_by_value(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    bool left_only = p->kind == P_HASH_JOIN && p->hash_join >= HASH_SEMI;
    int n_left = p->in[0]->rel.n_cols, n_right = p->in[1]->rel.n_cols;
    bool *below = arena_array(c->arena, bool, n_left + n_right + 1);
    int *both = arena_array(c->arena, int, n_left + n_right + 1);
    copy_need(need, left_only ? n_left : n_left + n_right, below);
    use(p->residual, below);
    for (int k = 0; k < p->n_join_keys; k++) {
        use(p->left_keys[k], below);
        use(p->right_keys[k], below + n_left);
    }
    prune_columns(c, p->in[0], below, both);
    prune_columns(c, p->in[1], below + n_left, both + n_left);
    for (int k = 0; k < p->n_join_keys; k++) {
        p->left_keys[k] = with_map(c, p->left_keys[k], both);
        p->right_keys[k] = with_map(c, p->right_keys[k], both + n_left);
    }
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    for (int i = n_left; i < n_left + n_right; i++)
        if (both[i] >= 0) both[i] += l->n_cols;
    p->residual = with_map(c, p->residual, both);
    int n_old = left_only ? n_left : n_left + n_right;
    int n_new = left_only ? l->n_cols : l->n_cols + r->n_cols;
    struct rel_col *cols = arena_array(c->arena, struct rel_col, n_new + 1);
    for (int i = 0; i < n_new; i++)
        cols[i] = i < l->n_cols ? l->cols[i] : r->cols[i - l->n_cols];
    for (int i = 0; i < n_old; i++) {
        map[i] = both[i];
        if (both[i] >= 0) cols[both[i]] = p->rel.cols[i];
    }
    p->rel.n_cols = n_new;
    p->rel.cols = cols;
}

/* The fetched columns that are looked at, and the points that they are at. */
static void keep_fetched(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n = 0, n_points = 0;
    int *point_at = arena_array(c->arena, int, p->n_points + 1);
    struct fetch_point *points = arena_array(c->arena, struct fetch_point, p->n_points + 1);
    struct fetch_col *cols = arena_array(c->arena, struct fetch_col, p->n_fetched + 1);
    for (int i = 0; i < p->n_points; i++)
        point_at[i] = -1;
    for (int i = 0; i < p->n_fetched; i++) {
        map[i] = need[i] ? n : -1;
        if (!need[i]) continue;
        cols[n] = p->fetched[i];
        int *at = &point_at[cols[n].point];
        if (*at < 0) points[ *at = n_points++] = p->points[cols[n].point];
        cols[n++].point = *at;
    }
    p->points = points;
    p->n_points = n_points;
    p->fetched = cols;
    p->n_fetched = n;
}

static void prune_fetch(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_in = p->in[0]->rel.n_cols, n_dims = p->in[p->n_in - 1]->rel.n_dims;
    int n_source = p->in[p->n_in - 1]->rel.n_cols, n_fetched = p->n_fetched;
    bool *below = arena_array(c->arena, bool, n_in + 1);
    bool *source = arena_array(c->arena, bool, n_source + 1);
    int *source_map = arena_array(c->arena, int, n_source + 1);
    const struct rel_col *was = p->rel.cols;
    copy_need(need, n_in, below);
    keep_fetched(c, p, need + n_in, map + n_in);
    for (int i = 0; i < p->n_points; i++)
        for (int d = 0; d < n_dims; d++)
            use(p->points[i].dims[d].e, below);
    for (int i = 0; i < p->n_fetched; i++)
        (p->n_in == 1 ? below : source)[p->fetched[i].col] = true;
    prune_columns(c, p->in[0], below, map);
    if (p->n_in == 2) prune_columns(c, p->in[1], source, source_map);
    for (int i = 0; i < p->n_points; i++)
        for (int d = 0; d < n_dims; d++)
            p->points[i].dims[d].e = with_map(c, p->points[i].dims[d].e, map);
    for (int i = 0; i < p->n_fetched; i++)
        p->fetched[i].col = (p->n_in == 1 ? map : source_map)[p->fetched[i].col];
    const struct rel *in = &p->in[0]->rel;
    struct rel_col *cols = arena_array(c->arena, struct rel_col, in->n_cols + p->n_fetched + 1);
    memcpy(cols, in->cols, sizeof *cols * (size_t)in->n_cols);
    for (int i = n_in; i < n_in + n_fetched; i++) {
        if (map[i] < 0) continue;
        map[i] += in->n_cols;
        cols[map[i]] = was[i];
    }
    p->rel.cols = cols;
    p->rel.n_cols = in->n_cols + p->n_fetched;
}

static void use_call(const struct agg_call *a, bool *need)
{
    use(a->filter, need);
    for (int i = 0; i < a->n_args; i++)
        use(a->args[i], need);
}

static void renumber_call(struct ctx *c, struct agg_call *a, int *map)
{
    struct expr **args = arena_array(c->arena, struct expr *, a->n_args + 1);
    for (int i = 0; i < a->n_args; i++)
        args[i] = with_map(c, a->args[i], map);
    a->args = args;
    a->filter = with_map(c, a->filter, map);
}

static void prune_aggregate(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int first = p->by_dims ? 0 : p->n_keys, n_in = p->in[0]->rel.n_cols;
    bool *kept = arena_array(c->arena, bool, p->rel.n_cols + 1);
    bool *below = arena_array(c->arena, bool, n_in + 1);
    int *below_map = arena_array(c->arena, int, n_in + 1);
    for (int i = 0; i < p->rel.n_cols; i++)
        kept[i] = i < first || need[i];
    int n = keep_columns(c, p, kept, map);
    struct agg_call *aggs = arena_array(c->arena, struct agg_call, p->n_aggs + 1);
    for (int i = 0; i < p->n_aggs; i++) {
        if (map[first + i] < 0) continue;
        aggs[map[first + i] - first] = p->aggs[i];
        use_call(&p->aggs[i], below);
    }
    p->rel.n_cols = n;
    p->aggs = aggs;
    p->n_aggs = n - first;
    for (int k = 0; k < p->n_keys; k++)
        use(p->keys[k].e, below);
    prune_columns(c, p->in[0], below, below_map);
    for (int k = 0; k < p->n_keys; k++)
        p->keys[k].e = with_map(c, p->keys[k].e, below_map);
    for (int i = 0; i < p->n_aggs; i++)
        renumber_call(c, &aggs[i], below_map);
}

static void use_window(const struct row_window *w, bool *need)
{
    for (int i = 0; i < w->n_partition; i++)
        use(w->partition[i], need);
    for (int i = 0; i < w->n_order; i++)
        use(w->order[i].e, need);
}

static void renumber_window(struct ctx *c, struct row_window *w, int *map)
{
    w->partition =
        arena_dup(c->arena, w->partition, sizeof(struct expr *) * (size_t)w->n_partition);
    w->order = arena_dup(c->arena, w->order, sizeof *w->order * (size_t)w->n_order);
    for (int i = 0; i < w->n_partition; i++)
        w->partition[i] = with_map(c, w->partition[i], map);
    for (int i = 0; i < w->n_order; i++)
        w->order[i].e = with_map(c, w->order[i].e, map);
}

/* Windows that no call is left of go. */
static void keep_windows(struct ctx *c, struct plan *p)
{
    int n = 0, *now = arena_array(c->arena, int, p->n_windows + 1);
    for (int i = 0; i < p->n_windows; i++)
        now[i] = -1;
    for (int i = 0; i < p->n_calls; i++)
        now[p->calls[i].window] = 0;
    for (int i = 0; i < p->n_windows; i++) {
        if (now[i] < 0) continue;
        now[i] = n;
        p->windows[n++] = p->windows[i];
    }
    p->n_windows = n;
    for (int i = 0; i < p->n_calls; i++)
        p->calls[i].window = now[p->calls[i].window];
}

static void prune_windows(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_in = p->in[0]->rel.n_cols, n_calls = 0;
    bool *below = arena_array(c->arena, bool, n_in + 1);
    copy_need(need, n_in, below);
    for (int i = 0; i < p->n_calls; i++) {
        map[n_in + i] = need[n_in + i] ? n_calls : -1;
        if (need[n_in + i]) p->calls[n_calls++] = p->calls[i];
    }
    int n_old = p->n_calls;
    p->n_calls = n_calls;
    keep_windows(c, p);
    for (int i = 0; i < n_calls; i++)
        use_call(&p->calls[i].call, below);
    for (int i = 0; i < p->n_windows; i++)
        use_window(&p->windows[i], below);
    prune_columns(c, p->in[0], below, map);
    for (int i = 0; i < n_calls; i++)
        renumber_call(c, &p->calls[i].call, map);
    for (int i = 0; i < p->n_windows; i++)
        renumber_window(c, &p->windows[i], map);
    const struct rel *in = &p->in[0]->rel;
    struct rel_col *cols = arena_array(c->arena, struct rel_col, in->n_cols + n_calls + 1);
    memcpy(cols, in->cols, sizeof *cols * (size_t)in->n_cols);
    for (int i = 0; i < n_old; i++) {
        if (map[n_in + i] < 0) continue;
        map[n_in + i] += in->n_cols;
        cols[map[n_in + i]] = p->rel.cols[n_in + i];
    }
    p->rel.cols = cols;
    p->rel.n_cols = in->n_cols + n_calls;
}

/* The input's columns that somebody needs stay first, then the windows that somebody needs. */
static void prune_cell_windows(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_in = p->in[0]->rel.n_cols, n = 0;
    bool *below = arena_array(c->arena, bool, n_in + 1);
    struct cell_window *kept = arena_array(c->arena, struct cell_window, p->n_cell_windows + 1);
    copy_need(need, n_in, below);
    for (int i = 0; i < p->n_cell_windows; i++)
        if (need[n_in + i]) use_call(&p->cell_windows[i].call, below);
    prune_columns(c, p->in[0], below, map);
    const struct rel *in = &p->in[0]->rel;
    struct rel_col *cols =
        arena_array(c->arena, struct rel_col, in->n_cols + p->n_cell_windows + 1);
    memcpy(cols, in->cols, sizeof *cols * (size_t)in->n_cols);
    for (int i = 0; i < p->n_cell_windows; i++) {
        map[n_in + i] = -1;
        if (!need[n_in + i]) continue;
        kept[n] = p->cell_windows[i];
        renumber_call(c, &kept[n].call, map);
        map[n_in + i] = in->n_cols + n;
        cols[in->n_cols + n++] = p->rel.cols[n_in + i];
    }
    p->cell_windows = kept;
    p->n_cell_windows = n;
    p->rel.cols = cols;
    p->rel.n_cols = in->n_cols + n;
}

static void prune_concat(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    for (int i = 0; i < p->n_in; i++)
        prune_exactly(c, &p->in[i], need);
    p->rel.n_cols = keep_columns(c, p, need, map);
}

/* A column of the result for each of the input's, of another type perhaps. */
static void prune_regrid(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    prune_exactly(c, &p->in[0], need);
    p->rel.n_cols = keep_columns(c, p, need, map);
}

static void prune_fft(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    bool all[2] = {true, true};
    int n_old = p->rel.n_cols, n = keep_columns(c, p, need, map);
    int *parts = arena_array(c->arena, int, n + 1);
    for (int i = 0; i < n_old; i++)
        if (map[i] >= 0) parts[map[i]] = p->fft_parts[i];
    prune_exactly(c, &p->in[0], all);
    p->fft_parts = parts;
    p->rel.n_cols = n;
}

static void prune_fill(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_old = p->rel.n_cols;
    prune_concat(c, p, need, map);
    for (int i = 0; i < n_old; i++)
        if (map[i] >= 0) p->exprs[map[i]] = p->exprs[i];
    p->n_exprs = p->rel.n_cols;
}

static void prune_pivot(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n_keys = p->rel.n_dims;
    bool *below = arena_array(c->arena, bool, n_keys + p->rel.n_cols + 1);
    for (int i = 0; i < n_keys; i++)
        below[i] = true;
    copy_need(need, p->rel.n_cols, below + n_keys);
    prune_exactly(c, &p->in[0], below);
    p->rel.n_cols = keep_columns(c, p, need, map);
}

static void prune_repeat(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    int n = p->rel.n_cols;
    bool *below = arena_array(c->arena, bool, n + 2);
    copy_need(need, n, below);
    below[n] = true;
    prune_exactly(c, &p->in[0], below);
    p->rel.n_cols = keep_columns(c, p, need, map);
}

static void prune_distinct(struct ctx *c, struct plan *p, int *map)
{
    bool *all = arena_array(c->arena, bool, p->rel.n_cols + 1);
    for (int i = 0; i < p->rel.n_cols; i++)
        all[i] = true;
    prune_exactly(c, &p->in[0], all);
    keep_all(p, map);
}

/* Presence comes from the one column's cells, so it is always made. */
static void prune_product(struct ctx *c, struct plan *p, int *map)
{
    static const bool one[] = {true};
    for (int i = 0; i < p->n_in; i++)
        prune_exactly(c, &p->in[i], one);
    keep_all(p, map);
}

void prune_columns(struct ctx *c, struct plan *p, const bool *need, int *map)
{
    switch (p->kind) {
    case P_SCAN:
    case P_FILE:
        prune_scan(c, p, need, map);
        break;
    case P_VALUES:
        prune_values(c, p, need, map);
        break;
    case P_MAP:
        prune_map(c, p, need, map);
        break;
    case P_FILTER:
    case P_SORT:
    case P_SLICE:
    case P_REBASE:
    case P_TRANSPOSE:
    case P_LIMIT:
    case P_ROWS:
    case P_RESHAPE:
        prune_passing(c, p, need, map);
        break;
    case P_JOIN:
        prune_join(c, p, need, map);
        break;
    case P_HASH_JOIN:
    case P_ASOF_JOIN:
        prune_by_value(c, p, need, map);
        break;
    case P_WINDOW_ROWS:
        prune_windows(c, p, need, map);
        break;
    case P_FETCH:
        prune_fetch(c, p, need, map);
        break;
    case P_AGGREGATE:
        prune_aggregate(c, p, need, map);
        break;
    case P_WINDOW_CELLS:
        prune_cell_windows(c, p, need, map);
        break;
    case P_FILL:
        prune_fill(c, p, need, map);
        break;
    case P_STACK:
    case P_CONCAT:
        prune_concat(c, p, need, map);
        break;
    case P_REGRID:
        prune_regrid(c, p, need, map);
        break;
    case P_FFT:
        prune_fft(c, p, need, map);
        break;
    case P_PIVOT:
        prune_pivot(c, p, need, map);
        break;
    case P_REPEAT:
        prune_repeat(c, p, need, map);
        break;
    case P_MATMUL:
    case P_LINALG:
        prune_product(c, p, map);
        break;
    case P_DISTINCT:
        prune_distinct(c, p, map);
        break;
    case P_ONE:
    case P_SYS:
    case P_GRID:
    case P_SERIES:
    case N_PLAN_KINDS:
        keep_all(p, map);
        break;
    }
}
