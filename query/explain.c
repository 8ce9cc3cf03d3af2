/* How is a plan shown? One node a line, inputs below and further in. */
#include "query/matmul_routine.h"
#include "query/rewrite_internal.h"
#include <stdlib.h>

static const char *const kind_names[] = {
#define X(id, name) name,
    PLAN_LIST(X)
#undef X
};

static void add_list(struct strbuf *out, const char *before, int *n)
{
    strbuf_adds(out, (*n)++ ? ", " : before);
}

static void end_list(struct strbuf *out, int n, const char *after)
{
    if (n) strbuf_adds(out, after);
}

static const char *col_name(const struct rel_col *col)
{
    return col->name ? col->name : "?column?";
}

/* ---- parts of a line ---- */

/* " [time 0:100, lat 3:4 step 2]", positions as in C: the end is past the last. */
static void format_region(const struct rel *r, struct strbuf *out)
{
    int n = 0;
    for (int d = 0; d < r->n_dims; d++) {
        const struct rel_dim *dim = &r->dims[d];
        if (!dim->name) continue;
        add_list(out, " [", &n);
        strbuf_adds(out, dim->name);
        if (!dim_known(dim)) continue;
        strbuf_addf(out, " %lld:%lld", (long long)dim->lo, (long long)dim->hi);
        if (dim->stride > 1) strbuf_addf(out, " step %lld", (long long)dim->stride);
    }
    end_list(out, n, "]");
}

static void format_columns(const struct rel *r, const char *what, struct strbuf *out)
{
    int n = 0;
    for (int i = 0; i < r->n_cols; i++) {
        if (n == 0) strbuf_addf(out, " %s", what);
        add_list(out, " (", &n);
        strbuf_adds(out, col_name(&r->cols[i]));
    }
    end_list(out, n, ")");
}

static void format_condition(const char *what, const struct expr *e, const struct rel *r,
                             struct strbuf *out)
{
    if (!e) return;
    struct strbuf text = STRBUF_INIT;
    expr_format(e, r, &text);
    bool bare = text.s[0] != '(';
    strbuf_addf(out, bare ? " %s(%s)" : " %s%s", what, text.s);
    strbuf_release(&text);
}

/* Columns that are more than the input's: "k = temp + 273.15". */
static void format_map(const struct plan *p, struct strbuf *out)
{
    const struct rel *in = &p->in[0]->rel;
    int n = 0;
    for (int i = 0; i < p->n_exprs; i++) {
        const struct expr *e = p->exprs[i];
        add_list(out, " (", &n);
        strbuf_adds(out, col_name(&p->rel.cols[i]));
        bool same = e->kind == E_COL && in->cols[e->index].name && p->rel.cols[i].name &&
                    !strcmp(in->cols[e->index].name, p->rel.cols[i].name);
        if (same) continue;
        strbuf_adds(out, " = ");
        expr_format(e, in, out);
    }
    end_list(out, n, ")");
}

static void format_slice(const struct plan *p, struct strbuf *out)
{
    const struct rel *in = &p->in[0]->rel;
    int n = 0;
    format_region(&p->rel, out);
    for (int d = 0; d < in->n_dims; d++) {
        bool kept = false;
        for (int k = 0; k < p->rel.n_dims; k++)
            kept |= p->dim_of[k] == d;
        if (kept) continue;
        add_list(out, " at ", &n);
        strbuf_addf(out, "%s %lld", in->dims[d].name ? in->dims[d].name : "row",
                    (long long)p->region.lo[d]);
    }
}

static void format_join(const struct plan *p, struct strbuf *out)
{
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    int n = 0;
    if (p->join == JOIN_LEFT) strbuf_adds(out, " left");
    if (p->join == JOIN_FULL) strbuf_adds(out, " full");
    for (int i = 0; i < p->n_join_dims; i++) {
        const struct join_dim *j = &p->join_dims[i];
        const char *a = l->dims[j->left].name, *b = r->dims[j->right].name;
        add_list(out, " on ", &n);
        strbuf_addf(out, "%s = %s", a ? a : "?", b ? b : "?");
        if (j->map)
            strbuf_adds(out, " by label");
        else if (j->shift)
            strbuf_addf(out, " shifted %lld", (long long)j->shift);
    }
    if (p->residual) strbuf_adds(out, n ? " and" : " on");
    format_condition("", p->residual, &p->rel, out);
}

