/* How does a tree of expressions become steps? All decisions about types are made here. */
#include "query/compiler.h"
#include "query/func_cells.h"
#include "query/subquery.h"
#include "storage/base/datetime.h"
#include "storage/base/settings.h"
#include <stdlib.h>
#include <string.h>

/* Lists grow by doubling; the old ones stay behind in the arena. */
static void *grown(struct arena *a, void *list, int n, int *cap, size_t bytes)
{
    if (n < *cap) return list;
    *cap = *cap ? 2 * *cap : 16;
    void *fresh = arena_alloc(a, (size_t)*cap * bytes);
    if (n > 0) memcpy(fresh, list, (size_t)n * bytes);
    return fresh;
}

int compiler_reg(struct compiler *k, enum type type)
{
    struct code *code = &k->code;
    code->regs = grown(k->c->arena, code->regs, code->n_regs, &k->cap_regs, sizeof *code->regs);
    code->regs[code->n_regs] = (struct reg){.type = type, .output = -1, .first = -1, .last = -1};
    return code->n_regs++;
}

int compiler_mask(struct compiler *k, int parent)
{
    k->mask_parent =
        grown(k->c->arena, k->mask_parent, k->code.n_masks, &k->cap_masks, sizeof(int));
    k->mask_parent[k->code.n_masks] = parent;
    return k->code.n_masks++;
}

struct step *compiler_emit(struct compiler *k, enum step_kind kind, int dst, int a, int mask)
{
    struct code *code = &k->code;
    code->steps =
        grown(k->c->arena, code->steps, code->n_steps, &k->cap_steps, sizeof *code->steps);
    struct step *s = &code->steps[code->n_steps++];
    *s = (struct step){.kind = kind, .dst = dst, .a = a, .b = -1, .c = -1, .mask = mask, .pos = -1};
    return s;
}

/* ---- constants ---- */

static int constant_reg(struct compiler *k, const struct value *v)
{
    int r = compiler_reg(k, v->type);
    void *bytes = arena_alloc(k->c->arena, 16);
    if (!v->null) value_put(v, bytes, 0);
    k->code.regs[r].constant = bytes;
    k->code.regs[r].constant_null = v->null;
    return r;
}

int compiler_null(struct compiler *k, enum type type)
{
    struct value null = value_null(type);
    return constant_reg(k, &null);
}

static bool reg_is_constant(const struct compiler *k, int r)
{
    return k->code.regs[r].constant != NULL;
}

bool compiler_is_null(const struct compiler *k, int r)
{
    return k->code.regs[r].constant_null;
}

/* A register that steps can read as a vector. */
int compiler_vector(struct compiler *k, int r)
{
    if (reg_is_constant(k, r)) k->code.regs[r].filled = true;
    return r;
}

static enum status subquery_of(struct ctx *c, const struct expr *e, const struct env *env,
                               struct subquery_run **out)
{
    if (!env || e->subquery->slot >= env->n_subqueries)
        return fail_at(c, ERR_UNSUPPORTED, e->pos, "a sub-query cannot be evaluated here");
    *out = env->subqueries[e->subquery->slot];
    return OK;
}

static enum status env_value(struct ctx *c, const struct expr *e, const struct env *env,
                             struct value *out)
{
    const struct value *v = NULL;
    struct value now;
    if (e->kind == E_CONST) {
        v = &e->value;
    } else if (e->kind == E_CALL) {
        now = value_int(T_TIMESTAMP, env ? env->statement_us : 0);
        if (e->type == T_DATE) {
            int64_t us = now.i, day = us / US_PER_DAY - (us % US_PER_DAY < 0);
            now = value_int(T_DATE, day);
        }
        v = &now;
    } else if (e->kind == E_PARAM) {
        if (!env || !env->params || e->index >= env->n_params)
            return fail_at(c, ERR_UNDEFINED_PARAM, e->pos, "there is no value for parameter $%d",
                           e->index + 1);
        v = &env->params[e->index];
    } else if (e->kind == E_OUTER) {
        if (!env || e->index >= env->n_outer)
            return fail_at(c, ERR_INTERNAL, e->pos, "a sub-query's outer value is not known");
        v = &env->outer[e->index];
    } else {
        struct subquery_run *run;
        TRY(subquery_of(c, e, env, &run));
        TRY(at(c, subquery_value(c, run, e->index, &now), e->pos));
        v = &now;
    }
    if (v->null)
        *out = value_null(e->type);
    else if (v->type == e->type)
        *out = *v;
    else
        return at(c, value_cast(c, v, e->type, out), e->pos);
    return OK;
}

