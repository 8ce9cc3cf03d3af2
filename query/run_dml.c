/* INSERT, UPDATE, DELETE, TRUNCATE and CREATE ARRAY AS. */
#include "query/dependents.h"
#include "query/materialized.h"
#include "query/write.h"
#include <string.h>

static enum conflict conflict_mode(const struct ast_stmt *stmt)
{
    switch (stmt->on_conflict) {
    case ON_CONFLICT_IGNORE:
        return CONFLICT_IGNORE;
    case ON_CONFLICT_REPLACE:
    case ON_CONFLICT_UPDATE:
        return CONFLICT_REPLACE;
    default:
        return CONFLICT_ERROR;
    }
}

static enum status send_returned(struct ctx *c, struct run *r, const struct returning *what,
                                 const enum type *types, const struct rowset *rows)
{
    struct column_desc *d = arena_array(c->arena, struct column_desc, what->n + 1);
    for (int i = 0; i < what->n; i++)
        d[i] = (struct column_desc){what->names[i], types[i]};
    TRY(r->cl->columns(c, r->cl, d, what->n));
    return send_rowset(c, r->cl, rows, what->n, 0, rowset_rows(rows));
}

/* Opens the job's query and writes it; then RETURNING's rows go to the client. */
static enum status run_job(struct ctx *c, struct run *r, const struct write_job *j,
                           const struct returning *what, int64_t *n)
{
    struct exec *x = NULL;
    struct rowset *returned = NULL;
    enum type *types = arena_array(c->arena, enum type, what->n + 1);
    for (int i = 0; i < what->n; i++)
        types[i] = what->es[i]->type;
    enum status st = exec_open(c, j->query, r->params, r->n_params, r->s->txn, &x);
    if (st == OK) st = write_query(c, x, j, n, &returned);
    if (st == OK && what->n) st = send_returned(c, r, what, types, returned);
    rowset_free(returned);
    exec_close(x);
    return st;
}

static enum status bind_insert_job(struct ctx *c, struct run *r, const struct ast_stmt *stmt,
                                   struct write_job *j, const struct returning **what)
{
    struct array_ref ref = {.name = last_part(&stmt->name), .position = stmt->name.pos};
    struct bound_insert *b = arena_new_of(c->arena, struct bound_insert);
    struct bind_env env = session_bind_env(r);
    TRY(array_open(c, r->s->txn, &ref, &j->before));
    TRY(bind_insert(c, &env, stmt, array_schema(j->before), b));
    TRY(plan_rewrite(c, &b->query, !r->s->settings.optimizer.n));
    j->mode = conflict_mode(stmt);
    j->query = &b->query;
    j->attrs = b->attrs;
    j->n_attrs = b->n_attrs;
    j->numbered = b->numbered;
    j->row = &b->row;
    *what = &b->row.returning;
    return OK;
}

static enum status bind_change_job(struct ctx *c, struct run *r, const struct ast_stmt *stmt,
                                   struct write_job *j, const struct returning **what)
{
    struct bound_change *b = arena_new_of(c->arena, struct bound_change);
    struct bind_env env = session_bind_env(r);
    TRY(bind_change(c, &env, stmt, b));
    TRY(plan_rewrite(c, &b->query, !r->s->settings.optimizer.n));
    j->mode = stmt->kind == S_UPDATE ? CONFLICT_UPDATE : CONFLICT_DELETE;
    j->query = &b->query;
    j->attrs = b->attrs;
    j->n_attrs = b->n_attrs;
    j->change = b;
    *what = &b->returning;
    return OK;
}

enum status bind_write_job(struct ctx *c, struct run *r, const struct ast_stmt *stmt,
                           struct write_job *j, const struct returning **what)
{
    *j = (struct write_job){.target = last_part(&stmt->name)};
    return (stmt->kind == S_INSERT ? bind_insert_job : bind_change_job)(c, r, stmt, j, what);
}

static enum status run_change(struct ctx *c, struct run *r)
{
    struct write_job j;
    const struct returning *what;
    int64_t n = 0;
    TRY(bind_write_job(c, r, r->stmt, &j, &what));
    TRY(at_target(c, run_job(c, r, &j, what, &n), &r->stmt->name));
    return tag(r, "%s %lld",
               r->stmt->kind == S_INSERT   ? "INSERT 0"
               : r->stmt->kind == S_UPDATE ? "UPDATE"
                                           : "DELETE",
               (long long)n);
}

static enum status run_truncate(struct ctx *c, struct run *r)
{
    for (int i = 0; i < r->stmt->n_names; i++) {
        const struct ast_name *name = &r->stmt->names[i];
        TRY(refuse_materialized(c, r, name, "truncate"));
        TRY(at(c, lock_changed(c, r, last_part(name)), name->pos));
        TRY(at(c, array_truncate(c, r->s->txn, last_part(name)), name->pos));
    }
    return tag(r, "TRUNCATE TABLE");
}

