/* What does a backslash command do? */
#include "client/shell.h"
#include <errno.h>
#include <limits.h>
#include <readline/history.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* A command being run: its name, and the rest of the line as far as it has been taken. */
struct call {
    struct shell *sh;
    char name[24];
    const char *line;
    size_t at;
};

/* ---- arguments ---- */
static void add_quoted(struct call *c, struct strbuf *out)
{
    for (c->at++; c->line[c->at] && c->line[c->at] != '\''; c->at++) {
        char ch = c->line[c->at];
        if (ch == '\\' && c->line[c->at + 1]) {
            ch = c->line[++c->at];
            ch = (char)(ch == 'n' ? '\n' : ch == 't' ? '\t' : ch == 'r' ? '\r' : ch);
        }
        strbuf_addc(out, ch);
        if (c->line[c->at] == '\'' && c->line[c->at + 1] == '\'') c->at++;
    }
    if (c->line[c->at]) c->at++;
}

/* `command`: what it prints, without the last line end. */
static void add_output(struct call *c, struct strbuf *out)
{
    struct strbuf command = STRBUF_INIT;
    for (c->at++; c->line[c->at] && c->line[c->at] != '`'; c->at++)
        strbuf_addc(&command, c->line[c->at]);
    if (c->line[c->at]) c->at++;
    fflush(NULL);
    FILE *f = popen(command.s ? command.s : "", "r");
    char part[4096];
    size_t n;
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        strbuf_add(out, part, n);
    if (f) pclose(f);
    if (out->len > 0 && out->s[out->len - 1] == '\n') out->s[--out->len] = 0;
    strbuf_release(&command);
}

/* The next argument, NULL when none is left; free() it. */
static char *argument(struct call *c)
{
    struct strbuf out = STRBUF_INIT;
    c->at += strspn(c->line + c->at, " \t");
    if (!c->line[c->at] || c->line[c->at] == '\\') return NULL;
    strbuf_adds(&out, "");
    while (c->line[c->at] && !strchr(" \t\\", c->line[c->at])) {
        const char *p = c->line + c->at;
        size_t n;
        if (*p == '\'') {
            add_quoted(c, &out);
        } else if (*p == '`') {
            add_output(c, &out);
        } else if (*p == '"') {
            n = strcspn(p + 1, "\"") + 1;
            n += p[n] == '"';
            strbuf_add(&out, p, n);
            c->at += n;
        } else if (*p == ':' && (n = scan_variable(p, c->sh->vars, &out)) > 0) {
            c->at += n;
        } else {
            strbuf_addc(&out, *p);
            c->at++;
        }
    }
    if (!out.s) strbuf_grow(&out, 1)[0] = 0;
    return out.s;
}

/* All that is left of the line, without blanks around it. */
static char *rest(struct call *c)
{
    c->at += strspn(c->line + c->at, " \t");
    size_t n = strlen(c->line + c->at);
    const char *from = c->line + c->at;
    c->at += n;
    while (n > 0 && strchr(" \t;", from[n - 1]))
        n--;
    char *s = strndup(from, n);
    if (!s) abort();
    return s;
}

static bool quiet(const struct shell *sh)
{
    return vars_on(sh->vars, "QUIET");
}

/* on, off, or the other of what it was; false: neither. */
static bool set_switch(struct shell *sh, const char *name, const char *arg, bool *value)
{
    static const char *const on[] = {"on", "true", "yes", "1"};
    static const char *const off[] = {"off", "false", "no", "0"};
    if (!arg) {
        *value = !*value;
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(arg, on[i]) == 0) return *value = true;
        if (strcasecmp(arg, off[i]) == 0) {
            *value = false;
            return true;
        }
    }
    complain(sh, "unrecognized value \"%s\" for \"%s\": Boolean expected\n", arg, name);
    return false;
}

/* ---- display ---- */
static void replace(char **text, const char *with)
{
    free(*text);
    *text = strdup(with);
    if (!*text) abort();
}