static bool is_env_leaf(const struct expr *e)
{
    return e->kind == E_CONST || e->kind == E_PARAM || e->kind == E_OUTER ||
           (e->kind == E_SUBQUERY && e->n_args == 0) ||
           (e->kind == E_CALL && e->func->how == HOW_NOW);
}

/* ---- common sub-expressions ---- */

static uint64_t hash_expr(const struct expr *e)
{
    uint64_t h = (uint64_t)e->kind * 31 + (uint64_t)(e->type + 1);
    h = h * 0x9e3779b97f4a7c15u + (uint64_t)e->index;
    h = h * 0x9e3779b97f4a7c15u + (uint64_t)(uintptr_t)e->func;
    if (e->kind == E_CONST && !type_is_varlen(e->type)) h ^= e->value.u;
    for (int i = 0; i < e->n_args; i++)
        h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u + hash_expr(e->args[i]);
    return h;
}

static bool mask_within(const struct compiler *k, int inner, int outer)
{
    while (inner > outer)
        inner = k->mask_parent[inner];
    return inner == outer;
}

static int find_known(const struct compiler *k, const struct expr *e, uint64_t hash, int mask)
{
    for (int i = k->n_known - 1; i >= 0; i--) {
        const struct known *kn = &k->known[i];
        if (kn->hash == hash && mask_within(k, mask, kn->mask) && expr_equal(kn->e, e))
            return kn->reg;
    }
    return -1;
}

int compiler_known(const struct compiler *k, const struct expr *e, int mask)
{
    return find_known(k, e, hash_expr(e), mask);
}

static void remember(struct compiler *k, const struct expr *e, uint64_t hash, int mask, int reg)
{
    k->known = grown(k->c->arena, k->known, k->n_known, &k->cap_known, sizeof *k->known);
    k->known[k->n_known++] = (struct known){e, hash, reg, mask};
}

/* ---- values along one dimension ---- */

struct needs {
    int dim; /* -1: none yet, -2: more than one, or a column */
};

static bool note_needs(const struct expr *e, void *self)
{
    struct needs *n = self;
    if (e->kind == E_COL || (e->kind == E_CALL && e->func->how == HOW_RANDOM)) n->dim = -2;
    if (e->kind == E_DIM || e->kind == E_POS)
        n->dim = n->dim == -1 || n->dim == e->index ? e->index : -2;
    return n->dim != -2;
}

static struct expr *first_dim(struct ctx *c, const struct expr *e, void *self)
{
    (void)self;
    return expr_make_ref(c, e->kind, 0, e->type, e->pos);
}

/* An expression of one dimension of several that cannot fail is computed once per position, not
 * once per cell: cos(lat), extract(month FROM time). */
