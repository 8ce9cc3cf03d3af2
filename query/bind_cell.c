/* Which cell does v[…] mean? The attribute's value at another cell of the FROM item that it belongs
 * to, as the item is before WHERE.
 *
 * Each access becomes a column after those of FROM, and its bracket, for each dimension of the
 * item, a number of positions that the cell is moved by (which is what a stencil wants), or an
 * expression that gives the coordinate or position there. add_fetches() then puts the nodes between
 * FROM and WHERE that make those columns. With one FROM item they look the values up in what it
 * gives; of a join's items each is bound once more, as the source. */
#include "query/bind_internal.h"
#include "query/func.h"
#include "storage/base/datetime.h"

#define STEPS_MAX (INT64_C(1) << 61) /* past the end of any axis */

/* One access while its bracket is bound. */
struct accessing {
    struct binder *b;
    const struct scope *outer; /* where the access stands */
    struct scope own;          /* the same, with the item's dimensions going before others */
    struct scope item;         /* the source: the item alone */
    int first, pos;            /* of outer's columns, the item's; in the text */
    struct fetched f;
    bool given[MAX_DIMS];
};

void allow_fetches(struct scope *s, struct fetches *f)
{
    *f = (struct fetches){.first = s->plan->rel.n_cols};
    s->fetches = f;
}

/* ---- the source ---- */

static int item_columns(const struct scope *s, int item, int *first)
{
    int n = 0;
    for (int i = 0; i < s->n_cols; i++) {
        if (s->cols[i].item != item) continue;
        if (n++ == 0) *first = i;
    }
    return n;
}

static enum status bind_item_again(struct binder *b, const struct scope *s, int item,
                                   struct scope *out)
{
    int first = 0, n = item_columns(s, item, &first);
    if (!s->froms[item]) return fail(b->c, ERR_INTERNAL, "a FROM item has no text");
    TRY(bind_from(b, s->froms[item], s->outer, out));
    if (out->n_cols != n) return fail(b->c, ERR_INTERNAL, "a FROM item is another one now");
    return OK;
}

static enum status find_source(struct accessing *a, const struct scope_col *col)
{
    a->f.item = col->item;
    item_columns(a->outer, col->item, &a->first);
    if (a->outer->n_items > 1) return bind_item_again(a->b, a->outer, col->item, &a->item);
    a->item = *a->outer;
    return OK;
}

/* The column of the query that is the item's dimension d; NULL: it has no name. */
static const struct scope_col *outer_dim(const struct accessing *a, int d)
{
    for (int i = 0; i < a->item.n_cols; i++)
        if (a->item.cols[i].is_dim && a->item.cols[i].index == d)
            return &a->outer->cols[a->first + i];
    return NULL;
}

/* What a dimension that USING joined with another one is called by both; NULL: it goes by its own
 * name. */
static const struct scope_col *partner(const struct scope *s, const struct scope_col *col)
{
    if (col->is_dim || !col->paired || col->unqualified || !col->name) return NULL;
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].unqualified && s->cols[i].name && !strcmp(s->cols[i].name, col->name))
            return &s->cols[i];
    return NULL;
}

/* In the bracket the item's dimensions go before others of the same name. */
static void prefer_item(struct accessing *a)
{
    struct scope *s = &a->own;
    *s = *a->outer;
    if (s->n_items < 2) return;
    s->cols = arena_dup(a->b->c->arena, s->cols, sizeof *s->cols * (size_t)s->n_cols);
    for (int i = 0; i < a->item.n_cols; i++) {
        struct scope_col *mine = &s->cols[a->first + i];
        if (!a->item.cols[i].is_dim || !mine->name || partner(s, mine)) continue;
        for (int k = 0; k < s->n_cols; k++)
            if (s->cols[k].name && !strcmp(s->cols[k].name, mine->name))
                s->cols[k].unqualified = false;
        mine->unqualified = true;
    }
}

/* ---- staying ---- */

/* How far are the same coordinates apart on the two regular axes? False: labels, or an axis that
 * only running tells. */
