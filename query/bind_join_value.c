/* Joins by value: dimensions become columns like any other, equalities of one side each become
 * keys, other conditions go to the side that they are about, or are looked at pair by pair. And
 * ASOF joins, which keep the left's dimensions. */
#include "query/bind_join.h"
#include "query/func.h"
#include <stdlib.h>

#define LABELS_MAX (1 << 20) /* of the union of two axes */

/* A side with its coordinates and positions as columns: dimension d's are columns n_cols + d and
 * n_cols + n_dims + d. */
struct listed {
    int n_cols, n_dims; /* before */
    struct plan *plan;
};

static struct rel_dim *known_dim(struct ctx *c, const struct rel_dim *d)
{
    if (!d->axis || !dim_known(d)) return NULL;
    return arena_dup(c->arena, d, sizeof *d);
}

static struct listed list_columns(struct ctx *c, struct plan *in)
{
    const struct rel *r = &in->rel;
    struct listed out = {r->n_cols, r->n_dims, NULL};
    int n = r->n_cols + 2 * r->n_dims;
    struct expr **es = arena_array(c->arena, struct expr *, n + 1);
    const char **names = arena_array(c->arena, const char *, n + 1);
    for (int i = 0; i < r->n_cols; i++) {
        es[i] = col_ref(c, r, i);
        names[i] = r->cols[i].name;
    }
    for (int d = 0; d < r->n_dims; d++) {
        int i = r->n_cols + d, k = i + r->n_dims;
        es[i] = dim_ref(c, r, d);
        es[k] = r->dims[d].axis ? expr_make_ref(c, E_POS, d, T_INT64, -1) : dim_ref(c, r, d);
        names[i] = r->dims[d].name ? r->dims[d].name : "row";
        names[k] = arena_printf(c->arena, "#%s", names[i]);
    }
    out.plan = plan_map(c, in, es, names, n);
    for (int d = 0; d < r->n_dims; d++) {
        struct rel_col *col = &out.plan->rel.cols[r->n_cols + d];
        col->coord = known_dim(c, &r->dims[d]);
        col->not_null = true;
    }
    return out;
}

/* ---- expressions ---- */

struct listing {
    const struct joining *j;
    struct listed side[2];
    bool keep_left; /* ASOF: the left's dimensions stay */
    int base;       /* of the second side's columns; the left's count, or 0 for those of one side */
};

static struct expr *over_lists(struct ctx *c, const struct expr *e, void *self)
{
    const struct listing *l = self;
    int n_first = e->kind == E_COL ? l->j->first_cols : l->side[0].n_dims;
    int second = e->index >= n_first, own = e->index - (second ? n_first : 0);
    const struct listed *side = &l->side[second];
    if (!second && l->keep_left) return NULL;
    if (e->kind == E_DIM) own += side->n_cols;
    if (e->kind == E_POS) own += side->n_cols + side->n_dims;
    return expr_make_ref(c, E_COL, own + (second ? l->base : 0), e->type, e->pos);
}

static struct expr *over_one(struct ctx *c, const struct listing *l, const struct expr *e)
{
    struct listing one = *l;
    one.base = 0;
    return expr_map(c, e, over_lists, &one);
}

static void add_filter(struct ctx *c, const struct listing *l, struct plan **p,
                       const struct expr *e)
{
    *p = plan_filter(c, *p, over_one(c, l, e));
}

/* A condition about one side may drop that side's cells beforehand where they don't stay anyway. */
static int side_to_filter(const struct joining *j, const struct expr *e)
{
    struct sides s = sides_of(j, e);
    if (expr_may_fail(e) || s.left == s.right) return -1;
    bool stays = s.left ? j->kind == JOIN_LEFT || j->kind == JOIN_FULL
                        : j->kind == JOIN_RIGHT || j->kind == JOIN_FULL;
    return stays ? -1 : s.right;
}

