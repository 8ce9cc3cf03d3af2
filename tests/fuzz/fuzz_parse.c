/* Any text: it parses or is refused, its tree can be walked, and each of its statements, cut out by
 * its range, is the same statement again. */
#include "query/parse.h"
#include "tests/unit/ast_dump.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void same_again(struct ctx *c, const char *text, const struct ast_stmt *s)
{
    struct ast_script again;
    if (parse_script(c, text + s->pos, (size_t)(s->end - s->pos), &again) != OK || again.n != 1) {
        fprintf(stderr, "not a statement: %.*s\n", s->end - s->pos, text + s->pos);
        abort();
    }
    struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;
    dump_stmt(&one, s);
    dump_stmt(&two, again.v[0]);
    if (strcmp(one.s, two.s) != 0) {
        fprintf(stderr, "%s\nis another: %s\n", one.s, two.s);
        abort();
    }
    strbuf_release(&one);
    strbuf_release(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ctx c = {.arena = arena_new()};
    struct ast_script script;
    ctx_clear(&c);
    /* A copy of its own size, so that reading past its end is seen. */
    char *text = malloc(n ? n : 1);
    if (n) memcpy(text, data, n);
    if (parse_script(&c, text, n, &script) == OK)
        for (int i = 0; i < script.n; i++)
            same_again(&c, text, script.v[i]);
    free(text);
    arena_free(c.arena);
    return 0;
}