/* An expression over in[0]'s columns and then in[1]'s, and in[0]'s dimensions. */
static void format_over_both(const char *what, const struct expr *e, const struct plan *p,
                             struct strbuf *out)
{
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    struct rel both = *l;
    struct rel_col *cols = calloc((size_t)(l->n_cols + r->n_cols) + 1, sizeof *cols);
    if (!cols) return;
    for (int i = 0; i < l->n_cols + r->n_cols; i++)
        cols[i] = i < l->n_cols ? l->cols[i] : r->cols[i - l->n_cols];
    both.cols = cols;
    both.n_cols = l->n_cols + r->n_cols;
    format_condition(what, e, &both, out);
    free(cols);
}

static void format_equal_keys(const struct plan *p, int n, struct strbuf *out)
{
    for (int i = 0, k = 0; i < n; i++) {
        add_list(out, " on ", &k);
        expr_format(p->left_keys[i], &p->in[0]->rel, out);
        strbuf_adds(out, " = ");
        expr_format(p->right_keys[i], &p->in[1]->rel, out);
    }
}

static bool rel_known(const struct rel *r)
{
    for (int d = 0; d < r->n_dims; d++)
        if (!dim_known(&r->dims[d])) return false;
    return true;
}

static int64_t rel_cells(const struct rel *r)
{
    struct box b;
    rel_box(r, &b);
    return box_cells(&b);
}

static void format_hash_join(const struct plan *p, struct strbuf *out)
{
    static const char *const kinds[] = {"", " left", " right", " full", " semi", " anti"};
    const struct rel *l = &p->in[0]->rel, *r = &p->in[1]->rel;
    strbuf_adds(out, kinds[p->hash_join]);
    if (p->hash_join < HASH_SEMI && rel_known(l) && rel_known(r))
        strbuf_adds(out, hash_join_build(p, rel_cells(l), rel_cells(r)) ? ", table of the right"
                                                                        : ", table of the left");
    format_equal_keys(p, p->n_join_keys, out);
    if (p->residual) strbuf_adds(out, p->n_join_keys ? " and" : " on");
    format_over_both("", p->residual, p, out);
}

static void format_asof_join(const struct plan *p, struct strbuf *out)
{
    static const char *const ops[] = {" >= ", " > ", " <= ", " < "};
    int last = p->n_join_keys - 1;
    if (p->asof_left) strbuf_adds(out, " left");
    format_equal_keys(p, last, out);
    strbuf_adds(out, last ? ", " : " on ");
    expr_format(p->left_keys[last], &p->in[0]->rel, out);
    strbuf_adds(out, ops[p->asof]);
    expr_format(p->right_keys[last], &p->in[1]->rel, out);
}

/* Where along dimension d of the source: "#i - 1", "i => idx"; nothing when it stays at the cell.
 */
static void format_place(const struct plan *p, const struct fetch_dim *x, int d, int *n,
                         struct strbuf *out)
{
    const struct rel *source = &p->in[p->n_in - 1]->rel;
    const char *name = source->dims[d].name ? source->dims[d].name : "row";
    const char *sign = x->shift < 0 ? "-" : "+";
    long long by = x->shift < 0 ? -(long long)x->shift : (long long)x->shift;
    if (!x->e && !by) return;
    add_list(out, "[", n);
    if (x->e) {
        strbuf_addf(out, "%s%s => ", x->by_position ? "#" : "", name);
        expr_format(x->e, &p->in[0]->rel, out);
    } else {
        strbuf_addf(out, "#%s %s %lld", name, sign, by);
    }
}

