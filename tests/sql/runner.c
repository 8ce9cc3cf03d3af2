/* Runs .test files: statements and queries with the answers they must give.
 *
 *   runner [--server TESSERAD] [--set name=value]… FILE…
 *
 * Without --server statements run in this process, each file in a fresh data directory; with it,
 * through a server of that executable and libpq. A file is a list of records, separated by empty
 * lines, # begins a comment:
 *
 *   statement ok               statement error 22003 [@word] [part of message or hint]  query
 * [sort] SQL …                      SQL …                                                    SQL …
 *                                                                                       ----
 *                                                                                       1|a|NULL
 *
 * `@word`: the error's position is where that text stands (`@` alone: it has one).
 * `query sort` compares the rows as a set. `query approx` compares numbers to 1e-12 of their size.
 * EXPLAIN is a query. `restart` closes the data directory and opens it again. */
#include "query/session.h"
#include "storage/base/value.h"
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct options {
    const char *server;
    const char *sets[32];
    int n_sets;
};

/* What a statement gave: rows as text, or an error. */
struct result {
    struct strbuf rows; /* a line each */
    bool failed;
    char sqlstate[6];
    char message[1024];
    char place[64]; /* the statement's text from the error's position on; empty: it has none */
};

struct backend {
    const struct options *o;
    char dir[64];
    /* in process */
    struct arena *arena;
    struct settings settings;
    struct engine *engine;
    struct session *session;
    /* through a server */
    pid_t pid;
    PGconn *pg;
};

static void die(const char *what)
{
    fprintf(stderr, "runner: %s\n", what);
    exit(2);
}

static void put_value(struct strbuf *out, const char *s, size_t n)
{
    if (n == 0) strbuf_adds(out, "(empty)");
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\n')
            strbuf_adds(out, "\\n");
        else
            strbuf_addc(out, s[i]);
    }
}

/* ---- in process ---- */

struct collector {
    struct client client;
    struct strbuf *rows;
};

static enum status on_columns(struct ctx *c, struct client *cl, const struct column_desc *cols,
                              int n)
{
    (void)c, (void)cl, (void)cols, (void)n;
    return OK;
}

static enum status on_rows(struct ctx *c, struct client *cl, const struct column *cols, int n_cols,
                           const uint64_t *present, int64_t n)
{
    struct strbuf *out = ((struct collector *)cl)->rows, v = STRBUF_INIT;
    (void)c;
    for (int64_t i = 0; i < n; i++) {
        if (present && !bit_get(present, i)) continue;
        for (int k = 0; k < n_cols; k++) {
            if (k) strbuf_addc(out, '|');
            strbuf_clear(&v);
            if (column_is_null(&cols[k], i)) {
                strbuf_adds(out, "NULL");
                continue;
            }
            value_format_at(cols[k].type, cols[k].values, i, &v);
            put_value(out, v.s ? v.s : "", v.len);
        }
        strbuf_addc(out, '\n');
    }
    strbuf_release(&v);
    return OK;
}

static enum status on_complete(struct ctx *c, struct client *cl, const char *tag)
{
    (void)c, (void)cl, (void)tag;
    return OK;
}

static void open_engine(struct backend *b)
{
    struct ctx c = {0};
    ctx_clear(&c);
    b->arena = arena_new();
    c.arena = b->arena;
    settings_defaults(&b->settings);
    for (int i = 0; i < b->o->n_sets; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s", b->o->sets[i]);
        char *eq = strchr(name, '=');
        if (!eq) die("--set wants name=value");
        *eq = 0;
        if (settings_set(&c, &b->settings, name, eq + 1, true) < 0) die(c.err.message);
    }
    if (engine_open(&c, b->dir, &b->settings, &b->engine) < 0) die(c.err.message);
    if (session_new(&c, b->engine, &b->session) < 0) die(c.err.message);
}

static void close_engine(struct backend *b)
{
    session_free(b->session);
    engine_close(b->engine);
    settings_release(&b->settings);
    arena_free(b->arena);
}

static void run_here(struct backend *b, const char *sql, struct result *r)
{
    struct ctx c = {0};
    struct collector k = {
        .client = {.columns = on_columns, .rows = on_rows, .complete = on_complete},
        .rows = &r->rows};
    ctx_clear(&c);
    if (session_simple(&c, b->session, sql, strlen(sql), &k.client) >= 0) return;
    r->failed = true;
    snprintf(r->sqlstate, sizeof r->sqlstate, "%s", status_sqlstate(c.err.code));
    snprintf(r->message, sizeof r->message, "%s HINT: %s", c.err.message, c.err.hint);
    if (c.err.position >= 0 && (size_t)c.err.position <= strlen(sql))
        snprintf(r->place, sizeof r->place, "%s", sql + c.err.position);
}

/* ---- through a server ---- */

