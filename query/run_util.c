/* SHOW, SET, RESET, DISCARD; VACUUM, CHECK ARRAY, CANCEL, LOCK. */
#include "query/session_internal.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- settings ---- */

static enum status show_all(struct ctx *c, struct run *r)
{
    static const struct column_desc d[] = {
        {"name", T_TEXT}, {"setting", T_TEXT}, {"description", T_TEXT}};
    int n;
    const struct setting_info *list = settings_list(&n);
    TRY(r->cl->columns(c, r->cl, d, 3));
    enum status st = OK;
    for (int i = 0; i < n && st == OK; i++) {
        struct strbuf value = STRBUF_INIT;
        st = settings_show(c, &r->s->settings, list[i].name, &value);
        struct text texts[3] = {{list[i].name, (int64_t)strlen(list[i].name)},
                                {value.s ? value.s : "", (int64_t)value.len},
                                {list[i].doc, (int64_t)strlen(list[i].doc)}};
        struct column cols[3];
        for (int k = 0; k < 3; k++)
            cols[k] = (struct column){.type = T_TEXT, .values = &texts[k]};
        if (st == OK) st = r->cl->rows(c, r->cl, cols, 3, NULL, 1);
        strbuf_release(&value);
    }
    return st;
}

static enum status show(struct ctx *c, struct run *r)
{
    if (r->stmt->all) {
        TRY(show_all(c, r));
        return tag(r, "SHOW");
    }
    const char *name = last_part(&r->stmt->name);
    struct strbuf value = STRBUF_INIT;
    enum status st = OK;
    if (!strcasecmp(name, "transaction_read_only"))
        strbuf_adds(&value, r->s->read_only ? "on" : "off");
    else if (!strcasecmp(name, "server_version"))
        strbuf_adds(&value, "15.0 (Tessera)");
    else if (!strcasecmp(name, "server_version_num"))
        strbuf_adds(&value, "150000");
    else if (!strcasecmp(name, "server_encoding"))
        strbuf_adds(&value, "UTF8");
    else
        st = at(c, settings_show(c, &r->s->settings, name, &value), r->stmt->name.pos);
    if (st == OK) {
        struct column_desc d = {name, T_TEXT};
        struct text t = {value.s ? value.s : "", (int64_t)value.len};
        struct column col = {.type = T_TEXT, .values = &t};
        st = r->cl->columns(c, r->cl, &d, 1);
        if (st == OK) st = r->cl->rows(c, r->cl, &col, 1, NULL, 1);
    }
    strbuf_release(&value);
    return st < 0 ? st : tag(r, "SHOW");
}

static const char *joined(struct ctx *c, const struct ast_names *values)
{
    if (values->n == 0) return NULL;
    const char *s = values->v[0];
    for (int i = 1; i < values->n; i++)
        s = arena_printf(c->arena, "%s, %s", s, values->v[i]);
    return s;
}

/* SET LOCAL outside a block would be gone at once. */
static enum status remember_local(struct ctx *c, struct run *r, const char *name)
{
    struct session *s = r->s;
    if (!s->in_block && r->cl->notice)
        r->cl->notice(r->cl, "WARNING", "25P01",
                      "SET LOCAL can only be used in transaction blocks");
    struct strbuf old = STRBUF_INIT;
    enum status st = settings_show(c, &s->settings, name, &old);
    if (st == OK) {
        struct local_setting *l = calloc(1, sizeof *l);
        if (!l) abort();
        l->name = strdup(name);
        l->value = strdup(old.s ? old.s : "");
        l->next = s->locals;
        s->locals = l;
    }
    strbuf_release(&old);
    return st;
}

/* A plain SET after a SET LOCAL stays. */
static void forget_local(struct session *s, const char *name)
{
    for (struct local_setting **at = &s->locals; *at;) {
        struct local_setting *l = *at;
        if (strcasecmp(l->name, name) != 0) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free(l->name);
        free(l->value);
        free(l);
    }
}

static enum status set(struct ctx *c, struct run *r, const char *value)
{
    const char *name = last_part(&r->stmt->name);
    if (!strcasecmp(name, "role") || !strcasecmp(name, "session_authorization"))
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos, "roles are not available yet");
    remember_settings(r->s);
    if (r->stmt->local) TRY(at(c, remember_local(c, r, name), r->stmt->name.pos));
    TRY(at(c, settings_set(c, &r->s->settings, name, value, false), r->stmt->name.pos));
    if (!r->stmt->local) forget_local(r->s, name);
    return OK;
}

static enum status reset(struct ctx *c, struct session *s, const char *name)
{
    struct strbuf v = STRBUF_INIT;
    enum status st = settings_show(c, &s->at_start, name, &v);
    if (st == OK) st = settings_set(c, &s->settings, name, v.s ? v.s : "", false);
    strbuf_release(&v);
    if (st == OK) forget_local(s, name);
    return st;
}

