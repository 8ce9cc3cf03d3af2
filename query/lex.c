/* Which tokens does a text consist of? */
#include "query/lex.h"
#include "query/parse.h"
#include "query/parse_gen.h"
#include "storage/base/keywords.h"
#include <string.h>

enum { NAME_BYTES_MAX = 63, TEXT_BYTES_MAX = 1 << 30 };

enum keyword_class { NAME, COLUMN, TYPE_FUNC, RESERVED };
static const struct keyword {
    const char *word;
    int kind;
    enum keyword_class class;
} keywords[] = {
#define X(token, word, class) {word, TK_##token, class},
    KEYWORD_LIST(X)
#undef X
};
enum { N_KEYWORDS = sizeof keywords / sizeof *keywords };

static const struct keyword *keyword_find(const char *word)
{
    int lo = 0, hi = N_KEYWORDS;
    while (lo < hi) {
        int mid = (lo + hi) / 2, order = strcmp(word, keywords[mid].word);
        if (order == 0) return &keywords[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* Operators, longer ones before their beginnings. */
static const struct operator
{
    const char *text;
    int kind;
}
operators[] = {
    {"!~~*", TK_OP},    {"->>", TK_OP},   {"!~~", TK_OP},      {"!~*", TK_OP},  {"~~*", TK_OP},
    {"::", TK_CAST_TO}, {"=>", TK_ARROW}, {"//", TK_FLOORDIV}, {"!~", TK_OP},   {"~~", TK_OP},
    {"~*", TK_OP},      {"<=", TK_LE},    {">=", TK_GE},       {"<>", TK_NE},   {"!=", TK_NE},
    {"<<", TK_OP},      {">>", TK_OP},    {"<@", TK_OP},       {"@>", TK_OP},   {"&&", TK_OP},
    {"||", TK_OP},      {"->", TK_OP},    {"(", TK_LP},        {")", TK_RP},    {",", TK_COMMA},
    {"[", TK_LB},       {"]", TK_RB},     {";", TK_SEMI},      {".", TK_DOT},   {":", TK_COLON},
    {"+", TK_PLUS},     {"-", TK_MINUS},  {"*", TK_STAR},      {"/", TK_SLASH}, {"%", TK_PERCENT},
    {"^", TK_CARET},    {"=", TK_EQ},     {"<", TK_LT},        {">", TK_GT},    {"@", TK_MATMUL},
    {"#", TK_HASH},     {"~", TK_OP},     {"&", TK_OP},        {"|", TK_OP},
};

static bool is_space(char ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}
static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}
static bool is_name_start(char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch == '_' || (ch & 0x80);
}
static bool is_name(char ch)
{
    return is_name_start(ch) || is_digit(ch) || ch == '$';
}
static char fold(char ch)
{
    return ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch;
}
/* The character i places on; NUL past the end. */
static char peek(const struct lexer *l, int i)
{
    return l->at + i < l->n ? l->src[l->at + i] : 0;
}

/* Bytes of the UTF-8 character that begins at s, 0 when it is none. */
static int utf8_length(const unsigned char *s, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80) return s[0] ? 1 : 0;
    int len = s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (!len || (size_t)len > n) return 0;
    uint32_t code = s[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    return code < least[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

/* The message about the first character of s that is not UTF-8, or NULL. */
static const char *utf8_complaint(struct arena *a, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0; i < n;) {
        if (p[i] && p[i] < 0x80) {
            i++;
            continue;
        }
        int len = utf8_length(p + i, n - i);
        if (len) {
            i += (size_t)len;
            continue;
        }
        size_t shown = p[i] >= 0xf8   ? 1
                       : p[i] >= 0xf0 ? 4
                       : p[i] >= 0xe0 ? 3
                       : p[i] >= 0xc0 ? 2
                                      : 1;
        if (shown > n - i) shown = n - i;
        const char *hex = "";
        for (size_t k = 0; k < shown; k++)
            hex = arena_printf(a, "%s%s0x%02x", hex, k ? " " : "", p[i + k]);
        return arena_printf(a, "invalid byte sequence for encoding \"UTF8\": %s", hex);
    }
    return NULL;
}

enum status lex_open(struct ctx *c, struct lexer *l, const char *src, size_t n)
{
    if (n > TEXT_BYTES_MAX)
        return fail(c, ERR_LIMIT_EXCEEDED, "the statement is longer than %d bytes", TEXT_BYTES_MAX);
    const char *complaint = utf8_complaint(c->arena, src, n);
    if (complaint) return fail(c, ERR_INVALID_ENCODING, "%s", complaint);
    *l = (struct lexer){.c = c, .src = src, .n = (int)n};
    return OK;
}

enum status lex_fail(struct lexer *l, const struct token *bad)
{
    enum status s = l->code != ERR_SYNTAX
                        ? fail_at(l->c, l->code, bad->pos, "%s", l->message)
                        : fail_at(l->c, l->code, bad->pos, "%s at or near \"%.*s\"", l->message,
                                  bad->end - bad->pos, l->src + bad->pos);
    return l->hint ? hint(l->c, "%s", l->hint) : s;
}

static void bad(struct lexer *l, struct token *out, int end, const char *message)
{
    out->kind = LEX_BAD;
    out->end = end;
    l->code = ERR_SYNTAX;
    l->message = message;
}

/* Skips white space and comments; whether a comment is left open, with its start in *open. */
static bool skip_blank(struct lexer *l, int *open)
{
    for (;;) {
        if (is_space(peek(l, 0))) {
            l->at++;
        } else if (peek(l, 0) == '-' && peek(l, 1) == '-') {
            while (l->at < l->n && peek(l, 0) != '\n' && peek(l, 0) != '\r')
                l->at++;
        } else if (peek(l, 0) == '/' && peek(l, 1) == '*') {
            int depth = 1;
            *open = l->at;
            for (l->at += 2; depth; l->at++) {
                if (l->at >= l->n) return true;
                if (peek(l, 0) == '/' && peek(l, 1) == '*')
                    depth++, l->at++;
                else if (peek(l, 0) == '*' && peek(l, 1) == '/')
                    depth--, l->at++;
            }
        } else {
            return false;
        }
    }
}

/* After a string's closing quote: whether another follows over a line end, and is a part of it.
 * Then the lexer stands behind its opening quote. */
static bool continued(struct lexer *l)
{
    int at = l->at;
    bool line_end = false;
    while (at < l->n) {
        char ch = l->src[at];
        if (is_space(ch)) {
            line_end = line_end || ch == '\n' || ch == '\r';
            at++;
        } else if (line_end && ch == '-' && at + 1 < l->n && l->src[at + 1] == '-') {
            while (at < l->n && l->src[at] != '\n' && l->src[at] != '\r')
                at++;
        } else {
            break;
        }
    }
    if (!line_end || at >= l->n || l->src[at] != '\'') return false;
    l->at = at + 1;
    return true;
}

static size_t utf8_put(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> len) | code);
    return len;
}

static int hex_value(char ch)
{
    ch = fold(ch);
    return is_digit(ch) ? ch - '0' : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* \uXXXX or \UXXXXXXXX at the lexer's place into *code; whether it is well formed. */
static bool unicode_escape(struct lexer *l, uint32_t *code)
{
    int digits = peek(l, 1) == 'u' ? 4 : 8;
    *code = 0;
    for (int i = 0; i < digits; i++) {
        int v = hex_value(peek(l, 2 + i));
        if (v < 0) return false;
        *code = *code << 4 | (uint32_t)v;
    }
    l->at += 2 + digits;
    return true;
}

/* \u or \U at the lexer's place into out, in UTF-8; bytes written, or 0 after bad(). */
static size_t lex_unicode(struct lexer *l, struct token *t, char *out)
{
    int start = l->at;
    uint32_t code, low = 0;
    if (!unicode_escape(l, &code)) {
        t->pos = start;
        bad(l, t, start + 2, "invalid Unicode escape");
        l->code = ERR_INVALID_ESCAPE;
        l->hint = "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.";
        return 0;
    }
    if (code >= 0xd800 && code < 0xdc00 && peek(l, 0) == '\\' && fold(peek(l, 1)) == 'u' &&
        unicode_escape(l, &low) && low >= 0xdc00 && low < 0xe000)
        code = 0x10000 + ((code & 0x3ff) << 10) + (low & 0x3ff);
    bool lone = code >= 0xd800 && code < 0xe000;
    if (!lone && code && code <= 0x10ffff) return utf8_put(out, code);
    t->pos = lone ? l->at : start;
    bad(l, t, lone ? l->at + 1 : l->at,
        lone ? "invalid Unicode surrogate pair" : "invalid Unicode escape value");
    return 0;
}

/* The escape at the lexer's place, into out; bytes written, or 0 after bad(). */
static size_t escape(struct lexer *l, struct token *t, char *out)
{
    char ch = peek(l, 1);
    if (ch == 'u' || ch == 'U') return lex_unicode(l, t, out);
    l->at += 2;
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *letter = ch ? strchr(letters, ch) : NULL;
    if (letter) {
        out[0] = meant[letter - letters];
    } else if (ch >= '0' && ch <= '7') {
        int v = ch - '0';
        for (int i = 0; i < 2 && peek(l, 0) >= '0' && peek(l, 0) <= '7'; i++)
            v = v * 8 + (l->src[l->at++] - '0');
        out[0] = (char)v;
    } else if (ch == 'x' && hex_value(peek(l, 0)) >= 0) {
        int v = 0;
        for (int i = 0; i < 2 && hex_value(peek(l, 0)) >= 0; i++)
            v = v * 16 + hex_value(l->src[l->at++]);
        out[0] = (char)v;
    } else {
        out[0] = ch;
    }
    return 1;
}

/* A '…' or E'…' string; the lexer stands behind the opening quote. */
static void lex_string(struct lexer *l, struct token *t, bool escapes)
{
    /* Room for all that is left up to the last quote would be too much: find the end first. */
    int from = l->at, end = from;
    for (;; l->at++) {
        if (l->at >= l->n) {
            l->at = l->n;
            bad(l, t, l->n, "unterminated quoted string");
            return;
        }
        if (escapes && peek(l, 0) == '\\') {
            l->at++;
        } else if (peek(l, 0) == '\'') {
            if (peek(l, 1) == '\'') {
                l->at++;
                continue;
            }
            end = l->at++;
            if (!continued(l)) break;
            l->at--;
        }
    }
    int after = l->at;
    char *out = arena_alloc(l->c->arena, (size_t)(end - from) + 1);
    size_t n = 0;
    bool high = false;
    for (l->at = from; l->at < end;) {
        if (escapes && peek(l, 0) == '\\') {
            size_t added = escape(l, t, out + n);
            if (!added) return;
            high = high || out[n] == 0 || (out[n] & 0x80);
            n += added;
        } else if (peek(l, 0) == '\'') {
            l->at++;
            if (peek(l, 0) == '\'')
                out[n++] = l->src[l->at++];
            else
                continued(l);
        } else {
            out[n++] = l->src[l->at++];
        }
    }
    l->at = after;
    t->kind = TK_SCONST;
    t->text = out;
    t->len = (int)n;
    const char *complaint = high ? utf8_complaint(l->c->arena, out, n) : NULL;
    if (complaint) {
        bad(l, t, after, complaint);
        l->code = ERR_INVALID_ENCODING;
    }
}

/* $$…$$ or $tag$…$tag$; false when no such quote begins here. */
static bool lex_dollar(struct lexer *l, struct token *t)
{
    int tag = 1;
    if (is_name_start(peek(l, 1)))
        while (peek(l, tag) != '$' && is_name(peek(l, tag)))
            tag++;
    if (peek(l, tag) != '$') return false;
    tag++;
    const char *open = l->src + l->at, *body = open + tag;
    size_t left = (size_t)(l->n - l->at - tag);
    const char *close = memmem(body, left, open, (size_t)tag);
    if (!close) {
        bad(l, t, l->n, "unterminated dollar-quoted string");
        return true;
    }
    t->kind = TK_SCONST;
    t->len = (int)(close - body);
    t->text = arena_strndup(l->c->arena, body, (size_t)t->len);
    l->at = (int)(close - l->src) + tag;
    return true;
}

/* The name's text, cut to what a name may have. */
static void set_name(struct lexer *l, struct token *t, char *name, size_t n)
{
    if (n > NAME_BYTES_MAX) {
        size_t cut = NAME_BYTES_MAX;
        while ((name[cut] & 0xc0) == 0x80)
            cut--;
        notice(l->c, status_sqlstate(ERR_NAME_TOO_LONG),
               "identifier \"%s\" will be truncated to \"%.*s\"", name, (int)cut, name);
        name[n = cut] = 0;
    }
    t->kind = TK_ID;
    t->text = name;
    t->len = (int)n;
}

static void lex_quoted_name(struct lexer *l, struct token *t)
{
    int end = l->at + 1;
    while (end < l->n && !(l->src[end] == '"' && (end + 1 >= l->n || l->src[end + 1] != '"')))
        end += l->src[end] == '"' ? 2 : 1;
    if (end >= l->n) {
        bad(l, t, l->n, "unterminated quoted identifier");
        return;
    }
    if (end == l->at + 1) {
        bad(l, t, end + 1, "zero-length delimited identifier");
        return;
    }
    char *name = arena_alloc(l->c->arena, (size_t)(end - l->at));
    size_t n = 0;
    for (l->at++; l->at < end; l->at++) {
        name[n++] = peek(l, 0);
        if (peek(l, 0) == '"') l->at++;
    }
    l->at = end + 1;
    set_name(l, t, name, n);
}

static void lex_word(struct lexer *l, struct token *t)
{
    int n = 1;
    while (is_name(peek(l, n)))
        n++;
    char word[NAME_BYTES_MAX + 1];
    if (n <= NAME_BYTES_MAX) {
        for (int i = 0; i < n; i++)
            word[i] = fold(peek(l, i));
        word[n] = 0;
        const struct keyword *k = keyword_find(word);
        l->at += n;
        t->kind = k ? k->kind : TK_ID;
        t->text = k ? k->word : arena_strndup(l->c->arena, word, (size_t)n);
        t->len = n;
        return;
    }
    char *name = arena_strndup(l->c->arena, l->src + l->at, (size_t)n);
    for (int i = 0; i < n; i++)
        name[i] = fold(name[i]);
    l->at += n;
    set_name(l, t, name, (size_t)n);
}

/* Whether the digits are at most 2^63, which is an integer after a minus. */
static bool fits_integer(const char *s, int n)
{
    static const char most[] = "9223372036854775808";
    while (n > 1 && *s == '0')
        s++, n--;
    int digits = (int)sizeof most - 1;
    return n < digits || (n == digits && memcmp(s, most, (size_t)n) <= 0);
}

static void lex_number(struct lexer *l, struct token *t)
{
    int n = 0;
    bool fraction = false;
    while (is_digit(peek(l, n)))
        n++;
    int whole = n;
    if (peek(l, n) == '.' && peek(l, n + 1) != '.') {
        fraction = true;
        for (n++; is_digit(peek(l, n));)
            n++;
    }
    if (fold(peek(l, n)) == 'e') {
        int sign = peek(l, n + 1) == '+' || peek(l, n + 1) == '-';
        if (is_digit(peek(l, n + 1 + sign))) {
            fraction = true;
            for (n += 1 + sign; is_digit(peek(l, n));)
                n++;
        }
    }
    if (is_name_start(peek(l, n))) {
        while (is_name(peek(l, n)))
            n++;
        bad(l, t, l->at + n, "trailing junk after numeric literal");
        return;
    }
    t->text = arena_strndup(l->c->arena, l->src + l->at, (size_t)n);
    t->len = n;
    t->kind = !fraction && fits_integer(t->text, whole) ? TK_ICONST : TK_FCONST;
    l->at += n;
}

static void lex_param(struct lexer *l, struct token *t)
{
    int n = 1;
    while (is_digit(peek(l, n)))
        n++;
    if (is_name_start(peek(l, n))) {
        while (is_name(peek(l, n)))
            n++;
        bad(l, t, l->at + n, "trailing junk after parameter");
        return;
    }
    if (n > 6) {
        bad(l, t, l->at + n, "parameter number too large");
        return;
    }
    t->kind = TK_PARAM;
    t->text = arena_strndup(l->c->arena, l->src + l->at + 1, (size_t)n - 1);
    t->len = n - 1;
    l->at += n;
}

static void lex_operator(struct lexer *l, struct token *t)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        const char *text = operators[i].text;
        size_t n = strlen(text);
        if (peek(l, 0) != text[0] || (size_t)(l->n - l->at) < n ||
            memcmp(l->src + l->at, text, n) != 0)
            continue;
        t->kind = operators[i].kind;
        t->text = t->kind == TK_NE ? "<>" : text;
        t->len = (int)strlen(t->text);
        l->at += (int)n;
        return;
    }
    bad(l, t, l->at + 1, "syntax error");
}

void lex_next(struct lexer *l, struct token *out)
{
    int open;
    *out = (struct token){.kind = 0};
    if (skip_blank(l, &open)) {
        out->pos = open;
        bad(l, out, l->n, "unterminated /* comment");
        return;
    }
    out->pos = out->end = l->at;
    if (l->at >= l->n) return;
    char ch = peek(l, 0);
    if (ch == '\'') {
        l->at++;
        lex_string(l, out, false);
    } else if (fold(ch) == 'e' && peek(l, 1) == '\'') {
        l->at += 2;
        lex_string(l, out, true);
    } else if (is_name_start(ch)) {
        lex_word(l, out);
    } else if (is_digit(ch) || (ch == '.' && is_digit(peek(l, 1)))) {
        lex_number(l, out);
    } else if (ch == '"') {
        lex_quoted_name(l, out);
    } else if (ch == '$' && is_digit(peek(l, 1))) {
        lex_param(l, out);
    } else if (ch != '$' || !lex_dollar(l, out)) {
        lex_operator(l, out);
    }
    if (out->kind != LEX_BAD) out->end = l->at;
}
