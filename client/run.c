/* What happens to a statement: it is sent, waited for, and its results are shown. */
#include "client/shell.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

volatile int interrupted;
/* Of the statement that runs; the handler may use it. */
static PGcancel *volatile running;

static void on_interrupt(int sig)
{
    (void)sig;
    int saved = errno;
    char why[256];
    interrupted = 1;
    if (running) PQcancel(running, why, sizeof why);
    errno = saved;
}

void cancel_begin(struct shell *sh)
{
    running = PQgetCancel(sh->conn);
}

void cancel_end(void)
{
    PGcancel *done = running;
    running = NULL;
    PQfreeCancel(done);
}

void run_init(void)
{
    struct sigaction act = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &act, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void say_where(struct shell *sh)
{
    progress_end();
    fflush(sh->out);
    if (sh->script) fprintf(stderr, "tessera:%s:%ld: ", sh->script, sh->line);
}

void say(struct shell *sh, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_where(sh);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void complain(struct shell *sh, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_where(sh);
    if (sh->script) fputs("error: ", stderr);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

/* ---- output ---- */
FILE *open_output(struct shell *sh, const char *to, bool *pipe)
{
    *pipe = to[0] == '|';
    FILE *f = *pipe ? popen(to + 1, "w") : fopen(to, "w");
    if (!f) complain(sh, "%s: %s\n", to, strerror(errno));
    return f;
}

void close_output(FILE *f, bool pipe)
{
    if (pipe)
        pclose(f);
    else
        fclose(f);
}

struct print_options effective_options(const struct shell *sh, FILE *out)
{
    struct print_options o = sh->print;
    struct winsize size;
    if (sh->once.expanded) o.expanded = EXPANDED_ON;
    if (sh->boxes && isatty(fileno(out)) && o.format == PRINT_ALIGNED && !o.tuples_only) {
        o.style = STYLE_UNICODE;
        o.border = 2;
        o.color = !getenv("NO_COLOR");
        if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0) o.fit_columns = size.ws_col;
    }
    return o;
}

/* ---- results ---- */
struct result_rows {
    const PGresult *r;
};

static const char *result_cell(void *self, int64_t row, int col)
{
    const struct result_rows *rows = self;
    return PQgetisnull(rows->r, (int)row, col) ? NULL : PQgetvalue(rows->r, (int)row, col);
}

/* Numbers stand to the right. */
static char alignment(Oid type)
{
    static const Oid numbers[] = {20, 21, 23, 26, 28, 29, 700, 701, 790, 1700, 5069};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == type) return 'r';
    return 'l';
}

struct columns {
    int n;
    char **names, *align;
};

static struct columns columns_of(const PGresult *r)
{
    int n = PQnfields(r);
    struct columns c = {n, calloc((size_t)n + 1, sizeof *c.names), calloc((size_t)n + 1, 1)};
    if (!c.names || !c.align) abort();
    for (int i = 0; i < n; i++) {
        c.names[i] = strdup(PQfname(r, i));
        if (!c.names[i]) abort();
        c.align[i] = alignment(PQftype(r, i));
    }
    return c;
}

static void columns_free(struct columns c)
{
    for (int i = 0; i < c.n; i++)
        free(c.names[i]);
    free(c.names);
    free(c.align);
}

static void print_result(struct shell *sh, FILE *out, const PGresult *r, const char *title)
{
    struct columns c = columns_of(r);
    struct result_rows rows = {r};
    struct table t = {.title = title,
                      .n_cols = PQnfields(r),
                      .names = (const char *const *)c.names,
                      .align = c.align,
                      .n_rows = PQntuples(r),
                      .cell = result_cell,
                      .self = &rows};
    struct print_options o = effective_options(sh, out);
    print_table(out, &o, &t, &interrupted);
    fflush(out);
    columns_free(c);
}

void show_result(struct shell *sh, const PGresult *r, const char *title)
{
    print_result(sh, sh->out, r, title);
}

/* \gset: the row's columns as variables. */
static bool set_variables(struct shell *sh, const PGresult *r)
{
    int n = PQntuples(r);
    if (n != 1) {
        complain(sh,
                 n ? "more than one row returned for \\gset\n" : "no rows returned for \\gset\n");
        return false;
    }
    bool ok = true;
    for (int i = 0; ok && i < PQnfields(r); i++) {
        struct strbuf name = STRBUF_INIT;
        strbuf_addf(&name, "%s%s", sh->once.prefix ? sh->once.prefix : "", PQfname(r, i));
        ok = vars_set(sh->vars, name.s, PQgetisnull(r, 0, i) ? NULL : PQgetvalue(r, 0, i));
        if (!ok) complain(sh, "invalid variable name: \"%s\"\n", name.s);
        strbuf_release(&name);
    }
    return ok;
}

static void show_error(struct shell *sh, const PGresult *r)
{
    const char *text = r ? PQresultErrorMessage(r) : PQerrorMessage(sh->conn);
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    vars_set(sh->vars, "ERROR", "true");
    vars_set(sh->vars, "SQLSTATE", state ? state : "");
    vars_set(sh->vars, "LAST_ERROR_SQLSTATE", state ? state : "");
    vars_set(sh->vars, "LAST_ERROR_MESSAGE", primary ? primary : text);
    if (text[0]) say(sh, "%s", text);
}

/* ---- one statement ---- */
struct run {
    struct shell *sh;
    FILE *out;
    bool out_pipe, own_out;
    bool ok;
    bool copied_here; /* COPY's bytes are the output: no tag below them */
    /* rows that are printed as they come */
    bool streaming, begun;
    struct print_options options;
    struct table table;
    struct columns columns;
    const char **cells;
};

/* Waits until the next result can be had without blocking. */
static void wait_for_result(struct shell *sh)
{
    while (PQisBusy(sh->conn)) {
        struct pollfd p = {.fd = PQsocket(sh->conn), .events = POLLIN};
        if (p.fd < 0) return;
        if (poll(&p, 1, -1) < 0 && errno != EINTR) return;
        if (p.revents && !PQconsumeInput(sh->conn)) return;
    }
}

static void stream_rows(struct run *run, const PGresult *r)
{
    if (!run->begun) {
        run->columns = columns_of(r);
        run->table = (struct table){.n_cols = run->columns.n,
                                    .names = (const char *const *)run->columns.names};
        run->options = effective_options(run->sh, run->out);
        run->cells = calloc((size_t)run->columns.n + 1, sizeof *run->cells);
        if (!run->cells) abort();
        print_rows_begin(run->out, &run->options, &run->table);
        run->begun = true;
    }
    for (int k = 0; k < PQntuples(r) && !interrupted; k++) {
        for (int i = 0; i < PQnfields(r); i++)
            run->cells[i] = PQgetisnull(r, k, i) ? NULL : PQgetvalue(r, k, i);
        print_row(run->out, &run->options, &run->table, run->cells);
    }
}

static void end_stream(struct run *run, bool whole)
{
    if (!run->begun) return;
    if (whole) print_rows_end(run->out, &run->options, &run->table);
    fflush(run->out);
    columns_free(run->columns);
    free(run->cells);
    run->begun = false;
}

static void show_tag(struct run *run, PGresult *r)
{
    struct shell *sh = run->sh;
    const char *tag = PQcmdStatus(r);
    vars_set(sh->vars, "ROW_COUNT", PQcmdTuples(r)[0] ? PQcmdTuples(r) : "0");
    if (!vars_on(sh->vars, "QUIET") && tag[0] && !sh->print.tuples_only) {
        fprintf(run->out, "%s\n", tag);
        fflush(run->out);
    }
    if (strncmp(tag, "CREATE", 6) == 0 || strncmp(tag, "DROP", 4) == 0 ||
        strncmp(tag, "ALTER", 5) == 0)
        complete_forget();
}

/* RETURNING: what was done is said after the rows, as psql does. */
static bool changes_data(const char *tag)
{
    return strncmp(tag, "INSERT", 6) == 0 || strncmp(tag, "UPDATE", 6) == 0 ||
           strncmp(tag, "DELETE", 6) == 0;
}

static void take_result(struct run *run, PGresult *r)
{
    struct shell *sh = run->sh;
    char count[24];
    progress_end();
    switch (PQresultStatus(r)) {
    case PGRES_TUPLES_OK:
        snprintf(count, sizeof count, "%d", PQntuples(r));
        if (run->streaming) {
            stream_rows(run, r);
            end_stream(run, true);
        } else if (sh->once.set)
            run->ok = set_variables(sh, r) && run->ok;
        else
            print_result(sh, run->out, r, NULL);
        vars_set(sh->vars, "ROW_COUNT", PQcmdTuples(r)[0] ? PQcmdTuples(r) : count);
        if (changes_data(PQcmdStatus(r))) show_tag(run, r);
        break;
    case PGRES_SINGLE_TUPLE:
        stream_rows(run, r);
        break;
    case PGRES_COMMAND_OK:
        if (!run->copied_here) show_tag(run, r);
        run->copied_here = false;
        break;
    case PGRES_COPY_OUT:
        run->ok = copy_out(sh, run->out) && run->ok;
        run->copied_here = !run->own_out;
        break;
    case PGRES_COPY_IN:
        run->ok = copy_in(sh, NULL) && run->ok;
        break;
    case PGRES_EMPTY_QUERY:
        break;
    default:
        end_stream(run, false);
        show_error(sh, r);
        run->ok = false;
    }
}

static bool open_run(struct run *run)
{
    struct shell *sh = run->sh;
    run->out = sh->out;
    run->out_pipe = sh->out_pipe;
    if (sh->once.to) {
        run->out = open_output(sh, sh->once.to, &run->out_pipe);
        run->own_out = run->out != NULL;
        if (!run->out) return false;
    }
    struct print_options o = effective_options(sh, run->out);
    run->streaming = !sh->once.set && print_can_stream(&o);
    return true;
}

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void show_time(struct shell *sh, double seconds)
{
    fprintf(sh->out, "Time: %.3f ms", seconds * 1e3);
    if (seconds >= 1) {
        int whole = (int)seconds, minutes = whole / 60, hours = minutes / 60;
        double rest = seconds - 60.0 * minutes;
        if (hours)
            fprintf(sh->out, " (%02d:%02d:%06.3f)", hours, minutes % 60, rest);
        else
            fprintf(sh->out, " (%02d:%06.3f)", minutes, rest);
    }
    fputc('\n', sh->out);
    fflush(sh->out);
}

/* Sends the text and shows every result. */
static bool exchange(struct run *run, const char *sql)
{
    struct shell *sh = run->sh;
    PGresult *r;
    cancel_begin(sh);
    if (!PQsendQuery(sh->conn, sql)) {
        show_error(sh, NULL);
        run->ok = false;
    } else {
        if (run->streaming) PQsetSingleRowMode(sh->conn);
        progress_begin(sh);
        while (wait_for_result(sh), (r = PQgetResult(sh->conn))) {
            take_result(run, r);
            PQclear(r);
        }
        progress_end();
    }
    cancel_end();
    return run->ok;
}

/* What the server has sent of NOTIFY meanwhile, as psql says it. */
static void show_notifications(struct shell *sh)
{
    PGnotify *n;
    while (sh->conn && PQconsumeInput(sh->conn) && (n = PQnotifies(sh->conn))) {
        fprintf(sh->out, "Asynchronous notification \"%s\" ", n->relname);
        if (n->extra[0]) fprintf(sh->out, "with payload \"%s\" ", n->extra);
        fprintf(sh->out, "received from server process with PID %d.\n", n->be_pid);
        fflush(sh->out);
        PQfreemem(n);
    }
}

static void forget_once(struct shell *sh)
{
    free(sh->once.to);
    free(sh->once.prefix);
    sh->once = (struct once){0};
}

/* After the connection broke: a new one when somebody sits there, else the end. */
static void reconnect(struct shell *sh)
{
    if (PQstatus(sh->conn) == CONNECTION_OK) return;
    if (!sh->interactive) {
        say(sh, "connection to server was lost\n");
        sh->quit = true;
        sh->status = EXIT_CONNECTION;
        return;
    }
    fputs("The connection to the server was lost. Attempting reset: ", stderr);
    PQfinish(sh->conn);
    sh->conn = NULL;
    bool again = shell_connect(sh);
    fputs(again ? "Succeeded.\n" : "Failed.\n", stderr);
}

/* How much an error says: \set VERBOSITY terse, verbose or sqlstate. */
static void set_verbosity(struct shell *sh)
{
    PQsetErrorVerbosity(sh->conn, vars_are(sh->vars, "VERBOSITY", "terse")      ? PQERRORS_TERSE
                                  : vars_are(sh->vars, "VERBOSITY", "verbose")  ? PQERRORS_VERBOSE
                                  : vars_are(sh->vars, "VERBOSITY", "sqlstate") ? PQERRORS_SQLSTATE
                                                                                : PQERRORS_DEFAULT);
}

bool run_statement(struct shell *sh, const char *sql)
{
    struct run run = {.sh = sh, .ok = true};
    struct timespec start;
    if (!sh->conn && !shell_connect(sh)) {
        forget_once(sh);
        return false;
    }
    if (vars_are(sh->vars, "ECHO", "queries")) {
        fprintf(sh->out, "%s\n", sql);
        fflush(sh->out);
    }
    set_verbosity(sh);
    vars_set(sh->vars, "ERROR", "false");
    vars_set(sh->vars, "SQLSTATE", "00000");
    if (open_run(&run)) {
        clock_gettime(CLOCK_MONOTONIC, &start);
        exchange(&run, sql);
        if (run.own_out) close_output(run.out, run.out_pipe);
        if (sh->timing) show_time(sh, seconds_since(&start));
        if (!run.ok && vars_are(sh->vars, "ECHO", "errors")) say(sh, "STATEMENT:  %s\n", sql);
        show_notifications(sh);
    } else {
        run.ok = false;
    }
    forget_once(sh);
    reconnect(sh);
    return run.ok;
}

PGresult *run_quietly(struct shell *sh, const char *sql)
{
    if (!sh->conn && !shell_connect(sh)) return NULL;
    cancel_begin(sh);
    PGresult *r = PQexec(sh->conn, sql);
    cancel_end();
    if (PQresultStatus(r) == PGRES_TUPLES_OK || PQresultStatus(r) == PGRES_COMMAND_OK) return r;
    show_error(sh, r);
    PQclear(r);
    return NULL;
}