static bool set_expanded(struct shell *sh, const char *arg)
{
    static const char *const words[] = {"off", "on", "used automatically"};
    bool on = sh->print.expanded == EXPANDED_ON;
    if (arg && strcasecmp(arg, "auto") == 0) {
        sh->print.expanded = EXPANDED_AUTO;
    } else {
        if (!set_switch(sh, "expanded", arg, &on)) return false;
        sh->print.expanded = on ? EXPANDED_ON : EXPANDED_OFF;
    }
    if (!quiet(sh)) printf("Expanded display is %s.\n", words[sh->print.expanded]);
    return true;
}

static bool set_format(struct shell *sh, const char *arg)
{
    static const char *const names[] = {"aligned", "unaligned", "csv"};
    int found = -1;
    for (int i = 0; arg && i < 3; i++)
        if (strcasecmp(arg, names[i]) == 0) found = i;
    if (arg && found < 0) {
        complain(sh, "\\pset: allowed formats are aligned, csv, unaligned\n");
        return false;
    }
    if (arg) sh->print.format = (enum print_format)found;
    if (!quiet(sh)) printf("Output format is %s.\n", names[sh->print.format]);
    return true;
}

static bool set_border(struct shell *sh, const char *arg)
{
    if (arg) {
        sh->print.border = arg[0] >= '0' && arg[0] <= '2' ? arg[0] - '0' : 1;
        sh->boxes = false;
    }
    if (!quiet(sh)) printf("Border style is %d.\n", sh->print.border);
    return true;
}

static bool set_style(struct shell *sh, const char *arg)
{
    if (arg && strcasecmp(arg, "ascii") != 0 && strcasecmp(arg, "unicode") != 0) {
        complain(sh, "\\pset: allowed line styles are ascii, unicode\n");
        return false;
    }
    if (arg) {
        sh->print.style = strcasecmp(arg, "ascii") == 0 ? STYLE_ASCII : STYLE_UNICODE;
        sh->boxes = false;
    }
    if (!quiet(sh))
        printf("Line style is %s.\n", sh->print.style == STYLE_ASCII ? "ascii" : "unicode");
    return true;
}

static bool set_text(struct shell *sh, char **text, const char *label, const char *arg)
{
    if (arg) replace(text, arg);
    if (!quiet(sh)) {
        if (strcmp(*text, "\n") == 0)
            printf("%s is <newline>.\n", label);
        else
            printf("%s is \"%s\".\n", label, *text);
    }
    return true;
}

static bool set_tuples_only(struct shell *sh, const char *arg)
{
    if (!set_switch(sh, "tuples_only", arg, &sh->print.tuples_only)) return false;
    if (!quiet(sh)) printf("Tuples only is %s.\n", sh->print.tuples_only ? "on" : "off");
    return true;
}

static bool set_footer(struct shell *sh, const char *arg)
{
    if (!set_switch(sh, "footer", arg, &sh->print.footer)) return false;
    if (!quiet(sh)) printf("Default footer is %s.\n", sh->print.footer ? "on" : "off");
    return true;
}

static bool set_csv_separator(struct shell *sh, const char *arg)
{
    if (arg && (strlen(arg) != 1 || strchr("\"\r\n", arg[0]))) {
        complain(sh, "\\pset: csv_fieldsep must be a single one-byte character\n");
        return false;
    }
    if (arg) sh->print.csv_separator = arg[0];
    if (!quiet(sh)) printf("Field separator for CSV is \"%c\".\n", sh->print.csv_separator);
    return true;
}

bool set_print_option(struct shell *sh, const char *name, const char *arg)
{
    struct print_options *o = &sh->print;
    if (strcmp(name, "x") == 0 || strcmp(name, "expanded") == 0) return set_expanded(sh, arg);
    if (strcmp(name, "format") == 0) return set_format(sh, arg);
    if (strcmp(name, "border") == 0) return set_border(sh, arg);
    if (strcmp(name, "linestyle") == 0) return set_style(sh, arg);
    if (strcmp(name, "null") == 0) return set_text(sh, &o->null_text, "Null display", arg);
    if (strcmp(name, "fieldsep") == 0)
        return set_text(sh, &o->field_separator, "Field separator", arg);
    if (strcmp(name, "recordsep") == 0)
        return set_text(sh, &o->record_separator, "Record separator", arg);
    if (strcmp(name, "csv_fieldsep") == 0) return set_csv_separator(sh, arg);
    if (strcmp(name, "t") == 0 || strcmp(name, "tuples_only") == 0) return set_tuples_only(sh, arg);
    if (strcmp(name, "footer") == 0) return set_footer(sh, arg);
    if (strcmp(name, "pager") == 0) return true;
    complain(sh, "\\pset: unknown option: %s\n", name);
    return false;
}

