/* What does COPY … FROM … WHERE mean? */
#include "query/bind_internal.h"

enum status bind_copy_where(struct ctx *c, struct bind_env *env, const struct ast_expr *where,
                            const char *array, struct plan *over, const struct out_col *cols, int n,
                            struct expr **out)
{
    struct binder b;
    struct scope scope;
    struct query unused = {0};
    struct expr_place in = {.scope = &scope, .clause = "WHERE"};
    binder_init(&b, c, env);
    scope_init(&b, &scope, over, array, n);
    for (int i = 0; i < n; i++)
        scope_add(&scope, cols[i].name, cols[i].is_dim, cols[i].index, cols[i].type);
    TRY(bind_condition(&b, &in, where, out));
    TRY(binder_finish(&b, &unused));
    if (unused.n_subqueries == 0) return OK;
    return fail_at(c, ERR_UNSUPPORTED, where->pos,
                   "cannot use subquery in COPY FROM WHERE condition");
}