static bool distance(struct accessing *a, int out_dim, int d, int64_t *shift)
{
    const struct rel_dim *from = &a->outer->plan->rel.dims[out_dim];
    const struct rel_dim *to = &a->item.plan->rel.dims[d];
    struct ctx quiet = *a->b->c;
    int64_t *map = NULL;
    if (!from->axis || !to->axis || !dim_known(from) || !dim_known(to)) return false;
    if (from->axis->kind != AXIS_REGULAR || to->axis->kind != AXIS_REGULAR) return false;
    ctx_clear(&quiet);
    return axis_align(&quiet, from->axis, "", to->axis, "", shift, &map) == OK && !map;
}

/* The source's position is the cell's plus *shift. */
static bool same_steps(struct accessing *a, int out_dim, int d, int64_t *shift)
{
    *shift = 0;
    return a->outer->n_items < 2 || distance(a, out_dim, d, shift);
}

/* Dimension d of the source stays at the cell. */
static enum status stay(struct accessing *a, int d)
{
    struct fetch_dim *x = &a->f.dims[d];
    const struct scope_col *col = outer_dim(a, d);
    *x = (struct fetch_dim){.dim = d};
    if (a->outer->n_items < 2) return OK;
    if (!col) return not_yet(a->b, a->pos, "values at other cells of an item like this one are");
    const struct scope_col *left = partner(a->outer, col);
    if (left) col = left;
    if (col->is_dim && same_steps(a, col->index, d, &x->shift)) {
        x->dim = col->index;
        return OK;
    }
    x->e = scope_ref(a->b, col, -1);
    return OK;
}

/* ---- steps from the cell ---- */

/* Is the cast of a dimension's coordinate to the type the same coordinate? */
static bool widens(enum type from, enum type to)
{
    if (type_is_integer(from)) return type_is_integer(to) && type_bytes(to) >= type_bytes(from);
    return (from == T_DATE && to == T_TIMESTAMP) || (from == T_FLOAT32 && to == T_FLOAT64);
}

static const struct expr *bare(const struct expr *e)
{
    if (e->kind == E_CAST && e->args[0]->kind == E_DIM && widens(e->args[0]->type, e->type))
        return e->args[0];
    return e;
}

static bool is_ref(const struct expr *e, enum expr_kind kind, int position)
{
    return e->kind == kind || (position && e->kind == E_COL && e->index == position - 1);
}

/* A reference of the kind (or to the column before `position`), alone or plus or minus a constant;
 * *by NULL: alone. */
static const struct expr *ref_and_constant(const struct expr *e, enum expr_kind kind, int position,
                                           const struct value **by, bool *minus)
{
    e = bare(e);
    *by = NULL;
    *minus = false;
    if (is_ref(e, kind, position)) return e;
    if (e->kind != E_CALL || e->n_args != 2) return NULL;
    const char *op = func_name(e->func);
    const struct expr *x = bare(e->args[0]), *y = bare(e->args[1]);
    *minus = !strcmp(op, "-");
    if (!*minus && strcmp(op, "+")) return NULL;
    if (!*minus && is_ref(y, kind, position)) {
        const struct expr *swap = x;
        x = y;
        y = swap;
    }
    if (!is_ref(x, kind, position) || y->kind != E_CONST || y->value.null) return NULL;
    *by = &y->value;
    return x;
}

static bool whole(int64_t by, int64_t step, int64_t *steps)
{
    if (step == 0 || by % step) return false;
    *steps = by / step;
    return true;
}

/* A time's distance in units of a DATE or TIMESTAMP axis. */
static bool time_units(const struct axis *a, const struct value *by, int64_t *out)
{
    if (by->type != T_INTERVAL)
        return a->type == T_DATE && type_is_signed(by->type) && whole(by->i, 1, out);
    if (by->iv.months) return false;
    int64_t us = interval_us(&by->iv);
    return a->type == T_DATE ? whole(us, US_PER_DAY, out) : whole(us, 1, out);
}