static enum status compile_source(struct compiler *k, const struct expr *e, bool *done, int *reg)
{
    struct needs n = {-1};
    bool leaf = e->kind == E_DIM || e->kind == E_POS;
    if (!leaf && (k->in->n_dims < 2 || e->n_args == 0)) return OK;
    expr_walk(e, note_needs, &n);
    if (n.dim < 0 || (!leaf && expr_may_fail(e))) return OK;
    struct axis_source s = {.dim = n.dim, .type = e->type, .positions = e->kind == E_POS};
    if (!leaf) {
        struct rel *line = arena_new_of(k->c->arena, struct rel);
        line->n_dims = 1;
        line->dims = &k->in->dims[n.dim];
        struct expr *of_line = expr_map(k->c, e, first_dim, NULL);
        struct program *p;
        TRY(program_compile(k->c, &of_line, 1, line, k->env, &p));
        s.program = p;
    }
    struct code *code = &k->code;
    code->sources =
        grown(k->c->arena, code->sources, code->n_sources, &k->cap_sources, sizeof *code->sources);
    code->sources[code->n_sources] = s;
    *reg = compiler_reg(k, e->type);
    compiler_emit(k, STEP_AXIS, *reg, -1, 0)->index = code->n_sources++;
    *done = true;
    return OK;
}

/* ---- nodes ---- */

static enum status no_kernel(struct compiler *k, const struct expr *e)
{
    return fail_at(k->c, ERR_INTERNAL, e->pos, "no kernel for %s of type %s",
                   e->func ? func_name(e->func) : "a cast", type_name(e->args[0]->type));
}

static void compile_binary_step(struct compiler *k, const struct expr *e, enum step_kind kind,
                                binary_fn *const *forms, int a, int b, int mask, int *reg)
{
    enum kernel_form form = FORM_VV;
    if (reg_is_constant(k, b) && kind == STEP_BINARY && !reg_is_constant(k, a))
        form = FORM_VC;
    else if (reg_is_constant(k, a) && kind == STEP_BINARY && !reg_is_constant(k, b))
        form = FORM_CV;
    if (form != FORM_CV) compiler_vector(k, a);
    if (form != FORM_VC) compiler_vector(k, b);
    *reg = compiler_reg(k, e->type);
    struct step *s = compiler_emit(k, kind, *reg, a, mask);
    s->b = b;
    s->binary = forms[form];
    s->type = e->type;
    s->pos = e->pos;
}

static enum status compile_binary(struct compiler *k, const struct expr *e, const int *args,
                                  int mask, int *reg)
{
    int a = args[0], b = args[1];
    enum type ta = e->args[0]->type, tb = e->args[1]->type;
    int id = e->func->kernel;
    binary_fn *forms[N_FORMS];
    if (compiler_is_null(k, a) || compiler_is_null(k, b)) {
        *reg = compiler_null(k, e->type);
        return OK;
    }
    if (ta != tb && (e->func->flags & FN_COMPARE)) {
        static const int mirrored[] = {B_EQ, B_NE, B_GT, B_GE, B_LT, B_LE};
        if (ta == T_UINT64) {
            int swap = a;
            a = b;
            b = swap;
            id = mirrored[id - B_EQ];
        }
        memcpy(forms, kernels_get()->compare_signed_unsigned[id - B_EQ], sizeof forms);
    } else {
        if (id == B_POW && reg_is_constant(k, b)) {
            struct value by = value_get(tb, k->code.regs[b].constant, 0);
            if (by.d == 2) { /* exact, and a hundred times as fast */
                *reg = compiler_reg(k, e->type);
                struct step *s = compiler_emit(k, STEP_UNARY, *reg, compiler_vector(k, a), mask);
                s->unary = kernel_unary(U_SQUARE, ta, k->fast);
                s->type = e->type;
                return OK;
            }
        }
        for (int f = 0; f < N_FORMS; f++)
            forms[f] = kernel_binary((enum binary_kernel)id, ta, (enum kernel_form)f, k->fast);
    }
    if (!forms[0]) return no_kernel(k, e);
    compile_binary_step(k, e, STEP_BINARY, forms, a, b, mask, reg);
    return OK;
}