static enum status reset_one(struct ctx *c, struct run *r)
{
    remember_settings(r->s);
    return at(c, reset(c, r->s, last_part(&r->stmt->name)), r->stmt->name.pos);
}

static enum status reset_all(struct ctx *c, struct session *s)
{
    int n;
    const struct setting_info *list = settings_list(&n);
    remember_settings(s);
    for (int i = 0; i < n; i++)
        if (list[i].scope != SCOPE_SERVER) TRY(reset(c, s, list[i].name));
    return OK;
}

enum status run_setting(struct ctx *c, struct run *r)
{
    r->s->settings_seq++;
    switch (r->stmt->kind) {
    case S_SHOW:
        return show(c, r);
    case S_SET:
        TRY(set(c, r, joined(c, &r->stmt->values)));
        return tag(r, "SET");
    case S_RESET:
        if (r->stmt->all)
            TRY(reset_all(c, r->s));
        else
            TRY(reset_one(c, r));
        return tag(r, "RESET");
    default:
        if (r->s->in_block)
            return fail(c, ERR_ACTIVE_TRANSACTION,
                        "DISCARD ALL cannot run inside a transaction block");
        drop_portal(r->s, NULL);
        drop_prepared(r->s, NULL);
        TRY(reset_all(c, r->s));
        TRY(unlisten_all(c, r->s));
        return tag(r, "DISCARD ALL");
    }
}

/* ---- upkeep ---- */

static enum status vacuum(struct ctx *c, struct run *r)
{
    if (r->s->in_block)
        return fail(c, ERR_ACTIVE_TRANSACTION, "VACUUM cannot run inside a transaction block");
    if (r->stmt->has_keep && r->stmt->keep < 1)
        return fail_at(c, ERR_INVALID_PARAMETER, r->stmt->name.pos, "the newest version stays");
    const char *name = r->stmt->name.n ? last_part(&r->stmt->name) : NULL;
    TRY(at(c, db_vacuum(c, r->s->engine->db, name, r->stmt->keep),
           r->stmt->name.n ? r->stmt->name.pos : -1));
    return tag(r, "VACUUM");
}

static enum status backup(struct ctx *c, struct run *r)
{
    char path[PATH_MAX];
    const char *root = r->s->settings.file_root.s, *to = r->stmt->file;
    bool relative = to[0] != '/' && root && *root;
    if (r->s->in_block)
        return fail(c, ERR_ACTIVE_TRANSACTION, "BACKUP cannot run inside a transaction block");
    int n = snprintf(path, sizeof path, "%s%s%s", relative ? root : "", relative ? "/" : "", to);
    if (n >= (int)sizeof path)
        return fail_at(c, ERR_IO, r->stmt->pos, "the path \"%s\" is too long", to);
    TRY(at(c, db_backup(c, r->s->engine->db, path), r->stmt->pos));
    return tag(r, "BACKUP");
}

static enum status check(struct ctx *c, struct run *r)
{
    int64_t n_tiles = 0;
    TRY(need_txn(c, r->s));
    TRY(at(c, array_check(c, r->s->txn, last_part(&r->stmt->name), &n_tiles), r->stmt->name.pos));
    struct column_desc d = {"tiles", T_INT64};
    struct column col = {.type = T_INT64, .values = &n_tiles};
    TRY(r->cl->columns(c, r->cl, &d, 1));
    TRY(r->cl->rows(c, r->cl, &col, 1, NULL, 1));
    return tag(r, "CHECK ARRAY");
}

static enum status cancel_other(struct ctx *c, struct run *r)
{
    struct engine *e = r->s->engine;
    bool found = false;
    pthread_mutex_lock(&e->lock);
    for (struct session *s = e->sessions; s; s = s->next) {
        if (s->pid != r->stmt->count || s == r->s) continue;
        session_cancel(s, CANCEL_USER);
        found = true;
    }
    pthread_mutex_unlock(&e->lock);
    if (!found) {
        fail_at(c, ERR_UNDEFINED_OBJECT, r->stmt->pos, "no other session has the number %lld",
                (long long)r->stmt->count);
        return hint(c, "SELECT pid, query FROM sys.sessions lists them.");
    }
    return tag(r, "CANCEL");
}

enum status run_upkeep(struct ctx *c, struct run *r)
{
    switch (r->stmt->kind) {
    case S_VACUUM:
        return vacuum(c, r);
    case S_CHECK:
        return check(c, r);
    case S_BACKUP:
        return backup(c, r);
    case S_CANCEL:
        return cancel_other(c, r);
    case S_ANALYZE:
        return tag(r, "ANALYZE"); /* summaries are always up to date */
    default:
        return fail_at(c, ERR_UNSUPPORTED, r->stmt->pos,
                       "LOCK TABLE is not available: writers of an array wait for each other");
    }
}
