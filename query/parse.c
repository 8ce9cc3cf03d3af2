/* How does a text become a tree? Feeds the lexer's tokens to the grammar, decides the few keywords
 * that need a look at what follows, and words the errors. */
#include "query/parse.h"
#include "query/lex.h"
#include "query/parse_gen.h"
#include "query/parse_tree.h"
#include <stdlib.h>

/* Lemon's interface to parse_gen.c. */
void *grammarAlloc(void *(*alloc)(size_t));
void grammar(void *g, int kind, struct token t, struct parser *p);
void grammarFree(void *g, void (*release)(void *));

/* ---- one token of look-ahead, two for AS OF and AT TIME ZONE ---- */
struct reader {
    struct lexer lex;
    struct token next[2]; /* behind the current one */
};

static void advance(struct parser *p, struct reader *r)
{
    p->before = p->last;
    p->last = p->cur;
    p->cur = r->next[0];
    r->next[0] = r->next[1];
    if (r->next[0].kind != LEX_BAD && r->next[0].kind != 0) lex_next(&r->lex, &r->next[1]);
}

static bool one_of(int kind, const int *kinds, int n)
{
    for (int i = 0; i < n; i++)
        if (kinds[i] == kind) return true;
    return false;
}
#define ONE_OF(kind, ...)                                                                          \
    one_of((kind), (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

/* What the current token is to the grammar, given the tokens around it. */
static int kind_ahead(const struct parser *p, const struct token *next)
{
    int kind = p->cur.kind, after = next[0].kind;
    switch (kind) {
    case TK_NOT:
        return ONE_OF(after, TK_BETWEEN, TK_IN, TK_LIKE, TK_ILIKE, TK_SIMILAR) ? TK_NOT_LA : kind;
    case TK_WITH:
        return ONE_OF(after, TK_TIME, TK_ORDINALITY) ? TK_WITH_LA : kind;
    case TK_WITHOUT:
        return after == TK_TIME ? TK_WITHOUT_LA : kind;
    case TK_AS:
        return after == TK_OF && next[1].kind != TK_COMMA ? TK_AS_LA : kind;
    case TK_ROW:
        return after == TK_LP ? TK_ROW_LA : kind;
    case TK_ROWS:
        return after == TK_FROM ? TK_ROWS_LA : kind;
    case TK_NULLS:
        return ONE_OF(after, TK_FIRST, TK_LAST) ? kind : TK_ID;
    case TK_BLOCK:
        return after == TK_LB && (ONE_OF(p->last.kind, TK_BY, TK_COMMA, TK_DISTINCT) ||
                                  (p->last.kind == TK_LP && p->before.kind == TK_SETS))
                   ? kind
                   : TK_ID;
    case TK_GRID:
        return after == TK_LB ? kind : TK_ID;
    case TK_VERSION:
        return ONE_OF(after, TK_ICONST, TK_PARAM) ? kind : TK_ID;
    case TK_AT:
        return after == TK_TIME && next[1].kind == TK_ZONE ? kind : TK_ID;
    case TK_CUBE:
    case TK_ROLLUP:
    case TK_EXTRACT:
    case TK_SUBSTRING:
    case TK_POSITION:
    case TK_OVERLAY:
    case TK_TRIM:
        return after == TK_LP ? kind : TK_ID;
    case TK_EXISTS:
        return after == TK_LP || ONE_OF(p->last.kind, TK_IF, TK_NOT) ? kind : TK_ID;
    case TK_IF:
        return ONE_OF(after, TK_NOT, TK_EXISTS) ? kind : TK_ID;
    case TK_VALUES:
        return after == TK_LP || p->last.kind == TK_DEFAULT ? kind : TK_ID;
    case TK_RECURSIVE:
        return after == TK_AS ? TK_ID : kind;
    case TK_NEAREST:
        return ONE_OF(after, TK_ARROW, TK_COLON, TK_COMMA, TK_RB, TK_DOT) ? TK_ID : kind;
    case TK_GROUPING:
        return ONE_OF(after, TK_LP, TK_SETS) ? kind : TK_ID;
    default:
        return kind;
    }
}

/* ---- errors ---- */
/* The tokens up to the one at `pos`, read again: only a mistake pays for it. */
static struct token *tokens_until(struct parser *p, int pos, int *n)
{
    struct ctx quiet = *p->c;
    quiet.notice = NULL;
    struct lexer lex;
    struct {
        int n;
        struct token *v;
    } list = {0};
    struct token t = {0};
    if (lex_open(&quiet, &lex, p->src, (size_t)p->n) == OK) {
        do {
            lex_next(&lex, &t);
            ADD(p, &list, t);
        } while (t.kind != 0 && t.kind != LEX_BAD && t.pos < pos);
    }
    *n = list.n;
    return list.v;
}

/* The innermost [ or ( that is open before the last of n tokens; -1: none. */
static int open_bracket(const struct token *t, int n)
{
    int closed = 0;
    for (int i = n - 2; i >= 0; i--) {
        if (ONE_OF(t[i].kind, TK_RB, TK_RP)) closed++;
        if (ONE_OF(t[i].kind, TK_LB, TK_LP) && closed-- == 0) return i;
    }
    return -1;
}

/* SELECT [i, j]: the items of the bracket as they should be written. */
static void hint_brackets(struct parser *p, int open)
{
    struct lexer lex = {.c = p->c, .src = p->src, .n = p->n, .at = open + 1};
    struct strbuf items = STRBUF_INIT;
    int from = open + 1, depth = 0;
    struct token t;
    for (;;) {
        lex_next(&lex, &t);
        if (t.kind == LEX_BAD || t.kind == 0 || items.len > 80) break;
        if (ONE_OF(t.kind, TK_LB, TK_LP)) depth++;
        if (depth == 0 && ONE_OF(t.kind, TK_COMMA, TK_RB)) {
            while (from < t.pos && p->src[from] == ' ')
                from++;
            strbuf_addf(&items, "%s[%.*s]", items.len ? ", " : "", t.pos - from, p->src + from);
            from = t.end;
            if (t.kind == TK_RB) break;
        }
        if (ONE_OF(t.kind, TK_RB, TK_RP)) depth--;
    }
    p->status = hint(p->c, "Each dimension stands in a bracket of its own: %s.",
                     t.kind == TK_RB ? items.s : "[i], [j]");
    strbuf_release(&items);
}

static void hint_slip(struct parser *p, const struct token *at_token)
{
    int n;
    const struct token *t = tokens_until(p, at_token->pos, &n);
    int open = open_bracket(t, n);
    if (n < 2) return;
    int kind = t[n - 1].kind, before = t[n - 2].kind;
    if (kind == TK_STAR && before == TK_STAR)
        p->status = hint(p->c, "A power is written ^: x ^ 2.");
    else if (kind == TK_EQ && before == TK_EQ)
        p->status = hint(p->c, "Equality is written with one =.");
    if (open < 0 || t[open].kind != TK_LB) return;
    int outside = open > 0 ? t[open - 1].kind : 0;
    if (kind == TK_CAST_TO || before == TK_CAST_TO) {
        p->status = hint(p->c, "An open end is written *: [* : * : 2].");
    } else if (before == TK_HASH && ONE_OF(kind, TK_ICONST, TK_MINUS, TK_STAR)) {
        p->status = hint(p->c, "# stands before the dimension's name: [#d => 0 : 9].");
    } else if ((kind == TK_COLON && ONE_OF(before, TK_LB, TK_COMMA, TK_ARROW, TK_COLON)) ||
               (before == TK_COLON && ONE_OF(kind, TK_COMMA, TK_RB))) {
        p->status = hint(p->c, "An open end is written *: [* : 5], [3 : *].");
    } else if (kind == TK_COMMA &&
               ONE_OF(outside, TK_SELECT, TK_ALL, TK_DISTINCT, TK_COMMA, TK_RP)) {
        hint_brackets(p, t[open].pos);
    } else if (before == TK_LB && ((open > 1 && t[open - 2].kind == TK_CAST_TO) ||
                                   (open > 2 && t[open - 3].kind == TK_CAST_TO))) {
        p->status = hint(p->c, "Behind a type, [] makes it an array's; a cast of a cell is "
                               "(x[t])::real.");
    }
}

void parse_syntax_error(struct parser *p, const struct token *t)
{
    if (p->status < 0) return;
    p->status = t->kind == 0 ? fail_at(p->c, ERR_SYNTAX, t->pos, "syntax error at end of input")
                             : fail_at(p->c, ERR_SYNTAX, t->pos, "syntax error at or near \"%.*s\"",
                                       t->end - t->pos, p->src + t->pos);
    hint_slip(p, t);
}

/* ---- texts ---- */
static enum status parse(struct ctx *c, struct parser *p, const char *text, size_t n, int start)
{
    struct reader r;
    *p = (struct parser){.c = c, .src = text, .n = (int)n};
    TRY(lex_open(c, &r.lex, text, n));
    void *g = grammarAlloc(malloc);
    if (!g) return fail(c, ERR_MEMORY, "out of memory");
    if (start) grammar(g, start, (struct token){.kind = start}, p);
    lex_next(&r.lex, &r.next[0]);
    if (r.next[0].kind != LEX_BAD && r.next[0].kind != 0) lex_next(&r.lex, &r.next[1]);
    do {
        advance(p, &r);
        if (p->cur.kind == LEX_BAD) {
            p->status = lex_fail(&r.lex, &p->cur);
            break;
        }
        p->cur.kind = kind_ahead(p, r.next);
        grammar(g, p->cur.kind, p->cur, p);
    } while (p->status == OK && p->cur.kind != 0);
    grammarFree(g, free);
    return p->status;
}

enum status parse_script(struct ctx *c, const char *text, size_t n, struct ast_script *out)
{
    struct parser p;
    TRY(parse(c, &p, text, n, 0));
    *out = p.script;
    return OK;
}

enum status parse_expr(struct ctx *c, const char *text, size_t n, struct ast_expr **out)
{
    struct parser p;
    TRY(parse(c, &p, text, n, TK_START_EXPR));
    *out = p.expr;
    return OK;
}