static void format_fetch(const struct plan *p, struct strbuf *out)
{
    const struct rel *source = &p->in[p->n_in - 1]->rel;
    int n = 0;
    for (int i = 0; i < p->n_fetched; i++) {
        const struct fetch_dim *dims = p->points[p->fetched[i].point].dims;
        int n_dims = 0;
        add_list(out, " (", &n);
        strbuf_adds(out, col_name(&source->cols[p->fetched[i].col]));
        for (int d = 0; d < source->n_dims; d++)
            format_place(p, &dims[d], d, &n_dims, out);
        if (n_dims == 0) strbuf_adds(out, "[");
        strbuf_adds(out, "]");
    }
    end_list(out, n, ")");
}

static void format_fill(const struct plan *p, struct strbuf *out)
{
    int n = 0;
    format_region(&p->rel, out);
    for (int i = 0; i < p->n_exprs; i++) {
        add_list(out, " (", &n);
        strbuf_addf(out, "%s = ", col_name(&p->rel.cols[i]));
        expr_format(p->exprs[i], &p->rel, out);
    }
    end_list(out, n, ")");
}

static void format_stack(const struct plan *p, struct strbuf *out)
{
    format_region(&p->rel, out);
    for (int i = 0; i < p->n_pieces; i++) {
        const struct stack_piece *s = &p->pieces[i];
        strbuf_addf(out, "%s %lld:%lld of %d", i ? "," : " of inputs'",
                    (long long)(s->lo + s->shift), (long long)(s->hi + s->shift), s->input + 1);
    }
}

static void format_key(const struct group_key *g, const struct rel *in, struct strbuf *out)
{
    if (g->e) {
        expr_format(g->e, in, out);
        return;
    }
    const char *name = in->dims[g->dim].name;
    strbuf_addf(out, "%s by block", name ? name : "?");
    struct value size = {.type = T_INTERVAL, .iv = g->blocks->every};
    if (g->blocks->cells) size = value_int(T_INT64, g->blocks->cells);
    strbuf_adds(out, " of ");
    value_format(&size, out);
}

static void format_call(const struct agg_call *a, const struct rel *in, struct strbuf *out)
{
    strbuf_addf(out, "%s(%s", agg_name(a->agg), a->distinct ? "DISTINCT " : "");
    if (a->n_args == 0) strbuf_addc(out, '*');
    for (int i = 0; i < a->n_args; i++) {
        int order = i - (a->n_args - a->n_order);
        if (i) strbuf_adds(out, order ? ", " : " ORDER BY ");
        expr_format(a->args[i], in, out);
        if (order >= 0 && a->order[order].desc) strbuf_adds(out, " DESC");
    }
    strbuf_addc(out, ')');
    format_condition("filter ", a->filter, in, out);
}

static void format_aggregate(const struct plan *p, struct strbuf *out)
{
    const struct rel *in = &p->in[0]->rel;
    int n = 0;
    if (p->n_keys) strbuf_adds(out, p->by_dims ? " by dimensions" : " by value");
    for (int i = 0; i < p->n_keys; i++) {
        add_list(out, " [", &n);
        format_key(&p->keys[i], in, out);
    }
    end_list(out, n, "]");
    n = 0;
    for (int i = 0; i < p->n_aggs; i++) {
        add_list(out, " (", &n);
        format_call(&p->aggs[i], in, out);
    }
    end_list(out, n, ")");
    if (p->unique) strbuf_adds(out, " unique");
}

static void format_window_dim(const struct window_dim *w, const struct rel *in, struct strbuf *out)
{
    const char *name = in->dims[w->dim].name;
    strbuf_addf(out, "%s%s => ", w->by_position ? "#" : "", name ? name : "?");
    if (w->lo)
        expr_format(w->lo, in, out);
    else
        strbuf_addc(out, '*');
    strbuf_adds(out, " : ");
    if (w->hi)
        expr_format(w->hi, in, out);
    else
        strbuf_addc(out, '*');
}

