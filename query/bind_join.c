/* Two FROM items side by side: which dimensions are the same, and what is left of the condition? */
#include "query/bind_join.h"
#include "query/func.h"
#include "storage/base/datetime.h"

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

static struct join_part *add_part(struct joining *j, enum part_kind kind, struct expr *e)
{
    if ((j->n_parts & (j->n_parts - 1)) == 0) {
        int cap = j->n_parts ? 2 * j->n_parts : 1;
        struct join_part *parts = arena_array(j->b->c->arena, struct join_part, cap);
        if (j->n_parts) memcpy(parts, j->parts, sizeof *parts * (size_t)j->n_parts);
        j->parts = parts;
    }
    struct join_part *p = &j->parts[j->n_parts++];
    *p = (struct join_part){.kind = kind, .e = e};
    return p;
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

static struct expr *over_both(const struct joining *j, const struct scope_col *col, bool second)
{
    const struct rel *r = &j->first->plan->rel;
    int index = col->index + (!second ? 0 : col->is_dim ? r->n_dims : r->n_cols);
    return expr_make_ref(j->b->c, col->is_dim ? E_DIM : E_COL, index, col->type,
                         place(j->b, j->pos));
}

/* A column of both sides. *twice: the right's is paired already. */
static enum status pair_columns(struct joining *j, const char *name, const struct scope_col *l,
                                const struct scope_col *r, bool *twice)
{
    struct expr *both[2] = {over_both(j, l, false), over_both(j, r, true)}, *same;
    bool dims = l->is_dim && r->is_dim;
    TRY(expr_make_call(j->b->c, "=", both, 2, place(j->b, j->pos), &same));
    *twice = false;
    for (int i = 0; i < j->n_parts; i++)
        *twice |= j->parts[i].name && !strcmp(j->parts[i].name, name);
    if (*twice || (dims && !add_pair(j, l->index, r->index, true))) {
        *twice = true;
        return OK;
    }
    struct join_part *p = add_part(j, dims ? PART_PAIR : PART_KEY, NULL);
    p->left = same->args[0];
    p->right = same->args[1];
    p->name = name;
    return OK;
}

static bool has_dims(const struct scope *s)
{
    return s->plan->rel.n_dims > 0;
}

/* Lists, say, have nothing to line up: that a column has the same name would go unseen. */
static enum status check_natural(struct joining *j)
{
    if (j->n_pairs || !has_dims(j->first) || !has_dims(j->second)) return OK;
    for (int i = 0; i < j->second->n_cols; i++) {
        const struct scope_col *r = &j->second->cols[i];
        if (!r->name || !r->unqualified || !r->in_star) continue;
        if (!find_visible(j->first, r->name, false)) continue;
        fail_at(j->b->c, ERR_WRONG_OBJECT, place(j->b, j->pos),
                "NATURAL JOIN goes by dimensions of the same name, and there are none");
        return hint(j->b->c, "USING (%s) joins by an attribute.", r->name);
    }
    return OK;
}

static enum status pair_natural(struct joining *j)
{
    bool twice;
    for (int i = 0; i < j->second->n_cols; i++) {
        const struct scope_col *r = &j->second->cols[i];
        if (!r->is_dim || !r->name || !r->unqualified || !r->in_star) continue;
        const struct scope_col *l = find_visible(j->first, r->name, true);
        if (l) TRY(pair_columns(j, r->name, l, r, &twice));
    }
    return check_natural(j);
}

static enum status pair_using(struct joining *j)
{
    for (int i = 0; i < j->f->using_cols.n; i++) {
        const char *name = j->f->using_cols.v[i];
        const struct scope_col *l = find_visible(j->first, name, false);
        const struct scope_col *r = find_visible(j->second, name, false);
        bool twice;
        if (!l || !r)
            return fail_at(j->b->c, ERR_UNDEFINED_COLUMN, place(j->b, j->pos),
                           "column \"%s\" specified in USING clause does not exist in %s table",
                           name, l ? "right" : "left");
        TRY(pair_columns(j, name, l, r, &twice));
        if (twice)
            return fail_at(j->b->c, ERR_AMBIGUOUS_COLUMN, place(j->b, j->pos),
                           "column name \"%s\" appears more than once in USING clause", name);
    }
    return OK;
}

/* ---- ON ---- */

void both_scopes(const struct joining *j, struct scope *out)
{
    const struct scope *l = j->first, *r = j->second;
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
        if (col->position) col->position += n_cols;
    }
}