static enum status compile_extreme(struct compiler *k, const struct expr *e, const int *args,
                                   int mask, int *reg)
{
    binary_fn *forms[N_FORMS] = {
        kernel_binary((enum binary_kernel)e->func->kernel, e->type, FORM_VV, k->fast)};
    if (!forms[0]) return no_kernel(k, e);
    *reg = args[0];
    for (int i = 1; i < e->n_args; i++)
        compile_binary_step(k, e, STEP_EXTREME, forms, *reg, args[i], mask, reg);
    return OK;
}

static enum status compile_cell(struct compiler *k, const struct expr *e, cell_fn *cell,
                                const int *args, int mask, int *reg)
{
    bool strict = !e->func || e->func->how != HOW_CELL_ALL;
    for (int i = 0; i < e->n_args && strict; i++) {
        if (!compiler_is_null(k, args[i])) continue;
        *reg = compiler_null(k, e->type);
        return OK;
    }
    *reg = compiler_reg(k, e->type);
    struct step *s = compiler_emit(k, STEP_CELL, *reg, -1, mask);
    s->cell = cell;
    s->func = e->func;
    s->n_args = e->n_args;
    s->args = arena_dup(k->c->arena, args, sizeof(int) * (size_t)(e->n_args ? e->n_args : 1));
    s->type = e->type;
    s->pos = e->pos;
    return OK;
}

static enum status compile_random(struct compiler *k, const struct expr *e, int *args, int mask,
                                  int *reg)
{
    *reg = compiler_reg(k, e->type);
    for (int i = 1; i < e->n_args; i++)
        args[i] = compiler_vector(k, args[i]);
    struct step *s = compiler_emit(k, STEP_RANDOM, *reg, compiler_vector(k, args[0]), mask);
    s->negated = e->func->kernel != 0;
    s->n_args = e->n_args - 1;
    s->args = args + 1;
    return OK;
}

static enum status compile_unary(struct compiler *k, const struct expr *e, unary_fn *fn, int a,
                                 int mask, int *reg)
{
    if (compiler_is_null(k, a)) {
        *reg = compiler_null(k, e->type);
        return OK;
    }
    if (!fn) return no_kernel(k, e);
    *reg = compiler_reg(k, e->type);
    struct step *s = compiler_emit(k, STEP_UNARY, *reg, compiler_vector(k, a), mask);
    s->unary = fn;
    s->type = e->type;
    s->pos = e->pos;
    return OK;
}

static enum status compile_call(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    int *args = arena_array(k->c->arena, int, e->n_args + 1);
    bool done = false;
    TRY(compiler_muladd(k, e, mask, &done, reg));
    if (done) return OK;
    for (int i = 0; i < e->n_args; i++)
        TRY(compiler_expr(k, e->args[i], mask, &args[i]));
    switch (e->func->how) {
    case HOW_BINARY:
        return compile_binary(k, e, args, mask, reg);
    case HOW_UNARY:
        return compile_unary(
            k, e, kernel_unary((enum unary_kernel)e->func->kernel, e->args[0]->type, k->fast),
            args[0], mask, reg);
    case HOW_EXTREME:
        return compile_extreme(k, e, args, mask, reg);
    case HOW_RANDOM:
        return compile_random(k, e, args, mask, reg);
    default:
        return compile_cell(k, e, e->func->cell, args, mask, reg);
    }
}

static enum status compile_cast(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    enum type from = e->args[0]->type, to = e->type;
    int a;
    TRY(compiler_expr(k, e->args[0], mask, &a));
    if (from == to || (from == T_UNKNOWN && to == T_TEXT)) {
        *reg = a;
        return OK;
    }
    unary_fn *fn = kernels_get()->cast[from][to];
    if (fn) return compile_unary(k, e, fn, a, mask, reg);
    cell_fn *cell = from == T_DATE && to == T_TIMESTAMP   ? cell_cast_date_timestamp
                    : from == T_TIMESTAMP && to == T_DATE ? cell_cast_timestamp_date
                    : to == T_TEXT                        ? cell_cast_to_text
                                                          : cell_cast_from_text;
    return compile_cell(k, e, cell, &a, mask, reg);
}

