/* Two FROM items side by side: which dimensions are the same, and what is left of the condition? */
#include "query/bind_internal.h"

struct joining {
    struct binder *b;
    const struct ast_from *f;
    enum join_kind kind;
    int pos;
    struct scope *left, *right;
    int n_pairs;
    int pair_left[MAX_DIMS], pair_right[MAX_DIMS];
    bool named[MAX_DIMS];    /* of pairs: by USING or NATURAL */
    int out_dim[MAX_DIMS];   /* of right dimensions, in the join */
    int coord_col[MAX_DIMS]; /* LEFT: the right's column with that coordinate; -1 */
    struct expr *rest;       /* of the ON condition; NULL: none */
};

static const char *item_of(const struct scope *s, bool is_dim, int index)
{
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].is_dim == is_dim && s->cols[i].index == index)
            return s->items[s->cols[i].item];
    return NULL;
}

static int paired_with(const struct joining *j, int right)
{
    for (int i = 0; i < j->n_pairs; i++)
        if (j->pair_right[i] == right) return i;
    return -1;
}

static bool add_pair(struct joining *j, int left, int right, bool named)
{
    if (paired_with(j, right) >= 0) return false;
    j->pair_left[j->n_pairs] = left;
    j->pair_right[j->n_pairs] = right;
    j->named[j->n_pairs++] = named;
    return true;
}

/* ---- NATURAL, USING ---- */

static const struct scope_col *find_visible(const struct scope *s, const char *name, bool dims_only)
{
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].name && s->cols[i].unqualified && (s->cols[i].is_dim || !dims_only) &&
            !strcmp(s->cols[i].name, name))
            return &s->cols[i];
    return NULL;
}

static void pair_natural(struct joining *j)
{
    for (int i = 0; i < j->right->n_cols; i++) {
        const struct scope_col *r = &j->right->cols[i];
        if (!r->is_dim || !r->name || !r->unqualified || !r->in_star) continue;
        const struct scope_col *l = find_visible(j->left, r->name, true);
        if (l) add_pair(j, l->index, r->index, true);
    }
}

static enum status pair_using(struct joining *j)
{
    for (int i = 0; i < j->f->using_cols.n; i++) {
        const char *name = j->f->using_cols.v[i];
        const struct scope_col *l = find_visible(j->left, name, false);
        const struct scope_col *r = find_visible(j->right, name, false);
        if (!l || !r)
            return fail_at(j->b->c, ERR_UNDEFINED_COLUMN, place(j->b, j->pos),
                           "column \"%s\" specified in USING clause does not exist in %s table",
                           name, l ? "right" : "left");
        if (!l->is_dim || !r->is_dim)
            return not_yet(j->b, j->pos, "joins on attributes (\"%s\") are", name);
        if (!add_pair(j, l->index, r->index, true))
            return fail_at(j->b->c, ERR_AMBIGUOUS_COLUMN, place(j->b, j->pos),
                           "column name \"%s\" appears more than once in USING clause", name);
    }
    return OK;
}

/* ---- ON ---- */

/* While ON is bound, the right's dimensions and columns count on from the left's. */
static void both_scopes(struct joining *j, struct scope *out)
{
    const struct scope *l = j->left, *r = j->right;
    struct arena *a = j->b->c->arena;
    int n_dims = l->plan->rel.n_dims, n_cols = l->plan->rel.n_cols;
    *out = (struct scope){.outer = l->outer,
                          .plan = l->plan,
                          .n_items = l->n_items + r->n_items,
                          .n_cols = l->n_cols + r->n_cols};
    out->items = arena_array(a, const char *, out->n_items + 1);
    out->cols = arena_array(a, struct scope_col, out->n_cols + 1);
    out->froms = arena_array(a, const struct ast_from *, out->n_items + 1);
    memcpy(out->froms, l->froms, sizeof *l->froms * (size_t)l->n_items);
    memcpy(out->froms + l->n_items, r->froms, sizeof *r->froms * (size_t)r->n_items);
    memcpy(out->items, l->items, sizeof *l->items * (size_t)l->n_items);
    memcpy(out->items + l->n_items, r->items, sizeof *r->items * (size_t)r->n_items);
    memcpy(out->cols, l->cols, sizeof *l->cols * (size_t)l->n_cols);
    for (int i = 0; i < r->n_cols; i++) {
        struct scope_col *col = &out->cols[l->n_cols + i];
        *col = r->cols[i];
        col->item += l->n_items;
        col->index += col->is_dim ? n_dims : n_cols;
    }
}

