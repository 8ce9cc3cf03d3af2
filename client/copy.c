/* How do COPY's bytes get to and from the server? */
#include "client/shell.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_BYTES = 256 * 1024 };

static bool copy_failed(struct shell *sh)
{
    say(sh, "%s", PQerrorMessage(sh->conn));
    return false;
}

/* Lines of the script that COPY stands in (or typed ones), up to a line "\.". */
static bool copy_lines(struct shell *sh)
{
    if (sh->interactive && !sh->script)
        puts("Enter data to be copied followed by a newline.\n"
             "End with a backslash and a period on a line by itself, or an EOF signal.");
    for (;;) {
        char *line = input_line(sh, ">> ");
        if (!line || interrupted || strcmp(line, "\\.") == 0) {
            free(line);
            return !interrupted;
        }
        size_t n = strlen(line);
        line[n] = '\n'; /* in the place of its NUL */
        bool ok = PQputCopyData(sh->conn, line, (int)n + 1) > 0;
        free(line);
        if (!ok) return copy_failed(sh);
    }
}

static bool copy_bytes(struct shell *sh, FILE *from, char *part)
{
    size_t n;
    while (!interrupted && (n = fread(part, 1, PART_BYTES, from)) > 0)
        if (PQputCopyData(sh->conn, part, (int)n) <= 0) return copy_failed(sh);
    return !interrupted && !ferror(from);
}

bool copy_in(struct shell *sh, FILE *from)
{
    char *part = malloc(PART_BYTES);
    if (!part) abort();
    bool ok = from ? copy_bytes(sh, from, part) : copy_lines(sh);
    free(part);
    const char *why = ok            ? NULL
                      : interrupted ? "canceled by user"
                                    : "aborted because of a read failure";
    if (PQputCopyEnd(sh->conn, why) <= 0) return copy_failed(sh);
    return ok;
}

bool copy_out(struct shell *sh, FILE *to)
{
    char *part;
    int n;
    bool ok = true;
    while ((n = PQgetCopyData(sh->conn, &part, 0)) > 0) {
        if (ok && fwrite(part, 1, (size_t)n, to) != (size_t)n) {
            complain(sh, "could not write COPY data: %s\n", strerror(errno));
            ok = false;
        }
        PQfreemem(part);
    }
    if (fflush(to) != 0) ok = false;
    return ok && n == -1;
}

/* ---- \copy ---- */
/* What stands between the words of "\copy table from 'file' options". */
struct copy_words {
    struct strbuf what; /* table (columns), or (query) */
    bool from, program;
    char *file; /* NULL: stdin, stdout; "pstdin": the shell's own */
    bool own_standard;
    const char *options;
};

/* The next word, quoted string or parenthesis from s on; its length. */
static size_t word_length(const char *s)
{
    size_t n = 0;
    int depth = 0;
    char quote = 0;
    for (; s[n]; n++) {
        if (quote) {
            if (s[n] == quote) quote = 0;
        } else if (s[n] == '\'' || s[n] == '"') {
            quote = s[n];
        } else if (s[n] == '(') {
            if (n > 0 && depth == 0) break;
            depth++;
        } else if (s[n] == ')') {
            if (--depth == 0) return n + 1;
        } else if (depth == 0 && strchr(" \t\n", s[n])) {
            break;
        }
    }
    return n;
}

static const char *skip_blank(const char *s)
{
    return s + strspn(s, " \t\n");
}

static bool is_word(const char *s, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(s, word, n) == 0;
}

static char *unquoted(const char *s, size_t n)
{
    char *out = malloc(n + 1), *p = out;
    if (!out) abort();
    bool quoted = n >= 2 && s[0] == '\'';
    for (size_t i = quoted; i < n - quoted; i++) {
        *p++ = s[i];
        if (quoted && s[i] == '\'') i++;
    }
    *p = 0;
    return out;
}

static bool split_copy(const char *s, struct copy_words *w)
{
    size_t n;
    for (s = skip_blank(s); (n = word_length(s)) > 0; s = skip_blank(s + n)) {
        if (w->what.len > 0 && (is_word(s, n, "from") || is_word(s, n, "to"))) break;
        if (w->what.len) strbuf_addc(&w->what, ' ');
        strbuf_add(&w->what, s, n);
    }
    if (n == 0 || w->what.len == 0) return false;
    w->from = is_word(s, n, "from");
    s = skip_blank(s + n);
    n = word_length(s);
    if (is_word(s, n, "program")) {
        w->program = true;
        s = skip_blank(s + n);
        n = word_length(s);
    }
    if (n == 0 || (w->program && s[0] != '\'')) return false;
    bool standard = is_word(s, n, "stdin") || is_word(s, n, "stdout");
    w->own_standard = is_word(s, n, "pstdin") || is_word(s, n, "pstdout");
    if (!standard && !w->own_standard) w->file = unquoted(s, n);
    w->options = skip_blank(s + n);
    return true;
}

static FILE *copy_file(struct shell *sh, const struct copy_words *w)
{
    struct stat st;
    if (w->own_standard || (!w->file && !w->from))
        return w->from ? stdin : w->file ? stdout : sh->out;
    if (!w->file) return NULL;
    fflush(sh->out);
    FILE *f =
        w->program ? popen(w->file, w->from ? "r" : "w") : fopen(w->file, w->from ? "r" : "w");
    if (f && !w->program && fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
        fclose(f);
        errno = EISDIR;
        f = NULL;
    }
    if (!f) complain(sh, "%s: %s\n", w->file, strerror(errno));
    return f;
}

static bool copy_exchange(struct shell *sh, const char *sql, FILE *f)
{
    cancel_begin(sh);
    PGresult *r = PQexec(sh->conn, sql);
    bool ok = true, shown = false;
    while (r) {
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_COPY_IN) {
            ok = copy_in(sh, f) && ok;
        } else if (status == PGRES_COPY_OUT) {
            ok = copy_out(sh, f ? f : sh->out) && ok;
            shown = !f || f == sh->out;
        } else if (status == PGRES_COMMAND_OK) {
            if (ok && !vars_on(sh->vars, "QUIET") && !shown)
                fprintf(sh->out, "%s\n", PQcmdStatus(r));
        } else {
            say(sh, "%s", PQresultErrorMessage(r));
            ok = false;
        }
        PQclear(r);
        r = PQgetResult(sh->conn);
    }
    cancel_end();
    return ok;
}

bool command_copy(struct shell *sh, const char *args)
{
    struct copy_words w = {.what = STRBUF_INIT};
    bool ok = false;
    if (!split_copy(args, &w)) {
        complain(sh, "\\copy: parse error; write \\copy array from 'file' (options)\n");
        goto out;
    }
    if (!sh->conn && !shell_connect(sh)) goto out;
    bool lines = w.from && !w.file && !w.own_standard;
    FILE *f = copy_file(sh, &w);
    if (!f && !lines) goto out;
    struct strbuf sql = STRBUF_INIT;
    strbuf_addf(&sql, "COPY %s %s %s", w.what.s, w.from ? "FROM STDIN" : "TO STDOUT", w.options);
    ok = copy_exchange(sh, sql.s, f);
    strbuf_release(&sql);
    if (w.file && w.program) {
        int status = pclose(f);
        if (status != 0) {
            complain(sh, "%s: child process exited with exit code %d\n", w.file, status >> 8);
            ok = false;
        }
    } else if (w.file && fclose(f) != 0) {
        complain(sh, "%s: %s\n", w.file, strerror(errno));
        ok = false;
    }
out:
    free(w.file);
    strbuf_release(&w.what);
    return ok;
}
