/* What does SELECT DISTINCT ON give? The first row, in ORDER BY's order, of each set of rows that
 * agree in some expressions: row_number() = 1 in windows partitioned by them. */
#include "query/bind_internal.h"

static bool is_on(const struct ast_select *s, const int *on_keys, int key)
{
    for (int i = 0; i < s->distinct_on.n; i++)
        if (on_keys[i] == key) return true;
    return false;
}

static enum status no_match(struct binder *b, const struct ast_expr *e)
{
    return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                   "SELECT DISTINCT ON expressions must match initial ORDER BY expressions");
}

enum status check_distinct_on(struct binder *b, const struct ast_select *s, const int *on_keys,
                              const int *keys)
{
    bool others = false;
    for (int i = 0; i < s->order.n; i++) {
        if (!is_on(s, on_keys, keys[i]))
            others = true;
        else if (others)
            return no_match(b, s->order.v[i].e);
    }
    for (int i = 0; i < s->distinct_on.n && others; i++) {
        bool sorted = false;
        for (int k = 0; k < s->order.n; k++)
            sorted |= keys[k] == on_keys[i];
        if (!sorted) return no_match(b, s->distinct_on.v[i]);
    }
    return OK;
}

static enum status check_type(struct binder *b, const struct expr *e, const struct ast_expr *from)
{
    if (e->type != T_INT64S) return OK;
    return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, from->pos),
                   "could not identify an ordering operator for type %s", type_name(e->type));
}

enum status add_distinct_on(struct binder *b, const struct ast_select *s, const int *on_keys,
                            const int *keys, struct query *q)
{
    struct ctx *c = b->c;
    struct plan *in = q->root;
    int n_on = s->distinct_on.n, pos = place(b, s->distinct_on.v[0]->pos);
    struct plan *p = plan_over(c, P_WINDOW_ROWS, pos, in);
    struct row_window *w = p->windows = arena_new_of(c->arena, struct row_window);
    *w = (struct row_window){.unit = FRAME_RANGE, .to = BOUND_CURRENT, .pos = pos};
    w->partition = arena_array(c->arena, struct expr *, n_on);
    w->order = arena_array(c->arena, struct sort_key, s->order.n + 1);
    for (int i = 0; i < n_on; i++) {
        w->partition[i] = col_ref(c, &in->rel, on_keys[i]);
        TRY(check_type(b, w->partition[i], s->distinct_on.v[i]));
    }
    for (int i = 0; i < s->order.n; i++) {
        const struct ast_sort *a = &s->order.v[i];
        if (is_on(s, on_keys, keys[i])) continue;
        struct expr *e = col_ref(c, &in->rel, keys[i]);
        TRY(check_type(b, e, a->e));
        w->order[w->n_order++] = (struct sort_key){
            .e = e, .desc = a->desc, .nulls_first = a->nulls ? a->nulls == 1 : a->desc};
    }
    w->n_partition = n_on;
    p->n_windows = p->n_calls = 1;
    p->calls = arena_new_of(c->arena, struct row_call);
    *p->calls = (struct row_call){.fn = WF_ROW_NUMBER, .call = {.pos = pos}, .type = T_INT64};
    int n = in->rel.n_cols;
    p->rel.n_cols = n + 1;
    p->rel.cols = arena_array(c->arena, struct rel_col, n + 1);
    memcpy(p->rel.cols, in->rel.cols, sizeof *p->rel.cols * (size_t)n);
    p->rel.cols[n] = (struct rel_col){.name = "row_number", .type = T_INT64, .not_null = true};
    struct value one = value_int(T_INT64, 1);
    struct expr *first[2] = {col_ref(c, &p->rel, n), expr_make_const(c, &one, pos)}, *e;
    TRY(expr_make_call(c, "=", first, 2, pos, &e));
    q->root = plan_filter(c, p, e);
    return OK;
}
