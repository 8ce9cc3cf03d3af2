/* Where do statements come from: a terminal, standard input, or files within files? */
#include "client/shell.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <readline/history.h>
#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NESTING_MAX = 100, HISTORY_ENTRIES = 5000 };

/* What is being read. */
struct source {
    FILE *file;          /* NULL: the terminal */
    struct strbuf entry; /* typed since the last statement ended: one entry of the history */
    struct source *outer;
};
static struct source *current;

/* ---- lines ---- */
static char *read_line(FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, f);
    if (n < 0) {
        free(line);
        return NULL;
    }
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        line[--n] = 0;
    return line;
}

/* A key. Ctrl-C ends the line, which is then thrown away; it is let in only while poll waits, or it
 * could come between a look at `interrupted` and the wait, and be forgotten. */
static int read_key(FILE *f)
{
    struct pollfd p = {.fd = fileno(f), .events = POLLIN};
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before);
    while (!interrupted && ppoll(&p, 1, NULL, &before) < 0 && errno == EINTR) {
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (!interrupted) return rl_getc(f);
    fputs("^C", rl_outstream);
    return '\n';
}

char *input_line(struct shell *sh, const char *prompt)
{
    if (current && current->file) {
        char *line = read_line(current->file);
        if (line) sh->line++;
        return line;
    }
    if (!current) return NULL;
    fflush(sh->out);
    return readline(prompt);
}

static const char *prompt(const struct shell *sh, char *buf, size_t n)
{
    const char *name = sh->conn ? PQdb(sh->conn) : "";
    char state = sh->statement.len || sh->scanner.quote ? scan_prompt(&sh->scanner) : '=';
    const char *block = "";
    if (!sh->conn || PQstatus(sh->conn) != CONNECTION_OK) {
        state = '!';
    } else {
        PGTransactionStatusType t = PQtransactionStatus(sh->conn);
        block = t == PQTRANS_INTRANS ? "*" : t == PQTRANS_INERROR ? "!" : "";
    }
    snprintf(buf, n, "%s%c%s> ", name, state, block);
    return buf;
}

/* ---- history ---- */
static const char *history_path(char *buf, size_t n)
{
    const char *file = getenv("TESSERA_HISTORY"), *home = getenv("HOME");
    if (file)
        snprintf(buf, n, "%s", file);
    else if (home)
        snprintf(buf, n, "%s/.tessera_history", home);
    else
        return NULL;
    return buf[0] ? buf : NULL;
}

/* An entry of several lines is one line of the file, its line ends written as \x01. */
static void swap_history(char from, char to)
{
    HIST_ENTRY **all = history_list();
    for (int i = 0; all && all[i]; i++)
        for (char *p = all[i]->line; *p; p++)
            if (*p == from) *p = to;
}

static void history_open(void)
{
    char path[4096];
    using_history();
    stifle_history(HISTORY_ENTRIES);
    if (history_path(path, sizeof path)) read_history(path);
    swap_history('\x01', '\n');
}

static void history_save(void)
{
    char path[4096];
    if (!history_path(path, sizeof path)) return;
    swap_history('\n', '\x01');
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (fd >= 0) close(fd);
    write_history(path);
    swap_history('\x01', '\n');
}

static void history_end_entry(struct source *src)
{
    struct strbuf *e = &src->entry;
    while (e->len > 0 && strchr(" \t\n", e->s[e->len - 1]))
        e->s[--e->len] = 0;
    HIST_ENTRY *before = history_get(history_base + history_length - 1);
    if (e->len > 0 && (!before || strcmp(before->line, e->s) != 0)) add_history(e->s);
    strbuf_clear(e);
}

/* ---- statements ---- */
static void stop_on_error(struct shell *sh)
{
    if (sh->interactive || sh->quit || !vars_on(sh->vars, "ON_ERROR_STOP")) return;
    sh->quit = true;
    sh->status = EXIT_SCRIPT;
}

bool input_send(struct shell *sh)
{
    if (sh->statement.len > 0) {
        strbuf_release(&sh->last);
        sh->last = sh->statement;
        sh->statement = (struct strbuf)STRBUF_INIT;
    }
    scan_reset(&sh->scanner);
    return run_statement(sh, sh->last.s ? sh->last.s : "");
}