/* How many positions of a regular axis is the distance? Exactly, for floats too. */
static bool axis_steps(const struct axis *a, const struct value *by, int64_t *out)
{
    int64_t units;
    if (a->kind != AXIS_REGULAR || a->step_months) return false;
    if (type_is_time(a->type)) return time_units(a, by, &units) && whole(units, a->step, out);
    if (type_is_float(a->type)) {
        struct decimal zero = {0}, d;
        if (type_is_float(by->type))
            return decimal_from_double(by->d, &d) && decimal_steps(zero, a->dstep, d, out);
        if (!type_is_signed(by->type)) return false;
        return decimal_steps(zero, a->dstep, (struct decimal){by->i, 0}, out);
    }
    return type_is_signed(by->type) && whole(by->i, a->step, out);
}

static int64_t steps_of(int64_t n, bool minus)
{
    if (n > STEPS_MAX) n = STEPS_MAX;
    if (n < -STEPS_MAX) n = -STEPS_MAX;
    return minus ? -n : n;
}

/* The cell's own position along the item's dimension d, and so many more. */
static bool positions_from_cell(struct accessing *a, const struct expr *e, int d,
                                struct fetch_dim *out)
{
    const struct scope_col *own = outer_dim(a, d);
    const struct value *by;
    bool minus;
    int64_t base;
    if (!own || !own->is_dim || !same_steps(a, own->index, d, &base)) return false;
    const struct expr *ref = ref_and_constant(e, E_POS, own->position, &by, &minus);
    /* #i of another item counts from elsewhere. */
    if (!ref || (ref->kind == E_POS && (own->position || ref->index != own->index))) return false;
    if (by && !type_is_signed(by->type)) return false;
    *out = (struct fetch_dim){.dim = own->index, .shift = base + steps_of(by ? by->i : 0, minus)};
    return true;
}

/* A coordinate of the cell's, and so many steps more. */
static bool coordinates_from_cell(struct accessing *a, const struct expr *e, int d,
                                  struct fetch_dim *out)
{
    const struct value *by;
    bool minus;
    int64_t apart = 0, steps = 0;
    const struct expr *ref = ref_and_constant(e, E_DIM, 0, &by, &minus);
    if (!ref || !distance(a, ref->index, d, &apart)) return false;
    if (by && !axis_steps(a->item.plan->rel.dims[d].axis, by, &steps)) return false;
    *out = (struct fetch_dim){.dim = ref->index, .shift = apart + steps_of(steps, minus)};
    return true;
}

/* #i - 1, time + INTERVAL '1 day': a number of positions from the cell's own. */
static bool steps_from_cell(struct accessing *a, const struct expr *e, bool by_position, int d)
{
    struct fetch_dim *out = &a->f.dims[d];
    return by_position ? positions_from_cell(a, e, d, out) : coordinates_from_cell(a, e, d, out);
}

/* ---- items of the bracket ---- */

static enum status no_such_dim(struct accessing *a, const char *name, int pos)
{
    struct ctx *c = a->b->c;
    const char *known[MAX_DIMS];
    int n = 0;
    for (int i = 0; i < a->item.n_cols; i++) {
        const struct scope_col *col = &a->item.cols[i];
        if (!col->name) continue;
        if (!col->is_dim && !strcmp(col->name, name))
            return fail_at(c, ERR_WRONG_OBJECT, place(a->b, pos),
                           "\"%s\" is an attribute, not a dimension", name);
        if (col->is_dim && n < MAX_DIMS) known[n++] = col->name;
    }
    const char *near = nearest_name(name, known, n);
    fail_at(c, ERR_UNDEFINED_COLUMN, place(a->b, pos), "dimension \"%s\" does not exist", name);
    return near ? hint(c, "Perhaps you meant \"%s\".", near) : ERR_UNDEFINED_COLUMN;
}

