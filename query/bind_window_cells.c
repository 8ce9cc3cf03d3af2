/* What does OVER [ … ] mean: which cells does each cell's window cover? */
#include "query/bind_internal.h"

/* What the bounds of an item mention. */
struct mentions {
    int dim; /* the first dimension; -1: none */
    bool more, columns, positions, coordinates;
};

static bool note_mention(const struct expr *e, void *self)
{
    struct mentions *m = self;
    if (e->kind == E_COL) m->columns = true;
    if (e->kind != E_DIM && e->kind != E_POS) return true;
    m->positions |= e->kind == E_POS;
    m->coordinates |= e->kind == E_DIM;
    if (m->dim < 0)
        m->dim = e->index;
    else
        m->more |= m->dim != e->index;
    return true;
}

/* ---- which dimension ---- */

static enum status named_dim(struct binder *b, const struct scope *scope, const struct ast_axis *x,
                             int *out)
{
    const struct scope_col *col;
    struct ast_name name = {.n = 1, .part = (const char *[]){x->dim}, .pos = x->pos};
    TRY(scope_find_here(b, scope, &name, &col));
    if (!col)
        return fail_at(b->c, ERR_UNDEFINED_COLUMN, place(b, x->pos),
                       "dimension \"%s\" does not exist", x->dim);
    if (!col->is_dim)
        return fail_at(b->c, ERR_WRONG_OBJECT, place(b, x->pos), "\"%s\" is not a dimension",
                       x->dim);
    *out = col->index;
    return OK;
}

/* The one dimension that there is, for [* : *]. */
static int lone_dim(const struct scope *scope)
{
    int found = -1;
    for (int i = 0; i < scope->n_cols; i++) {
        if (!scope->cols[i].is_dim || scope->cols[i].index == found) continue;
        if (found >= 0) return -1;
        found = scope->cols[i].index;
    }
    return found;
}

static enum status dim_of_item(struct binder *b, const struct scope *scope,
                               const struct ast_axis *x, const struct mentions *m, int *out)
{
    int pos = place(b, x->pos);
    *out = m->dim;
    if (x->dim) TRY(named_dim(b, scope, x, out));
    if (m->columns) {
        fail_at(b->c, ERR_WINDOWING, pos, "a window's bounds cannot depend on an attribute");
        return hint(b->c, "FILTER (WHERE …) chooses cells by their attributes.");
    }
    if (m->more || (m->dim >= 0 && m->dim != *out)) {
        fail_at(b->c, ERR_WINDOWING, pos, "a window's bounds mention more than one dimension");
        return hint(b->c,
                    "Give each dimension an item of its own: [x - 1 : x + 1, y - 1 : y + 1].");
    }
    bool open = x->all || (x->kind == AXIS_RANGE && !x->lo && !x->hi);
    if (*out < 0 && open) *out = lone_dim(scope);
    if (*out >= 0) return OK;
    fail_at(b->c, ERR_WINDOWING, pos, "a window's bounds mention no dimension");
    return hint(b->c, "Name it: [dim => lo : hi].");
}

/* ---- bounds ---- */

static enum status check_item(struct binder *b, const struct ast_axis *x)
{
    int pos = place(b, x->pos);
    if (x->kind == AXIS_NEAREST)
        return fail_at(b->c, ERR_SYNTAX, pos, "NEAREST cannot stand in a window");
    if (x->step) return fail_at(b->c, ERR_SYNTAX, place(b, x->step->pos), "a window has no step");
    return OK;
}

static enum status bind_bound(struct binder *b, const struct scope *scope, const struct ast_expr *e,
                              struct mentions *m, struct expr **out)
{
    struct expr_place in = {.scope = scope, .clause = "a window"};
    *out = NULL;
    if (!e) return OK;
    TRY(bind_expr(b, &in, e, out));
    expr_walk(*out, note_mention, m);
    return OK;
}

static enum status position_bound(struct binder *b, struct expr **e)
{
    if (!*e) return OK;
    if ((*e)->type != T_UNKNOWN && !type_is_integer((*e)->type))
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, (*e)->pos, "a position must be an integer");
    return expr_make_cast(b->c, *e, T_INT64, false, (*e)->pos, e);
}