/* All statements and commands of a line. */
static void take_line(struct shell *sh, const char *text)
{
    struct strbuf line = STRBUF_INIT;
    strbuf_adds(&line, text);
    if (sh->statement.len > 0) strbuf_addc(&sh->statement, '\n');
    for (size_t at = 0; !sh->quit && !interrupted;) {
        enum scan_end end = scan_line(&sh->scanner, &line, &at, sh->vars, &sh->statement);
        if (end == SCAN_LINE) break;
        bool ok = end == SCAN_SEMICOLON ? input_send(sh) : run_command(sh, line.s, &at);
        if (!ok) stop_on_error(sh);
    }
    if (interrupted) {
        strbuf_clear(&sh->statement);
        scan_reset(&sh->scanner);
    }
    strbuf_release(&line);
}

void input_text(struct shell *sh, const char *text)
{
    struct strbuf line = STRBUF_INIT;
    while (*text && !sh->quit) {
        size_t n = strcspn(text, "\n");
        strbuf_clear(&line);
        strbuf_add(&line, text, n);
        take_line(sh, line.s ? line.s : "");
        text += n + (text[n] == '\n');
    }
    strbuf_release(&line);
}

static bool only_blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == 0;
}

enum exit_status input_file(struct shell *sh, FILE *f, const char *name)
{
    struct source src = {.file = f, .outer = current};
    const char *script = sh->script;
    long line_before = sh->line;
    char *line;
    current = &src;
    sh->script = name;
    sh->line = 0;
    bool first = true;
    while (!sh->quit && (line = input_line(sh, ""))) {
        const char *text = first && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        first = false;
        if (vars_are(sh->vars, "ECHO", "all")) fprintf(sh->out, "%s\n", text);
        take_line(sh, text);
        free(line);
        if (interrupted && !sh->interactive) {
            sh->quit = true;
            sh->status = EXIT_SCRIPT;
        }
        if (interrupted && sh->nesting) break;
    }
    /* The last statement needs no semicolon. */
    if (!sh->quit && !sh->interactive && sh->statement.len > 0 && !only_blank(sh->statement.s) &&
        !input_send(sh))
        stop_on_error(sh);
    current = src.outer;
    sh->script = script;
    sh->line = line_before;
    return sh->quit ? (enum exit_status)sh->status : EXIT_OK;
}

bool input_named(struct shell *sh, const char *path)
{
    struct stat st;
    bool standard = strcmp(path, "-") == 0;
    if (sh->nesting >= NESTING_MAX) {
        complain(sh, "\\i: more than %d files within each other\n", NESTING_MAX);
        return false;
    }
    FILE *f = standard ? stdin : fopen(path, "r");
    if (f && fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        f = NULL;
        errno = EISDIR;
    }
    if (!f) {
        if (!current) fputs("tessera: error: ", stderr);
        complain(sh, "%s: %s\n", path, strerror(errno));
        return false;
    }
    char *name = strdup(standard ? "<stdin>" : path);
    sh->nesting++;
    input_file(sh, f, name);
    sh->nesting--;
    free(name);
    if (!standard) fclose(f);
    return !sh->quit || sh->status == EXIT_OK;
}

enum exit_status input_terminal(struct shell *sh)
{
    struct source src = {0};
    char buf[256], *line;
    current = &src;
    rl_readline_name = "Tessera";
    rl_catch_signals = 0;
    rl_catch_sigwinch = 1;
    rl_getc_function = read_key;
    complete_init(sh);
    history_open();
    while (!sh->quit) {
        interrupted = 0;
        line = input_line(sh, prompt(sh, buf, sizeof buf));
        if (interrupted) {
            free(line);
            scan_reset(&sh->scanner);
            strbuf_clear(&sh->statement);
            strbuf_clear(&src.entry);
            continue;
        }
        if (!line) break;
        if (src.entry.len) strbuf_addc(&src.entry, '\n');
        strbuf_adds(&src.entry, line);
        bool bare = sh->statement.len == 0;
        if (bare && (strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0))
            sh->quit = true;
        else if (bare && strcmp(line, "help") == 0)
            help_commands(stdout);
        else
            take_line(sh, line);
        if (sh->statement.len == 0 && !sh->scanner.quote) history_end_entry(&src);
        free(line);
    }
    if (!sh->quit) puts("\\q");
    history_save();
    strbuf_release(&src.entry);
    current = NULL;
    return sh->quit ? (enum exit_status)sh->status : EXIT_OK;
}
