/* What do matrix algebra's operators and functions mean? a @ b. */
#include "query/bind_array.h"
#include "query/contract.h"
#include "query/func.h"

/* ---- arguments ---- */

/* The one numeric attribute of a matrix. */
static enum status one_attribute(struct binder *b, const struct scope *s, int pos, const char *what)
{
    struct ctx *c = b->c;
    const struct rel *r = &s->plan->rel;
    if (r->n_cols != 1) {
        fail_at(c, ERR_WRONG_OBJECT, place(b, pos),
                "%s takes an array of one attribute, and \"%s\" has %d", what,
                s->items[0] ? s->items[0] : "?", r->n_cols);
        return hint(c, "Choose with a sub-query: (SELECT [*], v FROM a).");
    }
    if (type_is_numeric(r->cols[0].type)) return OK;
    return fail_at(c, ERR_DATATYPE_MISMATCH, place(b, pos),
                   "%s needs numbers, and \"%s\" is of type %s", what, r->cols[0].name,
                   type_name(r->cols[0].type));
}

static const char *dim_name(const struct scope *s, int d)
{
    for (int i = 0; i < s->n_cols; i++)
        if (s->cols[i].is_dim && s->cols[i].index == d && s->cols[i].name) return s->cols[i].name;
    return s->plan->rel.dims[d].name ? s->plan->rel.dims[d].name : "?";
}

static const char *attribute_name(const struct scope *s)
{
    for (int i = 0; i < s->n_cols; i++)
        if (!s->cols[i].is_dim) return s->cols[i].name;
    return s->plan->rel.cols[0].name;
}

/* ---- a @ b ---- */

struct matrices {
    struct scope left, right;
    int n_pairs, pair_left[MAX_DIMS], pair_right[MAX_DIMS]; /* the last: what is summed over */
};

static bool paired_right(const struct matrices *m, int d)
{
    for (int i = 0; i < m->n_pairs; i++)
        if (m->pair_right[i] == d) return true;
    return false;
}

/* The left's last dimension with the right's last but one, or only one; leading ones of the same
 * name. */
static enum status pair_dims(struct binder *b, const struct ast_from *f, struct matrices *m)
{
    const struct rel *l = &m->left.plan->rel, *r = &m->right.plan->rel;
    if (l->n_dims == 0 || r->n_dims == 0)
        return fail_at(b->c, ERR_WRONG_OBJECT, place(b, f->pos),
                       "@ multiplies arrays with dimensions, and the %s has none",
                       l->n_dims ? "right" : "left");
    int lead_left = l->n_dims < 2 ? 0 : l->n_dims - 2,
        lead_right = r->n_dims < 2 ? 0 : r->n_dims - 2;
    for (int i = 0; i < lead_left; i++)
        for (int k = 0; k < lead_right; k++) {
            if (strcmp(dim_name(&m->left, i), dim_name(&m->right, k)) != 0) continue;
            m->pair_left[m->n_pairs] = i;
            m->pair_right[m->n_pairs++] = k;
        }
    m->pair_left[m->n_pairs] = l->n_dims - 1;
    m->pair_right[m->n_pairs++] = lead_right;
    return OK;
}

static const char *coordinate(struct ctx *c, const struct rel_dim *d)
{
    struct strbuf text = STRBUF_INIT;
    struct value v = axis_coord(d->axis, d->lo);
    value_format(&v, &text);
    const char *s = arena_printf(c->arena, "%s", text.s);
    strbuf_release(&text);
    return s;
}

/* A pair must have the same coordinates: that matrices of other shapes were meant is likelier than
 * that most of one counts as 0. */
