/* Growing byte strings. */
#include "storage/base/strbuf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_release(struct strbuf *b)
{
    free(b->s);
    *b = (struct strbuf)STRBUF_INIT;
}

void strbuf_clear(struct strbuf *b)
{
    b->len = 0;
    if (b->s) b->s[0] = 0;
}

char *strbuf_grow(struct strbuf *b, size_t extra)
{
    if (b->len + extra + 1 > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        while (cap < b->len + extra + 1)
            cap *= 2;
        b->s = realloc(b->s, cap);
        if (!b->s) abort();
        b->cap = cap;
    }
    char *to = b->s + b->len;
    b->len += extra;
    b->s[b->len] = 0;
    return to;
}

void strbuf_add(struct strbuf *b, const void *bytes, size_t n)
{
    char *to = strbuf_grow(b, n);
    if (n) memcpy(to, bytes, n);
}

void strbuf_adds(struct strbuf *b, const char *s)
{
    strbuf_add(b, s, strlen(s));
}

void strbuf_addc(struct strbuf *b, char ch)
{
    *strbuf_grow(b, 1) = ch;
}

void strbuf_addvf(struct strbuf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n > 0) vsnprintf(strbuf_grow(b, (size_t)n), (size_t)n + 1, fmt, ap);
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    strbuf_addvf(b, fmt, ap);
    va_end(ap);
}