/* The item's dimension that a name in the bracket means; -1: none. */
static int mentioned_dim(const struct accessing *a, const struct ast_name *name)
{
    const struct scope *s = &a->own;
    const char *last = name->part[name->n - 1];
    for (int i = 0; i < s->n_cols; i++) {
        const struct scope_col *col = &s->cols[i];
        if (!col->name || strcmp(col->name, last)) continue;
        if (name->n == 1 ? !col->unqualified : scope_item(s, name->part[name->n - 2]) != col->item)
            continue;
        for (int k = 0; k < a->item.n_cols; k++) {
            const struct scope_col *dim = &a->item.cols[k], *own = &s->cols[a->first + k];
            if (!dim->is_dim) continue;
            bool same = own == col || (own->is_dim && col->is_dim && own->index == col->index);
            if (same || (!own->is_dim && partner(s, own) == col)) return dim->index;
        }
    }
    return -1;
}

struct mentions {
    bool dims[MAX_DIMS], by_position, by_coordinate;
    int n;
};

/* The item's dimensions in an expression; not those in brackets of other accesses. */
static void find_mentions(const struct accessing *a, const struct ast_expr *e, struct mentions *m)
{
    if (!e) return;
    if ((e->kind == X_NAME && !e->star) || e->kind == X_POSITION) {
        int d = mentioned_dim(a, &e->name);
        if (d < 0) return;
        m->n += !m->dims[d];
        m->dims[d] = true;
        m->by_position |= e->kind == X_POSITION;
        m->by_coordinate |= e->kind == X_NAME;
    }
    for (int i = 0; i < e->args.n; i++)
        find_mentions(a, e->args.v[i], m);
    find_mentions(a, e->operand, m);
    find_mentions(a, e->otherwise, m);
}

static enum status dim_by_mention(struct accessing *a, const struct expr_place *in,
                                  const struct ast_axis *x, int *dim, bool *by_position)
{
    struct ctx *c = a->b->c;
    struct mentions m = {.n = 0};
    const char *name = NULL;
    find_mentions(a, x->lo, &m);
    for (int i = 0; i < a->item.n_cols; i++)
        if (a->item.cols[i].is_dim && a->item.cols[i].name && !name) name = a->item.cols[i].name;
    if (m.n == 0) {
        struct expr *e;
        TRY(bind_expr(a->b, in, x->lo, &e)); /* names that mean nothing at all come first */
        fail_at(c, ERR_SYNTAX, place(a->b, x->pos),
                "\"%s[…]\" has an item that mentions no dimension", a->f.name);
        return name ? hint(c,
                           "Say which one it belongs to: [%s => …] by coordinate, [#%s => …] by "
                           "position.",
                           name, name)
                    : ERR_SYNTAX;
    }
    if (m.n > 1) {
        fail_at(c, ERR_SYNTAX, place(a->b, x->pos),
                "\"%s[…]\" has an item that mentions %d dimensions", a->f.name, m.n);
        return hint(c, "Say which one it belongs to: [%s => …].", name);
    }
    if (m.by_position && m.by_coordinate) {
        fail_at(c, ERR_SYNTAX, place(a->b, x->pos),
                "an item of \"%s[…]\" is neither a coordinate nor a position: it mentions both",
                a->f.name);
        return hint(c, "Say which it is: [%s => …] or [#%s => …].", name, name);
    }
    *by_position = m.by_position;
    for (int d = 0; d < MAX_DIMS; d++)
        if (m.dims[d]) *dim = d;
    return OK;
}

static enum status one_cell(struct accessing *a, const struct ast_axis *x)
{
    struct ctx *c = a->b->c;
    int pos = place(a->b, x->pos);
    if (x->kind == AXIS_NEAREST) {
        fail_at(c, ERR_SYNTAX, pos, "NEAREST stands in slices, not in \"%s[…]\"", a->f.name);
        return hint(c, "round() and // give the coordinate of a cell nearby.");
    }
    if (x->kind == AXIS_RANGE || x->all || !x->lo) {
        fail_at(c, ERR_SYNTAX, pos, "a range has no single value: \"%s[…]\" takes one cell",
                a->f.name);
        return hint(c, "A window covers many cells: avg(%s) OVER […].", a->f.name);
    }
    return OK;
}

/* ---- coordinates ---- */