static enum status add_conditions(struct joining *j, struct listing *l, struct plan *p)
{
    struct ctx *c = j->b->c;
    struct expr **rest = arena_array(c->arena, struct expr *, j->n_parts + 1);
    int n = 0;
    p->left_keys = arena_array(c->arena, struct expr *, j->n_parts + 1);
    p->right_keys = arena_array(c->arena, struct expr *, j->n_parts + 1);
    for (int i = 0; i < j->n_parts; i++) {
        const struct join_part *part = &j->parts[i];
        if (part->kind != PART_REST) {
            p->left_keys[p->n_join_keys] = over_one(c, l, part->left);
            p->right_keys[p->n_join_keys++] = over_one(c, l, part->right);
            continue;
        }
        int side = side_to_filter(j, part->e);
        if (side >= 0)
            add_filter(c, l, &p->in[side], part->e);
        else
            rest[n++] = expr_map(c, part->e, over_lists, l);
    }
    if (n) p->residual = rest[0];
    if (n > 1) return expr_make_call(c, "and", rest, n, place(j->b, j->f->on->pos), &p->residual);
    return OK;
}

/* ---- the plan ---- */

static void add_columns(struct ctx *c, struct plan *p, bool left_nulls, bool right_nulls)
{
    const struct rel *a = &p->in[0]->rel, *b = &p->in[1]->rel;
    p->rel.n_cols = a->n_cols + b->n_cols;
    p->rel.cols = arena_array(c->arena, struct rel_col, p->rel.n_cols + 1);
    for (int i = 0; i < p->rel.n_cols; i++) {
        bool second = i >= a->n_cols;
        p->rel.cols[i] = second ? b->cols[i - a->n_cols] : a->cols[i];
        if (second ? right_nulls : left_nulls) p->rel.cols[i].not_null = false;
    }
}

/* Names: each side's columns, its dimensions being columns now. */
static void name_columns(const struct listing *l, struct scope *out)
{
    const struct joining *j = l->j;
    *out = j->both;
    out->cols = arena_dup(j->b->c->arena, j->both.cols, sizeof *out->cols * (size_t)out->n_cols);
    for (int i = 0; i < out->n_cols; i++) {
        bool second = i >= j->first->n_cols;
        struct scope_col *col = &out->cols[i];
        const struct scope_col *own =
            second ? &j->second->cols[i - j->first->n_cols] : &j->first->cols[i];
        const struct listed *side = &l->side[second];
        int base = second ? l->base : 0;
        if (!second && l->keep_left) continue;
        col->index = base + own->index;
        col->position = own->position ? own->position + base : 0;
        if (!own->is_dim) continue;
        col->is_dim = false;
        col->index = base + side->n_cols + own->index;
        col->position = 1 + col->index + side->n_dims;
    }
}

static bool is_named(const struct joining *j, const char *name)
{
    for (int i = 0; name && i < j->n_parts; i++)
        if (j->parts[i].name && !strcmp(j->parts[i].name, name)) return true;
    return false;
}

/* The one column that USING makes of two. */
static enum status merged(struct joining *j, struct listing *l, const struct join_part *part,
                          struct expr **out)
{
    struct ctx *c = j->b->c;
    struct expr *both[2] = {expr_map(c, part->left, over_lists, l),
                            expr_map(c, part->right, over_lists, l)};
    *out = both[j->kind == JOIN_RIGHT];
    if (j->kind != JOIN_FULL) return OK;
    return expr_make_call(c, "coalesce", both, 2, place(j->b, j->pos), out);
}