static void start_server(struct backend *b)
{
    int ready[2];
    char fd[16], byte;
    const char *argv[80];
    int n = 0;
    if (pipe(ready) < 0) die("pipe");
    snprintf(fd, sizeof fd, "%d", ready[1]);
    argv[n++] = b->o->server;
    argv[n++] = "-D";
    argv[n++] = b->dir;
    argv[n++] = "--ready-fd";
    argv[n++] = fd;
    for (int i = 0; i < b->o->n_sets; i++) {
        argv[n++] = "--set";
        argv[n++] = b->o->sets[i];
    }
    argv[n] = NULL;
    b->pid = fork();
    if (b->pid == 0) {
        setenv("TESSERA_LOG", "warning", 1);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) die("the server did not start");
    close(ready[0]);
    char conninfo[256];
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 user=test dbname=test", b->dir);
    b->pg = PQconnectdb(conninfo);
    if (PQstatus(b->pg) != CONNECTION_OK) die(PQerrorMessage(b->pg));
}

static void stop_server(struct backend *b)
{
    int status;
    PQfinish(b->pg);
    kill(b->pid, SIGTERM);
    waitpid(b->pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) die("the server did not stop cleanly");
}

static void keep_rows(PGresult *g, struct strbuf *out)
{
    for (int i = 0; i < PQntuples(g); i++) {
        for (int k = 0; k < PQnfields(g); k++) {
            if (k) strbuf_addc(out, '|');
            if (PQgetisnull(g, i, k))
                strbuf_adds(out, "NULL");
            else
                put_value(out, PQgetvalue(g, i, k), (size_t)PQgetlength(g, i, k));
        }
        strbuf_addc(out, '\n');
    }
}

static void ignore_notice(void *self, const char *message)
{
    (void)self, (void)message;
}

/* Where character n, counted from 1, begins in UTF-8. */
static const char *nth_character(const char *s, long n)
{
    while (*s && n > 1)
        n -= (*++s & 0xC0) != 0x80;
    return s;
}

static void run_there(struct backend *b, const char *sql, struct result *r)
{
    PQsetNoticeProcessor(b->pg, ignore_notice, NULL);
    PGresult *g = PQexec(b->pg, sql);
    ExecStatusType s = PQresultStatus(g);
    if (s == PGRES_TUPLES_OK) {
        keep_rows(g, &r->rows);
    } else if (s != PGRES_COMMAND_OK && s != PGRES_EMPTY_QUERY) {
        const char *state = PQresultErrorField(g, PG_DIAG_SQLSTATE),
                   *text = PQresultErrorField(g, PG_DIAG_MESSAGE_PRIMARY),
                   *hint = PQresultErrorField(g, PG_DIAG_MESSAGE_HINT),
                   *place = PQresultErrorField(g, PG_DIAG_STATEMENT_POSITION);
        r->failed = true;
        snprintf(r->sqlstate, sizeof r->sqlstate, "%s", state ? state : "?????");
        snprintf(r->message, sizeof r->message, "%s HINT: %s", text ? text : PQerrorMessage(b->pg),
                 hint ? hint : "");
        if (place)
            snprintf(r->place, sizeof r->place, "%s", nth_character(sql, strtol(place, NULL, 10)));
    }
    PQclear(g);
}

/* ---- either ---- */

static void open_backend(struct backend *b)
{
    if (b->o->server)
        start_server(b);
    else
        open_engine(b);
}

static void close_backend(struct backend *b)
{
    if (b->o->server)
        stop_server(b);
    else
        close_engine(b);
}

static void run_sql(struct backend *b, const char *sql, struct result *r)
{
    strbuf_release(&r->rows);
    *r = (struct result){.rows = STRBUF_INIT};
    if (b->o->server)
        run_there(b, sql, r);
    else
        run_here(b, sql, r);
}

/* ---- comparing ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int split_lines(char *text, char **lines, int most)
{
    int n = 0;
    for (char *at = text; *at && n < most;) {
        lines[n++] = at;
        char *end = strchr(at, '\n');
        if (!end) break;
        *end = 0;
        at = end + 1;
    }
    return n;
}

static bool close_enough(const char *a, const char *b)
{
    char *ea, *eb;
    double x = strtod(a, &ea), y = strtod(b, &eb);
    if (ea == a || eb == b || *ea || *eb) return !strcmp(a, b);
    return x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= 1e-12 * fmax(fabs(x), fabs(y));
}

static bool same_line(char *a, char *b, bool approx)
{
    if (!approx) return !strcmp(a, b);
    char *sa, *sb, *x = strtok_r(a, "|", &sa), *y = strtok_r(b, "|", &sb);
    for (; x && y; x = strtok_r(NULL, "|", &sa), y = strtok_r(NULL, "|", &sb))
        if (!close_enough(x, y)) return false;
    return !x && !y;
}

enum { MOST_LINES = 100000 };

static bool same_rows(const char *got, const char *want, bool sort, bool approx)
{
    static char *g[MOST_LINES], *w[MOST_LINES];
    char *gt = strdup(got), *wt = strdup(want);
    int n = split_lines(gt, g, MOST_LINES), m = split_lines(wt, w, MOST_LINES);
    bool same = n == m;
    if (sort) {
        qsort(g, (size_t)n, sizeof *g, by_text);
        qsort(w, (size_t)m, sizeof *w, by_text);
    }
    for (int i = 0; i < n && same; i++)
        same = same_line(g[i], w[i], approx);
    free(gt);
    free(wt);
    return same;
}

/* ---- files ---- */