/* Work that is worth a test whether any cell needs it. */
bool compiler_costly(const struct expr *e)
{
    if (e->kind == E_SUBQUERY || (e->kind == E_CALL && e->func->how >= HOW_CELL)) return true;
    if (e->kind == E_CAST && type_is_varlen(e->type) != type_is_varlen(e->args[0]->type))
        return true;
    for (int i = 0; i < e->n_args; i++)
        if (compiler_costly(e->args[i])) return true;
    return false;
}

/* Later operands run, and may fail, only where the earlier ones have not decided. */
static enum status compile_logical(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    bool is_and = e->kind == E_AND;
    int first, scope = mask, skips[64], n_skips = 0;
    TRY(compiler_expr(k, e->args[0], mask, &first));
    *reg = compiler_reg(k, T_BOOL);
    compiler_emit(k, STEP_COPY, *reg, compiler_vector(k, first), mask);
    for (int i = 1; i < e->n_args; i++) {
        const struct expr *arg = e->args[i];
        if ((expr_may_fail(arg) || compiler_costly(arg)) && n_skips < 64) {
            int inner = compiler_mask(k, scope);
            compiler_emit(k, is_and ? STEP_NOT_FALSE : STEP_NOT_TRUE, inner, *reg, scope);
            scope = inner;
            skips[n_skips++] = k->code.n_steps;
            compiler_emit(k, STEP_SKIP, -1, -1, scope);
        }
        int a;
        TRY(compiler_expr(k, arg, scope, &a));
        compiler_emit(k, is_and ? STEP_AND : STEP_OR, *reg, compiler_vector(k, a), scope);
    }
    for (int i = 0; i < n_skips; i++)
        k->code.steps[skips[i]].target = k->code.n_steps;
    return OK;
}

static enum status compile_branch(struct compiler *k, const struct expr *e, int mask, int dst)
{
    int skip = k->code.n_steps, a;
    compiler_emit(k, STEP_SKIP, -1, -1, mask);
    TRY(compiler_expr(k, e, mask, &a));
    compiler_emit(k, STEP_BLEND, dst, compiler_vector(k, a), mask);
    k->code.steps[skip].target = k->code.n_steps;
    return OK;
}

static enum status compile_case(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    int n = e->n_args / 2, left = mask;
    *reg = compiler_reg(k, e->type);
    compiler_emit(k, STEP_CLEAR, *reg, -1, mask);
    int *skips = arena_array(k->c->arena, int, n + 1);
    for (int i = 0; i < n; i++) {
        int taken, rest = compiler_mask(k, left);
        TRY(compiler_true(k, e->args[2 * i], left, &taken));
        compiler_emit(k, STEP_EXCEPT, rest, -1, left)->index = taken;
        TRY(compile_branch(k, e->args[2 * i + 1], taken, *reg));
        left = rest;
        skips[i] = k->code.n_steps;
        compiler_emit(k, STEP_SKIP, -1, -1, left);
    }
    TRY(compile_branch(k, e->args[e->n_args - 1], left, *reg));
    for (int i = 0; i < n; i++)
        k->code.steps[skips[i]].target = k->code.n_steps;
    return OK;
}

static enum status compile_coalesce(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    int first, left = mask;
    TRY(compiler_expr(k, e->args[0], mask, &first));
    *reg = compiler_reg(k, e->type);
    compiler_emit(k, STEP_COPY, *reg, compiler_vector(k, first), mask);
    int *skips = arena_array(k->c->arena, int, e->n_args);
    for (int i = 1; i < e->n_args; i++) {
        int none = compiler_mask(k, left), a;
        compiler_emit(k, STEP_NULL, none, *reg, left);
        left = none;
        skips[i] = k->code.n_steps;
        compiler_emit(k, STEP_SKIP, -1, -1, left);
        TRY(compiler_expr(k, e->args[i], left, &a));
        compiler_emit(k, STEP_BLEND, *reg, compiler_vector(k, a), left);
    }
    for (int i = 1; i < e->n_args; i++)
        k->code.steps[skips[i]].target = k->code.n_steps;
    return OK;
}