static void format_cell_windows(const struct plan *p, struct strbuf *out)
{
    static const char *const edges[] = {"", " edge null", " edge nearest", " edge reflect",
                                        " edge wrap"};
    const struct rel *in = &p->in[0]->rel;
    int n = 0;
    bool all = true;
    for (int d = 0; d < in->n_dims; d++)
        all = all && p->rel.dims[d].lo == in->dims[d].lo && p->rel.dims[d].hi == in->dims[d].hi;
    if (!all) format_region(&p->rel, out);
    for (int i = 0; i < p->n_cell_windows; i++) {
        const struct cell_window *w = &p->cell_windows[i];
        add_list(out, " (", &n);
        format_call(&w->call, in, out);
        strbuf_adds(out, " over [");
        for (int d = 0; d < w->n_dims; d++) {
            if (d) strbuf_adds(out, ", ");
            format_window_dim(&w->dims[d], in, out);
        }
        strbuf_addf(out, "]%s", edges[w->edge]);
    }
    end_list(out, n, ")");
}

static void format_order(const struct sort_key *keys, int n, const struct rel *in,
                         struct strbuf *out)
{
    for (int i = 0; i < n; i++) {
        const struct sort_key *k = &keys[i];
        strbuf_adds(out, i ? ", " : " by ");
        expr_format(k->e, in, out);
        if (k->desc) strbuf_adds(out, " desc");
        if (k->nulls_first != k->desc)
            strbuf_adds(out, k->nulls_first ? " nulls first" : " nulls last");
    }
}

static void format_bound(enum frame_bound b, const struct expr *offset, const struct rel *in,
                         struct strbuf *out)
{
    static const char *const names[] = {"unbounded preceding", " preceding", "current row",
                                        " following", "unbounded following"};
    if (offset) expr_format(offset, in, out);
    strbuf_adds(out, names[b]);
}

/* "over (partition by k order by t rows between 2 preceding and current row)" */
static void format_window(const struct row_window *w, const struct rel *in, struct strbuf *out)
{
    static const char *const units[] = {"", " rows", " range", " groups"};
    static const char *const excludes[] = {"", " exclude current row", " exclude group",
                                           " exclude ties"};
    strbuf_adds(out, " over (");
    for (int i = 0; i < w->n_partition; i++) {
        strbuf_adds(out, i ? ", " : "partition by ");
        expr_format(w->partition[i], in, out);
    }
    if (w->n_order) strbuf_adds(out, w->n_partition ? " order" : "order");
    format_order(w->order, w->n_order, in, out);
    bool usual = w->unit == FRAME_RANGE && w->from == BOUND_UNBOUNDED_PRECEDING &&
                 w->to == BOUND_CURRENT && w->exclude == EXCLUDE_NONE;
    if (!usual) {
        strbuf_addf(out, "%s between ", units[w->unit]);
        format_bound(w->from, w->from_offset, in, out);
        strbuf_adds(out, " and ");
        format_bound(w->to, w->to_offset, in, out);
        strbuf_adds(out, excludes[w->exclude]);
    }
    strbuf_addc(out, ')');
}

static const char *row_function_name(enum row_function fn)
{
    static const char *const names[] = {"aggregate",
#define X(id, name) name,
                                        ROW_FUNCTION_LIST(X)
#undef X
    };
    return names[fn];
}

static void format_windows(const struct plan *p, struct strbuf *out)
{
    const struct rel *in = &p->in[0]->rel;
    int n = 0;
    for (int i = 0; i < p->n_calls; i++) {
        const struct row_call *k = &p->calls[i];
        add_list(out, " (", &n);
        if (k->call.agg) {
            format_call(&k->call, in, out);
        } else {
            strbuf_addf(out, "%s(", row_function_name(k->fn));
            for (int a = 0; a < k->call.n_args; a++) {
                if (a) strbuf_adds(out, ", ");
                expr_format(k->call.args[a], in, out);
            }
            strbuf_addc(out, ')');
        }
        format_window(&p->windows[k->window], in, out);
    }
    end_list(out, n, ")");
}

static void format_sort(const struct plan *p, struct strbuf *out)
{
    format_order(p->sort, p->n_sort, &p->in[0]->rel, out);
    format_condition("first ", p->limit, &p->rel, out);
}

