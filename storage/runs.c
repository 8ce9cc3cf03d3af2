/* How do records of runs get into the catalog: with a transaction's result, or by themselves? And
 * who hears that there is something to run? */
#include "storage/runs.h"
#include "storage/db_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static char *copied(const char *s)
{
    char *copy = s ? strdup(s) : NULL;
    if (s && !copy) abort();
    return copy;
}

int64_t run_number(struct db *db)
{
    return atomic_fetch_add(&db->next_run, 1);
}

enum status txn_record_run(struct ctx *c, struct txn *t, const struct run_row *r)
{
    TRY(txn_may_write(c, t));
    if (t->n_runs == t->cap_runs) {
        t->cap_runs = t->cap_runs ? 2 * t->cap_runs : 4;
        t->runs = realloc(t->runs, sizeof(*t->runs) * (size_t)t->cap_runs);
        if (!t->runs) abort();
    }
    struct run_row *own = &t->runs[t->n_runs++];
    *own = *r;
    own->name = copied(r->name);
    own->sqlstate = copied(r->sqlstate);
    own->message = copied(r->message);
    return OK;
}

void txn_forget_runs(struct txn *t, int n_kept)
{
    while (t->n_runs > n_kept) {
        struct run_row *r = &t->runs[--t->n_runs];
        free((char *)(uintptr_t)r->name);
        free((char *)(uintptr_t)r->sqlstate);
        free((char *)(uintptr_t)r->message);
    }
}

static bool changes_definitions(const struct txn *t)
{
    for (int i = 0; i < t->n_objects; i++)
        if (t->objects[i].kind == OBJECT_SCHEDULE) return true;
    return false;
}

static bool queues_runs(const struct txn *t)
{
    for (int i = 0; i < t->n_runs; i++)
        if (t->runs[i].status == RUN_QUEUED) return true;
    return false;
}

enum status txn_put_runs(struct ctx *c, struct txn *t)
{
    if (t->n_runs == 0 && !changes_definitions(t)) return OK;
    TRY(fault_point(c, FAULT_RUN));
    TRY(catalog_count_runs(c, t->db->catalog, atomic_load(&t->db->next_run)));
    for (int i = 0; i < t->n_runs; i++)
        TRY(catalog_put_run(c, t->db->catalog, &t->runs[i]));
    return OK;
}

enum status runs_record(struct ctx *c, struct db *db, const struct run_row *rows, int n)
{
    if (n == 0) return OK;
    return catalog_put_runs(c, db->catalog, rows, n, atomic_load(&db->next_run));
}

enum status runs_list(struct ctx *c, struct db *db, enum runs_which which, int64_t id,
                      int64_t slot_us, struct arena *a, struct run_row **rows, int *n)
{
    published_begin(db); /* who hears that a run succeeded must find its result */
    enum status s = catalog_runs(c, db->catalog, which, id, slot_us, a, rows, n);
    published_end(db);
    return s;
}

enum status runs_mark(struct ctx *c, struct db *db, int64_t id, int64_t *mark_us)
{
    return catalog_run_mark(c, db->catalog, id, mark_us);
}

enum status runs_failures(struct ctx *c, struct db *db, int64_t id, int64_t since_us, int64_t *n)
{
    return catalog_run_failures(c, db->catalog, id, since_us, n);
}

enum status runs_forget(struct ctx *c, struct db *db, int64_t before_us)
{
    int n = 1; /* by and by: others want the catalog too */
    while (n > 0)
        TRY(catalog_forget_runs(c, db->catalog, before_us, &n));
    return OK;
}

/* ---- who waits ---- */

void schedules_committed(const struct txn *t)
{
    struct db *db = t->db;
    bool definitions = changes_definitions(t), queued = queues_runs(t);
    if (!definitions && !queued) return;
    pthread_mutex_lock(&db->schedules_mu);
    db->schedules_seq.definitions += definitions;
    db->schedules_seq.queued += queued;
    pthread_cond_broadcast(&db->schedules_cond);
    pthread_mutex_unlock(&db->schedules_mu);
}

void schedules_wake(struct db *db)
{
    pthread_mutex_lock(&db->schedules_mu);
    db->schedules_woken = true;
    pthread_cond_broadcast(&db->schedules_cond);
    pthread_mutex_unlock(&db->schedules_mu);
}

struct schedules_seq schedules_seq(struct db *db)
{
    pthread_mutex_lock(&db->schedules_mu);
    struct schedules_seq seq = db->schedules_seq;
    pthread_mutex_unlock(&db->schedules_mu);
    return seq;
}

void schedules_wait(struct db *db, const struct schedules_seq *seen, int64_t timeout_ms)
{
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += timeout_ms / 1000;
    end.tv_nsec += timeout_ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&db->schedules_mu);
    int rc = 0;
    while (rc != ETIMEDOUT && !db->schedules_woken &&
           db->schedules_seq.definitions == seen->definitions &&
           db->schedules_seq.queued == seen->queued)
        rc = pthread_cond_timedwait(&db->schedules_cond, &db->schedules_mu, &end);
    db->schedules_woken = false;
    pthread_mutex_unlock(&db->schedules_mu);
}
