/* Tables that the shell puts together itself, for \d and its relatives: all cells are text. */
#ifndef TESSERA_CLIENT_SHEET_H
#define TESSERA_CLIENT_SHEET_H
#include "client/shell.h"

struct sheet {
    struct table table;
    char **cells; /* the sheet's own; NULL: nothing */
    int64_t cap;
};

/* align: a character a column. title, names and align outlive the sheet. */
void sheet_init(struct sheet *s, const char *title, const char *const *names, const char *align);
/* A new row, to be filled. */
char **sheet_row(struct sheet *s);
/* Prints it and lets it go. */
void sheet_show(struct shell *sh, struct sheet *s);

/* ---- what goes into them; strings are malloc'ed ---- */
char *copy(const char *s);
char *count_text(const char *digits);                   /* "1,234,567" */
char *size_text(double bytes);                          /* "1.5 kB" */
const char *value(const PGresult *r, int row, int col); /* the result's own; NULL for NULL */
char *text_of(const PGresult *r, int row, int col);

/* The rows of a query whose column fits a pattern with * and ? (NULL: all); NULL after saying why.
 */
PGresult *ask(struct shell *sh, const char *select, const char *column, const char *pattern,
              const char *order);
/* Says so; true, as an empty list is no failure. */
bool none_found(struct shell *sh, const char *what, const char *pattern);

#endif
