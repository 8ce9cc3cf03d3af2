/* How text looks in a terminal: widths in columns, and cells cut into lines. UTF-8 throughout. */
#ifndef TESSERA_CLIENT_WIDTH_H
#define TESSERA_CLIENT_WIDTH_H
#include "storage/base/strbuf.h"

/* Sets the locale so that characters' widths are known. Once, at start. */
void width_init(void);

/* A text as lines that can be printed: tabs become spaces, other control characters \xNN, and
 * lines longer than a limit are continued on the next. Reused from cell to cell. */
struct lines {
    struct strbuf text; /* all lines, one behind the other */
    int n, cap;
    struct line {
        size_t at; /* in text */
        size_t len;
        int width;
        int wraps; /* 1: goes on in the next line because it was too long */
    } * v;
};
#define LINES_INIT                                                                                 \
    {                                                                                              \
        STRBUF_INIT, 0, 0, NULL                                                                    \
    }
/* limit 0: none. There is at least one line. */
void lines_set(struct lines *l, const char *s, int limit);
void lines_release(struct lines *l);
/* Width of the widest line, and how many there are. */
int lines_width(const struct lines *l);

#endif
