/* What is due when, and what came of it? \schedules and \runs. */
#include "client/sheet.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RUNS = 100 };

/* "35 ms", "1.2 s", "3 min 05 s", "2 h 10 min", "1 d 03 h". */
static char *duration_text(const char *seconds)
{
    char buf[64];
    if (!seconds) return NULL;
    double s = fmax(0, atof(seconds));
    long whole = (long)s;
    if (s < 1)
        snprintf(buf, sizeof buf, "%.0f ms", s * 1e3);
    else if (s < 60)
        snprintf(buf, sizeof buf, "%.1f s", s);
    else if (s < 3600)
        snprintf(buf, sizeof buf, "%ld min %02ld s", whole / 60, whole % 60);
    else if (s < 86400)
        snprintf(buf, sizeof buf, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
    else
        snprintf(buf, sizeof buf, "%ld d %02ld h", whole / 86400, whole / 3600 % 24);
    return copy(buf);
}

/* The colour of a status or a schedule's state: other cells say other things. */
static const char *status_color(void *self, int64_t row, int col)
{
    static const struct {
        const char *status, *escape;
    } colors[] = {
        {"succeeded", "\033[32m"}, {"running", "\033[36m"},   {"queued", "\033[34m"},
        {"skipped", "\033[33m"},   {"failed", "\033[31m"},    {"cancelled", "\033[35m"},
        {"crashed", "\033[1;31m"}, {"suspended", "\033[33m"},
    };
    const struct sheet *s = self;
    const char *name = s->table.names[col], *text = s->cells[row * s->table.n_cols + col];
    if (!text || (strcmp(name, "Status") != 0 && strcmp(name, "State") != 0 &&
                  strcmp(name, "Last run") != 0))
        return NULL;
    for (size_t i = 0; i < sizeof colors / sizeof *colors; i++)
        if (strcmp(colors[i].status, text) == 0) return colors[i].escape;
    return NULL;
}

bool list_schedules(struct shell *sh, const char *pattern)
{
    static const char *const names[] = {"Name",      "Rule",     "State",
                                        "Next slot", "Last run", "Message"};
    PGresult *r = ask(sh,
                      "SELECT name, rule, state, next_slot, last_status, last_message "
                      "FROM sys.schedules",
                      "name", pattern, "name");
    if (!r) return false;
    int n = PQntuples(r);
    struct sheet s;
    sheet_init(&s, "Schedules", names, "llllll");
    s.table.color = status_color;
    for (int i = 0; i < n; i++) {
        char **row = sheet_row(&s);
        for (int k = 0; k < s.table.n_cols; k++)
            row[k] = text_of(r, i, k);
    }
    PQclear(r);
    if (n == 0) return none_found(sh, "schedule", pattern);
    s.table.footer = NULL;
    sheet_show(sh, &s);
    return true;
}

/* A message and its SQLSTATE. */
static char *message_text(const PGresult *r, int row, int message, int sqlstate)
{
    struct strbuf b = STRBUF_INIT;
    const char *text = value(r, row, message), *state = value(r, row, sqlstate);
    if (text) strbuf_adds(&b, text);
    if (state) strbuf_addf(&b, "%s(%s)", text ? " " : "", state);
    return b.s;
}

bool list_runs(struct shell *sh, const char *pattern)
{
    static const char *const names[] = {"Schedule", "Slot", "Attempt", "Status", "Started",
                                        "Took",     "Rows", "Cells",   "Size",   "Message"};
    char order[64];
    snprintf(order, sizeof order, "queued_at DESC, slot DESC, attempt DESC LIMIT %d",
             MOST_RUNS + 1);
    PGresult *r = ask(sh,
                      "SELECT schedule, slot, attempt, status, date_trunc('second', started_at), "
                      "extract(epoch FROM coalesce(finished_at, now()) - started_at), "
                      "\"rows\", cells, bytes, message, sqlstate FROM sys.schedule_runs",
                      "schedule", pattern, order);
    if (!r) return false;
    int n = PQntuples(r), shown = n > MOST_RUNS ? MOST_RUNS : n;
    struct sheet s;
    sheet_init(&s, "Runs of schedules", names, "llrllrrrrl");
    s.table.color = status_color;
    for (int i = 0; i < shown; i++) {
        char **row = sheet_row(&s);
        for (int k = 0; k < 5; k++)
            row[k] = text_of(r, i, k);
        row[5] = duration_text(value(r, i, 5));
        row[6] = count_text(PQgetvalue(r, i, 6));
        row[7] = count_text(PQgetvalue(r, i, 7));
        row[8] = size_text(atof(PQgetvalue(r, i, 8)));
        row[9] = message_text(r, i, 9, 10);
    }
    PQclear(r);
    if (n == 0) return none_found(sh, "run", pattern);
    s.table.footer = n > shown ? "The newest; sys.schedule_runs has all." : NULL;
    sheet_show(sh, &s);
    return true;
}