/* USING's columns before all others; those that they are made of by their items' names alone. */
static void put_first(struct joining *j, const struct scope_col *merged, int n, struct scope *s)
{
    struct arena *a = j->b->c->arena;
    struct scope_col *cols = arena_array(a, struct scope_col, s->n_cols + n + 1);
    const char **items = arena_array(a, const char *, s->n_items + 1);
    const struct ast_from **froms = arena_array(a, const struct ast_from *, s->n_items + 1);
    memcpy(items, s->items, sizeof *items * (size_t)s->n_items);
    memcpy(froms, s->froms, sizeof *froms * (size_t)s->n_items);
    memcpy(cols, merged, sizeof *cols * (size_t)n);
    memcpy(cols + n, s->cols, sizeof *cols * (size_t)s->n_cols);
    for (int i = 0; i < n; i++) {
        cols[i].item = s->n_items;
        cols[i].unqualified = cols[i].in_star = cols[i].merged = true;
    }
    for (int i = n; i < n + s->n_cols; i++) {
        if (!cols[i].unqualified || !is_named(j, cols[i].name)) continue;
        cols[i].unqualified = cols[i].in_star = false;
        cols[i].paired = true;
    }
    s->items = items;
    s->froms = froms;
    s->n_items++;
    s->cols = cols;
    s->n_cols += n;
}

/* Of the dimension that the merged column has its values from: 1 + the column of its positions. */
static int position_of(const struct joining *j, const struct listing *l,
                       const struct join_part *part)
{
    bool second = j->kind == JOIN_RIGHT;
    const struct expr *e = second ? part->right : part->left;
    const struct listed *side = &l->side[second];
    if (part->kind != PART_PAIR || j->kind == JOIN_FULL || e->kind != E_DIM) return 0;
    int own = e->index - (second ? l->side[0].n_dims : 0);
    return 1 + (second ? l->base : 0) + side->n_cols + side->n_dims + own;
}

static enum status add_merged(struct joining *j, struct listing *l, struct plan **p,
                              struct scope *s)
{
    struct ctx *c = j->b->c;
    const struct rel *r = &(*p)->rel;
    int n = r->n_cols, n_named = 0;
    struct scope_col *cols = arena_array(c->arena, struct scope_col, j->n_parts + 1);
    struct expr **es = arena_array(c->arena, struct expr *, n + j->n_parts + 1);
    const char **names = arena_array(c->arena, const char *, n + j->n_parts + 1);
    for (int i = 0; i < n; i++) {
        es[i] = col_ref(c, r, i);
        names[i] = r->cols[i].name;
    }
    for (int i = 0; i < j->n_parts; i++) {
        if (!j->parts[i].name) continue;
        TRY(merged(j, l, &j->parts[i], &es[n]));
        names[n] = j->parts[i].name;
        cols[n_named] = (struct scope_col){.name = names[n], .index = n, .type = es[n]->type};
        cols[n_named++].position = position_of(j, l, &j->parts[i]);
        n++;
    }
    if (n_named == 0) return OK;
    *p = plan_map(c, *p, es, names, n);
    put_first(j, cols, n_named, s);
    return OK;
}

enum status join_by_value(struct joining *j, struct scope *out)
{
    struct ctx *c = j->b->c;
    struct plan *p = plan_new(c, P_HASH_JOIN, j->pos, 2);
    struct listing l = {.j = j};
    static const enum hash_join_kind kinds[] = {[JOIN_INNER] = HASH_INNER,
                                                [JOIN_LEFT] = HASH_LEFT,
                                                [JOIN_RIGHT] = HASH_RIGHT,
                                                [JOIN_FULL] = HASH_FULL,
                                                [JOIN_CROSS] = HASH_INNER};
    l.side[0] = list_columns(c, j->first->plan);
    l.side[1] = list_columns(c, j->second->plan);
    l.base = l.side[0].plan->rel.n_cols;
    p->hash_join = kinds[j->kind];
    for (int i = 0; i < 2; i++)
        p->in[i] = l.side[i].plan;
    rel_list(c, &p->rel, -1, 0);
    TRY(add_conditions(j, &l, p));
    add_columns(c, p, j->kind == JOIN_RIGHT || j->kind == JOIN_FULL,
                j->kind == JOIN_LEFT || j->kind == JOIN_FULL);
    name_columns(&l, out);
    TRY(add_merged(j, &l, &p, out));
    out->plan = p;
    return OK;
}

/* ---- FULL, on dimensions ---- */

static void put_coord(const struct axis *a, int64_t pos, enum type t, struct ctx *c,
                      struct value *out)
{
    struct value v = axis_coord(a, pos);
    if (value_cast(c, &v, t, out) < 0) *out = v;
}