static int compare_values(const void *a, const void *b)
{
    return value_compare(a, b);
}

static enum status compile_in(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    enum type t = e->args[0]->type;
    struct value *set = arena_array(k->c->arena, struct value, e->n_args);
    int64_t n = 0;
    bool has_null = false;
    for (int i = 1; i < e->n_args; i++) {
        struct value v;
        TRY(expr_eval_const(k->c, e->args[i], k->env, &v));
        if (v.null)
            has_null = true;
        else if (!type_is_float(t) || v.d == v.d) /* NaN equals nothing */
            set[n++] = v;
    }
    qsort(set, (size_t)n, sizeof *set, compare_values);
    char *packed = arena_alloc(k->c->arena, (size_t)(n + 1) * type_bytes(t));
    for (int64_t i = 0; i < n; i++)
        value_put(&set[i], packed, i);
    int a;
    TRY(compiler_expr(k, e->args[0], mask, &a));
    *reg = compiler_reg(k, T_BOOL);
    struct step *s = compiler_emit(k, STEP_IN, *reg, compiler_vector(k, a), mask);
    s->in = kernels_get()->in[kernel_type(t)];
    s->set = packed;
    s->n_set = n;
    s->set_has_null = has_null;
    s->type = t;
    return OK;
}

static enum status compile_distinct(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    struct expr differ = *e;
    int args[2], ne;
    differ.kind = E_CALL;
    TRY(compiler_expr(k, e->args[0], mask, &args[0]));
    TRY(compiler_expr(k, e->args[1], mask, &args[1]));
    if (e->func->how == HOW_BINARY)
        TRY(compile_binary(k, &differ, args, mask, &ne));
    else
        TRY(compile_cell(k, &differ, e->func->cell, args, mask, &ne));
    *reg = compiler_reg(k, T_BOOL);
    struct step *s = compiler_emit(k, STEP_DISTINCT, *reg, compiler_vector(k, ne), mask);
    s->b = compiler_vector(k, args[0]);
    s->c = compiler_vector(k, args[1]);
    s->negated = e->negated;
    return OK;
}

static enum status compile_subquery(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    struct subquery_run *run;
    int *args = arena_array(k->c->arena, int, e->n_args + 1);
    TRY(subquery_of(k->c, e, k->env, &run));
    for (int i = 0; i < e->n_args; i++)
        TRY(compiler_expr(k, e->args[i], mask, &args[i]));
    *reg = compiler_reg(k, e->type);
    struct step *s = compiler_emit(k, STEP_SUBQUERY, *reg, -1, mask);
    s->subquery = run;
    s->index = e->index;
    s->n_args = e->n_args;
    s->args = args;
    s->type = e->type;
    s->pos = e->pos;
    return OK;
}

static enum status compile_node(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    int a;
    switch (e->kind) {
    case E_COL:
        *reg = compiler_reg(k, e->type);
        k->code.regs[*reg].in_place = true;
        compiler_emit(k, STEP_COLUMN, *reg, -1, mask)->index = e->index;
        return OK;
    case E_CALL:
        return compile_call(k, e, mask, reg);
    case E_CAST:
        return compile_cast(k, e, mask, reg);
    case E_AND:
    case E_OR:
        return compile_logical(k, e, mask, reg);
    case E_NOT:
        TRY(compiler_expr(k, e->args[0], mask, &a));
        *reg = compiler_reg(k, T_BOOL);
        compiler_emit(k, STEP_NOT, *reg, compiler_vector(k, a), mask);
        return OK;
    case E_IS_NULL:
        TRY(compiler_expr(k, e->args[0], mask, &a));
        *reg = compiler_reg(k, T_BOOL);
        compiler_emit(k, STEP_IS_NULL, *reg, compiler_vector(k, a), mask)->negated = e->negated;
        return OK;
    case E_IS_DISTINCT:
        return compile_distinct(k, e, mask, reg);
    case E_CASE:
        return compile_case(k, e, mask, reg);
    case E_COALESCE:
        return compile_coalesce(k, e, mask, reg);
    case E_IN:
        return compile_in(k, e, mask, reg);
    case E_SUBQUERY:
        return compile_subquery(k, e, mask, reg);
    default:
        return fail_at(k->c, ERR_INTERNAL, e->pos, "an expression of kind %d has no steps",
                       (int)e->kind);
    }
}

