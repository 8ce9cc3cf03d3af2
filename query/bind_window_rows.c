/* What does OVER (PARTITION BY … ORDER BY … frame) mean? PostgreSQL's rules for arguments and
 * frames. */
#include "query/bind_internal.h"

/* ---- arguments ---- */

static const char *const function_names[] = {NULL,
#define X(id, name) name,
                                             ROW_FUNCTION_LIST(X)
#undef X
};

static enum row_function function_of(const char *name)
{
    for (int i = 1; i < N_ROW_FUNCTIONS; i++)
        if (!strcmp(function_names[i], name)) return (enum row_function)i;
    return WF_AGGREGATE;
}

static enum status no_such_function(struct binder *b, const struct win_call *w)
{
    struct strbuf types = STRBUF_INIT;
    for (int i = 0; i < w->call.n_args; i++)
        strbuf_addf(&types, "%s%s", i ? ", " : "", type_name(w->call.args[i]->type));
    fail_at(b->c, ERR_UNDEFINED_FUNCTION, w->call.pos, "function %s(%s) does not exist",
            w->function, types.s ? types.s : "");
    strbuf_release(&types);
    return hint(b->c, "No function matches the given name and argument types. You might need to "
                      "add explicit type casts.");
}

/* An argument that counts rows or buckets. */
static enum status count_argument(struct binder *b, struct win_call *w, int i)
{
    struct expr **e = &w->call.args[i];
    if ((*e)->type != T_UNKNOWN && !type_is_integer((*e)->type)) return no_such_function(b, w);
    return expr_make_cast(b->c, *e, T_INT64, false, (*e)->pos, e);
}

static enum status lag_arguments(struct binder *b, struct win_call *w)
{
    struct expr **args = w->call.args;
    if (w->call.n_args == 3) {
        struct expr *both[2] = {args[0], args[2]};
        enum type t;
        enum status st = expr_common_type(b->c, both, 2, w->function, &t);
        if (st == ERR_DATATYPE_MISMATCH) {
            ctx_clear(b->c);
            return no_such_function(b, w);
        }
        TRY(st);
        args[0] = both[0];
        args[2] = both[1];
        TRY(expr_resolve_unknown(b->c, &args[2]));
    }
    TRY(expr_resolve_unknown(b->c, &args[0]));
    return w->call.n_args > 1 ? count_argument(b, w, 1) : OK;
}

enum status row_function(struct binder *b, struct win_call *w)
{
    static const struct {
        int least, most;
        enum type type; /* T_NONE: the first argument's */
    } rules[N_ROW_FUNCTIONS] = {
        [WF_ROW_NUMBER] = {0, 0, T_INT64},  [WF_RANK] = {0, 0, T_INT64},
        [WF_DENSE_RANK] = {0, 0, T_INT64},  [WF_PERCENT_RANK] = {0, 0, T_FLOAT64},
        [WF_CUME_DIST] = {0, 0, T_FLOAT64}, [WF_NTILE] = {1, 1, T_INT32},
        [WF_LAG] = {1, 3, T_NONE},          [WF_LEAD] = {1, 3, T_NONE},
        [WF_FIRST_VALUE] = {1, 1, T_NONE},  [WF_LAST_VALUE] = {1, 1, T_NONE},
        [WF_NTH_VALUE] = {2, 2, T_NONE}};
    enum row_function fn = function_of(w->function);
    if (w->call.n_args < rules[fn].least || w->call.n_args > rules[fn].most)
        return no_such_function(b, w);
    if (fn == WF_NTILE) TRY(count_argument(b, w, 0));
    if (fn == WF_LAG || fn == WF_LEAD) TRY(lag_arguments(b, w));
    if (fn == WF_NTH_VALUE) TRY(count_argument(b, w, 1));
    if (fn >= WF_FIRST_VALUE) TRY(expr_resolve_unknown(b->c, &w->call.args[0]));
    w->type = rules[fn].type == T_NONE ? w->call.args[0]->type : rules[fn].type;
    return OK;
}

/* ---- frames ---- */

static const char *unit_name(enum frame_unit u)
{
    return u == FRAME_ROWS ? "ROWS" : u == FRAME_GROUPS ? "GROUPS" : "RANGE";
}

static enum status check_bounds(struct binder *b, const struct ast_window *over)
{
    struct ctx *c = b->c;
    int pos = place(b, over->pos);
    if (!over->unit) return OK;
    if (over->from == BOUND_UNBOUNDED_FOLLOWING)
        return fail_at(c, ERR_WINDOWING, pos, "frame start cannot be UNBOUNDED FOLLOWING");
    if (over->to == BOUND_UNBOUNDED_PRECEDING)
        return fail_at(c, ERR_WINDOWING, pos, "frame end cannot be UNBOUNDED PRECEDING");
    if (over->from == BOUND_CURRENT && over->to == BOUND_PRECEDING)
        return fail_at(c, ERR_WINDOWING, pos,
                       "frame starting from current row cannot have preceding rows");
    if (over->from == BOUND_FOLLOWING && over->to < BOUND_FOLLOWING)
        return fail_at(c, ERR_WINDOWING, pos,
                       over->to == BOUND_CURRENT
                           ? "frame starting from following row cannot end with current row"
                           : "frame starting from following row cannot have preceding rows");
    if (over->unit == FRAME_GROUPS && !over->order.n)
        return fail_at(c, ERR_WINDOWING, pos, "GROUPS mode requires an ORDER BY clause");
    bool offsets = over->from_expr || over->to_expr;
    if (over->unit == FRAME_RANGE && offsets && over->order.n != 1)
        return fail_at(c, ERR_WINDOWING, pos,
                       "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY "
                       "column");
    return OK;
}

