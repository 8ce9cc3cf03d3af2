/* What could the word at the cursor become? Keywords, commands, and the server's names. */
#include "client/shell.h"
#include "storage/base/keywords.h"
#include <ctype.h>
#include <readline/readline.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names are asked for once, and again after the session has defined something. */
enum names { ARRAYS, COLUMNS, SETTINGS, SCHEDULES, N_NAMES };
static const char *const name_queries[N_NAMES] = {
    "SELECT name FROM sys.arrays UNION SELECT name FROM sys.objects",
    "SELECT name FROM sys.dimensions UNION SELECT name FROM sys.attributes",
    "SELECT name FROM sys.settings",
    "SELECT name FROM sys.schedules",
};
static struct {
    struct shell *sh;
    PGresult *names[N_NAMES];
    bool asked[N_NAMES];
} state;

static const char *const keywords[] = {
#define X(token, word, class) word,
    KEYWORD_LIST(X)
#undef X
};

/* Functions and types that are no keywords. */
static const char *const others[] = {
    "abs",         "acos",      "argmax",
    "argmin",      "asin",      "atan",
    "atan2",       "avg",       "bigint",
    "boolean",     "cbrt",      "ceil",
    "clip",        "coalesce",  "corr",
    "cos",         "count",     "date",
    "date_trunc",  "degrees",   "double",
    "exp",         "extract",   "filled",
    "float",       "floor",     "generate_series",
    "greatest",    "histogram", "hypot",
    "int",         "integer",   "isnan",
    "least",       "ln",        "log",
    "lower",       "max",       "median",
    "min",         "mode",      "now",
    "nullif",      "pow",       "prod",
    "quantile",    "radians",   "read_csv",
    "read_netcdf", "read_npy",  "read_npz",
    "read_raw",    "read_tile", "read_zarr",
    "real",        "round",     "sign",
    "sin",         "smallint",  "sqrt",
    "stddev",      "sum",       "tan",
    "text",        "timestamp", "tinyint",
    "trunc",       "ubigint",   "uinteger",
    "upper",       "usmallint", "utinyint",
    "variance",
};

void complete_forget(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        PQclear(state.names[i]);
        state.names[i] = NULL;
        state.asked[i] = false;
    }
}

/* Not while a transaction is open: a server without these views would fail it. */
static const PGresult *names_of(enum names which)
{
    PGconn *conn = state.sh->conn;
    if (!state.asked[which] && conn && PQtransactionStatus(conn) == PQTRANS_IDLE) {
        PGresult *r = PQexec(conn, name_queries[which]);
        state.asked[which] = true;
        if (PQresultStatus(r) == PGRES_TUPLES_OK)
            state.names[which] = r;
        else
            PQclear(r);
    }
    return state.names[which];
}

/* ---- candidates ---- */
struct matches {
    char **v;
    size_t n, cap;
};

static void add_match(struct matches *m, char *text)
{
    if (!text) abort();
    if (m->n + 2 > m->cap) {
        m->cap = m->cap ? 2 * m->cap : 32;
        m->v = realloc(m->v, m->cap * sizeof *m->v);
        if (!m->v) abort();
    }
    m->v[m->n++] = text;
    m->v[m->n] = NULL;
}

static bool begins(const char *word, const char *text)
{
    return strncasecmp(word, text, strlen(text)) == 0;
}

static void add_names(struct matches *m, enum names which, const char *text)
{
    const PGresult *r = names_of(which);
    for (int i = 0; r && i < PQntuples(r); i++) {
        const char *name = PQgetvalue(r, i, 0);
        if (begins(name, text)) add_match(m, strdup(name));
    }
}

/* In the case that the word has been begun in. */
static void add_words(struct matches *m, const char *const *words, size_t n, const char *text,
                      bool upper)
{
    for (size_t i = 0; i < n; i++) {
        if (!begins(words[i], text)) continue;
        char *word = strdup(words[i]);
        for (char *p = word; p && upper && *p; p++)
            *p = (char)toupper((unsigned char)*p);
        add_match(m, word);
    }
}