/* Its error is for the cells that ask for its value. */
static bool has_failed(const struct compiler *k, const struct expr *e)
{
    const struct env *env = k->env;
    return env && e->subquery->slot < env->n_subqueries &&
           !subquery_known(env->subqueries[e->subquery->slot], e->index);
}

enum status compiler_expr(struct compiler *k, const struct expr *e, int mask, int *reg)
{
    if (is_env_leaf(e)) {
        struct value v;
        bool failed = e->kind == E_SUBQUERY && has_failed(k, e);
        if (failed) return compile_subquery(k, e, mask, reg);
        TRY(env_value(k->c, e, k->env, &v));
        *reg = constant_reg(k, &v);
        return OK;
    }
    if (!k->plain && expr_is_const(e)) {
        struct ctx quiet = *k->c;
        memset(&quiet.err, 0, sizeof quiet.err);
        struct value v;
        if (expr_eval_const(&quiet, e, k->env, &v) == OK) {
            *reg = constant_reg(k, &v);
            return OK;
        }
        k->plain = true; /* it fails, in the cells that reach it */
        enum status s = compile_node(k, e, mask, reg);
        k->plain = false;
        return s;
    }
    uint64_t hash = hash_expr(e);
    *reg = find_known(k, e, hash, mask);
    if (*reg >= 0) return OK;
    bool done = false;
    TRY(compile_source(k, e, &done, reg));
    if (!done) TRY(compile_node(k, e, mask, reg));
    /* What an axis gives holds in every cell, but a step in a skipped branch has not run. */
    remember(k, e, hash, mask, *reg);
    return OK;
}

/* ---- programs ---- */

static enum status compile_outputs(struct compiler *k, struct expr *const *es, int n)
{
    k->code.n_outputs = n;
    k->code.outputs = arena_array(k->c->arena, struct output, n);
    for (int i = 0; i < n; i++) {
        struct output *o = &k->code.outputs[i];
        *o = (struct output){.column = -1, .same_as = -1, .reg = -1, .type = es[i]->type};
        if (es[i]->kind == E_COL) {
            o->column = es[i]->index;
            continue;
        }
        TRY(compiler_expr(k, es[i], 0, &o->reg));
        struct reg *reg = &k->code.regs[o->reg];
        if (reg->output >= 0) {
            o->same_as = reg->output;
        } else if (reg->constant || reg->in_place) {
            compiler_emit(k, STEP_STORE, -1, compiler_vector(k, o->reg), 0)->index = i;
        } else {
            reg->output = i;
        }
    }
    code_place_registers(k->c->arena, &k->code);
    return OK;
}

static bool asks(const struct expr *e)
{
    if (e->kind == E_SUBQUERY && e->n_args) return true;
    for (int i = 0; i < e->n_args; i++)
        if (asks(e->args[i])) return true;
    return false;
}

/* The operands of AND, those that ask sub-queries last: but for what may fail, which sees no cells
 * that one written before it keeps away. */
