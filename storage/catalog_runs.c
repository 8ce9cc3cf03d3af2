/* How runs of schedules lie in the catalog: one row each, changed as the run goes on. */
#include "storage/catalog_internal.h"

static const char *const names[N_RUN_STATUSES] = {
#define X(id, name) name,
    RUN_STATUS_LIST(X)
#undef X
};

const char *run_status_name(enum run_status s)
{
    return names[s];
}

static enum run_status status_of(const char *name)
{
    int s = 0;
    while (s < N_RUN_STATUSES - 1 && strcmp(names[s], name) != 0)
        s++;
    return (enum run_status)s;
}

static void read_run(struct catalog *cat, enum query q, struct arena *a, struct run_row *r)
{
    *r = (struct run_row){.run = catalog_int(cat, q, 0),
                          .schedule = catalog_int(cat, q, 1),
                          .name = catalog_text(cat, q, 2, a),
                          .slot_us = catalog_int(cat, q, 3),
                          .attempt = catalog_int(cat, q, 4),
                          .status = status_of(catalog_text(cat, q, 5, a)),
                          .kind = (enum run_kind)catalog_int(cat, q, 6),
                          .scheduled_us = catalog_int(cat, q, 7),
                          .queued_us = catalog_int(cat, q, 8),
                          .started_us = catalog_int(cat, q, 9),
                          .finished_us = catalog_int(cat, q, 10),
                          .rows = catalog_int(cat, q, 11),
                          .cells = catalog_int(cat, q, 12),
                          .bytes = catalog_int(cat, q, 13),
                          .sqlstate = catalog_text(cat, q, 14, a),
                          .message = catalog_text(cat, q, 15, a),
                          .tries = catalog_int(cat, q, 16)};
}

enum status catalog_runs(struct ctx *c, struct catalog *cat, enum runs_which which, int64_t id,
                         int64_t slot_us, struct arena *a, struct run_row **rows, int *n)
{
    static const enum query queries[] = {Q_RUNS, Q_RUNS_QUEUED, Q_RUNS_CRASHED, Q_RUNS_LAST,
                                         Q_RUNS_OF};
    const enum query q = queries[which];
    *n = 0;
    *rows = NULL;
    pthread_mutex_lock(&cat->mu);
    const char *takes = which == RUNS_OF_SLOT                      ? "ii"
                        : which == RUNS_PAGE || which == RUNS_LAST ? "i"
                                                                   : "";
    enum status s = catalog_start(c, cat, q, takes, id, slot_us);
    for (; catalog_next(c, cat, q, &s); ++*n) {
        *rows = arena_room(a, *rows, *n, sizeof(**rows));
        read_run(cat, q, a, &(*rows)[*n]);
    }
    pthread_mutex_unlock(&cat->mu);
    return s;
}

static enum status one_number(struct ctx *c, struct catalog *cat, enum query q, enum status s,
                              int64_t *out)
{
    while (catalog_next(c, cat, q, &s))
        if (sqlite3_column_type(cat->stmts[q], 0) != SQLITE_NULL) *out = catalog_int(cat, q, 0);
    pthread_mutex_unlock(&cat->mu);
    return s;
}

enum status catalog_next_run(struct ctx *c, struct catalog *cat, int64_t *next)
{
    *next = 1;
    pthread_mutex_lock(&cat->mu);
    return one_number(c, cat, Q_NEXT_RUN, catalog_start(c, cat, Q_NEXT_RUN, ""), next);
}

enum status catalog_run_mark(struct ctx *c, struct catalog *cat, int64_t id, int64_t *mark_us)
{
    *mark_us = INT64_MIN;
    pthread_mutex_lock(&cat->mu);
    return one_number(c, cat, Q_RUN_MARK, catalog_start(c, cat, Q_RUN_MARK, "i", id), mark_us);
}

enum status catalog_run_failures(struct ctx *c, struct catalog *cat, int64_t id, int64_t since_us,
                                 int64_t *n)
{
    *n = 0;
    pthread_mutex_lock(&cat->mu);
    return one_number(c, cat, Q_RUN_FAILURES,
                      catalog_start(c, cat, Q_RUN_FAILURES, "ii", id, since_us), n);
}

enum status catalog_put_run(struct ctx *c, struct catalog *cat, const struct run_row *r)
{
    return catalog_run(c, cat, Q_PUT_RUN, "iitiitiiiiiiiitti", r->run, r->schedule, r->name,
                       r->slot_us, r->attempt, run_status_name(r->status), (int64_t)r->kind,
                       r->scheduled_us, r->queued_us, r->started_us, r->finished_us, r->rows,
                       r->cells, r->bytes, r->sqlstate, r->message, r->tries);
}

enum status catalog_count_runs(struct ctx *c, struct catalog *cat, int64_t next)
{
    return catalog_run(c, cat, Q_COUNT_RUNS, "i", next);
}

enum status catalog_put_runs(struct ctx *c, struct catalog *cat, const struct run_row *rows, int n,
                             int64_t next)
{
    TRY(catalog_begin(c, cat));
    enum status s = catalog_count_runs(c, cat, next);
    for (int i = 0; s == OK && i < n; i++)
        s = catalog_put_run(c, cat, &rows[i]);
    return catalog_finish(c, cat, s);
}

enum status catalog_crash_runs(struct ctx *c, struct catalog *cat, int64_t now_us)
{
    TRY(catalog_begin(c, cat));
    return catalog_finish(c, cat, catalog_run(c, cat, Q_RUNS_CRASH, "i", now_us));
}

enum status catalog_forget_runs(struct ctx *c, struct catalog *cat, int64_t before_us, int *n)
{
    TRY(catalog_begin(c, cat));
    enum status s = catalog_run(c, cat, Q_RUNS_FORGET, "i", before_us);
    *n = s == OK ? sqlite3_changes(cat->db) : 0;
    return catalog_finish(c, cat, s);
}
