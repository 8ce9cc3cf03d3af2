/* How is a table put together from what the sys views say? */
#include "client/sheet.h"
#include <stdlib.h>
#include <string.h>

static const char *sheet_cell(void *self, int64_t row, int col)
{
    const struct sheet *s = self;
    const char *text = s->cells[row * s->table.n_cols + col];
    return text ? text : "";
}

void sheet_init(struct sheet *s, const char *title, const char *const *names, const char *align)
{
    *s = (struct sheet){.table = {.title = title,
                                  .n_cols = (int)strlen(align),
                                  .names = names,
                                  .align = align,
                                  .cell = sheet_cell,
                                  .footer = ""}};
    s->table.self = s;
}

char **sheet_row(struct sheet *s)
{
    if (s->table.n_rows == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 16;
        size_t bytes = (size_t)s->cap * (size_t)s->table.n_cols * sizeof *s->cells;
        s->cells = realloc(s->cells, bytes);
        if (!s->cells) abort();
    }
    char **row = s->cells + s->table.n_rows++ * s->table.n_cols;
    memset(row, 0, (size_t)s->table.n_cols * sizeof *row);
    return row;
}

void sheet_show(struct shell *sh, struct sheet *s)
{
    struct print_options o = effective_options(sh, sh->out);
    print_table(sh->out, &o, &s->table, &interrupted);
    fflush(sh->out);
    for (int64_t i = 0; i < s->table.n_rows * s->table.n_cols; i++)
        free(s->cells[i]);
    free(s->cells);
}

/* ---- texts ---- */
char *copy(const char *s)
{
    char *p = strdup(s);
    if (!p) abort();
    return p;
}

char *count_text(const char *digits)
{
    struct strbuf b = STRBUF_INIT;
    size_t n = strlen(digits);
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') strbuf_addc(&b, ',');
        strbuf_addc(&b, digits[i]);
    }
    return b.s ? b.s : copy("");
}

char *size_text(double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    char buf[40];
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(buf, sizeof buf, unit && bytes < 10 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return copy(buf);
}

const char *value(const PGresult *r, int row, int col)
{
    return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

char *text_of(const PGresult *r, int row, int col)
{
    const char *s = value(r, row, col);
    return s ? copy(s) : NULL;
}

/* " AND name LIKE …" for a pattern with * and ?; nothing for none. A quoted name is itself. */
static void add_pattern(struct strbuf *sql, const char *column, const char *pattern)
{
    if (!pattern) return;
    struct strbuf like = STRBUF_INIT;
    bool quoted = false;
    for (const char *p = pattern; *p; p++) {
        if (*p == '"') {
            quoted = !quoted;
        } else if (!quoted && (*p == '*' || *p == '?')) {
            strbuf_addc(&like, *p == '*' ? '%' : '_');
        } else {
            if (strchr("%_\\", *p)) strbuf_addc(&like, '\\');
            strbuf_addc(&like, !quoted && *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p);
        }
    }
    strbuf_addf(sql, " AND %s LIKE ", column);
    quote_literal(sql, like.s ? like.s : "");
    strbuf_release(&like);
}

PGresult *ask(struct shell *sh, const char *select, const char *column, const char *pattern,
              const char *order)
{
    struct strbuf sql = STRBUF_INIT;
    strbuf_addf(&sql, "%s WHERE true", select);
    add_pattern(&sql, column, pattern);
    strbuf_addf(&sql, " ORDER BY %s", order);
    PGresult *r = run_quietly(sh, sql.s);
    strbuf_release(&sql);
    return r;
}

/* As in psql, a list may be empty; a name that is not there is a failure. */
bool none_found(struct shell *sh, const char *what, const char *pattern)
{
    if (pattern)
        complain(sh, "Did not find any %s named \"%s\".\n", what, pattern);
    else
        complain(sh, "Did not find any %ss.\n", what);
    return true;
}