static bool do_pset(struct call *c)
{
    static const char *const all[] = {"border",    "csv_fieldsep", "expanded",  "fieldsep",
                                      "footer",    "format",       "linestyle", "null",
                                      "recordsep", "tuples_only"};
    char *name = argument(c), *value = name ? argument(c) : NULL;
    bool ok = true;
    if (name) {
        ok = set_print_option(c->sh, name, value);
    } else {
        const struct print_options *o = &c->sh->print;
        const char *values[] = {NULL, NULL, NULL,         o->field_separator,  NULL,
                                NULL, NULL, o->null_text, o->record_separator, NULL};
        static const char *const formats[] = {"aligned", "unaligned", "csv"};
        static const char *const expanded[] = {"off", "on", "auto"};
        for (int i = 0; i < 10; i++) {
            printf("%-12s ", all[i]);
            if (values[i])
                printf("'%s'\n", strcmp(values[i], "\n") == 0 ? "\\n" : values[i]);
            else if (i == 0)
                printf("%d\n", o->border);
            else if (i == 1)
                printf("'%c'\n", o->csv_separator);
            else if (i == 2)
                printf("%s\n", expanded[o->expanded]);
            else if (i == 4)
                printf("%s\n", o->footer ? "on" : "off");
            else if (i == 5)
                printf("%s\n", formats[o->format]);
            else if (i == 6)
                printf("%s\n", o->style == STYLE_ASCII ? "ascii" : "unicode");
            else
                printf("%s\n", o->tuples_only ? "on" : "off");
        }
    }
    free(name);
    free(value);
    return ok;
}

static bool do_align(struct call *c)
{
    return set_format(c->sh, c->sh->print.format == PRINT_ALIGNED ? "unaligned" : "aligned");
}
static bool do_tuples(struct call *c)
{
    char *arg = argument(c);
    bool ok = set_tuples_only(c->sh, arg);
    free(arg);
    return ok;
}
static bool do_expanded(struct call *c)
{
    char *arg = argument(c);
    bool ok = set_expanded(c->sh, arg);
    free(arg);
    return ok;
}
static bool do_timing(struct call *c)
{
    char *arg = argument(c);
    bool ok = set_switch(c->sh, "\\timing", arg, &c->sh->timing);
    if (ok && !quiet(c->sh)) printf("Timing is %s.\n", c->sh->timing ? "on" : "off");
    free(arg);
    return ok;
}
static bool do_field_separator(struct call *c)
{
    char *arg = argument(c);
    bool ok = set_text(c->sh, &c->sh->print.field_separator, "Field separator", arg);
    free(arg);
    return ok;
}

/* ---- what is there ---- */
static bool do_describe(struct call *c)
{
    char *name = argument(c), what = c->name[1];
    bool ok;
    switch (what) {
    case 't':
        ok = list_arrays(c->sh, name);
        break;
    case 'i':
        ok = list_dimensions(c->sh, name);
        break;
    case 'v':
        ok = list_objects(c->sh, "view", name);
        break;
    case 'f':
        ok = list_objects(c->sh, "function", name);
        break;
    default:
        ok = name ? describe_array(c->sh, name) : list_arrays(c->sh, NULL);
    }
    free(name);
    return ok;
}
static bool do_schedules(struct call *c)
{
    char *name = argument(c);
    bool ok = c->name[0] == 'r' ? list_runs(c->sh, name) : list_schedules(c->sh, name);
    free(name);
    return ok;
}
static bool do_list(struct call *c)
{
    return list_databases(c->sh);
}
static bool do_conninfo(struct call *c)
{
    PGconn *conn = c->sh->conn;
    if (!conn) {
        puts("You are currently not connected to a server.");
    } else if (c->sh->target.dir) {
        printf("You are connected to the data directory \"%s\" as user \"%s\".\n",
               c->sh->target.dir, PQuser(conn));
    } else {
        const char *host = PQhost(conn);
        printf("You are connected to database \"%s\" as user \"%s\" %s \"%s\" at port \"%s\".\n",
               PQdb(conn), PQuser(conn), host[0] == '/' ? "via socket in" : "on host", host,
               PQport(conn));
    }
    return true;
}

