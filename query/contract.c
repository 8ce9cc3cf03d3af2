/* Which plan sums products over shared dimensions, and which aggregates are such sums? */
#include "query/contract.h"
#include "query/func.h"
#include "query/rewrite_internal.h"

#define SPLIT_RESULT (256 * 1024) /* cells: smaller results of long sums are made in parts */
#define SPLIT_INNER (16 * 1024)   /* positions of the summed dimension in a part */

enum side { IN_BOTH, IN_LEFT, IN_RIGHT };

static enum side side_of(const struct plan *pairs, int d)
{
    int n_left = pairs->in[0]->rel.n_dims;
    if (d >= n_left) return IN_RIGHT;
    for (int i = 0; i < pairs->n_join_dims; i++)
        if (pairs->join_dims[i].left == d) return IN_BOTH;
    return IN_LEFT;
}

static bool is_kept(const struct contraction *k, int d)
{
    for (int i = 0; i < k->n_kept; i++)
        if (k->kept[i] == d) return true;
    return false;
}

/* ---- making ---- */

static enum status factor_plan(struct ctx *c, struct plan *in, struct expr *e, enum type t,
                               const char *name, int pos, struct plan **out)
{
    TRY(expr_make_cast(c, e, t, true, pos, &e));
    *out = plan_map(c, in, &e, &name, 1);
    return OK;
}

/* The product itself; its dimensions are both sides', then the left's, then the right's. */
static enum status product_plan(struct ctx *c, const struct contraction *k, struct plan **out)
{
    struct plan *p = plan_new(c, P_MATMUL, k->pos, 2);
    p->pairs = arena_dup(c->arena, k->pairs, sizeof *p->pairs);
    TRY(factor_plan(c, k->pairs->in[0], k->left, k->type, k->name, k->pos, &p->in[0]));
    TRY(factor_plan(c, k->pairs->in[1], k->right, k->type, k->name, k->pos, &p->in[1]));
    p->pairs->in = p->in;
    p->pairs->rel.n_cols = 2;
    p->nulls_spread = k->nulls_spread;
    p->dim_of = arena_array(c->arena, int, k->n_kept + 1);
    p->rel.dims = arena_array(c->arena, struct rel_dim, k->n_kept + 1);
    for (enum side s = IN_BOTH; s <= IN_RIGHT; s++)
        for (int i = 0; i < k->n_kept; i++) {
            if (side_of(k->pairs, k->kept[i]) != s) continue;
            p->dim_of[p->rel.n_dims] = k->kept[i];
            p->rel.dims[p->rel.n_dims++] = k->pairs->rel.dims[k->kept[i]];
        }
    p->rel.n_cols = 1;
    p->rel.cols = arena_array(c->arena, struct rel_col, 1);
    p->rel.cols[0] = (struct rel_col){.name = k->name, .type = k->type};
    *out = p;
    return OK;
}

/* ---- long sums in parts ---- */

static int64_t extent(const struct rel_dim *d)
{
    return d->hi > d->lo ? d->hi - d->lo : 0;
}

/* The summed dimension to cut when the result is small and the sums long: -1: none. Parts are what
 * workers share, and their number hangs on the shapes alone. */
static int dim_to_split(const struct contraction *k, const struct plan *p)
{
    int64_t cells = 1;
    for (int i = 0; i < p->rel.n_dims; i++) {
        if (!dim_known(&p->rel.dims[i])) return -1;
        if (__builtin_mul_overflow(cells, extent(&p->rel.dims[i]), &cells)) return -1;
    }
    for (int d = 0; d < k->pairs->rel.n_dims; d++) {
        const struct rel_dim *dim = &k->pairs->rel.dims[d];
        if (is_kept(k, d)) continue;
        bool longer = dim_known(dim) && cells <= SPLIT_RESULT && p->rel.n_dims < MAX_DIMS &&
                      extent(dim) / SPLIT_INNER * SPLIT_INNER >= 2 * SPLIT_INNER;
        return longer ? d : -1;
    }
    return -1;
}

static void add_part_dim(struct ctx *c, struct plan *p, int64_t n)
{
    struct rel_dim *dims = arena_array(c->arena, struct rel_dim, p->rel.n_dims + 1);
    int *dim_of = arena_array(c->arena, int, p->rel.n_dims + 1);
    struct axis *a = arena_new_of(c->arena, struct axis);
    *a = axis_count(n);
    memcpy(dims + 1, p->rel.dims, sizeof *dims * (size_t)p->rel.n_dims);
    memcpy(dim_of + 1, p->dim_of, sizeof *dim_of * (size_t)p->rel.n_dims);
    dims[0] = (struct rel_dim){
        .name = "part", .axis = a, .lo = a->lo, .hi = a->hi, .stride = 1, .tile = 1};
    dim_of[0] = -1;
    p->rel.dims = dims;
    p->dim_of = dim_of;
    p->rel.n_dims++;
}