struct sides {
    const struct joining *j;
    bool left, right, attributes;
};

static bool note_side(const struct expr *e, void *self)
{
    struct sides *s = self;
    const struct rel *l = &s->j->left->plan->rel;
    if (e->kind != E_COL && e->kind != E_DIM && e->kind != E_POS) return true;
    bool right = e->index >= (e->kind == E_COL ? l->n_cols : l->n_dims);
    s->left |= !right;
    s->right |= right;
    s->attributes |= e->kind == E_COL;
    return true;
}

static const struct expr *bare(const struct expr *e)
{
    while (e->kind == E_CAST)
        e = e->args[0];
    return e;
}

static bool is_equality(const struct expr *e)
{
    return e->kind == E_CALL && e->n_args == 2 && !strcmp(func_name(e->func), "=");
}

/* a.lat = b.lat: a pair of dimensions. */
static bool pair_equal(struct joining *j, const struct expr *e)
{
    if (!is_equality(e)) return false;
    int n = j->left->plan->rel.n_dims;
    const struct expr *x = bare(e->args[0]), *y = bare(e->args[1]);
    if (x->kind != E_DIM || y->kind != E_DIM || (x->index < n) == (y->index < n)) return false;
    if (x->index >= n) {
        const struct expr *swap = x;
        x = y;
        y = swap;
    }
    return add_pair(j, x->index, y->index - n, false);
}

/* An equality between the sides that is not one of dimensions. */
static bool attribute_equality(const struct joining *j, const struct expr *e)
{
    if (!is_equality(e)) return false;
    struct sides x = {.j = j}, y = {.j = j};
    expr_walk(e->args[0], note_side, &x);
    expr_walk(e->args[1], note_side, &y);
    bool across =
        (x.left && !x.right && y.right && !y.left) || (x.right && !x.left && y.left && !y.right);
    return across && (x.attributes || y.attributes);
}

static bool is_list(const struct rel *r)
{
    for (int d = 0; d < r->n_dims; d++)
        if (r->dims[d].name) return false;
    return true;
}

static bool is_true(const struct expr *e)
{
    return e->kind == E_CONST && !e->value.null && e->value.i;
}

static enum status pair_on(struct joining *j)
{
    struct ctx *c = j->b->c;
    struct scope both;
    struct expr *on;
    bool attributes = false;
    both_scopes(j, &both);
    struct expr_place in = {.scope = &both, .clause = "JOIN/ON"};
    TRY(bind_condition(j->b, &in, j->f->on, &on));
    int n = on->kind == E_AND ? on->n_args : 1, n_rest = 0;
    struct expr **parts = on->kind == E_AND ? on->args : &on;
    struct expr **rest = arena_array(c->arena, struct expr *, n);
    for (int i = 0; i < n; i++) {
        if (is_true(parts[i]) || pair_equal(j, parts[i])) continue;
        attributes |= attribute_equality(j, parts[i]);
        rest[n_rest++] = parts[i];
    }
    /* Lists are short as a rule: all pairs of their rows are looked at. */
    bool lists = is_list(&j->left->plan->rel) && is_list(&j->right->plan->rel);
    if (attributes && j->n_pairs == 0 && !lists) {
        not_yet(j->b, j->f->on->pos, "joins on attributes alone are");
        return hint(c, "Joins go by dimensions: a bracket in a sub-query, SELECT [key], …, makes "
                       "one of an attribute.");
    }
    if (n_rest == 1) j->rest = rest[0];
    if (n_rest > 1)
        return expr_make_call(c, "and", rest, n_rest, place(j->b, j->f->on->pos), &j->rest);
    return OK;
}

/* ---- the plan ---- */

static enum status check_kind(struct joining *j)
{
    const struct ast_from *f = j->f;
    if (f->asof) return not_yet(j->b, f->pos, "ASOF joins are");
    if (f->join == JOIN_RIGHT) return not_yet(j->b, f->pos, "RIGHT joins are");
    if (f->join == JOIN_FULL) return not_yet(j->b, f->pos, "FULL joins are");
    if (f->align_tolerance) return not_yet(j->b, f->pos, "ALIGN NEAREST is");
    for (int i = 0; i < j->left->n_items; i++) {
        const char *name = j->left->items[i];
        if (name && scope_item(j->right, name) >= 0)
            return fail_at(j->b->c, ERR_DUPLICATE_ALIAS, place(j->b, j->pos),
                           "table name \"%s\" specified more than once", name);
    }
    return OK;
}

