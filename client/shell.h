/* The shell's state, and what its parts ask of each other. One thread; a signal handler only sets
 * `interrupted` and asks the server to cancel. */
#ifndef TESSERA_CLIENT_SHELL_H
#define TESSERA_CLIENT_SHELL_H
#include "client/lines.h"
#include "client/print.h"
#include "client/vars.h"
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>

enum exit_status { EXIT_OK = 0, EXIT_FATAL = 1, EXIT_CONNECTION = 2, EXIT_SCRIPT = 3 };

/* Which server: the one of a data directory, started when none runs, or one at an address. */
struct target {
    const char *dir; /* NULL: host, port */
    const char *host, *port, *user, *dbname;
};

struct shell {
    PGconn *conn;
    struct target target;
    struct vars *vars;
    struct print_options print;
    bool boxes; /* tables on a terminal may be drawn as boxes that fit it */
    FILE *out;
    bool out_pipe;
    bool interactive; /* a person types: prompts, history, no exit on errors */
    bool timing;
    bool progress;      /* standard error is a terminal */
    const char *script; /* the file being read, for error messages; NULL: none */
    long line;
    int nesting; /* of \i */
    struct scanner scanner;
    struct strbuf statement, last; /* being entered; the one sent last */
    struct once {                  /* \g, \gx, \gset: for the next result only */
        char *to;                  /* file or |command; NULL: none */
        bool expanded, set;
        char *prefix; /* of the variables that \gset sets */
    } once;
    bool quit;
    int status; /* exit status when quit */
};

/* Set by SIGINT: everything that goes on ends. The terminal's loop clears it before it prompts. */
extern volatile int interrupted;

/* ---- connect.c ---- */
/* Connects (again); on failure says why and returns false. */
bool shell_connect(struct shell *sh);
/* Relative file names of statements start where the shell is. */
void shell_set_folder(struct shell *sh);

/* ---- run.c ---- */
void run_init(void); /* signals */
/* Sends a text of one or more statements and shows what comes back. Returns whether all went well;
 * when not, and ON_ERROR_STOP is set in a script, sh->quit is set. */
bool run_statement(struct shell *sh, const char *sql);
/* Between the two, Ctrl-C cancels what the connection does. */
void cancel_begin(struct shell *sh);
void cancel_end(void);
/* A query of the shell's own: its result, or NULL after saying why. Not timed, not shown. */
PGresult *run_quietly(struct shell *sh, const char *sql);
/* "tessera:file:line: " before what goes to standard error in a script. */
void say(struct shell *sh, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for a mistake that the shell has found. */
void complain(struct shell *sh, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The result as a table, into sh's output. */
void show_result(struct shell *sh, const PGresult *r, const char *title);
/* The options that hold now: with \gx, and a box where the output is a terminal. */
struct print_options effective_options(const struct shell *sh, FILE *out);
FILE *open_output(struct shell *sh, const char *to, bool *pipe);
void close_output(FILE *f, bool pipe);

/* ---- copy.c ---- */
/* Answers a COPY result: from the script's lines, standard input, or a file. NULL file: as the
 * statement says. */
bool copy_in(struct shell *sh, FILE *from);
bool copy_out(struct shell *sh, FILE *to);
bool command_copy(struct shell *sh, const char *args);

/* ---- input.c ---- */
/* Reads and runs statements and commands until the end; `name` NULL: standard input. */
enum exit_status input_file(struct shell *sh, FILE *f, const char *name);
bool input_named(struct shell *sh, const char *path); /* \i, -f */
enum exit_status input_terminal(struct shell *sh);
/* Sends what has been entered, or the last statement again; whether it went well. */
bool input_send(struct shell *sh);
/* Takes a text as if its lines had been typed. */
void input_text(struct shell *sh, const char *text);
/* A line of the file being read, or typed: for COPY FROM STDIN. NULL at the end; free() it. */
char *input_line(struct shell *sh, const char *prompt);

/* ---- commands.c ---- */
/* Runs the command at line[*at], a backslash, and moves *at behind it. Whether it went well. */
bool run_command(struct shell *sh, const char *line, size_t *at);
bool set_print_option(struct shell *sh, const char *name, const char *arg); /* \pset, -P */
/* All commands, for completion: "\\d", …; NULL ends them. */
const char *command_name(int i);

/* ---- describe.c ---- */
bool describe_array(struct shell *sh, const char *name);
bool list_arrays(struct shell *sh, const char *pattern);
bool list_dimensions(struct shell *sh, const char *pattern);
bool list_objects(struct shell *sh, const char *kind, const char *pattern);
bool list_databases(struct shell *sh);

/* ---- schedules.c ---- */
bool list_schedules(struct shell *sh, const char *pattern);
bool list_runs(struct shell *sh, const char *pattern);

/* ---- help.c ---- */
void help_commands(FILE *out);
void help_sql(FILE *out, const char *topic);
void help_options(FILE *out);

/* ---- complete.c ---- */
void complete_init(struct shell *sh);
/* What completion knows of the server's names is old. */
void complete_forget(void);

/* ---- progress.c ---- */
void progress_begin(struct shell *sh);
/* A report "done/total"; false: the text is no report. */
bool progress_report(const char *text);
void progress_end(void);

#endif
