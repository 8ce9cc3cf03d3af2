/* The sys.… views: their names, columns and rows. The storage engine's come from its catalog,
 * settings from the session's; what only the running server knows (sessions and what they do) comes
 * from a provider that it registers for its database. */
#ifndef TESSERA_SYSVIEW_H
#define TESSERA_SYSVIEW_H
#include "storage/db.h"

struct sys_view {
    const char *name; /* without "sys." */
    const struct sys_column *columns;
    int n_columns;
};

/* Number of the view of that name, -1 when there is none. */
int sys_view_find(const char *name);
const struct sys_view *sys_view(int view);
int sys_view_count(void);
/* Calls fn once a row. Rows of a provider that is not there: none. */
enum status sys_view_rows(struct ctx *c, struct txn *t, int view, sys_row_fn *fn, void *self);

/* What a provider gives. sessions: pid, state, application, query, started; queries: pid, query,
 * started, done, total. */
enum sys_running { SYS_SESSIONS, SYS_QUERIES };
typedef enum status sys_running_fn(struct ctx *c, void *self, enum sys_running which,
                                   sys_row_fn *fn, void *row_self);
/* One a database, from any thread. fn NULL: withdraws it; call that before what self is goes. */
void sys_provide(const struct db *db, sys_running_fn *fn, void *self);

/* ---- schedule_view.c: sys.schedules, sys.schedule_runs ---- */
extern const struct sys_column schedule_columns[], schedule_run_columns[];
enum { N_SCHEDULE_COLUMNS = 12, N_SCHEDULE_RUN_COLUMNS = 13 };
enum status schedule_rows(struct ctx *c, struct txn *t, sys_row_fn *fn, void *self);
enum status schedule_run_rows(struct ctx *c, struct txn *t, sys_row_fn *fn, void *self);

#endif