static enum status add_call(struct ctx *c, struct plan *p, const char *name, struct expr *arg)
{
    struct agg_call *a = &p->aggs[p->n_aggs];
    enum type t;
    *a = (struct agg_call){.n_args = arg != NULL, .pos = p->pos};
    a->args = arena_array(c->arena, struct expr *, 1);
    a->args[0] = arg;
    TRY(agg_resolve(c, name, a->args, a->n_args, false, false, p->pos, &a->agg, &t));
    p->rel.cols[p->n_aggs++] = (struct rel_col){.name = name, .type = t};
    return OK;
}

/* The sum of the parts; NULL where one is, when NULLs spread. */
static enum status sum_of_parts(struct ctx *c, const struct contraction *k, struct plan *in,
                                struct plan **out)
{
    struct plan *p = plan_new(c, P_AGGREGATE, k->pos, 1);
    int n = in->rel.n_dims - 1;
    p->in[0] = in;
    p->by_dims = true;
    p->n_keys = p->rel.n_dims = n;
    p->keys = arena_array(c->arena, struct group_key, n + 1);
    p->rel.dims = arena_dup(c->arena, in->rel.dims + 1, sizeof *p->rel.dims * (size_t)n);
    for (int i = 0; i < n; i++)
        p->keys[i] =
            (struct group_key){.e = dim_ref(c, &in->rel, i + 1), .dim = i + 1, .plain = true};
    p->aggs = arena_array(c->arena, struct agg_call, 3);
    p->rel.cols = arena_array(c->arena, struct rel_col, 3);
    TRY(add_call(c, p, "sum", col_ref(c, &in->rel, 0)));
    if (k->nulls_spread) TRY(add_call(c, p, "count", col_ref(c, &in->rel, 0)));
    if (k->nulls_spread) TRY(add_call(c, p, "count", NULL));
    p->rel.n_cols = p->n_aggs;
    struct expr *e = col_ref(c, &p->rel, 0), *same[2], *args[2];
    if (k->nulls_spread) {
        same[0] = col_ref(c, &p->rel, 1);
        same[1] = col_ref(c, &p->rel, 2);
        TRY(expr_make_call(c, "=", same, 2, k->pos, &args[0]));
        args[1] = e;
        TRY(expr_make_case(c, args, 2, NULL, k->pos, &e));
    }
    TRY(expr_make_cast(c, e, k->type, true, k->pos, &e));
    *out = plan_map(c, p, &e, &k->name, 1);
    return OK;
}

/* From the product's order to the kept one. */
static struct plan *in_kept_order(struct ctx *c, const struct contraction *k, const int *had,
                                  struct plan *p)
{
    bool same = true;
    for (int i = 0; i < k->n_kept; i++)
        same = same && had[i] == k->kept[i];
    if (same) return p;
    struct plan *t = plan_over(c, P_TRANSPOSE, k->pos, p);
    t->dim_of = arena_array(c->arena, int, k->n_kept + 1);
    for (int i = 0; i < k->n_kept; i++)
        for (int d = 0; d < k->n_kept; d++)
            if (had[d] == k->kept[i]) {
                t->dim_of[i] = d;
                t->rel.dims[i] = p->rel.dims[d];
            }
    rel_box(&t->rel, &t->region);
    return t;
}

enum status plan_contract(struct ctx *c, const struct contraction *k, struct plan **out)
{
    struct plan *p;
    TRY(product_plan(c, k, &p));
    const int *order = p->dim_of;
    int d = dim_to_split(k, p);
    if (d >= 0) {
        p->split = SPLIT_INNER;
        p->split_dim = d;
        add_part_dim(c, p, (extent(&k->pairs->rel.dims[d]) + SPLIT_INNER - 1) / SPLIT_INNER);
        TRY(sum_of_parts(c, k, p, &p));
    }
    *out = in_kept_order(c, k, order, p);
    return OK;
}

/* ---- finding ---- */

static bool widens(enum type from, enum type to)
{
    if (type_is_float(to)) return type_is_integer(from) || type_bytes(to) >= type_bytes(from);
    return type_is_integer(from) && type_is_integer(to) && type_bytes(to) > type_bytes(from);
}

static const struct expr *uncast(const struct expr *e)
{
    while (e->kind == E_CAST && type_is_numeric(e->args[0]->type) &&
           widens(e->args[0]->type, e->type))
        e = e->args[0];
    return e;
}

/* Columns and dimensions that an expression over the join takes, by side. */
struct sources {
    const struct plan *join;
    bool left, right, other;
};

static bool note_source(const struct expr *e, void *self)
{
    struct sources *s = self;
    if (e->kind == E_COL) {
        bool right = e->index >= s->join->in[0]->rel.n_cols;
        s->left |= !right;
        s->right |= right;
    } else if (e->kind == E_DIM || e->kind == E_POS || e->kind == E_SUBQUERY ||
               e->kind == E_OUTER) {
        s->other = true;
    }
    return true;
}