static enum status check_chain(struct binder *b, const struct ast_from *f, const struct matrices *m)
{
    struct ctx *c = b->c;
    for (int i = 0; i < m->n_pairs; i++) {
        const struct rel_dim *l = &m->left.plan->rel.dims[m->pair_left[i]];
        const struct rel_dim *r = &m->right.plan->rel.dims[m->pair_right[i]];
        int64_t n = l->hi - l->lo;
        bool same = n == r->hi - r->lo;
        if (same && n && l->axis->type == r->axis->type) {
            struct value x = axis_coord(l->axis, l->lo), y = axis_coord(r->axis, r->lo);
            same = value_compare(&x, &y) == 0;
        }
        if (same) continue;
        fail_at(c, ERR_AXIS_MISMATCH, place(b, f->pos),
                "shapes do not chain: dimension \"%s\" of the left has %lld positions%s%s, \"%s\" "
                "of the right has %lld%s%s",
                dim_name(&m->left, m->pair_left[i]), (long long)n, n ? " from " : "",
                n ? coordinate(c, l) : "", dim_name(&m->right, m->pair_right[i]),
                (long long)(r->hi - r->lo), r->hi > r->lo ? " from " : "",
                r->hi > r->lo ? coordinate(c, r) : "");
        return hint(c, "@ goes by coordinate: slice or rename so that both have the same ones, or "
                       "write sum(a.v * b.v) over a JOIN.");
    }
    return OK;
}

/* Both sides' leading dimensions, then the left's row dimension and the right's columns. */
static void keep_dims(const struct matrices *m, const struct plan *pairs, struct contraction *k)
{
    int n_left = m->left.plan->rel.n_dims, n_right = m->right.plan->rel.n_dims;
    int own[MAX_DIMS], n_own = pairs->rel.n_dims - n_left;
    for (int i = 0; i < n_own; i++)
        own[pairs->right_dims[i]] = n_left + i;
    for (int d = 0; d < n_left - 2; d++)
        k->kept[k->n_kept++] = d;
    for (int d = 0; d < n_right - 2; d++)
        if (!paired_right(m, d)) k->kept[k->n_kept++] = own[d];
    if (n_left > 1) k->kept[k->n_kept++] = n_left - 2;
    if (n_right > 1) k->kept[k->n_kept++] = own[n_right - 1];
}

/* Names of both sides; one that would stand twice gets _2. */
static void name_dims(struct ctx *c, const struct matrices *m, const struct contraction *k,
                      struct plan *p)
{
    int n_left = m->left.plan->rel.n_dims;
    for (int i = 0; i < k->n_kept; i++) {
        int d = k->kept[i];
        const char *name = d < n_left ? dim_name(&m->left, d)
                                      : dim_name(&m->right, k->pairs->right_dims[d - n_left]);
        for (int j = 0; j < i; j++)
            if (!strcmp(p->rel.dims[j].name, name)) name = arena_printf(c->arena, "%s_2", name);
        p->rel.dims[i].name = name;
    }
}

static enum type product_type(enum type l, enum type r)
{
    if (l == T_FLOAT64 || r == T_FLOAT64) return T_FLOAT64;
    if (l == T_FLOAT32 || r == T_FLOAT32) {
        enum type other = l == T_FLOAT32 ? r : l;
        return other == T_FLOAT32 || type_bytes(other) <= 2 ? T_FLOAT32 : T_FLOAT64;
    }
    return T_INT64;
}

enum status bind_matmul(struct binder *b, const struct ast_from *f, struct scope *out)
{
    struct ctx *c = b->c;
    struct matrices m = {.n_pairs = 0};
    struct contraction k = {.nulls_spread = true, .pos = place(b, f->pos)};
    struct plan *p;
    TRY(bind_array_item(b, f->left, "@", &m.left));
    TRY(bind_array_item(b, f->right, "@", &m.right));
    TRY(one_attribute(b, &m.left, f->left->pos, "@"));
    TRY(one_attribute(b, &m.right, f->right->pos, "@"));
    TRY(pair_dims(b, f, &m));
    TRY(check_chain(b, f, &m));
    TRY(join_on_dims(b, f->pos, &m.left, &m.right, m.pair_left, m.pair_right, m.n_pairs, &k.pairs));
    keep_dims(&m, k.pairs, &k);
    const struct rel_col *lc = &k.pairs->in[0]->rel.cols[0], *rc = &k.pairs->in[1]->rel.cols[0];
    k.left = expr_make_ref(c, E_COL, 0, lc->type, k.pos);
    k.right = expr_make_ref(c, E_COL, 0, rc->type, k.pos);
    k.type = product_type(lc->type, rc->type);
    bool same = !strcmp(attribute_name(&m.left), attribute_name(&m.right));
    k.name = same ? attribute_name(&m.left) : "v";
    TRY(plan_contract(c, &k, &p));
    name_dims(c, &m, &k, p);
    scope_of_relation(b, f, p, out);
    return OK;
}
