/* tessera, the shell: options, and what is done with them. */
#include "client/shell.h"
#include "client/width.h"
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ACTIONS_MAX = 1000 };

struct options {
    struct action { /* -c or -f, in order */
        char kind;
        const char *text;
    } * actions;
    int n_actions;
    const char *output;
    bool list, single_transaction, no_startup_file, plain; /* plain: no boxes */
};

enum { OPT_CSV = 256, OPT_HELP };
static const struct option long_options[] = {
    {"echo-all", no_argument, NULL, 'a'},
    {"no-align", no_argument, NULL, 'A'},
    {"echo-errors", no_argument, NULL, 'b'},
    {"command", required_argument, NULL, 'c'},
    {"dbname", required_argument, NULL, 'd'},
    {"echo-queries", no_argument, NULL, 'e'},
    {"file", required_argument, NULL, 'f'},
    {"field-separator", required_argument, NULL, 'F'},
    {"host", required_argument, NULL, 'h'},
    {"list", no_argument, NULL, 'l'},
    {"no-readline", no_argument, NULL, 'n'},
    {"output", required_argument, NULL, 'o'},
    {"port", required_argument, NULL, 'p'},
    {"pset", required_argument, NULL, 'P'},
    {"quiet", no_argument, NULL, 'q'},
    {"record-separator", required_argument, NULL, 'R'},
    {"set", required_argument, NULL, 'v'},
    {"variable", required_argument, NULL, 'v'},
    {"tuples-only", no_argument, NULL, 't'},
    {"username", required_argument, NULL, 'U'},
    {"version", no_argument, NULL, 'V'},
    {"no-password", no_argument, NULL, 'w'},
    {"password", no_argument, NULL, 'W'},
    {"expanded", no_argument, NULL, 'x'},
    {"no-psqlrc", no_argument, NULL, 'X'},
    {"single-transaction", no_argument, NULL, '1'},
    {"csv", no_argument, NULL, OPT_CSV},
    {"help", optional_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void add_action(struct options *o, char kind, const char *text)
{
    if (o->n_actions == ACTIONS_MAX) {
        fputs("tessera: error: too many -c and -f\n", stderr);
        exit(EXIT_FATAL);
    }
    o->actions[o->n_actions++] = (struct action){kind, text};
}

/* name=value, or a name alone. */
static bool split_assignment(const char *text, char *name, size_t n, const char **value)
{
    size_t len = strcspn(text, "=");
    if (len >= n) return false;
    memcpy(name, text, len);
    name[len] = 0;
    *value = text[len] ? text + len + 1 : NULL;
    return true;
}

static void set_variable(struct shell *sh, const char *text)
{
    char name[128];
    const char *value;
    if (split_assignment(text, name, sizeof name, &value) && vars_set(sh->vars, name, value))
        return;
    fprintf(stderr, "tessera: error: could not set variable \"%s\"\n", text);
    exit(EXIT_FATAL);
}

static void set_display(struct shell *sh, const char *text)
{
    char name[128];
    const char *value;
    bool was_quiet = vars_on(sh->vars, "QUIET");
    vars_set(sh->vars, "QUIET", "on");
    bool ok =
        split_assignment(text, name, sizeof name, &value) && set_print_option(sh, name, value);
    if (!was_quiet) vars_set(sh->vars, "QUIET", NULL);
    if (ok) return;
    fprintf(stderr, "tessera: error: could not set printing parameter \"%s\"\n", text);
    exit(EXIT_FATAL);
}

static void set_text(char **text, const char *with)
{
    free(*text);
    *text = strdup(with);
    if (!*text) abort();
}

/* How results look; true: one of these. */
static bool format_option(struct shell *sh, struct options *o, int opt, const char *arg)
{
    switch (opt) {
    case 'A':
        sh->print.format = PRINT_UNALIGNED;
        break;
    case OPT_CSV:
        sh->print.format = PRINT_CSV;
        break;
    case 't':
        sh->print.tuples_only = true;
        break;
    case 'x':
        sh->print.expanded = EXPANDED_ON;
        break;
    case 'F':
        set_text(&sh->print.field_separator, arg);
        break;
    case 'R':
        set_text(&sh->print.record_separator, arg);
        break;
    case 'P':
        set_display(sh, arg);
        break;
    default:
        return false;
    }
    if (opt == 't' || opt == 'A' || opt == OPT_CSV) o->plain = true;
    return true;
}

static void option(struct shell *sh, struct options *o, int opt, const char *arg)
{
    switch (opt) {
    case 'a':
        vars_set(sh->vars, "ECHO", "all");
        break;
    case 'b':
        vars_set(sh->vars, "ECHO", "errors");
        break;
    case 'e':
        vars_set(sh->vars, "ECHO", "queries");
        break;
    case 'c':
    case 'f':
        add_action(o, (char)opt, arg);
        break;
    case 'd':
        sh->target.dbname = arg;
        break;
    case 'h':
        sh->target.host = arg;
        break;
    case 'l':
        o->list = true;
        break;
    case 'o':
        o->output = arg;
        break;
    case 'p':
        sh->target.port = arg;
        break;
    case 'q':
        vars_set(sh->vars, "QUIET", "on");
        break;
    case 'U':
        sh->target.user = arg;
        break;
    case 'v':
        set_variable(sh, arg);
        break;
    case 'X':
        o->no_startup_file = true;
        break;
    case '1':
        o->single_transaction = true;
        break;
    case 'n':
    case 'w':
    case 'W':
        break;
    case 'V':
        puts("tessera (Tessera) 0.1");
        exit(EXIT_OK);
    case OPT_HELP:
        if (arg && strcmp(arg, "commands") == 0)
            help_commands(stdout);
        else
            help_options(stdout);
        exit(EXIT_OK);
    default:
        fputs("Try \"tessera --help\" for more information.\n", stderr);
        exit(EXIT_FATAL);
    }
}

/* The words behind the options: a data directory, or, with a host, database and user. */
static void take_words(struct shell *sh, int n, char **words)
{
    struct target *t = &sh->target;
    if (!t->host && !getenv("PGHOST")) {
        if (n == 0) {
            fputs("tessera: error: say which database: tessera DIR, or tessera -h HOST\n"
                  "Try \"tessera --help\" for more information.\n",
                  stderr);
            exit(EXIT_FATAL);
        }
        t->dir = words[0];
        words++;
        n--;
    } else {
        if (n > 0 && !t->dbname) t->dbname = words[0], words++, n--;
        if (n > 0 && !t->user) t->user = words[0], words++, n--;
    }
    for (int i = 0; i < n; i++)
        fprintf(stderr, "tessera: warning: extra command-line argument \"%s\" ignored\n", words[i]);
}

/* A directory's database is called like the directory. */
static void name_database(struct target *t)
{
    static char path[PATH_MAX];
    if (!t->dir || t->dbname) return;
    t->dbname = "tessera";
    /* It may not exist yet: without following links. */
    snprintf(path, sizeof path, "%s", t->dir);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        path[--n] = 0;
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (name[0] && name[0] != '.') t->dbname = name;
}

/* ---- the work ---- */
static int run_actions(struct shell *sh, const struct options *o)
{
    int status = EXIT_OK;
    bool failed = false;
    if (o->single_transaction) PQclear(run_quietly(sh, "BEGIN"));
    for (int i = 0; i < o->n_actions && !sh->quit && !interrupted; i++) {
        const struct action *a = &o->actions[i];
        size_t at = 0;
        bool ok = true;
        if (a->kind == 'f')
            ok = input_named(sh, a->text);
        else if (a->text[0] == '\\')
            ok = run_command(sh, a->text, &at);
        else
            ok = run_statement(sh, a->text);
        failed = failed || !ok;
        status = ok ? EXIT_OK : EXIT_FATAL;
        if (!ok && (vars_on(sh->vars, "ON_ERROR_STOP") || o->single_transaction)) break;
    }
    if (o->single_transaction && sh->conn)
        PQclear(run_quietly(sh, failed || (sh->quit && sh->status) ? "ROLLBACK" : "COMMIT"));
    return sh->quit && sh->status ? sh->status : status;
}

static void startup_file(struct shell *sh)
{
    char path[PATH_MAX];
    const char *home = getenv("HOME");
    if (!home) return;
    snprintf(path, sizeof path, "%s/.tesserarc", home);
    if (access(path, R_OK) == 0) input_named(sh, path);
}

static int work(struct shell *sh, const struct options *o)
{
    if (!shell_connect(sh)) return EXIT_CONNECTION;
    if (o->output) {
        FILE *f = open_output(sh, o->output, &sh->out_pipe);
        if (!f) return EXIT_FATAL;
        sh->out = f;
    }
    if (o->list) return list_databases(sh) ? EXIT_OK : EXIT_FATAL;
    if (!o->no_startup_file) startup_file(sh);
    if (o->n_actions) return run_actions(sh, o);
    if (!sh->interactive) {
        struct action script = {'f', "-"};
        if (o->single_transaction)
            return run_actions(
                sh,
                &(struct options){.actions = &script, .n_actions = 1, .single_transaction = true});
        return (int)input_file(sh, stdin, NULL);
    }
    if (!vars_on(sh->vars, "QUIET"))
        printf("tessera 0.1, connected to %s\nType \"help\" for help.\n\n",
               sh->target.dir ? sh->target.dir : PQhost(sh->conn));
    return (int)input_terminal(sh);
}

int main(int argc, char **argv)
{
    struct shell sh = {.out = stdout, .boxes = true};
    struct options o = {.actions = calloc(ACTIONS_MAX, sizeof *o.actions)};
    int opt;
    if (!o.actions) abort();
    width_init();
    sh.vars = vars_new();
    print_options_init(&sh.print);
    while ((opt = getopt_long(argc, argv, "aAbc:d:ef:F:h:lno:p:P:qR:tU:v:VwWxX1", long_options,
                              NULL)) != -1)
        if (opt == '?' && strcmp(argv[optind - 1], "-?") == 0)
            option(&sh, &o, OPT_HELP, NULL);
        else if (!format_option(&sh, &o, opt, optarg))
            option(&sh, &o, opt, optarg);
    take_words(&sh, argc - optind, argv + optind);
    name_database(&sh.target);
    sh.interactive = !o.n_actions && !o.list && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    sh.boxes = !o.plain;
    sh.progress = isatty(STDERR_FILENO) != 0;
    run_init();
    int status = work(&sh, &o);
    if (sh.conn) PQfinish(sh.conn);
    if (sh.out != stdout)
        close_output(sh.out, sh.out_pipe);
    else if (fflush(stdout) != 0 && status == EXIT_OK)
        status = EXIT_FATAL;
    vars_free(sh.vars);
    print_options_release(&sh.print);
    strbuf_release(&sh.statement);
    strbuf_release(&sh.last);
    complete_forget();
    free(o.actions);
    return status;
}