/* ---- files ---- */
static bool do_copy(struct call *c)
{
    char *args = rest(c);
    bool ok = command_copy(c->sh, args);
    free(args);
    return ok;
}

/* \i, and \ir beside the file that says so. */
static bool do_include(struct call *c)
{
    char *path = argument(c);
    if (!path) {
        complain(c->sh, "\\%s: missing required argument\n", c->name);
        return false;
    }
    struct strbuf full = STRBUF_INIT;
    const char *slash = c->sh->script ? strrchr(c->sh->script, '/') : NULL;
    if (c->name[1] == 'r' && path[0] != '/' && slash)
        strbuf_add(&full, c->sh->script, (size_t)(slash - c->sh->script) + 1);
    strbuf_adds(&full, path);
    bool ok = input_named(c->sh, full.s);
    strbuf_release(&full);
    free(path);
    return ok;
}

static bool do_output(struct call *c)
{
    struct shell *sh = c->sh;
    c->at += strspn(c->line + c->at, " \t");
    char *to = c->line[c->at] == '|' ? rest(c) : argument(c);
    bool pipe = false;
    FILE *f = to ? open_output(sh, to, &pipe) : stdout;
    free(to);
    if (!f) return false;
    if (sh->out != stdout) close_output(sh->out, sh->out_pipe);
    sh->out = f;
    sh->out_pipe = pipe;
    return true;
}

static bool do_write(struct call *c)
{
    char *to = c->line[c->at + strspn(c->line + c->at, " \t")] == '|' ? rest(c) : argument(c);
    bool pipe;
    FILE *f = to ? open_output(c->sh, to, &pipe) : NULL;
    if (!to) complain(c->sh, "\\w: missing required argument\n");
    free(to);
    if (!f) return false;
    const struct strbuf *sql = c->sh->statement.len ? &c->sh->statement : &c->sh->last;
    fprintf(f, "%s\n", sql->s ? sql->s : "");
    close_output(f, pipe);
    return true;
}

static bool do_cd(struct call *c)
{
    char *dir = argument(c);
    const char *to = dir ? dir : getenv("HOME");
    bool ok = to && chdir(to) == 0;
    if (ok)
        shell_set_folder(c->sh);
    else
        complain(c->sh, "\\cd: could not change directory to \"%s\": %s\n", to ? to : "",
                 strerror(errno));
    free(dir);
    return ok;
}

static bool do_shell(struct call *c)
{
    char *command = rest(c);
    const char *shell = getenv("SHELL");
    fflush(NULL);
    int status = system(command[0] ? command : shell ? shell : "/bin/sh");
    free(command);
    return status == 0;
}

/* ---- variables and text ---- */
static bool do_set(struct call *c)
{
    struct shell *sh = c->sh;
    char *name = argument(c), *part;
    if (!name) {
        for (const char *v = NULL; (v = vars_next(sh->vars, v));)
            printf("%s = '%s'\n", v, vars_get(sh->vars, v));
        return true;
    }
    struct strbuf value = STRBUF_INIT;
    while ((part = argument(c))) {
        strbuf_adds(&value, part);
        free(part);
    }
    bool ok = vars_set(sh->vars, name, value.s ? value.s : "");
    if (!ok) complain(sh, "invalid variable name: \"%s\"\n", name);
    strbuf_release(&value);
    free(name);
    return ok;
}

static bool do_unset(struct call *c)
{
    char *name = argument(c);
    bool ok = name && vars_set(c->sh->vars, name, NULL);
    if (!name)
        complain(c->sh, "\\unset: missing required argument\n");
    else if (!ok)
        complain(c->sh, "invalid variable name: \"%s\"\n", name);
    free(name);
    return ok;
}