static const char *full_name(struct ctx *c, const struct scope *s, int dim)
{
    const char *item = item_of(s, true, dim), *name = s->plan->rel.dims[dim].name;
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].is_dim && s->cols[i].index == dim && s->cols[i].name) name = s->cols[i].name;
    if (!name) name = "?";
    return item ? arena_printf(c->arena, "%s.%s", item, name) : name;
}

static enum status align_pairs(struct joining *j, struct plan *p)
{
    struct ctx *c = j->b->c;
    const struct rel *l = &j->left->plan->rel, *r = &j->right->plan->rel;
    p->join_dims = arena_array(c->arena, struct join_dim, j->n_pairs + 1);
    p->n_join_dims = j->n_pairs;
    for (int i = 0; i < j->n_pairs; i++) {
        struct join_dim *d = &p->join_dims[i];
        const struct rel_dim *ld = &l->dims[j->pair_left[i]], *rd = &r->dims[j->pair_right[i]];
        int64_t *map = NULL;
        if (!dim_known(ld) || !dim_known(rd) || !ld->axis || !rd->axis)
            return not_yet(j->b, j->pos, "joins on an axis that only running the query tells are");
        d->left = j->pair_left[i];
        d->right = j->pair_right[i];
        TRY(at(c,
               axis_align(c, ld->axis, full_name(c, j->left, d->left), rd->axis,
                          full_name(c, j->right, d->right), &d->shift, &map),
               place(j->b, j->pos)));
        d->map = map;
    }
    return OK;
}

/* A right cell that isn't there has no coordinates: LEFT reads them from columns. */
static void add_coordinates(struct joining *j)
{
    struct ctx *c = j->b->c;
    const struct rel *r = &j->right->plan->rel;
    int n = r->n_cols;
    struct expr **es = arena_array(c->arena, struct expr *, n + j->n_pairs + 1);
    const char **names = arena_array(c->arena, const char *, n + j->n_pairs + 1);
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, r, i);
        names[i] = r->cols[i].name;
    }
    for (int i = 0; i < j->n_pairs; i++) {
        j->coord_col[j->pair_right[i]] = n;
        es[n] = dim_ref(c, r, j->pair_right[i]);
        names[n++] = r->dims[j->pair_right[i]].name;
    }
    j->right->plan = plan_map(c, j->right->plan, es, names, n);
}

static enum status make_plan(struct joining *j, struct plan **out)
{
    struct ctx *c = j->b->c;
    if (j->kind == JOIN_LEFT) add_coordinates(j);
    const struct rel *l = &j->left->plan->rel, *r = &j->right->plan->rel;
    struct plan *p = plan_new(c, P_JOIN, j->pos, 2);
    p->in[0] = j->left->plan;
    p->in[1] = j->right->plan;
    p->join = j->kind;
    p->right_dims = arena_array(c->arena, int, r->n_dims + 1);
    TRY(align_pairs(j, p));
    int n_own = r->n_dims;
    for (int i = 0; i < r->n_dims; i++)
        n_own -= paired_with(j, i) >= 0;
    if (j->kind == JOIN_LEFT && n_own > 0)
        return not_yet(j->b, j->pos, "LEFT joins with a right side of more dimensions are");
    if (l->n_dims + n_own > MAX_DIMS)
        return fail_at(c, ERR_TOO_MANY_COLUMNS, place(j->b, j->pos),
                       "the join has more than %d dimensions", MAX_DIMS);
    p->rel.dims = arena_array(c->arena, struct rel_dim, l->n_dims + n_own + 1);
    memcpy(p->rel.dims, l->dims, sizeof *l->dims * (size_t)l->n_dims);
    p->rel.n_dims = l->n_dims;
    for (int i = 0; i < r->n_dims; i++) {
        int pair = paired_with(j, i);
        j->out_dim[i] = pair >= 0 ? j->pair_left[pair] : p->rel.n_dims;
        if (pair >= 0) continue;
        p->right_dims[p->rel.n_dims - l->n_dims] = i;
        p->rel.dims[p->rel.n_dims++] = r->dims[i];
    }
    p->rel.n_cols = l->n_cols + r->n_cols;
    p->rel.cols = arena_array(c->arena, struct rel_col, p->rel.n_cols + 1);
    memcpy(p->rel.cols, l->cols, sizeof *l->cols * (size_t)l->n_cols);
    memcpy(p->rel.cols + l->n_cols, r->cols, sizeof *r->cols * (size_t)r->n_cols);
    for (int i = 0; i < r->n_cols && j->kind == JOIN_LEFT; i++)
        p->rel.cols[l->n_cols + i].not_null = false;
    join_region(p);
    *out = p;
    return OK;
}