static int by_value(const void *a, const void *b)
{
    return value_compare(a, b);
}

/* Labels of both axes: times and numbers in order, texts in the left's order, then the right's. */
static enum status union_of_labels(struct joining *j, const struct axis *a, const struct axis *b,
                                   const int64_t *b_of_a, const char *name, struct axis *out)
{
    struct ctx *c = j->b->c;
    int64_t n_a = axis_len(a), n_b = axis_len(b), n = 0;
    enum type t =
        a->type == b->type || !type_is_numeric(a->type) ? a->type : type_promote(a->type, b->type);
    if (type_is_time(a->type) && a->type != b->type) t = T_TIMESTAMP;
    if (n_a + n_b > LABELS_MAX)
        return fail_at(c, ERR_LIMIT_EXCEEDED, place(j->b, j->pos),
                       "a FULL join takes labelled axes of up to %d labels", LABELS_MAX);
    struct value *v = arena_array(c->arena, struct value, n_a + n_b + 1);
    bool *seen = arena_array(c->arena, bool, n_b + 1);
    for (int64_t i = 0; i < n_a; i++) {
        put_coord(a, a->lo + i, t, c, &v[n++]);
        if (b_of_a[i] >= 0) seen[b_of_a[i] - b->lo] = true;
    }
    for (int64_t i = 0; i < n_b; i++)
        if (!seen[i]) put_coord(b, b->lo + i, t, c, &v[n++]);
    if (t != T_TEXT) qsort(v, (size_t)n, sizeof *v, by_value);
    return axis_labelled(c, name, t, v, n, false, out);
}

enum status join_axis_map(struct ctx *c, const struct axis *all, const struct axis *one,
                          const int64_t **out)
{
    int64_t n = axis_len(all), *map = arena_array(c->arena, int64_t, n + 1);
    for (int64_t i = 0; i < n; i++) {
        struct value v = axis_coord(all, all->lo + i);
        bool found;
        TRY(axis_find(c, one, &v, &found, &map[i]));
        if (!found || map[i] < one->lo || map[i] >= one->hi) map[i] = -1;
    }
    *out = map;
    return OK;
}

static bool is_whole(const struct rel_dim *d)
{
    return !dim_known(d) || (d->stride == 1 && d->lo == d->axis->lo && d->hi == d->axis->hi);
}

/* Where the union's positions are in a slice. */
static enum status map_of_slice(struct ctx *c, const struct axis *all, const struct rel_dim *d,
                                const int64_t **out)
{
    const int64_t *of_axis;
    int64_t n = axis_len(all), *map = arena_array(c->arena, int64_t, n + 1);
    TRY(join_axis_map(c, all, d->axis, &of_axis));
    for (int64_t i = 0; i < n; i++)
        map[i] = of_axis[i] >= d->lo && of_axis[i] < d->hi ? of_axis[i] : -1;
    *out = map;
    return OK;
}

