/* Sessions: transactions around statements, and the simple query protocol. */
#include "query/materialized.h"
#include "query/schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_SCRATCH ((size_t)4 << 20) /* what a session keeps from statement to statement */

/* What is counted statement by statement, also within one message. */
void session_next_statement(struct session *s)
{
    int64_t limit = s->settings.query_memory_limit.n;
    s->budget.limit_bytes = limit ? limit : s->engine->budget.limit_bytes / 4 * 3;
    int64_t timeout_ms = s->settings.statement_timeout.n;
    s->cancel.deadline_ns = timeout_ms ? now_ns() + timeout_ms * 1000000 : 0;
    if (s->run_deadline_ns && (!timeout_ms || s->run_deadline_ns < s->cancel.deadline_ns))
        s->cancel.deadline_ns = s->run_deadline_ns;
    atomic_store(&s->progress.done, 0);
    atomic_store(&s->progress.total, 0);
    atomic_store(&s->progress_every_ms, s->settings.progress_interval.n);
}

void session_enter(struct ctx *c, struct session *s, struct arena *arena, struct client *cl)
{
    c->arena = arena;
    c->scratch = s->scratch;
    c->budget = &s->budget;
    c->cancel = &s->cancel;
    c->progress = &s->progress;
    c->counters = &s->counters;
    c->pool = s->settings.max_workers.n == 1 ? NULL : s->engine->pool;
    c->usage = &s->usage;
    c->settings = &s->settings;
    c->notice = cl ? cl->notice : NULL;
    c->notice_self = cl;
    c->notify = notify_from_query;
    c->notify_self = s;
    ctx_clear(c);
    /* A request to cancel was for the statement before; one to end the session stays. */
    int reason = atomic_load(&s->cancel.reason);
    while (reason != CANCEL_SHUTDOWN &&
           !atomic_compare_exchange_weak(&s->cancel.reason, &reason, CANCEL_NONE)) {
    }
    session_next_statement(s);
    memset(&s->counters, 0, sizeof s->counters);
    atomic_store(&s->usage.used_ns, 0);
    atomic_store(&s->budget.peak_bytes, atomic_load(&s->budget.used_bytes));
    atomic_store(&s->running, true);
}

void session_leave(struct ctx *c, struct session *s)
{
    atomic_store(&s->state_seen, session_state(s));
    atomic_store(&s->running, false);
    scratch_trim(s->scratch, IDLE_SCRATCH);
    c->arena = NULL;
    c->notice = NULL;
    c->notify = NULL;
}

enum status session_set(struct ctx *c, struct session *s, const char *name, const char *value)
{
    TRY(settings_set(c, &s->settings, name, value, false));
    TRY(settings_set(c, &s->at_start, name, value, false));
    s->settings_seq++;
    s->read_only = s->settings.default_transaction_read_only.n;
    return OK;
}

const char *last_part(const struct ast_name *n)
{
    return n->part[n->n - 1];
}

enum status at_target(struct ctx *c, enum status s, const struct ast_name *target)
{
    if (s >= 0) return s;
    const char *state = status_sqlstate(s);
    bool written = state[0] == '2' || !strncmp(state, "42", 2) || !strncmp(state, "58", 2);
    return written ? at(c, s, target->pos) : s;
}

struct bind_env session_bind_env(struct run *r)
{
    struct session *s = r->s;
    struct bind_env env = {.txn = s->txn,
                           .n_params = r->n_params,
                           .params = r->params,
                           .file_root = s->settings.file_root.s,
                           .statement_us = txn_time_us(s->txn),
                           .slot = s->job ? &s->job->times : NULL,
                           .as_written = !s->settings.optimizer.n};
    return env;
}

enum status tag(struct run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->tag, sizeof r->tag, fmt, ap);
    va_end(ap);
    return OK;
}

/* ---- transactions ---- */

enum status need_txn(struct ctx *c, struct session *s)
{
    if (s->txn) return OK;
    return txn_begin(c, s->engine->db, s->read_only, &s->txn);
}

void remember_settings(struct session *s)
{
    if (s->has_at_begin) return;
    settings_copy(&s->at_begin, &s->settings);
    s->has_at_begin = true;
}