struct record {
    char *head, *sql, *want;
    int line;
};

/* Does the error come as `statement error` has it? */
static bool right_error(const struct result *r, const char *state, const char *part)
{
    if (!r->failed || strcmp(r->sqlstate, state) != 0) return false;
    if (*part == '@') {
        size_t n = strcspn(++part, " ");
        if (!*r->place || strncmp(r->place, part, n) != 0) return false;
        part += n + (part[n] == ' ');
    }
    return strstr(r->message, part) != NULL;
}

static bool run_record(struct backend *b, const char *file, const struct record *rec)
{
    struct result r = {.rows = STRBUF_INIT};
    char state[8] = "", part[512] = "";
    bool ok = true;
    if (!strncmp(rec->head, "restart", 7)) {
        close_backend(b);
        open_backend(b);
        return true;
    }
    run_sql(b, rec->sql, &r);
    const char *got = r.rows.s ? r.rows.s : "";
    if (sscanf(rec->head, "statement error %7s %511[^\n]", state, part) >= 1) {
        ok = right_error(&r, state, part);
        if (!ok)
            fprintf(stderr, "%s:%d: wanted error %s %s, got %s %s AT: %s\n", file, rec->line, state,
                    part, r.failed ? r.sqlstate : "success", r.message, r.place);
    } else if (r.failed) {
        fprintf(stderr, "%s:%d: %s: %s\n", file, rec->line, r.sqlstate, r.message);
        ok = false;
    } else if (!strncmp(rec->head, "query", 5)) {
        ok = same_rows(got, rec->want ? rec->want : "", strstr(rec->head, "sort"),
                       strstr(rec->head, "approx"));
        if (!ok)
            fprintf(stderr, "%s:%d: wanted\n%sgot\n%s", file, rec->line, rec->want ? rec->want : "",
                    got);
    } else if (strncmp(rec->head, "statement ok", 12) != 0) {
        fprintf(stderr, "%s:%d: unknown record \"%s\"\n", file, rec->line, rec->head);
        ok = false;
    }
    strbuf_release(&r.rows);
    return ok;
}

/* Reads the next record at *at; false at the end. Texts are cut out of the file's. */
static bool next_record(char **at, int *line, struct record *rec)
{
    char *p = *at;
    for (; *p == '\n' || *p == '#'; (*line)++) {
        char *nl = strchr(p, '\n');
        if (!nl) return false;
        p = nl + 1;
    }
    if (!*p) return false;
    *rec = (struct record){.head = p, .line = *line};
    char *end = strstr(p, "\n\n");
    char *stop = end ? end + 1 : p + strlen(p);
    for (char *s = p; s < stop; s++)
        *line += *s == '\n';
    *at = end ? end + 2 : stop;
    *line += end != NULL;
    if (end) stop[0] = 0;
    char *nl = strchr(p, '\n');
    rec->sql = nl ? nl + 1 : p + strlen(p);
    if (nl) *nl = 0;
    char *bar = strstr(rec->sql, "----\n");
    if (bar && (bar == rec->sql || bar[-1] == '\n')) {
        *bar = 0;
        rec->want = bar + 5;
    }
    return true;
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct strbuf text = STRBUF_INIT;
    char buf[65536];
    size_t n;
    if (!f) die(path);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        strbuf_add(&text, buf, n);
    fclose(f);
    strbuf_adds(&text, "\n");
    return text.s;
}

static void run_file(const struct options *o, const char *path, int *passed, int *failed)
{
    struct backend b = {.o = o};
    char command[128], *text = read_file(path), *at = text;
    struct record rec;
    int line = 1;
    snprintf(b.dir, sizeof b.dir, "/tmp/tessera-sql-XXXXXX");
    if (!mkdtemp(b.dir)) die("mkdtemp");
    open_backend(&b);
    while (next_record(&at, &line, &rec)) {
        if (run_record(&b, path, &rec))
            (*passed)++;
        else
            (*failed)++;
    }
    close_backend(&b);
    snprintf(command, sizeof command, "rm -rf %s", b.dir);
    if (system(command) != 0) die("rm");
    free(text);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    int passed = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--server") && i + 1 < argc)
            o.server = argv[++i];
        else if (!strcmp(argv[i], "--set") && i + 1 < argc && o.n_sets < 32)
            o.sets[o.n_sets++] = argv[++i];
        else
            run_file(&o, argv[i], &passed, &failed);
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