static enum status coordinate_bound(struct binder *b, enum type axis, struct expr **e)
{
    if (!*e) return OK;
    enum type t = (*e)->type;
    if (t == T_UNKNOWN) return expr_make_cast(b->c, *e, axis, false, (*e)->pos, e);
    if (type_is_numeric(t) != type_is_numeric(axis) || type_is_time(t) != type_is_time(axis) ||
        (t == T_TEXT) != (axis == T_TEXT) || t == T_INTERVAL || t == T_BOOL)
        return fail_at(b->c, ERR_DATATYPE_MISMATCH, (*e)->pos,
                       "the dimension is of type %s, but the window's bound is of type %s",
                       type_name(axis), type_name(t));
    return OK;
}

static enum status bind_item(struct binder *b, const struct scope *scope, const struct rel *r,
                             const struct ast_axis *x, struct window_dim *out)
{
    struct mentions m = {.dim = -1};
    TRY(check_item(b, x));
    TRY(bind_bound(b, scope, x->lo, &m, &out->lo));
    out->hi = out->lo; /* a single value: that cell */
    if (x->kind == AXIS_RANGE) TRY(bind_bound(b, scope, x->hi, &m, &out->hi));
    TRY(dim_of_item(b, scope, x, &m, &out->dim));
    if ((m.positions || x->by_position) && m.coordinates) {
        fail_at(b->c, ERR_WINDOWING, place(b, x->pos),
                "a window's bounds mix positions and coordinates");
        return hint(b->c, "#x is the position of x: [#x - 1 : #x + 1] or [x - 1 : x + 1].");
    }
    out->by_position = m.positions || x->by_position;
    if (out->by_position) {
        TRY(position_bound(b, &out->lo));
        return position_bound(b, &out->hi);
    }
    enum type t = dim_type(&r->dims[out->dim]);
    TRY(coordinate_bound(b, t, &out->lo));
    return coordinate_bound(b, t, &out->hi);
}

static enum status bind_window(struct binder *b, const struct scope *scope, const struct rel *r,
                               const struct win_call *w, struct cell_window *out)
{
    const struct ast_window *over = w->over;
    *out = (struct cell_window){.call = w->call, .edge = over->edge};
    if (!w->call.agg)
        return fail_at(b->c, ERR_WINDOWING, w->call.pos,
                       "%s needs a window of rows: OVER (ORDER BY …)", w->function);
    out->dims = arena_array(b->c->arena, struct window_dim, over->axes.n + 1);
    for (int i = 0; i < over->axes.n; i++) {
        const struct ast_axis *x = &over->axes.v[i];
        TRY(bind_item(b, scope, r, x, &out->dims[i]));
        for (int k = 0; k < i; k++)
            if (out->dims[k].dim == out->dims[i].dim)
                return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                               "dimension \"%s\" stands twice in the window",
                               r->dims[out->dims[i].dim].name);
    }
    out->n_dims = over->axes.n;
    return OK;
}

enum status bind_cell_windows(struct binder *b, const struct scope *scope,
                              const struct win_call *const *calls, int n, struct plan *in,
                              struct plan **out)
{
    struct ctx *c = b->c;
    struct plan *p = plan_over(c, P_WINDOW_CELLS, place(b, calls[0]->over->pos), in);
    int n_in = in->rel.n_cols;
    rel_box(&in->rel, &p->region);
    p->cell_windows = arena_array(c->arena, struct cell_window, n + 1);
    p->n_cell_windows = n;
    p->rel.n_cols = n_in + n;
    p->rel.cols = arena_array(c->arena, struct rel_col, n_in + n + 1);
    memcpy(p->rel.cols, in->rel.cols, sizeof *p->rel.cols * (size_t)n_in);
    for (int i = 0; i < n; i++) {
        TRY(bind_window(b, scope, &in->rel, calls[i], &p->cell_windows[i]));
        p->rel.cols[n_in + i] =
            (struct rel_col){.name = calls[i]->function, .type = calls[i]->type};
    }
    *out = p;
    return OK;
}
