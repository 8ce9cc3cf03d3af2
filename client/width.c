/* How wide is a text in a terminal, and how does it break into lines? */
#include "client/width.h"
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

void width_init(void)
{
    setlocale(LC_CTYPE, "");
    wchar_t ch;
    if (mbrtowc(&ch, "\xc3\xa9", 2, NULL) != 2 || ch != 0xe9) setlocale(LC_CTYPE, "C.UTF-8");
}

/* Length in bytes and width of the character at s; a byte that begins none counts for itself. */
static size_t measure(const char *s, size_t n, int *width)
{
    mbstate_t state = {0};
    wchar_t ch;
    size_t len = mbrtowc(&ch, s, n, &state);
    if (len == 0 || len > n) {
        *width = 1;
        return 1;
    }
    int w = wcwidth(ch);
    *width = w < 0 ? 0 : w;
    return len;
}

static struct line *next_line(struct lines *l)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 4;
        l->v = realloc(l->v, (size_t)l->cap * sizeof *l->v);
        if (!l->v) abort();
    }
    l->v[l->n] = (struct line){.at = l->text.len};
    return &l->v[l->n++];
}

/* Ends the last line, which is full: behind its last blank when that leaves half of it at least,
 * else as it is. Returns the new last line. */
static struct line *wrap(struct lines *l, int limit)
{
    size_t last = (size_t)l->n - 1, from = l->v[last].at, keep = l->v[last].len;
    int width, tail = 0;
    while (keep > 0 && l->text.s[from + keep - 1] != ' ')
        keep--;
    for (size_t i = keep; i < l->v[last].len; tail += width)
        i += measure(l->text.s + from + i, l->v[last].len - i, &width);
    bool at_blank = keep > 0 && l->v[last].width - tail >= limit / 2;
    struct line *next = next_line(l);
    struct line *full = &l->v[last];
    full->wraps = 1;
    if (at_blank) {
        next->at = from + keep;
        next->len = full->len - keep;
        next->width = tail;
        full->len = keep;
        full->width -= tail;
    }
    return next;
}

/* Appends to the last line, or to a new one when it would grow past the limit. */
static void put(struct lines *l, const char *s, size_t n, int width, int limit)
{
    struct line *line = &l->v[l->n - 1];
    if (limit > 0 && line->width > 0 && line->width + width > limit) line = wrap(l, limit);
    strbuf_add(&l->text, s, n);
    line->len += n;
    line->width += width;
}

void lines_set(struct lines *l, const char *s, int limit)
{
    strbuf_clear(&l->text);
    l->n = 0;
    next_line(l);
    for (size_t left = strlen(s); left > 0;) {
        unsigned char ch = (unsigned char)*s;
        size_t n = 1;
        if (ch >= ' ' && ch < 0x7f) {
            put(l, s, 1, 1, limit);
        } else if (ch == '\n') {
            next_line(l);
        } else if (ch == '\r') {
            put(l, "\\r", 2, 2, limit);
        } else if (ch == '\t') {
            do
                put(l, " ", 1, 1, limit);
            while (l->v[l->n - 1].width % 8 != 0);
        } else if (ch < ' ' || ch == 0x7f) {
            static const char hex[] = "0123456789ABCDEF";
            const char text[] = {'\\', 'x', hex[ch >> 4], hex[ch & 15]};
            put(l, text, 4, 4, limit);
        } else {
            int width;
            n = measure(s, left, &width);
            put(l, s, n, width, limit);
        }
        s += n;
        left -= n;
    }
}

void lines_release(struct lines *l)
{
    strbuf_release(&l->text);
    free(l->v);
    *l = (struct lines)LINES_INIT;
}

int lines_width(const struct lines *l)
{
    int width = 0;
    for (int i = 0; i < l->n; i++)
        if (l->v[i].width > width) width = l->v[i].width;
    return width;
}
