/* Which sys.… views are there, and where do their rows come from? */
#include "query/sysview.h"
#include "storage/base/settings.h"
#include <pthread.h>
#include <stdlib.h>

static const struct sys_column session_columns[] = {{"pid", T_INT32},
                                                    {"state", T_TEXT},
                                                    {"application", T_TEXT},
                                                    {"query", T_TEXT},
                                                    {"started", T_TIMESTAMP}};
static const struct sys_column query_columns[] = {{"pid", T_INT32},
                                                  {"query", T_TEXT},
                                                  {"started", T_TIMESTAMP},
                                                  {"done", T_INT64},
                                                  {"total", T_INT64}};
static const struct sys_column setting_columns[] = {
    {"name", T_TEXT}, {"value", T_TEXT}, {"default", T_TEXT}, {"description", T_TEXT}};

#define COLUMNS(list) list, (int)(sizeof list / sizeof *list)
enum source { FROM_CATALOG, FROM_SETTINGS, FROM_PROVIDER, FROM_SCHEDULES, FROM_RUNS };
static const struct {
    struct sys_view view; /* the catalog's columns are asked of it */
    enum source source;
    int which;
} views[] = {
    {{"arrays", NULL, 0}, FROM_CATALOG, SYS_ARRAYS},
    {{"dimensions", NULL, 0}, FROM_CATALOG, SYS_DIMENSIONS},
    {{"attributes", NULL, 0}, FROM_CATALOG, SYS_ATTRIBUTES},
    {{"versions", NULL, 0}, FROM_CATALOG, SYS_VERSIONS},
    {{"tiles", NULL, 0}, FROM_CATALOG, SYS_TILES},
    {{"files", NULL, 0}, FROM_CATALOG, SYS_FILES},
    {{"objects", NULL, 0}, FROM_CATALOG, SYS_OBJECTS},
    {{"schedules", schedule_columns, N_SCHEDULE_COLUMNS}, FROM_SCHEDULES, 0},
    {{"schedule_runs", schedule_run_columns, N_SCHEDULE_RUN_COLUMNS}, FROM_RUNS, 0},
    {{"settings", COLUMNS(setting_columns)}, FROM_SETTINGS, 0},
    {{"sessions", COLUMNS(session_columns)}, FROM_PROVIDER, SYS_SESSIONS},
    {{"queries", COLUMNS(query_columns)}, FROM_PROVIDER, SYS_QUERIES},
};
enum { N_VIEWS = sizeof views / sizeof *views };

int sys_view_count(void)
{
    return N_VIEWS;
}

int sys_view_find(const char *name)
{
    for (int i = 0; i < N_VIEWS; i++)
        if (!strcmp(views[i].view.name, name)) return i;
    return -1;
}

static struct sys_view filled[N_VIEWS];

static void fill_views(void)
{
    for (int i = 0; i < N_VIEWS; i++) {
        filled[i] = views[i].view;
        if (views[i].source == FROM_CATALOG)
            filled[i].columns = sys_columns((enum sys_table)views[i].which, &filled[i].n_columns);
    }
}

const struct sys_view *sys_view(int view)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_views);
    return &filled[view];
}

/* ---- providers ---- */

struct provider {
    struct provider *next;
    const struct db *db;
    sys_running_fn *fn;
    void *self;
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct provider *providers;

void sys_provide(const struct db *db, sys_running_fn *fn, void *self)
{
    pthread_mutex_lock(&lock);
    struct provider **p = &providers;
    while (*p && (*p)->db != db)
        p = &(*p)->next;
    if (*p && !fn) {
        struct provider *gone = *p;
        *p = gone->next;
        free(gone);
    } else if (fn) {
        if (!*p) {
            *p = calloc(1, sizeof **p);
            if (!*p) abort();
            (*p)->db = db;
        }
        (*p)->fn = fn;
        (*p)->self = self;
    }
    pthread_mutex_unlock(&lock);
}

static enum status running_rows(struct ctx *c, struct txn *t, enum sys_running which,
                                sys_row_fn *fn, void *self)
{
    struct provider found = {0};
    pthread_mutex_lock(&lock);
    for (const struct provider *p = providers; p; p = p->next)
        if (p->db == txn_db(t)) found = *p;
    pthread_mutex_unlock(&lock);
    return found.fn ? found.fn(c, found.self, which, fn, self) : OK;
}

/* ---- settings ---- */

static enum status setting_rows(struct ctx *c, sys_row_fn *fn, void *self)
{
    int n;
    const struct setting_info *list = settings_list(&n);
    enum status st = OK;
    for (int i = 0; i < n && st == OK; i++) {
        struct strbuf now = STRBUF_INIT;
        if (c->settings) st = settings_show(c, c->settings, list[i].name, &now);
        struct value row[4] = {value_text(list[i].name), value_text(now.s ? now.s : ""),
                               value_text(list[i].deflt), value_text(list[i].doc)};
        if (st == OK) st = fn(c, self, row, 4);
        strbuf_release(&now);
    }
    return st;
}

enum status sys_view_rows(struct ctx *c, struct txn *t, int view, sys_row_fn *fn, void *self)
{
    switch (views[view].source) {
    case FROM_CATALOG:
        return sys_scan(c, t, (enum sys_table)views[view].which, fn, self);
    case FROM_SETTINGS:
        return setting_rows(c, fn, self);
    case FROM_SCHEDULES:
        return schedule_rows(c, t, fn, self);
    case FROM_RUNS:
        return schedule_run_rows(c, t, fn, self);
    default:
        return running_rows(c, t, (enum sys_running)views[view].which, fn, self);
    }
}