static struct sources sources_of(const struct plan *join, const struct expr *e)
{
    struct sources s = {.join = join};
    expr_walk(e, note_source, &s);
    return s;
}

/* A product of one factor for each side; constants go to the left. */
struct factors {
    struct expr *left, *right;
};

static enum status times(struct ctx *c, struct expr **to, struct expr *e)
{
    struct expr *both[2] = {*to, e};
    if (*to) return expr_make_call(c, "*", both, 2, e->pos, to);
    *to = e;
    return OK;
}

/* *found false: it is no such product. Of floats a negative and a quotient by a constant are one:
 * the left takes the factor. */
static enum status split_product(struct ctx *c, const struct plan *join, struct expr *e,
                                 struct factors *f, bool *found)
{
    struct sources s = sources_of(join, e);
    if (s.other) {
        *found = false;
        return OK;
    }
    if (!s.left || !s.right) return times(c, s.right ? &f->right : &f->left, e);
    const struct expr *u = uncast(e);
    *found = u->kind == E_CALL;
    if (!*found) return OK;
    const char *name = func_name(u->func);
    bool negative = u->n_args == 1 && !strcmp(name, "-"), quotient = !strcmp(name, "/");
    if (!strcmp(name, "*") || (negative && type_is_float(u->type))) {
        for (int i = 0; i < u->n_args && *found; i++)
            TRY(split_product(c, join, u->args[i], f, found));
        return negative && *found ? expr_make_call(c, "-", &f->left, 1, e->pos, &f->left) : OK;
    }
    *found = quotient && type_is_float(u->type) && expr_is_const(u->args[1]);
    if (*found) TRY(split_product(c, join, u->args[0], f, found));
    struct expr *both[2] = {f->left, u->args[quotient]};
    return *found ? expr_make_call(c, "/", both, 2, e->pos, &f->left) : OK;
}

static struct expr *to_right(struct ctx *c, const struct expr *e, void *self)
{
    const struct plan *join = self;
    if (e->kind != E_COL) return NULL;
    return expr_make_ref(c, E_COL, e->index - join->in[0]->rel.n_cols, e->type, e->pos);
}

static bool sums_type(enum type t)
{
    return type_is_float(t) || (type_is_integer(t) && t != T_UINT64);
}

/* Each group is one position of some of the join's dimensions, all those that one side alone has
 * among them, and there are both such of the left or right and summed ones. */
static bool groups_line_up(const struct plan *p, struct contraction *k)
{
    const struct plan *join = p->in[0];
    bool own = false, sums = false;
    k->n_kept = p->n_keys;
    for (int i = 0; i < p->n_keys; i++) {
        if (!p->keys[i].plain) return false;
        k->kept[i] = p->keys[i].dim;
        for (int j = 0; j < i; j++)
            if (k->kept[j] == k->kept[i]) return false;
    }
    for (int d = 0; d < join->rel.n_dims; d++) {
        bool kept = is_kept(k, d), both = side_of(join, d) == IN_BOTH;
        if (!kept && !both) return false;
        if (!dim_known(&join->rel.dims[d])) return false;
        own |= !both;
        sums |= !kept;
    }
    return own && sums;
}

static bool may_contract(const struct plan *p, struct contraction *k)
{
    if (p->kind != P_AGGREGATE || !p->by_dims || p->unique || p->n_aggs != 1) return false;
    const struct agg_call *a = &p->aggs[0];
    const struct plan *join = p->in[0];
    if (strcmp(agg_name(a->agg), "sum") != 0 || a->n_args != 1 || a->filter || a->distinct)
        return false;
    if (join->kind != P_JOIN || join->join != JOIN_INNER || join->residual) return false;
    return groups_line_up(p, k);
}

static bool is_factor(const struct expr *e)
{
    return e && sums_type(e->type) && !expr_may_fail(e);
}

static enum status contract(struct ctx *c, struct plan **slot)
{
    struct plan *p = *slot;
    struct contraction k = {.pos = p->pos};
    struct factors f = {0};
    bool found = true;
    if (!may_contract(p, &k)) return OK;
    k.pairs = p->in[0];
    struct expr *e = p->aggs[0].args[0];
    enum type t = p->rel.cols[0].type;
    if (!sums_type(e->type) || expr_is_volatile(e)) return OK;
    TRY(split_product(c, p->in[0], e, &f, &found));
    if (!found || !is_factor(f.left) || !is_factor(f.right)) return OK;
    k.left = f.left;
    k.right = expr_map(c, f.right, to_right, p->in[0]);
    k.type = type_is_float(t) ? T_FLOAT64 : T_INT64;
    k.name = p->rel.cols[0].name;
    struct rel_col col = p->rel.cols[0];
    TRY(plan_contract(c, &k, slot));
    (*slot)->rel.cols[0] = col;
    return OK;
}

enum status find_contractions(struct ctx *c, struct plan **slot)
{
    for (int i = 0; i < (*slot)->n_in; i++)
        TRY(find_contractions(c, &(*slot)->in[i]));
    return contract(c, slot);
}