/* Settings go back: all that changed when the transaction fails, those of SET LOCAL in any case. */
static void end_settings(struct session *s, bool commit)
{
    if (s->locals || s->has_at_begin) s->settings_seq++;
    struct ctx quiet = {0};
    ctx_clear(&quiet);
    while (s->locals) {
        struct local_setting *l = s->locals;
        s->locals = l->next;
        enum status st = settings_set(&quiet, &s->settings, l->name, l->value, false);
        (void)st; /* the value was read from the setting itself */
        free(l->name);
        free(l->value);
        free(l);
    }
    if (!s->has_at_begin) return;
    if (commit) {
        settings_release(&s->at_begin);
    } else {
        settings_release(&s->settings);
        s->settings = s->at_begin;
    }
    s->has_at_begin = false;
}

enum status end_txn(struct ctx *c, struct session *s, bool commit)
{
    enum status st = commit ? refresh_on_commit(c, s) : OK;
    struct txn *t = s->txn;
    s->txn = NULL;
    s->in_block = s->failed = false;
    commit = commit && st == OK;
    if (t && commit)
        st = txn_commit(c, t);
    else
        txn_rollback(t);
    drop_cursors(s, commit && st == OK);
    notify_end(s, commit && st == OK);
    end_settings(s, commit && st == OK);
    s->read_only = s->settings.default_transaction_read_only.n;
    return st;
}

void session_failed(struct session *s)
{
    struct ctx quiet = {0};
    ctx_clear(&quiet);
    if (s->in_block)
        s->failed = true;
    else
        end_txn(&quiet, s, false);
}

enum status want_write(struct ctx *c, struct session *s, const char *what)
{
    if (s->read_only)
        return fail(c, ERR_READ_ONLY, "cannot execute %s in a read-only transaction", what);
    return OK;
}

static void warn(const struct run *r, const char *sqlstate, const char *message)
{
    if (r->cl->notice) r->cl->notice(r->cl, "WARNING", sqlstate, message);
}

static enum status set_modes(struct ctx *c, struct session *s, const struct ast_stmt *stmt)
{
    if (stmt->read_write && s->read_only && s->txn)
        return fail_at(c, ERR_ACTIVE_TRANSACTION, stmt->pos,
                       "transaction read-write mode must be set before any query");
    if (stmt->read_only) s->read_only = true;
    if (stmt->read_write) s->read_only = false;
    return OK;
}

static enum status begin_block(struct ctx *c, struct run *r)
{
    struct session *s = r->s;
    if (s->in_block) warn(r, "25001", "there is already a transaction in progress");
    TRY(set_modes(c, s, r->stmt));
    s->in_block = true;
    return tag(r, "BEGIN");
}

/* SET TRANSACTION is for the open block, SET SESSION CHARACTERISTICS for those to come. */
static enum status set_transaction(struct ctx *c, struct run *r)
{
    struct session *s = r->s;
    const struct ast_stmt *stmt = r->stmt;
    if (stmt->all) {
        remember_settings(s);
        if (stmt->read_only || stmt->read_write)
            TRY(settings_set(c, &s->settings, "default_transaction_read_only",
                             stmt->read_only ? "on" : "off", false));
    } else if (s->in_block) {
        TRY(set_modes(c, s, stmt));
    } else {
        warn(r, "25P01", "SET TRANSACTION can only be used in transaction blocks");
    }
    return tag(r, "SET");
}

static enum status end_block(struct ctx *c, struct run *r, bool commit)
{
    struct session *s = r->s;
    bool keep = commit && !s->failed, read_only = s->read_only;
    if (!s->in_block && r->stmt->chain)
        return fail_at(c, ERR_NO_TRANSACTION, r->stmt->pos,
                       "%s AND CHAIN can only be used in transaction blocks",
                       commit ? "COMMIT" : "ROLLBACK");
    if (!s->in_block) warn(r, "25P01", "there is no transaction in progress");
    TRY(end_txn(c, s, keep));
    if (r->stmt->chain) {
        s->in_block = true;
        s->read_only = read_only;
    }
    return tag(r, "%s", keep ? "COMMIT" : "ROLLBACK");
}