static enum status wrong_type(struct accessing *a, int d, const struct expr *e)
{
    return fail_at(a->b->c, ERR_DATATYPE_MISMATCH, e->pos,
                   "dimension \"%s\" is of type %s, but the coordinate is of type %s",
                   outer_dim(a, d)->name, type_name(dim_type(&a->item.plan->rel.dims[d])),
                   type_name(e->type));
}

/* To a type that fetching compares with the axis's: that one, or the widest of its kind. */
static enum status as_coordinate(struct accessing *a, int d, struct expr **e)
{
    struct ctx *c = a->b->c;
    enum type axis = dim_type(&a->item.plan->rel.dims[d]), t = (*e)->type, to;
    if (t == T_UNKNOWN)
        to = axis;
    else if (t == axis)
        return OK;
    else if (type_is_numeric(axis) && type_is_numeric(t))
        to = type_is_float(axis) || type_is_float(t) ? T_FLOAT64
             : t == T_UINT64                         ? T_UINT64
                                                     : T_INT64;
    else if (type_is_time(axis) && type_is_time(t))
        to = T_TIMESTAMP;
    else
        return wrong_type(a, d, *e);
    return expr_make_cast(c, *e, to, false, (*e)->pos, e);
}

static enum status as_position(struct accessing *a, struct expr **e)
{
    enum type t = (*e)->type;
    if (t != T_UNKNOWN && !type_is_integer(t))
        return fail_at(a->b->c, ERR_DATATYPE_MISMATCH, (*e)->pos, "a position must be an integer");
    return expr_make_cast(a->b->c, *e, t == T_UINT64 ? T_UINT64 : T_INT64, false, (*e)->pos, e);
}

struct nesting {
    const struct fetches *all;
    int level;
};

static bool note_nesting(const struct expr *e, void *self)
{
    struct nesting *n = self;
    if (e->kind == E_COL && e->index >= n->all->first) {
        int level = n->all->v[e->index - n->all->first].level + 1;
        if (level > n->level) n->level = level;
    }
    return true;
}

static enum status bind_item_of(struct accessing *a, const struct expr_place *in,
                                const struct ast_axis *x)
{
    struct binder *b = a->b;
    bool by_position = x->by_position;
    int d = -1;
    struct expr *e;
    TRY(one_cell(a, x));
    for (int i = 0; i < a->item.n_cols && x->dim; i++)
        if (a->item.cols[i].is_dim && a->item.cols[i].name && !strcmp(a->item.cols[i].name, x->dim))
            d = a->item.cols[i].index;
    if (x->dim && d < 0) return no_such_dim(a, x->dim, x->pos);
    struct expr_place inside = {.scope = &a->own,
                                .clause = "the bracket after an attribute",
                                .in_agg = in->in_agg,
                                .in_win = in->in_win};
    if (!x->dim) TRY(dim_by_mention(a, &inside, x, &d, &by_position));
    if (a->given[d])
        return fail_at(b->c, ERR_SYNTAX, place(b, x->pos),
                       "dimension \"%s\" stands twice in the bracket", outer_dim(a, d)->name);
    a->given[d] = true;
    TRY(bind_expr(b, &inside, x->lo, &e));
    if (steps_from_cell(a, e, by_position, d)) return OK;
    if (by_position)
        TRY(as_position(a, &e));
    else
        TRY(as_coordinate(a, d, &e));
    struct expr *guard = a->outer->fetches->guard;
    if (guard && expr_may_fail(e)) {
        struct expr *branch[2] = {guard, e};
        TRY(expr_make_case(b->c, branch, 2, NULL, e->pos, &e));
    }
    struct nesting n = {a->outer->fetches, a->f.level};
    expr_walk(e, note_nesting, &n);
    a->f.level = n.level;
    a->f.dims[d] = (struct fetch_dim){.e = e, .by_position = by_position, .dim = d};
    return OK;
}

/* ---- the access ---- */

static bool same_place(const struct fetch_dim *x, const struct fetch_dim *y, int n)
{
    for (int d = 0; d < n; d++) {
        if (!x[d].e != !y[d].e || x[d].shift != y[d].shift) return false;
        if (x[d].e ? x[d].by_position != y[d].by_position || !expr_equal(x[d].e, y[d].e)
                   : x[d].dim != y[d].dim)
            return false;
    }
    return true;
}

