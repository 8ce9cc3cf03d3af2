/* The characters that tables are drawn with. Private to print_*.c. */
#ifndef TESSERA_CLIENT_STYLE_H
#define TESSERA_CLIENT_STYLE_H
#include "client/print.h"

enum rule_place { RULE_TOP, RULE_MIDDLE, RULE_BOTTOM };
struct style {
    const char *horizontal, *vertical;
    const char *left[3], *cross[3], *right[3]; /* of a rule, by place */
    const char *newline, *wrap;                /* at the end of a line that goes on */
    const char *more;                          /* stands for columns that are left out */
};
extern const struct style print_styles[2];

#endif