static enum status savepoint(struct ctx *c, struct run *r)
{
    struct session *s = r->s;
    const char *name = last_part(&r->stmt->name);
    static const char *const words[] = {"SAVEPOINT", "ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT"};
    enum stmt_kind k = r->stmt->kind;
    int which = k == S_SAVEPOINT ? 0 : k == S_ROLLBACK_TO ? 1 : 2;
    if (!s->in_block)
        return fail(c, ERR_NO_TRANSACTION, "%s can only be used in transaction blocks",
                    words[which]);
    TRY(need_txn(c, s));
    if (which == 0) {
        TRY(txn_savepoint(c, s->txn, name));
    } else if (which == 1) {
        TRY(txn_rollback_to(c, s->txn, name));
        s->failed = false;
    } else {
        TRY(txn_release(c, s->txn, name));
    }
    TRY(notify_savepoint(c, s, k, name));
    return tag(r, "%s", which == 0 ? "SAVEPOINT" : which == 1 ? "ROLLBACK" : "RELEASE");
}

enum status run_transaction(struct ctx *c, struct run *r)
{
    switch (r->stmt->kind) {
    case S_BEGIN:
        return begin_block(c, r);
    case S_COMMIT:
        return end_block(c, r, true);
    case S_ROLLBACK:
        return end_block(c, r, false);
    case S_SET_TRANSACTION:
        return set_transaction(c, r);
    case S_PREPARE_TRANSACTION:
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "PREPARE TRANSACTION is not available");
    default:
        return savepoint(c, r);
    }
}

/* ---- one statement ---- */

enum status refuse_failed(struct ctx *c, const struct session *s, enum stmt_kind k)
{
    if (!s->failed || k == S_COMMIT || k == S_ROLLBACK || k == S_ROLLBACK_TO) return OK;
    return fail(c, ERR_FAILED_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block");
}

static const char *stmt_tag(enum stmt_kind k)
{
    static const char *const tags[] = {
#define X(id, tag) [id] = tag,
        STMT_LIST(X)
#undef X
    };
    return tags[k];
}

static enum status in_public(struct ctx *c, const struct ast_name *n)
{
    if (n->n < 2 || !strcmp(n->part[n->n - 2], "public")) return OK;
    const char *schema = n->part[n->n - 2];
    if (!strcmp(schema, "sys"))
        return fail_at(c, ERR_WRONG_OBJECT, n->pos, "cannot change system view \"sys.%s\"",
                       last_part(n));
    return fail_at(c, ERR_UNDEFINED_TABLE, n->pos, "relation \"%s.%s\" does not exist", schema,
                   last_part(n));
}

/* What a statement makes, changes or drops lies in the one schema that can be written. */
static enum status check_schema(struct ctx *c, const struct ast_stmt *stmt)
{
    switch (stmt->kind) {
    case S_INSERT:
    case S_UPDATE:
    case S_DELETE:
    case S_CREATE_ARRAY:
    case S_CREATE_ARRAY_AS:
    case S_CREATE_MATERIALIZED:
    case S_REFRESH:
    case S_CREATE_VIEW:
    case S_CREATE_FUNCTION:
    case S_ALTER:
    case S_VACUUM:
    case S_ANALYZE:
    case S_CHECK:
        return in_public(c, &stmt->name);
    case S_COPY:
        return stmt->copy_from ? in_public(c, &stmt->name) : OK;
    case S_COMMENT:
        if (stmt->comment == COMMENT_COLUMN || stmt->comment == COMMENT_DIMENSION) {
            struct ast_name array = stmt->name;
            array.n--;
            return in_public(c, &array);
        }
        return in_public(c, &stmt->name);
    case S_CREATE_INDEX:
    case S_TRUNCATE:
    case S_DROP:
        for (int i = 0; i < stmt->n_names; i++)
            TRY(in_public(c, &stmt->names[i]));
        return OK;
    default:
        return OK;
    }
}

static enum status dispatch(struct ctx *c, struct run *r)
{
    switch (r->stmt->kind) {
    case S_EMPTY:
        return OK;
    case S_SELECT:
        return run_select(c, r, r->stmt->select);
    case S_INSERT:
    case S_UPDATE:
    case S_DELETE:
    case S_TRUNCATE:
        return run_dml(c, r);
    case S_CREATE_ARRAY_AS:
    case S_CREATE_MATERIALIZED:
        return run_create_as(c, r);
    case S_REFRESH:
        return run_refresh(c, r);
    case S_CREATE_ARRAY:
    case S_CREATE_VIEW:
    case S_CREATE_FUNCTION:
    case S_CREATE_INDEX:
    case S_CREATE_SCHEMA:
    case S_DROP:
    case S_ALTER:
    case S_COMMENT:
        return run_ddl(c, r);
    case S_COPY:
        return run_copy(c, r);
    case S_BEGIN:
    case S_COMMIT:
    case S_ROLLBACK:
    case S_SAVEPOINT:
    case S_ROLLBACK_TO:
    case S_RELEASE:
    case S_PREPARE_TRANSACTION:
    case S_SET_TRANSACTION:
        return run_transaction(c, r);
    case S_SHOW:
    case S_SET:
    case S_RESET:
    case S_DISCARD:
        return run_setting(c, r);
    case S_PREPARE:
    case S_EXECUTE:
    case S_DEALLOCATE:
    case S_DECLARE:
    case S_FETCH:
    case S_MOVE:
    case S_CLOSE:
        return run_prepared(c, r);
    case S_CREATE_SCHEDULE:
    case S_ALTER_SCHEDULE:
    case S_RUN_SCHEDULE:
        return run_schedule_stmt(c, r);
    case S_EXPLAIN:
        return run_explain(c, r);
    case S_LISTEN:
    case S_UNLISTEN:
    case S_NOTIFY:
        return run_notify(c, r);
    case S_CHECK:
    case S_VACUUM:
    case S_ANALYZE:
    case S_BACKUP:
    case S_CANCEL:
    case S_LOCK:
        return run_upkeep(c, r);
    default:
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "%s is not available yet",
                       stmt_tag(r->stmt->kind));
    }
}

