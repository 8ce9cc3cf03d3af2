/* The engine of one process: data directory, workers, memory, and who is connected. */
#include "query/session_internal.h"
#include "query/sysview.h"
#include "storage/base/isa.h"
#include "storage/base/log.h"
#include "storage/base/pool.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int64_t default_memory(void)
{
    int64_t pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? pages / 2 * page : INT64_C(1) << 30;
}

static int default_workers(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

/* ---- what runs: sys.sessions and sys.queries ---- */

static enum status session_row(struct ctx *c, const struct session *s, sys_row_fn *fn, void *self)
{
    bool active = atomic_load(&s->running);
    int state = atomic_load(&s->state_seen);
    struct value row[] = {
        value_int(T_INT32, s->pid),
        value_text(active         ? "active"
                   : state == 'T' ? "idle in transaction"
                   : state == 'E' ? "idle in transaction (aborted)"
                                  : "idle"),
        value_text(s->application),
        value_text(s->activity),
        s->started_us ? value_int(T_TIMESTAMP, s->started_us) : value_null(T_TIMESTAMP),
    };
    return fn(c, self, row, 5);
}

static enum status query_row(struct ctx *c, const struct session *s, sys_row_fn *fn, void *self)
{
    if (!atomic_load(&s->running)) return OK;
    struct value row[] = {
        value_int(T_INT32, s->pid),
        value_text(s->activity),
        value_int(T_TIMESTAMP, s->started_us),
        value_int(T_INT64, atomic_load(&s->progress.done)),
        value_int(T_INT64, atomic_load(&s->progress.total)),
    };
    return fn(c, self, row, 5);
}

static enum status running(struct ctx *c, void *self, enum sys_running which, sys_row_fn *fn,
                           void *row_self)
{
    struct engine *e = self;
    enum status st = OK;
    pthread_mutex_lock(&e->lock);
    for (struct session *s = e->sessions; s && st == OK; s = s->next)
        st = (which == SYS_SESSIONS ? session_row : query_row)(c, s, fn, row_self);
    pthread_mutex_unlock(&e->lock);
    return st;
}

enum status engine_open(struct ctx *c, const char *dir, const struct settings *settings,
                        struct engine **out)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) return fail(c, ERR_MEMORY, "out of memory");
    settings_copy(&e->settings, settings);
    if (!e->settings.memory_limit.n) e->settings.memory_limit.n = default_memory();
    if (!e->settings.workers.n) e->settings.workers.n = default_workers();
    isa_limit_named(e->settings.instruction_set.s);
    budget_init(&e->budget, NULL, e->settings.memory_limit.n);
    pthread_mutex_init(&e->lock, NULL);
    struct db_options o = {
        .cache_bytes = e->settings.cache_size.n,
        .quota_bytes = e->settings.disk_quota.n,
        .lock_timeout_ms = e->settings.lock_timeout.n,
        .version_retention_ms = e->settings.version_retention.n,
        .create = true,
        .sync = true,
    };
    c->budget = &e->budget;
    c->settings = &e->settings;
    enum status s = db_open(c, dir, &o, &e->budget, &e->db);
    if (s < 0) {
        settings_release(&e->settings);
        pthread_mutex_destroy(&e->lock);
        free(e);
        return s;
    }
    e->pool = pool_new((int)e->settings.workers.n);
    sys_provide(e->db, running, e);
    *out = e;
    return OK;
}

void engine_close(struct engine *e)
{
    if (!e) return;
    pool_free(e->pool);
    sys_provide(e->db, NULL, NULL);
    db_close(e->db);
    source_forget();
    settings_release(&e->settings);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

enum status session_new(struct ctx *c, struct engine *e, struct session **out)
{
    struct session *s = calloc(1, sizeof *s);
    if (!s) return fail(c, ERR_MEMORY, "out of memory");
    s->engine = e;
    settings_copy(&s->settings, &e->settings);
    settings_copy(&s->at_start, &e->settings);
    s->read_only = s->settings.default_transaction_read_only.n;
    budget_init(&s->budget, &e->budget, 0);
    s->scratch = scratch_new(&s->budget);
    s->usage.tokens = pool_tokens(e->pool);
    if (getrandom(&s->secret, sizeof s->secret, 0) != (ssize_t)sizeof s->secret)
        s->secret = (int)now_ns();
    pthread_mutex_lock(&e->lock);
    s->pid = ++e->next_pid;
    s->next = e->sessions;
    e->sessions = s;
    pthread_mutex_unlock(&e->lock);
    *out = s;
    return OK;
}

void session_free(struct session *s)
{
    if (!s) return;
    struct engine *e = s->engine;
    drop_portal(s, NULL);
    drop_prepared(s, NULL);
    txn_rollback(s->txn);
    pthread_mutex_lock(&e->lock);
    struct session **at = &e->sessions;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pthread_mutex_unlock(&e->lock);
    notify_release(s);
    while (s->locals) {
        struct local_setting *l = s->locals;
        s->locals = l->next;
        free(l->name);
        free(l->value);
        free(l);
    }
    if (s->has_at_begin) settings_release(&s->at_begin);
    settings_release(&s->settings);
    settings_release(&s->at_start);
    scratch_free(s->scratch);
    free(s);
}

const struct settings *session_settings(const struct session *s)
{
    return &s->settings;
}
int session_pid(const struct session *s)
{
    return s->pid;
}
int session_secret(const struct session *s)
{
    return s->secret;
}

char session_state(const struct session *s)
{
    return !s->in_block ? 'I' : s->failed ? 'E' : 'T';
}

void session_cancel(struct session *s, enum cancel_reason why)
{
    if (atomic_load(&s->running) || why == CANCEL_SHUTDOWN)
        atomic_store(&s->cancel.reason, (int)why);
}

void engine_cancel(struct engine *e, int pid, int secret)
{
    pthread_mutex_lock(&e->lock);
    for (struct session *s = e->sessions; s; s = s->next)
        if (s->pid == pid && s->secret == secret) session_cancel(s, CANCEL_USER);
    pthread_mutex_unlock(&e->lock);
}

bool session_progress(struct session *s, int64_t *done, int64_t *total, int64_t *every_ms)
{
    *every_ms = atomic_load(&s->progress_every_ms);
    if (*every_ms <= 0 || !atomic_load(&s->running)) return false;
    *done = atomic_load(&s->progress.done);
    *total = atomic_load(&s->progress.total);
    return true;
}
