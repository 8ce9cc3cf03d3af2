/* Text to tokens, by PostgreSQL 15's lexical rules: quoted and dollar-quoted strings, E'…', strings
 * continued over line ends, nested comments, names folded to lower case and cut at 63 bytes.
 *
 * Tokens' texts lie in the arena or are static; positions are byte offsets into the source, which
 * must outlive them. One lexer per text and thread. */
#ifndef TESSERA_LEX_H
#define TESSERA_LEX_H
#include "storage/base/ctx.h"

struct token {
    int kind;         /* TK_… of the grammar; 0: end of text; LEX_BAD */
    int pos, end;     /* [pos, end) in the source */
    const char *text; /* a name folded or unquoted, a string's value, a number's digits, an
                         operator's or keyword's spelling; NUL-terminated */
    int len;          /* of text: a string may hold any bytes but NUL */
};
enum { LEX_BAD = -1 };

struct lexer {
    struct ctx *c;
    const char *src;
    int n, at;
    /* What is wrong with the LEX_BAD token, after which the lexer is not called again. */
    enum status code;
    const char *message; /* lex_fail() adds: at or near "…" */
    const char *hint;
};

/* ERR_INVALID_ENCODING when the text is not UTF-8, ERR_LIMIT_EXCEEDED past 1 GiB. */
enum status lex_open(struct ctx *c, struct lexer *l, const char *src, size_t n);
void lex_next(struct lexer *l, struct token *out);
/* Records what made the token LEX_BAD. It waits until the parser has come to the token, so that an
 * earlier mistake is told first. */
enum status lex_fail(struct lexer *l, const struct token *bad);

#endif