static bool do_echo(struct call *c)
{
    FILE *out = c->name[0] == 'q' ? c->sh->out : c->name[0] == 'w' ? stderr : stdout;
    char *word;
    bool first = true, line_end = true;
    while ((word = argument(c))) {
        if (first && line_end && strcmp(word, "-n") == 0) {
            line_end = false;
        } else {
            fprintf(out, "%s%s", first ? "" : " ", word);
            first = false;
        }
        free(word);
    }
    if (line_end) putc('\n', out);
    fflush(out);
    return true;
}

/* ---- statements ---- */
static bool do_go(struct call *c)
{
    struct shell *sh = c->sh;
    c->at += strspn(c->line + c->at, " \t");
    char *arg = c->line[c->at] == '|' ? rest(c) : argument(c);
    sh->once.expanded = strcmp(c->name, "gx") == 0;
    sh->once.set = strcmp(c->name, "gset") == 0;
    if (sh->once.set)
        sh->once.prefix = arg;
    else
        sh->once.to = arg;
    return input_send(sh);
}

static bool do_print(struct call *c)
{
    const struct strbuf *sql = c->sh->statement.len ? &c->sh->statement : &c->sh->last;
    puts(sql->len ? sql->s : "Query buffer is empty.");
    return true;
}

static bool do_reset(struct call *c)
{
    strbuf_clear(&c->sh->statement);
    scan_reset(&c->sh->scanner);
    if (!quiet(c->sh)) puts("Query buffer reset (cleared).");
    return true;
}

/* Repeats the statement until it fails or is interrupted. */
static bool do_watch(struct call *c)
{
    struct shell *sh = c->sh;
    char *arg = argument(c), when[64];
    double every = arg ? atof(arg) : 2;
    free(arg);
    if (every < 0.01) every = 1;
    if (sh->statement.len > 0) {
        strbuf_release(&sh->last);
        sh->last = sh->statement;
        sh->statement = (struct strbuf)STRBUF_INIT;
        scan_reset(&sh->scanner);
    }
    if (sh->last.len == 0) {
        complain(sh, "\\watch cannot be used with an empty query\n");
        return false;
    }
    bool ok = true;
    while (ok && !interrupted) {
        time_t now = time(NULL);
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(when, sizeof when, "%a %b %e %H:%M:%S %Y", &tm);
        fprintf(sh->out, "%s (every %gs)\n\n", when, every);
        ok = run_statement(sh, sh->last.s);
        struct timespec t = {(time_t)every, (long)((every - (double)(time_t)every) * 1e9)};
        if (ok && !interrupted) nanosleep(&t, NULL);
    }
    if (interrupted && sh->interactive) putchar('\n');
    return ok;
}

/* The statement in an editor, then as if it had been typed. */
static bool do_edit(struct call *c)
{
    struct shell *sh = c->sh;
    const char *editor = getenv("EDITOR");
    char *file = argument(c), own[] = "/tmp/tessera-edit-XXXXXX.sql";
    int fd = file ? -1 : mkstemps(own, 4);
    const char *path = file ? file : own;
    bool ok = file || fd >= 0;
    if (fd >= 0) {
        const struct strbuf *sql = sh->statement.len ? &sh->statement : &sh->last;
        ok = sql->len == 0 || write(fd, sql->s, sql->len) == (ssize_t)sql->len;
        close(fd);
    }
    struct strbuf command = STRBUF_INIT, text = STRBUF_INIT;
    if (getenv("VISUAL")) editor = getenv("VISUAL");
    strbuf_addf(&command, "%s '%s'", editor ? editor : "vi", path);
    fflush(NULL);
    ok = ok && system(command.s) == 0;
    FILE *f = ok ? fopen(path, "r") : NULL;
    char part[4096];
    size_t n;
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        strbuf_add(&text, part, n);
    if (f) fclose(f);
    if (!file) unlink(own);
    strbuf_clear(&sh->statement);
    scan_reset(&sh->scanner);
    if (text.len > 0) input_text(sh, text.s);
    strbuf_release(&text);
    strbuf_release(&command);
    free(file);
    return ok;
}