/* Dimension `pair` of the result: the union of both sides'. */
static enum status union_dim(struct joining *j, int pair, struct plan *p)
{
    struct ctx *c = j->b->c;
    int l = j->pair_left[pair], r = j->pair_right[pair];
    struct join_dim *of_left = &p->left_join_dims[pair], *of_right = &p->join_dims[pair];
    struct rel_dim *d = &p->rel.dims[l];
    const struct rel_dim *rd = &p->in[1]->rel.dims[r];
    const struct axis *a = d->axis, *b = rd->axis;
    struct axis *all = arena_new_of(c->arena, struct axis);
    struct axis own[2];
    int64_t shift, *map = NULL;
    enum status st = axis_align(c, a, d->name, b, rd->name, &shift, &map);
    bool steps = st == ERR_AXIS_MISMATCH && (d->stride != 1 || rd->stride != 1) &&
                 axis_len(a) + axis_len(b) <= NEAREST_MAX;
    bool slices = steps || (st == OK && map && !(is_whole(d) && is_whole(rd)));
    if (slices) {
        ctx_clear(c);
        TRY(join_own_axis(c, d, &own[0]));
        TRY(join_own_axis(c, rd, &own[1]));
        a = &own[0];
        b = &own[1];
        st = axis_align(c, a, d->name, b, rd->name, &shift, &map);
    }
    TRY(at(c, st, place(j->b, j->pos)));
    *of_left = (struct join_dim){.left = l, .right = l};
    *of_right = (struct join_dim){.left = l, .right = r};
    if (map) {
        TRY(union_of_labels(j, a, b, map, d->name, all));
        TRY(join_axis_map(c, all, a, &of_left->map));
        TRY(join_axis_map(c, all, b, &of_right->map));
    } else {
        bool by_right = axis_len(a) == 1 && axis_len(b) > 1; /* one cell says no step */
        *all = by_right ? *b : *a;
        of_left->shift = by_right ? -shift : 0;
        of_right->shift = by_right ? 0 : shift;
        int64_t a_lo = a->lo - of_left->shift, b_lo = b->lo - of_right->shift;
        int64_t a_hi = a_lo + axis_len(a), b_hi = b_lo + axis_len(b);
        all->lo = a_lo < b_lo ? a_lo : b_lo;
        all->hi = a_hi > b_hi ? a_hi : b_hi;
        all->limit_lo = all->lo;
        all->limit_hi = all->hi;
        all->grows = false;
    }
    if (slices) {
        of_left->shift = of_right->shift = 0;
        TRY(map_of_slice(c, all, d, &of_left->map));
        TRY(map_of_slice(c, all, rd, &of_right->map));
    }
    d->axis = all;
    d->stride = 1;
    return OK;
}

enum status join_full(struct joining *j, struct scope *out)
{
    struct ctx *c = j->b->c;
    struct plan *p = plan_new(c, P_JOIN, j->pos, 2);
    struct listing l = {.j = j};
    for (int i = 0; i < 2; i++) {
        l.side[i] = list_columns(c, i ? j->second->plan : j->first->plan);
        p->in[i] = l.side[i].plan;
    }
    l.base = l.side[0].plan->rel.n_cols;
    p->join = JOIN_FULL;
    p->n_join_dims = j->n_pairs;
    p->join_dims = arena_array(c->arena, struct join_dim, j->n_pairs + 1);
    p->left_join_dims = arena_array(c->arena, struct join_dim, j->n_pairs + 1);
    p->right_dims = arena_array(c->arena, int, 1);
    const struct rel *left = &p->in[0]->rel;
    p->rel.n_dims = left->n_dims;
    p->rel.dims = arena_array(c->arena, struct rel_dim, left->n_dims + 1);
    memcpy(p->rel.dims, left->dims, sizeof *left->dims * (size_t)left->n_dims);
    struct scope_col *cols = arena_array(c->arena, struct scope_col, j->n_pairs + 1);
    for (int i = 0; i < j->n_pairs; i++) {
        TRY(union_dim(j, i, p));
        int d = j->pair_left[i];
        cols[i] = (struct scope_col){.name = j->parts[i].name,
                                     .is_dim = true,
                                     .index = d,
                                     .type = dim_type(&p->rel.dims[d])};
    }
    add_columns(c, p, true, true);
    join_region(p);
    name_columns(&l, out);
    put_first(j, cols, j->n_pairs, out);
    out->plan = p;
    return OK;
}

/* ---- ASOF ---- */

static enum status asof_syntax(struct joining *j, int pos)
{
    fail_at(j->b->c, ERR_SYNTAX, place(j->b, pos),
            "ASOF JOIN takes one comparison of both sides by >=, >, <= or <, and equalities");
    return hint(j->b->c, "FROM a ASOF JOIN b ON a.t >= b.t AND a.k = b.k");
}