static struct expr *fetch_ref(struct ctx *c, struct fetches *all, const struct fetched *f, int pos)
{
    int i = 0;
    while (i < all->n && !(all->v[i].item == f->item && all->v[i].col == f->col &&
                           same_place(all->v[i].dims, f->dims, f->n_dims)))
        i++;
    if (i == all->n) {
        if ((all->n & (all->n - 1)) == 0) {
            struct fetched *v = arena_array(c->arena, struct fetched, all->n ? 2 * all->n : 1);
            if (all->n) memcpy(v, all->v, sizeof *v * (size_t)all->n);
            all->v = v;
        }
        all->v[all->n++] = *f;
    }
    return expr_make_ref(c, E_COL, all->first + i, f->type, pos);
}

/* The attribute, and the scope that has it: this one, or one of the query around. */
static enum status attribute(struct accessing *a, const struct ast_expr *e,
                             const struct scope **scope, const struct scope_col **out)
{
    struct binder *b = a->b;
    const struct ast_expr *of = e->args.n ? e->args.v[0] : NULL;
    if (!of || of->kind == X_ARRAY || of->kind == X_ARRAY_SELECT)
        return not_yet(b, e->pos, "array values (ARRAY[…]) are");
    if (of->kind != X_NAME || of->star) {
        fail_at(b->c, ERR_WRONG_OBJECT, place(b, e->pos),
                "only an attribute has values at other cells");
        return hint(b->c, "A sub-query makes an attribute of an expression: SELECT s[…] FROM "
                          "(SELECT [*], … AS s FROM …) AS q.");
    }
    TRY(scope_find(b, a->outer, &of->name, scope, out));
    a->f.name = of->name.part[of->name.n - 1];
    return OK;
}

/* v is one of the query around: its value there is handed to this one. */
static enum status bind_cell_around(struct binder *b, const struct expr_place *in,
                                    const struct scope *s, const struct ast_expr *e,
                                    struct expr **out)
{
    struct binder around = *b;
    struct expr_place there = {.scope = s, .clause = in->clause};
    for (struct correlation *k = b->corr; k; k = k->up) {
        around.corr = k->up;
        if (k->place && k->place->scope == s) break;
    }
    TRY(bind_cell(&around, &there, e, out));
    *out = outer_ref(b, s, *out);
    return OK;
}

enum status bind_cell(struct binder *b, const struct expr_place *in, const struct ast_expr *e,
                      struct expr **out)
{
    const struct scope *where;
    const struct scope_col *col;
    struct accessing a = {.b = b, .outer = in->scope, .pos = e->pos};
    TRY(attribute(&a, e, &where, &col));
    if (where != in->scope) return bind_cell_around(b, in, where, e, out);
    if (!in->scope->fetches || in->scope->fetches->done)
        return fail_at(b->c, ERR_UNSUPPORTED, place(b, e->pos),
                       "values at other cells are not available in %s",
                       in->clause ? in->clause : "this place");
    TRY(find_source(&a, col));
    const struct scope_col *own = &a.item.cols[col - in->scope->cols - a.first];
    if (own->is_dim) {
        fail_at(b->c, ERR_WRONG_OBJECT, place(b, e->pos), "\"%s\" is a dimension, not an attribute",
                a.f.name);
        return hint(b->c, "Its coordinate at another cell is plain arithmetic: %s - 1.", a.f.name);
    }
    a.f.col = own->index;
    a.f.type = own->type;
    a.f.n_dims = a.item.plan->rel.n_dims;
    a.f.dims = arena_array(b->c->arena, struct fetch_dim, a.f.n_dims + 1);
    prefer_item(&a);
    for (int i = 0; i < e->axes.n; i++)
        TRY(bind_item_of(&a, in, &e->axes.v[i]));
    for (int d = 0; d < a.f.n_dims; d++)
        if (!a.given[d]) TRY(stay(&a, d));
    *out = fetch_ref(b->c, in->scope->fetches, &a.f, place(b, e->pos));
    return OK;
}

