/* Can a schedule run these statements? Each is bound as it will be when its turn comes: what
 * definitions among them make is made for those that follow, and undone at the end. */
#include "query/copy.h"
#include "query/dependents.h"
#include "query/schedule.h"
#include <string.h>

static const char savepoint[] = " schedule";

static enum status refuse(struct ctx *c, const struct ast_stmt *stmt, const char *why)
{
    fail_at(c, ERR_UNSUPPORTED, stmt->pos, "a schedule cannot run this statement");
    return hint(c, "%s", why);
}

static enum status there_is(struct ctx *c, struct run *r, const struct ast_name *name,
                            struct array **a)
{
    struct array_ref ref = {.name = last_part(name), .position = name->pos};
    return array_open(c, r->s->txn, &ref, a);
}

static enum status bind_query(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    enum type *types = NULL;
    struct column_desc *cols;
    int n_params = 0, n_cols;
    TRY(describe_statement(c, r->s, stmt, r->text, &types, &n_params, &cols, &n_cols));
    if (n_params == 0) return OK;
    return fail_at(c, ERR_UNDEFINED_PARAM, stmt->pos, "there is no parameter $1");
}

static enum status check_copy(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    struct copy_options o;
    struct array *a;
    struct query q;
    const char *const *names;
    int n;
    if (stmt->end_kind != COPY_FILE)
        return refuse(c, stmt, "No client is there to send or take rows: COPY from or to a file.");
    TRY(copy_options_read(c, stmt, &o));
    if (stmt->copy_from) {
        TRY(there_is(c, r, &stmt->name, &a));
        return copy_columns(c, stmt, array_schema(a), &names, &n);
    }
    if (stmt->inner) return bind_query(c, r, stmt->inner);
    return columns_of(c, r, last_part(&stmt->name), &q);
}

/* CREATE ARRAY AS: the array is made, without its cells. */
static enum status check_create_as(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    const char *name = last_part(&stmt->name);
    struct bind_env env = session_bind_env(r);
    struct query q;
    struct schema schema;
    struct array_ref ref = {.name = name};
    struct array *there;
    struct ctx quiet = *c;
    env.stored = true;
    TRY(bind_select(c, &env, stmt->select, &q));
    for (int i = 0; i < q.n_outs; i++)
        if (q.outs[i].is_dim && q.root->rel.dims[q.outs[i].index].hi == ROWS_UNKNOWN)
            return refuse(c, stmt,
                          "Which coordinates the array has is known only when the query runs; "
                          "create it before, and let the schedule INSERT into it.");
    ctx_clear(&quiet);
    bool exists = array_open(&quiet, r->s->txn, &ref, &there) == OK;
    if (exists && stmt->if_not_exists) return OK;
    if (exists && stmt->or_replace) TRY(array_drop(c, r->s->txn, name));
    TRY(bind_schema_of(c, name, &q, &schema));
    return at(c, array_create(c, r->s->txn, &schema), stmt->name.pos);
}

static enum status check_setting(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    struct settings copy;
    settings_copy(&copy, &r->s->settings);
    const char *value = stmt->values.n ? stmt->values.v[0] : NULL;
    enum status s = settings_set(c, &copy, last_part(&stmt->name), value, false);
    settings_release(&copy);
    return at(c, s, stmt->name.pos);
}

/* Statements that change definitions are run, but for those that would move cells. */
static enum status check_definition(struct ctx *c, struct run *r, const struct ast_stmt *stmt)
{
    struct array *a;
    if (stmt->kind == S_DROP && stmt->drop == DROP_SCHEDULE)
        return refuse(c, stmt, "Schedules are made and dropped by clients.");
    if (stmt->kind == S_ALTER && stmt->drop != DROP_VIEW &&
        (stmt->alter == ALTER_RESIZE || stmt->alter == ALTER_TILE))
        return there_is(c, r, &stmt->name, &a);
    return run_statement(c, r);
}

static enum status check_one(struct ctx *c, struct run *r, bool alone)
{
    const struct ast_stmt *stmt = r->stmt;
    struct array *a;
    switch (stmt->kind) {
    case S_SELECT:
    case S_INSERT:
    case S_UPDATE:
    case S_DELETE:
        return bind_query(c, r, stmt);
    case S_COPY:
        return check_copy(c, r, stmt);
    case S_CREATE_ARRAY_AS:
        return check_create_as(c, r, stmt);
    case S_CREATE_ARRAY:
    case S_CREATE_VIEW:
    case S_CREATE_FUNCTION:
    case S_DROP:
    case S_ALTER:
    case S_COMMENT:
        return check_definition(c, r, stmt);
    case S_TRUNCATE:
        for (int i = 0; i < stmt->n_names; i++)
            TRY(there_is(c, r, &stmt->names[i], &a));
        return OK;
    case S_CHECK:
    case S_REFRESH:
        return there_is(c, r, &stmt->name, &a);
    case S_VACUUM:
    case S_BACKUP:
        if (!alone) return refuse(c, stmt, "It takes no part in a transaction: schedule it alone.");
        return stmt->name.n ? there_is(c, r, &stmt->name, &a) : OK;
    case S_SET:
        return check_setting(c, r, stmt);
    case S_NOTIFY:
        return OK;
    case S_BEGIN:
    case S_COMMIT:
    case S_ROLLBACK:
    case S_SAVEPOINT:
    case S_ROLLBACK_TO:
    case S_RELEASE:
    case S_PREPARE_TRANSACTION:
    case S_SET_TRANSACTION:
        return refuse(c, stmt, "All its statements are one transaction.");
    default:
        return refuse(c, stmt,
                      "It can query, change, define, copy, refresh and check arrays, VACUUM and "
                      "BACKUP.");
    }
}

static enum status check_all(struct ctx *c, struct run *r, const char *body)
{
    struct ast_script script;
    TRY(check_utf8(c, body, strlen(body)));
    TRY(parse_script(c, body, strlen(body), &script));
    if (script.n == 0) return fail(c, ERR_SYNTAX, "the schedule has no statement");
    for (int i = 0; i < script.n; i++) {
        struct run one = {.s = r->s, .cl = r->cl, .stmt = script.v[i], .text = body};
        TRY(check_one(c, &one, script.n == 1));
    }
    return OK;
}

enum status schedule_check_body(struct ctx *c, struct run *r, const char *body, int at_pos)
{
    notice_fn *heard = c->notice;
    c->notice = NULL;
    TRY(txn_savepoint(c, r->s->txn, savepoint));
    enum status s = check_all(c, r, body);
    if (s < 0 && c->err.position >= 0)
        c->err.position += at_pos;
    else if (s < 0)
        c->err.position = at_pos;
    struct ctx quiet = *c;
    ctx_clear(&quiet);
    enum status undone = txn_rollback_to(&quiet, r->s->txn, savepoint);
    if (undone == OK) undone = txn_release(&quiet, r->s->txn, savepoint);
    c->notice = heard;
    return s < 0 ? s : undone;
}