static int filter_parts(struct compiler *k, const struct expr *e, struct expr ***out)
{
    int n = e->kind == E_AND ? e->n_args : 1, n_parts = 0;
    struct expr **parts = arena_array(k->c->arena, struct expr *, n);
    if (n == 1) parts[0] = e->kind == E_AND ? e->args[0] : arena_dup(k->c->arena, e, sizeof *e);
    for (int pass = 0; n > 1 && pass < 2; pass++) {
        bool asked = false;
        for (int i = 0; i < n; i++) {
            bool waits = asks(e->args[i]) || (asked && expr_may_fail(e->args[i]));
            asked |= waits;
            if (waits == (pass == 1)) parts[n_parts++] = e->args[i];
        }
    }
    *out = parts;
    return n;
}

/* The operands of AND one after the other, each only where all before it are true. */
static enum status compile_filter(struct compiler *k, const struct expr *e)
{
    struct expr **parts;
    int n = filter_parts(k, e, &parts), scope = 0;
    int *skips = arena_array(k->c->arena, int, n);
    for (int i = 0; i < n; i++) {
        TRY(compiler_true(k, parts[i], scope, &scope));
        skips[i] = k->code.n_steps;
        compiler_emit(k, STEP_SKIP, -1, -1, scope);
    }
    compiler_emit(k, STEP_RESULT, -1, -1, scope);
    for (int i = 0; i < n; i++)
        k->code.steps[skips[i]].target = k->code.n_steps;
    code_place_registers(k->c->arena, &k->code);
    return OK;
}

enum status program_compile(struct ctx *c, struct expr *const *es, int n, const struct rel *in,
                            const struct env *env, struct program **out)
{
    struct program *p = arena_new_of(c->arena, struct program);
    p->in = in;
    p->now_us = env ? env->statement_us : 0;
    bool fast = c->settings && c->settings->fast_math.n;
    struct compiler k = {.c = c, .in = in, .env = env, .fast = fast};
    compiler_mask(&k, -1);
    TRY(compile_outputs(&k, es, n));
    p->run = k.code;
    if (n == 1 && es[0]->type == T_BOOL) {
        struct compiler f = {.c = c, .in = in, .env = env, .fast = fast};
        compiler_mask(&f, -1);
        TRY(compile_filter(&f, es[0]));
        p->filter = arena_dup(c->arena, &f.code, sizeof f.code);
    }
    *out = p;
    return OK;
}

static enum status eval_constant(struct ctx *c, const struct expr *e, const struct env *env,
                                 struct value *out)
{
    static const struct rel nowhere = {0};
    struct compiler k = {.c = c, .in = &nowhere, .env = env, .plain = true};
    k.fast = c->settings && c->settings->fast_math.n;
    compiler_mask(&k, -1);
    struct expr *copy = arena_dup(c->arena, e, sizeof *e);
    TRY(compile_outputs(&k, &copy, 1));
    struct program p = {.in = &nowhere, .now_us = env ? env->statement_us : 0, .run = k.code};
    struct chunk one = {.n = 1, .n_present = 1, .rel = &nowhere};
    struct column col;
    TRY(program_run(c, &p, &one, &col));
    *out = column_is_null(&col, 0) ? value_null(e->type) : value_get(e->type, col.values, 0);
    return OK;
}

enum status expr_eval_const(struct ctx *c, const struct expr *e, const struct env *env,
                            struct value *out)
{
    if (is_env_leaf(e)) return env_value(c, e, env, out);
    struct scratch *own = c->scratch ? NULL : scratch_new(c->budget);
    if (own) c->scratch = own;
    struct scratch_mark mark = scratch_mark(c->scratch);
    struct arena *arena = c->arena; /* steps of a thousand literals would fill it */
    c->arena = arena_new();
    struct value v = {.null = true};
    enum status s = eval_constant(c, e, env, &v);
    if (s == OK) *out = value_dup(arena, &v);
    arena_free(c->arena);
    c->arena = arena;
    scratch_release(c->scratch, mark);
    if (own) {
        c->scratch = NULL;
        scratch_free(own);
    }
    return s;
}