static bool do_history(struct call *c)
{
    (void)c;
    HIST_ENTRY **all = history_list();
    for (int i = 0; all && all[i]; i++)
        puts(all[i]->line);
    return true;
}

static bool do_quit(struct call *c)
{
    c->sh->quit = true;
    c->sh->status = EXIT_OK;
    return true;
}

static bool do_help_sql(struct call *c)
{
    char *topic = rest(c);
    help_sql(stdout, topic[0] ? topic : NULL);
    free(topic);
    return true;
}

static bool do_help(struct call *c)
{
    char *what = rest(c);
    if (strcmp(what, "options") == 0)
        help_options(stdout);
    else
        help_commands(stdout);
    free(what);
    return true;
}

static const struct command {
    const char *name;
    bool (*run)(struct call *c);
} commands[] = {
    {"\\!", do_shell},
    {"\\?", do_help},
    {"\\a", do_align},
    {"\\cd", do_cd},
    {"\\conninfo", do_conninfo},
    {"\\copy", do_copy},
    {"\\d", do_describe},
    {"\\df", do_describe},
    {"\\di", do_describe},
    {"\\dt", do_describe},
    {"\\dv", do_describe},
    {"\\e", do_edit},
    {"\\echo", do_echo},
    {"\\edit", do_edit},
    {"\\f", do_field_separator},
    {"\\g", do_go},
    {"\\gset", do_go},
    {"\\gx", do_go},
    {"\\h", do_help_sql},
    {"\\help", do_help_sql},
    {"\\i", do_include},
    {"\\include", do_include},
    {"\\ir", do_include},
    {"\\l", do_list},
    {"\\list", do_list},
    {"\\o", do_output},
    {"\\out", do_output},
    {"\\p", do_print},
    {"\\print", do_print},
    {"\\pset", do_pset},
    {"\\q", do_quit},
    {"\\qecho", do_echo},
    {"\\quit", do_quit},
    {"\\r", do_reset},
    {"\\reset", do_reset},
    {"\\runs", do_schedules},
    {"\\s", do_history},
    {"\\schedules", do_schedules},
    {"\\set", do_set},
    {"\\t", do_tuples},
    {"\\timing", do_timing},
    {"\\unset", do_unset},
    {"\\w", do_write},
    {"\\warn", do_echo},
    {"\\watch", do_watch},
    {"\\write", do_write},
    {"\\x", do_expanded},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

const char *command_name(int i)
{
    return i < N_COMMANDS ? commands[i].name : NULL;
}

bool run_command(struct shell *sh, const char *line, size_t *at)
{
    struct call c = {.sh = sh, .line = line, .at = *at + 1};
    if (line[c.at] == '\\') { /* \\ stands between commands */
        *at = c.at + 1;
        return true;
    }
    size_t n = strcspn(line + c.at, " \t\\");
    if (line[c.at] == '!' || line[c.at] == '?') n = 1;
    snprintf(c.name, sizeof c.name, "%.*s", (int)n, line + c.at);
    c.at += n;
    if (c.name[0] == 'd' || c.name[0] == 'l') /* \d+ shows no more than \d: it shows all */
        c.name[strcspn(c.name, "+S")] = 0;
    bool ok = false, known = false;
    for (int i = 0; i < N_COMMANDS && !known; i++) {
        if (strcmp(commands[i].name + 1, c.name) != 0) continue;
        known = true;
        ok = commands[i].run(&c);
    }
    if (!known) {
        complain(sh, "invalid command \\%.*s\n", (int)n, line + *at + 1);
        if (sh->interactive) fputs("Try \\? for help.\n", stderr);
        c.at += strlen(line + c.at);
    }
    for (char *extra; (extra = argument(&c)); free(extra))
        say(sh, "\\%s: extra argument \"%s\" ignored\n", c.name, extra);
    if (line[c.at] == '\\' && line[c.at + 1] == '\\') c.at += 2;
    *at = c.at;
    fflush(stdout);
    return ok;
}