/* The target is locked before anything is opened, so that what is read of it is what will be
 * changed. A name that is no array is left to the binder, which says more. */
enum status lock_target(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    struct array_ref ref = {.name = last_part(&stmt->name)};
    struct ctx quiet = *c;
    struct array *there;
    ctx_clear(&quiet);
    if (array_open(&quiet, r->s->txn, &ref, &there) < 0) return OK;
    TRY(refuse_materialized(c, r, &stmt->name, "change"));
    return lock_changed(c, r, ref.name);
}

enum status lock_changed(struct ctx *c, struct run *r, const char *name)
{
    TRY(array_lock(c, r->s->txn, name));
    return lock_refreshed(c, r->s, name);
}

enum status run_dml(struct ctx *c, struct run *r)
{
    static const char *const words[] = {[S_INSERT] = "INSERT",
                                        [S_UPDATE] = "UPDATE",
                                        [S_DELETE] = "DELETE",
                                        [S_TRUNCATE] = "TRUNCATE TABLE"};
    TRY(want_write(c, r->s, words[r->stmt->kind]));
    TRY(need_txn(c, r->s));
    if (r->stmt->kind == S_TRUNCATE) return run_truncate(c, r);
    TRY(lock_target(c, r, r->stmt));
    return run_change(c, r);
}

/* ---- CREATE ARRAY AS ---- */

/* The array of this name is in the way: an error, or nothing to do (*skip), or dropped. */
static enum status make_room(struct ctx *c, struct run *r, const char *name, bool *skip)
{
    *skip = false;
    if (!r->stmt->or_replace && !r->stmt->if_not_exists) return OK;
    struct ctx quiet = *c;
    struct array_ref ref = {.name = name};
    struct array *there;
    ctx_clear(&quiet);
    if (array_open(&quiet, r->s->txn, &ref, &there) < 0) return OK;
    if (r->stmt->or_replace) return drop_array(c, r, name);
    *skip = true;
    notice(c, "42P07", "array \"%s\" already exists, skipping", name);
    return OK;
}

/* Outputs in the target's order: dimensions, then attributes. */
static void order_outputs(struct ctx *c, struct query *q, const struct schema *target,
                          struct write_job *j)
{
    int n_dims = target->is_table ? 0 : target->n_dims, at_dim = 0, n_attrs = 0;
    struct out_col *outs = arena_array(c->arena, struct out_col, q->n_outs + 1);
    int *attrs = arena_array(c->arena, int, q->n_outs + 1);
    for (int k = 0; k < q->n_outs; k++) {
        if (q->outs[k].is_dim && at_dim < n_dims) {
            outs[at_dim++] = q->outs[k];
        } else {
            attrs[n_attrs] = n_attrs;
            outs[n_dims + n_attrs++] = q->outs[k];
        }
    }
    q->outs = outs;
    j->query = q;
    j->attrs = attrs;
    j->n_attrs = n_attrs;
    j->numbered = target->is_table;
}

/* The query is opened before the array is made: some axes are known only then. */
static enum status create_and_fill(struct ctx *c, struct run *r, const char *name, struct query *q,
                                   struct exec *x, int64_t *n)
{
    struct schema schema;
    struct write_job j = {.target = name, .mode = CONFLICT_ERROR};
    TRY(at(c, bind_schema_of(c, name, q, &schema), r->stmt->name.pos));
    TRY(at(c, array_create(c, r->s->txn, &schema), r->stmt->name.pos));
    order_outputs(c, q, &schema, &j);
    struct rowset *none;
    return write_query(c, x, &j, n, &none);
}

enum status run_create_as(struct ctx *c, struct run *r)
{
    const char *name = last_part(&r->stmt->name);
    bool skip;
    struct query q;
    struct exec *x = NULL;
    int64_t n = 0;
    struct dependents *d = NULL;
    bool kept = r->stmt->kind == S_CREATE_MATERIALIZED;
    TRY(want_write(c, r->s, kept ? "CREATE MATERIALIZED ARRAY" : "CREATE ARRAY AS"));
    if (kept) TRY(materialized_check(c, r));
    enum status st = open_query(c, r, r->stmt->select, true, &q, &x);
    if (st == OK) st = dependents_find(c, r, &name, r->stmt->or_replace, &d);
    if (st == OK) st = make_room(c, r, name, &skip);
    if (st == OK && !skip) st = create_and_fill(c, r, name, &q, x, &n);
    if (st == OK && kept && !skip) st = materialized_keep(c, r);
    if (st == OK) st = dependents_replaced(c, r, d, name);
    exec_close(x);
    return st < 0 ? at_target(c, st, &r->stmt->name) : tag(r, "SELECT %lld", (long long)n);
}