/* Is it left >= right, or one of its kin, either way round? */
static bool is_comparison(const struct joining *j, struct expr *e, enum asof_kind *kind,
                          struct expr **left, struct expr **right)
{
    static const char *const ops[] = {
        [ASOF_GE] = ">=", [ASOF_GT] = ">", [ASOF_LE] = "<=", [ASOF_LT] = "<"};
    static const enum asof_kind turned[] = {
        [ASOF_GE] = ASOF_LE, [ASOF_GT] = ASOF_LT, [ASOF_LE] = ASOF_GE, [ASOF_LT] = ASOF_GT};
    if (e->kind != E_CALL || e->n_args != 2 || e->args[0]->type != e->args[1]->type) return false;
    struct sides s = sides_of(j, e->args[0]), t = sides_of(j, e->args[1]);
    bool straight = s.left && !s.right && t.right && !t.left;
    bool round = s.right && !s.left && t.left && !t.right;
    for (int i = 0; i < 4 && (straight || round); i++) {
        if (strcmp(func_name(e->func), ops[i])) continue;
        *kind = straight ? (enum asof_kind)i : turned[i];
        *left = e->args[round];
        *right = e->args[straight];
        return true;
    }
    return false;
}

static enum status asof_conditions(struct joining *j, struct listing *l, struct plan *p)
{
    struct ctx *c = j->b->c;
    struct expr *time[2] = {NULL, NULL}, *left, *right;
    p->left_keys = arena_array(c->arena, struct expr *, j->n_parts + 1);
    p->right_keys = arena_array(c->arena, struct expr *, j->n_parts + 1);
    for (int i = 0; i < j->n_parts; i++) {
        const struct join_part *part = &j->parts[i];
        enum asof_kind kind;
        if (part->kind != PART_REST) {
            p->left_keys[p->n_join_keys] = over_one(c, l, part->left);
            p->right_keys[p->n_join_keys++] = over_one(c, l, part->right);
        } else if (is_comparison(j, part->e, &kind, &left, &right)) {
            if (time[0]) return asof_syntax(j, part->e->pos);
            p->asof = kind;
            time[0] = over_one(c, l, left);
            time[1] = over_one(c, l, right);
        } else {
            int side = side_to_filter(j, part->e);
            if (side < 0) return asof_syntax(j, part->e->pos);
            add_filter(c, l, &p->in[side], part->e);
        }
    }
    if (!time[0]) return asof_syntax(j, j->f->on ? j->f->on->pos : j->pos);
    p->left_keys[p->n_join_keys] = time[0];
    p->right_keys[p->n_join_keys++] = time[1];
    return OK;
}

enum status join_asof(struct joining *j, struct scope *out)
{
    struct ctx *c = j->b->c;
    struct listing l = {.j = j, .keep_left = true};
    if (j->f->align_tolerance) return asof_syntax(j, j->f->align_tolerance->pos);
    if (!j->f->on) return asof_syntax(j, j->pos);
    struct plan *p = plan_new(c, P_ASOF_JOIN, j->pos, 2);
    l.side[0] = (struct listed){j->first_cols, j->first->plan->rel.n_dims, j->first->plan};
    l.side[1] = list_columns(c, j->second->plan);
    l.base = j->first_cols;
    p->in[0] = l.side[0].plan;
    p->in[1] = l.side[1].plan;
    p->asof_left = j->kind == JOIN_LEFT;
    TRY(asof_conditions(j, &l, p));
    const struct rel *left = &p->in[0]->rel;
    p->rel.n_dims = left->n_dims;
    p->rel.dims = arena_dup(c->arena, left->dims, sizeof *left->dims * (size_t)left->n_dims);
    add_columns(c, p, false, p->asof_left);
    name_columns(&l, out);
    for (int i = j->first->n_cols; i < out->n_cols; i++)
        for (int k = 0; k < j->n_pairs; k++) {
            const struct scope_col *own = &j->second->cols[i - j->first->n_cols];
            if (!own->is_dim || own->index != j->pair_right[k]) continue;
            out->cols[i].paired = true;
            out->cols[i].in_star = false;
        }
    out->plan = p;
    return OK;
}