static bool note_side(const struct expr *e, void *self)
{
    struct sides *s = self;
    const struct rel *l = &s->j->first->plan->rel;
    if (e->kind != E_COL && e->kind != E_DIM && e->kind != E_POS) return true;
    bool right = e->index >= (e->kind == E_COL ? l->n_cols : l->n_dims);
    s->left |= !right;
    s->right |= right;
    return true;
}

struct sides sides_of(const struct joining *j, const struct expr *e)
{
    struct sides s = {.j = j};
    expr_walk(e, note_side, &s);
    return s;
}

static const struct expr *bare(const struct expr *e)
{
    while (e->kind == E_CAST)
        e = e->args[0];
    return e;
}

/* a.lat = b.lat: a pair of dimensions. */
static bool pair_equal(struct joining *j, const struct expr *left, const struct expr *right)
{
    const struct expr *x = bare(left), *y = bare(right);
    if (x->kind != E_DIM || y->kind != E_DIM) return false;
    return add_pair(j, x->index, y->index - j->first->plan->rel.n_dims, false);
}

static bool is_true(const struct expr *e)
{
    return e->kind == E_CONST && !e->value.null && e->value.i;
}

static void add_condition(struct joining *j, struct expr *e)
{
    if (e->kind == E_AND) {
        for (int i = 0; i < e->n_args; i++)
            add_condition(j, e->args[i]);
        return;
    }
    if (is_true(e)) return;
    bool equality = e->kind == E_CALL && e->n_args == 2 && !strcmp(func_name(e->func), "=");
    struct expr *x = equality ? e->args[0] : NULL, *y = equality ? e->args[1] : NULL;
    struct join_part *p;
    if (equality) {
        struct sides s = sides_of(j, x), t = sides_of(j, y);
        if (s.right && t.left) {
            struct expr *swap = x;
            struct sides swapped = s;
            x = y;
            y = swap;
            s = t;
            t = swapped;
        }
        equality = s.left && !s.right && t.right && !t.left && x->type == y->type;
    }
    if (!equality) {
        add_part(j, PART_REST, e);
        return;
    }
    p = add_part(j, pair_equal(j, x, y) ? PART_PAIR : PART_KEY, e);
    p->left = x;
    p->right = y;
}

static enum status read_on(struct joining *j)
{
    struct expr *on;
    struct expr_place in = {.scope = &j->both, .clause = "JOIN/ON"};
    TRY(bind_condition(j->b, &in, j->f->on, &on));
    add_condition(j, on);
    return OK;
}

/* ---- by dimensions or by value? ---- */

static bool aligned_axes(const struct joining *j)
{
    for (int i = 0; i < j->n_pairs; i++) {
        const struct rel_dim *l = &j->first->plan->rel.dims[j->pair_left[i]];
        const struct rel_dim *r = &j->second->plan->rel.dims[j->pair_right[i]];
        if (!dim_known(l) || !dim_known(r) || !l->axis || !r->axis) return false;
    }
    return true;
}

static int own_dims(int n, const int *paired, int n_pairs)
{
    bool used[MAX_DIMS] = {false};
    for (int i = 0; i < n_pairs; i++)
        used[paired[i]] = true;
    int own = 0;
    for (int d = 0; d < n; d++)
        own += !used[d];
    return own;
}

static bool goes_by_value(const struct joining *j)
{
    int own_left = own_dims(j->first->plan->rel.n_dims, j->pair_left, j->n_pairs);
    int own_right = own_dims(j->second->plan->rel.n_dims, j->pair_right, j->n_pairs);
    bool keys = false, conditions = false;
    for (int i = 0; i < j->n_parts; i++) {
        const struct join_part *p = &j->parts[i];
        keys |= p->kind == PART_KEY;
        conditions |= p->kind == PART_REST;
        if (p->kind == PART_KEY && p->name) return true;
    }
    if (!aligned_axes(j)) return true;
    switch (j->kind) {
    case JOIN_LEFT:
        return own_right > 0;
    case JOIN_RIGHT:
        for (int i = 0; i < j->n_pairs; i++)
            for (int k = 0; k < i; k++)
                if (j->pair_left[i] == j->pair_left[k]) return true;
        return own_left > 0;
    case JOIN_FULL:
        for (int i = 0; i < j->n_pairs; i++)
            if (!j->named[i]) return true;
        return own_left > 0 || own_right > 0 || keys || conditions;
    default:
        /* Cells that differ in dimensions of their own are many: only those that match are made. */
        return keys && own_left > 0 && own_right > 0;
    }
}

/* ---- the plan ---- */