static void format_series(const struct plan *p, struct strbuf *out)
{
    strbuf_addc(out, ' ');
    for (int i = 0; i < p->n_exprs; i++) {
        if (i) strbuf_adds(out, ", ");
        expr_format(p->exprs[i], &p->rel, out);
    }
}

static void format_limit(const struct plan *p, struct strbuf *out)
{
    format_condition("", p->limit, &p->rel, out);
    format_condition("offset ", p->offset, &p->rel, out);
}

/* ---- lines ---- */

static const char *const regrid_names[] = {"nearest", "linear", "cubic", "mean"};

static void format_of_rows(const struct plan *p, struct strbuf *out)
{
    switch (p->kind) {
    case P_SORT:
        format_sort(p, out);
        break;
    case P_WINDOW_ROWS:
        format_windows(p, out);
        break;
    case P_LIMIT:
        format_limit(p, out);
        break;
    default:
        break;
    }
}

static void format_node(const struct plan *p, struct strbuf *out)
{
    strbuf_adds(out, kind_names[p->kind]);
    if (p->label) strbuf_addf(out, " %s", p->label);
    switch (p->kind) {
    case P_SCAN:
    case P_FILE:
        format_region(&p->rel, out);
        format_columns(&p->rel, "attributes", out);
        format_condition("prune ", p->prune, &p->rel, out);
        break;
    case P_REGRID:
        strbuf_addf(out, " %s", regrid_names[p->regrid]);
        format_region(&p->rel, out);
        break;
    case P_FFT:
        strbuf_addf(out, "%s %s", p->inverse ? " inverse" : "", p->rel.dims[p->fft_dim].name);
        break;
    case P_LINALG:
        strbuf_addf(out, " %s", linalg_name(p->linalg));
        if (p->first) strbuf_addf(out, " first %lld", (long long)p->first);
        format_region(&p->rel, out);
        break;
    case P_MATMUL:
        strbuf_addf(out, " %s", matmul_routine_name(matmul_routine(p)));
        format_region(&p->rel, out);
        break;
    case P_GRID:
    case P_REBASE:
    case P_TRANSPOSE:
    case P_PIVOT:
    case P_RESHAPE:
        format_region(&p->rel, out);
        break;
    case P_SLICE:
        format_slice(p, out);
        break;
    case P_VALUES:
        strbuf_addf(out, " %lld", (long long)p->n_rows);
        break;
    case P_SERIES:
        format_series(p, out);
        break;
    case P_FILTER:
        format_condition("", p->exprs[0], &p->in[0]->rel, out);
        break;
    case P_MAP:
        format_map(p, out);
        break;
    case P_JOIN:
        format_join(p, out);
        break;
    case P_HASH_JOIN:
        format_hash_join(p, out);
        break;
    case P_ASOF_JOIN:
        format_asof_join(p, out);
        break;
    case P_FILL:
        format_fill(p, out);
        break;
    case P_STACK:
        format_stack(p, out);
        break;
    case P_FETCH:
        if (p->n_in == 1) format_region(&p->rel, out);
        format_fetch(p, out);
        break;
    case P_AGGREGATE:
        format_aggregate(p, out);
        break;
    case P_WINDOW_CELLS:
        format_cell_windows(p, out);
        break;
    default:
        format_of_rows(p, out);
        break;
    }
}

static void format_tree(const struct plan *p, int depth, struct strbuf *out)
{
    strbuf_addf(out, "%*s-> ", 2 * depth, "");
    format_node(p, out);
    strbuf_addc(out, '\n');
    for (int i = 0; i < p->n_in; i++)
        format_tree(p->in[i], depth + 1, out);
}

void plan_format(const struct query *q, struct strbuf *out)
{
    format_tree(q->root, 0, out);
    for (int i = 0; i < q->n_subqueries; i++) {
        const struct subquery *sq = q->subqueries[i];
        strbuf_addf(out, "sub-query %d%s%s\n", i + 1, sq->exists ? ", exists" : "",
                    sq->n_keys   ? ", by key"
                    : sq->n_args ? ", for each outer value"
                                 : "");
        format_tree(q->subqueries[i]->plan, 1, out);
    }
}
