/* Which steps do the work of several? A product and a sum; a comparison and the mask that it is
 * for, without a BOOLEAN a cell between them. */
#include "query/compiler.h"

/* A product of floats that is wanted for this alone, as far as is known. */
static bool is_product(const struct compiler *k, const struct expr *e, int mask)
{
    return e->kind == E_CALL && e->func->how == HOW_BINARY && e->func->kernel == B_MUL &&
           type_is_float(e->type) && !expr_is_const(e) && compiler_known(k, e, mask) < 0;
}

/* a * b + c, a * b - c and c - a * b are one step. */
enum status compiler_muladd(struct compiler *k, const struct expr *e, int mask, bool *done,
                            int *reg)
{
    bool add = e->func->kernel == B_ADD;
    if (e->func->how != HOW_BINARY || (!add && e->func->kernel != B_SUB) || k->plain) return OK;
    int at = is_product(k, e->args[0], mask) ? 0 : 1, r[3];
    if (!is_product(k, e->args[at], mask)) return OK;
    const struct expr *product = e->args[at], *other = e->args[1 - at];
    if (at) TRY(compiler_expr(k, other, mask, &r[2]));
    TRY(compiler_expr(k, product->args[0], mask, &r[0]));
    TRY(compiler_expr(k, product->args[1], mask, &r[1]));
    if (!at) TRY(compiler_expr(k, other, mask, &r[2]));
    *done = true;
    if (compiler_is_null(k, r[0]) || compiler_is_null(k, r[1]) || compiler_is_null(k, r[2])) {
        *reg = compiler_null(k, e->type);
        return OK;
    }
    const struct kernels *kernels = kernels_get();
    enum muladd_kernel id = add ? MULADD : at ? SUBMUL : MULSUB;
    *reg = compiler_reg(k, e->type);
    struct step *s = compiler_emit(k, STEP_MULADD, *reg, compiler_vector(k, r[0]), mask);
    s->b = compiler_vector(k, r[1]);
    s->c = compiler_vector(k, r[2]);
    s->muladd = (k->fast ? kernels->muladd_fast : kernels->muladd)[id][e->type];
    s->type = e->type;
    return OK;
}

/* ---- conditions ---- */

static bool is_comparison(const struct expr *e)
{
    return e->kind == E_CALL && e->func->how == HOW_BINARY && (e->func->flags & FN_COMPARE) &&
           e->args[0]->type == e->args[1]->type && !expr_is_const(e);
}

static enum status compare(struct compiler *k, const struct expr *e, bool negated, int mask,
                           int *out)
{
    int a, b;
    enum kernel_form form = FORM_VV;
    enum type t = kernel_type(e->args[0]->type);
    TRY(compiler_expr(k, e->args[0], mask, &a));
    TRY(compiler_expr(k, e->args[1], mask, &b));
    if (k->code.regs[b].constant && !k->code.regs[a].constant)
        form = FORM_VC;
    else if (k->code.regs[a].constant && !k->code.regs[b].constant)
        form = FORM_CV;
    if (form != FORM_CV) compiler_vector(k, a);
    if (form != FORM_VC) compiler_vector(k, b);
    *out = compiler_mask(k, mask);
    struct step *s = compiler_emit(k, STEP_COMPARE, *out, a, mask);
    s->b = b;
    s->compare = kernels_get()->compare_bits[e->func->kernel - B_EQ][t][form];
    s->negated = negated;
    return OK;
}

/* Without masks of their own for each: may all operands be computed wherever the first is? */
static bool at_once(const struct expr *e)
{
    for (int i = 1; i < e->n_args; i++)
        if (expr_may_fail(e->args[i]) || compiler_costly(e->args[i])) return false;
    return true;
}

enum status compiler_true(struct compiler *k, const struct expr *e, int mask, int *out)
{
    if (compiler_known(k, e, mask) < 0) {
        if (is_comparison(e)) return compare(k, e, false, mask, out);
        if (e->kind == E_NOT && is_comparison(e->args[0]))
            return compare(k, e->args[0], true, mask, out);
        if (e->kind == E_AND && at_once(e)) {
            for (int i = 0; i < e->n_args; i++)
                TRY(compiler_true(k, e->args[i], mask, &mask));
            *out = mask;
            return OK;
        }
        if (e->kind == E_OR && at_once(e)) {
            int all;
            TRY(compiler_true(k, e->args[0], mask, &all));
            for (int i = 1; i < e->n_args; i++) {
                int one, both = compiler_mask(k, mask);
                TRY(compiler_true(k, e->args[i], mask, &one));
                struct step *s = compiler_emit(k, STEP_UNION, both, -1, all);
                s->index = one;
                all = both;
            }
            *out = all;
            return OK;
        }
    }
    int r;
    TRY(compiler_expr(k, e, mask, &r));
    *out = compiler_mask(k, mask);
    compiler_emit(k, STEP_TRUE, *out, compiler_vector(k, r), mask);
    return OK;
}
