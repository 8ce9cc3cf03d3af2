/* A growing byte string. Bytes are always followed by a NUL. */
#ifndef TESSERA_STRBUF_H
#define TESSERA_STRBUF_H
#include <stdarg.h>
#include <stddef.h>

struct strbuf {
    char *s; /* NULL until something is added */
    size_t len, cap;
};
#define STRBUF_INIT                                                                                \
    {                                                                                              \
        0                                                                                          \
    }

void strbuf_release(struct strbuf *b);
void strbuf_clear(struct strbuf *b);               /* keeps the memory */
char *strbuf_grow(struct strbuf *b, size_t extra); /* room for extra bytes more; where they go */
void strbuf_add(struct strbuf *b, const void *bytes, size_t n);
void strbuf_adds(struct strbuf *b, const char *s);
void strbuf_addc(struct strbuf *b, char ch);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_addvf(struct strbuf *b, const char *fmt, va_list ap);

#endif