static enum status no_range(struct binder *b, const struct expr *e, enum type key)
{
    if (!type_is_numeric(key) && !type_is_time(key) && key != T_INTERVAL)
        return fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
                       "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s",
                       type_name(key));
    fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
            "RANGE with offset PRECEDING/FOLLOWING is not supported for column type %s and offset "
            "type %s",
            type_name(key), type_name(e->type));
    return hint(b->c, "Cast the offset value to an appropriate type.");
}

/* The offset in what is added to the order key. */
static enum status range_offset(struct binder *b, enum type key, struct expr **e)
{
    enum type t = (*e)->type, want = T_NONE;
    if (type_is_integer(key) && (t == T_UNKNOWN || type_is_integer(t)))
        want = t == T_UINT64 ? T_UINT64 : T_INT64;
    else if (type_is_float(key) && (t == T_UNKNOWN || type_is_numeric(t)))
        want = T_FLOAT64;
    else if ((type_is_time(key) || key == T_INTERVAL) && (t == T_UNKNOWN || t == T_INTERVAL))
        want = T_INTERVAL;
    if (want == T_NONE) return no_range(b, *e, key);
    return expr_make_cast(b->c, *e, want, false, (*e)->pos, e);
}

static enum status frame_offset(struct binder *b, const struct win_call *w, struct expr *e,
                                struct expr **out)
{
    const char *unit = unit_name(w->over->unit);
    *out = e;
    if (!e) return OK;
    if (!expr_is_const(e))
        return fail_at(b->c, ERR_INVALID_REFERENCE, place(b, e->pos),
                       "argument of %s must not contain variables", unit);
    if (w->over->unit == FRAME_RANGE) return range_offset(b, w->order[0].e->type, out);
    if (e->type != T_UNKNOWN && !type_is_numeric(e->type))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, place(b, e->pos),
                       "argument of %s must be type bigint, not type %s", unit, type_name(e->type));
    return expr_make_cast(b->c, e, T_INT64, false, e->pos, out);
}

/* ---- windows ---- */

static enum status check_keys(struct binder *b, const struct win_call *w)
{
    for (int i = 0; i < w->n_partition + w->n_order; i++) {
        const struct expr *e =
            i < w->n_partition ? w->partition[i] : w->order[i - w->n_partition].e;
        if (e->type == T_INT64S)
            return fail_at(b->c, ERR_UNDEFINED_FUNCTION, place(b, e->pos),
                           "could not identify an ordering operator for type %s",
                           type_name(e->type));
    }
    return OK;
}

static enum status make_window(struct binder *b, const struct win_call *w, struct row_window *out)
{
    const struct ast_window *over = w->over;
    TRY(check_keys(b, w));
    TRY(check_bounds(b, over));
    *out = (struct row_window){.partition = w->partition,
                               .n_partition = w->n_partition,
                               .order = w->order,
                               .n_order = w->n_order,
                               .unit = over->unit ? over->unit : FRAME_RANGE,
                               .from = over->unit ? over->from : BOUND_UNBOUNDED_PRECEDING,
                               .to = over->unit ? over->to : BOUND_CURRENT,
                               .exclude = over->exclude,
                               .pos = place(b, over->pos)};
    TRY(frame_offset(b, w, w->from, &out->from_offset));
    return frame_offset(b, w, w->to, &out->to_offset);
}

static bool same_offset(const struct expr *x, const struct expr *y)
{
    return (!x && !y) || (x && y && expr_equal(x, y));
}

static bool same_window(const struct row_window *x, const struct row_window *y)
{
    if (x->n_partition != y->n_partition || x->n_order != y->n_order || x->unit != y->unit ||
        x->from != y->from || x->to != y->to || x->exclude != y->exclude ||
        !same_offset(x->from_offset, y->from_offset) || !same_offset(x->to_offset, y->to_offset))
        return false;
    for (int i = 0; i < x->n_partition; i++)
        if (!expr_equal(x->partition[i], y->partition[i])) return false;
    for (int i = 0; i < x->n_order; i++)
        if (x->order[i].desc != y->order[i].desc ||
            x->order[i].nulls_first != y->order[i].nulls_first ||
            !expr_equal(x->order[i].e, y->order[i].e))
            return false;
    return true;
}

/* The number of the call's window among the plan's. */
static enum status window_of(struct binder *b, struct plan *p, const struct win_call *w, int *out)
{
    struct row_window *fresh = &p->windows[p->n_windows];
    TRY(make_window(b, w, fresh));
    for (*out = 0; *out < p->n_windows; ++*out)
        if (same_window(&p->windows[*out], fresh)) return OK;
    p->n_windows++;
    return OK;
}

enum status bind_row_windows(struct binder *b, const struct win_call *const *calls, int n,
                             struct plan *in, struct plan **out)
{
    struct ctx *c = b->c;
    struct plan *p = plan_over(c, P_WINDOW_ROWS, calls[0]->call.pos, in);
    p->windows = arena_array(c->arena, struct row_window, n + 1);
    p->calls = arena_array(c->arena, struct row_call, n);
    p->n_calls = n;
    p->rel.n_cols = in->rel.n_cols + n;
    p->rel.cols = arena_array(c->arena, struct rel_col, p->rel.n_cols);
    memcpy(p->rel.cols, in->rel.cols, sizeof *p->rel.cols * (size_t)in->rel.n_cols);
    for (int i = 0; i < n; i++) {
        const struct win_call *w = calls[i];
        p->calls[i] = (struct row_call){.fn = w->call.agg ? WF_AGGREGATE : function_of(w->function),
                                        .call = w->call,
                                        .type = w->type};
        TRY(window_of(b, p, w, &p->calls[i].window));
        p->rel.cols[in->rel.n_cols + i] = (struct rel_col){.name = w->function, .type = w->type};
    }
    *out = p;
    return OK;
}
