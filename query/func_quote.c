/* How are values written into texts: quoted, by format(), by a pattern's matches? */
#include "query/func_cells.h"
#include "storage/base/keywords.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT(k, j, i) ARG(k, j, struct text, i)

/* ---- quoting ---- */

static bool is_keyword(struct text t)
{
    static const char *const words[] = {
#define X(id, word, ...) word,
        KEYWORD_LIST(X)
#undef X
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((int64_t)strlen(words[i]) == t.len && !strncasecmp(words[i], t.s, (size_t)t.len))
            return true;
    return false;
}

static void add_quoted(struct strbuf *b, struct text t, char quote)
{
    strbuf_addc(b, quote);
    for (int64_t i = 0; i < t.len; i++) {
        if (t.s[i] == quote || (quote == '\'' && t.s[i] == '\\')) strbuf_addc(b, t.s[i]);
        strbuf_addc(b, t.s[i]);
    }
    strbuf_addc(b, quote);
}

static void add_identifier(struct strbuf *b, struct text t)
{
    bool plain = t.len > 0 && (islower((unsigned char)t.s[0]) || t.s[0] == '_');
    for (int64_t i = 0; i < t.len; i++)
        plain &= islower((unsigned char)t.s[i]) || isdigit((unsigned char)t.s[i]) || t.s[i] == '_';
    if (plain && !is_keyword(t))
        strbuf_add(b, t.s, (size_t)t.len);
    else
        add_quoted(b, t, '"');
}

static void add_literal(struct strbuf *b, struct text t)
{
    if (t.len && memchr(t.s, '\\', (size_t)t.len)) strbuf_addc(b, 'E');
    add_quoted(b, t, '\'');
}

/* Cells one by one: `write` adds the result to an empty buffer; false: NULL. */
typedef enum status write_fn(struct ctx *c, struct call *k, int64_t i, struct strbuf *b,
                             bool *null);

static enum status each_text(struct ctx *c, struct call *k, write_fn *write)
{
    struct strbuf b = STRBUF_INIT;
    enum status s = OK;
    for (int64_t i = bits_next(k->todo, 0, k->n); s == OK && i < k->n;
         i = bits_next(k->todo, i + 1, k->n)) {
        bool null = false;
        strbuf_clear(&b);
        s = write(c, k, i, &b, &null);
        if (s == OK && null)
            bit_clear(k->valid, i);
        else if (s == OK)
            s = call_text_dup(c, k, b.s, b.len, &((struct text *)k->out)[i]);
    }
    strbuf_release(&b);
    return s;
}

static enum status write_identifier(struct ctx *c, struct call *k, int64_t i, struct strbuf *b,
                                    bool *null)
{
    (void)c, (void)null;
    add_identifier(b, TEXT(k, 0, i));
    return OK;
}

static enum status write_literal(struct ctx *c, struct call *k, int64_t i, struct strbuf *b,
                                 bool *null)
{
    (void)c, (void)null;
    if (arg_null(k, 0, i))
        strbuf_adds(b, "NULL");
    else
        add_literal(b, TEXT(k, 0, i));
    return OK;
}

enum status text_quote_ident(struct ctx *c, struct call *k)
{
    return each_text(c, k, write_identifier);
}
enum status text_quote_literal(struct ctx *c, struct call *k)
{
    return each_text(c, k, write_literal);
}

/* ---- format ---- */

/* What stands after a %: [n$][-][width or *]type. */
struct directive {
    int64_t argument; /* 0: the next */
    bool left, star;
    int64_t width;
    char type;
};

static int64_t digits(struct text f, int64_t *i)
{
    int64_t n = 0;
    for (; *i < f.len && isdigit((unsigned char)f.s[*i]); ++*i)
        n = n > 100000000 ? n : n * 10 + (f.s[*i] - '0');
    return n;
}

static enum status read_directive(struct ctx *c, struct text f, int64_t *i, struct directive *d)
{
    *d = (struct directive){0};
    int64_t at = *i, n = digits(f, i);
    if (*i > at && *i < f.len && f.s[*i] == '$') {
        if (n == 0)
            return fail(c, ERR_INVALID_PARAMETER,
                        "format specifies argument 0, but arguments are "
                        "numbered from 1");
        d->argument = n;
        ++*i;
    } else {
        *i = at;
    }
    for (; *i < f.len && f.s[*i] == '-'; ++*i)
        d->left = true;
    if (*i < f.len && f.s[*i] == '*') {
        d->star = true;
        ++*i;
    } else {
        d->width = digits(f, i);
    }
    if (*i >= f.len) {
        fail(c, ERR_INVALID_PARAMETER, "unterminated format() type specifier");
        return hint(c, "For a single \"%%\" use \"%%%%\".");
    }
    d->type = f.s[(*i)++];
    if (d->type == 's' || d->type == 'I' || d->type == 'L') return OK;
    fail(c, ERR_INVALID_PARAMETER, "unrecognized format() type specifier \"%c\"", d->type);
    return hint(c, "For a single \"%%\" use \"%%%%\".");
}

static void add_padded(struct strbuf *b, const struct strbuf *value, int64_t width, bool left)
{
    int64_t fill = width - (int64_t)value->len;
    for (int64_t j = 0; !left && j < fill; j++)
        strbuf_addc(b, ' ');
    strbuf_add(b, value->s ? value->s : "", value->len);
    for (int64_t j = 0; left && j < fill; j++)
        strbuf_addc(b, ' ');
}

static enum status add_directive(struct ctx *c, struct call *k, int64_t i, struct directive *d,
                                 int64_t *next, struct strbuf *b)
{
    if (d->star) {
        if (++*next >= k->n_args)
            return fail(c, ERR_INVALID_PARAMETER, "too few arguments for format()");
        char width[24] = "0";
        if (!arg_null(k, (int)*next, i))
            snprintf(width, sizeof width, "%.*s", (int)TEXT(k, *next, i).len, TEXT(k, *next, i).s);
        d->width = strtoll(width, NULL, 10);
        if (d->width < 0) d->left = true;
        d->width = d->width < 0 ? -d->width : d->width;
    }
    if (d->width > 1000000) return fail(c, ERR_LIMIT_EXCEEDED, "requested length too large");
    if (!d->argument) d->argument = ++*next;
    *next = d->argument;
    if (d->argument >= k->n_args)
        return fail(c, ERR_INVALID_PARAMETER, "too few arguments for format()");
    int j = (int)d->argument;
    bool null = arg_null(k, j, i);
    if (null && d->type == 'I')
        return fail(c, ERR_NULL_VALUE, "null values cannot be formatted as an SQL identifier");
    struct strbuf value = STRBUF_INIT;
    if (null && d->type == 'L')
        strbuf_adds(&value, "NULL");
    else if (!null && d->type == 'L')
        add_literal(&value, TEXT(k, j, i));
    else if (!null && d->type == 'I')
        add_identifier(&value, TEXT(k, j, i));
    else if (!null)
        strbuf_add(&value, TEXT(k, j, i).s, (size_t)TEXT(k, j, i).len);
    add_padded(b, &value, d->width, d->left);
    strbuf_release(&value);
    return OK;
}

static enum status write_format(struct ctx *c, struct call *k, int64_t i, struct strbuf *b,
                                bool *null)
{
    *null = arg_null(k, 0, i);
    if (*null) return OK;
    struct text f = TEXT(k, 0, i);
    int64_t next = 0;
    for (int64_t at = 0; at < f.len;) {
        char ch = f.s[at++];
        if (ch != '%' || (at < f.len && f.s[at] == '%')) {
            at += ch == '%';
            strbuf_addc(b, ch);
            continue;
        }
        struct directive d;
        TRY(read_directive(c, f, &at, &d));
        TRY(add_directive(c, k, i, &d, &next, b));
    }
    return OK;
}

enum status text_format(struct ctx *c, struct call *k)
{
    return each_text(c, k, write_format);
}