static enum status check_kind(struct joining *j)
{
    for (int i = 0; i < j->first->n_items; i++) {
        const char *name = j->first->items[i];
        if (name && scope_item(j->second, name) >= 0)
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

/* The position of the other axis that is nearest to each of one axis; -1 beyond the tolerance. */
static enum status nearest_map(struct joining *j, const struct axis *from, const struct axis *to,
                               int64_t **out)
{
    struct ctx *c = j->b->c;
    struct value tolerance;
    bool known;
    int pos = place(j->b, j->f->align_tolerance->pos);
    int64_t n = axis_len(from), *map = arena_array(c->arena, int64_t, n + 1);
    enum type t = type_is_time(from->type) ? T_INTERVAL : T_FLOAT64;
    TRY(bind_value(j->b, j->f->align_tolerance, "TOLERANCE", t, &tolerance, &known));
    if (!known) tolerance = value_null(t);
    if (known && (tolerance.type == T_UNKNOWN || tolerance.type == T_TEXT))
        TRY(at(c, value_cast(c, &tolerance, t, &tolerance), pos));
    if (known && tolerance.null)
        return fail_at(c, ERR_INVALID_PARAMETER, pos, "the TOLERANCE must not be NULL");
    bool negative = tolerance.type == T_INTERVAL    ? interval_us(&tolerance.iv) < 0
                    : type_is_float(tolerance.type) ? !(tolerance.d >= 0)
                                                    : tolerance.i < 0;
    if (known && negative)
        return fail_at(c, ERR_INVALID_PARAMETER, pos, "the TOLERANCE must not be negative");
    if (n > NEAREST_MAX || axis_len(to) == 0) {
        if (n > NEAREST_MAX)
            return fail_at(c, ERR_LIMIT_EXCEEDED, pos,
                           "ALIGN NEAREST takes axes of up to %lld positions",
                           (long long)NEAREST_MAX);
        for (int64_t i = 0; i < n; i++)
            map[i] = -1;
    }
    for (int64_t i = 0; i < n && axis_len(to) > 0; i++) {
        struct ctx quiet = *c;
        struct value v = axis_coord(from, from->lo + i);
        ctx_clear(&quiet);
        enum status st = axis_nearest(&quiet, to, "", &v, known ? &tolerance : NULL, &map[i]);
        if (st == ERR_OUT_OF_BOUNDS) {
            map[i] = -1;
        } else if (st < 0) {
            c->err = quiet.err;
            c->err.position = pos;
            return st;
        }
    }
    *out = map;
    return OK;
}

enum status join_own_axis(struct ctx *c, const struct rel_dim *d, struct axis *out)
{
    *out = *d->axis;
    if (!dim_known(d)) return OK;
    int64_t n = d->hi > d->lo ? (d->hi - d->lo + d->stride - 1) / d->stride : 0;
    return axis_rebase(c, d->axis, d->lo, n, d->stride, out);
}

/* Slices with steps: their cells may line up where their arrays' axes don't. */
static enum status align_steps(struct joining *j, const struct join_dim *d, const int64_t **map)
{
    struct ctx *c = j->b->c;
    const struct rel_dim *l = &j->left->plan->rel.dims[d->left];
    const struct rel_dim *r = &j->right->plan->rel.dims[d->right];
    struct axis a, b;
    int64_t shift, *labels;
    if (axis_len(l->axis) > NEAREST_MAX || (l->stride == 1 && r->stride == 1))
        return ERR_AXIS_MISMATCH;
    ctx_clear(c);
    TRY(join_own_axis(c, l, &a));
    TRY(join_own_axis(c, r, &b));
    TRY(axis_align(c, &a, full_name(c, j->left, d->left), &b, full_name(c, j->right, d->right),
                   &shift, &labels));
    return join_axis_map(c, l->axis, r->axis, map);
}

static enum status align_pairs(struct joining *j, struct plan *p)
{
    struct ctx *c = j->b->c;
    const struct rel *l = &j->left->plan->rel, *r = &j->right->plan->rel;
    p->join_dims = arena_array(c->arena, struct join_dim, j->n_pairs + 1);
    p->n_join_dims = j->n_pairs;
    for (int i = 0; i < j->n_pairs; i++) {
        struct join_dim *d = &p->join_dims[i];
        const struct axis *la = l->dims[j->pair_left[i]].axis;
        const struct axis *ra = r->dims[j->pair_right[i]].axis;
        int64_t *map = NULL;
        const int64_t *of_steps = NULL;
        d->left = j->pair_left[i];
        d->right = j->pair_right[i];
        enum status st = axis_align(c, la, full_name(c, j->left, d->left), ra,
                                    full_name(c, j->right, d->right), &d->shift, &map);
        bool orders = la->type != T_TEXT && ra->type != T_TEXT;
        bool unlike = st == ERR_AXIS_MISMATCH || (st == OK && map);
        if (j->f->align_tolerance && unlike && orders &&
            type_is_time(la->type) == type_is_time(ra->type)) {
            ctx_clear(c);
            st = OK;
            d->shift = 0;
            TRY(nearest_map(j, la, ra, &map));
            j->nearest[i] = true;
        }
        if (st == ERR_AXIS_MISMATCH) st = align_steps(j, d, &of_steps);
        TRY(at(c, st, place(j->b, j->pos)));
        d->map = of_steps ? of_steps : map;
    }
    return OK;
}

/* The coordinates and positions of the right's paired dimensions as columns: a cell that isn't
 * there has none, and one that is nearest has others than the left's. */
static void add_coordinates(struct joining *j)
{
    struct ctx *c = j->b->c;
    const struct rel *r = &j->right->plan->rel;
    int n = r->n_cols;
    struct expr **es = arena_array(c->arena, struct expr *, n + 2 * j->n_pairs + 1);
    const char **names = arena_array(c->arena, const char *, n + 2 * j->n_pairs + 1);
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, r, i);
        names[i] = r->cols[i].name;
    }
    for (int i = 0; i < j->n_pairs; i++) {
        int d = j->pair_right[i];
        j->coord_col[d] = n;
        es[n] = dim_ref(c, r, d);
        names[n++] = r->dims[d].name;
        j->pos_col[d] = n;
        es[n] = expr_make_ref(c, E_POS, d, T_INT64, -1);
        names[n++] = arena_printf(c->arena, "#%s", r->dims[d].name ? r->dims[d].name : "row");
    }
    if (j->n_pairs) j->right->plan = plan_map(c, j->right->plan, es, names, n);
}