/* ---- branches ---- */

static bool has_cell(const struct ast_expr *e)
{
    if (!e) return false;
    bool found = e->kind == X_CELL || has_cell(e->operand) || has_cell(e->otherwise);
    for (int i = 0; i < e->args.n && !found; i++)
        found = has_cell(e->args.v[i]);
    return found;
}

struct fetches *branch_fetches(const struct expr_place *in, const struct ast_expr *e)
{
    struct fetches *f = in->scope ? in->scope->fetches : NULL;
    return f && !f->done && has_cell(e) ? f : NULL;
}

static bool note_later(const struct expr *e, void *found)
{
    if (e->kind == E_COL && e->index >= WIN_BASE) *(bool *)found = true;
    return true;
}

enum status guard_fetches(struct binder *b, struct fetches *f, struct expr *when, bool taken)
{
    bool later = false; /* aggregates and windows are not known yet */
    expr_walk(when, note_later, &later);
    if (!f || later || when->type != T_BOOL) return OK;
    struct value yes = value_int(T_BOOL, 1);
    struct expr *both[2] = {f->guard, when};
    if (!taken)
        TRY(expr_make_distinct(b->c, when, expr_make_const(b->c, &yes, when->pos), false, when->pos,
                               &both[1]));
    if (f->guard) return expr_make_call(b->c, "and", both, 2, when->pos, &f->guard);
    f->guard = both[1];
    return OK;
}

/* ---- the nodes ---- */

struct renumber {
    int first;
    const int *place_of;
};

static struct expr *renumber(struct ctx *c, const struct expr *e, void *self)
{
    const struct renumber *r = self;
    if (e->kind != E_COL || e->index < r->first) return NULL;
    return expr_make_ref(c, E_COL, r->first + r->place_of[e->index - r->first], e->type, e->pos);
}

static int point_of(struct ctx *c, struct plan *p, const struct fetched *f, struct renumber *r)
{
    struct fetch_dim *dims = arena_dup(c->arena, f->dims, sizeof *dims * (size_t)f->n_dims);
    for (int d = 0; d < f->n_dims; d++)
        if (dims[d].e) dims[d].e = expr_map(c, dims[d].e, renumber, r);
    for (int i = 0; i < p->n_points; i++)
        if (same_place(p->points[i].dims, dims, f->n_dims)) return i;
    p->points[p->n_points].dims = dims;
    return p->n_points++;
}

/* The node that gives one item's accesses of one level. */
static struct plan *fetch_node(struct ctx *c, const struct fetches *all, int item, int level,
                               struct plan *in, struct plan *source, int *place_of, int *n_done)
{
    struct plan *p = plan_new(c, P_FETCH, in->pos, source ? 2 : 1);
    struct renumber r = {all->first, place_of};
    p->in[0] = in;
    if (source) p->in[1] = source;
    p->rel = in->rel;
    p->rel.dims = arena_dup(c->arena, in->rel.dims, sizeof *in->rel.dims * (size_t)in->rel.n_dims);
    p->rel.cols = arena_array(c->arena, struct rel_col, in->rel.n_cols + all->n);
    memcpy(p->rel.cols, in->rel.cols, sizeof *in->rel.cols * (size_t)in->rel.n_cols);
    p->points = arena_array(c->arena, struct fetch_point, all->n);
    p->fetched = arena_array(c->arena, struct fetch_col, all->n);
    for (int i = 0; i < all->n; i++) {
        const struct fetched *f = &all->v[i];
        if (f->item != item || f->level != level) continue;
        place_of[i] = (*n_done)++;
        p->fetched[p->n_fetched++] = (struct fetch_col){point_of(c, p, f, &r), f->col};
        struct rel_col *col = &p->rel.cols[p->rel.n_cols++];
        *col = (source ? source : in)->rel.cols[f->col];
        col->name = f->name;
        col->not_null = false;
    }
    return p;
}