static void note_activity(struct session *s, const struct run *r)
{
    int n = r->stmt->end - r->stmt->pos;
    pthread_mutex_lock(&s->engine->lock);
    size_t take = n < 0                                ? 0
                  : (size_t)n < sizeof s->activity - 1 ? (size_t)n
                                                       : sizeof s->activity - 1;
    memcpy(s->activity, r->text + r->stmt->pos, take);
    s->activity[take] = 0;
    s->started_us = wall_us();
    snprintf(s->application, sizeof s->application, "%s", s->settings.application_name.s);
    pthread_mutex_unlock(&s->engine->lock);
}

enum status run_statement(struct ctx *c, struct run *r)
{
    struct session *s = r->s;
    TRY(refuse_failed(c, s, r->stmt->kind));
    note_activity(s, r);
    TRY(check_schema(c, r->stmt));
    return dispatch(c, r);
}

enum status session_simple(struct ctx *c, struct session *s, const char *text, size_t n,
                           struct client *cl)
{
    struct arena *arena = arena_new();
    struct ast_script script = {0};
    drop_portal(s, "");
    drop_prepared(s, "");
    session_enter(c, s, arena, cl);
    enum status st = check_utf8(c, text, n);
    if (st == OK) st = parse_script(c, text, n, &script);
    if (st == OK && script.n == 0) st = cl->complete(c, cl, "");
    for (int i = 0; i < script.n && st == OK; i++) {
        struct run r = {.s = s, .cl = cl, .stmt = script.v[i], .text = text};
        bool last = i == script.n - 1;
        if (i > 0) session_next_statement(s);
        st = run_statement(c, &r);
        /* The implicit transaction commits before the client hears that its last statement is done.
         */
        if (st == OK && last && !s->in_block) st = end_txn(c, s, true);
        if (st == OK) st = cl->complete(c, cl, r.tag);
    }
    if (st < 0) session_failed(s);
    session_leave(c, s);
    arena_free(arena);
    return st;
}