static void add_commands(struct matches *m, const char *text)
{
    for (int i = 0; command_name(i); i++)
        if (strncmp(command_name(i), text, strlen(text)) == 0)
            add_match(m, strdup(command_name(i)));
}

/* readline wants what all have in common first. */
static char **finish(struct matches *m)
{
    if (m->n == 0) return NULL;
    size_t common = strlen(m->v[0]);
    for (size_t i = 1; i < m->n; i++) {
        size_t k = 0;
        while (k < common && m->v[i][k] == m->v[0][k])
            k++;
        common = k;
    }
    char **list = calloc(m->n + 2, sizeof *list);
    if (!list) abort();
    list[0] = strndup(m->v[0], common);
    memcpy(list + 1, m->v, m->n * sizeof *list);
    if (m->n == 1) { /* the only one: it alone */
        free(list[1]);
        list[1] = NULL;
    }
    free(m->v);
    m->v = NULL;
    return list;
}

/* ---- context ---- */
/* The word before position `end` of the line, lower case, into buf. */
static void word_before(int end, char *buf, size_t n)
{
    int to = end;
    while (to > 0 && isspace((unsigned char)rl_line_buffer[to - 1]))
        to--;
    int from = to;
    while (from > 0 && !isspace((unsigned char)rl_line_buffer[from - 1]) &&
           !strchr("(,[", rl_line_buffer[from - 1]))
        from--;
    size_t len = (size_t)(to - from) < n - 1 ? (size_t)(to - from) : n - 1;
    for (size_t i = 0; i < len; i++)
        buf[i] = (char)tolower((unsigned char)rl_line_buffer[from + (int)i]);
    buf[len] = 0;
}

static bool is_in(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

static char **complete(const char *text, int start, int end)
{
    static const char *const before_array[] = {"from",  "join",   "into", "update",
                                               "array", "table",  "view", "truncate",
                                               "copy",  "vacuum", "@",    NULL};
    static const char *const before_setting[] = {"set", "show", "reset", NULL};
    static const char *const schedule_commands[] = {"\\runs", "\\schedules", NULL};
    static const char *const file_commands[] = {"\\i", "\\ir", "\\include", "\\o",
                                                "\\w", "\\cd", "\\e",       NULL};
    (void)end;
    char word[64], command[64] = "";
    struct matches m = {0};
    word_before(start, word, sizeof word);
    size_t lead = strspn(rl_line_buffer, " \t");
    if (rl_line_buffer[lead] == '\\')
        snprintf(command, sizeof command, "%.*s", (int)strcspn(rl_line_buffer + lead, " \t"),
                 rl_line_buffer + lead);
    rl_attempted_completion_over = 1;
    if (text[0] == '\\') {
        add_commands(&m, text);
    } else if (is_in(command, file_commands) || rl_completion_quote_character == '\'') {
        rl_attempted_completion_over = 0; /* file names */
        return NULL;
    } else if (command[0] == '\\' && command[1] == 'd') {
        add_names(&m, ARRAYS, text);
    } else if (is_in(command, schedule_commands) || strcmp(word, "schedule") == 0) {
        add_names(&m, SCHEDULES, text);
    } else if (command[0] && strcmp(command, "\\copy") != 0) {
        return NULL;
    } else if (is_in(word, before_setting)) {
        add_names(&m, SETTINGS, text);
    } else if (is_in(word, before_array)) {
        add_names(&m, ARRAYS, text);
    }
    if (m.n == 0 && text[0] != '\\' && !command[0]) {
        bool upper = !text[0] || isupper((unsigned char)text[0]);
        add_words(&m, keywords, sizeof keywords / sizeof *keywords, text, upper);
        add_words(&m, others, sizeof others / sizeof *others, text, false);
        add_names(&m, COLUMNS, text);
        add_names(&m, ARRAYS, text);
    }
    return finish(&m);
}

void complete_init(struct shell *sh)
{
    state.sh = sh;
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = " \t\n\"'`@$><=;|&{(,[]+-*/:";
    rl_completer_quote_characters = "'";
}