static enum status make_plan(struct joining *j, struct plan **out)
{
    struct ctx *c = j->b->c;
    add_coordinates(j);
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

/* Is the side that the first item, or the second, became the join's right one? */
static bool is_right(const struct joining *j, bool second)
{
    return (second ? j->second : j->first) == j->right;
}

static void merge_scopes(struct joining *j, struct plan *p, struct scope *out)
{
    int n_kept = j->left->plan->rel.n_cols;
    *out = j->both;
    out->cols = arena_dup(j->b->c->arena, j->both.cols, sizeof *out->cols * (size_t)out->n_cols);
    out->plan = p;
    for (int i = 0; i < out->n_cols; i++) {
        bool second = i >= j->first->n_cols;
        struct scope_col *col = &out->cols[i];
        const struct scope_col *own =
            second ? &j->second->cols[i - j->first->n_cols] : &j->first->cols[i];
        col->index = own->index;
        col->position = own->position;
        if (!is_right(j, second)) continue;
        if (col->position) col->position += n_kept;
        if (!col->is_dim) {
            col->index += n_kept;
            continue;
        }
        int pair = paired_with(j, own->index);
        col->index = j->out_dim[own->index];
        if (pair < 0) continue;
        col->paired = true;
        col->in_star = j->f->join == JOIN_CROSS && col->in_star; /* a comma lists both */
        col->position = 1 + n_kept + j->pos_col[own->index];
        if (j->named[pair]) col->unqualified = false;
        if (j->kind == JOIN_LEFT || j->nearest[pair]) {
            col->is_dim = false;
            col->index = n_kept + j->coord_col[own->index];
        } else {
            col->type = dim_type(&p->rel.dims[col->index]);
        }
    }
}

/* From the numbering of both to the join's. */
static struct expr *to_join(struct ctx *c, const struct expr *e, void *self)
{
    const struct joining *j = self;
    const struct rel *first = &j->first->plan->rel;
    int n_first = e->kind == E_COL ? j->first_cols : first->n_dims;
    bool second = e->index >= n_first;
    int own = e->index - (second ? n_first : 0), n_kept = j->left->plan->rel.n_cols;
    if (!is_right(j, second)) return expr_make_ref(c, e->kind, own, e->type, e->pos);
    if (e->kind == E_COL) return expr_make_ref(c, E_COL, n_kept + own, e->type, e->pos);
    int pair = paired_with(j, own);
    if (pair < 0) return expr_make_ref(c, e->kind, j->out_dim[own], e->type, e->pos);
    int col = e->kind == E_POS ? j->pos_col[own] : j->coord_col[own];
    struct expr *moved = NULL, *dim;
    if (e->kind == E_DIM && !j->nearest[pair]) {
        dim = dim_ref(c, &j->left->plan->rel, j->out_dim[own]);
        if (expr_make_cast(c, dim, e->type, true, e->pos, &moved) == OK) return moved;
        ctx_clear(c);
    }
    return expr_make_ref(c, E_COL, n_kept + col, e->type, e->pos);
}

/* What no pair says: for LEFT part of the join, else a filter above. */
static enum status add_rest(struct joining *j, struct plan **p)
{
    struct ctx *c = j->b->c;
    struct expr **rest = arena_array(c->arena, struct expr *, j->n_parts + 1), *all;
    int n = 0;
    for (int i = 0; i < j->n_parts; i++)
        if (j->parts[i].kind != PART_PAIR) rest[n++] = expr_map(c, j->parts[i].e, to_join, j);
    if (n == 0) return OK;
    all = rest[0];
    if (n > 1) TRY(expr_make_call(c, "and", rest, n, place(j->b, j->f->on->pos), &all));
    if (j->kind == JOIN_LEFT)
        (*p)->residual = all;
    else
        *p = plan_filter(c, *p, all);
    return OK;
}

static enum status join_by_dims(struct joining *j, struct scope *out)
{
    struct plan *p;
    if (j->kind == JOIN_RIGHT) {
        j->kind = JOIN_LEFT;
        j->left = j->second;
        j->right = j->first;
        for (int i = 0; i < j->n_pairs; i++) {
            int left = j->pair_left[i];
            j->pair_left[i] = j->pair_right[i];
            j->pair_right[i] = left;
        }
    }
    TRY(make_plan(j, &p));
    merge_scopes(j, p, out);
    TRY(add_rest(j, &p));
    out->plan = p;
    return OK;
}

static enum status join(struct joining *j, struct scope *out)
{
    for (int d = 0; d < MAX_DIMS; d++)
        j->coord_col[d] = j->pos_col[d] = -1;
    j->nearest = arena_array(j->b->c->arena, bool, MAX_DIMS);
    j->first_cols = j->first->plan->rel.n_cols;
    TRY(check_kind(j));
    both_scopes(j, &j->both);
    if (j->f->natural) TRY(pair_natural(j));
    if (j->f->using_cols.n) TRY(pair_using(j));
    if (j->f->on) TRY(read_on(j));
    if (j->f->asof) return join_asof(j, out);
    bool dims = !goes_by_value(j);
    if (dims && j->kind != JOIN_FULL) return join_by_dims(j, out);
    if (dims && !j->f->align_tolerance) return join_full(j, out);
    if (j->f->align_tolerance)
        return fail_at(j->b->c, ERR_UNSUPPORTED, place(j->b, j->f->align_tolerance->pos),
                       "ALIGN NEAREST is for inner, LEFT and RIGHT joins on dimensions");
    return join_by_value(j, out);
}

enum status bind_join(struct binder *b, const struct ast_from *f, struct scope *left,
                      struct scope *right, struct scope *out)
{
    struct joining j = {.b = b,
                        .f = f,
                        .kind = f->join == JOIN_CROSS ? JOIN_INNER : f->join,
                        .pos = f->pos,
                        .first = left,
                        .second = right,
                        .left = left,
                        .right = right};
    return join(&j, out);
}

enum status join_on_dims(struct binder *b, int pos, struct scope *left, struct scope *right,
                         const int *pair_left, const int *pair_right, int n, struct plan **out)
{
    struct ast_from product = {.kind = FROM_JOIN, .pos = pos, .join = JOIN_INNER};
    struct joining j = {.b = b,
                        .f = &product,
                        .kind = JOIN_INNER,
                        .pos = pos,
                        .first = left,
                        .second = right,
                        .left = left,
                        .right = right};
    j.nearest = arena_array(b->c->arena, bool, MAX_DIMS);
    for (int i = 0; i < n; i++)
        add_pair(&j, pair_left[i], pair_right[i], false);
    return make_plan(&j, out);
}

bool joins_both(struct binder *b, const struct ast_expr *e, struct scope *left, struct scope *right)
{
    struct joining j = {.b = b, .first = left, .second = right, .left = left, .right = right};
    struct expr_place in = {.scope = &j.both, .clause = "WHERE"};
    struct expr *on;
    both_scopes(&j, &j.both);
    j.both.outer = NULL;
    if (bind_condition(b, &in, e, &on) < 0) return false;
    add_condition(&j, on);
    return j.n_parts == 1 && j.parts[0].kind != PART_REST;
}

enum status bind_cross(struct binder *b, int pos, struct scope *left, struct scope *right,
                       struct scope *out)
{
    struct ast_from comma = {.kind = FROM_JOIN, .pos = pos, .join = JOIN_CROSS};
    return bind_join(b, &comma, left, right, out);
}