/* The columns in the order that the accesses were met in. */
static struct plan *in_order(struct ctx *c, const struct fetches *all, struct plan *in,
                             const int *place_of)
{
    bool same = true;
    struct expr **es = arena_array(c->arena, struct expr *, in->rel.n_cols + 1);
    const char **names = arena_array(c->arena, const char *, in->rel.n_cols + 1);
    for (int i = 0; i < in->rel.n_cols; i++) {
        int from = i < all->first ? i : all->first + place_of[i - all->first];
        same = same && from == i;
        es[i] = col_ref(c, &in->rel, from);
        names[i] = in->rel.cols[from].name;
    }
    return same ? in : plan_map(c, in, es, names, in->rel.n_cols);
}

static bool has_fetch(const struct fetches *all, int item, int level)
{
    for (int i = 0; i < all->n; i++)
        if (all->v[i].item == item && all->v[i].level == level) return true;
    return false;
}

/* own: the one FROM item is what the plan gives, and the source too. */
static enum status add_nodes(struct binder *b, const struct scope *s, struct fetches *all, bool own,
                             struct plan **plan)
{
    struct plan *p = *plan;
    all->done = true;
    if (all->n == 0) return OK;
    int *place_of = arena_array(b->c->arena, int, all->n);
    for (int level = 0, n_done = 0; n_done < all->n; level++) {
        for (int item = 0; item < s->n_items; item++) {
            if (!has_fetch(all, item, level)) continue;
            struct scope source = {.plan = NULL};
            if (!own) TRY(bind_item_again(b, s, item, &source));
            p = fetch_node(b->c, all, item, level, p, source.plan, place_of, &n_done);
        }
    }
    *plan = in_order(b->c, all, p, place_of);
    return OK;
}

enum status add_fetches(struct binder *b, struct scope *s, struct plan **plan)
{
    if (!s->fetches || s->fetches->done) return OK;
    return add_nodes(b, s, s->fetches, s->n_items < 2, plan);
}

/* ---- over groups ---- */

bool is_fetched(const struct scope *s, const struct expr *e)
{
    const struct fetches *f = s->fetches;
    return f && e->kind == E_COL && e->index >= f->first && e->index < f->first + f->n;
}

static bool is_plain_key(const struct plan *agg, const struct expr *e)
{
    return e->kind == E_DIM && agg->by_dims && agg->keys[e->index].plain;
}

/* A dimension of an access over the groups: it stays at a key, or goes where keys say. */
static enum status dim_over_groups(struct binder *b, const struct scope *s, const struct plan *agg,
                                   struct fetch_dim *x)
{
    struct expr *e = x->e;
    if (!e) e = dim_ref(b->c, &s->plan->rel, x->dim);
    TRY(over_groups(b, s, agg, e, &e));
    if (!x->e && is_plain_key(agg, e)) {
        x->dim = e->index;
        return OK;
    }
    /* Elsewhere than in the one FROM item positions and coordinates may be apart. */
    if (!x->e && s->n_items > 1) return fail(b->c, ERR_GROUPING, "no key");
    x->e = e;
    return OK;
}

enum status fetched_over_groups(struct binder *b, const struct scope *s, const struct plan *agg,
                                const struct expr *e, struct expr **out)
{
    struct fetches *all = s->group_fetches;
    struct fetched f = s->fetches->v[e->index - s->fetches->first];
    enum status st = all && !all->done && s->froms[f.item] ? OK : ERR_GROUPING;
    f.level = 0;
    f.dims = arena_dup(b->c->arena, f.dims, sizeof *f.dims * (size_t)f.n_dims);
    for (int d = 0; st == OK && d < f.n_dims; d++) {
        st = dim_over_groups(b, s, agg, &f.dims[d]);
        if (st == ERR_GROUPING) ctx_clear(b->c);
        if (st < 0 || !f.dims[d].e) continue;
        struct nesting n = {all, f.level};
        expr_walk(f.dims[d].e, note_nesting, &n);
        f.level = n.level;
    }
    if (st == OK) *out = fetch_ref(b->c, all, &f, e->pos);
    return st;
}

enum status add_group_fetches(struct binder *b, struct scope *s, struct plan **agg)
{
    return add_nodes(b, s, s->group_fetches, false, agg);
}