/* ---- names of the result ---- */

static void merge_scopes(struct joining *j, struct plan *p, struct scope *out)
{
    struct scope both;
    int n_left_cols = j->left->plan->rel.n_cols;
    both_scopes(j, &both);
    both.plan = p;
    for (int i = 0; i < j->right->n_cols; i++) {
        const struct scope_col *r = &j->right->cols[i];
        struct scope_col *col = &both.cols[j->left->n_cols + i];
        if (!r->is_dim) continue;
        int pair = paired_with(j, r->index);
        col->index = j->out_dim[r->index];
        if (pair < 0) continue;
        col->paired = true;
        col->in_star = false;
        if (j->named[pair]) col->unqualified = false;
        if (j->kind == JOIN_LEFT) {
            col->is_dim = false;
            col->index = n_left_cols + j->coord_col[r->index];
        } else {
            col->type = dim_type(&p->rel.dims[col->index]);
        }
    }
    *out = both;
}

struct remap {
    const struct joining *j;
    bool refused;
};

/* From both_scopes' numbering to the join's. */
static struct expr *to_join(struct ctx *c, const struct expr *e, void *self)
{
    struct remap *m = self;
    int n = m->j->left->plan->rel.n_dims;
    if (e->kind == E_COL || e->index < n) return NULL;
    int right = e->index - n;
    if (e->kind == E_POS && paired_with(m->j, right) >= 0) m->refused = true;
    int pair = paired_with(m->j, right);
    enum type t =
        pair >= 0 ? dim_type(&m->j->left->plan->rel.dims[m->j->pair_left[pair]]) : e->type;
    struct expr *moved = expr_make_ref(c, e->kind, m->j->out_dim[right], t, e->pos);
    if (t != e->type && expr_make_cast(c, moved, e->type, true, e->pos, &moved) < 0)
        m->refused = true;
    return moved;
}

static enum status add_rest(struct joining *j, struct plan **p)
{
    struct remap m = {.j = j};
    if (!j->rest) return OK;
    struct expr *rest = expr_map(j->b->c, j->rest, to_join, &m);
    if (m.refused) return not_yet(j->b, j->pos, "positions in the right side of a join are");
    if (j->kind == JOIN_LEFT)
        (*p)->residual = rest;
    else
        *p = plan_filter(j->b->c, *p, rest);
    return OK;
}

static enum status join(struct joining *j, struct scope *out)
{
    struct plan *p;
    for (int d = 0; d < MAX_DIMS; d++)
        j->coord_col[d] = -1;
    TRY(check_kind(j));
    if (j->f->natural) pair_natural(j);
    if (j->f->using_cols.n) TRY(pair_using(j));
    if (j->f->on) TRY(pair_on(j));
    TRY(make_plan(j, &p));
    merge_scopes(j, p, out);
    TRY(add_rest(j, &p));
    out->plan = p;
    return OK;
}

enum status bind_join(struct binder *b, const struct ast_from *f, struct scope *left,
                      struct scope *right, struct scope *out)
{
    struct joining j = {.b = b,
                        .f = f,
                        .kind = f->join == JOIN_LEFT ? JOIN_LEFT : JOIN_INNER,
                        .pos = f->pos,
                        .left = left,
                        .right = right};
    return join(&j, out);
}

enum status bind_cross(struct binder *b, int pos, struct scope *left, struct scope *right,
                       struct scope *out)
{
    struct ast_from comma = {.kind = FROM_JOIN, .pos = pos, .join = JOIN_CROSS};
    return bind_join(b, &comma, left, right, out);
}
