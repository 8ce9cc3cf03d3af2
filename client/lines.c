/* Where does a statement end? */
#include "client/lines.h"
#include <stdbool.h>
#include <string.h>

enum { EXPANSIONS_MAX = 1000 }; /* in one line: a variable may hold its own name */

void scan_reset(struct scanner *s)
{
    *s = (struct scanner){0};
}

char scan_prompt(const struct scanner *s)
{
    if (s->quote) return s->quote == 'E' ? '\'' : s->quote;
    return s->brackets > 0 ? '(' : '-';
}

void quote_literal(struct strbuf *out, const char *value)
{
    bool escapes = strchr(value, '\\') != NULL;
    strbuf_adds(out, escapes ? " E'" : "'");
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\') strbuf_addc(out, *value);
        strbuf_addc(out, *value);
    }
    strbuf_addc(out, '\'');
}

void quote_name(struct strbuf *out, const char *value)
{
    strbuf_addc(out, '"');
    for (; *value; value++) {
        if (*value == '"') strbuf_addc(out, '"');
        strbuf_addc(out, *value);
    }
    strbuf_addc(out, '"');
}

static bool is_name(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
           ch == '_' || (ch & 0x80);
}

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (is_name(s[n]))
        n++;
    return n;
}

size_t scan_variable(const char *s, const struct vars *vars, struct strbuf *out)
{
    char open = s[1];
    bool quoted = open == '\'' || open == '"', asked = open == '{' && s[2] == '?';
    size_t from = asked ? 3 : quoted ? 2 : 1, n = name_length(s + from);
    if (n == 0 || !vars) return 0;
    if (quoted && s[from + n] != open) return 0;
    if (asked && s[from + n] != '}') return 0;
    const char *value = vars_getn(vars, s + from, n);
    if (asked)
        strbuf_adds(out, value ? "TRUE" : "FALSE");
    else if (!value)
        return 0;
    else if (open == '\'')
        quote_literal(out, value);
    else if (open == '"')
        quote_name(out, value);
    else
        strbuf_adds(out, value);
    return from + n + (quoted || asked);
}

/* Replaces n bytes of the line by the text. */
static void splice(struct strbuf *line, size_t at, size_t n, const struct strbuf *text)
{
    struct strbuf rest = STRBUF_INIT;
    strbuf_add(&rest, line->s + at + n, line->len - at - n);
    line->len = at;
    strbuf_add(line, text->s ? text->s : "", text->len);
    strbuf_add(line, rest.s ? rest.s : "", rest.len);
    strbuf_release(&rest);
}

/* One step inside a quote or comment; how many bytes it takes. */
static size_t step_quoted(struct scanner *s, const char *p, size_t left)
{
    char ch = p[0], next = left > 1 ? p[1] : 0;
    switch (s->quote) {
    case '*':
        if (ch == '/' && next == '*') return s->comments++, 2;
        if (ch != '*' || next != '/') return 1;
        if (--s->comments == 0) s->quote = 0;
        return 2;
    case '$': {
        size_t n = strlen(s->tag);
        if (left < n || memcmp(p, s->tag, n) != 0) return 1;
        s->quote = 0;
        return n;
    }
    case 'E':
        if (ch == '\\' && left > 1) return 2;
        if (ch == '\'') {
            if (next == '\'') return 2;
            s->quote = 0;
        }
        return 1;
    default:
        if (ch == s->quote) {
            if (next == ch) return 2;
            s->quote = 0;
        }
        return 1;
    }
}

/* $$ or $tag$ at p: its length, else 0. */
static size_t dollar_tag(const char *p, size_t left)
{
    size_t n = 1;
    if (left > 1 && p[1] >= '0' && p[1] <= '9') return 0;
    while (n < left && is_name(p[n]))
        n++;
    return n < left && p[n] == '$' && n + 1 < sizeof((struct scanner *)0)->tag ? n + 1 : 0;
}

/* One step outside quotes and comments. */
static size_t step_plain(struct scanner *s, const char *p, size_t left, char before)
{
    char ch = p[0], next = left > 1 ? p[1] : 0;
    bool in_name = is_name(before) || before == '$';
    if (ch == '-' && next == '-') return left;
    if (ch == '/' && next == '*') {
        s->quote = '*';
        s->comments = 1;
        return 2;
    }
    if (ch == '\'' || ch == '"') {
        s->quote = ch;
        return 1;
    }
    if ((ch == 'e' || ch == 'E') && next == '\'' && !in_name) {
        s->quote = 'E';
        return 2;
    }
    if (ch == '$' && !in_name) {
        size_t n = dollar_tag(p, left);
        if (n) {
            memcpy(s->tag, p, n);
            s->tag[n] = 0;
            s->quote = '$';
            return n;
        }
    }
    if (ch == '(' || ch == '[') s->brackets++;
    if ((ch == ')' || ch == ']') && s->brackets > 0) s->brackets--;
    return ch == ':' && (next == ':' || next == '=') ? 2 : 1;
}

enum scan_end scan_line(struct scanner *s, struct strbuf *line, size_t *at, const struct vars *vars,
                        struct strbuf *statement)
{
    int expansions = 0;
    while (*at < line->len) {
        const char *p = line->s + *at;
        size_t left = line->len - *at, n;
        if (s->quote) {
            n = step_quoted(s, p, left);
        } else if (*p == '\\') {
            return SCAN_BACKSLASH;
        } else if (*p == ':' && expansions < EXPANSIONS_MAX) {
            struct strbuf value = STRBUF_INIT;
            n = p[1] == ':' ? 0 : scan_variable(p, vars, &value);
            if (n) {
                splice(line, *at, n, &value);
                strbuf_release(&value);
                expansions++;
                continue;
            }
            strbuf_release(&value);
            n = step_plain(s, p, left, ':');
        } else {
            n = step_plain(s, p, left, *at ? p[-1] : 0);
        }
        bool blank = !s->quote && (strchr(" \t\r\n\f\v", *p) || (p[0] == '-' && p[1] == '-'));
        *at += n;
        if (!blank || statement->len > 0) strbuf_add(statement, p, n);
        if (*p == ';' && n == 1 && !s->quote && s->brackets == 0) return SCAN_SEMICOLON;
    }
    return SCAN_LINE;
}
